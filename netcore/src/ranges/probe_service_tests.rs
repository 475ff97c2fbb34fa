use super::*;

/// The texts of all releases, with `A` for the address and `X` for the range.
const TEXTS: [&str; 4] = [
    "spec.clusterIP: Invalid value: \"A\": provided IP is not in the valid range. The range of valid IPs is X",
    "failed to allocated ip:A with error:provided IP is not in the valid range. The range of valid IPs is X",
    "failed to allocate IP A: provided IP is not in the valid range. The range of valid IPs is X",
    "failed to allocate IP A: the provided IP (A) is not in the valid range. The range of valid IPs is X",
];
const STRIPPED: &str = "failed to allocate IP A: the provided IP (A) is not in the valid range";

/// An allocator that judges each request by one of its ranges, picked as unevenly as the real one does.
struct Server {
    ranges: Vec<Cidr>,
    text: &'static str,
    state: u64,
    asked: u32,
}

impl Server {
    fn new(ranges: &[&str], text: &'static str, seed: u64) -> Self {
        Self { ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(), text, state: seed, asked: 0 }
    }

    fn pick(&mut self, family: Family) -> Option<Cidr> {
        let ranges: Vec<Cidr> = self.ranges.iter().copied().filter(|range| range.family() == family).collect();
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let slot = usize::try_from(self.state >> 61).unwrap();
        ranges.get(slot).or(ranges.first()).copied()
    }

    fn answer(&mut self, request: Request) -> Answer {
        self.asked += 1;
        let family = match request {
            Request::Unnamed(family) => family,
            Request::Named(ip) => Family::of(ip),
        };
        let Some(range) = self.pick(family) else {
            return Answer::Refused(format!("{family} is not configured on this cluster"));
        };
        let Request::Named(ip) = request else { return Answer::Accepted(Some(range.first())) };
        let last = family == Family::V4 && ip == range.last();
        if range.contains_ip(ip) && ip != range.first() && !last {
            return Answer::Accepted(Some(ip));
        }
        let text = self.text.replace('A', &ip.to_string());
        Answer::Refused(text.replace('X', &range.to_string()))
    }

    fn probe(&mut self, several: bool) -> Outcome {
        let mut probe = ServiceProbe::new(several);
        while let Some(request) = probe.next_request() {
            probe.answer(self.answer(request));
        }
        probe.outcome()
    }
}

fn cidrs(outcome: &Outcome) -> Vec<String> {
    outcome.found.iter().map(|found| found.cidr.to_string()).collect()
}

#[test]
fn every_release_names_its_range() {
    for text in TEXTS {
        for (ranges, several) in [(["10.96.0.0/16", "fd00:96::/112"], true), (["172.16.0.0/12", "fd00::/108"], false)] {
            let canonical: Vec<Cidr> = ranges.iter().map(|range| range.parse().unwrap()).collect();
            let outcome = Server::new(&ranges, text, 1).probe(several);
            assert_eq!(outcome.found.iter().map(|found| found.cidr).collect::<Vec<_>>(), canonical, "{text}");
            assert!(outcome.found.iter().all(|found| found.named && !found.lower_bound) && outcome.notes.is_empty());
        }
    }
}

#[test]
fn refusals_that_name_no_range_are_told_apart() {
    for (text, expected) in [
        ("failed to allocate IP 1.1.1.1: the provided network does not match the current range", Refusal::Outside),
        ("the provided IP (1.1.1.1) is not in the valid range", Refusal::Outside),
        ("Invalid value: [\"::1\"]: IPv6 is not configured on this cluster", Refusal::NotConfigured),
        ("failed to allocate IP 1.1.1.1: allocator not ready", Refusal::NotReady),
        ("metadata.name: Required value", Refusal::Other),
        ("The range of valid IPs is unknown", Refusal::Other),
    ] {
        assert_eq!(read_refusal(text), expected, "{text}");
    }
    let quoted = "x. The range of valid IPs is 10.96.0.0/16.\", and more";
    assert_eq!(read_refusal(quoted), Refusal::Range("10.96.0.0/16".parse().unwrap()));
}

#[test]
fn a_range_without_a_text_is_found_at_any_length() {
    let v4 = (12..=30).map(|length| format!("10.96.0.0/{length}"));
    let all = v4.chain((64..=127).map(|length| format!("fd00:96::/{length}")));
    // a base that is aligned to no more than the range itself
    for range in all
        .filter(|range| range != "10.96.0.0/12")
        .chain(["10.112.0.0/12", "10.0.3.0/24", "10.43.0.0/27", "10.0.0.0/8"].map(str::to_owned))
    {
        for several in [true, false] {
            let mut server = Server::new(&[&range], STRIPPED, 3);
            let outcome = server.probe(several);
            assert_eq!(cidrs(&outcome), [range.parse::<Cidr>().unwrap().to_string()]);
            assert!(!outcome.found[0].named);
            let at_limit = range == "10.0.0.0/8" || range == "fd00:96::/64" || (range == "fd00:96::/112" && !several);
            assert_eq!(outcome.found[0].lower_bound, at_limit, "{range}");
            assert!(several || server.asked <= 16, "{range}: {}", server.asked);
        }
    }
}

#[test]
fn several_ranges_are_found_whichever_is_picked() {
    let ranges = ["10.96.0.0/16", "10.97.0.0/24", "172.30.0.0/20"];
    for seed in 0..20 {
        let named = Server::new(&ranges, TEXTS[3], seed).probe(true);
        assert!(named.found.iter().all(|found| ranges.contains(&found.text.as_str())));
        let mut server = Server::new(&ranges, STRIPPED, seed);
        let searched = server.probe(true);
        for found in &searched.found {
            let real: Cidr = ranges
                .iter()
                .map(|range| range.parse::<Cidr>().unwrap())
                .find(|r| r.first() == found.cidr.first())
                .unwrap();
            assert!(real.contains(&found.cidr), "never wider than it is: {} of {real}", found.cidr);
            assert_eq!(found.lower_bound, searched.found.len() > 1);
        }
        assert!(server.asked <= 2 * BUDGET);
    }
    let found: BTreeSet<String> =
        (0..20).flat_map(|seed| cidrs(&Server::new(&ranges, STRIPPED, seed).probe(true))).collect();
    assert!(ranges.iter().all(|range| found.contains(*range)), "{found:?}");
}

#[test]
fn what_tells_nothing_gives_no_range() {
    let ask = |answer: &dyn Fn(Request) -> Answer| {
        let mut probe = ServiceProbe::new(true);
        while let Some(request) = probe.next_request() {
            probe.answer(answer(request));
        }
        probe.outcome()
    };
    let accepts = ask(&|_| Answer::Accepted(None));
    assert!(accepts.found.is_empty() && accepts.notes.len() == 2, "{accepts:?}");
    let forbidden = ask(&|_| Answer::Failed("forbidden: no".to_owned()));
    assert_eq!((forbidden.found.len(), forbidden.notes), (0, vec!["forbidden: no".to_owned()]));
    let unready = ask(&|_| Answer::Refused("allocator not ready".to_owned()));
    assert!(unready.found.is_empty() && unready.notes.len() == 2, "{unready:?}");
}

#[test]
fn a_lower_bound_does_not_speak_against_what_is_stated() {
    let found = |cidr: &str, named| Found {
        cidr: cidr.parse().unwrap(),
        text: cidr.to_owned(),
        field: "f".to_owned(),
        named,
        lower_bound: !named,
    };
    let mut facts = Facts::default();
    facts.add_ranges(Role::Service, "10.96.0.0/16", &Origin::new("x", Confidence::C, "o", "f"));
    let outcome = Outcome {
        found: vec![found("10.96.0.0/20", false), found("10.98.0.0/20", false), found("fd00::/112", true)],
        notes: vec!["n".to_owned()],
    };
    outcome.add_to("default", &mut facts);
    let added: Vec<_> =
        facts.ranges[1..].iter().map(|r| (r.text.as_str(), r.origin.confidence, r.lower_bound)).collect();
    assert_eq!(added, [("10.98.0.0/20", Confidence::D, true), ("fd00::/112", Confidence::A, false)]);
    assert_eq!(facts.unreadable[0].source, SOURCE);
}
