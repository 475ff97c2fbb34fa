//! What a DaemonSet or Deployment runs: environment, arguments in every spelling, ConfigMaps.

use serde_json::Value;

use super::fields::Fields;
use crate::{
    cluster::{Resource, resources},
    ranges::{Confidence, Given, Origin},
};

/// A DaemonSet or Deployment.
pub(crate) struct Workload<'a> {
    fields: Fields<'a>,
    containers: Vec<(String, &'a Value)>,
}

impl<'a> Workload<'a> {
    /// The workload, where the piece is one.
    pub(crate) fn of(given: Given<'a>) -> Option<Self> {
        let Given::Object(resource, value) = given else { return None };
        let fields = Fields::of(word(resource)?, value);
        let mut containers = Vec::new();
        for kind in ["containers", "initContainers"] {
            let list = fields.get(&format!("spec.template.spec.{kind}")).and_then(Value::as_array);
            for container in list.into_iter().flatten() {
                containers.push((format!("{kind} {}", text(container, "name")), container));
            }
        }
        Some(Self { fields, containers })
    }

    /// `daemonset kube-system/aws-node`.
    pub(crate) fn object(&self) -> &str {
        self.fields.object()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'a str {
        self.fields.name()
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &'a str {
        self.fields.namespace()
    }

    /// Whether a container's image is called `image`, whatever its registry, path and tag.
    pub(crate) fn runs(&self, image: &str) -> bool {
        self.containers.iter().any(|(_, container)| {
            let last = text(container, "image").rsplit('/').next().unwrap_or_default();
            last.split([':', '@']).next() == Some(image)
        })
    }

    /// A variable of the environment that has a plain value.
    pub(crate) fn env(&self, name: &str) -> Option<(String, &'a str)> {
        self.containers.iter().find_map(|(container, value)| {
            let variables = value.get("env")?.as_array()?;
            let variable = variables.iter().find(|variable| text(variable, "name") == name)?;
            Some((format!("{container}: env {name}"), variable.get("value")?.as_str()?))
        })
    }

    /// Every value of a flag, `--flag=value` or `--flag value`, also inside a shell command.
    pub(crate) fn flag(&self, name: &str) -> Vec<(String, &'a str)> {
        let mut values = Vec::new();
        for (container, value) in &self.containers {
            let words = ["command", "args"]
                .iter()
                .filter_map(|key| value.get(*key)?.as_array())
                .flatten()
                .filter_map(Value::as_str)
                .flat_map(str::split_whitespace);
            let mut expected = false;
            for word in words {
                if std::mem::take(&mut expected) {
                    values.push((format!("{container}: {name}"), unquoted(word)));
                } else if word == name {
                    expected = true;
                } else if let Some(value) = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
                    values.push((format!("{container}: {name}"), unquoted(value)));
                }
            }
        }
        values
    }

    /// The ConfigMaps that it mounts, projected ones included.
    pub(crate) fn config_maps(&self) -> Vec<&'a str> {
        let volumes = self.fields.get("spec.template.spec.volumes").and_then(Value::as_array);
        let mut names = Vec::new();
        for volume in volumes.into_iter().flatten() {
            let projected = volume.get("projected").and_then(|p| p.get("sources")).and_then(Value::as_array);
            for place in std::iter::once(volume).chain(projected.into_iter().flatten()) {
                names.extend(place.get("configMap").and_then(|map| map.get("name")).and_then(Value::as_str));
            }
        }
        names
    }

    /// An origin in this workload.
    pub(crate) fn origin(&self, source: &'static str, confidence: Confidence, field: &str) -> Origin {
        self.fields.origin(source, confidence, field)
    }
}

fn word(resource: &Resource) -> Option<&'static str> {
    if resource == &resources::DAEMONSETS {
        Some("daemonset")
    } else if resource == &resources::DEPLOYMENTS {
        Some("deployment")
    } else {
        None
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flags_are_read_in_every_spelling_and_images_by_their_last_word() {
        let object = json!({
            "metadata": {"namespace": "kube-system", "name": "kube-router"},
            "spec": {"template": {"spec": {
                "containers": [{
                    "name": "kube-router", "image": "registry.example:5000/cloudnativelabs/kube-router:v2.6",
                    "command": ["sh", "-c", "exec kube-router --c='10.3.0.0/16'"],
                    "args": ["--a=10.1.0.0/16", "--b", "10.2.0.0/16", "--a=fd00::/112", "--ab=x"],
                    "env": [{"name": "FROM_FIELD", "valueFrom": {}}, {"name": "RANGE", "value": "10.4.0.0/16"}],
                }],
                "volumes": [{"configMap": {"name": "one"}}, {"projected": {"sources": [{"configMap": {"name": "two"}}]}}],
            }}},
        });
        let workload = Workload::of(Given::Object(&resources::DAEMONSETS, &object)).unwrap();
        let values = |name| workload.flag(name).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(values("--a"), ["10.1.0.0/16", "fd00::/112"]);
        assert_eq!(values("--b"), ["10.2.0.0/16"]);
        assert_eq!(values("--c"), ["10.3.0.0/16"]);
        assert_eq!(workload.env("RANGE").unwrap().1, "10.4.0.0/16");
        assert!(workload.env("FROM_FIELD").is_none());
        assert!(workload.runs("kube-router"));
        assert!(!workload.runs("router"));
        assert_eq!(workload.config_maps(), ["one", "two"]);
    }
}
