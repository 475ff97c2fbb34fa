//! One node whose kube-proxy was started anew: watched until it does what it was told, or does not.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use netcore::{
    cluster::{Item, ReadStatus, resources},
    probe::Probe,
    proxy::{
        Facts, Mode,
        verify::{self, Desired, KernelTexts, NodeFacts, VerifyState},
    },
};
use plugin::{
    cluster::{Cluster, ReadError, Selection},
    nodes::{NodeAnswer, NodeReader, Outcome},
    print::Say,
    question::Session,
};

use super::pods::{Home, Pod, Start, pods};
use crate::{services, verify as verifying};

/// How often a pod that is about to come up is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How many looks later what differs still is told.
const SETTLES: u32 = 3;
/// Why a container will not come up by being waited for.
const HOPELESS: [&str; 7] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// A node as it turned out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It does what it was told; what could not be seen of it.
    Runs(Option<String>),
    /// It came up, and says that it is in another mode: it had read the configuration as it was before.
    Stale(Start, String),
    /// The cluster has no such node any more.
    Gone,
}

/// What a node is to do.
pub(super) struct Expected<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) home: &'a Home,
    pub(super) mode: Mode,
    /// How long it may take.
    pub(super) timeout: Option<Duration>,
    /// A Service that is dead on the node makes it fail; on the way back it is only told, for there is no
    /// better place to go.
    pub(super) strict: bool,
    /// What is known of each node beside its kernel.
    pub(super) facts: &'a BTreeMap<String, NodeFacts>,
    /// What the API wants, as it was read last; where a node lacks something of it, it is read anew.
    pub(super) desired: &'a RefCell<Option<Desired>>,
}

impl Expected<'_> {
    /// Waits until the node's kube-proxy, another one than `before`, runs in the mode, has written its rules
    /// and the kernel has them. `pause` is called between two looks, and ends the waiting with its reason.
    pub(super) async fn watch(
        &self,
        node: &str,
        before: Option<&Start>,
        pause: &mut impl AsyncFnMut(Duration) -> Result<(), String>,
    ) -> Result<Seen, String> {
        let since = Instant::now();
        let mut last = "its pod did not come back".to_owned();
        let mut differed = 0;
        loop {
            match pods(self.session.cluster, self.home, Some(node)).await {
                Ok(found) => {
                    match found.get(node).filter(|pod| before.is_none_or(|before| pod.start.uid != before.uid)) {
                        Some(pod) => match self.look(node, pod).await {
                            Look::Runs(unseen) => return Ok(Seen::Runs(unseen)),
                            Look::Stale(said) => return Ok(Seen::Stale(pod.start.clone(), said)),
                            Look::Failed(why) => return Err(why),
                            // one family's rules may be written a moment before the other's
                            Look::Differs(text) => {
                                differed += 1;
                                let late = self.timeout.is_some_and(|timeout| since.elapsed() >= timeout);
                                if late || differed > SETTLES {
                                    return Ok(Seen::Runs(Some(text)));
                                }
                                last = text;
                            }
                            Look::NotYet(why) => last = why,
                        },
                        None => match node_state(self.session.cluster, node).await {
                            NodeState::Gone => return Ok(Seen::Gone),
                            NodeState::NotReady => "the node is not Ready".clone_into(&mut last),
                            NodeState::Ready | NodeState::Unknown => "its pod did not come back".clone_into(&mut last),
                        },
                    }
                }
                Err(reason) => last = reason,
            }
            if self.timeout.is_some_and(|timeout| since.elapsed() >= timeout) {
                return Err(format!("{last}, in {}s", since.elapsed().as_secs()));
            }
            pause(LOOK).await?;
        }
    }

    async fn look(&self, node: &str, pod: &Pod) -> Look {
        if HOPELESS.contains(&pod.waiting.as_str()) {
            let why = self.last_words(pod).await;
            return Look::Failed(format!("its pod is in {}{why}", pod.waiting));
        }
        if !pod.ready {
            let why = if pod.waiting.is_empty() { String::new() } else { format!(": {}", pod.waiting) };
            return Look::NotYet(format!("its pod is not Ready{why}"));
        }
        let Session { cluster, input, .. } = self.session;
        let quiet = Say::nothing();
        let reader = match NodeReader::of_pod(cluster, input, &quiet, node, &pod.whole) {
            Ok(reader) => reader,
            Err(reason) => return Look::NotYet(reason),
        };
        let answers = match reader.read_all(&[Probe::ProxyMode, Probe::ProxyMetrics]).await {
            Ok(answers) => answers,
            Err(error) => return Look::NotYet(error.to_string()),
        };
        match said(&answers, Probe::ProxyMode) {
            Ok(text) if text.trim() == self.mode.name() => {}
            Ok(text) => return Look::Stale(text.trim().to_owned()),
            Err(why) => return Look::NotYet(format!("kube-proxy does not say its mode: {why}")),
        }
        if let Ok(metrics) = said(&answers, Probe::ProxyMetrics)
            && synced(metrics) == Some(false)
        {
            return Look::NotYet("kube-proxy has not written its rules yet".to_owned());
        }
        self.kernel(node, &reader).await
    }

    /// Whether the kernel has the mode's rules, the Service that every cluster has in them, and every
    /// address that the API wants.
    async fn kernel(&self, node: &str, reader: &NodeReader<'_>) -> Look {
        let answers = match reader.read_all(verify::PROBES).await {
            Ok(answers) => answers,
            Err(error) => return Look::Runs(Some(error.to_string())),
        };
        let mut facts = Facts::default();
        let mut unread = None;
        for answer in &answers {
            match &answer.outcome {
                Outcome::Text(text) => facts.take_probe(Some(node), answer.probe, text, &answer.file),
                Outcome::Absent(_) => facts.take_absent(Some(node), answer.probe),
                Outcome::Unseen(why) | Outcome::Unreadable(why) if of_kernel(self.mode).contains(&answer.probe) => {
                    unread = unread.or(Some(why.clone()));
                }
                Outcome::Unseen(_) | Outcome::Unreadable(_) => {}
            }
        }
        let reading = facts.readings.get(node);
        let shows = reading.is_some_and(|reading| reading.traces.modes().iter().any(|(of, _)| *of == self.mode));
        let api = services::held(answers.clone()).into_iter().any(|held| {
            let named = held.service.as_ref();
            let is_api = named.is_some_and(|port| port.namespace == "default" && port.name == "kubernetes");
            !held.backends.is_empty() && (is_api || self.mode == Mode::Ipvs)
        });
        match (shows, api, unread) {
            (true, true, _) => self.against_the_api(node, answers).await,
            (_, _, Some(why)) => Look::Runs(Some(format!("its kernel could not be read: {why}"))),
            (false, ..) => Look::NotYet(format!("the kernel has no rules of {} mode", self.mode)),
            (true, false, None) => Look::NotYet("the kernel does not have default/kubernetes yet".to_owned()),
        }
    }

    /// An address that the API wants and the kernel lacks is a Service that is dead on the node; what else
    /// differs is told.
    async fn against_the_api(&self, node: &str, answers: Vec<NodeAnswer>) -> Look {
        let known = self.desired.take();
        let desired = match known {
            Some(desired) => desired,
            None => match verifying::desired(self.session).await {
                Ok(desired) => desired,
                Err(error) => return Look::Runs(Some(format!("its rules could not be compared: {error}"))),
            },
        };
        let mut kernel = KernelTexts::default();
        for answer in answers {
            verifying::put(&mut kernel, answer);
        }
        let mut facts = self.facts.get(node).cloned().unwrap_or_default();
        node.clone_into(&mut facts.name);
        facts.mode = Some(self.mode);
        let verdict = verify::verify(&facts, kernel, &desired);
        if let Some(first) = verdict.missing.first() {
            let text = format!("{} addresses are not in the kernel: {}", verdict.missing.len(), first.in_short());
            // it may have changed since: the next look asks the API, too
            return if self.strict { Look::NotYet(text) } else { Look::Runs(Some(text)) };
        }
        let differ = verdict.stale.len() + verdict.wrong.len();
        if differ == 0 {
            self.desired.replace(Some(desired));
        }
        match (differ, verdict.state) {
            (0, VerifyState::Verified) => Look::Runs(None),
            (0, _) if verdict.checked > 0 => Look::Runs(None),
            (0, _) => Look::Runs(verdict.reason.map(|why| format!("its rules were not compared: {why}"))),
            (n, _) => {
                Look::Differs(format!("{n} addresses differ from the API: `kubectl proxymode verify` shows them"))
            }
        }
    }

    /// Why a container ended, by its log.
    async fn last_words(&self, pod: &Pod) -> String {
        let part = "previous=true&tailLines=60";
        let Home { namespace, .. } = self.home;
        let Pod { name, container, .. } = pod;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}&{part}");
        let Ok(Some(text)) = self.session.cluster.raw(&path, "*/*").await else { return String::new() };
        let mut facts = Facts::default();
        facts.take_log("", &text);
        let error = facts.readings.remove("").and_then(|reading| reading.log_error);
        error.map(|error| format!(": {error}")).unwrap_or_default()
    }
}

enum Look {
    Runs(Option<String>),
    /// It runs, and its rules are not all as the API asks.
    Differs(String),
    Stale(String),
    Failed(String),
    NotYet(String),
}

fn said(answers: &[NodeAnswer], probe: Probe) -> Result<&str, String> {
    match answers.iter().find(|answer| answer.probe == probe).map(|answer| &answer.outcome) {
        Some(Outcome::Text(text)) => Ok(text),
        Some(Outcome::Absent(why) | Outcome::Unseen(why) | Outcome::Unreadable(why)) => Err(why.clone()),
        None => Err("no answer".to_owned()),
    }
}

/// Whether kube-proxy has written its rules once, by its metrics: its health check says yes long before.
/// Nothing where it has no such metric.
fn synced(metrics: &str) -> Option<bool> {
    const LAST: &str = "kubeproxy_sync_proxy_rules_last_timestamp_seconds";
    let values = metrics.lines().filter(|line| line.starts_with(LAST)).filter_map(|line| line.rsplit_once(' '));
    let values: Vec<f64> = values.filter_map(|(_, value)| value.parse().ok()).collect();
    if values.is_empty() {
        // a family's comes with its first sync
        return metrics.contains("\nkubeproxy_").then_some(false);
    }
    Some(values.iter().all(|value| *value > 0.0))
}

const fn of_kernel(mode: Mode) -> &'static [Probe] {
    match mode {
        Mode::Nftables => &[Probe::NftRuleset],
        Mode::Ipvs => &[Probe::IpvsTable, Probe::IptablesSave],
        _ => &[Probe::IptablesSave, Probe::Ip6tablesSave, Probe::IptablesLegacySave, Probe::Ip6tablesLegacySave],
    }
}

enum NodeState {
    Ready,
    NotReady,
    Gone,
    Unknown,
}

async fn node_state(cluster: &Cluster, node: &str) -> NodeState {
    match cluster.get(&resources::NODES, "", node).await {
        Ok(None) => NodeState::Gone,
        Ok(Some(bytes)) => {
            let ready = Item::json(&bytes).value().ok().and_then(|node| {
                let conditions = node.pointer("/status/conditions")?.as_array()?.clone();
                conditions
                    .iter()
                    .find(|c| c.get("type").is_some_and(|t| t == "Ready"))
                    .map(|c| c.get("status").is_some_and(|status| status == "True"))
            });
            if ready == Some(false) { NodeState::NotReady } else { NodeState::Ready }
        }
        Err(ReadError::Forbidden(_)) => {
            // whoever may list nodes may not get one
            let mut there = false;
            let fields = format!("metadata.name={node}");
            let each = &mut |_: Item<'_>| there = true;
            let selection = Selection { fields: Some(&fields), ..Selection::default() };
            match cluster.list(&resources::NODES, selection, each).await {
                ReadStatus::Complete if !there => NodeState::Gone,
                _ => NodeState::Unknown,
            }
        }
        Err(_) => NodeState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sync_shows_in_the_metrics() {
        let line = |value: &str| format!("kubeproxy_sync_proxy_rules_last_timestamp_seconds {value}\n");
        assert_eq!(synced(&line("0")), Some(false));
        assert_eq!(synced(&line("1.7e+09")), Some(true));
        let families = "kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"} 1.7e+09\n\
            kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv6\"} 0\n";
        assert_eq!(synced(families), Some(false), "both families");
        assert_eq!(synced("# HELP x\nkubeproxy_sync_proxy_rules_duration_seconds_count 0\n"), Some(false));
        assert_eq!(synced(""), None, "no metrics of kube-proxy");
    }
}
