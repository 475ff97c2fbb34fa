//! iptables rules as a value: what `iptables-save`, `ip6tables-save`, `iptables -S` and
//! `iptables -L` print.
//!
//! The input is kept once; a rule is a handful of offsets into it. Chains and jumps are resolved
//! while reading, matches and targets are typed when asked for: `Rule::parts`.

mod chains;
pub mod graph;
pub mod listing;
pub mod matches;
mod model;
mod module;
mod owner;
mod parse;
mod print;
pub mod spec;
pub mod targets;
mod text;
pub mod values;
mod view;
mod words;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use graph::Graph;
pub use matches::Match;
pub use model::{Assumed, Backend, Counters, Note, NoteKind, Policy, Ruleset};
pub use spec::{Part, Unknown};
pub use targets::Target;
pub use view::{Chain, Dump, Jump, Rule, Table, Verdict};
