//! The network plugins: what each needs on the nodes.
//!
//! A plugin is one function that is called once, when every node is registered and has its pod ranges, and before
//! the nodes are waited for: it applies objects, writes files into the nodes, and starts what it needs there.

mod bridge;

use crate::{Error, plan, supervise::Cluster};

/// Sets up the plugin that the plan names.
pub(crate) fn install(cluster: &mut Cluster) -> Result<(), Error> {
    match cluster.plan().cni {
        plan::Cni::Bridge => bridge::install(cluster)?,
        plan::Cni::Flannel | plan::Cni::Calico => {
            return Err(Error::Wants("--cni bridge".to_owned()));
        }
    }
    cluster.step("the network plugin is set up");
    Ok(())
}
