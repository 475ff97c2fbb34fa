//! The words of a rule: split at blanks outside double quotes, as `iptables-restore` splits.

use memchr::memmem::Finder;

use super::text::narrow;

/// A word with its quotes, and where it starts in the rule's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) raw: &'a str,
    pub(super) at: usize,
}

/// The words of a text, one after the other. A copy is a look ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    text: &'a str,
    at: usize,
    /// Where the word that was taken last starts.
    pub(super) last: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, last: 0 }
    }

    /// Starts at an offset of the text.
    pub(super) fn from(text: &'a str, at: usize) -> Self {
        Self { text, at, last: at }
    }

    pub(super) fn peek(&self) -> Option<Word<'a>> {
        let mut ahead = *self;
        ahead.next()
    }

    /// Where the next word starts, or the text ends.
    pub(super) fn offset(&self) -> usize {
        self.peek().map_or(self.text.len(), |word| word.at)
    }

    /// The text from `start` to where the last word that was taken ends.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }
}

#[expect(clippy::copy_iterator, reason = "a copy is a look ahead")]
impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let bytes = self.text.as_bytes();
        let rest = bytes.get(self.at..)?;
        let start = self.at + rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
        let word = bytes.get(start..).unwrap_or_default();
        let plain = word.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'"')).unwrap_or(word.len());
        let end = if word.get(plain) == Some(&b'"') { quoted_end(self.text, start + plain) } else { start + plain };
        self.at = end;
        self.last = start;
        Some(Word { raw: self.text.get(start..end)?, at: start })
    }
}

/// Where a word ends in which a quote stands at `at`.
fn quoted_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let mut end = at;
    let mut quoted = false;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'\\' if quoted => end += 1,
            b'"' => quoted = !quoted,
            b' ' | b'\t' if !quoted => break,
            _ => {}
        }
        end += 1;
    }
    let mut end = end.min(bytes.len());
    // a backslash before a letter of several bytes
    while !text.is_char_boundary(end) {
        end += 1;
    }
    end
}

/// Whether a quoted part of the word is never closed.
pub(super) fn is_open(word: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for byte in word.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

/// Finds the targets of rules.
#[derive(Debug)]
pub(super) struct Targets {
    jump: Finder<'static>,
    goto: Finder<'static>,
}

impl Targets {
    pub(super) fn new() -> Self {
        Self { jump: Finder::new(" -j "), goto: Finder::new(" -g ") }
    }

    /// Where the name of the target starts in the part of a rule after its chain, which starts with the
    /// blank after the name. 0 where there is none.
    pub(super) fn find(&self, spec: &str) -> u32 {
        let bytes = spec.as_bytes();
        if let Some(at) = self.jump.find(bytes).or_else(|| self.goto.find(bytes)) {
            let head = bytes.get(..at).unwrap_or_default();
            let mut quotes = 0_usize;
            let plain = memchr::memchr2_iter(b'"', b'\\', head).all(|place| {
                quotes += 1;
                head.get(place) == Some(&b'"')
            });
            if plain && quotes.is_multiple_of(2) {
                return Words::from(spec, at + 4).peek().map_or(0, |word| narrow(word.at));
            }
        } else if !spec.contains("--jump") && !spec.contains("--goto") && !spec.contains('\t') {
            return 0;
        }
        slow_target_at(spec)
    }
}

fn slow_target_at(spec: &str) -> u32 {
    let mut words = Words::new(spec);
    while let Some(word) = words.next() {
        if is_jump(word.raw) {
            return words.peek().map_or(0, |word| narrow(word.at));
        }
    }
    0
}

/// Whether a word says that a target follows.
pub(super) fn is_jump(word: &str) -> bool {
    matches!(word, "-j" | "--jump") || is_goto(word)
}

/// Whether a word says that a chain follows which does not come back.
pub(super) fn is_goto(word: &str) -> bool {
    matches!(word, "-g" | "--goto")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        Words::new(text).map(|word| word.raw).collect()
    }

    #[test]
    fn split_outside_quotes() {
        assert_eq!(
            words(r#"-m comment --comment "a \" b"  -j X "#),
            ["-m", "comment", "--comment", r#""a \" b""#, "-j", "X"]
        );
        assert_eq!(words(r#"a"b c"d e"#), [r#"a"b c"d"#, "e"]);
        assert_eq!(words("\"open é"), ["\"open é"]);
        assert_eq!(words("\"x\\é"), ["\"x\\é"]);
        assert!(is_open("\"open") && !is_open(r#""a \" b""#));
    }

    #[test]
    fn the_target_is_not_in_a_comment() {
        let at =
            |text: &str| text.get(Targets::new().find(text) as usize..).unwrap().split(' ').next().unwrap().to_owned();
        assert_eq!(at(r#" -m comment --comment "x -j NO" -j YES"#), "YES");
        assert_eq!(at(r#" -m comment --comment "x \" -j NO" -g YES"#), "YES");
        assert_eq!(at(" -p tcp --jump YES"), "YES");
        assert_eq!(Targets::new().find(r#" -m comment --comment "x -j NO""#), 0);
        assert_eq!(Targets::new().find(" -j "), 0);
    }
}
