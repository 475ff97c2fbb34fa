//! `PacketTrace`: the ways of a packet as a report.

use serde::Serialize;

use super::{
    journey::{Hit, Place},
    model::address_and_port,
    walk::{Network, Path},
};
use crate::{cidr::Family, nft, owner::Owner};

/// The ways that one packet may take.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PacketTrace {
    /// From whom: the words of the question and what they mean.
    pub source: TraceEnd,
    /// To whom.
    pub target: TraceEnd,
    /// The protocol: `tcp`, or a number.
    pub protocol: String,
    /// Whether it is a later packet of a connection.
    pub established: bool,
    /// The ways. Their probabilities are 1 together.
    pub paths: Vec<TracePath>,
}

/// An end of the question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TraceEnd {
    /// As it was asked: `pod/shop/web`, `10.0.0.1`.
    pub asked: String,
    /// The address.
    pub address: String,
    /// The port; null where none is given.
    pub port: Option<u16>,
    /// The node that it is on; null for one that is on none.
    pub node: Option<String>,
}

/// One way of the packet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TracePath {
    /// How likely it is, from 0 to 1.
    pub probability: f64,
    /// Whether what the kernel remembers decides: lists of clients, counters, a scheduler's state. The probability is then what it is on average.
    pub stateful: bool,
    /// `accept`, `drop`, `reject`, `unknown`.
    pub verdict: String,
    /// Why, where no rule says it; null else.
    pub reason: Option<String>,
    /// `address:port` after translation.
    pub destination: String,
    /// The pod behind the destination, `namespace/name`; null where none is known.
    pub destination_pod: Option<String>,
    /// The source's address after translation; null where it is translated to what is not known.
    pub source: Option<String>,
    /// Whether the source was translated.
    pub source_translated: bool,
    /// The node that the packet was seen on last.
    pub node: String,
    /// The interface that it left there by; null where it ends on the node, or the interface is not known.
    pub interface: Option<String>,
    /// Rules that were tested.
    pub evaluated: u64,
    /// The same by owner, those with any.
    pub evaluated_by: Vec<OwnerRules>,
    /// Every rule that fitted, in the order in which the kernel would trace them.
    pub matched: Vec<TraceRule>,
    /// What was taken for true for want of a look.
    pub assumed: Vec<String>,
}

/// Rules of one owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OwnerRules {
    /// Whose.
    pub owner: Owner,
    /// How many.
    pub rules: u32,
}

/// A rule that fitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TraceRule {
    /// On which node.
    pub node: String,
    /// `prerouting`, `input`, `forward`, `output`, `postrouting`.
    pub hook: String,
    /// `ipv4`, `ipv6`, `inet`.
    pub family: String,
    /// `legacy` and `nft` for iptables, `nftables` for native tables, `ipvs`.
    pub backend: String,
    /// The table: `nat`, `kube-proxy`; `ipvs` for a virtual server.
    pub table: String,
    /// The chain; a virtual server's address.
    pub chain: String,
    /// The rule's place in its chain, from 1; null for a virtual server.
    pub index: Option<u32>,
    /// The rule as it is written.
    pub rule: String,
    /// What it did: `jump X`, `mark 0x4000`, `DNAT to 10.0.0.1:80`, `accept`, `continue`.
    pub effect: String,
    /// Whose it is.
    pub owner: Owner,
}

impl TracePath {
    /// A way with its rules as text.
    pub fn new(network: &Network<'_>, path: &Path<'_>) -> Self {
        let name = |node: usize| network.nodes().get(node).map_or_else(String::new, |node| node.name().to_owned());
        let unknown_source = path.source_translated
            && path.connections.iter().any(|(_, c)| c.source.is_some_and(|to| to.address.is_none()));
        let by = Owner::ALL.into_iter().map(|owner| OwnerRules { owner, rules: path.tested.of(owner) });
        Self {
            probability: path.probability,
            stateful: path.stateful,
            verdict: path.verdict.name().to_owned(),
            reason: path.reason.clone().map(Into::into),
            destination: address_and_port(path.ends.destination, path.ends.destination_port),
            destination_pod: None,
            source: (!unknown_source).then(|| path.ends.source.to_string()),
            source_translated: path.source_translated,
            node: name(path.node),
            interface: path.leaves_by.name().filter(|name| !path.delivered && !name.is_empty()).map(str::to_owned),
            evaluated: path.tested.total(),
            evaluated_by: by.filter(|one| one.rules > 0).collect(),
            matched: path.matched.iter().map(|hit| TraceRule::new(hit, name(hit.node))).collect(),
            assumed: path.taken.iter().map(|words| words.clone().into_owned()).collect(),
        }
    }
}

impl TraceRule {
    fn new(hit: &Hit<'_>, node: String) -> Self {
        let hook = hit.hook.name().to_owned();
        let effect = hit.effect.clone().into_owned();
        let family = if hit.family == Family::V4 { "ipv4" } else { "ipv6" };
        match hit.place {
            Place::Iptables(rule, backend) => {
                let chain = rule.chain();
                let table = chain.and_then(|chain| chain.table());
                Self {
                    node,
                    hook,
                    family: family.to_owned(),
                    backend: backend.name().to_owned(),
                    table: table.and_then(|table| table.name()).unwrap_or("?").to_owned(),
                    chain: chain.map_or("?", |chain| chain.name()).to_owned(),
                    index: hit.index,
                    rule: rule.text().to_owned(),
                    effect,
                    owner: rule.owner().owner,
                }
            }
            Place::Nft(rule) => Self {
                node,
                hook,
                family: if rule.family == nft::Family::Inet { "inet" } else { family }.to_owned(),
                backend: "nftables".to_owned(),
                table: rule.table.clone().into_owned(),
                chain: rule.chain.clone().into_owned(),
                index: hit.index,
                rule: rule_text(rule),
                effect,
                owner: nft::of_rule(rule).owner,
            },
            Place::Ipvs(server) => {
                let servers = server.servers.len();
                Self {
                    node,
                    hook,
                    family: family.to_owned(),
                    backend: "ipvs".to_owned(),
                    table: "ipvs".to_owned(),
                    chain: server.address.to_string(),
                    index: None,
                    rule: format!("scheduler {}, {servers} real servers", server.scheduler.as_deref().unwrap_or("?")),
                    effect,
                    owner: Owner::KubeProxy,
                }
            }
        }
    }
}

/// A rule of nftables: its comment, and its statements in JSON as nft printed them.
fn rule_text(rule: &nft::Rule<'_>) -> String {
    let statements = rule.expr.as_ref().map_or("", |expr| expr.text());
    match &rule.comment {
        Some(comment) => format!("comment \"{comment}\" {statements}"),
        None => statements.to_owned(),
    }
}
