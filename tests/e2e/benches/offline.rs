//! Reading a dump: 450 MB of pods in JSON and 60 MB in YAML, indexed and listed through the client.
//! Prints megabytes a second and the peak of memory; asserts nothing.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a bench prints, and stops at a wrong set-up"
)]

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::Path,
    time::Instant,
};

use http_body_util::BodyExt;

const JSON_BYTES: u64 = 450 << 20;
const YAML_BYTES: u64 = 60 << 20;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let json = dir.path().join("pods.json");
    let yaml = dir.path().join("pods.yaml");
    write_pods(&json, JSON_BYTES, true);
    write_pods(&yaml, YAML_BYTES, false);
    baseline(&json);
    measure("json", &json);
    measure("yaml", &yaml);
}

/// Reading the bytes alone: what no reader can be faster than.
fn baseline(path: &Path) {
    let start = Instant::now();
    let mut file = File::open(path).expect("the file");
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    while let Ok(n @ 1..) = file.read(&mut buffer) {
        bytes += n as u64;
    }
    report("json: reading the file alone", bytes, start);
}

fn measure(what: &str, path: &Path) {
    let bytes = path.metadata().expect("the file").len();
    let start = Instant::now();
    let snapshot = plugin::from::open(&path.to_string_lossy(), &plugin::from::Options::default()).expect("a dump");
    report(&format!("{what}: index of {} pods", snapshot.info().objects), bytes, start);
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let served = runtime.block_on(async {
        let client = snapshot.client();
        let (mut served, mut token) = (0, String::new());
        loop {
            let path = format!("/api/v1/pods?limit=10000&continue={token}");
            let request = http::Request::get(path).body(kube::client::Body::empty()).expect("a request");
            let mut body = client.send(request).await.expect("an answer").into_body();
            let mut head = Vec::new();
            while let Some(frame) = body.frame().await {
                let data = frame.expect("a piece").into_data().unwrap_or_default();
                served += data.len() as u64;
                if head.is_empty() {
                    head.extend_from_slice(&data);
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let next = head.split("\"continue\":\"").nth(1).and_then(|rest| rest.split('"').next());
            match next {
                Some(next) if !next.is_empty() => next.clone_into(&mut token),
                _ => return served,
            }
        }
    });
    report(&format!("{what}: list through the client"), served, start);
}

fn report(what: &str, bytes: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    println!("{what}: {megabytes:.0} MB in {seconds:.2} s, {:.0} MB/s, peak {} MiB", megabytes / seconds, peak());
}

/// `VmHWM` of this process.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}

/// Clones one captured pod with other names and addresses until the file is as large as asked.
fn write_pods(path: &Path, bytes: u64, json: bool) {
    let capture = e2e::fixtures().join("captures/cluster3-exec/pods.json");
    let text = std::fs::read_to_string(capture).expect("the capture cluster3-exec");
    let list: serde_json::Value = serde_json::from_str(&text).expect("a list");
    let mut pod = list["items"][0].clone();
    let mut out = BufWriter::new(File::create(path).expect("a file"));
    let mut written = 0;
    let open = if json { "{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n" } else { "apiVersion: v1\nitems:\n" };
    out.write_all(open.as_bytes()).expect("room");
    let mut count = 0_u32;
    while written < bytes {
        pod["metadata"]["name"] = format!("pod-{count:06}-x7k2p").into();
        pod["metadata"]["namespace"] = format!("namespace-{}", count % 200).into();
        pod["metadata"]["resourceVersion"] = count.to_string().into();
        pod["status"]["podIP"] = std::net::Ipv4Addr::from(0x0A00_0000 + count).to_string().into();
        let mut text = String::new();
        if json {
            let pretty = serde_json::to_string_pretty(&pod).expect("JSON");
            text.push_str(if count > 0 { ",\n" } else { "" });
            text.push_str(&pretty);
        } else {
            yaml(&pod, 2, &mut text);
            text.replace_range(0..1, "-");
        }
        out.write_all(text.as_bytes()).expect("room");
        written += text.len() as u64;
        count += 1;
    }
    let close = if json {
        "\n    ],\n    \"kind\": \"List\",\n    \"metadata\": {}\n}\n"
    } else {
        "kind: List\nmetadata: {}\n"
    };
    out.write_all(close.as_bytes()).expect("room");
    out.flush().expect("room");
}

/// Block YAML, as kubectl prints it; strings are quoted.
fn yaml(value: &serde_json::Value, indent: usize, out: &mut String) {
    let fields = value.as_object().into_iter().flatten().map(|(key, value)| (format!("{key}:"), value));
    let items = value.as_array().into_iter().flatten().map(|value| ("-".to_owned(), value));
    for (head, value) in fields.chain(items) {
        out.push_str(&" ".repeat(indent));
        out.push_str(&head);
        let nested =
            value.as_object().is_some_and(|map| !map.is_empty()) || value.as_array().is_some_and(|all| !all.is_empty());
        if nested {
            out.push('\n');
            yaml(value, indent + 2, out);
        } else {
            out.push(' ');
            out.push_str(&value.to_string());
            out.push('\n');
        }
    }
}
