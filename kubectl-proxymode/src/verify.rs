//! `kubectl proxymode verify`: kernel state against Services and EndpointSlices.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use netcore::{
    cluster::{Item, ReadStatus, Resource, resources, wire},
    finding::Unreadable,
    probe::UNNAMED,
    proxy::{
        Facts,
        kernel::ServicePort,
        report::{ProxyState, report},
        verify::{self, Desired, KernelTexts, NodeFacts, NodeVerdict, PROBES, ProxyVerifyReport, VerifyState},
    },
    report::Report,
};
use plugin::{
    cells,
    cluster::Selection,
    exit::{ExitCode, FailOn},
    nodes::{NodeAnswer, Outcome, Unasked},
    print::{
        Column, Detail, Out, Rows, Table, Tone, View,
        report::{cluster_line, findings},
    },
    question::{Answer, Error, Question, Session},
};

use crate::{
    cli::Cli,
    gather::{self, OF_MODE},
};

/// Its arguments.
#[derive(Args, Clone, Debug)]
pub(crate) struct VerifyArgs {}

const NODES: Rows = Rows { list: "nodes", kind: "node", name: &["name"] };
const WOULD_DO: &str = "Services, EndpointSlices and a node's iptables-save, nft -j list ruleset or ipvsadm";

/// Answers.
pub(crate) async fn verify(cli: &Cli, VerifyArgs {}: &VerifyArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "ProxyVerifyReport",
        rows: NODES,
        fail_on: cli.fail_on.or(FailOn::Error),
        unasked: Unasked::All,
        says_unread: true,
    };
    question.ask(out, read, table).await
}

async fn read(session: &Session<'_>) -> Result<Answer<ProxyVerifyReport>, Error> {
    let desired = desired(session).await?;
    let mut nodes = Nodes { desired: &desired, kernels: BTreeMap::new(), first: BTreeMap::new() };
    let live = !session.cluster.is_offline();
    let mut facts = gather::gather_for(session, OF_MODE, &mut |facts, answer| nodes.take(facts, answer, live)).await?;
    let status = report(&facts, &|node| session.nodes.chosen().has(node));
    let shown: BTreeSet<String> = status
        .nodes
        .iter()
        .filter(|row| !matches!(row.state, ProxyState::Windows | ProxyState::Replaced))
        .map(|row| row.name.clone())
        .collect();
    nodes.finish(&facts, &shown);
    let mut verdicts = nodes.first;
    if live {
        look_again(session, &desired, &mut verdicts).await?;
    }
    let body = ProxyVerifyReport { nodes: verdicts.into_values().map(|(_, verdict)| verdict).collect() };
    let found = verify::findings(&body.nodes);
    let mut answer = gather::answer(session, &mut facts, body);
    answer.missing.extend(answer.body.nodes.iter().filter_map(missing));
    answer.findings = found;
    answer.distribution = status.configured.distribution;
    Ok(answer)
}

/// A node that could not be read in full, and why.
fn missing(node: &NodeVerdict) -> Option<Unreadable> {
    let lacks = matches!(node.state, VerifyState::Unreadable | VerifyState::Partial);
    let reason = node.reason.clone().unwrap_or_default();
    lacks.then(|| Unreadable { source: "rules".to_owned(), node: Some(node.name.clone()), reason })
}

/// What the API wants, read page by page into what is used of it.
pub(crate) async fn desired(session: &Session<'_>) -> Result<Desired, Error> {
    let mut desired = Desired::default();
    let whole = |resource: &Resource, status: ReadStatus, bad: Option<String>| match (status, bad) {
        (ReadStatus::Complete, None) => Ok(()),
        (ReadStatus::Complete, Some(reason)) | (ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason), _) => {
            let reason =
                if reason == ReadStatus::NOT_RECORDED { reason } else { format!("{}: {reason}", resource.plural) };
            Err(Error::nothing(&reason, session.input, "kube-proxy", WOULD_DO))
        }
        (ReadStatus::Absent, _) => {
            Err(Error::nothing("the server has no such kind", session.input, "kube-proxy", WOULD_DO))
        }
    };
    let mut bad = None;
    let each = &mut |item: Item<'_>| match item.lean::<wire::Service>() {
        Ok(service) => desired.take_service(&service),
        Err(error) => bad = Some(error.to_string()),
    };
    let status = session.cluster.list(&resources::SERVICES, Selection::default(), each).await;
    whole(&resources::SERVICES, status, bad)?;
    let mut bad = None;
    let each = &mut |item: Item<'_>| match item.lean::<wire::EndpointSlice>() {
        Ok(slice) => desired.take_slice(&slice),
        Err(error) => bad = Some(error.to_string()),
    };
    let status = session.cluster.list(&resources::ENDPOINTSLICES, Selection::default(), each).await;
    whole(&resources::ENDPOINTSLICES, status, bad)?;
    Ok(desired)
}

/// Nodes as they are read. A live node is compared as soon as it was, so that no two nodes' tables are kept.
struct Nodes<'d> {
    desired: &'d Desired,
    kernels: BTreeMap<String, (KernelTexts, usize)>,
    first: BTreeMap<String, (NodeFacts, NodeVerdict)>,
}

impl Nodes<'_> {
    fn take(&mut self, facts: &Facts, answer: NodeAnswer, live: bool) {
        let name = match (&answer.node, live) {
            (Some(name), _) => name.clone(),
            (None, true) => return,
            (None, false) => UNNAMED.to_owned(),
        };
        let (kernel, count) = self.kernels.entry(name.clone()).or_default();
        *count += 1;
        let whole = live && *count == OF_MODE.len();
        put(kernel, answer);
        if whole && let Some((kernel, _)) = self.kernels.remove(&name) {
            self.compare(facts, &name, kernel);
        }
    }

    fn compare(&mut self, facts: &Facts, name: &str, mut kernel: KernelTexts) {
        let node = NodeFacts::of(facts, name);
        kernel.traces = facts.readings.get(name).map(|reading| reading.traces.clone());
        let verdict = verify::verify(&node, kernel, self.desired);
        self.first.insert(name.to_owned(), (node, verdict));
    }

    /// Compares what is left; only these nodes are of interest.
    fn finish(&mut self, facts: &Facts, shown: &BTreeSet<String>) {
        for (name, (kernel, _)) in std::mem::take(&mut self.kernels) {
            self.compare(facts, &name, kernel);
        }
        self.first.retain(|name, _| shown.contains(name));
        for name in shown {
            if !self.first.contains_key(name) {
                self.compare(facts, name, KernelTexts::default());
            }
        }
    }
}

pub(crate) fn put(kernel: &mut KernelTexts, answer: NodeAnswer) {
    if !PROBES.contains(&answer.probe) {
        return;
    }
    match answer.outcome {
        Outcome::Text(text) => kernel.take(answer.probe, text),
        Outcome::Absent(_) => kernel.take_absent(answer.probe),
        Outcome::Unseen(reason) | Outcome::Unreadable(reason) => kernel.take_unread(answer.probe, reason),
    }
}

/// Endpoints and rules move: what differs is read once more, the API first, before it is called wrong.
async fn look_again(
    session: &Session<'_>,
    before: &Desired,
    verdicts: &mut BTreeMap<String, (NodeFacts, NodeVerdict)>,
) -> Result<(), Error> {
    let differing: BTreeSet<String> =
        verdicts.iter().filter(|(_, (_, verdict))| !verdict.agrees()).map(|(name, _)| name.clone()).collect();
    if differing.is_empty() || session.nodes.was_interrupted() {
        return Ok(());
    }
    let now = desired(session).await?;
    let moved = |port: &ServicePort| {
        let name = (port.namespace.clone(), port.name.clone());
        before.services.get(&name) != now.services.get(&name) || before.slices.get(&name) != now.slices.get(&name)
    };
    let mut kernels: BTreeMap<String, (KernelTexts, usize)> = BTreeMap::new();
    let mut take = |answer: NodeAnswer| {
        let Some(name) = answer.node.clone() else { return };
        let (kernel, count) = kernels.entry(name.clone()).or_default();
        *count += 1;
        let whole = *count == PROBES.len();
        put(kernel, answer);
        if whole
            && let Some((kernel, _)) = kernels.remove(&name)
            && let Some((node, first)) = verdicts.get_mut(&name)
        {
            let second = verify::verify(node, kernel, &now);
            let unread = NodeVerdict::unreadable(&name, None, String::new());
            *first = verify::settle(std::mem::replace(first, unread), second, &moved);
        }
    };
    session.nodes.read_again(&differing, PROBES, &mut take).await?;
    Ok(())
}

fn table(report: &Report<ProxyVerifyReport>, detail: Detail) -> View {
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    let mut table = Table::new([
        Column::new("node"),
        Column::new("mode"),
        Column::new("state"),
        Column::new("checked"),
        Column::new("missing"),
        Column::new("stale"),
        Column::new("wrong"),
        Column::new("leftovers"),
        Column::new("reason"),
    ]);
    for node in &report.body.nodes {
        let state = match node.state {
            VerifyState::Verified => Tone::Good.paint("verified"),
            VerifyState::Partial => Tone::Warn.paint("partial"),
            VerifyState::Unreadable => Tone::Bad.paint("unreadable"),
            VerifyState::Unstable => Tone::Warn.paint("unstable"),
        };
        table.row(cells![
            node.name.clone(),
            node.mode.map_or("?".to_owned(), |mode| mode.to_string()),
            state,
            node.checked.to_string(),
            node.missing.len().to_string(),
            node.stale.len().to_string(),
            node.wrong.len().to_string(),
            node.leftovers.len().to_string(),
            node.reason.clone().unwrap_or_default()
        ]);
    }
    view.gap().table(table);
    if detail == Detail::Wide {
        entries(&mut view, &report.body.nodes);
    }
    findings(&mut view, &report.findings);
    view
}

/// Every address that differs, with the rule that shows it.
fn entries(view: &mut View, nodes: &[NodeVerdict]) {
    for node in nodes {
        for (what, entries) in [("missing", &node.missing), ("stale", &node.stale), ("wrong", &node.wrong)] {
            for entry in entries {
                view.gap().line(format!("{} {what}: {}", node.name, entry.in_short()));
                if let Some(rule) = &entry.rule {
                    view.line(Tone::Faint.paint(format!("    {rule}")));
                }
            }
        }
    }
}
