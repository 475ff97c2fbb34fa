//! Takes an input in: finds its files, tells what each is, and indexes it in one pass.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use netcore::{
    cluster::{Item, wire},
    probe::Probe,
};

use super::{
    FromError, Inner, Kind, Options, Problem, Snapshot, SnapshotInfo, archive,
    excerpt::{self, Excerpt},
    index::{Builder, Found, Index, KindName},
    json, nodes,
    nodes::NodeFile,
    recording::{self, Recording},
    store::{FileId, Store},
    text, yaml,
};

/// Bytes by which a file is recognised.
const HEAD: usize = 16 * 1024;
/// Folders below folders.
const MAX_DEPTH: usize = 64;
/// An excerpt, a node's configuration: files of this kind are small.
const SMALL: u64 = 4 << 20;

/// Reads and indexes an input.
pub(super) fn open(path: &str, options: &Options) -> Result<Snapshot, FromError> {
    let mut intake = Intake::default();
    intake.gather(path)?;
    intake.read_all()?;
    intake.finish(path, options)
}

#[derive(Debug, Default)]
pub(super) struct Intake {
    pub(super) store: Store,
    pub(super) files: Vec<FileId>,
    index: Builder,
    raw: HashMap<String, FileId>,
    node_files: Vec<NodeFile>,
    excerpts: Vec<(FileId, Excerpt)>,
    unrecognised: Vec<String>,
    pub(super) notices: Vec<String>,
    pub(super) problems: Vec<Problem>,
    recording: Option<Recording>,
    /// Container logs were seen, as `kubectl cluster-info dump` writes them.
    dump_logs: bool,
}

impl Intake {
    fn gather(&mut self, path: &str) -> Result<(), FromError> {
        let failed = |source| FromError::Io { name: path.to_owned(), source };
        if path == "-" {
            let (file, failure) =
                self.store.add_spooled("stdin".to_owned(), &mut io::stdin().lock()).map_err(failed)?;
            if let Some(error) = failure {
                self.problem(file, None, format!("ends early: {error}"));
            }
            self.files.push(file);
            return Ok(());
        }
        let meta = fs::metadata(path).map_err(failed)?;
        let root = Path::new(path);
        if meta.is_dir() {
            let mut open = HashSet::new();
            self.folder(root, "", &mut open, 0).map_err(failed)
        } else if meta.is_file() {
            let name = root.file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned());
            let file = self.store.add_path(name, root.to_owned(), meta.len());
            self.files.push(file);
            Ok(())
        } else {
            // a pipe, as in `--from <(kubectl get nodes -o json)`
            let mut pipe = fs::File::open(root).map_err(failed)?;
            let (file, failure) = self.store.add_spooled(path.to_owned(), &mut pipe).map_err(failed)?;
            if let Some(error) = failure {
                self.problem(file, None, format!("ends early: {error}"));
            }
            self.files.push(file);
            Ok(())
        }
    }

    /// Lists a folder in the order of names. A link back to a folder that is being listed is not
    /// followed again.
    fn folder(&mut self, folder: &Path, prefix: &str, open: &mut HashSet<PathBuf>, depth: usize) -> io::Result<()> {
        let real = fs::canonicalize(folder)?;
        if depth > MAX_DEPTH || !open.insert(real.clone()) {
            self.notices.push(format!("{prefix}: a link back to a folder above it, not followed"));
            return Ok(());
        }
        let mut entries: Vec<_> = fs::read_dir(folder)?.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let own = entry.file_name().to_string_lossy().into_owned();
            if own.starts_with('.') {
                continue;
            }
            let name = format!("{prefix}{own}");
            let path = entry.path();
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => {
                    if let Err(error) = self.folder(&path, &format!("{name}/"), open, depth + 1) {
                        self.problems.push(Problem { file: name, line: None, what: error.to_string() });
                    }
                }
                Ok(meta) if meta.is_file() => {
                    let file = self.store.add_path(name, path, meta.len());
                    self.files.push(file);
                }
                Ok(_) => self.notices.push(format!("{name}: neither a file nor a folder, skipped")),
                Err(error) => self.problems.push(Problem { file: name, line: None, what: error.to_string() }),
            }
        }
        open.remove(&real);
        Ok(())
    }

    fn read_all(&mut self) -> Result<(), FromError> {
        let given = std::mem::take(&mut self.files);
        for file in given {
            if let Err(error) = archive::unpack(self, file, 0) {
                self.problem(file, None, error.to_string());
            }
        }
        let files = std::mem::take(&mut self.files);
        let root = self.recording_root(&files);
        if let Some(root) = &root {
            self.read_recording(&files, root)?;
        }
        for file in files {
            let name = self.store.name(file).to_owned();
            let result = match root.as_deref().and_then(|root| name.strip_prefix(root)) {
                Some(recording::FILE) => Ok(()),
                Some(inner) if inner.starts_with("raw/") => {
                    self.raw.insert(inner.to_owned(), file);
                    Ok(())
                }
                _ => self.read_file(file),
            };
            if let Err(error) = result {
                self.problem(file, None, error.to_string());
            }
        }
        Ok(())
    }

    /// The folder inside of the input that `recording.json` lies in.
    fn recording_root(&self, files: &[FileId]) -> Option<String> {
        let mut roots = files.iter().filter_map(|file| self.store.name(*file).strip_suffix(recording::FILE));
        roots.find(|root| root.is_empty() || root.ends_with('/')).map(str::to_owned)
    }

    fn read_recording(&mut self, files: &[FileId], root: &str) -> Result<(), FromError> {
        let name = format!("{root}{}", recording::FILE);
        let Some(file) = files.iter().find(|file| self.store.name(**file) == name) else { return Ok(()) };
        let text = self.text(*file).map_err(|source| FromError::Io { name: name.clone(), source })?;
        let refuse = |what| FromError::Recording { name: name.clone(), what };
        let mut recording: Recording = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
        // made ones have an empty text where there is no time
        for time in [&mut recording.window.start, &mut recording.window.end] {
            *time = time.take().filter(|time| !time.is_empty());
        }
        if recording.version == 0 || recording.version > recording::VERSION {
            let what =
                format!("version {} of the form is not known; {} and below are", recording.version, recording::VERSION);
            return Err(refuse(what));
        }
        self.recording = Some(recording);
        Ok(())
    }

    fn text(&self, file: FileId) -> io::Result<Vec<u8>> {
        self.store.head(file, usize::MAX)
    }

    pub(super) fn problem(&mut self, file: FileId, line: Option<u64>, what: String) {
        if self.problems.len() < 1000 {
            self.problems.push(Problem { file: self.store.name(file).to_owned(), line, what });
        }
    }

    fn read_file(&mut self, file: FileId) -> io::Result<()> {
        let name = self.store.name(file).to_owned();
        let mut head = self.store.head(file, HEAD)?;
        let mut file = file;
        if let Some(endian) = text::utf16(&head) {
            file = text::convert(&mut self.store, file, endian)?;
            head = self.store.head(file, HEAD)?;
        }
        let own = name.rsplit('/').next().unwrap_or_default();
        if own == "logs.txt" && name.contains('/') {
            // `kubectl cluster-info dump --output-directory` writes one per pod
            self.dump_logs = true;
            return Ok(());
        }
        if let Some(probe) = nodes::recognise(&name, &head) {
            self.node_files.push(NodeFile { node: None, probe, name, file });
            return Ok(());
        }
        if head.trim_ascii().is_empty() {
            return Ok(());
        }
        if head.contains(&0) {
            self.unrecognised.push(name);
            return Ok(());
        }
        let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&head).trim_ascii_start();
        match text.first() {
            Some(b'{' | b'[') if nodes::is_json(&String::from_utf8_lossy(text)) => self.read_json(file, &name),
            _ if looks_like_yaml(own, text) => self.read_yaml(file, &name),
            _ => {
                self.unrecognised.push(name);
                Ok(())
            }
        }
    }

    fn read_json(&mut self, file: FileId, name: &str) -> io::Result<()> {
        let mark = self.index.mark();
        let mut outcome = json::scan(&mut self.store.borrow(file), file, &mut self.index);
        let mut file = file;
        if outcome.broken.iter().any(|broken| matches!(broken, json::Broken::Wrapped { .. }))
            && let Some((mended, line, count)) = text::unwrap_json(&mut self.store, file)?
        {
            self.index.forget(mark);
            file = mended;
            outcome = json::scan(&mut self.store.borrow(file), file, &mut self.index);
            self.notices.push(format!(
                "{name}:{line}: a terminal broke {count} long lines of this file; they were joined again"
            ));
        }
        if outcome.objects == 0 && outcome.broken.is_empty() && self.store.len(file) <= SMALL {
            let text = self.text(file)?;
            if let Ok(value) = serde_json::from_slice(&text) {
                let text = String::from_utf8_lossy(&text);
                if let Some(excerpt) = excerpt::recognise(&value, &text, &format!("{name}:1")) {
                    self.excerpts.push((file, excerpt));
                    return Ok(());
                }
                // an empty list is an answer, too: nothing of that kind was there
                if value.get("items").is_some_and(serde_json::Value::is_array) {
                    return Ok(());
                }
            }
        }
        if outcome.objects == 0 && outcome.broken.is_empty() {
            self.unrecognised.push(name.to_owned());
        }
        self.dump_logs |= outcome.logs > 0;
        let last = self.index.last_kind(mark);
        self.explain_json(file, outcome, last.as_ref())
    }

    fn explain_json(&mut self, file: FileId, outcome: json::Outcome, last: Option<&KindName>) -> io::Result<()> {
        let objects = outcome.objects;
        for broken in outcome.broken {
            let (at, what) = match broken {
                json::Broken::Io(error) => return Err(error),
                json::Broken::Ends { from } => (
                    from,
                    format!("the file ends inside of an object that begins here; {objects} objects before it stand"),
                ),
                json::Broken::Syntax { at, what } => (at, what.to_owned()),
                json::Broken::Wrapped { at } => (
                    at,
                    "a line break inside of a string: text that a terminal has wrapped is not JSON; \
                     the output of the command redirected into a file would be valid"
                        .to_owned(),
                ),
            };
            let line = self.store.line(file, at);
            if let Some(kind) = last {
                let why = format!("{}:{line}: {what}", self.store.name(file));
                self.index.incomplete(&kind.api_version(), &kind.kind, &why);
            }
            self.problem(file, Some(line), what);
        }
        if outcome.nameless > 0 {
            let what = format!("{} items of a list that never says its kind; lost", outcome.nameless);
            self.problem(file, None, what);
        }
        Ok(())
    }

    fn read_yaml(&mut self, file: FileId, name: &str) -> io::Result<()> {
        let start = self.store.spooled()?;
        let spooled = self.store.add_span(name.to_owned(), start)?;
        let mut reader = yaml::Reader::new(name, spooled, self.index.mark());
        let mut input = io::BufReader::with_capacity(256 * 1024, self.store.borrow(file));
        let (store, index) = (&self.store, &mut self.index);
        yaml::split(&mut input, &mut |piece| {
            reader.take(&piece, index);
            if reader.batch.len() > 1 << 20 {
                store.spool(&reader.batch)?;
                reader.batch.clear();
            }
            Ok(())
        })?;
        self.store.spool(&reader.batch)?;
        self.store.close(spooled)?;
        if !reader.any && reader.broken.is_empty() {
            self.unrecognised.push(name.to_owned());
        }
        for broken in reader.broken {
            self.problem(file, Some(broken.line), broken.what);
        }
        self.excerpts.extend(reader.excerpts.into_iter().map(|excerpt| (file, excerpt)));
        self.notices.extend(reader.notices);
        Ok(())
    }

    fn finish(mut self, path: &str, options: &Options) -> Result<Snapshot, FromError> {
        self.add_excerpts().map_err(|source| FromError::Io { name: path.to_owned(), source })?;
        let index = self.index.finish();
        if index.len() == 0 && self.node_files.is_empty() && self.recording.is_none() {
            let mut problems: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
            // a file that was named itself needs no second mention
            if self.unrecognised.iter().any(|name| !path.ends_with(name.as_str())) {
                problems.push(in_short(&mut self.unrecognised));
            }
            return Err(FromError::Nothing { name: path.to_owned(), problems });
        }
        if self.dump_logs && only_default_namespaces(&index) {
            self.notices.push(
                "a cluster-info dump with only the namespaces default and kube-system, as it is written without \
                 --all-namespaces: pods and services elsewhere are not counted"
                    .to_owned(),
            );
        }
        assign_nodes(&mut self.node_files, &self.store, &index, options);
        self.node_files.sort_by(|a, b| a.name.cmp(&b.name));
        if !self.unrecognised.is_empty() {
            let line = in_short(&mut self.unrecognised);
            self.notices.push(line);
        }
        let fingerprint = fingerprint(&self.store, &index);
        let info = SnapshotInfo {
            kind: if self.recording.is_some() { Kind::Recording } else { Kind::Dump },
            path: path.to_owned(),
            recording: self.recording.clone(),
            objects: index.len(),
        };
        let inner = Inner { index, store: Arc::new(self.store), raw: self.raw, recording: self.recording, fingerprint };
        Ok(Snapshot {
            inner: Arc::new(inner),
            info,
            node_files: self.node_files,
            notices: self.notices,
            problems: self.problems,
        })
    }

    /// Excerpts become ConfigMaps where the input does not hold the real one.
    fn add_excerpts(&mut self) -> io::Result<()> {
        let mut merged: BTreeMap<(&str, &str), serde_json::Value> = BTreeMap::new();
        for (file, excerpt) in std::mem::take(&mut self.excerpts) {
            let key = (excerpt.namespace, excerpt.name);
            if self.index.holds("ConfigMap", excerpt.namespace, excerpt.name) || merged.contains_key(&key) {
                let name = self.store.name(file);
                self.notices.push(format!("{name}: not used, {}/{} is there already", excerpt.namespace, excerpt.name));
                continue;
            }
            merged.insert(key, excerpt.object);
        }
        for ((namespace, name), object) in merged {
            let text = object.to_string();
            let file = self.store.add_text(format!("{namespace}/{name}"), text.as_bytes())?;
            self.index.add(Found {
                file,
                offset: 0,
                len: text.len() as u64,
                api_version: "v1",
                kind: "ConfigMap",
                namespace,
                name,
                resource_version: "",
            });
        }
        Ok(())
    }
}

/// How many unrecognised files are named.
const SHOWN: usize = 100;

fn in_short(unrecognised: &mut [String]) -> String {
    unrecognised.sort_unstable();
    let count = unrecognised.len();
    let shown = unrecognised.get(..count.min(SHOWN)).unwrap_or_default().join(", ");
    let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
    format!("not recognised: {shown}{more}")
}

fn only_default_namespaces(index: &Index) -> bool {
    let pods = index.collection("", "Pod").unwrap_or_default();
    let mut namespaces = pods.iter().filter_map(|id| Some(index.namespace(index.entry(*id)?)));
    !pods.is_empty() && namespaces.all(|namespace| matches!(namespace, "default" | "kube-system"))
}

/// Whether a text file is worth a YAML parser.
fn looks_like_yaml(own: &str, text: &[u8]) -> bool {
    let extension = Path::new(own).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if matches!(extension.to_ascii_lowercase().as_str(), "yaml" | "yml") {
        return true;
    }
    let text = String::from_utf8_lossy(text);
    let fields = ["apiVersion:", "kind:", "networking:", "items:", "data:"];
    text.lines().take(200).any(|line| {
        let line = line.trim_start().trim_start_matches("- ");
        fields.iter().any(|field| line.starts_with(field))
    })
}

/// Gives every node file its node: the folder's name, the one node that was asked for, or the Node
/// whose addresses or name the files beside it carry.
fn assign_nodes(files: &mut [NodeFile], store: &Store, index: &Index, options: &Options) {
    let mut names: HashSet<&str> = HashSet::new();
    for id in index.collection("", "Node").unwrap_or_default() {
        if let Some(entry) = index.entry(*id) {
            names.insert(index.name(entry));
        }
    }
    let mut left = false;
    for file in files.iter_mut() {
        let parent = nodes::folder(&file.name).rsplit('/').next().unwrap_or_default();
        let own = nodes::node_in_path(&file.name).or_else(|| names.contains(parent).then_some(parent));
        file.node = own.map(str::to_owned).or_else(|| options.node.clone());
        left |= file.node.is_none();
    }
    if !left {
        return;
    }
    let owners = addresses_of_nodes(store, index);
    let mut folders: HashMap<String, String> = HashMap::new();
    for file in files.iter().filter(|file| file.node.is_none()) {
        if !matches!(file.probe, Probe::Addresses | Probe::Configz) || store.len(file.file) > SMALL {
            continue;
        }
        let Ok(bytes) = store.head(file.file, usize::MAX) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let node = if file.probe == Probe::Addresses {
            nodes::addresses(&text).iter().find_map(|address| owners.get(address).cloned())
        } else {
            nodes::configured_name(&text)
        };
        let folder = nodes::folder(&file.name).to_owned();
        match node {
            // the kernel's own addresses outrank what a configuration calls itself
            Some(node) if file.probe == Probe::Addresses => {
                folders.insert(folder, node);
            }
            Some(node) => {
                folders.entry(folder).or_insert(node);
            }
            None => {}
        }
    }
    for file in files.iter_mut().filter(|file| file.node.is_none()) {
        file.node = folders.get(nodes::folder(&file.name)).cloned();
    }
}

fn addresses_of_nodes(store: &Store, index: &Index) -> HashMap<IpAddr, String> {
    let mut owners = HashMap::new();
    for id in index.collection("", "Node").unwrap_or_default() {
        let Some(entry) = index.entry(*id) else { continue };
        let Ok(bytes) = store.read_exact(entry.file, entry.offset, entry.len as usize) else { continue };
        let Ok(node) = Item::json(&bytes).lean::<wire::Node>() else { continue };
        for address in node.status.unwrap_or_default().addresses {
            if let Ok(address) = address.address.parse() {
                owners.insert(address, index.name(entry).to_owned());
            }
        }
    }
    owners
}

/// A number that differs between inputs and is the same for the same one.
fn fingerprint(store: &Store, index: &Index) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut mix = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (group, kind, ids) in index.collections() {
        mix(group.as_bytes());
        mix(kind.as_bytes());
        for id in ids {
            let Some(entry) = index.entry(*id) else { continue };
            mix(store.name(entry.file).as_bytes());
            mix(index.name(entry).as_bytes());
            mix(&entry.offset.to_le_bytes());
            mix(&entry.resource_version.to_le_bytes());
        }
    }
    hash
}
