//! The objects of a rule set. Rules and members stay in the input until they are asked for.

use std::{borrow::Cow, fmt};

use super::{
    expr::Expr,
    json::{Fault, Json, Lazy, Raw, Read, Reader, object, string},
    statement::Statement,
};
use crate::problem::Problems;

/// A family of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4
    Ip,
    /// IPv6
    Ip6,
    /// both
    Inet,
    /// ARP
    Arp,
    /// bridged frames
    Bridge,
    /// frames of a device
    Netdev,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 6] = [Self::Ip, Self::Ip6, Self::Inet, Self::Arp, Self::Bridge, Self::Netdev];

    /// As nft writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
            Self::Arp => "arp",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
        }
    }

    /// The family of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'a> Json<'a> for Family {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        reader.peek();
        let at = reader.at;
        let reason = "not a family: ip, ip6, inet, arp, bridge or netdev";
        Self::named(&reader.string()?).ok_or(Fault { at, reason, unknown: false })
    }

    fn write(&self, out: &mut Vec<u8>) {
        string(self.name(), out);
    }
}

object! {
    /// Who printed it.
    Metainfo collects rest
    must {}
    may {
        /// nft's version.
        version: Cow<'a, str> = "version",
        /// Its name.
        release_name: Cow<'a, str> = "release_name",
        /// The version of the format.
        json_schema_version: u32 = "json_schema_version",
    }
}

object! {
    /// A table.
    Table collects rest
    must {
        /// Its family.
        family: Family = "family",
        /// Its name.
        name: Cow<'a, str> = "name",
    }
    may {
        /// The kernel's number for it.
        handle: u64 = "handle",
        /// `dormant`, `owner`: a text, or several.
        flags: Expr<'a> = "flags",
        /// Its comment.
        comment: Cow<'a, str> = "comment",
    }
}

object! {
    /// A chain. One with a hook is a base chain.
    Chain collects rest
    must {
        /// Its table's family.
        family: Family = "family",
        /// Its table.
        table: Cow<'a, str> = "table",
        /// Its name.
        name: Cow<'a, str> = "name",
    }
    may {
        /// The kernel's number for it.
        handle: u64 = "handle",
        /// `filter`, `nat`, `route`.
        kind: Cow<'a, str> = "type",
        /// Where packets come from: `prerouting`.
        hook: Cow<'a, str> = "hook",
        /// The lower, the earlier.
        prio: i32 = "prio",
        /// Its device or devices.
        dev: Expr<'a> = "dev",
        /// What happens at its end: `accept`, `drop`.
        policy: Cow<'a, str> = "policy",
        /// Its comment.
        comment: Cow<'a, str> = "comment",
    }
}

object! {
    /// A rule.
    Rule collects rest
    must {
        /// Its table's family.
        family: Family = "family",
        /// Its table.
        table: Cow<'a, str> = "table",
        /// Its chain.
        chain: Cow<'a, str> = "chain",
    }
    may {
        /// The kernel's number for it.
        handle: u64 = "handle",
        /// The rule before it.
        position: u64 = "position",
        /// Its comment.
        comment: Cow<'a, str> = "comment",
        /// What it does.
        expr: Lazy<'a, Statement<'a>> = "expr",
    }
}

impl<'a> Rule<'a> {
    /// What it does, one after the other.
    pub fn statements(&self) -> impl Iterator<Item = Statement<'a>> + use<'a> {
        self.expr.as_ref().map(Lazy::iter).into_iter().flatten()
    }
}

object! {
    /// A set; with `map` a map.
    Set collects rest
    must {
        /// Its table's family.
        family: Family = "family",
        /// Its name.
        name: Cow<'a, str> = "name",
        /// Its table.
        table: Cow<'a, str> = "table",
        /// The type of its keys: a name, or several side by side.
        key: Expr<'a> = "type",
    }
    may {
        /// The kernel's number for it.
        handle: u64 = "handle",
        /// `performance`, `memory`.
        policy: Cow<'a, str> = "policy",
        /// `interval`, `timeout`, `dynamic`, `constant`: a text, or several.
        flags: Expr<'a> = "flags",
        /// Its comment.
        comment: Cow<'a, str> = "comment",
        /// The type of a map's values: `verdict`, a type's name, or several.
        map: Expr<'a> = "map",
        /// Seconds that members live.
        timeout: u64 = "timeout",
        /// Seconds between two searches for dead ones.
        gc_interval: u64 = "gc-interval",
        /// How many members it may have.
        size: u64 = "size",
        /// Whether ranges that touch become one.
        auto_merge: bool = "auto-merge",
        /// What each member carries.
        stmt: Vec<Statement<'a>> = "stmt",
        /// Its members.
        elem: Lazy<'a, Expr<'a>> = "elem",
    }
}

/// A member of a set or map.
#[derive(Clone, Debug, PartialEq)]
pub struct Element<'a> {
    /// Its key, with its comment and the like.
    pub key: Expr<'a>,
    /// What a map has for it.
    pub data: Option<Expr<'a>>,
}

impl<'a> Set<'a> {
    /// Whether it is a map.
    pub const fn is_map(&self) -> bool {
        self.map.is_some()
    }

    /// Whether it is a verdict map.
    pub fn is_verdict_map(&self) -> bool {
        self.map.as_ref().and_then(Expr::text) == Some("verdict")
    }

    /// Whether members may be ranges.
    pub fn has_flag(&self, flag: &str) -> bool {
        match &self.flags {
            Some(Expr::Text(text)) => text == flag,
            Some(Expr::List(all)) => all.iter().any(|one| one.text() == Some(flag)),
            _ => false,
        }
    }

    /// The types of its keys' parts: `ipv4_addr`, `inet_proto`. Nothing where they are given by an
    /// expression.
    pub fn key_types(&self) -> Option<Vec<&str>> {
        match &self.key {
            Expr::Text(name) => Some(vec![name]),
            Expr::List(all) | Expr::Concat(all) => all.iter().map(Expr::text).collect(),
            _ => None,
        }
    }

    /// Its members in the dump's order.
    pub fn elements(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let pairs = self.is_map();
        self.elem.as_ref().map(Lazy::iter).into_iter().flatten().map(move |expr| match expr {
            Expr::List(mut pair) if pairs && pair.len() == 2 => {
                let data = pair.pop();
                let key = pair.pop();
                Element { key: key.unwrap_or(Expr::Unknown("")), data }
            }
            key => Element { key, data: None },
        })
    }
}

object! {
    /// A flow table.
    Flowtable collects rest
    must {
        /// Its table's family.
        family: Family = "family",
        /// Its name.
        name: Cow<'a, str> = "name",
        /// Its table.
        table: Cow<'a, str> = "table",
    }
    may {
        /// The kernel's number for it.
        handle: u64 = "handle",
        /// Where packets come from.
        hook: Cow<'a, str> = "hook",
        /// The lower, the earlier.
        prio: i32 = "prio",
        /// Its device or devices.
        dev: Expr<'a> = "dev",
    }
}

object! {
    /// An object that rules name: a counter, a quota, a limit, a helper, a timeout and so on.
    Stateful collects rest
    must {
        /// Its table's family.
        family: Family = "family",
        /// Its name.
        name: Cow<'a, str> = "name",
        /// Its table.
        table: Cow<'a, str> = "table",
    }
    may {
        /// The kernel's number for it.
        handle: u64 = "handle",
        /// Its comment.
        comment: Cow<'a, str> = "comment",
        /// Packets, of a counter.
        packets: u64 = "packets",
        /// Bytes, of a counter or quota.
        bytes: u64 = "bytes",
    }
}

macro_rules! objects {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $key:literal,)*) => {
        /// One object of the dump.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object<'a> {
            $($(#[$doc])* $variant($type),)*
            /// Something that this version has not met, or not in this shape: its text.
            Unknown(Raw<'a>),
        }

        impl<'a> Object<'a> {
            fn read_object(reader: &mut Reader<'a>) -> Read<Self> {
                let mut found = None;
                reader.object(|reader, key| {
                    if found.is_some() {
                        return reader.unknown();
                    }
                    found = Some(match &*key {
                        $($key => Self::$variant(Json::read(reader)?),)*
                        _ => return reader.unknown(),
                    });
                    Ok(())
                })?;
                found.map_or_else(|| reader.unknown(), Ok)
            }
        }

        impl<'a> Json<'a> for Object<'a> {
            fn read(reader: &mut Reader<'a>) -> Read<Self> {
                reader.or_raw(Self::read_object).map(|read| read.unwrap_or_else(|text| Self::Unknown(Raw(text))))
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(value) => {
                        out.extend_from_slice(concat!("{\"", $key, "\": ").as_bytes());
                        value.write(out);
                        out.push(b'}');
                    })*
                    Self::Unknown(text) => text.write(out),
                }
            }
        }
    };
}

objects! {
    /// Who printed it.
    Metainfo(Box<Metainfo<'a>>) = "metainfo",
    /// A table.
    Table(Box<Table<'a>>) = "table",
    /// A chain.
    Chain(Box<Chain<'a>>) = "chain",
    /// A rule.
    Rule(Box<Rule<'a>>) = "rule",
    /// A set.
    Set(Box<Set<'a>>) = "set",
    /// A map.
    Map(Box<Set<'a>>) = "map",
    /// A flow table.
    Flowtable(Box<Flowtable<'a>>) = "flowtable",
    /// A named counter.
    Counter(Box<Stateful<'a>>) = "counter",
    /// A named quota.
    Quota(Box<Stateful<'a>>) = "quota",
    /// A named limit.
    Limit(Box<Stateful<'a>>) = "limit",
    /// A helper of connections.
    CtHelper(Box<Stateful<'a>>) = "ct helper",
    /// Timeouts of connections.
    CtTimeout(Box<Stateful<'a>>) = "ct timeout",
    /// An expected connection.
    CtExpectation(Box<Stateful<'a>>) = "ct expectation",
    /// A security mark.
    Secmark(Box<Stateful<'a>>) = "secmark",
    /// A named synproxy.
    Synproxy(Box<Stateful<'a>>) = "synproxy",
}

/// All objects of one dump, in its order, and what of it could not be read.
#[derive(Clone, Debug)]
pub struct Ruleset<'a> {
    /// The objects.
    pub objects: Vec<Object<'a>>,
    /// What could not be read.
    pub problems: Problems,
}

macro_rules! pick {
    ($self:ident, $($variant:ident)|+) => {
        $self.objects.iter().filter_map(|object| match object {
            $(Object::$variant(value))|+ => Some(&**value),
            _ => None,
        })
    };
}

impl<'a> Ruleset<'a> {
    /// Who printed it.
    pub fn metainfo(&self) -> Option<&Metainfo<'a>> {
        pick!(self, Metainfo).next()
    }

    /// The tables.
    pub fn tables(&self) -> impl Iterator<Item = &Table<'a>> {
        pick!(self, Table)
    }

    /// The chains.
    pub fn chains(&self) -> impl Iterator<Item = &Chain<'a>> {
        pick!(self, Chain)
    }

    /// The rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule<'a>> {
        pick!(self, Rule)
    }

    /// The sets, without maps.
    pub fn sets(&self) -> impl Iterator<Item = &Set<'a>> {
        pick!(self, Set)
    }

    /// The maps.
    pub fn maps(&self) -> impl Iterator<Item = &Set<'a>> {
        pick!(self, Map)
    }

    /// The flow tables.
    pub fn flowtables(&self) -> impl Iterator<Item = &Flowtable<'a>> {
        pick!(self, Flowtable)
    }

    /// A set or map by its table and name.
    pub fn set(&self, family: Family, table: &str, name: &str) -> Option<&Set<'a>> {
        pick!(self, Set | Map).find(|set| set.family == family && set.table == table && set.name == name)
    }

    /// The texts of objects that are not known.
    pub fn unknown(&self) -> impl Iterator<Item = &'a str> {
        self.objects.iter().filter_map(|object| match object {
            Object::Unknown(Raw(text)) => Some(*text),
            _ => None,
        })
    }

    /// The rule set as `nft -j list ruleset` prints it, and `nft -j -f` takes it: the same values, with
    /// each object's keys in an order of our own.
    pub fn print(&self) -> Vec<u8> {
        let mut out = b"{\"nftables\": ".to_vec();
        self.objects.write(&mut out);
        out.extend_from_slice(b"}\n");
        out
    }
}
