//! What a node's kernel shows of ranges that nobody states: the addresses of virtual servers and of
//! kube-proxy's rules are in use as Services' own, routes lead to pods. Lower bounds, no more.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    cidr::{Cidr, Family, smallest_cover},
    cluster::resources,
    finding::Unreadable,
    iptables, ipvs,
    kubeproxy::served,
    nft,
    probe::Probe,
    ranges::{Facts, Given, Role, Source, Want},
    route::{Route, RouteKind},
};

/// The addresses that nodes' kernels translate for Services, and where they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelServices {
    /// Addresses of IPVS virtual servers, with their ports.
    virtual_servers: BTreeMap<IpAddr, BTreeSet<u16>>,
    /// How many virtual servers the largest of the tables has.
    count: usize,
    /// The file with most of them.
    file: String,
    /// The ClusterIPs in kube-proxy's rules, of iptables or nftables.
    rules: BTreeSet<IpAddr>,
    /// The first file with rules.
    rules_file: String,
}

/// IPVS tables and kube-proxy's rules of iptables and nftables, read only where nothing else tells the service range.
pub(super) struct Kernel;

const NAME: &str = "node-kernel";
/// Where kube-proxy takes node ports from, unless it is told otherwise.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;
/// ClusterIPs of one range share at least so many bits: Kubernetes takes no wider one. External
/// addresses of Services, which are virtual servers too, mostly do not.
const SHARED: [(Family, u8); 2] = [(Family::V4, 12), (Family::V6, 64)];
const RULES: [Probe; 4] =
    [Probe::IptablesSave, Probe::Ip6tablesSave, Probe::IptablesLegacySave, Probe::Ip6tablesLegacySave];

impl Source for Kernel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        // asked when the Services were: a node's tables are long, and what is stated needs no guess
        let asked = facts.list_status(&resources::SERVICES).is_some();
        let stated = facts.ranges.iter().any(|fact| fact.role == Role::Service && fact.share_of.is_none());
        if !asked || stated || !facts.services.is_empty() {
            return Vec::new();
        }
        [Probe::IpvsTable, Probe::NftRuleset].into_iter().chain(RULES).map(Want::Node).collect()
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Probe(node, Probe::IpvsTable, text, file) => take_servers(node, text, file, facts),
            // the text without -j has no more than names
            Given::Probe(node, Probe::NftRuleset, text, file) if nft::is_json(text) => {
                let rules = nft::parse(text.as_bytes());
                keep(served::in_tables(&rules), file, facts);
                facts.unreadable.extend(Unreadable::lines(file, node, rules.problems.into_vec()));
            }
            Given::Probe(node, probe, text, file) if RULES.contains(&probe) => {
                let rules = iptables::Ruleset::parse(text);
                keep(served::in_rules(&rules), file, facts);
                facts.unreadable.extend(Unreadable::lines(file, node, rules.problems().to_vec()));
            }
            _ => {}
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}

fn take_servers(node: Option<&str>, text: &str, file: &str, facts: &mut Facts) {
    let (table, problems) = ipvs::parse(text);
    facts.unreadable.extend(Unreadable::lines(file, node, problems));
    let known = &mut facts.known.kernel_services;
    if table.services.len() > known.count {
        known.count = table.services.len();
        file.clone_into(&mut known.file);
    }
    for (address, ports) in served::in_virtual_servers(&table) {
        known.virtual_servers.entry(address).or_default().extend(ports);
    }
}

/// Keeps ClusterIPs of kube-proxy's rules, of whichever kind.
fn keep(addresses: BTreeSet<IpAddr>, file: &str, facts: &mut Facts) {
    let known = &mut facts.known.kernel_services;
    if known.rules_file.is_empty() && !addresses.is_empty() {
        file.clone_into(&mut known.rules_file);
    }
    known.rules.extend(addresses);
}

/// A lower bound, the file that shows it, and what of the file.
pub(super) type Bound = (Cidr, String, String);

/// The least range that Services' addresses in the kernel lie in.
pub(super) fn service_bound(facts: &Facts, family: Family) -> Option<Bound> {
    let known = &facts.known.kernel_services;
    let of_family = |ip: &&IpAddr| Family::of(**ip) == family;
    if let Some(cidr) = smallest_cover(family, known.rules.iter().filter(of_family).copied()) {
        return Some((cidr, known.rules_file.clone(), "the ClusterIPs in kube-proxy's rules".to_owned()));
    }
    let own: BTreeSet<IpAddr> = node_addresses(facts).collect();
    let servers = known.virtual_servers.iter().filter(|(ip, ports)| {
        let node_port = ports.iter().all(|port| NODE_PORTS.contains(port));
        Family::of(**ip) == family && !node_port && !ip.is_loopback() && !own.contains(ip)
    });
    let shared = SHARED.iter().find(|(of, _)| *of == family).map_or(0, |(_, bits)| *bits);
    let mut groups: BTreeMap<Cidr, Vec<IpAddr>> = BTreeMap::new();
    for (ip, _) in servers {
        groups.entry(Cidr::covering(*ip, shared)?).or_default().push(*ip);
    }
    let most = groups.values().map(Vec::len).max().filter(|most| *most > 1)?;
    let mut largest = groups.into_values().filter(|group| group.len() == most);
    // two groups of one size: either may be the range
    let (Some(group), None) = (largest.next(), largest.next()) else { return None };
    let cidr = smallest_cover(family, group)?;
    Some((cidr, known.file.clone(), format!("the addresses of {} virtual servers", known.count)))
}

/// Nodes' own addresses: a virtual server there is a node port's. The addresses that IPVS itself
/// needs on a link are the Services'.
fn node_addresses(facts: &Facts) -> impl Iterator<Item = IpAddr> {
    let stated = facts.nodes.values().flat_map(|node| node.addresses.iter().copied());
    let links = facts.known.networks.values().flat_map(|network| &network.interfaces);
    let links = links.filter(|link| !matches!(link.name.as_str(), "kube-ipvs0" | "kube-dummy-if" | "nodelocaldns"));
    stated.chain(links.flat_map(|link| link.addresses.iter().map(|address| address.ip)))
}

/// The least range that the pods lie in to which nodes have routes.
pub(super) fn pod_bound(facts: &Facts, family: Family) -> Option<Bound> {
    let networks = facts.known.networks.values();
    let mut file = "";
    let mut ends = Vec::new();
    for network in networks {
        let routes: Vec<&Route> =
            network.routes.iter().filter(|route| route.family() == family && route.table == "main").collect();
        let blocks: BTreeSet<u8> =
            routes.iter().filter(|route| is_block(route)).map(|route| route.destination.prefix_len()).collect();
        for route in routes {
            if leads_to_pods(route, &blocks) {
                ends.extend([route.destination.first(), route.destination.last()]);
                if file.is_empty() {
                    file = &network.routes_file;
                }
            }
        }
    }
    let cidr = smallest_cover(family, ends.iter().copied())?;
    Some((cidr, file.to_owned(), format!("{} routes to pods", ends.len() / 2)))
}

/// Calico keeps the rest of each of its node's blocks out of the way.
fn is_block(route: &Route) -> bool {
    route.kind == RouteKind::Blackhole && matches!(route.protocol.as_str(), "bird" | "80")
}

fn leads_to_pods(route: &Route, blocks: &BTreeSet<u8>) -> bool {
    const LINKS: [&str; 9] = [
        "cni0",
        "cbr0",
        "vxlan.calico",
        "vxlan-v6.calico",
        "tunl0",
        "cilium_host",
        "antrea-gw0",
        "kube-bridge",
        "flannel-wg",
    ];
    let first = route.destination.first();
    let local = matches!(first, IpAddr::V6(ip) if ip.is_unicast_link_local()) || first.is_multicast();
    if route.destination.prefix_len() == 0 || local {
        return false;
    }
    if is_block(route) {
        return true;
    }
    let link = route.dev().unwrap_or_default();
    let named = LINKS.contains(&link) || link.starts_with("cali") || link.starts_with("flannel.");
    // a host may learn other routes by BGP too: those to blocks are as long as the own ones
    let learnt = matches!(route.protocol.as_str(), "bird" | "80") && blocks.contains(&route.destination.prefix_len());
    route.kind == RouteKind::Unicast && (named || learnt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::NodeFacts;

    const SEED: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/kubespray-calico-ipvs/ipvsadm-L-n.txt"));

    fn given(probe: Probe, text: &str) -> Facts {
        let mut facts = Facts::default();
        Kernel.take(Given::Probe(Some("n1"), probe, text, "nodes/n1/x"), &mut facts);
        facts
    }

    #[test]
    fn virtual_servers_show_a_service_range() {
        let facts = given(Probe::IpvsTable, SEED);
        assert!(facts.unreadable.is_empty());
        let (cidr, file, says) = service_bound(&facts, Family::V4).unwrap();
        assert_eq!(cidr.to_string(), "10.233.0.0/18");
        for ip in ["10.233.0.1", "10.233.58.127"] {
            assert!(cidr.contains_ip(ip.parse().unwrap()));
        }
        assert_eq!((file.as_str(), says.as_str()), ("nodes/n1/x", "the addresses of 19 virtual servers"));
        assert_eq!(service_bound(&facts, Family::V6), None);
    }

    #[test]
    fn node_ports_and_outside_addresses_are_no_clusterips() {
        let text = "-A -t 10.96.0.1:443 -s rr\n-A -u 10.96.200.10:53 -s rr\n-A -t 203.0.113.10:80 -s rr\n\
            -A -t 172.31.77.4:30080 -s rr\n-A -t 172.31.77.4:31999 -s rr\n-A -t 10.100.0.4:80 -s rr\n";
        let mut facts = given(Probe::IpvsTable, text);
        let node = NodeFacts { addresses: vec!["10.100.0.4".parse().unwrap()], ..NodeFacts::default() };
        facts.nodes.insert("n1".to_owned(), node);
        assert_eq!(service_bound(&facts, Family::V4).unwrap().0.to_string(), "10.96.0.0/16");
        let even = given(Probe::IpvsTable, "-A -t 10.96.0.1:443 -s rr\n-A -t 203.0.113.10:80 -s rr\n");
        assert_eq!(service_bound(&even, Family::V4), None, "either may be the range");
    }

    #[test]
    fn rules_of_kube_proxy_show_a_service_range() {
        let text = "*nat\n-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment \"default/kubernetes:https cluster IP\" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y\n\
            [0:0] -A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m udp --dport 53 -j KUBE-SVC-TCOU7JCQXEZGVUNU\n\
            -A KUBE-SERVICES -d 203.0.113.1/32 -p tcp -m comment --comment \"a/b external IP\" -j KUBE-SVC-X\n\
            -A KUBE-SERVICES -d 203.0.113.2/32 -p tcp -j KUBE-EXT-X\n-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n";
        let facts = given(Probe::IptablesSave, text);
        assert_eq!(service_bound(&facts, Family::V4).unwrap().0.to_string(), "10.96.0.0/28");
    }

    #[test]
    fn tables_of_kube_proxy_show_a_service_range() {
        let text = "{\"nftables\": [{\"table\": {\"family\": \"ip\", \"name\": \"kube-proxy\", \"handle\": 1}}, \
            {\"set\": {\"family\": \"ip\", \"name\": \"cluster-ips\", \"table\": \"kube-proxy\", \"type\": \"ipv4_addr\", \
            \"handle\": 3, \"elem\": [\"10.96.0.1\", \"10.96.0.10\", \"10.96.3.3\"]}}]}";
        let facts = given(Probe::NftRuleset, text);
        let (cidr, file, says) = service_bound(&facts, Family::V4).unwrap();
        assert_eq!((cidr.to_string().as_str(), file.as_str()), ("10.96.0.0/22", "nodes/n1/x"));
        assert_eq!(says, "the ClusterIPs in kube-proxy's rules");
    }

    #[test]
    fn routes_show_a_pod_range() {
        let bound = |text: &str| {
            let mut facts = Facts::default();
            let network = facts.known.networks.entry("n1".to_owned()).or_default();
            network.routes = crate::route::parse_routes(text).0;
            pod_bound(&facts, Family::V4).map(|(cidr, ..)| cidr.to_string())
        };
        let flannel = "default via 192.168.146.2 dev ens33\n10.244.0.0/24 dev cni0 proto kernel scope link\n\
            10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink\n172.17.0.0/16 dev docker0 scope link\n";
        assert_eq!(bound(flannel).as_deref(), Some("10.244.0.0/22"));
        let calico = "blackhole 192.168.1.0/26 proto 80\n192.168.1.1 dev cali0001abcde1 scope link\n\
            192.168.12.0/26 via 172.18.0.13 dev eth0 proto bird\n10.0.0.0/8 via 172.18.0.1 dev eth0 proto bird\n";
        assert_eq!(bound(calico).as_deref(), Some("192.168.0.0/20"));
        assert_eq!(bound("default via 1.1.1.1 dev eth0\n10.0.0.0/8 via 1.1.1.1 dev eth0 proto bird\n"), None);
    }
}
