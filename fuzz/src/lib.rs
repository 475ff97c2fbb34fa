//! Everything that reads text from outside, as functions that any bytes may be given to: none may
//! panic, and what is read must hold together.

mod targets;

/// A target by its name, which is also its folder's in `corpus/`.
pub type Target = (&'static str, fn(&[u8]));

pub use targets::ALL;

/// The target with a name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}
