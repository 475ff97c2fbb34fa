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
    /// How Felix writes its rules.
    #[arg(long, value_enum, default_value_t = CalicoDataplane::Nft)]
    pub calico_dataplane: CalicoDataplane,
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

/// The backend of the iptables that Felix calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalicoDataplane {
    /// The kernel's old tables.
    Legacy,
    /// iptables over nftables.
    Nft,
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
    /// What kube-proxy does there.
    pub proxy: Mode,
}

/// What one kube-proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// iptables rules.
    Iptables,
    /// nftables rules.
    Nftables,
    /// IPVS.
    Ipvs,
}

impl Mode {
    /// As kube-proxy's configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
            Self::Ipvs => "ipvs",
        }
    }
}

impl Plan {
    /// The nodes that this plan wants; what needs IPVS is a guest where this machine's kernel has none.
    pub fn machines(&self, kernel_has_ipvs: bool) -> Vec<Machine> {
        (1..=self.nodes)
            .map(|number| {
                let proxy = match self.proxy {
                    Proxy::Nftables => Mode::Nftables,
                    Proxy::Ipvs if kernel_has_ipvs || number == self.nodes => Mode::Ipvs,
                    Proxy::Mixed if number == self.nodes => Mode::Ipvs,
                    Proxy::Mixed if number % 2 == 0 => Mode::Nftables,
                    Proxy::Iptables | Proxy::Ipvs | Proxy::Mixed => Mode::Iptables,
                };
                Machine::node(number, proxy == Mode::Ipvs && !kernel_has_ipvs, proxy)
            })
            .collect()
    }
}

impl Machine {
    /// The control plane.
    pub fn control() -> Self {
        Self { name: "control".to_owned(), number: 1, guest: false, proxy: Mode::Iptables }
    }

    /// The node with this number, counted from 1.
    pub fn node(number: u8, guest: bool, proxy: Mode) -> Self {
        Self { name: format!("node{number}"), number: number.saturating_add(1), guest, proxy }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(proxy: Proxy, nodes: u8, ipvs: bool) -> Vec<(Mode, bool)> {
        let plan = Plan {
            cni: Cni::Bridge,
            flannel_backend: FlannelBackend::Vxlan,
            calico_dataplane: CalicoDataplane::Nft,
            proxy,
            nodes,
            kubernetes: "1.36".to_owned(),
            kube_proxy: None,
            bin: None,
            id: "lab".to_owned(),
            port: None,
        };
        plan.machines(ipvs).into_iter().map(|machine| (machine.proxy, machine.guest)).collect()
    }

    #[test]
    fn only_a_node_that_needs_ipvs_is_a_guest() {
        use Mode::{Iptables, Ipvs, Nftables};
        assert_eq!(modes(Proxy::Nftables, 2, false), [(Nftables, false), (Nftables, false)]);
        assert_eq!(modes(Proxy::Mixed, 3, false), [(Iptables, false), (Nftables, false), (Ipvs, true)]);
        assert_eq!(modes(Proxy::Ipvs, 2, false), [(Iptables, false), (Ipvs, true)]);
        assert_eq!(modes(Proxy::Ipvs, 2, true), [(Ipvs, false), (Ipvs, false)]);
    }

    #[test]
    fn a_name_is_fit_for_folders_and_groups() {
        assert!(name("a-1").is_ok());
        assert!(["", "-a", "a/b", "A", ".."].into_iter().all(|bad| name(bad).is_err()));
    }
}
