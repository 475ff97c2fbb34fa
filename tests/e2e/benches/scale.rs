//! The whole report on a cluster of 5,000 nodes, 150,000 pods and 10,000 Services beside the raw
//! protobuf list of the same kinds, from the same server in the same run.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a bench prints, and stops when its set-up is wrong")]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use apiserver::{Server, generate};
use e2e::{Http, binary};

const KINDS: [&str; 4] =
    ["/api/v1/nodes", "/api/v1/pods", "/api/v1/services", "/apis/networking.k8s.io/v1/ipaddresses"];

/// Where the field of `/metadata/continue` of a protobuf list is: page by page without decoding more
/// than the token, which stands in plain text before the items.
fn token(body: &[u8]) -> Option<String> {
    let head = &body[..body.len().min(1024)];
    let start = head.windows(4).position(|window| window == b"eyJ2")?;
    let end = head[start..].iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"-_".contains(byte)))?;
    Some(String::from_utf8_lossy(&head[start..start + end]).into_owned())
}

/// Reads every kind as bytes; gives time and bytes.
fn raw(http: &Http) -> (Duration, usize) {
    let (start, mut bytes) = (Instant::now(), 0);
    for kind in KINDS {
        let mut next = Some(String::new());
        while let Some(token_text) = next {
            let page =
                http.get(&format!("{kind}?limit=5000&continue={token_text}"), "application/vnd.kubernetes.protobuf");
            bytes += page.body.len();
            next = token(&page.body);
        }
    }
    (start.elapsed(), bytes)
}

/// Runs the report; gives time and the peak of its memory in MiB, where `/usr/bin/time` is at hand.
fn report(kubeconfig: &Path) -> (Duration, Option<f64>) {
    let time = Path::new("/usr/bin/time");
    let netcidr = binary("kubectl-netcidr");
    let mut command = if time.is_file() {
        let mut command = Command::new(time);
        command.args(["-f", "%M"]).arg(netcidr);
        command
    } else {
        Command::new(netcidr)
    };
    let start = Instant::now();
    let output = command
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["-o", "json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .expect("it starts");
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    (took, said.lines().last().and_then(|line| line.trim().parse::<f64>().ok()).map(|kib| kib / 1024.0))
}

fn main() {
    // a real API server where one was seeded: `cargo xtask bench scale` starts it
    let real = std::env::var_os("NET_SCALE_KUBECONFIG").map(std::path::PathBuf::from);
    let server = real.is_none().then(|| Server::start(generate::cluster(generate::LARGE)));
    let kubeconfig = real.clone().unwrap_or_else(|| server.as_ref().expect("one of the two").kubeconfig());
    let http = Http::new(&kubeconfig);
    binary("kubectl-netcidr");
    println!("{}", if real.is_some() { "kube-apiserver and etcd" } else { "the tests' own API server" });
    // turn by turn, so that whatever else the machine does hits both
    let mut runs = Vec::new();
    for _ in 0..if real.is_some() { 3 } else { 1 } {
        runs.push((raw(&http), report(&kubeconfig)));
    }
    runs.sort_by_key(|(_, (took, _))| *took);
    let (_, (took, memory)) = runs[runs.len() / 2];
    runs.sort_by_key(|((listed, _), _)| *listed);
    let ((listed, bytes), _) = runs[runs.len() / 2];
    let mib = f64::from(u32::try_from(bytes).expect("less than 4 GiB")) / 1_048_576.0;
    println!("5,000 nodes, 150,000 pods, 10,000 Services, each with its address");
    println!("{:<34}{:>10.2} s    anchor, {mib:.0} MiB", "raw protobuf lists", listed.as_secs_f64());
    let ratio = took.as_secs_f64() / listed.as_secs_f64();
    println!("{:<34}{:>10.2} s    {ratio:.2} of the anchor, at most 1.5", "kubectl netcidr", took.as_secs_f64());
    match memory {
        Some(memory) => println!("{:<34}{memory:>10.1} MiB  at most 64", "its peak"),
        None => println!("{:<34}         ?      no /usr/bin/time", "its peak"),
    }
    println!("once measured elsewhere on such a cluster: kubectl get pods -A -o json 170 to 194 s and 13.6 GB,");
    println!("-o wide 117 s and 5.9 GB, a raw protobuf list of the pods 16 s");
}
