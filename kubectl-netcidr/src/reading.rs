//! One reading of a cluster: its facts, and the head that every report on it has.

use std::{collections::BTreeSet, sync::Arc};

use netcore::{
    cluster::ReadStatus,
    finding::Unreadable,
    ranges::{Facts, Want, checks, probe_service::SOURCE},
    report::{API_VERSION, ClusterInfo, Report, Window},
};
use plugin::{
    Failure,
    args::{InputArgs, KubeArgs, NodeAccess},
    cluster::{Cluster, ConnectError},
    exit::ExitCode,
    nodes::{Chosen, NodeReader, NodesError, Unasked},
    print::{PrintError, Say},
    record::RecordError,
};

use crate::{
    cli::{Cli, Command},
    external, gather,
};

/// How many nodes are read for a report that can do without.
const UNASKED: usize = 50;

/// Why a question could not be answered at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Nodes(#[from] NodesError),
    #[error("--record {0}")]
    Record(#[from] RecordError),
    #[error("--external {0}: {1}")]
    External(String, String),
    #[error("nothing could be read: {0}")]
    Nothing(String),
    #[error(
        "{0}: nothing in it tells an address range; objects of a cluster, ip-route, ip-addr or subnet.env of a node may"
    )]
    NoRanges(String),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Print(#[from] PrintError),
    #[error("standard input: {0}")]
    Stdin(#[from] std::io::Error),
}

impl Error {
    /// The failure, with a hint where there is one.
    pub(crate) fn into_failure(self) -> Failure {
        match &self {
            // `| head` is no failure: the failure must see what happened, not what holds it.
            Self::Print(error) if error.is_broken_pipe() => Failure::from(self).code(ExitCode::BrokenPipe),
            Self::Connect(error) => match error.hint() {
                Some(hint) => Failure::from(self).hint(hint),
                None => Failure::from(self),
            },
            Self::Nothing(reason) if reason.starts_with("forbidden") => Failure::from(self)
                .hint("docs/rbac/netcidr.yaml has the role that reads everything; any part of it helps"),
            _ => Failure::from(self),
        }
    }
}

/// A cluster as it was read once.
pub(crate) struct Reading {
    pub(crate) facts: Facts,
    pub(crate) cluster: ClusterInfo,
    pub(crate) window: Window,
    chosen: Chosen,
    /// Nodes that were asked for by name and could not be read, and why.
    missing: Vec<(String, String)>,
    /// The reading of nodes was ended by Ctrl-C.
    interrupted: bool,
}

impl Reading {
    /// Reads the cluster that the flags name.
    pub(crate) async fn of(cli: &Cli, input: &InputArgs, say: &Say) -> Result<Self, Error> {
        let unasked = match cli.command {
            Some(Command::Nodes) => Unasked::All,
            _ => Unasked::AtMost(UNASKED),
        };
        let mut reading = Self::connect(&cli.kube, input, cli.probe_service_range, unasked, say).await?;
        reading.facts.known.max_nodes = cli.max_nodes;
        external::add(&cli.outside.external, &mut reading.facts)?;
        // only what it says of itself
        let others = InputArgs { node_access: NodeAccess::None, ..InputArgs::default() };
        for context in &cli.outside.external_context {
            let kube = KubeArgs { context: Some(context.clone()), ..cli.kube.clone() };
            let other = Self::connect(&kube, &others, false, unasked, say).await?;
            external::add_cluster(context, &other.facts, &mut reading.facts);
        }
        Ok(reading)
    }

    async fn connect(
        kube: &KubeArgs,
        input: &InputArgs,
        probe: bool,
        unasked: Unasked,
        say: &Say,
    ) -> Result<Self, Error> {
        let progress = say.progress();
        progress.start("reading the cluster", None);
        let mut cluster = Cluster::connect(kube, input).await?;
        if kube.verbosity >= 6 {
            let say = say.clone();
            cluster = cluster.traced(Arc::new(move |line| say.note(line)));
        }
        if let Some(snapshot) = cluster.snapshot() {
            for notice in snapshot.notices() {
                say.note(notice);
            }
        }
        let reader = Box::pin(NodeReader::open(&cluster, input, say, unasked)).await?;
        let gathered = Box::pin(gather::gather(&cluster, &reader, probe)).await;
        let (chosen, interrupted) = (reader.chosen().clone(), reader.was_interrupted());
        drop(reader);
        // whatever was read is recorded, also where it is not enough for a report
        let window = cluster.finish()?;
        let mut facts = gathered?;
        if let Some(snapshot) = cluster.snapshot() {
            facts.unreadable.extend(snapshot.unreadable());
        }
        progress.end();
        if let Some(reason) = nothing_read(&facts) {
            return Err(match &input.from {
                Some(path) if reason == ReadStatus::NOT_RECORDED => Error::NoRanges(path.display().to_string()),
                _ => Error::Nothing(reason),
            });
        }
        let missing = missing(&input.nodes, &facts);
        let about = cluster.about();
        let info = ClusterInfo {
            context: about.context.clone(),
            server: about.server.clone(),
            version: facts.version.clone().or_else(|| about.version.clone()),
            uid: facts.known.cluster_uid.clone(),
            distribution: distribution(&facts),
        };
        Ok(Self { facts, cluster: info, window, chosen, missing, interrupted })
    }

    /// Whether something that was asked for is missing.
    pub(crate) fn is_partial(&self) -> bool {
        self.interrupted || !self.missing.is_empty()
    }

    /// Whether a report shows this node.
    pub(crate) fn shows(&self, node: &str) -> bool {
        self.chosen.has(node)
    }

    /// A report on this reading, with every finding.
    pub(crate) fn report<Body>(&self, kind: &'static str, body: Body) -> Report<Body> {
        let (findings, not_checked) = checks::run(&self.facts);
        let mut unreadable = self.facts.unreadable.clone();
        unreadable.extend(not_checked);
        let listed = |node: &String| self.facts.unreadable.iter().any(|entry| entry.node.as_ref() == Some(node));
        unreadable.extend(self.missing.iter().filter(|(node, _)| !listed(node)).map(|(node, reason)| Unreadable {
            source: format!("node {node}"),
            node: Some(node.clone()),
            reason: reason.clone(),
        }));
        unreadable.sort();
        unreadable.dedup();
        Report {
            api_version: API_VERSION,
            kind,
            cluster: self.cluster.clone(),
            window: self.window.clone(),
            body,
            unreadable,
            findings,
        }
    }
}

/// Nodes that were asked for by name and could not be read: they are not there, or nothing of their
/// own could be read although it was to be.
fn missing(named: &[String], facts: &Facts) -> Vec<(String, String)> {
    let unread = |name: &String| {
        let own = |entry: &&Unreadable| entry.node.as_ref() == Some(name) && entry.source != "node";
        let reason = facts.unreadable.iter().find(own)?.reason.clone();
        let read = facts.known.networks.contains_key(name) || facts.known.subnet_envs.contains_key(name);
        (!read).then_some((name.clone(), reason))
    };
    let gone = |name: &String| {
        let reason = "asked for by name, not in the cluster".to_owned();
        (!facts.nodes.contains_key(name)).then_some((name.clone(), reason))
    };
    named.iter().filter_map(|name| gone(name).or_else(|| unread(name))).collect()
}

/// The reason where not one source could be read: then there is no report. That the server has a
/// version and a certificate says nothing about ranges.
fn nothing_read(facts: &Facts) -> Option<String> {
    let says_nothing = |want: &Want| match want {
        Want::Raw { path, .. } => path == "/version",
        want => *want == Want::ServingCertificate,
    };
    let read = |status: &ReadStatus| matches!(status, ReadStatus::Complete | ReadStatus::Partial(_));
    let probed = facts.ranges.iter().any(|range| range.origin.source == SOURCE);
    if probed || facts.reads.iter().any(|(want, status)| read(status) && !says_nothing(want)) {
        return None;
    }
    let nodes = facts.unreadable.iter().find(|unreadable| unreadable.source == "nodes");
    nodes.or_else(|| facts.unreadable.first()).map(|unreadable| unreadable.reason.clone())
}

/// The distribution, where all its signs name the same one.
fn distribution(facts: &Facts) -> Option<String> {
    let names: BTreeSet<&str> = facts.distributions.iter().map(|(name, _)| *name).collect();
    match names.len() {
        1 => names.first().map(|name| (*name).to_owned()),
        _ => None,
    }
}
