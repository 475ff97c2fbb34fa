//! ConfigMaps `calico-config` and `canal-config`: which address management the CNI configuration
//! asks for.

use serde_json::Value;

use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want, sources::Ipam},
};

/// The ConfigMaps' names; canal is flannel's network with Calico's policies.
const NAMES: [&str; 2] = ["calico-config", "canal-config"];

/// The CNI configuration's key.
const KEY: &str = "cni_network_config";

/// Calico's and canal's ConfigMap.
pub struct CalicoConfig;

impl Source for CalicoConfig {
    fn name(&self) -> &'static str {
        "calico-config"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        NAMES.iter().map(|name| Want::get(&resources::CONFIGMAPS, "kube-system", *name)).collect()
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, object) = given else { return };
        let name = super::name(object);
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        if *resource != resources::CONFIGMAPS || !NAMES.contains(&name) || namespace != "kube-system" {
            return;
        }
        let configmap = format!("configmap kube-system/{name}");
        facts.known.calico.seen(|| configmap.clone());
        let Some(text) = object.pointer("/data").and_then(|data| data.get(KEY)).and_then(Value::as_str) else { return };
        match serde_json::from_str::<Value>(&filled_in(text)) {
            Ok(config) => self.take_cni(&config, &configmap, facts),
            Err(error) => facts.problem(&configmap, format!("data.{KEY}: no valid JSON: {error}")),
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.calico.sign.clone()
    }
}

impl CalicoConfig {
    fn take_cni(&self, config: &Value, configmap: &str, facts: &mut Facts) {
        // one plugin, or a list of them of which the first makes the interface
        let ipam = config.pointer("/plugins/0/ipam").or_else(|| config.get("ipam")).unwrap_or(&Value::Null);
        let field = |key: &str| format!("data.{KEY}: ipam.{key}");
        let origin = Origin::new(self.name(), Confidence::B, configmap, field("type"));
        match ipam.get("type").and_then(Value::as_str) {
            Some("calico-ipam") => facts.known.says_ipam(Ipam::Calico, origin),
            Some("host-local") => {
                let ranges = ipam.get("ranges").and_then(Value::as_array).into_iter().flatten();
                let ranges = ranges.filter_map(|range| range.pointer("/0/subnet").or_else(|| range.get("subnet")));
                let subnets: Vec<&str> =
                    ipam.get("subnet").into_iter().chain(ranges).filter_map(Value::as_str).collect();
                let fixed: Vec<&str> =
                    subnets.iter().copied().filter(|subnet| !subnet.starts_with("usePodCidr")).collect();
                if fixed.is_empty() {
                    facts.known.says_ipam(Ipam::NodeIpam, origin);
                }
                for subnet in fixed {
                    let origin = Origin::new(self.name(), Confidence::B, configmap, field("subnet"));
                    facts.add_ranges(Role::Pod, subnet, &origin);
                }
            }
            _ => {}
        }
    }
}

/// The text with the placeholders that the installer fills in on each node (`"mtu": __CNI_MTU__`)
/// replaced by zeros: some stand where JSON wants a number.
fn filled_in(text: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("__") {
        let (before, from) = rest.split_at(start);
        filled.push_str(before);
        let Some(length) = from.get(2..).and_then(|name| name.find("__")) else {
            rest = from;
            break;
        };
        filled.push('0');
        rest = from.get(length + 4..).unwrap_or_default();
    }
    filled.push_str(rest);
    filled
}
