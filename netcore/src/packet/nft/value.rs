//! Expressions of nftables as values of a packet.

use std::{borrow::Cow, net::IpAddr};

use super::{
    super::{
        conditions::Surroundings,
        model::{Device, Packet, State, Tracking, Words},
        place::Kind,
    },
    Native,
};
use crate::{
    cidr::Family,
    nft::{self, Expr, Found, Value, key_bounds},
    route::RouteKind,
};

/// What an expression is for a packet.
pub(super) enum Got<'e> {
    Value(Value<'e>),
    /// The packet has no such thing: the rule does not fit.
    Break,
    /// It cannot be known.
    Unknown(Words),
}

impl Got<'_> {
    fn unknown(why: impl Into<Words>) -> Self {
        Self::Unknown(why.into())
    }
}

/// What is asked when an expression is looked at.
pub(super) struct Asked<'q, 'w, 'a> {
    pub(super) packet: &'q Packet,
    pub(super) around: &'q Surroundings<'w, 'a>,
    pub(super) native: &'q Native<'a>,
    pub(super) family: nft::Family,
    pub(super) table: &'q str,
}

fn number<'e>(number: impl Into<u128>) -> Got<'e> {
    Got::Value(Value::Number(number.into()))
}

fn text<'e>(text: impl Into<Cow<'e, str>>) -> Got<'e> {
    Got::Value(Value::Text(text.into()))
}

fn port<'e>(port: Option<u16>, which: &str) -> Got<'e> {
    port.map_or_else(|| Got::unknown(format!("the rule asks for the {which} port, which is not given")), number)
}

/// The type of an expression as sets name it: how a text beside it is to be read.
pub(super) fn type_of(expr: &Expr<'_>) -> &'static str {
    match expr {
        Expr::Payload(payload) => match (payload.protocol.as_deref(), payload.field.as_deref()) {
            (Some("ip"), Some("saddr" | "daddr")) => "ipv4_addr",
            (Some("ip6"), Some("saddr" | "daddr")) => "ipv6_addr",
            (Some("ip"), Some("protocol")) | (Some("ip6"), Some("nexthdr")) => "inet_proto",
            (_, Some("sport" | "dport")) => "inet_service",
            _ => "other",
        },
        Expr::Meta(meta) => match &*meta.key {
            "l4proto" => "inet_proto",
            "mark" => "mark",
            _ => "other",
        },
        Expr::Ct(ct) => match (&*ct.key, ct.family.as_deref()) {
            ("saddr" | "daddr", Some("ip")) | ("ip saddr" | "ip daddr", _) => "ipv4_addr",
            ("saddr" | "daddr", Some("ip6")) | ("ip6 saddr" | "ip6 daddr", _) => "ipv6_addr",
            ("proto-src" | "proto-dst", _) => "inet_service",
            ("protocol", _) => "inet_proto",
            ("mark", _) => "mark",
            _ => "other",
        },
        Expr::And(all) | Expr::Or(all) | Expr::Xor(all) | Expr::ShiftLeft(all) | Expr::ShiftRight(all) => {
            all.first().map_or("other", type_of)
        }
        _ => "other",
    }
}

/// A service's name and others that nft prints instead of numbers.
fn literal<'e>(expr: &'e Expr<'_>, of: &str) -> Option<Value<'e>> {
    match expr {
        Expr::Bool(truth) => Some(Value::Number(u128::from(*truth))),
        _ => match key_bounds(expr, &[of])?.into_iter().next()? {
            (first, last) if first == last => Some(match first {
                Value::Number(number) => Value::Number(number),
                Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            }),
            _ => None,
        },
    }
}

impl<'a> Asked<'_, '_, 'a> {
    /// What an expression is.
    pub(super) fn value<'e>(&self, expr: &'e Expr<'_>, of: &str) -> Got<'e> {
        match expr {
            Expr::Payload(payload) => self.payload(payload),
            Expr::Meta(meta) => self.meta(&meta.key),
            Expr::Ct(ct) => self.connection(ct),
            Expr::Fib(fib) => self.fib(fib),
            Expr::And(all) => self.folded(all, |one, other| one & other),
            Expr::Or(all) => self.folded(all, |one, other| one | other),
            Expr::Xor(all) => self.folded(all, |one, other| one ^ other),
            Expr::ShiftLeft(all) => {
                self.folded(all, |one, by| one.checked_shl(u32::try_from(by).unwrap_or(128)).unwrap_or(0))
            }
            Expr::ShiftRight(all) => {
                self.folded(all, |one, by| one.checked_shr(u32::try_from(by).unwrap_or(128)).unwrap_or(0))
            }
            Expr::Elem(elem) => self.value(&elem.val, of),
            Expr::Text(_) | Expr::Number(_) | Expr::Bool(_) => literal(expr, of)
                .map_or_else(|| Got::unknown(format!("a value that is not understood: {expr:?}")), Got::Value),
            Expr::Numgen(_) | Expr::Jhash(_) | Expr::Symhash(_) => {
                Got::unknown("a number by chance inside another expression")
            }
            Expr::Unknown(words) => Got::unknown(format!("`{words}` is not known to this version")),
            _ => Got::unknown("an expression that asks for what is not known of the packet"),
        }
    }

    /// The parts of a key, one for each side of a concatenation.
    pub(super) fn key<'e>(&self, expr: &'e Expr<'_>, types: &[&str]) -> Result<Vec<Value<'e>>, Got<'e>> {
        let parts: Vec<&Expr<'_>> = match expr {
            Expr::Concat(parts) => parts.iter().collect(),
            one => vec![one],
        };
        let mut key = Vec::new();
        let mut unknown = None;
        for (at, part) in parts.into_iter().enumerate() {
            match self.value(part, types.get(at).copied().unwrap_or("other")) {
                Got::Value(value) => key.push(value),
                Got::Break => return Err(Got::Break),
                Got::Unknown(why) => unknown = Some(why),
            }
        }
        unknown.map_or(Ok(key), |why| Err(Got::Unknown(why)))
    }

    fn folded<'e>(&self, all: &'e [Expr<'_>], fold: impl Fn(u128, u128) -> u128) -> Got<'e> {
        let mut sum: Option<u128> = None;
        for part in all {
            let one = match self.value(part, "mark") {
                Got::Value(Value::Number(number)) => number,
                Got::Value(Value::Text(name)) => match bit_of(&name) {
                    Some(bit) => bit,
                    None => return Got::unknown(format!("`{name}` is not known as bits")),
                },
                other => return other,
            };
            sum = Some(sum.map_or(one, |sum| fold(sum, one)));
        }
        sum.map_or(Got::Break, number)
    }

    fn payload<'e>(&self, payload: &nft::Payload<'_>) -> Got<'e> {
        let packet = self.packet;
        let (Some(protocol), Some(field)) = (payload.protocol.as_deref(), payload.field.as_deref()) else {
            return Got::unknown("the rule asks for raw bytes of the packet");
        };
        let v4 = packet.family() == Family::V4;
        let carries = match protocol {
            "ip" => v4,
            "ip6" => !v4,
            "tcp" => packet.protocol == 6,
            "udp" => packet.protocol == 17,
            "sctp" => packet.protocol == 132,
            "udplite" => packet.protocol == 136,
            "dccp" => packet.protocol == 33,
            "icmp" => packet.protocol == 1,
            "icmpv6" => packet.protocol == 58,
            "th" => packet.has_ports(),
            "ether" | "vlan" | "arp" => return Got::unknown("the rule asks for the link's header"),
            _ => return Got::Break,
        };
        if !carries {
            return Got::Break;
        }
        match (protocol, field) {
            ("ip" | "ip6", "saddr") => Got::Value(packet.source.into()),
            ("ip" | "ip6", "daddr") => Got::Value(packet.destination.into()),
            ("ip", "protocol") | ("ip6", "nexthdr") => number(packet.protocol),
            ("ip", "version") => number(4_u8),
            ("icmp" | "icmpv6", "type") => match packet.icmp {
                Some((8, _)) if protocol == "icmp" => text("echo-request"),
                Some((0, _)) if protocol == "icmp" => text("echo-reply"),
                Some((128, _)) if protocol == "icmpv6" => text("echo-request"),
                Some((129, _)) if protocol == "icmpv6" => text("echo-reply"),
                _ => Got::unknown("the rule asks for the ICMP type"),
            },
            ("icmp" | "icmpv6", "code") => packet.icmp.map_or(Got::Break, |(_, code)| number(code)),
            ("tcp", "flags") => number(packet.flags),
            (_, "dport") => port(packet.destination_port, "destination"),
            (_, "sport") => port(packet.source_port, "source"),
            _ => Got::unknown(format!("the rule asks for `{protocol} {field}`, which is not known of the packet")),
        }
    }

    fn meta<'e>(&self, key: &str) -> Got<'e> {
        let packet = self.packet;
        let v4 = packet.family() == Family::V4;
        let device = |device: &Device| match device.name() {
            Some(name) => text(name.to_owned()),
            None => Got::unknown("the rule asks for an interface that is not known"),
        };
        match key {
            "mark" => number(packet.mark),
            "iifname" | "iif" => device(&packet.input),
            "oifname" | "oif" => device(&packet.output),
            "l4proto" => number(packet.protocol),
            "nfproto" => text(if v4 { "ipv4" } else { "ipv6" }),
            "protocol" => text(if v4 { "ip" } else { "ip6" }),
            "pkttype" => text(if packet.destination.is_multicast() { "multicast" } else { "host" }),
            "skuid" | "skgid" | "cgroup" if !packet.own => Got::Break,
            "secpath" | "ipsec" => number(0_u8),
            _ => Got::unknown(format!("the rule asks for `meta {key}`, which is not known of the packet")),
        }
    }

    fn connection<'e>(&self, ct: &nft::Connection<'_>) -> Got<'e> {
        let packet = self.packet;
        let connection = &packet.connection;
        if &*ct.key == "state" {
            return text(match packet.tracking {
                Tracking::Before | Tracking::Tracked(State::Invalid) => "invalid",
                Tracking::Untracked => "untracked",
                Tracking::Tracked(State::New) => "new",
                Tracking::Tracked(State::Established) => "established",
                Tracking::Tracked(State::Related) => "related",
            });
        }
        let Tracking::Tracked(state) = packet.tracking else { return Got::Break };
        let original = connection.original;
        let reply = ct.dir.as_deref() == Some("reply");
        let address = |ip: Option<IpAddr>| {
            ip.map_or_else(
                || Got::unknown("the rule asks for a translated address that is not known"),
                |ip| Got::Value(ip.into()),
            )
        };
        match &*ct.key {
            "mark" => number(connection.mark),
            "direction" => text("original"),
            "status" => {
                let bits = u128::from(connection.source.is_some()) << 4
                    | u128::from(connection.destination.is_some()) << 5
                    // both ends have been asked: the kernel's own notes
                    | u128::from(connection.source_asked) << 7
                    | u128::from(connection.destination_asked) << 8
                    | if state == State::Established { 0b1010 } else { 0 };
                number(bits)
            }
            "saddr" | "ip saddr" | "ip6 saddr" if !reply => address(Some(original.source)),
            "daddr" | "ip daddr" | "ip6 daddr" if !reply => address(Some(original.destination)),
            "saddr" | "ip saddr" | "ip6 saddr" => {
                address(Some(connection.destination.and_then(|to| to.address).unwrap_or(original.destination)))
            }
            "daddr" | "ip daddr" | "ip6 daddr" => {
                address(connection.source.map_or(Some(original.source), |to| to.address))
            }
            "proto-src" if !reply => port(original.source_port, "source"),
            "proto-dst" if !reply => port(original.destination_port, "destination"),
            "proto-src" => {
                port(connection.destination.and_then(|to| to.port).or(original.destination_port), "destination")
            }
            "protocol" => number(packet.protocol),
            "l3proto" => text(if packet.family() == Family::V4 { "ipv4" } else { "ipv6" }),
            "zone" => number(0_u8),
            key => Got::unknown(format!("the rule asks for `ct {key}`, which is not known of the packet")),
        }
    }

    fn fib<'e>(&self, fib: &nft::Fib<'_>) -> Got<'e> {
        let flags: Vec<&str> = match fib.flags.as_deref() {
            Some(Expr::List(all)) => all.iter().filter_map(Expr::text).collect(),
            Some(one) => one.text().into_iter().collect(),
            None => Vec::new(),
        };
        let packet = self.packet;
        let has = |flag: &str| flags.contains(&flag);
        let ip = if has("saddr") { packet.source } else { packet.destination };
        let device = match () {
            () if has("iif") => Some(&packet.input),
            () if has("oif") => Some(&packet.output),
            () => None,
        };
        match &*fib.result {
            "type" => match self.around.places.kind(ip, device) {
                Some(Kind::Unicast) => text("unicast"),
                Some(Kind::Local) => text("local"),
                Some(Kind::Broadcast) => text("broadcast"),
                Some(Kind::Multicast) => text("multicast"),
                None => {
                    Got::unknown(format!("the rule asks what kind of address {ip} is, and the node's were not read"))
                }
            },
            "oif" | "oifname" => {
                let name = device.map(Device::name);
                let Some(name) = name else { return Got::unknown("`fib … oif` without an interface") };
                let Some(name) = name else { return Got::unknown("the rule asks for an interface that is not known") };
                if name == "lo" {
                    return number(1_u8);
                }
                let mark = if has("mark") { packet.mark } else { 0 };
                match self.around.places.route(ip, None, mark, None) {
                    Err(why) => Got::Unknown(why),
                    Ok(route) => {
                        let found = route.is_some_and(|route| {
                            route.kind == RouteKind::Unicast
                                && route.next_hops.iter().any(|hop| hop.dev.as_deref() == Some(name))
                        });
                        number(u128::from(found))
                    }
                }
            }
            other => Got::unknown(format!("`fib … {other}` is not known")),
        }
    }

    /// Whether a set has a key.
    pub(super) fn in_set(&self, name: &str, left: &Expr<'_>) -> Result<bool, Got<'static>> {
        let Some((set, index)) = self.native.set(self.family, self.table, name) else {
            return Err(Got::unknown(format!("the set {name} is not in the dump")));
        };
        let types = set.key_types().unwrap_or_default();
        let key = self.key(left, &types).map_err(|got| match got {
            Got::Unknown(why) if !index.elements().is_empty() || index.unknown() > 0 => Got::Unknown(why),
            Got::Break => Got::Break,
            // an empty set has nothing, whatever is asked
            Got::Unknown(_) | Got::Value(_) => Got::Value(Value::Number(0)),
        });
        let key = match key {
            Ok(key) => key,
            Err(Got::Value(_)) => return Ok(false),
            Err(other) => return Err(other),
        };
        let owned: Vec<Value<'static>> = key.into_iter().map(own).collect();
        match index.find(&owned) {
            Found::At(_) => Ok(true),
            Found::Out => Ok(false),
            Found::Unknown => Err(Got::unknown(format!("the set {name} has members that are not understood"))),
        }
    }

    /// What a map has for a key that is a packet's: nothing where it has none.
    pub(super) fn mapped(&self, name: &str, key: &[Value<'static>]) -> Result<Option<Expr<'a>>, Words> {
        let Some((_, index)) = self.native.set(self.family, self.table, name) else {
            return Err(format!("the map {name} is not in the dump").into());
        };
        match index.find(key) {
            Found::At(_) => Ok(index.data(key).cloned()),
            Found::Out => Ok(None),
            Found::Unknown => Err(format!("the map {name} has members that are not understood").into()),
        }
    }
}

/// A value that borrows from nothing.
pub(super) fn own(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Number(number) => Value::Number(number),
        Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
    }
}

/// Names that nft prints for flags of TCP and of a connection's entry, by their bits.
const BITS: [(&str, u128); 15] = [
    ("fin", 1),
    ("syn", 2),
    ("rst", 4),
    ("psh", 8),
    ("ack", 16),
    ("urg", 32),
    ("ecn", 64),
    ("cwr", 128),
    ("expected", 1),
    ("seen-reply", 2),
    ("assured", 4),
    ("confirmed", 8),
    ("snat", 16),
    ("dnat", 32),
    ("dying", 512),
];

/// The bits of a flag's name.
pub(super) fn bit_of(name: &str) -> Option<u128> {
    BITS.iter().find(|(known, _)| *known == name).map(|(_, bits)| *bits)
}
