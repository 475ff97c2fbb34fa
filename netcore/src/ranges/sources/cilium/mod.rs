//! Cilium: its ConfigMap, its nodes, its pools.

mod config;
mod nodes;
mod pools;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use config::CiliumConfig;
pub use nodes::CiliumNodes;
pub use pools::CiliumPools;

use crate::{
    cidr::{Cidr, IpRange},
    ranges::Origin,
};

/// What Cilium's objects say beside ranges.
#[derive(Debug, Default)]
pub struct Cilium {
    /// The first thing seen that shows that Cilium is or was here.
    pub sign: Option<String>,
    /// Ranges that the operator cuts up for the nodes, with the prefix length of a node's share.
    pub cluster_pools: Vec<(Cidr, Option<u8>, Origin)>,
    /// Destinations that pods reach with their own address, where masquerading makes it matter.
    pub native_routing: Vec<(Cidr, Origin)>,
    /// Nodes by name, with what their objects say.
    pub nodes: BTreeMap<String, NodeState>,
    /// Ranges of pods' pools: pool, range.
    pub pod_pools: Vec<(String, IpRange, Origin)>,
    /// Ranges of load-balancer pools that are in use: pool, range.
    pub lb_pools: Vec<(String, IpRange, Origin)>,
    /// Load-balancer pools that Cilium itself calls conflicting, and its words.
    pub lb_conflicts: BTreeMap<String, String>,
    /// Namespaces beside `kube-system` in which Cilium runs.
    namespaces: BTreeSet<String>,
    /// What nodes' annotations say: node, key, text.
    annotated: Vec<(String, String, String)>,
}

/// A `CiliumNode`.
#[derive(Debug, Default)]
pub struct NodeState {
    /// The ranges that it gives addresses from.
    pub cidrs: Vec<Cidr>,
    /// Why the operator could not give it a range.
    pub operator_error: Option<String>,
}

impl Cilium {
    fn seen(&mut self, sign: impl FnOnce() -> String) {
        self.sign.get_or_insert_with(sign);
    }
}

fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn namespace(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}
