//! Writing to the API server, for `change` alone: each request is one object, and says what it takes
//! for granted.

use http::Method;
use serde_json::{Value, json};

use super::{
    Cluster, ReadError,
    request::{JSON, MERGE_PATCH},
};

/// Who is named in an object's managed fields for what is written here.
const MANAGER: &str = "fieldManager=kubectl-net";

/// Whether the server keeps what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It does.
    Yes,
    /// It only checks it.
    No,
}

impl Keep {
    fn query(self) -> String {
        match self {
            Self::Yes => MANAGER.to_owned(),
            Self::No => format!("{MANAGER}&dryRun=All"),
        }
    }
}

impl Cluster {
    /// Makes an object in a collection.
    pub(crate) async fn create(&self, collection: &str, object: &Value, keep: Keep) -> Result<Value, ReadError> {
        self.write(Method::POST, &format!("{collection}?{}", keep.query()), JSON, object).await
    }

    /// Changes what a merge patch names; with a `resourceVersion` in it, only where the object has that.
    pub(crate) async fn patch(&self, object: &str, patch: &Value, keep: Keep) -> Result<Value, ReadError> {
        self.write(Method::PATCH, &format!("{object}?{}", keep.query()), MERGE_PATCH, patch).await
    }

    /// Puts an object in the place of one that has its `resourceVersion`.
    pub(crate) async fn replace(&self, object: &str, whole: &Value) -> Result<Value, ReadError> {
        self.write(Method::PUT, &format!("{object}?{MANAGER}"), JSON, whole).await
    }

    /// Deletes the object that has this uid, and no other of its name.
    pub(crate) async fn delete(&self, object: &str, uid: &str) -> Result<Value, ReadError> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        self.write(Method::DELETE, object, JSON, &options).await
    }

    /// The object at a path as it is now, past any recording.
    pub(crate) async fn now(&self, object: &str) -> Result<Value, ReadError> {
        let bytes = self.transport.get(object, JSON).await?.whole().await?;
        serde_json::from_slice(&bytes).map_err(|error| ReadError::Malformed(error.to_string()))
    }

    async fn write(&self, method: Method, path: &str, kind: &'static str, body: &Value) -> Result<Value, ReadError> {
        let body = serde_json::to_vec(body).map_err(|error| ReadError::Malformed(error.to_string()))?;
        let answer = self.transport.send_as(method, path, JSON, kind, body.into()).await?.whole().await?;
        serde_json::from_slice(&answer).map_err(|error| ReadError::Malformed(error.to_string()))
    }
}
