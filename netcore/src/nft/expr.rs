//! Expressions: what a rule compares, computes and sets, and what sets hold.

use std::borrow::Cow;

use super::{
    json::{Json, Read, Reader, object, string},
    statement::Statement,
};

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The packet passes this base chain.
    Accept,
    /// The packet is gone.
    Drop,
    /// The next rule.
    Continue,
    /// Back to the chain that jumped here.
    Return,
    /// To that chain, and back.
    Jump(Cow<'a, str>),
    /// To that chain for good.
    Goto(Cow<'a, str>),
}

impl<'a> Verdict<'a> {
    /// The chain that it leads to.
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            _ => None,
        }
    }

    pub(super) fn read(name: &str, reader: &mut Reader<'a>) -> Read<Option<Self>> {
        let plain = match name {
            "accept" => Self::Accept,
            "drop" => Self::Drop,
            "continue" => Self::Continue,
            "return" => Self::Return,
            "jump" => return Target::read(reader).map(|to| Some(Self::Jump(to.target))),
            "goto" => return Target::read(reader).map(|to| Some(Self::Goto(to.target))),
            _ => return Ok(None),
        };
        match Option::<Expr<'_>>::read(reader)? {
            None => Ok(Some(plain)),
            Some(_) => reader.fault("a verdict without a target has null"),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let plain: &[u8] = match self {
            Self::Accept => b"{\"accept\": null}",
            Self::Drop => b"{\"drop\": null}",
            Self::Continue => b"{\"continue\": null}",
            Self::Return => b"{\"return\": null}",
            Self::Jump(to) => return Self::write_target(b"{\"jump\": {\"target\": ", to, out),
            Self::Goto(to) => return Self::write_target(b"{\"goto\": {\"target\": ", to, out),
        };
        out.extend_from_slice(plain);
    }

    fn write_target(head: &[u8], target: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(head);
        string(target, out);
        out.extend_from_slice(b"}}");
    }
}

object! {
    /// Where a jump leads.
    Target
    must {
        /// The chain.
        target: Cow<'a, str> = "target",
    }
    may {}
}

object! {
    /// A header field: by name, or by its place.
    Payload
    must {}
    may {
        /// The header: `ip`, `tcp`, `th`.
        protocol: Cow<'a, str> = "protocol",
        /// Its field: `saddr`.
        field: Cow<'a, str> = "field",
        /// Where counting begins: `ll`, `nh`, `th`.
        base: Cow<'a, str> = "base",
        /// Bits from there.
        offset: u32 = "offset",
        /// Length in bits.
        len: u32 = "len",
        /// The tunnel inside which it is looked for.
        tunnel: Cow<'a, str> = "tunnel",
    }
}

object! {
    /// A header that may be there: an extension header, an option, a chunk.
    Header
    must {}
    may {
        /// Its name.
        name: Cow<'a, str> = "name",
        /// Its field; its presence where none is named.
        field: Cow<'a, str> = "field",
        /// Which one of several, or the place in it.
        offset: u32 = "offset",
        /// The option's number.
        base: u32 = "base",
        /// Length in bits.
        len: u32 = "len",
    }
}

object! {
    /// `meta`, `socket`, `rt`, `osf`, `ipsec`: something that the kernel knows of the packet.
    Known
    must {
        /// What: `mark`, `iifname`.
        key: Cow<'a, str> = "key",
    }
    may {
        /// The family that is meant.
        family: Cow<'a, str> = "family",
        /// In or out.
        dir: Cow<'a, str> = "dir",
        /// Which transformation.
        spnum: u32 = "spnum",
        /// How the TTL is compared.
        ttl: Cow<'a, str> = "ttl",
    }
}

object! {
    /// `ct`: something of the connection.
    Connection
    must {
        /// What: `state`, `mark`.
        key: Cow<'a, str> = "key",
    }
    may {
        /// `original` or `reply`.
        dir: Cow<'a, str> = "dir",
        /// The family that is meant.
        family: Cow<'a, str> = "family",
    }
}

object! {
    /// `numgen`: a number that nft makes up.
    Numgen
    must {
        /// `random` or `inc`.
        mode: Cow<'a, str> = "mode",
        /// One more than the highest, before the offset.
        modulus: u32 = "mod",
    }
    may {
        /// Added to it.
        offset: u32 = "offset",
    }
}

object! {
    /// `jhash` and `symhash`.
    Hash
    must {
        /// One more than the highest, before the offset.
        modulus: u32 = "mod",
    }
    may {
        /// Added to it.
        offset: u32 = "offset",
        /// The hash's seed.
        seed: u32 = "seed",
        /// What is hashed.
        expr: Box<Expr<'a>> = "expr",
    }
}

object! {
    /// `fib`: the kernel's routing of an address.
    Fib
    must {
        /// What is asked: `type`, `oif`.
        result: Cow<'a, str> = "result",
    }
    may {
        /// By what: `saddr`, `daddr`, `iif`.
        flags: Box<Expr<'a>> = "flags",
    }
}

object! {
    /// A prefix.
    Prefix
    must {
        /// The address, or where it comes from.
        addr: Box<Expr<'a>> = "addr",
        /// Its length in bits.
        len: u8 = "len",
    }
    may {}
}

object! {
    /// A map and what is looked up in it.
    Lookup
    must {
        /// The key.
        key: Expr<'a> = "key",
        /// `@NAME`, or a set of pairs.
        data: Expr<'a> = "data",
    }
    may {}
}

object! {
    /// A member with more than its value.
    Elem
    must {
        /// The value.
        val: Expr<'a> = "val",
    }
    may {
        /// Its own lifetime, in seconds.
        timeout: u64 = "timeout",
        /// Seconds that are left of it.
        expires: u64 = "expires",
        /// Its comment.
        comment: Cow<'a, str> = "comment",
        /// Its counter.
        counter: Option<super::statement::Counter<'a>> = "counter",
        /// Its rate limit.
        limit: super::statement::Limit<'a> = "limit",
        /// Its quota.
        quota: super::statement::Quota<'a> = "quota",
        /// Its statements, as newer versions write them.
        stmt: Vec<Statement<'a>> = "stmt",
    }
}

macro_rules! expressions {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $key:literal,)*) => {
        /// An expression.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Expr<'a> {
            /// A text: an address, a name, a flag; with `@` before it a set.
            Text(Cow<'a, str>),
            /// A whole number.
            Number(i64),
            /// Whether something is there.
            Bool(bool),
            /// Several: flags, or the pairs of a map.
            List(Vec<Expr<'a>>),
            /// What happens, in a verdict map.
            Verdict(Verdict<'a>),
            $($(#[$doc])* $variant($type),)*
            /// Something that this version has not met, or not in this shape: its text.
            Unknown(&'a str),
        }

        impl<'a> Expr<'a> {
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

        impl<'a> Json<'a> for Expr<'a> {
            fn read(reader: &mut Reader<'a>) -> Read<Self> {
                match reader.peek() {
                    Some(b'"') => reader.string().map(Self::Text),
                    Some(b'[') => Vec::read(reader).map(Self::List),
                    Some(b'{') => reader.or_raw(Self::read_object).map(|read| read.unwrap_or_else(Self::Unknown)),
                    _ => {
                        let word = reader.word()?;
                        Ok(match word {
                            "true" => Self::Bool(true),
                            "false" => Self::Bool(false),
                            _ => word.parse().map_or(Self::Unknown(word), Self::Number),
                        })
                    }
                }
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    Self::Text(text) => text.write(out),
                    Self::Number(number) => number.write(out),
                    Self::Bool(truth) => truth.write(out),
                    Self::List(values) => values.write(out),
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

expressions! {
    /// Several values side by side.
    Concat(Vec<Expr<'a>>) = "concat",
    /// A set written in place.
    Set(Box<Expr<'a>>) = "set",
    /// A value looked up in a map.
    Map(Box<Lookup<'a>>) = "map",
    /// A prefix.
    Prefix(Prefix<'a>) = "prefix",
    /// First and last value.
    Range(Vec<Expr<'a>>) = "range",
    /// A header field.
    Payload(Box<Payload<'a>>) = "payload",
    /// An IPv6 extension header.
    Extension(Box<Header<'a>>) = "exthdr",
    /// A TCP option.
    TcpOption(Box<Header<'a>>) = "tcp option",
    /// An IP option.
    IpOption(Box<Header<'a>>) = "ip option",
    /// A chunk of SCTP.
    SctpChunk(Box<Header<'a>>) = "sctp chunk",
    /// An option of DCCP.
    DccpOption(Box<Header<'a>>) = "dccp option",
    /// Something of the packet.
    Meta(Box<Known<'a>>) = "meta",
    /// Something of its route.
    Rt(Box<Known<'a>>) = "rt",
    /// Something of its connection.
    Ct(Box<Connection<'a>>) = "ct",
    /// Something of the socket that would take it.
    Socket(Box<Known<'a>>) = "socket",
    /// The operating system that made it, by its looks.
    Osf(Box<Known<'a>>) = "osf",
    /// Its `IPsec` transformation.
    Ipsec(Box<Known<'a>>) = "ipsec",
    /// A made-up number.
    Numgen(Box<Numgen<'a>>) = "numgen",
    /// A hash of an expression.
    Jhash(Box<Hash<'a>>) = "jhash",
    /// A hash of the connection.
    Symhash(Box<Hash<'a>>) = "symhash",
    /// A lookup in the routing table.
    Fib(Box<Fib<'a>>) = "fib",
    /// Bits of either.
    Or(Vec<Expr<'a>>) = "|",
    /// Bits of both.
    And(Vec<Expr<'a>>) = "&",
    /// Bits of just one.
    Xor(Vec<Expr<'a>>) = "^",
    /// Shifted left.
    ShiftLeft(Vec<Expr<'a>>) = "<<",
    /// Shifted right.
    ShiftRight(Vec<Expr<'a>>) = ">>",
    /// A member with more than its value.
    Elem(Box<Elem<'a>>) = "elem",
}

impl<'a> Expr<'a> {
    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The set's name, where it is a reference to one: `@NAME`.
    pub fn set_name(&self) -> Option<&str> {
        self.text().and_then(|text| text.strip_prefix('@'))
    }

    /// The value of a member, without its comment, counter and timeout.
    pub fn value(&self) -> &Self {
        match self {
            Self::Elem(elem) => &elem.val,
            other => other,
        }
    }

    /// Every expression inside, this one first.
    pub fn walk(&self, visit: &mut impl FnMut(&Expr<'a>)) {
        visit(self);
        match self {
            Self::List(all)
            | Self::Concat(all)
            | Self::Range(all)
            | Self::Or(all)
            | Self::And(all)
            | Self::Xor(all)
            | Self::ShiftLeft(all)
            | Self::ShiftRight(all) => all.iter().for_each(|expr| expr.walk(visit)),
            Self::Set(inner) => inner.walk(visit),
            Self::Map(lookup) => {
                lookup.key.walk(visit);
                lookup.data.walk(visit);
            }
            Self::Prefix(prefix) => prefix.addr.walk(visit),
            Self::Elem(elem) => {
                elem.val.walk(visit);
                elem.stmt.iter().flatten().for_each(|statement| statement.walk(visit));
            }
            Self::Jhash(hash) | Self::Symhash(hash) => hash.expr.iter().for_each(|expr| expr.walk(visit)),
            Self::Fib(fib) => fib.flags.iter().for_each(|expr| expr.walk(visit)),
            _ => {}
        }
    }
}
