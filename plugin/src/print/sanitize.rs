//! Text from a cluster is untrusted: whoever may name an object or write an annotation must not be
//! able to move an operator's cursor, colour the terminal, or hide and reorder what is shown.

use std::{borrow::Cow, fmt::Write as _};

/// Escapes what would break a line or fool a reader: control characters (ESC and the 8-bit CSI among
/// them), bidirectional overrides, zero-width and tag characters. `\n`, `\t`, `\x1b`, `\u{202e}`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, hostile, visible)
}

/// The same, but line feeds and tabs stay: for output of several lines, as YAML or a template.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t') && hostile(c), visible)
}

/// JSON text with the same characters written as `\uXXXX`: another spelling of the same document.
/// Outside strings JSON has no such characters but line feeds.
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| c != '\n' && hostile(c),
        |c, out| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

fn escaped(text: &str, bad: impl Fn(char) -> bool, spell: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(&bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if bad(c) { spell(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

fn visible(c: char, out: &mut String) {
    let _ = match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        c if c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    };
}

/// Characters that a terminal obeys instead of showing, or shows as nothing.
fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'                        // soft hyphen
            | '\u{34f}'                     // combining grapheme joiner
            | '\u{61c}'                     // Arabic letter mark
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{180b}'..='\u{180f}'       // Mongolian selectors and vowel separator
            | '\u{200b}'..='\u{200f}'       // zero width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}'       // line and paragraph separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}'       // word joiner, invisible operators, isolates
            | '\u{feff}'                    // byte order mark
            | '\u{fff9}'..='\u{fffb}'       // interlinear annotation
            | '\u{1d173}'..='\u{1d17a}'     // musical format controls
            | '\u{e0000}'..='\u{e0fff}'     // tags and variation selectors
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shows_what_a_terminal_would_obey() {
        assert_eq!(line("a\x1b[31mred\x1b[0m"), "a\\x1b[31mred\\x1b[0m");
        assert_eq!(line("\u{9b}2J"), "\\u{9b}2J", "the 8-bit CSI too");
        assert_eq!(line("a\r\nb\tc\x07\x7f"), "a\\r\\nb\\tc\\x07\\x7f");
        assert_eq!(line("user\u{202e}gpj.exe"), "user\\u{202e}gpj.exe");
        assert_eq!(line("a\u{200b}b\u{2066}c\u{feff}d\u{e0041}"), "a\\u{200b}b\\u{2066}c\\u{feff}d\\u{e0041}");
    }

    #[test]
    fn leaves_ordinary_text_alone() {
        for text in ["", "10.244.0.0/16", "fd00::/64", "Grüße", "网络", "a\\b", "👍"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn several_lines_stay_lines() {
        assert_eq!(lines("a:\n\t- b\r\x1b"), "a:\n\t- b\\r\\x1b");
    }

    proptest! {
        #[test]
        fn nothing_hostile_is_left(text in "\\PC*|(?s).*") {
            prop_assert!(!line(&text).contains(hostile));
            prop_assert!(!lines(&text).contains(|c| hostile(c) && c != '\n' && c != '\t'));
        }

        #[test]
        fn json_stays_the_same_document(text in "(?s).*|[\u{80}-\u{9f}\u{200b}-\u{206f}\u{e0000}-\u{e0080}]*") {
            let document = serde_json::to_string(&text).unwrap();
            let safe = json(&document);
            prop_assert!(!safe.contains(hostile));
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }
}
