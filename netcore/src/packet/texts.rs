//! A node's texts, as its probes give them, to what the walk asks for.

use std::{collections::BTreeSet, net::IpAddr};

use super::node::{NodeState, Part};
use crate::{
    cidr::Family,
    ipset::{self, IpSets},
    iptables::{Backend, Ruleset},
    ipvs::{self, IpvsTable},
    link::{Link, parse_links},
    nft,
    probe::Probe,
    route::{self, parse_addresses, parse_routes, parse_rules},
    sysctl::{self, Sysctls},
};

/// What a probe gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Text {
    Read(String),
    Absent,
    #[default]
    Unread,
}

impl Text {
    fn take(&mut self, text: Option<String>) {
        match text {
            // the first of several views of one state
            Some(text) if *self == Self::Unread || *self == Self::Absent => *self = Self::Read(text),
            None if *self == Self::Unread => *self = Self::Absent,
            _ => {}
        }
    }

    fn known<T>(&self, parse: impl FnOnce(&str) -> T) -> Part<T> {
        match self {
            Self::Read(text) => Part::Known(parse(text)),
            Self::Absent => Part::Absent,
            Self::Unread => Part::Unread,
        }
    }
}

/// A node's texts. Rules of iptables are kept as they were read; the rest is read by [`NodeTexts::parse`].
#[derive(Debug, Default)]
pub struct NodeTexts {
    /// The node's name.
    pub name: String,
    iptables: Vec<(Family, Backend, Ruleset)>,
    without: Vec<(Family, Backend)>,
    nft: Text,
    sets: Text,
    /// Each view shows what others leave out.
    ipvs: Vec<String>,
    without_ipvs: bool,
    addresses: Text,
    routes: Text,
    rules: Text,
    settings: Text,
    /// Addresses of its Node object.
    pub own_addresses: BTreeSet<IpAddr>,
    /// Addresses of pods that are not its own.
    pub foreign_addresses: BTreeSet<IpAddr>,
    /// What could not be read of the texts, by probe.
    pub problems: Vec<(Probe, String)>,
}

/// What one node's probes are asked for.
pub const PROBES: &[Probe] = &[
    Probe::IptablesSave,
    Probe::Ip6tablesSave,
    Probe::IptablesLegacySave,
    Probe::Ip6tablesLegacySave,
    Probe::NftRuleset,
    Probe::IpsetSave,
    Probe::IpvsTable,
    Probe::Addresses,
    Probe::Routes,
    Probe::Rules,
    Probe::Sysctls,
];

impl NodeTexts {
    /// Of a node.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Takes what a probe gave; nothing where the node does not have it.
    pub fn take(&mut self, probe: Probe, text: Option<String>) {
        let tables = match probe {
            Probe::IptablesSave => (Family::V4, Backend::Nft),
            Probe::Ip6tablesSave => (Family::V6, Backend::Nft),
            Probe::IptablesLegacySave => (Family::V4, Backend::Legacy),
            Probe::Ip6tablesLegacySave => (Family::V6, Backend::Legacy),
            Probe::NftRuleset => return self.take_nft(text),
            Probe::IpsetSave => return self.sets.take(text),
            Probe::IpvsTable => {
                self.without_ipvs |= text.is_none();
                return self.ipvs.extend(text);
            }
            Probe::Addresses => return self.addresses.take(text),
            Probe::Routes => return self.routes.take(text),
            Probe::Rules => return self.rules.take(text),
            Probe::Sysctls => return self.settings.take(text),
            _ => return,
        };
        match text {
            Some(text) => self.take_rules(probe, tables, text),
            None => self.without.push(tables),
        }
    }

    fn take_nft(&mut self, text: Option<String>) {
        match text {
            Some(text) if !text.trim_start().starts_with('{') => {
                let why = "only `nft -j list ruleset` tells enough, not the text without -j";
                self.problems.push((Probe::NftRuleset, why.to_owned()));
            }
            text => self.nft.take(text),
        }
    }

    /// A text's own header says more than the file that it was found in.
    fn take_rules(&mut self, probe: Probe, (family, backend): (Family, Backend), text: String) {
        let rules = Ruleset::parse(text);
        for problem in rules.problems() {
            self.problems.push((probe, problem.to_string()));
        }
        let family = rules.dumps().find_map(|dump| dump.family()).unwrap_or(family);
        let backend = rules.dumps().find_map(|dump| dump.backend()).unwrap_or(backend);
        let tables: BTreeSet<&str> = rules.tables().filter_map(|table| table.name()).collect();
        let same = self.iptables.iter().filter(|(of, with, _)| (*of, *with) == (family, backend));
        let known = same.flat_map(|(.., known)| known.tables()).filter_map(|table| table.name());
        if known.into_iter().any(|table| tables.contains(table)) {
            // another view of the same state
            return;
        }
        self.iptables.push((family, backend, rules));
    }

    /// Whether any rules, sets or virtual servers were read.
    pub fn has_rules(&self) -> bool {
        !self.iptables.is_empty() || matches!(self.nft, Text::Read(_)) || !self.ipvs.is_empty()
    }

    /// The rules of iptables.
    pub fn iptables(&self) -> &[(Family, Backend, Ruleset)] {
        &self.iptables
    }

    fn servers(&self) -> Part<IpvsTable> {
        let tables = self.ipvs.iter().map(|text| ipvs::parse(text).0);
        let merged = tables.reduce(|mut all, one| {
            all.merge(one);
            all
        });
        match merged {
            Some(table) => Part::Known(table),
            None if self.without_ipvs => Part::Absent,
            None => Part::Unread,
        }
    }

    /// Reads the texts.
    pub fn parse(&self) -> NodeParts<'_> {
        let nft = match &self.nft {
            Text::Read(text) => Part::Known(nft::parse(text.as_bytes())),
            Text::Absent => Part::Absent,
            Text::Unread => Part::Unread,
        };
        let sets = match &self.sets {
            Text::Read(text) => Part::Known(ipset::parse(text.as_bytes())),
            Text::Absent => Part::Absent,
            Text::Unread => Part::Unread,
        };
        NodeParts {
            texts: self,
            nft,
            sets,
            ipvs: self.servers(),
            interfaces: self.addresses.known(|text| parse_addresses(text).0),
            links: self.addresses.known(|text| parse_links(text).0),
            routes: self.routes.known(|text| parse_routes(text).0),
            rules: self.rules.known(|text| parse_rules(text).0),
            settings: self.settings.known(|text| sysctl::parse(text).0),
        }
    }
}

/// A node's texts as values, which borrow from them.
#[derive(Debug)]
pub struct NodeParts<'t> {
    texts: &'t NodeTexts,
    nft: Part<nft::Ruleset<'t>>,
    sets: Part<IpSets<'t>>,
    ipvs: Part<IpvsTable>,
    interfaces: Part<Vec<route::Interface>>,
    links: Part<Vec<Link>>,
    routes: Part<Vec<route::Route>>,
    rules: Part<Vec<route::Rule>>,
    settings: Part<Sysctls>,
}

impl<'t> NodeParts<'t> {
    /// What the walk asks for.
    pub fn state(&self) -> NodeState<'_> {
        let texts = self.texts;
        NodeState {
            name: texts.name.clone(),
            iptables: texts.iptables.iter().map(|(family, backend, rules)| (*family, *backend, rules)).collect(),
            without: texts.without.clone(),
            nft: self.nft.as_ref(),
            sets: self.sets.as_ref(),
            ipvs: self.ipvs.as_ref(),
            routes: self.routes.as_ref().map(Vec::as_slice),
            rules: self.rules.as_ref().map(Vec::as_slice),
            interfaces: self.interfaces.as_ref().map(Vec::as_slice),
            links: self.links.as_ref().map(Vec::as_slice),
            settings: self.settings.as_ref(),
            own_addresses: texts.own_addresses.clone(),
            foreign_addresses: texts.foreign_addresses.clone(),
            bypassed: self.bypassed(),
        }
    }

    /// The rules of nftables.
    pub fn nft(&self) -> Option<&nft::Ruleset<'t>> {
        match &self.nft {
            Part::Known(ruleset) => Some(ruleset),
            Part::Absent | Part::Unread => None,
        }
    }

    /// A data plane beside netfilter, told by the interfaces that it makes.
    fn bypassed(&self) -> Option<String> {
        let Part::Known(interfaces) = &self.interfaces else { return None };
        let has = |name: &str| interfaces.iter().any(|interface| interface.name == name);
        let who = match () {
            () if has("cilium_host") => "Cilium's eBPF programs",
            () if has("bpfin.cali") => "Calico's eBPF programs",
            () if has("ovn-k8s-mp0") || has("br-int") || has("ovs-system") => "Open vSwitch",
            () => return None,
        };
        Some(format!("{who} forward packets on this node beside the rules of netfilter, and are not looked into"))
    }
}
