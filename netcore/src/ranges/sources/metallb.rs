//! MetalLB's pools, and how each is announced.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{fields::Fields, workload::Workload};
use crate::{
    cluster::resources,
    ranges::{Confidence, Facts, Given, Role, Source, Want},
};

/// `IPAddressPool`s of metallb.io, with their `L2Advertisement`s and `BGPAdvertisement`s.
pub(super) struct MetalLb;

/// How MetalLB announces its pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcements {
    /// By ARP and neighbour discovery: the address must be of a network that the nodes are in.
    pub layer2: PoolNames,
    /// By BGP: the address should be of no network that the nodes are in.
    pub bgp: PoolNames,
}

/// The pools that an announcement is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolNames {
    /// By name.
    pub names: BTreeSet<String>,
    /// Some advertisement names no pool, which means all of them.
    pub all: bool,
    /// Some advertisement selects pools by label, which is not followed.
    pub selected: bool,
}

const NAME: &str = "metallb";

impl Source for MetalLb {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![
            Want::list(&resources::METALLB_IPADDRESSPOOLS),
            Want::list(&resources::METALLB_L2ADVERTISEMENTS),
            Want::list(&resources::METALLB_BGPADVERTISEMENTS),
        ]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Some(workload) = Workload::of(given)
            && workload.object().contains("metallb")
        {
            facts.known.sign(NAME, workload.object());
        }
        let Given::Object(resource, value) = given else { return };
        if resource == &resources::METALLB_IPADDRESSPOOLS {
            let pool = Fields::of("ipaddresspool", value);
            facts.known.sign(NAME, pool.object());
            for (path, text) in pool.texts("spec.addresses", facts) {
                // `first - last` may be written with blanks around the dash
                let text: String = text.split_whitespace().collect();
                facts.add_ranges(Role::Loadbalancer, &text, &pool.origin(NAME, Confidence::B, &path));
            }
        } else if resource == &resources::METALLB_L2ADVERTISEMENTS {
            announce(&mut facts.known.metallb.layer2, value);
        } else if resource == &resources::METALLB_BGPADVERTISEMENTS {
            announce(&mut facts.known.metallb.bgp, value);
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.sign_of(NAME)
    }
}

fn announce(pools: &mut PoolNames, advertisement: &Value) {
    let list = |key| advertisement.get("spec").and_then(|spec| spec.get(key)).and_then(Value::as_array);
    let names = list("ipAddressPools").filter(|names| !names.is_empty());
    let selectors = list("ipAddressPoolSelectors").filter(|selectors| !selectors.is_empty());
    pools.all |= names.is_none() && selectors.is_none();
    pools.selected |= selectors.is_some();
    pools.names.extend(names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
}
