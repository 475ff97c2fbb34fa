//! Finds the objects of a YAML file: documents and the items of a `List` are cut out by their
//! indentation, so that one broken object costs no other, and each is then parsed by itself.

use std::io::{self, BufRead};

use serde_json::Value;

/// Larger than any object that a cluster can store, many times over.
const MAX_PIECE: usize = 64 << 20;

/// One object's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its YAML. An item's dash is replaced by a blank.
    pub(super) text: String,
    /// The line it begins in, from 1.
    pub(super) line: u64,
    /// What it is a piece of.
    pub(super) part: Part,
}

/// What a piece of a YAML file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A document of its own.
    Document,
    /// One of the `items` of a list.
    Item,
    /// What is left of a list without its items; always after them.
    List,
}

/// Cuts a file into pieces and hands each to `take`.
pub(super) fn split(input: &mut dyn BufRead, take: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
    let mut cutter = Cutter::default();
    let mut raw = Vec::new();
    let mut number = 0;
    loop {
        raw.clear();
        if input.read_until(b'\n', &mut raw)? == 0 {
            break;
        }
        number += 1;
        while matches!(raw.last(), Some(b'\n' | b'\r')) {
            raw.pop();
        }
        let bytes = if number == 1 { raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&raw) } else { raw.as_slice() };
        cutter.line(&String::from_utf8_lossy(bytes), number, take)?;
    }
    cutter.end_document(take)
}

#[derive(Debug, Default)]
struct Cutter {
    document: Text,
    /// Inside of `items:`: the indentation of its dashes, once the first has been seen.
    items: Option<Option<usize>>,
    item: Text,
    had_items: bool,
}

#[derive(Debug, Default)]
struct Text {
    text: String,
    line: u64,
}

impl Text {
    fn push(&mut self, line: &str, number: u64) {
        if self.text.is_empty() {
            self.line = number;
        }
        if self.text.len() < MAX_PIECE {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    fn take(&mut self, part: Part, take: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        if text.lines().all(is_blank) {
            return Ok(());
        }
        take(Piece { text, line: self.line, part })
    }
}

impl Cutter {
    fn line(&mut self, line: &str, number: u64, take: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
        if line == "---" || line.starts_with("--- ") || line == "..." {
            self.end_document(take)?;
            let rest = line.strip_prefix("--- ").unwrap_or_default();
            if !is_blank(rest) {
                self.document.push(rest, number);
            }
            return Ok(());
        }
        let Some(dashes) = self.items else {
            if line.trim_end() == "items:" {
                self.items = Some(None);
                self.had_items = true;
            } else {
                self.document.push(line, number);
            }
            return Ok(());
        };
        let indent = line.len() - line.trim_start_matches(' ').len();
        let content = line.get(indent..).unwrap_or_default();
        let is_item = content == "-" || content.starts_with("- ");
        if is_item && dashes.is_none_or(|dashes| dashes == indent) {
            self.item.take(Part::Item, take)?;
            self.items = Some(Some(indent));
            let blank = " ".repeat(indent + 1);
            self.item.push(&format!("{blank}{}", content.get(1..).unwrap_or_default()), number);
        } else if indent == 0 && is_key(content) {
            self.item.take(Part::Item, take)?;
            self.items = None;
            self.document.push(line, number);
        } else {
            self.item.push(line, number);
        }
        Ok(())
    }

    fn end_document(&mut self, take: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
        self.item.take(Part::Item, take)?;
        self.items = None;
        let part = if std::mem::take(&mut self.had_items) { Part::List } else { Part::Document };
        self.document.take(part, take)
    }
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Whether a line at the left edge begins a field of its own.
fn is_key(content: &str) -> bool {
    let Some((key, rest)) = content.split_once(':') else { return false };
    !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/'))
        && (rest.is_empty() || rest.starts_with(' '))
}

/// Why a piece is not YAML.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The line in the file, from 1.
    pub(super) line: u64,
    /// What is wrong and what would be valid.
    pub(super) what: String,
}

/// A parsed piece, and the line of the first break that had to be mended.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The object.
    pub(super) value: Value,
    /// The line after which a terminal had broken a long line, and how many it had broken.
    pub(super) mended: Option<(u64, usize)>,
}

/// Parses one piece.
pub(super) fn parse(piece: &Piece) -> Result<Parsed, Broken> {
    let breaks = broken_lines(&piece.text);
    if let Some(first) = breaks.first() {
        let line = piece.line + *first as u64;
        return match join(&piece.text, &breaks).and_then(|joined| read(&joined).ok()) {
            Some(value) if value.is_object() => Ok(Parsed { value, mended: Some((line, breaks.len())) }),
            _ => Err(Broken {
                line: line + 1,
                what: "the line goes on at the left edge: text that a terminal has wrapped is not YAML; \
                       the output of the command redirected into a file would be valid"
                    .to_owned(),
            }),
        };
    }
    read(&piece.text).map(|value| Parsed { value, mended: None }).map_err(|error| explain(&error, piece))
}

fn read(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
}

fn explain(error: &serde_saphyr::Error, piece: &Piece) -> Broken {
    let tab = piece.text.lines().position(|line| line.trim_start_matches(' ').starts_with('\t'));
    if let Some(at) = tab {
        let what = "a tab in the indentation; YAML is indented with spaces".to_owned();
        return Broken { line: piece.line + at as u64, what };
    }
    let at = error.location().map_or(0, |location| location.line().saturating_sub(1));
    let text = error.without_snippet().to_string();
    let what = text.lines().next().unwrap_or("not YAML").trim_end_matches('.').to_owned();
    Broken { line: piece.line + at, what }
}

/// The lines, from 0, that a terminal broke: the one after begins at the left edge although it can
/// be neither a field nor an item there.
fn broken_lines(text: &str) -> Vec<usize> {
    let mut breaks = Vec::new();
    // an object with nothing at its left edge is an item: there, everything at the edge is suspect
    let inner = text.lines().find(|line| !is_blank(line)).is_some_and(|line| line.starts_with(' '));
    for (at, line) in text.lines().enumerate().skip(1) {
        if line.is_empty() || line.starts_with([' ', '#', '\t', '-', '}', ']', '"', '\'', '?', '%']) && !inner {
            continue;
        }
        let at_edge = !line.starts_with([' ', '\t', '#']) || (inner && line.starts_with('#') && line.len() > 1);
        if at_edge && (inner || !is_key(line)) && !(inner && matches!(line, "}" | "]")) {
            breaks.push(at - 1);
        }
    }
    breaks
}

/// Joins the lines that were broken, if they were all broken at the same width: only then is
/// nothing guessed.
fn join(text: &str, breaks: &[usize]) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let width = |at: usize| lines.get(at).map(|line| line.chars().count());
    let first = width(*breaks.first()?)?;
    // an item's dash has become a blank, so that widths are those of the file
    if first < 40 || breaks.iter().any(|at| width(*at) != Some(first)) {
        return None;
    }
    let mut joined = String::with_capacity(text.len());
    let mut next = breaks.iter().copied().peekable();
    for (at, line) in lines.iter().enumerate() {
        joined.push_str(line);
        if next.peek() == Some(&at) {
            next.next();
        } else {
            joined.push('\n');
        }
    }
    Some(joined)
}
