//! Lists, page by page: items are handed over while they arrive, and the next page is asked for as
//! soon as its token is known.

use netcore::cluster::{Encoding, Item, ReadStatus, Resource, resources, wire};
use serde::Deserialize;
use tokio::task::JoinHandle;

use super::{
    Cluster, ReadError, encode,
    request::{Answer, JSON, PROTOBUF, Transport},
    split::Splitter,
};

/// How many objects a page has: large, for each page costs the server a pass over its cache.
const PAGE: u32 = 5000;

/// Which objects of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection<'a> {
    /// One namespace, or all.
    pub namespace: Option<&'a str>,
    /// A label selector.
    pub labels: Option<&'a str>,
    /// A field selector.
    pub fields: Option<&'a str>,
}

/// The kinds that have lean messages for protobuf.
fn has_protobuf(resource: &Resource) -> bool {
    [&resources::NODES, &resources::PODS, &resources::SERVICES, &resources::IPADDRESSES].contains(&resource)
}

impl Cluster {
    /// Hands over every object that is selected, once, and says how the reading ended. Nodes, pods,
    /// Services and IP addresses may come in protobuf, all others and what labels or fields select in JSON.
    pub async fn list(
        &self,
        resource: &'static Resource,
        selection: Selection<'_>,
        each: &mut dyn FnMut(Item<'_>),
    ) -> ReadStatus {
        self.list_kept(resource, selection, self.is_recorded(), each).await
    }

    /// The same without a trace in the recording: for how something is read, not for what.
    pub(crate) async fn list_aside(
        &self,
        resource: &'static Resource,
        selection: Selection<'_>,
        each: &mut dyn FnMut(Item<'_>),
    ) -> ReadStatus {
        self.list_kept(resource, selection, false, each).await
    }

    async fn list_kept(
        &self,
        resource: &'static Resource,
        selection: Selection<'_>,
        kept: bool,
        each: &mut dyn FnMut(Item<'_>),
    ) -> ReadStatus {
        let mut absent = ReadStatus::Absent;
        for version in self.versions(resource).await {
            let url = Url::new(resource, version, selection);
            let path = url.page(None);
            // Objects that somebody selects are wanted whole, and a recording is JSON.
            let whole = selection.labels.is_some() || selection.fields.is_some();
            let lean = has_protobuf(resource) && !whole && !kept && !self.is_offline();
            let accept = if lean { PROTOBUF } else { JSON };
            let mut list = List { transport: &self.transport, url, accept, seen: Seen::default() };
            let mut keep = |item: Item<'_>| {
                if kept {
                    self.record(|recorder| recorder.object(resource, version, item.bytes));
                }
                each(item);
            };
            let outcome = list.read(&mut keep).await;
            let count = list.seen.count;
            match outcome {
                Ok(()) => {
                    if kept {
                        self.record(|recorder| recorder.listed(resource, &path));
                    }
                    return ReadStatus::Complete;
                }
                Err(ReadError::NotRecorded) if count == 0 => absent = ReadStatus::not_recorded(),
                Err(error) => {
                    if kept {
                        self.record_error(&path, &error, count);
                    }
                    match error {
                        ReadError::NotFound(_) if count == 0 => {}
                        error if count == 0 => return error.into(),
                        error => return ReadStatus::Partial(format!("{error} after {}", objects(count))),
                    }
                }
            }
        }
        absent
    }
}

/// `1 object`, `2 objects`.
fn objects(count: u64) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
}

/// The address of a list's pages.
pub(super) struct Url {
    path: String,
    selectors: String,
}

impl Url {
    pub(super) fn new(resource: &Resource, version: &str, selection: Selection<'_>) -> Self {
        let namespace = selection.namespace.map(encode);
        let mut selectors = String::new();
        for (name, value) in [("labelSelector", selection.labels), ("fieldSelector", selection.fields)] {
            if let Some(value) = value {
                selectors.extend(["&", name, "=", &encode(value)]);
            }
        }
        Self { path: resource.path(version, namespace.as_deref()), selectors }
    }

    fn page(&self, token: Option<&str>) -> String {
        let token = token.map(|token| format!("&continue={}", encode(token))).unwrap_or_default();
        format!("{}?limit={PAGE}{}{token}", self.path, self.selectors)
    }
}

/// One list that is being read.
pub(super) struct List<'a> {
    pub(super) transport: &'a Transport,
    pub(super) url: Url,
    pub(super) accept: &'static str,
    pub(super) seen: Seen,
}

/// A page that was asked for ahead of its turn; given up with the list.
struct Ahead(JoinHandle<Result<Answer, ReadError>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl List<'_> {
    pub(super) async fn read(&mut self, each: &mut dyn FnMut(Item<'_>)) -> Result<(), ReadError> {
        let mut token = None;
        let mut ahead = None;
        let mut restarted = false;
        loop {
            let answer = match ahead.take() {
                Some(ahead) => arrived(ahead).await,
                None => self.transport.get(&self.url.page(token.as_deref()), self.accept).await,
            };
            match answer {
                Ok(answer) => {
                    (token, ahead) = self.page(answer, each).await?;
                    if token.is_none() {
                        return Ok(());
                    }
                }
                Err(ReadError::Status { code: 406, .. }) if self.accept != JSON => self.accept = JSON,
                // The server offers a way on: the rest of the list as it is now.
                Err(ReadError::Expired { resume: Some(resume), .. }) if token.as_ref() != Some(&resume) => {
                    token = Some(resume);
                }
                Err(ReadError::Expired { .. }) if !restarted => {
                    restarted = true;
                    token = None;
                    self.seen.start_again();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads one page to its end; gives the next one's token, and its request under way.
    async fn page(
        &mut self,
        mut answer: Answer,
        each: &mut dyn FnMut(Item<'_>),
    ) -> Result<(Option<String>, Option<Ahead>), ReadError> {
        let mut splitter = Splitter::new(answer.protobuf);
        let malformed = |error: super::split::Malformed| ReadError::Malformed(error.to_string());
        let mut next: Option<String> = None;
        let mut ahead = None;
        while let Some(chunk) = answer.chunk().await? {
            splitter
                .feed(&chunk, &mut |item| {
                    if self.seen.is_new(&item) {
                        each(item);
                    }
                })
                .map_err(malformed)?;
            if next.is_none()
                && let Some(token) = splitter.next()
            {
                let (transport, path, accept) = (self.transport.clone(), self.url.page(Some(token)), self.accept);
                ahead = Some(Ahead(tokio::spawn(async move { transport.get(&path, accept).await })));
                next = Some(token.to_owned());
            }
        }
        splitter.finish().map_err(malformed)?;
        Ok((next, ahead))
    }
}

async fn arrived(mut ahead: Ahead) -> Result<Answer, ReadError> {
    match (&mut ahead.0).await {
        Ok(answer) => answer,
        Err(error) => Err(ReadError::Connection(error.to_string())),
    }
}

/// What of a list was handed over. A list comes in the order of its keys, so that after a new start
/// everything up to the last key is known already.
#[derive(Default)]
pub(super) struct Seen {
    count: u64,
    last: Vec<u8>,
    encoding: Option<Encoding>,
    skip_to: Option<Vec<u8>>,
}

impl Seen {
    fn is_new(&mut self, item: &Item<'_>) -> bool {
        if let Some(known) = &self.skip_to {
            if key(item).is_none_or(|key| key <= *known) {
                return false;
            }
            self.skip_to = None;
        }
        self.count += 1;
        self.last.clear();
        self.last.extend_from_slice(item.bytes);
        self.encoding = Some(item.encoding);
        true
    }

    fn start_again(&mut self) {
        self.skip_to = self.encoding.and_then(|encoding| key(&Item { encoding, bytes: &self.last }));
    }
}

/// As much of any object as names it.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
struct Named {
    #[prost(message, optional, tag = "1")]
    metadata: Option<wire::ObjectMeta>,
}

/// The key that the server keeps an object under, and sorts by.
fn key(item: &Item<'_>) -> Option<Vec<u8>> {
    use prost::Message;
    let named = match item.encoding {
        Encoding::Json => serde_json::from_slice(item.bytes).ok()?,
        Encoding::Protobuf => Named::decode(item.bytes).ok()?,
    };
    let metadata = named.metadata?;
    let key =
        if metadata.namespace.is_empty() { metadata.name } else { format!("{}/{}", metadata.namespace, metadata.name) };
    Some(key.into_bytes())
}
