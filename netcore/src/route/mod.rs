//! A node's routes and addresses, as iproute2 prints them.

mod model;
mod parse;

pub use model::{Interface, InterfaceAddress, NextHop, Route, RouteKind};
pub use parse::{parse_addresses, parse_routes};
