//! Tables of what each owner has and costs, and the chart.

use std::collections::BTreeMap;

use netcore::{
    compare::{CniCompareReport, Glyphs, Look, NodeCost, SetCost, TableCost},
    owner::Owner,
    report::Report,
    rules::{Backend, TableFamily},
};
use plugin::{
    cells,
    print::{
        Column, Detail, Table, Text, Tone, View,
        report::{cluster_line, plural},
    },
};

use crate::compare;

/// The view.
pub(crate) fn view(report: &Report<CniCompareReport>, detail: Detail, width: usize, glyphs: Glyphs) -> View {
    let body = &report.body;
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    view.heading("rules").table(tables(&body.nodes, detail));
    sets(&mut view, &body.nodes, detail);
    costs(&mut view, &body.nodes);
    if !body.growth.is_empty() {
        picture(&mut view, body, Look { width, glyphs });
    }
    if !body.conclusion.is_empty() {
        view.gap();
    }
    for sentence in &body.conclusion {
        view.line(Tone::Strong.paint(sentence.clone()));
    }
    view
}

fn name(node: &NodeCost) -> String {
    node.name.clone().unwrap_or_else(|| "?".to_owned())
}

/// `node1`, `node1, node2`, `12 nodes (node1, …)`.
fn several(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        [one, two] => format!("{one}, {two}"),
        [first, ..] => format!("{} nodes ({first}, …)", names.len()),
        [] => String::new(),
    }
}

/// Rows in the order in which they come first, with the nodes that share each; in wide each for itself.
fn folded(rows: Vec<(String, Vec<String>)>, detail: Detail) -> Vec<(String, Vec<String>)> {
    if detail == Detail::Wide {
        return rows;
    }
    let mut order: Vec<Vec<String>> = Vec::new();
    let mut nodes: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for (node, row) in rows {
        if !nodes.contains_key(&row) {
            order.push(row.clone());
        }
        nodes.entry(row).or_default().push(node);
    }
    order.into_iter().map(|row| (several(nodes.get(&row).map_or(&[], Vec::as_slice)), row)).collect()
}

fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or("?".to_owned(), |value| value.to_string())
}

fn tables(nodes: &[NodeCost], detail: Detail) -> Table {
    let all = || nodes.iter().filter_map(|node| node.tables.as_ref()).flatten();
    let owners: Vec<Owner> =
        Owner::ALL.into_iter().filter(|owner| all().any(|table| table.owners.of(*owner) > 0)).collect();
    let mut columns = vec![
        Column::new("nodes"),
        Column::new("backend"),
        Column::new("family"),
        Column::new("table"),
        Column::new("chains").right(),
        Column::new("rules").right(),
    ];
    columns.extend(owners.iter().map(|owner| Column::new(owner.name()).right()));
    columns.extend([Column::new("longest chain"), Column::new("depth").right(), Column::new("sets").right()]);
    let row = |table: &TableCost| {
        let mut row = vec![
            known(table.backend.map(Backend::name)),
            known(table.family.map(TableFamily::name)),
            known(table.table.as_deref()),
            table.chains.to_string(),
            if table.complete == Some(false) { format!("≥ {}", table.rules) } else { table.rules.to_string() },
        ];
        row.extend(owners.iter().map(|owner| match table.owners.of(*owner) {
            0 => "-".to_owned(),
            rules => rules.to_string(),
        }));
        row.push(
            table.longest_chain.as_ref().map_or("-".to_owned(), |chain| format!("{} {}", chain.name, chain.rules)),
        );
        row.push(known(table.depth));
        row.push(match (table.sets, table.elements) {
            (Some(sets), Some(elements)) => format!("{sets} ({elements} members)"),
            _ => "-".to_owned(),
        });
        row
    };
    let mut rows = Vec::new();
    for node in nodes {
        match &node.tables {
            Some(tables) => {
                let shown = tables.iter().filter(|table| detail == Detail::Wide || table.rules > 0);
                rows.extend(shown.map(|table| (name(node), row(table))));
            }
            None => rows.push((name(node), vec!["?".to_owned(); 5 + owners.len() + 3])),
        }
    }
    let mut table = Table::new(columns);
    for (nodes, row) in folded(rows, detail) {
        let mut cells = cells![Tone::Strong.paint(nodes)];
        cells.extend(row.into_iter().map(Text::from));
        table.row(cells);
    }
    table
}

/// Sets by owner and type; in wide each.
fn sets(view: &mut View, nodes: &[NodeCost], detail: Detail) {
    if nodes.iter().all(|node| node.ipsets.as_ref().is_some_and(Vec::is_empty)) {
        return;
    }
    view.heading("ipsets");
    let unread: Vec<String> = nodes.iter().filter(|node| node.ipsets.is_none()).map(name).collect();
    if !unread.is_empty() {
        view.line(Tone::Faint.paint(format!("not read: {}", several(&unread))));
    }
    if detail == Detail::Wide {
        let mut table = Table::new([
            Column::new("node"),
            Column::new("family"),
            Column::new("set"),
            Column::new("type"),
            Column::new("members").right(),
            Column::new("memory").right(),
            Column::new("rules").right(),
            Column::new("owner"),
            Column::new("what"),
        ]);
        for node in nodes {
            for set in node.ipsets.iter().flatten() {
                let alike = set.duplicate_of.as_ref().map(|of| format!("same members as {of}"));
                let unused = (set.unused == Some(true)).then(|| "nobody needs it".to_owned());
                let what: Vec<String> = set.names.iter().cloned().chain(alike).chain(unused).collect();
                table.row(cells![
                    name(node),
                    set.family.map_or("-", |family| family.name()),
                    set.name.clone(),
                    set.r#type.clone(),
                    known(set.members),
                    known(set.memory),
                    known(set.used_by_rules),
                    set.owner.name(),
                    what.join(", ")
                ]);
            }
        }
        view.table(table);
        return;
    }
    let mut rows = Vec::new();
    for node in nodes {
        let mut groups: BTreeMap<(Owner, &str), Vec<&SetCost>> = BTreeMap::new();
        for set in node.ipsets.iter().flatten() {
            groups.entry((set.owner, &set.r#type)).or_default().push(set);
        }
        for ((owner, kind), sets) in groups {
            rows.push((name(node), group(owner, kind, &sets)));
        }
    }
    let mut table = Table::new([
        Column::new("nodes"),
        Column::new("owner"),
        Column::new("type"),
        Column::new("sets").right(),
        Column::new("members").right(),
        Column::new("largest"),
        Column::new("memory").right(),
        Column::new("rules").right(),
        Column::new("unused").right(),
        Column::new("duplicates").right(),
    ]);
    if rows.is_empty() {
        return;
    }
    for (nodes, row) in folded(rows, detail) {
        let mut cells = cells![Tone::Strong.paint(nodes)];
        cells.extend(row.into_iter().map(Text::from));
        table.row(cells);
    }
    view.table(table);
}

/// A sum; unknown where one part is.
fn sum(parts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    parts.sum()
}

fn group(owner: Owner, kind: &str, sets: &[&SetCost]) -> Vec<String> {
    let largest = sets.iter().filter(|set| set.members.is_some()).max_by_key(|set| set.members);
    let unused = sets.iter().filter(|set| set.unused == Some(true)).count();
    let unused_known = sets.iter().all(|set| set.unused.is_some());
    let rules: Option<usize> = sets.iter().map(|set| set.used_by_rules).sum();
    vec![
        owner.name().to_owned(),
        kind.to_owned(),
        sets.len().to_string(),
        known(sum(sets.iter().map(|set| set.members))),
        largest.map_or("?".to_owned(), |set| format!("{} {}", set.name, known(set.members))),
        sum(sets.iter().map(|set| set.memory)).map_or("?".to_owned(), bytes),
        known(rules),
        if unused_known { unused.to_string() } else { "?".to_owned() },
        sets.iter().filter(|set| set.duplicate_of.is_some()).count().to_string(),
    ]
}

fn bytes(number: u64) -> String {
    match number {
        0..1024 => format!("{number} B"),
        1024..1_048_576 => format!("{} KiB", number / 1024),
        _ => format!("{} MiB", number / 1_048_576),
    }
}

fn costs(view: &mut View, nodes: &[NodeCost]) {
    view.heading("rules that a packet passes");
    let mut table = Table::new([
        Column::new("node"),
        Column::new("owner"),
        Column::new("min").right(),
        Column::new("median").right(),
        Column::new("p99").right(),
        Column::new("max").right(),
        Column::new("established").right(),
    ]);
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for node in nodes {
        if let Some(reason) = &node.cost_unknown {
            reasons.entry(reason).or_default().push(name(node));
        }
        for cost in node.first_packet.iter().flatten() {
            let later = node.established_packet.iter().flatten().find(|later| later.owner == cost.owner);
            table.row(cells![
                Tone::Strong.paint(name(node)),
                cost.owner.name(),
                cost.min.to_string(),
                cost.median.to_string(),
                cost.p99.to_string(),
                cost.max.to_string(),
                known(later.map(|later| later.rules))
            ]);
        }
    }
    if !table.is_empty() {
        view.table(table);
    }
    for (reason, nodes) in reasons {
        view.line(Tone::Faint.paint(format!("not known on {}: {reason}", several(&nodes))));
    }
}

fn picture(view: &mut View, body: &CniCompareReport, look: Look) {
    view.heading("rules that the first packet to a Service passes, by the number of Services");
    for line in compare::chart(body).text(look) {
        let mut text = Text::default();
        for segment in line {
            let tone = segment.series.map_or(Tone::Plain, |series| match series {
                0 => Tone::Bad,
                1 => Tone::Kind(3),
                2 => Tone::Good,
                _ => Tone::Warn,
            });
            text = text.then_in(tone, segment.text);
        }
        view.line(text);
    }
    let mut table = Table::new([
        Column::new("services").right(),
        Column::new("iptables").right(),
        Column::new("ipvs").right(),
        Column::new("nftables").right(),
        Column::new("calico").right(),
    ]);
    for point in &body.growth {
        table.row(cells![
            point.services.to_string(),
            point.iptables.to_string(),
            point.ipvs.to_string(),
            point.nftables.to_string(),
            point.calico.to_string()
        ]);
    }
    view.gap().table(table);
    if let Some(shape) = &body.shape {
        view.line(Tone::Faint.paint(format!(
            "reckoned from {} {} with {:.2} rules for addresses, {:.2} for refusals and {:.1} endpoints each; Calico as {}",
            shape.services,
            plural(usize::try_from(shape.services).unwrap_or(usize::MAX), "Service", "Services"),
            shape.entries,
            shape.rejects,
            shape.endpoints,
            if body.nodes.iter().any(has_calico) { "it is here" } else { "measured elsewhere with 30 pods and 3 policies for each" }
        )));
    }
}

fn has_calico(node: &NodeCost) -> bool {
    node.first_packet.iter().flatten().any(|cost| cost.owner == Owner::Calico)
}
