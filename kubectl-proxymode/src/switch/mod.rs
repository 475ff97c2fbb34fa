//! `kubectl proxymode --set MODE` and `rollback`: what changes a cluster. This file asks and decides;
//! what is written is written in `apply.rs`.

mod apply;
mod event;
mod node;
mod plan;
mod pods;
mod record;
mod rollback;

use std::sync::Arc;

use netcore::{
    finding::Severity,
    proxy::{Mode, preflight},
};
use plugin::{
    args::DryRun,
    change::confirmed,
    cluster::{Cluster, Keep},
    exit::ExitCode,
    nodes::{NodeReader, Unasked},
    print::{Format, Out, Say, Text, Tone, View},
    question::{Error, Session},
};

pub(crate) use rollback::{RollbackArgs, rollback};

use self::{
    apply::{Ended, Plan, carry_out},
    event::{State, Step, Teller, listed},
};
use crate::{
    cli::Cli,
    preflight::{JudgedSwitch, judge},
};

/// `--set MODE`.
pub(crate) async fn set(cli: &Cli, mode: Mode, out: &mut Out) -> Result<ExitCode, Error> {
    let alone = |flag: &str| Error::Usage(format!("--set switches the whole cluster, not together with {flag}"));
    if cli.input.from.is_some() || cli.input.since.is_some() {
        return Err(alone("--from or --since"));
    }
    if !cli.input.nodes.is_empty() || cli.input.selector.is_some() {
        return Err(alone("--node or --selector"));
    }
    if cli.switch.scheduler.is_some() && mode != Mode::Ipvs {
        return Err(Error::Usage(format!("--scheduler is of ipvs mode; {mode} has none")));
    }
    if !matches!(out.format(), Format::Table | Format::Wide | Format::Json) {
        return Err(Error::Usage("--set prints lines as they come: -o table or json".to_owned()));
    }
    let say = out.say();
    let cluster = connect(cli, &say).await?;
    let nodes = Box::pin(NodeReader::open(&cluster, &cli.input, &say, Unasked::All)).await?;
    let session = Session { cluster: &cluster, nodes: &nodes, input: &cli.input };
    say.progress().start("reading the cluster", None);
    let judged = Box::pin(judge(&session, mode, cli.switch.scheduler.as_deref())).await;
    say.progress().end();
    let judged = judged?;
    if nodes.was_interrupted() {
        return Ok(ExitCode::Interrupted);
    }
    let mut teller = Teller { out };
    let ended = Box::pin(decide(cli, &session, &judged, mode, &mut teller, &say)).await;
    let _ = cluster.finish();
    Ok(end(&ended, &mut teller))
}

/// A client for a live cluster, told as the flags say.
async fn connect(cli: &Cli, say: &Say) -> Result<Cluster, Error> {
    let cluster = Cluster::connect(&cli.kube, &cli.input).await?;
    if cli.kube.verbosity < 6 {
        return Ok(cluster);
    }
    let say = say.clone();
    Ok(cluster.traced(Arc::new(move |line| say.note(line))))
}

/// From what was read to what becomes of it.
async fn decide<'a>(
    cli: &Cli,
    session: &'a Session<'a>,
    judged: &JudgedSwitch,
    mode: Mode,
    teller: &mut Teller<'_>,
    say: &Say,
) -> Ended {
    if let Err(why) = passes(cli, judged, teller) {
        return Ended::Refused(why);
    }
    if let Some(why) = over_itself(session, judged) {
        return Ended::Refused(why);
    }
    let plan = match plan::of_switch(session, judged, &cli.switch, mode).await {
        Ok(plan) => plan,
        Err(why) => return Ended::Refused(why),
    };
    if plan.change.is_none() && plan.batches.is_empty() {
        for (node, why) in &plan.left {
            teller.of_node(node, Step::Node, State::Skipped, format!("left as it is: {why}"));
        }
        teller.tell(
            Step::Switch,
            State::Done,
            format!("{mode} is configured already, and every node that can runs it"),
        );
        return Ended::Done;
    }
    let title = format!("Switch kube-proxy from {} to {mode}", plan.record.from);
    proceed(session, &plan, &title, (cli.switch.dry_run.dry_run, cli.switch.yes), teller, say).await
}

/// Shows a plan, asks, and carries it out as far as it is wanted.
async fn proceed<'a>(
    session: &'a Session<'a>,
    plan: &Plan,
    title: &str,
    (dry_run, yes): (DryRun, bool),
    teller: &mut Teller<'_>,
    say: &Say,
) -> Ended {
    show(plan, teller);
    match dry_run {
        DryRun::Client => {
            teller.tell(Step::Switch, State::Done, "nothing was sent: --dry-run=client");
            return Ended::Done;
        }
        DryRun::Server => return checked_by_server(session, plan, teller).await,
        DryRun::None => {}
    }
    let about = session.cluster.about();
    let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".to_owned());
    let nodes = plan.batches.iter().map(Vec::len).sum::<usize>();
    let question = format!(
        "{title} on {nodes} node{} of context {}, server {}, cluster {}?",
        if nodes == 1 { "" } else { "s" },
        text(&about.context),
        text(&about.server),
        plan.cluster
    );
    match confirmed(say, &question, yes) {
        Ok(true) => carry_out(session, plan, teller, say).await,
        Ok(false) => Ended::Refused("not confirmed: nothing was changed".to_owned()),
        Err(why) => Ended::Refused(why),
    }
}

/// Tells what the preflight found; why the switch is refused.
fn passes(cli: &Cli, judged: &JudgedSwitch, teller: &mut Teller<'_>) -> Result<(), String> {
    let overrides = &cli.switch.overrides;
    for finding in preflight::findings(&judged.body.items) {
        let state = match finding.severity {
            Severity::Error => State::Failed,
            Severity::Warning => State::Skipped,
            Severity::Info => State::Done,
        };
        let text = format!("{} {}: {}", finding.id, finding.subject, finding.message);
        teller.tell(Step::Preflight, state, text);
    }
    for id in overrides.iter().filter(|id| !judged.body.items.iter().any(|item| item.id == **id)) {
        teller.tell(Step::Preflight, State::Skipped, format!("--override {id}: nothing of that id was found"));
    }
    let blocks = |item: &&preflight::Item| {
        let consent = item.id == "PROXY-105" && cli.switch.yes;
        let overridden = item.overridable && overrides.contains(&item.id);
        (item.severity == Severity::Error || consent) && !overridden
    };
    let mut ids: Vec<&str> = Vec::new();
    let mut firm = false;
    for item in judged.body.items.iter().filter(blocks) {
        firm |= !item.overridable;
        if !ids.contains(&item.id.as_str()) {
            ids.push(&item.id);
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    let ids = listed(ids);
    Err(if firm {
        format!("the preflight forbids it ({ids}): nothing was changed")
    } else {
        format!("the preflight is against it ({ids}); --override ID goes against one: nothing was changed")
    })
}

/// Why the connection would go dead with the Service that it goes through.
fn over_itself(session: &Session<'_>, judged: &JudgedSwitch) -> Option<String> {
    let server = session.cluster.about().server.clone()?;
    let api = judged.services.iter().flatten().find(|service| service.name == "default/kubernetes")?;
    let through = api
        .cluster_ips
        .iter()
        .find(|ip| server.contains(&format!("//{ip}")) || server.contains(&format!("//[{ip}]")))?;
    Some(format!(
        "the API server is reached over its own Service ({through}), which the switch interrupts: name the API server \
         itself with --server and --tls-server-name kubernetes.default.svc"
    ))
}

/// The lines that change, the nodes in their order, and those that are left.
fn show(plan: &Plan, teller: &mut Teller<'_>) {
    let diff = plan.change.as_ref().map(plugin::change::Change::diff);
    let order: Vec<String> = plan.batches.iter().map(|batch| batch.join(" + ")).collect();
    if *teller.out.format() == Format::Json {
        let nodes = if order.is_empty() { "none".to_owned() } else { order.join(", ") };
        let text = format!("{}nodes in this order: {nodes}", diff.unwrap_or_default());
        return teller.tell(Step::Config, State::Started, text);
    }
    let mut view = View::new();
    for line in diff.iter().flat_map(|diff| diff.lines()) {
        let tone = match line.as_bytes() {
            [b'+', b'+', ..] | [b'-', b'-', ..] => Tone::Strong,
            [b'+', ..] => Tone::Good,
            [b'-', ..] => Tone::Bad,
            _ => Tone::Faint,
        };
        view.line(tone.paint(line));
    }
    if let Some((canary, rest)) = order.split_first() {
        let rest = if rest.is_empty() { String::new() } else { format!(", then {}", rest.join(", ")) };
        view.line(Text::from("nodes: ").then_in(Tone::Strong, canary.clone()).then(format!(" first{rest}")));
    }
    for (node, why) in &plan.left {
        view.line(Tone::Warn.paint(format!("{node} is left as it is: {why}")));
    }
    let _ = teller.out.view(&view);
}

/// Has the server check what would be written.
async fn checked_by_server(session: &Session<'_>, plan: &Plan, teller: &mut Teller<'_>) -> Ended {
    let checks = async {
        let draft = plan.record.draft(&plan.cluster)?;
        draft.store(session.cluster, Keep::No).await.map_err(|error| error.to_string())?;
        if let Some(change) = &plan.change {
            change.apply(session.cluster, Keep::No).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    match checks.await {
        Ok(()) => {
            teller.tell(Step::Switch, State::Done, "the server would take the backup and the change: --dry-run=server");
            Ended::Done
        }
        Err(why) => Ended::Refused(why),
    }
}

/// Says how it ended.
fn end(ended: &Ended, teller: &mut Teller<'_>) -> ExitCode {
    match ended {
        Ended::Done => {}
        Ended::Refused(why) => teller.tell(Step::Switch, State::Failed, format!("refused: {why}")),
        Ended::Restored(why) => {
            teller.tell(Step::Switch, State::Failed, format!("failed, and everything is as it was: {why}"));
        }
        Ended::Mixed(why) => {
            let text = format!(
                "left mixed: {why}; `kubectl proxymode rollback` goes back, `kubectl proxymode` shows each node"
            );
            teller.tell(Step::Switch, State::Failed, text);
        }
    }
    ended.code()
}
