//! What holds for every set: text and model agree, lookups agree with a search through all members.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::cidr::{Cidr, Family};

/// Printed by ipset 7.17 on Linux 6.18 for sets made to have every option; bytes as they came.
const SAVED: &str = r#"create a hash:ip family inet hashsize 64 maxelem 1000 netmask 24 timeout 600 counters comment skbinfo bucketsize 12 initval 0xdb988d71
add a 10.1.2.0 timeout 0 packets 3 bytes 4 comment "x  y" skbmark 0x1/0xff skbprio 1:10 skbqueue 3
create a6 hash:ip family inet6 hashsize 1024 maxelem 65536 timeout 600 counters comment skbinfo bucketsize 12 initval 0x9179a1f8
add a6 ::2:3:4:5:6 timeout 599 packets 0 bytes 0
add a6 ::ffff:1.2.3.4 timeout 599 packets 0 bytes 0
add a6 ::1 timeout 599 packets 0 bytes 0
add a6 ::1.2.3.4 timeout 599 packets 0 bytes 0
create bm hash:ip family inet hashsize 1024 maxelem 65536 bitmask 255.0.255.0 bucketsize 12 initval 0xebc4bf7e
add bm 10.0.2.0
create n hash:net family inet hashsize 1024 maxelem 65536 timeout 600 counters comment skbinfo bucketsize 12 initval 0xb1f64772
add n 10.0.0.4/31 timeout 599 packets 0 bytes 0
add n 10.0.0.0/7 timeout 599 packets 0 bytes 0 comment "a;b\c 'd"
add n 10.0.0.0/8 timeout 4 nomatch packets 1 bytes 2 comment "q" skbmark 0xffff skbprio 1:1 skbqueue 1
create ip hash:ip,port family inet hashsize 1024 maxelem 65536 timeout 600 counters comment skbinfo bucketsize 12 initval 0x28af9665
add ip 1.1.1.1,253:0 timeout 599 packets 0 bytes 0
add ip 1.1.1.1,vrrp:0 timeout 599 packets 0 bytes 0
add ip 1.1.1.1,udp:53 timeout 599 packets 0 bytes 0
add ip 1.1.1.1,icmp:200/3 timeout 599 packets 0 bytes 0
add ip 1.1.1.1,icmp:echo-request timeout 599 packets 0 bytes 0
create ip6 hash:ip,port family inet6 hashsize 1024 maxelem 65536 bucketsize 12 initval 0xbf2fe63e
add ip6 fe80::1,ipv6-icmp:200/1
add ip6 fe80::1,ipv6-icmp:no-route
create ipn hash:ip,port,net family inet hashsize 1024 maxelem 65536 timeout 600 counters comment skbinfo bucketsize 12 initval 0x3b5009f6
add ipn 1.1.1.1,tcp:80,2.2.2.0/24 timeout 599 nomatch packets 0 bytes 0
create ni hash:net,iface family inet hashsize 1024 maxelem 65536 timeout 600 counters comment skbinfo bucketsize 12 initval 0x4f72ba2e
add ni 1.1.1.0/24,eth timeout 599 wildcard packets 0 bytes 0 comment "x"
add ni 2.0.0.0/8,physdev:e timeout 2 nomatch wildcard packets 0 bytes 0
add ni 0.0.0.0/0,physdev:eth1 timeout 599 nomatch packets 0 bytes 0
create bi bitmap:ip range 10.0.0.0-10.0.255.255 netmask 24 timeout 600 counters comment skbinfo
add bi 10.0.3.0 timeout 8 packets 0 bytes 0
create bim bitmap:ip,mac range 10.0.0.0-10.0.0.255 timeout 600 counters comment skbinfo
add bim 10.0.0.1 timeout 600 packets 0 bytes 0
add bim 10.0.0.2,01:02:03:AA:BB:CC timeout 599 packets 0 bytes 0 comment "z"
create bp bitmap:port range 0-1000 timeout 600 counters comment skbinfo
add bp 5 timeout 599 packets 0 bytes 0
create sp ace hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x6632f6f9
add sp ace 1.1.1.1
create ipm hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0xe5b37af7 netmask 16
add ipm 10.1.0.0,tcp:5
create l list:set size 4 timeout 600 counters comment skbinfo
add l bp timeout 599 packets 0 bytes 0
add l sp ace timeout 599 packets 0 bytes 0
"#;

/// The same tool's `list`.
const LISTED: &str = "Name: a
Type: hash:ip
Revision: 6
Header: family inet hashsize 64 maxelem 1000 netmask 24 timeout 600 counters comment skbinfo bucketsize 12 initval 0xdb988d71
Size in memory: 381
References: 1
Number of entries: 1
Members:
10.1.2.0 timeout 0 packets 3 bytes 4 comment \"x  y\" skbmark 0x1/0xff skbprio 1:10 skbqueue 3

Name: l
Type: list:set
Revision: 3
Header: size 4 timeout 600 counters comment skbinfo
Size in memory: 272
References: 0
Number of entries: 2
Members:
bp timeout 599 packets 0 bytes 0
a timeout 599 packets 0 bytes 0
";

fn clean(text: &str) -> IpSets<'_> {
    let sets = parse(text.as_bytes());
    assert!(sets.problems.is_empty(), "{}", sets.problems);
    sets
}

fn test(text: &str, name: &str, element: &str) -> Answer {
    let sets = clean(text);
    let set = sets.get(name).expect("the set");
    SetIndex::new(set).test(&parse_element(set.kind, set.family(), element).expect("an element"))
}

#[test]
fn what_the_tool_printed_comes_back_byte_by_byte() {
    assert_eq!(String::from_utf8_lossy(&clean(SAVED).print()), SAVED);
    assert_eq!(String::from_utf8_lossy(&clean(LISTED).print()), LISTED);
}

#[test]
fn save_and_list_give_the_same_model_as_far_as_each_carries_it() {
    let listed = clean(LISTED);
    let text = listed.save();
    let saved = parse(&text);
    for (a, b) in listed.sets.iter().zip(&saved.sets) {
        assert_eq!((a.name, a.kind, &a.options), (b.name, b.kind, &b.options));
        assert!(a.members().expect("members").eq(b.members().expect("members")));
        assert_eq!((b.revision, b.memory, b.references, b.entries), (None, None, None, None));
    }
    let set = listed.get("a").expect("a");
    assert_eq!((set.revision, set.memory, set.references, set.entries), (Some(6), Some(381), Some(1), Some(1)));
}

#[test]
fn a_terse_list_says_how_many_and_not_which() {
    let terse = "Name: a\nType: hash:ip\nRevision: 6\nHeader: family inet hashsize 64 maxelem 1000\n\
                 Size in memory: 381\nReferences: 1\nNumber of entries: 7\n";
    let sets = clean(terse);
    let set = sets.get("a").expect("a");
    assert!(set.members().is_none());
    assert_eq!(set.len(), Some(7));
    assert!(matches!(test(terse, "a", "1.1.1.1"), Answer::Unknown(_)));
    assert_eq!(String::from_utf8_lossy(&sets.print()), terse);
}

#[test]
fn a_damaged_line_is_a_problem_and_the_rest_stays() {
    let text = b"ipset v7.17: Kernel error received: Operation not permitted\ncreate a hash:ip family inet timeout x\n\
                 add a 1.2.3.4\nadd a 1.2.3\nadd b 1.2.3.4\nadd a 1.2.3.5 comment \"never\nadd a 1.2.3.6 bogus 3\n\
                 add a 1.2.3.7 timeout -1\nadd a\nadd a 1.2.3.8\ncreate a hash:ip\nadd a \xff\n";
    let sets = parse(text);
    let found: Vec<String> =
        sets.problems.kept().iter().map(|p| format!("{}:{} {}", p.line, p.column, p.token)).collect();
    assert_eq!(
        found,
        [
            "1:1 ipset v7.17: Kernel error received: Operation not permitted",
            "2:38 x",
            "4:7 1.2.3",
            "5:5 b",
            "6:23 \"never",
            "7:15 bogus",
            "8:23 -1",
            "9:5 a",
            "11:8 a",
            "12:7 \u{fffd}"
        ]
    );
    let first: Vec<String> = sets.sets[0].members().expect("members").map(|m| m.element.to_string()).collect();
    assert_eq!(first, ["1.2.3.4", "1.2.3.8"]);
    assert_eq!(sets.sets.len(), 2);
}

#[test]
fn two_dumps_in_one_file_are_said_to_be_two() {
    let sets = parse(b"create a hash:ip\nadd a 1.1.1.1\ncreate a hash:ip\nadd a 2.2.2.2\n");
    assert!(sets.problems.first().expect("one").reason.contains("two dumps"));
    assert_eq!(sets.sets.iter().map(IpSet::len).collect::<Vec<_>>(), [Some(1), Some(1)]);
}

#[test]
fn a_type_that_is_not_known_keeps_its_members() {
    let text = "create a hash:ip,vlan family inet\nadd a 1.1.1.1,7 timeout 3\n";
    assert_eq!(clean(text).print(), text.as_bytes());
    let sets = clean(text);
    assert!(matches!(SetIndex::new(&sets.sets[0]).test(&Element::new(&[])), Answer::Unknown(_)));
}

#[test]
fn an_option_that_is_not_known_is_kept_and_named() {
    let sets = parse(b"create a hash:ip family inet probes 4\n");
    assert_eq!(sets.problems.count(), 2);
    assert_eq!(sets.print(), b"create a hash:ip family inet probes 4\n");
}

#[test]
fn nothing_of_length_zero_where_the_kernel_takes_none() {
    assert_eq!(parse(b"create a hash:net\nadd a 0.0.0.0/0\n").problems.count(), 1);
    assert!(parse(b"create a hash:net,iface\nadd a 0.0.0.0/0,eth0\n").problems.is_empty());
}

#[test]
fn the_longest_prefix_decides_also_where_it_excludes() {
    let text = "create n hash:net\nadd n 10.0.0.0/8\nadd n 10.1.0.0/16 nomatch\nadd n 10.1.2.0/24\n";
    assert_eq!(test(text, "n", "10.2.0.1"), Answer::In(0));
    assert_eq!(test(text, "n", "10.1.9.1"), Answer::Excluded(1));
    assert_eq!(test(text, "n", "10.1.2.3"), Answer::In(2));
    assert_eq!(test(text, "n", "11.0.0.1"), Answer::Out);
    // a network is looked for as it is
    assert_eq!(test(text, "n", "10.2.0.0/16"), Answer::Out);
    assert_eq!(test(text, "n", "10.0.0.0/8"), Answer::In(0));
}

#[test]
fn of_two_prefixes_the_first_is_fixed_before_the_second() {
    let text = "create n hash:net,net\nadd n 10.0.0.0/8,20.1.1.0/24\nadd n 10.1.0.0/16,20.0.0.0/8 nomatch\n";
    assert_eq!(test(text, "n", "10.1.0.1,20.1.1.1"), Answer::Excluded(1));
    assert_eq!(test(text, "n", "10.2.0.1,20.1.1.1"), Answer::In(0));
    assert_eq!(test(text, "n", "10.2.0.1,20.2.1.1"), Answer::Out);
}

#[test]
fn a_prefix_that_is_there_hides_shorter_ones_from_other_interfaces() {
    let text = "create n hash:net,iface\nadd n 10.0.0.0/8,eth0\nadd n 10.1.0.0/16,eth1\nadd n 0.0.0.0/0,ve wildcard\n";
    assert_eq!(test(text, "n", "10.1.0.1,eth1"), Answer::In(1));
    assert_eq!(test(text, "n", "10.1.0.1,eth0"), Answer::Out);
    assert_eq!(test(text, "n", "11.1.0.1,veth0"), Answer::In(2));
    let text = "create n hash:net,iface\nadd n 10.1.0.0/16,eth1\nadd n 10.0.0.0/8,physdev:eth0\n";
    assert_eq!(test(text, "n", "10.1.0.1,physdev:eth0"), Answer::In(1), "a bridge port is hidden by none");
}

#[test]
fn ports_have_protocols_and_hand_written_ranges() {
    let text = "create p hash:ip,port\nadd p 10.0.0.0/30,tcp:80-90\nadd p 1.1.1.1,53\nadd p 1.1.1.1,icmp:ping\n";
    assert_eq!(test(text, "p", "10.0.0.3,tcp:85"), Answer::In(0));
    assert_eq!(test(text, "p", "10.0.0.3,udp:85"), Answer::Out);
    assert_eq!(test(text, "p", "10.0.0.4,tcp:85"), Answer::Out);
    assert_eq!(test(text, "p", "1.1.1.1,tcp:53"), Answer::In(1));
    assert_eq!(test(text, "p", "1.1.1.1,icmp:8/0"), Answer::In(2));
}

#[test]
fn masks_are_laid_on_what_is_asked() {
    assert_eq!(test(SAVED, "a", "10.1.2.77"), Answer::In(0));
    assert_eq!(test(SAVED, "bm", "10.99.2.77"), Answer::In(0));
    assert_eq!(test(SAVED, "bi", "10.0.3.200"), Answer::In(0));
    assert_eq!(test(SAVED, "ipm", "10.1.200.200,5"), Answer::In(0));
    let text = "create m hash:ip,mark markmask 0x000000ff\nadd m 1.1.1.1,0x00000063\n";
    assert_eq!(test(text, "m", "1.1.1.1,0x163"), Answer::In(0));
}

#[test]
fn an_entry_without_hardware_address_takes_any() {
    assert_eq!(test(SAVED, "bim", "10.0.0.1,00:00:00:00:00:01"), Answer::In(0));
    assert_eq!(test(SAVED, "bim", "10.0.0.2,00:00:00:00:00:01"), Answer::Out);
    assert_eq!(test(SAVED, "bim", "10.0.0.2,01:02:03:aa:bb:cc"), Answer::In(1));
    assert_eq!(test(SAVED, "bim", "10.0.0.2"), Answer::In(1));
}

#[test]
fn a_packet_is_seen_by_dimension_and_side() {
    let text = "create p hash:ip,port\nadd p 10.0.0.1,tcp:80\ncreate six hash:net family inet6\nadd six fd00::/8\n\
                create ports bitmap:port range 0-65535\nadd ports 80\ncreate l list:set size 8\nadd l six\nadd l p\n";
    let sets = clean(text);
    let table = SetTable::new(&sets);
    let packet = Packet {
        addresses: (IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))),
        protocol: 6,
        ports: Some((40000, 80)),
        icmp: None,
        macs: None,
        interfaces: (None, None),
        mark: None,
    };
    let (src, dst) = (Side::Source, Side::Destination);
    assert_eq!(table.matches("p", &packet, &[dst, dst]), Answer::In(0));
    assert_eq!(table.matches("p", &packet, &[src, dst]), Answer::Out);
    assert_eq!(table.matches("p", &packet, &[dst, src]), Answer::Out);
    assert_eq!(table.matches("p", &packet, &[dst]), Answer::Out, "fewer sides than dimensions");
    assert_eq!(table.matches("six", &packet, &[dst]), Answer::Out, "another family");
    assert_eq!(table.matches("l", &packet, &[dst, dst]), Answer::In(1));
    assert_eq!(table.matches("ports", &packet, &[dst]), Answer::In(0));
    assert_eq!(table.matches("ports", &Packet { protocol: 132, ..packet }, &[dst]), Answer::Out);
    assert!(matches!(table.matches("none", &packet, &[dst]), Answer::Unknown(_)));
    assert!(matches!(table.matches("p", &Packet { ports: None, ..packet }, &[dst, dst]), Answer::Unknown(_)));
}

fn ip(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        // few networks, so that members and questions meet
        Family::V4 => (10_u8..12, 0_u8..3, 0_u8..3, any::<u8>())
            .prop_map(|(a, b, c, d)| IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
            .boxed(),
        Family::V6 => (0xfd00_u16..0xfd02, 0_u16..3, any::<u16>())
            .prop_map(|(a, b, c)| IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, c)))
            .boxed(),
    }
}

fn part(dimension: Dimension, family: Family) -> BoxedStrategy<String> {
    match dimension {
        Dimension::Ip => ip(family).prop_map(|ip| ip.to_string()).boxed(),
        Dimension::Net => (ip(family), 1..=family.bits())
            .prop_map(|(ip, length)| {
                let cidr = Cidr::covering(ip, length).expect("fits");
                if cidr.host_bits() == 0 { cidr.first().to_string() } else { cidr.to_string() }
            })
            .boxed(),
        Dimension::Port => ("tcp|udp|sctp|gre|253", 0_u16..100).prop_map(|(p, n)| format!("{p}:{n}")).boxed(),
        Dimension::Mac => any::<[u8; 6]>().prop_map(|bytes| bytes.map(|byte| format!("{byte:02X}")).join(":")).boxed(),
        Dimension::Mark => any::<u32>().prop_map(|mark| format!("0x{mark:08x}")).boxed(),
        Dimension::Interface => "(physdev:)?[a-z]{1,4}[0-9]".boxed(),
        Dimension::Set => "[A-Za-z][A-Za-z0-9:_-]{0,30}".boxed(),
    }
}

prop_compose! {
    fn options()(
        timeout in proptest::option::of(any::<u32>()),
        nomatch in any::<bool>(),
        counters in proptest::option::of(any::<(u64, u64)>()),
        comment in proptest::option::of("[^\"\n\r]{0,20}"),
        skb in proptest::option::of(any::<(u32, u32, u16, u16, u16)>()),
    ) -> String {
        let mut text = String::new();
        text.extend(timeout.map(|n| format!(" timeout {n}")));
        text.push_str(if nomatch { " nomatch" } else { "" });
        text.extend(counters.map(|(p, b)| format!(" packets {p} bytes {b}")));
        text.extend(comment.map(|c| format!(" comment \"{c}\"")));
        text.extend(skb.map(|(value, mask, major, minor, queue)| {
            let mask = if mask == u32::MAX { String::new() } else { format!("/0x{mask:x}") };
            format!(" skbmark 0x{value:x}{mask} skbprio {major:x}:{minor:x} skbqueue {queue}")
        }));
        text
    }
}

fn member(kind: SetKind, family: Family) -> BoxedStrategy<String> {
    let parts: Vec<_> = kind.dimensions().iter().map(|dimension| part(*dimension, family)).collect();
    (parts, options()).prop_map(|(parts, options)| parts.join(",") + &options).boxed()
}

fn set() -> impl Strategy<Value = String> {
    let kind = proptest::sample::select(&SetKind::NAMES[..]);
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    (kind, family, "[a-zA-Z0-9:._-]{1,31}").prop_flat_map(|((kind_name, kind), family, name)| {
        let bitmap = kind_name.starts_with("bitmap");
        let family = if bitmap { Family::V4 } else { family };
        let members = proptest::collection::vec(member(kind, family), 0..8);
        members.prop_map(move |members| {
            let options = match (kind, family) {
                (SetKind::ListSet, _) => " size 8".to_owned(),
                (SetKind::BitmapPort, _) => " range 0-65535".to_owned(),
                _ if bitmap => " range 10.0.0.0-11.255.255.255".to_owned(),
                (_, Family::V4) => " family inet hashsize 1024 maxelem 65536 counters comment".to_owned(),
                (_, Family::V6) => " family inet6 hashsize 1024 maxelem 65536 forceadd".to_owned(),
            };
            let mut lines = vec![format!("create {name} {kind_name}{options}")];
            lines.extend(members.iter().map(|member| format!("add {name} {member}")));
            lines.join("\n") + "\n"
        })
    })
}

/// By hand: every member is looked at, the longest first prefix wins, then the longest second.
fn search(set: &IpSet<'_>, wanted: &Element<'_>) -> Answer {
    let lengths = |element: &Element<'_>| -> Vec<u8> {
        element
            .parts()
            .filter_map(|part| if let Part::Net(net) = part { Some(net.prefix_len()) } else { None })
            .collect()
    };
    let fits = |member: &Element<'_>| {
        member.parts().zip(wanted.parts()).all(|(held, asked)| match (held, asked) {
            (Part::Net(held), Part::Net(asked)) => held.contains_ip(asked.first()),
            (Part::Port(held), Part::Port(asked)) => {
                held.first == asked.first
                    && held.protocol.map_or(Some(6), |p| p.number) == asked.protocol.map_or(Some(6), |p| p.number)
            }
            (held, asked) => held == asked,
        })
    };
    let members = set.members().expect("members").enumerate().filter(|(_, member)| fits(&member.element));
    let best = members.max_by(|(i, a), (j, b)| lengths(&a.element).cmp(&lengths(&b.element)).then(j.cmp(i)));
    match best {
        Some((at, member)) if member.options.nomatch => Answer::Excluded(at),
        Some((at, _)) => Answer::In(at),
        None => Answer::Out,
    }
}

proptest! {
    #[test]
    fn generated_sets_print_and_parse_back(text in set()) {
        let sets = parse(text.as_bytes());
        prop_assert!(sets.problems.is_empty(), "{}", sets.problems);
        prop_assert_eq!(String::from_utf8(sets.save()).expect("UTF-8"), text.clone());
        let listed = sets.list();
        let again = parse(&listed);
        prop_assert!(again.problems.is_empty(), "{}", again.problems);
        prop_assert_eq!(String::from_utf8(again.save()).expect("UTF-8"), text);
    }

    #[test]
    fn any_bytes_are_read_without_falling_over(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let sets = parse(&bytes);
        let printed = sets.print();
        let again = parse(&printed);
        prop_assert_eq!(again.sets.len(), sets.sets.len());
    }

    #[test]
    fn damaged_text_is_read_without_falling_over(
        cut in 0..SAVED.len(),
        at in 0..SAVED.len(),
        byte in any::<u8>(),
    ) {
        let mut bytes = SAVED.as_bytes().to_vec();
        bytes[at] = byte;
        bytes.truncate(cut);
        let sets = parse(&bytes);
        for set in &sets.sets {
            let index = SetIndex::new(set);
            for member in set.members().into_iter().flatten() {
                index.test(&member.element);
            }
        }
    }

    #[test]
    fn lookups_agree_with_a_search_through_all_members(
        (members, asked) in prop_oneof![
            Just(SetKind::HashNet), Just(SetKind::HashNetNet), Just(SetKind::HashIpPortNet),
            Just(SetKind::HashNetPort), Just(SetKind::HashNetPortNet), Just(SetKind::HashIpPort), Just(SetKind::HashIp)
        ].prop_flat_map(|kind| {
            let host: Vec<_> = kind.dimensions().iter().map(|dimension| match dimension {
                Dimension::Net => ip(Family::V4).prop_map(|ip| ip.to_string()).boxed(),
                other => part(*other, Family::V4),
            }).collect();
            let name = SetKind::NAMES.iter().find(|(_, k)| *k == kind).expect("named").0;
            let members = proptest::collection::vec(member(kind, Family::V4), 0..30)
                .prop_map(move |members| {
                    let mut lines = vec![format!("create x {name} family inet")];
                    lines.extend(members.iter().map(|member| format!("add x {member}")));
                    lines.join("\n")
                });
            (members, proptest::collection::vec(host.prop_map(|parts| parts.join(",")), 1..20))
        })
    ) {
        let sets = clean(&members);
        let index = SetIndex::new(&sets.sets[0]);
        for text in &asked {
            let element = parse_element(sets.sets[0].kind, Some(Family::V4), text).expect("an element");
            prop_assert_eq!(index.test(&element), search(&sets.sets[0], &element), "{} in\n{}", text, members);
        }
    }
}
