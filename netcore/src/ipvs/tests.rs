use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::cidr::Family;

// of a virtual machine's kernel 6.1 with ipvsadm 1.31: one state, three views
const SAVED: &str = "-A -t 10.96.0.10:53 -s rr\n-a -t 10.96.0.10:53 -r 10.244.0.2:53 -m -w 1\n\
    -a -t 10.96.0.10:53 -r 10.244.1.3:53 -m -w 0\n-A -t 10.96.3.4:80 -s sh -p 10800\n\
    -a -t 10.96.3.4:80 -r 10.244.1.9:8080 -m -w 1\n-A -t 10.96.3.6:80 -s wrr\n\
    -a -t 10.96.3.6:80 -r 10.244.1.9:80 -g -w 5\n-a -t 10.96.3.6:80 -r 10.244.1.10:80 -i -w 7 --tun-type ipip\n\
    -A --sctp-service 10.96.3.7:9999 -s rr\n-A -t [fd00:96::a]:80 -s rr\n\
    -a -t [fd00:96::a]:80 -r [fd00:244::5]:8080 -m -w 1\n-A -f 77 -s mh\n";
const LISTED: &str = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
    -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\nTCP  10.96.0.10:53 rr\n  \
    -> 10.244.0.2:53                Masq    1      0          0         \n  \
    -> 10.244.1.3:53                Masq    0      0          0         \nTCP  10.96.3.4:80 sh persistent 10800\n  \
    -> 10.244.1.9:8080              Masq    1      0          0         \nTCP  10.96.3.6:80 wrr\n  \
    -> 10.244.1.9:80                Route   5      0          0         \n  \
    -> 10.244.1.10:80               Tunnel  7      0          0         \nSCTP 10.96.3.7:9999 rr\n\
    TCP  [fd00:96::a]:80 rr\n  -> [fd00:244::5]:8080           Masq    1      0          0         \nFWM  77 mh\n";
const PROC: &str = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
    -> RemoteAddress:Port Forward Weight ActiveConn InActConn\nTCP  0A60000A:0035 rr  \n  \
    -> 0AF40103:0035      Masq    0      0          0         \n  -> 0AF40002:0035      Masq    1      0          0         \n\
    TCP  0A600306:0050 wrr  \n  -> 0AF4010A:0050      Tunnel  7      0          0         \n  \
    -> 0AF40109:0050      Route   5      0          0         \nTCP  0A600304:0050 sh  persistent 2700000 FFFFFFFF\n  \
    -> 0AF40109:1F90      Masq    1      0          0         \nSCTP 0A600307:270F rr  \n\
    TCP  [fd00:0096:0000:0000:0000:0000:0000:000a]:0050 rr \n  \
    -> [fd00:0244:0000:0000:0000:0000:0000:0005]:1F90      Masq    1      0          0         \nFWM  0000004D mh \n";

fn clean(text: &str) -> IpvsTable {
    let (mut table, errors) = parse(text);
    assert!(errors.is_empty(), "{errors:?}");
    table.sort();
    table
}

#[test]
fn three_views_of_one_state_agree() {
    let (saved, listed, proc) = (clean(SAVED), clean(LISTED), clean(PROC));
    for (left, right) in [(&saved, &listed), (&saved, &proc), (&listed, &proc), (&proc, &saved)] {
        assert_eq!(left.conflicts(right), []);
    }
    assert_eq!(saved.services.len(), 6);
    // what each adds: /proc has no seconds, a list no kind of tunnel, a save no connections
    let mut all = proc;
    all.merge(saved);
    all.merge(listed);
    let tunnel = all.services.iter().flat_map(|s| &s.servers).find(|s| s.weight == Some(7)).unwrap();
    assert_eq!((tunnel.forward, tunnel.active), (Some(Forward::Tunnel(Some(Tunnel::Ipip))), Some(0)));
    assert_eq!(all.services.len(), 6);
    assert_eq!(all.services.last().unwrap().address, VirtualAddress::Mark(77, Some(Family::V4)));
    let kept = all.services.iter().find(|s| s.scheduler.as_deref() == Some("sh")).unwrap();
    let both = Persistence::On { seconds: Some(10_800), jiffies: Some(2_700_000), mask: None, engine: None };
    assert_eq!(kept.persistence, Some(both));
}

#[test]
fn a_difference_is_a_conflict_and_names_its_field() {
    let other =
        clean(&SAVED.replace("-s wrr", "-s wlc").replace("-r 10.244.1.3:53 -m -w 0", "-r 10.244.1.3:53 -m -w 3"));
    let fields: Vec<_> =
        clean(LISTED).conflicts(&other).into_iter().map(|c| (c.address.to_string(), c.field)).collect();
    let expected = [("TCP 10.96.0.10:53".to_owned(), "weight"), ("TCP 10.96.3.6:80".to_owned(), "scheduler")];
    assert_eq!(fields, expected);
    let persistent = clean(&PROC.replace("2700000", "2700001"));
    assert_eq!(clean(SAVED).conflicts(&persistent)[0].field, "persistence");
}

#[test]
fn a_save_prints_back() {
    assert_eq!(parse(SAVED).0.to_save().as_deref(), Some(SAVED));
    let odd = "-A -u 10.0.0.1:0 -s sh -p 360 -M 255.255.255.0 --pe sip -o -b sh-fallback,sh-port\n\
        -a -u 10.0.0.1:0 -r 10.0.0.2:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum\n\
        -a -u 10.0.0.1:0 -r [fd00::1]:0 -i -w 1 --tun-type gre --tun-nocsum\n-A -f -1 -6 -s lblcr -p 50 -M 64\n";
    let (table, errors) = parse(odd);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(table.to_save().as_deref(), Some(odd));
    assert_eq!(parse(LISTED).0.to_save().map(|text| text.lines().count()), Some(12));
    assert_eq!(
        parse("TCP  10.0.0.1:80 rr persistent 10 mask 255.255.255.0 pe sip ops").0.to_save().as_deref(),
        Some("-A -t 10.0.0.1:80 -s rr -p 10 -M 255.255.255.0 --pe sip -o\n")
    );
}

#[test]
fn counters_are_exact_or_rounded() {
    let text = "IP Virtual Server version 1.2.1 (size=4096)\n\
        Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  -> RemoteAddress:Port\n\
        TCP  10.96.3.8:80                    12345     221K      1M    3G       2T\n  \
        -> 10.244.5.5:8080                     3        3        3      180      120\n";
    let (table, errors) = parse(text);
    assert!(errors.is_empty(), "{errors:?}");
    let stats = table.services[0].stats.unwrap();
    assert_eq!(stats.connections, Counter { value: 12_345, unit: 1 });
    assert_eq!(stats.packets_in, Counter { value: 221_000, unit: 1_000 });
    assert_eq!((stats.bytes_out.value, stats.bytes_out.unit), (2_000_000_000_000, 1_000_000_000_000));
    assert_eq!((table.services[0].scheduler.as_deref(), table.services[0].servers[0].weight), (None, None));
    assert_eq!(table.to_save(), None, "a list of counters names no scheduler");
}

#[test]
fn connections_timeouts_and_daemons() {
    let listed = "IPVS connection entries\npro expire state       source             virtual            destination\n\
        TCP 01:39  TIME_WAIT   10.96.94.100:38528 10.96.94.100:80    10.244.0.11:8080\n";
    let proc = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n\
        TCP 0A605E64 9680 0A605E64 0050 0AF4000B 1F90 TIME_WAIT          99\n";
    assert_eq!(clean(listed).connections, clean(proc).connections);
    assert_eq!(clean(listed).connections[0].expires, 99);
    let timeouts = clean("Timeout (tcp tcpfin udp): 900 120 300\n").timeouts;
    assert_eq!(timeouts, Some(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }));
    assert_eq!(clean("master sync daemon (mcast=eth0, syncid=1)\n").daemons[0].role, "master");
}

#[test]
fn what_is_wrong_is_named_and_the_rest_is_kept() {
    let text = "bash: ipvsadm: Permission denied\n-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.0.2:99999 -m -w 1\n\
        -a -t 10.0.0.9:80 -r 10.0.0.2:80 -m -w 1\n-A -t localhost:http -s rr\n-a -t localhost:http -r a:b -m\n\
        -A -u 10.0.0.3:53 -s rr -z 3\n-A -u 10.0.0.4:53 -s rr";
    let (table, errors) = parse(text);
    assert_eq!(table.services.len(), 2);
    assert!(table.services.iter().all(|service| service.servers.is_empty()));
    let places: Vec<_> = errors.iter().map(|error| (error.line, error.column)).collect();
    assert_eq!(places, [(1, 1), (3, 22), (4, 0), (5, 7), (6, 7), (7, 25)]);
    assert_eq!(errors[0].reason, "the command failed");
    assert!(errors[3].to_string().contains("with -n"), "{}", errors[3]);
    let (_, errors) = parse(&format!("{LISTED}{LISTED}"));
    assert_eq!(errors.len(), 1, "two tables in one file");
}

/// The real captures of one state: every view reads without an error, and no two disagree.
#[test]
fn the_captured_views_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/captures/cluster3-exec/node3");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let views = ["ipvsadm-Sn.txt", "ipvsadm-Ln.txt", "ipvsadm-stats.txt", "proc_net_ip_vs.txt"];
    let tables: Vec<IpvsTable> = views.iter().map(|name| clean(&read(name))).collect();
    assert!(tables[0].services.len() > 20);
    for left in &tables {
        for right in &tables {
            assert_eq!(left.conflicts(right), []);
        }
    }
    assert_eq!(parse(&read("ipvsadm-Sn.txt")).0.to_save(), Some(read("ipvsadm-Sn.txt")));
}

fn endpoints() -> impl Strategy<Value = Endpoint> {
    (
        prop_oneof![
            any::<u32>().prop_map(|n| std::net::Ipv4Addr::from(n).into()),
            any::<u128>().prop_map(|n| std::net::Ipv6Addr::from(n).into())
        ],
        any::<u16>(),
    )
        .prop_map(|(address, port)| Endpoint { address, port })
}

fn servers() -> impl Strategy<Value = RealServer> {
    let checksum = prop_oneof![Just(Checksum::Without), Just(Checksum::With), Just(Checksum::Remote)];
    let forward = prop_oneof![
        Just(Forward::Masquerade),
        Just(Forward::Route),
        Just(Forward::Tunnel(Some(Tunnel::Ipip))),
        (any::<u16>(), checksum).prop_map(|(port, sum)| Forward::Tunnel(Some(Tunnel::Gue(port, sum)))),
    ];
    (endpoints(), forward, any::<u16>(), 0..3_u32).prop_map(|(endpoint, forward, weight, upper)| RealServer {
        forward: Some(forward),
        weight: Some(u32::from(weight)),
        upper_threshold: Some(upper).filter(|n| *n > 0),
        ..RealServer::at(endpoint, 0)
    })
}

fn services() -> impl Strategy<Value = VirtualServer> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)];
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    let address = prop_oneof![
        (protocol, endpoints()).prop_map(|(protocol, endpoint)| VirtualAddress::Socket(protocol, endpoint)),
        (any::<u32>(), family).prop_map(|(mark, family)| VirtualAddress::Mark(mark, Some(family))),
    ];
    let persistence = prop_oneof![
        Just(Persistence::Off),
        (any::<u32>(), prop::option::of(0..=127_u8)).prop_map(|(seconds, mask)| Persistence::On {
            seconds: Some(seconds),
            jiffies: None,
            mask: mask.map(Mask::V6),
            engine: None
        }),
    ];
    (
        address,
        "[a-z]{2,5}",
        persistence,
        any::<bool>(),
        prop::collection::vec("[a-z]{1,4}-[a-z]{1,4}", 0..3),
        prop::collection::vec(servers(), 0..4),
    )
        .prop_map(|(address, scheduler, persistence, one_packet, flags, servers)| VirtualServer {
            scheduler: Some(scheduler),
            flags: Some(flags),
            persistence: Some(persistence),
            one_packet: Some(one_packet),
            servers,
            ..VirtualServer::at(address, 0)
        })
}

fn without_lines(mut table: IpvsTable) -> IpvsTable {
    for service in &mut table.services {
        service.line = 0;
        service.servers.iter_mut().for_each(|server| server.line = 0);
    }
    table
}

proptest! {
    #[test]
    fn whatever_is_printed_reads_back(services in prop::collection::vec(services(), 0..6)) {
        let table = IpvsTable { services, ..IpvsTable::default() };
        let text = table.to_save().unwrap();
        let (read, errors) = parse(&text);
        prop_assert_eq!(errors, vec![], "{}", text);
        prop_assert_eq!(without_lines(read), table);
    }

    #[test]
    fn no_text_makes_it_fall_over(text in "(-A|-a|TCP|UDP|FWM|->|IPVS|pro|Prot|[0-9A-F:.\\[\\]]{0,12}|[ \\t\\n\u{0}é]|-t|-r|-p){0,60}") {
        let _ = parse(&text);
    }

    /// Each number of a save is a typed field: another number is another model.
    #[test]
    fn every_number_counts(at in any::<prop::sample::Index>()) {
        let digits: Vec<usize> = SAVED.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| at).collect();
        let at = digits[at.index(digits.len())];
        let digit = SAVED.as_bytes()[at];
        let other = if digit == b'1' { "2" } else { "1" };
        let mut changed = SAVED.to_owned();
        changed.replace_range(at..=at, other);
        let (table, errors) = parse(&changed);
        prop_assert!(!errors.is_empty() || table != parse(SAVED).0, "{}", changed);
    }
}

/// One state in every form that the tools have, captured in a guest: each reads without an error, no
/// two disagree, and what is saved prints back byte for byte.
#[test]
fn every_captured_view_reads_and_agrees() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/ipvs");
    for state in ["empty", "mark", "restored", "traffic", "variety"] {
        let mut tables = Vec::new();
        for entry in std::fs::read_dir(folder.join(state)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let ours = name.starts_with("ipvsadm-") || name == "proc-ip_vs" || name == "proc-ip_vs_conn";
            if !ours || name.ends_with("-names") || name.contains('.') {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let (table, errors) = parse(&text);
            assert_eq!(errors, [], "{state}/{name}");
            if name == "ipvsadm-save" {
                assert_eq!(table.to_save(), Some(text), "{state}/{name}");
            }
            if !["-connections", "-daemon", "-timeout", "_conn"].iter().any(|end| name.ends_with(end)) {
                tables.push((name, table));
            }
        }
        assert!(tables.len() >= if state == "restored" { 1 } else { 4 }, "{state}");
        for (left_name, left) in &tables {
            for (right_name, right) in &tables {
                assert_eq!(left.conflicts(right), [], "{state}: {left_name} and {right_name}");
            }
        }
    }
    let (_, errors) = parse(&std::fs::read_to_string(folder.join("absent/ipvsadm-save.err")).unwrap());
    assert_eq!(errors[0].reason, "the command failed");
}
