//! Statements: what a rule does, one after the other.

use std::borrow::Cow;

use super::{
    expr::{Expr, Lookup, Verdict},
    json::{Json, Read, Reader, object},
};

object! {
    /// A comparison.
    Match
    must {
        /// `==`, `!=`, `<`, `>`, `<=`, `>=`, or `in`.
        op: Cow<'a, str> = "op",
        /// What of the packet.
        left: Expr<'a> = "left",
        /// With what.
        right: Expr<'a> = "right",
    }
    may {}
}

object! {
    /// Packets and bytes counted.
    Counter
    must {}
    may {
        /// Packets.
        packets: u64 = "packets",
        /// Bytes.
        bytes: u64 = "bytes",
    }
}

object! {
    /// Something of the packet is set.
    Mangle
    must {
        /// What.
        key: Expr<'a> = "key",
        /// To what.
        value: Expr<'a> = "value",
    }
    may {}
}

object! {
    /// A number of bytes.
    Quota
    must {
        /// How many, in the unit.
        val: u64 = "val",
    }
    may {
        /// `bytes`, `kbytes`, `mbytes`.
        val_unit: Cow<'a, str> = "val_unit",
        /// How many are used up.
        used: u64 = "used",
        /// Their unit.
        used_unit: Cow<'a, str> = "used_unit",
        /// Whether it holds above, not below.
        inv: bool = "inv",
    }
}

object! {
    /// A rate.
    Limit
    must {
        /// How many in a unit of time.
        rate: u64 = "rate",
    }
    may {
        /// What: packets where it is not there.
        rate_unit: Cow<'a, str> = "rate_unit",
        /// `second`, `minute`, `hour`, `day`, `week`.
        per: Cow<'a, str> = "per",
        /// How many at once.
        burst: u64 = "burst",
        /// Their unit.
        burst_unit: Cow<'a, str> = "burst_unit",
        /// Whether it holds above, not below.
        inv: bool = "inv",
    }
}

object! {
    /// To another device.
    Forward
    must {}
    may {
        /// The device.
        dev: Expr<'a> = "dev",
        /// The family of the next hop.
        family: Cow<'a, str> = "family",
        /// The next hop.
        addr: Expr<'a> = "addr",
    }
}

object! {
    /// An address translation.
    Nat
    must {}
    may {
        /// The address, range or map.
        addr: Expr<'a> = "addr",
        /// The address's family.
        family: Cow<'a, str> = "family",
        /// The port, range or map.
        port: Expr<'a> = "port",
        /// `random`, `fully-random`, `persistent`.
        flags: Expr<'a> = "flags",
        /// `interval`, `prefix`, `concat`.
        type_flags: Expr<'a> = "type_flags",
    }
}

object! {
    /// A refusal that the sender hears of.
    Reject
    must {}
    may {
        /// `icmp`, `icmpx`, `icmpv6`, `tcp reset`.
        kind: Cow<'a, str> = "type",
        /// The ICMP code.
        expr: Expr<'a> = "expr",
    }
}

object! {
    /// A member put into a set by a packet.
    SetUpdate
    must {
        /// `add`, `update`, `delete`.
        op: Cow<'a, str> = "op",
        /// The member.
        elem: Expr<'a> = "elem",
        /// `@NAME`.
        set: Expr<'a> = "set",
    }
    may {
        /// What each member carries.
        stmt: Vec<Statement<'a>> = "stmt",
    }
}

object! {
    /// A pair put into a map by a packet.
    MapUpdate
    must {
        /// `add`, `update`, `delete`.
        op: Cow<'a, str> = "op",
        /// The key.
        elem: Expr<'a> = "elem",
        /// `@NAME`.
        map: Expr<'a> = "map",
    }
    may {
        /// The value.
        data: Expr<'a> = "data",
        /// What each member carries.
        stmt: Vec<Statement<'a>> = "stmt",
    }
}

object! {
    /// A line in a log.
    Log
    must {}
    may {
        /// What stands before it.
        prefix: Cow<'a, str> = "prefix",
        /// The netlink group.
        group: u32 = "group",
        /// How many bytes of the packet.
        snaplen: u32 = "snaplen",
        /// How many packets at once.
        queue_threshold: u32 = "queue-threshold",
        /// How serious.
        level: Cow<'a, str> = "level",
        /// What more is logged.
        flags: Expr<'a> = "flags",
    }
}

object! {
    /// A number of connections.
    CtCount
    must {
        /// How many.
        val: u32 = "val",
    }
    may {
        /// Whether it holds above, not below.
        inv: bool = "inv",
    }
}

object! {
    /// A statement for each value of a key.
    Meter
    must {
        /// Its name.
        name: Cow<'a, str> = "name",
        /// The key.
        key: Expr<'a> = "key",
        /// The statement.
        stmt: Box<Statement<'a>> = "stmt",
    }
    may {
        /// How many values.
        size: u32 = "size",
    }
}

object! {
    /// To a program.
    Queue
    must {}
    may {
        /// The queue's number, range or expression.
        num: Expr<'a> = "num",
        /// `bypass`, `fanout`.
        flags: Expr<'a> = "flags",
    }
}

object! {
    /// The kernel answers in a server's place.
    Synproxy
    must {}
    may {
        /// The maximum segment size.
        mss: u16 = "mss",
        /// The window scale.
        wscale: u8 = "wscale",
        /// `timestamp`, `sack-perm`.
        flags: Expr<'a> = "flags",
    }
}

object! {
    /// To a socket of this host.
    Tproxy
    must {}
    may {
        /// The address's family.
        family: Cow<'a, str> = "family",
        /// The address.
        addr: Expr<'a> = "addr",
        /// The port.
        port: Expr<'a> = "port",
    }
}

object! {
    /// A match or target of iptables that nft cannot say: only its name is there, so what it does is
    /// not known. `iptables-save` tells.
    Xt
    must {}
    may {
        /// `match`, `target` or `watcher`.
        kind: Cow<'a, str> = "type",
        /// Its name.
        name: Cow<'a, str> = "name",
    }
}

object! {
    /// Into a flow table.
    Flow
    must {
        /// `add`.
        op: Cow<'a, str> = "op",
        /// `@NAME`.
        flowtable: Expr<'a> = "flowtable",
    }
    may {}
}

object! {
    /// When the rule was last used.
    Last
    must {}
    may {
        /// Milliseconds ago.
        used: u64 = "used",
        /// Whether it was used at all.
        set: bool = "set",
    }
}

/// Written in place, or by the name of an object of the table.
#[derive(Clone, Debug, PartialEq)]
pub enum Named<'a, T> {
    /// In place.
    Inline(T),
    /// By name, or by a map of names.
    Object(Expr<'a>),
    /// Nothing but the word.
    Null,
}

impl<'a, T: Json<'a>> Json<'a> for Named<'a, T> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        match reader.peek() {
            Some(b'"') => Expr::read(reader).map(Self::Object),
            Some(b'n') => Option::<Expr<'_>>::read(reader).map(|_| Self::Null),
            _ => {
                let noted = reader.noted.len();
                let text = match reader.or_raw(T::read)? {
                    Ok(value) => return Ok(Self::Inline(value)),
                    Err(text) => text,
                };
                // a map of names, or else not what is known
                match Expr::read(&mut Reader::new(text.as_bytes()))? {
                    map @ Expr::Map(_) => {
                        reader.noted.truncate(noted);
                        Ok(Self::Object(map))
                    }
                    _ => reader.unknown(),
                }
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Inline(value) => value.write(out),
            Self::Object(name) => name.write(out),
            Self::Null => out.extend_from_slice(b"null"),
        }
    }
}

macro_rules! statements {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $key:literal,)*) => {
        /// A statement.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Statement<'a> {
            /// What happens to the packet.
            Verdict(Verdict<'a>),
            $($(#[$doc])* $variant($type),)*
            /// Something that this version has not met, or not in this shape: its text.
            Unknown(&'a str),
        }

        impl<'a> Statement<'a> {
            fn read_object(reader: &mut Reader<'a>) -> Read<Self> {
                let mut found = None;
                reader.object(|reader, key| {
                    if found.is_some() {
                        return reader.unknown();
                    }
                    found = Some(match &*key {
                        $($key => Self::$variant(Json::read(reader)?),)*
                        name => match Verdict::read(name, reader)? {
                            Some(verdict) => Self::Verdict(verdict),
                            None => return reader.unknown(),
                        },
                    });
                    Ok(())
                })?;
                found.map_or_else(|| reader.unknown(), Ok)
            }
        }

        impl<'a> Json<'a> for Statement<'a> {
            fn read(reader: &mut Reader<'a>) -> Read<Self> {
                reader.or_raw(Self::read_object).map(|read| read.unwrap_or_else(Self::Unknown))
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    Self::Verdict(verdict) => verdict.write(out),
                    $(Self::$variant(value) => {
                        out.extend_from_slice(concat!("{\"", $key, "\": ").as_bytes());
                        value.write(out);
                        out.push(b'}');
                    })*
                    Self::Unknown(text) => out.extend_from_slice(text.as_bytes()),
                }
            }
        }
    };
}

statements! {
    /// Goes on only where it holds.
    Match(Box<Match<'a>>) = "match",
    /// What happens is looked up.
    Vmap(Box<Lookup<'a>>) = "vmap",
    /// Counts.
    Counter(Named<'a, Counter<'a>>) = "counter",
    /// Sets something of the packet or the connection.
    Mangle(Box<Mangle<'a>>) = "mangle",
    /// Goes on until so many bytes have passed.
    Quota(Named<'a, Box<Quota<'a>>>) = "quota",
    /// Goes on so often.
    Limit(Named<'a, Box<Limit<'a>>>) = "limit",
    /// Sends on another device.
    Forward(Box<Forward<'a>>) = "fwd",
    /// Sends a copy.
    Duplicate(Box<Forward<'a>>) = "dup",
    /// Sets the source.
    SourceNat(Option<Box<Nat<'a>>>) = "snat",
    /// Sets the destination.
    DestinationNat(Option<Box<Nat<'a>>>) = "dnat",
    /// Sets the source to the device's own address.
    Masquerade(Option<Box<Nat<'a>>>) = "masquerade",
    /// Sets the destination to this host.
    Redirect(Option<Box<Nat<'a>>>) = "redirect",
    /// Refuses.
    Reject(Option<Box<Reject<'a>>>) = "reject",
    /// Puts into a set.
    SetUpdate(Box<SetUpdate<'a>>) = "set",
    /// Puts into a map.
    MapUpdate(Box<MapUpdate<'a>>) = "map",
    /// Logs.
    Log(Option<Box<Log<'a>>>) = "log",
    /// Gives the connection a helper.
    CtHelper(Expr<'a>) = "ct helper",
    /// Gives the connection timeouts.
    CtTimeout(Expr<'a>) = "ct timeout",
    /// Expects a connection.
    CtExpectation(Expr<'a>) = "ct expectation",
    /// Counts connections.
    CtCount(CtCount<'a>) = "ct count",
    /// A statement for each value of a key.
    Meter(Box<Meter<'a>>) = "meter",
    /// Gives the packet to a program.
    Queue(Option<Box<Queue<'a>>>) = "queue",
    /// Answers in a server's place.
    Synproxy(Named<'a, Box<Synproxy<'a>>>) = "synproxy",
    /// Gives the packet to a socket of this host.
    Tproxy(Box<Tproxy<'a>>) = "tproxy",
    /// What only iptables can say.
    Xt(Option<Box<Xt<'a>>>) = "xt",
    /// Puts the connection into a flow table.
    Flow(Box<Flow<'a>>) = "flow",
    /// Keeps the packet from conntrack.
    Notrack(Option<Expr<'a>>) = "notrack",
    /// Remembers when.
    Last(Option<Box<Last<'a>>>) = "last",
    /// Takes an option away.
    Reset(Expr<'a>) = "reset",
}

impl<'a> Statement<'a> {
    /// Every expression inside.
    pub fn walk(&self, visit: &mut impl FnMut(&Expr<'a>)) {
        let mut all = |exprs: &[Option<&Expr<'a>>]| exprs.iter().flatten().for_each(|expr| expr.walk(visit));
        match self {
            Self::Match(compared) => all(&[Some(&compared.left), Some(&compared.right)]),
            Self::Vmap(lookup) => all(&[Some(&lookup.key), Some(&lookup.data)]),
            Self::Mangle(mangle) => all(&[Some(&mangle.key), Some(&mangle.value)]),
            Self::Counter(Named::Object(expr))
            | Self::Quota(Named::Object(expr))
            | Self::Limit(Named::Object(expr))
            | Self::Synproxy(Named::Object(expr))
            | Self::CtHelper(expr)
            | Self::CtTimeout(expr)
            | Self::CtExpectation(expr)
            | Self::Reset(expr) => all(&[Some(expr)]),
            Self::Forward(to) | Self::Duplicate(to) => all(&[to.dev.as_ref(), to.addr.as_ref()]),
            Self::SourceNat(Some(nat))
            | Self::DestinationNat(Some(nat))
            | Self::Masquerade(Some(nat))
            | Self::Redirect(Some(nat)) => {
                all(&[nat.addr.as_ref(), nat.port.as_ref(), nat.flags.as_ref(), nat.type_flags.as_ref()]);
            }
            Self::Reject(Some(reject)) => all(&[reject.expr.as_ref()]),
            Self::SetUpdate(update) => {
                all(&[Some(&update.elem), Some(&update.set)]);
                update.stmt.iter().flatten().for_each(|statement| statement.walk(visit));
            }
            Self::MapUpdate(update) => {
                all(&[Some(&update.elem), Some(&update.map), update.data.as_ref()]);
                update.stmt.iter().flatten().for_each(|statement| statement.walk(visit));
            }
            Self::Log(Some(log)) => all(&[log.flags.as_ref()]),
            Self::Meter(meter) => {
                all(&[Some(&meter.key)]);
                meter.stmt.walk(visit);
            }
            Self::Queue(Some(queue)) => all(&[queue.num.as_ref(), queue.flags.as_ref()]),
            Self::Tproxy(tproxy) => all(&[tproxy.addr.as_ref(), tproxy.port.as_ref()]),
            Self::Flow(flow) => all(&[Some(&flow.flowtable)]),
            _ => {}
        }
    }
}
