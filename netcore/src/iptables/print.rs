//! A ruleset as `iptables-save` prints it, out of the typed parts. Byte for byte what a real dump
//! holds; what was written by hand comes out in the tool's form: one blank between words, `!` before
//! the option, `-m tcp` where it was left out, lines without CR.

use std::fmt::Write as _;

use super::{
    model::{Declared, Ruleset},
    view::{Chain, Rule, Table},
};

/// Something that is a line, by its place in the text.
#[derive(Clone, Copy)]
enum Item<'a> {
    Table(Table<'a>),
    Chain(Chain<'a>),
    Rule(Rule<'a>),
    Note(usize),
}

impl Ruleset {
    /// The whole text again. Bytes that were not UTF-8 are the bytes that were read.
    pub fn print(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.as_str().len());
        let mut line = String::new();
        for (start, item) in self.items() {
            line.clear();
            match item {
                Item::Table(table) => {
                    let _ = write!(line, "*{}", table.name().unwrap_or_default());
                }
                Item::Chain(chain) => print_chain(chain, &mut line),
                Item::Rule(rule) => self.print_rule(rule, &mut line),
                Item::Note(index) => {
                    if let Some(note) = self.notes.get(index) {
                        self.text.original(note.span.start as usize, note.span.end as usize, &mut out);
                    }
                }
            }
            let start = start as usize;
            let rest = self.text.as_str().as_bytes().get(start..).unwrap_or_default();
            let end = memchr::memchr(b'\n', rest).map_or(start + rest.len(), |at| start + at);
            self.text.restore(start, end, &line, &mut out);
            out.push(b'\n');
        }
        out
    }

    /// The lines in the order of the text.
    fn items(&self) -> Vec<(u32, Item<'_>)> {
        let mut items: Vec<(u32, Item<'_>)> = Vec::with_capacity(self.rules.len() + self.chains.len());
        let tables = self.tables().filter_map(|table| Some((self.tables.get(table.number())?.at?, Item::Table(table))));
        items.extend(tables);
        let chains = (0..).map_while(|index| Chain::at(self, index));
        let declared = chains.filter(Chain::is_declared);
        items.extend(declared.map(|chain| (chain.record().at, Item::Chain(chain))));
        items.extend(self.rules().map(|rule| (rule.record().at, Item::Rule(rule))));
        items.extend(self.notes.iter().enumerate().map(|(index, note)| (note.span.start, Item::Note(index))));
        items.sort_by_key(|(at, _)| *at);
        items
    }

    fn print_rule(&self, rule: Rule<'_>, out: &mut String) {
        let record = rule.record();
        if self.text.span_bytes(record.at as usize, record.at as usize + 1) == "[" {
            let counters = rule.counters().unwrap_or_default();
            let _ = write!(out, "[{}:{}] ", counters.packets, counters.bytes);
        }
        out.push_str("-A ");
        out.push_str(rule.chain().map_or("", |chain| chain.name()));
        rule.print(out);
    }
}

fn print_chain(chain: Chain<'_>, out: &mut String) {
    let record = chain.record();
    let policy = record.policy.map_or("-", |policy| policy.name());
    let _ = match record.declared {
        Declared::Save => write!(out, ":{} {policy}", chain.name()),
        Declared::Policy => write!(out, "-P {} {policy}", chain.name()),
        Declared::New | Declared::Never => write!(out, "-N {}", chain.name()),
    };
    if let Some(counters) = chain.counters() {
        let _ = match record.declared {
            Declared::Save => write!(out, " [{}:{}]", counters.packets, counters.bytes),
            _ => write!(out, " -c {} {}", counters.packets, counters.bytes),
        };
    }
}

impl Rule<'_> {
    /// Adds its parts as iptables prints them, a blank before each.
    pub fn print(&self, out: &mut String) {
        for part in self.parts() {
            part.print(out);
        }
    }
}

/// Equal in what they say: where a line stands and how it is spaced does not count.
impl PartialEq for Ruleset {
    fn eq(&self, other: &Self) -> bool {
        let notes =
            |set: &Self| set.notes().map(|note| (note.kind, note.text.trim_end().to_owned())).collect::<Vec<_>>();
        self.dumps().map(|dump| same_dump(&dump)).eq(other.dumps().map(|dump| same_dump(&dump)))
            && self.tables.len() == other.tables.len()
            && self.tables().zip(other.tables()).all(|(left, right)| same_table(left, right))
            && notes(self) == notes(other)
    }
}

fn same_dump<'a>(dump: &super::Dump<'a>) -> impl PartialEq + use<'a> {
    (dump.family(), dump.backend(), dump.version(), dump.is_complete(), dump.tables().count())
}

fn same_table(left: Table<'_>, right: Table<'_>) -> bool {
    left.name() == right.name()
        && left.chains().count() == right.chains().count()
        && left.chains().zip(right.chains()).all(|(left, right)| same_chain(left, right))
}

fn same_chain(left: Chain<'_>, right: Chain<'_>) -> bool {
    left.name() == right.name()
        && (left.policy(), left.counters(), left.is_declared())
            == (right.policy(), right.counters(), right.is_declared())
        && left.len() == right.len()
        && left.rules().zip(right.rules()).all(|(left, right)| same_rule(left, right))
}

fn same_rule(left: Rule<'_>, right: Rule<'_>) -> bool {
    left.counters() == right.counters() && left.parts().eq(right.parts())
}
