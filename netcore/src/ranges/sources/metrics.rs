//! `/metrics` of the API server: the ClusterIP allocators' gauges, which carry their range.

use std::collections::BTreeMap;

use crate::{
    cidr::Cidr,
    problem::Problem,
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
};

/// One ClusterIP allocator of one API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocator {
    /// Addresses given out.
    pub allocated: Option<u64>,
    /// Addresses left; saturated by the API server in large IPv6 ranges.
    pub available: Option<u64>,
}

/// kube-apiserver's `/metrics`.
pub(super) struct Metrics;

const NAME: &str = "apiserver-metrics";
const PATH: &str = "/metrics";
const PREFIX: &str = "kube_apiserver_clusterip_allocator_";

impl Source for Metrics {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::text(PATH)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Raw(PATH, text) = given else { return };
        let mut found: BTreeMap<Cidr, Allocator> = BTreeMap::new();
        for (line, content) in (1..).zip(text.lines()) {
            let Some((name, labels, value)) = sample(content) else {
                if content.starts_with(PREFIX) {
                    let error = Problem::of_line(line, content, "no sample; name{cidr=\"…\"} value would be one");
                    facts.problem(PATH, error.to_string());
                }
                continue;
            };
            if !matches!(name, "allocated_ips" | "available_ips") {
                continue;
            }
            let Some(cidr) = label(labels, "cidr") else { continue };
            let origin = Origin::new(NAME, Confidence::A, PATH, format!("line {line}: {PREFIX}{name}"));
            // each range is stated once, though it has two gauges
            let known = cidr.parse().ok().filter(|cidr| found.contains_key(cidr));
            let cidrs = known.map_or_else(|| facts.add_ranges(Role::Service, cidr, &origin), |cidr| vec![cidr]);
            for cidr in cidrs {
                let allocator = found.entry(cidr).or_default();
                match name {
                    "allocated_ips" => allocator.allocated = value,
                    _ => allocator.available = value,
                }
            }
        }
        facts.known.allocators.extend(found);
    }
}

/// The part of the name after the prefix, the labels, and the value where it is a whole number.
fn sample(content: &str) -> Option<(&str, &str, Option<u64>)> {
    let (name, rest) = content.strip_prefix(PREFIX)?.split_once('{')?;
    let (labels, value) = rest.split_once('}')?;
    Some((name, labels, whole(value.split_whitespace().next()?)))
}

/// A count as Prometheus writes it: `65505`, `6.5505e+04`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a small whole number")]
fn whole(text: &str) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    let fits = number.is_finite() && number >= 0.0 && number.fract() == 0.0 && number < 9_007_199_254_740_992.0;
    fits.then_some(number as u64)
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // as measured on 1.36.3
    const TEXT: &str = "# TYPE kube_apiserver_clusterip_allocator_allocated_ips gauge\n\
        kube_apiserver_clusterip_allocator_allocated_ips{cidr=\"10.96.0.0/16\"} 27\n\
        kube_apiserver_clusterip_allocator_allocated_ips{cidr=\"fd00:96::/112\"} 3\n\
        kube_apiserver_clusterip_allocator_available_ips{cidr=\"10.96.0.0/16\"} 65505\n\
        kube_apiserver_clusterip_allocator_available_ips{cidr=\"fd00:96::/112\"} 6.5532e+04\n\
        kube_apiserver_clusterip_allocator_allocation_total{cidr=\"10.96.0.0/16\",scope=\"dynamic\"} 30\n\
        up 1\n";

    #[test]
    fn both_families_with_counts() {
        let mut facts = Facts::default();
        Metrics.take(Given::Raw(PATH, TEXT), &mut facts);
        assert_eq!(facts.ranges.len(), 2);
        assert_eq!(facts.ranges[0].origin.field, "line 2: kube_apiserver_clusterip_allocator_allocated_ips");
        let v4 = facts.known.allocators[&"10.96.0.0/16".parse().unwrap()];
        assert_eq!(v4, Allocator { allocated: Some(27), available: Some(65505) });
        let v6 = facts.known.allocators[&"fd00:96::/112".parse().unwrap()];
        assert_eq!(v6.available, Some(65532));
    }

    #[test]
    fn a_cut_line_is_named_and_the_rest_stands() {
        let mut facts = Facts::default();
        let cut = format!("{TEXT}kube_apiserver_clusterip_allocator_allocated_ips{{cidr=\"10.9");
        Metrics.take(Given::Raw(PATH, &cut), &mut facts);
        assert_eq!((facts.ranges.len(), facts.unreadable.len()), (2, 1));
        assert!(facts.unreadable[0].reason.contains("line 8"));
    }
}
