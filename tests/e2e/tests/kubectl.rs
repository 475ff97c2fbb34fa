//! The real kubectl calls the plugin, and reads the test server itself.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test stops where its set-up is wrong, and says what it skips"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use apiserver::Server;
use e2e::{binary, clusters, find_program, report, stderr, stdout, timeless};

fn kubectl() -> Option<PathBuf> {
    let found = find_program("kubectl", "KUBECTL");
    if found.is_none() {
        println!("skipped: no kubectl");
    }
    found
}

fn run(kubectl: &Path, server: &Server, arguments: &[&str]) -> Output {
    let plugins = binary("kubectl-netcidr").parent().expect("a folder").to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([plugins].into_iter().chain(env::split_paths(&path))).expect("a search path");
    Command::new(kubectl)
        .args(arguments)
        .env("PATH", path)
        .env("KUBECONFIG", server.kubeconfig())
        .env("HOME", server.folder())
        .output()
        .expect("kubectl starts")
}

#[test]
fn kubectl_calls_the_plugin() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(clusters::kubeadm());
    let through = run(&kubectl, &server, &["netcidr", "-o", "json"]);
    assert!(through.status.success(), "{}", stderr(&through));
    let direct = e2e::netcidr_at(&server.kubeconfig()).args(["-o", "json"]).output().expect("it runs");
    assert_eq!(timeless(report(&through)), timeless(report(&direct)));
    let listed = run(&kubectl, &server, &["plugin", "list"]);
    assert!(stdout(&listed).contains("kubectl-netcidr"), "{}", stdout(&listed));
}

#[test]
fn kubectl_gives_exit_codes_on() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(clusters::kubeadm());
    let unknown = run(&kubectl, &server, &["netcidr", "--node", "nope"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", stderr(&unknown));
}

#[test]
fn what_kubectl_prints_is_what_the_plugin_reads() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(clusters::kubeadm());
    let kinds = "nodes,pods,services,configmaps,daemonsets,servicecidrs,ipaddresses";
    let dump = run(&kubectl, &server, &["get", kinds, "-A", "-o", "yaml"]);
    assert!(dump.status.success(), "{}", stderr(&dump));
    let file = server.folder().join("dump.yaml");
    fs::write(&file, &dump.stdout).expect("a file");
    let output = e2e::netcidr().arg("--from").arg(&file).args(["-o", "json"]).output().expect("it runs");
    let offline = report(&output);
    let live = e2e::netcidr_at(&server.kubeconfig()).args(["-o", "json"]).output().expect("it runs");
    let live = report(&live);
    assert_eq!(offline["nodes"], live["nodes"]);
    for role in ["pod", "service"] {
        assert_eq!(e2e::ranges(&offline, role), e2e::ranges(&live, role));
    }
}
