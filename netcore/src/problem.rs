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
const SHOWN: usize = 200;

impl Problem {
    /// A problem with one word of a line; the word may be any bytes of any length.
    pub fn new(line: usize, column: usize, token: impl AsRef<[u8]>, reason: impl Into<String>) -> Self {
        let token = token.as_ref().trim_ascii();
        if !token.is_empty() && token.iter().all(|byte| *byte == 0) {
            let count = token.len();
            return Self { line, column, token: format!("{count} NUL bytes"), reason: reason.into() };
        }
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

/// What was not understood in one text: the first problems in full, the rest as a number, so that a
/// broken file of any size costs little.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    kept: Vec<Problem>,
    more: usize,
    /// The line of the last one that is only counted.
    last: usize,
}

/// How many problems of one text are kept.
const KEPT: usize = 100;

impl Problems {
    /// Takes one.
    pub fn push(&mut self, problem: Problem) {
        if self.kept.len() < KEPT {
            self.kept.push(problem);
        } else {
            self.more += 1;
            self.last = self.last.max(problem.line);
        }
    }

    /// Makes and takes one, unless there are too many already.
    pub fn add(&mut self, line: usize, column: usize, token: impl AsRef<[u8]>, reason: impl Into<String>) {
        if self.kept.len() < KEPT {
            self.kept.push(Problem::new(line, column, token, reason));
        } else {
            self.more += 1;
            self.last = self.last.max(line);
        }
    }

    /// Notes a line that nothing fits: that a command failed, in its own words, or what would be valid.
    pub fn unknown(&mut self, line: usize, content: &str, valid: &str) {
        let reason = if is_failure(content) { FAILED.to_owned() } else { format!("not {valid}") };
        let column = content.len() - content.trim_start().len() + 1;
        self.add(line, column, content, reason);
    }

    /// Takes a value, or notes why there is none.
    pub fn ok<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// The first problems, in the order of the text.
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

    /// The first ones, and one more that stands for the rest where there are too many.
    pub fn into_vec(self) -> Vec<Problem> {
        let Self { mut kept, more, last } = self;
        if more > 0 {
            kept.push(Problem::of_line(last, "", format!("{more} more problems up to here")));
        }
        kept
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<T: IntoIterator<Item = Problem>>(all: T) -> Self {
        let mut problems = Self::default();
        all.into_iter().for_each(|problem| problems.push(problem));
        problems
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

/// The reason of a line that a tool or a shell said instead of an answer; the line is the token.
pub(crate) const FAILED: &str = "the command failed";

/// Whether a line is what a shell or a tool says instead of an answer.
pub(crate) fn is_failure(line: &str) -> bool {
    const SIGNS: [&str; 17] = [
        "command not found",
        ": not found",
        "Permission denied",
        "permission denied",
        "Operation not permitted",
        "No such file or directory",
        "Can't initialize",
        "can't initialize",
        "Cannot initialize",
        "Unable to connect to",
        "executable file not found",
        "Cannot open",
        "modprobe: FATAL",
        "Are you sure that",
        "must be root",
        "unable to resolve host",
        "command terminated with",
    ];
    let head = message_of(line);
    SIGNS.iter().any(|sign| head.contains(sign))
}

/// As much of a line as may be a tool's message: a huge one is none.
pub(crate) fn message_of(line: &str) -> &str {
    let mut end = line.len().min(1000);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or_default()
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
        assert_eq!(Problem::new(1, 1, [0; 4096], "r").token, "4096 NUL bytes");
        assert_eq!(Problem::of_line(1, &"ä".repeat(500), "too long").token.chars().count(), SHOWN + 1);
        assert_eq!(Problem::of_line(4, " abc ", "r").to_string(), "line 4: r: `abc`");
    }

    #[test]
    fn a_failure_is_said_in_its_own_words() {
        let mut problems = Problems::default();
        problems.unknown(1, "bash: ipvsadm: command not found", "a route");
        problems.unknown(2, "  hello", "a route");
        assert_eq!(
            problems.to_string(),
            "line 1, column 1: the command failed: `bash: ipvsadm: command not found`\n\
             line 2, column 3: not a route: `hello`\n"
        );
        assert!(!is_failure(&format!("{}command not found", "ä".repeat(5000))));
    }

    #[test]
    fn many_problems_are_counted_and_few_are_kept() {
        let mut problems = Problems::default();
        for line in 1..=5000 {
            problems.add(line, 1, b"?", "no");
        }
        assert_eq!((problems.kept().len(), problems.count()), (KEPT, 5000));
        assert!(problems.to_string().ends_with("and 4900 more\n"));
        let all = problems.into_vec();
        assert_eq!(all.len(), KEPT + 1);
        assert_eq!(all[KEPT].to_string(), "line 5000: 4900 more problems up to here");
    }
}
