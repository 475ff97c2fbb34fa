//! What each node's kernel holds, as texts: the tables of iptables and nftables, sets, virtual servers.

use std::collections::BTreeMap;

use netcore::{
    finding::Unreadable,
    ipset::Form,
    iptables::{Ruleset, listing},
    probe::Probe,
    rules::{Dumps, Taken},
};
use plugin::{
    nodes::{NodeAnswer, NodesError, Outcome},
    question::Session,
};

/// What is read for the rules alone.
pub(crate) const RULES: &[Probe] = &[
    Probe::IptablesSave,
    Probe::Ip6tablesSave,
    Probe::IptablesLegacySave,
    Probe::Ip6tablesLegacySave,
    Probe::NftRuleset,
];

/// A node's kernel.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    /// Texts of `iptables-save`.
    pub(crate) dumps: Dumps,
    /// `nft -j list ruleset`.
    pub(crate) nft: Option<String>,
    /// `ipset list` or `ipset save`; the former says more.
    pub(crate) ipset: Option<String>,
    /// Virtual servers in any form, in the order in which they were read.
    pub(crate) ipvs: Vec<String>,
    /// Texts of addresses, routes, policy rules and sysctls.
    pub(crate) around: Vec<(Probe, String)>,
    /// What the node does not have, for certain.
    pub(crate) absent: Vec<Probe>,
}

/// The kernels of all nodes that were read; the node is none where files do not name it.
#[derive(Debug, Default)]
pub(crate) struct Kernels {
    pub(crate) nodes: BTreeMap<Option<String>, Kernel>,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) missing: Vec<Unreadable>,
    /// Whether anything was read of any node.
    pub(crate) any: bool,
    texts: Vec<Unreadable>,
}

impl Kernels {
    /// Reads the probes on every node that was chosen.
    pub(crate) async fn read(session: &Session<'_>, probes: &[Probe]) -> Result<Self, NodesError> {
        let mut kernels = Self::default();
        for answer in session.nodes.read_all(probes).await? {
            kernels.take(answer);
        }
        kernels.count_texts();
        Ok(kernels)
    }

    fn take(&mut self, answer: NodeAnswer) {
        let NodeAnswer { node, probe, outcome, file } = answer;
        let text = match outcome {
            Outcome::Text(text) => text,
            Outcome::Absent(_) => {
                self.any = true;
                self.nodes.entry(node).or_default().absent.push(probe);
                return;
            }
            Outcome::Unseen(reason) | Outcome::Unreadable(reason) => {
                if node.is_some() {
                    self.nodes.entry(node.clone()).or_default();
                }
                self.unreadable.push(Unreadable { source: probe.file().to_owned(), node, reason });
                return;
            }
        };
        let unread = |reason: String| Unreadable { source: file.clone(), node: node.clone(), reason };
        let kernel = self.nodes.entry(node.clone()).or_default();
        match probe {
            Probe::IptablesSave | Probe::Ip6tablesSave | Probe::IptablesLegacySave | Probe::Ip6tablesLegacySave => {
                let rules = Ruleset::parse(text.clone());
                if rules.tables().next().is_none() && !listing::Listing::parse(&text).chains.is_empty() {
                    let reason = "a listing of iptables -L does not say all of a rule; iptables-save does";
                    self.missing.push(unread(reason.to_owned()));
                    return;
                }
                self.any |= rules.tables().next().is_some();
                self.unreadable.extend(rules.problems().iter().map(|problem| unread(problem.to_string())));
                kernel.dumps.texts.push(Taken { probe, file: file.clone(), rules });
            }
            Probe::NftRuleset if text.trim_start().starts_with('{') => {
                self.any = true;
                kernel.nft.get_or_insert(text);
            }
            // iptables-nft's own tables are in the text, too, and iptables-save has them
            Probe::NftRuleset if text.contains("table ") => {
                self.texts.push(unread("only `nft -j list ruleset` is read, not the text without -j".to_owned()));
            }
            Probe::IpsetSave => {
                self.any = true;
                let says_more = || netcore::ipset::parse(text.as_bytes()).form == Form::List;
                if kernel.ipset.is_none() || says_more() {
                    kernel.ipset = Some(text);
                }
            }
            Probe::IpvsTable => {
                self.any = true;
                kernel.ipvs.push(text);
            }
            Probe::Addresses | Probe::Routes | Probe::Rules | Probe::Sysctls => kernel.around.push((probe, text)),
            _ => {}
        }
    }

    /// A text of nft is no loss where the JSON of the same node is there.
    fn count_texts(&mut self) {
        let has_json = |node: &Option<String>| self.nodes.get(node).is_some_and(|kernel| kernel.nft.is_some());
        let lost: Vec<Unreadable> = std::mem::take(&mut self.texts)
            .into_iter()
            .filter(|text| !has_json(&text.node) && !has_json(&None))
            .collect();
        self.unreadable.extend(lost);
    }
}
