//! Every trouble on every source: the message names the source, the rest of the report stands, and
//! the exit code is that of a report.

use apiserver::{Fault, Server, Trouble, User, generate};
use assert_cmd::Command;
use e2e::{clusters, netcidr_at, ranges, report, stderr, unreadable};

/// What is read of the made kubeadm cluster: the path, and the source as a report names it.
const SOURCES: [(&str, &str); 11] = [
    ("/api/v1/nodes", "nodes"),
    ("/api/v1/pods", "pods"),
    ("/api/v1/services", "services"),
    ("/apis/networking.k8s.io/v1/servicecidrs", "servicecidrs.networking.k8s.io"),
    ("/apis/networking.k8s.io/v1/ipaddresses", "ipaddresses.networking.k8s.io"),
    ("/apis/apps/v1/daemonsets", "daemonsets.apps"),
    ("/flagz", "/flagz"),
    ("/metrics", "/metrics"),
    ("/api/v1/namespaces/kube-system/configmaps/kubeadm-config", "configmap kube-system/kubeadm-config"),
    ("/api/v1/namespaces/kube-system/configmaps/kube-proxy", "configmap kube-system/kube-proxy"),
    ("/api/v1/namespaces/kube-flannel/configmaps/kube-flannel-cfg", "configmap kube-flannel/kube-flannel-cfg"),
];

/// Troubles that leave a source unread, and what the reason says.
const TROUBLES: [(Trouble, &str); 5] = [
    (Trouble::Forbidden, "forbidden: "),
    (Trouble::Internal, "500"),
    (Trouble::Unavailable, "503"),
    (Trouble::TruncatedJson, ""),
    (Trouble::CloseMidBody, ""),
];

fn json(server: &Server) -> Command {
    let mut command = netcidr_at(&server.kubeconfig());
    command.args(["-o", "json"]);
    command
}

#[test]
fn a_healthy_cluster_is_read_whole() {
    let server = Server::start(clusters::kubeadm());
    let output = json(&server).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(ranges(&report, "service"), ["10.96.0.0/12"]);
    assert!(ranges(&report, "pod").contains(&"10.244.0.0/16".to_owned()), "{report:#}");
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{:#}", report["findings"]);
    for (path, _) in SOURCES {
        assert!(server.paths().iter().any(|asked| asked == path), "{path} is read");
    }
}

#[test]
fn each_source_may_fail_alone() {
    for (path, source) in SOURCES {
        for (trouble, says) in TROUBLES {
            if matches!(trouble, Trouble::TruncatedJson) && path.trim_start_matches('/').split('/').count() == 1 {
                continue; // Half of a text is a text.
            }
            let server = Server::start(clusters::kubeadm().fault(Fault::at(path, trouble)));
            let output = json(&server).output().expect("it runs");
            let report = report(&output);
            let reason = unreadable(&report, source)
                // A broken object cannot say its name.
                .or_else(|| unreadable(&report, "configmaps").filter(|_| trouble == Trouble::TruncatedJson))
                .unwrap_or_else(|| panic!("{trouble:?} on {path} is not told: {:#}", report["unreadable"]));
            assert!(reason.contains(says) && !reason.is_empty(), "{trouble:?} on {path}: {reason}");
            assert_eq!(output.status.code(), Some(0), "{trouble:?} on {path}: {}", stderr(&output));
            // The others tell the same ranges.
            assert_eq!(ranges(&report, "service"), ["10.96.0.0/12"], "{trouble:?} on {path}");
            assert!(ranges(&report, "pod").contains(&"10.244.0.0/16".to_owned()), "{trouble:?} on {path}");
        }
    }
}

#[test]
fn a_server_that_hangs_is_given_up() {
    for (path, source) in [SOURCES[1], SOURCES[6], SOURCES[8]] {
        let server = Server::start(clusters::kubeadm().fault(Fault::at(path, Trouble::Hang)));
        let output = json(&server).args(["--request-timeout", "1s"]).output().expect("it runs");
        let report = report(&output);
        let reason = unreadable(&report, source).unwrap_or_else(|| panic!("{path}: {:#}", report["unreadable"]));
        assert!(reason.contains("timed out after 1s"), "{path}: {reason}");
        assert_eq!(ranges(&report, "service"), ["10.96.0.0/12"]);
    }
}

#[test]
fn a_missing_kind_is_no_trouble() {
    let server = Server::start(clusters::kubeadm().minor(36).fault(Fault::under("/apis/apps", Trouble::NotFound)));
    let report = report(&json(&server).output().expect("it runs"));
    assert_eq!(ranges(&report, "service"), ["10.96.0.0/12"]);
}

#[test]
fn a_slow_server_is_waited_for() {
    let config = clusters::kubeadm().fault(Fault::under("/api", Trouble::Trickle));
    let (slow, fast) = (Server::start(config), Server::start(clusters::kubeadm()));
    let [slow, fast] = [slow, fast].map(|server| e2e::timeless(report(&json(&server).output().expect("it runs"))));
    assert_eq!(slow, fast);
}

#[test]
fn too_many_requests_are_asked_again() {
    let busy = Trouble::TooManyRequests { retry_after: 0 };
    let server = Server::start(clusters::kubeadm().fault(Fault::at("/api/v1/pods", busy).times(2)));
    let report = report(&json(&server).output().expect("it runs"));
    assert_eq!(unreadable(&report, "pods"), None, "{:#}", report["unreadable"]);
    assert!(server.paths().iter().filter(|path| *path == "/api/v1/pods").count() > 2);
}

/// More pods than one page holds.
const SIZE: generate::Size = generate::Size { nodes: 200, pods: 12_000, services: 20 };

#[test]
fn a_list_that_expires_is_read_to_its_end() {
    let whole = report(&json(&Server::start(generate::cluster(SIZE))).output().expect("it runs"));
    for token in [true, false] {
        let fault = Fault::at("/api/v1/pods", Trouble::Expired { token }).times(2);
        let server = Server::start(generate::cluster(SIZE).fault(fault));
        let report = report(&json(&server).output().expect("it runs"));
        assert_eq!(report["nodes"], whole["nodes"], "token {token}");
        assert_eq!(unreadable(&report, "pods"), None, "token {token}");
    }
}

#[test]
fn a_list_that_always_expires_is_told() {
    let fault = Fault::at("/api/v1/pods", Trouble::Expired { token: false });
    let server = Server::start(generate::cluster(SIZE).fault(fault));
    let report = report(&json(&server).output().expect("it runs"));
    let reason = unreadable(&report, "pods").expect("pods are not read whole");
    assert!(reason.contains("after 5000 objects") || reason.contains("too old"), "{reason}");
}

#[test]
fn a_later_page_that_fails_leaves_a_part() {
    for trouble in [Trouble::Internal, Trouble::CloseMidBody, Trouble::Forbidden] {
        let server = Server::start(generate::cluster(SIZE).fault(Fault::at("/api/v1/pods", trouble).after(1)));
        let report = report(&json(&server).output().expect("it runs"));
        let reason = unreadable(&report, "pods").unwrap_or_else(|| panic!("{trouble:?} is told"));
        assert!(reason.contains("objects"), "{trouble:?}: {reason}");
    }
}

#[test]
fn garbage_in_protobuf_is_told() {
    for (path, source) in [("/api/v1/pods", "pods"), ("/api/v1/nodes", "nodes"), ("/api/v1/services", "services")] {
        let server = Server::start(clusters::kubeadm().fault(Fault::at(path, Trouble::GarbageProtobuf)));
        let output = json(&server).output().expect("it runs");
        let report = report(&output);
        assert!(unreadable(&report, source).is_some(), "{path}: {:#}", report["unreadable"]);
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn without_protobuf_the_report_is_the_same() {
    for cluster in [clusters::kubeadm as fn() -> _, clusters::captured, || {
        generate::cluster(generate::Size { nodes: 50, pods: 6_000, services: 300 })
    }] {
        let with = Server::start(cluster());
        let expected = e2e::timeless(report(&json(&with).output().expect("it runs")));
        assert!(with.requests().iter().any(|request| {
            request.path == "/api/v1/pods" && request.header("accept").is_some_and(|accept| accept.contains("protobuf"))
        }));
        for trouble in [Trouble::NoProtobuf, Trouble::NotAcceptable] {
            let without = Server::start(cluster().fault(Fault::under("/api", trouble)));
            let output = json(&without).output().expect("it runs");
            assert_eq!(e2e::timeless(report(&output)), expected, "{trouble:?}");
        }
    }
}

#[test]
fn nothing_readable_is_no_report() {
    for (trouble, says) in [(Trouble::Unauthorized, "nauthorized"), (Trouble::Forbidden, "forbidden")] {
        let server = Server::start(clusters::kubeadm().fault(Fault::under("/", trouble)));
        let output = json(&server).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{trouble:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
        assert!(output.stdout.is_empty(), "no half report");
    }
}

#[test]
fn a_user_who_may_little_gets_what_there_is() {
    let config = clusters::kubeadm().user(User::new("viewer").allow("list", "services").allow("list", "nodes"));
    let server = Server::start(config);
    let output = netcidr_at(&server.kubeconfig_for("viewer")).args(["-o", "json"]).output().expect("it runs");
    let report = report(&output);
    for source in ["pods", "servicecidrs.networking.k8s.io", "/flagz", "configmap kube-system/kubeadm-config"] {
        let reason = unreadable(&report, source).unwrap_or_else(|| panic!("{source}: {:#}", report["unreadable"]));
        assert!(reason.contains("forbidden") && reason.contains("viewer"), "{source}: {reason}");
    }
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(2));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_node_that_was_asked_for_and_is_not_there_makes_it_partial() {
    let server = Server::start(clusters::kubeadm());
    let output = json(&server).args(["--node", "worker1", "--node", "nope"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(unreadable(&report(&output), "node nope").is_some());
}

#[test]
fn a_huge_object_is_borne() {
    let mut config = clusters::kubeadm();
    for kind in ["Service", "Pod", "Node"] {
        let spec = match kind {
            "Service" => {
                serde_json::json!({"type": "ClusterIP", "clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7"]})
            }
            _ => serde_json::json!({}),
        };
        let object = serde_json::json!({"apiVersion": "v1", "kind": kind, "spec": spec,
            "metadata": {"name": "huge", "namespace": if kind == "Node" { None } else { Some("default") }}});
        config = config.object(apiserver::with_huge_annotation(object, 2_000_000));
    }
    let server = Server::start(
        config.object(
            clusters::ip_addresses(&[serde_json::json!({"kind": "Service",
        "metadata": {"namespace": "default", "name": "huge"}, "spec": {"clusterIPs": ["10.96.7.7"]}})])
            .remove(0),
        ),
    );
    let report = report(&json(&server).output().expect("it runs"));
    assert_eq!(ranges(&report, "service"), ["10.96.0.0/12"]);
    assert_eq!(unreadable(&report, "pods"), None);
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(3));
}
