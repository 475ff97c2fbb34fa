//! Whether a node's kernel does what the API's Services and EndpointSlices ask for.
//!
//! What a node is to have is worked out as kube-proxy does it ([`Desired`]); what it has is found out by following
//! packets through its rules. Layouts are not compared, only what becomes of packets: kube-proxy may write its rules
//! in whichever way its release does.

mod compare;
mod desired;
mod expected;
mod findings;
mod flow;
mod iptables;
mod ipvs;
mod local;
mod nftables;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::Serialize;

pub use self::desired::{Desired, Endpoint, Port, Service, ServiceName, Slice};
pub use self::findings::{DOCS, findings};
use self::{
    compare::{Comparison, Outcome},
    expected::plans,
};
use super::{
    Facts, Mode, Version, configured,
    kernel::ServicePort,
    report::report,
    traces::{Leftover, Traces, leftovers},
};
use crate::{
    cidr::{Cidr, Family},
    ipset,
    iptables::Ruleset,
    kubeproxy::KubeProxyConfig,
    nft,
    probe::Probe,
};

/// What the probes print that a node is verified by.
pub const PROBES: &[Probe] = &[
    Probe::Addresses,
    Probe::IpvsTable,
    Probe::IpsetSave,
    Probe::IptablesSave,
    Probe::Ip6tablesSave,
    Probe::IptablesLegacySave,
    Probe::Ip6tablesLegacySave,
    Probe::NftRuleset,
];

/// What has to be known of a node beside its kernel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    /// Name.
    pub name: String,
    /// The mode that its kube-proxy is in.
    pub mode: Option<Mode>,
    /// Its kube-proxy's version.
    pub version: Option<Version>,
    /// What its kube-proxy was told; without it some of it is guessed from the rules.
    pub config: Option<KubeProxyConfig>,
    /// The label `topology.kubernetes.io/zone`.
    pub zone: Option<String>,
    /// Its pods' ranges.
    pub pod_cidrs: Vec<Cidr>,
    /// Its addresses as the API has them, the internal ones first.
    pub addresses: Vec<IpAddr>,
    /// The addresses of its own links, `kube-ipvs0` aside; filled in from [`Probe::Addresses`].
    pub links: Vec<IpAddr>,
}

/// What was read of a node's kernel, as it was printed.
#[derive(Clone, Debug, Default)]
pub struct KernelTexts {
    /// What each probe printed.
    pub texts: BTreeMap<Probe, String>,
    /// What could not be read, and why.
    pub unread: BTreeMap<Probe, String>,
    /// What the node does not have.
    pub absent: Vec<Probe>,
    /// What was learnt of these texts already; else they are read once more for it.
    pub traces: Option<Traces>,
}

impl KernelTexts {
    /// Takes what a probe printed. Of several prints of one state the longest counts.
    pub fn take(&mut self, probe: Probe, text: String) {
        // without -j the text of nft says less than its JSON
        let rank = |text: &str| (text.trim_start().starts_with('{') || probe != Probe::NftRuleset, text.len());
        let known = self.texts.entry(probe).or_default();
        if known.is_empty() || rank(&text) > rank(known) {
            *known = text;
        }
    }

    /// Takes that a probe could not be read, and why.
    pub fn take_unread(&mut self, probe: Probe, reason: String) {
        self.unread.insert(probe, reason);
    }

    /// Takes that the node does not have what a probe reads.
    pub fn take_absent(&mut self, probe: Probe) {
        self.absent.push(probe);
    }
}

/// How far a node could be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum VerifyState {
    /// Every address was compared.
    Verified,
    /// Some were.
    Partial,
    /// None was.
    Unreadable,
    /// What is wanted changed while it was compared: nothing that differs is called wrong.
    Unstable,
}

/// An address that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The address; null for a node port, and for what all Services need.
    pub address: Option<IpAddr>,
    /// The port; null for what all Services need.
    pub port: Option<u16>,
    /// `TCP`, `UDP`, `SCTP`; null for what all Services need.
    pub protocol: Option<String>,
    /// Whose it is; null where nobody has it.
    pub service: Option<ServicePort>,
    /// What should become of packets; null for nothing.
    pub expected: Option<String>,
    /// What becomes of them.
    pub found: Option<String>,
    /// A rule, entry or virtual server that shows it.
    pub rule: Option<String>,
}

/// What verifying a node found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeVerdict {
    /// Name.
    pub name: String,
    /// The mode that it was verified for; null where that is not known.
    pub mode: Option<Mode>,
    /// How far it could be verified.
    pub state: VerifyState,
    /// Why it could not be verified in full; null where it was.
    pub reason: Option<String>,
    /// How many addresses, each with its port and protocol, were compared.
    pub checked: u64,
    /// Addresses that nothing is done for.
    pub missing: Vec<Entry>,
    /// Addresses that something is done for and nobody has.
    pub stale: Vec<Entry>,
    /// Addresses that something else is done for than should be.
    pub wrong: Vec<Entry>,
    /// What modes left that are not running.
    pub leftovers: Vec<Leftover>,
}

impl NodeVerdict {
    /// Whether nothing differs. Leftovers are no difference.
    pub fn agrees(&self) -> bool {
        self.missing.is_empty() && self.stale.is_empty() && self.wrong.is_empty()
    }

    /// A node that could not be verified at all, and why.
    pub fn unreadable(name: &str, mode: Option<Mode>, reason: String) -> Self {
        Self {
            name: name.to_owned(),
            mode,
            state: VerifyState::Unreadable,
            reason: Some(reason),
            checked: 0,
            missing: Vec::new(),
            stale: Vec::new(),
            wrong: Vec::new(),
            leftovers: Vec::new(),
        }
    }
}

/// What a second look at a node that differed leaves of the first: what differs both times, in the same address, and
/// is wanted the same both times, is wrong; anything else was on the move.
pub fn settle(first: NodeVerdict, mut second: NodeVerdict, moved: &dyn Fn(&ServicePort) -> bool) -> NodeVerdict {
    if second.checked == 0 && second.state == VerifyState::Unreadable {
        return first;
    }
    let places = |entries: &[Entry]| -> BTreeSet<_> {
        entries.iter().map(|entry| (entry.address, entry.port, entry.protocol.clone())).collect()
    };
    let before: BTreeSet<_> =
        [&first.missing, &first.stale, &first.wrong].into_iter().flat_map(|entries| places(entries)).collect();
    let mut dropped = 0;
    for entries in [&mut second.missing, &mut second.stale, &mut second.wrong] {
        entries.retain(|entry| {
            let place = (entry.address, entry.port, entry.protocol.clone());
            let stays = before.contains(&place) && !entry.service.as_ref().is_some_and(moved);
            dropped += usize::from(!stays);
            stays
        });
    }
    if dropped > 0 {
        second.state = VerifyState::Unstable;
        let reason = format!("{dropped} addresses changed while they were compared");
        second.reason = Some(second.reason.map_or(reason.clone(), |known| format!("{known}; {reason}")));
    }
    second
}

/// The report's own fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProxyVerifyReport {
    /// Each node.
    pub nodes: Vec<NodeVerdict>,
}

impl NodeFacts {
    /// What was read of a node: its mode by the evidence, its configuration as it runs, else as it was told.
    pub fn of(facts: &Facts, name: &str) -> Self {
        let row = report(facts, &|node| node == name).nodes.into_iter().find(|row| row.name == name);
        let reading = facts.readings.get(name);
        let told = configured::of_node(facts, name).ok();
        let running = reading.and_then(|reading| reading.configz.clone());
        let node = facts.nodes.get(name);
        Self {
            name: name.to_owned(),
            mode: row.as_ref().and_then(|row| row.effective.or(row.configured)),
            version: facts.proxy_version(name).and_then(|text| text.parse().ok()),
            config: running.or_else(|| told.as_ref().and_then(|told| told.config()).cloned()),
            zone: node.and_then(|node| node.zone.clone()),
            pod_cidrs: node.map(|node| node.pod_cidrs.clone()).unwrap_or_default(),
            addresses: node.map(|node| node.internal.clone()).unwrap_or_default(),
            links: Vec::new(),
        }
    }

    /// Whether everything that goes to a Service is masqueraded.
    fn masquerades_all(&self, nftables: bool) -> bool {
        let of = |config: &KubeProxyConfig| {
            if nftables { config.nftables_masquerade_all } else { config.masquerade_all }
        };
        self.config.as_ref().is_some_and(of)
    }

    /// The node's addresses that node ports are open on.
    fn node_port_addresses(&self, family: Family, nftables: bool) -> NodePortAddresses {
        let told = self.config.as_ref().map(|config| config.node_port_addresses.as_slice()).unwrap_or_default();
        let ranges: Vec<Cidr> = told.iter().filter_map(|text| text.parse().ok()).collect();
        let primary = told.iter().any(|text| text == "primary") || (told.is_empty() && nftables);
        let all = told.iter().any(|text| text == "all") || (told.is_empty() && !nftables);
        let first = self.addresses.iter().find(|ip| Family::of(**ip) == family);
        NodePortAddresses {
            all,
            ranges: ranges.into_iter().filter(|range| range.family() == family).collect(),
            primary: first.filter(|_| primary).copied(),
        }
    }
}

/// On which of its addresses a node opens node ports.
struct NodePortAddresses {
    all: bool,
    ranges: Vec<Cidr>,
    primary: Option<IpAddr>,
}

impl NodePortAddresses {
    fn contains(&self, ip: IpAddr) -> bool {
        self.all || self.primary == Some(ip) || self.ranges.iter().any(|range| range.contains_ip(ip))
    }
}

/// What keeps a node from being verified in full.
#[derive(Debug, Default)]
struct Gaps(Vec<String>);

/// Compares one node's kernel with what the API wants.
pub fn verify(node: &NodeFacts, mut kernel: KernelTexts, desired: &Desired) -> NodeVerdict {
    let traces = kernel.traces.take().unwrap_or_else(|| traces(&kernel));
    let told = node.mode.or_else(|| match traces.modes().as_slice() {
        [(mode, _)] => Some(*mode),
        _ => None,
    });
    let Some(mode) = told else {
        let reason = match kernel.unread.values().next() {
            Some(reason) => reason.clone(),
            None if kernel.texts.is_empty() && kernel.absent.is_empty() => "nothing of its kernel was read".to_owned(),
            None => "the mode of its kube-proxy is not known".to_owned(),
        };
        return NodeVerdict::unreadable(&node.name, None, reason);
    };
    let mut node = node.clone();
    node.links.clone_from(&traces.own);
    let mut gaps = Gaps::default();
    let outcome = match mode {
        Mode::Iptables => in_iptables(&node, kernel, desired, &mut gaps),
        Mode::Nftables => in_nftables(&node, &kernel, desired, &mut gaps),
        Mode::Ipvs => in_ipvs(&node, kernel, &traces, desired, &mut gaps),
        Mode::Kernelspace | Mode::Userspace => {
            gaps.0.push(format!("{mode} mode is not verified"));
            Outcome::default()
        }
    };
    if outcome.unknown > 0 {
        let why = outcome.reason.as_deref().unwrap_or_default();
        gaps.0.push(format!("layout not known for {} addresses: {why}", outcome.unknown));
    }
    let state = match (outcome.checked, gaps.0.is_empty()) {
        (_, true) => VerifyState::Verified,
        (0, false) => VerifyState::Unreadable,
        (_, false) => VerifyState::Partial,
    };
    NodeVerdict {
        name: node.name.clone(),
        mode: Some(mode),
        state,
        reason: (!gaps.0.is_empty()).then(|| gaps.0.join("; ")),
        checked: outcome.checked,
        missing: outcome.missing,
        stale: outcome.stale,
        wrong: outcome.wrong,
        leftovers: leftovers(mode, &traces),
    }
}

fn traces(kernel: &KernelTexts) -> Traces {
    let mut traces = Traces::default();
    for (probe, text) in &kernel.texts {
        traces.take(*probe, text);
    }
    for probe in &kernel.absent {
        traces.take_absent(*probe);
    }
    traces
}

/// The probes of a family's rules, of either backend.
const fn rule_probes(family: Family) -> [Probe; 2] {
    match family {
        Family::V4 => [Probe::IptablesSave, Probe::IptablesLegacySave],
        Family::V6 => [Probe::Ip6tablesSave, Probe::Ip6tablesLegacySave],
    }
}

/// The rules of a family in which kube-proxy has its chains; of two backends that have them, either.
fn rulesets(kernel: &mut KernelTexts, family: Family, gaps: &mut Gaps) -> Vec<Ruleset> {
    let mut found = Vec::new();
    let mut cut = None;
    for probe in rule_probes(family) {
        let Some(text) = kernel.texts.remove(&probe) else { continue };
        let rules = Ruleset::parse(text);
        if rules.dumps().any(|dump| dump.is_complete() == Some(false)) {
            cut = Some(format!("{} ends before its last COMMIT: rules are missing", probe.file()));
            continue;
        }
        found.push(rules);
    }
    let has_chain = |rules: &Ruleset| {
        rules
            .tables()
            .any(|table| table.name() == Some("nat") && table.chain("KUBE-SERVICES").is_some_and(|c| !c.is_empty()))
    };
    if found.iter().any(has_chain) {
        found.retain(has_chain);
    } else if let Some(cut) = cut {
        gaps.0.push(cut);
        found.clear();
    } else if found.is_empty() {
        let [probe, _] = rule_probes(family);
        let why = kernel.unread.get(&probe).map_or("not recorded", String::as_str);
        gaps.0.push(format!("{}: {why}", probe.file()));
    }
    found
}

fn in_iptables(node: &NodeFacts, mut kernel: KernelTexts, desired: &Desired, gaps: &mut Gaps) -> Outcome {
    let mut whole = Outcome::default();
    for family in [Family::V4, Family::V6] {
        let plans = plans(node, desired, family);
        let mut unseen = Gaps::default();
        let rulesets = rulesets(&mut kernel, family, &mut unseen);
        if plans.is_empty() && rulesets.is_empty() {
            continue;
        }
        gaps.0.append(&mut unseen.0);
        // where both backends have kube-proxy's chains, one of them is what it left: the one that fits worse
        let outcomes = rulesets.iter().filter_map(|rules| in_ruleset(node, rules, None, family, &plans));
        if let Some(best) = outcomes.min_by_key(Outcome::count) {
            whole.add(best);
        }
    }
    whole
}

fn in_nftables(node: &NodeFacts, kernel: &KernelTexts, desired: &Desired, gaps: &mut Gaps) -> Outcome {
    let mut whole = Outcome::default();
    let Some(text) = kernel.texts.get(&Probe::NftRuleset) else {
        let why = kernel.unread.get(&Probe::NftRuleset).map_or("not recorded", String::as_str);
        gaps.0.push(format!("{}: {why}", Probe::NftRuleset.file()));
        return whole;
    };
    if !text.trim_start().starts_with('{') {
        gaps.0.push("only `nft -j list ruleset` tells where rules lead, not the text without -j".to_owned());
        return whole;
    }
    let rules = nft::parse(text.as_bytes());
    if let Some(problem) = rules.problems.kept().first() {
        gaps.0.push(format!("{}: {problem}", Probe::NftRuleset.file()));
    }
    for family in [Family::V4, Family::V6] {
        let plans = plans(node, desired, family);
        let Some(kernel) = nftables::Nftables::of(&rules, family) else {
            if !plans.is_empty() {
                let mut outcome = Outcome::default();
                outcome.fault(&format!("table kube-proxy of {family}"), "no such table");
                whole.add(outcome);
            }
            continue;
        };
        let mut comparison = Comparison::new(node, family, &kernel);
        if kernel.frame(&mut comparison, &plans) {
            comparison.run(&plans);
        }
        whole.add(comparison.outcome);
    }
    whole
}

fn in_ipvs(node: &NodeFacts, mut kernel: KernelTexts, traces: &Traces, desired: &Desired, gaps: &mut Gaps) -> Outcome {
    let mut whole = Outcome::default();
    let servers = match kernel.texts.get(&Probe::IpvsTable) {
        Some(text) => {
            let (table, problems) = crate::ipvs::parse(text);
            gaps.0.extend(problems.first().map(|problem| format!("{}: {problem}", Probe::IpvsTable.file())));
            table
        }
        None if kernel.absent.contains(&Probe::IpvsTable) => crate::ipvs::IpvsTable::default(),
        None => {
            let why = kernel.unread.get(&Probe::IpvsTable).map_or("not recorded", String::as_str);
            gaps.0.push(format!("{}: {why}", Probe::IpvsTable.file()));
            return whole;
        }
    };
    let sets_text = kernel.texts.remove(&Probe::IpsetSave);
    if sets_text.is_none() {
        let why = kernel.unread.get(&Probe::IpsetSave).map_or("not recorded", String::as_str);
        gaps.0.push(format!("{}: {why}", Probe::IpsetSave.file()));
    }
    let sets = sets_text.as_deref().map(|text| ipset::parse(text.as_bytes()));
    let table = sets.as_ref().map(ipset::SetTable::new);
    let look = |name: &str, packet: &ipset::Packet<'_>, sides: &[ipset::Side]| {
        table.as_ref()?.matches(name, packet, sides).matches()
    };
    let excluded = node.config.iter().flat_map(|config| &config.exclude_cidrs).filter_map(|text| text.parse().ok());
    let excluded: Vec<Cidr> = excluded.collect();
    let scheduler = node.config.as_ref().map(|config| match config.scheduler.as_str() {
        "" => "rr",
        told => told,
    });
    for family in [Family::V4, Family::V6] {
        let plans = plans(node, desired, family);
        let mut unseen = Gaps::default();
        let rulesets = rulesets(&mut kernel, family, &mut unseen);
        if !plans.is_empty() {
            gaps.0.append(&mut unseen.0);
        }
        let nothing = Ruleset::parse("*nat\nCOMMIT\n");
        let rules = rulesets.first().unwrap_or(&nothing);
        let Some(dump) = rules.dumps().find(|dump| dump.table("nat").is_some()) else { continue };
        let around = ipvs::Around {
            dummy: traces.dummy.as_deref(),
            rules: !rulesets.is_empty() && sets.is_some(),
            sets: sets.as_ref(),
            excluded: excluded.clone(),
            scheduler,
        };
        let around_servers = iptables::Iptables::new(rules, dump, Some(&look));
        let mut comparison = Comparison::new(node, family, &around_servers);
        if around.rules {
            around_servers.frame_ipvs(&mut comparison, &plans);
        }
        ipvs::run(&mut comparison, &servers, &around, &plans);
        whole.add(comparison.outcome);
    }
    whole
}

fn in_ruleset(
    node: &NodeFacts,
    rules: &Ruleset,
    sets: Option<iptables::Sets<'_>>,
    family: Family,
    plans: &[expected::Plan<'_>],
) -> Option<Outcome> {
    let dump = rules.dumps().find(|dump| dump.table("nat").is_some()).or_else(|| rules.dumps().next())?;
    let kernel = iptables::Iptables::new(rules, dump, sets);
    let mut comparison = Comparison::new(node, family, &kernel);
    if kernel.frame(&mut comparison, plans) {
        comparison.run(plans);
    }
    Some(comparison.outcome)
}

#[cfg(test)]
mod tests;
