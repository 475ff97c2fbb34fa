//! The command line.

use clap::{Args, Parser, Subcommand};
use netcore::proxy::Mode;
use plugin::{
    Failure, Plugin,
    args::{DryRunArgs, InputArgs, KubeArgs},
    complete::{CompletionArgs, Shell},
    duration::GoDuration,
    exit::{ExitCode, FailOnArgs},
    print::{Out, OutputArgs},
    question::Error,
};

use crate::{cleanup, preflight, schedulers, services, status, switch, verify};

/// What mode is kube-proxy in, really: configured and effective, with the evidence, per node
#[derive(Parser)]
#[command(
    name = "kubectl-proxymode",
    bin_name = "kubectl proxymode",
    version,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) kube: KubeArgs,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) fail_on: FailOnArgs,
    #[command(flatten)]
    pub(crate) switch: SwitchArgs,
}

/// `--set MODE`, and how.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Switching")]
pub(crate) struct SwitchArgs {
    /// Switch kube-proxy to this mode (iptables, ipvs or nftables), node by node, each verified; a node
    /// that fails makes it go back
    #[arg(long, value_name = "MODE", value_parser = Mode::of_linux)]
    pub(crate) set: Option<Mode>,
    /// The algorithm of ipvs mode; `kubectl proxymode schedulers` lists them
    #[arg(long, value_name = "NAME", requires = "set")]
    pub(crate) scheduler: Option<String>,
    /// The node that is switched first
    #[arg(long, value_name = "NODE", requires = "set")]
    pub(crate) canary: Option<String>,
    /// How many nodes are switched at a time after the canary
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "set", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: u16,
    /// How long to wait between two batches
    #[arg(long, value_name = "DURATION", default_value = "0s", requires = "set")]
    pub(crate) pause: GoDuration,
    /// How long one node may take
    #[arg(long, value_name = "DURATION", default_value = "5m", requires = "set")]
    pub(crate) timeout: GoDuration,
    /// Do not ask
    #[arg(long, requires = "set")]
    pub(crate) yes: bool,
    /// Go against this finding of the preflight; repeatable
    #[arg(long = "override", value_name = "ID", requires = "set")]
    pub(crate) overrides: Vec<String>,
    #[command(flatten)]
    pub(crate) dry_run: DryRunArgs,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// What a mode would break, per node and per Service
    Preflight(preflight::PreflightArgs),
    /// Which Service address goes to which pods on each node, in any mode
    Services(services::ServicesArgs),
    /// Kernel state against EndpointSlices: missing, stale, wrong, leftover
    Verify(verify::VerifyArgs),
    /// The IPVS scheduling algorithms: what each does, its module, and whether every node has it
    Schedulers,
    /// Undo the last switch that was not undone
    Rollback(switch::RollbackArgs),
    /// What a mode that is not running left behind, and the commands that remove it
    Cleanup(cleanup::CleanupArgs),
    /// Print a completion script
    Completion(CompletionArgs),
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

    async fn run(self, out: &mut Out) -> Result<ExitCode, Failure> {
        let code = match (&self.command, self.switch.set) {
            (Some(_), Some(_)) => Err(Error::Usage("--set stands alone, not together with a subcommand".to_owned())),
            (None, Some(mode)) => switch::set(&self, mode, out).await,
            (None, None) => status::status(&self, out).await,
            (Some(Command::Preflight(args)), None) => preflight::preflight(&self, args, out).await,
            (Some(Command::Services(args)), None) => services::services(&self, args, out).await,
            (Some(Command::Verify(args)), None) => verify::verify(&self, args, out).await,
            (Some(Command::Schedulers), None) => schedulers::schedulers(&self, out).await,
            (Some(Command::Rollback(args)), None) => switch::rollback(&self, args, out).await,
            (Some(Command::Cleanup(args)), None) => cleanup::cleanup(&self, args, out).await,
            // printed before anything is run
            (Some(Command::Completion(_)), None) => Ok(ExitCode::Done),
        };
        code.map_err(Error::into_failure::<Self>)
    }
}

const EXAMPLES: &str = "\
Examples:
  kubectl proxymode                        each node's mode, with what shows it, and what is wrong
  kubectl proxymode -o wide                every sign of every node
  kubectl proxymode preflight nftables     what would break, per node and per Service
  kubectl proxymode services dns/kube-dns  where a Service's address leads on each node
  kubectl proxymode verify --node node-3   its rules against the EndpointSlices
  kubectl proxymode --from dump.tar.gz     the same on somebody else's dump";

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::CommandFactory;

    use super::*;

    fn parsed(words: &[&str]) -> Result<Cli, clap::Error> {
        plugin::parse::<Cli>(std::iter::once("kubectl-proxymode").chain(words.iter().copied()).map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_a_switch_need_the_switch() {
        let cli = parsed(&["--set", "ipvs", "--scheduler", "rr", "--batch=3", "--override", "PREFLIGHT-003"]).unwrap();
        assert_eq!((cli.switch.set, cli.switch.batch), (Some(Mode::Ipvs), 3));
        assert_eq!(cli.switch.timeout.to_string(), "5m0s");
        for words in [&["--batch=3"][..], &["--scheduler=rr"], &["--yes"], &["--set=kernelspace"], &["--set"]] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
        assert!(parsed(&["preflight", "iptables"]).is_ok() && parsed(&["preflight", "userspace"]).is_err());
    }
}
