//! What follows from addresses in use, where nobody states a range: lower bounds, and the
//! distribution's default where there is not even that.

use super::{Ipam, kernel};
use crate::{
    cidr::{Cidr, Family, smallest_cover},
    ranges::{Confidence, Facts, Given, Origin, RangeFact, Role, Source, Want, defaults},
};

/// Inference. Must finish after every other source.
pub(super) struct Inference;

const NAME: &str = "inferred";
/// A wider cover says nothing: the addresses come from several ranges.
const WIDEST: [(Family, u8); 2] = [(Family::V4, 8), (Family::V6, 32)];

impl Source for Inference {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        Vec::new()
    }

    fn take(&self, _: Given<'_>, _: &mut Facts) {}

    fn finish(&self, facts: &mut Facts) {
        infer_ipam(facts);
        for (family, widest) in WIDEST {
            let cluster_ips = facts.services.iter().flat_map(|service| service.cluster_ips.iter().copied());
            let service = smallest_cover(family, cluster_ips);
            add(facts, Role::Service, service, widest, "ClusterIPs", "spec.clusterIPs of all Services");
            let in_kernel = kernel::service_bound(facts, family);
            add_bound(facts, Role::Service, in_kernel, widest);
            let pod = pod_cover(facts, family);
            add(facts, Role::Pod, pod.0, widest, pod.1, pod.2);
            let in_kernel = kernel::pod_bound(facts, family);
            add_bound(facts, Role::Pod, in_kernel, widest);
            let internal = facts.nodes.values().flat_map(|node| node.internal.iter().copied());
            let node = smallest_cover(family, internal);
            add(facts, Role::Node, node, widest, "nodes", "status.addresses of all nodes");
        }
        add_defaults(facts);
    }
}

/// Ranges of nodes tell more than addresses of pods.
fn pod_cover(facts: &Facts, family: Family) -> (Option<Cidr>, &'static str, &'static str) {
    let shares = facts.ranges.iter().filter(|fact| fact.role == Role::Pod && fact.share_of.is_some());
    let ends = shares.flat_map(|fact| [fact.cidr.first(), fact.cidr.last()]);
    // addresses from pools or a VPC need not lie in what nodes happen to have as podCIDR
    let own_pools = facts.known.ipam().is_some_and(|ipam| !ipam.uses_pod_cidrs());
    let from_nodes = smallest_cover(family, ends).filter(|_| !own_pools);
    match from_nodes {
        Some(cidr) => (Some(cidr), "nodes", "the nodes' shares"),
        None => {
            (smallest_cover(family, facts.pods.addresses.iter().map(|a| a.ip)), "pods", "status.podIPs of all pods")
        }
    }
}

fn stated(facts: &Facts, role: Role, family: Family) -> bool {
    facts.ranges.iter().any(|f| f.role == role && f.cidr.family() == family && f.share_of.is_none())
}

fn add_bound(facts: &mut Facts, role: Role, bound: Option<kernel::Bound>, widest: u8) {
    if let Some((cidr, file, field)) = bound {
        add(facts, role, Some(cidr), widest, &file, &field);
    }
}

fn add(facts: &mut Facts, role: Role, cover: Option<Cidr>, widest: u8, object: &str, field: &str) {
    let Some(cidr) = cover.filter(|cidr| cidr.prefix_len() >= widest) else { return };
    if stated(facts, role, cidr.family()) {
        return;
    }
    facts.ranges.push(RangeFact {
        role,
        cidr,
        range: cidr.into(),
        text: cidr.to_string(),
        flaws: Vec::new(),
        origin: Origin::new(NAME, Confidence::D, object, format!("smallest cover of {field}")),
        lower_bound: true,
        share_of: None,
    });
}

/// Nobody says who gives out addresses: where all pods have theirs out of their own node's podCIDR,
/// it is the node controller's ranges that count.
fn infer_ipam(facts: &mut Facts) {
    if !facts.known.ipams.is_empty() {
        return;
    }
    let mut inside = 0_usize;
    for address in &facts.pods.addresses {
        let Some(node) = facts.pods.node_of(address).and_then(|name| facts.nodes.get(name)) else { continue };
        if node.pod_cidrs.is_empty() {
            continue;
        }
        if !node.pod_cidrs.iter().any(|cidr| cidr.contains_ip(address.ip)) {
            return;
        }
        inside += 1;
    }
    // a handful could be chance
    if inside >= 2 {
        let field = format!("status.podIPs: all {inside} lie in their nodes' podCIDRs");
        facts.known.says_ipam(Ipam::NodeIpam, Origin::new(NAME, Confidence::D, "pods", field));
    }
}

/// A range that a distribution takes by itself is shown only where nothing at all is known of it, and
/// only where the distribution has one such default.
fn add_defaults(facts: &mut Facts) {
    let [(distribution, why)] = facts.distributions.as_slice() else { return };
    let (distribution, why) = (*distribution, why.clone());
    let of_it = |whose: &str| whose.split(", ").any(|name| name.eq_ignore_ascii_case(distribution));
    for role in [Role::Pod, Role::Service] {
        for family in [Family::V4, Family::V6] {
            let mut defaults = defaults::defaults()
                .filter(|default| default.role == role && default.cidr.family() == family && of_it(default.whose));
            let (Some(default), None) = (defaults.next(), defaults.next()) else { continue };
            // clusters of one family are the rule: the other's default is no hint
            if family == Family::V6 || facts.ranges.iter().any(|fact| fact.role == role) {
                continue;
            }
            let field = format!("the default of {distribution}, not read anywhere ({why})");
            let origin = Origin::new(NAME, Confidence::D, "hint", field);
            facts.add_ranges(role, &default.cidr.to_string(), &origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::{NodeFacts, ServiceFacts};

    fn service(ip: &str) -> ServiceFacts {
        ServiceFacts { cluster_ips: vec![ip.parse().unwrap()], ..ServiceFacts::default() }
    }

    #[test]
    fn cluster_ips_give_a_lower_bound_where_nobody_states_the_range() {
        let mut facts = Facts { services: vec![service("10.96.0.1"), service("10.96.3.10")], ..Facts::default() };
        Inference.finish(&mut facts);
        let [only] = facts.ranges.as_slice() else { panic!("{:?}", facts.ranges) };
        assert_eq!((only.role, only.cidr.to_string().as_str()), (Role::Service, "10.96.0.0/22"));
        assert!(only.lower_bound && only.origin.confidence == Confidence::D);

        let mut facts = Facts { services: vec![service("10.96.0.1")], ..Facts::default() };
        facts.add_ranges(Role::Service, "10.96.0.0/16", &Origin::new("x", Confidence::C, "o", "f"));
        Inference.finish(&mut facts);
        assert_eq!(facts.ranges.len(), 1);
    }

    #[test]
    fn each_family_is_inferred_by_itself_and_chaos_is_not() {
        let mut facts = Facts::default();
        facts.add_ranges(Role::Service, "10.96.0.0/16", &Origin::new("x", Confidence::C, "o", "f"));
        facts.services = vec![service("10.96.0.1"), service("fd00:96::1"), service("fd00:96::a")];
        for (name, ip) in [("a", "10.0.0.1"), ("b", "192.168.0.1")] {
            let node = NodeFacts { internal: vec![ip.parse().unwrap()], ..NodeFacts::default() };
            facts.nodes.insert(name.to_owned(), node);
        }
        Inference.finish(&mut facts);
        let found: Vec<String> = facts.ranges.iter().map(|r| r.cidr.to_string()).collect();
        assert_eq!(found, ["10.96.0.0/16", "fd00:96::/124"], "nodes in two networks have no cover worth the name");
    }

    #[test]
    fn a_distributions_default_is_a_last_hint() {
        let hinted = |facts: &mut Facts| -> Vec<String> {
            facts.distributions.push(("k3s", "kubelet v1.33.1+k3s1".to_owned()));
            Inference.finish(facts);
            facts.ranges.iter().map(|r| format!("{} {:?}", r.cidr, r.origin.confidence)).collect()
        };
        assert_eq!(hinted(&mut Facts::default()), ["10.42.0.0/16 D", "10.43.0.0/16 D"]);
        let mut facts = Facts { services: vec![service("10.99.0.1")], ..Facts::default() };
        assert_eq!(hinted(&mut facts), ["10.99.0.1/32 D", "10.42.0.0/16 D"], "what is in use says more");
    }
}
