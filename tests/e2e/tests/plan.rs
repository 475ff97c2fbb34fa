//! Plans on whole clusters out of files: the steps as they are printed, each in full, and refusals.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use e2e::{fixtures, netcidr, report, stderr, stdout};

/// What a plan prints, with its exit code.
fn plan(folder: &str, arguments: &[&str]) -> String {
    let mut command = netcidr();
    command.current_dir(fixtures()).arg("plan").args(arguments).args(["--from", folder]);
    let output = command.output().expect("the plugin runs");
    format!("exit {}\n── stdout\n{}", output.status.code().expect("it was not killed"), stdout(&output))
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/plan"));
    settings
}

macro_rules! plans {
    ($($name:ident: $folder:literal, $arguments:expr;)+) => {
        $(#[test]
        fn $name() {
            settings().bind(|| insta::assert_snapshot!(stringify!($name), plan($folder, &$arguments)));
        })+
    };
}

plans! {
    a_range_for_services: "clusters/kubeadm-flannel", ["--service-add", "10.112.0.0/16", "--explain"];
    a_wider_range_for_services: "clusters/kubeadm-flannel", ["--service-grow", "/11"];
    other_ranges_for_services: "clusters/operator-calico-dualstack", ["--service-replace", "10.99.0.0/16,fd00:99::/112"];
    objects_that_are_not_recorded: "captures/cluster3-exec", ["--service-add", "10.97.0.0/16"];
    no_other_ranges_for_k3s: "clusters/k3s", ["--service-replace", "10.99.0.0/16"];
    no_other_ranges_for_openshift: "clusters/openshift", ["--service-add", "172.31.0.0/16"];
    no_other_ranges_for_eks: "clusters/eks", ["--service-replace", "10.99.0.0/16"];
    node_ranges_of_a_flannel_cluster: "clusters/kubeadm-flannel", ["--node-mask", "/25"];
    a_wider_pod_range_for_flannel: "clusters/kubeadm-flannel", ["--pod-grow", "10.244.0.0/15", "--explain"];
    no_pod_range_that_leaves_nodes_outside: "clusters/kubeadm-flannel", ["--pod-grow", "10.60.0.0/16"];
    a_calico_pool_elsewhere: "clusters/operator-calico-dualstack", ["--pod-move", "10.244.0.0/16", "10.60.0.0/16"];
    a_calico_pool_in_other_blocks: "clusters/kubespray-calico", ["--block-size", "24", "--explain"];
    one_more_calico_pool: "clusters/kubespray-calico", ["--pod-grow", "10.60.0.0/18"];
    one_more_range_for_cilium: "clusters/cilium-cluster-pool", ["--pod-grow", "10.60.0.0/16", "--explain"];
    azures_own_addresses: "clusters/aks", ["--pod-grow", "10.60.0.0/16"];
}

#[test]
fn as_json_it_is_a_plan_by_the_contract() {
    let mut command = netcidr();
    command.current_dir(fixtures());
    command.args(["plan", "--service-add", "10.112.0.0/16", "-o", "json", "--from", "clusters/kubeadm-flannel"]);
    let output = command.output().expect("the plugin runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(report["kind"], "Plan");
    let step = report["steps"][0].as_object().expect("a step");
    let fields =
        ["id", "title", "kind", "object", "command", "precondition", "expect", "undo", "risk", "by", "takes", "state"];
    assert!(fields.iter().all(|field| step.get(*field).is_some_and(serde_json::Value::is_string)), "{step:#?}");
    assert_eq!(step["state"], "ready");
}

#[test]
fn a_wrong_question_names_what_would_be_right() {
    for (arguments, says) in [
        (vec!["plan"], "--service-add <CIDR>"),
        (vec!["plan", "--service-add", "10.97.0.0"], "10.97.0.0/16 has one"),
        (vec!["plan", "--service-add", "10.97.0.5/16"], "10.97.0.0/16 is meant?"),
        (vec!["plan", "--node-mask", "/200"], "/20 is one"),
        (vec!["plan", "--node-mask", "25", "--block-size", "26"], "cannot be used with"),
        (vec!["plan", "--pod-move", "10.0.0.0/16"], "2 values required"),
    ] {
        let output = netcidr().args(&arguments).output().expect("the plugin runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(says), "{arguments:?}: {}", stderr(&output));
    }
}
