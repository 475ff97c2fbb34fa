//! Ports, ranges of ports and lists of both.

use std::fmt::Write as _;

use super::{super::module::Value, Words, word};

#[cfg(test)]
use super::super::properties::Random;

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

    pub(super) fn parse(text: &str, between: char) -> Option<Self> {
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
