//! The API's objects by which the kernel's names are told. What cannot be listed leaves names out, and
//! nothing else.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use netcore::{
    cluster::{DecodeError, Item, ReadStatus, Resource, resources, wire},
    finding::Unreadable,
    names::{Name, Names, PolicyKind},
    packet::cost::Server,
};
use plugin::{cluster::Selection, question::Session};
use serde_json::Value;

/// The objects, as far as packets meet them.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    /// What everything is called.
    pub(crate) names: Names,
    /// The addresses and ports of Services.
    pub(crate) fronts: Vec<Server>,
    /// The addresses of pods with a network of their own, by node.
    pub(crate) pods: BTreeMap<String, Vec<IpAddr>>,
    /// The addresses of nodes.
    pub(crate) nodes: BTreeMap<String, Vec<IpAddr>>,
}

/// Everything that names something.
pub(crate) async fn names(session: &Session<'_>, unreadable: &mut Vec<Unreadable>) -> Names {
    let names = objects(session, unreadable).await.names;
    // endpoints have chains of their own; no packet meets their slices
    let mut reading = Reading { session, names, unreadable };
    let slice = |names: &mut Names, item: Item<'_>| item.lean::<wire::EndpointSlice>().map(|it| names.slice(&it));
    reading.list(&resources::ENDPOINTSLICES, slice).await;
    reading.names
}

/// The same with what packets meet.
pub(crate) async fn objects(session: &Session<'_>, unreadable: &mut Vec<Unreadable>) -> Objects {
    let mut reading = Reading { session, names: Names::new(), unreadable };
    let (fronts, pods, nodes) =
        (RefCell::new(Vec::new()), RefCell::new(BTreeMap::new()), RefCell::new(BTreeMap::new()));
    let service = |names: &mut Names, item: Item<'_>| {
        item.lean::<wire::Service>().map(|it| {
            names.service(&it);
            fronts_of(&it, &mut fronts.borrow_mut());
        })
    };
    reading.list(&resources::SERVICES, service).await;
    let pod = |names: &mut Names, item: Item<'_>| {
        item.lean::<wire::Pod>().map(|it| {
            names.pod(&it);
            pod_of(&it, &mut pods.borrow_mut());
        })
    };
    reading.list(&resources::PODS, pod).await;
    let node = |names: &mut Names, item: Item<'_>| {
        item.lean::<wire::Node>().map(|it| {
            names.node(&it);
            node_of(&it, &mut nodes.borrow_mut());
        })
    };
    reading.list(&resources::NODES, node).await;
    let kubernetes = |names: &mut Names, item: Item<'_>| policy(names, item, PolicyKind::NetworkPolicy);
    reading.list(&resources::NETWORKPOLICIES, kubernetes).await;
    for resource in [&resources::CALICO_NETWORKPOLICIES_V1, &resources::CALICO_NETWORKPOLICIES_V3] {
        reading.list(resource, |names, item| policy(names, item, PolicyKind::CalicoNetworkPolicy)).await;
    }
    for resource in [&resources::CALICO_GLOBALNETWORKPOLICIES_V1, &resources::CALICO_GLOBALNETWORKPOLICIES_V3] {
        reading.list(resource, |names, item| policy(names, item, PolicyKind::CalicoGlobalNetworkPolicy)).await;
    }
    reading.list(&resources::NAMESPACES, |names, item| item.value().map(|it| namespace(names, &it))).await;
    let names = reading.names;
    Objects { names, fronts: fronts.into_inner(), pods: pods.into_inner(), nodes: nodes.into_inner() }
}

/// The cluster addresses of a Service with each port.
fn fronts_of(service: &wire::Service, fronts: &mut Vec<Server>) {
    let Some(spec) = &service.spec else { return };
    let addresses: BTreeSet<IpAddr> =
        std::iter::once(&spec.cluster_ip).chain(&spec.cluster_ips).filter_map(|ip| ip.parse().ok()).collect();
    for address in addresses {
        fronts.extend(spec.ports.iter().filter_map(|port| {
            let protocol = match port.protocol.as_str() {
                "" | "TCP" => 6,
                "UDP" => 17,
                "SCTP" => 132,
                _ => return None,
            };
            Some(Server { address, port: u16::try_from(port.port).ok()?, protocol })
        }));
    }
}

fn pod_of(pod: &wire::Pod, pods: &mut BTreeMap<String, Vec<IpAddr>>) {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else { return };
    if spec.host_network || matches!(status.phase.as_str(), "Succeeded" | "Failed") {
        return;
    }
    let addresses: BTreeSet<IpAddr> = std::iter::once(&status.pod_ip)
        .chain(status.pod_ips.iter().map(|ip| &ip.ip))
        .filter_map(|ip| ip.parse().ok())
        .collect();
    pods.entry(spec.node_name.clone()).or_default().extend(addresses);
}

fn node_of(node: &wire::Node, nodes: &mut BTreeMap<String, Vec<IpAddr>>) {
    let Some(meta) = &node.metadata else { return };
    let addresses = node.status.iter().flat_map(|status| &status.addresses);
    nodes
        .entry(meta.name.clone())
        .or_default()
        .extend(addresses.filter_map(|address| address.address.parse::<IpAddr>().ok()));
}

struct Reading<'a, 's> {
    session: &'a Session<'s>,
    names: Names,
    unreadable: &'a mut Vec<Unreadable>,
}

impl Reading<'_, '_> {
    async fn list(
        &mut self,
        resource: &'static Resource,
        learn: impl Fn(&mut Names, Item<'_>) -> Result<(), DecodeError>,
    ) {
        let mut bad = None;
        let names = &mut self.names;
        let each = &mut |item: Item<'_>| {
            if let Err(error) = learn(names, item) {
                bad = Some(error.to_string());
            }
        };
        let everything = Selection { namespace: None, labels: None, fields: None };
        let status = self.session.cluster.list(resource, everything, each).await;
        let reason = match (bad, &status) {
            (Some(reason), _) => Some(reason),
            (None, ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) if !status.is_unrecorded() => {
                Some(reason.clone())
            }
            _ => None,
        };
        let source = resource.full_name();
        self.unreadable.extend(reason.map(|reason| Unreadable { source, node: None, reason }));
    }
}

fn text<'a>(object: &'a Value, place: &str) -> Option<&'a str> {
    object.pointer(place).and_then(Value::as_str)
}

fn policy(names: &mut Names, item: Item<'_>, kind: PolicyKind) -> Result<(), DecodeError> {
    let object = item.value()?;
    if let Some(name) = text(&object, "/metadata/name") {
        names.policy(kind, text(&object, "/spec/tier"), text(&object, "/metadata/namespace"), name);
    }
    Ok(())
}

fn namespace(names: &mut Names, object: &Value) {
    if let Some(name) = text(object, "/metadata/name") {
        names.profile(Name::Namespace(name.to_owned()));
        names.profile(Name::ServiceAccount { namespace: name.to_owned(), name: "default".to_owned() });
    }
}
