//! What is known of one node: each part read, known to be absent, or not known.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    cidr::Family,
    ipset::IpSets,
    iptables::{self, Backend},
    ipvs::IpvsTable,
    link::Link,
    nft, route,
    sysctl::Sysctls,
};

/// A part of a node's state.
#[derive(Clone, Copy, Debug, Default)]
pub enum Part<T> {
    /// It was read.
    Known(T),
    /// The node has none, for certain.
    Absent,
    /// Nobody looked, or it could not be read.
    #[default]
    Unread,
}

impl<T> Part<T> {
    /// What was read.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unread => None,
        }
    }

    /// The same part, borrowed.
    pub const fn as_ref(&self) -> Part<&T> {
        match self {
            Self::Known(value) => Part::Known(value),
            Self::Absent => Part::Absent,
            Self::Unread => Part::Unread,
        }
    }

    /// What is made of what was read.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Part<U> {
        match self {
            Self::Known(value) => Part::Known(change(value)),
            Self::Absent => Part::Absent,
            Self::Unread => Part::Unread,
        }
    }

    /// Whether nobody looked.
    pub const fn is_unread(&self) -> bool {
        matches!(self, Self::Unread)
    }
}

/// What is known of one node. Whatever is left at its default was not read.
#[derive(Clone, Debug, Default)]
pub struct NodeState<'a> {
    /// The node's name.
    pub name: String,
    /// iptables' tables: of one family and backend each; several texts of one may each hold some of the tables.
    pub iptables: Vec<(Family, Backend, &'a iptables::Ruleset)>,
    /// Families and backends that have no table, for certain.
    pub without: Vec<(Family, Backend)>,
    /// nftables' tables.
    pub nft: Part<&'a nft::Ruleset<'a>>,
    /// IP sets.
    pub sets: Part<&'a IpSets<'a>>,
    /// IPVS' virtual servers.
    pub ipvs: Part<&'a IpvsTable>,
    /// Routes of every table.
    pub routes: Part<&'a [route::Route]>,
    /// Policy rules; without them the kernel's own three are taken.
    pub rules: Part<&'a [route::Rule]>,
    /// Interfaces with their addresses.
    pub interfaces: Part<&'a [route::Interface]>,
    /// Links: which is a bridge, which a tunnel.
    pub links: Part<&'a [Link]>,
    /// Settings.
    pub settings: Part<&'a Sysctls>,
    /// Addresses that are this node's by its Node object.
    pub own_addresses: BTreeSet<IpAddr>,
    /// Addresses that are not this node's: pods of the pod network, other nodes.
    pub foreign_addresses: BTreeSet<IpAddr>,
    /// Why packets may pass rules by on this node: an eBPF data plane.
    pub bypassed: Option<String>,
}
