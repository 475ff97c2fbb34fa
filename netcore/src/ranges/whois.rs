//! Who has an address.

use std::net::IpAddr;

use super::{
    Facts, IpOwner,
    report::{AddressRange, AddressRow},
};

/// Everyone who has `ip` now, and the ranges that it lies in, the narrowest first. Pods must be sorted.
pub fn whois(facts: &Facts, ip: IpAddr) -> AddressRow {
    let mut owners: Vec<IpOwner> = pods(facts, ip).chain(services(facts, ip)).chain(nodes(facts, ip)).collect();
    owners.extend(facts.infrastructure.iter().filter(|(address, _)| *address == ip).map(|(_, owner)| owner.clone()));
    owners.sort();
    owners.dedup();
    AddressRow { address: ip.to_string(), owners, ranges: ranges(facts, ip) }
}

fn pods(facts: &Facts, ip: IpAddr) -> impl Iterator<Item = IpOwner> + '_ {
    let addresses = &facts.pods.addresses;
    let from = addresses.partition_point(|a| a.ip < ip);
    addresses.iter().skip(from).take_while(move |a| a.ip == ip).map(|address| {
        let (namespace, name) = facts.pods.names.get(address.pod).split_once('/').unwrap_or_default();
        IpOwner {
            kind: "Pod".to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
            node: facts.pods.node_of(address).map(str::to_owned),
        }
    })
}

fn services(facts: &Facts, ip: IpAddr) -> impl Iterator<Item = IpOwner> + '_ {
    facts.services.iter().flat_map(move |service| {
        [
            ("Service", &service.cluster_ips),
            ("ExternalIP", &service.external_ips),
            ("LoadBalancer", &service.load_balancer_ips),
        ]
        .into_iter()
        .filter(move |(_, ips)| ips.contains(&ip))
        .map(|(kind, _)| IpOwner {
            kind: kind.to_owned(),
            namespace: Some(service.namespace.clone()),
            name: service.name.clone(),
            node: None,
        })
    })
}

fn nodes(facts: &Facts, ip: IpAddr) -> impl Iterator<Item = IpOwner> + '_ {
    facts.nodes.values().filter(move |node| node.addresses.contains(&ip)).map(|node| IpOwner {
        kind: "Node".to_owned(),
        namespace: None,
        name: node.name.clone(),
        node: Some(node.name.clone()),
    })
}

fn ranges(facts: &Facts, ip: IpAddr) -> Vec<AddressRange> {
    let mut inside: Vec<_> = facts.ranges.iter().filter(|fact| fact.range.contains_ip(ip)).collect();
    inside.sort_by_key(|fact| {
        (std::cmp::Reverse(fact.cidr.prefix_len()), fact.role, fact.cidr, fact.share_of.clone(), fact.origin.confidence)
    });
    let mut rows: Vec<AddressRange> = Vec::new();
    for fact in inside {
        let row = AddressRange {
            role: fact.role,
            cidr: fact.cidr,
            node: fact.share_of.clone(),
            source: fact.origin.to_string(),
        };
        let known = rows.iter().any(|r| r.role == row.role && r.cidr == row.cidr && r.node == row.node);
        if !known {
            rows.push(row);
        }
    }
    rows
}
