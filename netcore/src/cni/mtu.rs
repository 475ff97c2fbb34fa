//! What an encapsulation takes from each packet, and whether pods' packets fit the network below.

use std::net::IpAddr;

use super::reading::Reading;
use crate::{cidr::Family, route::RouteKind};

/// How packets between nodes are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encapsulation {
    /// IP in IP.
    Ipip,
    /// VXLAN.
    Vxlan,
    /// Geneve, without options.
    Geneve,
    /// `WireGuard`.
    Wireguard,
    /// flannel's own UDP tunnel.
    Udp,
}

impl Encapsulation {
    /// The bytes that it adds to a pod's packet where the nodes talk over this family: the outer IP
    /// header, what the tunnel itself needs, and the pod's Ethernet header where that is carried.
    pub const fn overhead(self, outer: Family) -> u32 {
        let ip = match outer {
            Family::V4 => 20,
            Family::V6 => 40,
        };
        ip + match self {
            Self::Ipip => 0,
            // UDP 8, VXLAN or Geneve 8, Ethernet 14
            Self::Vxlan | Self::Geneve => 30,
            // UDP 8, header 16, tag 16
            Self::Wireguard => 40,
            Self::Udp => 8,
        }
    }

    /// The encapsulation of a link, by its kind and name.
    pub fn of_link(kind: Option<&str>, name: &str) -> Option<Self> {
        Some(match (kind, name) {
            (Some("geneve"), _) => Self::Geneve,
            (Some("ipip"), _) | (_, "tunl0" | "flannel.ipip") => Self::Ipip,
            (Some("vxlan"), _) | (_, "vxlan.calico" | "vxlan-v6.calico" | "cilium_vxlan") => Self::Vxlan,
            (Some("wireguard"), _)
            | (_, "flannel-wg" | "flannel-wg-v6" | "wireguard.cali" | "wg-v6.cali" | "cilium_wg0") => Self::Wireguard,
            (_, "flannel0") => Self::Udp,
            (_, name) if ["flannel.", "flannel-v6."].iter().any(|start| name.starts_with(start)) => Self::Vxlan,
            _ => return None,
        })
    }
}

/// A tunnel of a node that routes lead into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The link.
    pub link: String,
    /// How it wraps.
    pub encapsulation: Encapsulation,
    /// Its MTU.
    pub mtu: u32,
    /// The link below, and that one's MTU.
    pub below: Option<(String, u32)>,
    /// The family in which the nodes talk.
    pub outer: Family,
}

impl Tunnel {
    /// The largest packet that still fits the link below when it is wrapped.
    pub fn fits(&self) -> Option<u32> {
        let (_, below) = self.below.as_ref()?;
        Some(below.saturating_sub(self.encapsulation.overhead(self.outer)))
    }
}

/// A node's tunnels that carry something: those that a route leads into.
pub fn tunnels(reading: &Reading, node: &[IpAddr]) -> Vec<Tunnel> {
    let mut found = Vec::new();
    for link in reading.links.iter().flatten() {
        let Some(encapsulation) = Encapsulation::of_link(link.kind.as_deref(), &link.name) else { continue };
        let used = reading.routes.as_ref().is_none_or(|routes| {
            routes.iter().any(|route| route.kind == RouteKind::Unicast && route.dev() == Some(&link.name))
        });
        let (Some(mtu), true) = (link.mtu, used && link.up) else { continue };
        let local = link.detail.local.or_else(|| node.first().copied());
        let below = link.detail.lower.clone().or_else(|| underlay(reading, local, node));
        let below = below.and_then(|name| Some((name.clone(), reading.link(&name)?.mtu?)));
        let outer = local.map_or(Family::V4, Family::of);
        found.push(Tunnel { link: link.name.clone(), encapsulation, mtu, below, outer });
    }
    found
}

/// The link that carries traffic between nodes: the one with the node's address, else the one of the
/// default route.
pub fn underlay(reading: &Reading, local: Option<IpAddr>, node: &[IpAddr]) -> Option<String> {
    let has = |ip: &IpAddr| {
        reading.interfaces.iter().find(|interface| interface.addresses.iter().any(|address| address.ip == *ip))
    };
    let own = local.iter().chain(node).find_map(has).map(|interface| interface.name.clone());
    own.filter(|name| Encapsulation::of_link(None, name).is_none()).or_else(|| {
        let default = reading
            .routes
            .iter()
            .flatten()
            .find(|route| route.destination.prefix_len() == 0 && route.table == "main")?;
        default.dev().map(str::to_owned)
    })
}

/// The MTU of pods on a node: what most of their ends on the host have, else what flannel wrote down
/// or the CNI configuration sets; and what shows it.
pub fn of_pods(reading: &Reading) -> Option<(u32, String)> {
    let ends = reading.links.iter().flatten().filter(|link| {
        ["cali", "lxc", "eni", "azv"].iter().any(|start| link.name.starts_with(start))
            || (link.name.starts_with("veth") && (link.kind.as_deref() == Some("veth") || link.kind.is_none()))
    });
    let mut counts = std::collections::BTreeMap::new();
    for mtu in ends.filter_map(|link| link.mtu) {
        *counts.entry(mtu).or_insert(0_usize) += 1;
    }
    let most = counts.iter().max_by_key(|(_, count)| **count);
    if let Some((mtu, count)) = most {
        return Some((*mtu, format!("{count} of its pods' links")));
    }
    if let Some(mtu) = reading.subnet_env.as_ref().and_then(|env| env.mtu) {
        return Some((mtu, "subnet.env FLANNEL_MTU".to_owned()));
    }
    let files = reading.conf.iter().flatten().filter_map(|file| file.conf.as_ref().ok().map(|conf| (file, conf)));
    files
        .flat_map(|(file, conf)| conf.plugins.iter().map(move |plugin| (file, plugin)))
        .find_map(|(file, plugin)| plugin.mtu.filter(|mtu| *mtu > 0).map(|mtu| (mtu, format!("{} mtu", file.name))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Probe;

    fn reading(tunnel: u32, below: u32) -> Reading {
        let mut facts = super::super::Facts::default();
        let links = format!(
            r#"[{{"ifname":"eth0","mtu":{below},"flags":["UP"],"link_type":"ether","addr_info":[{{"family":"inet","local":"172.31.77.2","prefixlen":24}}]}},
            {{"ifname":"flannel.1","mtu":{tunnel},"flags":["UP"],"link_type":"ether","addr_info":[],
                "linkinfo":{{"info_kind":"vxlan","info_data":{{"id":1,"link":"eth0","local":"172.31.77.2","port":8472}}}}}},
            {{"ifname":"veth1","mtu":{tunnel},"flags":["UP"],"link_type":"ether","master":"cni0","linkinfo":{{"info_kind":"veth"}},"addr_info":[]}}]"#
        );
        facts.take_probe(Some("n"), Probe::Addresses, &links, "ip-addr.json");
        facts.take_probe(Some("n"), Probe::Routes, "10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n", "ip-route");
        facts.readings.remove("n").unwrap()
    }

    #[test]
    fn headers_add_up() {
        use Encapsulation::{Geneve, Ipip, Udp, Vxlan, Wireguard};
        for (encapsulation, v4, v6) in
            [(Ipip, 20, 40), (Vxlan, 50, 70), (Geneve, 50, 70), (Wireguard, 60, 80), (Udp, 28, 48)]
        {
            assert_eq!(
                (encapsulation.overhead(Family::V4), encapsulation.overhead(Family::V6)),
                (v4, v6),
                "{encapsulation:?}"
            );
        }
    }

    #[test]
    fn a_tunnel_lies_on_the_link_that_it_names() {
        let reading = reading(1450, 1500);
        let [tunnel] = tunnels(&reading, &[]).try_into().unwrap();
        assert_eq!(
            (tunnel.below.as_ref().unwrap().0.as_str(), tunnel.fits(), tunnel.outer),
            ("eth0", Some(1450), Family::V4)
        );
        assert_eq!(of_pods(&reading), Some((1450, "1 of its pods' links".to_owned())));
        assert_eq!(underlay(&reading, None, &["172.31.77.2".parse().unwrap()]).as_deref(), Some("eth0"));
    }
}
