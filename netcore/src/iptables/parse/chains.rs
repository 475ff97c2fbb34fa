//! How chains are declared, and how they are found again.

use super::super::{
    model::{ChainRecord, Declared, Policy},
    text::{Span, narrow},
    words::{Word, Words, is_open},
};
use super::{Header, Line, Reader, read_counters};

impl Reader<'_> {
    /// `:NAME POLICY [packets:bytes]`
    pub(super) fn chain(&mut self, line: &Line<'_>, pending: &mut Option<Header<'_>>) {
        let mut words = Words::new(line.content.get(1..).unwrap_or_default());
        let Some(name) = words.next() else {
            self.damaged(line, 1, "", "no chain's name after the colon");
            return;
        };
        if self.is_cut_name(line, &name, 1) {
            return;
        }
        let policy = words.next();
        let counters = words.next();
        let policy = match policy.map(|word| word.raw) {
            None | Some("-") => None,
            Some(word) => {
                let known = Policy::named(word);
                if known.is_none() {
                    let column = 1 + policy.map_or(0, |word| word.at);
                    self.damaged(line, column, word, "not a policy: ACCEPT, DROP, QUEUE, RETURN or `-`");
                    return;
                }
                known
            }
        };
        let span = match counters {
            None => Span::default(),
            Some(word) if read_counters(word.raw).is_ok() => line.span_of(word.raw),
            Some(word) => {
                self.damaged(
                    line,
                    1 + word.at,
                    word.raw,
                    "not counters: `[packets:bytes]`, each up to 18446744073709551615",
                );
                return;
            }
        };
        if let Some(word) = words.next() {
            self.damaged(line, 1 + word.at, word.raw, "a chain's line ends after its counters");
            return;
        }
        self.declare(line, name.raw, Declared::Save, policy, span, pending);
    }

    /// Whether a chain's name is no name: a quote in it has no end, so that it would swallow what is
    /// printed after it. Says so. `before` is how much of the line stands before the words.
    pub(super) fn is_cut_name(&mut self, line: &Line<'_>, name: &Word<'_>, before: usize) -> bool {
        let cut = name.raw.contains('"') && is_open(name.raw);
        if cut {
            self.damaged(line, before + name.at, name.raw, "not a chain's name: a quote is opened and never closed");
        }
        cut
    }

    pub(super) fn declare(
        &mut self,
        line: &Line<'_>,
        name: &str,
        declared: Declared,
        policy: Option<Policy>,
        counters: Span,
        pending: &mut Option<Header<'_>>,
    ) {
        let mut table = self.current(line, pending);
        if let Some(known) = self.known_or_new(line, table, name) {
            let first = self.set.chains.get_mut(known as usize);
            match first {
                Some(chain) if chain.declared == Declared::Never => {
                    // used before it is declared
                    (chain.declared, chain.policy, chain.counters) = (declared, policy, counters);
                    (chain.at, chain.line) = (narrow(line.start), narrow(line.line));
                    return;
                }
                // several answers of `iptables -S` after each other
                Some(_) if declared == Declared::Policy => {
                    self.end_of_table(line);
                    table = self.current(line, pending);
                    self.known_or_new(line, table, name);
                }
                _ => {
                    let reason = "the chain is declared twice in its table; the first is kept";
                    self.damaged(line, 0, name, reason);
                    return;
                }
            }
        }
        self.add_chain(line, name, declared, policy, counters);
    }

    /// The chain of that name in a table; nothing for a new one, which is to be added now.
    pub(super) fn known_or_new(&mut self, line: &Line<'_>, table: u32, name: &str) -> Option<u32> {
        let first = self.set.tables.get(table as usize).map_or(0, |table| table.chains.0);
        let chains = &self.set.chains;
        let new = narrow(chains.len());
        let is = |chain: u32| chain >= first && chains.get(chain as usize).is_some_and(|c| line.get(c.name) == name);
        self.set.names.find_or_add(table, name, new, is)
    }

    pub(super) fn add_chain(
        &mut self,
        line: &Line<'_>,
        name: &str,
        declared: Declared,
        policy: Option<Policy>,
        counters: Span,
    ) -> u32 {
        let chain = narrow(self.set.chains.len());
        self.set.chains.push(ChainRecord {
            name: line.span_of(name),
            at: narrow(line.start),
            line: narrow(line.line),
            declared,
            policy,
            counters,
            rules: (0, 0),
        });
        chain
    }

    /// A rule's chain, which need not be declared; rules stand by chain, so it is mostly the last one or
    /// the next.
    pub(super) fn chain_of_rule(&mut self, line: &Line<'_>, table: u32, name: &str) -> u32 {
        let first = self.set.tables.get(table as usize).map_or(0, |table| table.chains.0);
        let is = |chain: u32| chain >= first && self.is(chain, name, line.whole);
        if is(self.last) {
            return self.last;
        }
        if is(self.last.saturating_add(1)) {
            return self.last + 1;
        }
        match self.known_or_new(line, table, name) {
            Some(chain) => chain,
            None => self.add_chain(line, name, Declared::Never, None, Span::default()),
        }
    }

    /// The chain of a table that a rule's target names; nothing where there is none of that name yet.
    pub(super) fn find(&mut self, table: u32, name: &str, line: &Line<'_>) -> Option<u32> {
        if let Some(goal) = self.recent.find(name, line.whole) {
            return goal.chain;
        }
        let first = self.set.tables.get(table as usize).map_or(0, |table| table.chains.0);
        let is = |chain: u32| chain >= first && self.is(chain, name, line.whole);
        let chain = self.set.names.find(table, name, is);
        self.recent.keep(line.span_of(name), chain);
        chain
    }

    pub(super) fn is(&self, chain: u32, name: &str, whole: &str) -> bool {
        let span = self.set.chains.get(chain as usize).map(|record| record.name);
        span.and_then(|span| whole.get(span.start as usize..span.end as usize)) == Some(name)
    }
}
