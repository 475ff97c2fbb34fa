//! Marks of packets and connections, and how they are changed.

use std::fmt::Write as _;

use super::{super::module::Value, Words, numbers::hexadecimal, word};

#[cfg(test)]
use super::super::properties::Random;

/// A packet's mark under a mask: `value/mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The bits to compare or to set.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

impl Mark {
    /// Whether a packet's mark is this one, under the mask.
    pub fn is(&self, mark: u32) -> bool {
        mark & self.mask == self.value
    }

    fn read(text: &str) -> Result<Self, String> {
        let (value, mask) = text.split_once('/').map_or((text, None), |(value, mask)| (value, Some(mask)));
        let wrong = || "not a mark: `0x4000` or `0x4000/0x4000`, 32 bits each".to_owned();
        let value = hexadecimal(value).ok_or_else(wrong)?;
        let mask = mask.map_or(Some(u32::MAX), hexadecimal).ok_or_else(wrong)?;
        Ok(Self { value, mask })
    }
}

impl<'a> Value<'a> for Mark {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        Self::read(word(words, "a mark")?)
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " 0x{:x}", self.value);
        if self.mask != u32::MAX {
            let _ = write!(out, "/0x{:x}", self.mask);
        }
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        let value = random.below(1 << 32);
        if random.below(2) == 0 {
            format!(" 0x{value:x}")
        } else {
            format!(" 0x{value:x}/0x{:x}", random.below(1 << 31))
        }
    }
}

/// How a mark is changed: the bits of `mask` are cleared, then those of `value` flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetMark {
    /// The bits to flip.
    pub value: u32,
    /// The bits to clear.
    pub mask: u32,
}

impl SetMark {
    /// What becomes of a mark.
    pub fn apply(&self, mark: u32) -> u32 {
        (mark & !self.mask) ^ self.value
    }
}

impl<'a> Value<'a> for SetMark {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let mark = Mark::read(word(words, "a mark")?)?;
        Ok(Self { value: mark.value, mask: mark.mask })
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " 0x{:x}/0x{:x}", self.value, self.mask);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(" 0x{:x}/0x{:x}", random.below(1 << 32), random.below(1 << 32))
    }
}
