//! Several texts of one state: which one counts. Per family, backend and table the most complete one
//! does, with counters before without; others of it are not added up.

use std::collections::BTreeMap;

use super::TableFamily;
use crate::{
    iptables::{Backend, Ruleset, Table},
    probe::Probe,
};

/// A text of `iptables-save` and where it stands.
#[derive(Debug)]
pub struct Taken {
    /// The probe, which says what the text does not.
    pub probe: Probe,
    /// Where it stands.
    pub file: String,
    /// The text.
    pub rules: Ruleset,
}

/// A table that counts, with what is known of its dump.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Whose packets it sees.
    pub family: Option<TableFamily>,
    /// What keeps it.
    pub backend: Option<Backend>,
    /// The table.
    pub table: Table<'a>,
    /// Where it stands.
    pub file: &'a str,
}

/// What tells one table from another, in the order in which they are shown.
type Key<'a> = (Option<Backend>, Option<TableFamily>, usize, Option<&'a str>);

/// The texts of one node.
#[derive(Debug, Default)]
pub struct Dumps {
    /// In the order in which they were read.
    pub texts: Vec<Taken>,
}

impl Dumps {
    /// The tables that count, each once: by backend, family and name in the kernel's order.
    pub fn tables(&self) -> Vec<Seen<'_>> {
        let mut all: Vec<Seen<'_>> = Vec::new();
        for text in &self.texts {
            for dump in text.rules.dumps() {
                let family = dump.family_of_rules().map(TableFamily::from).or(match text.probe {
                    Probe::Ip6tablesSave | Probe::Ip6tablesLegacySave => Some(TableFamily::V6),
                    Probe::IptablesSave | Probe::IptablesLegacySave => Some(TableFamily::V4),
                    _ => None,
                });
                let backend = dump.backend().or(match text.probe {
                    Probe::IptablesLegacySave | Probe::Ip6tablesLegacySave => Some(Backend::Legacy),
                    _ => None,
                });
                all.extend(dump.tables().map(|table| Seen { family, backend, table, file: &text.file }));
            }
        }
        // a text that does not say its backend is of the only one that others are of
        let mut known: BTreeMap<Option<TableFamily>, Vec<Backend>> = BTreeMap::new();
        for seen in &all {
            let backends = known.entry(seen.family).or_default();
            backends.extend(seen.backend.filter(|backend| !backends.contains(backend)));
        }
        for seen in all.iter_mut().filter(|seen| seen.backend.is_none()) {
            if let Some([only]) = known.get(&seen.family).map(Vec::as_slice) {
                seen.backend = Some(*only);
            }
        }
        let mut best: BTreeMap<Key<'_>, Seen<'_>> = BTreeMap::new();
        for seen in all {
            let name = seen.table.name();
            let key = (seen.backend, seen.family, order(name), name);
            match best.get(&key) {
                Some(other) if worth(other.table) >= worth(seen.table) => {}
                _ => {
                    best.insert(key, seen);
                }
            }
        }
        best.into_values().collect()
    }
}

/// Complete before cut, counted before not; then the longer one.
fn worth(table: Table<'_>) -> (bool, bool, usize) {
    let complete = table.is_complete() != Some(false);
    let first = table.rules().next();
    let counted = first.is_some_and(|rule| rule.counters().is_some());
    (complete, counted, table.rules().count())
}

/// The place of a table among the tables that a packet meets.
fn order(table: Option<&str>) -> usize {
    let known = ["raw", "mangle", "nat", "filter", "security"];
    known.iter().position(|name| Some(*name) == table).unwrap_or(known.len())
}
