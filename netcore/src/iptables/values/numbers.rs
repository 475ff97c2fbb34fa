//! Numbers as iptables writes them: decimal, hexadecimal, a share of the packets, packets in a time.

use std::fmt::Write as _;

use super::{super::module::Value, Words, plain_word, word};

#[cfg(test)]
use super::super::properties::Random;

macro_rules! number {
    ($type:ty) => {
        impl<'a> Value<'a> for $type {
            fn read(words: &mut Words<'a>) -> Result<Self, String> {
                let text = word(words, "a number")?;
                let read = match text.strip_prefix("0x") {
                    Some(hex) if !hex.starts_with('+') => <$type>::from_str_radix(hex, 16).ok(),
                    _ if text.starts_with('+') => None,
                    _ => text.parse().ok(),
                };
                read.ok_or_else(|| format!("not a number from 0 to {}", <$type>::MAX))
            }

            fn write(&self, out: &mut String) {
                let _ = write!(out, " {self}");
            }

            #[cfg(test)]
            fn sample(random: &mut Random) -> String {
                format!(" {}", <$type>::try_from(random.below(u64::from(u8::MAX))).unwrap_or_default())
            }
        }
    };
}

number!(u8);
number!(u16);
number!(u32);
number!(u64);

pub(super) fn hexadecimal(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    }
}

/// A number that is printed in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex(pub u32);

impl<'a> Value<'a> for Hex {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        hexadecimal(word(words, "a number")?).map(Self).ok_or_else(|| "not a number of 32 bits".to_owned())
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " 0x{:x}", self.0);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" 0x{:x}", random.below(1 << 32))
    }
}

/// A number of 8 bits that is printed in two hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HexByte(pub u8);

impl<'a> Value<'a> for HexByte {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let number = hexadecimal(word(words, "a number")?).and_then(|number| u8::try_from(number).ok());
        number.map(Self).ok_or_else(|| "not a number of 8 bits".to_owned())
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " 0x{:02x}", self.0);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" 0x{:02x}", random.below(256))
    }
}

/// A probability in 2⁻³¹.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probability(pub u32);

impl Probability {
    /// From 0 to 1.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 2_147_483_648.0
    }
}

impl<'a> Value<'a> for Probability {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let wrong = || "not a probability: a number from 0 to 1".to_owned();
        let number: f64 = word(words, "a probability")?.parse().map_err(|_| wrong())?;
        if !(0.0..=1.0).contains(&number) {
            return Err(wrong());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 2^31")]
        Ok(Self((number * 2_147_483_648.0).round() as u32))
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " {:.11}", self.value());
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        let mut out = String::new();
        Self(u32::try_from(random.below(1 << 31)).unwrap_or_default()).write(&mut out);
        out
    }
}

/// Packets in a unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how many seconds.
    pub seconds: u32,
}

const UNITS: [(&str, &str, u32); 4] =
    [("sec", "second", 1), ("min", "minute", 60), ("hour", "hour", 3600), ("day", "day", 86400)];

impl<'a> Value<'a> for Rate {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let text = word(words, "a rate")?;
        let wrong = || "not a rate: `5/sec`, `5/min`, `5/hour`, `5/day`".to_owned();
        let (count, unit) = text.split_once('/').unwrap_or((text, "sec"));
        let count = count.parse().map_err(|_| wrong())?;
        let known = UNITS.iter().find(|(_, long, _)| !unit.is_empty() && long.starts_with(unit));
        known.map(|(_, _, seconds)| Self { count, seconds: *seconds }).ok_or_else(wrong)
    }

    fn write(&self, out: &mut String) {
        let unit = UNITS.iter().find(|(_, _, seconds)| *seconds == self.seconds).map_or("sec", |(name, ..)| name);
        let _ = write!(out, " {}/{unit}", self.count);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        let unit = UNITS[usize::try_from(random.below(4)).unwrap_or_default()].0;
        format!(" {}/{unit}", random.below(1000))
    }
}

/// A rate in packets or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRate<'a>(pub &'a str);

plain_word!(
    HashRate,
    "a rate: `10/sec`, `512kb/s`",
    |text| text.starts_with(|c: char| c.is_ascii_digit()),
    |n| format!("{n}/sec")
);
