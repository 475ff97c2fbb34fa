//! `ip route` and `ip addr`, in text and in JSON, to routes and interfaces.

use std::net::IpAddr;

use serde_json::Value;

use super::{
    model::{Interface, InterfaceAddress, NextHop, Route, RouteKind},
    tables,
};
use crate::{
    cidr::{Cidr, Family, Flaw, parse_cidr, parse_ip},
    problem::{Problem, Problems},
    text::{Wrong, json_objects, json_objects_in_part, optional, scalar},
    words::{column_of, is_json_list, is_prompt},
};

/// Reads routes of either family from `ip -j route`, `ip route`, `route -n`, `netstat -rn`,
/// `/proc/net/route` or `/proc/net/ipv6_route`, with what was not understood.
pub fn parse_routes(text: &str) -> (Vec<Route>, Vec<Problem>) {
    if tables::is_table(text) {
        return tables::parse(text);
    }
    let mut problems = Problems::default();
    // `ip -4 -j route; ip -6 -j route` in one file is two lists, one after the other
    let routes = if is_json_list(text) {
        json_objects(text, &mut problems, json_route)
    } else {
        text_routes(text, &mut problems)
    };
    (routes, problems.into_vec())
}

const ADDRESS: &str = "an address";
const DESTINATION: &str = "not a destination: a range such as 10.244.1.0/24 or fd00:244::/64, an address or `default`";
const METRIC: &str = "a metric";
const WEIGHT: &str = "a weight";

fn json_route(item: &Value, line: usize) -> Result<Route, Wrong> {
    let text = |name: &str| scalar(item.get(name));
    let source = json_address(item.get("prefsrc"))?;
    let hop = |value: &Value| {
        let via = json_address(value.get("gateway"))?;
        Ok::<_, Wrong>(NextHop {
            via: if via.is_some() { via } else { json_address(value.pointer("/via/host"))? },
            dev: Some(scalar(value.get("dev"))).filter(|dev| !dev.is_empty()),
            weight: optional(value.get("weight"), WEIGHT)?,
            attributes: if std::ptr::eq(value, item) { Vec::new() } else { json_hop_attributes(value) },
        })
    };
    let kind = RouteKind::named(&text("type")).unwrap_or_default();
    let next_hops: Vec<NextHop> = match item.get("nexthops").and_then(Value::as_array) {
        Some(hops) => hops.iter().map(hop).collect::<Result<_, _>>()?,
        None => Some(hop(item)?).filter(|h| h.via.is_some() || h.dev.is_some()).into_iter().collect(),
    };
    // `pref` is printed for IPv6 routes only
    let v6 = item.get("pref").is_some();
    let family = next_hops.iter().find_map(|h| h.via).or(source).map_or(
        if v6 { Family::V6 } else { Family::V4 },
        // an IPv4 route may go through an IPv6 neighbour, which is then under `via`
        |ip| if item.get("via").is_some() { Family::V4 } else { Family::of(ip) },
    );
    let (table, target) = (text("table"), text("dst"));
    if target.is_empty() {
        return Err((item.to_string(), "not a route: it has no `dst`".to_owned()));
    }
    Ok(Route {
        destination: destination(&target, family).map_err(|reason| (target, reason))?,
        kind,
        next_hops,
        protocol: text("protocol"),
        scope: text("scope"),
        table: if table.is_empty() { "main".to_owned() } else { table },
        source,
        metric: optional(item.get("metric"), METRIC)?,
        flags: json_flags(item),
        attributes: json_attributes(item),
        line,
    })
}

fn json_address(value: Option<&Value>) -> Result<Option<IpAddr>, Wrong> {
    let text = scalar(value);
    if text.is_empty() {
        return Ok(None);
    }
    parse_ip(&text).map(|(ip, _)| Some(ip)).map_err(|_| (text, format!("not {ADDRESS}")))
}

fn json_flags(item: &Value) -> Vec<String> {
    let flags = item.get("flags").and_then(Value::as_array).into_iter().flatten();
    flags.map(|flag| scalar(Some(flag))).filter(|flag| !flag.is_empty()).collect()
}

/// A way out of several has no field for its flags.
fn json_hop_attributes(item: &Value) -> Vec<(String, String)> {
    let flags = json_flags(item).into_iter().map(|flag| (flag, String::new()));
    json_attributes(item).into_iter().chain(flags).collect()
}

/// Keys that have a field of their own.
const JSON_FIELDS: &[&str] = &[
    "dst", "gateway", "via", "dev", "weight", "prefsrc", "type", "protocol", "scope", "table", "metric", "flags",
    "nexthops",
];

/// What has no field, as it is written; `metrics` and the like hold objects of more of them.
fn json_attributes(item: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in item.as_object().into_iter().flatten() {
        match value {
            _ if JSON_FIELDS.contains(&name.as_str()) => {}
            Value::Array(inner) if inner.iter().all(Value::is_object) => {
                found.extend(inner.iter().flat_map(json_attributes));
            }
            Value::Object(_) | Value::Array(_) => found.push((name.clone(), value.to_string())),
            plain => found.push((name.clone(), scalar(Some(plain)))),
        }
    }
    found
}

fn destination(text: &str, family: Family) -> Result<Cidr, String> {
    if matches!(text, "default" | "all") {
        return Cidr::covering(family.address(0), 0).ok_or_else(|| "no default route".to_owned());
    }
    // the error's own words have the text in them, of any length
    let written = parse_cidr(text).map_err(|_| DESTINATION.to_owned())?;
    // a kernel has no such route, so what was meant is not known
    if written.flaws.contains(&Flaw::HostBits) {
        return Err(format!("bits behind its prefix are set; a kernel has {}", written.cidr));
    }
    Ok(written.cidr)
}

/// A word of a line, and what is wrong with it.
type Bad<'a> = (&'a str, String);

fn address(word: &str) -> Result<IpAddr, Bad<'_>> {
    parse_ip(word).map(|(ip, _)| ip).map_err(|_| (word, format!("not {ADDRESS}")))
}

fn text_routes(text: &str, problems: &mut Problems) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    // whether the route above could be read; ways out of an unreadable one belong to none
    let mut open = false;
    for (line, content) in (1..).zip(text.lines()) {
        let words: Vec<&str> = content.split_whitespace().collect();
        let Some(first) = words.first() else { continue };
        if is_prompt(content) || first.starts_with('#') {
            continue;
        }
        let bad = |(word, reason): Bad<'_>| Problem::new(line, column_of(content, word), word, reason);
        if *first == "nexthop" {
            match (hop_of(words.get(1..).unwrap_or_default()), routes.last_mut().filter(|_| open)) {
                (Ok(hop), Some(route)) => route.next_hops.push(hop),
                (Err(wrong), _) => problems.push(bad(wrong)),
                (_, None) => problems.push(bad((first, "a nexthop without a route before it".to_owned()))),
            }
            continue;
        }
        match text_route(&words, line) {
            Ok(route) => {
                routes.push(route);
                open = true;
            }
            Err(wrong) => {
                open = false;
                if crate::problem::is_failure(content) {
                    problems.unknown(line, content, "");
                } else {
                    problems.push(bad(wrong));
                }
            }
        }
    }
    routes
}

fn text_route<'a>(words: &[&'a str], line: usize) -> Result<Route, Bad<'a>> {
    let (kind, rest) = match words.split_first() {
        Some((first, rest)) => match RouteKind::named(first) {
            Some(kind) => (kind, rest),
            None => (RouteKind::Unicast, words),
        },
        None => (RouteKind::Unicast, words),
    };
    let last = words.last().copied().unwrap_or_default();
    let Some(target) = rest.first().copied() else {
        return Err((last, "no destination follows".to_owned()));
    };
    let options = rest.get(1..).unwrap_or_default();
    let multipath = options.iter().position(|word| *word == "nexthop");
    let (options, hops) = options.split_at(multipath.unwrap_or(options.len()));
    let options = Options::of(options);
    let hop = options.hop()?;
    let source = options.value("src").map(address).transpose()?;
    let v6 = options.value("pref").is_some();
    let through_inet6 = options.words("via").is_some_and(|via| via.first() == Some(&"inet6"));
    let family = match hop.via.filter(|_| !through_inet6).or(source) {
        Some(ip) => Family::of(ip),
        None if v6 => Family::V6,
        None => Family::V4,
    };
    if hop.via.is_some() && hop.dev.is_none() {
        return Err((last, "a neighbour without `dev`: the line is cut".to_owned()));
    }
    let next_hops = if multipath.is_some() {
        hops.split(|word| *word == "nexthop").skip(1).map(hop_of).collect::<Result<_, _>>()?
    } else {
        Some(hop).filter(|hop| hop.via.is_some() || hop.dev.is_some()).into_iter().collect()
    };
    let text = |name: &str| options.value(name).unwrap_or_default().to_owned();
    Ok(Route {
        destination: destination(target, family).map_err(|reason| (target, reason))?,
        kind,
        next_hops,
        protocol: text("proto"),
        scope: text("scope"),
        table: options.value("table").unwrap_or("main").to_owned(),
        source,
        metric: options.number("metric", METRIC)?,
        flags: options.flags(),
        attributes: options.attributes(),
        line,
    })
}

const FLAGS: &[&str] = &[
    "onlink",
    "linkdown",
    "dead",
    "pervasive",
    "offload",
    "notify",
    "unresolved",
    "trap",
    "rt_offload",
    "rt_trap",
    "offload_failed",
];

/// Options that have a field of their own, and one value; `via` may have the family before it.
const FIELDS: &[&str] = &["via", "dev", "weight", "src", "proto", "scope", "table", "metric"];

/// Options that have none.
const OTHERS: &[&str] = &[
    "mtu",
    "nhid",
    "encap",
    "pref",
    "advmss",
    "rtt",
    "rttvar",
    "reordering",
    "window",
    "cwnd",
    "initcwnd",
    "initrwnd",
    "ssthresh",
    "realm",
    "realms",
    "expires",
    "error",
    "hoplimit",
    "features",
    "quickack",
    "congctl",
    "rto_min",
    "fastopen_no_cookie",
    "ttl-propagate",
    "tos",
    "dsfield",
    "as",
    "from",
    "iif",
    "cache",
    "used",
    "users",
    "age",
];

/// The options of a route or a way out, each with its words.
struct Options<'w, 'a>(Vec<(&'a str, &'w [&'a str])>);

impl<'w, 'a> Options<'w, 'a> {
    fn of(mut words: &'w [&'a str]) -> Self {
        let is_name = |word: &&str| FIELDS.contains(word) || OTHERS.contains(word) || FLAGS.contains(word);
        let mut found = Vec::new();
        while let Some((name, rest)) = words.split_first() {
            let end = match *name {
                flag if FLAGS.contains(&flag) => 0,
                // what it wraps a packet in has options with the same names
                "encap" => rest.iter().position(|word| matches!(*word, "via" | "dev")).unwrap_or(rest.len()),
                name => {
                    let least = usize::from(FIELDS.contains(&name)).min(rest.len());
                    let more = rest.get(least..).unwrap_or_default();
                    least + more.iter().position(is_name).unwrap_or(more.len())
                }
            };
            let (values, left) = rest.split_at(end);
            found.push((*name, values));
            words = left;
        }
        Self(found)
    }

    fn words(&self, name: &str) -> Option<&'w [&'a str]> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, values)| *values)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.words(name)?.first().copied()
    }

    fn flags(&self) -> Vec<String> {
        self.0.iter().filter(|(name, _)| FLAGS.contains(name)).map(|(name, _)| (*name).to_owned()).collect()
    }

    fn attributes(&self) -> Vec<(String, String)> {
        let others = self.0.iter().filter(|(name, _)| !FLAGS.contains(name) && !FIELDS.contains(name));
        others.map(|(name, values)| ((*name).to_owned(), values.join(" "))).collect()
    }

    fn number(&self, name: &str, what: &str) -> Result<Option<u32>, Bad<'a>> {
        let number = |word: &'a str| word.parse().map_err(|_| (word, format!("not {what}")));
        self.value(name).map(number).transpose()
    }

    /// The way out that they name.
    fn hop(&self) -> Result<NextHop, Bad<'a>> {
        let via = match self.words("via") {
            Some(["inet" | "inet6", via, ..] | [via, ..]) => Some(*via),
            _ => None,
        };
        Ok(NextHop {
            via: via.map(address).transpose()?,
            dev: self.value("dev").map(str::to_owned),
            weight: self.number("weight", WEIGHT)?,
            attributes: Vec::new(),
        })
    }
}

/// A way out of several has no field for its flags.
fn hop_of<'a>(words: &[&'a str]) -> Result<NextHop, Bad<'a>> {
    let options = Options::of(words);
    let flags = options.flags().into_iter().map(|flag| (flag, String::new()));
    Ok(NextHop { attributes: options.attributes().into_iter().chain(flags).collect(), ..options.hop()? })
}

fn value_of<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied()
}

/// Reads interfaces from `ip -j addr` or `ip addr`, with what was not understood.
pub fn parse_addresses(text: &str) -> (Vec<Interface>, Vec<Problem>) {
    let mut problems = Problems::default();
    let interfaces =
        if is_json_list(text) { json_interfaces(text, &mut problems) } else { text_interfaces(text, &mut problems) };
    (interfaces, problems.into_vec())
}

fn json_interfaces(text: &str, problems: &mut Problems) -> Vec<Interface> {
    json_objects_in_part(text, problems, |item, _, wrong| {
        let name = scalar(item.get("ifname"));
        if name.is_empty() {
            return Err((item.to_string(), "not a link: ifname".to_owned()));
        }
        let mut interface = Interface {
            mtu: optional(item.get("mtu"), "an MTU")?,
            up: item.get("flags").and_then(Value::as_array).is_some_and(|flags| flags.iter().any(|f| f == "UP")),
            link_type: scalar(item.get("link_type")),
            addresses: Vec::new(),
            name,
        };
        for info in item.get("addr_info").and_then(Value::as_array).into_iter().flatten() {
            let (local, length) = (scalar(info.get("local")), scalar(info.get("prefixlen")));
            if local.is_empty() {
                continue;
            }
            match interface_address(&local, &length, scalar(info.get("scope"))) {
                Some(address) => interface.addresses.push(address),
                None => wrong.push((format!("{local}/{length}"), format!("{}: {NO_ADDRESS}", interface.name))),
            }
        }
        Ok(interface)
    })
}

const NO_ADDRESS: &str = "not an address with the length of its prefix";

fn interface_address(local: &str, length: &str, scope: String) -> Option<InterfaceAddress> {
    let (ip, _) = parse_ip(local).ok()?;
    let length = if length.is_empty() { Family::of(ip).bits() } else { length.parse().ok()? };
    let network = Cidr::covering(ip, length)?;
    Some(InterfaceAddress { ip, network, scope })
}

fn text_interfaces(text: &str, problems: &mut Problems) -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let words: Vec<&str> = content.split_whitespace().collect();
        match words.as_slice() {
            [index, name, rest @ ..] if is_index(index) => {
                let mtu = value_of(rest, "mtu");
                interfaces.push(Interface {
                    name: name.trim_end_matches(':').split('@').next().unwrap_or_default().to_owned(),
                    mtu: mtu.and_then(|mtu| mtu.parse().ok()),
                    up: rest.first().is_some_and(|flags| flags.trim_matches(['<', '>']).split(',').any(|f| f == "UP")),
                    ..Interface::default()
                });
                if let Some(mtu) = mtu.filter(|mtu| mtu.parse::<u32>().is_err()) {
                    problems.add(line, column_of(content, mtu), mtu, "not an MTU");
                }
            }
            [family, address, rest @ ..] if matches!(*family, "inet" | "inet6") => {
                let (local, length) = address.split_once('/').unwrap_or((address, ""));
                let scope = value_of(rest, "scope").unwrap_or_default().to_owned();
                match (interfaces.last_mut(), interface_address(local, length, scope)) {
                    (Some(interface), Some(address)) => interface.addresses.push(address),
                    (Some(_), None) => problems.add(line, column_of(content, address), address, NO_ADDRESS),
                    (None, _) => problems.add(line, column_of(content, family), content, "an address before any link"),
                }
            }
            [link, ..] if link.starts_with("link/") => {
                if let Some(interface) = interfaces.last_mut() {
                    link.trim_start_matches("link/").clone_into(&mut interface.link_type);
                }
            }
            // what is neither a link nor indented below one
            [..] if crate::problem::is_failure(content) => problems.unknown(line, content, ""),
            _ => {}
        }
    }
    interfaces
}

fn is_index(word: &str) -> bool {
    word.strip_suffix(':').is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    // the seed's flannel node
    const FLANNEL: &str = "default via 192.168.146.2 dev ens33 proto static metric 100 \n\
        10.244.0.0/24 dev cni0 proto kernel scope link src 10.244.0.1\n\
        10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n";

    #[test]
    fn text_of_a_flannel_node() {
        let (routes, errors) = parse_routes(FLANNEL);
        assert!(errors.is_empty());
        assert_eq!(routes.len(), 3);
        assert_eq!(routes[0].destination, cidr("0.0.0.0/0"));
        assert_eq!((routes[0].metric, routes[0].protocol.as_str()), (Some(100), "static"));
        assert_eq!(routes[1].source, Some("10.244.0.1".parse().unwrap()));
        assert_eq!(routes[2].via(), Some("10.244.1.0".parse().unwrap()));
        assert_eq!(routes[2].dev(), Some("flannel.1"));
        assert_eq!((routes[2].flags.as_slice(), routes[2].line), (["onlink".to_owned()].as_slice(), 3));
    }

    // from the three-node capture: both families in one list
    #[test]
    fn json_of_both_families() {
        let text = r#"[{"dst":"default","gateway":"172.31.77.1","dev":"eth0","flags":[]},
            {"type":"local","dst":"10.244.1.1","dev":"cni0","table":"local","protocol":"kernel","scope":"host","prefsrc":"10.244.1.1","flags":[]},
            {"dst":"fd00:244::/64","gateway":"fd77::2","dev":"eth0","metric":1024,"flags":[],"pref":"medium"},
            {"dst":"default","dev":"eth1","metric":1024,"flags":[],"pref":"medium"}]"#;
        let (routes, errors) = parse_routes(text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(routes[1].kind, RouteKind::Local);
        assert_eq!((routes[1].table.as_str(), routes[1].destination), ("local", cidr("10.244.1.1/32")));
        assert_eq!(routes[2].via(), Some("fd77::2".parse().unwrap()));
        assert_eq!(routes[3].destination, cidr("::/0"));
    }

    #[test]
    fn what_has_no_field_is_kept_as_it_is_written() {
        let (routes, errors) = parse_routes(
            "10.1.0.0/16 nhid 12 via 10.0.0.1 dev eth0 proto static metric 5 mtu lock 1400 onlink\n\
             10.2.0.0/16 nhid 7 encap ip id 100 src 192.0.2.1 dst 192.0.2.2 ttl 64 tos 0 via inet6 fe80::1 dev eth1 src 10.2.0.1\n\
             10.3.0.0/16 proto bird\n\tnexthop encap mpls 200 via 10.0.0.2 dev eth0 weight 3\n",
        );
        assert!(errors.is_empty());
        let pairs = |route: &Route| route.attributes.iter().map(|(a, b)| format!("{a}={b}")).collect::<Vec<_>>();
        assert_eq!(pairs(&routes[0]), ["nhid=12", "mtu=lock 1400"]);
        assert_eq!((routes[0].metric, routes[0].flags.as_slice()), (Some(5), ["onlink".to_owned()].as_slice()));
        assert_eq!(routes[1].attribute("encap"), Some("ip id 100 src 192.0.2.1 dst 192.0.2.2 ttl 64 tos 0"));
        assert_eq!(routes[1].source, Some("10.2.0.1".parse().unwrap()), "not the one that it is wrapped with");
        assert_eq!((routes[1].via(), routes[1].family()), (Some("fe80::1".parse().unwrap()), Family::V4));
        assert_eq!(routes[2].next_hops[0].attributes, [("encap".to_owned(), "mpls 200".to_owned())]);
        assert_eq!(routes[2].next_hops[0].weight, Some(3));

        let text = r#"[{"dst":"10.1.0.0/16","nhid":12,"gateway":"10.0.0.1","dev":"eth0","protocol":"static","metric":5,
            "flags":["onlink"],"metrics":[{"mtu":1400}],"novelty":{"a":[1]}}]"#;
        let (routes, errors) = parse_routes(text);
        assert!(errors.is_empty());
        let mut found = pairs(&routes[0]);
        found.sort();
        assert_eq!(found, ["mtu=1400", "nhid=12", "novelty={\"a\":[1]}"]);
    }

    #[test]
    fn several_ways_out() {
        let (routes, errors) = parse_routes(
            "10.1.0.0/16 proto bird\n\tnexthop via 10.0.0.1 dev eth0 weight 1\n\tnexthop via 10.0.0.2 dev eth0 weight 2\n\
             blackhole 10.2.0.0/26 proto bird\n",
        );
        assert!(errors.is_empty());
        assert_eq!(routes[0].next_hops.len(), 2);
        assert_eq!(routes[0].next_hops[1].weight, Some(2));
        assert_eq!((routes[1].kind.clone(), routes[1].next_hops.len()), (RouteKind::Blackhole, 0));
    }

    #[test]
    fn a_pasted_prompt_is_passed_over_and_rubbish_is_named() {
        let (routes, errors) = parse_routes("[root@n1 ~]# ip route\n10.0.0.0/8 via 10.1.1.1 dev eth0\nhello world\n");
        assert_eq!(routes.len(), 1);
        assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [3]);
        let (routes, errors) = parse_routes("[{\"dst\": \"10.0.0.0/8\"}, {\"dst\": ");
        assert_eq!((routes.len(), errors.len()), (1, 1), "what stands before the cut stays");
    }

    #[test]
    fn addresses_in_both_forms() {
        let text = "2: eth0@if4: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue\n    link/ether 56:07:de:8d:69:c6 brd ff:ff:ff:ff:ff:ff\n\
                    \x20   inet 172.31.77.3/24 scope global eth0\n    inet6 fd77::3/64 scope global nodad\n";
        let (interfaces, errors) = parse_addresses(text);
        assert!(errors.is_empty());
        let json = r#"[{"ifindex":2,"ifname":"eth0","flags":["BROADCAST","UP"],"mtu":1500,"link_type":"ether","addr_info":[
            {"family":"inet","local":"172.31.77.3","prefixlen":24,"scope":"global"},
            {"family":"inet6","local":"fd77::3","prefixlen":64,"scope":"global"}]},{}]"#;
        assert_eq!(parse_addresses(json).0, interfaces);
        assert_eq!(interfaces[0].addresses[0].network, cidr("172.31.77.0/24"));
    }
}
