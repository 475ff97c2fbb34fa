//! What the sources share: names of objects, ConfigMap entries, and command lines.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    cluster::{Resource, resources},
    ranges::{Confidence, Given, Origin},
    text::scalar,
};

/// The annotation of a ConfigMap that stands for a bare file, with the file's name and the line on
/// which the entry's text begins: `kubeadm-config.yaml:1`.
pub const FILE_ANNOTATION: &str = "kubectl-net/file";

/// `metadata.name`.
pub(crate) fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.namespace`.
pub(crate) fn namespace(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}

/// `configmap kube-system/kube-proxy`, `servicecidr kubernetes`.
pub(crate) fn title(resource: &Resource, object: &Value) -> String {
    let kind = resource.kind.to_lowercase();
    match namespace(object) {
        "" => format!("{kind} {}", name(object)),
        namespace => format!("{kind} {namespace}/{}", name(object)),
    }
}

/// A ConfigMap.
#[derive(Clone, Copy)]
pub(crate) struct ConfigMap<'a> {
    object: &'a Value,
    file: Option<(&'a str, usize)>,
}

impl<'a> ConfigMap<'a> {
    /// The ConfigMap that was given, if it is one.
    pub(crate) fn of(given: Given<'a>) -> Option<Self> {
        let Given::Object(resource, object) = given else { return None };
        if resource != &resources::CONFIGMAPS {
            return None;
        }
        let file = object.pointer("/metadata/annotations").and_then(|a| a.get(FILE_ANNOTATION)).and_then(Value::as_str);
        let file = file.and_then(|text| text.rsplit_once(':')).map(|(name, line)| (name, line.parse().unwrap_or(1)));
        Some(Self { object, file })
    }

    /// Whether it is that one.
    pub(crate) fn is(&self, namespace_: &str, name_: &str) -> bool {
        namespace(self.object) == namespace_ && name(self.object) == name_
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'a str {
        name(self.object)
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &'a str {
        namespace(self.object)
    }

    /// One entry.
    pub(crate) fn entry(&self, key: &str) -> Option<&'a str> {
        self.object.get("data")?.get(key)?.as_str()
    }

    /// All entries that are text.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let data = self.object.get("data").and_then(Value::as_object);
        data.into_iter().flat_map(Map::iter).filter_map(|(key, text)| Some((key.as_str(), text.as_str()?)))
    }

    /// `configmap kube-system/kube-proxy`, or the bare file that it stands for.
    pub(crate) fn title(&self) -> String {
        self.file.map_or_else(|| title(&resources::CONFIGMAPS, self.object), |(file, _)| file.to_owned())
    }

    /// Where in it something stands: the entry and the line in its text, or the line of the bare file.
    pub(crate) fn place(&self, key: &str, line: usize) -> String {
        match self.file {
            Some((_, first)) => format!("line {}", first + line.max(1) - 1),
            None => format!("data.{key} line {line}"),
        }
    }

    /// The origin of a field in the text of an entry.
    pub(crate) fn origin(
        &self,
        source: &'static str,
        confidence: Confidence,
        key: &str,
        line: usize,
        field: &str,
    ) -> Origin {
        Origin::new(source, confidence, self.title(), format!("{}: {field}", self.place(key, line)))
    }
}

/// One argument of a command line: its value and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument {
    /// The value; `true` for a bare flag.
    pub value: String,
    /// `spec.containers[0].command[3]`.
    pub field: String,
}

/// The long flags of a command line, by name without dashes; the last of several wins, as in the
/// components themselves.
pub type Arguments = BTreeMap<String, Argument>;

/// The flags of words that stand at `field`: `--a=b`, `--a b`, bare `--a`, with quotes or without, also
/// inside one word that a shell is given.
pub(crate) fn arguments(words: &[Value], field: &str) -> Arguments {
    let mut found = Arguments::new();
    let mut open: Option<(String, String)> = None;
    for (index, word) in words.iter().enumerate() {
        let place = format!("{field}[{index}]");
        for word in shell_words(&scalar(Some(word))) {
            match (word.strip_prefix("--"), open.take()) {
                (Some(flag), before) => {
                    if let Some((name, place)) = before {
                        found.insert(name, Argument { value: "true".to_owned(), field: place });
                    }
                    let (name, value) = flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v)));
                    let name = name.replace('_', "-");
                    match value {
                        Some(value) => {
                            let value = value.trim_matches(['"', '\'']).to_owned();
                            found.insert(name, Argument { value, field: place.clone() });
                        }
                        None => open = Some((name, place.clone())),
                    }
                }
                (None, Some((name, place))) => {
                    let value = word.trim_matches(['"', '\'']).to_owned();
                    found.insert(name, Argument { value, field: place });
                }
                (None, None) => {}
            }
        }
    }
    if let Some((name, field)) = open {
        found.insert(name, Argument { value: "true".to_owned(), field });
    }
    found
}

/// One word, or the words of a command line that was given to a shell as one.
fn shell_words(text: &str) -> Vec<String> {
    let text = text.trim();
    let one =
        !text.contains(char::is_whitespace) || (text.starts_with("--") && text.contains('=') && !text.contains(" --"));
    if one {
        return vec![text.to_owned()];
    }
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in text.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() || c == '\\' => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, _) => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The containers of a pod, or of a workload's pod template, with the path to each.
pub(crate) fn containers(object: &Value) -> Vec<(String, &Value)> {
    let template = object.pointer("/spec/template/spec");
    let (base, spec) = match template {
        Some(spec) => ("spec.template.spec", Some(spec)),
        None => ("spec", object.get("spec")),
    };
    let list = spec.and_then(|s| s.get("containers")).and_then(Value::as_array);
    list.into_iter().flatten().enumerate().map(|(i, c)| (format!("{base}.containers[{i}]"), c)).collect()
}

/// The flags of a container, from `command` and `args`.
pub(crate) fn container_arguments(path: &str, container: &Value) -> Arguments {
    let mut all = Arguments::new();
    for part in ["command", "args"] {
        if let Some(words) = container.get(part).and_then(Value::as_array) {
            all.extend(arguments(words, &format!("{path}.{part}")));
        }
    }
    all
}

/// Whether a container runs a program: by its name, its command, or its image.
pub(crate) fn runs(container: &Value, program: &str) -> bool {
    let base = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let words = container.get("command").and_then(Value::as_array).into_iter().flatten();
    let words = words.chain(container.get("args").and_then(Value::as_array).into_iter().flatten());
    scalar(container.get("name")) == program
        || words.flat_map(|word| shell_words(&scalar(Some(word)))).any(|word| base(&word) == program)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value<'a>(arguments: &'a Arguments, name: &str) -> &'a str {
        arguments.get(name).map_or("-", |argument| argument.value.as_str())
    }

    #[test]
    fn every_spelling_of_an_argument() {
        let words =
            json!(["kube-apiserver", "--a=1", "--b", "2", "--c", "--d='4'", "--e_f=5", "--g", "\"6\"", "--h=x y"]);
        let found = arguments(words.as_array().unwrap(), "spec.containers[0].command");
        for (name, wanted) in
            [("a", "1"), ("b", "2"), ("c", "true"), ("d", "4"), ("e-f", "5"), ("g", "6"), ("h", "x y"), ("i", "-")]
        {
            assert_eq!(value(&found, name), wanted, "--{name}");
        }
        assert_eq!(found["b"].field, "spec.containers[0].command[2]");
    }

    #[test]
    fn a_shell_is_looked_into() {
        let words = json!(["sh", "-c", "exec kube-proxy \\\n --cluster-cidr='10.0.0.0/8,fd00::/48' --v 2 2>&1"]);
        let found = arguments(words.as_array().unwrap(), "args");
        assert_eq!(value(&found, "cluster-cidr"), "10.0.0.0/8,fd00::/48");
        assert_eq!(value(&found, "v"), "2");
        assert!(runs(&json!({"name": "x", "command": words}), "kube-proxy"));
        assert!(!runs(&json!({"name": "x", "command": ["/bin/kube-proxy-exporter"]}), "kube-proxy"));
    }

    #[test]
    fn a_bare_file_is_named_with_its_own_lines() {
        let object = json!({"metadata": {"name": "kubeadm-config", "namespace": "kube-system",
            "annotations": {FILE_ANNOTATION: "my:notes.yaml:10"}}, "data": {"ClusterConfiguration": "x"}});
        let map = ConfigMap::of(Given::Object(&resources::CONFIGMAPS, &object)).unwrap();
        let origin = map.origin("kubeadm-config", Confidence::C, "ClusterConfiguration", 3, "networking.podSubnet");
        assert_eq!(origin.to_string(), "my:notes.yaml line 12: networking.podSubnet");
    }
}
