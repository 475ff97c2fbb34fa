//! The cluster, live or read from files: everything through one client.

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

use std::time::Duration;

use http::Method;
use netcore::cluster::Resource;

pub use connect::ConnectError;
pub use error::ReadError;
pub use list::Selection;
pub use request::Trace;

use crate::from::recording::SERVING_CERTIFICATE;
use discovery::Groups;
use request::{JSON, Transport};

/// How long the handshake for the serving certificate may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A cluster that can be read.
pub struct Cluster {
    transport: Transport,
    about: About,
    endpoint: Option<Endpoint>,
    namespace: String,
    groups: tokio::sync::OnceCell<Groups>,
}

/// Which cluster it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The kubeconfig context.
    pub context: Option<String>,
    /// The API server's URL.
    pub server: Option<String>,
    /// The API server's `gitVersion`.
    pub version: Option<String>,
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

    /// Which cluster it is.
    pub fn about(&self) -> &About {
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
        for version in self.versions(resource).await {
            let path = format!("{}/{}", resource.path(version, namespace.as_deref()), encode(name));
            match self.fetch(&path, JSON).await {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(ReadError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// An answer that is no object (`/flagz`), at most 64 MiB; nothing where the server has no such path.
    ///
    /// # Errors
    /// Where the server does not give it, or it is no text.
    pub async fn raw(&self, path: &str, accept: &str) -> Result<Option<String>, ReadError> {
        match self.fetch(path, accept).await {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
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
        if !endpoint.tls {
            return Ok(None);
        }
        if endpoint.proxied {
            return Err(ReadError::Connection("not asked for: the server is behind a proxy".to_owned()));
        }
        let limit = self.transport.whole.unwrap_or(HANDSHAKE);
        let Endpoint { host, port, name, .. } = endpoint;
        let chain = move || crate::tls::presented_chain(&host, port, name.as_deref(), limit);
        match tokio::task::spawn_blocking(chain).await {
            Ok(chain) => chain.map(Some).map_err(ReadError::Connection),
            Err(error) => Err(ReadError::Connection(error.to_string())),
        }
    }

    async fn fetch(&self, path: &str, accept: &str) -> Result<Vec<u8>, ReadError> {
        self.transport.get(path, accept).await?.whole().await
    }

    /// The versions of a kind that are worth asking for.
    async fn versions(&self, resource: &'static Resource) -> Vec<&'static str> {
        let groups = self.groups.get_or_init(|| async { Groups::parse(self.fetch("/apis", JSON).await.ok()) });
        if resource.group.is_empty() { resource.versions.to_vec() } else { groups.await.served(resource) }
    }
}

/// Percent-encodes one segment of a path, or a value of a query.
fn encode(text: &str) -> String {
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
