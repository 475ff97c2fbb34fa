//! Why something could not be read.

use std::time::Duration;

use http::StatusCode;
use netcore::cluster::ReadStatus;
use serde::Deserialize;

use crate::{duration::GoDuration, from::INCOMPLETE};

/// Why an answer is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// 403; the server's message.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// 401; the server's message.
    #[error("unauthorized: {0}")]
    Unauthorized(String),
    /// 404; the server's message.
    #[error("not found: {0}")]
    NotFound(String),
    /// The files that are read instead of a server do not hold it: an answer, with any status but 2xx,
    /// whose message is [`ReadStatus::NOT_RECORDED`].
    #[error("{}", ReadStatus::NOT_RECORDED)]
    NotRecorded,
    /// 410: the list that was being paged through is too old; a token that goes on with a newer one.
    #[error("the list changed too much while it was being read: {message}")]
    Expired {
        /// The server's message.
        message: String,
        /// Where to go on.
        resume: Option<String>,
    },
    /// Any other status.
    #[error("the server answered {code}: {message}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The server's message.
        message: String,
    },
    /// Nothing came for so long.
    #[error("timed out after {}", GoDuration(*.0))]
    TimedOut(Duration),
    /// The connection could not be made or broke.
    #[error("{0}")]
    Connection(String),
    /// The answer is not what was asked for.
    #[error("{0}")]
    Malformed(String),
}

/// The reason under which a recording keeps that no answer came at all.
const NO_ANSWER: &str = "NoAnswer";

impl From<ReadError> for ReadStatus {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound(_) => Self::Absent,
            error => Self::Unreadable(error.to_string()),
        }
    }
}

/// What of a `Status` object is used, in either encoding.
#[derive(Clone, PartialEq, Eq, prost::Message, Deserialize)]
#[serde(default)]
struct Status {
    #[prost(message, optional, tag = "1")]
    metadata: Option<super::split::ListMeta>,
    #[prost(string, tag = "3")]
    message: String,
    #[prost(string, tag = "4")]
    reason: String,
}

/// The envelope of protobuf.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Envelope {
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

impl ReadError {
    /// The error that an answer with another status than 2xx is.
    pub(super) fn of(code: StatusCode, body: &[u8]) -> Self {
        let status = status(body);
        let message = match &status {
            Some(status) if !status.message.is_empty() => status.message.clone(),
            Some(status) if !status.reason.is_empty() => status.reason.clone(),
            _ => plain(code, body),
        };
        if message == ReadStatus::NOT_RECORDED {
            return Self::NotRecorded;
        }
        if status.as_ref().is_some_and(|status| status.reason == NO_ANSWER) {
            return Self::Connection(message);
        }
        if status.as_ref().is_some_and(|status| status.reason == INCOMPLETE) {
            return Self::Malformed(message);
        }
        match code {
            StatusCode::FORBIDDEN => Self::Forbidden(message),
            StatusCode::UNAUTHORIZED => Self::Unauthorized(message),
            StatusCode::NOT_FOUND => Self::NotFound(message),
            StatusCode::GONE => Self::Expired {
                message,
                resume: status.and_then(|status| status.metadata).map(|meta| meta.next).filter(|next| !next.is_empty()),
            },
            code => Self::Status { code: code.as_u16(), message },
        }
    }

    /// As a recording keeps it: status, reason, message. Read back, it says the same.
    pub(super) fn recorded(&self) -> (u16, &'static str, String) {
        match self {
            Self::Forbidden(message) => (403, "Forbidden", message.clone()),
            Self::Unauthorized(message) => (401, "Unauthorized", message.clone()),
            Self::NotFound(message) => (404, "NotFound", message.clone()),
            Self::Expired { message, .. } => (410, "Expired", message.clone()),
            Self::Status { code, message } => (*code, "", message.clone()),
            Self::NotRecorded | Self::TimedOut(_) | Self::Connection(_) | Self::Malformed(_) => {
                (0, NO_ANSWER, self.to_string())
            }
        }
    }

    /// The error of a request that got no answer, or whose answer broke off.
    pub(super) fn connection(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Connection(plain_words(&innermost(error)))
    }
}

fn status(body: &[u8]) -> Option<Status> {
    use prost::Message;
    match body.strip_prefix(b"k8s\0") {
        Some(envelope) => Status::decode(Envelope::decode(envelope).ok()?.raw.as_slice()).ok(),
        None => serde_json::from_slice(body).ok(),
    }
}

/// The first line of an answer that is no `Status`.
fn plain(code: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.is_empty() || line.starts_with('<') {
        return code.canonical_reason().unwrap_or("no message").to_lowercase();
    }
    line.chars().take(200).collect()
}

/// The causes of an error, without the repetitions of wrappers that print their source: the last one
/// says what happened, and an io error's own text is better than its wrapper's.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        while texts.last().is_some_and(|outer| outer.contains(&text)) {
            texts.pop();
        }
        texts.push(text);
        next = cause.source();
    }
    match texts.as_slice() {
        [.., outer, last] if outer.contains("certificate") || outer.contains("tls") => format!("{outer}: {last}"),
        [.., last] => last.clone(),
        [] => String::new(),
    }
}

/// The system's own words as a part of a sentence: `connection refused`.
pub(crate) fn plain_words(text: &str) -> String {
    let text = text.find(" (os error ").and_then(|end| text.get(..end)).unwrap_or(text);
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_message_is_kept() {
        let body = br#"{"kind":"Status","message":"pods is forbidden: User \"x\" cannot list","reason":"Forbidden"}"#;
        assert_eq!(
            ReadError::of(StatusCode::FORBIDDEN, body),
            ReadError::Forbidden("pods is forbidden: User \"x\" cannot list".to_owned())
        );
    }

    #[test]
    fn a_protobuf_status_is_read_too() {
        use prost::Message;
        let status = Status {
            metadata: Some(super::super::split::ListMeta { next: "go-on".to_owned() }),
            message: "too old".to_owned(),
            reason: "Expired".to_owned(),
        };
        let mut body = b"k8s\0".to_vec();
        body.extend(Envelope { raw: status.encode_to_vec() }.encode_to_vec());
        let error = ReadError::of(StatusCode::GONE, &body);
        assert_eq!(error, ReadError::Expired { message: "too old".to_owned(), resume: Some("go-on".to_owned()) });
    }

    #[test]
    fn what_is_recorded_reads_back_the_same() {
        for error in [
            ReadError::Forbidden("no".to_owned()),
            ReadError::Unauthorized("who".to_owned()),
            ReadError::NotFound("what".to_owned()),
            ReadError::Status { code: 429, message: "busy".to_owned() },
            ReadError::TimedOut(Duration::from_secs(60)),
            ReadError::Connection("connection refused".to_owned()),
            ReadError::Malformed("the answer ends in the middle".to_owned()),
        ] {
            let (code, reason, message) = error.recorded();
            let body = serde_json::json!({"kind": "Status", "reason": reason, "message": message}).to_string();
            let code = StatusCode::from_u16(if code == 0 { 503 } else { code }).unwrap();
            assert_eq!(ReadError::of(code, body.as_bytes()).to_string(), error.to_string());
        }
    }

    #[test]
    fn the_systems_words_fit_into_a_sentence() {
        assert_eq!(plain_words("Connection refused (os error 111)"), "connection refused");
        assert_eq!(plain_words("TLS handshake eof"), "TLS handshake eof");
    }

    #[test]
    fn a_page_of_html_is_not_a_message() {
        let error = ReadError::of(StatusCode::BAD_GATEWAY, b"<html><body>nginx</body></html>");
        assert_eq!(error.to_string(), "the server answered 502: bad gateway");
        let error = ReadError::of(StatusCode::INTERNAL_SERVER_ERROR, b"\n boom \nmore");
        assert_eq!(error.to_string(), "the server answered 500: boom");
    }
}
