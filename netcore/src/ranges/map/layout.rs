//! What is drawn: the blocks that hold ranges, cut so that a screen holds them.

use std::{collections::BTreeMap, net::IpAddr};

use super::{AddressMap, Block, Cell, Fill, MapRange, Overlap, Parts, word};
use crate::{
    cidr::{Cidr, Family, IpRange, RangeSet, overlaps, smallest_cover},
    cluster::resources,
    ranges::{Facts, Role, usage},
};

/// Cells of the largest blocks (four rows of 64) and of the others (one row).
const CELL_BITS_LARGE: u8 = 8;
const CELL_BITS: u8 = 6;
/// Blocks drawn of a map, and overlaps told.
const MOST_BLOCKS: usize = 12;
const MOST_OVERLAPS: usize = 8;
/// Overlapping pairs looked through for those of different roles.
const MOST_PAIRS: usize = 10_000;
/// Ranges whose parts are counted: a screen full of bars says nothing.
const MOST_BARS: usize = 16;
/// The blocks that people think in.
const KNOWN_BLOCKS: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"];

/// One thing to draw.
struct Item {
    role: Role,
    range: IpRange,
    lower_bound: bool,
    /// A node's or load balancer's address outside of every range of that role.
    single: bool,
}

/// The picture of everything that is known. Pods must be sorted.
pub fn layout(facts: &Facts) -> AddressMap {
    let items = items(facts);
    let (blocks, not_drawn) = blocks(&items);
    let painted = Painted::of(&items);
    let live = Live::of(facts);
    let mut bars = MOST_BARS;
    let blocks = blocks
        .into_iter()
        .map(|cidr| {
            let bits = if cidr.family() == Family::V4 && cidr.prefix_len() <= 8 { CELL_BITS_LARGE } else { CELL_BITS };
            let cell_prefix = (cidr.prefix_len() + bits).min(cidr.family().bits());
            Block {
                cells: painted.cells(cidr, cell_prefix),
                ranges: ranges(facts, &items, cidr, &live, &mut bars),
                cidr,
                cell_prefix,
            }
        })
        .collect();
    let (overlaps, more_overlaps) = shared(&items);
    AddressMap { blocks, not_drawn, overlaps, more_overlaps }
}

fn items(facts: &Facts) -> Vec<Item> {
    let mut stated: BTreeMap<(Role, IpRange), bool> = BTreeMap::new();
    for fact in facts.ranges.iter().filter(|fact| fact.share_of.is_none()) {
        *stated.entry((fact.role, fact.range)).or_insert(true) &= fact.lower_bound;
    }
    let mut items: Vec<Item> = stated
        .into_iter()
        .map(|((role, range), lower_bound)| Item { role, range, lower_bound, single: false })
        .collect();

    let known = |role: Role| -> RangeSet { items.iter().filter(|item| item.role == role).map(|i| i.range).collect() };
    let (pods, nodes, balancers) = (known(Role::Pod), known(Role::Node), known(Role::Loadbalancer));
    // node shares of which no source names the whole: touching ones are drawn as one
    let shares = shares(facts).difference(&pods);
    let node_ips: RangeSet = facts.nodes.values().flat_map(|node| &node.addresses).copied().collect();
    // a load balancer on the nodes themselves has no addresses of its own
    let balancer_ips: RangeSet =
        facts.services.iter().flat_map(|s| s.load_balancer_ips.iter().chain(&s.external_ips)).copied().collect();
    let single = |role, set: RangeSet| {
        let each: Vec<IpRange> = set.ranges().to_vec();
        each.into_iter().map(move |range| Item { role, range, lower_bound: true, single: true })
    };
    items.extend(shares.prefixes().map(|cidr| Item {
        role: Role::Pod,
        range: cidr.into(),
        lower_bound: true,
        single: false,
    }));
    items.extend(single(Role::Node, node_ips.difference(&nodes)));
    items.extend(single(Role::Loadbalancer, balancer_ips.difference(&balancers).difference(&node_ips)));
    items.sort_by_key(|item| {
        (item.range.family(), item.range.first_number(), std::cmp::Reverse(item.range.last_number()), item.role)
    });
    items
}

/// What nodes have of the pod ranges.
fn shares(facts: &Facts) -> RangeSet {
    let stated = facts.ranges.iter().filter(|fact| fact.share_of.is_some() && fact.role == Role::Pod).map(|f| f.cidr);
    stated.chain(facts.nodes.values().flat_map(|node| &node.pod_cidrs).copied()).collect()
}

/// The blocks to draw, by address, and those left out.
fn blocks(items: &[Item]) -> (Vec<Cidr>, Vec<Cidr>) {
    let mut homes: BTreeMap<Cidr, Role> = BTreeMap::new();
    let mut add = |cidr: Cidr, role: Role| {
        let first = homes.entry(cidr).or_insert(role);
        *first = role.min(*first);
    };
    // IPv6 is too wide for fixed blocks: what lies in one /48 makes a block that just holds it
    let mut sites: BTreeMap<Cidr, (Vec<IpAddr>, Role)> = BTreeMap::new();
    for item in items {
        let Some(around) = smallest_cover(item.range.family(), ends(&item.range)) else { continue };
        match around.family() {
            Family::V4 => add(home_v4(around), item.role),
            Family::V6 => match Cidr::covering(around.first(), 48).filter(|site| site.contains(&around)) {
                Some(site) => {
                    let (addresses, role) = sites.entry(site).or_insert((Vec::new(), item.role));
                    addresses.extend(ends(&item.range));
                    *role = item.role.min(*role);
                }
                None => add(around, item.role),
            },
        }
    }
    for (site, (addresses, role)) in sites {
        let held = smallest_cover(Family::V6, addresses).unwrap_or(site);
        // some space around, to see where in it the ranges lie
        let wider = held.prefix_len().saturating_sub(2).max(site.prefix_len());
        add(Cidr::covering(held.first(), wider).unwrap_or(site), role);
    }

    // what holds nearly all addresses would hide everything else in one cell: it is painted over the
    // blocks of the others, and is a block of its own only where there is no other
    let narrow = |cidr: &Cidr| cidr.prefix_len() >= if cidr.family() == Family::V4 { 8 } else { 16 };
    if homes.keys().any(narrow) {
        homes.retain(|cidr, _| narrow(cidr));
    }
    let mut outer: Vec<(Role, Cidr)> = Vec::new();
    for (cidr, role) in homes {
        match outer.last_mut().filter(|(_, last)| last.contains(&cidr)) {
            Some((first, _)) => *first = role.min(*first),
            None => outer.push((role, cidr)),
        }
    }
    outer.sort_unstable();
    let mut drawn: Vec<Cidr> = outer.into_iter().map(|(_, cidr)| cidr).collect();
    let mut left_out = drawn.split_off(drawn.len().min(MOST_BLOCKS));
    drawn.sort_unstable();
    left_out.sort_unstable();
    (drawn, left_out)
}

fn home_v4(cidr: Cidr) -> Cidr {
    let known = KNOWN_BLOCKS.iter().filter_map(|text| text.parse::<Cidr>().ok()).find(|block| block.contains(&cidr));
    known.or_else(|| Cidr::covering(cidr.first(), cidr.prefix_len().min(16))).unwrap_or(cidr)
}

fn ends(range: &IpRange) -> [IpAddr; 2] {
    [range.first(), range.last()]
}

/// The addresses of each role, and those that have two.
struct Painted {
    roles: BTreeMap<Role, RangeSet>,
    all: RangeSet,
    twice: RangeSet,
}

impl Painted {
    fn of(items: &[Item]) -> Self {
        let mut ranges: BTreeMap<Role, Vec<IpRange>> = BTreeMap::new();
        for item in items {
            ranges.entry(item.role).or_default().push(item.range);
        }
        let roles: BTreeMap<Role, RangeSet> =
            ranges.into_iter().map(|(role, ranges)| (role, ranges.into_iter().collect())).collect();
        let (mut all, mut twice) = (RangeSet::new(), RangeSet::new());
        for set in roles.values() {
            twice = twice.union(&all.intersection(set));
            all = all.union(set);
        }
        Self { roles, all, twice }
    }

    fn cells(&self, block: Cidr, cell_prefix: u8) -> Vec<Cell> {
        pieces(block, cell_prefix)
            .map(|cell| Cell {
                roles: self.roles.iter().filter(|(_, set)| set.overlaps(cell)).map(|(role, _)| *role).collect(),
                full: self.all.contains(&cell),
                overlap: self.twice.overlaps(cell),
            })
            .collect()
    }
}

/// The prefixes of a length that make up a block.
fn pieces(block: Cidr, prefix: u8) -> impl Iterator<Item = Cidr> {
    let host_bits = u32::from(block.family().bits() - prefix);
    let count = 1u128 << prefix.saturating_sub(block.prefix_len()).min(CELL_BITS_LARGE);
    (0..count).filter_map(move |n| Cidr::covering(block.nth(n.checked_shl(host_bits)?)?, prefix))
}

/// Addresses in use by role, sorted; nothing where they could not be read.
struct Live {
    pods: Option<Vec<IpAddr>>,
    services: Option<Vec<IpAddr>>,
    shares: RangeSet,
}

impl Live {
    fn of(facts: &Facts) -> Self {
        let pods = || facts.pods.addresses.iter().map(|address| address.ip).collect();
        Self {
            pods: facts.complete(&resources::PODS).then(pods),
            services: usage::cluster_ips(facts),
            shares: shares(facts),
        }
    }

    fn inside(&self, role: Role, cidr: &Cidr) -> Option<&[IpAddr]> {
        let addresses = match role {
            Role::Pod => self.pods.as_ref()?,
            Role::Service => self.services.as_ref()?,
            _ => return None,
        };
        let from = addresses.partition_point(|ip| *ip < cidr.first());
        let to = addresses.partition_point(|ip| *ip <= cidr.last());
        addresses.get(from..to)
    }

    /// How full the parts of a range are.
    fn parts(&self, role: Role, cidr: &Cidr) -> Option<Parts> {
        self.inside(role, cidr)?;
        let prefix = (cidr.prefix_len() + CELL_BITS).min(cidr.family().bits());
        let fill = pieces(*cidr, prefix)
            .map(|part| {
                let used = self.inside(role, &part).map_or(0, <[IpAddr]>::len) as u128;
                // of four quarters; a part of all IPv6 is never more than a quarter full
                let quarters = part.size().get().map_or(1, |size| (used.saturating_mul(4)).div_ceil(size));
                match (used, quarters) {
                    (0, _) if role == Role::Pod && self.shares.overlaps(part) => Fill::Given,
                    (0, _) => Fill::Free,
                    (_, 0 | 1) => Fill::Quarter,
                    (_, 2) => Fill::Half,
                    (_, 3) => Fill::ThreeQuarters,
                    _ => Fill::Full,
                }
            })
            .collect();
        Some(Parts { prefix, fill })
    }
}

/// The ranges of a block; single addresses of a role are one row.
fn ranges(facts: &Facts, items: &[Item], block: Cidr, live: &Live, bars: &mut usize) -> Vec<MapRange> {
    let within = |item: &&Item| item.range.overlaps(&block.into());
    let mut rows: Vec<MapRange> = Vec::new();
    for item in items.iter().filter(within).filter(|item| !item.single) {
        let cidr = item.range.as_cidr();
        let usage = cidr.map(|cidr| usage::of_range(facts, item.role, &cidr, item.lower_bound)).unwrap_or_default();
        let parts = cidr.filter(|_| *bars > 0).and_then(|cidr| live.parts(item.role, &cidr));
        *bars = bars.saturating_sub(usize::from(parts.is_some()));
        rows.push(MapRange {
            role: item.role,
            text: named(&item.range),
            lower_bound: item.lower_bound,
            used: usage.used,
            capacity: usage.capacity.map(|count| count.to_string()),
            percent: usage.percent(),
            parts,
        });
    }
    for role in [Role::Node, Role::Loadbalancer] {
        let single: Vec<&Item> = items.iter().filter(within).filter(|item| item.single && item.role == role).collect();
        let (Some(first), Some(last)) = (single.first(), single.last()) else { continue };
        let count: u128 = single.iter().filter_map(|item| item.range.size().get()).sum();
        let (first, last) = (first.range.first(), last.range.last());
        rows.push(MapRange {
            role,
            text: if count == 1 { first.to_string() } else { format!("{count} addresses, {first} to {last}") },
            lower_bound: true,
            used: None,
            capacity: None,
            percent: None,
            parts: None,
        });
    }
    rows
}

/// A range as a prefix, an address or `start-end`.
fn named(range: &IpRange) -> String {
    match range.as_cidr() {
        Some(cidr) if cidr.host_bits() == 0 => cidr.first().to_string(),
        Some(cidr) => cidr.to_string(),
        None => range.to_string(),
    }
}

/// Where items of different roles meet.
fn shared(items: &[Item]) -> (Vec<Overlap>, bool) {
    let pairs = overlaps(items.iter().map(|item| item.range), MOST_PAIRS);
    let mut found: Vec<Overlap> = Vec::new();
    for (one, other) in pairs.pairs {
        let (Some(one), Some(other)) = (items.get(one), items.get(other)) else { continue };
        let Some(both) = one.range.intersection(&other.range).filter(|_| one.role != other.role) else { continue };
        if found.len() == MOST_OVERLAPS {
            return (found, true);
        }
        let named_item = |item: &Item| format!("{} {}", word(item.role), named(&item.range));
        found.push(Overlap { one: named_item(one), other: named_item(other), shared: named(&both) });
    }
    (found, pairs.capped)
}
