//! What single components were told about ranges that are not theirs: copies that nobody updates.

use crate::{cidr::Cidr, ranges::Origin};

/// A component's own copy of the service range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCopy {
    /// The component: `kube-router`, `coredns`.
    pub component: &'static str,
    /// What it holds to be the service ranges.
    pub cidrs: Vec<Cidr>,
    /// Where that is written.
    pub origin: Origin,
}

/// A list of destinations to which a pod's own address is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasqueradeList {
    /// The agent that reads it; lists of one agent add up.
    pub agent: &'static str,
    /// The destinations.
    pub cidrs: Vec<Cidr>,
    /// Where the list is written.
    pub origin: Origin,
}

/// A range that a network plugin keeps for its own wiring. Nothing else may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalNetwork {
    /// What it is for: `join`, `transit`, `masquerade`.
    pub purpose: &'static str,
    /// The range.
    pub cidr: Cidr,
    /// Who says so; of confidence D where it is only the plugin's default.
    pub origin: Origin,
}

/// The length of each node's share of a pod range, where the plugin has it beside the range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePrefix {
    /// The pod range.
    pub cidr: Cidr,
    /// The prefix length of one node's share.
    pub length: u8,
    /// Where that is written.
    pub origin: Origin,
}

/// A cloud subnet that has no address left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullSubnet {
    /// The subnet, or the node whose network container could not grow.
    pub subject: String,
    /// What the cloud says.
    pub says: String,
    /// Where.
    pub origin: Origin,
}
