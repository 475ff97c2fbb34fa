//! Checks of BGP: over the report that `kubectl cni bgp` prints.

use std::collections::BTreeMap;

use crate::{
    cluster::{ReadStatus, resources},
    cni::{
        Facts,
        bgp::report::{BgpNode, BgpReport, SessionRow},
    },
    finding::{Finding, FindingDoc, Severity, Unreadable},
    ranges::{
        Want,
        checks::{Findings, in_order},
    },
};

/// A check of BGP.
pub struct BgpCheck {
    /// What it is; `docs/findings.md` is made from this.
    pub doc: FindingDoc,
    /// Adds what it finds.
    pub run: fn(&Facts, &BgpReport, &mut Findings<'_>),
}

/// Every check, by id.
pub static ALL: &[BgpCheck] = &[
    BgpCheck {
        doc: FindingDoc {
            id: "CNI-060",
            title: "a BGP session is not established",
            severity: "error",
            formula: "BIRD, calicoctl node status or CalicoNodeStatus has a session in another state than Established",
            example: "node-1: session with 10.0.0.2 (node-2) is Active: Socket: Connection refused",
            remedy: "routes of that peer are gone while it lasts. Connection refused or timed out: BIRD there, and TCP 179 between the \
                     two; Bad peer AS: the AS of BGPPeer or of the node's annotation; a password that only one of them has shows as \
                     a time-out",
        },
        run: not_established,
    },
    BgpCheck {
        doc: FindingDoc {
            id: "CNI-061",
            title: "a link of the mesh is missing",
            severity: "error",
            formula: "the mesh is on, a node that reflects no routes was read, and it has no session with the address of another such node",
            example: "node-1 has no session with node-7",
            remedy: "calico-node there wrote no address (annotation projectcalico.org/IPv4Address), or confd does not render: see \
                     calico-node's logs on both",
        },
        run: missing_links,
    },
    BgpCheck {
        doc: FindingDoc {
            id: "CNI-062",
            title: "two nodes take each other for another AS",
            severity: "error",
            formula: "the AS that a node expects of a peer that is a node is not the one that that node has",
            example: "node-1 expects AS 64513 of node-2, which is in 64512",
            remedy: "set asNumber of the BGPPeer, or the annotation projectcalico.org/ASNumber of the node, so that both agree",
        },
        run: other_as,
    },
    BgpCheck {
        doc: FindingDoc {
            id: "CNI-063",
            title: "the mesh is off and there is no peer",
            severity: "error",
            formula: "Calico's backend is bird, nodeToNodeMeshEnabled is false, and there is no BGPPeer (they were read)",
            example: "bgpconfiguration default spec.nodeToNodeMeshEnabled: false, no BGPPeer",
            remedy: "nobody learns anybody's blocks: make BGPPeers to route reflectors or to the fabric, or turn the mesh on",
        },
        run: nobody,
    },
    BgpCheck {
        doc: FindingDoc {
            id: "CNI-064",
            title: "a full mesh of many nodes",
            severity: "info",
            formula: "the mesh is on and there are more than 100 nodes: n(n-1)/2 sessions",
            example: "250 nodes, 31125 sessions",
            remedy: "Calico advises route reflectors above about 100 nodes",
        },
        run: large,
    },
    BgpCheck {
        doc: FindingDoc {
            id: "CNI-065",
            title: "a block does not get into every node's kernel",
            severity: "error",
            formula: "a confirmed affinity's block (of a pool that is exported) is missing in the origin's BIRD, in a peer's BIRD, or in a \
                      peer's kernel; the first hop that lacks it is named. Only nodes whose routes were read count",
            example: "10.244.1.0/26 of node-1: exported: node-1 tells node-2 nothing: its export filter",
            remedy: "at the hop that is named: session (CNI-060), BGPFilter or custom templates of confd for filters, Felix and BIRD's \
                     kernel protocol for the kernel",
        },
        run: lost,
    },
    BgpCheck {
        doc: FindingDoc {
            id: "CNI-066",
            title: "two nodes have one router id",
            severity: "error",
            formula: "the router id of BIRD is the same on two nodes",
            example: "node-1 and node-2: 10.0.0.1",
            remedy: "neighbours take one for the other: give each its own address (IP autodetection found the same one twice), or set \
                     CALICO_ROUTER_ID",
        },
        run: one_id,
    },
    BgpCheck {
        doc: FindingDoc {
            id: "CNI-067",
            title: "BIRD does not run",
            severity: "error",
            formula: "Calico's backend is bird, and a node's calico-node has no socket of BIRD",
            example: "node-3: no socket of BIRD",
            remedy: "kubectl logs of calico-node there: BIRD and confd write to it, and it says why they ended",
        },
        run: no_bird,
    },
    BgpCheck {
        doc: FindingDoc {
            id: "CNI-068",
            title: "a block of a node that is gone",
            severity: "warning",
            formula: "a confirmed BlockAffinity names a node that is no Node (Nodes were read)",
            example: "10.244.9.0/26 of node-9, which is no Node",
            remedy: "calico-kube-controllers gives it back; where it does not run, calicoctl ipam check, then ipam release",
        },
        run: of_gone_nodes,
    },
];

/// Runs every check: findings, the worst first; and which checks could not be made.
pub fn run(facts: &Facts, report: &BgpReport) -> (Vec<Finding>, Vec<Unreadable>) {
    let (mut found, mut not_checked) = (Vec::new(), Vec::new());
    for check in ALL {
        (check.run)(facts, report, &mut Findings::of(&check.doc, &mut found, &mut not_checked));
    }
    in_order(&mut found);
    (found, not_checked)
}

fn sessions(report: &BgpReport) -> impl Iterator<Item = (&BgpNode, &SessionRow)> {
    report.nodes.iter().flat_map(|node| node.sessions.iter().map(move |session| (node, session)))
}

fn with(session: &SessionRow) -> String {
    match &session.node {
        Some(node) => format!("{} ({node})", session.peer),
        None => session.peer.clone(),
    }
}

fn not_established(_: &Facts, report: &BgpReport, findings: &mut Findings<'_>) {
    for (node, session) in sessions(report).filter(|(_, session)| !session.is_established()) {
        let error = session.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let since = session.since.as_ref().map(|since| format!("since {since}"));
        let message = format!("session with {} is {}{error}", with(session), session.state);
        findings.add(Severity::Error, node.name.as_str(), message, since.into_iter().collect());
    }
}

fn missing_links(_: &Facts, report: &BgpReport, findings: &mut Findings<'_>) {
    for node in report.nodes.iter().filter(|node| !node.missing.is_empty()) {
        const NAMED: usize = 5;
        let named = node.missing.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = node.missing.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        findings.add(Severity::Error, node.name.as_str(), format!("has no session with {named}{more}"), Vec::new());
    }
}

fn other_as(_: &Facts, report: &BgpReport, findings: &mut Findings<'_>) {
    let own: BTreeMap<&str, u32> =
        report.nodes.iter().filter_map(|node| Some((node.name.as_str(), node.asn?))).collect();
    for (node, session) in sessions(report) {
        let Some((expected, peer)) = session.asn.zip(session.node.as_deref()) else { continue };
        if let Some(has) = own.get(peer).filter(|has| **has != expected) {
            let message = format!("expects AS {expected} of {peer}, which is in {has}");
            findings.add(Severity::Error, node.name.as_str(), message, Vec::new());
        }
    }
}

fn nobody(facts: &Facts, report: &BgpReport, findings: &mut Findings<'_>) {
    let off = report.mesh == Some(false) && report.backend.as_deref() == Some("bird");
    if !off || !report.peers.is_empty() {
        return;
    }
    let kinds = [&resources::CALICO_BGPPEERS_V1, &resources::CALICO_BGPPEERS_V3];
    let read = kinds.iter().any(|kind| facts.reads.get(&Want::list(kind)) == Some(&ReadStatus::Complete));
    if read {
        findings.add(
            Severity::Error,
            "BGP",
            "the mesh is off and there is no BGPPeer: no node learns another's blocks",
            Vec::new(),
        );
    } else {
        findings.not_checked("needs bgppeers");
    }
}

fn large(facts: &Facts, report: &BgpReport, findings: &mut Findings<'_>) {
    if let Some(sessions) =
        report.mesh_sessions.filter(|_| facts.nodes.len() > 100 && report.backend.as_deref() == Some("bird"))
    {
        findings.add(
            Severity::Info,
            "BGP",
            format!("{} nodes in a full mesh have {sessions} sessions", facts.nodes.len()),
            Vec::new(),
        );
    }
}

fn lost(_: &Facts, report: &BgpReport, findings: &mut Findings<'_>) {
    for block in report.nodes.iter().flat_map(|node| &node.blocks) {
        // said of nodes that are gone by itself
        let Some(first) = block.breaks.first() else { continue };
        let more = block.breaks.len() - 1;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        findings.add(
            Severity::Error,
            format!("block {}", block.cidr),
            format!("of {}: {first}{more}", block.origin),
            block.breaks.clone(),
        );
    }
}

fn one_id(_: &Facts, report: &BgpReport, findings: &mut Findings<'_>) {
    let mut ids: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in &report.nodes {
        if let Some(id) = &node.router_id {
            ids.entry(id).or_default().push(&node.name);
        }
    }
    for (id, nodes) in ids.iter().filter(|(_, nodes)| nodes.len() > 1) {
        findings.add(Severity::Error, nodes.join(", "), format!("all have router id {id}"), Vec::new());
    }
}

fn no_bird(facts: &Facts, report: &BgpReport, findings: &mut Findings<'_>) {
    if report.backend.as_deref() != Some("bird") {
        return;
    }
    let silent = facts.readings.iter().filter(|(_, reading)| reading.bird_absent && reading.birds.is_empty());
    findings.add_of_nodes(
        Severity::Error,
        silent.map(|(name, _)| (name.as_str(), "BIRD has no socket there".to_owned(), Vec::new())),
    );
}

fn of_gone_nodes(facts: &Facts, report: &BgpReport, findings: &mut Findings<'_>) {
    if facts.reads.get(&Want::list(&resources::NODES)) != Some(&ReadStatus::Complete) {
        return;
    }
    for block in
        report.nodes.iter().flat_map(|node| &node.blocks).filter(|block| !facts.nodes.contains_key(&block.origin))
    {
        let evidence = vec![format!("blockaffinity of {} and {}", block.origin, block.cidr)];
        findings.add(
            Severity::Warning,
            format!("block {}", block.cidr),
            format!("of {}, which is no Node", block.origin),
            evidence,
        );
    }
}
