//! The types. A cluster of 150,000 pods has as many allocations in 5,000 blocks and more: an
//! allocation is a few numbers, and names are interned.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use crate::{
    cidr::{Cidr, Count, Family},
    ranges::{StringId, Strings},
};

/// The block size of a pool that does not say: 26 and 122.
pub const fn default_block_size(family: Family) -> u8 {
    match family {
        Family::V4 => 26,
        Family::V6 => 122,
    }
}

/// What a pool may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    /// Pods.
    pub workload: bool,
    /// The nodes' own tunnel addresses.
    pub tunnel: bool,
    /// Services of type `LoadBalancer`.
    pub load_balancer: bool,
}

/// An `IPPool`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Name.
    pub name: String,
    /// `ippool default-ipv4-ippool`, for evidence.
    pub object: String,
    /// Its range.
    pub cidr: Cidr,
    /// The range as written.
    pub text: String,
    /// Prefix length of a block.
    pub block_size: u8,
    /// No addresses are given out from it any more.
    pub disabled: bool,
    /// Addresses only for pods that name the pool.
    pub manual: bool,
    /// Nodes that may have blocks of it; `all()` or empty is every node.
    pub node_selector: String,
    /// Namespaces whose pods may have addresses of it; empty is every namespace.
    pub namespace_selector: String,
    /// What for.
    pub uses: Uses,
    /// Traffic from it to elsewhere is masqueraded.
    pub nat_outgoing: bool,
    /// `Always`, `CrossSubnet`, `Never`.
    pub ipip_mode: String,
    /// `Always`, `CrossSubnet`, `Never`.
    pub vxlan_mode: String,
    /// Why Calico itself says that nothing can be allocated from it: `CIDROverlap`.
    pub not_allocatable: Option<String>,
}

impl Pool {
    /// Whether pods get addresses of it without asking for it by name.
    pub const fn serves_pods(&self) -> bool {
        !self.disabled && !self.manual && self.uses.workload
    }

    /// Whether it is for every node and namespace.
    pub fn for_everyone(&self) -> bool {
        matches!(self.node_selector.trim(), "" | "all()") && matches!(self.namespace_selector.trim(), "" | "all()")
    }

    /// How many blocks it is cut into.
    pub const fn block_count(&self) -> Count {
        Count::power(self.block_size.saturating_sub(self.cidr.prefix_len()))
    }
}

/// Whose block it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockOwner {
    /// A node's.
    Node(u32),
    /// A controller's: `load-balancer`.
    Virtual(String),
    /// Nobody's any more.
    Nobody,
}

/// What an address was allocated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocationKind {
    /// A pod in the cluster's own network.
    Pod,
    /// A pod's interface in another network (Multus), or a virtual machine's that outlives its pod.
    OtherPod,
    /// A node's tunnel.
    Tunnel,
    /// Set aside by the network stack of a Windows node.
    WindowsReserved,
    /// A Service of type `LoadBalancer`.
    LoadBalancer,
    /// Not said.
    Unknown,
}

/// One allocated address of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The address' place in the block, from 0.
    pub ordinal: u32,
    /// What for.
    pub kind: AllocationKind,
    /// Given back; held for a while before it is given out anew.
    pub released: bool,
    /// Index into [`Blocks::nodes`] of the node that it was allocated on.
    pub node: Option<u32>,
    /// `namespace/name` in [`Blocks::pods`].
    pub pod: Option<StringId>,
    /// When it was allocated, in seconds since 1970.
    pub at: Option<i64>,
}

/// An `IPAMBlock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its range.
    pub cidr: Cidr,
    /// Whose it is.
    pub owner: BlockOwner,
    /// What is allocated of it, by ordinal.
    pub allocations: Vec<Allocation>,
}

impl Block {
    /// The address of an allocation.
    pub fn address(&self, allocation: &Allocation) -> Option<IpAddr> {
        self.cidr.nth(u128::from(allocation.ordinal))
    }
}

/// Every block of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    /// By address; a block that holds another comes before it.
    pub by_cidr: BTreeMap<Cidr, Block>,
    /// Names of nodes that blocks speak of, existing or not.
    pub nodes: Vec<String>,
    /// `namespace/name` of the pods that blocks speak of.
    pub pods: Strings,
    node_index: HashMap<String, u32>,
}

impl Blocks {
    /// The index of a node's name.
    pub fn node(&mut self, name: &str) -> u32 {
        if let Some(index) = self.node_index.get(name) {
            return *index;
        }
        let index = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(name.to_owned());
        self.node_index.insert(name.to_owned(), index);
        index
    }

    /// The name of a node.
    pub fn node_name(&self, index: u32) -> Option<&str> {
        self.nodes.get(index as usize).map(String::as_str)
    }

    /// The node that a block belongs to.
    pub fn owner_name(&self, block: &Block) -> Option<&str> {
        match block.owner {
            BlockOwner::Node(index) => self.node_name(index),
            BlockOwner::Virtual(_) | BlockOwner::Nobody => None,
        }
    }

    /// The allocation of an address. Looks only into the narrowest block that holds it.
    pub fn allocation(&self, ip: IpAddr) -> Option<&Allocation> {
        let block = self.holding(ip)?;
        let ordinal = Cidr::host(ip).first_number() - block.cidr.first_number();
        let at = block.allocations.binary_search_by_key(&ordinal, |a| u128::from(a.ordinal)).ok()?;
        block.allocations.get(at)
    }

    /// The narrowest block that holds an address.
    pub fn holding(&self, ip: IpAddr) -> Option<&Block> {
        // blocks are of a few sizes only: nearly always the first one at or before the address
        self.by_cidr
            .range(..=Cidr::host(ip))
            .rev()
            .take(Self::NESTING)
            .map(|(_, block)| block)
            .find(|block| block.cidr.contains_ip(ip))
    }

    /// How many blocks before an address are tried: nested blocks are a fault, and are few.
    const NESTING: usize = 64;
}

/// `IPAMConfig`, `IPAMConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpamSettings {
    /// `ipamconfig default`, for evidence.
    pub object: String,
    /// Addresses are only taken from the node's own blocks.
    pub strict_affinity: bool,
    /// Blocks that a node may have in each family; as written, 0 where it is not.
    pub max_blocks_per_host: u64,
}

impl IpamSettings {
    /// Blocks that a node may have where nothing else is set.
    pub const DEFAULT_MAX_BLOCKS: u64 = 20;
}
