//! The root of a lab's processes: number 1 of a process namespace, so that its end is the end of all.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{WaitOptions, WaitStatus, wait};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, addons, cni, control, figures, guest, machine, network, node,
    plan::{Machine, Plan},
    process::{self, log_tail, output, run},
    run::{Component, Run, State},
};

/// What the supervisor tells `up`, one a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    /// Something was reached.
    Step(String),
    /// The cluster works.
    Ready(figures::Figures),
    /// It cannot be brought up.
    Failed(String),
}

/// What `up` answers when it has heard that the cluster works.
pub(crate) const STAY: &str = "stay";

/// A cluster while it is made: what runs, and how to run more.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) run: Run,
    pub(crate) state: State,
    running: BTreeMap<i32, Component>,
    machines: BTreeMap<String, u32>,
    // a machine's first process must not lose its stdin
    held: Vec<ChildStdin>,
}

/// Starts everything, tells `up` how far it is, then watches.
pub(crate) fn supervise(run: Run) -> Result<(), Error> {
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).map_err(Error::file("stdin"))?;
    let stay = stay_or_end();
    let begun = Instant::now();
    let state = run.state().ok_or_else(|| Error::Other(format!("{}: no state.json", run.folder.display())))?;
    let mut cluster = Cluster { run, state, running: BTreeMap::new(), machines: BTreeMap::new(), held: Vec::new() };
    if let Err(error) = cluster.bring_up() {
        tell(&Event::Failed(error.to_string()));
        return Err(error);
    }
    let figures = figures::read(begun.elapsed());
    crate::run::write(&cluster.run.path("figures.json"), &figures)?;
    tell(&Event::Ready(figures));
    while !stay.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
    }
    loop {
        // what dies now is written down; `status` tells it
        let _ = cluster.reap();
        thread::sleep(Duration::from_millis(300));
    }
}

/// Ends this process when `up` goes away without having said that the cluster shall stay.
fn stay_or_end() -> Arc<AtomicBool> {
    let stay = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stay);
    thread::spawn(move || {
        let mut line = String::new();
        match std::io::stdin().read_line(&mut line) {
            Ok(_) if line.trim() == STAY => told.store(true, Ordering::Relaxed),
            _ => end(),
        }
    });
    stay
}

#[expect(clippy::exit, reason = "the end of this process is the end of the lab, whatever it waits for")]
fn end() -> ! {
    std::process::exit(1)
}

fn tell(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        let mut out = std::io::stdout();
        // nobody listens: then the reader of stdin ends this process
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

impl Cluster {
    fn bring_up(&mut self) -> Result<(), Error> {
        network::control(self)?;
        control::start(self)?;
        let machines = self.nodes();
        // booting takes longer than all the others together
        for machine in machines.iter().filter(|machine| machine.guest) {
            guest::node::start(self, machine, network::BRIDGE)?;
        }
        for machine in machines.iter().filter(|machine| !machine.guest) {
            network::node(self, machine)?;
            node::start(self, machine)?;
        }
        for machine in machines.iter().filter(|machine| machine.guest) {
            guest::node::booted(self, machine)?;
            node::start(self, machine)?;
        }
        node::registered(self)?;
        cni::install(self)?;
        // a pod whose image comes after it waits ten seconds before it looks again
        node::images(self)?;
        addons::apply(self)?;
        node::ready(self)?;
        cni::ready(self)?;
        addons::ready(self)
    }

    /// The flags that it was made by.
    pub fn plan(&self) -> &Plan {
        &self.state.plan
    }

    /// Its nodes.
    pub fn nodes(&self) -> Vec<Machine> {
        self.state.machines.clone()
    }

    /// Tells `up` what was reached.
    pub fn step(&self, what: &str) {
        tell(&Event::Step(what.to_owned()));
    }

    /// A binary of the lab, by its name, as the control plane finds it; nodes find it in `/opt/lab/bin`.
    pub fn bin(&self, name: &str) -> PathBuf {
        self.run.path("bin").join(name)
    }

    /// A certificate, key or kubeconfig.
    pub fn pki(&self, name: &str) -> PathBuf {
        self.run.path("pki").join(name)
    }

    /// A path in a node as this process can read and write it.
    pub fn inside(&self, machine: &Machine, path: &str) -> Result<PathBuf, Error> {
        let pid = self.pid(machine)?;
        Ok(PathBuf::from(format!("/proc/{pid}/root")).join(path.trim_start_matches('/')))
    }

    /// Writes a file in a node; its folder is made.
    pub fn write(&self, machine: &Machine, path: &str, content: &str) -> Result<(), Error> {
        if machine.guest {
            let script = "mkdir -p \"${1%/*}\" && cat >\"$1\"";
            let mut command = self.command_on(machine, &["sh", "-c", script, "write", path])?;
            return run(&mut command, content.as_bytes()).map(drop);
        }
        let path = self.inside(machine, path)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        fs::write(&path, content).map_err(Error::file(path))
    }

    fn pid(&self, machine: &Machine) -> Result<u32, Error> {
        let found = self.machines.get(&machine.name).copied();
        found.ok_or_else(|| Error::Other(format!("{} is not up", machine.name)))
    }

    /// The number of a machine's first process, for `ip link set … netns PID`.
    pub(crate) fn netns(&self, machine: &Machine) -> Result<String, Error> {
        self.pid(machine).map(|pid| pid.to_string())
    }

    /// Makes a machine's namespaces and waits for its root.
    pub(crate) fn boot(&mut self, machine: &Machine) -> Result<(), Error> {
        let name = format!("{}/init", machine.name);
        let mut command = own_command()?;
        command.args(["machine", &self.run.id, &machine.name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = self.spawn(&name, &mut command)?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            // nothing comes when it died, and that shows below
            let _ = BufReader::new(out).read_line(&mut line);
        }
        self.held.extend(child.stdin.take());
        if line.trim() != "up" {
            self.poll("the machine's first process", 5, |_| Ok(Err("its pipe is closed".to_owned())))?;
        }
        let pid = machine::pid(&self.run, &machine.name, child.id());
        let pid = pid.ok_or_else(|| Error::Other(format!("{name} cannot be found in /proc")))?;
        self.machines.insert(machine.name.clone(), pid);
        Ok(())
    }

    /// The command of this machine that runs `argv` on a machine of the lab.
    pub(crate) fn command_on(&self, machine: &Machine, argv: &[&str]) -> Result<Command, Error> {
        if machine.guest {
            let folder = guest::node::folder(&self.run, &machine.name);
            return Ok(guest::command(&machine::program()?, &folder, argv));
        }
        machine::command(&self.run.id, &machine.name, self.pid(machine)?, argv)
    }

    /// Starts a component that must not end: `name` is unique on its machine, the first argument is the program.
    /// Its output goes to `logs/MACHINE-NAME.log` in the run's folder.
    pub fn start(&mut self, machine: &Machine, name: &str, argv: &[&str], env: &[(&str, &str)]) -> Result<(), Error> {
        if machine.guest {
            let env: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let env = env.iter().map(String::as_str);
            let argv: Vec<&str> = ["/start", name, "env"].into_iter().chain(env).chain(argv.iter().copied()).collect();
            return self.must(machine, &argv).map(drop);
        }
        let mut command = self.command_on(machine, argv)?;
        command.stdin(Stdio::null()).envs(env.iter().copied());
        let name = format!("{}/{name}", machine.name);
        self.spawn_as(&name, &mut command, argv, false).map(drop)
    }

    /// Starts something here that does one thing while others go on; it must end well. `errands_done` waits for it.
    pub(crate) fn errand(&mut self, name: &str, command: &mut Command) -> Result<(), Error> {
        let argv = process::argv(command);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        command.stdin(Stdio::null());
        self.spawn_as(name, command, &argv, true).map(drop)
    }

    /// Waits for all errands.
    pub(crate) fn errands_done(&mut self, what: &str, seconds: u64) -> Result<(), Error> {
        self.poll(what, seconds, |cluster| {
            let open = cluster.running.values().filter(|component| component.errand);
            let open: Vec<&str> = open.map(|component| component.name.as_str()).collect();
            Ok(if open.is_empty() { Ok(()) } else { Err(format!("{} still at it", open.join(", "))) })
        })
    }

    /// Starts a component outside all machines.
    pub(crate) fn start_here(&mut self, name: &str, args: &[&str]) -> Result<(), Error> {
        let mut command = own_command()?;
        command.args(args).stdin(Stdio::null());
        self.spawn(name, &mut command).map(drop)
    }

    fn spawn(&mut self, name: &str, command: &mut Command) -> Result<std::process::Child, Error> {
        let argv = process::argv(command);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.spawn_as(name, command, &argv, false)
    }

    fn spawn_as(
        &mut self,
        name: &str,
        command: &mut Command,
        argv: &[&str],
        errand: bool,
    ) -> Result<std::process::Child, Error> {
        let log = self.run.path("logs").join(format!("{}.log", name.replace('/', "-")));
        let file = fs::File::options().create(true).append(true).open(&log).map_err(Error::file(&log))?;
        if name.ends_with("/init") {
            command.stderr(file);
        } else {
            let both = file.try_clone().map_err(Error::file(&log))?;
            command.stdout(file).stderr(both);
        }
        let child = command.spawn().map_err(|e| Error::Start(name.to_owned(), e))?;
        let argv = argv.iter().map(|&arg| arg.to_owned()).collect();
        let component = Component { name: name.to_owned(), argv, log, errand, ended: None };
        self.run.write_component(&component)?;
        let pid = i32::try_from(child.id()).map_err(|e| Error::Other(e.to_string()))?;
        self.running.insert(pid, component);
        Ok(child)
    }

    /// Runs a command on a machine to its end.
    pub fn on(&self, machine: &Machine, argv: &[&str]) -> Result<Output, Error> {
        output(&mut self.command_on(machine, argv)?, b"")
    }

    /// Runs a command on a machine that must succeed; what it printed.
    pub fn must(&self, machine: &Machine, argv: &[&str]) -> Result<String, Error> {
        run(&mut self.command_on(machine, argv)?, b"")
    }

    /// Runs kubectl as the administrator; what it printed.
    pub fn kubectl(&self, args: &[&str], input: &str) -> Result<String, Error> {
        let mut command = Command::new(self.bin("kubectl"));
        command.arg("--kubeconfig").arg(self.run.kubeconfig()).args(args);
        run(&mut command, input.as_bytes())
    }

    /// Applies objects.
    pub fn apply(&self, objects: &[Value]) -> Result<(), Error> {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &list.to_string()).map(drop)
    }

    /// Reads objects: the arguments of `kubectl get`.
    pub fn get(&self, args: &[&str]) -> Result<Value, Error> {
        let args: Vec<&str> = ["get", "-o", "json"].iter().chain(args).copied().collect();
        let text = self.kubectl(&args, "")?;
        serde_json::from_str(&text).map_err(|e| Error::Other(format!("kubectl {}: {e}", args.join(" "))))
    }

    /// Waits until `look` has something; what it says instead is told when the limit is reached.
    /// A component that ends meanwhile ends the wait.
    pub fn poll<T>(
        &mut self,
        what: &str,
        seconds: u64,
        mut look: impl FnMut(&mut Self) -> Result<Result<T, String>, Error>,
    ) -> Result<T, Error> {
        let patience = Instant::now() + Duration::from_secs(seconds);
        loop {
            self.reap()?;
            match look(self)? {
                Ok(found) => return Ok(found),
                Err(seen) if Instant::now() > patience => {
                    return Err(Error::Late { what: what.to_owned(), seconds, seen });
                }
                Err(_) => thread::sleep(Duration::from_millis(150)),
            }
        }
    }

    /// Takes note of what has ended; an error if that was a component.
    fn reap(&mut self) -> Result<(), Error> {
        let mut died = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(mut component) = self.running.remove(&pid.as_raw_nonzero().get()) {
                if component.errand && status.exit_status() == Some(0) {
                    continue;
                }
                let status = shown(status);
                component.ended = Some(status.clone());
                self.run.write_component(&component)?;
                let output = log_tail(&component.log, 15);
                died = died.or(Some(Error::Died { component: component.name, status, output, log: component.log }));
            }
        }
        died.map_or(Ok(()), Err)
    }
}

/// This program.
fn own_command() -> Result<Command, Error> {
    std::env::current_exe().map(Command::new).map_err(Error::file("/proc/self/exe"))
}

fn shown(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "an unknown end".to_owned(),
    }
}

/// The tail of a log that grows: what was added since the last look, cut at whole lines by the caller.
pub(crate) fn read_from(path: &Path, from: u64) -> String {
    let mut text = Vec::new();
    if let Ok(mut file) = fs::File::open(path) {
        use std::io::Seek as _;
        let _ = file.seek(std::io::SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut text));
    }
    String::from_utf8_lossy(&text).into_owned()
}
