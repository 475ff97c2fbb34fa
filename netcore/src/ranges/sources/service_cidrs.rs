//! `ServiceCIDR` objects: the service ranges as the API server itself keeps them.

use serde_json::Value;

use super::object;
use crate::{
    cidr::Cidr,
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
    text::{scalar, scalars},
};

/// A `ServiceCIDR` object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceCidr {
    /// Name; `kubernetes` is the one that the API server made.
    pub name: String,
    /// Its ranges, the primary family's first.
    pub cidrs: Vec<Cidr>,
    /// The condition `Ready`; a missing one counts as ready.
    pub ready: bool,
    /// The condition's reason and message.
    pub why: String,
    /// Deletion was asked for.
    pub terminating: bool,
}

/// `ServiceCIDR` objects.
pub(super) struct ServiceCidrs;

const NAME: &str = "servicecidr";

impl Source for ServiceCidrs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::SERVICECIDRS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, value) = given else { return };
        if resource != &resources::SERVICECIDRS {
            return;
        }
        let name = object::name(value).to_owned();
        if facts.known.service_cidrs.iter().any(|known| known.name == name) {
            return;
        }
        let title = object::title(resource, value);
        let mut cidrs = Vec::new();
        for (index, text) in scalars(value.pointer("/spec/cidrs")).iter().enumerate() {
            let origin = Origin::new(NAME, Confidence::A, title.as_str(), format!("spec.cidrs[{index}]"));
            cidrs.extend(facts.add_ranges(Role::Service, text, &origin));
        }
        if cidrs.is_empty() {
            facts.problem(&title, "spec.cidrs: no range that can be read; one or two prefixes would be valid");
        }
        let conditions = value.pointer("/status/conditions").and_then(Value::as_array);
        let ready = conditions.into_iter().flatten().find(|c| scalar(c.get("type")) == "Ready");
        facts.known.service_cidrs.push(ServiceCidr {
            name,
            cidrs,
            ready: ready.is_none_or(|c| scalar(c.get("status")) != "False"),
            why: ready
                .map_or_else(String::new, |c| format!("{}: {}", scalar(c.get("reason")), scalar(c.get("message")))),
            terminating: value.pointer("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null()),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ready_missing_and_terminating() {
        let mut facts = Facts::default();
        for object in [
            json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16", "fd00:96::/112"]}}),
            json!({"metadata": {"name": "old", "deletionTimestamp": "2026-11-23T00:00:00Z"}, "spec": {"cidrs": ["10.97.0.0/24"]},
                "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Terminating", "message": "still in use"}]}}),
            json!({"metadata": {"name": "bad"}, "spec": {}}),
        ] {
            ServiceCidrs.take(Given::Object(&resources::SERVICECIDRS, &object), &mut facts);
        }
        let [kubernetes, old, _] = facts.known.service_cidrs.as_slice() else { panic!("three") };
        assert!(kubernetes.ready && !kubernetes.terminating && kubernetes.cidrs.len() == 2);
        assert!(!old.ready && old.terminating && old.why.contains("still in use"));
        assert_eq!(facts.ranges[1].origin.to_string(), "servicecidr kubernetes spec.cidrs[1]");
        assert_eq!(facts.unreadable.len(), 1);
    }
}
