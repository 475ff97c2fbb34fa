//! The real kernel and both variants of iptables beside ours, in network namespaces of the test's own:
//! what they put in is read back field by field, and what we print they take and save again the same.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test stops at once, with its reason, and says what it skips"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Output,
};

use e2e::{netns::Namespace, stderr};
use netcore::{
    cidr::Family,
    iptables::{Backend, Match, Ruleset, Target},
};

/// One of the four ways into the kernel's tables.
#[derive(Clone, Copy, Debug)]
struct Variant {
    family: Family,
    backend: Backend,
}

impl Variant {
    const ALL: [Self; 4] = [
        Self { family: Family::V4, backend: Backend::Legacy },
        Self { family: Family::V4, backend: Backend::Nft },
        Self { family: Family::V6, backend: Backend::Legacy },
        Self { family: Family::V6, backend: Backend::Nft },
    ];

    /// `iptables-legacy`, with `-save` or `-restore` behind it.
    fn program(self, what: &str) -> String {
        let family = if self.family == Family::V4 { "iptables" } else { "ip6tables" };
        format!("{family}-{}{what}", self.backend.name())
    }

    fn namespace(self) -> Option<Namespace> {
        Namespace::new(&["nsenter", "ipset", &self.program("")])
    }

    fn save(self, namespace: &Namespace, counters: bool) -> String {
        let program = self.program("-save");
        let argv = if counters { vec![program.as_str(), "-c"] } else { vec![program.as_str()] };
        namespace.text(&argv, "")
    }
}

fn first(output: &Output) -> String {
    stderr(output).lines().next().unwrap_or_default().to_owned()
}

/// A dump without its comments, which hold the time.
fn headless(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).fold(String::new(), |all, line| all + line + "\n")
}

/// The lines of each table in the tables' order by name, for the kernel has an order of its own.
fn tables(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(table) = line.strip_prefix('*') {
            table.clone_into(&mut name);
        }
        let lines: &mut String = found.entry(name.clone()).or_default();
        *lines += line;
        lines.push('\n');
    }
    found
}

/// What iptables is told, and the fields that must be found in what it then prints.
const RULES: &[(&str, &str, &[&str])] = &[
    (
        "filter",
        "-s NET -d HOST -i eth0 -o cali+ -p tcp -j ACCEPT",
        &[
            r#"InInterface(Not { negated: false, value: Interface("eth0") })"#,
            r#"Interface("cali+")"#,
            "Target(Accept",
            "Source(Not { negated: false",
            "form: Prefix",
        ],
    ),
    (
        "filter",
        "! -s NET ! -i lo ! -p udp -j DROP",
        &[
            "Source(Not { negated: true",
            "InInterface(Not { negated: true",
            "Protocol(Not { negated: true",
            "Target(Drop",
        ],
    ),
    (
        "filter",
        "-p tcp --sport 1024:65535 ! --dport 80 --tcp-flags SYN,RST SYN -j RETURN",
        &[
            "first: 1024, last: 65535",
            "destinations: Some(Not { negated: true, value: Ports { first: 80, last: 80 } })",
            "mask: FlagSet(6), set: FlagSet(2)",
            "Target(Return",
        ],
    ),
    (
        "filter",
        "-p udp -m multiport --dports 53,5353,8000:8080 -j ACCEPT",
        &[r#"destinations: Some(Not { negated: false, value: PortList("53,5353,8000:8080") })"#],
    ),
    (
        "filter",
        "-p sctp --dport 9 -j ACCEPT",
        &["Sctp(Sctp { sources: None, destinations: Some(Not { negated: false, value: Ports { first: 9, last: 9 } })"],
    ),
    ("filter", "-p icmp -m icmp --icmp-type 8/0 -j ACCEPT", &[r#"IcmpType("8/0")"#]),
    ("filter", "-p ipv6-icmp --icmpv6-type 128 -j ACCEPT", &[r#"IcmpType("128")"#]),
    (
        "filter",
        "-m mark ! --mark 0x4000/0xc000 -j THERE",
        &["negated: true, value: Mark { value: 16384, mask: 49152 }", r#"Jump("THERE")"#],
    ),
    (
        "filter",
        "-m connmark --mark 0x10/0xf0 -g THERE",
        &["ConnMark { mark: Some(Not { negated: false, value: Mark { value: 16, mask: 240 } })", r#"Goto("THERE")"#],
    ),
    (
        "filter",
        "-m conntrack --ctstate RELATED,ESTABLISHED ! --ctstatus ASSURED -j ACCEPT",
        &["states: Some(Not { negated: false, value: States(12) })", "status: Some(Not { negated: true"],
    ),
    (
        "filter",
        "-m conntrack --ctstate NEW --ctproto 6 --ctorigdst HOST --ctorigdstport 443 --ctdir ORIGINAL -j ACCEPT",
        &[
            "value: States(2)",
            r#"protocol: Some(Not { negated: false, value: Protocol("6") })"#,
            "original_destination: Some(Not { negated: false",
            "direction: Some(",
        ],
    ),
    (
        "filter",
        "-m state --state INVALID -j DROP",
        &["State(State { states: Some(Not { negated: false, value: States(1) })"],
    ),
    (
        "filter",
        "-m set --match-set seen src,dst -j ACCEPT",
        &[r#"negated: false, value: SetLookup { name: "seen", dimensions: "src,dst" }"#, "return_nomatch: false"],
    ),
    (
        "filter",
        "-m set ! --match-set seen dst,dst --return-nomatch -j DROP",
        &[r#"negated: true, value: SetLookup { name: "seen", dimensions: "dst,dst" }"#, "return_nomatch: true"],
    ),
    ("filter", r#"-m comment --comment 'it is "quoted" \ and long' -j ACCEPT"#, &[]),
    (
        "filter",
        "-m addrtype --dst-type LOCAL ! --src-type MULTICAST -j ACCEPT",
        &[
            "source: Some(Not { negated: true, value: AddressTypes(32) })",
            "destination: Some(Not { negated: false, value: AddressTypes(4) })",
        ],
    ),
    (
        "filter",
        "-m statistic --mode random --probability 0.33333333349 -j THERE",
        &[r#"mode: Some(Word("random")), probability: Some(Not { negated: false, value: Probability(715827883) })"#],
    ),
    (
        "filter",
        "-m statistic --mode nth --every 3 --packet 1 -j THERE",
        &["every: Some(Not { negated: false, value: 3 }), packet: Some(1)"],
    ),
    (
        "filter",
        "-m recent --name AFF --rcheck --seconds 10800 --reap -j THERE",
        &["check: Some(", "seconds: Some(10800), reap: true", r#"name: Some(Word("AFF"))"#, "source: true"],
    ),
    ("filter", "-m recent --name AFF --set -j THERE", &["set: Some(", "check: None"]),
    (
        "filter",
        "-m limit --limit 5/min --limit-burst 7 -j ACCEPT",
        &["Rate { count: 5, seconds: 60 }", "burst: Some(7)"],
    ),
    (
        "filter",
        "-m hashlimit --hashlimit-above 20/sec --hashlimit-burst 9 --hashlimit-mode srcip,dstport --hashlimit-name each --hashlimit-htable-expire 30000 -j DROP",
        &[
            r#"above: Some(Not { negated: false, value: HashRate("20/sec") })"#,
            r#"mode: Some(Word("srcip,dstport")), name: Some(Word("each"))"#,
            "expire: Some(30000)",
        ],
    ),
    (
        "filter",
        "-p tcp -m connlimit --connlimit-above 7 --connlimit-mask 24 -j DROP",
        &["above: Some(Not { negated: false, value: 7 }), mask: Some(24), source: true"],
    ),
    (
        "filter",
        "-m physdev --physdev-in veth+ --physdev-is-bridged -j ACCEPT",
        &[r#"input: Some(Not { negated: false, value: Interface("veth+") })"#, "is_bridged: Some(Not { negated: false"],
    ),
    ("filter", "-m u32 --u32 '0>>22&0x3C@4=0x29' -j DROP", &["0x0>>0x16&0x3c@0x4=0x29"]),
    (
        "filter",
        "-m string --algo bm --from 40 --to 99 --string 'GET /a b' -j DROP",
        &["GET /a b", r#"algorithm: Some(Word("bm")), from: Some(40), to: Some(99)"#],
    ),
    (
        "filter",
        "-m time --timestart 08:30 --timestop 17:45:30 --weekdays Mon,Fri --kerneltz -j ACCEPT",
        &[r#"start: Some(Word("08:30:00")), stop: Some(Word("17:45:30"))"#, r#"Days("Mon,Fri")"#, "kernel_zone: true"],
    ),
    ("filter", "-m mac --mac-source 02:00:00:aa:bb:cc -j ACCEPT", &[r#"Mac("02:00:00:aa:bb:cc")"#]),
    (
        "filter",
        "-p tcp -m tcpmss --mss 1400:1460 -j ACCEPT",
        &["TcpMss { size: Some(Not { negated: false, value: Ports { first: 1400, last: 1460 } })"],
    ),
    (
        "filter",
        "-m length --length 100:200 -j ACCEPT",
        &["Length { bytes: Some(Not { negated: false, value: Ports { first: 100, last: 200 } })"],
    ),
    ("filter", "-m pkttype --pkt-type broadcast -j DROP", &[r#"Word("broadcast")"#]),
    (
        "filter",
        "-m policy --dir in --pol ipsec --proto esp -j ACCEPT",
        &[
            r#"direction: Some(Word("in")), policy: Some(Word("ipsec"))"#,
            r#"protocol: Some(Not { negated: false, value: Word("esp") })"#,
        ],
    ),
    ("filter", "-m iprange --src-range 10.0.0.1-10.0.0.9 -j ACCEPT", &[r#"AddressRange("10.0.0.1-10.0.0.9")"#]),
    ("filter", "-m dscp --dscp 0x2e -j ACCEPT", &["HexByte(46)"]),
    ("filter", "-m ttl --ttl-lt 5 -j DROP", &["Ttl { equal: None, under: Some(5), over: None }"]),
    (
        "filter",
        "-m connbytes --connbytes 100:200 --connbytes-dir both --connbytes-mode bytes -j DROP",
        &[r#"Word("100:200")"#, r#"mode: Some(Word("bytes")), direction: Some(Word("both"))"#],
    ),
    ("filter", "-j REJECT --reject-with icmp-host-prohibited", &[r#"Word("icmp-host-prohibited")"#]),
    ("filter", "-j REJECT --reject-with icmp6-adm-prohibited", &[r#"Word("icmp6-adm-prohibited")"#]),
    ("filter", "-p tcp -j REJECT --reject-with tcp-reset", &[r#"Word("tcp-reset")"#]),
    ("filter", "-j LOG --log-prefix 'gone: ' --log-level 4 --log-uid", &["gone: ", "level: None", "uid: true"]),
    (
        "filter",
        "-j NFLOG --nflog-group 3 --nflog-prefix 'x y' --nflog-threshold 5",
        &["group: Some(3)", "threshold: Some(5)", "x y"],
    ),
    ("filter", "-j NFQUEUE --queue-num 7 --queue-bypass", &["number: Some(7), balance: None, bypass: true"]),
    (
        "filter",
        "-j SET --add-set seen src,dst --exist --timeout 30",
        &[r#"add: Some(SetLookup { name: "seen", dimensions: "src,dst" })"#, "exist: true, timeout: Some(30)"],
    ),
    (
        "filter",
        "-j SET --del-set seen src,dst",
        &[r#"delete: Some(SetLookup { name: "seen", dimensions: "src,dst" })"#],
    ),
    ("mangle", "-m rpfilter --invert --validmark -j DROP", &["valid_mark: true, accept_local: false, invert: true"]),
    (
        "mangle",
        "-m socket --transparent --nowildcard -j MARK --set-xmark 0x1/0xff",
        &["transparent: true, no_wildcard: true", "SetMark { value: 1, mask: 255 }"],
    ),
    ("mangle", "-j MARK --or-mark 0x4000", &["SetMark { value: 16384, mask: 16384 }"]),
    ("mangle", "-j MARK --set-mark 0x8", &["SetMark { value: 8, mask: 4294967295 }"]),
    (
        "mangle",
        "-j CONNMARK --save-mark --nfmask 0xf0 --ctmask 0xf0",
        &["save: true, restore: false, packet_mask: Some(Hex(240)), connection_mask: Some(Hex(240))"],
    ),
    ("mangle", "-j CONNMARK --restore-mark", &["save: false, restore: true"]),
    (
        "mangle",
        "-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
        &["SetTcpMss { size: None, clamp: true }"],
    ),
    ("mangle", "-j DSCP --set-dscp 0x0a", &["SetDscp { value: Some(HexByte(10))"]),
    ("mangle", "-p udp --dport 68 -j CHECKSUM --checksum-fill", &["Checksum { fill: true }"]),
    (
        "mangle",
        "-p tcp -j TPROXY --on-port 15001 --on-ip HOST --tproxy-mark 0x1/0x1",
        &["Tproxy { port: Some(15001)", "mark: Some(SetMark { value: 1, mask: 1 })"],
    ),
    ("mangle", "-j CLASSIFY --set-class 1:10", &[r#"Word("0001:0010")"#]),
    ("raw", "-p tcp -j CT --notrack", &["no_track: true"]),
    ("raw", "-p tcp --dport 21 -j CT --helper ftp", &[r#"helper: Some(Text("ftp"))"#]),
    ("raw", "-j CT --zone 5", &[r#"zone: Some(Word("5"))"#]),
    ("raw", "-j NOTRACK", &[]),
    ("raw", "-j TRACE", &[]),
    ("nat", "-p tcp --dport 80 -j DNAT --to-destination HOSTP:8080", &[r#":8080""#, "Dnat(Dnat { to: Some("]),
    ("nat", "-p tcp -j DNAT --to-destination HOST --persistent", &["random: false, persistent: true"]),
    ("nat", "-p udp -j SNAT --to-source HOST --random-fully", &["Snat(Snat { to: Some(", "random_fully: true"]),
    ("nat", "-j MASQUERADE --random-fully", &["Masquerade { ports: None, random: false, random_fully: true }"]),
    (
        "nat",
        "-p tcp -j MASQUERADE --to-ports 1024-2048",
        &["Masquerade { ports: Some(ToPorts(Ports { first: 1024, last: 2048 }))"],
    ),
    (
        "nat",
        "-p tcp --dport 8080 -j REDIRECT --to-ports 15006",
        &["Redirect { ports: Some(ToPorts(Ports { first: 15006, last: 15006 }))"],
    ),
    ("nat", "-j NETMAP --to NET", &["Netmap(Netmap { to: Some("]),
];

#[test]
fn rules_that_iptables_puts_in_are_read_field_by_field() {
    for variant in Variant::ALL {
        let Some(namespace) = variant.namespace() else { return };
        let program = variant.program("");
        let set = if variant.family == Family::V4 { "inet" } else { "inet6" };
        namespace.text(&["ipset", "create", "seen", "hash:ip,port", "family", set, "timeout", "60"], "");
        let mut taken: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for table in ["raw", "mangle", "nat", "filter"] {
            namespace.text(&[&program, "-t", table, "-N", "HERE"], "");
            namespace.text(&[&program, "-t", table, "-N", "THERE"], "");
        }
        for (number, (table, words, _)) in RULES.iter().enumerate() {
            let words = match variant.family {
                Family::V4 => words
                    .replace("HOSTP", "10.9.8.7")
                    .replace("NETMAP", "N_MAP")
                    .replace("NET", "10.1.0.0/16")
                    .replace("HOST", "10.9.8.7")
                    .replace("N_MAP", "NETMAP"),
                Family::V6 => words
                    .replace("HOSTP", "[fd00:9::7]")
                    .replace("NETMAP", "N_MAP")
                    .replace("NET", "fd00:1::/32")
                    .replace("HOST", "fd00:9::7")
                    .replace("N_MAP", "NETMAP"),
            };
            let script = format!("{program} -t {table} -A HERE {words}");
            let output = namespace.run(&["sh", "-c", &script], "");
            if output.status.success() {
                taken.entry(table).or_default().push(number);
            } else {
                let said = stderr(&output);
                println!("skipped: `{script}`: {}", said.lines().next().unwrap_or_default());
            }
        }
        let saved = variant.save(&namespace, true);
        let rules = Ruleset::parse(saved.as_str());
        assert_eq!(rules.check(), [], "{program}\n{saved}");
        assert_eq!(String::from_utf8_lossy(&rules.print()), saved, "{program}");
        let dump = rules.dumps().next().expect("a dump");
        assert_eq!((dump.family_of_rules(), dump.is_complete()), (Some(variant.family), Some(true)), "{saved}");
        for (table, numbers) in &taken {
            let chain = dump.table(table).and_then(|table| table.chain("HERE")).expect("the chain");
            assert_eq!(chain.len(), numbers.len(), "{program} {table}\n{saved}");
            for (number, rule) in numbers.iter().zip(chain.rules()) {
                let (_, words, fields) = RULES[*number];
                let known = rule.matches().all(|found| !matches!(found, Match::Unknown(_)))
                    && !matches!(rule.target(), Some(Target::Unknown(_)));
                assert!(known, "{program}: {words}: {}", rule.text());
                let read = rule.parts().map(|part| format!("{part:?}")).collect::<Vec<_>>().join("\n");
                for field in fields {
                    assert!(read.contains(field), "{program}: {words}: no `{field}` in\n{read}");
                }
            }
        }
        let all: usize = taken.values().map(Vec::len).sum();
        println!("{program}: {all} of {} rules", RULES.len());
        assert!(all > RULES.len() * 3 / 4, "{program}: only {all} of {} rules were taken", RULES.len());

        // ours goes where theirs came from: into tables that are empty, with the counters
        let Some(other) = variant.namespace() else { return };
        other.text(&["ipset", "create", "seen", "hash:ip,port", "family", set, "timeout", "60"], "");
        let printed = String::from_utf8(rules.print()).expect("UTF-8");
        other.text(&[&variant.program("-restore"), "--test"], &printed);
        other.text(&[&variant.program("-restore"), "-c"], &printed);
        assert_eq!(tables(&headless(&variant.save(&other, true))), tables(&headless(&saved)), "{program}");
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Dumps of the fixtures, and of the corpus where there is one: whole, of one family.
fn dumps() -> Vec<(PathBuf, Ruleset, Family)> {
    let mut all = Vec::new();
    files(&e2e::fixtures(), &mut all);
    match env::var_os("NET_CORPUS").filter(|folder| !folder.is_empty()) {
        Some(folder) => files(Path::new(&folder), &mut all),
        None => println!("skipped: NET_CORPUS names no folder of real dumps; the fixtures are loaded"),
    }
    all.sort();
    let mut found = Vec::new();
    for path in all {
        let bytes = fs::read(&path).expect("a file");
        let has = |part: &str| bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(part.as_bytes()));
        if bytes.len() > 5 << 20 || !has("COMMIT") || !has("*") {
            continue;
        }
        let rules = Ruleset::parse(bytes);
        let families: BTreeSet<Option<Family>> = rules.dumps().map(|dump| dump.family_of_rules()).collect();
        let six = path.to_string_lossy().contains("ip6tables");
        let family = match families.into_iter().collect::<Vec<_>>().as_slice() {
            [Some(family)] => *family,
            [None] if six => Family::V6,
            [None] => Family::V4,
            _ => {
                println!("skipped: {}: both families in one file", path.display());
                continue;
            }
        };
        found.push((path, rules, family));
    }
    found
}

/// The sets that a dump's rules look into, so that it can be loaded.
fn sets(rules: &Ruleset, family: Family) -> String {
    let names: BTreeSet<String> = rules
        .rules()
        .flat_map(|rule| {
            let words: Vec<String> = rule.text().split_whitespace().map(str::to_owned).collect();
            let after = |option: &str| {
                let at: Vec<usize> = (0..words.len()).filter(|at| words[*at] == option).collect();
                at.into_iter().filter_map(|at| words.get(at + 1).cloned()).collect::<Vec<_>>()
            };
            ["--match-set", "--add-set", "--del-set"].into_iter().flat_map(after).collect::<Vec<_>>()
        })
        .collect();
    let family = if family == Family::V4 { "inet" } else { "inet6" };
    names.iter().fold(String::new(), |all, name| format!("{all}create {name} hash:ip,port family {family}\n"))
}

/// The release of a tool: `1.8.9`.
fn version_of(program: &str) -> String {
    let output = std::process::Command::new(program).arg("--version").output().expect("it runs");
    let said = e2e::stdout(&output);
    said.split_whitespace().find_map(|word| word.strip_prefix('v')).unwrap_or_default().to_owned()
}

/// What came of loading a dump.
struct Loaded {
    tested: Output,
    taken: Output,
    /// What the kernel held then, without comments.
    saved: String,
    /// How many rules were left out.
    left: usize,
    /// What was loaded.
    bytes: Vec<u8>,
}

/// A dump without the rules that want what only other programs make, or a part that kernels often lack.
fn loadable(bytes: &[u8]) -> (Vec<u8>, usize) {
    let wants = ["--nfacct-name ", " -m ipvs "];
    let mut left = 0;
    let kept: Vec<&[u8]> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| {
            let out = wants.iter().any(|want| line.windows(want.len()).any(|part| part == want.as_bytes()));
            left += usize::from(out);
            !out
        })
        .collect();
    (kept.concat(), left)
}

/// A rule as a set of words, without what people and releases write in different ways: the order of
/// conditions, what is so by default, names of one thing. Counters, which not every loader takes, go too.
fn rule_words(line: &str) -> BTreeSet<String> {
    let line = line.split_once("] ").filter(|_| line.starts_with('[')).map_or(line, |(_, rule)| rule);
    let defaults = ["--mask", "255.255.255.255", "--reject-with", "icmp-port-unreachable", "-m", "-p"];
    let words = line.split_whitespace().filter(|word| !defaults.contains(word));
    words
        .map(|word| match word {
            "icmpv6" => "ipv6-icmp".to_owned(),
            word => word.strip_suffix("/32").unwrap_or(word).to_owned(),
        })
        .collect()
}

/// The rules of a table's lines; the built-in chains that a kernel has differ with its release.
fn rule_lines(table: &str) -> impl Iterator<Item = BTreeSet<String>> {
    let rules = table.lines().map(rule_words).filter(|words| words.contains("-A"));
    rules.collect::<Vec<_>>().into_iter()
}

#[test]
fn what_we_print_is_taken_and_saved_again_the_same() {
    let (mut loaded, mut refused, mut same_bytes, mut left) = (0, 0, 0, 0);
    for (path, rules, family) in dumps() {
        let original = fs::read(&path).expect("a file");
        let printed = rules.print();
        let counters = rules.rules().any(|rule| rule.counters().is_some());
        for variant in Variant::ALL.into_iter().filter(|variant| variant.family == family) {
            let restore = variant.program("-restore");
            let load = |bytes: &[u8]| {
                let (bytes, left) = loadable(bytes);
                let namespace = variant.namespace()?;
                namespace.run(&["ipset", "restore", "-exist"], &sets(&rules, family));
                let tested = namespace.run_bytes(&[&restore, "--test"], &bytes);
                let taken = namespace.run_bytes(&[&restore, "-c"], &bytes);
                Some(Loaded { tested, taken, saved: headless(&variant.save(&namespace, counters)), left, bytes })
            };
            let (Some(theirs), Some(ours)) = (load(&original), load(&printed)) else { return };
            let name = path.display();
            if !theirs.taken.status.success() && ours.taken.status.success() && printed != original {
                println!("taken as we print it, and not as it is written: {name}: {restore}: {}", first(&theirs.taken));
                continue;
            }
            assert_eq!(theirs.tested.status, ours.tested.status, "{name}: {restore} --test: {}", stderr(&ours.tested));
            assert_eq!(theirs.taken.status, ours.taken.status, "{name}: {restore}: {}", stderr(&ours.taken));
            assert_eq!(theirs.saved, ours.saved, "{name}: {restore} holds something else");
            if !ours.taken.status.success() {
                println!("refused, as it is written: {name}: {restore}: {}", first(&ours.taken));
                refused += 1;
                continue;
            }
            loaded += 1;
            left += ours.left;
            let again = Ruleset::parse(ours.saved.as_str());
            assert_eq!(again.check(), [], "{name}: {restore}");
            assert_eq!(String::from_utf8_lossy(&again.print()), ours.saved, "{name}: {restore}");
            let (printed, saved) = (tables(&headless(&String::from_utf8_lossy(&ours.bytes))), tables(&ours.saved));
            // a table that nobody asked for is there where looking made it
            let saved: BTreeMap<_, _> = saved.into_iter().filter(|(table, _)| printed.contains_key(table)).collect();
            if printed == saved {
                same_bytes += 1;
                continue;
            }
            let same_rules = printed
                .iter()
                .all(|(table, lines)| saved.get(table).is_some_and(|saved| rule_lines(lines).eq(rule_lines(saved))));
            // people and other releases write in other words, of which both made the same above
            let version = version_of(&restore);
            let ours = original.starts_with(b"# Generated by ip")
                && rules.dumps().any(|dump| dump.version() == Some(&version));
            assert!(same_rules || !ours, "{name}: {restore}: printed\n{printed:#?}\nsaved\n{saved:#?}");
            println!("in this release's words: {name}: {restore}");
        }
    }
    println!(
        "{loaded} loads, of which {same_bytes} saved the very bytes that we printed; {refused} refused, {left} rules left out"
    );
    assert!(loaded > 0 && same_bytes > 0, "{loaded} loads, {same_bytes} the same");
}
