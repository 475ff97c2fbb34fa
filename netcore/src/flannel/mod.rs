//! flannel's own configuration: `net-conf.json` for the cluster, `subnet.env` on each node.

mod model;
mod parse;

pub use model::{NetConf, SubnetEnv};
pub use parse::{parse_net_conf, parse_subnet_env};
