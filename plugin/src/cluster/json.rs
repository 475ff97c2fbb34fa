//! Splits a list in JSON into its items while the bytes arrive.
//!
//! Only strings and brackets are looked at; an item's own syntax is checked by whoever decodes it.

use memchr::memchr2;
use netcore::cluster::Item;

use super::split::{LARGEST_OBJECT, ListMeta, Malformed};

/// What is collected at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Capture {
    Nothing,
    Key,
    Metadata,
    Item,
}

/// Which value of the list's own object the scan is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Before a colon: strings are keys.
    None,
    Metadata,
    Items,
    Other,
}

/// Whether the next byte belongs to a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// The splitter's state between two chunks.
#[derive(Debug)]
pub(super) struct JsonSplitter {
    depth: usize,
    text: Text,
    capture: Capture,
    /// The part of what is captured that came with earlier chunks.
    carried: Vec<u8>,
    key: Vec<u8>,
    value: Value,
    items_seen: bool,
    done: bool,
    pub(super) meta: Option<ListMeta>,
}

impl JsonSplitter {
    pub(super) fn new() -> Self {
        Self {
            depth: 0,
            text: Text::Outside,
            capture: Capture::Nothing,
            carried: Vec::new(),
            key: Vec::new(),
            value: Value::None,
            items_seen: false,
            done: false,
            meta: None,
        }
    }

    /// Takes the next bytes and hands over every item that they complete.
    pub(super) fn feed(&mut self, chunk: &[u8], each: &mut dyn FnMut(Item<'_>)) -> Result<(), Malformed> {
        // Where in this chunk the present capture begins.
        let mut start = 0;
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if self.text != Text::Outside {
                at = self.skip_string(chunk, at);
                if self.text == Text::Outside && self.capture == Capture::Key {
                    self.key = self.captured(chunk, start, at - 1).to_vec();
                    self.carried.clear();
                    self.capture = Capture::Nothing;
                }
                continue;
            }
            at += 1;
            match byte {
                b'"' => {
                    self.text = Text::Inside;
                    match (self.depth, self.value) {
                        (1, Value::None) => {
                            self.capture = Capture::Key;
                            start = at;
                        }
                        (2, Value::Items) => return Err(stray(byte)),
                        _ => {}
                    }
                }
                b'{' | b'[' => {
                    if let Some(capture) = self.opens(byte)? {
                        self.capture = capture;
                        start = at - 1;
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.checked_sub(1).ok_or_else(|| stray(byte))?;
                    match (self.depth, self.capture) {
                        (2, Capture::Item) => {
                            each(Item::json(self.captured(chunk, start, at)));
                            self.carried.clear();
                            self.capture = Capture::Nothing;
                        }
                        (1, Capture::Metadata) => {
                            let meta = serde_json::from_slice(self.captured(chunk, start, at));
                            self.meta = Some(meta.map_err(|_| Malformed::Metadata)?);
                            self.carried.clear();
                            self.capture = Capture::Nothing;
                        }
                        (0, _) => {
                            self.done = true;
                            break;
                        }
                        _ => {}
                    }
                }
                _ if self.capture == Capture::Item => {}
                _ => self.between(byte, chunk, at)?,
            }
        }
        if self.capture != Capture::Nothing {
            self.carried.extend_from_slice(chunk.get(start..).unwrap_or_default());
            if self.carried.len() > LARGEST_OBJECT {
                return Err(Malformed::TooLarge);
            }
        }
        Ok(())
    }

    /// Whether the answer was there to its end.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        match (self.done, self.items_seen) {
            (false, _) => Err(Malformed::Truncated),
            (true, false) => Err(Malformed::NotJson("it has no items".to_owned())),
            (true, true) => Ok(()),
        }
    }

    /// What is captured, up to a place in this chunk.
    fn captured<'a>(&'a mut self, chunk: &'a [u8], start: usize, end: usize) -> &'a [u8] {
        if self.carried.is_empty() {
            return chunk.get(start..end).unwrap_or_default();
        }
        self.carried.extend_from_slice(chunk.get(..end).unwrap_or_default());
        &self.carried
    }

    /// Goes to the end of a string, or of the chunk.
    fn skip_string(&mut self, chunk: &[u8], mut at: usize) -> usize {
        if self.text == Text::Escaped {
            self.text = Text::Inside;
            at += 1;
        }
        while let Some(found) = memchr2(b'"', b'\\', chunk.get(at..).unwrap_or_default()) {
            at += found + 1;
            if chunk.get(at - 1) == Some(&b'"') {
                self.text = Text::Outside;
                return at;
            }
            if at >= chunk.len() {
                self.text = Text::Escaped;
                return at;
            }
            at += 1;
        }
        chunk.len()
    }

    /// An object or array begins: what of it is to be captured.
    fn opens(&mut self, byte: u8) -> Result<Option<Capture>, Malformed> {
        match (self.depth, self.value, byte) {
            (0, _, b'[') => Err(Malformed::NotJson("it is an array".to_owned())),
            (1, Value::Items, b'{') => Err(Malformed::NotJson("its items are an object".to_owned())),
            (2, Value::Items, b'[') => Err(stray(byte)),
            (1, Value::Metadata, b'{') => Ok(Some(Capture::Metadata)),
            (2, Value::Items, b'{') => Ok(Some(Capture::Item)),
            _ => Ok(None),
        }
    }

    /// A byte outside strings and items that opens and closes nothing.
    fn between(&mut self, byte: u8, chunk: &[u8], at: usize) -> Result<(), Malformed> {
        match (self.depth, byte) {
            (_, b' ' | b'\n' | b'\r' | b'\t') | (2, b',') => Ok(()),
            (0, _) => {
                let head: Vec<u8> = chunk.iter().skip(at - 1).take(40).copied().collect();
                Err(Malformed::NotJson(format!("it starts with {:?}", String::from_utf8_lossy(&head))))
            }
            (1, b':') => {
                self.value = match self.key.as_slice() {
                    b"metadata" => Value::Metadata,
                    b"items" => Value::Items,
                    _ => Value::Other,
                };
                self.items_seen |= self.value == Value::Items;
                Ok(())
            }
            (1, b',') => {
                self.value = Value::None;
                Ok(())
            }
            (2, byte) if self.value == Value::Items => Err(stray(byte)),
            _ => Ok(()),
        }
    }
}

fn stray(byte: u8) -> Malformed {
    Malformed::NotJson(format!("{:?} stands where an item should begin", char::from(byte)))
}
