//! The tables that people read.

use std::collections::BTreeMap;

use netcore::{
    cni::{
        detect::State,
        files::{CniConfReport, NodeFiles},
        report::{CniReport, NodeRow, PluginRow},
    },
    report::Report,
};
use plugin::{
    cells,
    print::{
        Column, Detail, Table, Text, Tone, View,
        report::{cluster_line, findings, plural},
    },
};

/// From how many nodes on equal ones are one line.
const FOLDED: usize = 12;

/// The report: plugins, who does what, each node, what is left, and what is wrong.
pub(crate) fn status(report: &Report<CniReport>, detail: Detail) -> View {
    let body = &report.body;
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    if body.plugins.is_empty() {
        view.line(Tone::Warn.paint("no network plugin that is known was found"));
    } else {
        view.table(plugins(&body.plugins));
        view.gap();
        answers(&mut view, body);
    }
    if !body.nodes.is_empty() {
        view.gap().table(nodes(&body.nodes, detail));
    }
    below(&mut view, &body.nodes, detail);
    if !body.policy_leftovers.is_empty() {
        let mut table = Table::new(["left by PodSecurityPolicy", "what", "instead"]);
        for left in &body.policy_leftovers {
            let name = match &left.namespace {
                Some(namespace) => format!("{} {namespace}/{}", left.kind, left.name),
                None => format!("{} {}", left.kind, left.name),
            };
            table.row(cells![Tone::Strong.paint(name), left.what.clone(), left.instead.clone()]);
        }
        view.gap().table(table);
    }
    if detail == Detail::Wide {
        wide(&mut view, body);
    }
    findings(&mut view, &report.findings);
    view
}

fn plugins(rows: &[PluginRow]) -> Table {
    let mut table =
        Table::new(["plugin", "state", "version", "dataplane", "encapsulation", "ipam", "backend", "mtu", "shown by"]);
    for row in rows {
        let state = match row.state {
            Some(State::Active) => Tone::Good.paint("active"),
            Some(State::Chained) => Text::from("chained"),
            Some(State::Leftover) => Tone::Warn.paint("leftover"),
            None => Text::from("?"),
        };
        // what does not make a network has none of these
        let unknown = if row.state == Some(State::Active) { "?" } else { "-" };
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| unknown.to_owned());
        let version = match row.versions.len() {
            0 => text(&row.version),
            n => format!("{n} versions"),
        };
        let backend = match (&row.backend, &row.cluster_type) {
            (Some(backend), _) => backend.clone(),
            (None, _) => "-".to_owned(),
        };
        table.row(cells![
            Tone::Strong.paint(row.name.clone()),
            state,
            version,
            text(&row.dataplane),
            text(&row.encapsulation),
            text(&row.ipam),
            backend,
            row.mtu.map_or_else(|| unknown.to_owned(), |mtu| mtu.to_string()),
            shown_by(row),
        ]);
    }
    table
}

/// The kinds of signals, each once, with how often.
fn shown_by(row: &PluginRow) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for signal in &row.signals {
        *counts.entry(signal.source).or_default() += 1;
    }
    let mut kinds: Vec<&str> = Vec::new();
    for signal in &row.signals {
        if !kinds.contains(&signal.source) {
            kinds.push(signal.source);
        }
    }
    kinds.join(", ")
}

fn answers(view: &mut View, body: &CniReport) {
    let mut line = |about: &str, (tone, answer): (Tone, String), place: Option<&String>| {
        let text = Tone::Faint.paint(format!("{about}: ")).then_in(tone, answer);
        view.line(match place {
            Some(place) => text.then_in(Tone::Faint, format!("  {place}")),
            None => text,
        });
    };
    let or_unknown = |text: &Option<String>| match text {
        Some(text) => (Tone::Strong, text.clone()),
        None => (Tone::Warn, "not known".to_owned()),
    };
    line("pod network", or_unknown(&body.pod_network), None);
    let policies = match body.policy_engine.as_deref() {
        Some("none") => (Tone::Warn, "nobody: NetworkPolicies have no effect".to_owned()),
        _ => or_unknown(&body.policy_engine),
    };
    line("network policies", policies, None);
    let services = match (&body.services.by, body.services.mode) {
        (Some(by), Some(mode)) => (Tone::Strong, format!("{by}, {mode} mode")),
        (Some(by), None) if by == "kube-proxy" => (Tone::Warn, "kube-proxy, in which mode is not known".to_owned()),
        (Some(by), None) => (Tone::Strong, format!("{by}, in kube-proxy's place")),
        (None, _) => (Tone::Warn, "not known".to_owned()),
    };
    line("services", services, body.services.source.as_ref());
    for row in &body.plugins {
        for setting in &row.settings {
            if matches!(setting.name.as_str(), "calico_backend" | "cluster_type" | "CLUSTER_TYPE") {
                line(&setting.name, (Tone::Strong, setting.value.clone()), Some(&setting.source));
            }
        }
    }
}

/// What of a node is shown; equal ones are folded.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    cells: Vec<String>,
    bad: bool,
    tight: bool,
    full: bool,
}

impl Shown {
    fn of(node: &NodeRow) -> Self {
        let number = |n: Option<u32>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let (used, max) = (node.conntrack.used, node.conntrack.max);
        let share = used.zip(max.filter(|max| *max > 0)).map(|(used, max)| used.saturating_mul(100) / max);
        let conntrack = match (used, max) {
            (Some(used), Some(max)) => format!("{used} / {max}"),
            (Some(used), None) => used.to_string(),
            _ => "?".to_owned(),
        };
        let agent = match (node.agent_ready, &node.agent_problem) {
            (Some(true), _) => "ready".to_owned(),
            (Some(false), _) => "not ready".to_owned(),
            (None, _) => "?".to_owned(),
        };
        let too_large = node.mtu.zip(node.mtu_fits).is_some_and(|(mtu, fits)| mtu > fits);
        Self {
            cells: vec![
                node.plugin.clone().unwrap_or_else(|| "-".to_owned()),
                agent,
                node.agent_version.clone().unwrap_or_else(|| "?".to_owned()),
                number(node.mtu),
                number(node.underlay_mtu),
                number(node.mtu_fits),
                conntrack,
                node.conf.clone().unwrap_or_else(|| "?".to_owned()),
            ],
            bad: node.agent_ready == Some(false),
            tight: too_large,
            full: share.is_some_and(|share| share >= 80),
        }
    }

    fn row(&self, name: Text) -> Vec<Text> {
        let mut row = vec![name];
        for (index, cell) in self.cells.iter().enumerate() {
            let tone = match index {
                1 if self.bad => Tone::Bad,
                3 if self.tight => Tone::Bad,
                6 if self.full => Tone::Warn,
                _ => Tone::Plain,
            };
            row.push(tone.paint(cell.clone()));
        }
        row
    }
}

fn nodes(nodes: &[NodeRow], detail: Detail) -> Table {
    let mut table = Table::new([
        Column::new("node"),
        Column::new("plugin"),
        Column::new("agent"),
        Column::new("version"),
        Column::new("pods' mtu").right(),
        Column::new("underlay").right(),
        Column::new("fits").right(),
        Column::new("conntrack").right(),
        Column::new("conf"),
    ]);
    if detail == Detail::Wide || nodes.len() <= FOLDED {
        for node in nodes {
            table.row(Shown::of(node).row(Tone::Strong.paint(node.name.clone())));
        }
        return table;
    }
    let mut groups: BTreeMap<Shown, Vec<&NodeRow>> = BTreeMap::new();
    for node in nodes {
        // the use of each node's table differs always: equal are those that are not near the limit
        let mut shown = Shown::of(node);
        if !shown.full
            && let Some(cell) = shown.cells.get_mut(6)
        {
            *cell = node.conntrack.max.map_or_else(|| "?".to_owned(), |max| format!("of {max}"));
        }
        groups.entry(shown).or_default().push(node);
    }
    // what is out of order is few, and stands first
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, nodes)| nodes.len());
    for (shown, nodes) in &groups {
        let Some(first) = nodes.first() else { continue };
        let name = match nodes.len() {
            1 => Tone::Strong.paint(first.name.clone()),
            n => Tone::Strong.paint(of_nodes(n)).then_in(Tone::Faint, format!(" ({}, …)", first.name)),
        };
        table.row(shown.row(name));
    }
    table
}

/// Tunnels, rules and settings of the kernel; in short only where they are not what they should be.
fn below(view: &mut View, nodes: &[NodeRow], detail: Detail) {
    let mut table = Table::new(["node", "tunnel", "mtu", "over", "routes", "neighbours", "forwarding entries"]);
    for node in nodes {
        for tunnel in &node.tunnels {
            let lacks = |missing: &Option<Vec<String>>| missing.as_ref().is_some_and(|missing| !missing.is_empty());
            let bad = lacks(&tunnel.without_neighbour) || lacks(&tunnel.without_fdb) || lacks(&tunnel.astray);
            if detail != Detail::Wide && !bad && nodes.len() > FOLDED {
                continue;
            }
            let state = |missing: &Option<Vec<String>>, ok: &str| match missing.as_deref() {
                None if tunnel.encapsulation == "vxlan" => Text::from("?"),
                None => Text::from("-"),
                Some([]) => Text::from(ok.to_owned()),
                Some(missing) => Tone::Bad.paint(format!("missing: {}", missing.join(", "))),
            };
            let forwarding = match tunnel.astray.as_deref() {
                Some(astray @ [_, ..]) => Tone::Bad.paint(format!("to no node: {}", astray.join(", "))),
                _ => state(&tunnel.without_fdb, "all"),
            };
            table.row(cells![
                node.name.clone(),
                format!("{} ({})", tunnel.link, tunnel.encapsulation),
                tunnel.mtu.to_string(),
                tunnel.below.clone().unwrap_or_else(|| "?".to_owned()),
                tunnel.routes.to_string(),
                state(&tunnel.without_neighbour, "all"),
                forwarding,
            ]);
        }
    }
    if !table.is_empty() {
        view.gap().table(table);
    }
}

/// Every signal, setting, policy rule and kernel setting.
fn wide(view: &mut View, body: &CniReport) {
    let mut signals = Table::new(["plugin", "signal", "", "says"]);
    let mut settings = Table::new(["plugin", "setting", "value", "where"]);
    for row in &body.plugins {
        for signal in &row.signals {
            signals.row(cells![
                row.name.clone(),
                signal.source,
                format!("{:?}", signal.confidence),
                signal.says.clone()
            ]);
        }
        for setting in &row.settings {
            settings.row(cells![row.name.clone(), setting.name.clone(), setting.value.clone(), setting.source.clone()]);
        }
    }
    let mut kernel =
        Table::new(["node", "ip_forward", "ipv6 forwarding", "rp_filter", "bridge-nf-call", "policy rules"]);
    let on = |on: Option<bool>| match on {
        Some(true) => "on",
        Some(false) => "off",
        None => "?",
    };
    for node in &body.nodes {
        let own = &node.kernel;
        let read = own.ip_forward.is_some() || own.rp_filter.is_some() || !node.rules.is_empty();
        if read {
            kernel.row(cells![
                node.name.clone(),
                on(own.ip_forward),
                on(own.ip6_forward),
                own.rp_filter.map_or_else(|| "?".to_owned(), |value| value.to_string()),
                on(own.bridge_nf_call),
                if node.rules.is_empty() { "-".to_owned() } else { node.rules.join("; ") },
            ]);
        }
    }
    let mut life = Table::new(["of", "life"]);
    for fact in &body.lifecycle {
        life.row(cells![fact.about.clone(), fact.text.clone()]);
    }
    for table in [signals, settings, kernel, life] {
        if !table.is_empty() {
            view.gap().table(table);
        }
    }
}

/// The CNI files of each node; nodes that have the same are one.
pub(crate) fn conf(report: &Report<CniConfReport>, detail: Detail) -> View {
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    let mut groups: BTreeMap<Vec<String>, Vec<&NodeFiles>> = BTreeMap::new();
    for node in &report.body.nodes {
        let key = if detail == Detail::Wide { vec![node.name.clone()] } else { file_words(node) };
        groups.entry(key).or_default().push(node);
    }
    let mut groups: Vec<Vec<&NodeFiles>> = groups.into_values().collect();
    groups.sort_by_key(Vec::len);
    let mut table = Table::new(["node", "", "file", "plugins", "why"]);
    for nodes in &groups {
        let Some(first) = nodes.first() else { continue };
        let mut name = match nodes.len() {
            1 => Tone::Strong.paint(first.name.clone()),
            n => Tone::Strong.paint(of_nodes(n)).then_in(Tone::Faint, format!(" ({}, …)", first.name)),
        };
        let files = first.files.as_deref().unwrap_or_default();
        if files.is_empty() || first.chosen.is_none() {
            let what =
                if first.files.is_some() { Tone::Bad.paint("none is taken") } else { Tone::Warn.paint("not read") };
            table.row(cells![std::mem::take(&mut name), "", what, "", first.why.clone()]);
        }
        for file in files {
            let taken = first.chosen.as_deref().is_some_and(|chosen| file.path.ends_with(&format!("/{chosen}")));
            let why = match &file.error {
                Some(error) => Tone::Bad.paint(error.clone()),
                None if taken => Text::from(first.why.clone()),
                None => Tone::Faint.paint("waits"),
            };
            let mark = if taken { Tone::Good.paint("→") } else { Text::default() };
            let plugins = if file.plugins.is_empty() { "-".to_owned() } else { file.plugins.join(", ") };
            table.row(cells![std::mem::take(&mut name), mark, file.path.clone(), plugins, why]);
        }
    }
    if table.is_empty() {
        view.line(Tone::Warn.paint("no node's CNI files were read"));
    } else {
        view.gap().table(table);
    }
    findings(&mut view, &report.findings);
    view
}

fn file_words(node: &NodeFiles) -> Vec<String> {
    let mut words = vec![node.chosen.clone().unwrap_or_default(), node.why.clone()];
    for file in node.files.iter().flatten() {
        words.push(format!("{} {} {:?}", file.path, file.plugins.join(","), file.error));
    }
    words
}

/// `3 nodes`.
pub(crate) fn of_nodes(count: usize) -> String {
    format!("{count} {}", plural(count, "node", "nodes"))
}
