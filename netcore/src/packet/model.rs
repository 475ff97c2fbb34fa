//! A packet on its way: what of it rules can see, what conntrack knows of it, and what came of it.

use std::{borrow::Cow, fmt, net::IpAddr, rc::Rc};

use crate::{cidr::Family, owner::Owner};

/// Where in the kernel rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Everything that comes in.
    Prerouting,
    /// What is for this host.
    Input,
    /// What goes through.
    Forward,
    /// What this host sends.
    Output,
    /// Everything that goes out.
    Postrouting,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 5] = [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting];

    /// As reports and nft write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    /// The chain of iptables that it calls.
    pub const fn chain(self) -> &'static str {
        match self {
            Self::Prerouting => "PREROUTING",
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
            Self::Postrouting => "POSTROUTING",
        }
    }

    /// The hook of nft's name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }

    /// Whether translations here change the source.
    pub const fn changes_source(self) -> bool {
        matches!(self, Self::Input | Self::Postrouting)
    }
}

/// An interface, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// There is none here: a packet of the host's own came in nowhere.
    #[default]
    None,
    /// There is one, and its name is not known.
    Unknown,
    /// This one.
    Named(Rc<str>),
}

impl Device {
    /// The interface of a name.
    pub fn named(name: &str) -> Self {
        Self::Named(name.into())
    }

    /// Its name, empty where there is none; nothing where it is not known.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::None => Some(""),
            Self::Unknown => None,
            Self::Named(name) => Some(name),
        }
    }
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No answer yet.
    New,
    /// Both ends have spoken.
    Established,
    /// Of another connection.
    Related,
    /// Of none.
    Invalid,
}

/// What conntrack knows of the packet where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// Conntrack has not seen it yet.
    Before,
    /// A rule kept conntrack from it.
    Untracked,
    /// It is of a connection in this state.
    Tracked(State),
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// From which port; nothing where it is not known or the protocol has none.
    pub source_port: Option<u16>,
    /// To which port; the same.
    pub destination_port: Option<u16>,
}

/// What a translation makes of one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// The address; nothing where it stays, or is not known.
    pub address: Option<IpAddr>,
    /// The port; the same.
    pub port: Option<u16>,
}

/// The packet's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its first packet's ends, as they were before any translation.
    pub original: Ends,
    /// Its mark.
    pub mark: u32,
    /// What becomes of the source; nothing where nothing does.
    pub source: Option<Translation>,
    /// What becomes of the destination.
    pub destination: Option<Translation>,
    /// Whether the rules that change sources were asked: they are once for each connection.
    pub source_asked: bool,
    /// The same of destinations.
    pub destination_asked: bool,
}

/// A packet as rules see it where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// The protocol's number.
    pub protocol: u8,
    /// From which port; nothing where it is not known, or the protocol has none.
    pub source_port: Option<u16>,
    /// To which port; the same.
    pub destination_port: Option<u16>,
    /// ICMP type and code.
    pub icmp: Option<(u8, u8)>,
    /// TCP's flags, FIN the lowest bit.
    pub flags: u8,
    /// Its mark.
    pub mark: u32,
    /// The interface that it came in by.
    pub input: Device,
    /// The interface that it leaves by.
    pub output: Device,
    /// The port of a bridge that it came in by, where it did and rules can see it.
    pub bridge_input: Device,
    /// The port of a bridge that it leaves by, where it is bridged.
    pub bridge_output: Device,
    /// Whether this host sends it.
    pub own: bool,
    /// Whether IPVS has sent it on.
    pub balanced: bool,
    /// What conntrack knows of it.
    pub tracking: Tracking,
    /// Its connection.
    pub connection: Connection,
}

/// TCP's flags.
pub const SYN: u8 = 2;
/// TCP's flag of every packet but the first.
pub const ACK: u8 = 16;

impl Packet {
    /// The first packet of a connection.
    pub fn first(protocol: u8, ends: Ends) -> Self {
        let kind = match protocol {
            1 => Some((8, 0)),
            58 => Some((128, 0)),
            _ => None,
        };
        Self {
            source: ends.source,
            destination: ends.destination,
            protocol,
            source_port: ends.source_port,
            destination_port: ends.destination_port,
            icmp: kind,
            flags: if protocol == 6 { SYN } else { 0 },
            mark: 0,
            input: Device::None,
            output: Device::None,
            bridge_input: Device::None,
            bridge_output: Device::None,
            own: false,
            balanced: false,
            tracking: Tracking::Before,
            connection: Connection {
                original: ends,
                mark: 0,
                source: None,
                destination: None,
                source_asked: false,
                destination_asked: false,
            },
        }
    }

    /// The family.
    pub fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// Whether the protocol has ports.
    pub const fn has_ports(&self) -> bool {
        matches!(self.protocol, 6 | 17 | 132 | 136 | 33)
    }

    /// Its ends as they are now.
    pub const fn ends(&self) -> Ends {
        Ends {
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
        }
    }

    /// `10.0.0.1:80`, `[fd00::1]:80`; without a port where there is none.
    pub fn target(&self) -> String {
        address_and_port(self.destination, self.destination_port)
    }
}

/// `10.0.0.1:80`, `[fd00::1]:80`; without a port where there is none.
pub fn address_and_port(address: IpAddr, port: Option<u16>) -> String {
    match (address, port) {
        (IpAddr::V4(ip), Some(port)) => format!("{ip}:{port}"),
        (IpAddr::V6(ip), Some(port)) => format!("[{ip}]:{port}"),
        (ip, None) => ip.to_string(),
    }
}

/// What comes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It arrives.
    Accept,
    /// It is gone.
    Drop,
    /// It is gone, and its sender is told.
    Reject,
    /// It cannot be known.
    Unknown,
}

impl Verdict {
    /// As reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Rules that were tested, by whose they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: [u32; Owner::ALL.len()],
}

impl Tally {
    /// Counts rules of an owner.
    pub fn add(&mut self, owner: Owner, rules: u32) {
        if let Some(count) = self.counts.get_mut(owner as usize) {
            *count = count.saturating_add(rules);
        }
    }

    /// Of one owner.
    pub fn of(&self, owner: Owner) -> u32 {
        self.counts.get(owner as usize).copied().unwrap_or_default()
    }

    /// Of all.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }
}

/// Words that are mostly fixed.
pub type Words = Cow<'static, str>;
