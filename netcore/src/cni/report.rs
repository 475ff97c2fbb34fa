//! `CniReport`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    catalogue::{CHAINED, Kind},
    conf::Conf,
    detect::{self, Found, Signal, State, chosen, kind_of_conf},
    facts::Facts,
    lifecycle::{self, Life},
    mtu,
    policy::Leftover,
    reading::Reading,
    setup::{backend, cluster_type, dataplane, declared_mtu, encapsulation, ipam},
    tunnels::{self, TunnelRow},
};
use crate::{
    probe::UNNAMED,
    proxy::{self, Mode, configured},
    ranges::Confidence,
};

/// A setting of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setting {
    /// Its name: `calico_backend`.
    pub name: String,
    /// As written.
    pub value: String,
    /// Where it stands.
    pub source: String,
}

/// A plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PluginRow {
    /// `calico`, `flannel`, `portmap`.
    pub name: String,
    /// The version of its agents; null where none tells, or they differ.
    pub version: Option<String>,
    /// Versions and how many agents have each, where they differ.
    pub versions: BTreeMap<String, usize>,
    /// `active`, `chained`, `leftover`.
    pub state: Option<State>,
    /// What moves packets: `iptables`, `iptables (nft)`, `nftables`, `ebpf`, `ovs`.
    pub dataplane: Option<String>,
    /// `vxlan`, `ipip cross-subnet`, `none`, …; several with commas.
    pub encapsulation: Option<String>,
    /// Who hands out addresses: `calico-ipam`, `host-local`, `cluster-pool`.
    pub ipam: Option<String>,
    /// How routes or tunnels between nodes are made: `bird`, `vxlan`, `host-gw`.
    pub backend: Option<String>,
    /// Calico's own word for the kind of installation: `kubespray,bgp`.
    pub cluster_type: Option<String>,
    /// The pods' MTU: what nodes have, else what is configured.
    pub mtu: Option<u32>,
    /// What shows it, the strongest first.
    pub signals: Vec<Signal>,
    /// Settings, each with its place.
    pub settings: Vec<Setting>,
}

/// Use and limit of connection tracking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Conntrack {
    /// Connections that are tracked.
    pub used: Option<u64>,
    /// How many there may be.
    pub max: Option<u64>,
}

/// Kernel settings that decide whether pods' packets pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Kernel {
    /// `net.ipv4.ip_forward`.
    pub ip_forward: Option<bool>,
    /// `net.ipv6.conf.all.forwarding`.
    pub ip6_forward: Option<bool>,
    /// `net.ipv4.conf.all.rp_filter`: 0 off, 1 strict, 2 loose.
    pub rp_filter: Option<i64>,
    /// `net.bridge.bridge-nf-call-iptables`; null also where `br_netfilter` is not loaded.
    pub bridge_nf_call: Option<bool>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// Name; `-` for files that name none.
    pub name: String,
    /// The plugin that makes its pods' network.
    pub plugin: Option<String>,
    /// Whether the plugin's agent is ready there; null where that is not known.
    pub agent_ready: Option<bool>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// What is wrong with the agent.
    pub agent_problem: Option<String>,
    /// The pods' MTU.
    pub mtu: Option<u32>,
    /// The MTU of the link that carries traffic between nodes.
    pub underlay_mtu: Option<u32>,
    /// The largest pods' packet that fits the underlay through every tunnel in use; null where there
    /// is none or it is not known.
    pub mtu_fits: Option<u32>,
    /// Connection tracking.
    pub conntrack: Conntrack,
    /// kube-proxy's mode on it.
    pub proxy_mode: Option<Mode>,
    /// Tunnels that routes lead into.
    pub tunnels: Vec<TunnelRow>,
    /// Policy rules beside the kernel's own three.
    pub rules: Vec<String>,
    /// Kernel settings.
    pub kernel: Kernel,
    /// The CNI file that the runtime takes.
    pub conf: Option<String>,
}

/// Who forwards Services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Services {
    /// `kube-proxy`, `Cilium`, `Calico eBPF`, …; null where it is not known.
    pub by: Option<String>,
    /// kube-proxy's mode, where it is one.
    pub mode: Option<Mode>,
    /// What says so.
    pub source: Option<String>,
}

/// The report's own fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CniReport {
    /// Plugins, those that make the pods' network first.
    pub plugins: Vec<PluginRow>,
    /// The one that makes the pods' network.
    pub pod_network: Option<String>,
    /// The one that makes NetworkPolicies work; `none` where nobody does.
    pub policy_engine: Option<String>,
    /// Who forwards Services.
    pub services: Services,
    /// Each node.
    pub nodes: Vec<NodeRow>,
    /// What PodSecurityPolicy left.
    pub policy_leftovers: Vec<Leftover>,
    /// What is said to come and go.
    pub lifecycle: Vec<Life>,
}

/// The report; `shows` picks nodes.
pub fn report(facts: &Facts, shows: &dyn Fn(&str) -> bool) -> CniReport {
    let plugins = detect::plugins(facts);
    let network = detect::pod_network(facts, &plugins);
    let services = services(facts);
    let mut names: BTreeSet<&str> = facts.nodes.keys().map(String::as_str).filter(|name| shows(name)).collect();
    let seen = facts.readings.keys().map(String::as_str);
    names.extend(seen.filter(|name| *name == UNNAMED || (facts.nodes.is_empty() && shows(name))));
    let nodes: Vec<NodeRow> = names.into_iter().map(|name| node(facts, name, network)).collect();
    let mut rows: Vec<PluginRow> = plugins.iter().map(|found| row(facts, found, services.mode, &nodes)).collect();
    rows.extend(chain(facts, &plugins));
    rows.sort_by_key(|row| row.state);
    let lifecycle = lifecycle::lives(facts, &plugins, services.mode);
    CniReport {
        policy_engine: policy_engine(&plugins, facts),
        pod_network: network.map(|kind| kind.name().to_owned()),
        policy_leftovers: facts.policies.leftovers(),
        plugins: rows,
        services,
        nodes,
        lifecycle,
    }
}

fn services(facts: &Facts) -> Services {
    let proxy = &facts.proxy;
    if let Some(replacement) = proxy.replacements.iter().find(|replacement| replacement.whole) {
        let (by, source) = (Some(replacement.by.to_owned()), Some(replacement.why.clone()));
        return Services { by, mode: None, source };
    }
    let report = proxy::report::report(proxy, &|_| true);
    let effective: BTreeSet<Mode> = report
        .nodes
        .iter()
        .filter(|node| node.state != proxy::report::ProxyState::Windows)
        .filter_map(|node| node.effective)
        .collect();
    let configured = configured::of_all(proxy);
    let mode = match effective.iter().collect::<Vec<_>>().as_slice() {
        [one] => Some(**one),
        [] => configured.mode,
        _ => None,
    };
    let known = mode.is_some() || !proxy.workloads.is_empty() || !proxy.pods.is_empty() || effective.len() > 1;
    Services { by: known.then(|| "kube-proxy".to_owned()), mode, source: configured.place }
}

fn policy_engine(plugins: &[Found], facts: &Facts) -> Option<String> {
    let has = |kind: Kind| plugins.iter().any(|found| found.kind == kind && found.state != State::Leftover);
    for kind in [
        Kind::Calico,
        Kind::Canal,
        Kind::Cilium,
        Kind::GkeDataplaneV2,
        Kind::Antrea,
        Kind::OvnKubernetes,
        Kind::KubeOvn,
        Kind::Weave,
    ] {
        if has(kind) {
            return Some(kind.name().to_owned());
        }
    }
    let firewall = facts.value(Kind::KubeRouter, "--run-firewall");
    if has(Kind::KubeRouter) && firewall != Some("false") {
        return Some(Kind::KubeRouter.name().to_owned());
    }
    // k3s has an enforcer of its own inside, and newer kindnet and flannel may have one beside them
    let embedded = facts.nodes.values().any(|node| node.embeds);
    (has(Kind::Flannel) && !embedded && facts.workloads_were_read() && facts.agents.len() == 1)
        .then(|| "none".to_owned())
}

fn row(facts: &Facts, found: &Found, mode: Option<Mode>, nodes: &[NodeRow]) -> PluginRow {
    let kind = found.kind;
    let (version, versions) = version(facts, kind);
    let agree: BTreeSet<u32> =
        nodes.iter().filter(|node| node.plugin.as_deref() == Some(kind.name())).filter_map(|node| node.mtu).collect();
    let one = if agree.len() == 1 { agree.first().copied() } else { None };
    let live = found.state != State::Leftover;
    let own: &[Kind] = if kind == Kind::Canal { &[Kind::Canal, Kind::Flannel, Kind::Calico] } else { &[kind] };
    let settings = facts.settings.iter().filter(|((of, _), _)| own.contains(of));
    PluginRow {
        name: kind.name().to_owned(),
        version,
        versions,
        state: Some(found.state),
        dataplane: dataplane(facts, kind, mode).filter(|_| live),
        encapsulation: encapsulation(facts, kind).filter(|_| live),
        ipam: ipam(facts, kind).filter(|_| live),
        backend: backend(facts, kind).filter(|_| live),
        cluster_type: cluster_type(facts, kind),
        mtu: one.or_else(|| if agree.is_empty() { declared_mtu(facts, kind) } else { None }).filter(|_| live),
        signals: found.signals.clone(),
        settings: settings
            .flat_map(|((_, name), stated)| stated.iter().map(move |stated| (name, stated)))
            .map(|(name, stated)| Setting {
                name: (*name).to_owned(),
                value: stated.value.clone(),
                source: stated.place.clone(),
            })
            .collect(),
    }
}

/// Programs of the chain that do not make the network themselves.
fn chain(facts: &Facts, plugins: &[Found]) -> Vec<PluginRow> {
    let mut found: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut take = |conf: &Conf, place: String| {
        for plugin in conf.plugins.iter().skip(1) {
            *found.entry(plugin.kind.clone()).or_default().entry(place.clone()).or_default() += 1;
        }
    };
    let mut seen = false;
    for (node, reading) in &facts.readings {
        if let Some((file, conf)) = chosen(facts, node, reading) {
            take(conf, file.name.clone());
            seen = true;
        }
    }
    for (kind, file, place) in facts.templates.iter().filter(|_| !seen) {
        let active = plugins.iter().any(|plugin| plugin.kind == *kind && plugin.state == State::Active);
        if let (true, Ok(conf)) = (active, &file.conf) {
            take(conf, place.clone());
        }
    }
    let row = |(name, places): (String, BTreeMap<String, usize>)| {
        let does =
            CHAINED.iter().find(|(known, _)| *known == name).map(|(_, does)| format!(": {does}")).unwrap_or_default();
        let signal = |(place, nodes): (String, usize)| {
            let on = if seen { format!(" on {}", detect::nodes_text(nodes)) } else { String::new() };
            Signal { source: "cni-conf", says: format!("{place}{on}{does}"), confidence: Confidence::B }
        };
        let signals = places.into_iter().map(signal).collect();
        PluginRow { name, state: Some(State::Chained), signals, ..PluginRow::default() }
    };
    let known: BTreeSet<&str> =
        plugins.iter().flat_map(|plugin| plugin.kind.row().conf_types.iter().copied()).collect();
    found.into_iter().filter(|(name, _)| !known.contains(name.as_str())).map(row).collect()
}

fn version(facts: &Facts, kind: Kind) -> (Option<String>, BTreeMap<String, usize>) {
    let mut versions = BTreeMap::new();
    for version in facts.pods.iter().filter(|pod| pod.kind == kind).filter_map(|pod| pod.version.clone()) {
        *versions.entry(version).or_insert(0) += 1;
    }
    if versions.len() > 1 {
        return (None, versions);
    }
    let running = versions.into_keys().next();
    let images = || {
        facts
            .agents
            .iter()
            .filter(|agent| agent.kind == kind)
            .find_map(|agent| super::facts::version_of(kind, &agent.images))
    };
    let said = || facts.value(kind, "version").map(str::to_owned);
    (running.or_else(images).or_else(said), BTreeMap::new())
}

fn node(facts: &Facts, name: &str, network: Option<Kind>) -> NodeRow {
    let node = facts.nodes.get(name);
    let empty = Reading::default();
    let reading = facts.readings.get(name).unwrap_or(&empty);
    let taken = chosen(facts, name, reading);
    let by_conf = taken
        .and_then(|(_, conf)| kind_of_conf(conf))
        .map(|kind| if kind == Kind::Calico && network == Some(Kind::Canal) { Kind::Canal } else { kind });
    // a bridge that another plugin's agent has configured is that plugin's
    let by_conf =
        by_conf.filter(|kind| *kind != Kind::Reference || network.is_none_or(|network| network == Kind::Reference));
    let windows = node.is_some_and(super::facts::Node::is_windows);
    let plugin = by_conf.or(network).filter(|_| !windows);
    let pod = plugin.and_then(|kind| facts.pod_on(kind, name));
    let own = node.map(|node| node.addresses.clone()).unwrap_or_default();
    let tunnels = tunnels::of_node(facts, name, reading);
    let below = mtu::underlay(reading, None, &own).and_then(|name| reading.link(&name)?.mtu);
    let below = below.or_else(|| tunnels.iter().filter_map(|tunnel| reading.link(tunnel.below.as_deref()?)?.mtu).min());
    let problem = pod.filter(|pod| pod.ready == Some(false)).map(|pod| {
        let why = pod.waiting.clone().unwrap_or_else(|| "not ready".to_owned());
        let restarts = if pod.restarts > 0 { format!(", {} restarts", pod.restarts) } else { String::new() };
        format!("pod {}/{}: {why}{restarts}", pod.namespace, pod.name)
    });
    NodeRow {
        name: name.to_owned(),
        plugin: plugin.map(|kind| kind.name().to_owned()),
        agent_ready: pod.and_then(|pod| pod.ready),
        agent_version: pod.and_then(|pod| pod.version.clone()),
        agent_problem: problem.or_else(|| node.and_then(|node| node.network_unavailable.clone())),
        mtu: mtu::of_pods(reading).map(|(mtu, _)| mtu),
        underlay_mtu: below,
        mtu_fits: tunnels.iter().filter_map(|tunnel| tunnel.fits).min().or(if tunnels.is_empty() {
            below
        } else {
            None
        }),
        conntrack: Conntrack { used: reading.conntrack.used, max: reading.conntrack.limit },
        proxy_mode: facts.proxy.readings.contains_key(name).then(|| proxy_mode(facts, name)).flatten(),
        rules: rules(reading),
        kernel: kernel(reading),
        conf: taken.map(|(file, _)| file.name.clone()),
        tunnels,
    }
}

fn proxy_mode(facts: &Facts, name: &str) -> Option<Mode> {
    proxy::evidence::effective(&proxy::evidence::of_node(&facts.proxy, name), true)
}

fn kernel(reading: &Reading) -> Kernel {
    let Some(sysctls) = &reading.sysctls else { return Kernel::default() };
    Kernel {
        ip_forward: sysctls.is_on("net.ipv4.ip_forward"),
        ip6_forward: sysctls.is_on("net.ipv6.conf.all.forwarding"),
        rp_filter: sysctls.number("net.ipv4.conf.all.rp_filter"),
        bridge_nf_call: sysctls.is_on("net.bridge.bridge-nf-call-iptables"),
    }
}

/// Rules beside those that every kernel has, at most a handful in words.
fn rules(reading: &Reading) -> Vec<String> {
    const SHOWN: usize = 8;
    let usual = |rule: &&crate::route::Rule| {
        let plain = rule.from.is_none()
            && rule.to.is_none()
            && rule.mark.is_none()
            && rule.iif.is_none()
            && rule.others.is_empty()
            && !rule.not;
        plain
            && matches!(
                (rule.priority, rule.table.as_deref()),
                (0, Some("local" | "255")) | (32766, Some("main" | "254")) | (32767, Some("default" | "253"))
            )
    };
    let own: Vec<&crate::route::Rule> = reading.rules.iter().flatten().filter(|rule| !usual(rule)).collect();
    let mut found: Vec<String> = own.iter().take(SHOWN).map(|rule| rule_text(rule)).collect();
    if own.len() > SHOWN {
        found.push(format!("{} more", own.len() - SHOWN));
    }
    found
}

fn rule_text(rule: &crate::route::Rule) -> String {
    let mut words = vec![format!("{}:", rule.priority)];
    if rule.not {
        words.push("not".to_owned());
    }
    words.push(rule.from.map_or_else(|| "from all".to_owned(), |cidr| format!("from {cidr}")));
    words.extend(rule.to.map(|cidr| format!("to {cidr}")));
    words.extend(rule.mark.map(|(mark, mask)| format!("fwmark {mark:#x}/{mask:#x}")));
    words.extend(rule.iif.as_ref().map(|iif| format!("iif {iif}")));
    words.extend(rule.oif.as_ref().map(|oif| format!("oif {oif}")));
    words.extend(rule.others.iter().cloned());
    words.extend(rule.table.as_ref().map(|table| format!("lookup {table}")));
    words.extend(rule.action.iter().cloned());
    words.join(" ")
}
