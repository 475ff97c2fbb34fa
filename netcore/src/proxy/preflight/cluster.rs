//! What stands in the way of a switch as a whole.

use super::{Check, Items, Question};
use crate::{
    finding::{FindingDoc, Severity},
    kubeproxy::KubeProxyConfig,
    proxy::{Mode, Stage, Version, configured, manage, report::life},
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "PROXY-101",
            title: "kube-proxy is replaced",
            severity: "error",
            formula: "Cilium, Calico's eBPF dataplane, kube-router's service proxy or OVN-Kubernetes forwards all Services",
            example: "Cilium forwards Services here: there is no mode to switch",
            remedy: "nothing is to be done: kube-proxy's mode has no effect here",
        },
        overridable: false,
        run: replaced,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-102",
            title: "somebody would revert the switch",
            severity: "error",
            formula: "the distribution or a manager (Helm, Argo CD, Flux, an add-on manager, an operator) keeps kube-proxy's \
                      configuration, or it is immutable, or not in the API",
            example: "k0s reverts edits: set spec.network.kubeProxy.mode: nftables in its ClusterConfig",
            remedy: "change the mode where it is kept; what the message says",
        },
        overridable: false,
        run: owned,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-103",
            title: "the mode's place in its life",
            severity: "error where this kube-proxy refuses the mode, warning where it is deprecated or beta",
            formula: "as PROXY-012, for the mode that is asked for",
            example: "ipvs is deprecated in kube-proxy 1.36",
            remedy: "prefer nftables where the kernels allow it; for a refused mode another version of kube-proxy or its feature \
                     gate is needed first",
        },
        overridable: false,
        run: stage,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-104",
            title: "a permission is missing",
            severity: "error",
            formula: "a SelfSubjectAccessReview says no to what a switch does: get and patch the ConfigMap, list and delete pods, \
                      port-forward, create the backup and the lease",
            example: "not allowed: delete pods in kube-system",
            remedy: "have somebody with these rights make the switch, or be given them",
        },
        overridable: true,
        run: permissions,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-105",
            title: "the only node",
            severity: "warning",
            formula: "the cluster has one Linux node",
            example: "one node: its Services have a gap while kube-proxy starts, and there is no canary",
            remedy: "switch it when a gap of seconds is bearable",
        },
        overridable: true,
        run: single,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-106",
            title: "a setting that the mode reads elsewhere",
            severity: "warning",
            formula: "masqueradeAll or masqueradeBit is set below `iptables` and not below `nftables`, which nftables mode reads, \
                      or the other way round",
            example: "iptables.masqueradeAll is true, nftables.masqueradeAll is not",
            remedy: "set the same below the other mode's key before the switch",
        },
        overridable: true,
        run: settings,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-107",
            title: "a scheduler without a counterpart",
            severity: "warning",
            formula: "ipvs with another scheduler than rr is left: iptables and nftables choose at random",
            example: "scheduler sh is left: clients no longer keep their pod",
            remedy: "where clients must keep their pod, set sessionAffinity: ClientIP on the Service",
        },
        overridable: true,
        run: scheduler,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-108",
            title: "strictARP beside a load balancer of layer 2",
            severity: "warning",
            formula: "ipvs is asked for, MetalLB's speaker or kube-vip runs, and ipvs.strictARP is not true",
            example: "MetalLB runs, and ipvs.strictARP is false: every node answers ARP for load balancers' addresses",
            remedy: "set ipvs.strictARP: true before the switch",
        },
        overridable: true,
        run: strict_arp,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-109",
            title: "NodeLocal DNSCache",
            severity: "warning",
            formula: "a DaemonSet called node-local-dns or nodelocaldns runs, and ipvs is asked for or left, or nftables is asked for",
            example: "daemonset kube-system/node-local-dns: under ipvs it cannot take over the DNS Service's address",
            remedy: "ipvs: run its ipvs flavour, with the kubelets' clusterDNS set to 169.254.20.10; nftables: it goes on writing \
                     iptables rules, try it on one node first",
        },
        overridable: true,
        run: node_local_dns,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-110",
            title: "Calico does not follow the mode",
            severity: "warning",
            formula: "nftables is asked for, and Calico's nftablesMode is Disabled, or its version is older than 3.29; or another \
                      mode is asked for, and nftablesMode is Enabled",
            example: "felixconfiguration default spec.nftablesMode is Disabled",
            remedy: "Calico's nftables dataplane needs kube-proxy's nftables mode, and the other way round nftablesMode: Auto \
                     follows kube-proxy by itself (3.29 and later)",
        },
        overridable: true,
        run: calico,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-111",
            title: "Antrea's proxyAll wants iptables mode",
            severity: "error",
            formula: "antreaProxy.proxyAll is on, and another mode than iptables is asked for",
            example: "configmap kube-system/antrea-config data.antrea-agent.conf: antreaProxy.proxyAll: true",
            remedy: "stay with iptables, or remove kube-proxy, which Antrea replaces then",
        },
        overridable: true,
        run: antrea,
    },
];

fn replaced(question: &Question<'_>, items: &mut Items<'_>) {
    for replacement in question.facts.replacements.iter().filter(|replacement| replacement.whole) {
        let message =
            format!("{} forwards Services here: there is no mode to switch ({})", replacement.by, replacement.why);
        items.all(Severity::Error, message);
    }
}

fn owned(question: &Question<'_>, items: &mut Items<'_>) {
    if question.facts.replacements.iter().any(|replacement| replacement.whole) {
        return;
    }
    let configured = configured::of_all(question.facts);
    if configured.switchable {
        return;
    }
    let steps =
        configured.distribution.as_deref().and_then(|name| manage::steps(question.facts, name, question.mode.name()));
    items.all(Severity::Error, steps.unwrap_or(configured.why));
}

fn stage(question: &Question<'_>, items: &mut Items<'_>) {
    let life = life(question.facts, question.mode);
    let version = question.facts.lowest_version().map(|version| format!(" {version}")).unwrap_or_default();
    let mode = question.mode;
    let (severity, what) = match life.stage {
        _ if life.is_refused() => (Severity::Error, "is refused by"),
        Some(Stage::Deprecated) => (Severity::Warning, "is deprecated in"),
        Some(Stage::Beta) => (Severity::Warning, "is beta in"),
        _ => return,
    };
    items.all(severity, format!("{mode} {what} kube-proxy{version}: {}", life.text));
}

fn permissions(question: &Question<'_>, items: &mut Items<'_>) {
    for permission in question.permissions {
        match permission.allowed {
            Some(true) => {}
            Some(false) => items.all(Severity::Error, format!("not allowed: {}", permission.what)),
            None => items.not_checked(format!("whether you may {} could not be asked", permission.what)),
        }
    }
    if question.permissions.is_empty() {
        items.not_checked("permissions are asked of a live cluster only");
    }
}

fn single(question: &Question<'_>, items: &mut Items<'_>) {
    let linux = question.facts.nodes.values().filter(|node| !node.is_windows()).count();
    if linux == 1 {
        items.all(
            Severity::Warning,
            "one node: its Services have a gap while kube-proxy starts, and there is no canary",
        );
    }
}

/// The configurations that are read, or all where nobody is known to read them.
fn configs<'a>(question: &'a Question<'_>) -> impl Iterator<Item = (&'a str, &'a KubeProxyConfig)> {
    question.facts.configurations.iter().map(|configuration| (configuration.title.as_str(), &configuration.config))
}

fn settings(question: &Question<'_>, items: &mut Items<'_>) {
    const BIT: u64 = 14;
    for (title, config) in configs(question) {
        let (old, new) = match question.mode {
            Mode::Nftables => ("iptables", "nftables"),
            _ if question.leaves(Mode::Nftables) => ("nftables", "iptables"),
            _ => continue,
        };
        let all = [("iptables", config.masquerade_all), ("nftables", config.nftables_masquerade_all)];
        let bit = [
            ("iptables", config.masquerade_bit.unwrap_or(BIT)),
            ("nftables", config.nftables_masquerade_bit.unwrap_or(BIT)),
        ];
        if let [(_, here), (_, there)] = all
            && here != there
        {
            let (old, new, value) = if old == "iptables" { (old, new, here) } else { (old, new, there) };
            items
                .all(Severity::Warning, format!("{title}: {old}.masqueradeAll is {value}, {new}.masqueradeAll is not"));
        }
        if let [(_, here), (_, there)] = bit
            && here != there
        {
            let (value, other) = if old == "iptables" { (here, there) } else { (there, here) };
            let message = format!("{title}: {old}.masqueradeBit is {value}, {new}.masqueradeBit is {other}");
            items.all(Severity::Warning, message);
        }
    }
}

fn scheduler(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode == Mode::Ipvs || !question.leaves(Mode::Ipvs) {
        return;
    }
    for (title, config) in configs(question).filter(|(_, config)| !matches!(config.scheduler.as_str(), "" | "rr")) {
        let message = format!("{title}: scheduler {} is left, {} chooses at random", config.scheduler, question.mode);
        items.all(Severity::Warning, message);
    }
}

fn strict_arp(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode != Mode::Ipvs || configs(question).any(|(_, config)| config.strict_arp) {
        return;
    }
    let metallb =
        question.facts.daemonsets.iter().find(|name| name.starts_with("metallb") || name.ends_with("/speaker"));
    let kube_vip = question.facts.settings.get("kube-vip").map(|(_, title)| title);
    for load_balancer in metallb.into_iter().chain(kube_vip) {
        let message = format!(
            "{load_balancer} runs, and ipvs.strictARP is not true: every node answers ARP for load balancers' addresses"
        );
        items.all(Severity::Warning, message);
    }
}

fn node_local_dns(question: &Question<'_>, items: &mut Items<'_>) {
    let is = |name: &&String| name.ends_with("/node-local-dns") || name.ends_with("/nodelocaldns");
    let Some(cache) = question.facts.daemonsets.iter().find(is) else { return };
    let message = match question.mode {
        Mode::Ipvs => "under ipvs it cannot take over the DNS Service's address",
        Mode::Nftables => "it goes on writing iptables rules for the DNS Service's address",
        _ if question.leaves(Mode::Ipvs) => "its ipvs flavour does not take over the DNS Service's address any more",
        _ => return,
    };
    items.all(Severity::Warning, format!("daemonset {cache}: {message}"));
}

fn calico(question: &Question<'_>, items: &mut Items<'_>) {
    let nftables = question.mode == Mode::Nftables;
    if let Some((mode, place)) = question.facts.settings.get("felix-nftables-mode") {
        let against = if nftables { "Disabled" } else { "Enabled" };
        if mode == against {
            items.all(Severity::Warning, format!("{place} is {mode}: Calico would not follow {}", question.mode));
        }
    }
    if let Some((version, title)) = question.facts.settings.get("calico-version") {
        let old = version.parse::<Version>().is_ok_and(|version| version < Version::new(3, 29));
        if nftables && old {
            items.all(Severity::Warning, format!("{title} is Calico {version}: nftables came with 3.29"));
        }
    }
}

fn antrea(question: &Question<'_>, items: &mut Items<'_>) {
    let antrea = question.facts.replacements.iter().find(|replacement| replacement.by == "Antrea");
    if let Some(antrea) = antrea.filter(|_| question.mode != Mode::Iptables) {
        items.all(Severity::Error, antrea.why.clone());
    }
}
