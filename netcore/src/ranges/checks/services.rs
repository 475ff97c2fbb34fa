//! Services and their ranges: room, bands, allocations, ServiceCIDR objects.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

use super::{
    Check, Findings,
    common::{dns_services, evidence, kubernetes_service, served_ranges, service_ranges},
    examples::Examples,
};
use crate::{
    cidr::{
        Cidr, Count, Family, RangeSet,
        capacity::{ServiceRangeLimit, at_least, service_bands, service_range_limit},
        overlaps,
    },
    cluster::resources,
    finding::{FindingDoc, Severity},
    ranges::{Facts, Role, sources::Event, usage},
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CIDR-029",
            title: "a service range is nearly used up",
            severity: "error at 95 % or with an event ServiceCIDRFull, warning at 80 %",
            formula: "ClusterIPs inside the range (IPAddress objects, else Services) / addresses that it gives out: \
                      2^(32-p) - 2 for IPv4, 2^(128-p) - 1 for IPv6 (before 1.33 at most 65,535). A range inside another \
                      one is counted with the other",
            example: "service range 10.96.0.0/24 has 250 of 254 addresses in use",
            remedy: "from 1.33 on add a range: a ServiceCIDR object; before that the API servers need a wider \
                     --service-cluster-ip-range with the same start",
        },
        needs: &[&resources::SERVICES],
        run: used,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-030",
            title: "the dynamic band of a service range is used up",
            severity: "warning",
            formula: "every address of the upper band is in use: the band starts min(max(16, size/16), 256) addresses \
                      above the first (no lower band in ranges of 16 or fewer)",
            example: "service range 10.96.0.0/24: all 238 dynamic addresses are in use",
            remedy: "add a range before addresses that somebody fixed by hand are given to others: the lower band is next",
        },
        needs: &[&resources::SERVICES],
        run: dynamic_band,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-031",
            title: "the DNS Service's fixed address is in the dynamic band",
            severity: "info",
            formula: "the ClusterIP of the cluster's DNS Service is not in the lower band of its service range",
            example: "kube-system/kube-dns has 10.96.200.10, in the dynamic band of 10.96.0.0/16",
            remedy: "nothing now; when the Service is made anew, another one may have got its address in between",
        },
        needs: &[&resources::SERVICES],
        run: fixed_in_dynamic,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-032",
            title: "a ClusterIP lies outside every service range",
            severity: "error",
            formula: "a Service's ClusterIP in no range of ServiceCIDR objects, /flagz or --service-cluster-ip-range; per \
                      family, and only where one of these is readable",
            example: "service default/old has 10.32.0.9, the service range is 10.96.0.0/12",
            remedy: "recreate the Service (it gets a new address), or add a ServiceCIDR that holds the address",
        },
        needs: &[&resources::SERVICES],
        run: outside,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-033",
            title: "allocations and Services do not match",
            severity: "warning",
            formula: "an IPAddress object whose address no Service has, or a ClusterIP without an IPAddress object. What \
                      was made while both were read looks the same: ask again",
            example: "ipaddress 10.96.4.7 of default/gone, which no Service has",
            remedy: "the API server's repair loop removes leftovers within minutes; if they stay, look at its log and at \
                     events ClusterIPNotAllocated",
        },
        needs: &[&resources::SERVICES, &resources::IPADDRESSES],
        run: allocations,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-034",
            title: "a ServiceCIDR is not ready, or not what the API server was told",
            severity: "error where the primary range of ServiceCIDR kubernetes differs from the flag, else warning",
            formula: "condition Ready is False, or deletionTimestamp is set; ServiceCIDR kubernetes ≠ \
                      --service-cluster-ip-range (/flagz, static pods); or an event KubernetesDefaultServiceCIDRInconsistent \
                      or …Error",
            example: "ServiceCIDR kubernetes has 10.96.0.0/16, the API server's flag 10.98.0.0/16",
            remedy: "set the flag back, or delete ServiceCIDR kubernetes by hand once nothing uses it: it never follows \
                     the flag by itself. One that is being deleted waits for its last ClusterIPs",
        },
        needs: &[&resources::SERVICECIDRS],
        run: service_cidrs,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-035",
            title: "a ServiceCIDR lies inside another",
            severity: "info",
            formula: "every range of one ServiceCIDR ⊆ a range of another",
            example: "ServiceCIDR small (10.96.0.0/24) lies inside kubernetes (10.96.0.0/16)",
            remedy: "nothing: the inner one adds no addresses and can be deleted",
        },
        needs: &[&resources::SERVICECIDRS],
        run: nested,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-036",
            title: "a service range is larger than the API server can use",
            severity: "warning",
            formula: "before 1.33 more than 20 host bits (refused) or an IPv6 range above 65,536 addresses (only the first \
                      ones are given out); from 1.33 on an IPv6 range shorter than /64",
            example: "fd00:96::/108: only 65535 addresses of it are given out",
            remedy: "take a longer prefix: nothing is lost, the rest cannot be used anyway",
        },
        needs: &[],
        run: too_large,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-042",
            title: "the Service kubernetes does not have the first address",
            severity: "warning",
            formula: "ClusterIP of default/kubernetes ≠ first address after the start of the default service range \
                      (ServiceCIDR kubernetes, else the API server's flag), same family",
            example: "default/kubernetes has 10.97.0.1, the range 10.96.0.0/12 starts at 10.96.0.1",
            remedy: "the range was changed under it, or written with host bits: delete the Service, the API server makes \
                     it again with the right address; its certificate must name that address (CIDR-046)",
        },
        needs: &[&resources::SERVICES],
        run: first_address,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-046",
            title: "the serving certificate lacks the Service's address",
            severity: "error",
            formula: "the ClusterIP of default/kubernetes is not among the certificate's IP addresses. Only judged where \
                      the certificate names kubernetes or kubernetes.default: another one was made for a proxy",
            example: "the certificate names 10.96.0.1, default/kubernetes has 10.98.0.1",
            remedy: "issue the certificate again with the address (kubeadm: delete apiserver.crt and apiserver.key, then \
                     kubeadm init phase certs apiserver) and restart the API server: pods cannot reach it safely",
        },
        needs: &[&resources::SERVICES],
        run: certificate,
    },
];

fn event_of(facts: &Facts, reasons: &[&str]) -> Vec<String> {
    facts.known.events.iter().filter(|event| reasons.contains(&event.reason.as_str())).map(Event::evidence).collect()
}

/// Ranges that lie in no other.
fn top_level(facts: &Facts) -> Vec<Cidr> {
    let all = service_ranges(facts);
    // a prefix sorts right before those inside it
    let mut top: Vec<Cidr> = Vec::new();
    for cidr in all {
        if !top.last().is_some_and(|outer| outer.contains(&cidr)) {
            top.push(cidr);
        }
    }
    top
}

fn used(facts: &Facts, findings: &mut Findings<'_>) {
    let events = event_of(facts, &["ServiceCIDRFull"]);
    let mut told = false;
    for cidr in top_level(facts) {
        let usage = usage::of_range(facts, Role::Service, &cidr, false);
        let (Some(used), Some(capacity)) = (usage.used, usage.capacity) else { continue };
        let full = at_least(u128::from(used), 95, capacity);
        if !full && !at_least(u128::from(used), 80, capacity) {
            continue;
        }
        told = true;
        let severity = if full || !events.is_empty() { Severity::Error } else { Severity::Warning };
        let mut lines = evidence(facts, Role::Service, &cidr);
        lines.extend(events.iter().cloned());
        let message = format!("service range {cidr} has {used} of {capacity} addresses in use");
        findings.add(severity, cidr.to_string(), message, lines);
    }
    if !told && !events.is_empty() {
        findings.add(Severity::Error, "service ranges", "a Service got no ClusterIP: the range was full", events);
    }
}

fn dynamic_band(facts: &Facts, findings: &mut Findings<'_>) {
    for cidr in top_level(facts) {
        let Some(bands) = usage::of_range(facts, Role::Service, &cidr, false).bands else { continue };
        let (Some(used), Some(capacity)) = (bands.dynamic_used, bands.dynamic_capacity) else { continue };
        // without a lower band there is nothing to spill into
        if bands.static_capacity == Some(0) || capacity == 0 || used < capacity {
            continue;
        }
        let message = format!("service range {cidr}: all {capacity} dynamic addresses are in use");
        findings.add(Severity::Warning, cidr.to_string(), message, evidence(facts, Role::Service, &cidr));
    }
}

fn fixed_in_dynamic(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(allocator) = usage::service_allocator(facts) else { return };
    let ranges = top_level(facts);
    for service in dns_services(facts) {
        for ip in &service.cluster_ips {
            let Some(range) = ranges.iter().find(|range| range.contains_ip(*ip)) else { continue };
            let bands = service_bands(range, allocator);
            let dynamic = bands.dynamic.is_some_and(|band| band.contains_ip(*ip));
            if bands.fixed.is_some() && dynamic {
                let name = format!("{}/{}", service.namespace, service.name);
                let message = format!("{name} has {ip}, in the dynamic band of {range}");
                let lines = vec![format!("service {name} spec.clusterIPs: {ip}")];
                findings.add(Severity::Info, format!("service {name}"), message, lines);
            }
        }
    }
}

fn outside(facts: &Facts, findings: &mut Findings<'_>) {
    let ranges = served_ranges(facts);
    let held: RangeSet = ranges.iter().copied().collect();
    let mut found = Examples::default();
    for service in &facts.services {
        for ip in &service.cluster_ips {
            if !held.of_family(Family::of(*ip)).is_empty() && !held.contains_ip(*ip) {
                found.add(|| format!("service {}/{}: {ip}", service.namespace, service.name));
            }
        }
    }
    if found.count() > 0 {
        let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        let count = found.count();
        let what = if count == 1 { "1 ClusterIP lies".to_owned() } else { format!("{count} ClusterIPs lie") };
        let mut lines = found.into_evidence();
        lines.extend(event_of(facts, &["ClusterIPOutOfRange"]));
        let message = format!("{what} outside every service range ({})", ranges.join(", "));
        findings.add(Severity::Error, "services", message, lines);
    }
}

fn allocations(facts: &Facts, findings: &mut Findings<'_>) {
    let services: HashSet<IpAddr> = facts.services.iter().flat_map(|s| s.cluster_ips.iter().copied()).collect();
    let allocated: HashSet<IpAddr> = facts.cluster_ips.iter().map(|known| known.ip).collect();
    let mut orphans = Examples::default();
    for known in facts.cluster_ips.iter().filter(|known| !services.contains(&known.ip)) {
        orphans.add(|| format!("ipaddress {} of {}", known.ip, or_nobody(&known.parent)));
    }
    let mut missing = Examples::default();
    for service in &facts.services {
        for ip in service.cluster_ips.iter().filter(|ip| !allocated.contains(ip)) {
            missing.add(|| format!("service {}/{}: {ip}", service.namespace, service.name));
        }
    }
    for (found, what) in
        [(orphans, "allocated addresses belong to no Service"), (missing, "ClusterIPs are not allocated")]
    {
        if found.count() > 0 {
            let mut lines = Vec::new();
            let message = format!("{} {what}", found.count());
            lines.extend(found.into_evidence());
            lines.extend(event_of(facts, &["ClusterIPNotAllocated"]));
            findings.add(Severity::Warning, "clusterips", message, lines);
        }
    }
}

fn or_nobody(parent: &str) -> &str {
    if parent.is_empty() { "nobody" } else { parent }
}

/// What the API server was told, with who says so.
fn flags(facts: &Facts) -> Vec<(Vec<Cidr>, String)> {
    let mut found = Vec::new();
    if let Some(cidrs) = &facts.known.flagz_service_range {
        found.push((cidrs.clone(), "/flagz service-cluster-ip-range".to_owned()));
    }
    let members = facts.known.control_plane.iter();
    for member in members.filter(|m| m.component == crate::ranges::sources::Component::ApiServer) {
        let Some(text) = member.flag("service-cluster-ip-range") else { continue };
        let cidrs = crate::cidr::parse_list(text).into_iter().filter_map(Result::ok).map(|w| w.cidr).collect();
        found.push((cidrs, member.origin("service-cluster-ip-range").to_string()));
    }
    found
}

fn join(cidrs: &[Cidr]) -> String {
    cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn service_cidrs(facts: &Facts, findings: &mut Findings<'_>) {
    for object in &facts.known.service_cidrs {
        let subject = format!("servicecidr {}", object.name);
        let text = join(&object.cidrs);
        if object.terminating {
            let message = format!("ServiceCIDR {} ({text}) is being deleted and gives out no addresses", object.name);
            findings.add(Severity::Warning, subject.clone(), message, vec![format!("{subject} {}", object.why)]);
        } else if !object.ready {
            let message = format!("ServiceCIDR {} ({text}) is not ready", object.name);
            findings.add(Severity::Warning, subject.clone(), message, vec![format!("{subject} {}", object.why)]);
        }
        if object.name != "kubernetes" {
            continue;
        }
        for (cidrs, who) in flags(facts).into_iter().filter(|(cidrs, _)| *cidrs != object.cidrs && !cidrs.is_empty()) {
            let primary = cidrs.first() != object.cidrs.first();
            let severity = if primary { Severity::Error } else { Severity::Warning };
            let message = format!("ServiceCIDR kubernetes has {text}, the API server's flag {}", join(&cidrs));
            let lines = vec![format!("{subject} spec.cidrs: {text}"), format!("{who}: {}", join(&cidrs))];
            findings.add(severity, subject.clone(), message, lines);
        }
    }
    let events = event_of(facts, &["KubernetesDefaultServiceCIDRInconsistent", "KubernetesDefaultServiceCIDRError"]);
    if !events.is_empty() {
        let message = "the API server reports that its default ServiceCIDR is wrong";
        findings.add(Severity::Warning, "servicecidr kubernetes", message, events);
    }
}

fn nested(facts: &Facts, findings: &mut Findings<'_>) {
    let objects = &facts.known.service_cidrs;
    let mut told = BTreeSet::new();
    let all: Vec<(usize, Cidr)> =
        objects.iter().enumerate().flat_map(|(i, object)| object.cidrs.iter().map(move |cidr| (i, *cidr))).collect();
    for (a, b) in overlaps(all.iter().map(|(_, cidr)| *cidr), 100).pairs {
        for (outer, inner) in [(a, b), (b, a)] {
            let (Some((outer, _)), Some((inner, _))) = (all.get(outer), all.get(inner)) else { continue };
            let (Some(outer), Some(inner)) = (objects.get(*outer), objects.get(*inner)) else { continue };
            let whole = inner.cidrs.iter().all(|c| outer.cidrs.iter().any(|o| o.contains(c)));
            // of two equal ones, the default is the one to keep
            let equal = inner.cidrs == outer.cidrs && (inner.name == "kubernetes" || outer.name > inner.name);
            if outer.name == inner.name || !whole || (equal && outer.name != "kubernetes") || !told.insert(&inner.name)
            {
                continue;
            }
            let message = format!(
                "ServiceCIDR {} ({}) lies inside {} ({})",
                inner.name,
                join(&inner.cidrs),
                outer.name,
                join(&outer.cidrs)
            );
            findings.add(Severity::Info, format!("servicecidr {}", inner.name), message, Vec::new());
        }
    }
}

fn too_large(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(allocator) = usage::service_allocator(facts) else { return };
    for cidr in served_ranges(facts) {
        let message = match service_range_limit(&cidr, allocator) {
            None => continue,
            Some(ServiceRangeLimit::Refused { shortest }) => {
                format!("{cidr} is refused: the shortest prefix that works is /{shortest}")
            }
            Some(ServiceRangeLimit::Clamped { usable }) => {
                format!("{cidr}: only {} addresses of it are given out", Count::new(usable))
            }
        };
        findings.add(Severity::Warning, cidr.to_string(), message, evidence(facts, Role::Service, &cidr));
    }
}

fn first_address(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(service) = kubernetes_service(facts) else { return };
    let object = facts.known.service_cidrs.iter().find(|object| object.name == "kubernetes");
    let default = object.map(|object| (object.cidrs.clone(), "servicecidr kubernetes spec.cidrs".to_owned()));
    let Some((cidrs, who)) = default.or_else(|| flags(facts).into_iter().next()) else { return };
    for ip in &service.cluster_ips {
        let Some(range) = cidrs.iter().find(|cidr| cidr.family() == Family::of(*ip)) else { continue };
        let Some(first) = range.nth(1).filter(|first| first != ip) else { continue };
        let message = format!("default/kubernetes has {ip}, the range {range} starts at {first}");
        let lines = vec![format!("service default/kubernetes spec.clusterIPs: {ip}"), format!("{who}: {range}")];
        findings.add(Severity::Warning, "service default/kubernetes", message, lines);
    }
}

fn certificate(facts: &Facts, findings: &mut Findings<'_>) {
    let (Some(certificate), Some(service)) = (&facts.known.certificate, kubernetes_service(facts)) else { return };
    let own = certificate.names.iter().any(|name| name == "kubernetes" || name.starts_with("kubernetes.default"));
    if !own {
        findings.not_checked(
            "the certificate that was served does not name kubernetes: it is a proxy's or a load balancer's",
        );
        return;
    }
    for ip in service.cluster_ips.iter().filter(|ip| !certificate.ips.contains(ip)) {
        let named: Vec<String> = certificate.ips.iter().map(ToString::to_string).collect();
        let message = format!("the serving certificate does not name {ip} of default/kubernetes");
        let lines = vec![
            format!("service default/kubernetes spec.clusterIPs: {ip}"),
            format!("serving certificate subjectAltName: {}", named.join(", ")),
        ];
        findings.add(Severity::Error, "serving certificate", message, lines);
    }
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
