//! `kubeadm-config`: what kubeadm was told at init or upgrade. A record, which hand edits of the
//! manifests leave behind.

use serde_json::Value;

use super::object::ConfigMap;
use crate::{
    cidr::Cidr,
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
    text::{line_of, scalar, yaml_documents},
};

/// A kubeadm `ClusterConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubeadm {
    /// `networking.podSubnet`.
    pub pod_subnet: Vec<Cidr>,
    /// `networking.serviceSubnet`.
    pub service_subnet: Vec<Cidr>,
    /// The object or file.
    pub object: String,
}

/// ConfigMap `kube-system/kubeadm-config`.
pub(super) struct KubeadmConfig;

const NAME: &str = "kubeadm-config";
const NAMESPACE: &str = "kube-system";
const KEY: &str = "ClusterConfiguration";

impl Source for KubeadmConfig {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::get(&resources::CONFIGMAPS, NAMESPACE, NAME)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Some(map) = ConfigMap::of(given).filter(|map| map.is(NAMESPACE, NAME)) else { return };
        if facts.known.kubeadm.iter().any(|known| known.object == map.title()) {
            return;
        }
        let Some(text) = map.entry(KEY) else {
            facts.problem(&map.title(), format!("data.{KEY} is not there; kubeadm keeps its configuration in it"));
            return;
        };
        match yaml_documents(text) {
            Ok(documents) => documents.iter().filter(|d| is_configuration(d)).for_each(|document| {
                take_configuration(document, text, &map, facts);
            }),
            Err(error) => {
                let place = map.place(KEY, error.line);
                let shown = if error.token.is_empty() { String::new() } else { format!(": `{}`", error.token) };
                facts.problem(&map.title(), format!("{place}: {}{shown}", error.reason));
            }
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        let annotated = |node: &&crate::ranges::NodeFacts| {
            node.annotations.keys().any(|key| key.starts_with("kubeadm.alpha.kubernetes.io/"))
        };
        let node = facts.nodes.values().find(annotated).map(|node| format!("node {}", node.name));
        node.or_else(|| facts.known.kubeadm.first().map(|known| known.object.clone()))
    }
}

/// The document itself, or the bare block that people paste.
fn is_configuration(document: &Value) -> bool {
    scalar(document.get("kind")) == KEY || (document.get("kind").is_none() && document.get("networking").is_some())
}

fn take_configuration(document: &Value, text: &str, map: &ConfigMap<'_>, facts: &mut Facts) {
    let origin =
        |path: &[&str]| -> Origin { map.origin(NAME, Confidence::C, KEY, line_of(text, path), &path.join(".")) };
    let networking = document.get("networking");
    let subnet = |key: &str| scalar(networking.and_then(|n| n.get(key)));
    let pod_subnet = facts.add_ranges(Role::Pod, &subnet("podSubnet"), &origin(&["networking", "podSubnet"]));
    let service_subnet =
        facts.add_ranges(Role::Service, &subnet("serviceSubnet"), &origin(&["networking", "serviceSubnet"]));
    let domain = subnet("dnsDomain");
    if !domain.is_empty() {
        facts.dns_domains.push((domain, origin(&["networking", "dnsDomain"])));
    }
    for (component, flag, role) in [
        ("apiServer", "service-cluster-ip-range", Role::Service),
        ("controllerManager", "service-cluster-ip-range", Role::Service),
        ("controllerManager", "cluster-cidr", Role::Pod),
    ] {
        if let Some(value) = extra_argument(document.get(component), flag) {
            let place = line_of(text, &[component, "extraArgs"]);
            let field = format!("{component}.extraArgs {flag}");
            facts.add_ranges(role, &value, &map.origin(NAME, Confidence::C, KEY, place, &field));
        }
    }
    facts.known.kubeadm.push(Kubeadm { pod_subnet, service_subnet, object: map.title() });
}

/// `extraArgs` is a map up to v1beta3 and a list of name and value in v1beta4, where the last of
/// several counts.
fn extra_argument(component: Option<&Value>, flag: &str) -> Option<String> {
    let found = match component?.get("extraArgs")? {
        Value::Object(map) => scalar(map.get(flag)),
        Value::Array(list) => {
            let given = list.iter().rev().find(|item| scalar(item.get("name")) == flag)?;
            scalar(given.get("value"))
        }
        _ => return None,
    };
    Some(found).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::object::FILE_ANNOTATION;
    use super::*;

    fn read(text: &str, file: Option<&str>) -> Facts {
        let mut object =
            json!({"metadata": {"name": NAME, "namespace": NAMESPACE}, "data": {"ClusterConfiguration": text}});
        if let Some(file) = file {
            object["metadata"]["annotations"] = json!({FILE_ANNOTATION: file});
        }
        let mut facts = Facts::default();
        KubeadmConfig.take(Given::Object(&resources::CONFIGMAPS, &object), &mut facts);
        facts
    }

    #[test]
    fn the_excerpt_that_people_paste() {
        // the seed's flannel cluster
        let text = "    networking:\n      dnsDomain: cluster.local\n      podSubnet: 10.244.0.0/16\n      serviceSubnet: 10.96.0.0/12\n";
        let facts = read(text, Some("kubeadm-config-excerpt.yaml:1"));
        let origins: Vec<String> = facts.ranges.iter().map(|r| r.origin.to_string()).collect();
        assert_eq!(
            origins,
            [
                "kubeadm-config-excerpt.yaml line 3: networking.podSubnet",
                "kubeadm-config-excerpt.yaml line 4: networking.serviceSubnet"
            ]
        );
        assert_eq!(facts.dns_domains[0].0, "cluster.local");
    }

    #[test]
    fn extra_arguments_as_a_map_and_as_a_list() {
        let map = "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta3\ncontrollerManager:\n  extraArgs:\n    cluster-cidr: 10.1.0.0/16\n";
        let list = "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\ncontrollerManager:\n  extraArgs:\n  - name: cluster-cidr\n    value: 10.1.0.0/16\n";
        for text in [map, list] {
            let facts = read(text, None);
            assert_eq!(facts.ranges.len(), 1, "{text}");
            assert_eq!(
                facts.ranges[0].origin.to_string(),
                "configmap kube-system/kubeadm-config data.ClusterConfiguration line 4: controllerManager.extraArgs cluster-cidr"
            );
        }
    }

    #[test]
    fn broken_inner_yaml_names_its_line() {
        let facts = read("kind: ClusterConfiguration\nnetworking:\n\tpodSubnet: 10.244.0.0/16\n", None);
        assert!(facts.ranges.is_empty());
        let problem = &facts.unreadable[0];
        assert_eq!(problem.source, "configmap kube-system/kubeadm-config");
        assert!(problem.reason.starts_with("data.ClusterConfiguration line 3: "), "{}", problem.reason);
    }

    #[test]
    fn another_kind_says_nothing() {
        assert!(read("kind: InitConfiguration\n", None).ranges.is_empty());
    }
}
