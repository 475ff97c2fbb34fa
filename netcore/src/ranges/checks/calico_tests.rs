//! Each check with blocks that make it fire and a near miss.

use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::ReadStatus,
    finding::{Finding, Severity},
    ranges::{
        NodeFacts, PodAddress, Want,
        checks::run_one,
        sources::calico::tests::{crd, read_into},
    },
};

/// Two nodes, a pool of /24 in blocks of /29, and what else is given.
fn cluster(objects: &[Value], pods: &[(&str, &str)]) -> Facts {
    cluster_of(&["node1", "node2"], objects, pods)
}

fn cluster_of(nodes: &[&str], objects: &[Value], pods: &[(&str, &str)]) -> Facts {
    let mut facts = Facts::default();
    for node in nodes {
        facts.nodes.insert((*node).to_owned(), NodeFacts { name: (*node).to_owned(), ..NodeFacts::default() });
    }
    facts.pods.nodes.push("node1".to_owned());
    for (name, ip) in pods {
        let pod = facts.pods.names.push(name);
        facts.pods.addresses.push(PodAddress { ip: ip.parse().unwrap(), pod, node: 0 });
    }
    facts.pods.addresses.sort_by_key(|address| address.ip);
    facts.reads.insert(Want::list(&resources::PODS), ReadStatus::Complete);
    let mut all = vec![crd("IPPool", "pods", json!({"cidr": "10.1.0.0/24", "blockSize": 29}))];
    all.extend_from_slice(objects);
    read_into(&mut facts, &all);
    facts
}

/// A block of node1 whose addresses have the attributes given, from the first on.
fn block(attributes: &[Value]) -> Value {
    block_of("node1", "10.1.0.0/29", attributes)
}

fn block_of(node: &str, cidr: &str, attributes: &[Value]) -> Value {
    let allocations: Vec<_> = (0..attributes.len()).collect();
    crd(
        "IPAMBlock",
        &cidr.replace(['.', '/'], "-"),
        json!({"cidr": cidr, "affinity": format!("host:{node}"), "allocations": allocations, "attributes": attributes}),
    )
}

fn pod(name: &str, node: &str, time: &str) -> Value {
    json!({"handle_id": "k8s-pod-network.c", "secondary": {
        "namespace": "default", "pod": name, "node": node, "timestamp": format!("2026-08-22 {time} +0000 UTC")}})
}

fn found(id: &str, facts: &Facts) -> Vec<Finding> {
    let (found, not_checked) = run_one(id, facts);
    assert!(not_checked.is_empty(), "{not_checked:?}");
    found
}

#[test]
fn an_old_allocation_without_its_pod_is_leaked() {
    let objects = [block(&[pod("web-0", "node1", "10:00:00"), pod("web-1", "node1", "10:15:00")])];
    let found = found("CIDR-021", &cluster(&objects, &[("default/web-1", "10.1.0.1")]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subject, "ippool pods (10.1.0.0/24)");
    assert_eq!(found[0].message, "1 address is allocated to a pod that is gone");
    assert_eq!(found[0].evidence, ["ipamblock 10.1.0.0/29: 10.1.0.0 of pod default/web-0 on node node1"]);
}

#[test]
fn what_may_still_be_valid_is_not_leaked() {
    let mut released = pod("released", "node1", "10:00:00");
    released["releasedAt"] = json!("2026-08-22T10:00:01Z");
    let mut nameless = pod("nameless", "node1", "10:00:00");
    nameless["secondary"].as_object_mut().unwrap().remove("namespace");
    let mut timeless = pod("timeless", "node1", "10:00:00");
    timeless["secondary"].as_object_mut().unwrap().remove("timestamp");
    let tunnel = json!({"handle_id": "t", "secondary": {"node": "node1", "type": "ipipTunnelAddress",
        "timestamp": "2026-08-22 10:00:00 +0000 UTC"}});
    let windows = json!({"handle_id": "windows-reserved-ipam-handle", "secondary": {
        "note": "windows host rsvd", "timestamp": "2026-08-22 10:00:00 +0000 UTC"}});
    let objects = [
        block(&[released, nameless, timeless, tunnel, windows, pod("young", "node1", "10:00:01")]),
        block_of("node1", "10.1.0.8/29", &[pod("newest", "node1", "10:15:00")]),
    ];
    let facts = cluster(&objects, &[("default/newest", "10.1.0.8")]);
    assert_eq!(found("CIDR-021", &facts), []);
}

#[test]
fn leaks_need_the_whole_list_of_pods() {
    let objects = [block(&[pod("web-0", "node1", "10:00:00"), pod("web-1", "node1", "10:15:00")])];
    let mut facts = cluster(&objects, &[]);
    facts.reads.insert(Want::list(&resources::PODS), ReadStatus::Partial("410 Gone".to_owned()));
    let (found, not_checked) = run_one("CIDR-021", &facts);
    assert_eq!((found.len(), not_checked.len()), (0, 1));
    assert_eq!(not_checked[0].reason, "needs pods: 410 Gone");
}

#[test]
fn an_address_in_use_must_be_allocated() {
    let objects = [block(&[pod("web-0", "node1", "10:00:00")])];
    let pods = [("default/web-0", "10.1.0.0"), ("default/web-1", "10.1.0.1"), ("default/elsewhere", "10.2.0.1")];
    let found = found("CIDR-022", &cluster(&objects, &pods));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].severity, Severity::Error);
    assert_eq!(found[0].evidence, ["pod default/web-1: 10.1.0.1 on node node1"]);
}

#[test]
fn tunnels_must_be_allocated_too() {
    let node = |ip: &str| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "annotations": {
            "projectcalico.org/IPv4VXLANTunnelAddr": ip}}})
    };
    let tunnel = json!({"handle_id": "t", "secondary": {"node": "node1", "type": "vxlanTunnelAddress"}});
    let blocks = block(&[pod("web-0", "node1", "10:00:00"), tunnel]);
    assert_eq!(found("CIDR-022", &cluster(&[blocks.clone(), node("10.1.0.1")], &[])), []);
    let found = found("CIDR-022", &cluster(&[blocks, node("10.1.0.2")], &[]));
    assert_eq!(found[0].evidence, ["node node1: 10.1.0.2 in annotation projectcalico.org/IPv4VXLANTunnelAddr"]);
}

#[test]
fn pods_that_are_leaving_may_have_given_back_their_address() {
    let objects = [block(&[pod("web-0", "node1", "10:00:00")])];
    let mut facts = cluster(&objects, &[("default/web-1", "10.1.0.1")]);
    facts.known.calico.leaving.insert("10.1.0.1".parse().unwrap());
    assert_eq!(found("CIDR-022", &facts), []);
}

#[test]
fn another_ipam_in_the_same_range_allocates_elsewhere() {
    let mut facts = cluster(&[], &[("default/web-1", "10.1.0.1")]);
    let origin = crate::ranges::Origin::new("t", crate::ranges::Confidence::B, "o", "f");
    facts.known.says_ipam(Ipam::NodeIpam, origin);
    assert_eq!(found("CIDR-022", &facts), []);
}

#[test]
fn borrowed_addresses_are_counted() {
    let own = [pod("a", "node1", "10:00:00"), pod("b", "node1", "10:00:00")];
    assert_eq!(found("CIDR-023", &cluster(&[block(&own)], &[])), []);
    let with_borrowed = block(&[pod("a", "node1", "10:00:00"), pod("b", "node2", "10:00:00")]);
    let found_info = found("CIDR-023", &cluster(std::slice::from_ref(&with_borrowed), &[]));
    assert_eq!(found_info[0].severity, Severity::Info);
    assert_eq!(found_info[0].message, "1 of 2 addresses is borrowed from blocks of other nodes");
    assert_eq!(found_info[0].evidence, ["ipamblock 10.1.0.0/29 of node node1: 10.1.0.1 is used on node node2"]);
    let strict = crd("IPAMConfig", "default", json!({"strictAffinity": true, "autoAllocateBlocks": true}));
    let found = found("CIDR-023", &cluster(&[with_borrowed, strict], &[]));
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(found[0].message.ends_with("which strictAffinity of ipamconfig default forbids"), "{}", found[0].message);
}

#[test]
fn the_block_limit_is_twenty_or_as_set() {
    let blocks = |count: usize| -> Vec<Value> {
        (0..count).map(|i| block_of("node1", &format!("10.1.0.{}/29", i * 8), &[])).collect()
    };
    assert_eq!(found("CIDR-024", &cluster(&blocks(19), &[])), []);
    let at_limit = found("CIDR-024", &cluster(&blocks(20), &[]));
    assert_eq!(at_limit[0].message, "has 20 IPv4 blocks, and may have 20");
    assert_eq!(at_limit[0].evidence[0], "maxBlocksPerHost is not set: 20");
    let mut objects = blocks(4);
    objects.push(crd("IPAMConfig", "default", json!({"maxBlocksPerHost": 4})));
    assert_eq!(found("CIDR-024", &cluster(&objects, &[])).len(), 1);
    // an affinity that was deleted or is pending is no block
    let mut objects = blocks(19);
    for (i, (state, deleted)) in [("confirmed", "true"), ("pending", "false")].iter().enumerate() {
        let cidr = format!("10.1.1.{}/29", i * 8);
        let spec = json!({"cidr": cidr, "node": "node1", "state": state, "deleted": deleted});
        objects.push(crd("BlockAffinity", &format!("a{i}"), spec));
    }
    assert_eq!(found("CIDR-024", &cluster(&objects, &[])), []);
}

#[test]
fn blocks_of_nodes_that_are_gone() {
    let present = block(&[]);
    assert_eq!(found("CIDR-025", &cluster(std::slice::from_ref(&present), &[])), []);
    let affinity = crd("BlockAffinity", "a", json!({"cidr": "10.1.0.16/29", "node": "old", "state": "confirmed"}));
    let virtual_owner =
        crd("IPAMBlock", "v", json!({"cidr": "10.1.0.32/29", "affinity": "virtual:load-balancer", "allocations": []}));
    let objects = [present, block_of("old", "10.1.0.8/29", &[]), affinity, virtual_owner];
    let found = found("CIDR-025", &cluster(&objects, &[]));
    assert_eq!(found[0].message, "2 blocks belong to 1 node that no longer exists");
    assert_eq!(found[0].evidence, ["ipamblocks of node old: 10.1.0.8/29, 10.1.0.16/29"]);
}

#[test]
fn node_names_of_another_kind_are_not_gone() {
    let (found, not_checked) = run_one("CIDR-025", &cluster(&[block_of("10.0.0.1", "10.1.0.8/29", &[])], &[]));
    assert_eq!((found.len(), not_checked.len()), (0, 1));
}

#[test]
fn every_node_needs_a_block() {
    let blocks = [block(&[pod("a", "node1", "10:00:00")])];
    let names: Vec<String> = (0..33).map(|i| format!("node{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // a /24 in blocks of /29: 32
    assert_eq!(found("CIDR-027", &cluster_of(&names[..32], &blocks, &[])), []);
    let found = found("CIDR-027", &cluster_of(&names, &blocks, &[]));
    assert_eq!((found[0].severity, found[0].subject.as_str()), (Severity::Error, "IPv4 pools"));
    assert_eq!(found[0].message, "the pools have 32 blocks for 33 nodes");
    assert_eq!(found[0].evidence, ["ippool pods: 10.1.0.0/24 in blocks of /29"]);
}

#[test]
fn a_cluster_without_calico_says_nothing() {
    let facts = Facts::default();
    for id in ["CIDR-021", "CIDR-022", "CIDR-023", "CIDR-024", "CIDR-025", "CIDR-027"] {
        assert_eq!(run_one(id, &facts), (Vec::new(), Vec::new()));
    }
}

#[test]
fn blocks_that_could_not_be_read_are_said() {
    let mut facts = Facts::default();
    let forbidden = ReadStatus::Unreadable("forbidden".to_owned());
    facts.reads.insert(Want::list(&resources::CALICO_IPAMBLOCKS_V1), forbidden);
    facts.reads.insert(Want::list(&resources::CALICO_IPAMBLOCKS_V3), ReadStatus::Absent);
    let (_, not_checked) = run_one("CIDR-023", &facts);
    assert_eq!(not_checked[0].reason, "needs ipamblocks.crd.projectcalico.org: forbidden");
}
