//! Azure CNI: what each node was given out of the virtual network or the overlay.

use serde_json::Value;

use super::{
    FullSubnet, Ipam,
    fields::{Fields, add_network},
    workload::Workload,
};
use crate::{
    cidr::parse_cidr,
    cluster::resources,
    ranges::{Confidence, Facts, Given, Role, Source, Want},
};

/// `NodeNetworkConfig`s and `ClusterSubnetState`s of acn.azure.com.
pub(super) struct Azure;

const NAME: &str = "azure-cni";

impl Source for Azure {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![
            Want::list(&resources::DAEMONSETS),
            Want::list(&resources::AZURE_NODENETWORKCONFIGS),
            Want::list(&resources::AZURE_CLUSTERSUBNETSTATES),
        ]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Some(workload) = Workload::of(given)
            && workload.name() == "azure-cns"
        {
            facts.known.sign(NAME, workload.object());
            // Cilium on Azure may still hand out the addresses itself; it then says so
            if facts.known.ipams.is_empty() {
                facts.known.says_ipam(Ipam::Azure, workload.origin(NAME, Confidence::B, "metadata.name"));
            }
        }
        match given {
            Given::Object(resource, value) if resource == &resources::AZURE_NODENETWORKCONFIGS => {
                node_config(&Fields::of("nodenetworkconfig", value), facts);
            }
            Given::Object(resource, value) if resource == &resources::AZURE_CLUSTERSUBNETSTATES => {
                let state = Fields::of("clustersubnetstate", value);
                facts.known.sign(NAME, state.object());
                if state.get("status.exhausted").and_then(Value::as_bool) == Some(true) {
                    facts.known.full_subnets.push(FullSubnet {
                        subject: state.object().to_owned(),
                        says: "exhausted".to_owned(),
                        origin: state.origin(NAME, Confidence::A, "status.exhausted"),
                    });
                }
            }
            _ => {}
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.sign_of(NAME)
    }
}

fn node_config(config: &Fields<'_>, facts: &mut Facts) {
    facts.known.sign(NAME, config.object());
    for (i, container) in config.list("status.networkContainers", facts).iter().enumerate() {
        let path = format!("status.networkContainers[{i}]");
        let text = |key| container.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        for key in ["subnetAddressSpace", "subnetAddressSpaceV6"] {
            let Some(space) = text(key) else { continue };
            let origin = config.origin(NAME, Confidence::A, &format!("{path}.{key}"));
            // the same on every node of a pool
            let first = parse_cidr(space).map_or(true, |written| facts.known.azure_subnets.insert(written.cidr));
            if first {
                add_network(Role::Pod, space, &origin, facts);
            }
        }
        // in the overlay each node has a prefix of its own
        if text("type") == Some("overlay") {
            for key in ["primaryIP", "primaryIPV6"] {
                let Some(prefix) = text(key).filter(|prefix| prefix.contains('/')) else { continue };
                let origin = config.origin(NAME, Confidence::A, &format!("{path}.{key}"));
                facts.add_share(Role::Pod, prefix, &origin, config.name());
            }
        }
        if let Some(status) = text("status").filter(|status| status.contains("SubnetFull")) {
            facts.known.full_subnets.push(FullSubnet {
                subject: text("subnetName").map_or_else(|| config.object().to_owned(), |name| format!("subnet {name}")),
                says: status.to_owned(),
                origin: config.origin(NAME, Confidence::A, &format!("{path}.status")),
            });
        }
    }
}
