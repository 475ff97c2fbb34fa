//! Which nodes there are, and which pods on them a command can be run in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use netcore::cluster::{Item, ReadStatus, resources, wire};

use super::seat::{Seat, seats};
use crate::cluster::{Cluster, Selection};

/// Labels of the pods that a node has anyhow and that see its network.
const AGENTS: [&str; 3] = [
    "k8s-app in (kube-proxy,calico-node,canal,flannel,cilium,kube-router,aws-node,azure-cns,kindnet,tigera-operator)",
    "app in (flannel,kindnet,antrea,ovnkube-node,kube-ovn-cni,multus,terway-eniip,spiderpool-agent)",
    "component=kube-proxy",
];

/// A node, as far as reading it is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) ready: bool,
    pub(super) machine_id: String,
    pub(super) boot_id: String,
    pub(super) linux: bool,
    /// flannel annotates the nodes that it runs on.
    pub(super) flannel: bool,
}

impl Target {
    /// A node of which nothing is known but its name.
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ready: true, linux: true, ..Self::default() }
    }

    fn of(node: wire::Node) -> Option<Self> {
        let metadata = node.metadata?;
        let status = node.status.unwrap_or_default();
        let info = status.node_info.unwrap_or_default();
        let ready = |condition: &wire::NodeCondition| condition.r#type == "Ready" && condition.status == "True";
        Some(Self {
            name: metadata.name,
            ready: status.conditions.iter().any(ready),
            linux: info.operating_system.is_empty() || info.operating_system == "linux",
            machine_id: info.machine_id,
            boot_id: info.boot_id,
            flannel: metadata.annotations.keys().any(|key| key.contains("flannel") && key.ends_with("/backend-type")),
        })
    }
}

/// The nodes with these labels, or all, by name; and why they could not be listed.
pub(super) async fn nodes(cluster: &Cluster, labels: Option<&str>) -> Result<Vec<Target>, String> {
    let mut found = Vec::new();
    let mut bad = None;
    let each = &mut |item: Item<'_>| match item.lean::<wire::Node>() {
        Ok(node) => found.extend(Target::of(node)),
        Err(error) => bad = Some(error.to_string()),
    };
    let selection = Selection { labels, ..Selection::default() };
    // what a selector picks has to be picked again from a recording
    let status = match labels {
        Some(_) => cluster.list(&resources::NODES, selection, each).await,
        None => cluster.list_aside(&resources::NODES, selection, each).await,
    };
    match (status, bad) {
        (ReadStatus::Complete, None) => {
            found.sort_by(|a: &Target, b| a.name.cmp(&b.name));
            Ok(found)
        }
        (ReadStatus::Complete, Some(reason)) | (ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason), _) => {
            Err(reason)
        }
        (ReadStatus::Absent, _) => Err("the server has no nodes".to_owned()),
    }
}

/// The agents' running containers by node; and why some could not be listed.
pub(super) async fn agents(cluster: &Cluster) -> Result<HashMap<String, Vec<Seat>>, String> {
    let mut found: BTreeMap<(String, String, String), (String, Seat)> = BTreeMap::new();
    let mut failed = BTreeSet::new();
    for labels in AGENTS {
        let each = &mut |item: Item<'_>| {
            // a pod that cannot be understood is one pod less
            if let Ok(Some((node, seats))) = seats(item.bytes) {
                for seat in seats {
                    let key = (seat.namespace.clone(), seat.pod.clone(), seat.container.clone());
                    found.insert(key, (node.clone(), seat));
                }
            }
        };
        let selection = Selection { labels: Some(labels), ..Selection::default() };
        if let ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason) =
            cluster.list_aside(&resources::PODS, selection, each).await
        {
            failed.insert(reason);
        }
    }
    if let Some(reason) = failed.pop_first().filter(|_| found.is_empty()) {
        return Err(format!("no pod to exec into, for pods could not be listed: {reason}"));
    }
    let mut by_node: HashMap<String, Vec<Seat>> = HashMap::new();
    for (node, seat) in found.into_values() {
        by_node.entry(node).or_default().push(seat);
    }
    Ok(by_node)
}
