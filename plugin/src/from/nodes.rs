//! Files that were read on a node: which probe's output they are, and which node they belong to.

use netcore::probe::{Probe, UNNAMED};

/// One file of a node's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFile {
    /// The node; `None` for a file that nothing connects with one.
    pub node: Option<String>,
    /// What it is.
    pub probe: Probe,
    /// Its name in the input.
    pub name: String,
    pub(super) file: super::store::FileId,
}

/// What a file holds, told by its first bytes and, where they leave it open, by its name.
pub(super) fn recognise(name: &str, head: &[u8]) -> Option<Probe> {
    let file = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let text = String::from_utf8_lossy(head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head));
    let by_content = match text.trim_start().bytes().next() {
        Some(b'{' | b'[') if is_json(&text) => json(&text),
        Some(_) => plain(&text, &file),
        None => None,
    };
    by_content.or_else(|| if looks_like_objects(&text) { None } else { by_name(&file) })
}

/// YAML and JSON objects keep their meaning whatever their file is called.
fn looks_like_objects(text: &str) -> bool {
    text.lines().take(200).any(|line| {
        let line = line.trim_start().trim_start_matches("- ").trim_start_matches('"');
        line.starts_with("apiVersion") || line.starts_with("kind:") || line.starts_with("kind\":")
    })
}

/// Whether text begins as JSON does; a prompt, `[root@node ~]#`, does not.
pub(super) fn is_json(text: &str) -> bool {
    let mut bytes = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    match (bytes.next(), bytes.next()) {
        (Some(b'{'), Some(b'"' | b'}') | None) | (Some(b'['), None) => true,
        (Some(b'['), Some(next)) => matches!(next, b'{' | b'[' | b']' | b'"' | b'-') || next.is_ascii_digit(),
        _ => false,
    }
}

fn json(text: &str) -> Option<Probe> {
    let text = text.trim_start();
    let has = |key: &str| text.contains(&format!("\"{key}\""));
    let array = text.starts_with('[');
    if array {
        return match () {
            () if has("apiVersion") => None,
            () if has("ifname") && (has("addr_info") || has("link_type")) => Some(Probe::Addresses),
            () if has("mac") && has("ifname") => Some(Probe::Fdb),
            () if has("lladdr") => Some(Probe::Neighbours),
            () if has("priority") && has("table") && !has("dev") => Some(Probe::Rules),
            () if has("dst") && (has("dev") || has("gateway") || has("nexthops")) => Some(Probe::Routes),
            () => None,
        };
    }
    let first_key = text.get(1..)?.trim_start().strip_prefix('"')?.split('"').next()?;
    match first_key {
        "nftables" => Some(Probe::NftRuleset),
        "kubeletconfig" | "kubeproxy.config.k8s.io" => Some(Probe::Configz),
        _ if has("cniVersion") && (has("plugins") || has("type")) && !has("apiVersion") => Some(Probe::CniConf),
        _ => None,
    }
}

fn plain(text: &str, file: &str) -> Option<Probe> {
    let trimmed = text.trim();
    if matches!(trimmed, "iptables" | "ipvs" | "nftables" | "userspace" | "kernelspace") {
        return Some(Probe::ProxyMode);
    }
    text.lines()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty())
        .take(12)
        .find_map(|line| one_line(line, file))
}

fn one_line(line: &str, file: &str) -> Option<Probe> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let second = words.next().unwrap_or_default();
    let third = words.next().unwrap_or_default();
    let number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    match first {
        "#" if line.starts_with("# Warning: ip") && line.contains("tables-legacy tables present") => {
            Some(if line.contains("ip6tables") { Probe::Ip6tablesSave } else { Probe::IptablesSave })
        }
        "#" if line.contains("tables") && line.contains("-save v") => Some(iptables(line, file)),
        "*nat" | "*filter" | "*mangle" | "*raw" | "*security" => Some(iptables(line, file)),
        "create" if third.contains(':') => Some(Probe::IpsetSave),
        "Name:" if !line.contains(',') && file.contains("set") => Some(Probe::IpsetSave),
        "table" if line.contains(" {") => Some(Probe::NftRuleset),
        "IP" if line.starts_with("IP Virtual Server version") => Some(Probe::IpvsTable),
        "-A" if matches!(second, "-t" | "-u" | "-f" | "--sctp-service") => Some(Probe::IpvsTable),
        "BIRD" => Some(Probe::BirdProtocols),
        "Module" if second == "Size" => Some(Probe::KernelModules),
        "default" if matches!(second, "via" | "dev" | "proto") => Some(Probe::Routes),
        "blackhole" | "unreachable" | "prohibit" | "local" | "broadcast" if is_prefix(second) => Some(Probe::Routes),
        "tcp" | "udp" | "sctp" | "icmp" | "ipv4" | "ipv6" if line.contains("src=") && line.contains("dst=") => {
            Some(Probe::Conntrack)
        }
        _ if line.starts_with("FLANNEL_") => Some(Probe::FlannelSubnetEnv),
        _ if first.starts_with("net.") && second == "=" => Some(Probe::Sysctls),
        _ if number(second) && number(third) && line.contains(" Live 0x") => Some(Probe::KernelModules),
        _ if first.ends_with(':') && line.contains(" lookup ") => Some(Probe::Rules),
        _ if first.ends_with(':') && second.ends_with(':') && third.starts_with('<') => Some(Probe::Addresses),
        _ if is_mac(first) && second == "dev" => Some(Probe::Fdb),
        _ if is_prefix(first) && matches!(second, "dev" | "via") => {
            if line.contains(" lladdr ") || line.ends_with("FAILED") {
                Some(Probe::Neighbours)
            } else {
                Some(Probe::Routes)
            }
        }
        _ => None,
    }
}

fn iptables(line: &str, file: &str) -> Probe {
    let six = line.contains("ip6tables") || file.contains("ip6tables");
    let legacy = line.contains("legacy") || (file.contains("legacy") && !file.contains("while-legacy"));
    match (six, legacy) {
        (false, false) => Probe::IptablesSave,
        (true, false) => Probe::Ip6tablesSave,
        (false, true) => Probe::IptablesLegacySave,
        (true, true) => Probe::Ip6tablesLegacySave,
    }
}

fn is_prefix(word: &str) -> bool {
    word.split('/').next().is_some_and(|address| address.parse::<std::net::IpAddr>().is_ok())
}

fn is_mac(word: &str) -> bool {
    word.len() == 17
        && word.split(':').count() == 6
        && word.bytes().all(|byte| byte == b':' || byte.is_ascii_hexdigit())
}

/// The probe whose file name this is, with any extension and the endings that people use.
fn by_name(file: &str) -> Option<Probe> {
    let stem = file.trim_end_matches(".gz").trim_end_matches(".xz");
    let stem = stem.split('.').next().unwrap_or(stem);
    let stem = stem.trim_end_matches("-c");
    Some(match stem {
        "iptables-save" | "iptables-nft-save" => Probe::IptablesSave,
        "ip6tables-save" | "ip6tables-nft-save" => Probe::Ip6tablesSave,
        "iptables-legacy-save" => Probe::IptablesLegacySave,
        "ip6tables-legacy-save" => Probe::Ip6tablesLegacySave,
        "ipset" | "ipset-save" | "ipset-list" => Probe::IpsetSave,
        "nft" | "nft-ruleset" => Probe::NftRuleset,
        "ipvsadm" | "ipvsadm-sn" | "ipvsadm-ln" | "ipvsadm-l-n" | "proc_net_ip_vs" | "ip_vs" => Probe::IpvsTable,
        "ip-addr" | "ipaddr" => Probe::Addresses,
        "ip-route" => Probe::Routes,
        "proxymode" => Probe::ProxyMode,
        "configz" | "kubelet-configz" | "kube-proxy-configz" => Probe::Configz,
        "cni-conf" => Probe::CniConf,
        "subnet" if file.starts_with("subnet.env") => Probe::FlannelSubnetEnv,
        "birdcl-protocols" => Probe::BirdProtocols,
        "modules" | "lsmod" => Probe::KernelModules,
        "conntrack" => Probe::Conntrack,
        "ip-neigh" => Probe::Neighbours,
        "bridge-fdb" => Probe::Fdb,
        "ip-rule" => Probe::Rules,
        "sysctl" | "sysctls" => Probe::Sysctls,
        _ => return None,
    })
}

/// The node that a path names itself: `…/nodes/NAME/…`; a recording writes `-` where it is not known.
pub(super) fn node_in_path(name: &str) -> Option<&str> {
    let mut parts = name.split('/').rev().skip(1);
    let mut child = parts.next()?;
    for parent in parts {
        if parent == "nodes" {
            return (child != UNNAMED).then_some(child);
        }
        child = parent;
    }
    None
}

/// The folder that a file lies in, with its path.
pub(super) fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Every address that an `ip -j addr` or `ip addr` output shows on an interface.
pub(super) fn addresses(text: &str) -> Vec<std::net::IpAddr> {
    if let Ok(links) = serde_json::from_str::<Vec<serde_json::Value>>(text) {
        let infos = links.iter().filter_map(|link| link.get("addr_info")?.as_array()).flatten();
        return infos.filter_map(|info| info.get("local")?.as_str()?.parse().ok()).collect();
    }
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("inet")?.trim_start_matches('6').split_whitespace().next())
        .filter_map(|prefix| prefix.split('/').next()?.parse().ok())
        .collect()
}

/// The name that a `configz` answer gives its node.
pub(super) fn configured_name(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let config = value.as_object()?.values().next()?;
    ["hostnameOverride", "nodeName"]
        .iter()
        .filter_map(|field| config.get(field)?.as_str())
        .find(|name| !name.is_empty())
        .map(str::to_owned)
}
