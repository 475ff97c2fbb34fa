//! The table of BGP.

use netcore::{
    cni::bgp::{
        BgpReport,
        report::{BgpNode, BlockRow},
    },
    report::Report,
};
use plugin::{
    cells,
    print::{
        Detail, Table, Text, Tone, View,
        report::{cluster_line, findings},
    },
};

/// From how many nodes on only what is out of order is shown line by line.
const FOLDED: usize = 12;

/// Sessions, blocks, and what is wrong.
pub(crate) fn bgp(report: &Report<BgpReport>, detail: Detail) -> View {
    let body = &report.body;
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    let mut line = |about: &str, text: Option<String>| {
        let (tone, text) = text.map_or((Tone::Warn, "not known".to_owned()), |text| (Tone::Strong, text));
        view.line(Tone::Faint.paint(format!("{about}: ")).then_in(tone, text));
    };
    line("backend", body.backend.clone());
    if let Some(kind) = &body.cluster_type {
        line("cluster type", Some(kind.clone()));
    }
    let default = |name: &str| {
        if body.defaults.contains(&name) { " (Calico's default: nothing that was read sets it)" } else { "" }
    };
    line("as", body.asn.map(|asn| format!("{asn}{}", default("as"))));
    line(
        "mesh",
        body.mesh.map(|on| match body.mesh_sessions {
            Some(sessions) if on => format!("every node with every other, {sessions} sessions{}", default("mesh")),
            _ if on => format!("every node with every other{}", default("mesh")),
            _ => "off".to_owned(),
        }),
    );
    if !body.peers.is_empty() {
        line("peers", Some(body.peers.join(", ")));
    }
    for table in [sessions(&body.nodes, detail), blocks(&body.nodes, detail)] {
        if !table.is_empty() {
            view.gap().table(table);
        }
    }
    findings(&mut view, &report.findings);
    view
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "?".to_owned(), |count| count.to_string())
}

fn sessions(nodes: &[BgpNode], detail: Detail) -> Table {
    let mut table = Table::new(["node", "as", "peer", "", "state", "since", "imported", "exported", "error"]);
    let all = detail == Detail::Wide || nodes.len() <= FOLDED;
    for node in nodes.iter().filter(|node| node.source.is_some()) {
        let mut name = Tone::Strong.paint(node.name.clone());
        let asn = node.asn.map_or_else(|| "?".to_owned(), |asn| asn.to_string());
        let up = node.sessions.iter().filter(|session| session.is_established()).count();
        if !all || node.sessions.is_empty() {
            let tone = if up == node.sessions.len() && up > 0 { Tone::Good } else { Tone::Bad };
            let state = tone.paint(format!("{up} of {} established", node.sessions.len()));
            table.row(cells![std::mem::take(&mut name), asn.clone(), "", "", state, "", "", "", ""]);
        }
        for session in node.sessions.iter().filter(|session| all || !session.is_established()) {
            let peer =
                session.node.as_ref().map_or_else(|| session.peer.clone(), |node| format!("{} {node}", session.peer));
            let tone = if session.is_established() { Tone::Good } else { Tone::Bad };
            table.row(cells![
                std::mem::take(&mut name),
                asn.clone(),
                peer,
                session.kind,
                tone.paint(session.state.clone()),
                session.since.clone().unwrap_or_default(),
                count(session.imported),
                count(session.exported),
                session.error.clone().unwrap_or_default(),
            ]);
        }
        for missing in &node.missing {
            table.row(cells![
                std::mem::take(&mut name),
                asn.clone(),
                missing.clone(),
                "mesh",
                Tone::Bad.paint("missing"),
                "",
                "",
                "",
                ""
            ]);
        }
    }
    table
}

fn blocks(nodes: &[BgpNode], detail: Detail) -> Table {
    let mut table =
        Table::new(["block", "of", "its kernel", "announced", "exported", "learnt by", "in kernel of", "breaks at"]);
    let rows: Vec<&BlockRow> = nodes.iter().flat_map(|node| &node.blocks).collect();
    let all = detail == Detail::Wide || rows.len() <= 2 * FOLDED;
    let word = |known: Option<bool>| match known {
        Some(true) => Text::from("yes"),
        Some(false) => Tone::Bad.paint("no"),
        None => Text::from("?"),
    };
    let many = |names: &[String]| match names {
        [] => "-".to_owned(),
        few if few.len() <= 3 => few.join(", "),
        many => format!("{} nodes", many.len()),
    };
    for block in rows.into_iter().filter(|block| all || !block.breaks.is_empty()) {
        table.row(cells![
            Tone::Strong.paint(block.cidr.clone()),
            block.origin.clone(),
            word(block.in_origins_kernel),
            word(block.announced),
            word(block.exported),
            many(&block.learnt_by),
            many(&block.in_kernel_of),
            if block.breaks.is_empty() { Text::from("-") } else { Tone::Bad.paint(block.breaks.join("; ")) },
        ]);
    }
    table
}
