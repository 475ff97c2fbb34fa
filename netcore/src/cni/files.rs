//! `CniConfReport`: the CNI files of each node, which one the runtime takes and why.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    conf::{Choice, ConfFile, Runtime, choose, is_conf_name},
    detect::runtime,
    facts::Facts,
    reading::Reading,
};
use crate::probe::{Probe, UNNAMED};

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileRow {
    /// Its path, below the folder that the runtime reads.
    pub path: String,
    /// The programs that it calls, in order; what a program hands on to in brackets.
    pub plugins: Vec<String>,
    /// Whether a runtime can read it.
    pub valid: bool,
    /// Why not.
    pub error: Option<String>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeFiles {
    /// Name; `-` for files that name none.
    pub name: String,
    /// The container runtime: `containerd://2.1.4`; null where it is not known.
    pub runtime: Option<String>,
    /// Its files, in the order in which runtimes look at them; null where they were not read.
    pub files: Option<Vec<FileRow>>,
    /// The one that the runtime takes.
    pub chosen: Option<String>,
    /// Why that one, or why none.
    pub why: String,
}

/// The report's own fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CniConfReport {
    /// Each node.
    pub nodes: Vec<NodeFiles>,
}

/// The folder, where nothing else is said.
const FOLDER: &str = "/etc/cni/net.d";

/// The report; `shows` picks nodes.
pub fn files(facts: &Facts, shows: &dyn Fn(&str) -> bool) -> CniConfReport {
    let linux = facts.nodes.iter().filter(|(name, node)| !node.is_windows() && shows(name));
    let mut names: Vec<&str> = linux.map(|(name, _)| name.as_str()).collect();
    let seen = facts.readings.iter().filter(|(_, reading)| reading.conf.is_some()).map(|(name, _)| name.as_str());
    names.extend(seen.filter(|name| !facts.nodes.contains_key(*name) && (*name == UNNAMED || shows(name))));
    names.sort_unstable();
    names.dedup();
    CniConfReport { nodes: names.into_iter().map(|name| node(facts, name)).collect() }
}

fn node(facts: &Facts, name: &str) -> NodeFiles {
    let empty = Reading::default();
    let reading = facts.readings.get(name).unwrap_or(&empty);
    let known = facts.nodes.get(name).map(|node| node.runtime.clone()).filter(|runtime| !runtime.is_empty());
    let mut row = NodeFiles { name: name.to_owned(), runtime: known, files: None, chosen: None, why: String::new() };
    let Some(files) = &reading.conf else {
        row.why = reading.unread.get(&Probe::CniConf).cloned().unwrap_or_else(|| "not read".to_owned());
        return row;
    };
    let runtime = runtime(facts, name);
    let mut order: Vec<&ConfFile> = files.iter().collect();
    order.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    row.files = Some(order.iter().map(|file| file_row(file)).collect());
    let passed = order.iter().filter(|file| is_conf_name(&file.name) && file.conf.is_err()).count();
    let candidates = order.iter().filter(|file| is_conf_name(&file.name)).count();
    match choose(files, runtime) {
        Choice::File(file) => {
            row.chosen = Some(file.name.clone());
            row.why = match (candidates, runtime, passed) {
                (1, ..) => "the only one".to_owned(),
                (_, Runtime::CriO, 1..) => {
                    "the first in byte order that can be read: CRI-O passes broken ones over".to_owned()
                }
                (n, ..) => format!("the first of {n} in byte order"),
            };
        }
        Choice::Broken(file) => {
            row.why = format!(
                "{} comes first and cannot be read: containerd stops there, and the node has no network",
                file.name
            );
        }
        Choice::None => {
            row.why = match candidates {
                0 => "no file with the ending .conf, .conflist or .json".to_owned(),
                n => format!("none of {n} files can be read"),
            };
        }
    }
    row
}

fn file_row(file: &ConfFile) -> FileRow {
    let plugins = file.conf.as_ref().map(|conf| {
        conf.plugins.iter().map(|plugin| match plugin.delegates.as_slice() {
            [] => plugin.kind.clone(),
            inside => format!("{} ({})", plugin.kind, inside.join(", ")),
        })
    });
    FileRow {
        path: format!("{FOLDER}/{}", file.name),
        plugins: plugins.map(Iterator::collect).unwrap_or_default(),
        valid: file.conf.is_ok() && is_conf_name(&file.name),
        error: match &file.conf {
            Err(problem) => Some(problem.to_string()),
            Ok(_) if !is_conf_name(&file.name) => Some("no runtime looks at a file with this ending".to_owned()),
            Ok(_) => None,
        },
    }
}

/// Nodes by what their runtime takes: the file and what stands in it.
pub fn groups(facts: &Facts) -> BTreeMap<String, Vec<&str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, reading) in &facts.readings {
        if let Some((file, conf)) = super::detect::chosen(facts, name, reading) {
            let programs = conf.plugins.iter().map(|plugin| {
                let mtu = plugin.mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
                let ipam = plugin.ipam.as_ref().map(|ipam| format!(" with {ipam}")).unwrap_or_default();
                format!("{}{ipam}{mtu}", plugin.kind)
            });
            let words = format!("{} ({})", file.name, programs.collect::<Vec<_>>().join(", "));
            found.entry(words).or_default().push(name);
        }
    }
    found
}
