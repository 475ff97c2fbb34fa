//! Which ranges to use next: free of everything that anything known uses, and, as far as there is
//! room, of what is likely to be used elsewhere.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use serde::Serialize;

use super::{Facts, Role, defaults};
use crate::{
    cidr::{Cidr, Family, IpRange, PrefixIndex, RangeSet, best_free},
    finding::Severity,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The prefix length.
    pub prefix_len: u8,
    /// How many prefixes.
    pub count: usize,
    /// Where to look, in this order; empty for the private blocks of RFC 1918, or, for lengths that
    /// only IPv6 has, the cluster's own ULA prefixes.
    pub within: Vec<Cidr>,
}

/// `kind: FreeRangeList`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FreeRangeList {
    /// The free ranges, the best first.
    pub items: Vec<FreeRange>,
}

/// A free range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FreeRange {
    /// The prefix.
    pub cidr: Cidr,
    /// Who may come to use it although nobody in the cluster does: `default of Docker (172.18.0.0/16)`;
    /// null for nobody.
    pub note: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreeError {
    /// No place to look in holds a prefix of that length.
    #[error("a /{prefix_len} does not fit into {}", list(within))]
    DoesNotFit {
        /// The length.
        prefix_len: u8,
        /// Where it was to fit.
        within: Vec<Cidr>,
    },
    /// The length is one of IPv6, and the cluster has no ULA prefix of its own.
    #[error("no unique local IPv6 prefix of the cluster is known; name one: --within fd12:3456:789a::/48")]
    NoUla,
    /// Fewer are free than are wanted.
    #[error(
        "{} free within {}, {wanted} wanted; {}",
        how_many(*found, *prefix_len),
        list(within),
        largest.map_or_else(|| "every address is in use".to_owned(), |cidr| format!("the largest free prefix is {cidr}"))
    )]
    NotEnough {
        /// How many were wanted.
        wanted: usize,
        /// The length.
        prefix_len: u8,
        /// How many are free.
        found: usize,
        /// Where.
        within: Vec<Cidr>,
        /// The largest free prefix.
        largest: Option<Cidr>,
    },
}

fn how_many(found: usize, prefix_len: u8) -> String {
    match found {
        0 => format!("no /{prefix_len} is"),
        1 => format!("only one /{prefix_len} is"),
        _ => format!("only {found} of /{prefix_len} are"),
    }
}

fn list(cidrs: &[Cidr]) -> String {
    cidrs.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", ")
}

/// As many free ranges as are wanted: disjoint, each out of the smallest gap that holds it. Those
/// that nobody is likely to use come first, and the others say who might.
pub fn free(facts: &Facts, wanted: &Wanted) -> Result<FreeRangeList, FreeError> {
    let Wanted { prefix_len, count, .. } = *wanted;
    let places = places(facts, wanted)?;
    let mut used = in_use(facts);
    let likely: PrefixIndex<Likely> = likely(facts).into_iter().collect();
    let avoided = used.union(&likely.iter().map(|(cidr, _)| cidr).collect());

    let mut found = take(&places, &avoided, prefix_len, count);
    if found.len() < count {
        used.extend(found.iter().copied());
        found.extend(take(&places, &used, prefix_len, count - found.len()));
    }
    if found.len() < count {
        let used = in_use(facts);
        let free = places.iter().flat_map(|place| used.complement(place).prefixes().collect::<Vec<_>>());
        return Err(FreeError::NotEnough {
            wanted: count,
            prefix_len,
            found: found.len(),
            largest: free.min_by_key(|cidr| (cidr.prefix_len(), *cidr)),
            within: places,
        });
    }
    let items = found.into_iter().map(|cidr| FreeRange { cidr, note: note(&likely, cidr) }).collect();
    Ok(FreeRangeList { items })
}

fn take(places: &[Cidr], used: &RangeSet, prefix_len: u8, count: usize) -> Vec<Cidr> {
    let mut found: Vec<Cidr> = Vec::new();
    // places that the user named may nest
    let mut used = used.clone();
    for place in places {
        let more = best_free(place, &used, prefix_len, count - found.len());
        used.extend(more.iter().copied());
        found.extend(more);
    }
    found
}

/// The prefixes to look in.
fn places(facts: &Facts, wanted: &Wanted) -> Result<Vec<Cidr>, FreeError> {
    let prefix_len = wanted.prefix_len;
    let mut within = wanted.within.clone();
    if within.is_empty() && prefix_len <= Family::V4.bits() {
        within =
            ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].iter().filter_map(|text| text.parse().ok()).collect();
    } else if within.is_empty() {
        within = own_ula(facts);
        if within.is_empty() {
            return Err(FreeError::NoUla);
        }
    }
    let fits = |place: &&Cidr| place.prefix_len() <= prefix_len && prefix_len <= place.family().bits();
    let places: Vec<Cidr> = within.iter().filter(fits).copied().collect();
    if places.is_empty() { Err(FreeError::DoesNotFit { prefix_len, within }) } else { Ok(places) }
}

/// The /48s of unique local addresses that the cluster's own ranges lie in, by role and address.
fn own_ula(facts: &Facts) -> Vec<Cidr> {
    let mut own: Vec<(Role, Cidr)> = facts
        .ranges
        .iter()
        .filter(|fact| fact.role != Role::External && fact.cidr.prefix_len() >= 48 && is_ula(fact.cidr.first()))
        .filter_map(|fact| Some((fact.role, Cidr::covering(fact.cidr.first(), 48)?)))
        .collect();
    own.sort_unstable();
    let mut ulas: Vec<Cidr> = Vec::new();
    for (_, ula) in own {
        if !ulas.contains(&ula) {
            ulas.push(ula);
        }
    }
    ulas
}

fn is_ula(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unique_local())
}

/// Every address that anything known uses, or that can't be used at all.
pub fn in_use(facts: &Facts) -> RangeSet {
    let stated = facts.ranges.iter().flat_map(|fact| [fact.range, fact.cidr.into()]);
    let shares = facts.nodes.values().flat_map(|node| &node.pod_cidrs).map(|cidr| IpRange::from(*cidr));
    let internal = facts.known.internal_networks.iter().map(|network| IpRange::from(network.cidr));
    let unusable = defaults::reserved().filter(|r| r.severity == Severity::Error).map(|r| IpRange::from(r.cidr));
    let pods = facts.pods.addresses.iter().map(|address| address.ip);
    let services = facts
        .services
        .iter()
        .flat_map(|s| s.cluster_ips.iter().chain(&s.external_ips).chain(&s.load_balancer_ips))
        .copied();
    let nodes = facts.nodes.values().flat_map(|node| &node.addresses).copied();
    let allocated = facts.cluster_ips.iter().map(|allocated| allocated.ip);
    let infrastructure = facts.infrastructure.iter().map(|(ip, _)| *ip);
    let single = pods.chain(services).chain(nodes).chain(allocated).chain(infrastructure).map(IpRange::from);
    let known: RangeSet = stated.chain(shares).chain(internal).chain(unusable).chain(single).collect();
    // thousands of nodes have a route to each of the others: only what is new is kept
    let new: BTreeSet<Cidr> = on_nodes(facts).filter(|cidr| !known.contains(cidr)).collect();
    known.union(&new.into_iter().collect())
}

/// Networks that a node itself is part of (`docker0`, a VPN's interface), and what it drops.
fn on_nodes(facts: &Facts) -> impl Iterator<Item = Cidr> {
    facts.known.networks.values().flat_map(|network| {
        let interfaces = network.interfaces.iter().flat_map(|interface| &interface.addresses).map(|a| a.network);
        let direct = network.routes.iter().filter(|route| route.via().is_none()).map(|route| route.destination);
        // a default route is the way to everything, not a network
        interfaces.chain(direct).filter(|cidr| is_network(*cidr))
    })
}

/// Networks that nodes reach through a neighbour.
fn routed(facts: &Facts) -> BTreeSet<Cidr> {
    let routes = facts.known.networks.values().flat_map(|network| &network.routes);
    routes
        .filter(|route| route.via().is_some())
        .map(|route| route.destination)
        .filter(|cidr| is_network(*cidr))
        .collect()
}

/// Not a default route, nor one of the halves that VPNs put in its place.
fn is_network(cidr: Cidr) -> bool {
    cidr.prefix_len() > 1
}

/// Why a range is better left alone although nothing known uses it.
#[derive(Clone, Copy)]
enum Likely {
    Reserved(&'static str),
    Default(&'static str),
    Routed,
    AroundNode,
    AroundLowerBound,
}

impl fmt::Display for Likely {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved(purpose) => write!(f, "set aside for {purpose}"),
            Self::Default(whose) => write!(f, "default of {whose}"),
            Self::Routed => f.write_str("nodes have a route there"),
            Self::AroundNode => f.write_str("perhaps the network of a node"),
            Self::AroundLowerBound => f.write_str("perhaps part of a range of which only addresses in use are known"),
        }
    }
}

/// What is likely to be used: by whom else's default, or because a range may be larger than what is
/// known of it.
fn likely(facts: &Facts) -> Vec<(Cidr, Likely)> {
    let reserved = defaults::reserved().map(|r| (r.cidr, Likely::Reserved(r.purpose)));
    // Cilium's default is all of 10.0.0.0/8: to avoid it is to avoid nearly all there is
    let defaults = defaults::defaults()
        .filter(|default| default.cidr.family() == Family::V6 || default.cidr.prefix_len() >= 11)
        .map(|default| (default.cidr, Likely::Default(default.whose)));
    let around = |ip: IpAddr, v4: u8, v6: u8| match Family::of(ip) {
        Family::V4 => Cidr::covering(ip, v4),
        Family::V6 => Cidr::covering(ip, v6),
    };
    let nodes = facts
        .nodes
        .values()
        .flat_map(|node| &node.addresses)
        .filter_map(|ip| Some((around(*ip, 24, 64)?, Likely::AroundNode)));
    let bounds = facts
        .ranges
        .iter()
        .filter(|fact| fact.lower_bound)
        .filter_map(|fact| Some((around(fact.cidr.first(), 16, 56)?, Likely::AroundLowerBound)));
    let routed = routed(facts).into_iter().map(|cidr| (cidr, Likely::Routed));
    reserved.chain(defaults).chain(routed).chain(nodes).chain(bounds).collect()
}

/// Who may come to use a range.
fn note(likely: &PrefixIndex<Likely>, cidr: Cidr) -> Option<String> {
    let (other, reasons) = likely.containing(cidr).next().or_else(|| likely.inside(cidr).next())?;
    reasons.first().map(|why| format!("{why} ({other})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ranges::{
            ClusterIp, Confidence, NodeFacts, Origin, PodAddress, ServiceFacts, StringId, Strings, sources::NodeNetwork,
        },
        route::{NextHop, Route, RouteKind},
    };

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn with(ranges: &[(Role, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (role, text) in ranges {
            facts.add_ranges(*role, text, &Origin::new("test", Confidence::B, "configmap a/b", "field"));
        }
        facts
    }

    fn wanted(prefix_len: u8, count: usize, within: &[&str]) -> Wanted {
        Wanted { prefix_len, count, within: within.iter().map(|text| cidr(text)).collect() }
    }

    fn found(facts: &Facts, wanted: &Wanted) -> Vec<String> {
        free(facts, wanted).unwrap().items.into_iter().map(|item| item.cidr.to_string()).collect()
    }

    fn notes(facts: &Facts, wanted: &Wanted) -> Vec<(String, String)> {
        let items = free(facts, wanted).unwrap().items;
        items.into_iter().map(|item| (item.cidr.to_string(), item.note.unwrap_or_default())).collect()
    }

    fn some_string() -> StringId {
        Strings::default().push("default/a")
    }

    #[test]
    fn nothing_that_anything_uses_is_given() {
        let mut facts = with(&[
            (Role::Pod, "10.9.0.0/26"),
            (Role::External, "10.9.0.64/27"),
            (Role::Loadbalancer, "10.9.0.97-10.9.0.98"),
        ]);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        facts.pods.addresses.push(PodAddress { ip: ip("10.9.0.112"), pod: some_string(), node: 0 });
        facts.cluster_ips.push(ClusterIp { ip: ip("10.9.0.129"), parent: String::new() });
        facts.services.push(ServiceFacts {
            cluster_ips: vec![ip("10.9.0.144")],
            external_ips: vec![ip("10.9.0.160")],
            load_balancer_ips: vec![ip("10.9.0.176")],
            ..ServiceFacts::default()
        });
        let node = NodeFacts {
            addresses: vec![ip("10.9.0.192")],
            pod_cidrs: vec![cidr("10.9.0.208/29")],
            ..NodeFacts::default()
        };
        facts.nodes.insert("a".to_owned(), node);
        let owner =
            crate::ranges::IpOwner { kind: "Tunnel".to_owned(), namespace: None, name: "a".to_owned(), node: None };
        facts.infrastructure.push((ip("10.9.0.224"), owner));
        // of the sixteen /28 of the block, each of the others has one user of another kind
        assert_eq!(found(&facts, &wanted(28, 1, &["10.9.0.0/24"])), ["10.9.0.240/28"]);
        let error = free(&facts, &wanted(28, 2, &["10.9.0.0/24"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "only one /28 is free within 10.9.0.0/24, 2 wanted; the largest free prefix is 10.9.0.240/28"
        );
    }

    #[test]
    fn defaults_of_others_are_avoided_while_there_is_room() {
        let facts = with(&[(Role::Pod, "10.244.0.0/16"), (Role::Service, "10.96.0.0/12")]);
        for cidr in found(&facts, &wanted(16, 100, &[])) {
            let cidr: Cidr = cidr.parse().unwrap();
            let clash = defaults::defaults().find(|d| d.cidr.prefix_len() > 8 && d.cidr.overlaps(&cidr));
            assert_eq!(clash, None, "{cidr}");
        }
        let asked = wanted(16, 2, &["172.16.0.0/15"]);
        assert_eq!(
            notes(&facts, &asked),
            [
                ("172.16.0.0/16".to_owned(), "default of Calico on EKS (172.16.0.0/16)".to_owned()),
                ("172.17.0.0/16".to_owned(), "default of Docker (172.17.0.0/16)".to_owned())
            ]
        );
        assert_eq!(notes(&facts, &wanted(15, 1, &["172.16.0.0/15"]))[0].1, "default of Calico on EKS (172.16.0.0/16)");
    }

    #[test]
    fn what_lies_about_a_node_or_an_address_in_use_is_avoided() {
        let mut facts = with(&[(Role::Service, "10.7.0.8/29")]);
        facts.ranges[0].lower_bound = true;
        let node = NodeFacts { addresses: vec!["10.8.0.5".parse().unwrap()], ..NodeFacts::default() };
        facts.nodes.insert("a".to_owned(), node);
        assert_eq!(found(&facts, &wanted(24, 1, &["10.7.0.0/16", "10.8.0.0/23"])), ["10.8.1.0/24"]);
        let all = notes(&facts, &wanted(25, 3, &["10.8.0.0/23"]));
        assert_eq!(all[2], ("10.8.0.128/25".to_owned(), "perhaps the network of a node (10.8.0.0/24)".to_owned()));
        assert_eq!(
            notes(&facts, &wanted(24, 1, &["10.7.0.0/16"]))[0].1,
            "perhaps part of a range of which only addresses in use are known (10.7.0.0/16)"
        );
    }

    #[test]
    fn what_nodes_route_is_avoided_and_their_own_networks_are_never_given() {
        let route = |destination: &str, via: Option<&str>| Route {
            destination: cidr(destination),
            kind: RouteKind::Unicast,
            next_hops: vec![NextHop { via: via.map(|ip| ip.parse().unwrap()), ..NextHop::default() }],
            protocol: String::new(),
            scope: String::new(),
            table: "main".to_owned(),
            source: None,
            metric: None,
            flags: Vec::new(),
            attributes: Vec::new(),
            line: 1,
        };
        let routes = vec![
            route("0.0.0.0/0", Some("10.9.0.1")),
            route("10.9.0.0/24", None),
            route("10.9.1.0/24", Some("10.9.0.9")),
        ];
        let mut facts = Facts::default();
        facts.known.networks.insert("a".to_owned(), NodeNetwork { routes, ..NodeNetwork::default() });
        assert_eq!(
            notes(&facts, &wanted(24, 3, &["10.9.0.0/22"])),
            [
                ("10.9.2.0/24".to_owned(), String::new()),
                ("10.9.3.0/24".to_owned(), String::new()),
                ("10.9.1.0/24".to_owned(), "nodes have a route there (10.9.1.0/24)".to_owned())
            ]
        );
        assert!(free(&facts, &wanted(24, 4, &["10.9.0.0/22"])).is_err());
    }

    #[test]
    fn the_private_blocks_are_tried_in_order() {
        let facts = with(&[(Role::Pod, "10.0.0.0/8")]);
        assert_eq!(notes(&facts, &wanted(16, 1, &[]))[0].0, "172.16.0.0/16");
        let facts = with(&[(Role::Pod, "10.0.0.0/8,172.16.0.0/12")]);
        assert_eq!(
            notes(&facts, &wanted(17, 1, &[]))[0],
            ("192.168.0.0/17".to_owned(), "default of Calico (192.168.0.0/16)".to_owned())
        );
        let facts = with(&[(Role::Pod, "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16")]);
        assert_eq!(
            free(&facts, &wanted(16, 1, &[])).unwrap_err().to_string(),
            "no /16 is free within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 1 wanted; every address is in use"
        );
    }

    #[test]
    fn ipv6_comes_out_of_the_clusters_own_ula() {
        let facts = with(&[
            (Role::Service, "fd00:10:96::/112"),
            (Role::Pod, "fd00:10:244::/56"),
            (Role::External, "fd01::/64"),
        ]);
        // the pods' /48 comes first; kind's default /56 there is in use
        assert_eq!(found(&facts, &wanted(56, 1, &[])), ["fd00:10:244:100::/56"]);
        assert_eq!(free(&Facts::default(), &wanted(64, 1, &[])).unwrap_err(), FreeError::NoUla);
        assert_eq!(free(&with(&[(Role::Pod, "2a00::/64")]), &wanted(64, 1, &[])).unwrap_err(), FreeError::NoUla);
        assert_eq!(
            free(&facts, &wanted(40, 1, &[])).unwrap_err().to_string(),
            "a /40 does not fit into fd00:10:244::/48, fd00:10:96::/48"
        );
        assert_eq!(found(&facts, &wanted(64, 1, &["10.0.0.0/8", "fd00:9::/32"])), ["fd00:9::/64"]);
    }

    #[test]
    fn reserved_ranges_are_given_only_where_they_merely_surprise() {
        let none = Facts::default();
        assert!(free(&none, &wanted(24, 1, &["169.254.0.0/16"])).is_err());
        assert!(free(&none, &wanted(64, 1, &["fe80::/10"])).is_err());
        let shared = notes(&none, &wanted(24, 1, &["100.64.0.0/16"]));
        assert!(shared[0].1.starts_with("set aside for shared address space"), "{shared:?}");
    }

    #[test]
    fn places_that_nest_give_each_range_once() {
        let all = found(&Facts::default(), &wanted(26, 4, &["10.9.0.0/25", "10.9.0.0/24"]));
        assert_eq!(all, ["10.9.0.0/26", "10.9.0.64/26", "10.9.0.128/26", "10.9.0.192/26"]);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        assert_eq!(
            free(&Facts::default(), &wanted(8, 1, &["10.9.0.0/16"])).unwrap_err().to_string(),
            "a /8 does not fit into 10.9.0.0/16"
        );
        assert!(free(&Facts::default(), &wanted(40, 1, &["10.9.0.0/16"])).is_err());
    }
}
