//! What iptables' targets do to a packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    conditions::Surroundings,
    journey::Ending,
    model::{Hook, Packet, Tracking, Translation, Words, address_and_port},
};
use crate::{
    cidr::Family,
    iptables::{
        Target,
        targets::{SetConnMark, SetPacketMark},
        values::{NatTarget, Ports},
    },
};

/// What comes of a target.
#[derive(Debug)]
pub(super) enum Act {
    /// The next rule; what was done.
    Next(Words),
    /// Back to the caller.
    Return,
    /// The table is done with the packet.
    End(Ending, Words),
    /// The same, with several packets that are equally likely.
    Choose(Vec<(Packet, Words)>),
}

/// How many addresses of a range are told apart.
const MOST_ADDRESSES: u128 = 256;

/// Whether a target changes nothing of a packet's way.
pub(super) fn is_idle(target: &Target<'_>) -> bool {
    matches!(
        target,
        Target::Log(_)
            | Target::NfLog(_)
            | Target::Ulog(_)
            | Target::Trace(_)
            | Target::Audit(_)
            | Target::Checksum(_)
            | Target::Classify(_)
            | Target::SetTcpMss(_)
            | Target::Tee(_)
            | Target::IdleTimer(_)
            | Target::RateEst(_)
    )
}

/// Does what a target says.
pub(super) fn act(target: &Target<'_>, packet: &mut Packet, hook: Hook, around: &Surroundings<'_, '_>) -> Act {
    match target {
        Target::Accept(_) => Act::End(Ending::Pass, "accept".into()),
        Target::Drop(_) => Act::End(Ending::Drop, "drop".into()),
        Target::Return(_) => Act::Return,
        Target::Reject(reject) => {
            let with = reject.with.map_or(String::new(), |word| format!(" {}", word.0));
            Act::End(Ending::Reject, format!("reject{with}").into())
        }
        Target::Queue(_) | Target::NfQueue(_) => {
            let why = "a program of the node decides: the packet goes to a queue";
            Act::End(Ending::Unknown(why.into()), "queue".into())
        }
        Target::SetPacketMark(mark) => {
            packet.mark = new_mark(mark, packet.mark);
            Act::Next(format!("mark 0x{:x}", packet.mark).into())
        }
        Target::SetConnMark(mark) => Act::Next(connmark(mark, packet)),
        Target::NoTrack(_) => Act::Next(untrack(packet)),
        Target::Ct(ct) if ct.no_track => Act::Next(untrack(packet)),
        Target::Ct(ct) => match ct.zone.or(ct.zone_original).or(ct.zone_reply) {
            Some(zone) => Act::Next(format!("conntrack zone {}", zone.0).into()),
            None => Act::Next("conntrack settings".into()),
        },
        Target::Dnat(dnat) => match dnat.to.and_then(|to| to.read()) {
            Some(to) => translate_destination(packet, &to),
            None => Act::End(Ending::Unknown("DNAT without a destination that is understood".into()), "DNAT".into()),
        },
        Target::Snat(snat) => match snat.to.and_then(|to| to.read()) {
            Some(to) => translate_source(packet, &to),
            None => Act::End(Ending::Unknown("SNAT without a source that is understood".into()), "SNAT".into()),
        },
        Target::Masquerade(masquerade) => {
            let ports = masquerade.ports.map(|ports| ports.0);
            let random = masquerade.random || masquerade.random_fully;
            Act::End(Ending::Pass, masquerade_source(packet, ports, random, around))
        }
        Target::Redirect(redirect) => {
            Act::End(Ending::Pass, redirect_here(packet, redirect.ports.map(|ports| ports.0), hook, around))
        }
        Target::Netmap(netmap) => {
            let Some(net) = netmap.to.and_then(|to| to.address()) else {
                return Act::End(
                    Ending::Unknown("NETMAP without a network that is understood".into()),
                    "NETMAP".into(),
                );
            };
            let ip = if hook.changes_source() { packet.source } else { packet.destination };
            let mapped = map_bits(ip, net.ip, net.mask);
            set_end(packet, hook.changes_source(), Translation { address: Some(mapped), port: None });
            Act::End(Ending::Pass, format!("NETMAP to {mapped}").into())
        }
        Target::Tproxy(tproxy) => {
            if let Some(mark) = tproxy.mark {
                packet.mark = mark.apply(packet.mark);
            }
            let why = "TPROXY hands the packet to a program of the node, if one listens";
            Act::End(Ending::Unknown(why.into()), "TPROXY".into())
        }
        Target::Synproxy(_) => {
            let why = "SYNPROXY answers in the server's place and connects by itself";
            Act::End(Ending::Unknown(why.into()), "SYNPROXY".into())
        }
        Target::Unknown(unknown) => {
            let why = format!("`{}`: {}", unknown.text, unknown.reason);
            Act::End(Ending::Unknown(why.into()), "unknown".into())
        }
        Target::Jump(chain) | Target::Goto(chain) => {
            Act::End(Ending::Unknown(format!("the chain {chain} is missing").into()), format!("jump {chain}").into())
        }
        Target::Log(_) | Target::NfLog(_) | Target::Ulog(_) => Act::Next("log".into()),
        Target::Trace(_) => Act::Next("trace".into()),
        Target::ChangeSet(_) => Act::Next("a set is changed".into()),
        Target::Tee(_) => Act::Next("a copy is sent".into()),
        _ => Act::Next("continue".into()),
    }
}

fn untrack(packet: &mut Packet) -> Words {
    if packet.tracking == Tracking::Before {
        packet.tracking = Tracking::Untracked;
    }
    "not tracked".into()
}

/// What `-j MARK` makes of a mark.
fn new_mark(target: &SetPacketMark, mark: u32) -> u32 {
    match (target.xmark, target.mark, target.and, target.or, target.xor) {
        (Some(set), ..) => set.apply(mark),
        (_, Some(set), ..) => (mark & !(set.mask | set.value)) ^ set.value,
        (_, _, Some(bits), ..) => mark & bits.0,
        (_, _, _, Some(bits), _) => mark | bits.0,
        (_, _, _, _, Some(bits)) => mark ^ bits.0,
        _ => mark,
    }
}

fn connmark(target: &SetConnMark, packet: &mut Packet) -> Words {
    let tracked = matches!(packet.tracking, Tracking::Tracked(state) if state != super::model::State::Invalid);
    if !tracked {
        return "no connection: continue".into();
    }
    let mask = target.mask.map(|bits| bits.0);
    let of_packet = target.packet_mask.map(|bits| bits.0).or(mask).unwrap_or(u32::MAX);
    let of_connection = target.connection_mask.map(|bits| bits.0).or(mask).unwrap_or(u32::MAX);
    let connection = &mut packet.connection;
    if target.save {
        connection.mark = (connection.mark & !of_connection) ^ (packet.mark & of_packet);
    } else if target.restore {
        packet.mark = (packet.mark & !of_packet) ^ (connection.mark & of_connection);
        return format!("mark 0x{:x} from the connection", packet.mark).into();
    } else if let Some(set) = target.xmark {
        connection.mark = set.apply(connection.mark);
    } else if let Some(set) = target.mark {
        connection.mark = (connection.mark & !(set.mask | set.value)) ^ set.value;
    }
    format!("connection's mark 0x{:x}", connection.mark).into()
}

/// Puts a translation into the packet and its connection.
pub(super) fn set_end(packet: &mut Packet, source: bool, to: Translation) {
    if source {
        packet.source = to.address.unwrap_or(packet.source);
        packet.source_port = to.port.or(packet.source_port);
        packet.connection.source = Some(to);
    } else {
        packet.destination = to.address.unwrap_or(packet.destination);
        packet.destination_port = to.port.or(packet.destination_port);
        packet.connection.destination = Some(to);
    }
}

fn addresses(to: &NatTarget) -> Option<Vec<Option<IpAddr>>> {
    let Some((first, last)) = to.addresses else { return Some(vec![None]) };
    let (low, high) = (number(first), number(last));
    if high < low || high - low >= MOST_ADDRESSES {
        return None;
    }
    let family = Family::of(first);
    Some((low..=high).map(|number| Some(family.address(number))).collect())
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn translate_destination(packet: &mut Packet, to: &NatTarget) -> Act {
    let Some(all) = addresses(to) else {
        let why = "DNAT to one of more addresses than are told apart";
        return Act::End(Ending::Unknown(why.into()), "DNAT".into());
    };
    // a range that is shifted keeps the distance; of another one the kernel takes any
    let port = match (to.ports, to.base, packet.destination_port) {
        (Some(ports), _, _) if ports.first == ports.last => Some(Some(ports.first)),
        (Some(ports), Some(base), Some(port)) if port >= base => Some(ports.first.checked_add(port - base)),
        (Some(_), ..) => Some(None),
        (None, ..) => None,
    };
    let choices = all.into_iter().map(|address| {
        let mut packet = packet.clone();
        let shown = address.unwrap_or(packet.destination);
        set_end(&mut packet, false, Translation { address, port: port.flatten() });
        if port == Some(None) {
            packet.destination_port = None;
        }
        let effect = format!("DNAT to {}", address_and_port(shown, port.flatten()));
        (packet, Words::from(effect))
    });
    let choices = choices.collect();
    single(packet, choices)
}

fn translate_source(packet: &mut Packet, to: &NatTarget) -> Act {
    let Some(all) = addresses(to) else {
        let why = "SNAT to one of more addresses than are told apart";
        return Act::End(Ending::Unknown(why.into()), "SNAT".into());
    };
    let choices = all.into_iter().map(|address| {
        let mut packet = packet.clone();
        let shown = address.unwrap_or(packet.source);
        // a port that is in use elsewhere is changed too: which, nobody knows before
        let port = to.ports.filter(|ports| ports.first == ports.last).map(|ports| ports.first);
        set_end(&mut packet, true, Translation { address, port });
        (packet, Words::from(format!("SNAT to {}", address_and_port(shown, port))))
    });
    let choices = choices.collect();
    single(packet, choices)
}

/// One choice is none.
fn single(packet: &mut Packet, mut all: Vec<(Packet, Words)>) -> Act {
    match all.pop() {
        Some((only, effect)) if all.is_empty() => {
            *packet = only;
            Act::End(Ending::Pass, effect)
        }
        Some(last) => {
            all.push(last);
            Act::Choose(all)
        }
        None => Act::End(Ending::Pass, "continue".into()),
    }
}

/// Masquerades; says what became of the source.
pub(super) fn masquerade_source(
    packet: &mut Packet,
    ports: Option<Ports>,
    random: bool,
    around: &Surroundings<'_, '_>,
) -> Words {
    let address = around.places.address_of(&packet.output, around.next_hop.unwrap_or(packet.destination));
    let port = ports.filter(|ports| ports.first == ports.last).map(|ports| ports.first);
    set_end(packet, true, Translation { address, port });
    if random && port.is_none() {
        packet.source_port = None;
    }
    match (address, packet.output.name()) {
        (Some(ip), _) => format!("source becomes {ip}").into(),
        (None, Some(name)) if !name.is_empty() => {
            format!("source becomes the address of {name}, which is not known").into()
        }
        _ => "source becomes an address of this node, which is not known".into(),
    }
}

/// Redirects to this host; says where to.
pub(super) fn redirect_here(
    packet: &mut Packet,
    ports: Option<Ports>,
    hook: Hook,
    around: &Surroundings<'_, '_>,
) -> Words {
    let family = packet.family();
    let address = if hook == Hook::Output {
        Some(match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        })
    } else {
        around.places.first_address(&packet.input, family)
    };
    let port = ports.filter(|ports| ports.first == ports.last).map(|ports| ports.first);
    set_end(packet, false, Translation { address, port });
    match address {
        Some(ip) => format!("redirected to {}", address_and_port(ip, packet.destination_port)).into(),
        None => "redirected to this node".into(),
    }
}

/// The bits of a network with the host's of an address.
pub(super) fn map_bits(ip: IpAddr, net: IpAddr, mask: IpAddr) -> IpAddr {
    let (mask, family) = (number(mask), Family::of(ip));
    family.address((number(ip) & !mask & family.max()) | (number(net) & mask))
}
