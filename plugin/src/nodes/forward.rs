//! kube-proxy's own answers, through a port-forward or on this host.

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use netcore::probe::KUBE_PROXY_PORT;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{error::RunError, seat::Seat};
use crate::cluster::innermost;

/// `/metrics` of a large node is far smaller.
const LARGEST: usize = 64 << 20;

/// A GET of kube-proxy's port through a pod of the node's own network; nothing where kube-proxy has
/// no such path.
pub(super) async fn get(client: &Client, seat: &Seat, path: &str) -> Result<Option<Vec<u8>>, RunError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &seat.namespace);
    let mut forward =
        pods.portforward(&seat.pod, &[KUBE_PROXY_PORT]).await.map_err(|error| RunError::connecting(&error))?;
    let stream = forward.take_stream(KUBE_PROXY_PORT);
    let refused = forward.take_error(KUBE_PROXY_PORT);
    let (Some(stream), Some(refused)) = (stream, refused) else {
        return Err(RunError::Refused("the port-forward gave no stream".to_owned()));
    };
    let asked = ask(stream, path);
    tokio::pin!(asked);
    let answer = tokio::select! {
        answer = &mut asked => answer,
        message = refused => match message {
            Some(message) => Err(RunError::Refused(first_line(&message))),
            None => asked.await,
        },
    };
    forward.abort();
    answer
}

/// The same on this host.
pub(super) async fn get_here(path: &str) -> Result<Option<Vec<u8>>, RunError> {
    let mut last = None;
    for address in ["127.0.0.1", "::1"] {
        match tokio::net::TcpStream::connect((address, KUBE_PROXY_PORT)).await {
            Ok(stream) => return ask(stream, path).await,
            Err(error) => last = Some(error),
        }
    }
    let reason = last.map(|error| crate::cluster::plain_words(&error.to_string())).unwrap_or_default();
    Err(RunError::Refused(format!("port {KUBE_PROXY_PORT}: {reason}")))
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> Result<Option<Vec<u8>>, RunError> {
    let broken = |error: &(dyn std::error::Error + 'static)| RunError::Broken(innermost(error));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| RunError::Refused(error.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            code => return Err(RunError::Refused(format!("kube-proxy answered {} to {path}", code.as_u16()))),
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        body.map(|body| Some(body.to_bytes().to_vec())).map_err(|error| RunError::Broken(error.to_string()))
    };
    let answer = answer.await;
    connection.abort();
    answer
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("the port-forward failed").to_owned()
}
