//! The switch itself, and the way back: everything that `--set` and `rollback` write is written here.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use netcore::proxy::{
    Mode,
    edit::Edit,
    verify::{Desired, NodeFacts},
};
use plugin::{
    change::{ApplyError, Backup, Change, Lock, LockError, Stop, current, restart},
    cluster::{Keep, ReadError},
    exit::ExitCode,
    print::Say,
    question::Session,
};
use serde_json::Value;

use super::{
    event::{State, Step, Teller, listed},
    node::{Expected, Seen},
    pods::{Pod, Start, pods},
    record::{Progress, Record, TOOL},
};

/// How often a pod is started anew that had read the configuration as it was before: the kubelet may
/// learn of a change a moment after it makes the pod.
const STALE: u32 = 5;
/// How often a request that only failed to arrive is sent again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be done.
pub(super) struct Plan {
    /// What is kept of it.
    pub(super) record: Record,
    /// The uid of the cluster.
    pub(super) cluster: String,
    /// The change of the configuration; none where it says it already.
    pub(super) change: Option<Change>,
    /// The nodes, batch by batch; the first batch is the canary.
    pub(super) batches: Vec<Vec<String>>,
    /// Nodes that are left alone, and why: they stay as they are.
    pub(super) left: BTreeMap<String, String>,
    /// What is known of each node beside its kernel.
    pub(super) facts: BTreeMap<String, NodeFacts>,
    /// How long one node may take; none for as long as it wants.
    pub(super) timeout: Option<Duration>,
    /// How long to wait between batches.
    pub(super) pause: Duration,
    /// What becomes of the cluster where a node fails: everything goes back, or it stays.
    pub(super) goes_back: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it was to; nodes that could not be seen in full, and nodes that were left alone.
    Done,
    /// Nothing was changed.
    Refused(String),
    /// It failed, and everything is as it was.
    Restored(String),
    /// Nodes differ: each is named.
    Mixed(String),
}

impl Ended {
    pub(super) const fn code(&self) -> ExitCode {
        match self {
            Self::Done => ExitCode::Done,
            Self::Refused(_) | Self::Restored(_) => ExitCode::Findings,
            Self::Mixed(_) => ExitCode::Partly,
        }
    }
}

/// Why a run stops in the middle.
enum Halt {
    /// A node failed, or Ctrl-C was pressed: what was done can be undone.
    Failed(String),
    /// Somebody else changes the cluster now: nothing may be written any more.
    Lost(String),
}

/// A run, with the lock held.
struct Run<'r, 'a, 'o> {
    session: &'a Session<'a>,
    plan: &'r Plan,
    lock: &'r Lock<'a>,
    teller: &'r mut Teller<'o>,
    stop: Stop,
    /// Nodes whose pods were started anew by this run, with the pod from before.
    restarted: BTreeMap<String, Start>,
    /// Nodes that run what was wanted, as far as was seen.
    verified: BTreeSet<String>,
    gone: BTreeSet<String>,
    /// Nodes whose rules could not be compared in full, or differ, and why.
    unseen: BTreeMap<String, String>,
    backup: Option<Backup>,
    /// What the API wants, as it was read last.
    desired: RefCell<Option<Desired>>,
    /// On the way back, which nothing stops.
    returns: bool,
    /// Somebody else has the lock: nothing is written any more.
    lost: bool,
}

/// Takes the lock, makes the backup, changes the configuration, and starts node after node anew.
pub(super) async fn carry_out<'a>(session: &'a Session<'a>, plan: &Plan, teller: &mut Teller<'_>, say: &Say) -> Ended {
    let namespace = &plan.record.entry.namespace;
    // from here on, Ctrl-C ends in good order
    let stop = Stop::new();
    let lock = match Lock::take(session.cluster, namespace, &format!("kubectl-{TOOL}"), say).await {
        Ok(lock) => lock,
        Err(error) => {
            teller.tell(Step::Lock, State::Failed, error.to_string());
            return Ended::Refused(error.to_string());
        }
    };
    let mut run = Run {
        session,
        plan,
        lock: &lock,
        teller,
        stop,
        restarted: BTreeMap::new(),
        verified: BTreeSet::new(),
        gone: BTreeSet::new(),
        unseen: BTreeMap::new(),
        backup: None,
        desired: RefCell::default(),
        returns: false,
        lost: false,
    };
    let ended = run.all().await;
    run.mark(&ended).await;
    drop(run);
    lock.release().await;
    ended
}

impl Run<'_, '_, '_> {
    async fn all(&mut self) -> Ended {
        if let Err(why) = self.prepare().await {
            return Ended::Refused(why);
        }
        let applied = match self.configure().await {
            Ok(applied) => applied,
            Err(ended) => return ended,
        };
        match self.nodes().await {
            Ok(()) => self.finish().await,
            Err(Halt::Failed(why)) if self.plan.goes_back => {
                self.teller.tell(Step::Restore, State::Started, format!("{why}: goes back"));
                match self.restore(applied.as_deref()).await {
                    Ok(()) => Ended::Restored(why),
                    Err(left) => Ended::Mixed(format!("{why}; not everything could be put back: {left}")),
                }
            }
            Err(Halt::Failed(why)) => Ended::Mixed(format!("{why}; {}", self.where_it_stands())),
            Err(Halt::Lost(why)) => {
                self.lost = true;
                Ended::Mixed(format!("{why}; {}", self.where_it_stands()))
            }
        }
    }

    /// The backup, kept and read back.
    async fn prepare(&mut self) -> Result<(), String> {
        let draft = self.plan.record.draft(&self.plan.cluster)?;
        match draft.store(self.session.cluster, Keep::Yes).await {
            Ok(backup) => {
                let copy = backup.copy_to_disk().map(|path| format!(", a copy in {}", path.display()));
                let text = format!("backup {} in {}{}", backup.id, backup.object.title, copy.unwrap_or_default());
                self.teller.tell(Step::Backup, State::Done, text);
                self.backup = Some(backup);
                Ok(())
            }
            Err(error) => {
                self.teller.tell(Step::Backup, State::Failed, error.to_string());
                Err(error.to_string())
            }
        }
    }

    /// The change of the configuration; gives what the object is now.
    async fn configure(&mut self) -> Result<Option<String>, Ended> {
        let Some(change) = &self.plan.change else { return Ok(None) };
        if let Err(Halt::Failed(why) | Halt::Lost(why)) = self.go_on().await {
            return Err(Ended::Refused(format!("{why}, before anything was changed")));
        }
        match change.apply(self.session.cluster, Keep::Yes).await {
            Ok(applied) => {
                let text = format!("{} says {} now", change.object.title, self.plan.record.to);
                self.teller.tell(Step::Config, State::Done, text);
                Ok(Some(applied.resource_version))
            }
            Err(error @ ApplyError::Unknown(..)) => {
                self.teller.tell(Step::Config, State::Failed, error.to_string());
                let every = "no node was started anew, and one that starts by itself may take the new mode";
                Err(Ended::Mixed(format!("{error}; {every}")))
            }
            Err(error) => {
                self.teller.tell(Step::Config, State::Failed, error.to_string());
                Err(Ended::Refused(error.to_string()))
            }
        }
    }

    /// Batch after batch.
    async fn nodes(&mut self) -> Result<(), Halt> {
        let batches = &self.plan.batches;
        for (number, batch) in batches.iter().enumerate() {
            let mut before: BTreeMap<String, Option<Start>> = BTreeMap::new();
            for node in batch {
                self.go_on().await?;
                let pod = self.start_anew(node).await?;
                before.insert(node.clone(), pod);
            }
            for (node, pod) in before {
                self.watch(&node, pod, self.plan.record.to).await?;
            }
            if number + 1 < batches.len() && !self.plan.pause.is_zero() {
                self.wait(self.plan.pause).await?;
            }
        }
        Ok(())
    }

    /// Nodes that came or started by themselves meanwhile have read the new configuration, too.
    async fn finish(&mut self) -> Ended {
        let now = match pods(self.session.cluster, &self.plan.record.home, None).await {
            Ok(now) => now,
            Err(why) => return Ended::Mixed(format!("the nodes could not be looked at in the end: {why}")),
        };
        let mut wrong = Vec::new();
        for node in self.touched_by_others(&now) {
            let text = "it came, or started by itself, meanwhile";
            self.teller.of_node(&node, Step::Node, State::Started, text);
            if let Err(Halt::Failed(why) | Halt::Lost(why)) = self.watch(&node, None, self.plan.record.to).await {
                wrong.push(why);
            }
        }
        for (node, why) in &self.plan.left {
            self.teller.of_node(node, Step::Node, State::Skipped, format!("left as it is: {why}"));
            wrong.push(format!("{node} was left as it is: {why}"));
        }
        let fell = |node: &&String| now.get(*node).is_some_and(|pod| !pod.ready);
        wrong.extend(self.verified.iter().filter(fell).map(|node| format!("{node}: its pod is not Ready any more")));
        if !wrong.is_empty() {
            return Ended::Mixed(wrong.join("; "));
        }
        let unseen = match self.unseen.len() {
            0 => String::new(),
            n => format!(
                "; not all is as it should be on {n} of them: {}",
                listed(self.unseen.keys().map(String::as_str))
            ),
        };
        let nodes = self.verified.len();
        let text =
            format!("{nodes} node{} now {}{unseen}", if nodes == 1 { " runs" } else { "s run" }, self.plan.record.to);
        self.teller.tell(Step::Switch, State::Done, text);
        Ended::Done
    }

    /// Nodes whose pods are others than before, and not by this run.
    fn touched_by_others(&self, now: &BTreeMap<String, Pod>) -> Vec<String> {
        let known = &self.plan.record.pods;
        let other = |node: &str, pod: &Pod| known.get(node).is_none_or(|start| *start != pod.start);
        let found = now.iter().filter(|(node, pod)| !self.verified.contains(*node) && other(node, pod));
        found.map(|(node, _)| node.clone()).collect()
    }

    /// Deletes a node's pod; gives which it was.
    async fn start_anew(&mut self, node: &str) -> Result<Option<Start>, Halt> {
        let home = &self.plan.record.home;
        let mut tries = 0;
        let mut asked: Option<Start> = None;
        loop {
            let found = pods(self.session.cluster, home, Some(node)).await;
            let outcome = match (found.map(|mut found| found.remove(node)), &asked) {
                // it is about to come back by itself, or its node went
                (Ok(None), _) => return Ok(asked),
                // a deletion without an answer was carried out after all
                (Ok(Some(pod)), Some(before)) if pod.start.uid != before.uid => return Ok(asked),
                (Ok(Some(pod)), _) => {
                    asked = Some(pod.start.clone());
                    self.delete(node, pod).await.map_err(|error| error.to_string())
                }
                (Err(why), _) => Err(why),
            };
            match outcome {
                Ok(start) => return Ok(Some(start)),
                Err(why) if tries >= TRIES => {
                    return Err(Halt::Failed(format!("{node}: its pod could not be deleted: {why}")));
                }
                Err(why) if why.starts_with("forbidden") => {
                    return Err(Halt::Failed(format!("{node}: its pod could not be deleted: {why}")));
                }
                Err(_) => {
                    tries += 1;
                    self.wait(PAUSE).await?;
                }
            }
        }
    }

    async fn delete(&mut self, node: &str, pod: Pod) -> Result<Start, ReadError> {
        // before the request: whether or not its answer arrives, the pod may be gone
        self.restarted.entry(node.to_owned()).or_insert_with(|| pod.start.clone());
        let namespace = &self.plan.record.home.namespace;
        match restart(self.session.cluster, namespace, &pod.name, &pod.start.uid).await {
            // where another pod has its name by now, that one is what is waited for
            Ok(_) => Ok(pod.start),
            Err(error) => {
                if matches!(error, ReadError::Forbidden(_)) && self.restarted.get(node) == Some(&pod.start) {
                    self.restarted.remove(node);
                }
                Err(error)
            }
        }
    }

    /// Waits until a node does what it is to do.
    async fn watch(&mut self, node: &str, before: Option<Start>, mode: Mode) -> Result<(), Halt> {
        let mut before = before;
        let plan = self.plan;
        for _ in 0..=STALE {
            let expected = Expected {
                session: self.session,
                home: &plan.record.home,
                mode,
                timeout: plan.timeout,
                strict: plan.goes_back && !self.returns,
                facts: &plan.facts,
                desired: &self.desired,
            };
            let (lock, stop) = (self.lock, &mut self.stop);
            let may_stop = plan.goes_back && !self.returns;
            let mut lost = None;
            let seen = expected
                .watch(node, before.as_ref(), &mut async |time: Duration| {
                    if let Err(error @ LockError::Lost(_)) = lock.keep().await {
                        lost = Some(error.to_string());
                        return Err(error.to_string());
                    }
                    stop.sleep(time).await;
                    if may_stop && stop.is_pressed() { Err("stopped".to_owned()) } else { Ok(()) }
                })
                .await;
            if let Some(why) = lost {
                return Err(Halt::Lost(why));
            }
            match seen {
                Ok(Seen::Runs(unseen)) => {
                    let rest = match unseen {
                        Some(why) => {
                            self.unseen.insert(node.to_owned(), why.clone());
                            format!(", {why}")
                        }
                        None => ", its rules are in the kernel".to_owned(),
                    };
                    self.teller.of_node(node, Step::Node, State::Done, format!("runs {mode}{rest}"));
                    self.verified.insert(node.to_owned());
                    return Ok(());
                }
                Ok(Seen::Gone) => {
                    self.teller.of_node(node, Step::Node, State::Skipped, "the cluster has no such node any more");
                    self.gone.insert(node.to_owned());
                    return Ok(());
                }
                Ok(Seen::Stale(start, said)) => {
                    let text = format!("came up with {said}, for it read the configuration too early: once more");
                    self.teller.of_node(node, Step::Node, State::Started, text);
                    self.wait(PAUSE).await?;
                    before = self.start_anew(node).await?.or(Some(start));
                }
                Err(why) => {
                    self.teller.of_node(node, Step::Node, State::Failed, why.clone());
                    return Err(Halt::Failed(format!("{node}: {why}")));
                }
            }
        }
        Err(Halt::Failed(format!("{node}: it does not read the new configuration, started anew {STALE} times")))
    }

    /// The lock is still ours and nobody wants to stop.
    async fn go_on(&mut self) -> Result<(), Halt> {
        if self.stop.is_pressed() {
            return Err(Halt::Failed("stopped".to_owned()));
        }
        match self.lock.keep().await {
            Ok(()) => Ok(()),
            Err(error @ LockError::Lost(_)) => Err(Halt::Lost(error.to_string())),
            Err(error) => Err(Halt::Failed(error.to_string())),
        }
    }

    async fn wait(&mut self, time: Duration) -> Result<(), Halt> {
        const PIECE: Duration = Duration::from_secs(3);
        let mut left = time;
        while !left.is_zero() {
            let piece = left.min(PIECE);
            self.stop.sleep(piece).await;
            left = left.saturating_sub(piece);
            if let Err(error @ LockError::Lost(_)) = self.lock.keep().await {
                return Err(Halt::Lost(error.to_string()));
            }
        }
        Ok(())
    }

    /// Puts the configuration back, and has every node that read the new one read it again. Gives what
    /// could not be put back.
    async fn restore(&mut self, applied: Option<&str>) -> Result<(), String> {
        self.returns = true;
        if let (Some(change), Some(version)) = (&self.plan.change, applied) {
            match self.put_back(change, version).await {
                Ok(text) => self.teller.tell(Step::Restore, State::Done, format!("{} {text}", change.object.title)),
                Err(why) => {
                    self.teller.tell(Step::Restore, State::Failed, why.clone());
                    // with the new configuration in place, a restart would only spread it
                    return Err(format!("{why}; {}", self.where_it_stands()));
                }
            }
        }
        let mut left = Vec::new();
        self.verified.clear();
        let mut touched: Vec<String> = self.restarted.keys().cloned().collect();
        match pods(self.session.cluster, &self.plan.record.home, None).await {
            Ok(now) => {
                touched.extend(self.touched_by_others(&now));
                // its deletion was asked for and did not come about
                let same =
                    |node: &str| now.get(node).is_some_and(|pod| self.plan.record.pods.get(node) == Some(&pod.start));
                touched.retain(|node| !same(node));
            }
            Err(why) => left.push(format!("nodes that came or started by themselves are not known: {why}")),
        }
        touched.sort();
        touched.dedup();
        touched.retain(|node| !self.gone.contains(node));
        for node in touched {
            let outcome = match self.start_anew(&node).await {
                Ok(pod) => self.watch(&node, pod, self.plan.record.from).await,
                Err(halt) => Err(halt),
            };
            match outcome {
                Ok(()) => {}
                Err(Halt::Failed(why)) => left.push(why),
                Err(Halt::Lost(why)) => {
                    left.push(format!("{why}; {}", self.where_it_stands()));
                    break;
                }
            }
        }
        if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
    }

    /// The text as it was; where somebody edited it since, only our lines go back. Gives what became of it.
    async fn put_back(&mut self, change: &Change, version: &str) -> Result<&'static str, String> {
        let mut undo = change.undo(version);
        let mut text = "is as it was";
        for _ in 0..TRIES {
            match undo.apply(self.session.cluster, Keep::Yes).await {
                Ok(_) => return Ok(text),
                Err(error @ ApplyError::Refused(_, ReadError::Forbidden(_))) => return Err(error.to_string()),
                Err(_) => {}
            }
            let Ok(now) = current(self.session.cluster, &change.object).await else {
                self.stop.sleep(PAUSE).await;
                continue;
            };
            match way_back(change, &self.plan.record.edit, &now)? {
                Some(next) => {
                    if next.before != change.after {
                        text = "is without the change, with what was edited meanwhile";
                    }
                    undo = next;
                }
                None => return Ok("is as it was"),
            }
        }
        Err(format!("{} could not be put back", change.object.title))
    }

    fn where_it_stands(&self) -> String {
        let all: BTreeSet<&str> = self.plan.batches.iter().flatten().map(String::as_str).collect();
        let done: Vec<&str> = all.iter().copied().filter(|node| self.verified.contains(*node)).collect();
        let unsure: Vec<&str> = self.restarted.keys().map(String::as_str).filter(|node| !done.contains(node)).collect();
        let rest: Vec<&str> =
            all.iter().copied().filter(|node| !done.contains(node) && !unsure.contains(node)).collect();
        let part = |nodes: &[&str], what: &str| {
            (!nodes.is_empty()).then(|| format!("{}: {what}", listed(nodes.iter().copied())))
        };
        let to = self.plan.record.to;
        let parts = [
            part(&done, &format!("run {to}")),
            part(&unsure, "started anew, and not seen to run"),
            part(&rest, "as before"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// Writes how it ended into the backup.
    async fn mark(&mut self, ended: &Ended) {
        let Some(backup) = self.backup.as_ref().filter(|_| !self.lost) else { return };
        let state = match ended {
            Ended::Done => Progress::Done,
            Ended::Refused(_) => Progress::Refused,
            Ended::Restored(_) => Progress::Restored,
            Ended::Mixed(_) => Progress::Mixed,
        };
        if let Err(error) = backup.mark(self.session.cluster, state.name()).await {
            self.teller.tell(Step::Backup, State::Failed, error.to_string());
        }
    }
}

/// The change that takes only our lines back out of the object as it is now; nothing where they are out.
fn way_back(change: &Change, edit: &Edit, now: &Value) -> Result<Option<Change>, String> {
    let text = change.field.iter().try_fold(now, |value, key| value.get(key)).and_then(Value::as_str);
    let text = text.ok_or_else(|| format!("{} has no {} any more", change.object.title, change.field.join(".")))?;
    if text == change.before {
        return Ok(None);
    }
    let after = if text == change.after {
        change.before.clone()
    } else {
        edit.inverse().apply(text).map_err(|refused| format!("{}: {refused}", change.object.title))?
    };
    let version = now.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
    let resource_version = version.to_owned();
    Ok(Some(Change { before: text.to_owned(), after, resource_version, ..change.clone() }))
}
