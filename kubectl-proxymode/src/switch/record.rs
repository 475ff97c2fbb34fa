//! What a backup of a switch holds: enough for anybody to go back, from anywhere.

use std::collections::BTreeMap;

use netcore::proxy::{Mode, edit::Edit};
use plugin::change::{Backup, Draft};
use serde::{Deserialize, Serialize};

use super::pods::{Home, Start};

/// The plugin, as backups and the lock name it.
pub(super) const TOOL: &str = "proxymode";
const RECORD: &str = "record";
const BEFORE: &str = "before";
const AFTER: &str = "after";

/// How far a switch got, as its backup says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It runs, or was cut off.
    Switching,
    /// Every node was switched.
    Done,
    /// It was given up before anything was changed.
    Refused,
    /// It failed, and everything is as it was.
    Restored,
    /// It failed, and nodes differ.
    Mixed,
    /// A later rollback undid it.
    Undone,
}

impl Progress {
    const ALL: [Self; 6] = [Self::Switching, Self::Done, Self::Refused, Self::Restored, Self::Mixed, Self::Undone];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Switching => "switching",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Restored => "restored",
            Self::Mixed => "mixed",
            Self::Undone => "undone",
        }
    }

    /// The state of a backup; one that cannot be read is taken for cut off.
    pub(super) fn of(backup: &Backup) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == backup.state).unwrap_or(Self::Switching)
    }

    /// There is something to undo.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Switching | Self::Done | Self::Mixed)
    }
}

/// The entry of kube-proxy's ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) key: String,
}

/// A switch, or the undoing of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The mode before.
    pub(super) from: Mode,
    /// The mode after.
    pub(super) to: Mode,
    /// Where the configuration is.
    pub(super) entry: Entry,
    /// Where the pods are.
    pub(super) home: Home,
    /// Each node's pod before.
    pub(super) pods: BTreeMap<String, Start>,
    /// The lines that change.
    pub(super) edit: Edit,
    /// The backup of the switch that this undoes.
    pub(super) undoes: Option<String>,
    /// The configuration's text before.
    #[serde(skip)]
    pub(super) before: String,
    /// The configuration's text after.
    #[serde(skip)]
    pub(super) after: String,
}

impl Record {
    /// What is to be kept.
    pub(super) fn draft(&self, cluster: &str) -> Result<Draft, String> {
        let record = serde_json::to_string(self).map_err(|error| error.to_string())?;
        Ok(Draft {
            tool: TOOL,
            namespace: self.entry.namespace.clone(),
            cluster: cluster.to_owned(),
            data: BTreeMap::from([
                (RECORD.to_owned(), record),
                (BEFORE.to_owned(), self.before.clone()),
                (AFTER.to_owned(), self.after.clone()),
            ]),
            state: Progress::Switching.name().to_owned(),
        })
    }

    /// What a backup keeps; why it cannot be read.
    pub(super) fn of(backup: &Backup) -> Result<Self, String> {
        let text = |key: &str| backup.data.get(key).ok_or_else(|| format!("backup {} has no entry {key}", backup.id));
        let record: Self =
            serde_json::from_str(text(RECORD)?).map_err(|error| format!("backup {}: {error}", backup.id))?;
        Ok(Self { before: text(BEFORE)?.clone(), after: text(AFTER)?.clone(), ..record })
    }
}
