//! Where the server's objects come from.

use std::{fs, path::Path, sync::Arc};

use serde_json::{Value, json};

use crate::encode::{Compiled, protobuf};

/// Objects of one kind, in the order of their keys as text, as etcd has them: namespace `a-b` comes
/// before `a`.
pub trait Collection: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// `namespace/name` of one, or its name alone.
    fn key(&self, index: usize) -> String;
    /// One whole object, with `apiVersion` and `kind`.
    fn value(&self, index: usize) -> Value;
    /// Appends one object as JSON; items of lists of Kubernetes' own kinds have no `apiVersion` and `kind`.
    fn write_json(&self, index: usize, typed: bool, out: &mut Vec<u8>);
    /// Appends one object as protobuf without envelope.
    fn write_protobuf(&self, index: usize, out: &mut Vec<u8>);
    /// How long [`Collection::write_protobuf`] is.
    fn protobuf_len(&self, index: usize) -> usize {
        let mut out = Vec::new();
        self.write_protobuf(index, &mut out);
        out.len()
    }

    /// The object with a key; as an error the first after it.
    fn find(&self, wanted: &str) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.key(middle).as_str().cmp(wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

/// Objects that are held whole.
#[derive(Debug, Default)]
pub(crate) struct Held {
    objects: Vec<Value>,
}

impl Held {
    /// Orders them, and fills in what every stored object has.
    pub(crate) fn new(mut objects: Vec<Value>) -> Self {
        for (index, object) in objects.iter_mut().enumerate() {
            let uid = format!("00000000-0000-4000-8000-{index:012x}");
            let meta = &mut object["metadata"];
            for (field, value) in
                [("uid", uid.as_str()), ("resourceVersion", "1"), ("creationTimestamp", "2026-01-01T00:00:00Z")]
            {
                if meta[field].is_null() {
                    meta[field] = json!(value);
                }
            }
        }
        objects.sort_by_cached_key(key_of);
        Self { objects }
    }
}

fn key_of(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    key(text("namespace"), text("name"))
}

/// The key of an object.
pub(crate) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

impl Collection for Held {
    fn len(&self) -> usize {
        self.objects.len()
    }

    fn key(&self, index: usize) -> String {
        key_of(&self.objects[index])
    }

    fn value(&self, index: usize) -> Value {
        self.objects[index].clone()
    }

    fn write_json(&self, index: usize, typed: bool, out: &mut Vec<u8>) {
        let object = &self.objects[index];
        if typed {
            return serde_json::to_writer(out, object).expect("a vector takes everything");
        }
        let bare: serde_json::Map<_, _> = object
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(field, _)| !matches!(field.as_str(), "apiVersion" | "kind"))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        serde_json::to_writer(out, &bare).expect("a vector takes everything");
    }

    fn write_protobuf(&self, index: usize, out: &mut Vec<u8>) {
        let object = &self.objects[index];
        protobuf::object(object["kind"].as_str().unwrap_or_default(), object).write(&[], out);
    }
}

/// Many like objects, made when they are asked for: one template, and the texts of its slots.
pub struct Generated {
    template: Value,
    json: Compiled,
    protobuf: Compiled,
    count: usize,
    fill: Fill,
}

type Fill = Arc<dyn Fn(usize) -> Vec<String> + Send + Sync>;

impl Generated {
    /// `count` objects of a template whose strings mark slots with [`crate::slot`]; `fill` gives the
    /// texts of one object. Objects must come out in the order of their keys.
    pub fn new(template: Value, count: usize, fill: impl Fn(usize) -> Vec<String> + Send + Sync + 'static) -> Self {
        let kind = template["kind"].as_str().expect("a template says its kind").to_owned();
        let mut bare = template.clone();
        for field in ["apiVersion", "kind"] {
            bare.as_object_mut().expect("a template is an object").remove(field);
        }
        Self {
            json: Compiled::text(&bare.to_string()),
            protobuf: protobuf::object(&kind, &template),
            template,
            count,
            fill: Arc::new(fill),
        }
    }

    pub(crate) fn template(&self) -> &Value {
        &self.template
    }
}

impl Collection for Generated {
    fn len(&self) -> usize {
        self.count
    }

    fn key(&self, index: usize) -> String {
        let slots = (self.fill)(index);
        let text = |field: &str| {
            let mut out = Vec::new();
            Compiled::text(self.template["metadata"][field].as_str().unwrap_or_default()).write_text(&slots, &mut out);
            String::from_utf8(out).expect("pieces of text")
        };
        key(&text("namespace"), &text("name"))
    }

    fn value(&self, index: usize) -> Value {
        let mut out = Vec::new();
        self.write_json(index, false, &mut out);
        let mut value: Value = serde_json::from_slice(&out).expect("slots hold no quotes");
        for field in ["apiVersion", "kind"] {
            value[field] = self.template[field].clone();
        }
        value
    }

    fn write_json(&self, index: usize, _typed: bool, out: &mut Vec<u8>) {
        self.json.write_text(&(self.fill)(index), out);
    }

    fn write_protobuf(&self, index: usize, out: &mut Vec<u8>) {
        self.protobuf.write(&(self.fill)(index), out);
    }

    fn protobuf_len(&self, index: usize) -> usize {
        self.protobuf.len(&(self.fill)(index))
    }
}

/// The objects of a JSON file, or of every JSON file under a folder; lists are taken apart. Files
/// that hold no object are passed over.
pub fn load(path: &Path) -> Vec<Value> {
    let mut objects = Vec::new();
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.is_dir() || path.extension().is_some_and(|ext| ext == "json")) {
            objects.extend(load(path));
        }
        return objects;
    }
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    flatten(value, &mut objects);
    objects
}

/// Takes lists apart; keeps what has a kind and a name.
pub(crate) fn flatten(value: Value, objects: &mut Vec<Value>) {
    if let Some(items) = value["items"].as_array() {
        let kind = value["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).filter(|kind| !kind.is_empty());
        for item in items {
            let mut item = item.clone();
            if let (true, Some(kind)) = (item["kind"].is_null(), kind) {
                item["kind"] = json!(kind);
                item["apiVersion"] = value["apiVersion"].clone();
            }
            flatten(item, objects);
        }
    } else if value["kind"].is_string() && value["metadata"]["name"].is_string() {
        objects.push(value);
    }
}

/// An object with an annotation of that many bytes.
pub fn with_huge_annotation(mut object: Value, bytes: usize) -> Value {
    object["metadata"]["annotations"]["example.com/huge"] = json!("x".repeat(bytes));
    object
}
