//! Nodes read live: from the pods that run on them, whatever goes wrong on some of them.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::process::Output;

use apiserver::{Exec, Fault, Ran, Server, Trouble, User};
use e2e::{agents, netcidr, netcidr_at, report, stderr, stdout, unreadable};
use serde_json::Value;

/// Runs `nodes -o json` with more words.
fn nodes(server: &Server, words: &[&str]) -> Output {
    netcidr_at(&server.kubeconfig()).args(["nodes", "-o", "json"]).args(words).output().expect("it runs")
}

fn node<'a>(report: &'a Value, name: &str) -> &'a Value {
    let items = report["items"].as_array().expect("items");
    items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("{name} is in {items:?}"))
}

/// The reason why a probe of a node is unreadable.
fn reason<'a>(report: &'a Value, node: &str, source: &str) -> Option<&'a str> {
    let all = report["unreadable"].as_array().expect("a list");
    all.iter().find(|entry| entry["node"] == node && entry["source"] == source)?["reason"].as_str()
}

fn is(exec: &Exec, node: &str, program: &str) -> bool {
    exec.node == node && exec.argv.first().is_some_and(|word| word == program)
}

#[test]
fn nodes_are_read_from_the_pods_on_them() {
    let server = Server::start(agents::cluster(|_| None));
    let output = nodes(&server, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("reads 2 nodes by exec into pods that run there").count(), 1);
    let report = report(&output);
    for (name, subnet, other) in
        [("cp1", "10.244.0.1/24", "10.244.1.0/24"), ("worker1", "10.244.1.1/24", "10.244.0.0/24")]
    {
        let node = node(&report, name);
        assert_eq!(node["subnetEnv"]["subnet"], subnet);
        assert_eq!(
            (&node["routes"][0]["destination"], &node["routes"][0]["state"]),
            (&other.into(), &"present".into())
        );
    }
    // what both nodes say of kube-proxy came through a port-forward
    assert!(server.paths().iter().any(|path| path.ends_with("/kube-proxy-cp1/portforward")), "{:?}", server.paths());
    // a pod whose image has no `ip` is not asked where another is known to have it
    let asked = |pod: &str, word: &str| {
        server.requests().iter().any(|request| {
            request.path.ends_with(&format!("/{pod}/exec")) && request.query.contains(&format!("command={word}"))
        })
    };
    assert!(asked("kube-flannel-cp1", "ip") && !asked("kube-proxy-cp1", "ip"));
}

#[test]
fn the_report_knows_the_nodes_own_network() {
    let server = Server::start(agents::cluster(|_| None));
    let output = netcidr_at(&server.kubeconfig()).args(["-o", "json"]).output().expect("it runs");
    let ranges = e2e::ranges(&report(&output), "node");
    assert!(ranges.contains(&"192.168.1.0/24".to_owned()), "{ranges:?}");
}

#[test]
fn a_recording_replays_what_nodes_said_and_what_they_did_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(agents::cluster(|exec| {
        is(exec, "worker1", "ip").then(|| Ran::fails(2, "ip: RTNETLINK answers: Operation not permitted\n"))
    }));
    for format in ["table", "wide", "json"] {
        let recording = folder.path().join(format);
        let live = netcidr_at(&server.kubeconfig())
            .args(["nodes", "-o", format, "--record"])
            .arg(&recording)
            .output()
            .expect("it runs");
        let from = netcidr().args(["nodes", "-o", format, "--from"]).arg(&recording).output().expect("it runs");
        assert_eq!(stdout(&from), stdout(&live), "{format}\n{}\n{}", stderr(&live), stderr(&from));
        assert_eq!(from.status.code(), live.status.code());
        assert!(recording.join("nodes/cp1/subnet.env").is_file());
        assert!(recording.join("nodes/worker1/configz.json").is_file());
        assert!(!recording.join("nodes/worker1/ip-addr.json").exists());
    }
}

#[test]
fn what_fails_on_one_node_is_said_and_the_others_go_on() {
    type Case = (&'static str, fn() -> Ran, &'static str);
    let cases: [Case; 5] = [
        ("a command that fails", || Ran::fails(2, "ip: broken\n"), "exit code 2: ip: broken"),
        ("no such program", || Ran::NoProgram, "has no ip"),
        ("an answer that is cut", || Ran::prints("[{\"dst\":\"defa"), "cut off after 13 bytes"),
        ("a connection that breaks", || Ran::Breaks(b"[{\"dst\"".to_vec()), "the connection broke: after 7 bytes"),
        ("a kubelet that hangs", || Ran::Hangs, "timed out after 1s"),
    ];
    for (what, ran, expected) in cases {
        let server = Server::start(agents::cluster(move |exec| is(exec, "worker1", "ip").then(ran)));
        let output = nodes(&server, &["--node-timeout", "1s"]);
        assert_eq!(output.status.code(), Some(0), "{what}: {}", stderr(&output));
        let report = report(&output);
        let said =
            reason(&report, "worker1", "ip-addr.json").unwrap_or_else(|| panic!("{what}: {}", report["unreadable"]));
        assert!(said.contains(expected), "{what}: {said}");
        assert_eq!(node(&report, "cp1")["subnetEnv"]["subnet"], "10.244.0.1/24", "{what}");
        assert_eq!(reason(&report, "cp1", "ip-addr.json"), None, "{what}");
    }
}

#[test]
fn a_light_command_whose_connection_broke_is_run_once_more() {
    let server = Server::start(agents::cluster(|exec| is(exec, "worker1", "ip").then(|| Ran::Breaks(Vec::new()))));
    let output = nodes(&server, &["--node", "worker1", "-v", "6"]);
    let asked = server.requests().iter().filter(|request| request.query.contains("command=addr")).count();
    assert_eq!(asked, 2, "{}", stderr(&output));
}

#[test]
fn forbidden_is_said_with_the_verb_and_asked_once() {
    let user = User::admin("admin").deny("create", "pods/exec").deny("create", "pods/portforward");
    let server = Server::start(agents::cluster(|_| None).user(user));
    let output = nodes(&server, &["--parallel", "1"]);
    let report = report(&output);
    let said = reason(&report, "cp1", "ip-route.json").expect("it is unreadable");
    assert!(said.starts_with("forbidden: ") && said.contains("cannot create resource \"pods/exec\""), "{said}");
    let asked = server.paths().iter().filter(|path| path.ends_with("/exec")).count();
    assert_eq!(asked, 1, "who may not once may not the next time");
    // asked for by name, it is the whole answer that is missing
    assert_eq!(nodes(&server, &["--node", "cp1"]).status.code(), Some(3));
}

#[test]
fn a_busy_server_is_waited_for() {
    let path = "/api/v1/namespaces/kube-flannel/pods/kube-flannel-cp1/exec";
    let fault = Fault::at(path, Trouble::TooManyRequests { retry_after: 1 }).times(1);
    let server = Server::start(agents::cluster(|_| None).fault(fault));
    let output = nodes(&server, &["--node", "cp1"]);
    assert_eq!(node(&report(&output), "cp1")["subnetEnv"]["subnet"], "10.244.0.1/24", "{}", stderr(&output));
}

#[test]
fn large_answers_come_whole() {
    let route =
        |n: u32| format!("{{\"dst\":\"10.{}.{}.{}/32\",\"dev\":\"eth0\"}}", n >> 16 & 255, n >> 8 & 255, n & 255);
    let text = format!("[{}]", (0..1_000_000_u32).map(route).collect::<Vec<_>>().join(","));
    assert!(text.len() > 30 << 20, "{}", text.len());
    let server = Server::start(agents::cluster(move |exec| {
        exec.argv.iter().any(|word| word == "route").then(|| Ran::prints(text.as_str()))
    }));
    let folder = tempfile::tempdir().expect("a folder");
    let output = netcidr_at(&server.kubeconfig())
        .args(["nodes", "-o", "name", "--node", "cp1", "--node-timeout", "5m", "--record"])
        .arg(folder.path().join("r"))
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let kept = std::fs::metadata(folder.path().join("r/nodes/cp1/ip-route.json")).expect("it is recorded");
    assert!(kept.len() > 30 << 20);
}

#[test]
fn nothing_is_read_where_that_is_not_wanted() {
    let server = Server::start(agents::cluster(|_| None));
    let output = nodes(&server, &["--node-access", "none"]);
    let report = report(&output);
    assert_eq!(unreadable(&report, "nodes' subnet.env"), Some("not asked for: --node-access none"));
    assert!(!server.paths().iter().any(|path| path.ends_with("/exec") || path.ends_with("/portforward")));
}

#[test]
fn debug_pods_need_to_be_allowed_and_confirmed() {
    let server = Server::start(agents::cluster(|_| None));
    for (words, expected) in [
        (&["--node-access", "debug"][..], "allow it with --allow-debug-pods"),
        (&["--node-access", "debug", "--allow-debug-pods"], "without a terminal, --allow-debug-pods=2 does"),
        (
            &["--node-access", "debug", "--allow-debug-pods=1"],
            "2 debug pods are needed and --allow-debug-pods=1 allows fewer",
        ),
    ] {
        let output = nodes(&server, words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    assert!(server.writes().is_empty());
}
