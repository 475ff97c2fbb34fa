//! Chains by name: each name once, found in constant time however the names are chosen.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

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

    /// Adds a chain that `find` does not know.
    pub(super) fn add(&mut self, table: u32, name: &str, chain: u32) {
        let hash = self.hash(table, name);
        self.slots.insert_unique(hash, (hash, chain), |(hash, _)| *hash);
    }

    fn hash(&self, table: u32, name: &str) -> u64 {
        self.hasher.hash_one((table, name))
    }
}
