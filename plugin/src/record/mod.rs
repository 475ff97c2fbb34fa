//! `--record`: writes what a run read into a folder that `--from` reads again, without what is secret.
//!
//! Every file is valid whenever the program stops: lists are closed after each write, and
//! `recording.json` is replaced as a whole.

mod filter;
mod lists;
mod mask;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use netcore::{
    cluster::Resource,
    probe::Probe,
    report::{ClusterInfo, Window},
};

use crate::from::recording::{self, Answer, FILE, NodeAnswer, Recording, Unread, VERSION};
use lists::ListFile;

/// Folders of a recording, which a new one replaces.
const FOLDERS: [&str; 3] = ["objects", "raw", "nodes"];

/// How often `recording.json` is brought up to date while the run goes on.
const REFRESH: Duration = Duration::from_millis(500);

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A folder that holds something else.
    #[error("{0} is not empty and holds no recording; name a new folder, or an old recording to replace")]
    NotARecording(String),
    /// The file system refuses.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl RecordError {
    fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.display().to_string(), reason: error.to_string().to_lowercase() }
    }
}

/// A recording that is being written.
pub struct Recorder {
    folder: PathBuf,
    recording: Recording,
    lists: BTreeMap<String, ListFile>,
    written: Instant,
    /// The first write that failed; nothing is written after it.
    failed: Option<RecordError>,
}

impl Recorder {
    /// Begins a recording in a folder that is new, empty, or a recording, which is replaced.
    ///
    /// # Errors
    /// Where the folder holds something else, or can't be written.
    pub fn create(folder: &Path, writer: &str) -> Result<Self, RecordError> {
        let io = |error: io::Error| RecordError::io(folder, &error);
        fs::create_dir_all(folder).map_err(io)?;
        let empty = fs::read_dir(folder).map_err(io)?.next().is_none();
        if !empty {
            if !is_recording(folder) {
                return Err(RecordError::NotARecording(folder.display().to_string()));
            }
            for name in FOLDERS {
                let path = folder.join(name);
                match fs::remove_dir_all(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(RecordError::io(&path, &error));
                    }
                    _ => {}
                }
            }
        }
        let now = timestamp(SystemTime::now());
        let mut recorder = Self {
            folder: folder.to_owned(),
            recording: Recording {
                version: VERSION,
                writer: writer.to_owned(),
                window: Window { start: Some(now.clone()), end: Some(now) },
                ..Recording::default()
            },
            lists: BTreeMap::new(),
            written: Instant::now(),
            failed: None,
        };
        recorder.write_recording();
        match recorder.failed.take() {
            Some(error) => Err(error),
            None => Ok(recorder),
        }
    }

    /// Which cluster it is, as far as it is known by now.
    pub fn cluster(&mut self, change: impl FnOnce(&mut ClusterInfo)) {
        change(&mut self.recording.cluster);
        self.recording.cluster.server = self.recording.cluster.server.take().map(|server| mask::text(&server).into());
        self.write_recording();
    }

    /// An object in JSON, of a list or read by name.
    pub fn object(&mut self, resource: &Resource, version: &str, json: &[u8]) {
        // What can't be understood is reported by whoever reads it, and has nothing to keep.
        let Ok(whole) = serde_json::from_slice(json) else { return };
        let kept = filter::object(resource, version, &whole).to_string();
        self.list(resource, |list| list.push(kept.as_bytes()));
    }

    /// A list was read to its end; `path` is what was asked for.
    pub fn listed(&mut self, resource: &Resource, path: &str) {
        self.list(resource, ListFile::flush);
        let path = recording::selection(path);
        if !self.recording.lists.contains(&path) {
            self.recording.lists.push(path);
        }
        self.refresh();
    }

    /// An answer that was not 200, or none at all (status 0).
    pub fn answer(&mut self, path: &str, status: u16, reason: &str, message: &str, after: u64) {
        self.recording.answers.push(Answer {
            path: recording::selection(path),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            after,
        });
        self.refresh();
    }

    /// An answer that is no object.
    pub fn raw(&mut self, path: &str, text: &str) {
        self.write(&recording::raw_file(path), &filter::raw(path, text));
    }

    /// What a probe printed on a node.
    pub fn node(&mut self, node: &str, probe: Probe, text: &str) {
        let Some(folder) = folder_name(node) else { return };
        self.write(&format!("nodes/{folder}/{}", probe.file()), &filter::probe(probe, text));
    }

    /// A probe that gave nothing.
    pub fn node_unread(&mut self, node: &str, probe: Probe, state: Unread, message: &str) {
        self.recording.nodes.push(NodeAnswer {
            node: node.to_owned(),
            probe: probe.file().to_owned(),
            state,
            message: message.to_owned(),
        });
        self.refresh();
    }

    /// Ends the recording; `window` is when the cluster was read.
    ///
    /// # Errors
    /// The first write that failed since it began.
    pub fn finish(mut self, window: Window) -> Result<(), RecordError> {
        for list in self.lists.values_mut() {
            if let Err(error) = list.flush() {
                self.failed.get_or_insert(RecordError::io(&list.path, &error));
            }
        }
        self.recording.window = window;
        self.write_as_it_is();
        self.failed.map_or(Ok(()), Err)
    }

    fn list(&mut self, resource: &Resource, act: impl FnOnce(&mut ListFile) -> io::Result<()>) {
        if self.failed.is_some() {
            return;
        }
        let name = recording::objects_file(resource.group, resource.plural);
        let path = self.folder.join(&name);
        let list = match self.lists.entry(name) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => match ListFile::create(&path) {
                Ok(list) => entry.insert(list),
                Err(error) => {
                    self.failed = Some(RecordError::io(&path, &error));
                    return;
                }
            },
        };
        if let Err(error) = act(list) {
            self.failed = Some(RecordError::io(&path, &error));
        }
    }

    fn write(&mut self, name: &str, text: &str) {
        if self.failed.is_some() {
            return;
        }
        let path = self.folder.join(name);
        if let Err(error) = replace(&path, text.as_bytes()) {
            self.failed = Some(RecordError::io(&path, &error));
        }
    }

    fn refresh(&mut self) {
        if self.written.elapsed() > REFRESH {
            self.write_recording();
        }
    }

    fn write_recording(&mut self) {
        self.recording.window.end = Some(timestamp(SystemTime::now()));
        self.write_as_it_is();
    }

    fn write_as_it_is(&mut self) {
        self.written = Instant::now();
        if let Ok(mut text) = serde_json::to_string_pretty(&self.recording) {
            text.push('\n');
            self.write(FILE, &text);
        }
    }
}

fn is_recording(folder: &Path) -> bool {
    let text = fs::read(folder.join(FILE)).unwrap_or_default();
    serde_json::from_slice::<Recording>(&text).is_ok_and(|recording| recording.version > 0)
}

/// A node's name as a folder's; names that would lead elsewhere are no node's.
fn folder_name(node: &str) -> Option<&str> {
    let plain = !node.is_empty() && !node.starts_with('.') && !node.contains(['/', '\\', '\0']);
    plain.then_some(node)
}

/// Writes a file beside its place and puts it there.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}

/// RFC 3339 in UTC, to the second.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years of 365.2425 days that begin in March, so that a leap day is a year's last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use netcore::cluster::resources;
    use serde_json::Value;

    use super::*;

    fn read(folder: &Path, name: &str) -> Value {
        serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
    }

    #[test]
    fn a_recording_is_complete_and_valid_at_any_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(folder.path(), "test 0").unwrap();
        assert_eq!(read(folder.path(), FILE)["version"], 1);
        for index in 0..3000 {
            let pod = format!(r#"{{"metadata":{{"name":"p{index}"}},"spec":{{"nodeName":"n"}}}}"#);
            recorder.object(&resources::PODS, "v1", pod.as_bytes());
        }
        // Not finished, yet whatever is there is a list.
        let pods = read(folder.path(), "objects/core/pods.json");
        assert!(pods["items"].as_array().unwrap().len() > 100);
        assert_eq!(pods["items"][0]["kind"], "Pod");
        recorder.listed(&resources::PODS, "/api/v1/pods?limit=5000");
        recorder.listed(&resources::NODES, "/api/v1/nodes?limit=5000");
        recorder.answer("/apis/x/v1/ys?limit=5", 403, "Forbidden", "no", 0);
        recorder.raw("/flagz", "v: 2\n");
        recorder.node("n1", Probe::FlannelSubnetEnv, "FLANNEL_MTU=1450\n");
        recorder.node("../n2", Probe::FlannelSubnetEnv, "x");
        recorder.node_unread("n3", Probe::Routes, Unread::Unreadable, "timed out after 10s");
        recorder.cluster(|cluster| cluster.server = Some("https://me:PLANTED@h:1".to_owned()));
        recorder.finish(Window::default()).unwrap();

        assert_eq!(read(folder.path(), "objects/core/pods.json")["items"].as_array().unwrap().len(), 3000);
        assert_eq!(read(folder.path(), "objects/core/nodes.json")["items"].as_array().unwrap().len(), 0);
        let recording: Recording = serde_json::from_value(read(folder.path(), FILE)).unwrap();
        assert_eq!(recording.lists, ["/api/v1/pods", "/api/v1/nodes"]);
        assert_eq!(recording.answers[0].path, "/apis/x/v1/ys");
        assert_eq!(recording.nodes[0].probe, "ip-route.json");
        assert_eq!(recording.cluster.server.as_deref(), Some("https://(removed)@h:1"));
        assert_eq!(fs::read_to_string(folder.path().join("raw/flagz")).unwrap(), "v: 2\n");
        assert_eq!(fs::read_dir(folder.path().join("nodes")).unwrap().count(), 1);
        assert!(folder.path().join("nodes/n1/subnet.env").exists());
    }

    #[test]
    fn only_a_recording_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        let error = Recorder::create(folder.path(), "test 0").err().unwrap().to_string();
        assert!(error.contains("holds no recording"), "{error}");
        fs::write(folder.path().join(FILE), "{}").unwrap();
        assert!(Recorder::create(folder.path(), "test 0").is_err());

        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(folder.path(), "test 0").unwrap();
        recorder.raw("/flagz", "old");
        recorder.finish(Window::default()).unwrap();
        Recorder::create(folder.path(), "test 0").unwrap().finish(Window::default()).unwrap();
        assert!(!folder.path().join("raw").exists());
    }

    #[test]
    fn a_full_disk_is_told_once_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(folder.path(), "test 0").unwrap();
        fs::write(folder.path().join("raw"), "in the way").unwrap();
        recorder.raw("/flagz", "x");
        recorder.raw("/metrics", "x");
        assert!(
            matches!(recorder.finish(Window::default()), Err(RecordError::Io { path, .. }) if path.ends_with("raw/flagz"))
        );
    }

    #[test]
    fn timestamps_are_the_calendars() {
        let at = |seconds| timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(at(1_709_251_200), "2024-03-01T00:00:00Z");
        assert_eq!(at(1_795_478_400), "2026-11-24T00:00:00Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
