//! `exec` and `portforward` over `WebSockets`, as the API server relays them from a kubelet.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use crate::reply::{Payload, Reply};

/// As much as a kubelet puts into one message.
const PIECE: usize = 32 << 10;

/// A command that is to be run in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// The node that the pod is on.
    pub node: String,
    /// The words of the command.
    pub argv: Vec<String>,
}

/// How a command goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It ends by itself.
    Ends {
        /// What it prints.
        stdout: Vec<u8>,
        /// What it complains about.
        stderr: String,
        /// Its exit code.
        code: i32,
        /// How long it takes.
        takes: Duration,
    },
    /// There is no such program in the container.
    NoProgram,
    /// The connection breaks after these bytes.
    Breaks(Vec<u8>),
    /// Nothing ever comes.
    Hangs,
}

impl Ran {
    /// Prints this, and ends well.
    pub fn prints(stdout: impl Into<Vec<u8>>) -> Self {
        Self::Ends { stdout: stdout.into(), stderr: String::new(), code: 0, takes: Duration::ZERO }
    }

    /// Complains, and ends with a code.
    pub fn fails(code: i32, stderr: &str) -> Self {
        Self::Ends { stdout: Vec::new(), stderr: stderr.to_owned(), code, takes: Duration::ZERO }
    }
}

/// Says how a command goes.
pub type Runs = Arc<dyn Fn(&Exec) -> Ran + Send + Sync>;
/// What a pod's port answers to a GET: node and path; nothing where nobody listens.
pub type Answers = Arc<dyn Fn(&str, &str) -> Option<(u16, String)> + Send + Sync>;

/// The answer that switches to `WebSockets`; nothing where the request does not ask for that.
pub(crate) fn switch(headers: &HeaderMap) -> Option<Reply> {
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let protocol = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
        .into_iter()
        .find(|known| offered.split(',').any(|offer| offer.trim() == *known))?;
    let mut reply = Response::new(Payload::Whole(None));
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    let accept = derive_accept_key(key.as_bytes());
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64"));
    Some(reply)
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn socket(upgrade: OnUpgrade) -> Option<Socket> {
    let upgraded = upgrade.await.ok()?;
    Some(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await)
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut whole = Vec::with_capacity(bytes.len() + 1);
    whole.push(channel);
    whole.extend_from_slice(bytes);
    Message::Binary(Bytes::from(whole))
}

/// Plays a command to a client. A client that goes away is no concern.
pub(crate) async fn exec(upgrade: OnUpgrade, ran: Ran) {
    let Some(mut socket) = socket(upgrade).await else { return };
    // as a kubelet does: an empty message on each channel
    for channel in [1, 2, 3] {
        let _ = socket.send(message(channel, &[])).await;
    }
    let status = match ran {
        Ran::Hangs => {
            while let Some(Ok(_)) = socket.next().await {}
            return;
        }
        Ran::Breaks(bytes) => {
            for piece in bytes.chunks(PIECE) {
                let _ = socket.send(message(1, piece)).await;
            }
            // no closing message: the connection is dropped
            return;
        }
        Ran::NoProgram => json!({"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": "Internal error occurred: error executing command in container: failed to exec in container: \
                failed to start exec \"0123\": OCI runtime exec failed: exec failed: unable to start container process: \
                exec: \"x\": executable file not found in $PATH: unknown"}),
        Ran::Ends { stdout, stderr, code, takes } => {
            tokio::time::sleep(takes).await;
            for (channel, bytes) in [(1, stdout.as_slice()), (2, stderr.as_bytes())] {
                for piece in bytes.chunks(PIECE) {
                    if socket.send(message(channel, piece)).await.is_err() {
                        return;
                    }
                }
            }
            match code {
                0 => json!({"metadata": {}, "status": "Success"}),
                code => json!({"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                    "message": format!("command terminated with non-zero exit code: exit status {code}"),
                    "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}}),
            }
        }
    };
    let _ = socket.send(message(3, status.to_string().as_bytes())).await;
    let _ = socket.close(None).await;
    while let Some(Ok(_)) = socket.next().await {}
}

/// Plays a pod's port: one HTTP request, one answer.
pub(crate) async fn forward(upgrade: OnUpgrade, port: u16, answer: impl Fn(&str) -> Option<(u16, String)>) {
    let Some(mut socket) = socket(upgrade).await else { return };
    for channel in [0, 1] {
        let _ = socket.send(message(channel, &port.to_le_bytes())).await;
    }
    let mut asked = Vec::new();
    while let Some(Ok(next)) = socket.next().await {
        if let Message::Binary(bytes) = next
            && bytes.first() == Some(&0)
        {
            asked.extend_from_slice(&bytes[1..]);
            if asked.windows(4).any(|window| window == b"\r\n\r\n") {
                break;
            }
        }
    }
    let text = String::from_utf8_lossy(&asked).into_owned();
    let path = text.split_whitespace().nth(1).unwrap_or("/");
    if let Some((code, body)) = answer(path) {
        let head = format!("HTTP/1.1 {code} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = socket.send(message(0, (head + &body).as_bytes())).await;
    } else {
        let refused = format!(
            "an error occurred forwarding {port} -> {port}: error forwarding port {port} to pod 0123, uid : \
             failed to connect to localhost:{port} inside namespace \"0123\": dial tcp4 127.0.0.1:{port}: connect: \
             connection refused"
        );
        let _ = socket.send(message(1, refused.as_bytes())).await;
    }
    // whoever asked closes
    while let Some(Ok(_)) = socket.next().await {}
}
