//! Addresses, networks and interfaces, and where a translation goes.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{super::module::Value, Ports, Words, plain_word, word};
use crate::cidr::Family;

#[cfg(test)]
use super::super::properties::Random;

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

    /// Whether it is one address.
    pub fn is_host(&self) -> bool {
        bits(self.mask).count_ones() == u32::from(self.family().bits())
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

/// An address or a network, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network<'a>(pub &'a str);

impl Network<'_> {
    /// The address and its mask. Always something for a value that was read from a rule.
    pub fn address(&self) -> Option<Address> {
        Address::parse(self.0)
    }
}

plain_word!(Network, "an address or a network", |text| Address::parse(text).is_some(), |n| format!(
    "10.{}.0.0/16",
    n % 256
));

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

plain_word!(
    AddressRange,
    "a range of addresses: `10.0.0.1-10.0.0.9`",
    |text| AddressRange(text).read().is_some(),
    |n| format!("10.0.{}.1-10.1.0.0", n % 256)
);

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

plain_word!(
    NatRange,
    "an address to translate to: `10.0.0.1:80`, `10.0.0.1-10.0.0.9`, `[fd00::1]:80`, `:80`",
    |text| NatRange(text).read().is_some(),
    |n| format!("10.0.{}.1:{}-{}", n % 256, n % 1000, 1000 + n % 1000)
);

/// An interface; a `+` at the end stands for any rest of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a>(pub &'a str);

impl Interface<'_> {
    /// Whether an interface's name fits.
    pub fn fits(&self, name: &str) -> bool {
        self.0.strip_suffix('+').map_or(self.0 == name, |start| name.starts_with(start))
    }
}

plain_word!(Interface, "an interface's name", |text| !text.is_empty() && text != "!", |n| format!("eth{n}+"));

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

plain_word!(Mac, "a hardware address: `02:42:AC:11:00:02`", |text| Mac(text).octets().is_some(), |n| format!(
    "02:42:AC:11:{:02X}:02",
    n % 256
));
