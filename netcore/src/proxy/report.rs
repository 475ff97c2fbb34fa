//! `ProxyModeReport`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Lifecycle, Mode,
    configured::{self, Configured},
    evidence::{self, Evidence},
    facts::Facts,
    lifecycle::{self, IPVS_GATE, NFTABLES_GATE},
    traces::{self, Leftover},
};
use crate::{kubeproxy::KubeProxyConfig, probe::UNNAMED};

/// What kube-proxy does on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProxyState {
    /// It runs.
    Running,
    /// Its pod is there, and it does not run.
    Failing,
    /// It is to run here, and there is no pod.
    Absent,
    /// Somebody else forwards Services here.
    Replaced,
    /// A Windows node: its mode is another matter.
    Windows,
    /// Not known.
    Unknown,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// Name; `-` for files that name none.
    pub name: String,
    /// What kube-proxy does.
    pub state: ProxyState,
    /// The mode that its kube-proxy was told.
    pub configured: Option<Mode>,
    /// The mode that it is in; null where that is not known.
    pub effective: Option<Mode>,
    /// What shows the mode, the strongest first.
    pub evidence: Vec<Evidence>,
    /// `v1.36.3`.
    pub kube_proxy_version: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The operating system.
    pub os: Option<String>,
    /// What is not as configured.
    pub drift: Vec<String>,
    /// What other modes left.
    pub leftovers: Vec<Leftover>,
}

/// A switch that is half done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SwitchState {
    /// Its id.
    pub id: String,
    /// The mode before.
    pub from: Mode,
    /// The mode after.
    pub to: Mode,
    /// How far it is.
    pub state: String,
    /// The nodes that are switched.
    pub nodes: Vec<String>,
}

/// The report's own fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProxyModeReport {
    /// Each node.
    pub nodes: Vec<NodeRow>,
    /// What the cluster is configured for.
    pub configured: Configured,
    /// A switch that is half done; null where none is.
    pub switch: Option<SwitchState>,
    /// The life of each mode that is configured or in effect.
    pub lifecycle: Vec<Lifecycle>,
}

/// The report; `shows` picks nodes.
pub fn report(facts: &Facts, shows: &dyn Fn(&str) -> bool) -> ProxyModeReport {
    let mut names: BTreeSet<&str> = facts.nodes.keys().map(String::as_str).filter(|name| shows(name)).collect();
    let seen = facts.readings.keys().map(String::as_str);
    names.extend(seen.filter(|name| *name == UNNAMED || (facts.nodes.is_empty() && shows(name))));
    let nodes: Vec<NodeRow> = names.into_iter().map(|name| row(facts, name)).collect();
    let configured = configured::of_all(facts);
    let mut modes: BTreeSet<Mode> = nodes.iter().flat_map(|node| [node.configured, node.effective]).flatten().collect();
    modes.extend(configured.mode);
    let lifecycle = modes.into_iter().map(|mode| life(facts, mode)).collect();
    ProxyModeReport { nodes, configured, switch: None, lifecycle }
}

/// A mode's life in this cluster.
pub fn life(facts: &Facts, mode: Mode) -> Lifecycle {
    let gate = match mode {
        Mode::Ipvs => IPVS_GATE,
        _ => NFTABLES_GATE,
    };
    let gates = facts.configurations.iter().filter_map(|configuration| configuration.config.feature_gates.get(gate));
    let in_flags =
        facts.workloads.iter().filter_map(|workload| workload.launch.flag("feature-gates")).flat_map(|flag| {
            flag.split(',')
                .filter_map(|pair| pair.split_once('='))
                .filter(|(name, _)| *name == gate)
                .map(|(_, on)| on == "true")
        });
    lifecycle::lifecycle(mode, facts.lowest_version(), gates.copied().chain(in_flags).next())
}

fn row(facts: &Facts, name: &str) -> NodeRow {
    let node = facts.nodes.get(name);
    let text = |field: fn(&super::facts::Node) -> &String| node.map(field).filter(|text| !text.is_empty()).cloned();
    let (kernel, os) = (text(|node| &node.kernel), text(|node| &node.os_image));
    let kube_proxy_version = facts.proxy_version(name);
    let state = state(facts, name);
    if matches!(state, ProxyState::Windows | ProxyState::Replaced) {
        return NodeRow {
            name: name.to_owned(),
            state,
            configured: None,
            effective: None,
            evidence: Vec::new(),
            kube_proxy_version,
            kernel,
            os,
            drift: Vec::new(),
            leftovers: Vec::new(),
        };
    }
    let evidence = evidence::of_node(facts, name);
    let effective = evidence::effective(&evidence, state != ProxyState::Failing);
    let told = configured::of_node(facts, name).ok();
    let reading = facts.readings.get(name);
    let configured = told.as_ref().and_then(|told| told.mode);
    let running = effective.or(configured);
    let leftovers = match (running, reading) {
        (Some(mode), Some(reading)) => traces::leftovers(mode, &reading.traces),
        _ => Vec::new(),
    };
    let mut drift = Vec::new();
    if let (Some(is), Some(to_be)) = (effective, configured)
        && is != to_be
    {
        drift.push(format!("runs {is}, is configured for {to_be}"));
    }
    if evidence.iter().any(|sign| sign.probe == "pod-start" && sign.mode.is_none()) {
        drift.push("its pod started before the configuration was changed".to_owned());
    }
    if let Some(config) = reading.and_then(|reading| reading.configz.as_ref()) {
        if !config.hostname_override.is_empty()
            && node.is_some()
            && !config.hostname_override.eq_ignore_ascii_case(name)
        {
            drift.push(format!("takes itself for node {}", config.hostname_override));
        }
        if let Some(file) = told.as_ref().and_then(|told| told.config()) {
            drift.extend(differences(file, config, running));
        }
    }
    NodeRow {
        name: name.to_owned(),
        state,
        configured,
        effective,
        evidence,
        kube_proxy_version,
        kernel,
        os,
        drift,
        leftovers,
    }
}

/// Settings that a running kube-proxy has otherwise than its configuration: what it fills in where the
/// file says nothing is no difference.
fn differences(file: &KubeProxyConfig, runs: &KubeProxyConfig, mode: Option<Mode>) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |field: &str, file: &str, runs: &str| {
        if !file.is_empty() && file != runs {
            found.push(format!("{field}: runs with `{runs}`, is configured with `{file}`"));
        }
    };
    compare("clusterCIDR", &file.cluster_cidr, &runs.cluster_cidr);
    compare("nodePortAddresses", &file.node_port_addresses.join(","), &runs.node_port_addresses.join(","));
    if mode == Some(Mode::Ipvs) {
        compare("ipvs.scheduler", &file.scheduler, &runs.scheduler);
        compare("ipvs.excludeCIDRs", &file.exclude_cidrs.join(","), &runs.exclude_cidrs.join(","));
        if file.strict_arp != runs.strict_arp {
            compare("ipvs.strictARP", &file.strict_arp.to_string(), &runs.strict_arp.to_string());
        }
    }
    if file.masquerade_all != runs.masquerade_all {
        compare("iptables.masqueradeAll", &file.masquerade_all.to_string(), &runs.masquerade_all.to_string());
    }
    found
}

/// What kube-proxy does on a node.
fn state(facts: &Facts, name: &str) -> ProxyState {
    let node = facts.nodes.get(name);
    if node.is_some_and(super::facts::Node::is_windows) {
        return ProxyState::Windows;
    }
    if facts.readings.get(name).is_some_and(|reading| reading.proxy_mode.is_some()) {
        return ProxyState::Running;
    }
    match facts.pod_on(name) {
        Some(pod) if pod.ready == Some(false) && (pod.waiting.is_some() || pod.restarts > 0) => ProxyState::Failing,
        Some(_) => ProxyState::Running,
        None if facts.replacements.iter().any(|replacement| replacement.whole) => ProxyState::Replaced,
        // k3s and the like have no pod
        None if node.is_some_and(|node| node.node_args.is_some()) => ProxyState::Unknown,
        None if node.is_some() && facts.misses_pods() => ProxyState::Absent,
        None => ProxyState::Unknown,
    }
}

/// How many nodes each mode is in effect on; `None` for those whose mode is not known.
pub fn census(nodes: &[NodeRow]) -> BTreeMap<Option<Mode>, usize> {
    let mut found = BTreeMap::new();
    for node in nodes.iter().filter(|node| node.state != ProxyState::Windows) {
        *found.entry(node.effective).or_insert(0) += 1;
    }
    found
}
