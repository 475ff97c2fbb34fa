//! Ranges that network plugins keep for themselves.

use super::{Check, Findings};
use crate::{
    cidr::{Cidr, IpRange, overlaps, overlaps_between},
    finding::{FindingDoc, Severity},
    ranges::{Confidence, Facts, RangeFact, Role, sources::InternalNetwork},
};

/// How many pairs are told apart.
const CAP: usize = 50;

/// The check of this file.
pub(super) static CHECKS: &[Check] = &[Check {
    doc: FindingDoc {
        id: "CIDR-039",
        title: "a network plugin's internal range is used for something else",
        severity: "error; warning where the internal range is only the plugin's default and is not stated anywhere",
        formula: "a join, transit or masquerade network of OVN-Kubernetes or the join subnet of Kube-OVN ∩ a pod, \
                  service, node or load-balancer range, a node's address, or another internal network. Networks of \
                  tenants, of other VPCs and secondary networks may overlap and are not compared",
        example: "join network 100.64.0.0/16 shares addresses with node range 100.64.8.0/22",
        remedy: "give the plugin another internal range: OpenShift: oc patch network.operator cluster, field \
                 spec.defaultNetwork.ovnKubernetesConfig.ipv4.internalJoinSubnet (internalTransitSwitchSubnet; \
                 gatewayConfig.ipv4.internalMasqueradeSubnet); Kube-OVN: spec.cidrBlock of subnet join, as its manual \
                 describes; the plugin's pods and the gateways restart",
    },
    needs: &[],
    run,
}];

fn run(facts: &Facts, findings: &mut Findings<'_>) {
    let networks = &facts.known.internal_networks;
    if networks.is_empty() {
        return;
    }
    let own = || networks.iter().map(|n| IpRange::from(n.cidr));
    let mut others: Vec<_> = facts.ranges.iter().filter(|r| compared(r)).collect();
    others.sort_by_key(|r| (r.role, r.range, r.origin.confidence));
    others.dedup_by_key(|r| (r.role, r.range));
    for (network, other) in overlaps_between(own(), others.iter().map(|r| r.range), CAP).pairs {
        let (Some(network), Some(other)) = (networks.get(network), others.get(other)) else { continue };
        let what = match other.role {
            Role::Pod => "pod range",
            Role::Service => "service range",
            Role::Node => "node range",
            _ => "load-balancer range",
        };
        add(network, what, &other.cidr, format!("{}: {}", other.origin, other.text), findings);
    }
    let nodes: Vec<_> =
        facts.nodes.values().flat_map(|node| node.addresses.iter().map(move |ip| (node, Cidr::host(*ip)))).collect();
    for (network, node) in overlaps_between(own(), nodes.iter().map(|(_, host)| *host), CAP).pairs {
        let (Some(network), Some((node, host))) = (networks.get(network), nodes.get(node)) else { continue };
        let evidence = format!("node {} status.addresses: {}", node.name, host.first());
        add(network, &format!("node {}", node.name), host, evidence, findings);
    }
    for (left, right) in overlaps(own(), CAP).pairs {
        let (Some(left), Some(right)) = (networks.get(left), networks.get(right)) else { continue };
        // two sources that state the same network agree, or one of them is a default
        if left.purpose != right.purpose {
            let what = format!("{} network", right.purpose);
            add(left, &what, &right.cidr, format!("{}: {}", right.origin, right.cidr), findings);
        }
    }
}

fn compared(range: &RangeFact) -> bool {
    !range.lower_bound && matches!(range.role, Role::Pod | Role::Service | Role::Node | Role::Loadbalancer)
}

fn add(network: &InternalNetwork, what: &str, other: &Cidr, evidence: String, findings: &mut Findings<'_>) {
    let severity = if network.origin.confidence == Confidence::D { Severity::Warning } else { Severity::Error };
    findings.add(
        severity,
        network.cidr.to_string(),
        format!("{} network {} shares addresses with {what} {other}", network.purpose, network.cidr),
        vec![format!("{}: {}", network.origin, network.cidr), evidence],
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::Finding,
        ranges::{NodeFacts, Origin},
    };

    fn facts(confidence: Confidence) -> Facts {
        let mut facts = Facts::default();
        for (purpose, text) in [("join", "100.64.0.0/16"), ("transit", "100.88.0.0/16")] {
            let origin = Origin::new("ovn-kubernetes", confidence, "node a", purpose);
            facts.add_ranges(Role::Internal, text, &origin);
            let cidr = text.parse().unwrap();
            facts.known.internal_networks.push(InternalNetwork { purpose, cidr, origin });
        }
        facts
    }

    fn state(facts: &mut Facts, role: Role, text: &str) {
        facts.add_ranges(role, text, &Origin::new("test", Confidence::B, "object", "field"));
    }

    fn found(facts: &Facts) -> Vec<Finding> {
        super::super::run_these(CHECKS, facts).0
    }

    #[test]
    fn a_node_range_in_the_join_network() {
        let mut facts = facts(Confidence::A);
        state(&mut facts, Role::Node, "100.64.8.0/22");
        let found = found(&facts);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Error);
        assert_eq!(found[0].message, "join network 100.64.0.0/16 shares addresses with node range 100.64.8.0/22");
        assert_eq!(found[0].evidence, ["node a join: 100.64.0.0/16", "object field: 100.64.8.0/22"]);
    }

    #[test]
    fn a_mere_default_is_a_warning() {
        let mut facts = facts(Confidence::D);
        let node =
            NodeFacts { name: "n".into(), addresses: vec!["100.88.3.4".parse().unwrap()], ..NodeFacts::default() };
        facts.nodes.insert("n".into(), node);
        let found = found(&facts);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Warning);
    }

    #[test]
    fn two_internal_networks_of_different_purpose() {
        let mut facts = facts(Confidence::A);
        let origin = Origin::new("openshift", Confidence::B, "network", "masquerade");
        let cidr = "100.88.0.0/17".parse().unwrap();
        facts.known.internal_networks.push(InternalNetwork { purpose: "masquerade", cidr, origin: origin.clone() });
        assert_eq!(found(&facts).len(), 1);
        // the same network, stated by two
        facts.known.internal_networks.pop();
        let cidr = "100.88.0.0/16".parse().unwrap();
        facts.known.internal_networks.push(InternalNetwork { purpose: "transit", cidr, origin });
        assert_eq!(found(&facts), []);
    }

    #[test]
    fn neighbours_and_tenants_are_silent() {
        let mut facts = facts(Confidence::A);
        state(&mut facts, Role::Pod, "100.65.0.0/16");
        state(&mut facts, Role::Service, "10.96.0.0/12");
        // a tenant's network
        state(&mut facts, Role::Internal, "100.64.0.0/10");
        assert_eq!(found(&facts), []);
    }
}
