//! kube-proxy's own configuration.

mod model;
mod parse;

pub use model::{DetectLocal, KubeProxyConfig};
pub use parse::{from_value, parse};
