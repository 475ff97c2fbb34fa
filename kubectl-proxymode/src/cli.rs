//! The command line of `kubectl proxymode`. What it will do is listed; nothing of it is here yet, and
//! every command says so.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use plugin::{
    Failure, Plugin,
    complete::{CompletionArgs, Shell},
    exit::ExitCode,
    print::{Out, OutputArgs},
};

/// What mode is kube-proxy in, really, and switch it safely (not here yet)
#[derive(Parser)]
#[command(name = "kubectl-proxymode", version)]
pub(crate) struct Cli {
    /// Switch kube-proxy to a mode: ipvs, iptables or nftables (not here yet)
    #[arg(long, value_name = "MODE")]
    set: Option<String>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// What a mode would break, per node and per Service (not here yet)
    Preflight(Anything),
    /// Undoes the last switch that was not undone (not here yet)
    Rollback(Anything),
    /// Which Service address goes to which pods on each node, in any mode (not here yet)
    Services(Anything),
    /// Kernel state against `EndpointSlices`: missing, stale, wrong, leftover (not here yet)
    Verify(Anything),
    /// What a mode that is not running left behind (not here yet)
    Cleanup(Anything),
    /// The IPVS scheduling algorithms, and whether every node has them (not here yet)
    Schedulers(Anything),
    /// The completion script of a shell
    Completion(CompletionArgs),
}

/// Whatever follows: there is no telling what is right before the command is here.
#[derive(Args)]
struct Anything {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Preflight(_) => "preflight",
            Self::Rollback(_) => "rollback",
            Self::Services(_) => "services",
            Self::Verify(_) => "verify",
            Self::Cleanup(_) => "cleanup",
            Self::Schedulers(_) => "schedulers",
            Self::Completion(_) => "completion",
        }
    }
}

impl Plugin for Cli {
    const NAME: &'static str = "proxymode";

    fn output(&self) -> &OutputArgs {
        &self.output
    }

    fn completion(&self) -> Option<Shell> {
        match &self.command {
            Some(Command::Completion(args)) => Some(args.shell),
            _ => None,
        }
    }

    async fn run(self, _: &mut Out) -> Result<ExitCode, Failure> {
        let asked = match (&self.command, &self.set) {
            (Some(command), _) => format!(" {}", command.name()),
            (None, Some(_)) => " --set".to_owned(),
            (None, None) => String::new(),
        };
        Err(Failure::new(format!(
            "kubectl proxymode{asked} is not here yet: this version has no answer and changes nothing"
        )))
    }
}

#[cfg(test)]
mod tests {
    use plugin::{exit::ExitCode, print::OutputArgs};

    use super::*;

    fn answered(words: &[&str]) -> Result<ExitCode, Failure> {
        let argv = std::iter::once("kubectl").chain(words.iter().copied()).map(OsString::from);
        let cli = plugin::parse::<Cli>(argv).expect("every command is read");
        let (mut out, captured) = Out::captured(&OutputArgs::default(), false);
        let mut run = std::pin::pin!(cli.run(&mut out));
        let waker = std::task::Waker::noop();
        let std::task::Poll::Ready(result) = run.as_mut().poll(&mut std::task::Context::from_waker(waker)) else {
            panic!("nothing to wait for")
        };
        assert_eq!(captured.stdout(), "", "no half answer");
        result
    }

    #[test]
    fn every_command_says_that_it_is_not_here_yet() {
        let command = plugin::command::<Cli>();
        for name in command.get_subcommands().map(clap::Command::get_name).filter(|name| *name != "completion") {
            let failure = answered(&[name, "--any", "thing", "-x"]).unwrap_err();
            assert!(format!("{failure:?}").contains(&format!(" {name} is not here yet")), "{name}");
            assert!(format!("{failure:?}").contains("Unanswered"), "{name}");
        }
        assert!(answered(&[]).is_err());
    }

    #[test]
    fn help_marks_every_command() {
        let help = plugin::parse::<Cli>(["kubectl", "--help"].map(OsString::from)).err().unwrap().to_string();
        let words: Vec<&str> = help.split_whitespace().collect();
        let marked = words.join(" ").matches("(not here yet)").count();
        let commands = plugin::command::<Cli>().get_subcommands().count();
        assert!(marked >= commands, "{help}");
        assert!(help.contains("Usage: kubectl "), "{help}");
    }
}
