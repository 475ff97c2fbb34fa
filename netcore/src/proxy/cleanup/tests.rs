use super::*;

const ADDRESSES: &str = include_str!("../../../../tests/fixtures/ipvs/kube-proxy/ip-address.json");
const SERVERS: &str = include_str!("../../../../tests/fixtures/ipvs/kube-proxy/ipvsadm-list");
const SETS: &str = include_str!("../../../../tests/fixtures/ipvs/kube-proxy/ipset-save");
const RULES: &str = include_str!("../../../../tests/fixtures/ipvs/kube-proxy/iptables-save");
const RULES6: &str = include_str!("../../../../tests/fixtures/ipvs/kube-proxy/ip6tables-save");
const IPTABLES: &str = include_str!("../../../../tests/fixtures/captures/iptables-nft-variety/iptables-save-c.txt");

/// A node in ipvs mode, whole.
fn ipvs() -> State {
    let mut state = State::default();
    for (probe, text) in [
        (Probe::Addresses, ADDRESSES),
        (Probe::IpvsTable, SERVERS),
        (Probe::IpsetSave, SETS),
        (Probe::IptablesSave, RULES),
        (Probe::Ip6tablesSave, RULES6),
    ] {
        state.take(probe, text);
    }
    state.take_absent(Probe::IptablesLegacySave);
    state.take_absent(Probe::Ip6tablesLegacySave);
    state
}

fn with(mut state: State, probe: Probe, text: &str) -> State {
    state.printed.insert(probe, vec![text.to_owned()]);
    state
}

fn ask(running: Mode, state: &State, ports: &[u16], kubelet: Option<Version>) -> Plan {
    let ports: BTreeSet<u16> = ports.iter().copied().collect();
    plan(&Question { running, state, node_ports: Some(&ports), kubelet })
}

fn programs(plan: &Plan) -> Vec<&'static str> {
    let mut programs: Vec<&str> = plan.removals.iter().map(Removal::program).collect();
    programs.dedup();
    programs
}

fn scripts(plan: &Plan) -> String {
    plan.removals.iter().filter_map(Removal::input).collect()
}

#[test]
fn the_running_mode_loses_nothing() {
    let found = ask(Mode::Ipvs, &ipvs(), &[31999], None);
    assert_eq!(found, Plan::default());
    let mut state = State::default();
    state.take(Probe::IptablesSave, IPTABLES);
    assert_eq!(ask(Mode::Iptables, &state, &[], None), Plan::default());
    let mut state = State::default();
    state.take(Probe::NftRuleset, "table ip kube-proxy {\n}\n");
    assert_eq!(ask(Mode::Nftables, &state, &[], None), Plan::default());
}

#[test]
fn all_of_ipvs_goes_in_an_order_that_leaves_no_address_open() {
    let found = ask(Mode::Nftables, &ipvs(), &[31999], Some(Version::new(1, 36)));
    assert_eq!(found.keeps, [""; 0], "{:#?}", found.keeps);
    let order = ["ipvsadm", "ip", "iptables-nft-restore", "ip6tables-nft-restore", "ipset"];
    assert_eq!(programs(&found), order);
    let text = scripts(&found);
    for gone in
        [":KUBE-SERVICES - [0:0]", "-X KUBE-POSTROUTING", "destroy KUBE-LOOP-BACK\n", "destroy KUBE-6-LOOP-BACK\n"]
    {
        assert!(text.contains(gone), "{gone}\n{text}");
    }
    for kubelet in ["KUBE-FIREWALL", "KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT"] {
        assert!(!text.contains(&format!("{kubelet}\n")) && !text.contains(&format!(":{kubelet} ")), "{text}");
    }
    let flushes = |line: &str| line.starts_with("-F") || line.starts_with(":INPUT") || line.starts_with("-Z");
    assert!(!text.lines().any(flushes), "nothing of the kernel's is flushed");
    assert!(text.lines().all(|line| !line.starts_with("-D") || line.contains(" -j KUBE-")), "{text}");
}

#[test]
fn what_old_kubelets_make_stays_with_what_it_names() {
    for kubelet in [None, Some(Version::new(1, 27))] {
        let found = ask(Mode::Nftables, &ipvs(), &[31999], kubelet);
        let text = scripts(&found);
        assert!(!text.contains("-X KUBE-MARK-MASQ") && !text.contains("-X KUBE-POSTROUTING"), "{text}");
        assert!(!text.contains("destroy KUBE-LOOP-BACK\n"), "KUBE-POSTROUTING names it");
        assert!(found.keeps.iter().any(|line| line.starts_with("set KUBE-6-LOOP-BACK, set KUBE-LOOP-BACK: a rule")));
        assert!(text.contains("-X KUBE-SERVICES"), "{text}");
    }
}

#[test]
fn a_virtual_server_that_is_used_or_not_known_keeps_the_link_and_its_guard() {
    let used = SERVERS.replacen(
        "172.31.77.1:6443             Masq    1      0",
        "172.31.77.1:6443             Masq    1      2",
        1,
    );
    assert_ne!(used, SERVERS);
    let found = ask(Mode::Nftables, &with(ipvs(), Probe::IpvsTable, &used), &[31999], Some(Version::new(1, 36)));
    assert!(
        found.keeps.contains(&"virtual server TCP 10.96.0.1:443: connections use it".to_owned()),
        "{:?}",
        found.keeps
    );
    assert!(!found.removals.contains(&Removal::Link));
    let text = scripts(&found);
    assert!(!text.contains("-X KUBE-IPVS-FILTER") && text.contains("-X KUBE-NODE-PORT"), "{text}");
    assert!(!text.contains("destroy KUBE-CLUSTER-IP\n"), "the guard names it");

    // not on the link: a node port only if a Service has it
    let found = ask(Mode::Nftables, &ipvs(), &[], Some(Version::new(1, 36)));
    assert!(found.keeps.iter().any(|line| line.contains("172.31.77.4:31999") && line.contains("somebody else's")));
    assert!(found.removals.contains(&Removal::Link), "no address of it is used");
    let foreign = format!("{SERVERS}TCP  192.0.2.9:443 rr\nFWM  7 rr\n");
    let found = ask(Mode::Nftables, &with(ipvs(), Probe::IpvsTable, &foreign), &[31999], Some(Version::new(1, 36)));
    assert_eq!(found.keeps.len(), 2, "{:?}", found.keeps);
    let argv: Vec<String> = found.removals.iter().map(|removal| removal.argv().join(" ")).collect();
    assert!(!argv.iter().any(|words| words.contains("192.0.2.9") || words.contains("ipvsadm -C")), "{argv:?}");
}

#[test]
fn without_counts_of_connections_nothing_of_ipvs_goes() {
    let saved = include_str!("../../../../tests/fixtures/ipvs/kube-proxy/ipvsadm-save");
    let found = ask(Mode::Iptables, &with(ipvs(), Probe::IpvsTable, saved), &[31999], None);
    assert!(!programs(&found).contains(&"ipvsadm"), "{:?}", found.removals);
    assert!(!found.removals.contains(&Removal::Link));
}

#[test]
fn somebody_elses_rules_keep_what_they_call() {
    let calls =
        RULES.replacen("-A INPUT -j KUBE-FIREWALL", "-A INPUT -p tcp -j KUBE-NODE-PORT\n-A INPUT -j KUBE-FIREWALL", 1);
    let found = ask(Mode::Iptables, &with(ipvs(), Probe::IptablesSave, &calls), &[31999], None);
    let line = "chain KUBE-NODE-PORT of iptables-nft IPv4 filter: a rule of INPUT calls it that is not known to be kube-proxy's";
    assert!(found.keeps.iter().any(|kept| kept == line), "{:#?}", found.keeps);
    assert!(!scripts(&found).contains("destroy KUBE-HEALTH-CHECK-NODE-PORT\n"), "a rule of that chain names it");
    let calls = "chain KUBE-SERVICES calls it, which stays";
    assert!(found.keeps.iter().any(|kept| kept.contains(calls)), "not written anew yet: {:#?}", found.keeps);
    let inside = RULES.replacen("-A KUBE-SOURCE-RANGES-FIREWALL -j DROP", "-A KUBE-SOURCE-RANGES-FIREWALL -j MINE", 1);
    let inside = inside.replacen(":KUBE-FORWARD - [0:0]", ":KUBE-FORWARD - [0:0]\n:MINE - [0:0]", 1);
    let found = ask(Mode::Iptables, &with(ipvs(), Probe::IptablesSave, &inside), &[31999], None);
    assert!(
        found.keeps.iter().any(|kept| kept.contains("calls MINE, which is not kube-proxy's")),
        "{:#?}",
        found.keeps
    );
}

#[test]
fn a_dump_that_breaks_off_is_no_ground_for_anything() {
    let end = RULES.rfind("COMMIT").unwrap();
    let found = ask(Mode::Nftables, &with(ipvs(), Probe::IptablesSave, &RULES[..end]), &[31999], None);
    assert!(!programs(&found).contains(&"iptables-nft-restore") && !programs(&found).contains(&"ipset"));
    assert!(
        found.keeps.iter().any(|kept| kept.contains("iptables-nft IPv4 names it was not read")),
        "{:#?}",
        found.keeps
    );
}

#[test]
fn of_two_backends_the_stale_one_is_not_guessed() {
    let legacy = IPTABLES.replace("(nf_tables)", "(legacy)");
    let mut state = State::default();
    state.take(Probe::IptablesSave, IPTABLES);
    state.take(Probe::IptablesLegacySave, &legacy);
    let found = ask(Mode::Ipvs, &state, &[], None);
    assert_eq!(found.removals, []);
    assert!(found.keeps.iter().any(|kept| kept.contains("both backends")), "{:#?}", found.keeps);
    let found = ask(Mode::Nftables, &state, &[], None);
    assert_eq!(programs(&found), ["iptables-legacy-restore", "iptables-nft-restore"], "in nftables mode both are");
}

#[test]
fn tables_of_nftables_go_in_the_other_modes() {
    let mut state = State::default();
    state.take(Probe::NftRuleset, "table ip kube-proxy {\n}\ntable ip6 kube-proxy {\n}\ntable ip mine {\n}\n");
    let found = ask(Mode::Iptables, &state, &[], None);
    let argv: Vec<String> = found.removals.iter().map(ToString::to_string).collect();
    assert_eq!(argv, ["nft delete table ip kube-proxy", "nft delete table ip6 kube-proxy"]);
}
