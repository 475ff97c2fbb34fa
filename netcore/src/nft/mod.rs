//! nftables rule sets: `nft -j list ruleset` typed, and the text of `nft list ruleset` counted.

mod expr;
mod graph;
mod index;
mod json;
mod kube_proxy;
mod model;
mod owner;
mod parse;
#[cfg(test)]
mod properties;
mod statement;
mod syntax;
mod text;

pub use expr::{Connection, Elem, Expr, Fib, Hash, Header, Known, Lookup, Numgen, Payload, Prefix, Target, Verdict};
pub use graph::{ChainGraph, Node, Place};
pub(crate) use index::key_bounds;
pub use index::{ElementIndex, Found, Value};
pub use json::{Lazy, LazyIter, Raw};
pub use kube_proxy::{KubeProxyTable, ServiceEntry, service_entries};
pub use model::{Chain, Element, Family, Flowtable, Metainfo, Object, Rule, Ruleset, Set, Stateful, Table};
pub use owner::{is_compat_table, of_chain, of_rule, of_set, of_table};
pub use parse::{ENDS, is_json, parse};
pub use statement::{
    Counter, CtCount, Flow, Forward, Last, Limit, Log, Mangle, MapUpdate, Match, Meter, Named, Nat, Queue, Quota,
    Reject, SetUpdate, Statement, Synproxy, Tproxy, Xt,
};
pub use text::{TextChain, TextRuleset, TextTable, parse_text};
