//! What the kernel does where it surprises, each told by a small rule set.

use std::net::IpAddr;

use super::*;
use crate::{
    cidr::Family,
    ipset::{self, IpSets},
    iptables::{Backend, Ruleset},
    ipvs, nft as nftables,
    route::{self, parse_addresses, parse_routes, parse_rules},
    sysctl,
};

/// A node's texts. Its interfaces: the uplink, a pod's, and a bridge.
#[derive(Default)]
struct Texts<'t> {
    legacy: &'t str,
    nft_save: &'t str,
    nft: &'t str,
    sets: &'t str,
    ipvs: &'t str,
    rules: &'t str,
    routes: &'t str,
    settings: &'t str,
}

const ADDRESSES: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n    inet 127.0.0.1/8 scope host lo\n    inet6 ::1/128 scope host\n\
    2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0\n    inet6 fd00:2::1/64 scope global\n\
    3: cali0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n";
const ROUTES: &str = "default via 192.0.2.254 dev eth0\n192.0.2.0/24 dev eth0\n10.244.0.2 dev cali0 scope link\n10.244.0.3 dev cali1 scope link\n10.244.1.0/24 via 192.0.2.9 dev eth0\n";

/// The ways of a packet on a node of these texts.
struct Seen(Vec<SeenPath>);

#[derive(Debug)]
struct SeenPath {
    probability: f64,
    stateful: bool,
    verdict: Verdict,
    reason: String,
    to: String,
    from: IpAddr,
    tested: u64,
    matched: Vec<String>,
    taken: Vec<String>,
}

fn packet(text: &str) -> (u8, Ends) {
    let words: Vec<&str> = text.split(' ').collect();
    let end = |text: &str| -> (IpAddr, Option<u16>) {
        match text.rsplit_once('@') {
            Some((ip, port)) => (ip.parse().unwrap(), Some(port.parse().unwrap())),
            None => (text.parse().unwrap(), None),
        }
    };
    let protocol = match words[0] {
        "tcp" => 6,
        "udp" => 17,
        "icmp" => 1,
        other => other.parse().unwrap(),
    };
    let ((source, source_port), (destination, destination_port)) = (end(words[1]), end(words[2]));
    (protocol, Ends { source, destination, source_port, destination_port })
}

fn walked(texts: &Texts<'_>, origin: &Origin, what: &str, change: impl FnOnce(&mut Flow)) -> Seen {
    let family = if what.contains("fd00:") { Family::V6 } else { Family::V4 };
    let (legacy, nft_save) = (Ruleset::parse(texts.legacy), Ruleset::parse(texts.nft_save));
    let nft = nftables::parse(texts.nft.as_bytes());
    let sets: IpSets<'_> = ipset::parse(texts.sets.as_bytes());
    let (ipvs, _) = ipvs::parse(texts.ipvs);
    let (interfaces, _): (Vec<route::Interface>, _) = parse_addresses(ADDRESSES);
    let routes = parse_routes(if texts.routes.is_empty() { ROUTES } else { texts.routes }).0;
    let rules = parse_rules(texts.rules).0;
    let settings = sysctl::parse(texts.settings).0;
    let state = NodeState {
        name: "n1".to_owned(),
        iptables: [(Backend::Legacy, &legacy), (Backend::Nft, &nft_save)].map(|(b, set)| (family, b, set)).to_vec(),
        nft: if texts.nft.is_empty() { Part::Absent } else { Part::Known(&nft) },
        sets: Part::Known(&sets),
        ipvs: if texts.ipvs.is_empty() { Part::Absent } else { Part::Known(&ipvs) },
        routes: Part::Known(&routes),
        rules: Part::Known(&rules),
        interfaces: Part::Known(&interfaces),
        settings: Part::Known(&settings),
        ..NodeState::default()
    };
    let network = Network::new(vec![Node::new(&state)]);
    let (protocol, ends) = packet(what);
    let mut flow = Flow { node: 0, origin: origin.clone(), protocol, ends, mark: 0, established: false };
    change(&mut flow);
    let paths = network.trace(&flow);
    let sum: f64 = paths.iter().map(|path| path.probability).sum();
    assert!((sum - 1.0).abs() < 1e-9, "the ways are {sum} together");
    Seen(paths.into_iter().map(|path| seen(&path)).collect())
}

fn seen(path: &Path<'_>) -> SeenPath {
    let hit = |hit: &Hit<'_>| {
        let place = match hit.place {
            Place::Iptables(rule, _) => {
                let chain = rule.chain().unwrap();
                format!("{}/{}", chain.table().unwrap().name().unwrap(), chain.name())
            }
            Place::Nft(rule) => format!("{}/{}", rule.table, rule.chain),
            Place::Ipvs(server) => server.address.to_string(),
        };
        format!("{} {place} {}: {}", hit.hook.name(), hit.index.unwrap_or_default(), hit.effect)
    };
    SeenPath {
        probability: path.probability,
        stateful: path.stateful,
        verdict: path.verdict,
        reason: path.reason.clone().unwrap_or_default().into_owned(),
        to: address_and_port(path.ends.destination, path.ends.destination_port),
        from: path.ends.source,
        tested: path.tested.total(),
        matched: path.matched.iter().map(hit).collect(),
        taken: path.taken.iter().map(|words| words.clone().into_owned()).collect(),
    }
}

impl Seen {
    fn only(self) -> SeenPath {
        assert_eq!(self.0.len(), 1, "{:#?}", self.0);
        self.0.into_iter().next().unwrap()
    }
}

fn from_pod() -> Origin {
    Origin::Arrives(Device::named("cali0"))
}

fn outside() -> Origin {
    Origin::Arrives(Device::named("eth0"))
}

fn filter(rules: &str) -> String {
    format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n{rules}COMMIT\n"
    )
}

fn nat(rules: &str) -> String {
    format!(
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n:C - [0:0]\n{rules}COMMIT\n"
    )
}

fn pod_packet(legacy: &str) -> SeenPath {
    walked(&Texts { legacy, ..Texts::default() }, &from_pod(), "tcp 10.244.0.2@40000 10.244.0.3@80", |_| {}).only()
}

#[test]
fn rules_are_met_in_order_and_jumps_come_back() {
    let rules = filter(
        "-A FORWARD -j A\n-A FORWARD -p udp -j DROP\n-A FORWARD -p tcp -j ACCEPT\n-A FORWARD -j DROP\n-A A -d 10.0.0.0/8\n-A A -s 10.9.9.9 -j DROP\n",
    );
    let path = pod_packet(&rules);
    assert_eq!(
        path.matched,
        ["forward filter/FORWARD 1: jump A", "forward filter/A 1: continue", "forward filter/FORWARD 3: accept"]
    );
    assert_eq!((path.verdict, path.tested, path.to.as_str()), (Verdict::Accept, 5, "10.244.0.3:80"));
}

#[test]
fn return_in_a_hooks_chain_is_its_policy() {
    let rules =
        filter("-A FORWARD -p tcp -j RETURN\n-A FORWARD -j ACCEPT\n").replace(":FORWARD ACCEPT", ":FORWARD DROP");
    assert_eq!(pod_packet(&rules).verdict, Verdict::Drop);
}

#[test]
fn goto_comes_back_to_the_caller_of_its_chain() {
    let rules = filter("-A FORWARD -j A\n-A FORWARD -j ACCEPT\n-A A -g B\n-A A -j DROP\n-A B -p udp -j DROP\n");
    let path = pod_packet(&rules);
    assert_eq!(
        path.matched,
        ["forward filter/FORWARD 1: jump A", "forward filter/A 1: goto B", "forward filter/FORWARD 2: accept"]
    );
    let from_the_hook =
        filter("-A FORWARD -g B\n-A FORWARD -j ACCEPT\n-A B -j RETURN\n").replace(":FORWARD ACCEPT", ":FORWARD DROP");
    assert_eq!(pod_packet(&from_the_hook).verdict, Verdict::Drop, "behind a goto of the hook's chain comes its policy");
}

#[test]
fn a_translation_is_seen_by_later_tables_and_ends_the_table() {
    let rules = nat(
        "-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j A\n-A PREROUTING -j DROP\n-A A -p tcp -m tcp -j DNAT --to-destination 10.244.0.3:6443\n",
    ) + &filter(
        "-A FORWARD -d 10.96.0.1/32 -j DROP\n-A FORWARD -d 10.244.0.3/32 -o cali1 -m conntrack --ctstate DNAT --ctorigdst 10.96.0.1 -j REJECT --reject-with icmp-port-unreachable\n",
    );
    let path =
        walked(&Texts { legacy: &rules, ..Texts::default() }, &from_pod(), "tcp 10.244.0.2@4 10.96.0.1@443", |_| {})
            .only();
    assert_eq!((path.verdict, path.to.as_str()), (Verdict::Reject, "10.244.0.3:6443"));
    assert_eq!(path.matched.last().unwrap(), "forward filter/FORWARD 2: reject icmp-port-unreachable");
}

#[test]
fn chances_are_the_kernels_own() {
    let rules = nat(
        "-A PREROUTING -d 10.96.0.1/32 -j A\n-A A -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination 10.244.0.3\n-A A -m statistic --mode random --probability 0.50000000000 -j B\n-A A -j C\n-A B -p tcp -j DNAT --to-destination 10.244.0.3:1\n-A C -p tcp -j DNAT --to-destination 10.244.0.3:2\n",
    );
    let paths =
        walked(&Texts { legacy: &rules, ..Texts::default() }, &from_pod(), "tcp 10.244.0.2@4 10.96.0.1@443", |_| {}).0;
    let to: Vec<_> = paths.iter().map(|path| path.to.as_str()).collect();
    assert_eq!(to, ["10.244.0.3:443", "10.244.0.3:1", "10.244.0.3:2"]);
    let third = 715_827_883.0 / 2_147_483_648.0;
    assert_eq!(paths[0].probability.to_bits(), f64::to_bits(third));
    assert_eq!(paths[1].probability.to_bits(), f64::to_bits((1.0 - third) / 2.0));
    assert_eq!(paths.iter().map(|path| path.tested).collect::<Vec<_>>(), [2, 4, 5]);
}

#[test]
fn marks_are_carried_and_masquerading_takes_the_interfaces_address() {
    let rules = nat(
        "-A PREROUTING -d 10.96.0.1/32 -j A\n-A POSTROUTING -j B\n-A A -j MARK --set-xmark 0x4000/0x4000\n-A A -p tcp -j DNAT --to-destination 10.244.1.7:80\n\
        -A B -m mark ! --mark 0x4000/0x4000 -j RETURN\n-A B -j MARK --set-xmark 0x4000/0x0\n-A B -j MASQUERADE --random-fully\n",
    );
    let path =
        walked(&Texts { legacy: &rules, ..Texts::default() }, &from_pod(), "tcp 10.244.0.2@4 10.96.0.1@443", |_| {})
            .only();
    assert_eq!(
        path.matched[1..],
        [
            "prerouting nat/A 1: mark 0x4000",
            "prerouting nat/A 2: DNAT to 10.244.1.7:80",
            "postrouting nat/POSTROUTING 1: jump B",
            "postrouting nat/B 2: mark 0x0",
            "postrouting nat/B 3: source becomes 192.0.2.1",
        ]
    );
    assert_eq!((path.verdict, path.from), (Verdict::Accept, "192.0.2.1".parse().unwrap()));
    let unmarked =
        walked(&Texts { legacy: &rules, ..Texts::default() }, &from_pod(), "tcp 10.244.0.2@4 10.96.0.2@443", |_| {})
            .only();
    assert_eq!(unmarked.matched.last().unwrap(), "postrouting nat/B 1: return");
}

#[test]
fn an_established_packet_is_translated_by_its_entry_and_meets_no_nat_rule() {
    let rules = nat(
        "-A PREROUTING -d 10.96.0.1/32 -j DNAT --to-destination 10.244.1.7\n-A POSTROUTING -j MASQUERADE\n",
    ) + &filter(
        "-A FORWARD -m conntrack --ctstate ESTABLISHED -j A\n-A FORWARD -m conntrack --ctstate NEW -j B\n-A A -d 10.244.1.7/32 -p tcp -m tcp ! --syn -j ACCEPT\n",
    );
    let texts = Texts { legacy: &rules, ..Texts::default() };
    let path = walked(&texts, &from_pod(), "tcp 10.244.0.2@4 10.96.0.1@443", |flow| flow.established = true).only();
    assert_eq!(path.matched, ["forward filter/FORWARD 1: jump A", "forward filter/A 1: accept"]);
    assert_eq!((path.to.as_str(), path.from), ("10.244.1.7:443", "192.0.2.1".parse().unwrap()));
}

#[test]
fn the_hosts_own_packet_is_routed_again_but_its_interface_stays_until_the_hook_ends() {
    let rules = nat("-A OUTPUT -d 10.96.0.1/32 -j DNAT --to-destination 10.244.0.3\n")
        + &filter("-A OUTPUT -o cali1 -j DROP\n-A OUTPUT -d 10.244.0.3/32 -o eth0 -j ACCEPT\n")
        + "*mangle\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o cali1 -j MARK --set-mark 0x1\nCOMMIT\n";
    let path =
        walked(&Texts { legacy: &rules, ..Texts::default() }, &Origin::Host, "tcp 192.0.2.1@4 10.96.0.1@443", |_| {})
            .only();
    assert_eq!(
        path.matched,
        [
            "output nat/OUTPUT 1: DNAT to 10.244.0.3",
            "output filter/OUTPUT 2: accept",
            "postrouting mangle/POSTROUTING 1: mark 0x1",
        ]
    );
}

#[test]
fn a_mark_in_mangle_output_changes_the_route() {
    let rules = "*mangle\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A OUTPUT -p udp -j MARK --set-mark 0x7\n-A POSTROUTING -o eth1\nCOMMIT\n";
    let texts = Texts {
        legacy: rules,
        rules: "0: from all lookup local\n5: from all fwmark 0x7 lookup 7\n32766: from all lookup main\n",
        routes: "default via 192.0.2.254 dev eth0\nlocal 192.0.2.1 dev eth0 table local\ndefault via 198.51.100.1 dev eth1 table 7\n",
        ..Texts::default()
    };
    let path = walked(&texts, &Origin::Host, "udp 192.0.2.1@4 203.0.113.1@53", |_| {}).only();
    assert_eq!(path.matched.len(), 2, "{:?}", path.matched);
    let path = walked(&texts, &Origin::Host, "tcp 192.0.2.1@4 203.0.113.1@53", |_| {}).only();
    assert_eq!(path.matched.len(), 0);
}

#[test]
fn a_packet_to_the_host_itself_goes_round_and_meets_nat_once() {
    let all = ":PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n";
    let rules = format!(
        "*nat\n{all}-A PREROUTING -j ACCEPT\n-A INPUT -j ACCEPT\n-A OUTPUT -j ACCEPT\n-A POSTROUTING -j ACCEPT\nCOMMIT\n*mangle\n{all}-A PREROUTING -i lo -m conntrack --ctstate NEW\n-A INPUT -i lo\n-A OUTPUT -o lo ! -i lo\n-A POSTROUTING -o lo\nCOMMIT\n"
    );
    let path =
        walked(&Texts { legacy: &rules, ..Texts::default() }, &Origin::Host, "tcp 192.0.2.1@4 192.0.2.1@80", |_| {})
            .only();
    let hooks: Vec<_> = path.matched.iter().map(|hit| hit.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        hooks,
        [
            "output mangle/OUTPUT",
            "output nat/OUTPUT",
            "postrouting mangle/POSTROUTING",
            "postrouting nat/POSTROUTING",
            "prerouting mangle/PREROUTING",
            "input mangle/INPUT",
        ]
    );
}

#[test]
fn before_conntrack_every_packet_is_invalid_and_notrack_keeps_it_out() {
    let raw = |rule: &str| format!("*raw\n:PREROUTING ACCEPT [0:0]\n{rule}COMMIT\n");
    let path = pod_packet(&raw("-A PREROUTING -m conntrack --ctstate INVALID -j DROP\n"));
    assert_eq!(path.verdict, Verdict::Drop);
    let rules = raw("-A PREROUTING -j CT --notrack\n")
        + &filter(
            "-A FORWARD -m conntrack --ctstate NEW -j DROP\n-A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT\n",
        )
        + &nat("-A POSTROUTING -j MASQUERADE\n");
    let path = pod_packet(&rules);
    assert_eq!((path.verdict, path.from, path.tested), (Verdict::Accept, "10.244.0.2".parse().unwrap(), 3));
}

#[test]
fn connection_marks_are_saved_and_restored_under_masks() {
    let rules = "*mangle\n:PREROUTING ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n-A PREROUTING -j MARK --set-xmark 0xabcd/0xffffffff\n-A PREROUTING -j CONNMARK --save-mark --nfmask 0xff00 --ctmask 0xffffffff\n\
        -A PREROUTING -j MARK --set-xmark 0x0/0xffffffff\n-A FORWARD -m connmark --mark 0xab00/0xff00\n-A FORWARD -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n-A FORWARD -m mark --mark 0xab00 -j DROP\nCOMMIT\n";
    assert_eq!(pod_packet(rules).verdict, Verdict::Drop);
}

#[test]
fn sets_are_looked_into_and_a_missing_one_ends_the_way() {
    let rules = filter(
        "-A FORWARD -m set --match-set pods src -m set ! --match-set web dst,dst -j DROP\n-A FORWARD -m set --match-set gone src -j ACCEPT\n",
    );
    let sets = "create pods hash:net family inet hashsize 1024 maxelem 65536\nadd pods 10.244.0.0/24\ncreate web hash:ip,port family inet hashsize 1024 maxelem 65536\nadd web 10.244.0.3,tcp:80\n";
    let texts = Texts { legacy: &rules, sets, ..Texts::default() };
    assert_eq!(walked(&texts, &from_pod(), "tcp 10.244.0.2@4 10.244.0.3@81", |_| {}).only().verdict, Verdict::Drop);
    let path = walked(&texts, &from_pod(), "tcp 10.244.0.2@4 10.244.0.3@80", |_| {}).only();
    assert_eq!(path.verdict, Verdict::Unknown);
    assert!(path.reason.contains("`gone`") && path.reason.contains("rule 2 of filter/FORWARD"), "{}", path.reason);
}

#[test]
fn whether_an_address_is_the_nodes_is_the_local_tables_word() {
    let rules = filter(
        "-A INPUT -m addrtype --dst-type LOCAL -j A\n-A FORWARD -m addrtype ! --dst-type LOCAL -j A\n-A A -m addrtype --src-type LOCAL --limit-iface-out -j DROP\n",
    );
    let legacy = Texts { legacy: &rules, ..Texts::default() };
    for (to, first) in
        [("10.244.0.3", "forward filter/FORWARD 1: jump A"), ("192.0.2.1", "input filter/INPUT 1: jump A")]
    {
        let path = walked(&legacy, &from_pod(), &format!("tcp 10.244.0.2@4 {to}@80"), |_| {}).only();
        assert_eq!(path.matched, [first]);
    }
}

#[test]
fn what_is_not_known_counts_only_where_it_matters() {
    let rules = filter(
        "-A FORWARD -p udp -m u32 --u32 \"0=1\" -j DROP\n-A FORWARD -m time --timestart 10:00 -j LOG\n-A FORWARD -m u32 --u32 \"0=1\" -j DROP\n",
    );
    let path = pod_packet(&rules);
    assert_eq!(path.verdict, Verdict::Unknown);
    assert!(path.reason.contains("rule 3 of filter/FORWARD"), "{}", path.reason);
    assert!(path.taken.iter().any(|words| words.contains("time")), "{:?}", path.taken);
}

#[test]
fn circles_missing_chains_and_cut_dumps_are_named() {
    let circle = filter("-A FORWARD -j A\n-A A -j B\n-A B -j A\n");
    assert!(pod_packet(&circle).reason.contains("A → B → A"));
    let gotos = filter("-A FORWARD -j A\n-A A -g B\n-A B -g A\n");
    assert!(pod_packet(&gotos).reason.contains("in a circle"), "{}", pod_packet(&gotos).reason);
    let cut = filter("-A FORWARD -j A\n-A FORWARD -j ACCEPT\n-A A -p udp -j DROP\n").replace("COMMIT\n", "");
    assert!(pod_packet(&cut).reason.contains("has no end"), "{}", pod_packet(&cut).reason);
    let whole = filter("-A FORWARD -j A\n-A FORWARD -j ACCEPT\n-A A -p udp -j DROP\n");
    assert_eq!(pod_packet(&whole).verdict, Verdict::Accept);
}

#[test]
fn a_table_that_must_be_there_and_is_not_leaves_a_doubt() {
    let rules = nat("").replace(":A - ", ":KUBE-SERVICES - ");
    let path = pod_packet(&rules);
    assert_eq!((path.verdict, path.to.as_str()), (Verdict::Unknown, "10.244.0.3:80"));
    assert!(path.reason.contains("the table filter is not in the dump"));
}

#[test]
fn lists_of_clients_are_taken_as_empty_and_that_is_said() {
    let rules = nat(
        "-A PREROUTING -m recent --rcheck --seconds 10800 --reap --name X --rsource -j DNAT --to-destination 10.244.0.9\n-A PREROUTING -m recent --set --name X --rsource -j DNAT --to-destination 10.244.0.3\n",
    );
    let path = pod_packet(&rules);
    assert_eq!((path.to.as_str(), path.stateful), ("10.244.0.3:80", true));
    assert!(path.taken[0].contains("recent"));
}

#[test]
fn both_backends_have_their_say_and_the_first_translation_wins() {
    let legacy = nat("-A PREROUTING -j DNAT --to-destination 10.244.0.3\n");
    let second = nat("-A PREROUTING -j DNAT --to-destination 10.244.0.9\n") + &filter("-A FORWARD -j DROP\n");
    let path = walked(
        &Texts { legacy: &legacy, nft_save: &second, ..Texts::default() },
        &from_pod(),
        "tcp 10.244.0.2@4 10.96.0.1@80",
        |_| {},
    )
    .only();
    assert_eq!((path.verdict, path.to.as_str(), path.tested), (Verdict::Drop, "10.244.0.3:80", 2));
    assert!(path.taken.iter().any(|words| words.contains("one priority")));
}

#[test]
fn routes_decide_where_a_packet_ends() {
    let texts = Texts {
        routes: "10.244.0.2 dev cali0\nblackhole 10.244.1.0/26\nunreachable 10.244.2.0/24\n",
        legacy: "*filter\nCOMMIT\n",
        ..Texts::default()
    };
    for (to, verdict, word) in [
        ("10.244.1.1", Verdict::Drop, "blackhole"),
        ("10.244.2.1", Verdict::Reject, "unreachable"),
        ("10.9.9.9", Verdict::Reject, "no route"),
    ] {
        let path = walked(&texts, &from_pod(), &format!("tcp 10.244.0.2@4 {to}@80"), |_| {}).only();
        assert_eq!(path.verdict, verdict);
        assert!(path.reason.contains(word), "{}", path.reason);
    }
    let off = Texts { settings: "net.ipv4.ip_forward = 0\n", legacy: "*filter\nCOMMIT\n", ..Texts::default() };
    let path = walked(&off, &from_pod(), "tcp 10.244.0.2@4 10.244.0.3@80", |_| {}).only();
    assert!(path.verdict == Verdict::Drop && path.reason.contains("ip_forward is off"));
}

#[test]
fn reverse_paths_are_asked_by_the_kernel_and_by_rules() {
    let strict = Texts {
        settings: "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.rp_filter = 1\n",
        legacy: "*filter\nCOMMIT\n",
        ..Texts::default()
    };
    let spoofed =
        |texts: &Texts<'_>, origin: &Origin| walked(texts, origin, "tcp 10.244.0.3@4 203.0.113.9@80", |_| {}).only();
    assert!(spoofed(&strict, &from_pod()).reason.contains("rp_filter"));
    assert_eq!(spoofed(&strict, &Origin::Arrives(Device::named("cali1"))).verdict, Verdict::Accept);
    let rule = Texts {
        legacy: "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m rpfilter --validmark --invert -j DROP\nCOMMIT\n",
        ..Texts::default()
    };
    assert_eq!(spoofed(&rule, &from_pod()).verdict, Verdict::Drop);
    assert_eq!(spoofed(&rule, &Origin::Arrives(Device::named("cali1"))).verdict, Verdict::Accept);
}

#[test]
fn loopback_addresses_from_outside_are_martian() {
    let texts = Texts { legacy: "*filter\nCOMMIT\n", ..Texts::default() };
    assert!(walked(&texts, &outside(), "tcp 203.0.113.1@4 127.0.0.1@80", |_| {}).only().reason.contains("martian"));
}

#[test]
fn a_source_port_that_is_not_given_is_an_ephemeral_one() {
    let rules = filter(
        "-A FORWARD -p tcp -m tcp --sport 22 -j DROP\n-A FORWARD -p tcp -m tcp --sport 1024:65535 -j ACCEPT\n-A FORWARD -j DROP\n",
    );
    let texts = Texts { legacy: &rules, ..Texts::default() };
    assert_eq!(walked(&texts, &from_pod(), "tcp 10.244.0.2 10.244.0.3@80", |_| {}).only().verdict, Verdict::Accept);
    let odd = filter("-A FORWARD -p tcp -m tcp --sport 40000:50000 -j DROP\n");
    let texts = Texts { legacy: &odd, ..Texts::default() };
    assert_eq!(walked(&texts, &from_pod(), "tcp 10.244.0.2 10.244.0.3@80", |_| {}).only().verdict, Verdict::Unknown);
}

#[test]
fn a_long_chain_is_found_by_its_index_and_counted_as_tested() {
    use std::fmt::Write as _;
    let mut rules = String::new();
    for at in 0..3000 {
        let _ = writeln!(rules, "-A A -d 10.96.{}.{}/32 -p tcp -m tcp --dport 80 -j B", at / 250, at % 250);
    }
    rules += "-A A -p tcp -m tcp --dport 81 -j B\n-A PREROUTING -j A\n-A A -m addrtype --dst-type LOCAL -j C\n-A B -j ACCEPT\n";
    let rules = nat(&rules);
    let texts = Texts { legacy: &rules, ..Texts::default() };
    for (to, tested) in [("10.96.4.1@80", 1 + 1002 + 1), ("10.96.0.0@81", 1 + 3001 + 1), ("10.244.0.3@443", 1 + 3002)] {
        let path = walked(&texts, &from_pod(), &format!("tcp 10.244.0.2@4 {to}"), |_| {}).only();
        assert_eq!(path.tested, tested, "{to}");
    }
}

#[test]
fn packets_to_a_virtual_server_leave_by_the_output_hook() {
    let all = ":PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n";
    let rules = format!("*nat\n{all}-A OUTPUT -j ACCEPT\n-A INPUT -j ACCEPT\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n")
        + &filter("-A INPUT -d 10.96.0.1/32 -j ACCEPT\n-A OUTPUT -d 10.244.0.0/16 -j ACCEPT\n");
    let texts = Texts {
        legacy: &rules,
        ipvs: "-A -t 10.96.0.1:80 -s wrr\n-a -t 10.96.0.1:80 -r 10.244.0.3:8080 -m -w 1\n-a -t 10.96.0.1:80 -r 10.244.1.4:8080 -m -w 3\n-a -t 10.96.0.1:80 -r 10.244.1.5:8080 -m -w 0\n",
        routes: "default via 192.0.2.254 dev eth0\n10.244.0.2 dev cali0\n10.244.0.3 dev cali1\n10.244.1.0/24 via 192.0.2.9 dev eth0\nlocal 10.96.0.1 dev kube-ipvs0 table local\nlocal 192.0.2.1 dev eth0 table local\n",
        ..Texts::default()
    };
    let paths = walked(&texts, &from_pod(), "tcp 10.244.0.2@4 10.96.0.1@80", |_| {}).0;
    assert_eq!(
        paths.iter().map(|path| (path.probability, path.to.as_str())).collect::<Vec<_>>(),
        [(0.25, "10.244.0.3:8080"), (0.75, "10.244.1.4:8080")]
    );
    assert_eq!(
        paths[1].matched,
        [
            "input filter/INPUT 1: accept",
            "input TCP 10.96.0.1:80 0: wrr: to 10.244.1.4:8080",
            "output filter/OUTPUT 1: accept",
            "postrouting nat/POSTROUTING 1: source becomes 192.0.2.1",
        ]
    );
    // the host's own goes through the output hook again from its beginning
    let own = &walked(&texts, &Origin::Host, "tcp 192.0.2.1@4 10.96.0.1@80", |_| {}).0[0];
    assert_eq!(own.matched[..2], ["output nat/OUTPUT 1: accept", "output TCP 10.96.0.1:80 0: wrr: to 10.244.0.3:8080"]);
}

/// An nft rule set out of rules, each `chain: JSON of its statements`.
fn nft(chains: &[(&str, &str, i32)], sets: &str, rules: &[(&str, &str)]) -> String {
    let mut objects = vec![r#"{"table": {"family": "ip", "name": "t", "handle": 1}}"#.to_owned()];
    for (name, kind, prio) in chains {
        let hook = name.split('-').next().unwrap();
        objects.push(if kind.is_empty() {
            format!(r#"{{"chain": {{"family": "ip", "table": "t", "name": "{name}", "handle": 1}}}}"#)
        } else {
            format!(
                r#"{{"chain": {{"family": "ip", "table": "t", "name": "{name}", "handle": 1, "type": "{kind}", "hook": "{hook}", "prio": {prio}, "policy": "accept"}}}}"#
            )
        });
    }
    if !sets.is_empty() {
        objects.push(sets.to_owned());
    }
    for (chain, expr) in rules {
        objects.push(format!(
            r#"{{"rule": {{"family": "ip", "table": "t", "chain": "{chain}", "handle": 1, "expr": [{expr}]}}}}"#
        ));
    }
    format!(r#"{{"nftables": [{}]}}"#, objects.join(", "))
}

const TO_PORT_80: &str =
    r#"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}"#;
const COUNTER: &str = r#"{"counter": {"packets": 0, "bytes": 0}}"#;

#[test]
fn nft_base_chains_come_by_priority_and_accept_ends_only_one() {
    let ruleset = nft(
        &[("forward-late", "filter", 10), ("forward-early", "filter", -10)],
        "",
        &[
            ("forward-late", &format!("{TO_PORT_80}, {COUNTER}, {{\"drop\": null}}")),
            ("forward-early", COUNTER),
            ("forward-early", r#"{"accept": null}"#),
            ("forward-early", r#"{"drop": null}"#),
        ],
    );
    let texts = Texts { nft: &ruleset, ..Texts::default() };
    let path = walked(&texts, &from_pod(), "tcp 10.244.0.2@4 10.244.0.3@80", |_| {}).only();
    assert_eq!(
        path.matched,
        ["forward t/forward-early 1: continue", "forward t/forward-early 2: accept", "forward t/forward-late 1: drop"]
    );
    assert_eq!((path.verdict, path.tested), (Verdict::Drop, 3));
    assert_eq!(walked(&texts, &from_pod(), "udp 10.244.0.2@4 10.244.0.3@80", |_| {}).only().verdict, Verdict::Accept);
}

#[test]
fn nft_choices_maps_and_translations() {
    let choice = r#"{"dnat": {"family": "ip", "addr": {"map": {"key": {"numgen": {"mode": "random", "mod": 3, "offset": 0}}, "data": {"set": [[0, {"concat": ["10.244.0.3", 8080]}], [1, {"concat": ["10.244.1.4", 8080]}], [2, {"concat": ["10.244.1.5", 8080]}]]}}}}}"#;
    let services = r#"{"map": {"family": "ip", "table": "t", "name": "services", "type": ["ipv4_addr", "inet_proto", "inet_service"], "map": "verdict", "handle": 2, "elem": [[{"concat": ["10.96.0.1", "tcp", 80]}, {"goto": {"target": "svc"}}]]}}"#;
    let vmap = r#"{"vmap": {"key": {"concat": [{"payload": {"protocol": "ip", "field": "daddr"}}, {"meta": {"key": "l4proto"}}, {"payload": {"protocol": "th", "field": "dport"}}]}, "data": "@services"}}"#;
    let masq = r#"{"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.244.0.0", "len": 30}}}}, {"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, 16384]}}}"#;
    let post = r#"{"match": {"op": "!=", "left": {"&": [{"meta": {"key": "mark"}}, 16384]}, "right": 0}}, {"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"^": [{"meta": {"key": "mark"}}, 16384]}}}, {"masquerade": {"flags": "fully-random"}}"#;
    let ruleset = nft(
        &[("prerouting-nat", "nat", -100), ("postrouting-nat", "nat", 100), ("svc", "", 0)],
        services,
        &[("prerouting-nat", vmap), ("svc", masq), ("svc", choice), ("postrouting-nat", post)],
    );
    let texts = Texts { nft: &ruleset, ..Texts::default() };
    let paths = walked(&texts, &outside(), "tcp 192.0.2.77@4 10.96.0.1@80", |_| {}).0;
    assert_eq!(
        paths.iter().map(|path| path.to.as_str()).collect::<Vec<_>>(),
        ["10.244.0.3:8080", "10.244.1.4:8080", "10.244.1.5:8080"]
    );
    assert_eq!(
        paths[1].matched,
        [
            "prerouting t/prerouting-nat 1: goto svc",
            "prerouting t/svc 1: mark 0x4000",
            "prerouting t/svc 2: DNAT to 10.244.1.4:8080",
            "postrouting t/postrouting-nat 1: source becomes 192.0.2.1",
        ]
    );
    let other = walked(&texts, &from_pod(), "tcp 10.244.0.2@4 10.96.0.2@80", |_| {}).only();
    assert_eq!((other.matched.len(), other.tested), (0, 2));
}

#[test]
fn nft_asks_for_states_sets_and_wildcards() {
    let set = r#"{"set": {"family": "ip", "table": "t", "name": "pods", "type": "ipv4_addr", "handle": 2, "flags": ["interval"], "elem": [{"prefix": {"addr": "10.244.0.0", "len": 24}}]}}"#;
    let state = r#"{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}"#;
    let new = r#"{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}, {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "cali*"}}, {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@pods"}}"#;
    let drop = r#"{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": {"set": ["udp", "tcp"]}}}, {"reject": {"type": "tcp reset"}}"#;
    let ruleset =
        nft(&[("forward-f", "filter", 0)], set, &[("forward-f", state), ("forward-f", new), ("forward-f", drop)]);
    let texts = Texts { nft: &ruleset, ..Texts::default() };
    let path = walked(&texts, &from_pod(), "tcp 10.244.0.2@4 10.244.0.3@80", |_| {}).only();
    assert_eq!(path.matched, ["forward t/forward-f 2: continue", "forward t/forward-f 3: reject tcp reset"]);
    let path = walked(&texts, &from_pod(), "icmp 10.244.0.2 10.244.0.3", |_| {}).only();
    assert_eq!((path.verdict, path.matched.len()), (Verdict::Accept, 1));
}

#[test]
fn nft_marks_in_a_filter_chain_do_not_change_the_route_and_xt_is_not_known() {
    let mark = r#"{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 7}}"#;
    let texts = |kind: &str| nft(&[("output-o", kind, -150)], "", &[("output-o", mark)]);
    for (kind, dev) in [("filter", "eth0"), ("route", "eth1")] {
        let ruleset = texts(kind);
        let post = format!("*mangle\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o {dev} -j ACCEPT\nCOMMIT\n");
        let texts = Texts {
            nft: &ruleset,
            legacy: &post,
            rules: "0: from all lookup local\n5: from all fwmark 0x7 lookup 7\n32766: from all lookup main\n",
            routes: "default via 192.0.2.254 dev eth0\nlocal 192.0.2.1 dev eth0 table local\ndefault via 198.51.100.1 dev eth1 table 7\n",
            ..Texts::default()
        };
        let path = walked(&texts, &Origin::Host, "udp 192.0.2.1@4 203.0.113.1@53", |_| {}).only();
        assert_eq!(path.matched.len(), 2, "{kind}: {:?}", path.matched);
    }
    let ruleset = nft(
        &[("forward-f", "filter", 0)],
        "",
        &[("forward-f", r#"{"xt": {"type": "match", "name": "string"}}, {"drop": null}"#)],
    );
    let path =
        walked(&Texts { nft: &ruleset, ..Texts::default() }, &from_pod(), "tcp 10.244.0.2@4 10.244.0.3@80", |_| {})
            .only();
    assert!(path.reason.contains("xt string"), "{}", path.reason);
}
