//! Nodes: their pod ranges, addresses, limits and state.

use super::kept;
use crate::{
    cidr::parse_ip,
    cluster::{resources, wire},
    ranges::{Confidence, Facts, Given, NodeFacts, Origin, Role, Source, Want},
};

/// `Node` objects.
pub(super) struct Nodes;

const NAME: &str = "node";

impl Source for Nodes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::NODES)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Given::Node(node) = given {
            take_node(node, facts);
        }
    }
}

fn take_node(node: &wire::Node, facts: &mut Facts) {
    let Some(metadata) = &node.metadata else { return };
    if facts.nodes.contains_key(&metadata.name) {
        return;
    }
    let object = format!("node {}", metadata.name);
    let mut known = NodeFacts { name: metadata.name.clone(), ..NodeFacts::default() };
    known.labels = metadata.labels.iter().filter(|(key, _)| kept::label(key)).map(pair).collect();
    known.annotations = metadata.annotations.iter().filter(|(key, _)| kept::annotation(key)).map(pair).collect();
    if let Some(spec) = &node.spec {
        known.provider_id.clone_from(&spec.provider_id);
        let both = spec.pod_cidrs.iter().enumerate().map(|(i, text)| (format!("spec.podCIDRs[{i}]"), text));
        let single = Some(("spec.podCIDR".to_owned(), &spec.pod_cidr)).filter(|_| spec.pod_cidrs.is_empty());
        for (field, text) in both.chain(single) {
            let origin = Origin::new(NAME, Confidence::A, object.as_str(), field);
            known.pod_cidrs.extend(facts.add_share(Role::Pod, text, &origin, &metadata.name));
        }
    }
    if let Some(status) = &node.status {
        take_status(status, &object, &mut known, facts);
    }
    facts.nodes.insert(metadata.name.clone(), known);
}

fn pair((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

fn take_status(status: &wire::NodeStatus, object: &str, known: &mut NodeFacts, facts: &mut Facts) {
    for address in &status.addresses {
        if !matches!(address.r#type.as_str(), "InternalIP" | "ExternalIP") {
            continue;
        }
        match parse_ip(&address.address) {
            Ok((ip, _)) => {
                if !known.addresses.contains(&ip) {
                    known.addresses.push(ip);
                }
                if address.r#type == "InternalIP" && !known.internal.contains(&ip) {
                    known.internal.push(ip);
                }
            }
            Err(error) => facts.problem(object, format!("status.addresses: {error}")),
        }
    }
    known.max_pods = status.capacity.get("pods").and_then(|pods| pods.text.parse().ok());
    for condition in &status.conditions {
        match condition.r#type.as_str() {
            "Ready" => known.ready = condition.status == "True",
            "NetworkUnavailable" if condition.status == "True" => {
                known.network_unavailable = Some(condition.reason.clone());
            }
            _ => {}
        }
    }
    if let Some(info) = &status.node_info {
        known.container_runtime.clone_from(&info.container_runtime_version);
        known.kubelet_version.clone_from(&info.kubelet_version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Facts {
        let mut facts = Facts::default();
        let node: wire::Node = serde_json::from_str(json).unwrap();
        Nodes.take(Given::Node(&node), &mut facts);
        facts
    }

    #[test]
    fn a_dual_stack_node() {
        let facts = read(
            r#"{"metadata":{"name":"node1","annotations":{"flannel.alpha.coreos.com/public-ip":"172.31.77.2","secret.example/token":"x"}},
            "spec":{"podCIDR":"10.244.0.0/24","podCIDRs":["10.244.0.0/24","fd00:244::/64"]},
            "status":{"capacity":{"pods":"110"},"addresses":[{"type":"InternalIP","address":"172.31.77.2"},{"type":"Hostname","address":"node1"}],
            "conditions":[{"type":"Ready","status":"True"},{"type":"NetworkUnavailable","status":"True","reason":"NoRouteCreated"}]}}"#,
        );
        let node = &facts.nodes["node1"];
        assert_eq!(node.pod_cidrs.len(), 2);
        assert_eq!((node.max_pods, node.ready), (Some(110), true));
        assert_eq!(node.network_unavailable.as_deref(), Some("NoRouteCreated"));
        assert_eq!(node.addresses, ["172.31.77.2".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!(node.annotations.len(), 1, "annotations that no source reads are dropped");
        assert_eq!(facts.ranges.len(), 2);
        assert_eq!(facts.ranges[0].origin.to_string(), "node node1 spec.podCIDRs[0]");
        assert_eq!(facts.ranges[0].share_of.as_deref(), Some("node1"));
    }

    #[test]
    fn a_node_without_a_range_and_one_with_a_broken_one() {
        let facts = read(r#"{"metadata":{"name":"a"},"spec":{}}"#);
        assert!(facts.ranges.is_empty() && facts.unreadable.is_empty());
        assert_eq!(facts.nodes["a"].max_pods, None);
        let facts = read(r#"{"metadata":{"name":"a"},"spec":{"podCIDR":"10.244.0.0/33"}}"#);
        assert!(facts.ranges.is_empty());
        assert!(facts.unreadable[0].reason.contains("10.244.0.0/33"));
    }
}
