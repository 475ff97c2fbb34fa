//! Rules in nft's own words, as `nft list ruleset` writes them. What is not known is its JSON.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{
    expr::{Expr, Header, Lookup, Numgen, Payload, Verdict},
    json::Json as _,
    model::{Family, Rule},
    statement::{Mangle, Match, Named, Nat, Statement},
};

impl Display for Rule<'_> {
    /// The statements, and the comment at the end.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for statement in self.statements() {
            if is_usual_answer(self.family, &statement) {
                write!(f, "{before}reject")?;
            } else {
                write!(f, "{before}{statement}")?;
            }
            before = " ";
        }
        match &self.comment {
            Some(comment) => write!(f, "{before}comment \"{comment}\""),
            None => Ok(()),
        }
    }
}

/// A refusal as each family gives it where nothing else is asked for, of which nft writes the word alone.
fn is_usual_answer(family: Family, statement: &Statement<'_>) -> bool {
    let Statement::Reject(Some(reject)) = statement else { return false };
    let usual = match family {
        Family::Ip => "icmp",
        Family::Ip6 => "icmpv6",
        Family::Inet | Family::Bridge | Family::Netdev => "icmpx",
        Family::Arp => return false,
    };
    reject.kind.as_deref() == Some(usual) && reject.expr.as_ref().and_then(Expr::text) == Some("port-unreachable")
}

impl Display for Verdict<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Continue => f.write_str("continue"),
            Self::Return => f.write_str("return"),
            Self::Jump(to) => write!(f, "jump {to}"),
            Self::Goto(to) => write!(f, "goto {to}"),
        }
    }
}

impl Display for Statement<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict(verdict) => verdict.fmt(f),
            Self::Match(compared) => comparison(f, compared),
            Self::Vmap(lookup) => {
                write!(f, "{} vmap ", lookup.key)?;
                data(f, lookup)
            }
            Self::Counter(Named::Inline(counter)) => {
                f.write_str("counter")?;
                match (counter.packets, counter.bytes) {
                    (None, None) => Ok(()),
                    (packets, bytes) => {
                        write!(f, " packets {} bytes {}", packets.unwrap_or(0), bytes.unwrap_or(0))
                    }
                }
            }
            Self::Counter(Named::Null) => f.write_str("counter"),
            Self::Counter(Named::Object(name)) => write!(f, "counter name {}", quoted(name)),
            Self::Mangle(mangle) => set_to(f, mangle),
            Self::Quota(Named::Inline(quota)) => {
                let over = if quota.inv == Some(true) { "over " } else { "" };
                write!(f, "quota {over}{} {}", quota.val, quota.val_unit.as_deref().unwrap_or("bytes"))
            }
            Self::Quota(Named::Object(name)) => write!(f, "quota name {}", quoted(name)),
            Self::Limit(Named::Inline(limit)) => {
                let over = if limit.inv == Some(true) { "over " } else { "" };
                let unit = limit.rate_unit.as_deref().filter(|unit| *unit != "packets");
                let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
                write!(f, "limit rate {over}{}{unit}/{}", limit.rate, limit.per.as_deref().unwrap_or("second"))?;
                match limit.burst {
                    Some(burst) if burst > 0 => {
                        write!(f, " burst {burst} {}", limit.burst_unit.as_deref().unwrap_or("packets"))
                    }
                    _ => Ok(()),
                }
            }
            Self::Limit(Named::Object(name)) => write!(f, "limit name {}", quoted(name)),
            Self::SourceNat(nat) => translation(f, "snat", nat.as_deref()),
            Self::DestinationNat(nat) => translation(f, "dnat", nat.as_deref()),
            Self::Masquerade(nat) => translation(f, "masquerade", nat.as_deref()),
            Self::Redirect(nat) => translation(f, "redirect", nat.as_deref()),
            Self::Reject(None) => f.write_str("reject"),
            Self::Reject(Some(reject)) => {
                f.write_str("reject")?;
                match (&reject.kind, &reject.expr) {
                    (Some(kind), Some(code)) => write!(f, " with {kind} {code}"),
                    (Some(kind), None) => write!(f, " with {kind}"),
                    (None, _) => Ok(()),
                }
            }
            Self::SetUpdate(update) => {
                write!(f, "{} {} {{ {}", update.op, update.set, update.elem)?;
                update.stmt.iter().flatten().try_for_each(|statement| write!(f, " {statement}"))?;
                f.write_str(" }")
            }
            Self::MapUpdate(update) => {
                write!(f, "{} {} {{ {}", update.op, update.map, update.elem)?;
                update.stmt.iter().flatten().try_for_each(|statement| write!(f, " {statement}"))?;
                update.data.iter().try_for_each(|data| write!(f, " : {data}"))?;
                f.write_str(" }")
            }
            Self::Log(log) => {
                f.write_str("log")?;
                let Some(log) = log else { return Ok(()) };
                log.prefix.iter().try_for_each(|prefix| write!(f, " prefix \"{prefix}\""))?;
                log.level.iter().try_for_each(|level| write!(f, " level {level}"))?;
                log.group.iter().try_for_each(|group| write!(f, " group {group}"))
            }
            _ => rarer(f, self),
        }
    }
}

/// Statements that a cluster's own programs seldom write.
fn rarer(f: &mut Formatter<'_>, statement: &Statement<'_>) -> fmt::Result {
    match statement {
        Statement::CtHelper(name) => write!(f, "ct helper set {}", quoted(name)),
        Statement::CtTimeout(name) => write!(f, "ct timeout set {}", quoted(name)),
        Statement::CtExpectation(name) => write!(f, "ct expectation set {}", quoted(name)),
        Statement::CtCount(count) => {
            write!(f, "ct count {}{}", if count.inv == Some(true) { "over " } else { "" }, count.val)
        }
        Statement::Meter(meter) => write!(f, "meter {} {{ {} {} }}", meter.name, meter.key, meter.stmt),
        Statement::Queue(None) => f.write_str("queue"),
        Statement::Queue(Some(queue)) => {
            f.write_str("queue")?;
            queue.num.iter().try_for_each(|num| write!(f, " to {num}"))
        }
        Statement::Tproxy(tproxy) => {
            f.write_str("tproxy")?;
            tproxy.family.iter().try_for_each(|family| write!(f, " {family}"))?;
            f.write_str(" to ")?;
            tproxy.addr.iter().try_for_each(|addr| write!(f, "{addr}"))?;
            tproxy.port.iter().try_for_each(|port| write!(f, ":{port}"))
        }
        Statement::Xt(Some(xt)) => {
            let (kind, name) = (xt.kind.as_deref().unwrap_or("match"), xt.name.as_deref().unwrap_or("?"));
            write!(f, "xt {kind} \"{name}\"")
        }
        Statement::Xt(None) => f.write_str("xt"),
        Statement::Flow(flow) => write!(f, "flow {} {}", flow.op, flow.flowtable),
        Statement::Notrack(_) => f.write_str("notrack"),
        Statement::Last(_) => f.write_str("last"),
        Statement::Reset(option) => write!(f, "reset {option}"),
        Statement::Forward(to) => {
            f.write_str("fwd")?;
            to.addr.iter().try_for_each(|addr| write!(f, " to {addr}"))?;
            to.dev.iter().try_for_each(|dev| write!(f, " device {}", quoted(dev)))
        }
        Statement::Duplicate(to) => {
            f.write_str("dup")?;
            to.addr.iter().try_for_each(|addr| write!(f, " to {addr}"))?;
            to.dev.iter().try_for_each(|dev| write!(f, " device {}", quoted(dev)))
        }
        Statement::Synproxy(_) => f.write_str("synproxy"),
        Statement::Quota(Named::Null) => f.write_str("quota"),
        Statement::Limit(Named::Null) => f.write_str("limit"),
        Statement::Unknown(text) => f.write_str(text),
        // nothing comes here that stands above; what a later nft has is its JSON
        other => {
            let mut json = Vec::new();
            other.write(&mut json);
            f.write_str(&String::from_utf8_lossy(&json))
        }
    }
}

impl Display for Expr<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut Formatter<'_>, all: &[Expr<'_>], by: &str| {
            all.iter().enumerate().try_for_each(|(at, expr)| {
                f.write_str(if at > 0 { by } else { "" })?;
                expr.fmt(f)
            })
        };
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(true) => f.write_str("exists"),
            Self::Bool(false) => f.write_str("missing"),
            Self::List(all) => joined(f, all, ","),
            Self::Verdict(verdict) => verdict.fmt(f),
            Self::Concat(all) => joined(f, all, " . "),
            Self::Set(inner) => members(f, inner),
            Self::Map(lookup) => {
                write!(f, "{} map ", lookup.key)?;
                data(f, lookup)
            }
            Self::Prefix(prefix) => write!(f, "{}/{}", prefix.addr, prefix.len),
            Self::Range(all) => joined(f, all, "-"),
            Self::Payload(payload) => header_field(f, payload),
            Self::Extension(header) => option(f, "exthdr", header),
            Self::TcpOption(header) => option(f, "tcp option", header),
            Self::IpOption(header) => option(f, "ip option", header),
            Self::SctpChunk(header) => option(f, "sctp chunk", header),
            Self::DccpOption(header) => option(f, "dccp option", header),
            // these words stand alone in nft's listing
            Self::Meta(known)
                if matches!(&*known.key, "iif" | "iifname" | "oif" | "oifname" | "iifgroup" | "oifgroup") =>
            {
                f.write_str(&known.key)
            }
            Self::Meta(known) => write!(f, "meta {}", known.key),
            Self::Rt(known) => write!(f, "rt {}", known.key),
            Self::Socket(known) => write!(f, "socket {}", known.key),
            Self::Osf(known) => write!(f, "osf {}", known.key),
            Self::Ipsec(known) => write!(f, "ipsec {} {}", known.dir.as_deref().unwrap_or("in"), known.key),
            Self::Ct(connection) => {
                f.write_str("ct ")?;
                connection.dir.iter().try_for_each(|dir| write!(f, "{dir} "))?;
                connection.family.iter().try_for_each(|family| write!(f, "{family} "))?;
                f.write_str(&connection.key)
            }
            Self::Numgen(numgen) => made_up(f, numgen),
            Self::Jhash(hash) => {
                f.write_str("jhash ")?;
                hash.expr.iter().try_for_each(|expr| write!(f, "{expr} "))?;
                write!(f, "mod {}", hash.modulus)
            }
            Self::Symhash(hash) => write!(f, "symhash mod {}", hash.modulus),
            Self::Fib(fib) => {
                f.write_str("fib ")?;
                match fib.flags.as_deref() {
                    Some(Expr::List(all)) => joined(f, all, " . ")?,
                    Some(one) => one.fmt(f)?,
                    None => {}
                }
                write!(f, " {}", fib.result)
            }
            Self::Or(all) => bits(f, all, "|"),
            Self::And(all) => bits(f, all, "&"),
            Self::Xor(all) => bits(f, all, "^"),
            Self::ShiftLeft(all) => joined(f, all, " << "),
            Self::ShiftRight(all) => joined(f, all, " >> "),
            Self::Elem(elem) => {
                elem.val.fmt(f)?;
                elem.timeout.iter().try_for_each(|seconds| write!(f, " timeout {seconds}s"))?;
                elem.comment.iter().try_for_each(|comment| write!(f, " comment \"{comment}\""))
            }
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

/// A name between quotes; a map of names as it is.
fn quoted(expr: &Expr<'_>) -> String {
    expr.text().map_or_else(|| expr.to_string(), |name| format!("\"{name}\""))
}

/// Whether a value of this is a mark, which nft writes in base 16.
fn is_mark(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Meta(known) => known.key == "mark",
        Expr::Ct(connection) => connection.key == "mark",
        Expr::Or(all) | Expr::And(all) | Expr::Xor(all) => all.iter().any(is_mark),
        _ => false,
    }
}

/// Whether a value of this is an interface's name, which nft writes between quotes.
fn is_interface(expr: &Expr<'_>) -> bool {
    matches!(expr, Expr::Meta(known) if matches!(&*known.key, "iif" | "iifname" | "oif" | "oifname"))
}

/// A value as nft writes it beside `of`.
fn value(f: &mut Formatter<'_>, of: &Expr<'_>, value: &Expr<'_>) -> fmt::Result {
    match value {
        Expr::Number(number) if is_mark(of) => write!(f, "0x{number:08x}"),
        Expr::Text(name) if is_interface(of) && !name.starts_with('@') => write!(f, "\"{name}\""),
        Expr::Set(inner) if is_interface(of) => match &**inner {
            Expr::List(all) => {
                let names: Vec<String> = all.iter().map(quoted).collect();
                write!(f, "{{ {} }}", names.join(", "))
            }
            _ => value.fmt(f),
        },
        _ => value.fmt(f),
    }
}

fn comparison(f: &mut Formatter<'_>, compared: &Match<'_>) -> fmt::Result {
    compared.left.fmt(f)?;
    let is_masked = matches!(compared.left, Expr::And(_) | Expr::Or(_) | Expr::Xor(_));
    match &*compared.op {
        "in" => f.write_char(' ')?,
        "==" if !is_masked => f.write_char(' ')?,
        op => write!(f, " {op} ")?,
    }
    value(f, &compared.left, &compared.right)
}

fn set_to(f: &mut Formatter<'_>, mangle: &Mangle<'_>) -> fmt::Result {
    write!(f, "{} set ", mangle.key)?;
    value(f, &mangle.key, &mangle.value)
}

/// The two sides of an operation on bits; beside a mark in base 16.
fn bits(f: &mut Formatter<'_>, all: &[Expr<'_>], sign: &str) -> fmt::Result {
    let mark = all.iter().any(is_mark);
    for (at, expr) in all.iter().enumerate() {
        if at > 0 {
            write!(f, " {sign} ")?;
        }
        match expr {
            Expr::Number(number) if mark => write!(f, "0x{number:08x}")?,
            Expr::And(_) | Expr::Or(_) | Expr::Xor(_) if at > 0 => write!(f, "({expr})")?,
            _ => expr.fmt(f)?,
        }
    }
    Ok(())
}

fn data(f: &mut Formatter<'_>, lookup: &Lookup<'_>) -> fmt::Result {
    match &lookup.data {
        Expr::Set(inner) => members(f, inner),
        other => other.fmt(f),
    }
}

/// `{ 1, 2 }`, `{ 0 : goto a, 1 : goto b }`.
fn members(f: &mut Formatter<'_>, inner: &Expr<'_>) -> fmt::Result {
    f.write_str("{ ")?;
    match inner {
        Expr::List(all) => {
            for (at, member) in all.iter().enumerate() {
                f.write_str(if at > 0 { ", " } else { "" })?;
                match member {
                    Expr::List(pair) => match pair.as_slice() {
                        [key, data] => write!(f, "{key} : {data}")?,
                        _ => member.fmt(f)?,
                    },
                    _ => member.fmt(f)?,
                }
            }
        }
        one => one.fmt(f)?,
    }
    f.write_str(" }")
}

fn header_field(f: &mut Formatter<'_>, payload: &Payload<'_>) -> fmt::Result {
    match (&payload.protocol, &payload.field) {
        (Some(protocol), Some(field)) => write!(f, "{protocol} {field}"),
        _ => write!(
            f,
            "@{},{},{}",
            payload.base.as_deref().unwrap_or("nh"),
            payload.offset.unwrap_or(0),
            payload.len.unwrap_or(0)
        ),
    }
}

fn option(f: &mut Formatter<'_>, what: &str, header: &Header<'_>) -> fmt::Result {
    let name = header.name.as_deref().unwrap_or("?");
    match &header.field {
        Some(field) => write!(f, "{what} {name} {field}"),
        None => write!(f, "{what} {name}"),
    }
}

fn made_up(f: &mut Formatter<'_>, numgen: &Numgen<'_>) -> fmt::Result {
    write!(f, "numgen {} mod {}", numgen.mode, numgen.modulus)?;
    match numgen.offset {
        Some(offset) if offset > 0 => write!(f, " offset {offset}"),
        _ => Ok(()),
    }
}

/// `dnat to 10.244.0.1:8080`, `dnat ip to numgen random mod 2 map { … }`, `masquerade fully-random`.
fn translation(f: &mut Formatter<'_>, word: &str, nat: Option<&Nat<'_>>) -> fmt::Result {
    f.write_str(word)?;
    let Some(nat) = nat else { return Ok(()) };
    nat.family.iter().try_for_each(|family| write!(f, " {family}"))?;
    match (&nat.addr, &nat.port) {
        (None, None) => {}
        (None, Some(port)) => write!(f, " to :{port}")?,
        (Some(addr), None) => write!(f, " to {addr}")?,
        (Some(Expr::Text(addr)), Some(port)) if addr.contains(':') => write!(f, " to [{addr}]:{port}")?,
        (Some(addr), Some(port)) => write!(f, " to {addr}:{port}")?,
    }
    nat.flags.iter().try_for_each(|flags| write!(f, " {flags}"))
}

#[cfg(test)]
mod tests {
    use crate::nft;

    fn text(expr: &str) -> String {
        let all = format!(
            r#"{{"nftables": [{{"rule": {{"family": "ip", "table": "t", "chain": "c", "expr": [{expr}]}}}}]}}"#
        );
        nft::parse(all.as_bytes()).rules().map(ToString::to_string).collect()
    }

    // what nft 1.0.6 prints for the same, tried by hand; whole rule sets are compared in tests/names.rs
    #[test]
    fn statements_in_nfts_words() {
        for (json, expected) in [
            (r#"{"counter": {"packets": 3, "bytes": 180}}, {"drop": null}"#, "counter packets 3 bytes 180 drop"),
            (r#"{"limit": {"rate": 10, "burst": 5, "per": "second"}}"#, "limit rate 10/second burst 5 packets"),
            (r#"{"xt": {"type": "match", "name": "statistic"}}"#, "xt match \"statistic\""),
            (r#"{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 16384}}"#, "meta mark set 0x00004000"),
            (
                r#"{"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "cali*"}}, {"accept": null}"#,
                "iifname != \"cali*\" accept",
            ),
            (r#"{"quux": {"a": 1}}"#, r#"{"quux": {"a": 1}}"#),
        ] {
            assert_eq!(text(json), expected);
        }
    }
}
