//! Why a command did not run on a node, and what a `Status` of the exec protocol says.

use std::time::Duration;

use crate::cluster::{ReadError, innermost};

/// What a command gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    pub(super) code: i32,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RunError {
    /// The container, or the host, has no such program.
    #[error("no such program")]
    NoProgram,
    /// 403: the same for every pod of the namespace.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// The pod or container went away.
    #[error("{0}")]
    Gone(String),
    /// 429, and how long to wait.
    #[error("the server is busy: {1}")]
    Busy(Option<Duration>, String),
    /// The connection broke before it was known how the command ended: it may still be running.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The API server or the kubelet refused: nothing was run.
    #[error("{0}")]
    Refused(String),
}

impl RunError {
    /// Why the connection to a pod could not be made.
    pub(super) fn connecting(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let message = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
                match status.code {
                    403 => Self::Forbidden(message),
                    404 => Self::Gone(message),
                    429 => {
                        let seconds = status.details.as_ref().map(|details| details.retry_after_seconds);
                        Self::Busy(seconds.map(u64::from).map(Duration::from_secs), message)
                    }
                    code => Self::of_message(&format!("the server answered {code}: {message}")),
                }
            }
            error => Self::Broken(innermost(error)),
        }
    }

    fn of_message(message: &str) -> Self {
        let text = message.to_ascii_lowercase();
        if text.contains("executable file not found") || (text.contains("exec:") && text.contains("no such file")) {
            Self::NoProgram
        } else if text.contains("container not found") || text.contains("is not running") {
            Self::Gone(message.to_owned())
        } else {
            Self::Refused(message.to_owned())
        }
    }

    /// Whether the same can be asked again at once: nothing was run, or what was is light.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

impl From<ReadError> for RunError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Forbidden(message) => Self::Forbidden(message),
            error => Self::Refused(error.to_string()),
        }
    }
}

/// How a command ended, as the last message of the exec protocol says it: its exit code.
pub(super) fn exit_code(success: bool, causes: &[(String, String)], message: &str) -> Result<i32, RunError> {
    if success {
        return Ok(0);
    }
    match causes.iter().find(|(reason, _)| reason == "ExitCode") {
        Some((_, code)) => {
            code.parse().map_err(|_| RunError::Refused(format!("exit code \"{code}\" is no number: {message}")))
        }
        None => Err(RunError::of_message(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_told_from_one_that_failed() {
        let cause = |code: &str| vec![("ExitCode".to_owned(), code.to_owned())];
        assert_eq!(exit_code(true, &[], ""), Ok(0));
        assert_eq!(exit_code(false, &cause("3"), "command terminated with exit code 3"), Ok(3));
        let runc = "Internal error occurred: error executing command in container: failed to exec in container: failed \
                    to start exec \"a1\": OCI runtime exec failed: exec failed: unable to start container process: \
                    exec: \"ip\": executable file not found in $PATH: unknown";
        assert_eq!(exit_code(false, &[], runc), Err(RunError::NoProgram));
        let absolute = "OCI runtime exec failed: exec: \"/bin/x\": stat /bin/x: no such file or directory: unknown";
        assert_eq!(exit_code(false, &[], absolute), Err(RunError::NoProgram));
        let dead = "error dialing backend: dial tcp 172.31.77.3:10250: connect: connection refused";
        assert_eq!(exit_code(false, &[], dead), Err(RunError::Refused(dead.to_owned())));
        let gone = "container not found (\"kube-proxy\")";
        assert_eq!(exit_code(false, &[], gone), Err(RunError::Gone(gone.to_owned())));
    }
}
