//! ipvs mode: virtual servers say where packets go, rules and sets around them who is masqueraded and who may come.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use super::{
    compare::{Comparison, Sort, UNUSED},
    desired::protocol_name,
    expected::{Kind, Plan, Socket},
    flow::{Front, NotKnown},
};
use crate::{
    cidr::{Cidr, Family},
    ipset::{Element, IpSets, Part, Protocol as PortProtocol},
    ipvs::{Forward, IpvsTable, Persistence, Protocol, VirtualAddress, VirtualServer},
};

/// What is around the virtual servers of one family.
pub(super) struct Around<'a> {
    /// The addresses of `kube-ipvs0`; nothing where links were not read.
    pub(super) dummy: Option<&'a [IpAddr]>,
    /// Whether rules and sets were read.
    pub(super) rules: bool,
    /// The sets.
    pub(super) sets: Option<&'a IpSets<'a>>,
    /// Ranges that are not kube-proxy's.
    pub(super) excluded: Vec<Cidr>,
    /// The algorithm that kube-proxy was told; nothing where that is not known.
    pub(super) scheduler: Option<&'a str>,
}

/// Compares every address of every plan with the virtual servers, and looks for servers that no plan has.
pub(super) fn run(comparison: &mut Comparison<'_>, table: &IpvsTable, around: &Around<'_>, plans: &[Plan<'_>]) {
    let family = comparison.family;
    let servers: HashMap<Front, &VirtualServer> = table
        .services
        .iter()
        .filter_map(|server| Some((front(&server.address)?, server)))
        .filter(|((address, ..), _)| address.is_some_and(|ip| Family::of(ip) == family))
        .collect();
    if around.rules {
        comparison.guess(plans);
    }
    let nodes = node_addresses(comparison);
    let mut known: HashSet<Front> = HashSet::new();
    for plan in plans {
        for (kind, address, port) in &plan.fronts {
            let addresses = address.map_or_else(|| nodes.clone(), |ip| vec![ip]);
            known.insert((*address, plan.port.protocol, *port));
            let mut whole = Ok(());
            for address in addresses {
                let place = (Some(address), plan.port.protocol, *port);
                known.insert(place);
                let differs = server_differs(plan, *kind, servers.get(&place).copied(), around);
                let differs = differs.map_or_else(
                    || if around.rules { rules_differ(comparison, plan, *kind, place) } else { Ok(None) },
                    |differs| Ok(Some(differs)),
                );
                match differs {
                    Ok(None) => {}
                    Ok(Some((sort, expected, found))) => {
                        comparison.report(sort, plan, place, expected, found);
                        if let Some(entry) = comparison.outcome.last(sort) {
                            entry.rule = servers.get(&place).map(|server| format!("virtual server {}", server.address));
                        }
                        break;
                    }
                    Err(not_known) => whole = Err(not_known),
                }
            }
            comparison.count(whole);
        }
    }
    orphans(comparison, &servers, around, &known);
    addresses(comparison, around, plans);
}

fn front(address: &VirtualAddress) -> Option<Front> {
    let VirtualAddress::Socket(protocol, endpoint) = address else { return None };
    let number = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    Some((Some(endpoint.address), number, endpoint.port))
}

/// The node's addresses that have virtual servers for node ports.
fn node_addresses(comparison: &Comparison<'_>) -> Vec<IpAddr> {
    let node = comparison.node;
    let open = node.node_port_addresses(comparison.family, false);
    let own = if node.links.is_empty() { &node.addresses } else { &node.links };
    let counts = |ip: &&IpAddr| {
        let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        Family::of(**ip) == comparison.family && !ip.is_loopback() && !link_local && open.contains(**ip)
    };
    let found: BTreeSet<IpAddr> = own.iter().filter(counts).copied().collect();
    found.into_iter().collect()
}

/// The endpoints behind a virtual server. Where a policy asks for the node's own and there is none, kube-proxy
/// takes all from outside, and none from inside.
fn endpoints<'p>(plan: &'p Plan<'_>, kind: Kind) -> &'p BTreeSet<Socket> {
    let local = if kind == Kind::Cluster { plan.wanted.internal_local } else { plan.wanted.external_local };
    if local && (!plan.local.is_empty() || plan.wanted.internal_local) { &plan.local } else { &plan.cluster }
}

/// Algorithms that take a server whatever its weight is, as long as it has one.
const UNWEIGHTED: [&str; 4] = ["rr", "lc", "sh", "dh"];

type Difference = (Sort, String, String);

fn server_differs(
    plan: &Plan<'_>,
    kind: Kind,
    server: Option<&VirtualServer>,
    around: &Around<'_>,
) -> Option<Difference> {
    let wanted = endpoints(plan, kind);
    let expected = || {
        let parts: Vec<String> =
            wanted.iter().map(|(ip, port)| std::net::SocketAddr::new(*ip, *port).to_string()).collect();
        if parts.is_empty() { "a virtual server without servers".to_owned() } else { parts.join(", ") }
    };
    let Some(server) = server else { return Some((Sort::Missing, expected(), "no virtual server".to_owned())) };
    // what takes no new connections is on its way out
    let weight = |weight: Option<u32>| weight.unwrap_or(1);
    let held: BTreeMap<Socket, u32> = server
        .servers
        .iter()
        .map(|real| ((real.endpoint.address, real.endpoint.port), weight(real.weight)))
        .filter(|(to, weight)| *weight > 0 || wanted.contains(to))
        .collect();
    let weights: BTreeSet<u32> = held.values().copied().collect();
    let same = held.len() == wanted.len() && held.keys().all(|to| wanted.contains(to));
    let even = weights.len() <= 1 || server.scheduler.as_deref().is_some_and(|name| UNWEIGHTED.contains(&name));
    if !same || !even || weights.contains(&0) {
        let parts: Vec<String> = held
            .iter()
            .map(|((ip, port), weight)| format!("{} weight {weight}", std::net::SocketAddr::new(*ip, *port)))
            .collect();
        let found = if parts.is_empty() { "a virtual server without servers".to_owned() } else { parts.join(", ") };
        return Some((Sort::Wrong, expected(), found));
    }
    let odd = server.servers.iter().find_map(|real| real.forward.filter(|forward| *forward != Forward::Masquerade));
    if let Some(forward) = odd {
        return Some((Sort::Wrong, "forwarded by masquerade".to_owned(), format!("forwarded by {forward}")));
    }
    let affinity = match (&server.persistence, plan.wanted.affinity) {
        (Some(Persistence::On { seconds: Some(is), .. }), Some(to_be)) if *is != to_be => {
            Some(format!("affinity {is}s"))
        }
        (Some(Persistence::On { seconds, .. }), None) => {
            Some(seconds.map_or("affinity".to_owned(), |is| format!("affinity {is}s")))
        }
        (Some(Persistence::Off), Some(_)) => Some("no affinity".to_owned()),
        _ => None,
    };
    if let Some(found) = affinity {
        let expected = plan.wanted.affinity.map_or("no affinity".to_owned(), |seconds| format!("affinity {seconds}s"));
        return Some((Sort::Wrong, expected, found));
    }
    match (around.scheduler, &server.scheduler) {
        (Some(to_be), Some(is)) if to_be != is => {
            Some((Sort::Wrong, format!("scheduler {to_be}"), format!("scheduler {is}")))
        }
        _ => None,
    }
}

/// Who is masqueraded and who may come, by the rules and sets around.
fn rules_differ(
    comparison: &mut Comparison<'_>,
    plan: &Plan<'_>,
    kind: Kind,
    place: Front,
) -> Result<Option<Difference>, NotKnown> {
    let (Some(address), protocol, port) = place else { return Ok(None) };
    let served = endpoints(plan, kind);
    let any = served.first().copied();
    for source in comparison.sources(Some((plan, kind)), place) {
        let found = comparison.fate(&source, address, true, protocol, port)?;
        let may = source.is_node() || kind != Kind::Balancer || comparison.may(plan, &source);
        let stopped = found.drop + found.reject;
        // without servers the kernel refuses it all the same
        if may && any.is_some() && stopped > 1e-6 && !source.is_node() {
            let expected = "let through".to_owned();
            return Ok(Some((Sort::Wrong, expected, format!("{}, {}", found.text(), source.text()))));
        }
        if !may && found.drop < 1.0 - 1e-6 {
            return Ok(Some((Sort::Wrong, "dropped".to_owned(), format!("let through, {}", source.text()))));
        }
        let (Some(to), true) = (any, may && comparison.masquerade_works()) else { continue };
        let Some(masquerade) = wants_masquerade(comparison, plan, kind, &source) else { continue };
        for (_, mark) in &found.marks {
            if source.address() != to.0 && comparison.masquerades(*mark, source.address(), to, protocol)? != masquerade
            {
                let text = |yes| if yes { "masqueraded" } else { "with the client's own address" };
                let found = format!("{}, {}", text(!masquerade), source.text());
                return Ok(Some((Sort::Wrong, text(masquerade).to_owned(), found)));
            }
        }
    }
    if comparison.masquerade_works() {
        for to in served {
            let wanted = plan.here.contains(to);
            if comparison.masquerades(0, to.0, *to, protocol)? != wanted {
                let text = |yes| if yes { "masqueraded" } else { "with its own address" };
                let expected = format!("{} calling itself {}", to.0, text(wanted));
                return Ok(Some((Sort::Wrong, expected, text(!wanted).to_owned())));
            }
        }
    }
    Ok(None)
}

fn wants_masquerade(
    comparison: &Comparison<'_>,
    plan: &Plan<'_>,
    kind: Kind,
    source: &super::compare::Source,
) -> Option<bool> {
    match kind {
        Kind::Cluster if comparison.masquerades_all => Some(true),
        // then what has a Service's address for its own source is masqueraded, and nothing else
        Kind::Cluster if !comparison.detector.is_known() => None,
        Kind::Cluster => Some(!comparison.is_pod(source)),
        _ => Some(!plan.wanted.external_local),
    }
}

/// Virtual servers and members of sets that no Service has.
fn orphans(
    comparison: &mut Comparison<'_>,
    servers: &HashMap<Front, &VirtualServer>,
    around: &Around<'_>,
    known: &HashSet<Front>,
) {
    let excluded = |ip: IpAddr| around.excluded.iter().any(|range| range.contains_ip(ip));
    let node_port = |(address, protocol, port): &Front| {
        // on which addresses node ports are is not known without the node's links
        comparison.node.links.is_empty()
            && known.contains(&(None, *protocol, *port))
            && address.is_some_and(|ip| !around.dummy.is_some_and(|dummy| dummy.contains(&ip)))
    };
    let mut stale: BTreeMap<Front, String> = BTreeMap::new();
    for (place, server) in servers {
        let of_others = place.0.is_some_and(excluded);
        if !known.contains(place) && !of_others && !node_port(place) {
            stale.insert(*place, format!("virtual server {}", server.address));
        }
    }
    for (place, text) in members(around.sets, comparison.family) {
        if !known.contains(&place) && !stale.contains_key(&place) {
            stale.insert(place, text);
        }
    }
    for (place, text) in stale {
        let found = servers.get(&place).map(|server| format!("a virtual server with {} servers", server.servers.len()));
        comparison.stale(place, None, found.unwrap_or_else(|| "in a set of kube-proxy".to_owned()), text);
    }
}

/// The sets whose members are Services' addresses and ports, without the beginning of IPv6's names.
const SERVED: [&str; 7] = [
    "CLUSTER-IP",
    "EXTERNAL-IP",
    "EXTERNAL-IP-LOCAL",
    "LOAD-BALANCER",
    "LOAD-BALANCER-LOCAL",
    "LOAD-BALANCER-FW",
    "NODE-PORT-SCTP-HASH",
];
/// Those of node ports, and the protocol of each.
const NODE_PORTS: [(&str, u8); 4] =
    [("NODE-PORT-TCP", 6), ("NODE-PORT-LOCAL-TCP", 6), ("NODE-PORT-UDP", 17), ("NODE-PORT-LOCAL-UDP", 17)];

/// Every address and port that a set of kube-proxy has.
fn members(sets: Option<&IpSets<'_>>, family: Family) -> Vec<(Front, String)> {
    let mut found = Vec::new();
    for set in sets.iter().flat_map(|sets| &sets.sets) {
        let Some(rest) = set.name.strip_prefix("KUBE-") else { continue };
        let name = match (rest.strip_prefix("6-"), family) {
            (Some(name), Family::V6) => name,
            (None, Family::V4) => rest,
            _ => continue,
        };
        let port_of = NODE_PORTS.iter().find(|(known, _)| *known == name).map(|(_, protocol)| *protocol);
        if port_of.is_none() && !SERVED.contains(&name) {
            continue;
        }
        for member in set.members().into_iter().flatten() {
            let place = place(&member.element, port_of);
            found.extend(place.map(|place| (place, format!("ipset {}: {}", set.name, text(place)))));
        }
    }
    found
}

fn place(element: &Element<'_>, port_of: Option<u8>) -> Option<Front> {
    let (mut address, mut protocol, mut port) = (None, port_of, None);
    for part in element.parts() {
        match part {
            Part::Ip(ip) => address = Some(*ip),
            Part::Port(is) if is.first == is.last => {
                port = Some(is.first);
                protocol = protocol.or(Some(is.protocol.map_or(Some(6), |p: PortProtocol<'_>| p.number)?));
            }
            _ => return None,
        }
    }
    Some((address, protocol?, port?))
}

fn text((address, protocol, port): Front) -> String {
    let protocol = protocol_name(protocol);
    address.map_or_else(|| port.to_string(), |ip| format!("{ip},{}:{port}", protocol.to_lowercase()))
}

/// Services' addresses are on the link `kube-ipvs0`, and refuse what is for no port of theirs.
fn addresses(comparison: &mut Comparison<'_>, around: &Around<'_>, plans: &[Plan<'_>]) {
    let mut wanted: BTreeMap<IpAddr, &Plan<'_>> = BTreeMap::new();
    for plan in plans {
        for ip in plan.fronts.iter().filter_map(|(_, address, _)| *address) {
            wanted.entry(ip).or_insert(plan);
        }
    }
    let own = |ip: &IpAddr| comparison.node.links.contains(ip);
    let mut absent: Vec<IpAddr> = Vec::new();
    if let Some(dummy) = around.dummy {
        let dummy: BTreeSet<IpAddr> =
            dummy.iter().filter(|ip| Family::of(**ip) == comparison.family).copied().collect();
        absent.extend(wanted.keys().filter(|ip| !dummy.contains(ip) && !own(ip)));
        let link_local = |ip: &&IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let extra: Vec<IpAddr> =
            dummy.iter().filter(|ip| !wanted.contains_key(ip) && !link_local(ip)).copied().collect();
        for ip in extra {
            comparison.outside(false, ip, None, "an address of kube-ipvs0");
        }
    }
    for ip in absent {
        comparison.outside(true, ip, wanted.get(&ip).copied(), "an address of kube-ipvs0");
    }
    if !around.rules || !comparison.kernel.refuses_other_ports() {
        return;
    }
    for (ip, plan) in wanted {
        let used = plans.iter().any(|plan| {
            plan.port.protocol == 6 && plan.fronts.iter().any(|(_, at, port)| *at == Some(ip) && *port == UNUSED)
        });
        let stranger = comparison.stranger();
        if !used
            && let Ok(found) = comparison.fate(&stranger, ip, true, 6, UNUSED)
            && found.reject < 1.0 - 1e-6
        {
            comparison.outside(true, ip, Some(plan), "refuses ports that no Service has");
        }
    }
}
