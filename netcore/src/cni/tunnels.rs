//! What lies below a node's routes into a VXLAN: for each other end a neighbour with a link address,
//! and for that a place to send it to. Either missing, and packets are lost without a word.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use super::{
    facts::Facts,
    mtu::{Encapsulation, tunnels},
    reading::Reading,
};
use crate::route::RouteKind;

/// A tunnel of a node: how it wraps, and the routes into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TunnelRow {
    /// The link.
    pub link: String,
    /// `vxlan`, `ipip`, `wireguard`, `geneve`, `udp`.
    pub encapsulation: &'static str,
    /// Its MTU.
    pub mtu: u32,
    /// The link below.
    pub below: Option<String>,
    /// The largest packet that fits the link below when it is wrapped; null where that link's MTU is
    /// not known.
    pub fits: Option<u32>,
    /// Routes into it.
    pub routes: usize,
    /// Other ends that have no neighbour entry; null where neighbours were not read.
    pub without_neighbour: Option<Vec<String>>,
    /// Other ends whose link address is sent nowhere; null where the forwarding database was not read.
    pub without_fdb: Option<Vec<String>>,
    /// Other ends that are sent to an address of no node: `10.244.1.0 → 10.9.9.9`; null where it is
    /// not known.
    pub astray: Option<Vec<String>>,
}

impl Encapsulation {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Wireguard => "wireguard",
            Self::Udp => "udp",
        }
    }
}

/// A node's tunnels.
pub fn of_node(facts: &Facts, node: &str, reading: &Reading) -> Vec<TunnelRow> {
    let own: Vec<IpAddr> = facts.nodes.get(node).map(|node| node.addresses.clone()).unwrap_or_default();
    tunnels(reading, &own)
        .into_iter()
        .map(|tunnel| {
            let ends = ends(reading, &tunnel.link);
            let mut row = TunnelRow {
                fits: tunnel.fits(),
                encapsulation: tunnel.encapsulation.name(),
                mtu: tunnel.mtu,
                below: tunnel.below.as_ref().map(|(name, _)| name.clone()),
                routes: ends.values().sum(),
                without_neighbour: None,
                without_fdb: None,
                astray: None,
                link: tunnel.link,
            };
            // Cilium's tunnels are steered by its programs, not by tables
            if tunnel.encapsulation == Encapsulation::Vxlan && !row.link.starts_with("cilium") {
                below(facts, reading, ends.keys().copied(), &mut row);
            }
            row
        })
        .collect()
}

/// The neighbours that routes into a link name, and how many routes each has.
fn ends(reading: &Reading, link: &str) -> BTreeMap<IpAddr, usize> {
    let mut found = BTreeMap::new();
    for route in reading.routes.iter().flatten().filter(|route| route.kind == RouteKind::Unicast) {
        for hop in route.next_hops.iter().filter(|hop| hop.dev.as_deref() == Some(link)) {
            if let Some(via) = hop.via {
                *found.entry(via).or_insert(0) += 1;
            }
        }
    }
    found
}

fn below(facts: &Facts, reading: &Reading, ends: impl Iterator<Item = IpAddr>, row: &mut TunnelRow) {
    let Some(neighbours) = &reading.neighbours else { return };
    let known: BTreeMap<IpAddr, &str> = neighbours
        .iter()
        .filter(|neighbour| neighbour.dev == row.link)
        .filter(|neighbour| !neighbour.states.iter().any(|state| matches!(state.as_str(), "FAILED" | "INCOMPLETE")))
        .filter_map(|neighbour| Some((neighbour.address, neighbour.link_address.as_deref()?)))
        .collect();
    let fdb: Option<BTreeMap<String, IpAddr>> = reading.fdb.as_ref().map(|entries| {
        let own = entries.iter().filter(|entry| entry.dev == row.link);
        own.filter_map(|entry| Some((entry.mac.to_ascii_lowercase(), entry.dst?))).collect()
    });
    let nodes = node_addresses(facts);
    let (mut silent, mut nowhere, mut astray) = (Vec::new(), Vec::new(), Vec::new());
    for end in ends {
        let Some(mac) = known.get(&end) else {
            silent.push(end.to_string());
            continue;
        };
        let Some(fdb) = &fdb else { continue };
        match fdb.get(&mac.to_ascii_lowercase()) {
            None => nowhere.push(format!("{end} ({mac})")),
            Some(to) if !nodes.is_empty() && !nodes.contains(to) => astray.push(format!("{end} → {to}")),
            Some(_) => {}
        }
    }
    row.without_neighbour = Some(silent);
    row.without_fdb = fdb.is_some().then_some(nowhere);
    row.astray = (fdb.is_some() && !nodes.is_empty()).then_some(astray);
}

/// Every address that a node is reached at; empty where one node does not tell any.
fn node_addresses(facts: &Facts) -> std::collections::BTreeSet<IpAddr> {
    let mut found = std::collections::BTreeSet::new();
    for node in facts.nodes.values() {
        let annotated = node
            .annotations
            .iter()
            .filter(|(key, _)| key.contains("public-ip") || key.contains("IPv4Address") || key.contains("IPv6Address"));
        let annotated = annotated.filter_map(|(_, value)| value.split('/').next()?.parse().ok());
        let own: Vec<IpAddr> = node.addresses.iter().copied().chain(annotated).collect();
        if own.is_empty() {
            return std::collections::BTreeSet::new();
        }
        found.extend(own);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Probe;

    const LINKS: &str = "2: eth0: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP\n    inet 172.31.77.2/24 scope global eth0\n\
        3: flannel.1: <BROADCAST,UP> mtu 1450 qdisc noqueue state UNKNOWN\n    vxlan id 1 local 172.31.77.2 dev eth0 srcport 0 0 dstport 8472 nolearning\n";
    const ROUTES: &str = "10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink\n\
        10.244.3.0/24 via 10.244.3.0 dev flannel.1 onlink\n10.244.0.0/24 dev cni0 proto kernel scope link src 10.244.0.1\n";
    const NEIGHBOURS: &str = "10.244.1.0 dev flannel.1 lladdr 02:00:00:00:00:01 PERMANENT\n10.244.2.0 dev flannel.1 lladdr 02:00:00:00:00:02 PERMANENT\n\
        10.244.3.0 dev flannel.1 FAILED\n";
    const FDB: &str = "02:00:00:00:00:01 dev flannel.1 dst 172.31.77.9 self permanent\n";

    fn row(fdb: Option<&str>) -> TunnelRow {
        let mut facts = Facts::default();
        for address in ["172.31.77.2", "172.31.77.3"] {
            let node = super::super::facts::Node { addresses: vec![address.parse().unwrap()], ..Default::default() };
            facts.nodes.insert(address.to_owned(), node);
        }
        for (probe, text) in [(Probe::Addresses, LINKS), (Probe::Routes, ROUTES), (Probe::Neighbours, NEIGHBOURS)] {
            facts.take_probe(Some("172.31.77.2"), probe, text, "x");
        }
        if let Some(fdb) = fdb {
            facts.take_probe(Some("172.31.77.2"), Probe::Fdb, fdb, "x");
        }
        of_node(&facts, "172.31.77.2", &facts.readings["172.31.77.2"]).remove(0)
    }

    #[test]
    fn each_end_needs_a_neighbour_and_a_place_to_go() {
        let row = row(Some(FDB));
        assert_eq!((row.routes, row.mtu, row.fits), (3, 1450, Some(1450)));
        assert_eq!(row.without_neighbour.unwrap(), ["10.244.3.0"]);
        assert_eq!(row.without_fdb.unwrap(), ["10.244.2.0 (02:00:00:00:00:02)"]);
        assert_eq!(row.astray.unwrap(), ["10.244.1.0 → 172.31.77.9"]);
    }

    #[test]
    fn what_was_not_read_is_not_known() {
        let row = row(None);
        assert_eq!((row.without_fdb, row.astray), (None, None));
        assert_eq!(row.without_neighbour.map(|ends| ends.len()), Some(1));
    }
}
