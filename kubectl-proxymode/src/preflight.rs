//! `kubectl proxymode preflight MODE`: what a mode would break.

use clap::Args;
use netcore::{
    cluster::{Item, ReadStatus, resources, wire},
    finding::Unreadable,
    probe::Probe,
    proxy::{
        Facts, Mode,
        preflight::{self, Judged, Permission, PreflightReport, Service, Verdict},
        report::{self, ProxyModeReport},
    },
    report::Report,
};
use plugin::{
    cells,
    cluster::Selection,
    exit::{ExitCode, FailOn},
    nodes::Unasked,
    print::{
        Column, Detail, Out, Rows, Table, Text, Tone, View,
        report::{cluster_line, findings, plural},
    },
    question::{Answer, Error, Question, Session},
};
use serde_json::{Value, json};

use crate::{
    cli::Cli,
    gather::{self, OF_MODE},
    view::of_nodes,
};

/// Its arguments.
#[derive(Args, Clone, Debug)]
pub(crate) struct PreflightArgs {
    /// The mode: iptables, ipvs or nftables
    #[arg(value_name = "MODE", value_parser = Mode::of_linux)]
    pub(crate) mode: Mode,
    /// The algorithm of ipvs mode, where it is not to be the configured one
    #[arg(long, value_name = "NAME")]
    pub(crate) scheduler: Option<String>,
}

const ITEMS: Rows = Rows { list: "items", kind: "finding", name: &["id"] };

/// What a switch does, as the server is asked about it: verb, group, resource, subresource.
const DOES: [(&str, &str, &str, &str); 10] = [
    ("get", "", "configmaps", ""),
    ("list", "", "configmaps", ""),
    ("patch", "", "configmaps", ""),
    ("create", "", "configmaps", ""),
    ("list", "", "pods", ""),
    ("delete", "", "pods", ""),
    ("create", "", "pods", "portforward"),
    ("get", "coordination.k8s.io", "leases", ""),
    ("create", "coordination.k8s.io", "leases", ""),
    ("update", "coordination.k8s.io", "leases", ""),
];

/// Answers.
pub(crate) async fn preflight(cli: &Cli, args: &PreflightArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "PreflightReport",
        rows: ITEMS,
        fail_on: cli.fail_on.or(FailOn::Error),
        unasked: Unasked::All,
        says_unread: true,
    };
    question.ask(out, async |session: &Session<'_>| read(session, args).await, table).await
}

async fn read(session: &Session<'_>, args: &PreflightArgs) -> Result<Answer<PreflightReport>, Error> {
    let mut judged = judge(session, args.mode, args.scheduler.as_deref()).await?;
    let found = preflight::findings(&judged.body.items);
    let mut answer = gather::answer(session, &mut judged.facts, judged.body);
    answer.findings = found;
    answer.unreadable.extend(judged.unreadable);
    answer.distribution = judged.status.configured.distribution;
    Ok(answer)
}

/// What was read before a switch, and what came out.
pub(crate) struct JudgedSwitch {
    pub(crate) facts: Facts,
    pub(crate) status: ProxyModeReport,
    pub(crate) services: Option<Vec<Service>>,
    pub(crate) body: PreflightReport,
    pub(crate) unreadable: Vec<Unreadable>,
}

/// Reads the cluster and judges a switch to a mode.
pub(crate) async fn judge(session: &Session<'_>, mode: Mode, scheduler: Option<&str>) -> Result<JudgedSwitch, Error> {
    let probes: Vec<Probe> = OF_MODE.iter().copied().chain([Probe::KernelModules, Probe::ModuleFiles]).collect();
    let facts = gather::gather(session, &probes).await?;
    let (services, unread) = services(session).await;
    let namespace = facts.workloads.first().map_or("kube-system", |workload| workload.namespace.as_str());
    let permissions = permissions(session, namespace).await;
    let status = report::report(&facts, &|node| session.nodes.chosen().has(node));
    let (body, mut unreadable) = preflight::preflight(&preflight::Question {
        mode,
        scheduler,
        facts: &facts,
        rows: &status.nodes,
        services: services.as_deref(),
        permissions: &permissions,
    });
    unreadable.extend(unread);
    Ok(JudgedSwitch { facts, status, services, body, unreadable })
}

/// The cluster's Services, as far as they were read.
pub(crate) async fn services(session: &Session<'_>) -> (Option<Vec<Service>>, Option<Unreadable>) {
    let mut services = Vec::new();
    let mut bad = None;
    let each = &mut |item: Item<'_>| match item.lean::<wire::Service>() {
        Ok(service) => services.extend(Service::of(&service)),
        Err(error) => bad = Some(error.to_string()),
    };
    let status = session.cluster.list(&resources::SERVICES, Selection::default(), each).await;
    let unread = |reason: String| Unreadable { source: "services".to_owned(), node: None, reason };
    match (status, bad) {
        (ReadStatus::Complete, None) => (Some(services), None),
        (ReadStatus::Complete, Some(reason)) | (ReadStatus::Partial(reason), _) => {
            (Some(services), Some(unread(reason)))
        }
        (ReadStatus::Unreadable(reason), _) => (None, Some(unread(reason))),
        (ReadStatus::Absent, _) => (None, Some(unread("the server has none".to_owned()))),
    }
}

/// Asks the server whether whoever runs this may do what a switch does; nothing of it is kept.
async fn permissions(session: &Session<'_>, namespace: &str) -> Vec<Permission> {
    const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    if session.cluster.is_offline() {
        return Vec::new();
    }
    let mut asked = Vec::new();
    for (verb, group, resource, part) in DOES {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": namespace, "verb": verb, "group": group, "resource": resource,
                "subresource": part}}});
        let answer = session.cluster.create_dry_run(PATH, &review).await.ok();
        let answer = answer.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let allowed = answer.and_then(|answer| answer.pointer("/status/allowed")?.as_bool());
        let what = if part.is_empty() { resource.to_owned() } else { format!("{resource}/{part}") };
        asked.push(Permission { what: format!("{verb} {what} in {namespace}"), allowed });
    }
    asked
}

fn table(report: &Report<PreflightReport>, detail: Detail) -> View {
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    let body = &report.body;
    view.line(Text::from(format!("to {}: ", body.mode)).then_in(tone(body.verdict), sentence(body)));
    judged(&mut view, "node", &body.nodes, detail, of_nodes);
    let of_services = |count: usize| format!("{count} {}", plural(count, "Service", "Services"));
    judged(&mut view, "service", &body.services, detail, of_services);
    findings(&mut view, &report.findings);
    view
}

fn sentence(body: &PreflightReport) -> String {
    let firm = body.items.iter().any(|item| !item.overridable && item.severity == netcore::finding::Severity::Error);
    match body.verdict {
        Verdict::Ready if body.items.is_empty() => "ready, nothing was found".to_owned(),
        Verdict::Ready => "ready".to_owned(),
        Verdict::Warned => "can be switched, and will be felt".to_owned(),
        Verdict::Blocked if firm => "blocked".to_owned(),
        Verdict::Blocked => "blocked; --override ID goes against a finding".to_owned(),
    }
}

const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Ready => Tone::Good,
        Verdict::Warned => Tone::Warn,
        Verdict::Blocked => Tone::Bad,
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ready => "ready",
        Verdict::Warned => "warned",
        Verdict::Blocked => "blocked",
    }
}

/// A line each; those with the same verdict for the same reasons in one, in wide all.
fn judged(view: &mut View, title: &str, list: &[Judged], detail: Detail, count: impl Fn(usize) -> String) {
    const FOLDED: usize = 8;
    let mut table = Table::new([Column::new(title), Column::new("verdict"), Column::new("for")]);
    let mut row = |name: Text, one: &Judged| {
        table.row(cells![name, tone(one.verdict).paint(word(one.verdict)), one.ids.join(", ")]);
    };
    if detail == Detail::Wide || list.len() <= FOLDED {
        for one in list {
            row(Tone::Strong.paint(one.name.clone()), one);
        }
    } else {
        let mut groups: Vec<(&Judged, usize)> = Vec::new();
        let mut sorted: Vec<&Judged> = list.iter().collect();
        sorted.sort_by(|a, b| (b.verdict, &a.ids, &a.name).cmp(&(a.verdict, &b.ids, &b.name)));
        for one in sorted {
            match groups.last_mut() {
                Some((first, number)) if first.verdict == one.verdict && first.ids == one.ids => *number += 1,
                _ => groups.push((one, 1)),
            }
        }
        for (first, number) in groups {
            let name = match number {
                1 => Tone::Strong.paint(first.name.clone()),
                n => Tone::Strong.paint(count(n)).then_in(Tone::Faint, format!(" ({}, …)", first.name)),
            };
            row(name, first);
        }
    }
    if !table.is_empty() {
        view.gap().table(table);
    }
}
