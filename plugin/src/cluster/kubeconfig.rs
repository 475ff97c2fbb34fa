//! From kubeconfig and flags to the settings of one connection, by kubectl's rules.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use kube::config::{AuthInfo, Cluster, Config, ExecAuthCluster, Kubeconfig};

use super::{connect::ConnectError, proxy};
use crate::args::KubeArgs;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(15);

/// Everything that a connection needs.
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) context: Option<String>,
}

/// The environment, replaceable in tests.
pub(super) struct Environment<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) home: Option<PathBuf>,
}

/// The connection that flags, kubeconfig and environment describe.
pub(super) fn settings(args: &KubeArgs, environment: &Environment<'_>) -> Result<Settings, ConnectError> {
    let (kubeconfig, tried) = read(args, environment)?;
    let mut settings = match kubeconfig {
        Some(kubeconfig) => selected(kubeconfig, args, environment)?,
        None if args.server.is_some() => selected(Kubeconfig::default(), args, environment)?,
        None if names_a_cluster(args) => return Err(ConnectError::NoKubeconfig { tried }),
        None => in_cluster(args, tried)?,
    };
    settings.config.connect_timeout = Some(CONNECT);
    // Retries and silence are looked after where requests are sent.
    settings.config.default_retry = false;
    if let Some(namespace) = &args.namespace {
        settings.config.default_namespace.clone_from(namespace);
    }
    Ok(settings)
}

/// Flags that make no sense for the cluster that this happens to run in.
fn names_a_cluster(args: &KubeArgs) -> bool {
    args.context.is_some() || args.cluster.is_some() || args.user.is_some()
}

/// The merged kubeconfig and which files were looked for; nothing where there is none.
fn read(args: &KubeArgs, environment: &Environment<'_>) -> Result<(Option<Kubeconfig>, String), ConnectError> {
    if let Some(path) = &args.kubeconfig {
        let kubeconfig = read_file(path)?;
        return Ok((Some(kubeconfig), path.display().to_string()));
    }
    let listed = (environment.variable)("KUBECONFIG").filter(|list| !list.is_empty());
    let (paths, tried) = match listed {
        Some(list) => {
            let paths: Vec<PathBuf> =
                std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect();
            (paths, format!("$KUBECONFIG ({list})"))
        }
        None => (environment.home.iter().map(|home| home.join(".kube/config")).collect(), "~/.kube/config".to_owned()),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in paths.iter().filter(|path| path.exists()) {
        let next = read_file(path)?;
        merged = Some(match merged {
            None => next,
            Some(first) => first.merge(next).map_err(|error| ConnectError::kubeconfig(path, error.to_string()))?,
        });
    }
    let empty = |config: &Kubeconfig| {
        config.clusters.is_empty() && config.contexts.is_empty() && config.current_context.is_none()
    };
    Ok((merged.filter(|config| !empty(config)), tried))
}

fn read_file(path: &Path) -> Result<Kubeconfig, ConnectError> {
    Kubeconfig::read_from(path).map_err(|error| {
        let error = match error {
            kube::config::KubeconfigError::ReadConfig(source, _) => source.to_string().to_lowercase(),
            other => other.to_string(),
        };
        ConnectError::kubeconfig(path, error)
    })
}

/// The context's cluster and user with the flags put over them.
fn selected(kubeconfig: Kubeconfig, args: &KubeArgs, environment: &Environment<'_>) -> Result<Settings, ConnectError> {
    let context_name = args.context.clone().or(kubeconfig.current_context).filter(|name| !name.is_empty());
    let context = match &context_name {
        None => None,
        Some(name) => {
            let known: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
            let found = kubeconfig.contexts.iter().find(|context| context.name == *name);
            let found = found.ok_or_else(|| ConnectError::unknown("context", name, &known))?;
            found.context.clone()
        }
    };
    let cluster_name = args.cluster.clone().or_else(|| context.as_ref().map(|context| context.cluster.clone()));
    let mut cluster = match cluster_name.filter(|name| !name.is_empty()) {
        None => Cluster::default(),
        Some(name) => {
            let known: Vec<&str> = kubeconfig.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            let found = kubeconfig.clusters.iter().find(|cluster| cluster.name == name);
            let found = found.ok_or_else(|| ConnectError::unknown("cluster", &name, &known))?;
            found.cluster.clone().unwrap_or_default()
        }
    };
    let user_name = args.user.clone().or_else(|| context.as_ref().and_then(|context| context.user.clone()));
    let mut user = match user_name.filter(|name| !name.is_empty()) {
        None => AuthInfo::default(),
        Some(name) => {
            let known: Vec<&str> = kubeconfig.auth_infos.iter().map(|user| user.name.as_str()).collect();
            let found = kubeconfig.auth_infos.iter().find(|user| user.name == name);
            // A context may name a user that nobody wrote down: requests are then anonymous.
            if found.is_none() && args.user.is_some() {
                return Err(ConnectError::unknown("user", &name, &known));
            }
            found.and_then(|user| user.auth_info.clone()).unwrap_or_default()
        }
    };
    put_over_cluster(&mut cluster, args);
    put_over_user(&mut user, args)?;
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        let info = ExecAuthCluster::try_from(&cluster);
        exec.cluster = Some(info.map_err(|error| ConnectError::Credentials { reason: error.to_string() })?);
    }
    let mut config = connection(&cluster, environment)?;
    config.auth_info = user;
    if let Some(namespace) = context.and_then(|context| context.namespace).filter(|name| !name.is_empty()) {
        config.default_namespace = namespace;
    }
    Ok(Settings { config, context: context_name })
}

/// The cluster's flags. Another server, or none to be checked, makes what was said about the old one void.
fn put_over_cluster(cluster: &mut Cluster, args: &KubeArgs) {
    if let Some(server) = &args.server {
        cluster.server = Some(server.clone());
    }
    if args.server.is_some() || args.tls_server_name.is_some() {
        cluster.tls_server_name.clone_from(&args.tls_server_name);
    }
    if let Some(skip) = args.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(skip);
        if skip {
            cluster.certificate_authority = None;
            cluster.certificate_authority_data = None;
        }
    }
    if let Some(path) = &args.certificate_authority {
        cluster.certificate_authority = Some(path.display().to_string());
        cluster.certificate_authority_data = None;
    }
}

/// The user's flags.
fn put_over_user(user: &mut AuthInfo, args: &KubeArgs) -> Result<(), ConnectError> {
    if let Some(token) = &args.token {
        user.token = Some(token.clone().into());
        user.token_file = None;
        user.exec = None;
        user.auth_provider = None;
        user.username = None;
        user.password = None;
    }
    if let Some(path) = &args.client_certificate {
        user.client_certificate = Some(path.display().to_string());
        user.client_certificate_data = None;
    }
    if let Some(path) = &args.client_key {
        user.client_key = Some(path.display().to_string());
        user.client_key_data = None;
    }
    impersonate(user, args)
}

fn impersonate(user: &mut AuthInfo, args: &KubeArgs) -> Result<(), ConnectError> {
    if let Some(name) = &args.as_user {
        user.impersonate = Some(name.clone());
    }
    if !args.as_group.is_empty() {
        user.impersonate_groups = Some(args.as_group.clone());
    }
    if let Some(uid) = &args.as_uid {
        user.impersonate_uid = Some(uid.clone());
    }
    let alone = user.impersonate.as_ref().is_none_or(String::is_empty)
        && (user.impersonate_groups.is_some() || user.impersonate_uid.is_some());
    if alone { Err(ConnectError::ImpersonatesNobody) } else { Ok(()) }
}

/// The connection to a cluster.
fn connection(cluster: &Cluster, environment: &Environment<'_>) -> Result<Config, ConnectError> {
    let server = cluster.server.clone().filter(|server| !server.is_empty()).ok_or(ConnectError::NoServer)?;
    let mut config = Config::new(url(&server)?);
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    config.root_cert = authority(cluster)?;
    let proxy = cluster.proxy_url.clone().filter(|proxy| !proxy.is_empty());
    let proxy = proxy.or_else(|| proxy::from_environment(&config.cluster_url, environment.variable));
    if let Some(proxy) = proxy {
        // Names are resolved by the proxy in any case.
        let text = proxy.replacen("socks5h://", "socks5://", 1);
        let invalid = || ConnectError::Proxy { proxy: without_user(&proxy) };
        config.proxy_url = Some(text.parse().map_err(|_| invalid())?);
    }
    Ok(config)
}

/// `host`, `host:port` or a URL; without a scheme kubectl speaks plain HTTP.
fn url(server: &str) -> Result<http::Uri, ConnectError> {
    let text = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    let invalid = || ConnectError::Server { server: without_user(server) };
    let uri: http::Uri = text.parse().map_err(|_| invalid())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err(invalid()),
    }
}

/// A URL without the user and password that it may carry.
pub(super) fn without_user(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}://{}", url.get(..scheme).unwrap_or_default(), url.get(at + 1..).unwrap_or_default())
        }
        _ => url.to_owned(),
    }
}

/// The certificates that the server's is checked against; none for the system's own.
fn authority(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, ConnectError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let named = |from: String| move |reason: String| ConnectError::Authority { from, reason };
    let (pem, from) = if let Some(data) = cluster.certificate_authority_data.as_deref().filter(|data| !data.is_empty())
    {
        let from = "certificate-authority-data".to_owned();
        let quoted = serde_json::Value::String(data.to_owned());
        let bytes: k8s_openapi::ByteString =
            serde_json::from_value(quoted).map_err(|error| named(from.clone())(error.to_string()))?;
        (bytes.0, from)
    } else if let Some(path) = cluster.certificate_authority.as_deref().filter(|path| !path.is_empty()) {
        let from = path.to_owned();
        let bytes = std::fs::read(path).map_err(|error| named(from.clone())(error.to_string().to_lowercase()))?;
        (bytes, from)
    } else {
        return Ok(None);
    };
    let certificates: Result<Vec<Vec<u8>>, _> =
        CertificateDer::pem_slice_iter(&pem).map(|der| der.map(|der| der.to_vec())).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(Some(certificates)),
        Ok(_) => Err(named(from)("holds no certificate in PEM".to_owned())),
        Err(error) => Err(named(from)(error.to_string())),
    }
}

/// The service account of the pod that this runs in.
fn in_cluster(args: &KubeArgs, tried: String) -> Result<Settings, ConnectError> {
    let Ok(mut config) = Config::incluster() else { return Err(ConnectError::NoKubeconfig { tried }) };
    put_over_user(&mut config.auth_info, args)?;
    if let Some(path) = &args.certificate_authority {
        let cluster = Cluster { certificate_authority: Some(path.display().to_string()), ..Cluster::default() };
        config.root_cert = authority(&cluster)?;
        config.root_cert_file = None;
    }
    config.accept_invalid_certs = args.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name.clone_from(&args.tls_server_name);
    Ok(Settings { config, context: None })
}

#[cfg(test)]
mod tests;
