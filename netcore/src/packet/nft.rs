//! A packet in the chains of nftables.
#![allow(clippy::unused_self, clippy::allow_attributes, reason = "filled in by the next change")]

use super::{
    conditions::Surroundings,
    journey::{Ending, Journey},
    model::Hook,
};
use crate::{cidr::Family, nft};

/// A chain that a hook calls.
pub(super) struct Base;

impl Base {
    pub(super) const fn has_rules(&self) -> bool {
        false
    }

    pub(super) const fn reroutes(&self) -> bool {
        false
    }
}

/// The chains of a rule set.
pub(super) struct Native<'a> {
    _ruleset: &'a nft::Ruleset<'a>,
}

impl<'a> Native<'a> {
    pub(super) fn new(ruleset: &'a nft::Ruleset<'a>, _hidden: impl Fn(nft::Family, &str) -> bool) -> Self {
        Self { _ruleset: ruleset }
    }

    pub(super) fn bases(&self, _family: Family, _hook: Hook) -> Vec<(i32, usize, bool)> {
        Vec::new()
    }

    pub(super) fn base(&self, _number: usize) -> Option<&Base> {
        None
    }

    pub(super) fn run(
        &self,
        _base: usize,
        _hook: Hook,
        journey: Journey<'a>,
        _around: &Surroundings<'_, 'a>,
    ) -> Vec<(Journey<'a>, Ending)> {
        vec![(journey, Ending::Pass)]
    }
}
