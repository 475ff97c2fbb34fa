//! What a switch to a mode would break, before it is made: per node and per Service.

mod cluster;
mod nodes;
mod services;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Facts, Mode, report::NodeRow};
use crate::{
    cluster::wire,
    finding::{Finding, FindingDoc, Severity, Unreadable},
    ranges::checks::in_order,
};

/// Something that would break, or could.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Item {
    /// `PROXY-105`.
    pub id: String,
    /// An error stands in the way; a warning will be felt; an info is worth knowing.
    pub severity: Severity,
    /// The node that it is about.
    pub node: Option<String>,
    /// The Service that it is about, `namespace/name`.
    pub service: Option<String>,
    /// What, in one sentence.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether `--override ID` may go against it.
    pub overridable: bool,
}

/// What comes out for a node or a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was found.
    Ready,
    /// It can be switched, and will feel it.
    Warned,
    /// It must not be switched.
    Blocked,
}

/// The verdict of a node or Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Judged {
    /// The node's name, or `namespace/name`.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The ids that make it so.
    pub ids: Vec<String>,
}

/// The report's own fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PreflightReport {
    /// The mode that is asked about.
    pub mode: Mode,
    /// What was found.
    pub items: Vec<Item>,
    /// The worst of all.
    pub verdict: Verdict,
    /// Each node.
    pub nodes: Vec<Judged>,
    /// The Services that would feel it.
    pub services: Vec<Judged>,
}

/// A Service, as far as modes treat it differently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `namespace/name`.
    pub name: String,
    /// ClusterIPs, as text.
    pub cluster_ips: Vec<String>,
    /// External addresses.
    pub external_ips: Vec<String>,
    /// Addresses of its load balancer.
    pub load_balancer_ips: Vec<String>,
    /// Its node ports, with their protocols.
    pub node_ports: Vec<(u16, String)>,
    /// Its traffic from outside stays on the node.
    pub local: bool,
    /// Its clients keep their pods.
    pub affinity: bool,
}

impl Service {
    /// The Service; nothing for one without an address.
    pub fn of(service: &wire::Service) -> Option<Self> {
        let metadata = service.metadata.as_ref()?;
        let spec = service.spec.as_ref()?;
        let is_address = |text: &&String| !text.is_empty() && *text != "None";
        let one = Some(&spec.cluster_ip).filter(|_| spec.cluster_ips.is_empty());
        let cluster_ips: Vec<String> = spec.cluster_ips.iter().chain(one).filter(is_address).cloned().collect();
        if cluster_ips.is_empty() || spec.r#type == "ExternalName" {
            return None;
        }
        let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ports = spec.ports.iter().filter_map(|port| {
            let protocol = if port.protocol.is_empty() { "TCP".to_owned() } else { port.protocol.clone() };
            Some((u16::try_from(port.node_port).ok().filter(|port| *port > 0)?, protocol))
        });
        Some(Self {
            name: format!("{}/{}", metadata.namespace, metadata.name),
            external_ips: spec.external_ips.clone(),
            load_balancer_ips: ingress
                .into_iter()
                .flat_map(|status| &status.ingress)
                .map(|ingress| ingress.ip.clone())
                .filter(|ip| !ip.is_empty())
                .collect(),
            node_ports: ports.collect(),
            local: spec.external_traffic_policy == "Local",
            affinity: spec.session_affinity == "ClientIP",
            cluster_ips,
        })
    }
}

/// Whether something that a switch needs is allowed to whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// `delete pods in kube-system`.
    pub what: String,
    /// What the server says; none where it could not be asked.
    pub allowed: Option<bool>,
}

/// Everything that a preflight looks at.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The mode that is asked about.
    pub mode: Mode,
    /// The algorithm, where ipvs is asked about and another than the configured one is wanted.
    pub scheduler: Option<&'a str>,
    /// What was read.
    pub facts: &'a Facts,
    /// Each node as the status has it.
    pub rows: &'a [NodeRow],
    /// Services; none where they were not read.
    pub services: Option<&'a [Service]>,
    /// What was asked of the server.
    pub permissions: &'a [Permission],
}

impl Question<'_> {
    /// The modes that are left.
    fn from(&self) -> impl Iterator<Item = Mode> {
        let mode = self.mode;
        self.rows.iter().filter_map(|row| row.effective.or(row.configured)).filter(move |from| *from != mode)
    }

    /// Some node leaves this mode.
    fn leaves(&self, mode: Mode) -> bool {
        self.from().any(|from| from == mode)
    }
}

/// A check before a switch.
pub struct Check {
    /// What it is; `docs/findings.md` is made from this.
    pub doc: FindingDoc,
    /// Whether `--override` may go against it.
    pub overridable: bool,
    /// Adds what it finds.
    run: fn(&Question<'_>, &mut Items<'_>),
}

/// Where a check puts what it finds.
struct Items<'a> {
    check: &'a Check,
    found: &'a mut Vec<Item>,
    not_checked: &'a mut Vec<Unreadable>,
}

impl Items<'_> {
    fn add(&mut self, severity: Severity, node: Option<&str>, service: Option<&str>, message: impl Into<String>) {
        self.found.push(Item {
            id: self.check.doc.id.to_owned(),
            severity,
            node: node.map(str::to_owned),
            service: service.map(str::to_owned),
            message: message.into(),
            remedy: self.check.doc.remedy.to_owned(),
            overridable: self.check.overridable,
        });
    }

    fn all(&mut self, severity: Severity, message: impl Into<String>) {
        self.add(severity, None, None, message);
    }

    fn node(&mut self, severity: Severity, node: &str, message: impl Into<String>) {
        self.add(severity, Some(node), None, message);
    }

    fn service(&mut self, severity: Severity, service: &Service, message: impl Into<String>) {
        self.add(severity, None, Some(&service.name), message);
    }

    fn not_checked(&mut self, reason: impl Into<String>) {
        let source = format!("check {}", self.check.doc.id);
        self.not_checked.push(Unreadable { source, node: None, reason: reason.into() });
    }
}

/// Every check, by id.
pub static ALL: &[&[Check]] = &[cluster::CHECKS, nodes::CHECKS, services::CHECKS];

/// What a switch to a mode would break; and which checks could not be made.
pub fn preflight(question: &Question<'_>) -> (PreflightReport, Vec<Unreadable>) {
    let (mut items, mut not_checked) = (Vec::new(), Vec::new());
    for check in ALL.iter().copied().flatten() {
        (check.run)(question, &mut Items { check, found: &mut items, not_checked: &mut not_checked });
    }
    items.sort_by(|a, b| {
        (b.severity, &a.id, &a.node, &a.service, &a.message).cmp(&(a.severity, &b.id, &b.node, &b.service, &b.message))
    });
    items.dedup();
    not_checked.dedup();
    let nodes = question.rows.iter().filter(|row| row.state != super::report::ProxyState::Windows);
    let mut judged: BTreeMap<&str, Vec<&Item>> = nodes.map(|row| (row.name.as_str(), Vec::new())).collect();
    let mut services: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for item in &items {
        if let Some(node) = &item.node {
            judged.entry(node).or_default().push(item);
        }
        if let Some(service) = &item.service {
            services.entry(service).or_default().push(item);
        }
    }
    let judge = |found: BTreeMap<&str, Vec<&Item>>| -> Vec<Judged> {
        let of = |(name, items): (&str, Vec<&Item>)| Judged {
            name: name.to_owned(),
            verdict: verdict(items.iter().copied()),
            ids: {
                let mut ids: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
                ids.dedup();
                ids
            },
        };
        found.into_iter().map(of).collect()
    };
    let (nodes, services) = (judge(judged), judge(services));
    let verdict = verdict(&items);
    (PreflightReport { mode: question.mode, items, verdict, nodes, services }, not_checked)
}

fn verdict<'a>(items: impl IntoIterator<Item = &'a Item>) -> Verdict {
    match items.into_iter().map(|item| item.severity).max() {
        Some(Severity::Error) => Verdict::Blocked,
        Some(Severity::Warning) => Verdict::Warned,
        Some(Severity::Info) | None => Verdict::Ready,
    }
}

/// The items as findings: the same of several nodes or Services once.
pub fn findings(items: &[Item]) -> Vec<Finding> {
    const NAMED: usize = 3;
    let mut groups: BTreeMap<(&str, &str), (Severity, &str, Vec<&str>)> = BTreeMap::new();
    for item in items {
        let group = groups.entry((&item.id, &item.message)).or_insert((item.severity, &item.remedy, Vec::new()));
        group.2.extend(item.node.as_deref().or(item.service.as_deref()));
    }
    let subject = |names: &[&str]| match names.len() {
        0 => "cluster".to_owned(),
        1..=NAMED => names.join(", "),
        n => format!("{} and {} more", names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "), n - NAMED),
    };
    let finding = |((id, message), (severity, remedy, names)): ((&str, &str), (Severity, &str, Vec<&str>))| Finding {
        id: id.to_owned(),
        severity,
        subject: subject(&names),
        message: message.to_owned(),
        evidence: Vec::new(),
        remedy: remedy.to_owned(),
    };
    let mut found: Vec<Finding> = groups.into_iter().map(finding).collect();
    in_order(&mut found);
    found
}
