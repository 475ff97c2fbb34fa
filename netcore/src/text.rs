//! Reading configuration texts: YAML and JSON into values, and the line on which a key stands.

use serde_json::Value;

use crate::problem::Problem;

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
