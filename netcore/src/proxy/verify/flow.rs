//! What rules do with a packet that asks for a Service: every end it can come to, each with its chance. The rules
//! may be of iptables or of nftables: each is compiled into the same few steps, chain by chain as a packet gets there.
//!
//! It is no firewall simulator: only kube-proxy's own chains are followed, packets are the first of their
//! connection, and what a client is remembered for is asked, not read.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    rc::Rc,
};

use crate::{
    cidr::{Cidr, Family},
    ipset,
    iptables::values::Address,
    nft,
};

/// How deep chains may call each other.
const DEPTH: usize = 24;
/// How many ways a packet may take through one chain.
const WAYS: usize = 4096;

/// Conntrack's states, as bits.
pub(super) mod state {
    pub(in super::super) const INVALID: u8 = 1;
    pub(in super::super) const NEW: u8 = 2;
    pub(in super::super) const RELATED: u8 = 4;
    pub(in super::super) const ESTABLISHED: u8 = 8;
    pub(in super::super) const OTHER: u8 = 16;
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'p> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) port: u16,
    /// The source is an address of this node.
    pub(super) from_node: bool,
    /// The destination is an address of this node.
    pub(super) to_node: bool,
    /// The interface that it came in by; empty for a packet of the node itself.
    pub(super) input: &'p str,
    pub(super) mark: u32,
    pub(super) state: u8,
    /// Its destination was translated.
    pub(super) translated: bool,
    /// The list or set that remembers its client.
    pub(super) remembered: Option<Name>,
}

/// Addresses under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net {
    family: Family,
    bits: u128,
    mask: u128,
}

impl Net {
    fn contains(&self, ip: IpAddr) -> bool {
        Family::of(ip) == self.family && bits(ip) & self.mask == self.bits
    }

    /// The only address.
    fn host(&self) -> Option<IpAddr> {
        (self.mask == self.family.max()).then(|| self.family.address(self.bits))
    }

    /// First and last; nothing where the mask has holes.
    fn bounds(&self) -> Option<(IpAddr, IpAddr)> {
        let rest = self.family.max() & !self.mask;
        (rest & rest.wrapping_add(1) == 0)
            .then(|| (self.family.address(self.bits), self.family.address(self.bits | rest)))
    }
}

impl From<&Address> for Net {
    fn from(net: &Address) -> Self {
        let mask = bits(net.mask);
        Self { family: Family::of(net.ip), bits: bits(net.ip) & mask, mask }
    }
}

impl From<Cidr> for Net {
    fn from(net: Cidr) -> Self {
        let (first, last) = (bits(net.first()), bits(net.last()));
        Self { family: net.family(), bits: first, mask: net.family().max() & !(first ^ last) }
    }
}

/// The number that an address stands for.
pub(super) fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The number of a list or set that remembers clients.
pub(super) type Name = u32;

/// One thing that a rule asks or does, in the order of the rule.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Source(Net, bool),
    Destination(Net, bool),
    /// A range of addresses as nft has them, first and last.
    SourceIn(Vec<(IpAddr, IpAddr)>, bool),
    DestinationIn(Vec<(IpAddr, IpAddr)>, bool),
    Protocol(u8, bool),
    Port(u16, u16, bool),
    FromNode(bool),
    ToNode(bool),
    Mark {
        mask: u32,
        value: u32,
        negated: bool,
    },
    State(u8, bool),
    Translated(bool),
    Input(String, bool),
    /// A list or set that remembers clients, and for how many seconds.
    Remembers(Name, Option<u32>),
    Remember(Name),
    /// An ipset: its number, and which side each dimension looks at.
    InSet(usize, Vec<ipset::Side>, bool),
    /// A set of nftables: its number, and what is looked up.
    InElements(usize, Vec<Key>, bool),
    Chance(f64),
    SetMark {
        keep: u32,
        flip: u32,
    },
    Do(Action),
    /// A verdict map: its number, and what is looked up.
    Verdicts(usize, Vec<Key>),
    /// One of so many, each equally likely; the rest of them do nothing.
    Share(u32, Vec<Action>),
    /// Something that is not understood.
    Unknown(String),
    /// Never fits.
    Never,
}

/// What of a packet is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Source,
    Destination,
    Protocol,
    Port,
}

impl Key {
    fn of(self, packet: &Packet<'_>) -> nft::Value<'static> {
        match self {
            Self::Source => packet.source.into(),
            Self::Destination => packet.destination.into(),
            Self::Protocol => nft::Value::Number(u128::from(packet.protocol)),
            Self::Port => packet.port.into(),
        }
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Jump(usize),
    Goto(usize),
    Return,
    Accept,
    Drop,
    Reject,
    Masquerade,
    Translate(IpAddr, u16),
}

/// A chain, ready to be followed.
#[derive(Debug, Default)]
pub(super) struct Chain {
    rules: Vec<Vec<Step>>,
    /// Rules that ask for one protocol and port, and mostly for one destination; empty where looking is not worth it.
    exact: HashMap<Front, Vec<u32>>,
    /// Rules that ask for less.
    open: Vec<u32>,
    indexed: bool,
}

/// One protocol and port, of one address or of any.
pub(super) type Front = (Option<IpAddr>, u8, u16);

/// From how many rules on a chain is indexed.
const INDEXED: usize = 24;

impl Chain {
    pub(super) fn new(rules: Vec<Vec<Step>>) -> Self {
        let mut chain = Self { rules, ..Self::default() };
        if chain.rules.len() >= INDEXED {
            chain.indexed = true;
            for (at, rule) in (0..).zip(&chain.rules) {
                match front(rule) {
                    Some(front) => chain.exact.entry(front).or_default().push(at),
                    None => chain.open.push(at),
                }
            }
        }
        chain
    }

    pub(super) fn rules(&self) -> &[Vec<Step>] {
        &self.rules
    }

    /// The rules that a packet may fit, in order.
    fn rules_for(&self, packet: &Packet<'_>, out: &mut Vec<u32>) {
        out.clear();
        if !self.indexed {
            out.extend(0..u32::try_from(self.rules.len()).unwrap_or(u32::MAX));
            return;
        }
        for key in [Some(packet.destination), None] {
            out.extend(self.exact.get(&(key, packet.protocol, packet.port)).into_iter().flatten());
        }
        out.extend(&self.open);
        out.sort_unstable();
    }
}

/// The one protocol and port that a rule asks for, with the one address if it does.
pub(super) fn front(rule: &[Step]) -> Option<Front> {
    let (mut destination, mut protocol, mut port) = (None, None, None);
    for step in rule {
        match step {
            Step::Destination(to, false) => destination = destination.or(to.host()),
            Step::Protocol(number, false) => protocol = protocol.or(Some(*number)),
            Step::Port(first, last, false) if first == last => port = port.or(Some(*first)),
            Step::Do(_) | Step::Share(..) | Step::Verdicts(..) => break,
            _ => {}
        }
    }
    Some((destination, protocol?, port?))
}

/// What a verdict map has for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MapVerdict {
    /// Something to do.
    Found(Action),
    /// No entry.
    Out,
    /// It is not known.
    Unknown,
}

/// A node's rules of one family.
pub(super) trait Rules {
    /// A chain by its number.
    fn chain(&self, number: usize) -> Chain;
    /// Its name, for messages.
    fn name(&self, number: usize) -> String;
    /// Whether an ipset has the packet; nothing where that is not known.
    fn in_set(&self, _: usize, _: &[ipset::Side], _: &Packet<'_>) -> Option<bool> {
        None
    }
    /// Whether a set of nftables has the key; nothing where that is not known.
    fn in_elements(&self, _: usize, _: &[nft::Value<'_>]) -> Option<bool> {
        None
    }
    /// What a verdict map has for a key.
    fn verdict(&self, _: usize, _: &[nft::Value<'_>]) -> MapVerdict {
        MapVerdict::Unknown
    }
}

/// How a packet's way through a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// It goes on as it came.
    Through,
    Accept,
    Drop,
    Reject,
    Masquerade,
    To(IpAddr, u16),
}

/// One way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Way {
    pub(super) chance: f64,
    pub(super) mark: u32,
    /// What remembers the client from now on.
    pub(super) remember: Option<Name>,
    /// What sent the client here because it was remembered, and for how long it is.
    pub(super) recalled: Option<(Name, Option<u32>)>,
    /// The chain that ended it.
    pub(super) chain: usize,
}

impl Way {
    fn same(&self, other: &Self) -> bool {
        (self.mark, self.remember, self.recalled) == (other.mark, other.remember, other.recalled)
    }
}

/// Something on a packet's way is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotKnown(pub(super) String);

/// Follows packets.
pub(super) struct Walker<'r> {
    rules: &'r dyn Rules,
    chains: RefCell<HashMap<usize, Rc<Chain>>>,
}

/// How many chains are kept compiled.
const KEPT: usize = 512;

impl<'r> Walker<'r> {
    pub(super) fn new(rules: &'r dyn Rules) -> Self {
        Self { rules, chains: RefCell::default() }
    }

    /// A chain, compiled once.
    pub(super) fn chain(&self, number: usize) -> Rc<Chain> {
        if let Some(chain) = self.chains.borrow().get(&number) {
            return Rc::clone(chain);
        }
        let chain = Rc::new(self.rules.chain(number));
        let mut chains = self.chains.borrow_mut();
        if chains.len() > KEPT {
            // a Service's chains are not asked for again; the large ones are
            chains.retain(|_, chain| chain.indexed);
        }
        chains.insert(number, Rc::clone(&chain));
        chain
    }

    /// Every end of a packet that enters a chain.
    pub(super) fn follow(&self, chain: usize, packet: &Packet<'_>) -> Result<Vec<(Way, End)>, NotKnown> {
        let start = Way { chance: 1.0, mark: packet.mark, remember: None, recalled: None, chain };
        let mut ends = Vec::new();
        let back = self.walk(chain, packet, start, 0, &mut ends)?;
        ends.extend(back.into_iter().map(|way| (way, End::Through)));
        Ok(ends)
    }

    /// Follows one way through a chain: what comes back to the caller.
    fn walk(
        &self,
        number: usize,
        packet: &Packet<'_>,
        start: Way,
        depth: usize,
        ends: &mut Vec<(Way, End)>,
    ) -> Result<Vec<Way>, NotKnown> {
        if depth > DEPTH || ends.len() > WAYS {
            return Err(NotKnown(format!("chain {} leads too far", self.rules.name(number))));
        }
        let chain = self.chain(number);
        let mut places = Vec::new();
        chain.rules_for(packet, &mut places);
        let (mut here, mut back) = (vec![start], Vec::new());
        for place in places {
            let Some(rule) = chain.rules.get(place as usize) else { continue };
            let mut next: Vec<Way> = Vec::with_capacity(here.len());
            for way in here {
                let mut follow = Follow { walker: self, packet, depth, ends, next: &mut next, back: &mut back, number };
                follow.take(rule, way)?;
            }
            here = next;
            if here.is_empty() {
                break;
            }
        }
        for way in here {
            merge(&mut back, way);
        }
        Ok(back)
    }
}

fn merge(ways: &mut Vec<Way>, way: Way) {
    match ways.iter_mut().find(|known| known.same(&way)) {
        Some(known) => known.chance += way.chance,
        None => ways.push(way),
    }
}

/// One rule for one way.
struct Follow<'f, 'r, 'p> {
    walker: &'f Walker<'r>,
    packet: &'f Packet<'p>,
    depth: usize,
    ends: &'f mut Vec<(Way, End)>,
    /// Ways that go on with the next rule.
    next: &'f mut Vec<Way>,
    /// Ways that go back to the caller.
    back: &'f mut Vec<Way>,
    number: usize,
}

impl Follow<'_, '_, '_> {
    fn take(&mut self, rule: &[Step], mut way: Way) -> Result<(), NotKnown> {
        for step in rule {
            match step {
                Step::Chance(chance) => {
                    if *chance < 1.0 {
                        merge(self.next, Way { chance: way.chance * (1.0 - chance), ..way });
                    }
                    way.chance *= chance;
                    if way.chance <= 0.0 {
                        return Ok(());
                    }
                }
                Step::SetMark { keep, flip } => way.mark = (way.mark & keep) ^ flip,
                Step::Remember(name) => way.remember = Some(*name),
                Step::Remembers(name, seconds) => {
                    if self.packet.remembered != Some(*name) {
                        merge(self.next, way);
                        return Ok(());
                    }
                    way.recalled = Some((*name, *seconds));
                }
                Step::Do(action) => return self.act(action, way),
                Step::Share(of, actions) => {
                    let each = way.chance / f64::from(*of);
                    let mut left = *of;
                    for action in actions {
                        left = left.saturating_sub(1);
                        self.act(action, Way { chance: each, ..way })?;
                    }
                    if left > 0 {
                        merge(self.next, Way { chance: each * f64::from(left), ..way });
                    }
                    return Ok(());
                }
                Step::Verdicts(map, keys) => {
                    let values: Vec<_> = keys.iter().map(|key| key.of(self.packet)).collect();
                    match self.walker.rules.verdict(*map, &values) {
                        MapVerdict::Found(action) => return self.act(&action, way),
                        MapVerdict::Out => {
                            merge(self.next, way);
                            return Ok(());
                        }
                        MapVerdict::Unknown => return self.unknown("an entry of a map"),
                    }
                }
                condition => match self.holds(condition, way) {
                    Some(true) => {}
                    Some(false) => {
                        merge(self.next, way);
                        return Ok(());
                    }
                    None => {
                        let what = if let Step::Unknown(what) = condition { what.as_str() } else { "a set" };
                        return self.unknown(what);
                    }
                },
            }
        }
        merge(self.next, way);
        Ok(())
    }

    fn unknown(&self, what: &str) -> Result<(), NotKnown> {
        Err(NotKnown(format!("chain {}: {what}", self.walker.rules.name(self.number))))
    }

    fn holds(&self, step: &Step, way: Way) -> Option<bool> {
        let packet = self.packet;
        let within =
            |ranges: &[(IpAddr, IpAddr)], ip: IpAddr| ranges.iter().any(|(first, last)| *first <= ip && ip <= *last);
        Some(match step {
            Step::Source(net, negated) => net.contains(packet.source) != *negated,
            Step::Destination(net, negated) => net.contains(packet.destination) != *negated,
            Step::SourceIn(ranges, negated) => within(ranges, packet.source) != *negated,
            Step::DestinationIn(ranges, negated) => within(ranges, packet.destination) != *negated,
            Step::Protocol(number, negated) => (packet.protocol == *number) != *negated,
            Step::Port(first, last, negated) => (*first..=*last).contains(&packet.port) != *negated,
            Step::FromNode(wanted) => packet.from_node == *wanted,
            Step::ToNode(wanted) => packet.to_node == *wanted,
            Step::Mark { mask, value, negated } => (way.mark & mask == *value) != *negated,
            Step::State(bits, negated) => (packet.state & bits != 0) != *negated,
            Step::Translated(wanted) => packet.translated == *wanted,
            Step::Input(name, negated) => interface_fits(name, packet.input) != *negated,
            Step::InSet(set, sides, negated) => self.walker.rules.in_set(*set, sides, packet)? != *negated,
            Step::InElements(set, keys, negated) => {
                let values: Vec<_> = keys.iter().map(|key| key.of(packet)).collect();
                self.walker.rules.in_elements(*set, &values)? != *negated
            }
            Step::Never => false,
            _ => return None,
        })
    }

    fn act(&mut self, action: &Action, way: Way) -> Result<(), NotKnown> {
        let end = match action {
            Action::Return => {
                merge(self.back, way);
                return Ok(());
            }
            Action::Jump(chain) => {
                for back in self.walker.walk(*chain, self.packet, way, self.depth + 1, self.ends)? {
                    merge(self.next, back);
                }
                return Ok(());
            }
            Action::Goto(chain) => {
                for back in self.walker.walk(*chain, self.packet, way, self.depth + 1, self.ends)? {
                    merge(self.back, back);
                }
                return Ok(());
            }
            Action::Accept => End::Accept,
            Action::Drop => End::Drop,
            Action::Reject => End::Reject,
            Action::Masquerade => End::Masquerade,
            Action::Translate(address, port) => End::To(*address, *port),
        };
        self.ends.push((Way { chain: self.number, ..way }, end));
        Ok(())
    }
}

/// What chains ask of a packet's source on its way: ranges of addresses and interfaces. At their edges, and only
/// there, the rules may treat packets differently.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edges {
    pub(super) ranges: BTreeSet<(IpAddr, IpAddr)>,
    pub(super) inputs: BTreeSet<String>,
}

impl Walker<'_> {
    /// Adds the edges on a packet's way. A chain that translates asks for its own endpoint: that is left out.
    pub(super) fn edges(&self, number: usize, packet: &Packet<'_>, depth: usize, edges: &mut Edges) {
        if depth > DEPTH {
            return;
        }
        let chain = self.chain(number);
        let own = chain.rules.iter().flatten().find_map(|step| match step {
            Step::Do(Action::Translate(address, _)) => Some(*address),
            _ => None,
        });
        let mut places = Vec::new();
        chain.rules_for(packet, &mut places);
        for step in places.iter().filter_map(|place| chain.rules.get(*place as usize)).flatten() {
            match step {
                Step::Source(net, _) if own.is_some() && own == net.host() => {}
                Step::Source(net, _) => edges.ranges.extend(net.bounds()),
                Step::SourceIn(ranges, _) => edges.ranges.extend(ranges.iter().copied()),
                Step::Input(name, _) => {
                    edges.inputs.insert(name.clone());
                }
                Step::Do(Action::Jump(next) | Action::Goto(next)) => self.edges(*next, packet, depth + 1, edges),
                Step::Share(_, actions) => {
                    for action in actions {
                        if let Action::Jump(next) | Action::Goto(next) = action {
                            self.edges(*next, packet, depth + 1, edges);
                        }
                    }
                }
                Step::Verdicts(map, keys) => {
                    let values: Vec<_> = keys.iter().map(|key| key.of(packet)).collect();
                    if let MapVerdict::Found(Action::Jump(next) | Action::Goto(next)) =
                        self.rules.verdict(*map, &values)
                    {
                        self.edges(next, packet, depth + 1, edges);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a chain asks for a packet's source at all.
    pub(super) fn asks_for_source(&self, number: usize) -> bool {
        let chain = self.chain(number);
        chain.rules.iter().flatten().any(|step| matches!(step, Step::Source(..) | Step::SourceIn(..)))
    }
}

/// A `+` at the end stands for any rest of the name.
fn interface_fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('+').map_or(pattern == name, |start| name.starts_with(start))
}
