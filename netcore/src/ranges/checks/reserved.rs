//! Ranges that are reserved for something else.

use std::collections::BTreeMap;

use super::{Check, Findings};
use crate::{
    cidr::{Cidr, Family},
    finding::{FindingDoc, Severity},
    ranges::{Facts, RangeFact, Role, defaults::reserved},
};

/// Prefixes of a group that are shown one by one.
const SHOWN: usize = 10;

/// The check of this file.
pub(super) static CHECKS: &[Check] = &[Check {
    doc: FindingDoc {
        id: "CIDR-038",
        title: "a reserved or public range",
        severity: "error: packets of the range do not arrive; warning: somebody else may have it; info: it only \
                   surprises",
        formula: "a pod, service or load-balancer range ∩ error: 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, \
                  224.0.0.0/4, 240.0.0.0/4, ::/128, ::1/128, ::ffff:0:0/96, fe80::/10, ff00::/8; warning: \
                  192.0.0.0/24, 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 192.88.99.0/24, 100.64.0.0/10 (pod and \
                  service), fec0::/10, 2001:db8::/32; info: 198.18.0.0/15; and, for pods and Services, a warning \
                  where an IPv4 range is outside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and GKE's own \
                  34.118.224.0/20: public addresses whose owners cannot be reached any more",
        example: "service range 169.254.96.0/20 is in 169.254.0.0/16: link-local, cloud metadata and node-local DNS",
        remedy: "a new range out of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fd00::/8 (kubectl netcidr free); \
                 100.64.0.0/10 or public addresses: keep them if your network routes no other use of them, else move",
    },
    needs: &[],
    run,
}];

fn run(facts: &Facts, findings: &mut Findings<'_>) {
    let mut groups: BTreeMap<(Role, String, Severity), Vec<&RangeFact>> = BTreeMap::new();
    for range in &facts.ranges {
        if range.lower_bound || !matches!(range.role, Role::Pod | Role::Service | Role::Loadbalancer) {
            continue;
        }
        for (why, severity) in objections(range.role, &range.cidr) {
            groups.entry((range.role, why, severity)).or_default().push(range);
        }
    }
    for ((role, why, severity), mut ranges) in groups {
        // the whole range before the nodes' shares of it
        ranges.sort_by_key(|r| (r.share_of.is_some(), r.cidr.prefix_len(), r.cidr));
        let Some(first) = ranges.first() else { continue };
        let name = match role {
            Role::Loadbalancer => "load-balancer",
            Role::Service => "service",
            _ => "pod",
        };
        let message = format!("{name} range {} is in {why}", first.cidr);
        let mut evidence: Vec<_> = ranges.iter().take(SHOWN).map(|r| format!("{}: {}", r.origin, r.text)).collect();
        if ranges.len() > SHOWN {
            evidence.push(format!("and {} more", ranges.len() - SHOWN));
        }
        findings.add(severity, first.cidr.to_string(), message, evidence);
    }
}

/// What speaks against a range, worst first.
fn objections(role: Role, cidr: &Cidr) -> Vec<(String, Severity)> {
    let mut objections = Vec::new();
    for row in reserved().filter(|row| row.cidr.overlaps(cidr)) {
        // load balancers may well have shared or public addresses
        let shared = row.cidr.prefix_len() == 10 && row.cidr.family() == Family::V4;
        if role != Role::Loadbalancer || !shared {
            objections.push((format!("{}: {}", row.cidr, row.purpose), row.severity));
        }
    }
    if objections.is_empty() && role != Role::Loadbalancer && public(cidr) {
        objections.push(("public address space".to_owned(), Severity::Warning));
    }
    objections
}

/// The range that Google owns and keeps for the Services of GKE clusters.
const GKE_SERVICES: &str = "34.118.224.0/20";

/// IPv4 outside private space; global IPv6 is how IPv6 is meant.
fn public(cidr: &Cidr) -> bool {
    let private = |ip| matches!(ip, std::net::IpAddr::V4(ip) if ip.is_private());
    let kept = GKE_SERVICES.parse().is_ok_and(|kept: Cidr| kept.contains(cidr));
    cidr.family() == Family::V4 && !kept && !(private(cidr.first()) && private(cidr.last()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::Finding,
        ranges::{Confidence, Origin},
    };

    fn found(role: Role, text: &str) -> Vec<Finding> {
        let mut facts = Facts::default();
        facts.add_ranges(role, text, &Origin::new("test", Confidence::B, "object", "field"));
        super::super::run_these(CHECKS, &facts).0
    }

    #[test]
    fn reserved_ranges_have_the_severity_of_their_row() {
        for (text, severity, why) in [
            ("169.254.96.0/20", Severity::Error, "link-local"),
            ("127.1.0.0/16", Severity::Error, "loopback"),
            ("240.0.0.0/8", Severity::Error, "reserved"),
            ("fe80:1::/64", Severity::Error, "link-local"),
            ("192.0.2.0/25", Severity::Warning, "documentation"),
            ("100.96.0.0/11", Severity::Warning, "shared address space"),
            ("2001:db8:1::/56", Severity::Warning, "documentation"),
            ("198.18.0.0/16", Severity::Info, "benchmarks"),
            ("11.0.0.0/16", Severity::Warning, "public address space"),
            ("172.0.0.0/8", Severity::Warning, "public address space"),
        ] {
            let found = found(Role::Pod, text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].severity, severity, "{text}");
            assert!(found[0].message.contains(why), "{}", found[0].message);
            assert_eq!(found[0].evidence, [format!("object field: {text}")]);
        }
    }

    #[test]
    fn their_neighbours_are_silent() {
        for text in
            ["10.244.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fd00:10:244::/56", "2600:1f14::/56", "10.0.0.0/8"]
        {
            assert_eq!(found(Role::Pod, text), [], "{text}");
            assert_eq!(found(Role::Service, text), [], "{text}");
        }
        assert_eq!(found(Role::Service, "34.118.224.0/20"), [], "Google keeps it for GKE");
        assert_eq!(found(Role::Service, "34.118.0.0/16").len(), 1);
        // the inside of a network plugin, and addresses that a provider hands out
        assert_eq!(found(Role::Internal, "169.254.0.0/17"), []);
        assert_eq!(found(Role::Internal, "100.64.0.0/16"), []);
        assert_eq!(found(Role::Loadbalancer, "100.64.3.0/28"), []);
        assert_eq!(found(Role::Loadbalancer, "34.0.0.0/24"), []);
        assert_eq!(found(Role::Loadbalancer, "224.0.0.0/24").len(), 1);
    }

    #[test]
    fn five_thousand_shares_are_one_finding() {
        let mut facts = Facts::default();
        for i in 0..5000 {
            let text = format!("11.{}.{}.0/24", i / 256, i % 256);
            facts.add_share(Role::Pod, &text, &Origin::new("node", Confidence::A, format!("node n{i}"), "f"), "n");
        }
        let (found, _) = super::super::run_these(CHECKS, &facts);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].evidence.last().unwrap(), "and 4990 more");
    }
}
