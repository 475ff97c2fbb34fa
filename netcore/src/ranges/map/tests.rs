use std::net::IpAddr;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    cidr::Cidr,
    cluster::{ReadStatus, Resource, resources},
    ranges::{ClusterIp, Confidence, Facts, NodeFacts, Origin, PodAddress, ServiceFacts, Want},
};

fn origin() -> Origin {
    Origin::new("test", Confidence::B, "configmap a/b", "field")
}

fn with(ranges: &[(Role, &str)]) -> Facts {
    let mut facts = Facts::default();
    for (role, text) in ranges {
        facts.add_ranges(*role, text, &origin());
    }
    facts
}

fn read(facts: &mut Facts, resource: &'static Resource) {
    facts.reads.insert(Want::list(resource), ReadStatus::Complete);
}

fn pods(facts: &mut Facts, cidr: &str, count: u128) {
    let cidr: Cidr = cidr.parse().unwrap();
    let pod = facts.pods.names.push("default/a");
    facts.pods.addresses.extend((0..count).map(|n| PodAddress { ip: cidr.nth(n).unwrap(), pod, node: 0 }));
    facts.pods.addresses.sort_by_key(|address| address.ip);
    read(facts, &resources::PODS);
}

fn node(facts: &mut Facts, name: &str, addresses: &[&str], pod_cidr: &str) {
    let node = NodeFacts {
        name: name.to_owned(),
        addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        pod_cidrs: vec![pod_cidr.parse().unwrap()],
        ..NodeFacts::default()
    };
    facts.nodes.insert(name.to_owned(), node);
}

/// A made-up cluster of two nodes in both families.
fn cluster() -> Facts {
    let mut facts = with(&[
        (Role::Pod, "10.244.0.0/16,fd00:10:244::/56"),
        (Role::Service, "10.96.0.0/12"),
        (Role::Loadbalancer, "192.168.122.200-192.168.122.220"),
    ]);
    node(&mut facts, "a", &["192.168.122.11"], "10.244.0.0/24");
    node(&mut facts, "b", &["192.168.122.12"], "10.244.4.0/24");
    pods(&mut facts, "10.244.0.0/24", 12);
    facts.cluster_ips =
        ["10.96.0.1", "10.101.3.4"].map(|ip| ClusterIp { ip: ip.parse().unwrap(), parent: String::new() }).to_vec();
    read(&mut facts, &resources::IPADDRESSES);
    facts
}

fn lines(map: &AddressMap, width: usize) -> Vec<String> {
    let line = |segments: Vec<text::Segment>| segments.into_iter().map(|segment| segment.text).collect();
    text::render(map, width).into_iter().map(line).collect()
}

fn block<'a>(map: &'a AddressMap, cidr: &str) -> &'a Block {
    let found = map.blocks.iter().find(|block| block.cidr.to_string() == cidr);
    found.unwrap_or_else(|| panic!("no block {cidr} in {:?}", map.blocks.iter().map(|b| b.cidr).collect::<Vec<_>>()))
}

fn drawn(map: &AddressMap) -> Vec<String> {
    map.blocks.iter().map(|block| block.cidr.to_string()).collect()
}

#[test]
fn a_cluster_fits_eighty_columns() {
    let map = layout(&cluster());
    let expected = "\
10.0.0.0/8  each cell a /16
10.0    ································································
10.64   ································SSSSSSSSSSSSSSSS················
10.128  ································································
10.192  ····················································P···········
  S service  10.96.0.0/12  2 of 1048574 in use (under 0.1%)  each cell a /18
    ░···················░···········································
  P pod      10.244.0.0/16  12 of 65536 in use (under 0.1%)  each cell a /22
    ░▁······························································

192.168.0.0/16  each cell a /22
  ······························+·································
  L load balancer 192.168.122.200-192.168.122.220
  N node     2 addresses, 192.168.122.11 to 192.168.122.12

fd00:10:244::/54  each cell a /60
  PPPPPPPPPPPPPPPP················································
  P pod      fd00:10:244::/56  0 of 4722366482869645213696 in use (0%)
    each cell a /62
    ································································

P pod  S service  N node  L load balancer  + several, apart  · nothing known
in use: · none  ▁ none yet, but a node has it  ░ to 25%  ▒ to 50%  ▓ to 75%
  █ more";
    assert_eq!(lines(&map, 80).join("\n"), expected);
}

#[test]
fn narrow_terminals_get_more_rows() {
    let lines = lines(&layout(&cluster()), 40);
    assert!(lines.contains(&"10.96   SSSSSSSSSSSSSSSS················".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"192.168.64   ··············+·".to_owned()), "{lines:#?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 40), "{lines:#?}");
}

#[test]
fn an_overlap_is_drawn_and_told_and_neighbours_are_not_one() {
    let map = layout(&with(&[(Role::Pod, "10.244.0.0/16"), (Role::Service, "10.244.128.0/20")]));
    let cell = &block(&map, "10.0.0.0/8").cells[244];
    assert!(cell.overlap && cell.roles == [Role::Pod, Role::Service]);
    assert!(
        lines(&map, 80)
            .contains(&"! overlap: pod 10.244.0.0/16 and service 10.244.128.0/20 share 10.244.128.0/20".to_owned())
    );
    assert!(lines(&map, 80).iter().any(|line| line.starts_with("10.192 ") && line.contains('!')));
    assert!(svg::render(&map, "a").contains("overlap: pod 10.244.0.0/16"));

    let map = layout(&with(&[(Role::Pod, "10.244.0.0/17"), (Role::Service, "10.244.128.0/17")]));
    let cell = &block(&map, "10.0.0.0/8").cells[244];
    assert!(!cell.overlap && cell.mixed() && cell.full);
    assert!(map.overlaps.is_empty());
}

#[test]
fn one_role_twice_is_no_overlap() {
    let map =
        layout(&with(&[(Role::Pod, "10.244.0.0/16"), (Role::Pod, "10.244.0.0/17"), (Role::Pod, "10.244.0.0/16")]));
    assert!(map.overlaps.is_empty());
    assert!(!block(&map, "10.0.0.0/8").cells[244].overlap);
    assert_eq!(block(&map, "10.0.0.0/8").ranges.len(), 2);
}

#[test]
fn a_node_inside_a_pod_range_is_an_overlap() {
    let mut facts = with(&[(Role::Pod, "10.244.0.0/16")]);
    node(&mut facts, "a", &["10.244.9.9"], "10.244.0.0/24");
    let map = layout(&facts);
    assert_eq!(
        map.overlaps,
        [Overlap {
            one: "pod 10.244.0.0/16".to_owned(),
            other: "node 10.244.9.9".to_owned(),
            shared: "10.244.9.9".to_owned()
        }]
    );
}

#[test]
fn a_load_balancer_on_the_nodes_is_no_overlap() {
    let mut facts = Facts::default();
    node(&mut facts, "a", &["192.168.1.9"], "10.244.0.0/24");
    let ip: IpAddr = "192.168.1.9".parse().unwrap();
    facts.services.push(ServiceFacts { load_balancer_ips: vec![ip], ..ServiceFacts::default() });
    let map = layout(&facts);
    assert!(map.overlaps.is_empty());
    assert_eq!(block(&map, "192.168.0.0/16").ranges.len(), 1);
}

#[test]
fn parts_show_how_full_a_range_is() {
    let mut facts = with(&[(Role::Pod, "10.244.0.0/18")]);
    node(&mut facts, "a", &[], "10.244.4.0/24");
    for (part, count) in [("10.244.0.0/24", 1), ("10.244.1.0/24", 65), ("10.244.2.0/24", 129), ("10.244.3.0/24", 193)] {
        pods(&mut facts, part, count);
    }
    let map = layout(&facts);
    let parts = block(&map, "10.0.0.0/8").ranges[0].parts.clone().unwrap();
    assert_eq!(parts.prefix, 24);
    assert_eq!(parts.fill[..6], [Fill::Quarter, Fill::Half, Fill::ThreeQuarters, Fill::Full, Fill::Given, Fill::Free]);
}

#[test]
fn unread_use_is_not_drawn_as_free() {
    let map = layout(&with(&[(Role::Pod, "10.244.0.0/16"), (Role::Service, "10.96.0.0/12")]));
    let ranges = &block(&map, "10.0.0.0/8").ranges;
    assert!(ranges.iter().all(|range| range.parts.is_none() && range.used.is_none()), "{ranges:?}");
    assert!(!lines(&map, 80).iter().any(|line| line.contains("in use")));
}

#[test]
fn node_shares_stand_in_for_a_range_that_nobody_names() {
    let mut facts = Facts::default();
    node(&mut facts, "a", &[], "10.244.0.0/24");
    node(&mut facts, "b", &[], "10.244.1.0/24");
    let map = layout(&facts);
    let ranges = &block(&map, "10.0.0.0/8").ranges;
    assert_eq!((ranges.len(), ranges[0].text.as_str(), ranges[0].lower_bound), (1, "10.244.0.0/23", true));
}

#[test]
fn small_ipv6_ranges_get_a_block_in_which_they_are_apart() {
    let map = layout(&with(&[
        (Role::Pod, "fd85:ee78:d8a6:8607:0:0:1:0/112"),
        (Role::Service, "fd85:ee78:d8a6:8607::1000/116"),
    ]));
    assert_eq!(drawn(&map), ["fd85:ee78:d8a6:8607::/109"]);
    assert!(map.blocks[0].cells.iter().all(|cell| cell.roles.len() < 2));
}

#[test]
fn a_range_of_nearly_everything_does_not_hide_the_rest() {
    let map = layout(&with(&[(Role::External, "0.0.0.0/0,::/0"), (Role::Pod, "10.244.0.0/16")]));
    assert_eq!(drawn(&map), ["10.0.0.0/8"]);
    assert_eq!(map.overlaps.len(), 1);
    let map = layout(&with(&[(Role::External, "0.0.0.0/0,::/0")]));
    assert_eq!(drawn(&map), ["0.0.0.0/0", "::/0"]);
    assert_eq!(map.blocks[1].cells.len(), 64);
}

#[test]
fn many_blocks_leave_out_the_least_important_and_say_so() {
    let mut facts = with(&[(Role::Service, "10.96.0.0/12")]);
    for n in 1..=20u8 {
        facts.add_ranges(Role::External, &format!("9.{n}.0.0/24"), &origin());
    }
    let map = layout(&facts);
    assert_eq!((map.blocks.len(), map.not_drawn.len()), (12, 9));
    assert_eq!(drawn(&map).last().unwrap(), "10.0.0.0/8");
    assert!(lines(&map, 80).join("\n").contains("not drawn: 9.12.0.0/16 9.13.0.0/16"));
    assert!(svg::render(&map, "a").contains("not drawn: 9.12.0.0/16"));
}

#[test]
fn nothing_known_is_said() {
    let map = layout(&Facts::default());
    assert_eq!(lines(&map, 80), ["no address range is known"]);
    assert!(svg::render(&map, "a").contains("no address range is known"));
}

/// Elements close in the order in which they open, and no stray sign is in the text.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some((text, tail)) = rest.split_once('<') {
        assert!(!text.contains('>'), "stray > in {text:?}");
        let (tag, tail) = tail.split_once('>').unwrap();
        rest = tail;
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
}

#[test]
fn svg_is_whole_and_escapes_what_it_is_told() {
    let svg = svg::render(&layout(&cluster()), "<script>&\"'\u{1b}[31m");
    assert_well_formed(&svg);
    assert!(svg.contains("Address ranges of &lt;script&gt;&amp;&quot;&#39;[31m"));
    assert!(!svg.contains("<script>") && !svg.contains('\u{1b}'));
    assert!(svg.contains("prefers-color-scheme:dark"));
    assert!(svg.contains("<title>10.96.0.0/16: service</title>"));
    // each is legible without its colour: the letter is in its first cell
    assert!(svg.contains(">S</text>") && svg.contains(">P</text>"));
}

#[test]
fn neighbouring_cells_of_one_style_are_one_segment() {
    let rendered = text::render(&layout(&cluster()), 80);
    let row = &rendered[2];
    assert_eq!(row.len(), 3, "{row:?}");
    assert_eq!((row[1].style, row[1].text.as_str()), (text::Style::Role(Role::Service), "SSSSSSSSSSSSSSSS"));
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![
        Just(Role::Pod),
        Just(Role::Service),
        Just(Role::Node),
        Just(Role::Loadbalancer),
        Just(Role::External),
        Just(Role::Internal)
    ]
}

fn any_range() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<u32>(), 0u8..=32)
            .prop_map(|(bits, len)| Cidr::covering(IpAddr::from(bits.to_be_bytes()), len).unwrap().to_string()),
        (any::<u128>(), 0u8..=128)
            .prop_map(|(bits, len)| Cidr::covering(IpAddr::from(bits.to_be_bytes()), len).unwrap().to_string()),
        (any::<u32>(), 0u32..5000).prop_map(|(first, n)| {
            let ip = |bits: u32| IpAddr::from(bits.to_be_bytes());
            format!("{}-{}", ip(first), ip(first.saturating_add(n)))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_ranges_can_be_drawn(ranges in vec((any_role(), any_range()), 0..30), width in 0usize..200) {
        let mut facts = Facts::default();
        for (role, text) in &ranges {
            facts.add_ranges(*role, text, &origin());
        }
        let map = layout(&facts);
        prop_assert!(map.blocks.iter().all(|block| (1..=256).contains(&block.cells.len())));
        // two IPv6 addresses beside each other are what a narrow line may not hold
        for line in lines(&map, width) {
            prop_assert!(line.chars().count() <= width.max(100), "{}", line);
        }
        assert_well_formed(&svg::render(&map, "any"));
    }
}
