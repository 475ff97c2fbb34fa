//! Checks of single nodes; equal findings of many nodes are one.

use super::{Check, Cluster};
use crate::{
    finding::{FindingDoc, Severity},
    proxy::{
        Mode, Version,
        report::{NodeRow, ProxyState},
        traces::Leftover,
    },
    ranges::{Confidence, checks::Findings},
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "PROXY-001",
            title: "a node runs another mode than it is configured for",
            severity: "warning",
            formula: "the node's effective mode is known and is not the mode that its kube-proxy's configuration has now",
            example: "node-7: runs iptables, is configured for nftables",
            remedy: "kube-proxy reads its configuration when it starts: restart its pod on the node (kubectl -n kube-system \
                     delete pod NAME) to have the configured mode, after `kubectl proxymode preflight MODE`; or set the \
                     configuration back",
        },
        run: other_mode,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-002",
            title: "the signs of a node's mode disagree",
            severity: "warning",
            formula: "two signs tell different modes: kube-proxy's own answers (/proxyMode, /configz, metrics), the kernel's \
                      state where only one mode has traces, the log",
            example: "node-7: proxyMode says nftables, kernel says iptables: 61 of its own chains",
            remedy: "right after a start the first sync may not be through: ask again after a minute. If it stays, \
                     `kubectl proxymode verify --node NAME` says which rules are wrong, and kube-proxy's log says why",
        },
        run: disagreement,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-003",
            title: "kube-proxy does not run on a node",
            severity: "error",
            formula: "its pod is there, not ready, and waits or was started again, and /proxyMode does not answer",
            example: "node-7: CrashLoopBackOff after 14 restarts: can't use the IPVS proxier: ipvs not supported",
            remedy: "the rules in the kernel stay as they were and follow no change any more. Where the kernel cannot do the \
                     configured mode, set the mode back (`kubectl proxymode` shows where it is set) and delete the pod; else \
                     see kubectl -n NAMESPACE logs POD --previous",
        },
        run: not_running,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-004",
            title: "a node without kube-proxy",
            severity: "error where the node is Ready, info where it is not",
            formula: "a Linux node without a pod of kube-proxy, where a DaemonSet runs kube-proxy, all its pods were read, and \
                      nobody is known to forward Services in its place",
            example: "node-7 has no pod of kube-proxy",
            remedy: "see why the DaemonSet has none there: kubectl -n kube-system describe ds kube-proxy (node selector, \
                     tolerations), and the node's own conditions",
        },
        run: absent,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-005",
            title: "a mode that is not running left its rules",
            severity: "warning",
            formula: "chains, sets, virtual servers, the link kube-ipvs0 or the nftables tables of another mode than the one in \
                      effect. Chains that the kubelet makes (KUBE-FIREWALL, KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT, marks, \
                      KUBE-POSTROUTING) do not count",
            example: "node-7 runs iptables; link kube-ipvs0, 57 virtual servers in ipvs, 17 sets in ipset",
            remedy: "frozen rules go on refusing or misdirecting traffic: `kubectl proxymode cleanup` shows what would be \
                     removed; a reboot of the drained node removes all of it",
        },
        run: leftover,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-006",
            title: "both backends of iptables hold kube-proxy's rules",
            severity: "warning",
            formula: "chain KUBE-SERVICES of table nat has rules in the legacy and in the nft backend of one node, and \
                      iptables or ipvs is in effect",
            example: "node-7: KUBE-SERVICES in legacy and in nft",
            remedy: "one of them is frozen and may send traffic to pods that are gone: reboot the drained node, or remove the \
                     chains of the backend that kube-proxy does not write (its counters stand still)",
        },
        run: both_backends,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-007",
            title: "a kube-proxy takes itself for another node",
            severity: "error",
            formula: "the hostnameOverride in a node's /configz is not the node's name",
            example: "node-7 takes itself for node master1: endpoints of master1 are the local ones to it",
            remedy: "have the DaemonSet pass --hostname-override=$(NODE_NAME), which alone beats the file, and empty \
                     hostnameOverride in the file; then restart the pods",
        },
        run: other_name,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-008",
            title: "the kernel is too old for the mode",
            severity: "error",
            formula: "nftables is configured or in effect on a node whose kernel is older than 5.13",
            example: "node-7: nftables is configured, its kernel is 4.18.0-553.el8.x86_64",
            remedy: "upgrade the node's system, or have it run another mode; from its next start kube-proxy removes the other \
                     modes' rules and then ends",
        },
        run: old_kernel,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-009",
            title: "a kube-proxy runs with other settings than configured",
            severity: "warning",
            formula: "/configz and the configuration file differ in clusterCIDR, nodePortAddresses, masqueradeAll, or in ipvs mode \
                      in scheduler, excludeCIDRs, strictARP, where the file sets them; or the pod started before the file's \
                      last change",
            example: "node-7: nodePortAddresses: runs with ``, is configured with `10.0.0.0/8`",
            remedy: "kube-proxy does not follow changes of its ConfigMap: restart its pods (kubectl -n kube-system rollout \
                     restart ds/kube-proxy)",
        },
        run: other_settings,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-010",
            title: "kube-proxy's version is out of step",
            severity: "error where it is newer than the API server, warning where it is more than three minor versions older",
            formula: "the minor version of a node's kube-proxy against the API server's",
            example: "node-7: kube-proxy v1.37.0, API server v1.36.3",
            remedy: "set the image of kube-proxy's DaemonSet to the API server's version",
        },
        run: skew,
    },
];

fn add<'a>(
    findings: &mut Findings<'_>,
    severity: Severity,
    found: impl IntoIterator<Item = (&'a NodeRow, String, Vec<String>)>,
) {
    findings
        .add_of_nodes(severity, found.into_iter().map(|(node, message, evidence)| (&*node.name, message, evidence)));
}

/// Each sign, as evidence.
fn signs(node: &NodeRow) -> Vec<String> {
    node.evidence.iter().map(|sign| format!("{} {}: {}", node.name, sign.probe, sign.says)).collect()
}

fn other_mode(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter_map(|node| {
        let (is, to_be) = (node.effective?, node.configured?);
        (is != to_be).then(|| (node, format!("runs {is}, is configured for {to_be}"), signs(node)))
    });
    add(findings, Severity::Warning, found);
}

fn disagreement(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter_map(|node| {
        // when a pod started is no sign of what another sign contradicts
        let telling = || node.evidence.iter().filter(|sign| sign.confidence != Confidence::D && sign.mode.is_some());
        let first = telling().next()?;
        let other = telling().find(|sign| sign.mode != first.mode)?;
        let (a, b) = (first.mode?, other.mode?);
        Some((node, format!("{} says {a}, {} says {b}", first.probe, other.probe), signs(node)))
    });
    add(findings, Severity::Warning, found);
}

fn not_running(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter(|node| node.state == ProxyState::Failing).filter_map(|node| {
        let pod = cluster.facts.pod_on(&node.name)?;
        let reading = cluster.facts.readings.get(&node.name);
        let why = pod.waiting.clone().unwrap_or_else(|| "its container is not ready".to_owned());
        let message = match reading.and_then(|reading| reading.log_error.as_ref()) {
            Some(error) => format!("kube-proxy does not run: {why}: {error}"),
            None => format!("kube-proxy does not run: {why}"),
        };
        let mut evidence = vec![format!("pod {}/{}: {} restarts", pod.namespace, pod.name, pod.restarts)];
        evidence.extend(signs(node));
        Some((node, message, evidence))
    });
    add(findings, Severity::Error, found);
}

fn absent(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    for ready in [true, false] {
        let is = |name: &str| cluster.facts.nodes.get(name).is_some_and(|node| node.ready == ready);
        let found = cluster.report.nodes.iter().filter(|node| node.state == ProxyState::Absent && is(&node.name));
        let found = found.map(|node| (node, "no pod of kube-proxy".to_owned(), Vec::new()));
        add(findings, if ready { Severity::Error } else { Severity::Info }, found);
    }
}

fn leftover(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter(|node| !node.leftovers.is_empty()).filter_map(|node| {
        let mode = node.effective.or(node.configured)?;
        let of = |other: Mode| node.leftovers.iter().any(|left| left.owner == format!("kube-proxy {other}"));
        let modes: Vec<&str> = Mode::LINUX.into_iter().filter(|mode| of(*mode)).map(Mode::name).collect();
        let parts = node.leftovers.iter().map(Leftover::in_short);
        let message = format!("runs {mode}, and {} left rules in the kernel", modes.join(" and "));
        Some((node, message, parts.map(|part| format!("{}: {part}", node.name)).collect()))
    });
    add(findings, Severity::Warning, found);
}

fn both_backends(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter_map(|node| {
        let reading = cluster.facts.readings.get(&node.name)?;
        let uses = matches!(node.effective.or(node.configured)?, Mode::Iptables | Mode::Ipvs);
        let both = uses && reading.traces.entries.len() > 1;
        both.then(|| {
            (node, "chain KUBE-SERVICES has rules in iptables-legacy and in iptables-nft".to_owned(), signs(node))
        })
    });
    add(findings, Severity::Warning, found);
}

fn other_name(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter_map(|node| {
        let name = &cluster.facts.readings.get(&node.name)?.configz.as_ref()?.hostname_override;
        let other =
            cluster.facts.nodes.contains_key(&node.name) && !name.is_empty() && !name.eq_ignore_ascii_case(&node.name);
        let message =
            format!("kube-proxy takes itself for node {name}: that node's endpoints are the local ones to it");
        other.then(|| (node, message, vec![format!("{} configz hostnameOverride: {name}", node.name)]))
    });
    add(findings, Severity::Error, found);
}

fn old_kernel(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter_map(|node| {
        let wanted = [node.configured, node.effective].contains(&Some(Mode::Nftables));
        let release = node.kernel.as_ref()?;
        let old = release.parse::<Version>().ok()? < crate::proxy::NFTABLES_KERNEL;
        let message =
            format!("nftables mode wants kernel {} or later, the node's is {release}", crate::proxy::NFTABLES_KERNEL);
        (wanted && old).then(|| (node, message, signs(node)))
    });
    add(findings, Severity::Error, found);
}

fn other_settings(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter_map(|node| {
        // that the mode is another one is said by itself
        let other_mode = node.effective.is_some() && node.effective != node.configured;
        let own = |drift: &&String| {
            drift.contains(": runs with ") || (!other_mode && drift.starts_with("its pod started before"))
        };
        let drift: Vec<&str> = node.drift.iter().filter(own).map(String::as_str).collect();
        (!drift.is_empty()).then(|| (node, drift.join("; "), Vec::new()))
    });
    add(findings, Severity::Warning, found);
}

fn skew(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let Some(text) = &cluster.facts.version else { return };
    let Ok(server) = text.parse::<Version>() else { return };
    let of = |newer: bool| {
        cluster.report.nodes.iter().filter_map(move |node| {
            let version = node.kube_proxy_version.as_ref()?;
            let proxy = version.parse::<Version>().ok()?;
            let wrong = if newer { proxy > server } else { server.minor > proxy.minor + 3 };
            (wrong && proxy.major == server.major)
                .then(|| (node, format!("kube-proxy {version}, API server {text}"), Vec::new()))
        })
    };
    add(findings, Severity::Error, of(true));
    add(findings, Severity::Warning, of(false));
}
