//! The plan of `cleanup` carried out by the real iptables, ipset and nft in network namespaces of the
//! test's own: what is left is what a node would have on which the other mode had never run.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use e2e::{fixtures, netns::Namespace, stderr};
use netcore::{
    iptables::Backend,
    probe::Probe,
    proxy::{
        Mode, Version,
        cleanup::{Plan, Question, Removal, State, plan},
    },
};

const TOOLS: [&str; 4] = ["nsenter", "ipset", "nft", "iptables-nft"];
/// What nobody but its owner may take away.
const FOREIGN: &str = "*filter\n:MINE - [0:0]\n-A INPUT -s 192.0.2.1/32 -j MINE\n-A FORWARD -m comment --comment \"kubernetes lookalike\" -j ACCEPT\n\
    -A MINE -m set --match-set mine src -j DROP\nCOMMIT\n\
    *nat\n:CNI-HOSTPORT-DNAT - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\nCOMMIT\n";
const FOREIGN6: &str = "*filter\n:MINE - [0:0]\n-A INPUT -s 2001:db8::1/128 -j MINE\nCOMMIT\n";
const FOREIGN_NFT: &str = "table inet mine {\n\tchain input {\n\t\ttype filter hook input priority 0;\n\t}\n}\n\
    table ip kube-proxy-of-mine {\n}\n";

/// What the kubelet keeps.
const KUBELET: &str = "*filter\n:KUBE-FIREWALL - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\n-A INPUT -j KUBE-FIREWALL\n\
    -A OUTPUT -j KUBE-FIREWALL\nCOMMIT\n*nat\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n\
    *mangle\n:KUBE-IPTABLES-HINT - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n";

const MARTIANS: &str = "*filter\n-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment \
    --comment \"block incoming localnet connections\" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\nCOMMIT\n";

fn fixture(name: &str) -> String {
    fs::read_to_string(fixtures().join(name)).expect("a fixture")
}

/// A rule without the kernel's counting objects, which take a tool of their own to make.
fn countless(line: &str) -> String {
    const MATCH: &str = " -m nfacct --nfacct-name ";
    let Some((before, rest)) = line.split_once(MATCH) else { return line.to_owned() };
    let rest = rest.trim_start().split_once(' ').map_or("", |(_, rest)| rest);
    format!("{before} {rest}")
}

/// A node's tables in one backend.
struct Node {
    namespace: Namespace,
    backend: Backend,
}

impl Node {
    /// One that has what others put there.
    fn new(backend: Backend) -> Option<Self> {
        let program = format!("iptables-{}", backend.name());
        let node = Self { namespace: Namespace::new(&[&TOOLS[..], &[program.as_str()]].concat())?, backend };
        node.namespace.text(&["ipset", "restore"], "create mine hash:ip\nadd mine 198.51.100.7\n");
        node.restore("iptables", KUBELET);
        node.restore("ip6tables", KUBELET);
        node.restore("iptables", MARTIANS);
        node.restore("iptables", FOREIGN);
        node.restore("ip6tables", FOREIGN6);
        node.namespace.text(&["nft", "-f", "-"], FOREIGN_NFT);
        Some(node)
    }

    fn program(&self, family: &str, what: &str) -> String {
        format!("{family}-{}-{what}", self.backend.name())
    }

    fn restore(&self, family: &str, text: &str) {
        self.namespace.text(&[&self.program(family, "restore"), "--noflush"], text);
    }

    fn save(&self, family: &str) -> String {
        self.namespace.text(&[&self.program(family, "save")], "")
    }

    /// Puts a mode's rules there as kube-proxy does: its chains are written anew, its calls from the
    /// kernel's chains are added where they are not there.
    fn runs(&self, mode: Mode) {
        let (v4, v6) = match mode {
            Mode::Ipvs => {
                self.namespace.text(&["ipset", "-exist", "restore"], &fixture("ipvs/kube-proxy/ipset-save"));
                ("ipvs/kube-proxy/iptables-save", "ipvs/kube-proxy/ip6tables-save")
            }
            _ => (
                "captures/iptables-nft-variety/iptables-save-c.txt",
                "captures/iptables-nft-variety/ip6tables-save-c.txt",
            ),
        };
        for (family, dump) in [("iptables", v4), ("ip6tables", v6)] {
            let there = self.save(family);
            let mut table = String::new();
            let mut text = String::new();
            for line in fixture(dump).lines() {
                // counters before each rule
                let line = line.find("-A ").filter(|_| line.starts_with('[')).map_or(line, |at| &line[at..]);
                if line.starts_with('*') {
                    line.clone_into(&mut table);
                }
                let of_kernel = line.starts_with("-A ") && !line.starts_with("-A KUBE-");
                let in_table = there.split(&format!("{table}\n")).nth(1).unwrap_or_default();
                let known = in_table.split("COMMIT").next().is_some_and(|part| part.lines().any(|own| own == line));
                let policy = line.starts_with(':') && !line.starts_with(":KUBE-");
                if !(policy || line.starts_with('#') || of_kernel && known) {
                    text += &countless(line);
                    text.push('\n');
                }
            }
            self.restore(family, &text);
        }
    }

    fn state(&self) -> State {
        let mut state = State::default();
        let legacy = self.backend == Backend::Legacy;
        let (four, six) = if legacy {
            state.take_absent(Probe::IptablesSave);
            state.take_absent(Probe::Ip6tablesSave);
            (Probe::IptablesLegacySave, Probe::Ip6tablesLegacySave)
        } else {
            state.take_absent(Probe::IptablesLegacySave);
            state.take_absent(Probe::Ip6tablesLegacySave);
            (Probe::IptablesSave, Probe::Ip6tablesSave)
        };
        state.take(four, &self.save("iptables"));
        state.take(six, &self.save("ip6tables"));
        state.take(Probe::IpsetSave, &self.namespace.text(&["ipset", "save"], ""));
        state.take(Probe::NftRuleset, &self.namespace.text(&["nft", "-j", "list", "ruleset"], ""));
        // no kernel of a test has them
        state.take_absent(Probe::IpvsTable);
        state.take(Probe::Addresses, &self.namespace.text(&["ip", "-j", "-d", "addr"], ""));
        state
    }

    fn plan(&self, running: Mode) -> Plan {
        let (state, ports) = (self.state(), BTreeSet::new());
        let kubelet = Some(Version::new(1, 36));
        plan(&Question { running, state: &state, node_ports: Some(&ports), kubelet })
    }

    fn carry_out(&self, plan: &Plan) {
        for removal in &plan.removals {
            let argv = removal.argv();
            let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
            let output = self.namespace.run(&argv, &removal.input().unwrap_or_default());
            assert!(output.status.success(), "{}: {}\n{removal}", removal.what(), stderr(&output));
        }
    }

    /// Everything there is, the lines of each table in an order of our own.
    fn everything(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::new();
        for family in ["iptables", "ip6tables"] {
            let mut name = String::new();
            for line in self.save(family).lines().filter(|line| !line.starts_with('#')) {
                if line.starts_with('*') {
                    name = format!("{family} {line}");
                }
                let lines: &mut Vec<String> = all.entry(name.clone()).or_default();
                lines.push(line.to_owned());
            }
        }
        let sets = self.namespace.text(&["ipset", "save"], "");
        // hash seeds are the kernel's choice
        let stable = |line: &str| line.split(" initval").next().unwrap_or(line).to_owned();
        all.insert("sets".to_owned(), sets.lines().map(stable).collect());
        let tables = self.namespace.text(&["nft", "list", "tables"], "");
        all.insert(
            "nft".to_owned(),
            tables
                .lines()
                .filter(|line| !line.contains(" nat") && !line.contains(" filter") && !line.contains(" mangle"))
                .map(str::to_owned)
                .collect(),
        );
        for lines in all.values_mut() {
            lines.sort();
        }
        all
    }
}

/// Rules that both modes keep up, but call by rules of their own.
fn shared_calls(all: &mut BTreeMap<String, Vec<String>>) {
    for lines in all.values_mut() {
        lines.retain(|line| line.starts_with("-A KUBE-") || !line.ends_with("-j KUBE-PROXY-FIREWALL"));
    }
}

const BACKENDS: [Backend; 2] = [Backend::Nft, Backend::Legacy];

#[test]
fn after_a_switch_the_old_modes_rules_go_and_nothing_else() {
    for (before, now) in [(Mode::Ipvs, Mode::Iptables), (Mode::Iptables, Mode::Ipvs)] {
        for backend in BACKENDS {
            let (Some(node), Some(fresh)) = (Node::new(backend), Node::new(backend)) else { return };
            node.runs(before);
            node.runs(now);
            fresh.runs(now);
            if now == Mode::Ipvs {
                // the link is there while its mode runs; no kernel of a test has it
                assert!(node.plan(now).removals.iter().all(|removal| matches!(removal, Removal::Chains { .. })));
            }
            node.carry_out(&node.plan(now));
            let (mut left, mut wanted) = (node.everything(), fresh.everything());
            shared_calls(&mut left);
            shared_calls(&mut wanted);
            assert_eq!(left, wanted, "{before} → {now}, {backend:?}");
            assert_eq!(node.plan(now).removals, [], "{before} → {now}, {backend:?}: again");
        }
    }
}

#[test]
fn in_nftables_mode_both_go_and_its_own_table_stays() {
    for backend in BACKENDS {
        let (Some(node), Some(fresh)) = (Node::new(backend), Node::new(backend)) else { return };
        let own = "table ip kube-proxy {\n\tchain services {\n\t}\n}\ntable ip6 kube-proxy {\n}\n";
        for place in [&node, &fresh] {
            place.namespace.text(&["nft", "-f", "-"], own);
        }
        node.runs(Mode::Ipvs);
        node.runs(Mode::Iptables);
        node.carry_out(&node.plan(Mode::Nftables));
        assert_eq!(node.everything(), fresh.everything(), "{backend:?}");
    }
}

#[test]
fn the_tables_of_nftables_mode_go_alone() {
    let Some(node) = Node::new(Backend::Nft) else { return };
    let before = node.everything();
    node.namespace
        .text(&["nft", "-f", "-"], "table ip kube-proxy {\n\tchain services {\n\t}\n}\ntable ip6 kube-proxy {\n}\n");
    let found = node.plan(Mode::Iptables);
    assert_eq!(found.removals.len(), 2);
    node.carry_out(&found);
    assert_eq!(node.everything(), before);
}

#[test]
fn a_chain_that_came_to_be_called_meanwhile_keeps_its_whole_table() {
    for backend in BACKENDS {
        let Some(node) = Node::new(backend) else { return };
        node.runs(Mode::Ipvs);
        node.runs(Mode::Iptables);
        let planned = node.plan(Mode::Iptables);
        node.restore("iptables", "*filter\n-A MINE -j KUBE-NODE-PORT\nCOMMIT\n");
        let before = node.save("iptables");
        let first = planned.removals.iter().find(|removal| matches!(removal, Removal::Chains { .. })).expect("one");
        let argv = first.argv();
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        assert!(!node.namespace.run(&argv, &first.input().expect("a script")).status.success());
        let tables = |text: &str| -> Vec<String> {
            let filter = text.split("*filter\n").nth(1).and_then(|rest| rest.split("COMMIT").next());
            filter.unwrap_or_default().lines().map(str::to_owned).collect()
        };
        assert_eq!(tables(&node.save("iptables")), tables(&before), "{backend:?}: all of a table or none");
    }
}
