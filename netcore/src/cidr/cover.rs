//! The fewest prefixes that make up a start–end range, and the one that holds given addresses.

use std::net::IpAddr;

use super::model::{Cidr, Family, IpRange, number};

/// The fewest prefixes that hold just the addresses of `range`, in order: at most 62 of
/// IPv4, 254 of IPv6.
pub fn cover(range: IpRange) -> Vec<Cidr> {
    let family = range.family();
    let mut prefixes = Vec::new();
    let mut next = range.first_number();
    loop {
        let left = range.last_number() - next;
        // the longest run of host bits that starts at `next` and does not pass the end
        let aligned = if next == 0 { family.bits() } else { bits(next.trailing_zeros()).min(family.bits()) };
        let fitting = if left == u128::MAX { 128 } else { bits((left + 1).ilog2()) };
        let host_bits = aligned.min(fitting);
        let cidr = Cidr::from_parts(family, next, family.bits() - host_bits);
        prefixes.push(cidr);
        if cidr.last_number() == range.last_number() {
            return prefixes;
        }
        next = cidr.last_number() + 1;
    }
}

/// The longest prefix that holds every address of a family among `addresses`: what is at least in
/// use. Nothing when the family has none.
pub fn smallest_cover(family: Family, addresses: impl IntoIterator<Item = IpAddr>) -> Option<Cidr> {
    let (lowest, highest) = addresses
        .into_iter()
        .filter(|ip| Family::of(*ip) == family)
        .map(number)
        .fold(None, |ends: Option<(u128, u128)>, n| {
            Some(ends.map_or((n, n), |(low, high)| (low.min(n), high.max(n))))
        })?;
    // all between two addresses share the bits that the two share
    let host_bits = bits(u128::BITS - (lowest ^ highest).leading_zeros());
    Cidr::covering(family.address(lowest), family.bits() - host_bits)
}

fn bits(n: u32) -> u8 {
    u8::try_from(n).unwrap_or(128)
}
