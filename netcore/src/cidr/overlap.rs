//! Which ranges share addresses: a sweep over the ranges in the order of their starts.

use super::model::{Family, IpRange};

/// Pairs of indices into what was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// The pairs. Of one list: the range that starts first, then the one that starts inside it;
    /// of two: left, then right.
    pub pairs: Vec<(usize, usize)>,
    /// There are more pairs than were asked for.
    pub capped: bool,
}

impl Pairs {
    /// Keeps a pair; false when the cap is reached.
    fn push(&mut self, pair: (usize, usize), cap: usize) -> bool {
        self.capped = self.pairs.len() >= cap;
        if !self.capped {
            self.pairs.push(pair);
        }
        !self.capped
    }
}

/// All pairs of ranges that share an address, each once, at most `cap` of them: n equal ranges have
/// n²/2. Takes O(n log n + pairs).
pub fn overlaps<R: Into<IpRange>>(ranges: impl IntoIterator<Item = R>, cap: usize) -> Pairs {
    let sorted = by_start(ranges);
    let mut found = Pairs::default();
    for (at, (range, index)) in sorted.iter().enumerate() {
        // whoever starts between here and this range's end shares an address with it
        for (_, inner) in sorted.iter().skip(at + 1).take_while(|(later, _)| start(later) <= end(range)) {
            if !found.push((*index, *inner), cap) {
                return found;
            }
        }
    }
    found
}

/// All pairs of a range of `left` and one of `right` that share an address, each once, at most
/// `cap` of them. Overlaps inside one side cost nothing. Takes O(n log n + pairs).
pub fn overlaps_between<L, R>(
    left: impl IntoIterator<Item = L>,
    right: impl IntoIterator<Item = R>,
    cap: usize,
) -> Pairs
where
    L: Into<IpRange>,
    R: Into<IpRange>,
{
    let (left, right) = (by_start(left), by_start(right));
    let mut found = Pairs::default();
    // each pair is met at the range that starts first; at equal starts, at the left one
    let mut from = 0;
    for (range, index) in &left {
        from += right.iter().skip(from).take_while(|(r, _)| start(r) < start(range)).count();
        for (_, inner) in right.iter().skip(from).take_while(|(r, _)| start(r) <= end(range)) {
            if !found.push((*index, *inner), cap) {
                return found;
            }
        }
    }
    let mut from = 0;
    for (range, index) in &right {
        from += left.iter().skip(from).take_while(|(l, _)| start(l) <= start(range)).count();
        for (_, inner) in left.iter().skip(from).take_while(|(l, _)| start(l) <= end(range)) {
            if !found.push((*inner, *index), cap) {
                return found;
            }
        }
    }
    found
}

fn by_start<R: Into<IpRange>>(ranges: impl IntoIterator<Item = R>) -> Vec<(IpRange, usize)> {
    let mut sorted: Vec<_> = ranges.into_iter().enumerate().map(|(index, range)| (range.into(), index)).collect();
    sorted.sort_unstable();
    sorted
}

fn start(range: &IpRange) -> (Family, u128) {
    (range.family(), range.first_number())
}

fn end(range: &IpRange) -> (Family, u128) {
    (range.family(), range.last_number())
}
