//! Changing a cluster: one object at a time, with what it was before, the way back, and what is taken
//! for granted. Knows nothing of what is changed or why.
//!
//! The order of a change: the [`Lock`] is taken, a [`Backup`] is kept in the cluster and read back, and
//! only then are [`Change`]s applied, each refused by the server where its object moved.

mod apply;
mod backup;
mod lock;
mod stop;

pub use apply::{Applied, ApplyError, Restarted, restart};
pub use backup::{Backup, BackupError, Draft};
pub use lock::{Lock, LockError};
pub use stop::Stop;

use std::io::IsTerminal as _;

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, ReadError, encode},
    print::Say,
};

/// An object of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// As people name it: `configmap kube-system/kube-proxy`.
    pub title: String,
    /// Its path: `/api/v1/namespaces/kube-system/configmaps/kube-proxy`.
    pub path: String,
}

impl Object {
    /// A ConfigMap.
    pub fn config_map(namespace: &str, name: &str) -> Self {
        Self {
            title: format!("configmap {namespace}/{name}"),
            path: format!("{}/{}", config_maps(namespace), encode(name)),
        }
    }
}

fn config_maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{}/configmaps", encode(namespace))
}

/// A change of one text of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is changed.
    pub object: Object,
    /// Where in it: `["data", "config.conf"]`.
    pub field: Vec<String>,
    /// The text as it is.
    pub before: String,
    /// The text as it becomes.
    pub after: String,
    /// The object's `resourceVersion`: with another one, the server refuses.
    pub resource_version: String,
}

impl Change {
    /// The way back from the object as it became.
    #[must_use]
    pub fn undo(&self, resource_version: &str) -> Self {
        Self {
            before: self.after.clone(),
            after: self.before.clone(),
            resource_version: resource_version.to_owned(),
            ..self.clone()
        }
    }

    /// The text in an object.
    fn text<'v>(&self, object: &'v Value) -> Option<&'v str> {
        self.field.iter().try_fold(object, |value, key| value.get(key))?.as_str()
    }

    /// What is sent.
    fn patch(&self) -> Value {
        let nested = self.field.iter().rev().fold(json!(self.after), |value, key| json!({ key: value }));
        let mut patch = json!({"metadata": {"resourceVersion": self.resource_version}});
        if let (Some(patch), Value::Object(nested)) = (patch.as_object_mut(), nested) {
            patch.extend(nested);
        }
        patch
    }

    /// The lines that change, as `diff -u0` has them.
    pub fn diff(&self) -> String {
        let name = format!("{} {}", self.object.title, self.field.join("."));
        let diff = similar::TextDiff::from_lines(&self.before, &self.after);
        diff.unified_diff().context_radius(0).header(&name, &name).to_string()
    }
}

/// Asks whether to go on: without a terminal only where it was said beforehand.
///
/// # Errors
/// In words, where there is nobody to ask.
pub fn confirmed(say: &Say, question: &str, beforehand: bool) -> Result<bool, String> {
    if beforehand {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err("not confirmed: there is no terminal to ask on; --yes goes on without asking".to_owned());
    }
    Ok(say.asks(question))
}

/// An object as it is now: what a change starts from.
///
/// # Errors
/// Where the server does not give it.
pub async fn current(cluster: &Cluster, object: &Object) -> Result<Value, ReadError> {
    cluster.now(&object.path).await
}

/// Now, RFC 3339 in UTC.
pub fn now() -> String {
    crate::record::timestamp(std::time::SystemTime::now())
}

/// The object's `metadata.resourceVersion`.
fn version_of(object: &Value) -> String {
    text_of(object, "/metadata/resourceVersion")
}

fn text_of(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> Change {
        Change {
            object: Object::config_map("kube-system", "kube-proxy"),
            field: vec!["data".to_owned(), "config.conf".to_owned()],
            before: "a: 1\nmode: \"\"\n".to_owned(),
            after: "a: 1\nmode: ipvs\n".to_owned(),
            resource_version: "7".to_owned(),
        }
    }

    #[test]
    fn a_patch_names_the_one_text_and_the_version() {
        let expected = json!({"metadata": {"resourceVersion": "7"}, "data": {"config.conf": "a: 1\nmode: ipvs\n"}});
        assert_eq!(change().patch(), expected);
        assert_eq!(change().text(&expected), Some("a: 1\nmode: ipvs\n"));
        let undo = change().undo("8");
        assert_eq!((undo.after.as_str(), undo.resource_version.as_str()), ("a: 1\nmode: \"\"\n", "8"));
        assert_eq!(change().object.path, "/api/v1/namespaces/kube-system/configmaps/kube-proxy");
    }

    #[test]
    fn a_diff_has_the_lines_that_change_and_no_others() {
        let name = "configmap kube-system/kube-proxy data.config.conf";
        assert_eq!(change().diff(), format!("--- {name}\n+++ {name}\n@@ -2 +2 @@\n-mode: \"\"\n+mode: ipvs\n"));
    }
}
