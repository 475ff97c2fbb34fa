//! The sources over made-up objects of the shapes that facts 1.4 and 1.5 describe.

use serde_json::{Value, json};

use crate::{
    cluster::{ReadStatus, Resource, resources},
    ranges::{Confidence, Facts, Given, Role, Source, Want, sources::Ipam},
};

/// Gives objects to Calico's and Cilium's sources as a reader would: whole kinds, those of a group
/// that has no object being absent.
pub(in crate::ranges) fn read(objects: &[Value]) -> Facts {
    let mut facts = Facts::default();
    read_into(&mut facts, objects);
    facts
}

/// The same into facts that hold something already.
pub(in crate::ranges) fn read_into(facts: &mut Facts, objects: &[Value]) {
    let sources: [&dyn Source; 10] = [
        &super::CalicoConfig,
        &super::IpPools,
        &super::CalicoIpam,
        &super::BgpConfigurations,
        &super::FelixConfigurations,
        &super::Installations,
        &super::CalicoNode,
        &super::super::cilium::CiliumConfig,
        &super::super::cilium::CiliumNodes,
        &super::super::cilium::CiliumPools,
    ];
    let groups: Vec<&str> = objects.iter().map(|o| kind_of(o).group).collect();
    loop {
        let wants: Vec<Want> = sources.iter().flat_map(|source| source.wants(facts)).collect();
        let new: Vec<Want> = wants.into_iter().filter(|want| !facts.reads.contains_key(want)).collect();
        if new.is_empty() {
            break;
        }
        for want in new {
            if facts.reads.contains_key(&want) {
                continue;
            }
            let (resource, name) = match &want {
                Want::List { resource, .. } => (*resource, None),
                Want::Get { resource, name, .. } => (*resource, Some(name.as_str())),
                _ => continue,
            };
            let here = resource.builtin || groups.contains(&resource.group);
            facts.reads.insert(want.clone(), if here { ReadStatus::Complete } else { ReadStatus::Absent });
            for object in objects.iter().filter(|o| kind_of(o) == resource) {
                if name.is_none_or(|name| super::name(object) == name) {
                    give(&sources, resource, object, facts);
                }
            }
        }
    }
    for source in sources {
        source.finish(facts);
    }
}

fn give(sources: &[&dyn Source], resource: &'static Resource, object: &Value, facts: &mut Facts) {
    let node = (*resource == resources::NODES).then(|| serde_json::from_value(object.clone()).unwrap());
    let given = node.as_ref().map_or(Given::Object(resource, object), Given::Node);
    for source in sources {
        source.take(given, facts);
    }
}

fn kind_of(object: &Value) -> &'static Resource {
    let group = object["apiVersion"].as_str().unwrap().rsplit_once('/').map_or("", |(group, _)| group);
    let kind = object["kind"].as_str().unwrap();
    resources::ALL.iter().find(|r| r.group == group && r.kind == kind).unwrap()
}

fn stated(facts: &Facts, role: Role) -> Vec<String> {
    facts
        .ranges
        .iter()
        .filter(|fact| fact.role == role)
        .map(|fact| format!("{} {:?} {}", fact.text, fact.origin.confidence, fact.origin))
        .collect()
}

pub(in crate::ranges) fn crd(kind: &str, name: &str, spec: Value) -> Value {
    let mut object =
        json!({"apiVersion": "crd.projectcalico.org/v1", "kind": kind, "metadata": {"name": name}, "spec": null});
    object["spec"] = spec;
    object
}

#[test]
fn pools_are_ranges_and_reservations_none() {
    let facts = read(&[
        crd("IPPool", "pods", json!({"cidr": "10.233.64.0/18", "blockSize": 24})),
        crd("IPPool", "lb", json!({"cidr": "192.0.2.0/24", "allowedUses": ["LoadBalancer"]})),
        crd("IPPool", "broken", json!({"cidr": "10.233.64/18"})),
        crd("IPReservation", "r", json!({"reservedCIDRs": ["10.233.64.0/28"]})),
    ]);
    assert_eq!(stated(&facts, Role::Pod), ["10.233.64.0/18 A ippool pods spec.cidr"]);
    assert_eq!(stated(&facts, Role::Loadbalancer), ["192.0.2.0/24 A ippool lb spec.cidr"]);
    assert!(facts.known.calico.reserved.contains(&"10.233.64.0/28".parse().unwrap()));
    assert_eq!(facts.unreadable.len(), 1, "{:?}", facts.unreadable);
    assert_eq!(facts.unreadable[0].source, "ippool broken");
    assert_eq!(facts.known.ipam(), None, "a pool alone may be unused");
}

#[test]
fn both_groups_are_one() {
    let v3 = json!({"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "p"},
        "spec": {"cidr": "10.1.0.0/16"}});
    let facts = read(&[v3, crd("IPPool", "p", json!({"cidr": "10.1.0.0/16"}))]);
    assert_eq!(stated(&facts, Role::Pod), ["10.1.0.0/16 A ippool p spec.cidr"]);
    assert_eq!(facts.list_status(&resources::CALICO_IPPOOLS_V1), None, "not asked for");
    // the API group serves no blocks here: those of the storage group are read
    assert!(facts.complete(&resources::CALICO_IPAMBLOCKS_V1));
}

#[test]
fn blocks_with_pods_prove_calicos_ipam() {
    let pod = json!({"handle_id": "k8s-pod-network.c", "secondary": {"namespace": "n", "pod": "p", "node": "a"}});
    let tunnel = json!({"handle_id": "t", "secondary": {"node": "a", "type": "vxlanTunnelAddress"}});
    let block = |attribute| {
        crd(
            "IPAMBlock",
            "b",
            json!({"cidr": "10.1.0.0/30", "affinity": "host:a", "allocations": [null, 0, null, null],
            "attributes": [attribute]}),
        )
    };
    assert_eq!(read(&[block(pod)]).known.ipam(), Some(Ipam::Calico));
    assert_eq!(read(&[block(tunnel)]).known.ipam(), None);
}

#[test]
fn the_cni_configuration_says_which_ipam() {
    let config = |name: &str, cni: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-system"},
            "data": {"cni_network_config": cni}})
    };
    let calico = r#"{"plugins": [{"type": "calico", "mtu": __CNI_MTU__, "ipam": {"type": "calico-ipam"}}]}"#;
    let facts = read(&[config("calico-config", calico)]);
    assert_eq!((facts.known.ipam(), facts.unreadable.len()), (Some(Ipam::Calico), 0));
    let canal = r#"{"plugins": [{"type": "calico", "ipam": {"type": "host-local", "subnet": "usePodCidr"}}]}"#;
    assert_eq!(read(&[config("canal-config", canal)]).known.ipam(), Some(Ipam::NodeIpam));
    let fixed = r#"{"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24"}]]}}"#;
    let facts = read(&[config("calico-config", fixed)]);
    assert_eq!(facts.known.ipam(), None);
    assert_eq!(
        stated(&facts, Role::Pod),
        ["10.9.0.0/24 B configmap kube-system/calico-config data.cni_network_config: ipam.subnet"]
    );
    let broken = read(&[config("calico-config", "{\"plugins\": [")]);
    assert!(broken.unreadable[0].reason.starts_with("data.cni_network_config: no valid JSON"), "{broken:?}");
    // kubespray's has none
    let facts = read(&[json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"calico_backend": "bird"},
        "metadata": {"name": "calico-config", "namespace": "kube-system"}})]);
    assert_eq!(facts.known.ipam(), None);
    assert_eq!(facts.known.calico.sign.as_deref(), Some("configmap kube-system/calico-config"));
}

#[test]
fn node_annotations_give_network_and_tunnel() {
    let node = |name: &str, v4: &str| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "annotations": {
            "projectcalico.org/IPv4Address": v4, "projectcalico.org/IPv4IPIPTunnelAddr": "10.1.0.1"}}})
    };
    let facts = read(&[node("b", "192.168.3.76/24"), node("a", "192.168.3.75/24"), node("c", "203.0.113.9/32")]);
    assert_eq!(
        stated(&facts, Role::Node),
        ["192.168.3.0/24 A node a and 1 more metadata.annotations[projectcalico.org/IPv4Address]"]
    );
    assert!(facts.ranges.iter().all(|fact| fact.flaws.is_empty()), "the host bits of an address are no flaw");
    assert_eq!(facts.infrastructure.len(), 3);
    assert_eq!(facts.infrastructure[0].1.kind, "Tunnel");
}

#[test]
fn the_first_pool_counts_while_there_is_no_other() {
    let daemonset = json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "calico-node", "namespace": "kube-system"},
        "spec": {"template": {"spec": {"containers": [{"name": "calico-node", "env": [
            {"name": "CALICO_IPV4POOL_CIDR", "value": "192.168.0.0/16"},
            {"name": "IP_AUTODETECTION_METHOD", "value": "first-found"}]}]}}}});
    let field = "daemonset kube-system/calico-node containers calico-node: env CALICO_IPV4POOL_CIDR";
    assert_eq!(stated(&read(std::slice::from_ref(&daemonset)), Role::Pod), [format!("192.168.0.0/16 C {field}")]);
    let facts = read(&[daemonset, crd("IPPool", "p", json!({"cidr": "10.233.64.0/18"}))]);
    assert_eq!(stated(&facts, Role::Pod), ["10.233.64.0/18 A ippool p spec.cidr"], "the variable has no effect");
}

#[test]
fn the_installation_names_pools_services_and_ipam() {
    let facts = read(&[json!({"apiVersion": "operator.tigera.io/v1", "kind": "Installation",
        "metadata": {"name": "default"},
        "spec": {"serviceCIDRs": ["10.96.0.0/12"], "cni": {"type": "Calico", "ipam": {"type": "Calico"}},
            "calicoNetwork": {"ipPools": [{"cidr": "10.244.0.0/16"}, {"cidr": "fd00:10:244::/56"}]}}})]);
    assert_eq!(stated(&facts, Role::Service), ["10.96.0.0/12 C installation default spec.serviceCIDRs[0]"]);
    assert_eq!(stated(&facts, Role::Pod).len(), 2);
    assert_eq!(facts.known.ipam(), Some(Ipam::Calico));
    assert!(facts.ranges.iter().all(|fact| fact.origin.confidence == Confidence::C));
}

#[test]
fn announced_service_ranges_are_a_copy_not_a_source() {
    let facts = read(&[crd(
        "BGPConfiguration",
        "default",
        json!({"serviceClusterIPs": [{"cidr": "10.96.0.0/12"}], "serviceLoadBalancerIPs": [{"cidr": "192.0.2.0/24"}]}),
    )]);
    assert_eq!(stated(&facts, Role::Service), Vec::<String>::new());
    assert_eq!(facts.known.calico.announced[0].0, ["10.96.0.0/12".parse().unwrap()]);
    assert_eq!(
        stated(&facts, Role::Loadbalancer),
        ["192.0.2.0/24 C bgpconfiguration default spec.serviceLoadBalancerIPs[0].cidr"]
    );
}

#[test]
fn without_a_sign_nothing_is_missed() {
    let mut facts = read(&[]);
    let unrecorded: Vec<Want> = facts.reads.keys().cloned().collect();
    for want in unrecorded {
        facts.reads.insert(want, ReadStatus::not_recorded());
    }
    let mut signed = Facts { reads: facts.reads.clone(), ..Facts::default() };
    crate::ranges::settle_unrecorded(&[&super::IpPools, &super::CalicoConfig], &mut facts);
    assert_eq!(facts.list_status(&resources::CALICO_IPPOOLS_V1), Some(&ReadStatus::Absent));
    signed.known.calico.sign = Some("configmap kube-system/calico-config".to_owned());
    crate::ranges::settle_unrecorded(&[&super::IpPools, &super::CalicoConfig], &mut signed);
    assert!(signed.list_status(&resources::CALICO_IPPOOLS_V1).unwrap().is_unrecorded());
}

#[test]
fn cilium_says_mode_pools_and_copies() {
    let facts = read(&[
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cilium-config", "namespace": "kube-system"},
            "data": {"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv4-mask-size": "24",
                "enable-ipv6": "false", "cluster-pool-ipv6-cidr": "fd00::/104", "routing-mode": "native",
                "ipv4-native-routing-cidr": "10.0.0.0/8", "ipv4-service-range": "auto"}}),
        json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": {"name": "a"},
            "spec": {"ipam": {"podCIDRs": ["10.0.1.0/24"]}, "health": {"ipv4": "10.0.1.9"}}}),
        json!({"apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool", "metadata": {"name": "lb"},
            "spec": {"blocks": [{"start": "192.0.2.9", "stop": "192.0.2.12"}]}}),
    ]);
    assert_eq!(facts.known.ipam(), Some(Ipam::CiliumClusterPool));
    assert_eq!(
        stated(&facts, Role::Pod),
        [
            "10.0.0.0/8 B configmap kube-system/cilium-config data.cluster-pool-ipv4-cidr",
            "10.0.1.0/24 A ciliumnode a spec.ipam.podCIDRs[0]"
        ]
    );
    assert_eq!(stated(&facts, Role::Service), Vec::<String>::new());
    assert_eq!(facts.known.cilium.native_routing.len(), 1);
    assert_eq!(facts.known.cilium.lb_pools.len(), 1);
    assert_eq!(facts.ranges.iter().find(|f| f.role == Role::Pod).unwrap().share_of, None);
    assert_eq!(facts.infrastructure[0].1.kind, "Health");
}

#[test]
fn cilium_annotations_count_without_an_object() {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "annotations": {
        "io.cilium.network.ipv4-pod-cidr": "10.0.1.0/24", "network.cilium.io/ipv4-cilium-host": "10.0.1.7"}}});
    let facts = read(std::slice::from_ref(&node));
    assert_eq!(
        stated(&facts, Role::Pod),
        ["10.0.1.0/24 C node a metadata.annotations[io.cilium.network.ipv4-pod-cidr]"]
    );
    assert_eq!(facts.infrastructure[0].1.kind, "Router");
    let object = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": {"name": "a"},
        "spec": {"ipam": {"podCIDRs": ["10.0.2.0/24"]}}});
    let facts = read(&[node, object]);
    assert_eq!(stated(&facts, Role::Pod), ["10.0.2.0/24 A ciliumnode a spec.ipam.podCIDRs[0]"]);
}
