//! Address ranges of both families: prefixes, start–end ranges, sets of them, and their capacity.
//!
//! Everything here sorts once and then sweeps: no operation compares all ranges with all others.

pub mod capacity;
mod cover;
mod fit;
mod index;
mod model;
mod overlap;
mod parse;
#[cfg(test)]
mod properties;
mod set;

pub use cover::{cover, smallest_cover};
pub use fit::{best_free, first_free};
pub use index::PrefixIndex;
pub use model::{Cidr, Count, Family, IpRange};
pub use overlap::{Pairs, overlaps, overlaps_between};
pub use parse::{CidrError, Flaw, Written, parse_cidr, parse_ip, parse_list};
pub use set::{RangeSet, aggregate};
