//! The values of options, with the text that iptables prints for them.

use std::{
    borrow::Cow,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    module::Value,
    words::{Words, is_open},
};
use crate::cidr::Family;

#[cfg(test)]
use super::properties::Random;

/// A value that `!` may stand before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Not<T> {
    /// Whether `!` stands before the option: everything but the value.
    pub negated: bool,
    /// The value.
    pub value: T,
}

impl<T> Not<T> {
    /// Whether the option holds, given whether the value does.
    pub fn holds(&self, value: bool) -> bool {
        value != self.negated
    }
}

impl<'a, T: Value<'a>> Value<'a> for Not<T> {
    const NEGATABLE: bool = true;
    const EMPTY: bool = T::EMPTY;

    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        T::read(words).map(|value| Self { negated: false, value })
    }

    fn write(&self, out: &mut String) {
        self.value.write(out);
    }

    fn negate(&mut self) {
        self.negated = !self.negated;
    }

    fn negated(&self) -> bool {
        self.negated
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        T::sample(random)
    }
}

/// An option without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flag;

impl<'a> Value<'a> for Flag {
    const EMPTY: bool = true;

    fn read(_: &mut Words<'a>) -> Result<Self, String> {
        Ok(Self)
    }

    fn write(&self, _: &mut String) {}

    #[cfg(test)]
    fn sample(_: &mut Random) -> String {
        String::new()
    }
}

fn word<'a>(words: &mut Words<'a>, wanted: &str) -> Result<&'a str, String> {
    words.next().map(|word| word.raw).ok_or_else(|| format!("nothing follows; {wanted} would be valid"))
}

macro_rules! number {
    ($type:ty) => {
        impl<'a> Value<'a> for $type {
            fn read(words: &mut Words<'a>) -> Result<Self, String> {
                let text = word(words, "a number")?;
                let read = match text.strip_prefix("0x") {
                    Some(hex) if !hex.starts_with('+') => <$type>::from_str_radix(hex, 16).ok(),
                    _ if text.starts_with('+') => None,
                    _ => text.parse().ok(),
                };
                read.ok_or_else(|| format!("not a number from 0 to {}", <$type>::MAX))
            }

            fn write(&self, out: &mut String) {
                let _ = write!(out, " {self}");
            }

            #[cfg(test)]
            fn sample(random: &mut Random) -> String {
                format!(" {}", <$type>::try_from(random.below(u64::from(u8::MAX))).unwrap_or_default())
            }
        }
    };
}

number!(u8);
number!(u16);
number!(u32);
number!(u64);

fn hexadecimal(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    }
}

/// A number that is printed in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex(pub u32);

impl<'a> Value<'a> for Hex {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        hexadecimal(word(words, "a number")?).map(Self).ok_or_else(|| "not a number of 32 bits".to_owned())
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " 0x{:x}", self.0);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" 0x{:x}", random.below(1 << 32))
    }
}

/// A number of 8 bits that is printed in two hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HexByte(pub u8);

impl<'a> Value<'a> for HexByte {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let number = hexadecimal(word(words, "a number")?).and_then(|number| u8::try_from(number).ok());
        number.map(Self).ok_or_else(|| "not a number of 8 bits".to_owned())
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " 0x{:02x}", self.0);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" 0x{:02x}", random.below(256))
    }
}

/// A packet's mark under a mask: `value/mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The bits to compare or to set.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

impl Mark {
    /// Whether a packet's mark is this one, under the mask.
    pub fn is(&self, mark: u32) -> bool {
        mark & self.mask == self.value
    }

    fn read(text: &str) -> Result<Self, String> {
        let (value, mask) = text.split_once('/').map_or((text, None), |(value, mask)| (value, Some(mask)));
        let wrong = || "not a mark: `0x4000` or `0x4000/0x4000`, 32 bits each".to_owned();
        let value = hexadecimal(value).ok_or_else(wrong)?;
        let mask = mask.map_or(Some(u32::MAX), hexadecimal).ok_or_else(wrong)?;
        Ok(Self { value, mask })
    }
}

impl<'a> Value<'a> for Mark {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        Self::read(word(words, "a mark")?)
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " 0x{:x}", self.value);
        if self.mask != u32::MAX {
            let _ = write!(out, "/0x{:x}", self.mask);
        }
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        let value = random.below(1 << 32);
        if random.below(2) == 0 {
            format!(" 0x{value:x}")
        } else {
            format!(" 0x{value:x}/0x{:x}", random.below(1 << 31))
        }
    }
}

/// How a mark is changed: the bits of `mask` are cleared, then those of `value` flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetMark {
    /// The bits to flip.
    pub value: u32,
    /// The bits to clear.
    pub mask: u32,
}

impl SetMark {
    /// What becomes of a mark.
    pub fn apply(&self, mark: u32) -> u32 {
        (mark & !self.mask) ^ self.value
    }
}

impl<'a> Value<'a> for SetMark {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let mark = Mark::read(word(words, "a mark")?)?;
        Ok(Self { value: mark.value, mask: mark.mask })
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " 0x{:x}/0x{:x}", self.value, self.mask);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" 0x{:x}/0x{:x}", random.below(1 << 32), random.below(1 << 32))
    }
}

/// A range of ports, or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

const PORTS: &str = "not ports: a number from 0 to 65535 or two with `:` between";

impl Ports {
    /// Whether a port is in the range.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    fn parse(text: &str, between: char) -> Option<Self> {
        let port = |text: &str, empty: u16| match text {
            "" => Some(empty),
            _ if text.starts_with('+') => None,
            _ => text.parse().ok(),
        };
        match text.split_once(between) {
            Some((first, last)) => Some(Self { first: port(first, 0)?, last: port(last, u16::MAX)? }),
            None => text.parse().ok().filter(|_| !text.starts_with('+')).map(|port| Self { first: port, last: port }),
        }
    }

    fn print(self, between: char, out: &mut String) {
        let _ = write!(out, "{}", self.first);
        if self.first != self.last {
            let _ = write!(out, "{between}{}", self.last);
        }
    }

    #[cfg(test)]
    fn some(random: &mut Random, between: char) -> String {
        let first = random.below(40_000);
        if random.below(2) == 0 {
            first.to_string()
        } else {
            format!("{first}{between}{}", first + 1 + random.below(9000))
        }
    }
}

impl<'a> Value<'a> for Ports {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        Self::parse(word(words, "a port")?, ':').ok_or_else(|| PORTS.to_owned())
    }

    fn write(&self, out: &mut String) {
        out.push(' ');
        self.print(':', out);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" {}", Self::some(random, ':'))
    }
}

/// Ports to translate to: `80` or `1024-65535`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToPorts(pub Ports);

impl<'a> Value<'a> for ToPorts {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let wrong = "not ports: a number from 0 to 65535 or two with `-` between";
        Ports::parse(word(words, "a port")?, '-').map(Self).ok_or_else(|| wrong.to_owned())
    }

    fn write(&self, out: &mut String) {
        out.push(' ');
        self.0.print('-', out);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" {}", Ports::some(random, '-'))
    }
}

/// A list of ports and ranges: `80,443,8000:8080`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortList<'a>(&'a str);

impl PortList<'_> {
    /// The ports and ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = Ports> {
        self.0.split(',').filter_map(|part| Ports::parse(part, ':'))
    }

    /// Whether a port is in one of them.
    pub fn contains(&self, port: u16) -> bool {
        self.iter().any(|ports| ports.contains(port))
    }
}

impl<'a> Value<'a> for PortList<'a> {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let text = word(words, "a list of ports")?;
        if text.split(',').all(|part| Ports::parse(part, ':').is_some()) {
            Ok(Self(text))
        } else {
            Err("not a list of ports: numbers from 0 to 65535, ranges with `:`, commas between".to_owned())
        }
    }

    fn write(&self, out: &mut String) {
        out.push(' ');
        out.push_str(self.0);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" {},{}", Ports::some(random, ':'), Ports::some(random, ':'))
    }
}

/// An address with a mask.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// The address; bits outside the mask may be set.
    pub ip: IpAddr,
    /// The bits that count; need not be the leading ones.
    pub mask: IpAddr,
    form: Form,
}

/// How the mask is written.
#[derive(Clone, Copy, Debug)]
enum Form {
    Bare,
    Prefix,
    Mask,
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        (self.ip, self.mask) == (other.ip, other.mask)
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn mask_of(family: Family, prefix: u8) -> Option<IpAddr> {
    match family {
        Family::V4 if prefix <= 32 => {
            Some(Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)).into())
        }
        Family::V6 if prefix <= 128 => {
            Some(Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)).into())
        }
        _ => None,
    }
}

impl Address {
    /// The family of the address.
    pub fn family(&self) -> Family {
        Family::of(self.ip)
    }

    /// The length of the mask in bits; nothing where the set bits are not the leading ones.
    pub fn prefix(&self) -> Option<u8> {
        let ones = bits(self.mask).count_ones();
        let prefix = u8::try_from(ones).ok()?;
        (mask_of(self.family(), prefix) == Some(self.mask)).then_some(prefix)
    }

    /// Whether an address is covered.
    pub fn contains(&self, ip: IpAddr) -> bool {
        Family::of(ip) == self.family() && bits(ip) & bits(self.mask) == bits(self.ip) & bits(self.mask)
    }

    fn parse(text: &str) -> Option<Self> {
        let Some((ip, mask)) = text.split_once('/') else {
            let ip: IpAddr = text.parse().ok()?;
            return Some(Self { ip, mask: mask_of(Family::of(ip), Family::of(ip).bits())?, form: Form::Bare });
        };
        let ip: IpAddr = ip.parse().ok()?;
        if mask.contains(['.', ':']) {
            let mask: IpAddr = mask.parse().ok()?;
            return (Family::of(ip) == Family::of(mask)).then_some(Self { ip, mask, form: Form::Mask });
        }
        let prefix = mask.parse().ok().filter(|_| !mask.starts_with('+'))?;
        Some(Self { ip, mask: mask_of(Family::of(ip), prefix)?, form: Form::Prefix })
    }
}

impl<'a> Value<'a> for Address {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let wrong = "not an address: `10.0.0.0/8`, `10.0.0.1`, `fd00::/8`";
        Self::parse(word(words, "an address")?).ok_or_else(|| wrong.to_owned())
    }

    fn write(&self, out: &mut String) {
        let _ = match (self.form, self.prefix()) {
            (Form::Bare, _) => write!(out, " {}", self.ip),
            (Form::Prefix, Some(prefix)) => write!(out, " {}/{prefix}", self.ip),
            _ => write!(out, " {}/{}", self.ip, self.mask),
        };
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        match random.below(4) {
            0 => format!(" 10.{}.0.0/16", random.below(256)),
            1 => format!(" 10.0.{}.1", random.below(256)),
            2 => format!(" 10.{}.0.1/255.0.255.0", random.below(256)),
            _ => format!(" fd00:{:x}::/64", 1 + random.below(65535)),
        }
    }
}

/// An interface; a `+` at the end stands for any rest of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a>(pub &'a str);

impl Interface<'_> {
    /// Whether an interface's name fits.
    pub fn fits(&self, name: &str) -> bool {
        self.0.strip_suffix('+').map_or(self.0 == name, |start| name.starts_with(start))
    }
}

/// A word that is kept as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a>(pub &'a str);

/// The name of a protocol, or its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol<'a>(pub &'a str);

/// Names of `/etc/protocols` that dumps hold.
const PROTOCOLS: &[(&str, u8)] = &[
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("sctp", 132),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("icmp6", 58),
    ("all", 0),
    ("ip", 0),
    ("esp", 50),
    ("ipv6-esp", 50),
    ("ah", 51),
    ("ipv6-ah", 51),
    ("gre", 47),
    ("igmp", 2),
    ("ipencap", 4),
    ("ipip", 94),
    ("ipv6", 41),
    ("udplite", 136),
    ("dccp", 33),
    ("ospf", 89),
    ("vrrp", 112),
    ("pim", 103),
    ("l2tp", 115),
    ("ipcomp", 108),
    ("mh", 135),
    ("ipv6-mh", 135),
    ("mobility-header", 135),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rsvp", 46),
    ("egp", 8),
    ("hopopt", 0),
];

impl Protocol<'_> {
    /// The number; 0 is every protocol. Nothing for a name that is not known.
    pub fn number(&self) -> Option<u8> {
        let named = PROTOCOLS.iter().find(|(name, _)| *name == self.0).map(|(_, number)| *number);
        named.or_else(|| self.0.parse().ok())
    }

    /// The match module that options without `-m` belong to.
    pub(super) fn module(&self) -> &str {
        match self.number() {
            Some(6) => "tcp",
            Some(17) => "udp",
            Some(132) => "sctp",
            Some(1) => "icmp",
            Some(58) => "icmp6",
            Some(33) => "dccp",
            Some(50) => "esp",
            Some(51) => "ah",
            _ => "",
        }
    }
}

macro_rules! plain_word {
    ($type:ident, $wanted:literal, $valid:expr, $sample:expr) => {
        impl<'a> Value<'a> for $type<'a> {
            fn read(words: &mut Words<'a>) -> Result<Self, String> {
                let text = word(words, $wanted)?;
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text)) } else { Err(concat!("not ", $wanted).to_owned()) }
            }

            fn write(&self, out: &mut String) {
                out.push(' ');
                out.push_str(self.0);
            }

            #[cfg(test)]
            fn sample(random: &mut Random) -> String {
                let sample: fn(u64) -> String = $sample;
                format!(" {}", sample(random.below(1 << 20)))
            }
        }
    };
}

plain_word!(Interface, "an interface's name", |text| !text.is_empty() && text != "!", |n| format!("eth{n}+"));
plain_word!(Word, "a word", |text| !is_open(text), |n| format!("w{n}"));
plain_word!(
    Protocol,
    "a protocol: a name like `tcp`, or a number from 0 to 255",
    |text| Protocol(text).number().is_some() || text.starts_with(|c: char| c.is_ascii_alphabetic()),
    |n| (n % 256).to_string()
);
plain_word!(
    Days,
    "a list of days",
    |text| !text.is_empty() && text.split(',').all(|day| !day.is_empty()),
    |n| format!("Mon,{n}")
);
plain_word!(
    HashRate,
    "a rate: `10/sec`, `512kb/s`",
    |text| text.starts_with(|c: char| c.is_ascii_digit()),
    |n| format!("{n}/sec")
);
plain_word!(IcmpType, "a type: `8`, `3/4`, `echo-request`, `any`", |text| IcmpType(text).is_valid(), |n| format!(
    "{}/{}",
    n % 256,
    n % 7
));
plain_word!(
    NatRange,
    "an address to translate to: `10.0.0.1:80`, `10.0.0.1-10.0.0.9`, `[fd00::1]:80`, `:80`",
    |text| NatRange(text).read().is_some(),
    |n| format!("10.0.{}.1:{}-{}", n % 256, n % 1000, 1000 + n % 1000)
);
plain_word!(
    AddressRange,
    "a range of addresses: `10.0.0.1-10.0.0.9`",
    |text| AddressRange(text).read().is_some(),
    |n| format!("10.0.{}.1-10.1.0.0", n % 256)
);
plain_word!(Mac, "a hardware address: `02:42:AC:11:00:02`", |text| Mac(text).octets().is_some(), |n| format!(
    "02:42:AC:11:{:02X}:02",
    n % 256
));
plain_word!(Network, "an address or a network", |text| Address::parse(text).is_some(), |n| format!(
    "10.{}.0.0/16",
    n % 256
));

/// Days, by name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days<'a>(pub &'a str);

/// A rate in packets or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRate<'a>(pub &'a str);

/// The type of an ICMP message, and its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpType<'a>(pub &'a str);

impl IcmpType<'_> {
    /// The type and the code, where they are numbers.
    pub fn numbers(&self) -> Option<(u8, Option<u8>)> {
        match self.0.split_once('/') {
            Some((kind, code)) => Some((kind.parse().ok()?, Some(code.parse().ok()?))),
            None => Some((self.0.parse().ok()?, None)),
        }
    }

    fn is_valid(&self) -> bool {
        self.numbers().is_some() || self.0.starts_with(|c: char| c.is_ascii_alphabetic())
    }
}

/// Where a translation goes: addresses, ports, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatRange<'a>(pub &'a str);

/// What a translation's text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatTarget {
    /// The first and the last address; nothing where only the port changes.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// The ports; nothing where they are kept.
    pub ports: Option<Ports>,
    /// The port that the first of `ports` stands for, where the range is shifted.
    pub base: Option<u16>,
}

impl NatRange<'_> {
    /// What the text says. Always something for a value that was read from a rule.
    pub fn read(&self) -> Option<NatTarget> {
        let text = self.0;
        let ip = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let (hosts, ports) = if let Some(at) = text.rfind("]:") {
            (text.get(..=at)?, text.get(at + 2..))
        } else if text.parse::<Ipv6Addr>().is_ok() || text.matches(':').count() > 1 {
            (text, None)
        } else {
            text.split_once(':').map_or((text, None), |(hosts, ports)| (hosts, Some(ports)))
        };
        let addresses = match hosts.split_once('-') {
            _ if hosts.is_empty() => None,
            Some((first, last)) => Some((ip(first)?, ip(last)?)),
            None => Some((ip(hosts)?, ip(hosts)?)),
        };
        let (ports, base) = match ports.map(|text| text.split_once('/').unwrap_or((text, ""))) {
            None => (None, None),
            Some((ports, "")) => (Some(Ports::parse(ports, '-')?), None),
            Some((ports, base)) => (Some(Ports::parse(ports, '-')?), Some(base.parse().ok()?)),
        };
        (addresses.is_some() || ports.is_some()).then_some(NatTarget { addresses, ports, base })
    }
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange<'a>(pub &'a str);

impl AddressRange<'_> {
    /// The first and the last address. Always something for a value that was read from a rule.
    pub fn read(&self) -> Option<(IpAddr, IpAddr)> {
        let (first, last) = self.0.split_once('-').unwrap_or((self.0, self.0));
        Some((first.parse().ok()?, last.parse().ok()?))
    }
}

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac<'a>(pub &'a str);

impl Mac<'_> {
    /// The octets. Always something for a value that was read from a rule.
    pub fn octets(&self) -> Option<[u8; 6]> {
        let mut octets = [0; 6];
        let mut parts = self.0.split(':');
        for octet in &mut octets {
            *octet = u8::from_str_radix(parts.next().filter(|part| !part.starts_with('+'))?, 16).ok()?;
        }
        parts.next().is_none().then_some(octets)
    }
}

/// An address or a network, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network<'a>(pub &'a str);

impl Network<'_> {
    /// The address and its mask. Always something for a value that was read from a rule.
    pub fn address(&self) -> Option<Address> {
        Address::parse(self.0)
    }
}

/// A string in double quotes where it needs them.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// The string as it was written, quotes and backslashes included.
    pub fn raw(&self) -> &'a str {
        self.0
    }

    /// The string itself.
    pub fn text(&self) -> Cow<'a, str> {
        if !self.0.contains('"') {
            return Cow::Borrowed(self.0);
        }
        let plain = self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if let Some(plain) = plain.filter(|plain| !plain.contains(['"', '\\'])) {
            return Cow::Borrowed(plain);
        }
        let (mut quoted, mut escaped) = (false, false);
        let mut out = String::with_capacity(self.0.len());
        for letter in self.0.chars() {
            match letter {
                _ if escaped => {
                    escaped = false;
                    out.push(letter);
                }
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => out.push(letter),
            }
        }
        Cow::Owned(out)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl<'a> Value<'a> for Text<'a> {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let text = word(words, "a string")?;
        if is_open(text) { Err("a quote is opened and never closed".to_owned()) } else { Ok(Self(text)) }
    }

    fn write(&self, out: &mut String) {
        out.push(' ');
        out.push_str(self.0);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        match random.below(3) {
            0 => format!(" word{}", random.below(1000)),
            1 => format!(" \"two {}\"", random.below(1000)),
            _ => format!(" \"a \\\" b \\\\ {} -j DROP\"", random.below(1000)),
        }
    }
}

/// The name of an accounting object, which iptables prints after two blanks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccountName<'a>(pub Text<'a>);

impl<'a> Value<'a> for AccountName<'a> {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        Text::read(words).map(Self)
    }

    fn write(&self, out: &mut String) {
        out.push(' ');
        self.0.write(out);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!("  name{}", random.below(100))
    }
}

/// A probability in 2⁻³¹.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probability(pub u32);

impl Probability {
    /// From 0 to 1.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 2_147_483_648.0
    }
}

impl<'a> Value<'a> for Probability {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let wrong = || "not a probability: a number from 0 to 1".to_owned();
        let number: f64 = word(words, "a probability")?.parse().map_err(|_| wrong())?;
        if !(0.0..=1.0).contains(&number) {
            return Err(wrong());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 2^31")]
        Ok(Self((number * 2_147_483_648.0).round() as u32))
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " {:.11}", self.value());
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        let mut out = String::new();
        Self(u32::try_from(random.below(1 << 31)).unwrap_or_default()).write(&mut out);
        out
    }
}

/// Packets in a unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how many seconds.
    pub seconds: u32,
}

const UNITS: [(&str, &str, u32); 4] =
    [("sec", "second", 1), ("min", "minute", 60), ("hour", "hour", 3600), ("day", "day", 86400)];

impl<'a> Value<'a> for Rate {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let text = word(words, "a rate")?;
        let wrong = || "not a rate: `5/sec`, `5/min`, `5/hour`, `5/day`".to_owned();
        let (count, unit) = text.split_once('/').unwrap_or((text, "sec"));
        let count = count.parse().map_err(|_| wrong())?;
        let known = UNITS.iter().find(|(_, long, _)| !unit.is_empty() && long.starts_with(unit));
        known.map(|(_, _, seconds)| Self { count, seconds: *seconds }).ok_or_else(wrong)
    }

    fn write(&self, out: &mut String) {
        let unit = UNITS.iter().find(|(_, _, seconds)| *seconds == self.seconds).map_or("sec", |(name, ..)| name);
        let _ = write!(out, " {}/{unit}", self.count);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        let unit = UNITS[usize::try_from(random.below(4)).unwrap_or_default()].0;
        format!(" {}/{unit}", random.below(1000))
    }
}

/// A set, and which of a packet's addresses and ports are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLookup<'a> {
    /// The set's name.
    pub name: &'a str,
    /// `src` or `dst` for each dimension, commas between.
    pub dimensions: &'a str,
}

impl SetLookup<'_> {
    /// For each dimension whether it is the packet's source.
    pub fn sources(&self) -> impl Iterator<Item = bool> {
        self.dimensions.split(',').map(|dimension| dimension == "src")
    }
}

impl<'a> Value<'a> for SetLookup<'a> {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let name = word(words, "a set's name")?;
        let dimensions = word(words, "`src` or `dst`")?;
        if !dimensions.split(',').all(|dimension| matches!(dimension, "src" | "dst")) {
            return Err("not dimensions: `src` or `dst`, commas between".to_owned());
        }
        Ok(Self { name, dimensions })
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " {} {}", self.name, self.dimensions);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(
            " set{} {}",
            random.below(100),
            ["src", "dst", "src,dst"][usize::try_from(random.below(3)).unwrap_or_default()]
        )
    }
}

/// Declares a set of names that is held in bits and printed in a fixed order.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident = $($name:literal)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $type(u16);

        impl $type {
            const NAMES: &[&str] = &[$($name),*];

            /// Whether a name is in the set.
            pub fn has(&self, name: &str) -> bool {
                Self::NAMES.iter().position(|known| *known == name).is_some_and(|at| self.0 & (1 << at) != 0)
            }

            /// The names in the set, in the order in which they are printed.
            pub fn iter(&self) -> impl Iterator<Item = &'static str> {
                let bits = self.0;
                Self::NAMES.iter().enumerate().filter(move |(at, _)| bits & (1 << at) != 0).map(|(_, name)| *name)
            }

            fn parse(text: &str) -> Result<Self, String> {
                let mut bits = 0;
                for part in text.split(',') {
                    let known = Self::NAMES.iter().position(|name| name.eq_ignore_ascii_case(part));
                    bits |= 1 << known.ok_or_else(|| format!("`{part}` is none of {}", Self::NAMES.join(", ")))?;
                }
                Ok(Self(bits))
            }

            fn print(self, out: &mut String) {
                for (at, name) in self.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    out.push_str(name);
                }
            }

            #[cfg(test)]
            fn some(random: &mut Random) -> String {
                let mut out = String::new();
                Self(1 + u16::try_from(random.below((1 << Self::NAMES.len()) - 1)).unwrap_or_default()).print(&mut out);
                out
            }
        }

        impl<'a> Value<'a> for $type {
            fn read(words: &mut Words<'a>) -> Result<Self, String> {
                Self::parse(word(words, Self::NAMES.first().unwrap_or(&"a name"))?)
            }

            fn write(&self, out: &mut String) {
                out.push(' ');
                self.print(out);
            }

            #[cfg(test)]
            fn sample(random: &mut Random) -> String {
                format!(" {}", Self::some(random))
            }
        }
    };
}

names!(
    /// States of a connection.
    States = "INVALID" "NEW" "RELATED" "ESTABLISHED" "UNTRACKED" "SNAT" "DNAT"
);
names!(
    /// Kinds of addresses, as the routing table has them.
    AddressTypes = "UNSPEC" "UNICAST" "LOCAL" "BROADCAST" "ANYCAST" "MULTICAST" "BLACKHOLE" "UNREACHABLE" "PROHIBIT" "THROW" "NAT" "XRESOLVE"
);
names!(
    /// States of a tracked connection's entry.
    Statuses = "EXPECTED" "SEEN_REPLY" "ASSURED" "CONFIRMED"
);
names!(
    /// Flags of a TCP header.
    FlagSet = "FIN" "SYN" "RST" "PSH" "ACK" "URG"
);

/// Which flags are looked at, and which of these must be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags {
    /// The flags that are looked at.
    pub mask: FlagSet,
    /// Those of them that must be set; the others must not.
    pub set: FlagSet,
}

impl FlagSet {
    fn flags(text: &str) -> Result<Self, String> {
        match text {
            "ALL" => Ok(Self(0b11_1111)),
            "NONE" => Ok(Self(0)),
            _ => Self::parse(text),
        }
    }

    fn print_flags(self, out: &mut String) {
        if self.0 == 0 {
            out.push_str("NONE");
        }
        self.print(out);
    }
}

impl TcpFlags {
    /// `--syn`: the first packet of a connection.
    pub fn syn() -> Self {
        let set = |names: &str| FlagSet::parse(names).unwrap_or_default();
        Self { mask: set("FIN,SYN,RST,ACK"), set: set("SYN") }
    }
}

impl<'a> Value<'a> for TcpFlags {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let mask = FlagSet::flags(word(words, "flags")?)?;
        let set = FlagSet::flags(word(words, "flags")?)?;
        Ok(Self { mask, set })
    }

    fn write(&self, out: &mut String) {
        out.push(' ');
        self.mask.print_flags(out);
        out.push(' ');
        self.set.print_flags(out);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" {} {}", FlagSet::some(random), FlagSet::some(random))
    }
}
