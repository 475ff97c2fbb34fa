//! A table of `iptables-save` in the common shape.

use std::collections::BTreeMap;

use super::{Backend, ChainView, Missing, RuleView, TableFamily, TableView};
use crate::{
    iptables::{self, Graph, Rule, Table, Target, Verdict},
    names::{Name, Names},
};

/// The whole table. `family` and `backend` are what is known of its dump.
pub fn table(
    table: Table<'_>,
    family: Option<TableFamily>,
    backend: Option<iptables::Backend>,
    names: &Names,
) -> TableView {
    let graph = Graph::of(table);
    let first = table.chains().next().map_or(0, |chain| chain.number());
    let place = |number: usize| number.saturating_sub(first);
    let mut missing: BTreeMap<String, Missing> = BTreeMap::new();
    let chains = table.chains().map(|chain| {
        let rules = chain.rules().map(|rule| {
            if let Some(name) = missing_chain(&rule) {
                let entry = missing.entry(name.to_owned()).or_insert_with(|| Missing {
                    chain: name.to_owned(),
                    callers: 0,
                    first: chain.name().to_owned(),
                });
                entry.callers += 1;
            }
            RuleView {
                text: rule.text().trim_end().to_owned(),
                counters: rule.counters(),
                owner: rule.owner().owner,
                names: names.in_rule(&rule),
                calls: rule.jump().map(|jump| place(jump.chain.number())).into_iter().collect(),
            }
        });
        ChainView {
            name: chain.name().to_owned(),
            hook: chain.is_built_in().then(|| chain.name().to_owned()),
            priority: None,
            policy: chain.policy().map(|policy| policy.name().to_owned()),
            counters: chain.counters(),
            owner: chain.owner().owner,
            names: names.of_chain(chain.name()),
            rules: rules.collect(),
            reachable: graph.is_reachable(chain),
        }
    });
    let mut chains: Vec<ChainView> = chains.collect();
    pass_names_on(&mut chains);
    TableView {
        family,
        backend: backend.map(|backend| match backend {
            iptables::Backend::Legacy => Backend::Legacy,
            iptables::Backend::Nft => Backend::Nft,
        }),
        table: table.name().map(str::to_owned),
        missing: missing.into_values().collect(),
        loops: graph.loops(table).map(|group| group.iter().map(|chain| place(chain.number())).collect()).collect(),
        chains,
    }
}

/// The chain that a rule calls and the table does not have.
fn missing_chain<'a>(rule: &Rule<'a>) -> Option<&'a str> {
    let Verdict::Target(name) = rule.verdict() else { return None };
    match rule.target()? {
        // what is wrong is the name itself, and not an option after it
        Target::Unknown(unknown) if unknown.token == name => Some(name),
        _ => None,
    }
}

/// Names that only the rules tell: a group of policies, which only Felix can name, is called by its
/// policies; an endpoint without comments by the Service that leads to it and the pod that it leads to; a
/// rule by the chain that it calls.
pub(super) fn pass_names_on(chains: &mut [ChainView]) {
    let is = |name: &str, prefixes: &[&str]| prefixes.iter().any(|prefix| name.contains(prefix));
    for at in 0..chains.len() {
        let Some(chain) = chains.get(at).filter(|chain| chain.names.is_empty()) else { continue };
        let mut names = Vec::new();
        if is(&chain.name, &["cali-gi-", "cali-go-"]) {
            let callees = chain.rules.iter().flat_map(|rule| &rule.calls).filter_map(|call| chains.get(*call));
            add(&mut names, callees.flat_map(|callee| &callee.names));
        } else if is(&chain.name, &["KUBE-SEP-", "CNI-DN-"]) {
            add(&mut names, chain.rules.iter().flat_map(|rule| &rule.names));
        }
        if let Some(chain) = chains.get_mut(at) {
            chain.names = names;
        }
    }
    let services: Vec<Vec<Name>> = chains.iter().map(|chain| chain.names.clone()).collect();
    for at in 0..chains.len() {
        let Some(chain) = chains.get(at) else { continue };
        let of_service = services.get(at).into_iter().flatten().find(|name| matches!(name, Name::Service(_))).cloned();
        let calls: Vec<usize> = chain.rules.iter().flat_map(|rule| rule.calls.clone()).collect();
        for call in of_service.iter().flat_map(|_| &calls) {
            if let Some(callee) = chains.get_mut(*call).filter(|callee| callee.name.starts_with("KUBE-SEP-")) {
                add(&mut callee.names, of_service.iter());
                callee.names.sort();
            }
        }
    }
    let names: Vec<Vec<Name>> = chains.iter().map(|chain| chain.names.clone()).collect();
    for rule in chains.iter_mut().flat_map(|chain| &mut chain.rules) {
        if let [call] = rule.calls.as_slice() {
            add(&mut rule.names, names.get(*call).into_iter().flatten());
        }
    }
}

fn add<'a>(names: &mut Vec<Name>, more: impl Iterator<Item = &'a Name>) {
    for name in more {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
}
