//! A lab comes, works and goes; what the machine has afterwards is what it had before.
//!
//! Takes a minute, root and built components: runs where `NET_LAB_LIFECYCLE` is set, as `cargo xtask test` does.
#![cfg(target_os = "linux")]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test stops where its set-up is wrong, and says what it skips"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

fn wanted() -> bool {
    let wanted = env::var_os("NET_LAB_LIFECYCLE").is_some();
    if !wanted {
        println!("skipped: NET_LAB_LIFECYCLE is not set");
    }
    wanted
}

fn lab(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).args(args).output().expect("the lab starts")
}

fn must(args: &[&str]) -> String {
    let output = lab(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn folder(id: &str) -> PathBuf {
    Path::new("/var/lib/kubectl-net-lab").join(id)
}

/// What a lab could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Machine {
    named_namespaces: String,
    links: BTreeSet<String>,
    mounts: BTreeSet<String>,
    groups: BTreeSet<PathBuf>,
    folder: bool,
}

impl Machine {
    fn now(id: &str) -> Self {
        let named = Command::new("ip").args(["netns", "list"]).output().expect("ip starts");
        let links = fs::read_dir("/sys/class/net").expect("links");
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let mut groups = BTreeSet::new();
        groups_of(Path::new("/sys/fs/cgroup"), id, &mut groups);
        Self {
            named_namespaces: String::from_utf8_lossy(&named.stdout).into_owned(),
            links: links.map(|link| link.expect("a link").file_name().to_string_lossy().into_owned()).collect(),
            mounts: mounts.lines().map(str::to_owned).collect(),
            groups,
            folder: folder(id).exists(),
        }
    }
}

fn groups_of(place: &Path, id: &str, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for path in entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()) {
        if path.ends_with(Path::new("kubectl-net-lab").join(id)) {
            found.insert(path.clone());
        }
        groups_of(&path, id, found);
    }
}

/// Parent and start of every process that runs; one that has ended is its parent's to take note of.
fn processes() -> BTreeMap<u32, (u32, u64)> {
    let entries = fs::read_dir("/proc").expect("proc");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        if fields.first() == Some(&"Z") {
            return None;
        }
        Some((pid, (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?)))
    })
    .collect()
}

fn supervisor(id: &str) -> u32 {
    let text = fs::read_to_string(folder(id).join("state.json")).expect("the lab's state");
    let state: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    state["supervisor"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a supervisor")
}

/// A lab's processes: the supervisor's and all below, each with its start.
fn tree(root: u32) -> BTreeMap<u32, u64> {
    let all = processes();
    let mut found: BTreeMap<u32, u64> =
        all.iter().filter(|(pid, _)| **pid == root).map(|(pid, p)| (*pid, p.1)).collect();
    loop {
        let more: Vec<(u32, u64)> = all
            .iter()
            .filter(|(pid, (parent, _))| found.contains_key(parent) && !found.contains_key(pid))
            .map(|(pid, (_, start))| (*pid, *start))
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn still_there(tree: &BTreeMap<u32, u64>) -> Vec<u32> {
    let now = processes();
    tree.iter()
        .filter(|(pid, start)| now.get(pid).is_some_and(|(_, other)| other == *start))
        .map(|(pid, _)| *pid)
        .collect()
}

#[test]
fn a_lab_works_and_leaves_nothing() {
    if !wanted() {
        return;
    }
    let id = "test-down";
    lab(&["down", "--id", id]);
    let before = Machine::now(id);
    let said = must(&["up", "--id", id]);
    assert_eq!(said.trim(), format!("export KUBECONFIG={}/kubeconfig", folder(id).display()));
    let tree = tree(supervisor(id));
    assert!(tree.len() > 10, "{tree:?}");

    assert_eq!(must(&["exec", "--id", id, "node2", "--", "hostname"]), "node2\n");
    assert_eq!(lab(&["exec", "--id", id, "node1", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    let nodes = must(&["kubectl", "--id", id, "get", "nodes", "-o", "name"]);
    assert_eq!(nodes, "node/node1\nnode/node2\n");
    let ready = must(&["kubectl", "--id", id, "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"]);
    assert_eq!(ready, "3");
    let page = must(&["exec", "--id", id, "node1", "--", "curl", "-sS", "-m", "10", "http://172.31.77.3:31999/"]);
    assert!(page.starts_with("web-"), "{page}");
    let second = lab(&["up", "--id", id]);
    assert!(String::from_utf8_lossy(&second.stderr).contains("is there"), "{second:?}");

    must(&["down", "--id", id]);
    assert_eq!(Machine::now(id), before);
    assert_eq!(still_there(&tree), Vec::<u32>::new());
}

#[test]
fn a_killed_lab_is_swept() {
    if !wanted() {
        return;
    }
    let id = "test-killed";
    lab(&["down", "--id", id]);
    let before = Machine::now(id);
    must(&["up", "--id", id, "--nodes", "1"]);
    let root = supervisor(id);
    let tree = tree(root);
    let killed = Command::new("kill").args(["-9", &root.to_string()]).status().expect("kill starts");
    assert!(killed.success());
    must(&["down", "--id", id]);
    assert_eq!(Machine::now(id), before);
    assert_eq!(still_there(&tree), Vec::<u32>::new());
}

/// Two side by side; one is killed and swept by the `up` that takes its name, and the other never notices.
#[test]
fn two_labs_live_side_by_side_and_up_sweeps_the_killed_one() {
    if !wanted() {
        return;
    }
    let labs = ["test-left", "test-right"];
    let machines = || labs.map(Machine::now);
    let answers = |id: &str| {
        let page = must(&["exec", "--id", id, "node1", "--", "curl", "-sS", "-m", "10", "http://172.31.77.2:31999/"]);
        assert!(page.starts_with("web-"), "{id}: {page}");
        assert_eq!(must(&["kubectl", "--id", id, "get", "nodes", "-o", "name"]), "node/node1\n", "{id}");
    };
    for id in labs {
        lab(&["down", "--id", id]);
    }
    let before = machines();
    for id in labs {
        must(&["up", "--id", id, "--nodes", "1"]);
    }
    labs.into_iter().for_each(answers);

    let [left, right] = labs;
    let root = supervisor(right);
    let killed = tree(root);
    assert!(Command::new("kill").args(["-9", &root.to_string()]).status().expect("kill starts").success());
    let again = lab(&["up", "--id", right, "--nodes", "1"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.success() && said.contains("swept what the lab `test-right` had left"), "{said}");
    assert_eq!(still_there(&killed), Vec::<u32>::new());
    labs.into_iter().for_each(answers);

    must(&["down", "--id", right]);
    answers(left);
    must(&["down", "--id", left]);
    assert_eq!(machines(), before);
}

#[test]
fn an_interrupted_start_leaves_nothing() {
    if !wanted() {
        return;
    }
    let id = "test-stopped";
    lab(&["down", "--id", id]);
    let before = Machine::now(id);
    let mut up = Command::new(env!("CARGO_BIN_EXE_lab")).args(["up", "--id", id]).spawn().expect("the lab starts");
    let components = folder(id).join("components/node1-kubelet.json");
    let patience = Instant::now() + Duration::from_secs(300);
    while !components.exists() {
        assert!(Instant::now() < patience && up.try_wait().expect("a child").is_none(), "no kubelet came");
        thread::sleep(Duration::from_millis(50));
    }
    let tree = tree(up.id());
    Command::new("kill").args(["-INT", &up.id().to_string()]).status().expect("kill starts");
    assert_eq!(up.wait().expect("it ends").code(), Some(1));
    assert_eq!(Machine::now(id), before);
    assert_eq!(still_there(&tree), Vec::<u32>::new());
}

#[test]
fn a_taken_port_is_named() {
    if !wanted() {
        return;
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = lab(&["up", "--id", "test-port", "--port", &port]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("--port"), "{said}");
    assert!(!folder("test-port").exists());
}

#[test]
fn a_component_that_dies_is_named_with_its_last_words() {
    if !wanted() {
        return;
    }
    let id = "test-died";
    let bad = tempfile::tempdir().expect("a folder");
    let program = bad.path().join("kube-scheduler");
    fs::write(&program, "#!/bin/sh\necho the scheduler has had enough\nexit 3\n").expect("a file");
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(&program, mode).expect("a mode");
    let before = Machine::now(id);
    let output = lab(&["up", "--id", id, "--bin", &bad.path().to_string_lossy()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for part in ["control/kube-scheduler died", "exit code 3", "the scheduler has had enough", "kube-scheduler.log"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(Machine::now(id), before);
}
