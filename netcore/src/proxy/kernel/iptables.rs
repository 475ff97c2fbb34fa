//! The chains of iptables mode: from an address to `KUBE-SVC-…`, from there to `KUBE-SEP-…` and its translation.

use std::net::IpAddr;

use super::{Backend, KernelService, ServicePort, UNREADABLE};
use crate::iptables::{Chain, Dump, Match, Rule, Ruleset, Table, Target, Verdict};

/// Every address of a Service in a text of `iptables-save`; `held_by` names the command.
pub fn in_rules(rules: &Ruleset, held_by: &str) -> Vec<KernelService> {
    rules.dumps().flat_map(|dump| in_dump(&dump, held_by)).collect()
}

fn in_dump(dump: &Dump<'_>, held_by: &str) -> Vec<KernelService> {
    let mut found = Vec::new();
    if let Some(nat) = dump.table("nat") {
        for chain in ["KUBE-SERVICES", "KUBE-NODEPORTS"] {
            // from 1.33 on a node port has a second rule that only counts connections by loopback
            for service in rules_of(&nat, chain).filter_map(|rule| translated(&rule, held_by)) {
                let again = service.address.is_none() && found.contains(&service);
                if !again {
                    found.push(service);
                }
            }
        }
    }
    if let Some(filter) = dump.table("filter") {
        for chain in ["KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"] {
            found.extend(rules_of(&filter, chain).filter_map(|rule| rejected(&rule, held_by)));
        }
    }
    found
}

fn rules_of<'a>(table: &Table<'a>, chain: &str) -> impl Iterator<Item = Rule<'a>> + use<'a> {
    table.chain(chain).into_iter().flat_map(|chain| chain.rules())
}

/// The rule's own protocol, address and port; nothing for one that is of no Service.
fn front(rule: &Rule<'_>, held_by: &str) -> Option<KernelService> {
    let (mut protocol, mut address, mut port): (_, Option<IpAddr>, _) = (None, None, None);
    for part in rule.matches() {
        let ports = match &part {
            Match::Protocol(value) if !value.negated => {
                protocol = Some(value.value.0.to_uppercase());
                None
            }
            // a wider destination (loopback's) is not the Service's own address
            Match::Destination(value) if !value.negated && value.value.is_host() => {
                address = Some(value.value.ip);
                None
            }
            // it may be the address or the port
            Match::Unknown(_) => return None,
            Match::Tcp(tcp) => tcp.destinations.as_ref(),
            Match::Udp(udp) => udp.destinations.as_ref(),
            Match::Sctp(sctp) => sctp.destinations.as_ref(),
            _ => None,
        };
        if let Some(ports) = ports.filter(|ports| !ports.negated && ports.value.first == ports.value.last) {
            port = Some(ports.value.first);
        }
    }
    let service = rule.comments().find_map(|words| ServicePort::parse(words.split(' ').next().unwrap_or_default()));
    Some(KernelService {
        protocol: protocol?,
        address,
        port: port?,
        service,
        held_by: held_by.to_owned(),
        scheduler: None,
        flags: Vec::new(),
        affinity_seconds: None,
        backends: Vec::new(),
    })
}

fn rejected(rule: &Rule<'_>, held_by: &str) -> Option<KernelService> {
    let flag = match rule.target()? {
        Target::Reject(_) => "rejected",
        Target::Drop(_) => "dropped",
        _ => return None,
    };
    let mut service = front(rule, held_by)?;
    service.flags.push(flag.to_owned());
    Some(service)
}

fn translated(rule: &Rule<'_>, held_by: &str) -> Option<KernelService> {
    let Verdict::Chain(jump) = rule.verdict() else { return None };
    let mut service = front(rule, held_by)?;
    let mut chain = jump.chain;
    if !["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-"].iter().any(|p| chain.name().starts_with(p)) {
        return None;
    }
    // FW leads to EXT, EXT to SVL or SVC: the last jump is the one that clients from outside take, where
    // it asks for no source; without one, only pods and the node itself get through
    for _ in 0..2 {
        let is_outer = ["KUBE-EXT-", "KUBE-FW-"].iter().any(|prefix| chain.name().starts_with(prefix));
        let next = if is_outer { last_service(&chain) } else { None };
        if chain.name().starts_with("KUBE-FW-") {
            service.flags.push("source-ranges".to_owned());
        }
        let Some((next, from_anywhere)) = next else { break };
        if chain.name().starts_with("KUBE-EXT-") && !from_anywhere {
            service.flags.push("inside-only".to_owned());
        }
        chain = next;
    }
    if chain.name().starts_with("KUBE-SVL-") {
        service.flags.push("local".to_owned());
    }
    backends(&chain, &mut service);
    Some(service)
}

/// The last Service's chain that a chain jumps to, and whether it does so for any source.
fn last_service<'a>(chain: &Chain<'a>) -> Option<(Chain<'a>, bool)> {
    let called = |rule: Rule<'a>| match rule.verdict() {
        Verdict::Chain(jump) => {
            Some((jump.chain, rule.matches().all(|part| matches!(part, Match::Comment(_) | Match::Counters(_)))))
        }
        _ => None,
    };
    let leads = |(chain, _): &(Chain<'_>, bool)| {
        ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-"].iter().any(|prefix| chain.name().starts_with(prefix))
    };
    chain.rules().rev().filter_map(called).find(leads)
}

/// What a rule of a Service's chain asks before it goes to an endpoint.
#[derive(Default)]
struct Asked {
    probability: Option<f64>,
    seconds: Option<u32>,
    recent: bool,
    other: bool,
}

fn asked(rule: &Rule<'_>) -> Asked {
    let mut asked = Asked::default();
    for part in rule.matches() {
        match &part {
            Match::Comment(_) | Match::Counters(_) => {}
            Match::Statistic(value) => match &value.probability {
                Some(probability) if !probability.negated => asked.probability = Some(probability.value.value()),
                _ => asked.other = true,
            },
            Match::Recent(recent) => {
                asked.recent = true;
                asked.seconds = recent.seconds;
            }
            _ => asked.other = true,
        }
    }
    asked
}

fn backends(chain: &Chain<'_>, service: &mut KernelService) {
    // how likely it is that a packet comes this far; nothing after a rule that asks for something else
    let mut left = Some(1.0);
    for rule in chain.rules() {
        let Verdict::Chain(jump) = rule.verdict() else { continue };
        if !jump.chain.name().starts_with("KUBE-SEP-") {
            continue;
        }
        let asked = asked(&rule);
        if asked.recent {
            service.affinity_seconds = asked.seconds.or(service.affinity_seconds);
            continue;
        }
        if asked.other {
            left = None;
        }
        let chance = asked.probability.unwrap_or(1.0);
        let share = left.map(|left: f64| left * chance);
        left = left.map(|left| left * (1.0 - chance));
        let to = destination(&jump.chain);
        if to.is_none() && !service.flags.iter().any(|flag| flag == UNREADABLE) {
            service.flags.push(UNREADABLE.to_owned());
        }
        if let Some((address, port)) = to {
            service.backends.push(Backend {
                address,
                port,
                pod: None,
                node: None,
                forward: None,
                weight: None,
                probability: share,
                active: None,
                inactive: None,
            });
        }
    }
}

fn destination(chain: &Chain<'_>) -> Option<(IpAddr, u16)> {
    chain.rules().find_map(|rule| {
        let Some(Target::Dnat(dnat)) = rule.target() else { return None };
        let to = dnat.to?.read()?;
        Some((to.addresses?.0, to.ports?.first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // rules in the form that kube-proxy 1.36 writes, made up for a Service with two endpoints, one without any and a node port
    const TEXT: &str = "*filter\n:KUBE-SERVICES - [0:0]\n\
        -A KUBE-SERVICES -d 10.96.4.4/32 -p tcp -m comment --comment \"shop/empty:http has no endpoints\" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable\nCOMMIT\n\
        *nat\n:KUBE-SERVICES - [0:0]\n:KUBE-NODEPORTS - [0:0]\n:KUBE-SVC-A - [0:0]\n:KUBE-SVL-A - [0:0]\n:KUBE-EXT-A - [0:0]\n:KUBE-SEP-1 - [0:0]\n:KUBE-SEP-2 - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n\
        -A KUBE-NODEPORTS -p tcp -m comment --comment \"shop/web:http\" -m tcp --dport 30080 -j KUBE-EXT-A\n\
        -A KUBE-EXT-A -s 10.244.0.0/16 -j KUBE-SVC-A\n-A KUBE-EXT-A -j KUBE-SVL-A\n\
        -A KUBE-SVL-A -m comment --comment \"shop/web:http -> 10.244.0.2:8080\" -j KUBE-SEP-2\n\
        -A KUBE-SERVICES -d 10.96.3.3/32 -p tcp -m comment --comment \"shop/web:http cluster IP\" -m tcp --dport 80 -j KUBE-SVC-A\n\
        -A KUBE-SVC-A ! -s 10.244.0.0/16 -d 10.96.3.3/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ\n\
        -A KUBE-SVC-A -m recent --rcheck --seconds 600 --reap --name KUBE-SEP-1 --mask 255.255.255.255 --rsource -j KUBE-SEP-1\n\
        -A KUBE-SVC-A -m statistic --mode random --probability 0.25000000000 -j KUBE-SEP-1\n\
        -A KUBE-SVC-A -j KUBE-SEP-2\n\
        -A KUBE-SEP-1 -p tcp -m tcp -j DNAT --to-destination 10.244.0.1:8080\n\
        -A KUBE-SEP-2 -p tcp -m tcp -j DNAT --to-destination 10.244.0.2:8080\nCOMMIT\n";

    #[test]
    fn addresses_lead_to_backends_with_their_share() {
        let found = in_rules(&Ruleset::parse(TEXT), "iptables");
        assert_eq!(found.len(), 3);
        let web = &found[0];
        assert_eq!((web.address.map(|ip| ip.to_string()), web.port), (Some("10.96.3.3".to_owned()), 80));
        assert_eq!(web.service, ServicePort::parse("shop/web:http"));
        assert_eq!(web.affinity_seconds, Some(600));
        let shares: Vec<_> = web.backends.iter().map(|b| (b.address.to_string(), b.port, b.probability)).collect();
        assert_eq!(shares, [("10.244.0.1".to_owned(), 8080, Some(0.25)), ("10.244.0.2".to_owned(), 8080, Some(0.75))]);
        let node_port = &found[1];
        assert_eq!((node_port.address, node_port.port), (None, 30080));
        assert_eq!((node_port.flags.join(" "), node_port.backends.len()), ("local".to_owned(), 1));
        assert_eq!((found[2].flags.join(" "), found[2].backends.len()), ("rejected".to_owned(), 0));
    }
}
