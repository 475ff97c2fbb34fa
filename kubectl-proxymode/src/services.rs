//! `kubectl proxymode services [SVC]`: which Service address goes to which backends on each node.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use netcore::{
    cluster::{Item, ReadStatus, resources, wire},
    finding::Unreadable,
    iptables::Ruleset,
    ipvs,
    nft::{self, KubeProxyTable},
    owner::{self, Owner},
    probe::{Probe, UNNAMED},
    problem::{Problem, Problems},
    proxy::kernel::{
        Backend, KernelService, Names, NodeService, PodName, ProxyServiceList, ServicePort, in_rules, in_tables,
        in_virtual_servers,
    },
    report::Report,
};
use plugin::{
    cells,
    cluster::Selection,
    exit::{ExitCode, FailOn},
    nodes::{NodeAnswer, Outcome, Unasked},
    print::{
        Column, Detail, Out, Rows, Table, View,
        report::{cluster_line, source_and_node},
    },
    question::{Answer, Error, Question, Session},
};

use crate::{cli::Cli, gather::legacy_unread};

/// Its arguments.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServicesArgs {
    /// A Service, [NAMESPACE/]NAME; all of --namespace, or of all namespaces, without
    #[arg(value_name = "SVC")]
    pub(crate) service: Option<String>,
}

const PROBES: &[Probe] = &[
    Probe::IpvsTable,
    Probe::IptablesSave,
    Probe::Ip6tablesSave,
    Probe::IptablesLegacySave,
    Probe::Ip6tablesLegacySave,
    Probe::NftRuleset,
];
const SERVICES: Rows =
    Rows { list: "items", kind: "service", name: &["node", "protocol", "address", "port", "heldBy"] };
const WOULD_DO: &str = "a node's iptables-save, nft -j list ruleset or ipvsadm";

/// Answers.
pub(crate) async fn services(cli: &Cli, args: &ServicesArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "ProxyServiceList",
        rows: SERVICES,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::All,
        says_unread: true,
    };
    let wanted = wanted(cli, args);
    question.ask(out, async |session: &Session<'_>| read(session, &wanted).await, table).await
}

/// The namespace and the name that are asked for; nothing for any.
fn wanted(cli: &Cli, args: &ServicesArgs) -> (Option<String>, Option<String>) {
    let flag = cli.kube.namespace.clone();
    match args.service.as_deref().map(|service| (service, service.split_once('/'))) {
        Some((_, Some((namespace, name)))) => (Some(namespace.to_owned()), Some(name.to_owned())),
        Some((name, None)) => (flag, Some(name.to_owned())),
        None => (flag, None),
    }
}

async fn read(
    session: &Session<'_>,
    (namespace, name): &(Option<String>, Option<String>),
) -> Result<Answer<ProxyServiceList>, Error> {
    let mut found = Kernels::default();
    let names = names(session, &mut found.unreadable).await;
    for answer in session.nodes.read_all(PROBES).await? {
        found.take(answer);
    }
    found.count_texts();
    if !found.any {
        let first = found.unreadable.iter().map(|entry| format!("{}: {}", source_and_node(entry), entry.reason)).next();
        let reason = first.unwrap_or_else(|| ReadStatus::NOT_RECORDED.to_owned());
        return Err(Error::nothing(&reason, session.input, "kube-proxy", WOULD_DO));
    }
    let mut body = found.finish();
    body.finish(&names);
    let fits = |port: &ServicePort| {
        namespace.as_ref().is_none_or(|wanted| *wanted == port.namespace)
            && name.as_ref().is_none_or(|wanted| *wanted == port.name)
    };
    if namespace.is_some() || name.is_some() {
        let nameless = body.items.iter().filter(|item| item.held.service.is_none()).count();
        body.items.retain(|item| item.held.service.as_ref().is_some_and(fits));
        if nameless > 0 {
            let reason =
                format!("{nameless} addresses are left out: no Service that was read has them, so they have no name");
            found.unreadable.push(Unreadable { source: "services".to_owned(), node: None, reason });
        }
    }
    Ok(Answer {
        body,
        findings: Vec::new(),
        unreadable: found.unreadable,
        version: None,
        uid: None,
        distribution: None,
        missing: found.missing,
    })
}

/// What the answers of one node's kernel hold, without names from the API.
pub(crate) fn held(answers: Vec<NodeAnswer>) -> Vec<KernelService> {
    let mut found = Kernels::default();
    for answer in answers {
        found.take(answer);
    }
    found.finish().items.into_iter().map(|item| item.held).collect()
}

/// What the API calls the Services' addresses and their endpoints.
async fn names(session: &Session<'_>, unreadable: &mut Vec<Unreadable>) -> Names {
    let mut names = Names::default();
    let mut bad = None;
    let each = &mut |item: Item<'_>| match item.lean::<wire::Service>() {
        Ok(service) => name(&service, &mut names),
        Err(error) => bad = Some(error.to_string()),
    };
    let status = session.cluster.list(&resources::SERVICES, Selection::default(), each).await;
    unreadable.extend(unread("services", bad, &status));
    let mut bad = None;
    let each = &mut |item: Item<'_>| match item.lean::<wire::EndpointSlice>() {
        Ok(slice) => name_endpoints(&slice, &mut names),
        Err(error) => bad = Some(error.to_string()),
    };
    let status = session.cluster.list(&resources::ENDPOINTSLICES, Selection::default(), each).await;
    unreadable.extend(unread("endpointslices", bad, &status));
    names
}

fn unread(source: &str, bad: Option<String>, status: &ReadStatus) -> Option<Unreadable> {
    let reason = match (bad, status) {
        (Some(reason), _) => reason,
        (None, ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) if !status.is_unrecorded() => {
            reason.clone()
        }
        _ => return None,
    };
    Some(Unreadable { source: source.to_owned(), node: None, reason })
}

fn name(service: &wire::Service, names: &mut Names) {
    let (Some(meta), Some(spec)) = (&service.metadata, &service.spec) else { return };
    let ingress = service.status.iter().filter_map(|status| status.load_balancer.as_ref()).flat_map(|lb| &lb.ingress);
    let single = [&spec.cluster_ip];
    let addresses = single.into_iter().chain(&spec.cluster_ips).chain(&spec.external_ips);
    let addresses: Vec<std::net::IpAddr> =
        addresses.chain(ingress.map(|ingress| &ingress.ip)).filter_map(|ip| ip.parse().ok()).collect();
    for port in &spec.ports {
        let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
        let owner = ServicePort {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            port: (!port.name.is_empty()).then(|| port.name.clone()),
        };
        if let Ok(number) = u16::try_from(port.port) {
            for address in &addresses {
                names.addresses.insert((protocol.to_owned(), *address, number), owner.clone());
            }
        }
        if let Some(number) = u16::try_from(port.node_port).ok().filter(|port| *port > 0) {
            names.node_ports.insert((protocol.to_owned(), number), owner);
        }
    }
}

fn name_endpoints(slice: &wire::EndpointSlice, names: &mut Names) {
    for endpoint in &slice.endpoints {
        let pod = endpoint.target_ref.as_ref().filter(|target| target.kind == "Pod");
        let pod = pod.map(|pod| PodName { namespace: pod.namespace.clone(), name: pod.name.clone() });
        let node = (!endpoint.node_name.is_empty()).then(|| endpoint.node_name.clone());
        if pod.is_none() && node.is_none() {
            continue;
        }
        for address in endpoint.addresses.iter().filter_map(|text| text.parse().ok()) {
            names.endpoints.insert(address, (pod.clone(), node.clone()));
        }
    }
}

/// What was read of the nodes' kernels.
#[derive(Default)]
struct Kernels {
    tables: BTreeMap<Option<String>, ipvs::IpvsTable>,
    items: Vec<NodeService>,
    /// Texts of rules that were read: the same state may be there with and without counters.
    seen: BTreeSet<(Option<String>, &'static str)>,
    /// Nodes whose legacy tables were read, or whose tool says that they were not.
    legacy: BTreeMap<Option<String>, bool>,
    any: bool,
    /// Nodes whose rule set was read from JSON, and texts of `nft` that say less than that.
    json: BTreeSet<Option<String>>,
    texts: Vec<Unreadable>,
    unreadable: Vec<Unreadable>,
    missing: Vec<Unreadable>,
}

impl Kernels {
    fn take(&mut self, answer: NodeAnswer) {
        let NodeAnswer { node, probe, outcome, file, .. } = answer;
        let text = match outcome {
            Outcome::Text(text) => text,
            Outcome::Absent(_) => return,
            Outcome::Unseen(reason) | Outcome::Unreadable(reason) => {
                self.unreadable.push(Unreadable { source: probe.file().to_owned(), node, reason });
                return;
            }
        };
        let unread = |reason: String| Unreadable { source: file.clone(), node: node.clone(), reason };
        let held_by = match probe {
            Probe::IpvsTable => {
                let (table, problems) = ipvs::parse(&text);
                let read = !table.services.is_empty() || problems.is_empty();
                self.unreadable.extend(Unreadable::lines(&file, node.as_deref(), problems));
                self.any |= read;
                self.tables.entry(node).or_default().merge(table);
                return;
            }
            Probe::NftRuleset => {
                if nft::is_json(&text) {
                    let rules = nft::parse(text.as_bytes());
                    let (held, unknown) = in_tables(&rules);
                    if unknown > 0 {
                        let reason = format!("{unknown} entries of kube-proxy's maps are not of a known form");
                        self.missing.push(unread(reason));
                    }
                    self.json.insert(node.clone());
                    self.any |= KubeProxyTable::of(&rules, nft::Family::Ip).is_some()
                        || KubeProxyTable::of(&rules, nft::Family::Ip6).is_some();
                    self.items.extend(held.into_iter().map(|held| NodeService { node: node.clone(), held }));
                    if rules.problems.kept().iter().any(|problem| problem.reason.starts_with(nft::ENDS)) {
                        self.missing.push(unread("ends before its last brace: rules are missing".to_owned()));
                    }
                    self.unreadable.extend(Unreadable::lines(&file, node.as_deref(), rules.problems.into_vec()));
                } else {
                    let found = nft::parse_text(text.as_bytes());
                    self.any |= !found.tables.is_empty() || found.problems.is_empty();
                    self.unreadable.extend(Unreadable::lines(&file, node.as_deref(), found.problems.into_vec()));
                    if !text.contains("service-ips") {
                        return;
                    }
                    let reason = "only `nft -j list ruleset` tells where rules lead, not the text without -j";
                    self.texts.push(unread(reason.to_owned()));
                }
                return;
            }
            Probe::IptablesSave => "iptables",
            Probe::Ip6tablesSave => "ip6tables",
            Probe::IptablesLegacySave => "iptables (legacy)",
            Probe::Ip6tablesLegacySave => "ip6tables (legacy)",
            _ => return,
        };
        if !self.seen.insert((node.clone(), held_by)) {
            return;
        }
        let rules = Ruleset::parse(text);
        if held_by.ends_with("(legacy)") {
            self.legacy.insert(node.clone(), false);
        } else if rules.legacy_tables_present() {
            self.legacy.entry(node.clone()).or_insert(true);
        }
        self.any |= rules.tables().next().is_some() || rules.problems().is_empty();
        self.unreadable.extend(Unreadable::lines(&file, node.as_deref(), rules.problems().to_vec()));
        self.unreadable.extend(Unreadable::lines(&file, node.as_deref(), of_kube_proxy(&rules)));
        if rules.dumps().any(|dump| dump.is_complete() == Some(false)) {
            self.missing.push(unread("ends before its last COMMIT: rules are missing".to_owned()));
        }
        self.items.extend(in_rules(&rules, held_by).into_iter().map(|held| NodeService { node: node.clone(), held }));
    }

    /// A text without its JSON is a node whose rules are not known. One that names no node is of one
    /// whose JSON was read, where only that was.
    fn count_texts(&mut self) {
        let json = std::mem::take(&mut self.json);
        let told = |text: &Unreadable| match &text.node {
            None => !json.is_empty(),
            node => json.contains(node) || json.contains(&None),
        };
        let legacy = self.legacy.iter().filter(|(_, unread)| **unread);
        self.missing.extend(legacy.map(|(node, _)| legacy_unread(node.as_ref())));
        let texts = std::mem::take(&mut self.texts);
        self.any |= !texts.is_empty();
        self.missing.extend(texts.into_iter().filter(|text| !told(text)));
    }

    /// Every address that was found.
    fn finish(&mut self) -> ProxyServiceList {
        let mut items = std::mem::take(&mut self.items);
        for (node, table) in std::mem::take(&mut self.tables) {
            items.extend(in_virtual_servers(&table).into_iter().map(|held| NodeService { node: node.clone(), held }));
        }
        ProxyServiceList { items }
    }
}

/// What of kube-proxy's own rules is not known or not valid: an address that leads through one is not shown.
fn of_kube_proxy(rules: &Ruleset) -> Vec<Problem> {
    let mut wrong = Problems::default();
    for table in rules.tables() {
        let name = table.name().unwrap_or_default();
        let own = |chain: &str| owner::of_chain(name, chain).is_some_and(|of| of.owner == Owner::KubeProxy);
        for rule in table.chains().filter(|chain| own(chain.name())).flat_map(|chain| chain.rules()) {
            rule.problems().into_iter().for_each(|problem| wrong.push(problem));
        }
    }
    rules.loops().into_iter().for_each(|problem| wrong.push(problem));
    wrong.into_vec()
}

fn table(report: &Report<ProxyServiceList>, detail: Detail) -> View {
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    let mut table = Table::new([
        Column::new("node"),
        Column::new("service"),
        Column::new("address"),
        Column::new("protocol"),
        Column::new("held by"),
        Column::new("flags"),
        Column::new("backends"),
    ]);
    for NodeService { node, held } in &report.body.items {
        let service = held.service.as_ref().map_or("?".to_owned(), |port| match &port.port {
            Some(name) => format!("{}/{}:{name}", port.namespace, port.name),
            None => format!("{}/{}", port.namespace, port.name),
        });
        let address = match held.address {
            Some(address) => std::net::SocketAddr::new(address, held.port).to_string(),
            None => format!("node port {}", held.port),
        };
        let by = match &held.scheduler {
            Some(scheduler) => format!("{} {scheduler}", held.held_by),
            None => held.held_by.clone(),
        };
        let mut flags = held.flags.clone();
        flags.extend(held.affinity_seconds.map(|seconds| format!("affinity {seconds}s")));
        let backends: Vec<String> = held.backends.iter().map(|held| backend(held, detail)).collect();
        let backends = if backends.is_empty() { "none".to_owned() } else { backends.join(", ") };
        table.row(cells![
            node.clone().unwrap_or_else(|| UNNAMED.to_owned()),
            service,
            address,
            held.protocol.clone(),
            by,
            flags.join(" "),
            backends
        ]);
    }
    view.gap().table(table);
    view
}

/// `10.0.0.5:6443 weight 1 (49 active, 2 inactive)`, `10.244.0.1:8080 25.0%`; in wide with its pod and node.
fn backend(backend: &Backend, detail: Detail) -> String {
    let mut place = std::net::SocketAddr::new(backend.address, backend.port).to_string();
    if detail == Detail::Wide {
        let pod = backend.pod.iter().map(|pod| format!(" {}/{}", pod.namespace, pod.name));
        place.extend(pod.chain(backend.node.iter().map(|node| format!(" on {node}"))));
    }
    let share = backend.probability.map(|share| format!(" {:.1}%", share * 100.0)).unwrap_or_default();
    let weight = backend.weight.map(|weight| format!(" weight {weight}")).unwrap_or_default();
    let counts = match (backend.active, backend.inactive) {
        (Some(active), Some(inactive)) => format!(" ({active} active, {inactive} inactive)"),
        _ => String::new(),
    };
    format!("{place}{share}{weight}{counts}")
}
