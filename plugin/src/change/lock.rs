//! One change at a time: a Lease, held by whoever changes something and renewed meanwhile. Whether its
//! holder is alive is told by the Lease moving, never by comparing clocks: those of two machines differ.

use std::{
    cell::RefCell,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};

use super::{apply::is_conflict, text_of, version_of};
use crate::{
    cluster::{Cluster, ReadError, encode},
    print::Say,
    record::timestamp,
};

/// After so long without a sign of life a holder is taken for dead.
const LIFE: Duration = Duration::from_secs(15);
/// How often a holder gives one.
const RENEW: Duration = Duration::from_secs(5);
/// How often a Lease that somebody holds is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The lock, held. It goes with [`Lock::release`], or by itself after [`LIFE`].
pub struct Lock<'a> {
    cluster: &'a Cluster,
    path: String,
    holder: String,
    held: RefCell<(Value, Instant)>,
}

/// Why the lock is not held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody holds it and is alive.
    #[error(
        "{holder} is changing this cluster right now (lease {namespace}/{name}); where that is known to be over, \
         `kubectl -n {namespace} delete lease {name}` ends it"
    )]
    Held {
        /// Who.
        holder: String,
        /// The Lease's namespace.
        namespace: String,
        /// The Lease's name.
        name: String,
    },
    /// It was taken over by somebody else.
    #[error("{0} has taken over the lock: this run changes nothing any more")]
    Lost(String),
    /// It could not be read or written.
    #[error("the lock (lease {0}) could not be had: {1}")]
    Api(String, ReadError),
}

impl<'a> Lock<'a> {
    /// Takes the lock. Where somebody holds it, waits to see whether they are alive.
    ///
    /// # Errors
    /// Where they are, or the Lease cannot be had.
    pub async fn take(cluster: &'a Cluster, namespace: &str, name: &str, say: &Say) -> Result<Self, LockError> {
        let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", encode(namespace));
        let path = format!("{leases}/{}", encode(name));
        let holder = holder();
        let api = |error| LockError::Api(format!("{namespace}/{name}"), error);
        let held_by = |lease: &Value| LockError::Held {
            holder: text_of(lease, "/spec/holderIdentity"),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        loop {
            let there = match cluster.now(&path).await {
                Ok(lease) => lease,
                Err(ReadError::NotFound(_)) => {
                    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                        "metadata": {"name": name, "namespace": namespace,
                            "labels": {"app.kubernetes.io/managed-by": "kubectl-net"}},
                        "spec": spec(&holder, 0)});
                    match cluster.create(&leases, &lease, crate::cluster::Keep::Yes).await {
                        Ok(lease) => return Ok(Self::held(cluster, path, holder, lease)),
                        // somebody was quicker, or our own first copy of the request was
                        Err(error) if is_conflict(&error) => match cluster.now(&path).await {
                            Ok(lease) if text_of(&lease, "/spec/holderIdentity") == holder => {
                                return Ok(Self::held(cluster, path, holder, lease));
                            }
                            _ => continue,
                        },
                        Err(error) => return Err(api(error)),
                    }
                }
                Err(error) => return Err(api(error)),
            };
            if !text_of(&there, "/spec/holderIdentity").is_empty()
                && is_alive(cluster, &path, &there, say).await.map_err(api)?
            {
                return Err(held_by(&there));
            }
            let mut lease = there.clone();
            let times = there.pointer("/spec/leaseTransitions").and_then(Value::as_i64).unwrap_or(0);
            if let Some(fields) = lease.as_object_mut() {
                fields.insert("spec".to_owned(), spec(&holder, times + 1));
            }
            match cluster.replace(&path, &lease).await {
                Ok(lease) => return Ok(Self::held(cluster, path, holder, lease)),
                Err(error) if is_conflict(&error) => match cluster.now(&path).await {
                    Ok(lease) if text_of(&lease, "/spec/holderIdentity") == holder => {
                        return Ok(Self::held(cluster, path, holder, lease));
                    }
                    Ok(lease) if !text_of(&lease, "/spec/holderIdentity").is_empty() => return Err(held_by(&lease)),
                    _ => {}
                },
                Err(ReadError::NotFound(_)) => {}
                Err(error) => return Err(api(error)),
            }
        }
    }

    fn held(cluster: &'a Cluster, path: String, holder: String, lease: Value) -> Self {
        Self { cluster, path, holder, held: RefCell::new((lease, Instant::now())) }
    }

    /// Makes sure that the lock is still ours, and renews it where it is time: before each step.
    ///
    /// # Errors
    /// Where somebody else has it, or that cannot be told.
    pub async fn keep(&self) -> Result<(), LockError> {
        let (mut lease, since) = self.held.borrow().clone();
        if since.elapsed() < RENEW {
            return Ok(());
        }
        if let Some(time) = lease.pointer_mut("/spec/renewTime") {
            *time = json!(now());
        }
        let lease = match self.cluster.replace(&self.path, &lease).await {
            Ok(lease) => lease,
            Err(error) if is_conflict(&error) => self.ours().await?,
            Err(ReadError::NotFound(_)) => return Err(LockError::Lost("somebody who deleted its lease".to_owned())),
            // no answer: it stays ours for its life, and is renewed at the next step
            Err(error) if since.elapsed() >= LIFE => return Err(LockError::Api(self.path.clone(), error)),
            Err(_) => return Ok(()),
        };
        *self.held.borrow_mut() = (lease, Instant::now());
        Ok(())
    }

    /// The Lease as it is now, where it is still ours: a request that was sent twice moves it, too.
    async fn ours(&self) -> Result<Value, LockError> {
        let lease = self.cluster.now(&self.path).await.map_err(|error| LockError::Api(self.path.clone(), error))?;
        let holder = text_of(&lease, "/spec/holderIdentity");
        if holder == self.holder { Ok(lease) } else { Err(LockError::Lost(holder)) }
    }

    /// Lets somebody else have it. Where that fails, it ends by itself.
    pub async fn release(self) {
        let Ok(mut lease) = self.ours().await else { return };
        if let Some(spec) = lease.pointer_mut("/spec").and_then(Value::as_object_mut) {
            spec.insert("holderIdentity".to_owned(), json!(""));
        }
        let _ = self.cluster.replace(&self.path, &lease).await;
    }
}

/// Whether a Lease moves within the life that its holder gave it.
async fn is_alive(cluster: &Cluster, path: &str, lease: &Value, say: &Say) -> Result<bool, ReadError> {
    let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).unwrap_or(LIFE.as_secs());
    // nobody is waited for longer than a switch of ours would be
    let life = Duration::from_secs(seconds).min(LIFE * 4);
    let holder = text_of(lease, "/spec/holderIdentity");
    say.note(format!("{holder} holds the lock; waits {}s for a sign of life", life.as_secs()));
    let since = Instant::now();
    while since.elapsed() < life {
        tokio::time::sleep(LOOK.min(life)).await;
        match cluster.now(path).await {
            Ok(now) if text_of(&now, "/spec/holderIdentity").is_empty() => return Ok(false),
            Ok(now) if version_of(&now) != version_of(lease) => return Ok(true),
            Ok(_) => {}
            Err(ReadError::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    say.warning(format!("{holder} gave no sign of life for {}s: its lock is taken over", life.as_secs()));
    Ok(false)
}

fn spec(holder: &str, transitions: i64) -> Value {
    json!({"holderIdentity": holder, "leaseDurationSeconds": LIFE.as_secs(), "acquireTime": now(), "renewTime": now(),
        "leaseTransitions": transitions})
}

/// Now, as Kubernetes' `MicroTime` wants it.
fn now() -> String {
    timestamp(SystemTime::now()).replace('Z', ".000000Z")
}

/// Who runs this: enough to ask a colleague, and different in every run.
fn holder() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let (user, host) = (user.unwrap_or_else(|| "somebody".to_owned()), host.unwrap_or_default());
    let host = host.trim();
    let at = if host.is_empty() { String::new() } else { format!("@{host}") };
    format!("{user}{at} ({}-{})", std::process::id(), super::backup::random())
}
