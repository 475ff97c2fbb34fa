//! Room for nodes and pods: slots, addresses per node, and what shares them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Findings, examples::Examples};
use crate::{
    cidr::{Cidr, Count, Family, capacity::at_least, overlaps},
    cluster::resources,
    finding::{FindingDoc, Severity},
    probe::UNNAMED,
    ranges::{
        Facts,
        capacity::{ClusterRange, cluster_ranges, slots, usable},
        sources::Ipam,
    },
};

/// How many overlapping pairs are told apart.
const PAIRS: usize = 20;

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CIDR-011",
            title: "the pod range has hardly any room for nodes",
            severity: "error at 100 % or with an event CIDRNotAvailable; warning at 80 %",
            formula: "slots = 2^(node mask - range) less those inside the controller manager's service range; used = \
                      slots that podCIDRs of the range touch. The node mask is kube-controller-manager's \
                      --node-cidr-mask-size(-ipv4, -ipv6), 24 and 64 by default; where it cannot be read, the length \
                      that all podCIDRs have, and the range that kubeadm or flannel declares",
            example: "10.233.64.0/18 has room for 64 nodes of /24, 60 are taken (93 %)",
            remedy: "widen the range in kube-controller-manager (a range that holds the old one), in the network plugin \
                     and kube-proxy, or use a longer node mask for new nodes; existing nodes keep theirs",
        },
        needs: &[&resources::NODES],
        run: node_slots,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-012",
            title: "the cluster may grow beyond its pod range",
            severity: "warning",
            formula: "slots (CIDR-011) < the number of nodes that is planned; only where that number is given",
            example: "10.244.0.0/20 has room for 16 nodes of /24, 40 are planned",
            remedy: "widen the pod range before the cluster grows, or lower the autoscaler's maximum",
        },
        needs: &[&resources::NODES],
        run: planned_nodes,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-013",
            title: "the IPv6 node mask is too far from the pod range",
            severity: "error: kube-controller-manager does not start",
            formula: "node mask - length of the IPv6 range in --cluster-cidr > 16",
            example: "fd00:244::/40 with node mask 64: 24 bits apart",
            remedy: "take a longer range or a shorter node mask: at most 16 bits between them",
        },
        needs: &[],
        run: mask_distance,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-014",
            title: "a node has hardly any pod addresses left",
            severity: "warning at 85 %",
            formula: "live pods with a network of their own on the node / addresses that its range gives (host-local: a \
                      /24 gives 253; Cilium: 252). The least of both families. Not for plugins that take blocks as they \
                      need them, nor where a plugin's kind is not known",
            example: "node node1 uses 240 of 253 pod addresses (94 %)",
            remedy: "move pods away or lower maxPods; new nodes can have a shorter mask. Files that host-local leaves in \
                     /var/lib/cni/networks take addresses that no pod has",
        },
        needs: &[&resources::PODS, &resources::NODES],
        run: pod_addresses,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-015",
            title: "a node may have more pods than addresses",
            severity: "error where the node is full and pods wait for an address, else warning",
            formula: "status.capacity.pods > addresses that the node's range gives (CIDR-014)",
            example: "node node1 takes 250 pods and has 125 pod addresses",
            remedy: "lower maxPods in the kubelet's configuration, or give new nodes a shorter mask",
        },
        needs: &[&resources::NODES],
        run: max_pods,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-016",
            title: "nodes have pod ranges of different lengths",
            severity: "info",
            formula: "more than one prefix length per family among spec.podCIDRs, where pods use them",
            example: "IPv4 podCIDRs have lengths /24 (12 nodes) and /25 (3 nodes)",
            remedy: "nothing, if it was done on purpose: nodes keep the range that they were registered with",
        },
        needs: &[&resources::NODES],
        run: mixed_masks,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-017",
            title: "two nodes' podCIDRs overlap",
            severity: "error; warning where the network plugin does not use them",
            formula: "spec.podCIDRs of two nodes share an address",
            example: "10.244.1.0/24 of node a and 10.244.1.0/25 of node b overlap",
            remedy: "drain, delete and register one of the nodes again: its range is then given anew",
        },
        needs: &[&resources::NODES],
        run: overlapping_nodes,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-018",
            title: "pods have addresses outside their node's podCIDR",
            severity: "error",
            formula: "only where pods get addresses out of podCIDRs: the address of a live pod that no podCIDR of its \
                      family on its own node holds. Nodes without a podCIDR of the family are not compared",
            example: "pod default/web-0 has 10.32.0.9, node node1 has 10.244.1.0/24",
            remedy: "the pods are older than the node's range: restart them; if they get such an address again, the \
                     node's bridge or CNI configuration is stale",
        },
        needs: &[&resources::PODS, &resources::NODES],
        run: pods_outside_node,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-019",
            title: "two pods have the same address",
            severity: "error",
            formula: "two live pods with a network of their own share an address. Not where pods live in networks of \
                      their own that may overlap (Kube-OVN)",
            example: "default/a on node1 and default/b on node2 both have 10.244.1.7",
            remedy: "restart one of them; look for nodes with the same range (CIDR-017), or a CNI's state that was lost",
        },
        needs: &[&resources::PODS],
        run: duplicates,
    },
];

fn used_event(facts: &Facts) -> Option<String> {
    facts
        .known
        .events
        .iter()
        .find(|event| event.reason == "CIDRNotAvailable")
        .map(crate::ranges::sources::Event::evidence)
}

fn room(range: &ClusterRange, total: Count) -> String {
    let nodes = if total == Count::new(1) { "1 node".to_owned() } else { format!("{total} nodes") };
    format!("{} has room for {nodes} of /{}", range.cidr, range.node_mask)
}

fn node_slots(facts: &Facts, findings: &mut Findings<'_>) {
    let event = used_event(facts);
    let mut told = false;
    for range in cluster_ranges(facts) {
        let Some((total, used)) = slots(facts, &range) else { continue };
        let full = at_least(u128::from(used), 100, total);
        if !full && !at_least(u128::from(used), 80, total) {
            continue;
        }
        let unused = facts.known.ipam().is_some_and(|ipam| !ipam.uses_pod_cidrs());
        let severity = if (full || event.is_some()) && !unused { Severity::Error } else { Severity::Warning };
        let mut lines = vec![range.evidence.clone()];
        lines.extend(event.clone());
        told = true;
        findings.add(severity, range.cidr.to_string(), format!("{}, {used} are taken", room(&range, total)), lines);
    }
    if let (false, Some(event)) = (told, event) {
        findings.add(Severity::Error, "nodes", "no pod range was left for a node", vec![event]);
    }
}

fn planned_nodes(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(planned) = facts.known.max_nodes else { return };
    for range in cluster_ranges(facts) {
        let Some((total, _)) = slots(facts, &range) else { continue };
        if total < Count::new(u128::from(planned)) {
            let message = format!("{}, {planned} are planned", room(&range, total));
            findings.add(Severity::Warning, range.cidr.to_string(), message, vec![range.evidence.clone()]);
        }
    }
}

fn mask_distance(facts: &Facts, findings: &mut Findings<'_>) {
    if facts.known.control_plane.is_empty() {
        return;
    }
    for range in cluster_ranges(facts).iter().filter(|range| range.cidr.family() == Family::V6) {
        let apart = range.node_mask.saturating_sub(range.cidr.prefix_len());
        if apart > 16 {
            let message = format!("{} with node mask {}: {apart} bits apart", range.cidr, range.node_mask);
            findings.add(Severity::Error, range.cidr.to_string(), message, vec![range.evidence.clone()]);
        }
    }
}

fn pod_addresses(facts: &Facts, findings: &mut Findings<'_>) {
    for node in facts.nodes.values() {
        let Some(usable) = usable(facts, node) else { continue };
        let used = facts.pods.on_node(&node.name);
        if used > 0 && at_least(u128::from(used), 85, usable) {
            let message = format!("node {} uses {used} of {usable} pod addresses", node.name);
            findings.add(Severity::Warning, format!("node {}", node.name), message, ranges_of(&node.pod_cidrs));
        }
    }
}

fn ranges_of(cidrs: &[Cidr]) -> Vec<String> {
    cidrs.iter().map(|cidr| format!("spec.podCIDRs: {cidr}")).collect()
}

fn max_pods(facts: &Facts, findings: &mut Findings<'_>) {
    // many nodes of a kind are one finding
    let mut found: BTreeMap<(Severity, u64, Count), Examples> = BTreeMap::new();
    for node in facts.nodes.values() {
        let (Some(usable), Some(max_pods)) = (usable(facts, node), node.max_pods) else { continue };
        if Count::new(u128::from(max_pods)) <= usable {
            continue;
        }
        let full = Count::new(u128::from(facts.pods.on_node(&node.name))) >= usable;
        let severity = if full && facts.pods.without_address > 0 { Severity::Error } else { Severity::Warning };
        found.entry((severity, max_pods, usable)).or_default().add(|| {
            let cidrs: Vec<String> = node.pod_cidrs.iter().map(ToString::to_string).collect();
            format!("node {} status.capacity.pods: {max_pods}, spec.podCIDRs: {}", node.name, cidrs.join(","))
        });
    }
    for ((severity, max_pods, usable), nodes) in found {
        let count = nodes.count();
        let who = if count == 1 { "1 node takes".to_owned() } else { format!("{count} nodes take") };
        let message = format!("{who} {max_pods} pods and can give out {usable} pod addresses");
        findings.add(severity, "nodes", message, nodes.into_evidence());
    }
}

fn mixed_masks(facts: &Facts, findings: &mut Findings<'_>) {
    if facts.known.ipam().is_some_and(|ipam| !ipam.uses_pod_cidrs()) {
        return;
    }
    for family in [Family::V4, Family::V6] {
        let mut lengths: BTreeMap<u8, u64> = BTreeMap::new();
        for cidr in facts.nodes.values().flat_map(|node| &node.pod_cidrs).filter(|cidr| cidr.family() == family) {
            *lengths.entry(cidr.prefix_len()).or_default() += 1;
        }
        if lengths.len() > 1 {
            let list: Vec<String> =
                lengths.iter().map(|(length, nodes)| format!("/{length} ({nodes} nodes)")).collect();
            let message = format!("{family} podCIDRs have lengths {}", list.join(" and "));
            findings.add(Severity::Info, format!("{family} podCIDRs"), message, Vec::new());
        }
    }
}

fn overlapping_nodes(facts: &Facts, findings: &mut Findings<'_>) {
    let all: Vec<(&str, Cidr)> =
        facts.nodes.values().flat_map(|node| node.pod_cidrs.iter().map(|cidr| (node.name.as_str(), *cidr))).collect();
    let unused = facts.known.ipam().is_some_and(|ipam| !ipam.uses_pod_cidrs());
    let severity = if unused { Severity::Warning } else { Severity::Error };
    for (left, right) in overlaps(all.iter().map(|(_, cidr)| *cidr), PAIRS).pairs {
        let (Some((a, left)), Some((b, right))) = (all.get(left), all.get(right)) else { continue };
        let message = format!("{left} of node {a} and {right} of node {b} overlap");
        let lines = vec![format!("node {a} spec.podCIDRs: {left}"), format!("node {b} spec.podCIDRs: {right}")];
        findings.add(severity, left.to_string(), message, lines);
    }
}

fn pods_outside_node(facts: &Facts, findings: &mut Findings<'_>) {
    if !facts.known.ipam().is_some_and(Ipam::uses_pod_cidrs) {
        return;
    }
    let mut found = Examples::default();
    for address in &facts.pods.addresses {
        let Some(node) = facts.pods.node_of(address).and_then(|name| facts.nodes.get(name)) else { continue };
        let mut own = node.pod_cidrs.iter().filter(|c| c.family() == Family::of(address.ip)).peekable();
        if own.peek().is_some() && !own.any(|cidr| cidr.contains_ip(address.ip)) {
            found.add(|| {
                let name = facts.pods.names.get(address.pod);
                let cidrs: Vec<String> = node.pod_cidrs.iter().map(ToString::to_string).collect();
                format!("pod {name}: {}, node {} spec.podCIDRs: {}", address.ip, node.name, cidrs.join(","))
            });
        }
    }
    if found.count() > 0 {
        let count = found.count();
        let who = if count == 1 { "1 pod address lies".to_owned() } else { format!("{count} pod addresses lie") };
        findings.add(Severity::Error, "pods", format!("{who} outside the own node's podCIDR"), found.into_evidence());
    }
}

fn duplicates(facts: &Facts, findings: &mut Findings<'_>) {
    if facts.known.ipam() == Some(Ipam::KubeOvn) {
        return;
    }
    for pair in facts.pods.addresses.chunk_by(|a, b| a.ip == b.ip).filter(|chunk| chunk.len() > 1) {
        let Some(first) = pair.first() else { continue };
        let name = |a: &crate::ranges::PodAddress| facts.pods.names.get(a.pod).to_owned();
        let names: BTreeSet<String> = pair.iter().map(name).collect();
        if names.len() < 2 {
            continue;
        }
        let mut who = Examples::default();
        for address in pair {
            who.add(|| format!("pod {} on node {}", name(address), facts.pods.node_of(address).unwrap_or(UNNAMED)));
        }
        let message = format!("{} pods have {}", names.len(), first.ip);
        findings.add(Severity::Error, first.ip.to_string(), message, who.into_evidence());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, healthy, member, node, pod, severities};
    use super::*;
    use crate::ranges::sources::{Component, Event};

    fn manager(facts: &mut Facts, cluster: &str, more: &[(&str, &str)]) {
        let mut flags = vec![("allocate-node-cidrs", "true"), ("cluster-cidr", cluster)];
        flags.extend(more);
        member(facts, Component::ControllerManager, &flags);
    }

    #[test]
    fn slots_run_out() {
        let mut facts = healthy();
        manager(&mut facts, "10.244.0.0/21", &[]);
        assert_eq!(found("CIDR-011", &facts), [], "3 of 8");
        facts.known.control_plane.clear();
        manager(&mut facts, "10.244.0.0/22", &[]);
        assert_eq!(found("CIDR-011", &facts), [], "3 of 4");
        node(&mut facts, "node3", "172.31.77.9", &["10.244.3.0/24"]);
        let found_ = found("CIDR-011", &facts);
        assert_eq!(found_[0].message, "10.244.0.0/22 has room for 4 nodes of /24, 4 are taken");
        assert_eq!(found_[0].severity, Severity::Error);
    }

    #[test]
    fn an_event_tells_without_any_flag() {
        let mut facts = healthy();
        facts.known.events.push(Event {
            reason: "CIDRNotAvailable".to_owned(),
            about: "Node n9".to_owned(),
            message: "m".to_owned(),
            count: 2,
        });
        assert_eq!(severities("CIDR-011", &facts), [Severity::Error]);
    }

    #[test]
    fn planned_growth() {
        let mut facts = healthy();
        manager(&mut facts, "10.244.0.0/20", &[]);
        assert_eq!(found("CIDR-012", &facts), []);
        facts.known.max_nodes = Some(16);
        assert_eq!(found("CIDR-012", &facts), []);
        facts.known.max_nodes = Some(17);
        assert_eq!(severities("CIDR-012", &facts), [Severity::Warning]);
    }

    #[test]
    fn the_distance_of_the_masks() {
        let mut facts = healthy();
        manager(&mut facts, "10.0.0.0/7,fd00:244::/48", &[]);
        assert_eq!(found("CIDR-013", &facts), [], "16 bits, and IPv4 does not count");
        facts.known.control_plane.clear();
        manager(&mut facts, "fd00:244::/47", &[]);
        assert_eq!(severities("CIDR-013", &facts), [Severity::Error]);
    }

    #[test]
    fn addresses_of_a_node() {
        let mut facts = healthy();
        node(&mut facts, "small", "172.31.77.9", &["10.244.9.0/28"]);
        if let Some(node) = facts.nodes.get_mut("small") {
            node.max_pods = Some(13);
        }
        for i in 2..13 {
            pod(&mut facts, &format!("x/p{i}"), &format!("10.244.9.{i}"), "small");
        }
        assert_eq!((found("CIDR-014", &facts), found("CIDR-015", &facts)), (vec![], vec![]), "11 of 13, 84 %");
        pod(&mut facts, "x/p14", "10.244.9.13", "small");
        assert_eq!(found("CIDR-014", &facts)[0].message, "node small uses 12 of 13 pod addresses");
        if let Some(node) = facts.nodes.get_mut("small") {
            node.max_pods = Some(14);
        }
        assert_eq!(severities("CIDR-015", &facts), [Severity::Warning]);
        pod(&mut facts, "x/p15", "10.244.9.14", "small");
        facts.pods.without_address = 1;
        assert_eq!(severities("CIDR-015", &facts), [Severity::Error]);
    }

    #[test]
    fn masks_and_overlaps_of_nodes() {
        let mut facts = healthy();
        assert_eq!((found("CIDR-016", &facts), found("CIDR-017", &facts)), (vec![], vec![]));
        node(&mut facts, "half", "172.31.77.9", &["10.244.1.128/25"]);
        assert_eq!(found("CIDR-016", &facts)[0].message, "IPv4 podCIDRs have lengths /24 (3 nodes) and /25 (1 nodes)");
        assert_eq!(severities("CIDR-017", &facts), [Severity::Error]);
    }

    #[test]
    fn pods_elsewhere_and_twice() {
        let mut facts = healthy();
        assert_eq!((found("CIDR-018", &facts), found("CIDR-019", &facts)), (vec![], vec![]));
        pod(&mut facts, "x/v6", "fd00::9", "node0");
        assert_eq!(found("CIDR-018", &facts), [], "the node has no IPv6 range to lie outside of");
        pod(&mut facts, "x/moved", "10.244.2.9", "node0");
        assert_eq!(found("CIDR-018", &facts)[0].message, "1 pod address lies outside the own node's podCIDR");
        pod(&mut facts, "x/twin", "10.244.2.9", "node2");
        assert_eq!(found("CIDR-019", &facts)[0].message, "2 pods have 10.244.2.9");
    }
}
