//! Where the fields stand in the text. What is found here is checked by reading the edited text again;
//! so a layout that these few rules do not know is refused, never damaged.

use std::collections::BTreeMap;

use super::{Change, Edit, Refused};
use crate::kubeproxy;

/// A line of the text.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// From 1.
    number: usize,
    /// Without its ending.
    body: &'a str,
    /// `\n`, `\r\n`, or nothing at the end of the text.
    ending: &'a str,
}

impl<'a> Line<'a> {
    fn content(&self) -> &'a str {
        self.body.trim_start_matches(' ')
    }

    fn indent(&self) -> usize {
        self.body.len() - self.content().len()
    }

    /// Neither blank nor a comment.
    fn counts(&self) -> bool {
        let content = self.content().trim_start();
        !content.is_empty() && !content.starts_with('#')
    }

    /// The parts of the line before and after its value, where it has this key.
    fn key(&self, key: &str) -> Option<(&'a str, &'a str)> {
        let content = self.content();
        let quoted = |quote: char| content.strip_prefix(quote)?.strip_prefix(key)?.strip_prefix(quote);
        let rest = content.strip_prefix(key).or_else(|| quoted('"')).or_else(|| quoted('\''))?;
        let value = rest.trim_start_matches(' ').strip_prefix(':')?;
        let is_value = value.is_empty() || value.starts_with([' ', '\t']);
        is_value.then(|| self.body.split_at(self.body.len() - value.len()))
    }

    fn refuse(&self, reason: &str) -> Refused {
        Refused::Layout { line: self.number, reason: format!("`{}` {reason}", self.body.trim()) }
    }
}

/// A value on its line: what stands before it, how it is quoted, what follows it.
struct Place<'a> {
    head: &'a str,
    quote: &'a str,
    value: &'a str,
    tail: &'a str,
}

impl<'a> Place<'a> {
    fn of(line: &Line<'a>, (key, rest): (&'a str, &'a str)) -> Result<Self, Refused> {
        let value = rest.trim_start_matches([' ', '\t']);
        let head = line.body.get(..line.body.len() - value.len()).unwrap_or(key);
        let place = match value.chars().next() {
            None | Some('#') => Self { head: key, quote: "", value: "", tail: rest },
            Some('"' | '\'') => {
                let (quote, inner) = value.split_at(1);
                let end = inner.find(quote).ok_or_else(|| line.refuse("goes on on the next line: write it on one"))?;
                let (value, tail) = inner.split_at(end);
                Self { head, quote, value, tail: tail.get(1..).unwrap_or_default() }
            }
            Some('&' | '*' | '!' | '|' | '>' | '[' | '%' | '@' | '`') => {
                return Err(line.refuse("is not a plain text: write it plainly"));
            }
            Some(_) => {
                let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
                let value_end = value.get(..end).unwrap_or(value).trim_end().len();
                let (value, tail) = value.split_at(value_end);
                Self { head, quote: "", value, tail }
            }
        };
        let comment = place.tail.trim_start();
        let apart = comment.is_empty() || (comment.starts_with('#') && comment.len() < place.tail.len());
        if place.value.contains('\\') || !apart {
            return Err(line.refuse("is not a plain text: write it plainly"));
        }
        Ok(place)
    }

    fn with(&self, value: &str) -> String {
        let Self { head, quote, tail, .. } = self;
        let space = if head.ends_with(':') { " " } else { "" };
        format!("{head}{space}{quote}{value}{quote}{tail}")
    }

    /// The line with nothing as its value.
    fn without(&self) -> String {
        format!("{}{}", self.head.trim_end(), self.tail)
    }
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let numbered = text.split_inclusive('\n').zip(1..);
    numbered
        .map(|(line, number)| {
            let body = line.strip_suffix('\n').map_or(line, |body| body.strip_suffix('\r').unwrap_or(body));
            Line { number, body, ending: line.get(body.len()..).unwrap_or_default() }
        })
        .collect()
}

/// The lines of the document that configures kube-proxy.
fn document<'l, 't>(lines: &'l [Line<'t>]) -> Option<&'l [Line<'t>]> {
    let is_marker = |line: &Line<'_>| {
        let rest = line.body.strip_prefix("---").or_else(|| line.body.strip_prefix("..."));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    };
    lines.split(is_marker).find(|document| {
        let text: String = document.iter().flat_map(|line| [line.body, line.ending]).collect();
        matches!(kubeproxy::parse(&text), Ok(Some(_)))
    })
}

/// The lines under the one at `index`: until one that is indented no further.
fn under<'l, 't>(document: &'l [Line<'t>], index: usize, indent: usize) -> &'l [Line<'t>] {
    let rest = document.get(index + 1..).unwrap_or_default();
    let end = rest.iter().position(|line| line.counts() && line.indent() <= indent).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// A field: its line, its value there, and the lines under it.
type Field<'l, 't> = (&'l Line<'t>, Place<'t>, &'l [Line<'t>]);

/// The first field in `lines` with this key at this indentation; why one that is there cannot be changed.
fn field<'l, 't>(lines: &'l [Line<'t>], key: &str, indent: usize) -> Result<Option<Field<'l, 't>>, Refused> {
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.counts() && line.indent() == indent) {
        if let Some(parts) = line.key(key) {
            return Ok(Some((line, Place::of(line, parts)?, under(lines, index, indent))));
        }
    }
    Ok(None)
}

/// Lines by their number: as they are, and as they become.
struct Becoming<'t> {
    lines: BTreeMap<usize, (Line<'t>, String, String)>,
    ending: &'t str,
}

impl<'t> Becoming<'t> {
    /// Gives a line another body.
    fn set(&mut self, line: &Line<'t>, body: String) {
        self.lines.entry(line.number).or_insert_with(|| (*line, String::new(), String::new())).1 = body;
    }

    /// Puts a line after another one, and after those already put there.
    fn add(&mut self, after: &Line<'t>, body: &str) {
        let entry = self.lines.entry(after.number).or_insert_with(|| (*after, after.body.to_owned(), String::new()));
        // the last line of a text may have no ending, and then the new last line has none
        let ending = if after.ending.is_empty() { self.ending } else { after.ending };
        let added = if after.ending.is_empty() { format!("{ending}{body}") } else { format!("{body}{ending}") };
        entry.2.push_str(&added);
    }

    fn edit(self) -> Edit {
        let change = |(line, body, added): (Line<'t>, String, String)| Change {
            line: line.number,
            before: format!("{}{}", line.body, line.ending),
            after: format!("{body}{}{added}", line.ending),
        };
        Edit { changes: self.lines.into_values().map(change).collect() }
    }
}

/// The changes that give the fields these values; none leaves a field alone.
pub(super) fn changes(text: &str, mode: Option<&str>, scheduler: Option<&str>) -> Result<Edit, Refused> {
    let lines = lines(text);
    let whole = document(&lines).ok_or(Refused::Unsure("kind"))?;
    let first = whole.iter().find(|line| line.counts()).ok_or(Refused::NotOne)?;
    let indent = first.indent();
    let margin = " ".repeat(indent);
    if first.content().starts_with(['{', '[']) {
        return Err(first.refuse("starts JSON: write the file as YAML, a key a line"));
    }
    let (kind, ..) = field(whole, "kind", indent)?.ok_or(Refused::Unsure("kind"))?;
    let ending = lines.iter().map(|line| line.ending).find(|ending| !ending.is_empty()).unwrap_or("\n");
    let mut becoming = Becoming { lines: BTreeMap::new(), ending };
    if let Some(mode) = mode {
        match field(whole, "mode", indent)? {
            Some((line, _, under)) if under.iter().any(Line::counts) => {
                return Err(line.refuse("goes on on the next line: write it on one"));
            }
            Some((line, place, _)) => becoming.set(line, place.with(mode)),
            None => becoming.add(kind, &format!("{margin}mode: {mode}")),
        }
    }
    let Some(scheduler) = scheduler else { return Ok(becoming.edit()) };
    let Some((section, place, inside)) = field(whole, "ipvs", indent)? else {
        becoming.add(kind, &format!("{margin}ipvs:"));
        becoming.add(kind, &format!("{margin}  scheduler: {scheduler}"));
        return Ok(becoming.edit());
    };
    let inner = inside.iter().find(|line| line.counts()).map(Line::indent);
    match (inner, place.value) {
        (Some(inner), "") => match field(inside, "scheduler", inner)? {
            Some((line, place, _)) => becoming.set(line, place.with(scheduler)),
            None => becoming.add(section, &format!("{}scheduler: {scheduler}", " ".repeat(inner))),
        },
        (None, "" | "null" | "~" | "Null" | "NULL" | "{}") => {
            becoming.set(section, place.without());
            becoming.add(section, &format!("{margin}  scheduler: {scheduler}"));
        }
        _ => return Err(section.refuse("is not a block: write `ipvs:` and its fields on lines of their own")),
    }
    Ok(becoming.edit())
}
