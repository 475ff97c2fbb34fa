//! Each network plugin's and pool's objects, made up after the projects' own documentation.

use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::{Resource, resources, wire},
    ranges::{Confidence, Facts, Given, Role},
};

fn take(facts: &mut Facts, resource: &'static Resource, object: &Value) {
    for source in ALL {
        source.take(Given::Object(resource, object), facts);
    }
}

fn node(facts: &mut Facts, object: Value) {
    let node: wire::Node = serde_json::from_value(object).unwrap();
    for source in ALL {
        source.take(Given::Node(&node), facts);
    }
}

fn finish(facts: &mut Facts) {
    for source in ALL {
        source.finish(facts);
    }
}

/// `role cidr confidence field`, of the cluster's ranges or of the nodes' shares.
fn stated(facts: &Facts) -> Vec<String> {
    let shown = |r: &crate::ranges::RangeFact| {
        let share = r.share_of.as_ref().map_or_else(String::new, |node| format!(" of {node}"));
        format!("{:?} {}{share} {:?} {}", r.role, r.cidr, r.origin.confidence, r.origin.field)
    };
    facts.ranges.iter().map(shown).collect()
}

fn workload(name: &str, pod: &Value) -> Value {
    json!({"metadata": {"namespace": "kube-system", "name": name}, "spec": {"template": {"spec": pod}}})
}

fn config_map(name: &str, data: &Value) -> Value {
    json!({"metadata": {"namespace": "kube-system", "name": name}, "data": data})
}

#[test]
fn antrea_is_followed_to_the_config_map_that_its_agent_mounts() {
    let mut facts = Facts::default();
    let wanted = crate::ranges::Want::get(&resources::CONFIGMAPS, "kube-system", "antrea-config-h7t5");
    assert!(!antrea::Antrea.wants(&facts).contains(&wanted));
    let agent = workload("antrea-agent", &json!({"volumes": [{"configMap": {"name": "antrea-config-h7t5"}}]}));
    take(&mut facts, &resources::DAEMONSETS, &agent);
    assert!(antrea::Antrea.wants(&facts).contains(&wanted));

    let data = json!({
        "antrea-agent.conf": "antreaProxy:\n  enable: false\nserviceCIDR: 10.96.0.0/12\nserviceCIDRv6: \"\"\n",
        "antrea-controller.conf": "nodeIPAM:\n  enable: true\n  clusterCIDRs: [10.10.0.0/16, 'fd00:10::/56']\n  \
                                   nodeCIDRMaskSizeIPv4: 25\n  serviceCIDR: 10.96.0.0/16\n",
    });
    take(&mut facts, &resources::CONFIGMAPS, &config_map("antrea-config-h7t5", &data));
    assert_eq!(
        stated(&facts),
        [
            "Pod 10.10.0.0/16 B data.antrea-controller.conf: nodeIPAM.clusterCIDRs[0]",
            "Pod fd00:10::/56 B data.antrea-controller.conf: nodeIPAM.clusterCIDRs[1]",
        ]
    );
    assert_eq!(facts.known.node_prefixes.iter().map(|p| p.length).collect::<Vec<_>>(), [25, 64]);
    let copies: Vec<_> = facts.known.service_copies.iter().map(|c| c.cidrs[0].to_string()).collect();
    assert_eq!(copies, ["10.96.0.0/12", "10.96.0.0/16"]);
    assert_eq!(facts.known.ipam(), Some(Ipam::NodeIpam));
}

#[test]
fn antrea_with_its_proxy_has_no_copy_of_the_service_range() {
    let mut facts = Facts::default();
    let data = json!({"antrea-agent.conf": "serviceCIDR: 10.96.0.0/12\n"});
    take(&mut facts, &resources::CONFIGMAPS, &config_map("antrea-config", &data));
    assert!(facts.known.service_copies.is_empty());
}

#[test]
fn antreas_pools_are_prefixes_or_start_and_end() {
    let mut facts = Facts::default();
    let pool = json!({"metadata": {"name": "p"}, "spec": {"ipRanges": [
        {"cidr": "10.2.0.0/24"}, {"start": "10.3.0.4", "end": "10.3.0.7"}, {"start": "10.4.0.1"},
    ]}});
    take(&mut facts, &resources::ANTREA_EXTERNALIPPOOLS, &pool);
    assert_eq!(
        stated(&facts),
        ["Loadbalancer 10.2.0.0/24 B spec.ipRanges[0]", "Loadbalancer 10.3.0.4/30 B spec.ipRanges[1]"]
    );
    assert_eq!(facts.unreadable[0].reason, "spec.ipRanges[2]: expected cidr, or start and end");
}

#[test]
fn kube_ovns_join_subnet_and_foreign_vpcs_are_internal() {
    let mut facts = Facts::default();
    for (name, vpc, cidr) in [
        ("ovn-default", "ovn-cluster", "10.16.0.0/16,fd00:10:16::/112"),
        ("join", "ovn-cluster", "100.64.0.0/16"),
        ("tenant", "vpc-1", "10.16.0.0/16"),
    ] {
        let excluded = json!(["10.16.0.1", "10.16.0.20..10.16.0.23"]);
        let subnet = json!({
            "metadata": {"name": name}, "spec": {"cidrBlock": cidr, "vpc": vpc, "excludeIps": excluded},
        });
        take(&mut facts, &resources::KUBEOVN_SUBNETS, &subnet);
    }
    assert_eq!(
        stated(&facts),
        [
            "Pod 10.16.0.0/16 B spec.cidrBlock",
            "Pod fd00:10:16::/112 B spec.cidrBlock",
            "Internal 100.64.0.0/16 B spec.cidrBlock",
            "Internal 10.16.0.0/16 B spec.cidrBlock",
        ]
    );
    assert_eq!(facts.known.internal_networks.len(), 1);
    let excluded = &facts.known.kube_ovn_subnets[0].excluded;
    assert_eq!(excluded.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.16.0.1/32", "10.16.0.20/30"]);
}

#[test]
fn ovn_kubernetes_annotations_come_in_both_shapes() {
    let mut facts = Facts::default();
    for (name, subnets) in [
        ("a", r#"{"default":"10.130.0.0/23","blue":"10.130.0.0/24"}"#),
        ("b", r#"{"default":["10.128.0.0/23","fd01::/64"]}"#),
    ] {
        node(
            &mut facts,
            json!({"metadata": {"name": name, "annotations": {
                "k8s.ovn.org/node-subnets": subnets,
                "k8s.ovn.org/host-cidrs": r#"["10.0.0.5/24","169.254.0.2/17"]"#,
                "k8s.ovn.org/node-gateway-router-lrp-ifaddrs": r#"{"default":{"ipv4":"100.65.0.4/16"},"blue":{"ipv4":"100.66.0.4/16"}}"#,
                "k8s.ovn.org/node-masquerade-subnet": r#"{"ipv4":"169.254.169.0/29"}"#,
            }}}),
        );
    }
    finish(&mut facts);
    let mut stated = stated(&facts);
    stated.sort_unstable();
    let field = |key: &str| format!("A metadata.annotations.k8s.ovn.org/{key}");
    let subnets = field("node-subnets");
    let mut expected = vec![
        format!("Pod 10.128.0.0/23 of b {subnets}"),
        format!("Pod 10.130.0.0/23 of a {subnets}"),
        format!("Pod fd01::/64 of b {subnets}"),
        format!("Internal 10.130.0.0/24 of a {subnets}"),
        format!("Node 10.0.0.0/24 {}", field("host-cidrs")),
        format!("Internal 100.65.0.0/16 {}", field("node-gateway-router-lrp-ifaddrs")),
        format!("Internal 169.254.169.0/29 {}", field("node-masquerade-subnet")),
        "Internal 100.88.0.0/16 D default transit network".to_owned(),
        "Internal fd69::/112 D default masquerade network".to_owned(),
        "Internal fd97::/64 D default transit network".to_owned(),
        "Internal fd98::/64 D default join network".to_owned(),
    ];
    expected.sort_unstable();
    assert_eq!(stated, expected);
    assert!(facts.unreadable.is_empty(), "{:?}", facts.unreadable);
    assert_eq!(facts.known.ipam(), Some(Ipam::OvnKubernetes));
}

#[test]
fn a_broken_annotation_is_a_problem_and_not_a_range() {
    let mut facts = Facts::default();
    node(&mut facts, json!({"metadata": {"name": "a", "annotations": {"k8s.ovn.org/node-subnets": "{default"}}}));
    assert!(facts.ranges.is_empty());
    assert_eq!(facts.unreadable[0].source, "node a");
    assert!(facts.unreadable[0].reason.contains("no valid JSON"), "{:?}", facts.unreadable);
}

#[test]
fn ovn_config_has_the_host_prefix_beside_the_range() {
    let mut facts = Facts::default();
    let data = json!({"net_cidr": "10.244.0.0/16/24,fd00:10:244::/48/64", "svc_cidr": "10.96.0.0/16"});
    take(&mut facts, &resources::CONFIGMAPS, &config_map("ovn-config", &data));
    assert_eq!(
        stated(&facts),
        [
            "Pod 10.244.0.0/16 B data.net_cidr",
            "Pod fd00:10:244::/48 B data.net_cidr",
            "Service 10.96.0.0/16 B data.svc_cidr"
        ]
    );
    assert_eq!(facts.known.node_prefixes.iter().map(|p| p.length).collect::<Vec<_>>(), [24, 64]);
}

#[test]
fn tenant_networks_are_internal() {
    let mut facts = Facts::default();
    let layer2 = json!({"metadata": {"namespace": "t", "name": "n"}, "spec": {"layer2": {"subnets": ["10.0.0.0/8"]}}});
    take(&mut facts, &resources::OVN_USERDEFINEDNETWORKS, &layer2);
    let layer3 = json!({"metadata": {"name": "c"}, "spec": {"network": {"layer3": {"subnets": [{"cidr": "10.0.0.0/16", "hostSubnet": 24}]}}}});
    take(&mut facts, &resources::OVN_CLUSTERUSERDEFINEDNETWORKS, &layer3);
    assert_eq!(
        stated(&facts),
        ["Internal 10.0.0.0/8 B spec.layer2.subnets[0]", "Internal 10.0.0.0/16 B spec.network.layer3.subnets[0]"]
    );
    assert!(facts.known.internal_networks.is_empty());
}

#[test]
fn openshifts_status_is_preferred_over_its_spec() {
    let mut facts = Facts::default();
    let network = |cidr: &str| {
        json!({
            "clusterNetwork": [{"cidr": cidr, "hostPrefix": 23}], "serviceNetwork": ["172.30.0.0/16"],
            "networkType": "OVNKubernetes",
        })
    };
    let mut object = json!({
        "metadata": {"name": "cluster"}, "spec": network("10.200.0.0/14"), "status": network("10.128.0.0/14"),
    });
    take(&mut facts, &resources::OPENSHIFT_CONFIG_NETWORKS, &object);
    assert_eq!(
        stated(&facts),
        ["Pod 10.128.0.0/14 B status.clusterNetwork[0].cidr", "Service 172.30.0.0/16 B status.serviceNetwork[0]"]
    );
    assert_eq!(facts.known.node_prefixes[0].length, 23);

    object["status"] = Value::Null;
    let mut facts = Facts::default();
    take(&mut facts, &resources::OPENSHIFT_CONFIG_NETWORKS, &object);
    assert_eq!(facts.ranges[0].origin.confidence, Confidence::C);
}

#[test]
fn what_openshifts_operator_states_replaces_the_default() {
    let mut facts = Facts::default();
    facts.known.says_ipam(Ipam::OvnKubernetes, crate::ranges::Origin::new("t", Confidence::A, "t", "t"));
    facts.add_ranges(Role::Pod, "10.128.0.0/14", &crate::ranges::Origin::new("t", Confidence::A, "t", "t"));
    let object = json!({"metadata": {"name": "cluster"}, "spec": {"defaultNetwork": {"ovnKubernetesConfig": {
        "ipv4": {"internalJoinSubnet": "100.70.0.0/16"},
        "gatewayConfig": {"ipv4": {"internalMasqueradeSubnet": "169.254.64.0/18"}},
    }}}});
    take(&mut facts, &resources::OPENSHIFT_OPERATOR_NETWORKS, &object);
    finish(&mut facts);
    let networks: Vec<_> = facts
        .known
        .internal_networks
        .iter()
        .map(|n| format!("{} {} {:?}", n.purpose, n.cidr, n.origin.confidence))
        .collect();
    assert_eq!(networks, ["join 100.70.0.0/16 B", "masquerade 169.254.64.0/18 B", "transit 100.88.0.0/16 D"]);
}

#[test]
fn kube_router_says_pools_copies_and_shares() {
    let mut facts = Facts::default();
    let router = workload(
        "kube-router",
        &json!({"containers": [{
            "name": "kube-router", "image": "docker.io/cloudnativelabs/kube-router",
            "args": ["--run-router=true", "--service-external-ip-range=192.0.2.0/24"],
        }]}),
    );
    take(&mut facts, &resources::DAEMONSETS, &router);
    node(
        &mut facts,
        json!({"metadata": {"name": "a", "annotations": {
            "kube-router.io/pod-cidr": "10.1.0.0/24", "kube-router.io/pod-cidrs": "10.2.0.0/24",
        }}}),
    );
    assert_eq!(
        stated(&facts),
        [
            "Loadbalancer 192.0.2.0/24 B containers kube-router: --service-external-ip-range",
            "Pod 10.1.0.0/24 of a B metadata.annotations.kube-router.io/pod-cidr",
        ]
    );
    let copy = &facts.known.service_copies[0];
    assert_eq!((copy.cidrs[0].to_string().as_str(), copy.origin.confidence), ("10.96.0.0/12", Confidence::D));
}

#[test]
fn weave_and_kindnet_are_told_in_their_environment() {
    let mut facts = Facts::default();
    let env = |name: &str, value: &str| json!({"containers": [{"name": "c", "env": [{"name": name, "value": value}]}]});
    take(&mut facts, &resources::DAEMONSETS, &workload("weave-net", &env("IPALLOC_RANGE", "10.40.0.0/16")));
    take(
        &mut facts,
        &resources::DAEMONSETS,
        &workload("kindnet", &env("POD_SUBNET", "10.244.0.0/16,fd00:10:244::/56")),
    );
    take(&mut facts, &resources::DAEMONSETS, &workload("weave-net", &json!({})));
    assert_eq!(
        stated(&facts),
        [
            "Pod 10.40.0.0/16 B containers c: env IPALLOC_RANGE",
            "Pod 10.244.0.0/16 B containers c: env POD_SUBNET",
            "Pod fd00:10:244::/56 B containers c: env POD_SUBNET",
            "Pod 10.32.0.0/12 D env IPALLOC_RANGE is not set: the default",
        ]
    );
}

#[test]
fn an_eniconfig_names_a_subnet_and_no_range() {
    let mut facts = Facts::default();
    take(&mut facts, &resources::DAEMONSETS, &workload("aws-node", &json!({})));
    let config = json!({"metadata": {"name": "eu-west-1a"}, "spec": {"subnet": "subnet-0f00"}});
    take(&mut facts, &resources::AWS_ENICONFIGS, &config);
    assert!(facts.ranges.is_empty());
    assert_eq!(facts.known.ipam(), Some(Ipam::Aws));
    assert_eq!(facts.unreadable[0].source, "eniconfig eu-west-1a");
    assert!(facts.unreadable[0].reason.contains("`subnet-0f00` is a subnet's id"));
}

#[test]
fn azure_states_a_subnet_once_and_a_share_per_node_in_the_overlay() {
    let mut facts = Facts::default();
    for (name, share) in [("n0", "10.244.0.0/24"), ("n1", "10.244.1.0/24")] {
        let config = json!({"metadata": {"namespace": "kube-system", "name": name}, "status": {"networkContainers": [{
            "type": "overlay", "subnetAddressSpace": "10.244.0.0/16", "primaryIP": share, "subnetName": "routingdomain",
        }]}});
        take(&mut facts, &resources::AZURE_NODENETWORKCONFIGS, &config);
    }
    assert_eq!(
        stated(&facts),
        [
            "Pod 10.244.0.0/16 A status.networkContainers[0].subnetAddressSpace",
            "Pod 10.244.0.0/24 of n0 A status.networkContainers[0].primaryIP",
            "Pod 10.244.1.0/24 of n1 A status.networkContainers[0].primaryIP",
        ]
    );
}

#[test]
fn gkes_additional_networks_are_shares_of_their_own() {
    let mut facts = Facts::default();
    let networks = r#"[{"name":"blue","cidrs":["172.16.1.0/24"],"scope":"host-local"}]"#;
    node(&mut facts, json!({"metadata": {"name": "a", "annotations": {"networking.gke.io/networks": networks}}}));
    assert_eq!(stated(&facts), ["Internal 172.16.1.0/24 of a A metadata.annotations.networking.gke.io/networks: blue"]);
}

#[test]
fn metallb_pools_are_prefixes_or_ranges_with_or_without_blanks() {
    let mut facts = Facts::default();
    let pool = json!({"metadata": {"namespace": "metallb-system", "name": "p"}, "spec": {
        "addresses": ["192.168.9.0/30", "192.168.10.4 - 192.168.10.7"],
    }});
    take(&mut facts, &resources::METALLB_IPADDRESSPOOLS, &pool);
    assert_eq!(
        stated(&facts),
        ["Loadbalancer 192.168.9.0/30 B spec.addresses[0]", "Loadbalancer 192.168.10.4/30 B spec.addresses[1]"]
    );
    take(&mut facts, &resources::METALLB_L2ADVERTISEMENTS, &json!({"spec": {"ipAddressPools": ["p"]}}));
    take(&mut facts, &resources::METALLB_BGPADVERTISEMENTS, &json!({"metadata": {"name": "all"}}));
    assert!(facts.known.metallb.layer2.names.contains("p") && !facts.known.metallb.layer2.all);
    assert!(facts.known.metallb.bgp.all);
}

#[test]
fn kube_vips_pools_are_its_keys_but_not_dhcp() {
    let mut facts = Facts::default();
    let data = json!({
        "cidr-global": "192.168.9.0/30", "range-web": "192.168.10.4-192.168.10.7", "cidr-lab": "0.0.0.0/32",
        "interface-global": "eth0",
    });
    take(&mut facts, &resources::CONFIGMAPS, &config_map("kubevip", &data));
    assert_eq!(
        stated(&facts),
        ["Loadbalancer 192.168.9.0/30 B data.cidr-global", "Loadbalancer 192.168.10.4/30 B data.range-web"]
    );
}

#[test]
fn secondary_networks_are_internal_in_every_spelling() {
    let mut facts = Facts::default();
    let config = json!({"plugins": [
        {"ipam": {"type": "whereabouts", "range": "192.0.2.225/28", "ipRanges": [{"range": "192.0.2.4-192.0.2.7/24"}]}},
        {"ipam": {"type": "host-local", "ranges": [[{"subnet": "198.51.100.0/24"}]]}},
        {"type": "ovn-k8s-cni-overlay", "subnets": "10.100.0.0/16/24"},
    ]});
    let definition = json!({"metadata": {"namespace": "d", "name": "n"}, "spec": {"config": config.to_string()}});
    take(&mut facts, &resources::NETWORKATTACHMENTDEFINITIONS, &definition);
    take(&mut facts, &resources::WHEREABOUTS_IPPOOLS, &json!({"spec": {"range": "192.0.2.224/28"}}));
    assert_eq!(
        stated(&facts),
        [
            "Internal 192.0.2.224/28 B spec.config: ipam.range",
            "Internal 192.0.2.4/30 B spec.config: ipam.ipRanges[0].range",
            "Internal 198.51.100.0/24 B spec.config: ipam.ranges[0][0].subnet",
            "Internal 10.100.0.0/16 B spec.config: subnets",
            "Internal 192.0.2.224/28 A spec.range",
        ]
    );
    // host bits only say where whereabouts begins
    assert!(facts.ranges.iter().all(|range| range.flaws.is_empty()));
}

#[test]
fn broken_yaml_in_a_config_map_names_its_line() {
    let mut facts = Facts::default();
    let data = json!({"config": "nonMasqueradeCIDRs:\n  - 10.0.0.0/8\n\t- 172.16.0.0/12\n"});
    take(&mut facts, &resources::CONFIGMAPS, &config_map("ip-masq-agent", &data));
    assert!(facts.known.masquerade_lists.is_empty());
    assert_eq!(facts.unreadable[0].source, "configmap kube-system/ip-masq-agent");
    assert!(facts.unreadable[0].reason.starts_with("data.config line 3: no valid YAML"), "{:?}", facts.unreadable);
}

#[test]
fn masquerade_lists_are_read_from_every_key() {
    let mut facts = Facts::default();
    let data = json!({"ip-masq-agent": "nonMasqueradeCIDRs: [10.244.0.0/16]\nmasqLinkLocal: true\n"});
    take(&mut facts, &resources::CONFIGMAPS, &config_map("azure-ip-masq-agent-config", &data));
    assert_eq!(facts.known.masquerade_lists[0].agent, "azure-ip-masq-agent");
    assert_eq!(facts.known.masquerade_lists[0].cidrs[0].to_string(), "10.244.0.0/16");
}

#[test]
fn the_corefile_names_the_domain_and_the_reverse_zones() {
    let mut facts = Facts::default();
    let corefile = ".:53 {\n  errors\n  kubernetes cluster.local 96.10.in-addr.arpa {\n    pods insecure\n  }\n}\n";
    take(&mut facts, &resources::CONFIGMAPS, &config_map("coredns", &json!({"Corefile": corefile})));
    assert_eq!(facts.known.service_copies[0].cidrs[0].to_string(), "10.96.0.0/16");
    assert_eq!(facts.known.service_copies[0].origin.field, "data.Corefile line 3");
    assert_eq!(facts.dns_domains[0].0, "cluster.local");
}

#[test]
fn coredns_is_followed_to_the_config_map_that_it_mounts() {
    let mut facts = Facts::default();
    let wanted = crate::ranges::Want::get(&resources::CONFIGMAPS, "kube-system", "rke2-coredns-rke2-coredns");
    assert!(!coredns::CoreDns.wants(&facts).contains(&wanted));
    let volumes = json!({"volumes": [{"configMap": {"name": "rke2-coredns-rke2-coredns"}}]});
    take(&mut facts, &resources::DEPLOYMENTS, &workload("rke2-coredns-rke2-coredns", &volumes));
    assert!(coredns::CoreDns.wants(&facts).contains(&wanted));
}

#[test]
fn a_field_of_another_type_is_a_problem_that_names_it() {
    let mut facts = Facts::default();
    let pool = json!({"metadata": {"namespace": "metallb-system", "name": "p"}, "spec": {"addresses": {"a": 1}}});
    take(&mut facts, &resources::METALLB_IPADDRESSPOOLS, &pool);
    assert_eq!(facts.unreadable[0].source, "ipaddresspool metallb-system/p");
    assert_eq!(facts.unreadable[0].reason, "spec.addresses: expected a list, found a map");
}

#[test]
fn roles_are_only_stated_by_what_is_there() {
    let mut facts = Facts::default();
    finish(&mut facts);
    assert!(facts.ranges.iter().all(|r| r.role != Role::Internal));
}
