//! The flags that every plugin has: kubectl's own, and where its input comes from.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::duration::GoDuration;

/// kubectl's global flags, with kubectl's meaning.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub struct KubeArgs {
    /// The kubeconfig file to use instead of $KUBECONFIG and ~/.kube/config
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,

    /// The kubeconfig context to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// The kubeconfig cluster to use
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,

    /// The kubeconfig user to use
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,

    /// The namespace to look in
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Look in all namespaces, whatever --namespace says
    #[arg(short = 'A', long, global = true)]
    pub all_namespaces: bool,

    /// Address and port of the API server
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<String>,

    /// Bearer token for the API server
    #[arg(long, global = true, value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// The user to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,

    /// A group to impersonate; repeatable
    #[arg(long, global = true, value_name = "GROUP")]
    pub as_group: Vec<String>,

    /// The uid to impersonate
    #[arg(long, global = true, value_name = "UID")]
    pub as_uid: Option<String>,

    /// File with the certificates of the authority that signed the API server's certificate
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub certificate_authority: Option<PathBuf>,

    /// File with the client certificate
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub client_certificate: Option<PathBuf>,

    /// File with the client certificate's key
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub client_key: Option<PathBuf>,

    /// Do not check the API server's certificate: the connection can then be intercepted
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub insecure_skip_tls_verify: Option<bool>,

    /// The name that the API server's certificate must have, instead of the host in its URL
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,

    /// How long one request to the API server may take (10s, 1m30s; a bare number is seconds); 0 is
    /// no limit
    #[arg(long, global = true, value_name = "DURATION", default_value = "0", value_parser = GoDuration::timeout)]
    pub request_timeout: GoDuration,

    /// How much to say on stderr about what is done; from 6 on, every request
    #[arg(short = 'v', long = "v", global = true, value_name = "LEVEL", default_value_t = 0)]
    pub verbosity: u8,
}

/// Where the input comes from, and which nodes are read how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Read files instead of a cluster: a recording, or a file, folder or tar of Kubernetes objects
    /// and node output; - is standard input
    #[arg(long, global = true, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub from: Option<PathBuf>,

    /// Write what was read to a folder that --from reads again; no secrets
    #[arg(long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub record: Option<PathBuf>,

    /// Show what changed since a recording
    #[arg(long, global = true, value_name = "RECORDING", value_hint = clap::ValueHint::AnyPath)]
    pub since: Option<PathBuf>,

    /// A node to read; repeatable
    #[arg(long = "node", global = true, value_name = "NAME")]
    pub nodes: Vec<String>,

    /// Label selector of the nodes to read
    #[arg(short = 'l', long, global = true, value_name = "SELECTOR")]
    pub selector: Option<String>,

    /// How to read nodes: auto is local on a node itself, else exec into a pod that runs there
    /// already; debug creates a pod (needs --allow-debug-pods)
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value_t)]
    pub node_access: NodeAccess,

    /// Allow short-lived pods on the nodes to read them with: asks on a terminal; with a COUNT, on at
    /// most so many nodes without asking
    #[arg(long, global = true, value_name = "COUNT", num_args = 0..=1, require_equals = true, default_missing_value = "ask")]
    pub allow_debug_pods: Option<DebugPodsAllowed>,

    /// The image of those pods
    #[arg(long, global = true, value_name = "IMAGE")]
    pub debug_image: Option<String>,

    /// How long the reading of one node may take
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s")]
    pub node_timeout: GoDuration,

    /// How many nodes are read at once
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub parallel: u16,

    /// The network namespace in which local commands are run: for tests
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    pub local_netns: Option<PathBuf>,
}

impl Default for InputArgs {
    fn default() -> Self {
        Self {
            from: None,
            record: None,
            since: None,
            nodes: Vec::new(),
            selector: None,
            node_access: NodeAccess::default(),
            allow_debug_pods: None,
            debug_image: None,
            node_timeout: GoDuration(std::time::Duration::from_secs(10)),
            parallel: 16,
            local_netns: None,
        }
    }
}

/// Whether debug pods may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugPodsAllowed {
    /// After a question on the terminal.
    Ask,
    /// On so many nodes at most, unasked.
    UpTo(usize),
}

impl std::str::FromStr for DebugPodsAllowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ask" => Ok(Self::Ask),
            count => count.parse().map(Self::UpTo).map_err(|_| "must be a number of nodes, such as 3".to_owned()),
        }
    }
}

/// How nodes are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NodeAccess {
    /// This host where it is the node, else exec.
    #[default]
    Auto,
    /// This host.
    Local,
    /// A command in a pod that runs on the node already.
    Exec,
    /// A short-lived pod.
    Debug,
    /// Not at all.
    None,
}

/// `--dry-run` of the verbs that write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Really write.
    #[default]
    None,
    /// Print what would be sent.
    Client,
    /// Send it, and have the server check it without keeping it.
    Server,
}

/// `--dry-run`, to flatten into a verb that writes.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct DryRunArgs {
    /// Only print what would be written (client), or have the server check it (server)
    #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client", default_value_t)]
    pub dry_run: DryRun,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        kube: KubeArgs,
        #[command(flatten)]
        input: InputArgs,
        #[command(flatten)]
        dry_run: DryRunArgs,
        #[command(subcommand)]
        command: Option<Sub>,
    }

    #[derive(clap::Subcommand)]
    enum Sub {
        Check,
    }

    fn parse(args: &[&str]) -> Cli {
        Cli::try_parse_from(std::iter::once(&"kubectl-x").chain(args)).unwrap()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_spelled_as_kubectl_spells_them() {
        let cli = parse(&[
            "--kubeconfig=/k",
            "--context",
            "c",
            "--cluster=cl",
            "--user=u",
            "-n",
            "kube-system",
            "-A",
            "-s",
            "https://h:1",
            "--token=t",
            "--as=a",
            "--as-group=g1",
            "--as-group=g2",
            "--as-uid=7",
            "--certificate-authority=/ca",
            "--client-certificate=/cc",
            "--client-key=/ck",
            "--insecure-skip-tls-verify",
            "--tls-server-name=n",
            "--request-timeout=5",
            "-v=6",
        ]);
        assert_eq!(cli.kube.as_group, ["g1", "g2"]);
        assert_eq!(cli.kube.namespace.as_deref(), Some("kube-system"));
        assert_eq!(cli.kube.insecure_skip_tls_verify, Some(true));
        assert_eq!(cli.kube.request_timeout.limit(), Some(std::time::Duration::from_secs(5)));
        assert_eq!(cli.kube.verbosity, 6);
        assert!(cli.kube.all_namespaces);
        assert_eq!(parse(&["--insecure-skip-tls-verify=false"]).kube.insecure_skip_tls_verify, Some(false));
        assert_eq!(parse(&["--v", "3"]).kube.verbosity, 3);
    }

    #[test]
    fn flags_may_stand_after_the_subcommand() {
        let cli = parse(&["check", "--from", "dump", "-n", "x", "--node=a", "--node", "b", "--node-access=none"]);
        assert!(matches!(cli.command, Some(Sub::Check)));
        assert_eq!(cli.input.nodes, ["a", "b"]);
        assert_eq!(cli.input.node_access, NodeAccess::None);
        assert_eq!(cli.kube.namespace.as_deref(), Some("x"));
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let cli = parse(&[]);
        let default = InputArgs::default();
        assert_eq!(cli.input.node_timeout, default.node_timeout);
        assert_eq!(cli.input.node_timeout.to_string(), "10s");
        assert_eq!((cli.input.parallel, default.parallel), (16, 16));
        assert_eq!(cli.input.node_access, NodeAccess::Auto);
        assert_eq!(cli.kube.request_timeout.limit(), None);
    }

    #[test]
    fn a_bare_dry_run_is_the_clients() {
        assert_eq!(parse(&[]).dry_run.dry_run, DryRun::None);
        assert_eq!(parse(&["--dry-run"]).dry_run.dry_run, DryRun::Client);
        assert_eq!(parse(&["--dry-run=server"]).dry_run.dry_run, DryRun::Server);
    }
}
