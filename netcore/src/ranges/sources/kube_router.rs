//! kube-router: its flags, and its nodes' annotations.

use super::{Ipam, ServiceCopy, fields::prefixes, workload::Workload};
use crate::{
    cidr::Cidr,
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
};

/// The flags of its DaemonSet; the annotations `kube-router.io/pod-cidr` and `…/pod-cidrs`.
pub(super) struct KubeRouter;

const NAME: &str = "kube-router";
const SERVICE: &str = "--service-cluster-ip-range";
const DEFAULT_SERVICE: &str = "10.96.0.0/12";

impl Source for KubeRouter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::DAEMONSETS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Some(workload) = Workload::of(given)
            && workload.runs(NAME)
        {
            flags(&workload, facts);
        }
        if let Given::Node(node) = given
            && let Some(meta) = &node.metadata
        {
            // the old name wins where both are there
            for key in ["kube-router.io/pod-cidr", "kube-router.io/pod-cidrs"] {
                if let Some(text) = meta.annotations.get(key) {
                    let object = format!("node {}", meta.name);
                    let origin = Origin::new(NAME, Confidence::B, object, format!("metadata.annotations.{key}"));
                    facts.add_share(Role::Pod, text, &origin, &meta.name);
                    break;
                }
            }
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}

fn flags(workload: &Workload<'_>, facts: &mut Facts) {
    // it may also run beside another network plugin, for policies or Services alone
    let enabled = |flag: &str| workload.flag(flag).last().is_none_or(|(_, value)| *value != "false");
    if workload.flag("--enable-cni").last().is_some_and(|(_, v)| *v == "true") || enabled("--run-router") {
        facts.known.says_ipam(Ipam::NodeIpam, workload.origin(NAME, Confidence::B, "--run-router"));
    }
    for flag in ["--service-external-ip-range", "--loadbalancer-ip-range"] {
        for (field, text) in workload.flag(flag) {
            facts.add_ranges(Role::Loadbalancer, text, &workload.origin(NAME, Confidence::B, &field));
        }
    }
    let mut cidrs = Vec::new();
    let mut field = format!("{SERVICE}, its default {DEFAULT_SERVICE}");
    let mut confidence = Confidence::D;
    for (place, text) in workload.flag(SERVICE) {
        confidence = Confidence::B;
        field = place;
        cidrs.extend(prefixes(text, &workload.origin(NAME, confidence, &field), facts));
    }
    if confidence == Confidence::D {
        cidrs.extend(DEFAULT_SERVICE.parse::<Cidr>());
    }
    let origin = workload.origin(NAME, confidence, &field);
    facts.known.service_copies.push(ServiceCopy { component: NAME, cidrs, origin });
}
