//! Protocols and their channels.

use std::net::{IpAddr, Ipv6Addr};

use crate::cidr::Cidr;

/// Who made Calico's BIRD peer with a host: the first part of the protocol's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKind {
    /// The mesh of all nodes.
    Mesh,
    /// A `BGPPeer` for this node.
    Node,
    /// A `BGPPeer` for all nodes.
    Global,
    /// A workload on this node.
    Local,
}

/// A number of routes, or a limit on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// Learnt.
    pub imported: Option<u64>,
    /// Learnt and refused.
    pub filtered: Option<u64>,
    /// Told.
    pub exported: Option<u64>,
    /// Learnt and best.
    pub preferred: Option<u64>,
}

/// A limit on routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `import`, `receive`, `export`.
    pub direction: String,
    /// The number.
    pub routes: u64,
    /// What happens above it: `disable`, `restart`, `block`, `warn`.
    pub action: String,
    /// Whether it was hit.
    pub hit: bool,
}

/// The routes of one family through one protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// `ipv4`, `ipv6`; empty in version 1, where a daemon has one family.
    pub name: String,
    /// `UP`, `DOWN`; empty in version 1.
    pub state: String,
    /// The table.
    pub table: String,
    /// The filter on what is learnt.
    pub input_filter: String,
    /// The filter on what is told.
    pub output_filter: String,
    /// How many routes.
    pub routes: RouteCounts,
    /// Limits.
    pub limits: Vec<Limit>,
}

/// A protocol: a BGP session, or a table's source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// `Mesh_172_18_0_3`, `kernel1`.
    pub name: String,
    /// `BGP`, `Kernel`, `Device`, ….
    pub kind: String,
    /// The table; empty where the version does not say.
    pub table: String,
    /// `up`, `start`, `down`.
    pub state: String,
    /// Since when, as printed: a time of today, or a date.
    pub since: String,
    /// What stands behind: `Established`, `Idle          BGP Error: Bad peer AS`.
    pub info: String,
    /// BGP's own state: `Established`, `Active`, `Passive`, ….
    pub bgp_state: Option<String>,
    /// The neighbour's address.
    pub neighbor: Option<IpAddr>,
    /// The neighbour's AS.
    pub neighbor_as: Option<u32>,
    /// The local AS.
    pub local_as: Option<u32>,
    /// The neighbour's router id.
    pub neighbor_id: Option<String>,
    /// The address that the session is from.
    pub source: Option<IpAddr>,
    /// The last error.
    pub last_error: Option<String>,
    /// Its channels; one without a name in version 1. None from `show protocols` without `all`.
    pub channels: Vec<Channel>,
    /// Its line, from 1.
    pub line: usize,
}

impl Protocol {
    /// Whether it is a BGP session.
    pub fn is_bgp(&self) -> bool {
        self.kind == "BGP"
    }

    /// Whether the session is up and routes flow.
    pub fn is_established(&self) -> bool {
        let state = self.bgp_state.as_deref().or_else(|| self.info.split_whitespace().next());
        self.is_bgp() && state == Some("Established")
    }

    /// Who made the session, and the peer's address: Calico's names say both.
    pub fn calico_peer(&self) -> Option<(PeerKind, Option<IpAddr>)> {
        let (kind, rest) = self.name.split_once('_')?;
        let kind = match kind {
            "Mesh" => PeerKind::Mesh,
            "Node" => PeerKind::Node,
            "Global" => PeerKind::Global,
            "Local" => PeerKind::Local,
            _ => return None,
        };
        Some((kind, address_in(rest.strip_prefix("Workload_").unwrap_or(rest))))
    }

    /// The routes of all channels together; none where no channel says.
    pub fn imported(&self) -> Option<u64> {
        sum(self.channels.iter().map(|channel| channel.routes.imported))
    }

    /// The routes that are told through all channels; none where no channel says.
    pub fn exported(&self) -> Option<u64> {
        sum(self.channels.iter().map(|channel| channel.routes.exported))
    }
}

fn sum(counts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    counts.flatten().fold(None, |sum: Option<u64>, count| Some(sum.unwrap_or(0).saturating_add(count)))
}

/// `172_18_0_3`, `2001_20__8`, also with a port behind: the dots and colons are underscores.
fn address_in(text: &str) -> Option<IpAddr> {
    let parts: Vec<&str> = text.split('_').collect();
    if let [a, b, c, d, ..] = parts.as_slice()
        && let Ok(ip) = format!("{a}.{b}.{c}.{d}").parse()
        && (parts.len() == 4 || (parts.len() == 6 && parts.get(4) == Some(&"port")))
    {
        return Some(IpAddr::V4(ip));
    }
    text.replace('_', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// One way of one route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerRoute {
    /// Where to.
    pub destination: Option<Cidr>,
    /// `unicast`, `blackhole`, `unreachable`, `prohibit`.
    pub kind: String,
    /// The neighbours: none for a route on the link.
    pub via: Vec<IpAddr>,
    /// The interfaces.
    pub devices: Vec<String>,
    /// The protocol that it came from.
    pub protocol: String,
    /// Since when, as printed.
    pub since: String,
    /// The router that told of it, where that is not the neighbour.
    pub from: Option<IpAddr>,
    /// Whether it is the best of its destination.
    pub best: bool,
    /// Its preference.
    pub preference: Option<u32>,
    /// The AS path, from `all`.
    pub as_path: Option<String>,
    /// BGP's next hop, from `all`.
    pub next_hop: Option<IpAddr>,
    /// Its line, from 1.
    pub line: usize,
}

/// What one daemon says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bird {
    /// `1.6.8`, `v0.3.3+birdv1.6.8`, `2.0.7`.
    pub version: Option<String>,
    /// `Router ID is …`.
    pub router_id: Option<String>,
    /// Protocols, in the order of the text.
    pub protocols: Vec<Protocol>,
    /// Routes, in the order of the text.
    pub routes: Vec<PeerRoute>,
}
