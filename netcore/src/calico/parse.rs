//! Objects of both API groups into the types. Their specs are the same but for `deleted`, which is
//! a text in one group and a boolean in the other.

use serde_json::Value;

use super::model::{Allocation, AllocationKind, Block, BlockOwner, Blocks, Pool, Uses, default_block_size};
use crate::cidr::{Cidr, CidrError, parse_cidr};

/// The handle under which Windows nodes set addresses aside.
const WINDOWS_RESERVED: &str = "windows-reserved-ipam-handle";

/// The network in whose name the plugin allocates the addresses that pods report. Others are
/// additional interfaces.
const POD_NETWORK: &str = "k8s-pod-network.";

/// Whether an object is only kept until its deletion is through.
pub fn is_deleted(object: &Value) -> bool {
    match object.pointer("/spec/deleted") {
        Some(Value::Bool(deleted)) => *deleted,
        Some(Value::String(deleted)) => deleted.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// An `IPPool`. Its range may be written with flaws; the caller reports them.
pub fn pool(object: &Value) -> Result<Pool, CidrError> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let text = string(spec, "cidr");
    let cidr = parse_cidr(text)?.cidr;
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let block_size = spec.get("blockSize").and_then(Value::as_u64).filter(|size| *size > 0);
    Ok(Pool {
        name: name.to_owned(),
        object: format!("ippool {name}"),
        cidr,
        text: text.to_owned(),
        block_size: block_size.and_then(|size| u8::try_from(size).ok()).unwrap_or(default_block_size(cidr.family())),
        disabled: flag(spec, "disabled"),
        manual: string(spec, "assignmentMode") == "Manual",
        node_selector: string(spec, "nodeSelector").to_owned(),
        namespace_selector: string(spec, "namespaceSelector").to_owned(),
        uses: uses(spec.get("allowedUses")),
        nat_outgoing: flag(spec, "natOutgoing") || flag(spec, "nat-outgoing"),
        ipip_mode: string(spec, "ipipMode").to_owned(),
        vxlan_mode: string(spec, "vxlanMode").to_owned(),
        not_allocatable: not_allocatable(object),
    })
}

fn uses(allowed: Option<&Value>) -> Uses {
    let allowed: Vec<&str> =
        allowed.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if allowed.is_empty() {
        return Uses { workload: true, tunnel: true, load_balancer: false };
    }
    Uses {
        workload: allowed.contains(&"Workload"),
        tunnel: allowed.contains(&"Tunnel"),
        load_balancer: allowed.contains(&"LoadBalancer"),
    }
}

fn not_allocatable(object: &Value) -> Option<String> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array)?;
    let condition = conditions.iter().find(|c| string(c, "type") == "Allocatable")?;
    (string(condition, "status") == "False").then(|| string(condition, "reason").to_owned())
}

/// Adds an `IPAMBlock` to the others; a deleted one is left out.
pub fn block(object: &Value, blocks: &mut Blocks) -> Result<(), CidrError> {
    if is_deleted(object) {
        return Ok(());
    }
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let cidr = parse_cidr(string(spec, "cidr"))?.cidr;
    let affinity = string(spec, "affinity");
    let owner = match affinity.split_once(':') {
        Some(("host", node)) => BlockOwner::Node(blocks.node(node)),
        Some(("virtual", name)) => BlockOwner::Virtual(name.to_owned()),
        _ => BlockOwner::Nobody,
    };
    let attributes: Vec<Allocation> = array(spec, "attributes").map(|a| attribute(a, blocks)).collect();
    let allocations = array(spec, "allocations")
        .enumerate()
        .filter_map(|(ordinal, index)| {
            let index = index.as_u64()?;
            let attribute = usize::try_from(index).ok().and_then(|index| attributes.get(index)).copied();
            let ordinal = u32::try_from(ordinal).ok()?;
            Some(Allocation { ordinal, ..attribute.unwrap_or(NOTHING_KNOWN) })
        })
        .collect();
    blocks.by_cidr.insert(cidr, Block { cidr, owner, allocations });
    Ok(())
}

const NOTHING_KNOWN: Allocation =
    Allocation { ordinal: 0, kind: AllocationKind::Unknown, released: false, node: None, pod: None, at: None };

/// The attributes that an allocation points to; its ordinal is still to be set.
fn attribute(attribute: &Value, blocks: &mut Blocks) -> Allocation {
    let handle = string(attribute, "handle_id");
    let secondary = attribute.get("secondary").unwrap_or(&Value::Null);
    let (namespace, pod, node) = (string(secondary, "namespace"), string(secondary, "pod"), string(secondary, "node"));
    let kind = if handle.eq_ignore_ascii_case(WINDOWS_RESERVED) {
        AllocationKind::WindowsReserved
    } else if string(secondary, "type").ends_with("TunnelAddress") {
        AllocationKind::Tunnel
    } else if !string(secondary, "service").is_empty() {
        AllocationKind::LoadBalancer
    } else if pod.is_empty() || namespace.is_empty() {
        AllocationKind::Unknown
    } else if handle.starts_with(POD_NETWORK) && !of_virtual_machine(attribute, secondary) {
        AllocationKind::Pod
    } else {
        AllocationKind::OtherPod
    };
    let has_pod = matches!(kind, AllocationKind::Pod | AllocationKind::OtherPod);
    Allocation {
        ordinal: 0,
        kind,
        released: attribute.get("releasedAt").is_some_and(|at| !at.is_null()),
        node: (!node.is_empty()).then(|| blocks.node(node)),
        pod: has_pod.then(|| blocks.pods.push(&format!("{namespace}/{pod}"))),
        at: allocation_time(string(secondary, "timestamp")),
    }
}

/// A virtual machine keeps its address while its pod is replaced.
fn of_virtual_machine(attribute: &Value, secondary: &Value) -> bool {
    let other_owner = ["alternateOwnerAttrs", "alternate"]
        .into_iter()
        .any(|key| attribute.get(key).and_then(Value::as_object).is_some_and(|owner| !owner.is_empty()));
    let virtual_machine =
        secondary.as_object().is_some_and(|s| s.keys().any(|key| key.to_ascii_lowercase().starts_with("vm")));
    other_owner || virtual_machine
}

/// Who a `BlockAffinity` gives a block to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// The block.
    pub cidr: Cidr,
    /// The node.
    pub node: String,
    /// `confirmed`, `pending`, `pendingDeletion`.
    pub state: String,
}

/// A node's `BlockAffinity`; nothing for a deleted one, and for one that is no node's.
pub fn affinity(object: &Value) -> Result<Option<Affinity>, CidrError> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    // a missing type means a node
    if is_deleted(object) || !matches!(string(spec, "type"), "" | "host") {
        return Ok(None);
    }
    let cidr = parse_cidr(string(spec, "cidr"))?.cidr;
    let (node, state) = (string(spec, "node").to_owned(), string(spec, "state").to_owned());
    Ok(Some(Affinity { cidr, node, state }))
}

/// `2026-08-22 18:33:11.396 +0000 UTC` or `2026-08-22T18:33:11Z` in seconds since 1970.
pub fn allocation_time(text: &str) -> Option<i64> {
    let field = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    let utc = text.contains("+0000") || text.ends_with('Z');
    let valid = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    (utc && valid).then(|| days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Years are counted from March, so that the leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + leap_days + day_of_year - 719_468
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pool_has_calicos_defaults() {
        let pool = pool(&json!({"metadata": {"name": "p"}, "spec": {"cidr": "10.233.64.0/18"}})).unwrap();
        assert_eq!((pool.block_size, pool.uses.workload, pool.uses.load_balancer), (26, true, false));
        assert_eq!(pool.block_count(), crate::cidr::Count::new(256));
        assert!(pool.serves_pods() && pool.for_everyone());
        let object = json!({"spec": {"cidr": "fd00::/48", "allowedUses": ["LoadBalancer"], "disabled": true}});
        let pool = super::pool(&object).unwrap();
        assert_eq!((pool.block_size, pool.uses.workload, pool.disabled), (122, false, true));
        assert!(super::pool(&json!({"spec": {}})).is_err());
    }

    #[test]
    fn deleted_is_a_text_or_a_boolean() {
        for (deleted, expected) in [(json!("true"), true), (json!("false"), false), (json!(true), true)] {
            assert_eq!(is_deleted(&json!({"spec": {"deleted": deleted}})), expected);
        }
        assert!(!is_deleted(&json!({"spec": {}})));
    }

    #[test]
    fn allocations_are_told_apart() {
        let mut blocks = Blocks::default();
        let object = json!({"spec": {
        "cidr": "10.1.0.0/29", "affinity": "host:a", "deleted": false,
        "allocations": [0, null, 1, 2, 3, 4, 9, 5],
        "attributes": [
            {"handle_id": "windows-reserved-ipam-handle", "secondary": {"note": "windows host rsvd"}},
            {"handle_id": "ipip-tunnel-addr-a", "secondary": {"node": "a", "type": "ipipTunnelAddress"}},
            {"handle_id": "k8s-pod-network.c1", "secondary": {"namespace": "n", "pod": "p", "node": "b",
                "timestamp": "1970-01-02 00:00:01.5 +0000 UTC"}},
            {"handle_id": "k8s-pod-network.c2", "secondary": {"node": "a"}, "releasedAt": "2026-01-01T00:00:00Z"},
            {"handle_id": "second-network.c3", "secondary": {"namespace": "n", "pod": "p", "node": "a"}},
            {"handle_id": "lb-1", "secondary": {"service": "s", "namespace": "n", "type": "loadbalancer"}}
        ]}});
        block(&object, &mut blocks).unwrap();
        let block = blocks.by_cidr.values().next().unwrap();
        let kinds: Vec<_> = block.allocations.iter().map(|a| (a.ordinal, a.kind, a.released)).collect();
        assert_eq!(
            kinds,
            [
                (0, AllocationKind::WindowsReserved, false),
                (2, AllocationKind::Tunnel, false),
                (3, AllocationKind::Pod, false),
                (4, AllocationKind::Unknown, true),
                (5, AllocationKind::OtherPod, false),
                (6, AllocationKind::Unknown, false),
                (7, AllocationKind::LoadBalancer, false),
            ]
        );
        let pod = blocks.allocation("10.1.0.3".parse().unwrap()).unwrap();
        assert_eq!(pod.pod.map(|id| blocks.pods.get(id)), Some("n/p"));
        assert_eq!((pod.at, pod.node.and_then(|n| blocks.node_name(n))), (Some(86_401), Some("b")));
        assert_eq!(blocks.allocation("10.1.0.1".parse().unwrap()), None);
        assert_eq!(blocks.owner_name(block), Some("a"));
    }

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(allocation_time("2026-08-22 18:33:11.396 +0000 UTC"), Some(1_787_423_591));
        assert_eq!(allocation_time("2000-02-29T00:00:00Z"), Some(951_782_400));
        assert_eq!(allocation_time("2026-08-22 18:33:11 +0200 CEST"), None);
        assert_eq!(allocation_time("yesterday"), None);
    }

    #[test]
    fn an_affinity_without_a_type_is_a_nodes() {
        let spec = json!({"cidr": "10.1.0.0/26", "node": "a", "state": "confirmed", "deleted": "false"});
        assert_eq!(affinity(&json!({"spec": spec})).unwrap().unwrap().node, "a");
        let spec = json!({"cidr": "10.1.0.0/26", "node": "load-balancer", "type": "virtual", "state": "confirmed"});
        assert_eq!(affinity(&json!({"spec": spec})).unwrap(), None);
        let spec = json!({"cidr": "10.1.0.0/26", "node": "a", "deleted": "true"});
        assert_eq!(affinity(&json!({"spec": spec})).unwrap(), None);
    }
}
