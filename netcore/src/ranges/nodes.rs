//! What each node has and knows: its pod ranges, `subnet.env`, and its routes to the other nodes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use serde::Serialize;

use super::{
    Facts, NodeFacts, Role, capacity,
    report::NodeRow,
    sources::{NodeNetwork, NodeSubnetEnv, UNNAMED},
};
use crate::{
    cidr::{Cidr, PrefixIndex},
    cluster::resources,
    route::{Route, RouteKind},
};

/// `kind: NodeCidrList`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeCidrList {
    /// One row per node, by name.
    pub items: Vec<NodeDetail>,
}

/// A node's own ranges, and what its own files say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeDetail {
    /// Its own ranges.
    #[serde(flatten)]
    pub row: NodeRow,
    /// flannel's `subnet.env`; null where it was not read.
    pub subnet_env: Option<SubnetEnvRow>,
    /// Routes to other nodes' pod ranges; empty where the routes were not read.
    pub routes: Vec<RouteRow>,
}

/// flannel's `subnet.env` as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubnetEnvRow {
    /// `FLANNEL_NETWORK`.
    pub network: Option<String>,
    /// `FLANNEL_SUBNET`: the bridge's address with the subnet's length.
    pub subnet: Option<String>,
    /// `FLANNEL_IPV6_NETWORK`.
    pub ipv6_network: Option<String>,
    /// `FLANNEL_IPV6_SUBNET`.
    pub ipv6_subnet: Option<String>,
    /// `FLANNEL_MTU`.
    pub mtu: Option<u32>,
    /// `FLANNEL_IPMASQ`.
    pub ip_masq: Option<bool>,
    /// The file.
    pub file: String,
}

/// A route to another node's pod range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RouteRow {
    /// The pod range.
    pub destination: Cidr,
    /// The next hop; null for a device route, or a missing one.
    pub via: Option<String>,
    /// The interface; null for a missing route.
    pub dev: Option<String>,
    /// The node that the range belongs to; null where no node has it, or nodes were not read.
    pub node: Option<String>,
    /// Whether it is as it should be; null where that cannot be told.
    pub state: Option<RouteState>,
}

/// How a route compares with the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RouteState {
    /// It leads to the node that has the range.
    Present,
    /// Other nodes' ranges have routes of their own here, this one has none.
    Missing,
    /// It leads to a range that no node has, or to another address than the node's.
    Stale,
}

/// One row per node, by name, without its files.
pub fn rows(facts: &Facts) -> Vec<NodeRow> {
    let pods = pods_per_node(facts);
    names(facts)
        .into_iter()
        .map(|name| {
            let node = facts.nodes.get(name);
            NodeRow {
                name: name.to_owned(),
                pod_cidrs: pod_cidrs(facts, name, node),
                pods_used: node.and(pods.as_ref()).map(|pods| pods.get(name).copied().unwrap_or(0)),
                pods_usable: node.and_then(|node| capacity::usable(facts, node)).and_then(crate::cidr::Count::small),
                max_pods: node.and_then(|node| node.max_pods),
                addresses: node.map(|node| node.addresses.iter().map(IpAddr::to_string).collect()).unwrap_or_default(),
            }
        })
        .collect()
}

/// One row per node, by name, with its `subnet.env` and routes.
pub fn details(facts: &Facts) -> NodeCidrList {
    let peers = Peers::of(facts);
    let items = rows(facts)
        .into_iter()
        .map(|row| NodeDetail {
            subnet_env: facts.known.subnet_envs.get(&row.name).map(subnet_env),
            routes: facts.known.networks.get(&row.name).map(|n| peers.routes(&row, n)).unwrap_or_default(),
            row,
        })
        .collect();
    NodeCidrList { items }
}

/// Nodes of the API, and those that only files tell of.
fn names(facts: &Facts) -> BTreeSet<&str> {
    let files = facts.known.subnet_envs.keys().chain(facts.known.networks.keys());
    facts.nodes.keys().chain(files).map(String::as_str).collect()
}

fn pods_per_node(facts: &Facts) -> Option<HashMap<&str, u64>> {
    let pods = &facts.pods;
    let counts = pods.nodes.iter().map(String::as_str).zip(pods.per_node.iter().map(|n| u64::from(*n)));
    facts.complete(&resources::PODS).then(|| counts.collect())
}

/// `spec.podCIDRs`; for a node that only files tell of, flannel's own subnets.
fn pod_cidrs(facts: &Facts, name: &str, node: Option<&NodeFacts>) -> Vec<Cidr> {
    match node {
        Some(node) => node.pod_cidrs.clone(),
        None => facts.known.subnet_envs.get(name).map(|env| env.subnets.clone()).unwrap_or_default(),
    }
}

fn subnet_env(node: &NodeSubnetEnv) -> SubnetEnvRow {
    SubnetEnvRow {
        network: node.env.network.clone(),
        subnet: node.env.subnet.clone(),
        ipv6_network: node.env.ipv6_network.clone(),
        ipv6_subnet: node.env.ipv6_subnet.clone(),
        mtu: node.env.mtu,
        ip_masq: node.env.ip_masq,
        file: node.file.clone(),
    }
}

/// The nodes' pod ranges, and what a route to them may look like.
struct Peers<'a> {
    facts: &'a Facts,
    /// Which node has a range.
    owner: BTreeMap<Cidr, &'a str>,
    /// The cluster's pod ranges.
    pods: PrefixIndex<()>,
    /// Nodes' files show routes to other nodes' ranges: then a range without one is missed.
    routed: bool,
}

impl<'a> Peers<'a> {
    fn of(facts: &'a Facts) -> Self {
        let owner: BTreeMap<Cidr, &str> = facts
            .nodes
            .values()
            .flat_map(|node| node.pod_cidrs.iter().map(|cidr| (*cidr, node.name.as_str())))
            .collect();
        let pods = facts.ranges.iter().filter(|fact| fact.role == Role::Pod && fact.share_of.is_none());
        let pods = pods.map(|fact| (fact.cidr, ())).collect();
        let mut peers = Self { facts, owner, pods, routed: false };
        let own_range = facts.known.ipam().is_none_or(super::sources::Ipam::uses_pod_cidrs);
        peers.routed = own_range
            && facts.known.networks.iter().any(|(name, network)| {
                let other = |route: &Route| peers.owner.get(&route.destination).is_some_and(|owner| owner != name);
                network.routes.iter().any(|route| forwards(route) && other(route))
            });
        peers
    }

    /// A node's routes to ranges of other nodes, those that are missing among them.
    fn routes(&self, node: &NodeRow, network: &NodeNetwork) -> Vec<RouteRow> {
        let mut rows: Vec<RouteRow> = network
            .routes
            .iter()
            .filter(|route| forwards(route) && self.is_remote(node, network, route))
            .map(|route| self.row(route))
            .collect();
        if self.routed && node.name != UNNAMED {
            let covered: PrefixIndex<()> = network
                .routes
                .iter()
                .filter(|route| forwards(route) && route.destination.prefix_len() > 0)
                .map(|route| (route.destination, ()))
                .collect();
            let others = self.owner.iter().filter(|(_, owner)| **owner != node.name);
            let missing = others.filter(|(cidr, _)| covered.containing(**cidr).next().is_none());
            rows.extend(missing.map(|(cidr, owner)| RouteRow {
                destination: *cidr,
                via: None,
                dev: None,
                node: Some((*owner).to_owned()),
                // it may be among those that could not be read
                state: (!network.in_part).then_some(RouteState::Missing),
            }));
        }
        rows.sort();
        rows.dedup();
        rows
    }

    /// Inside the pods' ranges or a node's, and neither the node's own nor on one of its own networks.
    fn is_remote(&self, node: &NodeRow, network: &NodeNetwork, route: &Route) -> bool {
        let known = self.pods.containing(route.destination).next().is_some();
        let owner = self.owner.get(&route.destination);
        let own = node.pod_cidrs.iter().any(|cidr| cidr.overlaps(&route.destination));
        let linked = |address: &crate::route::InterfaceAddress| address.network == route.destination;
        (known || owner.is_some())
            && !own
            && route.destination.host_bits() > 0
            && !network.interfaces.iter().flat_map(|interface| &interface.addresses).any(linked)
    }

    fn row(&self, route: &Route) -> RouteRow {
        let owner = self.owner.get(&route.destination).copied();
        RouteRow {
            destination: route.destination,
            via: route.via().map(|via| via.to_string()),
            dev: route.dev().map(str::to_owned),
            node: owner.map(str::to_owned),
            state: self.state(route, owner),
        }
    }

    fn state(&self, route: &Route, owner: Option<&str>) -> Option<RouteState> {
        if !self.routed || !self.facts.complete(&resources::NODES) {
            return None;
        }
        let Some(owner) = owner.and_then(|owner| self.facts.nodes.get(owner)) else {
            // a range of the size that nodes have, inside the pods' range, and nobody's; others may be
            // a block of something else
            let shaped = self
                .owner
                .keys()
                .any(|cidr| cidr.family() == route.family() && cidr.prefix_len() == route.destination.prefix_len());
            let touched = self.owner.keys().any(|cidr| cidr.overlaps(&route.destination));
            return (shaped && !touched).then_some(RouteState::Stale);
        };
        let leads_there = match route.via() {
            None => true,
            // flannel's vxlan device goes through the other end's own address in the range
            Some(via) => {
                owner.addresses.contains(&via)
                    || route.destination.contains_ip(via)
                    || announced(owner).any(|ip| ip == via)
            }
        };
        Some(if leads_there { RouteState::Present } else { RouteState::Stale })
    }
}

/// Addresses that a network plugin announces for a node beside those of its status.
fn announced(node: &NodeFacts) -> impl Iterator<Item = IpAddr> + '_ {
    let keys = ["public-ip", "public-ipv6", "public-ip-overwrite", "public-ipv6-overwrite", "node-public-ip"];
    keys.into_iter()
        .filter_map(|key| node.annotations.get(&format!("flannel.alpha.coreos.com/{key}")))
        .filter_map(|text| text.parse().ok())
}

/// A route of the main tables that sends packets on.
fn forwards(route: &Route) -> bool {
    route.kind == RouteKind::Unicast && route.table != "local"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::ReadStatus,
        probe::Probe,
        ranges::{Confidence, Given, Origin, Want, sources},
    };

    /// Three flannel nodes; `routes` are node n1's.
    fn flannel(routes: &str) -> Facts {
        let mut facts = Facts::default();
        facts.reads.insert(Want::list(&resources::NODES), ReadStatus::Complete);
        for (number, name) in ["n1", "n2", "n3"].into_iter().enumerate() {
            let node = NodeFacts {
                name: name.to_owned(),
                pod_cidrs: vec![format!("10.244.{number}.0/24").parse().unwrap()],
                addresses: vec![format!("192.168.0.{}", number + 1).parse().unwrap()],
                ..NodeFacts::default()
            };
            facts.nodes.insert(name.to_owned(), node);
        }
        facts.add_ranges(Role::Pod, "10.244.0.0/16", &Origin::new("test", Confidence::A, "o", "f"));
        for source in sources::ALL {
            source.take(Given::Probe(Some("n1"), Probe::Routes, routes, "n1/ip-route"), &mut facts);
        }
        facts
    }

    fn routes(facts: &Facts) -> Vec<(String, Option<String>, Option<RouteState>)> {
        let list = details(facts);
        let node = list.items.into_iter().find(|node| node.row.name == "n1" || node.row.name == UNNAMED).unwrap();
        node.routes.into_iter().map(|route| (route.destination.to_string(), route.node, route.state)).collect()
    }

    const OWN: &str =
        "default via 192.168.0.254 dev eth0\n10.244.0.0/24 dev cni0 proto kernel scope link src 10.244.0.1\n";

    #[test]
    fn routes_to_the_other_nodes_are_present_or_missing() {
        let facts = flannel(&format!("{OWN}10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n"));
        assert_eq!(
            routes(&facts),
            [
                ("10.244.1.0/24".to_owned(), Some("n2".to_owned()), Some(RouteState::Present)),
                ("10.244.2.0/24".to_owned(), Some("n3".to_owned()), Some(RouteState::Missing)),
            ]
        );
    }

    #[test]
    fn what_may_stand_behind_a_cut_is_not_called_missing() {
        let facts =
            flannel(&format!("{OWN}10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n10.244.2.0/24 via 10.24"));
        assert_eq!(
            routes(&facts),
            [
                ("10.244.1.0/24".to_owned(), Some("n2".to_owned()), Some(RouteState::Present)),
                ("10.244.2.0/24".to_owned(), Some("n3".to_owned()), None),
            ]
        );
        assert_eq!(facts.unreadable[0].reason, "line 4, column 19: not an address: `10.24`");
    }

    #[test]
    fn a_route_to_nobody_or_to_another_address_is_stale() {
        let text = "10.244.1.0/24 via 192.168.0.2 dev eth0\n10.244.2.0/24 via 192.168.0.9 dev eth0\n\
                    10.244.7.0/24 via 192.168.0.7 dev eth0\n";
        assert_eq!(
            routes(&flannel(&format!("{OWN}{text}"))),
            [
                ("10.244.1.0/24".to_owned(), Some("n2".to_owned()), Some(RouteState::Present)),
                ("10.244.2.0/24".to_owned(), Some("n3".to_owned()), Some(RouteState::Stale)),
                ("10.244.7.0/24".to_owned(), None, Some(RouteState::Stale)),
            ]
        );
    }

    #[test]
    fn where_the_fabric_or_a_tunnel_carries_pods_nothing_is_missing() {
        assert_eq!(routes(&flannel(OWN)), []);
        let whole =
            routes(&flannel("default via 192.168.0.254 dev eth0\n10.244.0.0/16 via 10.244.0.1 dev cilium_host\n"));
        assert!(whole.iter().all(|(_, _, state)| state.is_none()), "{whole:?}");
    }

    #[test]
    fn without_nodes_routes_are_shown_and_not_judged() {
        let mut facts = Facts::default();
        facts.add_ranges(Role::Pod, "10.244.0.0/16", &Origin::new("test", Confidence::A, "o", "f"));
        let env =
            "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
        let text = format!("{OWN}10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n");
        for source in sources::ALL {
            source.take(Given::Probe(None, Probe::FlannelSubnetEnv, env, "subnet.env"), &mut facts);
            source.take(Given::Probe(None, Probe::Routes, &text, "ip-route"), &mut facts);
        }
        let NodeDetail { row, subnet_env, .. } = details(&facts).items.remove(0);
        assert_eq!((row.name.as_str(), row.pods_used), (UNNAMED, None));
        assert_eq!(row.pod_cidrs, ["10.244.0.0/24".parse().unwrap()]);
        assert_eq!(subnet_env.unwrap().mtu, Some(1450));
        assert_eq!(routes(&facts), [("10.244.1.0/24".to_owned(), None, None)]);
    }
}
