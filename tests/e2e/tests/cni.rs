//! `kubectl cni` and `kubectl cni conf` on whole clusters out of files, beside their snapshots, and
//! against a server that refuses.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{fs, process::Output};

use apiserver::{Fault, Server, Trouble};
use e2e::{clusters, cni, fixtures, report, stderr, stdout};

/// Runs in the folder of fixtures, so that no path of this machine is printed.
fn run(folder: &str, arguments: &[&str]) -> Output {
    let mut command = cni();
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
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/cni"));
    settings.bind(|| insta::assert_snapshot!(name, seen));
}

/// Folders, and the plugin that makes the pods' network; all are healthy.
const FOLDERS: &[(&str, Option<&str>)] = &[
    ("captures/cluster3-exec", None),
    ("../../examples/three-nodes", None),
    ("../../examples/flannel-kubeadm", Some("flannel")),
    ("../../examples/kubespray-calico-ipvs", Some("calico")),
    ("clusters/aks", Some("azure-cni")),
    ("clusters/antrea", Some("antrea")),
    ("clusters/cilium-cluster-pool", Some("cilium")),
    ("clusters/eks", Some("aws-vpc-cni")),
    ("clusters/eks-calico", Some("calico")),
    ("clusters/gke", None),
    ("clusters/k3s", Some("flannel")),
    ("clusters/kube-ovn", Some("kube-ovn")),
    ("clusters/kubeadm-flannel", Some("flannel")),
    ("clusters/kubespray-calico", Some("calico")),
    ("clusters/metallb-kubeadm", Some("flannel")),
    ("clusters/microk8s", Some("calico")),
    ("clusters/openshift", Some("ovn-kubernetes")),
    ("clusters/operator-calico-dualstack", Some("calico")),
    ("clusters/rke2", Some("canal")),
    ("clusters/talos", Some("flannel")),
];

fn name(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap_or(folder)
}

#[test]
fn each_cluster_is_told_as_before() {
    for (folder, _) in FOLDERS {
        beside_its_snapshot(&format!("{}.table", name(folder)), &seen(&run(folder, &[])));
    }
    for folder in ["clusters/kubespray-calico", "clusters/kubeadm-flannel"] {
        beside_its_snapshot(&format!("{}.wide", name(folder)), &seen(&run(folder, &["-o", "wide"])));
        beside_its_snapshot(&format!("{}.json", name(folder)), &stdout(&run(folder, &["-o", "json"])));
    }
}

#[test]
fn the_plugin_is_known_and_healthy_clusters_are_silent() {
    for (folder, network) in FOLDERS {
        let found = report(&run(folder, &["-o", "json"]));
        assert_eq!(found["podNetwork"].as_str(), *network, "{folder}");
        assert_eq!(found["findings"].as_array().map(Vec::len), Some(0), "{folder}: {:#}", found["findings"]);
        if let Some(network) = network {
            assert_eq!(
                (&found["plugins"][0]["name"], &found["plugins"][0]["state"]),
                (&(*network).into(), &"active".into()),
                "{folder}"
            );
        }
        for command in ["conf", "bgp"] {
            let output = run(folder, &[command, "-o", "json"]);
            // an excerpt has nothing of what is asked for
            if folder.contains("examples/") && output.status.code() == Some(2) {
                assert!(stderr(&output).contains("nothing in it tells"), "{}", stderr(&output));
                continue;
            }
            let found = report(&output);
            assert_eq!(found["findings"].as_array().map(Vec::len), Some(0), "{folder}: {:#}", found["findings"]);
        }
    }
}

#[test]
fn the_seed_of_kubespray_is_answered() {
    let found = report(&run("../../examples/kubespray-calico-ipvs", &["-o", "json"]));
    let plugin = &found["plugins"][0];
    assert_eq!((&plugin["backend"], &plugin["clusterType"]), (&"bird".into(), &"kubespray,bgp".into()));
    assert_eq!(found["services"]["mode"], "ipvs");
    let bgp = report(&run("../../examples/kubespray-calico-ipvs", &["bgp", "-o", "json"]));
    assert_eq!(
        (&bgp["backend"], &bgp["clusterType"], &bgp["mesh"]),
        (&"bird".into(), &"kubespray,bgp".into(), &true.into())
    );
    beside_its_snapshot("kubespray-calico-ipvs.bgp", &seen(&run("../../examples/kubespray-calico-ipvs", &["bgp"])));
}

/// The policy of the seed's flannel, as `kubectl get psp -o yaml` printed it, shortened to what it allows.
const POLICY: &str = "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata:\n  name: psp.flannel.unprivileged\n  annotations:\n    \
    seccomp.security.alpha.kubernetes.io/allowedProfileNames: docker/default\nspec:\n  hostNetwork: true\n  allowedCapabilities: [NET_ADMIN, NET_RAW]\n  \
    volumes: [configMap, secret, emptyDir, hostPath]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: flannel\nrules:\n  \
    - {apiGroups: [extensions], resources: [podsecuritypolicies], verbs: [use], resourceNames: [psp.flannel.unprivileged]}\n  \
    - {apiGroups: [\"\"], resources: [pods], verbs: [get]}\n";

#[test]
fn what_pod_security_policy_left_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("policies.yaml"), POLICY).expect("a file");
    let mut command = cni();
    let output = command.args(["-o", "json", "--from"]).arg(folder.path()).output().expect("it runs");
    let found = report(&output);
    let kinds: Vec<&str> =
        found["policyLeftovers"].as_array().into_iter().flatten().filter_map(|left| left["kind"].as_str()).collect();
    assert_eq!(kinds, ["ClusterRole", "PodSecurityPolicy"]);
    assert_eq!(
        (&found["findings"][0]["id"], &found["findings"][0]["severity"]),
        (&"CNI-005".into(), &"warning".into())
    );
}

#[test]
fn files_of_nodes_are_told_with_the_one_that_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    for (node, files) in [
        (
            "n1",
            "==> 10-calico.conflist <==\n{\"name\":\"a\",\"plugins\":[{\"type\":\"calico\"},{\"type\":\"portmap\"}]}\n==> 20-b.conf <==\n{\"type\":\"bridge\"}\n",
        ),
        ("n2", "==> 05-x.conf <==\n{\"type\":\n"),
    ] {
        let place = folder.path().join("nodes").join(node);
        fs::create_dir_all(&place).expect("a folder");
        fs::write(place.join("cni-conf.json"), files).expect("a file");
    }
    let mut command = cni();
    let output = command.args(["conf", "-o", "json", "--from"]).arg(folder.path()).output().expect("it runs");
    let found = report(&output);
    assert_eq!(
        (&found["nodes"][0]["chosen"], &found["nodes"][1]["chosen"]),
        (&"10-calico.conflist".into(), &serde_json::Value::Null)
    );
    assert_eq!(found["nodes"][0]["files"][0]["plugins"], serde_json::json!(["calico", "portmap"]));
    let ids: Vec<&str> =
        found["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["id"].as_str()).collect();
    assert_eq!(ids, ["CNI-040", "CNI-042"]);
    let mut command = cni();
    command.current_dir(folder.path());
    beside_its_snapshot("conf.table", &seen(&command.args(["conf", "--from", "."]).output().expect("it runs")));
}

#[test]
fn a_source_that_is_forbidden_is_told_and_the_rest_stands() {
    let sources = [
        ("/apis/apps/v1/daemonsets", "daemonsets.apps"),
        ("/api/v1/nodes", "nodes"),
        ("/api/v1/namespaces/kube-flannel/configmaps/kube-flannel-cfg", "configmap kube-flannel/kube-flannel-cfg"),
    ];
    for (path, source) in sources {
        let server = Server::start(clusters::kubeadm().fault(Fault::at(path, Trouble::Forbidden)));
        let mut command = cni();
        command.arg("--kubeconfig").arg(server.kubeconfig()).args(["-o", "json", "--node-access", "none"]);
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{path}: {}", stderr(&output));
        let found = report(&output);
        let unread = found["unreadable"].as_array().expect("a list");
        let told = unread.iter().any(|entry| {
            entry["source"].as_str().is_some_and(|told| told.starts_with(source))
                && entry["reason"].as_str().is_some_and(|reason| reason.starts_with("forbidden: "))
        });
        assert!(told, "{path}: {unread:#?}");
        assert_eq!(
            found["findings"].as_array().map(Vec::len),
            Some(0),
            "what is not known is no finding: {path}: {:#}",
            found["findings"]
        );
        assert!(server.paths().iter().all(|path| !path.contains("/secrets")), "Secrets are never read");
    }
}

#[test]
fn where_nothing_may_be_read_there_is_no_answer() {
    let server = Server::start(clusters::kubeadm().fault(Fault::under("/", Trouble::Forbidden)));
    let mut command = cni();
    command.arg("--kubeconfig").arg(server.kubeconfig()).args(["--node-access", "none"]);
    let output = command.output().expect("it runs");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{}", stderr(&output));
    assert!(stderr(&output).contains("docs/rbac/cni.yaml"), "{}", stderr(&output));
}

#[test]
fn a_recording_prints_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(clusters::kubeadm());
    for (index, arguments) in
        [&["-o", "table"][..], &["-o", "wide"], &["-o", "json"], &["conf", "-o", "json"]].into_iter().enumerate()
    {
        let recording = folder.path().join(index.to_string());
        let mut command = cni();
        command.args(arguments).arg("--kubeconfig").arg(server.kubeconfig()).arg("--record").arg(&recording);
        let first = command.output().expect("it runs");
        let again = cni().args(arguments).arg("--from").arg(&recording).output().expect("it runs");
        assert_eq!(stdout(&again), stdout(&first), "{arguments:?}\n{}\n{}", stderr(&first), stderr(&again));
        assert_eq!(again.status.code(), first.status.code());
    }
}
