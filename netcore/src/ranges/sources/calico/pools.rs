//! `IPPool`: the ranges that Calico gives addresses from.

use super::Twice;
use crate::{
    calico,
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
};

/// The pools in both API groups.
pub(in crate::ranges) static IPPOOLS: Twice =
    Twice { api: &resources::CALICO_IPPOOLS_V3, storage: &resources::CALICO_IPPOOLS_V1 };

/// Calico's pools.
pub struct IpPools;

impl Source for IpPools {
    fn name(&self) -> &'static str {
        "calico-ippool"
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        IPPOOLS.wants(facts, !facts.known.calico.pools.is_empty())
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, object) = given else { return };
        if !IPPOOLS.is(resource) {
            return;
        }
        match calico::pool(object) {
            Ok(pool) => {
                facts.known.calico.seen(|| pool.object.clone());
                facts.known.calico.pools.insert(pool.name.clone(), pool);
            }
            Err(error) => facts.problem(&format!("ippool {}", super::name(object)), format!("spec.cidr: {error}")),
        }
    }

    fn finish(&self, facts: &mut Facts) {
        IPPOOLS.settle(facts);
        let pools: Vec<_> = facts.known.calico.pools.values().cloned().collect();
        for pool in pools {
            let origin = Origin::new(self.name(), Confidence::A, pool.object, "spec.cidr");
            // a pool without use for pods or tunnels is one of Services' addresses
            let role = if pool.uses.workload || pool.uses.tunnel { Role::Pod } else { Role::Loadbalancer };
            facts.add_ranges(role, &pool.text, &origin);
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.calico.sign.clone()
    }
}
