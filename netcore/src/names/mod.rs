//! The names behind hashes: which Service, endpoint, pod, policy or profile a chain, a set or an
//! interface is of. Told by the API's objects where they were read, by the names themselves and by
//! comments where not. What is not known has no name.

mod calico;
mod comment;
mod kube_proxy;
mod rule;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::IpAddr,
};

pub use self::calico::{PolicyKind, interface_hash};
pub use self::kube_proxy::{endpoint_hash, nft_hash, service_hash};
use crate::{cluster::wire, proxy::kernel::ServicePort};

/// What something in the kernel is of. Written as `kubectl cni trace` takes it: `svc/shop/web:http`,
/// `pod/shop/web-1`, `node/node1`, an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A port of a Service.
    Service(ServicePort),
    /// A pod.
    Pod {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// An address that is of no known pod or node; with its port where it is an endpoint's.
    Address(IpAddr, Option<u16>),
    /// A node.
    Node(String),
    /// A policy, of Kubernetes or of Calico.
    Policy {
        /// The kind.
        kind: PolicyKind,
        /// Namespace; none for one of the whole cluster.
        namespace: Option<String>,
        /// Name.
        name: String,
    },
    /// Calico's profile of a namespace: what is allowed where no policy applies.
    Namespace(String),
    /// Calico's profile of a service account.
    ServiceAccount {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// Words for what has no object: `every pool`.
    Words(&'static str),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(port) => write!(f, "svc/{port}"),
            Self::Pod { namespace, name } => write!(f, "pod/{namespace}/{name}"),
            Self::Address(address, None) => write!(f, "{address}"),
            Self::Address(address, Some(port)) => write!(f, "{}", std::net::SocketAddr::new(*address, *port)),
            Self::Node(name) => write!(f, "node/{name}"),
            Self::Policy { kind, namespace: Some(namespace), name } => write!(f, "{}/{namespace}/{name}", kind.name()),
            Self::Policy { kind, namespace: None, name } => write!(f, "{}/{name}", kind.name()),
            Self::Namespace(name) => write!(f, "namespace/{name}"),
            Self::ServiceAccount { namespace, name } => write!(f, "serviceaccount/{namespace}/{name}"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

impl Name {
    /// Whether it is this Service: `NAMESPACE/NAME` or `NAME`, with or without `:PORT`.
    pub fn is_service(&self, wanted: &str) -> bool {
        let Self::Service(port) = self else { return false };
        let (place, wanted_port) = wanted.split_once(':').map_or((wanted, None), |(place, port)| (place, Some(port)));
        let same = match place.split_once('/') {
            Some((namespace, name)) => port.namespace == namespace && port.name == name,
            None => port.name == place,
        };
        same && wanted_port.is_none_or(|wanted| port.port.as_deref() == Some(wanted))
    }

    /// Whether it is this pod: `NAMESPACE/NAME` or `NAME`.
    pub fn is_pod(&self, wanted: &str) -> bool {
        let Self::Pod { namespace, name } = self else { return false };
        match wanted.split_once('/') {
            Some((in_namespace, wanted)) => namespace == in_namespace && name == wanted,
            None => name == wanted,
        }
    }
}

/// The objects of a cluster by everything that the kernel could call them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// kube-proxy's sixteen letters, and the eight of nftables mode: the Service, and the endpoint's address.
    hashes: HashMap<String, (ServicePort, Option<(IpAddr, u16)>)>,
    /// Calico's eleven digits of an interface.
    interfaces: HashMap<String, Name>,
    /// What follows a policy chain's prefix, hashed or not.
    policies: HashMap<String, Name>,
    /// What follows a profile chain's prefix, where it is a hash.
    profiles: HashMap<String, Name>,
    /// A set's id: the policies that look into it.
    sets: HashMap<String, BTreeSet<Name>>,
    addresses: HashMap<IpAddr, Name>,
    /// Services that have an address.
    services: usize,
}

impl Names {
    /// No object is known: names come from comments and readable names alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns a Service: its ports, in every mode.
    pub fn service(&mut self, service: &wire::Service) {
        let (Some(meta), Some(spec)) = (&service.metadata, &service.spec) else { return };
        self.services += usize::from(!matches!(spec.cluster_ip.as_str(), "" | "None"));
        for port in &spec.ports {
            let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            let owner = ServicePort {
                namespace: meta.namespace.clone(),
                name: meta.name.clone(),
                port: (!port.name.is_empty()).then(|| port.name.clone()),
            };
            self.service_port(owner, protocol);
        }
    }

    /// Learns a port of a Service; `protocol` in any case.
    pub fn service_port(&mut self, port: ServicePort, protocol: &str) {
        self.hashes.insert(nft_hash(&port, protocol), (port.clone(), None));
        self.hashes.insert(service_hash(&port, protocol), (port, None));
    }

    /// Learns an endpoint of a Service's port.
    pub fn endpoint(&mut self, port: &ServicePort, protocol: &str, address: IpAddr, number: u16) {
        let hash = endpoint_hash(port, protocol, address, number);
        self.hashes.insert(hash, (port.clone(), Some((address, number))));
    }

    /// Learns the endpoints of a slice.
    pub fn slice(&mut self, slice: &wire::EndpointSlice) {
        let Some(meta) = &slice.metadata else { return };
        let Some(service) = meta.labels.get("kubernetes.io/service-name") else { return };
        for port in &slice.ports {
            let Some(number) = port.port.and_then(|number| u16::try_from(number).ok()) else { continue };
            let owner = ServicePort {
                namespace: meta.namespace.clone(),
                name: service.clone(),
                port: (!port.name.is_empty()).then(|| port.name.clone()),
            };
            let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            for address in slice.endpoints.iter().flat_map(|end| &end.addresses).filter_map(|ip| ip.parse().ok()) {
                self.endpoint(&owner, protocol, address, number);
            }
        }
    }

    /// Learns a pod: its addresses, its interface, and the profiles that Calico gives it.
    pub fn pod(&mut self, pod: &wire::Pod) {
        let (Some(meta), Some(spec)) = (&pod.metadata, &pod.spec) else { return };
        self.profile(Name::Namespace(meta.namespace.clone()));
        let account = if spec.service_account_name.is_empty() { "default" } else { &spec.service_account_name };
        self.profile(Name::ServiceAccount { namespace: meta.namespace.clone(), name: account.to_owned() });
        let phase = pod.status.as_ref().map(|status| status.phase.as_str()).unwrap_or_default();
        if spec.host_network || matches!(phase, "Succeeded" | "Failed") {
            return;
        }
        let name = Name::Pod { namespace: meta.namespace.clone(), name: meta.name.clone() };
        self.interfaces.insert(interface_hash(&meta.namespace, &meta.name), name.clone());
        let Some(status) = &pod.status else { return };
        let addresses = std::iter::once(&status.pod_ip).chain(status.pod_ips.iter().map(|ip| &ip.ip));
        for address in addresses.filter_map(|ip| ip.parse().ok()) {
            self.addresses.insert(address, name.clone());
        }
    }

    /// Learns a node: its addresses.
    pub fn node(&mut self, node: &wire::Node) {
        let Some(meta) = &node.metadata else { return };
        for address in node.status.iter().flat_map(|status| &status.addresses) {
            if let Ok(address) = address.address.parse() {
                self.addresses.insert(address, Name::Node(meta.name.clone()));
            }
        }
    }

    /// How many Services with an address of their own were learnt.
    pub fn services(&self) -> usize {
        self.services
    }

    /// Whether any object is known.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty() && self.interfaces.is_empty() && self.policies.is_empty() && self.addresses.is_empty()
    }

    /// What a chain is of, by its name alone: of iptables, or of nftables, whose Calico puts the table
    /// before it (`filter-cali-tw-…`).
    pub fn of_chain(&self, chain: &str) -> Vec<Name> {
        self.kube_proxy_chain(chain).or_else(|| self.calico_chain(chain)).unwrap_or_default()
    }

    /// What a set or map is of, by its name alone.
    pub fn of_set(&self, set: &str) -> Vec<Name> {
        self.calico_set(set).or_else(|| self.kube_proxy_set(set)).unwrap_or_default()
    }

    /// The pod behind a node's interface: Calico, the AWS VPC CNI and GKE hash its name alike.
    pub fn of_interface(&self, interface: &str) -> Option<Name> {
        let digits = interface.get(interface.len().checked_sub(11)?..)?;
        self.interfaces.get(digits).cloned()
    }

    /// Whose address it is.
    pub fn of_address(&self, address: IpAddr) -> Option<Name> {
        self.addresses.get(&address).cloned()
    }

    /// An endpoint: the pod or node that has the address, else the address.
    fn end(&self, address: IpAddr, port: Option<u16>) -> Name {
        self.of_address(address).unwrap_or(Name::Address(address, port))
    }
}

/// Adds names that are not there yet.
fn add(names: &mut Vec<Name>, more: impl IntoIterator<Item = Name>) {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}
