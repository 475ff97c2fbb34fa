//! The API server and etcd, asked in JSON.

use std::path::Path;

use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

use crate::Error;

/// A server that speaks JSON.
#[derive(Clone)]
pub(super) struct Json {
    name: &'static str,
    client: Client,
}

impl Json {
    /// The API server of a kubeconfig.
    pub(super) async fn api(kubeconfig: &Path) -> Result<Self, Error> {
        let failed = |error: String| Error::Other(format!("{}: {error}", kubeconfig.display()));
        let read = Kubeconfig::read_from(kubeconfig).map_err(|error| failed(error.to_string()))?;
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        let mut config = config.map_err(|error| failed(error.to_string()))?;
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| failed(error.to_string()))?;
        Ok(Self { name: "kube-apiserver", client })
    }

    /// etcd by its gateway.
    pub(super) fn etcd(port: u16) -> Result<Self, Error> {
        let failed = |error: String| Error::Other(format!("a client for etcd: {error}"));
        let url = format!("http://127.0.0.1:{port}").parse().map_err(|error| failed(format!("{error}")))?;
        let mut config = Config::new(url);
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| failed(error.to_string()))?;
        Ok(Self { name: "etcd", client })
    }

    /// Asks; gives status and body, which is null where it is no JSON.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Error> {
        let failed = |error: String| Error::Other(format!("{}: {method} {path}: {error}", self.name));
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| failed(error.to_string()))?;
        let answer = self.client.send(request).await.map_err(|error| failed(error.to_string()))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
        Ok((head.status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Asks; anything but 2xx is an error.
    pub(super) async fn must(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let (status, answer) = self.ask(method.clone(), path, body).await?;
        if status.is_success() { Ok(answer) } else { Err(self.refused(&method, path, status, &answer)) }
    }

    /// Creates; what is there already stays as it is.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<(), Error> {
        let (status, answer) = self.ask(Method::POST, path, Some(object)).await?;
        if status.is_success() || status == StatusCode::CONFLICT {
            return Ok(());
        }
        Err(self.refused(&Method::POST, path, status, &answer))
    }

    fn refused(&self, method: &Method, path: &str, status: StatusCode, answer: &Value) -> Error {
        let message = ["message", "error"].iter().find_map(|field| answer.get(field)?.as_str());
        Error::Other(format!("{}: {method} {path}: {status}: {}", self.name, message.unwrap_or("no message")))
    }
}
