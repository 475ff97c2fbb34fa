//! The tables that people read.

use std::collections::BTreeMap;

use netcore::{
    cidr::Cidr,
    ranges::{
        Confidence, Role,
        free::FreeRangeList,
        map::{
            AddressMap,
            text::{self, Style},
        },
        nodes::{NodeCidrList, RouteRow, RouteState},
        report::{AddressList, AddressRow, CidrReport, RangeRow, SourceRow},
    },
    report::{ClusterInfo, Report},
};
use plugin::{
    cells,
    print::{
        Column, Detail, Table, Text, Tone, View,
        report::{Unread, findings, plural, source_and_node},
    },
};

/// The whole report: which cluster, its ranges, its nodes in short, and what is wrong.
pub(crate) fn cidr_report(report: &Report<CidrReport>, detail: Detail) -> View {
    let mut view = View::new();
    if let Some(line) = cluster_line(&report.cluster, report.body.dns_domain.as_deref()) {
        view.line(Tone::Faint.paint(line)).gap();
    }
    view.table(ranges(&report.body.ranges, detail));
    if let Some(line) = nodes_line(&report.body) {
        view.gap().line(line);
    }
    findings(&mut view, &report.findings);
    view
}

/// The findings alone, for `check`, and what could not be read: in short, or in wide each.
pub(crate) fn check(report: &Report<CidrReport>, detail: Detail) -> View {
    let mut view = View::new();
    let unread = Unread::of(&report.unreadable);
    if report.findings.is_empty() {
        view.line(match unread.checks().len() {
            0 => Tone::Good.paint("no findings: the sources agree and nothing runs out"),
            n => Tone::Warn.paint(format!("no findings, but {n} {} could not be made", plural(n, "check", "checks"))),
        });
    }
    findings(&mut view, &report.findings);
    if detail == Detail::Wide {
        let mut table = Table::new(["not read", "why"]);
        for entry in &report.unreadable {
            table.row(cells![source_and_node(entry), entry.reason.clone()]);
        }
        if !table.is_empty() {
            view.gap().table(table);
        }
    } else {
        view.gap();
        for line in unread.lines() {
            view.line(Tone::Faint.paint(line));
        }
    }
    view
}

fn cluster_line(cluster: &ClusterInfo, domain: Option<&str>) -> Option<String> {
    let parts: Vec<String> = [
        cluster.context.as_ref().map(|context| format!("context {context}")),
        cluster.server.clone(),
        cluster.version.clone(),
        cluster.distribution.clone(),
        domain.map(|domain| format!("DNS domain {domain}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn ranges(rows: &[RangeRow], detail: Detail) -> Table {
    let mut table = Table::new([
        Column::new("role"),
        Column::new("family").wide(),
        Column::new("cidr"),
        Column::new("used").right(),
        Column::new("capacity").right(),
        Column::new("use%").right(),
        Column::new("static band").wide().right(),
        Column::new("node slots").wide().right(),
        Column::new("says"),
    ]);
    for row in rows {
        let mut sources = sources(row, detail).into_iter();
        table.row(cells![
            role(row.role),
            row.family.to_string(),
            cidr(row),
            number(row.used),
            capacity(row),
            percent(row),
            row.bands.map_or_else(String::new, |bands| of(bands.static_used, bands.static_capacity)),
            row.slots.map_or_else(String::new, |slots| of(Some(slots.used), slots.total)),
            sources.next().unwrap_or_default(),
        ]);
        for source in sources {
            table.row(cells!["", "", "", "", "", "", "", "", source]);
        }
    }
    table
}

pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Pod => "pod",
        Role::Service => "service",
        Role::Node => "node",
        Role::Loadbalancer => "loadbalancer",
        Role::External => "external",
        Role::Internal => "internal",
    }
}

fn cidr(row: &RangeRow) -> Text {
    if row.lower_bound {
        Text::from("≥ ").then_in(Tone::Strong, row.cidr.to_string())
    } else {
        Tone::Strong.paint(row.cidr.to_string())
    }
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), |n| n.to_string())
}

/// `3/256`; `?` for what is unknown.
fn of(used: Option<u64>, capacity: Option<u64>) -> String {
    format!("{}/{}", number(used), number(capacity))
}

/// In full up to a billion, above as a power of two where it is (nearly) one: nobody reads 39 digits.
fn capacity(row: &RangeRow) -> String {
    match (row.capacity, &row.capacity_text) {
        (Some(n), _) if n < 1_000_000_000 => n.to_string(),
        (_, Some(_)) => format!("~2^{}", row.cidr.host_bits()),
        _ => "?".to_owned(),
    }
}

fn percent(row: &RangeRow) -> Text {
    let Some(percent) = row.percent_used else { return Text::from("?") };
    let tone = match percent {
        p if p >= 95.0 => Tone::Bad,
        p if p >= 80.0 => Tone::Warn,
        _ => Tone::Plain,
    };
    let rounded_away = percent < 0.1 && row.used.is_some_and(|used| used > 0);
    tone.paint(if rounded_away { "<0.1".to_owned() } else { format!("{percent:.1}") })
}

/// In wide, a line per source with its object and field; else the sources' names in one line, the
/// strongest first.
fn sources(row: &RangeRow, detail: Detail) -> Vec<Text> {
    if detail == Detail::Wide {
        return row.sources.iter().map(source_line).collect();
    }
    let mut names: BTreeMap<(Confidence, &str), usize> = BTreeMap::new();
    for source in &row.sources {
        *names.entry((source.confidence, &source.source)).or_default() += 1;
    }
    let names: Vec<String> = names
        .into_iter()
        .map(|((confidence, name), count)| match count {
            1 => format!("{confidence:?} {name}"),
            n => format!("{confidence:?} {name} ×{n}"),
        })
        .collect();
    vec![Text::from(names.join(", "))]
}

fn source_line(source: &SourceRow) -> Text {
    Text::from(format!("{:?} {}: {} ", source.confidence, source.source, source.object))
        .then_in(Tone::Faint, source.field.clone())
}

fn nodes_line(report: &CidrReport) -> Option<Text> {
    let nodes = report.nodes.len();
    if nodes == 0 {
        return None;
    }
    let mut line = Text::from(format!("{nodes} {}", plural(nodes, "node", "nodes")));
    let mut all = report.nodes.iter().flat_map(|node| &node.pod_cidrs);
    let mut shares: Vec<String> = all.by_ref().take(3).map(ToString::to_string).collect();
    if !shares.is_empty() {
        if all.next().is_some() {
            shares.push("…".to_owned());
        }
        line = line.then(format!(" with pod ranges {}", shares.join(", ")));
    }
    if !report.blocks.is_empty() {
        line = line.then(format!(", {} blocks", report.blocks.len()));
    }
    Some(line.then_in(Tone::Faint, "; `kubectl netcidr nodes` shows each"))
}

/// Each node's ranges; below them, what `subnet.env` says and the routes to the other nodes: those
/// that are not as they should be, or in wide all.
pub(crate) fn nodes(list: &NodeCidrList, detail: Detail) -> View {
    let mut table = Table::new([
        Column::new("node"),
        Column::new("pod ranges"),
        Column::new("pods").right(),
        Column::new("usable").right(),
        Column::new("maxpods").right(),
        Column::new("routes"),
        Column::new("addresses").wide(),
    ]);
    for node in &list.items {
        table.row(cells![
            Tone::Strong.paint(node.row.name.clone()),
            Text::or_none((!node.row.pod_cidrs.is_empty()).then(|| joined(&node.row.pod_cidrs))),
            number(node.row.pods_used),
            number(node.row.pods_usable),
            number(node.row.max_pods),
            route_count(&node.routes),
            node.row.addresses.join(", "),
        ]);
    }
    let mut view = View::new();
    view.table(table);
    subnet_envs(&mut view, list);
    routes(&mut view, list, detail);
    view
}

fn joined(cidrs: &[Cidr]) -> String {
    cidrs.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", ")
}

/// `4 present, 1 missing`; `?` where no routes were read.
fn route_count(routes: &[RouteRow]) -> Text {
    if routes.is_empty() {
        return Text::from("?");
    }
    let count = |state: Option<RouteState>| routes.iter().filter(|route| route.state == state).count();
    let mut text = Text::default();
    for (state, tone, word) in [
        (Some(RouteState::Present), Tone::Plain, "present"),
        (Some(RouteState::Missing), Tone::Bad, "missing"),
        (Some(RouteState::Stale), Tone::Bad, "stale"),
        (None, Tone::Plain, "not judged"),
    ] {
        let n = count(state);
        if n > 0 {
            let comma = if text.is_empty() { "" } else { ", " };
            text = text.then(comma).then_in(tone, format!("{n} {word}"));
        }
    }
    text
}

fn subnet_envs(view: &mut View, list: &NodeCidrList) {
    let mut table = Table::new(["node", "subnet.env: network", "subnet", "mtu", "ipmasq"]);
    for (node, env) in list.items.iter().filter_map(|node| Some((node, node.subnet_env.as_ref()?))) {
        let both = |one: &Option<String>, other: &Option<String>| {
            [one, other].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")
        };
        table.row(cells![
            Tone::Strong.paint(node.row.name.clone()),
            both(&env.network, &env.ipv6_network),
            both(&env.subnet, &env.ipv6_subnet),
            env.mtu.map_or_else(String::new, |mtu| mtu.to_string()),
            env.ip_masq.map_or_else(String::new, |masq| masq.to_string()),
        ]);
    }
    if !table.is_empty() {
        view.gap().table(table);
    }
}

fn routes(view: &mut View, list: &NodeCidrList, detail: Detail) {
    let mut table = Table::new(["node", "route to", "via", "dev", "of", "state"]);
    for node in &list.items {
        for route in &node.routes {
            if detail == Detail::Table && route.state == Some(RouteState::Present) {
                continue;
            }
            let state = match route.state {
                Some(RouteState::Present) => Tone::Good.paint("present"),
                Some(RouteState::Missing) => Tone::Bad.paint("missing"),
                Some(RouteState::Stale) => Tone::Bad.paint("stale"),
                None => Text::from("?"),
            };
            table.row(cells![
                Tone::Strong.paint(node.row.name.clone()),
                route.destination.to_string(),
                route.via.clone().unwrap_or_default(),
                route.dev.clone().unwrap_or_default(),
                route.node.clone().unwrap_or_else(|| "?".to_owned()),
                state,
            ]);
        }
    }
    if !table.is_empty() {
        view.gap().table(table);
    }
}

/// Who has each address.
pub(crate) fn addresses(list: &AddressList) -> View {
    let mut table = Table::new(["address", "owner", "node", "in"]);
    for row in &list.items {
        let (mut owners, mut ranges) = (owners(row).into_iter(), within(row).into_iter());
        let (owner, node) = owners.next().unwrap_or_else(|| (Tone::Faint.paint("nobody known"), String::new()));
        table.row(cells![Tone::Strong.paint(row.address.clone()), owner, node, ranges.next().unwrap_or_default()]);
        loop {
            match (owners.next(), ranges.next()) {
                (None, None) => break,
                (owner, range) => {
                    let (owner, node) = owner.unwrap_or_default();
                    table.row(cells!["", owner, node, range.unwrap_or_default()]);
                }
            }
        }
    }
    let mut view = View::new();
    view.table(table);
    view
}

fn owners(row: &AddressRow) -> Vec<(Text, String)> {
    row.owners
        .iter()
        .map(|owner| {
            let name = match &owner.namespace {
                Some(namespace) => format!("{} {namespace}/{}", owner.kind, owner.name),
                None => format!("{} {}", owner.kind, owner.name),
            };
            (Text::from(name), owner.node.clone().unwrap_or_default())
        })
        .collect()
}

fn within(row: &AddressRow) -> Vec<String> {
    if row.ranges.is_empty() {
        return vec!["no known range".to_owned()];
    }
    row.ranges
        .iter()
        .map(|range| match &range.node {
            Some(node) => format!("{} {} of {node}", role(range.role), range.cidr),
            None => format!("{} {}", role(range.role), range.cidr),
        })
        .collect()
}

/// Free ranges, and who may come to use each.
pub(crate) fn free(list: &FreeRangeList) -> View {
    let mut table = Table::new(["cidr", "note"]);
    for row in &list.items {
        table.row(cells![Tone::Strong.paint(row.cidr.to_string()), row.note.clone().unwrap_or_default()]);
    }
    let mut view = View::new();
    view.table(table);
    view
}

/// The picture of the address space, as wide as the terminal.
pub(crate) fn map(map: &AddressMap, width: usize) -> View {
    let mut view = View::new();
    for line in text::render(map, width) {
        let text =
            line.into_iter().fold(Text::default(), |text, segment| text.then_in(tone(segment.style), segment.text));
        view.line(text);
    }
    view
}

fn tone(style: Style) -> Tone {
    match style {
        Style::Plain => Tone::Plain,
        Style::Title => Tone::Strong,
        Style::Faint => Tone::Faint,
        Style::Mixed => Tone::Warn,
        Style::Overlap => Tone::Bad,
        Style::Role(role) => Tone::Kind(match role {
            Role::Pod => 0,
            Role::Service => 1,
            Role::Node => 2,
            Role::Loadbalancer => 3,
            Role::Internal => 4,
            Role::External => 5,
        }),
    }
}
