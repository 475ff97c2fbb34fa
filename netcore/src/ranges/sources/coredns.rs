//! CoreDNS: the cluster's domain, and the reverse zones that it answers for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{ServiceCopy, fields::Fields, workload::Workload};
use crate::{
    cidr::{Cidr, parse_cidr},
    cluster::resources,
    ranges::{Confidence, Facts, Given, Source, Want},
};

/// The `kubernetes` lines of the `Corefile`.
pub(super) struct CoreDns;

const NAME: &str = "coredns";

impl Source for CoreDns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        let mut wants = vec![
            Want::get(&resources::CONFIGMAPS, "kube-system", "coredns"),
            Want::labelled(&resources::DEPLOYMENTS, "kube-system", "k8s-app=kube-dns"),
        ];
        // RKE2 and OpenShift call it otherwise
        let maps = facts.known.config_maps.get(NAME).into_iter().flatten();
        wants.extend(maps.map(|(namespace, name)| Want::get(&resources::CONFIGMAPS, namespace, name)));
        wants
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Some(workload) = Workload::of(given)
            && (workload.name().contains(NAME) || workload.name() == "dns-default")
        {
            facts.known.follow(NAME, &workload);
        }
        let Given::Object(resource, value) = given else { return };
        let map = Fields::of("configmap", value);
        let Some(corefile) = map.data("Corefile").filter(|_| resource == &resources::CONFIGMAPS) else { return };
        let mut reverse = Vec::new();
        let mut first = None;
        for (number, line) in (1..).zip(corefile.lines()) {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            if words.next() != Some("kubernetes") {
                continue;
            }
            let origin = map.origin(NAME, Confidence::B, &format!("data.Corefile line {number}"));
            for zone in words.take_while(|word| !word.starts_with('{')) {
                if let Some(cidr) = reverse_zone(zone) {
                    first.get_or_insert_with(|| origin.clone());
                    reverse.push(cidr);
                } else if zone != "." && !zone.starts_with("{$") {
                    facts.dns_domains.push((zone.trim_end_matches('.').to_owned(), origin.clone()));
                }
            }
        }
        // without any reverse zone it is not meant to answer for addresses
        if let Some(origin) = first {
            facts.known.service_copies.push(ServiceCopy { component: NAME, cidrs: reverse, origin });
        }
    }

    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}

/// The addresses of `96.10.in-addr.arpa`, `8.b.d.0.1.0.0.2.ip6.arpa` or a prefix written as a zone.
fn reverse_zone(zone: &str) -> Option<Cidr> {
    let zone = zone.trim_end_matches('.').to_ascii_lowercase();
    if zone.contains('/') {
        return parse_cidr(&zone).ok().map(|written| written.cidr);
    }
    let labels = |suffix: &str| -> Option<Vec<String>> {
        let rest = zone.strip_suffix(suffix)?.trim_end_matches('.');
        let mut labels: Vec<_> = rest.split('.').filter(|l| !l.is_empty()).map(str::to_owned).collect();
        labels.reverse();
        Some(labels)
    };
    if let Some(labels) = labels("in-addr.arpa") {
        let mut octets = [0; 4];
        for (i, label) in labels.iter().enumerate() {
            *octets.get_mut(i)? = label.parse().ok()?;
        }
        return Cidr::covering(IpAddr::V4(Ipv4Addr::from(octets)), u8::try_from(labels.len() * 8).ok()?);
    }
    let labels = labels("ip6.arpa")?;
    let mut bits: u128 = 0;
    for (i, label) in labels.iter().enumerate() {
        let nibble = u128::from_str_radix(label, 16).ok().filter(|n| *n < 16)?;
        let shift = 124usize.checked_sub(i * 4)?;
        bits |= nibble << shift;
    }
    Cidr::covering(IpAddr::V6(Ipv6Addr::from_bits(bits)), u8::try_from(labels.len() * 4).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_zones_are_prefixes() {
        let shown = |zone| reverse_zone(zone).map(|cidr| cidr.to_string());
        assert_eq!(shown("in-addr.arpa").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(shown("96.10.in-addr.arpa.").as_deref(), Some("10.96.0.0/16"));
        assert_eq!(shown("8.b.d.0.1.0.0.2.ip6.arpa").as_deref(), Some("2001:db8::/32"));
        assert_eq!(shown("10.96.0.0/12").as_deref(), Some("10.96.0.0/12"));
        assert_eq!(shown("cluster.local"), None);
        assert_eq!(shown("1.2.3.4.5.in-addr.arpa"), None);
    }
}
