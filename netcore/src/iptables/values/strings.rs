//! Strings: words as they are, and what quotes hold together.

use std::borrow::Cow;

use super::{
    super::{module::Value, words::is_open},
    Words, plain_word, word,
};

#[cfg(test)]
use super::super::properties::Random;

/// A word that is kept as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a>(pub &'a str);

plain_word!(Word, "a word", |text| !is_open(text), |n| format!("w{n}"));

/// Days, by name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days<'a>(pub &'a str);

plain_word!(
    Days,
    "a list of days",
    |text| !text.is_empty() && text.split(',').all(|day| !day.is_empty()),
    |n| format!("Mon,{n}")
);

/// A string in double quotes where it needs them.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// The string as it was written, quotes and backslashes included.
    pub fn raw(&self) -> &'a str {
        self.0
    }

    /// The string itself.
    pub fn text(&self) -> Cow<'a, str> {
        if !self.0.contains('"') {
            return Cow::Borrowed(self.0);
        }
        let plain = self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if let Some(plain) = plain.filter(|plain| !plain.contains(['"', '\\'])) {
            return Cow::Borrowed(plain);
        }
        let (mut quoted, mut escaped) = (false, false);
        let mut out = String::with_capacity(self.0.len());
        for letter in self.0.chars() {
            match letter {
                _ if escaped => {
                    escaped = false;
                    out.push(letter);
                }
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => out.push(letter),
            }
        }
        Cow::Owned(out)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl<'a> Value<'a> for Text<'a> {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let text = word(words, "a string")?;
        if is_open(text) { Err("a quote is opened and never closed".to_owned()) } else { Ok(Self(text)) }
    }

    fn write(&self, out: &mut String) {
        out.push(' ');
        out.push_str(self.0);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        match random.below(3) {
            0 => format!(" word{}", random.below(1000)),
            1 => format!(" \"two {}\"", random.below(1000)),
            _ => format!(" \"a \\\" b \\\\ {} -j DROP\"", random.below(1000)),
        }
    }
}

/// The name of an accounting object, which iptables prints after two blanks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccountName<'a>(pub Text<'a>);

impl<'a> Value<'a> for AccountName<'a> {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        Text::read(words).map(Self)
    }

    fn write(&self, out: &mut String) {
        out.push(' ');
        self.0.write(out);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> String {
        format!("  name{}", random.below(100))
    }
}
