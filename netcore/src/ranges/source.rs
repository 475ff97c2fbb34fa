//! The trait that every source of ranges implements.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Facts;
use crate::{
    cluster::{ReadStatus, Resource, wire},
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

    /// The probe, where it is something of nodes.
    pub const fn probe(&self) -> Option<Probe> {
        match self {
            Self::Node(probe) => Some(*probe),
            _ => None,
        }
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

    /// What shows that the cluster may have what this source is about; nothing when there is no
    /// sign of it. Asked when all is read and before [`Source::finish`]: a network plugin's kinds
    /// that a recording does not hold are only missed where something else points to the plugin.
    fn applies(&self, facts: &Facts) -> Option<String> {
        let _ = facts;
        Some("every cluster has it".to_owned())
    }
}

/// Takes the wants that were not recorded as absent where none of the sources that wanted them has a
/// sign that the cluster has such a thing. To be called when all is read, before the sources finish
/// and before anything is called unreadable.
pub fn settle_unrecorded(sources: &[&dyn Source], facts: &mut Facts) {
    if !facts.reads.values().any(ReadStatus::is_unrecorded) {
        return;
    }
    let mut signs: BTreeMap<Want, Option<String>> = BTreeMap::new();
    for source in sources {
        let sign = source.applies(facts);
        for want in source.wants(facts) {
            if facts.reads.get(&want).is_some_and(ReadStatus::is_unrecorded) {
                let known = signs.entry(want).or_default();
                if known.is_none() {
                    known.clone_from(&sign);
                }
            }
        }
    }
    for (want, sign) in signs {
        if sign.is_none() {
            facts.reads.insert(want, ReadStatus::Absent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resources;

    /// Wants Cilium's nodes; sees a sign of Cilium in a node's annotation.
    struct Plugin;

    impl Source for Plugin {
        fn name(&self) -> &'static str {
            "plugin"
        }

        fn wants(&self, _: &Facts) -> Vec<Want> {
            vec![Want::list(&resources::CILIUM_NODES), Want::list(&resources::NODES)]
        }

        fn take(&self, _: Given<'_>, _: &mut Facts) {}

        fn applies(&self, facts: &Facts) -> Option<String> {
            facts.nodes.contains_key("with-cilium").then(|| "node with-cilium".to_owned())
        }
    }

    /// Wants nodes, which every cluster has.
    struct Nodes;

    impl Source for Nodes {
        fn name(&self) -> &'static str {
            "nodes"
        }

        fn wants(&self, _: &Facts) -> Vec<Want> {
            vec![Want::list(&resources::NODES)]
        }

        fn take(&self, _: Given<'_>, _: &mut Facts) {}
    }

    #[test]
    fn kinds_without_a_sign_are_not_missed() {
        let mut facts = Facts::default();
        facts.reads.insert(Want::list(&resources::CILIUM_NODES), ReadStatus::not_recorded());
        facts.reads.insert(Want::list(&resources::NODES), ReadStatus::not_recorded());
        let mut signed = Facts { reads: facts.reads.clone(), ..Facts::default() };
        signed.nodes.insert("with-cilium".to_owned(), crate::ranges::NodeFacts::default());

        settle_unrecorded(&[&Plugin, &Nodes], &mut facts);
        assert_eq!(facts.list_status(&resources::CILIUM_NODES), Some(&ReadStatus::Absent));
        assert_eq!(facts.list_status(&resources::NODES), Some(&ReadStatus::not_recorded()));

        settle_unrecorded(&[&Plugin, &Nodes], &mut signed);
        assert_eq!(signed.list_status(&resources::CILIUM_NODES), Some(&ReadStatus::not_recorded()));
    }

    #[test]
    fn other_reasons_are_never_settled() {
        let mut facts = Facts::default();
        let forbidden = ReadStatus::Unreadable("forbidden".to_owned());
        facts.reads.insert(Want::list(&resources::CILIUM_NODES), forbidden.clone());
        settle_unrecorded(&[&Plugin], &mut facts);
        assert_eq!(facts.list_status(&resources::CILIUM_NODES), Some(&forbidden));
    }
}
