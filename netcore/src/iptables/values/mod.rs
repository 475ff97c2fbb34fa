//! The values of options, with the text that iptables prints for them.

mod addresses;
mod marks;
mod names;
mod numbers;
mod ports;
mod protocols;
mod sets;
mod strings;

use super::{module::Value, words::Words};

#[cfg(test)]
use super::properties::Random;

pub use addresses::{Address, AddressRange, Interface, Mac, NatRange, NatTarget, Network};
pub use marks::{Mark, SetMark};
pub use names::{AddressTypes, FlagSet, States, Statuses, TcpFlags};
pub use numbers::{HashRate, Hex, HexByte, Probability, Rate};
pub use ports::{PortList, Ports, ToPorts};
pub use protocols::{IcmpType, Protocol};
pub use sets::SetLookup;
pub use strings::{AccountName, Days, Text, Word};

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

/// Declares how a value is read that is one word, kept as it is once it is known to be valid.
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

use plain_word;
