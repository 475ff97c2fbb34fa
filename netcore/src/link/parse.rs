//! `ip link` and `ip addr`, also with `-d`, in text and in JSON; `ifconfig`.

use serde_json::Value;

use super::model::{Detail, Link};
use crate::{
    problem::{Problem, Problems},
    text::{Wrong, json_objects, optional, scalar},
    words::{Words, column_of, is_json_list, is_prompt},
};

/// Reads links, with what was not understood.
pub fn parse_links(text: &str) -> (Vec<Link>, Vec<Problem>) {
    let mut problems = Problems::default();
    let found = if is_json_list(text) {
        json_objects(text, &mut problems, |item, _| json_link(item))
    } else {
        text_links(text, &mut problems)
    };
    (found, problems.into_vec())
}

fn json_link(item: &Value) -> Result<Link, Wrong> {
    let text = |name: &str| Some(scalar(item.get(name))).filter(|text| !text.is_empty());
    let number = |value: Option<&Value>| value.and_then(Value::as_u64);
    let name = text("ifname").ok_or_else(|| (item.to_string(), "not a link: ifname".to_owned()))?;
    let data = item.pointer("/linkinfo/info_data");
    let of = |name: &str| data.and_then(|data| data.get(name));
    let address = |names: [&str; 2]| names.iter().find_map(|name| scalar(of(name)).parse().ok());
    Ok(Link {
        index: optional(item.get("ifindex"), "a link's number")?,
        peer: text("link"),
        mtu: optional(item.get("mtu"), "an MTU")?,
        up: item.get("flags").and_then(Value::as_array).is_some_and(|flags| flags.iter().any(|flag| flag == "UP")),
        state: text("operstate"),
        master: text("master"),
        link_type: text("link_type").unwrap_or_default(),
        address: text("address"),
        kind: item.pointer("/linkinfo/info_kind").and_then(Value::as_str).map(str::to_owned),
        detail: Detail {
            vni: number(of("id")).and_then(|n| u32::try_from(n).ok()).filter(|_| of("port").is_some()),
            port: number(of("port")).and_then(|n| u16::try_from(n).ok()),
            local: address(["local", "local6"]),
            remote: address(["remote", "remote6"]).or_else(|| address(["group", "group6"])),
            lower: Some(scalar(of("link"))).filter(|link| !link.is_empty()),
            learning: of("learning").and_then(Value::as_bool),
            vlan: number(of("id")).and_then(|n| u16::try_from(n).ok()).filter(|_| of("protocol").is_some()),
        },
        name,
    })
}

fn text_links(text: &str, problems: &mut Problems) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim().is_empty() || is_prompt(content) {
            continue;
        }
        if let Some(link) = head(content) {
            if let (None, Some(word)) = (link.mtu, content.split_whitespace().skip_while(|word| *word != "mtu").nth(1))
            {
                problems.add(line, column_of(content, word), word, "not an MTU");
            }
            links.push(link);
            continue;
        }
        match links.last_mut() {
            Some(link) if content.starts_with(char::is_whitespace) => about(link, Words::new(line, content)),
            _ => problems.unknown(line, content, "a link: `2: eth0: <…> mtu 1500`, or its details indented below"),
        }
    }
    links
}

/// `4: eth0@if5: <BROADCAST,UP> mtu 1500 qdisc noqueue master cni0 state UP`, or `ifconfig`'s
/// `eth0: flags=4163<UP,BROADCAST>  mtu 1500`.
fn head(content: &str) -> Option<Link> {
    if content.starts_with(char::is_whitespace) {
        return None;
    }
    let mut words = content.split_whitespace();
    let first = words.next()?.strip_suffix(':')?;
    let (index, name, flags) = match first.parse::<u32>() {
        Ok(index) => (Some(index), words.next()?.trim_end_matches(':'), words.next()?),
        Err(_) => (None, first, words.next().filter(|flags| flags.starts_with("flags="))?),
    };
    let inside = flags.split_once('<')?.1.trim_end_matches('>');
    let (name, peer) = name.split_once('@').map_or((name, None), |(name, peer)| (name, Some(peer)));
    let words: Vec<&str> = words.collect();
    let after = |key: &str| words.iter().position(|word| *word == key).and_then(|at| words.get(at + 1)).copied();
    Some(Link {
        index,
        name: name.to_owned(),
        // `if5` is a number in another namespace, no name
        peer: peer.filter(|peer| *peer != "NONE" && !is_foreign(peer)).map(str::to_owned),
        mtu: after("mtu").and_then(|mtu| mtu.parse().ok()),
        up: inside.split(',').any(|flag| flag == "UP"),
        state: after("state").map(str::to_owned),
        master: after("master").map(str::to_owned),
        ..Link::default()
    })
}

fn is_foreign(peer: &str) -> bool {
    peer.strip_prefix("if").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
}

/// The kinds of link whose details begin a line.
const KINDS: [&str; 20] = [
    "vxlan",
    "veth",
    "bridge",
    "dummy",
    "ipip",
    "sit",
    "gre",
    "gretap",
    "vlan",
    "bond",
    "tun",
    "wireguard",
    "macvlan",
    "ipvlan",
    "vrf",
    "ip6tnl",
    "ip6gre",
    "geneve",
    "bridge_slave",
    "ifb",
];

fn about(link: &mut Link, mut words: Words<'_>) {
    let Some(first) = words.next() else { return };
    if let Some(kind) = first.strip_prefix("link/") {
        kind.clone_into(&mut link.link_type);
        link.address = words.next().filter(|word| !matches!(*word, "promiscuity" | "brd")).map(str::to_owned);
        return;
    }
    if first == "ether" {
        "ether".clone_into(&mut link.link_type);
        link.address = words.next().map(str::to_owned);
        return;
    }
    if !KINDS.contains(&first) || link.kind.is_some() || first == "bridge_slave" {
        return;
    }
    link.kind = Some(first.to_owned());
    let detail = &mut link.detail;
    if matches!(first, "ipip" | "sit" | "gre") {
        // the mode may stand first
        let _ = words.take_word("any") || words.take_word("ipip") || words.take_word("ip6ip");
    }
    while let Some(word) = words.next() {
        match word {
            "id" if first == "vxlan" => detail.vni = words.next().and_then(|n| n.parse().ok()),
            "id" if first == "vlan" => detail.vlan = words.next().and_then(|n| n.parse().ok()),
            "dstport" => detail.port = words.next().and_then(|n| n.parse().ok()),
            "local" => detail.local = words.next().and_then(|ip| ip.parse().ok()),
            "remote" | "group" => detail.remote = words.next().and_then(|ip| ip.parse().ok()),
            "dev" => detail.lower = words.next().map(str::to_owned),
            "nolearning" => detail.learning = Some(false),
            "learning" => detail.learning = Some(true),
            _ => {}
        }
    }
    if first == "vxlan" && detail.learning.is_none() {
        detail.learning = Some(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_of_a_flannel_node() {
        let text = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\n    \
            link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0 minmtu 0 maxmtu 0 \n\
            5: flannel.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default \n    \
            link/ether aa:bb:cc:dd:ee:01 brd ff:ff:ff:ff:ff:ff promiscuity 0 minmtu 68 maxmtu 65535 \n    \
            vxlan id 1 local 172.31.77.2 dev eth0 srcport 0 0 dstport 8472 nolearning ttl auto ageing 300 udpcsum \n\
            7: veth9@if2: <BROADCAST,UP> mtu 1450 qdisc noqueue master cni0 state UP group default \n    \
            link/ether aa:bb:cc:dd:ee:02 brd ff:ff:ff:ff:ff:ff link-netnsid 0 promiscuity 1 \n    veth \n    \
            bridge_slave state forwarding priority 32 \n";
        let json = r#"[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"],"mtu":65536,"operstate":"UNKNOWN","link_type":"loopback","address":"00:00:00:00:00:00"},
            {"ifindex":5,"ifname":"flannel.1","flags":["UP"],"mtu":1450,"operstate":"UNKNOWN","link_type":"ether","address":"aa:bb:cc:dd:ee:01",
             "linkinfo":{"info_kind":"vxlan","info_data":{"id":1,"local":"172.31.77.2","link":"eth0","port":8472,"learning":false}}},
            {"ifindex":7,"link_index":2,"ifname":"veth9","flags":["UP"],"mtu":1450,"master":"cni0","operstate":"UP","link_type":"ether","address":"aa:bb:cc:dd:ee:02",
             "linkinfo":{"info_kind":"veth","info_slave_kind":"bridge"}},{}]"#;
        let (found, errors) = parse_links(text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(found, parse_links(json).0);
        assert_eq!((found[1].detail.vni, found[1].detail.port), (Some(1), Some(8472)));
    }

    #[test]
    fn ifconfig_tells_name_and_mtu() {
        let text = "cni0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1450\n        inet 10.244.0.1  netmask 255.255.255.0\n        \
            ether aa:bb:cc:dd:ee:03  txqueuelen 1000  (Ethernet)\n";
        let (found, errors) = parse_links(text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!((found[0].mtu, found[0].up, found[0].link_type.as_str()), (Some(1450), true, "ether"));
    }

    #[test]
    fn rubbish_is_named() {
        let (found, errors) = parse_links("bash: ip: command not found\n\u{0}\u{7}\n");
        assert!(found.is_empty());
        assert_eq!(errors.len(), 2);
    }
}
