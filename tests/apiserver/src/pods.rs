//! Pods that clients make and delete.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::StatusCode;
use serde_json::{Value, json};

use crate::reply::{self, Reply};

/// What a pod's `status` is once it is made, or why it is not admitted.
pub(crate) type Admits = Arc<dyn Fn(&Value) -> Result<Value, String> + Send + Sync>;

/// The pods that clients made, and those of the cluster that they deleted.
#[derive(Default)]
pub(crate) struct Pods {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// As they were asked for, in order.
    asked: Vec<Value>,
    /// What is there now, by namespace and name.
    there: BTreeMap<(String, String), Value>,
    deleted: Vec<(String, String)>,
}

impl Pods {
    fn with<T>(&self, what: impl FnOnce(&mut Held) -> T) -> T {
        what(&mut self.held.lock().expect("no panic while a pod is made"))
    }

    /// Every pod that a client asked for, as it did.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.with(|held| held.asked.clone())
    }

    /// The names of those that are still there.
    pub(crate) fn left(&self) -> Vec<String> {
        self.with(|held| held.there.keys().map(|(_, name)| name.clone()).collect())
    }

    /// The names of all that were deleted.
    pub(crate) fn deleted(&self) -> Vec<String> {
        self.with(|held| held.deleted.iter().map(|(_, name)| name.clone()).collect())
    }

    /// One that is there.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Value> {
        self.with(|held| held.there.get(&(namespace.to_owned(), name.to_owned())).cloned())
    }

    /// Makes one.
    pub(crate) fn create(&self, admits: &Admits, namespace: &str, body: &[u8]) -> Reply {
        let asked: Value = match serde_json::from_slice(body) {
            Ok(pod) => pod,
            Err(error) => return reply::failure(400, "BadRequest", &error.to_string(), None),
        };
        let name = asked["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let status = admits(&asked);
        self.with(|held| {
            held.asked.push(asked.clone());
            let status = match status {
                Ok(status) => status,
                Err(reason) => {
                    let message = format!("pods {name:?} is forbidden: {reason}");
                    return reply::failure(403, "Forbidden", &message, Some(json!({"name": name, "kind": "pods"})));
                }
            };
            let mut pod = asked;
            pod["status"] = status;
            pod["metadata"]["uid"] = json!(format!("made-{}", held.asked.len()));
            held.there.insert((namespace.to_owned(), name), pod.clone());
            reply::json(StatusCode::CREATED, &pod)
        })
    }

    /// Deletes one; `known` is whether the cluster had it from the start.
    pub(crate) fn delete(&self, namespace: &str, name: &str, known: bool) -> Option<Reply> {
        self.with(|held| {
            let place = (namespace.to_owned(), name.to_owned());
            let gone = held.there.remove(&place).is_some() || (known && !held.deleted.contains(&place));
            if !gone {
                return None;
            }
            held.deleted.push(place);
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {"name": name, "kind": "pods"}});
            Some(reply::json(StatusCode::OK, &status))
        })
    }
}
