//! Events that speak of address ranges: only the few reasons that a check names are asked for.

use serde_json::Value;

use crate::{
    cluster::resources,
    ranges::{Facts, Given, Source, Want},
    text::scalar,
};

/// An event, its repetitions added up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// `CIDRNotAvailable`.
    pub reason: String,
    /// What it is about: `Node node7`.
    pub about: String,
    /// The message.
    pub message: String,
    /// How often it was seen.
    pub count: u64,
}

impl Event {
    /// As evidence.
    pub fn evidence(&self) -> String {
        format!("event {} on {} ({}x): {}", self.reason, self.about, self.count, self.message)
    }
}

/// `Event` objects.
pub(super) struct Events;

/// The reasons, with the checks that read them.
pub const REASONS: [&str; 7] = [
    // CIDR-011
    "CIDRNotAvailable",
    // CIDR-029
    "ServiceCIDRFull",
    // CIDR-032
    "ClusterIPOutOfRange",
    // CIDR-033
    "ClusterIPNotAllocated",
    // CIDR-034
    "KubernetesDefaultServiceCIDRInconsistent",
    "KubernetesDefaultServiceCIDRError",
    // CIDR-040
    "FailedToCreateRoute",
];

impl Source for Events {
    fn name(&self) -> &'static str {
        "event"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        REASONS.iter().map(|reason| Want::with_fields(&resources::EVENTS, format!("reason={reason}"))).collect()
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, value) = given else { return };
        let reason = scalar(value.get("reason"));
        if resource != &resources::EVENTS || !REASONS.contains(&reason.as_str()) {
            return;
        }
        let about = value.get("involvedObject").or_else(|| value.get("regarding"));
        let field = |name: &str| scalar(about.and_then(|object| object.get(name)));
        let name = match field("namespace").as_str() {
            "" => field("name"),
            namespace => format!("{namespace}/{}", field("name")),
        };
        let count = value.get("count").and_then(Value::as_u64);
        let count = count.or_else(|| value.pointer("/series/count").and_then(Value::as_u64)).unwrap_or(1).max(1);
        facts.known.events.push(Event {
            reason,
            about: format!("{} {name}", field("kind")).trim().to_owned(),
            message: scalar(value.get("message").or_else(|| value.get("note"))),
            count,
        });
    }

    /// Events live for an hour: a dump without them lacks nothing.
    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }

    fn finish(&self, facts: &mut Facts) {
        facts.known.events.sort();
        facts.known.events.dedup();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_reasons_that_are_read() {
        let mut facts = Facts::default();
        for reason in ["CIDRNotAvailable", "Pulled"] {
            let event =
                json!({"reason": reason, "involvedObject": {"kind": "Node", "name": "n7"}, "message": "m", "count": 4});
            Events.take(Given::Object(&resources::EVENTS, &event), &mut facts);
        }
        assert_eq!(facts.known.events.len(), 1);
        assert_eq!(facts.known.events[0].evidence(), "event CIDRNotAvailable on Node n7 (4x): m");
    }
}
