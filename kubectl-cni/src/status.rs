//! `kubectl cni`: which network plugin, how it is set up, and whether it is well.

use netcore::{
    cni::{
        checks,
        report::{CniReport, report},
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

/// How many nodes are read that were not asked for.
const UNASKED: usize = 50;

const PLUGINS: Rows = Rows { list: "plugins", kind: "plugin", name: &["name"] };

/// What tells of plugins, their tunnels, and kube-proxy's mode on a node.
const PROBES: &[Probe] = &[
    Probe::ProxyMode,
    Probe::Addresses,
    Probe::Routes,
    Probe::Rules,
    Probe::Neighbours,
    Probe::Fdb,
    Probe::CniConf,
    Probe::FlannelSubnetEnv,
    Probe::BirdProtocols,
    Probe::Conntrack,
    Probe::Sysctls,
    Probe::IptablesSave,
    Probe::Ip6tablesSave,
    Probe::IptablesLegacySave,
    Probe::Ip6tablesLegacySave,
    Probe::NftRuleset,
];

/// Answers.
pub(crate) async fn status(cli: &Cli, out: &mut Out) -> Result<ExitCode, Error> {
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "CniReport",
        rows: PLUGINS,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::AtMost(UNASKED),
        says_unread: true,
    };
    question.ask(out, read, view::status).await
}

async fn read(session: &Session<'_>) -> Result<Answer<CniReport>, Error> {
    let mut facts =
        gather::gather(session, Wants { settings: true, policies: true, ..Wants::default() }, PROBES).await?;
    let body = report(&facts, &|node| session.nodes.chosen().has(node));
    let (findings, not_checked) = checks::run(&facts, &body);
    let mut answer = gather::answer(session, &mut facts, body);
    answer.findings = findings;
    answer.unreadable.extend(not_checked);
    Ok(answer)
}
