//! Lookups in sets.

use std::fmt::Write as _;

use super::{super::module::Value, Words, word};

#[cfg(test)]
use super::super::properties::Random;

/// A set, and which of a packet's addresses and ports are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLookup<'a> {
    /// The set's name.
    pub name: &'a str,
    /// `src` or `dst` for each dimension, commas between.
    pub dimensions: &'a str,
}

impl SetLookup<'_> {
    /// For each dimension whether it is the packet's source.
    pub fn sources(&self) -> impl Iterator<Item = bool> {
        self.dimensions.split(',').map(|dimension| dimension == "src")
    }
}

impl<'a> Value<'a> for SetLookup<'a> {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let name = word(words, "a set's name")?;
        let dimensions = word(words, "`src` or `dst`")?;
        if !dimensions.split(',').all(|dimension| matches!(dimension, "src" | "dst")) {
            return Err("not dimensions: `src` or `dst`, commas between".to_owned());
        }
        Ok(Self { name, dimensions })
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, " {} {}", self.name, self.dimensions);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!(
            " set{} {}",
            random.below(100),
            ["src", "dst", "src,dst"][usize::try_from(random.below(3)).unwrap_or_default()]
        )
    }
}
