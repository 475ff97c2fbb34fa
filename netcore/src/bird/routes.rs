//! `show route`: a destination in the first column, ways to it one below the other.

use std::net::IpAddr;

use super::model::PeerRoute;
use crate::{
    cidr::{Cidr, parse_cidr},
    problem::Problem,
};

/// The route that a line begins; nothing where it begins none.
pub(super) fn begins(content: &str, line: usize) -> Option<Result<PeerRoute, Problem>> {
    let first = content.split_whitespace().next()?;
    let destination: Cidr = first.contains('/').then(|| parse_cidr(first).ok())?.map(|written| written.cidr)?;
    let rest = content.trim_start().get(first.len()..)?.trim();
    if rest.is_empty() {
        return Some(Err(Problem::of_line(
            line,
            content,
            "a destination without a way: via, dev, unicast, blackhole, …",
        )));
    }
    let mut route = PeerRoute { destination: Some(destination), line, ..PeerRoute::default() };
    Some(if way(&mut route, rest) { Ok(route) } else { Err(Problem::of_line(line, content, WAY)) })
}

const WAY: &str = "not a way: via, dev, unicast, blackhole, unreachable or prohibit, then [protocol time]";

/// Takes a line that goes on with the routes before it: another way, a next hop, an attribute.
pub(super) fn continues(routes: &mut Vec<PeerRoute>, content: &str, line: usize, inside: bool) -> bool {
    let Some(last) = routes.last_mut().filter(|_| inside) else { return false };
    let trimmed = content.trim();
    // another way of the same destination has brackets, a next hop of version 2 has none
    if trimmed.contains('[') && !trimmed.contains(": ") {
        let mut route = PeerRoute { destination: last.destination, line, ..PeerRoute::default() };
        if way(&mut route, trimmed) {
            routes.push(route);
            return true;
        }
        return false;
    }
    if trimmed.starts_with("via ") || trimmed.starts_with("dev ") {
        hop(last, trimmed);
        return true;
    }
    let Some((key, value)) = trimmed.split_once(':') else { return true };
    match key {
        "BGP.as_path" | "bgp_path" => last.as_path = Some(value.trim().to_owned()),
        "BGP.next_hop" | "bgp_next_hop" => {
            last.next_hop = value.split_whitespace().next().and_then(|ip| ip.parse().ok());
        }
        _ => {}
    }
    true
}

/// `via 1.2.3.4 on eth0 [kernel1 03:44:05 from 5.6.7.8] * (100/0) [AS1i]`.
fn way(route: &mut PeerRoute, text: &str) -> bool {
    let Some((before, inside)) = text.split_once('[') else { return false };
    let Some((source, after)) = inside.split_once(']') else { return false };
    let before = before.trim();
    let first = before.split_whitespace().next().unwrap_or_default();
    match first {
        "via" | "dev" => {
            "unicast".clone_into(&mut route.kind);
            hop(route, before);
        }
        "unicast" | "blackhole" | "unreachable" | "prohibit" | "multipath" => first.clone_into(&mut route.kind),
        _ => return false,
    }
    let mut words = source.split_whitespace();
    words.next().unwrap_or_default().clone_into(&mut route.protocol);
    let mut since = Vec::new();
    while let Some(word) = words.next() {
        if word == "from" {
            route.from = words.next().and_then(|ip| ip.parse().ok());
        } else {
            since.push(word);
        }
    }
    route.since = since.join(" ");
    route.best = after.trim_start().starts_with('*');
    let preference = after.split_once('(').and_then(|(_, rest)| rest.split([')', '/']).next());
    route.preference = preference.and_then(|number| number.parse().ok());
    true
}

fn hop(route: &mut PeerRoute, text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let after = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied();
    let via = after("via").and_then(|ip| ip.split('%').next()?.parse::<IpAddr>().ok());
    route.via.extend(via);
    route.devices.extend(after("on").or_else(|| after("dev")).map(str::to_owned));
}
