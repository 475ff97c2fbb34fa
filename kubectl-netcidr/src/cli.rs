//! The command line.

use clap::{Args, Parser, Subcommand};
use netcore::{
    cidr::{Cidr, parse_cidr},
    ranges::plan::Goal,
};
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
    /// The steps of a change of ranges: what each needs, does, shows and costs, and the way back; nothing
    /// is changed
    Plan(PlanArgs),
    /// A picture of the address space; -o svg for a file
    Map,
    /// Print a completion script
    Completion(CompletionArgs),
}

/// What is to be changed: one of these.
#[derive(Args, Clone, Debug)]
#[command(after_help = PLAN_EXAMPLES)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
    /// Print each step in full: its command, what must hold before, what is seen after, the way back
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct GoalArgs {
    /// One more range for Services (API server 1.33 or later)
    #[arg(long, value_name = "CIDR", value_parser = range)]
    pub(crate) service_add: Option<Cidr>,
    /// Other ranges for Services than the API servers were started with; one per family
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = range)]
    pub(crate) service_replace: Vec<Cidr>,
    /// A range that Services are to leave
    #[arg(long, value_name = "CIDR", value_parser = range)]
    pub(crate) service_retire: Option<Cidr>,
    /// A wider service range that holds the present one
    #[arg(long, value_name = "/LENGTH", value_parser = length)]
    pub(crate) service_grow: Option<u8>,
    /// Pods of a Calico pool to another range
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], value_parser = range)]
    pub(crate) pod_move: Vec<Cidr>,
    /// More room for pods: a wider range, or one more, as the network plugin has it
    #[arg(long, value_name = "CIDR", value_parser = range)]
    pub(crate) pod_grow: Option<Cidr>,
    /// Another pod range length for nodes that join
    #[arg(long, value_name = "/LENGTH", value_parser = length)]
    pub(crate) node_mask: Option<u8>,
    /// Another block size for Calico's pools
    #[arg(long, value_name = "/LENGTH", value_parser = length)]
    pub(crate) block_size: Option<u8>,
}

impl GoalArgs {
    /// The one that was given.
    pub(crate) fn goal(&self) -> Option<Goal> {
        let one = |cidr: Option<Cidr>, goal: fn(Cidr) -> Goal| cidr.map(goal);
        let many = |length: Option<u8>, goal: fn(u8) -> Goal| length.map(goal);
        one(self.service_add, Goal::ServiceAdd)
            .or_else(|| one(self.service_retire, Goal::ServiceRetire))
            .or_else(|| one(self.pod_grow, Goal::PodGrow))
            .or_else(|| many(self.service_grow, Goal::ServiceGrow))
            .or_else(|| many(self.node_mask, Goal::NodeMask))
            .or_else(|| many(self.block_size, Goal::BlockSize))
            .or_else(|| match self.pod_move[..] {
                [old, new] => Some(Goal::PodMove { old, new }),
                _ => None,
            })
            .or_else(|| (!self.service_replace.is_empty()).then(|| Goal::ServiceReplace(self.service_replace.clone())))
    }
}

/// A range as a change needs it: without bits beside the prefix, which would be a slip of the hand.
fn range(text: &str) -> Result<Cidr, String> {
    let written = parse_cidr(text).map_err(|error| error.to_string())?;
    match written.flaws.as_slice() {
        _ if !text.contains('/') => Err(format!("`{text}` has no prefix length; {text}/16 has one")),
        [] => Ok(written.cidr),
        _ => Err(format!("`{text}` is written in an odd way; {} is meant?", written.cidr)),
    }
}

/// `/20` or `20`.
pub(crate) fn length(text: &str) -> Result<u8, String> {
    let number = text.strip_prefix('/').unwrap_or(text).parse().ok().filter(|length| *length <= 128);
    number.ok_or_else(|| format!("`{text}` is no prefix length; /20 is one"))
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

const PLAN_EXAMPLES: &str = "\
Examples:
  kubectl netcidr plan --service-add 10.97.0.0/16            one more range for Services
  kubectl netcidr plan --service-grow /15 --explain          each step with its command
  kubectl netcidr plan --pod-move 10.244.0.0/16 10.60.0.0/16 Calico's pods to another range
  kubectl netcidr plan --node-mask /25 --from dump.tar.gz    on somebody else's dump

A plan changes nothing: it is printed, also with -o json. Refused plans exit 1 and say why.";

const EXAMPLES: &str = "\
Examples:
  kubectl netcidr                                 every range with its sources and use
  kubectl netcidr -o wide                         each source's object and field
  kubectl netcidr check --external 10.8.0.0/16    findings, against the VPN's range too
  kubectl netcidr whois 10.96.0.10 10.244.1.7     who has these addresses
  kubectl netcidr free /20 -c 3                   three ranges to use next
  kubectl netcidr plan --service-add 10.97.0.0/16 the steps to one more service range
  kubectl netcidr --from dump.tar.gz              the same on somebody else's dump";
