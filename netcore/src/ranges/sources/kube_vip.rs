//! kube-vip's cloud provider: its pools, for all namespaces or one.

use super::fields::Fields;
use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Role, Source, Want},
};

/// ConfigMap `kube-system/kubevip`, keys `cidr-…` and `range-…`.
pub(super) struct KubeVip;

const NAME: &str = "kube-vip";

impl Source for KubeVip {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::get(&resources::CONFIGMAPS, "kube-system", "kubevip")]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, value) = given else { return };
        let map = Fields::of("configmap", value);
        if resource != &resources::CONFIGMAPS || map.name() != "kubevip" {
            return;
        }
        for (key, text) in map.all_data() {
            // 0.0.0.0 asks for an address by DHCP
            if (key.starts_with("cidr-") || key.starts_with("range-")) && !text.trim().starts_with("0.0.0.0") {
                facts.add_ranges(Role::Loadbalancer, text, &map.origin(NAME, Confidence::B, &format!("data.{key}")));
            }
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}
