//! What a switch is going to do: which text changes, which nodes follow in which order.

use std::{collections::BTreeMap, time::Duration};

use netcore::{
    cluster::{Item, resources},
    proxy::{
        Facts, Mode,
        edit::{self, Wanted},
        facts::Workload,
        launch::ConfigFile,
        report::{NodeRow, ProxyState},
        verify::NodeFacts,
    },
};
use plugin::{
    change::{Change, Object, current},
    question::Session,
};
use serde_json::Value;

use super::{
    apply::Plan,
    event::listed,
    pods::{Home, Pod, pods},
    record::{Entry, Record},
};
use crate::{cli::SwitchArgs, preflight::JudgedSwitch};

/// The plan of `--set`; why there is none.
pub(super) async fn of_switch(
    session: &Session<'_>,
    judged: &JudgedSwitch,
    args: &SwitchArgs,
    mode: Mode,
) -> Result<Plan, String> {
    let JudgedSwitch { facts, status, .. } = judged;
    let cluster = facts.uid.clone().ok_or("the cluster's uid (of namespace kube-system) could not be read")?;
    let workload = the_one(facts)?;
    let entry = entry(workload, mode)?;
    is_rolled_out(session, workload).await?;
    let (text, version) = text(session, &entry).await?;
    let edit = edit::edit(&text, &Wanted { mode, scheduler: args.scheduler.as_deref() })
        .map_err(|refused| format!("configmap {}/{} {}: {refused}", entry.namespace, entry.name, entry.key))?;
    let after = edit.apply(&text).map_err(|refused| refused.to_string())?;
    let from = status.configured.mode.ok_or("which mode is configured now is not known, so there is no way back")?;
    let home = Home::of(workload);
    let now = pods(session.cluster, &home, None).await.map_err(|why| format!("kube-proxy's pods: {why}"))?;
    let mut left = BTreeMap::new();
    let mut going = Vec::new();
    for row in &status.nodes {
        let again = args.scheduler.is_some() && !edit.is_empty();
        if row.state == ProxyState::Windows || (row.effective == Some(mode) && !again) {
            continue;
        }
        match why_left(facts, row, &now) {
            Some(why) => {
                left.insert(row.name.clone(), why);
            }
            None => going.push(row.name.clone()),
        }
    }
    let batches = batches(facts, going, args)?;
    let change = (!edit.is_empty()).then(|| change(&entry, text.clone(), after.clone(), version));
    let starts = now.iter().map(|(node, pod)| (node.clone(), pod.start.clone())).collect();
    Ok(Plan {
        record: Record { from, to: mode, entry, home, pods: starts, edit, undoes: None, before: text, after },
        cluster,
        change,
        batches,
        left,
        facts: of_nodes(facts),
        timeout: args.timeout.limit(),
        pause: args.pause.limit().unwrap_or(Duration::ZERO),
        goes_back: true,
    })
}

/// What is known of each node beside its kernel.
pub(super) fn of_nodes(facts: &Facts) -> BTreeMap<String, NodeFacts> {
    facts.nodes.keys().map(|name| (name.clone(), NodeFacts::of(facts, name))).collect()
}

/// The change of an entry.
pub(super) fn change(entry: &Entry, before: String, after: String, resource_version: String) -> Change {
    Change {
        object: Object::config_map(&entry.namespace, &entry.name),
        field: vec!["data".to_owned(), entry.key.clone()],
        before,
        after,
        resource_version,
    }
}

/// An entry's text as it is now, and its object's version.
pub(super) async fn text(session: &Session<'_>, entry: &Entry) -> Result<(String, String), String> {
    let object = Object::config_map(&entry.namespace, &entry.name);
    let now = current(session.cluster, &object).await.map_err(|error| format!("{}: {error}", object.title))?;
    if now.get("immutable").and_then(Value::as_bool) == Some(true) {
        return Err(format!("{} is immutable: make another one and have the DaemonSet mount it", object.title));
    }
    let text = now.pointer("/data").and_then(|data| data.get(&entry.key)?.as_str());
    let text = text.ok_or_else(|| format!("{} has no entry {}", object.title, entry.key))?;
    let version = now.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
    Ok((text.to_owned(), version.to_owned()))
}

/// The one DaemonSet that runs kube-proxy on Linux.
fn the_one(facts: &Facts) -> Result<&Workload, String> {
    let linux: Vec<&Workload> = facts.workloads.iter().filter(|workload| !workload.windows).collect();
    match linux.as_slice() {
        [one] => Ok(one),
        [] => Err("no DaemonSet runs kube-proxy: its mode is not set through the API".to_owned()),
        many => {
            let titles: Vec<String> = many.iter().map(|workload| workload.title()).collect();
            Err(format!("{} run kube-proxy: which of them is to be switched is not known", titles.join(" and ")))
        }
    }
}

/// The entry that its `--config` names.
fn entry(workload: &Workload, mode: Mode) -> Result<Entry, String> {
    match &workload.launch.file {
        Some(ConfigFile::Entry { name, key }) => {
            Ok(Entry { namespace: workload.namespace.clone(), name: name.clone(), key: key.clone() })
        }
        Some(ConfigFile::Path(path)) => {
            Err(format!("{} reads {path}, a file of the node: edit it there", workload.title()))
        }
        None => Err(format!(
            "the flag --proxy-mode of {0} decides, and a change of it starts every pod anew by itself, without a canary: \
             with its updateStrategy OnDelete, set --proxy-mode={mode} by `kubectl -n {1} edit daemonset {2}`, then delete \
             its pods one by one",
            workload.title(),
            workload.namespace,
            workload.name
        )),
    }
}

/// Deleting a pod makes one of the DaemonSet's template as it is now: that must be what runs.
async fn is_rolled_out(session: &Session<'_>, workload: &Workload) -> Result<(), String> {
    let read = session.cluster.get(&resources::DAEMONSETS, &workload.namespace, &workload.name).await;
    let bytes = match read {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(format!("{} is gone", workload.title())),
        Err(error) => return Err(format!("{}: {error}", workload.title())),
    };
    let whole = Item::json(&bytes).value().map_err(|error| error.to_string())?;
    let count = |field: &str| whole.pointer(&format!("/status/{field}")).and_then(Value::as_u64);
    match (count("updatedNumberScheduled"), count("desiredNumberScheduled")) {
        (updated, Some(desired)) if updated.unwrap_or(0) < desired && count("observedGeneration").is_some() => {
            Err(format!(
                "{} of {desired} pods of {} are of an older template than it has now ({}): starting them anew would roll \
                 that out, too; finish the rollout first",
                desired - updated.unwrap_or(0),
                workload.title(),
                if workload.update_strategy.is_empty() { "RollingUpdate" } else { &workload.update_strategy }
            ))
        }
        _ => Ok(()),
    }
}

/// Why a node is not switched now.
fn why_left(facts: &Facts, row: &NodeRow, now: &BTreeMap<String, Pod>) -> Option<String> {
    if facts.nodes.get(&row.name).is_some_and(|node| !node.ready) {
        return Some("the node is not Ready; its kube-proxy takes the new mode when it starts again".to_owned());
    }
    (!now.contains_key(&row.name)).then(|| "kube-proxy has no pod there".to_owned())
}

/// The canary alone, the other workers, then the control planes.
fn batches(facts: &Facts, mut going: Vec<String>, args: &SwitchArgs) -> Result<Vec<Vec<String>>, String> {
    let control = |node: &String| facts.nodes.get(node).is_some_and(|node| node.control_plane);
    going.sort_by_key(|node| (control(node), node.clone()));
    if let Some(canary) = &args.canary {
        let at = going.iter().position(|node| node == canary).ok_or_else(|| {
            let nodes = if going.is_empty() { "none".to_owned() } else { listed(going.iter().map(String::as_str)) };
            format!("--canary {canary} is none of the nodes that would be switched: {nodes}")
        })?;
        let canary = going.remove(at);
        going.insert(0, canary);
    }
    let mut batches = Vec::new();
    let mut rest = going.into_iter();
    batches.extend(rest.next().map(|canary| vec![canary]));
    let (last, first): (Vec<String>, Vec<String>) = rest.partition(control);
    for group in [first, last] {
        batches.extend(group.chunks(usize::from(args.batch)).map(<[String]>::to_vec));
    }
    Ok(batches)
}
