//! What is done with a lab that is there: `status`, `exec`, `kubectl`, `down`; and the same for suites.

use std::{
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, ExitCode, Output},
};

use crate::{
    Error, guest, machine, need_root,
    plan::Machine,
    process::output,
    run::{self, Component, Run, State},
    say::{answer, say},
};

/// A lab that runs.
#[derive(Debug)]
pub struct Lab {
    run: Run,
    state: State,
}

impl Lab {
    /// The lab of this name; an error where none of that name runs.
    pub fn open(id: &str) -> Result<Self, Error> {
        let run = Run::of(id);
        let state = run.state().filter(|_| run.runs());
        let state = state.ok_or_else(|| Error::Other(format!("no lab `{id}` runs; there are {}", known())))?;
        Ok(Self { run, state })
    }

    /// The kubeconfig of its administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.run.kubeconfig()
    }

    /// The API server's address on this machine.
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.state.port)
    }

    /// Its folder: `pki`, `logs`, `bin`.
    pub fn folder(&self) -> PathBuf {
        self.run.folder.clone()
    }

    /// Its nodes.
    pub fn nodes(&self) -> &[Machine] {
        &self.state.machines
    }

    /// Program and arguments of a component as it was started: `control/kube-apiserver`, `node1/kubelet`.
    pub fn argv(&self, component: &str) -> Option<Vec<String>> {
        self.run.components().into_iter().find(|other| other.name == component).map(|found| found.argv)
    }

    /// Runs a command on a node (or on `control`) to its end.
    pub fn exec(&self, node: &str, argv: &[&str]) -> Result<Output, Error> {
        output(&mut self.command(node, argv)?, b"")
    }

    fn command(&self, node: &str, argv: &[&str]) -> Result<Command, Error> {
        if self.state.machines.iter().any(|machine| machine.guest && machine.name == node) {
            let folder = guest::node::folder(&self.run, node);
            return Ok(guest::command(&machine::program()?, &folder, argv));
        }
        let supervisor = self.state.supervisor.map(|stamp| stamp.pid);
        let pid = supervisor.and_then(|pid| machine::pid(&self.run, node, pid));
        let pid = pid.ok_or_else(|| {
            let names: Vec<&str> = self.state.machines.iter().map(|machine| machine.name.as_str()).collect();
            Error::Other(format!("no node `{node}`; there are {}, and control", names.join(", ")))
        })?;
        machine::command(&self.run.id, node, pid, argv)
    }
}

fn known() -> String {
    let ids: Vec<String> = Run::all().unwrap_or_default().into_iter().filter(Run::runs).map(|run| run.id).collect();
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}

/// The lab that is meant: the named one, else the only one.
fn which(id: Option<&str>) -> Result<Lab, Error> {
    if let Some(id) = id {
        return Lab::open(id);
    }
    let mut running = Run::all()?.into_iter().filter(Run::runs);
    match (running.next(), running.next()) {
        (Some(run), None) => Lab::open(&run.id),
        (None, _) => Err(Error::Other("no lab runs; `lab up` makes one".to_owned())),
        _ => Err(Error::Other(format!("several labs run ({}); name one by --id", known()))),
    }
}

/// Runs a command on a node, with this terminal and its exit code.
pub(crate) fn exec(id: Option<&str>, node: &str, argv: &[String]) -> Result<ExitCode, Error> {
    need_root()?;
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let error = which(id)?.command(node, &argv)?.exec();
    Err(Error::Start("nsenter".to_owned(), error))
}

/// Runs kubectl, with this terminal and its exit code.
pub(crate) fn kubectl(id: Option<&str>, args: &[String]) -> Result<ExitCode, Error> {
    let lab = which(id)?;
    let program = lab.run.path("bin/kubectl");
    let error = Command::new(&program).env("KUBECONFIG", lab.kubeconfig()).args(args).exec();
    Err(Error::Start(program.display().to_string(), error))
}

/// Runs calicoctl, with this terminal and its exit code.
pub(crate) fn calicoctl(id: Option<&str>, args: &[String]) -> Result<ExitCode, Error> {
    let lab = which(id)?;
    let program = lab.run.path("bin/calicoctl");
    let mut command = Command::new(&program);
    command.env("DATASTORE_TYPE", "kubernetes").env("KUBECONFIG", lab.kubeconfig());
    let error = command.args(args).exec();
    Err(Error::Start(program.display().to_string(), error))
}

/// Ends labs; where none is named, the only one. What dead ones left goes in any case.
pub(crate) fn down(id: Option<&str>, all: bool) -> Result<(), Error> {
    need_root()?;
    let lock = run::lock()?;
    let swept = run::sweep(&lock, id)?;
    let there: Vec<Run> = Run::all()?;
    let meant: Vec<Run> = match id {
        Some(id) if there.iter().any(|run| run.id == id) => vec![Run::of(id)],
        Some(id) if swept.iter().any(|other| other == id) => Vec::new(),
        Some(id) => return Err(Error::Other(format!("no lab `{id}`; there are {}", known()))),
        None if all || there.len() < 2 => there,
        None => return Err(Error::Other(format!("several labs run ({}); name one by --id, or --all", known()))),
    };
    for run in &meant {
        run.remove()?;
        say(&format!("the lab `{}` is gone", run.id));
    }
    if meant.is_empty() && swept.is_empty() {
        say("no lab is there");
    }
    run::forget_folder(&lock);
    Ok(())
}

/// Prints the labs, their nodes, and what has died.
pub(crate) fn status() -> Result<(), Error> {
    let all = Run::all()?;
    if all.is_empty() {
        answer("no lab is there");
    }
    for run in all {
        let Some(state) = run.state() else {
            answer(&format!("{}: left over; the next `up` or `down` sweeps it", run.id));
            continue;
        };
        let how = match (run.runs(), run.path("figures.json").exists()) {
            (true, true) => "up",
            (true, false) => "coming up",
            (false, _) if run.alive() => "being prepared",
            (false, _) => "dead; the next `up` or `down` sweeps it",
        };
        answer(&format!(
            "{}: {how}, Kubernetes {}, {:?}, KUBECONFIG={}",
            run.id,
            state.versions.kubernetes,
            state.plan.cni,
            run.kubeconfig().display()
        ));
        for node in &state.machines {
            let kind = if node.guest { "guest" } else { "namespaces" };
            answer(&format!("  {:<10} {:<14} {:<8} {kind}", node.name, node.v4().to_string(), node.proxy.name()));
        }
        let components: Vec<Component> =
            run.components().into_iter().filter(|component| !component.errand || component.ended.is_some()).collect();
        let dead: Vec<&Component> = components.iter().filter(|component| component.ended.is_some()).collect();
        answer(&format!("  {} components, {} dead", components.len(), dead.len()));
        for component in dead {
            let ended = component.ended.as_deref().unwrap_or_default();
            answer(&format!("  {} died: {ended}; its log: {}", component.name, component.log.display()));
        }
    }
    Ok(())
}
