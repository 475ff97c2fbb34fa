//! Lists and single objects in every encoding, page by page.

use std::{
    io::{self, Write},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    encode::{protobuf, table},
    kinds::Kind,
    objects::Collection,
    reply::{self, Reply},
    select::Selector,
};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// Larger lists are measured before they are encoded, so that they need not be held.
const BUFFERED: usize = 10_000;

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Protobuf,
    Table,
    Metadata { protobuf: bool },
}

/// The first acceptable format; none for 406.
pub(crate) fn negotiate(accept: &str, protobuf: bool) -> Option<Format> {
    if accept.trim().is_empty() {
        return Some(Format::Json);
    }
    accept.split(',').find_map(|media| {
        let mut parts = media.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let shape = parts.find_map(|part| part.strip_prefix("as="));
        match (name, shape) {
            ("application/json" | "application/*" | "*/*", None) => Some(Format::Json),
            (JSON, Some("Table")) => Some(Format::Table),
            (JSON, Some("PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                Some(Format::Metadata { protobuf: false })
            }
            (PROTOBUF, None) if protobuf => Some(Format::Protobuf),
            (PROTOBUF, Some("PartialObjectMetadata" | "PartialObjectMetadataList")) if protobuf => {
                Some(Format::Metadata { protobuf: true })
            }
            _ => None,
        }
    })
}

pub(crate) fn not_acceptable(protobuf: bool) -> Reply {
    let available = if protobuf {
        "application/json, application/yaml, application/vnd.kubernetes.protobuf, \
         application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
    } else {
        "application/json, application/yaml, application/json;stream=watch"
    };
    let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
    reply::failure(406, "NotAcceptable", &message, Some(json!({})))
}

/// What a list request asks for.
pub(crate) struct Query {
    pub(crate) namespace: Option<String>,
    pub(crate) selector: Selector,
    pub(crate) limit: usize,
    pub(crate) token: Option<Token>,
    pub(crate) include_object: String,
    pub(crate) garbage: bool,
    pub(crate) gzip: bool,
}

/// A place to go on with a list, and the state of the cluster that it was begun in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) version: i64,
    start: String,
}

impl Token {
    fn after(version: i64, key: &str) -> Self {
        Self { version, start: format!("{key}\0") }
    }

    /// The same place in whatever state there is now.
    pub(crate) fn inconsistent(&self) -> String {
        Self { version: -1, ..self.clone() }.encode()
    }

    fn encode(&self) -> String {
        let token =
            format!(r#"{{"v":"meta.k8s.io/v1","rv":{},"start":{}}}"#, self.version, Value::from(self.start.as_str()));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Reads a client's token; the server's own words where it is broken.
    pub(crate) fn decode(text: &str) -> Result<Self, String> {
        let broken = |why: &str| format!("invalid continue token: continue key is not valid: {why}");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| broken(&error.to_string()))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| broken(&error.to_string()))?;
        if value["v"] != "meta.k8s.io/v1" {
            return Err(broken("server does not recognize this encoded version"));
        }
        match (value["rv"].as_i64(), value["start"].as_str()) {
            (Some(version), Some(start)) if version != 0 => Ok(Self { version, start: start.to_owned() }),
            _ => Err(broken("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")),
        }
    }

    /// The first object that the list goes on with.
    fn position(&self, objects: &dyn Collection) -> usize {
        let (key, after) = self.start.strip_suffix('\0').map_or((self.start.as_str(), false), |key| (key, true));
        match objects.find(key) {
            Ok(index) => index + usize::from(after),
            Err(index) => index,
        }
    }
}

/// What one page holds.
struct Page {
    indices: Vec<usize>,
    metadata: Value,
}

fn page(objects: &dyn Collection, query: &Query, version: i64) -> Page {
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let start = query.token.as_ref().map_or(0, |token| token.position(objects));
    let everything = query.namespace.is_none() && query.selector.is_empty();
    let wanted =
        |index: &usize| {
            everything
                || query.namespace.as_ref().is_none_or(|namespace| {
                    objects.key(*index).split_once('/').is_some_and(|(own, _)| own == namespace)
                }) && (query.selector.is_empty() || query.selector.matches(&objects.value(*index)))
        };
    let mut rest = (start..objects.len()).filter(wanted);
    let indices: Vec<usize> = rest.by_ref().take(limit).collect();
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if let (Some(last), Some(_)) = (indices.last(), rest.next()) {
        metadata["continue"] = json!(Token::after(version, &objects.key(*last)).encode());
        if query.selector.is_empty() {
            metadata["remainingItemCount"] = json!(1 + rest.count());
        }
    }
    Page { indices, metadata }
}

/// A list.
pub(crate) async fn list(
    kind: Kind,
    objects: Arc<dyn Collection>,
    query: Query,
    format: Format,
    version: i64,
) -> Reply {
    let content_type = match format {
        Format::Json | Format::Table => JSON,
        Format::Metadata { protobuf } => {
            if protobuf {
                PROTOBUF
            } else {
                JSON
            }
        }
        Format::Protobuf => PROTOBUF,
    };
    reply::produced(content_type, query.gzip, move |out| {
        let page = page(objects.as_ref(), &query, version);
        let listed = Listed { kind: &kind, objects: objects.as_ref(), page: &page };
        match format {
            Format::Json => listed.json(out),
            Format::Protobuf if query.garbage => garbage(&kind, out),
            Format::Protobuf => listed.protobuf(out),
            Format::Table => listed.table(&query.include_object, out),
            Format::Metadata { protobuf } => listed.metadata(protobuf, out),
        }
    })
    .await
}

struct Listed<'a> {
    kind: &'a Kind,
    objects: &'a dyn Collection,
    page: &'a Page,
}

impl Listed<'_> {
    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let (kind, api_version) = (&self.kind.kind, self.kind.api_version());
        write!(
            out,
            r#"{{"kind":"{kind}List","apiVersion":"{api_version}","metadata":{},"items":["#,
            self.page.metadata
        )?;
        let mut buffer = Vec::new();
        for (n, index) in self.page.indices.iter().enumerate() {
            buffer.clear();
            if n > 0 {
                buffer.push(b',');
            }
            self.objects.write_json(*index, !self.kind.builtin, &mut buffer);
            out.write_all(&buffer)?;
        }
        out.write_all(b"]}\n")
    }

    fn protobuf(&self, out: &mut dyn Write) -> io::Result<()> {
        let head = protobuf::list_start(&self.page.metadata);
        let start = |body| protobuf::envelope_start(&self.kind.api_version(), &format!("{}List", self.kind.kind), body);
        if self.page.indices.len() <= BUFFERED {
            let mut body = head;
            let mut item = Vec::new();
            for index in &self.page.indices {
                item.clear();
                self.objects.write_protobuf(*index, &mut item);
                protobuf::item_start(&mut body, item.len());
                body.extend_from_slice(&item);
            }
            out.write_all(&start(body.len()))?;
            out.write_all(&body)?;
        } else {
            let len = |index: &usize| {
                let len = self.objects.protobuf_len(*index);
                protobuf::item_start_len(len) + len
            };
            out.write_all(&start(head.len() + self.page.indices.iter().map(len).sum::<usize>()))?;
            out.write_all(&head)?;
            let (mut item, mut framed) = (Vec::new(), Vec::new());
            for index in &self.page.indices {
                item.clear();
                framed.clear();
                self.objects.write_protobuf(*index, &mut item);
                protobuf::item_start(&mut framed, item.len());
                framed.extend_from_slice(&item);
                out.write_all(&framed)?;
            }
        }
        out.write_all(protobuf::ENVELOPE_END)
    }

    fn table(&self, include: &str, out: &mut dyn Write) -> io::Result<()> {
        let definitions = table::definitions(&self.kind.kind);
        write!(
            out,
            r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{},"columnDefinitions":{definitions},"rows":["#,
            self.page.metadata
        )?;
        for (n, index) in self.page.indices.iter().enumerate() {
            let object = self.objects.value(*index);
            let mut row = json!({"cells": table::cells(&self.kind.kind, &object)});
            row["object"] = match include {
                "None" => Value::Null,
                "Object" => object,
                _ => partial(&object),
            };
            write!(out, "{}{row}", if n > 0 { "," } else { "" })?;
        }
        out.write_all(b"]}\n")
    }

    fn metadata(&self, binary: bool, out: &mut dyn Write) -> io::Result<()> {
        let kind = "PartialObjectMetadataList";
        let partials = self.page.indices.iter().map(|index| partial(&self.objects.value(*index)));
        if !binary {
            let list = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": self.page.metadata,
                "items": partials.collect::<Vec<_>>()});
            return out.write_all(list.to_string().as_bytes());
        }
        let mut body = protobuf::list_start(&self.page.metadata);
        for partial in partials {
            let mut item = Vec::new();
            protobuf::object("PartialObjectMetadata", &partial).write(&[], &mut item);
            protobuf::item_start(&mut body, item.len());
            body.extend_from_slice(&item);
        }
        out.write_all(&protobuf::enveloped("meta.k8s.io/v1", kind, &body))
    }
}

/// A right envelope around a body that is no message: a field that says it is longer than it is.
fn garbage(kind: &Kind, out: &mut dyn Write) -> io::Result<()> {
    let body = b"\x0a\x02\x12\x00\x12\xff\xff\xff\xff\x0fnot a message";
    out.write_all(&protobuf::enveloped(&kind.api_version(), &format!("{}List", kind.kind), body))
}

fn partial(object: &Value) -> Value {
    let mut partial = Map::new();
    partial.insert("kind".to_owned(), json!("PartialObjectMetadata"));
    partial.insert("apiVersion".to_owned(), json!("meta.k8s.io/v1"));
    partial.insert("metadata".to_owned(), object["metadata"].clone());
    Value::Object(partial)
}

/// One object.
pub(crate) fn one(kind: &Kind, objects: &dyn Collection, index: usize, format: Format) -> Reply {
    let object = objects.value(index);
    match format {
        Format::Json => reply::json(StatusCode::OK, &object),
        Format::Protobuf => {
            let mut body = Vec::new();
            objects.write_protobuf(index, &mut body);
            reply::whole(StatusCode::OK, PROTOBUF, protobuf::enveloped(&kind.api_version(), &kind.kind, &body))
        }
        Format::Table => reply::json(
            StatusCode::OK,
            &json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "1"},
                "columnDefinitions": table::definitions(&kind.kind),
                "rows": [{"cells": table::cells(&kind.kind, &object), "object": partial(&object)}]}),
        ),
        Format::Metadata { protobuf: false } => reply::json(StatusCode::OK, &partial(&object)),
        Format::Metadata { protobuf: true } => {
            let mut body = Vec::new();
            protobuf::object("PartialObjectMetadata", &object).write(&[], &mut body);
            let body = protobuf::enveloped("meta.k8s.io/v1", "PartialObjectMetadata", &body);
            reply::whole(StatusCode::OK, PROTOBUF, body)
        }
    }
}
