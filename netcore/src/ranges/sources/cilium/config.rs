//! ConfigMap `cilium-config`: which address management, its pools, and copies of other ranges.

use serde_json::Value;

use crate::{
    cidr::parse_list,
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want, sources::Ipam},
};

/// The ConfigMap's name.
const NAME: &str = "cilium-config";

/// Cilium's ConfigMap.
pub struct CiliumConfig;

impl Source for CiliumConfig {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        let elsewhere = facts.known.cilium.namespaces.iter().map(String::as_str);
        let mut wants: Vec<Want> = ["kube-system"]
            .into_iter()
            .chain(elsewhere)
            .map(|namespace| Want::get(&resources::CONFIGMAPS, namespace, NAME))
            .collect();
        wants.push(Want::list(&resources::DAEMONSETS));
        wants
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, object) = given else { return };
        if *resource == resources::CONFIGMAPS && super::name(object) == NAME {
            take_config(object, facts);
        } else if *resource == resources::DAEMONSETS && super::name(object) == "cilium" {
            let namespace = super::namespace(object);
            facts.known.cilium.seen(|| format!("daemonset {namespace}/cilium"));
            if namespace != "kube-system" {
                facts.known.cilium.namespaces.insert(namespace.to_owned());
            }
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.cilium.sign.clone()
    }
}

fn take_config(object: &Value, facts: &mut Facts) {
    let configmap = format!("configmap {}/{NAME}", super::namespace(object));
    facts.known.cilium.seen(|| configmap.clone());
    let data = |key: &str| {
        let text = object.get("data").and_then(|data| data.get(key)).and_then(Value::as_str);
        text.map(str::trim).filter(|text| !text.is_empty())
    };
    let origin = |key: &str| Origin::new(NAME, Confidence::B, &configmap, format!("data.{key}"));

    let mode = data("ipam").unwrap_or_default();
    // chained behind another plugin, Cilium gives out no addresses
    let chained = data("cni-chaining-mode").is_some_and(|mode| mode != "none");
    if let Some(ipam) = ipam_of(mode).filter(|_| !chained) {
        facts.known.says_ipam(ipam, origin("ipam"));
    }
    if matches!(mode, "cluster-pool" | "cluster-pool-v2beta") {
        for family in ["ipv4", "ipv6"] {
            if data(&format!("enable-{family}")) == Some("false") {
                continue;
            }
            let key = format!("cluster-pool-{family}-cidr");
            let mask = data(&format!("cluster-pool-{family}-mask-size")).and_then(|mask| mask.parse().ok());
            let Some(text) = data(&key) else { continue };
            for cidr in facts.add_ranges(Role::Pod, text, &origin(&key)) {
                facts.known.cilium.cluster_pools.push((cidr, mask, origin(&key)));
            }
        }
    }
    for key in ["ipv4-service-range", "ipv6-service-range"] {
        if let Some(text) = data(key).filter(|text| *text != "auto") {
            facts.add_ranges(Role::Service, text, &origin(key));
        }
    }
    // encapsulated traffic is not masqueraded whatever the list says
    let native = data("routing-mode") == Some("native") || data("tunnel") == Some("disabled");
    for family in ["ipv4", "ipv6"] {
        let off = |key: &str| data(key) == Some("false");
        let masquerades = !off(&format!("enable-{family}-masquerade")) && !off(&format!("enable-{family}"));
        let mut keys = vec![format!("{family}-native-routing-cidr")];
        if family == "ipv4" {
            keys.push("native-routing-cidr".to_owned());
        }
        for key in keys {
            let Some(text) = data(&key) else { continue };
            for entry in parse_list(text) {
                match entry {
                    Ok(written) if native && masquerades => {
                        facts.known.cilium.native_routing.push((written.cidr, origin(&key)));
                    }
                    Ok(_) => {}
                    Err(error) => facts.problem(&configmap, format!("data.{key}: {error}")),
                }
            }
        }
    }
}

fn ipam_of(mode: &str) -> Option<Ipam> {
    match mode {
        "cluster-pool" | "cluster-pool-v2beta" => Some(Ipam::CiliumClusterPool),
        "multi-pool" => Some(Ipam::CiliumMultiPool),
        "kubernetes" => Some(Ipam::CiliumKubernetes),
        "eni" | "azure" | "alibabacloud" => Some(Ipam::CiliumCloud),
        _ => None,
    }
}
