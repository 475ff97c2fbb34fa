//! `kubectl cni bgp`: sessions, and how far each address block gets.

use clap::Args;
use netcore::{
    cni::{
        bgp::{BgpReport, report},
        checks::bgp as checks,
    },
    probe::Probe,
};
use plugin::{
    exit::{ExitCode, FailOn},
    nodes::Unasked,
    print::{Out, Rows},
    question::{Answer, Error, Question, Session},
};

use crate::{
    bgp_view,
    cli::Cli,
    gather::{self, Wants},
};

/// Nothing beside the flags of all commands.
#[derive(Args)]
pub(crate) struct BgpArgs {}

const NODES: Rows = Rows { list: "nodes", kind: "node", name: &["name"] };

/// What tells of BGP on a node.
const PROBES: &[Probe] =
    &[Probe::BirdProtocols, Probe::BirdRoutes, Probe::Bird6Protocols, Probe::Bird6Routes, Probe::Routes];

/// Answers.
pub(crate) async fn bgp(cli: &Cli, _: &BgpArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "BgpReport",
        rows: NODES,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::All,
        says_unread: true,
    };
    question.ask(out, read, bgp_view::bgp).await
}

async fn read(session: &Session<'_>) -> Result<Answer<BgpReport>, Error> {
    let mut facts = gather::gather(session, Wants { settings: true, bgp: true, ..Wants::default() }, PROBES).await?;
    let body = report(&facts, &|node| session.nodes.chosen().has(node));
    let (findings, not_checked) = checks::run(&facts, &body);
    let mut answer = gather::answer(session, &mut facts, body);
    answer.findings = findings;
    answer.unreadable.extend(not_checked);
    Ok(answer)
}
