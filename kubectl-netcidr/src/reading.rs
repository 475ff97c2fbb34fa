//! One reading of a cluster: its facts, and the head that every report on it has.

use std::{collections::BTreeSet, sync::Arc};

use netcore::{
    cluster::{ReadStatus, resources, wire},
    finding::Unreadable,
    ranges::{Facts, Want, checks, probe_service::SOURCE},
    report::{API_VERSION, ClusterInfo, Report, Window},
};
use plugin::{
    Failure,
    args::{InputArgs, KubeArgs},
    cluster::{Cluster, ConnectError, Selection},
    exit::ExitCode,
    from::recording,
    print::{PrintError, Say},
    record::RecordError,
};

use crate::{cli::Cli, external, gather};

/// Why a question could not be answered at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Connect(#[from] ConnectError),
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
    /// Nodes that were asked for by name and are not there.
    pub(crate) missing: Vec<String>,
}

/// The nodes that a report shows.
enum Chosen {
    All,
    Named(BTreeSet<String>),
}

impl Chosen {
    fn has(&self, node: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(node),
        }
    }
}

impl Reading {
    /// Reads the cluster that the flags name.
    pub(crate) async fn of(cli: &Cli, input: &InputArgs, say: &Say) -> Result<Self, Error> {
        let mut reading = Self::connect(&cli.kube, input, cli.probe_service_range, say).await?;
        reading.facts.known.max_nodes = cli.max_nodes;
        external::add(&cli.outside.external, &mut reading.facts)?;
        for context in &cli.outside.external_context {
            let kube = KubeArgs { context: Some(context.clone()), ..cli.kube.clone() };
            let other = Self::connect(&kube, &InputArgs::default(), false, say).await?;
            external::add_cluster(context, &other.facts, &mut reading.facts);
        }
        Ok(reading)
    }

    async fn connect(kube: &KubeArgs, input: &InputArgs, probe: bool, say: &Say) -> Result<Self, Error> {
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
        let chosen = choose(&cluster, input).await?;
        let mut facts = gather::gather(&cluster, &|node| chosen.has(node), probe).await;
        if let Some(snapshot) = cluster.snapshot() {
            facts.unreadable.extend(snapshot.problems().iter().map(|problem| Unreadable {
                source: match problem.line {
                    Some(line) => format!("{}:{line}", problem.file),
                    None => problem.file.clone(),
                },
                node: None,
                reason: problem.what.clone(),
            }));
        }
        progress.end();
        if let Some(reason) = nothing_read(&facts) {
            return Err(match &input.from {
                Some(path) if reason == ReadStatus::NOT_RECORDED => Error::NoRanges(path.display().to_string()),
                _ => Error::Nothing(reason),
            });
        }
        let missing = missing(&chosen, &facts);
        let window = cluster.finish()?;
        let about = cluster.about();
        let info = ClusterInfo {
            context: about.context.clone(),
            server: about.server.clone(),
            version: facts.version.clone().or_else(|| about.version.clone()),
            uid: facts.known.cluster_uid.clone(),
            distribution: distribution(&facts),
        };
        Ok(Self { facts, cluster: info, window: window_of(window), chosen, missing })
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
        unreadable.extend(self.missing.iter().map(|node| Unreadable {
            source: format!("node {node}"),
            node: Some(node.clone()),
            reason: "asked for by name, not in the cluster".to_owned(),
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

/// Unknown times are null.
fn window_of(window: recording::Window) -> Window {
    let known = |time: String| (!time.is_empty()).then_some(time);
    Window { start: known(window.start), end: known(window.end) }
}

/// The nodes that `--node` and `--selector` name.
async fn choose(cluster: &Cluster, input: &InputArgs) -> Result<Chosen, Error> {
    let mut names: BTreeSet<String> = input.nodes.iter().cloned().collect();
    if let Some(selector) = &input.selector {
        let mut bad = None;
        let each = &mut |item: netcore::cluster::Item<'_>| match item.lean::<wire::Node>() {
            Ok(node) => names.extend(node.metadata.map(|metadata| metadata.name)),
            Err(error) => bad = Some(error.to_string()),
        };
        let status =
            cluster.list(&resources::NODES, Selection { labels: Some(selector), ..Selection::default() }, each).await;
        let failed = match status {
            ReadStatus::Complete => bad,
            ReadStatus::Absent => Some("the server has no nodes".to_owned()),
            ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason) => Some(reason),
        };
        if let Some(reason) = failed {
            return Err(Error::Usage(format!("nodes with `{selector}` could not be listed: {reason}")));
        }
        return Ok(Chosen::Named(names));
    }
    Ok(if names.is_empty() { Chosen::All } else { Chosen::Named(names) })
}

fn missing(chosen: &Chosen, facts: &Facts) -> Vec<String> {
    match chosen {
        Chosen::All => Vec::new(),
        Chosen::Named(names) => names.iter().filter(|name| !facts.nodes.contains_key(*name)).cloned().collect(),
    }
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
