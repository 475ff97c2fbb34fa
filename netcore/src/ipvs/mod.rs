//! The kernel's virtual servers, as `ipvsadm` and `/proc/net/ip_vs` show them.

mod merge;
mod model;
mod parse;
mod print;
mod read;
#[cfg(test)]
mod tests;

pub use merge::Conflict;
pub use model::{
    Checksum, Connection, Counter, Counters, Daemon, Endpoint, Forward, IpvsTable, Mask, Persistence, Protocol,
    RealServer, Timeouts, Tunnel, VirtualAddress, VirtualServer,
};
pub use parse::parse;
