//! `CiliumNode`, and the annotations that older agents write on their node instead.

use crate::{
    cidr::parse_ip,
    cilium,
    cluster::{resources, wire},
    ranges::{Confidence, Facts, Given, IpOwner, Origin, Role, Source, Want},
};

/// Annotations, by what they hold: the present prefix and the one before it.
const PREFIXES: [&str; 2] = ["network.cilium.io/", "io.cilium.network."];

/// Cilium's nodes.
pub struct CiliumNodes;

impl Source for CiliumNodes {
    fn name(&self) -> &'static str {
        "ciliumnode"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::CILIUM_NODES), Want::list(&resources::NODES)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Object(resource, object) if *resource == resources::CILIUM_NODES => {
                self.take_node(cilium::node(object), facts);
            }
            Given::Node(node) => take_annotations(node, facts),
            _ => {}
        }
    }

    /// Annotations of a node count where it has no object of Cilium's: they may be stale.
    fn finish(&self, facts: &mut Facts) {
        for (node, key, text) in std::mem::take(&mut facts.known.cilium.annotated) {
            if facts.known.cilium.nodes.contains_key(&node) {
                continue;
            }
            let short = PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix)).unwrap_or_default();
            let object = format!("node {node}");
            if short.ends_with("pod-cidr") {
                let field = format!("metadata.annotations[{key}]");
                let origin = Origin::new(self.name(), Confidence::C, object, field);
                facts.add_share(Role::Pod, &text, &origin, &node);
                continue;
            }
            let kind = match short.to_ascii_lowercase().as_str() {
                "ipv4-cilium-host" | "ipv6-cilium-host" => "Router",
                "ipv4-health-ip" | "ipv6-health-ip" => "Health",
                _ => "Ingress",
            };
            match parse_ip(&text) {
                Ok((ip, _)) => facts.infrastructure.push((ip, owner(kind, &node))),
                Err(error) => facts.problem(&object, format!("annotation {key}: {error}")),
            }
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.cilium.sign.clone()
    }
}

impl CiliumNodes {
    fn take_node(&self, node: cilium::CiliumNode, facts: &mut Facts) {
        let object = format!("ciliumnode {}", node.name);
        facts.known.cilium.seen(|| object.clone());
        let mut cidrs = Vec::new();
        for stated in node.pod_cidrs.iter().chain(&node.pool_cidrs) {
            let origin = Origin::new(self.name(), Confidence::A, &object, &stated.field);
            cidrs.extend(facts.add_share(Role::Pod, &stated.text, &origin, &node.name));
        }
        for (ip, kind) in node.own {
            facts.infrastructure.push((ip, owner(kind, &node.name)));
        }
        let state = super::NodeState { cidrs, operator_error: node.operator_error };
        facts.known.cilium.nodes.insert(node.name, state);
    }
}

fn owner(kind: &str, node: &str) -> IpOwner {
    IpOwner { kind: kind.to_owned(), namespace: None, name: "cilium".to_owned(), node: Some(node.to_owned()) }
}

fn take_annotations(node: &wire::Node, facts: &mut Facts) {
    let Some(meta) = &node.metadata else { return };
    for what in ["pod-cidr", "cilium-host", "health-ip", "Ingress-ip"] {
        for family in ["ipv4", "ipv6"] {
            let found = PREFIXES.iter().find_map(|prefix| {
                let key = format!("{prefix}{family}-{what}");
                meta.annotations.get(&key).filter(|text| !text.is_empty()).map(|text| (key, text))
            });
            let Some((key, text)) = found else { continue };
            facts.known.cilium.seen(|| format!("annotation {key} of node {}", meta.name));
            facts.known.cilium.annotated.push((meta.name.clone(), key, text.clone()));
        }
    }
}
