//! Encoded objects with gaps: a thousand like pods are one template and a thousand lists of texts.

use super::protobuf::{put_length, varint_len};

/// Slots are marked in text by characters of the last private-use plane.
const FIRST_SLOT: u32 = 0x10_0000;

/// The mark that stands for text `index` in a template's strings.
pub fn slot(index: u8) -> char {
    char::from_u32(FIRST_SLOT + u32::from(index)).expect("a private-use character")
}

/// A piece of text: itself, or a slot.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Literal(String),
    Slot(usize),
}

/// A part of an encoded message.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// As it is.
    Bytes(Vec<u8>),
    /// Text after its length.
    Text(Vec<Piece>),
    /// A message after its length.
    Message(Vec<Part>),
}

/// Splits text at its slots.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    for c in text.chars() {
        match u32::from(c).checked_sub(FIRST_SLOT).and_then(|index| usize::try_from(index).ok()) {
            Some(index) if index < 256 => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Slot(index));
            }
            _ => literal.push(c),
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    pieces
}

/// An object that was encoded once and is written often.
#[derive(Clone, Debug)]
pub(crate) struct Compiled(Vec<Part>);

impl Compiled {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        Self(fold(parts))
    }

    /// A text with slots, written as it is.
    pub(crate) fn text(text: &str) -> Self {
        Self(
            pieces(text)
                .into_iter()
                .map(|piece| match piece {
                    Piece::Literal(text) => Part::Bytes(text.into_bytes()),
                    // A slot outside of any length.
                    Piece::Slot(_) => Part::Text(vec![Piece::Literal(String::new()), piece]),
                })
                .collect(),
        )
    }

    /// How many bytes it is with these texts.
    pub(crate) fn len(&self, slots: &[String]) -> usize {
        self.0.iter().map(|part| part_len(part, slots)).sum()
    }

    /// Appends it with these texts.
    pub(crate) fn write(&self, slots: &[String], out: &mut Vec<u8>) {
        for part in &self.0 {
            write_part(part, slots, out);
        }
    }

    /// Appends a text that was made with [`Compiled::text`].
    pub(crate) fn write_text(&self, slots: &[String], out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Text(pieces) => write_pieces(pieces, slots, out),
                Part::Message(_) => {}
            }
        }
    }
}

/// Joins what has no slots, so that writing is mostly copying.
fn fold(parts: Vec<Part>) -> Vec<Part> {
    let mut folded: Vec<Part> = Vec::new();
    for part in parts {
        let part = match part {
            Part::Message(parts) => Part::Message(fold(parts)),
            part => part,
        };
        let part = if has_slots(&part) {
            part
        } else {
            let mut bytes = Vec::new();
            write_part(&part, &[], &mut bytes);
            Part::Bytes(bytes)
        };
        match (folded.last_mut(), part) {
            (Some(Part::Bytes(last)), Part::Bytes(bytes)) => last.extend(bytes),
            (_, part) => folded.push(part),
        }
    }
    folded
}

fn has_slots(part: &Part) -> bool {
    match part {
        Part::Bytes(_) => false,
        Part::Text(pieces) => pieces.iter().any(|piece| matches!(piece, Piece::Slot(_))),
        Part::Message(parts) => parts.iter().any(has_slots),
    }
}

fn slot_text(slots: &[String], index: usize) -> &str {
    slots.get(index).map_or("", String::as_str)
}

fn pieces_len(pieces: &[Piece], slots: &[String]) -> usize {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::Slot(index) => slot_text(slots, *index).len(),
        })
        .sum()
}

fn part_len(part: &Part, slots: &[String]) -> usize {
    let inner = match part {
        Part::Bytes(bytes) => return bytes.len(),
        Part::Text(pieces) => pieces_len(pieces, slots),
        Part::Message(parts) => parts.iter().map(|part| part_len(part, slots)).sum(),
    };
    varint_len(inner) + inner
}

fn write_pieces(pieces: &[Piece], slots: &[String], out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Slot(index) => out.extend_from_slice(slot_text(slots, *index).as_bytes()),
        }
    }
}

fn write_part(part: &Part, slots: &[String], out: &mut Vec<u8>) {
    match part {
        Part::Bytes(bytes) => out.extend_from_slice(bytes),
        Part::Text(pieces) => {
            put_length(out, pieces_len(pieces, slots));
            write_pieces(pieces, slots, out);
        }
        Part::Message(parts) => {
            put_length(out, parts.iter().map(|part| part_len(part, slots)).sum());
            for part in parts {
                write_part(part, slots, out);
            }
        }
    }
}
