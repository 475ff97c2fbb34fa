//! Reads what tells of network plugins: their workloads, ConfigMaps and kinds, what is left of
//! PodSecurityPolicy, and the nodes themselves.

use std::collections::BTreeSet;

use netcore::{
    cluster::{Item, ReadStatus, Resource, resources, wire},
    cni::{Facts, Kind, catalogue::ROWS},
    finding::Unreadable,
    probe::Probe,
    ranges::Want,
};
use plugin::{
    cluster::{ReadError, Selection},
    nodes::{NodeAnswer, Outcome},
    question::{Answer, Error, Session},
};
use serde_json::Value;

/// What a dump would have to hold to be of use.
const WOULD_DO: &str =
    "its DaemonSets, ConfigMaps or Nodes, or a node's CNI conf, ip-addr, ip-route, iptables-save or birdcl output";

const SYSTEM: &str = "kube-system";
/// ConfigMaps that are asked for where no DaemonSet leads to one.
const USUAL: [(&str, &str); 11] = [
    (SYSTEM, "calico-config"),
    (SYSTEM, "canal-config"),
    ("kube-flannel", "kube-flannel-cfg"),
    (SYSTEM, "kube-flannel-cfg"),
    (SYSTEM, "cilium-config"),
    (SYSTEM, "antrea-config"),
    (SYSTEM, "kube-router-cfg"),
    (SYSTEM, "amazon-vpc-cni"),
    (SYSTEM, "eni-config"),
    (SYSTEM, "kube-proxy"),
    (SYSTEM, "kube-proxy-config"),
];
/// Labels of agents' pods, where DaemonSets may not be listed.
const PODS: [(&str, &str); 5] = [
    (SYSTEM, "k8s-app=calico-node"),
    ("calico-system", "k8s-app=calico-node"),
    ("kube-flannel", "app=flannel"),
    (SYSTEM, "app=flannel"),
    (SYSTEM, "k8s-app=cilium"),
];

/// Kinds of network plugins that are read whole.
static KINDS: [&Resource; 11] = [
    &resources::TIGERA_INSTALLATIONS,
    &resources::CALICO_IPPOOLS_V3,
    &resources::CALICO_IPPOOLS_V1,
    &resources::CALICO_FELIXCONFIGURATIONS_V3,
    &resources::CALICO_FELIXCONFIGURATIONS_V1,
    &resources::CALICO_BGPCONFIGURATIONS_V3,
    &resources::CALICO_BGPCONFIGURATIONS_V1,
    &resources::CALICO_CLUSTERINFORMATIONS_V3,
    &resources::CALICO_CLUSTERINFORMATIONS_V1,
    &resources::OPENSHIFT_CONFIG_NETWORKS,
    &resources::OPENSHIFT_OPERATOR_NETWORKS,
];

/// Kinds of Calico about BGP.
static BGP_KINDS: [&Resource; 6] = [
    &resources::CALICO_BGPPEERS_V3,
    &resources::CALICO_BGPPEERS_V1,
    &resources::CALICO_BLOCKAFFINITIES_V3,
    &resources::CALICO_BLOCKAFFINITIES_V1,
    &resources::CALICO_NODESTATUSES_V3,
    &resources::CALICO_NODESTATUSES_V1,
];

/// What of the API a command reads beside Nodes, DaemonSets and agents' pods.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wants {
    /// Settings: ConfigMaps and the plugins' own kinds.
    pub(crate) settings: bool,
    /// What is left of PodSecurityPolicy.
    pub(crate) policies: bool,
    /// Calico's peers, affinities of blocks, and what its nodes say of themselves.
    pub(crate) bgp: bool,
}

/// Reads what tells of network plugins, and these probes of every node that was chosen.
pub(crate) async fn gather(session: &Session<'_>, wants: Wants, probes: &[Probe]) -> Result<Facts, Error> {
    let mut facts = Facts::default();
    api(session, wants, &mut facts).await;
    nodes(session, probes, &mut facts).await?;
    note_unreadable(&mut facts);
    let silent = facts.nodes.is_empty()
        && facts.agents.is_empty()
        && facts.config_maps.is_empty()
        && facts.settings.is_empty()
        && facts.groups.is_empty()
        && facts.policies.leftovers().is_empty()
        && facts.readings.is_empty();
    if silent {
        let reason = match facts.reads.get(&Want::list(&resources::NODES)) {
            Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) => reason.clone(),
            _ => ReadStatus::NOT_RECORDED.to_owned(),
        };
        return Err(Error::nothing(&reason, session.input, "a network plugin", WOULD_DO));
    }
    Ok(facts)
}

/// The answer's head out of the facts; `body` is the kind's own.
pub(crate) fn answer<Body>(session: &Session<'_>, facts: &mut Facts, body: Body) -> Answer<Body> {
    let distribution = netcore::proxy::configured::of_all(&facts.proxy).distribution;
    Answer {
        body,
        findings: Vec::new(),
        missing: missing(session, facts),
        unreadable: std::mem::take(&mut facts.unreadable),
        version: facts.version.clone(),
        uid: facts.proxy.uid.clone(),
        distribution,
    }
}

async fn api(session: &Session<'_>, wants: Wants, facts: &mut Facts) {
    version_and_groups(session, facts).await;
    let mut bad = None;
    let each = &mut |item: Item<'_>| match item.lean::<wire::Node>() {
        Ok(node) => facts.take_node(&node),
        Err(error) => bad = Some(error.to_string()),
    };
    let status = session.cluster.list(&resources::NODES, Selection::default(), each).await;
    facts.reads.insert(Want::list(&resources::NODES), bad.map_or(status, ReadStatus::Partial));
    list(session, Want::list(&resources::DAEMONSETS), facts).await;
    if wants.settings {
        list(session, Want::list(&resources::DEPLOYMENTS), facts).await;
    }
    pods(session, facts).await;
    let homes: BTreeSet<String> =
        facts.agents.iter().map(|agent| agent.namespace.clone()).chain([SYSTEM.to_owned()]).collect();
    for namespace in &homes {
        get(session, &resources::NAMESPACES, "", namespace, facts).await;
    }
    if wants.settings {
        for (namespace, name) in config_maps(facts) {
            get(session, &resources::CONFIGMAPS, &namespace, &name, facts).await;
        }
        for resource in KINDS {
            list(session, Want::list(resource), facts).await;
        }
    }
    if wants.bgp {
        for resource in BGP_KINDS {
            list(session, Want::list(resource), facts).await;
        }
    }
    if wants.policies {
        for resource in [&resources::PODSECURITYPOLICIES, &resources::CLUSTERROLES, &resources::CLUSTERROLEBINDINGS] {
            list(session, Want::list(resource), facts).await;
        }
        // a cluster may have ten thousands of these; those of the plugins' own namespaces are looked at
        for namespace in homes {
            for resource in [&resources::ROLES, &resources::ROLEBINDINGS] {
                let want = Want::List { resource, namespace: Some(namespace.clone()), labels: None, fields: None };
                list(session, want, facts).await;
            }
        }
    }
}

async fn version_and_groups(session: &Session<'_>, facts: &mut Facts) {
    let cluster = session.cluster;
    match cluster.raw("/version", "application/json").await {
        Ok(Some(text)) => {
            let version = serde_json::from_str::<Value>(&text).ok();
            facts.version = version.and_then(|value| Some(value.get("gitVersion")?.as_str()?.to_owned()));
            facts.proxy.version.clone_from(&facts.version);
        }
        Ok(None) | Err(ReadError::NotRecorded) => {}
        Err(error) => facts.unreadable.push(unreadable("/version", error.to_string())),
    }
    // a dump's groups are those of the objects that it holds, which say it themselves
    let dump = cluster.snapshot().is_some_and(|snapshot| snapshot.info().recording.is_none());
    if !dump && let Ok(Some(text)) = cluster.raw("/apis", "application/json").await {
        facts.take_groups(&text);
    }
}

/// The pods of the agents that were found.
async fn pods(session: &Session<'_>, facts: &mut Facts) {
    let of_agents: BTreeSet<(String, String)> = facts
        .agents
        .iter()
        .filter(|agent| !agent.selector.is_empty())
        .map(|agent| {
            let labels: Vec<String> = agent.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            (agent.namespace.clone(), labels.join(","))
        })
        .collect();
    let mut wanted: Vec<(String, String)> = of_agents.into_iter().collect();
    if wanted.is_empty() && !facts.workloads_were_read() {
        wanted.extend(PODS.map(|(namespace, labels)| (namespace.to_owned(), labels.to_owned())));
    }
    for (namespace, labels) in wanted {
        list(session, Want::labelled(&resources::PODS, namespace, labels), facts).await;
    }
}

/// The ConfigMaps that agents mount or take variables from, and kube-proxy's.
fn config_maps(facts: &Facts) -> BTreeSet<(String, String)> {
    let mut wanted = facts.mounted.clone();
    for workload in &facts.proxy.workloads {
        if let Some(netcore::proxy::launch::ConfigFile::Entry { name, .. }) = &workload.launch.file {
            wanted.insert((workload.namespace.clone(), name.clone()));
        }
    }
    // an agent's own, where its pod does not mount it: Cilium reads it through the API
    for agent in &facts.agents {
        let row = agent.kind.row();
        let named = row.config_maps.iter().filter(|name| !name.ends_with('*'));
        wanted.extend(named.map(|name| (agent.namespace.clone(), (*name).to_owned())));
        if agent.kind == Kind::GkeDataplaneV2 {
            wanted.insert((agent.namespace.clone(), "cilium-config".to_owned()));
        }
    }
    // leftovers of plugins that have no workload any more, and clusters whose workloads are not told
    wanted.extend(USUAL.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())));
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

async fn nodes(session: &Session<'_>, probes: &[Probe], facts: &mut Facts) -> Result<(), Error> {
    let mut nowhere = BTreeSet::new();
    let mut take = |answer: NodeAnswer| {
        let node = answer.node.as_deref();
        match answer.outcome {
            Outcome::Text(text) => facts.take_probe(node, answer.probe, &text, &answer.file),
            Outcome::Absent(_) => facts.take_absent(node, answer.probe),
            // what nobody on the node can see is not missed: other signs tell the same
            Outcome::Unseen(why) => {
                facts.reading(node).unread.insert(answer.probe, why);
            }
            Outcome::Unreadable(reason) => match answer.node {
                Some(node) => {
                    facts.reading(Some(&node)).unread.insert(answer.probe, reason.clone());
                    let source = answer.probe.file().to_owned();
                    facts.unreadable.push(Unreadable { source, node: Some(node), reason });
                }
                None => {
                    nowhere.insert(reason);
                }
            },
        }
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

fn unreadable(source: &str, reason: String) -> Unreadable {
    Unreadable { source: source.to_owned(), node: None, reason }
}

/// Lists what was wanted and could not be read. What a dump does not hold of things that not every
/// cluster has is not missed.
fn note_unreadable(facts: &mut Facts) {
    let missed = |want: &Want, status: &ReadStatus| {
        let optional = match want {
            Want::List { resource, namespace, labels, .. } => {
                !resource.builtin
                    || namespace.is_some()
                    || labels.is_some()
                    || **resource == resources::DEPLOYMENTS
                    || **resource == resources::CLUSTERROLEBINDINGS
            }
            Want::Get { resource, name, .. } => {
                let usual = USUAL.iter().any(|(_, usual)| usual == name);
                usual
                    || **resource == resources::NAMESPACES
                    || ROWS.iter().any(|row| row.config_maps.contains(&name.as_str()))
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
    facts.unreadable.append(&mut facts.proxy.unreadable);
    facts.unreadable.sort();
    facts.unreadable.dedup();
}

/// Nodes that were asked for by name and are not there, or of which nothing could be read although it
/// was to be.
fn missing(session: &Session<'_>, facts: &Facts) -> Vec<Unreadable> {
    let why = |name: &String| {
        let read = facts.readings.get(name);
        if !facts.nodes.contains_key(name) && read.is_none() {
            return Some("asked for by name, not in the cluster".to_owned());
        }
        let reading = read?;
        reading.unread.values().next().filter(|_| reading.files.is_empty()).cloned()
    };
    let entry = |name: &String| {
        let reason = why(name)?;
        Some(Unreadable { source: format!("node {name}"), node: Some(name.clone()), reason })
    };
    session.input.nodes.iter().filter_map(entry).collect()
}
