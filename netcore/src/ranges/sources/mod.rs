//! The sources, one file each. To add one: a file with a unit struct that implements
//! [`Source`](super::Source), its facts as a field of [`Known`] if it knows more than ranges, and a
//! line in [`ALL`].

use super::Source;

/// What the sources know beside ranges.
#[derive(Debug, Default)]
pub struct Known {}

/// Every source, in the order in which their facts are shown.
pub static ALL: &[&dyn Source] = &[];
