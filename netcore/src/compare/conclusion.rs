//! The two sentences at the end: what a connection costs here, and what to do about it.

use super::{Crossover, GrowthPoint, NodeCost, PacketCost, Shape};
use crate::{owner::Owner, proxy::Mode};

/// From how many Services on iptables mode was seen to cost time and processor: measurements of the
/// Kubernetes and Calico projects found nothing below.
const FELT: u64 = 1_000;

/// Two sentences: the cost, and the advice.
pub fn conclude(
    nodes: &[NodeCost],
    mode: Option<Mode>,
    shape: Option<&Shape>,
    (growth, crossover): (&[GrowthPoint], Option<Crossover>),
) -> Vec<String> {
    vec![cost(nodes, mode, shape), advice(mode, shape, growth, crossover)]
}

/// The dearest node's cost of an owner.
fn worst(nodes: &[NodeCost], owner: Owner) -> Option<PacketCost> {
    let costs = nodes.iter().filter_map(|node| node.first_packet.as_ref()).flatten();
    costs.filter(|cost| cost.owner == owner).max_by_key(|cost| cost.median).copied()
}

fn cost(nodes: &[NodeCost], mode: Option<Mode>, shape: Option<&Shape>) -> String {
    let (proxy, calico) = (worst(nodes, Owner::KubeProxy), worst(nodes, Owner::Calico));
    let told = |cost: &PacketCost, whose: &str| {
        format!("{} of {whose} rules at the median and {} at the 99th percentile", cost.median, cost.p99)
    };
    let parts: Vec<String> =
        [proxy.as_ref().map(|cost| told(cost, "kube-proxy's")), calico.as_ref().map(|cost| told(cost, "Calico's"))]
            .into_iter()
            .flatten()
            .collect();
    if !parts.is_empty() {
        return format!(
            "The first packet of a new connection passes {}; the packets after it pass far fewer.",
            parts.join(", and ")
        );
    }
    let rules: usize = nodes.iter().filter_map(|node| node.tables.as_ref()).flatten().map(|table| table.rules).sum();
    match (mode, shape) {
        (Some(Mode::Iptables), Some(shape)) => format!(
            "With {} Services in iptables mode the first packet of a connection to a Service in the middle of the list \
             passes about {:.0} of kube-proxy's rules, reckoned from the rules that are here; what it really passes was \
             not walked.",
            shape.services,
            shape.iptables(shape.services)
        ),
        (Some(mode), _) => format!(
            "kube-proxy is in {mode} mode, where the first packet of a connection passes about {} of its rules however \
             many Services there are; what it really passes was not walked.",
            if mode == Mode::Ipvs { super::IPVS_RULES } else { super::NFTABLES_RULES }
        ),
        (None, _) => format!(
            "{rules} rules were read, none of a kube-proxy in any mode, so a Service's connection costs nothing that \
             these rules show."
        ),
    }
}

fn advice(mode: Option<Mode>, shape: Option<&Shape>, growth: &[GrowthPoint], crossover: Option<Crossover>) -> String {
    let at = |services: u64| growth.iter().find(|point| point.services == services).map(|point| point.iptables);
    match (mode, shape, crossover) {
        (Some(Mode::Iptables), Some(shape), Some(crossover)) if shape.services < FELT => {
            let then = |services: u64| at(services).map(|rules| format!(" ({rules} rules here)")).unwrap_or_default();
            format!(
                "Leave the mode as it is: nftables mode needs fewer rules from {} on and there are {}, but below \
                 {FELT}{} nobody has measured a difference in time or processor; try `kubectl proxymode preflight \
                 nftables` before you get to 10,000{}.",
                if crossover.nftables > 1 { format!("{} Services", crossover.nftables) } else { "the first Service".to_owned() },
                shape.services,
                then(FELT),
                then(10_000)
            )
        }
        (Some(Mode::Iptables), Some(shape), _) => format!(
            "Move to nftables mode: at {} Services the walk through kube-proxy's chain costs every new connection time \
             that can be measured, and nftables needs {} rules at any number; `kubectl proxymode preflight nftables` says \
             what stands in the way, and connections that are kept open pay only once.",
            shape.services,
            super::NFTABLES_RULES
        ),
        (Some(Mode::Ipvs), ..) => {
            "Rules are no reason to change, but ipvs mode is deprecated since 1.35 and off by default from 1.40 on: plan \
             nftables mode, which is as flat; `kubectl proxymode preflight nftables` says what stands in the way."
                .to_owned()
        }
        (Some(_), ..) => "There is nothing to gain from another mode: the cost stays where it is however many Services \
            come, and what is left to trim are policies, each of which a pod's packets pass one after the other."
            .to_owned(),
        (None, ..) => "Read more before changing anything: iptables-save, nft -j list ruleset and ipset list of a node \
            as root tell what is missing here."
            .to_owned(),
    }
}
