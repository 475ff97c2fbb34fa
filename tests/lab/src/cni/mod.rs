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

/// Waits until the plugin's own DaemonSet is ready on every node: a node is Ready as soon as the plugin's
/// configuration lies there, which is before its daemon has written routes and rules.
pub(crate) fn ready(cluster: &mut Cluster) -> Result<(), Error> {
    let (namespace, name) = match cluster.plan().cni {
        Cni::Bridge => return Ok(()),
        Cni::Flannel => flannel::DAEMON_SET,
        Cni::Calico => calico::DAEMON_SET,
    };
    let nodes = cluster.nodes();
    let patience = if nodes.iter().any(|node| node.guest) { 600 } else { 180 };
    let wanted = u64::try_from(nodes.len()).unwrap_or(u64::MAX);
    cluster.poll(&format!("the DaemonSet {name} on every node"), patience, |cluster| {
        let set = cluster.get(&["daemonset", "--namespace", namespace, name])?;
        Ok(rolled_out(&set, wanted))
    })?;
    cluster.step("the network plugin is ready on every node");
    Ok(())
}

/// Whether a DaemonSet, as it is now, has a ready pod on each of so many nodes; else how many it has.
fn rolled_out(set: &Value, nodes: u64) -> Result<(), String> {
    let status = &set["status"];
    let count = |field: &str| status[field].as_u64().unwrap_or(0);
    let seen = set["metadata"]["generation"].as_u64().is_some()
        && status["observedGeneration"] == set["metadata"]["generation"];
    if seen && count("updatedNumberScheduled") == nodes && count("numberReady") == nodes {
        return Ok(());
    }
    Err(format!("{} of {nodes} ready", count("numberReady")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_set_counts_only_as_it_is_now_and_on_every_node() {
        let set = |observed: u64, ready: u64| {
            json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed,
                "desiredNumberScheduled": ready, "updatedNumberScheduled": ready, "numberReady": ready}})
        };
        assert_eq!(rolled_out(&set(2, 2), 2), Ok(()));
        assert_eq!(rolled_out(&set(1, 2), 2), Err("2 of 2 ready".to_owned()));
        // one is scheduled and ready, the other node has not been looked at
        assert_eq!(rolled_out(&set(2, 1), 2), Err("1 of 2 ready".to_owned()));
        assert!(rolled_out(&json!({}), 0).is_err());
    }
}
