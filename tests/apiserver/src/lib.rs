//! An API server for tests, in the test's own process: real HTTP/1.1 over TLS on a loopback port,
//! real discovery, selectors, paging and encodings, the error texts of many releases, and every
//! trouble that a client has to bear. It keeps what it was asked.
//!
//! Where its answers were compared with a real kube-apiserver, they are in `tests/e2e`'s
//! `real_apiserver` suite, which runs wherever one is at hand.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "only tests use this crate: a wrong set-up is to stop the test at once, with its reason"
)]

mod access;
mod config;
mod discovery;
mod encode;
mod fault;
pub mod generate;
mod kinds;
mod list;
mod objects;
mod pods;
mod reply;
mod select;
mod serve;
mod services;
mod store;
mod streams;
mod tls;

pub use access::User;
pub use config::{Config, Moment};
pub use discovery::Discovery;
pub use encode::{protobuf, slot};
pub use fault::{Fault, Trouble};
pub use kinds::Kind;
pub use objects::{Collection, Generated, load, with_huge_annotation};
pub use services::Allocator;
pub use store::{Controller, Look};
pub use streams::{Answers, Exec, Ran, Runs};

use std::{
    convert::Infallible,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot};
use tokio_rustls::TlsAcceptor;

use serve::{Asked, Cluster};

/// A request that the server got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// `GET`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query as sent.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Who asked, or was asked for; none where nobody known did.
    pub user: Option<String>,
}

impl Recorded {
    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        serve::pairs(&self.query).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it could change the cluster.
    pub fn writes(&self) -> bool {
        let review = self.path.contains("/apis/authorization.k8s.io/") || self.path.contains("accessreviews");
        !matches!(self.method.as_str(), "GET" | "HEAD")
            && !(self.method == "POST" && (review || self.parameter("dryRun").as_deref() == Some("All")))
    }
}

/// Somebody else's hands on a cluster.
pub struct Hands<'a> {
    pub(crate) cluster: &'a Cluster,
}

impl Hands<'_> {
    /// An object as it is now, by its kind's plural and its key (`namespace/name`).
    pub fn object(&self, plural: &str, key: &str) -> Option<serde_json::Value> {
        self.cluster.object(plural, key)
    }

    /// The objects of a kind as they are now.
    pub fn objects(&self, plural: &str) -> Vec<serde_json::Value> {
        self.cluster.objects(plural)
    }

    /// Puts an object there.
    pub fn put(&self, plural: &str, object: serde_json::Value) {
        self.cluster.put(plural, object);
    }

    /// Takes an object away.
    pub fn take(&self, plural: &str, key: &str) -> Option<serde_json::Value> {
        self.cluster.take(plural, key)
    }
}

/// A running server; it ends when this is dropped, and the test fails if anything was to be written.
pub struct Server {
    address: SocketAddr,
    cluster: Arc<Cluster>,
    authority: tls::Authority,
    folder: tempfile::TempDir,
    tokens: Vec<(String, String)>,
    writes_allowed: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts a server on a free loopback port.
    pub fn start(config: Config) -> Self {
        let authority = tls::Authority::new();
        let tls = authority.server(&serve::certificate_names(&config));
        let tokens = config.users.iter().map(|user| (user.name.clone(), user.token.clone())).collect();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("an address");
        let cluster = Arc::new(Cluster::new(config, address.to_string()));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn({
            let cluster = Arc::clone(&cluster);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let listener = TcpListener::from_std(listener).expect("a listener");
                    tokio::select! {
                        () = accept(listener, TlsAcceptor::from(tls), cluster) => {}
                        _ = stopped => {}
                    }
                });
                // Requests that hang end with it.
                runtime.shutdown_background();
            }
        });
        Self {
            address,
            cluster,
            authority,
            folder: tempfile::tempdir().expect("a temporary folder"),
            tokens,
            writes_allowed: false,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// A kubeconfig for `admin`, who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_for("admin")
    }

    /// A kubeconfig with a user's token.
    pub fn kubeconfig_for(&self, user: &str) -> PathBuf {
        let token = self.tokens.iter().find(|(name, _)| name == user).map_or("unknown", |(_, token)| token.as_str());
        self.write_kubeconfig(user, &json!({"token": token}))
    }

    /// A kubeconfig with a client certificate for a user.
    pub fn kubeconfig_with_certificate(&self, user: &str) -> PathBuf {
        let (certificate, key) = self.authority.client(user);
        let credentials = json!({
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        });
        self.write_kubeconfig(&format!("{user}-certificate"), &credentials)
    }

    /// The authority's certificate, in a file.
    pub fn certificate_authority(&self) -> PathBuf {
        self.write("ca.crt", &self.authority.pem)
    }

    /// The bearer token of a user.
    pub fn token(&self, user: &str) -> Option<&str> {
        self.tokens.iter().find(|(name, _)| name == user).map(|(_, token)| token.as_str())
    }

    /// A folder that lives as long as the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.cluster.recorded()
    }

    /// The paths of every request so far.
    pub fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }

    /// The requests that could have changed the cluster.
    pub fn writes(&self) -> Vec<Recorded> {
        self.requests().into_iter().filter(Recorded::writes).collect()
    }

    /// What the cluster holds, to look at and to change as somebody else would.
    pub fn hands(&self) -> Hands<'_> {
        Hands { cluster: &self.cluster }
    }

    /// Every pod that a client asked to be made, as it did.
    pub fn pods_asked_for(&self) -> Vec<serde_json::Value> {
        self.cluster.pods.asked()
    }

    /// The names of the pods that clients made and nobody deleted.
    pub fn pods_left(&self) -> Vec<String> {
        self.cluster.pods.left()
    }

    /// The names of the pods that were deleted.
    pub fn pods_deleted(&self) -> Vec<String> {
        self.cluster.pods.deleted()
    }

    /// Lets the test write.
    #[must_use]
    pub const fn allow_writes(mut self) -> Self {
        self.writes_allowed = true;
        self
    }

    fn write_kubeconfig(&self, name: &str, user: &serde_json::Value) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url(),
                "certificate-authority-data": STANDARD.encode(&self.authority.pem)}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        });
        self.write(&format!("{name}.kubeconfig"), &config.to_string())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if !thread::panicking() && !self.writes_allowed {
            let writes = self.writes();
            assert!(writes.is_empty(), "nothing may be written, but was: {writes:#?}");
        }
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, cluster: Arc<Cluster>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        let (tls, cluster) = (tls.clone(), Arc::clone(&cluster));
        tokio::spawn(async move {
            let Ok(Ok(stream)) = tokio::time::timeout(serve::HANDSHAKE, tls.accept(socket)).await else { return };
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate = certificates.and_then(|chain| chain.first()).and_then(tls::common_name);
            let service = service_fn(|mut request: hyper::Request<Incoming>| {
                let (cluster, certificate) = (Arc::clone(&cluster), certificate.clone());
                async move {
                    let upgrade = request.headers().contains_key(http::header::UPGRADE);
                    let upgrade = upgrade.then(|| hyper::upgrade::on(&mut request));
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
                    let asked = Asked {
                        method: head.method,
                        path: head.uri.path().to_owned(),
                        query: head.uri.query().unwrap_or_default().to_owned(),
                        headers: head.headers,
                        certificate,
                        body,
                        upgrade: upgrade.into(),
                    };
                    Ok::<_, Infallible>(cluster.answer(asked).await)
                }
            });
            // A client that goes away is no concern of the server.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}
