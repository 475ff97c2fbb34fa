//! Hostile text and readers that go away.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use apiserver::Server;
use e2e::{agents, binary, clusters, find_program, netcidr_at, report};
use serde_json::json;

/// Colours, moves the cursor, sets the title, reverses the reading order.
const HOSTILE: &str = "evil\u{1b}[2J\u{1b}[31m\u{1b}]0;owned\u{7}\u{9b}1m\u{202e}txt\rover\u{8}";

fn hostile() -> Server {
    let text = HOSTILE;
    Server::start(
        clusters::kubeadm()
            .object(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": text},
                "spec": {"podCIDR": "10.244.2.0/24", "podCIDRs": ["10.244.2.0/24"]},
                "status": {"addresses": [{"type": "InternalIP", "address": format!("192.168.1.12{text}")}]}}))
            .object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "default", "name": text},
                "spec": {"type": "ClusterIP", "clusterIP": format!("10.96.1.1{text}"), "clusterIPs": ["10.96.1.1"]}}))
            .object(json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
                "metadata": {"namespace": "metallb-system", "name": text},
                "spec": {"addresses": [format!("203.0.113.0/33{text}"), "198.51.100.0/24"]}})),
    )
}

#[test]
fn a_terminal_gets_no_escapes_from_the_cluster() {
    let Some(script) = find_program("script", "SCRIPT") else {
        println!("skipped: no `script` of util-linux");
        return;
    };
    let server = hostile();
    for command in ["", "check", "nodes", "-o wide", "whois 10.96.1.1 10.244.2.5"] {
        let line =
            format!("{} --kubeconfig {} {command}", binary("kubectl-netcidr").display(), server.kubeconfig().display());
        let output = Command::new(&script)
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("script starts");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("evil") || command == "whois 10.96.1.1 10.244.2.5", "{command}: {shown}");
        for bad in ["\u{1b}[2J", "\u{1b}[31m", "\u{1b}]0;", "\u{7}", "\u{9b}", "\u{202e}", "\u{8}"] {
            assert!(!shown.contains(bad), "{command} lets {bad:?} through: {shown:?}");
        }
        assert!(!shown.replace("\r\n", "").contains('\r'), "{command} lets a return through");
    }
}

#[test]
fn json_has_the_text_as_it_is() {
    let server = hostile();
    let output = netcidr_at(&server.kubeconfig()).args(["-o", "json"]).output().expect("it runs");
    assert!(report(&output)["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(|node| node["name"] == HOSTILE)));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let server = Server::start(clusters::captured());
    let mut child = Command::new(binary("kubectl-netcidr"))
        .arg("--kubeconfig")
        .arg(server.kubeconfig())
        .args(["-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let mut complaints = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut complaints).expect("text");
    child.wait().expect("it ends");
    assert!(!complaints.contains("panicked") && !complaints.to_lowercase().contains("broken pipe"), "{complaints}");
}

/// Debug pods are made for whoever confirms their number on a terminal, and for nobody else.
#[test]
fn the_number_of_debug_pods_is_confirmed() {
    let Some(script) = find_program("script", "SCRIPT") else {
        println!("skipped: no `script` of util-linux");
        return;
    };
    let status = json!({"phase": "Running", "containerStatuses": [
        {"name": "reader", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]});
    for (answer, made) in [("n\n", 0), ("\n", 0), ("y\n", 2)] {
        let status = status.clone();
        let server = Server::start(agents::cluster(|_| None).admits(move |_| Ok(status.clone()))).allow_writes();
        let line = format!(
            "{} --kubeconfig {} nodes --node-access debug --allow-debug-pods --debug-image tools:v1",
            binary("kubectl-netcidr").display(),
            server.kubeconfig().display()
        );
        let mut child = Command::new(&script)
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script starts");
        let mut shown = String::new();
        let mut output = child.stdout.take().expect("a pipe");
        let mut bytes = [0; 4096];
        while !shown.contains("Go on?") {
            let n = output.read(&mut bytes).expect("it is read");
            assert!(n > 0, "it ended without asking: {shown}");
            shown.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        assert!(shown.contains("This makes short-lived pods on 2 nodes, in kube-system"), "{shown}");
        assert!(server.pods_asked_for().is_empty(), "before the answer");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(answer.as_bytes()).expect("it is answered");
        output.read_to_string(&mut shown).expect("text");
        drop(input);
        let code = child.wait().expect("it ends").code();
        assert_eq!((server.pods_asked_for().len(), server.pods_left().len()), (made, 0), "{answer:?}: {shown}");
        assert_eq!(code, Some(if made == 0 { 2 } else { 0 }), "{answer:?}: {shown}");
    }
}
