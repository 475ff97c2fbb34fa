//! What a set or map has for a key: typed keys, ranges and prefixes included.

use std::{
    borrow::Cow,
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    expr::{Expr, Verdict},
    model::{Element, Set},
};
use crate::ipset::protocol_number;

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value<'a> {
    /// An address, a port, a protocol, a mark, as a number.
    Number(u128),
    /// A name: an interface, a state, a hardware address.
    Text(Cow<'a, str>),
}

impl From<IpAddr> for Value<'_> {
    fn from(ip: IpAddr) -> Self {
        Self::Number(match ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        })
    }
}

impl From<u16> for Value<'_> {
    fn from(port: u16) -> Self {
        Self::Number(u128::from(port))
    }
}

/// What a lookup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The member's number, from 0.
    At(usize),
    /// No member has it.
    Out,
    /// It cannot be known: members of a kind that is not understood could have it.
    Unknown,
}

/// First and last value of one part of a member's key.
type Bounds<'a> = (Value<'a>, Value<'a>);

/// A set or map, ready for lookups.
#[derive(Debug)]
pub struct ElementIndex<'a> {
    elements: Vec<Element<'a>>,
    exact: HashMap<Vec<Value<'a>>, usize>,
    /// ranges of keys with one part, by their first value; the kernel takes none that overlap
    ranges: Vec<(Value<'a>, Value<'a>, usize)>,
    /// ranges of keys with several parts, in order
    boxes: Vec<(Vec<Bounds<'a>>, usize)>,
    /// beginnings of interface names
    beginnings: Vec<(Cow<'a, str>, usize)>,
    unknown: usize,
}

impl<'a> ElementIndex<'a> {
    /// Reads the members once.
    pub fn new(set: &Set<'a>) -> Self {
        let mut index = Self {
            elements: set.elements().collect(),
            exact: HashMap::new(),
            ranges: Vec::new(),
            boxes: Vec::new(),
            beginnings: Vec::new(),
            unknown: 0,
        };
        let types = set.key_types();
        let elements = std::mem::take(&mut index.elements);
        for (at, element) in elements.iter().enumerate() {
            match types.as_ref().and_then(|types| key_bounds(element.key.value(), types)) {
                Some(bounds) => index.take(bounds, at),
                None => index.unknown += 1,
            }
        }
        index.elements = elements;
        index.ranges.sort();
        index
    }

    fn take(&mut self, bounds: Vec<Bounds<'a>>, at: usize) {
        if let [(Value::Text(name), _)] = bounds.as_slice()
            && let Some(beginning) = name.strip_suffix('*')
        {
            self.beginnings.push((Cow::Owned(beginning.to_owned()), at));
            return;
        }
        if bounds.iter().all(|(first, last)| first == last) {
            self.exact.entry(bounds.into_iter().map(|(first, _)| first).collect()).or_insert(at);
        } else if bounds.len() == 1 {
            self.ranges.extend(bounds.into_iter().map(|(first, last)| (first, last, at)));
        } else {
            self.boxes.push((bounds, at));
        }
    }

    /// The members.
    pub fn elements(&self) -> &[Element<'a>] {
        &self.elements
    }

    /// How many members could not be typed.
    pub const fn unknown(&self) -> usize {
        self.unknown
    }

    /// The member that has this key, one value for each part.
    pub fn find(&self, key: &[Value<'a>]) -> Found {
        if let Some(at) = self.exact.get(key) {
            return Found::At(*at);
        }
        if let [value] = key {
            let behind = self.ranges.partition_point(|(first, ..)| first <= value);
            let range = behind.checked_sub(1).and_then(|at| self.ranges.get(at));
            if let Some((.., at)) = range.filter(|(_, last, _)| value <= last) {
                return Found::At(*at);
            }
            if let Value::Text(name) = value {
                // the longest beginning is the smallest range
                let fitting = self.beginnings.iter().filter(|(beginning, _)| name.starts_with(&**beginning));
                if let Some((_, at)) = fitting.max_by_key(|(beginning, _)| beginning.len()) {
                    return Found::At(*at);
                }
            }
        }
        let inside = |bounds: &[Bounds<'a>]| {
            bounds.len() == key.len()
                && bounds.iter().zip(key).all(|((first, last), value)| first <= value && value <= last)
        };
        match self.boxes.iter().find(|(bounds, _)| inside(bounds)) {
            Some((_, at)) => Found::At(*at),
            None if self.unknown > 0 => Found::Unknown,
            None => Found::Out,
        }
    }

    /// What a map has for a key.
    pub fn data(&self, key: &[Value<'a>]) -> Option<&Expr<'a>> {
        match self.find(key) {
            Found::At(at) => self.elements.get(at)?.data.as_ref(),
            Found::Out | Found::Unknown => None,
        }
    }

    /// What happens to a key in a verdict map.
    pub fn verdict(&self, key: &[Value<'a>]) -> Option<&Verdict<'a>> {
        match self.data(key)? {
            Expr::Verdict(verdict) => Some(verdict),
            _ => None,
        }
    }
}

/// A key's parts by their types. Nothing where one is not understood.
pub(crate) fn key_bounds<'a>(key: &Expr<'a>, types: &[&str]) -> Option<Vec<Bounds<'a>>> {
    match (key, types) {
        (Expr::Concat(parts), _) if parts.len() == types.len() => {
            parts.iter().zip(types).map(|(part, of)| part_bounds(part.value(), of)).collect()
        }
        (part, [of]) => Some(vec![part_bounds(part, of)?]),
        _ => None,
    }
}

fn part_bounds<'a>(part: &Expr<'a>, of: &str) -> Option<Bounds<'a>> {
    match part {
        Expr::Text(_) | Expr::Number(_) => {
            // `*` is everything
            if matches!(part, Expr::Text(text) if text == "*") {
                return None;
            }
            value(part, of).map(|value| (value.clone(), value))
        }
        Expr::Range(ends) => match ends.as_slice() {
            [first, last] => Some((value(first, of)?, value(last, of)?)),
            _ => None,
        },
        Expr::Prefix(prefix) => {
            let bits: u8 = match of {
                "ipv4_addr" => 32,
                "ipv6_addr" => 128,
                _ => return None,
            };
            let Value::Number(address) = value(&prefix.addr, of)? else { return None };
            let host = match bits.checked_sub(prefix.len)? {
                128 => u128::MAX,
                host => (1 << host) - 1,
            };
            Some((Value::Number(address & !host), Value::Number(address | host)))
        }
        _ => None,
    }
}

fn value<'a>(part: &Expr<'a>, of: &str) -> Option<Value<'a>> {
    match (part, of) {
        (Expr::Number(number), _) => u128::try_from(*number).ok().map(Value::Number),
        (Expr::Text(text), "ipv4_addr") => text.parse::<Ipv4Addr>().ok().map(|ip| IpAddr::V4(ip).into()),
        (Expr::Text(text), "ipv6_addr") => text.parse::<Ipv6Addr>().ok().map(|ip| IpAddr::V6(ip).into()),
        (Expr::Text(text), "inet_proto") => protocol_number(text).map(|number| Value::Number(number.into())),
        // a service's name, which only /etc/services of that node could tell
        (Expr::Text(_), "inet_service") => None,
        (Expr::Text(text), _) => Some(Value::Text(text.clone())),
        _ => None,
    }
}
