//! Splits a list in Kubernetes' protobuf into its items while the bytes arrive.
//!
//! An answer is `k8s\0` and an envelope (`runtime.Unknown`) whose field 2 holds the list; the list's
//! field 1 is its metadata, each field 2 one item. Nothing but the item at hand is kept.

use netcore::cluster::Item;
use prost::Message;

use super::split::{LARGEST_OBJECT, ListMeta, Malformed};

const MAGIC: &[u8] = b"k8s\0";
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Magic,
    Envelope,
    /// Inside the list, with so many bytes of it left.
    List(u64),
}

/// The splitter's state between two chunks.
#[derive(Debug)]
pub(super) struct ProtobufSplitter {
    place: Place,
    /// Bytes of a field that is not there as a whole yet.
    pending: Vec<u8>,
    /// How many bytes `pending` must have before another try makes sense.
    needed: usize,
    list_seen: bool,
    pub(super) meta: Option<ListMeta>,
}

/// A field's header, and where its payload ends.
struct Field {
    number: u64,
    wire: u64,
    start: usize,
    length: u64,
}

impl ProtobufSplitter {
    pub(super) fn new() -> Self {
        Self { place: Place::Magic, pending: Vec::new(), needed: 0, list_seen: false, meta: None }
    }

    /// Takes the next bytes and hands over every item that they complete.
    pub(super) fn feed(&mut self, chunk: &[u8], each: &mut dyn FnMut(Item<'_>)) -> Result<(), Malformed> {
        if self.pending.is_empty() {
            let used = self.consume(chunk, each)?;
            self.pending.extend_from_slice(chunk.get(used..).unwrap_or_default());
            return Ok(());
        }
        self.pending.extend_from_slice(chunk);
        if self.pending.len() < self.needed {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let used = self.consume(&pending, each)?;
        self.pending = pending;
        self.pending.drain(..used);
        Ok(())
    }

    /// Whether the answer was there to its end.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.list_seen && matches!(self.place, Place::Envelope | Place::List(0)) && self.pending.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Truncated)
        }
    }

    /// Works through whole fields; returns how many bytes they were.
    fn consume(&mut self, bytes: &[u8], each: &mut dyn FnMut(Item<'_>)) -> Result<usize, Malformed> {
        let mut at = 0;
        self.needed = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match self.place {
                Place::Magic => {
                    let Some(head) = rest.get(..MAGIC.len()) else { return Ok(at) };
                    if head != MAGIC {
                        return Err(Malformed::NotProtobuf);
                    }
                    self.place = Place::Envelope;
                    at += MAGIC.len();
                }
                Place::Envelope => {
                    let Some(field) = field(rest)? else { return Ok(at) };
                    if field.number == 2 && field.wire == BYTES {
                        self.place = Place::List(field.length);
                        self.list_seen = true;
                        at += field.start;
                    } else {
                        let Some(end) = self.end(&field, rest.len())? else { return Ok(at) };
                        at += end;
                    }
                }
                Place::List(0) => self.place = Place::Envelope,
                Place::List(left) => {
                    let Some(field) = field(rest)? else { return Ok(at) };
                    let Some(end) = self.end(&field, rest.len())? else { return Ok(at) };
                    let payload = rest.get(field.start..end).unwrap_or_default();
                    match (field.number, field.wire) {
                        (1, BYTES) => self.meta = Some(ListMeta::decode(payload).map_err(|_| Malformed::Metadata)?),
                        (2, BYTES) => each(Item::protobuf(payload)),
                        _ => {}
                    }
                    let used = u64::try_from(end).map_err(|_| Malformed::TooLarge)?;
                    self.place = Place::List(left.checked_sub(used).ok_or(Malformed::Truncated)?);
                    at += end;
                }
            }
        }
    }

    /// Where a field ends, or nothing when its bytes are not all there.
    fn end(&mut self, field: &Field, available: usize) -> Result<Option<usize>, Malformed> {
        let length = usize::try_from(field.length).map_err(|_| Malformed::TooLarge)?;
        if length > LARGEST_OBJECT {
            return Err(Malformed::TooLarge);
        }
        let end = field.start + length;
        if end > available {
            self.needed = end;
            return Ok(None);
        }
        Ok(Some(end))
    }
}

/// The next field's header, or nothing when it is not all there.
fn field(bytes: &[u8]) -> Result<Option<Field>, Malformed> {
    let Some((tag, tag_length)) = varint(bytes)? else { return Ok(None) };
    let rest = bytes.get(tag_length..).unwrap_or_default();
    let (number, wire) = (tag >> 3, tag & 7);
    let (start, length) = match wire {
        VARINT => {
            let Some((_, length)) = varint(rest)? else { return Ok(None) };
            (tag_length + length, 0)
        }
        FIXED64 => (tag_length, 8),
        FIXED32 => (tag_length, 4),
        BYTES => {
            let Some((length, length_length)) = varint(rest)? else { return Ok(None) };
            (tag_length + length_length, length)
        }
        _ => return Err(Malformed::NotProtobuf),
    };
    Ok(Some(Field { number, wire, start, length }))
}

/// A base-128 number and its length.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 10 { Err(Malformed::NotProtobuf) } else { Ok(None) }
}
