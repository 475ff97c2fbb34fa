//! Virtual servers, real servers and connections. What a view does not print is `None`.

use std::{fmt, net::IpAddr, net::Ipv4Addr};

use crate::cidr::Family;

/// A transport protocol that the kernel balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// An address with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port; 0 means every port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

/// What a virtual server takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VirtualAddress {
    /// Packets to an address and port.
    Socket(Protocol, Endpoint),
    /// Packets that a firewall marked; `/proc/net/ip_vs` does not say of which family.
    Mark(u32, Option<Family>),
}

impl fmt::Display for VirtualAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(protocol, endpoint) => write!(f, "{protocol} {endpoint}"),
            Self::Mark(mark, Some(Family::V6)) => write!(f, "FWM {mark} IPv6"),
            Self::Mark(mark, _) => write!(f, "FWM {mark}"),
        }
    }
}

/// How many bits of a client's address persistence looks at, where it is not all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mask {
    /// A netmask.
    V4(Ipv4Addr),
    /// A prefix length.
    V6(u8),
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(mask) => mask.fmt(f),
            Self::V6(length) => length.fmt(f),
        }
    }
}

/// Whether a client keeps its real server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Persistence {
    /// It does not.
    Off,
    /// It does.
    On {
        /// For how long, in seconds; not known from `/proc`.
        seconds: Option<u32>,
        /// The same in the kernel's ticks, whose length the file does not say; only in `/proc`.
        jiffies: Option<u32>,
        /// Which clients count as one; none for each by itself.
        mask: Option<Mask>,
        /// The persistence engine (`sip`); never in `/proc`.
        engine: Option<String>,
    },
}

/// The checksum of an encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checksum {
    /// None.
    Without,
    /// One.
    With,
    /// One that is offloaded to the other end.
    Remote,
}

/// How a packet is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation to a port.
    Gue(u16, Checksum),
    /// GRE.
    Gre(Checksum),
}

/// How a packet gets to a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forward {
    /// With the address translated.
    Masquerade,
    /// As it is, to the server's link address.
    Route,
    /// Wrapped; how is not in every view.
    Tunnel(Option<Tunnel>),
    /// To this host itself.
    Local,
    /// Past the balancer.
    Bypass,
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Masquerade => "masquerade",
            Self::Route => "route",
            Self::Tunnel(_) => "tunnel",
            Self::Local => "local",
            Self::Bypass => "bypass",
        })
    }
}

/// A count that `ipvsadm` may have rounded down to thousands, millions, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter {
    /// The value, or the least that it can be.
    pub value: u64,
    /// What the true value is below by less than: 1 for an exact one, 1000 after `K`, ….
    pub unit: u64,
}

/// Five counts, or five rates per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counters {
    /// Connections.
    pub connections: Counter,
    /// Packets in.
    pub packets_in: Counter,
    /// Packets out.
    pub packets_out: Counter,
    /// Bytes in.
    pub bytes_in: Counter,
    /// Bytes out.
    pub bytes_out: Counter,
}

/// A server behind a virtual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// Where it is.
    pub endpoint: Endpoint,
    /// How packets get there.
    pub forward: Option<Forward>,
    /// Its share; 0 takes no new connections.
    pub weight: Option<u32>,
    /// Connections in use.
    pub active: Option<u64>,
    /// Connections that are being closed.
    pub inactive: Option<u64>,
    /// Clients that are kept to it.
    pub persistent: Option<u64>,
    /// The number of connections above which it takes no new ones; 0 for no limit.
    pub upper_threshold: Option<u32>,
    /// The number of connections below which it takes new ones again.
    pub lower_threshold: Option<u32>,
    /// Since it was added.
    pub stats: Option<Counters>,
    /// Per second.
    pub rates: Option<Counters>,
    /// Its line, from 1.
    pub line: usize,
}

impl RealServer {
    /// A server of which only the place is known.
    pub const fn at(endpoint: Endpoint, line: usize) -> Self {
        Self {
            endpoint,
            forward: None,
            weight: None,
            active: None,
            inactive: None,
            persistent: None,
            upper_threshold: None,
            lower_threshold: None,
            stats: None,
            rates: None,
            line,
        }
    }
}

/// A virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServer {
    /// What it takes in.
    pub address: VirtualAddress,
    /// `rr`, `wrr`, `sh`, ….
    pub scheduler: Option<String>,
    /// The scheduler's flags: `sh-port`, `flag-1`.
    pub flags: Option<Vec<String>>,
    /// Whether clients keep their servers.
    pub persistence: Option<Persistence>,
    /// Whether each UDP packet is balanced by itself.
    pub one_packet: Option<bool>,
    /// Since it was added.
    pub stats: Option<Counters>,
    /// Per second.
    pub rates: Option<Counters>,
    /// Its servers, in the order of the text.
    pub servers: Vec<RealServer>,
    /// Whether a line of one of its servers could not be read.
    pub in_part: bool,
    /// Its line, from 1.
    pub line: usize,
}

impl VirtualServer {
    /// A virtual server of which only the address is known.
    pub const fn at(address: VirtualAddress, line: usize) -> Self {
        Self {
            address,
            scheduler: None,
            flags: None,
            persistence: None,
            one_packet: None,
            stats: None,
            rates: None,
            servers: Vec::new(),
            in_part: false,
            line,
        }
    }
}

/// How long idle connections are kept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP.
    pub tcp: u32,
    /// TCP after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// A daemon that copies connections to or from another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// `master` or `backup`.
    pub role: String,
    /// Its settings as printed: `mcast=eth0, syncid=1, …`.
    pub settings: String,
}

/// A connection that is balanced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `TCP`, `UDP`, `SCTP`, or `IP` for a template of persistence.
    pub protocol: String,
    /// Seconds until it is forgotten.
    pub expires: u64,
    /// `ESTABLISHED`, `TIME_WAIT`, ….
    pub state: String,
    /// The client.
    pub source: Endpoint,
    /// The virtual server.
    pub virtual_server: Endpoint,
    /// The real server.
    pub destination: Endpoint,
}

/// All that one node's IPVS holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpvsTable {
    /// The kernel's version of IPVS: `1.2.1`.
    pub version: Option<String>,
    /// The size of the connection table, in buckets.
    pub buckets: Option<u32>,
    /// Virtual servers, in the order of the text.
    pub services: Vec<VirtualServer>,
    /// From `ipvsadm -L --timeout`.
    pub timeouts: Option<Timeouts>,
    /// From `ipvsadm -L --daemon`.
    pub daemons: Vec<Daemon>,
    /// From `ipvsadm -L -n -c` or `/proc/net/ip_vs_conn`.
    pub connections: Vec<Connection>,
}
