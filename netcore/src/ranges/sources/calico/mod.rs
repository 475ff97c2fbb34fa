//! Calico (and canal, and the Tigera operator): one file per kind of source.

mod bgp;
mod config;
mod felix;
mod installation;
mod ipam;
mod node;
mod pools;
#[cfg(test)]
pub(in crate::ranges) mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use serde_json::Value;

pub use bgp::BgpConfigurations;
pub use config::CalicoConfig;
pub use felix::FelixConfigurations;
pub use installation::Installations;
pub use ipam::CalicoIpam;
pub(in crate::ranges) use ipam::{BLOCKS, SETTINGS};
pub use node::CalicoNode;
pub(in crate::ranges) use pools::IPPOOLS;
pub use pools::IpPools;

use crate::{
    calico::{Affinity, Blocks, IpamSettings, Pool},
    cidr::{Cidr, RangeSet},
    cluster::{ReadStatus, Resource},
    ranges::{Facts, Origin, Role, Want},
};

/// What Calico's objects say beside ranges.
#[derive(Debug, Default)]
pub struct Calico {
    /// The first thing seen that shows that Calico is or was here.
    pub sign: Option<String>,
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Blocks with their allocations.
    pub blocks: Blocks,
    /// Which node has which block, by object name.
    pub affinities: BTreeMap<String, Affinity>,
    /// Settings of the address management.
    pub settings: Option<IpamSettings>,
    /// Addresses of pools that are never given out.
    pub reserved: RangeSet,
    /// Tunnel addresses that nodes say they have: address, node, annotation.
    pub tunnels: Vec<(IpAddr, String, &'static str)>,
    /// Addresses of pods that are being deleted.
    pub leaving: HashSet<IpAddr>,
    /// Service ranges that are announced over BGP, and where that is set.
    pub announced: Vec<(Vec<Cidr>, Origin)>,
    /// Pod ranges that calico-node was to make pools of at its first start.
    first_pools: Vec<(Cidr, String, Origin)>,
    /// The nodes' own networks by prefix: one node that has it, and how many do.
    node_networks: BTreeMap<Cidr, (String, usize)>,
    bgp_seen: bool,
    felix_seen: bool,
}

impl Calico {
    fn seen(&mut self, sign: impl FnOnce() -> String) {
        self.sign.get_or_insert_with(sign);
    }
}

/// The same kind in Calico's two API groups. The API group comes first: it is either served from
/// the storage group or is itself the storage; what is left in the other group is then stale.
pub(in crate::ranges) struct Twice {
    /// `projectcalico.org`.
    pub(in crate::ranges) api: &'static Resource,
    /// `crd.projectcalico.org`.
    pub(in crate::ranges) storage: &'static Resource,
}

impl Twice {
    fn is(&self, resource: &Resource) -> bool {
        self.api == resource || self.storage == resource
    }

    /// The API group first, the storage group where that gave nothing (`found` says whether it did).
    fn wants(&self, facts: &Facts, found: bool) -> Vec<Want> {
        let (api, storage) = (Want::list(self.api), Want::list(self.storage));
        match facts.reads.get(&api) {
            None => vec![api],
            Some(ReadStatus::Complete) if found => vec![api],
            Some(ReadStatus::Complete | ReadStatus::Absent) => vec![api, storage],
            // the other group has it: nothing is missed
            Some(_) if facts.complete(self.storage) => vec![storage],
            Some(_) => vec![api, storage],
        }
    }

    /// Where neither group, or only the storage group, is recorded, the API group is not missed beside
    /// it: one of them is enough.
    fn settle(&self, facts: &mut Facts) {
        let api = Want::list(self.api);
        if facts.reads.get(&api).is_some_and(ReadStatus::is_unrecorded) && facts.list_status(self.storage).is_some() {
            facts.reads.insert(api, ReadStatus::Absent);
        }
    }

    /// How the reading ended in the group that answered best; nothing where neither was asked.
    pub(in crate::ranges) fn status<'a>(&self, facts: &'a Facts) -> Option<&'a ReadStatus> {
        let both = [facts.list_status(self.api), facts.list_status(self.storage)];
        let rank = |status: &&ReadStatus| match status {
            ReadStatus::Complete => 0,
            ReadStatus::Partial(_) => 1,
            ReadStatus::Unreadable(_) => 2,
            ReadStatus::Absent => 3,
        };
        both.into_iter().flatten().min_by_key(rank)
    }
}

fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn strings<'a>(object: &'a Value, path: &str) -> Vec<&'a str> {
    object.pointer(path).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The texts under `key` of a list of maps, with their places.
fn entries<'a>(object: &'a Value, path: &str, key: &str) -> Vec<(usize, &'a str)> {
    let list = object.pointer(path).and_then(Value::as_array).into_iter().flatten().enumerate();
    list.filter_map(|(i, entry)| Some((i, entry.get(key)?.as_str()?))).collect()
}

/// Adds the ranges of a text unless the same origin has stated them: both API groups show the same
/// object.
fn add_once(facts: &mut Facts, role: Role, text: &str, origin: &Origin) {
    if !facts.ranges.iter().any(|fact| fact.role == role && fact.origin == *origin) {
        facts.add_ranges(role, text, origin);
    }
}
