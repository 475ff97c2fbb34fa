//! Finds the objects of a YAML file: documents and the items of a `List` are cut out by their
//! indentation, so that one broken object costs no other, and each is then parsed by itself.

use std::io::{self, BufRead};

use serde_json::Value;

use super::{
    excerpt::{self, Excerpt},
    index::{Builder, Found, is_secret},
    store::FileId,
    text::MIN_WIDTH,
};

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
    inside: Inside,
    item: Text,
    had_items: bool,
    /// The current document has named its version, its kind.
    named: [bool; 2],
}

/// Where in a document the next line stands.
#[derive(Clone, Copy, Debug, Default)]
enum Inside {
    /// Not in a list.
    #[default]
    Fields,
    /// After `items:`, before the first dash.
    Items,
    /// Behind dashes at this indentation.
    Item(usize),
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
        self.part_run_together(line, take)?;
        let dashes = match self.inside {
            Inside::Fields if line.trim_end() == "items:" => {
                self.inside = Inside::Items;
                self.had_items = true;
                return Ok(());
            }
            Inside::Fields => {
                self.document.push(line, number);
                return Ok(());
            }
            Inside::Items => None,
            Inside::Item(dashes) => Some(dashes),
        };
        let indent = line.len() - line.trim_start_matches(' ').len();
        let content = line.get(indent..).unwrap_or_default();
        let is_item = content == "-" || content.starts_with("- ");
        if is_item && dashes.is_none_or(|dashes| dashes == indent) {
            self.item.take(Part::Item, take)?;
            self.inside = Inside::Item(indent);
            let blank = " ".repeat(indent + 1);
            self.item.push(&format!("{blank}{}", content.get(1..).unwrap_or_default()), number);
        } else if indent == 0 && is_key(content) {
            self.item.take(Part::Item, take)?;
            self.inside = Inside::Fields;
            self.document.push(line, number);
        } else {
            self.item.push(line, number);
        }
        Ok(())
    }

    /// Files that were run together without `---`: an object that names its version or kind again is
    /// another one.
    fn part_run_together(&mut self, line: &str, take: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
        let Some(which) = ["apiVersion:", "kind:"].iter().position(|key| line.starts_with(key)) else { return Ok(()) };
        if self.named.get(which).copied().unwrap_or_default() {
            self.end_document(take)?;
        }
        if let Some(named) = self.named.get_mut(which) {
            *named = true;
        }
        Ok(())
    }

    fn end_document(&mut self, take: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
        self.item.take(Part::Item, take)?;
        self.inside = Inside::Fields;
        self.named = [false; 2];
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
    if let Some(first) = breaks.first().filter(|_| are_wide(&piece.text, &breaks)) {
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
    // a namespace `y` or `no` is a name: only `true` and `false` are booleans, as kubectl writes them
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
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
    // the parser counts the lines of the piece, the message those of the file
    // what follows is the parser's advice to programmers
    let what = text.lines().next().unwrap_or_default();
    let what = [" at line ", ", set "].iter().fold(what, |what, end| what.split(end).next().unwrap_or(what));
    let what = format!("not valid YAML: {}", what.trim_end_matches('.'));
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

/// Whether every line that seems broken is as long as a terminal is wide; shorter ones are
/// something else, a template perhaps.
fn are_wide(text: &str, breaks: &[usize]) -> bool {
    let mut breaks = breaks.iter().peekable();
    text.lines()
        .enumerate()
        .all(|(at, line)| breaks.next_if(|next| **next == at).is_none() || line.chars().count() >= MIN_WIDTH)
}

/// Joins the lines that were broken, if they were all broken at the same width: only then is
/// nothing guessed.
fn join(text: &str, breaks: &[usize]) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let width = |at: usize| lines.get(at).map(|line| line.chars().count());
    let first = width(*breaks.first()?)?;
    // an item's dash has become a blank, so that widths are those of the file
    if first < MIN_WIDTH || breaks.iter().any(|at| width(*at) != Some(first)) {
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

/// Turns the pieces of one file into objects of the index.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    name: &'a str,
    file: FileId,
    mark: usize,
    offset: u64,
    /// JSON that is not in the spool yet.
    pub(super) batch: Vec<u8>,
    /// Whether anything was recognised.
    pub(super) any: bool,
    /// Pieces that are not YAML.
    pub(super) broken: Vec<Broken>,
    /// Pieces that are configuration without its object.
    pub(super) excerpts: Vec<Excerpt>,
    /// What had to be mended.
    pub(super) notices: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader of the file that messages call `name`; `file` is where its JSON will lie.
    pub(super) fn new(name: &'a str, file: FileId, mark: usize) -> Self {
        let (batch, broken, excerpts, notices) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { name, file, mark, offset: 0, batch, any: false, broken, excerpts, notices }
    }

    /// Takes one piece.
    pub(super) fn take(&mut self, piece: &Piece, index: &mut Builder) {
        let Parsed { value, mended } = match parse(piece) {
            Ok(parsed) => parsed,
            Err(broken) => {
                let field = |name: &str| {
                    let mut lines = piece.text.lines().map(|line| line.trim_start().trim_start_matches("- "));
                    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default().trim()
                };
                let what = format!("{}:{}: {}", self.name, broken.line, broken.what);
                index.incomplete(field("apiVersion"), field("kind"), &what);
                self.broken.push(broken);
                return;
            }
        };
        if let Some((line, count)) = mended {
            let name = self.name;
            let text =
                format!("{name}:{line}: a terminal broke {count} long lines of this object; they were joined again");
            self.notices.push(text);
        }
        if piece.part == Part::List {
            let item = word(&value, "/kind").strip_suffix("List").map(|kind| (word(&value, "/apiVersion"), kind));
            index.settle(self.mark, item);
            self.any = true;
        } else if value.get("items").is_some_and(Value::is_array) && word(&value, "/kind").ends_with("List") {
            self.inline_list(&value, index);
        } else if word(&value, "/metadata/name").is_empty() {
            let place = format!("{}:{}", self.name, piece.line);
            if let Some(excerpt) = excerpt::recognise(&value, &piece.text, &place) {
                self.excerpts.push(excerpt);
                self.any = true;
            }
        } else {
            self.object(&value, index);
        }
        if piece.part != Part::Item {
            self.mark = index.mark();
        }
    }

    /// A list in flow style, `items: []` for one.
    fn inline_list(&mut self, list: &Value, index: &mut Builder) {
        let mark = index.mark();
        for item in list.get("items").and_then(Value::as_array).into_iter().flatten() {
            self.object(item, index);
        }
        let item = word(list, "/kind").strip_suffix("List").map(|kind| (word(list, "/apiVersion"), kind));
        index.settle(mark, item);
        self.any = true;
    }

    fn object(&mut self, value: &Value, index: &mut Builder) {
        self.any = true;
        let (api_version, kind) = (word(value, "/apiVersion"), word(value, "/kind"));
        if is_secret(api_version, kind) {
            return;
        }
        let before = self.batch.len();
        if serde_json::to_writer(&mut self.batch, value).is_err() {
            self.batch.truncate(before);
            return;
        }
        let len = (self.batch.len() - before) as u64;
        index.add(Found {
            file: self.file,
            offset: self.offset,
            len,
            api_version,
            kind,
            namespace: word(value, "/metadata/namespace"),
            name: word(value, "/metadata/name"),
            resource_version: word(value, "/metadata/resourceVersion"),
        });
        self.offset += len;
    }
}

fn word<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_run_together_are_parted_where_an_object_begins_again() {
        let mut pieces = Vec::new();
        let mut text = "apiVersion: v1\nkind: Node\nmetadata:\n  name: a\nkind: List\napiVersion: v1\nitems:\n\
                        - kind: Node\n  metadata: {name: b}\nmetadata: {}\napiVersion: v1\nkind: Pod\n"
            .as_bytes();
        split(&mut text, &mut |piece| {
            let kind = parse(&piece).ok().and_then(|parsed| parsed.value.get("kind")?.as_str().map(str::to_owned));
            pieces.push((piece.line, kind.unwrap_or_default()));
            Ok(())
        })
        .unwrap();
        let pieces: Vec<(u64, &str)> = pieces.iter().map(|(line, kind)| (*line, kind.as_str())).collect();
        assert_eq!(pieces, [(1, "Node"), (8, "Node"), (5, "List"), (11, "Pod")]);
    }
}
