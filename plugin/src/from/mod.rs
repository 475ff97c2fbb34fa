//! What `--from` reads: recordings, dumps, archives and node files behind the same client that
//! talks to an API server.

mod archive;
mod body;
mod excerpt;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod input;
mod json;
mod nodes;
pub mod recording;
mod selector;
mod service;
mod store;
mod text;
mod yaml;

use std::{collections::HashMap, io, sync::Arc};

use netcore::finding::Unreadable;

pub use excerpt::FILE_ANNOTATION;
pub use nodes::NodeFile;
pub use service::{INCOMPLETE, NOT_RECORDED};

use index::Index;
use recording::Recording;
use store::{FileId, Store};

/// What the command line says about an input.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The one `--node` that was given: node files without a place of their own are its.
    pub node: Option<String>,
}

/// Why an input could not be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum FromError {
    /// A file or folder that cannot be read.
    #[error("{name}: {source}")]
    Io {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// `recording.json` that cannot be understood.
    #[error("{name}: {what}")]
    Recording {
        /// The file.
        name: String,
        /// What is wrong and what would be valid.
        what: String,
    },
    /// Nothing in the input was recognised.
    #[error("{name}: nothing here was recognised; Kubernetes objects in YAML or JSON, a recording, or the output of commands run on a node would be{}", .problems.iter().fold(String::new(), |all, problem| all + "\n  " + problem))]
    Nothing {
        /// The input.
        name: String,
        /// What was wrong with what was there.
        problems: Vec<String>,
    },
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Written by `--record`.
    Recording,
    /// Anything else.
    Dump,
}

/// Where an input came from, as far as it says so itself.
#[derive(Clone, Debug)]
pub struct SnapshotInfo {
    /// What it is.
    pub kind: Kind,
    /// The path as it was given; `-` for standard input.
    pub path: String,
    /// `recording.json`; `None` for a dump.
    pub recording: Option<Recording>,
    /// How many objects it holds.
    pub objects: usize,
}

/// An input, indexed.
#[derive(Debug)]
pub struct Snapshot {
    inner: Arc<Inner>,
    info: SnapshotInfo,
    node_files: Vec<NodeFile>,
    notices: Vec<String>,
    problems: Vec<Problem>,
}

/// Something in an input that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the input names it.
    pub file: String,
    /// The line, from 1, where there is one.
    pub line: Option<u64>,
    /// What is wrong and what would be valid.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// What the client and the bodies that it hands out share.
#[derive(Debug, Default)]
struct Inner {
    index: Index,
    store: Arc<Store>,
    raw: HashMap<String, FileId>,
    recording: Option<Recording>,
    fingerprint: u64,
}

/// Reads and indexes an input: a folder, a file, an archive, or `-` for standard input.
pub fn open(path: &str, options: &Options) -> Result<Snapshot, FromError> {
    input::open(path, options)
}

impl Snapshot {
    /// A client that answers from the files. Must be called inside of a runtime.
    pub fn client(&self) -> kube::Client {
        service::client(&self.inner)
    }

    /// What the input says about itself.
    pub fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    /// The node files, in the order of their names.
    pub fn node_files(&self) -> &[NodeFile] {
        &self.node_files
    }

    /// The bytes of a node file.
    pub fn node_text(&self, file: &NodeFile) -> Result<Vec<u8>, FromError> {
        let store = &self.inner.store;
        let len = usize::try_from(store.len(file.file)).unwrap_or(usize::MAX);
        store.read_exact(file.file, 0, len).map_err(|source| FromError::Io { name: file.name.clone(), source })
    }

    /// What was not recognised or had to be mended; one line each, to be shown once.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// What could not be read: half-written objects and files.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The same, as reports list it.
    pub fn unreadable(&self) -> impl Iterator<Item = Unreadable> {
        self.problems.iter().map(|Problem { file, line, what }| Unreadable {
            source: line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")),
            node: None,
            reason: what.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
