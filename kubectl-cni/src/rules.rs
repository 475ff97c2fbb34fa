//! `kubectl cni rules`: the readable `iptables -L`.

use clap::Args;
use netcore::{
    cluster::ReadStatus,
    finding::Unreadable,
    names::Names,
    nft::{self, is_compat_table},
    owner::Owner,
    rules::{Filter, RuleList, Selection, TableFamily, TableView, iptables_table, nft_tables},
};
use plugin::{
    exit::{ExitCode, FailOn},
    nodes::Unasked,
    print::{Out, Rows},
    question::{Answer, Error, Question, Session},
};
use serde::{Serialize, Serializer};

use crate::{
    cli::Cli,
    kernel::{self, Kernel, Kernels},
    named, rules_view,
};

/// Which rules.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RulesArgs {
    /// Only this table: nat, filter, kube-proxy, …
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<String>,
    /// Only this chain, whole; * stands for anything
    #[arg(long, value_name = "CHAIN")]
    pub(crate) chain: Option<String>,
    /// Only rules of this owner
    #[arg(long, value_name = "OWNER", value_parser = owner)]
    pub(crate) owner: Option<Owner>,
    /// Only what is of this Service, [NAMESPACE/]NAME[:PORT], with all that its chains lead to
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    /// Only what is of this pod, [NAMESPACE/]NAME, with all that its chains lead to
    #[arg(long, value_name = "POD", conflicts_with = "service")]
    pub(crate) pod: Option<String>,
}

fn owner(text: &str) -> Result<Owner, String> {
    let all = Owner::ALL.map(Owner::name);
    Owner::ALL.into_iter().find(|owner| owner.name() == text).ok_or_else(|| format!("valid are: {}", all.join(", ")))
}

impl RulesArgs {
    /// The filter; `namespace` is that of a name without one.
    fn filter(&self, namespace: Option<&str>) -> Filter {
        let placed = |name: &String| match namespace {
            Some(namespace) if !name.contains('/') => format!("{namespace}/{name}"),
            _ => name.clone(),
        };
        // as `kubectl cni trace` writes them
        let bare = |name: &String, prefixes: [&str; 2]| {
            let cut = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
            placed(&cut.to_owned())
        };
        Filter {
            table: self.table.clone(),
            chain: self.chain.clone(),
            owner: self.owner,
            service: self.service.as_ref().map(|name| bare(name, ["svc/", "service/"])),
            pod: self.pod.as_ref().map(|name| bare(name, ["pod/", "pods/"])),
        }
    }
}

/// A table of a node, and what of it is asked for.
pub(crate) struct NodeTable {
    pub(crate) node: Option<String>,
    pub(crate) view: TableView,
    pub(crate) selection: Selection,
}

/// What was found, before it is a list or a tree.
pub(crate) struct Found {
    pub(crate) tables: Vec<NodeTable>,
    pub(crate) filter: Filter,
    /// How many nodes were read.
    pub(crate) nodes: usize,
}

impl Serialize for Found {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = RuleList::default();
        for table in &self.tables {
            list.add(table.node.as_deref(), &table.view, &table.selection);
        }
        list.serialize(serializer)
    }
}

const ROWS: Rows =
    Rows { list: "items", kind: "rule", name: &["node", "backend", "family", "table", "chain", "index"] };

/// Answers.
pub(crate) async fn rules(cli: &Cli, args: &RulesArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "RuleList",
        rows: ROWS,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::All,
        says_unread: true,
    };
    let filter = args.filter(cli.kube.namespace.as_deref());
    question.ask(out, async |session: &Session<'_>| read(session, &filter).await, rules_view::view).await
}

async fn read(session: &Session<'_>, filter: &Filter) -> Result<Answer<Found>, Error> {
    let mut kernels = Kernels::read(session, kernel::RULES).await?;
    let mut unreadable = std::mem::take(&mut kernels.unreadable);
    if !kernels.any && kernels.missing.is_empty() {
        let first = unreadable.first().map(|entry| entry.reason.clone());
        let reason = first.unwrap_or_else(|| ReadStatus::NOT_RECORDED.to_owned());
        return Err(Error::nothing(&reason, session.input, "a node's rules", "iptables-save or nft -j list ruleset"));
    }
    let mut names = named::names(session, &mut unreadable).await;
    for kernel in kernels.nodes.values() {
        for text in &kernel.dumps.texts {
            names.learn_sets(&text.rules);
        }
    }
    let mut missing = std::mem::take(&mut kernels.missing);
    let nodes = kernels.nodes.len();
    let mut tables = Vec::new();
    for (node, kernel) in kernels.nodes {
        let found = of_node(&kernel, &mut names, filter, node.as_deref(), (&mut unreadable, &mut missing));
        tables.extend(found.into_iter().map(|view| {
            let selection = Selection::of(filter, &view);
            NodeTable { node: node.clone(), view, selection }
        }));
    }
    if filter.is_narrow() || filter.table.is_some() {
        tables.retain(|table| !table.selection.is_empty());
        if tables.is_empty() {
            missing.push(nothing_fits(filter));
        }
    }
    Ok(Answer {
        body: Found { tables, filter: filter.clone(), nodes },
        findings: Vec::new(),
        unreadable,
        version: None,
        uid: None,
        distribution: None,
        missing,
    })
}

/// What was asked for by name and is in no rule that was read.
fn nothing_fits(filter: &Filter) -> Unreadable {
    let asked = [
        ("table", filter.table.clone()),
        ("chain", filter.chain.clone()),
        ("owner", filter.owner.map(|owner| owner.name().to_owned())),
        ("service", filter.service.clone()),
        ("pod", filter.pod.clone()),
    ];
    let words: Vec<String> = asked.into_iter().filter_map(|(what, value)| Some(format!("{what} {}", value?))).collect();
    Unreadable { source: words.join(", "), node: None, reason: "in no rule that was read".to_owned() }
}

/// The tables of a node, and what of its texts could not be read.
fn of_node(
    kernel: &Kernel,
    names: &mut Names,
    filter: &Filter,
    node: Option<&str>,
    (unreadable, missing): (&mut Vec<Unreadable>, &mut Vec<Unreadable>),
) -> Vec<TableView> {
    let mut views = Vec::new();
    for seen in kernel.dumps.tables() {
        let name = seen.table.name();
        if seen.table.is_complete() == Some(false) {
            let reason = format!("table {} ends before its COMMIT: rules are missing", name.unwrap_or("?"));
            missing.push(Unreadable { source: seen.file.to_owned(), node: node.map(str::to_owned), reason });
        }
        if filter.has_table(name) {
            views.push(iptables_table(seen.table, seen.family, seen.backend, names));
        }
    }
    let Some(text) = &kernel.nft else { return views };
    let rules = nft::parse(text.as_bytes());
    let source = netcore::probe::Probe::NftRuleset.file();
    unreadable.extend(rules.problems.kept().iter().map(|problem| Unreadable {
        source: source.to_owned(),
        node: node.map(str::to_owned),
        reason: problem.to_string(),
    }));
    names.learn_nft_sets(&rules);
    // what iptables-nft keeps is told better by iptables-save, where that was read
    let saved = |family: nft::Family| {
        let family = TableFamily::from(family);
        kernel.dumps.tables().iter().any(|seen| {
            seen.family == Some(family) && seen.backend.is_none_or(|backend| backend == netcore::iptables::Backend::Nft)
        })
    };
    let saved: Vec<nft::Family> = nft::Family::ALL.into_iter().filter(|family| saved(*family)).collect();
    views.extend(nft_tables(&rules, names, &|family, table| {
        filter.has_table(Some(table)) && !(is_compat_table(family, table) && saved.contains(&family))
    }));
    views
}
