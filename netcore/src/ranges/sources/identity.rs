//! Which cluster this is: its version, and the uid by which it is told from others.

use serde_json::Value;

use super::object;
use crate::{
    cluster::resources,
    ranges::{Facts, Given, Source, Want},
    text::{json, scalar},
};

/// `/version` and namespace `kube-system`.
pub(super) struct Identity;

const VERSION: &str = "/version";
const NAMESPACE: &str = "kube-system";

impl Source for Identity {
    fn name(&self) -> &'static str {
        "version"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![
            Want::Raw { path: VERSION.to_owned(), accept: "application/json" },
            Want::get(&resources::NAMESPACES, "", NAMESPACE),
        ]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Raw(VERSION, text) => match json(text) {
                Ok(value) => {
                    let version = scalar(value.get("gitVersion"));
                    facts.version = Some(version).filter(|v| !v.is_empty()).or(facts.version.take());
                }
                Err(error) => facts.problem(VERSION, error.to_string()),
            },
            Given::Object(resource, value)
                if resource == &resources::NAMESPACES && object::name(value) == NAMESPACE =>
            {
                let uid = value.pointer("/metadata/uid").and_then(Value::as_str);
                facts.known.cluster_uid = uid.map(str::to_owned);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn version_and_uid() {
        let mut facts = Facts::default();
        Identity.take(Given::Raw(VERSION, r#"{"major":"1","minor":"36","gitVersion":"v1.36.3"}"#), &mut facts);
        for (name, uid) in [("kube-system", "cd9e"), ("default", "ffff")] {
            let namespace = json!({"metadata": {"name": name, "uid": uid}});
            Identity.take(Given::Object(&resources::NAMESPACES, &namespace), &mut facts);
        }
        assert_eq!(facts.version.as_deref(), Some("v1.36.3"));
        assert_eq!(facts.known.cluster_uid.as_deref(), Some("cd9e"));
    }
}
