//! Ranges that are known without looking at the cluster: reserved by standards, and what
//! distributions take when nobody says otherwise.

use super::Role;
use crate::{
    cidr::{Cidr, parse_cidr},
    finding::Severity,
};

/// A range that is not free for pods, Services or nodes to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The range.
    pub cidr: Cidr,
    /// How bad its use is: an error where packets do not arrive, a warning where somebody else may
    /// have it, an info where it only surprises.
    pub severity: Severity,
    /// What it is reserved for.
    pub purpose: &'static str,
}

/// The reserved ranges, IPv4 first.
pub fn reserved() -> impl Iterator<Item = Reserved> {
    RESERVED.iter().filter_map(|(cidr, severity, purpose)| {
        // the mapped range is written the way that the strict parser objects to
        Some(Reserved { cidr: parse_cidr(cidr).ok()?.cidr, severity: *severity, purpose })
    })
}

const RESERVED: &[(&str, Severity, &str)] = &[
    ("0.0.0.0/8", Severity::Error, "this network"),
    ("127.0.0.0/8", Severity::Error, "loopback"),
    ("169.254.0.0/16", Severity::Error, "link-local, cloud metadata and node-local DNS"),
    ("224.0.0.0/4", Severity::Error, "multicast"),
    ("240.0.0.0/4", Severity::Error, "reserved and broadcast"),
    ("192.0.0.0/24", Severity::Warning, "protocol assignments"),
    ("192.0.2.0/24", Severity::Warning, "documentation"),
    ("192.88.99.0/24", Severity::Warning, "the former 6to4 relays"),
    ("198.51.100.0/24", Severity::Warning, "documentation"),
    ("203.0.113.0/24", Severity::Warning, "documentation"),
    ("100.64.0.0/10", Severity::Warning, "shared address space: carriers, clouds and the insides of OVN"),
    ("198.18.0.0/15", Severity::Info, "benchmarks"),
    ("::/128", Severity::Error, "the unspecified address"),
    ("::1/128", Severity::Error, "loopback"),
    ("::ffff:0.0.0.0/96", Severity::Error, "IPv4 addresses written as IPv6"),
    ("fe80::/10", Severity::Error, "link-local"),
    ("ff00::/8", Severity::Error, "multicast"),
    ("fec0::/10", Severity::Warning, "site-local, deprecated"),
    ("2001:db8::/32", Severity::Warning, "documentation"),
];

/// A range that somebody's software takes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorDefault {
    /// Whose default it is.
    pub whose: &'static str,
    /// What for; internal for container bridges.
    pub role: Role,
    /// The range.
    pub cidr: Cidr,
}

/// The defaults, by who has them.
pub fn defaults() -> impl Iterator<Item = VendorDefault> {
    DEFAULTS
        .iter()
        .filter_map(|(whose, role, cidr)| Some(VendorDefault { whose, role: *role, cidr: cidr.parse().ok()? }))
}

const DEFAULTS: &[(&str, Role, &str)] = &[
    ("kubeadm, minikube, k0s, Talos, Kube-OVN", Role::Service, "10.96.0.0/12"),
    ("kind, minikube, k0s, Talos, flannel, AKS overlay", Role::Pod, "10.244.0.0/16"),
    ("kind", Role::Pod, "fd00:10:244::/56"),
    ("kind", Role::Service, "fd00:10:96::/112"),
    ("minikube", Role::Node, "192.168.49.0/24"),
    ("k3s, rke2, MicroShift", Role::Pod, "10.42.0.0/16"),
    ("k3s, rke2, MicroShift", Role::Service, "10.43.0.0/16"),
    ("kubespray", Role::Pod, "10.233.64.0/18"),
    ("kubespray", Role::Service, "10.233.0.0/18"),
    ("kubespray", Role::Pod, "fd85:ee78:d8a6:8607:0:0:1:0/112"),
    ("kubespray", Role::Service, "fd85:ee78:d8a6:8607::1000/116"),
    ("Talos", Role::Pod, "fc00:db8:10::/56"),
    ("Talos", Role::Service, "fc00:db8:20::/112"),
    ("MicroK8s, Docker Desktop", Role::Pod, "10.1.0.0/16"),
    ("MicroK8s", Role::Service, "10.152.183.0/24"),
    ("kOps", Role::Pod, "100.96.0.0/11"),
    ("OpenShift", Role::Pod, "10.128.0.0/14"),
    ("OpenShift", Role::Service, "172.30.0.0/16"),
    ("Kube-OVN", Role::Pod, "10.16.0.0/16"),
    ("Calico", Role::Pod, "192.168.0.0/16"),
    ("Calico on EKS", Role::Pod, "172.16.0.0/16"),
    ("Cilium's cluster-pool", Role::Pod, "10.0.0.0/8"),
    ("EKS", Role::Service, "10.100.0.0/16"),
    ("EKS", Role::Service, "172.20.0.0/16"),
    ("AKS", Role::Service, "10.0.0.0/16"),
    ("Docker", Role::Internal, "172.17.0.0/16"),
    ("Docker", Role::Internal, "172.18.0.0/16"),
    ("Docker", Role::Internal, "172.19.0.0/16"),
    ("Docker", Role::Internal, "172.20.0.0/14"),
    ("Docker", Role::Internal, "172.24.0.0/14"),
    ("Docker", Role::Internal, "172.28.0.0/14"),
    ("Docker", Role::Internal, "192.168.0.0/16"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_canonical_prefix() {
        assert_eq!(reserved().count(), RESERVED.len());
        assert_eq!(defaults().count(), DEFAULTS.len());
    }
}
