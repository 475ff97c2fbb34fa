//! What first packets cost: rules tested for each of many sources and destinations on one node.
//!
//! Every packet is walked as `trace` walks it. What is alike in their ways is not repeated: chains are
//! read once, long ones are asked by an index, and no list of matches is kept.

use std::net::IpAddr;

use super::{
    model::{Ends, Tally, Verdict},
    walk::{Flow, Network, Origin},
};
use crate::{cidr::Family, owner::Owner};

/// Somebody who opens connections on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// How its packets come to the node's rules.
    pub origin: Origin,
    /// Its address.
    pub address: IpAddr,
}

/// Something that connections are opened to: a Service's address and port, or a pod's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// The address.
    pub address: IpAddr,
    /// The protocol's number.
    pub protocol: u8,
    /// The port.
    pub port: u16,
}

/// One way of one packet.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The client's place in the list.
    pub client: usize,
    /// The server's place in the list.
    pub server: usize,
    /// How likely the way is among this pair's.
    pub probability: f64,
    /// Rules that are tested on it.
    pub tested: Tally,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// Walks the first packet of every client to every server of its family, and tells each way of each.
pub fn first_packets(
    network: &Network<'_>,
    node: usize,
    clients: &[Client],
    servers: &[Server],
    established: bool,
    mut tell: impl FnMut(Cost),
) {
    for (client, from) in clients.iter().enumerate() {
        for (server, to) in servers.iter().enumerate() {
            if Family::of(from.address) != Family::of(to.address) {
                continue;
            }
            let ends = Ends {
                source: from.address,
                destination: to.address,
                source_port: None,
                destination_port: Some(to.port),
            };
            let flow = Flow { node, origin: from.origin.clone(), protocol: to.protocol, ends, mark: 0, established };
            for path in network.outcomes(&flow) {
                let (probability, tested, verdict) = (path.probability, path.tested, path.verdict);
                tell(Cost { client, server, probability, tested, verdict });
            }
        }
    }
}

/// How the costs of many packets are spread; each packet counts as one, its ways by their shares.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    /// Rules tested, and the weight of the ways with so many.
    counts: std::collections::BTreeMap<u64, f64>,
}

impl Spread {
    /// Adds the rules of an owner, or of all.
    pub fn add(&mut self, cost: &Cost, owner: Option<Owner>) {
        let rules = owner.map_or_else(|| cost.tested.total(), |owner| u64::from(cost.tested.of(owner)));
        *self.counts.entry(rules).or_default() += cost.probability;
    }

    /// The fewest rules; nothing without packets.
    pub fn min(&self) -> Option<u64> {
        self.counts.keys().next().copied()
    }

    /// The most rules.
    pub fn max(&self) -> Option<u64> {
        self.counts.keys().next_back().copied()
    }

    /// The number of rules that a share of the packets does not exceed: 0.5 for the median.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let total: f64 = self.counts.values().sum();
        let mut seen = 0.0;
        let found = self.counts.iter().find(|(_, weight)| {
            seen += **weight;
            // sums of shares are not exact
            seen + 1e-9 >= share * total
        });
        found.map(|(rules, _)| *rules).or_else(|| self.max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_count_ways_by_their_shares() {
        let mut spread = Spread::default();
        for (rules, probability) in [(10, 1.0), (20, 0.5), (30, 0.5), (40, 1.0)] {
            let mut tested = Tally::default();
            tested.add(Owner::KubeProxy, rules);
            tested.add(Owner::Calico, 1);
            let cost = Cost { client: 0, server: 0, probability, tested, verdict: Verdict::Accept };
            spread.add(&cost, Some(Owner::KubeProxy));
        }
        assert_eq!(
            (spread.min(), spread.quantile(0.5), spread.quantile(0.99), spread.max()),
            (Some(10), Some(20), Some(40), Some(40))
        );
    }
}
