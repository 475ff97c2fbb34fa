//! `kubectl proxymode schedulers`: the algorithms of IPVS, and which node has which.

use netcore::{
    probe::Probe,
    proxy::{
        modules::State,
        schedulers::{self, SchedulerList, SchedulerRow, census},
    },
    report::Report,
};
use plugin::{
    cells,
    exit::{ExitCode, FailOn},
    nodes::Unasked,
    print::{Column, Detail, Out, Rows, Table, Text, Tone, View, report::cluster_line},
    question::{Answer, Error, Question, Session},
};

use crate::{cli::Cli, gather, view::of_nodes};

const PROBES: &[Probe] = &[Probe::KernelModules, Probe::ModuleFiles, Probe::IpvsTable];
const SCHEDULERS: Rows = Rows { list: "items", kind: "scheduler", name: &["name"] };

/// Answers.
pub(crate) async fn schedulers(cli: &Cli, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "SchedulerList",
        rows: SCHEDULERS,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::All,
        says_unread: true,
    };
    question.ask(out, read, table).await
}

async fn read(session: &Session<'_>) -> Result<Answer<SchedulerList>, Error> {
    let mut facts = gather::gather(session, PROBES).await?;
    let body = schedulers::report(&facts, &|node| session.nodes.chosen().has(node));
    Ok(gather::answer(session, &mut facts, body))
}

fn table(report: &Report<SchedulerList>, detail: Detail) -> View {
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    let list = &report.body;
    match (list.mode, &list.configured) {
        (None, Some(name)) => {
            view.line(Text::from("configured: ipvs on some nodes, scheduler ").then_in(Tone::Strong, name.clone()))
        }
        (Some(_), Some(name)) => {
            view.line(Text::from("configured: ipvs, scheduler ").then_in(Tone::Strong, name.clone()))
        }
        (Some(mode), None) => view.line(format!("configured: {mode}, which has no scheduler")),
        (None, None) => view.line("configured: not known"),
    };
    let mut table = Table::new([
        Column::new("scheduler"),
        Column::new("module"),
        Column::new("since kernel"),
        Column::new("in use by").right(),
        Column::new("nodes"),
        Column::new("what it does"),
    ]);
    for row in &list.items {
        let name = if row.configured { Tone::Strong.paint(format!("{} *", row.name)) } else { Text::from(&row.name) };
        table.row(cells![name, row.module.clone(), row.since.clone(), in_use(row), states(row), row.summary.clone()]);
    }
    view.gap().table(table);
    if detail == Detail::Wide {
        let mut each = Table::new(["node", "scheduler", "state", "virtual servers"]);
        for row in &list.items {
            for node in &row.nodes {
                let servers = node.virtual_servers.map_or_else(|| "?".to_owned(), |count| count.to_string());
                each.row(cells![node.name.clone(), row.name.clone(), node.state.name(), servers]);
            }
        }
        view.gap().table(each);
    }
    view
}

/// How many virtual servers use it, on the node that has most.
fn in_use(row: &SchedulerRow) -> String {
    match row.nodes.iter().filter_map(|node| node.virtual_servers).max() {
        None | Some(0) => "-".to_owned(),
        Some(1) => "1 server".to_owned(),
        Some(count) => format!("{count} servers"),
    }
}

fn states(row: &SchedulerRow) -> Text {
    let count = census(row);
    let mut text = Text::default();
    for (state, nodes) in &count {
        let tone = match state {
            State::Missing => Tone::Bad,
            State::Unknown => Tone::Warn,
            State::Loaded | State::Builtin | State::Available => Tone::Plain,
        };
        let comma = if text.is_empty() { "" } else { ", " };
        let words = if count.len() == 1 {
            state.name().to_owned()
        } else {
            format!("{} on {}", state.name(), of_nodes(*nodes))
        };
        text = text.then(comma).then_in(tone, words);
    }
    if text.is_empty() { Text::from("?") } else { text }
}
