//! A node's links, neighbours and forwarding entries, as `ip` and `bridge` print them.

mod model;
mod neighbours;
mod parse;

pub use model::{Detail, FdbEntry, Link, Neighbour};
pub use neighbours::{parse_fdb, parse_neighbours};
pub use parse::parse_links;
