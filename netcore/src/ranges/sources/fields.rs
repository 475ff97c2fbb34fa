//! Fields of an object by their path. A field of another type than expected becomes a problem that
//! names the object, the field and what would be valid.

use serde_json::Value;

use crate::{
    cidr::{Cidr, parse_cidr, parse_list},
    ranges::{Confidence, Facts, Origin, Role},
};

/// An object, or a document inside of one.
pub(super) struct Fields<'a> {
    value: &'a Value,
    object: String,
    prefix: String,
}

impl<'a> Fields<'a> {
    /// A whole object: `subnet join`, `configmap kube-system/coredns`.
    pub(super) fn of(kind: &str, value: &'a Value) -> Self {
        let name = meta(value, "name");
        let namespace = meta(value, "namespace");
        let object = if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") };
        Self { value, object, prefix: String::new() }
    }

    /// A document that a field of an object holds as text.
    pub(super) fn inside(object: &str, field: &str, value: &'a Value) -> Self {
        Self { value, object: object.to_owned(), prefix: format!("{field}: ") }
    }

    /// `kind namespace/name`.
    pub(super) fn object(&self) -> &str {
        &self.object
    }

    /// `metadata.name`.
    pub(super) fn name(&self) -> &'a str {
        meta(self.value, "name")
    }

    /// `metadata.namespace`; empty for cluster-scoped kinds.
    pub(super) fn namespace(&self) -> &'a str {
        meta(self.value, "namespace")
    }

    /// The value at a path of names joined by dots; null is nothing.
    pub(super) fn get(&self, path: &str) -> Option<&'a Value> {
        path.split('.').try_fold(self.value, |value, key| value.get(key)).filter(|value| !value.is_null())
    }

    /// A key of `data`, whose name may have dots.
    pub(super) fn data(&self, key: &str) -> Option<&'a str> {
        self.get("data")?.get(key)?.as_str()
    }

    /// Every key of `data` with its text.
    pub(super) fn all_data(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let data = self.get("data").and_then(Value::as_object);
        data.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// A text.
    pub(super) fn text(&self, path: &str, facts: &mut Facts) -> Option<&'a str> {
        let value = self.get(path)?;
        let text = value.as_str();
        if text.is_none() {
            self.unexpected(path, "a text", value, facts);
        }
        text.map(str::trim).filter(|text| !text.is_empty())
    }

    /// A list, empty where there is none.
    pub(super) fn list(&self, path: &str, facts: &mut Facts) -> &'a [Value] {
        let Some(value) = self.get(path) else { return &[] };
        value.as_array().map_or_else(
            || {
                self.unexpected(path, "a list", value, facts);
                &[][..]
            },
            Vec::as_slice,
        )
    }

    /// A list of texts with the path of each; a single text counts as a list of one.
    pub(super) fn texts(&self, path: &str, facts: &mut Facts) -> Vec<(String, &'a str)> {
        if let Some(text) = self.get(path).and_then(Value::as_str) {
            return vec![(path.to_owned(), text)];
        }
        let mut texts = Vec::new();
        for (i, value) in self.list(path, facts).iter().enumerate() {
            let path = format!("{path}[{i}]");
            match value.as_str() {
                Some(text) => texts.push((path, text)),
                None => self.unexpected(&path, "a text", value, facts),
            }
        }
        texts
    }

    /// An origin in this object.
    pub(super) fn origin(&self, source: &'static str, confidence: Confidence, path: &str) -> Origin {
        Origin::new(source, confidence, &self.object, format!("{}{path}", self.prefix))
    }

    fn unexpected(&self, path: &str, wanted: &str, found: &Value, facts: &mut Facts) {
        let found = match found {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
        };
        facts.problem(&self.object, format!("{}{path}: expected {wanted}, found {found}", self.prefix));
    }
}

fn meta<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// Reads YAML (or JSON) that a field holds as text; what is broken becomes a problem with its line.
pub(super) fn document(object: &str, field: &str, text: &str, facts: &mut Facts) -> Option<Value> {
    match serde_saphyr::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            // the parser names the line where the broken value began
            if let Some(tab) = text.lines().position(indented_by_tab) {
                let reason = format!("{field} line {}: no valid YAML: indented with a tab; use spaces", tab + 1);
                facts.problem(object, reason);
                return None;
            }
            let line = error.location().map_or_else(String::new, |at| format!(" line {}", at.line()));
            let what = error.without_snippet().to_string();
            let what = what.lines().next().unwrap_or_default();
            facts.problem(object, format!("{field}{line}: no valid YAML: {what}"));
            None
        }
    }
}

fn indented_by_tab(line: &str) -> bool {
    line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t')
}

/// Reads JSON that an annotation or a field holds as text.
pub(super) fn json(object: &str, field: &str, text: &str, facts: &mut Facts) -> Option<Value> {
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            facts.problem(object, format!("{field}: no valid JSON: {error}"));
            None
        }
    }
}

/// The prefixes of a text, without stating a range; entries that are none become problems.
pub(super) fn prefixes(text: &str, origin: &Origin, facts: &mut Facts) -> Vec<Cidr> {
    let mut cidrs = Vec::new();
    for entry in parse_list(text) {
        match entry {
            Ok(written) => cidrs.push(written.cidr),
            Err(error) => facts.problem(&origin.object, format!("{}: {error}", origin.field)),
        }
    }
    cidrs
}

/// States the network of an interface address such as `10.0.0.5/24`, whose host bits are no flaw.
pub(super) fn add_network(role: Role, address: &str, origin: &Origin, facts: &mut Facts) -> Option<Cidr> {
    match parse_cidr(address) {
        Ok(written) => facts.add_ranges(role, &written.cidr.to_string(), origin).pop(),
        Err(error) => {
            facts.problem(&origin.object, format!("{}: {error}", origin.field));
            None
        }
    }
}
