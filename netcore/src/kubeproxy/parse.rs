//! Text to [`KubeProxyConfig`].

use std::collections::BTreeMap;

use serde_json::Value;

use super::model::{DetectLocal, KubeProxyConfig};
use crate::{
    problem::Problem,
    text::{line_of, scalar, scalars, yaml_documents},
};

/// Reads a configuration file: the first `KubeProxyConfiguration` in it, nothing where there is
/// none. YAML or JSON.
pub fn parse(text: &str) -> Result<Option<KubeProxyConfig>, Problem> {
    let documents = yaml_documents(text)?;
    let found = documents.iter().find(|document| scalar(document.get("kind")) == "KubeProxyConfiguration");
    Ok(found.map(|document| KubeProxyConfig {
        cluster_cidr_line: line_of(text, &["clusterCIDR"]),
        mode_line: document.get("mode").map(|_| line_of(text, &["mode"])),
        ..from_value(document)
    }))
}

/// The configuration out of a decoded document, as `/configz` has it; lines are not known there.
///
/// Until 1.31 or so `/configz` showed kube-proxy's internal types, whose names begin with capitals.
pub fn from_value(document: &Value) -> KubeProxyConfig {
    if document.get("BindAddress").is_some() && document.get("bindAddress").is_none() {
        return from_internal(document);
    }
    let local = document.get("detectLocal");
    let is_set = |path: &str| document.pointer(path).and_then(Value::as_bool).unwrap_or(false);
    let number = |path: &str| document.pointer(path).and_then(Value::as_u64);
    KubeProxyConfig {
        mode: scalar(document.get("mode")),
        cluster_cidr: scalars(document.get("clusterCIDR")).join(","),
        cluster_cidr_line: 1,
        detect_local: DetectLocal::from(scalar(document.get("detectLocalMode")).as_str()),
        bridge_interface: scalar(local.and_then(|l| l.get("bridgeInterface"))),
        interface_name_prefix: scalar(local.and_then(|l| l.get("interfaceNamePrefix"))),
        hostname_override: scalar(document.get("hostnameOverride")),
        node_port_addresses: scalars(document.get("nodePortAddresses")),
        masquerade_all: is_set("/iptables/masqueradeAll"),
        nftables_masquerade_all: is_set("/nftables/masqueradeAll"),
        masquerade_bit: number("/iptables/masqueradeBit"),
        nftables_masquerade_bit: number("/nftables/masqueradeBit"),
        localhost_node_ports: document.pointer("/iptables/localhostNodePorts").and_then(Value::as_bool),
        mode_line: None,
        scheduler: scalar(document.pointer("/ipvs/scheduler")),
        strict_arp: is_set("/ipvs/strictARP"),
        exclude_cidrs: scalars(document.pointer("/ipvs/excludeCIDRs")),
        tcp_be_liberal: is_set("/conntrack/tcpBeLiberal"),
        metrics_bind_address: scalar(document.get("metricsBindAddress")),
        feature_gates: feature_gates(document.get("featureGates")),
    }
}

fn from_internal(document: &Value) -> KubeProxyConfig {
    let text = |path: &str| scalar(document.pointer(path));
    let number = |path: &str| document.pointer(path).and_then(Value::as_u64);
    // settings moved from mode to mode: the first place that is there
    let flag = |paths: &[&str]| paths.iter().find_map(|path| document.pointer(path)?.as_bool());
    let ranges = document.pointer("/DetectLocal/ClusterCIDRs").or_else(|| document.get("ClusterCIDR"));
    let all = flag(&["/Linux/MasqueradeAll", "/IPTables/MasqueradeAll"]).unwrap_or(false);
    KubeProxyConfig {
        mode: text("/Mode"),
        cluster_cidr: scalars(ranges).join(","),
        cluster_cidr_line: 1,
        detect_local: DetectLocal::from(text("/DetectLocalMode").as_str()),
        bridge_interface: text("/DetectLocal/BridgeInterface"),
        interface_name_prefix: text("/DetectLocal/InterfaceNamePrefix"),
        hostname_override: text("/HostnameOverride"),
        node_port_addresses: scalars(document.get("NodePortAddresses")),
        masquerade_all: all,
        nftables_masquerade_all: flag(&["/Linux/MasqueradeAll", "/NFTables/MasqueradeAll"]).unwrap_or(false),
        masquerade_bit: number("/IPTables/MasqueradeBit"),
        nftables_masquerade_bit: number("/NFTables/MasqueradeBit"),
        localhost_node_ports: flag(&["/IPTables/LocalhostNodePorts"]),
        mode_line: None,
        scheduler: text("/IPVS/Scheduler"),
        strict_arp: flag(&["/IPVS/StrictARP"]).unwrap_or(false),
        exclude_cidrs: scalars(document.pointer("/IPVS/ExcludeCIDRs")),
        tcp_be_liberal: flag(&["/Linux/Conntrack/TCPBeLiberal", "/Conntrack/TCPBeLiberal"]).unwrap_or(false),
        metrics_bind_address: text("/MetricsBindAddress"),
        feature_gates: feature_gates(document.get("FeatureGates")),
    }
}

fn feature_gates(value: Option<&Value>) -> BTreeMap<String, bool> {
    let gates = value.and_then(Value::as_object).into_iter().flatten();
    gates.filter_map(|(name, on)| Some((name.clone(), on.as_bool()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // an excerpt of the kubespray cluster's ConfigMap in the project's seed
    const KUBESPRAY: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nclusterCIDR: 10.233.64.0/18\n\
        detectLocal:\n  bridgeInterface: \"\"\n  interfaceNamePrefix: \"\"\ndetectLocalMode: \"\"\n\
        hostnameOverride: master1.taikang1.local\nkind: KubeProxyConfiguration\nmode: ipvs\nnodePortAddresses: []\n";

    #[test]
    fn a_real_file_is_read() {
        let config = parse(KUBESPRAY).unwrap().unwrap();
        assert_eq!(config.cluster_cidr, "10.233.64.0/18");
        assert_eq!(config.cluster_cidr_line, 2);
        assert_eq!(config.mode, "ipvs");
        assert_eq!(config.detect_local, DetectLocal::ClusterCidr);
        assert_eq!(config.hostname_override, "master1.taikang1.local");
        assert!(config.node_port_addresses.is_empty());
        assert_eq!(config.mode_line, Some(9));
    }

    #[test]
    fn what_each_mode_reads_for_itself() {
        let text = "kind: KubeProxyConfiguration\nfeatureGates:\n  KubeProxyIPVS: false\nipvs:\n  scheduler: lc\n  \
            strictARP: true\n  excludeCIDRs: [10.0.0.0/8]\niptables: {masqueradeBit: 13, localhostNodePorts: false}\n\
            nftables: {masqueradeAll: true}\nconntrack: {tcpBeLiberal: true}\n";
        let config = parse(text).unwrap().unwrap();
        assert_eq!((config.scheduler.as_str(), config.strict_arp), ("lc", true));
        assert_eq!(config.exclude_cidrs, ["10.0.0.0/8"]);
        assert_eq!((config.masquerade_bit, config.localhost_node_ports), (Some(13), Some(false)));
        assert!(config.nftables_masquerade_all && !config.masquerade_all && config.tcp_be_liberal);
        assert_eq!(config.feature_gates.get("KubeProxyIPVS"), Some(&false));
        assert_eq!((config.mode.as_str(), config.mode_line), ("", None));
    }

    #[test]
    fn internal_types_are_read_too() {
        // what /configz of kube-proxy 1.31.14 printed, shortened
        let text = r#"{"Linux":{"Conntrack":{"TCPBeLiberal":true},"MasqueradeAll":true},"FeatureGates":{},
            "HostnameOverride":"node3","BindAddress":"0.0.0.0","MetricsBindAddress":"127.0.0.1:10249","Mode":"nftables",
            "IPTables":{"MasqueradeBit":14,"LocalhostNodePorts":true},"IPVS":{"Scheduler":"rr","ExcludeCIDRs":null},
            "NFTables":{"MasqueradeBit":13},"DetectLocalMode":"ClusterCIDR",
            "DetectLocal":{"BridgeInterface":"","ClusterCIDRs":["10.244.0.0/16","fd00:244::/56"],"InterfaceNamePrefix":""},
            "NodePortAddresses":["172.31.77.4/32"]}"#;
        let config = from_value(&serde_json::from_str(text).unwrap());
        assert_eq!((config.mode.as_str(), config.cluster_cidr.as_str()), ("nftables", "10.244.0.0/16,fd00:244::/56"));
        assert_eq!(config.node_port_addresses, ["172.31.77.4/32"]);
        assert!(config.masquerade_all && config.nftables_masquerade_all && config.tcp_be_liberal);
        assert_eq!((config.masquerade_bit, config.nftables_masquerade_bit), (Some(14), Some(13)));
        assert_eq!((config.hostname_override.as_str(), config.scheduler.as_str()), ("node3", "rr"));
        let before =
            r#"{"BindAddress":"0.0.0.0","ClusterCIDR":"10.244.0.0/16","IPTables":{"MasqueradeAll":true},"Mode":""}"#;
        let config = from_value(&serde_json::from_str(before).unwrap());
        assert_eq!((config.cluster_cidr.as_str(), config.masquerade_all), ("10.244.0.0/16", true));
    }

    #[test]
    fn a_kubeconfig_is_not_one() {
        assert_eq!(parse("apiVersion: v1\nkind: Config\n"), Ok(None));
        assert_eq!(parse(""), Ok(None));
    }

    #[test]
    fn unknown_modes_and_null_fields_are_borne() {
        let text =
            "kind: KubeProxyConfiguration\nclusterCIDR: null\ndetectLocalMode: ByMagic\nnodePortAddresses: null\n";
        let config = parse(text).unwrap().unwrap();
        assert_eq!(config.cluster_cidr, "");
        assert_eq!(config.detect_local, DetectLocal::Other("ByMagic".to_owned()));
    }

    #[test]
    fn broken_text_names_its_line() {
        assert_eq!(parse("kind: KubeProxyConfiguration\nmode: [ipvs\nx: y\n").unwrap_err().line.min(3), 3);
    }
}
