//! Each check with pools that make it fire and a near miss.

use serde_json::{Value, json};

use super::*;
use crate::{
    finding::Finding,
    ranges::{
        Confidence, Origin, PodAddress, Want,
        checks::run_one,
        sources::calico::tests::{crd, read_into},
    },
};

fn facts(objects: &[Value], pods: &[(&str, &str)]) -> Facts {
    let mut facts = Facts::default();
    for (name, ip) in pods {
        let pod = facts.pods.names.push(name);
        facts.pods.addresses.push(PodAddress { ip: ip.parse().unwrap(), pod, node: u32::MAX });
    }
    facts.pods.addresses.sort_by_key(|address| address.ip);
    facts.reads.insert(Want::list(&resources::PODS), ReadStatus::Complete);
    read_into(&mut facts, objects);
    facts
}

fn found(id: &str, facts: &Facts) -> Vec<Finding> {
    let (found, not_checked) = run_one(id, facts);
    assert!(not_checked.is_empty(), "{not_checked:?}");
    found
}

fn pool(name: &str, cidr: &str) -> Value {
    crd("IPPool", name, json!({"cidr": cidr}))
}

fn lb_pool(name: &str, spec: &Value, conflict: bool) -> Value {
    let status = if conflict { "True" } else { "False" };
    json!({"apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool", "metadata": {"name": name}, "spec": spec,
        "status": {"conditions": [{"type": "cilium.io/PoolConflict", "status": status, "message": "m"}]}})
}

#[test]
fn pods_lie_in_a_calico_pool() {
    let block = crd(
        "IPAMBlock",
        "b",
        json!({"cidr": "10.1.0.0/26", "affinity": "host:a", "allocations": [0],
            "attributes": [{"handle_id": "k8s-pod-network.c", "secondary": {"namespace": "n", "pod": "p"}}]}),
    );
    let mut disabled = pool("old", "10.2.0.0/24");
    disabled["spec"]["disabled"] = json!(true);
    let objects = [pool("pods", "10.1.0.0/24"), disabled, block];
    let inside = [("n/a", "10.1.0.200"), ("n/b", "10.2.0.1"), ("n/c", "fd00::1")];
    assert_eq!(found("CIDR-020", &facts(&objects, &inside)), [], "a family without a pool says nothing");
    let found = found("CIDR-020", &facts(&objects, &[("n/a", "10.1.1.0")]));
    assert_eq!(found[0].message, "1 pod address lies outside every Calico pool");
    assert_eq!(found[0].evidence, ["pod n/a: 10.1.1.0 on node -"]);
}

#[test]
fn pods_lie_in_a_range_of_cilium() {
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "cilium-config", "namespace": "kube-system"}, "data": {"ipam": "multi-pool"}});
    let pool = json!({"apiVersion": "cilium.io/v2alpha1", "kind": "CiliumPodIPPool", "metadata": {"name": "p"},
        "spec": {"ipv4": {"cidrs": ["10.9.0.0/24"], "maskSize": 27}}});
    let objects = [config, pool];
    assert_eq!(found("CIDR-020", &facts(&objects, &[("n/a", "10.9.0.255")])), []);
    assert_eq!(found("CIDR-020", &facts(&objects, &[("n/a", "10.9.1.0")])).len(), 1);
}

#[test]
fn without_any_range_there_is_no_outside() {
    assert_eq!(found("CIDR-020", &facts(&[], &[("n/a", "172.31.9.4")])), []);
    let mut declared = facts(&[], &[("n/a", "172.31.9.4")]);
    let origin = Origin::new("kubeadm-config", Confidence::C, "configmap kube-system/kubeadm-config", "podSubnet");
    declared.add_ranges(Role::Pod, "10.244.0.0/16", &origin);
    assert_eq!(found("CIDR-020", &declared).len(), 1);
}

#[test]
fn overlapping_pools_and_blocks() {
    let apart = [pool("a", "10.244.0.0/17"), pool("b", "10.244.128.0/17"), pool("c", "fd00::/64")];
    assert_eq!(found("CIDR-026", &facts(&apart, &[])), []);
    let nested = [pool("a", "10.244.0.0/16"), pool("b", "10.244.128.0/17")];
    let pools = found("CIDR-026", &facts(&nested, &[]));
    assert_eq!(pools.len(), 1);
    assert_eq!(pools[0].message, "10.244.0.0/16 overlaps 10.244.128.0/17 of ippool b");
    assert_eq!(pools[0].evidence, ["ippool a: 10.244.0.0/16", "ippool b: 10.244.128.0/17"]);
    let block = |name, cidr: &str| crd("IPAMBlock", name, json!({"cidr": cidr, "allocations": []}));
    let blocks = [pool("a", "10.1.0.0/16"), block("x", "10.1.0.0/19"), block("y", "10.1.8.0/21")];
    assert_eq!(found("CIDR-026", &facts(&blocks, &[])).len(), 1, "a block lies in its pool, which is no overlap");
}

#[test]
fn calico_says_so_where_the_other_pool_is_unseen() {
    let mut pool = pool("a", "10.244.0.0/16");
    pool["status"] = json!({"conditions": [{"type": "Allocatable", "status": "False", "reason": "CIDROverlap"}]});
    assert_eq!(found("CIDR-026", &facts(std::slice::from_ref(&pool), &[])).len(), 1);
    pool["status"]["conditions"][0]["reason"] = json!("PoolDisabled");
    assert_eq!(found("CIDR-026", &facts(&[pool], &[])), []);
}

#[test]
fn load_balancer_pools_of_cilium_conflict() {
    let blocks = json!({"blocks": [{"cidr": "192.0.2.0/28"}]});
    let range = json!({"blocks": [{"start": "192.0.2.15", "stop": "192.0.2.20"}]});
    let both = [lb_pool("a", &blocks, true), lb_pool("b", &range, true)];
    assert_eq!(found("CIDR-026", &facts(&both, &[])).len(), 1, "said once");
    let apart = json!({"blocks": [{"start": "192.0.2.16", "stop": "192.0.2.20"}]});
    assert_eq!(found("CIDR-026", &facts(&[lb_pool("a", &blocks, false), lb_pool("b", &apart, false)], &[])), []);
    let disabled = json!({"blocks": [{"cidr": "192.0.2.0/28"}], "disabled": true});
    assert_eq!(found("CIDR-026", &facts(&[lb_pool("a", &blocks, false), lb_pool("b", &disabled, false)], &[])), []);
    let alone = found("CIDR-026", &facts(&[lb_pool("a", &blocks, true)], &[]));
    assert_eq!(alone[0].message, "conflicts with another pool, says Cilium");
}

#[test]
fn pod_pools_of_cilium_overlap() {
    let pool = |name: &str, cidr: &str| {
        json!({"apiVersion": "cilium.io/v2alpha1", "kind": "CiliumPodIPPool", "metadata": {"name": name},
            "spec": {"ipv4": {"cidrs": [cidr], "maskSize": 27}}})
    };
    assert_eq!(found("CIDR-026", &facts(&[pool("a", "10.1.0.0/24"), pool("b", "10.1.1.0/24")], &[])), []);
    assert_eq!(found("CIDR-026", &facts(&[pool("a", "10.1.0.0/24"), pool("b", "10.1.0.0/25")], &[])).len(), 1);
}

#[test]
fn a_pool_lies_inside_the_declared_range() {
    let declare = |facts: &mut Facts| {
        let kubeadm = "configmap kube-system/kubeadm-config";
        let field = "data.ClusterConfiguration line 9: networking.podSubnet";
        let origin = Origin::new("kubeadm-config", Confidence::C, kubeadm, field);
        facts.add_ranges(Role::Pod, "10.244.0.0/16", &origin);
        let proxy = "configmap kube-system/kube-proxy";
        let origin = Origin::new("kube-proxy", Confidence::B, proxy, "--cluster-cidr");
        facts.add_ranges(Role::Pod, "192.168.0.0/16", &origin);
    };
    let mut inside = facts(&[pool("a", "10.244.0.0/17"), pool("v6", "fd00::/64")], &[]);
    declare(&mut inside);
    assert_eq!(found("CIDR-028", &inside), [], "nothing is declared of the other family");
    let mut outside = facts(&[pool("a", "192.168.0.0/16")], &[]);
    assert_eq!(found("CIDR-028", &outside), [], "nothing is declared");
    declare(&mut outside);
    let found_outside = found("CIDR-028", &outside);
    assert_eq!(found_outside[0].subject, "ippool a");
    assert_eq!(
        found_outside[0].evidence[1],
        "configmap kube-system/kubeadm-config data.ClusterConfiguration line 9: networking.podSubnet: 10.244.0.0/16"
    );
    let mut disabled = pool("a", "192.168.0.0/16");
    disabled["spec"]["disabled"] = json!(true);
    let mut disabled = facts(&[disabled], &[]);
    declare(&mut disabled);
    assert_eq!(found("CIDR-028", &disabled), []);
}
