//! Nodes read from pods that are made for it: what is made, and that it goes again whatever happens.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use apiserver::{Config, Exec, Ran, Server, User};
use e2e::{agents, binary, netcidr_at, report, stderr};
use serde_json::{Value, json};

const WORDS: [&str; 7] =
    ["nodes", "-o", "json", "--node-access", "debug", "--allow-debug-pods=2", "--debug-image=tools:v1"];

#[expect(clippy::unnecessary_wraps, reason = "the shape of an admission")]
fn runs(_: &Value) -> Result<Value, String> {
    Ok(json!({"phase": "Running", "containerStatuses": [
        {"name": "reader", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}))
}

fn cluster(fault: impl Fn(&Exec) -> Option<Ran> + Send + Sync + 'static) -> Config {
    agents::cluster(fault).admits(runs)
}

fn nodes(server: &Server, words: &[&str]) -> Output {
    netcidr_at(&server.kubeconfig()).args(WORDS).args(words).output().expect("it runs")
}

/// Why a node's routes are unreadable, if they are.
fn routes(report: &Value, node: &str) -> Option<String> {
    let all = report["unreadable"].as_array().expect("a list");
    let found = all.iter().find(|entry| entry["node"] == node && entry["source"] == "ip-route.json")?;
    found["reason"].as_str().map(str::to_owned)
}

/// The node's routes were read.
fn is_read(report: &Value, node: &str) -> bool {
    let items = report["items"].as_array().expect("items");
    let item = items.iter().find(|item| item["name"] == node).expect("the node");
    item["routes"].as_array().is_some_and(|routes| routes.iter().any(|route| route["state"] == "present"))
}

#[test]
fn a_pod_is_made_as_it_is_declared_and_goes_again() {
    let server = Server::start(cluster(|_| None)).allow_writes();
    let output = nodes(&server, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert!(is_read(&report, "cp1") && is_read(&report, "worker1"), "{report}");
    let mut made = server.pods_asked_for();
    made.sort_by_key(|pod| pod["spec"]["nodeName"].to_string());
    assert_eq!(made.len(), 2);
    for (pod, node) in made.iter().zip(["cp1", "worker1"]) {
        let run = pod["metadata"]["labels"]["kubectl-net/run"].as_str().expect("the run's id");
        assert_eq!(run.len(), 10);
        let name = pod["metadata"]["name"].as_str().expect("a name");
        assert!(name.starts_with(&format!("kubectl-net-reader-{run}-{node}-")), "{name}");
        // only what the probes read of a node that has it
        let mounts: Vec<Value> = pod["spec"]["containers"][0]["volumeMounts"].as_array().cloned().unwrap_or_default();
        let volumes: Vec<Value> = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        assert!(mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
        let known = [json!("/run/flannel"), json!("/etc/cni/net.d")];
        assert!(volumes.iter().all(|volume| known.contains(&volume["hostPath"]["path"])), "{volumes:?}");
        assert_eq!(
            *pod,
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "kube-system", "labels": {
                    "app.kubernetes.io/name": "kubectl-net-reader", "kubectl-net/run": run,
                    "app.kubernetes.io/managed-by": "kubectl-net"}},
                "spec": {
                    "nodeName": node, "hostNetwork": true, "restartPolicy": "Never", "activeDeadlineSeconds": 300,
                    "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
                    "enableServiceLinks": false, "tolerations": [{"operator": "Exists"}],
                    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{
                        "name": "reader", "image": "tools:v1", "imagePullPolicy": "IfNotPresent",
                        "command": ["sleep", "300"],
                        "securityContext": {"runAsUser": 0, "privileged": false, "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}},
                        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "1Gi"}},
                        "volumeMounts": mounts}],
                    "volumes": volumes}})
        );
    }
    assert_eq!(server.pods_left(), [""; 0]);
    assert_eq!(server.pods_deleted().len(), 2);
    // nothing but these pods was written
    assert!(server.writes().iter().all(|write| write.path.starts_with("/api/v1/namespaces/kube-system/pods")));
}

#[test]
fn a_pod_goes_when_reading_fails() {
    for (what, fault) in [
        ("broken", (|| Ran::fails(2, "ip: broken\n")) as fn() -> Ran),
        ("no such program", || Ran::NoProgram),
        ("hangs", || Ran::Hangs),
    ] {
        let server = Server::start(cluster(move |exec| (exec.node == "worker1").then(fault))).allow_writes();
        let output = nodes(&server, &["--node-timeout", "1s"]);
        let report = report(&output);
        assert!(routes(&report, "worker1").is_some(), "{what}: {report}");
        assert!(is_read(&report, "cp1"), "{what}: {report}");
        assert_eq!((server.pods_left().len(), server.pods_deleted().len()), (0, 2), "{what}");
    }
}

#[test]
fn a_pod_that_never_starts_goes_too() {
    let waits = |pod: &Value| {
        if pod["spec"]["nodeName"] == "worker1" { Ok(json!({"phase": "Pending"})) } else { runs(pod) }
    };
    let server = Server::start(agents::cluster(|_| None).admits(waits)).allow_writes();
    let output = nodes(&server, &["--node-timeout", "1s"]);
    let report = report(&output);
    assert_eq!(routes(&report, "worker1").as_deref(), Some("the debug pod did not start within 1s"));
    assert!(is_read(&report, "cp1"));
    assert_eq!(server.pods_left(), [""; 0]);
}

#[test]
fn a_pod_that_is_not_admitted_is_said_and_the_others_are_read() {
    let refuses = |pod: &Value| {
        if pod["spec"]["nodeName"] == "worker1" {
            Err("violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)".to_owned())
        } else {
            runs(pod)
        }
    };
    let server = Server::start(agents::cluster(|_| None).admits(refuses)).allow_writes();
    let report = report(&nodes(&server, &[]));
    let said = routes(&report, "worker1").expect("it is unreadable");
    assert!(said.starts_with("forbidden: ") && said.contains("violates PodSecurity"), "{said}");
    assert!(is_read(&report, "cp1"));
    assert_eq!(server.pods_left(), [""; 0]);
}

#[test]
fn who_may_not_make_pods_is_told_the_verb() {
    let user = User::admin("admin").deny("create", "pods");
    let server = Server::start(cluster(|_| None).user(user)).allow_writes();
    let report = report(&nodes(&server, &[]));
    let said = routes(&report, "worker1").expect("it is unreadable");
    assert!(said.contains("cannot create resource \"pods\""), "{said}");
    assert!(server.pods_asked_for().is_empty());
}

#[test]
fn ctrl_c_takes_the_pods_away() {
    let server =
        Server::start(cluster(|exec| exec.pod.starts_with("kubectl-net-reader").then_some(Ran::Hangs))).allow_writes();
    let child = Command::new(binary("kubectl-netcidr"))
        .arg("--kubeconfig")
        .arg(server.kubeconfig())
        .args(WORDS)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let hangs = || {
        let paths = server.paths();
        paths.iter().filter(|path| path.contains("kubectl-net-reader") && path.ends_with("/exec")).count()
    };
    while hangs() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.pods_left().len(), 2);
    let pressed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(pressed.success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(server.pods_left(), [""; 0], "{}", stderr(&output));
    assert_eq!(server.pods_deleted().len(), 2);
    assert!(!stderr(&output).contains("could not be taken away"), "{}", stderr(&output));
}

#[test]
fn pods_of_earlier_runs_are_swept_and_a_colleagues_stay() {
    let pod = |name: &str, phase: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "kube-system", "name": name, "uid": name,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app.kubernetes.io/name": "kubectl-net-reader", "kubectl-net/run": "0123456789"}},
            "spec": {"nodeName": "cp1", "containers": [{"name": "reader", "image": "tools:v1"}]},
            "status": {"phase": phase}})
    };
    let config = cluster(|_| None).object(pod("ended", "Failed")).object(pod("reading", "Running"));
    let server = Server::start(config).allow_writes();
    let output = nodes(&server, &[]);
    assert!(stderr(&output).contains("1 debug pods of earlier runs were taken away"), "{}", stderr(&output));
    let deleted = server.pods_deleted();
    assert!(deleted.contains(&"ended".to_owned()) && !deleted.contains(&"reading".to_owned()), "{deleted:?}");
}
