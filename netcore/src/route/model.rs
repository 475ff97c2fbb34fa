//! Routes and interfaces.

use std::{fmt, net::IpAddr};

use crate::cidr::{Cidr, Family};

/// What the kernel does with a packet that a route matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// Sends it on.
    #[default]
    Unicast,
    /// Takes it in.
    Local,
    /// Broadcasts it.
    Broadcast,
    /// Takes it in, as one of several.
    Anycast,
    /// Sends it to a group.
    Multicast,
    /// Drops it in silence.
    Blackhole,
    /// Drops it and says so.
    Unreachable,
    /// Drops it as forbidden.
    Prohibit,
    /// Goes on with the next table.
    Throw,
    /// Another one.
    Other(String),
}

impl RouteKind {
    /// The kind of that name, where the name is one.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "unicast" => Self::Unicast,
            "local" => Self::Local,
            "broadcast" => Self::Broadcast,
            "anycast" => Self::Anycast,
            "multicast" => Self::Multicast,
            "blackhole" => Self::Blackhole,
            "unreachable" => Self::Unreachable,
            "prohibit" => Self::Prohibit,
            "throw" => Self::Throw,
            "nat" | "xresolve" => Self::Other(name.to_owned()),
            _ => return None,
        })
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Anycast => "anycast",
            Self::Multicast => "multicast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Throw => "throw",
            Self::Other(name) => name,
        })
    }
}

/// One way out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHop {
    /// The neighbour; none for what is on the link itself.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<String>,
    /// Its share of the traffic among several.
    pub weight: Option<u32>,
    /// What else it says, as it is written, by name: `encap`.
    pub attributes: Vec<(String, String)>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to; `default` is `0.0.0.0/0` or `::/0`.
    pub destination: Cidr,
    /// What happens there.
    pub kind: RouteKind,
    /// The ways out: one, or several for a multipath route; none for a route that drops.
    pub next_hops: Vec<NextHop>,
    /// `kernel`, `static`, `bird`, …; empty where not printed, which means `boot`.
    pub protocol: String,
    /// `link`, `host`, …; empty where not printed, which means global.
    pub scope: String,
    /// `main`, `local`, or another's name or number.
    pub table: String,
    /// The source address that the node itself uses.
    pub source: Option<IpAddr>,
    /// Preference; the lowest wins.
    pub metric: Option<u32>,
    /// `onlink`, `linkdown`, `dead`, …
    pub flags: Vec<String>,
    /// What else the route says, as it is written, by name: `mtu`, `nhid`, `encap`, `pref`.
    pub attributes: Vec<(String, String)>,
    /// Its line in a text, from 1; its place in a JSON list, from 1.
    pub line: usize,
}

impl Route {
    /// The family.
    pub const fn family(&self) -> Family {
        self.destination.family()
    }

    /// The first way out's neighbour.
    pub fn via(&self) -> Option<IpAddr> {
        self.next_hops.first().and_then(|hop| hop.via)
    }

    /// An attribute that has no field of its own: `mtu`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first way out's interface.
    pub fn dev(&self) -> Option<&str> {
        self.next_hops.first().and_then(|hop| hop.dev.as_deref())
    }
}

impl fmt::Display for Route {
    /// As `ip route show table all` prints it; several ways out stand behind each other, as with `-o`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != RouteKind::Unicast {
            write!(f, "{} ", self.kind)?;
        }
        match self.destination {
            all if all.prefix_len() == 0 && all.family() == Family::V4 => f.write_str("default")?,
            host if host.host_bits() == 0 => write!(f, "{}", host.first())?,
            range => write!(f, "{range}")?,
        }
        let (one, several) = match self.next_hops.as_slice() {
            [hop] if hop.weight.is_none() && hop.attributes.is_empty() => (Some(hop), [].as_slice()),
            several => (None, several),
        };
        let family = self.family();
        if let Some(hop) = one {
            hop.write(family, f)?;
        }
        if self.table != "main" {
            write!(f, " table {}", self.table)?;
        }
        for (name, value) in [("proto", &self.protocol), ("scope", &self.scope)] {
            if !value.is_empty() {
                write!(f, " {name} {value}")?;
            }
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        for flag in &self.flags {
            write!(f, " {flag}")?;
        }
        write_attributes(&self.attributes, f)?;
        for hop in several {
            f.write_str(" nexthop")?;
            hop.write(family, f)?;
        }
        Ok(())
    }
}

impl NextHop {
    fn write(&self, family: Family, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // what a packet is wrapped in stands before the way that it goes
        let (wraps, others): (Vec<_>, Vec<_>) = self.attributes.iter().partition(|(name, _)| name == "encap");
        write_attributes(wraps, f)?;
        match self.via {
            Some(via) if Family::of(via) == family => write!(f, " via {via}")?,
            Some(via) => write!(f, " via inet6 {via}")?,
            None => {}
        }
        if let Some(dev) = &self.dev {
            write!(f, " dev {dev}")?;
        }
        if let Some(weight) = self.weight {
            write!(f, " weight {weight}")?;
        }
        write_attributes(others, f)
    }
}

fn write_attributes<'a>(
    attributes: impl IntoIterator<Item = &'a (String, String)>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (name, value) in attributes {
        let gap = if value.is_empty() { "" } else { " " };
        write!(f, " {name}{gap}{value}")?;
    }
    Ok(())
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// `eth0`.
    pub name: String,
    /// Its largest packet.
    pub mtu: Option<u32>,
    /// Whether it is up.
    pub up: bool,
    /// `ether`, `loopback`, …
    pub link_type: String,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address itself.
    pub ip: IpAddr,
    /// The network that it lies in.
    pub network: Cidr,
    /// `global`, `link`, `host`.
    pub scope: String,
}
