//! Who leads to whom: chains, and the jumps, gotos and verdict maps between them.

use std::collections::{BTreeSet, HashMap};

use super::{
    expr::Expr,
    model::{Family, Ruleset},
    statement::Statement,
};

/// A chain's place: its table's family, its table, its name.
pub type Place<'r> = (Family, &'r str, &'r str);

/// One chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node<'r> {
    /// Where it is.
    pub place: Place<'r>,
    /// Whether packets come from a hook.
    pub base: bool,
    /// How many rules it has.
    pub rules: usize,
    /// How many of its statements are not known, `xt` among them: what they do is in no graph.
    pub unknown: usize,
    /// The chains that it leads to, each once, as numbers of this graph.
    pub targets: Vec<usize>,
}

/// All chains of a rule set.
#[derive(Clone, Debug, Default)]
pub struct ChainGraph<'r> {
    nodes: Vec<Node<'r>>,
    by_place: HashMap<Place<'r>, usize>,
    missing: Vec<(usize, String)>,
}

impl<'r> ChainGraph<'r> {
    /// Reads every rule once.
    pub fn new(ruleset: &'r Ruleset<'_>) -> Self {
        let mut graph = Self::default();
        for chain in ruleset.chains() {
            let at = graph.node((chain.family, &chain.table, &chain.name));
            if let Some(node) = graph.nodes.get_mut(at) {
                node.base = chain.hook.is_some();
            }
        }
        let maps = map_targets(ruleset);
        // a chain's targets while they are gathered
        let mut targets: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); graph.nodes.len()];
        let mut missing = BTreeSet::new();
        for rule in ruleset.rules() {
            let (family, table) = (rule.family, &*rule.table);
            // a rule of a chain that is not listed: the dump was cut
            let from = graph.node((family, table, &rule.chain));
            targets.resize_with(graph.nodes.len(), BTreeSet::new);
            let mut names: BTreeSet<String> = BTreeSet::new();
            let mut unknown = 0;
            for statement in rule.statements() {
                match &statement {
                    Statement::Unknown(_) | Statement::Xt(_) => unknown += 1,
                    Statement::Verdict(verdict) => names.extend(verdict.target().map(str::to_owned)),
                    _ => {}
                }
                statement.walk(&mut |expr| match expr {
                    Expr::Verdict(verdict) => names.extend(verdict.target().map(str::to_owned)),
                    Expr::Unknown(_) => unknown += 1,
                    Expr::Text(_) => {
                        let map = expr.set_name().and_then(|name| maps.get(&(family, table, name)));
                        names.extend(map.into_iter().flatten().cloned());
                    }
                    _ => {}
                });
            }
            if let Some(node) = graph.nodes.get_mut(from) {
                node.rules += 1;
                node.unknown += unknown;
            }
            for name in names {
                // a target's place borrows from the rule set's chains, so it is looked for by name
                match graph.by_place.get(&(family, table, name.as_str())) {
                    Some(to) => {
                        if let Some(set) = targets.get_mut(from) {
                            set.insert(*to);
                        }
                    }
                    None => {
                        missing.insert((from, name));
                    }
                }
            }
        }
        for (node, found) in graph.nodes.iter_mut().zip(targets) {
            node.targets = found.into_iter().collect();
        }
        graph.missing = missing.into_iter().collect();
        graph
    }

    fn node(&mut self, place: Place<'r>) -> usize {
        *self.by_place.entry(place).or_insert_with(|| {
            self.nodes.push(Node { place, base: false, rules: 0, unknown: 0, targets: Vec::new() });
            self.nodes.len() - 1
        })
    }

    /// The chains, in the dump's order.
    pub fn nodes(&self) -> &[Node<'r>] {
        &self.nodes
    }

    /// A chain by its place.
    pub fn get(&self, family: Family, table: &str, chain: &str) -> Option<&Node<'r>> {
        self.by_place.get(&(family, table, chain)).and_then(|at| self.nodes.get(*at))
    }

    /// Jumps to chains that the dump does not have: the chain's number, and the name.
    pub fn missing(&self) -> &[(usize, String)] {
        &self.missing
    }

    /// Chains that no packet comes to from any base chain.
    pub fn unreachable(&self) -> Vec<usize> {
        let mut reached = vec![false; self.nodes.len()];
        let mut open: Vec<usize> =
            (0..self.nodes.len()).filter(|at| self.nodes.get(*at).is_some_and(|n| n.base)).collect();
        while let Some(at) = open.pop() {
            let Some(mark) = reached.get_mut(at) else { continue };
            if !std::mem::replace(mark, true) {
                open.extend(self.nodes.get(at).iter().flat_map(|node| &node.targets));
            }
        }
        reached.iter().enumerate().filter(|(_, reached)| !**reached).map(|(at, _)| at).collect()
    }

    /// Chains from which a packet could come back to themselves. The kernel takes none.
    pub fn loops(&self) -> Vec<usize> {
        // chains that lead only to chains that end are taken away until none is left that does
        let mut waits: Vec<usize> = self.nodes.iter().map(|node| node.targets.len()).collect();
        let mut callers: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            for to in &node.targets {
                if let Some(list) = callers.get_mut(*to) {
                    list.push(at);
                }
            }
        }
        let leading = |waits: &[usize]| waits.iter().enumerate().filter(|(_, n)| **n == 0).map(|(at, _)| at).collect();
        let mut open: Vec<usize> = leading(&waits);
        while let Some(at) = open.pop() {
            for caller in callers.get(at).into_iter().flatten() {
                if let Some(left) = waits.get_mut(*caller) {
                    *left -= 1;
                    if *left == 0 {
                        open.push(*caller);
                    }
                }
            }
        }
        // what is left is in a loop or leads into one; the latter nobody in a loop calls
        let mut inside: Vec<bool> = waits.iter().map(|left| *left > 0).collect();
        let mut calls: Vec<usize> = vec![0; self.nodes.len()];
        for (at, list) in callers.iter().enumerate() {
            let count = list.iter().filter(|caller| inside.get(**caller) == Some(&true)).count();
            if let Some(slot) = calls.get_mut(at) {
                *slot = count;
            }
        }
        let mut open: Vec<usize> =
            (0..calls.len()).filter(|at| inside.get(*at) == Some(&true) && calls.get(*at) == Some(&0)).collect();
        while let Some(at) = open.pop() {
            if let Some(mark) = inside.get_mut(at) {
                *mark = false;
            }
            for to in self.nodes.get(at).iter().flat_map(|node| &node.targets) {
                if let Some(left) = calls.get_mut(*to).filter(|left| **left > 0) {
                    *left -= 1;
                    if *left == 0 && inside.get(*to) == Some(&true) {
                        open.push(*to);
                    }
                }
            }
        }
        inside.iter().enumerate().filter(|(_, inside)| **inside).map(|(at, _)| at).collect()
    }
}

/// The chains that each verdict map leads to.
fn map_targets<'r>(ruleset: &'r Ruleset<'_>) -> HashMap<Place<'r>, BTreeSet<String>> {
    let verdicts = ruleset.maps().filter(|map| map.is_verdict_map());
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
