//! OpenShift's network configuration.

use super::{
    Ipam,
    fields::Fields,
    ovn_kubernetes::{cluster_network, internal},
};
use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Role, Source, Want},
};

/// `Network cluster` of config.openshift.io and of operator.openshift.io.
pub(super) struct OpenShift;

const NAME: &str = "openshift";

/// Where the operator has its internal networks, the newer place first.
const INTERNAL: [(&str, &str); 8] = [
    ("join", "ipv4.internalJoinSubnet"),
    ("join", "ipv6.internalJoinSubnet"),
    ("join", "v4InternalSubnet"),
    ("join", "v6InternalSubnet"),
    ("transit", "ipv4.internalTransitSwitchSubnet"),
    ("transit", "ipv6.internalTransitSwitchSubnet"),
    ("masquerade", "gatewayConfig.ipv4.internalMasqueradeSubnet"),
    ("masquerade", "gatewayConfig.ipv6.internalMasqueradeSubnet"),
];

impl Source for OpenShift {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::OPENSHIFT_CONFIG_NETWORKS), Want::list(&resources::OPENSHIFT_OPERATOR_NETWORKS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Node(node) => {
                let labels = node.metadata.as_ref().map(|m| &m.labels);
                if labels.is_some_and(|l| l.contains_key("node.openshift.io/os_id")) {
                    facts.known.sign(NAME, "a node's label node.openshift.io/os_id");
                }
            }
            Given::Object(resource, value) if resource == &resources::OPENSHIFT_CONFIG_NETWORKS => {
                config(&Fields::of("network.config.openshift.io", value), facts);
            }
            Given::Object(resource, value) if resource == &resources::OPENSHIFT_OPERATOR_NETWORKS => {
                let network = Fields::of("network.operator.openshift.io", value);
                facts.known.sign(NAME, network.object());
                for (purpose, path) in INTERNAL {
                    let path = format!("spec.defaultNetwork.ovnKubernetesConfig.{path}");
                    if let Some(text) = network.text(&path, facts) {
                        internal(purpose, text, &network.origin(NAME, Confidence::B, &path), facts);
                    }
                }
            }
            _ => {}
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.sign_of(NAME)
    }
}

fn config(network: &Fields<'_>, facts: &mut Facts) {
    facts.known.sign(NAME, network.object());
    // the status is what the operator made; the spec is what somebody may have asked for in vain
    let (base, confidence) = if network.get("status.clusterNetwork").is_some() {
        ("status", Confidence::B)
    } else {
        ("spec", Confidence::C)
    };
    cluster_network(network, &format!("{base}.clusterNetwork"), confidence, NAME, facts);
    for (path, text) in network.texts(&format!("{base}.serviceNetwork"), facts) {
        facts.add_ranges(Role::Service, text, &network.origin(NAME, confidence, &path));
    }
    for (path, text) in network.texts("spec.externalIP.autoAssignCIDRs", facts) {
        facts.add_ranges(Role::Loadbalancer, text, &network.origin(NAME, Confidence::B, &path));
    }
    let path = format!("{base}.networkType");
    if network.text(&path, facts) == Some("OVNKubernetes") {
        facts.known.says_ipam(Ipam::OvnKubernetes, network.origin(NAME, confidence, &path));
    }
}
