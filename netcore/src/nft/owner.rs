//! Whose tables, chains, rules and sets these are. A program's own table decides for all inside; in
//! tables that iptables-nft keeps, the names of chains decide, as they do for iptables.

use super::{
    model::{Chain, Family, Rule, Set, Table},
    statement::Statement,
};
use crate::owner::{self, Owner, Ownership};

const OTHER: Ownership = Ownership::new(Owner::Other, "no name that is known");
const SHARED: Ownership = Ownership::new(Owner::Other, "a table of iptables-nft, which everybody shares");

/// Whether iptables-nft keeps tables of that name.
pub fn is_compat_table(family: Family, table: &str) -> bool {
    matches!(family, Family::Ip | Family::Ip6) && matches!(table, "filter" | "nat" | "mangle" | "raw" | "security")
}

/// Whose table this is.
pub fn of_table(table: &Table<'_>) -> Ownership {
    owner::of_nft_table(&table.name).unwrap_or(if is_compat_table(table.family, &table.name) { SHARED } else { OTHER })
}

/// Whose chain this is.
pub fn of_chain(chain: &Chain<'_>) -> Ownership {
    chain_in(&chain.table, &chain.name).unwrap_or(OTHER)
}

fn chain_in(table: &str, chain: &str) -> Option<Ownership> {
    owner::of_nft_table(table).or_else(|| owner::of_chain(table, chain))
}

/// Whose set or map this is.
pub fn of_set(set: &Set<'_>) -> Ownership {
    owner::of_nft_table(&set.table).or_else(|| owner::of_set(&set.name)).unwrap_or(OTHER)
}

/// Whose rule this is: its table's or chain's owner, else whoever its comment or the chain that it
/// leads to tells.
pub fn of_rule(rule: &Rule<'_>) -> Ownership {
    chain_in(&rule.table, &rule.chain)
        .or_else(|| rule.comment.as_deref().and_then(owner::of_comment))
        .or_else(|| {
            let target = |statement: Statement<'_>| match statement {
                Statement::Verdict(verdict) => verdict.target().and_then(|chain| owner::of_chain(&rule.table, chain)),
                _ => None,
            };
            rule.statements().find_map(target)
        })
        .unwrap_or(OTHER)
}
