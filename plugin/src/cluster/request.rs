//! One request to the API server: sent, tried again where the server asks for it, and given up in time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::Body;

use super::error::ReadError;

/// Plain JSON.
pub(super) const JSON: &str = "application/json";
/// A patch that is merged into an object.
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";
/// Protobuf where the server has it.
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf,application/json";

/// An answer, a metrics page at most, is not larger.
const LARGEST_ANSWER: usize = 64 << 20;
/// How much of an error's body is read.
const LARGEST_ERROR: usize = 1 << 20;
/// How often a server that names a time is asked again, and one that does not.
const PATIENCE: (u32, u32) = (4, 2);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Somebody who is told what is done, a line at a time.
pub type Trace = std::sync::Arc<dyn Fn(&str) + Send + Sync>;

/// The client with the limits of this run; cheap to clone.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) client: kube::Client,
    /// `--request-timeout`: for one request, from sending to the last byte.
    pub(super) whole: Option<Duration>,
    /// How long a server may be silent.
    pub(super) idle: Duration,
    /// Whether a busy server is asked again; files are not.
    pub(super) patient: bool,
    /// Told about every answer.
    pub(super) trace: Option<Trace>,
}

/// An answer whose body is still to come.
pub(super) struct Answer {
    body: Body,
    pub(super) protobuf: bool,
    limits: Limits,
}

#[derive(Clone, Copy)]
struct Limits {
    until: Option<Instant>,
    whole: Duration,
    idle: Duration,
}

impl Limits {
    /// Waits for the next piece, no longer than is allowed.
    async fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, ReadError> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let (limit, named) = match left {
            Some(left) if left < self.idle => (left, self.whole),
            _ => (self.idle, self.idle),
        };
        tokio::time::timeout(limit, future).await.map_err(|_| ReadError::TimedOut(named))
    }
}

impl Transport {
    /// A GET.
    pub(super) async fn get(&self, path: &str, accept: &str) -> Result<Answer, ReadError> {
        self.send(Method::GET, path, accept, Bytes::new()).await
    }

    /// Any request whose body is plain JSON; answers other than 2xx are errors.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> Result<Answer, ReadError> {
        self.send_as(method, path, accept, JSON, body).await
    }

    /// The same with a body of this kind.
    pub(super) async fn send_as(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        kind: &'static str,
        body: Bytes,
    ) -> Result<Answer, ReadError> {
        let limits = Limits {
            until: self.whole.map(|whole| Instant::now() + whole),
            whole: self.whole.unwrap_or_default(),
            idle: self.idle,
        };
        let mut tries = 0;
        loop {
            let request = request(&method, path, accept, kind, &body)?;
            let response =
                limits.wait(self.client.send(request)).await?.map_err(|error| ReadError::connection(&error))?;
            let code = response.status();
            if let Some(trace) = &self.trace {
                trace(&format!("{method} {path} {}", code.as_u16()));
            }
            let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            if self.patient
                && !is_of_another(path, code)
                && let Some(pause) = pause(code, asked.map(Duration::from_secs), tries, &limits)
            {
                tries += 1;
                tokio::time::sleep(pause).await;
                continue;
            }
            let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let protobuf = kind.is_some_and(|kind| kind.starts_with("application/vnd.kubernetes.protobuf"));
            let mut answer = Answer { body: response.into_body(), protobuf, limits };
            if code.is_success() {
                return Ok(answer);
            }
            // The status says more than the body's own failure would.
            let body = answer.bytes(LARGEST_ERROR).await.unwrap_or_default();
            return Err(ReadError::of(code, &body));
        }
    }
}

impl Answer {
    /// The next bytes; nothing at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let Some(frame) = self.limits.wait(self.body.frame()).await? else { return Ok(None) };
            match frame {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Err(error) => return Err(ReadError::Connection(broken(&error))),
            }
        }
    }

    /// The whole body, which must be small.
    pub(super) async fn whole(mut self) -> Result<Vec<u8>, ReadError> {
        self.bytes(LARGEST_ANSWER).await
    }

    async fn bytes(&mut self, limit: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > limit {
                return Err(ReadError::Malformed(format!("the answer is larger than {} MiB", limit >> 20)));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// In words why a body ended early.
fn broken(error: &kube::Error) -> String {
    let text = super::error::innermost(error);
    let early = ["end of file", "unexpected EOF", "message completed", "reset by peer", "broken pipe"];
    if early.iter().any(|part| text.contains(part)) { "connection closed".to_owned() } else { text }
}

fn request(
    method: &Method,
    path: &str,
    accept: &str,
    kind: &'static str,
    body: &Bytes,
) -> Result<Request<Body>, ReadError> {
    let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    request
        .body(Body::from(body.to_vec()))
        .map_err(|error| ReadError::Malformed(format!("no request can be made for \"{path}\": {error}")))
}

/// Whether an answer tells of a kubelet or Service behind the API server, not of the server itself:
/// one that can't be reached now won't be in a second either.
fn is_of_another(path: &str, code: StatusCode) -> bool {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let proxied = path.split('/').skip_while(|part| *part != "nodes" && *part != "services" && *part != "pods");
    code != StatusCode::TOO_MANY_REQUESTS && proxied.skip(2).any(|part| part == "proxy")
}

/// How long to wait before the same request is sent again, if at all.
fn pause(code: StatusCode, asked: Option<Duration>, tries: u32, limits: &Limits) -> Option<Duration> {
    if !matches!(code, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
        return None;
    }
    let patience = if asked.is_some() { PATIENCE.0 } else { PATIENCE.1 };
    let pause = asked.unwrap_or_else(|| Duration::from_millis(500) * 2_u32.saturating_pow(tries));
    let in_time = limits.until.is_none_or(|until| Instant::now() + pause < until);
    (tries < patience && pause <= LONGEST_PAUSE && in_time).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { until: None, whole: Duration::ZERO, idle: Duration::from_secs(1) };

    #[test]
    fn a_server_that_names_a_time_is_waited_for() {
        let asked = Some(Duration::from_secs(3));
        assert_eq!(pause(StatusCode::TOO_MANY_REQUESTS, asked, 0, &LIMITS), asked);
        assert_eq!(pause(StatusCode::TOO_MANY_REQUESTS, asked, 4, &LIMITS), None);
        assert_eq!(pause(StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(3600)), 0, &LIMITS), None);
    }

    #[test]
    fn others_are_asked_twice_more() {
        assert_eq!(pause(StatusCode::SERVICE_UNAVAILABLE, None, 0, &LIMITS), Some(Duration::from_millis(500)));
        assert_eq!(pause(StatusCode::GATEWAY_TIMEOUT, None, 1, &LIMITS), Some(Duration::from_secs(1)));
        assert_eq!(pause(StatusCode::GATEWAY_TIMEOUT, None, 2, &LIMITS), None);
        assert_eq!(pause(StatusCode::INTERNAL_SERVER_ERROR, None, 0, &LIMITS), None);
        assert_eq!(pause(StatusCode::FORBIDDEN, Some(Duration::from_secs(1)), 0, &LIMITS), None);
    }

    #[test]
    fn a_kubelet_that_is_away_is_not_waited_for() {
        let away = |path, code| is_of_another(path, code);
        assert!(away("/api/v1/nodes/n1/proxy/configz", StatusCode::SERVICE_UNAVAILABLE));
        assert!(away("/api/v1/nodes/n1/proxy/configz?x=1", StatusCode::GATEWAY_TIMEOUT));
        assert!(away("/api/v1/namespaces/a/pods/p:10256/proxy/healthz", StatusCode::SERVICE_UNAVAILABLE));
        assert!(!away("/api/v1/nodes/n1/proxy/configz", StatusCode::TOO_MANY_REQUESTS));
        assert!(!away("/api/v1/nodes/proxy", StatusCode::SERVICE_UNAVAILABLE));
        assert!(!away("/api/v1/nodes?limit=5000", StatusCode::SERVICE_UNAVAILABLE));
    }

    #[test]
    fn no_pause_goes_beyond_the_requests_own_limit() {
        let limits = Limits { until: Some(Instant::now() + Duration::from_secs(1)), ..LIMITS };
        assert_eq!(pause(StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(2)), 0, &limits), None);
    }
}
