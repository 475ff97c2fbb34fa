//! One node, probe by probe: which way, from which container, and what the answer is worth.

use std::{cell::RefCell, collections::HashSet, time::Duration};

use kube::Client;
use netcore::probe::{Command, End, Gate, LEGACY, MEMORY, Probe, SYMBOLS, Sees, Way};

use super::{
    Outcome,
    error::{Ran, RunError},
    exec, forward,
    local::Local,
    seat::{Seat, ranked},
};

/// What a heavy command may need beside what its container uses already: the tables of the largest
/// clusters take an `iptables-save` about so much.
const HEADROOM: u64 = 128 << 20;
/// How often a busy server is asked again.
const PATIENCE: u32 = 3;
/// How long a busy server is left alone that does not say how long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Somebody who is told what is run.
pub(super) type Trace<'a> = &'a dyn Fn(&str);

/// Where a node's commands are run.
pub(super) enum Place<'a> {
    /// Here.
    Local(&'a Local),
    /// In containers on the node.
    Seats(&'a Client, Vec<Seat>),
}

/// What was learnt on one node and spares the others the asking: who may not exec into one pod may
/// not into the next.
#[derive(Default)]
pub(super) struct Shared {
    exec: RefCell<Option<String>>,
    forward: RefCell<Option<String>>,
}

/// The reading of one node.
pub(super) struct Reading<'a> {
    place: Place<'a>,
    shared: &'a Shared,
    trace: Trace<'a>,
    symbols: Option<Result<String, String>>,
    /// Containers and the programs that they turned out not to have.
    lacking: HashSet<(String, &'static str)>,
}

/// How the running of one command went.
enum Tried {
    Ran(Ran),
    /// No container has the program.
    NoProgram(String),
    /// No container sees what it must see.
    Unseen(String),
    Failed(String),
}

impl<'a> Reading<'a> {
    pub(super) fn new(place: Place<'a>, shared: &'a Shared, trace: Trace<'a>) -> Self {
        Self { place, shared, trace, symbols: None, lacking: HashSet::new() }
    }

    /// Reads one probe, by the first way that gives an answer.
    pub(super) async fn probe(&mut self, probe: Probe) -> Outcome {
        let mut unseen = None;
        let mut failed = None;
        for way in probe.ways() {
            let command = match way {
                Way::KubeProxy(path) => return self.kube_proxy(path).await,
                Way::Run(command) => command,
            };
            if let Some(outcome) = self.stopped_at(command.gate).await {
                return outcome;
            }
            let mut tried = self.command(command, probe.is_heavy()).await;
            // what is light is asked once more before it is called cut
            if !probe.is_heavy()
                && matches!(&tried, Tried::Ran(ran) if ran.code == 0 && cut(command.end, &ran.stdout).is_some())
            {
                tried = self.command(command, false).await;
            }
            match tried {
                Tried::Ran(ran) => match judge(command, ran) {
                    // another way may print it in another form
                    Err(Flaw::Failed(reason)) if !probe.is_heavy() => failed = Some(reason),
                    Err(Flaw::Failed(reason) | Flaw::Cut(reason)) => return Outcome::Unreadable(reason),
                    Ok(outcome) => return outcome,
                },
                Tried::Failed(reason) => return Outcome::Unreadable(reason),
                Tried::NoProgram(reason) => failed = failed.or(Some(reason)),
                Tried::Unseen(reason) => unseen = unseen.or(Some(reason)),
            }
        }
        match (failed, unseen) {
            (Some(reason), _) => Outcome::Unreadable(reason),
            (None, Some(reason)) => Outcome::Unseen(reason),
            (None, None) => Outcome::Unreadable("there is no way to read it".to_owned()),
        }
    }

    /// Why a command is not run: what it asks about is not in the kernel, or nobody can tell.
    async fn stopped_at(&mut self, gate: Gate) -> Option<Outcome> {
        match gate {
            Gate::Open => None,
            Gate::Symbol(name) => match self.symbols().await {
                Ok(symbols) if symbols.split_whitespace().any(|word| word == name) => None,
                Ok(_) => Some(Outcome::Absent("not in the kernel".to_owned())),
                Err(reason) => {
                    let why = format!("not asked, for it could make the kernel load a module: {reason}");
                    Some(Outcome::Unreadable(why))
                }
            },
            Gate::Legacy(name) => {
                let (_, command) = LEGACY.iter().find(|(file, _)| *file == name)?;
                match self.command(command, false).await {
                    Tried::Ran(ran) if ran.code == 0 && !ran.stdout.trim_ascii().is_empty() => None,
                    Tried::Ran(ran) if ran.code == 0 || no_such_file(&ran.stderr) => {
                        Some(Outcome::Absent("no legacy tables".to_owned()))
                    }
                    Tried::Ran(ran) => Some(Outcome::Unreadable(complaint(&ran))),
                    Tried::NoProgram(reason) | Tried::Failed(reason) => Some(Outcome::Unreadable(reason)),
                    Tried::Unseen(reason) => Some(Outcome::Unseen(reason)),
                }
            }
        }
    }

    /// Which of the functions that gates name the kernel has; asked once.
    async fn symbols(&mut self) -> Result<String, String> {
        if self.symbols.is_none() {
            let known = match self.command(&SYMBOLS, false).await {
                Tried::Ran(ran) if ran.code == 0 || ran.code == 1 => {
                    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
                }
                Tried::Ran(ran) => Err(complaint(&ran)),
                Tried::NoProgram(reason) | Tried::Failed(reason) | Tried::Unseen(reason) => Err(reason),
            };
            self.symbols = Some(known);
        }
        self.symbols.clone().unwrap_or_else(|| Ok(String::new()))
    }

    /// Runs a command where it can be run.
    async fn command(&mut self, command: &Command, heavy: bool) -> Tried {
        let (client, seats) = match &self.place {
            Place::Local(local) => {
                let argv = command.argv(None);
                (self.trace)(&format!("run {}", first_words(&argv)));
                return match local.run(&argv).await {
                    Ok(ran) => Tried::Ran(ran),
                    Err(RunError::NoProgram) => Tried::NoProgram(format!("this host has no {}", command.program())),
                    Err(error) => Tried::Failed(error.to_string()),
                };
            }
            Place::Seats(client, seats) => (*client, seats.clone()),
        };
        if let Some(reason) = self.shared.exec.borrow().clone() {
            return Tried::Failed(reason);
        }
        let ranked = ranked(&seats, command.sees, command.program());
        if ranked.is_empty() {
            return Tried::Unseen(nobody_sees(command.sees, &seats));
        }
        let mut asked = Vec::new();
        let mut gone = None;
        for (seat, path) in ranked {
            if self.lacking.contains(&(seat.to_string(), command.program())) {
                asked.push(seat.to_string());
                continue;
            }
            if heavy && let Some(reason) = self.too_near(client, seat).await {
                return Tried::Failed(reason);
            }
            let argv = command.argv(path.as_deref());
            match self.exec(client, seat, &argv, heavy).await {
                Ok(ran) => return Tried::Ran(ran),
                Err(RunError::NoProgram) => {
                    self.lacking.insert((seat.to_string(), command.program()));
                    asked.push(seat.to_string());
                }
                Err(RunError::Gone(reason)) => gone = Some(reason),
                Err(error) => {
                    let reason = error.to_string();
                    if matches!(error, RunError::Forbidden(_)) {
                        self.shared.exec.replace(Some(reason.clone()));
                    }
                    return Tried::Failed(reason);
                }
            }
        }
        match gone {
            Some(reason) => Tried::Failed(reason),
            None => Tried::NoProgram(format!("{} has no {}", asked.join(", "), command.program())),
        }
    }

    /// One command in one container; again where the server was busy, and once where the connection
    /// broke and the command is light: a heavy one may still be running.
    async fn exec(&self, client: &Client, seat: &Seat, argv: &[String], heavy: bool) -> Result<Ran, RunError> {
        let (mut busy, mut broken) = (0, 0);
        loop {
            let outcome = exec::run(client, seat, argv).await;
            let end = match &outcome {
                Ok(ran) => format!("exit {}, {} bytes", ran.code, ran.stdout.len()),
                Err(error) => error.to_string(),
            };
            (self.trace)(&format!("exec {seat} {}: {end}", first_words(argv)));
            match outcome {
                Err(RunError::Busy(asked, _))
                    if busy < PATIENCE && asked.is_none_or(|asked| asked <= LONGEST_PAUSE) =>
                {
                    busy += 1;
                    tokio::time::sleep(asked.unwrap_or(PAUSE)).await;
                }
                Err(error) if error.may_pass() && !heavy && broken == 0 => broken += 1,
                outcome => return outcome,
            }
        }
    }

    /// Why a heavy command is not run in a container: its memory limit is too near.
    async fn too_near(&self, client: &Client, seat: &Seat) -> Option<String> {
        let limit = seat.memory_limit?;
        let mut used = None;
        for command in &MEMORY {
            match self.exec(client, seat, &command.argv(None), false).await {
                Ok(ran) if ran.code == 0 => {
                    used = memory_in_use(&String::from_utf8_lossy(&ran.stdout));
                    break;
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        // what cannot be told is taken for half of the limit
        let used = used.unwrap_or(limit / 2);
        (limit.saturating_sub(used) < HEADROOM).then(|| {
            format!(
                "not asked: {seat} has {} MiB left of its memory limit of {} MiB, and this may take {} MiB",
                limit.saturating_sub(used) >> 20,
                limit >> 20,
                HEADROOM >> 20
            )
        })
    }

    async fn kube_proxy(&self, path: &str) -> Outcome {
        let (client, seats) = match &self.place {
            Place::Local(Local { network: Some(_) }) => {
                return Outcome::Unseen("kube-proxy is not asked in another network namespace".to_owned());
            }
            Place::Local(_) => {
                (self.trace)(&format!("get {path}"));
                return answered(forward::get_here(path).await, path);
            }
            Place::Seats(client, seats) => (*client, seats),
        };
        if let Some(reason) = self.shared.forward.borrow().clone() {
            return Outcome::Unreadable(reason);
        }
        // any pod of the node's own network reaches kube-proxy's port; where it is none of kube-proxy's
        // pods, something else may answer there, or nobody
        let Some(seat) = seats.iter().find(|seat| seat.is_kube_proxy()) else {
            return Outcome::Unseen("no pod of kube-proxy on the node".to_owned());
        };
        let mut tries = 0;
        loop {
            let answer = forward::get(client, seat, path).await;
            let end = match &answer {
                Ok(Some(bytes)) => format!("{} bytes", bytes.len()),
                Ok(None) => "not found".to_owned(),
                Err(error) => error.to_string(),
            };
            (self.trace)(&format!("port-forward {seat} {path}: {end}"));
            match answer {
                Err(RunError::Busy(asked, _)) if tries < PATIENCE => {
                    tries += 1;
                    tokio::time::sleep(asked.unwrap_or(PAUSE).min(LONGEST_PAUSE)).await;
                }
                Err(error) if error.may_pass() && tries == 0 => tries = PATIENCE,
                answer => {
                    if let Err(RunError::Forbidden(_)) = &answer {
                        self.shared.forward.replace(answer.as_ref().err().map(ToString::to_string));
                    }
                    return answered(answer, path);
                }
            }
        }
    }
}

fn answered(answer: Result<Option<Vec<u8>>, RunError>, path: &str) -> Outcome {
    match answer {
        Ok(Some(bytes)) => Outcome::Text(String::from_utf8_lossy(&bytes).into_owned()),
        Ok(None) => Outcome::Absent(format!("kube-proxy has no {path}")),
        Err(error) => Outcome::Unreadable(error.to_string()),
    }
}

fn nobody_sees(sees: Sees, seats: &[Seat]) -> String {
    match sees {
        _ if seats.is_empty() => {
            "no pod on the node to exec into; --node-access debug --allow-debug-pods makes one".to_owned()
        }
        Sees::Path(path) => format!("no pod on the node that has {path} mounted"),
        Sees::Network | Sees::Kernel => "no pod on the node that has the node's network".to_owned(),
    }
}

/// What is wrong with an answer.
#[derive(Debug, PartialEq, Eq)]
enum Flaw {
    /// The command failed.
    Failed(String),
    /// It is not whole.
    Cut(String),
}

/// What an answer is worth.
fn judge(command: &Command, ran: Ran) -> Result<Outcome, Flaw> {
    let empty = ran.stdout.trim_ascii().is_empty();
    if ran.code != 0 && empty && (no_such_file(&ran.stderr) || (command.program() == "sh" && ran.code == 3)) {
        return Ok(Outcome::Absent("no such file".to_owned()));
    }
    let tolerated = command.tolerates == Some(ran.code) && !empty;
    if ran.code != 0 && !tolerated {
        return Err(Flaw::Failed(complaint(&ran)));
    }
    if let Some(missing) = cut(command.end, &ran.stdout) {
        return Err(Flaw::Cut(format!("cut off after {} bytes: {missing}", ran.stdout.len())));
    }
    Ok(Outcome::Text(match String::from_utf8(ran.stdout) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }))
}

fn no_such_file(stderr: &str) -> bool {
    stderr.contains("No such file or directory")
}

/// `exit code 3: what it complained about`.
fn complaint(ran: &Ran) -> String {
    let line = ran.stderr.lines().map(str::trim).find(|line| !line.is_empty());
    match line {
        Some(line) => format!("exit code {}: {}", ran.code, line.chars().take(200).collect::<String>()),
        None => format!("exit code {}", ran.code),
    }
}

/// What is missing at the end of an answer, where it has no end.
fn cut(end: End, bytes: &[u8]) -> Option<String> {
    let text = bytes.trim_ascii_end();
    match end {
        End::Any => None,
        _ if text.is_empty() => None,
        End::Commit => {
            let mut lines = text.rsplit(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            let last = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
            last.is_some_and(|line| line != b"COMMIT").then(|| "its last table has no COMMIT".to_owned())
        }
        End::Json => {
            let whole = serde_json::from_slice::<serde::de::IgnoredAny>(text);
            whole.err().map(|error| format!("no whole JSON: {error}"))
        }
    }
}

/// What a container uses and cannot give back, out of the number and the statistics of its cgroup.
fn memory_in_use(text: &str) -> Option<u64> {
    let used: u64 = text.lines().next()?.trim().parse().ok()?;
    let cache = text.lines().find_map(|line| {
        line.strip_prefix("total_inactive_file ").or_else(|| line.strip_prefix("inactive_file "))?.trim().parse().ok()
    });
    Some(used.saturating_sub(cache.unwrap_or(0)))
}

/// As much of a command as says which one it is.
fn first_words(argv: &[String]) -> String {
    let words: Vec<&str> = argv.iter().map(|word| word.lines().next().unwrap_or_default()).take(6).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(probe: Probe) -> Command {
        match probe.ways().first() {
            Some(Way::Run(command)) => *command,
            other => panic!("{other:?}"),
        }
    }

    fn ran(stdout: &str, stderr: &str, code: i32) -> Ran {
        Ran { stdout: stdout.as_bytes().to_vec(), stderr: stderr.to_owned(), code }
    }

    #[test]
    fn a_dump_that_was_cut_is_noticed() {
        let save = ways(Probe::IptablesSave);
        let whole = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n# Completed on Mon\n";
        assert_eq!(judge(&save, ran(whole, "", 0)), Ok(Outcome::Text(whole.to_owned())));
        let cut = judge(&save, ran("*nat\nCOMMIT\n*filter\n-A INPUT -j ACC", "", 0)).unwrap_err();
        assert_eq!(cut, Flaw::Cut("cut off after 35 bytes: its last table has no COMMIT".to_owned()));
        let json = judge(&ways(Probe::Routes), ran("[{\"dst\":\"default\"},{\"d", "", 0)).unwrap_err();
        let Flaw::Cut(json) = json else { panic!("{json:?}") };
        assert!(json.starts_with("cut off after 22 bytes: no whole JSON"), "{json}");
        assert_eq!(judge(&save, ran("", "", 0)), Ok(Outcome::Text(String::new())), "no tables at all");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_answer() {
        let env = ways(Probe::FlannelSubnetEnv);
        let no_file = "cat: /run/flannel/subnet.env: No such file or directory\n";
        assert_eq!(judge(&env, ran("", no_file, 1)), Ok(Outcome::Absent("no such file".to_owned())));
        assert_eq!(
            judge(&ways(Probe::CniConf), ran("", "sh: cd: can't cd", 3)),
            Ok(Outcome::Absent("no such file".to_owned()))
        );
        let denied = judge(&env, ran("", "cat: x: Permission denied\n", 1));
        assert_eq!(denied, Err(Flaw::Failed("exit code 1: cat: x: Permission denied".to_owned())));
    }

    #[test]
    fn what_a_command_minds_and_goes_on_is_tolerated() {
        let sysctls = ways(Probe::Sysctls);
        let text = "/proc/sys/net/ipv4/ip_forward:1\n";
        assert_eq!(judge(&sysctls, ran(text, "grep: flush: Permission denied", 2)), Ok(Outcome::Text(text.to_owned())));
        assert!(judge(&sysctls, ran("", "grep: broken", 2)).is_err());
    }

    #[test]
    fn caches_are_no_memory_in_use() {
        assert_eq!(memory_in_use("104857600\nanon 5\ninactive_file 54857600\n"), Some(50_000_000));
        assert_eq!(memory_in_use("104857600\ncache 5\ntotal_inactive_file 4857600\n"), Some(100_000_000));
        assert_eq!(memory_in_use("104857600\n"), Some(104_857_600));
        assert_eq!(memory_in_use("max\n"), None);
    }
}
