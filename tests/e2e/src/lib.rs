//! What the end-to-end suites share: the real binaries, the clusters that they are run against, and
//! a plain client.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "only tests use this crate: a wrong set-up is to stop the test at once, with its reason"
)]

pub mod agents;
mod binary;
pub mod clusters;
pub mod compare;
pub mod corpus;
mod files;
mod http;
pub mod kube_proxy_rules;
pub mod lab;
pub mod netns;
pub mod real;
pub mod schema;
pub mod switching;

pub use binary::{binary, cni, find_program, netcidr, netcidr_at, plugin, proxymode};
pub use files::FileServer;
pub use http::{Answer, Http};

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::Value;

/// The folder of fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// What a program printed.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a program complained about.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The report that a program printed as JSON; it must be as the checked-in schema of its kind says.
pub fn report(output: &Output) -> Value {
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON: {error}\n{}\n{}", stdout(output), stderr(output)));
    let violations = schema::violations(&report);
    assert!(violations.is_empty(), "not by its schema:\n{}", violations.join("\n"));
    report
}

/// A report without what is different in every run: when it was read, and where the server was.
pub fn timeless(mut report: Value) -> Value {
    report["window"] = Value::Null;
    report["cluster"]["server"] = Value::Null;
    report["cluster"]["context"] = Value::Null;
    report
}

/// The reason why a source is unreadable, if it is.
pub fn unreadable<'a>(report: &'a Value, source: &str) -> Option<&'a str> {
    let all = report["unreadable"].as_array().expect("a report has a list of what is unreadable");
    all.iter().find(|entry| entry["source"] == source).and_then(|entry| entry["reason"].as_str())
}

/// The ranges of a role.
pub fn ranges(report: &Value, role: &str) -> Vec<String> {
    let rows = report["ranges"].as_array().expect("a report has ranges");
    rows.iter().filter(|row| row["role"] == role).filter_map(|row| row["cidr"].as_str()).map(str::to_owned).collect()
}

/// The names of a list's items.
pub fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    items.iter().filter_map(|item| item["metadata"]["name"].as_str()).map(str::to_owned).collect()
}
