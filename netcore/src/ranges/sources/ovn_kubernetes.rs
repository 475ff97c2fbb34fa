//! OVN-Kubernetes: each node's share, the nodes' own networks, its internal networks, its ConfigMap
//! and the networks of tenants.

use serde_json::Value;

use super::{
    InternalNetwork, Ipam, NodePrefix,
    fields::{Fields, add_network, json, prefixes},
};
use crate::{
    cidr::{Cidr, Family, parse_cidr, parse_list},
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
};

/// The nodes' `k8s.ovn.org/` annotations, ConfigMap `ovn-config`, user-defined networks.
pub(super) struct OvnKubernetes;

pub(super) const NAME: &str = "ovn-kubernetes";

/// What OVN-Kubernetes uses where nobody says otherwise.
const DEFAULTS: [(&str, Family, &str); 6] = [
    ("join", Family::V4, "100.64.0.0/16"),
    ("join", Family::V6, "fd98::/64"),
    ("transit", Family::V4, "100.88.0.0/16"),
    ("transit", Family::V6, "fd97::/64"),
    ("masquerade", Family::V4, "169.254.0.0/17"),
    ("masquerade", Family::V6, "fd69::/112"),
];

impl Source for OvnKubernetes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![
            Want::get(&resources::CONFIGMAPS, "ovn-kubernetes", "ovn-config"),
            Want::list(&resources::OVN_USERDEFINEDNETWORKS),
            Want::list(&resources::OVN_CLUSTERUSERDEFINEDNETWORKS),
        ]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Node(node) => {
                let Some(meta) = &node.metadata else { return };
                let object = format!("node {}", meta.name);
                for (key, text) in &meta.annotations {
                    if let Some(key) = key.strip_prefix("k8s.ovn.org/") {
                        annotation(&meta.name, &object, key, text, facts);
                    }
                }
            }
            Given::Object(resource, value) if resource == &resources::CONFIGMAPS => {
                let map = Fields::of("configmap", value);
                if map.name() == "ovn-config" {
                    config(&map, facts);
                }
            }
            Given::Object(resource, value) if resource == &resources::OVN_USERDEFINEDNETWORKS => {
                tenant(&Fields::of("userdefinednetwork", value), "spec", facts);
            }
            Given::Object(resource, value) if resource == &resources::OVN_CLUSTERUSERDEFINEDNETWORKS => {
                tenant(&Fields::of("clusteruserdefinednetwork", value), "spec.network", facts);
            }
            _ => {}
        }
    }

    /// The defaults of what nobody stated.
    fn finish(&self, facts: &mut Facts) {
        if facts.known.ipam() != Some(Ipam::OvnKubernetes) {
            return;
        }
        for (purpose, family, text) in DEFAULTS {
            let used = facts.ranges.iter().any(|r| r.role == Role::Pod && r.cidr.family() == family);
            let stated =
                facts.known.internal_networks.iter().any(|n| n.purpose == purpose && n.cidr.family() == family);
            if used && !stated {
                let origin = Origin::new(NAME, Confidence::D, "OVN-Kubernetes", format!("default {purpose} network"));
                internal(purpose, text, &origin, facts);
            }
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.sign_of(NAME)
    }
}

fn annotation(node: &str, object: &str, key: &str, text: &str, facts: &mut Facts) {
    let field = format!("metadata.annotations.k8s.ovn.org/{key}");
    let origin = Origin::new(NAME, Confidence::A, object, &field);
    match key {
        "node-subnets" => {
            let Some(networks) = json(object, &field, text, facts) else { return };
            facts.known.sign(NAME, object);
            if !facts.known.ipams.iter().any(|(ipam, _)| *ipam == Ipam::OvnKubernetes) {
                facts.known.says_ipam(Ipam::OvnKubernetes, origin.clone());
            }
            for (network, subnets) in networks.as_object().into_iter().flatten() {
                // a tenant's network may overlap anything
                let role = if network == "default" { Role::Pod } else { Role::Internal };
                for subnet in strings(subnets) {
                    facts.add_share(role, subnet, &origin, node);
                }
            }
        }
        "host-cidrs" => {
            let Some(addresses) = json(object, &field, text, facts) else { return };
            for address in strings(&addresses) {
                host_network(address, &origin, facts);
            }
        }
        "node-gateway-router-lrp-ifaddrs" => {
            let Some(networks) = json(object, &field, text, facts) else { return };
            if let Some(default) = networks.get("default") {
                by_family("join", default, &origin, facts);
            }
        }
        "node-transit-switch-port-ifaddr" => {
            let Some(addresses) = json(object, &field, text, facts) else { return };
            by_family("transit", &addresses, &origin, facts);
        }
        "node-masquerade-subnet" => {
            let Some(addresses) = json(object, &field, text, facts) else { return };
            by_family("masquerade", &addresses, &origin, facts);
        }
        _ => {}
    }
}

/// One text or a list of them.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// `{"ipv4": "100.64.0.2/16", "ipv6": …}`, or one text.
fn by_family(purpose: &'static str, value: &Value, origin: &Origin, facts: &mut Facts) {
    let texts = match value {
        Value::Object(map) => map.values().filter_map(Value::as_str).collect(),
        other => strings(other),
    };
    for text in texts {
        internal(purpose, text, origin, facts);
    }
}

/// States an internal network by an address in it; the same on every node is stated once.
pub(super) fn internal(purpose: &'static str, text: &str, origin: &Origin, facts: &mut Facts) {
    let cidr = match parse_cidr(text) {
        Ok(written) => written.cidr,
        Err(error) => return facts.problem(&origin.object, format!("{}: {error}", origin.field)),
    };
    // without its mask an address does not show the network
    if cidr.host_bits() == 0 || stated(facts, purpose, &cidr) {
        return;
    }
    facts.add_ranges(Role::Internal, &cidr.to_string(), origin);
    facts.known.internal_networks.push(InternalNetwork { purpose, cidr, origin: origin.clone() });
}

fn stated(facts: &Facts, purpose: &str, cidr: &Cidr) -> bool {
    facts.known.internal_networks.iter().any(|n| n.purpose == purpose && n.cidr == *cidr)
}

/// The network of one of the host's addresses; link-local ones and single addresses show nothing.
fn host_network(address: &str, origin: &Origin, facts: &mut Facts) {
    let Ok(written) = parse_cidr(address) else {
        return facts.problem(&origin.object, format!("{}: `{address}` is no address with a mask", origin.field));
    };
    let local = match written.cidr.first() {
        std::net::IpAddr::V4(ip) => ip.is_link_local() || ip.is_loopback(),
        std::net::IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_loopback(),
    };
    if !local && written.cidr.host_bits() > 0 && facts.known.node_networks.insert(written.cidr) {
        add_network(Role::Node, address, origin, facts);
    }
}

fn config(map: &Fields<'_>, facts: &mut Facts) {
    facts.known.sign(NAME, map.object());
    if let Some(text) = map.data("net_cidr") {
        let origin = map.origin(NAME, Confidence::B, "data.net_cidr");
        facts.known.says_ipam(Ipam::OvnKubernetes, origin.clone());
        facts.add_ranges(Role::Pod, text, &origin);
        for written in parse_list(text).into_iter().flatten() {
            if let Some(length) = written.host_prefix {
                facts.known.node_prefixes.push(NodePrefix { cidr: written.cidr, length, origin: origin.clone() });
            }
        }
    }
    if let Some(text) = map.data("svc_cidr") {
        let origin = map.origin(NAME, Confidence::B, "data.svc_cidr");
        facts.add_ranges(Role::Service, text, &origin);
    }
}

/// A tenant's network: its ranges may overlap any other, so they take part in no comparison.
fn tenant(network: &Fields<'_>, base: &str, facts: &mut Facts) {
    facts.known.sign(NAME, network.object());
    for layer in ["layer3", "layer2", "localnet"] {
        let path = format!("{base}.{layer}.subnets");
        for (i, subnet) in network.list(&path, facts).iter().enumerate() {
            let text = subnet.as_str().or_else(|| subnet.get("cidr")?.as_str());
            let origin = network.origin(NAME, Confidence::B, &format!("{path}[{i}]"));
            match text {
                Some(text) => {
                    facts.add_ranges(Role::Internal, text, &origin);
                }
                None => facts.problem(network.object(), format!("{}: expected a range or a cidr", origin.field)),
            }
        }
    }
}

/// The pod ranges with the per-node length beside them, as `config.openshift.io` has them.
pub(super) fn cluster_network(
    network: &Fields<'_>,
    path: &str,
    origin: Confidence,
    source: &'static str,
    facts: &mut Facts,
) {
    for (i, entry) in network.list(path, facts).iter().enumerate() {
        let origin = network.origin(source, origin, &format!("{path}[{i}].cidr"));
        let Some(text) = entry.get("cidr").and_then(Value::as_str) else {
            facts.problem(network.object(), format!("{}: expected a range, found nothing", origin.field));
            continue;
        };
        facts.add_ranges(Role::Pod, text, &origin);
        let length = entry.get("hostPrefix").and_then(Value::as_u64).and_then(|n| u8::try_from(n).ok());
        // 0 is how other network types say that nodes have no share
        let Some(length) = length.filter(|n| *n > 0) else { continue };
        for cidr in prefixes(text, &origin, facts) {
            facts.known.node_prefixes.push(NodePrefix { cidr, length, origin: origin.clone() });
        }
    }
}
