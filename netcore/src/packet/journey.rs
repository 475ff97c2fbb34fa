//! One packet's way so far: what matched, how likely this way is, what was taken for true.

use std::{net::IpAddr, rc::Rc};

use super::model::{Connection, Hook, Packet, Tally, Words};
use crate::{cidr::Family, iptables, ipvs::VirtualServer, nft};

/// Where a rule stands.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// In a chain of iptables, of this backend.
    Iptables(iptables::Rule<'a>, iptables::Backend),
    /// In a chain of nftables.
    Nft(&'a nft::Rule<'a>),
    /// A virtual server.
    Ipvs(&'a VirtualServer),
}

/// A rule that fitted.
#[derive(Clone, Debug)]
pub struct Hit<'a> {
    /// The node's number in the network that was walked.
    pub node: usize,
    /// At which hook.
    pub hook: Hook,
    /// The packet's family.
    pub family: Family,
    /// The rule.
    pub place: Place<'a>,
    /// Its place in its chain, from 1; nothing for a virtual server.
    pub index: Option<u32>,
    /// What it did: `jump KUBE-SVC-…`, `mark 0x4000`, `DNAT to 10.0.0.1:80`, `continue`.
    pub effect: Words,
}

/// A list that grows at its end, shared between ways that began alike.
#[derive(Debug)]
pub(super) struct Chain<T> {
    last: Option<Rc<Link<T>>>,
}

#[derive(Debug)]
struct Link<T> {
    value: T,
    before: Option<Rc<Link<T>>>,
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl<T> Clone for Chain<T> {
    fn clone(&self) -> Self {
        Self { last: self.last.clone() }
    }
}

impl<T: Clone> Chain<T> {
    pub(super) fn push(&mut self, value: T) {
        let before = self.last.take();
        self.last = Some(Rc::new(Link { value, before }));
    }

    pub(super) fn to_vec(&self) -> Vec<T> {
        let mut all = Vec::new();
        let mut at = self.last.as_ref();
        while let Some(link) = at {
            all.push(link.value.clone());
            at = link.before.as_ref();
        }
        all.reverse();
        all
    }
}

/// Long lists are taken apart in a loop: one link would else drop the next, as deep as the list is long.
impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        let mut at = self.last.take();
        while let Some(link) = at {
            match Rc::try_unwrap(link) {
                Ok(mut link) => at = link.before.take(),
                Err(_) => break,
            }
        }
    }
}

/// A packet with its history.
#[derive(Clone, Debug)]
pub(super) struct Journey<'a> {
    pub(super) packet: Packet,
    /// How likely this way is.
    pub(super) odds: f64,
    /// Whether what the kernel remembers had a say.
    pub(super) stateful: bool,
    pub(super) tally: Tally,
    pub(super) hits: Chain<Hit<'a>>,
    /// What is taken for true.
    pub(super) taken: Chain<Words>,
    /// Why the packet's arrival is not certain, though no rule stops it.
    pub(super) doubt: Option<Words>,
    /// Who else forwards packets on a node that it was on, and is not looked into.
    pub(super) bypassed: Option<Words>,
    /// The node that it is on.
    pub(super) node: usize,
    /// How many nodes it has left.
    pub(super) hops: u8,
    /// Whether the list of what fitted is wanted.
    pub(super) listed: bool,
    /// The neighbour that it goes to next, where its route has one.
    pub(super) next_hop: Option<IpAddr>,
    /// Whether its route is to be looked up again.
    pub(super) reroute: bool,
    /// What each node keeps of its connection, as it leaves there.
    pub(super) connections: Chain<(usize, Connection)>,
    /// What each node knows of its connection beforehand; of the first packet nothing.
    pub(super) entries: Rc<Vec<(usize, Connection)>>,
}

impl<'a> Journey<'a> {
    pub(super) fn new(packet: Packet, node: usize) -> Self {
        Self {
            packet,
            odds: 1.0,
            stateful: false,
            tally: Tally::default(),
            hits: Chain::default(),
            taken: Chain::default(),
            doubt: None,
            bypassed: None,
            node,
            hops: 0,
            listed: true,
            next_hop: None,
            reroute: false,
            connections: Chain::default(),
            entries: Rc::default(),
        }
    }

    pub(super) fn hit(&mut self, hook: Hook, place: Place<'a>, index: Option<usize>, effect: impl Into<Words>) {
        if !self.listed {
            return;
        }
        let index = index.and_then(|index| u32::try_from(index).ok());
        let family = self.packet.family();
        self.hits.push(Hit { node: self.node, hook, family, place, index, effect: effect.into() });
    }

    /// The same way with only a share of its odds.
    pub(super) fn share(&self, share: f64) -> Self {
        let mut part = self.clone();
        part.odds *= share;
        part
    }

    pub(super) fn take(&mut self, what: impl Into<Words>) {
        let what = what.into();
        if !self.taken.to_vec().contains(&what) {
            self.taken.push(what);
        }
    }

    pub(super) fn doubt(&mut self, why: impl Into<Words>) {
        if self.doubt.is_none() {
            self.doubt = Some(why.into());
        }
    }
}

/// What a chain of a hook says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ending {
    /// The packet goes on.
    Pass,
    Drop,
    Reject,
    Unknown(Words),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_share_their_beginning_and_may_be_long() {
        let mut list = Chain::default();
        for number in 0..200_000 {
            list.push(number);
        }
        let mut other = list.clone();
        other.push(-1);
        assert_eq!((list.to_vec().len(), other.to_vec().len()), (200_000, 200_001));
        drop(list);
        assert_eq!(other.to_vec().last(), Some(&-1));
    }
}
