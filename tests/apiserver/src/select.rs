//! Label and field selectors.

use serde_json::Value;

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// What of a list is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

/// Fields that each kind can be selected by, beside name and namespace.
fn selectable(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "Service" => &["spec.clusterIP", "spec.type"],
        "Node" => &["spec.unschedulable"],
        "Event" => &["involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "reason", "type"],
        "IPAddress" => &["spec.parentRef.name", "spec.parentRef.namespace", "spec.parentRef.resource"],
        _ => &[],
    }
}

impl Selector {
    pub(crate) fn parse(kind: &str, labels: &str, fields: &str) -> Result<Self, String> {
        let labels = split(labels).iter().map(|text| requirement(text)).collect::<Result<_, _>>()?;
        let fields = split(fields)
            .iter()
            .map(|text| {
                let (field, equal, value) = if let Some((field, value)) = text.split_once("!=") {
                    (field, false, value)
                } else if let Some((field, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
                    (field, true, value)
                } else {
                    return Err(format!("invalid field selector: {text}"));
                };
                if !["metadata.name", "metadata.namespace"].contains(&field) && !selectable(kind).contains(&field) {
                    return Err(format!("field label not supported: {field}"));
                }
                Ok((field.to_owned(), equal, value.to_owned()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::NotIn(key, values) => !label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        }) && self.fields.iter().all(|(field, equal, value)| (field_text(object, field) == *value) == *equal)
    }
}

fn field_text(object: &Value, field: &str) -> String {
    match field.split('.').try_fold(object, |value, name| value.get(name)) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None if matches!(field, "spec.hostNetwork" | "spec.unschedulable") => "false".to_owned(),
        None => String::new(),
    }
}

/// Splits at commas outside of brackets.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_u32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let set = |rest: &str| -> Vec<String> {
        rest.trim().trim_start_matches('(').trim_end_matches(')').split(',').map(|v| v.trim().to_owned()).collect()
    };
    if let Some((key, rest)) = text.split_once(" notin ") {
        return Ok(Requirement::NotIn(key.trim().to_owned(), set(rest)));
    }
    if let Some((key, rest)) = text.split_once(" in ") {
        return Ok(Requirement::In(key.trim().to_owned(), set(rest)));
    }
    let (key, equal, value) = if let Some((key, value)) = text.split_once("!=") {
        (key, false, value)
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (key, true, value)
    } else if let Some(key) = text.strip_prefix('!') {
        return Ok(Requirement::Absent(key.to_owned()));
    } else {
        return Ok(Requirement::Exists(text.to_owned()));
    };
    if value.contains('=') {
        return Err("found '==', expected: ',' or 'end of string'".to_owned());
    }
    let values = vec![value.trim().to_owned()];
    let key = key.trim().to_owned();
    Ok(if equal { Requirement::In(key, values) } else { Requirement::NotIn(key, values) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_pick_what_kubernetes_picks() {
        let pod = json!({"metadata": {"name": "a", "labels": {"app": "x", "tier": "front"}},
            "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}});
        for (labels, fields, expected) in [
            ("", "", true),
            ("app=x", "", true),
            ("app==x,tier in (front, back)", "", true),
            ("app notin (x)", "", false),
            ("app!=y,!canary,tier", "", true),
            ("canary", "", false),
            ("", "spec.nodeName=n1,status.phase!=Failed", true),
            ("", "spec.hostNetwork=false", true),
            ("", "metadata.name=b", false),
        ] {
            let selector = Selector::parse("Pod", labels, fields).expect("a valid selector");
            assert_eq!(selector.matches(&pod), expected, "{labels} {fields}");
        }
        assert_eq!(Selector::parse("Pod", "", "spec.foo=a").unwrap_err(), "field label not supported: spec.foo");
    }
}
