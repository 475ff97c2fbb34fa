//! Label and field selectors, evaluated as an API server does.

use std::collections::HashMap;

use serde_json::Value;

/// The selectors of one request; empty ones match everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selectors {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Above(String, i64),
    Below(String, i64),
}

impl Selectors {
    /// Reads both selectors; the error is the message of the 400 that a server would answer.
    pub(super) fn parse(labels: &str, fields: &str) -> Result<Self, String> {
        let labels = split(labels).into_iter().map(|text| requirement(text.trim())).collect::<Result<_, _>>()?;
        let fields =
            fields.split(',').map(str::trim).filter(|text| !text.is_empty()).map(field).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Whether everything is selected.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object's JSON is selected.
    pub(super) fn matches(&self, object: &[u8]) -> bool {
        let Ok(object) = serde_json::from_slice::<Value>(object) else { return false };
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        let labels: HashMap<&str, &str> =
            labels.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect();
        self.labels.iter().all(|requirement| requirement.matches(&labels))
            && self.fields.iter().all(|(field, equal, value)| (text_at(&object, field) == *value) == *equal)
    }
}

/// A field as the API server compares it: its text, empty where there is none.
fn text_at(object: &Value, field: &str) -> String {
    match field.split('.').try_fold(object, |value, name| value.get(name)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

impl Requirement {
    fn matches(&self, labels: &HashMap<&str, &str>) -> bool {
        match self {
            Self::Exists(key) => labels.contains_key(key.as_str()),
            Self::Absent(key) => !labels.contains_key(key.as_str()),
            Self::In(key, values) => {
                labels.get(key.as_str()).is_some_and(|value| values.iter().any(|other| other == value))
            }
            Self::NotIn(key, values) => {
                labels.get(key.as_str()).is_none_or(|value| values.iter().all(|other| other != value))
            }
            Self::Above(key, bound) => number(labels, key).is_some_and(|value| value > *bound),
            Self::Below(key, bound) => number(labels, key).is_some_and(|value| value < *bound),
        }
    }
}

fn number(labels: &HashMap<&str, &str>, key: &str) -> Option<i64> {
    labels.get(key)?.parse().ok()
}

/// Splits at the commas that are not inside of `in (…)`.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .filter(|part| !part.trim().is_empty())
    .collect()
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let key = |key: &str| key.trim().to_owned();
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some(absent) = text.strip_prefix('!') {
        return Ok(Requirement::Absent(key(absent)));
    }
    if let Some((left, right)) = text.split_once("!=") {
        return Ok(Requirement::NotIn(key(left), one(right)));
    }
    if let Some((left, right)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Requirement::In(key(left), one(right)));
    }
    if let Some((left, right)) = text.split_once(['<', '>']) {
        let bound =
            right.trim().parse().map_err(|_| format!("label selector {text:?}: {right:?} is not an integer"))?;
        let above = text.contains('>');
        return Ok(if above { Requirement::Above(key(left), bound) } else { Requirement::Below(key(left), bound) });
    }
    if let Some((left, rest)) = text.split_once('(') {
        let values = rest.trim_end().strip_suffix(')').ok_or_else(|| format!("label selector {text:?}: no `)`"))?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = left.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(left), Some("in"), None) => Ok(Requirement::In(key(left), values)),
            (Some(left), Some("notin"), None) => Ok(Requirement::NotIn(key(left), values)),
            _ => Err(format!("label selector {text:?}: `KEY in (A,B)` or `KEY notin (A,B)` would be valid")),
        };
    }
    if text.split_whitespace().count() != 1 {
        return Err(format!("label selector {text:?}: `KEY=VALUE` would be valid"));
    }
    Ok(Requirement::Exists(key(text)))
}

fn field(text: &str) -> Result<(String, bool, String), String> {
    let (left, equal, right) = if let Some((left, right)) = text.split_once("!=") {
        (left, false, right)
    } else {
        let split = text.split_once("==").or_else(|| text.split_once('='));
        let (left, right) = split.ok_or_else(|| format!("field selector {text:?}: `FIELD=VALUE` would be valid"))?;
        (left, true, right)
    };
    Ok((left.trim().to_owned(), equal, right.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &[u8] =
        br#"{"metadata":{"name":"a","namespace":"n","labels":{"app":"web","tier":"2"}},"spec":{"nodeName":"node1"}}"#;

    fn selects(labels: &str, fields: &str) -> bool {
        Selectors::parse(labels, fields).unwrap().matches(POD)
    }

    #[test]
    fn every_label_operator_selects_as_kubectl_documents_it() {
        for yes in [
            "",
            "app",
            "app=web",
            "app==web",
            "app!=db",
            "x!=y",
            "!x",
            "app in (db, web)",
            "app notin (db)",
            "x notin (a)",
            "tier>1",
            "tier<3",
            "app=web,tier in (2,3),!x",
        ] {
            assert!(selects(yes, ""), "{yes}");
        }
        for no in [
            "x",
            "app=db",
            "app!=web",
            "!app",
            "app in (db)",
            "app notin (db,web)",
            "tier>2",
            "tier<2",
            "app<3",
            "x in (a)",
            "app=web,x",
        ] {
            assert!(!selects(no, ""), "{no}");
        }
    }

    #[test]
    fn fields_select_by_the_text_that_they_hold() {
        assert!(selects("", "metadata.name=a,spec.nodeName==node1,metadata.namespace!=other"));
        assert!(!selects("", "spec.nodeName!=node1"));
        assert!(!selects("", "metadata.name=b"));
        assert!(selects("", "status.phase=,metadata.labels.tier=2"));
        assert!(!selects("", "status.phase=Running"));
    }

    #[test]
    fn what_is_no_selector_is_refused_with_what_would_be() {
        for bad in ["app in web", "app foo (a)", "a b", "tier>x", "app in (a"] {
            assert!(Selectors::parse(bad, "").is_err(), "{bad}");
        }
        assert!(Selectors::parse("", "status.phase").unwrap_err().contains("FIELD=VALUE"));
    }
}
