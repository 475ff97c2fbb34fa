//! How fast `--help` is there, and how large the release binary is.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a bench prints, and stops when its set-up is wrong")]

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The median of many runs.
fn median(program: &std::path::Path, argument: &str) -> Duration {
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            let start = Instant::now();
            let status = Command::new(program).arg(argument).stdout(Stdio::null()).status().expect("it starts");
            assert!(status.success(), "{} {argument}", program.display());
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let netcidr = e2e::binary("kubectl-netcidr");
    let size = std::fs::metadata(&netcidr).expect("the binary").len();
    println!("{:<34}{:>10.2} ms   at most 3", "kubectl-netcidr --help", median(&netcidr, "--help").as_secs_f64() * 1e3);
    println!("{:<34}{:>10.2} ms   anchor", "/bin/true", median("/bin/true".as_ref(), "").as_secs_f64() * 1e3);
    println!(
        "{:<34}{:>10.2} MiB  at most 8",
        "kubectl-netcidr",
        f64::from(u32::try_from(size).expect("a size")) / 1_048_576.0
    );
}
