//! `/flagz` of the API server: the flags it runs with.

use crate::{
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
    text::{json, scalar},
};

/// kube-apiserver's `/flagz`.
pub(super) struct Flagz;

const NAME: &str = "flagz";
const PATH: &str = "/flagz";
const RANGE: &str = "service-cluster-ip-range";

impl Source for Flagz {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::text(PATH)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Raw(PATH, text) = given else { return };
        let Some((line, value)) = flag(text, RANGE) else {
            if !text.contains("flagz") && !text.contains("--") && !text.contains(RANGE) {
                facts.problem(PATH, "no flags in the answer; lines of a name and a value would be valid");
            }
            return;
        };
        if value.is_empty() {
            return;
        }
        let origin = Origin::new(NAME, Confidence::A, PATH, format!("line {line}: {RANGE}"));
        facts.known.flagz_service_range = Some(facts.add_ranges(Role::Service, &value, &origin));
    }
}

/// A flag's value and line: from the text form (a name, one of `:`, `: `, `=` and a space as this server
/// chose by chance, and a value) or the structured one.
fn flag(text: &str, name: &str) -> Option<(usize, String)> {
    if text.trim_start().starts_with('{') {
        let value = json(text).ok()?;
        let flags = value.get("flags")?;
        return Some((1, scalar(Some(flags.get(name)?))));
    }
    (1..).zip(text.lines()).find_map(|(line, content)| {
        let rest = content.trim().trim_start_matches("--").strip_prefix(name)?;
        let value = rest.strip_prefix([':', '=', ' '])?;
        Some((line, value.trim().trim_matches('"').to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Facts {
        let mut facts = Facts::default();
        Flagz.take(Given::Raw(PATH, text), &mut facts);
        facts
    }

    #[test]
    fn the_text_form_of_1_36() {
        let facts = read(
            "\nkube-apiserver flagz\nWarning: This endpoint is not meant to be machine parseable.\n\nsecure-port: 6443\nservice-cluster-ip-range: 10.96.0.0/16,fd00:96::/112\n",
        );
        assert_eq!(facts.ranges.len(), 2);
        assert_eq!(facts.ranges[0].origin.to_string(), "/flagz line 6: service-cluster-ip-range");
    }

    /// Every server chooses one of these by chance when it starts.
    #[test]
    fn any_delimiter_is_read() {
        for delimiter in [":", ": ", "=", " "] {
            let facts = read(&format!("apiserver flagz\nservice-cluster-ip-range{delimiter}fd00:96::/112\n"));
            assert_eq!(facts.ranges.len(), 1, "{delimiter:?}");
        }
    }

    #[test]
    fn other_forms_are_borne() {
        assert_eq!(read("service-cluster-ip-range=10.96.0.0/12\n").ranges.len(), 1);
        assert_eq!(read(r#"{"kind":"Flagz","flags":{"service-cluster-ip-range":"10.96.0.0/12"}}"#).ranges.len(), 1);
        assert!(read("kube-apiserver flagz\nservice-cluster-ip-range: \n").ranges.is_empty());
        assert_eq!(read("<html>").unreadable.len(), 1);
        assert!(read("kube-apiserver flagz\nv: 2\n").unreadable.is_empty());
    }
}
