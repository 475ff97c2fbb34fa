//! A picture of the address space: which blocks hold ranges, what lies where in them, how full each
//! range is, and where two uses meet.
//!
//! [`layout`] decides what is drawn; [`text`] and [`svg`] draw it.

mod layout;
pub mod svg;
#[cfg(test)]
mod tests;
pub mod text;

pub use layout::layout;

use serde::Serialize;

use super::Role;
use crate::cidr::Cidr;

/// `kind: AddressMap`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AddressMap {
    /// The blocks that hold ranges, by address.
    pub blocks: Vec<Block>,
    /// Blocks that hold something, too, but would make the picture too long.
    pub not_drawn: Vec<Cidr>,
    /// Where ranges of different roles share addresses.
    pub overlaps: Vec<Overlap>,
    /// There are more overlaps than these.
    pub more_overlaps: bool,
}

/// A part of the address space, cut into cells of one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// The block.
    pub cidr: Cidr,
    /// The prefix length of a cell.
    pub cell_prefix: u8,
    /// The cells, by address.
    pub cells: Vec<Cell>,
    /// The ranges in it, by address; the wider of two at one address first.
    pub ranges: Vec<MapRange>,
}

/// What a cell holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// The uses of its addresses; none for a cell of which nothing is known.
    pub roles: Vec<Role>,
    /// Every address of the cell is in a range.
    pub full: bool,
    /// An address of it has two roles.
    pub overlap: bool,
}

/// A range, or the single addresses of a role.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MapRange {
    /// What it is for.
    pub role: Role,
    /// The prefix, `start-end`, or what the addresses are: `3 addresses, 192.168.1.10 to 192.168.1.12`.
    pub text: String,
    /// The range is at least this.
    pub lower_bound: bool,
    /// Addresses in use; null where that could not be read.
    pub used: Option<u64>,
    /// How many it can give out, in full; null where unknown.
    pub capacity: Option<String>,
    /// The use in percent; null where either is unknown.
    pub percent: Option<f64>,
    /// How full each part is; null where that is not known or makes no picture.
    pub parts: Option<Parts>,
}

/// A range cut into equal parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Parts {
    /// The prefix length of a part.
    pub prefix: u8,
    /// How full each is, by address.
    pub fill: Vec<Fill>,
}

/// How full a part of a range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Fill {
    /// Nothing in use.
    Free,
    /// Nothing in use, but nodes have it.
    Given,
    /// Up to a quarter of the addresses in use.
    Quarter,
    /// Up to a half.
    Half,
    /// Up to three quarters.
    ThreeQuarters,
    /// More.
    Full,
}

/// Two ranges of different roles that share addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Overlap {
    /// The one: `pod 10.244.0.0/16`.
    pub one: String,
    /// The other.
    pub other: String,
    /// What they share.
    pub shared: String,
}

/// A role in one letter, for a cell that it fills.
pub const fn letter(role: Role) -> char {
    match role {
        Role::Pod => 'P',
        Role::Service => 'S',
        Role::Node => 'N',
        Role::Loadbalancer => 'L',
        Role::External => 'E',
        Role::Internal => 'I',
    }
}

/// A role in words.
pub const fn word(role: Role) -> &'static str {
    match role {
        Role::Pod => "pod",
        Role::Service => "service",
        Role::Node => "node",
        Role::Loadbalancer => "load balancer",
        Role::External => "external",
        Role::Internal => "internal",
    }
}

impl AddressMap {
    /// The roles that are drawn, in their order.
    pub fn roles(&self) -> Vec<Role> {
        let mut roles: Vec<Role> =
            self.blocks.iter().flat_map(|b| &b.cells).flat_map(|cell| &cell.roles).copied().collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }
}

impl MapRange {
    /// The use in words: `34 of 65534 in use (0.1%)`.
    pub fn use_text(&self) -> Option<String> {
        let used = self.used?;
        Some(match (&self.capacity, self.percent) {
            (Some(capacity), Some(percent)) if used > 0 && percent < 0.1 => {
                format!("{used} of {capacity} in use (under 0.1%)")
            }
            (Some(capacity), Some(percent)) => format!("{used} of {capacity} in use ({percent}%)"),
            (Some(capacity), None) => format!("{used} of {capacity} in use"),
            (None, _) => format!("{used} in use"),
        })
    }
}

impl Cell {
    /// Several ranges of different roles that share no address.
    pub fn mixed(&self) -> bool {
        !self.overlap && self.roles.len() > 1
    }
}
