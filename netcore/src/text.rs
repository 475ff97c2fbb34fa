//! Reading configuration texts: YAML and JSON into values, and the line on which a key stands.

use std::str::FromStr;

use serde_json::Value;

use crate::problem::{Problem, Problems};

fn at(whole: &str, line: usize, reason: impl Into<String>) -> Problem {
    Problem::of_line(line, whole.lines().nth(line.saturating_sub(1)).unwrap_or_default(), reason)
}

/// The first document of a YAML or JSON text. Nothing for an empty text.
pub fn yaml(text: &str) -> Result<Option<Value>, Problem> {
    Ok(yaml_documents(text)?.into_iter().find(|document| !document.is_null()))
}

/// Every document of a YAML or JSON text.
pub fn yaml_documents(text: &str) -> Result<Vec<Value>, Problem> {
    serde_saphyr::from_multiple::<Value>(text).map_err(|error| {
        let line = error.location().and_then(|l| usize::try_from(l.line()).ok()).unwrap_or(1);
        if let Some(line) = tab_from(text, line) {
            return at(text, line, "not valid YAML: a tab indents the line; write spaces");
        }
        let message = error.without_snippet().to_string();
        let reason = message.lines().next().unwrap_or("not valid YAML").to_owned();
        at(text, line.max(1), format!("not valid YAML: {reason}"))
    })
}

/// The first line from `line` on that a tab indents; the parser names the line before it.
fn tab_from(text: &str, line: usize) -> Option<usize> {
    let indented = |content: &str| content.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let near = text.lines().enumerate().skip(line.saturating_sub(1)).take(2);
    near.map(|(index, content)| (index + 1, content)).find(|(_, content)| indented(content)).map(|(line, _)| line)
}

/// A JSON text.
pub fn json(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|error| {
        let line = error.line().max(1);
        at(text, line, format!("not valid JSON: {error}"))
    })
}

/// What of a JSON object could not be read: the value, and what is wrong with it.
pub(crate) type Wrong = (String, String);

/// Reads the objects of a JSON list, or of several that follow each other, one by one: a list that is
/// cut gives what stands before the cut. `read` is given each object's place among them, from 1; those
/// without any field are passed over, for tools print them for what a filter left out.
pub(crate) fn json_objects<T>(
    text: &str,
    problems: &mut Problems,
    mut read: impl FnMut(&Value, usize) -> Result<T, Wrong>,
) -> Vec<T> {
    json_objects_in_part(text, problems, |item, place, _| read(item, place))
}

/// The same where a part of an object may be wrong and the rest of it stays.
pub(crate) fn json_objects_in_part<T>(
    text: &str,
    problems: &mut Problems,
    mut read: impl FnMut(&Value, usize, &mut Vec<Wrong>) -> Result<T, Wrong>,
) -> Vec<T> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    let mut at = Place { text, at: 0, line: 1, begin: 0 };
    let (mut inside, mut due, mut number) = (false, false, 0);
    loop {
        at.skip(at.rest().len() - at.rest().trim_start().len());
        let rest = at.rest();
        match rest.bytes().next() {
            None if !inside => break,
            None => {
                at.complain(problems, "the text ends inside of a list: it is cut here");
                break;
            }
            Some(b'[') if !inside => {
                (inside, due) = (true, true);
                at.skip(1);
            }
            Some(b']') if inside => {
                inside = false;
                at.skip(1);
            }
            Some(b',') if inside && !due => {
                due = true;
                at.skip(1);
            }
            Some(_) if inside && due => {
                let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
                let value = match values.next() {
                    Some(Ok(value)) => value,
                    Some(Err(error)) => {
                        at.broken(problems, &error);
                        break;
                    }
                    None => break,
                };
                if !value.as_object().is_some_and(serde_json::Map::is_empty) {
                    number += 1;
                    match read(&value, number, &mut wrong) {
                        Ok(item) => found.push(item),
                        Err(all) => wrong.push(all),
                    }
                    for (token, reason) in wrong.drain(..) {
                        problems.add(at.line, at.column(), token, reason);
                    }
                }
                due = false;
                at.skip(values.byte_offset());
            }
            Some(_) => {
                at.complain(problems, "not valid JSON: a list of objects would be");
                break;
            }
        }
    }
    found
}

/// A place in a text.
struct Place<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    /// Where the line begins.
    begin: usize,
}

impl Place<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize) {
        let passed = self.text.as_bytes().get(self.at..self.at + bytes).unwrap_or_default();
        for newline in memchr::memchr_iter(b'\n', passed) {
            self.line += 1;
            self.begin = self.at + newline + 1;
        }
        self.at += bytes;
    }

    const fn column(&self) -> usize {
        self.at - self.begin + 1
    }

    fn complain(&self, problems: &mut Problems, reason: &str) {
        let token = self.rest().lines().next().unwrap_or_default();
        problems.add(self.line, self.column(), token, reason);
    }

    /// Why the value that begins here is none.
    fn broken(&self, problems: &mut Problems, error: &serde_json::Error) {
        if error.is_eof() {
            self.complain(problems, "the text ends inside of an object that begins here: it is cut");
            return;
        }
        let first = error.line() <= 1;
        let column = if first { self.column() - 1 + error.column() } else { error.column() };
        let line = self.line + error.line().saturating_sub(1);
        problems.add(line, column.max(1), "", format!("not valid JSON: {}", without_place(error)));
    }
}

/// The error's own words, without the place.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

/// A field that need not be there, and must be a `what` where it is.
pub(crate) fn optional<T: FromStr>(value: Option<&Value>, what: &str) -> Result<Option<T>, Wrong> {
    match value {
        None | Some(Value::Null) => Ok(None),
        value => {
            let text = scalar(value);
            if text.is_empty() {
                return Ok(None);
            }
            text.parse().map(Some).map_err(|_| (text, format!("not {what}")))
        }
    }
}

/// The line, from 1, of the key at the end of `path` in a block-style YAML text: the deepest part of
/// the path that stands on a line of its own. 1 where not even the first does.
pub fn line_of(text: &str, path: &[&str]) -> usize {
    let mut keys = path.iter();
    let Some(mut wanted) = keys.next() else { return 1 };
    let mut found = 1;
    let mut parent: Option<usize> = None;
    for (index, line) in text.lines().enumerate() {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = line.len() - content.len();
        if parent.is_some_and(|parent| indent <= parent && !content.starts_with('-')) {
            return found;
        }
        if is_key(content.trim_start_matches("- "), wanted) {
            found = index + 1;
            parent = Some(indent);
            match keys.next() {
                Some(next) => wanted = next,
                None => return found,
            }
        }
    }
    found
}

fn is_key(content: &str, key: &str) -> bool {
    let rest = content.trim_start_matches(['"', '\'']).strip_prefix(key);
    rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
}

/// A field as text, whatever scalar it is written as; empty for null and absent.
pub fn scalar(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(truth)) => truth.to_string(),
        _ => String::new(),
    }
}

/// A field as a list of texts: a list, or one comma-separated text.
pub fn scalars(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().map(|item| scalar(Some(item))).filter(|s| !s.is_empty()).collect(),
        other => scalar(other).split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_yaml_names_its_line() {
        let error = yaml("networking:\n  podSubnet: 10.244.0.0/16\n\tserviceSubnet: 10.96.0.0/12\n").unwrap_err();
        assert_eq!(error.line, 3, "{error}");
        assert!(error.to_string().contains("serviceSubnet"), "{error}");
    }

    #[test]
    fn broken_json_names_its_line() {
        assert_eq!(json("{\n\"a\": 1,\n}").unwrap_err().line, 3);
    }

    fn numbers(text: &str) -> (Vec<u64>, Vec<String>) {
        let mut problems = Problems::default();
        let read = |item: &Value, place: usize| {
            let number: Option<u64> = optional(item.get("n"), "a number")?;
            assert!(place > 0);
            number.ok_or_else(|| (item.to_string(), "no n".to_owned()))
        };
        let found = json_objects(text, &mut problems, read);
        (found, problems.kept().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_list_that_is_cut_gives_what_stands_before_the_cut() {
        assert_eq!(numbers("[{\"n\":1},{},{\"n\":\"2\"}]\n[{\"n\":3}]"), (vec![1, 2, 3], vec![]));
        assert_eq!(
            numbers("[{\"n\":1},\n {\"n\":"),
            (
                vec![1],
                vec![
                    "line 2, column 2: the text ends inside of an object that begins here: it is cut: `{\"n\":`"
                        .to_owned()
                ]
            )
        );
        assert_eq!(
            numbers("[{\"n\":1}"),
            (vec![1], vec!["line 1, column 9: the text ends inside of a list: it is cut here".to_owned()])
        );
    }

    #[test]
    fn broken_items_are_named_and_the_others_stay() {
        assert_eq!(
            numbers("[{\"n\":1},\n{\"n\":\"x\"},{\"n\":3}]"),
            (vec![1, 3], vec!["line 2, column 1: not a number: `x`".to_owned()])
        );
        assert_eq!(
            numbers("[{\"n\":1},\n{\"n\" 2}]"),
            (vec![1], vec!["line 2, column 6: not valid JSON: expected `:`".to_owned()])
        );
        for text in ["{}", "[] x", "[{\"n\":1} {\"n\":2}]", "[,]", "x"] {
            assert_eq!(numbers(text).1.len(), 1, "{text}");
        }
        assert_eq!(numbers(&format!("[{}", "[".repeat(100_000))).1.len(), 1, "no recursion without an end");
    }

    #[test]
    fn a_key_is_found_under_its_parent() {
        let text = "a:\n  podSubnet: no\nnetworking:\n  # podSubnet: no\n  dnsDomain: x\n  podSubnet: yes\nb: 1\n";
        assert_eq!(line_of(text, &["networking", "podSubnet"]), 6);
        assert_eq!(line_of(text, &["networking", "serviceSubnet"]), 3);
        assert_eq!(line_of("networking: {podSubnet: 10.0.0.0/8}", &["networking", "podSubnet"]), 1);
        assert_eq!(line_of("    networking:\n      podSubnet: x\n", &["networking", "podSubnet"]), 2);
        assert_eq!(line_of("", &["a"]), 1);
    }
}
