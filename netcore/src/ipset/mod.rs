//! IP sets, as `ipset save` and `ipset list` print them: what they hold, and what matches them.

mod element;
mod index;
mod model;
mod names;
mod parse;
mod print;
#[cfg(test)]
mod properties;

pub use element::{Element, Interface, Member, MemberOptions, Part, Port, Protocol, SkbMark, parse_element};
pub use index::{Answer, Packet, SetIndex, SetTable, Side};
pub use model::{CreateOption, Dimension, Form, IpSet, IpSets, MAX_NAME, Range, SetKind};
pub(crate) use names::protocol_number;
pub use parse::parse;
