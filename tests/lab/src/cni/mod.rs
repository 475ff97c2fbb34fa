//! The network plugins: what each needs on the nodes.
//!
//! A plugin is one function that is called once, when every node is registered and has its pod ranges, and before
//! the nodes are waited for: it applies objects, writes files into the nodes, and starts what it needs there.

mod bridge;
mod calico;
mod flannel;

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    Error,
    components::{self, Component},
    image::Image,
    plan::{API_PORT, Cni, Machine},
    supervise::Cluster,
};

/// Sets up the plugin that the plan names.
pub(crate) fn install(cluster: &mut Cluster) -> Result<(), Error> {
    match cluster.plan().cni {
        Cni::Bridge => bridge::install(cluster)?,
        Cni::Flannel => flannel::install(cluster)?,
        Cni::Calico => calico::install(cluster)?,
    }
    cluster.step("the network plugin is set up");
    Ok(())
}

/// The binaries that a plugin wants.
pub(crate) fn components(cni: Cni) -> Vec<Component> {
    match cni {
        Cni::Bridge => Vec::new(),
        Cni::Flannel => vec![components::flannel()],
        Cni::Calico => components::calico().to_vec(),
    }
}

/// The images that a plugin wants, on top of the one with the tools.
pub(crate) fn images(cni: Cni, base: &Image, binaries: &BTreeMap<&'static str, PathBuf>) -> Result<Vec<Image>, Error> {
    match cni {
        Cni::Bridge => Ok(Vec::new()),
        Cni::Flannel => flannel::images(base, binaries),
        Cni::Calico => calico::images(base, binaries),
    }
}

/// Where the API server is, without its Service: a network plugin must not wait for kube-proxy.
fn api_server() -> [Value; 2] {
    [
        json!({"name": "KUBERNETES_SERVICE_HOST", "value": Machine::control().v4().to_string()}),
        json!({"name": "KUBERNETES_SERVICE_PORT", "value": API_PORT.to_string()}),
    ]
}

/// An environment variable out of the pod's own fields.
fn from_field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

/// A folder or file of the node.
fn host_path(name: &str, path: &str, kind: &str) -> Value {
    json!({"name": name, "hostPath": {"path": path, "type": kind}})
}
