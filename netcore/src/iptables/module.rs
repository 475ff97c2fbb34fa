//! How a match or a target is declared: a name, and its options with their types. Reading, printing,
//! and what a test tries come from the one declaration.

use super::words::Words;

/// What a value of an option can be.
pub(super) trait Value<'a>: Sized {
    /// Takes the value's words; the error says what would be valid.
    fn read(words: &mut Words<'a>) -> Result<Self, String>;

    /// Prints the value as iptables does.
    fn write(&self, out: &mut String);

    /// Whether `!` may stand before the option.
    const NEGATABLE: bool = false;

    /// Whether the option has no value, so that a `!` after it belongs to the next one.
    const EMPTY: bool = false;

    /// The same with `!` before the option.
    fn negate(&mut self) {}

    /// Whether `!` stands before the option.
    fn negated(&self) -> bool {
        false
    }

    /// A text that `read` takes and `write` prints again.
    #[cfg(test)]
    fn sample(random: &mut super::properties::Random) -> String;
}

/// An option of a module: there or not.
pub(super) trait Field<'a> {
    fn take(&mut self, negated: bool, words: &mut Words<'a>) -> Result<(), String>;
    fn print(&self, option: &str, out: &mut String);
    #[cfg(test)]
    fn sample(option: &str, random: &mut super::properties::Random) -> String;
}

impl<'a> Field<'a> for bool {
    fn take(&mut self, negated: bool, _: &mut Words<'a>) -> Result<(), String> {
        if negated {
            return Err("`!` cannot stand before this option".to_owned());
        }
        *self = true;
        Ok(())
    }

    fn print(&self, option: &str, out: &mut String) {
        if *self {
            out.push(' ');
            out.push_str(option);
        }
    }

    #[cfg(test)]
    fn sample(option: &str, _: &mut super::properties::Random) -> String {
        format!(" {option}")
    }
}

impl<'a, V: Value<'a>> Field<'a> for Option<V> {
    fn take(&mut self, negated: bool, words: &mut Words<'a>) -> Result<(), String> {
        if self.is_some() {
            return Err("the option is given twice".to_owned());
        }
        if negated && !V::NEGATABLE {
            return Err("`!` cannot stand before this option".to_owned());
        }
        // the place in which releases before 1.4.3 wrote it
        let inner = V::NEGATABLE && !V::EMPTY && words.peek().is_some_and(|word| word.raw == "!");
        if inner {
            words.next();
        }
        let mut value = V::read(words)?;
        if negated || inner {
            value.negate();
        }
        *self = Some(value);
        Ok(())
    }

    fn print(&self, option: &str, out: &mut String) {
        let Some(value) = self else { return };
        out.push_str(if value.negated() { " ! " } else { " " });
        out.push_str(option);
        value.write(out);
    }

    #[cfg(test)]
    fn sample(option: &str, random: &mut super::properties::Random) -> String {
        let not = if V::NEGATABLE && random.below(3) == 0 { " !" } else { "" };
        format!("{not} {option}{}", V::sample(random))
    }
}

/// A match or a target with its options.
pub(super) trait Options<'a>: Default {
    /// Takes an option whose name was read; nothing where it is none of this module.
    fn take(&mut self, option: &str, negated: bool, words: &mut Words<'a>) -> Option<Result<(), String>>;

    /// Prints every option that is given.
    fn print(&self, out: &mut String);

    /// How to write each option.
    #[cfg(test)]
    fn samples() -> Vec<SampleOption>;

    /// Takes options until one comes that is none of this module.
    fn read(&mut self, words: &mut Words<'a>) -> Result<bool, Wrong> {
        let mut any = false;
        loop {
            let mut ahead = *words;
            let (negated, option) = match ahead.next() {
                Some(word) if word.raw == "!" => (true, ahead.next()),
                word => (false, word),
            };
            let Some(option) = option else { return Ok(any) };
            match self.take(option.raw, negated, &mut ahead) {
                None => return Ok(any),
                Some(Ok(())) => *words = ahead,
                Some(Err(reason)) => return Err(Wrong { at: ahead.last, reason: format!("{}: {reason}", option.raw) }),
            }
            any = true;
        }
    }
}

/// What is wrong in a rule, and where the word starts.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) reason: String,
}

/// What a test knows of an option: how to write one.
#[cfg(test)]
pub(super) type SampleOption = fn(&mut super::properties::Random) -> String;

/// Declares modules: a name each, and options with their types.
macro_rules! options {
    ($(
        $(#[$doc:meta])*
        $module:ident $(<$lifetime:lifetime>)? {
            $( $(#[$field_doc:meta])* $field:ident: $type:ty = $option:literal $(| $other:literal)*; )*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq)]
            pub struct $module $(<$lifetime>)? {
                $( $(#[$field_doc])* pub $field: $type, )*
            }

            impl<'a> Options<'a> for $module $(<$lifetime>)? {
                #[allow(unused_variables, clippy::allow_attributes, reason = "some modules have no options")]
                fn take(&mut self, option: &str, negated: bool, words: &mut Words<'a>) -> Option<Result<(), String>> {
                    match option {
                        $( $option $(| $other)* => Some(Field::take(&mut self.$field, negated, words)), )*
                        _ => None,
                    }
                }

                #[allow(unused_variables, clippy::allow_attributes, reason = "some modules have no options")]
                fn print(&self, out: &mut String) {
                    $( Field::print(&self.$field, $option, out); )*
                }

                #[cfg(test)]
                fn samples() -> Vec<SampleOption> {
                    vec![$( |random| <$type as Field<'a>>::sample($option, random) ),*]
                }
            }
        )*
    };
}

/// Declares the enum over the modules of one kind: each by the name that stands in rules.
macro_rules! modules {
    (
        $(#[$enum_doc:meta])* $enum:ident { $($extra:tt)* }
        $( $(#[$doc:meta])* $module:ident $(<$lifetime:lifetime>)? = $name:literal $(| $alias:literal)*; )*
    ) => {
        $(#[$enum_doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $enum<'a> {
            $($extra)*
            $( $(#[$doc])* $module($module $(<$lifetime>)?), )*
        }

        /// Reads a module's options by its name; nothing for a name that is not known.
        pub(super) fn by_name<'a>(name: &str, words: &mut Words<'a>) -> Option<Result<($enum<'a>, bool), Wrong>> {
            match name {
                $( $name $(| $alias)* => {
                    let mut options = $module::default();
                    Some(options.read(words).map(|any| ($enum::$module(options), any)))
                } )*
                _ => None,
            }
        }

        /// Prints a module's name and options.
        pub(super) fn print_module(module: &$enum<'_>, before: &str, out: &mut String) -> bool {
            match module {
                $( $enum::$module(options) => {
                    out.push_str(before);
                    out.push_str($name);
                    Options::print(options, out);
                    true
                } )*
                _ => false,
            }
        }

        /// Every module that is typed.
        pub const NAMES: &[&str] = &[$($name),*];

        /// Every module, and how to write each of its options.
        #[cfg(test)]
        pub(super) fn samples() -> Vec<(&'static str, Vec<super::module::SampleOption>)> {
            vec![$( ($name, <$module as Options<'_>>::samples()), )*]
        }
    };
}

pub(super) use {modules, options};
