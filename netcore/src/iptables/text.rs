//! The input, held once. Bytes that are not UTF-8 are read as U+FFFD and put back when printing.

/// A text, and what stood in it that was not UTF-8.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    text: String,
    /// Where a U+FFFD stands for one byte: its offset in `text`, and the byte.
    replaced: Vec<(u32, u8)>,
}

/// A part of the text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: narrow(start), end: narrow(end) }
    }
}

/// An offset or an index. The text is under 4 GiB, and nothing in it is counted more often than it
/// has bytes.
pub(super) fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Text {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self { text, replaced: Vec::new() },
            Err(error) => Self::repaired(error.as_bytes()),
        }
    }

    fn repaired(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
        let mut replaced = Vec::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                replaced.push((narrow(text.len()), *byte));
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Self { text, replaced }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn get(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    pub(super) fn span_bytes(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Whether every byte was UTF-8.
    pub(super) fn is_clean(&self) -> bool {
        self.replaced.is_empty()
    }

    /// Adds a part to `out`, with the bytes that it was read from.
    pub(super) fn original(&self, start: usize, end: usize, out: &mut Vec<u8>) {
        let mut at = start;
        let first = self.replaced.partition_point(|(offset, _)| (*offset as usize) < start);
        for (offset, byte) in self.replaced.get(first..).unwrap_or_default() {
            let offset = *offset as usize;
            if offset >= end {
                break;
            }
            out.extend_from_slice(self.span_bytes(at, offset).as_bytes());
            out.push(*byte);
            at = offset + char::REPLACEMENT_CHARACTER.len_utf8();
        }
        out.extend_from_slice(self.span_bytes(at.min(end), end).as_bytes());
    }

    /// Adds a line that was made from a part of the text, with the bytes that the part was read from:
    /// its replacements come in the same order.
    pub(super) fn restore(&self, start: usize, end: usize, line: &str, out: &mut Vec<u8>) {
        if self.is_clean() {
            out.extend_from_slice(line.as_bytes());
            return;
        }
        let stands_for = |(offset, _): (usize, &str)| {
            let known = self.replaced.binary_search_by_key(&(start + offset), |(at, _)| *at as usize).ok();
            known.and_then(|index| self.replaced.get(index)).map(|(_, byte)| *byte)
        };
        let mut bytes = self.span_bytes(start, end).match_indices(char::REPLACEMENT_CHARACTER).map(stands_for);
        for (index, piece) in line.split(char::REPLACEMENT_CHARACTER).enumerate() {
            match (index > 0).then(|| bytes.next().flatten()) {
                Some(Some(byte)) => out.push(byte),
                Some(None) => out.extend_from_slice("\u{fffd}".as_bytes()),
                None => {}
            }
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf8_comes_back() {
        let bytes = b"a \xff\xfe \xef\xbf\xbd b".to_vec();
        let text = Text::new(bytes.clone());
        assert!(!text.is_clean());
        let mut out = Vec::new();
        text.original(0, text.as_str().len(), &mut out);
        assert_eq!(out, bytes);
        let mut part = Vec::new();
        text.original(2, 5, &mut part);
        assert_eq!(part, b"\xff");
    }
}
