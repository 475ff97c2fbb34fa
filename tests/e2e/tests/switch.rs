//! `kubectl proxymode --set` and `rollback` against a cluster that answers as a real one: what is written,
//! in which order, and what is left behind whatever happens in between.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{
    fs,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use apiserver::{Config, Fault, Hands, Moment, Recorded, Server, Trouble, User};
use e2e::{
    binary, fixtures, stderr, stdout,
    switching::{self, CONFIGURATION, Modes, Start, UID, cluster, config_map},
};
use netcore::text::yaml_documents;
use serde_json::{Value, json};

const CONFIG: &str = "kube-system/kube-proxy";
const LEASE: &str = "kube-system/kubectl-proxymode";
const TO_NFTABLES: &[&str] = &["--set", "nftables", "--yes", "-o", "json", "--timeout", "20s"];
const BACK: &[&str] = &["rollback", "--yes", "--exact", "-o", "json", "--timeout", "20s"];

fn command(server: &Server, words: &[&str]) -> Command {
    let mut command = Command::new(binary("kubectl-proxymode"));
    command
        .arg("--kubeconfig")
        .arg(server.kubeconfig())
        .args(words)
        .env("XDG_STATE_HOME", server.folder())
        .stdin(Stdio::null());
    command
}

fn run(server: &Server, words: &[&str]) -> Output {
    command(server, words).output().expect("it runs")
}

fn start(server: &Server, words: &[&str]) -> Child {
    command(server, words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn server(config: Config) -> Server {
    Server::start(config).allow_writes()
}

/// The lines of `-o json`.
fn events(output: &Output) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).expect("one JSON object a line");
    stdout(output).lines().map(line).collect()
}

fn said(output: &Output) -> String {
    let message = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
    events(output).iter().map(message).collect::<Vec<_>>().join("\n")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// How everything that matters is.
#[track_caller]
fn assert_is(server: &Server, modes: &Modes, text: &str, mode: &str, why: &str) {
    let map = server.hands().object("configmaps", CONFIG).expect("the ConfigMap");
    assert_eq!(map["data"], json!({"config.conf": text, "kubeconfig.conf": "kept: as it is\n"}), "{why}");
    let modes = modes.lock().expect("no panic").clone();
    assert!(modes.values().all(|of| of == mode), "{modes:?}, not all {mode}\n{why}");
}

fn switched() -> String {
    CONFIGURATION.replace("mode: \"\"   #", "mode: \"nftables\"   #")
}

fn backups(server: &Server) -> Vec<Value> {
    let is = |map: &Value| map["metadata"]["labels"]["kubectl-net/backup-of"] == "proxymode";
    server.hands().objects("configmaps").into_iter().filter(is).collect()
}

/// How far each backup says that its change got.
fn states(server: &Server) -> Vec<String> {
    let state =
        |map: &Value| map["metadata"]["annotations"]["kubectl-net/state"].as_str().unwrap_or_default().to_owned();
    backups(server).iter().map(state).collect()
}

/// The nodes whose pods were deleted, in order.
fn deleted(server: &Server) -> Vec<String> {
    let of = |request: &Recorded| {
        let name = request.path.strip_prefix("/api/v1/namespaces/kube-system/pods/kube-proxy-")?.to_owned();
        let node: String = name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        Some(if name.starts_with("cp1") { "cp1".to_owned() } else { name.get(..2).unwrap_or(&node).to_owned() })
    };
    server.requests().iter().filter(|request| request.method == "DELETE").filter_map(of).collect()
}

fn well(_: &str, _: &str) -> Start {
    Start::Well
}

/// Whatever goes wrong in nftables mode on the second worker.
fn fails(how: Start) -> impl Fn(&str, &str) -> Start + Send + Sync + 'static {
    move |node, mode| if node == "w2" && mode == "nftables" { how } else { Start::Well }
}

#[test]
fn every_node_follows_and_the_way_back_is_byte_for_byte() {
    let (config, modes) = cluster(well);
    let server = server(config);
    let output = run(&server, TO_NFTABLES);
    let told = said(&output);
    assert_eq!(code(&output), 0, "{told}\n{}", stderr(&output));
    assert_is(&server, &modes, &switched(), "nftables", &told);
    assert_eq!(deleted(&server), ["w1", "w2", "cp1"], "the canary, the workers, the control plane");
    for event in events(&output) {
        let mut fields: Vec<&String> = event.as_object().expect("an object").keys().collect();
        fields.sort();
        assert_eq!(fields, ["message", "node", "state", "step", "time"], "{event}");
    }
    let made = backups(&server);
    assert_eq!((made.len(), states(&server)), (1, vec!["done".to_owned()]));
    assert_eq!((&made[0]["immutable"], &made[0]["data"]["cluster"]), (&json!(true), &json!(UID)));
    assert_eq!(made[0]["data"]["before"], CONFIGURATION);
    let lease = server.hands().object("leases", LEASE).expect("the lease");
    assert_eq!(lease["spec"]["holderIdentity"], "", "it was let go");

    let again = run(&server, TO_NFTABLES);
    assert_eq!(code(&again), 0, "{}", said(&again));
    assert!(said(&again).contains("configured already"), "{}", said(&again));
    assert_eq!(deleted(&server).len(), 3, "nothing is started anew for nothing");

    let back = run(&server, &["rollback", "--yes", "-o", "json"]);
    assert_eq!(code(&back), 0, "{}\n{}", said(&back), stderr(&back));
    assert_is(&server, &modes, CONFIGURATION, "iptables", &said(&back));
    assert_eq!(states(&server), ["undone", "done"]);
    let more = run(&server, &["rollback", "--yes", "-o", "json"]);
    assert_eq!(code(&more), 1, "{}", said(&more));
    assert!(said(&more).contains("no switch that was not undone"), "{}", said(&more));
    let list = run(&server, &["rollback", "--list"]);
    assert_eq!((code(&list), stdout(&list).lines().count()), (0, 3), "{}", stdout(&list));
    // another id, from another machine
    let id = made[0]["metadata"]["name"].as_str().and_then(|name| name.strip_prefix("kubectl-proxymode-backup-"));
    let to = run(&server, &["rollback", "--to", id.expect("an id"), "--yes", "-o", "json"]);
    assert_eq!(code(&to), 0, "{}", said(&to));
}

#[test]
fn a_node_that_fails_brings_everything_back() {
    for (how, word) in [
        (Start::Crashes, "CrashLoopBackOff"),
        (Start::NoImage, "ImagePullBackOff"),
        (Start::Hangs, "not Ready"),
        (Start::WritesNothing, "not written its rules"),
        (Start::Never, "did not come back"),
    ] {
        let (config, modes) = cluster(fails(how));
        let server = server(config);
        let words = ["--set", "nftables", "--yes", "-o", "json", "--timeout", "1500ms"];
        let output = run(&server, &words);
        let told = said(&output);
        // where nobody makes its pod any more, the way back does not come to its end either
        let (expected, state) = if how == Start::Never { (3, "mixed") } else { (1, "restored") };
        assert_eq!(code(&output), expected, "{how:?}: {told}\n{}", stderr(&output));
        assert!(told.contains(word) && told.contains("w2: "), "{how:?}: {told}");
        assert_is(&server, &modes, CONFIGURATION, "iptables", &told);
        assert_eq!(states(&server), [state]);
        assert!(!deleted(&server).contains(&"cp1".to_owned()), "it was not touched");
    }
}

#[test]
fn what_cannot_be_put_back_is_named() {
    // it does not come up in its old mode either
    let (config, modes) = cluster(|node, mode| match (node, mode) {
        ("w2", _) => Start::Crashes,
        _ => Start::Well,
    });
    let server = server(config);
    let output = run(&server, TO_NFTABLES);
    let told = said(&output);
    assert_eq!(code(&output), 3, "{told}");
    assert!(told.contains("left mixed") && told.contains("w2: its pod is in CrashLoopBackOff"), "{told}");
    assert_is(&server, &modes, CONFIGURATION, "iptables", &told);
    assert_eq!(states(&server), ["mixed"]);
}

/// Kills a run at its `at`-th write, before it is carried out or before it is answered; gives whether it
/// came that far.
fn killed_at(at: usize, moment: Moment, signal: &'static str) -> (Server, Modes, Option<Output>) {
    let (config, modes) = cluster(well);
    let (pid, writes): (Arc<AtomicU32>, Arc<AtomicUsize>) = Default::default();
    let (of_watcher, seen) = (Arc::clone(&pid), Arc::clone(&writes));
    let server = server(config.watcher(move |when, request, _| {
        if !request.writes() || of_watcher.load(Ordering::SeqCst) == 0 || when != moment {
            return;
        }
        if seen.fetch_add(1, Ordering::SeqCst) == at {
            let pid = of_watcher.swap(0, Ordering::SeqCst).to_string();
            let _ = Command::new("kill").args([signal, &pid]).status();
            // its answer must not reach it before the signal does
            std::thread::sleep(Duration::from_millis(30));
        }
    }));
    let mut command = command(&server, TO_NFTABLES);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    pid.store(child.id(), Ordering::SeqCst);
    let output = child.wait_with_output().expect("it ends");
    let came = pid.load(Ordering::SeqCst) == 0;
    (server, modes, came.then_some(output))
}

#[test]
fn a_run_that_is_killed_at_any_write_can_be_undone() {
    for moment in [Moment::Asked, Moment::Done] {
        for at in 0.. {
            let (server, modes, output) = killed_at(at, moment, "-KILL");
            let Some(output) = output else {
                assert!(at >= 7, "lease, backup, config, three pods, state: {at}");
                break;
            };
            let why = format!("killed at write {at}, {moment:?}\n{}", said_of_part(&output));
            // as the message of the lock says
            server.hands().take("leases", LEASE);
            let back = run(&server, BACK);
            let told = format!("{why}\n--\n{}\n{}", said(&back), stderr(&back));
            let nothing_to_undo = states(&server).is_empty();
            assert_eq!(code(&back), i32::from(nothing_to_undo), "{told}");
            assert_is(&server, &modes, CONFIGURATION, "iptables", &told);
        }
    }
}

/// What a killed run had said.
fn said_of_part(output: &Output) -> String {
    stdout(output)
}

#[test]
fn ctrl_c_goes_back_in_good_order() {
    for at in 0..6 {
        let (server, modes, output) = killed_at(at, Moment::Asked, "-INT");
        let output = output.expect("it came that far");
        let told = said(&output);
        assert_eq!(code(&output), 1, "at write {at}: {told}\n{}", stderr(&output));
        assert_is(&server, &modes, CONFIGURATION, "iptables", &told);
        assert!(told.contains("stopped"), "at write {at}: {told}");
        assert!(states(&server).iter().all(|state| ["restored", "refused"].contains(&state.as_str())), "{told}");
    }
}

/// Whether a request deletes a pod of a node.
fn deletes(request: &Recorded, node: &str) -> bool {
    request.method == "DELETE" && request.path.contains(&format!("/pods/kube-proxy-{node}"))
}

fn is_patch_of_config(request: &Recorded) -> bool {
    request.method == "PATCH" && request.path.ends_with("/configmaps/kube-proxy")
}

fn edit(hands: &Hands<'_>, edit: impl Fn(&str) -> String) {
    let map = hands.object("configmaps", CONFIG).expect("the ConfigMap");
    hands.put("configmaps", config_map(&edit(map["data"]["config.conf"].as_str().expect("a text"))));
}

#[test]
fn somebody_who_edits_first_wins() {
    let (config, modes) = cluster(well);
    let once = AtomicUsize::new(0);
    let config = config.watcher(move |moment, request, hands| {
        if moment == Moment::Asked && is_patch_of_config(request) && once.fetch_add(1, Ordering::SeqCst) == 0 {
            edit(hands, |text| format!("{text}# mine\n"));
        }
    });
    let server = server(config);
    let output = run(&server, TO_NFTABLES);
    let told = said(&output);
    assert_eq!(code(&output), 1, "{told}");
    assert!(told.contains("changed meanwhile by somebody else"), "{told}");
    assert_is(&server, &modes, &format!("{CONFIGURATION}# mine\n"), "iptables", &told);
    assert_eq!((states(&server), deleted(&server).len()), (vec!["refused".to_owned()], 0));
}

#[test]
fn an_edit_in_the_middle_is_kept_on_the_way_back() {
    let (config, modes) = cluster(fails(Start::Crashes));
    let once = AtomicUsize::new(0);
    let config = config.watcher(move |moment, request, hands| {
        if moment == Moment::Asked && deletes(request, "w1") && once.fetch_add(1, Ordering::SeqCst) == 0 {
            edit(hands, |text| format!("# a hand edit\n{text}"));
        }
    });
    let server = server(config);
    let output = run(&server, TO_NFTABLES);
    assert_eq!(code(&output), 1, "{}", said(&output));
    assert_is(&server, &modes, &format!("# a hand edit\n{CONFIGURATION}"), "iptables", &said(&output));
}

#[test]
fn a_rollback_keeps_edits_or_refuses_and_exact_restores() {
    let (config, modes) = cluster(well);
    let server = server(config);
    assert_eq!(code(&run(&server, TO_NFTABLES)), 0);
    edit(&server.hands(), |text| text.replace("mode: \"nftables\"", "mode: ipvs"));
    let refused = run(&server, &["rollback", "--yes", "-o", "json"]);
    assert_eq!(code(&refused), 1, "{}", said(&refused));
    assert!(said(&refused).contains("--exact restores"), "{}", said(&refused));
    edit(&server.hands(), |text| text.replace("mode: ipvs", "mode: \"nftables\"") + "# later\n");
    let kept = run(&server, &["rollback", "--yes", "-o", "json"]);
    assert_eq!(code(&kept), 0, "{}", said(&kept));
    assert_is(&server, &modes, &format!("{CONFIGURATION}# later\n"), "iptables", &said(&kept));
    let id = backups(&server)[0]["metadata"]["name"].as_str().expect("a name").replace("kubectl-proxymode-backup-", "");
    let exact = run(&server, &["rollback", "--to", &id, "--exact", "--yes", "-o", "json"]);
    assert_eq!(code(&exact), 0, "{}", said(&exact));
    assert_is(&server, &modes, CONFIGURATION, "iptables", &said(&exact));
}

#[test]
fn a_right_that_is_missing_in_the_middle_brings_everything_back() {
    let pod = "/api/v1/namespaces/kube-system/pods/kube-proxy-w20";
    let (config, modes) = cluster(well);
    let server = server(config.fault(Fault::at(pod, Trouble::Forbidden)));
    let output = run(&server, TO_NFTABLES);
    let told = said(&output);
    assert_eq!(code(&output), 1, "{told}");
    assert!(told.contains("w2: its pod could not be deleted: forbidden"), "{told}");
    assert_is(&server, &modes, CONFIGURATION, "iptables", &told);
}

#[test]
fn troubles_on_the_way_are_borne() {
    let map = "/api/v1/namespaces/kube-system/configmaps/kube-proxy";
    let pods = "/api/v1/namespaces/kube-system/pods";
    let backups = "/api/v1/namespaces/kube-system/configmaps";
    let pod = "/api/v1/namespaces/kube-system/pods/kube-proxy-w20";
    for (what, fault) in [
        ("429 at the change", Fault::at(map, Trouble::TooManyRequests { retry_after: 0 }).after(2).times(1)),
        ("429 at the backup", Fault::at(backups, Trouble::TooManyRequests { retry_after: 0 }).times(1)),
        ("the answer to the backup gets lost", Fault::at(backups, Trouble::CloseMidBody).times(1)),
        ("the answer to the change gets lost", Fault::at(map, Trouble::CloseMidBody).after(2).times(1)),
        ("the server restarts at a deletion", Fault::at(pod, Trouble::Internal).times(1)),
        ("the answer to a deletion gets lost", Fault::at(pod, Trouble::CloseMidBody).times(1)),
        ("the server restarts while pods are looked at", Fault::at(pods, Trouble::Internal).after(5).times(2)),
    ] {
        let (config, modes) = cluster(well);
        let server = server(config.fault(fault));
        let output = run(&server, TO_NFTABLES);
        assert_eq!(code(&output), 0, "{what}: {}\n{}", said(&output), stderr(&output));
        assert_is(&server, &modes, &switched(), "nftables", what);
    }
}

#[test]
fn nodes_that_come_and_go_meanwhile_are_noticed() {
    let (config, modes) = cluster(well);
    let (of_watcher, once) = (Arc::clone(&modes), AtomicUsize::new(0));
    let config = config.watcher(move |moment, request, hands| {
        if moment == Moment::Asked && deletes(request, "w1") && once.fetch_add(1, Ordering::SeqCst) == 0 {
            hands.put("nodes", switching::node("w3", false));
            hands.put("pods", switching::pod("w3", 50, Start::Well));
            of_watcher.lock().expect("no panic").insert("w3".to_owned(), "nftables".to_owned());
            hands.take("nodes", "w2");
            hands.take("pods", "kube-system/kube-proxy-w20");
            of_watcher.lock().expect("no panic").remove("w2");
        }
    });
    let server = server(config);
    let output = run(&server, TO_NFTABLES);
    let told = said(&output);
    assert_eq!(code(&output), 0, "{told}");
    assert_is(&server, &modes, &switched(), "nftables", &told);
    assert!(told.contains("the cluster has no such node any more"), "{told}");
    let of_w3: Vec<Value> = events(&output).into_iter().filter(|event| event["node"] == "w3").collect();
    assert!(of_w3.iter().any(|event| event["state"] == "done"), "{told}");
}

#[test]
fn a_node_that_is_not_ready_is_left_and_named() {
    let (config, modes) = cluster(well);
    let server = server(config);
    let mut node = switching::node("w2", false);
    node["status"]["conditions"][0]["status"] = json!("False");
    server.hands().put("nodes", node);
    let output = run(&server, TO_NFTABLES);
    let told = said(&output);
    assert_eq!(code(&output), 3, "{told}");
    assert!(told.contains("w2 was left as it is: the node is not Ready"), "{told}");
    let modes = modes.lock().expect("no panic").clone();
    assert_eq!(modes.values().map(String::as_str).collect::<Vec<_>>(), ["nftables", "nftables", "iptables"]);
}

#[test]
fn two_people_do_not_change_a_cluster_at_once() {
    let lease = |seconds: u64| {
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": "kube-system", "name": "kubectl-proxymode"},
            "spec": {"holderIdentity": "ann@desk (1-abcd)", "leaseDurationSeconds": seconds,
                "acquireTime": "2031-01-01T00:00:00.000000Z", "renewTime": "2031-01-01T00:00:00.000000Z"}})
    };
    // one whose clock is years ahead, and who works
    let (config, modes) = cluster(well);
    let config = config.watcher(move |moment, request, hands| {
        if moment == Moment::Asked && request.path.ends_with("/leases/kubectl-proxymode") {
            hands.put("leases", lease(15));
        }
    });
    let held = server(config);
    held.hands().put("leases", lease(15));
    let output = run(&held, TO_NFTABLES);
    let told = said(&output);
    assert_eq!(code(&output), 1, "{told}");
    assert!(
        told.contains("ann@desk") && told.contains("kubectl -n kube-system delete lease kubectl-proxymode"),
        "{told}"
    );
    assert_is(&held, &modes, CONFIGURATION, "iptables", &told);
    assert!(backups(&held).is_empty());
    // one who is dead, whatever its clock said
    let (config, modes) = cluster(well);
    let dead = server(config);
    dead.hands().put("leases", lease(1));
    let output = run(&dead, TO_NFTABLES);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(stderr(&output).contains("its lock is taken over"), "{}", stderr(&output));
    assert_is(&dead, &modes, &switched(), "nftables", "");
}

#[test]
fn whoever_lost_the_lock_writes_nothing_any_more() {
    let (config, modes) = cluster(fails(Start::Hangs));
    let taken = AtomicUsize::new(0);
    let config = config.watcher(move |moment, request, hands| {
        if moment == Moment::Done && deletes(request, "w2") && taken.fetch_add(1, Ordering::SeqCst) == 0 {
            let mut lease = hands.object("leases", LEASE).expect("the lease");
            lease["spec"]["holderIdentity"] = json!("bob@desk");
            hands.put("leases", lease);
        }
    });
    let server = server(config);
    let output = run(&server, TO_NFTABLES);
    let told = said(&output);
    assert_eq!(code(&output), 3, "{told}");
    assert!(told.contains("bob@desk has taken over"), "{told}");
    assert!(told.contains("w1: run nftables; w2: started anew, and not seen to run; cp1: as before"), "{told}");
    assert_is_config(&server, &switched());
    drop(modes);
}

#[track_caller]
fn assert_is_config(server: &Server, text: &str) {
    let map = server.hands().object("configmaps", CONFIG).expect("the ConfigMap");
    assert_eq!(map["data"]["config.conf"], text);
}

#[test]
fn a_backup_of_another_cluster_is_refused() {
    let (config, modes) = cluster(well);
    let server = server(config);
    assert_eq!(code(&run(&server, TO_NFTABLES)), 0);
    let mut backup = backups(&server).remove(0);
    backup["data"]["cluster"] = json!("another");
    server.hands().put("configmaps", backup);
    let output = run(&server, BACK);
    assert_eq!(code(&output), 1);
    assert!(said(&output).contains("is of cluster another"), "{}", said(&output));
    assert_is(&server, &modes, &switched(), "nftables", "");
}

#[test]
fn what_stands_in_the_way_is_told_before_anything_is_written() {
    let refuse = |what: &str, words: &[&str], change: &dyn Fn(&Server), expected: &str| {
        let (config, modes) = cluster(well);
        let server = server(config);
        change(&server);
        let output = run(&server, words);
        let told = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(code(&output), 1, "{what}: {told}");
        assert!(told.contains(expected), "{what}: {told}");
        assert!(server.writes().is_empty(), "{what}: {:#?}", server.writes());
        drop(modes);
    };
    refuse(
        "immutable",
        TO_NFTABLES,
        &|server| {
            let mut map = config_map(CONFIGURATION);
            map["immutable"] = json!(true);
            server.hands().put("configmaps", map);
        },
        "immutable",
    );
    refuse("nobody to ask", &["--set", "nftables"], &|_| {}, "--yes goes on without asking");
    refuse("no such canary", &["--set", "nftables", "--yes", "--canary", "w9"], &|_| {}, "w1, w2, cp1");
    refuse(
        "the only node, and nobody asked",
        &["--set", "ipvs", "--yes"],
        &|server| {
            for name in ["w1", "w2"] {
                server.hands().take("nodes", name);
                server.hands().take("pods", &format!("kube-system/kube-proxy-{name}0"));
            }
        },
        "PROXY-105",
    );
    refuse(
        "not a kernel for nftables",
        TO_NFTABLES,
        &|server| {
            let mut node = switching::node("w2", false);
            node["status"]["nodeInfo"]["kernelVersion"] = json!("5.4.0-150-generic");
            server.hands().put("nodes", node);
        },
        "the preflight forbids it (PROXY-121)",
    );
}

#[test]
fn a_dry_run_writes_nothing() {
    for (words, word) in [
        (&["--set", "nftables", "--dry-run"][..], "--dry-run=client"),
        (&["--set", "nftables", "--dry-run=server"], "--dry-run=server"),
    ] {
        let (config, modes) = cluster(well);
        let server = server(config);
        let output = run(&server, words);
        assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains(word), "{}", stdout(&output));
        assert!(
            stdout(&output).contains("-mode: \"\"   # as kubeadm wrote it\n+mode: \"nftables\"   #"),
            "{}",
            stdout(&output)
        );
        let kept = |request: &Recorded| request.parameter("dryRun").is_none();
        assert!(!server.writes().iter().any(kept), "{:#?}", server.writes());
        assert_is(&server, &modes, CONFIGURATION, "iptables", "");
        assert!(backups(&server).is_empty());
    }
}

#[test]
fn what_a_person_sees() {
    let (config, _) = cluster(well);
    let server = server(config);
    let words = ["--set", "nftables", "--yes", "--canary", "w2", "--batch", "2"];
    let output = run(&server, &words);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let seen = stdout(&output);
    assert!(seen.contains("nodes: w2 first, then w1, cp1"), "{seen}");
    // the captured rules are of more Services than this API has
    assert!(seen.lines().any(|line| line.contains("  w1  runs nftables, ")), "{seen}");
    assert!(seen.contains("3 nodes run now nftables"), "{seen}");
    assert_eq!(deleted(&server), ["w2", "w1", "cp1"]);
}

#[test]
fn a_service_that_is_dead_on_a_node_brings_everything_back() {
    let (config, modes) = cluster(well);
    let place = json!({"namespace": "shop", "name": "new", "labels": {"kubernetes.io/service-name": "new"}});
    let config = config
        .object(json!({"apiVersion": "v1", "kind": "Service", "metadata": place,
            "spec": {"type": "ClusterIP", "clusterIP": "10.96.200.200", "clusterIPs": ["10.96.200.200"],
                "ipFamilies": ["IPv4"], "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]},
            "status": {"loadBalancer": {}}}))
        .object(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": place,
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.244.0.99"], "conditions": {"ready": true}, "nodeName": "w1"}]}));
    let server = server(config);
    let output = run(&server, &["--set", "nftables", "--yes", "-o", "json", "--timeout", "2s"]);
    let told = said(&output);
    assert_eq!(code(&output), 1, "{told}");
    assert!(
        told.contains("w1: ") && told.contains("are not in the kernel") && told.contains("10.96.200.200"),
        "{told}"
    );
    assert_is(&server, &modes, CONFIGURATION, "iptables", &told);
    assert_eq!(deleted(&server), ["w1", "w1"], "the canary alone, there and back");
}

#[test]
fn a_pause_is_ended_by_ctrl_c() {
    let (config, modes) = cluster(well);
    let server = server(config);
    let child = start(&server, &["--set", "nftables", "--yes", "-o", "json", "--pause", "1h"]);
    let since = Instant::now();
    while modes.lock().expect("no panic").get("w1").map(String::as_str) != Some("nftables") {
        assert!(since.elapsed() < Duration::from_secs(60), "the canary is not switched");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pressed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(pressed.success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 1, "{}", said(&output));
    assert_is(&server, &modes, CONFIGURATION, "iptables", &said(&output));
}

/// A user with the rights of these files of `docs/rbac` and no others.
fn user_of(name: &str, files: &[&str]) -> User {
    let mut user = User::new(name);
    for file in files {
        let text = fs::read_to_string(fixtures().join("../../docs/rbac").join(file)).expect("the role");
        for role in yaml_documents(&text).expect("YAML") {
            let words = |rule: &Value, field: &str| -> Vec<String> {
                let all = rule[field].as_array().into_iter().flatten();
                all.filter_map(Value::as_str).map(str::to_owned).collect()
            };
            for rule in role["rules"].as_array().into_iter().flatten() {
                for verb in words(rule, "verbs") {
                    for url in words(rule, "nonResourceURLs") {
                        user = user.allow(&verb, &url);
                    }
                    for (group, resource) in words(rule, "apiGroups")
                        .iter()
                        .flat_map(|group| words(rule, "resources").into_iter().map(move |resource| (group, resource)))
                    {
                        let target = if group.is_empty() { resource } else { format!("{resource}.{group}") };
                        user = match role["metadata"]["namespace"].as_str() {
                            Some(namespace) => user.allow_in(namespace, &verb, &target),
                            None => user.allow(&verb, &target),
                        };
                    }
                }
            }
        }
    }
    user
}

#[test]
fn the_roles_in_the_documents_suffice() {
    let (config, modes) = cluster(well);
    let files = ["proxymode.yaml", "nodes-exec.yaml", "proxymode-switch.yaml"];
    let server = server(config.user(user_of("admin", &files)));
    let output = run(&server, TO_NFTABLES);
    assert_eq!(code(&output), 0, "{}\n{}", said(&output), stderr(&output));
    let back = run(&server, BACK);
    assert_eq!(code(&back), 0, "{}\n{}", said(&back), stderr(&back));
    assert_is(&server, &modes, CONFIGURATION, "iptables", "");
    // who may only read is refused before anything is written
    let (config, modes) = cluster(well);
    let reads = self::server(config.user(user_of("admin", &files[..2])));
    let output = run(&reads, TO_NFTABLES);
    assert_eq!(code(&output), 1, "{}", said(&output));
    assert!(said(&output).contains("forbidden"), "{}", said(&output));
    assert_is(&reads, &modes, CONFIGURATION, "iptables", "");
    assert!(deleted(&reads).is_empty() && backups(&reads).is_empty());
}
