//! What a server is like.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use serde_json::Value;

use crate::{
    access::User,
    discovery::Discovery,
    fault::Fault,
    kinds::{self, Kind},
    objects::{self, Collection, Generated, Held},
    pods::Admits,
    services::Allocator,
    store::{Controller, Look},
    streams::{Answers, Exec, Ran, Runs},
};

/// When somebody is told of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It came, and nothing was done yet.
    Asked,
    /// It was carried out, and its answer is not sent yet.
    Done,
}

/// Somebody who is told of every request, and may have a hand in what the cluster holds meanwhile.
pub(crate) type Watcher = Arc<dyn Fn(Moment, &crate::Recorded, &crate::Hands<'_>) + Send + Sync>;

/// What a server holds and how it behaves; every part has a default that suits a healthy cluster.
pub struct Config {
    pub(crate) minor: u32,
    pub(crate) objects: Vec<Value>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) generated: Vec<Generated>,
    pub(crate) users: Vec<User>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) ranges: Vec<String>,
    pub(crate) allocator: Option<Allocator>,
    pub(crate) seed: u64,
    pub(crate) flags: Option<BTreeMap<String, String>>,
    pub(crate) flag_delimiter: &'static str,
    pub(crate) metrics: Option<String>,
    pub(crate) configz: HashMap<String, Value>,
    pub(crate) discovery: Discovery,
    pub(crate) gzip: bool,
    pub(crate) names: Vec<String>,
    pub(crate) runs: Option<Runs>,
    pub(crate) answers: Option<Answers>,
    pub(crate) admits: Option<Admits>,
    pub(crate) controller: Option<Controller>,
    pub(crate) watcher: Option<Watcher>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            minor: 36,
            objects: Vec::new(),
            kinds: Vec::new(),
            generated: Vec::new(),
            users: vec![User::admin("admin")],
            faults: Vec::new(),
            ranges: vec!["10.96.0.0/12".to_owned()],
            allocator: None,
            seed: 1,
            flags: None,
            flag_delimiter: "=",
            metrics: None,
            configz: HashMap::new(),
            discovery: Discovery::Aggregated,
            gzip: true,
            names: Vec::new(),
            runs: None,
            answers: None,
            admits: None,
            controller: None,
            watcher: None,
        }
    }
}

impl Config {
    /// An empty cluster of 1.36.
    pub fn new() -> Self {
        Self::default()
    }

    /// The minor version of Kubernetes: which kinds there are and how Services are allocated.
    #[must_use]
    pub const fn minor(mut self, minor: u32) -> Self {
        self.minor = minor;
        self
    }

    /// Lets pods be made and deleted: what each has as its `status` at once, or why it is not admitted.
    #[must_use]
    pub fn admits(mut self, admits: impl Fn(&Value) -> Result<Value, String> + Send + Sync + 'static) -> Self {
        self.admits = Some(Arc::new(admits));
        self
    }

    /// Lets ConfigMaps, Leases, Nodes and pods be written; `controller` says what comes to be once an object
    /// was deleted, each after a while.
    #[must_use]
    pub fn writable(
        mut self,
        controller: impl Fn(&Value, Look<'_>) -> Vec<(std::time::Duration, Value)> + Send + Sync + 'static,
    ) -> Self {
        self.controller = Some(Arc::new(controller));
        self
    }

    /// Has somebody told of every request, before it is carried out and before it is answered.
    #[must_use]
    pub fn watcher(
        mut self,
        watcher: impl Fn(Moment, &crate::Recorded, &crate::Hands<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.watcher = Some(Arc::new(watcher));
        self
    }

    /// Adds an object, or the items of a list.
    #[must_use]
    pub fn object(mut self, value: Value) -> Self {
        objects::flatten(value, &mut self.objects);
        self
    }

    /// Adds objects.
    #[must_use]
    pub fn objects(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        for value in values {
            objects::flatten(value, &mut self.objects);
        }
        self
    }

    /// Adds the objects of a JSON file, or of all JSON files under a folder.
    #[must_use]
    pub fn load(mut self, path: impl AsRef<Path>) -> Self {
        self.objects.extend(objects::load(path.as_ref()));
        self
    }

    /// Adds many objects that are made on demand.
    #[must_use]
    pub fn generated(mut self, objects: Generated) -> Self {
        self.generated.push(objects);
        self
    }

    /// Adds a custom kind that has no objects, or is not among those that the server knows.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Adds a user beside `admin`, who may do everything.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.users.retain(|other| other.name != user.name);
        self.users.push(user);
        self
    }

    /// Adds a trouble.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The service ranges, the default family's first. (`ServiceCIDR` objects are added apart.)
    #[must_use]
    pub fn service_ranges(mut self, ranges: &[&str]) -> Self {
        self.ranges = ranges.iter().map(|&range| range.to_owned()).collect();
        self
    }

    /// How creates are answered, where it is not what the minor version does.
    #[must_use]
    pub const fn allocator(mut self, allocator: Allocator) -> Self {
        self.allocator = Some(allocator);
        self
    }

    /// Where the choices among several service ranges start.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What `/flagz` shows; by default the service range and a few more.
    #[must_use]
    pub fn flags(mut self, flags: &[(&str, &str)]) -> Self {
        self.flags = Some(flags.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect());
        self
    }

    /// What stands between name and value in `/flagz`: each real server chooses one of `:`, `: `, `=`
    /// and a space by chance.
    #[must_use]
    pub const fn flag_delimiter(mut self, delimiter: &'static str) -> Self {
        self.flag_delimiter = delimiter;
        self
    }

    /// What `/metrics` shows; by default the gauges of the service ranges.
    #[must_use]
    pub fn metrics(mut self, text: &str) -> Self {
        self.metrics = Some(text.to_owned());
        self
    }

    /// What a node's kubelet says to `configz`.
    #[must_use]
    pub fn configz(mut self, node: &str, value: Value) -> Self {
        self.configz.insert(node.to_owned(), value);
        self
    }

    /// How commands in pods go; without, there are no kubelets.
    #[must_use]
    pub fn runs(mut self, runs: impl Fn(&Exec) -> Ran + Send + Sync + 'static) -> Self {
        self.runs = Some(Arc::new(runs));
        self
    }

    /// What port 10249 of a node answers to a GET of a path.
    #[must_use]
    pub fn answers(mut self, answers: impl Fn(&str, &str) -> Option<(u16, String)> + Send + Sync + 'static) -> Self {
        self.answers = Some(Arc::new(answers));
        self
    }

    /// How discovery is answered.
    #[must_use]
    pub const fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// Whether large answers are compressed for clients that take it.
    #[must_use]
    pub const fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    /// Further names and addresses in the serving certificate.
    #[must_use]
    pub fn certificate_names(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// The kinds and their objects.
    pub(crate) fn tables(&mut self) -> Vec<(Kind, Arc<dyn Collection>)> {
        let mut kinds = kinds::builtin(self.minor);
        kinds.append(&mut self.kinds);
        let mut held: Vec<Vec<Value>> = kinds.iter().map(|_| Vec::new()).collect();
        for object in std::mem::take(&mut self.objects) {
            let index = self::index(&mut kinds, &object);
            held.resize_with(kinds.len(), Vec::new);
            held[index].push(object);
        }
        let mut generated: Vec<Option<Generated>> = kinds.iter().map(|_| None).collect();
        for objects in std::mem::take(&mut self.generated) {
            let index = self::index(&mut kinds, objects.template());
            generated.resize_with(kinds.len(), || None);
            generated[index] = Some(objects);
        }
        held.resize_with(kinds.len(), Vec::new);
        generated.resize_with(kinds.len(), || None);
        kinds
            .into_iter()
            .zip(held)
            .zip(generated)
            .map(|((kind, held), generated)| {
                assert!(held.is_empty() || generated.is_none(), "{}: both given and generated", kind.full_name());
                let objects: Arc<dyn Collection> = match generated {
                    Some(generated) => Arc::new(generated),
                    None => Arc::new(Held::new(held)),
                };
                (kind, objects)
            })
            .collect()
    }
}

/// The place of an object's kind; custom kinds that are known come into being with their first object.
fn index(kinds: &mut Vec<Kind>, object: &Value) -> usize {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if let Some(index) = kinds.iter().position(|known| known.kind == kind && known.api_version() == api_version) {
        return index;
    }
    let custom = kinds::custom(api_version, kind)
        .unwrap_or_else(|| panic!("{api_version} {kind}: not served by this release; declare it with Config::kind"));
    kinds.push(custom);
    kinds.len() - 1
}
