//! Cluster API's `Cluster`: what a management cluster was asked to build. Of its workload clusters,
//! only the one that is looked at is meant; so it counts only where there is just one.

use super::object;
use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
    text::{scalar, scalars},
};

/// A `Cluster` of Cluster API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapiCluster {
    /// `cluster default/prod`.
    pub object: String,
    /// `spec.clusterNetwork.pods.cidrBlocks`.
    pub pods: Vec<String>,
    /// `spec.clusterNetwork.services.cidrBlocks`.
    pub services: Vec<String>,
    /// `spec.clusterNetwork.serviceDomain`.
    pub domain: String,
}

/// `Cluster` objects.
pub(super) struct ClusterApi;

const NAME: &str = "cluster-api";

impl Source for ClusterApi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::CAPI_CLUSTERS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, value) = given else { return };
        if resource != &resources::CAPI_CLUSTERS {
            return;
        }
        let network = value.pointer("/spec/clusterNetwork");
        let blocks = |kind: &str| scalars(network.and_then(|n| n.pointer(&format!("/{kind}/cidrBlocks"))));
        let cluster = CapiCluster {
            object: object::title(resource, value),
            pods: blocks("pods"),
            services: blocks("services"),
            domain: scalar(network.and_then(|n| n.get("serviceDomain"))),
        };
        if !facts.known.capi_clusters.contains(&cluster) {
            facts.known.capi_clusters.push(cluster);
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.capi_clusters.first().map(|cluster| cluster.object.clone())
    }

    fn finish(&self, facts: &mut Facts) {
        // one of many is another cluster's, and its ranges may be used again here
        let [cluster] = facts.known.capi_clusters.as_slice() else { return };
        let cluster = cluster.clone();
        for (role, kind, blocks) in [(Role::Pod, "pods", &cluster.pods), (Role::Service, "services", &cluster.services)]
        {
            for (index, text) in blocks.iter().enumerate() {
                let field = format!("spec.clusterNetwork.{kind}.cidrBlocks[{index}]");
                facts.add_ranges(role, text, &Origin::new(NAME, Confidence::C, cluster.object.as_str(), field));
            }
        }
        if !cluster.domain.is_empty() {
            let origin = Origin::new(NAME, Confidence::C, cluster.object, "spec.clusterNetwork.serviceDomain");
            facts.dns_domains.push((cluster.domain, origin));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(name: &str) -> serde_json::Value {
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"clusterNetwork": {
            "pods": {"cidrBlocks": ["192.168.0.0/16"]}, "services": {"cidrBlocks": ["10.128.0.0/12"]}}}})
    }

    #[test]
    fn one_cluster_counts_and_several_do_not() {
        let mut facts = Facts::default();
        ClusterApi.take(Given::Object(&resources::CAPI_CLUSTERS, &cluster("a")), &mut facts);
        ClusterApi.finish(&mut facts);
        assert_eq!(facts.ranges.len(), 2);
        let mut facts = Facts::default();
        for name in ["a", "b"] {
            ClusterApi.take(Given::Object(&resources::CAPI_CLUSTERS, &cluster(name)), &mut facts);
        }
        ClusterApi.finish(&mut facts);
        assert!(facts.ranges.is_empty());
    }
}
