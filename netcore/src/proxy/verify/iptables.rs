//! kube-proxy's chains of iptables, compiled into steps.

use std::{cell::RefCell, collections::HashMap};

use super::{
    compare::{Comparison, Held, Hook, Kernel, Layout},
    expected::Plan,
    flow::{Action, Chain, End, Front, Name, Packet, Rules, Step, Walker, front, state},
};
use crate::{
    ipset::{self, Side},
    iptables::{self, Dump, Match, Policy, Rule, Ruleset, Target, Verdict, matches, targets, values::Not},
};

/// Chains that kube-proxy has a built-in chain call.
const ENTRIES: [&str; 10] = [
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-FORWARD",
    "KUBE-PROXY-FIREWALL",
    "KUBE-POSTROUTING",
    "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
    "KUBE-NODE-PORT",
    "KUBE-SOURCE-RANGES-FIREWALL",
];

/// What looks into an ipset: whether it has a packet, nothing where that is not known.
pub(super) type Sets<'r> = &'r dyn Fn(&str, &ipset::Packet<'_>, &[Side]) -> Option<bool>;

/// One dump, and the sets that its rules look into.
pub(super) struct Iptables<'r> {
    rules: &'r Ruleset,
    dump: Dump<'r>,
    sets: Option<Sets<'r>>,
    names: RefCell<Vec<String>>,
    numbers: RefCell<HashMap<String, Name>>,
    set_names: RefCell<Vec<&'r str>>,
}

impl<'r> Iptables<'r> {
    pub(super) fn new(rules: &'r Ruleset, dump: Dump<'r>, sets: Option<Sets<'r>>) -> Self {
        Self {
            rules,
            dump,
            sets,
            names: RefCell::default(),
            numbers: RefCell::default(),
            set_names: RefCell::default(),
        }
    }

    /// A chain of a table.
    pub(super) fn find(&self, table: &str, chain: &str) -> Option<iptables::Chain<'r>> {
        self.dump.table(table)?.chain(chain)
    }

    fn name_of(&self, text: &str) -> Name {
        if let Some(known) = self.numbers.borrow().get(text) {
            return *known;
        }
        let mut names = self.names.borrow_mut();
        let number = Name::try_from(names.len()).unwrap_or(Name::MAX);
        names.push(text.to_owned());
        self.numbers.borrow_mut().insert(text.to_owned(), number);
        number
    }

    fn steps(&self, rule: &Rule<'r>, built_in: bool) -> Vec<Step> {
        let jump = match rule.verdict() {
            Verdict::Chain(jump) => Some(jump),
            Verdict::None => return vec![Step::Never],
            Verdict::Target(_) => None,
        };
        // of the hooks' own chains only what leads to kube-proxy is followed
        if built_in && jump.is_none_or(|jump| !ENTRIES.contains(&jump.chain.name())) {
            return vec![Step::Never];
        }
        let mut steps = Vec::with_capacity(4);
        for part in rule.matches() {
            self.condition(&part, &mut steps);
        }
        let action = match jump {
            // old kubelets' own: what is marked there is dropped in the filter table
            Some(jump) if jump.chain.name() == "KUBE-MARK-DROP" => Action::Drop,
            Some(jump) if jump.goto => Action::Goto(jump.chain.number()),
            Some(jump) => Action::Jump(jump.chain.number()),
            None => match rule.target().as_ref().map(action) {
                Some(Ok(step)) => {
                    steps.push(step);
                    return steps;
                }
                Some(Err(what)) => {
                    steps.push(Step::Unknown(format!("target {what} is not understood")));
                    return steps;
                }
                None => return vec![Step::Never],
            },
        };
        steps.push(Step::Do(action));
        steps
    }

    fn condition(&self, part: &Match<'r>, steps: &mut Vec<Step>) {
        match part {
            Match::Comment(_) | Match::Counters(_) | Match::Nfacct(_) => {}
            Match::Source(net) => steps.push(Step::Source((&net.value).into(), net.negated)),
            Match::Destination(net) => steps.push(Step::Destination((&net.value).into(), net.negated)),
            Match::InInterface(name) => steps.push(Step::Input(name.value.0.to_owned(), name.negated)),
            Match::Protocol(name) => match name.value.number() {
                Some(0) => {}
                Some(number) => steps.push(Step::Protocol(number, name.negated)),
                None => unknown("protocol", steps),
            },
            Match::Tcp(tcp) if (matches::Tcp { destinations: None, ..*tcp }) == matches::Tcp::default() => {
                ports(tcp.destinations.as_ref(), steps);
            }
            Match::Udp(udp) if udp.sources.is_none() => ports(udp.destinations.as_ref(), steps),
            Match::Sctp(sctp) if sctp.sources.is_none() && sctp.chunks.is_none() => {
                ports(sctp.destinations.as_ref(), steps);
            }
            Match::PacketMark(found) => match &found.mark {
                Some(mark) => {
                    let (bits, value) = (mark.value.mask, mark.value.value);
                    steps.push(Step::Mark { mask: bits, value, negated: mark.negated });
                }
                None => unknown("mark", steps),
            },
            Match::Conntrack(found) => conntrack(found, steps),
            Match::Addrtype(found) => addrtype(found, steps),
            Match::Statistic(found) => match &found.probability {
                Some(chance) if !chance.negated => steps.push(Step::Chance(chance.value.value())),
                _ => unknown("statistic", steps),
            },
            Match::Recent(found) => self.recent(found, steps),
            Match::Set(found) => match &found.lookup {
                Some(lookup) => {
                    let sides = lookup.value.sources().map(|s| if s { Side::Source } else { Side::Destination });
                    let mut names = self.set_names.borrow_mut();
                    let number = names.iter().position(|name| *name == lookup.value.name).unwrap_or_else(|| {
                        names.push(lookup.value.name);
                        names.len() - 1
                    });
                    steps.push(Step::InSet(number, sides.collect(), lookup.negated));
                }
                None => unknown("set", steps),
            },
            // a routed packet comes in through no port of a bridge that matters here
            Match::Physdev(found) => match &found.is_in {
                Some(flag) if flag.negated => {}
                Some(_) => steps.push(Step::Never),
                None => unknown("physdev", steps),
            },
            Match::Ipvs(_) => steps.push(Step::Never),
            Match::Unknown(what) => steps.push(Step::Unknown(format!("`{}` is not understood", what.token))),
            _ => unknown("a match", steps),
        }
    }

    fn recent(&self, found: &matches::Recent<'r>, steps: &mut Vec<Step>) {
        let Some(name) = found.name else { return unknown("recent", steps) };
        let name = self.name_of(name.0);
        match (&found.set, &found.check, &found.update) {
            (Some(_), None, None) => steps.push(Step::Remember(name)),
            (None, Some(flag), None) | (None, None, Some(flag)) if !flag.negated => {
                steps.push(Step::Remembers(name, found.seconds));
            }
            _ => unknown("recent", steps),
        }
    }
}

fn unknown(what: &str, steps: &mut Vec<Step>) {
    steps.push(Step::Unknown(format!("a rule with {what} is not understood")));
}

fn ports(found: Option<&Not<iptables::values::Ports>>, steps: &mut Vec<Step>) {
    if let Some(found) = found {
        steps.push(Step::Port(found.value.first, found.value.last, found.negated));
    }
}

fn conntrack(found: &matches::Conntrack<'_>, steps: &mut Vec<Step>) {
    let plain = matches::Conntrack { states: None, ..*found } == matches::Conntrack::default();
    let Some(states) = found.states.as_ref().filter(|_| plain) else { return unknown("conntrack", steps) };
    let (mut bits, mut translated) = (0, false);
    for name in states.value.iter() {
        bits |= match name {
            "INVALID" => state::INVALID,
            "NEW" => state::NEW,
            "RELATED" => state::RELATED,
            "ESTABLISHED" => state::ESTABLISHED,
            "DNAT" => {
                translated = true;
                0
            }
            _ => state::OTHER,
        };
    }
    match (bits, translated) {
        (0, true) => steps.push(Step::Translated(!states.negated)),
        (bits, false) => steps.push(Step::State(bits, states.negated)),
        _ => unknown("conntrack", steps),
    }
}

fn addrtype(found: &matches::Addrtype, steps: &mut Vec<Step>) {
    if found.limit_in || found.limit_out {
        return unknown("addrtype", steps);
    }
    let local = |kinds: &iptables::values::AddressTypes| kinds.iter().eq(["LOCAL"]);
    for (kinds, from) in [(&found.source, true), (&found.destination, false)] {
        match kinds {
            None => {}
            Some(kinds) if local(&kinds.value) && from => steps.push(Step::FromNode(!kinds.negated)),
            Some(kinds) if local(&kinds.value) => steps.push(Step::ToNode(!kinds.negated)),
            Some(_) => unknown("addrtype", steps),
        }
    }
}

/// What a target does, or its name where that is not understood.
fn action(target: &Target<'_>) -> Result<Step, String> {
    Ok(Step::Do(match target {
        Target::Accept(_) => Action::Accept,
        Target::Drop(_) => Action::Drop,
        Target::Reject(_) => Action::Reject,
        Target::Return(_) => Action::Return,
        Target::Masquerade(_) => Action::Masquerade,
        Target::Dnat(to) => translation(to).ok_or_else(|| "DNAT".to_owned())?,
        Target::SetPacketMark(mark) => return mark_of(mark).ok_or_else(|| "MARK".to_owned()),
        Target::Unknown(what) => return Err(what.token.to_string()),
        _ => return Err("of another kind".to_owned()),
    }))
}

fn translation(to: &targets::Dnat<'_>) -> Option<Action> {
    let to = to.to?.read()?;
    let ((first, last), ports) = (to.addresses?, to.ports?);
    (first == last && ports.first == ports.last && to.base.is_none()).then_some(Action::Translate(first, ports.first))
}

fn mark_of(mark: &targets::SetPacketMark) -> Option<Step> {
    let (keep, flip) = match *mark {
        targets::SetPacketMark { xmark: Some(to), .. } => (!to.mask, to.value),
        targets::SetPacketMark { mark: Some(to), .. } => (!(to.mask | to.value), to.value),
        targets::SetPacketMark { and: Some(bits), .. } => (bits.0, 0),
        targets::SetPacketMark { or: Some(bits), .. } => (!bits.0, bits.0),
        targets::SetPacketMark { xor: Some(bits), .. } => (u32::MAX, bits.0),
        _ => return None,
    };
    Some(Step::SetMark { keep, flip })
}

impl Rules for Iptables<'_> {
    fn chain(&self, number: usize) -> Chain {
        let Some(chain) = self.rules.chain(number) else { return Chain::default() };
        let built_in = chain.is_built_in();
        Chain::new(chain.rules().map(|rule| self.steps(&rule, built_in)).collect())
    }

    fn name(&self, number: usize) -> String {
        self.rules.chain(number).map_or_else(|| "?".to_owned(), |chain| chain.name().to_owned())
    }

    fn in_set(&self, set: usize, sides: &[Side], packet: &Packet<'_>) -> Option<bool> {
        let names = self.set_names.borrow();
        let asked = ipset::Packet {
            addresses: (packet.source, packet.destination),
            protocol: packet.protocol,
            ports: Some((0, packet.port)),
            icmp: None,
            macs: None,
            interfaces: (Some(packet.input), None),
            mark: Some(packet.mark),
        };
        self.sets?(names.get(set)?, &asked, sides)
    }
}

impl Kernel for Iptables<'_> {
    fn rules(&self) -> &dyn Rules {
        self
    }

    fn hook(&self, hook: Hook) -> Vec<usize> {
        let places: &[(&str, &str)] = match hook {
            Hook::Prerouting => &[("nat", "PREROUTING")],
            Hook::Output => &[("nat", "OUTPUT"), ("filter", "OUTPUT")],
            Hook::Input => &[("filter", "INPUT")],
            Hook::Forward => &[("filter", "FORWARD")],
            Hook::Postrouting => &[("nat", "POSTROUTING")],
        };
        places.iter().filter_map(|(table, chain)| self.find(table, chain)).map(|chain| chain.number()).collect()
    }

    fn rule_of(&self, walker: &Walker<'_>, place: Front) -> Option<String> {
        self.tops().find_map(|(table, chain)| {
            let compiled = walker.chain(chain.number());
            let at = compiled.rules().iter().position(|rule| front(rule) == Some(place))?;
            Some(text(table, &chain.rules().nth(at)?))
        })
    }

    fn held(&self, walker: &Walker<'_>) -> Vec<Held> {
        let mut held = Vec::new();
        for (table, chain) in self.tops() {
            let compiled = walker.chain(chain.number());
            for (rule, steps) in chain.rules().zip(compiled.rules()) {
                if let Some(front) = front(steps) {
                    let comment = rule.comments().find_map(|words| Some(words.split(' ').next()?.to_owned()));
                    held.push(Held { front, text: text(table, &rule), comment });
                }
            }
        }
        held
    }

    fn node_ports_on(&self) -> Option<Vec<std::net::IpAddr>> {
        let chain = self.find("nat", "KUBE-SERVICES")?;
        let leads = |rule: &Rule<'_>| rule.jump().is_some_and(|jump| jump.chain.name() == "KUBE-NODEPORTS");
        let mut found = Vec::new();
        for rule in chain.rules().filter(leads) {
            found.extend(rule.matches().find_map(|part| match part {
                Match::Destination(to) if !to.negated && to.value.is_host() => Some(to.value.ip),
                _ => None,
            }));
        }
        (!found.is_empty()).then_some(found)
    }

    fn refuses_other_ports(&self) -> bool {
        self.find("filter", "KUBE-IPVS-FILTER").is_some()
    }

    fn layout(&self) -> Layout {
        let old = self.dump.table("nat").is_some_and(|table| {
            // since 1.24 what is reached from outside has a chain of its own
            !table.chains().any(|chain| chain.name().starts_with("KUBE-EXT-"))
        });
        let balanced = self.find("nat", "KUBE-LOAD-BALANCER").is_some();
        Layout { nftables: false, hairpin_here: false, pods_either: old, plain_masquerade: true, balanced }
    }
}

fn text(table: &str, rule: &Rule<'_>) -> String {
    let chain = rule.chain().map_or("", |chain| chain.name());
    format!("{table}: -A {chain} {}", rule.text())
}

impl<'r> Iptables<'r> {
    /// The chains whose rules each ask for a Service's address.
    fn tops(&self) -> impl Iterator<Item = (&'static str, iptables::Chain<'r>)> + use<'_, 'r> {
        [
            ("nat", "KUBE-SERVICES"),
            ("nat", "KUBE-NODEPORTS"),
            ("filter", "KUBE-SERVICES"),
            ("filter", "KUBE-EXTERNAL-SERVICES"),
            ("filter", "KUBE-PROXY-FIREWALL"),
        ]
        .into_iter()
        .filter_map(|(table, chain)| Some((table, self.find(table, chain)?)))
    }

    /// Checks what all Services need. Says whether single Services are worth comparing.
    pub(super) fn frame(&self, comparison: &mut Comparison<'_>, plans: &[Plan<'_>]) -> bool {
        let Some(services) = self.find("nat", "KUBE-SERVICES") else {
            if !plans.is_empty() {
                comparison.fault("chain KUBE-SERVICES of table nat", "no such chain", None);
            }
            return false;
        };
        for (hook, name) in [(Hook::Prerouting, "PREROUTING"), (Hook::Output, "OUTPUT")] {
            let called = self.find("nat", name).is_some_and(|chain| {
                chain.rules().any(|rule| rule.jump().is_some_and(|jump| jump.chain.number() == services.number()))
            });
            if !called && !plans.is_empty() {
                let expected = format!("chain {name} of table nat leads to KUBE-SERVICES");
                comparison.fault(&expected, "it does not", None);
                comparison.drop_hook(hook);
            }
        }
        self.masquerading(comparison, plans);
        self.forwarding(comparison);
        self.wide_rules(comparison);
        true
    }

    /// The same in ipvs mode, where rules only say who is masqueraded and who may come.
    pub(super) fn frame_ipvs(&self, comparison: &mut Comparison<'_>, plans: &[Plan<'_>]) {
        for (hook, name) in [(Hook::Prerouting, "PREROUTING"), (Hook::Output, "OUTPUT")] {
            let called = self.find("nat", name).is_some_and(|chain| {
                chain.rules().any(|rule| rule.jump().is_some_and(|jump| jump.chain.name() == "KUBE-SERVICES"))
            });
            if !called && !plans.is_empty() {
                let expected = format!("chain {name} of table nat leads to KUBE-SERVICES");
                comparison.fault(&expected, "it does not", None);
                comparison.drop_hook(hook);
            }
        }
        self.masquerading(comparison, plans);
    }

    /// What is marked for it is masqueraded, and nothing else.
    fn masquerading(&self, comparison: &mut Comparison<'_>, plans: &[Plan<'_>]) {
        if plans.iter().all(|plan| plan.used().next().is_none()) {
            return;
        }
        let Some(marks) = self.find("nat", "KUBE-MARK-MASQ") else {
            comparison.fault("chain KUBE-MARK-MASQ of table nat", "no such chain", None);
            return comparison.ignore_masquerade();
        };
        let marked = comparison.mark_after(marks.number());
        let is = |mark| comparison.is_masqueraded(mark);
        let (other, wrong) = (0x1, 0x1);
        let right = match marked {
            Some(mark) if mark != 0 => is(mark) == Some(true) && is(mark | other) == Some(true),
            _ => false,
        };
        let strangers = is(0) == Some(false) && is(wrong) == Some(false);
        if !right || !strangers {
            let found = if right { "packets without the mark are masqueraded" } else { "they are not" };
            let rule = self.find("nat", "KUBE-POSTROUTING").and_then(|chain| chain.rules().next());
            let rule = rule.or_else(|| marks.rules().next()).map(|rule| text("nat", &rule));
            comparison.fault("packets that KUBE-MARK-MASQ marks are masqueraded, and no others", found, rule);
            comparison.ignore_masquerade();
        }
    }

    /// Forwarded packets: what is out of its connection is dropped, what was marked is let through, where anything
    /// after it could stop it.
    fn forwarding(&self, comparison: &mut Comparison<'_>) {
        let Some(config) = &comparison.node.config else { return };
        if !config.tcp_be_liberal && comparison.forwards(state::INVALID, 0) != Some(End::Drop) {
            let expected = "forwarded packets out of their connection (ctstate INVALID) are dropped";
            comparison.fault(expected, "they are not", None);
        }
        let (Some(forward), Some(own)) = (self.find("filter", "FORWARD"), self.find("filter", "KUBE-FORWARD")) else {
            return;
        };
        let leads = |rule: &Rule<'_>| rule.jump().is_some_and(|jump| jump.chain.number() == own.number());
        let strangers = forward
            .rules()
            .skip_while(|rule| !leads(rule))
            .any(|rule| !rule.jump().is_some_and(|jump| ENTRIES.contains(&jump.chain.name())));
        if forward.policy() == Some(Policy::Accept) && !strangers {
            return;
        }
        let mark = self.find("nat", "KUBE-MARK-MASQ").and_then(|chain| comparison.mark_after(chain.number()));
        for (state, mark, what) in [
            (state::NEW, mark.unwrap_or(0), "packets that are marked for masquerading"),
            (state::ESTABLISHED, 0, "packets of known connections"),
        ] {
            if comparison.forwards(state, mark) != Some(End::Accept) {
                comparison.fault(&format!("forwarded {what} are let through"), "they are not", None);
            }
        }
    }

    /// Rules that ask for less than one address and port where each should ask for one.
    fn wide_rules(&self, comparison: &mut Comparison<'_>) {
        for (table, chain) in self.tops() {
            let compiled = comparison.walker.chain(chain.number());
            let node_ports = chain.name() == "KUBE-NODEPORTS";
            for (rule, steps) in chain.rules().zip(compiled.rules()) {
                let to_node_ports = rule.jump().is_some_and(|jump| jump.chain.name() == "KUBE-NODEPORTS");
                let idle = steps.iter().any(|step| matches!(step, Step::Never));
                let local = steps.iter().any(|step| matches!(step, Step::ToNode(true)));
                let narrow = front(steps).is_some_and(|(address, ..)| address.is_some() || node_ports || local);
                if !(idle || to_node_ports || narrow) {
                    comparison.fault("a rule for one address and port", "a rule for more", Some(text(table, &rule)));
                }
            }
        }
    }
}
