//! Sets: how large, who looks into them, which of them are alike, which nobody needs.

use std::collections::{BTreeMap, HashMap};

use memchr::memmem::Finder;

use super::SetCost;
use crate::{
    ipset::{IpSet, IpSets, SetKind},
    iptables::{Match, Ruleset},
    names::Names,
    owner::{self, Owner},
    rules::TableFamily,
};

/// How many rules look into each set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetUses {
    by_name: HashMap<String, usize>,
    read: bool,
}

impl SetUses {
    /// Counts the rules of a text; a rule that looks twice into one set is one rule.
    pub fn count<'a>(&mut self, rules: impl Iterator<Item = crate::iptables::Rule<'a>>) {
        self.read = true;
        // few rules speak of sets, and only those are read
        let speaks = Finder::new("-set ");
        for rule in rules.filter(|rule| speaks.find(rule.text().as_bytes()).is_some()) {
            let mut seen: Vec<&str> = Vec::new();
            for part in rule.matches() {
                if let Match::Set(set) = part
                    && let Some(lookup) = set.lookup
                    && !seen.contains(&lookup.value.name)
                {
                    seen.push(lookup.value.name);
                }
            }
            for name in seen {
                *self.by_name.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    /// The same of a whole text.
    pub fn count_all(&mut self, rules: &Ruleset) {
        self.count(rules.rules());
    }

    /// The rules that look into a set; nothing where no rules were read.
    pub fn of(&self, set: &str) -> Option<usize> {
        self.read.then(|| self.by_name.get(set).copied().unwrap_or_default())
    }

    /// Sets that rules look into.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

/// Every set of a dump, in its order.
pub fn sets(dump: &IpSets<'_>, uses: &SetUses, names: &Names) -> Vec<SetCost> {
    let in_lists = members_of_lists(dump);
    let alike = alike(dump);
    let each = dump.sets.iter().enumerate().map(|(at, set)| {
        let rules = uses.of(set.name);
        let by_sets = in_lists.get(set.name).copied().unwrap_or_default();
        let unused = match (set.references, rules) {
            (Some(references), _) => Some(references == 0),
            (None, Some(rules)) => Some(rules == 0 && by_sets == 0),
            (None, None) => None,
        };
        SetCost {
            family: set.family().map(TableFamily::from),
            name: set.name.to_owned(),
            r#type: set.kind_name.to_owned(),
            members: set.len(),
            memory: set.memory,
            used_by_rules: rules,
            references: set.references,
            owner: owner::of_set(set.name).map_or(Owner::Other, |known| known.owner),
            names: names.of_set(set.name).iter().map(ToString::to_string).collect(),
            duplicate_of: alike.get(&at).and_then(|first| dump.sets.get(*first)).map(|set| set.name.to_owned()),
            unused,
        }
    });
    each.collect()
}

/// How often each set is a member of another.
fn members_of_lists(dump: &IpSets<'_>) -> HashMap<String, usize> {
    let mut lists: HashMap<String, usize> = HashMap::new();
    for list in dump.sets.iter().filter(|set| set.kind == SetKind::ListSet) {
        for member in list.texts().into_iter().flatten() {
            *lists.entry(String::from_utf8_lossy(key(member)).into_owned()).or_default() += 1;
        }
    }
    lists
}

/// A member without its options.
fn key(member: &[u8]) -> &[u8] {
    member.split(|byte| *byte == b' ').next().unwrap_or(member)
}

/// Sets with the same type and members as an earlier one. Empty sets are not alike, only empty.
fn alike(dump: &IpSets<'_>) -> HashMap<usize, usize> {
    let mut groups: BTreeMap<(&str, Option<crate::cidr::Family>, u64), Vec<usize>> = BTreeMap::new();
    for (at, set) in dump.sets.iter().enumerate() {
        if let Some(members) = set.len().filter(|members| *members > 0 && set.texts().is_some()) {
            groups.entry((set.kind_name, set.family(), members)).or_default().push(at);
        }
    }
    let mut alike = HashMap::new();
    for group in groups.values().filter(|group| group.len() > 1) {
        let mut known: HashMap<Vec<&[u8]>, usize> = HashMap::new();
        for at in group {
            let Some(set) = dump.sets.get(*at) else { continue };
            match known.get(&sorted(set)) {
                Some(first) => {
                    alike.insert(*at, *first);
                }
                None => {
                    known.insert(sorted(set), *at);
                }
            }
        }
    }
    alike
}

fn sorted<'a>(set: &IpSet<'a>) -> Vec<&'a [u8]> {
    let mut members: Vec<&[u8]> = set.texts().into_iter().flatten().map(key).collect();
    members.sort_unstable();
    members
}
