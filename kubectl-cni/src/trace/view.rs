//! A trace for people: a table of rules for each way, or sentences.

use netcore::{
    packet::report::{PacketTrace, TracePath, TraceRule},
    report::Report,
};
use plugin::{
    cells,
    print::{Column, Detail, Table, Tone, View, report::cluster_line, report::plural},
};

pub(super) fn view(report: &Report<PacketTrace>, detail: Detail, explain: bool) -> View {
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    let body = &report.body;
    let what = if body.established { "a later packet" } else { "the first packet of a connection" };
    view.line(format!(
        "{what} from {} ({}) to {} ({}), {}",
        body.source.asked,
        body.source.address,
        body.target.asked,
        with_port(&body.target.address, body.target.port),
        body.protocol
    ));
    for (number, path) in body.paths.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|before| body.paths.get(before));
        head(&mut view, number, path, body.paths.len());
        if explain {
            sentences(&mut view, path, before, number);
        } else {
            rules(&mut view, path, before, number, detail);
        }
        for assumed in &path.assumed {
            if before.is_none_or(|before| !before.assumed.contains(assumed)) {
                view.line(Tone::Faint.paint(format!("  assumed: {assumed}")));
            }
        }
    }
    view
}

fn with_port(address: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address.to_owned(),
    }
}

fn share(path: &TracePath) -> String {
    let words = if path.stateful { " on average" } else { "" };
    format!("{:.2}%{words}", path.probability * 100.0)
}

fn head(view: &mut View, number: usize, path: &TracePath, all: usize) {
    let pod = path.destination_pod.as_ref().map(|pod| format!(" (pod {pod})")).unwrap_or_default();
    let way = if all > 1 { format!("way {} of {all}, {}: ", number + 1, share(path)) } else { String::new() };
    let tested = path.evaluated;
    view.heading(format!(
        "{way}{} — {}{pod}, {tested} {} tested, {} matched",
        path.verdict,
        path.destination,
        plural(usize::try_from(tested).unwrap_or(usize::MAX), "rule", "rules"),
        path.matched.len()
    ));
    if let Some(reason) = &path.reason {
        view.line(format!("  {reason}"));
    }
    match (&path.source, path.source_translated) {
        (Some(source), true) => view.line(format!("  the source becomes {source}")),
        (None, _) => view.line("  the source becomes an address that is not known"),
        _ => view,
    };
    match &path.interface {
        Some(interface) => view.line(format!("  it leaves {} by {interface}", path.node)),
        None => view,
    };
}

/// How many rules two ways have in common from the beginning.
fn alike(path: &TracePath, before: Option<&TracePath>) -> usize {
    let pairs = before.into_iter().flat_map(|before| before.matched.iter().zip(&path.matched));
    pairs.take_while(|(one, other)| one == other).count()
}

fn rules(view: &mut View, path: &TracePath, before: Option<&TracePath>, number: usize, detail: Detail) {
    let same = if detail == Detail::Wide { 0 } else { alike(path, before) };
    if same > 0 {
        view.line(
            Tone::Faint.paint(format!("  the first {same} {} as on way {number}", plural(same, "rule", "rules"))),
        );
    }
    let rest = path.matched.get(same..).unwrap_or_default();
    if rest.is_empty() {
        return;
    }
    let mut table = Table::new([
        Column::new("node"),
        Column::new("hook"),
        Column::new("table"),
        Column::new("chain"),
        Column::new("#").right(),
        Column::new("effect"),
        Column::new("owner"),
        Column::new("backend").wide(),
        Column::new("rule"),
    ])
    .indented(2);
    for rule in rest {
        table.row(cells![
            rule.node.clone(),
            rule.hook.clone(),
            rule.table.clone(),
            rule.chain.clone(),
            rule.index.map_or_else(String::new, |index| index.to_string()),
            rule.effect.clone(),
            rule.owner.name(),
            format!("{} {}", rule.backend, rule.family),
            rule.rule.clone()
        ]);
    }
    view.table(table);
}

fn sentences(view: &mut View, path: &TracePath, before: Option<&TracePath>, number: usize) {
    let same = alike(path, before);
    if same > 0 {
        view.line(format!("  The packet begins as on way {number}, for {same} {}.", plural(same, "rule", "rules")));
    }
    let mut place = None;
    for rule in path.matched.get(same..).unwrap_or_default() {
        let now = (&rule.node, &rule.hook);
        if place != Some(now) {
            view.line(format!("  At {} on {}:", rule.hook, rule.node));
            place = Some(now);
        }
        view.line(format!("    {}", sentence(rule)));
    }
    let end = match path.verdict.as_str() {
        "accept" => format!("Nothing stops it: it goes to {}.", path.destination),
        "drop" => "It is dropped, and nobody is told.".to_owned(),
        "reject" => "It is refused, and its sender is told.".to_owned(),
        _ => format!("What becomes of it is not known: {}.", path.reason.as_deref().unwrap_or("no reason")),
    };
    view.line(format!("  {end} The kernel tested {} rules on the way.", path.evaluated));
}

fn sentence(rule: &TraceRule) -> String {
    let who = match rule.index {
        Some(index) => format!("rule {index} of {} in {} ({})", rule.chain, rule.table, rule.owner),
        None => format!("the virtual server {}", rule.chain),
    };
    let effect = rule.effect.as_str();
    let does = match effect.split_once(' ') {
        Some(("jump", chain)) => format!("sends it through the chain {chain}"),
        Some(("goto", chain)) => format!("sends it for good to the chain {chain}"),
        Some(("mark", mark)) => format!("sets its mark to {mark}"),
        Some(("DNAT", to)) => format!("changes where it goes {to}"),
        Some(("SNAT", to)) => format!("changes where it comes from {to}"),
        _ => match effect {
            "accept" => "lets it pass this table".to_owned(),
            "drop" => "drops it".to_owned(),
            "return" => "sends it back to the chain before".to_owned(),
            "continue" => "fits and only counts it".to_owned(),
            other => format!("fits: {other}"),
        },
    };
    format!("{who} {does}.")
}
