//! What was read on one node.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    catalogue::{Kind, ROWS, listed},
    conf::{ConfFile, parse_files},
};
use crate::{
    bird::{self, Bird},
    conntrack,
    flannel::SubnetEnv,
    iptables::{Backend, Ruleset},
    link::{self, FdbEntry, Link, Neighbour},
    nft,
    probe::Probe,
    route::{self, Interface, Route, Rule},
    sysctl::{self, Sysctls},
};

/// Chains and tables of one plugin in a node's kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// Chains.
    pub chains: u64,
    /// Rules in them.
    pub rules: u64,
    /// Which backends of iptables have them.
    pub backends: BTreeSet<Backend>,
    /// Tables of nftables of its own.
    pub tables: BTreeSet<String>,
}

/// What was read on one node. What was not read is `None`, what was read and is not there is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// CNI configuration files.
    pub conf: Option<Vec<ConfFile>>,
    /// Links.
    pub links: Option<Vec<Link>>,
    /// Interfaces with their addresses.
    pub interfaces: Vec<Interface>,
    /// Routes.
    pub routes: Option<Vec<Route>>,
    /// Policy rules.
    pub rules: Option<Vec<Rule>>,
    /// Neighbours.
    pub neighbours: Option<Vec<Neighbour>>,
    /// Entries of bridges and VXLANs.
    pub fdb: Option<Vec<FdbEntry>>,
    /// Kernel settings.
    pub sysctls: Option<Sysctls>,
    /// Tracked connections.
    pub conntrack: conntrack::Use,
    /// flannel's `subnet.env`.
    pub subnet_env: Option<SubnetEnv>,
    /// What BIRD says; IPv4 and IPv6 may be two daemons.
    pub birds: Vec<Bird>,
    /// BIRD was asked and does not run.
    pub bird_absent: bool,
    /// Chains and tables by plugin; `None` where no rules were read.
    pub owned: Option<BTreeMap<Kind, Owned>>,
    /// Rules of `FLANNEL-POSTRTG` that masquerade.
    pub flannel_masquerades: u64,
    /// Files that were read, for evidence.
    pub files: BTreeMap<Probe, String>,
    /// Probes that could not be read, and why.
    pub unread: BTreeMap<Probe, String>,
}

impl Reading {
    pub(super) fn take(&mut self, probe: Probe, text: &str, file: &str) -> Vec<crate::problem::Problem> {
        self.files.entry(probe).or_insert_with(|| file.to_owned());
        match probe {
            Probe::CniConf => {
                let files = parse_files(text, file);
                let known = self.conf.get_or_insert_default();
                for file in files {
                    if !known.iter().any(|known| known.name == file.name) {
                        known.push(file);
                    }
                }
                Vec::new()
            }
            Probe::Addresses => {
                let (links, problems) = link::parse_links(text);
                let known = self.links.get_or_insert_default();
                // the print with details has more to say
                if known.is_empty()
                    || (known.iter().all(|link| link.kind.is_none()) && links.iter().any(|link| link.kind.is_some()))
                {
                    *known = links;
                }
                if self.interfaces.is_empty() {
                    self.interfaces = route::parse_addresses(text).0;
                }
                problems
            }
            Probe::Routes => {
                let (routes, problems) = route::parse_routes(text);
                let known = self.routes.get_or_insert_default();
                known.extend(routes.into_iter().filter(|route| route.table != "local"));
                known.sort_by(|a, b| {
                    (&a.table, a.destination, a.metric, &a.next_hops).cmp(&(
                        &b.table,
                        b.destination,
                        b.metric,
                        &b.next_hops,
                    ))
                });
                known.dedup_by(|a, b| {
                    a.table == b.table
                        && a.destination == b.destination
                        && a.metric == b.metric
                        && a.next_hops == b.next_hops
                });
                problems
            }
            Probe::Rules => {
                let (rules, problems) = route::parse_rules(text);
                self.rules.get_or_insert_default().extend(rules);
                problems
            }
            Probe::Neighbours => {
                let (found, problems) = link::parse_neighbours(text);
                self.neighbours.get_or_insert_default().extend(found);
                problems
            }
            Probe::Fdb => {
                let (found, problems) = link::parse_fdb(text);
                self.fdb.get_or_insert_default().extend(found);
                problems
            }
            Probe::Sysctls => {
                let (found, problems) = sysctl::parse(text);
                let seen = found.conntrack();
                self.conntrack.used = self.conntrack.used.or(seen.used);
                self.conntrack.limit = self.conntrack.limit.or(seen.limit);
                self.sysctls = Some(found);
                problems
            }
            Probe::Conntrack => {
                if let Some(seen) = conntrack::parse_use(text) {
                    self.conntrack = seen;
                } else {
                    let (count, problems) = conntrack::each(text, |_| {});
                    self.conntrack.used = Some(count);
                    return problems;
                }
                Vec::new()
            }
            Probe::FlannelSubnetEnv => {
                let (env, problems) = crate::flannel::parse_subnet_env(text);
                self.subnet_env = Some(env);
                problems
            }
            Probe::BirdProtocols | Probe::BirdRoutes | Probe::Bird6Protocols | Probe::Bird6Routes => {
                let (bird, problems) = bird::parse(text);
                self.birds.push(bird);
                self.bird_absent = false;
                problems
            }
            Probe::IptablesSave | Probe::Ip6tablesSave => self.take_rules(text, Backend::Nft),
            Probe::IptablesLegacySave | Probe::Ip6tablesLegacySave => self.take_rules(text, Backend::Legacy),
            Probe::NftRuleset => self.take_tables(text),
            _ => Vec::new(),
        }
    }

    /// Problems of rule sets are told by whoever reads kube-proxy's rules in them.
    fn take_rules(&mut self, text: &str, backend: Backend) -> Vec<crate::problem::Problem> {
        let rules = Ruleset::parse(text);
        let mut found: BTreeMap<Kind, Owned> = BTreeMap::new();
        let mut masquerades = 0;
        for table in rules.tables() {
            let backend = table.dump().and_then(|dump| dump.backend()).unwrap_or(backend);
            for chain in table.chains() {
                let Some(kind) = kind_of_chain(chain.name()) else { continue };
                let owned = found.entry(kind).or_default();
                owned.chains += 1;
                owned.rules += chain.len() as u64;
                owned.backends.insert(backend);
                if chain.name() == "FLANNEL-POSTRTG" {
                    masquerades += chain.rules().filter(|rule| rule.text().contains("-j MASQUERADE")).count() as u64;
                }
            }
        }
        self.flannel_masquerades = self.flannel_masquerades.max(masquerades);
        let known = self.owned.get_or_insert_default();
        for (kind, owned) in found {
            let kept = known.entry(kind).or_default();
            // both families, and the same tables with and without counters: the larger tells enough
            kept.chains = kept.chains.max(owned.chains);
            kept.rules = kept.rules.max(owned.rules);
            kept.backends.extend(owned.backends);
        }
        Vec::new()
    }

    fn take_tables(&mut self, text: &str) -> Vec<crate::problem::Problem> {
        let names: Vec<String> = if text.trim_start().starts_with('{') {
            nft::parse(text.as_bytes()).tables().map(|table| table.name.to_string()).collect()
        } else {
            nft::parse_text(text.as_bytes()).tables.iter().map(|table| table.name.to_string()).collect()
        };
        let known = self.owned.get_or_insert_default();
        for name in names {
            if let Some(row) = ROWS.iter().find(|row| listed(row.tables, &name)) {
                known.entry(row.kind).or_default().tables.insert(name);
            }
        }
        Vec::new()
    }

    /// The link of a name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().flatten().find(|link| link.name == name)
    }
}

/// Whose chain it is.
fn kind_of_chain(name: &str) -> Option<Kind> {
    ROWS.iter().find(|row| row.chains.iter().any(|start| name.starts_with(start))).map(|row| row.kind)
}
