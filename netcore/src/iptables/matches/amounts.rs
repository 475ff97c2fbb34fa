//! How many packets, how often and when.

#[cfg(test)]
use super::super::module::SampleOption;
use super::super::{
    module::{Field, Options, options},
    values::{Days, Flag, HashRate, Network, Not, Probability, Rate, Word},
    words::Words,
};

options! {
    /// Some of the packets, by chance or by count.
    Statistic<'a> {
        /// `random` or `nth`.
        mode: Option<Word<'a>> = "--mode";
        /// How likely a packet fits.
        probability: Option<Not<Probability>> = "--probability";
        /// Every how many packets one fits.
        every: Option<Not<u32>> = "--every";
        /// Which of them, from 0.
        packet: Option<u32> = "--packet";
    }
    /// A list of addresses seen lately.
    Recent<'a> {
        /// Adds the address.
        set: Option<Not<Flag>> = "--set";
        /// Whether the address is in the list.
        check: Option<Not<Flag>> = "--rcheck";
        /// The same, and it is seen now.
        update: Option<Not<Flag>> = "--update";
        /// The same, and it is taken out.
        remove: Option<Not<Flag>> = "--remove";
        /// Only if seen in the last seconds.
        seconds: Option<u32> = "--seconds";
        /// Whether older ones are taken out.
        reap: bool = "--reap";
        /// Only if seen so often.
        hits: Option<u32> = "--hitcount";
        /// Whether the TTL must be the same.
        ttl: bool = "--rttl";
        /// The list's name.
        name: Option<Word<'a>> = "--name";
        /// The mask under which addresses are the same.
        mask: Option<Network<'a>> = "--mask";
        /// The source address is meant.
        source: bool = "--rsource";
        /// The destination address is meant.
        destination: bool = "--rdest";
    }
    /// So many packets in a time.
    Limit {
        /// How many.
        rate: Option<Not<Rate>> = "--limit";
        /// How many at first.
        burst: Option<u32> = "--limit-burst";
    }
    /// The same for each address or port.
    Hashlimit<'a> {
        /// At most.
        upto: Option<Not<HashRate<'a>>> = "--hashlimit-upto" | "--hashlimit";
        /// More than.
        above: Option<Not<HashRate<'a>>> = "--hashlimit-above";
        /// How many at first.
        burst: Option<Word<'a>> = "--hashlimit-burst";
        /// What is told apart: `srcip`, `srcport`, `dstip`, `dstport`.
        mode: Option<Word<'a>> = "--hashlimit-mode";
        /// The table's name.
        name: Option<Word<'a>> = "--hashlimit-name";
        /// Buckets.
        size: Option<u32> = "--hashlimit-htable-size";
        /// Entries at most.
        max: Option<u32> = "--hashlimit-htable-max";
        /// Milliseconds between sweeps.
        interval: Option<u32> = "--hashlimit-htable-gcinterval";
        /// Milliseconds until an idle entry goes.
        expire: Option<u32> = "--hashlimit-htable-expire";
        /// Bits of the source that count.
        source_bits: Option<u8> = "--hashlimit-srcmask";
        /// Bits of the destination that count.
        destination_bits: Option<u8> = "--hashlimit-dstmask";
        /// Whether the rate is classified, not limited.
        rate_match: bool = "--hashlimit-rate-match";
        /// Seconds over which the rate is taken.
        rate_interval: Option<u32> = "--hashlimit-rate-interval";
    }
    /// A quota.
    Quota {
        /// Bytes.
        bytes: Option<Not<u64>> = "--quota";
    }
    /// The time of the day and the week.
    Time<'a> {
        /// From.
        start: Option<Word<'a>> = "--timestart";
        /// To.
        stop: Option<Word<'a>> = "--timestop";
        /// Days of the month.
        month_days: Option<Not<Days<'a>>> = "--monthdays";
        /// Days of the week.
        week_days: Option<Not<Days<'a>>> = "--weekdays" | "--days";
        /// From which date.
        date_start: Option<Word<'a>> = "--datestart";
        /// To which date.
        date_stop: Option<Word<'a>> = "--datestop";
        /// In the kernel's time zone.
        kernel_zone: bool = "--kerneltz";
        /// Over midnight.
        contiguous: bool = "--contiguous";
    }
}
