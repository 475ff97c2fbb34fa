//! Routes as `route -n`, `netstat -rn`, `/proc/net/route` and `/proc/net/ipv6_route` show them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::model::{NextHop, Route, RouteKind};
use crate::{
    cidr::Cidr,
    problem::{Problem, Problems, is_failure},
    words::{Words, is_prompt},
};

/// The columns of one of these tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// `Destination Gateway Genmask Flags Metric Ref Use Iface`.
    Plain,
    /// The same with `MSS Window irtt` before the interface: no metric.
    Netstat,
    /// `Destination Next Hop Flag Met Ref Use If`.
    Plain6,
    /// `/proc/net/route`: little-endian hexadecimal.
    Proc,
}

/// Whether a line is one of `/proc/net/ipv6_route`.
fn is_proc6(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let hex = |word: &str, length: usize| word.len() == length && word.bytes().all(|b| b.is_ascii_hexdigit());
    [32, 2, 32, 2, 32, 8, 8, 8, 8].into_iter().all(|length| words.next().is_some_and(|word| hex(word, length)))
}

fn columns(line: &str) -> Option<Columns> {
    let first = line.split_whitespace().next()?;
    match first {
        "Destination" if line.contains("Genmask") && line.contains("MSS") => Some(Columns::Netstat),
        "Destination" if line.contains("Genmask") => Some(Columns::Plain),
        "Destination" if line.contains("Next Hop") => Some(Columns::Plain6),
        "Iface" if line.contains("Gateway") && line.contains("Mask") => Some(Columns::Proc),
        _ => None,
    }
}

/// Whether a text is one of these tables rather than `ip route`'s.
pub(super) fn is_table(text: &str) -> bool {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).take(5);
    lines.into_iter().any(|line| columns(line).is_some() || line.starts_with("Kernel IP") || is_proc6(line))
}

/// Reads the tables, with what was not understood.
pub(super) fn parse(text: &str) -> (Vec<Route>, Vec<Problem>) {
    let mut now = Columns::Plain;
    let mut routes = Vec::new();
    let mut problems = Problems::default();
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim().is_empty() || is_prompt(content) || content.starts_with("Kernel IP") {
            continue;
        }
        if let Some(found) = columns(content) {
            now = found;
            continue;
        }
        let words = Words::new(line, content);
        let route = match now {
            _ if is_proc6(content) => proc6(words),
            Columns::Proc => proc(words),
            Columns::Plain6 => plain6(words),
            Columns::Plain | Columns::Netstat => plain(words, now == Columns::Netstat),
        };
        match route {
            Ok(route) => routes.extend(route),
            Err(_) if is_failure(content) => problems.unknown(line, content, ""),
            Err(error) => problems.push(error),
        }
    }
    (routes, problems.into_vec())
}

fn route(destination: Cidr, kind: RouteKind, via: Option<IpAddr>, dev: &str, metric: u32, line: usize) -> Route {
    let via = via.filter(|ip| !ip.is_unspecified());
    let drops = !matches!(kind, RouteKind::Unicast | RouteKind::Local | RouteKind::Multicast);
    let hop = NextHop { via, dev: Some(dev.to_owned()), ..NextHop::default() };
    Route {
        destination,
        kind,
        next_hops: if drops { Vec::new() } else { vec![hop] },
        protocol: String::new(),
        scope: String::new(),
        table: "main".to_owned(),
        source: None,
        metric: Some(metric).filter(|metric| *metric > 0),
        flags: Vec::new(),
        attributes: Vec::new(),
        line,
    }
}

fn prefix(words: &Words<'_>, address: Ipv4Addr, mask: Ipv4Addr) -> Result<Cidr, Problem> {
    let length = mask.to_bits().leading_ones();
    let whole = length + mask.to_bits().trailing_zeros() >= 32;
    let cidr = u8::try_from(length).ok().filter(|_| whole).and_then(|length| Cidr::covering(address.into(), length));
    cidr.ok_or_else(|| words.error("not a netmask: ones, then zeros"))
}

const NUMERIC: &str = "an address; list with -n";

fn plain(mut words: Words<'_>, netstat: bool) -> Result<Option<Route>, Problem> {
    let address: Ipv4Addr = if words.take_word("default") { Ipv4Addr::UNSPECIFIED } else { words.value(NUMERIC)? };
    let via = match words.need("a gateway")? {
        "*" | "-" => None,
        word => Some(IpAddr::V4(word.parse().map_err(|_| words.error(format!("not {NUMERIC}")))?)),
    };
    let mask = words.value("a netmask")?;
    let destination = prefix(&words, address, mask)?;
    let flags = words.need("flags such as UG")?;
    let number: String = words.need("a number")?.to_owned();
    words.next();
    words.next();
    let dev = words.need("an interface")?;
    let metric = if netstat { 0 } else { number.parse().map_err(|_| words.error("a row without a metric"))? };
    let kind = if flags.contains('!') { RouteKind::Unreachable } else { RouteKind::Unicast };
    Ok(Some(route(destination, kind, via, dev, metric, words.line())))
}

fn plain6(mut words: Words<'_>) -> Result<Option<Route>, Problem> {
    let target = words.need("a destination")?;
    let destination = match target {
        "[::]/0" | "default" => "::/0",
        // `0.0.0.0/96` is how it prints ::/96
        other => other,
    };
    let destination = match destination.split_once('/') {
        Some((v4, length)) if v4.parse::<Ipv4Addr>().is_ok() => format!("::{v4}/{length}"),
        _ => destination.replace(['[', ']'], ""),
    };
    let destination = crate::cidr::parse_cidr(&destination).map_err(|_| words.error(format!("not {NUMERIC}")))?.cidr;
    let via = words.need("a next hop")?.trim_matches(['[', ']']);
    let via = via.parse::<Ipv6Addr>().map_err(|_| words.error(format!("not {NUMERIC}")))?;
    let flags = words.need("flags such as UG")?;
    let metric: i64 = words.value("a metric")?;
    words.next();
    words.next();
    let dev = words.need("an interface")?;
    let kind = match () {
        () if flags.contains('!') => RouteKind::Unreachable,
        () if flags.contains('n') => RouteKind::Local,
        () => RouteKind::Unicast,
    };
    let metric = u32::try_from(metric).unwrap_or(u32::MAX);
    let mut found = route(destination, kind, Some(IpAddr::V6(via)), dev, metric, words.line());
    if found.kind == RouteKind::Local {
        "local".clone_into(&mut found.table);
    }
    Ok(Some(found))
}

/// The bits of the kernel's route flags that count here.
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;
const LOCAL: u32 = 0x8000_0000;

fn proc(mut words: Words<'_>) -> Result<Option<Route>, Problem> {
    let what = "eight hexadecimal digits";
    let dev = words.need("an interface")?;
    let hex = |words: &mut Words<'_>| {
        let word = words.need(what)?;
        let number = u32::from_str_radix(word, 16).ok().filter(|_| word.len() == 8);
        // as a little-endian kernel writes them
        number.map(|n| Ipv4Addr::from_bits(n.swap_bytes())).ok_or_else(|| words.error(format!("not {what}")))
    };
    let (address, via) = (hex(&mut words)?, hex(&mut words)?);
    let flags = words.need("flags")?;
    let flags = u32::from_str_radix(flags, 16).map_err(|_| words.error("not flags in hexadecimal"))?;
    words.next();
    words.next();
    let metric = words.value("a metric")?;
    let mask = hex(&mut words)?;
    let destination = prefix(&words, address, mask)?;
    let kind = if flags & REJECT == 0 { RouteKind::Unicast } else { RouteKind::Unreachable };
    Ok((flags & (UP | REJECT) != 0).then(|| route(destination, kind, Some(via.into()), dev, metric, words.line())))
}

fn proc6(mut words: Words<'_>) -> Result<Option<Route>, Problem> {
    let number = |words: &mut Words<'_>| {
        let word = words.need("hexadecimal digits")?;
        u128::from_str_radix(word, 16).map_err(|_| words.error("not hexadecimal digits"))
    };
    let address = IpAddr::V6(Ipv6Addr::from_bits(number(&mut words)?));
    let length = number(&mut words)?;
    let cidr = u8::try_from(length).ok().and_then(|length| Cidr::covering(address, length));
    let destination = cidr.ok_or_else(|| words.error("not a prefix length of at most 80 in hexadecimal"))?;
    number(&mut words)?;
    number(&mut words)?;
    let via = IpAddr::V6(Ipv6Addr::from_bits(number(&mut words)?));
    let metric = u32::try_from(number(&mut words)?).unwrap_or(u32::MAX);
    number(&mut words)?;
    number(&mut words)?;
    let flags = u32::try_from(number(&mut words)?).unwrap_or(0);
    let dev = words.need("an interface")?;
    let kind = match () {
        () if flags & REJECT != 0 => RouteKind::Unreachable,
        () if flags & LOCAL != 0 => RouteKind::Local,
        () if destination.first().is_multicast() => RouteKind::Multicast,
        () => RouteKind::Unicast,
    };
    let mut found = route(destination, kind, Some(via), dev, metric, words.line());
    if matches!(found.kind, RouteKind::Local | RouteKind::Multicast) {
        "local".clone_into(&mut found.table);
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::super::parse_routes;
    use super::*;

    #[test]
    fn every_table_tells_the_same_routes() {
        let ip = "default via 192.168.71.2 dev ens33 metric 100\n172.17.0.0/16 dev docker0\n";
        let plain = "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n\
            0.0.0.0         192.168.71.2    0.0.0.0         UG    100    0        0 ens33\n\
            172.17.0.0      0.0.0.0         255.255.0.0     U     0      0        0 docker0\n";
        let proc = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            ens33\t00000000\t0247A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\ndocker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let key = |text: &str| {
            let (routes, errors) = parse_routes(text);
            assert!(errors.is_empty(), "{errors:?}");
            routes.into_iter().map(|r| (r.destination, r.kind, r.next_hops, r.metric)).collect::<Vec<_>>()
        };
        assert_eq!(key(ip), key(plain));
        assert_eq!(key(ip), key(proc));
    }

    #[test]
    fn ipv6_tables() {
        let proc = "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
            00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe80000000000000feae34fffea13a80 00000064 00000001 00000000 00000003     eth0\n";
        let (routes, errors) = parse_routes(proc);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(
            (routes[0].metric, routes[1].via()),
            (Some(256), Some("fe80::feae:34ff:fea1:3a80".parse().unwrap()))
        );
        let plain = "Kernel IPv6 routing table\nDestination                    Next Hop                   Flag Met Ref Use If\n\
            0.0.0.0/96                     ::                         !n   1024 0      0 lo\n\
            ::/0                           fe80::1                    UG   100 1      4 ens33\n";
        let (routes, errors) = parse_routes(plain);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(
            (routes[0].kind.clone(), routes[1].destination.to_string()),
            (RouteKind::Unreachable, "::/0".to_owned())
        );
    }

    #[test]
    fn names_and_odd_masks_are_errors() {
        let text = "Destination     Gateway         Genmask         Flags Metric Ref    Use Iface\n\
            10.0.0.0        _gateway        255.0.0.0       UG    100    0        0 ens33\n\
            10.0.0.0        10.0.0.1        255.0.255.0     UG    100    0        0 ens33\n";
        let (routes, errors) = parse_routes(text);
        assert!(routes.is_empty());
        assert_eq!(errors.iter().map(|e| (e.line, e.column)).collect::<Vec<_>>(), [(2, 17), (3, 33)]);
    }
}
