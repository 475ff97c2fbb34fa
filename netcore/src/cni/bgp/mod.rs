//! Calico's BGP: who has a session with whom, and how far each address block gets.

mod blocks;
mod objects;
pub mod report;

pub use objects::{Objects, Peer};
pub use report::{BgpReport, report};

#[cfg(test)]
mod tests;
