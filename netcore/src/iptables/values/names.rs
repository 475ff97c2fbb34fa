//! Sets of names out of a short list: states, kinds of addresses, TCP flags.

use super::{super::module::Value, Words, word};

#[cfg(test)]
use super::super::properties::Random;

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
