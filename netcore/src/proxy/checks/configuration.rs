//! Checks of the configuration as a whole.

use super::{Check, Cluster};
use crate::{
    finding::{FindingDoc, Severity},
    proxy::{
        Mode, Stage, Version,
        report::{NodeRow, ProxyState},
    },
    ranges::checks::Findings,
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "PROXY-011",
            title: "a shared configuration names one node",
            severity: "error where kube-proxy has no flag over it and runs on several nodes, warning where its flags are not known",
            formula: "hostnameOverride is set in a ConfigMap that several nodes' kube-proxies read, and their command line does \
                      not have --hostname-override, which alone beats the file",
            example: "configmap kube-system/kube-proxy names node master1.example.local in hostnameOverride",
            remedy: "kubeadm's DaemonSet passes --hostname-override=$(NODE_NAME): keep that flag, and empty hostnameOverride in \
                     the ConfigMap so that nothing depends on it. Without the flag every node takes itself for the one that is \
                     named, and Services with local endpoints go wrong",
        },
        run: shared_name,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-012",
            title: "a mode that is going or gone",
            severity: "error where kube-proxy refuses the mode, warning where it is deprecated",
            formula: "a configured or effective mode and the lowest version of kube-proxy: ipvs is deprecated from 1.35, refused \
                      where feature gate KubeProxyIPVS is closed (1.37 to 1.39: set to false; planned from 1.40: not set to \
                      true) and planned to be gone in 1.43; nftables is refused before 1.29 and behind NFTablesProxyMode until \
                      1.30; userspace is gone from 1.26",
            example: "ipvs: deprecated in kube-proxy 1.36",
            remedy: "ipvs: move to nftables (kernel 5.13 or later) before 1.40, `kubectl proxymode preflight nftables` says what \
                     would change; others: set a mode that this version has",
        },
        run: lifecycle,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-013",
            title: "the mode is left to the default",
            severity: "warning",
            formula: "the configuration names no mode and kube-proxy is 1.37 or later, where it warns of that itself: the default \
                      is planned to become nftables in 1.40",
            example: "configmap kube-system/kube-proxy names no mode: an upgrade to 1.40 would switch every node",
            remedy: "write the mode that runs now into the configuration: mode: iptables",
        },
        run: defaulted,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-014",
            title: "the configured mode is none",
            severity: "error",
            formula: "the configuration's mode is a text that kube-proxy refuses: it knows iptables, ipvs and nftables, in lower \
                      case",
            example: "configmap kube-system/kube-proxy data.config.conf line 41: mode is `IPVS`",
            remedy: "correct it before any pod of kube-proxy starts again: it would end at once, and the node's rules would follow \
                     no change any more",
        },
        run: unknown_mode,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-015",
            title: "a flag that does not count",
            severity: "warning",
            formula: "kube-proxy is started with --config and with --proxy-mode or --ipvs-scheduler, which it then ignores, and the \
                      file says otherwise",
            example: "daemonset kube-system/kube-proxy: --proxy-mode=ipvs is ignored beside --config, whose mode is iptables",
            remedy: "remove the flag, and set the mode in the file where it counts",
        },
        run: ignored_flag,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-016",
            title: "kube-proxy runs beside its replacement",
            severity: "warning",
            formula: "Cilium (kube-proxy-replacement: true), Calico's eBPF dataplane, kube-router's service proxy or OVN-Kubernetes \
                      forwards all Services, and pods of kube-proxy run",
            example: "Cilium replaces kube-proxy, and kube-proxy runs on 12 nodes",
            remedy: "two programs write rules for the same Services: remove kube-proxy's DaemonSet, then its rules (kubectl \
                     proxymode cleanup, or a reboot of each node)",
        },
        run: beside_replacement,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-017",
            title: "Antrea's proxyAll without iptables mode",
            severity: "warning",
            formula: "antreaProxy.proxyAll is on, and kube-proxy runs in another mode than iptables: Antrea takes precedence over \
                      kube-proxy only in iptables mode",
            example: "Antrea's proxyAll is on, and kube-proxy runs nftables on 3 nodes",
            remedy: "remove kube-proxy, or have it run iptables mode",
        },
        run: antrea,
    },
];

fn shared_name(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let facts = cluster.facts;
    for configuration in &facts.configurations {
        let name = &configuration.config.hostname_override;
        if name.is_empty() {
            continue;
        }
        let reads = |launch: &crate::proxy::launch::Launch, namespace: &str| {
            use crate::proxy::launch::ConfigFile::Entry;
            matches!(&launch.file, Some(Entry { name, key }) if *name == configuration.name && *key == configuration.key)
                && namespace == configuration.namespace
        };
        let mut readers =
            facts.workloads.iter().filter(|workload| reads(&workload.launch, &workload.namespace)).peekable();
        let known = readers.peek().is_some();
        if !known && !facts.workloads.is_empty() {
            // nobody reads it
            continue;
        }
        if known && (readers.all(|workload| workload.launch.names_node) || facts.nodes.len() == 1) {
            continue;
        }
        let place =
            format!("{} hostnameOverride: {name}", configuration.place.split(" line ").next().unwrap_or_default());
        let message = if known {
            format!("names node {name} in hostnameOverride for every kube-proxy that reads it")
        } else {
            format!("names node {name} in hostnameOverride; whether kube-proxy's flags overrule that is not known")
        };
        let severity = if known { Severity::Error } else { Severity::Warning };
        findings.add(severity, &configuration.title, message, vec![format!("{} {place}", configuration.title)]);
    }
}

fn lifecycle(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let version = cluster.facts.lowest_version().map(|version| format!("1.{}", version.minor)).unwrap_or_default();
    for life in &cluster.report.lifecycle {
        let mode = life.mode;
        let nodes = cluster.report.nodes.iter().filter(|node| node.effective == Some(mode)).count();
        let evidence = vec![
            format!("{mode}: {}", life.text),
            format!("in effect on {nodes} of {} nodes", cluster.report.nodes.len()),
        ];
        if life.is_refused() {
            findings.add(Severity::Error, mode.name(), format!("kube-proxy {version} refuses this mode"), evidence);
        } else if life.stage == Some(Stage::Deprecated) {
            findings.add(Severity::Warning, mode.name(), format!("deprecated in kube-proxy {version}"), evidence);
        }
    }
}

fn defaulted(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let warns = cluster.facts.lowest_version().is_some_and(|version| version >= Version::new(1, 37));
    let configured = &cluster.report.configured;
    if warns && configured.explicit == Some(false) {
        let subject = configured.source.as_ref().map_or_else(|| "kube-proxy".to_owned(), ToString::to_string);
        let message = "names no mode: the default is planned to change to nftables in 1.40";
        findings.add(Severity::Warning, subject, message, configured.place.iter().cloned().collect());
    }
}

fn unknown_mode(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    for configuration in &cluster.facts.configurations {
        let mode = &configuration.config.mode;
        if !mode.is_empty() && mode.parse::<Mode>().is_err() {
            let message = format!("mode is `{mode}`; iptables, ipvs or nftables would be one");
            let place = format!("{} {}: mode: {mode}", configuration.title, configuration.place);
            findings.add(Severity::Error, &configuration.title, message, vec![place]);
        }
    }
    for workload in cluster.facts.workloads.iter().filter(|workload| !workload.windows) {
        if let Some(mode) =
            workload.launch.flag("proxy-mode").filter(|mode| mode.parse::<Mode>().is_err() && !mode.is_empty())
        {
            let message = format!("--proxy-mode is `{mode}`; iptables, ipvs or nftables would be a mode");
            findings.add(Severity::Error, workload.title(), message, Vec::new());
        }
    }
}

fn ignored_flag(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    for workload in &cluster.facts.workloads {
        let file = cluster.facts.configurations.iter().find(|configuration| {
            use crate::proxy::launch::ConfigFile::Entry;
            matches!(&workload.launch.file, Some(Entry { name, key })
                if *name == configuration.name && *key == configuration.key && workload.namespace == configuration.namespace)
        });
        let Some(file) = file else { continue };
        for (flag, field, says) in
            [("proxy-mode", "mode", &file.config.mode), ("ipvs-scheduler", "ipvs.scheduler", &file.config.scheduler)]
        {
            let Some(ignored) = workload.launch.ignored(flag).filter(|ignored| ignored != says) else { continue };
            let is = if says.is_empty() { "unset".to_owned() } else { says.clone() };
            findings.add(
                Severity::Warning,
                workload.title(),
                format!("--{flag}={ignored} is ignored beside --config, whose {field} is {is}"),
                vec![format!("{} {}", file.title, file.place)],
            );
        }
    }
}

fn beside_replacement(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let running = cluster.report.nodes.iter().filter(|node| {
        node.state == ProxyState::Running
            && cluster.facts.pod_on(&node.name).is_some_and(|pod| pod.ready != Some(false))
    });
    let nodes = running.count();
    for replacement in cluster.facts.replacements.iter().filter(|replacement| replacement.whole && nodes > 0) {
        let message = format!("{} replaces kube-proxy, and kube-proxy runs on {nodes} nodes", replacement.by);
        findings.add(Severity::Warning, replacement.by, message, vec![replacement.why.clone()]);
    }
}

fn antrea(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let Some(antrea) = cluster.facts.replacements.iter().find(|replacement| replacement.by == "Antrea") else { return };
    let other = |node: &&NodeRow| node.effective.is_some_and(|mode| mode != Mode::Iptables);
    let nodes = cluster.report.nodes.iter().filter(other).count();
    if nodes > 0 {
        let message = format!("proxyAll is on, and kube-proxy runs in another mode than iptables on {nodes} nodes");
        findings.add(Severity::Warning, "Antrea", message, vec![antrea.why.clone()]);
    }
}
