//! Reading a node leaves it as it was: its tables, sets, modules and sysctls before and after, in network
//! namespaces of the test's own.

use std::{collections::BTreeMap, path::Path, process::Command};

use e2e::{binary, netns::Namespace, stderr, stdout};

/// What is looked at, by what changes nothing itself.
const LOOKS: [(&str, &[&str]); 10] = [
    ("legacy tables", &["cat", "/proc/net/ip_tables_names"]),
    ("legacy tables, IPv6", &["cat", "/proc/net/ip6_tables_names"]),
    ("nft", &["nft", "-j", "list", "ruleset"]),
    ("ipset", &["ipset", "save"]),
    ("links", &["ip", "-j", "-d", "addr"]),
    ("routes", &["ip", "-j", "route", "show", "table", "all"]),
    ("rules", &["ip", "-j", "rule"]),
    ("modules", &["sh", "-c", "cut -d' ' -f1 /proc/modules 2>/dev/null | sort"]),
    ("sysctls", &["sh", "-c", "grep -rs '' /proc/sys/net | grep -v -e conntrack_count -e bpf_jit | sort"]),
    ("parts of the kernel", &["sh", "-c", "cat /proc/net/ip_tables_matches /proc/net/ip_tables_targets 2>/dev/null"]),
];

fn state(namespace: &Namespace, filled: bool) -> BTreeMap<&'static str, String> {
    let mut state: BTreeMap<_, _> =
        LOOKS.iter().map(|(what, argv)| (*what, stdout(&namespace.run(argv, "")))).collect();
    if filled {
        // these make tables where there are none, so only where there are
        for what in ["iptables-legacy-save", "ip6tables-legacy-save", "iptables-nft-save", "ip6tables-nft-save"] {
            let saved = namespace.text(&[what], "");
            state.insert(what, saved.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
        }
    }
    state
}

fn fill(namespace: &Namespace) {
    namespace.text(&["ip", "link", "set", "lo", "up"], "");
    namespace.text(&["ip", "route", "add", "10.9.0.0/16", "dev", "lo"], "");
    namespace.text(&["ipset", "create", "seen", "hash:ip"], "");
    namespace.text(&["ipset", "add", "seen", "10.9.0.1"], "");
    namespace.text(&["nft", "-f", "-"], "table inet t { chain c { type filter hook input priority 5; } ; }");
    for program in ["iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft"] {
        namespace.text(&[program, "-t", "nat", "-N", "KUBE-SERVICES"], "");
        namespace.text(&[program, "-t", "filter", "-A", "INPUT", "-j", "ACCEPT"], "");
    }
}

#[test]
fn reading_a_node_leaves_it_as_it_was() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-nodes");
    for filled in [false, true] {
        let tools = ["nsenter", "ip", "nft", "ipset"];
        let Some(namespace) = Namespace::new(&tools) else { return };
        if filled {
            fill(&namespace);
        }
        let before = state(&namespace, filled);
        assert_eq!(before["legacy tables"].is_empty(), !filled, "{before:?}");
        for words in [
            &["kubectl-proxymode", "-o", "json"][..],
            &["kubectl-proxymode", "schedulers", "-o", "json"],
            &["kubectl-netcidr", "nodes", "-o", "json"],
        ] {
            let output = Command::new(binary(words[0]))
                .args(&words[1..])
                .args(["--node-access", "local", "--node", "node1", "--from"])
                .arg(&example)
                .arg("--local-netns")
                .arg(namespace.path())
                .output()
                .expect("it runs");
            assert!(stderr(&output).contains("reads this host"), "{words:?}: {}", stderr(&output));
            assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{words:?}: {}", stderr(&output));
        }
        let after = state(&namespace, filled);
        for (what, was) in &before {
            assert_eq!(&after[what], was, "{what}");
        }
    }
}
