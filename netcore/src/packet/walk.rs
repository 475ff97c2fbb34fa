//! A packet's way through one or more nodes: hook after hook, with the routing decisions between them.

use std::{net::IpAddr, rc::Rc};

use super::{
    chains::Chains,
    conditions::Surroundings,
    hooks::{Called, Hooks, Step, memories, missing_table, shown_by_iptables, unread},
    journey::{Ending, Hit, Journey},
    model::{Connection, Device, Ends, Hook, Packet, State, Tally, Tracking, Verdict, Words},
    nft::Native,
    node::NodeState,
    place::{Exit, Kind, Places, Way},
    virtual_servers::{Balancer, Sent},
};
use crate::{cidr::Family, ipset::SetTable, iptables::Backend};

/// A node, ready for packets.
pub struct Node<'a> {
    pub(super) state: &'a NodeState<'a>,
    pub(super) places: Places<'a>,
    sets: Option<SetTable<'a, 'a>>,
    native: Option<Native<'a>>,
    v4: Hooks<'a>,
    v6: Hooks<'a>,
    chains: Vec<Chains<'a>>,
    balancer: Option<Balancer<'a>>,
}

impl<'a> Node<'a> {
    /// Sorts what is known of a node. Rules are read when a packet meets them.
    pub fn new(state: &'a NodeState<'a>) -> Self {
        let native = state
            .nft
            .known()
            .map(|ruleset| Native::new(ruleset, |family, table| shown_by_iptables(state, family, table)));
        Self {
            state,
            places: Places::new(state),
            sets: state.sets.known().map(SetTable::new),
            v4: Hooks::new(state, native.as_ref(), Family::V4),
            v6: Hooks::new(state, native.as_ref(), Family::V6),
            native,
            chains: memories(state),
            balancer: state.ipvs.known().map(Balancer::new),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.state.name
    }

    fn hooks(&self, family: Family) -> &Hooks<'a> {
        if family == Family::V4 { &self.v4 } else { &self.v6 }
    }

    fn around(&self, next_hop: Option<IpAddr>) -> Surroundings<'_, 'a> {
        Surroundings { places: &self.places, sets: self.sets.as_ref(), next_hop }
    }

    /// The interface behind which an address of this node's network is, by its routes.
    pub fn device_of(&self, ip: IpAddr) -> Device {
        match self.places.way(ip, None, 0, None) {
            Way::Out(exits) => exits.into_iter().next().map_or(Device::Unknown, |exit| exit.device),
            _ => Device::Unknown,
        }
    }

    /// The source that this node takes for packets to an address.
    pub fn source_towards(&self, to: IpAddr) -> Option<IpAddr> {
        match self.places.way(to, None, 0, None) {
            Way::Local => Some(to),
            Way::Out(exits) => exits.first().and_then(|exit| self.places.source_for(exit, to)),
            _ => None,
        }
    }

    /// Whether an address is one of this node's; nothing where that was not read.
    pub fn is_own(&self, ip: IpAddr) -> Option<bool> {
        self.places.kind(ip, None).map(|kind| kind == Kind::Local)
    }
}

/// Where a packet comes from, as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The node itself sends it.
    Host,
    /// It comes in by an interface.
    Arrives(Device),
}

/// A packet that is to be sent.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The node that it is first met on, by its number.
    pub node: usize,
    /// Where it comes from.
    pub origin: Origin,
    /// The protocol's number.
    pub protocol: u8,
    /// From and to.
    pub ends: Ends,
    /// Its mark as it comes, which a program of the node may have set.
    pub mark: u32,
    /// Whether it belongs to a connection that both ends have spoken on.
    pub established: bool,
}

/// One way that a packet may take.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    /// How likely it is. The ways of one packet are 1 together.
    pub probability: f64,
    /// Whether what the kernel remembers had a say: counters, lists of clients, connections.
    pub stateful: bool,
    /// What comes of the packet.
    pub verdict: Verdict,
    /// Why, where no rule says it.
    pub reason: Option<Words>,
    /// Its ends at last, after every translation.
    pub ends: Ends,
    /// Whether its source was translated.
    pub source_translated: bool,
    /// The node that it was seen on last, by its number.
    pub node: usize,
    /// Whether it ends on that node itself; else it leaves by an interface.
    pub delivered: bool,
    /// The interface that it leaves by.
    pub leaves_by: Device,
    /// Rules that were tested, by owner.
    pub tested: Tally,
    /// Rules that fitted, in the order of the packet's way.
    pub matched: Vec<Hit<'a>>,
    /// What was taken for true, for want of a look.
    pub taken: Vec<Words>,
    pub(super) connections: Vec<(usize, Connection)>,
}

/// Several nodes that packets go between.
pub struct Network<'a> {
    nodes: Vec<Node<'a>>,
}

/// How many nodes one packet is followed through.
const MOST_HOPS: u8 = 4;
/// How many ways one packet is followed on.
const MOST_PATHS: usize = 20_000;

const NO_ROUTE_READ: &str = "no rule stops the packet, but the node's routes were not read";

impl<'a> Network<'a> {
    /// Of these nodes, in this order.
    pub fn new(nodes: Vec<Node<'a>>) -> Self {
        Self { nodes }
    }

    /// Its nodes.
    pub fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// The ways that a packet may take.
    pub fn trace(&self, flow: &Flow) -> Vec<Path<'a>> {
        self.ways(flow, true)
    }

    /// The same without the lists of rules that fitted.
    pub fn outcomes(&self, flow: &Flow) -> Vec<Path<'a>> {
        self.ways(flow, false)
    }

    fn ways(&self, flow: &Flow, listed: bool) -> Vec<Path<'a>> {
        let first = self.send(flow, &Rc::default(), listed);
        if !flow.established {
            return first;
        }
        // a later packet goes as the first one's entries say
        let mut all = Vec::new();
        for path in first {
            if path.verdict != Verdict::Accept {
                all.push(path);
                continue;
            }
            let entries = Rc::new(path.connections.clone());
            for mut later in self.send(flow, &entries, listed) {
                later.probability *= path.probability;
                later.stateful |= path.stateful;
                all.push(later);
            }
        }
        all
    }

    fn send(&self, flow: &Flow, entries: &Rc<Vec<(usize, Connection)>>, listed: bool) -> Vec<Path<'a>> {
        let mut packet = Packet::first(flow.protocol, flow.ends);
        packet.mark = flow.mark;
        if !entries.is_empty() && flow.protocol == 6 {
            packet.flags = super::model::ACK;
        }
        let mut journey = Journey::new(packet, flow.node);
        journey.entries = Rc::clone(entries);
        journey.listed = listed;
        let mut walk = Walk { network: self, done: Vec::new() };
        match &flow.origin {
            Origin::Host => walk.send(journey),
            Origin::Arrives(device) => {
                journey.packet.input = device.clone();
                walk.arrive(journey);
            }
        }
        walk.done
    }
}

struct Walk<'w, 'a> {
    network: &'w Network<'a>,
    done: Vec<Path<'a>>,
}

impl<'w, 'a> Walk<'w, 'a> {
    fn node(&self, journey: &Journey<'_>) -> Option<&'w Node<'a>> {
        let network: &'w Network<'a> = self.network;
        network.nodes.get(journey.node)
    }

    fn end(&mut self, mut journey: Journey<'a>, verdict: Verdict, reason: Option<Words>, delivered: bool) {
        let connection = journey.packet.connection.clone();
        journey.connections.push((journey.node, connection));
        let (verdict, reason) = match (verdict, journey.doubt.take(), journey.bypassed.take()) {
            (_, _, Some(bypassed)) => (Verdict::Unknown, Some(bypassed)),
            (Verdict::Accept, Some(doubt), None) => (Verdict::Unknown, Some(doubt)),
            (verdict, ..) => (verdict, reason),
        };
        self.done.push(Path {
            probability: journey.odds,
            stateful: journey.stateful,
            verdict,
            reason,
            ends: journey.packet.ends(),
            source_translated: journey.connections.to_vec().iter().any(|(_, connection)| connection.source.is_some()),
            node: journey.node,
            delivered,
            leaves_by: journey.packet.output.clone(),
            tested: journey.tally,
            matched: journey.hits.to_vec(),
            taken: journey.taken.to_vec(),
            connections: journey.connections.to_vec(),
        });
    }

    fn unknown(&mut self, journey: Journey<'a>, reason: impl Into<Words>) {
        self.end(journey, Verdict::Unknown, Some(reason.into()), false);
    }

    /// Runs everything that a hook calls; what is left goes on.
    fn hook(&mut self, node: &'w Node<'a>, hook: Hook, journey: Journey<'a>) -> Vec<Journey<'a>> {
        let hooks = node.hooks(journey.packet.family());
        let mut alive = vec![journey];
        if hooks.ties.contains(&hook)
            && let Some(first) = alive.first_mut()
        {
            first.take(format!("at {} chains of one priority meet; their order is in no dump", hook.name()));
        }
        let missing = missing_table(node.state, alive.first().map_or(Family::V4, |journey| journey.packet.family()));
        for step in hooks.at(hook) {
            let mut next = Vec::new();
            for journey in alive {
                if self.done.len() + next.len() > MOST_PATHS {
                    self.unknown(journey, format!("the packet has more than {MOST_PATHS} ways"));
                    continue;
                }
                self.step(node, hook, step, journey, &mut next);
            }
            alive = next;
        }
        let filters = missing == Some("filter") && matches!(hook, Hook::Input | Hook::Forward | Hook::Output);
        let translates = missing == Some("nat") && hook != Hook::Forward;
        if filters || translates {
            for journey in &mut alive {
                let table = if filters { "filter" } else { "nat" };
                journey.doubt(format!("the table {table} is not in the dump, and other tables of Kubernetes are"));
            }
        }
        alive
    }

    fn step(
        &mut self,
        node: &'w Node<'a>,
        hook: Hook,
        step: &Step<'a>,
        mut journey: Journey<'a>,
        next: &mut Vec<Journey<'a>>,
    ) {
        match step {
            Step::Conntrack => {
                conntrack(&mut journey);
                next.push(journey);
            }
            Step::Chain(Called::Balance) => self.balance(node, hook, journey, next),
            Step::Chain(called) => {
                let (mark, ends) = (journey.packet.mark, journey.packet.ends());
                let reroutes = hook == Hook::Output && reroutes(node, *called);
                for (mut journey, ending) in run(node, *called, hook, journey) {
                    if reroutes && (journey.packet.mark, journey.packet.ends()) != (mark, ends) {
                        journey.reroute = true;
                    }
                    self.settle(journey, ending, next);
                }
            }
            Step::Nat(chains) => self.translate(node, hook, chains, journey, next),
        }
    }

    fn settle(&mut self, journey: Journey<'a>, ending: Ending, next: &mut Vec<Journey<'a>>) {
        match ending {
            Ending::Pass => next.push(journey),
            Ending::Drop => self.end(journey, Verdict::Drop, None, false),
            Ending::Reject => self.end(journey, Verdict::Reject, None, false),
            Ending::Unknown(why) => self.unknown(journey, why),
        }
    }

    /// The chains that translate are asked once for each connection, and until one does.
    fn translate(
        &mut self,
        node: &'w Node<'a>,
        hook: Hook,
        chains: &[Called<'a>],
        journey: Journey<'a>,
        next: &mut Vec<Journey<'a>>,
    ) {
        let source = hook.changes_source();
        let asked = |journey: &Journey<'_>| {
            let connection = &journey.packet.connection;
            if source { connection.source_asked } else { connection.destination_asked }
        };
        let translated = |journey: &Journey<'_>| {
            let connection = &journey.packet.connection;
            if source { connection.source.is_some() } else { connection.destination.is_some() }
        };
        match journey.packet.tracking {
            Tracking::Tracked(State::New | State::Related) => {}
            Tracking::Tracked(State::Established) => {
                next.push(as_the_entry_says(journey, source, hook));
                return;
            }
            _ => {
                next.push(journey);
                return;
            }
        }
        if asked(&journey) {
            next.push(journey);
            return;
        }
        let before = journey.packet.ends();
        let mut open = vec![journey];
        for called in chains {
            let mut later = Vec::new();
            for journey in open {
                if translated(&journey) {
                    later.push(journey);
                    continue;
                }
                for (journey, ending) in run(node, *called, hook, journey) {
                    self.settle(journey, ending, &mut later);
                }
            }
            open = later;
        }
        for mut journey in open {
            let connection = &mut journey.packet.connection;
            *if source { &mut connection.source_asked } else { &mut connection.destination_asked } = true;
            if hook == Hook::Output && journey.packet.ends() != before {
                journey.reroute = true;
            }
            next.push(journey);
        }
    }

    /// A packet comes in.
    fn arrive(&mut self, mut journey: Journey<'a>) {
        let Some(node) = self.node(&journey) else { return self.unknown(journey, "the node is not known") };
        if let Some(why) = meet(&mut journey, node) {
            return self.unknown(journey, why);
        }
        journey.packet.output = Device::None;
        if is_bridged(node, &journey) {
            return self.bridge(node, journey);
        }
        for journey in self.hook(node, Hook::Prerouting, journey) {
            self.decide(node, journey);
        }
    }

    fn bridge(&mut self, node: &'w Node<'a>, mut journey: Journey<'a>) {
        let setting = match journey.packet.family() {
            Family::V4 => "net.bridge.bridge-nf-call-iptables",
            Family::V6 => "net.bridge.bridge-nf-call-ip6tables",
        };
        match node.places.is_on(setting) {
            Some(true) => {}
            Some(false) => {
                journey.packet.output = journey.packet.input.clone();
                let why = "a bridge carries the packet, and bridges call no rules on this node";
                return self.end(journey, Verdict::Accept, Some(why.into()), false);
            }
            None => journey.take(format!("{setting} was not read: taken as on")),
        }
        journey.packet.bridge_input = Device::Unknown;
        let before = journey.packet.destination;
        for mut journey in self.hook(node, Hook::Prerouting, journey) {
            if journey.packet.destination != before {
                // translated: it leaves the bridge's way
                self.decide(node, journey);
                continue;
            }
            journey.packet.output = journey.packet.input.clone();
            journey.packet.bridge_output = Device::Unknown;
            for journey in self.hook(node, Hook::Forward, journey) {
                for journey in self.hook(node, Hook::Postrouting, journey) {
                    self.end(journey, Verdict::Accept, None, false);
                }
            }
        }
    }

    /// Here or further on.
    fn decide(&mut self, node: &'w Node<'a>, mut journey: Journey<'a>) {
        let packet = &journey.packet;
        let looped = packet.input.name() == Some("lo");
        if let Some(why) = martian(node, packet, looped) {
            return self.end(journey, Verdict::Drop, Some(why), false);
        }
        match node.places.way(packet.destination, Some(packet.source), packet.mark, Some(&packet.input)) {
            Way::Local => self.deliver(node, journey),
            Way::Out(exits) => {
                if let Err(why) = forwards(node, &mut journey) {
                    return self.end(journey, Verdict::Drop, Some(why), false);
                }
                for (journey, exit) in split(journey, exits) {
                    self.forward(node, journey, exit);
                }
            }
            Way::Dropped(kind) => self.no_way(journey, &kind),
            Way::None => self.no_way(journey, "no"),
            Way::Unknown(why) => {
                let local = node.places.kind(packet.destination, None);
                if local == Some(Kind::Unicast) && node.state.routes.is_unread() {
                    journey.doubt(NO_ROUTE_READ);
                    let exit = Exit { device: Device::Unknown, via: None, source: None, weight: 1 };
                    return self.forward(node, journey, exit);
                }
                self.unknown(journey, why);
            }
        }
    }

    fn no_way(&mut self, journey: Journey<'a>, kind: &str) {
        let to = journey.packet.destination;
        let verdict = if kind == "blackhole" { Verdict::Drop } else { Verdict::Reject };
        let reason =
            if kind == "no" { format!("there is no route to {to}") } else { format!("the route to {to} is {kind}") };
        self.end(journey, verdict, Some(reason.into()), false);
    }

    fn deliver(&mut self, node: &'w Node<'a>, mut journey: Journey<'a>) {
        let holder = node.places.holder(journey.packet.destination);
        if node.state.ipvs.is_unread() && holder.is_some_and(|name| matches!(name, "kube-ipvs0" | "kube-dummy-if")) {
            journey.doubt("the address is on the interface of IPVS, and the virtual servers were not read");
        }
        for journey in self.hook(node, Hook::Input, journey) {
            self.end(journey, Verdict::Accept, None, true);
        }
    }

    fn forward(&mut self, node: &'w Node<'a>, mut journey: Journey<'a>, exit: Exit) {
        journey.packet.output = exit.device;
        journey.next_hop = exit.via;
        for journey in self.hook(node, Hook::Forward, journey) {
            for journey in self.hook(node, Hook::Postrouting, journey) {
                self.leave(node, journey);
            }
        }
    }

    /// The host sends a packet of its own.
    fn send(&mut self, mut journey: Journey<'a>) {
        let Some(node) = self.node(&journey) else { return self.unknown(journey, "the node is not known") };
        if let Some(why) = meet(&mut journey, node) {
            return self.unknown(journey, why);
        }
        journey.packet.own = true;
        let packet = &journey.packet;
        match node.places.way(packet.destination, Some(packet.source), packet.mark, None) {
            Way::Local => {
                journey.packet.output = Device::named("lo");
                self.output(node, journey);
            }
            Way::Out(exits) => {
                for (mut journey, exit) in split(journey, exits) {
                    journey.packet.output = exit.device;
                    journey.next_hop = exit.via;
                    self.output(node, journey);
                }
            }
            Way::Dropped(kind) => self.no_way(journey, &kind),
            Way::None => self.no_way(journey, "no"),
            Way::Unknown(why) => {
                if !node.state.routes.is_unread() {
                    return self.unknown(journey, why);
                }
                journey.doubt(NO_ROUTE_READ);
                journey.packet.output = Device::Unknown;
                self.output(node, journey);
            }
        }
    }

    fn output(&mut self, node: &'w Node<'a>, journey: Journey<'a>) {
        for mut journey in self.hook(node, Hook::Output, journey) {
            if !std::mem::take(&mut journey.reroute) {
                self.emit(node, journey);
                continue;
            }
            // translated or marked: the kernel looks again
            let packet = &journey.packet;
            match node.places.way(packet.destination, Some(packet.source), packet.mark, None) {
                Way::Local => {
                    journey.packet.output = Device::named("lo");
                    journey.next_hop = None;
                    self.emit(node, journey);
                }
                Way::Out(exits) => {
                    for (mut journey, exit) in split(journey, exits) {
                        journey.packet.output = exit.device;
                        journey.next_hop = exit.via;
                        self.emit(node, journey);
                    }
                }
                Way::Dropped(kind) => self.no_way(journey, &kind),
                Way::None => self.no_way(journey, "no"),
                Way::Unknown(why) if node.state.routes.is_unread() => {
                    journey.doubt(why);
                    journey.packet.output = Device::Unknown;
                    self.emit(node, journey);
                }
                Way::Unknown(why) => self.unknown(journey, why),
            }
        }
    }

    /// Out, or round by the loopback.
    fn emit(&mut self, node: &'w Node<'a>, journey: Journey<'a>) {
        for mut journey in self.hook(node, Hook::Postrouting, journey) {
            if journey.packet.output.name() != Some("lo") {
                self.leave(node, journey);
                continue;
            }
            journey.packet.input = Device::named("lo");
            journey.packet.output = Device::None;
            journey.packet.own = false;
            for journey in self.hook(node, Hook::Prerouting, journey) {
                self.decide(node, journey);
            }
        }
    }

    /// IPVS takes what is for a virtual server, and sends it on from here.
    fn balance(&mut self, node: &'w Node<'a>, hook: Hook, journey: Journey<'a>, next: &mut Vec<Journey<'a>>) {
        let Some(balancer) = &node.balancer else { return next.push(journey) };
        if journey.packet.balanced {
            return next.push(journey);
        }
        match balancer.send(journey, hook) {
            Sent::NotOurs(journey) => next.push(journey),
            Sent::Ended(journey, verdict, why) => self.end(journey, verdict, Some(why), false),
            Sent::To(journeys) => {
                for (mut journey, translated) in journeys {
                    let packet = &journey.packet;
                    if !translated {
                        self.unknown(journey, "IPVS sends the packet on as it is, or wrapped: it is not followed");
                        continue;
                    }
                    let input = (!packet.own).then_some(&packet.input);
                    match node.places.way(packet.destination, Some(packet.source), packet.mark, input) {
                        // a server on this host: the packet stays where it is
                        Way::Local => next.push(journey),
                        Way::Out(exits) => {
                            for (mut journey, exit) in split(journey, exits) {
                                journey.packet.output = exit.device;
                                journey.next_hop = exit.via;
                                self.output(node, journey);
                            }
                        }
                        Way::Unknown(_) if node.state.routes.is_unread() => {
                            journey.doubt(NO_ROUTE_READ);
                            journey.packet.output = Device::Unknown;
                            self.output(node, journey);
                        }
                        Way::Unknown(why) => self.unknown(journey, why),
                        Way::Dropped(kind) => self.no_way(journey, &kind),
                        Way::None => self.no_way(journey, "no"),
                    }
                }
            }
        }
    }

    /// The packet is on the wire: to the next node, where that is known.
    fn leave(&mut self, node: &'w Node<'a>, mut journey: Journey<'a>) {
        let to = journey.next_hop.unwrap_or(journey.packet.destination);
        let other =
            (0..).zip(self.network.nodes.iter()).find(|(number, other)| *number != journey.node && other.holds(to));
        let Some((number, other)) = other else {
            if journey.next_hop.is_some() && self.network.nodes.len() > 1 {
                journey.take(format!("the packet leaves {} by {to}, whose rules were not read", node.name()));
            }
            return self.end(journey, Verdict::Accept, None, false);
        };
        journey.hops += 1;
        if journey.hops > MOST_HOPS {
            return self.unknown(journey, format!("the packet goes through more than {MOST_HOPS} nodes"));
        }
        let connection = journey.packet.connection.clone();
        journey.connections.push((journey.node, connection));
        let input = other.receives(&journey.packet.output, to);
        let (protocol, ends, flags) = (journey.packet.protocol, journey.packet.ends(), journey.packet.flags);
        journey.packet = Packet { flags, input, ..Packet::first(protocol, ends) };
        journey.node = number;
        journey.next_hop = None;
        self.arrive(journey);
    }
}

impl Node<'_> {
    fn holds(&self, ip: IpAddr) -> bool {
        self.places.holder(ip).is_some_and(|name| name != "lo") || self.state.own_addresses.contains(&ip)
    }

    /// The interface by which a packet comes in that left another node by `from` for `to`.
    fn receives(&self, from: &Device, to: IpAddr) -> Device {
        let links = self.state.links.known().unwrap_or_default();
        let tunnels = ["vxlan", "ipip", "sit", "ip6tnl", "wireguard", "geneve", "gre"];
        if let Some(name) = from.name() {
            let same = links
                .iter()
                .find(|link| link.name == name && link.kind.as_deref().is_some_and(|kind| tunnels.contains(&kind)));
            let by_name =
                ["flannel", "vxlan.calico", "tunl", "wireguard.cali"].iter().any(|start| name.starts_with(start));
            let there =
                self.state.interfaces.known().unwrap_or_default().iter().any(|interface| interface.name == name);
            if same.is_some() || by_name && there {
                return Device::named(name);
            }
        }
        self.places.holder(to).map_or(Device::Unknown, Device::named)
    }
}

/// What is not known of a node before its first rule.
fn meet(journey: &mut Journey<'_>, node: &Node<'_>) -> Option<Words> {
    if let Some(why) = &node.state.bypassed {
        journey.bypassed = Some(why.clone().into());
    }
    let family = journey.packet.family();
    let hooks = node.hooks(family);
    if !hooks.any {
        return Some(format!("no rules of {family} were read on the node {}", node.name()).into());
    }
    for backend in unread(node.state, family) {
        // the nft rule set shows iptables-nft's tables too
        if backend == Backend::Legacy || node.native.is_none() {
            let name = backend.name();
            journey.take(format!("iptables-{name}'s tables of {family} were not read: taken as empty"));
        }
    }
    if node.state.nft.is_unread() {
        journey.take("nftables' own tables were not read: taken as empty");
    }
    None
}

/// Whether a bridge carries the packet from port to port.
fn is_bridged(node: &Node<'_>, journey: &Journey<'_>) -> bool {
    let packet = &journey.packet;
    let Device::Named(input) = &packet.input else { return false };
    node.places.is_bridge(input) == Some(true)
        && node.places.is_on_link(input, packet.destination) == Some(true)
        && node.places.kind(packet.destination, None) == Some(Kind::Unicast)
}

/// Conntrack sees the packet for the first time.
fn conntrack(journey: &mut Journey<'_>) {
    if journey.packet.tracking != Tracking::Before {
        return;
    }
    let entry = journey.entries.iter().find(|(node, _)| *node == journey.node).map(|(_, entry)| entry.clone());
    match entry {
        Some(entry) => {
            journey.packet.connection = entry;
            journey.packet.tracking = Tracking::Tracked(State::Established);
        }
        None => journey.packet.tracking = Tracking::Tracked(State::New),
    }
}

fn as_the_entry_says(mut journey: Journey<'_>, source: bool, hook: Hook) -> Journey<'_> {
    let packet = &mut journey.packet;
    let before = packet.ends();
    let to = if source { packet.connection.source } else { packet.connection.destination };
    if let Some(to) = to {
        super::targets::set_end(packet, source, to);
    }
    let moved = packet.ends() != before;
    journey.reroute |= hook == Hook::Output && moved;
    journey
}

fn run<'a>(node: &Node<'a>, called: Called<'a>, hook: Hook, journey: Journey<'a>) -> Vec<(Journey<'a>, Ending)> {
    let around = node.around(journey.next_hop);
    match called {
        Called::Iptables { set, table, chain } => match node.chains.get(set) {
            Some(chains) => chains.run(table, chain, hook, journey, &around),
            None => vec![(journey, Ending::Pass)],
        },
        Called::Nft { base } => match &node.native {
            Some(native) => native.run(base, hook, journey, &around),
            None => vec![(journey, Ending::Pass)],
        },
        Called::Balance => vec![(journey, Ending::Pass)],
    }
}

/// Whether a change of the packet in this chain makes the kernel look for another route.
fn reroutes(node: &Node<'_>, called: Called<'_>) -> bool {
    match called {
        Called::Iptables { table, .. } => table.name() == Some("mangle"),
        Called::Nft { base } => {
            node.native.as_ref().is_some_and(|native| native.base(base).is_some_and(super::nft::Base::reroutes))
        }
        Called::Balance => false,
    }
}

fn split(journey: Journey<'_>, exits: Vec<Exit>) -> Vec<(Journey<'_>, Exit)> {
    let total: f64 = exits.iter().map(|exit| f64::from(exit.weight)).sum();
    if exits.len() < 2 {
        return exits.into_iter().next().map(|exit| (journey, exit)).into_iter().collect();
    }
    exits
        .into_iter()
        .map(|exit| {
            let mut part = journey.share(f64::from(exit.weight) / total);
            part.stateful = true;
            (part, exit)
        })
        .collect()
}

/// Why the kernel takes a packet for one that cannot be.
fn martian(node: &Node<'_>, packet: &Packet, looped: bool) -> Option<Words> {
    if looped {
        return None;
    }
    if let IpAddr::V4(to) = packet.destination
        && to.is_loopback()
    {
        let name = packet.input.name().unwrap_or_default();
        let allowed = ["all", name]
            .iter()
            .any(|of| node.places.is_on(&format!("net.ipv4.conf.{of}.route_localnet")) == Some(true));
        return (!allowed).then(|| "a packet to 127.0.0.0/8 from outside: martian, without route_localnet".into());
    }
    if node.places.kind(packet.source, None) == Some(Kind::Local) && packet.source != packet.destination {
        return Some(format!("{} is the node's own address, and comes from outside: martian", packet.source).into());
    }
    strict_path(node, packet)
}

/// `rp_filter`: the answer would have to leave by the interface that the packet came in by.
fn strict_path(node: &Node<'_>, packet: &Packet) -> Option<Words> {
    let settings = node.state.settings.known()?;
    let name = packet.input.name()?;
    if packet.family() != Family::V4 {
        return None;
    }
    let of = |which: &str| settings.number(&format!("net/ipv4/conf/{which}/rp_filter")).unwrap_or_default();
    let mode = of("all").max(of(name));
    if mode == 0 {
        return None;
    }
    let mark = if node.places.is_on("net.ipv4.conf.all.src_valid_mark") == Some(true) { packet.mark } else { 0 };
    let route = node.places.route(packet.source, Some(packet.destination), mark, None).ok()?;
    let fits =
        route.is_some_and(|route| mode == 2 || route.next_hops.iter().any(|hop| hop.dev.as_deref() == Some(name)));
    (!fits).then(|| {
        format!("rp_filter of {name} is {mode}, and an answer to {} would not leave there", packet.source).into()
    })
}

/// Whether the node forwards at all.
fn forwards(node: &Node<'_>, journey: &mut Journey<'_>) -> Result<(), Words> {
    let setting = match journey.packet.family() {
        Family::V4 => "net.ipv4.ip_forward",
        Family::V6 => "net.ipv6.conf.all.forwarding",
    };
    match node.places.is_on(setting) {
        Some(true) => Ok(()),
        Some(false) => Err(format!("{setting} is off: the node does not forward").into()),
        None => {
            journey.take(format!("{setting} was not read: taken as on"));
            Ok(())
        }
    }
}
