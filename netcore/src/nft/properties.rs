//! What holds for every rule set: the JSON that comes out has the values that went in.

use std::{collections::BTreeMap, net::IpAddr};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::owner::Owner;

/// In the layout of kube-proxy 1.36 as nft 1.0.6 prints it; made by hand and short.
const KUBE_PROXY: &str = r#"{"nftables": [
{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
{"table": {"family": "ip", "name": "kube-proxy", "handle": 2}},
{"set": {"family": "ip", "name": "cluster-ips", "table": "kube-proxy", "type": "ipv4_addr", "handle": 37, "comment": "Active ClusterIPs", "elem": ["10.96.0.1", "10.96.0.10"]}},
{"map": {"family": "ip", "name": "no-endpoint-services", "table": "kube-proxy", "type": ["ipv4_addr", "inet_proto", "inet_service"], "handle": 40, "map": "verdict", "elem": [[{"elem": {"val": {"concat": ["10.96.0.27", "tcp", 80]}, "comment": "team-06/billing:http"}}, {"goto": {"target": "reject-chain"}}]]}},
{"map": {"family": "ip", "name": "service-ips", "table": "kube-proxy", "type": ["ipv4_addr", "inet_proto", "inet_service"], "handle": 48, "map": "verdict", "elem": [[{"concat": ["10.96.0.10", "udp", 53]}, {"goto": {"target": "service-dns"}}], [{"concat": ["10.96.0.1", "tcp", 443]}, {"goto": {"target": "gone"}}]]}},
{"map": {"family": "ip", "name": "service-nodeports", "table": "kube-proxy", "type": ["inet_proto", "inet_service"], "handle": 49, "map": "verdict"}},
{"chain": {"family": "ip", "table": "kube-proxy", "name": "nat-prerouting", "handle": 1, "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
{"chain": {"family": "ip", "table": "kube-proxy", "name": "services", "handle": 5}},
{"chain": {"family": "ip", "table": "kube-proxy", "name": "service-dns", "handle": 6}},
{"chain": {"family": "ip", "table": "kube-proxy", "name": "reject-chain", "handle": 7}},
{"chain": {"family": "ip", "table": "kube-proxy", "name": "a", "handle": 8}},
{"chain": {"family": "ip", "table": "kube-proxy", "name": "b", "handle": 9}},
{"rule": {"family": "ip", "table": "kube-proxy", "chain": "nat-prerouting", "handle": 11, "expr": [{"jump": {"target": "services"}}]}},
{"rule": {"family": "ip", "table": "kube-proxy", "chain": "services", "handle": 12, "expr": [{"vmap": {"key": {"concat": [{"payload": {"protocol": "ip", "field": "daddr"}}, {"meta": {"key": "l4proto"}}, {"payload": {"protocol": "th", "field": "dport"}}]}, "data": "@service-ips"}}]}},
{"rule": {"family": "ip", "table": "kube-proxy", "chain": "services", "handle": 13, "expr": [{"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}}, {"xt": {"type": "match", "name": "recent"}}, {"frobnicate": {"x": [1, 2.5e3]}}]}},
{"rule": {"family": "ip", "table": "kube-proxy", "chain": "service-dns", "handle": 14, "comment": "dns \"quoted\" ü", "expr": [{"match": {"op": "==", "left": {"&": [{"meta": {"key": "mark"}}, 16384]}, "right": 16384}}, {"counter": {"packets": 1, "bytes": 18446744073709551615}}, {"dnat": {"addr": {"map": {"key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "data": {"set": [[0, {"concat": ["10.244.1.2", 53]}], [1, {"concat": ["10.244.2.2", 53]}]]}}}, "family": "ip"}}]}},
{"rule": {"family": "ip", "table": "kube-proxy", "chain": "reject-chain", "handle": 15, "expr": [{"reject": null}]}},
{"rule": {"family": "ip", "table": "kube-proxy", "chain": "a", "handle": 16, "expr": [{"jump": {"target": "b"}}]}},
{"rule": {"family": "ip", "table": "kube-proxy", "chain": "b", "handle": 17, "expr": [{"goto": {"target": "a"}}]}}
]}
"#;

fn clean(text: &str) -> Ruleset<'_> {
    let ruleset = parse(text.as_bytes());
    assert!(ruleset.problems.is_empty(), "{}", ruleset.problems);
    ruleset
}

fn same(text: &str, ruleset: &Ruleset<'_>) {
    let read: Json = serde_json::from_str(text).expect("JSON");
    let printed: Json = serde_json::from_slice(&ruleset.print()).expect("JSON");
    assert_eq!(read, printed);
}

fn place(graph: &ChainGraph<'_>, at: usize) -> String {
    graph.nodes()[at].place.2.to_owned()
}

#[test]
fn what_is_printed_has_the_values_that_were_read() {
    let ruleset = clean(KUBE_PROXY);
    same(KUBE_PROXY, &ruleset);
    assert_eq!(ruleset.metainfo().expect("metainfo").version.as_deref(), Some("1.0.6"));
    assert_eq!((ruleset.tables().count(), ruleset.chains().count(), ruleset.rules().count()), (1, 6, 7));
}

#[test]
fn a_statement_that_is_not_known_is_kept_word_for_word() {
    let ruleset = clean(KUBE_PROXY);
    let rule = ruleset.rules().nth(2).expect("a rule");
    let statements: Vec<Statement<'_>> = rule.statements().collect();
    assert!(matches!(&statements[0], Statement::Match(m) if matches!(m.left, Expr::Fib(_))));
    assert!(matches!(&statements[1], Statement::Xt(Some(xt)) if xt.name.as_deref() == Some("recent")));
    assert_eq!(statements[2], Statement::Unknown("{\"frobnicate\": {\"x\": [1, 2.5e3]}}"));
}

#[test]
fn a_known_statement_with_a_key_that_is_not_known_is_not_half_understood() {
    let text = r#"{"nftables": [{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"counter": {"packets": 1, "bytes": 2, "since": 3}}, {"masquerade": {"flags": "random", "new": 1}}], "colour": {"red": true}}}]}"#;
    let ruleset = clean(text);
    same(text, &ruleset);
    let rule = ruleset.rules().next().expect("a rule");
    assert!(rule.statements().all(|statement| matches!(statement, Statement::Unknown(_))));
    assert_eq!(rule.rest, [("colour".into(), Raw("{\"red\": true}"))]);
}

#[test]
fn a_value_of_the_wrong_type_is_a_problem_and_is_kept() {
    let text = "{\"nftables\": [\n{\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"chain\": \"c\", \"expr\": [{\"counter\": {\"packets\": \"many\"}}]}},\n{\"chain\": {\"family\": \"ipx\", \"table\": \"t\", \"name\": \"c\"}}]}";
    let ruleset = parse(text.as_bytes());
    same(text, &ruleset);
    let found: Vec<_> = ruleset.problems.kept().iter().map(|p| (p.line, p.column)).collect();
    assert_eq!(found, [(2, 88), (3, 22)], "{}", ruleset.problems);
    assert!(ruleset.problems.kept()[0].token.starts_with("\"many\""), "{}", ruleset.problems);
    assert_eq!(ruleset.unknown().count(), 1);
}

#[test]
fn a_cut_dump_keeps_what_was_whole_and_says_where_it_ends() {
    let cut = KUBE_PROXY.find("service-nodeports").expect("there");
    let ruleset = parse(&KUBE_PROXY.as_bytes()[..cut]);
    assert_eq!(ruleset.problems.count(), 1, "{}", ruleset.problems);
    assert_eq!(ruleset.problems.first().expect("one").line, 7);
    assert_eq!(ruleset.maps().count(), 2);
    // the same tables once more behind it, another node's maybe, are told and not mixed in
    let two = format!("{}\n{KUBE_PROXY}", &KUBE_PROXY[..cut]);
    let ruleset = parse(two.as_bytes());
    assert_eq!((ruleset.problems.count(), ruleset.maps().count(), ruleset.rules().count()), (2, 2, 0));
    // other tables are, as where two tables were listed one after the other
    let other = KUBE_PROXY.replace("\"family\": \"ip\"", "\"family\": \"ip6\"");
    let both = format!("{KUBE_PROXY}\n{other}");
    let ruleset = parse(both.as_bytes());
    assert_eq!((ruleset.problems.count(), ruleset.maps().count(), ruleset.rules().count()), (0, 6, 14));
}

#[test]
fn a_command_s_error_is_said_with_its_line() {
    for (text, tables) in [
        ("Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed\n", 0),
        ("sh: nft: command not found", 0),
        (
            "# Warning: table ip nat is managed by iptables-nft, do not touch!\n{\"nftables\": [{\"table\": {\"family\": \"ip\", \"name\": \"nat\"}}]}",
            1,
        ),
        ("{\"nftables\": [{\"table\": {\"family\": \"ip\", \"name\": \"nat\"}}]}\nnonsense", 1),
        ("\0\0\0", 0),
        ("{\"kind\": \"List\"}", 0),
    ] {
        let ruleset = parse(text.as_bytes());
        assert!(!ruleset.problems.is_empty(), "{text}");
        assert_eq!(ruleset.tables().count(), tables, "{text}");
    }
    let ruleset = parse(b"Operation not permitted\n");
    let problem = ruleset.problems.first().expect("one");
    assert_eq!((problem.line, problem.column, problem.token.as_str()), (1, 1, "Operation not permitted"));
    assert!(parse(b"").problems.is_empty());
}

#[test]
fn nesting_without_end_is_refused() {
    for open in ["[", "{\"set\":", "{\"concat\":["] {
        let text = format!(
            "{{\"nftables\": [{{\"rule\": {{\"family\":\"ip\",\"table\":\"t\",\"chain\":\"c\",\"expr\":[{{\"match\":{{\"op\":\"==\",\"left\":{}",
            open.repeat(100_000)
        );
        let ruleset = parse(text.as_bytes());
        assert!(ruleset.problems.to_string().contains("nested"), "{}", ruleset.problems);
    }
}

#[test]
fn kube_proxy_s_maps_are_typed() {
    let ruleset = clean(KUBE_PROXY);
    let table = KubeProxyTable::of(&ruleset, Family::Ip).expect("the table");
    assert!(KubeProxyTable::of(&ruleset, Family::Ip6).is_none());
    let services = table.service_ips.expect("a map");
    assert_eq!(services.len(), 2);
    assert_eq!(services[0].address, Some(IpAddr::from([10, 96, 0, 10])));
    assert_eq!((services[0].protocol, services[0].port), (17, 53));
    assert_eq!(services[0].verdict, Verdict::Goto("service-dns".into()));
    assert_eq!(table.no_endpoint_services.expect("a map")[0].comment.as_deref(), Some("team-06/billing:http"));
    assert_eq!(table.service_nodeports, Some(Vec::new()), "empty is not missing");
    assert_eq!(table.firewall_ips, None, "missing is not empty");
    assert_eq!(table.cluster_ips.expect("a set").len(), 2);
    assert_eq!(table.unknown, 0);
}

#[test]
fn chains_lead_to_chains_also_through_maps() {
    let ruleset = clean(KUBE_PROXY);
    let graph = ChainGraph::new(&ruleset);
    let services = graph.get(Family::Ip, "kube-proxy", "services").expect("a chain");
    assert_eq!((services.rules, services.unknown, services.targets.len()), (2, 2, 1));
    assert_eq!(place(&graph, services.targets[0]), "service-dns");
    assert_eq!(graph.missing().len(), 1);
    assert_eq!(graph.missing()[0].1, "gone");
    let names = |all: Vec<usize>| all.into_iter().map(|at| place(&graph, at)).collect::<Vec<_>>();
    assert_eq!(names(graph.unreachable()), ["reject-chain", "a", "b"]);
    assert_eq!(names(graph.loops()), ["a", "b"]);
}

#[test]
fn a_chain_that_leads_into_a_loop_is_not_in_it() {
    let jump = |from: &str, to: &str| json!({"rule": {"family": "ip", "table": "t", "chain": from, "expr": [{"jump": {"target": to}}]}});
    let chain = |name: &str| json!({"chain": {"family": "ip", "table": "t", "name": name}});
    let objects = [
        chain("in"),
        chain("a"),
        chain("b"),
        chain("out"),
        jump("in", "a"),
        jump("a", "b"),
        jump("b", "a"),
        jump("b", "out"),
    ];
    let text = json!({"nftables": objects}).to_string();
    let ruleset = clean(&text);
    let graph = ChainGraph::new(&ruleset);
    assert_eq!(graph.loops().into_iter().map(|at| place(&graph, at)).collect::<Vec<_>>(), ["a", "b"]);
}

fn index_of(set: &Json) -> String {
    json!({"nftables": [set]}).to_string()
}

fn found(text: &str, key: &[Value<'_>]) -> Found {
    let ruleset = clean(text);
    let set = ruleset.sets().chain(ruleset.maps()).next().expect("a set");
    let key: Vec<Value<'_>> = key.to_vec();
    ElementIndex::new(set).find(&key)
}

fn ip(text: &str) -> Value<'static> {
    text.parse::<IpAddr>().expect("an address").into()
}

#[test]
fn members_are_found_by_value_range_prefix_and_beginning() {
    let text = index_of(
        &json!({"set": {"family": "ip", "name": "s", "table": "t", "type": "ipv4_addr", "flags": ["interval"],
        "elem": ["10.0.0.1", {"prefix": {"addr": "10.1.0.0", "len": 16}}, {"range": ["10.2.0.5", "10.2.0.9"]},
                 {"elem": {"val": "10.3.0.1", "timeout": 5, "comment": "c"}}]}}),
    );
    for (address, at) in [("10.0.0.1", 0), ("10.1.255.255", 1), ("10.2.0.5", 2), ("10.2.0.9", 2), ("10.3.0.1", 3)] {
        assert_eq!(found(&text, &[ip(address)]), Found::At(at), "{address}");
    }
    for address in ["10.0.0.2", "10.2.0.4", "10.2.0.10", "9.255.255.255"] {
        assert_eq!(found(&text, &[ip(address)]), Found::Out, "{address}");
    }
    let text = index_of(&json!({"set": {"family": "inet", "name": "s", "table": "t", "type": "ifname",
        "elem": ["lo", "eth*", "eth1*"]}}));
    let name = |name: &'static str| [Value::Text(name.into())];
    assert_eq!(found(&text, &name("lo")), Found::At(0));
    assert_eq!(found(&text, &name("eth0")), Found::At(1));
    assert_eq!(found(&text, &name("eth10")), Found::At(2));
    assert_eq!(found(&text, &name("lo1")), Found::Out);
    let text = index_of(
        &json!({"set": {"family": "ip6", "name": "s", "table": "t", "type": ["ipv6_addr", "inet_service"],
        "elem": [{"concat": [{"prefix": {"addr": "fd00::", "len": 8}}, {"range": [80, 90]}]}, {"concat": ["::1", 53]}]}}),
    );
    assert_eq!(found(&text, &[ip("fd12::1"), Value::from(85_u16)]), Found::At(0));
    assert_eq!(found(&text, &[ip("fd12::1"), Value::from(91_u16)]), Found::Out);
    assert_eq!(found(&text, &[ip("::1"), Value::from(53_u16)]), Found::At(1));
}

#[test]
fn a_member_that_is_not_understood_makes_absence_unknown() {
    let text = index_of(
        &json!({"set": {"family": "ip", "name": "s", "table": "t", "type": "inet_service", "elem": [80, "https"]}}),
    );
    assert_eq!(found(&text, &[Value::from(80_u16)]), Found::At(0));
    assert_eq!(found(&text, &[Value::from(443_u16)]), Found::Unknown);
}

#[test]
fn tables_chains_and_rules_have_owners() {
    let ruleset = clean(KUBE_PROXY);
    assert!(ruleset.rules().all(|rule| of_rule(rule).owner == Owner::KubeProxy));
    assert!(ruleset.maps().all(|map| of_set(map).owner == Owner::KubeProxy));
    let text = r#"{"nftables": [{"table": {"family": "ip", "name": "filter"}}, {"chain": {"family": "ip", "table": "filter", "name": "cali-INPUT"}}, {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "expr": [{"jump": {"target": "FLANNEL-FWD"}}]}}, {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "expr": [{"accept": null}]}}]}"#;
    let ruleset = clean(text);
    assert_eq!(of_table(ruleset.tables().next().expect("one")).owner, Owner::Other);
    assert_eq!(of_chain(ruleset.chains().next().expect("one")).owner, Owner::Calico);
    assert_eq!(ruleset.rules().map(|rule| of_rule(rule).owner).collect::<Vec<_>>(), [Owner::Flannel, Owner::Other]);
}

/// As nft 1.0.6 prints it; made by hand.
const TEXT: &str = "# Warning: table ip filter is managed by iptables-nft, do not touch!
table ip filter {
\tchain INPUT {
\t\ttype filter hook input priority filter; policy accept;
\t\tcounter packets 1 bytes 2 jump KUBE-FIREWALL
\t}

\tchain KUBE-FIREWALL {
\t}
}
table inet t { # handle 5
\tset s {
\t\ttype ipv4_addr . inet_service
\t\tflags interval
\t\telements = { 10.0.0.0/8 . 80 comment \"}\",
\t\t\t     11.0.0.0/8 . 90 }
\t}

\tmap m {
\t\ttype ipv4_addr : verdict
\t}

\tflowtable ft {
\t\thook ingress priority filter
\t}

\tchain c { # handle 7
\t\tcomment \"not a rule\"
\t\ttcp dport { 80,
\t\t\t 90 } accept # handle 8
\t\tct state vmap { new : jump x } comment \"{\"
\t}
}
";

#[test]
fn text_is_counted_and_named() {
    let found = parse_text(TEXT.as_bytes());
    assert!(found.problems.is_empty(), "{}", found.problems);
    let [filter, table] = found.tables.as_slice() else { panic!("{found:?}") };
    assert!(filter.compat && !table.compat);
    assert_eq!(
        filter.chains.iter().map(|c| (c.name, c.base.is_some(), c.rules)).collect::<Vec<_>>(),
        [("INPUT", true, 1), ("KUBE-FIREWALL", false, 0)]
    );
    assert_eq!(
        (table.family, table.name, &table.sets[..], &table.maps[..]),
        (Family::Inet, "t", &["s"][..], &["m"][..])
    );
    assert_eq!(table.others, [("flowtable", "ft")]);
    assert_eq!(table.chains, [TextChain { name: "c", base: None, rules: 2 }]);
    assert_eq!(found.rules(), 3);
    let cut = parse_text(&TEXT.as_bytes()[..60 + TEXT.len() / 2]);
    assert!(cut.problems.to_string().contains("closing brace"), "{}", cut.problems);
    assert_eq!(parse_text(b"Operation not permitted\n").problems.count(), 1);
}

/// Any JSON, with nft's own words more often than others.
fn any_json() -> impl Strategy<Value = Json> {
    let words = prop_oneof![
        Just("accept"),
        Just("jump"),
        Just("target"),
        Just("match"),
        Just("op"),
        Just("left"),
        Just("right"),
        Just("counter"),
        Just("packets"),
        Just("bytes"),
        Just("payload"),
        Just("protocol"),
        Just("field"),
        Just("meta"),
        Just("key"),
        Just("concat"),
        Just("prefix"),
        Just("addr"),
        Just("len"),
        Just("elem"),
        Just("val"),
        Just("stmt"),
        Just("vmap"),
        Just("data"),
        Just("limit"),
        Just("rate"),
        Just("synproxy"),
        Just("map"),
        Just("set"),
        Just("rule"),
        Just("family"),
        Just("table"),
        Just("chain"),
        Just("expr"),
        Just("other")
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        "\\PC{0,8}".prop_map(Json::from),
        words.clone().prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::btree_map(words.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map: BTreeMap<String, Json>| Json::Object(map.into_iter().collect())),
        ]
    })
}

fn expression() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Json::from),
        "[a-z0-9@.*\"\\\\]{0,9}".prop_map(Json::from),
        Just(json!({"meta": {"key": "mark"}})),
        Just(json!({"payload": {"protocol": "ip", "field": "saddr"}})),
        Just(json!({"payload": {"base": "th", "offset": 16, "len": 16}})),
        Just(json!({"ct": {"key": "saddr", "dir": "original", "family": "ip"}})),
        Just(json!({"fib": {"result": "oif", "flags": ["saddr", "iif"]}})),
        Just(json!({"numgen": {"mode": "inc", "mod": 4, "offset": 1}})),
        Just(json!({"symhash": {"mod": 2}})),
        Just(json!({"tcp option": {"name": "maxseg", "field": "size"}})),
        Just(json!({"goto": {"target": "x"}})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"concat": all})),
            proptest::collection::vec(inner.clone(), 2).prop_map(|all| json!({"range": all})),
            proptest::collection::vec(inner.clone(), 2).prop_map(|all| json!({"|": all})),
            (inner.clone(), 0..33_u8).prop_map(|(addr, len)| json!({"prefix": {"addr": addr, "len": len}})),
            (inner.clone(), inner.clone()).prop_map(|(key, data)| json!({"map": {"key": key, "data": data}})),
            (inner.clone(), any::<u32>()).prop_map(|(val, n)| json!({"elem": {"val": val, "timeout": n, "comment": "c", "counter": {"packets": n, "bytes": 1}}})),
            (inner, any::<u32>()).prop_map(|(expr, seed)| json!({"jhash": {"mod": 10, "seed": seed, "expr": expr}})),
        ]
    })
}

fn statement() -> impl Strategy<Value = Json> {
    let (a, b) = (expression(), expression());
    (a, b, any::<u32>(), 0..12_u8).prop_map(|(a, b, n, which)| match which {
        0 => json!({"match": {"op": "!=", "left": a, "right": b}}),
        1 => json!({"vmap": {"key": a, "data": b}}),
        2 => json!({"mangle": {"key": a, "value": b}}),
        3 => json!({"counter": {"packets": n, "bytes": u64::MAX}}),
        4 => json!({"dnat": {"addr": a, "port": b, "family": "ip", "flags": ["random"]}}),
        5 => json!({"masquerade": null}),
        6 => json!({"limit": {"rate": n, "per": "second", "burst": 5, "inv": true}}),
        7 => json!({"set": {"op": "add", "elem": a, "set": "@s", "stmt": [{"counter": null}]}}),
        8 => json!({"log": {"prefix": "x", "queue-threshold": n, "flags": b}}),
        9 => json!({"counter": "named"}),
        10 => json!({"quota": {"map": {"key": a, "data": "@q"}}}),
        _ => json!({"xt": {"type": "match", "name": "conntrack"}}),
    })
}

proptest! {
    #[test]
    fn generated_rules_print_and_parse_back(
        rules in proptest::collection::vec(proptest::collection::vec(statement(), 0..5), 0..5),
        elements in proptest::collection::vec(expression(), 0..5),
    ) {
        let rules = rules.into_iter().map(|expr| json!({"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 1, "expr": expr}}));
        let set = json!({"set": {"family": "ip", "name": "s", "table": "t", "type": "ipv4_addr", "elem": elements}});
        let whole = json!({"nftables": rules.chain([set]).collect::<Vec<_>>()});
        let text = whole.to_string();
        let ruleset = parse(text.as_bytes());
        prop_assert!(ruleset.problems.is_empty(), "{}", ruleset.problems);
        prop_assert_eq!(ruleset.unknown().count(), 0);
        for rule in ruleset.rules() {
            for statement in rule.statements() {
                prop_assert!(!matches!(statement, Statement::Unknown(_)), "{:?}", statement);
            }
        }
        prop_assert_eq!(serde_json::from_slice::<Json>(&ruleset.print()).expect("JSON"), whole);
    }

    #[test]
    fn any_json_is_kept(objects in proptest::collection::vec(any_json(), 0..4)) {
        let wrapped: Vec<Json> = objects.iter().map(|expr| json!({"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [expr]}})).collect();
        for whole in [json!({"nftables": objects}), json!({"nftables": wrapped})] {
            let text = whole.to_string();
            let ruleset = parse(text.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<Json>(&ruleset.print()).expect("JSON"), whole);
            ChainGraph::new(&ruleset);
        }
    }

    #[test]
    fn any_bytes_are_read_without_falling_over(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        parse(&bytes).print();
        parse_text(&bytes);
    }

    #[test]
    fn damaged_dumps_are_read_without_falling_over(cut in 0..KUBE_PROXY.len(), at in 0..KUBE_PROXY.len(), byte in any::<u8>()) {
        let mut bytes = KUBE_PROXY.as_bytes().to_vec();
        bytes[at] = byte;
        bytes.truncate(cut);
        let ruleset = parse(&bytes);
        ChainGraph::new(&ruleset);
        KubeProxyTable::of(&ruleset, Family::Ip);
        for set in ruleset.sets().chain(ruleset.maps()) {
            ElementIndex::new(set);
        }
        ruleset.print();
    }

    #[test]
    fn lookups_agree_with_a_search(
        ranges in proptest::collection::btree_map(0..60_u16, 0..3_u16, 0..12),
        asked in proptest::collection::vec(0..400_u16, 20),
    ) {
        // ranges that do not overlap, as the kernel keeps them
        let ranges: Vec<(u16, u16)> = ranges.into_iter().map(|(at, more)| (at * 4, at * 4 + more)).collect();
        let elements: Vec<Json> = ranges.iter().map(|(a, b)| if a == b { json!(a) } else { json!({"range": [a, b]}) }).collect();
        let text = index_of(&json!({"set": {"family": "ip", "name": "s", "table": "t", "type": "inet_service", "elem": elements}}));
        for port in asked {
            let expected = ranges.iter().position(|(a, b)| (*a..=*b).contains(&port)).map_or(Found::Out, Found::At);
            prop_assert_eq!(found(&text, &[Value::from(port)]), expected);
        }
    }
}
