//! A `KubeProxyConfiguration`, with what the flags say over the file.

use std::{collections::BTreeMap, fmt};

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
#[expect(clippy::struct_excessive_bools, reason = "kube-proxy's own switches")]
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
    /// Whether all traffic to Services is masqueraded, in iptables and ipvs mode.
    pub masquerade_all: bool,
    /// The same in nftables mode.
    pub nftables_masquerade_all: bool,
    /// The bit of the mark for masquerading, in iptables and ipvs mode; 14 where it is not said.
    pub masquerade_bit: Option<u64>,
    /// The same in nftables mode.
    pub nftables_masquerade_bit: Option<u64>,
    /// Whether node ports are answered on 127.0.0.1 in iptables mode; the default is that they are.
    pub localhost_node_ports: Option<bool>,
    /// The line of `mode`, from 1; none where the file has no such key.
    pub mode_line: Option<usize>,
    /// The algorithm of ipvs mode; empty for `rr`.
    pub scheduler: String,
    /// Whether ipvs mode keeps the nodes from answering ARP for Services' addresses.
    pub strict_arp: bool,
    /// Virtual servers in these ranges are not kube-proxy's.
    pub exclude_cidrs: Vec<String>,
    /// Whether conntrack lets packets outside the window pass.
    pub tcp_be_liberal: bool,
    /// Where `/proxyMode` and `/metrics` are served; empty for not at all.
    pub metrics_bind_address: String,
    /// Feature gates that are set.
    pub feature_gates: BTreeMap<String, bool>,
}
