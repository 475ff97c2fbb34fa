//! Checks of Calico's address management: what it gave out against who is there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Findings, examples::Examples};
use crate::{
    calico::{Allocation, AllocationKind, Block, BlockOwner, IpamSettings},
    cidr::{Cidr, Count, Family, RangeSet},
    cluster::{ReadStatus, Resource, resources},
    finding::{FindingDoc, Severity},
    probe::UNNAMED,
    ranges::{
        Facts,
        sources::{
            Ipam,
            calico::{BLOCKS, IPPOOLS, SETTINGS, Twice},
        },
    },
};

/// How long an allocation may be without its pod: Calico's own period before it calls one leaked.
const GRACE_SECONDS: i64 = 15 * 60;

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CIDR-021",
            title: "addresses that Calico leaked",
            severity: "warning",
            formula: "an allocation for a pod (namespace and name are known, the handle is of the pod network, no \
                      releasedAt, no tunnel, not set aside for Windows) whose address no live pod has, and which is at \
                      least 15 minutes older than the newest allocation of the cluster. What is not known counts as \
                      valid. Needs all pods and all blocks",
            example: "pool 10.233.64.0/18: 3 addresses are allocated to pods that are gone; 10.233.66.12 of \
                      default/web-0 on node2",
            remedy: "look again after some minutes; what is still there can be released with `calicoctl ipam check` \
                     and `calicoctl ipam release`, never while its pod may come back. See why kube-controllers does \
                     not collect it",
        },
        needs: &[],
        run: leaked,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-022",
            title: "addresses in use that Calico has not allocated",
            severity: "error: the address can be given to a second pod",
            formula: "the address of a live pod (not being deleted), or a tunnel address of a node, that lies in an \
                      enabled pool and is allocated in no block, where Calico gives pods their addresses. Needs all \
                      pods, pools and blocks",
            example: "pool 10.233.64.0/18: 1 address is in use but not allocated; 10.233.66.12 of pod default/web-0",
            remedy: "restart the pod so that it gets an address anew; for a tunnel restart calico-node on that node. \
                     `calicoctl ipam check` shows the same from Calico's side",
        },
        needs: &[],
        run: not_allocated,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-023",
            title: "addresses borrowed from another node's block",
            severity: "info; warning where at least a fifth of all addresses (and ten) are borrowed, or where \
                       strictAffinity forbids it",
            formula: "an allocation whose node is another than the one that its block belongs to",
            example: "12 of 340 addresses are borrowed from blocks of other nodes",
            remedy: "every borrowed address is a route of its own on every node. Make the pool larger or its blocks \
                     smaller, so that each node finds a free block",
        },
        needs: &[],
        run: borrowed,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-024",
            title: "a node has all the blocks that it may have",
            severity: "warning",
            formula: "blocks of a node in one family >= maxBlocksPerHost (20 where it is not set or 0)",
            example: "node1 has 20 IPv4 blocks, and may have 20",
            remedy: "raise maxBlocksPerHost in the IPAM configuration, or use a larger block size in a new pool; look \
                     for leaked addresses that keep blocks alive",
        },
        needs: &[],
        run: block_limit,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-025",
            title: "blocks of nodes that no longer exist",
            severity: "warning",
            formula: "a block or block affinity whose node is not among the cluster's nodes. Needs all nodes",
            example: "2 blocks belong to nodes that no longer exist; node old-1: 10.233.70.0/26, 10.233.70.64/26",
            remedy: "see that calico-kube-controllers runs with its node controller enabled: it releases the blocks \
                     of nodes that are gone; `calicoctl ipam check` lists them",
        },
        needs: &[],
        run: orphans,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-027",
            title: "fewer blocks than nodes",
            severity: "error: some nodes find no block",
            formula: "the sum of 2^(blockSize - prefix length) over a family's enabled pools for pods < the number of \
                      nodes",
            example: "the IPv4 pools have 8 blocks for 11 nodes; 10.1.0.0/23 in blocks of /26",
            remedy: "add a pool, or replace the pool by one with smaller blocks (a larger blockSize number); the block \
                     size of a pool cannot be changed",
        },
        needs: &[],
        run: too_few_blocks,
    },
];

/// Whether all of these kinds were read. Where the cluster does not have one there is nothing to
/// check; where one could not be read, that is said.
pub(super) fn read_whole(
    facts: &Facts,
    findings: &mut Findings<'_>,
    calico: &[&Twice],
    others: &[&'static Resource],
) -> bool {
    let kinds = calico.iter().map(|kind| (kind.storage, kind.status(facts)));
    let others = others.iter().map(|kind| (*kind, facts.list_status(kind)));
    let mut unread = Vec::new();
    for (kind, status) in kinds.chain(others) {
        match status {
            None | Some(ReadStatus::Absent) => return false,
            Some(ReadStatus::Complete) => {}
            Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) => {
                unread.push(format!("{}: {reason}", kind.full_name()));
            }
        }
    }
    if !unread.is_empty() {
        findings.not_checked(format!("needs {}", unread.join(", ")));
    }
    unread.is_empty()
}

/// Every allocation with its block.
fn allocations(facts: &Facts) -> impl Iterator<Item = (&Block, &Allocation)> {
    facts.known.calico.blocks.by_cidr.values().flat_map(|block| block.allocations.iter().map(move |a| (block, a)))
}

/// The pool that holds a prefix, as it is shown.
fn pool_of(facts: &Facts, cidr: &Cidr) -> String {
    let holding = facts.known.calico.pools.values().filter(|pool| pool.cidr.contains(cidr));
    let narrowest = holding.max_by_key(|pool| pool.cidr.prefix_len());
    narrowest.map_or_else(|| format!("{cidr} (in no pool)"), |pool| format!("{} ({})", pool.object, pool.cidr))
}

fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

fn leaked(facts: &Facts, findings: &mut Findings<'_>) {
    if !read_whole(facts, findings, &[&BLOCKS], &[&resources::PODS]) {
        return;
    }
    let calico = &facts.known.calico;
    // no clock here: the newest allocation was made no later than now
    let Some(newest) = allocations(facts).filter_map(|(_, a)| a.at).max() else { return };
    let mut by_pool: BTreeMap<String, Examples> = BTreeMap::new();
    for (block, allocation) in allocations(facts) {
        let old = allocation.at.is_some_and(|at| newest - at >= GRACE_SECONDS);
        if allocation.kind != AllocationKind::Pod || allocation.released || !old {
            continue;
        }
        let (Some(ip), Some(pod)) = (block.address(allocation), allocation.pod) else { continue };
        if facts.pods.inside(&Cidr::host(ip)).is_empty() {
            by_pool.entry(pool_of(facts, &block.cidr)).or_default().add(|| {
                let node = allocation.node.and_then(|node| calico.blocks.node_name(node)).unwrap_or(UNNAMED);
                format!("ipamblock {}: {ip} of pod {} on node {node}", block.cidr, calico.blocks.pods.get(pod))
            });
        }
    }
    for (pool, found) in by_pool {
        let what =
            plural(found.count(), "address is allocated to a pod that is", "addresses are allocated to pods that are");
        findings.add(Severity::Warning, pool, format!("{what} gone"), found.into_evidence());
    }
}

fn not_allocated(facts: &Facts, findings: &mut Findings<'_>) {
    if facts.known.ipam() != Some(Ipam::Calico)
        || !read_whole(facts, findings, &[&IPPOOLS, &BLOCKS], &[&resources::PODS])
    {
        return;
    }
    let calico = &facts.known.calico;
    let active: RangeSet = calico.pools.values().filter(|pool| !pool.disabled).map(|pool| pool.cidr).collect();
    let mut by_pool: BTreeMap<String, Examples> = BTreeMap::new();
    for address in &facts.pods.addresses {
        // the plugin gives an address back some moments before its pod's object is gone
        let leaving = calico.leaving.contains(&address.ip);
        if leaving || !active.contains_ip(address.ip) || calico.blocks.allocation(address.ip).is_some() {
            continue;
        }
        by_pool.entry(pool_of(facts, &Cidr::host(address.ip))).or_default().add(|| {
            let node = facts.pods.node_of(address).unwrap_or(UNNAMED);
            format!("pod {}: {} on node {node}", facts.pods.names.get(address.pod), address.ip)
        });
    }
    for (ip, node, annotation) in &calico.tunnels {
        if active.contains_ip(*ip) && calico.blocks.allocation(*ip).is_none() {
            by_pool
                .entry(pool_of(facts, &Cidr::host(*ip)))
                .or_default()
                .add(|| format!("node {node}: {ip} in annotation {annotation}"));
        }
    }
    for (pool, found) in by_pool {
        let what = plural(found.count(), "address is", "addresses are");
        findings.add(
            Severity::Error,
            pool,
            format!("{what} in use but not allocated in any block"),
            found.into_evidence(),
        );
    }
}

fn borrowed(facts: &Facts, findings: &mut Findings<'_>) {
    if !read_whole(facts, findings, &[&BLOCKS], &[]) {
        return;
    }
    let calico = &facts.known.calico;
    let (mut all, mut found) = (0usize, Examples::default());
    for (block, allocation) in allocations(facts) {
        let BlockOwner::Node(owner) = block.owner else { continue };
        let Some(node) = allocation.node.filter(|_| !allocation.released) else { continue };
        all += 1;
        if node != owner {
            found.add(|| {
                let name = |index| calico.blocks.node_name(index).unwrap_or(UNNAMED);
                let ip = block.address(allocation).map(|ip| ip.to_string()).unwrap_or_default();
                format!("ipamblock {} of node {}: {ip} is used on node {}", block.cidr, name(owner), name(node))
            });
        }
    }
    if found.count() == 0 {
        return;
    }
    let strict = calico.settings.as_ref().filter(|settings| settings.strict_affinity);
    let many = found.count() >= 10 && found.count() * 5 >= all;
    let severity = if strict.is_some() || many { Severity::Warning } else { Severity::Info };
    let verb = if found.count() == 1 { "is" } else { "are" };
    let mut message = format!("{} of {all} addresses {verb} borrowed from blocks of other nodes", found.count());
    if let Some(settings) = strict {
        message.push_str(", which strictAffinity of ");
        message.push_str(&settings.object);
        message.push_str(" forbids");
    }
    findings.add(severity, "Calico blocks", message, found.into_evidence());
}

/// The blocks of each node name, from the blocks themselves and from confirmed affinities.
fn blocks_of_nodes(facts: &Facts) -> BTreeMap<&str, BTreeSet<Cidr>> {
    let calico = &facts.known.calico;
    let mut owned: BTreeMap<&str, BTreeSet<Cidr>> = BTreeMap::new();
    for block in calico.blocks.by_cidr.values() {
        if let Some(node) = calico.blocks.owner_name(block) {
            owned.entry(node).or_default().insert(block.cidr);
        }
    }
    // a pending affinity counts for nothing yet
    for affinity in calico.affinities.values().filter(|affinity| affinity.state == "confirmed") {
        owned.entry(&affinity.node).or_default().insert(affinity.cidr);
    }
    owned
}

fn block_limit(facts: &Facts, findings: &mut Findings<'_>) {
    if !read_whole(facts, findings, &[&BLOCKS], &[]) {
        return;
    }
    if let Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) = SETTINGS.status(facts) {
        findings.not_checked(format!("needs {}: {reason}", SETTINGS.storage.full_name()));
        return;
    }
    let settings = facts.known.calico.settings.as_ref();
    let set = settings.filter(|settings| settings.max_blocks_per_host > 0);
    let limit = set.map_or(IpamSettings::DEFAULT_MAX_BLOCKS, |settings| settings.max_blocks_per_host);
    let says = set.map_or_else(
        || format!("maxBlocksPerHost is not set: {limit}"),
        |settings| format!("{} spec.maxBlocksPerHost: {limit}", settings.object),
    );
    for (node, blocks) in blocks_of_nodes(facts) {
        for family in [Family::V4, Family::V6] {
            let mut found = Examples::default();
            for block in blocks.iter().filter(|block| block.family() == family) {
                found.add(|| format!("ipamblock {block}"));
            }
            if found.count() as u64 >= limit {
                let message = format!("has {} {family} blocks, and may have {limit}", found.count());
                let mut evidence = vec![says.clone()];
                evidence.extend(found.into_evidence());
                findings.add(Severity::Warning, format!("node {node}"), message, evidence);
            }
        }
    }
}

fn orphans(facts: &Facts, findings: &mut Findings<'_>) {
    if !read_whole(facts, findings, &[&BLOCKS], &[&resources::NODES]) {
        return;
    }
    let owned = blocks_of_nodes(facts);
    if !owned.is_empty() && !facts.nodes.is_empty() && !owned.keys().any(|name| facts.nodes.contains_key(*name)) {
        findings.not_checked("no block belongs to a node of this cluster: Calico's node names are others");
        return;
    }
    let mut found = Examples::default();
    let mut count = 0;
    for (node, blocks) in owned.iter().filter(|(name, _)| !facts.nodes.contains_key(**name)) {
        count += blocks.len();
        found.add(|| {
            let mut shown = Examples::default();
            for block in blocks {
                shown.add(|| block.to_string());
            }
            format!("ipamblocks of node {node}: {}", shown.into_evidence().join(", "))
        });
    }
    if count > 0 {
        let nodes = plural(found.count(), "node that no longer exists", "nodes that no longer exist");
        let verb = if count == 1 { "belongs" } else { "belong" };
        let message = format!("{} {verb} to {nodes}", plural(count, "block", "blocks"));
        findings.add(Severity::Warning, "Calico blocks", message, found.into_evidence());
    }
}

fn too_few_blocks(facts: &Facts, findings: &mut Findings<'_>) {
    if facts.known.ipam() != Some(Ipam::Calico) || !read_whole(facts, findings, &[&IPPOOLS], &[&resources::NODES]) {
        return;
    }
    let nodes = facts.nodes.len();
    for family in [Family::V4, Family::V6] {
        let pools: Vec<_> = facts
            .known
            .calico
            .pools
            .values()
            .filter(|pool| pool.cidr.family() == family && pool.serves_pods())
            .collect();
        let blocks = pools.iter().fold(Count::ZERO, |sum, pool| sum.plus(pool.block_count()));
        if !pools.is_empty() && blocks < Count::new(nodes as u128) {
            let evidence =
                pools.iter().map(|pool| format!("{}: {} in blocks of /{}", pool.object, pool.cidr, pool.block_size));
            let message = format!("the pools have {blocks} blocks for {nodes} nodes");
            findings.add(Severity::Error, format!("{family} pools"), message, evidence.collect());
        }
    }
}

#[cfg(test)]
#[path = "calico_tests.rs"]
mod tests;
