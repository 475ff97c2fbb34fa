//! What is expected of each address against what the rules do with packets for it. Every address is asked for from
//! each kind of source that either side treats in its own way: pods, the node, the world, a load balancer's clients,
//! an endpoint itself, and both sides of every edge that the rules have.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use super::{
    Entry, NodeFacts,
    desired::{named, protocol_name},
    expected::{Kind, Plan, Socket},
    flow::{Edges, End, Front, Name, NotKnown, Packet, Rules, Walker, Way, bits, state},
    local::Detector,
};
use crate::{
    cidr::{Cidr, Family},
    proxy::kernel::ServicePort,
};

/// A point on a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// It came in.
    Prerouting,
    /// It is for this node.
    Input,
    /// It goes on to elsewhere.
    Forward,
    /// This node sends it.
    Output,
    /// It leaves.
    Postrouting,
}

/// An address that the kernel treats, whoever's it is.
pub(super) struct Held {
    pub(super) front: Front,
    /// The rule or entry.
    pub(super) text: String,
    /// Whose it is, as far as it says so.
    pub(super) comment: Option<String>,
}

/// The rules of one mode in one family.
pub(super) trait Kernel {
    /// Its chains.
    fn rules(&self) -> &dyn Rules;
    /// The chains that a hook calls, the first first.
    fn hook(&self, hook: Hook) -> Vec<usize>;
    /// What treats this one address.
    fn rule_of(&self, walker: &Walker<'_>, front: Front) -> Option<String>;
    /// Every address that is treated.
    fn held(&self, walker: &Walker<'_>) -> Vec<Held>;
    /// The quirks of the mode.
    fn layout(&self) -> Layout;
    /// The addresses that node ports are open on, where the rules name them.
    fn node_ports_on(&self) -> Option<Vec<IpAddr>>;
    /// Whether Services' addresses refuse what is for no port of theirs.
    fn refuses_other_ports(&self) -> bool {
        false
    }
}

/// In what modes and releases differ.
#[expect(clippy::struct_excessive_bools, reason = "each is a quirk of its own")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Rules are of nftables.
    pub(super) nftables: bool,
    /// Only endpoints of this node are masqueraded when they call themselves.
    pub(super) hairpin_here: bool,
    /// Pods that call a Service's outer address may be masqueraded or not: both were usual.
    pub(super) pods_either: bool,
    /// Whether a packet is masqueraded does not hang on its addresses.
    pub(super) plain_masquerade: bool,
    /// What the node itself sends to its own addresses is balanced before it comes in.
    pub(super) balanced: bool,
}

/// A source of packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    address: IpAddr,
    from_node: bool,
    input: String,
}

/// What should come of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate<'p> {
    /// One of these endpoints, each equally likely.
    To(&'p BTreeSet<Socket>),
    Drop,
    Reject,
    /// Nothing.
    Through,
}

/// What comes of a packet.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    to: BTreeMap<Socket, f64>,
    ways: Vec<(Way, Socket)>,
    pub(super) drop: f64,
    pub(super) reject: f64,
    through: f64,
    /// The marks of packets that are not translated, and how likely each is.
    pub(super) marks: Vec<(f64, u32)>,
}

/// How a difference is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Missing,
    Stale,
    Wrong,
}

/// What is found wrong, and how much was looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Addresses that were compared.
    pub(super) checked: u64,
    pub(super) missing: Vec<Entry>,
    pub(super) stale: Vec<Entry>,
    pub(super) wrong: Vec<Entry>,
    /// Addresses that could not be compared, and the first reason.
    pub(super) unknown: u64,
    pub(super) reason: Option<String>,
}

impl Outcome {
    fn take(&mut self, sort: Sort, entry: Entry) {
        match sort {
            Sort::Missing => self.missing.push(entry),
            Sort::Stale => self.stale.push(entry),
            Sort::Wrong => self.wrong.push(entry),
        }
    }

    /// Says that something that all Services need is not there.
    pub(super) fn fault(&mut self, expected: &str, found: &str) {
        self.wrong.push(Entry {
            address: None,
            port: None,
            protocol: None,
            service: None,
            expected: Some(expected.to_owned()),
            found: Some(found.to_owned()),
            rule: None,
        });
    }

    /// The entry that was listed last.
    pub(super) fn last(&mut self, sort: Sort) -> Option<&mut Entry> {
        match sort {
            Sort::Missing => self.missing.last_mut(),
            Sort::Stale => self.stale.last_mut(),
            Sort::Wrong => self.wrong.last_mut(),
        }
    }

    /// How much is wrong.
    pub(super) fn count(&self) -> usize {
        self.missing.len() + self.stale.len() + self.wrong.len()
    }

    pub(super) fn add(&mut self, mut other: Self) {
        self.checked += other.checked;
        self.missing.append(&mut other.missing);
        self.stale.append(&mut other.stale);
        self.wrong.append(&mut other.wrong);
        self.unknown += other.unknown;
        self.reason = self.reason.take().or(other.reason);
    }
}

/// Beyond so many, entries do not say which rule they mean: finding it has its price.
const WITH_RULE: usize = 200;

/// One family of one node.
pub(super) struct Comparison<'c> {
    pub(super) node: &'c NodeFacts,
    pub(super) family: Family,
    pub(super) kernel: &'c dyn Kernel,
    pub(super) walker: Walker<'c>,
    pub(super) detector: Detector,
    /// Whether everything that goes to a Service is masqueraded.
    pub(super) masquerades_all: bool,
    /// The node's own addresses of the family, the primary one first.
    pub(super) own: Vec<IpAddr>,
    layout: Layout,
    hooks: [Vec<usize>; 5],
    masquerades: RefCell<HashMap<u32, bool>>,
    /// Hooks that do not lead to kube-proxy's rules.
    dead: Vec<Hook>,
    /// Whether masquerading works at all; where it does not, that is said once.
    masquerade_works: bool,
    pub(super) outcome: Outcome,
}

impl<'c> Comparison<'c> {
    pub(super) fn new(node: &'c NodeFacts, family: Family, kernel: &'c dyn Kernel) -> Self {
        let hooks = [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];
        Self {
            node,
            family,
            kernel,
            walker: Walker::new(kernel.rules()),
            detector: Detector::of(node, family),
            masquerades_all: node.masquerades_all(kernel.layout().nftables),
            own: own(node, family),
            layout: kernel.layout(),
            hooks: hooks.map(|hook| kernel.hook(hook)),
            masquerades: RefCell::default(),
            dead: Vec::new(),
            masquerade_works: true,
            outcome: Outcome::default(),
        }
    }

    fn hook(&self, hook: Hook) -> &[usize] {
        &self.hooks[hook as usize]
    }

    /// Compares every address of every plan, and looks for addresses that no plan has.
    pub(super) fn run(&mut self, plans: &[Plan<'_>]) {
        self.guess(plans);
        let mut known: HashSet<Front> = HashSet::new();
        for plan in plans {
            for (kind, address, port) in &plan.fronts {
                known.insert((*address, plan.port.protocol, *port));
                let whole = self.front(plan, *kind, *address, *port);
                self.count(whole);
            }
        }
        self.orphans(&known);
    }

    /// Where nobody tells what kube-proxy was told, most of its rules do: which sources are pods', or that all are
    /// masqueraded.
    pub(super) fn guess(&mut self, plans: &[Plan<'_>]) {
        if self.node.config.is_some() {
            return;
        }
        let mut votes: BTreeMap<Edges, usize> = BTreeMap::new();
        let served = plans.iter().filter(|plan| !plan.endpoints(Kind::Cluster).is_empty()).take(VOTERS);
        for plan in served.clone() {
            let Some((_, Some(address), port)) = plan.fronts.first() else { continue };
            let mut edges = Edges::default();
            let packet =
                Packet { destination: *address, protocol: plan.port.protocol, port: *port, ..self.bare(state::NEW, 0) };
            for chain in self.hook(Hook::Prerouting) {
                self.walker.edges(*chain, &packet, 0, &mut edges);
            }
            edges.ranges.retain(|(first, _)| !first.is_loopback());
            *votes.entry(edges).or_default() += 1;
        }
        let Some((edges, _)) = votes.into_iter().max_by_key(|(_, votes)| *votes) else { return };
        self.detector = Detector::from_edges(&edges);
        if !self.detector.is_known() {
            let marked = served.clone().any(|plan| {
                let Some((_, Some(address), port)) = plan.fronts.first() else { return false };
                let found = self.fate(&self.stranger(), *address, false, plan.port.protocol, *port);
                found.is_ok_and(|found| {
                    let masked = |(way, to): &(Way, Socket)| {
                        self.masquerades(way.mark, unlikely(self.family), *to, plan.port.protocol) == Ok(true)
                    };
                    found.ways.iter().any(masked)
                })
            });
            self.masquerades_all = marked;
        }
    }

    /// Counts an address as compared, or as one that could not be.
    pub(super) fn count(&mut self, compared: Result<(), NotKnown>) {
        match compared {
            Ok(()) => self.outcome.checked += 1,
            Err(NotKnown(why)) => {
                self.outcome.unknown += 1;
                self.outcome.reason.get_or_insert(why);
            }
        }
    }

    /// Lists an address that no Service has.
    pub(super) fn stale(&mut self, place: Front, service: Option<ServicePort>, found: String, rule: String) {
        let (address, protocol, port) = place;
        let entry = Entry {
            address,
            port: Some(port),
            protocol: Some(protocol_name(protocol)),
            service,
            expected: None,
            found: Some(found),
            rule: Some(rule),
        };
        self.outcome.take(Sort::Stale, entry);
    }

    /// Somebody from outside.
    pub(super) fn stranger(&self) -> Source {
        Source { address: unlikely(self.family), from_node: false, input: "eth0".to_owned() }
    }

    /// The node itself.
    pub(super) fn itself(&self) -> Source {
        let address = self.own.first().copied().unwrap_or(unlikely(self.family));
        Source { address, from_node: true, input: String::new() }
    }

    pub(super) const fn masquerade_works(&self) -> bool {
        self.masquerade_works
    }

    /// Addresses that the kernel treats and no Service has.
    fn orphans(&mut self, known: &HashSet<Front>) {
        let mut seen = HashSet::new();
        for Held { front, text, comment } in self.kernel.held(&self.walker) {
            if known.contains(&front) || !seen.insert(front) {
                continue;
            }
            let (address, protocol, port) = front;
            let packets = self.sources(None, front).into_iter().map(|source| (source, address));
            let asked: Vec<(Source, Option<IpAddr>)> = packets.collect();
            let mut found = None;
            for (source, address) in &asked {
                let to = address.or_else(|| self.own.first().copied()).unwrap_or(unlikely(self.family));
                match self.fate(source, to, address.is_none(), protocol, port) {
                    Ok(fate) if fate.through < 1.0 - SLACK => {
                        // what meets any unused port of the address is no entry of its own
                        let unused = if port == 1 { 2 } else { 1 };
                        let refused = fate.reject > 1.0 - SLACK
                            && self
                                .fate(source, to, address.is_none(), protocol, unused)
                                .is_ok_and(|other| other.reject > 1.0 - SLACK);
                        if !refused {
                            found = Some(fate);
                        }
                        break;
                    }
                    Ok(_) => {}
                    Err(NotKnown(why)) => {
                        self.outcome.unknown += 1;
                        self.outcome.reason.get_or_insert(why);
                        break;
                    }
                }
            }
            if let Some(found) = found {
                let service = comment.as_deref().and_then(ServicePort::parse);
                self.stale(front, service, found.text(), text);
            }
        }
    }

    fn front(&mut self, plan: &Plan<'_>, kind: Kind, address: Option<IpAddr>, port: u16) -> Result<(), NotKnown> {
        let place: Front = (address, plan.port.protocol, port);
        let mut first_to: Option<Found> = None;
        for (destination, to_node, open) in self.destinations(kind, address) {
            for source in self.sources(Some((plan, kind)), (Some(destination), plan.port.protocol, port)) {
                let want = self.want(plan, kind, &source, open, to_node);
                let found = self.fate(&source, destination, to_node, plan.port.protocol, port)?;
                if let Some(sort) = differs(want, &found) {
                    self.report(sort, plan, place, want_text(want), format!("{}, {}", found.text(), source.text()));
                    return Ok(());
                }
                let Fate::To(_) = want else { continue };
                if self.masquerade_works
                    && let Some(masquerade) = self.wants_masquerade(plan, kind, &source)
                {
                    for (way, to) in &found.ways {
                        let is = self.masquerades(way.mark, source.address, *to, plan.port.protocol)?;
                        if is != masquerade && source.address != to.0 {
                            let text = |yes| if yes { "masqueraded" } else { "with the client's own address" };
                            let found = format!("{}:{} {}, {}", to.0, to.1, text(is), source.text());
                            self.report(Sort::Wrong, plan, place, text(masquerade).to_owned(), found);
                            return Ok(());
                        }
                    }
                }
                first_to.get_or_insert(found);
            }
        }
        if let Some(found) = first_to {
            if self.masquerade_works
                && let Some((expected, is)) = self.hairpin(plan, &found, place)?
            {
                self.report(Sort::Wrong, plan, place, expected, is);
                return Ok(());
            }
            if let Some((expected, is)) = self.affinity(plan, kind, &found, place)? {
                self.report(Sort::Wrong, plan, place, expected, is);
            }
        }
        Ok(())
    }

    pub(super) fn report(&mut self, sort: Sort, plan: &Plan<'_>, place: Front, expected: String, found: String) {
        let (address, protocol, port) = place;
        let rule = if self.outcome.count() < WITH_RULE { self.kernel.rule_of(&self.walker, place) } else { None };
        let entry = Entry {
            address,
            port: Some(port),
            protocol: Some(protocol_name(protocol)),
            service: Some(named(plan.service, plan.port)),
            expected: Some(expected),
            found: Some(found),
            rule,
        };
        self.outcome.take(sort, entry);
    }

    /// Where packets for a front are sent: address, whether it is the node's own, and whether node ports are open there.
    fn destinations(&self, kind: Kind, address: Option<IpAddr>) -> Vec<(IpAddr, bool, bool)> {
        match (kind, address) {
            (Kind::Cluster, Some(ip)) => vec![(ip, false, true)],
            (_, Some(ip)) => vec![(ip, false, true), (ip, true, true)],
            (_, None) => {
                if self.node.config.is_none()
                    && let Some(open) = self.kernel.node_ports_on()
                {
                    return open.into_iter().map(|ip| (ip, true, true)).collect();
                }
                let ports = self.node.node_port_addresses(self.family, self.layout.nftables);
                let mut own: Vec<(IpAddr, bool, bool)> = Vec::new();
                for ip in &self.own {
                    own.push((*ip, true, ports.contains(*ip)));
                }
                if own.is_empty() {
                    own.push((unlikely(self.family), true, true));
                }
                own
            }
        }
    }

    /// Packets come from here: both sides of every edge.
    pub(super) fn sources(&self, plan: Option<(&Plan<'_>, Kind)>, front: Front) -> Vec<Source> {
        let (address, protocol, port) = front;
        let to = address.unwrap_or(unlikely(self.family));
        let mut edges = Edges::default();
        let packet = |from_node| Packet {
            source: unlikely(self.family),
            destination: to,
            protocol,
            port,
            from_node,
            to_node: address.is_none() || self.own.contains(&to),
            input: "",
            mark: 0,
            state: state::NEW,
            translated: false,
            remembered: None,
        };
        for (hook, from_node) in
            [(Hook::Prerouting, false), (Hook::Output, true), (Hook::Forward, false), (Hook::Input, false)]
        {
            for chain in self.hook(hook) {
                self.walker.edges(*chain, &packet(from_node), 0, &mut edges);
            }
        }
        let of_cidr = |cidr: &Cidr| (cidr.first(), cidr.last());
        edges.ranges.extend(self.detector.ranges().iter().map(of_cidr));
        if let Some((plan, Kind::Balancer)) = plan {
            edges.ranges.extend(plan.ranges.iter().map(of_cidr));
        }
        let mut points = BTreeSet::from([unlikely(self.family)]);
        for (first, last) in &edges.ranges {
            points.extend([*first, *last]);
            points.extend(bits(*first).checked_sub(1).map(|n| self.family.address(n)));
            points
                .extend(bits(*last).checked_add(1).filter(|n| *n <= self.family.max()).map(|n| self.family.address(n)));
        }
        edges.inputs.extend(self.detector.input().map(str::to_owned));
        let mut inputs = vec!["eth0".to_owned()];
        inputs.extend(edges.inputs.iter().map(|name| match name.strip_suffix('+') {
            Some(start) => format!("{start}0"),
            None => name.clone(),
        }));
        inputs.dedup();
        let mut sources = Vec::new();
        for point in &points {
            // what comes in from a loopback address is dropped before any rule
            if !self.own.contains(point) && !point.is_loopback() {
                sources.push(Source { address: *point, from_node: false, input: "eth0".to_owned() });
            }
        }
        for input in inputs.into_iter().skip(1) {
            sources.push(Source { address: unlikely(self.family), from_node: false, input });
        }
        sources.push(self.itself());
        let starts = |source: &Source| if source.from_node { Hook::Output } else { Hook::Prerouting };
        sources.retain(|source| !self.dead.contains(&starts(source)));
        sources
    }

    fn want<'p>(&self, plan: &'p Plan<'_>, kind: Kind, source: &Source, open: bool, to_node: bool) -> Fate<'p> {
        let served = plan.endpoints(kind);
        let refused = if plan.has_any { Fate::Drop } else { Fate::Reject };
        match kind {
            Kind::Cluster if served.is_empty() => refused,
            Kind::Cluster => Fate::To(served),
            // what nobody serves is refused on every address of the node, open or not
            Kind::NodePort if !open && (self.layout.nftables || !served.is_empty()) => Fate::Through,
            Kind::Balancer if plan.has_any && !self.may(plan, source) => Fate::Drop,
            _ if !plan.has_any => {
                // rules of iptables do not look at what the node itself sends away
                let unseen = source.from_node && !to_node && !self.layout.nftables;
                if unseen { Fate::Through } else { Fate::Reject }
            }
            _ if kind == Kind::NodePort && !open => refused,
            _ if !plan.wanted.external_local => Fate::To(&plan.cluster),
            _ if source.from_node || self.is_pod(source) => Fate::To(&plan.cluster),
            _ if served.is_empty() => Fate::Drop,
            _ => Fate::To(served),
        }
    }

    pub(super) fn is_pod(&self, source: &Source) -> bool {
        self.detector.is_local(source.address, &source.input, source.from_node)
    }

    /// Whether a client may use a load balancer.
    pub(super) fn may(&self, plan: &Plan<'_>, source: &Source) -> bool {
        if plan.wanted.source_ranges.is_empty() || plan.ranges.is_empty() {
            return true;
        }
        if plan.ranges.iter().any(|range| range.contains_ip(source.address)) {
            return true;
        }
        // the node may, by the balancer's own address, where the node's address may
        let node = self.own.first().is_some_and(|ip| plan.ranges.iter().any(|range| range.contains_ip(*ip)));
        let is_balancer = |(_, ip, _): &(Kind, Option<IpAddr>, u16)| *ip == Some(source.address);
        node && plan.fronts.iter().filter(|(kind, ..)| *kind == Kind::Balancer).any(is_balancer)
    }

    /// Whether the client's address is to be hidden; nothing where both are right.
    fn wants_masquerade(&self, plan: &Plan<'_>, kind: Kind, source: &Source) -> Option<bool> {
        let pod = self.is_pod(source);
        Some(match kind {
            Kind::Cluster => self.masquerades_all || (self.detector.is_known() && !pod),
            _ if !plan.wanted.external_local => {
                if pod && self.layout.pods_either {
                    return None;
                }
                true
            }
            _ => source.from_node,
        })
    }

    /// Whether a packet that was sent to an endpoint leaves with another source.
    pub(super) fn masquerades(&self, mark: u32, source: IpAddr, to: Socket, protocol: u8) -> Result<bool, NotKnown> {
        let plain = self.layout.plain_masquerade || source != to.0;
        if plain && let Some(known) = self.masquerades.borrow().get(&mark) {
            return Ok(*known);
        }
        let packet = Packet {
            source,
            destination: to.0,
            protocol,
            port: to.1,
            from_node: false,
            to_node: false,
            input: "",
            mark,
            state: state::NEW,
            translated: true,
            remembered: None,
        };
        let mut does = false;
        for chain in self.hook(Hook::Postrouting) {
            let ends = self.walker.follow(*chain, &packet)?;
            does |= ends.iter().any(|(way, end)| *end == End::Masquerade && way.chance > SLACK);
        }
        if plain {
            self.masquerades.borrow_mut().insert(mark, does);
        }
        Ok(does)
    }

    /// Everything that can come of a packet.
    pub(super) fn fate(
        &self,
        source: &Source,
        to: IpAddr,
        to_node: bool,
        protocol: u8,
        port: u16,
    ) -> Result<Found, NotKnown> {
        let packet = Packet {
            source: source.address,
            destination: to,
            protocol,
            port,
            from_node: source.from_node,
            to_node,
            input: &source.input,
            mark: 0,
            state: state::NEW,
            translated: false,
            remembered: None,
        };
        self.fate_of(&packet)
    }

    fn fate_of(&self, packet: &Packet<'_>) -> Result<Found, NotKnown> {
        let hooks: &[Hook] = match (packet.from_node, packet.to_node) {
            (true, false) => &[Hook::Output],
            (true, true) if self.layout.balanced => &[Hook::Output],
            (true, true) => &[Hook::Output, Hook::Input],
            (false, true) => &[Hook::Prerouting, Hook::Input],
            (false, false) => &[Hook::Prerouting, Hook::Forward],
        };
        let mut found = Found::default();
        let mut going = vec![(1.0, packet.mark)];
        for chain in hooks.iter().flat_map(|hook| self.hook(*hook)) {
            let mut next: Vec<(f64, u32)> = Vec::new();
            for (chance, mark) in going {
                let packet = Packet { mark, ..*packet };
                for (way, end) in self.walker.follow(*chain, &packet)? {
                    let share = chance * way.chance;
                    match end {
                        End::Through | End::Accept | End::Masquerade => {
                            match next.iter_mut().find(|(_, m)| *m == way.mark) {
                                Some((known, _)) => *known += share,
                                None => next.push((share, way.mark)),
                            }
                        }
                        End::Drop => found.drop += share,
                        End::Reject => found.reject += share,
                        End::To(address, port) => {
                            *found.to.entry((address, port)).or_insert(0.0) += share;
                            found.ways.push((Way { chance: share, ..way }, (address, port)));
                        }
                    }
                }
            }
            going = next;
        }
        found.through = going.iter().map(|(chance, _)| chance).sum();
        found.marks = going;
        Ok(found)
    }

    /// An endpoint that calls its own Service must not see its own address: what is expected and what is.
    fn hairpin(&self, plan: &Plan<'_>, found: &Found, place: Front) -> Result<Option<(String, String)>, NotKnown> {
        let mut seen = BTreeSet::new();
        for (way, to) in &found.ways {
            if !seen.insert(*to) {
                continue;
            }
            let mut marks = vec![way.mark];
            // the pod that calls itself comes without the mark that strangers get
            let packet = Packet {
                source: to.0,
                destination: place.0.or_else(|| self.own.first().copied()).unwrap_or(unlikely(self.family)),
                protocol: place.1,
                port: place.2,
                from_node: false,
                to_node: place.0.is_none(),
                input: self.detector.input().unwrap_or(""),
                mark: 0,
                state: state::NEW,
                translated: false,
                remembered: None,
            };
            if self.walker.asks_for_source(way.chain) {
                let ends = self.walker.follow(way.chain, &packet)?;
                marks = ends.iter().filter(|(_, end)| *end == End::To(to.0, to.1)).map(|(way, _)| way.mark).collect();
            } else {
                marks.fill(0);
            }
            let wanted = !self.layout.hairpin_here || plan.here.contains(to);
            for mark in marks {
                let is = self.masquerades(mark, to.0, *to, place.1)?;
                if is != wanted && self.calls_itself(*to, &packet)? != wanted {
                    let text = |yes| if yes { "masqueraded" } else { "with its own address" };
                    let expected = format!("{} calling itself {}", to.0, text(wanted));
                    return Ok(Some((expected, text(is).to_owned())));
                }
            }
        }
        Ok(None)
    }

    /// Whether an endpoint that is sent to itself is masqueraded, for whatever reason: one that is no pod may be for
    /// being from elsewhere.
    fn calls_itself(&self, to: Socket, packet: &Packet<'_>) -> Result<bool, NotKnown> {
        let from_node = self.own.contains(&to.0);
        let found = self.fate_of(&Packet { from_node, input: if from_node { "" } else { packet.input }, ..*packet })?;
        for (way, reached) in &found.ways {
            if *reached == to && !self.masquerades(way.mark, to.0, to, packet.protocol)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A client that was sent to an endpoint comes back to it: what is expected and what is.
    fn affinity(
        &self,
        plan: &Plan<'_>,
        kind: Kind,
        found: &Found,
        place: Front,
    ) -> Result<Option<(String, String)>, NotKnown> {
        let remembered: BTreeMap<Name, Socket> =
            found.ways.iter().filter_map(|(way, to)| Some((way.remember?, *to))).collect();
        let expected = match plan.wanted.affinity {
            Some(seconds) => format!("affinity {seconds}s"),
            None => "no affinity".to_owned(),
        };
        if plan.wanted.affinity.is_some() && found.ways.iter().any(|(way, _)| way.remember.is_none()) {
            return Ok(Some((expected, "an endpoint without affinity".to_owned())));
        }
        let destination = match (kind, place.0) {
            (_, Some(ip)) => ip,
            (_, None) => self.own.first().copied().unwrap_or(unlikely(self.family)),
        };
        for (name, to) in remembered {
            let packet = Packet {
                source: unlikely(self.family),
                destination,
                protocol: place.1,
                port: place.2,
                from_node: false,
                to_node: place.0.is_none(),
                input: "eth0",
                mark: 0,
                state: state::NEW,
                translated: false,
                remembered: Some(name),
            };
            let again = self.fate_of(&packet)?;
            let recalled = again.ways.iter().find_map(|(way, _)| way.recalled);
            let back = again.to.get(&to).is_some_and(|share| *share > 1.0 - SLACK);
            let kept = again.ways.iter().all(|(way, _)| way.remember == Some(name));
            match (plan.wanted.affinity, recalled) {
                (Some(_), Some(_)) if back && !kept => {
                    let is = format!("a client of {}:{} comes back once and is forgotten", to.0, to.1);
                    return Ok(Some((expected, is)));
                }
                (Some(seconds), Some((_, Some(is)))) if back && is == seconds => {}
                (Some(_), Some((_, is))) if back => {
                    let is = is.map_or("affinity without a time".to_owned(), |is| format!("affinity {is}s"));
                    return Ok(Some((expected, is)));
                }
                (Some(_), _) if again.through > 1.0 - SLACK => {}
                (Some(_), _) => {
                    let is = format!("a client of {}:{} goes to {}", to.0, to.1, again.text());
                    return Ok(Some((expected, is)));
                }
                (None, Some((_, is))) => {
                    let is = is.map_or("affinity".to_owned(), |is| format!("affinity {is}s"));
                    return Ok(Some((expected, is)));
                }
                (None, None) => {}
            }
        }
        Ok(None)
    }

    fn bare(&self, state: u8, mark: u32) -> Packet<'static> {
        Packet {
            source: unlikely(self.family),
            destination: unlikely(self.family),
            protocol: 6,
            port: 9,
            from_node: false,
            to_node: false,
            input: "eth0",
            mark,
            state,
            translated: false,
            remembered: None,
        }
    }

    /// The mark that a chain leaves on a packet without one.
    pub(super) fn mark_after(&self, chain: usize) -> Option<u32> {
        let ends = self.walker.follow(chain, &self.bare(state::NEW, 0)).ok()?;
        match ends.as_slice() {
            [(way, End::Through)] => Some(way.mark),
            _ => None,
        }
    }

    /// Whether a packet with this mark that was not translated is masqueraded.
    pub(super) fn is_masqueraded(&self, mark: u32) -> Option<bool> {
        let mut does = false;
        for chain in self.hook(Hook::Postrouting) {
            let ends = self.walker.follow(*chain, &self.bare(state::NEW, mark)).ok()?;
            does |= ends.iter().any(|(_, end)| *end == End::Masquerade);
        }
        Some(does)
    }

    /// What becomes of a forwarded packet of no Service.
    pub(super) fn forwards(&self, state: u8, mark: u32) -> Option<End> {
        for chain in self.hook(Hook::Forward) {
            let ends = self.walker.follow(*chain, &self.bare(state, mark)).ok()?;
            match ends.as_slice() {
                [(_, End::Through)] => {}
                [(_, end)] => return Some(*end),
                _ => return None,
            }
        }
        Some(End::Through)
    }

    /// Says that something that all Services need is not there.
    pub(super) fn fault(&mut self, expected: &str, found: &str, rule: Option<String>) {
        self.outcome.fault(expected, found);
        if let Some(entry) = self.outcome.wrong.last_mut() {
            entry.rule = rule;
        }
    }

    /// From here on, what is masqueraded is not looked at.
    pub(super) const fn ignore_masquerade(&mut self) {
        self.masquerade_works = false;
    }

    /// A hook that does not lead to kube-proxy's rules: it is said once, and not of every Service.
    pub(super) fn drop_hook(&mut self, hook: Hook) {
        self.dead.push(hook);
    }

    /// Says of a whole address that it should be somewhere and is not, or the other way round.
    pub(super) fn outside(&mut self, missing: bool, address: IpAddr, plan: Option<&Plan<'_>>, place: &str) {
        let entry = Entry {
            address: Some(address),
            port: None,
            protocol: None,
            service: plan.map(|plan| named(plan.service, plan.port)),
            expected: missing.then(|| place.to_owned()),
            found: (!missing).then(|| place.to_owned()),
            rule: None,
        };
        self.outcome.take(if missing { Sort::Missing } else { Sort::Stale }, entry);
    }
}

/// A port that Services rarely have.
pub(super) const UNUSED: u16 = 9;

/// So many Services are asked how pods are told.
const VOTERS: usize = 30;

/// How far shares may be off.
const SLACK: f64 = 1e-6;

impl Source {
    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) const fn is_node(&self) -> bool {
        self.from_node
    }

    pub(super) fn text(&self) -> String {
        if self.from_node {
            "from the node itself".to_owned()
        } else if self.input == "eth0" {
            format!("from {}", self.address)
        } else {
            format!("from interface {}", self.input)
        }
    }
}

impl Found {
    pub(super) fn text(&self) -> String {
        let mut parts: Vec<String> = shares(self.to.iter().map(|(to, share)| (*to, *share)));
        for (share, what) in [(self.reject, "rejected"), (self.drop, "dropped"), (self.through, "not translated")] {
            if share > 1.0 - SLACK {
                parts.push(what.to_owned());
            } else if share > SLACK {
                parts.push(format!("{what} {:.1}%", share * 100.0));
            }
        }
        parts.join(", ")
    }
}

/// So many endpoints are named; the rest is counted.
const NAMED: usize = 10;

fn shares(all: impl Iterator<Item = (Socket, f64)>) -> Vec<String> {
    let all: Vec<_> = all.collect();
    let mut parts: Vec<String> = all
        .iter()
        .take(NAMED)
        .map(|((address, port), share)| format!("{} {:.1}%", std::net::SocketAddr::new(*address, *port), share * 100.0))
        .collect();
    if all.len() > NAMED {
        parts.push(format!("and {} more", all.len() - NAMED));
    }
    parts
}

#[expect(clippy::cast_precision_loss, reason = "a number of endpoints")]
fn each(count: usize) -> f64 {
    1.0 / count as f64
}

fn want_text(want: Fate<'_>) -> String {
    match want {
        Fate::To(endpoints) => shares(endpoints.iter().map(|to| (*to, each(endpoints.len())))).join(", "),
        Fate::Drop => "dropped".to_owned(),
        Fate::Reject => "rejected".to_owned(),
        Fate::Through => "not translated".to_owned(),
    }
}

fn differs(want: Fate<'_>, found: &Found) -> Option<Sort> {
    match want {
        Fate::To(endpoints) => {
            if found.through > 1.0 - SLACK {
                return Some(Sort::Missing);
            }
            let share = each(endpoints.len());
            let same = found.to.len() == endpoints.len()
                && found.to.iter().all(|(to, is)| endpoints.contains(to) && (is - share).abs() <= 1e-5 + share * 1e-3)
                && found.through <= SLACK.max(1e-5)
                && found.drop + found.reject <= SLACK;
            (!same).then_some(Sort::Wrong)
        }
        Fate::Drop if found.drop > 1.0 - SLACK => None,
        Fate::Reject if found.reject > 1.0 - SLACK => None,
        Fate::Drop | Fate::Reject => Some(if found.through > 1.0 - SLACK { Sort::Missing } else { Sort::Wrong }),
        Fate::Through if found.through > 1.0 - SLACK => None,
        Fate::Through => Some(Sort::Stale),
    }
}

/// The node's own addresses of a family, the primary one first: those of its links, else those that the API has.
fn own(node: &NodeFacts, family: Family) -> Vec<IpAddr> {
    let of_family = |ips: &[IpAddr]| -> Vec<IpAddr> {
        ips.iter().filter(|ip| Family::of(**ip) == family && !ip.is_loopback()).copied().collect()
    };
    let (told, links) = (of_family(&node.addresses), of_family(&node.links));
    let mut own: Vec<IpAddr> = told.iter().filter(|ip| links.is_empty() || links.contains(ip)).copied().collect();
    own.extend(links);
    let mut seen = BTreeSet::new();
    own.retain(|ip| seen.insert(*ip));
    own.truncate(OWN);
    own
}

/// So many of a node's addresses are asked for; each is treated like the next.
const OWN: usize = 4;

/// An address that no rule names: of a range that is kept for documents.
pub(super) fn unlikely(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([198, 18, 77, 77]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0x77]),
    }
}
