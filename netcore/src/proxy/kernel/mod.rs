//! What a node's kernel holds of Services, out of any mode, in one shape.

mod iptables;
mod ipvs;
mod nftables;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use serde::Serialize;

pub(in crate::proxy) use self::nftables::owner;
pub use self::{iptables::in_rules, ipvs::in_virtual_servers, nftables::in_tables};

/// The flag of a Service of which a backend's chain does not say where it leads.
const UNREADABLE: &str = "unreadable-backend";

/// A Service's port by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServicePort {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The port's name; null where it has none.
    pub port: Option<String>,
}

impl ServicePort {
    /// `shop/web:http`, `shop/web`.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, rest) = text.split_once('/')?;
        let (name, port) = rest.split_once(':').map_or((rest, None), |(name, port)| (name, Some(port)));
        let port = port.filter(|port| !port.is_empty()).map(str::to_owned);
        let named = !namespace.is_empty() && !name.is_empty();
        named.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned(), port })
    }
}

impl fmt::Display for ServicePort {
    /// As kube-proxy writes it: `shop/web:http`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        self.port.iter().try_for_each(|port| write!(f, ":{port}"))
    }
}

/// A pod by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Where a Service's packets may be sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The pod that has the address; null where no EndpointSlice names one.
    pub pod: Option<PodName>,
    /// The node that the endpoint is on; null where no EndpointSlice says so.
    pub node: Option<String>,
    /// How packets get there in ipvs mode: `masquerade`, `route`, …; null in other modes.
    pub forward: Option<String>,
    /// The share in ipvs mode; 0 takes no new connections; null in other modes.
    pub weight: Option<u32>,
    /// How likely a new connection is sent here, 0 to 1; null where the rules do not tell, and in ipvs mode.
    pub probability: Option<f64>,
    /// Connections in use; null outside ipvs mode.
    pub active: Option<u64>,
    /// Connections that are being closed; null outside ipvs mode.
    pub inactive: Option<u64>,
}

/// An address of a Service, as one node's kernel has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct KernelService {
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
    /// The address; null for a node port in rules, which they take on the node's addresses.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// Whose it is; null where nothing names it.
    pub service: Option<ServicePort>,
    /// `iptables`, `ip6tables`, with ` (legacy)` after it, `nftables` or `ipvs`.
    pub held_by: String,
    /// The algorithm in ipvs mode.
    pub scheduler: Option<String>,
    /// What else is so: the scheduler's flags, `rejected`, `dropped`, `local`, `source-ranges`,
    /// `persistent`; `inside-only` where only pods and the node itself get to these backends;
    /// `unreadable-backend` where a backend's chain does not say where it leads.
    pub flags: Vec<String>,
    /// How long a client keeps its backend, in seconds; null where it does not, or where it is not told.
    pub affinity_seconds: Option<u32>,
    /// The backends, in the kernel's order.
    pub backends: Vec<Backend>,
}

/// An address of a Service on a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeService {
    /// The node; null where the files do not name it.
    pub node: Option<String>,
    /// What its kernel holds.
    #[serde(flatten)]
    pub held: KernelService,
}

/// Which Service address leads where, per node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProxyServiceList {
    /// By node, Service, address, port and protocol.
    pub items: Vec<NodeService>,
}

/// What the API calls the addresses that kernels hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Services' own addresses, by protocol, address and port.
    pub addresses: BTreeMap<(String, IpAddr, u16), ServicePort>,
    /// Node ports, by protocol and port.
    pub node_ports: BTreeMap<(String, u16), ServicePort>,
    /// The pod and the node of each endpoint's address.
    pub endpoints: BTreeMap<IpAddr, (Option<PodName>, Option<String>)>,
}

impl ProxyServiceList {
    /// Names what the API has a name for, and sorts.
    pub fn finish(&mut self, names: &Names) {
        let services: BTreeSet<IpAddr> = names.addresses.keys().map(|(_, ip, _)| *ip).collect();
        for NodeService { held, .. } in &mut self.items {
            if let (None, Some(address)) = (&held.service, held.address) {
                let own = names.addresses.get(&(held.protocol.clone(), address, held.port));
                // a virtual server of a node port has one of the node's addresses
                let is_service = services.contains(&address);
                let node_port = || names.node_ports.get(&(held.protocol.clone(), held.port)).filter(|_| !is_service);
                held.service = own.or_else(node_port).cloned();
            }
            for backend in &mut held.backends {
                if let Some((pod, node)) = names.endpoints.get(&backend.address) {
                    backend.pod.clone_from(pod);
                    backend.node.clone_from(node);
                }
            }
        }
        let key = |item: &NodeService| {
            let held = &item.held;
            let place = (held.address, held.port, held.protocol.clone(), held.held_by.clone());
            (item.node.clone(), held.service.clone(), place)
        };
        self.items.sort_by_cached_key(key);
    }
}
