//! kube-proxy's table: what its maps say of each Service's address and port.

use std::{borrow::Cow, net::IpAddr};

use super::{
    expr::{Expr, Verdict},
    index::{Value, key_bounds},
    model::{Family, Ruleset, Set},
};

/// An entry of one of kube-proxy's verdict maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry<'a> {
    /// The Service's address; nothing for a node port.
    pub address: Option<IpAddr>,
    /// The protocol's number.
    pub protocol: u8,
    /// The port.
    pub port: u16,
    /// What happens.
    pub verdict: Verdict<'a>,
    /// The entry's comment: kube-proxy writes `namespace/name:port` where there is no endpoint.
    pub comment: Option<Cow<'a, str>>,
}

/// The table `kube-proxy` of one family. A map that the table does not have is `None`: versions
/// differ, and a dump may be cut.
#[derive(Clone, Debug)]
pub struct KubeProxyTable<'a> {
    /// `ip` or `ip6`.
    pub family: Family,
    /// `service-ips`: cluster, external and load balancer addresses.
    pub service_ips: Option<Vec<ServiceEntry<'a>>>,
    /// `service-nodeports`.
    pub service_nodeports: Option<Vec<ServiceEntry<'a>>>,
    /// `no-endpoint-services`: what is refused or dropped.
    pub no_endpoint_services: Option<Vec<ServiceEntry<'a>>>,
    /// `no-endpoint-nodeports`.
    pub no_endpoint_nodeports: Option<Vec<ServiceEntry<'a>>>,
    /// `firewall-ips`: load balancers with source ranges.
    pub firewall_ips: Option<Vec<ServiceEntry<'a>>>,
    /// `cluster-ips`.
    pub cluster_ips: Option<Vec<IpAddr>>,
    /// Entries of these maps that are not of the known layout.
    pub unknown: usize,
}

impl<'a> KubeProxyTable<'a> {
    /// The table of `ip` or `ip6`, where the rule set has it.
    pub fn of(ruleset: &Ruleset<'a>, family: Family) -> Option<Self> {
        const TABLE: &str = "kube-proxy";
        ruleset.tables().find(|table| table.family == family && table.name == TABLE)?;
        let mut unknown = 0;
        let mut map = |name: &str| ruleset.set(family, TABLE, name).map(|map| service_entries(map, &mut unknown));
        let (service_ips, service_nodeports) = (map("service-ips"), map("service-nodeports"));
        let (no_endpoint_services, no_endpoint_nodeports) = (map("no-endpoint-services"), map("no-endpoint-nodeports"));
        let firewall_ips = map("firewall-ips");
        let cluster_ips = ruleset.set(family, TABLE, "cluster-ips").map(|set| addresses(set, &mut unknown));
        Some(Self {
            family,
            service_ips,
            service_nodeports,
            no_endpoint_services,
            no_endpoint_nodeports,
            firewall_ips,
            cluster_ips,
            unknown,
        })
    }
}

/// The entries of a verdict map by `[address .] protocol . port`; others are counted.
pub fn service_entries<'a>(map: &Set<'a>, unknown: &mut usize) -> Vec<ServiceEntry<'a>> {
    let types = map.key_types().unwrap_or_default();
    let entry = |element: super::model::Element<'a>| {
        let bounds = key_bounds(element.key.value(), &types)?;
        let single = |(first, last): &(Value<'a>, Value<'a>)| match first {
            Value::Number(number) if first == last => Some(*number),
            _ => None,
        };
        let numbers: Vec<u128> = bounds.iter().map(single).collect::<Option<_>>()?;
        let (address, protocol, port) = match (types.as_slice(), numbers.as_slice()) {
            ([of, "inet_proto", "inet_service"], [address, protocol, port]) => {
                (Some(address_of(of, *address)?), protocol, port)
            }
            (["inet_proto", "inet_service"], [protocol, port]) => (None, protocol, port),
            _ => return None,
        };
        let Some(Expr::Verdict(verdict)) = element.data else { return None };
        let comment = if let Expr::Elem(elem) = element.key { elem.comment } else { None };
        let (protocol, port) = (u8::try_from(*protocol).ok()?, u16::try_from(*port).ok()?);
        Some(ServiceEntry { address, protocol, port, verdict, comment })
    };
    let mut entries = Vec::new();
    for element in map.elements() {
        match entry(element) {
            Some(entry) => entries.push(entry),
            None => *unknown += 1,
        }
    }
    entries
}

fn addresses(set: &Set<'_>, unknown: &mut usize) -> Vec<IpAddr> {
    let types = set.key_types().unwrap_or_default();
    let mut found = Vec::new();
    for element in set.elements() {
        let ip = match (key_bounds(element.key.value(), &types).as_deref(), types.as_slice()) {
            (Some([(Value::Number(first), last)]), [of]) if *last == Value::Number(*first) => address_of(of, *first),
            _ => None,
        };
        match ip {
            Some(ip) => found.push(ip),
            None => *unknown += 1,
        }
    }
    found
}

fn address_of(of: &str, number: u128) -> Option<IpAddr> {
    match of {
        "ipv4_addr" => u32::try_from(number).ok().map(|bits| IpAddr::V4(bits.into())),
        "ipv6_addr" => Some(IpAddr::V6(number.into())),
        _ => None,
    }
}
