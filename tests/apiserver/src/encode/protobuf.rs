//! JSON objects to Kubernetes' protobuf.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{
    fields::{self, Field, Occurs, Shape},
    template::{Compiled, Part, pieces},
};

/// What stands before every message.
pub const MAGIC: &[u8] = b"k8s\0";

const LENGTH_DELIMITED: u32 = 2;

/// Whether objects of a kind can be encoded.
pub fn knows(kind: &str) -> bool {
    fields::of(kind).is_some()
}

/// Encodes an object without envelope; its strings may have slots.
pub(crate) fn object(kind: &str, value: &Value) -> Compiled {
    Compiled::new(message(kind, value))
}

/// An object encoded without envelope.
pub fn encoded(kind: &str, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    object(kind, value).write(&[], &mut out);
    out
}

/// An object in its envelope: `k8s\0` and a `runtime.Unknown`.
pub fn enveloped(api_version: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut out = envelope_start(api_version, kind, body.len());
    out.extend_from_slice(body);
    out.extend_from_slice(ENVELOPE_END);
    out
}

/// Everything of an envelope before a body of that length.
pub fn envelope_start(api_version: &str, kind: &str, body: usize) -> Vec<u8> {
    let mut types = Vec::new();
    put_text(&mut types, 1, api_version);
    put_text(&mut types, 2, kind);
    let mut out = MAGIC.to_vec();
    put_bytes(&mut out, 1, &types);
    put_key(&mut out, 2, LENGTH_DELIMITED);
    put_length(&mut out, body);
    out
}

/// What stands after an envelope's body: no content encoding and no content type.
pub const ENVELOPE_END: &[u8] = &[3 << 3 | 2, 0, 4 << 3 | 2, 0];

/// A list's metadata as its first field.
pub fn list_start(metadata: &Value) -> Vec<u8> {
    let mut meta = Vec::new();
    object("ListMeta", metadata).write(&[], &mut meta);
    let mut out = Vec::new();
    put_bytes(&mut out, 1, &meta);
    out
}

/// The head of one item of a list.
pub fn item_start(out: &mut Vec<u8>, len: usize) {
    put_key(out, 2, LENGTH_DELIMITED);
    put_length(out, len);
}

/// How long [`item_start`] is.
pub fn item_start_len(len: usize) -> usize {
    1 + varint_len(len)
}

fn message(name: &str, value: &Value) -> Vec<Part> {
    let fields = fields::of(name).unwrap_or_else(|| panic!("no protobuf fields are known for {name}"));
    let empty = Value::Object(Map::new());
    let value = if value.is_object() { value } else { &empty };
    let mut parts = Vec::new();
    for field in fields {
        match &field.name {
            None => one(field, value, &mut parts),
            Some(name) => named(field, value.get(name).unwrap_or(&Value::Null), &mut parts),
        }
    }
    parts
}

fn named(field: &Field, value: &Value, parts: &mut Vec<Part>) {
    match (field.occurs, value) {
        (Occurs::IfSet | Occurs::List | Occurs::Map, Value::Null) => {}
        (Occurs::List, Value::Array(items)) => items.iter().for_each(|item| one(field, item, parts)),
        (Occurs::Map, Value::Object(entries)) => entries.iter().for_each(|(k, v)| entry(field, k, v, parts)),
        (Occurs::Always | Occurs::IfSet, value) => one(field, value, parts),
        (_, other) => panic!("field {:?} holds {other}", field.name),
    }
}

fn entry(field: &Field, key: &str, value: &Value, parts: &mut Vec<Part>) {
    let mut inner = vec![key_part(1, LENGTH_DELIMITED), Part::Text(pieces(key))];
    shaped(2, &field.shape, value, &mut inner);
    parts.push(key_part(field.number, LENGTH_DELIMITED));
    parts.push(Part::Message(inner));
}

fn one(field: &Field, value: &Value, parts: &mut Vec<Part>) {
    shaped(field.number, &field.shape, value, parts);
}

fn shaped(number: u32, shape: &Shape, value: &Value, parts: &mut Vec<Part>) {
    if matches!(shape, Shape::Int | Shape::Bool) {
        parts.push(varint_part(number, whole(value)));
        return;
    }
    parts.push(key_part(number, LENGTH_DELIMITED));
    parts.push(match shape {
        Shape::Text => Part::Text(pieces(text(value))),
        Shape::Bytes => Part::Message(vec![Part::Bytes(
            STANDARD.decode(text(value)).unwrap_or_else(|error| panic!("{value} is not base64: {error}")),
        )]),
        Shape::Time => Part::Message(time(text(value))),
        Shape::Quantity => Part::Message(vec![key_part(1, LENGTH_DELIMITED), Part::Text(pieces(&quantity(value)))]),
        Shape::IntOrString => Part::Message(int_or_string(value)),
        Shape::RawJson => Part::Message(vec![key_part(1, LENGTH_DELIMITED), Part::Text(pieces(&value.to_string()))]),
        Shape::Message(name) => Part::Message(message(name, value)),
        Shape::Int | Shape::Bool => unreachable!("written above"),
    });
}

/// Numbers and booleans; absent ones are zero.
fn whole(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Bool(on) => u64::from(*on),
        value => value.as_i64().map_or_else(|| panic!("{value} is no whole number of 64 bits"), i64::cast_unsigned),
    }
}

fn text(value: &Value) -> &str {
    match value {
        Value::Null => "",
        value => value.as_str().unwrap_or_else(|| panic!("{value} stands where text is expected")),
    }
}

fn quantity(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn int_or_string(value: &Value) -> Vec<Part> {
    let (kind, number) = if value.is_string() { (1, 0) } else { (0, whole(value)) };
    vec![
        varint_part(1, kind),
        varint_part(2, number),
        key_part(3, LENGTH_DELIMITED),
        Part::Text(pieces(value.as_str().unwrap_or_default())),
    ]
}

/// `2026-11-23T19:53:38Z`, with or without a fraction; an absent time is an empty message.
fn time(text: &str) -> Vec<Part> {
    if text.is_empty() {
        return Vec::new();
    }
    let (seconds, nanos) = seconds(text).unwrap_or_else(|| panic!("{text:?} is no time in UTC"));
    vec![varint_part(1, seconds.cast_unsigned()), varint_part(2, nanos)]
}

fn seconds(text: &str) -> Option<(i64, u64)> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second, nanos))
}

/// Days since 1970 of a Gregorian date: years run from March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn key_part(number: u32, wire: u32) -> Part {
    let mut key = Vec::new();
    put_key(&mut key, number, wire);
    Part::Bytes(key)
}

fn varint_part(number: u32, value: u64) -> Part {
    let mut bytes = Vec::new();
    put_key(&mut bytes, number, 0);
    put_varint(&mut bytes, value);
    Part::Bytes(bytes)
}

fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    put_bytes(out, number, text.as_bytes());
}

fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_key(out, number, LENGTH_DELIMITED);
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_key(out: &mut Vec<u8>, number: u32, wire: u32) {
    put_varint(out, u64::from(number << 3 | wire));
}

pub(super) fn put_length(out: &mut Vec<u8>, len: usize) {
    put_varint(out, len as u64);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}

pub(super) fn varint_len(value: usize) -> usize {
    (1..10).find(|bytes| value < 1 << (7 * bytes)).unwrap_or(10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::slot;

    #[test]
    fn a_number_takes_as_many_bytes_as_it_needs() {
        for (value, len) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (usize::MAX, 10)] {
            let mut out = Vec::new();
            put_varint(&mut out, value as u64);
            assert_eq!((out.len(), varint_len(value)), (len, len), "{value}");
        }
    }

    #[test]
    fn times_count_from_1970() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(seconds("2000-02-29T12:00:00Z"), Some((951_825_600, 0)));
        assert_eq!(seconds("2026-11-23T19:53:38.5Z"), Some((1_795_463_618, 500_000_000)));
        assert_eq!(seconds("yesterday"), None);
    }

    #[test]
    fn empty_fields_are_written_as_kubernetes_writes_them() {
        // resource, namespace and name after an empty group.
        let reference = json!({"parentRef": {"resource": "services", "namespace": "a", "name": "b"}});
        assert_eq!(encoded("IPAddressSpec", &reference), b"\x0a\x12\x0a\x00\x12\x08services\x1a\x01a\x22\x01b");
    }

    #[test]
    fn slots_change_the_lengths_around_them() {
        let (a, b) = (slot(0), slot(1));
        let template = json!({"metadata": {"name": format!("pod-{a}")}, "status": {"podIP": format!("10.0.{b}.{a}")}});
        let compiled = object("Pod", &template);
        for (a, b) in [("1", "2"), (&*"x".repeat(200), "255")] {
            let filled =
                json!({"metadata": {"name": format!("pod-{a}")}, "status": {"podIP": format!("10.0.{b}.{a}")}});
            let slots = [a.to_owned(), b.to_owned()];
            let mut out = Vec::new();
            compiled.write(&slots, &mut out);
            assert_eq!(out, encoded("Pod", &filled));
            assert_eq!(compiled.len(&slots), out.len());
        }
    }

    /// The same lists from a real kube-apiserver, in both encodings.
    #[test]
    fn lists_are_what_a_real_server_sends() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/encoding");
        for plural in ["nodes", "pods", "services", "ipaddresses", "servicecidrs", "deployments", "namespaces"] {
            let list = std::fs::read(format!("{folder}/{plural}.json")).expect("the list in JSON");
            let list: Value = serde_json::from_slice(&list).expect("JSON");
            let real = std::fs::read(format!("{folder}/{plural}.pb")).expect("the list in protobuf");
            let text = |field: &str| list[field].as_str().expect("a list's type");
            let kind = text("kind").strip_suffix("List").expect("a list");
            let mut body = list_start(&list["metadata"]);
            for object in list["items"].as_array().expect("items") {
                let item = encoded(kind, object);
                item_start(&mut body, item.len());
                body.extend(item);
            }
            let ours = enveloped(text("apiVersion"), text("kind"), &body);
            let differs = ours.iter().zip(&real).position(|(a, b)| a != b);
            if let Some(at) = differs {
                let around = |bytes: &[u8]| {
                    String::from_utf8_lossy(&bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())]).into_owned()
                };
                panic!("{plural} differ at byte {at}:\n{:?}\n{:?}", around(&ours), around(&real));
            }
            assert_eq!(ours.len(), real.len(), "{plural}");
        }
    }
}
