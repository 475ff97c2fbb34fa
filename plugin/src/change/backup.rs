//! What was there before a change, kept in the cluster: an immutable ConfigMap that anybody with the
//! rights can go back by, from another machine, after any interruption. Its data never change; how far
//! the change got stands in an annotation.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, Hasher as _},
    io::Write as _,
    path::PathBuf,
    time::SystemTime,
};

use serde_json::{Value, json};

use super::{Object, apply::is_conflict, config_maps, text_of};
use crate::{
    cluster::{Cluster, Keep, ReadError, encode},
    record::timestamp,
};

/// The label that every backup has: the tool.
const TOOL: &str = "kubectl-net/backup-of";
/// The annotation with how far the change got.
const STATE: &str = "kubectl-net/state";
/// The entry with the uid of the cluster.
const CLUSTER: &str = "cluster";

/// A backup that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The plugin: `proxymode`.
    pub tool: &'static str,
    /// Where it is kept.
    pub namespace: String,
    /// The uid of namespace kube-system: which cluster it is of.
    pub cluster: String,
    /// What is kept, by name.
    pub data: BTreeMap<String, String>,
    /// How far the change is: `switching`.
    pub state: String,
}

/// A backup as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its id: `20261127-104501-3f2a`; later ones sort later.
    pub id: String,
    /// Where it is.
    pub object: Object,
    /// The uid of the cluster that it is of.
    pub cluster: String,
    /// What is kept, by name.
    pub data: BTreeMap<String, String>,
    /// How far its change got.
    pub state: String,
    /// The server made it unchangeable.
    pub immutable: bool,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It was refused.
    #[error("the backup was not made: {0}")]
    Refused(ReadError),
    /// What is there is not what was sent.
    #[error("the backup {0} was read back, and is not what was sent")]
    Differs(String),
    /// The backups could not be listed or read.
    #[error("backups could not be read: {0}")]
    Unread(ReadError),
    /// Its state could not be written.
    #[error("the state of backup {0} could not be written: {1}")]
    State(String, ReadError),
}

impl Draft {
    /// Has the cluster keep it, and reads it back; with [`Keep::No`] the server only checks it.
    ///
    /// # Errors
    /// Where it was refused, or what was read back differs.
    pub async fn store(&self, cluster: &Cluster, keep: Keep) -> Result<Backup, BackupError> {
        let id = format!("{}-{}", stamp(), random());
        let name = format!("kubectl-{}-backup-{id}", self.tool);
        let mut data = self.data.clone();
        data.insert(CLUSTER.to_owned(), self.cluster.clone());
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": true,
            "metadata": {"namespace": self.namespace, "name": name,
                "labels": {TOOL: self.tool, "app.kubernetes.io/managed-by": "kubectl-net"},
                "annotations": {STATE: self.state}},
            "data": data});
        let collection = config_maps(&self.namespace);
        match cluster.create(&collection, &map, keep).await {
            Ok(_) => {}
            // the name is random: our own first copy of the request was there first, or its answer got lost
            Err(error) if keep == Keep::Yes && (is_conflict(&error) || super::apply::may_be_done(&error)) => {}
            Err(error) => return Err(BackupError::Refused(error)),
        }
        let object = Object::config_map(&self.namespace, &name);
        let expected = Backup {
            id: id.clone(),
            object,
            cluster: self.cluster.clone(),
            data: self.data.clone(),
            state: self.state.clone(),
            immutable: true,
        };
        if keep == Keep::No {
            return Ok(expected);
        }
        let now = cluster.now(&expected.object.path).await.map_err(BackupError::Refused)?;
        match Backup::of(&now, self.tool) {
            Some(found) if found == expected => Ok(found),
            _ => Err(BackupError::Differs(id)),
        }
    }
}

impl Backup {
    fn of(map: &Value, tool: &str) -> Option<Self> {
        let (namespace, name) = (text_of(map, "/metadata/namespace"), text_of(map, "/metadata/name"));
        let id = name.strip_prefix(&format!("kubectl-{tool}-backup-"))?.to_owned();
        let entries = map.get("data").and_then(Value::as_object)?;
        let mut data: BTreeMap<String, String> =
            entries.iter().filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned()))).collect();
        let cluster = data.remove(CLUSTER)?;
        Some(Self {
            id,
            object: Object::config_map(&namespace, &name),
            cluster,
            data,
            state: map
                .pointer("/metadata/annotations")
                .and_then(|all| Some(all.get(STATE)?.as_str()?.to_owned()))
                .unwrap_or_default(),
            immutable: map.get("immutable").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// The backups of a tool, oldest first.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn list(cluster: &Cluster, namespace: &str, tool: &str) -> Result<Vec<Self>, BackupError> {
        let path = format!("{}?labelSelector={}", config_maps(namespace), encode(&format!("{TOOL}={tool}")));
        let list = cluster.now(&path).await.map_err(BackupError::Unread)?;
        let items = list.get("items").and_then(Value::as_array);
        let mut found: Vec<Self> = items.into_iter().flatten().filter_map(|map| Self::of(map, tool)).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    /// Writes how far its change got. The data stay.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub async fn mark(&self, cluster: &Cluster, state: &str) -> Result<(), BackupError> {
        let patch = json!({"metadata": {"annotations": {STATE: state}}});
        match cluster.patch(&self.object.path, &patch, Keep::Yes).await {
            Ok(_) => Ok(()),
            Err(error) => Err(BackupError::State(self.id.clone(), error)),
        }
    }

    /// A copy on this machine, where there is a place for it: the file. It is only ever a convenience.
    pub fn copy_to_disk(&self) -> Option<PathBuf> {
        let home = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(|| {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
            Some(PathBuf::from(home).join(".local/state"))
        })?;
        let folder = home.join("kubectl-net/backups");
        std::fs::create_dir_all(&folder).ok()?;
        let path = folder.join(format!("{}.json", self.id));
        let copy = json!({"id": self.id, "object": self.object.title, "cluster": self.cluster, "data": self.data});
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path).ok()?;
        file.write_all(format!("{copy:#}\n").as_bytes()).ok()?;
        Some(path)
    }
}

/// `20261127-104501`.
fn stamp() -> String {
    let digits: String = timestamp(SystemTime::now()).chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
    digits.replace('T', "-")
}

/// Four letters and digits that differ from run to run.
pub(super) fn random() -> String {
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("{:04x}", random & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_backup_is_not_taken_for_one() {
        let map = json!({"metadata": {"namespace": "kube-system", "name": "kubectl-proxymode-backup-1-a",
            "annotations": {STATE: "done"}}, "immutable": true, "data": {"cluster": "u", "before": "x"}});
        let found = Backup::of(&map, "proxymode").unwrap();
        assert_eq!((found.id.as_str(), found.cluster.as_str(), found.state.as_str()), ("1-a", "u", "done"));
        assert_eq!(found.data, BTreeMap::from([("before".to_owned(), "x".to_owned())]));
        assert_eq!(Backup::of(&map, "netcidr"), None);
        let mut without = map;
        without["data"] = json!({"before": "x"});
        assert_eq!(Backup::of(&without, "proxymode"), None, "of which cluster is not known");
    }

    #[test]
    fn ids_have_the_time_first() {
        let stamp = stamp();
        assert_eq!((stamp.len(), stamp.find('-')), (15, Some(8)), "{stamp}");
        assert_eq!(random().len(), 4);
    }
}
