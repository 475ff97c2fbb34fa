//! `kubectl proxymode verify` on what real kernels held, and on a server whose nodes answer with it: what is right, what
//! is broken by hand, what moves, what cannot be read.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{
    fs,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use apiserver::{Config, Exec, Ran, Server};
use e2e::{agents, fixtures, proxymode, report, stderr, stdout};
use serde_json::{Value, json};

fn verify(folder: &str, arguments: &[&str]) -> Output {
    let mut command = proxymode();
    command.current_dir(fixtures()).arg("verify").args(arguments).args(["--from", folder]);
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
fn healthy_captures_verify_clean() {
    let output = verify("captures/cluster3-exec", &[]);
    settings().bind(|| {
        insta::assert_snapshot!(
            "cluster3-exec.verify",
            format!("exit {:?}\n{}{}", output.status.code(), stdout(&output), stderr(&output))
        );
    });
    for folder in ["captures/nftables-variety", "captures/iptables-nft-variety"] {
        let output = verify(folder, &["--node", "node1", "-o", "json"]);
        assert_eq!(output.status.code(), Some(0), "{folder}: {}", stderr(&output));
        let found = report(&output);
        let node = &found["nodes"][0];
        assert_eq!((node["state"].as_str(), node["checked"].as_u64()), (Some("verified"), Some(39)), "{node:#}");
        assert_eq!(found["findings"].as_array().map(Vec::len), Some(0), "{found:#}");
    }
}

#[test]
fn a_dump_without_endpoints_is_no_answer_and_one_without_a_node_is_half_of_one() {
    let output = verify("../../examples/kubespray-calico-ipvs", &[]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{}", stderr(&output));
    let output = verify("captures/nftables-variety", &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing of its kernel was read"), "{}", stderr(&output));
}

fn capture(file: &str) -> String {
    fs::read_to_string(fixtures().join("captures/iptables-nft-variety").join(file)).expect("a fixture")
}

/// The captured node behind a server; `change` is given each print of its IPv4 rules, and how often they were read.
fn server(change: impl Fn(String, usize) -> String + Send + Sync + 'static) -> Config {
    let mut config = Config::new().object(agents::kube_proxy("node1"));
    config = config
        .object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "1"}}));
    for file in ["services.json", "endpointslices.json", "nodes.json"] {
        let list: Value = serde_json::from_str(&capture(file)).expect("JSON");
        let items = list["items"].as_array().expect("a list").clone();
        config = config.objects(
            items.into_iter().filter(|object| object["metadata"]["name"] != "node2" || object["kind"] != "Node"),
        );
    }
    let (four, six, configz) =
        (capture("iptables-save-c.txt"), capture("ip6tables-save-c.txt"), capture("configz.json"));
    let reads = Arc::new(AtomicUsize::new(0));
    let links = json!([{"ifname": "eth0", "ifindex": 2, "flags": ["UP"], "mtu": 1500, "link_type": "ether", "addr_info": [
        {"family": "inet", "local": "172.31.77.2", "prefixlen": 24, "scope": "global"},
        {"family": "inet6", "local": "fd77::2", "prefixlen": 64, "scope": "global"}]}]);
    config
        .runs(move |exec: &Exec| {
            let words: Vec<&str> = exec.argv.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["grep", .., "/proc/kallsyms"] => Ran::prints("0 T nft_register_expr\n"),
                ["iptables-nft-save", "-c"] => Ran::prints(change(four.clone(), reads.fetch_add(1, Ordering::Relaxed))),
                ["ip6tables-nft-save", "-c"] => Ran::prints(six.as_str()),
                ["ip", "-j", "-d", "addr"] => Ran::prints(links.to_string()),
                ["nft", ..] => Ran::prints(r#"{"nftables": []}"#),
                ["cat", path] => Ran::fails(1, &format!("cat: {path}: No such file or directory\n")),
                _ => Ran::NoProgram,
            }
        })
        .answers(move |_, path| match path {
            "/proxyMode" => Some((200, "iptables".to_owned())),
            "/configz" => Some((200, configz.clone())),
            _ => Some((404, "404 page not found\n".to_owned())),
        })
}

fn live(config: Config, arguments: &[&str]) -> Output {
    let server = Server::start(config);
    let mut command = proxymode();
    command.arg("verify").arg("--kubeconfig").arg(server.kubeconfig()).args(arguments);
    let output = command.output().expect("the plugin runs");
    assert_eq!(server.writes().len(), server.requests().iter().filter(|request| request.writes()).count());
    output
}

const RULE: (&str, &str) = ("--to-destination 172.31.77.3:8080", "--to-destination 172.31.77.3:8099");

#[test]
fn a_live_node_is_verified_and_a_broken_rule_is_named() {
    let output = live(server(|rules, _| rules), &["-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", stdout(&output), stderr(&output));
    assert_eq!(report(&output)["nodes"][0]["state"], "verified");

    let output = live(server(|rules, _| rules.replace(RULE.0, RULE.1)), &["-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}\n{}", stdout(&output), stderr(&output));
    let found = report(&output);
    let wrong = found["nodes"][0]["wrong"].as_array().expect("a list");
    assert_eq!(wrong.len(), 1, "{found:#}");
    let entry = &wrong[0];
    assert_eq!((entry["address"].as_str(), entry["port"].as_u64()), (Some("10.96.218.168"), Some(80)), "{entry:#}");
    assert_eq!(entry["service"]["name"], "hostnet-ep");
    assert!(entry["found"].as_str().expect("words").starts_with("172.31.77.3:8099 100.0%"), "{entry:#}");
    assert!(entry["rule"].as_str().expect("words").contains("-d 10.96.218.168/32"), "{entry:#}");
    assert_eq!(found["findings"][0]["id"], "PROXY-202");

    let output = live(server(|rules, _| rules.replace(RULE.0, RULE.1)), &[]);
    settings().bind(|| {
        let text = stdout(&output);
        let text = text.split_once('\n').map_or(text.as_str(), |(_, rest)| rest);
        insta::assert_snapshot!("broken-rule.verify", format!("exit {:?}\n{text}", output.status.code()));
    });
}

#[test]
fn what_is_right_at_the_second_look_is_right() {
    let once = |rules: String, read: usize| if read == 0 { rules.replace(RULE.0, RULE.1) } else { rules };
    let output = live(server(once), &["-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", stdout(&output), stderr(&output));
    assert_eq!(report(&output)["nodes"][0]["state"], "verified");
    // and what is only wrong at the second look was moving
    let later = |rules: String, read: usize| {
        let other = "-j DNAT --to-destination 10.244.0.22:8080";
        if read == 0 {
            rules.replace(RULE.0, RULE.1)
        } else {
            rules.replace(other, "-j DNAT --to-destination 10.244.0.23:8080")
        }
    };
    let output = live(server(later), &["-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", stdout(&output), stderr(&output));
    let found = report(&output);
    assert_eq!(found["nodes"][0]["state"], "unstable", "{found:#}");
    assert_eq!(found["findings"].as_array().map(Vec::len), Some(0), "{found:#}");
}

#[test]
fn a_recording_of_it_says_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("recording");
    let path = recording.to_str().expect("a path");
    let first = live(server(|rules, _| rules.replace(RULE.0, RULE.1)), &["--record", path]);
    let again = verify(path, &[]);
    assert_eq!(stdout(&again), stdout(&first), "{}\n{}", stderr(&first), stderr(&again));
    assert_eq!(again.status.code(), first.status.code());
}
