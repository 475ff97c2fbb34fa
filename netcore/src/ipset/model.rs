//! The types. Sets own their options; members are slices of the input, typed when they are asked
//! for, so that a large set costs sixteen bytes a member beside the dump itself.

use std::net::IpAddr;

use super::element::{Member, parse_member};
use crate::{cidr::Family, problem::Problems};

/// The longest name the kernel takes, in bytes.
pub const MAX_NAME: usize = 31;

/// Which command printed the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `ipset save`, or `ipset list -o save`: no references, no memory, no number of entries.
    Save,
    /// `ipset list`, with or without `-t`.
    List,
}

/// All sets of one dump, in its order, and what of it could not be read.
#[derive(Clone, Debug)]
pub struct IpSets<'a> {
    /// The form that the dump has; `Save` for an empty one.
    pub form: Form,
    /// The sets.
    pub sets: Vec<IpSet<'a>>,
    /// What could not be read.
    pub problems: Problems,
}

impl<'a> IpSets<'a> {
    /// The first set of that name.
    pub fn get(&self, name: &str) -> Option<&IpSet<'a>> {
        self.sets.iter().find(|set| set.name == name)
    }
}

/// One set.
#[derive(Clone, Debug, PartialEq)]
pub struct IpSet<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub kind: SetKind,
    /// Its type as written: `hash:ip,port`.
    pub kind_name: &'a str,
    /// Its options in the dump's order.
    pub options: Vec<CreateOption<'a>>,
    /// The type's revision; only `list` prints it.
    pub revision: Option<u32>,
    /// Bytes of kernel memory; only `list` prints it.
    pub memory: Option<u64>,
    /// How many rules and sets refer to it; only `list` prints it.
    pub references: Option<u32>,
    /// How many entries the kernel counted; only `list` prints it, and not that of ipset 6.
    pub entries: Option<u64>,
    /// The line on which it is declared, from 1.
    pub line: usize,
    /// Whether members were listed at all: `list -t` does not.
    pub(super) listed: bool,
    /// Each a member as `add` and `list` write it, options included. All of them could be read.
    pub(super) members: Vec<&'a [u8]>,
}

impl<'a> IpSet<'a> {
    /// The members in the dump's order. Nothing where the dump has headers only (`list -t`).
    pub fn members(&self) -> Option<impl ExactSizeIterator<Item = Member<'a>> + use<'a, '_>> {
        self.listed.then(|| self.members.iter().map(|text| self.typed(text)))
    }

    /// The members as they are written, options included. Nothing where the dump has headers only.
    pub fn texts(&self) -> Option<impl ExactSizeIterator<Item = &'a [u8]> + use<'a, '_>> {
        self.listed.then(|| self.members.iter().copied())
    }

    /// How many members there are: those of the dump, or what a terse header says.
    pub fn len(&self) -> Option<u64> {
        if self.listed { u64::try_from(self.members.len()).ok() } else { self.entries }
    }

    /// Whether the set is known to have no member.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// One member, from 0.
    pub fn member(&self, at: usize) -> Option<Member<'a>> {
        self.members.get(at).map(|text| self.typed(text))
    }

    /// A member was typed once when it was read, so this cannot fail; were it to, it would be there
    /// as unknown text and not disappear.
    fn typed(&self, text: &'a [u8]) -> Member<'a> {
        parse_member(self.kind, self.family(), text).unwrap_or_else(|_| Member::unknown(text))
    }

    /// The family of its addresses; nothing for `bitmap:port` and `list:set`.
    pub fn family(&self) -> Option<Family> {
        let written = self.options.iter().find_map(|option| match option {
            CreateOption::Family(family) => Some(*family),
            _ => None,
        });
        written.or(match self.kind {
            SetKind::BitmapPort | SetKind::ListSet | SetKind::HashMac | SetKind::Unknown => None,
            _ => Some(Family::V4),
        })
    }

    /// The timeout that new entries get, in seconds; 0 is none. Nothing where entries cannot have one.
    pub fn timeout(&self) -> Option<u32> {
        self.options.iter().find_map(|option| match option {
            CreateOption::Timeout(seconds) => Some(*seconds),
            _ => None,
        })
    }

    /// How many entries it may have, for hash types.
    pub fn max_elements(&self) -> Option<u32> {
        self.options.iter().find_map(|option| match option {
            CreateOption::MaxElem(count) => Some(*count),
            _ => None,
        })
    }

    /// The range of a bitmap.
    pub fn range(&self) -> Option<Range> {
        self.options.iter().find_map(|option| match option {
            CreateOption::Range(range) => Some(*range),
            _ => None,
        })
    }

    /// Whether entries count packets and bytes.
    pub fn counters(&self) -> bool {
        self.options.contains(&CreateOption::Counters)
    }
}

/// A set's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetKind {
    /// `hash:ip`
    HashIp,
    /// `hash:net`
    HashNet,
    /// `hash:mac`
    HashMac,
    /// `hash:ip,mac`
    HashIpMac,
    /// `hash:ip,mark`
    HashIpMark,
    /// `hash:ip,port`
    HashIpPort,
    /// `hash:ip,port,ip`
    HashIpPortIp,
    /// `hash:ip,port,net`
    HashIpPortNet,
    /// `hash:net,port`
    HashNetPort,
    /// `hash:net,net`
    HashNetNet,
    /// `hash:net,port,net`
    HashNetPortNet,
    /// `hash:net,iface`
    HashNetIface,
    /// `bitmap:ip`
    BitmapIp,
    /// `bitmap:ip,mac`
    BitmapIpMac,
    /// `bitmap:port`
    BitmapPort,
    /// `list:set`
    ListSet,
    /// a type that this version has not met; its members are kept as text
    Unknown,
}

/// What one part of a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// An address.
    Ip,
    /// A prefix.
    Net,
    /// A port with its protocol, or an ICMP type and code.
    Port,
    /// A hardware address.
    Mac,
    /// A packet mark.
    Mark,
    /// An interface.
    Interface,
    /// Another set.
    Set,
}

impl SetKind {
    /// Every type that is known, by the name ipset gives it.
    pub const NAMES: [(&'static str, Self); 16] = [
        ("hash:ip", Self::HashIp),
        ("hash:net", Self::HashNet),
        ("hash:mac", Self::HashMac),
        ("hash:ip,mac", Self::HashIpMac),
        ("hash:ip,mark", Self::HashIpMark),
        ("hash:ip,port", Self::HashIpPort),
        ("hash:ip,port,ip", Self::HashIpPortIp),
        ("hash:ip,port,net", Self::HashIpPortNet),
        ("hash:net,port", Self::HashNetPort),
        ("hash:net,net", Self::HashNetNet),
        ("hash:net,port,net", Self::HashNetPortNet),
        ("hash:net,iface", Self::HashNetIface),
        ("bitmap:ip", Self::BitmapIp),
        ("bitmap:ip,mac", Self::BitmapIpMac),
        ("bitmap:port", Self::BitmapPort),
        ("list:set", Self::ListSet),
    ];

    /// The type of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// The parts of a member, in order. Nothing for an unknown type.
    pub const fn dimensions(self) -> &'static [Dimension] {
        use Dimension::{Interface, Ip, Mac, Mark, Net, Port, Set};
        match self {
            Self::HashIp | Self::BitmapIp => &[Ip],
            Self::HashNet => &[Net],
            Self::HashMac => &[Mac],
            Self::HashIpMac | Self::BitmapIpMac => &[Ip, Mac],
            Self::HashIpMark => &[Ip, Mark],
            Self::HashIpPort => &[Ip, Port],
            Self::HashIpPortIp => &[Ip, Port, Ip],
            Self::HashIpPortNet => &[Ip, Port, Net],
            Self::HashNetPort => &[Net, Port],
            Self::HashNetNet => &[Net, Net],
            Self::HashNetPortNet => &[Net, Port, Net],
            Self::HashNetIface => &[Net, Interface],
            Self::BitmapPort => &[Port],
            Self::ListSet => &[Set],
            Self::Unknown => &[],
        }
    }

    /// Whether a prefix of length 0 may be a member: most types refuse it.
    pub const fn takes_everything(self) -> bool {
        matches!(self, Self::HashNetIface | Self::HashNetNet | Self::HashNetPortNet)
    }
}

/// A bitmap's range, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Ports.
    Ports(u16, u16),
    /// Addresses.
    Addresses(IpAddr, IpAddr),
}

/// One option of `create`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateOption<'a> {
    /// `family inet|inet6`
    Family(Family),
    /// `hashsize N`, in buckets
    HashSize(u32),
    /// `maxelem N`, in entries
    MaxElem(u32),
    /// `netmask N`, in bits
    Netmask(u8),
    /// `bitmask ADDRESS`
    Bitmask(IpAddr),
    /// `markmask 0x…`
    MarkMask(u32),
    /// `timeout N`, in seconds
    Timeout(u32),
    /// `counters`
    Counters,
    /// `comment`
    Comment,
    /// `skbinfo`
    SkbInfo,
    /// `forceadd`
    ForceAdd,
    /// `bucketsize N`, in entries
    BucketSize(u8),
    /// `initval 0x…`
    InitVal(u32),
    /// `range FIRST-LAST`
    Range(Range),
    /// `size N`, in sets
    Size(u32),
    /// a word that this version has not met
    Unknown(&'a str),
}
