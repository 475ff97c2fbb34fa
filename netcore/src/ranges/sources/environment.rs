//! Network plugins that are told their pod range in their DaemonSet's environment: Weave Net and
//! kindnet.

use super::{Ipam, workload::Workload};
use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Role, Source, Want},
};

/// Weave Net: `IPALLOC_RANGE`.
pub(super) struct Weave;

/// kindnet: `POD_SUBNET`.
pub(super) struct Kindnet;

impl Source for Weave {
    fn name(&self) -> &'static str {
        "weave"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::DAEMONSETS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Some(workload) = Workload::of(given)
            && workload.name() == "weave-net"
        {
            facts.known.says_ipam(Ipam::Weave, workload.origin("weave", Confidence::B, "metadata.name"));
            let (confidence, field, text) = match workload.env("IPALLOC_RANGE") {
                Some((field, text)) => (Confidence::B, field, text),
                None => (Confidence::D, "env IPALLOC_RANGE is not set: the default".to_owned(), "10.32.0.0/12"),
            };
            facts.add_ranges(Role::Pod, text, &workload.origin("weave", confidence, &field));
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}

impl Source for Kindnet {
    fn name(&self) -> &'static str {
        "kindnet"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::DAEMONSETS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Some(workload) = Workload::of(given)
            && workload.name() == "kindnet"
        {
            facts.known.says_ipam(Ipam::NodeIpam, workload.origin("kindnet", Confidence::B, "metadata.name"));
            if let Some((field, text)) = workload.env("POD_SUBNET") {
                facts.add_ranges(Role::Pod, text, &workload.origin("kindnet", Confidence::B, &field));
            }
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}
