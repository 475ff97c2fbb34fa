//! A report's figures and the same figures out of what a cluster's own components print, side by side.
//!
//! `stated_*` takes the report, `true_*` what kubectl or calicoctl says; a suite asserts that they are equal.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A pod that has addresses of its own out of a pod range, and has not ended.
pub fn holds_addresses(pod: &Value) -> bool {
    pod["spec"]["hostNetwork"] != true && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// A pod's addresses.
pub fn addresses(pod: &Value) -> Vec<String> {
    let all = pod["status"]["podIPs"].as_array().into_iter().flatten();
    all.filter_map(|entry| entry["ip"].as_str()).map(str::to_owned).collect()
}

fn items<'v>(list: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    list[field].as_array().into_iter().flatten()
}

/// Ranges, pods, limit and addresses of every node, out of `kubectl get pods -A` and `kubectl get nodes`.
pub fn true_nodes(pods: &Value, nodes: &Value) -> Vec<Value> {
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for pod in items(pods, "items").filter(|pod| holds_addresses(pod) && !addresses(pod).is_empty()) {
        *used.entry(pod["spec"]["nodeName"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let row = |node: &Value| {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        json!({
            "name": name,
            "podCIDRs": node["spec"]["podCIDRs"],
            "podsUsed": used.get(name).copied().unwrap_or_default(),
            "maxPods": node["status"]["capacity"]["pods"].as_str().and_then(|count| count.parse::<u64>().ok()),
            "addresses": items(&node["status"], "addresses")
                .filter(|address| address["type"] == "InternalIP")
                .map(|address| address["address"].clone()).collect::<Vec<_>>(),
        })
    };
    items(nodes, "items").map(row).collect()
}

/// The same out of the report.
pub fn stated_nodes(report: &Value) -> Vec<Value> {
    let row = |row: &Value| {
        json!({"name": row["name"], "podCIDRs": row["podCIDRs"], "podsUsed": row["podsUsed"],
            "maxPods": row["maxPods"], "addresses": row["addresses"]})
    };
    items(report, "nodes").map(row).collect()
}

/// Used and total addresses of each block, out of `calicoctl ipam show --show-blocks`, whose rows are like
/// `| Block | 10.244.166.128/26 | 64 | 3 (5%) | 61 (95%) |`.
pub fn true_blocks(shown: &str) -> BTreeMap<String, (Option<f64>, Option<f64>)> {
    let number = |text: &str| text.split(' ').next().and_then(|number| number.parse::<f64>().ok());
    let rows = shown.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", "Block", cidr, total, used, ..] => Some((cidr.to_owned(), (number(used), number(total)))),
            _ => None,
        }
    });
    rows.collect()
}

/// The same out of the report.
pub fn stated_blocks(report: &Value) -> BTreeMap<String, (Option<f64>, Option<f64>)> {
    let row = |block: &Value| {
        let cidr = block["cidr"].as_str().unwrap_or_default().to_owned();
        (cidr, (block["used"].as_f64(), block["capacity"].as_f64()))
    };
    items(report, "blocks").map(row).collect()
}

/// How many Service addresses of IPv4 and IPv6 there are, out of `kubectl get ipaddresses`.
pub fn true_service_addresses(ipaddresses: &Value) -> [Value; 2] {
    let names: Vec<&str> =
        items(ipaddresses, "items").filter_map(|address| address["metadata"]["name"].as_str()).collect();
    [false, true].map(|v6| json!(names.iter().filter(|name| name.contains(':') == v6).count()))
}

/// The same out of the report; null for a family without a range.
pub fn stated_service_addresses(report: &Value) -> [Value; 2] {
    ["IPv4", "IPv6"].map(|family| {
        let mut rows = items(report, "ranges");
        let row = rows.find(|row| row["role"] == "service" && row["family"] == family);
        row.map_or(Value::Null, |row| row["used"].clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> Value {
        let pod = |ip: &str, host: bool, phase: &str| {
            json!({"spec": {"nodeName": "node1", "hostNetwork": host},
                "status": {"phase": phase, "podIPs": [{"ip": ip}]}})
        };
        json!({"items": [pod("10.244.0.2", false, "Running"), pod("10.244.0.3", false, "Running"),
            pod("10.244.0.4", false, "Succeeded"), pod("172.31.77.2", true, "Running")]})
    }

    fn nodes() -> Value {
        json!({"items": [{"metadata": {"name": "node1"}, "spec": {"podCIDRs": ["10.244.0.0/24"]},
            "status": {"capacity": {"pods": "110"}, "addresses": [
                {"type": "InternalIP", "address": "172.31.77.2"}, {"type": "Hostname", "address": "node1"}]}}]})
    }

    const BLOCKS: &str = "\
+----------+-------------------+-----------+------------+-----------+
| GROUPING |       CIDR        | IPS TOTAL | IPS IN USE | IPS FREE  |
| IP Pool  | 10.244.0.0/16     |     65536 | 3 (0%)     | 65533     |
| Block    | 10.244.166.128/26 |        64 | 3 (5%)     | 61 (95%)  |
";

    fn ipaddresses() -> Value {
        let names = ["10.96.0.1", "10.96.0.10", "fd00:96::1"];
        json!({"items": names.map(|name| json!({"metadata": {"name": name}}))})
    }

    /// What a report says of this cluster when it says the truth.
    fn report() -> Value {
        json!({
            "nodes": [{"name": "node1", "podCIDRs": ["10.244.0.0/24"], "podsUsed": 2, "maxPods": 110,
                "addresses": ["172.31.77.2"]}],
            "blocks": [{"cidr": "10.244.166.128/26", "used": 3, "capacity": 64}],
            "ranges": [{"role": "service", "family": "IPv4", "used": 2},
                {"role": "service", "family": "IPv6", "used": 1}],
        })
    }

    /// Whether the suite would accept the report: every comparison at once.
    fn accepted(report: &Value) -> bool {
        stated_nodes(report) == true_nodes(&pods(), &nodes())
            && stated_blocks(report) == true_blocks(BLOCKS)
            && stated_service_addresses(report) == true_service_addresses(&ipaddresses())
    }

    #[test]
    fn a_true_report_is_accepted() {
        assert!(accepted(&report()));
    }

    #[test]
    fn one_wrong_figure_makes_the_suite_fail() {
        let wrong = [
            ("/nodes/0/podsUsed", json!(3)),
            ("/nodes/0/podsUsed", Value::Null),
            ("/nodes/0/maxPods", json!(111)),
            ("/nodes/0/podCIDRs/0", json!("10.244.0.0/23")),
            ("/nodes/0/addresses/0", json!("172.31.77.3")),
            ("/nodes/0/name", json!("node2")),
            ("/nodes", json!([])),
            ("/blocks/0/used", json!(4)),
            ("/blocks/0/capacity", json!(63)),
            ("/blocks/0/cidr", json!("10.244.166.192/26")),
            ("/blocks", json!([])),
            ("/ranges/0/used", json!(3)),
            ("/ranges/1/used", json!(0)),
            ("/ranges", json!([])),
        ];
        for (place, value) in wrong {
            let mut falsified = report();
            *falsified.pointer_mut(place).expect("a place in the report") = value.clone();
            assert!(!accepted(&falsified), "{place} = {value} goes unnoticed");
        }
    }
}
