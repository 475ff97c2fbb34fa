//! What the API wants of every node: Services that kube-proxy forwards, and their endpoints. Taken object by
//! object, so that no list is ever kept whole.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use crate::{
    cidr::{Cidr, Family},
    cluster::wire,
    proxy::kernel::ServicePort,
};

/// Whoever else forwards a Service puts this label on it.
const OTHER_PROXY: &str = "service.kubernetes.io/service-proxy-name";
const HEADLESS: &str = "service.kubernetes.io/headless";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// What the API fills in where affinity has no timeout, in seconds.
const AFFINITY: u32 = 10_800;

/// A Service's namespace and name.
pub type ServiceName = (String, String);

/// A Service that kube-proxy forwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// At most one per family.
    pub cluster_ips: Vec<IpAddr>,
    /// Addresses that somebody routes to the nodes.
    pub external_ips: Vec<IpAddr>,
    /// A load balancer's addresses, with whether packets for them may bypass it (`ipMode: VIP`).
    pub balancer_ips: Vec<(IpAddr, bool)>,
    /// Clients that may use the load balancer; empty for all.
    pub source_ranges: Vec<Cidr>,
    /// Ports.
    pub ports: Vec<Port>,
    /// From inside the cluster only endpoints of the own node.
    pub internal_local: bool,
    /// From outside only endpoints of the own node.
    pub external_local: bool,
    /// How long a client keeps its endpoint, in seconds.
    pub affinity: Option<u32>,
    /// Where a node says whether it has endpoints.
    pub health_port: Option<u16>,
}

impl Service {
    /// Whether it is reached by anything but its own addresses.
    pub fn is_external(&self) -> bool {
        !self.external_ips.is_empty()
            || !self.balancer_ips.is_empty()
            || self.ports.iter().any(|port| port.node_port.is_some())
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name; empty for the only one.
    pub name: String,
    /// The protocol's number.
    pub protocol: u8,
    /// The port.
    pub port: u16,
    /// The nodes' port.
    pub node_port: Option<u16>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// It takes connections.
    pub ready: bool,
    /// It would, were it not ending.
    pub serving: bool,
    /// It is ending.
    pub terminating: bool,
    /// The node that it is on.
    pub node: Option<Box<str>>,
    /// Zones that are to use it.
    pub zones: Box<[Box<str>]>,
    /// Nodes that are to use it.
    pub nodes: Box<[Box<str>]>,
    /// The pod that it is: namespace and name.
    pub pod: Option<Box<(String, String)>>,
}

/// Whose an endpoint's address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'d> {
    /// The pod: namespace and name.
    pub pod: Option<&'d (String, String)>,
    /// The node.
    pub node: Option<&'d str>,
}

/// Endpoints that share their ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The family of its addresses.
    pub family: Family,
    /// Name, protocol's number, port.
    pub ports: Vec<(String, u8, u16)>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// Everything that the API wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Services that kube-proxy forwards.
    pub services: BTreeMap<ServiceName, Service>,
    /// Their EndpointSlices by the slice's own name.
    pub slices: HashMap<ServiceName, BTreeMap<String, Slice>>,
}

impl Desired {
    /// Takes a Service; one that kube-proxy does not forward is left out.
    pub fn take_service(&mut self, service: &wire::Service) {
        let (Some(meta), Some(spec)) = (&service.metadata, &service.spec) else { return };
        if meta.labels.contains_key(OTHER_PROXY) || spec.r#type == "ExternalName" {
            return;
        }
        let single = Some(&spec.cluster_ip).filter(|_| spec.cluster_ips.is_empty());
        let cluster_ips: Vec<IpAddr> =
            spec.cluster_ips.iter().chain(single).filter_map(|text| text.parse().ok()).collect();
        if cluster_ips.is_empty() {
            return;
        }
        let number = |port: i32| u16::try_from(port).ok().filter(|port| *port > 0);
        let ports = spec.ports.iter().filter_map(|port| {
            Some(Port {
                name: port.name.clone(),
                protocol: protocol_number(&port.protocol)?,
                port: number(port.port)?,
                node_port: number(port.node_port),
            })
        });
        let ingress =
            service.status.iter().filter_map(|status| status.load_balancer.as_ref()).flat_map(|lb| &lb.ingress);
        let ports: Vec<Port> = ports.collect();
        let mut wanted = Service {
            cluster_ips,
            external_ips: spec.external_ips.iter().filter_map(|text| text.parse().ok()).collect(),
            balancer_ips: ingress.filter_map(|at| Some((at.ip.parse().ok()?, at.ip_mode != "Proxy"))).collect(),
            source_ranges: spec
                .load_balancer_source_ranges
                .iter()
                .filter_map(|text| text.trim().parse().ok())
                .collect(),
            internal_local: spec.internal_traffic_policy == "Local",
            external_local: false,
            affinity: (spec.session_affinity == "ClientIP").then(|| affinity(spec)),
            health_port: None,
            ports,
        };
        let outside = matches!(spec.r#type.as_str(), "NodePort" | "LoadBalancer") || !wanted.external_ips.is_empty();
        wanted.external_local = outside && spec.external_traffic_policy == "Local";
        if spec.r#type == "LoadBalancer" && wanted.external_local {
            wanted.health_port = number(spec.health_check_node_port);
        }
        self.services.insert((meta.namespace.clone(), meta.name.clone()), wanted);
    }

    /// Takes an EndpointSlice; one that is of no Service, or of one that is not forwarded, is left out.
    pub fn take_slice(&mut self, slice: &wire::EndpointSlice) {
        let Some(meta) = &slice.metadata else { return };
        let family = match slice.address_type.as_str() {
            "IPv4" => Family::V4,
            "IPv6" => Family::V6,
            _ => return,
        };
        let Some(service) = meta.labels.get(SERVICE_NAME) else { return };
        if meta.labels.contains_key(OTHER_PROXY) || meta.labels.contains_key(HEADLESS) {
            return;
        }
        let ports = slice.ports.iter().filter_map(|port| {
            let number = u16::try_from(port.port?).ok()?;
            Some((port.name.clone(), protocol_number(&port.protocol)?, number))
        });
        let kept = Slice {
            family,
            ports: ports.collect(),
            endpoints: slice.endpoints.iter().filter_map(|endpoint| lean(endpoint, family)).collect(),
        };
        self.slices.entry((meta.namespace.clone(), service.clone())).or_default().insert(meta.name.clone(), kept);
    }

    /// The endpoints of a Service's port, each with its own port. One that is in several slices counts once.
    pub fn endpoints<'d>(
        &'d self,
        service: &ServiceName,
        port: &Port,
        family: Family,
    ) -> BTreeMap<(IpAddr, u16), &'d Endpoint> {
        let mut found = BTreeMap::new();
        let slices = self.slices.get(service).into_iter().flat_map(BTreeMap::values);
        for slice in slices.filter(|slice| slice.family == family) {
            for (name, protocol, number) in &slice.ports {
                if *name == port.name && *protocol == port.protocol {
                    found.extend(slice.endpoints.iter().map(|endpoint| ((endpoint.address, *number), endpoint)));
                }
            }
        }
        found
    }

    /// Whether some Service has an address of a family.
    pub fn has(&self, family: Family) -> bool {
        self.services.values().flat_map(|service| &service.cluster_ips).any(|ip| Family::of(*ip) == family)
    }

    /// The pod and the node that an endpoint's address belongs to.
    pub fn owners(&self) -> HashMap<IpAddr, Owner<'_>> {
        let endpoints = self.slices.values().flat_map(BTreeMap::values).flat_map(|slice| &slice.endpoints);
        endpoints.map(|end| (end.address, Owner { pod: end.pod.as_deref(), node: end.node.as_deref() })).collect()
    }
}

/// A Service's port by name, as other reports have it.
pub(super) fn named((namespace, name): &ServiceName, port: &Port) -> ServicePort {
    ServicePort {
        namespace: namespace.clone(),
        name: name.clone(),
        port: (!port.name.is_empty()).then(|| port.name.clone()),
    }
}

fn affinity(spec: &wire::ServiceSpec) -> u32 {
    let client = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    client.and_then(|client| u32::try_from(client.timeout_seconds?).ok()).unwrap_or(AFFINITY)
}

fn lean(endpoint: &wire::SliceEndpoint, family: Family) -> Option<Endpoint> {
    let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
    if Family::of(address) != family {
        return None;
    }
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    let names = |all: &[wire::HintName]| all.iter().map(|hint| hint.name.as_str().into()).collect();
    let pod = endpoint.target_ref.as_ref().filter(|target| target.kind == "Pod");
    Some(Endpoint {
        address,
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or(false),
        node: (!endpoint.node_name.is_empty()).then(|| endpoint.node_name.as_str().into()),
        zones: endpoint.hints.as_ref().map(|hints| names(&hints.for_zones)).unwrap_or_default(),
        nodes: endpoint.hints.as_ref().map(|hints| names(&hints.for_nodes)).unwrap_or_default(),
        pod: pod.map(|pod| Box::new((pod.namespace.clone(), pod.name.clone()))),
    })
}

/// The number of a protocol that Services have; `TCP` where nothing is written.
fn protocol_number(name: &str) -> Option<u8> {
    match name {
        "" | "TCP" => Some(6),
        "UDP" => Some(17),
        "SCTP" => Some(132),
        _ => None,
    }
}

/// The name of a protocol that Services have.
pub(super) fn protocol_name(number: u8) -> String {
    match number {
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        132 => "SCTP".to_owned(),
        other => other.to_string(),
    }
}
