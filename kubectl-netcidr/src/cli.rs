//! The command line.

use clap::{Args, Parser, Subcommand};
use plugin::{
    Failure, Plugin,
    args::{InputArgs, KubeArgs},
    complete::{CompletionArgs, Shell},
    exit::{ExitCode, FailOnArgs},
    print::{Out, OutputArgs},
};

use crate::answer;

/// Which address ranges does this cluster use, who says so, do they agree, and what is running out?
#[derive(Parser)]
#[command(
    name = "kubectl-netcidr",
    bin_name = "kubectl netcidr",
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
    pub(crate) outside: OutsideArgs,
    /// How many nodes the cluster is to grow to (an autoscaler's limit): CIDR-012 says whether its pod
    /// range has room for them
    #[arg(long, global = true, value_name = "COUNT")]
    pub(crate) max_nodes: Option<u64>,
    /// Ask the API server for its service ranges by creating a Service with dry-run: nothing is kept.
    /// For clusters where nothing else tells; needs the permission to create services
    #[arg(long, global = true)]
    pub(crate) probe_service_range: bool,
}

/// Networks outside the cluster.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OutsideArgs {
    /// A network outside the cluster (VPN, VPC, another cluster) that must not overlap: a range, or a
    /// file with a range and an optional name per line; repeatable
    #[arg(long, global = true, value_name = "CIDR|FILE")]
    pub(crate) external: Vec<String>,
    /// Another cluster whose ranges must not overlap, by its kubeconfig context; repeatable
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub(crate) external_context: Vec<String>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Every finding: sources that disagree, overlaps, ranges that run out
    Check,
    /// Per node: pod ranges, pods used and usable, maxPods, subnet.env, routes to the other nodes
    Nodes,
    /// Who has an address: pod, Service, node, load balancer, tunnel, a range, or nobody
    Whois {
        /// Addresses; without any, or with -, one per line from standard input
        #[arg(value_name = "IP")]
        addresses: Vec<String>,
    },
    /// Ranges to use next that overlap nothing known
    Free {
        /// Prefix length: /20
        #[arg(value_name = "/LENGTH")]
        length: String,
        /// How many
        #[arg(short, long, value_name = "COUNT", default_value_t = 1)]
        count: u16,
        /// Look only inside this range; repeatable
        #[arg(long, value_name = "CIDR")]
        within: Vec<String>,
    },
    /// A picture of the address space; -o svg for a file
    Map,
    /// Print a completion script
    Completion(CompletionArgs),
}

impl Plugin for Cli {
    const NAME: &'static str = "netcidr";

    fn output(&self) -> &OutputArgs {
        &self.output
    }

    fn extra_formats(&self) -> &'static [&'static str] {
        match self.command {
            Some(Command::Map) => &["svg"],
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
        answer::answer(&self, out).await
    }
}

const EXAMPLES: &str = "\
Examples:
  kubectl netcidr                                 every range with its sources and use
  kubectl netcidr -o wide                         each source's object and field
  kubectl netcidr check --external 10.8.0.0/16    findings, against the VPN's range too
  kubectl netcidr whois 10.96.0.10 10.244.1.7     who has these addresses
  kubectl netcidr free /20 -c 3                   three ranges to use next
  kubectl netcidr --from dump.tar.gz              the same on somebody else's dump";
