//! What several checks ask of the facts.

use std::collections::BTreeSet;

use crate::{
    cidr::{Cidr, Family},
    ranges::{Confidence, Facts, RangeFact, Role, ServiceFacts},
};

/// Statements about the whole cluster's ranges of a role: no shares, no inference, no hints.
pub(in crate::ranges) fn stated(facts: &Facts, role: Role) -> impl Iterator<Item = &RangeFact> {
    facts.ranges.iter().filter(move |fact| {
        fact.role == role && fact.share_of.is_none() && !fact.lower_bound && fact.origin.confidence < Confidence::D
    })
}

/// The service ranges of a family by the best sources that there are: the API server's own and its
/// configuration, else the installers' records.
pub(in crate::ranges) fn service_ranges(facts: &Facts) -> BTreeSet<Cidr> {
    let mut found = BTreeSet::new();
    for family in [Family::V4, Family::V6] {
        let all = || stated(facts, Role::Service).filter(|fact| fact.cidr.family() == family);
        let own: BTreeSet<Cidr> =
            all().filter(|f| f.origin.confidence <= Confidence::B).map(|fact| fact.cidr).collect();
        if own.is_empty() {
            found.extend(all().map(|fact| fact.cidr));
        } else {
            found.extend(own);
        }
    }
    found
}

/// The service ranges that the API server itself uses, or was told to.
pub(in crate::ranges) fn served_ranges(facts: &Facts) -> BTreeSet<Cidr> {
    let own = |fact: &&RangeFact| fact.origin.confidence <= Confidence::B;
    stated(facts, Role::Service).filter(own).map(|fact| fact.cidr).collect()
}

/// Pod ranges in use: not those that only kube-proxy names (it has checks of its own), nor pools that
/// are switched off.
pub(in crate::ranges) fn pod_ranges(facts: &Facts) -> BTreeSet<Cidr> {
    let disabled: BTreeSet<Cidr> =
        facts.known.calico.pools.values().filter(|pool| pool.disabled).map(|pool| pool.cidr).collect();
    let live = |fact: &&RangeFact| fact.origin.source != "kube-proxy" && !disabled.contains(&fact.cidr);
    stated(facts, Role::Pod).filter(live).map(|fact| fact.cidr).collect()
}

/// How many origins are named.
const SHOWN: usize = 6;

/// Who states a range.
pub(in crate::ranges) fn evidence(facts: &Facts, role: Role, cidr: &Cidr) -> Vec<String> {
    let mut found: Vec<&RangeFact> = stated(facts, role).filter(|fact| fact.cidr == *cidr).collect();
    found.sort_by(|a, b| (a.origin.confidence, &a.origin).cmp(&(b.origin.confidence, &b.origin)));
    let mut lines: Vec<String> = found.iter().map(|fact| format!("{}: {}", fact.origin, fact.text)).collect();
    lines.dedup();
    lines.truncate(SHOWN);
    lines
}

/// The Service `default/kubernetes`.
pub(in crate::ranges) fn kubernetes_service(facts: &Facts) -> Option<&ServiceFacts> {
    facts.services.iter().find(|service| service.namespace == "default" && service.name == "kubernetes")
}

/// The Services that answer DNS, by the names that installers give them.
pub(in crate::ranges) fn dns_services(facts: &Facts) -> impl Iterator<Item = &ServiceFacts> {
    const NAMES: [(&str, &str); 4] = [
        ("kube-system", "kube-dns"),
        ("kube-system", "coredns"),
        ("kube-system", "rke2-coredns-rke2-coredns"),
        ("openshift-dns", "dns-default"),
    ];
    facts.services.iter().filter(|s| NAMES.contains(&(s.namespace.as_str(), s.name.as_str())))
}
