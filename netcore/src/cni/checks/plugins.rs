//! Checks of plugins as a whole: which run, what others left, how they are set up.

use std::collections::BTreeSet;

use super::{Check, Cluster};
use crate::{
    cni::{
        catalogue::Kind,
        detect::State,
        facts::Facts,
        lifecycle::POLICIES_GONE,
        policy::{ENFORCE, Level},
        report::PluginRow,
    },
    finding::{FindingDoc, Severity},
    proxy::{Mode, Version},
    ranges::checks::Findings,
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CNI-001",
            title: "two network plugins run side by side",
            severity: "warning",
            formula: "two plugins that each make a network for pods are at work (an agent's DaemonSet, or the CNI file that a \
                      runtime takes), and neither is set up to be chained to the other",
            example: "flannel and calico both run; runtimes take 10-calico.conflist",
            remedy: "pods of one network do not reach pods of the other without planning. Where a migration is under way, finish \
                     it; else remove the DaemonSet of the one that makes no pods' network, then its CNI file on every node",
        },
        run: two_at_once,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-002",
            title: "a network plugin that is gone left something on nodes",
            severity: "info",
            formula: "no workload runs the plugin (every DaemonSet was read), and nodes have its links, chains, nftables tables or \
                      CNI files",
            example: "flannel: flannel.1 and chains FLANNEL-… on 3 nodes",
            remedy: "a reboot of the drained node removes links and rules; its file in /etc/cni/net.d is to be deleted, or it is \
                     taken when the one before it goes",
        },
        run: leftovers,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-003",
            title: "flannel is gone and its masquerading is not",
            severity: "error",
            formula: "flannel does not run, and chain FLANNEL-POSTRTG of a node has a rule that masquerades",
            example: "node-2: FLANNEL-POSTRTG masquerades, flannel does not run",
            remedy: "pods' traffic to other nodes gets the node's address, which breaks NetworkPolicies. The rule that jumps there \
                     has a comment, which a delete has to repeat: iptables -t nat -D POSTROUTING -m comment --comment \
                     \"flanneld masq\" -j FLANNEL-POSTRTG, then -F and -X FLANNEL-POSTRTG; or reboot the drained node",
        },
        run: flannel_masquerades,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-004",
            title: "agents of one plugin have different versions",
            severity: "info",
            formula: "the image tags of the plugin's agent pods differ",
            example: "calico: v3.30.3 on 2 nodes, v3.31.0 on 5 nodes",
            remedy: "a rollout that is under way ends by itself; else see kubectl rollout status of its DaemonSet (OnDelete waits \
                     for somebody to delete the pods)",
        },
        run: versions,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-005",
            title: "leftovers of PodSecurityPolicy",
            severity: "warning below Kubernetes 1.25, where the policies still are objects; info from 1.25 on, where nothing \
                       reads them",
            formula: "PodSecurityPolicy objects, rules of roles about podsecuritypolicies, roles about nothing else and who has \
                      them, or agents' pods with the annotation kubernetes.io/psp",
            example: "clusterrole flannel: a rule lets use podsecuritypolicies psp.flannel.unprivileged",
            remedy: "apply the plugin's current manifest, then remove what the report lists: bindings, rules, policies. Pod Security \
                     Admission takes their place: the label pod-security.kubernetes.io/enforce on the plugin's namespace. Manifests \
                     that still have a PodSecurityPolicy fail from 1.25 on",
        },
        run: policies,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-006",
            title: "the plugin's namespace insists on a pod security that its agents break",
            severity: "error",
            formula: "the label pod-security.kubernetes.io/enforce of a namespace is baseline or restricted, and a network plugin's \
                      DaemonSet with the node's own network is in it",
            example: "namespace kube-flannel: enforce=baseline, daemonset kube-flannel/kube-flannel-ds has hostNetwork",
            remedy: "kubectl label namespace NAME pod-security.kubernetes.io/enforce=privileged --overwrite; agents that run stay, \
                     those of new nodes are refused until then",
        },
        run: pod_security,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-007",
            title: "the network plugin is no longer maintained",
            severity: "warning",
            formula: "Weave Net runs, or flannel's image is one of quay.io/coreos",
            example: "weave-net: its repository is archived; the last commit is of 2022-11-23",
            remedy: "plan a move: Weave Net to a plugin that is maintained, quay.io/coreos/flannel to ghcr.io/flannel-io/flannel by \
                     the current manifest",
        },
        run: unmaintained,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-008",
            title: "Calico is set to nftables and kube-proxy is not",
            severity: "warning",
            formula: "FelixConfiguration nftablesMode Enabled or Installation linuxDataplane Nftables, and kube-proxy is in another \
                      mode than nftables",
            example: "nftablesMode: Enabled, kube-proxy runs iptables",
            remedy: "Calico asks for both in nftables: switch kube-proxy (`kubectl proxymode preflight nftables`), or set \
                     nftablesMode back to Auto",
        },
        run: nftables_alone,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-009",
            title: "Calico's eBPF dataplane and kube-proxy both forward Services",
            severity: "warning",
            formula: "bpfEnabled is true, kube-proxy's DaemonSet has nodes to run on, and bpfKubeProxyIptablesCleanupEnabled is not false",
            example: "bpfEnabled: true, daemonset kube-system/kube-proxy runs on 3 nodes, bpfKubeProxyIptablesCleanupEnabled is true",
            remedy: "Felix removes kube-proxy's rules and kube-proxy writes them again: stop kube-proxy (a node selector that no node \
                     has), or set bpfKubeProxyIptablesCleanupEnabled: false",
        },
        run: two_forward,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-010",
            title: "flannel's backend is not the same everywhere",
            severity: "error",
            formula: "nodes' annotations backend-type differ from each other, or from net-conf.json's Backend.Type",
            example: "vxlan on 4 nodes, host-gw on node-5",
            remedy: "flannel reads net-conf.json when it starts: restart its pods on the nodes that differ",
        },
        run: flannel_backends,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-011",
            title: "nobody, or two, program the routes between Calico's nodes",
            severity: "error",
            formula: "programClusterRoutes is set in FelixConfiguration and in BGPConfiguration, and both are Enabled or both Disabled",
            example: "felixconfiguration default: Enabled, bgpconfiguration default: Enabled",
            remedy: "one of the two has to program them: Enabled for Felix and Disabled for BGP, or the other way round",
        },
        run: cluster_routes,
    },
];

fn rows(cluster: Cluster<'_>, state: State) -> impl Iterator<Item = &PluginRow> {
    cluster.report.plugins.iter().filter(move |row| row.state == Some(state))
}

fn says(row: &PluginRow) -> Vec<String> {
    row.signals.iter().map(|signal| format!("{} {}: {}", row.name, signal.source, signal.says)).collect()
}

fn two_at_once(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let active: Vec<&PluginRow> = rows(cluster, State::Active).collect();
    if active.len() < 2 {
        return;
    }
    let names: Vec<&str> = active.iter().map(|row| row.name.as_str()).collect();
    let takes = cluster.report.pod_network.as_deref().unwrap_or("not known which");
    let message = format!("{} run side by side; pods' network is made by {takes}", names.join(" and "));
    findings.add(Severity::Warning, names.join(", "), message, active.iter().flat_map(|row| says(row)).collect());
}

/// Signals on nodes, beside which objects of the API are small matter.
const ON_NODES: [&str; 5] = ["links", "rules", "cni-conf", "routes", "bird"];

fn leftovers(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    if !cluster.facts.workloads_were_read() {
        return;
    }
    for row in rows(cluster, State::Leftover) {
        let own: Vec<String> = row
            .signals
            .iter()
            .filter(|signal| ON_NODES.contains(&signal.source))
            .map(|signal| format!("{}: {}", signal.source, signal.says))
            .collect();
        if !own.is_empty() {
            let message = format!(
                "does not run, and left {}",
                own.iter()
                    .map(|text| text.split_once(": ").map_or(text.as_str(), |(_, says)| says))
                    .collect::<Vec<_>>()
                    .join("; ")
            );
            findings.add(Severity::Info, row.name.as_str(), message, own);
        }
    }
}

fn flannel_masquerades(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let runs = |row: &PluginRow| matches!(row.name.as_str(), "flannel" | "canal") && row.state != Some(State::Leftover);
    if !cluster.facts.workloads_were_read() || cluster.report.plugins.iter().any(runs) {
        return;
    }
    let found = cluster.facts.readings.iter().filter(|(_, reading)| reading.flannel_masquerades > 0);
    findings.add_of_nodes(
        Severity::Error,
        found.map(|(node, reading)| {
            let rules = format!("{node}: {} rules of FLANNEL-POSTRTG masquerade", reading.flannel_masquerades);
            (
                node.as_str(),
                "flannel does not run, and its chain FLANNEL-POSTRTG still masquerades pods' traffic".to_owned(),
                vec![rules],
            )
        }),
    );
}

fn versions(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    for row in cluster.report.plugins.iter().filter(|row| row.versions.len() > 1) {
        let parts: Vec<String> = row
            .versions
            .iter()
            .map(|(version, agents)| format!("{version} on {}", crate::cni::detect::nodes_text(*agents)))
            .collect();
        findings.add(Severity::Info, row.name.as_str(), format!("its agents differ: {}", parts.join(", ")), Vec::new());
    }
}

fn policies(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let left = &cluster.report.policy_leftovers;
    if left.is_empty() {
        return;
    }
    let version = cluster.facts.version.as_deref().and_then(|text| text.parse::<Version>().ok());
    // objects are only there where the server still has the kind
    let before = version.map_or(!cluster.facts.policies.objects.is_empty(), |version| version < POLICIES_GONE);
    let severity = if before { Severity::Warning } else { Severity::Info };
    let name = |left: &crate::cni::policy::Leftover| match &left.namespace {
        Some(namespace) => format!("{} {namespace}/{}", left.kind.to_lowercase(), left.name),
        None => format!("{} {}", left.kind.to_lowercase(), left.name),
    };
    let first = left.iter().map(name).next().unwrap_or_default();
    let subject = if left.len() == 1 { first } else { format!("{first} and {} more", left.len() - 1) };
    let message = if before {
        "PodSecurityPolicy ends with Kubernetes 1.25; what is written for it fails or has no effect from then on"
    } else {
        "PodSecurityPolicy is gone since Kubernetes 1.25; what is left of it has no effect"
    };
    findings.add(
        severity,
        subject,
        message,
        left.iter().map(|left| format!("{}: {}", name(left), left.what)).collect(),
    );
}

fn pod_security(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    for agent in cluster.facts.agents.iter().filter(|agent| agent.host_network) {
        let level = cluster.facts.policies.namespaces.get(&agent.namespace).copied().flatten();
        if let Some(level) = level.filter(|level| *level != Level::Privileged) {
            let evidence = vec![
                format!("namespace {} {ENFORCE}: {}", agent.namespace, level.name()),
                format!("{} spec.template.spec.hostNetwork: true", agent.title()),
            ];
            let message = format!(
                "enforces {}, and {} needs the node's network: its new pods are refused",
                level.name(),
                agent.title()
            );
            findings.add(Severity::Error, format!("namespace {}", agent.namespace), message, evidence);
        }
    }
}

fn unmaintained(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    for agent in &cluster.facts.agents {
        if agent.kind == Kind::Weave {
            findings.add(
                Severity::Warning,
                agent.title(),
                "Weave Net's repository is archived; the last commit is of 2022-11-23",
                agent.images.clone(),
            );
        }
        let old = agent.images.iter().filter(|image| image.contains("quay.io/coreos/flannel"));
        let old: Vec<String> = old.cloned().collect();
        if !old.is_empty() {
            findings.add(
                Severity::Warning,
                agent.title(),
                "its image is of quay.io/coreos, where flannel is no longer released",
                old,
            );
        }
    }
}

fn nftables_alone(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let told = [("nftablesMode", "Enabled"), ("linuxDataplane", "Nftables")];
    let stated = told
        .iter()
        .find_map(|(name, value)| cluster.facts.setting(Kind::Calico, name).filter(|stated| stated.value == *value));
    let Some(stated) = stated else { return };
    if let Some(mode) = cluster.report.services.mode.filter(|mode| *mode != Mode::Nftables) {
        let mut evidence = vec![format!("{}: {}", stated.place, stated.value)];
        evidence.extend(cluster.report.services.source.clone());
        findings.add(
            Severity::Warning,
            "calico",
            format!("is set to nftables, and kube-proxy is in {mode} mode"),
            evidence,
        );
    }
}

fn two_forward(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let Some(bpf) = cluster.facts.setting(Kind::Calico, "bpfEnabled").filter(|stated| stated.value == "true") else {
        return;
    };
    let cleans = cluster.facts.value(Kind::Calico, "bpfKubeProxyIptablesCleanupEnabled") != Some("false");
    for workload in cluster
        .facts
        .proxy
        .workloads
        .iter()
        .filter(|workload| !workload.windows && workload.scheduled.is_some_and(|nodes| nodes > 0))
    {
        if cleans {
            let evidence = vec![
                format!("{}: true", bpf.place),
                format!("{} runs on {} nodes", workload.title(), workload.scheduled.unwrap_or(0)),
            ];
            findings.add(
                Severity::Warning,
                workload.title(),
                "runs beside Calico's eBPF dataplane, which removes its rules",
                evidence,
            );
        }
    }
}

fn flannel_backends(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let Facts { nodes, .. } = cluster.facts;
    let runs = |row: &PluginRow| matches!(row.name.as_str(), "flannel" | "canal") && row.state != Some(State::Leftover);
    if !cluster.report.plugins.iter().any(runs) {
        return;
    }
    let annotated: Vec<(&str, &str)> = nodes
        .iter()
        .filter_map(|(name, node)| {
            Some((name.as_str(), node.annotations.get("flannel.alpha.coreos.com/backend-type")?.as_str()))
        })
        .collect();
    let told = [Kind::Flannel, Kind::Canal].into_iter().find_map(|kind| cluster.facts.setting(kind, "backend"));
    let kinds: BTreeSet<&str> = annotated.iter().map(|(_, kind)| *kind).collect();
    if let Some(told) = told {
        let other = annotated.iter().filter(|(_, kind)| *kind != told.value);
        findings.add_of_nodes(
            Severity::Error,
            other.map(|(node, kind)| {
                (
                    *node,
                    format!("flannel's backend is {kind}, configured is {}", told.value),
                    vec![
                        format!("node {node} annotation backend-type: {kind}"),
                        format!("{}: {}", told.place, told.value),
                    ],
                )
            }),
        );
    } else if kinds.len() > 1 {
        let evidence = annotated.iter().map(|(node, kind)| format!("node {node}: {kind}")).take(10).collect();
        let kinds: Vec<&str> = kinds.into_iter().collect();
        findings.add(
            Severity::Error,
            "flannel",
            format!("its backend differs between nodes: {}", kinds.join(", ")),
            evidence,
        );
    }
}

fn cluster_routes(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let of = |name: &'static str| cluster.facts.setting(Kind::Calico, name);
    let (Some(felix), Some(bgp)) = (of("felix.programClusterRoutes"), of("bgp.programClusterRoutes")) else { return };
    let evidence = || vec![format!("{}: {}", felix.place, felix.value), format!("{}: {}", bgp.place, bgp.value)];
    match (felix.value.as_str(), bgp.value.as_str()) {
        ("Enabled", "Enabled") => findings.add(
            Severity::Error,
            "programClusterRoutes",
            "Felix and BIRD both program the routes between nodes",
            evidence(),
        ),
        ("Disabled", "Disabled") => findings.add(
            Severity::Error,
            "programClusterRoutes",
            "neither Felix nor BIRD programs the routes between nodes",
            evidence(),
        ),
        _ => {}
    }
}
