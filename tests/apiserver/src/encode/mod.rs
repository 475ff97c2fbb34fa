//! Objects on the wire: Kubernetes' protobuf, tables, metadata only. Written from Kubernetes' own
//! field numbers and without the plugins' decoders, so that the two check each other.

mod fields;
pub mod protobuf;
pub(crate) mod table;
mod template;

pub(crate) use template::Compiled;
pub use template::slot;
