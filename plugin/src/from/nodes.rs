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
        Some(b'{' | b'[') if is_json(&text) => json(&text, &file),
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

fn json(text: &str, file: &str) -> Option<Probe> {
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
        _ if file.ends_with(".conflist") => Some(Probe::CniConf),
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
        "Type:"
            if second.contains(':') && ["hash:", "bitmap:", "list:"].iter().any(|kind| second.starts_with(kind)) =>
        {
            Some(Probe::IpsetSave)
        }
        // `iptables -L`, `iptables -S`
        "Chain" if line.contains("(policy ") || line.ends_with("references)") => Some(iptables(line, file)),
        "-P" | "-N" if third.is_empty() || matches!(third, "ACCEPT" | "DROP") => Some(iptables(line, file)),
        "#" if line.starts_with("# Warning: table ") => Some(Probe::NftRuleset),
        "IP" if line.starts_with("IP Virtual Server version") => Some(Probe::IpvsTable),
        "IPVS" if line.starts_with("IPVS connection entries") => Some(Probe::IpvsTable),
        "Pro" if second == "FromIP" => Some(Probe::IpvsTable),
        "Prot" if second.starts_with("LocalAddress") => Some(Probe::IpvsTable),
        "Timeout" if line.starts_with("Timeout (tcp tcpfin udp)") => Some(Probe::IpvsTable),
        "Kernel" if line.starts_with("Kernel IP") && line.contains("routing table") => Some(Probe::Routes),
        "Destination" if line.contains("Genmask") || line.contains("Next Hop") => Some(Probe::Routes),
        "Iface" if second == "Destination" && third == "Gateway" => Some(Probe::Routes),
        "==>" if line.ends_with("/modules.builtin <==") || line.ends_with("/modules.dep <==") => {
            Some(Probe::ModuleFiles)
        }
        "==>" if line.ends_with("<==") && [".conf", ".conflist", ".json"].iter().any(|end| second.ends_with(end)) => {
            Some(Probe::CniConf)
        }
        "-A" if matches!(second, "-t" | "-u" | "-f" | "--sctp-service") => Some(Probe::IpvsTable),
        "#" if second == "HELP" && (third.starts_with("kubeproxy_") || file.contains("proxy-metrics")) => {
            Some(Probe::ProxyMetrics)
        }
        "BIRD" => Some(bird(file)),
        "0001" if second == "BIRD" => Some(bird(file)),
        _ if first.eq_ignore_ascii_case("name") && second.eq_ignore_ascii_case("proto") => Some(bird(file)),
        // calicoctl node status
        "Calico" if line.starts_with("Calico process is ") => Some(Probe::BirdProtocols),
        "|" if line.starts_with("| PEER ADDRESS") => Some(Probe::BirdProtocols),
        "Module" if second == "Size" => Some(Probe::KernelModules),
        "default" if matches!(second, "via" | "dev" | "proto") => Some(Probe::Routes),
        "blackhole" | "unreachable" | "prohibit" | "throw" | "local" | "broadcast" | "multicast" | "anycast"
            if is_prefix(second) =>
        {
            Some(Probe::Routes)
        }
        _ if line.matches(" src=").count() == 2 && line.matches(" dst=").count() == 2 => Some(Probe::Conntrack),
        _ if line.starts_with("FLANNEL_") => Some(Probe::FlannelSubnetEnv),
        _ if first.starts_with("net.") && second == "=" => Some(Probe::Sysctls),
        _ if number(second) && number(third) && line.contains(" Live 0x") => Some(Probe::KernelModules),
        _ if first.ends_with(':') && line.contains(" lookup ") => Some(Probe::Rules),
        _ if first.ends_with(':') && second.ends_with(':') && third.starts_with('<') => Some(Probe::Addresses),
        // `ifconfig`
        _ if first.ends_with(':') && second.starts_with("flags=") && second.contains('<') => Some(Probe::Addresses),
        _ if is_ipv6_route(line) => Some(Probe::Routes),
        _ if is_bird_route(line) => Some(bird(file)),
        _ if is_mac(first) && second == "dev" => Some(Probe::Fdb),
        _ if is_prefix(first) && matches!(second, "dev" | "via") => {
            if line.contains(" lladdr ") || line.ends_with("FAILED") {
                Some(Probe::Neighbours)
            } else {
                Some(Probe::Routes)
            }
        }
        _ => failure(line, file),
    }
}

/// A line of `/proc/net/ipv6_route`.
fn is_ipv6_route(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let lengths = [32, 2, 32, 2, 32, 8, 8, 8, 8];
    let hex = |word: &str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
    words.len() == 10 && words.iter().zip(lengths).all(|(word, length)| word.len() == length && hex(word))
}

/// `10.0.0.0/8  via 10.0.0.1 on eth0 [kernel1 03:44:05] * (10)`.
fn is_bird_route(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next().is_some_and(|word| word.contains('/') && is_prefix(word))
        && matches!(words.next(), Some("via" | "dev" | "unicast" | "blackhole" | "unreachable" | "prohibit"))
        && line.contains(" [")
        && line.contains("] ")
}

/// What a shell or a tool says instead of an answer still tells what was asked.
fn failure(line: &str, file: &str) -> Option<Probe> {
    let failed = ["command not found", ": not found", "ermission denied", "not permitted", "an't initialize"];
    if !failed.iter().any(|sign| line.contains(sign)) {
        return None;
    }
    let words = line.split(|c: char| c.is_whitespace() || c == ':' || c == '/');
    words.into_iter().find_map(|word| match word {
        "ipvsadm" | "ipvs" => Some(Probe::IpvsTable),
        "iptables-save"
        | "ip6tables-save"
        | "iptables-nft-save"
        | "iptables-legacy-save"
        | "iptables"
        | "ip6tables" => Some(iptables(line, file)),
        "ipset" => Some(Probe::IpsetSave),
        "nft" => Some(Probe::NftRuleset),
        "birdcl" | "birdc" | "bird.ctl" => Some(Probe::BirdProtocols),
        "conntrack" => Some(Probe::Conntrack),
        "lsmod" => Some(Probe::KernelModules),
        "sysctl" => Some(Probe::Sysctls),
        _ => None,
    })
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

/// Which of BIRD's answers it is: they are alike, and those of a recording are told by their names.
fn bird(file: &str) -> Probe {
    match file.split('.').next() {
        Some("birdcl-route") => Probe::BirdRoutes,
        Some("birdcl6-protocols") => Probe::Bird6Protocols,
        Some("birdcl6-route") => Probe::Bird6Routes,
        _ => Probe::BirdProtocols,
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
        "ip-addr" | "ipaddr" | "ip-link" | "ifconfig" => Probe::Addresses,
        "ip-route" | "proc_net_route" | "ipv6_route" | "route-n" => Probe::Routes,
        "proxymode" => Probe::ProxyMode,
        "configz" | "kubelet-configz" | "kube-proxy-configz" => Probe::Configz,
        "cni-conf" => Probe::CniConf,
        "subnet" if file.starts_with("subnet.env") => Probe::FlannelSubnetEnv,
        "birdcl-protocols" | "birdcl" | "birdc" => Probe::BirdProtocols,
        "birdcl-route" | "birdcl6-protocols" | "birdcl6-route" => bird(file),
        "modules" | "lsmod" => Probe::KernelModules,
        "conntrack" | "nf_conntrack" | "conntrack-list" => Probe::Conntrack,
        "ip-neigh" => Probe::Neighbours,
        "bridge-fdb" => Probe::Fdb,
        "ip-rule" => Probe::Rules,
        "sysctl" | "sysctls" => Probe::Sysctls,
        "kube-proxy-metrics" => Probe::ProxyMetrics,
        "modules-available" => Probe::ModuleFiles,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_tool_prints_is_known_whatever_the_file_is_called() {
        let known = [
            ("IPVS connection entries\npro expire state  source\n", Probe::IpvsTable),
            ("Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State\n", Probe::IpvsTable),
            ("Can't initialize ipvs: Permission denied (you must be root)\n", Probe::IpvsTable),
            ("bash: ipvsadm: command not found\n", Probe::IpvsTable),
            ("Chain INPUT (policy ACCEPT 12 packets, 720 bytes)\n", Probe::IptablesSave),
            ("Chain KUBE-SERVICES (2 references)\n", Probe::IptablesSave),
            ("-P INPUT ACCEPT\n-N KUBE-SERVICES\n", Probe::IptablesSave),
            ("Kernel IP routing table\nDestination     Gateway\n", Probe::Routes),
            ("Iface\tDestination\tGateway \tFlags\n", Probe::Routes),
            (
                "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n",
                Probe::Routes,
            ),
            ("10.0.0.0/26  via 10.0.0.1 on eth0 [Mesh_10_0_0_1 03:44:05] * (100/0) [i]\n", Probe::BirdProtocols),
            ("0001 BIRD 1.6.8 ready.\n", Probe::BirdProtocols),
            ("name     proto    table    state  since       info\n", Probe::BirdProtocols),
            ("ipv4     2 tcp      6 1 CLOSE src=1.1.1.1 dst=2.2.2.2 src=2.2.2.2 dst=1.1.1.1 use=2\n", Probe::Conntrack),
            ("Module                  Size  Used by\n", Probe::KernelModules),
            ("eth0: flags=4163<UP,BROADCAST>  mtu 1500\n", Probe::Addresses),
            ("table ip kube-proxy { # handle 3\n", Probe::NftRuleset),
            ("==> 10-calico.conflist <==\n{}\n", Probe::CniConf),
        ];
        for (text, probe) in known {
            assert_eq!(recognise("some/file.txt", text.as_bytes()), Some(probe), "{text}");
        }
        assert_eq!(recognise("x.txt", b"Destination: somewhere\nChain of command\n"), None);
        assert_eq!(recognise("10-x.conflist", b"{\"name\": \"x\", \"plugins\": []}"), Some(Probe::CniConf));
    }
}
