//! Rules, and the commands that `iptables -S` prints.

use super::super::{
    model::{Declared, Goal, Policy, RuleRecord},
    text::{Span, narrow},
    words::Words,
};
use super::{Header, Line, Reader, read_counters};

impl Reader<'_> {
    /// `[packets:bytes] -A …`
    pub(super) fn counted(&mut self, line: &Line<'_>, pending: &mut Option<Header<'_>>) {
        let end = memchr::memchr(b']', line.content.as_bytes()).map_or(line.content.len(), |at| at + 1);
        let brackets = line.content.get(..end).unwrap_or_default();
        if read_counters(brackets).is_err() {
            self.damaged(line, 0, brackets, "not counters: `[packets:bytes]`, each up to 18446744073709551615");
            return;
        }
        let rest = line.content.get(end..).unwrap_or_default().trim_start_matches([' ', '\t']);
        let after = Line { start: line.start + line.content.len() - rest.len(), content: rest, ..*line };
        self.command(&after, line.start, pending);
    }

    /// `-A`, `-P` or `-N`; `at` is where the line starts.
    pub(super) fn command(&mut self, line: &Line<'_>, at: usize, pending: &mut Option<Header<'_>>) {
        let mut words = Words::new(line.content);
        let (command, name) = (words.next().map_or("", |word| word.raw), words.next());
        let whole_line = Line { start: at, content: line.whole.get(at..line.end()).unwrap_or_default(), ..*line };
        let Some(name) = name else {
            self.damaged(&whole_line, line.start - at, command, "no chain's name follows");
            return;
        };
        if self.is_cut_name(&whole_line, &name, line.start - at) {
            return;
        }
        match command {
            "-A" | "--append" => self.rule(line, at, name.raw, name.at, pending),
            "-N" | "--new-chain" | "--new" => {
                self.declare(line, name.raw, Declared::New, None, Span::default(), pending);
            }
            "-P" | "--policy" => match words.next().map(|word| (Policy::named(word.raw), word)) {
                Some((Some(policy), word)) => {
                    let rest = line.start + word.at + word.raw.len();
                    let counters = Span::new(rest, line.end());
                    self.declare(line, name.raw, Declared::Policy, Some(policy), counters, pending);
                }
                Some((None, word)) => {
                    self.damaged(line, word.at, word.raw, "not a policy: ACCEPT, DROP, QUEUE or RETURN");
                }
                None => self.damaged(line, 0, command, "a policy follows the chain's name: ACCEPT, DROP"),
            },
            _ => {
                let reason = "not what a dump holds: `-A CHAIN`, `-N CHAIN`, `-P CHAIN POLICY`";
                self.damaged(&whole_line, line.start - at, command, reason);
            }
        }
    }

    pub(super) fn rule(
        &mut self,
        line: &Line<'_>,
        at: usize,
        name: &str,
        name_at: usize,
        pending: &mut Option<Header<'_>>,
    ) {
        let table = self.current(line, pending);
        let chain = self.chain_of_rule(line, table, name);
        self.last = chain;
        let from = name_at + name.len();
        let spec = line.content.get(from..).unwrap_or_default().trim_end_matches([' ', '\t']);
        let target = self.targets.find(spec);
        let rule = narrow(self.set.rules.len());
        let goal = if target == 0 { Goal::NONE } else { self.goal(table, rule, spec, target, line) };
        if let (Some(record), Some(table)) =
            (self.set.chains.get_mut(chain as usize), self.set.tables.get_mut(table as usize))
        {
            if record.rules.1 == 0 {
                record.rules.0 = rule;
            } else if record.rules.1 != rule {
                table.shuffled = true;
            }
            record.rules.1 = rule + 1;
        }
        self.set.rules.push(RuleRecord {
            at: narrow(at),
            spec: Span::new(line.start + from, line.start + from + spec.len()),
            target_at: target,
            line: narrow(line.line),
            chain,
            goal,
        });
    }

    pub(super) fn goal(&mut self, table: u32, rule: u32, spec: &str, target: u32, line: &Line<'_>) -> Goal {
        let name = Words::from(spec, target as usize).next().map_or("", |word| word.raw);
        let before = spec.as_bytes().get(..target as usize).unwrap_or_default().trim_ascii_end();
        let goto = before.ends_with(b"-g") || before.ends_with(b"--goto");
        if matches!(name, "ACCEPT" | "DROP" | "RETURN") && !goto {
            return Goal::TARGET;
        }
        if let Some(chain) = self.find(table, name, line) {
            return Goal::chain(chain, goto);
        }
        self.unresolved.push(rule);
        if goto { Goal::GOTO_TARGET } else { Goal::TARGET }
    }
}
