//! What is known about a cluster's address ranges.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::{Want, sources};
use crate::{
    cidr::{Cidr, Flaw, IpRange, Written, parse_list},
    cluster::{ReadStatus, Resource},
    finding::Unreadable,
};

/// What a range is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Pods.
    Pod,
    /// ClusterIPs.
    Service,
    /// The nodes' own network.
    Node,
    /// Load balancers and external addresses of Services.
    Loadbalancer,
    /// Outside the cluster: named by the user.
    External,
    /// A network plugin's own: join, transit, masquerade, tunnel.
    Internal,
}

/// How much a source is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Confidence {
    /// The running component's own state.
    A,
    /// Configuration that the component was given.
    B,
    /// An installer's or operator's record; may be stale.
    C,
    /// Inferred.
    D,
}

/// Where a fact comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The source's name: `kubeadm-config`.
    pub source: &'static str,
    /// The object or file: `configmap kube-system/kubeadm-config`, `node node1`, `/flagz`,
    /// `nodes/node1/subnet.env`.
    pub object: String,
    /// The field or line: `data.ClusterConfiguration line 12: networking.podSubnet`.
    pub field: String,
    /// How much it is worth.
    pub confidence: Confidence,
}

impl Origin {
    /// An origin.
    pub fn new(
        source: &'static str,
        confidence: Confidence,
        object: impl Into<String>,
        field: impl Into<String>,
    ) -> Self {
        Self { source, object: object.into(), field: field.into(), confidence }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.object, self.field)
    }
}

/// One statement of one source: this range is used for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeFact {
    /// Used for.
    pub role: Role,
    /// Canonical prefix; a start–end pool is several facts.
    pub cidr: Cidr,
    /// The addresses meant: the prefix's own, or the whole start–end pool.
    pub range: IpRange,
    /// As written.
    pub text: String,
    /// Oddities of the text.
    pub flaws: Vec<Flaw>,
    /// Who says so.
    pub origin: Origin,
    /// The range is at least this: inferred from addresses in use.
    pub lower_bound: bool,
    /// The statement is about one node's share (`spec.podCIDR`, a CiliumNode, a block), not the
    /// whole cluster's range.
    pub share_of: Option<String>,
}

/// A string interned in [`Strings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StringId(u32);

/// Strings one after the other in one buffer: names of 150,000 pods without 150,000 allocations.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    /// Keeps a string.
    pub fn push(&mut self, text: &str) -> StringId {
        self.text.push_str(text);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        StringId(u32::try_from(self.ends.len() - 1).unwrap_or(u32::MAX))
    }

    /// The string.
    pub fn get(&self, id: StringId) -> &str {
        let index = id.0 as usize;
        let end = self.ends.get(index).copied().unwrap_or(0) as usize;
        let start = index.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0) as usize;
        self.text.get(start..end).unwrap_or_default()
    }
}

/// One live pod address that is not the node's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodAddress {
    /// The address.
    pub ip: IpAddr,
    /// `namespace/name` in [`PodTable::names`].
    pub pod: StringId,
    /// Index into [`PodTable::nodes`]; `u32::MAX` for a pod without a node.
    pub node: u32,
}

/// Addresses of live pods (not Succeeded, Failed or being deleted with no address), in the order of
/// the address once read to the end.
#[derive(Clone, Debug, Default)]
pub struct PodTable {
    /// Every address of a pod with a network of its own.
    pub addresses: Vec<PodAddress>,
    /// `namespace/name` of each pod that has an address above.
    pub names: Strings,
    /// Node names; counted below by the same index.
    pub nodes: Vec<String>,
    /// Live pods with a network of their own, per node.
    pub per_node: Vec<u32>,
    /// Pods in all, of any phase and network.
    pub total: u64,
    /// Live pods in the host's network.
    pub host_network: u64,
    /// Live pods of their own network that have no address (yet).
    pub without_address: u64,
    index: HashMap<String, u32>,
}

impl PodTable {
    /// The index of a node, which is noted when it is met for the first time; `u32::MAX` for no node.
    pub fn node_index(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return u32::MAX;
        }
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        let index = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(name.to_owned());
        self.per_node.push(0);
        self.index.insert(name.to_owned(), index);
        index
    }

    /// Live pods with a network of their own on a node.
    pub fn on_node(&self, name: &str) -> u64 {
        let count = self.index.get(name).and_then(|index| self.per_node.get(*index as usize));
        count.copied().map_or(0, u64::from)
    }

    /// Sorts by address, and drops what was given twice.
    pub fn sort(&mut self) {
        self.addresses.sort_unstable_by_key(|a| (a.ip, a.node, a.pod));
        let names = &self.names;
        self.addresses.dedup_by(|a, b| a.ip == b.ip && a.node == b.node && names.get(a.pod) == names.get(b.pod));
    }

    /// The addresses inside a prefix; the table must be sorted.
    pub fn inside(&self, cidr: &Cidr) -> &[PodAddress] {
        let from = self.addresses.partition_point(|a| a.ip < cidr.first());
        let to = self.addresses.partition_point(|a| a.ip <= cidr.last());
        self.addresses.get(from..to).unwrap_or_default()
    }

    /// The name of the node that an address' pod runs on.
    pub fn node_of(&self, address: &PodAddress) -> Option<&str> {
        self.nodes.get(address.node as usize).map(String::as_str)
    }
}

/// A Service's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    pub kind: String,
    /// ClusterIPs, none for headless and ExternalName.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress[].ip`.
    pub load_balancer_ips: Vec<IpAddr>,
}

/// An `IPAddress` object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterIp {
    /// The address: the object's name.
    pub ip: IpAddr,
    /// The owner's `namespace/name`; empty where the object has no parent.
    pub parent: String,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Name.
    pub name: String,
    /// Labels by which a distribution is known, and the zone; not all of them.
    pub labels: BTreeMap<String, String>,
    /// `spec.podCIDRs`, as read; flawed ones are in the range facts too.
    pub pod_cidrs: Vec<Cidr>,
    /// `InternalIP` and `ExternalIP` addresses.
    pub addresses: Vec<IpAddr>,
    /// Those of them that are internal.
    pub internal: Vec<IpAddr>,
    /// `status.capacity.pods`.
    pub max_pods: Option<u64>,
    /// `Ready` is `True`.
    pub ready: bool,
    /// The reason of `NetworkUnavailable=True`.
    pub network_unavailable: Option<String>,
    /// `containerd://1.7.2`.
    pub container_runtime: String,
    /// `v1.36.3`.
    pub kubelet_version: String,
    /// `spec.providerID`.
    pub provider_id: String,
    /// The annotations that a source reads.
    pub annotations: BTreeMap<String, String>,
}

/// Who uses an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IpOwner {
    /// `Pod`, `Service`, `Node`, `LoadBalancer`, `ExternalIP`, `Tunnel`, …
    pub kind: String,
    /// Namespace, where the kind has one.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// The node that it is on, where that is known.
    pub node: Option<String>,
}

/// Everything that the sources said.
#[derive(Debug, Default)]
pub struct Facts {
    /// Every statement about a range.
    pub ranges: Vec<RangeFact>,
    /// Nodes by name.
    pub nodes: BTreeMap<String, NodeFacts>,
    /// Live pods' addresses.
    pub pods: PodTable,
    /// Services.
    pub services: Vec<ServiceFacts>,
    /// `IPAddress` objects.
    pub cluster_ips: Vec<ClusterIp>,
    /// Addresses that are neither a pod's nor a Service's nor a node's own: tunnels, health, gateways.
    pub infrastructure: Vec<(IpAddr, IpOwner)>,
    /// DNS domains with their origins.
    pub dns_domains: Vec<(String, Origin)>,
    /// Signs of a distribution: its name, and why.
    pub distributions: Vec<(&'static str, String)>,
    /// The API server's `gitVersion`.
    pub version: Option<String>,
    /// How each want ended.
    pub reads: BTreeMap<Want, ReadStatus>,
    /// Pieces that were read but not understood, and sources that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// What the single sources know beside ranges.
    pub known: sources::Known,
}

impl Facts {
    /// Adds the ranges of a text (one prefix, or a list of prefixes and start–end ranges). Entries
    /// that are no range become problems of that origin.
    pub fn add_ranges(&mut self, role: Role, text: &str, origin: &Origin) -> Vec<Cidr> {
        self.add_written(role, text, origin, None)
    }

    /// The same for one node's share of the range.
    pub fn add_share(&mut self, role: Role, text: &str, origin: &Origin, node: &str) -> Vec<Cidr> {
        self.add_written(role, text, origin, Some(node))
    }

    fn add_written(&mut self, role: Role, text: &str, origin: &Origin, node: Option<&str>) -> Vec<Cidr> {
        let mut added = Vec::new();
        for entry in parse_list(text) {
            match entry {
                Ok(Written { cidr, text, range, flaws, .. }) => {
                    self.ranges.push(RangeFact {
                        role,
                        cidr,
                        range,
                        text,
                        flaws,
                        origin: origin.clone(),
                        lower_bound: false,
                        share_of: node.map(str::to_owned),
                    });
                    added.push(cidr);
                }
                Err(error) => self.problem(&origin.object, format!("{}: {error}", origin.field)),
            }
        }
        added
    }

    /// Notes that something was read but not understood: `reason` names field and line and says what
    /// would be valid.
    pub fn problem(&mut self, object: &str, reason: impl Into<String>) {
        self.unreadable.push(Unreadable { source: object.to_owned(), node: None, reason: reason.into() });
    }

    /// How the list of a kind ended; nothing when nobody asked for it.
    pub fn list_status(&self, resource: &'static Resource) -> Option<&ReadStatus> {
        self.reads.get(&Want::list(resource))
    }

    /// Whether all objects of a kind were read.
    pub fn complete(&self, resource: &'static Resource) -> bool {
        self.list_status(resource) == Some(&ReadStatus::Complete)
    }
}
