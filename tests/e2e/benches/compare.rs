//! The whole of `kubectl cni compare` but for reading and printing, on 10,000 Services of 10 endpoints:
//! tables by owner, longest chains, depths, sets, growth. Prints a table; asserts nothing.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a bench prints, and stops at a wrong set-up"
)]

use std::{process::Command, time::Instant};

use netcore::{
    cidr::Family,
    compare::{CALICO_REFERENCE, SetUses, crossover, growth, in_iptables, table, walk},
    iptables::{Backend, Ruleset},
    packet::{Network, Node, NodeState, Part, cost::Server},
    probe::Probe,
    route,
    rules::{Dumps, Taken},
};

const ADDRESSES: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    inet 127.0.0.1/8 scope host lo\n\
    2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n    inet 172.18.0.2/16 scope global eth0\n\
    3: veth1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n";
const ROUTES: &str =
    "default via 172.18.0.1 dev eth0\n172.18.0.0/16 dev eth0 scope link\n10.248.0.2 dev veth1 scope link\n";

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("iptables-save");
    // made by another process, so that its memory does not count for this one
    if let Some(path) = std::env::var_os("NET_BENCH_WRITE") {
        std::fs::write(path, e2e::kube_proxy_rules::save(SERVICES, ENDPOINTS)).expect("a file");
        return;
    }
    let me = std::env::current_exe().expect("this program");
    let made = Command::new(me).env("NET_BENCH_WRITE", &path).status().expect("this program runs");
    assert!(made.success(), "the rules could not be made");
    let mut best = f64::INFINITY;
    let mut size = 0;
    let mut counted = (0, 0);
    let (mut walked, mut median) = (f64::INFINITY, 0);
    let (routes, _) = route::parse_routes(ROUTES);
    let (interfaces, _) = route::parse_addresses(ADDRESSES);
    let servers: Vec<Server> = (0..SERVICES)
        .map(|service| Server {
            address: std::net::Ipv4Addr::from(0x0A60_0000 + service).into(),
            protocol: 6,
            port: 80,
        })
        .collect();
    let pods = ["10.248.0.2".parse().expect("an address")];
    for _ in 0..5 {
        let bytes = std::fs::read(&path).expect("the rules");
        size = bytes.len();
        let start = Instant::now();
        let rules = Ruleset::parse(bytes);
        let dumps = Dumps { texts: vec![Taken { probe: Probe::IptablesSave, file: String::new(), rules }] };
        let seen = dumps.tables();
        let costs: Vec<_> = seen.iter().map(table).collect();
        let mut uses = SetUses::default();
        for seen in &seen {
            uses.count(seen.table.rules());
        }
        let told = in_iptables(&seen).expect("kube-proxy's rules");
        let shape = told.shape(Some(SERVICES.into())).expect("a shape");
        let points = growth(&shape, CALICO_REFERENCE);
        let crossing = crossover(&shape, CALICO_REFERENCE);
        assert!(!points.is_empty() && crossing.calico > 0);
        let counted_in = start.elapsed().as_secs_f64();
        let state = NodeState {
            name: "node".to_owned(),
            iptables: vec![(Family::V4, Backend::Nft, &dumps.texts[0].rules)],
            without: vec![(Family::V4, Backend::Legacy)],
            nft: Part::Absent,
            ipvs: Part::Absent,
            routes: Part::Known(&routes),
            interfaces: Part::Known(&interfaces),
            ..NodeState::default()
        };
        let costs_of_packets = walk(&Network::new(vec![Node::new(&state)]), &pods, &servers);
        walked = walked.min(start.elapsed().as_secs_f64() - counted_in);
        best = best.min(start.elapsed().as_secs_f64());
        median = costs_of_packets.first.iter().flatten().map(|cost| cost.median).max().unwrap_or(0);
        if let Some(reason) = costs_of_packets.unknown {
            println!("  {reason}");
        }
        counted = (costs.iter().map(|cost| cost.rules).sum(), costs.iter().map(|cost| cost.chains).sum());
    }
    println!("{} rules, {} chains, {:.1} MB", counted.0, counted.1, size as f64 / 1e6);
    println!("compare, best of 5: {best:.3} s (aim: 0.35 s)");
    println!("  of it {SERVICES} first packets of {ENDPOINTS} ways each: {walked:.3} s, {median} rules at the median");
    println!("  peak {:.1} MB, {:.2} times the input (aim: 3)", peak() as f64 / 1e6, peak() as f64 / size as f64);
}

/// `VmHWM` of this process in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}
