//! A block's way from its node into every other node's kernel, and the hop where it breaks.

use std::{collections::BTreeMap, net::IpAddr};

use super::report::{BlockRow, SessionRow};
use crate::{
    bird::PeerRoute,
    cidr::{Cidr, Family},
    cni::{facts::Facts, reading::Reading},
};

/// What is known of a node for this.
pub(super) struct NodeView<'a> {
    pub(super) name: &'a str,
    pub(super) reading: &'a Reading,
    pub(super) sessions: &'a [SessionRow],
}

impl NodeView<'_> {
    fn routes(&self, family: Family) -> Option<impl Iterator<Item = &PeerRoute>> {
        let of = move |route: &&PeerRoute| route.destination.is_some_and(|cidr| cidr.family() == family);
        let known = self.reading.birds.iter().any(|bird| bird.routes.iter().any(|route| of(&route)));
        known.then(|| self.reading.birds.iter().flat_map(|bird| &bird.routes).filter(of))
    }

    /// Whether its BIRD has the block; nothing where its routes were not read.
    fn has(&self, cidr: Cidr) -> Option<bool> {
        Some(self.routes(cidr.family())?.any(|route| route.destination == Some(cidr)))
    }

    /// Whether its kernel has a route to the block: its own, or a larger one that is not the default.
    fn in_kernel(&self, cidr: Cidr) -> Option<bool> {
        let routes = self.reading.routes.as_ref()?;
        let covers = |route: &&crate::route::Route| {
            let own = route.destination == cidr;
            own || (route.destination.prefix_len() > 0
                && route.protocol == "bird"
                && route.destination.family() == cidr.family()
                && route.destination.contains_ip(cidr.first())
                && route.destination.prefix_len() < cidr.prefix_len())
        };
        Some(routes.iter().any(|route| covers(&route)))
    }

    fn session_with(&self, addresses: &[IpAddr]) -> Option<&SessionRow> {
        self.sessions.iter().find(|session| addresses.contains(&session.address))
    }
}

/// Each block of the cluster's nodes, by the node that has it.
pub(super) fn ways<'a>(facts: &'a Facts, nodes: &[NodeView<'a>], bird: bool) -> BTreeMap<&'a str, Vec<BlockRow>> {
    let mut found: BTreeMap<&str, Vec<BlockRow>> = BTreeMap::new();
    for (cidr, origin) in &facts.bgp.blocks {
        let silent =
            facts.bgp.unexported.iter().any(|pool| pool.family() == cidr.family() && pool.contains_ip(cidr.first()));
        found.entry(origin.as_str()).or_default().push(way(facts, nodes, *cidr, origin, bird && !silent));
    }
    found
}

fn way(facts: &Facts, nodes: &[NodeView<'_>], cidr: Cidr, origin: &str, bird: bool) -> BlockRow {
    let own = nodes.iter().find(|node| node.name == origin);
    let addresses = super::report::addresses_of(facts, origin);
    let mut row = BlockRow { cidr: cidr.to_string(), origin: origin.to_owned(), ..BlockRow::default() };
    row.in_origins_kernel = own.and_then(|own| own.in_kernel(cidr));
    row.announced = own.filter(|_| bird).and_then(|own| own.has(cidr));
    let mut lost = Vec::new();
    for peer in nodes.iter().filter(|node| node.name != origin) {
        if bird {
            match peer.has(cidr) {
                Some(true) => row.learnt_by.push(peer.name.to_owned()),
                Some(false) => lost.push((peer, false)),
                None => {}
            }
        }
        match peer.in_kernel(cidr) {
            Some(true) => row.in_kernel_of.push(peer.name.to_owned()),
            Some(false) if !lost.iter().any(|(known, _)| known.name == peer.name) => lost.push((peer, true)),
            _ => {}
        }
    }
    let told = own.filter(|_| bird).map(|own| {
        let counts = own.sessions.iter().filter(|session| session.established).filter_map(|session| session.exported);
        counts.fold(None, |sum: Option<u64>, count| Some(sum.unwrap_or(0) + count))
    });
    row.exported = match told.flatten() {
        _ if !row.learnt_by.is_empty() => Some(true),
        Some(0) => Some(false),
        _ => None,
    };
    row.breaks = breaks(&row, own, &addresses, &lost, bird);
    row
}

/// The hops at which the block is lost, the first one first.
fn breaks(
    row: &BlockRow,
    own: Option<&NodeView<'_>>,
    addresses: &[IpAddr],
    lost: &[(&NodeView<'_>, bool)],
    bird: bool,
) -> Vec<String> {
    let origin = row.origin.as_str();
    if bird && row.announced == Some(false) {
        let kernel = match row.in_origins_kernel {
            Some(false) => ", nor has its kernel",
            _ => "",
        };
        return vec![format!("announced: BIRD of {origin} has no route of it{kernel}")];
    }
    let mut found = Vec::new();
    for (peer, learnt) in lost {
        let name = peer.name;
        if *learnt {
            // without BIRD's own routes at hand, only that the kernel has none is known
            let where_ = if row.learnt_by.iter().any(|known| known == name) {
                "learnt, and not in the kernel"
            } else {
                "not in the kernel"
            };
            found.push(format!("kernel: {where_} of {name}"));
            continue;
        }
        let here = peer.session_with(addresses);
        let there = own.and_then(|own| own.sessions.iter().find(|session| session.node.as_deref() == Some(name)));
        let down = |session: Option<&SessionRow>| session.is_some_and(|session| !session.established);
        found.push(match (here, there) {
            (here, there) if down(here) || down(there) => {
                format!("session: {origin} and {name} have none that is established")
            }
            (Some(here), _) if here.filtered.is_some_and(|routes| routes > 0) => {
                format!("learnt: {name} refuses {} routes of {origin} by its import filter", here.filtered.unwrap_or(0))
            }
            (_, Some(there)) if there.exported == Some(0) => {
                format!("exported: {origin} tells {name} nothing: its export filter")
            }
            (Some(here), _) if here.imported == Some(0) && there.and_then(|there| there.exported).unwrap_or(0) > 0 => {
                format!("learnt: {origin} tells {name}, which takes nothing: its import filter")
            }
            (None, None) => format!("learnt: {name} has no session with {origin}, and nobody else tells it"),
            _ => format!(
                "exported: {origin} does not tell {name}, or {name} does not take it: a filter of one of the two"
            ),
        });
    }
    found
}
