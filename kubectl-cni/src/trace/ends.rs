//! Who sends and who gets a packet: the words of the question as addresses.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netcore::{cluster::wire, packet::texts::NodeTexts};

/// An address that stands for everybody outside: of the range for documentation.
const OUTSIDE_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

/// Which end of the packet a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Who sends.
    Source,
    /// Who gets it.
    Target,
}

#[derive(Clone, Debug)]
struct Pod {
    namespace: String,
    name: String,
    node: String,
    host: bool,
    addresses: Vec<IpAddr>,
}

#[derive(Clone, Debug)]
struct Service {
    namespace: String,
    name: String,
    addresses: Vec<IpAddr>,
    /// Protocol, name, number.
    ports: Vec<(String, String, u16)>,
}

/// What the API says of addresses.
#[derive(Debug, Default)]
pub(super) struct Objects {
    nodes: BTreeMap<String, Vec<IpAddr>>,
    pods: Vec<Pod>,
    services: Vec<Service>,
    unread: Vec<(String, String)>,
}

/// An end that was asked for.
#[derive(Clone, Debug)]
pub(super) struct End {
    asked: String,
    addresses: Vec<IpAddr>,
    node: Option<String>,
    /// Whether the node itself is meant.
    is_node: bool,
    host: bool,
    port: Option<String>,
    ports: Vec<(String, String, u16)>,
}

impl End {
    fn new(asked: &str, addresses: Vec<IpAddr>, port: Option<&str>) -> Self {
        Self {
            asked: asked.to_owned(),
            addresses,
            node: None,
            is_node: false,
            host: false,
            port: port.map(str::to_owned),
            ports: Vec::new(),
        }
    }

    pub(super) fn asked(&self) -> &str {
        &self.asked
    }

    /// The node that it is on.
    pub(super) fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Whether packets of it are the node's own.
    pub(super) const fn is_host(&self) -> bool {
        self.host
    }

    pub(super) const fn is_node(&self) -> bool {
        self.is_node
    }

    /// The port, by number or by the Service's name of it; a Service's only one where none is given.
    pub(super) fn port(&self, protocol: u8) -> Option<u16> {
        let of_protocol = |name: &str| match name {
            "UDP" => protocol == 17,
            "SCTP" => protocol == 132,
            _ => protocol == 6,
        };
        if let Some(text) = self.port.as_deref() {
            let by_name = self.ports.iter().find(|(_, name, _)| name == text).map(|(.., number)| *number);
            return text.parse().ok().or(by_name);
        }
        let mut fitting = self.ports.iter().filter(|(of, ..)| of_protocol(of));
        let only = fitting.next().map(|(.., number)| *number);
        only.filter(|_| fitting.next().is_none())
    }

    /// The ports that would do.
    pub(super) fn ports_hint(&self) -> String {
        let all: Vec<String> = self
            .ports
            .iter()
            .map(|(of, name, number)| {
                let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
                format!("{number}/{of}{name}")
            })
            .collect();
        if all.is_empty() { String::new() } else { format!("; it has {}", all.join(", ")) }
    }
}

/// One address of each end, of one family: IPv4 where both have it.
pub(super) fn addresses(source: &End, target: &End) -> Result<(IpAddr, IpAddr), String> {
    for v6 in [false, true] {
        let of = |end: &End| end.addresses.iter().copied().find(|ip| ip.is_ipv6() == v6);
        if let (Some(from), Some(to)) = (of(source), of(target)) {
            return Ok((from, to));
        }
    }
    let none = [source, target].into_iter().find(|end| end.addresses.is_empty());
    Err(match none {
        Some(end) => format!("{} has no address", end.asked),
        None => format!("{} and {} have no address of one family", source.asked, target.asked),
    })
}

impl Objects {
    pub(super) fn node(&mut self, node: &wire::Node) {
        let Some(meta) = &node.metadata else { return };
        let all = node.status.iter().flat_map(|status| &status.addresses);
        let ips =
            all.filter(|address| address.r#type.ends_with("IP")).filter_map(|address| address.address.parse().ok());
        self.nodes.insert(meta.name.clone(), ips.collect());
    }

    pub(super) fn pod(&mut self, pod: &wire::Pod) {
        let (Some(meta), Some(spec), Some(status)) = (&pod.metadata, &pod.spec, &pod.status) else { return };
        if matches!(status.phase.as_str(), "Succeeded" | "Failed") {
            return;
        }
        let single = status.pod_ips.is_empty().then_some(&status.pod_ip);
        let ips = single.into_iter().chain(status.pod_ips.iter().map(|ip| &ip.ip)).filter_map(|ip| ip.parse().ok());
        self.pods.push(Pod {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            node: spec.node_name.clone(),
            host: spec.host_network,
            addresses: ips.collect(),
        });
    }

    pub(super) fn service(&mut self, service: &wire::Service) {
        let (Some(meta), Some(spec)) = (&service.metadata, &service.spec) else { return };
        let single = spec.cluster_ips.is_empty().then_some(&spec.cluster_ip);
        let port = |port: &wire::ServicePort| {
            let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            Some((protocol.to_owned(), port.name.clone(), u16::try_from(port.port).ok()?))
        };
        self.services.push(Service {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            addresses: single.into_iter().chain(&spec.cluster_ips).filter_map(|ip| ip.parse().ok()).collect(),
            ports: spec.ports.iter().filter_map(port).collect(),
        });
    }

    /// A kind that could not be read.
    pub(super) fn unread(&mut self, plural: &str, reason: &str) {
        self.unread.push((plural.to_owned(), reason.to_owned()));
    }

    /// The pod that has an address of the pod network.
    pub(super) fn pod_at(&self, ip: IpAddr) -> Option<String> {
        let pod = self.pods.iter().find(|pod| !pod.host && pod.addresses.contains(&ip))?;
        Some(format!("{}/{}", pod.namespace, pod.name))
    }

    /// The node that has an address.
    pub(super) fn node_at(&self, ip: IpAddr) -> Option<&str> {
        self.nodes.iter().find(|(_, ips)| ips.contains(&ip)).map(|(name, _)| name.as_str())
    }

    /// What the API knows of a node's addresses.
    pub(super) fn tell(&self, node: Option<&str>, texts: &mut NodeTexts) {
        texts.own_addresses.extend(node.and_then(|node| self.nodes.get(node)).into_iter().flatten());
        texts.foreign_addresses.extend(self.pods.iter().filter(|pod| !pod.host).flat_map(|pod| &pod.addresses));
        if node.is_some() {
            let others = self.nodes.iter().filter(|(name, _)| Some(name.as_str()) != node);
            texts.foreign_addresses.extend(others.flat_map(|(_, ips)| ips));
        }
    }

    /// What a text means.
    pub(super) fn end(&self, text: &str, side: Side, namespace: &str) -> Result<End, String> {
        let (what, port) = split(text)?;
        if side == Side::Source && port.is_some() {
            return Err(format!("{text}: a source has no port here; --sport says it"));
        }
        match what.split_once('/') {
            Some(("pod" | "pods" | "po", name)) => self.pod_end(text, name, port, namespace),
            Some(("svc" | "service" | "services", name)) if side == Side::Target => {
                self.service_end(text, name, port, namespace)
            }
            Some(("svc" | "service" | "services", _)) => {
                Err(format!("{text}: a Service sends nothing; a pod or a node does"))
            }
            Some(("node" | "nodes" | "no", name)) => {
                let known =
                    self.nodes.get(name).ok_or_else(|| self.no_such("nodes", text, self.nodes.keys().cloned()))?;
                Ok(End {
                    node: Some(name.to_owned()),
                    is_node: true,
                    host: true,
                    ..End::new(text, known.clone(), port)
                })
            }
            None if what == "external" => Ok(End::new(text, vec![OUTSIDE_V4.into(), OUTSIDE_V6.into()], port)),
            None => {
                let ip: IpAddr = what.parse().map_err(|_| {
                    format!("{text}: not pod/NAME, svc/NAME, node/NAME, external or an address; an IPv6 address with a port is [fd00::1]:80")
                })?;
                Ok(self.address_end(text, ip, port))
            }
            Some((kind, _)) => Err(format!("{text}: {kind}/… is not known here: pod/, svc/ or node/")),
        }
    }

    /// An address is the pod's or the node's that has it.
    fn address_end(&self, text: &str, ip: IpAddr, port: Option<&str>) -> End {
        let end = End::new(text, vec![ip], port);
        let pod = self.pods.iter().find(|pod| !pod.host && pod.addresses.contains(&ip));
        match (pod, self.node_at(ip)) {
            (Some(pod), _) => End { node: Some(pod.node.clone()), ..end },
            (None, Some(node)) => End { node: Some(node.to_owned()), host: true, ..end },
            (None, None) => end,
        }
    }

    fn pod_end(&self, text: &str, name: &str, port: Option<&str>, namespace: &str) -> Result<End, String> {
        let pod = one_of(text, name, namespace, &self.pods, |pod| (&pod.namespace, &pod.name))?;
        let Some(pod) = pod else {
            let near = self.pods.iter().map(|pod| format!("{}/{}", pod.namespace, pod.name));
            return Err(self.no_such("pods", text, near));
        };
        if pod.node.is_empty() {
            return Err(format!("{text}: the pod is on no node yet"));
        }
        Ok(End { node: Some(pod.node.clone()), host: pod.host, ..End::new(text, pod.addresses.clone(), port) })
    }

    fn service_end(&self, text: &str, name: &str, port: Option<&str>, namespace: &str) -> Result<End, String> {
        let service = one_of(text, name, namespace, &self.services, |service| (&service.namespace, &service.name))?;
        let Some(service) = service else {
            let near = self.services.iter().map(|service| format!("{}/{}", service.namespace, service.name));
            return Err(self.no_such("services", text, near));
        };
        if service.addresses.is_empty() {
            return Err(format!(
                "{text}: the Service has no ClusterIP: it is headless or an ExternalName; ask for one of its pods"
            ));
        }
        let end = End { ports: service.ports.clone(), ..End::new(text, service.addresses.clone(), port) };
        if let Some(port) = port
            && port.parse::<u16>().is_err()
            && !service.ports.iter().any(|(_, name, _)| name == port)
        {
            return Err(format!("{text}: no port is called {port}{}", end.ports_hint()));
        }
        Ok(end)
    }

    fn no_such(&self, plural: &str, text: &str, known: impl Iterator<Item = String>) -> String {
        if let Some((_, reason)) = self.unread.iter().find(|(of, _)| of == plural) {
            return format!("{text}: {plural} could not be read ({reason}); give an address");
        }
        let names: Vec<String> = known.collect();
        let some: Vec<String> = names.iter().take(5).cloned().collect();
        let more = if names.len() > some.len() { ", …" } else { "" };
        if some.is_empty() {
            format!("{text}: there are no {plural}")
        } else {
            format!("{text}: not found; there are {}{more}", some.join(", "))
        }
    }
}

/// The object of a name: in its namespace, else the only one of that name, else the only one whose
/// name begins so.
fn one_of<'o, T>(
    text: &str,
    name: &str,
    namespace: &str,
    all: &'o [T],
    of: impl Fn(&'o T) -> (&'o String, &'o String),
) -> Result<Option<&'o T>, String> {
    let (wanted, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    };
    let inside = |object: &&'o T, namespace: &str| of(object).0 == namespace;
    let exact = |object: &&'o T| of(object).1 == name;
    let begins = |object: &&'o T| of(object).1.starts_with(&format!("{name}-"));
    let home = wanted.unwrap_or(namespace);
    let steps: [Vec<&'o T>; 4] = [
        all.iter().filter(|object| inside(object, home) && exact(object)).collect(),
        all.iter().filter(|object| wanted.is_none() && exact(object)).collect(),
        all.iter().filter(|object| inside(object, home) && begins(object)).collect(),
        all.iter().filter(|object| wanted.is_none() && begins(object)).collect(),
    ];
    for found in steps {
        match found.as_slice() {
            [] => {}
            [one] => return Ok(Some(one)),
            several => {
                let names: Vec<String> =
                    several.iter().take(6).map(|object| format!("{}/{}", of(object).0, of(object).1)).collect();
                let more = if several.len() > names.len() { ", …" } else { "" };
                return Err(format!("{text} is ambiguous: {}{more}", names.join(", ")));
            }
        }
    }
    Ok(None)
}

/// What stands before the port, and the port.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']').ok_or_else(|| format!("{text}: a `[` without `]`"))?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((ip, Some(port))),
            None if rest.is_empty() => Ok((ip, None)),
            None => Err(format!("{text}: after `]` comes `:PORT`")),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    match text.rsplit_once(':') {
        Some((_, "")) => Err(format!("{text}: no port after `:`")),
        Some((what, port)) => Ok((what, Some(port))),
        None => Ok((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects() -> Objects {
        let pod = |namespace: &str, name: &str, ip: &str| Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            node: "n1".to_owned(),
            host: false,
            addresses: vec![ip.parse().unwrap()],
        };
        Objects {
            nodes: BTreeMap::from([("n1".to_owned(), vec!["192.0.2.1".parse().unwrap()])]),
            pods: vec![
                pod("shop", "web-1", "10.244.0.1"),
                pod("shop", "web-2", "10.244.0.2"),
                pod("default", "client", "10.244.0.3"),
                pod("other", "client", "10.244.0.4"),
                pod("other", "db-0", "fd00::4"),
            ],
            services: vec![Service {
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
                addresses: vec!["10.96.0.1".parse().unwrap()],
                ports: vec![("TCP".to_owned(), "http".to_owned(), 80), ("UDP".to_owned(), "dns".to_owned(), 53)],
            }],
            unread: Vec::new(),
        }
    }

    #[test]
    fn words_become_addresses() {
        let objects = objects();
        let end = |text: &str| objects.end(text, Side::Target, "default").unwrap();
        assert_eq!(end("pod/client").addresses, ["10.244.0.3".parse::<IpAddr>().unwrap()], "the namespace's own");
        assert_eq!(end("pod/other/client:80").port(6), Some(80));
        assert_eq!(end("pod/db").node(), Some("n1"), "the only one that begins so");
        assert_eq!(end("svc/web:http").port(6), Some(80));
        assert_eq!((end("svc/web").port(17), end("svc/web").port(6)), (Some(53), Some(80)));
        assert_eq!(end("[fd00::4]:8080").port(6), Some(8080));
        assert_eq!((end("fd00::4").port(6), end("fd00::4").node()), (None, Some("n1")));
        assert!(end("192.0.2.1").is_host() && !end("192.0.2.1").is_node() && end("node/n1").is_node());
        assert_eq!(end("external:443").port(6), Some(443));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let objects = objects();
        for (text, side, words) in [
            ("pod/shop/web", Side::Target, "ambiguous: shop/web-1, shop/web-2"),
            ("pod/nobody", Side::Source, "not found; there are shop/web-1"),
            ("svc/web", Side::Source, "a Service sends nothing"),
            ("svc/web:smtp", Side::Target, "no port is called smtp; it has 80/TCP (http), 53/UDP (dns)"),
            ("deploy/web", Side::Target, "deploy/… is not known here"),
            ("10.0.0", Side::Target, "not pod/NAME"),
            ("[fd00::1", Side::Target, "without `]`"),
            ("pod/client:80", Side::Source, "--sport says it"),
            ("node/n9", Side::Source, "not found; there are n1"),
        ] {
            let error = objects.end(text, side, "default").unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let v6 = objects.end("pod/db", Side::Source, "default").unwrap();
        let v4 = objects.end("pod/client", Side::Target, "default").unwrap();
        assert!(addresses(&v6, &v4).unwrap_err().contains("no address of one family"));
    }
}
