//! A plain client: what the server says, as it says it.

use std::path::Path;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, uncompressed.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The type of the body.
    pub fn content_type(&self) -> &str {
        self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client for one server.
pub struct Http {
    runtime: Runtime,
    client: Client,
}

impl Http {
    /// A client as a kubeconfig says.
    pub fn new(kubeconfig: &Path) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            let mut config = config.expect("a usable kubeconfig");
            config.default_retry = false;
            Client::try_from(config).expect("a client")
        });
        Self { runtime, client }
    }

    /// Asks; an error is one of the connection.
    pub fn send(&self, request: Request<Body>) -> Result<Answer, String> {
        self.runtime.block_on(async {
            let answer = self.client.send(request).await.map_err(|error| error.to_string())?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes().to_vec() })
        })
    }

    /// GET; an empty `accept` sends no header.
    pub fn get(&self, path: &str, accept: &str) -> Answer {
        let mut request = Request::get(path);
        if !accept.is_empty() {
            request = request.header("accept", accept);
        }
        self.send(request.body(Body::empty()).expect("a request")).expect("an answer")
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, value: &Value) -> Answer {
        let request =
            Request::post(path).header("content-type", "application/json").header("accept", "application/json");
        self.send(request.body(Body::from(value.to_string().into_bytes())).expect("a request")).expect("an answer")
    }
}
