//! `kubectl proxymode services` on what real kernels held: each address with its backends, as printed.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::process::Output;

use e2e::{fixtures, proxymode, report, stderr, stdout};

fn services(folder: &str, arguments: &[&str]) -> Output {
    let mut command = proxymode();
    command.current_dir(fixtures()).arg("services").args(arguments).args(["--from", folder]);
    command.output().expect("the plugin runs")
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/proxymode"));
    settings
}

#[test]
fn captured_iptables_rules_and_virtual_servers_are_told() {
    for folder in ["captures/cluster3-exec", "../../examples/kubespray-calico-ipvs"] {
        let output = services(folder, &[]);
        let name = folder.rsplit('/').next().expect("a name");
        settings().bind(|| {
            insta::assert_snapshot!(
                format!("{name}.services"),
                format!("exit {:?}\n{}", output.status.code(), stdout(&output))
            );
        });
    }
}

#[test]
fn shares_of_a_services_backends_add_up() {
    let output = services("captures/cluster3-exec", &["-o", "json"]);
    let found = report(&output);
    let items = found["items"].as_array().expect("a list");
    let mut summed = 0;
    for item in items {
        let shares: Option<Vec<f64>> = item["backends"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|backend| backend["probability"].as_f64())
            .collect();
        if let Some(shares) = shares.filter(|shares| !shares.is_empty()) {
            let sum: f64 = shares.iter().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{item:#}");
            summed += 1;
        }
        // a node port is a port of the node, and no address
        assert!(item["address"].as_str().is_none_or(|address| !address.starts_with("127.")), "{item:#}");
    }
    assert!(summed > 3, "{found:#}");
}

#[test]
fn addresses_without_a_name_are_not_lost_silently() {
    let output = services("../../examples/kubespray-calico-ipvs", &["-n", "kube-system", "coredns"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("19 addresses are left out"), "{}", stderr(&output));
}
