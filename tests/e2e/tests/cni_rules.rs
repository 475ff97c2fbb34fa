//! `kubectl cni rules` and `compare` on what real kernels held: as one sees it, and counted again by hand.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{collections::BTreeMap, fs, path::Path, process::Output};

use e2e::{cni, fixtures, report, stderr, stdout};
use serde_json::Value;

/// Runs in the folder of fixtures, so that no path of this machine is printed.
fn run(folder: &str, arguments: &[&str]) -> Output {
    let mut command = cni();
    command.current_dir(fixtures()).args(arguments).args(["--from", folder]);
    command.output().expect("the plugin runs")
}

fn beside_its_snapshot(name: &str, output: &Output) {
    let (out, err) = (stdout(output), stderr(output));
    let mut seen = format!("exit {}\n── stdout\n{out}", output.status.code().expect("it was not killed"));
    if !err.is_empty() {
        seen.push_str("── stderr\n");
        seen.push_str(&err);
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/cni"));
    settings.bind(|| insta::assert_snapshot!(name, seen));
}

#[test]
fn rules_are_told_as_before() {
    for (name, folder, arguments) in [
        ("rules.cluster3", "captures/cluster3-exec", &["rules"][..]),
        ("rules.service", "captures/cluster3-exec", &["rules", "--node", "node1", "--service", "shop/affinity"]),
        (
            "rules.service.wide",
            "captures/cluster3-exec",
            &["rules", "--node=node1", "--service=shop/dual", "-o", "wide"],
        ),
        ("rules.filter", "captures/iptables-nft-variety", &["rules", "--table", "filter"]),
        ("rules.chain", "captures/iptables-nft-variety", &["rules", "--chain", "KUBE-SERVICES"]),
        ("rules.nftables", "captures/nftables-variety", &["rules", "--service", "shop/affinity-short"]),
        ("rules.felix", "generated/felix-nftables-6pods", &["rules", "--chain", "filter-cali-*-cali4d9e5afa321"]),
        ("rules.owner", "generated/kube-proxy-and-felix", &["rules", "--owner", "kubelet"]),
        ("rules.nothing", "captures/iptables-nft-variety", &["rules", "--service", "nobody"]),
        ("rules.nodes", "../../examples/three-nodes", &["rules"]),
        ("rules.none", "../../examples/flannel-kubeadm", &["rules"]),
    ] {
        beside_its_snapshot(name, &run(folder, arguments));
    }
}

#[test]
fn costs_are_told_as_before() {
    for (name, folder) in [
        ("compare.cluster3", "captures/cluster3-exec"),
        ("compare.iptables", "captures/iptables-nft-variety"),
        ("compare.nftables", "captures/nftables-variety"),
        ("compare.both", "generated/kube-proxy-and-felix"),
        ("compare.felix", "generated/felix-nftables-6pods"),
        ("compare.seed", "../../examples/kubespray-calico-ipvs"),
    ] {
        beside_its_snapshot(name, &run(folder, &["compare"]));
        report(&run(folder, &["compare", "-o", "json"]));
    }
    beside_its_snapshot("compare.both.wide", &run("generated/kube-proxy-and-felix", &["compare", "-o", "wide"]));
    let picture = run("generated/kube-proxy-and-felix", &["compare", "-o", "svg"]);
    beside_its_snapshot("compare.both.svg", &picture);
    assert_eq!(run("generated/kube-proxy-and-felix", &["rules", "-o", "svg"]).status.code(), Some(2));
}

/// The lines of a dump that are rules, by table: what `grep -c ^-A` would say.
fn counted(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut table = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
            counts.entry(table.clone()).or_default();
        } else if line.starts_with("-A ") || line.split_once("] ").is_some_and(|(_, rest)| rest.starts_with("-A ")) {
            *counts.entry(table.clone()).or_default() += 1;
        }
    }
    counts
}

/// Texts of `iptables-save`, where they lie, and how the report calls the node and family.
const DUMPS: &[(&str, &str, Option<&str>, &str)] = &[
    ("captures/cluster3-exec", "node1/iptables-save.txt", Some("node1"), "IPv4"),
    ("captures/cluster3-exec", "node2/ip6tables-save.txt", Some("node2"), "IPv6"),
    ("captures/cluster3-exec", "node3/iptables-save.txt", Some("node3"), "IPv4"),
    ("generated/kube-proxy-and-felix", "iptables-save", None, "IPv4"),
];

#[test]
fn no_rule_is_lost_and_every_one_has_one_owner() {
    for (folder, file, node, family) in DUMPS {
        let raw = fs::read_to_string(fixtures().join(folder).join(file)).expect("a fixture");
        let costs = report(&run(folder, &["compare", "-o", "json"]));
        let rules = report(&run(folder, &["rules", "-o", "json"]));
        let nodes = costs["nodes"].as_array().expect("a list");
        let of_node = nodes.iter().find(|cost| cost["name"].as_str() == *node).expect("the node");
        for (table, count) in counted(&raw) {
            let here = |value: &&Value| value["family"] == **family && value["table"] == table.as_str();
            let cost = of_node["tables"].as_array().into_iter().flatten().find(here).expect("the table");
            assert_eq!(cost["rules"], count, "{file} {table}");
            let owners = cost["owners"].as_object().expect("a map");
            let sum: u64 = owners.values().filter_map(Value::as_u64).sum();
            assert_eq!((sum, owners.len()), (count as u64, 9), "{file} {table}");
            let items = rules["items"].as_array().into_iter().flatten();
            let listed: Vec<&Value> = items.filter(here).filter(|item| item["node"].as_str() == *node).collect();
            assert_eq!(listed.len(), count, "{file} {table}");
            // owner by owner, counted from the rules one by one
            for (owner, rules) in owners {
                let theirs = listed.iter().filter(|item| item["owner"] == owner.as_str()).count();
                assert_eq!(*rules, theirs, "{file} {table} {owner}");
            }
        }
    }
}

#[test]
fn a_rule_stands_as_it_was_printed() {
    let folder = "captures/iptables-nft-variety";
    let raw = fs::read_to_string(fixtures().join(folder).join("iptables-save-c.txt")).expect("a fixture");
    let rules = report(&run(folder, &["rules", "-o", "json"]));
    let mut next = rules["items"].as_array().expect("a list").iter().filter(|item| item["family"] == "IPv4");
    let lines: std::collections::BTreeSet<&str> = raw.lines().collect();
    let mut checked = 0;
    for item in next.by_ref() {
        let text = |key: &str| item[key].as_str().expect("a text");
        let line = format!("[{}:{}] -A {} {}", item["packets"], item["bytes"], text("chain"), text("rule"));
        assert!(lines.contains(line.trim_end()), "{line}");
        checked += 1;
    }
    assert!(checked > 200, "{checked}");
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).expect("a copy");
}

#[test]
fn a_dump_that_is_cut_is_told_and_what_is_there_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = fs::read_to_string(fixtures().join("generated/kube-proxy-and-felix/iptables-save")).expect("a fixture");
    let half = whole.get(..whole.len() / 2).expect("ASCII");
    fs::write(folder.path().join("iptables-save"), half).expect("written");
    for command in ["rules", "compare"] {
        let output = cni().arg(command).arg("--from").arg(folder.path()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains("ends before its COMMIT"), "{}", stderr(&output));
        assert!(stdout(&output).to_lowercase().contains("calico"), "{}", stdout(&output));
    }
}

#[test]
fn what_was_not_read_is_null_and_not_zero() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixtures().join("generated/kube-proxy-and-felix/ipset"), &folder.path().join("ipset.txt"));
    let output = cni().args(["compare", "-o", "json", "--from"]).arg(folder.path()).output().expect("it runs");
    let found = report(&output);
    let node = &found["nodes"][0];
    assert_eq!(node["tables"], Value::Null);
    assert_eq!(node["ipsets"][0]["usedByRules"], Value::Null);
    assert!(node["ipsets"][0]["memory"].as_u64().is_some_and(|bytes| bytes > 0), "{node:#}");
    assert_eq!(found["growth"], serde_json::json!([]));

    copy(&fixtures().join("generated/kube-proxy-and-felix/iptables-save"), &folder.path().join("iptables-save"));
    fs::remove_file(folder.path().join("ipset.txt")).expect("removed");
    let output = cni().args(["compare", "-o", "json", "--from"]).arg(folder.path()).output().expect("it runs");
    let node = &report(&output)["nodes"][0];
    assert_eq!(node["ipsets"], Value::Null);
    assert!(node["costUnknown"].is_string() || node["firstPacket"].is_array(), "{node:#}");
}
