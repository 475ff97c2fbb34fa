//! What of a text could not be read: where it stands, the token, and what would be valid. The rest
//! of the text stays.

use std::fmt;

/// One thing in a text that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {reason}{}", at_column(*.column), quoted(.token))]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 1, at which the offending word begins; 0 where the whole line is meant.
    pub column: usize,
    /// What stands there, cut to a length that can be shown; empty where there is nothing to show.
    pub token: String,
    /// What is wrong and what would be valid.
    pub reason: String,
}

fn at_column(column: usize) -> String {
    if column == 0 { String::new() } else { format!(", column {column}") }
}

fn quoted(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!(": `{token}`") }
}

/// How much of a broken token is shown, in characters.
const SHOWN: usize = 100;

impl Problem {
    /// A problem with one word of a line; the word may be any bytes of any length.
    pub fn new(line: usize, column: usize, token: impl AsRef<[u8]>, reason: impl Into<String>) -> Self {
        let token = token.as_ref().trim_ascii();
        // four bytes a character are enough to cut by characters without reading a whole huge token
        let head = token.get(..SHOWN * 4 + 4).unwrap_or(token);
        let text = String::from_utf8_lossy(head);
        let mut shown: String = text.chars().take(SHOWN).collect();
        if text.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        Self { line, column, token: shown, reason: reason.into() }
    }

    /// A problem with a whole line.
    pub fn of_line(line: usize, content: &str, reason: impl Into<String>) -> Self {
        Self::new(line, 0, content, reason)
    }
}

/// The problems of one dump: the first ones in full, the rest as a number, so that a broken file of
/// any size costs little.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    kept: Vec<Problem>,
    more: usize,
}

/// How many problems of one dump are kept.
const KEPT: usize = 1000;

impl Problems {
    /// Takes one.
    pub fn push(&mut self, problem: Problem) {
        if self.kept.len() < KEPT {
            self.kept.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Makes and takes one, unless there are too many already.
    pub fn add(&mut self, line: usize, column: usize, token: impl AsRef<[u8]>, reason: impl Into<String>) {
        if self.kept.len() < KEPT {
            self.kept.push(Problem::new(line, column, token, reason));
        } else {
            self.more += 1;
        }
    }

    /// The first problems, in the order of the dump.
    pub fn kept(&self) -> &[Problem] {
        &self.kept
    }

    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.kept.len() + self.more
    }

    /// Whether everything could be read.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The first one.
    pub fn first(&self) -> Option<&Problem> {
        self.kept.first()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.kept {
            writeln!(f, "{problem}")?;
        }
        if self.more > 0 { writeln!(f, "and {} more", self.more) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_token_is_cut() {
        let problem = Problem::new(3, 7, vec![b'x'; 10_000_000], "not an address");
        assert_eq!(problem.token.chars().count(), SHOWN + 1);
        assert!(problem.to_string().starts_with("line 3, column 7: not an address: `xxx"));
        assert_eq!(Problem::new(1, 1, b"abc", "r").token, "abc");
        assert_eq!(Problem::of_line(1, &"ä".repeat(500), "too long").token.chars().count(), SHOWN + 1);
        assert_eq!(Problem::of_line(4, " abc ", "r").to_string(), "line 4: r: `abc`");
    }

    #[test]
    fn many_problems_are_counted_and_few_are_kept() {
        let mut problems = Problems::default();
        for line in 1..=5000 {
            problems.add(line, 1, b"?", "no");
        }
        assert_eq!((problems.kept().len(), problems.count()), (KEPT, 5000));
        assert!(problems.to_string().ends_with("and 4000 more\n"));
    }
}
