//! Answers as they are sent: a list is put together from the files piece by piece, so that it is
//! never whole in memory.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::{Inner, index::Entry};

/// Bytes that one piece aims at.
const PIECE: usize = 256 * 1024;
/// Bytes between two objects that are rather read than sought over.
const GAP: u64 = 4096;

/// How the objects of a list are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// As they are.
    Whole,
    /// Only `metadata`, as `PartialObjectMetadata`.
    Metadata,
}

/// The body of an answer.
pub(super) enum Answer {
    /// A short one.
    Once(Option<Bytes>),
    /// A list of objects.
    List(List),
    /// A stored file as it is.
    File(super::store::StoreReader),
}

/// A list that is being sent.
pub(super) struct List {
    pub(super) inner: Arc<Inner>,
    pub(super) head: Option<Bytes>,
    pub(super) ids: std::vec::IntoIter<u32>,
    pub(super) view: View,
    pub(super) first: bool,
    pub(super) done: bool,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = match &mut *self {
            Self::Once(bytes) => bytes.take().map(Ok),
            Self::List(list) => list.next_piece().transpose(),
            Self::File(reader) => file_piece(reader).transpose(),
        };
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }
}

fn file_piece(reader: &mut super::store::StoreReader) -> io::Result<Option<Bytes>> {
    let mut bytes = vec![0; PIECE];
    let n = io::Read::read(reader, &mut bytes)?;
    bytes.truncate(n);
    Ok((n > 0).then(|| bytes.into()))
}

impl List {
    fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        if self.done {
            return Ok(None);
        }
        let mut piece = Vec::with_capacity(PIECE + PIECE / 4);
        while piece.len() < PIECE {
            let run = self.run();
            if run.is_empty() {
                piece.extend_from_slice(b"]}\n");
                self.done = true;
                break;
            }
            self.write(&run, &mut piece)?;
        }
        Ok(Some(piece.into()))
    }

    /// The next objects that lie close behind each other in one file.
    fn run(&mut self) -> Vec<Entry> {
        let mut run: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        while let Some(id) = self.ids.as_slice().first() {
            let Some(entry) = self.inner.index.entry(*id) else { break };
            if let Some(last) = run.last() {
                let end = last.offset + u64::from(last.len);
                let close = entry.file == last.file && entry.offset >= end && entry.offset - end <= GAP;
                if !close || bytes >= PIECE {
                    break;
                }
            }
            bytes += entry.len as usize;
            run.push(*entry);
            self.ids.next();
        }
        run
    }

    fn write(&mut self, run: &[Entry], piece: &mut Vec<u8>) -> io::Result<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let len = usize::try_from(last.offset + u64::from(last.len) - first.offset).unwrap_or(usize::MAX);
        let bytes = self.inner.store.read_exact(first.file, first.offset, len)?;
        for entry in run {
            let start = usize::try_from(entry.offset - first.offset).unwrap_or(usize::MAX);
            let object = bytes.get(start..start + entry.len as usize).unwrap_or_default();
            if !std::mem::take(&mut self.first) {
                piece.push(b',');
            }
            match self.view {
                View::Whole => self.inner.write_typed(entry, object, piece),
                View::Metadata => write_metadata(object, piece),
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Writes an object with its apiVersion and kind, whether or not the file has them in it.
    pub(super) fn write_typed(&self, entry: &Entry, object: &[u8], out: &mut Vec<u8>) {
        let kind = if entry.typed { None } else { self.index.kind(entry) };
        let (Some(kind), Some(fields)) = (kind, object.strip_prefix(b"{")) else {
            out.extend_from_slice(object);
            return;
        };
        let empty = fields.trim_ascii_start().starts_with(b"}");
        out.extend_from_slice(br#"{"kind":"#);
        out.extend_from_slice(quote(&kind.kind).as_bytes());
        out.extend_from_slice(br#","apiVersion":"#);
        out.extend_from_slice(quote(&kind.api_version()).as_bytes());
        if !empty {
            out.push(b',');
        }
        out.extend_from_slice(fields);
    }
}

/// Writes the `PartialObjectMetadata` of an object.
pub(super) fn write_metadata(object: &[u8], out: &mut Vec<u8>) {
    #[derive(serde::Deserialize)]
    struct Only<'a> {
        #[serde(borrow)]
        metadata: &'a serde_json::value::RawValue,
    }
    let metadata = serde_json::from_slice::<Only<'_>>(object).map_or("{}", |only| only.metadata.get());
    out.extend_from_slice(br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#);
    out.extend_from_slice(metadata.as_bytes());
    out.push(b'}');
}

/// A JSON string.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
