//! A real cluster on one machine: API server, kubelets, containerd, kube-proxy and a network plugin,
//! each node in namespaces of its own, all of it one process tree that the kernel takes away when its root dies.
//!
//! `up` makes binaries, certificates and images, then starts a supervisor; the supervisor starts the rest.

#![cfg(target_os = "linux")]

mod addons;
mod cgroup;
pub mod cli;
pub mod cni;
pub mod components;
mod control;
pub mod error;
mod figures;
mod forward;
pub mod guest;
pub mod image;
mod machine;
mod network;
mod node;
mod parts;
pub mod pki;
pub mod plan;
mod process;
mod run;
mod say;
pub mod scale;
mod supervise;
mod up;
mod use_it;

pub use error::Error;
pub use supervise::Cluster;
pub use use_it::Lab;

/// Namespaces and mounts are root's.
pub(crate) fn need_root() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Error::Wants("root".to_owned())) }
}
