//! The checks, grouped by what they are about. Each is a row of [`ALL`]: its documentation, the
//! kinds it needs, and a pure function over the facts.

mod agreement;
mod calico;
mod cilium;
mod cloud;
pub(in crate::ranges) mod common;
mod copies;
mod examples;
mod internal;
mod load_balancers;
mod nodes;
mod overlap;
mod pools;
mod reserved;
mod room;
mod services;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;

use super::Facts;
use crate::{
    cluster::{ReadStatus, Resource},
    finding::{Finding, FindingDoc, Severity, Unreadable},
};

/// A check.
pub struct Check {
    /// What it is; `docs/findings.md` is made from this.
    pub doc: FindingDoc,
    /// Kinds that must have been read whole for its silence to mean anything. A kind that the
    /// cluster does not have makes the check not applicable.
    pub needs: &'static [&'static Resource],
    /// Adds what it finds.
    pub run: fn(&Facts, &mut Findings<'_>),
}

/// Where a check puts what it finds.
pub struct Findings<'a> {
    doc: &'a FindingDoc,
    found: &'a mut Vec<Finding>,
    not_checked: &'a mut Vec<Unreadable>,
}

impl<'a> Findings<'a> {
    /// The findings of one check, beside those of others.
    pub(crate) fn of(doc: &'a FindingDoc, found: &'a mut Vec<Finding>, not_checked: &'a mut Vec<Unreadable>) -> Self {
        Self { doc, found, not_checked }
    }

    /// A finding with the documented remedy.
    pub fn add(
        &mut self,
        severity: Severity,
        subject: impl Into<String>,
        message: impl Into<String>,
        evidence: Vec<String>,
    ) {
        self.found.push(Finding {
            id: self.doc.id.to_owned(),
            severity,
            subject: subject.into(),
            message: message.into(),
            evidence,
            remedy: self.doc.remedy.to_owned(),
        });
    }

    /// Findings of nodes, each with its message and evidence; what is said of several is said once:
    /// `node-1, node-2, node-3 and 17 more nodes`.
    pub(crate) fn add_of_nodes<'n>(
        &mut self,
        severity: Severity,
        found: impl IntoIterator<Item = (&'n str, String, Vec<String>)>,
    ) {
        const NAMED: usize = 3;
        const SHOWN: usize = 4;
        let mut groups: BTreeMap<String, (Vec<&str>, Vec<String>)> = BTreeMap::new();
        for (node, message, evidence) in found {
            let group = groups.entry(message).or_default();
            group.0.push(node);
            if group.1.len() < SHOWN {
                group.1.extend(evidence);
            }
        }
        for (message, (nodes, evidence)) in groups {
            let named = nodes.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            let subject = match nodes.len() {
                0..=NAMED => named,
                many => format!("{named} and {} more nodes", many - NAMED),
            };
            self.add(severity, subject, message, evidence);
        }
    }

    /// Says that the check could not be made, or only in part.
    pub fn not_checked(&mut self, reason: impl Into<String>) {
        self.not_checked.push(Unreadable {
            source: format!("check {}", self.doc.id),
            node: None,
            reason: reason.into(),
        });
    }
}

/// Every check, by id.
pub static ALL: &[&[Check]] = &[
    overlap::CHECKS,
    agreement::CHECKS,
    room::CHECKS,
    services::CHECKS,
    nodes::CHECKS,
    load_balancers::CHECKS,
    calico::CHECKS,
    pools::CHECKS,
    reserved::CHECKS,
    internal::CHECKS,
    copies::CHECKS,
    cilium::CHECKS,
    cloud::CHECKS,
];

/// Runs every check: findings, worst first, then by id and subject; and which checks were not made.
pub fn run(facts: &Facts) -> (Vec<Finding>, Vec<Unreadable>) {
    run_these(ALL.iter().copied().flatten(), facts)
}

/// The same with some of the checks.
fn run_these<'a>(checks: impl IntoIterator<Item = &'a Check>, facts: &Facts) -> (Vec<Finding>, Vec<Unreadable>) {
    let mut found = Vec::new();
    let mut not_checked = Vec::new();
    for check in checks {
        let mut findings = Findings::of(&check.doc, &mut found, &mut not_checked);
        match missing(check, facts) {
            Missing::Nothing => (check.run)(facts, &mut findings),
            Missing::NotApplicable => {}
            Missing::Unread(reason) => findings.not_checked(reason),
        }
    }
    in_order(&mut found);
    not_checked.sort();
    not_checked.dedup();
    (found, not_checked)
}

/// The worst first, then by id and subject; each once.
pub(crate) fn in_order(found: &mut Vec<Finding>) {
    found.sort_by(|a, b| (b.severity, &a.id, &a.subject, &a.message).cmp(&(a.severity, &b.id, &b.subject, &b.message)));
    found.dedup();
}

/// What one check finds, and why it could not.
#[cfg(test)]
fn run_one(id: &str, facts: &Facts) -> (Vec<Finding>, Vec<Unreadable>) {
    let (mut found, mut not_checked) = run(facts);
    found.retain(|finding| finding.id == id);
    not_checked.retain(|unreadable| unreadable.source == format!("check {id}"));
    (found, not_checked)
}

enum Missing {
    Nothing,
    NotApplicable,
    Unread(String),
}

fn missing(check: &Check, facts: &Facts) -> Missing {
    let mut unread = Vec::new();
    for resource in check.needs {
        match facts.list_status(resource) {
            Some(ReadStatus::Complete) => {}
            Some(ReadStatus::Absent) | None => return Missing::NotApplicable,
            Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) => {
                unread.push(format!("{}: {reason}", resource.full_name()));
            }
        }
    }
    if unread.is_empty() { Missing::Nothing } else { Missing::Unread(format!("needs {}", unread.join(", "))) }
}
