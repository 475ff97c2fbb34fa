//! The service under the client: answers GETs as an API server does, from the files.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use netcore::cluster::resources;
use serde_json::json;

use super::{
    Inner,
    body::{Answer, List, View, quote, write_metadata},
    recording,
    selector::Selectors,
    store::Store,
};

/// The reason of the Status that says that a file could have held this, and none does.
pub const NOT_RECORDED: &str = "NotRecorded";

/// The reason of the Status that ends a list of which the input holds only a part.
pub const INCOMPLETE: &str = "Incomplete";

/// A client that reads files instead of a server. Must be made inside of a runtime.
pub(super) fn client(inner: &Arc<Inner>) -> kube::Client {
    let inner = Arc::clone(inner);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let response = inner.respond(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    kube::Client::new(service, "default")
}

/// A path of the API, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    group: &'a str,
    version: &'a str,
    namespace: Option<&'a str>,
    plural: &'a str,
    name: Option<&'a str>,
}

/// Takes `/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy` apart; subresources and
/// whatever else is no collection or object give `None`.
fn target<'a>(segments: &[&'a str]) -> Option<Target<'a>> {
    let (group, version, rest) = match segments {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, plural, name) = match rest {
        ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
        ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
        [plural] => (None, *plural, None),
        [plural, name] => (None, *plural, Some(*name)),
        _ => return None,
    };
    Some(Target { group, version, namespace, plural, name })
}

impl Inner {
    fn respond(self: &Arc<Self>, request: &Request<kube::client::Body>) -> Response<Answer> {
        if request.method() != Method::GET {
            return status(405, "MethodNotAllowed", "recorded files can only be read");
        }
        let path = request.uri().path();
        let query = Query::parse(request.uri().query().unwrap_or_default());
        if query.watch {
            return status(405, "MethodNotAllowed", "recorded files do not change: there is nothing to watch");
        }
        if let Some(file) = self.raw.get(&recording::raw_file(path)) {
            return self.raw_answer(path, *file);
        }
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if let Some(answer) = self.recorded_failure(request, &query) {
            return answer;
        }
        match segments.as_slice() {
            ["api"] => json_answer(200, &json!({ "kind": "APIVersions", "versions": ["v1"] })),
            // what a recording does not say about the groups nobody asked for, its objects don't say either
            ["apis"] if self.recording.is_some() => not_recorded(path),
            ["apis"] => json_answer(200, &self.groups()),
            ["api", version] => self.resources("", version),
            ["apis", group, version] => self.resources(group, version),
            other => match target(other) {
                Some(target) => self.objects(request, &target, &query),
                None => not_recorded(path),
            },
        }
    }

    fn raw_answer(&self, path: &str, file: super::store::FileId) -> Response<Answer> {
        let head = self.store.head(file, 1).unwrap_or_default();
        let content = match head.first() {
            Some(b'{') => "application/json",
            _ if path == recording::SERVING_CERTIFICATE => "application/x-pem-file",
            _ => "text/plain; charset=utf-8",
        };
        response(200, content, Answer::File(Store::reader(&self.store, file)))
    }

    /// The answer that is not 200 and was recorded for exactly this request.
    fn recorded_failure(&self, request: &Request<kube::client::Body>, query: &Query) -> Option<Response<Answer>> {
        let recording = self.recording.as_ref()?;
        let asked = recording::selection(request.uri().path_and_query()?.as_str());
        let answer = recording.answers.iter().find(|answer| answer.path == asked)?;
        // a list that broke off serves first what it had
        if answer.after > 0 && query.position(self).is_none_or(|at| at < answer.after) {
            return None;
        }
        Some(status(answer.status, &answer.reason, &answer.message))
    }

    /// The group and kind that a path means.
    fn kind(&self, target: &Target<'_>) -> Option<String> {
        let known = resources::ALL.iter().find(|known| known.group == target.group && known.plural == target.plural);
        if let Some(known) = known {
            return Some(known.kind.to_owned());
        }
        let mut held = self.index.collections().filter(|(group, ..)| *group == target.group);
        held.find(|(_, kind, _)| plural(kind) == target.plural).map(|(_, kind, _)| kind.to_owned())
    }

    fn objects(
        self: &Arc<Self>,
        request: &Request<kube::client::Body>,
        target: &Target<'_>,
        query: &Query,
    ) -> Response<Answer> {
        let path = request.uri().path();
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let view = if accept.contains("as=PartialObjectMetadata") { View::Metadata } else { View::Whole };
        let kind = self.kind(target).unwrap_or_default();
        if let Some(name) = target.name {
            return self.object(path, target, &kind, name, view);
        }
        let selection = recording::selection(request.uri().path_and_query().map_or(path, |asked| asked.as_str()));
        match self.index.collection(target.group, &kind) {
            Some(ids) if self.covers(&selection, target) => self.list(target, &kind, ids, query, view, &selection),
            None if self.recording.is_some() && self.covers(&selection, target) => {
                self.list(target, &kind, &[], query, view, &selection)
            }
            _ => not_recorded(path),
        }
    }

    /// Whether the input holds all of what a list asks for.
    fn covers(&self, selection: &str, target: &Target<'_>) -> bool {
        let Some(recording) = &self.recording else { return true };
        let base = match target.group {
            "" => format!("/api/{}", target.version),
            group => format!("/apis/{group}/{}", target.version),
        };
        let path = selection.split('?').next().unwrap_or_default();
        let everywhere = format!("{base}/{}", target.plural);
        recording.lists.iter().any(|list| list == selection || list == path || *list == everywhere)
            || recording.answers.iter().any(|answer| answer.path == selection && answer.after > 0)
    }

    fn object(&self, path: &str, target: &Target<'_>, kind: &str, name: &str, view: View) -> Response<Answer> {
        let found = self.index.find(target.group, kind, target.namespace.unwrap_or_default(), name);
        let Some(entry) = found.and_then(|id| self.index.entry(id)) else {
            let held = self.index.collection(target.group, kind).is_some();
            let complete =
                if self.recording.is_some() { self.covers(path, &Target { name: None, ..*target }) } else { held };
            if !complete {
                return not_recorded(path);
            }
            let plural = match target.group {
                "" => target.plural.to_owned(),
                group => format!("{}.{group}", target.plural),
            };
            return status(404, "NotFound", &format!("{plural} \"{name}\" not found"));
        };
        let bytes = match self.store.read_exact(entry.file, entry.offset, entry.len as usize) {
            Ok(bytes) => bytes,
            Err(error) => return status(500, "InternalError", &error.to_string()),
        };
        let mut out = Vec::with_capacity(bytes.len() + 64);
        match view {
            View::Whole => self.write_typed(entry, &bytes, &mut out),
            View::Metadata => write_metadata(&bytes, &mut out),
        }
        response(200, "application/json", Answer::Once(Some(out.into())))
    }

    fn list(
        self: &Arc<Self>,
        target: &Target<'_>,
        kind: &str,
        ids: &[u32],
        query: &Query,
        view: View,
        selection: &str,
    ) -> Response<Answer> {
        let selectors = match Selectors::parse(&query.labels, &query.fields) {
            Ok(selectors) => selectors,
            Err(message) => return status(400, "BadRequest", &message),
        };
        let Some(start) = query.position(self) else {
            return status(
                410,
                "Expired",
                "the continue token belongs to another snapshot; a list without one would be valid",
            );
        };
        // where the recorded list broke off, the next page is the failure
        let broken = self.recording.iter().flat_map(|recording| &recording.answers);
        let broken =
            broken.filter(|answer| answer.path == selection && answer.after > 0).map(|answer| answer.after).next();
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let missing = self.index.missing(target.group, kind);
        if let Some(why) = missing.filter(|_| start >= ids.len() && start > 0) {
            return status(500, INCOMPLETE, why);
        }
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut page = Vec::new();
        let mut next = None;
        for (at, id) in ids.iter().enumerate().skip(start) {
            let Some(entry) = self.index.entry(*id) else { continue };
            if target.namespace.is_some_and(|namespace| namespace != self.index.namespace(entry)) {
                continue;
            }
            if !selectors.is_empty() {
                match self.store.read_exact(entry.file, entry.offset, entry.len as usize) {
                    Ok(bytes) if selectors.matches(&bytes) => {}
                    Ok(_) => continue,
                    Err(error) => return status(500, "InternalError", &error.to_string()),
                }
            }
            if page.len() >= limit {
                next = Some(at);
                break;
            }
            page.push(*id);
        }
        if next.is_none() && (broken.is_some() || (missing.is_some() && !ids.is_empty())) {
            next = Some(ids.len().max(broken.and_then(|after| usize::try_from(after).ok()).unwrap_or(0)));
        }
        let (list_kind, api_version) = match view {
            View::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
            View::Whole if target.group.is_empty() => (format!("{kind}List"), target.version.to_owned()),
            View::Whole => (format!("{kind}List"), format!("{}/{}", target.group, target.version)),
        };
        let token = next.map_or(String::new(), |at| format!("{:016x}.{at}", self.fingerprint));
        let head = format!(
            r#"{{"kind":{},"apiVersion":{},"metadata":{{"resourceVersion":"{}","continue":{}}},"items":["#,
            quote(&list_kind),
            quote(&api_version),
            self.fingerprint >> 1,
            quote(&token),
        );
        let list = List {
            inner: Arc::clone(self),
            head: Some(head.into()),
            ids: page.into_iter(),
            view,
            first: true,
            done: false,
        };
        response(200, "application/json", Answer::List(list))
    }

    fn groups(&self) -> serde_json::Value {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for (group, ..) in self.index.collections().filter(|(group, ..)| !group.is_empty()) {
            if groups.last().is_some_and(|(last, _)| *last == group) {
                continue;
            }
            let mut versions: Vec<&str> = self.index.versions(group).map(|kind| kind.version.as_str()).collect();
            versions.sort_unstable();
            versions.dedup();
            groups.push((group, versions));
        }
        let groups: Vec<_> = groups
            .into_iter()
            .map(|(group, versions)| {
                let version = |v: &str| json!({ "groupVersion": format!("{group}/{v}"), "version": v });
                let preferred = versions.first().map(|v| version(v));
                let versions: Vec<_> = versions.iter().map(|v| version(v)).collect();
                json!({ "name": group, "versions": versions, "preferredVersion": preferred })
            })
            .collect();
        json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
    }

    fn resources(&self, group: &str, version: &str) -> Response<Answer> {
        let mut kinds: Vec<&str> =
            self.index.versions(group).filter(|kind| kind.version == version).map(|kind| kind.kind.as_str()).collect();
        kinds.sort_unstable();
        if kinds.is_empty() {
            return not_recorded(&if group.is_empty() {
                format!("/api/{version}")
            } else {
                format!("/apis/{group}/{version}")
            });
        }
        let resources: Vec<_> = kinds
            .into_iter()
            .map(|kind| {
                let known = resources::ALL.iter().find(|known| known.group == group && known.kind == kind);
                let name = known.map_or_else(|| plural(kind), |known| known.plural.to_owned());
                let namespaced = known.map_or_else(
                    || {
                        let ids = self.index.collection(group, kind).unwrap_or_default();
                        let first = ids.first().and_then(|id| self.index.entry(*id));
                        first.is_some_and(|entry| !self.index.namespace(entry).is_empty())
                    },
                    |known| known.namespaced,
                );
                json!({ "name": name, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"] })
            })
            .collect();
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        json_answer(
            200,
            &json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources }),
        )
    }
}

/// The query of a list.
#[derive(Debug, Default)]
struct Query {
    limit: Option<usize>,
    token: String,
    labels: String,
    fields: String,
    watch: bool,
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for part in query.split('&') {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = decode(value);
            match key {
                "limit" => parsed.limit = value.parse().ok().filter(|limit| *limit > 0),
                "continue" => parsed.token = value,
                "labelSelector" => parsed.labels = value,
                "fieldSelector" => parsed.fields = value,
                "watch" => parsed.watch = matches!(value.as_str(), "true" | "1"),
                _ => {}
            }
        }
        parsed
    }

    /// Where the page begins; `None` for a token that another snapshot gave.
    fn position(&self, inner: &Inner) -> Option<u64> {
        if self.token.is_empty() {
            return Some(0);
        }
        let (fingerprint, at) = self.token.split_once('.')?;
        let ours = u64::from_str_radix(fingerprint, 16).ok()? == inner.fingerprint;
        if ours { at.parse().ok() } else { None }
    }
}

/// Undoes percent-encoding and `+`.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let rest = bytes.clone();
                let pair: Vec<u8> = rest.take(2).collect();
                let value = std::str::from_utf8(&pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                match value {
                    Some(value) if pair.len() == 2 => {
                        out.push(value);
                        bytes.next();
                        bytes.next();
                    }
                    _ => out.push(byte),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The plural that a kind usually has in the URL.
fn plural(kind: &str) -> String {
    let word = kind.to_lowercase();
    if word.ends_with(['s', 'x']) || word.ends_with("ch") {
        format!("{word}es")
    } else if let Some(stem) = word.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u'])) {
        format!("{stem}ies")
    } else {
        format!("{word}s")
    }
}

fn not_recorded(path: &str) -> Response<Answer> {
    let mut body = status_body(404, NOT_RECORDED, "not recorded");
    if let Some(body) = body.as_object_mut() {
        body.insert("details".to_owned(), json!({ "name": path }));
    }
    json_answer(404, &body)
}

fn status_body(code: u16, reason: &str, message: &str) -> serde_json::Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": message, "reason": reason, "code": code,
    })
}

fn status(code: u16, reason: &str, message: &str) -> Response<Answer> {
    // where no answer had come at all, the nearest thing that HTTP can say
    let code = if code < 400 { 503 } else { code };
    json_answer(code, &status_body(code, reason, message))
}

fn json_answer(code: u16, body: &serde_json::Value) -> Response<Answer> {
    response(code, "application/json", Answer::Once(Some(Bytes::from(body.to_string()))))
}

fn response(code: u16, content: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content));
    response
}
