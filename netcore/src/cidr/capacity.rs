//! How much a range holds: Services, node shares, pods of a node, Calico blocks.

use super::{
    model::{Cidr, Count, Family, IpRange},
    set::RangeSet,
};

/// How the API server keeps track of ClusterIPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceAllocator {
    /// One `IPAddress` object per ClusterIP: the rule from Kubernetes 1.33 on.
    Objects,
    /// One bitmap per range, before that: no more than 65,536 IPv6 addresses of a range, however
    /// large it is.
    Bitmap,
}

/// Addresses of an IPv6 range that the bitmap holds, the network address among them.
const BITMAP_V6_ADDRESSES: u128 = 65_536;
/// The most host bits of a range that an API server with the bitmap takes.
const BITMAP_HOST_BITS: u8 = 20;
/// The shortest IPv6 service prefix of an API server that keeps `IPAddress` objects.
const OBJECTS_V6_PREFIX: u8 = 64;

/// The ClusterIPs of a service range: all but the network address and, of IPv4, the broadcast
/// address. Nothing when the range is too small to have one.
pub fn service_range(cidr: &Cidr, allocator: ServiceAllocator) -> Option<IpRange> {
    let family = cidr.family();
    let first = cidr.first_number().checked_add(1)?;
    let last = match (family, allocator) {
        (Family::V4, _) => cidr.last_number().checked_sub(1)?,
        (Family::V6, ServiceAllocator::Objects) => cidr.last_number(),
        // the bitmap counts from the network address, which it does not give out
        (Family::V6, ServiceAllocator::Bitmap) => {
            cidr.last_number().min(cidr.first_number().saturating_add(BITMAP_V6_ADDRESSES - 1))
        }
    };
    (first <= last).then(|| IpRange::from_numbers(family, first, last))
}

/// How many ClusterIPs a service range has.
pub fn service_addresses(cidr: &Cidr, allocator: ServiceAllocator) -> Count {
    service_range(cidr, allocator).map_or(Count::ZERO, |range| range.size())
}

/// A service range in the two bands of KEP-3070. ClusterIPs that nobody asked for come from the
/// dynamic band while it lasts, so that those asked for by name are safest in the static one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceBands {
    /// The low addresses; none in a range of 16 addresses or fewer.
    pub fixed: Option<IpRange>,
    /// The addresses above; none in a range without a usable address.
    pub dynamic: Option<IpRange>,
}

/// The bands of a service range: the static one has a sixteenth of the range's addresses, 16 at the
/// least and 256 at the most, and none in a range of 16 addresses or fewer.
pub fn service_bands(cidr: &Cidr, allocator: ServiceAllocator) -> ServiceBands {
    let Some(usable) = service_range(cidr, allocator) else { return ServiceBands { fixed: None, dynamic: None } };
    let offset = match cidr.size().get() {
        Some(size) if size <= 16 => 0,
        Some(size) => (size / 16).clamp(16, 256),
        None => 256,
    };
    let (family, first, last) = (usable.family(), usable.first_number(), usable.last_number());
    // above 16 addresses the offset stays within the range: /27 has 30 and gives away 16
    let dynamic_from = first + offset;
    ServiceBands {
        fixed: (offset > 0).then(|| IpRange::from_numbers(family, first, dynamic_from - 1)),
        dynamic: (dynamic_from <= last).then(|| IpRange::from_numbers(family, dynamic_from, last)),
    }
}

/// What an API server does with a service range that is too large for its allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceRangeLimit {
    /// It does not start, or refuses the object; the shortest prefix that it takes.
    Refused {
        /// The shortest prefix length of the family that is taken.
        shortest: u8,
    },
    /// It gives out only so many addresses of it.
    Clamped {
        /// ClusterIPs that can be given out.
        usable: u128,
    },
}

/// Whether a service range is larger than the allocator bears; nothing when all is well.
pub fn service_range_limit(cidr: &Cidr, allocator: ServiceAllocator) -> Option<ServiceRangeLimit> {
    match (allocator, cidr.family()) {
        (ServiceAllocator::Bitmap, family) if cidr.host_bits() > BITMAP_HOST_BITS => {
            Some(ServiceRangeLimit::Refused { shortest: family.bits() - BITMAP_HOST_BITS })
        }
        (ServiceAllocator::Bitmap, Family::V6) if cidr.size() > Count::new(BITMAP_V6_ADDRESSES) => {
            Some(ServiceRangeLimit::Clamped { usable: BITMAP_V6_ADDRESSES - 1 })
        }
        (ServiceAllocator::Objects, Family::V6) if cidr.prefix_len() < OBJECTS_V6_PREFIX => {
            Some(ServiceRangeLimit::Refused { shortest: OBJECTS_V6_PREFIX })
        }
        _ => None,
    }
}

/// How many nodes can get a podCIDR of `node_mask` bits out of the cluster's pod range: the slots
/// less those that touch a range in `taken` (the controller manager's `--service-cluster-ip-range`).
/// Nothing when the node mask is shorter than the range or no length of its family.
pub fn node_slots(cluster: &Cidr, node_mask: u8, taken: &[Cidr]) -> Option<Count> {
    let all = pieces(cluster, node_mask)?;
    // a range that is only a part of a slot takes the whole slot
    let taken: RangeSet =
        taken.iter().filter_map(|cidr| Cidr::covering(cidr.first(), cidr.prefix_len().min(node_mask))).collect();
    let lost = taken.within(cluster).size(cluster.family());
    let host_bits = cluster.family().bits() - node_mask;
    Some(match lost.get() {
        None => Count::ZERO,
        Some(_) if lost == cluster.size() => Count::ZERO,
        // a lost address means at most 127 host bits, or all would be lost
        Some(addresses) => all.less(addresses.checked_shr(u32::from(host_bits)).unwrap_or(0)),
    })
}

/// How many blocks of `block_len` bits (Calico's `blockSize`) a pool has. Nothing when the length is
/// shorter than the pool or no length of its family.
pub fn pool_blocks(pool: &Cidr, block_len: u8) -> Option<Count> {
    pieces(pool, block_len)
}

fn pieces(cidr: &Cidr, len: u8) -> Option<Count> {
    let bits = len.checked_sub(cidr.prefix_len()).filter(|_| len <= cidr.family().bits())?;
    Some(Count::power(bits))
}

/// How many pods get an address out of a node's podCIDR with the `host-local` plugin: all but the
/// network address, the gateway and, of IPv4, the broadcast address. It refuses ranges with fewer
/// than two host bits.
pub fn host_local_addresses(pod_cidr: &Cidr) -> Count {
    if pod_cidr.host_bits() < 2 {
        return Count::ZERO;
    }
    pod_cidr.size().less(match pod_cidr.family() {
        Family::V4 => 3,
        Family::V6 => 2,
    })
}

/// Whether `used` is at least `percent` per cent of `capacity`. Of nothing, anything used is.
pub fn at_least(used: u128, percent: u8, capacity: Count) -> bool {
    let Some(capacity) = capacity.get() else { return false };
    if capacity == 0 {
        return used > 0;
    }
    match (used.checked_mul(100), capacity.checked_mul(u128::from(percent))) {
        (Some(used), Some(bound)) => used >= bound,
        // no number of addresses that a cluster has in use comes near
        (_, None) => false,
        (None, Some(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn shown(range: Option<IpRange>) -> String {
        range.map_or_else(|| "none".to_owned(), |range| range.to_string())
    }

    #[test]
    fn service_ranges_lose_their_network_and_broadcast_address() {
        use ServiceAllocator::{Bitmap, Objects};
        for (range, objects, bitmap) in [
            ("10.96.0.0/12", "1048574", "1048574"),
            ("10.96.0.0/16", "65534", "65534"),
            ("10.152.183.0/24", "254", "254"),
            ("10.0.0.0/27", "30", "30"),
            ("10.0.0.0/30", "2", "2"),
            ("10.0.0.0/31", "0", "0"),
            ("10.0.0.1/32", "0", "0"),
            ("255.255.255.255/32", "0", "0"),
            ("0.0.0.0/0", "4294967294", "4294967294"),
            ("fd00:10:96::/112", "65535", "65535"),
            ("fd00:10:96::/108", "1048575", "65535"),
            ("fd00:10:96::/120", "255", "255"),
            ("fd00::/64", "18446744073709551615", "65535"),
            ("fd00::1/128", "0", "0"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "0", "0"),
            ("::/0", "340282366920938463463374607431768211455", "65535"),
        ] {
            assert_eq!(service_addresses(&cidr(range), Objects).to_string(), objects, "{range}");
            assert_eq!(service_addresses(&cidr(range), Bitmap).to_string(), bitmap, "{range}");
        }
    }

    #[test]
    fn the_static_band_is_a_sixteenth_between_16_and_256() {
        for (range, fixed, dynamic) in [
            ("10.96.0.0/12", "10.96.0.1-10.96.1.0", "10.96.1.1-10.111.255.254"),
            ("10.96.0.0/16", "10.96.0.1-10.96.1.0", "10.96.1.1-10.96.255.254"),
            ("10.96.0.0/20", "10.96.0.1-10.96.1.0", "10.96.1.1-10.96.15.254"),
            ("10.96.0.0/22", "10.96.0.1-10.96.0.64", "10.96.0.65-10.96.3.254"),
            ("10.96.0.0/24", "10.96.0.1-10.96.0.16", "10.96.0.17-10.96.0.254"),
            ("10.96.0.0/26", "10.96.0.1-10.96.0.16", "10.96.0.17-10.96.0.62"),
            ("10.96.0.0/27", "10.96.0.1-10.96.0.16", "10.96.0.17-10.96.0.30"),
            ("10.96.0.0/28", "none", "10.96.0.1-10.96.0.14"),
            ("10.96.0.0/30", "none", "10.96.0.1-10.96.0.2"),
            ("10.96.0.0/31", "none", "none"),
            ("10.96.0.0/32", "none", "none"),
            ("fd00::/112", "fd00::1-fd00::100", "fd00::101-fd00::ffff"),
            ("fd00::/123", "fd00::1-fd00::10", "fd00::11-fd00::1f"),
            ("fd00::/124", "none", "fd00::1-fd00::f"),
            ("::/0", "::1-::100", "::101-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            let bands = service_bands(&cidr(range), ServiceAllocator::Objects);
            assert_eq!((shown(bands.fixed), shown(bands.dynamic)), (fixed.to_owned(), dynamic.to_owned()), "{range}");
        }
        let clamped = service_bands(&cidr("fd00::/108"), ServiceAllocator::Bitmap);
        assert_eq!(shown(clamped.dynamic), "fd00::101-fd00::ffff");
    }

    #[test]
    fn allocators_refuse_or_clamp_large_service_ranges() {
        use ServiceAllocator::{Bitmap, Objects};
        use ServiceRangeLimit::{Clamped, Refused};
        for (range, objects, bitmap) in [
            ("10.96.0.0/12", None, None),
            ("10.0.0.0/8", None, Some(Refused { shortest: 12 })),
            ("fd00::/112", None, None),
            ("fd00::/111", None, Some(Clamped { usable: 65_535 })),
            ("fd00::/108", None, Some(Clamped { usable: 65_535 })),
            ("fd00::/107", None, Some(Refused { shortest: 108 })),
            ("fd00::/64", None, Some(Refused { shortest: 108 })),
            ("fd00::/63", Some(Refused { shortest: 64 }), Some(Refused { shortest: 108 })),
        ] {
            assert_eq!(service_range_limit(&cidr(range), Objects), objects, "{range}");
            assert_eq!(service_range_limit(&cidr(range), Bitmap), bitmap, "{range}");
        }
    }

    #[test]
    fn node_slots_fall_to_the_service_range() {
        let slots = |cluster: &str, mask, taken: &[&str]| {
            let taken: Vec<Cidr> = taken.iter().map(|text| cidr(text)).collect();
            node_slots(&cidr(cluster), mask, &taken).map(|count| count.to_string())
        };
        let some = |count: &str| Some(count.to_owned());
        assert_eq!(slots("10.244.0.0/16", 24, &[]), some("256"));
        assert_eq!(slots("10.233.64.0/18", 24, &[]), some("64"));
        assert_eq!(slots("10.0.0.0/24", 24, &[]), some("1"));
        assert_eq!(slots("10.244.0.0/16", 24, &["10.96.0.0/12"]), some("256"));
        assert_eq!(slots("10.244.0.0/16", 24, &["10.244.0.0/20"]), some("240"));
        assert_eq!(slots("10.244.0.0/16", 24, &["10.244.0.0/20", "10.244.8.0/22"]), some("240"));
        assert_eq!(slots("10.244.0.0/16", 24, &["10.244.3.128/25", "10.244.3.0/28"]), some("255"));
        assert_eq!(slots("10.244.0.0/16", 24, &["10.0.0.0/8"]), some("0"));
        assert_eq!(slots("fd00:10:244::/56", 64, &["fd00:10:244:5::/112"]), some("255"));
        assert_eq!(slots("::/0", 128, &[]), some("340282366920938463463374607431768211456"));
        assert_eq!(slots("::/0", 128, &["::/1"]), some("170141183460469231731687303715884105728"));
        assert_eq!(slots("::/0", 0, &[]), some("1"));
        assert_eq!(slots("::/0", 0, &["fd00::/112"]), some("0"));
        assert_eq!(slots("10.244.0.0/16", 15, &[]), None);
        assert_eq!(slots("10.244.0.0/16", 33, &[]), None);
    }

    #[test]
    fn pools_have_blocks() {
        let blocks = |pool: &str, len| pool_blocks(&cidr(pool), len).map(|count| count.to_string());
        assert_eq!(blocks("192.168.0.0/16", 26), Some("1024".to_owned()));
        assert_eq!(blocks("10.0.0.0/26", 26), Some("1".to_owned()));
        assert_eq!(blocks("fd00::/48", 122), Some((1u128 << 74).to_string()));
        assert_eq!(blocks("10.0.0.0/27", 26), None);
        assert_eq!(blocks("10.0.0.0/24", 40), None);
    }

    #[test]
    fn host_local_keeps_network_gateway_and_broadcast() {
        for (range, usable) in [
            ("10.244.1.0/24", "253"),
            ("10.244.1.0/25", "125"),
            ("10.244.1.0/29", "5"),
            ("10.244.1.0/30", "1"),
            ("10.244.1.0/31", "0"),
            ("10.244.1.0/32", "0"),
            ("fd00:10:244::/64", "18446744073709551614"),
            ("fd00::/120", "254"),
            ("fd00::/126", "2"),
            ("fd00::/127", "0"),
            ("fd00::/128", "0"),
            ("::/0", "340282366920938463463374607431768211454"),
        ] {
            assert_eq!(host_local_addresses(&cidr(range)).to_string(), usable, "{range}");
        }
    }

    #[test]
    fn shares_are_compared_without_rounding() {
        assert!(at_least(80, 80, Count::new(100)));
        assert!(!at_least(79, 80, Count::new(100)));
        assert!(at_least(204, 80, Count::new(254)));
        assert!(!at_least(203, 80, Count::new(254)));
        assert!(at_least(1, 80, Count::ZERO));
        assert!(!at_least(0, 80, Count::ZERO));
        assert!(!at_least(u128::from(u64::MAX), 80, Count::ALL));
        assert!(!at_least(5, 80, Count::new(u128::MAX)));
    }
}
