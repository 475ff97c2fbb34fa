//! Reads what the sources want, round by round, and gives it to them.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use netcore::{
    cluster::{DecodeError, Item, ReadStatus, Resource, resources, wire},
    finding::Unreadable,
    probe::Probe,
    ranges::{Facts, Given, Want, settle_unrecorded, sources},
};
use plugin::{
    cluster::{Cluster, ReadError, Selection},
    nodes::{NodeAnswer, NodeReader, NodesError, Outcome},
};

use crate::probe;

/// Rounds of following a trail (a DaemonSet names a ConfigMap) before sources are taken to be going
/// in circles.
const ROUNDS: usize = 6;

/// Small reads that are under way at a time.
const PARALLEL: usize = 8;

/// Kinds of which a cluster may have very many: each object is folded into the facts as it arrives.
/// All others are collected first, so that several can be read at a time and still be taken in order.
static MANY: [&Resource; 9] = [
    &resources::NODES,
    &resources::PODS,
    &resources::SERVICES,
    &resources::IPADDRESSES,
    &resources::CALICO_IPAMBLOCKS_V1,
    &resources::CALICO_IPAMBLOCKS_V3,
    &resources::CALICO_BLOCKAFFINITIES_V1,
    &resources::CALICO_BLOCKAFFINITIES_V3,
    &resources::CILIUM_NODES,
];

/// Reads everything that the sources want to know; with `probe` the API server is asked for its
/// service ranges, too.
pub(crate) async fn gather(cluster: &Cluster, reader: &NodeReader<'_>, probe: bool) -> Result<Facts, NodesError> {
    let mut facts = Facts::default();
    let mut unseen = Unseen::new();
    for _ in 0..ROUNDS {
        let wants = new_wants(&facts);
        if wants.is_empty() {
            break;
        }
        let (of_nodes, of_api): (Vec<Want>, Vec<Want>) = wants.into_iter().partition(|want| want.probe().is_some());
        let (many, few): (Vec<Want>, Vec<Want>) = of_api.into_iter().partition(has_many);
        let mut answers = stream::iter(few).map(|want| collect(cluster, want)).buffered(PARALLEL);
        while let Some(answer) = answers.next().await {
            for piece in &answer.pieces {
                piece.offer(&mut facts);
            }
            facts.reads.insert(answer.want, answer.status);
        }
        drop(answers);
        for want in many {
            let status = fold(cluster, &want, &mut facts).await;
            facts.reads.insert(want, status);
        }
        unseen.extend(sweep(reader, of_nodes, &mut facts).await?);
    }
    // before anything is inferred: what the server says needs no guess
    probe::run(cluster, probe, &mut facts).await;
    settle_unrecorded(sources::ALL, &mut facts);
    for (want, why) in unseen {
        if let Some(status) = facts.reads.get_mut(&want).filter(|status| status.is_unrecorded()) {
            *status = ReadStatus::Unreadable(why);
        }
    }
    for source in sources::ALL {
        source.finish(&mut facts);
    }
    note_unreadable(&mut facts);
    Ok(facts)
}

fn new_wants(facts: &Facts) -> BTreeSet<Want> {
    sources::ALL.iter().flat_map(|source| source.wants(facts)).filter(|want| !facts.reads.contains_key(want)).collect()
}

fn has_many(want: &Want) -> bool {
    matches!(want, Want::List { resource, labels: None, fields: None, .. } if MANY.contains(resource))
}

/// What one want gave.
struct Answer {
    want: Want,
    pieces: Vec<Piece>,
    status: ReadStatus,
}

/// One piece, still encoded.
enum Piece {
    Object(&'static Resource, Vec<u8>),
    Raw(String, String),
    ServingCertificate(String),
}

impl Piece {
    fn offer(&self, facts: &mut Facts) {
        match self {
            Self::Object(resource, json) => take_whole(resource, Item::json(json), facts),
            Self::Raw(path, text) => offer(Given::Raw(path, text), facts),
            Self::ServingCertificate(pem) => offer(Given::ServingCertificate(pem), facts),
        }
    }
}

fn offer(given: Given<'_>, facts: &mut Facts) {
    for source in sources::ALL {
        source.take(given, facts);
    }
}

async fn collect(cluster: &Cluster, want: Want) -> Answer {
    let mut pieces = Vec::new();
    let status = match &want {
        Want::List { resource, .. } => {
            let keep = &mut |item: Item<'_>| pieces.push(Piece::Object(resource, item.bytes.to_vec()));
            cluster.list(resource, selection(&want), keep).await
        }
        Want::Get { resource, namespace, name } => {
            let object = cluster.get(resource, namespace, name).await;
            one(object, &mut pieces, |json| Piece::Object(resource, json))
        }
        Want::Raw { path, accept } => {
            one(cluster.raw(path, accept).await, &mut pieces, |text| Piece::Raw(path.clone(), text))
        }
        Want::ServingCertificate => one(cluster.serving_certificate().await, &mut pieces, Piece::ServingCertificate),
        // read in one sweep
        Want::Node(_) => ReadStatus::Absent,
    };
    Answer { want, pieces, status }
}

/// What a list want selects.
fn selection(want: &Want) -> Selection<'_> {
    match want {
        Want::List { namespace, labels, fields, .. } => {
            Selection { namespace: namespace.as_deref(), labels: labels.as_deref(), fields: fields.as_deref() }
        }
        _ => Selection::default(),
    }
}

/// Keeps the one piece that an answer is, if there is one.
fn one<T>(answer: Result<Option<T>, ReadError>, pieces: &mut Vec<Piece>, piece: impl FnOnce(T) -> Piece) -> ReadStatus {
    match answer {
        Ok(Some(answer)) => {
            pieces.push(piece(answer));
            ReadStatus::Complete
        }
        Ok(None) => ReadStatus::Absent,
        Err(error) => error.into(),
    }
}

async fn fold(cluster: &Cluster, want: &Want, facts: &mut Facts) -> ReadStatus {
    let Want::List { resource, .. } = want else { return ReadStatus::Absent };
    let mut bad = None;
    let mut count = 0u64;
    let each = &mut |item: Item<'_>| {
        count += 1;
        if let Err(error) = take_lean(resource, item, facts) {
            bad.get_or_insert(format!("object {count}: {error}"));
        }
    };
    let status = cluster.list(resource, selection(want), each).await;
    match (status, bad) {
        (ReadStatus::Complete, Some(bad)) => ReadStatus::Partial(bad),
        (status, _) => status,
    }
}

/// One object of a kind that a cluster has many of, by its few fields where it has a lean struct.
fn take_lean(resource: &'static Resource, item: Item<'_>, facts: &mut Facts) -> Result<(), DecodeError> {
    if *resource == resources::NODES {
        offer(Given::Node(&item.lean::<wire::Node>()?), facts);
    } else if *resource == resources::PODS {
        offer(Given::Pod(&item.lean::<wire::Pod>()?), facts);
    } else if *resource == resources::SERVICES {
        offer(Given::Service(&item.lean::<wire::Service>()?), facts);
    } else if *resource == resources::IPADDRESSES {
        offer(Given::IpAddress(&item.lean::<wire::IpAddress>()?), facts);
    } else {
        offer(Given::Object(resource, &item.value()?), facts);
    }
    Ok(())
}

fn take_whole(resource: &'static Resource, item: Item<'_>, facts: &mut Facts) {
    match item.value() {
        Ok(object) => offer(Given::Object(resource, &object), facts),
        Err(error) => facts.problem(&resource.full_name(), format!("an object could not be decoded: {error}")),
    }
}

/// Reads what sources want of nodes, one sweep for all of it. A probe that nothing on any node sees is
/// taken for not recorded: it is only missed where something else shows that it should be there.
async fn sweep(reader: &NodeReader<'_>, wanted: Vec<Want>, facts: &mut Facts) -> Result<Unseen, NodesError> {
    let probes: Vec<Probe> = wanted.iter().filter_map(Want::probe).collect();
    let answers = reader.read_all(&probes).await?;
    let mut unseen = Unseen::new();
    for want in wanted {
        let Some(probe) = want.probe() else { continue };
        let mut tally = Tally::default();
        for answer in answers.iter().filter(|answer| answer.probe == probe) {
            tally.add(answer, facts);
            if let Outcome::Text(text) = &answer.outcome {
                offer(Given::Probe(answer.node.as_deref(), probe, text, &answer.file), facts);
            }
        }
        if let Some(why) = tally.unseen_everywhere() {
            unseen.insert(want.clone(), why);
        }
        facts.reads.insert(want, tally.status());
    }
    Ok(unseen)
}

/// Wants that nothing on any node sees, and why.
type Unseen = BTreeMap<Want, String>;

/// How the reading of one probe went over all nodes.
#[derive(Default)]
struct Tally {
    read: usize,
    absent: usize,
    unseen: Vec<String>,
    failed: usize,
    nowhere: Option<String>,
}

impl Tally {
    fn add(&mut self, answer: &NodeAnswer, facts: &mut Facts) {
        match (&answer.outcome, &answer.node) {
            (Outcome::Text(_), _) => self.read += 1,
            (Outcome::Absent(_), _) => self.absent += 1,
            (Outcome::Unseen(why), _) => self.unseen.push(why.clone()),
            (Outcome::Unreadable(why), Some(node)) => {
                self.failed += 1;
                facts.unreadable.push(Unreadable {
                    source: answer.probe.file().to_owned(),
                    node: Some(node.clone()),
                    reason: why.clone(),
                });
            }
            (Outcome::Unreadable(why), None) => self.nowhere = Some(why.clone()),
        }
    }

    fn unseen_everywhere(&self) -> Option<String> {
        let alone = self.read + self.absent + self.failed == 0 && self.nowhere.is_none();
        self.unseen.first().filter(|_| alone).cloned()
    }

    fn status(&self) -> ReadStatus {
        match self {
            Self { nowhere: Some(why), read: 0, .. } => ReadStatus::Unreadable(why.clone()),
            _ if self.unseen_everywhere().is_some() => ReadStatus::not_recorded(),
            // each node that failed is listed by itself
            Self { read: 0, absent: 0, .. } => ReadStatus::Absent,
            _ => ReadStatus::Complete,
        }
    }
}

/// Lists what was wanted and could not be read.
fn note_unreadable(facts: &mut Facts) {
    let failed: Vec<Unreadable> = facts
        .reads
        .iter()
        .filter_map(|(want, status)| match status {
            ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason) => {
                Some(Unreadable { source: want.to_string(), node: None, reason: reason.clone() })
            }
            ReadStatus::Complete | ReadStatus::Absent => None,
        })
        .collect();
    facts.unreadable.extend(failed);
    facts.unreadable.sort();
    facts.unreadable.dedup();
}
