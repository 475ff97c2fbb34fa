//! What one node's kernel is to hold: for each address of each Service the endpoints that this node uses, by
//! kube-proxy's rules of topology, policy and termination.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    NodeFacts,
    desired::{Desired, Endpoint, Port, Service, ServiceName},
};
use crate::{
    cidr::{Cidr, Family},
    proxy::Version,
};

/// The first kube-proxy that follows hints for nodes without being told to.
const NODE_HINTS: Version = Version::new(1, 34);
/// The first kube-proxy that knows of node hints at all.
const NODE_HINTS_ALPHA: Version = Version::new(1, 33);
/// The first kube-proxy that heeds a load balancer's `ipMode`.
const IP_MODE: Version = Version::new(1, 30);

/// What an address of a Service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A `ClusterIP`.
    Cluster,
    /// One of `externalIPs`.
    External,
    /// A load balancer's.
    Balancer,
    /// Any of the node's own.
    NodePort,
}

/// Where an endpoint listens.
pub(super) type Socket = (IpAddr, u16);

/// One port of one Service in one family, as this node is to have it.
#[derive(Clone, Debug)]
pub(super) struct Plan<'d> {
    /// Whose it is.
    pub(super) service: &'d ServiceName,
    /// The Service.
    pub(super) wanted: &'d Service,
    /// The port.
    pub(super) port: &'d Port,
    /// Endpoints that any traffic may use here.
    pub(super) cluster: BTreeSet<Socket>,
    /// Endpoints of this node, where a policy asks for them.
    pub(super) local: BTreeSet<Socket>,
    /// Endpoints that are on this node, of all that it uses.
    pub(super) here: BTreeSet<Socket>,
    /// Somewhere in the cluster is an endpoint.
    pub(super) has_any: bool,
    /// Clients that may use the load balancer, of this family; empty for all.
    pub(super) ranges: Vec<Cidr>,
    /// The addresses, and what each is. A node port has none.
    pub(super) fronts: Vec<(Kind, Option<IpAddr>, u16)>,
}

impl Plan<'_> {
    /// The endpoints that traffic to an address of this kind is spread over, by its policy.
    pub(super) fn endpoints(&self, kind: Kind) -> &BTreeSet<Socket> {
        let local = match kind {
            Kind::Cluster => self.wanted.internal_local,
            _ => self.wanted.external_local,
        };
        if local { &self.local } else { &self.cluster }
    }

    /// Every endpoint that this node uses.
    pub(super) fn used(&self) -> impl Iterator<Item = &Socket> {
        self.cluster.union(&self.local)
    }
}

/// What a node is to have of a family.
pub(super) fn plans<'d>(node: &NodeFacts, desired: &'d Desired, family: Family) -> Vec<Plan<'d>> {
    let mut plans = Vec::new();
    for (name, service) in &desired.services {
        let Some(cluster_ip) = service.cluster_ips.iter().find(|ip| Family::of(**ip) == family) else { continue };
        let of_family = |ip: &&IpAddr| Family::of(**ip) == family;
        let balancers: Vec<IpAddr> = service
            .balancer_ips
            .iter()
            .filter(|(_, bypass)| *bypass || node.version.is_some_and(|version| version < IP_MODE))
            .map(|(ip, _)| *ip)
            .filter(|ip| Family::of(*ip) == family)
            .collect();
        let ranges: Vec<Cidr> =
            service.source_ranges.iter().filter(|range| range.family() == family).copied().collect();
        for port in &service.ports {
            let mut fronts = vec![(Kind::Cluster, Some(*cluster_ip), port.port)];
            fronts
                .extend(service.external_ips.iter().filter(of_family).map(|ip| (Kind::External, Some(*ip), port.port)));
            fronts.extend(balancers.iter().map(|ip| (Kind::Balancer, Some(*ip), port.port)));
            fronts.extend(port.node_port.map(|number| (Kind::NodePort, None, number)));
            let endpoints = desired.endpoints(name, port, family);
            let mut plan = Plan {
                service: name,
                wanted: service,
                port,
                cluster: BTreeSet::new(),
                local: BTreeSet::new(),
                here: BTreeSet::new(),
                has_any: false,
                ranges: ranges.clone(),
                fronts,
            };
            categorize(node, service, &endpoints, &mut plan);
            plans.push(plan);
        }
    }
    plans
}

/// Which endpoints this node uses, as kube-proxy chooses them.
fn categorize(node: &NodeFacts, service: &Service, all: &BTreeMap<Socket, &Endpoint>, plan: &mut Plan<'_>) {
    let is_here = |end: &Endpoint| end.node.as_deref() == Some(node.name.as_str());
    let ending = |end: &Endpoint| end.serving && end.terminating;
    let chosen = |fits: &dyn Fn(&Endpoint) -> bool| -> BTreeSet<Socket> {
        all.iter().filter(|(_, end)| fits(end)).map(|(socket, _)| *socket).collect()
    };
    let external = plan.fronts.iter().any(|(kind, ..)| *kind != Kind::Cluster) || service.is_external();
    if !service.internal_local || external {
        let topology = topology(node, all.values().copied());
        plan.cluster = chosen(&|end| end.ready && topology.fits(node, end));
        if plan.cluster.is_empty() {
            plan.cluster = chosen(&ending);
        }
        plan.has_any = !plan.cluster.is_empty();
    }
    if service.internal_local || (service.external_local && external) {
        plan.has_any |= all.values().any(|end| end.ready || ending(end));
        plan.local = chosen(&|end| is_here(end) && end.ready);
        if plan.local.is_empty() {
            plan.local = chosen(&|end| is_here(end) && ending(end));
        }
    }
    plan.here = plan.used().filter(|socket| all.get(*socket).is_some_and(|end| is_here(end))).copied().collect();
}

/// Which endpoints hints leave to a node.
enum Topology {
    /// All.
    Any,
    /// Those for its zone.
    Zone,
    /// Those for it.
    Node,
}

impl Topology {
    fn fits(&self, node: &NodeFacts, end: &Endpoint) -> bool {
        match self {
            Self::Any => true,
            Self::Zone => end.zones.iter().any(|zone| Some(&**zone) == node.zone.as_deref()),
            Self::Node => end.nodes.iter().any(|name| **name == *node.name),
        }
    }
}

/// Hints count where every ready endpoint has one, and one is for this node or its zone.
fn topology<'e>(node: &NodeFacts, all: impl Iterator<Item = &'e Endpoint>) -> Topology {
    let (mut some, mut by_node, mut for_node, mut by_zone, mut for_zone) = (false, true, false, true, false);
    for end in all.filter(|end| end.ready) {
        some = true;
        by_node &= !end.nodes.is_empty();
        by_zone &= !end.zones.is_empty();
        for_node |= Topology::Node.fits(node, end);
        for_zone |= Topology::Zone.fits(node, end);
    }
    if some && by_node && for_node && follows_node_hints(node) {
        return Topology::Node;
    }
    if some && by_zone && for_zone { Topology::Zone } else { Topology::Any }
}

fn follows_node_hints(node: &NodeFacts) -> bool {
    let gate = node.config.as_ref().and_then(|config| config.feature_gates.get("PreferSameTrafficDistribution"));
    match (node.version, gate) {
        (Some(version), _) if version < NODE_HINTS_ALPHA => false,
        (_, Some(on)) => *on,
        (Some(version), None) => version >= NODE_HINTS,
        (None, None) => true,
    }
}
