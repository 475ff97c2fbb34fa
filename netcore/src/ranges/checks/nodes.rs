//! Nodes: families, routes, resolvers, flannel's files.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Check, Findings,
    common::{dns_services, service_ranges},
    examples::Examples,
};
use crate::{
    cidr::{Cidr, Family, overlaps},
    cluster::resources,
    finding::{FindingDoc, Severity},
    ranges::{
        Facts,
        sources::{Event, Ipam, UNNAMED},
    },
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CIDR-037",
            title: "address families do not match",
            severity: "error where Services have only addresses of a family that no pod has, else warning",
            formula: "a service range of a family that neither pods nor nodes' podCIDRs nor pod ranges have; or, where pods \
                      use podCIDRs, nodes with podCIDRs of one family beside nodes with both",
            example: "2 nodes have IPv4 podCIDRs only, 3 nodes have both families",
            remedy: "podCIDRs are given once: drain, delete and register again the nodes that are older than the second \
                     family; give the controller manager and the network plugin ranges of both families",
        },
        needs: &[&resources::NODES],
        run: families,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-040",
            title: "a node has no route to its pods",
            severity: "error",
            formula: "condition NetworkUnavailable is True, or an event FailedToCreateRoute",
            example: "node node4: NetworkUnavailable (NoRouteCreated)",
            remedy: "look at the cloud's route table (its limit, its permissions) and at the log of the cloud's controller \
                     manager or the network plugin on that node",
        },
        needs: &[&resources::NODES],
        run: routes,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-041",
            title: "kubelets send pods to a resolver that is not there",
            severity: "error where the address lies in a service range, else warning",
            formula: "an address of clusterDNS in a kubelet's configuration that no Service has as a ClusterIP. Link-local \
                      addresses (node-local DNS) and addresses of nodes are fine",
            example: "clusterDNS 10.32.0.10 on node node1 is no Service; kube-system/kube-dns has 10.96.0.10",
            remedy: "set clusterDNS in the kubelets' configuration to the DNS Service's address, restart them and the pods",
        },
        needs: &[&resources::SERVICES],
        run: resolvers,
    },
    Check {
        doc: FindingDoc {
            id: "CIDR-049",
            title: "flannel's subnet.env does not fit",
            severity: "error; warning for FLANNEL_IPMASQ",
            formula: "FLANNEL_NETWORK differs between nodes or from net-conf.json; FLANNEL_SUBNET ⊄ the node's own \
                      podCIDRs, or overlaps another node's; FLANNEL_IPMASQ=true beside Calico pools that masquerade, or \
                      true on some nodes and false on others",
            example: "node2: FLANNEL_SUBNET 10.244.7.0/24 is not in podCIDR 10.244.2.0/24",
            remedy: "the file is from before a change: restart flannel's pod on that node, and where pods keep wrong \
                     addresses delete the bridge cni0 while the node is drained",
        },
        needs: &[],
        run: subnet_env,
    },
];

fn families_of<'a>(cidrs: impl IntoIterator<Item = &'a Cidr>) -> BTreeSet<Family> {
    cidrs.into_iter().map(Cidr::family).collect()
}

fn families(facts: &Facts, findings: &mut Findings<'_>) {
    let mut pods: BTreeSet<Family> = families_of(facts.nodes.values().flat_map(|node| &node.pod_cidrs));
    pods.extend(facts.pods.addresses.iter().map(|address| Family::of(address.ip)));
    pods.extend(super::common::stated(facts, crate::ranges::Role::Pod).map(|fact| fact.cidr.family()));
    if !pods.is_empty() {
        for family in families_of(&service_ranges(facts)).difference(&pods) {
            let only = |ips: &[std::net::IpAddr]| !ips.is_empty() && ips.iter().all(|ip| Family::of(*ip) == *family);
            let mut unserved = Examples::default();
            for service in facts.services.iter().filter(|service| only(&service.cluster_ips)) {
                unserved.add(|| format!("service {}/{} has only {family} addresses", service.namespace, service.name));
            }
            let severity = if unserved.count() > 0 { Severity::Error } else { Severity::Warning };
            let message = format!("Services have an {family} range, pods have no {family} addresses");
            findings.add(severity, format!("{family}"), message, unserved.into_evidence());
        }
    }
    if facts.known.ipam().is_some_and(|ipam| !ipam.uses_pod_cidrs()) {
        return;
    }
    let mut groups: BTreeMap<Vec<Family>, Examples> = BTreeMap::new();
    for node in facts.nodes.values().filter(|node| !node.pod_cidrs.is_empty()) {
        let has: Vec<Family> = families_of(&node.pod_cidrs).into_iter().collect();
        groups.entry(has).or_default().add(|| format!("node {}", node.name));
    }
    if groups.len() > 1 {
        let of = |families: &[Family]| match families {
            [one] => format!("{one} podCIDRs only"),
            _ => "podCIDRs of both families".to_owned(),
        };
        let texts: Vec<String> =
            groups.iter().map(|(f, nodes)| format!("{} nodes have {}", nodes.count(), of(f))).collect();
        let single = groups.into_iter().filter(|(families, _)| families.len() == 1);
        let lines = single.flat_map(|(_, nodes)| nodes.into_evidence()).collect();
        findings.add(Severity::Warning, "podCIDRs", texts.join(", "), lines);
    }
}

fn routes(facts: &Facts, findings: &mut Findings<'_>) {
    let mut reasons: BTreeMap<&str, Examples> = BTreeMap::new();
    for node in facts.nodes.values() {
        if let Some(reason) = &node.network_unavailable {
            reasons
                .entry(reason)
                .or_default()
                .add(|| format!("node {} status.conditions: NetworkUnavailable", node.name));
        }
    }
    for (reason, nodes) in reasons {
        let count = nodes.count();
        let who = if count == 1 { "1 node is".to_owned() } else { format!("{count} nodes are") };
        let message = format!("{who} not reachable for pods: NetworkUnavailable ({reason})");
        findings.add(Severity::Error, "nodes", message, nodes.into_evidence());
    }
    let events: Vec<&Event> = facts.known.events.iter().filter(|e| e.reason == "FailedToCreateRoute").collect();
    if !events.is_empty() {
        let mut lines = Examples::default();
        for event in &events {
            lines.add(|| event.evidence());
        }
        let message = format!("routes to pods could not be made ({} events)", events.len());
        findings.add(Severity::Error, "routes", message, lines.into_evidence());
    }
}

fn resolvers(facts: &Facts, findings: &mut Findings<'_>) {
    let services = service_ranges(facts);
    let fine = |ip: std::net::IpAddr| {
        let local = match ip {
            std::net::IpAddr::V4(ip) => ip.is_link_local() || ip.is_loopback(),
            std::net::IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_loopback(),
        };
        local
            || facts.services.iter().any(|service| service.cluster_ips.contains(&ip))
            || facts.nodes.values().any(|node| node.addresses.contains(&ip))
    };
    let mut found: BTreeMap<std::net::IpAddr, Examples> = BTreeMap::new();
    let mut judged: BTreeMap<std::net::IpAddr, bool> = BTreeMap::new();
    for (node, kubelet) in &facts.known.kubelets {
        for ip in &kubelet.cluster_dns {
            if !*judged.entry(*ip).or_insert_with(|| fine(*ip)) {
                found.entry(*ip).or_default().add(|| format!("{}: {ip} (node {node})", kubelet.origin));
            }
        }
    }
    let dns: Vec<String> = dns_services(facts)
        .flat_map(|s| {
            s.cluster_ips.iter().map(|ip| format!("service {}/{} spec.clusterIPs: {ip}", s.namespace, s.name))
        })
        .collect();
    for (ip, nodes) in found {
        let inside = services.iter().any(|range| range.contains_ip(ip));
        // a Service of DNS under another name, or a resolver outside the cluster
        let severity = if inside { Severity::Error } else { Severity::Warning };
        let mut lines = nodes.into_evidence();
        lines.extend(dns.iter().cloned());
        findings.add(severity, ip.to_string(), format!("clusterDNS {ip} is no Service's address"), lines);
    }
}

fn subnet_env(facts: &Facts, findings: &mut Findings<'_>) {
    let envs = &facts.known.subnet_envs;
    networks(facts, findings);
    for (node, known) in envs.iter().filter(|(node, _)| node.as_str() != UNNAMED) {
        let Some(own) = facts.nodes.get(node).filter(|own| !own.pod_cidrs.is_empty()) else { continue };
        for subnet in &known.subnets {
            let mut family = own.pod_cidrs.iter().filter(|cidr| cidr.family() == subnet.family()).peekable();
            if family.peek().is_some() && !family.any(|cidr| cidr.contains(subnet)) {
                let cidrs: Vec<String> = own.pod_cidrs.iter().map(ToString::to_string).collect();
                let message = format!("{node}: FLANNEL_SUBNET {subnet} is not in podCIDR {}", cidrs.join(","));
                let lines = vec![
                    format!("{} FLANNEL_SUBNET: {subnet}", known.file),
                    format!("node {node} spec.podCIDRs: {}", cidrs.join(",")),
                ];
                findings.add(Severity::Error, format!("node {node}"), message, lines);
            }
        }
    }
    let all: Vec<(&str, Cidr)> =
        envs.iter().flat_map(|(node, known)| known.subnets.iter().map(|cidr| (node.as_str(), *cidr))).collect();
    for (left, right) in overlaps(all.iter().map(|(_, cidr)| *cidr), 20).pairs {
        let (Some((a, left)), Some((b, right))) = (all.get(left), all.get(right)) else { continue };
        if a != b {
            let message = format!("FLANNEL_SUBNET {left} of {a} and {right} of {b} overlap");
            let file = |node: &str| envs.get(node).map(|known| known.file.clone()).unwrap_or_default();
            findings.add(Severity::Error, left.to_string(), message, vec![file(a), file(b)]);
        }
    }
    masquerade(facts, findings);
}

fn networks(facts: &Facts, findings: &mut Findings<'_>) {
    let mut said: BTreeMap<Vec<Cidr>, Examples> = BTreeMap::new();
    for known in facts.known.subnet_envs.values().filter(|known| !known.networks.is_empty()) {
        let mut networks = known.networks.clone();
        networks.sort_unstable();
        said.entry(networks).or_default().add(|| format!("{} FLANNEL_NETWORK", known.file));
    }
    if said.is_empty() {
        return;
    }
    for flannel in facts.known.flannel_confs.iter().filter(|flannel| !flannel.networks.is_empty()) {
        let mut networks = flannel.networks.clone();
        networks.sort_unstable();
        said.entry(networks).or_default().add(|| flannel.origin.to_string());
    }
    if said.len() > 1 {
        let join = |cidrs: &[Cidr]| cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let texts: Vec<String> = said.keys().map(|cidrs| join(cidrs)).collect();
        let lines = said
            .into_iter()
            .flat_map(|(cidrs, who)| {
                who.into_evidence().into_iter().map(move |line| format!("{line}: {}", join(&cidrs)))
            })
            .collect();
        let message = format!("flannel's network is not the same everywhere: {}", texts.join(" | "));
        findings.add(Severity::Error, "FLANNEL_NETWORK", message, lines);
    }
}

fn masquerade(facts: &Facts, findings: &mut Findings<'_>) {
    let mut said: BTreeMap<bool, Examples> = BTreeMap::new();
    for known in facts.known.subnet_envs.values() {
        if let Some(masq) = known.env.ip_masq {
            said.entry(masq).or_default().add(|| format!("{} FLANNEL_IPMASQ={masq}", known.file));
        }
    }
    if said.len() > 1 {
        let lines = said.into_values().flat_map(Examples::into_evidence).collect();
        let message = "FLANNEL_IPMASQ differs between nodes";
        findings.add(Severity::Warning, "FLANNEL_IPMASQ", message, lines);
        return;
    }
    let Some(masquerading) = said.remove(&true) else { return };
    // where Calico hands out the addresses it also masquerades: two sets of rules for one packet
    let calico = facts.known.calico.pools.values().find(|pool| pool.nat_outgoing && !pool.disabled);
    if let (Some(pool), Some(Ipam::Calico) | None) = (calico, facts.known.ipam()) {
        let mut lines = masquerading.into_evidence();
        lines.push(format!("{} spec.natOutgoing: true", pool.object));
        let message = format!("flannel and Calico ({}) both masquerade pods' traffic", pool.name);
        findings.add(Severity::Warning, "FLANNEL_IPMASQ", message, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cidr, found, healthy, ip, node, service, severities, state};
    use super::*;
    use crate::{
        flannel::SubnetEnv,
        ranges::{
            Confidence, Origin, Role,
            sources::{Kubelet, NodeSubnetEnv},
        },
    };

    #[test]
    fn services_of_a_family_that_pods_lack() {
        let mut facts = healthy();
        assert_eq!(found("CIDR-037", &facts), []);
        state(&mut facts, Role::Service, Confidence::A, "fd00:96::/112");
        assert_eq!(severities("CIDR-037", &facts), [Severity::Warning]);
        service(&mut facts, "x/six", "fd00:96::5");
        assert_eq!(severities("CIDR-037", &facts), [Severity::Error]);
    }

    #[test]
    fn nodes_from_before_the_second_family() {
        let mut facts = healthy();
        node(&mut facts, "new", "172.31.77.9", &["10.244.9.0/24", "fd00:244:9::/64"]);
        let found = found("CIDR-037", &facts);
        assert_eq!(found[0].message, "3 nodes have IPv4 podCIDRs only, 1 nodes have podCIDRs of both families");
    }

    #[test]
    fn a_node_without_routes() {
        let mut facts = healthy();
        assert_eq!(found("CIDR-040", &facts), []);
        if let Some(node) = facts.nodes.get_mut("node1") {
            node.network_unavailable = Some("NoRouteCreated".to_owned());
        }
        assert_eq!(found("CIDR-040", &facts)[0].evidence, ["node node1 status.conditions: NetworkUnavailable"]);
    }

    #[test]
    fn resolvers_of_pods() {
        let mut facts = healthy();
        let mut with = |address: &str| {
            let origin = Origin::new("kubelet", Confidence::A, "/api", "kubeletconfig.clusterDNS");
            let cluster_dns = vec![ip(address)];
            let kubelet = Kubelet { cluster_dns, cluster_domain: String::new(), max_pods: None, origin };
            facts.known.kubelets.insert("node0".to_owned(), kubelet);
            severities("CIDR-041", &facts)
        };
        assert_eq!(with("10.96.0.10"), []);
        assert_eq!(with("169.254.20.10"), [], "node-local DNS");
        assert_eq!(with("10.96.0.11"), [Severity::Error]);
        assert_eq!(with("192.168.1.1"), [Severity::Warning]);
    }

    fn env(facts: &mut Facts, node: &str, network: &str, subnet: &str, masq: bool) {
        let known = NodeSubnetEnv {
            env: SubnetEnv { ip_masq: Some(masq), ..SubnetEnv::default() },
            networks: vec![cidr(network)],
            subnets: vec![cidr(subnet)],
            file: format!("nodes/{node}/subnet.env"),
        };
        facts.known.subnet_envs.insert(node.to_owned(), known);
    }

    #[test]
    fn files_of_flannel() {
        let mut facts = healthy();
        env(&mut facts, "node0", "10.244.0.0/16", "10.244.0.0/24", true);
        env(&mut facts, "node1", "10.244.0.0/16", "10.244.1.0/24", true);
        env(&mut facts, UNNAMED, "10.244.0.0/16", "10.244.200.0/24", true);
        assert_eq!(found("CIDR-049", &facts), []);
        env(&mut facts, "node1", "10.244.0.0/16", "10.244.7.0/24", true);
        assert_eq!(
            found("CIDR-049", &facts)[0].message,
            "node1: FLANNEL_SUBNET 10.244.7.0/24 is not in podCIDR 10.244.1.0/24"
        );
        env(&mut facts, "node1", "10.32.0.0/16", "10.244.1.0/24", true);
        assert_eq!(severities("CIDR-049", &facts), [Severity::Error]);
        env(&mut facts, "node1", "10.244.0.0/16", "10.244.1.0/24", false);
        assert_eq!(severities("CIDR-049", &facts), [Severity::Warning]);
        env(&mut facts, "other", "10.244.0.0/16", "10.244.0.0/23", true);
        assert!(severities("CIDR-049", &facts).contains(&Severity::Error), "it overlaps node0 and node1");
    }
}
