//! Which objects an input holds and where their bytes lie: some forty bytes an object.

use std::collections::{BTreeMap, HashMap};

use super::store::FileId;

/// A kind as the objects of an input name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KindName {
    /// API group; empty for the core group.
    pub(super) group: String,
    /// Version.
    pub(super) version: String,
    /// Kind.
    pub(super) kind: String,
}

impl KindName {
    /// Takes `apps/v1` and `DaemonSet` apart.
    pub(super) fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// One object: its name and where its JSON lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// First byte in the file.
    pub(super) offset: u64,
    /// `metadata.resourceVersion` where it is a number.
    pub(super) resource_version: u64,
    /// The file.
    pub(super) file: FileId,
    /// Length in bytes.
    pub(super) len: u32,
    name: u32,
    name_len: u16,
    /// Its kind, as an index into the kinds; `PENDING` until its list has said it.
    pub(super) kind: u16,
    namespace: u32,
    /// Whether the object carries its own apiVersion and kind.
    pub(super) typed: bool,
}

/// The kind of an item whose list has not named it yet.
const PENDING: u16 = u16::MAX;

/// What a scanner found out about one object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// The file.
    pub(super) file: FileId,
    /// First byte.
    pub(super) offset: u64,
    /// Length in bytes.
    pub(super) len: u64,
    /// `apiVersion`; empty where the object does not carry it.
    pub(super) api_version: &'a str,
    /// `kind`; empty where the object does not carry it.
    pub(super) kind: &'a str,
    /// `metadata.namespace`.
    pub(super) namespace: &'a str,
    /// `metadata.name`.
    pub(super) name: &'a str,
    /// `metadata.resourceVersion`.
    pub(super) resource_version: &'a str,
}

/// Fills an index, one object after the other.
#[derive(Debug, Default)]
pub(super) struct Builder {
    entries: Vec<Entry>,
    names: String,
    kinds: Vec<KindName>,
    namespaces: Vec<String>,
    namespace_ids: HashMap<String, u32>,
    last_kind: u16,
    empty: Vec<KindName>,
    incomplete: BTreeMap<(String, String), String>,
}

impl Builder {
    /// How many objects there are; hand it back to `settle` or `forget`.
    pub(super) fn mark(&self) -> usize {
        self.entries.len()
    }

    /// Adds an object. Secrets are dropped here, so that nothing of them can ever be served.
    pub(super) fn add(&mut self, found: Found<'_>) {
        let typed = !found.kind.is_empty() && !found.api_version.is_empty();
        if typed && is_secret(found.api_version, found.kind) {
            return;
        }
        let (Ok(len), Ok(name), Ok(name_len)) =
            (u32::try_from(found.len), u32::try_from(self.names.len()), u16::try_from(found.name.len()))
        else {
            return;
        };
        let kind = if typed { self.kind(found.api_version, found.kind) } else { PENDING };
        let namespace = self.namespace(found.namespace);
        self.names.push_str(found.name);
        self.entries.push(Entry {
            offset: found.offset,
            resource_version: found.resource_version.parse().unwrap_or(0),
            file: found.file,
            len,
            name,
            name_len,
            kind,
            namespace,
            typed,
        });
    }

    /// Gives the items since `mark` that carry no kind that of their list; without one they are
    /// dropped. Returns how many were dropped.
    pub(super) fn settle(&mut self, mark: usize, item: Option<(&str, &str)>) -> usize {
        let before = self.entries.len();
        if let Some((api_version, kind)) = item
            && before == mark
            && !kind.is_empty()
            && !is_secret(api_version, kind)
        {
            // an empty list that says its kind: there was nothing, which is an answer
            self.empty.push(KindName::new(api_version, kind));
        }
        let pending = self.entries.iter().skip(mark).any(|entry| entry.kind == PENDING);
        if !pending {
            return 0;
        }
        let item = item.filter(|(api_version, kind)| !kind.is_empty() && !is_secret(api_version, kind));
        let Some((api_version, kind)) = item else {
            let mut seen = 0;
            self.entries.retain(|entry| {
                seen += 1;
                seen <= mark || entry.kind != PENDING
            });
            return before - self.entries.len();
        };
        let kind = self.kind(api_version, kind);
        for entry in self.entries.iter_mut().skip(mark).filter(|entry| entry.kind == PENDING) {
            entry.kind = kind;
        }
        0
    }

    /// Drops what was added since `mark`.
    pub(super) fn forget(&mut self, mark: usize) {
        self.entries.truncate(mark);
    }

    /// Says that objects of a kind are missing, and why: what is served of it is not all.
    pub(super) fn incomplete(&mut self, api_version: &str, kind: &str, why: &str) {
        if kind.is_empty() || is_secret(api_version, kind) {
            return;
        }
        let name = KindName::new(api_version, kind);
        self.incomplete.entry((name.group, name.kind)).or_insert_with(|| why.to_owned());
    }

    /// The kind of the object that was added last, after `mark`.
    pub(super) fn last_kind(&self, mark: usize) -> Option<KindName> {
        let entry = self.entries.get(mark..)?.last()?;
        self.kinds.get(usize::from(entry.kind)).cloned()
    }

    /// Whether an object of this kind was found.
    pub(super) fn holds(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.entries.iter().any(|entry| {
            self.kinds.get(usize::from(entry.kind)).is_some_and(|known| known.kind == kind)
                && self.namespaces.get(entry.namespace as usize).is_some_and(|known| known == namespace)
                && name_of(&self.names, entry) == name
        })
    }

    /// Orders what was found; of an object that is there twice the higher resourceVersion stays.
    pub(super) fn finish(mut self) -> Index {
        self.entries.retain(|entry| entry.kind != PENDING);
        self.entries.shrink_to_fit();
        self.names.shrink_to_fit();
        let mut order: Vec<u32> = (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).collect();
        // the same object may be stored under two versions of its group: group and kind are the key
        let families = self
            .kinds
            .iter()
            .map(|kind| self.kinds.iter().position(|known| known.group == kind.group && known.kind == kind.kind))
            .map(|at| at.and_then(|at| u16::try_from(at).ok()).unwrap_or(PENDING))
            .collect();
        let mut index = Index {
            entries: self.entries,
            names: self.names,
            kinds: self.kinds,
            families,
            namespaces: self.namespaces,
            sorted: Vec::new(),
            collections: BTreeMap::new(),
            incomplete: self.incomplete,
        };
        order.sort_unstable_by(|&a, &b| {
            // the winner first: the higher resourceVersion, then what was read later
            let rank = |id: u32| index.entry(id).map_or(0, |entry| entry.resource_version);
            index.key(a).cmp(&index.key(b)).then_with(|| (rank(b), b).cmp(&(rank(a), a)))
        });
        order.dedup_by(|next, kept| index.key(*next) == index.key(*kept));
        let mut by_family: BTreeMap<(String, String), Vec<u32>> = BTreeMap::new();
        let mut kept = order.clone();
        kept.sort_unstable();
        for id in kept {
            let Some(kind) = index.entry(id).and_then(|entry| index.kind(entry)) else { continue };
            by_family.entry((kind.group.clone(), kind.kind.clone())).or_default().push(id);
        }
        for kind in self.empty {
            by_family.entry((kind.group, kind.kind)).or_default();
        }
        index.sorted = order;
        index.collections = by_family;
        index
    }

    fn kind(&mut self, api_version: &str, kind: &str) -> u16 {
        // objects of one kind come in a row
        let name = KindName::new(api_version, kind);
        if self.kinds.get(usize::from(self.last_kind)) == Some(&name) {
            return self.last_kind;
        }
        let at = self.kinds.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.kinds.push(name);
            self.kinds.len() - 1
        });
        self.last_kind = u16::try_from(at).unwrap_or(PENDING);
        self.last_kind
    }

    fn namespace(&mut self, namespace: &str) -> u32 {
        if let Some(id) = self.namespace_ids.get(namespace) {
            return *id;
        }
        let id = u32::try_from(self.namespaces.len()).unwrap_or(u32::MAX);
        self.namespaces.push(namespace.to_owned());
        self.namespace_ids.insert(namespace.to_owned(), id);
        id
    }
}

/// Whether objects of this kind may never be read.
pub(super) fn is_secret(api_version: &str, kind: &str) -> bool {
    kind == "Secret" && !api_version.contains('/')
}

fn name_of<'a>(names: &'a str, entry: &Entry) -> &'a str {
    let start = entry.name as usize;
    names.get(start..start + usize::from(entry.name_len)).unwrap_or_default()
}

/// The objects of an input.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<Entry>,
    names: String,
    kinds: Vec<KindName>,
    /// For each kind the first of the same group and name, whatever its version.
    families: Vec<u16>,
    namespaces: Vec<String>,
    sorted: Vec<u32>,
    collections: BTreeMap<(String, String), Vec<u32>>,
    incomplete: BTreeMap<(String, String), String>,
}

impl Index {
    /// Every group and kind that is held, with its objects in the order of the input.
    pub(super) fn collections(&self) -> impl Iterator<Item = (&str, &str, &[u32])> {
        self.collections.iter().map(|((group, kind), ids)| (group.as_str(), kind.as_str(), ids.as_slice()))
    }

    /// The objects of one kind, in the order of the input; `None` where no file holds the kind.
    pub(super) fn collection(&self, group: &str, kind: &str) -> Option<&[u32]> {
        self.collections.get(&(group.to_owned(), kind.to_owned())).map(Vec::as_slice)
    }

    /// Why objects of a kind are missing, if some are.
    pub(super) fn missing(&self, group: &str, kind: &str) -> Option<&str> {
        self.incomplete.get(&(group.to_owned(), kind.to_owned())).map(String::as_str)
    }

    /// One object.
    pub(super) fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(id as usize)
    }

    /// An object's kind.
    pub(super) fn kind(&self, entry: &Entry) -> Option<&KindName> {
        self.kinds.get(usize::from(entry.kind))
    }

    /// An object's name.
    pub(super) fn name(&self, entry: &Entry) -> &str {
        name_of(&self.names, entry)
    }

    /// An object's namespace; empty for cluster-scoped kinds.
    pub(super) fn namespace(&self, entry: &Entry) -> &str {
        self.namespaces.get(entry.namespace as usize).map_or("", String::as_str)
    }

    /// The object of that name.
    pub(super) fn find(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<u32> {
        let family = self.kinds.iter().position(|known| known.group == group && known.kind == kind)?;
        let namespace = u32::try_from(self.namespaces.iter().position(|known| known == namespace)?).ok()?;
        let wanted = (u16::try_from(family).ok()?, namespace, name);
        let at = self.sorted.binary_search_by(|&id| self.key(id).cmp(&Some(wanted)));
        self.sorted.get(at.ok()?).copied()
    }

    /// How many objects there are, without those that are there twice.
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The versions of a group that objects are stored under.
    pub(super) fn versions<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a KindName> {
        self.kinds.iter().filter(move |kind| kind.group == group)
    }

    /// What makes two entries the same object.
    fn key(&self, id: u32) -> Option<(u16, u32, &str)> {
        let entry = self.entry(id)?;
        Some((*self.families.get(usize::from(entry.kind))?, entry.namespace, self.name(entry)))
    }
}
