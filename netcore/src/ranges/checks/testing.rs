//! Facts for the tests of checks: a small healthy cluster, to which each test adds what is wrong.

use std::net::IpAddr;

use crate::{
    cidr::Cidr,
    cluster::{ReadStatus, resources},
    finding::{Finding, Severity},
    ranges::{
        Confidence, Facts, NodeFacts, Origin, PodAddress, Role, ServiceFacts, Want,
        sources::{Argument, Component, Ipam, Member},
    },
};

pub(super) fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A kubeadm cluster with flannel, read whole: three nodes, both families' nodes but IPv4 pods.
pub(super) fn healthy() -> Facts {
    let mut facts = Facts { version: Some("v1.36.3".to_owned()), ..Facts::default() };
    for resource in [
        &resources::NODES,
        &resources::PODS,
        &resources::SERVICES,
        &resources::SERVICECIDRS,
        &resources::IPADDRESSES,
        &resources::DAEMONSETS,
    ] {
        facts.reads.insert(Want::list(resource), ReadStatus::Complete);
    }
    state(&mut facts, Role::Service, Confidence::A, "10.96.0.0/16");
    state(&mut facts, Role::Pod, Confidence::B, "10.244.0.0/16");
    for i in 0..3 {
        let name = format!("node{i}");
        let pod_cidr = format!("10.244.{i}.0/24");
        node(&mut facts, &name, &format!("172.31.77.{}", i + 2), &[&pod_cidr]);
        pod(&mut facts, &format!("default/web-{i}"), &format!("10.244.{i}.5"), &name);
    }
    facts.known.says_ipam(Ipam::NodeIpam, Origin::new("flannel", Confidence::B, "configmap", "net-conf.json"));
    service(&mut facts, "default/kubernetes", "10.96.0.1");
    service(&mut facts, "kube-system/kube-dns", "10.96.0.10");
    facts.pods.sort();
    facts
}

pub(super) fn state(facts: &mut Facts, role: Role, confidence: Confidence, text: &str) {
    facts.add_ranges(role, text, &Origin::new("test", confidence, "object", "field"));
}

pub(super) fn node(facts: &mut Facts, name: &str, address: &str, pod_cidrs: &[&str]) {
    let node = NodeFacts {
        name: name.to_owned(),
        pod_cidrs: pod_cidrs.iter().map(|text| cidr(text)).collect(),
        addresses: vec![ip(address)],
        internal: vec![ip(address)],
        max_pods: Some(110),
        ready: true,
        ..NodeFacts::default()
    };
    for text in pod_cidrs {
        let origin = Origin::new("node", Confidence::A, format!("node {name}"), "spec.podCIDRs[0]");
        facts.add_share(Role::Pod, text, &origin, name);
    }
    facts.nodes.insert(name.to_owned(), node);
}

pub(super) fn pod(facts: &mut Facts, name: &str, address: &str, node: &str) {
    let node = facts.pods.node_index(node);
    if let Some(count) = facts.pods.per_node.get_mut(node as usize) {
        *count += 1;
    }
    let pod = facts.pods.names.push(name);
    facts.pods.addresses.push(PodAddress { ip: ip(address), pod, node });
    facts.pods.sort();
}

/// A Service with its allocation.
pub(super) fn service(facts: &mut Facts, name: &str, address: &str) {
    let (namespace, short) = name.split_once('/').unwrap();
    facts.services.push(ServiceFacts {
        namespace: namespace.to_owned(),
        name: short.to_owned(),
        kind: "ClusterIP".to_owned(),
        cluster_ips: vec![ip(address)],
        ..ServiceFacts::default()
    });
    facts.cluster_ips.push(crate::ranges::ClusterIp { ip: ip(address), parent: name.to_owned() });
}

pub(super) fn member(facts: &mut Facts, component: Component, flags: &[(&str, &str)]) {
    let argument = |value: &str| Argument { value: value.to_owned(), field: "spec.containers[0].command".to_owned() };
    let object = format!("pod kube-system/{}-{}", component.program(), facts.known.control_plane.len());
    facts.known.control_plane.push(Member {
        component,
        object,
        node: String::new(),
        arguments: flags.iter().map(|(name, value)| ((*name).to_owned(), argument(value))).collect(),
    });
}

/// What a check finds, with nothing left unchecked.
pub(super) fn found(id: &str, facts: &Facts) -> Vec<Finding> {
    let (found, not_checked) = super::run_one(id, facts);
    assert!(not_checked.is_empty(), "{not_checked:?}");
    found
}

/// The severities of what a check finds.
pub(super) fn severities(id: &str, facts: &Facts) -> Vec<Severity> {
    found(id, facts).iter().map(|finding| finding.severity).collect()
}

#[test]
fn the_healthy_cluster_is_silent() {
    let (found, not_checked) = super::run(&healthy());
    assert!(found.is_empty(), "{found:#?}");
    assert!(not_checked.is_empty(), "{not_checked:#?}");
}
