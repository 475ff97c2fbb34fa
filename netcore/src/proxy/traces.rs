//! What kube-proxy's modes leave in a node's kernel: counted, with whose mode it is.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use super::Mode;
use crate::{
    ipset,
    iptables::{Backend, Policy, Ruleset},
    ipvs::{self, VirtualAddress},
    link, nft,
    owner::{self, Owner},
    probe::Probe,
    problem::Problem,
    route,
};

/// A virtual server of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What it takes in.
    pub address: VirtualAddress,
    /// `rr`.
    pub scheduler: Option<String>,
}

/// A table and how many of kube-proxy's chains and rules it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Chains.
    pub chains: u64,
    /// Rules in them.
    pub rules: u64,
    /// Sets and maps.
    pub sets: u64,
}

/// What a chain of kube-proxy tells of its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// Only iptables mode has it.
    Iptables,
    /// Only ipvs mode has it.
    Ipvs,
    /// Both have it.
    Shared,
}

/// Where chains are: backend, family, table.
pub type Place = (Backend, &'static str, String);

/// What one node's kernel has of kube-proxy. What was not read is `None`, and what was read and holds
/// nothing is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// Chains of iptables by place and sign; `None` where no table was read.
    pub chains: Option<BTreeMap<(Place, Sign), Count>>,
    /// Entry chains by backend: where both have them, one is stale.
    pub entries: Vec<Backend>,
    /// kube-proxy's own ipsets.
    pub sets: Option<u64>,
    /// Virtual servers, whoever's they are.
    pub servers: Option<Vec<Server>>,
    /// Addresses of `kube-ipvs0`, empty where it is not there; `None` where links were not read.
    pub dummy: Option<Vec<IpAddr>>,
    /// Whether `kube-ipvs0` is there.
    pub has_dummy: Option<bool>,
    /// Addresses of the other links.
    pub own: Vec<IpAddr>,
    /// Links of others that forward Services: `kube-dummy-if`, `cilium_host`.
    pub others: Vec<String>,
    /// What shows a firewall of the host: a program's chains, or a chain that drops by default.
    pub firewall: Option<String>,
    /// `iptables-save` said that there are legacy tables too, and they were not read.
    pub legacy_unread: bool,
    /// Whether legacy tables were read.
    pub legacy_read: bool,
    /// nftables' tables `kube-proxy` by family.
    pub tables: Option<BTreeMap<&'static str, Count>>,
}

/// The name of the link that ipvs mode puts Services' addresses on.
pub const DUMMY: &str = "kube-ipvs0";
/// kube-router's.
const KUBE_ROUTER: &str = "kube-dummy-if";

impl Traces {
    /// Takes what a probe of the node printed; what could not be understood is handed back. A text of which
    /// nothing was understood leaves unknown what it was to tell.
    pub fn take(&mut self, probe: Probe, text: &str) -> Vec<Problem> {
        match probe {
            Probe::IptablesSave => self.take_rules(text, Backend::Nft, "IPv4"),
            Probe::Ip6tablesSave => self.take_rules(text, Backend::Nft, "IPv6"),
            Probe::IptablesLegacySave => self.take_rules(text, Backend::Legacy, "IPv4"),
            Probe::Ip6tablesLegacySave => self.take_rules(text, Backend::Legacy, "IPv6"),
            Probe::IpsetSave => {
                let sets = ipset::parse(text.as_bytes());
                if sets.sets.is_empty() && !sets.problems.is_empty() {
                    return sets.problems.into_vec();
                }
                let own = |name: &str| owner::of_set(name).is_some_and(|of| of.owner == Owner::KubeProxy);
                let count = sets.sets.iter().filter(|set| own(set.name)).count() as u64;
                self.sets = Some(self.sets.unwrap_or(0).max(count));
                sets.problems.into_vec()
            }
            Probe::IpvsTable => self.take_servers(text),
            Probe::Addresses => self.take_links(text),
            Probe::NftRuleset => self.take_tables(text),
            _ => Vec::new(),
        }
    }

    /// Nothing of the kind is in the kernel.
    pub fn take_absent(&mut self, probe: Probe) {
        match probe {
            Probe::IptablesSave | Probe::Ip6tablesSave => {
                self.chains.get_or_insert_default();
            }
            Probe::IptablesLegacySave | Probe::Ip6tablesLegacySave => {
                self.chains.get_or_insert_default();
                (self.legacy_read, self.legacy_unread) = (true, false);
            }
            Probe::IpsetSave => self.sets = self.sets.or(Some(0)),
            Probe::IpvsTable => {
                self.servers.get_or_insert_default();
            }
            Probe::NftRuleset => {
                self.tables.get_or_insert_default();
            }
            _ => {}
        }
    }

    fn take_rules(&mut self, text: &str, backend: Backend, family: &'static str) -> Vec<Problem> {
        let rules = Ruleset::parse(text);
        let problems = rules.problems().to_vec();
        self.legacy_read |= backend == Backend::Legacy;
        self.legacy_unread = !self.legacy_read && (self.legacy_unread || rules.legacy_tables_present());
        if rules.tables().next().is_none() && !problems.is_empty() {
            return problems;
        }
        let mut found: BTreeMap<(Place, Sign), Count> = BTreeMap::new();
        let mut entry = None;
        for table in rules.tables() {
            let name = table.name().unwrap_or_default();
            // a dump knows its backend better than its file's name
            let backend = table.dump().and_then(|dump| dump.backend()).unwrap_or(backend);
            for chain in table.chains() {
                if self.firewall.is_none() {
                    self.firewall = firewall(name, &chain);
                }
                let Some(sign) = sign_of(name, chain.name()) else { continue };
                let count = found.entry(((backend, family, name.to_owned()), sign)).or_default();
                count.chains += 1;
                count.rules += chain.len() as u64;
                if name == "nat" && chain.name() == "KUBE-SERVICES" && !chain.is_empty() {
                    entry = Some(backend);
                }
            }
        }
        if let Some(backend) = entry.filter(|backend| !self.entries.contains(backend)) {
            self.entries.push(backend);
            self.entries.sort();
        }
        let chains = self.chains.get_or_insert_default();
        for (place, count) in found {
            // the same tables may come twice, with counters and without: never added up
            let known = chains.entry(place).or_default();
            known.chains = known.chains.max(count.chains);
            known.rules = known.rules.max(count.rules);
        }
        problems
    }

    fn take_servers(&mut self, text: &str) -> Vec<Problem> {
        let (table, problems) = ipvs::parse(text);
        if table.services.is_empty() && !problems.is_empty() {
            return problems;
        }
        let servers: Vec<Server> = table
            .services
            .into_iter()
            .map(|service| Server { address: service.address, scheduler: service.scheduler })
            .collect();
        // several prints of one table: the longest
        if self.servers.as_ref().is_none_or(|known| known.len() < servers.len()) {
            self.servers = Some(servers);
        }
        problems
    }

    fn take_links(&mut self, text: &str) -> Vec<Problem> {
        let (links, mut problems) = link::parse_links(text);
        if links.is_empty() {
            return problems;
        }
        let (interfaces, of_addresses) = route::parse_addresses(text);
        problems.extend(of_addresses);
        let mut dummy = Vec::new();
        for interface in interfaces {
            let place = if interface.name == DUMMY { &mut dummy } else { &mut self.own };
            place.extend(interface.addresses.iter().map(|address| address.ip));
        }
        self.own.sort_unstable();
        self.own.dedup();
        self.has_dummy = Some(links.iter().any(|link| link.name == DUMMY));
        self.dummy = Some(dummy);
        let other = |name: &&str| *name == KUBE_ROUTER || *name == "cilium_host";
        self.others = links.iter().map(|link| link.name.as_str()).filter(other).map(str::to_owned).collect();
        problems
    }

    fn take_tables(&mut self, text: &str) -> Vec<Problem> {
        const TABLE: &str = "kube-proxy";
        let mut found: BTreeMap<&'static str, Count> = BTreeMap::new();
        let (problems, any) = if nft::is_json(text) {
            let rules = nft::parse(text.as_bytes());
            for table in rules.tables().filter(|table| table.name == TABLE) {
                found.entry(table.family.name()).or_default();
            }
            for chain in rules.chains().filter(|chain| chain.table == TABLE) {
                found.entry(chain.family.name()).or_default().chains += 1;
            }
            for rule in rules.rules().filter(|rule| rule.table == TABLE) {
                found.entry(rule.family.name()).or_default().rules += 1;
            }
            for set in rules.sets().chain(rules.maps()).filter(|set| set.table == TABLE) {
                found.entry(set.family.name()).or_default().sets += 1;
            }
            let any = !rules.objects.is_empty();
            (rules.problems, any)
        } else {
            let rules = nft::parse_text(text.as_bytes());
            for table in rules.tables.iter().filter(|table| table.name == TABLE) {
                let count = found.entry(table.family.name()).or_default();
                count.chains += table.chains.len() as u64;
                count.rules += table.chains.iter().map(|chain| chain.rules as u64).sum::<u64>();
                count.sets += (table.sets.len() + table.maps.len()) as u64;
            }
            let any = !rules.tables.is_empty();
            (rules.problems, any)
        };
        if !any && !problems.is_empty() {
            return problems.into_vec();
        }
        let tables = self.tables.get_or_insert_default();
        for (family, count) in found {
            let known = tables.entry(family).or_insert(count);
            known.rules = known.rules.max(count.rules);
        }
        problems.into_vec()
    }

    /// How many chains of a sign there are, and their rules.
    fn count(&self, sign: Sign) -> Count {
        let of = self.chains.iter().flatten().filter(|((_, of), _)| *of == sign);
        of.fold(Count::default(), |sum, (_, count)| Count {
            chains: sum.chains + count.chains,
            rules: sum.rules + count.rules,
            sets: 0,
        })
    }

    /// The modes whose own traces are there, with what shows each.
    pub fn modes(&self) -> Vec<(Mode, String)> {
        let mut modes = Vec::new();
        let iptables = self.count(Sign::Iptables);
        if iptables.chains > 0 {
            modes.push((Mode::Iptables, format!("{} of its own chains", iptables.chains)));
        }
        let mut ipvs = Vec::new();
        if self.has_dummy == Some(true) {
            ipvs.push(DUMMY.to_owned());
        }
        // virtual servers alone may be anybody's
        let chains = self.count(Sign::Ipvs).chains;
        if chains > 0 {
            ipvs.push(format!("{chains} of its own chains"));
        }
        if let Some(servers) = self.servers.as_ref().filter(|servers| !servers.is_empty()) {
            ipvs.push(format!("{} virtual servers", servers.len()));
        }
        if self.has_dummy == Some(true)
            || chains > 0
            || (!ipvs.is_empty() && iptables.chains == 0 && self.others.is_empty())
        {
            modes.push((Mode::Ipvs, ipvs.join(", ")));
        }
        if let Some(tables) = self.tables.as_ref().filter(|tables| !tables.is_empty()) {
            let names: Vec<&str> = tables.keys().copied().collect();
            modes.push((Mode::Nftables, format!("table kube-proxy of {}", names.join(" and "))));
        }
        modes
    }

    /// Whether anything of the kernel's tables was read.
    pub fn is_known(&self) -> bool {
        self.chains.is_some() || self.servers.is_some() || self.dummy.is_some() || self.tables.is_some()
    }
}

/// What shows that the host has a firewall: packets that nobody lets in are dropped.
fn firewall(table: &str, chain: &crate::iptables::Chain<'_>) -> Option<String> {
    let name = chain.name();
    if chain.is_built_in() && table == "filter" && name == "INPUT" && chain.policy() == Some(Policy::Drop) {
        return Some("chain INPUT drops by default".to_owned());
    }
    let owner = owner::of_chain(table, name)?;
    (owner.owner == Owner::Firewall && !chain.is_empty()).then(|| format!("chain {name}: {}", owner.reason))
}

/// What a chain tells of kube-proxy's mode; nothing for chains that are not kube-proxy's, and for
/// those that old kubelets make as well (the marks, `KUBE-POSTROUTING`).
pub fn sign_of(table: &str, chain: &str) -> Option<Sign> {
    if owner::of_chain(table, chain)?.owner != Owner::KubeProxy {
        return None;
    }
    let starts = |names: &[&str]| names.iter().any(|name| chain.starts_with(name));
    Some(match chain {
        "KUBE-MARK-MASQ" | "KUBE-MARK-DROP" | "KUBE-POSTROUTING" => return None,
        "KUBE-NODEPORTS" | "KUBE-EXTERNAL-SERVICES" | "KUBE-PROXY-CANARY" => Sign::Iptables,
        // ipvs mode has this chain in nat only
        "KUBE-SERVICES" if table == "filter" => Sign::Iptables,
        "KUBE-LOAD-BALANCER" | "KUBE-SOURCE-RANGES-FIREWALL" | "KUBE-FIREWALL" | "KUBE-NODE-PORT" => Sign::Ipvs,
        _ if starts(&["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-XLB-", "KUBE-SEP-", "KUBE-FW-"]) => Sign::Iptables,
        _ if starts(&["KUBE-IPVS-"]) => Sign::Ipvs,
        _ => Sign::Shared,
    })
}

/// What a mode that is not running left on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// Whose: `kube-proxy ipvs`.
    pub owner: String,
    /// Where: `iptables-nft IPv4 nat`, `nftables ip kube-proxy`, `ipset`, `ipvs`; null for a link.
    pub table: Option<String>,
    /// Chains.
    pub chains: u64,
    /// Rules in them.
    pub rules: u64,
    /// Sets.
    pub sets: u64,
    /// Virtual servers.
    pub virtual_servers: u64,
    /// The link.
    pub interface: Option<String>,
}

impl Leftover {
    fn of(mode: Mode, table: Option<String>) -> Self {
        Self { owner: format!("kube-proxy {mode}"), table, ..Self::default() }
    }

    /// In few words: `61 chains in iptables-nft IPv4 nat`.
    pub fn in_short(&self) -> String {
        let mut counts = Vec::new();
        for (count, one, many) in [
            (self.virtual_servers, "virtual server", "virtual servers"),
            (self.chains, "chain", "chains"),
            (self.sets, "set", "sets"),
        ] {
            match count {
                0 => {}
                1 => counts.push(format!("1 {one}")),
                n => counts.push(format!("{n} {many}")),
            }
        }
        match (&self.interface, &self.table) {
            (Some(link), _) => format!("link {link}"),
            (None, Some(table)) => format!("{} in {table}", counts.join(" and ")),
            (None, None) => counts.join(" and "),
        }
    }
}

/// What other modes than the running one left.
pub fn leftovers(running: Mode, traces: &Traces) -> Vec<Leftover> {
    let mut found = Vec::new();
    let ipvs_is_over = running != Mode::Ipvs && traces.modes().iter().any(|(mode, _)| *mode == Mode::Ipvs);
    if ipvs_is_over {
        if traces.has_dummy == Some(true) {
            found.push(Leftover { interface: Some(DUMMY.to_owned()), ..Leftover::of(Mode::Ipvs, None) });
        }
        if let Some(servers) = traces.servers.as_ref().map(Vec::len).filter(|count| *count > 0) {
            let table = Some("ipvs".to_owned());
            found.push(Leftover { virtual_servers: servers as u64, ..Leftover::of(Mode::Ipvs, table) });
        }
    }
    if let Some(sets) = traces.sets.filter(|sets| running != Mode::Ipvs && *sets > 0) {
        found.push(Leftover { sets, ..Leftover::of(Mode::Ipvs, Some("ipset".to_owned())) });
    }
    for (((backend, family, table), sign), count) in traces.chains.iter().flatten() {
        let mode = match sign {
            Sign::Iptables => Mode::Iptables,
            Sign::Ipvs => Mode::Ipvs,
            // in nftables mode even what both others share is over
            Sign::Shared if running == Mode::Nftables => Mode::Iptables,
            Sign::Shared => continue,
        };
        if mode == running || running == Mode::Userspace {
            continue;
        }
        let table = Some(format!("iptables-{} {family} {table}", backend.name()));
        found.push(Leftover { chains: count.chains, rules: count.rules, ..Leftover::of(mode, table) });
    }
    if running != Mode::Nftables {
        for (family, count) in traces.tables.iter().flatten() {
            let table = Some(format!("nftables {family} kube-proxy"));
            let Count { chains, rules, sets } = *count;
            found.push(Leftover { chains, rules, sets, ..Leftover::of(Mode::Nftables, table) });
        }
    }
    found
}
