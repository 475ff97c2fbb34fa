//! Whole reports of whole clusters, one test per folder: the table, the wide table, the findings and
//! the JSON, each beside its snapshot. Healthy clusters must stay silent.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{fs, process::Output};

use e2e::{fixtures, netcidr, report, stderr, stdout};

/// Runs the plugin in the folder of fixtures, so that no path of this machine is printed.
fn run(folder: &str, arguments: &[&str]) -> Output {
    let mut command = netcidr();
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

fn reports(folder: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots"));
    let name = folder.rsplit('/').next().expect("a name").to_owned();
    settings.bind(|| {
        insta::assert_snapshot!(format!("{name}.table"), seen(&run(folder, &[])));
        insta::assert_snapshot!(format!("{name}.wide"), seen(&run(folder, &["-o", "wide"])));
        insta::assert_snapshot!(format!("{name}.check"), seen(&run(folder, &["check"])));
        let json = run(folder, &["-o", "json"]);
        report(&json);
        insta::assert_snapshot!(format!("{name}.json"), stdout(&json));
    });
}

/// Healthy: no findings and exit 0, whatever could not be read.
fn silent(folder: &str) {
    let output = run(folder, &["check", "-o", "json"]);
    let findings = report(&output)["findings"].clone();
    assert_eq!(findings.as_array().map(Vec::len), Some(0), "{findings:#}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(run(folder, &["check", "--fail-on", "info"]).status.code(), Some(0));
}

macro_rules! clusters {
    ($($test:ident: $folder:literal,)+) => {
        /// Every folder that is tried.
        const FOLDERS: &[&str] = &[$($folder),+];

        mod reports {
            $(#[test] fn $test() { super::reports($folder); })+
        }

        mod silent {
            $(#[test] fn $test() { super::silent($folder); })+
        }
    };
}

clusters! {
    captured_three_nodes: "captures/cluster3-exec",
    example_three_nodes: "../../examples/three-nodes",
    example_flannel_kubeadm: "../../examples/flannel-kubeadm",
    example_kubespray_calico_ipvs: "../../examples/kubespray-calico-ipvs",
    aks: "clusters/aks",
    antrea: "clusters/antrea",
    cilium_cluster_pool: "clusters/cilium-cluster-pool",
    eks: "clusters/eks",
    eks_calico: "clusters/eks-calico",
    gke: "clusters/gke",
    k3s: "clusters/k3s",
    kube_ovn: "clusters/kube-ovn",
    kubeadm_flannel: "clusters/kubeadm-flannel",
    kubespray_calico: "clusters/kubespray-calico",
    metallb_kubeadm: "clusters/metallb-kubeadm",
    microk8s: "clusters/microk8s",
    openshift: "clusters/openshift",
    operator_calico_dualstack: "clusters/operator-calico-dualstack",
    rke2: "clusters/rke2",
    talos: "clusters/talos",
}

#[test]
fn no_cluster_is_forgotten() {
    let folders = fs::read_dir(fixtures().join("clusters")).expect("the made clusters");
    let mut there: Vec<String> = folders
        .map(|folder| format!("clusters/{}", folder.expect("a folder").file_name().to_string_lossy()))
        .filter(|folder| !FOLDERS.contains(&folder.as_str()))
        .collect();
    there.sort();
    assert!(there.is_empty(), "not tried: {}", there.join(", "));
}

#[test]
fn an_input_without_ranges_is_named() {
    let file = "ipvs/variety/modules";
    let output = run(file, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&format!("{file}: nothing in it tells an address range")), "{}", stderr(&output));
}
