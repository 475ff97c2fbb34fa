//! The kernel itself: sets and rule sets that `ipset` and `nft` put into a network namespace of the
//! test's own, read back and compared. Wants root; what the machine cannot do is said.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{collections::BTreeSet, fmt::Write as _};

use e2e::netns::{Dice, Namespace};
use netcore::{
    cidr::Family,
    ipset::{self, SetIndex, SetKind, parse_element},
    nft::{self, ElementIndex, Found, Object, Statement, Value},
};
use serde_json::Value as Json;

/// What a set of that kind may hold or be asked.
struct Members(Dice);

impl Members {
    fn below(&mut self, limit: u64) -> u64 {
        self.0.below(limit)
    }

    /// Few networks, so that members and questions meet.
    fn ip(&mut self, family: Family) -> String {
        let (a, b, c, d) = (self.below(3), self.below(3), self.below(4), self.below(256));
        match family {
            Family::V4 => format!("10.{a}.{b}.{}", c * 64 + d % 4),
            Family::V6 => format!("fd00:{a}::{b}:{}", c * 64 + d % 4),
        }
    }

    fn net(&mut self, kind: SetKind, family: Family) -> String {
        let lengths: &[u8] = match family {
            Family::V4 => &[8, 15, 16, 23, 24, 25, 26, 30, 32],
            Family::V6 => &[16, 32, 96, 111, 112, 120, 122, 128],
        };
        let everything = kind.takes_everything() && self.below(12) == 0;
        let at = usize::try_from(self.below(lengths.len() as u64)).expect("small");
        let length = if everything { 0 } else { lengths[at] };
        format!("{}/{length}", self.ip(family))
    }

    fn part(&mut self, kind: SetKind, dimension: ipset::Dimension, family: Family, member: bool) -> String {
        use ipset::Dimension;
        let pick = |of: &[&str], n: u64| of[usize::try_from(n).expect("small") % of.len()].to_owned();
        match dimension {
            Dimension::Ip if matches!(kind, SetKind::BitmapIp | SetKind::BitmapIpMac) => {
                format!("10.0.0.{}", self.below(60))
            }
            Dimension::Net if member => self.net(kind, family),
            Dimension::Ip | Dimension::Net => self.ip(family),
            Dimension::Port if kind == SetKind::BitmapPort => self.below(60).to_string(),
            Dimension::Port => {
                let n = self.below(6);
                let icmp = if family == Family::V4 { "icmp:echo-request" } else { "icmpv6:echo-request" };
                pick(&["tcp:80", "tcp:81", "udp:80", "sctp:80", "gre:0", icmp], n)
            }
            Dimension::Mac => pick(&["02:00:00:00:00:01", "02:00:00:00:00:02"], self.below(2)),
            Dimension::Mark => pick(&["0x1", "0x101", "0x2"], self.below(3)),
            Dimension::Interface => pick(&["eth0", "eth1", "physdev:eth0", "veth"], self.below(4)),
            Dimension::Set => pick(&["first", "second"], self.below(2)),
        }
    }

    fn element(&mut self, kind: SetKind, family: Family, member: bool) -> String {
        let parts: Vec<String> =
            kind.dimensions().iter().map(|dimension| self.part(kind, *dimension, family, member)).collect();
        parts.join(",")
    }
}

/// Sets of every type: `create` options, and the family.
fn sets() -> Vec<(SetKind, String, Family)> {
    let mut all = Vec::new();
    for (name, kind) in SetKind::NAMES {
        let families: &[Family] = if name.starts_with("hash") && kind != SetKind::HashMac {
            &[Family::V4, Family::V6]
        } else {
            &[Family::V4]
        };
        for family in families {
            let option = match kind {
                SetKind::BitmapPort => " range 0-100".to_owned(),
                SetKind::BitmapIp | SetKind::BitmapIpMac => " range 10.0.0.0/24".to_owned(),
                SetKind::ListSet => " size 8".to_owned(),
                SetKind::HashMac => String::new(),
                _ if *family == Family::V6 => " family inet6".to_owned(),
                _ => " family inet".to_owned(),
            };
            all.push((kind, format!("{name}{option}"), *family));
        }
    }
    all.push((SetKind::HashIp, "hash:ip family inet netmask 24".to_owned(), Family::V4));
    all.push((SetKind::HashIp, "hash:ip family inet6 netmask 64".to_owned(), Family::V6));
    all.push((SetKind::HashIp, "hash:ip family inet bitmask 255.0.255.0".to_owned(), Family::V4));
    all.push((SetKind::HashIpPort, "hash:ip,port family inet netmask 16".to_owned(), Family::V4));
    all.push((SetKind::HashIpMark, "hash:ip,mark family inet markmask 0xff".to_owned(), Family::V4));
    all.push((SetKind::BitmapIp, "bitmap:ip range 10.0.0.0/16 netmask 28".to_owned(), Family::V4));
    all
}

/// How many questions each set is asked.
const QUESTIONS: usize = 150;

#[test]
fn lookups_say_what_the_kernel_says() {
    let Some(namespace) = Namespace::new(&["ipset", "nsenter"]) else { return };
    let mut dice = Members(Dice::new(0x9e37_79b9_7f4a_7c15));
    let (mut compared, mut matched) = (0, 0);
    // one seed of the kernel's hash, so that every run sees the same collisions
    namespace.text(&["ipset", "create", "first", "hash:ip"], "");
    let seeded = namespace.text(&["ipset", "save"], "").contains(" initval ");
    for (kind, create, family) in sets() {
        let seed = if seeded && create.starts_with("hash:") { " initval 0x12345678" } else { "" };
        let create = create + seed;
        // a list lets go of its sets first
        namespace.text(&["ipset", "flush"], "");
        namespace.text(&["ipset", "destroy"], "");
        namespace.text(&["ipset", "restore"], "create first hash:ip\ncreate second hash:ip\n");
        let made = namespace.run(&["ipset", "restore"], &format!("create x {create}\n"));
        if !made.status.success() {
            println!("skipped: this kernel or ipset has no `{create}`");
            continue;
        }
        for _ in 0..40 {
            let mut line = format!("add x {}", dice.element(kind, family, true));
            let nets = kind.dimensions().contains(&ipset::Dimension::Net);
            if nets && dice.below(4) == 0 {
                line.push_str(" nomatch");
            }
            if kind == SetKind::HashNetIface && dice.below(4) == 0 {
                line.push_str(" wildcard");
            }
            // the same twice, or a list's second: refused, and nothing is added
            namespace.run(&["ipset", "restore", "-exist"], &format!("{line}\n"));
        }
        let saved = namespace.text(&["ipset", "save"], "");
        let sets = ipset::parse(saved.as_bytes());
        assert!(sets.problems.is_empty(), "{}\n{saved}", sets.problems);
        assert_eq!(String::from_utf8_lossy(&sets.print()), saved, "{create}");
        let set = sets.get("x").expect("the set");
        assert!(!set.is_empty(), "{create} has no member");
        let index = SetIndex::new(set);
        let asked: BTreeSet<String> = (0..QUESTIONS)
            .map(|_| {
                let member = dice.below(6) == 0;
                dice.element(kind, family, member)
            })
            .collect();
        let script = "while read -r element; do if ipset -q test x \"$element\"; then echo yes; else echo no; fi; done";
        let questions: String = asked.iter().fold(String::new(), |mut all, element| {
            let _ = writeln!(all, "{element}");
            all
        });
        let answers = namespace.text(&["sh", "-c", script], &questions);
        for (element, answer) in asked.iter().zip(answers.lines()) {
            // the kernel takes no prefix of length 0 to ask for either
            let Ok(parsed) = parse_element(kind, set.family(), element) else { continue };
            let ours = index.test(&parsed);
            assert_eq!(ours.matches(), Some(answer == "yes"), "{create}: {element} is {ours:?} in\n{saved}");
            compared += 1;
            matched += usize::from(answer == "yes");
        }
    }
    println!("{compared} questions, {matched} of them matches");
    assert!(compared > 1000 && matched > 200, "{compared} questions, {matched} matches");
}

#[test]
fn printed_sets_are_taken_by_ipset_and_saved_again_equal() {
    let Some(namespace) = Namespace::new(&["ipset", "nsenter"]) else { return };
    let mut dice = Members(Dice::new(77));
    let mut text = String::new();
    for (number, (kind, create, family)) in sets().into_iter().enumerate() {
        if kind == SetKind::ListSet
            || !namespace.run(&["ipset", "restore"], &format!("create try {create}\ndestroy try\n")).status.success()
        {
            continue;
        }
        let _ = writeln!(text, "create set-{number} {create} counters comment skbinfo timeout 0");
        // a queue of 0 is not printed, and any member may come first
        for entry in 1..=20 {
            let element = dice.element(kind, family, true);
            let _ = writeln!(
                text,
                "add set-{number} {element} timeout 0 packets {entry} bytes 18446744073709551614 comment \"{entry} 'ü' \\ ;\" \
                 skbmark 0x{entry:x}/0xff skbprio 1:{entry:x} skbqueue {entry}"
            );
        }
    }
    let _ = writeln!(text, "create list list:set size 8\nadd list set-0\nadd list set-1");
    namespace.text(&["ipset", "restore", "-exist"], &text);
    let saved = namespace.text(&["ipset", "save"], "");
    let listed = namespace.text(&["ipset", "list"], "");
    let terse = namespace.text(&["ipset", "list", "-t"], "");
    let sets = ipset::parse(saved.as_bytes());
    assert!(sets.problems.is_empty(), "{}", sets.problems);
    assert_eq!(String::from_utf8_lossy(&sets.print()), saved);
    let list = ipset::parse(listed.as_bytes());
    assert!(list.problems.is_empty(), "{}", list.problems);
    assert_eq!(String::from_utf8_lossy(&list.print()), listed);
    let heads = ipset::parse(terse.as_bytes());
    assert!(heads.problems.is_empty(), "{}", heads.problems);
    for ((a, b), c) in sets.sets.iter().zip(&list.sets).zip(&heads.sets) {
        assert_eq!((a.name, a.kind, &a.options), (b.name, b.kind, &b.options));
        assert!(a.members().expect("members").eq(b.members().expect("members")), "{}", a.name);
        assert_eq!(b.entries, a.len(), "{}", a.name);
        assert_eq!((c.entries, c.memory, c.references), (b.entries, b.memory, b.references), "{}", a.name);
    }
    assert_eq!(list.get("set-0").expect("there").references, Some(1), "the list refers to it");
    let member = sets.sets[0].member(0).expect("one").options;
    let entry = member.packets.expect("counted");
    assert_eq!(member.bytes, Some(u64::MAX - 1));
    assert_eq!(member.comment, Some(format!("{entry} 'ü' \\ ;").as_bytes()));
    assert_eq!(member.skbmark.map(|mark| (u64::from(mark.value), mark.mask)), Some((entry, 0xff)));
    assert_eq!(member.skbprio.map(|(major, minor)| (major, u64::from(minor))), Some((1, entry)));
    assert_eq!(member.skbqueue.map(u64::from), Some(entry));

    namespace.text(&["ipset", "flush"], "");
    namespace.text(&["ipset", "destroy"], "");
    let printed = String::from_utf8(list.save()).expect("UTF-8");
    namespace.text(&["ipset", "restore"], &printed);
    let again = namespace.text(&["ipset", "save"], "");
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&again), sorted(&saved));
}

/// What every rule may name.
const TABLES: &str = r#"
table inet t {
  counter c1 { }
  quota q1 { over 100 mbytes; }
  limit l1 { rate 10/second burst 5 packets; }
  set s { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 80-90, 10.1.0.0-10.1.0.5 . 443 } ; }
  set d { type ipv4_addr; flags dynamic,timeout; size 65535; timeout 1m; }
  set ctr { type ipv4_addr; counter; elements = { 1.1.1.1 counter packets 3 bytes 4, 2.2.2.2 } ; }
  set ifs { type ifname; flags interval; elements = { "eth*", "lo" } ; }
  set v6 { type ipv6_addr; flags interval; elements = { fd00::/8, ::1, fe80::1-fe80::9 } ; }
  map m { type ipv4_addr : inet_service; flags interval; elements = { 10.0.0.0/8 : 80, 11.0.0.1 : 81 } ; }
  map vm { type inet_proto . inet_service : verdict; flags interval; elements = { tcp . 80 : accept, udp . 1-5 : drop, 17 . 99 : drop } ; }
  chain x { }
  chain y { }
}
table ip n {
  chain pre { type nat hook prerouting priority dstnat; policy accept; }
  chain post { type nat hook postrouting priority srcnat; policy accept; }
}
"#;

/// Rules, each in a chain.
const RULES: &[&str] = &[
    "inet t y ct state established,related accept comment \"hi there ü\"",
    "inet t y ct state vmap { invalid : drop, new : jump x }",
    "inet t y meta l4proto { tcp, udp } th dport { 80, 443-445 } counter packets 5 bytes 6 accept",
    "inet t y iifname \"lo\" accept",
    "inet t y oifname != \"eth*\" drop",
    "inet t y ip saddr . tcp dport @s accept",
    "inet t y meta l4proto . th dport vmap @vm",
    "inet t y ip saddr 10.0.0.0/8 ip daddr != 10.1.0.0-10.2.0.0 accept",
    "inet t y tcp flags syn / fin,syn,rst,ack tcp option maxseg size 1-500 drop",
    "inet t y limit rate 10/second burst 5 packets accept",
    "inet t y limit rate over 10 mbytes/second drop",
    "inet t y limit name \"l1\" accept",
    "inet t y quota over 25 mbytes drop",
    "inet t y quota name \"q1\" drop",
    "inet t y counter name \"c1\"",
    "inet t y log prefix \"foo \" level debug flags all",
    "inet t y log group 2 snaplen 33 queue-threshold 20",
    "inet t y reject with icmpx type admin-prohibited",
    "inet t y reject with tcp reset",
    "inet t y reject",
    "inet t y meta mark set meta mark and 0xff or 0x10",
    "inet t y ct mark set meta mark",
    "inet t y meta mark & 0x00ff0000 == 0x00100000 goto x",
    "inet t y meta priority set 1:2",
    "inet t y ct original ip saddr 1.1.1.1 accept",
    "inet t y ct count over 20 drop",
    "inet t y queue num 0-3 bypass,fanout",
    "inet t y meta skuid 0 accept",
    "inet t y socket transparent 1 accept",
    "inet t y fib saddr . iif oif missing drop",
    "inet t y fib daddr type local accept",
    "inet t y numgen random mod 4 vmap { 0 : accept, 1-2 : drop, 3 : goto x }",
    "inet t y numgen inc mod 10 offset 5 < 7 accept",
    "inet t y jhash ip saddr . tcp dport mod 10 seed 0xdeadbeef offset 3 4 accept",
    "inet t y symhash mod 2 1 accept",
    "inet t y add @d { ip saddr }",
    "inet t y update @d { ip saddr timeout 10s limit rate 5/second }",
    "inet t y add @d { ip saddr counter }",
    "inet t y meter mm { ip saddr limit rate 5/second }",
    "inet t y synproxy mss 1460 wscale 7 timestamp sack-perm",
    "inet t y notrack",
    "inet t y ip dscp set cs1",
    "inet t y exthdr hbh exists accept",
    "inet t y icmp type echo-request icmp code 0 accept",
    "inet t y icmpv6 type { nd-neighbor-solicit, 150 } accept",
    "inet t y ether saddr 01:02:03:04:05:06 accept",
    "inet t y vlan id 5 accept",
    "inet t y @th,16,16 53 accept",
    "inet t y @nh,0,8 & 0xf == 5 drop",
    "inet t y meta day \"Monday\" accept",
    "inet t y meta hour \"10:00\"-\"12:00\" accept",
    "inet t y rt classid 5 accept",
    "inet t y ipsec in reqid 1 accept",
    "inet t y osf name \"Linux\" accept",
    "inet t y sctp chunk data tsn 5 accept",
    "inet t y tcp option sack0 left 5 accept",
    "inet t y meta mark set ip saddr map { 10.0.0.1 : 0x1, 10.0.0.2 : 0x2 }",
    "inet t y meta mark set numgen inc mod 2 map { 0 : 1, 1 : 2 }",
    "inet t y meta mark set ct mark << 8",
    "inet t y reset tcp option sack-perm",
    "inet t y continue",
    "inet t y return",
    "ip n pre dnat to 1.1.1.1",
    "ip n pre tcp dport 80 dnat to 1.1.1.1:80",
    "ip n pre tcp dport 80 dnat to 1.1.1.1-1.1.1.9:80-90 random,persistent",
    "ip n pre dnat to numgen random mod 2 map { 0 : 1.1.1.1, 1 : 2.2.2.2 }",
    "ip n pre ip protocol tcp dnat ip to numgen random mod 2 map { 0 : 1.1.1.1 . 80, 1 : 2.2.2.2 . 81 }",
    "ip n pre dnat ip prefix to ip daddr map { 10.0.0.0/24 : 11.0.0.0/24 }",
    "ip n pre tcp dport 80 redirect to :8080 random",
    "ip n pre redirect",
    "ip n pre ip daddr . meta l4proto . th dport vmap { 1.1.1.1 . tcp . 80 : accept }",
    "ip n post masquerade",
    "ip n post tcp dport 5 masquerade to :1024-65535 random,fully-random",
    "ip n post snat to 1.1.1.1-1.1.1.4 fully-random",
];

/// A listing without what the kernel counts up.
fn bare(text: &str) -> Json {
    fn strip(value: &mut Json) {
        match value {
            Json::Object(map) => {
                map.retain(|key, _| key != "handle" && key != "metainfo");
                map.values_mut().for_each(strip);
            }
            Json::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value: Json = serde_json::from_str(text).expect("JSON");
    strip(&mut value);
    value
}

#[test]
fn printed_rules_are_to_nft_what_its_own_are() {
    let Some(namespace) = Namespace::new(&["nft", "nsenter"]) else { return };
    let list = || namespace.text(&["nft", "-j", "list", "ruleset"], "");
    let load = |text: &str| {
        namespace.text(&["nft", "flush", "ruleset"], "");
        let taken = namespace.run(&["nft", "-j", "-f", "-"], text).status.success();
        (taken, bare(&list()))
    };
    let (mut taken, mut again) = (0, 0);
    for rule in RULES {
        namespace.text(&["nft", "flush", "ruleset"], "");
        namespace.text(&["nft", "-f", "-"], TABLES);
        if !namespace.run(&["nft", "-f", "-"], &format!("add rule {rule}\n")).status.success() {
            println!("skipped: this kernel or nft does not take `{rule}`");
            continue;
        }
        taken += 1;
        let theirs = list();
        let ruleset = nft::parse(theirs.as_bytes());
        assert!(ruleset.problems.is_empty(), "{rule}: {}", ruleset.problems);
        assert_eq!(ruleset.rules().count(), 1, "{rule}");
        let unknown = |statement: &Statement<'_>| {
            let mut unknown = matches!(statement, Statement::Unknown(_));
            statement.walk(&mut |expr| unknown |= matches!(expr, nft::Expr::Unknown(_)));
            unknown
        };
        let statements: Vec<Statement<'_>> = ruleset.rules().flat_map(nft::Rule::statements).collect();
        assert!(!statements.is_empty() && !statements.iter().any(unknown), "{rule}: {statements:?}");
        assert!(!ruleset.objects.iter().any(|object| matches!(object, Object::Unknown(_))), "{rule}: {theirs}");
        let ours = String::from_utf8(ruleset.print()).expect("UTF-8");
        let same = |text: &str| serde_json::from_str::<Json>(text).expect("JSON");
        assert_eq!(same(&ours), same(&theirs), "{rule}");
        // nft does not take all that it prints; where it does, it takes ours the same
        let (theirs, ours) = (load(&theirs), load(&ours));
        assert_eq!(theirs, ours, "{rule}");
        again += usize::from(ours.0);
    }
    println!("{taken} of {} rules taken, {again} of them back from JSON", RULES.len());
    assert!(taken > RULES.len() / 2, "only {taken} of {} rules were taken", RULES.len());
}

#[test]
fn members_are_found_where_nft_finds_them() {
    let Some(namespace) = Namespace::new(&["nft", "nsenter"]) else { return };
    let mut dice = Dice::new(4711);
    // blocks of 64 addresses each, so that members do not overlap
    let members: Vec<String> = (0..40_u64)
        .map(|block| {
            let (network, host) = (format!("10.{}.{}", block / 16, block % 16), dice.below(4) * 64);
            match dice.below(3) {
                0 => format!("{network}.{host}"),
                1 => format!("{network}.{host}/{}", 26 + dice.below(6)),
                _ => format!("{network}.{}-{network}.{}", host + 1, host + 2 + dice.below(9)),
            }
        })
        .collect();
    let text = format!(
        "table ip t {{ set s {{ type ipv4_addr; flags interval; elements = {{ {}, 10.9.0.5-10.9.0.77 }} ; }} ; }}",
        members.join(", ")
    );
    namespace.text(&["nft", "-f", "-"], &text);
    let listed = namespace.text(&["nft", "-j", "list", "ruleset"], "");
    let ruleset = nft::parse(listed.as_bytes());
    let index = ElementIndex::new(ruleset.sets().next().expect("a set"));
    assert_eq!(index.unknown(), 0);
    let mut inside = 0;
    for _ in 0..300 {
        let ip = match dice.below(4) {
            0 => format!("10.9.0.{}", dice.below(90)),
            _ => format!("10.{}.{}.{}", dice.below(3), dice.below(16), dice.below(4) * 64 + dice.below(8)),
        };
        let kernel =
            namespace.run(&["nft", "get", "element", "ip", "t", "s", &format!("{{ {ip} }}")], "").status.success();
        let ours = index.find(&[Value::from(ip.parse::<std::net::IpAddr>().expect("an address"))]);
        assert_eq!(matches!(ours, Found::At(_)), kernel, "{ip} in {listed}");
        inside += usize::from(kernel);
    }
    assert!(inside > 20, "{inside} of 300 were inside");
}
