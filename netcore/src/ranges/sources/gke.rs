//! GKE: pod ranges of a node's additional networks. The first network's are in `spec.podCIDRs`;
//! nothing in the cluster states the secondary range of the VPC out of which they are cut.

use serde_json::Value;

use super::fields::json;
use crate::ranges::{Confidence, Facts, Given, Origin, Role, Source, Want};

/// The nodes' annotation `networking.gke.io/networks`.
pub(super) struct Gke;

const NAME: &str = "gke";
const ANNOTATION: &str = "networking.gke.io/networks";

impl Source for Gke {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        Vec::new()
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Node(node) = given else { return };
        let Some(meta) = &node.metadata else { return };
        let Some(text) = meta.annotations.get(ANNOTATION) else { return };
        let object = format!("node {}", meta.name);
        let field = format!("metadata.annotations.{ANNOTATION}");
        let Some(networks) = json(&object, &field, text, facts) else { return };
        for network in networks.as_array().into_iter().flatten() {
            let name = network.get("name").and_then(Value::as_str).unwrap_or_default();
            let origin = Origin::new(NAME, Confidence::A, &object, format!("{field}: {name}"));
            let cidrs = network.get("cidrs").and_then(Value::as_array);
            for cidr in cidrs.into_iter().flatten().filter_map(Value::as_str) {
                facts.add_share(Role::Internal, cidr, &origin, &meta.name);
            }
        }
    }
}
