//! What a node's kernel calls at each hook, in its order.

use super::{
    chains::Chains,
    model::Hook,
    nft::{Base, Native},
    node::{NodeState, Part},
};
use crate::{
    cidr::Family,
    iptables::{self, Backend},
    nft as nftables,
};

/// The kernel's own places between the tables.
pub(super) mod priority {
    /// Conntrack looks at the packet.
    pub(in crate::packet) const CONNTRACK: i32 = -200;
    /// Destinations are translated, whatever priority a chain of type nat has.
    pub(in crate::packet) const DESTINATION: i32 = -100;
    /// Sources are translated.
    pub(in crate::packet) const SOURCE: i32 = 100;
}

/// The tables of iptables and their places.
const TABLES: [(&str, i32); 5] = [("raw", -300), ("mangle", -150), ("nat", 0), ("filter", 0), ("security", 50)];

/// A chain that a hook calls.
#[derive(Clone, Copy)]
pub(super) enum Called<'a> {
    Iptables {
        set: usize,
        table: iptables::Table<'a>,
        chain: iptables::Chain<'a>,
    },
    Nft {
        base: usize,
    },
    /// IPVS: new packets to a virtual server.
    Balance,
}

/// One thing that happens at a hook.
pub(super) enum Step<'a> {
    Conntrack,
    Chain(Called<'a>),
    /// The chains that translate, in their order: the first that does ends it.
    Nat(Vec<Called<'a>>),
}

/// All of a node's hooks in one family.
pub(super) struct Hooks<'a> {
    steps: Vec<(Hook, Vec<Step<'a>>)>,
    /// Whether anything of this family was read.
    pub(super) any: bool,
    /// Hooks at which chains of equal priority stand, whose order no dump tells.
    pub(super) ties: Vec<Hook>,
}

impl<'a> Hooks<'a> {
    pub(super) fn new(state: &'a NodeState<'a>, native: Option<&Native<'a>>, family: Family) -> Self {
        let mut any = native.is_some() || state.without.iter().any(|(of, _)| *of == family);
        any |= state.iptables.iter().any(|(of, ..)| *of == family);
        let mut ties = Vec::new();
        let steps = Hook::ALL.into_iter().map(|hook| (hook, steps(state, native, family, hook, &mut ties))).collect();
        Self { steps, any, ties }
    }

    pub(super) fn at(&self, hook: Hook) -> &[Step<'a>] {
        self.steps.iter().find(|(of, _)| *of == hook).map_or(&[], |(_, steps)| steps)
    }
}

fn steps<'a>(
    state: &'a NodeState<'a>,
    native: Option<&Native<'a>>,
    family: Family,
    hook: Hook,
    ties: &mut Vec<Hook>,
) -> Vec<Step<'a>> {
    let mut steps: Vec<(i32, Step<'a>)> = Vec::new();
    let mut nat: Vec<(i32, Called<'a>)> = Vec::new();
    let own = if hook.changes_source() { priority::SOURCE } else { priority::DESTINATION };
    if matches!(hook, Hook::Prerouting | Hook::Output) {
        steps.push((priority::CONNTRACK, Step::Conntrack));
    }
    // what is registered later is called earlier; native tables are taken as later than iptables' own
    let bases = native.map(|native| native.bases(family, hook)).unwrap_or_default();
    for (priority, base, is_nat) in bases {
        let called = Called::Nft { base };
        if is_nat { nat.push((priority, called)) } else { steps.push((priority, Step::Chain(called))) }
    }
    for (name, place) in TABLES {
        for (set, table, chain) in tables(state, family, name, hook) {
            let called = Called::Iptables { set, table, chain };
            if name == "nat" { nat.push((own, called)) } else { steps.push((place, Step::Chain(called))) }
        }
    }
    if matches!(state.ipvs, Part::Known(_)) {
        match hook {
            Hook::Input => steps.push((priority::SOURCE - 1, Step::Chain(Called::Balance))),
            Hook::Output => steps.push((priority::DESTINATION + 2, Step::Chain(Called::Balance))),
            _ => {}
        }
    }
    let meet = |mut places: Vec<i32>| {
        places.sort_unstable();
        places.windows(2).any(|pair| pair.first() == pair.last())
    };
    let filters = steps.iter().filter(|(_, step)| matches!(step, Step::Chain(called) if has_rules(*called, native)));
    let nats = nat.iter().filter(|(_, called)| has_rules(*called, native));
    if meet(filters.map(|(place, _)| *place).collect()) || meet(nats.map(|(place, _)| *place).collect()) {
        ties.push(hook);
    }
    nat.sort_by_key(|(priority, _)| *priority);
    if hook != Hook::Forward {
        steps.push((own, Step::Nat(nat.into_iter().map(|(_, called)| called).collect())));
    }
    steps.sort_by_key(|(priority, _)| *priority);
    steps.into_iter().map(|(_, step)| step).collect()
}

fn has_rules(called: Called<'_>, native: Option<&Native<'_>>) -> bool {
    match called {
        Called::Iptables { chain, .. } => !chain.is_empty(),
        Called::Nft { base } => native.and_then(|native| native.base(base)).is_some_and(Base::has_rules),
        Called::Balance => false,
    }
}

/// The chains of a hook in a table of that name, of both backends.
fn tables<'a>(
    state: &'a NodeState<'a>,
    family: Family,
    name: &'static str,
    hook: Hook,
) -> impl Iterator<Item = (usize, iptables::Table<'a>, iptables::Chain<'a>)> {
    let sets = (0..).zip(&state.iptables).filter(move |(_, (of, ..))| *of == family);
    sets.filter_map(move |(set, (.., ruleset))| {
        let table = ruleset.tables().find(|table| table.name() == Some(name))?;
        let chain = table.chain(hook.chain()).filter(iptables::Chain::is_built_in)?;
        Some((set, table, chain))
    })
}

/// The families and backends whose iptables tables nobody read.
pub(super) fn unread(state: &NodeState<'_>, family: Family) -> Vec<Backend> {
    let known = |backend: Backend| {
        state.iptables.iter().any(|(of, with, _)| (*of, *with) == (family, backend))
            || state.without.contains(&(family, backend))
    };
    [Backend::Legacy, Backend::Nft].into_iter().filter(|backend| !known(*backend)).collect()
}

/// Why a table that decides is not known: others of its owner's tables are there.
pub(super) fn missing_table(state: &NodeState<'_>, family: Family) -> Option<&'static str> {
    let has = |name: &str| {
        let of_iptables = state.iptables.iter().filter(|(of, ..)| *of == family);
        of_iptables.into_iter().any(|(.., ruleset)| ruleset.tables().any(|table| table.name() == Some(name)))
    };
    let kube = |name: &str| {
        let sets = state.iptables.iter().filter(|(of, ..)| *of == family);
        sets.flat_map(|(.., ruleset)| ruleset.tables())
            .filter(|table| table.name() == Some(name))
            .any(|table| table.chain("KUBE-SERVICES").is_some() || table.chain("cali-PREROUTING").is_some())
    };
    match () {
        () if kube("nat") && !has("filter") => Some("filter"),
        () if kube("filter") && !has("nat") => Some("nat"),
        () => None,
    }
}

/// Which tables of an nft rule set iptables' own texts show better.
pub(super) fn shown_by_iptables(state: &NodeState<'_>, family: nftables::Family, table: &str) -> bool {
    let of = match family {
        nftables::Family::Ip => Family::V4,
        nftables::Family::Ip6 => Family::V6,
        _ => return false,
    };
    nftables::is_compat_table(family, table)
        && state.iptables.iter().any(|(known, backend, ruleset)| {
            (*known, *backend) == (of, Backend::Nft) && ruleset.tables().any(|found| found.name() == Some(table))
        })
}

/// The chains' memories, one for each text.
pub(super) fn memories<'a>(state: &NodeState<'a>) -> Vec<Chains<'a>> {
    state.iptables.iter().map(|(_, backend, _)| Chains::new(*backend)).collect()
}
