//! The form of a recording, shared by what writes it (`--record`) and what reads it (`--from`).
//!
//! ```text
//! recording.json                        this file's `Recording`
//! objects/<group or core>/<kind>.json   a List; every item carries its apiVersion and kind
//! raw/<path>                            other answers as they came: /flagz, /metrics, /version
//! nodes/<node>/<probe>                  what a probe printed, under `Probe::file`
//! ```

use std::fmt::Write as _;

use netcore::report::{ClusterInfo, Window};
use serde::{Deserialize, Serialize};

/// The name of the file that makes a folder a recording.
pub const FILE: &str = "recording.json";

/// The newest form that this build reads and writes.
pub const VERSION: u32 = 1;

/// Where the PEM chain of the API server's own TLS handshake is stored, below `raw/`.
pub const SERVING_CERTIFICATE: &str = "/serving-certificate.pem";

/// `recording.json`: when and where it was taken, and every answer that was not 200.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Recording {
    /// The form of the recording, `VERSION`.
    pub version: u32,
    /// The program that wrote it, with its version.
    pub writer: String,
    /// When it was read.
    pub window: Window,
    /// Where it was read.
    pub cluster: ClusterInfo,
    /// Collections that were listed to their end, as the paths that `selection` gives.
    pub lists: Vec<String>,
    /// Answers that were not 200, in the order in which they came.
    pub answers: Vec<Answer>,
    /// Node files that could not be read.
    pub nodes: Vec<NodeAnswer>,
}

/// One answer that was not 200.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// What was asked, as `selection` gives it.
    pub path: String,
    /// HTTP status; 0 where no answer came at all (refused, timed out, closed in the middle).
    pub status: u16,
    /// The Status' reason, `Forbidden`.
    pub reason: String,
    /// The Status' message, or the transport error.
    pub message: String,
    /// For a list that ended in this answer: how many objects had come before it.
    #[serde(skip_serializing_if = "is_zero")]
    pub after: u64,
}

/// A probe that could not be read on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAnswer {
    /// The node.
    pub node: String,
    /// `Probe::file`.
    pub probe: String,
    /// What is missing.
    #[serde(skip_serializing_if = "Unread::is_unreadable")]
    pub state: Unread,
    /// Why.
    pub message: String,
}

/// How a probe that gave nothing ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Unread {
    /// It could not be read.
    #[default]
    Unreadable,
    /// The node does not have it.
    Absent,
    /// Nothing on the node that can be asked sees it.
    Unseen,
}

impl Unread {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_unreadable(&self) -> bool {
        *self == Self::Unreadable
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What a request selects: its path, with the selectors of its query and without paging, so that
/// every page of one list has one name.
pub fn selection(path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut kept: Vec<&str> = query
        .split('&')
        .filter(|part| part.starts_with("labelSelector=") || part.starts_with("fieldSelector="))
        .collect();
    kept.sort_unstable();
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() { "/" } else { path };
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// The file of a kind's objects: `objects/core/pods.json`.
pub fn objects_file(group: &str, plural: &str) -> String {
    format!("objects/{}/{plural}.json", if group.is_empty() { "core" } else { group })
}

/// The file of a raw answer: `/flagz` is `raw/flagz`. Discovery has a document at every level of
/// the path, so that those of `/api` and `/apis` are stored as `raw/apis/index.json`. Characters
/// that a file system may refuse are percent-encoded.
pub fn raw_file(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let mut file = String::from("raw");
    let mut segments = 0;
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        file.push('/');
        segments += 1;
        if segment.bytes().all(|b| b == b'.') {
            file.push_str(&segment.replace('.', "%2E"));
            continue;
        }
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~%@+=".contains(&byte) {
                file.push(char::from(byte));
            } else {
                let _ = write!(file, "%{byte:02X}");
            }
        }
    }
    if is_discovery(path, segments) {
        file.push_str("/index.json");
    }
    file
}

/// Whether a path is one of `/api`, `/api/v1`, `/apis`, `/apis/GROUP`, `/apis/GROUP/VERSION`.
fn is_discovery(path: &str, segments: usize) -> bool {
    match path.split('/').find(|segment| !segment.is_empty()) {
        Some("api") => segments <= 2,
        Some("apis") => segments <= 3,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paging_is_not_part_of_what_is_selected() {
        assert_eq!(selection("/api/v1/pods?limit=500&continue=abc"), "/api/v1/pods");
        assert_eq!(
            selection("/api/v1/pods?limit=5&labelSelector=a%3Db&fieldSelector=x"),
            "/api/v1/pods?fieldSelector=x&labelSelector=a%3Db"
        );
        assert_eq!(selection("/"), "/");
    }

    #[test]
    fn raw_files_stay_below_raw_and_discovery_does_not_collide() {
        assert_eq!(raw_file("/flagz"), "raw/flagz");
        assert_eq!(raw_file("/serving-certificate.pem"), "raw/serving-certificate.pem");
        assert_eq!(raw_file("/apis"), "raw/apis/index.json");
        assert_eq!(raw_file("/apis/apps/v1"), "raw/apis/apps/v1/index.json");
        assert_eq!(raw_file("/api/v1/nodes/a/proxy/configz"), "raw/api/v1/nodes/a/proxy/configz");
        assert_eq!(
            raw_file("/api/v1/namespaces/kube-system/pods/https:p:10250/proxy/x"),
            "raw/api/v1/namespaces/kube-system/pods/https%3Ap%3A10250/proxy/x"
        );
        assert_eq!(raw_file("/../../etc/passwd"), "raw/%2E%2E/%2E%2E/etc/passwd");
    }

    #[test]
    fn a_recording_written_by_a_newer_program_still_reads() {
        let recording: Recording =
            serde_json::from_str(r#"{"version":1,"window":{"start":"2026-01-01T00:00:00Z"},"novelty":true}"#).unwrap();
        assert_eq!(recording.window, Window { start: Some("2026-01-01T00:00:00Z".to_owned()), end: None });
        assert!(recording.answers.is_empty());
    }
}
