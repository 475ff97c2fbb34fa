#![expect(clippy::cast_precision_loss, reason = "numbers of rules are small")]

use super::*;
use crate::{
    ipset,
    iptables::Ruleset,
    names::Names,
    nft,
    probe::Probe,
    proxy::Mode,
    rules::{Dumps, Taken},
};

fn dumps(text: &str) -> Dumps {
    Dumps {
        texts: vec![Taken { probe: Probe::IptablesSave, file: "x".to_owned(), rules: Ruleset::parse(text.to_owned()) }],
    }
}

const RULES: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-FIREWALL - [0:0]\n\
    :cali-FORWARD - [0:0]\n:cali-tw-x - [0:0]\n:MINE - [0:0]\n\
    -A INPUT -j KUBE-SERVICES\n-A INPUT -j KUBE-FIREWALL\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n\
    -A FORWARD -m comment --comment \"cali:abc\" -j cali-FORWARD\n-A FORWARD -s 10.0.0.0/8 -m comment --comment \"flanneld forward\" -j ACCEPT\n\
    -A KUBE-SERVICES -d 10.96.0.9/32 -j REJECT --reject-with icmp-port-unreachable\n-A KUBE-FIREWALL -j DROP\n\
    -A cali-FORWARD -o cali+ -j cali-tw-x\n-A cali-tw-x -m set --match-set cali40s:one src -m set --match-set cali40s:one dst -j RETURN\n\
    -A cali-tw-x -m set ! --match-set cali40s:two src -j DROP\n-A MINE -m set --match-set cali40s:one src -j RETURN\nCOMMIT\n";

#[test]
fn every_rule_has_one_owner_and_together_they_are_all() {
    let dumps = dumps(RULES);
    let cost = table(&dumps.tables()[0]);
    assert_eq!((cost.rules, cost.chains, cost.depth), (11, 7, Some(3)));
    assert_eq!(cost.owners.sum(), cost.rules);
    assert_eq!(cost.rules, RULES.lines().filter(|line| line.starts_with("-A ")).count());
    let of = |owner| cost.owners.of(owner);
    assert_eq!((of(Owner::KubeProxy), of(Owner::Kubelet), of(Owner::Calico), of(Owner::Flannel)), (2, 2, 5, 1));
    // a rule of a chain that nobody owns is whoever's set it looks into
    assert_eq!(of(Owner::Other), 1, "the administrator's ssh");
    assert_eq!(cost.longest_chain, Some(LongestChain { name: "INPUT".to_owned(), rules: 3 }));
    let json = serde_json::to_value(cost.owners).unwrap();
    assert_eq!(json.as_object().unwrap().len(), Owner::ALL.len());
    assert_eq!(json["kube-proxy"], 2);
}

#[test]
fn owners_are_those_of_rules_one_by_one() {
    let dumps = dumps(RULES);
    let mut one_by_one = OwnerCounts::default();
    dumps.texts[0].rules.rules().for_each(|rule| one_by_one.add(rule.owner().owner, 1));
    let cost = table(&dumps.tables()[0]);
    assert_eq!(cost.owners, one_by_one);
}

#[test]
fn circles_have_no_depth() {
    let text = "*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n-A INPUT -j A\n-A A -j A\nCOMMIT\n";
    assert_eq!(table(&dumps(text).tables()[0]).depth, None);
}

#[test]
fn sets_are_counted_by_use_and_alike_ones_found() {
    let text = "Name: cali40s:one\nType: hash:net\nRevision: 7\nHeader: family inet hashsize 1024 maxelem 1048576\n\
        Size in memory: 504\nReferences: 2\nNumber of entries: 2\nMembers:\n10.0.0.1\n10.0.0.2\n\n\
        Name: cali40s:two\nType: hash:net\nRevision: 7\nHeader: family inet hashsize 1024 maxelem 1048576\n\
        Size in memory: 504\nReferences: 1\nNumber of entries: 2\nMembers:\n10.0.0.2\n10.0.0.1\n\n\
        Name: cali40s:three\nType: hash:ip\nRevision: 5\nHeader: family inet hashsize 1024 maxelem 65536\n\
        Size in memory: 200\nReferences: 0\nNumber of entries: 0\nMembers:\n";
    let dump = ipset::parse(text.as_bytes());
    let mut uses = SetUses::default();
    assert_eq!(uses.of("cali40s:one"), None, "no rules were read");
    uses.count_all(&Ruleset::parse(RULES));
    let found = sets(&dump, &uses, &Names::new());
    let of = |at: usize| (found[at].members, found[at].memory, found[at].used_by_rules, found[at].unused);
    assert_eq!(of(0), (Some(2), Some(504), Some(2), Some(false)), "a rule that looks twice is one");
    assert_eq!(of(1), (Some(2), Some(504), Some(1), Some(false)));
    assert_eq!(of(2), (Some(0), Some(200), Some(0), Some(true)));
    assert_eq!(found[1].duplicate_of.as_deref(), Some("cali40s:one"));
    assert!(found[0].duplicate_of.is_none() && found[2].duplicate_of.is_none());
    // `ipset save` tells neither memory nor references
    let dump = ipset::parse(b"create a hash:ip family inet\nadd a 10.0.0.1\ncreate l list:set size 8\nadd l a\n");
    let none = sets(&dump, &SetUses::default(), &Names::new());
    assert_eq!((none[0].memory, none[0].used_by_rules, none[0].unused), (None, None, None));
    let with = sets(&dump, &uses, &Names::new());
    assert_eq!((with[0].used_by_rules, with[0].unused, with[1].unused), (Some(0), Some(false), Some(true)));
}

#[test]
fn nftables_tables_are_counted_too() {
    let text = r#"{"nftables": [{"table": {"family": "ip", "name": "kube-proxy"}},
        {"chain": {"family": "ip", "table": "kube-proxy", "name": "nat-output", "type": "nat", "hook": "output", "prio": -100}},
        {"chain": {"family": "ip", "table": "kube-proxy", "name": "services"}},
        {"set": {"family": "ip", "table": "kube-proxy", "name": "cluster-ips", "type": "ipv4_addr", "elem": ["10.0.0.1", "10.0.0.2"]}},
        {"rule": {"family": "ip", "table": "kube-proxy", "chain": "nat-output", "expr": [{"jump": {"target": "services"}}]}},
        {"rule": {"family": "ip", "table": "kube-proxy", "chain": "services", "expr": [{"accept": null}]}}]}"#;
    let rules = nft::parse(text.as_bytes());
    let costs = nft_tables(&rules, &|_, _| true);
    assert_eq!(costs.len(), 1);
    let cost = &costs[0];
    assert_eq!((cost.chains, cost.rules, cost.depth, cost.sets, cost.elements), (2, 2, Some(2), Some(1), Some(2)));
    assert_eq!(cost.owners.of(Owner::KubeProxy), 2);
    assert!(nft_tables(&rules, &|_, _| false).is_empty());
}

/// Measured with the kernel's own counters: kube-proxy 1.36 in iptables mode beside Felix, one packet from
/// pod to pod. Services, rules of nat KUBE-SERVICES, rules of filter that it passes, and all that it
/// passes of kube-proxy.
const MEASURED: [(u64, u64, u64, u64); 2] = [(200, 268, 85, 415 - 59), (1_000, 1_370, 272, 1_704 - 59)];

fn shape_of((services, entries, filter, _): (u64, u64, u64, u64)) -> Shape {
    let told = Told { mode: Mode::Iptables, ports: services, entries, rejects: filter - 7, endpoints: 3 * services };
    told.shape(Some(services)).unwrap()
}

#[test]
fn the_formula_gives_what_was_measured() {
    for point in MEASURED {
        let passed = shape_of(point).past_all(point.0);
        assert!((passed - point.3 as f64).abs() < 1e-6, "{point:?}: {passed}");
    }
    // from one point to the other: the made-up Services of both are not quite alike
    let ahead = shape_of(MEASURED[0]).past_all(MEASURED[1].0);
    assert!((ahead / MEASURED[1].3 as f64 - 1.0).abs() < 0.07, "{ahead}");
    // what others measured at 10,000 Services with the two rules that older releases had for each: about 20,000
    let old = Shape { services: 10_000, entries: 2.0, rejects: 0.0, endpoints: 10.0 };
    assert!((old.past_all(10_000) - 20_000.0).abs() < 100.0);
    // and past the middle of the list it is half
    let ratio = old.iptables(50_000) / old.past_all(50_000);
    assert!((ratio - 0.5).abs() < 0.01, "{ratio}");
}

#[test]
fn lines_cross_where_iptables_passes_the_others() {
    let shape = shape_of(MEASURED[0]);
    let crossing = crossover(&shape, CALICO_REFERENCE);
    for (services, other) in
        [(crossing.calico, CALICO_REFERENCE), (crossing.ipvs, IPVS_RULES), (crossing.nftables, NFTABLES_RULES)]
    {
        assert!(shape.iptables(services) > other as f64, "{services} {other}");
        assert!(services == 0 || shape.iptables(services - 1) <= other as f64, "{services} {other}");
    }
    let points = growth(&shape, CALICO_REFERENCE);
    assert_eq!(points.iter().map(|point| point.services).collect::<Vec<_>>(), SERVICES);
    assert!(points.windows(2).all(|pair| pair[0].iptables < pair[1].iptables && pair[0].ipvs == pair[1].ipvs));
}

#[test]
fn a_kernel_tells_its_mode_and_shape() {
    let text = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n:KUBE-SVL-A - [0:0]\n:KUBE-SVL-B - [0:0]\n\
        :KUBE-SEP-1 - [0:0]\n:KUBE-SEP-2 - [0:0]\n-A KUBE-SERVICES -j KUBE-SVC-A\n-A KUBE-SERVICES -j KUBE-SVL-B\n-A KUBE-SERVICES -j RETURN\nCOMMIT\n\
        *filter\n:FORWARD ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -d 10.0.0.1/32 -j REJECT\nCOMMIT\n";
    let dumps = dumps(text);
    let told = in_iptables(&dumps.tables()).unwrap();
    assert_eq!(told, Told { mode: Mode::Iptables, ports: 2, entries: 3, rejects: 1, endpoints: 2 });
    let shape = told.shape(None).unwrap();
    assert_eq!((shape.services, shape.entries, shape.endpoints), (2, 1.5, 1.0));
    assert_eq!(in_iptables(&super::tests::dumps("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n").tables()), None);
}

fn drawn(chart: &Chart, width: usize, glyphs: Glyphs) -> Vec<String> {
    let lines = chart.text(Look { width, glyphs });
    lines.iter().map(|line| line.iter().map(|segment| segment.text.as_str()).collect()).collect()
}

#[test]
fn the_picture_fits_its_width_and_its_signs() {
    let shape = shape_of(MEASURED[0]);
    let chart = Chart::of(&growth(&shape, 59), Some(200), Some(crossover(&shape, 59)));
    for width in [20, 40, 80, 200] {
        for line in drawn(&chart, width, Glyphs::Ascii) {
            assert!(line.is_ascii(), "{line}");
        }
        let grid = drawn(&chart, width, Glyphs::Unicode);
        assert!(grid.iter().take(16).all(|line| line.chars().count() <= width.max(50)), "{width}: {grid:#?}");
    }
    let lines = drawn(&chart, 80, Glyphs::Ascii);
    assert!(lines.iter().any(|line| line.contains("i iptables   v ipvs   n nftables   c calico")), "{lines:#?}");
    assert!(lines[0].starts_with("100,000"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("this cluster, 200 Services")));
    assert!(Chart::of(&[], None, None).text(Look { width: 80, glyphs: Glyphs::Ascii }).is_empty());
}

#[test]
fn the_svg_is_whole_and_escapes_what_it_is_told() {
    let shape = shape_of(MEASURED[0]);
    let chart = Chart::of(&growth(&shape, 59), Some(200), Some(crossover(&shape, 59)));
    let text = svg(&chart, "a<b & \"c\"", &["One & two.".to_owned()]);
    assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
    assert!(text.contains("a&lt;b &amp; &quot;c&quot;") && text.contains("One &amp; two."));
    assert!(!text.contains("NaN") && !text.contains("inf"));
    assert_eq!(text.matches("<polyline").count(), 4);
    for number in text.split("points=\"").skip(1).flat_map(|rest| rest.split('"').next().unwrap().split([' ', ','])) {
        let value: f64 = number.parse().unwrap();
        assert!((0.0..=800.0).contains(&value), "{number}");
    }
    assert!(svg(&Chart::of(&[], None, None), "x", &[]).contains("nothing is known"));
}

#[test]
fn two_sentences_for_every_mode() {
    let shape = shape_of(MEASURED[0]);
    let large = Shape { services: 5_000, ..shape };
    let crossing = Some(crossover(&shape, 59));
    let points = growth(&shape, 59);
    let walked = NodeCost {
        first_packet: Some(vec![PacketCost { owner: Owner::KubeProxy, min: 9, median: 150, p99: 300, max: 320 }]),
        ..NodeCost::default()
    };
    for (mode, shape, says) in [
        (Some(Mode::Iptables), Some(&shape), "Leave the mode"),
        (Some(Mode::Iptables), Some(&large), "Move to nftables mode"),
        (Some(Mode::Ipvs), Some(&shape), "deprecated"),
        (Some(Mode::Nftables), Some(&shape), "nothing to gain"),
        (None, None, "Read more"),
    ] {
        for node in [NodeCost::default(), walked.clone()] {
            let sentences = conclude(std::slice::from_ref(&node), mode, shape, (&points, crossing));
            assert_eq!(sentences.len(), 2);
            assert!(sentences[1].contains(says), "{sentences:?}");
            assert!(sentences.iter().all(|sentence| sentence.ends_with('.')), "{sentences:?}");
            assert_eq!(sentences[0].contains("150 of kube-proxy's"), node.first_packet.is_some(), "{sentences:?}");
        }
    }
}
