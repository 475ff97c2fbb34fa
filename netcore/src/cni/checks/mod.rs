//! What can be wrong with a cluster's network plugins. Each check is a row of [`ALL`]: its
//! documentation, and a pure function over what was read and its report.

pub mod bgp;
mod conf;
mod nodes;
mod plugins;

use super::{Facts, report::CniReport};
use crate::{
    finding::{Finding, FindingDoc, Unreadable},
    ranges::checks::{Findings, in_order},
};

/// What checks look at.
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    /// What was read.
    pub facts: &'a Facts,
    /// Its report.
    pub report: &'a CniReport,
}

/// A check.
pub struct Check {
    /// What it is; `docs/findings.md` is made from this.
    pub doc: FindingDoc,
    /// Adds what it finds.
    pub run: fn(Cluster<'_>, &mut Findings<'_>),
}

/// Every check, by id.
pub static ALL: &[&[Check]] = &[plugins::CHECKS, nodes::CHECKS, conf::CHECKS];

/// The checks of the CNI files.
pub static OF_FILES: &[&[Check]] = &[conf::CHECKS];

/// Runs every check: findings, the worst first; and which checks could not be made.
pub fn run(facts: &Facts, report: &CniReport) -> (Vec<Finding>, Vec<Unreadable>) {
    run_these(ALL, facts, report)
}

/// The same with some of the checks.
pub fn run_these(checks: &[&[Check]], facts: &Facts, report: &CniReport) -> (Vec<Finding>, Vec<Unreadable>) {
    let (mut found, mut not_checked) = (Vec::new(), Vec::new());
    for check in checks.iter().copied().flatten() {
        (check.run)(Cluster { facts, report }, &mut Findings::of(&check.doc, &mut found, &mut not_checked));
    }
    in_order(&mut found);
    not_checked.sort();
    not_checked.dedup();
    (found, not_checked)
}

#[cfg(test)]
mod tests;
