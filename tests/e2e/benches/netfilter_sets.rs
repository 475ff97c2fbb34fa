//! How fast sets and nftables rule sets are read, and what they cost in memory, beside what the
//! tools need for the same bytes: `ipset restore` and `jq length`.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a bench is a program that prints its table")]

use std::{
    env,
    fmt::Write as _,
    hint::black_box,
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use netcore::{
    ipset::{self, SetIndex},
    nft::{self, ChainGraph, KubeProxyTable},
};

/// Each case runs in a process of its own, so that its peak is its own.
const CASE: &str = "NETFILTER_SETS_CASE";

fn main() {
    match env::var(CASE).as_deref() {
        Ok("ipset") => ipset_case(),
        Ok("nft") => nft_case(),
        _ => {
            for case in ["ipset", "nft"] {
                let this = env::current_exe().expect("this program");
                let status = Command::new(this).env(CASE, case).status().expect("it runs");
                assert!(status.success(), "{case}");
            }
        }
    }
}

/// 350,000 members: Felix's address sets, kube-proxy's ports, networks with counters and comments.
fn sets() -> String {
    let mut text = String::new();
    for set in 0..35_u32 {
        let (kind, options) = match set % 5 {
            0 | 1 => ("hash:net", ""),
            2 => ("hash:ip", ""),
            3 => ("hash:ip,port", ""),
            _ => ("hash:net", " counters comment"),
        };
        let name = format!("cali40s:{set:02}LrVD8vMIGQDyv8Y7sPF");
        let _ = writeln!(text, "create {name} {kind} family inet hashsize 4096 maxelem 1048576{options}");
        for member in 0..10_000_u32 {
            let ip = std::net::Ipv4Addr::from(0x0A00_0000 + set * 65_536 + member);
            let _ = match set % 5 {
                3 => writeln!(text, "add {name} {ip},tcp:{}", member % 60_000 + 1),
                4 => writeln!(
                    text,
                    "add {name} {ip} packets {member} bytes 100 comment \"namespace: default, pod: web-{member}\""
                ),
                _ => writeln!(text, "add {name} {ip}"),
            };
        }
    }
    text
}

fn ipset_case() {
    let text = sets();
    println!("ipset save, 350,000 members");
    let parsed = best(text.len(), "parsed, every member typed once", || ipset::parse(text.as_bytes()).sets.len());
    println!("  peak {} MiB, the input of {} MiB included", peak(), text.len() >> 20);
    let sets = ipset::parse(text.as_bytes());
    assert!(sets.problems.is_empty(), "{}", sets.problems);
    assert_eq!(sets.sets.iter().filter_map(ipset::IpSet::len).sum::<u64>(), 350_000);
    best(text.len(), "indexed for lookups", || sets.sets.iter().map(SetIndex::new).count());
    best(text.len(), "printed", || sets.save().len());
    let start = Instant::now();
    let restored = feed(&["unshare", "--net", "ipset", "restore"], text.as_bytes());
    anchor("ipset restore", restored.then(|| start.elapsed()), parsed);
}

/// kube-proxy's layout: a verdict map over all Services, two chains and rules for each.
fn ruleset(services: u32, endpoints: u32) -> String {
    let mut text = String::from(
        "{\"nftables\": [{\"metainfo\": {\"version\": \"1.0.6\", \"release_name\": \"Lester Gooch #5\", \"json_schema_version\": 1}}, \
         {\"table\": {\"family\": \"ip\", \"name\": \"kube-proxy\", \"handle\": 2}}, {\"map\": {\"family\": \"ip\", \"name\": \
         \"service-ips\", \"table\": \"kube-proxy\", \"type\": [\"ipv4_addr\", \"inet_proto\", \"inet_service\"], \"handle\": 48, \
         \"map\": \"verdict\", \"elem\": [",
    );
    for service in 0..services {
        let ip = std::net::Ipv4Addr::from(0x0A60_0000 + service);
        let comma = if service > 0 { ", " } else { "" };
        let _ = write!(
            text,
            "{comma}[{{\"concat\": [\"{ip}\", \"tcp\", 80]}}, {{\"goto\": {{\"target\": \"service-ZQL65FYD-team-{service}/web/tcp/http\"}}}}]"
        );
    }
    text.push_str("]}}");
    for service in 0..services {
        let chain = format!("service-ZQL65FYD-team-{service}/web/tcp/http");
        let _ = write!(
            text,
            ", {{\"chain\": {{\"family\": \"ip\", \"table\": \"kube-proxy\", \"name\": \"{chain}\", \"handle\": {service}}}}}, {{\"rule\": \
             {{\"family\": \"ip\", \"table\": \"kube-proxy\", \"chain\": \"{chain}\", \"handle\": {service}, \"expr\": [{{\"match\": \
             {{\"op\": \"!=\", \"left\": {{\"payload\": {{\"protocol\": \"ip\", \"field\": \"saddr\"}}}}, \"right\": {{\"prefix\": \
             {{\"addr\": \"10.244.0.0\", \"len\": 16}}}}}}}}, {{\"jump\": {{\"target\": \"mark-for-masquerade\"}}}}]}}}}, {{\"rule\": \
             {{\"family\": \"ip\", \"table\": \"kube-proxy\", \"chain\": \"{chain}\", \"handle\": {service}, \"expr\": [{{\"match\": \
             {{\"op\": \"==\", \"left\": {{\"meta\": {{\"key\": \"l4proto\"}}}}, \"right\": \"tcp\"}}}}, {{\"dnat\": {{\"family\": \"ip\", \
             \"addr\": {{\"map\": {{\"key\": {{\"numgen\": {{\"mode\": \"random\", \"mod\": {endpoints}, \"offset\": 0}}}}, \"data\": \
             {{\"set\": ["
        );
        for endpoint in 0..endpoints {
            let ip = std::net::Ipv4Addr::from(0x0AF4_0000 + service * endpoints + endpoint);
            let comma = if endpoint > 0 { ", " } else { "" };
            let _ = write!(text, "{comma}[{endpoint}, {{\"concat\": [\"{ip}\", 8080]}}]");
        }
        text.push_str("]}}}}}]}}");
    }
    text.push_str("]}\n");
    text
}

fn nft_case() {
    for (services, endpoints) in [(1_000, 10), (3_000, 4), (30_000, 10)] {
        let text = ruleset(services, endpoints);
        println!("nft -j list ruleset, {services} Services of {endpoints} endpoints");
        let parsed =
            best(text.len(), "parsed, every statement typed once", || nft::parse(text.as_bytes()).objects.len());
        println!("  peak {} MiB, the input of {} MiB included", peak(), text.len() >> 20);
        let ruleset = nft::parse(text.as_bytes());
        assert!(ruleset.problems.is_empty(), "{}", ruleset.problems);
        best(text.len(), "chain graph", || ChainGraph::new(&ruleset).nodes().len());
        best(text.len(), "kube-proxy's maps", || KubeProxyTable::of(&ruleset, nft::Family::Ip).is_some());
        let start = Instant::now();
        let counted = feed(&["jq", "length"], text.as_bytes());
        anchor("jq length", counted.then(|| start.elapsed()), parsed);
    }
}

/// The best of five, printed.
fn best<T>(bytes: usize, what: &str, mut run: impl FnMut() -> T) -> Duration {
    let once = |_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    };
    let best = (0..5).map(once).min().expect("five runs");
    let megabytes = f64::from(u32::try_from(bytes).expect("under 4 GB")) / 1e6;
    println!("  {what}: {megabytes:.1} MB in {:.4} s, {:.0} MB/s", best.as_secs_f64(), megabytes / best.as_secs_f64());
    best
}

fn anchor(name: &str, taken: Option<Duration>, ours: Duration) {
    match taken {
        Some(taken) => {
            println!(
                "  anchor `{name}`: {:.2} s, {:.0} times as long",
                taken.as_secs_f64(),
                taken.as_secs_f64() / ours.as_secs_f64()
            );
        }
        None => println!("  anchor `{name}`: not on this machine"),
    }
}

/// Whether the command took the bytes.
fn feed(argv: &[&str], input: &[u8]) -> bool {
    let Some((program, arguments)) = argv.split_first() else { return false };
    let child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    let written = child.stdin.take().is_some_and(|mut stdin| stdin.write_all(input).is_ok());
    child.wait().is_ok_and(|status| status.success()) && written
}

/// `VmHWM` of this process, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}
