//! What flannel was told, and what it wrote down on a node.

/// `net-conf.json`. Texts are as written: ranges are read where they are used, so that a broken one
/// spoils nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetConf {
    /// `Network`, the pods' IPv4 range.
    pub network: String,
    /// `IPv6Network`.
    pub ipv6_network: String,
    /// `EnableIPv4`, on by default.
    pub enable_ipv4: bool,
    /// `EnableIPv6`, off by default.
    pub enable_ipv6: bool,
    /// `SubnetLen`, where given.
    pub subnet_len: Option<u8>,
    /// `Backend.Type`: `vxlan`, `host-gw`, `wireguard`, …; flannel's default is `udp`.
    pub backend: String,
    /// The line of `Network`, from 1.
    pub network_line: usize,
    /// The line of `IPv6Network`, from 1.
    pub ipv6_network_line: usize,
}

/// `/run/flannel/subnet.env`. Texts are as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubnetEnv {
    /// `FLANNEL_NETWORK`.
    pub network: Option<String>,
    /// `FLANNEL_SUBNET`: the bridge's address with the node's mask.
    pub subnet: Option<String>,
    /// `FLANNEL_IPV6_NETWORK`.
    pub ipv6_network: Option<String>,
    /// `FLANNEL_IPV6_SUBNET`.
    pub ipv6_subnet: Option<String>,
    /// `FLANNEL_MTU`.
    pub mtu: Option<u32>,
    /// `FLANNEL_IPMASQ`.
    pub ip_masq: Option<bool>,
    /// The lines of network, subnet, v6 network and v6 subnet, from 1; 0 where absent.
    pub lines: [usize; 4],
}
