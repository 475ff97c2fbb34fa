//! kube-proxy: its own configuration, and what it keeps in a node's kernel.

mod model;
mod parse;
pub mod served;

pub use model::{DetectLocal, KubeProxyConfig};
pub use parse::{from_value, parse};
