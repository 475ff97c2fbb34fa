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
