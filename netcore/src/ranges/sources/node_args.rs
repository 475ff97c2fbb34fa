//! `k3s.io/node-args` and `rke2.io/node-args`: the command line that a node's k3s or RKE2 was
//! started with.

use serde_json::Value;

use super::object;
use crate::{
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
    text::json,
};

/// The annotations of k3s and RKE2.
pub(super) struct NodeArgs;

const NAME: &str = "node-args";
const ANNOTATIONS: [&str; 2] = ["k3s.io/node-args", "rke2.io/node-args"];

impl Source for NodeArgs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        Vec::new()
    }

    fn take(&self, _: Given<'_>, _: &mut Facts) {}

    fn finish(&self, facts: &mut Facts) {
        let mut stated = Vec::new();
        let mut broken = Vec::new();
        for node in facts.nodes.values() {
            for annotation in ANNOTATIONS {
                let Some(text) = node.annotations.get(annotation) else { continue };
                let object = format!("node {}", node.name);
                match json(text) {
                    Ok(Value::Array(words)) => stated.push((object, annotation, words)),
                    Ok(_) => broken.push((object, format!("{annotation}: not a list of arguments"))),
                    Err(error) => broken.push((object, format!("{annotation}: {error}"))),
                }
            }
        }
        for (object, reason) in broken {
            facts.problem(&object, reason);
        }
        for (object, annotation, words) in stated {
            // agents are started without the ranges
            if words.first().and_then(Value::as_str) != Some("server") {
                continue;
            }
            let arguments = object::arguments(&words, annotation);
            for (flag, role) in [("cluster-cidr", Role::Pod), ("service-cidr", Role::Service)] {
                if let Some(argument) = arguments.get(flag) {
                    let field = format!("{}: --{flag}", argument.field);
                    let origin = Origin::new(NAME, Confidence::B, object.as_str(), field);
                    facts.add_ranges(role, &argument.value, &origin);
                }
            }
            if let Some(domain) = arguments.get("cluster-domain") {
                let origin = Origin::new(NAME, Confidence::B, object.as_str(), domain.field.as_str());
                facts.dns_domains.push((domain.value.clone(), origin));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::NodeFacts;

    fn read(annotation: &str, text: &str) -> Facts {
        let mut facts = Facts::default();
        let mut node = NodeFacts { name: "n1".to_owned(), ..NodeFacts::default() };
        node.annotations.insert(annotation.to_owned(), text.to_owned());
        facts.nodes.insert("n1".to_owned(), node);
        NodeArgs.finish(&mut facts);
        facts
    }

    #[test]
    fn a_server_names_its_ranges() {
        let facts =
            read("k3s.io/node-args", r#"["server","--cluster-cidr","10.1.0.0/16","--service-cidr=10.2.0.0/16"]"#);
        let found: Vec<(Role, &str)> = facts.ranges.iter().map(|r| (r.role, r.text.as_str())).collect();
        assert_eq!(found, [(Role::Pod, "10.1.0.0/16"), (Role::Service, "10.2.0.0/16")]);
        assert_eq!(facts.ranges[0].origin.to_string(), "node n1 k3s.io/node-args[1]: --cluster-cidr");
    }

    #[test]
    fn defaults_agents_and_rubbish_state_nothing() {
        assert!(read("k3s.io/node-args", r#"["server","--write-kubeconfig-mode","644"]"#).ranges.is_empty());
        assert!(read("rke2.io/node-args", r#"["agent"]"#).ranges.is_empty());
        assert_eq!(read("rke2.io/node-args", "[\"server\"").unreadable.len(), 1);
    }
}
