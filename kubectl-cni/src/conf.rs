//! `kubectl cni conf`: the CNI configuration files of each node, and which one the runtime takes.

use clap::Args;
use netcore::{
    cni::{
        checks,
        files::{CniConfReport, files},
        report::report,
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
    cli::Cli,
    gather::{self, Wants},
    view,
};

/// Nothing beside the flags of all commands.
#[derive(Args)]
pub(crate) struct ConfArgs {}

const NODES: Rows = Rows { list: "nodes", kind: "node", name: &["name"] };

/// Answers.
pub(crate) async fn conf(cli: &Cli, _: &ConfArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "CniConfReport",
        rows: NODES,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::All,
        says_unread: true,
    };
    question.ask(out, read, view::conf).await
}

async fn read(session: &Session<'_>) -> Result<Answer<CniConfReport>, Error> {
    let mut facts = gather::gather(session, Wants::default(), &[Probe::CniConf]).await?;
    let shows = |node: &str| session.nodes.chosen().has(node);
    let body = files(&facts, &shows);
    let (findings, not_checked) = checks::run_these(checks::OF_FILES, &facts, &report(&facts, &shows));
    let mut answer = gather::answer(session, &mut facts, body);
    answer.findings = findings;
    answer.unreadable.extend(not_checked);
    Ok(answer)
}
