//! The command line.

use clap::{Parser, Subcommand};
use plugin::{
    Failure, Plugin,
    args::{InputArgs, KubeArgs},
    complete::{CompletionArgs, Shell},
    exit::{ExitCode, FailOnArgs},
    print::{Out, OutputArgs},
    question::Error,
};

use crate::{bgp, compare, conf, migrate, rules, status, trace};

/// Which network plugin, how does it forward, what does a packet cost
#[derive(Parser)]
#[command(name = "kubectl-cni", bin_name = "kubectl cni", version)]
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
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// kube-proxy's chain lengths beside Calico's sets: rules per new connection, and how they grow; -o svg for a picture
    Compare(compare::CompareArgs),
    /// The readable `iptables -L`: chains as a tree, with names beside the hashes
    Rules(rules::RulesArgs),
    /// Every rule that a packet meets, hook by hook, and the verdict
    Trace(trace::TraceArgs),
    /// BIRD and BGP: sessions, and who announces and learns which block
    Bgp(bgp::BgpArgs),
    /// The CNI configuration files of each node, and which one the runtime picks
    Conf(conf::ConfArgs),
    /// From one network plugin to another, step by step (not here yet)
    Migrate(migrate::MigrateArgs),
    /// Print a completion script
    Completion(CompletionArgs),
}

impl Plugin for Cli {
    const NAME: &'static str = "cni";

    fn output(&self) -> &OutputArgs {
        &self.output
    }

    fn extra_formats(&self) -> &'static [&'static str] {
        match &self.command {
            Some(Command::Compare(_)) => &["svg"],
            _ => &[],
        }
    }

    fn completion(&self) -> Option<Shell> {
        match &self.command {
            Some(Command::Completion(args)) => Some(args.shell),
            _ => None,
        }
    }

    async fn run(self, out: &mut Out) -> Result<ExitCode, Failure> {
        let code = match &self.command {
            None => status::status(&self, out).await,
            Some(Command::Compare(args)) => compare::compare(&self, args, out).await,
            Some(Command::Rules(args)) => rules::rules(&self, args, out).await,
            Some(Command::Trace(args)) => trace::trace(&self, args, out).await,
            Some(Command::Bgp(args)) => bgp::bgp(&self, args, out).await,
            Some(Command::Conf(args)) => conf::conf(&self, args, out).await,
            Some(Command::Migrate(args)) => migrate::migrate(args),
            // printed before anything is run
            Some(Command::Completion(_)) => Ok(ExitCode::Done),
        };
        code.map_err(Error::into_failure::<Self>)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
