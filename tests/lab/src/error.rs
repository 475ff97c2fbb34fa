//! What can go wrong, each with what to do about it.

use std::{io, path::PathBuf};

/// Why the lab could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read, written, made or mounted.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// A program could not be started.
    #[error("`{0}` could not be started: {1}")]
    Start(String, #[source] io::Error),
    /// A program failed: its line, how it ended, its last words.
    #[error("`{program}` failed with {status}{}", tail(.output))]
    Failed {
        /// The command line.
        program: String,
        /// How it ended.
        status: String,
        /// The last lines that it wrote.
        output: String,
    },
    /// A component of the cluster ended that must not.
    #[error("{component} died ({status}){}\nits log: {}", tail(.output), .log.display())]
    Died {
        /// The component, with its node: `node1/kubelet`.
        component: String,
        /// How it ended.
        status: String,
        /// The last lines of its log.
        output: String,
        /// Where its log is.
        log: PathBuf,
    },
    /// A state did not come within its limit.
    #[error("{what}: not within {seconds} s; last seen: {seen}")]
    Late {
        /// What was waited for.
        what: String,
        /// The limit.
        seconds: u64,
        /// What was there instead.
        seen: String,
    },
    /// Somebody asked to stop.
    #[error("stopped; nothing is left")]
    Stopped,
    /// This machine lacks something.
    #[error("the lab wants {0}")]
    Wants(String),
    /// Something is not as it must be.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// For `map_err` on file operations: keeps the path.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::File(path, error)
    }
}

fn tail(output: &str) -> String {
    let output = output.trim_end();
    if output.is_empty() { String::new() } else { format!(":\n{output}") }
}
