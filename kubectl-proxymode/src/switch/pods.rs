//! kube-proxy's pods as the API has them at a moment.

use std::collections::BTreeMap;

use netcore::{
    cluster::{Item, ReadStatus, resources},
    proxy::facts::Workload,
};
use plugin::cluster::{Cluster, Selection};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where kube-proxy's pods are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Home {
    /// Their namespace.
    pub(super) namespace: String,
    /// Their labels, as a selector.
    pub(super) labels: String,
}

impl Home {
    pub(super) fn of(workload: &Workload) -> Self {
        let labels: Vec<String> = workload.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Self { namespace: workload.namespace.clone(), labels: labels.join(",") }
    }
}

/// Which start of which pod it is: another one has read its configuration anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Start {
    /// The pod's uid.
    pub(super) uid: String,
    /// When its container started, RFC 3339.
    pub(super) started: String,
    /// How often its container was started again.
    pub(super) restarts: u64,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) start: Start,
    pub(super) ready: bool,
    /// Why its container does not run: `CrashLoopBackOff`.
    pub(super) waiting: String,
    /// The revision of its DaemonSet's template.
    pub(super) revision: String,
    pub(super) container: String,
    /// Whole, as JSON.
    pub(super) whole: Vec<u8>,
}

impl Pod {
    /// The pod and its node; nothing for one that is leaving or has none.
    fn of(bytes: &[u8]) -> Option<(String, Self)> {
        let whole: Value = serde_json::from_slice(bytes).ok()?;
        let text = |at: &str| whole.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let node = text("/spec/nodeName");
        let leaving = whole.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
        if leaving || node.is_empty() {
            return None;
        }
        let statuses = whole.pointer("/status/containerStatuses").and_then(Value::as_array);
        let statuses = || statuses.into_iter().flatten();
        let name_of = |status: &Value| status.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let own = statuses().find(|status| name_of(status).contains("kube-proxy")).or_else(|| statuses().next());
        let of_own = |at: &str| own.and_then(|own| own.pointer(at)?.as_str()).unwrap_or_default().to_owned();
        let waiting = of_own("/state/waiting/reason");
        let pod = Self {
            name: text("/metadata/name"),
            start: Start {
                uid: text("/metadata/uid"),
                started: of_own("/state/running/startedAt"),
                restarts: own.and_then(|own| own.get("restartCount")?.as_u64()).unwrap_or(0),
            },
            ready: own.and_then(|own| own.get("ready")?.as_bool()).unwrap_or(false),
            waiting: if waiting.is_empty() { of_own("/state/terminated/reason") } else { waiting },
            revision: text("/metadata/labels/controller-revision-hash"),
            container: own.map_or_else(|| "kube-proxy".to_owned(), name_of),
            whole: bytes.to_vec(),
        };
        Some((node, pod))
    }
}

/// The pods by node, of one node or of all; why they could not be read.
pub(super) async fn pods(cluster: &Cluster, home: &Home, node: Option<&str>) -> Result<BTreeMap<String, Pod>, String> {
    let mut found: BTreeMap<String, Pod> = BTreeMap::new();
    let each = &mut |item: Item<'_>| {
        if let Some((node, pod)) = Pod::of(item.bytes) {
            let worth = |pod: &Pod| (pod.ready, pod.start.started.clone());
            let better = found.get(&node).is_none_or(|known| worth(&pod) > worth(known));
            if better {
                found.insert(node, pod);
            }
        }
    };
    let fields = node.map(|node| format!("spec.nodeName={node}"));
    let selection =
        Selection { namespace: Some(&home.namespace), labels: Some(&home.labels), fields: fields.as_deref() };
    match cluster.list(&resources::PODS, selection, each).await {
        ReadStatus::Complete => Ok(found),
        ReadStatus::Absent => Err("the server has no pods".to_owned()),
        ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason) => Err(reason),
    }
}
