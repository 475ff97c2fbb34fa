//! Cilium's address management as typed facts: nodes, pod pools, load-balancer pools.

mod model;
mod parse;

pub use model::{CiliumNode, LbPool, PodPool};
pub use parse::{lb_pool, node, pod_pool};
