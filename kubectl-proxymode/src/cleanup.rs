//! `kubectl proxymode cleanup`: what a mode that is not running left, and the commands that take it away.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use netcore::{
    probe::UNNAMED,
    proxy::{
        Facts, Mode,
        cleanup::{CleanupPlan, NodePlan, PROBES, Question as CleanupQuestion, State, plan},
        report::{self, NodeRow, ProxyState},
    },
    ranges::Confidence,
    report::Report,
};
use plugin::{
    args::DryRunArgs,
    exit::{ExitCode, FailOn},
    nodes::{NodeAnswer, Outcome, Unasked},
    print::{
        Detail, Out, Rows, Text, Tone, View,
        report::{cluster_line, plural},
    },
    question::{Answer, Error, Question, Session},
};

use crate::{
    cli::Cli,
    gather::{self, OF_MODE},
    preflight,
    view::of_nodes,
};

/// The arguments of `cleanup`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CleanupArgs {
    /// Remove it, node by node (not here yet)
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Do not ask
    #[arg(long, requires = "apply")]
    yes: bool,
}

const NODES: Rows = Rows { list: "nodes", kind: "node", name: &["name"] };

/// Answers.
pub(crate) async fn cleanup(cli: &Cli, args: &CleanupArgs, out: &mut Out) -> Result<ExitCode, Error> {
    if args.apply {
        return Err(Error::NotHere("proxymode cleanup --apply"));
    }
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "CleanupPlan",
        rows: NODES,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::All,
        says_unread: true,
    };
    question.ask(out, read, table).await
}

async fn read(session: &Session<'_>) -> Result<Answer<CleanupPlan>, Error> {
    let mut kernels: BTreeMap<String, State> = BTreeMap::new();
    let mut keep = |_: &Facts, answer: NodeAnswer| {
        if PROBES.contains(&answer.probe) {
            let state = kernels.entry(answer.node.unwrap_or_else(|| UNNAMED.to_owned())).or_default();
            match answer.outcome {
                Outcome::Text(text) => state.take(answer.probe, &text),
                Outcome::Absent(_) => state.take_absent(answer.probe),
                Outcome::Unseen(_) | Outcome::Unreadable(_) => {}
            }
        }
    };
    let mut facts = gather::gather_for(session, OF_MODE, &mut keep).await?;
    let (services, unread) = preflight::services(session).await;
    let ports: Option<BTreeSet<u16>> = services
        .map(|services| services.iter().flat_map(|service| service.node_ports.iter().map(|(port, _)| *port)).collect());
    let status = report::report(&facts, &|node| session.nodes.chosen().has(node));
    let rows = status.nodes.iter().filter(|row| row.state != ProxyState::Windows);
    let nodes = rows.map(|row| of_node(row, &facts, kernels.get(&row.name), ports.as_ref())).collect();
    let mut answer = gather::answer(session, &mut facts, CleanupPlan { nodes });
    answer.unreadable.extend(unread);
    answer.distribution = status.configured.distribution;
    Ok(answer)
}

fn of_node(row: &NodeRow, facts: &Facts, state: Option<&State>, node_ports: Option<&BTreeSet<u16>>) -> NodePlan {
    let running = match running(row) {
        Ok(running) => running,
        Err(_) if !state.is_some_and(State::is_known) => {
            return NodePlan::untouched(&row.name, "its kernel was not read");
        }
        Err(why) => return NodePlan::untouched(&row.name, why),
    };
    let Some(state) = state.filter(|state| state.is_known()) else {
        return NodePlan { running: Some(running), ..NodePlan::untouched(&row.name, "its kernel was not read") };
    };
    let kubelet = facts.nodes.get(&row.name).and_then(|node| node.kubelet.parse().ok());
    NodePlan::of(&row.name, running, &plan(&CleanupQuestion { running, state, node_ports, kubelet }))
}

/// The mode that a node's kube-proxy says itself that it is in; or why nothing can be called left over.
fn running(row: &NodeRow) -> Result<Mode, &'static str> {
    match row.state {
        ProxyState::Replaced => return Err("somebody else forwards Services here"),
        ProxyState::Failing => return Err("kube-proxy does not run, and what it left is all that forwards Services"),
        ProxyState::Absent => return Err("kube-proxy has no pod here, and what it left is all that forwards Services"),
        ProxyState::Running | ProxyState::Windows | ProxyState::Unknown => {}
    }
    let own = |sign: &&netcore::proxy::evidence::Evidence| sign.confidence == Confidence::A;
    let modes: BTreeSet<Mode> = row.evidence.iter().filter(own).filter_map(|sign| sign.mode).collect();
    match modes.iter().collect::<Vec<_>>().as_slice() {
        [one] => Ok(**one),
        [] => Err("kube-proxy did not say itself which mode it is in"),
        _ => Err("kube-proxy's own signs tell different modes"),
    }
}

fn table(report: &Report<CleanupPlan>, detail: Detail) -> View {
    let mut view = View::new();
    cluster_line(&mut view, &report.cluster);
    let nodes = &report.body.nodes;
    let clean = |node: &&NodePlan| node.commands.is_empty() && node.keeps.is_empty();
    for node in nodes.iter().filter(|node| !clean(node)) {
        let runs = node.running.map_or_else(String::new, |mode| format!(", which runs {mode}"));
        let commands = node.commands.len();
        let title = match commands {
            0 => "nothing to remove".to_owned(),
            n => format!("{n} {} would remove what other modes left", plural(n, "command", "commands")),
        };
        view.gap().line(Text::from("on ").then_in(Tone::Strong, node.name.clone()).then(format!("{runs}: {title}")));
        for command in &node.commands {
            for line in shown(command, detail) {
                view.line(Text::from(format!("  {line}")));
            }
        }
        for kept in &node.keeps {
            view.line(Tone::Faint.paint("  stays: ").then(kept.clone()));
        }
    }
    match nodes.iter().filter(clean).count() {
        0 => {}
        n => {
            view.gap().line(Tone::Good.paint(format!("nothing is left over on {}", of_nodes(n))));
        }
    }
    view
}

/// A command as people read it: what it is given is only shown where all is wanted.
fn shown(command: &str, detail: Detail) -> Vec<String> {
    let mut lines = command.lines();
    let first = lines.next().unwrap_or_default();
    let given = lines.count();
    if given == 0 || detail == Detail::Wide {
        return command.lines().map(str::to_owned).collect();
    }
    let count = |start: &str| command.lines().filter(|line| line.starts_with(start)).count();
    let (chains, calls, sets) = (count("-X "), count("-D "), count("destroy "));
    let words: Vec<String> = [(chains, "chain"), (calls, "call of them"), (sets, "set")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| match what {
            "call of them" if count > 1 => format!("{count} calls of them"),
            what => format!("{count} {what}{}", if count > 1 { "s" } else { "" }),
        })
        .collect();
    vec![format!("{}  # {}; -o wide has the lines", first.trim_end_matches(" <<'END'"), words.join(", "))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_told_in_one_line_and_shown_in_wide() {
        let command =
            "iptables-nft-restore --noflush --wait 5 <<'END'\n*filter\n:A - [0:0]\n-D INPUT -j A\n-X A\nCOMMIT\nEND";
        let told = "iptables-nft-restore --noflush --wait 5  # 1 chain, 1 call of them; -o wide has the lines";
        assert_eq!(shown(command, Detail::Table), [told]);
        assert_eq!(shown(command, Detail::Wide).len(), 7);
        assert_eq!(shown("nft delete table ip kube-proxy", Detail::Table), ["nft delete table ip kube-proxy"]);
    }
}
