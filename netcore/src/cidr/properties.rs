//! The algebra against a naive model: a small universe of six windows of 256 addresses, at both ends
//! and in the middle of each family's space, as a set of single addresses.

use std::{collections::BTreeSet, net::IpAddr};

use proptest::{collection::vec, prelude::*};

use super::*;

const WINDOWS: [(Family, u128); 6] = [
    (Family::V4, 0),
    (Family::V4, 0x0a00_0000),
    (Family::V4, 0xffff_ff00),
    (Family::V6, 0),
    (Family::V6, 0xfd00_0000_0000_0000_0000_0000_0000_0000),
    (Family::V6, u128::MAX - 255),
];

type Model = BTreeSet<(Family, u128)>;

fn model<'a>(ranges: impl IntoIterator<Item = &'a IpRange>) -> Model {
    ranges.into_iter().flat_map(|r| (r.first_number()..=r.last_number()).map(|n| (r.family(), n))).collect()
}

fn set_of<R: Into<IpRange>>(ranges: impl IntoIterator<Item = R>) -> RangeSet {
    ranges.into_iter().collect()
}

fn universe() -> impl Iterator<Item = (Family, u128)> {
    WINDOWS.into_iter().flat_map(|(family, base)| (0..256).map(move |n| (family, base + n)))
}

fn window() -> impl Strategy<Value = (Family, u128)> {
    (0..WINDOWS.len()).prop_map(|index| WINDOWS[index])
}

fn range() -> impl Strategy<Value = IpRange> {
    (window(), 0u128..256, 0u128..64).prop_map(|((family, base), first, length)| {
        IpRange::from_numbers(family, base + first, base + (first + length).min(255))
    })
}

fn cidr() -> impl Strategy<Value = Cidr> {
    (window(), 0u128..256, 0u8..=8).prop_map(|((family, base), n, host_bits)| {
        Cidr::covering(family.address(base + n), family.bits() - host_bits).unwrap()
    })
}

fn address() -> impl Strategy<Value = IpAddr> {
    (window(), 0u128..256).prop_map(|((family, base), n)| family.address(base + n))
}

fn ranges() -> impl Strategy<Value = Vec<IpRange>> {
    vec(range(), 0..24)
}

/// Any prefix of any length at any place.
fn any_cidr() -> impl Strategy<Value = Cidr> {
    prop_oneof![
        (any::<u32>(), 0u8..=32).prop_map(|(bits, len)| Cidr::covering(IpAddr::from(bits.to_be_bytes()), len).unwrap()),
        (any::<u128>(), 0u8..=128)
            .prop_map(|(bits, len)| Cidr::covering(IpAddr::from(bits.to_be_bytes()), len).unwrap()),
    ]
}

fn assert_canonical(set: &RangeSet) {
    for pair in set.ranges().windows(2) {
        let apart = pair[0].family() < pair[1].family() || pair[0].last_number() + 1 < pair[1].first_number();
        assert!(apart, "{} and {} are not apart", pair[0], pair[1]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn set_algebra_is_that_of_sets(left in ranges(), right in ranges()) {
        let (a, b) = (set_of(left.iter().copied()), set_of(right.iter().copied()));
        let (ma, mb) = (model(&left), model(&right));
        prop_assert_eq!(model(&a), ma.clone());
        for (set, expected) in [
            (a.union(&b), &ma | &mb),
            (a.intersection(&b), &ma & &mb),
            (a.difference(&b), &ma - &mb),
        ] {
            assert_canonical(&set);
            prop_assert_eq!(model(&set), expected);
        }
        let mut extended = a.clone();
        extended.extend(right);
        prop_assert_eq!(extended, a.union(&b));
    }

    #[test]
    fn equal_sets_are_equal_values(left in ranges()) {
        let set = set_of(left.iter().copied());
        prop_assert_eq!(set_of(left.iter().rev().copied()), set.clone());
        prop_assert_eq!(set_of(set.prefixes()), set.clone());
        let again: RangeSet = model(&left).into_iter().map(|(family, n)| family.address(n)).collect();
        prop_assert_eq!(again, set);
    }

    #[test]
    fn membership(left in ranges(), other in range(), prefix in cidr(), ip in address()) {
        let set = set_of(left.iter().copied());
        let members = model(&left);
        let (in_range, in_prefix) = (model([&other]), model([&prefix.into()]));
        prop_assert_eq!(set.contains_ip(ip), left.iter().any(|r| r.contains_ip(ip)));
        prop_assert_eq!(set.contains_range(&other), in_range.is_subset(&members));
        prop_assert_eq!(set.contains(&prefix), in_prefix.is_subset(&members));
        prop_assert_eq!(set.overlaps(other), !in_range.is_disjoint(&members));
        prop_assert_eq!(set.overlaps(prefix), !in_prefix.is_disjoint(&members));
        prop_assert_eq!(model(&set.within(&prefix)), &members & &in_prefix);
        prop_assert_eq!(model(&set.complement(&prefix)), &in_prefix - &members);
    }

    #[test]
    fn sizes_and_gaps(left in ranges()) {
        let set = set_of(left.iter().copied());
        let members = model(&left);
        for family in [Family::V4, Family::V6] {
            let count = members.iter().filter(|(f, _)| *f == family).count();
            prop_assert_eq!(set.size(family), Count::new(count as u128));
            prop_assert!(set.of_family(family).iter().all(|r| r.family() == family));
            let ends = set.of_family(family).first().zip(set.of_family(family).last());
            let span = ends.map(|(f, l)| IpRange::from_numbers(family, f.first_number(), l.last_number()));
            let filled = set.union(&set.gaps());
            prop_assert_eq!(filled.of_family(family), span.as_slice());
        }
        prop_assert!(set.gaps().iter().all(|gap| !set.overlaps(*gap)));
    }

    #[test]
    fn a_cover_is_exact_and_the_smallest(range in range()) {
        let prefixes = cover(range);
        let set = set_of(prefixes.iter().copied());
        prop_assert_eq!(set.ranges(), &[range]);
        let sum: u128 = prefixes.iter().map(|p| p.size().get().unwrap()).sum();
        prop_assert_eq!(Some(sum), range.size().get());
        // two neighbours of one length never make up their parent
        for pair in prefixes.windows(2) {
            let parent = Cidr::covering(pair[0].first(), pair[0].prefix_len() - 1).unwrap();
            prop_assert!(pair[0].prefix_len() != pair[1].prefix_len() || !parent.contains(&pair[1]));
        }
        prop_assert_eq!(range.as_cidr(), if prefixes.len() == 1 { Some(prefixes[0]) } else { None });
    }

    #[test]
    fn the_smallest_cover_holds_all_and_its_halves_do_not(ips in vec(address(), 0..12)) {
        for family in [Family::V4, Family::V6] {
            let of_family: Vec<_> = ips.iter().copied().filter(|ip| Family::of(*ip) == family).collect();
            let Some(cidr) = smallest_cover(family, ips.iter().copied()) else {
                prop_assert!(of_family.is_empty());
                continue;
            };
            prop_assert!(of_family.iter().all(|ip| cidr.contains_ip(*ip)));
            if cidr.host_bits() > 0 {
                let half = Cidr::covering(of_family[0], cidr.prefix_len() + 1).unwrap();
                prop_assert!(!of_family.iter().all(|ip| half.contains_ip(*ip)));
            }
        }
    }

    #[test]
    fn overlaps_are_all_pairs(left in ranges(), right in ranges(), cap in 0usize..40) {
        let unordered = |(a, b): (usize, usize)| (a.min(b), a.max(b));
        let naive: BTreeSet<_> = (0..left.len())
            .flat_map(|i| (i + 1..left.len()).map(move |j| (i, j)))
            .filter(|(i, j)| left[*i].overlaps(&left[*j]))
            .collect();
        let all = overlaps(left.iter().copied(), usize::MAX);
        prop_assert!(!all.capped);
        prop_assert_eq!(all.pairs.len(), naive.len());
        prop_assert_eq!(all.pairs.iter().copied().map(unordered).collect::<BTreeSet<_>>(), naive.clone());
        let some = overlaps(left.iter().copied(), cap);
        prop_assert_eq!(some.capped, naive.len() > cap);
        prop_assert_eq!(some.pairs.as_slice(), &all.pairs[..cap.min(naive.len())]);

        let naive: BTreeSet<_> = (0..left.len())
            .flat_map(|i| (0..right.len()).map(move |j| (i, j)))
            .filter(|(i, j)| left[*i].overlaps(&right[*j]))
            .collect();
        let all = overlaps_between(left.iter().copied(), right.iter().copied(), usize::MAX);
        prop_assert_eq!(all.pairs.len(), naive.len());
        prop_assert_eq!(all.pairs.into_iter().collect::<BTreeSet<_>>(), naive.clone());
        let some = overlaps_between(left.iter().copied(), right.iter().copied(), cap);
        prop_assert_eq!((some.pairs.len(), some.capped), (cap.min(naive.len()), naive.len() > cap));
    }

    #[test]
    fn an_index_finds_what_a_scan_finds(cidrs in vec(cidr(), 0..24), ip in address(), asked in cidr()) {
        let index: PrefixIndex<usize> = cidrs.iter().copied().enumerate().map(|(n, cidr)| (cidr, n)).collect();
        let scan = |keep: &dyn Fn(&Cidr) -> bool| {
            let distinct: BTreeSet<Cidr> = cidrs.iter().copied().filter(keep).collect();
            distinct
                .into_iter()
                .map(|c| (c, (0..cidrs.len()).filter(|n| cidrs[*n] == c).collect::<Vec<_>>()))
                .collect::<Vec<_>>()
        };
        let found = |found: Vec<(Cidr, &[usize])>| found.into_iter().map(|(c, v)| (c, v.to_vec())).collect::<Vec<_>>();
        let longest_first = |mut found: Vec<(Cidr, Vec<usize>)>| {
            found.sort_by_key(|(cidr, _)| std::cmp::Reverse(cidr.prefix_len()));
            found
        };
        let covering = longest_first(scan(&|c| c.contains_ip(ip)));
        prop_assert_eq!(found(index.longest(ip).into_iter().collect()), covering.iter().take(1).cloned().collect::<Vec<_>>());
        prop_assert_eq!(found(index.covering(ip).collect()), covering);
        prop_assert_eq!(found(index.containing(asked).collect()), longest_first(scan(&|c| c.contains(&asked))));
        prop_assert_eq!(found(index.inside(asked).collect()), scan(&|c| asked.contains(c)));
        prop_assert_eq!(found(index.iter().collect()), scan(&|_| true));
        prop_assert_eq!(index.get(&asked).is_some(), cidrs.contains(&asked));
        prop_assert_eq!(index.len(), scan(&|_| true).len());
    }

    #[test]
    fn free_prefixes_are_free_and_none_is_missed(
        used in ranges(), within in cidr(), host_bits in 0u8..=8, count in 0usize..12,
    ) {
        let used = set_of(used);
        let prefix = within.family().bits() - host_bits;
        let naive: Vec<Cidr> = universe()
            .filter(|(family, _)| *family == within.family())
            .filter_map(|(family, n)| Cidr::covering(family.address(n), prefix).filter(|c| c.first_number() == n))
            .filter(|c| within.contains(c) && !used.overlaps(*c))
            .collect();
        let first = first_free(&within, &used, prefix, count);
        prop_assert_eq!(first.as_slice(), &naive[..count.min(naive.len())]);

        let best = best_free(&within, &used, prefix, count);
        prop_assert_eq!(best.len(), first.len());
        prop_assert!(best.iter().all(|c| naive.contains(c)));
        prop_assert_eq!(best.iter().collect::<BTreeSet<_>>().len(), best.len());
        // the largest free block left is no smaller than after first fit
        let largest = |taken: &[Cidr]| {
            let rest = used.union(&set_of(taken.iter().copied())).complement(&within);
            rest.prefixes().map(|c| c.host_bits()).max()
        };
        prop_assert!(largest(&best) >= largest(&first));
    }

    #[test]
    fn prefixes_contain_what_their_addresses_say(a in cidr(), b in cidr(), ip in address()) {
        let (ma, mb) = (model([&a.into()]), model([&b.into()]));
        prop_assert_eq!(a.contains(&b), mb.is_subset(&ma));
        prop_assert_eq!(a.overlaps(&b), !ma.is_disjoint(&mb));
        prop_assert_eq!(a.contains_ip(ip), IpRange::from(a).contains_ip(ip));
        prop_assert_eq!(a.size().get(), Some(ma.len() as u128));
    }

    #[test]
    fn what_is_printed_is_read_again(cidr in any_cidr()) {
        prop_assert_eq!(cidr.to_string().parse::<Cidr>().unwrap(), cidr);
        let written = parse_cidr(&cidr.to_string()).unwrap();
        prop_assert_eq!(written.cidr, cidr);
        prop_assert_eq!(written.range, IpRange::from(cidr));
        let range = IpRange::from(cidr).to_string();
        let list: Vec<_> = parse_list(&range).into_iter().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(list.len(), 1);
        prop_assert_eq!(list[0].cidr, cidr);
    }

    #[test]
    fn reading_never_panics(text in "\\PC*") {
        let _ = parse_cidr(&text);
        let _ = parse_ip(&text);
        let _ = parse_list(&text);
        let _ = text.parse::<Cidr>();
    }

    #[test]
    fn reading_never_panics_on_what_looks_like_ranges(text in "[0-9a-f:./, \\-]{0,40}") {
        for entry in parse_list(&text).into_iter().flatten() {
            prop_assert!(entry.range.contains(&entry.cidr.into()));
        }
        let _ = parse_cidr(&text);
    }

    #[test]
    fn addresses_that_std_reads_are_read_alike(text in "[0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9a-f:.]{2,20}") {
        if let Ok(ip) = text.parse::<IpAddr>() {
            let (read, flaws) = parse_ip(&text).unwrap();
            prop_assert_eq!(read, ip);
            prop_assert!(!flaws.contains(&Flaw::LeadingZeros));
        }
    }

    #[test]
    fn every_address_is_read(ip in any::<IpAddr>()) {
        prop_assert_eq!(parse_ip(&ip.to_string()).map(|(ip, _)| ip), Ok(ip));
    }

    #[test]
    fn capacities_never_exceed_the_range(cidr in any_cidr(), mask in 0u8..=130, taken in any_cidr()) {
        use super::capacity::*;
        for allocator in [ServiceAllocator::Objects, ServiceAllocator::Bitmap] {
            let usable = service_addresses(&cidr, allocator);
            prop_assert!(usable < cidr.size());
            let bands = service_bands(&cidr, allocator);
            let sum = [bands.fixed, bands.dynamic].into_iter().flatten().fold(Count::ZERO, |sum, r| sum.plus(r.size()));
            prop_assert_eq!(sum, usable);
        }
        prop_assert!(host_local_addresses(&cidr) < cidr.size());
        if let Some(slots) = node_slots(&cidr, mask, &[taken]) {
            prop_assert!(slots <= pool_blocks(&cidr, mask).unwrap());
        }
    }

    #[test]
    fn node_slots_are_those_that_the_service_range_leaves(cluster in cidr(), taken in vec(cidr(), 0..4), longer in 0u8..=8) {
        let mask = (cluster.prefix_len() + longer).min(cluster.family().bits());
        let used = set_of(taken.iter().copied());
        let free = first_free(&cluster, &used, mask, usize::MAX).len();
        prop_assert_eq!(capacity::node_slots(&cluster, mask, &taken), Some(Count::new(free as u128)));
    }
}
