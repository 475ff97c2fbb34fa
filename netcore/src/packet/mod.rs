//! One packet's way through netfilter, rule by rule: what the kernel would do with it, said from what is
//! known of a node.
//!
//! A choice by chance becomes several ways with their probabilities. What cannot be known ends a way
//! with the verdict `unknown` and the reason; what is taken for true is listed with the way.

mod chains;
mod conditions;
pub mod cost;
mod hooks;
mod journey;
mod model;
mod nft;
mod node;
mod place;
pub mod report;
mod targets;
#[cfg(test)]
mod tests;
pub mod texts;
mod truth;
mod virtual_servers;
mod walk;

pub use journey::{Hit, Place};
pub use model::{
    ACK, Connection, Device, Ends, Hook, Packet, SYN, State, Tally, Tracking, Translation, Verdict, Words,
    address_and_port,
};
pub use node::{NodeState, Part};
pub use walk::{Flow, Network, Node, Origin, Path};
