//! Hostile text and readers that go away.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use apiserver::Server;
use e2e::{binary, clusters, find_program, netcidr_at, report};
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
