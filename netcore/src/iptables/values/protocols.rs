//! Protocols and the types of ICMP messages, by name or number.

use super::{super::module::Value, Words, plain_word, word};

#[cfg(test)]
use super::super::properties::Random;

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
    pub(in crate::iptables) fn module(&self) -> &str {
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

plain_word!(
    Protocol,
    "a protocol: a name like `tcp`, or a number from 0 to 255",
    |text| Protocol(text).number().is_some() || text.starts_with(|c: char| c.is_ascii_alphabetic()),
    |n| (n % 256).to_string()
);

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

plain_word!(IcmpType, "a type: `8`, `3/4`, `echo-request`, `any`", |text| IcmpType(text).is_valid(), |n| format!(
    "{}/{}",
    n % 256,
    n % 7
));
