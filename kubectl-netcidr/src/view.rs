//! The tables that people read.

use std::collections::{BTreeMap, BTreeSet};

use netcore::{
    cidr::Cidr,
    cluster::ReadStatus,
    finding::{Finding, Severity, Unreadable},
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
    print::{Column, Detail, Say, Table, Text, Tone, View},
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
        view.line(match unread.checks.len() {
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

fn findings(view: &mut View, findings: &[Finding]) {
    for finding in findings {
        view.gap().line(
            Tone::from(finding.severity)
                .paint(severity(finding.severity))
                .then(" ")
                .then_in(Tone::Strong, finding.id.clone())
                .then(format!(" {}: {}", finding.subject, finding.message)),
        );
        for evidence in &finding.evidence {
            view.line(Tone::Faint.paint(format!("    {evidence}")));
        }
        view.line(Text::from(format!("    → {}", finding.remedy)));
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
    }
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
            Tone::Strong.paint(node.name.clone()),
            Text::or_none((!node.pod_cidrs.is_empty()).then(|| joined(&node.pod_cidrs))),
            number(node.pods_used),
            number(node.pods_usable),
            number(node.max_pods),
            route_count(&node.routes),
            node.addresses.join(", "),
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
            Tone::Strong.paint(node.name.clone()),
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
                Tone::Strong.paint(node.name.clone()),
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

/// Says on stderr what could not be read: in a few lines, or in wide each.
pub(crate) fn say_unread(unreadable: &[Unreadable], detail: Detail, say: &Say) {
    if detail == Detail::Wide {
        for entry in unreadable {
            say.warning(format!("{} not read: {}", source_and_node(entry), entry.reason));
        }
        return;
    }
    for line in Unread::of(unreadable).lines() {
        say.warning(line);
    }
}

/// What could not be read, in short.
struct Unread<'a> {
    sources: BTreeMap<&'a str, Vec<String>>,
    checks: BTreeSet<&'a str>,
}

impl<'a> Unread<'a> {
    fn of(unreadable: &'a [Unreadable]) -> Self {
        let mut unread = Self { sources: BTreeMap::new(), checks: BTreeSet::new() };
        for entry in unreadable {
            if let Some(id) = entry.source.strip_prefix("check ") {
                unread.checks.insert(id);
                continue;
            }
            // what is forbidden is said by name, and by whom in wide
            let reason = if entry.reason.starts_with("forbidden: ") { "forbidden" } else { &entry.reason };
            let source = source_and_node(entry);
            let source = source.split_once(" with ").map_or(source.as_str(), |(kind, _)| kind).to_owned();
            let sources = unread.sources.entry(reason).or_default();
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        unread
    }

    fn lines(&self) -> Vec<String> {
        let line = |(reason, sources): (&&str, &Vec<String>)| match sources.as_slice() {
            // what is wrong with one source reads best after its name
            [source] if reason.contains(' ') && *reason != ReadStatus::NOT_RECORDED => format!("{source}: {reason}"),
            sources => format!("{reason}: {}", in_short(sources)),
        };
        let mut lines: Vec<String> = self.sources.iter().map(line).collect();
        let n = self.checks.len();
        if n > 0 {
            let ids = self.checks.iter().map(|id| id.trim_start_matches("CIDR-")).collect::<Vec<_>>().join(", ");
            lines.push(format!("{n} {} not made: CIDR-{ids}; -o wide says why", plural(n, "check", "checks")));
        }
        lines
    }
}

/// Sources by name; kinds of one API group together where there are several, and not more than a
/// line's worth.
fn in_short(sources: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources {
        let group = match source.split_once('.') {
            Some((_, group)) if !source.contains(['/', ' ']) => group,
            _ => source,
        };
        groups.entry(group).or_default().push(source);
    }
    let mut names: Vec<String> = Vec::new();
    for (group, sources) in groups {
        match sources.as_slice() {
            [one] => names.push((*one).to_owned()),
            [one, two] => names.extend([(*one).to_owned(), (*two).to_owned()]),
            many => names.push(format!("{} kinds of {group}", many.len())),
        }
    }
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more; -o wide names all") } else { String::new() };
    names.join(", ") + &more
}

fn source_and_node(entry: &Unreadable) -> String {
    match &entry.node {
        Some(node) => format!("{} on {node}", entry.source),
        None => entry.source.clone(),
    }
}

fn plural<'a>(n: usize, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sources_make_one_line() {
        let sources = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(in_short(&sources(&["pods", "nodes"])), "nodes, pods");
        assert_eq!(in_short(&sources(&["a.x.io", "b.x.io", "c.x.io", "a.y.io"])), "3 kinds of x.io, a.y.io");
        assert_eq!(
            in_short(&sources(&["configmap a/b.c", "configmap a/d.c", "/a.b"])),
            "/a.b, configmap a/b.c, configmap a/d.c"
        );
        let many: Vec<String> = (0..11).map(|n| format!("s{n:02}")).collect();
        assert_eq!(in_short(&many), "s00, s01, s02, s03, s04, s05, s06, s07 and 3 more; -o wide names all");
    }
}
