//! iptables' conditions, each as the kernel's module decides it.

use std::net::IpAddr;

use super::{
    model::{Device, Hook, Packet, State, Tracking},
    place::{Kind, Places},
    truth::Truth,
};
use crate::{
    cidr::Family,
    ipset::{self, Answer, SetTable, Side},
    iptables::{
        matches::{Addrtype, Conntrack, Match, OwnerOf, Physdev, Recent, Rpfilter, Set, Statistic, Tcp},
        values::{AddressTypes, IcmpType, Interface, Not, Ports, States, TcpFlags},
    },
};

/// What conditions ask beside the packet.
pub(super) struct Surroundings<'w, 'a> {
    pub(super) places: &'w Places<'a>,
    /// The sets; nothing where they were not read.
    pub(super) sets: Option<&'w SetTable<'a, 'a>>,
    /// The neighbour that the packet goes to next, where its route has one.
    pub(super) next_hop: Option<IpAddr>,
}

/// The ports that a kernel gives to connections that ask for none.
const EPHEMERAL: (u16, u16) = (32_768, 60_999);

const REMEMBERED: &str = "the client is on no list of `recent`: a new one";
const IN_TIME: &str = "the rate limit is not reached";
const FEW: &str = "the limit of connections is not reached";
const NO_SOCKET: &str = "no transparent socket takes the packet";
const NO_IPSEC: &str = "no IPsec policy is in the way";

/// Whether a condition holds for a packet at a hook.
#[expect(clippy::too_many_lines, reason = "a line or two for each module")]
pub(super) fn holds(found: &Match<'_>, packet: &Packet, hook: Hook, around: &Surroundings<'_, '_>) -> Truth {
    match found {
        Match::Source(net) => net.holds(net.value.contains(packet.source)).into(),
        Match::Destination(net) => net.holds(net.value.contains(packet.destination)).into(),
        Match::InInterface(name) => interface(name, &packet.input),
        Match::OutInterface(name) => interface(name, &packet.output),
        Match::Protocol(protocol) => match protocol.value.number() {
            Some(number) => protocol.holds(number == 0 || number == packet.protocol).into(),
            None => Truth::unknown(format!("protocol `{}` is not known by number", protocol.value.0)),
        },
        Match::Fragment(not) => not.holds(false).into(),
        Match::Counters(_) | Match::Comment(_) | Match::Nfacct(_) | Match::Unclean(_) => Truth::Yes,
        Match::Unknown(unknown) => Truth::unknown(format!("`{}`: {}", unknown.text, unknown.reason)),

        Match::Tcp(tcp) => tcp_holds(tcp, packet),
        Match::Udp(udp) => ports_hold(17, packet, udp.sources.as_ref(), udp.destinations.as_ref()),
        Match::UdpLite(udp) => ports_hold(136, packet, udp.sources.as_ref(), udp.destinations.as_ref()),
        Match::Sctp(sctp) => {
            let rest = if sctp.chunks.is_some() { not_looked_into("sctp --chunk-types") } else { Truth::Yes };
            both(ports_hold(132, packet, sctp.sources.as_ref(), sctp.destinations.as_ref()), rest)
        }
        Match::Dccp(dccp) => {
            let rest = if dccp.types.is_some() || dccp.option.is_some() { not_looked_into("dccp") } else { Truth::Yes };
            both(ports_hold(33, packet, dccp.sources.as_ref(), dccp.destinations.as_ref()), rest)
        }
        Match::Icmp(icmp) => icmp_holds(1, packet, icmp.kind.as_ref(), ICMP),
        Match::Icmp6(icmp) => icmp_holds(58, packet, icmp.kind.as_ref(), ICMP6),
        Match::Multiport(ports) => {
            if !packet.has_ports() {
                return Truth::No;
            }
            let mut truth = Truth::Yes;
            if let Some(list) = &ports.sources {
                let fits = |port: u16| list.value.contains(port);
                truth = both(truth, source_port(packet, list.negated, fits));
            }
            if let Some(list) = &ports.destinations {
                truth = both(truth, destination_port(packet, list.negated, |port| list.value.contains(port)));
            }
            if let Some(list) = &ports.either {
                let fits = |port: u16| list.value.contains(port);
                truth = both(
                    truth,
                    either(source_port(packet, false, fits), destination_port(packet, false, fits))
                        .negated(list.negated),
                );
            }
            truth
        }

        Match::PacketMark(mark) => mark.mark.is_none_or(|mark| mark.holds(mark.value.is(packet.mark))).into(),
        Match::ConnMark(mark) => match packet.tracking {
            Tracking::Tracked(State::New | State::Established | State::Related) => {
                mark.mark.is_none_or(|mark| mark.holds(mark.value.is(packet.connection.mark))).into()
            }
            _ => Truth::No,
        },
        Match::Conntrack(conntrack) => conntrack_holds(conntrack, packet),
        Match::State(state) => {
            state.states.is_none_or(|states| states.holds(in_states(states.value, packet, false))).into()
        }
        Match::Set(set) => set_holds(set, packet, around),
        Match::Addrtype(kinds) => addrtype_holds(kinds, packet, around.places),
        Match::Statistic(statistic) => statistic_holds(statistic),
        Match::Recent(recent) => recent_holds(recent),
        Match::Limit(limit) => Truth::Taken(limit.rate.is_none_or(|rate| !rate.negated), IN_TIME),
        Match::Hashlimit(limit) => {
            let upto = limit.upto.is_some_and(|rate| !rate.negated) || limit.above.is_some_and(|rate| rate.negated);
            if limit.rate_match {
                not_looked_into("hashlimit --hashlimit-rate-match")
            } else {
                Truth::Taken(upto, IN_TIME)
            }
        }
        Match::Connlimit(limit) => {
            let above = limit.above.is_some_and(|above| !above.negated);
            Truth::Taken(!above, FEW)
        }
        Match::OwnerOf(owner) => owner_holds(owner, packet),
        Match::Physdev(physdev) => physdev_holds(physdev, packet, around.places),
        Match::Rpfilter(filter) => rpfilter_holds(*filter, packet, around.places),
        Match::Socket(_) => Truth::Taken(false, NO_SOCKET),
        Match::IpsecPolicy(policy) => match policy.policy.map(|word| word.0) {
            Some("none") => Truth::Taken(true, NO_IPSEC),
            Some("ipsec") => Truth::Taken(false, NO_IPSEC),
            _ => not_looked_into("policy"),
        },
        Match::Iprange(range) => {
            let inside = |range: Option<Not<crate::iptables::values::AddressRange<'_>>>, ip: IpAddr| {
                range.is_none_or(|not| {
                    not.holds(not.value.read().is_some_and(|(first, last)| first <= ip && ip <= last))
                })
            };
            (inside(range.source, packet.source) && inside(range.destination, packet.destination)).into()
        }
        Match::Pkttype(kind) => match &kind.kind {
            Some(kind) => {
                let is = if packet.destination.is_multicast() { "multicast" } else { "unicast" };
                kind.holds(kind.value.0.eq_ignore_ascii_case(is)).into()
            }
            None => Truth::Yes,
        },
        Match::Ipvs(ipvs) => {
            let more = ipvs.protocol.is_some()
                || ipvs.address.is_some()
                || ipvs.port.is_some()
                || ipvs.direction.is_some()
                || ipvs.method.is_some()
                || ipvs.control_port.is_some();
            match (ipvs.ipvs.as_ref(), more) {
                (Some(not), false) => not.holds(packet.balanced).into(),
                (_, true) if !packet.balanced => Truth::No,
                _ => not_looked_into("ipvs"),
            }
        }
        Match::Dscp(dscp) => match (dscp.value, dscp.class) {
            (Some(value), None) => Truth::Taken(value.holds(value.value.0 == 0), "the packet has no DSCP value"),
            _ => not_looked_into("dscp --dscp-class"),
        },
        Match::MacSource(_) if hook == Hook::Output || packet.own => Truth::No,
        Match::Connbytes(_) => not_looked_into("connbytes"),
        Match::Connlabel(_) => not_looked_into("connlabel"),
        Match::U32(_) => not_looked_into("u32"),
        Match::StringIn(_) => not_looked_into("string"),
        Match::Time(_) => Truth::unknown("`-m time` asks for the time of the day"),
        Match::MacSource(_) => Truth::unknown("`-m mac` asks for the sender's hardware address"),
        Match::TcpMss(_) => not_looked_into("tcpmss"),
        Match::Ttl(_) => not_looked_into("ttl"),
        Match::Hl(_) => not_looked_into("hl"),
        Match::Tos(_) => not_looked_into("tos"),
        Match::Ecn(_) => not_looked_into("ecn"),
        Match::Length(_) => not_looked_into("length"),
        Match::Helper(_) => not_looked_into("helper"),
        Match::Bpf(_) => not_looked_into("bpf"),
        Match::Cgroup(_) => not_looked_into("cgroup"),
        Match::Cpu(_) => not_looked_into("cpu"),
        Match::Devgroup(_) => not_looked_into("devgroup"),
        Match::Esp(_) | Match::Ah(_) => not_looked_into("esp"),
        Match::Quota(_) => Truth::unknown("`-m quota`: what is left of it is not in a dump"),
        Match::Realm(_) => not_looked_into("realm"),
        Match::Cluster(_) => not_looked_into("cluster"),
        Match::Frag(_) => Truth::No,
        Match::Eui64(_) => not_looked_into("eui64"),
        Match::Ipv6Header(_) => not_looked_into("ipv6header"),
    }
}

fn not_looked_into(module: &str) -> Truth {
    Truth::unknown(format!("`-m {module}` asks for what is not known of the packet"))
}

fn both(first: Truth, second: Truth) -> Truth {
    match (first, second) {
        (Truth::No, _) | (_, Truth::No) => Truth::No,
        (Truth::Yes, other) | (other, _) => other,
    }
}

fn either(first: Truth, second: Truth) -> Truth {
    match (first, second) {
        (Truth::Yes, _) | (_, Truth::Yes) => Truth::Yes,
        (Truth::No, other) | (other, _) => other,
    }
}

fn interface(name: &Not<Interface<'_>>, device: &Device) -> Truth {
    match device.name() {
        Some(known) => name.holds(name.value.fits(known)).into(),
        None if name.value.0 == "+" => name.holds(true).into(),
        None => {
            Truth::unknown(format!("the rule asks for the interface `{}`, and the packet's is not known", name.value.0))
        }
    }
}

fn destination_port(packet: &Packet, negated: bool, fits: impl Fn(u16) -> bool) -> Truth {
    match packet.destination_port {
        Some(port) => Truth::from(fits(port) != negated),
        None => Truth::unknown("the rule asks for the destination port, which is not given"),
    }
}

/// A source port that is not given is one of those that kernels give out.
fn source_port(packet: &Packet, negated: bool, fits: impl Fn(u16) -> bool) -> Truth {
    if let Some(port) = packet.source_port {
        return Truth::from(fits(port) != negated);
    }
    let (first, last) = EPHEMERAL;
    let mut all = (first..=last).map(&fits);
    let one = all.next().unwrap_or_default();
    if all.all(|other| other == one) {
        return Truth::from(one != negated);
    }
    Truth::unknown("the rule asks for the source port, which is not given")
}

fn ports_hold(protocol: u8, packet: &Packet, sources: Option<&Not<Ports>>, destinations: Option<&Not<Ports>>) -> Truth {
    if packet.protocol != protocol {
        return Truth::No;
    }
    let source =
        sources.map_or(Truth::Yes, |ports| source_port(packet, ports.negated, |port| ports.value.contains(port)));
    let destination = destinations
        .map_or(Truth::Yes, |ports| destination_port(packet, ports.negated, |port| ports.value.contains(port)));
    both(destination, source)
}

fn tcp_holds(tcp: &Tcp, packet: &Packet) -> Truth {
    let ports = ports_hold(6, packet, tcp.sources.as_ref(), tcp.destinations.as_ref());
    let flags = |not: &Not<TcpFlags>| {
        let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
        let bits = |set: &crate::iptables::values::FlagSet| {
            (0..).zip(names).filter(|(_, name)| set.has(name)).fold(0_u8, |bits, (at, _)| bits | (1 << at))
        };
        Truth::from(not.holds(packet.flags & bits(&not.value.mask) == bits(&not.value.set)))
    };
    let by_flags = tcp.flags.as_ref().map_or(Truth::Yes, flags);
    let syn = tcp.syn.as_ref().map_or(Truth::Yes, |not| flags(&Not { negated: not.negated, value: TcpFlags::syn() }));
    let option = if tcp.option.is_some() { not_looked_into("tcp --tcp-option") } else { Truth::Yes };
    both(both(ports, both(by_flags, syn)), option)
}

/// Types by the names that iptables takes: type, and the codes from and to.
const ICMP: &[(&str, u8, Option<u8>)] = &[
    ("echo-reply", 0, None),
    ("pong", 0, None),
    ("destination-unreachable", 3, None),
    ("network-unreachable", 3, Some(0)),
    ("host-unreachable", 3, Some(1)),
    ("protocol-unreachable", 3, Some(2)),
    ("port-unreachable", 3, Some(3)),
    ("fragmentation-needed", 3, Some(4)),
    ("source-quench", 4, None),
    ("redirect", 5, None),
    ("echo-request", 8, None),
    ("ping", 8, None),
    ("router-advertisement", 9, None),
    ("router-solicitation", 10, None),
    ("time-exceeded", 11, None),
    ("ttl-exceeded", 11, None),
    ("parameter-problem", 12, None),
    ("timestamp-request", 13, None),
    ("timestamp-reply", 14, None),
    ("address-mask-request", 17, None),
    ("address-mask-reply", 18, None),
];

const ICMP6: &[(&str, u8, Option<u8>)] = &[
    ("destination-unreachable", 1, None),
    ("no-route", 1, Some(0)),
    ("communication-prohibited", 1, Some(1)),
    ("address-unreachable", 1, Some(3)),
    ("port-unreachable", 1, Some(4)),
    ("packet-too-big", 2, None),
    ("time-exceeded", 3, None),
    ("ttl-exceeded", 3, None),
    ("parameter-problem", 4, None),
    ("echo-request", 128, None),
    ("ping", 128, None),
    ("echo-reply", 129, None),
    ("pong", 129, None),
    ("router-solicitation", 133, None),
    ("router-advertisement", 134, None),
    ("neighbour-solicitation", 135, None),
    ("neighbor-solicitation", 135, None),
    ("neighbour-advertisement", 136, None),
    ("neighbor-advertisement", 136, None),
    ("redirect", 137, None),
];

fn icmp_holds(
    protocol: u8,
    packet: &Packet,
    kind: Option<&Not<IcmpType<'_>>>,
    names: &[(&str, u8, Option<u8>)],
) -> Truth {
    if packet.protocol != protocol {
        return Truth::No;
    }
    let Some(not) = kind else { return Truth::Yes };
    let text = not.value.0;
    if text == "any" || text == "255" {
        return not.holds(true).into();
    }
    let by_name = names.iter().find(|(name, ..)| *name == text).map(|(_, kind, code)| (*kind, *code));
    let Some((wanted, code)) = not.value.numbers().or(by_name) else {
        return Truth::unknown(format!("ICMP type `{text}` is not known by number"));
    };
    match packet.icmp {
        Some((kind, has)) => not.holds(kind == wanted && code.is_none_or(|code| code == has)).into(),
        None => Truth::unknown("the rule asks for the ICMP type, which is not given"),
    }
}

/// Whether the packet's state is one of a set. `translated` adds the two that are no states.
fn in_states(states: States, packet: &Packet, translated: bool) -> bool {
    let by_state = match packet.tracking {
        Tracking::Before | Tracking::Tracked(State::Invalid) => "INVALID",
        Tracking::Untracked => "UNTRACKED",
        Tracking::Tracked(State::New) => "NEW",
        Tracking::Tracked(State::Established) => "ESTABLISHED",
        Tracking::Tracked(State::Related) => "RELATED",
    };
    let of = |name: &str, what: bool| translated && what && states.has(name);
    states.has(by_state)
        || of("SNAT", packet.connection.source.is_some())
        || of("DNAT", packet.connection.destination.is_some())
}

fn conntrack_holds(conntrack: &Conntrack<'_>, packet: &Packet) -> Truth {
    if let Some(states) = &conntrack.states
        && !states.holds(in_states(states.value, packet, true))
    {
        return Truth::No;
    }
    let tracked = matches!(packet.tracking, Tracking::Tracked(State::New | State::Established | State::Related));
    if !tracked {
        // without a connection only states can fit
        return conntrack.states.is_some().into();
    }
    let original = packet.connection.original;
    let mut truth = Truth::Yes;
    if let Some(protocol) = &conntrack.protocol {
        truth = both(truth, protocol.holds(protocol.value.number() == Some(packet.protocol)).into());
    }
    if let Some(direction) = &conntrack.direction {
        truth = both(truth, direction.0.eq_ignore_ascii_case("ORIGINAL").into());
    }
    for (net, ip) in
        [(&conntrack.original_source, original.source), (&conntrack.original_destination, original.destination)]
    {
        if let Some(net) = net {
            truth = both(truth, net.holds(net.value.contains(ip)).into());
        }
    }
    // the answers' ends as they are known where the packet is
    let reply_source = packet.connection.destination.and_then(|to| to.address).unwrap_or(original.destination);
    let reply_destination = packet.connection.source.map_or(Some(original.source), |to| to.address);
    if let Some(net) = &conntrack.reply_source {
        truth = both(truth, net.holds(net.value.contains(reply_source)).into());
    }
    if let Some(net) = &conntrack.reply_destination {
        truth = both(
            truth,
            reply_destination.map_or_else(
                || not_looked_into("conntrack --ctrepldst"),
                |ip| net.holds(net.value.contains(ip)).into(),
            ),
        );
    }
    for (ports, port) in [
        (&conntrack.original_source_port, original.source_port),
        (&conntrack.original_destination_port, original.destination_port),
    ] {
        if let Some(ports) = ports {
            let one = port.map_or_else(
                || Truth::unknown("the rule asks for a port of the connection, which is not given"),
                |port| ports.holds(ports.value.contains(port)).into(),
            );
            truth = both(truth, one);
        }
    }
    if conntrack.status.is_some() {
        truth = both(truth, not_looked_into("conntrack --ctstatus"));
    }
    if conntrack.expires.is_some() {
        truth = both(truth, not_looked_into("conntrack --ctexpire"));
    }
    if conntrack.reply_source_port.is_some() || conntrack.reply_destination_port.is_some() {
        truth = both(truth, not_looked_into("conntrack --ctreplsrcport"));
    }
    truth
}

fn set_holds(set: &Set<'_>, packet: &Packet, around: &Surroundings<'_, '_>) -> Truth {
    let Some(lookup) = &set.lookup else { return Truth::unknown("`-m set` names no set") };
    let asks_counters = set.packets_equal.is_some()
        || set.packets_under.is_some()
        || set.packets_over.is_some()
        || set.bytes_equal.is_some()
        || set.bytes_under.is_some()
        || set.bytes_over.is_some();
    let name = lookup.value.name;
    let Some(sets) = around.sets else {
        return Truth::unknown(format!("the set `{name}` is asked, and the node's sets were not read"));
    };
    let sides: Vec<Side> =
        lookup.value.sources().map(|source| if source { Side::Source } else { Side::Destination }).collect();
    let ports = packet.source_port.zip(packet.destination_port);
    // a set that asks for one end's port does not care about the other's
    let ports = ports.or_else(|| match (packet.source_port, packet.destination_port) {
        (None, Some(port)) if packet.has_ports() && sides.get(1) == Some(&Side::Destination) => Some((0, port)),
        (None, Some(port)) if packet.has_ports() && sides == [Side::Destination] => Some((0, port)),
        _ => None,
    });
    let asked = ipset::Packet {
        addresses: (packet.source, packet.destination),
        protocol: packet.protocol,
        ports,
        icmp: packet.icmp,
        macs: None,
        interfaces: (packet.input.name().filter(|n| !n.is_empty()), packet.output.name().filter(|n| !n.is_empty())),
        mark: Some(packet.mark),
    };
    let answer = match sets.matches(name, &asked, &sides) {
        Answer::Excluded(_) if set.return_nomatch => Some(true),
        answer => answer.matches(),
    };
    match answer {
        None => {
            let reason = if let Answer::Unknown(reason) = sets.matches(name, &asked, &sides) { reason } else { "" };
            Truth::unknown(format!("the set `{name}`: {reason}"))
        }
        Some(_) if asks_counters => Truth::unknown(format!("the rule asks for the counters of the set `{name}`")),
        Some(inside) => lookup.holds(inside).into(),
    }
}

fn addrtype_holds(kinds: &Addrtype, packet: &Packet, places: &Places<'_>) -> Truth {
    let only = if kinds.limit_in {
        Some(&packet.input)
    } else if kinds.limit_out {
        Some(&packet.output)
    } else {
        None
    };
    let one = |types: &Option<Not<AddressTypes>>, ip: IpAddr| -> Truth {
        let Some(not) = types else { return Truth::Yes };
        let Some(kind) = places.kind(ip, only) else {
            return Truth::unknown(format!(
                "the rule asks whether {ip} is the node's, and its addresses were not read"
            ));
        };
        let name = match kind {
            Kind::Unicast => "UNICAST",
            Kind::Local => "LOCAL",
            Kind::Broadcast => "BROADCAST",
            Kind::Multicast => "MULTICAST",
        };
        // IPv6 asks for the address itself, and only then for routes
        let fits = if Family::of(ip) == Family::V6 && not.value.has("UNICAST") {
            let others = not.value.iter().any(|name| matches!(name, "LOCAL" | "ANYCAST" | "UNREACHABLE"));
            matches!(kind, Kind::Unicast | Kind::Local) && (!others || not.value.has(name))
        } else {
            not.value.has(name)
        };
        not.holds(fits).into()
    };
    both(one(&kinds.source, packet.source), one(&kinds.destination, packet.destination))
}

fn statistic_holds(statistic: &Statistic<'_>) -> Truth {
    match statistic.mode.map(|mode| mode.0) {
        Some("random") => match &statistic.probability {
            Some(probability) => Truth::Chance(probability.value.0).negated(probability.negated),
            None => not_looked_into("statistic"),
        },
        Some("nth") => match &statistic.every {
            Some(every) if !every.negated => Truth::EveryNth(every.value),
            _ => not_looked_into("statistic --mode nth"),
        },
        _ => not_looked_into("statistic"),
    }
}

fn recent_holds(recent: &Recent<'_>) -> Truth {
    // `--set` always fits
    if let Some(set) = &recent.set {
        return set.holds(true).into();
    }
    let asked = recent.check.as_ref().or(recent.update.as_ref()).or(recent.remove.as_ref());
    asked.map_or(Truth::Yes, |not| Truth::Taken(not.holds(false), REMEMBERED))
}

fn owner_holds(owner: &OwnerOf<'_>, packet: &Packet) -> Truth {
    let negated = [
        owner.user.as_ref().map(|not| not.negated),
        owner.group.as_ref().map(|not| not.negated),
        owner.socket.as_ref().map(|not| not.negated),
    ];
    if !packet.own {
        // without a socket only what is negated fits
        return negated.into_iter().flatten().all(|negated| negated).into();
    }
    match (&owner.user, &owner.group, &owner.socket) {
        (None, None, Some(socket)) => socket.holds(true).into(),
        (None, None, None) => Truth::Yes,
        _ => Truth::unknown("`-m owner` asks whose process sends the packet"),
    }
}

fn physdev_holds(physdev: &Physdev<'_>, packet: &Packet, places: &Places<'_>) -> Truth {
    let came_in = match &packet.bridge_input {
        // a bridge's port, and nobody knows whether the bridge shows it to iptables
        Device::None if packet.input.name().is_some_and(|name| places.is_bridge(name) == Some(true)) => {
            match places.is_on("net.bridge.bridge-nf-call-iptables") {
                Some(false) => Some(false),
                Some(true) => Some(true),
                None => None,
            }
        }
        Device::None => Some(false),
        _ => Some(true),
    };
    let Some(came_in) = came_in else {
        return Truth::unknown(
            "`-m physdev` asks for the bridge's port, and whether bridges call iptables was not read",
        );
    };
    let left = packet.bridge_output != Device::None;
    let flag =
        |not: Option<Not<crate::iptables::values::Flag>>, is: bool| not.map_or(Truth::Yes, |not| not.holds(is).into());
    let port = |not: &Option<Not<Interface<'_>>>, there: bool, device: &Device| match not {
        None => Truth::Yes,
        Some(not) if !there => not.holds(false).into(),
        Some(not) if *device == Device::None => interface(not, &Device::Unknown),
        Some(not) => interface(not, device),
    };
    let mut truth = both(flag(physdev.is_in, came_in), flag(physdev.is_out, left));
    truth = both(truth, flag(physdev.is_bridged, left));
    truth = both(truth, port(&physdev.input, came_in, &packet.bridge_input));
    both(truth, port(&physdev.output, left, &packet.bridge_output))
}

fn rpfilter_holds(filter: Rpfilter, packet: &Packet, places: &Places<'_>) -> Truth {
    let Some(input) = packet.input.name() else {
        return Truth::unknown("`-m rpfilter` asks for the interface that the packet came in by");
    };
    if input == "lo" || packet.source.is_multicast() || packet.source.is_unspecified() {
        return Truth::from(!filter.invert);
    }
    let mark = if filter.valid_mark { packet.mark } else { 0 };
    match places.route(packet.source, None, mark, None) {
        Err(reason) => Truth::Unknown(reason),
        Ok(route) => {
            use crate::route::RouteKind;
            let passes = route.is_some_and(|route| match route.kind {
                RouteKind::Unicast => {
                    filter.loose || route.next_hops.iter().any(|hop| hop.dev.as_deref() == Some(input))
                }
                RouteKind::Local => filter.accept_local && (filter.loose || route.dev() == Some(input)),
                _ => false,
            });
            Truth::from(passes != filter.invert)
        }
    }
}
