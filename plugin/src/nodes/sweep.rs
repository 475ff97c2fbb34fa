//! All nodes, several at a time, until done or Ctrl-C.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use netcore::probe::{Probe, UNNAMED};
use tokio::time::{Instant, timeout_at};

use super::{
    Away, Here, How, NodeAnswer, NodeReader, NodesError, Outcome, Unasked,
    debug_pod::DebugPods,
    find::{self, Target},
    read::{Place, Reading},
    seat::Seat,
    snapshot::{self, file},
};
use crate::{args::NodeAccess, cluster::Cluster, duration::GoDuration, from::recording::Unread, interrupt::Listener};

/// What was read of one node, whose pod is then to go.
struct Done<'t> {
    target: &'t Target,
    outcomes: Vec<(Probe, Outcome)>,
}

impl NodeReader<'_> {
    /// Reads the probes on every node that was chosen, and hands the answers over as they come: those
    /// of a node together and in the order of `probes`, nodes in any order. What could not be read is
    /// an answer, too. Everything goes into the recording, where there is one.
    ///
    /// # Errors
    /// Where debug pods were not allowed; nothing was read then.
    pub async fn read(&self, probes: &[Probe], each: &mut dyn FnMut(NodeAnswer)) -> Result<(), NodesError> {
        self.read_where(&|_| true, probes, each).await
    }

    /// Reads some of the nodes that were chosen once more: what could be a move is not called wrong before.
    ///
    /// # Errors
    /// As [`NodeReader::read`].
    pub async fn read_again(
        &self,
        nodes: &BTreeSet<String>,
        probes: &[Probe],
        each: &mut dyn FnMut(NodeAnswer),
    ) -> Result<(), NodesError> {
        self.read_where(&|name| nodes.contains(name), probes, each).await
    }

    async fn read_where(
        &self,
        wanted: &dyn Fn(&str) -> bool,
        probes: &[Probe],
        each: &mut dyn FnMut(NodeAnswer),
    ) -> Result<(), NodesError> {
        let mut hand = |answer: NodeAnswer| {
            record(self.cluster, &answer);
            each(answer);
        };
        if probes.is_empty() {
            return Ok(());
        }
        let nowhere = |reason: &str, hand: &mut dyn FnMut(NodeAnswer)| {
            for probe in probes {
                let outcome = Outcome::Unreadable(reason.to_owned());
                hand(NodeAnswer { node: None, probe: *probe, file: file(None, *probe), outcome });
            }
        };
        let (here, away) = match (&self.how, self.cluster.snapshot()) {
            (How::Live { here, away }, _) => (here, *away),
            (How::Snapshot, Some(snapshot)) => {
                snapshot::answers(snapshot, &self.chosen, probes, self.say, &mut hand);
                return Ok(());
            }
            (How::Snapshot, None) => return Ok(()),
            (How::Nowhere(reason), _) => {
                nowhere(reason, &mut hand);
                return Ok(());
            }
        };
        if let Here::Taken(node) = here {
            self.say.note("reads this host");
            let place = Place::Local(&self.network());
            for (probe, outcome) in self.probes(place, probes).await {
                let file = file(node.as_deref(), probe);
                hand(NodeAnswer { node: node.clone(), probe, file, outcome });
            }
            return Ok(());
        }
        let targets = match &self.targets {
            Ok(targets) => targets,
            Err(reason) => {
                nowhere(&format!("nodes could not be listed: {reason}"), &mut hand);
                return Ok(());
            }
        };
        if let Some(reason) = self.too_many(targets) {
            nowhere(&reason, &mut hand);
            return Ok(());
        }
        let targets: Vec<&Target> = targets.iter().filter(|target| wanted(&target.name)).collect();
        self.sweep(&targets, matches!(here, Here::Known), away, probes, &mut hand).await
    }

    /// The same, all together, in the order in which a recording of it is read back.
    ///
    /// # Errors
    /// As [`NodeReader::read`].
    pub async fn read_all(&self, probes: &[Probe]) -> Result<Vec<NodeAnswer>, NodesError> {
        let mut answers = Vec::new();
        self.read(probes, &mut |answer| answers.push(answer)).await?;
        answers.sort_by(|a, b| (&a.file, &a.node).cmp(&(&b.file, &b.node)));
        Ok(answers)
    }

    fn too_many(&self, targets: &[Target]) -> Option<String> {
        let Unasked::AtMost(most) = self.unasked else { return None };
        let asked =
            !self.input.nodes.is_empty() || self.input.selector.is_some() || self.input.node_access != NodeAccess::Auto;
        (!asked && targets.len() > most).then(|| {
            format!(
                "not asked for: {} nodes are more than the {most} that are read unasked; --node-access exec reads all, \
                 --node or -l some",
                targets.len()
            )
        })
    }

    async fn sweep(
        &self,
        targets: &[&Target],
        knows_itself: bool,
        away: Away,
        probes: &[Probe],
        hand: &mut dyn FnMut(NodeAnswer),
    ) -> Result<(), NodesError> {
        let is_here = |target: &Target| knows_itself && self.here.is(&target.machine_id, &target.boot_id);
        let others = targets.iter().copied().filter(|target| !is_here(target)).count();
        let debug = match away {
            Away::Debug if others > 0 => Some(self.debug_pods(others).await?),
            _ => None,
        };
        self.say_how(targets.len() - others, others, away);
        let progress = self.say.progress();
        progress.start("reading nodes", Some(targets.len() as u64));
        let mut left: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let mut reads = stream::iter(targets.iter().copied())
            .map(|target| async move {
                let outcomes = self.node(target, is_here(target), debug, probes).await;
                Done { target, outcomes }
            })
            .buffer_unordered(usize::from(self.input.parallel));
        let pressed = Listener::new().pressed();
        tokio::pin!(pressed);
        loop {
            let done = tokio::select! {
                biased;
                () = &mut pressed => {
                    self.interrupted.set(true);
                    break;
                }
                done = reads.next() => done,
            };
            let Some(Done { target, outcomes }) = done else { break };
            left.remove(target.name.as_str());
            progress.at(&target.name);
            progress.done(1);
            for (probe, outcome) in outcomes {
                let node = Some(target.name.clone());
                hand(NodeAnswer { file: file(node.as_deref(), probe), node, probe, outcome });
            }
        }
        drop(reads);
        progress.end();
        if let Some(debug) = debug {
            let stuck = debug.remove_all().await;
            if !stuck.is_empty() {
                let names = stuck.join(" ");
                self.say.warning(format!(
                    "debug pods could not be taken away; they end by themselves within 5 minutes, or with \
                     `kubectl delete pod -n {} {names}`",
                    super::debug_pod::NAMESPACE
                ));
            }
        }
        for node in left {
            for probe in probes {
                let node = Some(node.to_owned());
                let outcome = Outcome::Unreadable("interrupted".to_owned());
                hand(NodeAnswer { file: file(node.as_deref(), *probe), node, probe: *probe, outcome });
            }
        }
        Ok(())
    }

    fn say_how(&self, here: usize, others: usize, away: Away) {
        let nodes = |n: usize| if n == 1 { "1 node".to_owned() } else { format!("{n} nodes") };
        let away = if away == Away::Debug { "from debug pods" } else { "by exec into pods that run there" };
        match (here, others) {
            (0, 0) => {}
            (0, others) => self.say.note(format!("reads {} {away}", nodes(others))),
            (_, 0) => self.say.note("reads this host, which is the node"),
            (_, others) => self.say.note(format!("reads this host, which is a node, and {} {away}", nodes(others))),
        }
    }

    /// Everything of one node.
    async fn node(
        &self,
        target: &Target,
        is_here: bool,
        debug: Option<&DebugPods>,
        probes: &[Probe],
    ) -> Vec<(Probe, Outcome)> {
        let all = |reason: String| probes.iter().map(|probe| (*probe, Outcome::Unreadable(reason.clone()))).collect();
        if is_here {
            return self.probes(Place::Local(&self.network()), probes).await;
        }
        if !target.linux {
            return all("not a Linux node".to_owned());
        }
        let client = self.cluster.client();
        match debug {
            Some(debug) => {
                let limit = self.input.node_timeout;
                let made = match limit.limit() {
                    Some(limit) => tokio::time::timeout(limit, debug.make(target, probes)).await,
                    None => Ok(debug.make(target, probes).await),
                };
                let outcomes = match made {
                    Ok(Ok(seat)) => self.probes(Place::Seats(client, vec![seat]), probes).await,
                    Ok(Err(error)) => all(error.to_string()),
                    Err(_) => all(format!("the debug pod did not start within {limit}")),
                };
                if let Err(error) = debug.remove(&target.name).await {
                    self.say.warning(format!("the debug pod on {} could not be taken away: {error}", target.name));
                }
                outcomes
            }
            None => match self.seats(&target.name).await {
                Ok(seats) => self.probes(Place::Seats(client, seats), probes).await,
                Err(reason) => all(reason),
            },
        }
    }

    async fn seats(&self, node: &str) -> Result<Vec<Seat>, String> {
        let agents = self.agents.get_or_init(|| find::agents(self.cluster)).await;
        agents.as_ref().map(|agents| agents.get(node).cloned().unwrap_or_default()).map_err(Clone::clone)
    }

    /// The probes one after the other, for a node must bear no more than one at a time; what does not
    /// come in time is given up, and what came stands.
    async fn probes(&self, place: Place<'_>, probes: &[Probe]) -> Vec<(Probe, Outcome)> {
        let trace = |line: &str| self.cluster.trace(line);
        let mut reading = Reading::new(place, &self.shared, &trace);
        let limit = self.input.node_timeout;
        let until = limit.limit().map(|limit| Instant::now() + limit);
        let mut outcomes = Vec::new();
        for probe in probes {
            let outcome = match until {
                Some(until) => timeout_at(until, reading.probe(*probe)).await.unwrap_or_else(|_| timed_out(limit)),
                None => reading.probe(*probe).await,
            };
            outcomes.push((*probe, outcome));
        }
        outcomes
    }
}

fn timed_out(limit: GoDuration) -> Outcome {
    Outcome::Unreadable(format!("timed out after {limit}"))
}

fn record(cluster: &Cluster, answer: &NodeAnswer) {
    let node = answer.node.as_deref().unwrap_or(UNNAMED);
    cluster.record(|recorder| match &answer.outcome {
        Outcome::Text(text) => recorder.node(node, answer.probe, text),
        Outcome::Absent(why) => recorder.node_unread(node, answer.probe, Unread::Absent, why),
        Outcome::Unseen(why) => recorder.node_unread(node, answer.probe, Unread::Unseen, why),
        Outcome::Unreadable(why) => recorder.node_unread(node, answer.probe, Unread::Unreadable, why),
    });
}
