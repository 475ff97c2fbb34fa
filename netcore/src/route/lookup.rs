//! Which route a packet takes: rules by priority, in each table the longest prefix, of equal prefixes
//! the lowest metric.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    model::{Route, RouteKind},
    rule::Rule,
};
use crate::cidr::{Cidr, Family};

/// A packet that is looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Its source, where it has one already.
    pub source: Option<IpAddr>,
    /// Its mark.
    pub mark: u32,
    /// The interface that it came in through; none for the host's own.
    pub iif: Option<String>,
}

/// What came of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// This route.
    Route(&'a Route),
    /// A rule that drops the packet by itself.
    Dropped(&'a Rule),
    /// A rule before has a selector that is not looked into.
    Unknown(&'a Rule),
    /// No route.
    None,
}

/// Routes by table and prefix.
#[derive(Debug)]
pub struct Tables<'a> {
    routes: BTreeMap<(&'a str, Cidr), &'a Route>,
    /// The prefix lengths that each table has, of each family.
    lengths: BTreeMap<(&'a str, Family), BTreeSet<u8>>,
}

impl<'a> Tables<'a> {
    /// Sorts the routes: of several to one prefix the lowest metric counts, then the first.
    pub fn new(routes: &'a [Route]) -> Self {
        let mut by_prefix: BTreeMap<(&str, Cidr), &Route> = BTreeMap::new();
        let mut lengths: BTreeMap<(&str, Family), BTreeSet<u8>> = BTreeMap::new();
        for route in routes {
            let table = route.table.as_str();
            lengths.entry((table, route.family())).or_default().insert(route.destination.prefix_len());
            let best = by_prefix.entry((table, route.destination)).or_insert(route);
            // IPv4 counts a missing metric as 0, IPv6 always prints one
            if route.metric.unwrap_or(0) < best.metric.unwrap_or(0) {
                *best = route;
            }
        }
        Self { routes: by_prefix, lengths }
    }

    /// The route of one table to an address.
    pub fn in_table(&self, table: &str, to: IpAddr) -> Option<&'a Route> {
        let lengths = self.lengths.get(&(table, Family::of(to)))?;
        lengths.iter().rev().find_map(|length| {
            let prefix = Cidr::covering(to, *length)?;
            self.routes.get(&(table, prefix)).copied()
        })
    }

    /// The route to an address: the rules in their order, one table after the other. Without rules
    /// the kernel's own three: local, main, default.
    pub fn lookup<'r>(&'r self, rules: &'r [Rule], to: IpAddr, query: &Query) -> Found<'r> {
        if rules.is_empty() {
            let found = ["local", "main", "default"].iter().find_map(|table| self.usable(table, to, None));
            return found.map_or(Found::None, Found::Route);
        }
        let mut order: Vec<&Rule> = rules.iter().collect();
        order.sort_by_key(|rule| rule.priority);
        for rule in order {
            if !selects(rule, to, query) {
                continue;
            }
            if !rule.others.is_empty() || rule.action.as_deref() == Some("goto") {
                return Found::Unknown(rule);
            }
            match (rule.action.as_deref(), rule.table.as_deref()) {
                (Some("nop"), _) | (None, None) => {}
                (Some(_), None) => return Found::Dropped(rule),
                (_, Some(table)) => {
                    if let Some(route) = self.usable(table, to, rule.suppress) {
                        return Found::Route(route);
                    }
                }
            }
        }
        Found::None
    }

    /// A route that ends the search: `throw` goes on with the next rule.
    fn usable(&self, table: &str, to: IpAddr, suppress: Option<u32>) -> Option<&'a Route> {
        let route = self.in_table(table, to)?;
        let long = suppress.is_none_or(|longest| u32::from(route.destination.prefix_len()) > longest);
        (long && route.kind != RouteKind::Throw).then_some(route)
    }
}

fn selects(rule: &Rule, to: IpAddr, query: &Query) -> bool {
    let inside = |cidr: &Cidr, ip: IpAddr| cidr.family() == Family::of(ip) && cidr.contains_ip(ip);
    let from = rule.from.is_none_or(|cidr| query.source.is_some_and(|ip| inside(&cidr, ip)));
    let to = rule.to.is_none_or(|cidr| inside(&cidr, to));
    let mark = rule.mark.is_none_or(|(mark, mask)| query.mark & mask == mark & mask);
    let iif = rule.iif.as_deref().is_none_or(|iif| query.iif.as_deref().unwrap_or("lo") == iif);
    let matched = from && to && mark && iif && rule.oif.is_none();
    matched != rule.not
}

#[cfg(test)]
mod tests {
    use super::super::{parse_routes, parse_rules};
    use super::*;

    const ROUTES: &str = "default via 10.0.0.254 dev eth0\n10.0.0.0/24 dev eth0\n10.1.0.0/16 via 10.0.0.1 dev eth0 metric 200\n\
        10.1.0.0/16 via 10.0.0.2 dev eth0 metric 100\nblackhole 10.1.2.0/24\nthrow 10.9.0.0/16 table 7\ndefault via 10.0.0.9 dev eth1 table 7\n\
        local 10.0.0.5 dev eth0 table local\n";

    fn way(rules: &str, to: &str, query: &Query) -> String {
        let (routes, _) = parse_routes(ROUTES);
        let (rules, _) = parse_rules(rules);
        match Tables::new(&routes).lookup(&rules, to.parse().unwrap(), query) {
            Found::Route(route) => route.via().map_or_else(|| route.kind.to_string(), |via| via.to_string()),
            Found::Dropped(rule) => format!("rule {}", rule.priority),
            Found::Unknown(_) => "unknown".to_owned(),
            Found::None => "none".to_owned(),
        }
    }

    #[test]
    fn the_longest_prefix_then_the_lowest_metric() {
        let plain = Query::default();
        for (to, via) in [
            ("8.8.8.8", "10.0.0.254"),
            ("10.1.9.9", "10.0.0.2"),
            ("10.1.2.3", "blackhole"),
            ("10.0.0.5", "local"),
            ("fd00::1", "none"),
        ] {
            assert_eq!(way("", to, &plain), via, "{to}");
        }
    }

    #[test]
    fn rules_choose_the_table() {
        let rules = "0: from all lookup local\n5: from all fwmark 0x10/0xf0 lookup 7\n6: from 10.7.0.0/16 unreachable\n\
            7: from all iif eth9 ipproto tcp lookup 7\n32766: from all lookup main\n";
        let marked = Query { mark: 0x1f, ..Query::default() };
        assert_eq!(way(rules, "8.8.8.8", &marked), "10.0.0.9");
        assert_eq!(way(rules, "10.9.1.1", &marked), "10.0.0.254", "throw goes on");
        let from = Query { source: Some("10.7.0.1".parse().unwrap()), ..Query::default() };
        assert_eq!(way(rules, "8.8.8.8", &from), "rule 6");
        let other = Query { iif: Some("eth9".to_owned()), ..Query::default() };
        assert_eq!(way(rules, "8.8.8.8", &other), "unknown");
        assert_eq!(way("1: from all lookup main suppress_prefixlength 0\n", "8.8.8.8", &Query::default()), "none");
    }
}
