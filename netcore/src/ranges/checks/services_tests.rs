//! Each check of Services with a case that fires and a near miss.

use super::super::testing::{cidr, found, healthy, ip, member, service, severities, state};
use super::*;
use crate::ranges::{
    Confidence,
    sources::{Component, ServiceCidr, ServingCertificate},
};

fn object(facts: &mut Facts, name: &str, cidrs: &[&str]) {
    let cidrs: Vec<Cidr> = cidrs.iter().map(|text| cidr(text)).collect();
    facts.known.service_cidrs.push(ServiceCidr { name: name.to_owned(), cidrs, ready: true, ..ServiceCidr::default() });
}

/// The healthy cluster with a small service range of which `used` addresses are in use.
fn small(used: u8) -> Facts {
    let mut facts = healthy();
    facts.ranges.retain(|fact| fact.role != Role::Service);
    facts.services.clear();
    facts.cluster_ips.clear();
    state(&mut facts, Role::Service, Confidence::A, "10.96.0.0/26");
    for i in 1..=used {
        service(&mut facts, &format!("x/s{i}"), &format!("10.96.0.{i}"));
    }
    facts
}

#[test]
fn room_in_a_range() {
    assert_eq!(found("CIDR-029", &small(49)), []);
    assert_eq!(severities("CIDR-029", &small(50)), [Severity::Warning]);
    let full = found("CIDR-029", &small(60));
    assert_eq!(
        (full[0].severity, full[0].message.as_str()),
        (Severity::Error, "service range 10.96.0.0/26 has 60 of 62 addresses in use")
    );
}

#[test]
fn the_dynamic_band_spills() {
    // 16 static addresses, 46 dynamic ones
    let mut facts = small(61);
    assert_eq!(found("CIDR-030", &facts), []);
    service(&mut facts, "x/last", "10.96.0.62");
    assert_eq!(severities("CIDR-030", &facts), [Severity::Warning]);
}

#[test]
fn dns_in_the_dynamic_band() {
    let mut facts = healthy();
    assert_eq!(found("CIDR-031", &facts), []);
    service(&mut facts, "kube-system/coredns", "10.96.200.10");
    assert_eq!(severities("CIDR-031", &facts), [Severity::Info]);
}

#[test]
fn addresses_outside_the_range() {
    let mut facts = healthy();
    service(&mut facts, "x/v6", "fd00:96::5");
    assert_eq!(found("CIDR-032", &facts), [], "no range of that family is known");
    service(&mut facts, "x/old", "10.32.0.9");
    let found = found("CIDR-032", &facts);
    assert_eq!(found[0].message, "1 ClusterIP lies outside every service range (10.96.0.0/16)");
}

#[test]
fn allocations_and_services() {
    let mut facts = healthy();
    assert_eq!(found("CIDR-033", &facts), []);
    facts.cluster_ips.push(crate::ranges::ClusterIp { ip: ip("10.96.4.7"), parent: "default/gone".to_owned() });
    let first = found("CIDR-033", &facts);
    assert_eq!(first[0].evidence, ["ipaddress 10.96.4.7 of default/gone"]);
    facts.cluster_ips.clear();
    assert_eq!(found("CIDR-033", &facts)[0].message, "2 ClusterIPs are not allocated");
}

#[test]
fn the_default_object_and_the_flag() {
    let mut facts = healthy();
    object(&mut facts, "kubernetes", &["10.96.0.0/16"]);
    facts.known.flagz_service_range = Some(vec![cidr("10.96.0.0/16")]);
    assert_eq!(found("CIDR-034", &facts), []);
    facts.known.flagz_service_range = Some(vec![cidr("10.96.0.0/16"), cidr("fd00:96::/112")]);
    assert_eq!(severities("CIDR-034", &facts), [Severity::Warning], "the second family is being added");
    facts.known.flagz_service_range = Some(vec![cidr("10.98.0.0/16")]);
    assert_eq!(severities("CIDR-034", &facts), [Severity::Error]);
}

#[test]
fn objects_that_are_not_ready() {
    let mut facts = healthy();
    object(&mut facts, "more", &["10.97.0.0/24"]);
    if let Some(more) = facts.known.service_cidrs.last_mut() {
        more.ready = false;
        more.terminating = true;
    }
    assert_eq!(severities("CIDR-034", &facts), [Severity::Warning]);
}

#[test]
fn objects_inside_each_other() {
    let mut facts = healthy();
    object(&mut facts, "kubernetes", &["10.96.0.0/16"]);
    object(&mut facts, "beside", &["10.97.0.0/16"]);
    assert_eq!(found("CIDR-035", &facts), []);
    object(&mut facts, "small", &["10.96.0.0/24"]);
    let found = found("CIDR-035", &facts);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "ServiceCIDR small (10.96.0.0/24) lies inside kubernetes (10.96.0.0/16)");
}

#[test]
fn ranges_beyond_the_allocator() {
    let mut facts = healthy();
    state(&mut facts, Role::Service, Confidence::A, "fd00:96::/64");
    assert_eq!(found("CIDR-036", &facts), []);
    state(&mut facts, Role::Service, Confidence::A, "fd00:96::/60");
    assert_eq!(severities("CIDR-036", &facts), [Severity::Warning]);
}

#[test]
fn the_first_address() {
    let mut facts = healthy();
    object(&mut facts, "kubernetes", &["10.96.0.0/16"]);
    assert_eq!(found("CIDR-042", &facts), []);
    facts.known.service_cidrs.clear();
    object(&mut facts, "kubernetes", &["10.98.0.0/16"]);
    assert_eq!(
        found("CIDR-042", &facts)[0].message,
        "default/kubernetes has 10.96.0.1, the range 10.98.0.0/16 starts at 10.98.0.1"
    );
}

#[test]
fn the_certificate_names_the_service() {
    let mut facts = healthy();
    let certificate = |ips: &[&str], name: &str| ServingCertificate {
        ips: ips.iter().map(|text| ip(text)).collect(),
        names: vec![name.to_owned()],
    };
    facts.known.certificate = Some(certificate(&["10.96.0.1"], "kubernetes"));
    assert_eq!(found("CIDR-046", &facts), []);
    facts.known.certificate = Some(certificate(&["10.98.0.1"], "kubernetes.default.svc"));
    assert_eq!(severities("CIDR-046", &facts), [Severity::Error]);
    facts.known.certificate = Some(certificate(&["203.0.113.9"], "lb.example"));
    let (found, not_checked) = super::super::run_one("CIDR-046", &facts);
    assert!(found.is_empty() && not_checked.len() == 1, "a proxy's certificate is not judged");
}

#[test]
fn members_of_the_api_server_are_flags_too() {
    let mut facts = healthy();
    object(&mut facts, "kubernetes", &["10.96.0.0/16"]);
    member(&mut facts, Component::ApiServer, &[("service-cluster-ip-range", "10.96.0.0/16")]);
    assert_eq!(found("CIDR-034", &facts), []);
}
