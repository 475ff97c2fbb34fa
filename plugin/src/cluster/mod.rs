//! The cluster, live or read from files: everything through one client.

mod apply;
mod connect;
mod discovery;
mod error;
mod json;
mod kubeconfig;
mod list;
mod protobuf;
mod proxy;
mod request;
mod split;

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use http::Method;
use netcore::{
    cluster::Resource,
    report::{ClusterInfo, Window},
};

pub use apply::Keep;
pub use connect::ConnectError;
pub use error::ReadError;
pub(crate) use error::{innermost, plain_words};
pub use list::Selection;
pub use request::Trace;

use crate::{
    from::{self, Snapshot, recording::SERVING_CERTIFICATE},
    record::{RecordError, Recorder, timestamp},
};
use discovery::Groups;
use request::{JSON, Transport};

/// How long the handshake for the serving certificate may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A cluster that can be read.
pub struct Cluster {
    transport: Transport,
    about: ClusterInfo,
    endpoint: Option<Endpoint>,
    namespace: String,
    groups: tokio::sync::OnceCell<Groups>,
    snapshot: Option<Snapshot>,
    recorder: RefCell<Option<Recorder>>,
    /// When reading began, RFC 3339.
    started: String,
}

/// Where the API server's own TLS handshake is to be had.
#[derive(Clone, Debug)]
struct Endpoint {
    host: String,
    port: u16,
    tls: bool,
    /// The name to ask for, where it is not the host.
    name: Option<String>,
    proxied: bool,
}

impl Cluster {
    /// The client that everything is read through; for what is not an object (exec, watches).
    pub fn client(&self) -> &kube::Client {
        &self.transport.client
    }

    /// Which cluster it is, as far as connecting to it or opening the recording tells.
    pub fn about(&self) -> &ClusterInfo {
        &self.about
    }

    /// The namespace of `--namespace` or of the context, else `default`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The API server's `gitVersion`, where it says so.
    pub fn version(&self) -> Option<&str> {
        self.about.version.as_deref()
    }

    /// Has every answer told to `trace`: method, path, status.
    #[must_use]
    pub fn traced(mut self, trace: Trace) -> Self {
        self.transport.trace = Some(trace);
        self
    }

    /// Tells what is done past this client to whoever is told every answer.
    pub(crate) fn trace(&self, line: &str) {
        if let Some(trace) = &self.transport.trace {
            trace(line);
        }
    }

    /// One object in JSON; nothing where the cluster has no such object or kind.
    ///
    /// # Errors
    /// Where the server does not give it, or gives something else.
    pub async fn get(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let namespace = (!namespace.is_empty()).then(|| encode(namespace));
        let mut missing = Ok(None);
        for version in self.versions(resource).await {
            let path = format!("{}/{}", resource.path(version, namespace.as_deref()), encode(name));
            match self.fetch(&path, JSON).await {
                Ok(bytes) => {
                    self.record(|recorder| recorder.object(resource, version, &bytes));
                    return Ok(Some(bytes));
                }
                Err(ReadError::NotFound(_)) => {}
                Err(ReadError::NotRecorded) => missing = Err(ReadError::NotRecorded),
                Err(error) => return Err(error),
            }
        }
        missing
    }

    /// An answer that is no object (`/flagz`), at most 64 MiB; nothing where the server has no such path.
    ///
    /// # Errors
    /// Where the server does not give it, or it is no text.
    pub async fn raw(&self, path: &str, accept: &str) -> Result<Option<String>, ReadError> {
        match self.fetch(path, accept).await {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => {
                    self.record(|recorder| recorder.raw(path, &text));
                    Ok(Some(text))
                }
                Err(_) => Err(ReadError::Malformed(format!("the answer to {path} is not UTF-8"))),
            },
            Err(ReadError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has the server check an object that it does not keep; gives the object as it would be created.
    /// There is no way to leave out `dryRun=All`.
    ///
    /// # Errors
    /// The server's refusal, with its status and message.
    pub async fn create_dry_run(&self, path: &str, object: &serde_json::Value) -> Result<Vec<u8>, ReadError> {
        if path.contains(['?', '#']) {
            return Err(ReadError::Malformed(format!("\"{path}\" may have no query")));
        }
        let body = serde_json::to_vec(object).map_err(|error| ReadError::Malformed(error.to_string()))?;
        let path = format!("{path}?dryRun=All");
        self.transport.send(Method::POST, &path, JSON, body.into()).await?.whole().await
    }

    /// The chain that the API server presents, in PEM, unverified; nothing where it speaks plain HTTP.
    ///
    /// # Errors
    /// Where it can't be had; through a proxy it is not asked for.
    pub async fn serving_certificate(&self) -> Result<Option<String>, ReadError> {
        let Some(endpoint) = self.endpoint.clone() else {
            return self.raw(SERVING_CERTIFICATE, "application/x-pem-file").await;
        };
        let outcome = self.handshake(endpoint).await;
        match &outcome {
            Ok(Some(chain)) => self.record(|recorder| recorder.raw(SERVING_CERTIFICATE, chain)),
            Ok(None) => {
                self.record_error(
                    SERVING_CERTIFICATE,
                    &ReadError::NotFound("the server speaks plain HTTP".to_owned()),
                    0,
                );
            }
            Err(error) => self.record_error(SERVING_CERTIFICATE, error, 0),
        }
        outcome
    }

    async fn handshake(&self, endpoint: Endpoint) -> Result<Option<String>, ReadError> {
        let Endpoint { host, port, tls, name, proxied } = endpoint;
        if !tls {
            return Ok(None);
        }
        if proxied {
            return Err(ReadError::Connection("not asked for: the server is behind a proxy".to_owned()));
        }
        let limit = self.transport.whole.unwrap_or(HANDSHAKE);
        let chain = move || crate::tls::presented_chain(&host, port, name.as_deref(), limit);
        match tokio::task::spawn_blocking(chain).await {
            Ok(chain) => chain.map(Some).map_err(ReadError::Connection),
            Err(error) => Err(ReadError::Connection(error.to_string())),
        }
    }

    /// Whether files are read instead of an API server.
    pub fn is_offline(&self) -> bool {
        self.snapshot.is_some()
    }

    /// The files that are read instead of an API server.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Whether this run is recorded.
    pub fn is_recorded(&self) -> bool {
        self.recorder.borrow().is_some()
    }

    /// Writes to the recording, where there is one: for what is read past this client.
    pub fn record(&self, write: impl FnOnce(&mut Recorder)) {
        if let Some(recorder) = self.recorder.borrow_mut().as_mut() {
            write(recorder);
        }
    }

    /// Ends the reading, and the recording where there is one: says when the cluster was read, the
    /// same as the recording says. Empty for a dump, which does not tell.
    ///
    /// # Errors
    /// Where the recording could not be written.
    pub fn finish(&self) -> Result<Window, RecordError> {
        let window = match &self.snapshot {
            Some(snapshot) => snapshot.info().recording.as_ref().map(|r| r.window.clone()).unwrap_or_default(),
            None => Window { start: Some(self.started.clone()), end: Some(timestamp(SystemTime::now())) },
        };
        match self.recorder.take() {
            Some(recorder) => recorder.finish(window.clone()).map(|()| window),
            None => Ok(window),
        }
    }

    fn record_error(&self, path: &str, error: &ReadError, after: u64) {
        // What old files do not hold, new ones do not hold either.
        if *error != ReadError::NotRecorded {
            let (status, reason, message) = error.recorded();
            self.record(|recorder| recorder.answer(path, status, reason, &message, after));
        }
    }

    async fn fetch(&self, path: &str, accept: &str) -> Result<Vec<u8>, ReadError> {
        let answer = async { self.transport.get(path, accept).await?.whole().await }.await;
        if let Err(error) = &answer {
            self.record_error(path, error, 0);
        }
        answer
    }

    /// The API groups; a dump has what was dumped, which says nothing about the cluster.
    async fn groups(&self) -> Groups {
        if self.snapshot().is_some_and(|snapshot| snapshot.info().kind == from::Kind::Dump) {
            return Groups::default();
        }
        let text = self.raw("/apis", JSON).await.ok().flatten();
        Groups::parse(text.as_deref())
    }

    /// The versions of a kind that are worth asking for.
    async fn versions(&self, resource: &'static Resource) -> Vec<&'static str> {
        if resource.group.is_empty() {
            return resource.versions.to_vec();
        }
        self.groups.get_or_init(|| self.groups()).await.served(resource)
    }
}

/// Percent-encodes one segment of a path, or a value of a query.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    // A segment of dots alone would be a step up.
    if encoded.bytes().all(|byte| byte == b'.') { encoded.replace('.', "%2E") } else { encoded }
}

#[cfg(test)]
mod tests;
