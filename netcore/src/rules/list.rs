//! The report: `kind: RuleList`.

use serde::Serialize;

use super::{Backend, RuleView, TableFamily, TableView, select::Selection};
use crate::owner::Owner;

/// The rules that were asked for, and the chains that they are in.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RuleList {
    /// By node, backend, family, table and chain, in the kernel's order.
    pub items: Vec<RuleItem>,
    /// The chains, empty ones included.
    pub chains: Vec<ChainItem>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RuleItem {
    /// The node; null where the files do not name it.
    pub node: Option<String>,
    /// Whose packets it sees; null where the dump does not tell.
    pub family: Option<TableFamily>,
    /// What keeps it; null where the dump does not tell.
    pub backend: Option<Backend>,
    /// Its table; null where the dump does not tell.
    pub table: Option<String>,
    /// Its chain.
    pub chain: String,
    /// Its place in the chain, from 1.
    pub index: usize,
    /// As the tool writes it, without the chain.
    pub rule: String,
    /// Packets that it has seen; null where they are not counted.
    pub packets: Option<u64>,
    /// Bytes that it has seen; null where they are not counted.
    pub bytes: Option<u64>,
    /// Whose it is.
    pub owner: Owner,
    /// What it and its chain are of: `svc/shop/web:http`, `pod/shop/web-1`, `networkpolicy/shop/deny`.
    pub names: Vec<String>,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChainItem {
    /// The node; null where the files do not name it.
    pub node: Option<String>,
    /// Whose packets it sees; null where the dump does not tell.
    pub family: Option<TableFamily>,
    /// What keeps it; null where the dump does not tell.
    pub backend: Option<Backend>,
    /// Its table; null where the dump does not tell.
    pub table: Option<String>,
    /// Its name.
    pub name: String,
    /// Where packets come from; null for a chain that others call.
    pub hook: Option<String>,
    /// When among the chains of its hook: the lower, the earlier; null where only the table's name says it.
    pub priority: Option<i32>,
    /// What happens at its end; null for a chain that returns.
    pub policy: Option<String>,
    /// Packets that came to its end; null where they are not counted.
    pub packets: Option<u64>,
    /// Bytes of them; null where they are not counted.
    pub bytes: Option<u64>,
    /// How many rules it has; null for one that is called and not there.
    pub rules: Option<usize>,
    /// How many rules lead to it.
    pub callers: usize,
    /// Whose it is.
    pub owner: Owner,
    /// What it is of.
    pub names: Vec<String>,
    /// Whether packets come to it.
    pub state: ChainState,
}

/// Whether packets come to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChainState {
    /// From a hook.
    Reachable,
    /// From none.
    Unreachable,
    /// It leads back to itself, which no kernel takes.
    Loop,
    /// Rules lead to it, and it is not there.
    Missing,
}

impl RuleList {
    /// Adds what is selected of a node's table.
    pub fn add(&mut self, node: Option<&str>, view: &TableView, selection: &Selection) {
        let node = node.map(str::to_owned);
        let callers = view.callers();
        for (at, chain) in view.chains.iter().enumerate() {
            if !selection.has_chain(at) {
                continue;
            }
            let in_loop = view.loops.iter().any(|group| group.contains(&at));
            self.chains.push(ChainItem {
                node: node.clone(),
                family: view.family,
                backend: view.backend,
                table: view.table.clone(),
                name: chain.name.clone(),
                hook: chain.hook.clone(),
                priority: chain.priority,
                policy: chain.policy.clone(),
                packets: chain.counters.map(|counters| counters.packets),
                bytes: chain.counters.map(|counters| counters.bytes),
                rules: Some(chain.rules.len()),
                callers: callers.get(at).copied().unwrap_or_default(),
                owner: chain.owner,
                names: chain.names.iter().map(ToString::to_string).collect(),
                state: match (in_loop, chain.reachable) {
                    (true, _) => ChainState::Loop,
                    (false, true) => ChainState::Reachable,
                    (false, false) => ChainState::Unreachable,
                },
            });
            let rules = chain.rules.iter().enumerate().filter(|(index, _)| selection.has_rule(at, *index));
            self.items.extend(rules.map(|(index, rule)| RuleItem {
                node: node.clone(),
                family: view.family,
                backend: view.backend,
                table: view.table.clone(),
                chain: chain.name.clone(),
                index: index + 1,
                rule: rule.text.clone(),
                packets: rule.counters.map(|counters| counters.packets),
                bytes: rule.counters.map(|counters| counters.bytes),
                owner: rule.owner,
                names: all_names(&chain.names, rule),
            }));
        }
        self.chains.extend(view.missing.iter().filter(|missing| selection.has_missing(&missing.chain)).map(
            |missing| {
                ChainItem {
                    node: node.clone(),
                    family: view.family,
                    backend: view.backend,
                    table: view.table.clone(),
                    name: missing.chain.clone(),
                    hook: None,
                    priority: None,
                    policy: None,
                    packets: None,
                    bytes: None,
                    rules: None,
                    callers: missing.callers,
                    owner: crate::owner::of_chain(view.table.as_deref().unwrap_or_default(), &missing.chain)
                        .map_or(Owner::Other, |known| known.owner),
                    names: Vec::new(),
                    state: ChainState::Missing,
                }
            },
        ));
    }
}

fn all_names(of_chain: &[crate::names::Name], rule: &RuleView) -> Vec<String> {
    let own = rule.names.iter().filter(|name| !of_chain.contains(name));
    of_chain.iter().chain(own).map(ToString::to_string).collect()
}
