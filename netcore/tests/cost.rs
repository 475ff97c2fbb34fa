//! What packets pass by the walk, beside a count of the lines of the dump: position by position, for every
//! Service of a node that runs kube-proxy and Calico.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a test stops at once, with its reason"
)]

use std::{net::IpAddr, path::PathBuf};

use netcore::{
    cidr::Family,
    compare::{PacketCost, walk},
    ipset,
    iptables::{Backend, Ruleset},
    owner::Owner,
    packet::{Network, Node, NodeState, Part, cost::Server},
    route,
};

fn fixture(name: &str) -> String {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/generated/kube-proxy-and-felix").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

const POD: &str = "10.244.1.2";
const ADDRESSES: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    inet 127.0.0.1/8 scope host lo\n\
    2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n    inet 172.18.0.99/16 scope global eth0\n\
    3: cali4d9e5afa321: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n";
const ROUTES: &str =
    "default via 172.18.0.1 dev eth0\n172.18.0.0/16 dev eth0 scope link\n10.244.1.2 dev cali4d9e5afa321 scope link\n";

fn lines<'t>(text: &'t str, start: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter(move |line| line.starts_with(start))
}

fn word_after<'t>(line: &'t str, word: &str) -> &'t str {
    line.split(word).nth(1).unwrap().split(' ').next().unwrap()
}

/// The Services with endpoints and without affinity, and what the first packet passes of kube-proxy's for
/// each endpoint: the lines up to the Service's, up to the endpoint's, and the fixed ones.
fn by_hand(text: &str) -> Vec<(Server, Vec<u64>)> {
    let nat = text.split("*nat").nth(1).unwrap();
    let filter = text.split("*filter").nth(1).unwrap().split("COMMIT").next().unwrap();
    let count = |chain: &str| lines(filter, &format!("-A {chain} ")).count() as u64;
    let jumps = lines(filter, "-A FORWARD ").filter(|line| line.contains("-j KUBE-")).count() as u64;
    let in_filter = jumps
        + ["KUBE-PROXY-FIREWALL", "KUBE-FORWARD", "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"]
            .map(count)
            .iter()
            .sum::<u64>();
    let mut all = Vec::new();
    for (position, line) in (1..).zip(lines(nat, "-A KUBE-SERVICES ")) {
        let chain = word_after(line, "-j ");
        let service = format!("-A {chain} ");
        // affinity asks what the kernel remembers, and a pod that reaches itself has a way of its own
        let other = |line: &str| line.contains("-m recent") || line.contains(&format!("-> {POD}:"));
        if !chain.starts_with("KUBE-SVC-") || lines(nat, &service).any(other) {
            continue;
        }
        let front = Server {
            address: word_after(line, "-d ").trim_end_matches("/32").parse().unwrap(),
            port: word_after(line, "--dport ").parse().unwrap(),
            protocol: if line.contains("-p udp") { 17 } else { 6 },
        };
        let endpoints = lines(nat, &service).filter(|line| line.contains("-j KUBE-SEP-")).count() as u64;
        let passed = (1..=endpoints).map(|endpoint| {
            // the jump, the Service, masquerading, the endpoint, hairpin and translation, filter, the jump and
            // the first rule of postrouting
            1 + position + 1 + endpoint + 2 + in_filter + 2
        });
        all.push((front, passed.collect()));
    }
    all
}

fn of(costs: &[PacketCost], owner: Owner) -> PacketCost {
    *costs.iter().find(|cost| cost.owner == owner).unwrap()
}

#[test]
fn the_walk_passes_as_many_rules_as_there_are_lines_on_the_way() {
    let text = fixture("iptables-save");
    let sets_text = fixture("ipset");
    let rules = Ruleset::parse(text.clone());
    let sets = ipset::parse(sets_text.as_bytes());
    let (routes, _) = route::parse_routes(ROUTES);
    let (interfaces, _) = route::parse_addresses(ADDRESSES);
    let state = NodeState {
        name: "node".to_owned(),
        iptables: vec![(Family::V4, Backend::Nft, &rules)],
        without: vec![(Family::V4, Backend::Legacy)],
        nft: Part::Absent,
        sets: Part::Known(&sets),
        ipvs: Part::Absent,
        routes: Part::Known(&routes),
        interfaces: Part::Known(&interfaces),
        ..NodeState::default()
    };
    let network = Network::new(vec![Node::new(&state)]);
    let pods: Vec<IpAddr> = vec![POD.parse().unwrap()];
    let by_hand = by_hand(&text);
    assert!(by_hand.len() > 10, "{}", by_hand.len());
    for (front, passed) in &by_hand {
        let walked = walk(&network, &pods, std::slice::from_ref(front));
        let costs = walked.first.unwrap_or_else(|| panic!("{front:?}: {:?}", walked.unknown));
        let cost = of(&costs, Owner::KubeProxy);
        assert_eq!((cost.min, cost.max), (passed[0], *passed.last().unwrap()), "{front:?} {:?}", walked.unknown);
    }
    let fronts: Vec<Server> = by_hand.iter().map(|(front, _)| *front).collect();
    let walked = walk(&network, &pods, &fronts);
    let costs = walked.first.unwrap();
    let mut all: Vec<(u64, f64)> =
        by_hand.iter().flat_map(|(_, passed)| passed.iter().map(|rules| (*rules, 1.0 / passed.len() as f64))).collect();
    all.sort_by_key(|(rules, _)| *rules);
    let half = fronts.len() as f64 / 2.0;
    let mut before = 0.0;
    let median = all.iter().find(|(_, share)| {
        before += share;
        before >= half - 1e-6
    });
    let cost = of(&costs, Owner::KubeProxy);
    assert_eq!((cost.min, cost.max), (all[0].0, all.last().unwrap().0));
    assert_eq!(Some(cost.median), median.map(|(rules, _)| *rules));
    // Calico's rules do not depend on the Service, and a later packet passes none of kube-proxy's nat
    let calico = of(&costs, Owner::Calico);
    assert!(calico.min > 20 && calico.max < 90, "{calico:?}");
    let later = walked.established.unwrap();
    let kube_proxy = later.iter().find(|cost| cost.owner == Owner::KubeProxy).unwrap();
    assert!(kube_proxy.rules < 10, "{kube_proxy:?}");
}
