//! One member: its parts by dimension, and its own options.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    model::{Dimension, SetKind},
    names::{icmp_value, protocol_number},
};
use crate::cidr::{Cidr, Family, IpRange};

/// A member as the dump has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member<'a> {
    /// What it is.
    pub element: Element<'a>,
    /// Its own options.
    pub options: MemberOptions<'a>,
}

impl<'a> Member<'a> {
    /// A member of a type that is not known.
    pub(super) fn unknown(text: &'a [u8]) -> Self {
        let element = Element { parts: [Part::Unknown(text), Part::Absent, Part::Absent] };
        Self { element, options: MemberOptions::default() }
    }
}

/// A member's parts, in the order of the type's dimensions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Element<'a> {
    /// One to three parts; the rest is [`Part::Absent`].
    pub(super) parts: [Part<'a>; 3],
}

impl<'a> Element<'a> {
    /// From up to three parts; more are dropped.
    pub fn new(parts: &[Part<'a>]) -> Self {
        let at = |n: usize| parts.get(n).copied().unwrap_or(Part::Absent);
        Self { parts: [at(0), at(1), at(2)] }
    }

    /// The parts that are there.
    pub fn parts(&self) -> impl Iterator<Item = &Part<'a>> {
        self.parts.iter().filter(|part| **part != Part::Absent)
    }
}

/// One part of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part<'a> {
    /// Nothing: the type has fewer dimensions, or a `bitmap:ip,mac` entry has no hardware address yet.
    Absent,
    /// One address.
    Ip(IpAddr),
    /// Addresses from a hand-written `FIRST-LAST`, or of a prefix where the type takes addresses.
    Ips(IpRange),
    /// A prefix, without host bits.
    Net(Cidr),
    /// A port, or several.
    Port(Port<'a>),
    /// A hardware address.
    Mac([u8; 6]),
    /// A packet mark.
    Mark(u32),
    /// An interface.
    Interface(Interface<'a>),
    /// A set's name.
    Set(&'a str),
    /// A member of a type that is not known, options included.
    Unknown(&'a [u8]),
}

/// A port with its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<'a> {
    /// The protocol, where one is written; ipset takes TCP where none is.
    pub protocol: Option<Protocol<'a>>,
    /// The port; for ICMP the type times 256 plus the code.
    pub first: u16,
    /// The last port of a hand-written range; else the same.
    pub last: u16,
    /// The ICMP type's name, where it is written by name.
    pub icmp_name: Option<&'a str>,
}

/// A protocol as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol<'a> {
    /// Its name or number.
    pub name: &'a str,
    /// Its number, where the name is known.
    pub number: Option<u8>,
}

/// An interface of `hash:net,iface`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// The name, or its beginning where the member is a wildcard.
    pub name: &'a str,
    /// Whether the bridge port is meant.
    pub physdev: bool,
}

/// A member's own options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberOptions<'a> {
    /// Seconds that are left; 0 is for ever.
    pub timeout: Option<u32>,
    /// The member is an exception.
    pub nomatch: bool,
    /// The interface is a beginning.
    pub wildcard: bool,
    /// Packets counted.
    pub packets: Option<u64>,
    /// Bytes counted.
    pub bytes: Option<u64>,
    /// The comment, any bytes but a quote.
    pub comment: Option<&'a [u8]>,
    /// The mark that a match sets.
    pub skbmark: Option<SkbMark>,
    /// The class that a match sets, major and minor.
    pub skbprio: Option<(u16, u16)>,
    /// The queue that a match sets.
    pub skbqueue: Option<u16>,
}

/// `skbmark VALUE/MASK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkbMark {
    /// The mark.
    pub value: u32,
    /// Its mask; all ones where none is written.
    pub mask: u32,
}

/// A token that could not be read: where in the member it begins, how long it is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) reason: &'static str,
}

fn fault<T>(at: usize, token: &[u8], reason: &'static str) -> Result<T, Fault> {
    Err(Fault { at, len: token.len(), reason })
}

/// Reads an element as `ipset test SET ELEMENT` takes it. The error says what would be valid.
pub fn parse_element(kind: SetKind, family: Option<Family>, text: &str) -> Result<Element<'_>, &'static str> {
    element(kind, family, text.as_bytes()).map_err(|fault| fault.reason)
}

/// Reads a member with its options: what stands behind `add NAME `.
pub(super) fn parse_member(kind: SetKind, family: Option<Family>, text: &[u8]) -> Result<Member<'_>, Fault> {
    if kind == SetKind::Unknown {
        return Ok(Member::unknown(text));
    }
    let end = if kind == SetKind::ListSet { set_name_end(text) } else { word_end(text, 0) };
    let element = element(kind, family, text.get(..end).unwrap_or_default())?;
    let options = if end == text.len() { MemberOptions::default() } else { member_options(text, end)? };
    Ok(Member { element, options })
}

/// A set's name may have blanks; it ends where an option begins.
fn set_name_end(text: &[u8]) -> usize {
    const OPTIONS: [&[u8]; 10] = [
        b"",
        b"timeout",
        b"nomatch",
        b"wildcard",
        b"packets",
        b"bytes",
        b"comment",
        b"skbmark",
        b"skbprio",
        b"skbqueue",
    ];
    let mut end = word_end(text, 0);
    // no name is longer than 31 bytes, so a longer run of words is none
    while end < text.len() && end <= super::model::MAX_NAME {
        let next = word_end(text, end + 1);
        if OPTIONS.contains(&text.get(end + 1..next).unwrap_or_default()) {
            break;
        }
        end = next;
    }
    end
}

/// Where the word that begins at `from` ends.
fn word_end(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + memchr::memchr(b' ', rest).unwrap_or(rest.len())
}

fn element(kind: SetKind, family: Option<Family>, text: &[u8]) -> Result<Element<'_>, Fault> {
    let mut parts = [Part::Absent; 3];
    let mut at = 0;
    let dimensions = kind.dimensions();
    for (number, (dimension, part)) in dimensions.iter().zip(&mut parts).enumerate() {
        let rest = match text.get(at..) {
            Some(rest) if number == 0 || at <= text.len() => rest,
            // the kernel fills the hardware address in later
            _ if kind == SetKind::BitmapIpMac && number == 1 => break,
            _ => return fault(0, text, "fewer parts than the type has, which are separated by commas"),
        };
        let last = number + 1 == dimensions.len();
        let end = if last { rest.len() } else { memchr::memchr(b',', rest).unwrap_or(rest.len()) };
        let token = rest.get(..end).unwrap_or_default();
        *part = match part_of(kind, *dimension, family, token) {
            Ok(part) => part,
            Err(reason) => return fault(at, token, reason),
        };
        at += end + 1;
    }
    if dimensions.is_empty() {
        parts[0] = Part::Unknown(text);
    }
    Ok(Element { parts })
}

fn part_of(
    kind: SetKind,
    dimension: Dimension,
    family: Option<Family>,
    token: &[u8],
) -> Result<Part<'_>, &'static str> {
    let Ok(text) = std::str::from_utf8(token) else { return Err("not UTF-8") };
    match dimension {
        Dimension::Ip => ip_part(text, family),
        Dimension::Net => net_part(kind, text, family),
        Dimension::Port => port(text).map(Part::Port),
        Dimension::Mac => mac(text).map(Part::Mac).ok_or("not a hardware address like 01:23:45:67:89:ab"),
        Dimension::Mark => number(text).map(Part::Mark).ok_or("not a mark from 0 to 0xffffffff"),
        Dimension::Interface => interface(text).map(Part::Interface),
        Dimension::Set => name(text).map(Part::Set),
    }
}

const NO_ADDRESS: &str = "not an address of the set's family";

fn address(text: &str, family: Option<Family>) -> Option<IpAddr> {
    match family {
        Some(Family::V4) => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some(Family::V6) => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

fn ip_part(text: &str, family: Option<Family>) -> Result<Part<'_>, &'static str> {
    if let Some(ip) = address(text, family) {
        return Ok(Part::Ip(ip));
    }
    if let Some(range) = address_range(text, family)? {
        return Ok(if range.first() == range.last() { Part::Ip(range.first()) } else { Part::Ips(range) });
    }
    let cidr = prefix(text, family)?;
    Ok(if cidr.host_bits() == 0 { Part::Ip(cidr.first()) } else { Part::Ips(cidr.into()) })
}

fn net_part(kind: SetKind, text: &str, family: Option<Family>) -> Result<Part<'_>, &'static str> {
    if let Some(ip) = address(text, family) {
        return Ok(Part::Net(Cidr::host(ip)));
    }
    if let Some(range) = address_range(text, family)? {
        return Ok(Part::Ips(range));
    }
    let cidr = prefix(text, family)?;
    if cidr.prefix_len() == 0 && !kind.takes_everything() {
        return Err("this type takes no prefix of length 0; write the two halves, 0.0.0.0/1 and 128.0.0.0/1");
    }
    Ok(Part::Net(cidr))
}

fn prefix(text: &str, family: Option<Family>) -> Result<Cidr, &'static str> {
    let (ip, length) = text.split_once('/').ok_or(NO_ADDRESS)?;
    let ip = address(ip, family).ok_or(NO_ADDRESS)?;
    let length = small(length).ok_or("not a prefix length")?;
    Cidr::covering(ip, length).ok_or("the prefix is longer than the address")
}

fn address_range(text: &str, family: Option<Family>) -> Result<Option<IpRange>, &'static str> {
    let Some((first, last)) = text.split_once('-') else { return Ok(None) };
    let (Some(first), Some(last)) = (address(first, family), address(last, family)) else { return Err(NO_ADDRESS) };
    IpRange::new(first, last).map(Some).ok_or("the range ends before it begins")
}

/// A decimal of up to three digits.
pub(super) fn small(text: &str) -> Option<u8> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A decimal, or a hexadecimal with `0x`.
pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u32::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

const NO_PORT: &str = "not a port: PORT, PROTOCOL:PORT, icmp:TYPE/CODE, or PROTOCOL:0 for a protocol without ports";

fn port(text: &str) -> Result<Port<'_>, &'static str> {
    let (protocol, value) = match text.split_once(':') {
        Some((name, value)) => {
            if name.is_empty() || name.bytes().any(|b| b <= b' ') {
                return Err(NO_PORT);
            }
            (Some(Protocol { name, number: protocol_number(name) }), value)
        }
        None => (None, text),
    };
    let number = protocol.and_then(|p| p.number);
    if let Some(icmp @ (1 | 58)) = number {
        if let Some(found) = icmp_value(value, icmp == 58) {
            return Ok(Port { protocol, first: found, last: found, icmp_name: Some(value) });
        }
        let (kind, code) = value.split_once('/').ok_or(NO_PORT)?;
        let value = u16::from_be_bytes([small(kind).ok_or(NO_PORT)?, small(code).ok_or(NO_PORT)?]);
        return Ok(Port { protocol, first: value, last: value, icmp_name: None });
    }
    let digits = |text: &str| match text.bytes().next() {
        Some(b'0'..=b'9') => text.parse::<u16>().ok(),
        _ => None,
    };
    let (first, last) = match value.split_once('-') {
        Some((first, last)) => (digits(first), digits(last)),
        None => (digits(value), digits(value)),
    };
    match (first, last) {
        (Some(first), Some(last)) if first <= last => Ok(Port { protocol, first, last, icmp_name: None }),
        (Some(_), Some(_)) => Err("the range ends before it begins"),
        _ => Err(NO_PORT),
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut pairs = text.split(':');
    for byte in &mut bytes {
        let pair = pairs.next()?;
        if pair.len() != 2 || pair.starts_with('+') {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

fn interface(text: &str) -> Result<Interface<'_>, &'static str> {
    let (name, physdev) = match text.strip_prefix("physdev:") {
        Some(name) => (name, true),
        None => (text, false),
    };
    if name.is_empty() || name.len() > 15 || name.bytes().any(|b| b <= b' ') {
        return Err("not an interface: 1 to 15 characters, with `physdev:` before a bridge port");
    }
    Ok(Interface { name, physdev })
}

pub(super) fn name(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() || text.len() > super::model::MAX_NAME || text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return Err("not a set's name: 1 to 31 characters");
    }
    Ok(text)
}

/// Reads `timeout 3 packets 1 …` from `at` on.
fn member_options(text: &[u8], mut at: usize) -> Result<MemberOptions<'_>, Fault> {
    let mut options = MemberOptions::default();
    while at < text.len() {
        at += 1; // the blank
        let end = word_end(text, at);
        let word = text.get(at..end).unwrap_or_default();
        if word.is_empty() {
            at = end;
            continue;
        }
        match word {
            b"nomatch" => options.nomatch = true,
            b"wildcard" => options.wildcard = true,
            b"comment" => {
                let (comment, next) = comment(text, end)?;
                options.comment = Some(comment);
                at = next;
                continue;
            }
            _ => {
                let from = (end + 1).min(text.len());
                let end = word_end(text, from);
                let value = text.get(from..end).unwrap_or_default();
                valued(&mut options, word, at, value, from)?;
                at = end;
                continue;
            }
        }
        at = end;
    }
    Ok(options)
}

fn valued<'a>(
    options: &mut MemberOptions<'a>,
    word: &[u8],
    at: usize,
    value: &'a [u8],
    from: usize,
) -> Result<(), Fault> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let counted = || match text.bytes().next() {
        Some(b'0'..=b'9') => text.parse::<u64>().ok(),
        _ => None,
    };
    let taken = match word {
        b"timeout" => counted().and_then(|n| u32::try_from(n).ok()).map(|n| options.timeout = Some(n)),
        b"packets" => counted().map(|n| options.packets = Some(n)),
        b"bytes" => counted().map(|n| options.bytes = Some(n)),
        b"skbmark" => skbmark(text).map(|mark| options.skbmark = Some(mark)),
        b"skbprio" => skbprio(text).map(|prio| options.skbprio = Some(prio)),
        b"skbqueue" => counted().and_then(|n| u16::try_from(n).ok()).map(|n| options.skbqueue = Some(n)),
        _ => {
            let reason = "not an option of a member: timeout, nomatch, wildcard, packets, bytes, comment, skbmark, \
                          skbprio or skbqueue";
            return fault(at, word, reason);
        }
    };
    if taken.is_some() { Ok(()) } else { fault(from, value, "not a value of the option before it") }
}

fn comment(text: &[u8], from: usize) -> Result<(&[u8], usize), Fault> {
    let open = from + 1;
    let Some(rest) = text.get(open + 1..).filter(|_| text.get(open) == Some(&b'"')) else {
        return fault(from.min(text.len()), b"", "a comment stands in double quotes");
    };
    let Some(close) = memchr::memchr(b'"', rest) else {
        return fault(open, text.get(open..).unwrap_or_default(), "the comment's closing quote is missing");
    };
    let after = open + 1 + close + 1;
    match text.get(after) {
        None | Some(b' ') => Ok((rest.get(..close).unwrap_or_default(), after)),
        Some(_) => fault(after, text.get(after..).unwrap_or_default(), "a blank follows a comment's closing quote"),
    }
}

fn skbmark(text: &str) -> Option<SkbMark> {
    let hex = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.starts_with('+') { None } else { u32::from_str_radix(digits, 16).ok() }
    };
    match text.split_once('/') {
        Some((value, mask)) => Some(SkbMark { value: hex(value)?, mask: hex(mask)? }),
        None => Some(SkbMark { value: hex(text)?, mask: u32::MAX }),
    }
}

fn skbprio(text: &str) -> Option<(u16, u16)> {
    let (major, minor) = text.split_once(':')?;
    let hex = |text: &str| if text.starts_with('+') { None } else { u16::from_str_radix(text, 16).ok() };
    Some((hex(major)?, hex(minor)?))
}
