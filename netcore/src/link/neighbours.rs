//! `ip neigh` and `bridge fdb`, in text and in JSON.

use std::net::IpAddr;

use super::model::{FdbEntry, Neighbour};
use crate::{
    problem::{Problem, Problems},
    text::{json_objects, optional, scalar, scalars},
    words::{Words, is_json_list, is_prompt},
};

/// Reads each line of a text.
pub(super) fn lines<T>(
    text: &str,
    problems: &mut Problems,
    valid: &str,
    mut read: impl FnMut(Words<'_>) -> Result<Option<T>, Problem>,
) -> Vec<T> {
    let mut found = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim().is_empty() || is_prompt(content) {
            continue;
        }
        match read(Words::new(line, content)) {
            Ok(Some(item)) => found.push(item),
            Ok(None) => problems.unknown(line, content, valid),
            Err(error) => problems.push(error),
        }
    }
    found
}

/// Reads `ip neigh` or `ip -j neigh`, with what was not understood.
pub fn parse_neighbours(text: &str) -> (Vec<Neighbour>, Vec<Problem>) {
    let mut problems = Problems::default();
    let found = if is_json_list(text) {
        json_objects(text, &mut problems, |item, line| {
            let bad = || (item.to_string(), "not a neighbour: dst and dev".to_owned());
            Ok(Neighbour {
                address: optional(item.get("dst"), "an address")?.ok_or_else(bad)?,
                dev: scalar(item.get("dev")),
                link_address: Some(scalar(item.get("lladdr"))).filter(|mac| !mac.is_empty()),
                states: scalars(item.get("state")),
                router: item.get("router").is_some(),
                line,
            })
        })
    } else {
        lines(text, &mut problems, "a neighbour: ADDRESS dev LINK lladdr MAC STATE", neighbour)
    };
    (found, problems.into_vec())
}

fn neighbour(mut words: Words<'_>) -> Result<Option<Neighbour>, Problem> {
    let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { return Ok(None) };
    let mut found = Neighbour {
        address,
        dev: String::new(),
        link_address: None,
        states: Vec::new(),
        router: false,
        line: words.line(),
    };
    while let Some(word) = words.next() {
        match word {
            "dev" => words.need("a link")?.clone_into(&mut found.dev),
            "lladdr" => found.link_address = Some(words.need("a link address")?.to_owned()),
            "router" => found.router = true,
            // the cache's own numbers, with -s
            "used" | "probes" | "ref" | "nomaster" | "vrf" | "extern_valid" | "extern_learn" | "proxy" => {
                if matches!(word, "used" | "probes" | "ref" | "vrf") {
                    words.next();
                }
            }
            _ if word.bytes().all(|b| b.is_ascii_uppercase()) => found.states.push(word.to_owned()),
            _ => return Err(words.error("not a part of a neighbour: dev, lladdr, router or a state")),
        }
    }
    Ok(Some(found))
}

/// Reads `bridge fdb` or `bridge -j fdb`, with what was not understood.
pub fn parse_fdb(text: &str) -> (Vec<FdbEntry>, Vec<Problem>) {
    let mut problems = Problems::default();
    let found = if is_json_list(text) {
        json_objects(text, &mut problems, |item, line| {
            let mut flags = scalars(item.get("flags"));
            flags.sort_unstable();
            let found = FdbEntry {
                mac: scalar(item.get("mac")),
                dev: scalar(item.get("ifname")),
                dst: optional(item.get("dst"), "an address")?,
                vni: optional(item.get("vni"), "a network number")?,
                vlan: optional(item.get("vlan"), "a VLAN number")?,
                master: Some(scalar(item.get("master"))).filter(|master| !master.is_empty()),
                flags,
                state: scalar(item.get("state")),
                line,
            };
            if found.mac.is_empty() {
                return Err((item.to_string(), "not a forwarding entry: mac and ifname".to_owned()));
            }
            Ok(found)
        })
    } else {
        lines(text, &mut problems, "a forwarding entry: MAC dev LINK", entry)
    };
    (found, problems.into_vec())
}

fn entry(mut words: Words<'_>) -> Result<Option<FdbEntry>, Problem> {
    let Some(mac) = words.next().filter(|word| word.len() == 17 && word.matches(':').count() == 5) else {
        return Ok(None);
    };
    let mut found = FdbEntry { mac: mac.to_owned(), line: words.line(), ..FdbEntry::default() };
    while let Some(word) = words.next() {
        match word {
            "dev" => words.need("a link")?.clone_into(&mut found.dev),
            "dst" => found.dst = Some(words.value("an address")?),
            "vni" => found.vni = Some(words.value("a network number")?),
            "vlan" => found.vlan = Some(words.value("a VLAN number")?),
            "master" => found.master = Some(words.need("a bridge")?.to_owned()),
            "permanent" | "static" | "stale" => word.clone_into(&mut found.state),
            "src_vni" | "port" | "via" | "link-netnsid" | "nhid" | "used" => {
                words.next();
            }
            _ => found.flags.push(word.to_owned()),
        }
    }
    found.flags.sort_unstable();
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_both_forms() {
        let text = "172.31.77.1 dev eth0 lladdr 52:54:00:77:00:01 REACHABLE\n10.244.1.0 dev flannel.1 lladdr aa:bb:cc:dd:ee:ff PERMANENT\n\
            fe80::1 dev eth0 lladdr 52:54:00:77:00:01 router STALE\n10.0.0.9 dev eth0  FAILED\n";
        let json = r#"[{"dst":"172.31.77.1","dev":"eth0","lladdr":"52:54:00:77:00:01","state":["REACHABLE"]},
            {"dst":"10.244.1.0","dev":"flannel.1","lladdr":"aa:bb:cc:dd:ee:ff","state":["PERMANENT"]},
            {"dst":"fe80::1","dev":"eth0","lladdr":"52:54:00:77:00:01","router":null,"state":["STALE"]},
            {"dst":"10.0.0.9","dev":"eth0","state":["FAILED"]}]"#;
        let (found, errors) = parse_neighbours(text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(found, parse_neighbours(json).0);
        assert!(found[2].router && found[3].link_address.is_none());
    }

    #[test]
    fn forwarding_entries_in_both_forms() {
        let text = "33:33:00:00:00:01 dev eth0 self permanent\naa:bb:cc:dd:ee:ff dev flannel.1 dst 172.31.77.3 self permanent\n\
            01:02:03:04:05:06 dev veth1 vlan 1 master cni0 permanent\n";
        let json = r#"[{"mac":"33:33:00:00:00:01","ifname":"eth0","flags":["self"],"state":"permanent"},
            {"mac":"aa:bb:cc:dd:ee:ff","ifname":"flannel.1","dst":"172.31.77.3","flags":["self"],"state":"permanent"},
            {"mac":"01:02:03:04:05:06","ifname":"veth1","vlan":1,"flags":[],"master":"cni0","state":"permanent"}]"#;
        let (found, errors) = parse_fdb(text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(found, parse_fdb(json).0);
    }

    #[test]
    fn rubbish_is_named() {
        let (found, errors) = parse_neighbours("ip: command not found\n10.0.0.1 dev eth0 lladdr\n");
        assert!(found.is_empty());
        assert_eq!((errors[0].reason.as_str(), errors[1].column), ("the command failed", 25));
        assert_eq!(parse_fdb("[{\"mac\":").1.len(), 1);
    }
}
