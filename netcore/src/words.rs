//! Walking a line of a tool's output word by word, so that an error can name the word and its column.

use std::{fmt::Display, str::FromStr};

use crate::problem::Problem;

/// The words of one line, from left to right.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    line: usize,
    content: &'a str,
    at: usize,
    last: (usize, &'a str),
}

impl<'a> Words<'a> {
    /// The words of a line; `line` from 1.
    pub(crate) const fn new(line: usize, content: &'a str) -> Self {
        Self { line, content, at: 0, last: (0, "") }
    }

    /// The line's number.
    pub(crate) const fn line(&self) -> usize {
        self.line
    }

    /// The whole line.
    pub(crate) const fn content(&self) -> &'a str {
        self.content
    }

    /// What is left of the line, without white space around it.
    pub(crate) fn rest(&self) -> &'a str {
        self.content.get(self.at..).unwrap_or_default().trim()
    }

    /// The next word, which stays.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.rest().split_whitespace().next()
    }

    /// Takes the next word if it is this one.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        if found {
            self.next();
        }
        found
    }

    /// The next word, which must be there; `what` says what it would be.
    pub(crate) fn need(&mut self, what: &str) -> Result<&'a str, Problem> {
        self.next().ok_or_else(|| {
            let end = self.content.trim_end().len() + 1;
            Problem::new(self.line, end, "", format!("the line ends where {what} should stand"))
        })
    }

    /// The next word as a value; `what` says what would be valid.
    pub(crate) fn value<T: FromStr>(&mut self, what: &str) -> Result<T, Problem> {
        let word = self.need(what)?;
        word.parse().map_err(|_| self.error(format!("not {what}")))
    }

    /// An error about the word that was taken last.
    pub(crate) fn error(&self, reason: impl Display) -> Problem {
        Problem::new(self.line, self.last.0, self.last.1, reason.to_string())
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let left = self.content.get(self.at..)?;
        let start = left.find(|c: char| !c.is_whitespace())?;
        let word = left.get(start..)?.split(char::is_whitespace).next()?;
        self.last = (self.at + start + 1, word);
        self.at += start + word.len();
        Some(word)
    }
}

/// The column, from 1, of a word that was taken out of a line.
pub(crate) fn column_of(line: &str, word: &str) -> usize {
    word.as_ptr().addr().saturating_sub(line.as_ptr().addr()).min(line.len()) + 1
}

/// A pasted terminal has the command's own line in it: `root@node1:~# ip route`, `$ lsmod`.
pub(crate) fn is_prompt(line: &str) -> bool {
    let line = line.trim_start();
    let first = line.split_whitespace().next().unwrap_or_default();
    matches!(first, "$" | "#" | "bird>")
        || (first.starts_with('[') && first.contains('@'))
        || (first.contains('@') && first.ends_with(['#', '$']))
}

/// Whether a text is a JSON list of objects; a pasted prompt may start with a bracket too.
pub(crate) fn is_json_list(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('[').map(str::trim_start);
    inside.is_some_and(|inside| inside.is_empty() || inside.starts_with(['{', ']']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_word_and_its_column() {
        let mut words = Words::new(7, "  -> 10.0.0.1:x  Masq");
        assert_eq!(words.next(), Some("->"));
        let error = words.value::<u16>("a number").unwrap_err();
        assert_eq!((error.line, error.column, error.token.as_str()), (7, 6, "10.0.0.1:x"));
        assert_eq!(error.to_string(), "line 7, column 6: not a number: `10.0.0.1:x`");
        assert_eq!(words.next(), Some("Masq"));
        assert_eq!(words.need("a weight").unwrap_err().column, 22);
    }
}
