//! Each check of overlaps with a case that fires and a near miss.

use super::super::testing::{cidr, found, healthy, ip, member, node, pod, severities, state};
use super::*;
use crate::{
    ranges::{Confidence, Origin},
    route::{Interface, InterfaceAddress},
};

#[test]
fn pods_beside_services_are_silent_and_on_top_are_not() {
    let mut facts = healthy();
    state(&mut facts, Role::Pod, Confidence::B, "10.97.0.0/16");
    assert_eq!(found("CIDR-001", &facts), []);
    state(&mut facts, Role::Pod, Confidence::B, "10.0.0.0/9");
    // nobody knows the controller manager's flags
    assert_eq!(severities("CIDR-001", &facts), [Severity::Warning]);
    member(&mut facts, Component::ControllerManager, &[("service-cluster-ip-range", "10.96.0.0/16")]);
    assert_eq!(severities("CIDR-001", &facts), [Severity::Warning], "it leaves the range out");
    member(&mut facts, Component::ControllerManager, &[]);
    assert_eq!(severities("CIDR-001", &facts), [Severity::Error], "one of them does not");
}

#[test]
fn a_plugin_with_pools_of_its_own_makes_it_an_error() {
    let mut facts = healthy();
    facts.known.ipams.clear();
    facts.known.says_ipam(Ipam::CiliumClusterPool, Origin::new("cilium", Confidence::B, "o", "f"));
    state(&mut facts, Role::Pod, Confidence::B, "10.0.0.0/8");
    assert_eq!(severities("CIDR-001", &facts), [Severity::Error]);
}

#[test]
fn a_pod_with_a_service_address_needs_no_stated_range() {
    let mut facts = healthy();
    pod(&mut facts, "default/odd", "10.96.200.1", "node0");
    let found = found("CIDR-001", &facts);
    assert_eq!(found[0].message, "pods have addresses inside service range 10.96.0.0/16");
    assert_eq!(found[0].severity, Severity::Error);
}

#[test]
fn a_node_inside_the_pod_range() {
    let mut facts = healthy();
    node(&mut facts, "near", "10.245.0.1", &["10.244.9.0/24"]);
    assert_eq!(found("CIDR-002", &facts), []);
    node(&mut facts, "inside", "10.244.200.1", &["10.244.10.0/24"]);
    let first = found("CIDR-002", &facts);
    assert_eq!(first[0].message, "1 node address lies inside pod range 10.244.0.0/16");
    facts.known.ipams.clear();
    facts.known.says_ipam(Ipam::Aws, Origin::new("aws", Confidence::B, "o", "f"));
    assert_eq!(found("CIDR-002", &facts), [], "pods of the VPC share the nodes' network");
}

#[test]
fn a_node_network_over_the_pod_range() {
    let mut facts = healthy();
    state(&mut facts, Role::Node, Confidence::A, "172.31.77.0/24");
    assert_eq!(found("CIDR-002", &facts), []);
    state(&mut facts, Role::Node, Confidence::A, "10.240.0.0/13");
    assert_eq!(severities("CIDR-002", &facts), [Severity::Error]);
}

#[test]
fn a_node_inside_the_service_range() {
    let mut facts = healthy();
    node(&mut facts, "near", "10.97.0.1", &[]);
    assert_eq!(found("CIDR-003", &facts), []);
    node(&mut facts, "inside", "10.96.255.254", &[]);
    assert_eq!(severities("CIDR-003", &facts), [Severity::Error]);
}

fn bridge(facts: &mut Facts, network: &str) {
    let address = InterfaceAddress { ip: ip("172.17.0.1"), network: cidr(network), scope: "global".to_owned() };
    let interface = Interface { name: "docker0".to_owned(), addresses: vec![address], ..Interface::default() };
    facts.known.networks.entry("node0".to_owned()).or_default().interfaces = vec![interface];
}

#[test]
fn a_bridge_on_a_cluster_range() {
    let mut facts = healthy();
    bridge(&mut facts, "172.17.0.0/16");
    assert_eq!(found("CIDR-004", &facts), []);
    bridge(&mut facts, "10.244.0.0/24");
    assert_eq!(severities("CIDR-004", &facts), [Severity::Warning]);
    // Docker as the runtime: the pools that it takes by itself
    let mut facts = healthy();
    state(&mut facts, Role::Pod, Confidence::B, "192.168.0.0/16");
    assert_eq!(found("CIDR-004", &facts), []);
    if let Some(node) = facts.nodes.get_mut("node0") {
        node.container_runtime = "docker://20.10.7".to_owned();
    }
    assert_eq!(severities("CIDR-004", &facts), [Severity::Warning]);
}

#[test]
fn outside_networks_are_compared_with_all_roles() {
    let mut facts = healthy();
    state(&mut facts, Role::External, Confidence::C, "10.245.0.0/16");
    state(&mut facts, Role::Node, Confidence::A, "172.31.77.0/24");
    state(&mut facts, Role::External, Confidence::C, "172.31.0.0/16");
    assert_eq!(found("CIDR-006", &facts), [], "the VPC of the nodes");
    state(&mut facts, Role::External, Confidence::C, "10.244.128.0/17");
    let found = found("CIDR-006", &facts);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "external 10.244.128.0/17 overlaps pod range 10.244.0.0/16");
}
