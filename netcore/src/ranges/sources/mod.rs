//! The sources, one file each. To add one: a file with a unit struct that implements
//! [`Source`](super::Source), its facts as a field of [`Known`] if it knows more than ranges, and a
//! line in [`ALL`].

mod ipam;

pub use ipam::Ipam;

use super::{Origin, Source};

/// What the sources know beside ranges.
#[derive(Debug, Default)]
pub struct Known {
    /// Who gives pods their addresses, and who says so; read through [`Known::ipam`].
    pub ipams: Vec<(Ipam, Origin)>,
    /// The uid of namespace `kube-system`, which names the cluster.
    pub cluster_uid: Option<String>,
}

/// Every source, in the order in which their facts are shown.
pub static ALL: &[&dyn Source] = &[];
