//! `up`: what has to be there before, the supervisor, and what is said while it works.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    Error, cgroup,
    figures::Figures,
    guest,
    parts::{self, Parts},
    plan::Plan,
    process::{Stamp, log_tail},
    run::{self, Run, State},
    say::{answer, say},
    supervise::{Event, STAY},
};

/// Brings a cluster up; whatever fails or interrupts it, nothing of it stays.
pub(crate) fn up(plan: Plan) -> Result<(), Error> {
    let begun = Instant::now();
    let stop = Stop::watch()?;
    check_machine()?;
    let parts = parts::provide(&plan)?;
    let built = begun.elapsed();
    stop.check()?;

    let run = Run::of(&plan.id);
    let machines = plan.machines(kernel_has_ipvs());
    if machines.iter().any(|machine| machine.guest) {
        guest::boot()?;
    }
    let state = {
        let lock = run::lock()?;
        run::sweep(&lock, Some(&run.id))?;
        if run.alive() {
            return Err(Error::Other(format!(
                "a lab `{id}` is there; `lab down --id {id}` first, or name another one by --id",
                id = run.id
            )));
        }
        if cgroup::exist(&run.id) {
            return Err(Error::Other(format!(
                "control groups kubectl-net-lab/{} are there and not of a lab below {}",
                run.id,
                run::root().display()
            )));
        }
        let state = State {
            owner: Stamp::own()?,
            supervisor: None,
            port: port(plan.port)?,
            plan,
            machines,
            versions: parts.versions.clone(),
        };
        fs::create_dir_all(&run.folder).map_err(Error::file(&run.folder))?;
        run.write_state(&state)?;
        state
    };
    let done = make(&run, state, &parts, &stop);
    match done {
        Ok(figures) => {
            say(&format!(
                "binaries and images: {:.1} s; from start to a working cluster: {:.1} s",
                built.as_secs_f64(),
                figures.start_seconds
            ));
            figures.lines().iter().for_each(|line| say(line));
            answer(&format!("export KUBECONFIG={}", run.kubeconfig().display()));
            Ok(())
        }
        Err(error) => {
            let stopped = matches!(error, Error::Stopped);
            let kept = if stopped { None } else { keep_logs(&run) };
            let lock = run::lock()?;
            run.remove()?;
            run::forget_folder(&lock);
            let Some(kept) = kept else { return Err(error) };
            let logs = run.path("logs").display().to_string();
            let said = error.to_string().replace(&logs, &kept.display().to_string());
            Err(Error::Other(format!("{said}\nall logs: {}", kept.display())))
        }
    }
}

fn make(run: &Run, mut state: State, parts: &Parts, stop: &Stop) -> Result<Figures, Error> {
    for folder in ["logs", "components", "machines"] {
        let folder = run.path(folder);
        fs::create_dir_all(&folder).map_err(Error::file(folder))?;
    }
    parts::bring(run, parts, &state.machines, state.port)?;
    stop.check()?;

    let mut supervisor = start(run)?;
    state.supervisor = Stamp::of(supervisor.id());
    run.write_state(&state)?;
    // only now may it read the state
    let events = events(&mut supervisor);
    let mut stdin = supervisor.stdin.take();
    if let Some(stdin) = &mut stdin {
        stdin.write_all(b"go\n").map_err(Error::file("the supervisor's stdin"))?;
    }
    let heard = listen(run, &mut supervisor, stdin, &events, stop);
    if heard.is_err() {
        // waited for here, so that nothing of it is left for this process's own parent
        let _ = supervisor.kill();
        let _ = supervisor.wait();
    }
    heard
}

/// Says what the supervisor has reached, until the cluster works.
fn listen(
    run: &Run,
    supervisor: &mut Child,
    mut stdin: Option<ChildStdin>,
    events: &mpsc::Receiver<Event>,
    stop: &Stop,
) -> Result<Figures, Error> {
    let begun = Instant::now();
    loop {
        stop.check()?;
        match events.recv_timeout(Duration::from_millis(100)) {
            Ok(Event::Step(what)) => say(&format!("{:>6.1} s  {what}", begun.elapsed().as_secs_f64())),
            Ok(Event::Failed(what)) => return Err(Error::Other(what)),
            Ok(Event::Ready(figures)) => {
                if let Some(stdin) = &mut stdin {
                    writeln!(stdin, "{STAY}").map_err(Error::file("the supervisor's stdin"))?;
                }
                return Ok(figures);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let log = run.path("logs/supervisor.log");
                let status = supervisor.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
                return Err(Error::Died {
                    component: "the supervisor".to_owned(),
                    status,
                    output: log_tail(&log, 15),
                    log,
                });
            }
        }
    }
}

/// In a session of its own, so that Ctrl-C here reaches only this process, which then ends it.
fn start(run: &Run) -> Result<Child, Error> {
    let log = run.path("logs/supervisor.log");
    let file = fs::File::create(&log).map_err(Error::file(&log))?;
    let exe = std::env::current_exe().map_err(Error::file("/proc/self/exe"))?;
    Command::new("setsid")
        .args(["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"])
        .arg(exe)
        .args(["supervise", &run.id])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(file)
        .spawn()
        .map_err(|e| Error::Start("setsid unshare".to_owned(), e))
}

fn events(supervisor: &mut Child) -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel();
    let stdout = supervisor.stdout.take();
    thread::spawn(move || {
        let lines = stdout.into_iter().flat_map(|out| BufReader::new(out).lines().map_while(Result::ok));
        for event in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Whether somebody asked to stop.
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn watch() -> Result<Self, Error> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(Error::file("a signal's handler"))?;
        }
        Ok(Self(flag))
    }

    fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }
}

fn check_machine() -> Result<(), Error> {
    crate::need_root()?;
    check_space(&run::root())?;
    cgroup::hierarchies().map(drop)
}

fn kernel_has_ipvs() -> bool {
    Path::new("/proc/net/ip_vs").exists()
        || Command::new("modprobe").arg("ip_vs").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The port that was asked for, or one that is free.
fn port(wanted: Option<u16>) -> Result<u16, Error> {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).and_then(|listener| listener.local_addr());
    free(wanted.unwrap_or(0))
        .map(|address| address.port())
        .map_err(|e| Error::Other(format!("127.0.0.1:{}: {e}; name another one by --port", wanted.unwrap_or(0))))
}

/// Images, containers, etcd and logs of a small cluster take less than this.
const WANTED_SPACE: u64 = 2 << 30;

/// A cluster on a full disk fails late and in odd ways.
fn check_space(folder: &Path) -> Result<(), Error> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let space = rustix::fs::statvfs(there).map_err(|e| Error::File(there.to_path_buf(), e.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free >= WANTED_SPACE {
        return Ok(());
    }
    let (free, wanted) = (free >> 20, WANTED_SPACE >> 20);
    Err(Error::Wants(format!(
        "{wanted} MB free at {}, where {free} MB are; NET_LAB_DIR names another place",
        there.display()
    )))
}

/// The logs of a run that failed, where its removal does not reach.
fn keep_logs(run: &Run) -> Option<std::path::PathBuf> {
    let kept = std::env::temp_dir().join(format!("kubectl-net-lab-{}-logs", run.id));
    // those of the failure before this one
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir(&kept).ok()?;
    for entry in fs::read_dir(run.path("logs")).ok()?.filter_map(Result::ok) {
        // as many as can be kept; the message holds the last lines of the one that counts
        let _ = fs::copy(entry.path(), kept.join(entry.file_name()));
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_named_with_the_way_out() {
        // a file system with no blocks at all
        let error = check_space(Path::new("/proc/kubectl-net-lab")).unwrap_err().to_string();
        assert!(error.contains("at /proc") && error.contains("NET_LAB_DIR"), "{error}");
    }

    #[test]
    fn a_port_that_somebody_has_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = taken.local_addr().unwrap().port();
        let error = port(Some(wanted)).unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{wanted}")) && error.contains("--port"), "{error}");
        assert_ne!(port(None).unwrap(), wanted);
    }
}
