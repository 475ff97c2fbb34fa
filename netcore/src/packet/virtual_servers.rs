//! IPVS: which virtual server takes a packet, and which of its servers may get it.

use std::{collections::HashMap, net::IpAddr};

use super::{
    journey::{Journey, Place},
    model::{Hook, Translation, Verdict, Words, address_and_port},
    targets::set_end,
};
use crate::{
    cidr::Family,
    ipvs::{Forward, IpvsTable, Persistence, Protocol, RealServer, VirtualAddress, VirtualServer},
};

/// A node's virtual servers by what they take in.
pub(super) struct Balancer<'a> {
    sockets: HashMap<(Protocol, IpAddr, u16), &'a VirtualServer>,
    marks: HashMap<u32, Vec<(Option<Family>, &'a VirtualServer)>>,
}

/// What IPVS does with a packet.
pub(super) enum Sent<'a> {
    /// No virtual server takes it.
    NotOurs(Journey<'a>),
    /// It ends here, and why.
    Ended(Journey<'a>, Verdict, Words),
    /// On to a server; whether its address was translated.
    To(Vec<(Journey<'a>, bool)>),
}

impl<'a> Balancer<'a> {
    pub(super) fn new(table: &'a IpvsTable) -> Self {
        let (mut sockets, mut marks) = (HashMap::new(), HashMap::<u32, Vec<_>>::new());
        for server in &table.services {
            match server.address {
                VirtualAddress::Socket(protocol, at) => {
                    sockets.entry((protocol, at.address, at.port)).or_insert(server);
                }
                VirtualAddress::Mark(mark, family) => marks.entry(mark).or_default().push((family, server)),
            }
        }
        Self { sockets, marks }
    }

    /// The kernel looks for the packet's mark first, then for its address and port, then for the address
    /// with any port.
    fn find(&self, journey: &Journey<'_>) -> Option<&'a VirtualServer> {
        let packet = &journey.packet;
        let family = packet.family();
        if packet.mark != 0
            && let Some(servers) = self.marks.get(&packet.mark)
            && let Some((_, server)) = servers.iter().find(|(of, _)| of.is_none_or(|of| of == family))
        {
            return Some(server);
        }
        let protocol = match packet.protocol {
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            132 => Protocol::Sctp,
            _ => return None,
        };
        let at = |port| self.sockets.get(&(protocol, packet.destination, port)).copied();
        packet.destination_port.and_then(at).or_else(|| at(0))
    }

    pub(super) fn send(&self, mut journey: Journey<'a>, hook: Hook) -> Sent<'a> {
        let Some(server) = self.find(&journey) else { return Sent::NotOurs(journey) };
        let scheduler = server.scheduler.as_deref().unwrap_or("?");
        let place = Place::Ipvs(server);
        // a server of weight 0 takes no new connections
        let candidates: Vec<&RealServer> = server.servers.iter().filter(|real| real.weight != Some(0)).collect();
        if candidates.is_empty() {
            journey.hit(hook, place, None, format!("{scheduler}: no server"));
            // the kernel tells the sender that the port cannot be reached
            return Sent::Ended(
                journey,
                Verdict::Reject,
                "the virtual server has no server that takes new connections".into(),
            );
        }
        if matches!(server.persistence, Some(Persistence::On { .. })) {
            journey.stateful = true;
            journey.take("the client has no server yet that it is kept to");
        }
        let weight = |real: &RealServer| match scheduler {
            "wrr" => f64::from(real.weight.unwrap_or(1)),
            _ => 1.0,
        };
        if !matches!(scheduler, "rr" | "wrr") && candidates.len() > 1 {
            journey.stateful = true;
        }
        let total: f64 = candidates.iter().map(|real| weight(real)).sum();
        let ways = candidates.into_iter().map(|real| {
            let mut way = journey.share(weight(real) / total);
            way.packet.balanced = true;
            let translated = matches!(real.forward, None | Some(Forward::Masquerade | Forward::Local));
            let port = Some(real.endpoint.port).filter(|port| *port != 0).or(way.packet.destination_port);
            let to = address_and_port(real.endpoint.address, port);
            way.hit(hook, place, None, format!("{scheduler}: to {to}"));
            if translated {
                set_end(&mut way.packet, false, Translation { address: Some(real.endpoint.address), port });
            }
            (way, translated)
        });
        Sent::To(ways.collect())
    }
}
