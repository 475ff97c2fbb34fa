//! calico-node: the annotations that it writes on its node, and the environment of its DaemonSet.

use serde_json::Value;

use super::pools::IPPOOLS;
use crate::{
    cidr::{IpRange, parse_cidr, parse_ip, parse_list},
    cluster::{ReadStatus, resources, wire},
    ranges::{Confidence, Facts, Given, IpOwner, Origin, RangeFact, Role, Source, Want},
};

/// The node's own addresses, in CIDR form: the only place that has the network's length.
const ADDRESSES: [&str; 2] = ["projectcalico.org/IPv4Address", "projectcalico.org/IPv6Address"];

/// Addresses of the node's tunnel interfaces, taken from a pool.
const TUNNELS: [&str; 5] = [
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
];

/// Variables that name the pools to be made at the first start.
const FIRST_POOLS: [&str; 2] = ["CALICO_IPV4POOL_CIDR", "CALICO_IPV6POOL_CIDR"];

/// calico-node.
pub struct CalicoNode;

impl Source for CalicoNode {
    fn name(&self) -> &'static str {
        "calico-node"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::NODES), Want::list(&resources::DAEMONSETS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Node(node) => take_node(node, facts),
            Given::Object(resource, object) if *resource == resources::DAEMONSETS => self.take_daemonset(object, facts),
            _ => {}
        }
    }

    fn finish(&self, facts: &mut Facts) {
        self.state_node_networks(facts);
        state_first_pools(facts);
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.calico.sign.clone()
    }
}

fn take_node(node: &wire::Node, facts: &mut Facts) {
    let Some(meta) = &node.metadata else { return };
    let object = format!("node {}", meta.name);
    for key in ADDRESSES {
        let Some(text) = meta.annotations.get(key) else { continue };
        facts.known.calico.seen(|| format!("annotation {key} of {object}"));
        match parse_cidr(text) {
            // a host route says nothing about the network
            Ok(written) if written.cidr.host_bits() > 0 => {
                let (first, count) =
                    facts.known.calico.node_networks.entry(written.cidr).or_insert_with(|| (meta.name.clone(), 0));
                if meta.name < *first {
                    first.clone_from(&meta.name);
                }
                *count += 1;
            }
            Ok(_) => {}
            Err(error) => facts.problem(&object, format!("annotation {key}: {error}")),
        }
    }
    for key in TUNNELS {
        let Some(text) = meta.annotations.get(key).filter(|text| !text.is_empty()) else { continue };
        facts.known.calico.seen(|| format!("annotation {key} of {object}"));
        match parse_ip(text) {
            Ok((ip, _)) => {
                let owner = IpOwner {
                    kind: "Tunnel".to_owned(),
                    namespace: None,
                    name: key.trim_start_matches("projectcalico.org/").to_owned(),
                    node: Some(meta.name.clone()),
                };
                facts.infrastructure.push((ip, owner));
                facts.known.calico.tunnels.push((ip, meta.name.clone(), key));
            }
            Err(error) => facts.problem(&object, format!("annotation {key}: {error}")),
        }
    }
}

impl CalicoNode {
    fn take_daemonset(&self, object: &Value, facts: &mut Facts) {
        let name = super::name(object);
        if !matches!(name, "calico-node" | "canal" | "rke2-canal") {
            return;
        }
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let daemonset = format!("daemonset {namespace}/{name}");
        facts.known.calico.seen(|| daemonset.clone());
        let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let container_name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            for variable in container.get("env").and_then(Value::as_array).into_iter().flatten() {
                let key = variable.get("name").and_then(Value::as_str).unwrap_or_default();
                let value = variable.get("value").and_then(Value::as_str).unwrap_or_default();
                if !FIRST_POOLS.contains(&key) {
                    continue;
                }
                let field = format!("containers {container_name}: env {key}");
                let origin = Origin::new(self.name(), Confidence::C, &daemonset, field);
                for entry in parse_list(value) {
                    match entry {
                        Ok(written) => {
                            facts.known.calico.first_pools.push((written.cidr, written.text, origin.clone()));
                        }
                        Err(error) => facts.problem(&daemonset, format!("{}: {error}", origin.field)),
                    }
                }
            }
        }
    }

    /// One statement per network, however many nodes are in it.
    fn state_node_networks(&self, facts: &mut Facts) {
        for (cidr, (node, count)) in std::mem::take(&mut facts.known.calico.node_networks) {
            let field = if cidr.family() == crate::cidr::Family::V4 { ADDRESSES[0] } else { ADDRESSES[1] };
            let object = match count {
                0 | 1 => format!("node {node}"),
                _ => format!("node {node} and {} more", count - 1),
            };
            facts.ranges.push(RangeFact {
                role: Role::Node,
                cidr,
                range: IpRange::from(cidr),
                // the address' host bits are no flaw
                text: cidr.to_string(),
                flaws: Vec::new(),
                origin: Origin::new(self.name(), Confidence::A, object, format!("metadata.annotations[{field}]")),
                lower_bound: false,
                share_of: None,
            });
        }
    }
}

/// The variables count at the first start only: once there are pools, one that has no pool says
/// nothing about the cluster.
fn state_first_pools(facts: &mut Facts) {
    let pools_known = IPPOOLS.status(facts) == Some(&ReadStatus::Complete);
    for (cidr, text, origin) in std::mem::take(&mut facts.known.calico.first_pools) {
        let is_pool = facts.known.calico.pools.values().any(|pool| pool.cidr == cidr);
        if is_pool || !pools_known {
            super::add_once(facts, Role::Pod, &text, &origin);
        }
    }
}
