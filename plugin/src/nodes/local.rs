//! Commands on this host, also in a network namespace of it.

use std::{ffi::OsString, path::PathBuf, process::Stdio};

use tokio::process::Command;

use super::{
    error::{Ran, RunError},
    exec::no_program,
};
use crate::cluster::plain_words;

/// This host.
#[derive(Clone, Debug, Default)]
pub(super) struct Local {
    /// The network namespace, where it is not the host's own.
    pub(super) network: Option<PathBuf>,
}

/// By what a Node object names a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    machine: String,
    boot: String,
}

impl Identity {
    /// This host's own; empty where it has none, as on other systems than Linux.
    pub(super) fn of_this_host() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let machine = match read("/etc/machine-id") {
            empty if empty.is_empty() => read("/var/lib/dbus/machine-id"),
            id => id,
        };
        Self { machine, boot: read("/proc/sys/kernel/random/boot_id") }
    }

    /// Whether a Node's `machineID` and `bootID` are these. Clones of one image share the first, and
    /// containers of one host the second: it takes both.
    pub(super) fn is(&self, machine: &str, boot: &str) -> bool {
        !self.machine.is_empty() && !self.boot.is_empty() && self.machine == machine && self.boot == boot
    }
}

impl Local {
    /// Runs a command here; a run that is given up is killed.
    pub(super) async fn run(&self, argv: &[String]) -> Result<Ran, RunError> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(network) = &self.network {
            let mut net = OsString::from("--net=");
            net.push(network);
            words.extend(["nsenter".into(), net, "--".into()]);
        }
        words.extend(argv.iter().map(OsString::from));
        let Some((program, arguments)) = words.split_first() else { return Err(RunError::NoProgram) };
        let mut command = Command::new(program);
        // administrators' tools are not on everybody's search path
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        path.push(":/usr/sbin:/sbin:/usr/local/sbin");
        command.args(arguments).env_clear().env("PATH", path).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = match command.output().await {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(RunError::NoProgram),
            Err(error) => return Err(RunError::Refused(plain_words(&error.to_string()))),
        };
        let Some(code) = output.status.code() else {
            return Err(RunError::Refused(format!("the command was ended by a {}", output.status)));
        };
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        // nsenter's own way to say it
        if no_program(code, &stderr) || (code == 127 && self.network.is_some()) {
            return Err(RunError::NoProgram);
        }
        Ok(Ran { stdout: output.stdout, stderr, code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_this_host_only_by_both_ids() {
        let here = Identity { machine: "m".to_owned(), boot: "b".to_owned() };
        assert!(here.is("m", "b"));
        assert!(!here.is("m", "other"), "a clone of the same image");
        assert!(!here.is("other", "b"), "a container of the same host");
        assert!(!Identity::default().is("", ""), "nobody knows");
    }

    fn run(argv: &[&str]) -> Result<Ran, RunError> {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Local::default().run(&argv))
    }

    #[test]
    fn streams_and_exit_code_are_kept_apart() {
        let ran = run(&["sh", "-c", "echo out; echo err >&2; exit 3"]).unwrap();
        assert_eq!((ran.stdout.as_slice(), ran.stderr.as_str(), ran.code), (&b"out\n"[..], "err\n", 3));
        assert_eq!(run(&["no-such-program-here"]), Err(RunError::NoProgram));
    }
}
