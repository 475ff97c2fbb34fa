//! `BgpReport`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::Serialize;

use super::blocks::{NodeView, ways};
use crate::{
    bird::{PeerKind, Protocol},
    cni::{Kind, facts::Facts, reading::Reading},
    probe::UNNAMED,
};

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionRow {
    /// The peer's address.
    pub peer: String,
    /// The node that has it; null for a router outside, or where that is not known.
    pub node: Option<String>,
    /// The peer's AS.
    #[serde(rename = "as")]
    pub asn: Option<u32>,
    /// `mesh`, `node`, `global`, `workload`, `other`.
    pub kind: &'static str,
    /// `Established`, `Active`, `Idle`, `Passive`, …; BIRD's own word where there is none.
    pub state: String,
    /// Since when, as BIRD prints it: a time of today, or a date.
    pub since: Option<String>,
    /// Routes learnt.
    pub imported: Option<u64>,
    /// Routes learnt and refused.
    pub filtered: Option<u64>,
    /// Routes told.
    pub exported: Option<u64>,
    /// The last error.
    pub error: Option<String>,
    #[serde(skip)]
    pub(super) address: IpAddr,
    #[serde(skip)]
    pub(super) established: bool,
}

impl SessionRow {
    /// Whether routes flow.
    pub const fn is_established(&self) -> bool {
        self.established
    }
}

/// A block, and how far it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BlockRow {
    /// Its range.
    pub cidr: String,
    /// The node that has it.
    pub origin: String,
    /// Whether that node's kernel has a route of it; null where its routes were not read.
    pub in_origins_kernel: Option<bool>,
    /// Whether that node's BIRD has it to tell.
    pub announced: Option<bool>,
    /// Whether it tells it: somebody learnt it, or nobody is told anything; null where neither is known.
    pub exported: Option<bool>,
    /// Nodes whose BIRD learnt it.
    pub learnt_by: Vec<String>,
    /// Nodes whose kernel has a route to it.
    pub in_kernel_of: Vec<String>,
    /// The hops where it is lost, and for whom.
    pub breaks: Vec<String>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BgpNode {
    /// Name; `-` for files that name none.
    pub name: String,
    /// Its AS.
    #[serde(rename = "as")]
    pub asn: Option<u32>,
    /// BIRD's version.
    pub version: Option<String>,
    /// BIRD's router id.
    pub router_id: Option<String>,
    /// It reflects routes: its id of the cluster of reflectors.
    pub reflector: Option<String>,
    /// Where its sessions were read: `birdcl`, `CalicoNodeStatus`; null where they were not.
    pub source: Option<&'static str>,
    /// Sessions.
    pub sessions: Vec<SessionRow>,
    /// Nodes of the mesh that it has no session with.
    pub missing: Vec<String>,
    /// Its blocks.
    pub blocks: Vec<BlockRow>,
}

/// The report's own fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BgpReport {
    /// Calico's backend: `bird`, `vxlan`, `none`; null where it is not known, or Calico is not there.
    pub backend: Option<String>,
    /// Calico's own word for the kind of installation.
    pub cluster_type: Option<String>,
    /// The AS of nodes that have none of their own.
    #[serde(rename = "as")]
    pub asn: Option<u32>,
    /// Whether every node is to have a session with every other; null where it is not known.
    pub mesh: Option<bool>,
    /// Which of `as` and `mesh` nothing that was read sets: they are what Calico does then.
    pub defaults: Vec<&'static str>,
    /// Sessions that a mesh of these nodes has.
    pub mesh_sessions: Option<u64>,
    /// `BGPPeer` objects.
    pub peers: Vec<String>,
    /// Each node.
    pub nodes: Vec<BgpNode>,
}

/// Calico's AS where none is set.
const DEFAULT_AS: u32 = 64512;
const REFLECTOR: &str = "projectcalico.org/RouteReflectorClusterID";

/// The addresses by which a node is peered with.
pub(super) fn addresses_of(facts: &Facts, name: &str) -> Vec<IpAddr> {
    let Some(node) = facts.nodes.get(name) else { return Vec::new() };
    let told = ["projectcalico.org/IPv4Address", "projectcalico.org/IPv6Address"].iter();
    let told = told.filter_map(|key| node.annotations.get(*key)?.split('/').next()?.parse().ok());
    told.chain(node.addresses.iter().copied()).collect()
}

/// The report; `shows` picks nodes, all are looked at.
pub fn report(facts: &Facts, shows: &dyn Fn(&str) -> bool) -> BgpReport {
    let value = |name: &'static str| facts.value(Kind::Calico, name).or_else(|| facts.value(Kind::Canal, name));
    let backend =
        value("CALICO_NETWORKING_BACKEND").or_else(|| value("calico_backend")).map(str::to_owned).or_else(|| {
            let birds = facts.readings.values().any(|reading| !reading.birds.is_empty());
            match value("bgp") {
                Some("Enabled") => Some("bird".to_owned()),
                Some("Disabled") => Some("none".to_owned()),
                _ => birds.then(|| "bird".to_owned()),
            }
        });
    let bird = backend.as_deref() == Some("bird");
    let calico = facts.settings.keys().any(|(kind, _)| matches!(kind, Kind::Calico | Kind::Canal));
    let mesh = match value("nodeToNodeMeshEnabled") {
        Some(text) => Some(text == "true"),
        // Calico's default, where nothing else was set and BGP is on
        None => (bird && calico).then_some(true),
    };
    let mut by_address: BTreeMap<IpAddr, String> = BTreeMap::new();
    for name in facts.nodes.keys() {
        by_address.extend(addresses_of(facts, name).into_iter().map(|address| (address, name.clone())));
    }
    let mut names: BTreeSet<&str> =
        facts.nodes.iter().filter(|(_, node)| !node.is_windows()).map(|(name, _)| name.as_str()).collect();
    names.extend(facts.readings.iter().filter(|(_, reading)| !reading.birds.is_empty()).map(|(name, _)| name.as_str()));
    names.extend(facts.bgp.statuses.keys().map(String::as_str));
    let told: Option<u32> = value("asNumber").and_then(|text| text.parse().ok());
    let asn = told.or_else(|| (bird && calico).then_some(DEFAULT_AS));
    let mut defaults = Vec::new();
    if told.is_none() && asn.is_some() {
        defaults.push("as");
    }
    if mesh.is_some() && value("nodeToNodeMeshEnabled").is_none() {
        defaults.push("mesh");
    }
    let mut nodes: Vec<BgpNode> = names.iter().map(|name| node(facts, name, asn, &by_address)).collect();
    if mesh == Some(true) && bird {
        let all: Vec<(String, Vec<IpAddr>, bool)> = nodes
            .iter()
            .map(|node| (node.name.clone(), addresses_of(facts, &node.name), node.reflector.is_some()))
            .collect();
        for node in
            nodes.iter_mut().filter(|node| node.source.is_some() && node.reflector.is_none() && node.name != UNNAMED)
        {
            let has = |addresses: &[IpAddr]| node.sessions.iter().any(|session| addresses.contains(&session.address));
            let others = all
                .iter()
                .filter(|(name, addresses, reflector)| *name != node.name && !reflector && !addresses.is_empty());
            node.missing = others.filter(|(_, addresses, _)| !has(addresses)).map(|(name, ..)| name.clone()).collect();
        }
    }
    let empty = Reading::default();
    let views: Vec<NodeView<'_>> = nodes
        .iter()
        .map(|node| NodeView {
            name: names.get(node.name.as_str()).copied().unwrap_or_default(),
            reading: facts.readings.get(&node.name).unwrap_or(&empty),
            sessions: &node.sessions,
        })
        .collect();
    let mut blocks: BTreeMap<String, Vec<BlockRow>> =
        ways(facts, &views, bird).into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect();
    drop(views);
    for node in &mut nodes {
        node.blocks = blocks.remove(&node.name).unwrap_or_default();
    }
    // blocks of nodes that are gone
    for (name, rows) in blocks {
        nodes.push(BgpNode { name, blocks: rows, ..BgpNode::default() });
    }
    nodes.retain(|node| node.name == UNNAMED || shows(&node.name));
    let many = facts.nodes.len() as u64;
    BgpReport {
        backend,
        cluster_type: value("cluster_type").or_else(|| value("CLUSTER_TYPE")).map(str::to_owned),
        asn,
        mesh,
        defaults,
        mesh_sessions: (mesh == Some(true) && many > 0).then(|| many * (many - 1) / 2),
        peers: facts.bgp.peers.values().map(|peer| peer.title.clone()).collect(),
        nodes,
    }
}

fn node(facts: &Facts, name: &str, asn: Option<u32>, by_address: &BTreeMap<IpAddr, String>) -> BgpNode {
    let annotation = |key: &str| facts.nodes.get(name).and_then(|node| node.annotations.get(key)).cloned();
    let birds = facts.readings.get(name).map(|reading| reading.birds.as_slice()).unwrap_or_default();
    let from_birds = birds.iter().flat_map(|bird| &bird.protocols).filter(|protocol| protocol.is_bgp());
    let mut protocols: Vec<&Protocol> = from_birds.collect();
    let mut source = (!birds.is_empty()).then_some("birdcl");
    if protocols.is_empty()
        && let Some(told) = facts.bgp.statuses.get(name)
    {
        protocols = told.iter().collect();
        source = Some("CalicoNodeStatus");
    }
    let mut sessions: Vec<SessionRow> = Vec::new();
    for protocol in protocols {
        let calico = protocol.calico_peer();
        let Some(address) = protocol.neighbor.or_else(|| calico.and_then(|(_, address)| address)) else { continue };
        // the same daemon may have been asked twice: with details counts
        if let Some(known) = sessions.iter_mut().find(|known| known.address == address) {
            if known.exported.is_none() {
                *known = session(protocol, address, by_address);
            }
            continue;
        }
        sessions.push(session(protocol, address, by_address));
    }
    sessions.sort_by_key(|session| session.address);
    let own = annotation("projectcalico.org/ASNumber").and_then(|text| text.parse().ok());
    let said = || birds.iter().flat_map(|bird| &bird.protocols).find_map(|protocol| protocol.local_as);
    BgpNode {
        name: name.to_owned(),
        asn: own.or_else(said).or(asn),
        version: birds.iter().find_map(|bird| bird.version.clone()),
        router_id: birds.iter().find_map(|bird| bird.router_id.clone()),
        reflector: annotation(REFLECTOR).filter(|id| !id.is_empty()),
        source,
        sessions,
        missing: Vec::new(),
        blocks: Vec::new(),
    }
}

fn session(protocol: &Protocol, address: IpAddr, by_address: &BTreeMap<IpAddr, String>) -> SessionRow {
    let kind = match protocol.calico_peer().map(|(kind, _)| kind) {
        Some(PeerKind::Mesh) => "mesh",
        Some(PeerKind::Node) => "node",
        Some(PeerKind::Global) => "global",
        Some(PeerKind::Local) => "workload",
        None => "other",
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut words = protocol.info.split_whitespace();
    let state = protocol.bgp_state.clone().or_else(|| words.next().map(str::to_owned));
    let error = protocol.last_error.clone().or_else(|| {
        let rest = protocol.info.split_once(char::is_whitespace).map(|(_, rest)| rest.trim())?;
        some(rest)
    });
    let sum = protocol
        .channels
        .iter()
        .filter_map(|channel| channel.routes.filtered)
        .fold(None, |sum: Option<u64>, count| Some(sum.unwrap_or(0) + count));
    SessionRow {
        peer: address.to_string(),
        node: by_address.get(&address).cloned(),
        asn: protocol.neighbor_as,
        kind,
        state: state.unwrap_or_else(|| protocol.state.clone()),
        since: some(&protocol.since),
        imported: protocol.imported(),
        filtered: sum,
        exported: protocol.exported(),
        error,
        address,
        established: protocol.is_established(),
    }
}
