//! `FelixConfiguration`: networks outside the cluster whose hosts may send encapsulated traffic.

use super::Twice;
use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
};

static FELIX_CONFIGURATIONS: Twice =
    Twice { api: &resources::CALICO_FELIXCONFIGURATIONS_V3, storage: &resources::CALICO_FELIXCONFIGURATIONS_V1 };

/// Felix' settings.
pub struct FelixConfigurations;

impl Source for FelixConfigurations {
    fn name(&self) -> &'static str {
        "calico-felixconfiguration"
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        FELIX_CONFIGURATIONS.wants(facts, facts.known.calico.felix_seen)
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, object) = given else { return };
        if !FELIX_CONFIGURATIONS.is(resource) {
            return;
        }
        let configuration = format!("felixconfiguration {}", super::name(object));
        facts.known.calico.felix_seen = true;
        facts.known.calico.seen(|| configuration.clone());
        for (i, text) in super::strings(object, "/spec/externalNodesList").into_iter().enumerate() {
            let field = format!("spec.externalNodesList[{i}]");
            let origin = Origin::new(self.name(), Confidence::B, &configuration, field);
            super::add_once(facts, Role::External, text, &origin);
        }
    }

    fn finish(&self, facts: &mut Facts) {
        FELIX_CONFIGURATIONS.settle(facts);
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.calico.sign.clone()
    }
}
