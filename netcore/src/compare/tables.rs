//! Tables in numbers. A chain's owner is asked once, not for each of its rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{LongestChain, OwnerCounts, TableCost};
use crate::{
    iptables::{self, Graph},
    nft::{self, ChainGraph, Family, Ruleset, is_compat_table},
    owner,
    rules::{Backend, Seen},
};

/// A table of `iptables-save`.
pub fn table(seen: &Seen<'_>) -> TableCost {
    let table = seen.table;
    let name = table.name().unwrap_or_default();
    let graph = Graph::of(table);
    let mut owners = OwnerCounts::default();
    let (mut chains, mut rules) = (0, 0);
    for chain in table.chains() {
        chains += 1;
        rules += chain.len();
        let own = if chain.is_built_in() { None } else { owner::of_chain(name, chain.name()) };
        match own {
            Some(known) => owners.add(known.owner, chain.len()),
            // each rule may be somebody else's
            None => chain.rules().for_each(|rule| owners.add(rule.owner().owner, 1)),
        }
    }
    let longest = graph.longest(table).filter(|chain| !chain.is_empty());
    TableCost {
        family: seen.family,
        backend: seen.backend.map(|backend| match backend {
            iptables::Backend::Legacy => Backend::Legacy,
            iptables::Backend::Nft => Backend::Nft,
        }),
        table: table.name().map(str::to_owned),
        chains,
        rules,
        owners,
        longest_chain: longest.map(|chain| LongestChain { name: chain.name().to_owned(), rules: chain.len() }),
        depth: graph.depth(),
        sets: None,
        elements: None,
        complete: table.is_complete(),
    }
}

/// The tables of `nft -j list ruleset` for which `wanted` says so.
pub fn nft_tables(rules: &Ruleset<'_>, wanted: &dyn Fn(Family, &str) -> bool) -> Vec<TableCost> {
    let graph = ChainGraph::new(rules);
    let mut found: BTreeMap<(Family, &str), TableCost> = BTreeMap::new();
    let mut order: Vec<(Family, &str)> = Vec::new();
    let declared = rules.tables().map(|table| (table.family, &*table.name));
    for place in declared.chain(graph.nodes().iter().map(|node| (node.place.0, node.place.1))) {
        if wanted(place.0, place.1) && !found.contains_key(&place) {
            order.push(place);
            found.insert(place, empty(place));
        }
    }
    for node in graph.nodes() {
        let Some(cost) = found.get_mut(&(node.place.0, node.place.1)) else { continue };
        cost.chains += 1;
        cost.rules += node.rules;
        let longest = cost.longest_chain.as_ref().map_or(0, |longest| longest.rules);
        if node.rules > longest {
            cost.longest_chain = Some(LongestChain { name: node.place.2.to_owned(), rules: node.rules });
        }
    }
    for rule in rules.rules() {
        if let Some(cost) = found.get_mut(&(rule.family, &*rule.table)) {
            cost.owners.add(nft::of_rule(rule).owner, 1);
        }
    }
    for set in rules.sets().chain(rules.maps()) {
        if let Some(cost) = found.get_mut(&(set.family, &*set.table)) {
            *cost.sets.get_or_insert_default() += 1;
            *cost.elements.get_or_insert_default() += set.elements().count();
        }
    }
    for ((family, table), depth) in depths(&graph) {
        if let Some(cost) = found.get_mut(&(family, table)) {
            cost.depth = depth;
        }
    }
    order.iter().filter_map(|place| found.remove(place)).collect()
}

fn empty((family, table): (Family, &str)) -> TableCost {
    TableCost {
        family: Some(family.into()),
        backend: Some(if is_compat_table(family, table) { Backend::Nft } else { Backend::Nftables }),
        table: Some(table.to_owned()),
        chains: 0,
        rules: 0,
        owners: OwnerCounts::default(),
        longest_chain: None,
        depth: None,
        sets: Some(0),
        elements: Some(0),
        complete: None,
    }
}

/// How many chains deep a packet can come in each table; nothing where chains of it are in a circle.
fn depths<'r>(graph: &ChainGraph<'r>) -> BTreeMap<(Family, &'r str), Option<usize>> {
    let looped: BTreeSet<usize> = graph.loops().into_iter().collect();
    let mut depths: BTreeMap<(Family, &str), Option<usize>> = BTreeMap::new();
    for at in &looped {
        depths.extend(graph.nodes().get(*at).map(|node| ((node.place.0, node.place.1), None)));
    }
    // chains whose callees are all done, done in turn: no recursion, and circles are left out
    let mut below: HashMap<usize, usize> = HashMap::new();
    for (at, node) in graph.nodes().iter().enumerate().filter(|(_, node)| node.base) {
        let mut stack = vec![(at, 0)];
        let mut on_way = BTreeSet::from([at]);
        while let Some((here, next)) = stack.last_mut() {
            let here = *here;
            let targets = graph.nodes().get(here).map_or(&[][..], |node| node.targets.as_slice());
            if let Some(to) = targets.get(*next).copied() {
                *next += 1;
                if !below.contains_key(&to) && !looped.contains(&to) && on_way.insert(to) {
                    stack.push((to, 0));
                }
                continue;
            }
            let deepest = targets.iter().filter_map(|to| below.get(to)).max().copied().unwrap_or(0);
            below.insert(here, deepest + 1);
            on_way.remove(&here);
            stack.pop();
        }
        let depth = below.get(&at).copied();
        let known = depths.entry((node.place.0, node.place.1)).or_insert(depth);
        if let (Some(known), Some(depth)) = (known.as_mut(), depth) {
            *known = (*known).max(depth);
        }
    }
    depths
}
