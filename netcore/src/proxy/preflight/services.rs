//! What this cluster's own Services would feel.

use super::{Check, Items, Question, Service};
use crate::{
    finding::{FindingDoc, Severity},
    proxy::Mode,
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "PROXY-141",
            title: "node ports on 127.0.0.1",
            severity: "warning where such packets were seen, info where not or not known",
            formula: "iptables is left, iptables.localhostNodePorts is not false, and a Service has node ports: only iptables mode \
                      answers them on 127.0.0.1. Seen: \
                      kubeproxy_iptables_localhost_nodeports_accepted_packets_total is above 0 on a node",
            example: "default/registry: its node ports answer on 127.0.0.1 in iptables mode only; 418 packets to such ports were seen",
            remedy: "have whoever uses localhost:PORT use the node's address instead (an image registry behind a node port is the \
                     usual case)",
        },
        overridable: true,
        run: localhost,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-142",
            title: "node ports on other addresses",
            severity: "warning where a node has more than one address, info where not",
            formula: "nftables is asked for, nodePortAddresses is not set, and a Service has node ports: nftables mode then answers \
                      on the node's primary addresses only, the others on every address",
            example: "default/web: its node ports would answer on the nodes' primary addresses only",
            remedy: "set nodePortAddresses to the ranges that are to answer (0.0.0.0/0, ::/0 for all; all from 1.37)",
        },
        overridable: true,
        run: addresses,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-143",
            title: "externalTrafficPolicy Local from inside under ipvs",
            severity: "warning",
            formula: "ipvs is asked for, and a Service with an external or load balancer address has externalTrafficPolicy: Local: \
                      from nodes and pods without an endpoint beside them the address is a black hole under ipvs",
            example: "ingress/nginx: 203.0.113.7 is not reached from nodes without an endpoint",
            remedy: "let clients in the cluster use the ClusterIP or the Service's name",
        },
        overridable: true,
        run: local,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-144",
            title: "session affinity begins anew",
            severity: "info",
            formula: "a Service has sessionAffinity: ClientIP: each mode keeps its clients' pods by its own means, and none takes \
                      them over",
            example: "shop/cart: clients may come to another pod once",
            remedy: "switch when a lost session is bearable",
        },
        overridable: true,
        run: affinity,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-145",
            title: "an external address that is a node's",
            severity: "error",
            formula: "ipvs is asked for, and a Service's externalIPs or load balancer address is an address of a node: ipvs mode puts \
                      it on kube-ipvs0 of every other node, which then cannot reach that node",
            example: "default/web: 172.31.77.2 is an address of node1",
            remedy: "give the Service another external address, or stay with another mode",
        },
        overridable: true,
        run: node_address,
    },
    Check {
        doc: FindingDoc {
            id: "PROXY-146",
            title: "many Services in iptables mode",
            severity: "warning above 5,000 Services, info above 1,000",
            formula: "iptables is asked for; the number of Services with an address",
            example: "6204 Services: a first packet meets up to 6204 rules, and each change rewrites them",
            remedy: "nftables mode looks Services up in a map; kernel 5.13 or later",
        },
        overridable: true,
        run: many,
    },
];

fn with_node_ports<'a>(question: &'a Question<'_>) -> impl Iterator<Item = &'a Service> {
    question.services.unwrap_or_default().iter().filter(|service| !service.node_ports.is_empty())
}

fn localhost(question: &Question<'_>, items: &mut Items<'_>) {
    let off = question.facts.configurations.iter().any(|c| c.config.localhost_node_ports == Some(false));
    if question.mode == Mode::Iptables || !question.leaves(Mode::Iptables) || off {
        return;
    }
    let metrics = question.facts.readings.values().filter_map(|reading| reading.metrics.as_ref()?.localhost_node_ports);
    let seen: u64 = metrics.sum();
    for service in with_node_ports(question) {
        let words = "its node ports answer on 127.0.0.1 in iptables mode only";
        if seen > 0 {
            items.service(Severity::Warning, service, format!("{words}; {seen} packets to such ports were seen"));
        } else {
            items.service(Severity::Info, service, words);
        }
    }
    unread(question, items);
}

/// Says that the Services were not read.
fn unread(question: &Question<'_>, items: &mut Items<'_>) {
    if question.services.is_none() {
        items.not_checked("needs services");
    }
}

fn addresses(question: &Question<'_>, items: &mut Items<'_>) {
    let set = question.facts.configurations.iter().any(|c| !c.config.node_port_addresses.is_empty());
    if question.mode != Mode::Nftables || set || question.from().next().is_none() {
        return;
    }
    // an address of each family is what every node has
    let several = |addresses: &[String]| {
        let (six, four): (Vec<&String>, Vec<&String>) = addresses.iter().partition(|address| address.contains(':'));
        six.len() > 1 || four.len() > 1
    };
    let several = question.facts.nodes.values().any(|node| several(&node.addresses));
    let severity = if several { Severity::Warning } else { Severity::Info };
    for service in with_node_ports(question) {
        items.service(severity, service, "its node ports would answer on the nodes' primary addresses only");
    }
    unread(question, items);
}

fn local(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode != Mode::Ipvs || question.from().next().is_none() {
        return;
    }
    for service in question.services.unwrap_or_default().iter().filter(|service| service.local) {
        let outside: Vec<&str> =
            service.external_ips.iter().chain(&service.load_balancer_ips).map(String::as_str).collect();
        if !outside.is_empty() {
            let message = format!("{} is not reached from nodes without an endpoint", outside.join(", "));
            items.service(Severity::Warning, service, message);
        }
    }
    unread(question, items);
}

fn affinity(question: &Question<'_>, items: &mut Items<'_>) {
    if question.from().next().is_none() {
        return;
    }
    for service in question.services.unwrap_or_default().iter().filter(|service| service.affinity) {
        items.service(Severity::Info, service, "clients may come to another pod once: affinity begins anew");
    }
    unread(question, items);
}

fn node_address(question: &Question<'_>, items: &mut Items<'_>) {
    if question.mode != Mode::Ipvs {
        return;
    }
    for service in question.services.unwrap_or_default() {
        for address in service.external_ips.iter().chain(&service.load_balancer_ips) {
            let owner = question.facts.nodes.iter().find(|(_, node)| node.addresses.contains(address));
            if let Some((node, _)) = owner {
                items.service(Severity::Error, service, format!("{address} is an address of node {node}"));
            }
        }
    }
    unread(question, items);
}

fn many(question: &Question<'_>, items: &mut Items<'_>) {
    let count = question.services.unwrap_or_default().len();
    let severity = match count {
        _ if question.mode != Mode::Iptables || question.from().next().is_none() => return,
        0..=1000 => return,
        1001..=5000 => Severity::Info,
        _ => Severity::Warning,
    };
    items.all(
        severity,
        format!("{count} Services: a first packet meets up to {count} rules, and each change rewrites them"),
    );
}
