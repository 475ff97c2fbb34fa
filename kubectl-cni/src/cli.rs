//! The command line of `kubectl cni`. What it will do is listed; nothing of it is here yet, and every
//! command says so.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use plugin::{
    Failure, Plugin,
    complete::{CompletionArgs, Shell},
    exit::ExitCode,
    print::{Out, OutputArgs},
};

/// Which network plugin, how does it forward, what does a packet cost (not here yet)
#[derive(Parser)]
#[command(name = "kubectl-cni", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    output: OutputArgs,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// kube-proxy's chain lengths beside Calico's sets: rules per new connection (not here yet)
    Compare(Anything),
    /// The readable `iptables -L`: chains as a tree, with names beside the hashes (not here yet)
    Rules(Anything),
    /// Every rule that a packet meets, hook by hook, and the verdict (not here yet)
    Trace(Anything),
    /// BIRD and BGP: sessions, and who announces and learns which block (not here yet)
    Bgp(Anything),
    /// The CNI configuration files of each node, and which one the runtime picks (not here yet)
    Conf(Anything),
    /// From one network plugin to another, step by step (not here yet)
    Migrate(Anything),
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
            Self::Compare(_) => "compare",
            Self::Rules(_) => "rules",
            Self::Trace(_) => "trace",
            Self::Bgp(_) => "bgp",
            Self::Conf(_) => "conf",
            Self::Migrate(_) => "migrate",
            Self::Completion(_) => "completion",
        }
    }
}

impl Plugin for Cli {
    const NAME: &'static str = "cni";

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
        let asked = self.command.map(|command| format!(" {}", command.name())).unwrap_or_default();
        Err(Failure::new(format!("kubectl cni{asked} is not here yet: this version has no answer and changes nothing")))
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
