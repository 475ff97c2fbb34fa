//! Checks of pools, whoever's they are: pods inside them, pools beside each other, pools and the
//! cluster's pod range.

use std::collections::BTreeSet;

use super::{Check, Findings, calico::read_whole, examples::Examples};
use crate::{
    cidr::{IpRange, RangeSet, overlaps},
    cluster::{ReadStatus, resources},
    finding::{FindingDoc, Severity},
    probe::UNNAMED,
    ranges::{
        Facts, RangeFact, Role,
        sources::{
            Ipam,
            calico::{BLOCKS, IPPOOLS},
        },
    },
};

/// How many overlapping pairs are reported of one kind.
const PAIRS: usize = 20;

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CIDR-020",
            title: "pods with addresses outside every pool",
            severity: "warning",
            formula: "the address of a live pod that no pool holds: with Calico's address management its pools, with \
                      Cilium's the ranges of its nodes and pools, else the nodes' podCIDRs and the declared pod ranges. \
                      Not checked where no such range is known. Needs all pods",
            example: "2 pods have addresses outside every pool: default/web-0 192.168.9.4 on node3",
            remedy: "the pods were started before the pool was changed or by another plugin: restart them; if they get \
                     such an address again, look for a second CNI configuration on the node",
        },
        needs: &[&resources::PODS],
        run: outside,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-026",
            title: "pools or blocks that overlap",
            severity: "error: one address can be given out twice",
            formula: "two Calico pools, two Calico blocks, two ranges of Cilium's pod pools, or two ranges of enabled \
                      Cilium load-balancer pools share an address; or Calico says CIDROverlap, Cilium PoolConflict",
            example: "10.244.0.0/16 (ippool a) and 10.244.128.0/17 (ippool b) overlap",
            remedy: "disable the newer one, move what uses it (restart the pods), then delete it",
        },
        needs: &[],
        run: overlapping,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-028",
            title: "a pool outside the cluster's pod range",
            severity: "warning",
            formula: "an enabled Calico pool for pods, or a range that Cilium cuts up, that no declared pod range of \
                      its family (kube-controller-manager --cluster-cidr, kubeadm podSubnet, OpenShift's network) \
                      contains, where one is declared",
            example: "ippool pods 192.168.0.0/16 lies outside 10.244.0.0/16 of configmap kube-system/kubeadm-config",
            remedy: "declare a pod range that holds the pool, so that kube-proxy and others know pods by their \
                     addresses, or move the pods to a pool inside it",
        },
        needs: &[],
        run: outside_cluster_range,
    },
];

fn outside(facts: &Facts, findings: &mut Findings<'_>) {
    let Some((held, by)) = pod_space(facts, findings) else { return };
    let mut found = Examples::default();
    for address in &facts.pods.addresses {
        // a family that no range is known of says nothing
        let family = crate::cidr::Family::of(address.ip);
        if held.of_family(family).is_empty() || held.contains_ip(address.ip) {
            continue;
        }
        found.add(|| {
            let node = facts.pods.node_of(address).unwrap_or(UNNAMED);
            format!("pod {}: {} on node {node}", facts.pods.names.get(address.pod), address.ip)
        });
    }
    if found.count() > 0 {
        let what =
            if found.count() == 1 { "1 pod address lies" } else { &format!("{} pod addresses lie", found.count()) };
        findings.add(Severity::Warning, "pods", format!("{what} outside {by}"), found.into_evidence());
    }
}

/// Where pods' addresses should come from, and what that is called.
fn pod_space(facts: &Facts, findings: &mut Findings<'_>) -> Option<(RangeSet, &'static str)> {
    match facts.known.ipam() {
        Some(Ipam::Calico) => {
            let pools = facts.known.calico.pools.values().map(|pool| pool.cidr);
            read_whole(facts, findings, &[&IPPOOLS], &[]).then(|| (pools.collect(), "every Calico pool"))
        }
        Some(Ipam::CiliumClusterPool | Ipam::CiliumMultiPool) => {
            let cilium = &facts.known.cilium;
            if let Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) =
                facts.list_status(&resources::CILIUM_NODES)
            {
                findings.not_checked(format!("needs {}: {reason}", resources::CILIUM_NODES.full_name()));
                return None;
            }
            let mut held: RangeSet = cilium.nodes.values().flat_map(|node| node.cidrs.iter().copied()).collect();
            held.extend(cilium.pod_pools.iter().map(|(_, range, _)| *range));
            held.extend(cilium.cluster_pools.iter().map(|(cidr, _, _)| *cidr));
            Some((held, "the ranges of every Cilium node and pool"))
        }
        _ => {
            let mut held: RangeSet = facts.nodes.values().flat_map(|node| node.pod_cidrs.iter().copied()).collect();
            held.extend(facts.ranges.iter().filter(|f| f.role == Role::Pod && !f.lower_bound).map(|f| f.range));
            Some((held, "every known pod range"))
        }
    }
}

fn overlapping(facts: &Facts, findings: &mut Findings<'_>) {
    let (calico, cilium) = (&facts.known.calico, &facts.known.cilium);
    for kind in [&IPPOOLS, &BLOCKS] {
        if let Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) = kind.status(facts) {
            findings.not_checked(format!("in part: needs {}: {reason}", kind.storage.full_name()));
        }
    }
    // the pods' pools are only used in one mode
    let multi_pool = facts.known.ipam() == Some(Ipam::CiliumMultiPool);
    let of_cilium = multi_pool.then_some(&resources::CILIUM_PODIPPOOLS).into_iter();
    for kind in of_cilium.chain([&resources::CILIUM_LBIPPOOLS]) {
        if let Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) = facts.list_status(kind) {
            findings.not_checked(format!("in part: needs {}: {reason}", kind.full_name()));
        }
    }
    let pools: Vec<Named> =
        calico.pools.values().map(|pool| (pool.cidr.into(), pool.object.clone(), pool.cidr.to_string())).collect();
    let blocks: Vec<Named> = calico
        .blocks
        .by_cidr
        .keys()
        .map(|cidr| ((*cidr).into(), format!("ipamblock {cidr}"), cidr.to_string()))
        .collect();
    let of_cilium = |pools: &[(String, IpRange, crate::ranges::Origin)]| -> Vec<Named> {
        pools.iter().map(|(_, range, origin)| (*range, origin.to_string(), range.to_string())).collect()
    };
    let mut named = report_pairs(&pools, findings);
    report_pairs(&blocks, findings);
    report_pairs(&of_cilium(&cilium.pod_pools), findings);
    named.extend(report_pairs(&of_cilium(&cilium.lb_pools), findings));

    // what the plugins say of themselves, where the other side is not here to be seen
    for pool in calico.pools.values() {
        if pool.not_allocatable.as_deref() == Some("CIDROverlap") && !named.contains(&pool.object) {
            let evidence = vec![format!("{}: status.conditions Allocatable=False, CIDROverlap", pool.object)];
            let message = format!("{} overlaps another pool, says Calico", pool.cidr);
            findings.add(Severity::Error, pool.object.clone(), message, evidence);
        }
    }
    for (pool, says) in &cilium.lb_conflicts {
        let object = format!("ciliumloadbalancerippool {pool}");
        if !named.iter().any(|name| name.starts_with(&format!("{object} "))) {
            let evidence = vec![format!("{object}: status.conditions cilium.io/PoolConflict=True: {says}")];
            findings.add(Severity::Error, object, "conflicts with another pool, says Cilium", evidence);
        }
    }
}

/// A range, the object that has it, and the range as it is shown.
type Named = (IpRange, String, String);

/// Reports each pair, and gives back the objects that were named.
fn report_pairs(ranges: &[Named], findings: &mut Findings<'_>) -> BTreeSet<String> {
    let found = overlaps(ranges.iter().map(|(range, _, _)| *range), PAIRS);
    let mut named = BTreeSet::new();
    for (a, b) in found.pairs {
        let (Some((_, left, left_text)), Some((_, right, right_text))) = (ranges.get(a), ranges.get(b)) else {
            continue;
        };
        let message = format!("{left_text} overlaps {right_text} of {right}");
        let evidence = vec![format!("{left}: {left_text}"), format!("{right}: {right_text}")];
        findings.add(Severity::Error, left.clone(), message, evidence);
        named.extend([left.clone(), right.clone()]);
    }
    if found.capped {
        findings.not_checked(format!("in part: only the first {PAIRS} overlapping pairs are shown"));
    }
    named
}

/// What is declared to be the pods' range of the whole cluster.
fn declared(facts: &Facts) -> Vec<&RangeFact> {
    let declares = |fact: &&RangeFact| {
        let origin = &fact.origin;
        let cluster_cidr = origin.field.contains("cluster-cidr") && !origin.object.contains("kube-proxy");
        cluster_cidr || origin.field.contains("podSubnet") || origin.source.starts_with("openshift")
    };
    let whole = facts.ranges.iter().filter(|f| f.role == Role::Pod && f.share_of.is_none() && !f.lower_bound);
    whole.filter(declares).collect()
}

fn outside_cluster_range(facts: &Facts, findings: &mut Findings<'_>) {
    let declared = declared(facts);
    let calico = facts.known.calico.pools.values().filter(|pool| pool.serves_pods());
    let calico = calico.map(|pool| (pool.object.clone(), pool.cidr));
    let cilium = facts.known.cilium.cluster_pools.iter().map(|(cidr, _, origin)| (origin.to_string(), *cidr));
    let mut any = false;
    for (object, cidr) in calico.chain(cilium) {
        any = true;
        let of_family: Vec<_> = declared.iter().filter(|fact| fact.cidr.family() == cidr.family()).collect();
        if of_family.is_empty() || of_family.iter().any(|fact| fact.cidr.contains(&cidr)) {
            continue;
        }
        let mut evidence = vec![format!("{object}: {cidr}")];
        evidence.extend(of_family.iter().map(|fact| format!("{}: {}", fact.origin, fact.text)));
        evidence.dedup();
        let message = format!("{cidr} lies outside the cluster's declared pod range");
        findings.add(Severity::Warning, object, message, evidence);
    }
    if any || IPPOOLS.status(facts).is_none() {
        return;
    }
    if let Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) = IPPOOLS.status(facts) {
        findings.not_checked(format!("needs {}: {reason}", IPPOOLS.storage.full_name()));
    }
}

#[cfg(test)]
#[path = "pools_tests.rs"]
mod tests;
