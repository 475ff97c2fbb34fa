//! What a lab shall be: the flags of `up`, and the addresses that every lab has inside.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// The API server's port, inside the lab.
pub const API_PORT: u16 = 6443;
/// Ranges of the Services.
pub const SERVICE_RANGES: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];
/// Ranges that node IPAM cuts into one per node.
pub const POD_RANGES: [&str; 2] = ["10.244.0.0/16", "fd00:244::/56"];

/// The cluster that `up` makes.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct Plan {
    /// The network plugin.
    #[arg(long, value_enum, default_value_t = Cni::Bridge)]
    pub cni: Cni,
    /// Flannel's backend.
    #[arg(long, value_enum, default_value_t = FlannelBackend::Vxlan)]
    pub flannel_backend: FlannelBackend,
    /// kube-proxy's mode; `mixed` is one mode per node.
    #[arg(long, value_enum, default_value_t = Proxy::Iptables)]
    pub proxy: Proxy,
    /// How many nodes in namespaces.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: u8,
    /// The Kubernetes version, as 1.36 or 1.36.3.
    #[arg(long, default_value = "1.36")]
    pub kubernetes: String,
    /// kube-proxy's version where it shall be another one.
    #[arg(long, value_name = "VERSION")]
    pub kube_proxy: Option<String>,
    /// A folder with binaries to use before any is built.
    #[arg(long, value_name = "FOLDER", env = "KUBEBUILDER_ASSETS")]
    pub bin: Option<PathBuf>,
    /// The lab's name; several may run side by side.
    #[arg(long, default_value = "lab", value_parser = name)]
    pub id: String,
    /// The API server's port on this machine's loopback; one that is free unless named.
    #[arg(long)]
    pub port: Option<u16>,
}

/// A network plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cni {
    /// Debian's bridge and host-local plugins, and static routes.
    Bridge,
    /// flanneld.
    Flannel,
    /// Felix, Calico's plugin and IPAM, BIRD.
    Calico,
}

/// How flannel carries packets between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlannelBackend {
    /// Encapsulated.
    Vxlan,
    /// By routes.
    HostGw,
}

/// kube-proxy's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proxy {
    /// iptables rules.
    Iptables,
    /// nftables rules.
    Nftables,
    /// IPVS; in a guest where this machine's kernel has none.
    Ipvs,
    /// One mode per node.
    Mixed,
}

/// A machine of the lab: the control plane is number 1, the nodes begin at 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The name, as `node1`.
    pub name: String,
    /// The number in both addresses' last place.
    pub number: u8,
    /// Whether it is a guest with a kernel of its own rather than a set of namespaces.
    pub guest: bool,
}

impl Machine {
    /// The control plane.
    pub fn control() -> Self {
        Self { name: "control".to_owned(), number: 1, guest: false }
    }

    /// The node with this number, counted from 1.
    pub fn node(number: u8, guest: bool) -> Self {
        Self { name: format!("node{number}"), number: number.saturating_add(1), guest }
    }

    /// Its IPv4 address: 172.31.77.N of a /24.
    pub fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(172, 31, 77, self.number)
    }

    /// Its IPv6 address: `fd77::N` of a /64.
    pub fn v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(self.number))
    }
}

fn name(text: &str) -> Result<String, String> {
    let sound = (1..=24).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-');
    if sound { Ok(text.to_owned()) } else { Err("not 1 to 24 of a-z, 0-9 and `-`".to_owned()) }
}
