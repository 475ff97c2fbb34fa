//! How a node tells pods' traffic from other traffic.

use std::net::IpAddr;

use super::{NodeFacts, flow::Edges};
use crate::{
    cidr::{Cidr, Family, IpRange},
    kubeproxy::DetectLocal,
};

/// How local traffic is told on one node, in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Detector {
    /// Not at all: nothing is masqueraded for being from elsewhere.
    None,
    /// By the source's range.
    Ranges(Vec<Cidr>),
    /// By the interface that a packet came in by; a `+` at the end stands for any rest.
    Input(String),
}

impl Detector {
    /// As kube-proxy was told.
    pub(super) fn of(node: &NodeFacts, family: Family) -> Self {
        let Some(config) = &node.config else { return Self::None };
        let ranges = |ranges: Vec<Cidr>| if ranges.is_empty() { Self::None } else { Self::Ranges(ranges) };
        let of_family = |cidr: &Cidr| cidr.family() == family;
        match &config.detect_local {
            DetectLocal::ClusterCidr => ranges(
                config.cluster_cidr.split(',').filter_map(|text| text.trim().parse().ok()).filter(of_family).collect(),
            ),
            DetectLocal::NodeCidr => ranges(node.pod_cidrs.iter().filter(|cidr| of_family(cidr)).copied().collect()),
            DetectLocal::BridgeInterface => Self::Input(config.bridge_interface.clone()),
            DetectLocal::InterfaceNamePrefix => Self::Input(format!("{}+", config.interface_name_prefix)),
            DetectLocal::Other(_) => Self::None,
        }
    }

    /// As rules have it that ask for a source or an interface.
    pub(super) fn from_edges(edges: &Edges) -> Self {
        let cidr = |(first, last): &(IpAddr, IpAddr)| IpRange::new(*first, *last)?.as_cidr();
        let ranges: Vec<Cidr> = edges.ranges.iter().filter_map(cidr).collect();
        match (ranges.is_empty(), edges.inputs.first()) {
            (false, _) => Self::Ranges(ranges),
            (true, Some(name)) => Self::Input(name.clone()),
            (true, None) => Self::None,
        }
    }

    pub(super) fn is_known(&self) -> bool {
        *self != Self::None
    }

    pub(super) fn ranges(&self) -> &[Cidr] {
        match self {
            Self::Ranges(ranges) => ranges,
            _ => &[],
        }
    }

    /// An interface that pods' packets come in by.
    pub(super) fn input(&self) -> Option<&str> {
        match self {
            Self::Input(name) => Some(name.strip_suffix('+').unwrap_or(name)),
            _ => None,
        }
    }

    pub(super) fn is_local(&self, source: IpAddr, input: &str, from_node: bool) -> bool {
        match self {
            Self::None => false,
            Self::Ranges(ranges) => ranges.iter().any(|range| range.contains_ip(source)),
            Self::Input(name) => {
                !from_node && name.strip_suffix('+').map_or(name == input, |start| input.starts_with(start))
            }
        }
    }
}
