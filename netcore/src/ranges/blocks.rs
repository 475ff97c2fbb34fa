//! What network plugins cut their pools into: blocks of Calico, node ranges of Cilium.

use std::net::IpAddr;

use super::{
    Facts,
    report::BlockRow,
    sources::calico::{BLOCKS, IPPOOLS},
};
use crate::{
    cidr::{Cidr, Count, Family, IpRange},
    cluster::{ReadStatus, resources},
};

/// How much of a pool is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// Addresses that the pool can give out: less what is reserved, and what each block loses.
    pub capacity: Count,
    /// Addresses given out; nothing where that could not be read.
    pub used: Option<u64>,
    /// Blocks or node ranges that it is cut into; nothing where their size is not known.
    pub blocks_total: Option<Count>,
    /// Blocks or node ranges that belong to somebody.
    pub blocks_used: u64,
}

/// One row per block, by address: Calico's blocks, and the ranges of Cilium's nodes.
pub fn rows(facts: &Facts) -> Vec<BlockRow> {
    let blocks = &facts.known.calico.blocks;
    let calico = blocks.by_cidr.values().map(|block| BlockRow {
        cidr: block.cidr,
        node: blocks.owner_name(block).map(str::to_owned),
        used: Some(block.allocations.len() as u64),
        capacity: block.cidr.size().small(),
    });
    let own = own_addresses(facts);
    let cilium = facts.known.cilium.nodes.iter().flat_map(|(name, node)| {
        node.cidrs.iter().map(|cidr| BlockRow {
            cidr: *cidr,
            node: Some(name.clone()),
            used: in_use(facts, &own, cidr),
            capacity: node_range_capacity(cidr).small(),
        })
    });
    let mut rows: Vec<BlockRow> = calico.chain(cilium).collect();
    rows.sort();
    rows
}

/// The use of a pool; nothing where no plugin has a pool of just this range.
pub fn pool_use(facts: &Facts, cidr: &Cidr) -> Option<PoolUse> {
    calico_pool(facts, cidr).or_else(|| cilium_pool(facts, cidr))
}

fn calico_pool(facts: &Facts, cidr: &Cidr) -> Option<PoolUse> {
    let calico = &facts.known.calico;
    if BLOCKS.status(facts) != Some(&ReadStatus::Complete) || IPPOOLS.status(facts).is_none() {
        return None;
    }
    let pool = calico.pools.values().find(|pool| pool.cidr == *cidr)?;
    let inside = || calico.blocks.by_cidr.range(*cidr..).take_while(|(block, _)| cidr.contains(block)).map(|(_, b)| b);
    let reserved = calico.reserved.within(cidr).size(cidr.family());
    // a reservation may be on an address that was given out before
    let capacity = cidr.size().less(reserved.get().unwrap_or(u128::MAX));
    Some(PoolUse {
        capacity,
        used: Some(inside().map(|block| block.allocations.len() as u64).sum()),
        blocks_total: Some(pool.block_count()),
        blocks_used: inside().count() as u64,
    })
}

fn cilium_pool(facts: &Facts, cidr: &Cidr) -> Option<PoolUse> {
    let cilium = &facts.known.cilium;
    let (_, mask, _) = cilium.cluster_pools.iter().find(|(pool, _, _)| pool == cidr)?;
    let own = own_addresses(facts);
    let blocks_used = cilium.nodes.values().flat_map(|node| &node.cidrs).filter(|block| cidr.contains(block)).count();
    let total = mask.filter(|mask| *mask >= cidr.prefix_len() && *mask <= cidr.family().bits());
    let blocks_total = total.map(|mask| Count::power(mask - cidr.prefix_len()));
    // every node range loses its first and last address
    let lost = match (cidr.family(), blocks_total.and_then(Count::get)) {
        (Family::V4, Some(total)) => total.saturating_mul(2),
        (Family::V4, None) => 2,
        (Family::V6, _) => 0,
    };
    Some(PoolUse {
        capacity: cidr.size().less(lost),
        used: in_use(facts, &own, cidr),
        blocks_total,
        blocks_used: blocks_used as u64,
    })
}

/// What Cilium can give out of a node's range: in IPv4 neither the first address nor the last.
fn node_range_capacity(cidr: &Cidr) -> Count {
    match (cidr.family(), cidr.host_bits()) {
        (Family::V4, 2..) => cidr.size().less(2),
        _ => cidr.size(),
    }
}

/// The addresses that nodes have in pod ranges for themselves, in order and each once.
fn own_addresses(facts: &Facts) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> = facts.infrastructure.iter().map(|(ip, _)| *ip).collect();
    own.sort_unstable();
    own.dedup();
    own
}

/// Addresses of pods and of nodes themselves inside a range; nothing where pods could not be read.
fn in_use(facts: &Facts, own: &[IpAddr], cidr: &Cidr) -> Option<u64> {
    if !facts.complete(&resources::PODS) {
        return None;
    }
    let range = IpRange::from(*cidr);
    let from = own.partition_point(|ip| *ip < range.first());
    let to = own.partition_point(|ip| *ip <= range.last());
    let mut pods = 0;
    let mut last = None;
    for address in facts.pods.inside(cidr) {
        pods += u64::from(last != Some(address.ip) && own.binary_search(&address.ip).is_err());
        last = Some(address.ip);
    }
    Some(pods + (to - from) as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ranges::{
        PodAddress, Want,
        sources::calico::tests::{crd, read_into},
    };

    fn with_pods(ips: &[&str]) -> Facts {
        let mut facts = Facts::default();
        facts.reads.insert(Want::list(&resources::PODS), ReadStatus::Complete);
        for ip in ips {
            let pod = facts.pods.names.push("n/p");
            facts.pods.addresses.push(PodAddress { ip: ip.parse().unwrap(), pod, node: u32::MAX });
        }
        facts
    }

    #[test]
    fn calicos_blocks_count_allocations() {
        let mut facts = Facts::default();
        let attributes = json!([{"handle_id": "h", "secondary": {}}]);
        let block = |name, cidr, affinity: Option<&str>| {
            crd(
                "IPAMBlock",
                name,
                json!({"cidr": cidr, "affinity": affinity, "allocations": [0, null, 0, null],
                    "attributes": attributes}),
            )
        };
        read_into(
            &mut facts,
            &[
                crd("IPPool", "p", json!({"cidr": "10.1.0.0/24", "blockSize": 30})),
                crd("IPReservation", "r", json!({"reservedCIDRs": ["10.1.0.0/28", "10.9.0.0/24"]})),
                block("b", "10.1.0.4/30", None),
                block("a", "10.1.0.0/30", Some("host:node1")),
                block("other", "10.2.0.0/30", Some("host:node1")),
            ],
        );
        let rows = rows(&facts);
        assert_eq!(rows[0].node.as_deref(), Some("node1"));
        assert_eq!((rows[0].used, rows[0].capacity), (Some(2), Some(4)));
        assert_eq!((rows[1].cidr.to_string().as_str(), rows[1].node.as_deref()), ("10.1.0.4/30", None));
        let pool = pool_use(&facts, &"10.1.0.0/24".parse().unwrap()).unwrap();
        assert_eq!((pool.used, pool.blocks_used), (Some(4), 2));
        assert_eq!((pool.capacity, pool.blocks_total), (Count::new(240), Some(Count::new(64))));
        assert_eq!(pool_use(&facts, &"10.2.0.0/24".parse().unwrap()), None);
    }

    #[test]
    fn blocks_that_were_not_read_give_no_use() {
        let mut facts = Facts::default();
        read_into(&mut facts, &[crd("IPPool", "p", json!({"cidr": "10.1.0.0/24"}))]);
        let forbidden = ReadStatus::Unreadable("forbidden".to_owned());
        facts.reads.insert(Want::list(&resources::CALICO_IPAMBLOCKS_V1), forbidden);
        assert_eq!(pool_use(&facts, &"10.1.0.0/24".parse().unwrap()), None);
    }

    #[test]
    fn ranges_of_ciliums_nodes_count_pods_and_their_own() {
        let mut facts = with_pods(&["10.0.1.5", "10.0.1.6", "10.0.2.1"]);
        read_into(
            &mut facts,
            &[
                json!({"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": "cilium-config", "namespace": "kube-system"},
                    "data": {"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.0.0.0/16",
                        "cluster-pool-ipv4-mask-size": "24"}}),
                json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": {"name": "a"},
                    "spec": {"ipam": {"podCIDRs": ["10.0.1.0/24"]}, "health": {"ipv4": "10.0.1.9"},
                        "addresses": [{"type": "CiliumInternalIP", "ip": "10.0.1.7"}]}}),
            ],
        );
        let rows = rows(&facts);
        assert_eq!((rows[0].used, rows[0].capacity), (Some(4), Some(254)));
        let pool = pool_use(&facts, &"10.0.0.0/16".parse().unwrap()).unwrap();
        assert_eq!((pool.used, pool.blocks_used), (Some(5), 1));
        assert_eq!((pool.blocks_total, pool.capacity), (Some(Count::new(256)), Count::new(65_536 - 512)));
        facts.reads.clear();
        assert_eq!(super::rows(&facts)[0].used, None);
    }
}
