//! The domain: address ranges, Kubernetes' own network settings and kernel state as typed facts,
//! and the analyses over them.
//!
//! Nothing here reads, waits or prints: bytes come in, facts and reports go out.

pub mod bird;
pub mod calico;
pub mod cidr;
pub mod cilium;
pub mod cluster;
pub mod cni;
pub mod compare;
pub mod conntrack;
pub mod finding;
pub mod flannel;
pub mod ipset;
pub mod iptables;
pub mod ipvs;
pub mod kmod;
pub mod kubeproxy;
pub mod link;
pub mod names;
pub mod nft;
pub mod owner;
pub mod packet;
pub mod probe;
pub mod problem;
pub mod proxy;
pub mod ranges;
pub mod report;
pub mod route;
pub mod rules;
pub mod svg;
pub mod sysctl;
pub mod text;
mod words;
