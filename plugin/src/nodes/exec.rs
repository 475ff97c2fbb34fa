//! Commands in containers, over the WebSocket exec protocol.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::AttachParams};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{
    error::{Ran, RunError, exit_code},
    seat::Seat,
};

/// No answer of a node is larger.
const LARGEST: usize = 512 << 20;
/// How much of what a command complains about is kept.
const COMPLAINT: usize = 16 << 10;
/// How much may be under way between the connection and the reader.
const BUFFER: usize = 1 << 20;

/// Runs a command in a container, and waits for its end.
pub(super) async fn run(client: &Client, seat: &Seat, argv: &[String]) -> Result<Ran, RunError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &seat.namespace);
    let params = AttachParams {
        container: Some(seat.container.clone()),
        max_stdout_buf_size: Some(BUFFER),
        ..AttachParams::default().stdin(false).stdout(true).stderr(true).tty(false)
    };
    let mut process = pods.exec(&seat.pod, argv, &params).await.map_err(|error| RunError::connecting(&error))?;
    let (stdout, stderr, status) = (process.stdout(), process.stderr(), process.take_status());
    let (mut out, mut err) = (Drained::new(LARGEST), Drained::new(COMPLAINT));
    let status = {
        let drained = async { tokio::join!(out.drain(stdout), err.drain(stderr)) };
        tokio::pin!(drained);
        let status = async {
            match status {
                Some(status) => status.await,
                None => None,
            }
        };
        tokio::pin!(status);
        tokio::select! {
            _ = &mut drained => status.await,
            known = &mut status => {
                if known.is_some() {
                    drained.await;
                } else {
                    // where the connection broke, the streams never end: only what came is taken
                    tokio::select! {
                        biased;
                        _ = &mut drained => {}
                        () = std::future::ready(()) => {}
                    }
                }
                known
            }
        }
    };
    let (stdout, stderr) = (out, err);
    let joined = process.join().await;
    let Some(status) = status else {
        let came = format!("after {} bytes", stdout.bytes.len());
        return Err(RunError::Broken(match joined {
            Err(error) => format!("{came}: {}", crate::cluster::innermost(&error)),
            Ok(()) => format!("{came}, before the command's exit code came"),
        }));
    };
    if stdout.cut {
        return Err(RunError::Refused(format!("the answer is larger than {} MiB", LARGEST >> 20)));
    }
    let causes: Vec<(String, String)> = status
        .details
        .as_ref()
        .and_then(|details| details.causes.as_ref())
        .into_iter()
        .flatten()
        .map(|cause| (cause.reason.clone().unwrap_or_default(), cause.message.clone().unwrap_or_default()))
        .collect();
    let success = status.status.as_deref() == Some("Success");
    let code = exit_code(success, &causes, status.message.as_deref().unwrap_or_default())?;
    let stderr = String::from_utf8_lossy(&stderr.bytes).into_owned();
    if no_program(code, &stderr) {
        return Err(RunError::NoProgram);
    }
    Ok(Ran { stdout: stdout.bytes, stderr, code })
}

/// Some runtimes say by an exit code what others say by an error.
pub(super) fn no_program(code: i32, stderr: &str) -> bool {
    matches!(code, 126 | 127) && (stderr.trim().is_empty() || stderr.contains("not found"))
}

/// What came of a stream, as much as is kept of it.
struct Drained {
    bytes: Vec<u8>,
    limit: usize,
    cut: bool,
}

impl Drained {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, cut: false }
    }

    /// Reads to the end: what is not read would stop the other streams.
    async fn drain(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut chunk = vec![0; 64 << 10];
        while let Ok(n @ 1..) = stream.read(&mut chunk).await {
            let room = self.limit.saturating_sub(self.bytes.len());
            self.cut |= n > room;
            self.bytes.extend_from_slice(chunk.get(..n.min(room)).unwrap_or_default());
        }
    }
}
