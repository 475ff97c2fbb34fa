//! `iptables -L`, which people paste: lossy, so what it does not show is `None` and never a guess. For
//! anything that is to be computed, `iptables-save` is the source.

use super::model::Policy;
use crate::problem::{Problem, Problems};

/// What one or more calls of `iptables -L` printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The chains in the order of the text.
    pub chains: Vec<ListedChain>,
    /// Lines that could not be read.
    pub problems: Vec<Problem>,
}

/// A chain as it is listed. The table is never shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedChain {
    /// The name.
    pub name: String,
    /// The policy of a built-in chain.
    pub policy: Option<Policy>,
    /// How many rules call it, for a chain of a user.
    pub references: Option<u64>,
    /// Packets that the policy has seen, with `-v`.
    pub packets: Option<Amount>,
    /// Bytes that the policy has seen, with `-v`.
    pub bytes: Option<Amount>,
    /// The rules in order.
    pub rules: Vec<ListedRule>,
    /// The line, from 1.
    pub line: usize,
}

/// A counter, which is rounded to thousands, millions or more unless `-x` was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// The number that is shown, times its unit.
    pub value: u64,
    /// Whether it is the whole number; else it was rounded.
    pub exact: bool,
}

/// A rule as it is listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedRule {
    /// Its place in the chain, from 1, with `--line-numbers`.
    pub number: Option<u64>,
    /// Packets that it has seen, with `-v`.
    pub packets: Option<Amount>,
    /// Bytes that it has seen, with `-v`.
    pub bytes: Option<Amount>,
    /// The chain or target; nothing for a rule that only counts.
    pub target: Option<String>,
    /// Whether the chain is gone to, not called.
    pub goto: bool,
    /// The protocol's name or number, `!` before it where it is negated.
    pub protocol: String,
    /// `-f` or `!f` where fragments are looked at, else `--`; empty where it is not shown.
    pub fragment: String,
    /// The interface it comes in by; nothing without `-v`, which is not the same as `*`.
    pub input: Option<String>,
    /// The interface it leaves by; nothing without `-v`.
    pub output: Option<String>,
    /// The source: a network, or a name without `-n`.
    pub source: String,
    /// The destination: a network, or a name without `-n`.
    pub destination: String,
    /// Everything else as it is printed: conditions and the target's options run together.
    pub rest: String,
    /// The line, from 1.
    pub line: usize,
}

impl ListedRule {
    /// The comments, which may hold anything but their own end.
    pub fn comments(&self) -> impl Iterator<Item = &str> {
        self.rest.split("/* ").skip(1).filter_map(|part| part.split_once(" */")).map(|(comment, _)| comment)
    }
}

/// Which columns a chain's header names.
#[derive(Clone, Copy, Default)]
struct Columns {
    number: bool,
    counters: bool,
    interfaces: bool,
}

impl Listing {
    /// Reads the output of `iptables -L` with any of `-n`, `-v`, `-x` and `--line-numbers`. Lines before
    /// the first chain are passed over.
    pub fn parse(text: &str) -> Self {
        let mut listing = Self::default();
        let mut problems = Problems::default();
        let mut columns: Option<Columns> = None;
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if let Some(chain) = chain(content, line) {
                listing.chains.push(chain);
                columns = None;
            } else if content.starts_with("Chain ") {
                let reason = "not a chain: `Chain NAME (policy ACCEPT)` or `Chain NAME (1 references)`";
                problems.add(line, 1, content, reason);
            } else if let Some(found) = header(content) {
                columns = Some(found);
            } else if is_around(content) {
                columns = columns.filter(|_| !content.is_empty());
            } else if let (Some(columns), Some(chain)) = (columns, listing.chains.last_mut()) {
                let names = |name: &str| name == "target";
                match rule(content, columns, line) {
                    Some(rule) => chain.rules.push(rule),
                    None if content.split(' ').any(names) => {}
                    None => {
                        let reason = "not a rule: the columns that the header names are not all here";
                        problems.add(line, 1, content, reason);
                    }
                }
            }
        }
        listing.problems = problems.into_vec();
        listing
    }
}

/// Lines around a table: blanks, prompts, fences, warnings.
fn is_around(content: &str) -> bool {
    content.is_empty() || content.starts_with(['#', '$', '`', '<', '[']) || content.starts_with("...")
}

/// `Chain NAME (policy ACCEPT 5 packets, 300 bytes)` or `Chain NAME (1 references)`
fn chain(content: &str, line: usize) -> Option<ListedChain> {
    let rest = content.strip_prefix("Chain ")?;
    let (name, inside) = rest.split_once(" (")?;
    let inside = inside.split(')').next()?;
    let words: Vec<&str> = inside.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let mut chain = ListedChain { name: name.to_owned(), line, ..ListedChain::default() };
    match words.as_slice() {
        ["policy", policy, counts @ ..] => {
            chain.policy = Some(Policy::named(policy)?);
            if let [packets, "packets", bytes, "bytes", ..] = counts {
                (chain.packets, chain.bytes) = (amount(packets), amount(bytes));
            }
        }
        [count, "references"] => chain.references = Some(count.parse().ok()?),
        _ => return None,
    }
    Some(chain)
}

fn header(content: &str) -> Option<Columns> {
    let words: Vec<&str> = content.split_whitespace().collect();
    let has = |name: &str| words.contains(&name);
    let known = has("target") && has("source") && has("destination");
    known.then(|| Columns { number: has("num"), counters: has("pkts"), interfaces: has("in") && has("out") })
}

/// `12K` is twelve thousand or so.
fn amount(text: &str) -> Option<Amount> {
    let units: [(char, u64); 4] = [('K', 1000), ('M', 1_000_000), ('G', 1_000_000_000), ('T', 1_000_000_000_000)];
    let unit = units.into_iter().find_map(|(letter, unit)| text.strip_suffix(letter).map(|digits| (digits, unit)));
    let (digits, unit) = unit.unwrap_or((text, 1));
    let number: u64 = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
    Some(Amount { value: number.checked_mul(unit)?, exact: unit == 1 })
}

fn rule(content: &str, columns: Columns, line: usize) -> Option<ListedRule> {
    let mut rest = content;
    let mut next = || {
        rest = rest.trim_start();
        let (word, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        rest = after;
        Some(word).filter(|word| !word.is_empty())
    };
    let mut rule = ListedRule { line, ..ListedRule::default() };
    if columns.number {
        rule.number = Some(next()?.parse().ok()?);
    }
    if columns.counters {
        rule.packets = Some(amount(next()?)?);
        rule.bytes = Some(amount(next()?)?);
    }
    let mut fields = Vec::new();
    let wanted = if columns.interfaces { 7 } else { 5 };
    for _ in 0..wanted {
        fields.push(next().unwrap_or_default());
    }
    // a rule without a target leaves the column blank, so that all others stand one to the left
    let is_option = |field: &&str| matches!(*field, "--" | "-f" | "!f" | "");
    let blank_target = fields.get(1).is_some_and(|field| is_option(field) && !field.is_empty());
    let mut fields = fields.into_iter();
    if !blank_target {
        rule.target = fields.next().map(str::to_owned);
    }
    let mut text = || fields.next().unwrap_or_default().to_owned();
    rule.protocol = text();
    rule.fragment = text();
    // ip6tables leaves the options' column blank before 1.8.9
    let no_option = !matches!(rule.fragment.as_str(), "--" | "-f" | "!f" | "----");
    let shifted = if no_option { std::mem::take(&mut rule.fragment) } else { text() };
    if columns.interfaces {
        rule.input = Some(shifted);
        rule.output = Some(text());
        rule.source = text();
    } else {
        rule.source = shifted;
    }
    rule.destination = text();
    // columns that were taken for this rule, and are not its own
    let taken: Vec<&str> = fields.collect();
    let mut missing = 0;
    if blank_target && no_option {
        missing = 2;
    } else if blank_target || no_option {
        missing = 1;
    }
    rest.trim().clone_into(&mut rule.rest);
    for word in taken.into_iter().rev().take(missing) {
        rule.rest = [word, rule.rest.as_str()].join(" ");
    }
    let goto = rule.rest.strip_suffix("[goto]").map(str::trim_end).map(str::to_owned);
    if let Some(goto) = goto.or_else(|| rule.rest.strip_prefix("[goto]").map(|rest| rest.trim_start().to_owned())) {
        (rule.goto, rule.rest) = (true, goto);
    }
    (!rule.source.is_empty() && !rule.destination.is_empty()).then_some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    // as iptables 1.8.9 prints them with `-n -v --line-numbers`
    const LISTED: &str = "\
Chain INPUT (policy DROP 5 packets, 300 bytes)
num   pkts bytes target     prot opt in     out     source               destination         
1      12K  3M   cali-INPUT  0    --  *      *       0.0.0.0/0            0.0.0.0/0            /* cali:Cz_u1IQiXIMmKD4c */
2        0     0            6    --  eth0   *      !10.0.0.0/8           0.0.0.0/0            tcp dpt:80 /* two words */
3        1    60 KUBE-X     6    --  *      *       0.0.0.0/0            0.0.0.0/0           [goto]  ctstate NEW

Chain KUBE-X (1 references)
num   pkts bytes target     prot opt in     out     source               destination         
";

    #[test]
    fn with_everything_shown() {
        let listing = Listing::parse(LISTED);
        assert_eq!(listing.problems, []);
        let input = &listing.chains[0];
        assert_eq!((input.policy, input.packets), (Some(Policy::Drop), Some(Amount { value: 5, exact: true })));
        assert_eq!(input.rules[0].packets, Some(Amount { value: 12_000, exact: false }));
        assert_eq!(input.rules[0].comments().collect::<Vec<_>>(), ["cali:Cz_u1IQiXIMmKD4c"]);
        let counting = &input.rules[1];
        assert_eq!((counting.target.as_deref(), counting.protocol.as_str()), (None, "6"));
        assert_eq!((counting.input.as_deref(), counting.source.as_str()), (Some("eth0"), "!10.0.0.0/8"));
        assert_eq!(counting.rest, "tcp dpt:80 /* two words */");
        assert!(input.rules[2].goto && input.rules[2].rest == "ctstate NEW");
        assert_eq!((listing.chains[1].references, listing.chains[1].rules.len()), (Some(1), 0));
    }

    #[test]
    fn what_is_not_shown_is_not_known() {
        let text = "Chain OUTPUT (policy ACCEPT)\ntarget     prot opt source               destination\nACCEPT     all  --  anywhere             anywhere             ctstate NEW\n";
        let listing = Listing::parse(text);
        let rule = &listing.chains[0].rules[0];
        assert_eq!((rule.input.as_deref(), rule.packets, rule.number), (None, None, None));
        assert_eq!((rule.source.as_str(), rule.rest.as_str()), ("anywhere", "ctstate NEW"));
    }

    #[test]
    fn rubbish_is_named() {
        let listing = Listing::parse(
            "Chain X (1 references)\ntarget prot opt source destination\nhello\nChain Y (policy MAYBE)\n",
        );
        assert_eq!(listing.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [3, 4]);
    }
}
