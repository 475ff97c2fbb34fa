//! Objects that clients write: created, replaced, patched and deleted, with the preconditions and the
//! refusals of the real server. Only where the test lets them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    kinds::Kind,
    objects::{Collection, Held, key},
    reply::{self, Reply},
};

/// An object of the cluster by its kind's plural and its key (`namespace/name`).
pub type Look<'a> = &'a dyn Fn(&str, &str) -> Option<Value>;
/// What a cluster's controllers do once an object was deleted: what comes to be, each after a
/// while; what follows the first is what becomes of it, unless it is deleted.
pub type Controller = Arc<dyn Fn(&Value, Look<'_>) -> Vec<(Duration, Value)> + Send + Sync>;

/// The first version that a write makes; every list is of an earlier state.
const FIRST: i64 = 1001;

/// The kinds whose objects were written to, as they are now.
pub(crate) struct Store {
    held: Mutex<Written>,
}

struct Written {
    next: i64,
    tables: HashMap<usize, Arc<dyn Collection>>,
}

impl Default for Store {
    fn default() -> Self {
        Self { held: Mutex::new(Written { next: FIRST, tables: HashMap::new() }) }
    }
}

/// A write as it was asked for.
pub(crate) struct Write<'a> {
    pub(crate) method: &'a Method,
    pub(crate) body: &'a [u8],
    pub(crate) keeps: bool,
}

impl Store {
    /// A kind's objects as they are now.
    pub(crate) fn objects(&self, index: usize, base: &Arc<dyn Collection>) -> Arc<dyn Collection> {
        self.held.lock().expect("no panic while writing").tables.get(&index).unwrap_or(base).clone()
    }

    /// Changes the objects of a kind by hand: what it gives is handed on, and what it refuses is not kept.
    fn change<T>(
        &self,
        (index, base): (usize, &Arc<dyn Collection>),
        keeps: bool,
        what: impl FnOnce(&mut Vec<Value>, &str) -> Result<T, Box<Reply>>,
    ) -> Result<T, Box<Reply>> {
        let mut written = self.held.lock().expect("no panic while writing");
        let now = written.tables.get(&index).unwrap_or(base);
        let mut objects: Vec<Value> = (0..now.len()).map(|place| now.value(place)).collect();
        let version = written.next.to_string();
        let done = what(&mut objects, &version)?;
        if keeps {
            written.next += 1;
            written.tables.insert(index, Arc::new(Held::new(objects)));
        }
        Ok(done)
    }

    /// Whether there is an object of this one's name.
    pub(crate) fn has(&self, (index, base): (usize, &Arc<dyn Collection>), object: &Value) -> bool {
        self.objects(index, base).find(&key_of(object)).is_ok()
    }

    /// Puts an object there, whoever had its name.
    pub(crate) fn put(&self, table: (usize, &Arc<dyn Collection>), mut object: Value) {
        let _ = self.change(table, true, |objects, version| {
            let name = key_of(&object);
            object["metadata"]["resourceVersion"] = json!(version);
            objects.retain(|other| key_of(other) != name);
            objects.push(object);
            Ok(())
        });
    }

    /// Takes an object away; gives it.
    pub(crate) fn take(&self, table: (usize, &Arc<dyn Collection>), wanted: &str) -> Option<Value> {
        let mut taken = None;
        let _ = self.change(table, true, |objects, _| {
            taken = objects.iter().position(|object| key_of(object) == wanted).map(|place| objects.remove(place));
            Ok(())
        });
        taken
    }

    /// A client's write of an object, or of a new one where no name is given; gives the answer, and the
    /// object that it deleted.
    pub(crate) fn write(
        &self,
        table: (usize, &Arc<dyn Collection>),
        kind: &Kind,
        (namespace, name): (&str, Option<&str>),
        write: &Write<'_>,
    ) -> (Reply, Option<Value>) {
        let body: Value = match serde_json::from_slice(write.body) {
            Ok(body) => body,
            Err(_) if write.body.is_empty() => json!({}),
            Err(error) => return (reply::failure(400, "BadRequest", &error.to_string(), None), None),
        };
        let name = name.map_or_else(|| text(&body, "name").to_owned(), str::to_owned);
        let place = key(namespace, &name);
        let mut deleted = None;
        let outcome = self.change(table, write.keeps, |objects, version| {
            let at = objects.iter().position(|object| key_of(object) == place);
            match (write.method, at) {
                (&Method::POST, Some(_)) => {
                    let message = format!("{} {name:?} already exists", kind.full_name());
                    Err(Box::new(reply::failure(409, "AlreadyExists", &message, Some(details(kind, &name)))))
                }
                (&Method::POST, None) => {
                    let mut object = body.clone();
                    object["apiVersion"] = json!(kind.api_version());
                    object["kind"] = json!(kind.kind);
                    let meta = &mut object["metadata"];
                    meta["namespace"] = json!(namespace);
                    meta["uid"] = json!(format!("11111111-0000-4000-8000-{version:0>12}"));
                    meta["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
                    meta["resourceVersion"] = json!(version);
                    objects.push(object.clone());
                    Ok(reply::json(StatusCode::CREATED, &object))
                }
                (_, None) => {
                    let message = format!("{} {name:?} not found", kind.full_name());
                    Err(Box::new(reply::failure(404, "NotFound", &message, Some(details(kind, &name)))))
                }
                (&Method::DELETE, Some(at)) => {
                    let (wanted, is) = (body["preconditions"]["uid"].as_str(), text(&objects[at], "uid").to_owned());
                    if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
                        let why =
                            format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {is}");
                        return Err(Box::new(conflict(kind, &name, &why)));
                    }
                    let gone = objects.remove(at);
                    let answer = reply::json(StatusCode::OK, &gone);
                    deleted = Some(gone);
                    Ok(answer)
                }
                (method, Some(at)) => {
                    let wanted = text(&body, "resourceVersion");
                    if !wanted.is_empty() && wanted != text(&objects[at], "resourceVersion") {
                        let why = "the object has been modified; please apply your changes to the latest version and try again";
                        return Err(Box::new(conflict(kind, &name, why)));
                    }
                    let before = objects[at].clone();
                    let mut after = if *method == Method::PUT { body.clone() } else { merged(&before, &body) };
                    if before["immutable"] == true && before["data"] != after["data"] {
                        let cause = "data: Forbidden: field is immutable when `immutable` is set";
                        let message = format!("{} {name:?} is invalid: {cause}", kind.kind);
                        return Err(Box::new(reply::failure(422, "Invalid", &message, Some(details(kind, &name)))));
                    }
                    after["metadata"]["resourceVersion"] = json!(version);
                    after["metadata"]["uid"] = before["metadata"]["uid"].clone();
                    objects[at] = after.clone();
                    Ok(reply::json(StatusCode::OK, &after))
                }
            }
        });
        (outcome.unwrap_or_else(|refusal| *refusal), deleted.filter(|_| write.keeps))
    }
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object["metadata"][field].as_str().unwrap_or_default()
}

fn key_of(object: &Value) -> String {
    key(text(object, "namespace"), text(object, "name"))
}

fn details(kind: &Kind, name: &str) -> Value {
    let mut details = json!({"name": name, "kind": kind.plural});
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    details
}

fn conflict(kind: &Kind, name: &str, why: &str) -> Reply {
    let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.full_name());
    reply::failure(409, "Conflict", &message, Some(details(kind, name)))
}

/// RFC 7386.
fn merged(object: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut fields = object.as_object().cloned().unwrap_or_default();
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            let old = fields.get(name).cloned().unwrap_or(Value::Null);
            fields.insert(name.clone(), merged(&old, value));
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_adds_replaces_and_takes_away() {
        let object = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        assert_eq!(
            merged(&object, &json!({"a": {"b": null, "x": 3}, "d": [2]})),
            json!({"a": {"c": 2, "x": 3}, "d": [2]})
        );
        assert_eq!(merged(&json!("text"), &json!({"a": 1})), json!({"a": 1}));
    }
}
