//! Who gives pods their addresses: the question on which half of the checks hang, because a
//! node's `podCIDR` means nothing where the network plugin has pools of its own.

use std::fmt;

use super::Known;
use crate::ranges::Origin;

/// Who gives pods their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Ipam {
    /// The node's own `spec.podCIDR(s)`, shared out by `host-local` or its like: flannel, kubenet,
    /// bridge, kindnet, kube-router, Calico with `host-local`, Antrea without pools.
    NodeIpam,
    /// Calico's pools and blocks.
    Calico,
    /// Cilium's operator cuts node ranges out of pools of its own.
    CiliumClusterPool,
    /// Cilium with several pools.
    CiliumMultiPool,
    /// Cilium out of `spec.podCIDR(s)`.
    CiliumKubernetes,
    /// Cilium out of a cloud's subnets (ENI, Azure, Alibaba Cloud).
    CiliumCloud,
    /// OVN-Kubernetes: node subnets in an annotation.
    OvnKubernetes,
    /// Kube-OVN's subnets.
    KubeOvn,
    /// Antrea's own node or pool allocation.
    Antrea,
    /// Weave Net.
    Weave,
    /// Addresses of the VPC, through AWS' plugin.
    Aws,
    /// Addresses of the virtual network, or its overlay, through Azure's plugin.
    Azure,
}

impl Ipam {
    /// Whether pods get addresses out of their node's `spec.podCIDR(s)`.
    pub const fn uses_pod_cidrs(self) -> bool {
        matches!(self, Self::NodeIpam | Self::CiliumKubernetes)
    }

    /// Whether it hands out addresses without regard to the service range. (The node controller
    /// leaves the slots out that the service range covers.)
    pub const fn ignores_service_range(self) -> bool {
        !self.uses_pod_cidrs()
    }
}

impl fmt::Display for Ipam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeIpam => "the nodes' podCIDRs",
            Self::Calico => "Calico IPAM",
            Self::CiliumClusterPool => "Cilium cluster-pool IPAM",
            Self::CiliumMultiPool => "Cilium multi-pool IPAM",
            Self::CiliumKubernetes => "the nodes' podCIDRs (Cilium)",
            Self::CiliumCloud => "Cilium cloud IPAM",
            Self::OvnKubernetes => "OVN-Kubernetes",
            Self::KubeOvn => "Kube-OVN",
            Self::Antrea => "Antrea IPAM",
            Self::Weave => "Weave Net",
            Self::Aws => "the AWS VPC CNI",
            Self::Azure => "Azure CNI",
        })
    }
}

impl Known {
    /// Notes that `origin` says who gives pods their addresses.
    pub fn says_ipam(&mut self, ipam: Ipam, origin: Origin) {
        if !self.ipams.iter().any(|(known, from)| *known == ipam && *from == origin) {
            self.ipams.push((ipam, origin));
        }
    }

    /// Who gives pods their addresses; nothing where nobody says, or where two are there at once
    /// (a migration that is half done, a leftover).
    pub fn ipam(&self) -> Option<Ipam> {
        let (first, _) = self.ipams.first()?;
        self.ipams.iter().all(|(ipam, _)| ipam == first).then_some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::Confidence;

    fn origin(object: &str) -> Origin {
        Origin::new("test", Confidence::B, object, "ipam")
    }

    #[test]
    fn two_at_once_are_unknown() {
        let mut known = Known::default();
        assert_eq!(known.ipam(), None);
        known.says_ipam(Ipam::Calico, origin("a"));
        known.says_ipam(Ipam::Calico, origin("b"));
        assert_eq!(known.ipam(), Some(Ipam::Calico));
        known.says_ipam(Ipam::NodeIpam, origin("c"));
        assert_eq!(known.ipam(), None);
    }
}
