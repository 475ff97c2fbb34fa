//! Sources that contradict each other, and ranges that are not written as they are meant.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Check, Findings,
    common::{pod_ranges, service_ranges, stated},
    examples::Examples,
};
use crate::{
    cidr::{Cidr, Family, Flaw, RangeSet, parse_list},
    cluster::resources,
    finding::{FindingDoc, Severity},
    kubeproxy::DetectLocal,
    ranges::{
        Facts, Role,
        sources::{Component, Ipam},
    },
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CIDR-007",
            title: "a node's podCIDR lies outside the cluster's pod range",
            severity: "error: kube-controller-manager does not start again",
            formula: "spec.podCIDRs of a node ⊄ every range of its family in kube-controller-manager's --cluster-cidr, \
                      for each member that allocates node ranges. A family without a range is not compared",
            example: "node node3 has podCIDR 10.32.3.0/24 outside --cluster-cidr 10.244.0.0/16",
            remedy: "set --cluster-cidr to a range that holds every existing podCIDR, or drain, delete and register the \
                     nodes again before kube-controller-manager is restarted",
        },
        needs: &[&resources::NODES],
        run: outside_cluster_cidr,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-008",
            title: "a node's podCIDR lies outside flannel's network",
            severity: "error: flannel gives the node no lease",
            formula: "spec.podCIDRs of a node ⊄ Network (IPv6Network) of flannel's net-conf.json, per family that \
                      flannel has switched on",
            example: "node node3 has podCIDR 10.32.3.0/24 outside flannel's network 10.244.0.0/16",
            remedy: "set Network in net-conf.json to a range that holds every podCIDR, restart flannel's pods",
        },
        needs: &[&resources::NODES],
        run: outside_flannel,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-009",
            title: "kube-proxy's clusterCIDR is not where the pods are",
            severity: "error where it holds service addresses, else warning",
            formula: "only where detectLocalMode is ClusterCIDR or empty and clusterCIDR is not empty: a pod range that \
                      pods get addresses from ⊄ clusterCIDR, or clusterCIDR ∩ a service range",
            example: "clusterCIDR 10.244.0.0/16 does not hold pod range 192.168.0.0/16",
            remedy: "set clusterCIDR in kube-proxy's configuration to all pod ranges (comma-separated), or use \
                     detectLocalMode NodeCIDR or InterfaceNamePrefix, and restart kube-proxy: until then it masquerades \
                     what should keep its source address",
        },
        needs: &[],
        run: cluster_cidr,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-010",
            title: "sources disagree about a range",
            severity: "error between members of kube-apiserver, else warning",
            formula: "per family, the sets of ranges differ between: for pods, kubeadm's podSubnet, the controller \
                      manager's --cluster-cidr, kube-proxy's clusterCIDR (where it is used), flannel's Network, OpenShift's \
                      and Cluster API's pods; for Services, kubeadm's serviceSubnet, --service-cluster-ip-range of every \
                      member of kube-apiserver and kube-controller-manager, /flagz, and ServiceCIDR kubernetes",
            example: "2 statements about the IPv4 pod range: 10.244.0.0/16, 192.168.0.0/16",
            remedy: "find out which one is in use (the sources are named in the order of their worth) and correct the \
                     others: the stale one will be believed at the next upgrade",
        },
        needs: &[],
        run: disagreement,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-043",
            title: "a range is not written as it is meant",
            severity: "warning",
            formula: "host bits are set, an octet or length has leading zeros, or an IPv4 address is written as IPv6",
            example: "10.97.0.0/12 is 10.96.0.0/12: host bits are set",
            remedy: "write the canonical form; Kubernetes 1.36 warns about the others and later versions refuse them",
        },
        needs: &[],
        run: not_canonical,
    },
];

fn cidrs(text: &str) -> Vec<Cidr> {
    parse_list(text).into_iter().filter_map(Result::ok).map(|written| written.cidr).collect()
}

fn outside_cluster_cidr(facts: &Facts, findings: &mut Findings<'_>) {
    for manager in facts.known.control_plane.iter().filter(|m| m.allocates_node_cidrs()) {
        let ranges = cidrs(manager.flag("cluster-cidr").unwrap_or_default());
        let origin = manager.origin("cluster-cidr").to_string();
        outside(facts, findings, &ranges, &origin, "--cluster-cidr");
    }
}

fn outside_flannel(facts: &Facts, findings: &mut Findings<'_>) {
    for flannel in &facts.known.flannel_confs {
        outside(facts, findings, &flannel.networks, &flannel.origin.to_string(), "flannel's network");
    }
}

fn outside(facts: &Facts, findings: &mut Findings<'_>, ranges: &[Cidr], origin: &str, what: &str) {
    let mut found = Examples::default();
    let mut first = None;
    for node in facts.nodes.values() {
        for cidr in &node.pod_cidrs {
            let mut family = ranges.iter().filter(|range| range.family() == cidr.family()).peekable();
            if family.peek().is_some() && !family.any(|range| range.contains(cidr)) {
                first.get_or_insert((&node.name, *cidr));
                found.add(|| format!("node {} spec.podCIDRs: {cidr}", node.name));
            }
        }
    }
    let Some((node, cidr)) = first else { return };
    let text = ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let more = if found.count() > 1 { format!(" (and {} more)", found.count() - 1) } else { String::new() };
    let message = format!("node {node} has podCIDR {cidr}{more} outside {what} {text}");
    let mut lines = vec![format!("{origin}: {text}")];
    lines.extend(found.into_evidence());
    findings.add(Severity::Error, text, message, lines);
}

/// Ranges that pods really get addresses from.
fn used_pod_ranges(facts: &Facts) -> BTreeSet<Cidr> {
    let known = &facts.known;
    match known.ipam() {
        Some(Ipam::Calico) => known.calico.pools.values().filter(|p| !p.disabled).map(|p| p.cidr).collect(),
        Some(Ipam::CiliumClusterPool) => known.cilium.cluster_pools.iter().map(|(cidr, ..)| *cidr).collect(),
        Some(ipam) if ipam.uses_pod_cidrs() => {
            facts.nodes.values().flat_map(|node| node.pod_cidrs.iter().copied()).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn cluster_cidr(facts: &Facts, findings: &mut Findings<'_>) {
    let pods = used_pod_ranges(facts);
    let services = service_ranges(facts);
    for proxy in &facts.known.kube_proxies {
        let cluster: BTreeSet<Cidr> = cidrs(&proxy.config.cluster_cidr).into_iter().collect();
        if proxy.config.detect_local != DetectLocal::ClusterCidr || cluster.is_empty() {
            continue;
        }
        let text = &proxy.config.cluster_cidr;
        let says = format!("{}: {text}", proxy.origin);
        if let Some(service) = services.iter().find(|s| cluster.iter().any(|c| c.overlaps(s))) {
            let severity = if cluster.iter().any(|c| service.contains(c)) || !pods_over(facts, service) {
                Severity::Error
            } else {
                Severity::Warning
            };
            let message = format!("clusterCIDR {text} holds addresses of service range {service}");
            let mut lines = vec![says.clone()];
            lines.extend(super::common::evidence(facts, Role::Service, service));
            findings.add(severity, text.clone(), message, lines);
        }
        let held: RangeSet = cluster.iter().copied().collect();
        let out: Vec<&Cidr> = pods.iter().filter(|cidr| !held.contains(cidr)).collect();
        if let Some(first) = out.first() {
            let more = if out.len() > 1 { format!(" and {} more", out.len() - 1) } else { String::new() };
            let message = format!("clusterCIDR {text} does not hold pod range {first}{more}");
            let mut lines = vec![says];
            lines.extend(out.iter().take(5).map(|cidr| format!("pods get addresses from {cidr}")));
            findings.add(Severity::Warning, text.clone(), message, lines);
        }
    }
}

/// Where the pod range itself holds the service range (CIDR-001), clusterCIDR cannot help it.
fn pods_over(facts: &Facts, service: &Cidr) -> bool {
    pod_ranges(facts).iter().any(|pod| pod.contains(service))
}

/// Who says which ranges; and whether it is a member of kube-apiserver.
struct Statement {
    who: String,
    cidrs: BTreeSet<Cidr>,
    api_server: bool,
}

fn disagreement(facts: &Facts, findings: &mut Findings<'_>) {
    compare("pod", &pod_statements(facts), findings);
    compare("service", &service_statements(facts), findings);
}

fn by_source(facts: &Facts, role: Role, sources: &[&str]) -> Vec<Statement> {
    let mut found: BTreeMap<(usize, &str), Statement> = BTreeMap::new();
    for fact in stated(facts, role) {
        let Some(rank) = sources.iter().position(|source| *source == fact.origin.source) else { continue };
        let statement = found.entry((rank, &fact.origin.object)).or_insert_with(|| Statement {
            who: fact.origin.to_string(),
            cidrs: BTreeSet::new(),
            api_server: false,
        });
        statement.cidrs.insert(fact.cidr);
    }
    found.into_values().collect()
}

fn pod_statements(facts: &Facts) -> Vec<Statement> {
    let mut all = Vec::new();
    for manager in facts.known.control_plane.iter().filter(|m| m.allocates_node_cidrs()) {
        all.push(Statement {
            who: manager.origin("cluster-cidr").to_string(),
            cidrs: cidrs(manager.flag("cluster-cidr").unwrap_or_default()).into_iter().collect(),
            api_server: false,
        });
    }
    for proxy in facts.known.kube_proxies.iter().filter(|p| p.config.detect_local == DetectLocal::ClusterCidr) {
        let cidrs = cidrs(&proxy.config.cluster_cidr).into_iter().collect();
        all.push(Statement { who: proxy.origin.to_string(), cidrs, api_server: false });
    }
    all.extend(by_source(facts, Role::Pod, &["flannel", "subnet.env", "openshift", "kubeadm-config", "cluster-api"]));
    all
}

fn service_statements(facts: &Facts) -> Vec<Statement> {
    let mut all = Vec::new();
    let default = facts.known.service_cidrs.iter().filter(|object| object.name == "kubernetes");
    all.extend(default.map(|object| Statement {
        who: "servicecidr kubernetes spec.cidrs".to_owned(),
        cidrs: object.cidrs.iter().copied().collect(),
        api_server: false,
    }));
    if let Some(cidrs) = &facts.known.flagz_service_range {
        let who = "/flagz service-cluster-ip-range".to_owned();
        all.push(Statement { who, cidrs: cidrs.iter().copied().collect(), api_server: true });
    }
    for member in &facts.known.control_plane {
        if let Some(text) = member.flag("service-cluster-ip-range") {
            all.push(Statement {
                who: member.origin("service-cluster-ip-range").to_string(),
                cidrs: cidrs(text).into_iter().collect(),
                api_server: member.component == Component::ApiServer,
            });
        }
    }
    all.extend(by_source(facts, Role::Service, &["node-args", "kubeadm-config", "cluster-api"]));
    all
}

fn compare(what: &str, statements: &[Statement], findings: &mut Findings<'_>) {
    for family in [Family::V4, Family::V6] {
        let of_family = |statement: &Statement| -> BTreeSet<Cidr> {
            statement.cidrs.iter().filter(|cidr| cidr.family() == family).copied().collect()
        };
        // who does not speak of a family does not deny it
        let said: Vec<(&Statement, BTreeSet<Cidr>)> =
            statements.iter().map(|s| (s, of_family(s))).filter(|(_, cidrs)| !cidrs.is_empty()).collect();
        let versions: BTreeSet<&BTreeSet<Cidr>> = said.iter().map(|(_, cidrs)| cidrs).collect();
        if versions.len() < 2 {
            continue;
        }
        let api: BTreeSet<&BTreeSet<Cidr>> =
            said.iter().filter(|(s, _)| s.api_server).map(|(_, cidrs)| cidrs).collect();
        let severity = if api.len() > 1 { Severity::Error } else { Severity::Warning };
        let join = |cidrs: &BTreeSet<Cidr>| cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let texts: Vec<String> = versions.iter().map(|cidrs| join(cidrs)).collect();
        let message = format!("{} statements about the {family} {what} range: {}", versions.len(), texts.join(" | "));
        let lines = said.iter().map(|(statement, cidrs)| format!("{}: {}", statement.who, join(cidrs))).collect();
        findings.add(severity, format!("{family} {what} range"), message, lines);
    }
}

fn not_canonical(facts: &Facts, findings: &mut Findings<'_>) {
    let mut told: BTreeMap<(&str, Cidr), (Examples, BTreeSet<&str>)> = BTreeMap::new();
    for fact in facts.ranges.iter().filter(|fact| !fact.flaws.is_empty() && fact.role != Role::External) {
        let (who, flaws) = told.entry((&fact.text, fact.cidr)).or_default();
        who.add(|| format!("{}: {}", fact.origin, fact.text));
        flaws.extend(fact.flaws.iter().map(|flaw| match flaw {
            Flaw::HostBits => "host bits are set",
            Flaw::LeadingZeros => "leading zeros",
            Flaw::MappedV4 => "an IPv4 address written as IPv6",
        }));
    }
    for ((text, cidr), (who, flaws)) in told {
        let flaws: Vec<&str> = flaws.into_iter().collect();
        let message = format!("{text} is {cidr}: {}", flaws.join(", "));
        findings.add(Severity::Warning, text, message, who.into_evidence());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cidr, found, healthy, member, node, severities, state};
    use super::*;
    use crate::{
        kubeproxy::KubeProxyConfig,
        ranges::{
            Confidence, Origin,
            sources::{KubeProxy, Kubeadm, ServiceCidr},
        },
    };

    fn manager(facts: &mut Facts, cluster: &str) {
        member(facts, Component::ControllerManager, &[("allocate-node-cidrs", "true"), ("cluster-cidr", cluster)]);
    }

    #[test]
    fn node_ranges_and_the_controller_manager() {
        let mut facts = healthy();
        manager(&mut facts, "10.244.0.0/16,fd00:244::/56");
        assert_eq!(found("CIDR-007", &facts), []);
        node(&mut facts, "old", "172.31.77.9", &["10.32.3.0/24"]);
        let found = found("CIDR-007", &facts);
        assert_eq!(
            found[0].message,
            "node old has podCIDR 10.32.3.0/24 outside --cluster-cidr 10.244.0.0/16,fd00:244::/56"
        );
        assert_eq!(found[0].severity, Severity::Error);
    }

    #[test]
    fn node_ranges_and_flannel() {
        let mut facts = healthy();
        facts.known.flannel_confs.push(crate::ranges::sources::FlannelConf {
            conf: crate::flannel::NetConf::default(),
            networks: vec![cidr("10.244.0.0/16")],
            origin: Origin::new("flannel", Confidence::B, "configmap a/b", "Network"),
        });
        node(&mut facts, "v6", "172.31.77.8", &["fd00::/64"]);
        assert_eq!(found("CIDR-008", &facts), [], "flannel has no IPv6 switched on");
        node(&mut facts, "old", "172.31.77.9", &["10.32.3.0/24"]);
        assert_eq!(severities("CIDR-008", &facts), [Severity::Error]);
    }

    fn proxy(facts: &mut Facts, text: &str, mode: DetectLocal) {
        let config =
            KubeProxyConfig { cluster_cidr: text.to_owned(), detect_local: mode, ..KubeProxyConfig::default() };
        let origin = Origin::new("kube-proxy", Confidence::B, "configmap kube-system/kube-proxy", "clusterCIDR");
        facts.known.kube_proxies = vec![KubeProxy { config, origin }];
    }

    #[test]
    fn kube_proxy_knows_the_pods_or_does_not_care() {
        let mut facts = healthy();
        proxy(&mut facts, "10.244.0.0/16", DetectLocal::ClusterCidr);
        assert_eq!(found("CIDR-009", &facts), []);
        proxy(&mut facts, "", DetectLocal::ClusterCidr);
        assert_eq!(found("CIDR-009", &facts), []);
        proxy(&mut facts, "192.168.0.0/16", DetectLocal::BridgeInterface);
        assert_eq!(found("CIDR-009", &facts), []);
        proxy(&mut facts, "192.168.0.0/16", DetectLocal::ClusterCidr);
        assert_eq!(severities("CIDR-009", &facts), [Severity::Warning]);
        // the service range, as one distribution shipped it
        proxy(&mut facts, "10.96.0.0/16", DetectLocal::ClusterCidr);
        assert_eq!(severities("CIDR-009", &facts), [Severity::Error, Severity::Warning]);
    }

    #[test]
    fn statements_that_differ() {
        let mut facts = healthy();
        manager(&mut facts, "10.244.0.0/16");
        proxy(&mut facts, "10.244.0.0/16,fd00::/56", DetectLocal::ClusterCidr);
        let default = ServiceCidr {
            name: "kubernetes".to_owned(),
            cidrs: vec![cidr("10.96.0.0/16")],
            ready: true,
            ..ServiceCidr::default()
        };
        facts.known.service_cidrs.push(default);
        facts.known.service_cidrs.push(ServiceCidr {
            name: "more".to_owned(),
            cidrs: vec![cidr("10.97.0.0/24")],
            ready: true,
            ..ServiceCidr::default()
        });
        facts.known.flagz_service_range = Some(vec![cidr("10.96.0.0/16")]);
        assert_eq!(found("CIDR-010", &facts), [], "a family that one does not speak of, and an added ServiceCIDR");
        let origin = Origin::new(
            "kubeadm-config",
            Confidence::C,
            "configmap kube-system/kubeadm-config",
            "networking.podSubnet",
        );
        facts.add_ranges(Role::Pod, "192.168.0.0/16", &origin);
        facts.known.kubeadm.push(Kubeadm::default());
        let first = found("CIDR-010", &facts);
        assert_eq!(first[0].message, "2 statements about the IPv4 pod range: 10.244.0.0/16 | 192.168.0.0/16");
        assert_eq!((first.len(), first[0].severity), (1, Severity::Warning));
        // two members of kube-apiserver
        member(&mut facts, Component::ApiServer, &[("service-cluster-ip-range", "10.98.0.0/16")]);
        assert_eq!(severities("CIDR-010", &facts), [Severity::Error, Severity::Warning]);
    }

    #[test]
    fn sloppy_ranges() {
        let mut facts = healthy();
        state(&mut facts, Role::Service, Confidence::C, "10.96.0.0/12");
        assert_eq!(found("CIDR-043", &facts), []);
        state(&mut facts, Role::Service, Confidence::C, "10.97.0.0/12");
        state(&mut facts, Role::External, Confidence::C, "10.1.2.3/8");
        let found = found("CIDR-043", &facts);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "10.97.0.0/12 is 10.96.0.0/12: host bits are set");
    }
}
