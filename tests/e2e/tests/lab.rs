//! `kubectl netcidr` on a real cluster: every figure beside what the cluster's own components say.
//!
//! Runs on the lab that `NET_LAB` names (`cargo xtask lab up`, docs/lab.md); `cargo xtask test` brings
//! one up for each network plugin. The figures to compare with come from kubectl, calicoctl, `ip` on
//! the nodes and the components' own command lines, never from our own readers.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test stops where its set-up is wrong, and says what it skips"
)]

use std::{collections::BTreeMap, env, fs, path::Path, process::Output};

use assert_cmd::Command;
use e2e::{
    compare::{self, addresses, holds_addresses},
    lab::{Cni, Lab},
    ranges, report, stderr, stdout, timeless,
};
use serde_json::{Value, json};

/// The lab; where there is none, a word and nothing.
fn lab() -> Option<Lab> {
    let lab = Lab::of_environment();
    if lab.is_none() {
        println!("skipped: NET_LAB names no lab");
    }
    lab
}

fn run(command: &mut Command, arguments: &[&str]) -> Output {
    command.args(arguments).output().expect("it starts")
}

/// The report of a command that must succeed.
fn answer(lab: &Lab, arguments: &[&str]) -> Value {
    let output = run(lab.netcidr().args(["-o", "json"]), arguments);
    assert!(output.status.success(), "{arguments:?}: {}\n{}", stderr(&output), stdout(&output));
    report(&output)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

#[test]
fn ranges_are_those_that_the_components_were_started_with() {
    let Some(lab) = lab() else { return };
    let found = answer(&lab, &[]);
    assert_eq!(
        sorted(ranges(&found, "service")),
        sorted(lab.flag("kube-apiserver", "service-cluster-ip-range")),
        "service ranges"
    );
    let pods = match lab.cni() {
        Cni::Calico => {
            let pools = lab.kubectl_json(&["get", "ippools.crd.projectcalico.org"]);
            let pools = pools["items"].as_array().cloned().unwrap_or_default();
            pools.iter().filter_map(|pool| pool["spec"]["cidr"].as_str()).map(str::to_owned).collect()
        }
        Cni::Bridge | Cni::Flannel => lab.flag("kube-controller-manager", "cluster-cidr"),
    };
    for range in &pods {
        assert!(ranges(&found, "pod").contains(range), "{range} is not among {:?}", ranges(&found, "pod"));
    }
    assert!(!pods.is_empty());
}

#[test]
fn a_healthy_cluster_gives_no_findings() {
    let Some(lab) = lab() else { return };
    let found = answer(&lab, &["check"]);
    assert_eq!(found["findings"], json!([]));
}

#[test]
fn every_node_has_what_kubectl_says_of_it() {
    let Some(lab) = lab() else { return };
    let pods = lab.kubectl_json(&["get", "pods", "-A"]);
    let nodes = lab.kubectl_json(&["get", "nodes"]);
    assert_eq!(compare::stated_nodes(&answer(&lab, &[])), compare::true_nodes(&pods, &nodes));
}

#[test]
fn service_addresses_are_counted_as_the_server_has_them() {
    let Some(lab) = lab() else { return };
    let allocated = lab.kubectl_json(&["get", "ipaddresses"]);
    let stated = compare::stated_service_addresses(&answer(&lab, &[]));
    assert_eq!(stated, compare::true_service_addresses(&allocated), "{allocated}");
}

#[test]
fn whois_names_the_owner_of_every_address() {
    let Some(lab) = lab() else { return };
    let mut expected: BTreeMap<String, (&str, String)> = BTreeMap::new();
    let pods = lab.kubectl_json(&["get", "pods", "-A"]);
    let name_of = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    for pod in pods["items"].as_array().into_iter().flatten().filter(|pod| holds_addresses(pod)) {
        for address in addresses(pod) {
            expected.insert(address, ("Pod", name_of(pod)));
        }
    }
    let services = lab.kubectl_json(&["get", "services", "-A"]);
    for service in services["items"].as_array().into_iter().flatten() {
        for address in texts(&service["spec"]["clusterIPs"]) {
            expected.insert(address, ("Service", name_of(service)));
        }
    }
    let nodes = lab.kubectl_json(&["get", "nodes"]);
    for node in nodes["items"].as_array().into_iter().flatten() {
        for address in node["status"]["addresses"].as_array().into_iter().flatten() {
            if address["type"] == "InternalIP" {
                expected.insert(address["address"].as_str().unwrap_or_default().to_owned(), ("Node", name_of(node)));
            }
        }
    }
    assert!(expected.len() >= 6, "{expected:?}");
    let asked: Vec<&str> = ["whois"].into_iter().chain(expected.keys().map(String::as_str)).collect();
    let found = answer(&lab, &asked);
    for item in found["items"].as_array().into_iter().flatten() {
        let address = item["address"].as_str().unwrap_or_default();
        let (kind, name) = &expected[address];
        let owners = item["owners"].as_array().cloned().unwrap_or_default();
        assert!(
            owners.iter().any(|owner| owner["kind"] == *kind && owner["name"] == *name),
            "{address} is {kind} {name}'s, not {owners:?}"
        );
    }
}

#[test]
fn blocks_are_those_that_calicoctl_shows() {
    let Some(lab) = lab() else { return };
    if lab.cni() != Cni::Calico {
        return;
    }
    let shown = lab.calicoctl(&["ipam", "show", "--show-blocks"]);
    let expected = compare::true_blocks(&shown);
    assert!(!expected.is_empty(), "{shown}");
    assert_eq!(compare::stated_blocks(&answer(&lab, &[])), expected, "{shown}");
}

#[test]
fn every_free_range_is_free() {
    let Some(lab) = lab() else { return };
    let free = answer(&lab, &["free", "/20", "-c", "5"]);
    let used: Vec<netcore::cidr::Cidr> =
        ["kube-apiserver:service-cluster-ip-range", "kube-controller-manager:cluster-cidr"]
            .into_iter()
            .filter_map(|flag| flag.split_once(':'))
            .flat_map(|(component, flag)| lab.flag(component, flag))
            .map(|range| range.parse().expect("a range"))
            .collect();
    let items = free["items"].as_array().cloned().unwrap_or_default();
    assert_eq!(items.len(), 5);
    for item in items {
        let range: netcore::cidr::Cidr = item["cidr"].as_str().unwrap_or_default().parse().expect("a range");
        assert!(used.iter().all(|used| !used.overlaps(&range)), "{range} is in use");
    }
}

/// Every command, live while it is recorded and then from the recording: the same bytes.
#[test]
fn a_recording_replays_to_the_same_bytes() {
    let Some(lab) = lab() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let commands: [&[&str]; 6] =
        [&[], &["check"], &["nodes"], &["whois", "10.96.0.1", "10.244.0.1"], &["free", "/22"], &["map"]];
    for (index, command) in commands.into_iter().enumerate() {
        for format in ["json", "wide"] {
            if format == "wide" && command.first() == Some(&"map") {
                continue;
            }
            let recording = folder.path().join(format!("{index}-{format}"));
            let live = run(lab.netcidr().args(["-o", format, "--record"]).arg(&recording), command);
            assert!(live.status.success(), "{command:?}: {}", stderr(&live));
            let replayed = run(e2e::netcidr().args(["-o", format, "--from"]).arg(&recording), command);
            assert_eq!(stdout(&live), stdout(&replayed), "{command:?} -o {format}");
            assert_eq!(live.status.code(), replayed.status.code(), "{command:?}");
        }
    }
}

#[test]
fn no_recording_holds_a_secret() {
    let Some(lab) = lab() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("recording");
    let live = run(lab.netcidr().arg("--record").arg(&recording), &["nodes"]);
    assert!(live.status.success(), "{}", stderr(&live));
    let mut files = vec![recording];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
        for secret in ["PRIVATE KEY", "client-key-data", "managedFields", "eyJhbGciOi"] {
            assert!(!text.contains(secret), "{}: {secret}", path.display());
        }
    }
}

/// A report's field without who says so: with fewer rights there are fewer sources of the same figures.
fn figures(report: &Value, field: &str) -> Value {
    let mut value = report[field].clone();
    for row in value.as_array_mut().into_iter().flatten() {
        row["sources"].take();
    }
    value
}

/// With the documented roles the report is the administrator's; with the API's alone it is so but for
/// what only nodes tell.
#[test]
fn the_documented_roles_are_enough() {
    let Some(lab) = lab() else { return };
    let rbac = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rbac");
    lab.apply(&rbac.join("netcidr.yaml"));
    lab.apply(&rbac.join("nodes-exec.yaml"));
    lab.bind("kubectl-netcidr", "reads-the-api");
    lab.bind("kubectl-netcidr", "reads-nodes");
    lab.bind("kubectl-net-nodes-exec", "reads-nodes");
    for command in [&[] as &[&str], &["nodes"]] {
        let arguments = |user: &'static str| [command, &["--as", user]].concat();
        let whole = answer(&lab, command);
        let with_nodes = answer(&lab, &arguments("reads-nodes"));
        for field in ["ranges", "nodes", "items", "blocks", "findings", "dnsDomain"] {
            assert_eq!(figures(&with_nodes, field), figures(&whole, field), "{command:?} {field}");
        }
    }
    let whole = answer(&lab, &[]);
    let api = answer(&lab, &["--as", "reads-the-api"]);
    for role in ["pod", "service"] {
        assert_eq!(ranges(&api, role), ranges(&whole, role), "{role}");
    }
    for field in ["nodes", "blocks", "findings", "dnsDomain"] {
        assert_eq!(figures(&api, field), figures(&whole, field), "{field}");
    }
    let refused = api["unreadable"].to_string();
    assert!(refused.contains("pods/exec"), "the missing verb is not named: {refused}");
}

#[test]
fn who_may_read_nothing_is_told_so() {
    let Some(lab) = lab() else { return };
    let output = run(&mut lab.netcidr(), &["--as", "nobody-in-particular"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("forbidden"), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

#[test]
fn through_kubectl_it_is_the_same() {
    let Some(lab) = lab() else { return };
    let plugins = e2e::binary("kubectl-netcidr").parent().expect("a folder").to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([plugins].into_iter().chain(env::split_paths(&path))).expect("a search path");
    let mut kubectl = Command::new(lab.kubectl());
    kubectl.env("PATH", path).env("KUBECONFIG", lab.kubeconfig());
    let through = run(&mut kubectl, &["netcidr", "-o", "json"]);
    assert!(through.status.success(), "{}", stderr(&through));
    // where a line of /metrics stands changes with every request
    let settled = |report: Value| {
        let mut report = timeless(report);
        for source in
            report["ranges"].as_array_mut().into_iter().flatten().filter_map(|row| row["sources"].as_array_mut())
        {
            source.retain(|source| source["object"] != "/metrics");
        }
        report
    };
    assert_eq!(settled(report(&through)), settled(answer(&lab, &[])));
}

#[test]
fn asking_by_dry_run_gives_the_flag_and_keeps_nothing() {
    let Some(lab) = lab() else { return };
    let count = || lab.kubectl_json(&["get", "services", "-A"])["items"].as_array().map(Vec::len);
    let before = count();
    let found = answer(&lab, &["--probe-service-range"]);
    assert_eq!(sorted(ranges(&found, "service")), sorted(lab.flag("kube-apiserver", "service-cluster-ip-range")));
    assert_eq!(count(), before);
}

/// Each route that the report calls present is in the node's kernel, each missing one is not.
#[test]
fn routes_are_those_of_the_nodes_kernels() {
    let Some(lab) = lab() else { return };
    let found = answer(&lab, &["nodes"]);
    let mut judged = 0;
    for row in found["items"].as_array().into_iter().flatten() {
        let node = row["name"].as_str().unwrap_or_default();
        let mut kernel: Vec<(String, String)> = Vec::new();
        for family in ["-4", "-6"] {
            let routes: Value =
                serde_json::from_str(&lab.exec(node, &["ip", "-j", family, "route", "show", "table", "all"]))
                    .expect("`ip -j` prints JSON");
            kernel.extend(routes.as_array().into_iter().flatten().map(|route| {
                let text = |field: &str| route[field].as_str().unwrap_or_default().to_owned();
                (text("dst"), text("gateway"))
            }));
        }
        for route in row["routes"].as_array().into_iter().flatten() {
            let destination = route["destination"].as_str().unwrap_or_default().to_owned();
            let via = route["via"].as_str().unwrap_or_default().to_owned();
            let there = kernel.contains(&(destination.clone(), via));
            assert_eq!(there, route["state"] != "missing", "{node}: {route}: {kernel:?}");
            judged += 1;
        }
    }
    assert!(judged > 0, "no node's routes were read: {}", found["unreadable"]);
}

/// flannel's file is on the node as the report gives it.
#[test]
fn subnet_env_is_the_nodes_file() {
    let Some(lab) = lab() else { return };
    if lab.cni() != Cni::Flannel {
        return;
    }
    let found = answer(&lab, &["nodes"]);
    for row in found["items"].as_array().into_iter().flatten() {
        let file = lab.exec(row["name"].as_str().unwrap_or_default(), &["cat", "/run/flannel/subnet.env"]);
        let says = |key: &str| file.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
        assert_eq!(row["subnetEnv"]["network"].as_str().map(str::to_owned), says("FLANNEL_NETWORK="), "{row}");
    }
}
