//! The trait that every source of ranges implements.

use serde_json::Value;

use super::Facts;
use crate::{
    cluster::{Resource, wire},
    probe::Probe,
};

/// Something to read. Equal wants are read once, however many sources have them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Want {
    /// All objects of a kind.
    List {
        /// The kind.
        resource: &'static Resource,
        /// One namespace, or all.
        namespace: Option<String>,
        /// A label selector.
        labels: Option<String>,
        /// A field selector: `reason=ServiceCIDRFull`.
        fields: Option<String>,
    },
    /// One object by name.
    Get {
        /// The kind.
        resource: &'static Resource,
        /// Its namespace; empty for cluster-scoped kinds.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An answer of the API server that is no object: `/flagz`, `/metrics`, `/version`, a kubelet's
    /// `configz` through the node proxy.
    Raw {
        /// The path, with its query.
        path: String,
        /// The `Accept` header.
        accept: &'static str,
    },
    /// The API server's serving certificate, in PEM.
    ServingCertificate,
    /// A file or kernel table of every node that is asked for.
    Node(Probe),
}

impl Want {
    /// All objects of a kind.
    pub const fn list(resource: &'static Resource) -> Self {
        Self::List { resource, namespace: None, labels: None, fields: None }
    }

    /// The objects of a kind in one namespace that have the labels.
    pub fn labelled(resource: &'static Resource, namespace: impl Into<String>, labels: impl Into<String>) -> Self {
        Self::List { resource, namespace: Some(namespace.into()), labels: Some(labels.into()), fields: None }
    }

    /// The objects of a kind in all namespaces whose fields are so: `reason=ServiceCIDRFull`.
    pub fn with_fields(resource: &'static Resource, fields: impl Into<String>) -> Self {
        Self::List { resource, namespace: None, labels: None, fields: Some(fields.into()) }
    }

    /// One object by name.
    pub fn get(resource: &'static Resource, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::Get { resource, namespace: namespace.into(), name: name.into() }
    }

    /// A plain-text answer.
    pub fn text(path: impl Into<String>) -> Self {
        Self::Raw { path: path.into(), accept: "text/plain" }
    }
}

impl std::fmt::Display for Want {
    /// As a reader would call it: `pods`, `configmap kube-system/kubeadm-config`, `/flagz`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::List { resource, namespace, labels, fields } => {
                f.write_str(&resource.full_name())?;
                if let Some(namespace) = namespace {
                    write!(f, " in {namespace}")?;
                }
                if let Some(labels) = labels {
                    write!(f, " with {labels}")?;
                }
                fields.as_ref().map_or(Ok(()), |fields| write!(f, " with {fields}"))
            }
            Self::Get { resource, namespace, name } => {
                let kind = resource.kind.to_lowercase();
                if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
            }
            Self::Raw { path, .. } => f.write_str(path),
            Self::ServingCertificate => f.write_str("serving certificate"),
            Self::Node(probe) => write!(f, "nodes' {}", probe.file()),
        }
    }
}

/// One thing that was read.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// A node.
    Node(&'a wire::Node),
    /// A pod, of the list of all pods.
    Pod(&'a wire::Pod),
    /// A Service.
    Service(&'a wire::Service),
    /// An allocated ClusterIP.
    IpAddress(&'a wire::IpAddress),
    /// Any other object, and pods that were listed with a selector: whole.
    Object(&'static Resource, &'a Value),
    /// An answer that is no object; the path is the want's.
    Raw(&'a str, &'a str),
    /// The API server's serving certificate, in PEM.
    ServingCertificate(&'a str),
    /// What a node's probe gave: the node (none where a file's node is unknown), the probe, the text
    /// and the file's name for evidence (`nodes/node1/subnet.env`).
    Probe(Option<&'a str>, Probe, &'a str, &'a str),
}

/// One place that says something about address ranges.
///
/// A source keeps nothing: it asks for what it needs, is given it one piece at a time, and writes
/// what it learns into [`Facts`]. It must bear pieces in any order, and pieces that others wanted.
pub trait Source: Sync {
    /// A short stable name, as in `sources[].source`: `kubeadm-config`.
    fn name(&self) -> &'static str;

    /// What to read, given what is known so far. Asked again after each round of reading until
    /// nothing new is wanted, so that a source can follow a trail.
    fn wants(&self, facts: &Facts) -> Vec<Want>;

    /// Learns from one piece. What can't be understood goes to [`Facts::problem`].
    fn take(&self, given: Given<'_>, facts: &mut Facts);

    /// Called once when all is read: for what follows from several pieces.
    fn finish(&self, facts: &mut Facts) {
        let _ = facts;
    }
}
