//! The bodies of netcidr's reports: the JSON contract.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Confidence, Facts, IpOwner, Origin, RangeFact, Role, blocks, nodes, usage};
use crate::cidr::{Cidr, Family};

/// `kind: CidrReport`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CidrReport {
    /// One row per role and canonical prefix, by role, family and address.
    pub ranges: Vec<RangeRow>,
    /// One row per node, by name.
    pub nodes: Vec<NodeRow>,
    /// Per-node blocks of a CNI's own address management.
    pub blocks: Vec<BlockRow>,
    /// The cluster's DNS domain; null when unknown.
    pub dns_domain: Option<String>,
}

/// A range and everyone who states it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RangeRow {
    /// What it is for.
    pub role: Role,
    /// Its family.
    pub family: Family,
    /// Canonical prefix.
    pub cidr: Cidr,
    /// As the strongest source writes it.
    pub text: String,
    /// Who says so, the strongest first.
    pub sources: Vec<SourceRow>,
    /// How many addresses it can give out; null where unknown or above 2^53-1.
    pub capacity: Option<u64>,
    /// The same in full.
    pub capacity_text: Option<String>,
    /// How many are in use; null where that could not be read.
    pub used: Option<u64>,
    /// `used` in percent of the capacity, one decimal; null where either is unknown.
    pub percent_used: Option<f64>,
    /// The range is at least this: inferred from addresses in use.
    pub lower_bound: bool,
    /// A service range's two bands; null for other roles.
    pub bands: Option<Bands>,
    /// How many nodes a pod range has room for, where the controller manager cuts it up; else null.
    pub slots: Option<Slots>,
}

/// Who states a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SourceRow {
    /// How much it is worth.
    pub confidence: Confidence,
    /// The source's name.
    pub source: String,
    /// The object or file.
    pub object: String,
    /// The field or line.
    pub field: String,
    /// The range as written there.
    pub text: String,
}

/// The lower band of a service range is for addresses that are asked for by name, the upper is given
/// out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Bands {
    /// Addresses in the static band.
    pub static_capacity: Option<u64>,
    /// In use there.
    pub static_used: Option<u64>,
    /// Addresses in the dynamic band.
    pub dynamic_capacity: Option<u64>,
    /// In use there.
    pub dynamic_used: Option<u64>,
}

/// Node ranges that fit into a pod range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Slots {
    /// The prefix length that a node gets.
    pub node_mask: u8,
    /// How many fit, less those inside the service range.
    pub total: Option<u64>,
    /// How many are taken.
    pub used: u64,
}

/// A node's own ranges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// The node; `-` for node files that name none.
    pub name: String,
    /// Its pod ranges.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Vec<Cidr>,
    /// Live pods with a network of their own; null where pods could not be read.
    pub pods_used: Option<u64>,
    /// Pod addresses that the node's range can give out; null where the node has no range of its own.
    pub pods_usable: Option<u64>,
    /// The kubelet's limit.
    pub max_pods: Option<u64>,
    /// Internal and external addresses.
    pub addresses: Vec<String>,
}

/// A block of a CNI's own address management.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BlockRow {
    /// The block.
    pub cidr: Cidr,
    /// The node that it belongs to; null for one that belongs to none.
    pub node: Option<String>,
    /// Addresses given out; null where that could not be read.
    pub used: Option<u64>,
    /// Addresses that it can give out; null above 2^53-1.
    pub capacity: Option<u64>,
}

/// `kind: AddressList`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AddressList {
    /// One row per address asked for, in the order asked.
    pub items: Vec<AddressRow>,
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AddressRow {
    /// The address, in canonical form.
    pub address: String,
    /// Who has it; empty for nobody that is known.
    pub owners: Vec<IpOwner>,
    /// The ranges that it lies in, the narrowest first.
    pub ranges: Vec<AddressRange>,
}

/// A range that an address lies in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AddressRange {
    /// What it is for.
    pub role: Role,
    /// The prefix.
    pub cidr: Cidr,
    /// The node whose share it is; null for a range of the whole cluster.
    pub node: Option<String>,
    /// Who says so: the strongest source.
    pub source: String,
}

/// The report's rows out of the facts. `chosen` keeps the nodes that were asked for.
pub fn cidr_report(facts: &Facts, chosen: &dyn Fn(&str) -> bool) -> CidrReport {
    CidrReport {
        ranges: range_rows(facts),
        nodes: nodes::rows(facts).into_iter().filter(|node| chosen(&node.name)).collect(),
        blocks: blocks::rows(facts).into_iter().filter(|b| b.node.as_deref().is_none_or(chosen)).collect(),
        dns_domain: dns_domain(facts),
    }
}

/// The domain that the strongest sources agree on.
fn dns_domain(facts: &Facts) -> Option<String> {
    facts
        .dns_domains
        .iter()
        .min_by_key(|(domain, origin)| (origin.confidence, domain))
        .map(|(domain, _)| domain.clone())
}

/// A row per role and prefix. A node's share makes no row of its own where a range of the whole
/// cluster holds it.
pub fn range_rows(facts: &Facts) -> Vec<RangeRow> {
    let mut groups: BTreeMap<(Role, Cidr), Vec<&RangeFact>> = BTreeMap::new();
    for fact in facts.ranges.iter().filter(|fact| fact.share_of.is_none()) {
        groups.entry((fact.role, fact.cidr)).or_default().push(fact);
    }
    groups.into_iter().map(|((role, cidr), stated)| range_row(facts, role, cidr, &stated)).collect()
}

fn range_row(facts: &Facts, role: Role, cidr: Cidr, stated: &[&RangeFact]) -> RangeRow {
    let mut sources: Vec<SourceRow> = stated.iter().map(|fact| source_row(&fact.origin, &fact.text)).collect();
    sources.sort();
    sources.dedup();
    let lower_bound = stated.iter().all(|fact| fact.lower_bound);
    let usage = usage::of_range(facts, role, &cidr, lower_bound);
    RangeRow {
        role,
        family: cidr.family(),
        cidr,
        text: sources.first().map_or_else(|| cidr.to_string(), |source| source.text.clone()),
        sources,
        capacity: usage.capacity.and_then(crate::cidr::Count::small),
        capacity_text: usage.capacity.map(|count| count.to_string()),
        used: usage.used,
        percent_used: usage.percent(),
        lower_bound,
        bands: usage.bands,
        slots: usage.slots,
    }
}

fn source_row(origin: &Origin, text: &str) -> SourceRow {
    SourceRow {
        confidence: origin.confidence,
        source: origin.source.to_owned(),
        object: origin.object.clone(),
        field: origin.field.clone(),
        text: text.to_owned(),
    }
}
