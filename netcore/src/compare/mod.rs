//! What the rules of a node cost: chains, rules and sets by owner, and how the cost of a new connection
//! grows with the number of Services.

mod chart;
mod conclusion;
mod cost;
mod growth;
mod sets;
mod shape;
mod svg;
mod tables;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::{
    chart::{Chart, Glyphs, Look, Mark, Segment, Series},
    conclusion::conclude,
    cost::{Walked, walk},
    growth::{
        CALICO_REFERENCE, Crossover, GrowthPoint, IPVS_RULES, NFTABLES_RULES, SERVICES, Shape, crossover, growth,
    },
    sets::{SetUses, sets},
    shape::{Told, in_iptables, in_ipvs, in_nftables},
    svg::render as svg,
    tables::{nft_tables, table},
};
use crate::{
    owner::Owner,
    rules::{Backend, TableFamily},
};

/// `kind: CniCompareReport`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CniCompareReport {
    /// Each node that was read.
    pub nodes: Vec<NodeCost>,
    /// How many rules the first packet of a connection from a pod to a Service would pass at the median, by
    /// the number of Services.
    pub growth: Vec<GrowthPoint>,
    /// What the growth is reckoned from.
    pub shape: Option<Shape>,
    /// From how many Services on kube-proxy's iptables rules cost more than others; null where the shape is
    /// not known.
    pub crossover: Option<Crossover>,
    /// What an operator can do with it: two sentences.
    pub conclusion: Vec<String>,
}

/// What a node's kernel holds and what it costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeCost {
    /// The node; null where the files do not name it.
    pub name: Option<String>,
    /// Its tables; null where none could be read.
    pub tables: Option<Vec<TableCost>>,
    /// Its sets; null where they could not be read.
    pub ipsets: Option<Vec<SetCost>>,
    /// Rules that the first packet of a connection passes, over all Services and pods; null where it is
    /// not known.
    pub first_packet: Option<Vec<PacketCost>>,
    /// Rules that a packet of an established connection passes; null where it is not known.
    pub established_packet: Option<Vec<OwnerRules>>,
    /// Why the packets' costs are not known, or not of all; null where they are.
    pub cost_unknown: Option<String>,
}

/// A table in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TableCost {
    /// Whose packets it sees; null where the dump does not tell.
    pub family: Option<TableFamily>,
    /// What keeps it; null where the dump does not tell.
    pub backend: Option<Backend>,
    /// Its name; null where the dump does not tell.
    pub table: Option<String>,
    /// How many chains it has.
    pub chains: usize,
    /// How many rules it has.
    pub rules: usize,
    /// How many of the rules each owner has; together they are all.
    pub owners: OwnerCounts,
    /// The chain with the most rules; null where no chain has one.
    pub longest_chain: Option<LongestChain>,
    /// How many chains deep a packet can come; null where chains lead back to themselves.
    pub depth: Option<usize>,
    /// Sets and maps in it; null for iptables, whose sets are the node's.
    pub sets: Option<usize>,
    /// Members of them; null for iptables.
    pub elements: Option<usize>,
    /// Whether the dump has all of it; null where it has no end mark.
    pub complete: Option<bool>,
}

/// The longest chain of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LongestChain {
    /// Its name.
    pub name: String,
    /// How many rules it has.
    pub rules: usize,
}

/// Rules by owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is the owner of its name")]
pub struct OwnerCounts {
    pub kube_proxy: usize,
    pub kubelet: usize,
    pub calico: usize,
    pub flannel: usize,
    pub cilium: usize,
    pub docker: usize,
    pub portmap: usize,
    pub firewall: usize,
    pub other: usize,
}

impl OwnerCounts {
    fn slot(&mut self, owner: Owner) -> &mut usize {
        match owner {
            Owner::KubeProxy => &mut self.kube_proxy,
            Owner::Kubelet => &mut self.kubelet,
            Owner::Calico => &mut self.calico,
            Owner::Flannel => &mut self.flannel,
            Owner::Cilium => &mut self.cilium,
            Owner::Docker => &mut self.docker,
            Owner::Portmap => &mut self.portmap,
            Owner::Firewall => &mut self.firewall,
            Owner::Other => &mut self.other,
        }
    }

    /// Adds rules of an owner.
    pub fn add(&mut self, owner: Owner, rules: usize) {
        *self.slot(owner) += rules;
    }

    /// The rules of an owner.
    pub fn of(mut self, owner: Owner) -> usize {
        *self.slot(owner)
    }

    /// The rules of all.
    pub fn sum(self) -> usize {
        Owner::ALL.into_iter().map(|owner| self.of(owner)).sum()
    }
}

/// A set.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SetCost {
    /// The family of its addresses; null where it has none.
    pub family: Option<TableFamily>,
    /// Its name.
    pub name: String,
    /// `hash:net`.
    pub r#type: String,
    /// How many members it has; null where the dump does not tell.
    pub members: Option<u64>,
    /// Bytes of kernel memory; null where the dump does not tell: only `ipset list` does.
    pub memory: Option<u64>,
    /// How many rules look into it; null where no rules were read.
    pub used_by_rules: Option<usize>,
    /// How many rules and sets refer to it, as the kernel counts; null where the dump does not tell.
    pub references: Option<u32>,
    /// Whose it is.
    pub owner: Owner,
    /// What it holds: `every address pool`, the policies whose peers they are.
    pub names: Vec<String>,
    /// The first set with the same members and type; null where there is none.
    pub duplicate_of: Option<String>,
    /// Whether nothing refers to it; null where that is not known.
    pub unused: Option<bool>,
}

/// Rules that a first packet passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PacketCost {
    /// Whose rules.
    pub owner: Owner,
    /// The least.
    pub min: u64,
    /// Half of the connections pass not more.
    pub median: u64,
    /// 99 of 100 pass not more.
    pub p99: u64,
    /// The most.
    pub max: u64,
}

/// Rules of an owner that a packet passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OwnerRules {
    /// Whose rules.
    pub owner: Owner,
    /// How many.
    pub rules: u64,
}
