//! The Tigera operator's `Installation`: the pools that it makes, and the service ranges that it
//! was told.

use serde_json::Value;

use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want, sources::Ipam},
};

/// The operator's installation.
pub struct Installations;

impl Source for Installations {
    fn name(&self) -> &'static str {
        "tigera-installation"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::TIGERA_INSTALLATIONS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, object) = given else { return };
        // an `overlay` is merged into the default by the operator
        if *resource != resources::TIGERA_INSTALLATIONS || super::name(object) != "default" {
            return;
        }
        let installation = "installation default";
        facts.known.calico.seen(|| installation.to_owned());
        let spec = if object.pointer("/status/computed").is_some() { "/status/computed" } else { "/spec" };
        let origin = |field: String| {
            let path = spec.trim_start_matches('/').replace('/', ".");
            Origin::new(self.name(), Confidence::C, installation, format!("{path}.{field}"))
        };
        for (i, text) in super::strings(object, &format!("{spec}/serviceCIDRs")).into_iter().enumerate() {
            facts.add_ranges(Role::Service, text, &origin(format!("serviceCIDRs[{i}]")));
        }
        let pools = object.pointer(&format!("{spec}/calicoNetwork/ipPools")).and_then(Value::as_array);
        for (i, pool) in pools.into_iter().flatten().enumerate() {
            let Some(text) = pool.get("cidr").and_then(Value::as_str) else { continue };
            let uses = super::strings(pool, "/allowedUses");
            let for_pods = uses.is_empty() || uses.contains(&"Workload") || uses.contains(&"Tunnel");
            let role = if for_pods { Role::Pod } else { Role::Loadbalancer };
            facts.add_ranges(role, text, &origin(format!("calicoNetwork.ipPools[{i}].cidr")));
        }
        match object.pointer(&format!("{spec}/cni/ipam/type")).and_then(Value::as_str) {
            Some("Calico") => facts.known.says_ipam(Ipam::Calico, origin("cni.ipam.type".to_owned())),
            Some("HostLocal") => facts.known.says_ipam(Ipam::NodeIpam, origin("cni.ipam.type".to_owned())),
            _ => {}
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.calico.sign.clone()
    }
}
