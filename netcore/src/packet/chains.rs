//! A packet in a table of iptables: rule after rule, through the chains that they call.
//!
//! A long chain is not read from its beginning for each packet: rules that ask for one address, port or
//! interface are found by it. The count of rules that the kernel tests is the same.

use std::{cell::RefCell, collections::HashMap, net::IpAddr, rc::Rc};

use super::{
    conditions::{Surroundings, holds},
    journey::{Ending, Journey, Place},
    model::{Device, Hook},
    targets::{Act, act},
    truth::Test,
};
use crate::{
    iptables::{
        Backend, Chain, Policy, Rule, Table,
        matches::Match,
        spec::Part,
        values::{Not, Ports},
    },
    owner::Owner,
};

/// From how many rules on a chain is read by an index.
const LONG: usize = 12;
/// How many rules of one table are looked at for one packet before it is given up.
const MOST_STEPS: usize = 4_000_000;
/// How many calls of chains one way has in a table before it is a circle.
const MOST_CALLS: u32 = 50_000;
/// The kernel of nftables takes 16; legacy tables as many as there are chains.
const DEEPEST: usize = 512;
/// How many ways a packet may have in one table.
pub(super) const MOST_WAYS: usize = 20_000;

/// What a rule asks for that most packets have not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key<'a> {
    To(IpAddr),
    From(IpAddr),
    ToPort(u16),
    In(&'a str),
    Out(&'a str),
}

/// What is kept of a chain that was met.
struct Known<'a> {
    owner: Owner,
    rules: Rules<'a>,
}

enum Rules<'a> {
    /// Few, or a chain whose rules have owners of their own.
    Each(Vec<(Rule<'a>, Owner)>),
    Indexed(Index<'a>),
}

struct Index<'a> {
    rules: Vec<Rule<'a>>,
    by_key: HashMap<Key<'a>, Vec<u32>>,
    others: Vec<u32>,
}

/// The chains that were met.
pub(super) struct Chains<'a> {
    backend: Backend,
    known: RefCell<HashMap<usize, Rc<Known<'a>>>>,
}

/// One packet in one table.
#[derive(Clone)]
struct Run<'a> {
    journey: Journey<'a>,
    frames: Vec<Frame<'a>>,
    calls: u32,
    /// What the table says, where a rule has decided already.
    ending: Option<Ending>,
}

#[derive(Clone)]
struct Frame<'a> {
    chain: Chain<'a>,
    known: Rc<Known<'a>>,
    next: usize,
}

impl<'a> Chains<'a> {
    pub(super) fn new(backend: Backend) -> Self {
        Self { backend, known: RefCell::default() }
    }

    fn know(&self, chain: Chain<'a>) -> Rc<Known<'a>> {
        let key = chain.number();
        if let Some(known) = self.known.borrow().get(&key) {
            return Rc::clone(known);
        }
        let built_in = chain.is_built_in();
        let owner = chain.owner().owner;
        let rules = if chain.len() < LONG || built_in {
            let of = |rule: Rule<'a>| (rule, if built_in { rule.owner().owner } else { owner });
            Rules::Each(chain.rules().map(of).collect())
        } else {
            Rules::Indexed(Index::new(chain))
        };
        let known = Rc::new(Known { owner, rules });
        // short chains of no hook are read again: there may be a hundred thousand of them
        if built_in || matches!(known.rules, Rules::Indexed(_)) {
            self.known.borrow_mut().insert(key, Rc::clone(&known));
        }
        known
    }

    /// Sends a packet through a hook's chain.
    pub(super) fn run(
        &self,
        table: Table<'a>,
        start: Chain<'a>,
        hook: Hook,
        journey: Journey<'a>,
        around: &Surroundings<'_, 'a>,
    ) -> Vec<(Journey<'a>, Ending)> {
        let first = Frame { chain: start, known: self.know(start), next: 0 };
        let mut open = vec![Run { journey, frames: vec![first], calls: 0, ending: None }];
        let mut done = Vec::new();
        let mut steps = 0;
        while let Some(mut run) = open.pop() {
            let decided = run.ending.take();
            let ending = decided.or_else(|| self.follow(table, &mut run, hook, around, &mut open, &mut steps));
            let ending = ending.unwrap_or_else(|| match start.policy() {
                Some(Policy::Drop) => Ending::Drop,
                Some(Policy::Queue) => Ending::Unknown("the chain's policy sends the packet to a program".into()),
                _ => Ending::Pass,
            });
            done.push((run.journey, ending));
            if done.len() + open.len() > MOST_WAYS {
                let rest = |run: Run<'a>| {
                    (run.journey, Ending::Unknown(format!("more than {MOST_WAYS} ways in one table").into()))
                };
                done.extend(open.drain(..).rev().map(rest));
            }
        }
        done
    }

    /// Follows one way to its end; ways that part from it are put on `open`. Nothing where the chain of
    /// the hook ends.
    fn follow(
        &self,
        table: Table<'a>,
        run: &mut Run<'a>,
        hook: Hook,
        around: &Surroundings<'_, 'a>,
        open: &mut Vec<Run<'a>>,
        steps: &mut usize,
    ) -> Option<Ending> {
        loop {
            let frame = run.frames.last_mut()?;
            let Some((at, rule)) = frame.step(&mut run.journey) else {
                if let Some(cut) = cut_off(table, frame.chain) {
                    return Some(Ending::Unknown(cut));
                }
                run.frames.pop();
                if run.frames.is_empty() {
                    return None;
                }
                continue;
            };
            *steps += 1;
            if *steps > MOST_STEPS {
                return Some(Ending::Unknown(format!("more than {MOST_STEPS} rules are tested in one table").into()));
            }
            let (test, parts) = tested(rule, &run.journey, hook, around);
            if test.failed() {
                continue;
            }
            if !test.taken.is_empty() {
                run.journey.stateful |= test.stateful;
                for what in &test.taken {
                    run.journey.take(*what);
                }
            }
            if test.refused() {
                continue;
            }
            if let Some(reason) = test.unknown {
                if parts.is_idle() {
                    run.journey.take(format!("whether `{}` fits does not matter: it only counts", rule.text()));
                    continue;
                }
                let chain = frame.chain.name();
                return Some(Ending::Unknown(
                    format!("rule {} of {}/{chain} may fit or not: {reason}", at + 1, table.name().unwrap_or("?"))
                        .into(),
                ));
            }
            if let Some(chance) = test.chance {
                run.journey.stateful |= test.stateful;
                let mut other = run.clone();
                other.journey.odds *= 1.0 - chance;
                run.journey.odds *= chance;
                open.push(other);
            }
            if let Some(ending) = self.perform(run, at, rule, hook, around, open) {
                return Some(ending);
            }
        }
    }

    /// Does what a rule says. Nothing where the packet goes on in this table.
    fn perform(
        &self,
        run: &mut Run<'a>,
        at: usize,
        rule: Rule<'a>,
        hook: Hook,
        around: &Surroundings<'_, 'a>,
        open: &mut Vec<Run<'a>>,
    ) -> Option<Ending> {
        let place = Place::Iptables(rule, self.backend);
        if let Some(jump) = rule.jump() {
            let word = if jump.goto { "goto" } else { "jump" };
            run.journey.hit(hook, place, Some(at + 1), format!("{word} {}", jump.chain.name()));
            if !jump.chain.is_declared() {
                return Some(Ending::Unknown(
                    format!("the chain {} is not declared in the dump; it may be cut", jump.chain.name()).into(),
                ));
            }
            if jump.goto {
                // the packet comes back to where this chain was called from
                run.frames.pop();
            }
            let again = run.frames.iter().any(|frame| frame.chain.number() == jump.chain.number());
            run.calls += 1;
            if again || run.frames.len() >= DEEPEST || run.calls > MOST_CALLS {
                let names: Vec<&str> = run.frames.iter().map(|frame| frame.chain.name()).collect();
                let names = names.get(names.len().saturating_sub(8)..).unwrap_or_default().join(" → ");
                return Some(Ending::Unknown(
                    format!("chains call each other in a circle: {names} → {}", jump.chain.name()).into(),
                ));
            }
            run.frames.push(Frame { chain: jump.chain, known: self.know(jump.chain), next: 0 });
            return None;
        }
        let Some(target) = rule.target() else {
            run.journey.hit(hook, place, Some(at + 1), "continue");
            return None;
        };
        match act(&target, &mut run.journey.packet, hook, around) {
            Act::Next(effect) => {
                run.journey.hit(hook, place, Some(at + 1), effect);
                None
            }
            Act::Return => {
                run.journey.hit(hook, place, Some(at + 1), "return");
                run.frames.pop();
                None
            }
            Act::End(ending, effect) => {
                run.journey.hit(hook, place, Some(at + 1), effect);
                Some(ending)
            }
            Act::Choose(choices) => {
                let share = 1.0 / f64::from(u32::try_from(choices.len()).unwrap_or(u32::MAX).max(1));
                let ways = choices.into_iter().rev().map(|(packet, effect)| {
                    let journey = run.journey.share(share);
                    let mut way = Run { journey, frames: Vec::new(), calls: 0, ending: Some(Ending::Pass) };
                    way.journey.stateful = true;
                    way.journey.packet = packet;
                    way.journey.hit(hook, place, Some(at + 1), effect);
                    way
                });
                open.extend(ways.collect::<Vec<_>>());
                if let Some(first) = open.pop() {
                    *run = first;
                }
                Some(Ending::Pass)
            }
        }
    }
}

/// Why a chain's end may not be its end: the table was cut off behind it.
fn cut_off(table: Table<'_>, chain: Chain<'_>) -> Option<std::borrow::Cow<'static, str>> {
    let last = chain.rules().next_back().map_or(usize::MAX, |rule| rule.line());
    if table.is_committed() || last < table.last_rule_line() {
        return None;
    }
    Some(
        format!(
            "the dump of the table {} has no end, and the chain {} may have more rules",
            table.name().unwrap_or("?"),
            chain.name()
        )
        .into(),
    )
}

impl<'a> Frame<'a> {
    /// The next rule that is worth a look; those before it are counted as tested.
    fn step(&mut self, journey: &mut Journey<'a>) -> Option<(usize, Rule<'a>)> {
        let from = self.next;
        match &self.known.rules {
            Rules::Each(rules) => {
                let (rule, owner) = rules.get(from)?;
                journey.tally.add(*owner, 1);
                self.next = from + 1;
                Some((from, *rule))
            }
            Rules::Indexed(index) => {
                let at = index.next(from, journey);
                let end = at.map_or(index.rules.len(), |at| at + 1);
                journey.tally.add(self.known.owner, u32::try_from(end - from).unwrap_or(u32::MAX));
                self.next = end;
                let at = at?;
                Some((at, *index.rules.get(at)?))
            }
        }
    }
}

impl<'a> Index<'a> {
    fn new(chain: Chain<'a>) -> Self {
        let rules: Vec<Rule<'a>> = chain.rules().collect();
        let mut index = Self { rules: Vec::new(), by_key: HashMap::new(), others: Vec::new() };
        for (at, rule) in (0_u32..).zip(&rules) {
            match key_of(*rule) {
                Some(key) => index.by_key.entry(key).or_default().push(at),
                None => index.others.push(at),
            }
        }
        index.rules = rules;
        index
    }

    /// The first rule from a place on that the packet may fit.
    fn next(&self, from: usize, journey: &Journey<'_>) -> Option<usize> {
        let packet = &journey.packet;
        let from = u32::try_from(from).ok()?;
        let first = |list: &[u32]| list.get(list.partition_point(|at| *at < from)).copied();
        let keyed = |key: Key<'_>| self.by_key.get(&key).and_then(|list| first(list));
        let mut best = first(&self.others);
        let mut consider = |found: Option<u32>| {
            best = match (best, found) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        };
        consider(keyed(Key::To(packet.destination)));
        consider(keyed(Key::From(packet.source)));
        match packet.destination_port {
            Some(port) => consider(keyed(Key::ToPort(port))),
            None if packet.has_ports() => consider(self.any(from, |key| matches!(key, Key::ToPort(_)))),
            None => {}
        }
        match &packet.input {
            Device::Named(name) => consider(keyed(Key::In(name))),
            Device::Unknown => consider(self.any(from, |key| matches!(key, Key::In(_)))),
            Device::None => {}
        }
        match &packet.output {
            Device::Named(name) => consider(keyed(Key::Out(name))),
            Device::Unknown => consider(self.any(from, |key| matches!(key, Key::Out(_)))),
            Device::None => {}
        }
        best.map(|at| at as usize)
    }

    /// The first rule from a place on whose key is of a kind.
    fn any(&self, from: u32, kind: impl Fn(&Key<'_>) -> bool) -> Option<u32> {
        let lists = self.by_key.iter().filter(|(key, _)| kind(key));
        lists.filter_map(|(_, list)| list.get(list.partition_point(|at| *at < from)).copied()).min()
    }
}

/// What a rule asks for that tells it from most others: all of its conditions must hold, so one is
/// enough.
fn key_of(rule: Rule<'_>) -> Option<Key<'_>> {
    let (mut port, mut from, mut device) = (None, None, None);
    let single = |ports: Option<&Not<Ports>>| {
        ports.filter(|ports| !ports.negated && ports.value.first == ports.value.last).map(|ports| ports.value.first)
    };
    for part in rule.matches() {
        match part {
            Match::Destination(net) if !net.negated && net.value.is_host() => return Some(Key::To(net.value.ip)),
            Match::Source(net) if !net.negated && net.value.is_host() => from = Some(net.value.ip),
            Match::Tcp(tcp) => port = single(tcp.destinations.as_ref()),
            Match::Udp(udp) => port = single(udp.destinations.as_ref()),
            Match::Sctp(sctp) => port = single(sctp.destinations.as_ref()),
            Match::InInterface(name) if !name.negated && !name.value.0.ends_with('+') => {
                device = Some(Key::In(name.value.0));
            }
            Match::OutInterface(name) if !name.negated && !name.value.0.ends_with('+') => {
                device = Some(Key::Out(name.value.0));
            }
            _ => {}
        }
    }
    from.map(Key::From).or(port.map(Key::ToPort)).or(device)
}

/// What of a rule counts besides its conditions.
struct Effects {
    idle: bool,
}

impl Effects {
    /// Whether nothing changes with it.
    const fn is_idle(&self) -> bool {
        self.idle
    }
}

/// A rule's conditions on a packet.
fn tested(rule: Rule<'_>, journey: &Journey<'_>, hook: Hook, around: &Surroundings<'_, '_>) -> (Test, Effects) {
    let mut test = Test::default();
    let mut idle = true;
    for part in rule.parts() {
        match part {
            Part::Match(found) => {
                if !test.and(holds(&found, &journey.packet, hook, around)) {
                    break;
                }
            }
            Part::Target(target) => idle = super::targets::is_idle(&target),
        }
    }
    (test, Effects { idle })
}
