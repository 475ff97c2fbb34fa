//! What is wanted.

use std::fmt;

use crate::cidr::Cidr;

/// A change of a cluster's ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// One more service range.
    ServiceAdd(Cidr),
    /// Other service ranges instead of the ones that the API servers were started with: one per family.
    ServiceReplace(Vec<Cidr>),
    /// A service range is no longer used.
    ServiceRetire(Cidr),
    /// The service range is one of this prefix length that holds the present one.
    ServiceGrow(u8),
    /// Pods of one of Calico's pools get addresses of another range.
    PodMove {
        /// The pool's range.
        old: Cidr,
        /// The range to be used instead.
        new: Cidr,
    },
    /// The pods' range becomes this one, or this one is added, as the network plugin allows.
    PodGrow(Cidr),
    /// New nodes get pod ranges of this prefix length.
    NodeMask(u8),
    /// Calico's pools are cut into blocks of this prefix length.
    BlockSize(u8),
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAdd(cidr) => write!(f, "Services also get addresses of {cidr}"),
            Self::ServiceReplace(cidrs) => {
                let cidrs: Vec<String> = cidrs.iter().map(Cidr::to_string).collect();
                write!(f, "Services get addresses of {} only", cidrs.join(" and "))
            }
            Self::ServiceRetire(cidr) => write!(f, "no Service has an address of {cidr}, and none gets one"),
            Self::ServiceGrow(length) => write!(f, "the service range grows to a /{length}"),
            Self::PodMove { old, new } => write!(f, "pods that have addresses of {old} get addresses of {new}"),
            Self::PodGrow(cidr) => write!(f, "pods also get addresses of {cidr}"),
            Self::NodeMask(length) => write!(f, "nodes that join get a pod range of /{length}"),
            Self::BlockSize(length) => write!(f, "Calico's pools are cut into blocks of /{length}"),
        }
    }
}
