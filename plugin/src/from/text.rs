//! Text that is not as the program wrote it: re-encoded by a shell, or wrapped by a terminal.

use std::io::{self, Read};

use super::store::{FileId, Store};

/// A wrapped file that is larger was not copied from a terminal.
const MAX_WRAPPED: u64 = 64 << 20;
/// Narrower than any terminal that wraps.
pub(super) const MIN_WIDTH: usize = 40;

/// Byte order of UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    Little,
    Big,
}

/// Whether a file is UTF-16, as PowerShell's `>` writes it.
pub(super) fn utf16(head: &[u8]) -> Option<Endian> {
    match head {
        [0xFF, 0xFE, rest @ ..] if !rest.starts_with(&[0, 0]) => Some(Endian::Little),
        [0xFE, 0xFF, ..] => Some(Endian::Big),
        _ => None,
    }
}

/// Copies a UTF-16 file as UTF-8.
pub(super) fn convert(store: &mut Store, file: FileId, endian: Endian) -> io::Result<FileId> {
    let name = store.name(file).to_owned();
    let start = store.spooled()?;
    {
        let mut input = io::BufReader::with_capacity(256 * 1024, store.borrow(file));
        let mut units = Vec::with_capacity(64 * 1024);
        let mut text = String::new();
        let mut skip_mark = true;
        loop {
            let mut pair = [0; 2];
            let more = input.read_exact(&mut pair).is_ok();
            if more {
                units.push(match endian {
                    Endian::Little => u16::from_le_bytes(pair),
                    Endian::Big => u16::from_be_bytes(pair),
                });
            }
            // never between the halves of a surrogate pair
            let whole = units.last().is_none_or(|unit| !(0xD800..0xDC00).contains(unit));
            if !more || (units.len() >= 64 * 1024 && whole) {
                let rest = if std::mem::take(&mut skip_mark) { units.get(1..).unwrap_or_default() } else { &units };
                text.clear();
                text.extend(char::decode_utf16(rest.iter().copied()).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
                store.spool(text.as_bytes())?;
                units.clear();
            }
            if !more {
                break;
            }
        }
    }
    store.add_span(name, start)
}

/// Joins the lines of a JSON file that a terminal broke inside of strings, where JSON has no line
/// breaks. Only if all of them were broken at the same width is nothing guessed; else `None`.
/// Returns the joined copy, the first line that was broken, and how many were.
pub(super) fn unwrap_json(store: &mut Store, file: FileId) -> io::Result<Option<(FileId, usize, usize)>> {
    if store.len(file) > MAX_WRAPPED {
        return Ok(None);
    }
    let bytes = store.head(file, usize::MAX)?;
    let mut joined = Vec::with_capacity(bytes.len());
    let (mut inside, mut escaped) = (false, false);
    let (mut line, mut line_start) = (1, 0);
    let mut first = None;
    let mut broken = 0;
    let mut width = None;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' => {
                let text = bytes.get(line_start..at).unwrap_or_default();
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                if inside {
                    let own = String::from_utf8_lossy(text).chars().count();
                    if own < MIN_WIDTH || *width.get_or_insert(own) != own {
                        return Ok(None);
                    }
                    first.get_or_insert(line);
                    broken += 1;
                    if joined.last() == Some(&b'\r') {
                        joined.pop();
                    }
                } else {
                    joined.push(*byte);
                }
                line += 1;
                line_start = at + 1;
                continue;
            }
            b'"' if !escaped => inside = !inside,
            b'\\' if inside && !escaped => {
                escaped = true;
                joined.push(*byte);
                continue;
            }
            _ => {}
        }
        if *byte != b'\r' {
            escaped = false;
        }
        joined.push(*byte);
    }
    let Some(first) = first.filter(|_| !inside) else { return Ok(None) };
    let name = store.name(file).to_owned();
    let file = store.add_text(name, &joined)?;
    Ok(Some((file, first, broken)))
}
