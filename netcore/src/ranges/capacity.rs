//! How many nodes and pods a cluster's pod ranges have room for.

use std::collections::BTreeSet;

use super::{
    Facts, NodeFacts,
    report::Slots,
    sources::{Component, Ipam, Member},
};
use crate::cidr::{Cidr, Count, Family, capacity, parse_list};

/// Pod addresses that a node's own ranges can give out: the least over its families, and none where
/// nodes have no ranges of their own, or it is not known who gives out addresses.
pub fn usable(facts: &Facts, node: &NodeFacts) -> Option<Count> {
    match facts.known.ipam()? {
        Ipam::NodeIpam | Ipam::Antrea => least(&node.pod_cidrs, capacity::host_local_addresses),
        Ipam::CiliumKubernetes => least(&node.pod_cidrs, cilium_addresses),
        Ipam::CiliumClusterPool => least(&facts.known.cilium.nodes.get(&node.name)?.cidrs, cilium_addresses),
        _ => None,
    }
}

/// Cilium keeps the first and the last address of a range, and takes one for its router and one for
/// its health endpoint.
fn cilium_addresses(cidr: &Cidr) -> Count {
    cidr.size().less(4)
}

/// The least over the families of what all ranges of a family give together.
fn least(cidrs: &[Cidr], of: impl Fn(&Cidr) -> Count) -> Option<Count> {
    [Family::V4, Family::V6]
        .into_iter()
        .filter_map(|family| {
            let all = cidrs.iter().filter(|cidr| cidr.family() == family).map(&of);
            all.reduce(Count::plus)
        })
        .min()
}

/// A pod range that the node controller cuts into node ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRange {
    /// The range.
    pub cidr: Cidr,
    /// The prefix length that a node gets.
    pub node_mask: u8,
    /// Service ranges that it leaves out.
    pub left_out: Vec<Cidr>,
    /// Who says so.
    pub evidence: String,
}

/// The ranges that kube-controller-manager cuts up: by its own flags where they are readable, else
/// the declared pod range and the length that all nodes' ranges have.
pub fn cluster_ranges(facts: &Facts) -> Vec<ClusterRange> {
    let managers = facts.known.control_plane.iter().filter(|m| m.component == Component::ControllerManager);
    let mut ranges: Vec<ClusterRange> = Vec::new();
    for manager in managers.clone().filter(|m| m.allocates_node_cidrs()) {
        for range in of_manager(manager) {
            if !ranges.iter().any(|known| known.cidr == range.cidr && known.node_mask == range.node_mask) {
                ranges.push(range);
            }
        }
    }
    if managers.count() > 0 {
        return ranges;
    }
    declared(facts)
}

fn cidrs(text: &str) -> impl Iterator<Item = Cidr> {
    parse_list(text).into_iter().filter_map(Result::ok).map(|written| written.cidr)
}

/// The prefix length of a node's range: the family's own flag, the common one, the default.
pub fn node_mask(manager: &Member, family: Family) -> u8 {
    let (own, default) = match family {
        Family::V4 => ("node-cidr-mask-size-ipv4", 24),
        Family::V6 => ("node-cidr-mask-size-ipv6", 64),
    };
    let mask = |name: &str| manager.flag(name).and_then(|value| value.parse::<u8>().ok()).filter(|mask| *mask > 0);
    mask(own).or_else(|| mask("node-cidr-mask-size")).filter(|mask| *mask <= family.bits()).unwrap_or(default)
}

fn of_manager(manager: &Member) -> Vec<ClusterRange> {
    let left_out: Vec<Cidr> = manager.flag("service-cluster-ip-range").map(cidrs).into_iter().flatten().collect();
    let all = manager.flag("cluster-cidr").map(cidrs).into_iter().flatten();
    all.map(|cidr| ClusterRange {
        cidr,
        node_mask: node_mask(manager, cidr.family()),
        left_out: left_out.clone(),
        evidence: format!("{}: {cidr}", manager.origin("cluster-cidr")),
    })
    .collect()
}

/// Without the flags: a declared range that holds every podCIDR, and the one length that all have.
fn declared(facts: &Facts) -> Vec<ClusterRange> {
    if !facts.known.ipam().is_some_and(Ipam::uses_pod_cidrs) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        let nodes = facts.nodes.values().flat_map(|node| &node.pod_cidrs).filter(|cidr| cidr.family() == family);
        let lengths: BTreeSet<u8> = nodes.clone().map(Cidr::prefix_len).collect();
        let (Some(&node_mask), 1) = (lengths.first(), lengths.len()) else { continue };
        let whole = |cidr: &&(Cidr, String)| cidr.0.family() == family && nodes.clone().all(|n| cidr.0.contains(n));
        if let Some((cidr, evidence)) = candidates(facts).iter().find(whole) {
            let left_out = Vec::new();
            found.push(ClusterRange { cidr: *cidr, node_mask, left_out, evidence: evidence.clone() });
        }
    }
    found
}

fn candidates(facts: &Facts) -> Vec<(Cidr, String)> {
    let kubeadm = facts.known.kubeadm.iter();
    let kubeadm =
        kubeadm.flat_map(|k| k.pod_subnet.iter().map(|c| (*c, format!("{} networking.podSubnet: {c}", k.object))));
    let flannel = facts.known.flannel_confs.iter();
    let flannel = flannel.flat_map(|f| f.networks.iter().map(|c| (*c, format!("{}: {c}", f.origin))));
    kubeadm.chain(flannel).collect()
}

/// The node slots of a pod range: how many nodes it has room for, and how many are taken.
pub fn slots(facts: &Facts, range: &ClusterRange) -> Option<(Count, u64)> {
    let total = capacity::node_slots(&range.cidr, range.node_mask, &range.left_out)?;
    let used: BTreeSet<&Cidr> =
        facts.nodes.values().flat_map(|node| &node.pod_cidrs).filter(|cidr| range.cidr.contains(cidr)).collect();
    // a longer podCIDR than today's mask blocks its whole slot, a shorter one several
    let slots: BTreeSet<u128> = used
        .iter()
        .flat_map(|cidr| {
            let slot = |number: u128| Cidr::covering(cidr.family().address(number), range.node_mask);
            let first = slot(cidr.first_number()).map(|c| c.first_number());
            let last = slot(cidr.last_number()).map(|c| c.first_number());
            [first, last].into_iter().flatten()
        })
        .collect();
    let wide: u64 = used
        .iter()
        .filter(|cidr| cidr.prefix_len() < range.node_mask)
        .map(|cidr| 1_u64.checked_shl(u32::from(range.node_mask - cidr.prefix_len())).unwrap_or(u64::MAX))
        .map(|slots| slots.saturating_sub(2))
        .fold(0, u64::saturating_add);
    Some((total, (slots.len() as u64).saturating_add(wide)))
}

/// The slots of a stated pod range, where it is the one that is cut up.
pub fn slots_of(facts: &Facts, cidr: &Cidr) -> Option<Slots> {
    let range = cluster_ranges(facts).into_iter().find(|range| range.cidr == *cidr)?;
    let (total, used) = slots(facts, &range)?;
    Some(Slots { node_mask: range.node_mask, total: total.small(), used })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::{
        Confidence, Origin,
        sources::{Argument, Arguments},
    };

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn node(name: &str, pod_cidrs: &[&str]) -> NodeFacts {
        NodeFacts {
            name: name.to_owned(),
            pod_cidrs: pod_cidrs.iter().map(|c| cidr(c)).collect(),
            ..NodeFacts::default()
        }
    }

    fn facts(nodes: &[NodeFacts], flags: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        facts.nodes.extend(nodes.iter().map(|n| (n.name.clone(), n.clone())));
        let argument = |value: &str| Argument { value: value.to_owned(), field: "spec.containers[0]".to_owned() };
        let arguments: Arguments = flags.iter().map(|(k, v)| ((*k).to_owned(), argument(v))).collect();
        facts.known.control_plane.push(Member {
            component: Component::ControllerManager,
            object: "pod kube-system/kcm".to_owned(),
            node: String::new(),
            arguments,
        });
        facts
    }

    #[test]
    fn the_controllers_own_flags_decide() {
        let facts = facts(
            &[node("a", &["10.244.0.0/24"]), node("b", &["10.244.1.0/24", "fd00::/64"])],
            &[
                ("allocate-node-cidrs", "true"),
                ("cluster-cidr", "10.244.0.0/22,fd00::/56"),
                ("service-cluster-ip-range", "10.244.3.0/25"),
            ],
        );
        let ranges = cluster_ranges(&facts);
        assert_eq!(ranges.iter().map(|r| r.node_mask).collect::<Vec<_>>(), [24, 64]);
        assert_eq!(slots(&facts, &ranges[0]), Some((Count::new(3), 2)), "the slot of the service range is lost");
        assert_eq!(slots(&facts, &ranges[1]), Some((Count::new(256), 1)));
    }

    #[test]
    fn usable_follows_the_plugin() {
        let mut facts = Facts::default();
        let one = node("a", &["10.244.0.0/24", "fd00::/64"]);
        assert_eq!(usable(&facts, &one), None, "nobody says who gives out addresses");
        let origin = Origin::new("x", Confidence::B, "o", "f");
        facts.known.says_ipam(Ipam::NodeIpam, origin.clone());
        assert_eq!(usable(&facts, &one), Some(Count::new(253)));
        assert_eq!(usable(&facts, &node("b", &[])), None);
        let mut facts = Facts::default();
        facts.known.says_ipam(Ipam::Calico, origin);
        assert_eq!(usable(&facts, &one), None, "Calico takes blocks as it needs them");
    }
}
