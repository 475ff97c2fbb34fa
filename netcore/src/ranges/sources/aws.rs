//! AWS' VPC CNI: pods have addresses of the VPC, of which the cluster only knows the subnets' ids.

use super::{Ipam, fields::Fields, workload::Workload};
use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Source, Want},
};

/// DaemonSet `aws-node` and `ENIConfig`s.
pub(super) struct Aws;

const NAME: &str = "aws-vpc-cni";

impl Source for Aws {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::DAEMONSETS), Want::list(&resources::AWS_ENICONFIGS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Some(workload) = Workload::of(given)
            && workload.name() == "aws-node"
        {
            facts.known.sign(NAME, workload.object());
            facts.known.says_ipam(Ipam::Aws, workload.origin(NAME, Confidence::B, "metadata.name"));
        }
        if let Given::Object(resource, value) = given
            && resource == &resources::AWS_ENICONFIGS
        {
            let config = Fields::of("eniconfig", value);
            facts.known.sign(NAME, config.object());
            if let Some(subnet) = config.text("spec.subnet", facts) {
                let reason = format!("spec.subnet: `{subnet}` is a subnet's id; only the EC2 API knows its range");
                facts.problem(config.object(), reason);
            }
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.sign_of(NAME)
    }
}
