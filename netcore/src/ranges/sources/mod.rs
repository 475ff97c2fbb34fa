//! The sources, one file each. To add one: a file with a unit struct that implements
//! [`Source`](super::Source), its facts as a field of [`Known`] if it knows more than ranges, and a
//! line in [`ALL`].

pub mod calico;
pub mod cilium;
mod ipam;

pub use calico::Calico;
pub use cilium::Cilium;
pub use ipam::Ipam;

use super::{Origin, Source};

/// What the sources know beside ranges.
#[derive(Debug, Default)]
pub struct Known {
    /// Who gives pods their addresses, and who says so; read through [`Known::ipam`].
    pub ipams: Vec<(Ipam, Origin)>,
    /// The uid of namespace `kube-system`, which names the cluster.
    pub cluster_uid: Option<String>,
    /// Calico's pools, blocks and settings.
    pub calico: Calico,
    /// Cilium's settings, nodes and pools.
    pub cilium: Cilium,
}

/// Every source, in the order in which their facts are shown.
pub static ALL: &[&dyn Source] = &[
    &calico::CalicoConfig,
    &calico::IpPools,
    &calico::CalicoIpam,
    &calico::BgpConfigurations,
    &calico::FelixConfigurations,
    &calico::Installations,
    &calico::CalicoNode,
    &cilium::CiliumConfig,
    &cilium::CiliumNodes,
    &cilium::CiliumPools,
];
