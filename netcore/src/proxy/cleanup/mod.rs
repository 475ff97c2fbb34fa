//! What a mode that is not running left in a node's kernel, and how it is taken away: only what is
//! provably kube-proxy's, and only what the running mode does not use.

mod chains;
mod removal;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::Serialize;

pub use removal::Removal;

use super::{Mode, Version, traces::DUMMY};
use crate::{
    cidr::Family,
    ipset::{self, IpSets},
    iptables::{Backend, Ruleset},
    ipvs::{self, IpvsTable, VirtualAddress, VirtualServer},
    link, nft,
    owner::{self, Owner},
    probe::Probe,
    route,
};

/// The probes that a plan is made from.
pub const PROBES: [Probe; 8] = [
    Probe::Addresses,
    Probe::IpvsTable,
    Probe::IpsetSave,
    Probe::IptablesSave,
    Probe::Ip6tablesSave,
    Probe::IptablesLegacySave,
    Probe::Ip6tablesLegacySave,
    Probe::NftRuleset,
];

/// What a node's tools printed.
#[derive(Clone, Debug, Default)]
pub struct State {
    printed: BTreeMap<Probe, Vec<String>>,
    absent: BTreeSet<Probe>,
}

impl State {
    /// Takes what a probe printed.
    pub fn take(&mut self, probe: Probe, text: &str) {
        self.printed.entry(probe).or_default().push(text.to_owned());
    }

    /// The kernel has nothing of the kind.
    pub fn take_absent(&mut self, probe: Probe) {
        self.absent.insert(probe);
    }

    /// Whether anything that a plan could be made from was read.
    pub fn is_known(&self) -> bool {
        PROBES.iter().any(|probe| self.is_read(*probe))
    }

    fn is_read(&self, probe: Probe) -> bool {
        self.printed.contains_key(&probe) || self.absent.contains(&probe)
    }

    fn texts(&self, probe: Probe) -> impl Iterator<Item = &str> {
        self.printed.get(&probe).into_iter().flatten().map(String::as_str)
    }

    /// The tables of one backend and family; nothing where they were not read whole.
    fn rules(&self, backend: Backend, family: Family) -> Option<Ruleset> {
        let probe = match (backend, family) {
            (Backend::Nft, Family::V4) => Probe::IptablesSave,
            (Backend::Nft, Family::V6) => Probe::Ip6tablesSave,
            (Backend::Legacy, Family::V4) => Probe::IptablesLegacySave,
            (Backend::Legacy, Family::V6) => Probe::Ip6tablesLegacySave,
        };
        // a dump knows its backend better than its file's name
        let dumps = [Probe::IptablesSave, Probe::Ip6tablesSave, Probe::IptablesLegacySave, Probe::Ip6tablesLegacySave];
        let all = dumps.into_iter().flat_map(|of| self.texts(of).map(move |text| (of, Ruleset::parse(text))));
        let of_place = all.filter(|(of, rules)| {
            let mut dumps = rules.dumps();
            let (Some(dump), None) = (dumps.next(), dumps.next()) else { return false };
            let is = dump.backend().map_or(*of == probe, |known| known == backend);
            let family_is = matches!(of, Probe::IptablesSave | Probe::IptablesLegacySave) == (family == Family::V4);
            is && family_is && dump.is_complete() == Some(true) && rules.problems().is_empty()
        });
        // counters or none: the same rules
        of_place.map(|(_, rules)| rules).next()
    }

    fn has_rules_of(&self, backend: Backend, family: Family) -> bool {
        let probe = match (backend, family) {
            (Backend::Nft, Family::V4) => Probe::IptablesSave,
            (Backend::Nft, Family::V6) => Probe::Ip6tablesSave,
            (Backend::Legacy, Family::V4) => Probe::IptablesLegacySave,
            (Backend::Legacy, Family::V6) => Probe::Ip6tablesLegacySave,
        };
        self.absent.contains(&probe) || self.texts(probe).any(|text| text.trim().is_empty())
    }
}

/// What a plan for one node is made from.
pub struct Question<'a> {
    /// The mode that runs there, which must be known for certain.
    pub running: Mode,
    /// What its tools printed.
    pub state: &'a State,
    /// The ports that Services have on every node; none where Services were not read.
    pub node_ports: Option<&'a BTreeSet<u16>>,
    /// The kubelet's version.
    pub kubelet: Option<Version>,
}

/// What is taken away, in this order, and what stays although it may be a leftover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The removals.
    pub removals: Vec<Removal>,
    /// What stays, and why.
    pub keeps: Vec<String>,
}

/// A node's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodePlan {
    /// The node.
    pub name: String,
    /// The mode that runs there; null where that is not known for certain, and then nothing is planned.
    pub running: Option<Mode>,
    /// The commands, as a shell takes them, in this order.
    pub commands: Vec<String>,
    /// What stays although it may be a leftover, and why.
    pub keeps: Vec<String>,
}

/// The report's own fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CleanupPlan {
    /// Each node.
    pub nodes: Vec<NodePlan>,
}

impl NodePlan {
    /// A plan with a name.
    pub fn of(name: &str, running: Mode, plan: &Plan) -> Self {
        Self {
            name: name.to_owned(),
            running: Some(running),
            commands: plan.removals.iter().map(ToString::to_string).collect(),
            keeps: plan.keeps.clone(),
        }
    }

    /// A node of which nothing is taken away, and why.
    pub fn untouched(name: &str, why: &str) -> Self {
        Self { name: name.to_owned(), running: None, commands: Vec::new(), keeps: vec![format!("everything: {why}")] }
    }
}

/// What stays, the same reason once.
#[derive(Default)]
struct Kept(BTreeMap<String, Vec<String>>);

impl Kept {
    fn add(&mut self, what: String, why: &str) {
        let all = self.0.entry(why.to_owned()).or_default();
        if !all.contains(&what) {
            all.push(what);
        }
    }

    fn finish(self) -> Vec<String> {
        const NAMED: usize = 3;
        let line = |(why, all): (String, Vec<String>)| {
            let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            match all.len().saturating_sub(NAMED) {
                0 => format!("{named}: {why}"),
                more => format!("{named} and {more} more: {why}"),
            }
        };
        self.0.into_iter().map(line).collect()
    }
}

const PLACES: [(Backend, Family); 4] = [
    (Backend::Legacy, Family::V4),
    (Backend::Legacy, Family::V6),
    (Backend::Nft, Family::V4),
    (Backend::Nft, Family::V6),
];

/// The plan for a node.
pub fn plan(question: &Question<'_>) -> Plan {
    let mut kept = Kept::default();
    if !Mode::LINUX.contains(&question.running) {
        kept.add("everything".to_owned(), "a mode runs whose leftovers are not known");
        return Plan { removals: Vec::new(), keeps: kept.finish() };
    }
    let state = question.state;
    let sets: Vec<IpSets<'_>> = state.texts(Probe::IpsetSave).map(|text| ipset::parse(text.as_bytes())).collect();
    let (mut removals, guarded) = servers(question, &mut kept);
    let rules: Vec<((Backend, Family), Ruleset)> =
        PLACES.iter().filter_map(|place| Some((*place, state.rules(place.0, place.1)?))).collect();
    let terms = chains::Terms { running: question.running, kubelet: question.kubelet, guarded };
    let known: BTreeSet<&str> = sets.iter().flat_map(|sets| &sets.sets).map(|set| set.name).collect();
    let mut named = BTreeSet::new();
    let ambiguous = stale_backend_is_unknown(question.running, &rules);
    for (place, rules) in &rules {
        let mut script = String::new();
        let (mut chains, mut count) = (0, 0);
        for table in rules.tables() {
            let mut found = chains::of_table(table, *place, &terms, &mut kept);
            if ambiguous && !found.is_empty() {
                kept.add(
                    format!("{} of {}", counted(found.chains(), "chain"), removal::place(place.0, place.1)),
                    "both backends of iptables hold kube-proxy's entry chain, and which one it writes is not known",
                );
                found = chains::OfTable::default();
            }
            for rule in table.rules().filter(|rule| found.keeps(rule)) {
                chains::named_sets(&rule, &known, &mut named);
            }
            if !found.is_empty() {
                found.script(&mut script);
                chains += found.chains();
                count += found.rules();
            }
        }
        if !script.is_empty() {
            let (backend, family) = *place;
            removals.push(Removal::Chains { backend, family, script, chains, rules: count });
        }
    }
    let unread: Vec<String> = PLACES
        .iter()
        .filter(|(backend, family)| {
            !rules.iter().any(|(place, _)| place == &(*backend, *family)) && !state.has_rules_of(*backend, *family)
        })
        .map(|(backend, family)| removal::place(*backend, *family))
        .collect();
    destroy(question.running, &sets, &named, &unread, &mut removals, &mut kept);
    if question.running != Mode::Nftables {
        removals.extend(tables(state).into_iter().map(Removal::Table));
    }
    Plan { removals, keeps: kept.finish() }
}

fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// Where both backends hold the entry chain, one of them is stale, and nothing tells which.
fn stale_backend_is_unknown(running: Mode, rules: &[((Backend, Family), Ruleset)]) -> bool {
    let has_entry = |backend: Backend| {
        rules.iter().filter(|((of, _), _)| *of == backend).flat_map(|(_, rules)| rules.tables()).any(|table| {
            table.name() == Some("nat") && table.chain("KUBE-SERVICES").is_some_and(|chain| !chain.is_empty())
        })
    };
    running != Mode::Nftables && has_entry(Backend::Nft) && has_entry(Backend::Legacy)
}

/// The virtual servers and the link of ipvs mode; and whether addresses of Services stay on the node.
fn servers(question: &Question<'_>, kept: &mut Kept) -> (Vec<Removal>, bool) {
    let state = question.state;
    let mut removals = Vec::new();
    if question.running == Mode::Ipvs {
        return (removals, true);
    }
    let links: Vec<&str> = state.texts(Probe::Addresses).collect();
    let has_dummy = links.iter().any(|text| link::parse_links(text).0.iter().any(|link| link.name == DUMMY));
    let (mut on_dummy, mut own) = (BTreeSet::new(), BTreeSet::new());
    for interface in links.iter().flat_map(|text| route::parse_addresses(text).0) {
        let place = if interface.name == DUMMY { &mut on_dummy } else { &mut own };
        place.extend(interface.addresses.iter().map(|address| address.ip));
    }
    let table = longest(state);
    let mut stay = false;
    for server in table.iter().flat_map(|table| &table.services) {
        match own_server(question, server, &on_dummy, &own) {
            Ok((protocol, endpoint)) => removals.push(Removal::Server(protocol, endpoint)),
            Err(why) => {
                stay |= matches!(server.address, VirtualAddress::Socket(_, end) if on_dummy.contains(&end.address));
                kept.add(format!("virtual server {}", server.address), why);
            }
        }
    }
    if !has_dummy {
        return (removals, links.is_empty());
    }
    if table.is_none() && !state.absent.contains(&Probe::IpvsTable) {
        kept.add(format!("link {DUMMY}"), "virtual servers were not read, and those on its addresses would go dead");
        stay = true;
    } else if stay {
        kept.add(format!("link {DUMMY}"), "virtual servers that stay have their addresses on it");
    } else {
        removals.push(Removal::Link);
    }
    (removals, stay)
}

/// The longest of the prints of the node's one table.
fn longest(state: &State) -> Option<IpvsTable> {
    // what tells the connections is worth more than what does not
    let worth = |table: &IpvsTable| {
        let told = table.services.iter().flat_map(|server| &server.servers).filter(|real| real.active.is_some());
        (table.services.len(), told.count())
    };
    let whole = state.texts(Probe::IpvsTable).map(ipvs::parse).filter(|(_, problems)| problems.is_empty());
    whole.map(|(table, _)| table).max_by_key(worth)
}

/// The address of a virtual server that is provably kube-proxy's and has no connection; else why it stays.
fn own_server(
    question: &Question<'_>,
    server: &VirtualServer,
    on_dummy: &BTreeSet<IpAddr>,
    own: &BTreeSet<IpAddr>,
) -> Result<(ipvs::Protocol, ipvs::Endpoint), &'static str> {
    let VirtualAddress::Socket(protocol, endpoint) = server.address else {
        return Err("kube-proxy makes none for a firewall's mark: it is somebody else's");
    };
    let of_node = own.contains(&endpoint.address);
    let is_own = on_dummy.contains(&endpoint.address)
        || (of_node && question.node_ports.is_some_and(|ports| ports.contains(&endpoint.port)));
    if !is_own {
        return Err(match question.node_ports {
            None if of_node => "whether its port is a Service's is not known: Services were not read",
            _ => "its address is not on kube-ipvs0: it may be somebody else's",
        });
    }
    let mut active = 0;
    for real in &server.servers {
        active += real.active.ok_or("whether connections use it was not read")?;
    }
    if active > 0 {
        return Err("connections use it");
    }
    Ok((protocol, endpoint))
}

/// kube-proxy's sets that no rule names afterwards.
fn destroy(
    running: Mode,
    sets: &[IpSets<'_>],
    named: &BTreeSet<&str>,
    unread: &[String],
    removals: &mut Vec<Removal>,
    kept: &mut Kept,
) {
    if running == Mode::Ipvs {
        return;
    }
    let is_own = |name: &&str| owner::of_set(name).is_some_and(|of| of.owner == Owner::KubeProxy);
    let own: BTreeSet<&str> = sets.iter().flat_map(|sets| &sets.sets).map(|set| set.name).filter(is_own).collect();
    let mut going = Vec::new();
    for name in own {
        if named.contains(name) {
            kept.add(format!("set {name}"), "a rule that stays names it");
        } else if unread.is_empty() {
            going.push(name.to_owned());
        } else {
            kept.add(format!("set {name}"), &format!("whether a rule of {} names it was not read", unread.join(", ")));
        }
    }
    if !going.is_empty() {
        removals.push(Removal::Sets(going));
    }
}

/// The families in which nftables has a table of kube-proxy's.
fn tables(state: &State) -> BTreeSet<Family> {
    const TABLE: &str = "kube-proxy";
    let mut found = BTreeSet::new();
    let mut add = |family: nft::Family| match family {
        nft::Family::Ip => {
            found.insert(Family::V4);
        }
        nft::Family::Ip6 => {
            found.insert(Family::V6);
        }
        _ => {}
    };
    for text in state.texts(Probe::NftRuleset) {
        if text.trim_start().starts_with('{') {
            let rules = nft::parse(text.as_bytes());
            rules.tables().filter(|table| table.name == TABLE).for_each(|table| add(table.family));
        } else {
            let rules = nft::parse_text(text.as_bytes());
            rules.tables.iter().filter(|table| table.name == TABLE).for_each(|table| add(table.family));
        }
    }
    found
}
