//! Address ranges of both families: prefixes, start–end ranges, sets of them, and their capacity.

mod cover;
mod model;
mod parse;

pub use cover::cover;
pub use model::{Cidr, Count, Family, IpRange};
pub use parse::{CidrError, Flaw, Written, parse_cidr, parse_ip, parse_list};
