//! Reading nodes: the closed list of `netcore::probe`, from this host, from pods that run on a node
//! anyhow, from pods made for it, or from files; callers need not know which.

mod debug_pod;
mod error;
mod exec;
mod find;
mod forward;
mod local;
mod read;
mod seat;
mod snapshot;
mod sweep;

use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
    io::IsTerminal as _,
    time::SystemTime,
};

use netcore::probe::Probe;
use tokio::sync::OnceCell;

use crate::{
    args::{DebugPodsAllowed, InputArgs, NodeAccess},
    cluster::Cluster,
    print::Say,
};
use debug_pod::DebugPods;
use find::Target;
use local::{Identity, Local};
use read::Shared;
use seat::Seat;

/// What one probe gave on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAnswer {
    /// The node; none where a file's node is not known, or no node was read at all.
    pub node: Option<String>,
    /// What was read.
    pub probe: Probe,
    /// Where it stands, for evidence: `nodes/node1/subnet.env`, or a file of `--from`.
    pub file: String,
    /// What it gave.
    pub outcome: Outcome,
}

/// What a probe gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was printed; bytes that are no UTF-8 are replaced.
    Text(String),
    /// The node does not have it, and why that is known.
    Absent(String),
    /// Nothing that can be asked on the node sees it, and why: it may be there or not.
    Unseen(String),
    /// It could not be read, and why.
    Unreadable(String),
}

/// How many nodes a command reads that were not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// All: the command is about nodes.
    All,
    /// At most so many: the command can do without, and a large cluster's nodes take minutes. A
    /// `--node`, a selector or a `--node-access` other than auto asks for them.
    AtMost(usize),
}

/// Why nodes cannot be read as the command line says.
#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    /// The nodes that a selector means are not known.
    #[error("nodes with `{selector}` could not be listed: {reason}")]
    Selector {
        /// The selector.
        selector: String,
        /// Why.
        reason: String,
    },
    /// Files have no pods.
    #[error(
        "--node-access {0} needs a live cluster; with --from, nodes are read from the files, or with local from this host"
    )]
    Offline(&'static str),
    /// Pods are only made where that is allowed.
    #[error("--node-access debug makes a short-lived pod on each node; allow it with --allow-debug-pods")]
    DebugNotAllowed,
    /// The number was not confirmed.
    #[error("{nodes} debug pods were not confirmed; without a terminal, --allow-debug-pods={nodes} does")]
    NotConfirmed {
        /// How many pods would be made.
        nodes: usize,
    },
    /// More than were allowed.
    #[error("{nodes} debug pods are needed and --allow-debug-pods={allowed} allows fewer")]
    TooMany {
        /// How many pods would be made.
        nodes: usize,
        /// How many were allowed.
        allowed: usize,
    },
    /// This host is no node, and is not told to be one.
    #[error(
        "--node-access local: this host is none of the cluster's nodes; name the one that it is to be taken for with --node"
    )]
    NotANode,
}

/// Which nodes a run is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// All.
    All,
    /// Those of `--node` and `--selector`.
    Named(BTreeSet<String>),
}

impl Chosen {
    /// Whether a node is among them.
    pub fn has(&self, node: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(node),
        }
    }
}

/// Reads nodes as the command line says.
pub struct NodeReader<'a> {
    cluster: &'a Cluster,
    input: &'a InputArgs,
    say: &'a Say,
    chosen: Chosen,
    /// The nodes that are read, those that are not Ready last; or why that is not known.
    targets: Result<Vec<Target>, String>,
    how: How,
    here: Identity,
    unasked: Unasked,
    agents: OnceCell<Result<HashMap<String, Vec<Seat>>, String>>,
    debug: OnceCell<DebugPods>,
    shared: Shared,
    interrupted: Cell<bool>,
}

/// Where answers come from.
#[derive(Clone, Debug)]
enum How {
    /// Files.
    Snapshot,
    /// Nowhere, and why.
    Nowhere(String),
    /// This host where it is the node, else pods; or all in one of these ways.
    Live { here: Here, away: Away },
}

/// What is read on this host.
#[derive(Clone, Debug)]
enum Here {
    Nothing,
    /// The node that this host is by its ids.
    Known,
    /// The one that it is taken for, whatever its ids.
    Taken(Option<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Nothing,
    Exec,
    Debug,
}

impl<'a> NodeReader<'a> {
    /// Finds out which nodes there are and how they are to be read. Nothing is run yet.
    ///
    /// # Errors
    /// Where the flags ask for what cannot be done.
    pub async fn open(
        cluster: &'a Cluster,
        input: &'a InputArgs,
        say: &'a Say,
        unasked: Unasked,
    ) -> Result<Self, NodesError> {
        let access = input.node_access;
        if cluster.is_offline() && matches!(access, NodeAccess::Exec | NodeAccess::Debug) {
            return Err(NodesError::Offline(if access == NodeAccess::Exec { "exec" } else { "debug" }));
        }
        if access == NodeAccess::Debug && input.allow_debug_pods.is_none() {
            return Err(NodesError::DebugNotAllowed);
        }
        let live = !cluster.is_offline() && access != NodeAccess::None;
        let mut names: BTreeSet<String> = input.nodes.iter().cloned().collect();
        let mut known = None;
        if let Some(selector) = &input.selector {
            let found = find::nodes(cluster, Some(selector)).await;
            let found = found.map_err(|reason| NodesError::Selector { selector: selector.clone(), reason })?;
            names.extend(found.into_iter().map(|node| node.name));
        }
        let chosen = if names.is_empty() && input.selector.is_none() { Chosen::All } else { Chosen::Named(names) };
        if live || access == NodeAccess::Local {
            known = Some(find::nodes(cluster, None).await);
        }
        let targets = match (known, &chosen) {
            (None, _) => Ok(Vec::new()),
            (Some(Ok(nodes)), chosen) => Ok(nodes.into_iter().filter(|node| chosen.has(&node.name)).collect()),
            // whoever may not list nodes may still read the one that is named
            (Some(Err(_)), Chosen::Named(names)) => Ok(names.iter().map(|name| Target::named(name)).collect()),
            (Some(Err(reason)), Chosen::All) => Err(reason),
        };
        let here = Identity::of_this_host();
        let how = how(cluster, input, targets.as_deref().unwrap_or_default(), &here)?;
        let targets = targets.map(|mut targets: Vec<Target>| {
            targets.sort_by(|a, b| (!a.ready, &a.name).cmp(&(!b.ready, &b.name)));
            targets
        });
        Ok(Self {
            cluster,
            input,
            say,
            chosen,
            targets,
            how,
            here,
            unasked,
            agents: OnceCell::new(),
            debug: OnceCell::new(),
            shared: Shared::default(),
            interrupted: Cell::new(false),
        })
    }

    /// Reads one node through this pod of it (JSON) and no other, whatever the flags say: for somebody
    /// who has just seen the pod come up.
    ///
    /// # Errors
    /// In words, where the text is no pod.
    pub fn of_pod(
        cluster: &'a Cluster,
        input: &'a InputArgs,
        say: &'a Say,
        node: &str,
        pod: &[u8],
    ) -> Result<Self, String> {
        let seats = seat::seats(pod).map_err(|error| error.to_string())?.map(|(_, seats)| seats).unwrap_or_default();
        Ok(Self {
            cluster,
            input,
            say,
            chosen: Chosen::Named(BTreeSet::from([node.to_owned()])),
            targets: Ok(vec![Target::named(node)]),
            how: How::Live { here: Here::Nothing, away: Away::Exec },
            here: Identity::of_this_host(),
            unasked: Unasked::All,
            agents: OnceCell::new_with(Some(Ok(HashMap::from([(node.to_owned(), seats)])))),
            debug: OnceCell::new(),
            shared: Shared::default(),
            interrupted: Cell::new(false),
        })
    }

    /// Which nodes the run is about.
    pub fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    /// Whether the reading was ended by Ctrl-C: what was read is there, and the rest is missing.
    pub fn was_interrupted(&self) -> bool {
        self.interrupted.get()
    }

    /// Whether nodes are read from files.
    fn network(&self) -> Local {
        Local { network: self.input.local_netns.clone() }
    }

    /// Makes sure that debug pods may be made, once per run.
    async fn debug_pods(&self, nodes: usize) -> Result<&DebugPods, NodesError> {
        let open = async {
            self.confirm(nodes)?;
            let pods = DebugPods::new(self.cluster.client().clone(), self.input.debug_image.clone());
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            match pods.sweep(i64::try_from(now).unwrap_or(i64::MAX)).await {
                Ok(0) => {}
                Ok(swept) => self.say.note(format!("{swept} debug pods of earlier runs were taken away")),
                Err(error) => self.say.warning(format!("debug pods of earlier runs could not be looked for: {error}")),
            }
            Ok(pods)
        };
        self.debug.get_or_try_init(|| open).await
    }

    fn confirm(&self, nodes: usize) -> Result<(), NodesError> {
        let pods = if nodes == 1 {
            "a short-lived pod on 1 node".to_owned()
        } else {
            format!("short-lived pods on {nodes} nodes")
        };
        match self.input.allow_debug_pods {
            None => Err(NodesError::DebugNotAllowed),
            Some(DebugPodsAllowed::UpTo(allowed)) if nodes > allowed => Err(NodesError::TooMany { nodes, allowed }),
            Some(DebugPodsAllowed::UpTo(_)) => Ok(()),
            Some(DebugPodsAllowed::Ask) if !std::io::stdin().is_terminal() => Err(NodesError::NotConfirmed { nodes }),
            Some(DebugPodsAllowed::Ask) => {
                let question =
                    format!("This makes {pods}, in {}, and takes them away again. Go on?", debug_pod::NAMESPACE);
                if self.say.asks(&question) { Ok(()) } else { Err(NodesError::NotConfirmed { nodes }) }
            }
        }
    }
}

fn how(cluster: &Cluster, input: &InputArgs, targets: &[Target], here: &Identity) -> Result<How, NodesError> {
    let is_here = |node: &&Target| here.is(&node.machine_id, &node.boot_id);
    Ok(match input.node_access {
        NodeAccess::None => How::Nowhere("not asked for: --node-access none".to_owned()),
        NodeAccess::Local => {
            let known = targets.iter().find(is_here).map(|node| node.name.clone());
            let taken = match (known, input.nodes.as_slice()) {
                (Some(known), _) => Some(known),
                (None, [node]) => Some(node.clone()),
                // files may hold no nodes at all
                (None, _) if cluster.is_offline() => None,
                (None, _) => return Err(NodesError::NotANode),
            };
            How::Live { here: Here::Taken(taken), away: Away::Nothing }
        }
        NodeAccess::Auto if cluster.is_offline() => How::Snapshot,
        NodeAccess::Auto if targets.iter().any(|node| is_here(&node)) => {
            How::Live { here: Here::Known, away: Away::Exec }
        }
        NodeAccess::Auto | NodeAccess::Exec => How::Live { here: Here::Nothing, away: Away::Exec },
        NodeAccess::Debug => How::Live { here: Here::Nothing, away: Away::Debug },
    })
}
