//! Chains by name: each name once, found in constant time however the names are chosen.

use std::hash::{BuildHasher, RandomState};

use hashbrown::{HashTable, hash_table::Entry};

use super::text::Span;

/// From a table and a name to a chain's number. The names stay in the text.
#[derive(Debug, Default)]
pub(super) struct ChainNames {
    slots: HashTable<(u64, u32)>,
    hasher: RandomState,
}

impl ChainNames {
    /// Finds a chain; `is` tells whether a chain has the name that is looked for.
    pub(super) fn find(&self, table: u32, name: &str, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = self.hash(table, name);
        self.slots.find(hash, |(known, chain)| *known == hash && is(*chain)).map(|(_, chain)| *chain)
    }

    /// Finds a chain, or adds the name for one that is to have the number `new`.
    pub(super) fn find_or_add(
        &mut self,
        table: u32,
        name: &str,
        new: u32,
        mut is: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let hash = self.hash(table, name);
        match self.slots.entry(hash, |(known, chain)| *known == hash && is(*chain), |(hash, _)| *hash) {
            Entry::Occupied(found) => Some(found.get().1),
            Entry::Vacant(place) => {
                place.insert((hash, new));
                None
            }
        }
    }

    fn hash(&self, table: u32, name: &str) -> u64 {
        self.hasher.hash_one((table, name))
    }
}

/// What the last targets of rules led to; few names are most of all targets.
#[derive(Debug, Default)]
pub(super) struct RecentGoals {
    known: [Option<RecentGoal>; Self::KEPT],
    next: usize,
}

/// A target's name, and the chain that it names, if it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecentGoal {
    name: Span,
    pub(super) chain: Option<u32>,
}

impl RecentGoals {
    const KEPT: usize = 4;

    /// What was found for a name, if it was looked for lately.
    pub(super) fn find(&self, name: &str, whole: &str) -> Option<&RecentGoal> {
        let is = |span: Span| whole.get(span.start as usize..span.end as usize) == Some(name);
        self.known.iter().flatten().find(|goal| is(goal.name))
    }

    /// Keeps what was found for a name of the text.
    pub(super) fn keep(&mut self, name: Span, chain: Option<u32>) {
        if let Some(slot) = self.known.get_mut(self.next) {
            *slot = Some(RecentGoal { name, chain });
        }
        self.next = (self.next + 1) % Self::KEPT;
    }
}
