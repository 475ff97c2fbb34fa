//! `-o name`, and which list of a report the rows are.

use serde_json::Value;

use super::PrintError;

/// Which list of a report its rows are, and what a row is called.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// The list's field: `ranges`.
    pub list: &'static str,
    /// What one row is, in lower case: `range`.
    pub kind: &'static str,
    /// The fields that name a row, joined by `/` where there are several: `["cidr"]`.
    pub name: &'static [&'static str],
}

impl Rows {
    /// The rows of a report.
    pub(super) fn of(self, report: &Value) -> Result<&[Value], PrintError> {
        report.get(self.list).and_then(Value::as_array).map(Vec::as_slice).ok_or(PrintError::NoRows(self.list))
    }
}

/// `kind/name` of each row, one per line; rows without a name are left out.
pub(super) fn of(report: &Value, rows: Rows) -> Result<String, PrintError> {
    let mut out = String::new();
    for row in rows.of(report)? {
        let names: Vec<String> = rows.name.iter().filter_map(|field| row.get(field)).filter_map(word).collect();
        if !names.is_empty() {
            out.push_str(rows.kind);
            out.push('/');
            out.push_str(&names.join("/"));
            out.push('\n');
        }
    }
    Ok(out)
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_line_per_row() {
        let rows = Rows { list: "items", kind: "service", name: &["namespace", "name", "port"] };
        let report =
            json!({"items": [{"namespace": "a", "name": "b", "port": 53}, {"name": "c"}, {"namespace": null}]});
        assert_eq!(of(&report, rows).unwrap(), "service/a/b/53\nservice/c\n");
        assert!(of(&json!({}), rows).is_err());
    }
}
