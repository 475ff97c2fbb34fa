//! Reading 10,000 Services of 10 endpoints in kube-proxy's own layout: rules, chains and the graph, the
//! typed view of each rule, and printing; beside it what others take for the same text. Prints a table;
//! asserts nothing.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a bench prints, and stops at a wrong set-up"
)]

use std::{path::Path, process::Command, time::Instant};

use netcore::iptables::{Graph, Ruleset};

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("iptables-save");
    // made by another process, so that its memory does not count for this one
    if let Some(path) = std::env::var_os("NET_BENCH_WRITE") {
        std::fs::write(path, e2e::kube_proxy_rules::save(SERVICES, ENDPOINTS)).expect("a file");
        return;
    }
    let me = std::env::current_exe().expect("this program");
    let made = Command::new(me).env("NET_BENCH_WRITE", &path).status().expect("this program runs");
    assert!(made.success(), "the rules could not be made");
    let bytes = std::fs::read(&path).expect("the rules");
    let size = bytes.len();
    let start = Instant::now();
    let set = Ruleset::parse(bytes);
    let parsed = start.elapsed().as_secs_f64();
    let graphs: Vec<Graph> = set.tables().map(Graph::of).collect();
    let seconds = start.elapsed().as_secs_f64();
    let times = peak() as f64 / size as f64;
    println!(
        "{} rules, {} chains, {} tables, {:.1} MB",
        set.rule_count(),
        set.chain_count(),
        graphs.len(),
        megabytes(size)
    );
    row("parse and model", size, parsed);
    row("parse, model and chain graph", size, seconds);
    println!("  peak {:.1} MB, {times:.2} times the input", peak() as f64 / 1e6);
    let best = (0..5).map(|_| again(&path)).fold(f64::INFINITY, f64::min);
    row("the same, best of 5", size, best);
    let start = Instant::now();
    let parts: usize = set.rules().map(|rule| rule.parts().count()).sum();
    row(&format!("every rule typed ({parts} parts)"), size, start.elapsed().as_secs_f64());
    let start = Instant::now();
    let printed = set.print();
    row("printed again", size, start.elapsed().as_secs_f64());
    println!("  equal to the input: {}", std::fs::read(&path).is_ok_and(|bytes| bytes == printed));
    anchor("iptables-legacy-restore --test", "iptables-legacy-restore", &["--test"], &path, size);
    let program = "import sys\nfor line in open(sys.argv[1]): line.split()";
    anchor("python3, split each line", "python3", &["-c", program], &path, size);
}

fn again(path: &Path) -> f64 {
    let bytes = std::fs::read(path).expect("the rules");
    let start = Instant::now();
    let set = Ruleset::parse(bytes);
    let graphs: Vec<Graph> = set.tables().map(Graph::of).collect();
    let seconds = start.elapsed().as_secs_f64();
    assert!(!graphs.is_empty());
    seconds
}

fn anchor(what: &str, program: &str, arguments: &[&str], path: &Path, size: usize) {
    let start = Instant::now();
    let done = Command::new(program).args(arguments).arg(path).output();
    match done {
        Ok(output) if output.status.success() => row(&format!("anchor: {what}"), size, start.elapsed().as_secs_f64()),
        Ok(output) => println!("anchor: {what}: {}", String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => println!("anchor: {what}: {error}"),
    }
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn row(what: &str, bytes: usize, seconds: f64) {
    println!("{what}: {seconds:.3} s, {:.0} MB/s", megabytes(bytes) / seconds);
}

/// `VmHWM` of this process in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}
