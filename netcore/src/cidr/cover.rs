//! The fewest prefixes that make up a start–end range.

use super::model::{Cidr, IpRange};

/// The fewest prefixes that hold just the addresses of `range`, in order: at most 2 × 127 + 1.
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

fn bits(n: u32) -> u8 {
    u8::try_from(n).unwrap_or(128)
}
