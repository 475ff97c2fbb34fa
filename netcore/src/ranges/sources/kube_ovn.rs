//! Kube-OVN: its subnets, and the join network between nodes and pods.

use super::{
    InternalNetwork, Ipam,
    fields::{Fields, prefixes},
    workload::Workload,
};
use crate::{
    cidr::Cidr,
    cluster::resources,
    ranges::{Confidence, Facts, Given, IpOwner, Origin, Role, Source, Want},
};

/// `Subnet`s of kubeovn.io and the nodes' `ovn.kubernetes.io/` annotations.
pub(super) struct KubeOvn;

/// A Kube-OVN subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeOvnSubnet {
    /// Name.
    pub name: String,
    /// Its VPC; subnets of different VPCs may overlap.
    pub vpc: String,
    /// One prefix per family.
    pub cidrs: Vec<Cidr>,
    /// Addresses that are never given out.
    pub excluded: Vec<Cidr>,
    /// Where it is written.
    pub origin: Origin,
}

const NAME: &str = "kube-ovn";
/// The VPC that every cluster has, in which the pods' default network lives.
const DEFAULT_VPC: &str = "ovn-cluster";
const JOIN: &str = "join";

impl Source for KubeOvn {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::DAEMONSETS), Want::list(&resources::KUBEOVN_SUBNETS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Some(workload) = Workload::of(given)
            && workload.name() == "kube-ovn-cni"
        {
            facts.known.sign(NAME, workload.object());
            facts.known.says_ipam(Ipam::KubeOvn, workload.origin(NAME, Confidence::B, "metadata.name"));
        }
        match given {
            Given::Node(node) => {
                let Some(meta) = &node.metadata else { return };
                let annotation = |key: &str| meta.annotations.get(&format!("ovn.kubernetes.io/{key}"));
                if annotation("logical_switch").is_none_or(|switch| switch != JOIN) {
                    return;
                }
                facts.known.sign(NAME, &format!("node {}", meta.name));
                // the node's own leg in the join network
                let ips = annotation("ip_address").map(String::as_str).unwrap_or_default();
                for ip in ips.split(',').filter_map(|ip| ip.trim().parse().ok()) {
                    let owner = IpOwner {
                        kind: "Join".to_owned(),
                        namespace: None,
                        name: "ovn0".to_owned(),
                        node: Some(meta.name.clone()),
                    };
                    facts.infrastructure.push((ip, owner));
                }
            }
            Given::Object(resource, value) if resource == &resources::KUBEOVN_SUBNETS => {
                subnet(&Fields::of("subnet.kubeovn.io", value), facts);
            }
            _ => {}
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.sign_of(NAME)
    }
}

fn subnet(subnet: &Fields<'_>, facts: &mut Facts) {
    facts.known.sign(NAME, subnet.object());
    let Some(text) = subnet.text("spec.cidrBlock", facts) else { return };
    let vpc = subnet.text("spec.vpc", facts).unwrap_or(DEFAULT_VPC).to_owned();
    let origin = subnet.origin(NAME, Confidence::B, "spec.cidrBlock");
    // a network that is not reached from the cluster's own may use any range, also one in use
    let role = if subnet.name() == JOIN || vpc != DEFAULT_VPC { Role::Internal } else { Role::Pod };
    let cidrs = facts.add_ranges(role, text, &origin);
    if subnet.name() == JOIN {
        let networks = cidrs.iter().map(|cidr| InternalNetwork { purpose: JOIN, cidr: *cidr, origin: origin.clone() });
        facts.known.internal_networks.extend(networks);
    }
    let mut excluded = Vec::new();
    for (path, text) in subnet.texts("spec.excludeIps", facts) {
        let origin = subnet.origin(NAME, Confidence::B, &path);
        excluded.extend(prefixes(text, &origin, facts));
    }
    facts.known.kube_ovn_subnets.push(KubeOvnSubnet { name: subnet.name().to_owned(), vpc, cidrs, excluded, origin });
}
