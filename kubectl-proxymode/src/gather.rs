//! Reads what tells of kube-proxy: its DaemonSets and pods, what configures it, who replaces it, and
//! the nodes themselves.

use std::collections::BTreeSet;

use netcore::{
    cluster::{Item, ReadStatus, Resource, resources, wire},
    finding::Unreadable,
    probe::{Probe, UNNAMED},
    proxy::{Facts, facts::ProxyPod, launch::ConfigFile},
    ranges::Want,
};
use plugin::{
    cluster::{ReadError, Selection},
    nodes::{NodeAnswer, Outcome},
    question::{Answer, Error, Session},
};
use serde_json::Value;

/// Probes that tell of the mode.
pub(crate) const OF_MODE: &[Probe] = &[
    Probe::ProxyMode,
    Probe::Configz,
    Probe::ProxyMetrics,
    Probe::Addresses,
    Probe::IpvsTable,
    Probe::IpsetSave,
    Probe::IptablesSave,
    Probe::Ip6tablesSave,
    Probe::IptablesLegacySave,
    Probe::Ip6tablesLegacySave,
    Probe::NftRuleset,
];

/// What a dump would have to hold to be of use.
const WOULD_DO: &str = "its ConfigMap or DaemonSet, or a node's proxyMode, configz, iptables-save, ipvsadm or nft";

const SYSTEM: &str = "kube-system";
/// The names of kubeadm, k0s and kubespray, and of EKS: asked for where no DaemonSet leads to one.
const USUAL: [&str; 2] = ["kube-proxy", "kube-proxy-config"];
/// How many pods' logs are read at most: what they tell, the nodes mostly tell themselves.
const LOGS: usize = 50;

/// Reads what tells of kube-proxy, and these probes of every node that was chosen.
pub(crate) async fn gather(session: &Session<'_>, probes: &[Probe]) -> Result<Facts, Error> {
    gather_for(session, probes, &mut |_, _| {}).await
}

/// The same, for somebody who wants the nodes' answers too: each is handed over after the facts took it.
pub(crate) async fn gather_for(
    session: &Session<'_>,
    probes: &[Probe],
    keep: &mut dyn FnMut(&Facts, NodeAnswer),
) -> Result<Facts, Error> {
    let mut facts = Facts::default();
    api(session, &mut facts).await;
    nodes(session, probes, &mut facts, keep).await?;
    logs(session, &mut facts).await;
    note_unreadable(&mut facts);
    if facts.nodes.is_empty()
        && facts.workloads.is_empty()
        && facts.configurations.is_empty()
        && facts.readings.is_empty()
    {
        let nodes = facts.reads.get(&Want::list(&resources::NODES));
        let reason = match nodes {
            Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) => reason.clone(),
            _ => ReadStatus::NOT_RECORDED.to_owned(),
        };
        return Err(Error::nothing(&reason, session.input, "kube-proxy", WOULD_DO));
    }
    Ok(facts)
}

/// The answer's head out of the facts; `body` is the kind's own.
pub(crate) fn answer<Body>(session: &Session<'_>, facts: &mut Facts, body: Body) -> Answer<Body> {
    Answer {
        body,
        findings: Vec::new(),
        missing: missing(session, facts),
        unreadable: std::mem::take(&mut facts.unreadable),
        version: facts.version.clone(),
        uid: facts.uid.clone(),
        distribution: None,
    }
}

async fn api(session: &Session<'_>, facts: &mut Facts) {
    let cluster = session.cluster;
    match cluster.raw("/version", "application/json").await {
        Ok(Some(text)) => {
            let version = serde_json::from_str::<Value>(&text).ok();
            let version = version.and_then(|value| Some(value.get("gitVersion")?.as_str()?.to_owned()));
            facts.version = version;
        }
        Ok(None) | Err(ReadError::NotRecorded) => {}
        Err(error) => facts.unreadable.push(unreadable("/version", error.to_string())),
    }
    let mut bad = None;
    let each = &mut |item: Item<'_>| match item.lean::<wire::Node>() {
        Ok(node) => facts.take_node(&node),
        Err(error) => bad = Some(error.to_string()),
    };
    let status = cluster.list(&resources::NODES, Selection::default(), each).await;
    facts.reads.insert(Want::list(&resources::NODES), bad.map_or(status, ReadStatus::Partial));
    get(session, &resources::NAMESPACES, "", SYSTEM, facts).await;
    list(session, Want::list(&resources::DAEMONSETS), facts).await;
    pods(session, facts).await;
    for (namespace, name) in config_maps(facts) {
        get(session, &resources::CONFIGMAPS, &namespace, &name, facts).await;
    }
    for resource in [
        &resources::CALICO_FELIXCONFIGURATIONS_V1,
        &resources::TIGERA_INSTALLATIONS,
        &resources::OPENSHIFT_OPERATOR_NETWORKS,
    ] {
        list(session, Want::list(resource), facts).await;
    }
}

/// The pods of the DaemonSets that were found, and static ones.
async fn pods(session: &Session<'_>, facts: &mut Facts) {
    let of_workloads: BTreeSet<(String, String)> = facts
        .workloads
        .iter()
        .filter(|workload| !workload.selector.is_empty())
        .map(|workload| {
            let labels: Vec<String> = workload.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            (workload.namespace.clone(), labels.join(","))
        })
        .collect();
    let mut wanted: Vec<(String, String)> = of_workloads.into_iter().collect();
    if wanted.is_empty() {
        // static pods; and kubeadm's, where DaemonSets may not be listed
        wanted.extend(
            ["component=kube-proxy", "k8s-app=kube-proxy"].map(|labels| (SYSTEM.to_owned(), labels.to_owned())),
        );
    }
    for (namespace, labels) in wanted {
        list(session, Want::labelled(&resources::PODS, namespace, labels), facts).await;
    }
}

/// The ConfigMaps that kube-proxy's pods mount, and those that tell of a replacement.
fn config_maps(facts: &Facts) -> BTreeSet<(String, String)> {
    let launches = facts.workloads.iter().map(|workload| (&workload.namespace, &workload.launch));
    let launches = launches.chain(facts.pods.iter().map(|pod| (&pod.namespace, &pod.launch)));
    let mut wanted: BTreeSet<(String, String)> = launches
        .filter_map(|(namespace, launch)| match &launch.file {
            Some(ConfigFile::Entry { name, .. }) => Some((namespace.clone(), name.clone())),
            _ => None,
        })
        .collect();
    let system = |name: &str| (SYSTEM.to_owned(), name.to_owned());
    if facts.workloads.is_empty() && facts.pods.is_empty() {
        wanted.extend(USUAL.map(system));
    }
    for (agent, map) in [("cilium", "cilium-config"), ("antrea-agent", "antrea-config")] {
        let known = facts.reads.get(&Want::list(&resources::DAEMONSETS)) == Some(&ReadStatus::Complete);
        let mut homes: Vec<_> = facts.daemonsets.iter().filter_map(|title| title.split_once('/')).collect();
        homes.retain(|(_, name)| *name == agent);
        wanted.extend(homes.iter().map(|(namespace, _)| ((*namespace).to_owned(), map.to_owned())));
        if !known {
            wanted.insert(system(map));
        }
    }
    wanted
}

async fn list(session: &Session<'_>, want: Want, facts: &mut Facts) {
    let Want::List { resource, namespace, labels, .. } = &want else { return };
    let selection = Selection { namespace: namespace.as_deref(), labels: labels.as_deref(), fields: None };
    let mut bad = None;
    let each = &mut |item: Item<'_>| match item.value() {
        Ok(object) => facts.take_object(resource, &object),
        Err(error) => bad = Some(error.to_string()),
    };
    let status = session.cluster.list(resource, selection, each).await;
    facts.reads.insert(want, bad.map_or(status, ReadStatus::Partial));
}

async fn get(session: &Session<'_>, resource: &'static Resource, namespace: &str, name: &str, facts: &mut Facts) {
    let status = match session.cluster.get(resource, namespace, name).await {
        Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
            Ok(object) => {
                facts.take_object(resource, &object);
                ReadStatus::Complete
            }
            Err(error) => ReadStatus::Unreadable(error.to_string()),
        },
        Ok(None) => ReadStatus::Absent,
        Err(error) => error.into(),
    };
    facts.reads.insert(Want::get(resource, namespace, name), status);
}

async fn nodes(
    session: &Session<'_>,
    probes: &[Probe],
    facts: &mut Facts,
    keep: &mut dyn FnMut(&Facts, NodeAnswer),
) -> Result<(), Error> {
    let mut nowhere = BTreeSet::new();
    let mut take = |answer: NodeAnswer| {
        let node = answer.node.as_deref();
        match &answer.outcome {
            Outcome::Text(text) => facts.take_probe(node, answer.probe, text, &answer.file),
            Outcome::Absent(_) => facts.take_absent(node, answer.probe),
            // what nobody on the node can see is not missed: other signs tell the same
            Outcome::Unseen(why) => {
                facts.reading(node).unread.insert(answer.probe, why.clone());
            }
            Outcome::Unreadable(reason) => match node {
                Some(node) => {
                    facts.reading(Some(node)).unread.insert(answer.probe, reason.clone());
                    let source = answer.probe.file().to_owned();
                    facts.unreadable.push(Unreadable { source, node: Some(node.to_owned()), reason: reason.clone() });
                }
                None => {
                    nowhere.insert(reason.clone());
                }
            },
        }
        keep(facts, answer);
    };
    // offline, the same state may be there in several forms: read back in the order of the files
    if session.cluster.is_offline() {
        for answer in session.nodes.read_all(probes).await? {
            take(answer);
        }
    } else {
        session.nodes.read(probes, &mut take).await?;
    }
    for reason in nowhere {
        facts.unreadable.push(unreadable("nodes' own state", reason));
    }
    // a Windows node has none of it, which is no news
    let windows: BTreeSet<String> =
        facts.nodes.iter().filter(|(_, node)| node.is_windows()).map(|(name, _)| name.clone()).collect();
    facts.unreadable.retain(|entry| entry.node.as_ref().is_none_or(|node| !windows.contains(node)));
    Ok(())
}

/// The logs of pods that do not run, and of those that did not answer.
async fn logs(session: &Session<'_>, facts: &mut Facts) {
    let silent = |pod: &&ProxyPod| {
        let reading = facts.readings.get(&pod.node);
        let asked = reading.is_some_and(|reading| reading.unread.contains_key(&Probe::ProxyMode));
        session.nodes.chosen().has(&pod.node) && asked && reading.is_none_or(|reading| reading.proxy_mode.is_none())
    };
    let pods: Vec<ProxyPod> = facts.pods.iter().filter(silent).take(LOGS).cloned().collect();
    for pod in pods {
        let ended = pod.ready == Some(false) && pod.restarts > 0;
        let part = if ended { "previous=true&tailLines=60" } else { "limitBytes=65536" };
        let ProxyPod { namespace, name, container, node, .. } = &pod;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}&{part}");
        match session.cluster.raw(&path, "*/*").await {
            Ok(Some(text)) => facts.take_log(node, &text),
            Ok(None) | Err(ReadError::NotRecorded) => {}
            Err(error) => {
                let source = format!("log of pod {namespace}/{name}");
                facts.unreadable.push(Unreadable { source, node: None, reason: error.to_string() });
            }
        }
    }
}

fn unreadable(source: &str, reason: String) -> Unreadable {
    Unreadable { source: source.to_owned(), node: None, reason }
}

/// The tool said that legacy tables are there, which it does not show.
pub(crate) fn legacy_unread(node: Option<&String>) -> Unreadable {
    let reason =
        "legacy tables are there too, says `iptables-save`, and were not read: `iptables-legacy-save` shows them";
    Unreadable { source: Probe::IptablesLegacySave.file().to_owned(), node: node.cloned(), reason: reason.to_owned() }
}

/// Lists what was wanted and could not be read. What a dump does not hold of kinds that not every
/// cluster has is not missed.
fn note_unreadable(facts: &mut Facts) {
    let missed = |want: &Want, status: &ReadStatus| {
        let optional = match want {
            Want::List { resource, .. } => !resource.builtin,
            Want::Get { name, .. } => {
                USUAL.contains(&name.as_str()) || name == "cilium-config" || name == "antrea-config"
            }
            _ => false,
        };
        !(optional && status.is_unrecorded())
    };
    let failed: Vec<Unreadable> = facts
        .reads
        .iter()
        .filter(|(want, status)| missed(want, status))
        .filter_map(|(want, status)| match status {
            ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason) => {
                Some(unreadable(&want.to_string(), reason.clone()))
            }
            ReadStatus::Complete | ReadStatus::Absent => None,
        })
        .collect();
    facts.unreadable.extend(failed);
    let unread = facts.readings.iter().filter(|(_, reading)| reading.traces.legacy_unread);
    let unread: Vec<Unreadable> = unread.map(|(node, _)| legacy_unread((node != UNNAMED).then_some(node))).collect();
    facts.unreadable.extend(unread);
    facts.unreadable.sort();
    facts.unreadable.dedup();
}

/// Nodes that were asked for by name and are not there, or of which nothing could be read although it
/// was to be.
fn missing(session: &Session<'_>, facts: &Facts) -> Vec<Unreadable> {
    let named = session.input.nodes.iter();
    let why = |name: &String| {
        let read = facts.readings.get(name);
        if !facts.nodes.contains_key(name) && read.is_none() {
            return Some("asked for by name, not in the cluster".to_owned());
        }
        let reading = read?;
        let nothing = reading.proxy_mode.is_none() && reading.configz.is_none() && !reading.traces.is_known();
        reading.unread.values().next().filter(|_| nothing).cloned()
    };
    named
        .filter_map(|name| {
            let reason = why(name)?;
            Some(Unreadable { source: format!("node {name}"), node: Some(name.clone()), reason })
        })
        .collect()
}
