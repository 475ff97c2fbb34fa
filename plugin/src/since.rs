//! What changed between two reports of the same kind. Rows are matched by what names them, not by
//! their place; lists of plain values are compared as sets; the window of the reading is no change.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::print::{PrintError, Tone, View};

/// Fields of a report that differ between any two runs.
const NOISE: &[&str] = &["window", "changes"];

/// What can name a row, in the order in which it is tried: the first that all rows have and no two
/// share.
const KEYS: &[&[&str]] = &[
    &["name"],
    &["namespace", "name"],
    &["role", "cidr"],
    &["id", "subject"],
    &["id", "subject", "message"],
    &["node", "name"],
    &["node", "protocol", "address", "port"],
    &["address", "port", "protocol"],
    &["address"],
    &["cidr"],
    &["cidr", "node"],
    &["destination", "node"],
    &["destination", "via", "dev", "node"],
    &["confidence", "source", "object", "field"],
    &["source", "object", "field", "text"],
    &["source", "node"],
    &["source", "node", "reason"],
    &["kind", "namespace", "name"],
    &["node", "family", "backend", "table", "chain", "index"],
    &["node", "family", "backend", "table", "name"],
    &["family", "backend", "table"],
    &["owner"],
    &["peer"],
    &["path"],
    &["id"],
];

/// What happened to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Only now.
    Add,
    /// Only then.
    Remove,
    /// Both times, but different.
    Change,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change {
    /// What happened.
    pub op: Op,
    /// Where: `ranges[pod 10.244.0.0/16].used`.
    pub path: String,
    /// What names the row of the report that it is about; null outside a list.
    pub key: Option<String>,
    /// The value then; null where there was none.
    pub before: Value,
    /// The value now; null where there is none.
    pub after: Value,
}

/// Every difference between two reports, lists in the order of the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Changes(pub Vec<Change>);

/// The reports are not of one kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reports are of different kinds: {before} then, {after} now")]
pub struct DifferentKinds {
    before: String,
    after: String,
}

impl Changes {
    /// What changed from one report to the other. Changes of the list `first` come first: the rows.
    pub fn between(before: &Value, after: &Value, first: &str) -> Result<Self, DifferentKinds> {
        let kind = |report: &Value| report.get("kind").map_or_else(|| "none".to_owned(), word);
        if kind(before) != kind(after) {
            return Err(DifferentKinds { before: kind(before), after: kind(after) });
        }
        let strip = |report: &Value| {
            let mut report = report.clone();
            if let Value::Object(fields) = &mut report {
                fields.retain(|name, _| !NOISE.contains(&name.as_str()));
            }
            report
        };
        let mut changes = Self::default();
        changes.value(&Place::default(), &strip(before), &strip(after));
        let beginning = |change: &Change| !change.path.strip_prefix(first).is_some_and(|rest| rest.starts_with('['));
        changes.0.sort_by_key(beginning);
        Ok(changes)
    }

    /// The same for reports as the commands hold them.
    pub fn of<T: Serialize>(before: &T, after: &T, first: &str) -> Result<Self, PrintError> {
        let value = |report: &T| serde_json::to_value(report).map_err(|error| PrintError::Encode(error.to_string()));
        Self::between(&value(before)?, &value(after)?, first).map_err(|error| PrintError::Encode(error.to_string()))
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line per difference: `+` new, `-` gone, `~` different.
    pub fn view(&self) -> View {
        let mut view = View::new();
        if self.is_empty() {
            view.line("nothing changed");
        }
        for Change { op, path, before, after, .. } in &self.0 {
            let (sign, tone) = match op {
                Op::Add => ("+", Tone::Good),
                Op::Remove => ("-", Tone::Bad),
                Op::Change => ("~", Tone::Warn),
            };
            let values = match op {
                Op::Add => short(after),
                Op::Remove => short(before),
                Op::Change => Some(format!("{} → {}", word(before), word(after))),
            };
            let text = values.map_or_else(|| format!(" {path}"), |values| format!(" {path}: {values}"));
            view.line(tone.paint(sign).then(text));
        }
        view
    }

    fn value(&mut self, place: &Place, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Object(before), Value::Object(after)) => self.object(place, before, after),
            (Value::Array(before), Value::Array(after)) => self.list(place, before, after),
            _ if before == after => {}
            _ => self.push(Op::Change, place, before.clone(), after.clone()),
        }
    }

    fn object(&mut self, place: &Place, before: &Map<String, Value>, after: &Map<String, Value>) {
        for (name, now) in after {
            match before.get(name) {
                Some(then) => self.value(&place.field(name), then, now),
                None => self.push(Op::Add, &place.field(name), Value::Null, now.clone()),
            }
        }
        for (name, then) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
            self.push(Op::Remove, &place.field(name), then.clone(), Value::Null);
        }
    }

    fn list(&mut self, place: &Place, before: &[Value], after: &[Value]) {
        match KEYS.iter().find_map(|key| Some((keyed(before, key)?, keyed(after, key)?))) {
            Some((then, now)) => self.rows(place, &then, &now),
            None => self.set(place, before, after),
        }
    }

    fn rows(&mut self, place: &Place, before: &[(String, &Value)], after: &[(String, &Value)]) {
        let then: HashMap<&str, &Value> = before.iter().map(|(key, row)| (key.as_str(), *row)).collect();
        let now: HashMap<&str, &Value> = after.iter().map(|(key, row)| (key.as_str(), *row)).collect();
        for (key, row) in after {
            match then.get(key.as_str()) {
                Some(old) => self.value(&place.row(key), old, row),
                None => self.push(Op::Add, &place.row(key), Value::Null, (*row).clone()),
            }
        }
        for (key, row) in before.iter().filter(|(key, _)| !now.contains_key(key.as_str())) {
            self.push(Op::Remove, &place.row(key), (*row).clone(), Value::Null);
        }
    }

    /// Values without names: each is there as often as before, or more, or less.
    fn set(&mut self, place: &Place, before: &[Value], after: &[Value]) {
        let mut surplus: HashMap<String, i64> = HashMap::new();
        for value in before {
            *surplus.entry(canonical(value)).or_default() += 1;
        }
        for value in after {
            let left = surplus.entry(canonical(value)).or_default();
            *left -= 1;
            if *left < 0 {
                self.push(Op::Add, place, Value::Null, value.clone());
            }
        }
        // What is left over was there more often before: the last ones are the ones that went.
        let mut gone = Vec::new();
        for value in before.iter().rev() {
            if let Some(left) = surplus.get_mut(&canonical(value)).filter(|left| **left > 0) {
                *left -= 1;
                gone.push(value);
            }
        }
        for value in gone.into_iter().rev() {
            self.push(Op::Remove, place, value.clone(), Value::Null);
        }
    }

    fn push(&mut self, op: Op, place: &Place, before: Value, after: Value) {
        self.0.push(Change { op, path: place.path.clone(), key: place.key.clone(), before, after });
    }
}

/// Where in a report something is.
#[derive(Clone, Debug, Default)]
struct Place {
    path: String,
    key: Option<String>,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { path: format!("{}{dot}{name}", self.path), key: self.key.clone() }
    }

    fn row(&self, key: &str) -> Self {
        let outer = self.key.clone();
        Self { path: format!("{}[{key}]", self.path), key: outer.or_else(|| Some(key.to_owned())) }
    }
}

/// The rows with their names; `None` where a row lacks a part of it or two share one. A part may be
/// null, but not all of them.
fn keyed<'a>(rows: &'a [Value], key: &[&str]) -> Option<Vec<(String, &'a Value)>> {
    let mut seen = HashSet::with_capacity(rows.len());
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let mut parts = Vec::with_capacity(key.len());
        for field in key {
            match row.get(field)? {
                Value::Null => {}
                Value::Array(_) | Value::Object(_) => return None,
                value => parts.push(word(value)),
            }
        }
        let name = parts.join(" ");
        if parts.is_empty() || !seen.insert(name.clone()) {
            return None;
        }
        out.push((name, row));
    }
    Some(out)
}

/// The value as a text that is the same for the same set of values.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let mut items: Vec<String> = items.iter().map(canonical).collect();
            items.sort();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let mut fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

/// A value in a line of text.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A plain value; a row is named by its path already.
fn short(value: &Value) -> Option<String> {
    (!value.is_object()).then(|| word(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        let (mut out, captured) = crate::print::Out::captured(&crate::print::OutputArgs::default(), false);
        out.view(&Changes::between(before, after, "ranges").unwrap().view()).unwrap();
        captured.stdout().lines().map(str::to_owned).collect()
    }

    fn report() -> Value {
        json!({
            "apiVersion": "kubectl-net/v1", "kind": "CidrReport",
            "window": {"start": "1", "end": "2"},
            "ranges": [
                {"role": "pod", "cidr": "10.244.0.0/16", "used": 7, "sources": [
                    {"confidence": "C", "source": "kubeadm-config", "object": "a", "field": "b"}]},
                {"role": "service", "cidr": "10.96.0.0/12", "used": null, "sources": []},
            ],
            "nodes": [{"name": "n1", "podCIDRs": ["10.244.0.0/24", "fd00::/64"]}],
            "findings": [{"id": "CIDR-001", "subject": "x", "evidence": []}],
            "unreadable": [{"source": "pods", "node": null, "reason": "forbidden"}],
        })
    }

    #[test]
    fn the_window_and_the_order_are_no_change() {
        let mut other = report();
        other["window"] = json!({"start": "8", "end": "9"});
        other["ranges"].as_array_mut().unwrap().reverse();
        other["nodes"][0]["podCIDRs"].as_array_mut().unwrap().reverse();
        assert_eq!(lines(&report(), &other), ["nothing changed"]);
    }

    #[test]
    fn rows_appear_vanish_and_change() {
        let mut after = report();
        after["ranges"][0]["used"] = json!(9);
        after["ranges"][0]["sources"][0]["confidence"] = json!("B");
        after["ranges"][1] = json!({"role": "service", "cidr": "10.112.0.0/12", "used": 1, "sources": []});
        after["nodes"][0]["podCIDRs"] = json!(["10.244.0.0/24", "fd00:1::/64"]);
        after["findings"] = json!([]);
        after["dnsDomain"] = json!("cluster.local");
        assert_eq!(
            lines(&report(), &after),
            [
                "+ ranges[pod 10.244.0.0/16].sources[B kubeadm-config a b]",
                "- ranges[pod 10.244.0.0/16].sources[C kubeadm-config a b]",
                "~ ranges[pod 10.244.0.0/16].used: 7 → 9",
                "+ ranges[service 10.112.0.0/12]",
                "- ranges[service 10.96.0.0/12]",
                "+ dnsDomain: cluster.local",
                "- findings[CIDR-001 x]",
                "+ nodes[n1].podCIDRs: fd00:1::/64",
                "- nodes[n1].podCIDRs: fd00::/64",
            ]
        );
    }

    #[test]
    fn changes_are_data() {
        let mut after = report();
        after["ranges"][1]["used"] = json!(3);
        let changes = Changes::between(&report(), &after, "ranges").unwrap();
        let expected = json!([{
            "op": "change", "path": "ranges[service 10.96.0.0/12].used", "key": "service 10.96.0.0/12",
            "before": null, "after": 3,
        }]);
        assert_eq!(serde_json::to_value(&changes).unwrap(), expected);
    }

    #[test]
    fn rows_that_share_a_name_are_still_compared() {
        let before =
            json!({"kind": "x", "items": [{"cidr": "a", "node": null, "n": 1}, {"cidr": "a", "node": null, "n": 2}]});
        let after =
            json!({"kind": "x", "items": [{"cidr": "a", "node": null, "n": 1}, {"cidr": "a", "node": null, "n": 3}]});
        let changes = Changes::between(&before, &after, "items").unwrap();
        assert_eq!(changes.0.iter().map(|change| change.op).collect::<Vec<_>>(), [Op::Add, Op::Remove]);
    }

    #[test]
    fn kinds_must_agree() {
        let error = Changes::between(&report(), &json!({"kind": "Plan"}), "").unwrap_err();
        assert_eq!(error.to_string(), "the reports are of different kinds: CidrReport then, Plan now");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3_u8).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 32, 4, |inner| {
            let field = prop::sample::select(vec!["name", "cidr", "role", "used", "sources", "id", "subject", "node"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(field.prop_map(str::to_owned), inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_changes_by_itself(value in any_value()) {
            let report = json!({"kind": "x", "items": value});
            prop_assert!(Changes::between(&report, &report, "items").unwrap().is_empty());
        }

        #[test]
        fn every_difference_shows_and_nothing_else(before in any_value(), after in any_value()) {
            let changes = Changes::between(&json!({"items": before}), &json!({"items": after}), "items").unwrap();
            prop_assert_eq!(changes.is_empty(), canonical(&before) == canonical(&after), "{:?}", changes);
        }

        #[test]
        fn backwards_is_the_mirror(before in any_value(), after in any_value()) {
            let (then, now) = (json!({"items": before}), json!({"items": after}));
            let count = |changes: Changes, op: Op| changes.0.iter().filter(|change| change.op == op).count();
            let forth = Changes::between(&then, &now, "items").unwrap();
            let back = Changes::between(&now, &then, "items").unwrap();
            prop_assert_eq!(count(forth.clone(), Op::Add), count(back.clone(), Op::Remove));
            prop_assert_eq!(count(forth.clone(), Op::Remove), count(back.clone(), Op::Add));
            prop_assert_eq!(count(forth, Op::Change), count(back, Op::Change));
        }
    }
}
