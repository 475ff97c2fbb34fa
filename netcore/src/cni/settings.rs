//! Settings of network plugins, out of their ConfigMaps, kinds and workloads: each as it is written,
//! with its place.

use serde_json::Value;

use super::{
    catalogue::{Kind, ROWS, listed},
    conf::{ConfFile, parse},
    facts::Facts,
};
use crate::{
    calico,
    cluster::{Resource, resources},
    finding::Unreadable,
    flannel::parse_net_conf,
    ranges::{
        Given,
        sources::{object, object::ConfigMap, workload::Workload},
    },
    text::{scalar, yaml},
};

/// Entries of `calico-config` and `canal-config`.
const CALICO_MAP: &[&str] = &["calico_backend", "cluster_type", "veth_mtu", "typha_service_name"];
/// Entries of `cilium-config`.
const CILIUM_MAP: &[&str] = &[
    "routing-mode",
    "tunnel",
    "tunnel-protocol",
    "kube-proxy-replacement",
    "ipam",
    "cni-chaining-mode",
    "mtu",
    "datapath-mode",
    "enable-bpf-masquerade",
    "enable-wireguard",
];
/// Fields of `FelixConfiguration`'s spec.
const FELIX: &[&str] = &[
    "bpfEnabled",
    "bpfKubeProxyIptablesCleanupEnabled",
    "nftablesMode",
    "iptablesBackend",
    "vxlanEnabled",
    "vxlanMTU",
    "vxlanPort",
    "vxlanVNI",
    "ipipEnabled",
    "ipipMTU",
    "wireguardEnabled",
    "wireguardEnabledV6",
    "wireguardMTU",
    "programClusterRoutes",
];
/// Variables of agents' containers, by plugin.
const VARIABLES: &[(Kind, &str)] = &[
    (Kind::Calico, "CALICO_NETWORKING_BACKEND"),
    (Kind::Calico, "CLUSTER_TYPE"),
    (Kind::Calico, "FELIX_BPFENABLED"),
    (Kind::Calico, "FELIX_IPTABLESBACKEND"),
    (Kind::Calico, "FELIX_NFTABLESMODE"),
    (Kind::Calico, "CALICO_IPV4POOL_IPIP"),
    (Kind::Calico, "CALICO_IPV4POOL_VXLAN"),
    (Kind::Weave, "WEAVE_MTU"),
    (Kind::AwsVpc, "AWS_VPC_ENI_MTU"),
    (Kind::AwsVpc, "ENABLE_PREFIX_DELEGATION"),
    (Kind::AwsVpc, "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"),
    (Kind::AwsVpc, "ENABLE_POD_ENI"),
];
/// Flags of agents, by plugin.
const FLAGS: &[(Kind, &str)] = &[
    (Kind::KubeRouter, "--run-router"),
    (Kind::KubeRouter, "--run-firewall"),
    (Kind::KubeRouter, "--run-service-proxy"),
    (Kind::KubeRouter, "--enable-overlay"),
    (Kind::KubeRouter, "--overlay-type"),
    (Kind::KubeRouter, "--overlay-encap"),
    (Kind::KubeOvn, "--network-type"),
    (Kind::KubeOvn, "--mtu"),
    (Kind::Flannel, "--iface"),
];

/// Takes an object that may set something.
pub(super) fn take(resource: &'static Resource, whole: &Value, facts: &mut Facts) {
    let title = object::title(resource, whole);
    let name = object::name(whole);
    match resource.kind {
        "ConfigMap" => take_config_map(whole, facts),
        "IPPool" if resource.group.ends_with("projectcalico.org") => match calico::pool(whole) {
            Ok(pool) => {
                // the API group is served from the storage group, or is itself the storage
                let newer = resource.group == "projectcalico.org";
                if newer || !facts.pools.contains_key(&pool.name) {
                    facts.pools.insert(pool.name.clone(), pool);
                }
            }
            Err(error) => facts.unreadable.push(Unreadable { source: title, node: None, reason: error.to_string() }),
        },
        "FelixConfiguration" if name == "default" => {
            for field in FELIX {
                let value = scalar(whole.pointer(&format!("/spec/{field}")));
                facts.state(Kind::Calico, felix(field), value, format!("{title} spec.{field}"));
            }
        }
        "BGPConfiguration" if name == "default" => {
            for (field, key) in [
                ("asNumber", "asNumber"),
                ("nodeToNodeMeshEnabled", "nodeToNodeMeshEnabled"),
                ("programClusterRoutes", "bgp.programClusterRoutes"),
            ] {
                let value = scalar(whole.pointer(&format!("/spec/{field}")));
                facts.state(Kind::Calico, key, value, format!("{title} spec.{field}"));
            }
        }
        "ClusterInformation" => {
            for (field, key) in [("calicoVersion", "version"), ("clusterType", "cluster_type")] {
                let value = scalar(whole.pointer(&format!("/spec/{field}")));
                facts.state(Kind::Calico, key, value, format!("{title} spec.{field}"));
            }
        }
        "Installation" if name == "default" => take_installation(whole, &title, facts),
        "Network" if resource.group.ends_with("openshift.io") => {
            let base = if resource.group == "config.openshift.io" { "/status" } else { "/spec/defaultNetwork" };
            let kind = scalar(
                whole.pointer(&format!("{base}/networkType")).or_else(|| whole.pointer(&format!("{base}/type"))),
            );
            let field = base.trim_start_matches('/').replace('/', ".");
            if kind == "OVNKubernetes" {
                facts.state(Kind::OvnKubernetes, "networkType", kind, format!("{title} {field}"));
                let mtu = whole
                    .pointer("/status/clusterNetworkMTU")
                    .or_else(|| whole.pointer("/spec/defaultNetwork/ovnKubernetesConfig/mtu"));
                facts.state(Kind::OvnKubernetes, "mtu", scalar(mtu), format!("{title}: MTU"));
            }
        }
        _ => {}
    }
}

/// Felix' fields under names that no other setting has.
fn felix(field: &'static str) -> &'static str {
    if field == "programClusterRoutes" { "felix.programClusterRoutes" } else { field }
}

fn take_installation(whole: &Value, title: &str, facts: &mut Facts) {
    // what the operator made of it counts before what it was told
    let base = if whole.pointer("/status/computed").is_some() { "/status/computed" } else { "/spec" };
    let place =
        |path: &str| format!("{title} {}{}", base.trim_start_matches('/').replace('/', "."), path.replace('/', "."));
    for (path, key) in [
        ("/calicoNetwork/linuxDataplane", "linuxDataplane"),
        ("/calicoNetwork/bgp", "bgp"),
        ("/calicoNetwork/mtu", "mtu"),
        ("/cni/type", "cni.type"),
        ("/cni/ipam/type", "cni.ipam.type"),
    ] {
        facts.state(Kind::Calico, key, scalar(whole.pointer(&format!("{base}{path}"))), place(path));
    }
    facts.state(
        Kind::Calico,
        "version",
        scalar(whole.pointer("/status/calicoVersion")),
        format!("{title} status.calicoVersion"),
    );
    facts.state(Kind::Calico, "mtu", scalar(whole.pointer("/status/mtu")), format!("{title} status.mtu"));
    let pools = whole.pointer(&format!("{base}/calicoNetwork/ipPools")).and_then(Value::as_array);
    for (index, pool) in pools.into_iter().flatten().enumerate() {
        let path = format!("/calicoNetwork/ipPools[{index}].encapsulation");
        facts.state(Kind::Calico, "pool.encapsulation", scalar(pool.get("encapsulation")), place(&path));
    }
}

fn take_config_map(whole: &Value, facts: &mut Facts) {
    let Some(map) = ConfigMap::of(Given::Object(&resources::CONFIGMAPS, whole)) else { return };
    let title = map.title();
    let by_name = ROWS.iter().find(|row| listed(row.config_maps, map.name()));
    let by_entry = || map.entry("net-conf.json").map(|_| Kind::Flannel.row());
    let Some(row) = by_name.or_else(by_entry) else { return };
    let kind = row.kind;
    facts.config_maps.insert((kind, title.clone()));
    let place = |key: &str| format!("{title} data.{key}");
    let entries = |facts: &mut Facts, kind: Kind, keys: &[&'static str]| {
        for key in keys {
            facts.state(kind, key, map.entry(key).unwrap_or_default().trim(), place(key));
        }
    };
    match kind {
        Kind::Calico | Kind::Canal => entries(facts, kind, CALICO_MAP),
        Kind::Cilium => entries(facts, Kind::Cilium, CILIUM_MAP),
        Kind::Antrea => take_antrea(&map, facts),
        Kind::OvnKubernetes => {
            let conf = map.entry("ovnkube.conf").unwrap_or_default();
            let mtu = conf.lines().find_map(|line| line.trim().strip_prefix("mtu")?.trim_start().strip_prefix('='));
            let mtu = mtu.map(|text| text.trim().trim_matches('"')).unwrap_or_default();
            facts.state(kind, "mtu", mtu, place("ovnkube.conf"));
        }
        Kind::Terway => {
            let conf = map
                .entry("10-terway.conf")
                .and_then(|text| serde_json::from_str::<Value>(text).ok())
                .unwrap_or_default();
            facts.state(kind, "eniip_virtual_type", scalar(conf.get("eniip_virtual_type")), place("10-terway.conf"));
        }
        _ => {}
    }
    if let Some(text) = map.entry("net-conf.json") {
        match parse_net_conf(text) {
            Ok(conf) => {
                // flannel's own default
                let backend = if conf.backend.is_empty() { "udp" } else { conf.backend.as_str() };
                facts.state(kind, "backend", backend, place("net-conf.json"));
                let value = serde_json::from_str::<Value>(text).unwrap_or_default();
                facts.state(kind, "EnableNFTables", scalar(value.get("EnableNFTables")), place("net-conf.json"));
                facts.state(
                    kind,
                    "DirectRouting",
                    scalar(value.pointer("/Backend/DirectRouting")),
                    place("net-conf.json"),
                );
            }
            Err(error) => {
                let reason = format!("{}: {}", map.place("net-conf.json", error.line), error.reason);
                facts.unreadable.push(Unreadable { source: title.clone(), node: None, reason });
            }
        }
    }
    for key in ["cni-conf.json", "cni_network_config", "antrea-cni.conflist"] {
        let Some(text) = map.entry(key) else { continue };
        // the installer fills these in; a bare one would be no JSON
        let text = text.replace("__CNI_MTU__", "0").replace("__KUBECONFIG_FILEPATH__", "x");
        let file = ConfFile { name: row.file.to_owned(), conf: parse(&text), line: 1 };
        let known = facts.templates.iter().any(|(_, _, at)| *at == place(key));
        if file.conf.is_ok() && !known {
            facts.templates.push((kind, file, place(key)));
        }
    }
}

fn take_antrea(map: &ConfigMap<'_>, facts: &mut Facts) {
    const KEY: &str = "antrea-agent.conf";
    let Some(text) = map.entry(KEY) else { return };
    let Some(document) = yaml(text).ok().flatten() else { return };
    for (path, key, default) in [
        ("/trafficEncapMode", "trafficEncapMode", "encap"),
        ("/tunnelType", "tunnelType", "geneve"),
        ("/defaultMTU", "mtu", ""),
        ("/antreaProxy/proxyAll", "proxyAll", "false"),
        ("/hostNetworkMode", "hostNetworkMode", ""),
    ] {
        let value = scalar(document.pointer(path));
        let value = if value.is_empty() { default.to_owned() } else { value };
        facts.state(Kind::Antrea, key, value, format!("{} data.{KEY}: {key}", map.title()));
    }
}

/// Takes what an agent's DaemonSet is told by variables and flags.
pub(super) fn take_workload(kind: Kind, workload: &Workload<'_>, facts: &mut Facts) {
    for (of, name) in VARIABLES {
        let own = *of == kind || (*of == Kind::Calico && kind == Kind::Canal);
        if own && let Some((field, value)) = workload.env(name) {
            facts.state(kind, name, value, format!("{} {field}", workload.object()));
        }
    }
    for (of, name) in FLAGS.iter().filter(|(of, _)| *of == kind) {
        for (field, value) in workload.flag(name) {
            facts.state(*of, name, value, format!("{} {field}", workload.object()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calico_config_and_what_felix_is_told() {
        let mut facts = Facts::default();
        facts.take_object(
            &resources::CONFIGMAPS,
            &json!({"metadata": {"name": "calico-config", "namespace": "kube-system"},
                "data": {"calico_backend": "bird", "cluster_type": "kubespray,bgp",
                    "cni_network_config": "{\"name\":\"k8s-pod-network\",\"plugins\":[{\"type\":\"calico\",\"mtu\":__CNI_MTU__,\"ipam\":{\"type\":\"calico-ipam\"}}]}"}}),
        );
        facts.take_object(
            &resources::CALICO_FELIXCONFIGURATIONS_V1,
            &json!({"metadata": {"name": "default"}, "spec": {"bpfEnabled": false, "programClusterRoutes": "Enabled"}}),
        );
        assert_eq!(facts.value(Kind::Calico, "calico_backend"), Some("bird"));
        assert_eq!(facts.value(Kind::Calico, "cluster_type"), Some("kubespray,bgp"));
        assert_eq!(
            facts.setting(Kind::Calico, "bpfEnabled").unwrap().place,
            "felixconfiguration default spec.bpfEnabled"
        );
        assert_eq!(facts.value(Kind::Calico, "felix.programClusterRoutes"), Some("Enabled"));
        let (kind, file, _) = &facts.templates[0];
        assert_eq!(
            (*kind, file.conf.as_ref().unwrap().plugins[0].ipam.as_deref()),
            (Kind::Calico, Some("calico-ipam"))
        );
    }

    #[test]
    fn a_broken_net_conf_is_named_with_its_line() {
        let mut facts = Facts::default();
        let map = json!({"metadata": {"name": "kube-flannel-cfg", "namespace": "kube-flannel"}, "data": {"net-conf.json": "{\n\"Backend\" 1}"}});
        facts.take_object(&resources::CONFIGMAPS, &map);
        assert!(facts.unreadable[0].reason.contains("line 2"), "{:?}", facts.unreadable);
        assert_eq!(facts.value(Kind::Flannel, "backend"), None);
    }
}
