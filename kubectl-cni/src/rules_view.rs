//! The tree that people read, and over several nodes the tables in short.

use std::collections::BTreeMap;

use netcore::{
    names::Name,
    report::Report,
    rules::{Called, ChainView, Folding, RuleView, TableView, TreeLine, What, brief, tree},
};
use plugin::{
    cells,
    print::{
        Column, Detail, Table, Text, Tone, View,
        report::{cluster_line, plural},
    },
};

use crate::rules::{Found, NodeTable};

/// How much of one rule is shown; wide shows all.
const LONGEST: usize = 140;

/// The view: what was asked for as trees; with nothing asked for and several nodes the tables in short.
pub(crate) fn view(report: &Report<Found>, detail: Detail) -> View {
    let found = &report.body;
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    let asked = found.filter.is_narrow() || found.filter.table.is_some();
    if found.tables.is_empty() {
        view.gap().line(if asked { "no rule that was read fits" } else { "no table has a chain" });
        return view;
    }
    if found.nodes > 1 && !asked && detail == Detail::Table {
        in_short(&mut view, found);
        return view;
    }
    let folding = if detail == Detail::Wide { Folding::NONE } else { Folding::SHORT };
    for table in &found.tables {
        one_table(&mut view, table, found, (folding, detail));
    }
    view
}

/// `nat · IPv4 · nft`, with the node where several are shown.
fn heading(table: &NodeTable, nodes: usize) -> String {
    let node = (nodes > 1).then(|| table.node.clone().unwrap_or_else(|| "?".to_owned()));
    let view = &table.view;
    let parts = [
        node,
        Some(view.table.clone().unwrap_or_else(|| "table not named".to_owned())),
        view.family.map(|family| family.name().to_owned()),
        view.backend.map(|backend| backend.name().to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn one_table(view: &mut View, table: &NodeTable, found: &Found, (folding, detail): (Folding, Detail)) {
    let kept = &table.view;
    let asked = found.filter.is_narrow() || found.filter.table.is_some();
    if !asked && kept.rules() == 0 {
        return;
    }
    // a chain that was asked for is shown whole
    let folding = if found.filter.chain.is_some() { Folding::NONE } else { folding };
    view.heading(heading(table, found.nodes));
    let (chains, rules) = (kept.chains.len(), kept.rules());
    let mut line =
        format!("{chains} {}, {rules} {}", plural(chains, "chain", "chains"), plural(rules, "rule", "rules"));
    if !table.selection.is_all() {
        line = format!("{} of {line}", table.selection.rules());
    }
    view.line(Tone::Faint.paint(line));
    for trouble in kept.troubles() {
        view.line(Tone::Warn.paint("! ").then(trouble));
    }
    for remark in kept.remarks().iter().filter(|_| table.selection.is_all()) {
        view.line(Tone::Faint.paint(remark.clone()));
    }
    let counted = kept.chains.iter().flat_map(|chain| &chain.rules).any(|rule| rule.counters.is_some());
    let mut columns = vec![Column::new("owner"), Column::new("chains and rules")];
    if counted {
        columns.splice(0..0, [Column::new("packets").right(), Column::new("bytes").right()]);
    }
    let mut rows = Table::new(columns);
    for line in tree(kept, &table.selection, folding) {
        let (counters, owner, text) = told(kept, &line, detail);
        let mut cells = Vec::new();
        if counted {
            let (packets, bytes) = counters.map_or((String::new(), String::new()), |(packets, bytes)| {
                (amount(packets, detail), amount(bytes, detail))
            });
            cells.extend(cells![packets, bytes]);
        }
        cells.extend(cells![Tone::Faint.paint(owner), text]);
        rows.row(cells);
    }
    view.table(rows);
}

type Told = (Option<(u64, u64)>, &'static str, Text);

fn told(view: &TableView, line: &TreeLine, detail: Detail) -> Told {
    let mut text = Tone::Faint.paint(guides(line));
    match line.what {
        What::Chain(at) => {
            let Some(chain) = view.chains.get(at) else { return (None, "", text) };
            text = text.then_in(Tone::Strong, chain.name.clone());
            let counters = chain.counters.map(|counters| (counters.packets, counters.bytes));
            let owner = if chain.hook.is_some() { "" } else { chain.owner.name() };
            (counters, owner, with_names(text.then_in(Tone::Faint, about(chain)), &chain.names))
        }
        What::Rule(at, index, called) => {
            let Some(chain) = view.chains.get(at) else { return (None, "", text) };
            let Some(rule) = chain.rules.get(index) else { return (None, "", text) };
            // what the chain is of stands where it is called
            let names: Vec<Name> = rule.names.iter().filter(|name| !chain.names.contains(name)).cloned().collect();
            text = text.then_in(Tone::Faint, format!("{} ", index + 1)).then(shown(rule, detail));
            text = text.then_in(Tone::Faint, note(called));
            let counters = rule.counters.map(|counters| (counters.packets, counters.bytes));
            (counters, rule.owner.name(), with_names(text, &names))
        }
        What::Target(at, called) => {
            let Some(chain) = view.chains.get(at) else { return (None, "", text) };
            text = text.then(format!("→ {}", chain.name)).then_in(Tone::Faint, note(called));
            (None, chain.owner.name(), with_names(text, &chain.names))
        }
        What::Rules(at, first, last) => {
            let hidden: Vec<&RuleView> = view
                .chains
                .get(at)
                .and_then(|chain| chain.rules.get(first..=last))
                .unwrap_or_default()
                .iter()
                .collect();
            let name = view.chains.get(at).map_or("?", |chain| chain.name.as_str());
            let sums = hidden.iter().try_fold((0_u64, 0_u64), |(packets, bytes), rule| {
                let counters = rule.counters?;
                Some((packets.saturating_add(counters.packets), bytes.saturating_add(counters.bytes)))
            });
            let words =
                format!("… {} more rules, {} to {}: --chain {name} shows all", hidden.len(), first + 1, last + 1);
            (sums, "", text.then_in(Tone::Faint, words))
        }
        What::Targets(count) => {
            let words = format!("… {count} more {}: -o wide shows all", plural(count, "chain", "chains"));
            (None, "", text.then_in(Tone::Faint, words))
        }
        What::Deeper => (None, "", text.then_in(Tone::Faint, "… what is deeper is left out")),
    }
}

fn guides(line: &TreeLine) -> String {
    if matches!(line.what, What::Chain(_)) {
        return String::new();
    }
    let above = line.guides.iter().map(|more| if *more { "│  " } else { "   " });
    let own = if line.more { "├─ " } else { "└─ " };
    above.chain([own]).collect()
}

/// `  policy ACCEPT`, `  hook prerouting, priority -100, policy accept`, `  no packet comes here`.
fn about(chain: &ChainView) -> String {
    let mut words = Vec::new();
    // iptables' chains are called like their hooks
    words.extend(chain.hook.iter().filter(|hook| **hook != chain.name).map(|hook| format!("hook {hook}")));
    words.extend(chain.priority.map(|priority| format!("priority {priority}")));
    words.extend(chain.policy.iter().map(|policy| format!("policy {policy}")));
    if chain.hook.is_none() && !chain.reachable {
        words.push("no packet comes here".to_owned());
    }
    if chain.rules.is_empty() {
        words.push("no rules".to_owned());
    }
    if words.is_empty() { String::new() } else { format!("  {}", words.join(", ")) }
}

const fn note(called: Called) -> &'static str {
    match called {
        Called::Follows => "",
        Called::Empty => " (empty)",
        Called::Above => " (above)",
        Called::Loop => " (a circle)",
    }
}

/// The rule; in wide as the tool writes it.
fn shown(rule: &RuleView, detail: Detail) -> String {
    if detail == Detail::Wide {
        return rule.text.clone();
    }
    let short = match brief(&rule.text) {
        short if short.is_empty() && !rule.text.is_empty() => rule.text.clone(),
        short => short,
    };
    if short.chars().count() <= LONGEST {
        return short;
    }
    // where it leads stands at its end
    let (head, tail) = (LONGEST - 41, 40);
    let end: String = short.chars().skip(short.chars().count() - tail).collect();
    let start: String = short.chars().take(head).collect();
    format!("{start}…{end}")
}

fn with_names(text: Text, names: &[Name]) -> Text {
    if names.is_empty() {
        return text;
    }
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    text.then_in(Tone::Kind(4), format!("  {}", names.join(" ")))
}

/// Exact where it is short, else in thousands; wide is exact.
fn amount(number: u64, detail: Detail) -> String {
    if detail == Detail::Wide || number < 100_000 {
        return number.to_string();
    }
    let units = [("G", 1_000_000_000), ("M", 1_000_000), ("K", 1_000)];
    let (unit, size) = units.into_iter().find(|(_, size)| number >= *size).unwrap_or(("", 1));
    let (whole, tenth) = (number / size, number % size * 10 / size);
    if whole < 100 { format!("{whole}.{tenth}{unit}") } else { format!("{whole}{unit}") }
}

/// One line per table, equal ones of several nodes folded.
fn in_short(view: &mut View, found: &Found) {
    let mut rows: BTreeMap<(usize, Vec<String>), Vec<&NodeTable>> = BTreeMap::new();
    let mut order: Vec<Vec<String>> = Vec::new();
    for table in found.tables.iter().filter(|table| !table.view.chains.is_empty()) {
        let row = short(&table.view);
        let place = order.iter().position(|known| *known == row).unwrap_or_else(|| {
            order.push(row.clone());
            order.len() - 1
        });
        rows.entry((place, row)).or_default().push(table);
    }
    let mut table = Table::new([
        Column::new("nodes"),
        Column::new("backend"),
        Column::new("family"),
        Column::new("table"),
        Column::new("chains").right(),
        Column::new("rules").right(),
        Column::new("rules by owner"),
        Column::new("longest chain"),
    ]);
    let mut troubles: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((_, row), tables) in &rows {
        let names: Vec<String> =
            tables.iter().map(|table| table.node.clone().unwrap_or_else(|| "?".to_owned())).collect();
        let nodes = match names.as_slice() {
            [one] => one.clone(),
            [one, two] => format!("{one}, {two}"),
            [first, ..] => format!("{} nodes ({first}, …)", names.len()),
            [] => String::new(),
        };
        let mut cells = cells![Tone::Strong.paint(nodes.clone())];
        cells.extend(row.iter().map(Text::from));
        table.row(cells);
        for one in tables {
            for trouble in one.view.troubles() {
                let place = one.view.table.clone().unwrap_or_else(|| "?".to_owned());
                let family = one.view.family.map_or("", |family| family.name());
                let nodes = troubles.entry(format!("{place} {family}: {trouble}")).or_default();
                nodes.push(one.node.clone().unwrap_or_else(|| "?".to_owned()));
            }
        }
    }
    view.gap().table(table);
    if !troubles.is_empty() {
        view.gap();
    }
    for (trouble, nodes) in troubles {
        let place = match nodes.as_slice() {
            [one] => one.clone(),
            many => format!("{} nodes", many.len()),
        };
        view.line(Tone::Warn.paint("! ").then(format!("{place}, {trouble}")));
    }
    view.gap().line(Tone::Faint.paint(
        "--node NAME shows a node's chains and rules; --table, --chain, --service, --pod and --owner show those of all nodes",
    ));
}

fn short(view: &TableView) -> Vec<String> {
    let mut owners: BTreeMap<_, usize> = BTreeMap::new();
    for rule in view.chains.iter().flat_map(|chain| &chain.rules) {
        *owners.entry(rule.owner).or_default() += 1;
    }
    let mut owners: Vec<_> = owners.into_iter().collect();
    owners.sort_by_key(|(owner, count)| (std::cmp::Reverse(*count), *owner));
    let owners: Vec<String> = owners.iter().map(|(owner, count)| format!("{owner} {count}")).collect();
    let longest = view.longest().filter(|chain| !chain.rules.is_empty());
    vec![
        view.backend.map_or("?", |backend| backend.name()).to_owned(),
        view.family.map_or("?", |family| family.name()).to_owned(),
        view.table.clone().unwrap_or_else(|| "?".to_owned()),
        view.chains.len().to_string(),
        view.rules().to_string(),
        if owners.is_empty() { "-".to_owned() } else { owners.join(", ") },
        longest.map_or("-".to_owned(), |chain| format!("{} {}", chain.name, chain.rules.len())),
    ]
}
