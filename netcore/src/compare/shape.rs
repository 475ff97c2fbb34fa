//! The mode that a kernel's rules are of, and what its cost grows with, out of what it holds.

use super::Shape;
use crate::{
    ipvs::IpvsTable,
    nft::{self, Family, KubeProxyTable},
    proxy::{
        Mode,
        kernel::{KernelService, in_tables, in_virtual_servers},
    },
    rules::Seen,
};

/// What one node's kernel tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// The mode of kube-proxy that the rules are of. Where several modes left theirs: the one that would be
    /// met first.
    pub mode: Mode,
    /// The ports of Services that are served.
    pub ports: u64,
    /// Rules or entries for their addresses.
    pub entries: u64,
    /// Rules of filter that every new connection passes, or entries of Services without endpoints.
    pub rejects: u64,
    /// Endpoints of all ports.
    pub endpoints: u64,
}

impl Told {
    /// The shape, by the number of Services; where that is not known each port is taken for one.
    pub fn shape(&self, services: Option<u64>) -> Option<Shape> {
        let services = services.unwrap_or(self.ports).max(1);
        (self.entries > 0).then(|| Shape {
            services,
            entries: ratio(self.entries, services),
            rejects: ratio(self.rejects, services),
            endpoints: ratio(self.endpoints, self.ports.max(1)),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of Services")]
fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to as f64
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// iptables mode: the chains of `iptables-save`, of the family and backend that has most.
pub fn in_iptables(tables: &[Seen<'_>]) -> Option<Told> {
    let each = tables.iter().filter(|seen| seen.table.name() == Some("nat")).filter_map(|nat| {
        let named = |prefix: &'static str| nat.table.chains().filter(move |chain| chain.name().starts_with(prefix));
        let ports = named("KUBE-SVC-").count() + named("KUBE-SVL-").filter(|local| is_alone(nat, local.name())).count();
        if ports == 0 {
            return None;
        }
        let length = |seen: &Seen<'_>, chain: &str| seen.table.chain(chain).map_or(0, |chain| chain.len());
        let filter = tables.iter().find(|seen| {
            seen.table.name() == Some("filter") && seen.family == nat.family && seen.backend == nat.backend
        });
        let asked = ["KUBE-PROXY-FIREWALL", "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"];
        let rejects = filter.map_or(0, |filter| asked.iter().map(|chain| length(filter, chain)).sum());
        Some(Told {
            mode: Mode::Iptables,
            ports: count(ports),
            entries: count(length(nat, "KUBE-SERVICES")),
            rejects: count(rejects),
            endpoints: count(named("KUBE-SEP-").count()),
        })
    });
    each.max_by_key(|told| told.entries)
}

/// A port with local endpoints only has no chain of all.
fn is_alone(nat: &Seen<'_>, local: &str) -> bool {
    nat.table.chain(&local.replacen("KUBE-SVL-", "KUBE-SVC-", 1)).is_none()
}

/// nftables mode: kube-proxy's own table.
pub fn in_nftables(rules: &nft::Ruleset<'_>) -> Option<Told> {
    let is_there = [Family::Ip, Family::Ip6].into_iter().any(|family| KubeProxyTable::of(rules, family).is_some());
    let (held, _) = in_tables(rules);
    is_there.then(|| told(Mode::Nftables, &held))
}

/// ipvs mode: virtual servers.
pub fn in_ipvs(table: &IpvsTable) -> Option<Told> {
    let held = in_virtual_servers(table);
    (!held.is_empty()).then(|| told(Mode::Ipvs, &held))
}

fn told(mode: Mode, held: &[KernelService]) -> Told {
    let is_rejected =
        |service: &&KernelService| service.flags.iter().any(|flag| flag == "rejected" || flag == "dropped");
    let addressed = || held.iter().filter(|service| service.address.is_some());
    let served = || addressed().filter(|service| !is_rejected(service));
    let ports = served().count();
    Told {
        mode,
        ports: count(ports),
        entries: count(served().count()),
        rejects: count(addressed().filter(is_rejected).count()),
        endpoints: served().map(|service| count(service.backends.len())).sum(),
    }
}
