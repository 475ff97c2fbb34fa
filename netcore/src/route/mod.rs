//! A node's routes and addresses, as iproute2, net-tools and the kernel print them; rules, and the way that a packet takes.

mod lookup;
mod model;
mod parse;
mod rule;
mod tables;

pub use lookup::{Found, Query, Tables};
pub use model::{Interface, InterfaceAddress, NextHop, Route, RouteKind};
pub use parse::{parse_addresses, parse_routes};
pub use rule::{Rule, parse_rules};
