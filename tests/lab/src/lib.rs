//! A real cluster on one machine: API server, kubelets, containerd, kube-proxy and a network plugin,
//! each node in namespaces of its own, all of it one process tree that the kernel takes away when its root dies.
//!
//! `up` makes binaries, certificates and images, then starts a supervisor; the supervisor starts the rest.

#![cfg(target_os = "linux")]

pub mod cli;
pub mod cni;
pub mod components;
pub mod error;
pub mod guest;
pub mod image;
pub mod pki;
pub mod plan;
mod say;
pub mod scale;

pub use error::Error;
