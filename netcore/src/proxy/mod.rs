//! kube-proxy: which mode it was told, which one it is in, and what its rules should be.

mod mode;

pub use mode::{Mode, UnknownMode};
