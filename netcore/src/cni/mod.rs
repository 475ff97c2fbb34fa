//! Network plugins: the configuration that the container runtime reads, which plugin a cluster has,
//! how it forwards, and what it and others before it left behind.

pub mod bgp;
pub mod catalogue;
pub mod checks;
mod conf;
pub mod detect;
pub mod facts;
pub mod files;
pub mod lifecycle;
pub mod mtu;
pub mod policy;
pub mod reading;
pub mod report;
pub mod settings;
mod setup;
pub mod tunnels;

pub use catalogue::Kind;
pub use conf::{Choice, Conf, ConfFile, Plugin, Runtime, choose, is_conf_name, parse, parse_files};
pub use facts::Facts;
