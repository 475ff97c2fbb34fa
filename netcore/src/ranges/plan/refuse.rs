//! Why a change cannot be made, or what to know before it is.

use crate::{
    cidr::{Cidr, Family, IpRange},
    finding::{Finding, FindingDoc, Severity},
    ranges::{Facts, RangeFact, Role, checks::Findings, defaults},
};

const OVERLAP: FindingDoc = FindingDoc {
    id: "PLAN-001",
    title: "the new range is in use already",
    severity: "error; warning where only somebody's default or a reserved block holds it",
    formula: "the new range ∩ a stated range, an address of a node, pod or load balancer, or a range that no network \
              may use. Service ranges among themselves, and the ranges that the change replaces, are not compared",
    example: "10.244.0.0/16 overlaps the pod range 10.244.0.0/16",
    remedy: "take a range of `kubectl netcidr free`; name networks outside the cluster by --external",
};

const UNSUPPORTED: FindingDoc = FindingDoc {
    id: "PLAN-002",
    title: "the distribution does not support the change",
    severity: "error; warning where its makers neither document nor forbid it",
    formula: "the distribution that the nodes show, against what its makers say about the range after installation",
    example: "k3s does not support another service range after its first start",
    remedy: "do what the message names instead",
};

const NOT_TAKEN: FindingDoc = FindingDoc {
    id: "PLAN-003",
    title: "the range would not be accepted",
    severity: "error",
    formula: "an IPv6 service range shorter than /64 (before 1.33: more than 20 host bits, in either family), a family \
              that the cluster has no service range of, a prefix length that does not fit its range, or a block size \
              outside of /20 to /32 (IPv6: /116 to /128)",
    example: "fd00:97::/48 is wider than the /64 that an API server accepts",
    remedy: "name a range of the family and length that the message gives",
};

const NOT_THERE: FindingDoc = FindingDoc {
    id: "PLAN-004",
    title: "what is to be changed is not there, or cannot be changed this way",
    severity: "error",
    formula: "no ServiceCIDR or pool has the range; the API server does not serve ServiceCIDR (it does from 1.33 on); \
              the range is the one that the API servers were started with; the new range does not hold the old one",
    example: "no Calico pool has the range 10.9.0.0/16: there are 10.244.0.0/16",
    remedy: "name one of those that the message lists, or use the goal that it names",
};

const NO_ROOM: FindingDoc = FindingDoc {
    id: "PLAN-005",
    title: "what is left has no room",
    severity: "error; warning where the use is not known",
    formula: "addresses in use inside the range that goes > addresses free in what stays, or a range that holds fewer \
              nodes, blocks or pods than there are",
    example: "10.97.0.0/28 has 14 addresses, and 63 Services have addresses of 10.96.0.0/16",
    remedy: "take a wider range",
};

const CRASH: FindingDoc = FindingDoc {
    id: "PLAN-006",
    title: "the controller manager would not start",
    severity: "error",
    formula: "a node's podCIDR outside of the new --cluster-cidr: kube-controller-manager occupies every podCIDR when it \
              starts, and exits where it cannot; or a node mask more than 16 bits longer than the range",
    example: "node worker-3 has 10.100.3.0/24, outside of 10.244.0.0/16: kube-controller-manager would exit in a loop",
    remedy: "take a range that holds every podCIDR, or drain, delete and register those nodes again first",
};

const UNKNOWN: FindingDoc = FindingDoc {
    id: "PLAN-007",
    title: "what the plan depends on is not known",
    severity: "error",
    formula: "an object kind that the steps are made from could not be read, or sources disagree on who gives out the \
              pods' addresses",
    example: "servicecidrs could not be read (forbidden): which ranges there are is not known",
    remedy: "give the permissions of docs/rbac/netcidr.yaml, or a dump that holds these objects",
};

const PLUGIN: FindingDoc = FindingDoc {
    id: "PLAN-008",
    title: "the network plugin has no such change",
    severity: "error",
    formula: "the goal is one of Calico's pools, or of the nodes' podCIDRs, and addresses are given out by another",
    example: "pods get addresses from the nodes' podCIDRs: there is no pool to move",
    remedy: "do what the message names instead",
};

const COPIES: FindingDoc = FindingDoc {
    id: "PLAN-009",
    title: "a component's copy would not hold the new range",
    severity: "warning",
    formula: "kube-proxy's clusterCIDR (where it detects local traffic by it) or the controller manager's \
              --cluster-cidr does not hold the new pod range",
    example: "kube-proxy's clusterCIDR 10.244.0.0/16 does not hold 10.60.0.0/16: its Services' traffic would be masqueraded",
    remedy: "the plan has a step for it: do not leave it out",
};

/// Their documentation.
pub const DOCS: &[FindingDoc] = &[OVERLAP, UNSUPPORTED, NOT_TAKEN, NOT_THERE, NO_ROOM, CRASH, UNKNOWN, PLUGIN, COPIES];

/// What speaks against a plan.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    found: Vec<Finding>,
}

impl Reasons {
    fn add(&mut self, doc: &FindingDoc, severity: Severity, subject: &str, message: String, evidence: Vec<String>) {
        Findings::of(doc, &mut self.found, &mut Vec::new()).add(severity, subject, message, evidence);
    }

    pub(super) fn not_taken(&mut self, subject: &str, message: impl Into<String>) {
        self.add(&NOT_TAKEN, Severity::Error, subject, message.into(), Vec::new());
    }

    pub(super) fn not_there(&mut self, subject: &str, message: impl Into<String>, evidence: Vec<String>) {
        self.add(&NOT_THERE, Severity::Error, subject, message.into(), evidence);
    }

    pub(super) fn no_room(&mut self, subject: &str, message: impl Into<String>) {
        self.add(&NO_ROOM, Severity::Error, subject, message.into(), Vec::new());
    }

    pub(super) fn room_unknown(&mut self, subject: &str, message: impl Into<String>) {
        self.add(&NO_ROOM, Severity::Warning, subject, message.into(), Vec::new());
    }

    pub(super) fn crash(&mut self, subject: &str, message: impl Into<String>, evidence: Vec<String>) {
        self.add(&CRASH, Severity::Error, subject, message.into(), evidence);
    }

    pub(super) fn unknown(&mut self, subject: &str, message: impl Into<String>, evidence: Vec<String>) {
        self.add(&UNKNOWN, Severity::Error, subject, message.into(), evidence);
    }

    pub(super) fn plugin(&mut self, subject: &str, message: impl Into<String>, evidence: Vec<String>) {
        self.add(&PLUGIN, Severity::Error, subject, message.into(), evidence);
    }

    pub(super) fn copy(&mut self, subject: &str, message: impl Into<String>, evidence: Vec<String>) {
        self.add(&COPIES, Severity::Warning, subject, message.into(), evidence);
    }

    /// What the cluster's distribution says about a change of this kind.
    pub(super) fn supported(&mut self, facts: &Facts, change: Change) {
        for (name, why) in &facts.distributions {
            if let Some((severity, says)) = change.said_of(name) {
                self.add(&UNSUPPORTED, severity, name, says.to_owned(), vec![why.clone()]);
            }
        }
    }

    /// Refuses a range that something else uses. `same` are statements that the change replaces.
    pub(super) fn overlaps(&mut self, facts: &Facts, cidr: Cidr, same: impl Fn(&RangeFact) -> bool) {
        let subject = cidr.to_string();
        let mut evidence: Vec<String> = facts
            .ranges
            .iter()
            .filter(|fact| fact.cidr.overlaps(&cidr) && !same(fact))
            .map(|fact| format!("{} range {} ({})", role(fact.role), fact.text, fact.origin))
            .collect();
        evidence.extend(addresses_inside(facts, &cidr));
        let internal = facts.known.internal_networks.iter().filter(|network| network.cidr.overlaps(&cidr));
        evidence.extend(internal.map(|network| format!("internal range {} ({})", network.cidr, network.origin)));
        evidence.sort();
        evidence.dedup();
        let count = evidence.len();
        evidence.truncate(SHOWN);
        if count > SHOWN {
            evidence.push(format!("and {} more", count - SHOWN));
        }
        if let Some(first) = evidence.first() {
            let message = format!("{cidr} overlaps what is in use: {first}");
            self.add(&OVERLAP, Severity::Error, &subject, message, evidence);
        }
        for reserved in defaults::reserved().filter(|reserved| reserved.cidr.overlaps(&cidr)) {
            let message = format!("{cidr} overlaps {}: {}", reserved.cidr, reserved.purpose);
            self.add(&OVERLAP, reserved.severity, &subject, message, Vec::new());
        }
    }

    /// Whether there is an error among them.
    pub(super) fn refuse(&self) -> bool {
        self.found.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The worst first, then by id and subject.
    pub(super) fn into_findings(mut self) -> Vec<Finding> {
        self.found.sort_by(|a, b| (b.severity, &a.id, &a.subject).cmp(&(a.severity, &b.id, &b.subject)));
        self.found.dedup();
        self.found
    }
}

/// How many overlaps are named.
const SHOWN: usize = 6;

fn role(role: Role) -> &'static str {
    match role {
        Role::Pod => "pod",
        Role::Service => "service",
        Role::Node => "node",
        Role::Loadbalancer => "load-balancer",
        Role::External => "external",
        Role::Internal => "internal",
    }
}

fn addresses_inside(facts: &Facts, cidr: &Cidr) -> Vec<String> {
    let nodes = facts.nodes.values().flat_map(|node| node.addresses.iter().map(move |ip| (ip, &node.name)));
    let nodes = nodes.filter(|(ip, _)| cidr.contains_ip(**ip)).map(|(ip, name)| format!("address {ip} of node {name}"));
    let balancers = facts.services.iter().flat_map(|service| {
        let ips = service.load_balancer_ips.iter().chain(&service.external_ips);
        ips.map(move |ip| (ip, format!("{}/{}", service.namespace, service.name)))
    });
    let balancers = balancers
        .filter(|(ip, _)| cidr.contains_ip(**ip))
        .map(|(ip, name)| format!("external address {ip} of service {name}"));
    nodes.chain(balancers).collect()
}

/// What is changed, as far as distributions tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// ServiceCIDR objects.
    ServiceObjects,
    /// Flags of the API servers.
    ServiceFlags,
    /// Flags of the controller manager.
    PodFlags,
}

/// Where the control plane is somebody else's.
const MANAGED: [&str; 3] = ["eks", "gke", "aks"];
/// Where ranges are fixed with the first start.
const FIXED: [&str; 3] = ["k3s", "rke2", "k0s"];

impl Change {
    fn said_of(self, distribution: &str) -> Option<(Severity, &'static str)> {
        let managed = MANAGED.contains(&distribution);
        let fixed = FIXED.contains(&distribution);
        match self {
            _ if distribution == "openshift" => Some((
                Severity::Error,
                "its network operator refuses other ranges after installation, and its network plugin serves no range \
                 beside them; instead, install a cluster with the ranges wanted and move the workloads",
            )),
            Self::ServiceObjects if managed => Some((
                Severity::Warning,
                "the provider neither documents nor forbids ServiceCIDR objects; the first step asks the server",
            )),
            Self::ServiceObjects if fixed => Some((
                Severity::Warning,
                "its own components keep the service range that they were started with; the new one is served by \
                 kube-proxy alone",
            )),
            Self::ServiceFlags if managed => Some((
                Severity::Error,
                "the service range is fixed when the cluster is created; instead, add a range (--service-add) where \
                 the API server is 1.33 or later, or make a new cluster",
            )),
            Self::ServiceFlags if fixed => Some((
                Severity::Error,
                "another service range is not supported after the first start; instead, add a range (--service-add) \
                 where the API server is 1.33 or later, or make a new cluster",
            )),
            Self::PodFlags if managed => Some((
                Severity::Error,
                "the provider gives out the nodes' pod ranges; instead, add a node pool or subnet with the range wanted",
            )),
            Self::PodFlags if fixed => Some((
                Severity::Error,
                "another cluster CIDR or node mask is not supported after the first start; instead, use a network \
                 plugin with pools of its own, or make a new cluster",
            )),
            _ => None,
        }
    }
}

/// `v4` or `v6`, for names.
pub(super) const fn tag(family: Family) -> &'static str {
    match family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}

/// Addresses of pods inside a prefix.
pub(super) fn pods_inside(facts: &Facts, cidr: &Cidr) -> usize {
    facts.pods.inside(cidr).len()
}

/// Whether a range holds another.
pub(super) fn holds(range: IpRange, cidr: &Cidr) -> bool {
    range.contains(&IpRange::from(*cidr))
}
