//! `ipset save` and `ipset list` to sets. A damaged line is a problem; the rest stays.

use std::{collections::HashMap, net::IpAddr};

use super::{
    element::{Fault, name, number, parse_element, parse_member, small},
    model::{CreateOption, Form, IpSet, IpSets, Range, SetKind},
};
use crate::{
    cidr::{Family, IpRange},
    problem::{FAILED, Problems, is_failure},
};

/// Reads what `ipset save`, `ipset list -o save`, `ipset list` or `ipset list -t` printed. Any bytes
/// will do: what is not understood is in the problems.
pub fn parse(input: &[u8]) -> IpSets<'_> {
    let mut reader = Reader { sets: Vec::new(), by_name: HashMap::new(), problems: Problems::default() };
    let form = form_of(input);
    match form {
        Form::Save => reader.save(input),
        Form::List => reader.list(input),
    }
    IpSets { form, sets: reader.sets, problems: reader.problems }
}

/// The first line that is either tells; a file may begin with a warning.
fn form_of(input: &[u8]) -> Form {
    for (_, line) in lines(input) {
        if line.starts_with(b"Name: ") {
            return Form::List;
        }
        if line.starts_with(b"create ") || line.starts_with(b"add ") {
            return Form::Save;
        }
    }
    Form::Save
}

/// The lines from 1, without their ends.
fn lines(input: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = input;
    let mut number = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        number += 1;
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        rest = rest.get(end + 1..).unwrap_or_default();
        Some((number, line.strip_suffix(b"\r").unwrap_or(line)))
    })
}

struct Reader<'a> {
    sets: Vec<IpSet<'a>>,
    /// The last set of each name.
    by_name: HashMap<&'a str, usize>,
    problems: Problems,
}

impl<'a> Reader<'a> {
    fn save(&mut self, input: &'a [u8]) {
        for (line, text) in lines(input) {
            if let Some(rest) = text.strip_prefix(b"add ") {
                self.add(line, rest);
            } else if let Some(rest) = text.strip_prefix(b"create ") {
                self.create(line, rest);
            } else if !text.is_empty() {
                let head = text.get(..text.len().min(1000)).unwrap_or_default();
                let reason = if is_failure(&String::from_utf8_lossy(head)) {
                    FAILED
                } else if text.starts_with(b"<ipsets") || text.starts_with(b"<ipset ") {
                    "XML of `ipset list -o xml`; what `ipset save` prints is read"
                } else {
                    "not a line of `ipset save`: `create NAME TYPE …` or `add NAME ENTRY`"
                };
                self.problems.add(line, 1, text, reason);
            }
        }
    }

    /// `NAME ENTRY …` behind `add `: nearly always the set before.
    fn add(&mut self, line: usize, text: &'a [u8]) {
        const HEAD: usize = 4;
        let Some((at, entry)) = self.target(text) else {
            let end = memchr::memchr(b' ', text).unwrap_or(text.len());
            let token = text.get(..end).unwrap_or_default();
            self.problems.add(line, HEAD + 1, token, "no `create` line for this set stands before its entry");
            return;
        };
        let begin = HEAD + text.len() - entry.len();
        let Some(set) = self.sets.get_mut(at) else { return };
        match parse_member(set.kind, set.family(), entry) {
            Ok(_) => set.members.push(entry),
            Err(fault) => self.fault(line, begin, entry, &fault),
        }
    }

    /// The set that an entry belongs to, and the entry. A name may have blanks in it.
    fn target(&self, text: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let last = self.sets.len().checked_sub(1)?;
        let inside = |name: &str| text.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
        if let Some(entry) = self.sets.get(last).and_then(|set| inside(set.name)) {
            return Some((last, entry));
        }
        // no name is longer than 31 bytes, so this looks at a few words at most
        let head = text.get(..=super::model::MAX_NAME).unwrap_or(text);
        memchr::memchr_iter(b' ', head).find_map(|end| {
            let name = std::str::from_utf8(text.get(..end)?).ok()?;
            Some((*self.by_name.get(name)?, text.get(end + 1..)?))
        })
    }

    fn fault(&mut self, line: usize, begin: usize, text: &[u8], fault: &Fault) {
        let token = text.get(fault.at..).unwrap_or_default();
        let token = token.get(..fault.len).unwrap_or(token);
        self.problems.add(line, begin + fault.at + 1, token, fault.reason);
    }

    /// `NAME TYPE OPTIONS` behind `create `.
    fn create(&mut self, line: usize, text: &'a [u8]) {
        const HEAD: usize = 7;
        let Ok(text) = std::str::from_utf8(text) else {
            self.problems.add(line, HEAD + 1, text, "not UTF-8");
            return;
        };
        // the type is the first word that is one; before it stands the name, which may have blanks
        let mut words = words(text).skip(1).take(super::model::MAX_NAME);
        let known = words.find(|(_, word)| SetKind::named(word).is_some());
        let guess = || self::words(text).skip(1).find(|(_, word)| word.contains(':'));
        let Some((at, kind_name)) = known.or_else(guess) else {
            let reason = "no set type like hash:ip behind the name";
            self.problems.add(line, HEAD + 1, text.as_bytes(), reason);
            return;
        };
        let name = text.get(..at.saturating_sub(1)).unwrap_or_default();
        let options = at + kind_name.len();
        self.declare(line, HEAD, name, kind_name);
        self.options(line, HEAD + options, text.get(options..).unwrap_or_default());
    }

    /// A new set; options and members follow.
    fn declare(&mut self, line: usize, column: usize, text: &'a str, kind_name: &'a str) {
        if let Err(reason) = name(text) {
            self.problems.add(line, column + 1, text.as_bytes(), reason);
        }
        let kind = SetKind::named(kind_name).unwrap_or(SetKind::Unknown);
        if self.by_name.insert(text, self.sets.len()).is_some() {
            let reason = "a second set of this name: two dumps in one file? What follows belongs to the second";
            self.problems.add(line, column + 1, text.as_bytes(), reason);
        }
        self.sets.push(IpSet {
            name: text,
            kind,
            kind_name,
            options: Vec::new(),
            revision: None,
            memory: None,
            references: None,
            entries: None,
            line,
            listed: true,
            members: Vec::new(),
        });
    }

    /// ` family inet hashsize 1024 …`, to the set declared last.
    fn options(&mut self, line: usize, column: usize, text: &'a str) {
        let Some(set) = self.sets.last_mut() else { return };
        let mut words = words(text);
        while let Some((at, word)) = words.next() {
            let flag = match word {
                "counters" => Some(CreateOption::Counters),
                "comment" => Some(CreateOption::Comment),
                "skbinfo" => Some(CreateOption::SkbInfo),
                "forceadd" => Some(CreateOption::ForceAdd),
                _ => None,
            };
            if let Some(flag) = flag {
                set.options.push(flag);
                continue;
            }
            if !VALUED.contains(&word) {
                set.options.push(CreateOption::Unknown(word));
                self.problems.add(line, column + at + 1, word.as_bytes(), "an option that is not known; it is kept");
                continue;
            }
            let (from, value) = words.next().unwrap_or((text.len(), ""));
            if let Some(option) = valued(word, value, set.family()) {
                set.options.push(option);
            } else {
                let reason = format!("not a value of `{word}`");
                self.problems.add(line, column + from + 1, value.as_bytes(), reason);
            }
        }
    }

    fn list(&mut self, input: &'a [u8]) {
        // whether lines are members of the last set
        let mut members = false;
        let mut name: Option<(usize, &'a str)> = None;
        for (line, text) in lines(input) {
            if text.iter().all(|b| *b == b' ') {
                continue;
            }
            if let Some(rest) = text.strip_prefix(b"Name: ") {
                self.unfinished(name.take());
                members = false;
                match std::str::from_utf8(rest) {
                    Ok(rest) => name = Some((line, rest)),
                    Err(_) => self.problems.add(line, 7, rest, "not UTF-8"),
                }
            } else if members {
                self.listed_member(line, text);
            } else if text == b"Members:" {
                self.unfinished(name.take());
                members = true;
                if let Some(set) = self.sets.last_mut() {
                    set.listed = true;
                }
            } else {
                self.header(line, text, &mut name);
            }
        }
        self.unfinished(name);
    }

    /// A name without a type behind it.
    fn unfinished(&mut self, name: Option<(usize, &str)>) {
        if let Some((line, name)) = name {
            self.problems.add(line, 7, name.as_bytes(), "no `Type:` line follows the name");
        }
    }

    fn listed_member(&mut self, line: usize, text: &'a [u8]) {
        // some tools indent what they copy
        let indent = text.iter().take_while(|b| **b == b' ').count();
        let entry = text.get(indent..).unwrap_or_default();
        let Some(set) = self.sets.last_mut() else {
            self.problems.add(line, 1, text, "an entry without a set");
            return;
        };
        match parse_member(set.kind, set.family(), entry) {
            Ok(_) => set.members.push(entry),
            Err(fault) => self.fault(line, indent, entry, &fault),
        }
    }

    fn header(&mut self, line: usize, bytes: &'a [u8], name: &mut Option<(usize, &'a str)>) {
        let split = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once(':'));
        let Some((key, value)) = split else {
            let reason = "not a line of `ipset list`: `Name:`, `Type:`, `Header:`, `Members:` and so on";
            self.problems.add(line, 1, bytes, reason);
            return;
        };
        let column = key.len() + 2;
        let text = value.trim();
        if key == "Type" {
            match name.take() {
                Some((line, name)) => {
                    self.declare(line, 6, name, text);
                    if let Some(set) = self.sets.last_mut() {
                        set.listed = false;
                    }
                }
                None => self.problems.add(line, 1, bytes, "a type without a `Name:` line before it"),
            }
            return;
        }
        if name.is_some() || self.sets.is_empty() {
            self.problems.add(line, 1, bytes, "a header without the `Name:` and `Type:` lines before it");
            return;
        }
        if key == "Header" {
            self.options(line, column - 1, value);
            return;
        }
        let Some(set) = self.sets.last_mut() else { return };
        let taken = match key {
            "Revision" => number(text).map(|n| set.revision = Some(n)),
            "Size in memory" => text.parse().ok().map(|n| set.memory = Some(n)),
            "References" => number(text).map(|n| set.references = Some(n)),
            "Number of entries" => text.parse().ok().map(|n| set.entries = Some(n)),
            _ => {
                self.problems.add(line, 1, key.as_bytes(), "a header that is not known");
                return;
            }
        };
        if taken.is_none() {
            self.problems.add(line, column + 1, text.as_bytes(), format!("not a number behind `{key}:`"));
        }
    }
}

const VALUED: [&str; 11] = [
    "family",
    "hashsize",
    "maxelem",
    "netmask",
    "bitmask",
    "markmask",
    "timeout",
    "bucketsize",
    "initval",
    "range",
    "size",
];

fn valued(word: &str, value: &str, family: Option<Family>) -> Option<CreateOption<'static>> {
    Some(match word {
        "family" => CreateOption::Family(match value {
            "inet" => Family::V4,
            "inet6" => Family::V6,
            _ => return None,
        }),
        "hashsize" => CreateOption::HashSize(number(value)?),
        "maxelem" => CreateOption::MaxElem(number(value)?),
        "netmask" => CreateOption::Netmask(small(value)?),
        "bitmask" => CreateOption::Bitmask(value.parse().ok()?),
        "markmask" => CreateOption::MarkMask(number(value)?),
        "timeout" => CreateOption::Timeout(number(value)?),
        "bucketsize" => CreateOption::BucketSize(small(value)?),
        "initval" => CreateOption::InitVal(number(value)?),
        "range" => CreateOption::Range(range(value, family)?),
        "size" => CreateOption::Size(number(value)?),
        _ => return None,
    })
}

/// `0-65535`, `10.0.0.0-10.0.0.255` or `10.0.0.0/24`.
fn range(text: &str, family: Option<Family>) -> Option<Range> {
    if let Some((first, last)) = text.split_once('-') {
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            return (first <= last).then_some(Range::Ports(first, last));
        }
        let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
        return IpRange::new(first, last).map(|range| Range::Addresses(range.first(), range.last()));
    }
    let element = parse_element(SetKind::HashNet, family, text).ok()?;
    element.parts().find_map(|part| match part {
        super::element::Part::Net(cidr) => Some(Range::Addresses(cidr.first(), cidr.last())),
        _ => None,
    })
}

/// The words of a text with their offsets.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(' ').filter_map(move |word| {
        let begin = at;
        at += word.len() + 1;
        (!word.is_empty()).then_some((begin, word))
    })
}
