//! Lists of ranges that single components keep beside the cluster's own settings.

use std::collections::BTreeMap;

use super::{Check, Findings};
use crate::{
    cidr::{Cidr, RangeSet},
    cluster::resources,
    finding::{FindingDoc, Severity},
    ranges::{
        Confidence, Facts, Origin, RangeFact, Role,
        sources::{MasqueradeList, ServiceCopy},
    },
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CIDR-044",
            title: "pod ranges missing in a masquerade list",
            severity: "warning",
            formula: "a pod range in use that the agent's destinations (ip-masq-agent's nonMasqueradeCIDRs, all lists \
                      of azure-ip-masq-agent together, Cilium's native-routing-cidr) of the same family do not hold \
                      whole. In use: an address of a live pod is in it; where pods could not be read, every declared \
                      range",
            example: "ip-masq-agent does not hold pod range 10.200.0.0/16: traffic between pods is masqueraded",
            remedy: "add the range to the list named in the evidence; the agents reread it within a minute, Cilium's \
                     agents want a restart (kubectl -n kube-system rollout restart ds/cilium)",
        },
        needs: &[],
        run: masquerade,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-045",
            title: "a component's own copy of the service range is out of date",
            severity: "warning",
            formula: "a ServiceCIDR (where there is none, a service range that the API server or a component is \
                      configured with) that a component's copy of the same family does not hold whole: kube-router \
                      --service-cluster-ip-range, Calico BGPConfiguration serviceClusterIPs, Antrea without \
                      AntreaProxy or with its own node allocation, reverse zones of CoreDNS' kubernetes plugin. A \
                      component without such a copy is not compared",
            example: "kube-router does not know service range 10.97.0.0/24",
            remedy: "add the range where the evidence says: kube-router: its flag, then restart its DaemonSet; Calico: \
                     serviceClusterIPs; Antrea: its ConfigMap, then restart its agents; CoreDNS: a reverse zone on \
                     the kubernetes line, or in-addr.arpa and ip6.arpa for all",
        },
        needs: &[],
        run: service_copies,
    },
];

fn masquerade(facts: &Facts, findings: &mut Findings<'_>) {
    let mut agents: BTreeMap<&str, Vec<(Cidr, &Origin)>> = BTreeMap::new();
    for MasqueradeList { agent, cidrs, origin } in &facts.known.masquerade_lists {
        // an empty list is a list: everything is masqueraded
        agents.entry(agent).or_default().extend(cidrs.iter().map(|cidr| (*cidr, origin)));
    }
    let native = facts.known.cilium.native_routing.iter();
    for (cidr, origin) in native {
        agents.entry("cilium").or_default().push((*cidr, origin));
    }
    if agents.is_empty() {
        return;
    }
    let pods = pods_in_use(facts);
    for (agent, list) in agents {
        let mut held = RangeSet::new();
        held.extend(list.iter().map(|(cidr, _)| *cidr));
        for pod in &pods {
            let family = pod.cidr.family();
            let same_family = list.iter().any(|(cidr, _)| cidr.family() == family);
            if !same_family || held.contains(&pod.cidr) {
                continue;
            }
            let mut evidence: Vec<_> = list.iter().map(|(cidr, origin)| format!("{origin}: {cidr}")).collect();
            evidence.push(format!("{}: {}", pod.origin, pod.text));
            findings.add(
                Severity::Warning,
                pod.cidr.to_string(),
                format!("{agent} does not hold pod range {}: traffic between pods is masqueraded", pod.cidr),
                evidence,
            );
        }
    }
}

/// Declared pod ranges in which pods have addresses; the nodes' shares where none is declared.
fn pods_in_use(facts: &Facts) -> Vec<&RangeFact> {
    let pods_known = facts.complete(&resources::PODS);
    let declared = |shares: bool| {
        let mut ranges: Vec<_> = facts
            .ranges
            .iter()
            .filter(|r| r.role == Role::Pod && !r.lower_bound && r.share_of.is_some() == shares)
            .filter(|r| r.origin.confidence < Confidence::D)
            .filter(|r| !pods_known || !facts.pods.inside(&r.cidr).is_empty())
            .collect();
        ranges.sort_by_key(|r| (r.cidr, r.origin.confidence));
        ranges.dedup_by_key(|r| r.cidr);
        ranges
    };
    let whole = declared(false);
    if whole.is_empty() { declared(true) } else { whole }
}

fn service_copies(facts: &Facts, findings: &mut Findings<'_>) {
    let announced = facts.known.calico.announced.iter().map(|(cidrs, origin)| ServiceCopy {
        component: "calico",
        cidrs: cidrs.clone(),
        origin: origin.clone(),
    });
    let copies: Vec<_> = facts.known.service_copies.iter().cloned().chain(announced).collect();
    if copies.is_empty() {
        return;
    }
    let services = service_ranges(facts);
    for copy in copies {
        let mut held = RangeSet::new();
        held.extend(copy.cidrs.iter().copied());
        for service in &services {
            let same_family = copy.cidrs.iter().any(|cidr| cidr.family() == service.cidr.family());
            if !same_family || held.contains(&service.cidr) {
                continue;
            }
            let cidrs: Vec<_> = copy.cidrs.iter().map(ToString::to_string).collect();
            findings.add(
                Severity::Warning,
                copy.component,
                format!("{} does not know service range {}", copy.component, service.cidr),
                vec![format!("{}: {}", copy.origin, cidrs.join(",")), format!("{}: {}", service.origin, service.text)],
            );
        }
    }
}

/// The API's own service ranges; where there are none, those that components are configured with.
fn service_ranges(facts: &Facts) -> Vec<&RangeFact> {
    let of = |wanted: &dyn Fn(&RangeFact) -> bool| {
        let mut ranges: Vec<_> =
            facts.ranges.iter().filter(|r| r.role == Role::Service && !r.lower_bound && wanted(r)).collect();
        ranges.sort_by_key(|r| (r.cidr, r.origin.confidence));
        ranges.dedup_by_key(|r| r.cidr);
        ranges
    };
    let objects = of(&|r| r.origin.source == "servicecidr");
    if objects.is_empty() { of(&|r| r.origin.confidence <= Confidence::B) } else { objects }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Finding;

    fn origin(object: &str, field: &str) -> Origin {
        Origin::new("test", Confidence::B, object, field)
    }

    fn cidrs(texts: &[&str]) -> Vec<Cidr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn found(facts: &Facts) -> Vec<Finding> {
        super::super::run_these(CHECKS, facts).0
    }

    fn with_lists(lists: &[&[&str]]) -> Facts {
        let mut facts = Facts::default();
        facts.add_ranges(Role::Pod, "10.244.0.0/16,fd00:10:244::/56", &origin("kubeadm-config", "podSubnet"));
        for (i, list) in lists.iter().enumerate() {
            facts.known.masquerade_lists.push(MasqueradeList {
                agent: "azure-ip-masq-agent",
                cidrs: cidrs(list),
                origin: origin(&format!("list{i}"), "nonMasqueradeCIDRs"),
            });
        }
        facts
    }

    #[test]
    fn a_pod_range_that_is_masqueraded() {
        let found = found(&with_lists(&[&["10.244.0.0/17"], &["192.168.0.0/16"]]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id.as_str(), found[0].subject.as_str()), ("CIDR-044", "10.244.0.0/16"));
        assert_eq!(found[0].evidence[0], "list0 nonMasqueradeCIDRs: 10.244.0.0/17");
        assert_eq!(found[0].evidence[2], "kubeadm-config podSubnet: 10.244.0.0/16");
    }

    #[test]
    fn lists_add_up_and_another_family_is_not_asked_for() {
        assert_eq!(found(&with_lists(&[&["10.244.0.0/17"], &["10.244.128.0/17"]])), []);
        assert_eq!(found(&with_lists(&[])), []);
        assert_eq!(found(&with_lists(&[&["10.0.0.0/8", "fd00::/8"]])), []);
        assert_eq!(found(&with_lists(&[&["10.0.0.0/8", "fd01::/16"]])).len(), 1);
    }

    #[test]
    fn ciliums_native_range_counts_as_a_list() {
        let mut facts = with_lists(&[]);
        facts.known.cilium.native_routing.push(("10.0.0.0/9".parse().unwrap(), origin("cilium-config", "native")));
        assert_eq!(found(&facts).len(), 1);
        facts.known.cilium.native_routing[0].0 = "10.0.0.0/8".parse().unwrap();
        assert_eq!(found(&facts), []);
    }

    fn with_copy(component: &'static str, copy: &[&str]) -> Facts {
        let mut facts = Facts::default();
        for (name, text) in [("kubernetes", "10.96.0.0/16"), ("more", "10.97.0.0/24"), ("six", "fd00:96::/112")] {
            let origin = Origin::new("servicecidr", Confidence::A, format!("servicecidr {name}"), "spec.cidrs[0]");
            facts.add_ranges(Role::Service, text, &origin);
        }
        // an installer's record that nobody widened says nothing about the copies
        facts.add_ranges(Role::Service, "10.98.0.0/16", &origin("kubeadm-config", "serviceSubnet"));
        facts.known.service_copies.push(ServiceCopy { component, cidrs: cidrs(copy), origin: origin("ds", "flag") });
        facts
    }

    #[test]
    fn a_copy_that_lacks_a_new_range() {
        let found = found(&with_copy("kube-router", &["10.96.0.0/16"]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].id, "CIDR-045");
        assert_eq!(found[0].message, "kube-router does not know service range 10.97.0.0/24");
        assert_eq!(found[0].evidence, ["ds flag: 10.96.0.0/16", "servicecidr more spec.cidrs[0]: 10.97.0.0/24"]);
    }

    #[test]
    fn a_copy_that_holds_all_of_its_family_is_silent() {
        assert_eq!(found(&with_copy("kube-router", &["10.96.0.0/12"])), []);
        assert_eq!(found(&with_copy("coredns", &["0.0.0.0/0", "::/0"])), []);
        assert_eq!(found(&with_copy("coredns", &["0.0.0.0/0", "fd01::/16"])).len(), 1);
    }

    #[test]
    fn what_calico_announces_is_a_copy() {
        let mut facts = with_copy("coredns", &["0.0.0.0/0", "::/0"]);
        facts.known.calico.announced.push((cidrs(&["10.96.0.0/16"]), origin("bgpconfiguration default", "f")));
        assert_eq!(found(&facts).len(), 1);
        assert_eq!(found(&facts)[0].subject, "calico");
    }
}
