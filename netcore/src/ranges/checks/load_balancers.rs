//! Load-balancer pools and external addresses against everything else.

use std::net::IpAddr;

use super::{Check, Findings};
use crate::{
    cidr::{IpRange, overlaps_between},
    cluster::{ReadStatus, resources},
    finding::{FindingDoc, Severity},
    ranges::{
        Facts, RangeFact, Role,
        sources::{Ipam, PoolNames},
    },
};

/// How many pairs are told apart.
const CAP: usize = 100;

/// Sources whose ranges are handed out; others only permit what a Service may ask for.
const POOLS: [&str; 5] = ["metallb", "kube-vip", "antrea", "openshift", "cilium-ippool"];

/// The check of this file.
pub(super) static CHECKS: &[Check] = &[Check {
    doc: FindingDoc {
        id: "CIDR-005",
        title: "load-balancer or external addresses inside another range",
        severity: "error: a pool shares an address with a pod or service range, or a Service's externalIP is in a \
                   service range; warning: the rest",
        formula: "a load-balancer or external pool ∩ a declared pod range (not where pods have addresses of the \
                  cloud's own network) or ∩ a service range; spec.externalIPs ∈ a service range; a load balancer's \
                  address ∈ a service range, unless it is that Service's own ClusterIP; a node's address ∈ a pool; a \
                  MetalLB pool that is only announced on layer 2 and in no network of the nodes, or only by BGP and \
                  in one (where OVN-Kubernetes lists all their networks)",
        example: "pool 10.96.240.0/24 (ipaddresspool metallb-system/lan) shares addresses with service range \
                  10.96.0.0/12",
        remedy: "choose another range for the pool (kubectl netcidr free /24), add it as a second pool, switch \
                 autoAssign off on the old one, recreate the Services that have an address of it, then delete it; an \
                 externalIP: take it out of the Service",
    },
    needs: &[],
    run,
}];

fn run(facts: &Facts, findings: &mut Findings<'_>) {
    for resource in [&resources::SERVICES, &resources::METALLB_IPADDRESSPOOLS] {
        if let Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) = facts.list_status(resource) {
            findings.not_checked(format!("only in part; needs {}: {reason}", resource.full_name()));
        }
    }
    let pools = distinct(facts, |r| r.role == Role::Loadbalancer);
    let services = distinct(facts, |r| r.role == Role::Service);
    let pods = if flat(facts) { Vec::new() } else { declared_pods(facts) };
    against(&pools, &services, "service", findings);
    against(&pools, &pods, "pod", findings);
    nodes_inside(facts, &pools, findings);
    service_addresses(facts, &services, findings);
    announced(facts, &pools, findings);
}

/// Whether pods have addresses of the network that load balancers have theirs of, too.
fn flat(facts: &Facts) -> bool {
    matches!(facts.known.ipam(), Some(Ipam::Aws | Ipam::Azure | Ipam::CiliumCloud))
}

/// Each stated range once, of the first source that states it.
fn distinct(facts: &Facts, wanted: impl Fn(&RangeFact) -> bool) -> Vec<&RangeFact> {
    let mut ranges: Vec<_> = facts.ranges.iter().filter(|r| !r.lower_bound && wanted(r)).collect();
    ranges.sort_by_key(|r| (r.range, r.origin.confidence));
    ranges.dedup_by_key(|r| r.range);
    ranges
}

/// The cluster's pod ranges, or the nodes' shares where nobody states them.
fn declared_pods(facts: &Facts) -> Vec<&RangeFact> {
    let whole = distinct(facts, |r| r.role == Role::Pod && r.share_of.is_none());
    if whole.is_empty() { distinct(facts, |r| r.role == Role::Pod) } else { whole }
}

fn against(pools: &[&RangeFact], others: &[&RangeFact], what: &str, findings: &mut Findings<'_>) {
    let ranges = |facts: &[&RangeFact]| -> Vec<IpRange> { facts.iter().map(|r| r.range).collect() };
    for (pool, other) in overlaps_between(ranges(pools), ranges(others), CAP).pairs {
        let (Some(pool), Some(other)) = (pools.get(pool), others.get(other)) else { continue };
        findings.add(
            Severity::Error,
            &pool.text,
            format!("pool {} ({}) shares addresses with {what} range {}", pool.text, pool.origin.object, other.cidr),
            vec![evidence(pool), evidence(other)],
        );
    }
}

fn evidence(range: &RangeFact) -> String {
    format!("{}: {}", range.origin, range.text)
}

fn nodes_inside(facts: &Facts, pools: &[&RangeFact], findings: &mut Findings<'_>) {
    let pools: Vec<_> = pools.iter().filter(|pool| POOLS.contains(&pool.origin.source)).collect();
    let nodes: Vec<(&str, IpAddr)> =
        facts.nodes.values().flat_map(|node| node.addresses.iter().map(|ip| (node.name.as_str(), *ip))).collect();
    let addresses = nodes.iter().filter_map(|(_, ip)| IpRange::new(*ip, *ip));
    for (pool, node) in overlaps_between(pools.iter().map(|pool| pool.range), addresses, CAP).pairs {
        let (Some(pool), Some((node, ip))) = (pools.get(pool), nodes.get(node)) else { continue };
        findings.add(
            Severity::Warning,
            &pool.text,
            format!(
                "pool {} ({}) can give out {ip}, which is node {node}'s own address",
                pool.text, pool.origin.object
            ),
            vec![evidence(pool), format!("node {node} status.addresses: {ip}")],
        );
    }
}

fn service_addresses(facts: &Facts, services: &[&RangeFact], findings: &mut Findings<'_>) {
    for service in &facts.services {
        let name = format!("service {}/{}", service.namespace, service.name);
        let external = service.external_ips.iter().map(|ip| (ip, "spec.externalIPs", Severity::Error));
        // minikube tunnel and its like state the Service's own ClusterIP as the load balancer's
        let own = |ip: &&IpAddr| !service.cluster_ips.contains(ip);
        let balancer = service.load_balancer_ips.iter().filter(own);
        let balancer = balancer.map(|ip| (ip, "status.loadBalancer.ingress", Severity::Warning));
        for (ip, field, severity) in external.chain(balancer) {
            // few ranges: a cluster has a handful of service ranges
            let Some(range) = services.iter().find(|range| range.range.contains_ip(*ip)) else { continue };
            findings.add(
                severity,
                &name,
                format!("{ip} of {field} is inside service range {}", range.cidr),
                vec![format!("{name} {field}: {ip}"), evidence(range)],
            );
        }
    }
}

fn announced(facts: &Facts, pools: &[&RangeFact], findings: &mut Findings<'_>) {
    let announcements = &facts.known.metallb;
    if facts.known.node_networks.is_empty() || announcements.layer2.selected || announcements.bgp.selected {
        return;
    }
    for pool in pools.iter().filter(|pool| pool.origin.source == "metallb") {
        let name = pool.origin.object.rsplit('/').next().unwrap_or_default();
        let by = |pools: &PoolNames| pools.all || pools.names.contains(name);
        let networks = facts.known.node_networks.iter().filter(|n| n.family() == pool.range.family());
        let mut networks = networks.map(|n| IpRange::from(*n)).peekable();
        if networks.peek().is_none() {
            continue;
        }
        let inside = !overlaps_between([pool.range], networks, 1).pairs.is_empty();
        let message = match (by(&announcements.layer2), by(&announcements.bgp), inside) {
            (true, false, false) => "is announced on layer 2 only, but is in no network of the nodes",
            (false, true, true) => "is announced by BGP only, but is in a network of the nodes, where hosts ask by ARP",
            _ => continue,
        };
        findings.add(
            Severity::Warning,
            &pool.text,
            format!("pool {} ({}) {message}", pool.text, pool.origin.object),
            vec![evidence(pool)],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::Finding,
        ranges::{Confidence, NodeFacts, Origin, ServiceFacts},
    };

    fn state(facts: &mut Facts, role: Role, source: &'static str, text: &str) {
        let object = if source == "metallb" { "ipaddresspool metallb-system/lan" } else { "object" };
        facts.add_ranges(role, text, &Origin::new(source, Confidence::B, object, "field"));
    }

    fn facts(pool: &str) -> Facts {
        let mut facts = Facts::default();
        state(&mut facts, Role::Service, "servicecidr", "10.96.0.0/12");
        state(&mut facts, Role::Pod, "kubeadm-config", "10.244.0.0/16");
        state(&mut facts, Role::Loadbalancer, "metallb", pool);
        let node =
            NodeFacts { name: "node1".into(), addresses: vec!["192.168.1.5".parse().unwrap()], ..NodeFacts::default() };
        facts.nodes.insert("node1".into(), node);
        facts
    }

    fn found(facts: &Facts) -> Vec<Finding> {
        super::super::run_these(CHECKS, facts).0
    }

    #[test]
    fn a_pool_inside_the_service_range() {
        let found = found(&facts("10.100.0.10-10.100.0.20"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Error);
        assert!(found[0].message.contains("shares addresses with service range 10.96.0.0/12"));
        assert_eq!(found[0].evidence[0], "ipaddresspool metallb-system/lan field: 10.100.0.10-10.100.0.20");
    }

    #[test]
    fn a_pool_that_holds_a_node() {
        let found = found(&facts("192.168.1.0/28"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(found[0].message.contains("192.168.1.5, which is node node1's own address"));
    }

    #[test]
    fn a_pool_beside_the_node_and_the_ranges_is_silent() {
        assert_eq!(found(&facts("192.168.1.6-192.168.1.9")), []);
        assert_eq!(found(&facts("10.112.0.0/24")), []);
        assert_eq!(found(&facts("10.245.0.0/24")), []);
    }

    #[test]
    fn pods_of_the_clouds_own_network_are_no_overlap() {
        let mut facts = facts("10.244.9.0/24");
        assert_eq!(found(&facts).len(), 1);
        facts.known.says_ipam(Ipam::Aws, Origin::new("t", Confidence::B, "t", "t"));
        assert_eq!(found(&facts), []);
    }

    #[test]
    fn an_external_address_in_the_service_range() {
        let mut facts = facts("192.168.1.8/30");
        let ip = |text: &str| vec![text.parse().unwrap()];
        facts.services.push(ServiceFacts {
            namespace: "default".into(),
            name: "web".into(),
            cluster_ips: ip("10.96.0.9"),
            external_ips: ip("10.96.0.80"),
            // its own ClusterIP, as minikube states it
            load_balancer_ips: ip("10.96.0.9"),
            ..ServiceFacts::default()
        });
        let found = found(&facts);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].subject, "service default/web");
        assert!(found[0].message.starts_with("10.96.0.80 of spec.externalIPs"));
    }

    #[test]
    fn a_layer_2_pool_that_no_node_is_near() {
        let mut facts = facts("192.168.7.8/30");
        facts.known.metallb.layer2.all = true;
        assert_eq!(found(&facts), [], "the nodes' networks are not all known");
        facts.known.node_networks.insert("192.168.1.0/24".parse().unwrap());
        assert!(found(&facts)[0].message.contains("in no network of the nodes"));
        facts.known.metallb.bgp.names.insert("lan".into());
        assert_eq!(found(&facts), [], "BGP carries it");
    }
}
