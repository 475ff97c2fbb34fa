//! The set algebra over 150,000 prefixes, beside what it cannot do without: sorting them once.
//!
//! `cargo bench -p e2e --bench cidr`. The goal is 50 ms for each line; nothing is asserted.

use std::{
    hint::black_box,
    io::{self, Write},
    net::IpAddr,
    time::{Duration, Instant},
};

use netcore::cidr::{
    Cidr, IpRange, PrefixIndex, RangeSet, aggregate, best_free, first_free, overlaps, overlaps_between,
};

const RUNS: usize = 9;

fn main() -> io::Result<()> {
    let cluster = cluster();
    let (left, right) = (scattered(1), scattered(2));
    let (a, b): (RangeSet, RangeSet) = (left.iter().copied().collect(), right.iter().copied().collect());
    let pods: Vec<IpAddr> = cluster.iter().filter(|cidr| cidr.host_bits() == 0).map(Cidr::first).collect();
    let used: RangeSet = cluster.iter().copied().collect();
    let index: PrefixIndex<()> = cluster.iter().map(|cidr| (*cidr, ())).collect();
    let everything = block([10, 0, 0, 0], 8);
    let numbers: Vec<(u128, u128)> = left.iter().map(|cidr| (cidr.first_number(), cidr.last_number())).collect();

    let mut out = io::stdout().lock();
    writeln!(out, "{:<52} {:>9} {:>9}   result", "150,000 prefixes", "median", "best")?;
    let mut row = |what: &str, run: &dyn Fn() -> usize| {
        let (median, best, result) = measure(run);
        writeln!(out, "{what:<52} {:>6.1} ms {:>6.1} ms   {result}", millis(median), millis(best))
    };
    row("anchor: sort 150,000 pairs of numbers", &|| {
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.len()
    })?;
    row("a set of scattered prefixes, from unsorted", &|| left.iter().copied().collect::<RangeSet>().ranges().len())?;
    row("a set of a cluster's nested prefixes, from unsorted", &|| {
        cluster.iter().copied().collect::<RangeSet>().ranges().len()
    })?;
    row("union of two sets", &|| a.union(&b).ranges().len())?;
    row("intersection of two sets", &|| a.intersection(&b).ranges().len())?;
    row("difference of two sets", &|| a.difference(&b).ranges().len())?;
    row("complement within 10.0.0.0/8", &|| a.complement(&everything).ranges().len())?;
    row("union, both from unsorted", &|| {
        let a: RangeSet = left.iter().copied().collect();
        let b: RangeSet = right.iter().copied().collect();
        a.union(&b).ranges().len()
    })?;
    row("aggregate a cluster's prefixes", &|| aggregate(cluster.iter().copied()).len())?;
    row("overlap pairs in a cluster (each pod, block, node)", &|| {
        overlaps(cluster.iter().copied(), 10_000_000).pairs.len()
    })?;
    row("overlap pairs of 150,000 equal prefixes, capped", &|| {
        overlaps(vec![IpRange::from(everything); 150_000], 1_000).pairs.len()
    })?;
    row("overlap pairs between two lists", &|| {
        overlaps_between(left.iter().copied(), right.iter().copied(), 10_000_000).pairs.len()
    })?;
    row("first free /20 of 10.0.0.0/8, 10 of them", &|| first_free(&everything, &used, 20, 10).len())?;
    row("best free /28 of 10.0.0.0/8, 10 of them", &|| best_free(&everything, &a, 28, 10).len())?;
    row("first free /20, from unsorted", &|| {
        let used: RangeSet = cluster.iter().copied().collect();
        first_free(&everything, &used, 20, 10).len()
    })?;
    row("build an index of nested prefixes", &|| {
        cluster.iter().map(|cidr| (*cidr, ())).collect::<PrefixIndex<()>>().len()
    })?;
    row("longest match of 105,000 addresses", &|| pods.iter().filter(|ip| index.longest(**ip).is_some()).count())
}

/// 5,000 node ranges, eight blocks in each and 105,000 pods, in no order.
fn cluster() -> Vec<Cidr> {
    let mut cidrs = Vec::with_capacity(150_000);
    for node in 0..5_000u32 {
        let base = 0x0a00_0000 + (node << 8);
        cidrs.push(prefix(base, 24));
        cidrs.extend((0..8).map(|n| prefix(base + n * 32, 27)));
        cidrs.extend((0..21).map(|n| prefix(base + 2 + n * 11, 32)));
    }
    shuffle(&mut cidrs, 7);
    cidrs
}

/// Prefixes of /20 to /32 anywhere in 10.0.0.0/8: the worst case for sets, nothing joins.
fn scattered(seed: u64) -> Vec<Cidr> {
    let mut random = Random(seed);
    (0..150_000)
        .map(|_| {
            let bits = random.next();
            let length = if bits.is_multiple_of(256) { 20 } else { 26 + (bits % 7) as u8 };
            prefix(0x0a00_0000 | ((bits >> 32) as u32 & 0x00ff_ffff), length)
        })
        .collect()
}

fn prefix(address: u32, length: u8) -> Cidr {
    block(address.to_be_bytes(), length)
}

fn block(address: [u8; 4], length: u8) -> Cidr {
    Cidr::covering(IpAddr::from(address), length).unwrap_or(Cidr::host(IpAddr::from(address)))
}

fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut random = Random(seed);
    for at in (1..items.len()).rev() {
        items.swap(at, usize::try_from(random.next() % (at as u64 + 1)).unwrap_or(at));
    }
}

/// A fixed sequence: every run measures the same.
struct Random(u64);

impl Random {
    /// The next number of the splitmix64 sequence.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn measure(run: &dyn Fn() -> usize) -> (Duration, Duration, usize) {
    let mut result = black_box(run());
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            result = black_box(run());
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    (at(RUNS / 2), at(0), result)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
