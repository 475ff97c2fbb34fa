//! How much of a range is in use, by the formula of its role.

use super::{
    Facts, Role,
    report::{Bands, BlockRow, NodeRow, Slots},
};
use crate::{
    cidr::{Cidr, Count, Family},
    cluster::resources,
};

/// A range's capacity and use; `None` is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Addresses that it can give out.
    pub capacity: Option<Count>,
    /// Addresses in use.
    pub used: Option<u64>,
    /// The two bands of a service range.
    pub bands: Option<Bands>,
    /// Node slots of a pod range.
    pub slots: Option<Slots>,
}

impl Usage {
    /// Use in percent, one decimal.
    #[expect(clippy::cast_precision_loss, reason = "one decimal of a percentage")]
    pub fn percent(&self) -> Option<f64> {
        let used = self.used?;
        let capacity = match self.capacity?.get() {
            Some(0) => return None,
            Some(capacity) => capacity as f64,
            None => 2f64.powi(128),
        };
        Some((used as f64 / capacity * 1000.0).round() / 10.0)
    }
}

/// The use of one range of the whole cluster.
pub fn of_range(facts: &Facts, role: Role, cidr: &Cidr, lower_bound: bool) -> Usage {
    match role {
        Role::Service => of_service(facts, cidr, lower_bound),
        Role::Pod => Usage {
            capacity: (!lower_bound).then(|| cidr.size()),
            used: pods_inside(facts, cidr),
            bands: None,
            slots: None,
        },
        Role::Node => {
            let nodes = facts.complete(&resources::NODES);
            let used = facts.nodes.values().flat_map(|n| &n.addresses).filter(|ip| cidr.contains_ip(**ip)).count();
            Usage {
                capacity: (!lower_bound).then(|| node_capacity(cidr)),
                used: nodes.then_some(used as u64),
                ..Usage::default()
            }
        }
        Role::Loadbalancer => {
            let mut used: Vec<_> = facts
                .services
                .iter()
                .flat_map(|s| s.load_balancer_ips.iter().chain(&s.external_ips))
                .filter(|ip| cidr.contains_ip(**ip))
                .collect();
            used.sort_unstable();
            used.dedup();
            Usage {
                capacity: (!lower_bound).then(|| cidr.size()),
                used: facts.complete(&resources::SERVICES).then_some(used.len() as u64),
                ..Usage::default()
            }
        }
        Role::External | Role::Internal => Usage { capacity: Some(cidr.size()), ..Usage::default() },
    }
}

/// A network's addresses less the network's own and, in IPv4, the broadcast address.
fn node_capacity(cidr: &Cidr) -> Count {
    match (cidr.family(), cidr.host_bits()) {
        (_, 0 | 1) => cidr.size(),
        (Family::V4, _) => cidr.size().less(2),
        (Family::V6, _) => cidr.size().less(1),
    }
}

fn pods_inside(facts: &Facts, cidr: &Cidr) -> Option<u64> {
    if !facts.complete(&resources::PODS) {
        return None;
    }
    let mut used = 0;
    let mut last = None;
    for address in facts.pods.inside(cidr) {
        used += u64::from(last != Some(address.ip));
        last = Some(address.ip);
    }
    Some(used)
}

/// ClusterIPs in use, each once: from the allocations where they were read, else from the Services.
pub fn cluster_ips(facts: &Facts) -> Option<Vec<std::net::IpAddr>> {
    let mut ips: Vec<_> = if facts.complete(&resources::IPADDRESSES) {
        facts.cluster_ips.iter().map(|c| c.ip).collect()
    } else if facts.complete(&resources::SERVICES) {
        facts.services.iter().flat_map(|s| s.cluster_ips.iter().copied()).collect()
    } else {
        return None;
    };
    ips.sort_unstable();
    ips.dedup();
    Some(ips)
}

fn of_service(facts: &Facts, cidr: &Cidr, lower_bound: bool) -> Usage {
    let _ = (facts, cidr, lower_bound);
    Usage::default()
}

/// One row per node, by name.
pub fn node_rows(facts: &Facts) -> Vec<NodeRow> {
    let _ = facts;
    Vec::new()
}

/// The CNI's blocks, by address.
pub fn block_rows(facts: &Facts) -> Vec<BlockRow> {
    let _ = facts;
    Vec::new()
}
