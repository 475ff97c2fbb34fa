//! What a report says is wrong.

use std::collections::BTreeMap;

use super::{Entry, NodeVerdict};
use crate::{
    finding::{Finding, FindingDoc, Severity},
    proxy::checks,
    ranges::checks::{Findings, in_order},
};

/// The findings of `verify`; what modes left that are not running is PROXY-005.
pub static DOCS: &[FindingDoc] = &[
    FindingDoc {
        id: "PROXY-201",
        title: "a node's kernel does nothing for a Service's address",
        severity: "error",
        formula: "an address and port of a Service (ClusterIP, externalIP, load balancer's address, node port) for which the \
                  node's rules neither translate a packet nor refuse it although the Service's endpoints ask for the one or \
                  the other; in ipvs mode there is no virtual server. Live, it was so twice, with the API read in between",
        example: "node-7: 2 addresses: shop/web:http TCP 10.96.3.3:80, TCP node port 30080",
        remedy: "kube-proxy writes its rules again when it starts: delete its pod on the node. If they are missing again, \
                 its log has why (kubectl -n kube-system logs POD), often a failed iptables-restore or nft transaction",
    },
    FindingDoc {
        id: "PROXY-202",
        title: "a node's kernel sends a Service's packets elsewhere than its endpoints ask for",
        severity: "error",
        formula: "an address and port of a Service where the endpoints, their chances or weights, the source translation, the \
                  affinity or the refusal differ from what Services, EndpointSlices and the node's kube-proxy configuration \
                  give; or something that all Services need (a hook, the masquerading) is not as it must be",
        example: "node-7: 1 address: shop/web:http TCP 10.96.3.3:80: 10.244.1.9:8080 100.0%, expected 10.244.1.4:8080 100.0%",
        remedy: "if it stays, kube-proxy does not follow: see its log and whether it runs (`kubectl proxymode`); \
                 deleting its pod has it write all rules again. If single rules are wrong, somebody else wrote them: \
                 entries in -o json name the rule",
    },
    FindingDoc {
        id: "PROXY-203",
        title: "a node's kernel forwards or refuses what no Service has",
        severity: "warning",
        formula: "an address and port that the node's rules, maps or virtual servers treat, and that no Service has; in ipvs mode \
                  virtual servers in excludeCIDRs are left out",
        example: "node-7: 1 address: TCP 10.96.9.9:80: 10.244.1.9:8080 100.0%",
        remedy: "a Service that is gone goes on being answered, or its address is refused when another Service gets it. \
                 Restarting kube-proxy on the node removes it, unless it is of a mode that is not running: then see \
                 `kubectl proxymode cleanup`",
    },
];

/// How many addresses a message names.
const NAMED: usize = 3;

/// What is wrong, the worst first; nodes with the same fault are one finding.
pub fn findings(nodes: &[NodeVerdict]) -> Vec<Finding> {
    let mut found = Vec::new();
    let sorts: [fn(&NodeVerdict) -> &Vec<Entry>; 3] = [|n| &n.missing, |n| &n.wrong, |n| &n.stale];
    for (doc, entries) in DOCS.iter().zip(sorts) {
        let severity = if doc.id == "PROXY-203" { Severity::Warning } else { Severity::Error };
        let mut same: BTreeMap<(String, Vec<String>), Vec<&str>> = BTreeMap::new();
        for node in nodes {
            let entries = entries(node);
            if !entries.is_empty() {
                same.entry((message(entries), evidence(entries))).or_default().push(&node.name);
            }
        }
        for ((message, evidence), nodes) in same {
            Findings::of(doc, &mut found, &mut Vec::new()).add(severity, nodes.join(", "), message, evidence);
        }
    }
    let left = checks::ALL.iter().copied().flatten().find(|check| check.doc.id == "PROXY-005");
    for node in nodes.iter().filter(|node| !node.leftovers.is_empty()) {
        let words: Vec<String> = node.leftovers.iter().map(super::Leftover::in_short).collect();
        let mode = node.mode.map_or_else(|| "?".to_owned(), |mode| mode.to_string());
        let message = format!("runs {mode}; {}", words.join(", "));
        if let Some(check) = left {
            Findings::of(&check.doc, &mut found, &mut Vec::new()).add(
                Severity::Warning,
                node.name.clone(),
                message,
                Vec::new(),
            );
        }
    }
    in_order(&mut found);
    found
}

fn message(entries: &[Entry]) -> String {
    let count = match entries.len() {
        1 => "1 address".to_owned(),
        many => format!("{many} addresses"),
    };
    let mut places: Vec<String> = entries.iter().take(NAMED).map(Entry::place).collect();
    if entries.len() > NAMED {
        places.push("…".to_owned());
    }
    format!("{count}: {}", places.join(", "))
}

fn evidence(entries: &[Entry]) -> Vec<String> {
    entries.iter().take(NAMED).map(Entry::in_short).collect()
}

impl Entry {
    /// `shop/web:http TCP 10.96.3.3:80`, `TCP node port 30080`.
    pub fn place(&self) -> String {
        let mut words: Vec<String> = self.service.iter().map(ToString::to_string).collect();
        words.extend(self.protocol.clone());
        words.extend(match (self.address, self.port) {
            (Some(ip), Some(port)) => Some(std::net::SocketAddr::new(ip, port).to_string()),
            (Some(ip), None) => Some(ip.to_string()),
            (None, Some(port)) => Some(format!("node port {port}")),
            (None, None) => Some("every Service".to_owned()),
        });
        words.join(" ")
    }

    /// What is found and what is expected.
    pub fn in_short(&self) -> String {
        let nothing = || "nothing".to_owned();
        let found = self.found.clone().unwrap_or_else(nothing);
        let expected = self.expected.clone().unwrap_or_else(nothing);
        format!("{}: {found}; expected: {expected}", self.place())
    }
}
