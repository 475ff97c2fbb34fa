//! `kubectl proxymode` on a real cluster: every answer beside what the cluster's own components say.
//!
//! Runs on the lab that `NET_LAB` names (`cargo xtask lab up`, docs/lab.md). What a mode is comes from
//! kube-proxy's own port, asked on the node, never from our own readers.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test stops where its set-up is wrong, and says what it skips"
)]

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use e2e::{lab::Lab, report, stderr, stdout};
use serde_json::{Value, json};

/// The lab; where there is none, a word and nothing.
fn lab() -> Option<Lab> {
    let lab = Lab::of_environment();
    if lab.is_none() {
        println!("skipped: NET_LAB names no lab");
    }
    lab
}

fn answer(lab: &Lab, arguments: &[&str]) -> Value {
    let output = lab.proxymode().args(["-o", "json"]).args(arguments).output().expect("it starts");
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{arguments:?}: {}\n{}", stderr(&output), stdout(&output));
    report(&output)
}

fn node<'a>(report: &'a Value, name: &str) -> &'a Value {
    let nodes = report["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["name"] == name).expect("the node is told")
}

/// The mode that a node's kube-proxy answers with; nothing while it does not answer.
fn mode_of(lab: &Lab, name: &str) -> String {
    lab.exec(name, &["sh", "-c", "curl -s http://127.0.0.1:10249/proxyMode || true"]).trim().to_owned()
}

/// Waits for a state, for as long as a slow machine may take.
fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !reached() {
        assert!(begin.elapsed() < Duration::from_secs(180), "{what} did not come");
        sleep(Duration::from_millis(500));
    }
}

/// Every test changes or reads the one configuration: they are one after the other.
#[test]
fn modes_are_those_that_kube_proxy_answers_with() {
    let Some(lab) = lab() else { return };
    let before = answer(&lab, &[]);
    assert_eq!(before["findings"].as_array().map(Vec::len), Some(0), "{:#}", before["findings"]);
    for name in lab.nodes() {
        let row = node(&before, &name);
        let mode = mode_of(&lab, &name);
        assert_eq!((&row["effective"], &row["configured"]), (&json!(mode), &json!(mode)), "{row:#}");
        let probes: Vec<&str> =
            row["evidence"].as_array().into_iter().flatten().filter_map(|sign| sign["probe"].as_str()).collect();
        assert!(["proxyMode", "configz", "metrics", "kernel"].iter().all(|sign| probes.contains(sign)), "{probes:?}");
        assert_eq!(row["leftovers"], json!([]));
    }
    let server = lab.kubectl_json(&["version"]);
    assert_eq!(before["cluster"]["version"], server["serverVersion"]["gitVersion"]);
    switched_on_one_node(&lab, &before);
    refused_without_ipvs(&lab);
    told_by_whoever_may_little(&lab);
}

/// The ConfigMap is changed and one pod is started again: one node runs the new mode, the others the old.
fn switched_on_one_node(lab: &Lab, before: &Value) {
    let Some(from) = before["configured"]["mode"].as_str() else { return };
    if from == "ipvs" {
        println!("skipped: the switch on one node, in ipvs mode");
        return;
    }
    let to = if from == "iptables" { "nftables" } else { "iptables" };
    let nodes = lab.nodes();
    let [first, second, ..] = nodes.as_slice() else { return };
    set_mode(lab, from, to);
    restart(lab, first);
    until("the new mode on one node", || mode_of(lab, first) == to);
    until("its rules", || {
        let found = answer(lab, &["--node", first]);
        node(&found, first)["evidence"]
            .as_array()
            .into_iter()
            .flatten()
            .all(|sign| !sign["says"].to_string().contains(from))
    });
    let found = answer(lab, &[]);
    assert_eq!(node(&found, first)["effective"], to);
    assert_eq!((&node(&found, second)["effective"], &node(&found, second)["configured"]), (&json!(from), &json!(to)));
    let drift = found["findings"].as_array().into_iter().flatten().find(|finding| finding["id"] == "PROXY-001");
    let subject = drift.expect("the other nodes run the old mode")["subject"].as_str().unwrap_or_default();
    assert!(subject.contains(second.as_str()) && !subject.contains(first.as_str()), "{subject}");
    set_mode(lab, to, from);
    for name in &nodes {
        restart(lab, name);
    }
    until("the old mode everywhere", || nodes.iter().all(|name| mode_of(lab, name) == from));
    until("no findings", || answer(lab, &[])["findings"] == json!([]));
}

fn set_mode(lab: &Lab, from: &str, to: &str) {
    let map = lab.kubectl_json(&["-n", "kube-system", "get", "configmap", "kube-proxy"]);
    let text = map["data"]["config.conf"].as_str().expect("a configuration");
    let text = text.replace(&format!("\nmode: {from}\n"), &format!("\nmode: {to}\n"));
    let patch = json!({"data": {"config.conf": text}}).to_string();
    lab.kubectl_text(&["-n", "kube-system", "patch", "configmap", "kube-proxy", "-p", &patch]);
}

fn restart(lab: &Lab, node: &str) {
    let on_node = format!("spec.nodeName={node}");
    let arguments = ["-n", "kube-system", "delete", "pod", "-l", "k8s-app=kube-proxy", "--field-selector", &on_node];
    lab.kubectl_text(&arguments);
}

/// Where the kernel has no IPVS, that is proven without loading a module.
fn refused_without_ipvs(lab: &Lab) {
    let nodes = lab.nodes();
    let has = |name: &String| lab.exec(name, &["sh", "-c", "ls /proc/net/ip_vs 2>/dev/null || true"]).contains("ip_vs");
    if nodes.iter().any(has) {
        println!("skipped: the kernel has IPVS");
        return;
    }
    let found = answer(lab, &["preflight", "ipvs"]);
    assert_eq!(found["verdict"], "blocked");
    let blocked = found["items"].as_array().into_iter().flatten().filter(|item| item["id"] == "PROXY-123");
    assert_eq!(blocked.filter(|item| item["severity"] == "error").count(), nodes.len(), "{:#}", found["items"]);
    // a kernel without modules has no such file
    let modules = lab.exec(&nodes[0], &["sh", "-c", "cat /proc/modules 2>/dev/null || true"]);
    assert!(!modules.lines().any(|line| line.starts_with("ip_vs")), "{modules}");
    let schedulers = answer(lab, &["schedulers"]);
    let states = schedulers["items"][0]["nodes"].as_array().cloned().unwrap_or_default();
    assert!(states.iter().all(|node| node["state"] == "missing"), "{states:?}");
}

/// A user with the documented roles and no more, and one with none.
fn told_by_whoever_may_little(lab: &Lab) {
    let docs = e2e::fixtures().join("../../docs/rbac");
    lab.apply(&docs.join("proxymode.yaml"));
    lab.apply(&docs.join("nodes-exec.yaml"));
    lab.bind("kubectl-proxymode", "reader-of-modes");
    lab.bind("kubectl-net-nodes-exec", "reader-of-modes");
    let told = answer(lab, &["--as", "reader-of-modes"]);
    assert_eq!(told["unreadable"], json!([]), "the role is enough");
    assert_eq!(told["nodes"], answer(lab, &[])["nodes"]);
    let found = answer(lab, &["preflight", "nftables", "--as", "reader-of-modes"]);
    let refused = found["items"].as_array().into_iter().flatten().filter(|item| item["id"] == "PROXY-104");
    let refused: Vec<&str> = refused.filter_map(|item| item["message"].as_str()).collect();
    assert!(refused.contains(&"not allowed: delete pods in kube-system"), "{refused:?}");
    assert!(!refused.contains(&"not allowed: list pods in kube-system"), "{refused:?}");
    let output = lab.proxymode().args(["--as", "nobody-at-all"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("forbidden"), "{}", stderr(&output));
}
