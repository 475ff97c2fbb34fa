//! Several views of one state: what one adds to another, and where they differ.

use std::{collections::BTreeMap, fmt::Debug};

use super::{
    model::{Endpoint, Forward, IpvsTable, Mask, Persistence, RealServer, VirtualAddress, VirtualServer},
    read::hex_mask,
};
use crate::cidr::Family;

/// Where two views of one node's state cannot both be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The virtual server.
    pub address: VirtualAddress,
    /// The real server, where it is about one.
    pub server: Option<Endpoint>,
    /// What differs: `scheduler`, `weight`, `missing`.
    pub field: &'static str,
}

impl IpvsTable {
    /// Sorts virtual and real servers: the kernel's order is that of its hash table.
    pub fn sort(&mut self) {
        for service in &mut self.services {
            service.servers.sort_by_key(|server| server.endpoint);
        }
        self.services.sort_by_key(|service| key(&service.address));
    }

    /// Takes over from another view of the same state what is not known yet.
    pub fn merge(&mut self, other: Self) {
        self.version = self.version.take().or(other.version);
        self.buckets = self.buckets.or(other.buckets);
        self.timeouts = self.timeouts.or(other.timeouts);
        if self.daemons.is_empty() {
            self.daemons = other.daemons;
        }
        if self.connections.is_empty() {
            self.connections = other.connections;
        }
        let mut index = positions(&self.services);
        for service in other.services {
            if let Some(own) = index.get(&key(&service.address)).and_then(|at| self.services.get_mut(*at)) {
                own.fill(service);
            } else {
                index.insert(key(&service.address), self.services.len());
                self.services.push(service);
            }
        }
    }

    /// Where another view says something else. What either view does not print is no conflict, and
    /// neither are counts and connections, which move between two commands.
    pub fn conflicts(&self, other: &Self) -> Vec<Conflict> {
        let mut found = Vec::new();
        let theirs = positions(&other.services);
        let ours = positions(&self.services);
        let missing = |address| Conflict { address, server: None, field: "missing" };
        for service in &self.services {
            match theirs.get(&key(&service.address)).and_then(|at| other.services.get(*at)) {
                Some(their) => service.conflicts(their, &mut found),
                None => found.push(missing(service.address)),
            }
        }
        let unknown = other.services.iter().filter(|service| !ours.contains_key(&key(&service.address)));
        found.extend(unknown.map(|service| missing(service.address)));
        found
    }
}

/// A mark of unknown family is taken for IPv4's, which is what it nearly always is.
const fn key(address: &VirtualAddress) -> VirtualAddress {
    match address {
        VirtualAddress::Mark(mark, None) => VirtualAddress::Mark(*mark, Some(Family::V4)),
        other => *other,
    }
}

fn positions(services: &[VirtualServer]) -> BTreeMap<VirtualAddress, usize> {
    services.iter().enumerate().rev().map(|(at, service)| (key(&service.address), at)).collect()
}

fn fill<T>(own: &mut Option<T>, other: Option<T>) {
    if own.is_none() {
        *own = other;
    }
}

impl VirtualServer {
    fn fill(&mut self, other: Self) {
        if let (VirtualAddress::Mark(_, None), VirtualAddress::Mark(_, Some(_))) = (self.address, other.address) {
            self.address = other.address;
        }
        fill(&mut self.scheduler, other.scheduler);
        fill(&mut self.flags, other.flags);
        fill(&mut self.one_packet, other.one_packet);
        fill(&mut self.stats, other.stats);
        fill(&mut self.rates, other.rates);
        self.in_part &= other.in_part;
        self.persistence = match (self.persistence.take(), other.persistence) {
            (
                Some(Persistence::On { seconds, jiffies, mask, engine }),
                Some(Persistence::On { seconds: s, jiffies: j, engine: e, .. }),
            ) => Some(Persistence::On { seconds: seconds.or(s), jiffies: jiffies.or(j), mask, engine: engine.or(e) }),
            (own, other) => own.or(other),
        };
        let mut index: BTreeMap<Endpoint, usize> =
            self.servers.iter().enumerate().map(|(at, server)| (server.endpoint, at)).collect();
        for server in other.servers {
            if let Some(own) = index.get(&server.endpoint).and_then(|at| self.servers.get_mut(*at)) {
                own.fill(server);
            } else {
                index.insert(server.endpoint, self.servers.len());
                self.servers.push(server);
            }
        }
    }

    fn conflicts(&self, other: &Self, found: &mut Vec<Conflict>) {
        let mut note = |server, field| found.push(Conflict { address: self.address, server, field });
        if differ(self.scheduler.as_ref(), other.scheduler.as_ref()) {
            note(None, "scheduler");
        }
        if differ(self.flags.as_ref(), other.flags.as_ref()) {
            note(None, "flags");
        }
        if differ(self.one_packet, other.one_packet) {
            note(None, "one-packet");
        }
        if let (Some(own), Some(their)) = (&self.persistence, &other.persistence)
            && !own.agrees(their)
        {
            note(None, "persistence");
        }
        let theirs: BTreeMap<Endpoint, &RealServer> = other.servers.iter().map(|s| (s.endpoint, s)).collect();
        let ours: BTreeMap<Endpoint, &RealServer> = self.servers.iter().map(|s| (s.endpoint, s)).collect();
        for (endpoint, server) in &ours {
            let Some(their) = theirs.get(endpoint) else {
                note(Some(*endpoint), "missing");
                continue;
            };
            if differ(server.weight, their.weight) {
                note(Some(*endpoint), "weight");
            }
            if !same_way(server.forward, their.forward) {
                note(Some(*endpoint), "forward");
            }
        }
        theirs.keys().filter(|endpoint| !ours.contains_key(endpoint)).for_each(|e| note(Some(*e), "missing"));
    }

    /// The family of a mark in `/proc` follows from the mask of its persistence (no IPv6 prefix length
    /// looks like a netmask, but for one) or from its servers, unless they are reached through
    /// tunnels, which may cross families.
    #[expect(clippy::similar_names, reason = "a server and a mask each give one")]
    pub(super) fn infer_family(&mut self) {
        let VirtualAddress::Mark(mark, None) = self.address else { return };
        let direct = self.servers.iter().find(|s| s.forward.is_some_and(|f| !matches!(f, Forward::Tunnel(_))));
        let by_server = direct.map(|server| Family::of(server.endpoint.address));
        let by_mask = match &self.persistence {
            Some(Persistence::On { mask: Some(Mask::V4(mask)), .. }) => {
                (1..128).contains(&mask.to_bits().swap_bytes()).then_some(Family::V6)
            }
            Some(Persistence::On { mask: None, .. }) => Some(Family::V4),
            _ => None,
        };
        let Some(family) = by_server.or(by_mask) else { return };
        self.address = VirtualAddress::Mark(mark, Some(family));
        if let (Family::V6, Some(Persistence::On { mask: length @ Some(Mask::V4(_)), .. })) =
            (family, &mut self.persistence)
            && let Some(Mask::V4(number)) = *length
        {
            *length = hex_mask(number.to_bits(), true).flatten();
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "small values, most of them copied")]
fn differ<T: PartialEq + Debug>(own: Option<T>, other: Option<T>) -> bool {
    own.is_some() && other.is_some() && own != other
}

fn same_way(own: Option<Forward>, other: Option<Forward>) -> bool {
    match (own, other) {
        (Some(Forward::Tunnel(own)), Some(Forward::Tunnel(other))) => !differ(own, other),
        (own, other) => !differ(own, other),
    }
}

impl Persistence {
    /// Whether both can be the same; ticks and seconds are, where a kernel's tick makes them so.
    fn agrees(&self, other: &Self) -> bool {
        const TICKS: [u32; 4] = [100, 250, 300, 1000];
        let (
            Self::On { seconds: s1, jiffies: j1, mask: m1, engine: e1 },
            Self::On { seconds: s2, jiffies: j2, mask: m2, engine: e2 },
        ) = (self, other)
        else {
            return self == other;
        };
        let in_ticks = |s: Option<u32>, j: Option<u32>| match (s, j) {
            (Some(seconds), Some(jiffies)) => TICKS.iter().any(|tick| seconds.checked_mul(*tick) == Some(jiffies)),
            _ => true,
        };
        // `/proc` has no engine
        let engines = j1.is_some() || j2.is_some() || e1 == e2;
        m1 == m2 && engines && !differ(*s1, *s2) && !differ(*j1, *j2) && in_ticks(*s1, *j2) && in_ticks(*s2, *j1)
    }
}

impl RealServer {
    #[expect(clippy::needless_pass_by_value, reason = "the other one is used up")]
    fn fill(&mut self, other: Self) {
        if matches!(self.forward, None | Some(Forward::Tunnel(None))) && other.forward.is_some() {
            self.forward = other.forward;
        }
        fill(&mut self.weight, other.weight);
        fill(&mut self.active, other.active);
        fill(&mut self.inactive, other.inactive);
        fill(&mut self.persistent, other.persistent);
        fill(&mut self.upper_threshold, other.upper_threshold);
        fill(&mut self.lower_threshold, other.lower_threshold);
        fill(&mut self.stats, other.stats);
        fill(&mut self.rates, other.rates);
    }
}
