//! Which mode a node's kube-proxy is in, and what shows it: the strongest sign first, each kept.

use std::cmp::Ordering;

use serde::Serialize;

use super::{Mode, configured, facts::Facts};
use crate::ranges::Confidence;

/// One sign of a node's mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evidence {
    /// Where it was seen: `proxyMode`, `configz`, `metrics`, `kernel`, `log`, `pod-start`.
    pub probe: &'static str,
    /// What it says, in words; a mode's name first where it tells one.
    pub says: String,
    /// How much it is worth.
    pub confidence: Confidence,
    /// The mode that it tells.
    #[serde(skip)]
    pub mode: Option<Mode>,
}

impl Evidence {
    fn new(probe: &'static str, confidence: Confidence, mode: Option<Mode>, words: &str) -> Self {
        let says = match mode {
            Some(mode) if words.is_empty() => mode.to_string(),
            Some(mode) => format!("{mode}: {words}"),
            None => words.to_owned(),
        };
        Self { probe, says, confidence, mode }
    }
}

/// Every sign of a node's mode, the strongest first.
pub fn of_node(facts: &Facts, node: &str) -> Vec<Evidence> {
    let mut found = Vec::new();
    let reading = facts.readings.get(node);
    if let Some((text, _)) = reading.and_then(|reading| reading.proxy_mode.as_ref()) {
        let mode = text.parse().ok();
        let words = if mode.is_none() { format!("`{text}`, which is no mode") } else { String::new() };
        found.push(Evidence::new("proxyMode", Confidence::A, mode, &words));
    }
    if let Some(config) = reading.and_then(|reading| reading.configz.as_ref()) {
        let mode = config.mode.parse().ok();
        let words = if mode.is_none() { "no mode in it" } else { "" };
        found.push(Evidence::new("configz", Confidence::A, mode, words));
    }
    if let Some(mode) = reading.and_then(|reading| reading.metrics.as_ref()?.mode) {
        found.push(Evidence::new("metrics", Confidence::A, Some(mode), "by the metrics that are there"));
    }
    found.extend(reading.and_then(|reading| kernel(&reading.traces)));
    if let Some((mode, line)) = reading.and_then(|reading| reading.log_mode.as_ref()) {
        found.push(Evidence::new("log", Confidence::C, Some(*mode), line));
    }
    found.extend(pod_start(facts, node));
    found
}

fn kernel(traces: &super::traces::Traces) -> Option<Evidence> {
    let modes = traces.modes();
    match modes.as_slice() {
        [] if traces.chains.is_some() && traces.tables.is_some() => {
            Some(Evidence::new("kernel", Confidence::B, None, "nothing of kube-proxy's"))
        }
        [] => None,
        [(mode, shown)] => Some(Evidence::new("kernel", Confidence::B, Some(*mode), shown)),
        several => {
            let several: Vec<String> = several.iter().map(|(mode, shown)| format!("{mode} ({shown})")).collect();
            Some(Evidence::new("kernel", Confidence::B, None, &format!("traces of {}", several.join(" and of "))))
        }
    }
}

/// A pod that started after the last change runs what is configured; one that started before runs what
/// was configured then, which nobody knows any words.
fn pod_start(facts: &Facts, node: &str) -> Option<Evidence> {
    let pod = facts.pod_on(node)?;
    let told = configured::of_node(facts, node).ok()?;
    let started = pod.started.as_deref()?;
    let changed = told.configuration?.changed.as_deref()?;
    match started.cmp(changed) {
        Ordering::Greater => {
            let words = format!("its pod started {started}, after the last change of its configuration at {changed}");
            Some(Evidence::new("pod-start", Confidence::D, told.mode, &words))
        }
        Ordering::Less => {
            let words = format!("its pod started {started}, before its configuration was changed at {changed}");
            Some(Evidence::new("pod-start", Confidence::D, None, &words))
        }
        // the API's times are whole seconds: which came first is not known
        Ordering::Equal => None,
    }
}

/// The mode that the signs show: that of the strongest. What the kernel has is frozen where kube-proxy
/// does not run, and shows no mode then.
pub fn effective(evidence: &[Evidence], runs: bool) -> Option<Mode> {
    evidence.iter().filter(|sign| runs || sign.confidence == Confidence::A).find_map(|sign| sign.mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Probe;

    #[test]
    fn the_strongest_sign_decides_and_all_are_kept() {
        let mut facts = Facts::default();
        facts.take_probe(Some("n1"), Probe::ProxyMode, "iptables", "nodes/n1/proxyMode");
        facts.take_probe(Some("n1"), Probe::NftRuleset, "table ip kube-proxy {\n}\n", "nodes/n1/nft");
        let found = of_node(&facts, "n1");
        assert_eq!(found.len(), 2);
        assert_eq!(effective(&found, true), Some(Mode::Iptables));
        assert_eq!(found[1].says, "nftables: table kube-proxy of ip");
    }

    #[test]
    fn what_the_kernel_keeps_of_a_dead_kube_proxy_is_no_mode() {
        let mut facts = Facts::default();
        facts.take_probe(Some("n1"), Probe::NftRuleset, "table ip kube-proxy {\n}\n", "nodes/n1/nft");
        let found = of_node(&facts, "n1");
        assert_eq!((effective(&found, true), effective(&found, false)), (Some(Mode::Nftables), None));
    }
}
