//! A line, and the counters that may stand in it.

use super::super::{model::Counters, text::Span};

/// A line without its end.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "a line's number is its line")]
pub(super) struct Line<'t> {
    pub(super) whole: &'t str,
    /// Where the content starts in the text.
    pub(super) start: usize,
    pub(super) content: &'t str,
    /// From 1.
    pub(super) line: usize,
}

impl<'t> Line<'t> {
    pub(super) fn end(&self) -> usize {
        self.start + self.content.len()
    }

    /// Where a part of the text lies in it.
    pub(super) fn span_of(&self, part: &str) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(self.whole.as_ptr() as usize);
        Span::new(start, start + part.len())
    }

    pub(super) fn get(&self, span: Span) -> &'t str {
        self.whole.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The column of an offset of the content, from 1.
    pub(super) fn column(&self, at: usize) -> usize {
        let place = self.start + at;
        let before = self.whole.as_bytes().get(..place.min(self.whole.len())).unwrap_or_default();
        place - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1) + 1
    }
}

/// `[packets:bytes]`
pub(in crate::iptables) fn read_counters(text: &str) -> Result<Counters, ()> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(())?;
    let (packets, bytes) = inside.split_once(':').ok_or(())?;
    Ok(Counters { packets: number(packets)?, bytes: number(bytes)? })
}

fn number(text: &str) -> Result<u64, ()> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(());
    }
    text.parse().map_err(|_| ())
}

/// Whether brackets at the start hold numbers; a prompt has them too: `[root@node1 ~]#`.
pub(super) fn is_counters(content: &str) -> bool {
    content.as_bytes().get(1).is_some_and(|byte| byte.is_ascii_digit() || *byte == b':')
}
