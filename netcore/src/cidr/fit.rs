//! Finding room for new prefixes.

use super::{
    model::{Cidr, Family, IpRange},
    set::RangeSet,
};

/// The lowest `count` prefixes of `prefix_len` bits inside `within` that share no address with
/// `used` nor with each other. Fewer when there is no more room; none when `prefix_len` is shorter
/// than `within` or no length of its family.
pub fn first_free(within: &Cidr, used: &RangeSet, prefix_len: u8, count: usize) -> Vec<Cidr> {
    let Some(host_bits) = host_bits(within, prefix_len) else { return Vec::new() };
    let free = used.complement(within);
    free.ranges().iter().flat_map(|gap| carve(*gap, host_bits)).take(count).collect()
}

/// As many prefixes as [`first_free`] finds, but each from the smallest free aligned block that is
/// large enough (the lowest of equals): large blocks stay whole for who will need one.
pub fn best_free(within: &Cidr, used: &RangeSet, prefix_len: u8, count: usize) -> Vec<Cidr> {
    let Some(host_bits) = host_bits(within, prefix_len) else { return Vec::new() };
    let free = used.complement(within);
    let mut blocks: Vec<Cidr> = free.prefixes().filter(|block| block.prefix_len() <= prefix_len).collect();
    // longest prefix first; the sort keeps the order of addresses among equals
    blocks.sort_by_key(|block| std::cmp::Reverse(block.prefix_len()));
    blocks.into_iter().flat_map(|block| carve(block.into(), host_bits)).take(count).collect()
}

fn host_bits(within: &Cidr, prefix_len: u8) -> Option<u8> {
    within.family().bits().checked_sub(prefix_len).filter(|bits| *bits <= within.host_bits())
}

/// The prefixes with so many host bits inside a range, the lowest first.
fn carve(range: IpRange, host_bits: u8) -> impl Iterator<Item = Cidr> {
    let family = range.family();
    let first = aligned(family, range.first_number(), host_bits);
    let fits = move |cidr: &Cidr| cidr.last_number() <= range.last_number();
    std::iter::successors(first.filter(fits), move |cidr| {
        let next = cidr.last_number().checked_add(1).filter(|next| *next <= family.max())?;
        Some(Cidr::from_parts(family, next, cidr.prefix_len())).filter(fits)
    })
}

/// The first prefix with so many host bits that does not start before `number`.
fn aligned(family: Family, number: u128, host_bits: u8) -> Option<Cidr> {
    let prefix = family.bits().checked_sub(host_bits)?;
    let holding = Cidr::covering(family.address(number), prefix)?;
    if holding.first_number() == number {
        return Some(holding);
    }
    let next = holding.last_number().checked_add(1).filter(|next| *next <= family.max())?;
    Some(Cidr::from_parts(family, next, prefix))
}
