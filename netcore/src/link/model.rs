//! Links and what is known of the hosts behind them.

use std::net::IpAddr;

/// What is particular to a kind of link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// VXLAN's network.
    pub vni: Option<u32>,
    /// VXLAN's UDP port.
    pub port: Option<u16>,
    /// A tunnel's own address.
    pub local: Option<IpAddr>,
    /// A tunnel's other end; none for one with many.
    pub remote: Option<IpAddr>,
    /// The link that a tunnel goes out through, or a VLAN lies on.
    pub lower: Option<String>,
    /// Whether VXLAN learns where addresses are.
    pub learning: Option<bool>,
    /// The VLAN.
    pub vlan: Option<u16>,
}

/// A network link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: Option<u32>,
    /// `eth0`.
    pub name: String,
    /// The other end of a pair, where it has a name here.
    pub peer: Option<String>,
    /// The largest packet in bytes.
    pub mtu: Option<u32>,
    /// Whether it was set up.
    pub up: bool,
    /// `UP`, `DOWN`, `UNKNOWN`, …: whether it carries packets; none where not printed.
    pub state: Option<String>,
    /// The bridge or bond that it belongs to.
    pub master: Option<String>,
    /// `ether`, `loopback`, `ipip`, ….
    pub link_type: String,
    /// Its link address.
    pub address: Option<String>,
    /// `vxlan`, `veth`, `bridge`, `dummy`, `ipip`, …; only with `-d`.
    pub kind: Option<String>,
    /// What is particular to the kind; only with `-d`.
    pub detail: Detail,
}

/// Where an address is on the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The address.
    pub address: IpAddr,
    /// The link.
    pub dev: String,
    /// Its link address; none while it is not known.
    pub link_address: Option<String>,
    /// `REACHABLE`, `STALE`, `PERMANENT`, `FAILED`, …, in the order printed.
    pub states: Vec<String>,
    /// Whether it is a router.
    pub router: bool,
    /// Its line, from 1; its place in a JSON list.
    pub line: usize,
}

/// Where a bridge or VXLAN sends a link address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FdbEntry {
    /// The link address.
    pub mac: String,
    /// The port.
    pub dev: String,
    /// The other host; VXLAN only.
    pub dst: Option<IpAddr>,
    /// The network, where it is not the link's own.
    pub vni: Option<u32>,
    /// The VLAN.
    pub vlan: Option<u16>,
    /// The bridge.
    pub master: Option<String>,
    /// `self`, `master`, `extern_learn`, …, sorted.
    pub flags: Vec<String>,
    /// `permanent`, `static`, `stale`; empty where not printed.
    pub state: String,
    /// Its line, from 1; its place in a JSON list.
    pub line: usize,
}
