//! How to change a cluster's ranges: the steps for a goal, out of what is known of the cluster, or
//! the reasons why it cannot be done.

mod calico;
mod goal;
mod model;
mod pods;
mod refuse;
mod replace;
mod retire;
mod service;
#[cfg(test)]
mod tests;

pub use goal::Goal;
pub use model::{By, Plan, Planned, Risk, State, Step};
pub use refuse::DOCS;
use refuse::Reasons;

use super::Facts;
use crate::finding::Severity;

/// Plans a change. A reason against it (a finding of severity error) leaves no step.
pub fn plan(facts: &Facts, goal: &Goal) -> Planned {
    let mut reasons = Reasons::default();
    let mut steps = match goal {
        Goal::ServiceAdd(cidr) => service::add(facts, *cidr, &mut reasons),
        Goal::ServiceGrow(length) => service::grow(facts, *length, &mut reasons),
        Goal::ServiceRetire(cidr) => retire::retire(facts, *cidr, &mut reasons),
        Goal::ServiceReplace(cidrs) => replace::replace(facts, cidrs, &mut reasons),
        Goal::PodMove { old, new } => calico::move_pool(facts, *old, *new, &mut reasons),
        Goal::BlockSize(length) => calico::block_size(facts, *length, &mut reasons),
        Goal::PodGrow(cidr) => pods::grow(facts, *cidr, &mut reasons),
        Goal::NodeMask(length) => pods::node_mask(facts, *length, &mut reasons),
    };
    let findings = reasons.into_findings();
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        steps.clear();
    }
    model::settle(&mut steps);
    Planned { plan: Plan { goal: goal.to_string(), steps }, findings }
}
