//! Answers: bodies that are whole, streamed, slow or never come, and the errors of Kubernetes.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// Kubernetes compresses answers that are larger.
const GZIP_FROM: usize = 128 * 1024;
const CHUNK: usize = 64 * 1024;

/// An answer's body.
pub(crate) enum Payload {
    Whole(Option<Bytes>),
    Stream { chunks: mpsc::Receiver<io::Result<Bytes>>, length: Option<u64> },
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream { chunks, .. } => chunks.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream { length: Some(length), .. } => SizeHint::with_exact(*length),
            Self::Stream { length: None, .. } => SizeHint::default(),
        }
    }
}

pub(crate) type Reply = Response<Payload>;

/// A whole answer.
pub(crate) fn whole(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Payload::Whole(Some(body.into())));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).expect("a header's characters"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    reply
}

/// A JSON answer, indented as the real one.
pub(crate) fn json(status: StatusCode, value: &Value) -> Reply {
    whole(status, "application/json", serde_json::to_vec_pretty(value).expect("JSON of JSON"))
}

/// A plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    whole(status, "text/plain; charset=utf-8", body)
}

/// A `Status` of failure.
pub(crate) fn failure(code: u16, reason: &str, message: &str, details: Option<Value>) -> Reply {
    failure_with(code, reason, message, details, &json!({}))
}

/// A `Status` of failure with list metadata.
pub(crate) fn failure_with(code: u16, reason: &str, message: &str, details: Option<Value>, metadata: &Value) -> Reply {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if let Some(details) = details {
        status["details"] = details;
    }
    json(StatusCode::from_u16(code).expect("a status code"), &status)
}

/// 404 for a path that no group serves.
pub(crate) fn page_not_found() -> Reply {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// 404 for a resource that a group does not have.
pub(crate) fn no_such_resource() -> Reply {
    failure(404, "NotFound", "the server could not find the requested resource", Some(json!({})))
}

/// An answer that a writer produces on a thread of its own: whole when it is small, else streamed,
/// compressed where the client takes that.
pub(crate) async fn produced(
    content_type: &str,
    gzip: bool,
    produce: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Reply {
    let (started, start) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let mut sink = Sink { held: Vec::new(), stream: None, started: Some(started), gzip };
        // An error here is a client that went away.
        let _ = produce(&mut sink).and_then(|()| sink.finish());
    });
    let Ok(Start { payload, gzip }) = start.await else {
        return failure(500, "InternalError", "the answer could not be made", None);
    };
    let mut reply = whole(StatusCode::OK, content_type, Bytes::new());
    *reply.body_mut() = payload;
    if gzip {
        reply.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        reply.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    reply
}

struct Start {
    payload: Payload,
    gzip: bool,
}

/// Holds the first bytes until it is clear whether the answer is large.
struct Sink {
    held: Vec<u8>,
    stream: Option<Stream>,
    started: Option<oneshot::Sender<Start>>,
    gzip: bool,
}

enum Stream {
    Plain(Chunks),
    Gzip(Box<GzEncoder<Chunks>>),
}

impl Sink {
    fn stream(&mut self) -> io::Result<()> {
        let (sender, chunks) = mpsc::channel(8);
        let chunks = Payload::Stream { chunks, length: None };
        if let Some(started) = self.started.take() {
            started
                .send(Start { payload: chunks, gzip: self.gzip })
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        let chunks = Chunks { held: Vec::with_capacity(CHUNK), sender };
        let mut stream = if self.gzip {
            Stream::Gzip(Box::new(GzEncoder::new(chunks, Compression::new(1))))
        } else {
            Stream::Plain(chunks)
        };
        stream.writer().write_all(&std::mem::take(&mut self.held))?;
        self.stream = Some(stream);
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        match (self.stream, self.started) {
            (Some(Stream::Plain(mut chunks)), _) => chunks.flush(),
            (Some(Stream::Gzip(encoder)), _) => encoder.finish()?.flush(),
            (None, Some(started)) => {
                let payload = Payload::Whole(Some(self.held.into()));
                started.send(Start { payload, gzip: false }).map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
            (None, None) => Ok(()),
        }
    }
}

impl Stream {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(chunks) => chunks,
            Self::Gzip(encoder) => encoder,
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stream.is_none() && self.held.len() + bytes.len() > GZIP_FROM {
            self.stream()?;
        }
        match &mut self.stream {
            Some(stream) => stream.writer().write_all(bytes)?,
            None => self.held.extend_from_slice(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Chunks {
    held: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.held, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Reads an answer's body to its end.
pub(crate) async fn collect(mut payload: Payload) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut payload).poll_frame(cx)).await {
        if let Ok(data) = frame.into_data() {
            out.extend_from_slice(&data);
        }
    }
    out
}

/// The same answer, with its body changed.
pub(crate) async fn with_body(reply: Reply, change: impl FnOnce(Vec<u8>) -> Payload) -> Reply {
    let (head, payload) = reply.into_parts();
    Response::from_parts(head, change(collect(payload).await))
}

/// Half of the body, then an error that closes the connection.
pub(crate) fn broken_off(body: &[u8]) -> Payload {
    let (sender, chunks) = mpsc::channel(2);
    let length = body.len() as u64;
    let half = body.get(..body.len() / 2).unwrap_or_default().to_vec();
    tokio::spawn(async move {
        if sender.send(Ok(half.into())).await.is_ok() {
            // Let the first half reach the client.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
        }
    });
    Payload::Stream { chunks, length: Some(length) }
}

/// The body in many small pieces.
pub(crate) fn trickled(body: Vec<u8>) -> Payload {
    let (sender, chunks) = mpsc::channel(1);
    let length = body.len() as u64;
    tokio::spawn(async move {
        for piece in body.chunks(body.len().div_ceil(40).max(1)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if sender.send(Ok(Bytes::copy_from_slice(piece))).await.is_err() {
                return;
            }
        }
    });
    Payload::Stream { chunks, length: Some(length) }
}
