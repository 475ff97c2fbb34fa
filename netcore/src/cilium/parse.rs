//! Objects into the types.

use serde_json::Value;

use super::model::{CiliumNode, LbPool, PodPool, Stated};
use crate::cidr::parse_ip;

/// A `CiliumNode`.
pub fn node(object: &Value) -> CiliumNode {
    let mut node = CiliumNode { name: name(object), ..CiliumNode::default() };
    for (i, text) in texts(object.pointer("/spec/ipam/podCIDRs")) {
        node.pod_cidrs.push(Stated { text, field: format!("spec.ipam.podCIDRs[{i}]") });
    }
    for (i, pool) in list(object.pointer("/spec/ipam/pools/allocated")) {
        for (k, text) in texts(pool.get("cidrs")) {
            node.pool_cidrs.push(Stated { text, field: format!("spec.ipam.pools.allocated[{i}].cidrs[{k}]") });
        }
    }
    for (_, address) in list(object.pointer("/spec/addresses")) {
        if address.get("type").and_then(Value::as_str) == Some("CiliumInternalIP") {
            node.take_own(address.get("ip"), "Router");
        }
    }
    for (part, kind) in [("health", "Health"), ("ingress", "Ingress")] {
        for family in ["ipv4", "ipv6"] {
            node.take_own(object.pointer(&format!("/spec/{part}/{family}")), kind);
        }
    }
    let error = object.pointer("/status/ipam/operator-status/error").and_then(Value::as_str);
    node.operator_error = error.filter(|error| !error.is_empty()).map(str::to_owned);
    node
}

impl CiliumNode {
    fn take_own(&mut self, address: Option<&Value>, kind: &'static str) {
        if let Some((ip, _)) = address.and_then(Value::as_str).and_then(|text| parse_ip(text).ok()) {
            self.own.push((ip, kind));
        }
    }
}

/// A `CiliumPodIPPool`.
pub fn pod_pool(object: &Value) -> PodPool {
    let mut cidrs = Vec::new();
    for family in ["ipv4", "ipv6"] {
        for (i, text) in texts(object.pointer(&format!("/spec/{family}/cidrs"))) {
            cidrs.push(Stated { text, field: format!("spec.{family}.cidrs[{i}]") });
        }
    }
    PodPool { name: name(object), cidrs }
}

/// A `CiliumLoadBalancerIPPool`.
pub fn lb_pool(object: &Value) -> LbPool {
    let mut blocks = Vec::new();
    // before 1.15 the list was called `cidrs`
    for key in ["blocks", "cidrs"] {
        for (i, block) in list(object.pointer(&format!("/spec/{key}"))) {
            let text = |key: &str| block.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            let range = match (text("cidr"), text("start"), text("stop")) {
                (Some(cidr), _, _) => cidr.to_owned(),
                (None, Some(start), Some(stop)) => format!("{start}-{stop}"),
                // a pool of one address
                (None, Some(start), None) => start.to_owned(),
                _ => continue,
            };
            blocks.push(Stated { text: range, field: format!("spec.{key}[{i}]") });
        }
    }
    let conflict = list(object.pointer("/status/conditions"))
        .map(|(_, condition)| condition)
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some("cilium.io/PoolConflict"))
        .filter(|condition| condition.get("status").and_then(Value::as_str) == Some("True"))
        .map(|condition| condition.get("message").and_then(Value::as_str).unwrap_or("PoolConflict").to_owned());
    let disabled = object.pointer("/spec/disabled").and_then(Value::as_bool).unwrap_or_default();
    LbPool { name: name(object), blocks, disabled, conflict }
}

fn name(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(value: Option<&Value>) -> impl Iterator<Item = (usize, &Value)> {
    value.and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = (usize, String)> {
    list(value).filter_map(|(i, value)| Some((i, value.as_str()?.to_owned())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_has_its_ranges_addresses_and_error() {
        let object = json!({
            "metadata": {"name": "a"},
            "spec": {
                "addresses": [{"type": "InternalIP", "ip": "192.0.2.1"}, {"type": "CiliumInternalIP", "ip": "10.0.0.7"}],
                "health": {"ipv4": "10.0.0.9"}, "ingress": {},
                "ipam": {"podCIDRs": ["10.0.0.0/24"], "pools": {"allocated": [{"pool": "p", "cidrs": ["10.9.0.0/27"]}]}}
            },
            "status": {"ipam": {"operator-status": {"error": "no CIDR left"}}}
        });
        let node = node(&object);
        assert_eq!(node.pod_cidrs[0].field, "spec.ipam.podCIDRs[0]");
        assert_eq!(node.pool_cidrs[0].text, "10.9.0.0/27");
        assert_eq!(node.own.iter().map(|(_, kind)| *kind).collect::<Vec<_>>(), ["Router", "Health"]);
        assert_eq!(node.operator_error.as_deref(), Some("no CIDR left"));
        assert_eq!(super::node(&json!({"status": {"ipam": {"operator-status": {"error": ""}}}})).operator_error, None);
    }

    #[test]
    fn load_balancer_blocks_are_prefixes_or_ends() {
        let object = json!({"spec": {"blocks": [{"cidr": "192.0.2.0/28"}, {"start": "192.0.2.32", "stop": "192.0.2.40"},
            {"start": "192.0.2.50"}, {}]},
            "status": {"conditions": [{"type": "cilium.io/PoolConflict", "status": "True", "message": "overlaps p"}]}});
        let pool = lb_pool(&object);
        let texts: Vec<_> = pool.blocks.iter().map(|block| block.text.as_str()).collect();
        assert_eq!(texts, ["192.0.2.0/28", "192.0.2.32-192.0.2.40", "192.0.2.50"]);
        assert_eq!(pool.conflict.as_deref(), Some("overlaps p"));
    }
}
