//! What is written: a change, and the deletion of a pod that its owner makes anew. Where no answer came,
//! the object is read again: whether the server did it is never guessed.

use std::time::Duration;

use super::{Change, version_of};
use crate::cluster::{Cluster, Keep, ReadError, encode};

/// How often an object is read again after a request without an answer.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// An object after its change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its `resourceVersion`.
    pub resource_version: String,
}

/// Why a change was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Somebody changed the object meanwhile: it is as they left it.
    #[error("{0} was changed meanwhile by somebody else; nothing was written to it")]
    Moved(String),
    /// The server refused: the object is as it was.
    #[error("{0} was not changed: {1}")]
    Refused(String, ReadError),
    /// No answer came, and the object could not be read again.
    #[error("whether {0} was changed is not known: {1}")]
    Unknown(String, ReadError),
}

/// What became of a pod's deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarted {
    /// It is going.
    Deleted,
    /// It was gone already, or another one has its name.
    Gone,
}

impl Change {
    /// Writes it, or has the server check it.
    ///
    /// # Errors
    /// Where it was not written, or that is not known.
    pub async fn apply(&self, cluster: &Cluster, keep: Keep) -> Result<Applied, ApplyError> {
        let title = || self.object.title.clone();
        let error = match cluster.patch(&self.object.path, &self.patch(), keep).await {
            Ok(object) if keep == Keep::No || self.text(&object) == Some(&self.after) => {
                return Ok(Applied { resource_version: version_of(&object) });
            }
            Ok(_) => ReadError::Malformed("the server answered with another text than it was sent".to_owned()),
            Err(error) => error,
        };
        if keep == Keep::No || !(is_conflict(&error) || may_be_done(&error)) {
            return Err(ApplyError::Refused(title(), error));
        }
        // a request that was sent twice by ourselves meets its own first copy
        let now = match again(cluster, &self.object.path).await {
            Ok(now) => now,
            Err(_) if is_conflict(&error) => return Err(ApplyError::Moved(title())),
            Err(unread) => return Err(ApplyError::Unknown(title(), unread)),
        };
        match self.text(&now) {
            Some(text) if text == self.after => Ok(Applied { resource_version: version_of(&now) }),
            Some(text) if text == self.before && version_of(&now) == self.resource_version => {
                Err(ApplyError::Refused(title(), error))
            }
            _ => Err(ApplyError::Moved(title())),
        }
    }
}

/// Deletes the pod with this uid.
///
/// # Errors
/// Where the server refused, or no answer came.
pub async fn restart(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Result<Restarted, ReadError> {
    let path = format!("/api/v1/namespaces/{}/pods/{}", encode(namespace), encode(name));
    match cluster.delete(&path, uid).await {
        Ok(_) => Ok(Restarted::Deleted),
        Err(ReadError::NotFound(_)) => Ok(Restarted::Gone),
        // another pod has the name already
        Err(error) if is_conflict(&error) => Ok(Restarted::Gone),
        Err(error) => Err(error),
    }
}

/// The object as it is now; asked several times where no answer comes.
async fn again(cluster: &Cluster, path: &str) -> Result<serde_json::Value, ReadError> {
    let mut looks = 0;
    loop {
        match cluster.now(path).await {
            Err(error) if may_be_done(&error) && looks < LOOKS => {
                looks += 1;
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

pub(super) const fn is_conflict(error: &ReadError) -> bool {
    matches!(error, ReadError::Status { code: 409, .. })
}

/// Whether a request that ended so may have been carried out all the same.
pub(super) const fn may_be_done(error: &ReadError) -> bool {
    match error {
        ReadError::TimedOut(_) | ReadError::Connection(_) | ReadError::Malformed(_) => true,
        ReadError::Status { code, .. } => *code >= 500,
        _ => false,
    }
}
