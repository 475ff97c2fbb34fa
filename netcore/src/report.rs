//! What every report has in common.

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Unreadable};

/// The version of every report's fields: they only ever grow.
pub const API_VERSION: &str = "kubectl-net/v1";

/// Which cluster a report is about. Unknown is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterInfo {
    /// The kubeconfig's context.
    pub context: Option<String>,
    /// The API server's URL.
    pub server: Option<String>,
    /// The API server's version: `v1.36.3`.
    pub version: Option<String>,
    /// The uid of namespace kube-system, which stands for the cluster's identity.
    pub uid: Option<String>,
    /// The distribution, where its signs are clear: `k3s`.
    pub distribution: Option<String>,
}

/// When the cluster was read: RFC 3339, UTC. Null for a dump that does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Window {
    /// The first read.
    pub start: Option<String>,
    /// The last read.
    pub end: Option<String>,
}

/// A report: the common head, the body of its kind, and what was found and not read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Report<Body> {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// The kind: `CidrReport`.
    pub kind: &'static str,
    /// Which cluster.
    pub cluster: ClusterInfo,
    /// When it was read.
    pub window: Window,
    /// The kind's own fields.
    #[serde(flatten)]
    pub body: Body,
    /// What could not be read, and which checks were therefore not made.
    pub unreadable: Vec<Unreadable>,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
}
