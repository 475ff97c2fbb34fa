//! Which plugins a cluster has: signals of several kinds, independent of each other, and what they
//! make of each plugin.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    catalogue::{Kind, ROWS, listed},
    conf::{Choice, Conf, ConfFile, Runtime, choose},
    facts::Facts,
    reading::Reading,
};
use crate::ranges::Confidence;

/// One thing that shows a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Signal {
    /// What was looked at: `workload`, `pods`, `configmap`, `api-group`, `node-annotation`, `cni-conf`,
    /// `links`, `rules`, `routes`, `file`, `bird`.
    pub source: &'static str,
    /// What it says.
    pub says: String,
    /// How much it is worth.
    pub confidence: Confidence,
}

/// What a plugin is in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It makes the pods' network.
    Active,
    /// It works beside the one that does: policies, addresses, further networks, host ports.
    Chained,
    /// It is gone, and something of it is still there.
    Leftover,
}

impl State {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Chained => "chained",
            Self::Leftover => "leftover",
        }
    }
}

/// A plugin that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub kind: Kind,
    /// What it is here.
    pub state: State,
    /// What shows it, the strongest first.
    pub signals: Vec<Signal>,
}

/// Links and groups that others have too: they confirm a plugin, and never show one alone.
const WEAK: &[&str] = &["lxc*", "eni*", "br-ex", "tun-*", "cilium.io", "networking.k8s.aws"];

/// The container runtime of a node, which picks its CNI file.
pub fn runtime(facts: &Facts, node: &str) -> Runtime {
    let cri_o = facts.nodes.get(node).is_some_and(|node| node.runtime.starts_with("cri-o"));
    if cri_o { Runtime::CriO } else { Runtime::Containerd }
}

/// The CNI configuration that a node's runtime takes.
pub fn chosen<'a>(facts: &'a Facts, node: &str, reading: &'a Reading) -> Option<(&'a ConfFile, &'a Conf)> {
    match choose(reading.conf.as_ref()?, runtime(facts, node)) {
        Choice::File(file) => Some((file, file.conf.as_ref().ok()?)),
        Choice::Broken(_) | Choice::None => None,
    }
}

/// The plugin that a configuration's first program is of; what Multus hands on to counts.
pub fn kind_of_conf(conf: &Conf) -> Option<Kind> {
    let kind = |name: &str| ROWS.iter().find(|row| row.conf_types.contains(&name)).map(|row| row.kind);
    let first = conf.plugins.first()?;
    let own = kind(&first.kind)?;
    let handed = || first.delegates.iter().find_map(|delegate| kind(delegate)).filter(|kind| *kind != Kind::Reference);
    Some(match own {
        Kind::Multus => handed().unwrap_or(own),
        // the reference bridge is what flannel, kube-router and kindnet configure
        _ => own,
    })
}

/// Every plugin that something shows, those that make the pods' network first.
pub fn plugins(facts: &Facts) -> Vec<Found> {
    let mut signals = signals(facts);
    fold(facts, &mut signals);
    signals.retain(|_, signals| signals.iter().any(|(_, weak)| !weak));
    let running: BTreeSet<Kind> =
        signals.iter().filter(|(kind, signals)| runs(facts, **kind, signals)).map(|(kind, _)| *kind).collect();
    let mut found: Vec<Found> = signals
        .into_iter()
        .map(|(kind, signals)| {
            let mut signals: Vec<Signal> = signals.into_iter().map(|(signal, _)| signal).collect();
            signals.sort_by(|a, b| (a.confidence, a.source, &a.says).cmp(&(b.confidence, b.source, &b.says)));
            signals.dedup();
            Found { kind, state: state(facts, kind, &running), signals }
        })
        .collect();
    // the bridge is a program that others call
    let others = found.iter().any(|found| found.kind != Kind::Reference && found.state == State::Active);
    found.retain(|found| found.kind != Kind::Reference || !others);
    found.sort_by_key(|found| (found.state, found.kind));
    found
}

/// A signal, and whether it is too weak to show a plugin alone.
type Weighed = (Signal, bool);

fn signals(facts: &Facts) -> BTreeMap<Kind, Vec<Weighed>> {
    let mut found: BTreeMap<Kind, Vec<Weighed>> = BTreeMap::new();
    let mut add = |kind: Kind, source: &'static str, says: String, confidence: Confidence, weak: bool| {
        found.entry(kind).or_default().push((Signal { source, says, confidence }, weak));
    };
    for agent in &facts.agents {
        let nodes = agent.desired.map(|nodes| format!(", {nodes} nodes")).unwrap_or_default();
        add(agent.kind, "workload", format!("{}{nodes}", agent.title()), Confidence::B, false);
    }
    let mut pods: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    for pod in &facts.pods {
        let (ready, all) = pods.entry(pod.kind).or_default();
        *all += 1;
        *ready += usize::from(pod.ready == Some(true));
    }
    for (kind, (ready, all)) in pods {
        add(kind, "pods", format!("{ready} of {all} agents are ready"), Confidence::A, false);
    }
    for (kind, title) in &facts.controllers {
        add(*kind, "workload", title.clone(), Confidence::B, false);
    }
    for (kind, title) in &facts.config_maps {
        add(*kind, "configmap", title.clone(), Confidence::C, false);
    }
    for (group, why) in &facts.groups {
        for row in ROWS.iter().filter(|row| row.groups.contains(&group.as_str())) {
            add(row.kind, "api-group", format!("{group}: {why}"), Confidence::C, listed(WEAK, group));
        }
    }
    if let Some(network) = facts.setting(Kind::OvnKubernetes, "networkType") {
        add(
            Kind::OvnKubernetes,
            "configuration",
            format!("{}: {}", network.place, network.value),
            Confidence::B,
            false,
        );
    }
    annotations(facts, &mut add);
    kernel(facts, &mut add);
    found
}

fn annotations(facts: &Facts, add: &mut impl FnMut(Kind, &'static str, String, Confidence, bool)) {
    let mut seen: BTreeMap<(Kind, String), usize> = BTreeMap::new();
    for node in facts.nodes.values() {
        for row in ROWS {
            let mut own = node.annotations.keys().filter(|key| listed(row.annotations, key));
            if let Some(first) = own.next() {
                *seen.entry((row.kind, first.clone())).or_default() += 1;
            }
        }
        if let Some((label, value)) =
            node.labels.iter().find(|(label, _)| label.starts_with("kubernetes.azure.com/podnetwork"))
        {
            *seen.entry((Kind::Azure, format!("{label}={value}"))).or_default() += 1;
        }
    }
    for ((kind, name), nodes) in seen {
        // an agent writes it and nobody takes it away
        add(kind, "node-annotation", format!("{name} on {}", nodes_text(nodes)), Confidence::C, false);
    }
}

fn kernel(facts: &Facts, add: &mut impl FnMut(Kind, &'static str, String, Confidence, bool)) {
    let mut seen: BTreeMap<(Kind, &'static str, String, bool), usize> = BTreeMap::new();
    for (name, reading) in &facts.readings {
        let mut note = |kind: Kind, source: &'static str, says: String, weak: bool| {
            *seen.entry((kind, source, says, weak)).or_default() += 1;
        };
        for row in ROWS {
            let known = |name: &str| listed(row.links, name);
            let links: BTreeSet<&str> =
                reading.links.iter().flatten().map(|link| link.name.as_str()).filter(|name| known(name)).collect();
            let patterns = shown(row.links, &links);
            if !patterns.is_empty() {
                let weak = links.iter().all(|link| listed(WEAK, link));
                note(row.kind, "links", patterns.join(", "), weak);
            }
            let routes = reading.routes.iter().flatten().filter_map(|route| route.dev()).filter(|dev| known(dev));
            let routes: BTreeSet<&str> = routes.filter(|dev| !links.contains(dev)).collect();
            if !routes.is_empty() {
                let weak = routes.iter().all(|link| listed(WEAK, link));
                note(row.kind, "routes", format!("routes through {}", shown(row.links, &routes).join(", ")), weak);
            }
        }
        for (kind, owned) in reading.owned.iter().flatten() {
            let row = kind.row();
            if owned.chains > 0 {
                note(*kind, "rules", format!("chains {}…", row.chains.join("…, ")), false);
            }
            for table in &owned.tables {
                note(*kind, "rules", format!("nftables table {table}"), false);
            }
        }
        let taken = chosen(facts, name, reading).map(|(file, _)| file.name.as_str());
        for file in reading.conf.iter().flatten() {
            let Some(kind) = file.conf.as_ref().ok().and_then(kind_of_conf) else { continue };
            let word = if taken == Some(file.name.as_str()) {
                "the runtime takes it"
            } else {
                "not the one that the runtime takes"
            };
            note(kind, "cni-conf", format!("{}: {word}", file.name), false);
        }
        if reading.subnet_env.is_some() {
            note(Kind::Flannel, "file", "subnet.env".to_owned(), false);
        }
        let calico = |bird: &crate::bird::Bird| bird.protocols.iter().any(|protocol| protocol.calico_peer().is_some());
        if reading.birds.iter().any(calico) {
            note(Kind::Calico, "bird", "BIRD answers, with Calico's sessions".to_owned(), false);
        }
    }
    for ((kind, source, says, weak), nodes) in seen {
        let confidence = match source {
            "cni-conf" => Confidence::B,
            "file" => Confidence::C,
            _ => Confidence::A,
        };
        add(kind, source, format!("{says} on {}", nodes_text(nodes)), confidence, weak);
    }
}

/// Names as their patterns: `cali*` for thirty links.
fn shown(patterns: &[&'static str], names: &BTreeSet<&str>) -> Vec<String> {
    let mut found: Vec<String> = patterns
        .iter()
        .filter(|pattern| names.iter().any(|name| listed(&[pattern], name)))
        .map(|pattern| match names.iter().filter(|name| listed(&[pattern], name)).collect::<Vec<_>>().as_slice() {
            [one] => (**one).to_owned(),
            many => format!("{} {pattern}", many.len()),
        })
        .collect();
    found.dedup();
    found
}

/// `1 node`, `3 nodes`.
pub fn nodes_text(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

/// A plugin that is two others takes their signals.
fn fold(facts: &Facts, signals: &mut BTreeMap<Kind, Vec<Weighed>>) {
    let has = |kind: Kind| {
        facts.agents.iter().any(|agent| agent.kind == kind) || facts.config_maps.iter().any(|(of, _)| *of == kind)
    };
    let mut hand = |from: Kind, to: Kind| {
        if let Some(own) = signals.remove(&from) {
            signals.entry(to).or_default().extend(own);
        }
    };
    if has(Kind::Canal) {
        for part in [Kind::Flannel, Kind::Calico] {
            if !facts.agents.iter().any(|agent| agent.kind == part) {
                hand(part, Kind::Canal);
            }
        }
    }
    if has(Kind::GkeDataplaneV2) {
        hand(Kind::Cilium, Kind::GkeDataplaneV2);
    }
}

/// Whether a plugin is at work.
fn runs(facts: &Facts, kind: Kind, signals: &[Weighed]) -> bool {
    let agents = || facts.agents.iter().filter(|agent| agent.kind == kind);
    if agents().any(|agent| agent.desired != Some(0)) || facts.pods.iter().any(|pod| pod.kind == kind) {
        return true;
    }
    let taken = facts
        .readings
        .iter()
        .any(|(node, reading)| chosen(facts, node, reading).and_then(|(_, conf)| kind_of_conf(conf)) == Some(kind));
    match kind {
        // inside of k3s itself
        Kind::Flannel
            if facts
                .nodes
                .values()
                .any(|node| node.embeds && node.annotations.keys().any(|key| key.starts_with("flannel."))) =>
        {
            true
        }
        // no agent to look for
        Kind::Reference => taken,
        Kind::OvnKubernetes if facts.setting(kind, "networkType").is_some() => true,
        _ if facts.workloads_were_read() => false,
        _ if agents().next().is_some() => false,
        // nothing tells of workloads: whatever else is there is taken for at work
        _ => {
            taken
                || signals
                    .iter()
                    .any(|(signal, weak)| !weak && !matches!(signal.source, "api-group" | "node-annotation"))
        }
    }
}

fn state(facts: &Facts, kind: Kind, running: &BTreeSet<Kind>) -> State {
    if !running.contains(&kind) {
        return State::Leftover;
    }
    let value = |kind: Kind, name: &'static str| facts.value(kind, name);
    let other = running.iter().any(|other| *other != kind && !other.is_meta() && *other != Kind::Reference);
    let chained = kind.is_meta()
        || match kind {
            Kind::Calico => {
                let by_operator = value(kind, "cni.type").is_some_and(|cni| cni != "Calico");
                let backend = value(kind, "CALICO_NETWORKING_BACKEND").or_else(|| value(kind, "calico_backend"));
                by_operator || (other && backend == Some("none"))
            }
            Kind::Cilium => value(kind, "cni-chaining-mode").is_some_and(|mode| mode != "none"),
            Kind::KubeRouter => other && value(kind, "--run-router") == Some("false"),
            _ => false,
        };
    if chained { State::Chained } else { State::Active }
}

/// The plugin that makes the pods' network: of several that run the one whose file the runtimes take,
/// else the one whose file comes first.
pub fn pod_network(facts: &Facts, plugins: &[Found]) -> Option<Kind> {
    let active: Vec<Kind> =
        plugins.iter().filter(|found| found.state == State::Active).map(|found| found.kind).collect();
    let mut taken: BTreeMap<Kind, usize> = BTreeMap::new();
    for (node, reading) in &facts.readings {
        if let Some(kind) = chosen(facts, node, reading).and_then(|(_, conf)| kind_of_conf(conf)) {
            let kind = if kind == Kind::Calico && active.contains(&Kind::Canal) { Kind::Canal } else { kind };
            *taken.entry(kind).or_default() += 1;
        }
    }
    let most = taken.iter().filter(|(kind, _)| active.contains(kind)).max_by_key(|(_, nodes)| **nodes);
    most.map(|(kind, _)| *kind)
        .or_else(|| active.into_iter().min_by_key(|kind| (kind.row().file.is_empty(), kind.row().file)))
}
