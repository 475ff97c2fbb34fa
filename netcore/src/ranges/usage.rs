//! How much of a range is in use, by the formula of its role.

use super::{
    Facts, Role, blocks, capacity as room,
    report::{Bands, Slots},
};
use crate::{
    cidr::{
        Cidr, Count, Family, IpRange,
        capacity::{ServiceAllocator, service_addresses, service_bands, service_range},
    },
    cluster::resources,
};

/// A range's capacity and use; `None` is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Addresses that it can give out.
    pub capacity: Option<Count>,
    /// Addresses in use.
    pub used: Option<u64>,
    /// The two bands of a service range.
    pub bands: Option<Bands>,
    /// Node slots of a pod range.
    pub slots: Option<Slots>,
}

impl Usage {
    /// Use in percent, one decimal.
    #[expect(clippy::cast_precision_loss, reason = "one decimal of a percentage")]
    pub fn percent(&self) -> Option<f64> {
        let used = self.used?;
        let capacity = match self.capacity?.get() {
            Some(0) => return None,
            Some(capacity) => capacity as f64,
            None => 2f64.powi(128),
        };
        Some((used as f64 / capacity * 1000.0).round() / 10.0)
    }
}

/// The use of one range of the whole cluster.
pub fn of_range(facts: &Facts, role: Role, cidr: &Cidr, lower_bound: bool) -> Usage {
    match role {
        Role::Service => of_service(facts, cidr, lower_bound),
        // a pool knows best what it gave out
        Role::Pod => match blocks::pool_use(facts, cidr) {
            Some(pool) => Usage { capacity: Some(pool.capacity), used: pool.used, ..Usage::default() },
            None => Usage {
                capacity: (!lower_bound).then(|| cidr.size()),
                used: pods_inside(facts, cidr),
                bands: None,
                slots: room::slots_of(facts, cidr).filter(|_| facts.complete(&resources::NODES)),
            },
        },
        Role::Node => {
            let nodes = facts.complete(&resources::NODES);
            let used = facts.nodes.values().flat_map(|n| &n.addresses).filter(|ip| cidr.contains_ip(**ip)).count();
            Usage {
                capacity: (!lower_bound).then(|| node_capacity(cidr)),
                used: nodes.then_some(used as u64),
                ..Usage::default()
            }
        }
        Role::Loadbalancer => {
            let mut used: Vec<_> = facts
                .services
                .iter()
                .flat_map(|s| s.load_balancer_ips.iter().chain(&s.external_ips))
                .filter(|ip| cidr.contains_ip(**ip))
                .collect();
            used.sort_unstable();
            used.dedup();
            Usage {
                capacity: (!lower_bound).then(|| cidr.size()),
                used: facts.complete(&resources::SERVICES).then_some(used.len() as u64),
                ..Usage::default()
            }
        }
        Role::External | Role::Internal => Usage { capacity: Some(cidr.size()), ..Usage::default() },
    }
}

/// A network's addresses less the network's own and, in IPv4, the broadcast address.
fn node_capacity(cidr: &Cidr) -> Count {
    match (cidr.family(), cidr.host_bits()) {
        (_, 0 | 1) => cidr.size(),
        (Family::V4, _) => cidr.size().less(2),
        (Family::V6, _) => cidr.size().less(1),
    }
}

fn pods_inside(facts: &Facts, cidr: &Cidr) -> Option<u64> {
    if !facts.complete(&resources::PODS) {
        return None;
    }
    let mut used = 0;
    let mut last = None;
    for address in facts.pods.inside(cidr) {
        used += u64::from(last != Some(address.ip));
        last = Some(address.ip);
    }
    Some(used)
}

/// ClusterIPs in use, each once: from the allocations where they were read, else from the Services.
pub fn cluster_ips(facts: &Facts) -> Option<Vec<std::net::IpAddr>> {
    let mut ips: Vec<_> = if facts.complete(&resources::IPADDRESSES) {
        facts.cluster_ips.iter().map(|c| c.ip).collect()
    } else if facts.complete(&resources::SERVICES) {
        facts.services.iter().flat_map(|s| s.cluster_ips.iter().copied()).collect()
    } else {
        return None;
    };
    ips.sort_unstable();
    ips.dedup();
    Some(ips)
}

/// How the API server keeps track of ClusterIPs: by what it serves, else by its version. Nothing when
/// neither is known.
pub fn service_allocator(facts: &Facts) -> Option<ServiceAllocator> {
    if facts.complete(&resources::IPADDRESSES) && !facts.cluster_ips.is_empty() {
        return Some(ServiceAllocator::Objects);
    }
    let minor = minor_version(facts.version.as_deref()?)?;
    Some(if minor >= 33 { ServiceAllocator::Objects } else { ServiceAllocator::Bitmap })
}

/// The minor version of `v1.36.3+k3s1`: 36. Nothing when the major version is not 1.
pub fn minor_version(version: &str) -> Option<u32> {
    let rest = version.trim_start_matches('v').strip_prefix("1.")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..digits)?.parse().ok()
}

fn of_service(facts: &Facts, cidr: &Cidr, lower_bound: bool) -> Usage {
    let used = cluster_ips(facts);
    let inside =
        |range: &IpRange| used.as_ref().map(|ips| ips.iter().filter(|ip| range.contains_ip(**ip)).count() as u64);
    let in_use = inside(&IpRange::from(*cidr));
    if lower_bound {
        return Usage { used: in_use, ..Usage::default() };
    }
    // where the allocator is not known, only what both would give is
    let allocator = service_allocator(facts).or_else(|| {
        let same = service_range(cidr, ServiceAllocator::Objects) == service_range(cidr, ServiceAllocator::Bitmap);
        same.then_some(ServiceAllocator::Objects)
    });
    let Some(allocator) = allocator else { return Usage { used: in_use, ..Usage::default() } };
    let bands = service_bands(cidr, allocator);
    let size = |band: Option<IpRange>| band.map_or(Some(0), |band| band.size().small());
    let taken = |band: Option<IpRange>| band.as_ref().map_or(Some(0).filter(|_| used.is_some()), inside);
    Usage {
        capacity: Some(service_addresses(cidr, allocator)),
        used: in_use,
        bands: Some(Bands {
            static_capacity: size(bands.fixed),
            static_used: taken(bands.fixed),
            dynamic_capacity: size(bands.dynamic),
            dynamic_used: taken(bands.dynamic),
        }),
        slots: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::ReadStatus,
        ranges::{ClusterIp, Want},
    };

    fn service(ips: &[&str]) -> Facts {
        let mut facts = Facts::default();
        facts.reads.insert(Want::list(&resources::IPADDRESSES), ReadStatus::Complete);
        facts.cluster_ips = ips.iter().map(|ip| ClusterIp { ip: ip.parse().unwrap(), parent: String::new() }).collect();
        facts
    }

    #[test]
    fn a_service_range_has_two_bands() {
        let facts = service(&["10.96.0.1", "10.96.0.10", "10.96.200.7", "10.97.0.1"]);
        let usage = of_range(&facts, Role::Service, &"10.96.0.0/16".parse().unwrap(), false);
        assert_eq!(usage.capacity, Some(Count::new(65_534)));
        assert_eq!(usage.used, Some(3));
        assert_eq!(
            usage.bands,
            Some(Bands {
                static_capacity: Some(256),
                static_used: Some(2),
                dynamic_capacity: Some(65_278),
                dynamic_used: Some(1)
            })
        );
        assert_eq!(usage.percent(), Some(0.0));
    }

    #[test]
    fn unread_is_unknown_not_zero() {
        let usage = of_range(&Facts::default(), Role::Service, &"10.96.0.0/16".parse().unwrap(), false);
        assert_eq!((usage.used, usage.percent()), (None, None));
        assert_eq!(usage.bands.unwrap().static_used, None);
        // which of the two capacities a large IPv6 range has depends on the allocator
        assert_eq!(of_range(&Facts::default(), Role::Service, &"fd00::/108".parse().unwrap(), false).capacity, None);
        assert_eq!(of_range(&Facts::default(), Role::Pod, &"10.0.0.0/8".parse().unwrap(), false).used, None);
    }

    #[test]
    fn the_version_names_the_allocator() {
        let of = |version: &str| service_allocator(&Facts { version: Some(version.to_owned()), ..Facts::default() });
        assert_eq!(of("v1.32.11+k3s1"), Some(ServiceAllocator::Bitmap));
        assert_eq!(of("v1.33.0"), Some(ServiceAllocator::Objects));
        assert_eq!(of("v2.0.0"), None);
    }
}
