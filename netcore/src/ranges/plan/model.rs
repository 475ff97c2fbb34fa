//! A plan: ordered steps, each with what must hold before, what is seen after, and the way back.

use serde::Serialize;

use crate::finding::Finding;

/// What a step costs those who use the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Risk {
    /// Nothing that runs notices.
    #[default]
    #[serde(rename = "none")]
    None,
    /// What is connected stays so; new connections or new pods may be held up.
    #[serde(rename = "new connections")]
    NewConnections,
    /// Something is gone for a while.
    #[serde(rename = "downtime")]
    Downtime,
}

/// Who carries a step out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Whoever may write to the API.
    #[default]
    Api,
    /// Somebody with a shell on a node.
    Node,
    /// The cloud or the installer.
    Cloud,
}

/// Where a step stands in the cluster as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// What it brings about is there already.
    Done,
    /// It is the next one.
    Ready,
    /// Another one comes first.
    #[default]
    Waiting,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Step {
    /// Its name in this plan, the same on every run: `create-range`.
    pub id: String,
    /// What it does, in a few words.
    pub title: String,
    /// The kind of what it changes: `ServiceCIDR`, `IPPool`, `file`; empty for a step that only looks.
    pub kind: String,
    /// What it changes: `servicecidr services-10-97-0-0-16`.
    pub object: String,
    /// The exact command, perhaps of several lines; or what is to be edited where no command does it.
    pub command: String,
    /// What must hold before.
    pub precondition: String,
    /// What is seen when it went well.
    pub expect: String,
    /// The way back from it.
    pub undo: String,
    /// What it costs.
    pub risk: Risk,
    /// Who does it.
    pub by: By,
    /// How long it takes, for this cluster's size.
    pub takes: String,
    /// Where it stands.
    pub state: State,
}

/// `kind: Plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// What it leads to, in words.
    pub goal: String,
    /// The steps in their order; none where the plan is refused.
    pub steps: Vec<Step>,
}

/// A plan, and what was found while it was made: an error is the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Reasons against it, and warnings about it.
    pub findings: Vec<Finding>,
}

/// Marks the first step that is not done as the next one.
pub(super) fn settle(steps: &mut [Step]) {
    if let Some(next) = steps.iter_mut().find(|step| step.state != State::Done) {
        next.state = State::Ready;
    }
}

/// `done` where it holds.
pub(super) const fn done_if(holds: bool) -> State {
    if holds { State::Done } else { State::Waiting }
}
