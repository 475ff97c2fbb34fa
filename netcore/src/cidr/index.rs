//! Longest-prefix match over prefixes that may nest.

use std::{net::IpAddr, ops::Range};

use super::model::{Cidr, Family};

/// Values by prefix: built once, then asked. A prefix may have several values.
#[derive(Clone, Debug)]
pub struct PrefixIndex<T> {
    nodes: Vec<Node>,
    /// Where each node starts: all that a search looks at, close together.
    starts: Vec<u128>,
    /// How many nodes are IPv4; they come first.
    v4: usize,
    values: Vec<T>,
}

#[derive(Clone, Debug)]
struct Node {
    cidr: Cidr,
    values: Range<usize>,
    /// The longest other prefix that contains this one.
    parent: Option<usize>,
}

impl<T> PrefixIndex<T> {
    /// How many different prefixes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The longest prefix that holds `ip`, with its values in the order in which they were given.
    pub fn longest(&self, ip: IpAddr) -> Option<(Cidr, &[T])> {
        self.covering(ip).next()
    }

    /// Every prefix that holds `ip`, the longest first.
    pub fn covering(&self, ip: IpAddr) -> impl Iterator<Item = (Cidr, &[T])> {
        self.containing(Cidr::host(ip))
    }

    /// Every prefix that contains `cidr`, itself included, the longest first.
    pub fn containing(&self, cidr: Cidr) -> impl Iterator<Item = (Cidr, &[T])> {
        // all that contain it are among the last prefix that does not start behind it and its ancestors
        let (from, to) = match cidr.family() {
            Family::V4 => (0, self.v4),
            Family::V6 => (self.v4, self.starts.len()),
        };
        let starts = self.starts.get(from..to).unwrap_or_default();
        let before = starts.partition_point(|start| *start <= cidr.first_number());
        let nearest = before.checked_sub(1).and_then(|index| self.nodes.get(from + index));
        std::iter::successors(nearest, |node| node.parent.and_then(|index| self.nodes.get(index)))
            .filter(move |node| node.cidr.contains(&cidr))
            .map(|node| self.entry(node))
    }

    /// The prefixes inside `cidr`, itself included, in order.
    pub fn inside(&self, cidr: Cidr) -> impl Iterator<Item = (Cidr, &[T])> {
        let from = self.nodes.partition_point(|node| node.cidr < cidr);
        self.nodes.iter().skip(from).take_while(move |node| cidr.contains(&node.cidr)).map(|node| self.entry(node))
    }

    /// The values of just this prefix.
    pub fn get(&self, cidr: &Cidr) -> Option<&[T]> {
        let index = self.nodes.binary_search_by(|node| node.cidr.cmp(cidr)).ok()?;
        self.nodes.get(index).map(|node| self.entry(node).1)
    }

    /// All prefixes with their values, in order: each before those inside it.
    pub fn iter(&self) -> impl Iterator<Item = (Cidr, &[T])> {
        self.nodes.iter().map(|node| self.entry(node))
    }

    fn entry(&self, node: &Node) -> (Cidr, &[T]) {
        (node.cidr, self.values.get(node.values.clone()).unwrap_or_default())
    }
}

impl<T> FromIterator<(Cidr, T)> for PrefixIndex<T> {
    fn from_iter<I: IntoIterator<Item = (Cidr, T)>>(iter: I) -> Self {
        let mut entries: Vec<(Cidr, T)> = iter.into_iter().collect();
        entries.sort_by_key(|(cidr, _)| *cidr);
        let mut nodes: Vec<Node> = Vec::new();
        let mut values = Vec::with_capacity(entries.len());
        for (cidr, value) in entries {
            values.push(value);
            if let Some(node) = nodes.last_mut().filter(|node| node.cidr == cidr) {
                node.values.end = values.len();
            } else {
                let parent = ancestor(&nodes, &cidr);
                nodes.push(Node { cidr, values: values.len() - 1..values.len(), parent });
            }
        }
        let starts = nodes.iter().map(|node| node.cidr.first_number()).collect();
        let v4 = nodes.partition_point(|node| node.cidr.family() == Family::V4);
        Self { nodes, starts, v4, values }
    }
}

/// The longest prefix that contains `cidr`, which sorts behind all nodes.
fn ancestor(nodes: &[Node], cidr: &Cidr) -> Option<usize> {
    let mut index = nodes.len().checked_sub(1);
    while let Some(node) = index.and_then(|i| nodes.get(i)) {
        if node.cidr.contains(cidr) {
            break;
        }
        index = node.parent;
    }
    index
}
