//! The destinations to which nodes keep a pod's own address: ip-masq-agent and Azure's variant.

use super::{
    MasqueradeList,
    fields::{Fields, document, prefixes},
};
use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Source, Want},
};

/// `nonMasqueradeCIDRs` of ConfigMaps `ip-masq-agent` and `azure-ip-masq-agent-config…`.
pub(super) struct Masquerade;

const NAME: &str = "ip-masq-agent";
const MAPS: [(&str, &str); 3] = [
    ("ip-masq-agent", "ip-masq-agent"),
    ("azure-ip-masq-agent-config", "azure-ip-masq-agent"),
    ("azure-ip-masq-agent-config-reconciled", "azure-ip-masq-agent"),
];

impl Source for Masquerade {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        MAPS.iter().map(|(name, _)| Want::get(&resources::CONFIGMAPS, "kube-system", *name)).collect()
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, value) = given else { return };
        let map = Fields::of("configmap", value);
        let Some((_, agent)) = MAPS.iter().find(|(name, _)| *name == map.name()) else { return };
        if resource != &resources::CONFIGMAPS {
            return;
        }
        for (key, text) in map.all_data() {
            let field = format!("data.{key}");
            let Some(config) = document(map.object(), &field, text, facts) else { continue };
            let config = Fields::inside(map.object(), &field, &config);
            if config.get("nonMasqueradeCIDRs").is_none() {
                continue;
            }
            let origin = config.origin(NAME, Confidence::B, "nonMasqueradeCIDRs");
            let mut cidrs = Vec::new();
            for (_, text) in config.texts("nonMasqueradeCIDRs", facts) {
                cidrs.extend(prefixes(text, &origin, facts));
            }
            facts.known.masquerade_lists.push(MasqueradeList { agent, cidrs, origin });
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}
