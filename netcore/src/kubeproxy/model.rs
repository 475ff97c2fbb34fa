//! A `KubeProxyConfiguration`, with what the flags say over the file.

use std::fmt;

/// How kube-proxy tells pods' traffic from other traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DetectLocal {
    /// By source address in `clusterCIDR`; the default.
    #[default]
    ClusterCidr,
    /// By the node's own `podCIDR`.
    NodeCidr,
    /// By the bridge it comes through.
    BridgeInterface,
    /// By the start of the interface's name.
    InterfaceNamePrefix,
    /// A mode that is not known here.
    Other(String),
}

impl From<&str> for DetectLocal {
    fn from(text: &str) -> Self {
        match text {
            "" | "ClusterCIDR" => Self::ClusterCidr,
            "NodeCIDR" => Self::NodeCidr,
            "BridgeInterface" => Self::BridgeInterface,
            "InterfaceNamePrefix" => Self::InterfaceNamePrefix,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for DetectLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterCidr => "ClusterCIDR",
            Self::NodeCidr => "NodeCIDR",
            Self::BridgeInterface => "BridgeInterface",
            Self::InterfaceNamePrefix => "InterfaceNamePrefix",
            Self::Other(other) => other,
        })
    }
}

/// What kube-proxy was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeProxyConfig {
    /// `iptables`, `ipvs`, `nftables`, `kernelspace`; empty for the default.
    pub mode: String,
    /// The pods' ranges as written: a comma-separated list, often empty.
    pub cluster_cidr: String,
    /// The line of `clusterCIDR`, from 1.
    pub cluster_cidr_line: usize,
    /// How local traffic is told.
    pub detect_local: DetectLocal,
    /// The bridge, in that mode.
    pub bridge_interface: String,
    /// The name's start, in that mode.
    pub interface_name_prefix: String,
    /// The node that the configuration was made for; empty for the machine's own name.
    pub hostname_override: String,
    /// The nodes' addresses that node ports are opened on.
    pub node_port_addresses: Vec<String>,
    /// Whether all traffic to Services is masqueraded.
    pub masquerade_all: bool,
}
