//! `CiliumPodIPPool` and `CiliumLoadBalancerIPPool`.

use crate::{
    cidr::parse_list,
    cilium,
    cluster::resources,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
};

/// Cilium's pools.
pub struct CiliumPools;

impl Source for CiliumPools {
    fn name(&self) -> &'static str {
        "cilium-ippool"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::CILIUM_PODIPPOOLS), Want::list(&resources::CILIUM_LBIPPOOLS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, object) = given else { return };
        if *resource == resources::CILIUM_PODIPPOOLS {
            let pool = cilium::pod_pool(object);
            let object = format!("ciliumpodippool {}", pool.name);
            facts.known.cilium.seen(|| object.clone());
            for stated in pool.cidrs {
                let origin = Origin::new(self.name(), Confidence::B, &object, stated.field);
                facts.add_ranges(Role::Pod, &stated.text, &origin);
                let ranges = parse_list(&stated.text).into_iter().flatten().map(|written| written.range);
                for range in ranges.collect::<Vec<_>>() {
                    facts.known.cilium.pod_pools.push((pool.name.clone(), range, origin.clone()));
                }
            }
        } else if *resource == resources::CILIUM_LBIPPOOLS {
            self.take_lb_pool(cilium::lb_pool(object), facts);
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.cilium.sign.clone()
    }
}

impl CiliumPools {
    fn take_lb_pool(&self, pool: cilium::LbPool, facts: &mut Facts) {
        let object = format!("ciliumloadbalancerippool {}", pool.name);
        facts.known.cilium.seen(|| object.clone());
        for stated in pool.blocks {
            let origin = Origin::new(self.name(), Confidence::B, &object, stated.field);
            facts.add_ranges(Role::Loadbalancer, &stated.text, &origin);
            // a start-stop block comes as several prefixes of one range
            let range = parse_list(&stated.text).into_iter().flatten().map(|written| written.range).next();
            if let Some(range) = range.filter(|_| !pool.disabled) {
                facts.known.cilium.lb_pools.push((pool.name.clone(), range, origin));
            }
        }
        if let Some(conflict) = pool.conflict {
            facts.known.cilium.lb_conflicts.insert(pool.name, conflict);
        }
    }
}
