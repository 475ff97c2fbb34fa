//! Ranges of different roles that share addresses.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    Check, Findings,
    common::{evidence, pod_ranges, service_ranges, stated},
    examples::Examples,
};
use crate::{
    cidr::{Cidr, overlaps_between},
    finding::{FindingDoc, Severity},
    ranges::{
        Facts, RangeFact, Role,
        sources::{Component, Ipam},
    },
};

/// How many pairs of ranges are told apart.
const PAIRS: usize = 50;

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CIDR-001",
            title: "pod and service ranges overlap",
            severity: "error where a pod has an address inside the service range, or the network plugin gives out \
                       addresses from pools of its own (Calico, Cilium, OVN, …), or the controller manager does not know \
                       the service range; warning where it does and leaves those addresses out",
            formula: "a stated pod range ∩ a service range (of the API server where it is known, else as recorded), or a \
                      live pod's address ∈ a service range. Pools that are disabled and kube-proxy's clusterCIDR \
                      (CIDR-009) are not compared",
            example: "pod range 10.0.0.0/8 and service range 10.96.0.0/12 overlap",
            remedy: "move one of them: pods are the easier ones (a new pool outside the service range, then restart the \
                     pods); a service range is replaced by adding a ServiceCIDR and recreating the Services",
        },
        needs: &[],
        run: pods_and_services,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-002",
            title: "pod ranges and nodes overlap",
            severity: "error",
            formula: "a node's InternalIP or ExternalIP ∈ a stated pod range, or a node network ∩ a stated pod range. Not \
                      checked where pods get addresses of the nodes' own network (AWS VPC CNI, Azure CNI, Cilium in a cloud)",
            example: "node node1 has 10.244.7.9 inside pod range 10.244.0.0/16",
            remedy: "move the pods to a range outside the nodes' network: traffic to such a node is sent to pods instead",
        },
        needs: &[],
        run: pods_and_nodes,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-003",
            title: "a node's address is inside a service range",
            severity: "error",
            formula: "a node's InternalIP or ExternalIP ∈ a service range",
            example: "node node1 has 10.96.14.2 inside service range 10.96.0.0/12",
            remedy: "give the node another address or replace the service range: a ClusterIP that equals the node's \
                     address makes the node unreachable from inside the cluster",
        },
        needs: &[],
        run: services_and_nodes,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-004",
            title: "a container bridge uses a range of the cluster",
            severity: "warning",
            formula: "the network of an interface docker0, podman0, cni-podman0 or lxcbr0 on a node ∩ a pod or service \
                      range; where a node's runtime is Docker, also the ranges that Docker gives its bridges",
            example: "docker0 on node node1 has 172.17.0.1/16, which overlaps service range 172.17.0.0/16",
            remedy: "set another range for the bridge (Docker: bip and default-address-pools in /etc/docker/daemon.json), \
                     or remove the bridge if nothing uses it",
        },
        needs: &[],
        run: bridges,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-006",
            title: "an outside network overlaps a range of the cluster",
            severity: "error for pod and service ranges, warning for load-balancer, node and internal ranges",
            formula: "a range that was given with --external or --external-context ∩ a stated range of the cluster. A \
                      node range inside the outside network is what one expects of a VPC, and is silent",
            example: "external 10.244.128.0/17 (vpn.txt line 3) overlaps pod range 10.244.0.0/16",
            remedy: "one of the two must move, or addresses must be translated between them: pods reach neither",
        },
        needs: &[],
        run: outside_networks,
    },
];

fn pods_and_services(facts: &Facts, findings: &mut Findings<'_>) {
    let pods: Vec<Cidr> = pod_ranges(facts).into_iter().collect();
    let services: Vec<Cidr> = service_ranges(facts).into_iter().collect();
    let live = |service: &Cidr| facts.pods.inside(service).first();
    let mut told = Vec::new();
    for (pod, service) in overlaps_between(pods.iter().copied(), services.iter().copied(), PAIRS).pairs {
        let (Some(pod), Some(service)) = (pods.get(pod), services.get(service)) else { continue };
        let mut lines = evidence(facts, Role::Pod, pod);
        lines.extend(evidence(facts, Role::Service, service));
        let in_use = facts.pods.inside(service).iter().find(|address| pod.contains_ip(address.ip));
        if let Some(address) = in_use {
            told.push(*service);
            lines.push(format!("pod {}: {}", facts.pods.names.get(address.pod), address.ip));
        }
        let (severity, why) = if in_use.is_some() {
            (Severity::Error, "a pod already has a service address")
        } else if facts.known.ipam().is_some_and(Ipam::ignores_service_range) {
            (Severity::Error, "the network plugin does not leave them out")
        } else {
            match left_out(facts, service) {
                Some(true) => (Severity::Warning, "the controller manager leaves them out"),
                Some(false) => (Severity::Error, "the controller manager does not leave them out"),
                None => (Severity::Warning, "whether the controller manager leaves them out is not known"),
            }
        };
        let message = format!("pod range {pod} and service range {service} overlap: {why}");
        findings.add(severity, pod.to_string(), message, lines);
    }
    for service in services.iter().filter(|service| !told.contains(service)) {
        if let Some(address) = live(service) {
            let mut lines = evidence(facts, Role::Service, service);
            lines.push(format!("pod {}: {}", facts.pods.names.get(address.pod), address.ip));
            let message = format!("pods have addresses inside service range {service}");
            findings.add(Severity::Error, service.to_string(), message, lines);
        }
    }
}

/// Whether every controller manager that is known leaves the service range out of the nodes' ranges.
fn left_out(facts: &Facts, service: &Cidr) -> Option<bool> {
    let managers = facts.known.control_plane.iter().filter(|m| m.component == Component::ControllerManager);
    let knows: Vec<bool> = managers
        .map(|manager| {
            let text = manager.flag("service-cluster-ip-range").unwrap_or_default();
            let ranges = crate::cidr::parse_list(text).into_iter().filter_map(Result::ok);
            ranges.into_iter().any(|written| written.cidr.contains(service))
        })
        .collect();
    (!knows.is_empty()).then(|| knows.iter().all(|knows| *knows))
}

/// Each range with the nodes that have an address in it.
fn nodes_inside(facts: &Facts, ranges: &[Cidr]) -> BTreeMap<Cidr, Examples> {
    let mut found: BTreeMap<Cidr, Examples> = BTreeMap::new();
    for node in facts.nodes.values() {
        for ip in &node.addresses {
            for range in ranges.iter().filter(|range| range.contains_ip(*ip)) {
                found.entry(*range).or_default().add(|| format!("node {} status.addresses: {ip}", node.name));
            }
        }
    }
    found
}

fn pods_and_nodes(facts: &Facts, findings: &mut Findings<'_>) {
    if matches!(facts.known.ipam(), Some(Ipam::Aws | Ipam::Azure | Ipam::CiliumCloud)) {
        return;
    }
    let pods: Vec<Cidr> = pod_ranges(facts).into_iter().collect();
    let inside = nodes_inside(facts, &pods);
    let told: Vec<Cidr> = inside.keys().copied().collect();
    for (range, nodes) in inside {
        let count = nodes.count();
        let what = if count == 1 { "1 node address lies".to_owned() } else { format!("{count} node addresses lie") };
        let mut lines = evidence(facts, Role::Pod, &range);
        lines.extend(nodes.into_evidence());
        findings.add(Severity::Error, range.to_string(), format!("{what} inside pod range {range}"), lines);
    }
    let nodes: Vec<&RangeFact> = stated(facts, Role::Node).collect();
    for (pod, node) in overlaps_between(pods.iter().copied(), nodes.iter().map(|fact| fact.range), PAIRS).pairs {
        let (Some(pod), Some(node)) = (pods.get(pod), nodes.get(node)) else { continue };
        if told.contains(pod) {
            continue;
        }
        let mut lines = evidence(facts, Role::Pod, pod);
        lines.push(format!("{}: {}", node.origin, node.text));
        let message = format!("pod range {pod} and node network {} overlap", node.cidr);
        findings.add(Severity::Error, pod.to_string(), message, lines);
    }
}

fn services_and_nodes(facts: &Facts, findings: &mut Findings<'_>) {
    let services: Vec<Cidr> = service_ranges(facts).into_iter().collect();
    for (range, nodes) in nodes_inside(facts, &services) {
        let count = nodes.count();
        let what = if count == 1 { "1 node address lies".to_owned() } else { format!("{count} node addresses lie") };
        let mut lines = evidence(facts, Role::Service, &range);
        lines.extend(nodes.into_evidence());
        findings.add(Severity::Error, range.to_string(), format!("{what} inside service range {range}"), lines);
    }
}

const BRIDGES: [&str; 4] = ["docker0", "podman0", "cni-podman0", "lxcbr0"];

fn bridges(facts: &Facts, findings: &mut Findings<'_>) {
    let mut bridges: BTreeMap<(Cidr, &str), Examples> = BTreeMap::new();
    for (node, network) in &facts.known.networks {
        for interface in network.interfaces.iter().filter(|i| BRIDGES.contains(&i.name.as_str())) {
            for address in interface.addresses.iter().filter(|a| !is_link_local(a.ip)) {
                let name = interface.name.as_str();
                bridges
                    .entry((address.network, name))
                    .or_default()
                    .add(|| format!("{} {}: {name} on node {node}", network.addresses_file, address.ip));
            }
        }
    }
    let docker = facts.nodes.values().find(|node| node.container_runtime.starts_with("docker://"));
    if let Some(node) = docker {
        for default in crate::ranges::defaults::defaults().filter(|d| d.whose == "Docker") {
            bridges.entry((default.cidr, "Docker's default pools")).or_default().add(|| {
                format!("node {} status.nodeInfo.containerRuntimeVersion: {}", node.name, node.container_runtime)
            });
        }
    }
    let mut cluster: Vec<(Role, Cidr)> = pod_ranges(facts).into_iter().map(|cidr| (Role::Pod, cidr)).collect();
    cluster.extend(service_ranges(facts).into_iter().map(|cidr| (Role::Service, cidr)));
    for ((network, name), nodes) in bridges {
        let hit = cluster.iter().find(|(_, cidr)| cidr.overlaps(&network));
        let Some((role, cidr)) = hit else { continue };
        let what = if *role == Role::Pod { "pod" } else { "service" };
        let mut lines = nodes.into_evidence();
        lines.extend(evidence(facts, *role, cidr));
        let message = format!("{name} ({network}) overlaps {what} range {cidr}");
        findings.add(Severity::Warning, network.to_string(), message, lines);
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn outside_networks(facts: &Facts, findings: &mut Findings<'_>) {
    let outside: Vec<&RangeFact> = facts.ranges.iter().filter(|fact| fact.role == Role::External).collect();
    if outside.is_empty() {
        return;
    }
    let mut own: Vec<&RangeFact> = [Role::Pod, Role::Service, Role::Node, Role::Loadbalancer, Role::Internal]
        .into_iter()
        .flat_map(|role| stated(facts, role))
        .collect();
    own.sort_by_key(|fact| (fact.role, fact.range, fact.origin.confidence));
    own.dedup_by_key(|fact| (fact.role, fact.range));
    for (theirs, ours) in overlaps_between(outside.iter().map(|f| f.range), own.iter().map(|f| f.range), 1000).pairs {
        let (Some(theirs), Some(ours)) = (outside.get(theirs), own.get(ours)) else { continue };
        // the VPC that the nodes live in holds their network
        if ours.role == Role::Node && theirs.cidr.contains(&ours.cidr) {
            continue;
        }
        let (severity, what) = match ours.role {
            Role::Pod => (Severity::Error, "pod range"),
            Role::Service => (Severity::Error, "service range"),
            Role::Node => (Severity::Warning, "node network"),
            Role::Loadbalancer => (Severity::Warning, "load-balancer range"),
            Role::External | Role::Internal => (Severity::Warning, "internal range"),
        };
        let mut lines = vec![format!("{}: {}", theirs.origin, theirs.text)];
        lines.extend(evidence(facts, ours.role, &ours.cidr));
        let message = format!("external {} overlaps {what} {}", theirs.text, ours.text);
        findings.add(severity, theirs.cidr.to_string(), message, lines);
    }
}

#[cfg(test)]
#[path = "overlap_tests.rs"]
mod tests;
