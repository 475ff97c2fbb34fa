//! Puts a big cluster's objects into the server.
//!
//! Namespaces, Services, and the addresses that the API server counts out for them go through the API.
//! Of nodes, pods and slices one each does, status and all; what the API server then keeps of it in
//! etcd must be, byte for byte, what the encoder of the tests makes of it. The others of the kind are
//! that object with texts of their own, encoded the same and put straight into etcd: minutes instead
//! of half an hour for two writes a pod. Some are read back through the API and compared.

use std::time::Instant;

use apiserver::{Collection as _, Generated, protobuf, slot};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use serde_json::{Value, json};

use super::{
    Size,
    http::Json,
    objects::{self, KINDS, Kind, NAMESPACES},
};
use crate::{Error, say::say};

/// Objects that are put into etcd at a time: it takes 128 operations and 1.5 MB.
const BATCH: usize = 100;
/// Requests under way at a time.
const PARALLEL: usize = 16;
/// Objects of a kind that are read back.
const SAMPLES: usize = 20;

/// What must be there: a list's path and its length.
fn lists(size: Size) -> [(&'static str, &'static str, usize); 5] {
    [
        ("nodes", "/api/v1/nodes", size.nodes),
        ("pods", "/api/v1/pods", size.pods()),
        // `kubernetes` in `default` is the API server's own
        ("Services", "/api/v1/services", size.services + 1),
        ("EndpointSlices", "/apis/discovery.k8s.io/v1/endpointslices", size.services * 2),
        ("IPAddresses", "/apis/networking.k8s.io/v1/ipaddresses", size.services * 2 + 1),
    ]
}

/// What is missing, in words; nothing when all is there.
pub(super) async fn missing(api: &Json, size: Size) -> Result<Option<String>, Error> {
    for (name, path, wanted) in lists(size) {
        let there = count(api, path).await?;
        if there < wanted {
            return Ok(Some(format!("{there} of {wanted} {name}")));
        }
    }
    Ok(None)
}

/// The length of a list, without reading it.
async fn count(api: &Json, path: &str) -> Result<usize, Error> {
    let list = api.must(Method::GET, &format!("{path}?limit=1"), None).await?;
    let first = list["items"].as_array().map_or(0, Vec::len);
    let rest = list["metadata"]["remainingItemCount"].as_u64().unwrap_or(0);
    Ok(first + usize::try_from(rest).unwrap_or(usize::MAX))
}

/// Makes everything that is not there yet.
pub(super) async fn seed(api: &Json, etcd: &Json, size: Size) -> Result<(), Error> {
    let named = (0..NAMESPACES).map(|index| json!({"metadata": {"name": objects::namespace(index)}}));
    stream::iter(named)
        .map(|object| async move { api.create("/api/v1/namespaces", &object).await })
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    // first, while the API server has little else to keep up with
    let start = Instant::now();
    stream::iter((0..size.services).map(objects::service))
        .map(|(path, object)| async move { api.create(&path, &object).await })
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    say(&format!("seeded {} Services in {:.0} s", size.services, start.elapsed().as_secs_f64()));
    for kind in &KINDS {
        many(api, etcd, size, kind).await?;
    }
    match missing(api, size).await? {
        None => Ok(()),
        Some(missing) => Err(Error::Other(format!("after seeding there are only {missing}"))),
    }
}

/// One through the API, the others like it into etcd.
async fn many(api: &Json, etcd: &Json, size: Size, kind: &Kind) -> Result<(), Error> {
    let count = (kind.count)(size);
    let start = Instant::now();
    let first = count * 2 / 3;
    let texts = (kind.texts)(size, first);
    let template = template(kind, &stored(api, kind, &texts).await?, &texts);
    let texts_of = kind.texts;
    let made = Generated::new(template, count, move |index| texts_of(size, index));
    check_first(api, etcd, kind, &made, first).await?;

    let numbers: Vec<usize> = (0..count).filter(|index| *index != first).collect();
    stream::iter(numbers.chunks(BATCH))
        .map(|numbers| {
            let puts: Vec<Value> = numbers
                .iter()
                .map(|index| {
                    let key = format!("{}{}", kind.key, made.key(*index));
                    json!({"request_put": {"key": STANDARD.encode(key), "value": STANDARD.encode(wire(kind, &made, *index))}})
                })
                .collect();
            let body = json!({"success": puts});
            async move { etcd.must(Method::POST, "/v3/kv/txn", Some(&body)).await }
        })
        .buffer_unordered(4)
        .try_for_each(|_| async { Ok(()) })
        .await?;

    for sample in 0..SAMPLES.min(count) {
        let index = sample * count / SAMPLES.min(count);
        let asked = (kind.object)(&(kind.texts)(size, index));
        let mut read = api.must(Method::GET, &path_of(kind, &asked), None).await?;
        check_read(&mut read, (index != first).then(|| made.value(index)), &asked)?;
    }
    say(&format!("seeded {count} of {} in {:.0} s", kind.kind, start.elapsed().as_secs_f64()));
    Ok(())
}

/// The bytes that etcd keeps for one.
fn wire(kind: &Kind, made: &Generated, index: usize) -> Vec<u8> {
    let mut body = Vec::new();
    made.write_protobuf(index, &mut body);
    protobuf::enveloped(kind.api_version, kind.kind, &body)
}

fn path_of(kind: &Kind, object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    format!("{}/{}", (kind.path)(text("namespace")), text("name"))
}

/// Creates the first of a kind with its status, and gives it as the API server has it then.
async fn stored(api: &Json, kind: &Kind, texts: &[String]) -> Result<Value, Error> {
    let object = (kind.object)(texts);
    let path = path_of(kind, &object);
    api.create(path.rsplit_once('/').map_or("", |(list, _)| list), &object).await?;
    if kind.status {
        let mut now = api.must(Method::GET, &path, None).await?;
        now["status"] = object["status"].clone();
        api.must(Method::PUT, &format!("{path}/status"), Some(&now)).await?;
    }
    if kind.kind == "Node" {
        // given to every new node; a controller would take it off
        let mut now = api.must(Method::GET, &path, None).await?;
        if let Some(spec) = now["spec"].as_object_mut() {
            spec.remove("taints");
        }
        api.must(Method::PUT, &path, Some(&now)).await?;
    }
    let mut stored = api.must(Method::GET, &path, None).await?;
    // not kept with the object: etcd's own revision
    if let Some(metadata) = stored["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    Ok(stored)
}

/// An object with slots in place of its texts.
fn template(kind: &Kind, stored: &Value, texts: &[String]) -> Value {
    let mut marks: Vec<(&str, String)> = texts
        .iter()
        .zip(0..=u8::MAX)
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, index)| (text.as_str(), slot(index).to_string()))
        .collect();
    // a pod's name holds its Service's name
    marks.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    let mut template = marked(stored, &marks);
    let uid = u8::try_from(texts.len().saturating_sub(1)).unwrap_or(u8::MAX);
    template["metadata"]["uid"] = Value::String(slot(uid).to_string());
    template["kind"] = Value::String(kind.kind.to_owned());
    template["apiVersion"] = Value::String(kind.api_version.to_owned());
    template
}

/// Everything with its texts replaced, also in the keys: field managers name list items by their values.
fn marked(value: &Value, marks: &[(&str, String)]) -> Value {
    let mark = |text: &str| marks.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    match value {
        Value::String(text) => Value::String(mark(text)),
        Value::Array(items) => items.iter().map(|item| marked(item, marks)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (mark(key), marked(value, marks))).collect())
        }
        other => other.clone(),
    }
}

/// Holds the encoder's bytes of the first against those in etcd: they may differ in the uid alone.
async fn check_first(api: &Json, etcd: &Json, kind: &Kind, made: &Generated, first: usize) -> Result<(), Error> {
    let mut read = api.must(Method::GET, &path_of(kind, &made.value(first)), None).await?;
    if let Some(metadata) = read["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    let ours = protobuf::enveloped(kind.api_version, kind.kind, &protobuf::encoded(kind.kind, &read));
    let key = format!("{}{}", kind.key, made.key(first));
    let answer = etcd.must(Method::POST, "/v3/kv/range", Some(&json!({"key": STANDARD.encode(&key)}))).await?;
    let kept = answer["kvs"][0]["value"].as_str().and_then(|value| STANDARD.decode(value).ok());
    let kept = kept.ok_or_else(|| Error::Other(format!("etcd has no {key}")))?;
    if kept == ours {
        return Ok(());
    }
    let at = kept.iter().zip(&ours).position(|(a, b)| a != b).unwrap_or(kept.len().min(ours.len()));
    let around = |bytes: &[u8]| {
        let part: Vec<u8> = bytes.iter().skip(at.saturating_sub(40)).take(100).copied().collect();
        String::from_utf8_lossy(&part).into_owned()
    };
    Err(Error::Other(format!(
        "this API server keeps a {} otherwise than the encoder writes it, from byte {at}: {:?} instead of {:?}; \
         nothing was put past the API",
        kind.kind,
        around(&kept),
        around(&ours)
    )))
}

/// One that was read through the API must be what was made, and have what was asked for.
fn check_read(read: &mut Value, made: Option<Value>, asked: &Value) -> Result<(), Error> {
    if let Some(metadata) = read["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    let name = asked["metadata"]["name"].as_str().unwrap_or_default();
    if made.is_some_and(|made| made != *read) {
        return Err(Error::Other(format!("{name} does not read back as it was put into etcd")));
    }
    if !has(read, asked) {
        return Err(Error::Other(format!("{name} lacks something of what was asked for: {read}")));
    }
    Ok(())
}

/// Whether a value has all of another: fields may have been added, and items at a list's end.
fn has(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            part.iter().all(|(key, part)| value.get(key).is_some_and(|value| has(value, part)))
        }
        (Value::Array(value), Value::Array(part)) => {
            value.len() >= part.len() && value.iter().zip(part).all(|(value, part)| has(value, part))
        }
        (value, part) => value == part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { nodes: 12, pods_per_node: 3, services: 5 };

    #[test]
    fn a_template_gives_every_object_its_own_texts_back() {
        for kind in &KINDS {
            let count = (kind.count)(SIZE);
            let first = count * 2 / 3;
            let texts = (kind.texts)(SIZE, first);
            let mut stored = (kind.object)(&texts);
            stored["metadata"]["managedFields"] = json!([{"fieldsV1": {format!("k:{{\"ip\":{:?}}}", texts[4]): {}}}]);
            let template = template(kind, &stored, &texts);
            let texts_of = kind.texts;
            let made = Generated::new(template, count, move |index| texts_of(SIZE, index));
            for index in 0..count {
                let texts = (kind.texts)(SIZE, index);
                let value = made.value(index);
                assert!(has(&value, &(kind.object)(&texts)), "{} {index}: {value}", kind.kind);
                assert_eq!(value["metadata"]["uid"].as_str(), texts.last().map(String::as_str));
                let managed = value["metadata"]["managedFields"][0]["fieldsV1"].to_string();
                assert!(managed.contains(&texts[4]), "{managed}");
            }
        }
    }

    #[test]
    fn no_two_objects_share_a_name_or_an_address() {
        for kind in &KINDS {
            let all: Vec<Vec<String>> = (0..(kind.count)(SIZE)).map(|index| (kind.texts)(SIZE, index)).collect();
            let names: std::collections::BTreeSet<_> = all.iter().map(|texts| (&texts[0], &texts[1])).collect();
            assert_eq!(names.len(), all.len(), "{}", kind.kind);
        }
        let addresses: std::collections::BTreeSet<_> = (0..SIZE.pods())
            .flat_map(|index| {
                let texts = (KINDS[1].texts)(SIZE, index);
                [texts[4].clone(), texts[5].clone()]
            })
            .collect();
        assert_eq!(addresses.len(), 2 * SIZE.pods());
    }

    #[test]
    fn what_was_added_does_not_matter_and_what_lacks_does() {
        let value = json!({"a": [1, {"b": 2, "c": 3}, 4]});
        assert!(has(&value, &json!({"a": [1, {"b": 2}]})));
        assert!(!has(&value, &json!({"a": [{"b": 2}]})));
        assert!(!has(&value, &json!({"a": [1], "d": null})));
    }
}
