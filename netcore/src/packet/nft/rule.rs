//! One rule of nftables on a packet: statement after statement, until one does not hold or decides.

use std::net::IpAddr;

use super::{
    super::{
        conditions::Surroundings,
        journey::{Ending, Journey, Place},
        model::{Hook, Tracking, Translation, Words, address_and_port},
        targets::{masquerade_source, redirect_here, set_end},
        truth::Truth,
    },
    Native,
    value::{Asked, Got, bit_of, own, type_of},
};
use crate::{
    cidr::Family,
    iptables::values::Ports,
    nft::{self, Expr, Mangle, Match, Nat, Statement, Value, Verdict, key_bounds},
};

/// Where a rule leads.
pub(super) enum Flow<'a> {
    Next,
    Return,
    Jump(&'a str),
    Goto(&'a str),
    End(Ending),
}

/// How many members of a choice are told apart.
const MOST_CHOICES: u32 = 10_000;

/// A rule half done.
struct Half<'a> {
    journey: Journey<'a>,
    at: usize,
    effect: Option<Words>,
}

/// What came of one statement.
enum Done<'a> {
    /// The next statement; what was done, if it is worth a word.
    On(Option<Words>),
    /// The rule does not fit.
    Break,
    /// It decides.
    Verdict(Verdict<'a>),
    End(Ending, Words),
    /// Several ways, each with its share.
    Parts(Vec<(f64, Journey<'a>, Box<Done<'a>>)>),
}

/// Follows a rule; each way that the packet may take with where it leads.
pub(super) fn follow<'a>(
    native: &Native<'a>,
    rule: &'a nft::Rule<'a>,
    index: usize,
    journey: Journey<'a>,
    hook: Hook,
    around: &Surroundings<'_, 'a>,
) -> Vec<(Journey<'a>, Flow<'a>)> {
    let statements: Vec<Statement<'a>> = rule.statements().collect();
    let mut open = vec![Half { journey, at: 0, effect: None }];
    let mut ways = Vec::new();
    while let Some(mut half) = open.pop() {
        let Some(statement) = statements.get(half.at) else {
            half.journey.hit(hook, Place::Nft(rule), Some(index), half.effect.unwrap_or("continue".into()));
            ways.push((half.journey, Flow::Next));
            continue;
        };
        half.at += 1;
        let idle = statements.get(half.at..).unwrap_or_default().iter().all(is_idle);
        let done = perform(native, rule, statement, &mut half.journey, hook, around);
        conclude(done, half, idle, rule, index, hook, native, &mut open, &mut ways);
    }
    ways
}

/// Puts a statement's outcome where it belongs.
#[expect(clippy::too_many_arguments, reason = "each is one thing of the rule")]
fn conclude<'a>(
    done: Done<'a>,
    mut half: Half<'a>,
    idle: bool,
    rule: &'a nft::Rule<'a>,
    index: usize,
    hook: Hook,
    native: &Native<'a>,
    open: &mut Vec<Half<'a>>,
    ways: &mut Vec<(Journey<'a>, Flow<'a>)>,
) {
    let place = Place::Nft(rule);
    match done {
        Done::On(effect) => {
            half.effect = effect.or(half.effect);
            open.push(half);
        }
        Done::Break => ways.push((half.journey, Flow::Next)),
        Done::End(Ending::Unknown(why), _) if idle => {
            half.journey.take(format!("whether a rule of {} fits does not matter: it only counts ({why})", rule.chain));
            ways.push((half.journey, Flow::Next));
        }
        Done::End(Ending::Unknown(why), _) => {
            let why = format!("rule {index} of {}/{} may fit or not: {why}", rule.table, rule.chain);
            ways.push((half.journey, Flow::End(Ending::Unknown(why.into()))));
        }
        Done::End(ending, effect) => {
            half.journey.hit(hook, place, Some(index), effect);
            ways.push((half.journey, Flow::End(ending)));
        }
        Done::Verdict(verdict) => {
            let (flow, effect): (Flow<'a>, Words) = match verdict {
                Verdict::Accept => (Flow::End(Ending::Pass), "accept".into()),
                Verdict::Drop => (Flow::End(Ending::Drop), "drop".into()),
                Verdict::Continue => (Flow::Next, half.effect.unwrap_or("continue".into())),
                Verdict::Return => (Flow::Return, "return".into()),
                Verdict::Jump(ref chain) | Verdict::Goto(ref chain) => {
                    let word = if matches!(verdict, Verdict::Goto(_)) { "goto" } else { "jump" };
                    let known = native.chain_name(rule.family, &rule.table, chain);
                    let flow = match (known, word) {
                        (Some(chain), "goto") => Flow::Goto(chain),
                        (Some(chain), _) => Flow::Jump(chain),
                        (None, _) => Flow::End(Ending::Unknown(format!("the chain {chain} is not in the dump").into())),
                    };
                    (flow, format!("{word} {chain}").into())
                }
            };
            half.journey.hit(hook, place, Some(index), effect);
            ways.push((half.journey, flow));
        }
        Done::Parts(parts) => {
            // the first is looked at first
            let mut later = Vec::new();
            for (share, mut journey, done) in parts {
                journey.odds *= share;
                let part = Half { journey, at: half.at, effect: half.effect.clone() };
                conclude(*done, part, idle, rule, index, hook, native, &mut later, ways);
            }
            later.reverse();
            open.append(&mut later);
        }
    }
}

/// Whether a statement changes nothing of a packet's way.
fn is_idle(statement: &Statement<'_>) -> bool {
    matches!(
        statement,
        Statement::Counter(_)
            | Statement::Log(_)
            | Statement::Last(_)
            | Statement::Verdict(Verdict::Continue)
            | Statement::Match(_)
            | Statement::Limit(_)
            | Statement::CtHelper(_)
            | Statement::CtTimeout(_)
    )
}

#[expect(clippy::too_many_lines, reason = "a line or two for each statement")]
fn perform<'a>(
    native: &Native<'a>,
    rule: &'a nft::Rule<'a>,
    statement: &Statement<'a>,
    journey: &mut Journey<'a>,
    hook: Hook,
    around: &Surroundings<'_, 'a>,
) -> Done<'a> {
    let unknown = |why: String| Done::End(Ending::Unknown(why.into()), "unknown".into());
    let before = journey.clone();
    let asked = Asked { packet: &before.packet, around, native, family: rule.family, table: &rule.table };
    match statement {
        Statement::Match(compared) => match compare(&asked, compared) {
            Truth::Yes => Done::On(None),
            Truth::No => Done::Break,
            Truth::Unknown(why) => Done::End(Ending::Unknown(why), "unknown".into()),
            Truth::Taken(holds, why) => {
                journey.stateful = true;
                journey.take(why);
                if holds { Done::On(None) } else { Done::Break }
            }
            Truth::Chance(odds) => {
                let share = f64::from(odds) / 2_147_483_648.0;
                let yes = (share, journey.clone(), Box::new(Done::On(None)));
                let no = (1.0 - share, journey.clone(), Box::new(Done::Break));
                Done::Parts(vec![yes, no])
            }
            Truth::EveryNth(every) => {
                journey.stateful = true;
                let share = 1.0 / f64::from(every.max(1));
                let yes = (share, journey.clone(), Box::new(Done::On(None)));
                let no = (1.0 - share, journey.clone(), Box::new(Done::Break));
                Done::Parts(vec![yes, no])
            }
        },
        Statement::Vmap(lookup) => {
            let pick = |expr: Option<Expr<'a>>| match expr {
                None => Done::Break,
                Some(Expr::Verdict(verdict)) => Done::Verdict(verdict),
                Some(_) => Done::End(Ending::Unknown("a map's value is no verdict".into()), "unknown".into()),
            };
            looked_up(&asked, &lookup.key, &lookup.data, journey, |_, found| pick(found))
        }
        Statement::Verdict(verdict) => Done::Verdict(verdict.clone()),
        Statement::Mangle(mangle) => set(&asked, mangle, journey),
        Statement::Reject(reject) => {
            let with = reject.as_ref().and_then(|reject| reject.kind.as_deref()).unwrap_or("icmp");
            let code = reject.as_ref().and_then(|reject| reject.expr.as_ref()).and_then(Expr::text).unwrap_or_default();
            Done::End(Ending::Reject, format!("reject {with} {code}").trim_end().to_owned().into())
        }
        Statement::DestinationNat(nat) => translate(&asked, nat.as_deref(), false, journey),
        Statement::SourceNat(nat) => translate(&asked, nat.as_deref(), true, journey),
        Statement::Masquerade(nat) => {
            let random = nat.as_ref().is_some_and(|nat| has_flag(nat, "random") || has_flag(nat, "fully-random"));
            let ports = nat.as_ref().and_then(|nat| nat.port.as_ref()).and_then(ports_of);
            let effect = masquerade_source(&mut journey.packet, ports, random, around);
            Done::End(Ending::Pass, effect)
        }
        Statement::Redirect(nat) => {
            let ports = nat.as_ref().and_then(|nat| nat.port.as_ref()).and_then(ports_of);
            if ports.is_none() && nat.as_ref().is_some_and(|nat| nat.port.is_some()) {
                return unknown("a redirection to a port that is looked up".to_owned());
            }
            let effect = redirect_here(&mut journey.packet, ports, hook, around);
            Done::End(Ending::Pass, effect)
        }
        Statement::Notrack(_) => {
            if journey.packet.tracking == Tracking::Before {
                journey.packet.tracking = Tracking::Untracked;
            }
            Done::On(Some("not tracked".into()))
        }
        Statement::Limit(nft::Named::Inline(limit)) => {
            journey.stateful = true;
            journey.take("the rate limit is not reached");
            if limit.inv == Some(true) { Done::Break } else { Done::On(None) }
        }
        Statement::Limit(_) => {
            journey.stateful = true;
            journey.take("the rate limit is not reached");
            Done::On(None)
        }
        Statement::CtCount(count) => {
            journey.stateful = true;
            journey.take("the limit of connections is not reached");
            if count.inv == Some(true) { Done::Break } else { Done::On(None) }
        }
        Statement::Counter(_)
        | Statement::Last(_)
        | Statement::CtHelper(_)
        | Statement::CtTimeout(_)
        | Statement::CtExpectation(_)
        | Statement::Reset(_) => Done::On(None),
        Statement::Log(_) => Done::On(Some("log".into())),
        Statement::Duplicate(_) => Done::On(Some("a copy is sent".into())),
        Statement::SetUpdate(_) | Statement::MapUpdate(_) => Done::On(Some("a set is changed".into())),
        Statement::Flow(_) => Done::On(Some("offered to a flow table".into())),
        Statement::Quota(_) => unknown("what is left of a quota is not in a dump".to_owned()),
        Statement::Meter(_) => unknown("a meter remembers what is in no dump".to_owned()),
        Statement::Queue(_) => unknown("a program of the node decides: the packet goes to a queue".to_owned()),
        Statement::Synproxy(_) => unknown("synproxy answers in the server's place".to_owned()),
        Statement::Tproxy(_) => unknown("tproxy hands the packet to a program of the node, if one listens".to_owned()),
        Statement::Forward(_) => unknown("the packet is sent on by another device".to_owned()),
        Statement::Xt(xt) => {
            let name = xt.as_ref().and_then(|xt| xt.name.as_deref()).unwrap_or("?");
            unknown(format!("`xt {name}` is a match or target of iptables, which only iptables-save shows"))
        }
        Statement::Unknown(text) => unknown(format!("`{text}` is not known to this version")),
    }
}

fn compare(asked: &Asked<'_, '_, '_>, compared: &Match<'_>) -> Truth {
    let negated = &*compared.op == "!=";
    if let Expr::Numgen(made) = &compared.left {
        return by_chance(made, compared);
    }
    if let Some(odds) = random_bits(compared) {
        return Truth::Chance(odds);
    }
    let of = type_of(&compared.left);
    let got = match &compared.right {
        Expr::Text(name) if name.starts_with('@') => {
            return match asked.in_set(name.trim_start_matches('@'), &compared.left) {
                Ok(inside) => Truth::from(inside != negated),
                Err(Got::Unknown(why)) => Truth::Unknown(why),
                Err(Got::Break | Got::Value(_)) => Truth::No,
            };
        }
        _ => asked.key(&compared.left, &[]),
    };
    let key = match got {
        Ok(key) => key,
        Err(Got::Unknown(why)) => return Truth::Unknown(why),
        Err(Got::Break | Got::Value(_)) => return Truth::No,
    };
    let types: Vec<&str> = match &compared.left {
        Expr::Concat(parts) => parts.iter().map(type_of).collect(),
        _ => vec![of],
    };
    let one = |right: &Expr<'_>| fits(&key, right, &types);
    match (&*compared.op, &compared.right) {
        ("<" | ">" | "<=" | ">=", right) => {
            let (Some(Value::Number(left)), Some(Value::Number(right))) = (key.first(), plain(right, of)) else {
                return Truth::unknown("a comparison of what is no number");
            };
            Truth::from(match &*compared.op {
                "<" => *left < right,
                ">" => *left > right,
                "<=" => *left <= right,
                _ => *left >= right,
            })
        }
        (_, Expr::Set(set)) => {
            let members = match &**set {
                Expr::List(members) => members.as_slice(),
                member => std::slice::from_ref(member),
            };
            any(members.iter().map(one)).negated(negated)
        }
        // flags: any of them, or with `==` and `!=` just these
        (op, Expr::List(flags)) => match (key.first(), bits(flags)) {
            (Some(Value::Number(left)), Some(bits)) if op == "in" => Truth::from(left & bits != 0),
            (Some(Value::Number(left)), Some(bits)) => Truth::from((*left == bits) != negated),
            _ => any(flags.iter().map(one)).negated(negated),
        },
        ("in", right) => match (key.first(), right.text().and_then(bit_of)) {
            (Some(Value::Number(left)), Some(bit)) => Truth::from(left & bit != 0),
            _ => one(right),
        },
        (_, right) => match (key.first(), right.text().and_then(bit_of)) {
            (Some(Value::Number(left)), Some(bit)) if of == "other" => Truth::from((*left == bit) != negated),
            _ => one(right).negated(negated),
        },
    }
}

fn any(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut unknown = Truth::No;
    for truth in truths {
        match truth {
            Truth::Yes => return Truth::Yes,
            Truth::No => {}
            other => unknown = other,
        }
    }
    unknown
}

fn bits(flags: &[Expr<'_>]) -> Option<u128> {
    flags.iter().map(|flag| flag.text().and_then(bit_of)).try_fold(0, |all, bit| Some(all | bit?))
}

/// A value that is written out.
fn plain<'e>(expr: &'e Expr<'_>, of: &str) -> Option<Value<'e>> {
    match key_bounds(expr, &[of])?.into_iter().next()? {
        (first, last) if first == last => Some(own(first)),
        _ => None,
    }
}

/// Whether a key is what stands at the right of a comparison, or in a set that is written in place.
fn fits(key: &[Value<'_>], right: &Expr<'_>, types: &[&str]) -> Truth {
    let right = right.value();
    if let (Expr::Bool(truth), [Value::Number(left)]) = (right, key) {
        return Truth::from((*left != 0) == *truth);
    }
    if let (Expr::Text(text), [Value::Number(left)]) = (right, key)
        && let Ok(number) = text.parse::<u128>()
    {
        return Truth::from(*left == number);
    }
    let Some(bounds) = key_bounds(right, types) else {
        return Truth::unknown(format!("a value that is not understood: {}", shown(right)));
    };
    if bounds.len() != key.len() {
        return Truth::unknown("a comparison of keys of different lengths");
    }
    for ((first, last), value) in bounds.iter().zip(key) {
        let holds = match (first, value) {
            (Value::Text(pattern), Value::Text(name)) => match pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => pattern == name,
            },
            (Value::Number(_), Value::Number(_)) => first <= value && value <= last,
            _ => return Truth::unknown(format!("a value that is not understood: {}", shown(right))),
        };
        if !holds {
            return Truth::No;
        }
    }
    Truth::Yes
}

fn shown(expr: &Expr<'_>) -> String {
    expr.text().map_or_else(|| "an expression".to_owned(), str::to_owned)
}

/// `meta random & 2147483647 < N`: how iptables-nft's `statistic` looks; in 2⁻³¹.
fn random_bits(compared: &Match<'_>) -> Option<u32> {
    let Expr::And(all) = &compared.left else { return None };
    let [Expr::Meta(meta), Expr::Number(0x7fff_ffff)] = all.as_slice() else { return None };
    let Expr::Number(below) = compared.right else { return None };
    (meta.key == "random" && compared.op == "<").then_some(u32::try_from(below).ok()?)
}

/// `numgen … == N` and `numgen … < N`.
fn by_chance(made: &nft::Numgen<'_>, compared: &Match<'_>) -> Truth {
    let Expr::Number(right) = compared.right else {
        return Truth::unknown("a number by chance is compared with a set");
    };
    let offset = i64::from(made.offset.unwrap_or_default());
    let hits = (0..i64::from(made.modulus)).filter(|value| match &*compared.op {
        "==" | "in" => value + offset == right,
        "!=" => value + offset != right,
        "<" => value + offset < right,
        ">" => value + offset > right,
        "<=" => value + offset <= right,
        _ => value + offset >= right,
    });
    let hits: f64 = hits.map(|value| share(made.modulus, u32::try_from(value).unwrap_or_default(), &made.mode)).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^31")]
    let odds = (hits * 2_147_483_648.0).round() as u32;
    match odds {
        0 => Truth::No,
        odds if odds >= 1 << 31 => Truth::Yes,
        odds => Truth::Chance(odds),
    }
}

/// How likely one value is: the kernel scales 32 random bits; a counter is even.
fn share(modulus: u32, value: u32, mode: &str) -> f64 {
    if mode != "random" || modulus < 2 {
        return 1.0 / f64::from(modulus.max(1));
    }
    let modulus = u64::from(modulus.max(1));
    let bound = |value: u64| (value << 32).div_ceil(modulus);
    let (first, behind) = (bound(u64::from(value)), bound(u64::from(value) + 1));
    f64::from(u32::try_from(behind - first).unwrap_or(u32::MAX)) / 4_294_967_296.0
}

/// Values with their shares, and whether the kernel's memory decides.
type Choices = (Vec<(f64, u32)>, bool);

/// The values of a key that is made up, with their shares and whether the kernel's memory decides.
fn choices(key: &Expr<'_>) -> Option<Result<Choices, Words>> {
    let (modulus, offset, mode) = match key {
        Expr::Numgen(made) => (made.modulus, made.offset, &*made.mode),
        Expr::Jhash(hash) | Expr::Symhash(hash) => (hash.modulus, hash.offset, "hash"),
        _ => return None,
    };
    if modulus > MOST_CHOICES {
        return Some(Err(format!("a choice out of {modulus}, more than are told apart").into()));
    }
    let offset = offset.unwrap_or_default();
    let of = |value: u32| (share(modulus, value, mode), value.saturating_add(offset));
    Some(Ok(((0..modulus).map(of).collect(), mode != "random" && modulus > 1)))
}

/// Looks a key up in a map and goes on with what it has; several ways where the key is made up.
fn looked_up<'a>(
    asked: &Asked<'_, '_, 'a>,
    key: &Expr<'a>,
    data: &Expr<'a>,
    journey: &mut Journey<'a>,
    mut then: impl FnMut(&mut Journey<'a>, Option<Expr<'a>>) -> Done<'a>,
) -> Done<'a> {
    let unknown = |why: Words| Done::End(Ending::Unknown(why), "unknown".into());
    match choices(key) {
        Some(Err(why)) => unknown(why),
        Some(Ok((values, stateful))) => {
            journey.stateful |= stateful;
            let mut parts = Vec::new();
            for (share, value) in values {
                let mut part = journey.clone();
                let done = match find(asked, &[Value::Number(value.into())], data, &["mark"]) {
                    Ok(found) => then(&mut part, found),
                    Err(why) => unknown(why),
                };
                parts.push((share, part, Box::new(done)));
            }
            match parts.len() {
                1 => parts.pop().map_or(Done::Break, |(_, part, done)| {
                    *journey = part;
                    *done
                }),
                _ => Done::Parts(parts),
            }
        }
        None => {
            let types: Vec<&str> = match key {
                Expr::Concat(parts) => parts.iter().map(type_of).collect(),
                one => vec![type_of(one)],
            };
            match asked.key(key, &types) {
                Ok(values) => {
                    let values: Vec<Value<'static>> = values.into_iter().map(own).collect();
                    match find(asked, &values, data, &types) {
                        Ok(found) => then(journey, found),
                        Err(why) => unknown(why),
                    }
                }
                Err(Got::Unknown(why)) => unknown(why),
                Err(_) => Done::Break,
            }
        }
    }
}

fn find<'a>(
    asked: &Asked<'_, '_, 'a>,
    key: &[Value<'static>],
    data: &Expr<'a>,
    types: &[&str],
) -> Result<Option<Expr<'a>>, Words> {
    if let Some(name) = data.set_name() {
        return asked.mapped(name, key);
    }
    let Expr::Set(set) = data else { return Err("a map that is not understood".into()) };
    let Expr::List(pairs) = &**set else { return Err("a map that is not understood".into()) };
    let mut unknown = None;
    for pair in pairs {
        let Expr::List(pair) = pair else { return Err("a map that is not understood".into()) };
        let [left, right] = pair.as_slice() else { return Err("a map that is not understood".into()) };
        match fits(key, left, types) {
            Truth::Yes => return Ok(Some(right.clone())),
            Truth::No => {}
            Truth::Unknown(why) => unknown = Some(why),
            _ => unknown = Some("a map that is not understood".into()),
        }
    }
    unknown.map_or(Ok(None), Err)
}

/// Sets a mark; the rest of what can be set does not change the way.
fn set<'a>(asked: &Asked<'_, '_, 'a>, mangle: &Mangle<'a>, journey: &mut Journey<'a>) -> Done<'a> {
    let unknown = |why: Words| Done::End(Ending::Unknown(why), "unknown".into());
    let (of_packet, of_connection) = match &mangle.key {
        Expr::Meta(meta) => (&*meta.key == "mark", false),
        Expr::Ct(ct) => (false, &*ct.key == "mark"),
        Expr::Payload(payload) if matches!(payload.field.as_deref(), Some("saddr" | "daddr" | "sport" | "dport")) => {
            return unknown("a rule writes into the packet's addresses without translating".into());
        }
        _ => (false, false),
    };
    if !of_packet && !of_connection {
        return Done::On(None);
    }
    let mark = match asked.value(&mangle.value, "mark") {
        Got::Value(Value::Number(mark)) => u32::try_from(mark & u128::from(u32::MAX)).unwrap_or_default(),
        Got::Value(Value::Text(_)) => return unknown("a mark that is no number".into()),
        Got::Break => return Done::Break,
        Got::Unknown(why) => return unknown(why),
    };
    if of_packet {
        journey.packet.mark = mark;
        return Done::On(Some(format!("mark 0x{mark:x}").into()));
    }
    if !matches!(journey.packet.tracking, Tracking::Tracked(_)) {
        return Done::On(None);
    }
    journey.packet.connection.mark = mark;
    Done::On(Some(format!("connection's mark 0x{mark:x}").into()))
}

fn has_flag(nat: &Nat<'_>, flag: &str) -> bool {
    match &nat.flags {
        Some(Expr::List(all)) => all.iter().any(|one| one.text() == Some(flag)),
        Some(one) => one.text() == Some(flag),
        None => false,
    }
}

fn ports_of(expr: &Expr<'_>) -> Option<Ports> {
    let number = |expr: &Expr<'_>| match expr {
        Expr::Number(port) => u16::try_from(*port).ok(),
        Expr::Text(text) => text.parse().ok(),
        _ => None,
    };
    match expr {
        Expr::Range(ends) => match ends.as_slice() {
            [first, last] => Some(Ports { first: number(first)?, last: number(last)? }),
            _ => None,
        },
        one => number(one).map(|port| Ports { first: port, last: port }),
    }
}

/// Translates to an address, a port, or both, that stand there or are looked up.
fn translate<'a>(
    asked: &Asked<'_, '_, 'a>,
    nat: Option<&Nat<'a>>,
    source: bool,
    journey: &mut Journey<'a>,
) -> Done<'a> {
    let name = if source { "SNAT" } else { "DNAT" };
    let unknown = move |why: &str| Done::End(Ending::Unknown(format!("{name}: {why}").into()), name.into());
    let Some(nat) = nat else { return unknown("without an address") };
    let port = nat.port.as_ref();
    let finish = |journey: &mut Journey<'a>, to: &Expr<'_>| {
        let Some((address, mapped)) = target_of(to) else { return unknown("an address that is not understood") };
        let ports = mapped.or_else(|| port.and_then(ports_of));
        if ports.is_none() && port.is_some() {
            return unknown("a port that is looked up");
        }
        if address.is_some_and(|ip| Family::of(ip) != journey.packet.family()) {
            return Done::Break;
        }
        let single = ports.filter(|ports| ports.first == ports.last).map(|ports| ports.first);
        set_end(&mut journey.packet, source, Translation { address, port: single });
        if ports.is_some() && single.is_none() {
            *if source { &mut journey.packet.source_port } else { &mut journey.packet.destination_port } = None;
        }
        let ip = address.unwrap_or(if source { journey.packet.source } else { journey.packet.destination });
        Done::End(Ending::Pass, format!("{name} to {}", address_and_port(ip, single)).into())
    };
    match &nat.addr {
        Some(Expr::Map(lookup)) => looked_up(asked, &lookup.key, &lookup.data, journey, |journey, found| match found {
            Some(to) => finish(journey, &to),
            None => Done::Break,
        }),
        Some(addr) => finish(journey, addr),
        None => {
            let here = if source { journey.packet.source } else { journey.packet.destination };
            finish(journey, &Expr::Text(here.to_string().into()))
        }
    }
}

/// An address, and the port beside it.
fn target_of(expr: &Expr<'_>) -> Option<(Option<IpAddr>, Option<Ports>)> {
    match expr.value() {
        Expr::Text(text) => Some((Some(text.parse().ok()?), None)),
        Expr::Concat(parts) => match parts.as_slice() {
            [address, port] => Some((target_of(address)?.0, Some(ports_of(port)?))),
            _ => None,
        },
        Expr::Range(ends) => match ends.as_slice() {
            [first, last] if first == last => target_of(first),
            _ => None,
        },
        Expr::Prefix(prefix) if prefix.len == 32 || prefix.len == 128 => target_of(&prefix.addr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_random_number_are_the_kernels_and_one_together() {
        for modulus in [1, 2, 3, 7, 10, 1000] {
            let sum: f64 = (0..modulus).map(|value| share(modulus, value, "random")).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{modulus}: {sum}");
        }
        // floor(x * 3 / 2^32): 0 for 1431655766 of all x, else for 1431655765
        assert_eq!(share(3, 0, "random").to_bits(), (1_431_655_766.0_f64 / 4_294_967_296.0).to_bits());
        assert_eq!(share(3, 1, "random").to_bits(), (1_431_655_765.0_f64 / 4_294_967_296.0).to_bits());
    }
}
