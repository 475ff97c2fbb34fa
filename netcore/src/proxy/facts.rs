//! What is known about a cluster's kube-proxies, piece by piece as it is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde_json::Value;

use super::{Mode, Version, launch::Launch, modules::Modules, traces::Traces};
use crate::{
    cidr::Cidr,
    cluster::{
        ReadStatus, Resource, distribution,
        object::{changed, field_managers},
        resources, wire,
    },
    finding::Unreadable,
    kubeproxy::{self, KubeProxyConfig},
    probe::{Probe, UNNAMED},
    ranges::{Want, sources::object},
    text::{json, scalar},
};

/// A node as the API has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `linux`, `windows`; empty where it is not said.
    pub os: String,
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub os_image: String,
    /// `6.1.0-18-amd64`.
    pub kernel: String,
    /// `v1.36.3`.
    pub kubelet: String,
    /// Its condition Ready.
    pub ready: bool,
    /// The words that k3s or RKE2 was started with on it, and the annotation that has them.
    pub node_args: Option<(&'static str, Vec<String>)>,
    /// The addresses of the node.
    pub addresses: Vec<String>,
    /// It has the label of a control plane.
    pub control_plane: bool,
    /// The addresses by which the cluster knows it.
    pub internal: Vec<IpAddr>,
    /// Its zone, by the label `topology.kubernetes.io/zone`.
    pub zone: Option<String>,
    /// Its pods' ranges.
    pub pod_cidrs: Vec<Cidr>,
}

impl Node {
    /// Whether it is a Windows node.
    pub fn is_windows(&self) -> bool {
        self.os == "windows"
    }
}

/// A DaemonSet that runs kube-proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// How its pods start kube-proxy.
    pub launch: Launch,
    /// Labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// On how many nodes it has pods; none where the status is not there.
    pub scheduled: Option<u64>,
    /// It runs on Windows nodes only.
    pub windows: bool,
    /// `RollingUpdate`, `OnDelete`.
    pub update_strategy: String,
    /// Who manages it, as labels, annotations, owners and field managers tell.
    pub managers: BTreeSet<String>,
    /// Labels of its own.
    pub labels: BTreeMap<String, String>,
}

impl Workload {
    /// `daemonset kube-system/kube-proxy`.
    pub fn title(&self) -> String {
        format!("daemonset {}/{}", self.namespace, self.name)
    }
}

/// A pod of kube-proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyPod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The node that it is on.
    pub node: String,
    /// How it starts kube-proxy.
    pub launch: Launch,
    /// A file of the node made it, not the API.
    pub is_static: bool,
    /// When its container started, RFC 3339.
    pub started: Option<String>,
    /// Whether its container is ready; none where no status is there.
    pub ready: Option<bool>,
    /// How often its container was started again.
    pub restarts: u64,
    /// Why its container does not run: `CrashLoopBackOff`.
    pub waiting: Option<String>,
    /// The container.
    pub container: String,
}

/// A ConfigMap that configures kube-proxy, or could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `configmap kube-system/kube-proxy`, or the file that stands for it.
    pub title: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The entry.
    pub key: String,
    /// Where `mode` stands: `data.config.conf line 45`.
    pub place: String,
    /// What it says.
    pub config: KubeProxyConfig,
    /// When it was last changed, where its field managers tell.
    pub changed: Option<String>,
    /// Who manages it.
    pub managers: BTreeSet<String>,
    /// It may not be changed.
    pub immutable: bool,
}

/// Somebody who forwards Services in kube-proxy's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replacement {
    /// `Cilium`.
    pub by: &'static str,
    /// What says so.
    pub why: String,
    /// It forwards all of it: kube-proxy is not needed.
    pub whole: bool,
}

/// What was read on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeReading {
    /// What kube-proxy answers to `/proxyMode`, and where that stands.
    pub proxy_mode: Option<(String, String)>,
    /// Its configuration as it runs.
    pub configz: Option<KubeProxyConfig>,
    /// What its metrics show.
    pub metrics: Option<Metrics>,
    /// What is in the kernel.
    pub traces: Traces,
    /// The kernel's modules.
    pub modules: Modules,
    /// Whether the kernel's own table of virtual servers is there, be it empty.
    pub has_ipvs: Option<bool>,
    /// The mode that its log names, with the line.
    pub log_mode: Option<(Mode, String)>,
    /// The last error of its log.
    pub log_error: Option<String>,
    /// Probes that could not be read, and why.
    pub unread: BTreeMap<Probe, String>,
}

/// What kube-proxy's metrics show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The mode, where the metrics that are there tell it.
    pub mode: Option<Mode>,
    /// Its version.
    pub version: Option<String>,
    /// Packets that were accepted for a node port on 127.0.0.1.
    pub localhost_node_ports: Option<u64>,
    /// Packets that were dropped for being outside of any connection.
    pub invalid_dropped: Option<u64>,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Facts {
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// DaemonSets that run kube-proxy.
    pub workloads: Vec<Workload>,
    /// Pods of kube-proxy.
    pub pods: Vec<ProxyPod>,
    /// What configures kube-proxy.
    pub configurations: Vec<Configuration>,
    /// Who forwards in its place.
    pub replacements: BTreeSet<Replacement>,
    /// Signs of a distribution, and what shows each.
    pub distributions: BTreeMap<&'static str, String>,
    /// What was read on nodes, by name; [`UNNAMED`] for files that name none.
    pub readings: BTreeMap<String, NodeReading>,
    /// Names of DaemonSets that matter for a switch: `kube-system/node-local-dns`.
    pub daemonsets: BTreeSet<String>,
    /// Settings of network plugins that matter for a switch, and where they stand.
    pub settings: BTreeMap<&'static str, (String, String)>,
    /// The API server's version.
    pub version: Option<String>,
    /// The uid of namespace kube-system.
    pub uid: Option<String>,
    /// How each want ended.
    pub reads: BTreeMap<Want, ReadStatus>,
    /// What could not be read or understood.
    pub unreadable: Vec<Unreadable>,
}

impl Facts {
    /// Takes a Node.
    pub fn take_node(&mut self, node: &wire::Node) {
        let Some(metadata) = &node.metadata else { return };
        if let Some((name, why)) = distribution::of_node(node) {
            self.distributions.entry(name).or_insert(why);
        }
        let info = node.status.as_ref().and_then(|status| status.node_info.clone()).unwrap_or_default();
        let status = node.status.clone().unwrap_or_default();
        let label = metadata.labels.get("kubernetes.io/os").or_else(|| metadata.labels.get("beta.kubernetes.io/os"));
        let os =
            if info.operating_system.is_empty() { label.cloned().unwrap_or_default() } else { info.operating_system };
        let args = ["k3s.io/node-args", "rke2.io/node-args"]
            .into_iter()
            .find_map(|name| Some((name, serde_json::from_str::<Vec<String>>(metadata.annotations.get(name)?).ok()?)));
        self.nodes.insert(
            metadata.name.clone(),
            Node {
                os,
                os_image: info.os_image,
                kernel: info.kernel_version,
                kubelet: info.kubelet_version,
                ready: status.conditions.iter().any(|c| c.r#type == "Ready" && c.status == "True"),
                node_args: args,
                addresses: status
                    .addresses
                    .iter()
                    .filter(|address| matches!(address.r#type.as_str(), "InternalIP" | "ExternalIP"))
                    .map(|address| address.address.clone())
                    .collect(),
                internal: internal(&status),
                zone: metadata.labels.get("topology.kubernetes.io/zone").cloned(),
                pod_cidrs: pod_cidrs(node),
                control_plane: metadata.labels.keys().any(|key| {
                    matches!(key.as_str(), "node-role.kubernetes.io/control-plane" | "node-role.kubernetes.io/master")
                }),
            },
        );
    }

    /// Takes an object of any other kind, whole.
    pub fn take_object(&mut self, resource: &'static Resource, whole: &Value) {
        if *resource == resources::DAEMONSETS {
            self.take_daemonset(whole);
        } else if *resource == resources::PODS {
            self.take_pod(whole);
        } else if *resource == resources::CONFIGMAPS {
            self.take_config_map(whole);
        } else if *resource == resources::NAMESPACES && object::name(whole) == "kube-system" {
            self.uid = whole.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        } else {
            super::replacement::take(resource, whole, self);
        }
    }

    fn take_daemonset(&mut self, whole: &Value) {
        super::replacement::take(&resources::DAEMONSETS, whole, self);
        let (namespace, name) = (object::namespace(whole).to_owned(), object::name(whole).to_owned());
        self.daemonsets.insert(format!("{namespace}/{name}"));
        let Some(launch) = Launch::of(whole) else { return };
        let known = |workload: &Workload| workload.namespace == namespace && workload.name == name;
        if self.workloads.iter().any(known) {
            return;
        }
        let selector = whole.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        let text = |path: &str| scalar(whole.pointer(path));
        self.workloads.push(Workload {
            selector: selector.into_iter().flatten().map(|(key, value)| (key.clone(), scalar(Some(value)))).collect(),
            scheduled: whole.pointer("/status/currentNumberScheduled").and_then(Value::as_u64),
            windows: text("/spec/template/spec/nodeSelector/kubernetes.io~1os") == "windows"
                || launch.flag("proxy-mode") == Some("kernelspace"),
            update_strategy: text("/spec/updateStrategy/type"),
            managers: managers(whole),
            labels: labels(whole),
            namespace,
            name,
            launch,
        });
        self.workloads.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    }

    fn take_pod(&mut self, whole: &Value) {
        let Some(launch) = Launch::of(whole) else { return };
        let node = scalar(whole.pointer("/spec/nodeName"));
        let name = object::name(whole).to_owned();
        let leaving = whole.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
        if node.is_empty() || leaving || self.pods.iter().any(|pod| pod.name == name && pod.node == node) {
            return;
        }
        let containers = whole.pointer("/status/containerStatuses").and_then(Value::as_array);
        let statuses = || containers.into_iter().flatten();
        let own =
            statuses().find(|status| scalar(status.get("name")).contains("kube-proxy")).or_else(|| statuses().next());
        let source = whole.pointer("/metadata/annotations/kubernetes.io~1config.source");
        let owner = scalar(whole.pointer("/metadata/ownerReferences/0/kind"));
        let text = |path: &str| own.map(|status| scalar(status.pointer(path))).filter(|text| !text.is_empty());
        self.pods.push(ProxyPod {
            namespace: object::namespace(whole).to_owned(),
            is_static: owner == "Node" || source.is_some_and(|source| source == "file"),
            started: text("/state/running/startedAt").or_else(|| {
                let started = scalar(whole.pointer("/status/startTime"));
                (!started.is_empty() && own.is_none()).then_some(started)
            }),
            ready: own.and_then(|status| status.get("ready")).and_then(Value::as_bool),
            restarts: own.and_then(|status| status.get("restartCount")).and_then(Value::as_u64).unwrap_or(0),
            waiting: text("/state/waiting/reason").or_else(|| text("/state/terminated/reason")),
            container: text("/name").unwrap_or_else(|| "kube-proxy".to_owned()),
            name,
            node,
            launch,
        });
    }

    fn take_config_map(&mut self, whole: &Value) {
        super::replacement::take(&resources::CONFIGMAPS, whole, self);
        let given = crate::ranges::Given::Object(&resources::CONFIGMAPS, whole);
        let Some(map) = object::ConfigMap::of(given) else { return };
        for (key, text) in map.entries() {
            match kubeproxy::parse(text) {
                Ok(Some(config)) => {
                    let place = map.place(key, config.mode_line.unwrap_or(1));
                    let configuration = Configuration {
                        title: map.title(),
                        namespace: map.namespace().to_owned(),
                        name: map.name().to_owned(),
                        key: key.to_owned(),
                        place,
                        config,
                        changed: changed(whole),
                        managers: managers(whole),
                        immutable: whole.get("immutable").and_then(Value::as_bool).unwrap_or(false),
                    };
                    if !self.configurations.contains(&configuration) {
                        self.configurations.push(configuration);
                    }
                }
                Err(error) if text.contains("KubeProxyConfiguration") => {
                    let reason = format!("{}: {}: `{}`", map.place(key, error.line), error.reason, error.token);
                    self.unreadable.push(Unreadable { source: map.title(), node: None, reason });
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// What is known of a node's own state.
    pub fn reading(&mut self, node: Option<&str>) -> &mut NodeReading {
        self.readings.entry(node.unwrap_or(UNNAMED).to_owned()).or_default()
    }

    /// Takes what a probe of a node printed.
    pub fn take_probe(&mut self, node: Option<&str>, probe: Probe, text: &str, file: &str) {
        let reading = self.reading(node);
        let mut problems = Vec::new();
        match probe {
            Probe::ProxyMode => reading.proxy_mode = Some((text.trim().to_owned(), file.to_owned())),
            Probe::Configz => match json(text) {
                Ok(value) => {
                    if let Some(config) = value.get("kubeproxy.config.k8s.io") {
                        reading.configz = Some(kubeproxy::from_value(config));
                    }
                }
                Err(error) => problems.push(error.to_string()),
            },
            Probe::ProxyMetrics => reading.metrics = Some(metrics(text)),
            Probe::KernelModules => problems.extend(reading.modules.take_loaded(text)),
            Probe::ModuleFiles => reading.modules.take_files(text),
            Probe::IpvsTable => {
                reading.has_ipvs = Some(true);
                problems.extend(reading.traces.take(probe, text).iter().map(ToString::to_string));
            }
            _ => problems.extend(reading.traces.take(probe, text).iter().map(ToString::to_string)),
        }
        let unread = |reason| Unreadable { source: file.to_owned(), node: node.map(str::to_owned), reason };
        self.unreadable.extend(problems.into_iter().map(unread));
    }

    /// A node does not have what a probe reads.
    pub fn take_absent(&mut self, node: Option<&str>, probe: Probe) {
        let reading = self.reading(node);
        reading.traces.take_absent(probe);
        match probe {
            Probe::IpvsTable => reading.has_ipvs = reading.has_ipvs.or(Some(false)),
            Probe::ModuleFiles => reading.modules.take_files(""),
            _ => {}
        }
    }

    /// The pod's log: the mode that it names and why it ended.
    pub fn take_log(&mut self, node: &str, text: &str) {
        let reading = self.reading(Some(node));
        for line in text.lines() {
            if let Some(mode) = mode_of_line(line) {
                reading.log_mode = Some((mode, message_of(line)));
            }
            if is_fatal(line) {
                reading.log_error = Some(message_of(line));
            }
        }
    }

    /// Whether every list of pods that was asked for was read whole.
    pub fn pods_were_read(&self) -> bool {
        let of_pods = |want: &Want| matches!(want, Want::List { resource, .. } if **resource == resources::PODS);
        let mut lists = self.reads.iter().filter(|(want, _)| of_pods(want)).peekable();
        lists.peek().is_some() && lists.all(|(_, status)| *status == ReadStatus::Complete)
    }

    /// Whether a node without a pod of kube-proxy is known to have none: pods were read, and were found
    /// elsewhere, or the DaemonSet says itself that it has none.
    pub fn misses_pods(&self) -> bool {
        let linux = || self.workloads.iter().filter(|workload| !workload.windows);
        let none = linux().next().is_some() && linux().all(|workload| workload.scheduled == Some(0));
        self.pods_were_read() && linux().next().is_some() && (!self.pods.is_empty() || none)
    }

    /// The pod of kube-proxy on a node.
    pub fn pod_on(&self, node: &str) -> Option<&ProxyPod> {
        // where several are there, one that runs
        let on = || self.pods.iter().filter(|pod| pod.node == node);
        on().find(|pod| pod.ready == Some(true)).or_else(|| on().next())
    }

    /// The version of kube-proxy on a node: what it says of itself, else its image's tag.
    pub fn proxy_version(&self, node: &str) -> Option<String> {
        let metrics = self.readings.get(node).and_then(|reading| reading.metrics.as_ref());
        metrics
            .and_then(|metrics| metrics.version.clone())
            .or_else(|| self.pod_on(node).and_then(|pod| pod.launch.version()))
    }

    /// The version of kube-proxy that decides: the lowest that runs, else the API server's.
    pub fn lowest_version(&self) -> Option<Version> {
        let nodes = self.nodes.keys().map(String::as_str);
        let running = nodes.filter_map(|node| self.proxy_version(node)?.parse::<Version>().ok()).min();
        running
            .or_else(|| {
                let images = self.workloads.iter().filter(|workload| !workload.windows);
                images.filter_map(|workload| workload.launch.version()?.parse().ok()).min()
            })
            .or_else(|| self.version.as_deref()?.parse().ok())
    }
}

/// The internal addresses of a node, in the API's order.
fn internal(status: &wire::NodeStatus) -> Vec<IpAddr> {
    let own = status.addresses.iter().filter(|address| address.r#type == "InternalIP");
    own.filter_map(|address| address.address.parse().ok()).collect()
}

fn pod_cidrs(node: &wire::Node) -> Vec<Cidr> {
    let Some(spec) = &node.spec else { return Vec::new() };
    let single = Some(&spec.pod_cidr).filter(|_| spec.pod_cidrs.is_empty());
    spec.pod_cidrs.iter().chain(single).filter_map(|text| text.parse().ok()).collect()
}

/// The labels of an object.
fn labels(whole: &Value) -> BTreeMap<String, String> {
    let labels = whole.pointer("/metadata/labels").and_then(Value::as_object);
    labels.into_iter().flatten().map(|(key, value)| (key.clone(), scalar(Some(value)))).collect()
}

/// Who manages an object, by what each leaves on it.
fn managers(whole: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let of = |kind: &str| whole.pointer(&format!("/metadata/{kind}")).and_then(Value::as_object).into_iter().flatten();
    for (key, value) in of("labels").chain(of("annotations")) {
        let text = scalar(Some(value));
        match key.as_str() {
            "app.kubernetes.io/managed-by" => {
                found.insert(text);
            }
            "meta.helm.sh/release-name" => {
                found.insert("Helm".to_owned());
            }
            "argocd.argoproj.io/instance" | "argocd.argoproj.io/tracking-id" => {
                found.insert("Argo CD".to_owned());
            }
            "addonmanager.kubernetes.io/mode" => {
                found.insert(format!("addon-manager ({text})"));
            }
            "k0sproject.io/config-hash" => {
                found.insert("k0s".to_owned());
            }
            key if key.contains("toolkit.fluxcd.io/") => {
                found.insert("Flux".to_owned());
            }
            key if key == "gardener.cloud/role" || key == "resources.gardener.cloud/origin" => {
                found.insert("Gardener".to_owned());
            }
            _ => {}
        }
    }
    let owners = whole.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    found.extend(owners.map(|owner| format!("{} {}", scalar(owner.get("kind")), scalar(owner.get("name")))));
    found.extend(field_managers(whole));
    found
}

/// The mode, the version and the counters of kube-proxy's metrics.
fn metrics(text: &str) -> Metrics {
    let mut found = Metrics::default();
    let (mut iptables, mut full, mut synced) = (false, false, false);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let count = || value.parse::<f64>().ok().filter(|value| *value >= 0.0);
        if name.starts_with("kubeproxy_sync_proxy_rules_iptables_total") {
            iptables = true;
        } else if name.starts_with("kubeproxy_sync_full_proxy_rules_duration_seconds_count") {
            full |= count().is_some_and(|count| count > 0.0);
        } else if name.starts_with("kubeproxy_sync_proxy_rules_duration_seconds_count") {
            synced |= count().is_some_and(|count| count > 0.0);
        } else if name == "kubeproxy_iptables_localhost_nodeports_accepted_packets_total" {
            found.localhost_node_ports = whole_number(value);
        } else if name == "kubeproxy_iptables_ct_state_invalid_dropped_packets_total" {
            found.invalid_dropped = whole_number(value);
        } else if name.starts_with("kubernetes_build_info{") {
            let version = name.split("git_version=\"").nth(1).and_then(|rest| rest.split('"').next());
            found.version = version.map(str::to_owned);
        }
    }
    let told = found.version.as_deref().and_then(|text| text.parse::<Version>().ok());
    found.mode = match (iptables, full, synced) {
        (true, _, _) => Some(Mode::Iptables),
        (false, true, _) => Some(Mode::Nftables),
        // before, nftables mode had no metrics of its own to be told by
        (false, false, true) if told.is_some_and(|version| version >= Version::new(1, 33)) => Some(Mode::Ipvs),
        _ => None,
    };
    found
}

/// A count as it is printed, `1.2e+03` too; nothing for what is no count.
fn whole_number(text: &str) -> Option<u64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    format!("{number:.0}").parse().ok()
}

/// The mode that a line of the log names.
fn mode_of_line(line: &str) -> Option<Mode> {
    let rest = line.split("Using ").nth(1)?;
    let (name, rest) = rest.split_once(' ')?;
    rest.to_ascii_lowercase().starts_with("prox").then_some(())?;
    name.parse().ok()
}

/// klog's fatal and error lines about the start, and what `kube-proxy` prints when it ends.
fn is_fatal(line: &str) -> bool {
    let starts = line.starts_with('F') || line.starts_with("Error:") || line.starts_with('E');
    starts
        && [
            "can't use",
            "Proxier",
            "proxier",
            "requires kernel",
            "not supported",
            "failed to run",
            "command failed",
            "unable to",
            "nft version",
            "invalid",
        ]
        .iter()
        .any(|sign| line.contains(sign))
}

/// The words of a klog line.
fn message_of(line: &str) -> String {
    let message = line.split_once("] ").map_or(line, |(_, message)| message);
    let quoted = message.split_once(" err=\"").and_then(|(_, rest)| rest.trim_end().strip_suffix('"'));
    let message = quoted.unwrap_or(message);
    message.trim().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_log_names_the_mode_and_the_end() {
        let mut facts = Facts::default();
        facts.take_log(
            "n1",
            "I1123 03:39:11.1 1 server_linux.go:52] \"Using ipvs Proxier\"\n\
             E1123 03:39:11.2 1 server.go:5] \"Error running ProxyServer\" err=\"can't use the IPVS proxier: ipvs not supported\"\n",
        );
        let reading = &facts.readings["n1"];
        assert_eq!(reading.log_mode.as_ref().map(|(mode, _)| *mode), Some(Mode::Ipvs));
        assert!(reading.log_error.as_ref().unwrap().contains("ipvs not supported"));
        assert_eq!(mode_of_line("W0101 server.go:1] Using iptables proxy"), Some(Mode::Iptables));
        assert_eq!(mode_of_line("I0101 x.go:1] Using node IP 1.2.3.4"), None);
    }

    #[test]
    fn metrics_tell_mode_and_version() {
        let build = "kubernetes_build_info{git_version=\"v1.36.2\",x=\"y\"} 1\n";
        let iptables = "kubeproxy_sync_proxy_rules_iptables_total{ip_family=\"IPv4\",table=\"nat\"} 254\n\
            kubeproxy_iptables_localhost_nodeports_accepted_packets_total 1.2e+03\n";
        let found = metrics(&format!("{build}{iptables}"));
        assert_eq!((found.mode, found.version.as_deref()), (Some(Mode::Iptables), Some("v1.36.2")));
        assert_eq!(found.localhost_node_ports, Some(1200));
        let full = "kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"} 1\n";
        assert_eq!(metrics(full).mode, Some(Mode::Nftables));
        let synced = "kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"} 1\n";
        assert_eq!(metrics(&format!("{build}{synced}")).mode, Some(Mode::Ipvs));
        assert_eq!(metrics(synced).mode, None, "an old nftables mode looks the same");
        assert_eq!(metrics("").mode, None);
    }

    #[test]
    fn managers_are_told_by_what_they_leave() {
        let found = managers(&json!({"metadata": {
            "labels": {"app.kubernetes.io/managed-by": "Helm", "addonmanager.kubernetes.io/mode": "Reconcile"},
            "managedFields": [{"manager": "eks"}, {"manager": "kubectl-edit"}]}}));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["Helm", "addon-manager (Reconcile)", "eks"]);
    }
}
