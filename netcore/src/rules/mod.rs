//! The rules of a node as people read them: the chains of every table, of iptables on either backend
//! and of nftables, in one shape, with owners and names; the tree of a table from its hooks.

mod brief;
mod from_iptables;
mod from_nft;
mod list;
mod select;
#[cfg(test)]
mod tests;
mod tree;
mod views;

use serde::Serialize;

pub use self::{
    brief::brief,
    from_iptables::table as iptables_table,
    from_nft::tables as nft_tables,
    list::{ChainItem, RuleItem, RuleList},
    select::{Filter, Selection},
    tree::{Called, Folding, TreeLine, What, tree},
    views::{Dumps, Seen, Taken},
};
use crate::{cidr, iptables::Counters, names::Name, nft, owner::Owner};

/// Whose packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TableFamily {
    /// IPv4.
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
    /// Both.
    #[serde(rename = "inet")]
    Inet,
    /// ARP.
    #[serde(rename = "arp")]
    Arp,
    /// Bridged frames.
    #[serde(rename = "bridge")]
    Bridge,
    /// Frames of a device.
    #[serde(rename = "netdev")]
    Netdev,
}

impl TableFamily {
    /// The name in reports: `IPv4`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
            Self::Inet => "inet",
            Self::Arp => "arp",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
        }
    }
}

impl From<cidr::Family> for TableFamily {
    fn from(family: cidr::Family) -> Self {
        match family {
            cidr::Family::V4 => Self::V4,
            cidr::Family::V6 => Self::V6,
        }
    }
}

impl From<nft::Family> for TableFamily {
    fn from(family: nft::Family) -> Self {
        match family {
            nft::Family::Ip => Self::V4,
            nft::Family::Ip6 => Self::V6,
            nft::Family::Inet => Self::Inet,
            nft::Family::Arp => Self::Arp,
            nft::Family::Bridge => Self::Bridge,
            nft::Family::Netdev => Self::Netdev,
        }
    }
}

/// What keeps a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// `iptables-legacy`: the kernel's `ip_tables`.
    Legacy,
    /// `iptables-nft`: iptables' own tables, kept by the kernel's `nf_tables`.
    Nft,
    /// A table of nftables itself.
    Nftables,
}

impl Backend {
    /// The name in reports: `legacy`, `nft`, `nftables`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Nft => "nft",
            Self::Nftables => "nftables",
        }
    }
}

/// A table with everything that is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct TableView {
    /// Whose packets it sees; nothing where a dump does not tell.
    pub family: Option<TableFamily>,
    /// What keeps it; nothing where a dump does not tell.
    pub backend: Option<Backend>,
    /// Its name; nothing for `iptables -S`, which names none.
    pub table: Option<String>,
    /// Its chains, in the dump's order.
    pub chains: Vec<ChainView>,
    /// Chains that are called and are not there, with the rules that call them.
    pub missing: Vec<Missing>,
    /// Groups of chains that call each other in a circle, which no kernel takes.
    pub loops: Vec<Vec<usize>>,
}

/// A chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainView {
    /// Its name.
    pub name: String,
    /// Where packets come from: `PREROUTING`, `prerouting`; nothing for a chain that others call.
    pub hook: Option<String>,
    /// When, among the chains of its hook: the lower, the earlier. Only nftables says.
    pub priority: Option<i32>,
    /// What happens at its end: `ACCEPT`.
    pub policy: Option<String>,
    /// What its policy has seen, where the dump says it.
    pub counters: Option<Counters>,
    /// Whose it is.
    pub owner: Owner,
    /// What it is of.
    pub names: Vec<Name>,
    /// Its rules, in the order in which a packet meets them.
    pub rules: Vec<RuleView>,
    /// Whether a packet can come to it from a hook.
    pub reachable: bool,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleView {
    /// As the tool writes it.
    pub text: String,
    /// What it has seen, where the dump says it.
    pub counters: Option<Counters>,
    /// Whose it is.
    pub owner: Owner,
    /// What is in it, beside what its chain is of.
    pub names: Vec<Name>,
    /// The chains that it leads to; several where a verdict map decides.
    pub calls: Vec<usize>,
}

/// A chain that is called and is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub chain: String,
    /// How many rules call it.
    pub callers: usize,
    /// The chain of the first of them.
    pub first: String,
}

impl TableView {
    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.chains.iter().map(|chain| chain.rules.len()).sum()
    }

    /// The chain with the most rules.
    pub fn longest(&self) -> Option<&ChainView> {
        self.chains
            .iter()
            .reduce(|longest, chain| if chain.rules.len() > longest.rules.len() { chain } else { longest })
    }

    /// How many rules lead to each chain.
    pub fn callers(&self) -> Vec<usize> {
        let mut callers = vec![0; self.chains.len()];
        for call in self.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.calls) {
            if let Some(count) = callers.get_mut(*call) {
                *count += 1;
            }
        }
        callers
    }

    /// What is wrong with how the chains hang together, in words; nothing for a table in order.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        let called = |chain: &usize| self.chains.get(*chain).map_or("?", |chain| chain.name.as_str());
        for group in &self.loops {
            let names: Vec<&str> = group.iter().take(SHOWN).map(called).collect();
            let more = if group.len() > SHOWN { format!(" and {} more", group.len() - SHOWN) } else { String::new() };
            troubles.push(format!(
                "chains that lead back to themselves: {}{more}; no kernel takes such rules",
                names.join(" → ")
            ));
        }
        for missing in self.missing.iter().take(SHOWN) {
            let others = match missing.callers {
                1 => String::new(),
                count => format!(" and {} more rules", count - 1),
            };
            troubles
                .push(format!("{} is not here, though a rule of {}{others} leads to it", missing.chain, missing.first));
        }
        if self.missing.len() > SHOWN {
            troubles
                .push(format!("{} more chains are not here, though rules lead to them", self.missing.len() - SHOWN));
        }
        troubles
    }

    /// What else is to be known of it: chains that no packet comes to, or that this cannot be known.
    pub fn remarks(&self) -> Vec<String> {
        if !self.chains.is_empty() && self.chains.iter().all(|chain| chain.hook.is_none()) {
            return vec!["no chain of a hook is here, so it is not known which chains packets come to".to_owned()];
        }
        let lost: Vec<&ChainView> = self.unreachable().collect();
        if lost.is_empty() {
            return Vec::new();
        }
        let rules: usize = lost.iter().map(|chain| chain.rules.len()).sum();
        let names: Vec<&str> = lost.iter().take(SHOWN).map(|chain| chain.name.as_str()).collect();
        let more = if lost.len() > SHOWN { ", …" } else { "" };
        let (chains, of_rules) = (count(lost.len(), "chain", "chains"), count(rules, "rule", "rules"));
        vec![format!("no packet comes to {chains} with {of_rules}: {}{more}", names.join(", "))]
    }

    /// Chains that no packet comes to, but for those that are there to be empty: the kubelet's and
    /// kube-proxy's signs that nobody has flushed the table.
    pub fn unreachable(&self) -> impl Iterator<Item = &ChainView> {
        let sign = |chain: &ChainView| {
            chain.rules.is_empty()
                && matches!(chain.name.as_str(), "KUBE-KUBELET-CANARY" | "KUBE-PROXY-CANARY" | "KUBE-IPTABLES-HINT")
        };
        self.chains.iter().filter(move |chain| !chain.reachable && !sign(chain))
    }
}

/// How many names a sentence has.
const SHOWN: usize = 5;

/// `1 chain`, `3 chains`.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
