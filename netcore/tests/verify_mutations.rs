//! Random changes to what real kernels held: does `verify` notice each that matters, and only those? Whether one
//! matters is judged by `netcore::packet`, which shares nothing with it: the same packets are sent through the node
//! before and after, and their ends compared.
//!
//! So many changes are made as `NET_MUTATIONS` says, 40 of each kind of kernel without it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::format_push_string,
    clippy::cast_precision_loss,
    reason = "a test stops at once, and says what it counted"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use netcore::{
    cidr::Family,
    cluster::{resources, wire},
    ipset,
    iptables::{Backend, Ruleset},
    ipvs, nft,
    packet::{Device, Ends, Flow, Network, Node, NodeState, Origin, Part, Verdict},
    probe::Probe,
    proxy::{
        Facts,
        verify::{self, Desired, KernelTexts, NodeFacts, PROBES, VerifyState},
    },
    route,
};
use serde_json::Value;

/// A small generator: the same changes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or_default()
    }

    fn of<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        all.get(self.below(all.len()))
    }
}

type Texts = BTreeMap<Probe, String>;

/// A node that was captured.
struct World {
    name: &'static str,
    node: NodeFacts,
    desired: Desired,
    services: Vec<Value>,
    slices: Vec<Value>,
    texts: Texts,
    addresses: String,
    own: Vec<IpAddr>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn items(path: &Path) -> Vec<Value> {
    let text = fs::read(path).expect("a fixture");
    let list: Value = serde_json::from_slice(&text).expect("JSON");
    list["items"].as_array().expect("a list").clone()
}

impl World {
    fn read(folder: &str, of_node: &str, name: &'static str, files: &[(Probe, &str)]) -> Self {
        let root = fixtures().join(folder);
        let (services, slices) = (items(&root.join("services.json")), items(&root.join("endpointslices.json")));
        let mut desired = Desired::default();
        for object in &services {
            desired.take_service(&serde_json::from_value::<wire::Service>(object.clone()).expect("a Service"));
        }
        for object in &slices {
            desired.take_slice(&serde_json::from_value::<wire::EndpointSlice>(object.clone()).expect("a slice"));
        }
        let mut facts = Facts::default();
        for object in items(&root.join("nodes.json")) {
            facts.take_node(&serde_json::from_value::<wire::Node>(object).expect("a Node"));
        }
        if root.join("configmaps.json").exists() {
            for object in items(&root.join("configmaps.json")) {
                facts.take_object(&resources::CONFIGMAPS, &object);
            }
        }
        let mut texts = Texts::new();
        for (probe, file) in files {
            let mut text = fs::read_to_string(root.join(of_node).join(file)).expect("a fixture");
            if *probe == Probe::IpsetSave {
                text = saved(&text);
            }
            facts.take_probe(Some(name), *probe, &text, file);
            if PROBES.contains(probe) {
                texts.insert(*probe, text);
            }
        }
        let node = NodeFacts::of(&facts, name);
        let own = node.addresses.clone();
        let inet = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => format!("    inet {ip}/24 scope global eth0\n"),
            IpAddr::V6(ip) => format!("    inet6 {ip}/64 scope global\n"),
        };
        let eth0: String = own.iter().map(inet).collect();
        let dummy: String = texts.get(&Probe::Addresses).map(|text| dummy(text)).unwrap_or_default();
        let addresses = format!(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n    inet 127.0.0.1/8 scope host lo\n    \
             inet6 ::1/128 scope host\n2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n{eth0}{dummy}"
        );
        Self { name, node, desired, services, slices, texts, addresses, own }
    }

    fn says(&self, texts: &Texts) -> (bool, VerifyState, String) {
        let mut kernel = KernelTexts::default();
        for (probe, text) in texts {
            kernel.take(*probe, text.clone());
        }
        let verdict = verify::verify(&self.node, kernel, &self.desired);
        let lists = [("missing", &verdict.missing), ("stale", &verdict.stale), ("wrong", &verdict.wrong)];
        let entries =
            lists.iter().flat_map(|(what, list)| list.iter().map(move |entry| format!("{what} {}", entry.in_short())));
        let mut words: Vec<String> = entries.take(3).collect();
        words.extend(verdict.reason.clone());
        (!verdict.agrees(), verdict.state, words.join("\n      "))
    }
}

/// What `ipset list` printed, as `ipset save` would.
fn saved(text: &str) -> String {
    let (mut out, mut name, mut kind, mut members) = (String::new(), "", "", false);
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("Name", is)) => (name, members) = (is, false),
            Some(("Type", is)) => kind = is,
            Some(("Header", header)) => out.push_str(&format!("create {name} {kind} {header}\n")),
            _ if line == "Members:" => members = true,
            _ if members && !line.is_empty() => out.push_str(&format!("add {name} {line}\n")),
            _ => {}
        }
    }
    out
}

/// `kube-ipvs0` with its addresses, as `ip addr` prints it.
fn dummy(text: &str) -> String {
    let (interfaces, _) = route::parse_addresses(text);
    let mut out = String::new();
    for interface in interfaces.iter().filter(|interface| interface.name == "kube-ipvs0") {
        out.push_str("4: kube-ipvs0: <BROADCAST,NOARP> mtu 1500 qdisc noop state DOWN\n");
        for address in &interface.addresses {
            let line = match address.ip {
                IpAddr::V4(ip) => format!("    inet {ip}/32 scope global kube-ipvs0\n"),
                IpAddr::V6(ip) => format!("    inet6 {ip}/128 scope global\n"),
            };
            out.push_str(&line);
        }
    }
    out
}

/// A packet: protocol, source, whether the node sends it, destination, port.
type Probed = (u8, IpAddr, bool, IpAddr, u16);
/// What comes of it: verdict, destination, whether its source was changed, and how likely.
type Ending = BTreeMap<(&'static str, IpAddr, Option<u16>, bool), f64>;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Places that packets go to: every address and port of every Service, and what lies beside them.
fn destinations(world: &World) -> BTreeSet<(u8, IpAddr, u16)> {
    let mut found = BTreeSet::new();
    for service in &world.services {
        let spec = &service["spec"];
        let texts = |value: &Value| -> Vec<IpAddr> {
            let list = value.as_array().cloned().unwrap_or_default();
            list.iter().filter_map(|text| text.as_str()?.parse().ok()).collect()
        };
        let mut addresses = texts(&spec["clusterIPs"]);
        addresses.extend(texts(&spec["externalIPs"]));
        let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
        addresses.extend(ingress.iter().filter_map(|at| at["ip"].as_str()?.parse::<IpAddr>().ok()));
        for port in spec["ports"].as_array().cloned().unwrap_or_default() {
            let protocol = match port["protocol"].as_str() {
                Some("UDP") => 17,
                Some("SCTP") => 132,
                _ => 6,
            };
            let number = |name: &str| port[name].as_u64().and_then(|port| u16::try_from(port).ok());
            for address in &addresses {
                found.extend(number("port").map(|port| (protocol, *address, port)));
            }
            for own in &world.own {
                found.extend(number("nodePort").map(|port| (protocol, *own, port)));
            }
        }
        found.extend(addresses.iter().map(|address| (6, *address, 9)));
    }
    found
}

fn sources(world: &World, family: Family) -> Vec<(IpAddr, bool)> {
    let mut found: Vec<(IpAddr, bool)> = match family {
        Family::V4 => ["10.244.0.77", "10.243.255.255", "10.244.0.0", "10.244.255.255", "10.245.0.0", "198.18.77.77"]
            .into_iter()
            .chain(["192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0", "0.0.0.9", "255.255.255.9"])
            .map(|text| (ip(text), false))
            .collect(),
        Family::V6 => ["fd00:244::77", "fd00:243:ffff::1", "fd00:244:0:ff::1", "fd00:244:0:100::1", "2001:db8:77::77"]
            .into_iter()
            .map(|text| (ip(text), false))
            .collect(),
    };
    found.extend(world.own.iter().filter(|own| Family::of(**own) == family).map(|own| (*own, true)));
    found
}

/// Endpoints by Service, for those that call themselves.
fn endpoints(world: &World) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let mut found: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    for slice in &world.slices {
        let service = slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap_or_default();
        for endpoint in slice["endpoints"].as_array().cloned().unwrap_or_default() {
            let address = endpoint["addresses"][0].as_str().and_then(|text| text.parse::<IpAddr>().ok());
            found.entry(service.to_owned()).or_default().extend(address);
        }
    }
    found
}

fn packets(world: &World, extra: &BTreeSet<(u8, IpAddr, u16)>) -> Vec<Probed> {
    let mut found = Vec::new();
    let usual = destinations(world);
    for (protocol, to, port) in usual.union(extra) {
        for (from, own) in sources(world, Family::of(*to)) {
            found.push((*protocol, from, own, *to, *port));
        }
    }
    let by_service = endpoints(world);
    for service in &world.services {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        let addresses = service["spec"]["clusterIPs"].as_array().cloned().unwrap_or_default();
        for to in addresses.iter().filter_map(|text| text.as_str()?.parse::<IpAddr>().ok()) {
            for port in service["spec"]["ports"].as_array().cloned().unwrap_or_default() {
                let number = port["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
                let protocol = match port["protocol"].as_str() {
                    Some("UDP") => 17,
                    Some("SCTP") => 132,
                    _ => 6,
                };
                let own = by_service.get(name).into_iter().flatten();
                for from in own.filter(|from| Family::of(**from) == Family::of(to)) {
                    found.push((protocol, *from, world.own.contains(from), to, number));
                }
            }
        }
    }
    found
}

/// What comes of each packet; nothing where the judge cannot know.
fn ends(world: &World, texts: &Texts, packets: &[Probed]) -> Vec<Option<Ending>> {
    let parsed: Vec<(Family, Ruleset)> = [(Probe::IptablesSave, Family::V4), (Probe::Ip6tablesSave, Family::V6)]
        .into_iter()
        .filter_map(|(probe, family)| Some((family, Ruleset::parse(texts.get(&probe)?.clone()))))
        .collect();
    let native = texts.get(&Probe::NftRuleset).map(|text| nft::parse(text.as_bytes()));
    let sets = texts.get(&Probe::IpsetSave).map(|text| ipset::parse(text.as_bytes()));
    let servers = texts.get(&Probe::IpvsTable).map(|text| ipvs::parse(text).0);
    let (interfaces, _) = route::parse_addresses(&world.addresses);
    let routes = route::parse_routes(
        "default via 172.31.77.1 dev eth0\n172.31.77.0/24 dev eth0 scope link\ndefault via fd77::1 dev eth0\nfd77::/64 dev eth0\n",
    )
    .0;
    let state = NodeState {
        name: world.name.to_owned(),
        iptables: parsed.iter().map(|(family, rules)| (*family, Backend::Nft, rules)).collect(),
        without: [Family::V4, Family::V6]
            .into_iter()
            .flat_map(|family| [(family, Backend::Legacy), (family, Backend::Nft)])
            .filter(|(family, backend)| *backend == Backend::Legacy || !parsed.iter().any(|(known, _)| known == family))
            .collect(),
        nft: native.as_ref().map_or(Part::Absent, Part::Known),
        sets: sets.as_ref().map_or(Part::Absent, Part::Known),
        ipvs: servers.as_ref().map_or(Part::Absent, Part::Known),
        routes: Part::Known(&routes),
        interfaces: Part::Known(&interfaces),
        ..NodeState::default()
    };
    let network = Network::new(vec![Node::new(&state)]);
    let one = |(protocol, source, own, destination, port): &Probed| {
        let ends = Ends {
            source: *source,
            destination: *destination,
            source_port: Some(40_000),
            destination_port: Some(*port),
        };
        let origin = if *own { Origin::Host } else { Origin::Arrives(Device::named("eth0")) };
        let flow = Flow { node: 0, origin, protocol: *protocol, ends, mark: 0, established: false };
        let mut found = Ending::new();
        for path in network.outcomes(&flow) {
            if path.verdict == Verdict::Unknown {
                return None;
            }
            let key = if path.verdict == Verdict::Accept {
                ("accept", path.ends.destination, path.ends.destination_port, path.source_translated)
            } else {
                (path.verdict.name(), *destination, None, false)
            };
            *found.entry(key).or_insert(0.0) += path.probability;
        }
        found.retain(|_, share| *share > 1e-9);
        Some(found)
    };
    packets.iter().map(one).collect()
}

fn same(before: &Ending, after: &Ending) -> bool {
    before.len() == after.len()
        && before.iter().all(|(key, share)| after.get(key).is_some_and(|other| (share - other).abs() < 1e-6))
}

/// Lines about affinity, which packets that are the first of their client do not show.
fn affinity(texts: &Texts) -> BTreeSet<String> {
    let remembers = |line: &str| {
        line.contains("-m recent") || line.contains("@affinity-") || line.contains(" -p ") && line.starts_with("-A -")
    };
    // in nftables what a rule does with those it remembers stands in the line after
    let with_next = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        let pairs = lines.iter().enumerate().filter(|(_, line)| remembers(line));
        let both = |at: usize| {
            let next =
                lines.get(at + 1).filter(|_| lines[at].contains("\"right\":\"@affinity-")).copied().unwrap_or_default();
            format!("{}{next}", counterless(lines[at]))
        };
        pairs.map(|(at, _)| both(at)).collect::<Vec<_>>()
    };
    texts.values().flat_map(|text| with_next(text)).collect()
}

fn counterless(line: &str) -> String {
    line.strip_prefix('[').and_then(|rest| Some(rest.split_once("] ")?.1)).unwrap_or(line).to_owned()
}

#[derive(Default)]
struct Counts {
    made: usize,
    matter: usize,
    found: usize,
    missed: Vec<String>,
    invented: Vec<String>,
    not_judged: usize,
    not_known: usize,
}

fn many() -> usize {
    std::env::var("NET_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// Makes so many changes, one at a time, and compares what is said of each.
fn run(world: &World, change: impl Fn(&mut Texts, &mut Random) -> Option<Change>) -> Counts {
    let mut random = Random(0x5EED_0006);
    let (wrong, state, words) = world.says(&world.texts);
    assert!(!wrong && state == VerifyState::Verified, "the capture verifies clean first: {words}");
    let base = packets(world, &BTreeSet::new());
    let before = ends(world, &world.texts, &base);
    assert!(before.iter().all(Option::is_some), "the judge knows every packet");
    let unchanged = affinity(&world.texts);
    let mut counts = Counts::default();
    while counts.made < many() {
        let mut texts = world.texts.clone();
        let Some(change) = change(&mut texts, &mut random) else { continue };
        counts.made += 1;
        let extra_packets = packets(world, &change.beside);
        let mut matters = false;
        let mut unknown = false;
        let after = ends(world, &texts, &base);
        for (was, is) in before.iter().zip(&after) {
            match (was, is) {
                (Some(was), Some(is)) => matters |= !same(was, is),
                _ => unknown = true,
            }
        }
        if !matters && !change.beside.is_empty() {
            let was = ends(world, &world.texts, &extra_packets);
            let is = ends(world, &texts, &extra_packets);
            matters |= was.iter().zip(&is).any(|(was, is)| match (was, is) {
                (Some(was), Some(is)) => !same(was, is),
                _ => false,
            });
        }
        matters |= affinity(&texts) != unchanged;
        if !matters && (unknown || change.beyond) {
            counts.not_judged += 1;
            continue;
        }
        let (says, state, words) = world.says(&texts);
        counts.matter += usize::from(matters);
        match (matters, says) {
            (true, true) => counts.found += 1,
            (true, false) if state != VerifyState::Verified => counts.not_known += 1,
            (true, false) => counts.missed.push(change.what),
            (false, true) => counts.invented.push(format!("{}\n      {words}", change.what)),
            (false, false) => {}
        }
    }
    println!(
        "{}: {} changes, {} matter, {} found, {} missed, {} invented, {} not judged, {} of a form that is not known",
        world.name,
        counts.made,
        counts.matter,
        counts.found,
        counts.missed.len(),
        counts.invented.len(),
        counts.not_judged,
        counts.not_known
    );
    counts
}

fn agree(counts: &Counts) {
    assert!(counts.matter * 3 > counts.made, "most changes matter: {} of {}", counts.matter, counts.made);
    assert!(
        counts.missed.is_empty() && counts.invented.is_empty(),
        "missed:\n  {}\ninvented:\n  {}",
        counts.missed.join("\n  "),
        counts.invented.join("\n  ")
    );
    assert_eq!(counts.not_known, 0, "every change leaves a form that is known");
}

/// One change.
struct Change {
    what: String,
    /// Places that it may be about beside the Services' own.
    beside: BTreeSet<(u8, IpAddr, u16)>,
    /// The judge's packets do not show what the line is about.
    beyond: bool,
}

/// The addresses and ports that a line names, each with each.
fn named(line: &str) -> BTreeSet<(u8, IpAddr, u16)> {
    let whole = line.split([' ', '\n', '"', ',', '[', ']', '{', '}']).filter(|word| !word.is_empty());
    let halves =
        |word: &'_ str| word.rsplit_once(':').map_or(vec![], |(head, tail)| vec![head.to_owned(), tail.to_owned()]);
    let words: Vec<String> = whole.flat_map(|word| std::iter::once(word.to_owned()).chain(halves(word))).collect();
    let address = |word: &String| word.split('/').next().and_then(|word| word.parse::<IpAddr>().ok());
    let addresses: BTreeSet<IpAddr> = words.iter().filter_map(address).collect();
    let ports: BTreeSet<u16> = words.iter().filter_map(|word| word.parse().ok()).filter(|port| *port > 8).collect();
    let protocol = match () {
        () if line.contains("udp") => 17,
        () if line.contains("sctp") => 132,
        () => 6,
    };
    let mut found = BTreeSet::new();
    for address in addresses {
        found.extend(ports.iter().map(|port| (protocol, address, *port)));
    }
    for port in &ports {
        found.extend(["172.31.77.2", "172.31.77.4", "fd77::2", "fd77::4"].map(|own| (protocol, ip(own), *port)));
    }
    found
}

/// Another number in place of one of a text's.
fn other_number(text: &str, random: &mut Random) -> String {
    let number: u64 = text.parse().unwrap_or_default();
    (number + 1 + random.next() % 5).to_string()
}

/// Changes what follows one of these words in a line: an address, a port, a mark, a probability, a chain.
fn altered(line: &str, chains: &[String], random: &mut Random) -> Option<String> {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let places: Vec<usize> = (1..words.len())
        .filter(|at| {
            matches!(
                words[at - 1].as_str(),
                "-d" | "-s"
                    | "--dport"
                    | "--to-destination"
                    | "--probability"
                    | "--set-xmark"
                    | "--mark"
                    | "--seconds"
                    | "-j"
            )
        })
        .collect();
    let at = *random.of(&places)?;
    let word = words[at].clone();
    words[at] = match words[at - 1].as_str() {
        "--dport" | "--seconds" => other_number(&word, random),
        "--probability" => format!("{:.11}", 0.05 + 0.9 * (random.below(1000) as f64 / 1000.0)),
        "--set-xmark" | "--mark" => word.replace("0x4000", "0x8000"),
        "-j" => {
            let kind = |name: &str| name.rsplit_once('-').map(|(kind, _)| kind.to_owned());
            let alike: Vec<&String> = chains
                .iter()
                .filter(|chain| kind(chain) == kind(&word) && **chain != word && word.len() > 20)
                .collect();
            (*random.of(&alike)?).clone()
        }
        "--to-destination" => {
            let (address, port) = word.rsplit_once(':')?;
            if random.below(2) == 0 {
                format!("{address}:{}", other_number(port, random))
            } else {
                format!("{}:{port}", other_address(address, random)?)
            }
        }
        _ => {
            let (address, prefix) = word.split_once('/')?;
            format!("{}/{prefix}", other_address(address, random)?)
        }
    };
    (words[at] != word).then(|| words.join(" "))
}

fn other_address(text: &str, random: &mut Random) -> Option<String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let by = 1 + u32::try_from(random.below(3)).ok()?;
    Some(match bare.parse().ok()? {
        IpAddr::V4(ip) => std::net::Ipv4Addr::from_bits(ip.to_bits() ^ by).to_string(),
        IpAddr::V6(ip) => {
            let other = std::net::Ipv6Addr::from_bits(ip.to_bits() ^ u128::from(by));
            if text.starts_with('[') { format!("[{other}]") } else { other.to_string() }
        }
    })
}

/// Whether a rule is of kube-proxy: not the kubelet's, and not what only counts.
fn is_ours(line: &str) -> bool {
    let rest = counterless(line);
    rest.starts_with("-A ")
        && rest.contains("KUBE-")
        && !rest.contains("KUBE-FIREWALL")
        && !rest.contains("KUBE-KUBELET")
        && rest.contains(" -j ")
}

/// The judge sends first packets only: what rules say of others, and what lets through what passes anyway, is beyond it.
fn is_beyond(line: &str) -> bool {
    line.contains("INVALID") || line.contains("RELATED,ESTABLISHED") || line.contains("-j KUBE-FORWARD")
}

fn change_rules(texts: &mut Texts, random: &mut Random) -> Option<Change> {
    let probe = if random.below(6) == 0 { Probe::Ip6tablesSave } else { Probe::IptablesSave };
    let text = texts.get_mut(&probe)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let ours: Vec<usize> = (0..lines.len()).filter(|at| is_ours(&lines[*at])).collect();
    let at = *random.of(&ours)?;
    let line = lines[at].clone();
    let chain = |line: &str| counterless(line).split(' ').nth(1).map(str::to_owned);
    let mut changed = line.clone();
    let what = match random.below(6) {
        0 => {
            lines.remove(at);
            "deleted"
        }
        1 => {
            lines.insert(at, line.clone());
            "doubled"
        }
        2 => {
            let next = at + 1;
            if lines.get(next).map(|next| chain(next)) != Some(chain(&line)) {
                return None;
            }
            lines.swap(at, next);
            "swapped with the next"
        }
        _ => {
            let chains: Vec<String> =
                lines.iter().filter_map(|line| Some(line.strip_prefix(':')?.split(' ').next()?.to_owned())).collect();
            changed = altered(&line, &chains, random)?;
            lines[at].clone_from(&changed);
            "changed"
        }
    };
    // a swap of what remembers with what chooses shows only to clients that are known
    let beyond = is_beyond(&line) || (what == "swapped with the next" && line.contains("-m recent"));
    *text = lines.join("\n") + "\n";
    let beside = named(&line).union(&named(&changed)).copied().collect();
    Some(Change { what: format!("{} {what}: {line}\n    → {changed}", probe.file()), beside, beyond })
}

#[test]
fn changes_to_rules_of_iptables_are_noticed() {
    let world = World::read(
        "captures/iptables-nft-variety",
        ".",
        "node1",
        &[
            (Probe::Configz, "configz.json"),
            (Probe::IptablesSave, "iptables-save-c.txt"),
            (Probe::Ip6tablesSave, "ip6tables-save-c.txt"),
        ],
    );
    agree(&run(&world, change_rules));
}

/// Objects of kube-proxy's tables that decide about packets.
fn decides(object: &Value) -> bool {
    let of = object.get("rule").or_else(|| object.get("set")).or_else(|| object.get("map"));
    let Some(of) = of.filter(|of| of["table"] == "kube-proxy") else { return false };
    let chain = of["chain"].as_str().unwrap_or_default();
    // what is not allocated is the service range's matter, which these objects do not tell
    chain != "cluster-ips-check" && (object.get("rule").is_some() || of.get("elem").is_some())
}

/// Every string and number inside, by path.
fn leaves(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().enumerate().for_each(|(at, value)| leaves(value, &format!("{path}/{at}"), out)),
        Value::Object(all) => {
            for (key, value) in all {
                leaves(value, &format!("{path}/{}", key.replace('/', "~1")), out);
            }
        }
        _ => out.push(path.to_owned()),
    }
}

fn alter_leaf(value: &mut Value, path: &str, targets: &[String], random: &mut Random) -> Option<()> {
    let key = path.rsplit('/').next()?;
    let leaf = value.pointer_mut(path)?;
    *leaf = match leaf {
        Value::Number(number) if key != "handle" && key != "offset" => {
            let number = number.as_u64()?;
            Value::from(if number == 0x4000 { 0x8000 } else { number + 1 + random.next() % 3 })
        }
        Value::String(text) if key == "target" => {
            let kind = |name: &str| name.split('-').next().map(str::to_owned);
            let alike: Vec<&String> = targets.iter().filter(|name| kind(name) == kind(text) && *name != text).collect();
            Value::from((*random.of(&alike)?).clone())
        }
        Value::String(text) if text.parse::<IpAddr>().is_ok() => Value::from(other_address(text, random)?),
        _ => return None,
    };
    Some(())
}

fn change_tables(texts: &mut Texts, random: &mut Random) -> Option<Change> {
    let text = texts.get_mut(&Probe::NftRuleset)?;
    let mut whole: Value = serde_json::from_str(text).expect("JSON");
    let objects = whole["nftables"].as_array_mut()?;
    let ours: Vec<usize> = (0..objects.len()).filter(|at| decides(&objects[*at])).collect();
    let targets: Vec<String> =
        objects.iter().filter_map(|object| Some(object.get("chain")?["name"].as_str()?.to_owned())).collect();
    let at = *random.of(&ours)?;
    let before = objects[at].clone();
    let is_rule = before.get("rule").is_some();
    let kind = if is_rule {
        "rule"
    } else if before.get("map").is_some() {
        "map"
    } else {
        "set"
    };
    let mut line = before.to_string();
    let mut changed = String::new();
    let what = match (is_rule, random.below(5)) {
        (true, 0) => {
            objects.remove(at);
            "deleted"
        }
        (true, 1) => {
            objects.insert(at, before.clone());
            "doubled"
        }
        (true, 2) => {
            let next = objects.get(at + 1)?.clone();
            if next["rule"]["chain"] != before["rule"]["chain"] || next["rule"]["family"] != before["rule"]["family"] {
                return None;
            }
            objects.swap(at, at + 1);
            "swapped with the next"
        }
        (false, 0 | 1) => {
            let list = objects[at][kind]["elem"].as_array_mut()?;
            let member = list.remove(random.below(list.len()));
            line = member.to_string();
            "without a member"
        }
        _ => {
            let member = if is_rule {
                "expr".to_owned()
            } else {
                let count = objects[at][kind]["elem"].as_array()?.len();
                format!("elem/{}", random.below(count))
            };
            let root = format!("/{kind}/{member}");
            let inner = objects[at].pointer(&root)?.clone();
            line = inner.to_string();
            let mut paths = Vec::new();
            leaves(&inner, "", &mut paths);
            let path = random.of(&paths)?.clone();
            alter_leaf(objects[at].pointer_mut(&root)?, &path, &targets, random)?;
            changed = objects[at].pointer(&root)?.to_string();
            "changed"
        }
    };
    let beyond = line.contains("affinity-") && what == "swapped with the next";
    *text = whole.to_string();
    // one object a line, so that lines about affinity can be told apart
    *text = text.replace("},{", "},\n{");
    let name = before[kind]["chain"].as_str().or_else(|| before[kind]["name"].as_str()).unwrap_or_default();
    let beside = named(&line).union(&named(&changed)).copied().collect();
    Some(Change { what: format!("{kind} of {name} {what}: {line}\n    → {changed}"), beside, beyond })
}

#[test]
fn changes_to_tables_of_nftables_are_noticed() {
    let mut world = World::read(
        "captures/nftables-variety",
        ".",
        "node1",
        &[(Probe::Configz, "configz.json"), (Probe::NftRuleset, "nft-ruleset.json")],
    );
    for text in world.texts.values_mut() {
        let whole: Value = serde_json::from_str(text).expect("JSON");
        *text = whole.to_string().replace("},{", "},\n{");
    }
    agree(&run(&world, change_tables));
}

/// Changes to virtual servers, sets or rules.
fn change_servers(texts: &mut Texts, random: &mut Random) -> Option<Change> {
    let probe = match random.below(3) {
        0 => Probe::IpvsTable,
        1 => Probe::IpsetSave,
        _ => {
            return change_rules(texts, random)
                .map(|change| Change { beyond: change.beyond || around(&change.what), ..change });
        }
    };
    let text = texts.get_mut(&probe)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let starts: &[&str] = if probe == Probe::IpvsTable { &["-A ", "-a "] } else { &["add KUBE-"] };
    let ours: Vec<usize> =
        (0..lines.len()).filter(|at| starts.iter().any(|start| lines[*at].starts_with(start))).collect();
    let at = *random.of(&ours)?;
    let line = lines[at].clone();
    let mut changed = line.clone();
    let what = match (probe, random.below(5)) {
        (Probe::IpvsTable, 0) if line.starts_with("-A ") => {
            let end = (at + 1..lines.len()).find(|at| lines[*at].starts_with("-A ")).unwrap_or(lines.len());
            lines.drain(at..end);
            "deleted with its servers"
        }
        (Probe::IpvsTable, 1) if line.starts_with("-A ") => {
            "-A -t 10.96.77.77:80 -s rr\n-a -t 10.96.77.77:80 -r 10.244.0.11:8080 -m -w 1".clone_into(&mut changed);
            lines.push(changed.clone());
            "a stale one added beside"
        }
        (Probe::IpvsTable, 0) | (Probe::IpsetSave, 0 | 1) => {
            lines.remove(at);
            "deleted"
        }
        (Probe::IpvsTable, 1) => {
            changed = line.replace("-w 1", "-w 0");
            lines[at].clone_from(&changed);
            "without weight"
        }
        (Probe::IpvsTable, 2) if line.starts_with("-A ") => {
            changed =
                if line.contains(" -p ") { line.split(" -p ").next()?.to_owned() } else { format!("{line} -p 77") };
            lines[at].clone_from(&changed);
            "with other affinity"
        }
        (Probe::IpvsTable, _) if line.starts_with("-a ") => {
            let (head, rest) = line.split_once(" -r ")?;
            let (to, tail) = rest.split_once(' ')?;
            let (address, port) = to.rsplit_once(':')?;
            let to = if random.below(2) == 0 {
                format!("{address}:{}", other_number(port, random))
            } else {
                format!("{}:{port}", other_address(address, random)?)
            };
            changed = format!("{head} -r {to} {tail}");
            lines[at].clone_from(&changed);
            "changed"
        }
        (Probe::IpsetSave, _) => {
            let (head, member) = line.rsplit_once(' ')?;
            let mut parts: Vec<String> = member.split(',').map(str::to_owned).collect();
            let part = random.below(parts.len());
            let word = parts[part].clone();
            parts[part] = match word.split_once(':') {
                Some((protocol @ ("tcp" | "udp" | "sctp"), port)) => {
                    format!("{protocol}:{}", other_number(port, random))
                }
                _ if word.parse::<u16>().is_ok() => other_number(&word, random),
                _ if word.contains('/') => {
                    let (address, prefix) = word.split_once('/')?;
                    let net: std::net::Ipv4Addr = address.parse().ok()?;
                    format!("{}/{prefix}", std::net::Ipv4Addr::from_bits(net.to_bits() ^ 0x100))
                }
                _ => other_address(&word, random)?,
            };
            changed = format!("{head} {}", parts.join(","));
            lines[at].clone_from(&changed);
            "changed"
        }
        _ => return None,
    };
    *text = lines.join("\n") + "\n";
    let beyond = line.contains("HEALTH-CHECK");
    let beside = named(&line).union(&named(&changed)).copied().collect();
    Some(Change { what: format!("{} {what}: {line}\n    → {changed}", probe.file()), beside, beyond })
}

/// Rules that first packets from elsewhere do not show: of what the balancer sends on, and of health checks.
fn around(line: &str) -> bool {
    line.contains("-m ipvs") || line.contains("HEALTH-CHECK")
}

#[test]
fn changes_to_virtual_servers_and_what_is_around_them_are_noticed() {
    let world = World::read(
        "captures/cluster3-exec",
        "node3",
        "node3",
        &[
            (Probe::ProxyMode, "proxyMode"),
            (Probe::Addresses, "ip-addr.json"),
            (Probe::IptablesSave, "iptables-save.txt"),
            (Probe::Ip6tablesSave, "ip6tables-save.txt"),
            (Probe::IpsetSave, "ipset.txt"),
            (Probe::IpvsTable, "ipvsadm-Sn.txt"),
        ],
    );
    agree(&run(&world, change_servers));
}
