//! What a node can do, and what a switch would do to it.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Check, Items, Question};
use crate::{
    cidr::{Cidr, RangeSet},
    finding::{FindingDoc, Severity},
    ipvs::VirtualAddress,
    proxy::{
        Mode, NFTABLES_KERNEL, Version,
        modules::State,
        report::{NodeRow, ProxyState},
        schedulers::{self, state},
        traces::Server,
    },
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "PROXY-121",
            title: "the kernel is too old for nftables mode",
            severity: "error; warning where the kernel is not known",
            formula: "nftables is asked for, and the node's kernel is older than 5.13",
            example: "node-7: kernel 4.18.0-553.el8.x86_64, 5.13 or later is needed",
            remedy: "upgrade the node's system first: kube-proxy would remove the old rules and then end, and the node would have \
                     no Services at all",
        },
        overridable: false,
        run: old_kernel,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-122",
            title: "the kernel has no nftables",
            severity: "error where it has not; nothing where that is not known",
            formula: "nftables is asked for, and module nf_tables is neither loaded, built in nor on disk",
            example: "node-7: nf_tables is neither in the kernel nor to be loaded",
            remedy: "install the kernel's modules first",
        },
        overridable: false,
        run: no_nftables,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-123",
            title: "the kernel has no IPVS, or not the scheduler",
            severity: "error where it has not, warning where that could not be proven",
            formula: "ipvs is asked for, and ip_vs or the scheduler's module is neither in use, loaded, built in nor on disk; or \
                      what there is could not be read",
            example: "node-7: ip_vs is neither in the kernel nor to be loaded",
            remedy: "install the kernel's modules (linux-modules-extra, kernel-modules), or stay; where it could not be proven, \
                     `kubectl proxymode schedulers --node NAME` says what could not be read",
        },
        overridable: true,
        run: no_ipvs,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-124",
            title: "virtual servers that are not kube-proxy's",
            severity: "error",
            formula: "nftables or ipvs is asked for, and the node has virtual servers whose address and port are no Service's and \
                      no node port. nftables mode flushes all virtual servers when it starts; ipvs mode deletes those outside \
                      ipvs.excludeCIDRs. Without the Services' objects, addresses on kube-ipvs0 and the node's own count as \
                      kube-proxy's",
            example: "node-7: TCP 192.168.7.9:6443 is nobody's Service: kube-vip's, keepalived's",
            remedy: "find out whose they are (kube-vip with lb_enable, keepalived). For ipvs put their range into \
                     ipvs.excludeCIDRs; for nftables move them away from IPVS first",
        },
        overridable: false,
        run: foreign_servers,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-125",
            title: "kube-proxy is not well now",
            severity: "error where it does not run, warning where nothing of the node could be read",
            formula: "kube-proxy's pod does not run or is not there, the node is not Ready, or its mode is not known",
            example: "node-7: kube-proxy does not run now",
            remedy: "get the node in order first, else a failure of the switch cannot be told from what was before",
        },
        overridable: true,
        run: unwell,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-126",
            title: "the old mode's rules stay",
            severity: "warning",
            formula: "a node goes from iptables to ipvs or back, between which kube-proxy removes nothing; or from ipvs to nftables \
                      (the IPv6 sets stay)",
            example: "node-7: from ipvs to iptables: kube-ipvs0, its virtual servers and sets stay",
            remedy: "`kubectl proxymode cleanup` after the switch, or a reboot of the drained node: frozen rules go on refusing \
                     Services that had no endpoints at the time",
        },
        overridable: true,
        run: stays,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-127",
            title: "an older kernel under ipvs",
            severity: "warning",
            formula: "ipvs is asked for, and the node's kernel is older than 5.9",
            example: "node-7: kernel 5.4.0-150-generic reuses ports into pods that are gone",
            remedy: "upgrade the kernel, or take another mode",
        },
        overridable: true,
        run: port_reuse,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-128",
            title: "a firewall of the host",
            severity: "warning",
            formula: "nftables is asked for, and the node has chains of firewalld or ufw, or its INPUT chain drops by default: \
                      kube-proxy in nftables mode cannot open anything in another table",
            example: "node-7: chain INPUT drops by default",
            remedy: "let the node port range, the health-check ports and the pods' range through in that firewall",
        },
        overridable: true,
        run: firewall,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-129",
            title: "packets outside of connections",
            severity: "warning",
            formula: "nftables is asked for, iptables mode has dropped packets for being INVALID \
                      (kubeproxy_iptables_ct_state_invalid_dropped_packets_total), the kernel is older than 6.1, and \
                      conntrack.tcpBeLiberal is not true",
            example: "node-7: 1204 INVALID packets were dropped; nftables mode lets them reset long connections",
            remedy: "set conntrack.tcpBeLiberal: true before the switch",
        },
        overridable: true,
        run: invalid,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-130",
            title: "a node of another system",
            severity: "info",
            formula: "a Windows node: its kube-proxy has a configuration of its own",
            example: "win-1 is a Windows node: it is left as it is",
            remedy: "nothing is to be done",
        },
        overridable: true,
        run: windows,
    },
];

/// Nodes that would be switched, with their rows.
fn to_switch<'a>(question: &'a Question<'_>) -> impl Iterator<Item = &'a NodeRow> {
    let mode = question.mode;
    let stays = move |row: &&NodeRow| row.state == ProxyState::Windows || row.effective == Some(mode);
    question.rows.iter().filter(move |row| !stays(row))
}

fn kernel(row: &NodeRow) -> Option<Version> {
    row.kernel.as_deref()?.parse().ok()
}

fn old_kernel(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode != Mode::Nftables {
        return;
    }
    for row in to_switch(question) {
        let release = row.kernel.as_deref().unwrap_or_default();
        match kernel(row) {
            Some(version) if version < NFTABLES_KERNEL => {
                items.node(
                    Severity::Error,
                    &row.name,
                    format!("kernel {release}, {NFTABLES_KERNEL} or later is needed"),
                );
            }
            Some(_) => {}
            None => items.node(
                Severity::Warning,
                &row.name,
                format!("its kernel is not known, {NFTABLES_KERNEL} or later is needed"),
            ),
        }
    }
}

fn no_nftables(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode != Mode::Nftables {
        return;
    }
    for row in to_switch(question) {
        let Some(reading) = question.facts.readings.get(&row.name) else { continue };
        // tables of iptables-nft are tables of nftables
        let uses = reading
            .traces
            .chains
            .iter()
            .flatten()
            .any(|(((backend, ..), _), _)| *backend == crate::iptables::Backend::Nft);
        let missing = reading.modules.state("nf_tables", row.kernel.as_deref().unwrap_or_default()) == State::Missing;
        if missing && !uses {
            items.node(Severity::Error, &row.name, "nf_tables is neither in the kernel nor to be loaded");
        }
    }
}

fn no_ipvs(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode != Mode::Ipvs {
        return;
    }
    let configured =
        question.facts.configurations.iter().map(|c| c.config.scheduler.as_str()).find(|name| !name.is_empty());
    let name = question.scheduler.or(configured).unwrap_or("rr");
    if schedulers::named(name).is_none() {
        items.all(Severity::Error, format!("scheduler {name} is none that IPVS is known to have"));
    }
    for row in to_switch(question) {
        for module in ["ip_vs".to_owned(), format!("ip_vs_{name}")] {
            match state(question.facts, &row.name, &module).is_there() {
                Some(true) => {}
                Some(false) => {
                    let message = format!("{module} is neither in the kernel nor to be loaded");
                    items.node(Severity::Error, &row.name, message);
                    // without ip_vs there is no scheduler either
                    break;
                }
                None => items.node(
                    Severity::Warning,
                    &row.name,
                    format!("whether the kernel has {module} could not be proven"),
                ),
            }
        }
    }
}

/// Whether a virtual server is kube-proxy's, as far as can be told.
fn is_own(
    question: &Question<'_>,
    node: &str,
    server: &Server,
    addresses: &BTreeSet<IpAddr>,
    ports: &BTreeSet<u16>,
) -> bool {
    let VirtualAddress::Socket(_, endpoint) = server.address else { return false };
    let Some(reading) = question.facts.readings.get(node) else { return true };
    let on_node = reading.traces.own.contains(&endpoint.address)
        || question.facts.nodes.get(node).is_some_and(|node| node.addresses.contains(&endpoint.address.to_string()));
    match question.services {
        Some(_) => addresses.contains(&endpoint.address) || (on_node && ports.contains(&endpoint.port)),
        None => on_node || reading.traces.dummy.iter().flatten().any(|ip| *ip == endpoint.address),
    }
}

fn foreign_servers(question: &Question<'_>, items: &mut Items<'_>) {
    const SHOWN: usize = 3;
    if question.mode == Mode::Iptables {
        return;
    }
    let services = question.services.unwrap_or_default();
    let texts = services.iter().flat_map(|s| s.cluster_ips.iter().chain(&s.external_ips).chain(&s.load_balancer_ips));
    let addresses: BTreeSet<IpAddr> = texts.filter_map(|text| text.parse().ok()).collect();
    let ports: BTreeSet<u16> = services.iter().flat_map(|s| s.node_ports.iter().map(|(port, _)| *port)).collect();
    let mut excluded = RangeSet::new();
    if question.mode == Mode::Ipvs {
        let texts = question.facts.configurations.iter().flat_map(|c| &c.config.exclude_cidrs);
        excluded.extend(texts.filter_map(|text| text.parse::<Cidr>().ok()));
    }
    let is_excluded = |server: &Server| match server.address {
        VirtualAddress::Socket(_, endpoint) => {
            let bits = if endpoint.address.is_ipv4() { 32 } else { 128 };
            Cidr::covering(endpoint.address, bits).is_some_and(|cidr| excluded.contains(&cidr))
        }
        VirtualAddress::Mark(..) => false,
    };
    for row in to_switch(question) {
        let reading = question.facts.readings.get(&row.name);
        let some =
            reading.and_then(|reading| reading.traces.servers.as_ref()).is_some_and(|servers| !servers.is_empty());
        if some && question.services.is_none() && reading.is_none_or(|reading| reading.traces.dummy.is_none()) {
            items.not_checked("needs services, or the nodes' addresses, to tell whose virtual servers are whose");
            continue;
        }
        let servers = question.facts.readings.get(&row.name).and_then(|reading| reading.traces.servers.as_ref());
        let foreign: Vec<String> = servers
            .into_iter()
            .flatten()
            .filter(|server| !is_own(question, &row.name, server, &addresses, &ports) && !is_excluded(server))
            .map(|server| server.address.to_string())
            .collect();
        if foreign.is_empty() {
            continue;
        }
        let shown: Vec<&str> = foreign.iter().take(SHOWN).map(String::as_str).collect();
        let more = if foreign.len() > SHOWN { format!(" and {} more", foreign.len() - SHOWN) } else { String::new() };
        items.node(
            Severity::Error,
            &row.name,
            format!("no Service's virtual servers would be removed: {}{more}", shown.join(", ")),
        );
    }
}

fn unwell(question: &Question<'_>, items: &mut Items<'_>) {
    for row in to_switch(question) {
        let ready = question.facts.nodes.get(&row.name).is_none_or(|node| node.ready);
        match row.state {
            ProxyState::Failing => items.node(Severity::Error, &row.name, "kube-proxy does not run now"),
            ProxyState::Absent if ready => items.node(Severity::Error, &row.name, "kube-proxy has no pod here"),
            _ if !ready => items.node(Severity::Warning, &row.name, "the node is not Ready"),
            ProxyState::Running if row.effective.is_none() => {
                items.node(Severity::Warning, &row.name, "the mode that it is in is not known");
            }
            _ => {}
        }
    }
}

fn stays(question: &Question<'_>, items: &mut Items<'_>) {
    for row in to_switch(question) {
        let from = row.effective.or(row.configured);
        let what = match (from, question.mode) {
            (Some(Mode::Ipvs), Mode::Iptables) => {
                "from ipvs to iptables: kube-ipvs0, its virtual servers and sets stay"
            }
            (Some(Mode::Iptables), Mode::Ipvs) => {
                "from iptables to ipvs: chains of Services stay, and those that refuse connections stay in force"
            }
            (Some(Mode::Ipvs), Mode::Nftables) => "from ipvs to nftables: sets for IPv6 stay",
            _ => continue,
        };
        items.node(Severity::Warning, &row.name, what);
    }
}

fn port_reuse(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode != Mode::Ipvs {
        return;
    }
    for row in to_switch(question) {
        let release = row.kernel.as_deref().unwrap_or_default();
        if kernel(row).is_some_and(|version| version < Version::new(5, 9)) {
            items.node(
                Severity::Warning,
                &row.name,
                format!("kernel {release} sends reused ports to pods that are gone; 5.9 does not"),
            );
        }
    }
}

fn firewall(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode != Mode::Nftables {
        return;
    }
    for row in to_switch(question) {
        let firewall = question.facts.readings.get(&row.name).and_then(|reading| reading.traces.firewall.as_ref());
        if let Some(firewall) = firewall {
            items.node(
                Severity::Warning,
                &row.name,
                format!("{firewall}; kube-proxy would open nothing in it any more"),
            );
        }
    }
}

fn invalid(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode != Mode::Nftables || question.facts.configurations.iter().any(|c| c.config.tcp_be_liberal) {
        return;
    }
    for row in to_switch(question).filter(|row| kernel(row).is_some_and(|version| version < Version::new(6, 1))) {
        let metrics = question.facts.readings.get(&row.name).and_then(|reading| reading.metrics.as_ref());
        if let Some(count) = metrics.and_then(|metrics| metrics.invalid_dropped).filter(|count| *count > 0) {
            items.node(
                Severity::Warning,
                &row.name,
                format!("{count} INVALID packets were dropped; nftables mode lets them reset connections"),
            );
        }
    }
}

fn windows(question: &Question<'_>, items: &mut Items<'_>) {
    for row in question.rows.iter().filter(|row| row.state == ProxyState::Windows) {
        items.node(Severity::Info, &row.name, "a Windows node: it is left as it is");
    }
}
