//! `kubectl proxymode`: the configured mode, and each node's effective one.

use netcore::proxy::{
    checks,
    report::{ProxyModeReport, report},
};
use plugin::{
    exit::{ExitCode, FailOn},
    nodes::Unasked,
    print::{Out, Rows},
    question::{Answer, Error, Question, Session},
};

use crate::{
    cli::Cli,
    gather::{self, OF_MODE},
    view,
};

/// How many nodes are read that were not asked for.
const UNASKED: usize = 50;

const NODES: Rows = Rows { list: "nodes", kind: "node", name: &["name"] };

/// Answers.
pub(crate) async fn status(cli: &Cli, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "ProxyModeReport",
        rows: NODES,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::AtMost(UNASKED),
        says_unread: true,
    };
    question.ask(out, read, view::status).await
}

async fn read(session: &Session<'_>) -> Result<Answer<ProxyModeReport>, Error> {
    let mut facts = gather::gather(session, OF_MODE).await?;
    let body = report(&facts, &|node| session.nodes.chosen().has(node));
    let (findings, not_checked) = checks::run(&facts, &body);
    let distribution = body.configured.distribution.clone();
    let mut answer = gather::answer(session, &mut facts, body);
    answer.findings = findings;
    answer.unreadable.extend(not_checked);
    answer.distribution = distribution;
    Ok(answer)
}
