//! Kubelets' running configuration: the resolver that pods are given, and the limit of pods.

use std::net::IpAddr;

use serde_json::Value;

use crate::{
    cidr::parse_ip,
    cluster::resources,
    probe::Probe,
    ranges::{Confidence, Facts, Given, Origin, Source, Want},
    text::{json, scalar, scalars},
};

/// What a kubelet runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubelet {
    /// `clusterDNS`.
    pub cluster_dns: Vec<IpAddr>,
    /// `clusterDomain`.
    pub cluster_domain: String,
    /// `maxPods`.
    pub max_pods: Option<u64>,
    /// The answer or file.
    pub origin: Origin,
}

/// Kubelets' `/configz`.
pub(super) struct Kubelets;

const NAME: &str = "kubelet";
/// A few nodes stand for all: each answer goes through the API server to a kubelet.
const ASKED: usize = 3;

impl Source for Kubelets {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        let mut wants = vec![Want::Node(Probe::Configz)];
        if facts.complete(&resources::NODES) {
            let ready = facts.nodes.values().filter(|node| node.ready).take(ASKED);
            wants.extend(ready.map(|node| Want::Raw { path: path(&node.name), accept: "application/json" }));
        }
        wants
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Raw(path, text) => {
                if let Some(node) = path.strip_prefix("/api/v1/nodes/").and_then(|p| p.strip_suffix("/proxy/configz")) {
                    take_configz(node, text, path, facts);
                }
            }
            Given::Probe(node, Probe::Configz, text, file) => {
                take_configz(node.unwrap_or(super::UNNAMED), text, file, facts);
            }
            _ => {}
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}

fn path(node: &str) -> String {
    format!("/api/v1/nodes/{node}/proxy/configz")
}

fn take_configz(node: &str, text: &str, object: &str, facts: &mut Facts) {
    let value = match json(text) {
        Ok(value) => value,
        Err(error) => return facts.problem(object, error.to_string()),
    };
    // kube-proxy's answer has another key
    let Some(config) = value.get("kubeletconfig") else { return };
    let mut cluster_dns = Vec::new();
    for text in scalars(config.get("clusterDNS")) {
        match parse_ip(&text) {
            Ok((ip, _)) => cluster_dns.push(ip),
            Err(error) => facts.problem(object, format!("kubeletconfig.clusterDNS: {error}")),
        }
    }
    let cluster_domain = scalar(config.get("clusterDomain"));
    if !cluster_domain.is_empty() && !facts.dns_domains.iter().any(|(d, o)| *d == cluster_domain && o.source == NAME) {
        let origin = Origin::new(NAME, Confidence::A, object, "kubeletconfig.clusterDomain");
        facts.dns_domains.push((cluster_domain.clone(), origin));
    }
    facts.known.kubelets.insert(
        node.to_owned(),
        Kubelet {
            cluster_dns,
            cluster_domain,
            max_pods: config.get("maxPods").and_then(Value::as_u64),
            origin: Origin::new(NAME, Confidence::A, object, "kubeletconfig.clusterDNS"),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::ReadStatus, ranges::NodeFacts};

    #[test]
    fn at_most_three_ready_nodes_are_asked() {
        let mut facts = Facts::default();
        for i in 0..9 {
            let node = NodeFacts { name: format!("n{i}"), ready: i != 0, ..NodeFacts::default() };
            facts.nodes.insert(node.name.clone(), node);
        }
        assert_eq!(Kubelets.wants(&facts).len(), 1, "not before all nodes are known");
        facts.reads.insert(Want::list(&resources::NODES), ReadStatus::Complete);
        let wants = Kubelets.wants(&facts);
        assert_eq!(wants.len(), 4);
        assert!(!wants.iter().any(|want| want.to_string().contains("/n0/")));
    }

    #[test]
    fn the_resolver_and_the_limit() {
        let mut facts = Facts::default();
        let text = r#"{"kubeletconfig":{"clusterDNS":["10.96.0.10"],"clusterDomain":"cluster.local","maxPods":110}}"#;
        Kubelets.take(Given::Raw(&path("n1"), text), &mut facts);
        assert_eq!(facts.known.kubelets["n1"].max_pods, Some(110));
        assert_eq!(facts.dns_domains[0].0, "cluster.local");
        Kubelets.take(Given::Probe(Some("n2"), Probe::Configz, r#"{"kubeproxy.config.k8s.io":{}}"#, "f"), &mut facts);
        assert_eq!(facts.known.kubelets.len(), 1);
    }
}
