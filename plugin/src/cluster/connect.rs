//! Making the connection, and saying in words why it can't be made.

use std::{
    cell::RefCell,
    path::Path,
    time::{Duration, SystemTime},
};

use kube::{
    Client, Config,
    client::{AuthError, ClientBuilder, ConfigExt},
    config::ExecConfig,
};
use netcore::report::ClusterInfo;
use tower::buffer::BufferLayer;

use super::{
    Cluster, Endpoint, ReadError,
    error::innermost,
    kubeconfig::{self, Environment, Settings},
    request::{JSON, Transport},
};
use crate::{
    args::{InputArgs, KubeArgs},
    from,
    record::{RecordError, Recorder, timestamp},
};

/// How long a server may be silent: what it gives itself for a request.
const SILENCE: Duration = Duration::from_secs(60);

/// Why there is no cluster to read.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A kubeconfig that can't be read.
    #[error("kubeconfig {path}: {reason}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// No kubeconfig, and no service account either.
    #[error("no cluster to talk to: no kubeconfig at {tried}, and this is not a pod with a service account")]
    NoKubeconfig {
        /// Where it was looked for.
        tried: String,
    },
    /// A context, cluster or user that the kubeconfig does not have.
    #[error("the kubeconfig has no {what} \"{name}\"; it has {known}")]
    Unknown {
        /// `context`, `cluster`, `user`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No server's address.
    #[error("the kubeconfig selects no cluster: it has no current-context, or one without a server")]
    NoServer,
    /// An address that is none.
    #[error("server \"{server}\" is no address; valid are https://host:port and host:port")]
    Server {
        /// As given.
        server: String,
    },
    /// A proxy that is none.
    #[error("proxy \"{proxy}\" is no address; valid are http://, https:// and socks5://host:port")]
    Proxy {
        /// As given, without its password.
        proxy: String,
    },
    /// A certificate authority that can't be read.
    #[error("certificate authority {from}: {reason}")]
    Authority {
        /// The file or field.
        from: String,
        /// Why.
        reason: String,
    },
    /// Credentials that can't be had.
    #[error("credentials: {reason}")]
    Credentials {
        /// Why.
        reason: String,
    },
    /// A group or uid without a user.
    #[error("--as-group and --as-uid need --as: nobody is impersonated")]
    ImpersonatesNobody,
    /// Files that can't be read.
    #[error(transparent)]
    From(#[from] from::FromError),
    /// A recording that can't be written.
    #[error("--record {0}")]
    Record(#[from] RecordError),
    /// The server gave no answer.
    #[error("the API server {server} can't be reached: {reason}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server does not know the user.
    #[error("the API server {server} does not accept the credentials: {reason}")]
    Unauthorized {
        /// Its URL.
        server: String,
        /// Its message.
        reason: String,
    },
}

impl ConnectError {
    pub(super) fn kubeconfig(path: &Path, reason: String) -> Self {
        Self::Kubeconfig { path: path.display().to_string(), reason }
    }

    pub(super) fn unknown(what: &'static str, name: &str, known: &[&str]) -> Self {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Self::Unknown { what, name: name.to_owned(), known }
    }

    /// What to try next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoKubeconfig { .. } => {
                Some("name a kubeconfig with --kubeconfig, or read a dump or recording with --from")
            }
            Self::Unknown { what: "context", .. } => Some("`kubectl config get-contexts` lists them"),
            Self::NoServer => Some("choose a context with --context, or name a server with --server"),
            Self::Unreachable { reason, .. } if reason.contains("certificate") => Some(
                "name the server's authority with --certificate-authority, or the name in its certificate with --tls-server-name",
            ),
            Self::Unreachable { .. } => {
                Some("is the server up, and is --context right? Without a server, read a dump or recording with --from")
            }
            Self::Unauthorized { .. } => Some("log in again, or choose another user with --context, --user or --token"),
            _ => None,
        }
    }
}

impl Cluster {
    /// Connects to the cluster that the flags name, and makes sure that it answers.
    ///
    /// # Errors
    /// Where there is no such cluster, or it does not answer, or does not know the user.
    pub async fn connect(kube: &KubeArgs, input: &InputArgs) -> Result<Self, ConnectError> {
        if let Some(path) = &input.from {
            let cluster = Self::open(path, kube, input)?;
            return cluster.recorded(input);
        }
        let variable = |name: &str| std::env::var(name).ok();
        let environment = Environment { variable: &variable, home: std::env::home_dir() };
        let Settings { config, context } = kubeconfig::settings(kube, &environment)?;
        let server = kubeconfig::without_user(config.cluster_url.to_string().trim_end_matches('/'));
        let namespace = config.default_namespace.clone();
        let endpoint = endpoint(&config);
        let client = client(config).map_err(|reason| ConnectError::Credentials { reason })?;
        let transport =
            Transport { client, whole: kube.request_timeout.limit(), idle: SILENCE, patient: true, trace: None };
        let mut cluster = Self::over(transport, namespace);
        cluster.endpoint = Some(endpoint);
        let version = match cluster.fetch("/version", JSON).await {
            Ok(bytes) => git_version(&bytes),
            Err(ReadError::Unauthorized(reason)) => return Err(ConnectError::Unauthorized { server, reason }),
            Err(error @ (ReadError::Connection(_) | ReadError::TimedOut(_))) => {
                return Err(ConnectError::Unreachable { server, reason: error.to_string() });
            }
            // Whoever may not ask for the version may still read the rest.
            Err(_) => None,
        };
        cluster.about = ClusterInfo { context, server: Some(server), version, ..ClusterInfo::default() };
        cluster.recorded(input)
    }

    /// Files instead of a cluster.
    fn open(path: &Path, kube: &KubeArgs, input: &InputArgs) -> Result<Self, ConnectError> {
        let node = match input.nodes.as_slice() {
            [node] => Some(node.clone()),
            _ => None,
        };
        let snapshot = from::open(&path.display().to_string(), &from::Options { node })?;
        let client = snapshot.client();
        let transport = Transport { client, whole: None, idle: SILENCE, patient: false, trace: None };
        let namespace = kube.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let mut cluster = Self::over(transport, namespace);
        if let Some(recording) = &snapshot.info().recording {
            cluster.about = recording.cluster.clone();
        }
        cluster.snapshot = Some(snapshot);
        Ok(cluster)
    }

    /// Begins the recording that was asked for.
    pub(super) fn recorded(self, input: &InputArgs) -> Result<Self, ConnectError> {
        let Some(folder) = &input.record else { return Ok(self) };
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(Path::file_stem).map(|name| name.to_string_lossy().into_owned());
        let writer = format!("{} {}", program.unwrap_or_default(), env!("CARGO_PKG_VERSION"));
        let mut recorder = Recorder::create(folder, writer.trim())?;
        recorder.cluster(|cluster| cluster.clone_from(&self.about));
        self.recorder.replace(Some(recorder));
        Ok(self)
    }

    pub(super) fn over(transport: Transport, namespace: String) -> Self {
        Self {
            transport,
            about: ClusterInfo::default(),
            endpoint: None,
            namespace,
            groups: tokio::sync::OnceCell::new(),
            snapshot: None,
            recorder: RefCell::new(None),
            started: timestamp(SystemTime::now()),
        }
    }
}

fn endpoint(config: &Config) -> Endpoint {
    let url = &config.cluster_url;
    let tls = url.scheme_str() == Some("https");
    Endpoint {
        host: url.host().unwrap_or_default().to_owned(),
        port: url.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        tls,
        name: config.tls_server_name.clone(),
        proxied: config.proxy_url.is_some(),
    }
}

fn git_version(bytes: &[u8]) -> Option<String> {
    let version: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    version.get("gitVersion")?.as_str().map(str::to_owned)
}

/// The client. A credential plugin that gives a token is run once, here, and again when the token
/// expires; the default stack would run it three times.
fn client(mut config: Config) -> Result<Client, String> {
    let exec = config.auth_info.exec.clone();
    let describe = |error: kube::Error| match error {
        kube::Error::Auth(error) => credentials(&error, exec.as_ref()),
        error => innermost(&error),
    };
    if exec.is_none() {
        return Ok(ClientBuilder::try_from(config).map_err(describe)?.build());
    }
    let auth = config.auth_layer().map_err(describe)?;
    match auth {
        Some(auth) => {
            config.auth_info.exec = None;
            let builder = ClientBuilder::try_from(config).map_err(describe)?;
            Ok(builder.with_layer(&BufferLayer::new(64)).with_layer(&auth).build())
        }
        // It gave a client certificate, which is part of the TLS settings.
        None => Ok(ClientBuilder::try_from(config).map_err(describe)?.build()),
    }
}

/// Why credentials can't be had; never with what a plugin printed on stdout, where the token is.
fn credentials(error: &AuthError, plugin: Option<&ExecConfig>) -> String {
    let program = plugin.and_then(|plugin| plugin.command.as_deref()).unwrap_or_default();
    let hint = plugin.and_then(|plugin| plugin.install_hint.as_deref());
    let text = match error {
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing on stderr");
            format!("the credential plugin {program} failed with {}: {}", out.status, said.trim())
        }
        AuthError::AuthExecStart(error) => {
            format!("the credential plugin {program} can't be run: {}", super::error::plain_words(&error.to_string()))
        }
        AuthError::AuthExecParse(_) => format!("the credential plugin {program} printed no ExecCredential"),
        error => error.to_string(),
    };
    match hint.map(str::trim).filter(|hint| !hint.is_empty()) {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}
