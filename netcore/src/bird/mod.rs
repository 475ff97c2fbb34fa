//! What a BIRD daemon says of its protocols and routes, from `birdcl` or its socket, versions 1.6 to 3.

mod model;
mod parse;
mod print;
mod routes;
#[cfg(test)]
mod tests;

pub use model::{Bird, Channel, Limit, PeerKind, PeerRoute, Protocol, RouteCounts};
pub use parse::parse;
