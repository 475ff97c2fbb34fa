//! Routes and addresses of nodes: the node network with its mask, and the ways to other nodes' pods.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cidr::Cidr,
    finding::Unreadable,
    probe::Probe,
    problem::Problem,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
    route::{Interface, NextHop, Route, RouteKind, parse_addresses, parse_routes},
};

/// What a node's own network looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeNetwork {
    /// Routes of all tables, each once, with the file that holds them.
    pub routes: Vec<Route>,
    /// Whether some of the routes could not be read.
    pub in_part: bool,
    /// The first file with routes.
    pub routes_file: String,
    /// Interfaces.
    pub interfaces: Vec<Interface>,
    /// The first file with interfaces.
    pub addresses_file: String,
}

/// `ip route` and `ip addr` of nodes.
pub(super) struct Routes;

const NAME: &str = "node-network";

impl Source for Routes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::Node(Probe::Routes), Want::Node(Probe::Addresses)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Probe(node, Probe::Routes, text, file) => {
                let (routes, errors) = parse_routes(text);
                let in_part = !errors.is_empty();
                complain(node, file, errors, facts);
                let known = network(node, facts);
                known.in_part |= in_part;
                if known.routes_file.is_empty() {
                    file.clone_into(&mut known.routes_file);
                }
                // two views of one state do not add up
                let mut seen: BTreeSet<Key> = known.routes.iter().map(key).collect();
                known.routes.extend(routes.into_iter().filter(|route| seen.insert(key(route))));
            }
            Given::Probe(node, Probe::Addresses, text, file) => {
                let (interfaces, errors) = parse_addresses(text);
                complain(node, file, errors, facts);
                let known = network(node, facts);
                if known.interfaces.is_empty() {
                    known.interfaces = interfaces;
                    file.clone_into(&mut known.addresses_file);
                }
            }
            _ => {}
        }
    }

    fn finish(&self, facts: &mut Facts) {
        for (cidr, (origin, nodes)) in node_networks(facts) {
            let field =
                if nodes > 1 { format!("{}, and {} more nodes", origin.field, nodes - 1) } else { origin.field };
            let origin = Origin::new(NAME, Confidence::A, origin.object, field);
            facts.add_ranges(Role::Node, &cidr.to_string(), &origin);
        }
    }
}

fn network<'a>(node: Option<&str>, facts: &'a mut Facts) -> &'a mut NodeNetwork {
    facts.known.networks.entry(node.unwrap_or(super::UNNAMED).to_owned()).or_default()
}

/// What makes two printed routes the same one.
type Key = (Cidr, RouteKind, String, Vec<NextHop>, u32);

fn key(route: &Route) -> Key {
    let Route { destination, kind, table, next_hops, metric, .. } = route;
    (*destination, kind.clone(), table.clone(), next_hops.clone(), metric.unwrap_or(0))
}

fn complain(node: Option<&str>, file: &str, errors: Vec<Problem>, facts: &mut Facts) {
    facts.unreadable.extend(Unreadable::lines(file, node, errors));
}

/// The networks that nodes' own internal addresses lie in. A cloud's /32 says nothing about the
/// network.
fn node_networks(facts: &Facts) -> BTreeMap<Cidr, (Origin, usize)> {
    let mut found: BTreeMap<Cidr, (Origin, usize)> = BTreeMap::new();
    for (name, network) in &facts.known.networks {
        let Some(node) = facts.nodes.get(name) else { continue };
        let own = |ip: &std::net::IpAddr| node.internal.contains(ip);
        let addresses = network.interfaces.iter().flat_map(|i| i.addresses.iter().map(move |a| (i, a)));
        let from_addresses = addresses.filter(|(_, a)| own(&a.ip)).map(|(interface, address)| {
            (address.network, network.addresses_file.clone(), format!("{} of {}", address.ip, interface.name))
        });
        let links = network.routes.iter().filter(|r| r.protocol == "kernel" && r.table == "main" && r.via().is_none());
        let from_routes = links.filter(|r| r.source.as_ref().is_some_and(own)).map(|route| {
            let file = network.routes_file.clone();
            (route.destination, file, format!("route of {}", route.dev().unwrap_or("?")))
        });
        let mut of_node: BTreeMap<Cidr, Origin> = BTreeMap::new();
        for (cidr, file, field) in from_addresses.chain(from_routes).filter(|(cidr, ..)| cidr.host_bits() > 0) {
            of_node.entry(cidr).or_insert_with(|| Origin::new(NAME, Confidence::A, file, field));
        }
        for (cidr, origin) in of_node {
            found.entry(cidr).or_insert((origin, 0)).1 += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::NodeFacts;

    #[test]
    fn the_node_network_has_the_mask_of_its_interface() {
        let mut facts = Facts::default();
        for (name, ip) in [("n1", "172.31.77.2"), ("n2", "172.31.77.3")] {
            let ip: std::net::IpAddr = ip.parse().unwrap();
            let node = NodeFacts { name: name.to_owned(), internal: vec![ip], ..NodeFacts::default() };
            facts.nodes.insert(name.to_owned(), node);
            let text = format!(
                r#"[{{"ifname":"eth0","addr_info":[{{"local":"{ip}","prefixlen":24,"scope":"global"}}]}},
                    {{"ifname":"cni0","addr_info":[{{"local":"10.244.0.1","prefixlen":24}}]}}]"#
            );
            Routes.take(Given::Probe(Some(name), Probe::Addresses, &text, "nodes/x/ip-addr.json"), &mut facts);
        }
        Routes.finish(&mut facts);
        assert_eq!(facts.ranges.len(), 1);
        assert_eq!((facts.ranges[0].role, facts.ranges[0].text.as_str()), (Role::Node, "172.31.77.0/24"));
        assert!(facts.ranges[0].origin.field.ends_with("and 1 more nodes"));
    }

    #[test]
    fn a_text_and_a_json_view_of_one_node_are_one() {
        let mut facts = Facts::default();
        let text = "10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n";
        let json = r#"[{"dst":"10.244.1.0/24","gateway":"10.244.1.0","dev":"flannel.1","flags":["onlink"]}]"#;
        for view in [text, json] {
            Routes.take(Given::Probe(None, Probe::Routes, view, "ip-route"), &mut facts);
        }
        assert_eq!(facts.known.networks["-"].routes.len(), 1);
    }

    #[test]
    fn rubbish_names_file_and_line() {
        let mut facts = Facts::default();
        Routes.take(Given::Probe(Some("n1"), Probe::Routes, "10.0.0.0/8 dev x\n10.0.0.0/99 dev x\n", "f"), &mut facts);
        assert_eq!(facts.unreadable[0].node.as_deref(), Some("n1"));
        let said = &facts.unreadable[0].reason;
        assert!(said.starts_with("line 2, column 1: ") && said.ends_with(": `10.0.0.0/99`"), "{said}");
    }
}
