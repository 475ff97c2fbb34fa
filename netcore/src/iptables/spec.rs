//! A rule's text as typed parts, read when asked for. What cannot be typed is given out as it is
//! written.

use super::{
    matches::{self, Match},
    model::{Counters, Goal},
    module::{Field, Value, Wrong},
    targets::{self, Target},
    values::{Interface, Not, Protocol},
    words::{Words, is_goto, is_jump},
};

/// A condition or what the rule does.
#[derive(Clone, Debug, PartialEq)]
pub enum Part<'a> {
    /// A condition.
    Match(Match<'a>),
    /// What the rule does.
    Target(Target<'a>),
}

/// A part that is not known or not valid.
#[derive(Clone, Debug)]
pub struct Unknown<'a> {
    /// The part as it is written, `-m` or `-j` included.
    pub text: &'a str,
    /// What is wrong with it, and what would be valid.
    pub reason: String,
    /// The word that is wrong.
    pub token: &'a str,
    /// Where this word starts in the rule's text.
    pub(super) at: usize,
}

impl PartialEq for Unknown<'_> {
    fn eq(&self, other: &Self) -> bool {
        Words::new(self.text).map(|word| word.raw).eq(Words::new(other.text).map(|word| word.raw))
    }
}

/// The parts of a rule in the order of its text.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    spec: &'a str,
    words: Words<'a>,
    goal: Goal,
    /// What options without `-m` belong to.
    implied: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn new(spec: &'a str, goal: Goal) -> Self {
        Self { spec, words: Words::new(spec), goal, implied: "" }
    }

    /// The target alone, which starts at an offset of the text.
    pub(super) fn target(spec: &'a str, at: usize, goal: Goal) -> Option<Target<'a>> {
        let head = spec.get(..at)?.trim_end_matches([' ', '\t']);
        let start = head.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
        let mut parts = Self { spec, words: Words::from(spec, start), goal, implied: "" };
        match parts.next() {
            Some(Part::Target(target)) => Some(target),
            _ => None,
        }
    }

    /// `-s`, `-i` and the like: nothing where the next words are none of these.
    fn generic(words: &mut Words<'a>) -> Option<Result<Match<'a>, Wrong>> {
        let mut ahead = *words;
        let first = ahead.next()?;
        let negated = first.raw == "!";
        let option = if negated { ahead.next()?.raw } else { first.raw };
        let read = match option {
            "-s" | "--source" | "--src" => given(negated, &mut ahead).map(Match::Source),
            "-d" | "--destination" | "--dst" => given(negated, &mut ahead).map(Match::Destination),
            "-i" | "--in-interface" => given::<Interface<'_>>(negated, &mut ahead).map(Match::InInterface),
            "-o" | "--out-interface" => given::<Interface<'_>>(negated, &mut ahead).map(Match::OutInterface),
            "-p" | "--protocol" | "--proto" => given::<Protocol<'_>>(negated, &mut ahead).map(Match::Protocol),
            "-f" | "--fragment" => given(negated, &mut ahead).map(Match::Fragment),
            "-c" | "--set-counters" if !negated => counters(&mut ahead).map(Match::Counters),
            _ => return None,
        };
        Some(match read {
            Ok(found) => {
                *words = ahead;
                Ok(found)
            }
            Err(reason) => Err(Wrong { at: ahead.last, reason: format!("{option}: {reason}") }),
        })
    }

    fn module(&mut self, start: usize) -> Match<'a> {
        let mut ahead = self.words;
        ahead.next();
        let Some(name) = ahead.next() else {
            return self.unknown(start, Wrong { at: start, reason: "no match's name follows".to_owned() });
        };
        match matches::by_name(name.raw, &mut ahead) {
            Some(Ok((found, _))) => {
                self.words = ahead;
                found
            }
            Some(Err(wrong)) => self.unknown(start, wrong),
            None => self.unknown(start, Wrong { at: name.at, reason: "not a match that is known".to_owned() }),
        }
    }

    fn goal(&mut self, start: usize) -> Target<'a> {
        let mut ahead = self.words;
        let goto = ahead.next().is_some_and(|word| is_goto(word.raw));
        let Some(name) = ahead.next() else {
            let wrong = Wrong { at: start, reason: "no target's name follows".to_owned() };
            return Target::Unknown(self.rest(start, wrong));
        };
        if self.goal.to_chain().is_some() {
            self.words = ahead;
            return if goto { Target::Goto(name.raw) } else { Target::Jump(name.raw) };
        }
        if goto {
            let wrong = Wrong { at: name.at, reason: "no chain of the table; -g takes a chain".to_owned() };
            return Target::Unknown(self.rest(start, wrong));
        }
        match targets::by_name(name.raw, &mut ahead) {
            Some(Ok((found, _))) => {
                self.words = ahead;
                found
            }
            Some(Err(wrong)) => Target::Unknown(self.rest(start, wrong)),
            None => {
                let wrong =
                    Wrong { at: name.at, reason: "neither a chain of the table nor a target that is known".to_owned() };
                Target::Unknown(self.rest(start, wrong))
            }
        }
    }

    fn unknown(&mut self, start: usize, wrong: Wrong) -> Match<'a> {
        Match::Unknown(self.rest(start, wrong))
    }

    /// Everything up to the next part that starts for itself.
    fn rest(&mut self, start: usize, wrong: Wrong) -> Unknown<'a> {
        let mut first = true;
        let mut module = false;
        loop {
            let mut ahead = self.words;
            let Some(word) = ahead.next() else { break };
            let option = if word.raw == "!" { ahead.peek().map_or("", |next| next.raw) } else { word.raw };
            if !first && !module && starts_a_part(option) {
                break;
            }
            module = first && (matches!(word.raw, "-m" | "--match") || is_jump(word.raw));
            first = false;
            self.words = ahead;
        }
        let token = Words::from(self.spec, wrong.at).next().map_or("", |word| word.raw);
        Unknown { text: self.words.since(start), reason: wrong.reason, token, at: wrong.at }
    }
}

fn starts_a_part(option: &str) -> bool {
    matches!(
        option,
        "-m" | "--match"
            | "-s"
            | "--source"
            | "--src"
            | "-d"
            | "--destination"
            | "--dst"
            | "-i"
            | "--in-interface"
            | "-o"
            | "--out-interface"
            | "-p"
            | "--protocol"
            | "--proto"
            | "-f"
            | "--fragment"
            | "-c"
            | "--set-counters"
    ) || is_jump(option)
}

fn given<'a, V: Value<'a>>(negated: bool, words: &mut Words<'a>) -> Result<Not<V>, String> {
    let mut field: Option<Not<V>> = None;
    Field::take(&mut field, negated, words)?;
    field.ok_or_else(|| "no value follows".to_owned())
}

fn counters(words: &mut Words<'_>) -> Result<Counters, String> {
    Ok(Counters { packets: u64::read(words)?, bytes: u64::read(words)? })
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let start = self.words.offset();
        let word = self.words.peek()?;
        if is_jump(word.raw) {
            return Some(Part::Target(self.goal(start)));
        }
        if matches!(word.raw, "-m" | "--match") {
            return Some(Part::Match(self.module(start)));
        }
        let generic = Self::generic(&mut self.words);
        Some(Part::Match(match generic {
            Some(Ok(found)) => {
                if let Match::Protocol(Not { negated: false, value }) = &found {
                    self.implied = value.0;
                }
                found
            }
            Some(Err(wrong)) => self.unknown(start, wrong),
            None => {
                let mut ahead = self.words;
                match matches::by_name(Protocol(self.implied).module(), &mut ahead) {
                    Some(Ok((found, true))) => {
                        self.words = ahead;
                        found
                    }
                    Some(Err(wrong)) => self.unknown(start, wrong),
                    _ => {
                        let reason = "not an option that is known here: `-m MATCH` or `-j TARGET` first".to_owned();
                        self.unknown(start, Wrong { at: start, reason })
                    }
                }
            }
        }))
    }
}

impl Part<'_> {
    /// Adds the part as iptables prints it, a blank before it.
    pub(super) fn print(&self, out: &mut String) {
        match self {
            Self::Match(found) => print_match(found, out),
            Self::Target(Target::Jump(chain)) => print_words(" -j ", chain, out),
            Self::Target(Target::Goto(chain)) => print_words(" -g ", chain, out),
            Self::Target(Target::Unknown(unknown)) => print_words(" ", unknown.text, out),
            Self::Target(target) => {
                targets::print_module(target, " -j ", out);
            }
        }
    }
}

fn print_match(found: &Match<'_>, out: &mut String) {
    match found {
        Match::Source(value) => Some(*value).print("-s", out),
        Match::Destination(value) => Some(*value).print("-d", out),
        Match::InInterface(value) => Some(*value).print("-i", out),
        Match::OutInterface(value) => Some(*value).print("-o", out),
        Match::Protocol(value) => Some(*value).print("-p", out),
        Match::Fragment(value) => Some(*value).print("-f", out),
        Match::Counters(value) => {
            out.push_str(" -c");
            value.packets.write(out);
            value.bytes.write(out);
        }
        Match::Unknown(unknown) => print_words(" ", unknown.text, out),
        found => {
            matches::print_module(found, " -m ", out);
        }
    }
}

fn print_words(before: &str, text: &str, out: &mut String) {
    out.push_str(before);
    out.push_str(text);
}
