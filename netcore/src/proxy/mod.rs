//! kube-proxy: which mode it was told, which one it is in, and what its rules should be.

pub mod checks;
pub mod cleanup;
pub mod configured;
pub mod edit;
pub mod evidence;
pub mod facts;
pub mod kernel;
pub mod launch;
pub mod lifecycle;
pub mod manage;
mod mode;
pub mod modules;
pub mod preflight;
mod replacement;
pub mod report;
pub mod schedulers;
pub mod traces;
pub mod verify;
pub mod version;

pub use facts::Facts;
pub use lifecycle::{Lifecycle, Stage};
pub use mode::{Mode, UnknownMode};
pub use version::Version;

/// The first kernel that kube-proxy's nftables mode runs on.
pub const NFTABLES_KERNEL: Version = Version::new(5, 13);
