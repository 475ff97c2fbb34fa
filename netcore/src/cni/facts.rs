//! What is known about a cluster's network plugins, piece by piece as it is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde_json::Value;

use super::{
    catalogue::{Kind, ROWS, listed},
    conf::ConfFile,
    policy::Policies,
    reading::Reading,
};
use crate::{
    calico::Pool,
    cluster::{ReadStatus, Resource, resources, wire},
    finding::Unreadable,
    probe::{Probe, UNNAMED},
    proxy,
    ranges::{
        Want,
        sources::{object, workload},
    },
    text::scalar,
};

/// A node as the API has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `linux`, `windows`; empty where it is not said.
    pub os: String,
    /// Its condition Ready.
    pub ready: bool,
    /// `containerd://2.1.4`.
    pub runtime: String,
    /// Its pod ranges, as written.
    pub pod_cidrs: Vec<String>,
    /// Its own addresses, `InternalIP` first.
    pub addresses: Vec<IpAddr>,
    /// Annotations of network plugins.
    pub annotations: BTreeMap<String, String>,
    /// Labels of clouds about the network.
    pub labels: BTreeMap<String, String>,
    /// k3s or RKE2 run it: flannel may be inside of their own process.
    pub embeds: bool,
    /// Why its network is not there, as its condition says.
    pub network_unavailable: Option<String>,
}

impl Node {
    /// Whether it is a Windows node.
    pub fn is_windows(&self) -> bool {
        self.os == "windows"
    }
}

/// A DaemonSet that runs a plugin's agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The plugin.
    pub kind: Kind,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Images of its containers.
    pub images: Vec<String>,
    /// Labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// On how many nodes it is to run; none where the status is not there.
    pub desired: Option<u64>,
    /// Its pods have the node's own network.
    pub host_network: bool,
}

impl Agent {
    /// `daemonset kube-system/calico-node`.
    pub fn title(&self) -> String {
        format!("daemonset {}/{}", self.namespace, self.name)
    }
}

/// A pod of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPod {
    /// The plugin.
    pub kind: Kind,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The node that it is on.
    pub node: String,
    /// Whether all its containers are ready; none where no status is there.
    pub ready: Option<bool>,
    /// Why a container does not run: `CrashLoopBackOff`.
    pub waiting: Option<String>,
    /// How often its containers were started again.
    pub restarts: u64,
    /// The agent's version, by its image.
    pub version: Option<String>,
}

/// A setting, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// As written.
    pub value: String,
    /// `configmap kube-system/calico-config data.calico_backend`.
    pub place: String,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Facts {
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// DaemonSets of agents.
    pub agents: Vec<Agent>,
    /// Other workloads that tell of a plugin: `deployment kube-system/calico-kube-controllers`.
    pub controllers: BTreeSet<(Kind, String)>,
    /// Pods of agents.
    pub pods: Vec<AgentPod>,
    /// ConfigMaps of plugins: the plugin and the map.
    pub config_maps: BTreeSet<(Kind, String)>,
    /// ConfigMaps (namespace, name) that agents mount or take variables from.
    pub mounted: BTreeSet<(String, String)>,
    /// API groups that are served, or of which there are objects; and what shows each.
    pub groups: BTreeMap<String, &'static str>,
    /// Settings by plugin and name; of several places the one that counts first.
    pub settings: BTreeMap<(Kind, &'static str), Vec<Stated>>,
    /// CNI configuration as a ConfigMap has it, before it is installed: the plugin, file, place.
    pub templates: Vec<(Kind, ConfFile, String)>,
    /// Calico's pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// What PodSecurityPolicy left.
    pub policies: Policies,
    /// Calico's objects about BGP.
    pub bgp: super::bgp::Objects,
    /// What was read on nodes, by name; [`UNNAMED`] for files that name none.
    pub readings: BTreeMap<String, Reading>,
    /// kube-proxy: its mode, and who forwards in its place.
    pub proxy: proxy::Facts,
    /// The API server's version.
    pub version: Option<String>,
    /// How each want ended.
    pub reads: BTreeMap<Want, ReadStatus>,
    /// What could not be read or understood.
    pub unreadable: Vec<Unreadable>,
}

/// Annotations of nodes that plugins write.
const ANNOTATIONS: &[&str] = &[
    "flannel.alpha.coreos.com/*",
    "io.cilium.network.*",
    "k8s.ovn.org/*",
    "kube-router.io/*",
    "network.cilium.io/*",
    "node.antrea.io/*",
    "ovn.kubernetes.io/*",
    "projectcalico.org/*",
];

/// Controllers beside the agents, and whose they are.
const CONTROLLERS: &[(&str, Kind)] = &[
    ("calico-kube-controllers", Kind::Calico),
    ("calico-typha", Kind::Calico),
    ("tigera-operator", Kind::Calico),
    ("cilium-operator", Kind::Cilium),
    ("antrea-controller", Kind::Antrea),
    ("ovnkube-control-plane", Kind::OvnKubernetes),
    ("kube-ovn-controller", Kind::KubeOvn),
    ("ovn-central", Kind::KubeOvn),
    ("terway-controlplane", Kind::Terway),
    ("spiderpool-controller", Kind::Spiderpool),
];

impl Facts {
    /// Takes a Node.
    pub fn take_node(&mut self, node: &wire::Node) {
        self.proxy.take_node(node);
        let Some(metadata) = &node.metadata else { return };
        let status = node.status.clone().unwrap_or_default();
        let spec = node.spec.clone().unwrap_or_default();
        let info = status.node_info.clone().unwrap_or_default();
        let label = metadata.labels.get("kubernetes.io/os").cloned().unwrap_or_default();
        let address = |kind: &'static str| {
            let of = status.addresses.iter().filter(move |address| address.r#type == kind);
            of.filter_map(|address| address.address.parse().ok())
        };
        let pod_cidrs = if spec.pod_cidrs.is_empty() { vec![spec.pod_cidr] } else { spec.pod_cidrs };
        let unavailable = status.conditions.iter().find(|c| c.r#type == "NetworkUnavailable" && c.status == "True");
        let keep = |map: &std::collections::HashMap<String, String>, known: &[&str]| {
            let kept = map.iter().filter(|(key, _)| listed(known, key));
            kept.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        self.nodes.insert(
            metadata.name.clone(),
            Node {
                os: if info.operating_system.is_empty() { label } else { info.operating_system },
                ready: status.conditions.iter().any(|c| c.r#type == "Ready" && c.status == "True"),
                runtime: info.container_runtime_version,
                pod_cidrs: pod_cidrs.into_iter().filter(|cidr| !cidr.is_empty()).collect(),
                addresses: address("InternalIP").chain(address("ExternalIP")).collect(),
                annotations: keep(&metadata.annotations, ANNOTATIONS),
                labels: keep(&metadata.labels, &["kubernetes.azure.com/*", "cloud.google.com/gke-*"]),
                embeds: metadata.annotations.keys().any(|key| {
                    matches!(key.as_str(), "k3s.io/node-args" | "rke2.io/node-args" | "k3s.io/node-config-hash")
                }) || info.kubelet_version.contains("+k3s"),
                network_unavailable: unavailable
                    .map(|condition| format!("{}: {}", condition.reason, condition.message)),
            },
        );
    }

    /// Takes an object of any other kind, whole.
    pub fn take_object(&mut self, resource: &'static Resource, whole: &Value) {
        self.proxy.take_object(resource, whole);
        if !resource.builtin && ROWS.iter().any(|row| row.groups.contains(&resource.group)) {
            self.groups.entry(resource.group.to_owned()).or_insert("its objects are there");
        }
        if *resource == resources::DAEMONSETS {
            self.take_daemonset(whole);
        } else if *resource == resources::DEPLOYMENTS {
            let name = object::name(whole);
            if let Some((_, kind)) = CONTROLLERS.iter().find(|(known, _)| *known == name) {
                self.controllers.insert((*kind, object::title(resource, whole)));
            }
        } else if *resource == resources::PODS {
            self.take_pod(whole);
        } else {
            self.policies.take(resource, whole);
            self.bgp.take(resource, whole);
            super::settings::take(resource, whole, self);
        }
    }

    /// Takes the API groups that the server has, `/apis`.
    pub fn take_groups(&mut self, text: &str) {
        let groups = serde_json::from_str::<Value>(text).unwrap_or_default();
        let groups = groups.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
        for name in groups.iter().map(|group| scalar(group.get("name"))) {
            if ROWS.iter().any(|row| row.groups.contains(&name.as_str())) {
                self.groups.insert(name, "the API server has it");
            }
        }
    }

    fn take_daemonset(&mut self, whole: &Value) {
        let (namespace, name) = (object::namespace(whole).to_owned(), object::name(whole).to_owned());
        let containers = object::containers(whole);
        let images: Vec<String> = containers.iter().map(|(_, container)| scalar(container.get("image"))).collect();
        let Some(kind) = kind_of(&name, &images) else { return };
        if self.agents.iter().any(|agent| agent.namespace == namespace && agent.name == name) {
            return;
        }
        let given = crate::ranges::Given::Object(&resources::DAEMONSETS, whole);
        if let Some(workload) = workload::Workload::of(given) {
            let maps = workload.config_maps().into_iter().map(|map| (namespace.clone(), map.to_owned()));
            self.mounted.extend(maps);
            super::settings::take_workload(kind, &workload, self);
        }
        for name in referenced_maps(&containers) {
            self.mounted.insert((namespace.clone(), name));
        }
        let selector = whole.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        self.agents.push(Agent {
            kind,
            images,
            selector: selector.into_iter().flatten().map(|(key, value)| (key.clone(), scalar(Some(value)))).collect(),
            desired: whole.pointer("/status/desiredNumberScheduled").and_then(Value::as_u64),
            host_network: whole.pointer("/spec/template/spec/hostNetwork") == Some(&Value::Bool(true)),
            namespace,
            name,
        });
        self.agents.sort_by(|a, b| (a.kind, &a.namespace, &a.name).cmp(&(b.kind, &b.namespace, &b.name)));
    }

    fn take_pod(&mut self, whole: &Value) {
        let node = scalar(whole.pointer("/spec/nodeName"));
        let (namespace, name) = (object::namespace(whole).to_owned(), object::name(whole).to_owned());
        let leaving = whole.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
        let containers = object::containers(whole);
        let images: Vec<String> = containers.iter().map(|(_, container)| scalar(container.get("image"))).collect();
        // a pod is called after its DaemonSet
        let of_agent = self.agents.iter().find(|agent| {
            let rest = name.strip_prefix(agent.name.as_str()).and_then(|rest| rest.strip_prefix('-'));
            agent.namespace == namespace && rest.is_some_and(|rest| !rest.contains('-'))
        });
        let owned = scalar(whole.pointer("/metadata/ownerReferences/0/name"));
        let Some(kind) = of_agent.map(|agent| agent.kind).or_else(|| kind_of(&owned, &images)) else { return };
        self.policies.take_pod(whole);
        if node.is_empty() || leaving || self.pods.iter().any(|pod| pod.name == name && pod.node == node) {
            return;
        }
        let statuses = whole.pointer("/status/containerStatuses").and_then(Value::as_array);
        let statuses = || statuses.into_iter().flatten();
        let waiting = statuses().find_map(|status| {
            let reason = |path: &str| Some(scalar(status.pointer(path))).filter(|reason| !reason.is_empty());
            reason("/state/waiting/reason").or_else(|| reason("/state/terminated/reason"))
        });
        let all_ready = || statuses().all(|status| status.get("ready") == Some(&Value::Bool(true)));
        self.pods.push(AgentPod {
            kind,
            ready: statuses().next().is_some().then(all_ready),
            waiting,
            restarts: statuses().filter_map(|status| status.get("restartCount")?.as_u64()).sum(),
            version: version_of(kind, &images),
            namespace,
            name,
            node,
        });
    }

    /// States a setting of a plugin; empty values state nothing.
    pub fn state(&mut self, kind: Kind, name: &'static str, value: impl Into<String>, place: impl Into<String>) {
        let stated = Stated { value: value.into(), place: place.into() };
        if stated.value.is_empty() {
            return;
        }
        let known = self.settings.entry((kind, name)).or_default();
        if !known.contains(&stated) {
            known.push(stated);
        }
    }

    /// The setting that counts.
    pub fn setting(&self, kind: Kind, name: &'static str) -> Option<&Stated> {
        self.settings.get(&(kind, name)).and_then(|stated| stated.first())
    }

    /// The value of the setting that counts.
    pub fn value(&self, kind: Kind, name: &'static str) -> Option<&str> {
        self.setting(kind, name).map(|stated| stated.value.as_str())
    }

    /// What is known of a node's own state.
    pub fn reading(&mut self, node: Option<&str>) -> &mut Reading {
        self.readings.entry(node.unwrap_or(UNNAMED).to_owned()).or_default()
    }

    /// Takes what a probe of a node printed.
    pub fn take_probe(&mut self, node: Option<&str>, probe: Probe, text: &str, file: &str) {
        self.proxy.take_probe(node, probe, text, file);
        let problems = self.reading(node).take(probe, text, file);
        // a broken file of thousands of lines is one thing to know
        if let Some(first) = problems.first() {
            let more = problems.len() - 1;
            let reason = if more > 0 { format!("{first}, and {more} more") } else { first.to_string() };
            let entry = Unreadable { source: file.to_owned(), node: node.map(str::to_owned), reason };
            self.unreadable.push(entry);
        }
    }

    /// A node does not have what a probe reads.
    pub fn take_absent(&mut self, node: Option<&str>, probe: Probe) {
        self.proxy.take_absent(node, probe);
        let reading = self.reading(node);
        match probe {
            Probe::CniConf => {
                reading.conf.get_or_insert_default();
            }
            Probe::BirdProtocols => reading.bird_absent = reading.birds.is_empty(),
            Probe::IptablesSave
            | Probe::Ip6tablesSave
            | Probe::IptablesLegacySave
            | Probe::Ip6tablesLegacySave
            | Probe::NftRuleset => {
                reading.owned.get_or_insert_default();
            }
            _ => {}
        }
    }

    /// Whether every DaemonSet was read: only then is a plugin without one known to have none.
    pub fn workloads_were_read(&self) -> bool {
        self.reads.get(&Want::list(&resources::DAEMONSETS)) == Some(&ReadStatus::Complete)
    }

    /// The pod of a plugin's agent on a node.
    pub fn pod_on(&self, kind: Kind, node: &str) -> Option<&AgentPod> {
        let on = || self.pods.iter().filter(|pod| pod.kind == kind && pod.node == node);
        on().find(|pod| pod.ready == Some(true)).or_else(|| on().next())
    }

    /// Whether pods of agents were read, and some were found.
    pub fn pods_were_read(&self, kind: Kind) -> bool {
        let of_pods = |want: &Want| matches!(want, Want::List { resource, .. } if **resource == resources::PODS);
        let mut lists = self.reads.iter().filter(|(want, _)| of_pods(want)).peekable();
        lists.peek().is_some()
            && lists.all(|(_, status)| *status == ReadStatus::Complete)
            && self.pods.iter().any(|pod| pod.kind == kind)
    }
}

/// The plugin that a DaemonSet of that name and these images runs.
pub fn kind_of(name: &str, images: &[String]) -> Option<Kind> {
    let by_name = ROWS.iter().find(|row| listed(row.agents, name));
    by_name
        .or_else(|| ROWS.iter().find(|row| images.iter().any(|image| is_image(row.images, image))))
        .map(|row| row.kind)
}

/// Whether an image is one of these, whatever its registry and tag; `calico/node` names two words.
fn is_image(known: &[&str], image: &str) -> bool {
    let path = image.split('@').next().unwrap_or_default();
    let (front, last) = path.rsplit_once('/').unwrap_or(("", path));
    let last = last.split(':').next().unwrap_or_default();
    let before = front.rsplit('/').next().unwrap_or_default();
    known.iter().any(|known| match known.split_once('/') {
        Some((wanted, program)) => wanted == before && program == last,
        None => listed(&[known], last),
    })
}

/// The agent's version by its image's tag.
pub fn version_of(kind: Kind, images: &[String]) -> Option<String> {
    let own: &[&str] = match kind {
        Kind::Canal => &["calico/node", "hardened-calico", "mirrored-calico-node", "flannel", "hardened-flannel"],
        Kind::GkeDataplaneV2 => &["cilium"],
        kind => kind.row().images,
    };
    let tag = |image: &&String| proxy::version::of_image(image, &[""]);
    own.iter().find_map(|known| images.iter().filter(|image| is_image(&[known], image)).find_map(|image| tag(&image)))
}

/// ConfigMaps that containers take variables from.
fn referenced_maps(containers: &[(String, &Value)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, container) in containers {
        let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
        found.extend(variables.map(|variable| scalar(variable.pointer("/valueFrom/configMapKeyRef/name"))));
        let all = container.get("envFrom").and_then(Value::as_array).into_iter().flatten();
        found.extend(all.map(|from| scalar(from.pointer("/configMapRef/name"))));
    }
    found.remove("");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_told_by_name_and_by_image() {
        let of = |name: &str, image: &str| kind_of(name, &[image.to_owned()]);
        for (name, image, kind) in [
            ("calico-node", "x", Some(Kind::Calico)),
            ("my-net", "quay.io/calico/node:v3.31.0@sha256:ab", Some(Kind::Calico)),
            ("canal", "quay.io/calico/node:v3.31.0", Some(Kind::Canal)),
            ("kube-flannel-ds-amd64", "x", Some(Kind::Flannel)),
            ("net", "ghcr.io/flannel-io/flannel:v0.27.4", Some(Kind::Flannel)),
            ("anetd", "gke.gcr.io/cilium/cilium:v1.14.0-gke.1", Some(Kind::GkeDataplaneV2)),
            ("terway-eniip", "x", Some(Kind::Terway)),
            ("web", "docker.io/library/node:20", None),
            ("node-exporter", "quay.io/prometheus/node-exporter:v1.8", None),
            ("cilium-envoy", "quay.io/cilium/cilium-envoy:v1.33", None),
        ] {
            assert_eq!(of(name, image), kind, "{name} {image}");
        }
    }

    #[test]
    fn the_agents_own_image_tells_the_version() {
        let images = ["quay.io/x/side:v9.9.9".to_owned(), "reg:5000/calico/node:v3.31.0@sha256:ab".to_owned()];
        assert_eq!(version_of(Kind::Calico, &images).as_deref(), Some("v3.31.0"));
        assert_eq!(version_of(Kind::Calico, &["reg/calico/node:master".to_owned()]), None);
        let canal = ["rancher/hardened-flannel:v0.27.4-build20251015".to_owned()];
        assert_eq!(version_of(Kind::Canal, &canal).as_deref(), Some("v0.27.4-build20251015"));
    }
}
