//! What a check found: one shape for all three plugins.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// How bad a finding is. Sorts the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Info,
    /// Will go wrong, or hides something.
    Warning,
    /// Traffic breaks now, or at the next restart.
    Error,
}

/// One thing that is wrong, what shows it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable id: `CIDR-001`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: a range, an object, a node.
    pub subject: String,
    /// One sentence, lower-case, without a full stop.
    pub message: String,
    /// Each fact that it rests on, with its source.
    pub evidence: Vec<String>,
    /// What to do about it.
    pub remedy: String,
}

/// A source that could not be read, or a check that therefore did not run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Unreadable {
    /// The source (`pods`, `/flagz`, `configmap kube-system/kubeadm-config`) or `check CIDR-019`.
    pub source: String,
    /// The node, where it is a node's own file or kernel.
    pub node: Option<String>,
    /// Why, in words: `forbidden: …`, `not recorded`, `timed out after 10s`.
    pub reason: String,
}

impl Unreadable {
    /// What of a file could not be understood: its lines, with the words and what would be valid.
    pub fn lines<'a>(
        file: &'a str,
        node: Option<&'a str>,
        problems: impl IntoIterator<Item = Problem, IntoIter: 'a>,
    ) -> impl Iterator<Item = Self> + 'a {
        problems.into_iter().map(move |problem| Self {
            source: file.to_owned(),
            node: node.map(str::to_owned),
            reason: problem.to_string(),
        })
    }
}

/// The documentation of a check; `docs/findings.md` is made from these.
#[derive(Clone, Copy, Debug)]
pub struct FindingDoc {
    /// Stable id: `CIDR-001`.
    pub id: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// The severities it can have and when.
    pub severity: &'static str,
    /// When it fires, exactly.
    pub formula: &'static str,
    /// A made-up case that fires, as one would see it.
    pub example: &'static str,
    /// What to do.
    pub remedy: &'static str,
}
