//! `nft list ruleset` as text, read well enough to count and to name. What rules do and what sets
//! hold is not read: ask `nft -j`.

use super::model::Family;
use crate::problem::Problems;

/// What the text of a rule set tells. Lossy: rules are counted, not read.
#[derive(Clone, Debug, Default)]
pub struct TextRuleset<'a> {
    /// The tables.
    pub tables: Vec<TextTable<'a>>,
    /// What could not be read.
    pub problems: Problems,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTable<'a> {
    /// Its family.
    pub family: Family,
    /// Its name.
    pub name: &'a str,
    /// Its chains.
    pub chains: Vec<TextChain<'a>>,
    /// Names of its sets.
    pub sets: Vec<&'a str>,
    /// Names of its maps.
    pub maps: Vec<&'a str>,
    /// Its other objects: what they are, and their names.
    pub others: Vec<(&'a str, &'a str)>,
    /// Whether nft says that iptables-nft keeps it.
    pub compat: bool,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChain<'a> {
    /// Its name.
    pub name: &'a str,
    /// `type … hook … priority …; policy …;` as written, of a base chain.
    pub base: Option<&'a str>,
    /// How many rules it has.
    pub rules: usize,
}

impl TextRuleset<'_> {
    /// How many rules there are in all.
    pub fn rules(&self) -> usize {
        self.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules).sum()
    }
}

/// What the lines are inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Table,
    Chain,
    /// A set, a map or another object, and how many braces of its own are open.
    Other(usize),
}

/// Reads what `nft list ruleset` printed, with or without `-a`.
pub fn parse_text(input: &[u8]) -> TextRuleset<'_> {
    let mut found = TextRuleset::default();
    let mut inside = Inside::Nothing;
    let mut compat = false;
    // braces that a rule's own set has open on lines to come
    let mut open = 0;
    let lines = input.split(|byte| *byte == b'\n');
    let mut last = 0;
    for (line, bytes) in (1..).zip(lines) {
        last = line;
        let Ok(text) = std::str::from_utf8(bytes) else {
            found.problems.add(line, 1, bytes, "not UTF-8");
            continue;
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        if text.starts_with('#') {
            compat |= text.contains("managed by iptables-nft");
            continue;
        }
        inside = match inside {
            Inside::Nothing => {
                if let Some((family, name)) = table(text) {
                    let compat = std::mem::take(&mut compat);
                    let (chains, sets, maps, others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
                    found.tables.push(TextTable { family, name, chains, sets, maps, others, compat });
                    if text.ends_with('}') { Inside::Nothing } else { Inside::Table }
                } else {
                    found.problems.unknown(line, text, "a table: `table FAMILY NAME {`");
                    Inside::Nothing
                }
            }
            Inside::Table => {
                let Some(table) = found.tables.last_mut() else { continue };
                in_table(table, text)
            }
            Inside::Chain if open == 0 && text == "}" => Inside::Table,
            Inside::Chain => {
                let chain = found.tables.last_mut().and_then(|table| table.chains.last_mut());
                if let Some(chain) = chain.filter(|_| open == 0) {
                    if text.starts_with("type ") && text.contains(" hook ") {
                        chain.base = Some(text);
                    } else if !is_property(text) {
                        chain.rules += 1;
                    }
                }
                open = braces(text, open);
                Inside::Chain
            }
            Inside::Other(depth) => match braces(text, depth) {
                0 => Inside::Table,
                depth => Inside::Other(depth),
            },
        };
    }
    if inside != Inside::Nothing {
        found.problems.add(last, 1, b"", "the text ends inside a table: a closing brace is missing");
    }
    found
}

/// A chain's or table's own line, which is no rule.
fn is_property(text: &str) -> bool {
    text.starts_with("comment \"") || text.starts_with("policy ") || text.starts_with("flags ")
}

fn in_table<'a>(table: &mut TextTable<'a>, text: &'a str) -> Inside {
    if text == "}" {
        return Inside::Nothing;
    }
    let head = text.split(" {").next().unwrap_or(text);
    let Some((kind, name)) = head.rsplit_once(' ').filter(|_| text.contains('{')) else { return Inside::Table };
    match kind {
        "chain" => table.chains.push(TextChain { name, base: None, rules: 0 }),
        "set" => table.sets.push(name),
        "map" => table.maps.push(name),
        _ => table.others.push((kind, name)),
    }
    match (kind, braces(text, 0)) {
        (_, 0) => Inside::Table,
        ("chain", _) => Inside::Chain,
        (_, depth) => Inside::Other(depth),
    }
}

/// How many braces are open behind a line that began with `depth`; those in quotes do not count.
fn braces(text: &str, depth: usize) -> usize {
    let mut quoted = false;
    text.bytes().fold(depth, |depth, byte| {
        quoted ^= byte == b'"';
        match byte {
            b'{' if !quoted => depth + 1,
            b'}' if !quoted => depth.saturating_sub(1),
            _ => depth,
        }
    })
}

fn table(text: &str) -> Option<(Family, &str)> {
    let rest = text.strip_prefix("table ")?;
    let (family, rest) = rest.split_once(' ')?;
    let name = rest.split(' ').next().filter(|name| !name.is_empty() && rest.contains('{'))?;
    Some((Family::named(family)?, name))
}
