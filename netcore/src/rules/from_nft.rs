//! The tables of `nft -j list ruleset` in the common shape.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Backend, ChainView, Missing, RuleView, TableView, from_iptables::pass_names_on};
use crate::{
    iptables::Counters,
    names::Names,
    nft::{self, ChainGraph, Expr, Family, Named, Ruleset, Statement, is_compat_table},
};

/// The tables for which `wanted` says so. Those that iptables-nft keeps are of backend `nft`; what they
/// hold is better told by `iptables-save`.
pub fn tables(rules: &Ruleset<'_>, names: &Names, wanted: &dyn Fn(Family, &str) -> bool) -> Vec<TableView> {
    let graph = ChainGraph::new(rules);
    let lost: BTreeSet<usize> = graph.unreachable().into_iter().collect();
    let looped: BTreeSet<usize> = graph.loops().into_iter().collect();
    // a table of a cut dump may be known by its chains or rules alone
    let mut places: Vec<(Family, &str)> = Vec::new();
    let declared = rules.tables().map(|table| (table.family, &*table.name));
    for place in declared.chain(graph.nodes().iter().map(|node| (node.place.0, node.place.1))) {
        if !places.contains(&place) && wanted(place.0, place.1) {
            places.push(place);
        }
    }
    let mut built: Vec<TableView> = places.iter().map(|(family, table)| empty(*family, table)).collect();
    // the graph's number of a chain to its place in its table
    let mut place_in: HashMap<usize, (usize, usize)> = HashMap::new();
    let headers: HashMap<_, _> =
        rules.chains().map(|chain| ((chain.family, &*chain.table, &*chain.name), chain)).collect();
    for (number, node) in graph.nodes().iter().enumerate() {
        let (family, table, name) = node.place;
        let Some(at) = places.iter().position(|place| *place == (family, table)) else { continue };
        let Some(view) = built.get_mut(at) else { continue };
        place_in.insert(number, (at, view.chains.len()));
        let header = headers.get(&node.place);
        view.chains.push(ChainView {
            name: name.to_owned(),
            hook: header.and_then(|chain| chain.hook.as_deref()).map(str::to_owned),
            priority: header.and_then(|chain| chain.prio),
            policy: header.and_then(|chain| chain.policy.as_deref()).map(str::to_owned),
            counters: None,
            owner: header.map_or(crate::owner::Owner::Other, |chain| nft::of_chain(chain).owner),
            names: names.of_chain(name),
            rules: Vec::new(),
            reachable: !lost.contains(&number),
        });
    }
    let maps = map_targets(rules);
    let numbers: HashMap<_, _> = graph.nodes().iter().enumerate().map(|(at, node)| (node.place, at)).collect();
    for rule in rules.rules() {
        let of = (rule.family, &*rule.table, &*rule.chain);
        let Some((at, chain)) = numbers.get(&of).and_then(|number| place_in.get(number)) else { continue };
        let mut calls = Vec::new();
        let mut called = HashSet::new();
        let mut counters = None;
        let mut lead = |target: &str| {
            let to = numbers.get(&(rule.family, &*rule.table, target)).and_then(|number| place_in.get(number));
            calls.extend(to.map(|(_, chain)| *chain).filter(|chain| called.insert(*chain)));
        };
        for statement in rule.statements() {
            match &statement {
                Statement::Counter(Named::Inline(counter)) => {
                    counters =
                        counter.packets.map(|packets| Counters { packets, bytes: counter.bytes.unwrap_or_default() });
                }
                Statement::Verdict(verdict) => verdict.target().into_iter().for_each(&mut lead),
                _ => {}
            }
            statement.walk(&mut |expr| match expr {
                Expr::Verdict(verdict) => verdict.target().into_iter().for_each(&mut lead),
                Expr::Text(_) => {
                    let map = expr.set_name().and_then(|name| maps.get(&(rule.family, &*rule.table, name)));
                    map.into_iter().flatten().for_each(|target| lead(target));
                }
                _ => {}
            });
        }
        let chain = built.get_mut(*at).and_then(|view| view.chains.get_mut(*chain));
        if let Some(chain) = chain {
            chain.rules.push(RuleView {
                text: rule.to_string(),
                counters,
                owner: nft::of_rule(rule).owner,
                names: names.in_nft_rule(rule),
                calls,
            });
        }
    }
    note_missing(&graph, &place_in, &mut built);
    note_loops(&graph, &looped, &place_in, &mut built);
    for view in &mut built {
        pass_names_on(&mut view.chains);
    }
    built
}

fn empty(family: Family, table: &str) -> TableView {
    TableView {
        family: Some(family.into()),
        backend: Some(if is_compat_table(family, table) { Backend::Nft } else { Backend::Nftables }),
        table: Some(table.to_owned()),
        chains: Vec::new(),
        missing: Vec::new(),
        loops: Vec::new(),
    }
}

fn note_missing(graph: &ChainGraph<'_>, place_in: &HashMap<usize, (usize, usize)>, built: &mut [TableView]) {
    let mut missing: BTreeMap<(usize, &str), Missing> = BTreeMap::new();
    for (from, name) in graph.missing() {
        let Some((at, chain)) = place_in.get(from) else { continue };
        let first = built.get(*at).and_then(|view| view.chains.get(*chain)).map_or("?", |chain| chain.name.as_str());
        let entry = missing.entry((*at, name)).or_insert_with(|| Missing {
            chain: name.clone(),
            callers: 0,
            first: first.to_owned(),
        });
        entry.callers += 1;
    }
    for ((at, _), entry) in missing {
        if let Some(view) = built.get_mut(at) {
            view.missing.push(entry);
        }
    }
}

/// The graph tells which chains are in a circle; one that leads to another of them is in the same.
fn note_loops(
    graph: &ChainGraph<'_>,
    looped: &BTreeSet<usize>,
    place_in: &HashMap<usize, (usize, usize)>,
    built: &mut [TableView],
) {
    let mut left = looped.clone();
    while let Some(first) = left.pop_first() {
        let mut group = vec![first];
        let mut open = vec![first];
        while let Some(at) = open.pop() {
            for to in graph.nodes().get(at).iter().flat_map(|node| &node.targets) {
                if left.remove(to) {
                    group.push(*to);
                    open.push(*to);
                }
            }
        }
        let Some((table, _)) = place_in.get(&first) else { continue };
        if let Some(view) = built.get_mut(*table) {
            view.loops.push(group.iter().filter_map(|number| place_in.get(number)).map(|(_, chain)| *chain).collect());
        }
    }
}

type Place<'r> = (Family, &'r str, &'r str);

/// The chains that each verdict map leads to, in the map's order.
fn map_targets<'r>(rules: &'r Ruleset<'_>) -> HashMap<Place<'r>, Vec<String>> {
    let verdicts = rules.maps().filter(|map| map.is_verdict_map());
    verdicts
        .map(|map| {
            let targets = map.elements().filter_map(|element| match element.data {
                Some(Expr::Verdict(verdict)) => verdict.target().map(str::to_owned),
                _ => None,
            });
            ((map.family, &*map.table, &*map.name), targets.collect())
        })
        .collect()
}
