//! kube-proxy's nftables table: from its maps to the chains of a Service, and from there to the translation. Since
//! 1.33 or so a Service without affinity translates in its own chain; before, and with affinity, each endpoint has one.

use std::{collections::HashMap, net::IpAddr};

use super::{Backend, KernelService, ServicePort};
use crate::nft::{Expr, Family, KubeProxyTable, Lookup, Nat, Rule, Ruleset, ServiceEntry, Statement, Verdict};

const TABLE: &str = "kube-proxy";
const HELD_BY: &str = "nftables";

/// Every address of a Service in kube-proxy's tables, and how many of their entries could not be read.
pub fn in_tables(rules: &Ruleset<'_>) -> (Vec<KernelService>, usize) {
    let mut found = Vec::new();
    let mut unknown = 0;
    for family in [Family::Ip, Family::Ip6] {
        let Some(table) = KubeProxyTable::of(rules, family) else { continue };
        unknown += table.unknown;
        let chains = Chains::of(rules, family);
        let guarded = |entry: &ServiceEntry<'_>| {
            let same = |other: &ServiceEntry<'_>| place(other) == place(entry);
            table.firewall_ips.iter().flatten().any(same)
        };
        for entry in [&table.service_ips, &table.service_nodeports].into_iter().flatten().flatten() {
            let Some(mut service) = front(entry) else {
                unknown += 1;
                continue;
            };
            if guarded(entry) {
                service.flags.push("source-ranges".to_owned());
            }
            match entry.verdict.target() {
                Some(chain) => chains.follow(chain, &mut service),
                None => unknown += 1,
            }
            found.push(service);
        }
        for entry in [&table.no_endpoint_services, &table.no_endpoint_nodeports].into_iter().flatten().flatten() {
            let Some(mut service) = front(entry) else {
                unknown += 1;
                continue;
            };
            let flag = if entry.verdict == Verdict::Drop { "dropped" } else { "rejected" };
            service.flags.push(flag.to_owned());
            found.push(service);
        }
    }
    (found, unknown)
}

const fn place(entry: &ServiceEntry<'_>) -> (Option<IpAddr>, u8, u16) {
    (entry.address, entry.protocol, entry.port)
}

/// An entry without its backends; nothing for a protocol that Services do not have.
fn front(entry: &ServiceEntry<'_>) -> Option<KernelService> {
    let protocol = match entry.protocol {
        6 => "TCP",
        17 => "UDP",
        132 => "SCTP",
        _ => return None,
    };
    let of_comment = entry.comment.as_deref().and_then(ServicePort::parse);
    Some(KernelService {
        protocol: protocol.to_owned(),
        address: entry.address,
        port: entry.port,
        service: of_comment.or_else(|| entry.verdict.target().and_then(owner)),
        held_by: HELD_BY.to_owned(),
        scheduler: None,
        flags: Vec::new(),
        affinity_seconds: None,
        backends: Vec::new(),
    })
}

/// `service-2QRHZV4L-default/kubernetes/tcp/https`: whose chain it is. A name that was cut says nothing.
pub(in crate::proxy) fn owner(chain: &str) -> Option<ServicePort> {
    let mut parts = chain.splitn(3, '-').nth(2)?.split('/');
    let (namespace, name, _, port) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let whole = !chain.ends_with("...") && parts.next().is_none() && !namespace.is_empty() && !name.is_empty();
    let port = (!port.is_empty()).then(|| port.to_owned());
    whole.then(|| ServicePort { namespace: namespace.to_owned(), name: name.to_owned(), port })
}

/// The rules of one family's table by chain.
struct Chains<'r, 'a> {
    rules: HashMap<&'r str, Vec<&'r Rule<'a>>>,
    /// How long a member of an affinity set lives, in seconds.
    timeouts: HashMap<&'r str, u64>,
}

/// Where a rule of a Service's chain leads.
enum Way<'a> {
    /// To another chain, for any packet or for some.
    Chain(String, bool),
    /// To one of several, each equally likely: chains or addresses.
    Share(u64, Vec<Expr<'a>>),
    /// To one address.
    Address(IpAddr, u16),
}

impl<'r, 'a> Chains<'r, 'a> {
    fn of(ruleset: &'r Ruleset<'a>, family: Family) -> Self {
        let mut rules: HashMap<&str, Vec<&Rule<'a>>> = HashMap::new();
        for rule in ruleset.rules().filter(|rule| rule.family == family && rule.table == TABLE) {
            rules.entry(&rule.chain).or_default().push(rule);
        }
        let sets = ruleset.sets().filter(|set| set.family == family && set.table == TABLE);
        let timeouts = sets.filter_map(|set| Some((&*set.name, set.timeout?))).collect();
        Self { rules, timeouts }
    }

    /// Adds what a packet meets that comes from outside.
    fn follow(&self, chain: &str, service: &mut KernelService) {
        let mut chain = chain.to_owned();
        // external, then local or service
        for _ in 0..2 {
            if !chain.starts_with("external-") {
                break;
            }
            let mut last = None;
            for rule in self.rules.get(chain.as_str()).into_iter().flatten() {
                if let Some(Way::Chain(to, always)) = way(rule) {
                    last = Some((to, always));
                }
            }
            let Some((to, always)) = last else { break };
            if !always {
                service.flags.push("inside-only".to_owned());
            }
            chain = to;
        }
        if chain.starts_with("local-") {
            service.flags.push("local".to_owned());
        }
        let Some(rules) = self.rules.get(chain.as_str()) else {
            unreadable(service);
            return;
        };
        for rule in rules {
            self.note_affinity(rule, service);
            match way(rule) {
                Some(Way::Share(of, all)) => {
                    for to in all {
                        let end = match &to {
                            Expr::Verdict(verdict) => verdict.target().and_then(|chain| self.endpoint(chain)),
                            other => socket(other),
                        };
                        add(end, Some(1.0 / of_count(of)), service);
                    }
                }
                Some(Way::Address(address, port)) => add(Some((address, port)), Some(1.0), service),
                // the way back to the endpoint that a client had
                Some(Way::Chain(_, false)) | None => {}
                Some(Way::Chain(to, true)) => add(self.endpoint(&to), Some(1.0), service),
            }
        }
        if service.backends.is_empty() {
            unreadable(service);
        }
    }

    fn endpoint(&self, chain: &str) -> Option<(IpAddr, u16)> {
        let rules = self.rules.get(chain)?;
        rules.iter().find_map(|rule| match way(rule)? {
            Way::Address(address, port) => Some((address, port)),
            _ => None,
        })
    }

    fn note_affinity(&self, rule: &Rule<'a>, service: &mut KernelService) {
        for statement in rule.statements() {
            let Statement::Match(matched) = statement else { continue };
            let Some(set) = matched.right.set_name() else { continue };
            let seconds = self.timeouts.get(set).and_then(|seconds| u32::try_from(*seconds).ok());
            service.affinity_seconds = seconds.or(service.affinity_seconds);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of endpoints")]
const fn of_count(count: u64) -> f64 {
    count as f64
}

fn unreadable(service: &mut KernelService) {
    if !service.flags.iter().any(|flag| flag == super::UNREADABLE) {
        service.flags.push(super::UNREADABLE.to_owned());
    }
}

fn add(end: Option<(IpAddr, u16)>, probability: Option<f64>, service: &mut KernelService) {
    let Some((address, port)) = end else { return unreadable(service) };
    service.backends.push(Backend {
        address,
        port,
        pod: None,
        node: None,
        forward: None,
        weight: None,
        probability,
        active: None,
        inactive: None,
    });
}

/// Where a rule leads; nothing for one that only marks or remembers.
fn way<'a>(rule: &Rule<'a>) -> Option<Way<'a>> {
    let mut always = true;
    for statement in rule.statements() {
        match statement {
            // every Service has but one protocol
            Statement::Match(matched) => always &= is_protocol(&matched.left),
            Statement::Verdict(verdict) => {
                return verdict.target().map(|chain| Way::Chain(chain.to_owned(), always));
            }
            Statement::Vmap(lookup) => return shares(&lookup),
            Statement::DestinationNat(Some(nat)) => return translation(*nat),
            _ => {}
        }
    }
    None
}

fn is_protocol(left: &Expr<'_>) -> bool {
    matches!(left, Expr::Meta(meta) if meta.key == "l4proto")
}

fn translation(nat: Nat<'_>) -> Option<Way<'_>> {
    match (nat.addr?, nat.port) {
        (Expr::Map(lookup), None) => shares(&lookup),
        (addr, Some(Expr::Number(port))) => Some(Way::Address(addr.text()?.parse().ok()?, u16::try_from(port).ok()?)),
        (addr @ Expr::Concat(_), None) => socket(&addr).map(|(address, port)| Way::Address(address, port)),
        _ => None,
    }
}

/// The values of a map by a made-up number, and out of how many.
fn shares<'a>(lookup: &Lookup<'a>) -> Option<Way<'a>> {
    let Expr::Numgen(numgen) = &lookup.key else { return None };
    let Expr::Set(set) = &lookup.data else { return None };
    let Expr::List(pairs) = &**set else { return None };
    let value = |pair: &Expr<'a>| match pair {
        Expr::List(pair) => pair.get(1).cloned(),
        _ => None,
    };
    let all: Vec<Expr<'a>> = pairs.iter().filter_map(value).collect();
    Some(Way::Share(u64::from(numgen.modulus), all))
}

/// `10.244.0.11 . 8080`.
fn socket(expr: &Expr<'_>) -> Option<(IpAddr, u16)> {
    let Expr::Concat(parts) = expr else { return None };
    match parts.as_slice() {
        [Expr::Text(address), Expr::Number(port)] => Some((address.parse().ok()?, u16::try_from(*port).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft;

    /// A table in the form that kube-proxy 1.36 writes, made up: affinity, one without, none at all, a local one.
    fn table(rules: &str) -> String {
        format!(
            r#"{{"nftables": [{{"table": {{"family": "ip", "name": "kube-proxy"}}}},
            {{"set": {{"family": "ip", "table": "kube-proxy", "name": "affinity-A", "type": "ipv4_addr", "flags": ["timeout"], "timeout": 60}}}},
            {{"map": {{"family": "ip", "table": "kube-proxy", "name": "service-ips", "type": ["ipv4_addr", "inet_proto", "inet_service"], "map": "verdict",
              "elem": [[{{"concat": ["10.96.0.9", "tcp", 80]}}, {{"goto": {{"target": "service-AAAAAAAA-shop/web/tcp/http"}}}}],
                       [{{"concat": ["203.0.113.4", "udp", 53]}}, {{"goto": {{"target": "external-BBBBBBBB-shop/dns/udp/"}}}}]]}}}},
            {{"map": {{"family": "ip", "table": "kube-proxy", "name": "firewall-ips", "type": ["ipv4_addr", "inet_proto", "inet_service"], "map": "verdict",
              "elem": [[{{"concat": ["203.0.113.4", "udp", 53]}}, {{"goto": {{"target": "firewall-BBBBBBBB-shop/dns/udp/"}}}}]]}}}},
            {{"map": {{"family": "ip", "table": "kube-proxy", "name": "no-endpoint-services", "type": ["ipv4_addr", "inet_proto", "inet_service"], "map": "verdict",
              "elem": [[{{"elem": {{"val": {{"concat": ["10.96.0.7", "tcp", 80]}}, "comment": "shop/empty:http"}}}}, {{"goto": {{"target": "reject-chain"}}}}]]}}}},
            {rules}]}}"#
        )
    }

    fn rule(chain: &str, expr: &str) -> String {
        format!(r#"{{"rule": {{"family": "ip", "table": "kube-proxy", "chain": "{chain}", "expr": [{expr}]}}}}"#)
    }

    const TCP: &str = r#"{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}"#;

    fn read(rules: &[String]) -> (Vec<KernelService>, usize) {
        in_tables(&nft::parse(table(&rules.join(",")).as_bytes()))
    }

    fn web() -> Vec<String> {
        let service = "service-AAAAAAAA-shop/web/tcp/http";
        vec![
            rule(
                service,
                r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@affinity-A"}}, {"goto": {"target": "endpoint-1"}}"#,
            ),
            rule(
                service,
                r#"{"vmap": {"key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "data": {"set": [[0, {"goto": {"target": "endpoint-1"}}], [1, {"goto": {"target": "endpoint-2"}}]]}}}"#,
            ),
            rule("endpoint-1", &format!(r#"{TCP}, {{"dnat": {{"addr": "10.244.0.1", "port": 8080}}}}"#)),
        ]
    }

    #[test]
    fn affinity_leads_through_chains_of_endpoints() {
        let mut rules = web();
        rules.push(rule("endpoint-2", &format!(r#"{TCP}, {{"dnat": {{"addr": "10.244.0.2", "port": 8080}}}}"#)));
        let (found, unknown) = read(&rules);
        let web = found.iter().find(|service| service.port == 80 && service.flags.is_empty()).unwrap();
        assert_eq!(web.service, ServicePort::parse("shop/web:http"));
        assert_eq!((web.affinity_seconds, unknown), (Some(60), 0));
        let backends: Vec<_> = web.backends.iter().map(|b| (b.address.to_string(), b.probability)).collect();
        assert_eq!(backends, [("10.244.0.1".to_owned(), Some(0.5)), ("10.244.0.2".to_owned(), Some(0.5))]);
        let empty = found.iter().find(|service| service.service == ServicePort::parse("shop/empty:http")).unwrap();
        assert_eq!((empty.flags.as_slice(), empty.backends.len()), (&["rejected".to_owned()][..], 0));
    }

    #[test]
    fn an_endpoint_whose_chain_is_gone_is_told() {
        let (found, _) = read(&web());
        let web = found.iter().find(|service| service.address == "10.96.0.9".parse().ok()).unwrap();
        assert_eq!((web.flags.as_slice(), web.backends.len()), (&["unreadable-backend".to_owned()][..], 1));
    }

    #[test]
    fn from_outside_only_what_is_local() {
        let external = "external-BBBBBBBB-shop/dns/udp/";
        let inside = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.244.0.0", "len": 16}}}}, {"goto": {"target": "service-BBBBBBBB-shop/dns/udp/"}}"#;
        let dnat = |addresses: &str| {
            format!(
                r#"{{"dnat": {{"family": "ip", "addr": {{"map": {{"key": {{"numgen": {{"mode": "random", "mod": 1, "offset": 0}}}}, "data": {{"set": [{addresses}]}}}}}}}}}}"#
            )
        };
        let service = rule("service-BBBBBBBB-shop/dns/udp/", &dnat(r#"[0, {"concat": ["10.244.0.9", 53]}]"#));
        let mut rules = vec![rule(external, inside), service];
        let dns = |rules: &[String]| read(rules).0.into_iter().find(|service| service.port == 53).unwrap();
        let without = dns(&rules);
        assert_eq!(without.flags, ["source-ranges", "inside-only"]);
        assert_eq!(without.service, ServicePort::parse("shop/dns"));
        rules.push(rule(external, r#"{"goto": {"target": "local-BBBBBBBB-shop/dns/udp/"}}"#));
        rules.push(rule("local-BBBBBBBB-shop/dns/udp/", &dnat(r#"[0, {"concat": ["10.244.0.5", 53]}]"#)));
        let with = dns(&rules);
        assert_eq!(with.flags, ["source-ranges", "local"]);
        assert_eq!(
            (with.backends[0].address.to_string(), with.backends[0].probability),
            ("10.244.0.5".to_owned(), Some(1.0))
        );
    }
}
