//! Whether a node's kernel has a module: loaded, built in, to be loaded, or not at all.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::kmod;

/// Where a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In the kernel, loaded as a module.
    Loaded,
    /// A part of the kernel itself.
    Builtin,
    /// On disk, to be loaded when it is asked for.
    Available,
    /// Neither, and the kernel's own lists were read.
    Missing,
    /// Not known.
    Unknown,
}

impl State {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Builtin => "builtin",
            Self::Available => "available",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the kernel has it or can have it; nothing where that is not known.
    pub const fn is_there(self) -> Option<bool> {
        match self {
            Self::Loaded | Self::Builtin | Self::Available => Some(true),
            Self::Missing => Some(false),
            Self::Unknown => None,
        }
    }
}

/// The modules of one node's kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modules {
    /// Those that are loaded; none where that was not read.
    loaded: Option<BTreeSet<String>>,
    /// Modules by release and file: what is built in, what is on disk.
    builtin: BTreeSet<(String, String)>,
    on_disk: BTreeSet<(String, String)>,
    /// Releases whose files were read: `modules.builtin`, `modules.dep`.
    read: BTreeSet<(String, bool)>,
    /// The folder was read, be it empty.
    files_read: bool,
}

impl Modules {
    /// Takes `/proc/modules` or `lsmod`; gives what was not understood.
    pub fn take_loaded(&mut self, text: &str) -> Option<String> {
        let (found, problems) = kmod::parse(text);
        let first = problems.first().map(ToString::to_string);
        if !found.is_empty() || problems.is_empty() {
            self.loaded = Some(found.into_keys().collect());
        }
        first
    }

    /// Takes the files of `/lib/modules`, as the probe prints them.
    pub fn take_files(&mut self, text: &str) {
        self.files_read = true;
        let mut at: Option<(String, bool)> = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("==> ").and_then(|rest| rest.strip_suffix(" <==")) {
                at = name.rsplit_once('/').map(|(release, file)| (release.to_owned(), file == "modules.builtin"));
                self.read.extend(at.clone());
                continue;
            }
            let Some((release, builtin)) = &at else { continue };
            // `kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: kernel/…`
            let path = line.split(':').next().unwrap_or_default();
            let file = path.rsplit('/').next().unwrap_or_default();
            let Some((name, _)) = file.split_once(".ko") else { continue };
            let place = if *builtin { &mut self.builtin } else { &mut self.on_disk };
            place.insert((release.clone(), name.replace('-', "_")));
        }
    }

    /// Whether `/lib/modules` was read and has nothing for the kernel of this release: it can load no
    /// module.
    pub fn loads_nothing(&self, release: &str) -> bool {
        self.files_read && !release.is_empty() && !self.read.iter().any(|(read, _)| read == release)
    }

    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        self.loaded.is_some() || !self.read.is_empty()
    }

    /// The state of a module in the kernel of this release.
    pub fn state(&self, module: &str, release: &str) -> State {
        if self.loaded.as_ref().is_some_and(|loaded| loaded.contains(module)) {
            return State::Loaded;
        }
        let key = (release.to_owned(), module.to_owned());
        if self.builtin.contains(&key) {
            return State::Builtin;
        }
        if self.on_disk.contains(&key) {
            return State::Available;
        }
        // a release whose lists were not read, or a kernel that came without them, says nothing
        let whole = [true, false].iter().all(|builtin| self.read.contains(&(release.to_owned(), *builtin)));
        if whole && !release.is_empty() { State::Missing } else { State::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &str = "==> 6.1.0-18-amd64/modules.builtin <==\nkernel/net/netfilter/nf_conntrack.ko\n\
        ==> 6.1.0-18-amd64/modules.dep <==\nkernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/net/netfilter/nf_conntrack.ko\n\
        kernel/net/netfilter/ipvs/ip_vs_rr.ko: kernel/net/netfilter/ipvs/ip_vs.ko\n";

    #[test]
    fn every_state() {
        let mut modules = Modules::default();
        assert_eq!(modules.state("ip_vs", "6.1.0-18-amd64"), State::Unknown);
        assert_eq!(modules.take_loaded("ip_vs_rr 16384 0 - Live 0x0\n"), None);
        modules.take_files(FILES);
        let state = |module| modules.state(module, "6.1.0-18-amd64");
        assert_eq!(state("ip_vs_rr"), State::Loaded);
        assert_eq!(state("nf_conntrack"), State::Builtin);
        assert_eq!(state("ip_vs"), State::Available);
        assert_eq!(state("ip_vs_mh"), State::Missing);
        assert_eq!(modules.state("ip_vs", "5.10.0"), State::Unknown, "another kernel's lists say nothing");
        assert_eq!(modules.state("ip_vs_rr", "5.10.0"), State::Loaded);
    }
}
