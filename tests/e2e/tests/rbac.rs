//! The documented roles, each with exactly the rights that `docs/rbac` gives: what an administrator is
//! answered, they are answered too; and without one right, the verb that is missing is named.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{collections::BTreeSet, fs, path::Path, process::Output};

use apiserver::{Server, User};
use assert_cmd::Command;
use e2e::{agents, netcidr, proxymode, report, stderr, timeless};
use serde_json::{Value, json};

/// A verb on a resource or path, in one namespace or in all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    namespace: Option<String>,
    verb: String,
    target: String,
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The rights of the roles in these files of `docs/rbac`.
fn rights(files: &[&str]) -> BTreeSet<Right> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rbac");
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(folder.join(file)).expect("a role");
        let roles: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        for (role, rule) in
            roles.iter().flat_map(|role| role["rules"].as_array().into_iter().flatten().map(move |rule| (role, rule)))
        {
            let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
            let mut targets: Vec<String> = texts(&rule["nonResourceURLs"]).into_iter().map(str::to_owned).collect();
            for group in texts(&rule["apiGroups"]) {
                let suffix = if group.is_empty() { String::new() } else { format!(".{group}") };
                targets.extend(texts(&rule["resources"]).into_iter().map(|resource| format!("{resource}{suffix}")));
            }
            for verb in texts(&rule["verbs"]) {
                found.extend(targets.iter().map(|target| Right {
                    namespace: namespace.clone(),
                    verb: verb.to_owned(),
                    target: target.clone(),
                }));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

fn user(rights: &BTreeSet<Right>) -> User {
    rights.iter().fold(User::new("admin"), |user, right| match &right.namespace {
        Some(namespace) => user.allow_in(namespace, &right.verb, &right.target),
        None => user.allow(&right.verb, &right.target),
    })
}

/// Debug pods run at once.
#[expect(clippy::unnecessary_wraps, reason = "the shape of an admission")]
fn runs(_: &Value) -> Result<Value, String> {
    Ok(json!({"phase": "Running", "containerStatuses": [
        {"name": "reader", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}))
}

/// The cluster whose nodes can be read, for somebody with these rights; an administrator without.
fn server(rights: Option<&BTreeSet<Right>>) -> Server {
    // netcidr.yaml leaves this right out on purpose
    let user = rights.map_or_else(|| User::admin("admin").deny("get", "nodes/proxy"), user);
    Server::start(agents::cluster(|_| None).admits(runs).user(user)).allow_writes()
}

/// One command, and the roles that it is documented to need.
struct Case {
    program: fn() -> Command,
    arguments: &'static [&'static str],
    roles: &'static [&'static str],
}

const NETCIDR: [&str; 2] = ["netcidr.yaml", "nodes-exec.yaml"];
const PROXYMODE: [&str; 2] = ["proxymode.yaml", "nodes-exec.yaml"];
const DEBUG: [&str; 2] = ["netcidr.yaml", "nodes-debug.yaml"];

const CASES: [Case; 9] = [
    Case { program: netcidr, arguments: &[], roles: &NETCIDR },
    Case { program: netcidr, arguments: &["check"], roles: &NETCIDR },
    Case { program: netcidr, arguments: &["nodes"], roles: &NETCIDR },
    Case { program: netcidr, arguments: &["whois", "10.96.0.1"], roles: &NETCIDR },
    Case { program: netcidr, arguments: &["free", "/24"], roles: &NETCIDR },
    Case {
        program: netcidr,
        arguments: &["nodes", "--node-access", "debug", "--allow-debug-pods=2", "--debug-image=tools:v1"],
        roles: &DEBUG,
    },
    Case { program: proxymode, arguments: &[], roles: &PROXYMODE },
    Case { program: proxymode, arguments: &["schedulers"], roles: &PROXYMODE },
    Case { program: proxymode, arguments: &["preflight", "ipvs"], roles: &PROXYMODE },
];

fn run(case: &Case, server: &Server) -> Output {
    let mut command = (case.program)();
    command.arg("--kubeconfig").arg(server.kubeconfig()).args(["-o", "json"]).args(case.arguments);
    command.output().expect("it runs")
}

#[test]
fn the_documented_roles_are_enough() {
    for case in &CASES {
        let (mine, theirs) = (run(case, &server(Some(&rights(case.roles)))), run(case, &server(None)));
        assert_eq!(mine.status.code(), theirs.status.code(), "{:?}: {}", case.arguments, stderr(&mine));
        let (mine, theirs) = (timeless(report(&mine)), timeless(report(&theirs)));
        assert_eq!(mine, theirs, "{:?}", case.arguments);
    }
}

/// Each right on what a cluster has by itself, taken away alone.
#[test]
fn a_missing_right_is_named_with_its_verb() {
    for (at, asked) in [
        (2, vec![("list", "nodes"), ("list", "pods"), ("create", "pods/exec"), ("get", "pods/exec")]),
        (0, vec![("list", "services"), ("list", "pods"), ("get", "namespaces")]),
        (5, vec![("create", "pods"), ("get", "pods"), ("create", "pods/exec"), ("list", "nodes")]),
        (6, vec![("list", "daemonsets.apps"), ("get", "configmaps"), ("list", "pods"), ("create", "pods/portforward")]),
    ] {
        let case = &CASES[at];
        for (verb, target) in asked {
            let mut left = rights(case.roles);
            let before = left.len();
            left.retain(|right| right.verb != verb || right.target != target);
            assert!(left.len() < before, "{verb} {target} is in no role of {:?}", case.roles);
            let output = run(case, &server(Some(&left)));
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
            let resource = target.split('.').next().unwrap_or(target);
            let named = [
                format!("cannot {verb} resource \\\"{resource}\\\""),
                format!("cannot {verb} resource \"{resource}\""),
            ];
            assert!(
                named.iter().any(|named| said.contains(named)),
                "{:?} without {verb} {target} does not say so: {said}",
                case.arguments
            );
        }
    }
}
