//! Where dumps and tables start and end.

use super::super::{
    chains::RecentGoals,
    model::{Declared, DumpRecord, Goal, NoteKind, TableRecord},
    text::{Span, narrow},
    words::Words,
};
use super::{Header, Line, Reader};

impl Reader<'_> {
    pub(super) fn table(&mut self, line: &Line<'_>, header: Option<Header<'_>>) {
        self.end_of_table(line);
        let name = line.content.get(1..).unwrap_or_default().trim();
        if name.is_empty() || name.contains([' ', '\t']) {
            self.damaged(line, 1, name, "not a table's name: `*filter`, `*nat`, `*mangle`, `*raw` or `*security`");
            return;
        }
        let span = line.span_of(name);
        let known = self.set.dumps.len().checked_sub(1);
        let repeated = self.set.tables.iter().rev().take_while(|table| Some(table.dump as usize) == known);
        let repeated = repeated.take(64).any(|table| line.get(table.name) == name);
        let differs = match (header, self.set.dumps.last()) {
            (_, None) => true,
            (Some(header), Some(dump)) => {
                (header.family, header.backend) != (dump.family, dump.backend)
                    || header.version != line.get(dump.version)
            }
            (None, Some(_)) => false,
        };
        let of = |dump: &DumpRecord| (dump.family, dump.backend);
        let own = match (header, self.set.dumps.last()) {
            (Some(header), _) => Some((header.family.or(self.assumed.family), header.backend)),
            (None, last) => last.map(of),
        };
        // the other family's or backend's dump in the same file is not the same again
        let again = self
            .set
            .tables
            .iter()
            .rev()
            .take(64)
            .any(|table| line.get(table.name) == name && self.set.dumps.get(table.dump as usize).map(of) == own);
        if again {
            let reason = "the table stands here once more: two nodes' dumps, or two of one node, in one text";
            self.problem(line, 0, name, reason);
        }
        if repeated || differs {
            self.dump(line, header);
        }
        self.open_table(line, span, Some(narrow(line.start)), None);
    }

    pub(super) fn dump(&mut self, line: &Line<'_>, header: Option<Header<'_>>) {
        self.set.dumps.push(DumpRecord {
            family: header.and_then(|header| header.family).or(self.assumed.family),
            backend: header.and_then(|header| header.backend),
            version: header.map_or(Span::default(), |header| line.span_of(header.version)),
            line: narrow(line.line),
        });
    }

    pub(super) fn open_table(&mut self, line: &Line<'_>, name: Span, at: Option<u32>, assumed: Option<String>) {
        let chains = narrow(self.set.chains.len());
        let rules = narrow(self.set.rules.len());
        self.table = Some(narrow(self.set.tables.len()));
        self.set.tables.push(TableRecord {
            dump: narrow(self.set.dumps.len().saturating_sub(1)),
            name,
            assumed,
            at,
            line: narrow(line.line),
            chains: (chains, chains),
            rules: (rules, rules),
            committed: false,
            shuffled: false,
        });
    }

    /// The table that a line belongs to; `iptables -S` names none.
    pub(super) fn current(&mut self, line: &Line<'_>, pending: &mut Option<Header<'_>>) -> u32 {
        if let Some(table) = self.table {
            return table;
        }
        let first = self.set.tables.is_empty();
        self.dump(line, pending.take());
        self.open_table(line, Span::default(), None, self.assumed.table.clone().filter(|_| first));
        self.table.unwrap_or_default()
    }

    pub(super) fn commit(&mut self, line: &Line<'_>) {
        self.note(line, NoteKind::Commit);
        match self.table.and_then(|table| self.set.tables.get_mut(table as usize)) {
            Some(table) if table.at.is_some() => table.committed = true,
            _ => self.problem(line, 0, "COMMIT", "no table is open here: `*TABLE` opens one"),
        }
        self.end_of_table(line);
    }

    /// Resolves what was not declared before it was used, and puts the rules in order.
    pub(super) fn end_of_table(&mut self, line: &Line<'_>) {
        let Some(index) = self.table.take() else { return };
        self.recent = RecentGoals::default();
        for rule in std::mem::take(&mut self.unresolved) {
            let Some(record) = self.set.rules.get(rule as usize) else { continue };
            let spec = line.get(record.spec);
            let name = Words::from(spec, record.target_at as usize).next().map_or("", |word| word.raw);
            let goto = matches!(record.goal, Goal::GOTO_TARGET);
            let chain = self.find(index, name, line);
            if let (Some(chain), Some(record)) = (chain, self.set.rules.get_mut(rule as usize)) {
                record.goal = Goal::chain(chain, goto);
            }
        }
        self.recent = RecentGoals::default();
        self.say_undeclared(index, line);
        let Some(table) = self.set.tables.get_mut(index as usize) else { return };
        table.chains.1 = narrow(self.set.chains.len());
        table.rules.1 = narrow(self.set.rules.len());
        if table.at.is_some() && !table.committed {
            let reason = "the table has no COMMIT before this line: the text is cut";
            self.set.unsorted.add(line.line, 1, line.get(table.name), reason);
        }
        if table.shuffled {
            let (first, end) = table.rules;
            let own = table.chains.0 as usize..table.chains.1 as usize;
            let (rules, chains) = (&self.set.rules, &mut self.set.chains);
            self.set.order.extend(narrow(self.set.order.len())..first);
            let from = self.set.order.len();
            self.set.order.extend(first..end);
            let order = self.set.order.get_mut(from..).unwrap_or_default();
            let chain_of = |rule: u32| rules.get(rule as usize).map_or(0, |record| record.chain);
            order.sort_by_key(|rule| chain_of(*rule));
            chains.get_mut(own).unwrap_or_default().iter_mut().for_each(|chain| chain.rules = (0, 0));
            for (place, rule) in (first..).zip(order.iter()) {
                if let Some(chain) = chains.get_mut(chain_of(*rule) as usize) {
                    let start = if chain.rules.1 == 0 { place } else { chain.rules.0 };
                    chain.rules = (start, place + 1);
                }
            }
        }
    }

    /// Chains that have rules and that nothing declares: once per table, for an excerpt has no other.
    fn say_undeclared(&mut self, index: u32, line: &Line<'_>) {
        let Some(table) = self.set.tables.get(index as usize) else { return };
        let own = self.set.chains.get(table.chains.0 as usize..).unwrap_or_default();
        let mut undeclared = own.iter().filter(|chain| chain.declared == Declared::Never);
        let Some(first) = undeclared.next() else { return };
        let reason = match undeclared.count() {
            0 => "the chain has rules and no line declares it: an excerpt, or a part is missing".to_owned(),
            more => format!(
                "this chain and {more} more have rules and no line declares them: an excerpt, or a part is missing"
            ),
        };
        let (at, name) = (first.line as usize, line.get(first.name));
        self.set.unsorted.add(at, 1, name, reason);
    }

    pub(super) fn end_of_text(&mut self, lines: usize, whole: &str) {
        let at = Line { whole, start: whole.len(), content: "", line: lines };
        let open = self.table.and_then(|table| self.set.tables.get(table as usize)).is_some_and(|t| t.at.is_some());
        self.end_of_table(&at);
        if self.open_headers > 0 && !open && self.set.tables.last().is_some_and(|table| table.committed) {
            let completed =
                self.set.notes.iter().any(|n| n.kind == NoteKind::Header && at.get(n.span).contains("Completed"));
            if completed {
                let reason = "no `# Completed` follows the last `# Generated`: the text is cut";
                self.set.unsorted.add(lines, 1, "", reason);
            }
        }
        self.set.rules.shrink_to_fit();
        self.set.chains.shrink_to_fit();
        self.set.problems = self.set.unsorted.clone().into_vec();
        self.set.problems.sort_by_key(|problem| problem.line);
    }
}
