//! The types.

use std::net::IpAddr;

/// A range as an object has it, and in which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// As written: a prefix, or `start-stop`.
    pub text: String,
    /// `spec.ipam.podCIDRs[0]`.
    pub field: String,
}

/// A `CiliumNode`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CiliumNode {
    /// Name: the node's.
    pub name: String,
    /// Ranges that the node gives addresses from.
    pub pod_cidrs: Vec<Stated>,
    /// Ranges that it has of named pools.
    pub pool_cidrs: Vec<Stated>,
    /// The agent's own addresses in the pod range: `Router`, `Health`, `Ingress`.
    pub own: Vec<(IpAddr, &'static str)>,
    /// Why the operator could not give it a range.
    pub operator_error: Option<String>,
}

/// A `CiliumPodIPPool`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPool {
    /// Name.
    pub name: String,
    /// Its ranges.
    pub cidrs: Vec<Stated>,
}

/// A `CiliumLoadBalancerIPPool`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LbPool {
    /// Name.
    pub name: String,
    /// Its ranges.
    pub blocks: Vec<Stated>,
    /// No addresses are given out from it any more.
    pub disabled: bool,
    /// Cilium's own word that it conflicts with another pool.
    pub conflict: Option<String>,
}
