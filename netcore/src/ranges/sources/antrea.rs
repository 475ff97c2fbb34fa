//! Antrea: its agent's and controller's settings, and its pools.

use super::{
    Ipam, NodePrefix, ServiceCopy,
    fields::{Fields, document, prefixes},
    workload::Workload,
};
use crate::{
    cidr::Family,
    cluster::resources,
    ranges::{Confidence, Facts, Given, Role, Source, Want},
};

/// ConfigMap `antrea-config-…`, `IPPool`s and `ExternalIPPool`s of crd.antrea.io.
pub(super) struct Antrea;

const NAME: &str = "antrea";

impl Source for Antrea {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        let mut wants = vec![
            Want::list(&resources::DAEMONSETS),
            Want::list(&resources::ANTREA_IPPOOLS),
            Want::list(&resources::ANTREA_EXTERNALIPPOOLS),
        ];
        let maps = facts.known.config_maps.get(NAME).into_iter().flatten();
        wants.extend(maps.map(|(namespace, name)| Want::get(&resources::CONFIGMAPS, namespace, name)));
        wants
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Some(workload) = Workload::of(given)
            && workload.name() == "antrea-agent"
        {
            facts.known.sign(NAME, workload.object());
            // the name ends in a hash of the content
            facts.known.follow(NAME, &workload);
        }
        match given {
            Given::Node(node) => {
                let annotations = node.metadata.as_ref().map(|m| &m.annotations);
                if annotations.is_some_and(|a| a.keys().any(|key| key.starts_with("node.antrea.io/"))) {
                    facts.known.sign(NAME, "a node's annotation node.antrea.io/…");
                }
            }
            Given::Object(resource, value) if resource == &resources::CONFIGMAPS => {
                let map = Fields::of("configmap", value);
                if let Some(text) = map.data("antrea-agent.conf") {
                    agent(map.object(), text, facts);
                }
                if let Some(text) = map.data("antrea-controller.conf") {
                    controller(map.object(), text, facts);
                }
            }
            Given::Object(resource, value) if resource == &resources::ANTREA_IPPOOLS => {
                let pool = Fields::of("ippool.crd.antrea.io", value);
                facts.known.sign(NAME, pool.object());
                ip_ranges(&pool, Role::Pod, facts);
            }
            Given::Object(resource, value) if resource == &resources::ANTREA_EXTERNALIPPOOLS => {
                let pool = Fields::of("externalippool", value);
                facts.known.sign(NAME, pool.object());
                ip_ranges(&pool, Role::Loadbalancer, facts);
            }
            _ => {}
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.sign_of(NAME)
    }
}

fn agent(object: &str, text: &str, facts: &mut Facts) {
    const KEY: &str = "data.antrea-agent.conf";
    let Some(value) = document(object, KEY, text, facts) else { return };
    let settings = Fields::inside(object, KEY, &value);
    facts.known.sign(NAME, object);
    // AntreaProxy, on unless switched off, learns the Services themselves and reads no range
    let proxy = ["antreaProxy.enable", "featureGates.AntreaProxy"];
    if !proxy.iter().any(|path| settings.get(path).and_then(serde_json::Value::as_bool) == Some(false)) {
        return;
    }
    service_ranges(&settings, ["serviceCIDR", "serviceCIDRv6"], facts);
}

fn controller(object: &str, text: &str, facts: &mut Facts) {
    const KEY: &str = "data.antrea-controller.conf";
    let Some(value) = document(object, KEY, text, facts) else { return };
    let settings = Fields::inside(object, KEY, &value);
    facts.known.sign(NAME, object);
    let by_antrea = settings.get("nodeIPAM.enable").and_then(serde_json::Value::as_bool) == Some(true);
    let origin = settings.origin(NAME, Confidence::B, "nodeIPAM.enable");
    // either way each node has its share in spec.podCIDRs; pools are for pods that ask for them
    facts.known.says_ipam(Ipam::NodeIpam, origin);
    if !by_antrea {
        return;
    }
    for (path, text) in settings.texts("nodeIPAM.clusterCIDRs", facts) {
        let origin = settings.origin(NAME, Confidence::B, &path);
        for cidr in facts.add_ranges(Role::Pod, text, &origin) {
            let (key, default) = match cidr.family() {
                Family::V4 => ("nodeIPAM.nodeCIDRMaskSizeIPv4", 24),
                Family::V6 => ("nodeIPAM.nodeCIDRMaskSizeIPv6", 64),
            };
            let given = settings.get(key).and_then(serde_json::Value::as_u64);
            let length = given.and_then(|n| u8::try_from(n).ok()).unwrap_or(default);
            let origin = settings.origin(NAME, Confidence::B, key);
            facts.known.node_prefixes.push(NodePrefix { cidr, length, origin });
        }
    }
    service_ranges(&settings, ["nodeIPAM.serviceCIDR", "nodeIPAM.serviceCIDRv6"], facts);
}

/// The service ranges that Antrea was told; one copy in all, since each family has its own key.
fn service_ranges(settings: &Fields<'_>, paths: [&str; 2], facts: &mut Facts) {
    let mut copy: Option<ServiceCopy> = None;
    for path in paths {
        let Some(text) = settings.text(path, facts) else { continue };
        let origin = settings.origin(NAME, Confidence::B, path);
        let cidrs = prefixes(text, &origin, facts);
        copy.get_or_insert_with(|| ServiceCopy { component: NAME, cidrs: Vec::new(), origin }).cidrs.extend(cidrs);
    }
    facts.known.service_copies.extend(copy);
}

fn ip_ranges(pool: &Fields<'_>, role: Role, facts: &mut Facts) {
    for (i, range) in pool.list("spec.ipRanges", facts).iter().enumerate() {
        let part = |key| range.get(key).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
        let text = match (part("cidr"), part("start"), part("end")) {
            (Some(cidr), ..) => cidr.to_owned(),
            (None, Some(start), Some(end)) => format!("{start}-{end}"),
            _ => {
                facts.problem(pool.object(), format!("spec.ipRanges[{i}]: expected cidr, or start and end"));
                continue;
            }
        };
        let origin = pool.origin(NAME, Confidence::B, &format!("spec.ipRanges[{i}]"));
        facts.add_ranges(role, &text, &origin);
    }
}
