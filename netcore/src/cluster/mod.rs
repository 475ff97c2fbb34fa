//! Facts out of Kubernetes objects: which kinds are read, and the few fields of the large ones.

pub mod distribution;
mod item;
pub mod object;
mod resource;
pub mod wire;

pub use item::{DecodeError, Encoding, Item, ReadStatus};
pub use resource::{Resource, resources};
