//! `kubectl proxymode` on whole clusters out of files, beside their snapshots, and against a server that
//! refuses.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::process::Output;

use apiserver::{Fault, Server, Trouble, generate};
use e2e::{agents, clusters, fixtures, proxymode, report, stderr, stdout};
use serde_json::Value;

/// Runs in the folder of fixtures, so that no path of this machine is printed.
fn run(folder: &str, arguments: &[&str]) -> Output {
    let mut command = proxymode();
    command.current_dir(fixtures()).args(arguments).args(["--from", folder]);
    command.output().expect("the plugin runs")
}

/// A run as one sees it.
fn seen(output: &Output) -> String {
    let (out, err) = (stdout(output), stderr(output));
    let code = output.status.code().expect("it was not killed");
    let mut seen = format!("exit {code}\n── stdout\n{out}");
    if !err.is_empty() {
        seen.push_str("── stderr\n");
        seen.push_str(&err);
    }
    seen
}

fn beside_its_snapshot(name: &str, seen: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/proxymode"));
    settings.bind(|| insta::assert_snapshot!(name, seen));
}

/// Folders, and the findings that each has for a reason.
const FOLDERS: &[(&str, &[&str])] = &[
    ("captures/cluster3-exec", &["PROXY-012"]),
    ("../../examples/three-nodes", &["PROXY-012"]),
    ("../../examples/kubespray-calico-ipvs", &["PROXY-011"]),
    ("clusters/aks", &[]),
    ("clusters/antrea", &[]),
    ("clusters/cilium-cluster-pool", &[]),
    ("clusters/eks", &[]),
    ("clusters/eks-calico", &[]),
    ("clusters/gke", &[]),
    ("clusters/k3s", &[]),
    ("clusters/kube-ovn", &[]),
    ("clusters/kubeadm-flannel", &[]),
    ("clusters/kubespray-calico", &[]),
    ("clusters/metallb-kubeadm", &[]),
    ("clusters/microk8s", &[]),
    ("clusters/openshift", &[]),
    ("clusters/operator-calico-dualstack", &[]),
    ("clusters/rke2", &[]),
    ("clusters/talos", &[]),
];

fn name(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap_or(folder)
}

#[test]
fn each_cluster_is_told_as_before() {
    for (folder, _) in FOLDERS {
        beside_its_snapshot(&format!("{}.table", name(folder)), &seen(&run(folder, &[])));
    }
}

#[test]
fn captures_are_told_in_every_view() {
    for folder in ["captures/cluster3-exec", "../../examples/kubespray-calico-ipvs"] {
        let of = |view: &str| format!("{}.{view}", name(folder));
        beside_its_snapshot(&of("wide"), &seen(&run(folder, &["-o", "wide"])));
        let json = run(folder, &["-o", "json"]);
        report(&json);
        beside_its_snapshot(&of("json"), &stdout(&json));
        beside_its_snapshot(&of("schedulers"), &seen(&run(folder, &["schedulers"])));
        report(&run(folder, &["schedulers", "-o", "json"]));
        for mode in ["iptables", "ipvs", "nftables"] {
            let arguments = ["preflight", mode];
            beside_its_snapshot(&of(&format!("preflight-{mode}")), &seen(&run(folder, &arguments)));
            report(&run(folder, &["preflight", mode, "-o", "json"]));
        }
    }
}

#[test]
fn healthy_clusters_are_silent() {
    for (folder, known) in FOLDERS {
        let found = report(&run(folder, &["-o", "json"]));
        let ids: Vec<&str> =
            found["findings"].as_array().into_iter().flatten().filter_map(|f| f["id"].as_str()).collect();
        assert_eq!(ids, *known, "{folder}: {:#}", found["findings"]);
    }
}

#[test]
fn the_seed_is_in_ipvs_mode_with_round_robin() {
    let found = report(&run("../../examples/kubespray-calico-ipvs", &["-o", "json"]));
    assert_eq!(found["configured"]["mode"], "ipvs");
    assert_eq!(found["configured"]["scheduler"], "rr");
    assert_eq!(found["nodes"][0]["effective"], "ipvs");
    assert_eq!(found["nodes"][0]["evidence"][0]["says"], "ipvs: 19 virtual servers");
    assert_eq!(found["findings"][0]["id"], "PROXY-011");
}

fn live(server: &Server, arguments: &[&str]) -> Output {
    let mut command = proxymode();
    command.arg("--kubeconfig").arg(server.kubeconfig()).args(arguments);
    command.output().expect("the plugin runs")
}

#[test]
fn a_source_that_is_forbidden_is_told_and_the_rest_stands() {
    let sources = [
        ("/apis/apps/v1/daemonsets", "daemonsets.apps"),
        ("/api/v1/nodes", "nodes"),
        ("/api/v1/namespaces/kube-system/pods", "pods in kube-system"),
        ("/api/v1/namespaces/kube-system/configmaps/kube-proxy", "configmap kube-system/kube-proxy"),
    ];
    for (path, source) in sources {
        let server = Server::start(clusters::kubeadm().fault(Fault::at(path, Trouble::Forbidden)));
        let output = live(&server, &["-o", "json", "--node-access", "none"]);
        assert_eq!(output.status.code(), Some(0), "{path}: {}", stderr(&output));
        let found = report(&output);
        let unread = found["unreadable"].as_array().expect("a list");
        let told = unread.iter().any(|entry| {
            entry["source"].as_str().is_some_and(|told| told.starts_with(source))
                && entry["reason"].as_str().is_some_and(|reason| reason.starts_with("forbidden: "))
        });
        assert!(told, "{path}: {unread:#?}");
        let errors: Vec<&Value> = found["findings"].as_array().into_iter().flatten().collect();
        assert!(errors.is_empty(), "what is not known is no finding: {path}: {errors:#?}");
        // where the DaemonSet may not be listed, the usual ConfigMap is asked for
        if source == "daemonsets.apps" {
            assert_eq!(found["configured"]["source"]["name"], "kube-proxy", "{:#}", found["configured"]);
        }
    }
}

#[test]
fn where_nothing_may_be_read_there_is_no_answer() {
    let server = Server::start(clusters::kubeadm().fault(Fault::under("/", Trouble::Forbidden)));
    let output = live(&server, &["--node-access", "none"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{}", stderr(&output));
    assert!(stderr(&output).contains("docs/rbac/proxymode.yaml"), "{}", stderr(&output));
}

#[test]
fn a_node_that_is_not_there_makes_the_answer_a_part() {
    let server = Server::start(clusters::kubeadm());
    let output = live(&server, &["--node", "nobody", "--node-access", "none"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn a_large_clusters_nodes_are_not_asked_unasked() {
    let server = Server::start(generate::cluster(generate::Size { nodes: 120, pods: 0, services: 0 }));
    let output = live(&server, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("120 nodes are more than the 50"), "{}", stderr(&output));
    assert!(stdout(&output).contains("120 nodes"), "equal nodes are one line: {}", stdout(&output));
}

#[test]
fn a_recording_prints_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(agents::cluster(|_| None));
    for format in ["table", "wide", "json"] {
        let recording = folder.path().join(format);
        let mut command = proxymode();
        command.arg("--kubeconfig").arg(server.kubeconfig()).args(["-o", format, "--record"]).arg(&recording);
        let first = command.output().expect("it runs");
        let again = proxymode().args(["-o", format, "--from"]).arg(&recording).output().expect("it runs");
        assert_eq!(stdout(&again), stdout(&first), "{format}\n{}\n{}", stderr(&first), stderr(&again));
        assert_eq!(again.status.code(), first.status.code());
    }
}

#[test]
fn what_is_not_here_yet_says_so_before_anything_is_asked() {
    let server = Server::start(clusters::kubeadm());
    let output = live(&server, &["cleanup", "--apply"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).contains("not here yet"), "{}", stderr(&output));
    assert_eq!(server.paths(), [""; 0]);
}

#[test]
fn a_switch_is_of_a_whole_live_cluster() {
    for arguments in [
        &["--set", "ipvs", "--node", "cp1"][..],
        &["--set", "iptables", "--scheduler", "rr"],
        &["--set", "iptables", "-o", "yaml"],
        &["rollback", "-l", "a=b"],
    ] {
        let server = Server::start(clusters::kubeadm());
        let output = live(&server, arguments);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{arguments:?}");
        assert_eq!(server.paths(), [""; 0], "{arguments:?}");
    }
    for arguments in [&["--set", "ipvs"][..], &["rollback"]] {
        assert_eq!(run("captures/cluster3-exec", arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_healthy_capture_has_nothing_to_clean() {
    let output = run("captures/cluster3-exec", &["cleanup"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("nothing is left over on 3 nodes"), "{}", stdout(&output));
    let found = report(&run("captures/cluster3-exec", &["cleanup", "-o", "json"]));
    let running: Vec<&Value> = found["nodes"].as_array().into_iter().flatten().map(|node| &node["running"]).collect();
    assert_eq!(running, ["iptables", "iptables", "ipvs"]);
}
