//! `BGPConfiguration`: the service ranges that Calico announces to its peers, a copy that nobody
//! updates when a service range is added.

use super::Twice;
use crate::{
    cidr::parse_list,
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
};

static BGP_CONFIGURATIONS: Twice =
    Twice { api: &resources::CALICO_BGPCONFIGURATIONS_V3, storage: &resources::CALICO_BGPCONFIGURATIONS_V1 };

/// Calico's BGP settings.
pub struct BgpConfigurations;

impl Source for BgpConfigurations {
    fn name(&self) -> &'static str {
        "calico-bgpconfiguration"
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        BGP_CONFIGURATIONS.wants(facts, facts.known.calico.bgp_seen)
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, object) = given else { return };
        if !BGP_CONFIGURATIONS.is(resource) {
            return;
        }
        let configuration = format!("bgpconfiguration {}", super::name(object));
        facts.known.calico.bgp_seen = true;
        facts.known.calico.seen(|| configuration.clone());
        let announced = super::entries(object, "/spec/serviceClusterIPs", "cidr");
        if !announced.is_empty() {
            let field = "spec.serviceClusterIPs";
            let origin = Origin::new(self.name(), Confidence::C, &configuration, field);
            let mut cidrs = Vec::new();
            for (i, text) in announced {
                for entry in parse_list(text) {
                    match entry {
                        Ok(written) => cidrs.push(written.cidr),
                        Err(error) => facts.problem(&configuration, format!("{field}[{i}].cidr: {error}")),
                    }
                }
            }
            if !facts.known.calico.announced.iter().any(|(_, known)| *known == origin) {
                facts.known.calico.announced.push((cidrs, origin));
            }
        }
        for field in ["serviceExternalIPs", "serviceLoadBalancerIPs"] {
            for (i, text) in super::entries(object, &format!("/spec/{field}"), "cidr") {
                let field = format!("spec.{field}[{i}].cidr");
                let origin = Origin::new(self.name(), Confidence::C, &configuration, field);
                super::add_once(facts, Role::Loadbalancer, text, &origin);
            }
        }
    }

    fn finish(&self, facts: &mut Facts) {
        BGP_CONFIGURATIONS.settle(facts);
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.calico.sign.clone()
    }
}
