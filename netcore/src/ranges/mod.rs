//! Which address ranges a cluster uses, who says so, whether they agree and what is running out.
//!
//! [`sources`] turn objects, answers and node files into [`Facts`]; [`checks`] find what is wrong
//! with them; [`report`] is what is printed.

pub mod blocks;
pub mod capacity;
pub mod checks;
pub mod defaults;
pub mod free;
pub mod map;
mod model;
pub mod nodes;
pub mod plan;
pub mod probe_service;
pub mod report;
mod source;
pub mod sources;
pub mod usage;
pub mod whois;

pub use model::{
    ClusterIp, Confidence, Facts, IpOwner, NodeFacts, Origin, PodAddress, PodTable, RangeFact, Role, ServiceFacts,
    StringId, Strings,
};
pub use source::{Given, Source, Want, settle_unrecorded};
