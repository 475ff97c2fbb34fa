//! Which chains can go: those that only a mode has that is not running, and that nothing else calls.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write as _,
};

use super::{Kept, removal::place};
use crate::{
    cidr::Family,
    iptables::{Backend, Chain, Graph, Rule, Table, Verdict},
    owner::{self, Owner},
    proxy::{
        Mode, Version,
        traces::{Sign, sign_of},
    },
};

/// The first kubelet that makes no chains beside `KUBE-FIREWALL` and its canary, whatever it is told.
const CLEAN_KUBELET: Version = Version::new(1, 28);

/// What decides about chains beside the tables themselves.
pub(super) struct Terms {
    /// The mode that runs.
    pub(super) running: Mode,
    /// The kubelet's version.
    pub(super) kubelet: Option<Version>,
    /// Addresses of Services stay on the node, so what guards the host behind them stays.
    pub(super) guarded: bool,
}

/// What goes of one table.
#[derive(Default)]
pub(super) struct OfTable<'a> {
    name: &'a str,
    chains: Vec<&'a str>,
    jumps: Vec<(&'a str, &'a str)>,
    /// Rules in the chains that go.
    rules: usize,
    /// The numbers of the chains that go.
    numbers: HashSet<usize>,
}

impl OfTable<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    pub(super) fn chains(&self) -> usize {
        self.chains.len()
    }

    pub(super) fn rules(&self) -> usize {
        self.rules + self.jumps.len()
    }

    /// A rule that is there afterwards.
    pub(super) fn keeps(&self, rule: &Rule<'_>) -> bool {
        rule.chain().is_none_or(|chain| !self.numbers.contains(&chain.number()))
    }

    /// Every chain is emptied first, and the calls from the kernel's chains are taken out; then nothing
    /// calls them any more.
    pub(super) fn script(&self, text: &mut String) {
        let _ = writeln!(text, "*{}", self.name);
        for chain in &self.chains {
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for (chain, rule) in &self.jumps {
            let _ = writeln!(text, "-D {chain} {rule}");
        }
        for chain in &self.chains {
            let _ = writeln!(text, "-X {chain}");
        }
        text.push_str("COMMIT\n");
    }
}

/// What can go of a table; what stays although it looks like a leftover is told.
pub(super) fn of_table<'a>(
    table: Table<'a>,
    (backend, family): (Backend, Family),
    terms: &Terms,
    kept: &mut Kept,
) -> OfTable<'a> {
    let name = table.name().unwrap_or_default();
    let at = format!("{} {name}", place(backend, family));
    let mut going: BTreeMap<usize, Chain<'a>> = BTreeMap::new();
    for chain in table.chains().filter(|chain| !chain.is_built_in()) {
        match fate(name, chain.name(), terms) {
            Fate::Goes => {
                going.insert(chain.number(), chain);
            }
            Fate::Stays(why) => kept.add(format!("chain {} of {at}", chain.name()), why),
            Fate::NoLeftover => {}
        }
    }
    let graph = Graph::of(table);
    // a chain that must stay keeps those that it calls
    let mut staying: Vec<(Chain<'a>, String)> =
        going.values().filter_map(|chain| Some((*chain, reason_to_stay(*chain, &graph, &going)?))).collect();
    while let Some((chain, why)) = staying.pop() {
        if going.remove(&chain.number()).is_none() {
            continue;
        }
        kept.add(format!("chain {} of {at}", chain.name()), &why);
        let why = format!("chain {} calls it, which stays", chain.name());
        staying.extend(graph.calls(chain).map(|callee| (callee, why.clone())));
    }
    let mut jumps = Vec::new();
    for chain in going.values() {
        for caller in graph.callers(*chain) {
            if let Some(of) = caller.chain().filter(Chain::is_built_in) {
                jumps.push((caller.number(), of.name(), caller.text()));
            }
        }
    }
    jumps.sort_unstable();
    jumps.dedup();
    OfTable {
        name,
        rules: going.values().map(Chain::len).sum(),
        chains: going.values().map(Chain::name).collect(),
        numbers: going.keys().copied().collect(),
        jumps: jumps.into_iter().map(|(_, chain, rule)| (chain, rule)).collect(),
    }
}

enum Fate {
    Goes,
    Stays(&'static str),
    NoLeftover,
}

/// What becomes of a chain by its name alone.
fn fate(table: &str, chain: &str, terms: &Terms) -> Fate {
    let guard = table == "filter" && chain.starts_with("KUBE-IPVS-");
    match (sign_of(table, chain), terms.running) {
        (Some(Sign::Ipvs), Mode::Iptables | Mode::Nftables) if guard && terms.guarded => {
            Fate::Stays("it keeps the host's own ports from being reached on Services' addresses, which stay")
        }
        (Some(Sign::Ipvs), Mode::Iptables | Mode::Nftables)
        | (Some(Sign::Iptables), Mode::Ipvs | Mode::Nftables)
        | (Some(Sign::Shared), Mode::Nftables) => Fate::Goes,
        (None, Mode::Nftables) if is_marks(table, chain) => match terms.kubelet {
            Some(version) if version >= CLEAN_KUBELET => Fate::Goes,
            Some(_) => Fate::Stays("a kubelet before 1.28 makes it too"),
            None => Fate::Stays("a kubelet before 1.28 makes it too, and the kubelet's version is not known"),
        },
        _ => Fate::NoLeftover,
    }
}

/// What kube-proxy and old kubelets both make.
fn is_marks(table: &str, chain: &str) -> bool {
    table == "nat" && matches!(chain, "KUBE-MARK-MASQ" | "KUBE-MARK-DROP" | "KUBE-POSTROUTING")
}

/// Why a chain cannot go: somebody else calls it, or it calls somebody else's.
fn reason_to_stay(chain: Chain<'_>, graph: &Graph, going: &BTreeMap<usize, Chain<'_>>) -> Option<String> {
    for rule in graph.callers(chain) {
        let Some(of) = rule.chain() else { continue };
        if going.contains_key(&of.number()) || (of.is_built_in() && is_own(&rule)) {
            continue;
        }
        return Some(if of.is_built_in() {
            format!("a rule of {} calls it that is not known to be kube-proxy's", of.name())
        } else {
            format!("chain {} calls it, which stays", of.name())
        });
    }
    let foreign = |rule: Rule<'_>| match rule.verdict() {
        Verdict::Chain(jump) => {
            let owner = jump.chain.owner().owner;
            (owner != Owner::KubeProxy && owner != Owner::Kubelet).then(|| jump.chain.name().to_owned())
        }
        _ => None,
    };
    chain.rules().find_map(foreign).map(|callee| format!("a rule in it calls {callee}, which is not kube-proxy's"))
}

/// A call that kube-proxy puts into a chain of the kernel, by its comment.
fn is_own(rule: &Rule<'_>) -> bool {
    rule.comments().any(|comment| owner::of_comment(&comment).is_some_and(|of| of.owner == Owner::KubeProxy))
}

/// The sets that rules name which are there afterwards.
pub(super) fn named_sets<'s>(rule: &Rule<'_>, known: &BTreeSet<&'s str>, named: &mut BTreeSet<&'s str>) {
    if rule.text().contains("-set ") {
        let words = rule.text().split([' ', '\t', '"']);
        named.extend(words.filter_map(|word| known.get(word).copied()));
    }
}
