//! How a plugin is set up, out of what the kernel, its configuration and its installer say: what moves
//! packets, how they are wrapped, who hands out addresses.

use std::collections::BTreeSet;

use super::{
    catalogue::Kind,
    detect::{chosen, kind_of_conf},
    facts::Facts,
    reading::Reading,
};
use crate::{calico::Pool, iptables::Backend, proxy::Mode};

/// `iptables`, `iptables (nft)`, `nftables`, `ebpf`, `ovs`; nothing where it is not known.
pub(super) fn dataplane(facts: &Facts, kind: Kind, mode: Option<Mode>) -> Option<String> {
    let value = |name: &'static str| facts.value(kind, name);
    let text = match kind {
        Kind::Calico | Kind::Canal => return calico_dataplane(facts, mode),
        Kind::Cilium | Kind::GkeDataplaneV2 => "ebpf",
        Kind::Antrea | Kind::OvnKubernetes | Kind::KubeOvn => "ovs",
        Kind::Flannel => match value("EnableNFTables") {
            Some("true") => "nftables",
            _ => {
                return iptables(facts, kind)
                    .or_else(|| facts.config_maps.iter().any(|(of, _)| *of == kind).then(|| "iptables".to_owned()));
            }
        },
        Kind::Terway => match value("eniip_virtual_type").map(str::to_ascii_lowercase).as_deref() {
            Some("datapathv2" | "ipvlan") => "ebpf",
            _ => return None,
        },
        Kind::KubeRouter | Kind::Weave | Kind::AwsVpc => "iptables",
        Kind::Azure | Kind::Spiderpool | Kind::Multus | Kind::Kindnet | Kind::Reference => return None,
    };
    Some(text.to_owned())
}

/// `iptables (nft)`, by the backend that holds a plugin's chains.
fn iptables(facts: &Facts, kind: Kind) -> Option<String> {
    let owned =
        facts.readings.values().flat_map(|reading| reading.owned.iter().flatten()).filter(|(of, _)| **of == kind);
    let mut words: BTreeSet<&str> = BTreeSet::new();
    for (_, owned) in owned {
        words.extend(owned.backends.iter().map(|backend| match backend {
            Backend::Nft => "iptables (nft)",
            Backend::Legacy => "iptables (legacy)",
        }));
        words.extend(owned.tables.first().map(|_| "nftables"));
    }
    (!words.is_empty()).then(|| words.into_iter().collect::<Vec<_>>().join(", "))
}

fn calico_dataplane(facts: &Facts, mode: Option<Mode>) -> Option<String> {
    let value = |name: &'static str| facts.value(Kind::Calico, name);
    let bpf = value("bpfEnabled").or_else(|| value("FELIX_BPFENABLED"));
    let told = value("linuxDataplane");
    if bpf == Some("true") || told == Some("BPF") {
        return Some("ebpf".to_owned());
    }
    if told == Some("VPP") {
        return Some("vpp".to_owned());
    }
    // what the kernel holds is what runs
    if let Some(found) = iptables(facts, Kind::Calico).or_else(|| iptables(facts, Kind::Canal)) {
        return Some(found);
    }
    let nftables = value("nftablesMode").or_else(|| value("FELIX_NFTABLESMODE"));
    if told == Some("Nftables") || nftables == Some("Enabled") {
        return Some("nftables".to_owned());
    }
    let backend = value("iptablesBackend").or_else(|| value("FELIX_IPTABLESBACKEND"));
    let plain = match backend.map(str::to_ascii_uppercase).as_deref() {
        Some("NFT") => "iptables (nft)",
        Some("LEGACY") => "iptables (legacy)",
        _ => "iptables",
    };
    if told == Some("Iptables") || nftables == Some("Disabled") {
        return Some(plain.to_owned());
    }
    // left to itself, Felix follows kube-proxy; nothing is known where Felix' own settings were not read
    let read = facts.settings.keys().any(|(kind, name)| *kind == Kind::Calico && FELIX_FIELDS.contains(name));
    match mode.filter(|_| read) {
        Some(Mode::Nftables) => Some("nftables".to_owned()),
        Some(_) => Some(plain.to_owned()),
        None => None,
    }
}

/// Settings that show that `FelixConfiguration` was read.
const FELIX_FIELDS: &[&str] =
    &["bpfEnabled", "vxlanEnabled", "ipipEnabled", "iptablesBackend", "nftablesMode", "wireguardEnabled"];

/// How packets between nodes are wrapped: `none`, `vxlan`, `ipip cross-subnet`, ….
pub(super) fn encapsulation(facts: &Facts, kind: Kind) -> Option<String> {
    let value = |name: &'static str| facts.value(kind, name);
    match kind {
        Kind::Calico => calico_encapsulation(facts),
        Kind::Flannel | Kind::Canal => {
            let backend = backend(facts, kind)?;
            Some(match backend.as_str() {
                "host-gw" | "alloc" => "none".to_owned(),
                "vxlan" if value("DirectRouting") == Some("true") => "vxlan cross-subnet".to_owned(),
                other => other.to_owned(),
            })
        }
        Kind::Cilium | Kind::GkeDataplaneV2 => {
            match (facts.value(Kind::Cilium, "routing-mode"), facts.value(Kind::Cilium, "tunnel")) {
                (Some("native"), _) | (None, Some("disabled")) => Some("none".to_owned()),
                (Some("tunnel"), _) => Some(facts.value(Kind::Cilium, "tunnel-protocol").unwrap_or("vxlan").to_owned()),
                (None, Some(tunnel)) => Some(tunnel.to_owned()),
                _ => None,
            }
        }
        Kind::Antrea => match value("trafficEncapMode")?.to_ascii_lowercase().as_str() {
            "encap" => Some(value("tunnelType").unwrap_or("geneve").to_owned()),
            "hybrid" => Some(format!("{} cross-subnet", value("tunnelType").unwrap_or("geneve"))),
            _ => Some("none".to_owned()),
        },
        Kind::OvnKubernetes => Some("geneve".to_owned()),
        Kind::KubeOvn => Some(match value("--network-type") {
            Some("vlan" | "underlay") => "none".to_owned(),
            Some(other) => other.to_owned(),
            None => "geneve".to_owned(),
        }),
        Kind::AwsVpc | Kind::Azure | Kind::Terway => Some("none".to_owned()),
        Kind::KubeRouter => match (value("--enable-overlay"), value("--overlay-encap")) {
            (Some("false"), _) => Some("none".to_owned()),
            (_, Some(encap)) => Some(encap.to_owned()),
            _ => Some("ipip".to_owned()),
        },
        Kind::Weave | Kind::Spiderpool | Kind::Multus | Kind::Kindnet | Kind::Reference => None,
    }
}

fn calico_encapsulation(facts: &Facts) -> Option<String> {
    let pools: Vec<&Pool> = facts.pools.values().filter(|pool| pool.serves_pods()).collect();
    let mut words: BTreeSet<String> = BTreeSet::new();
    let of = |name: &str, mode: &str| match mode {
        "Always" => Some(name.to_owned()),
        "CrossSubnet" => Some(format!("{name} cross-subnet")),
        _ => None,
    };
    for pool in &pools {
        let own = [of("ipip", &pool.ipip_mode), of("vxlan", &pool.vxlan_mode)];
        if own.iter().all(Option::is_none) {
            words.insert("none".to_owned());
        }
        words.extend(own.into_iter().flatten());
    }
    if pools.is_empty() {
        for stated in facts.settings.get(&(Kind::Calico, "pool.encapsulation")).into_iter().flatten() {
            words.insert(match stated.value.as_str() {
                "IPIP" => "ipip".to_owned(),
                "IPIPCrossSubnet" => "ipip cross-subnet".to_owned(),
                "VXLAN" => "vxlan".to_owned(),
                "VXLANCrossSubnet" => "vxlan cross-subnet".to_owned(),
                _ => "none".to_owned(),
            });
        }
    }
    if words.is_empty() {
        let routes = || {
            facts.readings.values().flat_map(|reading| reading.routes.iter().flatten()).filter_map(|route| route.dev())
        };
        words.extend(routes().find(|dev| *dev == "tunl0").map(|_| "ipip".to_owned()));
        words.extend(routes().find(|dev| *dev == "vxlan.calico").map(|_| "vxlan".to_owned()));
    }
    let secret =
        ["wireguardEnabled", "wireguardEnabledV6"].iter().any(|name| facts.value(Kind::Calico, name) == Some("true"));
    words.extend(secret.then(|| "wireguard".to_owned()));
    (!words.is_empty()).then(|| words.into_iter().collect::<Vec<_>>().join(", "))
}

/// Who hands out pods' addresses.
pub(super) fn ipam(facts: &Facts, kind: Kind) -> Option<String> {
    let value = |name: &'static str| facts.value(kind, name);
    let from_conf = || {
        let nodes =
            facts.readings.iter().filter_map(|(node, reading)| chosen(facts, node, reading)).map(|(_, conf)| conf);
        let templates =
            facts.templates.iter().filter(|(of, ..)| *of == kind).filter_map(|(_, file, _)| file.conf.as_ref().ok());
        nodes
            .filter(|conf| {
                kind_of_conf(conf).is_some_and(|of| of == kind || (of == Kind::Calico && kind == Kind::Canal))
            })
            .chain(templates)
            .find_map(|conf| conf.plugins.first()?.ipam.clone())
    };
    match kind {
        Kind::Calico => from_conf().or_else(|| match value("cni.ipam.type")? {
            "Calico" => Some("calico-ipam".to_owned()),
            "HostLocal" => Some("host-local".to_owned()),
            other => Some(other.to_owned()),
        }),
        Kind::Flannel | Kind::Canal | Kind::KubeRouter | Kind::Kindnet => {
            Some(from_conf().unwrap_or_else(|| "host-local".to_owned()))
        }
        Kind::Cilium => value("ipam").map(str::to_owned).or_else(from_conf),
        Kind::Antrea => from_conf().or_else(|| Some("host-local".to_owned())),
        Kind::AwsVpc => Some("vpc".to_owned()),
        Kind::Azure => Some(from_conf().unwrap_or_else(|| "azure-cns".to_owned())),
        Kind::KubeOvn => Some("kube-ovn".to_owned()),
        Kind::OvnKubernetes => Some("ovn".to_owned()),
        _ => from_conf(),
    }
}

/// How routes or tunnels between nodes are made.
pub(super) fn backend(facts: &Facts, kind: Kind) -> Option<String> {
    let value = |name: &'static str| facts.value(kind, name);
    match kind {
        Kind::Calico => {
            let told = value("CALICO_NETWORKING_BACKEND").or_else(|| value("calico_backend")).map(str::to_owned);
            told.or_else(|| match value("bgp") {
                Some("Enabled") => Some("bird".to_owned()),
                // without BGP the operator has Felix program VXLAN's routes, or nobody any
                Some("Disabled") => Some(
                    if calico_encapsulation(facts).is_some_and(|words| words.contains("vxlan")) {
                        "vxlan"
                    } else {
                        "none"
                    }
                    .to_owned(),
                ),
                _ => facts.readings.values().any(|reading| !reading.birds.is_empty()).then(|| "bird".to_owned()),
            })
        }
        Kind::Flannel | Kind::Canal => {
            let told = value("backend").or_else(|| facts.value(Kind::Flannel, "backend")).map(str::to_owned);
            told.or_else(|| {
                let annotated: BTreeSet<&String> = facts
                    .nodes
                    .values()
                    .filter_map(|node| node.annotations.get("flannel.alpha.coreos.com/backend-type"))
                    .collect();
                (annotated.len() == 1).then(|| annotated.into_iter().next().cloned())?
            })
            .or_else(|| {
                let links = facts.readings.values().flat_map(routes_through);
                let backends: BTreeSet<&str> = links.filter_map(|link| flannel_backend(&link)).collect();
                (backends.len() == 1).then(|| backends.into_iter().next().map(str::to_owned))?
            })
        }
        _ => None,
    }
}

fn routes_through(reading: &Reading) -> Vec<String> {
    reading.routes.iter().flatten().filter_map(|route| route.dev()).map(str::to_owned).collect()
}

/// The backend of flannel that makes a link of that name.
fn flannel_backend(link: &str) -> Option<&'static str> {
    match link {
        "flannel-wg" | "flannel-wg-v6" => Some("wireguard"),
        "flannel0" => Some("udp"),
        "flannel.ipip" => Some("ipip"),
        link if link.starts_with("flannel.") || link.starts_with("flannel-v6.") => Some("vxlan"),
        _ => None,
    }
}

/// Calico's own word for the kind of installation.
pub(super) fn cluster_type(facts: &Facts, kind: Kind) -> Option<String> {
    let own = if kind == Kind::Canal { Kind::Calico } else { kind };
    let value = |name: &'static str| facts.value(kind, name).or_else(|| facts.value(own, name));
    value("cluster_type").or_else(|| value("CLUSTER_TYPE")).map(str::to_owned)
}

/// The MTU that is configured; 0 leaves it to the plugin.
pub(super) fn declared_mtu(facts: &Facts, kind: Kind) -> Option<u32> {
    let names = ["veth_mtu", "mtu", "--mtu", "WEAVE_MTU", "AWS_VPC_ENI_MTU"];
    names
        .iter()
        .find_map(|name| facts.settings.iter().find(|((of, key), _)| *of == kind && key == name))
        .and_then(|(_, stated)| stated.iter().find_map(|stated| stated.value.parse().ok().filter(|mtu| *mtu > 0)))
}
