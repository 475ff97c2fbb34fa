//! kubectl's own `JSONPath`, which is not RFC 9535: text with `{…}` blocks, `{range .a[*]}…{end}`,
//! `{"\n"}`, no `$` needed, a missing key is nothing, several results are joined by blanks.
//!
//! Beyond kubectl, filters know `&&`, `||` and `=~`, compare whole numbers with fractions, and skip a
//! null, which is our unknown; it refuses all of that. Deliberately different from it: an empty list
//! inside `[*]` does not swallow the results after it, an unclosed `{range}` is an error, and a name
//! without a dot is refused before anything is read, not after.

mod eval;
mod go;
mod parse;

use std::fmt;

use serde_json::Value;

pub(super) use go::sprint;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    blocks: Vec<Block>,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A piece of a template.
#[derive(Clone, Debug)]
enum Block {
    /// Text outside the braces, or a quoted string alone in them.
    Text(String),
    /// Steps in braces.
    Path(Path),
    /// From `{range …}` to its `{end}`.
    Range(Path, Vec<Block>),
}

/// Steps, each taking the results of the one before.
type Path = Vec<Step>;

#[derive(Clone, Debug)]
enum Step {
    /// `.name`
    Field(String),
    /// `.*`
    Wildcard,
    /// `..`
    Descend,
    /// `[1]`, `[1:3]`, `[::2]`, `[*]`
    Slice(Slice),
    /// `[0,2]`, `['a','b']`
    Union(Vec<Path>),
    /// `[?(…)]`
    Filter(Filter),
    /// A value in place of each result: a number, `true`.
    Each(Value),
    /// One value in place of all results: a string.
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slice {
    At(i64),
    Part { from: Option<i64>, to: Option<i64>, step: Option<i64> },
}

#[derive(Clone, Debug)]
enum Filter {
    /// Both sides of an `||`.
    Any(Vec<Filter>),
    /// Both sides of an `&&`.
    All(Vec<Filter>),
    /// There is such a thing, whatever its value.
    Exists(Path),
    /// Two values compared.
    Compare(Path, Compare, Path),
    /// A text that a regular expression matches.
    Matches(Path, regex::Regex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a template cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    template: String,
    /// In characters, from 0.
    at: usize,
    problem: String,
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jsonpath {:?}, character {}: {}", self.template, self.at + 1, self.problem)
    }
}

/// Why a template cannot be applied to a report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("jsonpath {template:?}: {problem}")]
pub struct EvalError {
    template: String,
    problem: String,
}

impl Template {
    /// Reads a template: the part after `jsonpath=`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::template(text).map(|blocks| Self { text: text.to_owned(), blocks }).map_err(|(at, problem)| ParseError {
            template: text.to_owned(),
            at,
            problem,
        })
    }

    /// Reads one path as custom-columns writes it: `.a.b`, `a.b`, `{.a.b}` or `{a.b}`.
    pub(super) fn parse_relaxed(text: &str) -> Result<Self, ParseError> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        if inner.contains(['{', '}']) {
            return Err(ParseError {
                template: text.to_owned(),
                at: 0,
                problem: "a column takes one path: .a.b, a.b, {.a.b} or {a.b}".to_owned(),
            });
        }
        let inner = inner.strip_prefix('.').unwrap_or(inner);
        // A path that begins with an index has no name before it.
        let opening = if inner.starts_with('[') { "{" } else { "{." };
        let removed = text.find(inner).unwrap_or(0);
        Self::parse(&format!("{opening}{inner}}}")).map_err(|error| ParseError {
            template: text.to_owned(),
            at: (error.at + removed).saturating_sub(opening.len()),
            problem: error.problem,
        })
    }

    /// The report in this form, as kubectl prints it.
    pub fn print(&self, report: &Value) -> Result<String, EvalError> {
        let groups = self.groups(report)?;
        let texts = groups.iter().map(|group| group.iter().map(|value| go::text(value)).collect::<Vec<_>>().join(" "));
        Ok(texts.collect())
    }

    /// The results of every block, one JSON array each: `-o jsonpath-as-json`.
    pub(super) fn print_json(&self, report: &Value) -> Result<Vec<Value>, EvalError> {
        let groups = self.groups(report)?;
        Ok(groups.into_iter().map(|group| group.into_iter().map(std::borrow::Cow::into_owned).collect()).collect())
    }

    /// The results of the template's blocks, in order.
    fn groups<'a>(&'a self, report: &'a Value) -> Result<Vec<eval::Results<'a>>, EvalError> {
        let mut out = Vec::new();
        eval::blocks(&self.blocks, report, &mut out)
            .map_err(|problem| EvalError { template: self.text.clone(), problem })?;
        Ok(out)
    }

    /// All results in one list: a cell of custom-columns.
    pub(super) fn results<'a>(&'a self, report: &'a Value) -> Result<eval::Results<'a>, EvalError> {
        Ok(self.groups(report)?.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests;
