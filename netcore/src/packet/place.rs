//! A node's addresses and routes, as rules and the kernel ask for them.

use std::net::IpAddr;

use super::{
    model::{Device, Words},
    node::{NodeState, Part},
};
use crate::{
    cidr::{Cidr, Family},
    route::{Found, Interface, Query, Route, RouteKind, Tables},
};

/// What kind of address one is to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unicast,
    Local,
    Broadcast,
    Multicast,
}

/// Where a packet goes next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    /// To this host.
    Local,
    /// Out of an interface, by a neighbour or straight; one of several with its share.
    Out(Vec<Exit>),
    /// Nowhere: the kind of route, or of rule.
    Dropped(String),
    /// There is no route.
    None,
    /// It cannot be known.
    Unknown(Words),
}

/// One way out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exit {
    pub(super) device: Device,
    pub(super) via: Option<IpAddr>,
    /// The source that the route asks for.
    pub(super) source: Option<IpAddr>,
    /// Its share of all, of `total`.
    pub(super) weight: u32,
}

/// A node's map.
pub(super) struct Places<'a> {
    state: &'a NodeState<'a>,
    tables: Option<Tables<'a>>,
    /// Whether the table `local` is among the routes.
    has_local: bool,
}

impl<'a> Places<'a> {
    pub(super) fn new(state: &'a NodeState<'a>) -> Self {
        let routes = state.routes.known();
        Self {
            state,
            tables: routes.map(Tables::new),
            has_local: routes.is_some_and(|routes| routes.iter().any(|route| route.kind == RouteKind::Local)),
        }
    }

    fn interfaces(&self) -> Option<&'a [Interface]> {
        self.state.interfaces.known()
    }

    /// Which interface an address is on.
    pub(super) fn holder(&self, ip: IpAddr) -> Option<&'a str> {
        self.interfaces()?.iter().find(|i| i.addresses.iter().any(|a| a.ip == ip)).map(|i| i.name.as_str())
    }

    /// The kind of an address, as the table `local` has it; with an interface only as that one has it.
    /// Nothing where it cannot be known.
    pub(super) fn kind(&self, ip: IpAddr, only: Option<&Device>) -> Option<Kind> {
        if ip.is_multicast() {
            return Some(Kind::Multicast);
        }
        if let IpAddr::V4(v4) = ip
            && (v4.is_broadcast() || v4.octets()[0] == 0)
        {
            return Some(Kind::Broadcast);
        }
        if only.is_some_and(|device| device.name().is_none()) {
            // some other interface's address is nobody's here
            return (self.kind(ip, None)? == Kind::Unicast).then_some(Kind::Unicast);
        }
        let on = |device: Option<&str>| only.is_none_or(|only| only.name() == device);
        if self.has_local {
            let route = self.tables.as_ref()?.in_table("local", ip);
            return Some(match route {
                Some(route) if !on(route.dev()) => Kind::Unicast,
                Some(Route { kind: RouteKind::Local | RouteKind::Anycast, .. }) => Kind::Local,
                Some(Route { kind: RouteKind::Broadcast, .. }) => Kind::Broadcast,
                Some(Route { kind: RouteKind::Multicast, .. }) => Kind::Multicast,
                _ => Kind::Unicast,
            });
        }
        if ip.is_loopback() {
            return Some(if on(Some("lo")) { Kind::Local } else { Kind::Unicast });
        }
        let Some(interfaces) = self.interfaces() else {
            return match () {
                () if self.state.foreign_addresses.contains(&ip) => Some(Kind::Unicast),
                () if self.state.own_addresses.contains(&ip) && only.is_none() => Some(Kind::Local),
                () => None,
            };
        };
        for interface in interfaces.iter().filter(|interface| on(Some(&interface.name))) {
            for address in &interface.addresses {
                if address.ip == ip {
                    return Some(Kind::Local);
                }
                if address.network.family() == Family::V4
                    && address.network.prefix_len() < 31
                    && address.network.last() == ip
                {
                    return Some(Kind::Broadcast);
                }
            }
        }
        Some(Kind::Unicast)
    }

    /// Where a packet goes. `input` is the interface that it came in by; none for the host's own.
    pub(super) fn way(&self, to: IpAddr, from: Option<IpAddr>, mark: u32, input: Option<&Device>) -> Way {
        // by far the most packets of a host to itself
        let local = self.kind(to, None);
        let Some(tables) = &self.tables else {
            return match local {
                Some(Kind::Local) => Way::Local,
                Some(_) => Way::Unknown("the node's routes were not read".into()),
                None => Way::Unknown("neither the node's addresses nor its routes were read".into()),
            };
        };
        let rules = self.state.rules.known().unwrap_or_default();
        // a dump of the main table alone
        if !self.has_local && matches!(local, Some(Kind::Local)) {
            return Way::Local;
        }
        let iif = match input {
            None => None,
            Some(device) => match device.name() {
                Some(name) => Some(name.to_owned()),
                None if rules.iter().any(|rule| rule.iif.is_some()) => {
                    return Way::Unknown("a policy rule asks for the interface that the packet came in by".into());
                }
                None => None,
            },
        };
        let query = Query { source: from, mark, iif };
        match tables.lookup(rules, to, &query) {
            Found::Route(route) => of_route(route),
            Found::Dropped(rule) => Way::Dropped(rule.action.clone().unwrap_or_default()),
            Found::Unknown(rule) => {
                Way::Unknown(format!("policy rule {} asks for what is not looked into", rule.priority).into())
            }
            Found::None => Way::None,
        }
    }

    /// The route by which an answer would go, for `rpfilter` and `fib`.
    pub(super) fn route(
        &self,
        to: IpAddr,
        from: Option<IpAddr>,
        mark: u32,
        input: Option<&str>,
    ) -> Result<Option<&'a Route>, Words> {
        let Some(tables) = &self.tables else { return Err("the node's routes were not read".into()) };
        let rules = self.state.rules.known().unwrap_or_default();
        let query = Query { source: from, mark, iif: input.map(str::to_owned) };
        if rules.is_empty() {
            let kept = ["local", "main", "default"].iter().find_map(|table| tables.in_table(table, to));
            return Ok(kept.filter(|route| route.kind != RouteKind::Throw));
        }
        // the rules are held by the state, so what is found of the routes lives as long
        let mut order: Vec<_> = rules.iter().collect();
        order.sort_by_key(|rule| rule.priority);
        match tables.lookup(rules, to, &query) {
            Found::Route(route) => {
                let routes = self.state.routes.known().unwrap_or_default();
                Ok(routes.iter().find(|known| std::ptr::eq(*known, route)))
            }
            Found::Unknown(rule) => {
                Err(format!("policy rule {} asks for what is not looked into", rule.priority).into())
            }
            Found::Dropped(_) | Found::None => Ok(None),
        }
    }

    /// The source that the host takes for packets out of an interface: the route's, the address whose
    /// network holds the next hop, the interface's first, or any of the host's.
    pub(super) fn source_for(&self, exit: &Exit, to: IpAddr) -> Option<IpAddr> {
        exit.source.or_else(|| self.address_of(&exit.device, exit.via.unwrap_or(to)))
    }

    /// What masquerading takes: as above without the route's wish.
    pub(super) fn address_of(&self, device: &Device, next: IpAddr) -> Option<IpAddr> {
        let family = Family::of(next);
        let interfaces = self.interfaces()?;
        let global = |interface: &&'a Interface| {
            let addresses = interface.addresses.iter().filter(move |a| Family::of(a.ip) == family);
            addresses.filter(|a| a.scope != "host" && (a.scope != "link" || family == Family::V4)).collect::<Vec<_>>()
        };
        let named = interfaces.iter().find(|interface| Some(interface.name.as_str()) == device.name())?;
        let own = global(&named);
        let near = own.iter().find(|address| address.network.contains_ip(next));
        if let Some(address) = near.or(own.first()) {
            return Some(address.ip);
        }
        interfaces.iter().flat_map(|interface| global(&interface)).map(|address| address.ip).next()
    }

    /// The first address of an interface: what `REDIRECT` takes.
    pub(super) fn first_address(&self, device: &Device, family: Family) -> Option<IpAddr> {
        let name = device.name()?;
        let interface = self.interfaces()?.iter().find(|interface| interface.name == name)?;
        interface.addresses.iter().map(|address| address.ip).find(|ip| Family::of(*ip) == family)
    }

    /// Whether an interface is a bridge; nothing where links were not read.
    pub(super) fn is_bridge(&self, name: &str) -> Option<bool> {
        let links = self.state.links.known()?;
        let link = links.iter().find(|link| link.name == name)?;
        Some(link.kind.as_deref() == Some("bridge"))
    }

    /// Whether an address lies in a network of an interface.
    pub(super) fn is_on_link(&self, name: &str, ip: IpAddr) -> Option<bool> {
        let interface = self.interfaces()?.iter().find(|interface| interface.name == name)?;
        let holds = |network: &Cidr| network.family() == Family::of(ip) && network.contains_ip(ip);
        Some(interface.addresses.iter().any(|address| holds(&address.network)))
    }

    /// A setting that is on.
    pub(super) fn is_on(&self, setting: &str) -> Option<bool> {
        match self.state.settings {
            Part::Known(settings) => settings.is_on(setting),
            Part::Absent | Part::Unread => None,
        }
    }
}

fn of_route(route: &Route) -> Way {
    match &route.kind {
        RouteKind::Local | RouteKind::Anycast | RouteKind::Broadcast | RouteKind::Multicast => Way::Local,
        RouteKind::Unicast => {
            let exits = route.next_hops.iter().map(|hop| Exit {
                device: hop.dev.as_deref().map_or(Device::Unknown, Device::named),
                via: hop.via,
                source: route.source,
                weight: hop.weight.unwrap_or(1).max(1),
            });
            let exits: Vec<Exit> = exits.collect();
            if exits.is_empty() {
                return Way::Unknown("the route has no next hop that is understood".into());
            }
            Way::Out(exits)
        }
        kind => Way::Dropped(kind.to_string()),
    }
}
