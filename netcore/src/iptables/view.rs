//! What a ruleset gives out: dumps, tables, chains and rules, each a pair of a reference and a number.

use std::ops::Range;

use super::{
    graph::Graph,
    matches::Match,
    model::{
        Backend, ChainRecord, Counters, Declared, DumpRecord, Goal, Note, NoteKind, Policy, RuleRecord, Ruleset,
        TableRecord,
    },
    parse::read_counters,
    spec::{Part, Parts},
    targets::Target,
};
use crate::cidr::Family;
use crate::problem::{Problem, Problems};

macro_rules! view {
    ($(#[$doc:meta])* $view:ident of $record:ident in $list:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $view<'a> {
            pub(super) set: &'a Ruleset,
            pub(super) index: u32,
            record: &'a $record,
        }

        impl<'a> $view<'a> {
            pub(super) fn at(set: &'a Ruleset, index: u32) -> Option<Self> {
                set.$list.get(index as usize).map(|record| Self { set, index, record })
            }

            /// Its number in the whole text, from 0.
            pub fn number(&self) -> usize {
                self.index as usize
            }

            /// The line on which it stands, from 1.
            pub fn line(&self) -> usize {
                self.record.line as usize
            }
        }
    };
}

view!(
    /// What one run of the command printed: each table at most once.
    Dump of DumpRecord in dumps
);
view!(
    /// A table of a dump.
    Table of TableRecord in tables
);
view!(
    /// A chain of a table.
    Chain of ChainRecord in chains
);
view!(
    /// A rule of a chain.
    Rule of RuleRecord in rules
);

/// How many chains of a circle are named.
const SHOWN: usize = 5;

impl Ruleset {
    /// The dumps in the order of the text.
    pub fn dumps(&self) -> impl Iterator<Item = Dump<'_>> {
        (0..).map_while(|index| Dump::at(self, index))
    }

    /// The tables of every dump in the order of the text.
    pub fn tables(&self) -> impl Iterator<Item = Table<'_>> {
        (0..).map_while(|index| Table::at(self, index))
    }

    /// The rules of every table in the order of the text.
    pub fn rules(&self) -> impl Iterator<Item = Rule<'_>> {
        (0..).map_while(|index| Rule::at(self, index))
    }

    /// The chain of a number.
    pub fn chain(&self, number: usize) -> Option<Chain<'_>> {
        Chain::at(self, u32::try_from(number).ok()?)
    }

    /// How many rules there are.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// How many chains there are.
    pub fn chain_count(&self) -> usize {
        self.chains.len()
    }

    /// The lines that are no table, chain or rule.
    pub fn notes(&self) -> impl Iterator<Item = Note<'_>> {
        self.notes.iter().map(|note| Note { line: note.line as usize, kind: note.kind, text: self.text.get(note.span) })
    }

    /// Whether the tool said that the other backend has tables that are not shown here.
    pub fn legacy_tables_present(&self) -> bool {
        self.notes.iter().any(|note| note.kind == NoteKind::LegacyTablesPresent)
    }

    /// What is wrong with the lines. Does not look into rules: `check` does.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Chains that call each other in a circle, which no kernel holds: by the first of each circle.
    pub fn loops(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        for table in self.tables() {
            for circle in Graph::of(table).loops(table) {
                let Some(first) = circle.first() else { continue };
                let names: Vec<&str> = circle.iter().take(SHOWN).map(Chain::name).collect();
                let more = circle.len().saturating_sub(names.len());
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let reason =
                    format!("the chain comes back to itself, which no kernel holds: {}{more}", names.join(", "));
                problems.add(first.line(), 1, first.name(), reason);
            }
        }
        problems.into_vec()
    }

    /// Everything that is wrong: lines, circles, and what of each rule is not known or not valid. Reads
    /// every rule.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = self.unsorted.clone();
        for problem in self.rules().flat_map(|rule| rule.wrong_parts()) {
            problems.push(problem);
        }
        for problem in self.loops() {
            problems.push(problem);
        }
        let mut problems = problems.into_vec();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    }
}

impl<'a> Dump<'a> {
    /// The family, where the header or the caller says it.
    pub fn family(&self) -> Option<Family> {
        self.record.family
    }

    /// The backend, where the header says it.
    pub fn backend(&self) -> Option<Backend> {
        self.record.backend
    }

    /// The tool's version, `1.8.9`, where the header says it.
    pub fn version(&self) -> Option<&'a str> {
        Some(self.set.text.get(self.record.version)).filter(|version| !version.is_empty())
    }

    /// The tables in the order of the text.
    pub fn tables(&self) -> impl Iterator<Item = Table<'a>> + use<'a> {
        let (set, dump) = (self.set, self.index);
        set.tables().filter(move |table| table.record.dump == dump)
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<Table<'a>> {
        self.tables().find(|table| table.name() == Some(name))
    }

    /// Whether every table ends with COMMIT. Nothing for `iptables -S`, which has no end mark.
    pub fn is_complete(&self) -> Option<bool> {
        let saved: Vec<bool> = self.tables().filter(|t| t.record.at.is_some()).map(|t| t.record.committed).collect();
        (!saved.is_empty()).then(|| saved.iter().all(|committed| *committed))
    }

    /// The family, also told by the first address in its rules.
    pub fn family_of_rules(&self) -> Option<Family> {
        self.family().or_else(|| {
            let parts = self.tables().flat_map(|table| table.rules()).flat_map(|rule| rule.matches());
            parts.into_iter().find_map(|part| match part {
                Match::Source(value) | Match::Destination(value) => Some(value.value.family()),
                Match::Icmp6(_) => Some(Family::V6),
                _ => None,
            })
        })
    }
}

impl<'a> Table<'a> {
    /// The name: `nat`. Nothing for `iptables -S`, which names none, unless the caller does.
    pub fn name(&self) -> Option<&'a str> {
        match &self.record.assumed {
            Some(name) => Some(name),
            None => Some(self.set.text.get(self.record.name)).filter(|name| !name.is_empty()),
        }
    }

    /// Whether COMMIT ends it. Nothing for `iptables -S`, which has no end mark.
    pub fn is_complete(&self) -> Option<bool> {
        self.record.at.map(|_| self.record.committed)
    }

    /// The dump that it is of.
    pub fn dump(&self) -> Option<Dump<'a>> {
        Dump::at(self.set, self.record.dump)
    }

    /// Its chains, in the order of the text.
    pub fn chains(&self) -> impl Iterator<Item = Chain<'a>> + use<'a> {
        let set = self.set;
        self.chain_numbers().filter_map(move |index| Chain::at(set, index))
    }

    pub(super) fn chain_numbers(&self) -> Range<u32> {
        self.record.chains.0..self.record.chains.1
    }

    /// A chain by name, in constant time.
    pub fn chain(&self, name: &str) -> Option<Chain<'a>> {
        let numbers = self.chain_numbers();
        let is = |chain: u32| {
            numbers.contains(&chain) && Chain::at(self.set, chain).is_some_and(|chain| chain.name() == name)
        };
        self.set.names.find(self.index, name, is).and_then(|chain| Chain::at(self.set, chain))
    }

    /// Whether the text has the table to its end. `iptables -S` has no end mark and is taken as whole.
    pub fn is_committed(&self) -> bool {
        self.record.committed || self.record.at.is_none()
    }

    /// The line of its last rule, from 1; 0 without rules.
    pub fn last_rule_line(&self) -> usize {
        let last = self.record.rules.1.checked_sub(1).filter(|last| *last >= self.record.rules.0);
        last.and_then(|last| Rule::at(self.set, last)).map_or(0, |rule| rule.line())
    }

    /// Its rules, in the order of the text.
    pub fn rules(&self) -> impl Iterator<Item = Rule<'a>> + use<'a> {
        let set = self.set;
        (self.record.rules.0..self.record.rules.1).filter_map(move |index| Rule::at(set, index))
    }
}

impl<'a> Chain<'a> {
    /// The name.
    pub fn name(&self) -> &'a str {
        self.set.text.get(self.record.name)
    }

    /// What happens at its end; nothing for a chain of a user, which returns.
    pub fn policy(&self) -> Option<Policy> {
        self.record.policy
    }

    /// Whether the kernel calls it: a chain of a hook, as its policy says.
    pub fn is_built_in(&self) -> bool {
        self.record.policy.is_some()
    }

    /// Whether a line declares it; else a rule is in it that no line prepared.
    pub fn is_declared(&self) -> bool {
        self.record.declared != Declared::Never
    }

    /// What the policy has seen, where the dump says it.
    pub fn counters(&self) -> Option<Counters> {
        let text = self.set.text.get(self.record.counters);
        read_counters(text).ok().or_else(|| {
            let (packets, bytes) = text.trim().strip_prefix("-c ")?.split_once(' ')?;
            Some(Counters { packets: packets.parse().ok()?, bytes: bytes.trim().parse().ok()? })
        })
    }

    /// The table that it is of.
    pub fn table(&self) -> Option<Table<'a>> {
        let table = self.set.tables.partition_point(|table| table.chains.1 <= self.index);
        Table::at(self.set, u32::try_from(table).ok()?)
    }

    /// How many rules it has.
    pub fn len(&self) -> usize {
        (self.record.rules.1 - self.record.rules.0) as usize
    }

    /// Whether it has no rule.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its rules, in the order in which a packet meets them.
    pub fn rules(&self) -> impl DoubleEndedIterator<Item = Rule<'a>> + use<'a> {
        let set = self.set;
        let shuffled = self.table().is_some_and(|table| table.record.shuffled);
        let order = if shuffled { set.order.as_slice() } else { &[] };
        let places = self.record.rules.0..self.record.rules.1;
        places.filter_map(move |place| Rule::at(set, order.get(place as usize).copied().unwrap_or(place)))
    }

    pub(super) fn record(&self) -> &'a ChainRecord {
        self.record
    }
}

/// A call of another chain.
#[derive(Clone, Copy, Debug)]
pub struct Jump<'a> {
    /// The chain.
    pub chain: Chain<'a>,
    /// Whether it is `-g`, which does not come back to this chain.
    pub goto: bool,
}

/// What a rule does, as far as it needs no look at its options.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// Another chain is asked.
    Chain(Jump<'a>),
    /// A target of this name.
    Target(&'a str),
    /// Nothing but counting.
    None,
}

impl<'a> Rule<'a> {
    /// The rule as it is written, after its chain's name.
    pub fn text(&self) -> &'a str {
        self.spec().trim_start_matches([' ', '\t'])
    }

    fn spec(&self) -> &'a str {
        self.set.text.get(self.record.spec)
    }

    /// Its chain.
    pub fn chain(&self) -> Option<Chain<'a>> {
        Chain::at(self.set, self.record.chain)
    }

    /// What it has seen, where the dump says it.
    pub fn counters(&self) -> Option<Counters> {
        let before = self.set.text.span_bytes(self.record.at as usize, self.record.spec.start as usize);
        if before.starts_with('[') {
            return read_counters(before.split(' ').next()?.split_inclusive(']').next()?).ok();
        }
        if !self.spec().contains("-c ") {
            return None;
        }
        self.matches().find_map(|part| match part {
            Match::Counters(counters) => Some(counters),
            _ => None,
        })
    }

    /// Its conditions and its target, in the order of the text.
    pub fn parts(&self) -> Parts<'a> {
        Parts::new(self.spec(), self.record.goal)
    }

    /// Its conditions.
    pub fn matches(&self) -> impl Iterator<Item = Match<'a>> + use<'a> {
        self.parts().filter_map(|part| match part {
            Part::Match(found) => Some(found),
            Part::Target(_) => None,
        })
    }

    /// What it does, without reading its conditions; nothing where it only counts.
    pub fn target(&self) -> Option<Target<'a>> {
        if self.record.goal == Goal::NONE {
            return None;
        }
        Parts::target(self.spec(), self.record.target_at as usize, self.record.goal)
    }

    /// The chain that it calls.
    pub fn jump(&self) -> Option<Jump<'a>> {
        let (chain, goto) = self.record.goal.to_chain()?;
        Chain::at(self.set, chain).map(|chain| Jump { chain, goto })
    }

    /// What it does, without reading any option.
    pub fn verdict(&self) -> Verdict<'a> {
        if let Some(jump) = self.jump() {
            return Verdict::Chain(jump);
        }
        if self.record.goal == Goal::NONE {
            return Verdict::None;
        }
        let rest = self.spec().get(self.record.target_at as usize..).unwrap_or_default();
        Verdict::Target(rest.split([' ', '\t']).next().unwrap_or_default())
    }

    /// Its comments in order.
    pub fn comments(&self) -> impl Iterator<Item = std::borrow::Cow<'a, str>> + use<'a> {
        self.matches().filter_map(|part| match part {
            Match::Comment(comment) => comment.text.map(|text| text.text()),
            _ => None,
        })
    }

    /// What of it is not known or not valid.
    pub fn problems(&self) -> Vec<Problem> {
        self.wrong_parts().collect::<Problems>().into_vec()
    }

    fn wrong_parts(&self) -> impl Iterator<Item = Problem> + use<'a> {
        let unknown = self.parts().filter_map(|part| match part {
            Part::Match(Match::Unknown(unknown)) | Part::Target(Target::Unknown(unknown)) => Some(unknown),
            _ => None,
        });
        let (line, before) = (self.line(), (self.record.spec.start - self.record.at) as usize + 1);
        unknown.map(move |u| Problem::new(line, before + u.at, u.token, u.reason))
    }

    pub(super) fn record(&self) -> &'a RuleRecord {
        self.record
    }
}
