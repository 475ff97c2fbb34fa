//! Subnets of a cloud out of which pods get their addresses.

use super::{Check, Findings};
use crate::{
    cluster::{ReadStatus, resources},
    finding::{FindingDoc, Severity},
    ranges::{Facts, sources::Ipam},
};

/// The check of this file.
pub(super) static CHECKS: &[Check] = &[Check {
    doc: FindingDoc {
        id: "CIDR-048",
        title: "a cloud subnet has no address left",
        severity: "error: new pods stay in ContainerCreating",
        formula: "Azure: ClusterSubnetState status.exhausted is true, or a network container of a NodeNetworkConfig \
                  has a status that says that the subnet is full. AWS: not checked, the free addresses are only \
                  known to EC2 and to the ipamd on each node",
        example: "clustersubnetstate kube-system/podsubnet: exhausted",
        remedy: "free addresses now: delete pods that are not needed, scale node pools down; then add a node pool in \
                 another, larger pod subnet (az aks nodepool add --pod-subnet-id …) and move the pods there",
    },
    needs: &[],
    run,
}];

fn run(facts: &Facts, findings: &mut Findings<'_>) {
    for resource in [&resources::AZURE_CLUSTERSUBNETSTATES, &resources::AZURE_NODENETWORKCONFIGS] {
        if let Some(ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) = facts.list_status(resource) {
            findings.not_checked(format!("needs {}: {reason}", resource.full_name()));
        }
    }
    if facts.known.ipam() == Some(Ipam::Aws) {
        findings.not_checked("the addresses left in VPC subnets are only known to EC2 and to each node's ipamd");
    }
    for full in &facts.known.full_subnets {
        findings.add(
            Severity::Error,
            &full.subject,
            format!("{}: {}", full.subject, full.says),
            vec![format!("{}: {}", full.origin, full.says)],
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ranges::{Confidence, Given, Origin, sources};

    #[test]
    fn an_exhausted_subnet_and_a_full_network_container() {
        let mut facts = Facts::default();
        let state = |exhausted: bool| json!({"metadata": {"namespace": "kube-system", "name": "podsubnet"}, "status": {"exhausted": exhausted}});
        let config = |status: &str| {
            json!({"metadata": {"namespace": "kube-system", "name": "node1"}, "status": {"networkContainers": [
                {"subnetName": "podsubnet", "subnetAddressSpace": "10.240.0.0/16", "status": status},
            ]}})
        };
        for source in sources::ALL {
            source.take(Given::Object(&resources::AZURE_CLUSTERSUBNETSTATES, &state(false)), &mut facts);
            source.take(Given::Object(&resources::AZURE_NODENETWORKCONFIGS, &config("")), &mut facts);
        }
        assert_eq!(super::super::run_these(CHECKS, &facts), (vec![], vec![]));
        for source in sources::ALL {
            source.take(Given::Object(&resources::AZURE_CLUSTERSUBNETSTATES, &state(true)), &mut facts);
            source.take(
                Given::Object(&resources::AZURE_NODENETWORKCONFIGS, &config("NCUpdateSubnetFullError")),
                &mut facts,
            );
        }
        let (found, _) = super::super::run_these(CHECKS, &facts);
        let messages: Vec<_> = found.iter().map(|f| f.message.as_str()).collect();
        assert_eq!(
            messages,
            ["clustersubnetstate kube-system/podsubnet: exhausted", "subnet podsubnet: NCUpdateSubnetFullError"]
        );
        assert_eq!(found[0].evidence, ["clustersubnetstate kube-system/podsubnet status.exhausted: exhausted"]);
    }

    #[test]
    fn aws_says_that_it_was_not_checked() {
        let mut facts = Facts::default();
        facts.known.says_ipam(Ipam::Aws, Origin::new("t", Confidence::B, "t", "t"));
        let (found, not_checked) = super::super::run_these(CHECKS, &facts);
        assert!(found.is_empty());
        assert_eq!(not_checked[0].source, "check CIDR-048");
    }
}
