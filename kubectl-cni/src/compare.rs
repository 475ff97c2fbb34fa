//! `kubectl cni compare`: chains, rules and sets by owner, what a new connection passes, and how it grows.

use clap::Args;
use netcore::{
    cluster::ReadStatus,
    compare::{
        CALICO_REFERENCE, Chart, CniCompareReport, Glyphs, NodeCost, SetUses, Told, conclude, crossover, growth,
        in_iptables, in_ipvs, in_nftables, nft_tables, sets, svg, table,
    },
    finding::Unreadable,
    ipset, iptables, ipvs,
    nft::{self, is_compat_table},
    owner::Owner,
    probe::Probe,
    proxy::Mode,
    rules::TableFamily,
};
use plugin::{
    exit::{ExitCode, FailOn},
    nodes::Unasked,
    print::{Format, Out, Rows},
    question::{Answer, Error, Question, Session},
};

use crate::{
    cli::Cli,
    compare_view,
    kernel::{Kernel, Kernels},
    named::{self, Objects},
    packets,
};

/// Nothing but the common flags.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CompareArgs {}

const PROBES: &[Probe] = &[
    Probe::IptablesSave,
    Probe::Ip6tablesSave,
    Probe::IptablesLegacySave,
    Probe::Ip6tablesLegacySave,
    Probe::NftRuleset,
    Probe::IpsetSave,
    Probe::IpvsTable,
    Probe::Addresses,
    Probe::Routes,
    Probe::Rules,
    Probe::Sysctls,
];
const ROWS: Rows = Rows { list: "nodes", kind: "node", name: &["name"] };

/// Answers.
pub(crate) async fn compare(cli: &Cli, _: &CompareArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "CniCompareReport",
        rows: ROWS,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::All,
        says_unread: true,
    };
    let gather = async |session: &Session<'_>| read(session).await;
    if matches!(out.format(), Format::Extra(_)) {
        let picture = |report: &netcore::report::Report<CniCompareReport>| {
            let cluster = &report.cluster;
            let title = cluster.context.as_deref().or(cluster.server.as_deref()).unwrap_or("a cluster");
            svg(&chart(&report.body), title, &report.body.conclusion)
        };
        return question.draw(out, gather, picture).await;
    }
    let glyphs = if out.is_unicode() { Glyphs::Unicode } else { Glyphs::Ascii };
    let width = out.width();
    question.ask(out, gather, |report, detail| compare_view::view(report, detail, width, glyphs)).await
}

/// The picture of a report.
pub(crate) fn chart(body: &CniCompareReport) -> Chart {
    Chart::of(&body.growth, body.shape.as_ref().map(|shape| shape.services), body.crossover)
}

async fn read(session: &Session<'_>) -> Result<Answer<CniCompareReport>, Error> {
    let mut kernels = Kernels::read(session, PROBES).await?;
    let mut unreadable = std::mem::take(&mut kernels.unreadable);
    if !kernels.any && kernels.missing.is_empty() {
        let first = unreadable.first().map(|entry| entry.reason.clone());
        let reason = first.unwrap_or_else(|| ReadStatus::NOT_RECORDED.to_owned());
        return Err(Error::nothing(&reason, session.input, "a node's rules", "iptables-save or nft -j list ruleset"));
    }
    let mut objects = named::objects(session, &mut unreadable).await;
    let mut missing = std::mem::take(&mut kernels.missing);
    let mut nodes = Vec::new();
    let mut told: Vec<Told> = Vec::new();
    for (node, kernel) in &kernels.nodes {
        let mut reading = Reading { node: node.as_deref(), unreadable: &mut unreadable, missing: &mut missing };
        let (cost, of_node) = reading.node(kernel, &mut objects);
        nodes.push(cost);
        told.extend(of_node);
    }
    // the node with the longest way is what an operator has to know of
    let worst = told.into_iter().max_by_key(|told| (told.mode == Mode::Iptables, told.entries));
    let services = u64::try_from(objects.names.services()).ok().filter(|services| *services > 0);
    let shape = worst.and_then(|told| told.shape(services));
    let calico = nodes.iter().filter_map(|node| node.first_packet.as_ref()).flatten();
    let calico = calico.filter(|cost| cost.owner == Owner::Calico).map(|cost| cost.median).max();
    let calico = calico.unwrap_or(CALICO_REFERENCE);
    let growth = shape.as_ref().map(|shape| growth(shape, calico)).unwrap_or_default();
    let crossing = shape.as_ref().map(|shape| crossover(shape, calico));
    let conclusion = conclude(&nodes, worst.map(|told| told.mode), shape.as_ref(), (&growth, crossing));
    Ok(Answer {
        body: CniCompareReport { nodes, growth, shape, crossover: crossing, conclusion },
        findings: Vec::new(),
        unreadable,
        version: None,
        uid: None,
        distribution: None,
        missing,
    })
}

/// One node being read.
struct Reading<'a> {
    node: Option<&'a str>,
    unreadable: &'a mut Vec<Unreadable>,
    missing: &'a mut Vec<Unreadable>,
}

impl Reading<'_> {
    fn entry(&self, source: &str, reason: String) -> Unreadable {
        Unreadable { source: source.to_owned(), node: self.node.map(str::to_owned), reason }
    }

    fn node(&mut self, kernel: &Kernel, objects: &mut Objects) -> (NodeCost, Option<Told>) {
        let seen = kernel.dumps.tables();
        for cut in seen.iter().filter(|seen| seen.table.is_complete() == Some(false)) {
            let name = cut.table.name().unwrap_or("?");
            self.missing.push(self.entry(cut.file, format!("table {name} ends before its COMMIT: rules are missing")));
        }
        let mut tables: Vec<_> = seen.iter().map(table).collect();
        let mut uses = SetUses::default();
        for seen in &seen {
            uses.count(seen.table.rules());
        }
        for text in &kernel.dumps.texts {
            objects.names.learn_sets(&text.rules);
        }
        let mut told = in_iptables(&seen);
        let mut any = !seen.is_empty();
        if let Some(text) = &kernel.nft {
            any = true;
            let rules = nft::parse(text.as_bytes());
            let source = Probe::NftRuleset.file();
            let problems: Vec<_> =
                rules.problems.kept().iter().map(|problem| self.entry(source, problem.to_string())).collect();
            self.unreadable.extend(problems);
            tables.extend(nft_tables(&rules, &|family, table| {
                !(is_compat_table(family, table) && is_saved(kernel, family))
            }));
            told = told.or_else(|| in_nftables(&rules));
        }
        let mut servers = ipvs::IpvsTable::default();
        for text in &kernel.ipvs {
            let (table, problems) = ipvs::parse(text);
            let problems: Vec<_> =
                problems.iter().map(|problem| self.entry(Probe::IpvsTable.file(), problem.to_string())).collect();
            self.unreadable.extend(problems);
            servers.merge(table);
        }
        let told = told.or_else(|| in_ipvs(&servers));
        let ipsets = kernel.ipset.as_ref().map(|text| {
            let dump = ipset::parse(text.as_bytes());
            let source = Probe::IpsetSave.file();
            let problems: Vec<_> =
                dump.problems.kept().iter().map(|problem| self.entry(source, problem.to_string())).collect();
            self.unreadable.extend(problems);
            self.unreadable.extend(uses.names().filter(|name| dump.get(name).is_none()).map(|name| Unreadable {
                source: source.to_owned(),
                node: self.node.map(str::to_owned),
                reason: format!("rules look into set {name}, which is not there"),
            }));
            sets(&dump, &uses, &objects.names)
        });
        let walked = packets::walked(kernel, self.node, objects, &servers);
        let cost = NodeCost {
            name: self.node.map(str::to_owned),
            tables: any.then_some(tables),
            ipsets,
            first_packet: walked.first,
            established_packet: walked.established,
            cost_unknown: walked.unknown,
        };
        (cost, told)
    }
}

/// Whether `iptables-save` told the tables that iptables-nft keeps of a family.
pub(crate) fn is_saved(kernel: &Kernel, family: nft::Family) -> bool {
    let family = TableFamily::from(family);
    kernel
        .dumps
        .tables()
        .iter()
        .any(|seen| seen.family == Some(family) && seen.backend.is_none_or(|backend| backend == iptables::Backend::Nft))
}
