//! The kernel's own choice of a route, in a network namespace of the test's own, beside ours.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{fmt::Write as _, net::IpAddr};

use e2e::netns::{Dice, Namespace};
use netcore::route::{Found, Query, Tables, parse_routes, parse_rules};
use serde_json::Value;

/// Two links with their other ends, addresses of both families, and what Calico and flannel make.
const NETWORK: &str = "\
link set lo up
link add a0 type veth peer name a1
link add b0 type veth peer name b1
link set a0 up
link set a1 up
link set b0 up
link set b1 up
addr add 192.0.2.1/24 dev a0
addr add 198.51.100.1/24 dev b0
addr add fd00:1::1/64 dev a0 nodad
addr add fd00:2::1/64 dev b0 nodad
route add default via 192.0.2.254 dev a0
route add 10.0.0.0/8 via 192.0.2.9
route add 10.244.0.0/16 via 198.51.100.9
route add 10.244.1.0/24 via 192.0.2.10 metric 50
route add 10.244.1.0/24 via 192.0.2.11 metric 20
route add blackhole 10.244.2.0/26
route add 10.244.2.7/32 dev b0
route add unreachable 10.244.3.0/24
route add prohibit 10.244.4.0/24
route add 10.244.5.0/24 nexthop via 192.0.2.21 weight 1 nexthop via 198.51.100.21 weight 3
route add throw 10.244.6.0/24 table 100
route add 10.244.6.0/24 via 192.0.2.66 table main
route add 10.244.0.0/16 via 198.51.100.100 table 100
route add 10.245.0.0/16 via 198.51.100.101 table 200
route add default via fd00:1::fe dev a0
route add fd00:10::/32 via fd00:2::9
route add fd00:10:1::/48 via fd00:1::9
route add blackhole fd00:10:1:2::/64
rule add pref 100 fwmark 0x10/0xf0 lookup 100
rule add pref 200 from 192.0.2.0/24 to 10.245.0.0/16 lookup 200
rule add pref 300 to 10.246.0.0/16 unreachable
";

/// What somebody says of a packet's way: where it goes, or that it does not.
type Way = String;

fn of_kernel(namespace: &Namespace, argv: &[&str]) -> Way {
    let output = namespace.run(argv, "");
    let Some(route) = serde_json::from_slice::<Value>(&output.stdout).ok().and_then(|all| all.get(0).cloned()) else {
        // it drops by an error of the call: the words of each
        let said = e2e::stderr(&output);
        let errors = [
            ("Invalid argument", "blackhole"),
            ("No route to host", "unreachable"),
            ("Network is unreachable", "none"),
            ("Permission denied", "prohibit"),
        ];
        let kind = errors.iter().find(|(words, _)| said.contains(words));
        return kind.unwrap_or_else(|| panic!("{argv:?}: {said}")).1.to_owned();
    };
    match route["type"].as_str() {
        Some("local") => "local".to_owned(),
        Some(dropped @ ("blackhole" | "unreachable" | "prohibit" | "broadcast" | "multicast")) => dropped.to_owned(),
        _ => format!(
            "via {} dev {}",
            route["gateway"].as_str().unwrap_or("-"),
            route["dev"].as_str().unwrap_or_default()
        ),
    }
}

/// Ours; several ways where a route has several, for which the kernel throws its own dice.
fn of_ours(found: &Found<'_>) -> Vec<Way> {
    match found {
        Found::Route(route) if route.next_hops.is_empty() || route.kind.to_string() != "unicast" => {
            vec![route.kind.to_string()]
        }
        Found::Route(route) => route
            .next_hops
            .iter()
            .map(|hop| {
                let via = hop.via.map_or_else(|| "-".to_owned(), |via| via.to_string());
                format!("via {via} dev {}", hop.dev.as_deref().unwrap_or_default())
            })
            .collect(),
        // a rule's `unreachable` has the error of no route at all
        Found::Dropped(rule) if rule.action.as_deref() == Some("unreachable") => vec!["none".to_owned()],
        Found::Dropped(rule) => vec![rule.action.clone().unwrap_or_default()],
        Found::Unknown(rule) => vec![format!("unknown by {rule:?}")],
        Found::None => vec!["none".to_owned()],
    }
}

fn address(dice: &mut Dice, v6: bool) -> IpAddr {
    let text = if v6 {
        match dice.below(6) {
            0 => format!("fd00:1::{:x}", dice.below(3)),
            1 => format!("2001:db8::{:x}", dice.below(9)),
            2 => format!("fd00:10:{:x}::1", dice.below(3)),
            _ => format!("fd00:10:1:{:x}::{:x}", dice.below(4), dice.below(3) + 1),
        }
    } else {
        match dice.below(8) {
            0 => format!("192.0.2.{}", dice.below(4) + 1),
            1 => format!("203.0.113.{}", dice.below(9)),
            2 => format!("10.{}.3.4", 243 + dice.below(5)),
            _ => format!("10.244.{}.{}", dice.below(8), dice.below(70)),
        }
    };
    text.parse().expect("an address")
}

#[test]
fn the_longest_prefix_is_the_kernels() {
    let Some(namespace) = Namespace::new(&["ip", "nsenter"]) else { return };
    for line in NETWORK.lines() {
        let mut argv = vec!["ip"];
        if line.contains("fd00:") {
            argv.push("-6");
        }
        argv.extend(line.split(' '));
        namespace.text(&argv, "");
    }
    let show = |argv: &[&str]| namespace.text(argv, "");
    let all = |json: bool| {
        let (routes, problems) = if json {
            let both = [
                show(&["ip", "-j", "-4", "route", "show", "table", "all"]),
                show(&["ip", "-j", "-6", "route", "show", "table", "all"]),
            ];
            let (mut routes, mut problems) = parse_routes(&both[0]);
            let (others, more) = parse_routes(&both[1]);
            routes.extend(others);
            problems.extend(more);
            (routes, problems)
        } else {
            let mut text = show(&["ip", "-4", "route", "show", "table", "all"]);
            let _ = write!(text, "{}", show(&["ip", "-6", "route", "show", "table", "all"]));
            parse_routes(&text)
        };
        assert!(problems.is_empty(), "{problems:?}");
        routes
    };
    let (from_json, from_text) = (all(true), all(false));
    assert_eq!(from_json.len(), from_text.len());
    for (json, text) in from_json.iter().zip(&from_text) {
        assert_eq!(
            (json.destination, &json.kind, &json.next_hops, &json.table, json.metric),
            (text.destination, &text.kind, &text.next_hops, &text.table, text.metric),
        );
    }
    let rules_of = |family: &str| {
        let (rules, problems) = parse_rules(&show(&["ip", family, "rule"]));
        let (same, _) = parse_rules(&show(&["ip", "-j", family, "rule"]));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(rules.len(), same.len(), "{family}");
        rules
    };
    let (rules4, rules6) = (rules_of("-4"), rules_of("-6"));
    let tables = Tables::new(&from_json);
    let mut dice = Dice::new(5);
    let mut ways = std::collections::BTreeSet::new();
    for number in 0..400 {
        let v6 = number % 4 == 0;
        let to = address(&mut dice, v6);
        let mut query = Query::default();
        let text = to.to_string();
        let mut argv = vec!["ip", "-j", "route", "get", &text];
        match dice.below(4) {
            0 => {
                query.mark = 0x13;
                argv.extend(["mark", "0x13"]);
            }
            1 if !v6 => {
                query.source = "192.0.2.1".parse().ok();
                argv.extend(["from", "192.0.2.1"]);
            }
            _ => {}
        }
        let rules = if v6 { &rules6 } else { &rules4 };
        let found = tables.lookup(rules, to, &query);
        let (kernel, mut ours) = (of_kernel(&namespace, &argv), of_ours(&found));
        // the link itself is the way to what is on it
        ours.iter_mut().filter(|way| *way == "unicast").for_each(|way| *way = kernel.clone());
        assert!(ours.contains(&kernel), "{argv:?}: the kernel says {kernel}, we say {ours:?}: {found:?}");
        ways.insert(kernel);
    }
    println!("{} ways: {ways:?}", ways.len());
    assert!(ways.len() >= 14, "{ways:?}");
}
