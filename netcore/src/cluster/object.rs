//! What objects of every kind tell of those that write them.

use serde_json::Value;

use crate::text::scalar;

/// The annotation in a recording that stands for the time of the last write, which the field managers
/// had.
pub const CHANGED_ANNOTATION: &str = "kubectl-net/changed";
/// The annotation in a recording that stands for the field managers that are known.
pub const MANAGERS_ANNOTATION: &str = "kubectl-net/managers";

/// Field managers that write an object again after somebody else did.
const KNOWN: [&str; 6] = ["addon-manager", "argocd-controller", "eks", "helm", "kustomize-controller", "talos"];

fn fields(whole: &Value) -> impl Iterator<Item = &Value> {
    whole.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn annotation(whole: &Value, name: &str) -> Option<String> {
    let text = whole.pointer("/metadata/annotations")?.get(name)?.as_str()?;
    Some(text.to_owned())
}

/// When an object was last written, RFC 3339, as its field managers tell.
pub fn changed(whole: &Value) -> Option<String> {
    let times = fields(whole).map(|field| scalar(field.get("time"))).filter(|time| !time.is_empty());
    times.max().or_else(|| annotation(whole, CHANGED_ANNOTATION))
}

/// Those of its field managers that would write it again.
pub fn field_managers(whole: &Value) -> Vec<String> {
    let known = |manager: &String| {
        KNOWN
            .iter()
            .any(|known| manager.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
    };
    let noted = annotation(whole, MANAGERS_ANNOTATION).unwrap_or_default();
    let noted = noted.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
    let mut found: Vec<String> =
        fields(whole).map(|field| scalar(field.get("manager"))).chain(noted).filter(known).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn field_managers_and_what_a_recording_has_instead() {
        let live = json!({"metadata": {"managedFields": [
            {"manager": "kubectl-edit", "time": "2026-11-24T02:00:00Z"},
            {"manager": "eks", "time": "2026-11-24T01:00:00Z"}]}});
        assert_eq!(changed(&live).as_deref(), Some("2026-11-24T02:00:00Z"));
        assert_eq!(field_managers(&live), ["eks"]);
        let recorded = json!({"metadata": {"annotations": {
            CHANGED_ANNOTATION: "2026-11-24T02:00:00Z", MANAGERS_ANNOTATION: "eks"}}});
        assert_eq!((changed(&recorded), field_managers(&recorded)), (changed(&live), field_managers(&live)));
        assert_eq!(changed(&json!({"metadata": {}})), None);
    }
}
