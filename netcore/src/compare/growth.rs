//! How many rules the first packet of a connection passes as the number of Services grows: what
//! kube-proxy 1.36 writes in each mode, counted rule by rule.
//!
//! A pod on this node opens a connection to a Service, to one in the middle of the list. In iptables mode
//! it passes
//!
//! | where | rules |
//! |---|---|
//! | nat PREROUTING | 1, the jump |
//! | KUBE-SERVICES | half of them and one half, for the middle one of so many |
//! | KUBE-SVC-… | 1 for masquerading, and of n endpoints (n + 1) / 2 at the mean |
//! | KUBE-SEP-… | 2: hairpin, translation |
//! | filter FORWARD | 7: four jumps and the three rules of KUBE-FORWARD |
//! | filter KUBE-PROXY-FIREWALL, KUBE-SERVICES, KUBE-EXTERNAL-SERVICES | all: load balancers with source ranges, Services without endpoints |
//! | nat POSTROUTING | 2: the jump, and the first rule of KUBE-POSTROUTING |
//!
//! In nftables mode the Service is one lookup in a map, in ipvs mode in the kernel's own table, so that
//! neither grows. Calico's rules grow with the pods of a node and their policies, not with Services.

use serde::Serialize;

/// The numbers of Services that a report has.
pub const SERVICES: [u64; 9] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000];

/// In nftables mode: 2 of the firewall check, 4 to the translation, 5 of the endpoint and ClusterIP checks,
/// 3 of masquerading.
pub const NFTABLES_RULES: u64 = 14;

/// In ipvs mode: 11 of nat PREROUTING with its sets, 7 of filter INPUT, 2 of filter OUTPUT, 2 of nat
/// POSTROUTING.
pub const IPVS_RULES: u64 = 22;

/// Calico with 30 pods on the node and 3 policies for each: measured with the kernel's counters, for a
/// cluster that has none.
pub const CALICO_REFERENCE: u64 = 59;

/// What a cluster's growth depends on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// How many Services there are that kube-proxy serves.
    pub services: u64,
    /// Rules of nat KUBE-SERVICES for each Service: one for each of its ports and addresses.
    pub entries: f64,
    /// Rules of filter for each Service that every new connection passes: of load balancers with source ranges,
    /// and of Services without endpoints.
    pub rejects: f64,
    /// Endpoints of a Service's port.
    pub endpoints: f64,
}

/// The cost at one number of Services: rules that the first packet of a connection passes at the median.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrowthPoint {
    /// How many Services.
    pub services: u64,
    /// kube-proxy's in iptables mode.
    pub iptables: u64,
    /// kube-proxy's in ipvs mode; the scheduler's own work is no rule.
    pub ipvs: u64,
    /// kube-proxy's in nftables mode.
    pub nftables: u64,
    /// Calico's.
    pub calico: u64,
}

/// From how many Services on iptables mode costs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Crossover {
    /// Than nftables mode.
    pub nftables: u64,
    /// Than ipvs mode.
    pub ipvs: u64,
    /// Than Calico's rules, which every packet of a pod passes beside it.
    pub calico: u64,
}

impl Shape {
    /// The rules of nat KUBE-SERVICES.
    pub fn entry_rules(&self, services: u64) -> f64 {
        self.entries * number(services)
    }

    /// The rules that the first packet passes to a Service in the middle.
    pub fn iptables(&self, services: u64) -> f64 {
        let entry = f64::midpoint(self.entry_rules(services), 1.0);
        1.0 + entry + 1.0 + f64::midpoint(self.endpoints, 1.0) + 2.0 + self.filter(services) + 2.0
    }

    /// The rules that the first packet from pod to pod passes: all of KUBE-SERVICES, for it is to none.
    pub fn past_all(&self, services: u64) -> f64 {
        1.0 + self.entry_rules(services) + self.filter(services) + 2.0
    }

    fn filter(&self, services: u64) -> f64 {
        7.0 + self.rejects * number(services)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of Services or rules")]
fn number(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of rules, never negative")]
fn whole(rules: f64) -> u64 {
    rules.round() as u64
}

/// The cost at each of [`SERVICES`].
pub fn growth(shape: &Shape, calico: u64) -> Vec<GrowthPoint> {
    let point = |services| GrowthPoint {
        services,
        iptables: whole(shape.iptables(services)),
        ipvs: IPVS_RULES,
        nftables: NFTABLES_RULES,
        calico,
    };
    SERVICES.into_iter().map(point).collect()
}

/// From how many Services on iptables mode costs more than each.
pub fn crossover(shape: &Shape, calico: u64) -> Crossover {
    let from = |rules: u64| {
        let each = shape.entries / 2.0 + shape.rejects;
        let left = number(rules) - shape.iptables(0);
        if left < 0.0 || each <= 0.0 { 0 } else { whole((left / each).floor()) + 1 }
    };
    Crossover { nftables: from(NFTABLES_RULES), ipvs: from(IPVS_RULES), calico: from(calico) }
}
