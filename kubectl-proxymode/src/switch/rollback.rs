//! `kubectl proxymode rollback`: the way back by the cluster's own backup.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use netcore::proxy::{
    Facts, Mode,
    report::{self, ProxyModeReport, ProxyState},
};
use plugin::{
    args::{DryRun, DryRunArgs},
    cells,
    change::Backup,
    duration::GoDuration,
    exit::ExitCode,
    nodes::{NodeReader, Unasked},
    print::{Format, Out, Say, Table, View},
    question::{Error, Session},
};
use serde_json::json;

use super::{
    apply::{Ended, Plan},
    connect, end,
    event::{State, Step, Teller},
    plan::{change, of_nodes, text},
    pods::pods,
    proceed,
    record::{Progress, Record, TOOL},
};
use crate::{
    cli::Cli,
    gather::{self, OF_MODE},
};

/// The arguments of `rollback`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RollbackArgs {
    /// List the backups, and change nothing
    #[arg(long)]
    list: bool,
    /// Go back to what was there before this switch
    #[arg(long, value_name = "ID")]
    to: Option<String>,
    /// Restore the whole entry of the ConfigMap as it was, whatever was edited since
    #[arg(long)]
    exact: bool,
    /// How long one node may take
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: GoDuration,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// `rollback`.
pub(crate) async fn rollback(cli: &Cli, args: &RollbackArgs, out: &mut Out) -> Result<ExitCode, Error> {
    if cli.input.from.is_some() || cli.input.since.is_some() {
        return Err(Error::Usage("rollback changes a live cluster, not together with --from or --since".to_owned()));
    }
    if !cli.input.nodes.is_empty() || cli.input.selector.is_some() {
        return Err(Error::Usage(
            "rollback goes back on every node, not together with --node or --selector".to_owned(),
        ));
    }
    if !matches!(out.format(), Format::Table | Format::Wide | Format::Json) {
        return Err(Error::Usage("rollback prints lines as they come: -o table or json".to_owned()));
    }
    let say = out.say();
    let cluster = connect(cli, &say).await?;
    let nodes = Box::pin(NodeReader::open(&cluster, &cli.input, &say, Unasked::All)).await?;
    let session = Session { cluster: &cluster, nodes: &nodes, input: &cli.input };
    let facts = Box::pin(gather::gather(&session, if args.list { &[] } else { OF_MODE })).await?;
    let namespace =
        facts.workloads.iter().find(|workload| !workload.windows).map(|workload| workload.namespace.clone());
    let namespace = namespace.unwrap_or_else(|| "kube-system".to_owned());
    let backups = Backup::list(&cluster, &namespace, TOOL).await.map_err(|error| Error::Nothing(error.to_string()))?;
    if args.list {
        list(&backups, out)?;
        return Ok(ExitCode::Done);
    }
    let status = report::report(&facts, &|_| true);
    let mut teller = Teller { out };
    let ended = Box::pin(decide(args, &session, (&facts, &status), &backups, &mut teller, &say)).await;
    let _ = cluster.finish();
    Ok(end(&ended, &mut teller))
}

async fn decide<'a>(
    args: &RollbackArgs,
    session: &'a Session<'a>,
    (facts, status): (&Facts, &ProxyModeReport),
    backups: &[Backup],
    teller: &mut Teller<'_>,
    say: &Say,
) -> Ended {
    let (backup, record) = match chosen(args, backups) {
        Ok(chosen) => chosen,
        Err(why) => return Ended::Refused(why),
    };
    match &facts.uid {
        Some(uid) if *uid == backup.cluster => {}
        Some(uid) => {
            return Ended::Refused(format!("backup {} is of cluster {}, this one is {uid}", backup.id, backup.cluster));
        }
        None => return Ended::Refused("the cluster's uid (of namespace kube-system) could not be read".to_owned()),
    }
    let plan = match plan(args, session, (facts, status), backup, record).await {
        Ok(plan) => plan,
        Err(why) => return Ended::Refused(why),
    };
    let undone = plan.change.is_none() && plan.batches.is_empty() && plan.left.is_empty();
    let ended = if undone {
        teller.tell(Step::Restore, State::Done, format!("everything is as before switch {} already", backup.id));
        Ended::Done
    } else {
        let title = format!("Undo switch {}: kube-proxy back to {}", backup.id, plan.record.to);
        proceed(session, &plan, &title, (args.dry_run.dry_run, args.yes), teller, say).await
    };
    if ended == Ended::Done
        && args.dry_run.dry_run == DryRun::None
        && let Err(error) = backup.mark(session.cluster, Progress::Undone.name()).await
    {
        teller.tell(Step::Backup, State::Failed, error.to_string());
    }
    ended
}

/// The backup that was asked for, else that of the last switch that was not undone.
fn chosen<'b>(args: &RollbackArgs, backups: &'b [Backup]) -> Result<(&'b Backup, Record), String> {
    if let Some(id) = &args.to {
        let found = backups.iter().find(|backup| backup.id == *id);
        let found = found.ok_or_else(|| format!("there is no backup {id}; --list shows them"))?;
        return Ok((found, Record::of(found)?));
    }
    for backup in backups.iter().rev() {
        let record = Record::of(backup)?;
        if record.undoes.is_none() && Progress::of(backup).is_open() {
            return Ok((backup, record));
        }
    }
    Err("there is no switch that was not undone; --list shows the backups".to_owned())
}

async fn plan(
    args: &RollbackArgs,
    session: &Session<'_>,
    (facts, status): (&Facts, &ProxyModeReport),
    backup: &Backup,
    record: Record,
) -> Result<Plan, String> {
    let (now, version) = text(session, &record.entry).await?;
    let title = format!("configmap {}/{}", record.entry.namespace, record.entry.name);
    let after = if args.exact || now == record.after || now == record.before {
        record.before.clone()
    } else {
        // our lines may be out already, and other edits in
        match record.edit.inverse().apply(&now) {
            Ok(text) => text,
            Err(_) if record.edit.apply(&now).is_ok() => now.clone(),
            Err(refused) => {
                return Err(format!(
                    "{title} was edited since, where the switch had changed it: {refused}; --exact restores the whole entry \
                     as it was before switch {}",
                    backup.id
                ));
            }
        }
    };
    let found = pods(session.cluster, &record.home, None).await.map_err(|why| format!("kube-proxy's pods: {why}"))?;
    let mut left = BTreeMap::new();
    let mut going = Vec::new();
    for row in status.nodes.iter().filter(|row| row.state != ProxyState::Windows) {
        // of a change within one mode, who read it is told by who started since
        let since = found.get(&row.name).is_some_and(|pod| record.pods.get(&row.name) != Some(&pod.start));
        let differs = row.effective != Some(record.from) || (record.from == record.to && since);
        if !differs {
            continue;
        }
        // one that is just being made comes back by itself
        if !found.contains_key(&row.name) && !record.pods.contains_key(&row.name) {
            left.insert(row.name.clone(), "kube-proxy has no pod there".to_owned());
        } else if facts.nodes.get(&row.name).is_some_and(|node| !node.ready) {
            let why = "the node is not Ready; its kube-proxy takes the old mode when it starts again";
            left.insert(row.name.clone(), why.to_owned());
        } else {
            going.push(row.name.clone());
        }
    }
    // those that do not work first: there is nothing to lose
    let fails: BTreeSet<&str> = status
        .nodes
        .iter()
        .filter(|row| row.state == ProxyState::Failing || row.effective.is_none())
        .map(|row| row.name.as_str())
        .collect();
    going.sort_by_key(|node| (!fails.contains(node.as_str()), node.clone()));
    let change = (now != after).then(|| change(&record.entry, now.clone(), after.clone(), version));
    Ok(Plan {
        record: Record {
            from: record.to,
            to: record.from,
            pods: found.iter().map(|(node, pod)| (node.clone(), pod.start.clone())).collect(),
            edit: record.edit.inverse(),
            undoes: Some(backup.id.clone()),
            before: now,
            after,
            ..record
        },
        cluster: backup.cluster.clone(),
        change,
        batches: going.into_iter().map(|node| vec![node]).collect(),
        left,
        facts: of_nodes(facts),
        timeout: args.timeout.limit(),
        pause: std::time::Duration::ZERO,
        // to go back from going back would leave nobody where they want to be
        goes_back: false,
    })
}

/// The backups, the latest first.
fn list(backups: &[Backup], out: &mut Out) -> Result<(), Error> {
    let rows: Vec<(&Backup, Option<Record>)> =
        backups.iter().rev().map(|backup| (backup, Record::of(backup).ok())).collect();
    if *out.format() == Format::Json {
        for (backup, record) in rows {
            let line = json!({"id": backup.id, "state": Progress::of(backup).name(), "cluster": backup.cluster,
                "from": record.as_ref().map(|record| record.from), "to": record.as_ref().map(|record| record.to),
                "undoes": record.and_then(|record| record.undoes), "object": backup.object.title});
            out.lines(&format!("{line}\n"))?;
        }
        return Ok(());
    }
    let mut table = Table::new(["id", "from", "to", "state", "undoes", "kept in"]);
    let mode = |mode: Option<Mode>| mode.map_or("?", Mode::name);
    for (backup, record) in &rows {
        table.row(cells![
            backup.id.clone(),
            mode(record.as_ref().map(|record| record.from)),
            mode(record.as_ref().map(|record| record.to)),
            Progress::of(backup).name(),
            record.as_ref().and_then(|record| record.undoes.clone()).unwrap_or_else(|| "-".to_owned()),
            backup.object.title.clone()
        ]);
    }
    let mut view = View::new();
    if rows.is_empty() {
        view.line("no switch was made, or its backup was deleted");
    } else {
        view.table(table);
    }
    Ok(out.view(&view)?)
}
