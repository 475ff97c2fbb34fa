//! What matches a set: the kernel's own lookup, on the members of a dump.
//!
//! A hash type with prefixes tries every prefix length that any member has, the longest first; the
//! first entry found decides, also where it is a `nomatch`. With two prefixes the second is tried in
//! full for each length of the first.

use std::{
    cell::OnceCell,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use super::{
    element::{Element, Interface, Part, Port},
    model::{CreateOption, Dimension, IpSet, IpSets, Range, SetKind},
};
use crate::cidr::{Cidr, Family, IpRange, cover};

/// What a lookup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is in the set; the member's number, from 0.
    In(usize),
    /// A member with `nomatch` decided that it is not; the member's number.
    Excluded(usize),
    /// No member has it.
    Out,
    /// It cannot be known from the dump, and why.
    Unknown(&'static str),
}

impl Answer {
    /// Whether the kernel says that it matches; nothing where that cannot be known.
    pub const fn matches(self) -> Option<bool> {
        match self {
            Self::In(_) => Some(true),
            Self::Excluded(_) | Self::Out => Some(false),
            Self::Unknown(_) => None,
        }
    }
}

/// Which end of a packet a dimension looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `src`: the source; for an interface the one it came in by.
    Source,
    /// `dst`: the destination; for an interface the one it leaves by.
    Destination,
}

/// What of a packet a set can look at. `None` is not known.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'p> {
    /// Source and destination.
    pub addresses: (IpAddr, IpAddr),
    /// The protocol's number.
    pub protocol: u8,
    /// Source and destination port; `None` also for protocols without.
    pub ports: Option<(u16, u16)>,
    /// ICMP type and code.
    pub icmp: Option<(u8, u8)>,
    /// Source and destination hardware address.
    pub macs: Option<([u8; 6], [u8; 6])>,
    /// The interfaces in and out.
    pub interfaces: (Option<&'p str>, Option<&'p str>),
    /// The mark.
    pub mark: Option<u32>,
}

/// A member, with every prefix masked and every part a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Key {
    first: u128,
    second: u128,
    /// port, mark or hardware address
    other: u64,
    /// lengths of the prefixes; 0 where the part is none
    lengths: (u8, u8),
}

/// A hand-written member that stands for many.
#[derive(Clone, Copy, Debug)]
struct Wide {
    first: (u128, u128),
    second: (u128, u128),
    other: (u64, u64),
    lengths: (u8, u8),
    at: usize,
}

/// One set, ready for lookups.
#[derive(Debug)]
pub struct SetIndex<'s> {
    kind: SetKind,
    family: Option<Family>,
    mask: u128,
    second_mask: u128,
    mark_mask: u32,
    range: Option<Range>,
    /// by key, with whether it is a `nomatch`
    exact: HashMap<Key, (usize, bool)>,
    wide: Vec<Wide>,
    nomatch: BTreeSet<usize>,
    /// lengths of the first and the second prefix, the longest first
    lengths: (Vec<u8>, Vec<u8>),
    /// interfaces by prefix, in the dump's order
    interfaces: HashMap<Key, Vec<(Interface<'s>, bool, usize)>>,
    /// hardware addresses that are not yet known match any
    macs: HashMap<u128, (usize, Option<u64>)>,
    names: Vec<&'s str>,
    /// Why nothing can be said.
    unknown: Option<&'static str>,
}

impl<'s> SetIndex<'s> {
    /// Reads the members once.
    pub fn new(set: &IpSet<'s>) -> Self {
        let mut index = Self {
            kind: set.kind,
            family: set.family(),
            mask: u128::MAX,
            second_mask: u128::MAX,
            mark_mask: u32::MAX,
            range: set.range(),
            exact: HashMap::new(),
            wide: Vec::new(),
            nomatch: BTreeSet::new(),
            lengths: (Vec::new(), Vec::new()),
            interfaces: HashMap::new(),
            macs: HashMap::new(),
            names: Vec::new(),
            unknown: None,
        };
        index.options(set);
        match set.members() {
            None => index.unknown = Some("the dump has headers only"),
            Some(_) if set.kind == SetKind::Unknown => index.unknown = Some("a set type that is not known"),
            Some(members) => {
                let (mut first, mut second) = (BTreeSet::new(), BTreeSet::new());
                for (at, member) in members.enumerate() {
                    if member.options.nomatch {
                        index.nomatch.insert(at);
                    }
                    index.take(&member.element, member.options.wildcard, at, &mut first, &mut second);
                }
                index.lengths = (first.into_iter().rev().collect(), second.into_iter().rev().collect());
            }
        }
        index
    }

    fn options(&mut self, set: &IpSet<'s>) {
        let bits = self.family.map_or(32, Family::bits);
        for option in &set.options {
            match option {
                CreateOption::Netmask(length) => self.mask = prefix_mask(bits, *length),
                CreateOption::Bitmask(ip) => self.mask = number(*ip),
                CreateOption::MarkMask(mask) => self.mark_mask = *mask,
                _ => {}
            }
        }
        if set.kind == SetKind::HashNetNet {
            self.second_mask = self.mask;
        }
    }

    fn take(
        &mut self,
        element: &Element<'s>,
        wildcard: bool,
        at: usize,
        first: &mut BTreeSet<u8>,
        second: &mut BTreeSet<u8>,
    ) {
        let nomatch = self.nomatch.contains(&at);
        match element.parts {
            [Part::Set(name), ..] => self.names.push(name),
            [Part::Ip(ip), mac, _] if self.kind == SetKind::BitmapIpMac => {
                let mac = if let Part::Mac(bytes) = mac { Some(mac_number(bytes)) } else { None };
                self.macs.entry(number(ip)).or_insert((at, mac));
            }
            [net, Part::Interface(interface), _] => {
                for (network, length) in networks(&net) {
                    first.insert(length);
                    let other = u64::from(interface.physdev);
                    let key = Key { first: network.0, other, lengths: (length, 0), ..Key::default() };
                    self.interfaces.entry(key).or_default().push((interface, wildcard, at));
                }
            }
            parts => {
                for wide in wides(self.kind, &parts, at) {
                    first.insert(wide.lengths.0);
                    second.insert(wide.lengths.1);
                    let low = wide.first.0 & self.mask;
                    let high = if wide.first.0 == wide.first.1 { low } else { wide.first.1 };
                    let wide = Wide { first: (low, high), ..wide };
                    let single =
                        wide.first.0 == wide.first.1 && wide.second.0 == wide.second.1 && wide.other.0 == wide.other.1;
                    if single {
                        let (first, second, other) = (wide.first.0, wide.second.0, wide.other.0);
                        let key = Key { first, second, other, lengths: wide.lengths };
                        self.exact.entry(key).or_insert((at, nomatch));
                    } else {
                        self.wide.push(wide);
                    }
                }
            }
        }
    }

    /// What `ipset test SET ELEMENT` says.
    pub fn test(&self, element: &Element<'_>) -> Answer {
        if let Some(reason) = self.unknown {
            return Answer::Unknown(reason);
        }
        if self.out_of_range(element) {
            return Answer::Out;
        }
        match element.parts {
            [Part::Set(name), ..] => self.names.iter().position(|n| *n == name).map_or(Answer::Out, Answer::In),
            [Part::Ip(ip), mac, _] if self.kind == SetKind::BitmapIpMac => self.test_mac(ip, &mac),
            [Part::Net(net), Part::Interface(interface), _] => self.test_interface(&net, interface),
            parts => self.test_key(&parts),
        }
    }

    /// A bitmap holds nothing outside its range.
    fn out_of_range(&self, element: &Element<'_>) -> bool {
        match (self.range, &element.parts[0]) {
            (Some(Range::Ports(first, last)), Part::Port(port)) => port.first < first || port.first > last,
            (Some(Range::Addresses(first, last)), Part::Ip(ip)) => *ip < first || *ip > last,
            _ => false,
        }
    }

    fn test_mac(&self, ip: IpAddr, mac: &Part<'_>) -> Answer {
        match (self.macs.get(&number(ip)), mac) {
            (Some((at, None)), _) | (Some((at, Some(_))), Part::Absent) => Answer::In(*at),
            (Some((at, Some(held))), Part::Mac(bytes)) if *held == mac_number(*bytes) => Answer::In(*at),
            _ => Answer::Out,
        }
    }

    fn test_interface(&self, net: &Cidr, wanted: Interface<'_>) -> Answer {
        let bits = net.family().bits();
        let exact = [net.prefix_len()];
        // only an address is looked for in all prefixes
        let lengths = if net.host_bits() == 0 { self.lengths.0.as_slice() } else { &exact };
        for length in lengths {
            let first = net.first_number() & prefix_mask(bits, *length);
            let key = Key { first, other: u64::from(wanted.physdev), lengths: (*length, 0), ..Key::default() };
            let Some(held) = self.interfaces.get(&key) else { continue };
            let found = held.iter().find(|(interface, wildcard, _)| {
                if *wildcard { wanted.name.starts_with(interface.name) } else { wanted.name == interface.name }
            });
            // a prefix that is there with other interfaces ends the search: shorter ones are not tried;
            // bridge ports are kept apart from interfaces
            return found.map_or(Answer::Out, |(.., at)| self.answer(*at));
        }
        Answer::Out
    }

    fn answer(&self, at: usize) -> Answer {
        if self.nomatch.contains(&at) { Answer::Excluded(at) } else { Answer::In(at) }
    }

    fn test_key(&self, parts: &[Part<'_>; 3]) -> Answer {
        let Some(wanted) = wides(self.kind, parts, 0).into_iter().next() else {
            return Answer::Unknown("the element does not have the set's dimensions");
        };
        let other = match self.kind {
            SetKind::HashIpMark => wanted.other.0 & u64::from(self.mark_mask),
            _ => wanted.other.0,
        };
        let bits = self.family.map_or(32, Family::bits);
        let dimensions = self.kind.dimensions();
        let nets = (dimensions.first() == Some(&Dimension::Net), second_is_net(self.kind));
        let host = |net: bool, length: u8| !net || length == bits;
        let key = Key {
            first: wanted.first.0 & self.mask,
            second: wanted.second.0 & self.second_mask,
            other,
            lengths: wanted.lengths,
        };
        if !host(nets.0, wanted.lengths.0) || !host(nets.1, wanted.lengths.1) {
            return self.look(&key).unwrap_or(Answer::Out);
        }
        let none: &[u8] = &[0];
        let firsts = if nets.0 { self.lengths.0.as_slice() } else { none };
        let seconds = if nets.1 { self.lengths.1.as_slice() } else { none };
        for first in firsts {
            for second in seconds {
                let key = Key {
                    first: if nets.0 { key.first & prefix_mask(bits, *first) } else { key.first },
                    second: if nets.1 { key.second & prefix_mask(bits, *second) } else { key.second },
                    other,
                    lengths: (*first, *second),
                };
                if let Some(answer) = self.look(&key) {
                    return answer;
                }
            }
        }
        Answer::Out
    }

    fn look(&self, key: &Key) -> Option<Answer> {
        if let Some((at, nomatch)) = self.exact.get(key) {
            return Some(if *nomatch { Answer::Excluded(*at) } else { Answer::In(*at) });
        }
        let wide = self.wide.iter().find(|wide| {
            wide.lengths == key.lengths
                && (wide.first.0..=wide.first.1).contains(&key.first)
                && (wide.second.0..=wide.second.1).contains(&key.second)
                && (wide.other.0..=wide.other.1).contains(&key.other)
        })?;
        Some(self.answer(wide.at))
    }

    /// The element that a packet is, seen by a set of this type; an answer where there is none.
    fn element_of<'p>(&self, packet: &Packet<'p>, sides: &[Side]) -> Result<Element<'p>, Answer> {
        let dimensions = self.kind.dimensions();
        if sides.len() < dimensions.len() {
            return Err(Answer::Out);
        }
        if self.family.is_some_and(|family| family != Family::of(packet.addresses.0)) {
            return Err(Answer::Out);
        }
        let mut parts = [Part::Absent; 3];
        for ((dimension, side), part) in dimensions.iter().zip(sides).zip(&mut parts) {
            *part = self.part_of(packet, *dimension, *side)?;
        }
        Ok(Element { parts })
    }

    fn part_of<'p>(&self, packet: &Packet<'p>, dimension: Dimension, side: Side) -> Result<Part<'p>, Answer> {
        let ip = side.of(packet.addresses);
        Ok(match dimension {
            Dimension::Ip => Part::Ip(ip),
            Dimension::Net => Part::Net(Cidr::host(ip)),
            Dimension::Port => Part::Port(self.port_of(packet, side)?),
            Dimension::Mac if self.kind != SetKind::HashMac && side == Side::Destination => return Err(Answer::Out),
            Dimension::Mac => match packet.macs {
                Some(macs) => Part::Mac(side.of(macs)),
                None => return Err(Answer::Unknown("the packet's hardware addresses are not known")),
            },
            Dimension::Mark => match packet.mark {
                Some(mark) => Part::Mark(mark),
                None => return Err(Answer::Unknown("the packet's mark is not known")),
            },
            Dimension::Interface => match side.of(packet.interfaces) {
                Some(name) => Part::Interface(Interface { name, physdev: false }),
                None => return Err(Answer::Unknown("the packet's interface is not known")),
            },
            Dimension::Set => return Err(Answer::Unknown("a list of sets wants the other sets: use a table of them")),
        })
    }

    fn port_of<'p>(&self, packet: &Packet<'_>, side: Side) -> Result<Port<'p>, Answer> {
        let number = packet.protocol;
        // `bitmap:port` looks at TCP and UDP only
        if self.kind == SetKind::BitmapPort && !matches!(number, 6 | 17) {
            return Err(Answer::Out);
        }
        let value = match (number, packet.ports, packet.icmp) {
            (6 | 17 | 132 | 136, Some(ports), _) => side.of(ports),
            (1 | 58, _, Some((kind, code))) => u16::from_be_bytes([kind, code]),
            (6 | 17 | 132 | 136 | 1 | 58, ..) => return Err(Answer::Unknown("the packet's ports are not known")),
            _ => 0,
        };
        let protocol = Some(super::element::Protocol { name: "", number: Some(number) });
        Ok(Port { protocol, first: value, last: value, icmp_name: None })
    }
}

impl Side {
    const fn of<T: Copy>(self, pair: (T, T)) -> T {
        match self {
            Self::Source => pair.0,
            Self::Destination => pair.1,
        }
    }
}

/// All sets of a dump, each indexed when it is first asked.
#[derive(Debug)]
pub struct SetTable<'t, 'a> {
    sets: HashMap<&'a str, (&'t IpSet<'a>, OnceCell<SetIndex<'a>>)>,
}

/// How deep lists of sets are followed; the kernel refuses a list in a list.
const DEPTH: usize = 4;

impl<'t, 'a> SetTable<'t, 'a> {
    /// The first set of each name.
    pub fn new(sets: &'t IpSets<'a>) -> Self {
        let mut table = HashMap::new();
        for set in &sets.sets {
            table.entry(set.name).or_insert((set, OnceCell::new()));
        }
        Self { sets: table }
    }

    /// The set and its index.
    pub fn get(&self, name: &str) -> Option<(&'t IpSet<'a>, &SetIndex<'a>)> {
        let (set, index) = self.sets.get(name)?;
        Some((set, index.get_or_init(|| SetIndex::new(set))))
    }

    /// What `-m set --match-set NAME src,dst` says of a packet.
    pub fn matches(&self, name: &str, packet: &Packet<'_>, sides: &[Side]) -> Answer {
        self.matches_at(name, packet, sides, DEPTH)
    }

    fn matches_at(&self, name: &str, packet: &Packet<'_>, sides: &[Side], depth: usize) -> Answer {
        let Some((_, index)) = self.get(name) else { return Answer::Unknown("the dump has no such set") };
        if index.kind != SetKind::ListSet {
            return index.packet(packet, sides);
        }
        if let Some(reason) = index.unknown {
            return Answer::Unknown(reason);
        }
        if depth == 0 {
            return Answer::Unknown("lists of sets in lists of sets");
        }
        // in order: the first that has it decides, so one that cannot be known hides the rest
        for (at, member) in index.names.iter().enumerate() {
            match self.matches_at(member, packet, sides, depth - 1) {
                Answer::In(_) => return Answer::In(at),
                Answer::Unknown(reason) => return Answer::Unknown(reason),
                Answer::Excluded(_) | Answer::Out => {}
            }
        }
        Answer::Out
    }
}

impl SetIndex<'_> {
    /// What the set says of a packet, a dimension at a time. Not for `list:set`. A rule of iptables
    /// cannot ask for the bridge port, so `physdev:` entries match no packet here.
    pub fn packet(&self, packet: &Packet<'_>, sides: &[Side]) -> Answer {
        if let Some(reason) = self.unknown {
            return Answer::Unknown(reason);
        }
        match self.element_of(packet, sides) {
            Ok(element) => self.test(&element),
            Err(answer) => answer,
        }
    }
}

const fn second_is_net(kind: SetKind) -> bool {
    matches!(kind, SetKind::HashNetNet | SetKind::HashIpPortNet | SetKind::HashNetPortNet)
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The mask of a prefix in an address of `bits`, as a number; the bits above are set and do no harm.
const fn prefix_mask(bits: u8, length: u8) -> u128 {
    match bits.saturating_sub(length) {
        128.. => 0,
        host => !((1 << host) - 1),
    }
}

fn mac_number(bytes: [u8; 6]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A part's networks: first and last address, and the length. A hand-written range is cut as ipset cuts it.
fn networks(part: &Part<'_>) -> Vec<((u128, u128), u8)> {
    match part {
        Part::Net(cidr) => vec![((cidr.first_number(), cidr.first_number()), cidr.prefix_len())],
        Part::Ips(range) => {
            let pieces = cover(*range).into_iter();
            pieces.map(|cidr| ((cidr.first_number(), cidr.first_number()), cidr.prefix_len())).collect()
        }
        Part::Ip(ip) => vec![((number(*ip), number(*ip)), Family::of(*ip).bits())],
        _ => Vec::new(),
    }
}

fn addresses(part: &Part<'_>) -> Vec<((u128, u128), u8)> {
    match part {
        Part::Ip(ip) => vec![((number(*ip), number(*ip)), 0)],
        Part::Ips(range) => vec![(span(range), 0)],
        Part::Net(cidr) => vec![((cidr.first_number(), cidr.last_number()), 0)],
        _ => Vec::new(),
    }
}

fn span(range: &IpRange) -> (u128, u128) {
    (range.first_number(), range.last_number())
}

/// A member as numbers: one, or one for each network that a hand-written range is cut into.
fn wides(kind: SetKind, parts: &[Part<'_>; 3], at: usize) -> Vec<Wide> {
    let zero = || vec![((0, 0), 0)];
    let (mut first, mut second, mut other) = (None, None, (0, 0));
    for (dimension, part) in kind.dimensions().iter().zip(parts) {
        match dimension {
            Dimension::Ip | Dimension::Net => {
                let values = if *dimension == Dimension::Net { networks(part) } else { addresses(part) };
                if first.is_none() { first = Some(values) } else { second = Some(values) }
            }
            Dimension::Port => match part {
                Part::Port(port) => other = ports(kind, port),
                _ => return Vec::new(),
            },
            Dimension::Mac => match part {
                Part::Mac(bytes) => other = (mac_number(*bytes), mac_number(*bytes)),
                _ => return Vec::new(),
            },
            Dimension::Mark => match part {
                Part::Mark(mark) => other = (u64::from(*mark), u64::from(*mark)),
                _ => return Vec::new(),
            },
            Dimension::Interface | Dimension::Set => return Vec::new(),
        }
    }
    let (first, second) = (first.unwrap_or_else(zero), second.unwrap_or_else(zero));
    let pair = |a: &((u128, u128), u8), b: &((u128, u128), u8)| Wide {
        first: a.0,
        second: b.0,
        other,
        lengths: (a.1, b.1),
        at,
    };
    first.iter().flat_map(|a| second.iter().map(move |b| pair(a, b))).collect()
}

/// The port with the protocol above it; `bitmap:port` has no protocol. A protocol that is not known
/// by name is nobody else's.
fn ports(kind: SetKind, port: &Port<'_>) -> (u64, u64) {
    const NOBODY: u64 = 0x1_0000;
    let protocol = match port.protocol {
        _ if kind == SetKind::BitmapPort => 0,
        None => 6,
        Some(protocol) => protocol.number.map_or(NOBODY, u64::from),
    };
    (protocol << 16 | u64::from(port.first), protocol << 16 | u64::from(port.last))
}
