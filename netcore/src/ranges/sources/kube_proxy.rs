//! kube-proxy's configuration: from the ConfigMap that its DaemonSet mounts, from its flags, from a
//! node's `/configz`.

use serde_json::Value;

use super::object::{self, Arguments, ConfigMap};
use crate::{
    cluster::{ReadStatus, resources},
    kubeproxy::{self, DetectLocal, KubeProxyConfig},
    probe::Probe,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
    text::{json, scalar},
};

/// One place that configures kube-proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeProxy {
    /// What it says, the flags over the file.
    pub config: KubeProxyConfig,
    /// Where `clusterCIDR` stands.
    pub origin: Origin,
}

/// A DaemonSet or pod that runs kube-proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeProxyWorkload {
    /// `daemonset kube-system/kube-proxy`.
    pub object: String,
    /// Its namespace.
    pub namespace: String,
    /// ConfigMaps that its volumes name.
    pub config_maps: Vec<String>,
    /// Its flags.
    pub arguments: Arguments,
}

/// kube-proxy.
pub(super) struct KubeProxySource;

const NAME: &str = "kube-proxy";
const NAMESPACE: &str = "kube-system";
/// kubeadm, k0s and kubespray; EKS. Asked for where DaemonSets cannot be read.
const USUAL: [&str; 2] = ["kube-proxy", "kube-proxy-config"];
/// kube-proxy as a static pod.
const PODS: &str = "component=kube-proxy";

impl Source for KubeProxySource {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        let mut wants = vec![Want::list(&resources::DAEMONSETS), Want::Node(Probe::Configz)];
        match facts.list_status(&resources::DAEMONSETS) {
            Some(ReadStatus::Complete) if facts.known.kube_proxy_workloads.is_empty() => {
                wants.push(Want::labelled(&resources::PODS, NAMESPACE, PODS));
            }
            None | Some(ReadStatus::Complete) => {}
            Some(_) => wants.extend(USUAL.map(|name| Want::get(&resources::CONFIGMAPS, NAMESPACE, name))),
        }
        wants.extend(facts.known.kube_proxy_workloads.iter().flat_map(|workload| {
            let maps = workload.config_maps.iter();
            maps.map(|name| Want::get(&resources::CONFIGMAPS, workload.namespace.as_str(), name.as_str()))
        }));
        wants
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Object(resource, object)
                if resource == &resources::DAEMONSETS
                    || (resource == &resources::PODS && object::name(object).contains(NAME)) =>
            {
                take_workload(resource, object, facts);
            }
            Given::Probe(node, Probe::Configz, text, file) => take_configz(node, text, file, facts),
            _ => {
                if let Some(map) = ConfigMap::of(given) {
                    take_config_map(&map, facts);
                }
            }
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        // the usual names are a guess: a cluster whose kube-proxy was replaced has none of them
        facts.known.kube_proxy_workloads.first().map(|workload| workload.object.clone())
    }

    fn finish(&self, facts: &mut Facts) {
        apply_flags(facts);
        let mut known = std::mem::take(&mut facts.known.kube_proxies);
        known.sort_by(|a, b| a.origin.cmp(&b.origin));
        known.dedup();
        for proxy in &known {
            facts.add_ranges(Role::Pod, &proxy.config.cluster_cidr, &proxy.origin);
        }
        facts.known.kube_proxies = known;
    }
}

fn take_workload(resource: &'static crate::cluster::Resource, object: &Value, facts: &mut Facts) {
    let found = object::containers(object).into_iter().find(|(_, container)| object::runs(container, NAME));
    let Some((path, container)) = found else { return };
    let title = object::title(resource, object);
    if facts.known.kube_proxy_workloads.iter().any(|known| known.object == title) {
        return;
    }
    let volumes = object.pointer("/spec/template/spec/volumes").or_else(|| object.pointer("/spec/volumes"));
    let config_maps = volumes.and_then(Value::as_array).into_iter().flatten();
    let config_maps = config_maps.map(|v| scalar(v.pointer("/configMap/name"))).filter(|n| !n.is_empty());
    facts.known.kube_proxy_workloads.push(KubeProxyWorkload {
        object: title,
        namespace: object::namespace(object).to_owned(),
        config_maps: config_maps.collect(),
        arguments: object::container_arguments(&path, container),
    });
}

fn take_config_map(map: &ConfigMap<'_>, facts: &mut Facts) {
    let mounted = facts.known.kube_proxy_workloads.iter().any(|workload| {
        workload.namespace == map.namespace() && workload.config_maps.iter().any(|name| name == map.name())
    });
    let usual = map.namespace() == NAMESPACE && USUAL.contains(&map.name());
    if !mounted && !usual {
        return;
    }
    for (key, text) in map.entries() {
        match kubeproxy::parse(text) {
            Ok(Some(config)) => {
                let line = config.cluster_cidr_line;
                let origin = map.origin(NAME, confidence(&config), key, line, "clusterCIDR");
                facts.known.kube_proxies.push(KubeProxy { config, origin });
            }
            // a broken entry matters where it would have been the configuration
            Err(error) if text.contains("KubeProxyConfiguration") || text.contains("clusterCIDR") => {
                let place = map.place(key, error.line);
                facts.problem(&map.title(), format!("{place}: {}: `{}`", error.reason, error.token));
            }
            Ok(None) | Err(_) => {}
        }
    }
}

/// Where local traffic is told otherwise, `clusterCIDR` is not read and may be a leftover.
fn confidence(config: &KubeProxyConfig) -> Confidence {
    if config.detect_local == DetectLocal::ClusterCidr { Confidence::B } else { Confidence::C }
}

fn take_configz(node: Option<&str>, text: &str, file: &str, facts: &mut Facts) {
    let value = match json(text) {
        Ok(value) => value,
        Err(error) => {
            let problem = crate::finding::Unreadable {
                source: file.to_owned(),
                node: node.map(str::to_owned),
                reason: error.to_string(),
            };
            if !facts.unreadable.contains(&problem) {
                facts.unreadable.push(problem);
            }
            return;
        }
    };
    let Some(inner) = value.get("kubeproxy.config.k8s.io") else { return };
    let config = kubeproxy::from_value(inner);
    let origin = Origin::new(NAME, Confidence::A, file, "clusterCIDR");
    // every node says the same: one is enough to state the range
    let known = facts.known.kube_proxies.iter();
    let again = known
        .filter(|p| p.origin.confidence == Confidence::A)
        .any(|p| p.config.cluster_cidr == config.cluster_cidr && p.config.detect_local == config.detect_local);
    if !again {
        facts.known.kube_proxies.push(KubeProxy { config, origin });
    }
}

/// A flag beats the file, and is the configuration where there is no file.
fn apply_flags(facts: &mut Facts) {
    for workload in facts.known.kube_proxy_workloads.clone() {
        let Some(argument) = workload.arguments.get("cluster-cidr") else { continue };
        // with --config the file alone counts
        if workload.arguments.contains_key("config") {
            continue;
        }
        let value = |name: &str| workload.arguments.get(name).map(|a| a.value.clone()).unwrap_or_default();
        let config = KubeProxyConfig {
            mode: value("proxy-mode"),
            cluster_cidr: argument.value.clone(),
            cluster_cidr_line: 1,
            detect_local: DetectLocal::from(value("detect-local-mode").as_str()),
            hostname_override: value("hostname-override"),
            masquerade_all: value("masquerade-all") == "true",
            ..KubeProxyConfig::default()
        };
        let place = format!("{}: --cluster-cidr", argument.field);
        let origin = Origin::new(NAME, confidence(&config), workload.object, place);
        facts.known.kube_proxies.push(KubeProxy { config, origin });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CONFIG: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: 10.233.64.0/18\nmode: ipvs\n";

    fn config_map(name: &str, key: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "kube-system"}, "data": {key: CONFIG, "kubeconfig.conf": "kind: Config"}})
    }

    fn daemonset(name: &str, map: &str, command: &Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "kube-system"}, "spec": {"template": {"spec": {
            "containers": [{"name": "proxy", "command": command}],
            "volumes": [{"name": "c", "configMap": {"name": map}}]}}}})
    }

    fn read(objects: &[(&'static crate::cluster::Resource, Value)]) -> Facts {
        let mut facts = Facts::default();
        for (resource, object) in objects {
            KubeProxySource.take(Given::Object(resource, object), &mut facts);
        }
        KubeProxySource.finish(&mut facts);
        facts
    }

    #[test]
    fn the_daemonset_leads_to_the_config_map() {
        let facts = read(&[
            (
                &resources::DAEMONSETS,
                daemonset("proxy", "odd-name", &json!(["/usr/local/bin/kube-proxy", "--config=/c/x"])),
            ),
            (&resources::CONFIGMAPS, config_map("odd-name", "any.yaml")),
        ]);
        assert!(KubeProxySource.wants(&facts).contains(&Want::get(&resources::CONFIGMAPS, "kube-system", "odd-name")));
        assert_eq!(
            facts.ranges[0].origin.to_string(),
            "configmap kube-system/odd-name data.any.yaml line 3: clusterCIDR"
        );
    }

    #[test]
    fn usual_names_are_asked_for_only_where_daemonsets_cannot_be_read() {
        let mut facts = Facts::default();
        let usual = Want::get(&resources::CONFIGMAPS, "kube-system", "kube-proxy-config");
        facts.reads.insert(Want::list(&resources::DAEMONSETS), ReadStatus::Complete);
        assert!(!KubeProxySource.wants(&facts).contains(&usual));
        facts.reads.insert(Want::list(&resources::DAEMONSETS), ReadStatus::Unreadable("forbidden".to_owned()));
        assert!(KubeProxySource.wants(&facts).contains(&usual));
    }

    #[test]
    fn a_flag_is_the_configuration_without_a_file() {
        let facts = read(&[(
            &resources::DAEMONSETS,
            daemonset("kube-proxy", "x", &json!(["kube-proxy", "--cluster-cidr=10.0.0.0/14"])),
        )]);
        assert_eq!(facts.ranges[0].text, "10.0.0.0/14");
        let facts = read(&[(
            &resources::DAEMONSETS,
            daemonset("kube-proxy", "x", &json!(["kube-proxy", "--config=/a", "--cluster-cidr=10.0.0.0/14"])),
        )]);
        assert!(facts.ranges.is_empty(), "the file alone counts");
    }

    #[test]
    fn other_config_maps_are_passed_over() {
        assert!(read(&[(&resources::CONFIGMAPS, config_map("something", "config.conf"))]).ranges.is_empty());
    }

    #[test]
    fn configz_of_a_node() {
        let mut facts = Facts::default();
        let text = r#"{"kubeproxy.config.k8s.io":{"clusterCIDR":"10.244.0.0/16","detectLocalMode":"ClusterCIDR"}}"#;
        for node in ["n1", "n2"] {
            let given = Given::Probe(Some(node), Probe::Configz, text, "nodes/n1/configz.json");
            KubeProxySource.take(given, &mut facts);
        }
        KubeProxySource.finish(&mut facts);
        assert_eq!(facts.ranges.len(), 1);
        assert_eq!(facts.ranges[0].origin.confidence, Confidence::A);
    }
}
