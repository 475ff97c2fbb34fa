//! Secondary networks: attachment definitions with their address management, and whereabouts' pools.
//! They may overlap anything, since each is a network of its own.

use serde_json::Value;

use super::fields::{Fields, json};
use crate::{
    cidr::{parse_cidr, parse_list},
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
};

/// `NetworkAttachmentDefinition`s.
pub(super) struct Multus;

/// `IPPool`s of whereabouts.cni.cncf.io.
pub(super) struct Whereabouts;

impl Source for Multus {
    fn name(&self) -> &'static str {
        "multus"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::NETWORKATTACHMENTDEFINITIONS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Given::Object(resource, value) = given
            && resource == &resources::NETWORKATTACHMENTDEFINITIONS
        {
            let definition = Fields::of("network-attachment-definition", value);
            // without a config the plugin's configuration is a file on each node
            let Some(text) = definition.text("spec.config", facts) else { return };
            let Some(config) = json(definition.object(), "spec.config", text, facts) else { return };
            let plugins = config.get("plugins").and_then(Value::as_array);
            let plugins = plugins.map_or_else(|| vec![&config], |list| list.iter().collect());
            for plugin in plugins {
                ranges_of(&definition, plugin, facts);
            }
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}

impl Source for Whereabouts {
    fn name(&self) -> &'static str {
        "whereabouts"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::WHEREABOUTS_IPPOOLS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Given::Object(resource, value) = given
            && resource == &resources::WHEREABOUTS_IPPOOLS
        {
            let pool = Fields::of("ippool.whereabouts.cni.cncf.io", value);
            if let Some(text) = pool.text("spec.range", facts) {
                secondary(text, &pool.origin("whereabouts", Confidence::A, "spec.range"), facts);
            }
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}

/// The ranges of one plugin: OVN-Kubernetes' own key, or those of the address management in the
/// spellings of whereabouts and host-local.
fn ranges_of(definition: &Fields<'_>, plugin: &Value, facts: &mut Facts) {
    let mut state = |field: String, text: Option<&str>| {
        if let Some(text) = text {
            secondary(text, &definition.origin("multus", Confidence::B, &format!("spec.config: {field}")), facts);
        }
    };
    state("subnets".to_owned(), plugin.get("subnets").and_then(Value::as_str));
    let Some(ipam) = plugin.get("ipam") else { return };
    for key in ["range", "subnet"] {
        state(format!("ipam.{key}"), ipam.get(key).and_then(Value::as_str));
    }
    for (i, range) in list(ipam, "ipRanges").enumerate() {
        state(format!("ipam.ipRanges[{i}].range"), range.get("range").and_then(Value::as_str));
    }
    for (i, set) in list(ipam, "ranges").enumerate() {
        for (j, range) in set.as_array().into_iter().flatten().enumerate() {
            state(format!("ipam.ranges[{i}][{j}].subnet"), range.get("subnet").and_then(Value::as_str));
        }
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// `192.0.2.16-192.0.2.30/24` is a range with the network's mask; host bits in a prefix only say
/// where to begin.
fn secondary(text: &str, origin: &Origin, facts: &mut Facts) {
    for entry in text.split([',', ' ']).filter(|entry| !entry.is_empty()) {
        if let Some((range, _)) = entry.split_once('/').filter(|(range, _)| range.contains('-')) {
            facts.add_ranges(Role::Internal, range, origin);
        } else if let Ok(written) = parse_cidr(entry) {
            facts.add_ranges(Role::Internal, &written.cidr.to_string(), origin);
        } else {
            for error in parse_list(entry).into_iter().filter_map(Result::err) {
                facts.problem(&origin.object, format!("{}: {error}", origin.field));
            }
        }
    }
}
