//! The tables that people read.

use std::collections::BTreeMap;

use netcore::{
    proxy::{
        Mode,
        configured::Configured,
        report::{NodeRow, ProxyModeReport, ProxyState},
    },
    ranges::Confidence,
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

/// The status: what is configured and where, each node, and what is wrong.
pub(crate) fn status(report: &Report<ProxyModeReport>, detail: Detail) -> View {
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    configured(&mut view, &report.body.configured, &report.body.nodes);
    if !report.body.nodes.is_empty() {
        view.gap().table(nodes(&report.body.nodes, detail));
    }
    if detail == Detail::Wide {
        leftovers(&mut view, &report.body.nodes);
    }
    findings(&mut view, &report.findings);
    view
}

fn configured(view: &mut View, configured: &Configured, nodes: &[NodeRow]) {
    let mut line = Text::from("configured: ");
    line = match (configured.mode, configured.explicit) {
        (Some(mode), Some(false)) => line.then_in(Tone::Strong, mode.name()).then(" (the default: no mode is set)"),
        (Some(mode), _) => line.then_in(Tone::Strong, mode.name()),
        (None, Some(_)) => line.then_in(Tone::Bad, "no mode that kube-proxy knows"),
        (None, None) => line.then_in(Tone::Warn, several(nodes)),
    };
    if let Some(scheduler) = &configured.scheduler {
        let of = if configured.mode.is_some() { "" } else { "ipvs with " };
        line = line.then(format!(", {of}scheduler {scheduler}"));
    }
    if let Some(place) = &configured.place {
        line = line.then_in(Tone::Faint, format!("  {place}"));
    }
    view.line(line);
    let (word, tone) =
        if configured.switchable { ("switchable: ", Tone::Plain) } else { ("not switchable here: ", Tone::Warn) };
    view.line(tone.paint(word).then_in(Tone::Faint, configured.why.clone()));
}

/// `iptables on 2 nodes, ipvs on 1 node`.
fn several(nodes: &[NodeRow]) -> String {
    let mut count: BTreeMap<Mode, usize> = BTreeMap::new();
    for mode in nodes.iter().filter_map(|node| node.configured) {
        *count.entry(mode).or_default() += 1;
    }
    let parts: Vec<String> = count.iter().map(|(mode, nodes)| format!("{mode} on {}", of_nodes(*nodes))).collect();
    let replaced = !nodes.is_empty() && nodes.iter().all(|node| node.state == ProxyState::Replaced);
    match parts.as_slice() {
        [] if replaced => "nothing, for kube-proxy is replaced".to_owned(),
        [] => "not known".to_owned(),
        _ => parts.join(", "),
    }
}

/// What of a node is shown; equal ones are folded.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Shown<'a> {
    state: ProxyState,
    configured: Option<Mode>,
    effective: Option<Mode>,
    signs: String,
    version: &'a str,
    kernel: &'a str,
    os: &'a str,
    drift: usize,
    leftovers: usize,
}

impl<'a> Shown<'a> {
    fn of(node: &'a NodeRow) -> Self {
        let text = |text: &'a Option<String>| text.as_deref().unwrap_or("?");
        Self {
            state: node.state,
            configured: node.configured,
            effective: node.effective,
            signs: shown_by(node),
            version: text(&node.kube_proxy_version),
            kernel: text(&node.kernel),
            os: text(&node.os),
            drift: node.drift.len(),
            leftovers: node.leftovers.len(),
        }
    }
}

/// The signs that tell the mode in effect, and with `≠` those that tell another.
fn shown_by(node: &NodeRow) -> String {
    let mut words = Vec::new();
    for sign in node.evidence.iter().filter(|sign| sign.mode.is_some()) {
        let other = node.effective.is_some() && sign.mode != node.effective;
        // a weak sign beside strong ones is worth a word only where it says something else
        if sign.confidence == Confidence::D && node.evidence.len() > 1 && !other {
            continue;
        }
        match (other, sign.mode) {
            (true, Some(mode)) => words.push(format!("{} ≠ {mode}", sign.probe)),
            _ => words.push(sign.probe.to_owned()),
        }
    }
    words.join(", ")
}

fn nodes(nodes: &[NodeRow], detail: Detail) -> Table {
    let mut table = Table::new([
        Column::new("node"),
        Column::new("configured"),
        Column::new("effective"),
        Column::new("shown by"),
        Column::new("kube-proxy"),
        Column::new("kernel"),
        Column::new("os").wide(),
        Column::new("drift"),
        Column::new("leftovers"),
    ]);
    let mut row = |name: Text, shown: &Shown<'_>, node: &NodeRow| {
        table.row(cells![
            name,
            mode(shown.configured, shown.state),
            effective(shown),
            shown.signs.clone(),
            shown.version,
            shown.kernel,
            shown.os,
            drift(node),
            if shown.leftovers > 0 { Tone::Warn.paint(left(node)) } else { Text::from("-") },
        ]);
    };
    if detail == Detail::Wide || nodes.len() <= FOLDED {
        for node in nodes {
            row(Tone::Strong.paint(node.name.clone()), &Shown::of(node), node);
        }
        return table;
    }
    let mut groups: BTreeMap<Shown<'_>, Vec<&NodeRow>> = BTreeMap::new();
    for node in nodes {
        groups.entry(Shown::of(node)).or_default().push(node);
    }
    // what is out of order is few, and stands first
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, nodes)| nodes.len());
    for (shown, nodes) in &groups {
        let Some(first) = nodes.first() else { continue };
        let name = match nodes.len() {
            1 => Tone::Strong.paint(first.name.clone()),
            n => Tone::Strong.paint(format!("{n} nodes")).then_in(Tone::Faint, format!(" ({}, …)", first.name)),
        };
        row(name, shown, first);
    }
    table
}

fn mode(mode: Option<Mode>, state: ProxyState) -> Text {
    match (mode, state) {
        (Some(mode), _) => Text::from(mode.name()),
        (None, ProxyState::Windows | ProxyState::Replaced) => Text::from("-"),
        (None, _) => Text::from("?"),
    }
}

fn effective(shown: &Shown<'_>) -> Text {
    let agrees = shown.configured.is_none() || shown.configured == shown.effective;
    match (shown.state, shown.effective) {
        (ProxyState::Windows, _) => Tone::Faint.paint("windows"),
        (ProxyState::Replaced, _) => Tone::Faint.paint("replaced"),
        (ProxyState::Failing, None) => Tone::Bad.paint("not running"),
        (ProxyState::Absent, None) => Tone::Bad.paint("no pod"),
        (_, Some(mode)) if agrees => Tone::Strong.paint(mode.name()),
        (_, Some(mode)) => Tone::Bad.paint(mode.name()),
        (_, None) => Tone::Warn.paint("?"),
    }
}

fn drift(node: &NodeRow) -> Text {
    match node.drift.as_slice() {
        [] => Text::from("-"),
        [one] => Tone::Warn.paint(one.clone()),
        many => Tone::Warn.paint(format!("{} differences", many.len())),
    }
}

/// `ipvs, nftables`: whose they are.
fn left(node: &NodeRow) -> String {
    let mut owners: Vec<&str> =
        node.leftovers.iter().map(|left| left.owner.trim_start_matches("kube-proxy ")).collect();
    owners.dedup();
    owners.sort_unstable();
    owners.dedup();
    owners.join(", ")
}

/// Every sign and every leftover of every node, for wide.
fn leftovers(view: &mut View, nodes: &[NodeRow]) {
    let mut signs = Table::new(["node", "sign", "", "says"]);
    let mut table = Table::new(["node", "left by", "what"]);
    for node in nodes {
        for sign in &node.evidence {
            signs.row(cells![node.name.clone(), sign.probe, format!("{:?}", sign.confidence), sign.says.clone()]);
        }
        for left in &node.leftovers {
            table.row(cells![node.name.clone(), left.owner.clone(), left.in_short()]);
        }
    }
    for table in [signs, table] {
        if !table.is_empty() {
            view.gap().table(table);
        }
    }
}

/// `3 nodes`.
pub(crate) fn of_nodes(count: usize) -> String {
    format!("{count} {}", plural(count, "node", "nodes"))
}
