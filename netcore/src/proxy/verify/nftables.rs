//! kube-proxy's tables of nftables, compiled into steps. Since 1.35 or so a Service without affinity translates in its
//! own chain, marks stand in one rule for all `ClusterIP`s, and pods that call themselves are in a set.

use std::{cell::OnceCell, collections::HashMap, net::IpAddr};

use super::{
    compare::{Comparison, Held, Hook, Kernel, Layout, UNUSED},
    expected::Plan,
    flow::{Action, Chain, Front, Key, MapVerdict, Name, Net, Rules, Step, Walker, state},
};
use crate::{
    cidr::{Cidr, Family},
    ipset::protocol_number,
    nft::{
        self, ElementIndex, Expr, Found, KubeProxyTable, Lookup, Nat, Rule, Ruleset, ServiceEntry, Statement, Value,
        Verdict,
    },
};

const TABLE: &str = "kube-proxy";

/// A chain of the table.
struct Own<'r, 'a> {
    name: &'r str,
    hook: Option<(&'r str, i32)>,
    rules: Vec<&'r Rule<'a>>,
}

/// A set or map of the table.
struct Members<'r, 'a> {
    set: &'r nft::Set<'a>,
    index: OnceCell<ElementIndex<'a>>,
}

impl<'a> Members<'_, 'a> {
    fn index(&self) -> &ElementIndex<'a> {
        self.index.get_or_init(|| ElementIndex::new(self.set))
    }
}

/// The table of one family.
pub(super) struct Nftables<'r, 'a> {
    chains: Vec<Own<'r, 'a>>,
    by_name: HashMap<&'r str, usize>,
    sets: Vec<Members<'r, 'a>>,
    sets_by_name: HashMap<&'r str, usize>,
    table: KubeProxyTable<'a>,
}

impl<'r, 'a> Nftables<'r, 'a> {
    /// The table, where there is one.
    pub(super) fn of(ruleset: &'r Ruleset<'a>, family: Family) -> Option<Self> {
        let of = match family {
            Family::V4 => nft::Family::Ip,
            Family::V6 => nft::Family::Ip6,
        };
        let table = KubeProxyTable::of(ruleset, of)?;
        let mut chains: Vec<Own<'r, 'a>> = ruleset
            .chains()
            .filter(|chain| chain.family == of && chain.table == TABLE)
            .map(|chain| Own {
                name: &chain.name,
                hook: chain.hook.as_deref().map(|hook| (hook, chain.prio.unwrap_or(0))),
                rules: Vec::new(),
            })
            .collect();
        let by_name: HashMap<&str, usize> = chains.iter().enumerate().map(|(at, chain)| (chain.name, at)).collect();
        for rule in ruleset.rules().filter(|rule| rule.family == of && rule.table == TABLE) {
            if let Some(chain) = by_name.get(&*rule.chain).and_then(|at| chains.get_mut(*at)) {
                chain.rules.push(rule);
            }
        }
        let members = ruleset.sets().chain(ruleset.maps()).filter(|set| set.family == of && set.table == TABLE);
        let sets: Vec<Members<'r, 'a>> = members.map(|set| Members { set, index: OnceCell::new() }).collect();
        let sets_by_name = sets.iter().enumerate().map(|(at, members)| (&*members.set.name, at)).collect();
        Some(Self { chains, by_name, sets, sets_by_name, table })
    }

    fn set_number(&self, name: &str) -> Option<usize> {
        self.sets_by_name.get(name).copied()
    }

    /// Whether members of a set come and go by themselves: it remembers clients.
    fn remembers(&self, number: usize) -> Option<(Name, Option<u32>)> {
        let set = self.sets.get(number)?.set;
        let seconds = set.timeout.and_then(|seconds| u32::try_from(seconds).ok());
        (set.has_flag("timeout") || set.has_flag("dynamic")).then_some((Name::try_from(number).ok()?, seconds))
    }

    fn steps(&self, rule: &Rule<'a>) -> Vec<Step> {
        let mut steps = Vec::with_capacity(4);
        for statement in rule.statements() {
            if self.statement(&statement, &mut steps).is_none() {
                steps.push(Step::Unknown("a rule is not understood".to_owned()));
            }
        }
        if steps.is_empty() {
            steps.push(Step::Never);
        }
        steps
    }

    fn statement(&self, statement: &Statement<'a>, steps: &mut Vec<Step>) -> Option<()> {
        match statement {
            Statement::Match(found) => {
                let negated = match &*found.op {
                    "==" | "in" => false,
                    "!=" => true,
                    _ => return None,
                };
                self.condition(&found.left, &found.right, negated, steps)?;
            }
            Statement::Verdict(Verdict::Continue) | Statement::Counter(_) | Statement::Log(_) | Statement::Last(_) => {}
            Statement::Verdict(verdict) => steps.push(Step::Do(self.action(verdict)?)),
            Statement::Vmap(lookup) => steps.push(self.verdicts(lookup)?),
            Statement::DestinationNat(Some(nat)) => steps.push(translation(nat)?),
            Statement::Masquerade(_) => steps.push(Step::Do(Action::Masquerade)),
            Statement::Reject(_) => steps.push(Step::Do(Action::Reject)),
            Statement::SetUpdate(update) if update.op != "delete" && key(&update.elem) == Some(Key::Source) => {
                let (name, _) = self.remembers(self.set_number(update.set.set_name()?)?)?;
                steps.push(Step::Remember(name));
            }
            Statement::Mangle(mangle) if is_mark(&mangle.key) => steps.push(mark(&mangle.value)?),
            _ => return None,
        }
        Some(())
    }

    fn action(&self, verdict: &Verdict<'a>) -> Option<Action> {
        let chain = |name: &str| self.by_name.get(name).copied();
        Some(match verdict {
            Verdict::Accept => Action::Accept,
            Verdict::Drop => Action::Drop,
            Verdict::Return => Action::Return,
            Verdict::Jump(to) => Action::Jump(chain(to)?),
            Verdict::Goto(to) => Action::Goto(chain(to)?),
            Verdict::Continue => return None,
        })
    }

    fn verdicts(&self, lookup: &Lookup<'a>) -> Option<Step> {
        if let Expr::Numgen(_) = &lookup.key {
            return shares(lookup, |value| match value {
                Expr::Verdict(verdict) => self.action(verdict),
                _ => None,
            });
        }
        Some(Step::Verdicts(self.set_number(lookup.data.set_name()?)?, keys(&lookup.key)?))
    }

    fn condition(&self, left: &Expr<'a>, right: &Expr<'a>, negated: bool, steps: &mut Vec<Step>) -> Option<()> {
        if let Some(set) = right.set_name() {
            let number = self.set_number(set)?;
            let keys = keys(left)?;
            match self.remembers(number) {
                Some((name, seconds)) if keys == [Key::Source] && !negated => {
                    steps.push(Step::Remembers(name, seconds));
                }
                Some(_) => return None,
                None => steps.push(Step::InElements(number, keys, negated)),
            }
            return Some(());
        }
        let step = match left {
            Expr::Payload(payload) => match (payload.protocol.as_deref()?, payload.field.as_deref()?) {
                ("ip" | "ip6", "saddr") => match single(right) {
                    Some(net) => Step::Source(net, negated),
                    None => Step::SourceIn(ranges(right)?, negated),
                },
                ("ip" | "ip6", "daddr") => match single(right) {
                    Some(net) => Step::Destination(net, negated),
                    None => Step::DestinationIn(ranges(right)?, negated),
                },
                (of, "dport") => {
                    let Expr::Number(port) = right else { return None };
                    let port = u16::try_from(*port).ok()?;
                    match of {
                        "th" => {}
                        "tcp" | "udp" | "sctp" => steps.push(Step::Protocol(protocol_number(of)?, false)),
                        _ => return None,
                    }
                    Step::Port(port, port, negated)
                }
                _ => return None,
            },
            Expr::Meta(meta) => match (&*meta.key, right) {
                ("l4proto", Expr::Text(name)) => Step::Protocol(protocol_number(name)?, negated),
                ("l4proto", Expr::Number(number)) => Step::Protocol(u8::try_from(*number).ok()?, negated),
                ("iifname", Expr::Text(name)) => Step::Input(name.replace('*', "+"), negated),
                ("mark", Expr::Number(number)) => {
                    Step::Mark { mask: u32::MAX, value: u32::try_from(*number).ok()?, negated }
                }
                _ => return None,
            },
            Expr::And(parts) => match (parts.as_slice(), right) {
                ([of, Expr::Number(mask)], Expr::Number(value)) if is_mark(of) => {
                    Step::Mark { mask: u32::try_from(*mask).ok()?, value: u32::try_from(*value).ok()?, negated }
                }
                _ => return None,
            },
            Expr::Ct(ct) if ct.key == "state" => Step::State(states(right)?, negated),
            Expr::Ct(ct) if ct.key == "status" && right.text() == Some("dnat") => Step::Translated(!negated),
            Expr::Fib(fib) if fib.result == "type" && right.text() == Some("local") => {
                match fib.flags.as_deref().map(first_text)?? {
                    "saddr" => Step::FromNode(!negated),
                    "daddr" => Step::ToNode(!negated),
                    _ => return None,
                }
            }
            _ => return None,
        };
        steps.push(step);
        Some(())
    }
}

/// The only word of a list, or the word itself.
fn first_text<'e>(expr: &'e Expr<'_>) -> Option<&'e str> {
    match expr {
        Expr::List(all) => match all.as_slice() {
            [one] => one.text(),
            _ => None,
        },
        other => other.text(),
    }
}

fn is_mark(expr: &Expr<'_>) -> bool {
    matches!(expr, Expr::Meta(meta) if meta.key == "mark")
}

fn states(right: &Expr<'_>) -> Option<u8> {
    let bit = |name: &str| {
        Some(match name {
            "new" => state::NEW,
            "established" => state::ESTABLISHED,
            "related" => state::RELATED,
            "invalid" => state::INVALID,
            "untracked" => state::OTHER,
            _ => return None,
        })
    };
    match right {
        Expr::Text(name) => bit(name),
        Expr::List(all) => all.iter().try_fold(0, |bits, one| Some(bits | bit(one.text()?)?)),
        Expr::Set(inner) => states(inner),
        _ => None,
    }
}

/// What a mark becomes.
fn mark(value: &Expr<'_>) -> Option<Step> {
    let bits = |parts: &[Expr<'_>]| match parts {
        [of, Expr::Number(bits)] if is_mark(of) => u32::try_from(*bits).ok(),
        _ => None,
    };
    let (keep, flip) = match value {
        Expr::Number(number) => (0, u32::try_from(*number).ok()?),
        Expr::Or(parts) => bits(parts).map(|bits| (!bits, bits))?,
        Expr::Xor(parts) => (u32::MAX, bits(parts)?),
        Expr::And(parts) => (bits(parts)?, 0),
        _ => return None,
    };
    Some(Step::SetMark { keep, flip })
}

fn key(expr: &Expr<'_>) -> Option<Key> {
    match expr {
        Expr::Payload(payload) => match (payload.protocol.as_deref()?, payload.field.as_deref()?) {
            ("ip" | "ip6", "saddr") => Some(Key::Source),
            ("ip" | "ip6", "daddr") => Some(Key::Destination),
            ("th" | "tcp" | "udp" | "sctp", "dport") => Some(Key::Port),
            _ => None,
        },
        Expr::Meta(meta) if meta.key == "l4proto" => Some(Key::Protocol),
        _ => None,
    }
}

fn keys(expr: &Expr<'_>) -> Option<Vec<Key>> {
    match expr {
        Expr::Concat(parts) => parts.iter().map(key).collect(),
        one => Some(vec![key(one)?]),
    }
}

/// One address or one prefix.
fn single(expr: &Expr<'_>) -> Option<Net> {
    match expr {
        Expr::Text(text) => text.parse().ok().map(|ip| Net::from(Cidr::host(ip))),
        Expr::Prefix(prefix) => Cidr::covering(prefix.addr.text()?.parse().ok()?, prefix.len).map(Net::from),
        _ => None,
    }
}

fn ranges(expr: &Expr<'_>) -> Option<Vec<(IpAddr, IpAddr)>> {
    let one = |expr: &Expr<'_>| -> Option<(IpAddr, IpAddr)> {
        match expr.value() {
            Expr::Text(text) => text.parse().ok().map(|ip| (ip, ip)),
            Expr::Prefix(prefix) => {
                let net = Cidr::covering(prefix.addr.text()?.parse().ok()?, prefix.len)?;
                Some((net.first(), net.last()))
            }
            Expr::Range(ends) => match ends.as_slice() {
                [first, last] => Some((first.text()?.parse().ok()?, last.text()?.parse().ok()?)),
                _ => None,
            },
            _ => None,
        }
    };
    match expr {
        Expr::Set(inner) => match &**inner {
            Expr::List(all) => all.iter().map(one).collect(),
            other => Some(vec![one(other)?]),
        },
        Expr::List(all) => all.iter().map(one).collect(),
        other => Some(vec![one(other)?]),
    }
}

fn translation(nat: &Nat<'_>) -> Option<Step> {
    match (nat.addr.as_ref()?, nat.port.as_ref()) {
        (Expr::Map(lookup), None) => {
            shares(lookup, |value| socket(value).map(|(ip, port)| Action::Translate(ip, port)))
        }
        (Expr::Text(ip), Some(Expr::Number(port))) => {
            Some(Step::Do(Action::Translate(ip.parse().ok()?, u16::try_from(*port).ok()?)))
        }
        (addr @ Expr::Concat(_), None) => socket(addr).map(|(ip, port)| Step::Do(Action::Translate(ip, port))),
        _ => None,
    }
}

/// `10.244.0.11 . 8080`.
fn socket(expr: &Expr<'_>) -> Option<(IpAddr, u16)> {
    let Expr::Concat(parts) = expr else { return None };
    match parts.as_slice() {
        [Expr::Text(ip), Expr::Number(port)] => Some((ip.parse().ok()?, u16::try_from(*port).ok()?)),
        _ => None,
    }
}

/// One of several by a made-up number. A number that is not listed does nothing.
fn shares<'a>(lookup: &Lookup<'a>, action: impl Fn(&Expr<'a>) -> Option<Action>) -> Option<Step> {
    let Expr::Numgen(numgen) = &lookup.key else { return None };
    let Expr::Set(set) = &lookup.data else { return None };
    let Expr::List(pairs) = &**set else { return None };
    if numgen.mode != "random" || numgen.modulus == 0 {
        return None;
    }
    let first = i64::from(numgen.offset.unwrap_or(0));
    let possible = first..first + i64::from(numgen.modulus);
    let mut actions = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let Expr::List(pair) = pair else { return None };
        let [number, value] = pair.as_slice() else { return None };
        let Expr::Number(number) = number.value() else { return None };
        if possible.contains(number) {
            actions.push(action(value)?);
        }
    }
    Some(Step::Share(numgen.modulus, actions))
}

impl Rules for Nftables<'_, '_> {
    fn chain(&self, number: usize) -> Chain {
        let rules = self.chains.get(number).map(|chain| chain.rules.as_slice()).unwrap_or_default();
        Chain::new(rules.iter().map(|rule| self.steps(rule)).collect())
    }

    fn name(&self, number: usize) -> String {
        self.chains.get(number).map_or("?", |chain| chain.name).to_owned()
    }

    fn in_elements(&self, set: usize, key: &[Value<'_>]) -> Option<bool> {
        match self.sets.get(set)?.index().find(key) {
            Found::At(_) => Some(true),
            Found::Out => Some(false),
            Found::Unknown => None,
        }
    }

    fn verdict(&self, map: usize, key: &[Value<'_>]) -> MapVerdict {
        let Some(index) = self.sets.get(map).map(Members::index) else { return MapVerdict::Unknown };
        let Found::At(at) = index.find(key) else {
            return if index.find(key) == Found::Out { MapVerdict::Out } else { MapVerdict::Unknown };
        };
        match index.elements().get(at).and_then(|element| element.data.as_ref()) {
            Some(Expr::Verdict(verdict)) => self.action(verdict).map_or(MapVerdict::Unknown, MapVerdict::Found),
            _ => MapVerdict::Unknown,
        }
    }
}

impl Kernel for Nftables<'_, '_> {
    fn rules(&self) -> &dyn Rules {
        self
    }

    fn hook(&self, hook: Hook) -> Vec<usize> {
        let wanted = match hook {
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        };
        let on = |chain: &Own<'_, '_>| chain.hook.filter(|(hook, _)| *hook == wanted).map(|(_, priority)| priority);
        let mut found: Vec<(i32, usize)> =
            self.chains.iter().enumerate().filter_map(|(at, chain)| Some((on(chain)?, at))).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, at)| at).collect()
    }

    fn rule_of(&self, _: &Walker<'_>, front: Front) -> Option<String> {
        self.entries().find(|(_, entry)| place(entry) == front).map(|(map, entry)| text(map, entry))
    }

    fn held(&self, _: &Walker<'_>) -> Vec<Held> {
        let owner = |entry: &ServiceEntry<'_>| {
            let comment = entry.comment.as_deref().map(str::to_owned);
            comment.or_else(|| crate::proxy::kernel::owner(entry.verdict.target()?).map(|port| port.to_string()))
        };
        self.entries()
            .map(|(map, entry)| Held { front: place(entry), text: text(map, entry), comment: owner(entry) })
            .collect()
    }

    fn node_ports_on(&self) -> Option<Vec<IpAddr>> {
        let set = self.sets.get(self.set_number("nodeport-ips")?)?.set;
        Some(set.elements().filter_map(|element| element.key.value().text()?.parse().ok()).collect())
    }

    fn layout(&self) -> Layout {
        let by_set = self.set_number("hairpin-connections").is_some();
        Layout { nftables: true, hairpin_here: by_set, pods_either: false, plain_masquerade: !by_set, balanced: false }
    }
}

fn place(entry: &ServiceEntry<'_>) -> Front {
    (entry.address, entry.protocol, entry.port)
}

fn text(map: &str, entry: &ServiceEntry<'_>) -> String {
    let address = entry.address.map(|ip| format!("{ip} . ")).unwrap_or_default();
    let what = match &entry.verdict {
        Verdict::Goto(to) => format!("goto {to}"),
        Verdict::Jump(to) => format!("jump {to}"),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Accept => "accept".to_owned(),
        Verdict::Return => "return".to_owned(),
        Verdict::Continue => "continue".to_owned(),
    };
    let protocol = super::desired::protocol_name(entry.protocol).to_lowercase();
    format!("map {map}: {address}{protocol} . {} : {what}", entry.port)
}

impl<'a> Nftables<'_, 'a> {
    /// Every entry of every map by address and port.
    fn entries(&self) -> impl Iterator<Item = (&'static str, &ServiceEntry<'a>)> {
        let table = &self.table;
        [
            ("service-ips", &table.service_ips),
            ("service-nodeports", &table.service_nodeports),
            ("no-endpoint-services", &table.no_endpoint_services),
            ("no-endpoint-nodeports", &table.no_endpoint_nodeports),
            ("firewall-ips", &table.firewall_ips),
        ]
        .into_iter()
        .flat_map(|(name, entries)| entries.iter().flatten().map(move |entry| (name, entry)))
    }

    /// Whether a hook's chains call a chain of this name.
    fn leads(&self, comparison: &Comparison<'_>, hook: Hook, name: &str) -> bool {
        let Some(wanted) = self.by_name.get(name) else { return false };
        self.hook(hook).into_iter().any(|chain| {
            let compiled = comparison.walker.chain(chain);
            let calls = |step: &Step| matches!(step, Step::Do(Action::Jump(to) | Action::Goto(to)) if to == wanted);
            compiled.rules().iter().flatten().any(calls)
        })
    }

    /// Checks what all Services need. Says whether single Services are worth comparing.
    pub(super) fn frame(&self, comparison: &mut Comparison<'_>, plans: &[Plan<'_>]) -> bool {
        if plans.is_empty() {
            return true;
        }
        for (hook, name) in [(Hook::Prerouting, "prerouting"), (Hook::Output, "output")] {
            if !self.leads(comparison, hook, "services") {
                comparison.fault(&format!("hook {name} leads to chain services"), "it does not", None);
                comparison.drop_hook(hook);
            }
        }
        self.masquerading(comparison, plans);
        self.cluster_ips(comparison, plans);
        true
    }

    fn masquerading(&self, comparison: &mut Comparison<'_>, plans: &[Plan<'_>]) {
        if plans.iter().all(|plan| plan.used().next().is_none()) {
            return;
        }
        let marked = self.by_name.get("mark-for-masquerade").and_then(|chain| comparison.mark_after(*chain));
        let marks = |name: &str| {
            let compiled = comparison.walker.chain(*self.by_name.get(name)?);
            let flips = |step: &Step| if let Step::SetMark { flip, .. } = step { Some(*flip) } else { None };
            compiled.rules().iter().flatten().find_map(flips)
        };
        let Some(mark) = marked.or_else(|| marks("services")) else { return };
        let is = |mark| comparison.is_masqueraded(mark);
        let right = mark != 0 && is(mark) == Some(true) && is(mark | 1) == Some(true);
        let strangers = is(0) == Some(false) && is(1) == Some(false);
        if !right || !strangers {
            let found = if right { "packets without the mark are masqueraded" } else { "they are not" };
            let expected = format!("packets with mark {mark:#x} are masqueraded, and no others");
            comparison.fault(&expected, found, None);
            comparison.ignore_masquerade();
        }
    }

    /// `ClusterIP`s are known as such: what comes to another port of one is refused.
    fn cluster_ips(&self, comparison: &mut Comparison<'_>, plans: &[Plan<'_>]) {
        let Some(held) = &self.table.cluster_ips else { return };
        let held: std::collections::BTreeSet<IpAddr> = held.iter().copied().collect();
        let mut wanted = std::collections::BTreeMap::new();
        for plan in plans {
            let own = plan.fronts.iter().find(|(kind, ..)| *kind == super::expected::Kind::Cluster);
            if let Some((_, Some(ip), _)) = own {
                wanted.entry(*ip).or_insert(plan);
            }
        }
        for (ip, plan) in &wanted {
            if !held.contains(ip) {
                comparison.outside(true, *ip, Some(plan), "in set cluster-ips");
            }
        }
        let unused = |ip: &IpAddr| {
            let place = (Some(*ip), 6, UNUSED);
            !plans
                .iter()
                .any(|plan| plan.fronts.iter().any(|(_, address, port)| (*address, plan.port.protocol, *port) == place))
        };
        if self.by_name.contains_key("cluster-ips-check")
            && let Some(ip) = wanted.keys().find(|ip| held.contains(ip) && unused(ip))
        {
            for (source, hook) in [(comparison.stranger(), "forward"), (comparison.itself(), "output")] {
                if comparison.fate(&source, *ip, false, 6, UNUSED).is_ok_and(|found| found.reject < 0.999) {
                    let expected = format!("hook {hook} refuses what is for no port of a ClusterIP");
                    comparison.fault(&expected, "it does not", None);
                }
            }
        }
        for ip in held.difference(&wanted.keys().copied().collect()) {
            comparison.outside(false, *ip, None, "in set cluster-ips");
        }
    }
}
