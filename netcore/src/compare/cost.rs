//! What packets pass on a node: the first packet of a connection from each of its pods, and to each
//! Service, walked rule by rule, and a later packet of the same connections.

use std::{collections::BTreeMap, net::IpAddr};

use super::{OwnerRules, PacketCost};
use crate::{
    owner::Owner,
    packet::{
        Device, Ends, Flow, Network, Origin, Path, Verdict,
        cost::{Cost, Server, Spread},
    },
};

/// What was found by walking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// First packets; nothing where not one could be walked to its end.
    pub first: Option<Vec<PacketCost>>,
    /// Later packets, at the median.
    pub established: Option<Vec<OwnerRules>>,
    /// Why not all were; nothing where all were.
    pub unknown: Option<String>,
}

/// A port that no rule asks for: where connections come from.
const SOURCE_PORT: u16 = 40_000;

/// How many connections are walked on one node: every pod to every Service up to here.
const MOST: usize = 20_000;

/// Walks from every pod to every Service on the network's first node; where these are more than 20,000
/// connections, each Service once, from the pods in turn, and each pod once, to the Services in turn. Owners
/// without a rule on any way are left out.
pub fn walk(network: &Network<'_>, pods: &[IpAddr], servers: &[Server]) -> Walked {
    let mut tally = Tallies::default();
    let mut later = Tallies::default();
    for (pod, server) in pairs(pods, servers) {
        let Some(node) = network.nodes().first() else { break };
        let device = node.device_of(pod);
        if matches!(device, Device::Unknown) {
            tally.unknown("the interface of a pod is not known: the node's routes were not read".to_owned(), 1.0);
            continue;
        }
        let mut flow = Flow {
            node: 0,
            origin: Origin::Arrives(device),
            protocol: server.protocol,
            ends: Ends {
                source: pod,
                destination: server.address,
                source_port: Some(SOURCE_PORT),
                destination_port: Some(server.port),
            },
            mark: 0,
            established: false,
        };
        tally.take(&network.outcomes(&flow));
        // a later packet passes the same whatever the Service: its pods' rules decide
        if later.flows < pods.len() {
            flow.established = true;
            later.take(&network.outcomes(&flow));
        }
    }
    let first = tally.costs();
    let established = later.costs().zip(first.as_ref()).map(|(costs, first)| {
        let of = |owner: Owner| costs.iter().find(|cost| cost.owner == owner).map_or(0, |cost| cost.median);
        first.iter().map(|cost| OwnerRules { owner: cost.owner, rules: of(cost.owner) }).collect()
    });
    Walked { first, established, unknown: tally.reason() }
}

/// The connections that are walked, both ends of one family.
fn pairs(pods: &[IpAddr], servers: &[Server]) -> Vec<(IpAddr, Server)> {
    let mut pairs = Vec::new();
    for v6 in [false, true] {
        let pods: Vec<IpAddr> = pods.iter().copied().filter(|ip| ip.is_ipv6() == v6).collect();
        let servers: Vec<Server> = servers.iter().copied().filter(|server| server.address.is_ipv6() == v6).collect();
        if pods.is_empty() || servers.is_empty() {
            continue;
        }
        if pods.len().saturating_mul(servers.len()) <= MOST {
            pairs.extend(servers.iter().flat_map(|server| pods.iter().map(move |pod| (*pod, *server))));
            continue;
        }
        let count = pods.len().max(servers.len());
        pairs.extend(pods.iter().cycle().copied().zip(servers.iter().cycle().copied()).take(count));
    }
    pairs
}

/// Rules passed, by owner.
#[derive(Default)]
struct Tallies {
    passed: BTreeMap<Owner, Spread>,
    known: f64,
    lost: f64,
    flows: usize,
    reasons: BTreeMap<String, usize>,
}

impl Tallies {
    fn take(&mut self, paths: &[Path<'_>]) {
        self.flows += 1;
        for path in paths {
            if path.verdict == Verdict::Unknown {
                let reason = path.reason.as_deref().unwrap_or("a rule's condition is not known");
                self.unknown(reason.to_owned(), path.probability);
                continue;
            }
            self.known += path.probability;
            let (probability, tested, verdict) = (path.probability, path.tested, path.verdict);
            let cost = Cost { client: 0, server: 0, probability, tested, verdict };
            for owner in Owner::ALL {
                self.passed.entry(owner).or_default().add(&cost, Some(owner));
            }
        }
    }

    fn unknown(&mut self, reason: String, probability: f64) {
        self.lost += probability;
        *self.reasons.entry(reason).or_default() += 1;
    }

    fn costs(&self) -> Option<Vec<PacketCost>> {
        let cost = |(owner, spread): (&Owner, &Spread)| {
            let cost = PacketCost {
                owner: *owner,
                min: spread.min()?,
                median: spread.quantile(0.5)?,
                p99: spread.quantile(0.99)?,
                max: spread.max()?,
            };
            (cost.max > 0).then_some(cost)
        };
        (self.known > 0.0).then(|| self.passed.iter().filter_map(cost).collect())
    }

    /// The commonest reason, and how much of all it is about.
    fn reason(&self) -> Option<String> {
        let (reason, _) = self.reasons.iter().max_by_key(|(_, count)| **count)?;
        if self.known <= 0.0 {
            return Some(reason.clone());
        }
        let share = self.lost / (self.lost + self.known) * 100.0;
        Some(format!("{share:.0}% of the connections are left out: {reason}"))
    }
}
