//! `kubectl proxymode services` on what real kernels held: each address with its backends, as printed.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Output,
};

use e2e::{fixtures, proxymode, report, stderr, stdout};
use serde_json::Value;

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

type Ends = BTreeSet<(String, u64)>;

/// The API's side, joined here without the plugin: each ClusterIP's port with the ready endpoints.
fn by_the_api(folder: &str) -> BTreeMap<(String, String, u64), (String, Ends)> {
    let read = |file: &str| -> Value {
        let text = fs::read(fixtures().join(folder).join(file)).expect("a fixture");
        serde_json::from_slice(&text).expect("JSON")
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut ready: BTreeMap<(String, String, String, String), Ends> = BTreeMap::new();
    for slice in list(&read("endpointslices.json")["items"]) {
        let meta = &slice["metadata"];
        let owner = format!("{}/{}", text(&meta["namespace"]), text(&meta["labels"]["kubernetes.io/service-name"]));
        for port in list(&slice["ports"]) {
            for endpoint in list(&slice["endpoints"]) {
                if endpoint["conditions"]["ready"].as_bool() == Some(false) {
                    continue;
                }
                let key = (owner.clone(), text(&port["name"]), text(&port["protocol"]), text(&slice["addressType"]));
                let ends = ready.entry(key).or_default();
                let number = port["port"].as_u64().expect("a number");
                ends.extend(list(&endpoint["addresses"]).iter().map(|address| (text(address), number)));
            }
        }
    }
    let mut all = BTreeMap::new();
    for service in list(&read("services.json")["items"]) {
        let owner = format!("{}/{}", text(&service["metadata"]["namespace"]), text(&service["metadata"]["name"]));
        for address in list(&service["spec"]["clusterIPs"]).iter().map(text).filter(|address| address != "None") {
            let family = if address.contains(':') { "IPv6" } else { "IPv4" };
            for port in list(&service["spec"]["ports"]) {
                let (name, protocol) = (text(&port["name"]), text(&port["protocol"]));
                let key = (owner.clone(), name, protocol.clone(), family.to_owned());
                let ends = ready.get(&key).cloned().unwrap_or_default();
                let number = port["port"].as_u64().expect("a number");
                all.insert((protocol, address.clone(), number), (owner.clone(), ends));
            }
        }
    }
    all
}

/// Services that do not go to all ready endpoints, and how many of them node1's kernel is to have: their
/// policy, their distribution, another proxy's label, or endpoints that serve while they terminate.
const OTHERWISE: &[(&str, usize)] = &[
    ("shop/internal-local", 1),
    ("shop/internal-local-remoteonly", 0),
    ("shop/other-proxy", 0),
    ("shop/same-node-dist", 1),
    ("shop/terminating", 1),
    ("shop/zone-dist", 1),
];

#[test]
fn what_the_kernel_has_is_what_the_api_says() {
    for folder in ["captures/nftables-variety", "captures/iptables-nft-variety"] {
        let output = services(folder, &["-o", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let found = report(&output);
        let mut kernel: BTreeMap<(String, String, u64), (String, Ends)> = BTreeMap::new();
        for item in found["items"].as_array().expect("a list") {
            let Some(address) = item["address"].as_str() else { continue };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let owner = format!("{}/{}", text(&item["service"]["namespace"]), text(&item["service"]["name"]));
            let backends = item["backends"].as_array().expect("a list").iter();
            let ends = backends.map(|b| (text(&b["address"]), b["port"].as_u64().expect("a number"))).collect();
            let key = (text(&item["protocol"]), address.to_owned(), item["port"].as_u64().expect("a number"));
            assert!(kernel.insert(key, (owner, ends)).is_none(), "once each: {item:#}");
        }
        let mut compared = 0;
        for (key, (owner, ends)) in by_the_api(folder) {
            let held = kernel.get(&key);
            let otherwise = OTHERWISE.iter().find(|(name, _)| *name == owner);
            match (otherwise, held) {
                (Some((_, count)), held) => assert_eq!(held.map_or(0, |held| held.1.len()), *count, "{owner} {key:?}"),
                (None, Some(held)) => assert_eq!(*held, (owner, ends), "{folder} {key:?}"),
                (None, None) => panic!("{folder}: the kernel has no {owner} {key:?}"),
            }
            compared += 1;
        }
        assert!(compared > 25, "{folder}: {compared}");
    }
}

#[test]
fn a_rule_set_without_json_is_missing_and_one_that_is_cut_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = fs::read_to_string(fixtures().join("captures/nftables-variety/nft-ruleset.json")).expect("a fixture");
    let run = || proxymode().arg("services").arg("--from").arg(folder.path()).output().expect("the plugin runs");

    fs::write(folder.path().join("nft.txt"), "table ip kube-proxy {\n\tmap service-ips {\n\t}\n}\n").expect("written");
    let output = run();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("only `nft -j list ruleset` tells"), "{}", stderr(&output));

    fs::remove_file(folder.path().join("nft.txt")).expect("removed");
    let half = whole.get(..whole.len() / 2).expect("ASCII");
    fs::write(folder.path().join("nft-ruleset.json"), half).expect("written");
    let output = run();
    assert!(!stderr(&output).is_empty(), "a cut file is told: {}", stdout(&output));
}
