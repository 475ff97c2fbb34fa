//! `--probe-service-range` against every release's answers; nothing is ever kept.
#![expect(clippy::expect_used, reason = "a test stops where its set-up is wrong")]

use apiserver::{Allocator, Config, Server, User};
use e2e::{netcidr_at, ranges, report, stderr};
use serde_json::{Value, json};

/// A cluster in which nothing but creating Services tells the range.
fn silent(minor: u32, range: &[&str]) -> Config {
    let user = User::new("admin").allow("create", "services").allow("list", "nodes");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {}});
    Config::new().minor(minor).service_ranges(range).user(user).object(node)
}

fn probe(config: Config) -> (Server, Value) {
    let server = Server::start(config);
    let output =
        netcidr_at(&server.kubeconfig()).args(["--probe-service-range", "-o", "json"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    (server, report(&output))
}

#[test]
fn every_release_tells_its_range() {
    for minor in [25, 30, 33, 36] {
        for range in [&["10.96.0.0/12"][..], &["10.43.0.0/16", "fd00:43::/112"]] {
            let (server, report) = probe(silent(minor, range));
            assert_eq!(ranges(&report, "service"), range, "1.{minor}: {:#}", report["unreadable"]);
            for request in server.requests().iter().filter(|request| request.method != "GET") {
                assert_eq!(request.method, "POST");
                assert!(request.path.ends_with("/services"), "{}", request.path);
                assert_eq!(request.parameter("dryRun").as_deref(), Some("All"));
            }
        }
    }
}

#[test]
fn a_text_without_the_range_is_no_obstacle() {
    for range in ["10.96.0.0/12", "10.43.0.0/16", "172.20.0.0/24"] {
        let (_server, report) = probe(silent(38, &[range]).allocator(Allocator::Stripped));
        assert_eq!(ranges(&report, "service"), [range], "{:#}", report["unreadable"]);
    }
}

#[test]
fn several_ranges_are_found() {
    for seed in 1..4 {
        let (_server, report) = probe(silent(36, &["10.96.0.0/16", "10.200.0.0/24"]).seed(seed));
        let found = ranges(&report, "service");
        assert!(found.contains(&"10.96.0.0/16".to_owned()) && found.contains(&"10.200.0.0/24".to_owned()), "{found:?}");
    }
}

#[test]
fn without_the_flag_nothing_is_created() {
    let server = Server::start(silent(36, &["10.96.0.0/12"]));
    netcidr_at(&server.kubeconfig()).output().expect("it runs");
    assert!(server.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn who_may_not_create_is_told_so() {
    let viewer = User::new("admin").allow("list", "nodes");
    let (_server, report) = probe(silent(36, &["10.96.0.0/12"]).user(viewer));
    assert!(report["unreadable"].to_string().contains("forbidden"), "{:#}", report["unreadable"]);
    assert!(ranges(&report, "service").is_empty());
}
