//! A live run: what is asked of the server, on whose behalf, and what is left behind.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::path::Path;

use apiserver::{Config, Server, User};
use e2e::{clusters, netcidr, netcidr_at, report, stderr, stdout};
use serde_json::json;

const COMMANDS: [&[&str]; 6] =
    [&[], &["check"], &["nodes"], &["whois", "10.96.0.10", "10.244.1.2"], &["free", "/20", "-c", "3"], &["map"]];
const FORMATS: [&str; 4] = ["table", "wide", "json", "yaml"];

#[test]
fn only_gets_are_sent() {
    let server = Server::start(clusters::kubeadm());
    for command in COMMANDS {
        let output = netcidr_at(&server.kubeconfig()).args(command).output().expect("it runs");
        assert!(matches!(output.status.code(), Some(0 | 1)), "{command:?}: {}", stderr(&output));
    }
    let methods: std::collections::BTreeSet<String> =
        server.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods.into_iter().collect::<Vec<_>>(), ["GET"]);
    let paths = server.paths();
    assert!(!paths.iter().any(|path| path.contains("/secrets") || path.contains("/exec")), "{paths:?}");
}

#[test]
fn large_kinds_are_read_in_large_pages_of_protobuf() {
    let server = Server::start(clusters::kubeadm());
    netcidr_at(&server.kubeconfig()).assert().success();
    let requests = server.requests();
    for path in ["/api/v1/pods", "/api/v1/nodes", "/api/v1/services", "/apis/networking.k8s.io/v1/ipaddresses"] {
        let list = requests.iter().find(|request| request.path == path).unwrap_or_else(|| panic!("{path} is listed"));
        let limit: u32 = list.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or_default();
        assert!((1_000..=10_000).contains(&limit), "{path} by {limit}");
        let accept = list.header("accept").unwrap_or_default();
        assert!(accept.starts_with("application/vnd.kubernetes.protobuf"), "{path}: {accept}");
    }
    let flagz = requests.iter().find(|request| request.path == "/flagz").expect("flagz is asked");
    assert_eq!(flagz.header("accept"), Some("text/plain"));
}

#[test]
fn others_can_be_asked_for() {
    let server = Server::start(clusters::kubeadm().user(User::new("jane").allow("list", "services")));
    netcidr_at(&server.kubeconfig())
        .args(["--as", "jane", "--as-group", "ops", "--as-group", "dev"])
        .assert()
        .success();
    for request in server.requests() {
        assert_eq!(request.header("impersonate-user"), Some("jane"), "{}", request.path);
        let groups: Vec<&str> = request
            .headers
            .iter()
            .filter(|(name, _)| name == "impersonate-group")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(groups, ["ops", "dev"]);
        assert_eq!(request.user.as_deref(), Some("jane"));
    }
}

#[test]
fn credentials_are_taken_as_kubectl_takes_them() {
    let server = Server::start(clusters::kubeadm());
    netcidr_at(&server.kubeconfig_with_certificate("admin")).assert().success();
    netcidr()
        .args(["--server", &server.url(), "--token", server.token("admin").expect("a token")])
        .arg("--certificate-authority")
        .arg(server.certificate_authority())
        .assert()
        .success();
    netcidr().env("KUBECONFIG", server.kubeconfig()).assert().success();
    // Another authority's certificate is refused.
    let output = netcidr()
        .args(["--server", &server.url(), "--token", server.token("admin").expect("a token")])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).to_lowercase().contains("certificate"), "{}", stderr(&output));
    // A token that nobody knows.
    let output = netcidr_at(&server.kubeconfig_for("nobody")).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nauthorized"), "{}", stderr(&output));
}

#[test]
fn no_server_is_one_clear_sentence() {
    let server = Server::start(Config::new());
    let kubeconfig = std::fs::read(server.kubeconfig()).expect("a kubeconfig");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("kubeconfig");
    std::fs::write(&copy, kubeconfig).expect("a copy");
    let url = server.url();
    drop(server);
    let output = netcidr_at(&copy).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(url.trim_start_matches("https://")), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

/// Runs a command live with a recording, and again from it.
fn replay(server: &Server, folder: &Path, command: &[&str], format: &str) {
    let recording = folder.join(format!("{}-{format}", command.first().unwrap_or(&"ranges")));
    let run = |mut command_line: assert_cmd::Command| {
        let output = command_line.args(command).args(["-o", format]).output().expect("it runs");
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let mut live = netcidr_at(&server.kubeconfig());
    live.arg("--record").arg(&recording);
    let mut from = netcidr();
    from.arg("--from").arg(&recording);
    let (live, from) = (run(live), run(from));
    assert!(!live.1.is_empty(), "{command:?} -o {format}: {}", live.2);
    assert_eq!((from.0, &from.1), (live.0, &live.1), "{command:?} -o {format}\n{}\n{}", live.2, from.2);
}

#[test]
fn a_recording_replays_to_the_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(clusters::kubeadm());
    for command in COMMANDS {
        for format in FORMATS {
            if command == ["map"] && format == "wide" {
                continue;
            }
            replay(&server, folder.path(), command, format);
        }
    }
}

#[test]
fn a_recording_of_half_a_cluster_replays_to_the_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    // `admin` is replaced by one who may little.
    let user = User::new("admin").allow("list", "services").allow("list", "pods").allow("get", "/flagz");
    let server = Server::start(clusters::captured().user(user));
    for format in ["table", "json"] {
        replay(&server, folder.path(), &[], format);
    }
}

#[test]
fn a_captured_cluster_replays_to_the_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(clusters::captured());
    for command in [&[][..], &["check"], &["nodes"]] {
        replay(&server, folder.path(), command, "json");
    }
}

/// Marks that stand for secrets wherever a cluster may hold some.
fn planted() -> Config {
    let secret = |place: &str| format!("PLANTED-{place}");
    let annotation = |place: &str| json!({"example.com/password": secret(place)});
    clusters::kubeadm()
        .object(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "s"},
            "stringData": {"password": secret("secret")}}))
        .object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": "app"},
            "data": {"password": secret("configmap")}}))
        .object(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "default", "name": "leaky", "annotations": annotation("pod-annotation"),
                "managedFields": [{"manager": secret("manager"), "operation": "Update", "apiVersion": "v1",
                    "fieldsType": "FieldsV1", "fieldsV1": {}}]},
            "spec": {"nodeName": "worker1", "containers": [{"name": "c", "image": "registry.example.com/c:1",
                "env": [{"name": "TOKEN", "value": secret("env")}], "command": [format!("--token={}", secret("command"))],
                "args": [secret("args")]}]},
            "status": {"phase": "Running", "podIP": "10.244.1.9", "podIPs": [{"ip": "10.244.1.9"}]}}))
        .object(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "kube-system", "name": "kube-apiserver-cp2", "labels": {"component": "kube-apiserver"}},
            "spec": {"nodeName": "cp1", "hostNetwork": true, "containers": [{"name": "kube-apiserver", "image": "r/k:1",
                "command": ["kube-apiserver", "--service-cluster-ip-range=10.96.0.0/12"],
                "env": [{"name": "ETCD_PASSWORD", "value": secret("apiserver-env")}]}]},
            "status": {"phase": "Running"}}))
        .object(json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"namespace": "default", "name": "agent", "annotations": annotation("daemonset-annotation")},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"},
                "annotations": annotation("template-annotation")}, "spec": {"containers": [{"name": "agent",
                "image": "registry.example.com/agent:1", "args": [format!("--password={}", secret("daemonset-args"))],
                "env": [{"name": "KEY", "value": secret("daemonset-env")}]}]}}}}))
        .object(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "default", "name": "noted", "annotations": annotation("service-annotation")},
            "spec": {"type": "ExternalName", "externalName": "example.com"}}))
        .flags(&[("service-cluster-ip-range", "10.96.0.0/12"), ("etcd-servers", "https://user:PLANTED-flag@etcd")])
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_recording_has_no_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(planted());
    let token = server.token("admin").expect("a token").to_owned();
    for (index, command) in COMMANDS.iter().enumerate() {
        let recording = folder.path().join(index.to_string());
        netcidr_at(&server.kubeconfig()).args(*command).arg("--record").arg(&recording).output().expect("it runs");
        let files = files(&recording);
        assert!(files.len() > 3, "{command:?} records");
        for file in files {
            let text = String::from_utf8_lossy(&std::fs::read(&file).expect("a file")).into_owned();
            let place = text.find("PLANTED").map(|at| text[at..].chars().take(40).collect::<String>());
            assert_eq!(place, None, "{command:?}: {}", file.display());
            assert!(!text.contains(&token), "{command:?}: {} has the token", file.display());
            assert!(!text.contains("managedFields"), "{command:?}: {}", file.display());
        }
    }
}

#[test]
fn since_shows_what_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("then");
    let then = Server::start(clusters::kubeadm());
    netcidr_at(&then.kubeconfig()).arg("--record").arg(&recording).assert().success();
    let now = clusters::kubeadm().object(clusters::service_cidr("more", &["10.200.0.0/20"]));
    let now = Server::start(now.service_ranges(&["10.96.0.0/12", "10.200.0.0/20"]));
    let output = netcidr_at(&now.kubeconfig()).arg("--since").arg(&recording).output().expect("it runs");
    assert!(stdout(&output).contains("10.200.0.0/20"), "{}\n{}", stdout(&output), stderr(&output));
}

#[test]
fn every_flag_delimiter_is_read() {
    for delimiter in [":", ": ", "=", " "] {
        let server = Server::start(clusters::kubeadm().flag_delimiter(delimiter));
        let output = netcidr_at(&server.kubeconfig()).args(["-o", "json"]).output().expect("it runs");
        let report = report(&output);
        assert!(report["ranges"].to_string().contains("flagz"), "{delimiter:?}: {:#}", report["ranges"]);
    }
}
