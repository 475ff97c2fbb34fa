//! Sets of addresses.

use std::net::IpAddr;

use super::{
    cover::cover,
    model::{Cidr, Count, Family, IpRange},
};

/// A set of addresses of both families: sorted ranges, IPv4 first, that neither overlap nor touch,
/// so that equal sets are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<IpRange>,
}

impl RangeSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Whether no address is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> &[IpRange] {
        &self.ranges
    }

    /// The ranges, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, IpRange> {
        self.ranges.iter()
    }

    /// The ranges of one family, in order.
    pub fn of_family(&self, family: Family) -> &[IpRange] {
        let from = self.ranges.partition_point(|r| r.family() < family);
        let to = self.ranges.partition_point(|r| r.family() <= family);
        self.ranges.get(from..to).unwrap_or_default()
    }

    /// The fewest prefixes that make up the set, in order.
    pub fn prefixes(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.ranges.iter().flat_map(|range| cover(*range))
    }

    /// How many addresses of a family.
    pub fn size(&self, family: Family) -> Count {
        self.of_family(family).iter().fold(Count::ZERO, |sum, range| sum.plus(range.size()))
    }

    /// Whether `ip` is in the set.
    pub fn contains_ip(&self, ip: IpAddr) -> bool {
        self.contains_range(&ip.into())
    }

    /// Whether every address of the prefix is in the set.
    pub fn contains(&self, cidr: &Cidr) -> bool {
        self.contains_range(&(*cidr).into())
    }

    /// Whether every address of the range is in the set.
    pub fn contains_range(&self, range: &IpRange) -> bool {
        self.first_reaching(range).is_some_and(|found| found.contains(range))
    }

    /// Whether any address of the range is in the set.
    pub fn overlaps(&self, range: impl Into<IpRange>) -> bool {
        let range = range.into();
        self.first_reaching(&range).is_some_and(|found| found.overlaps(&range))
    }

    /// The first range that does not end before `range` begins.
    fn first_reaching(&self, range: &IpRange) -> Option<&IpRange> {
        self.ranges.get(self.ranges.partition_point(|r| end(r) < start(range)))
    }

    /// What is in the set and inside the prefix.
    #[must_use]
    pub fn within(&self, cidr: &Cidr) -> Self {
        let limits = IpRange::from(*cidr);
        let from = self.ranges.partition_point(|r| end(r) < start(&limits));
        let to = self.ranges.partition_point(|r| start(r) <= end(&limits));
        let inside = self.ranges.get(from..to).unwrap_or_default();
        Self { ranges: inside.iter().filter_map(|r| r.intersection(&limits)).collect() }
    }

    /// What is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + other.ranges.len());
        ranges.extend_from_slice(&self.ranges);
        ranges.extend_from_slice(&other.ranges);
        // two sorted runs: the stable sort merges them in one pass
        ranges.sort();
        joined(ranges)
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        let (mut left, mut right) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            ranges.extend(a.intersection(b));
            if end(a) <= end(b) {
                left.next()
            } else {
                right.next()
            };
        }
        Self { ranges }
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len());
        let mut holes = other.ranges.iter().peekable();
        for range in &self.ranges {
            let family = range.family();
            while holes.next_if(|hole| end(hole) < start(range)).is_some() {}
            let mut rest = Some(range.first_number());
            while let (Some(from), Some(hole)) = (rest, holes.peek().filter(|hole| start(hole) <= end(range))) {
                if from < hole.first_number() {
                    ranges.push(IpRange::from_numbers(family, from, hole.first_number() - 1));
                }
                // a hole that reaches beyond may reach into the next range, too: it stays
                rest = (hole.last_number() < range.last_number()).then(|| hole.last_number() + 1);
                if rest.is_some() {
                    holes.next();
                }
            }
            if let Some(from) = rest {
                ranges.push(IpRange::from_numbers(family, from, range.last_number()));
            }
        }
        Self { ranges }
    }

    /// The addresses of the prefix that are not in the set.
    #[must_use]
    pub fn complement(&self, within: &Cidr) -> Self {
        Self::from_iter([*within]).difference(&self.within(within))
    }

    /// What lies between the ranges of each family, without the space before the first and after
    /// the last.
    #[must_use]
    pub fn gaps(&self) -> Self {
        let between = self.ranges.iter().zip(self.ranges.iter().skip(1)).filter(|(a, b)| a.family() == b.family());
        Self {
            ranges: between
                .map(|(a, b)| IpRange::from_numbers(a.family(), a.last_number() + 1, b.first_number() - 1))
                .collect(),
        }
    }
}

/// Where a range begins, for sorting across families.
fn start(range: &IpRange) -> (Family, u128) {
    (range.family(), range.first_number())
}

/// Where a range ends, for sorting across families.
fn end(range: &IpRange) -> (Family, u128) {
    (range.family(), range.last_number())
}

/// Sorted ranges with those that overlap or touch made one.
fn joined(mut ranges: Vec<IpRange>) -> RangeSet {
    ranges.dedup_by(|next, kept| {
        // at the end of the IPv6 space nothing comes behind `kept`, and the saturated sum holds
        let joins = kept.family() == next.family() && next.first_number() <= kept.last_number().saturating_add(1);
        if joins {
            let last = kept.last_number().max(next.last_number());
            *kept = IpRange::from_numbers(kept.family(), kept.first_number(), last);
        }
        joins
    });
    RangeSet { ranges }
}

impl<R: Into<IpRange>> FromIterator<R> for RangeSet {
    /// Of prefixes, ranges or addresses in any order: O(n log n).
    fn from_iter<I: IntoIterator<Item = R>>(iter: I) -> Self {
        let mut ranges: Vec<IpRange> = iter.into_iter().map(Into::into).collect();
        ranges.sort_unstable();
        joined(ranges)
    }
}

impl<R: Into<IpRange>> Extend<R> for RangeSet {
    /// Sorts once for all that is added.
    fn extend<I: IntoIterator<Item = R>>(&mut self, iter: I) {
        *self = self.union(&Self::from_iter(iter));
    }
}

impl<'a> IntoIterator for &'a RangeSet {
    type Item = &'a IpRange;
    type IntoIter = std::slice::Iter<'a, IpRange>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The fewest prefixes with just the addresses of the given ones, in order.
pub fn aggregate(cidrs: impl IntoIterator<Item = Cidr>) -> Vec<Cidr> {
    RangeSet::from_iter(cidrs).prefixes().collect()
}
