//! Configuration that people paste without the object around it: it becomes the ConfigMap in
//! which a cluster holds it, and says in an annotation which file it came from.

use serde_json::{Value, json};

/// The annotation that names the file and line of an excerpt.
pub const FILE_ANNOTATION: &str = "kubectl-net/file";

/// A piece of configuration that stands for the ConfigMap `namespace/name`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Excerpt {
    /// Namespace of the ConfigMap.
    pub(super) namespace: &'static str,
    /// Name of the ConfigMap.
    pub(super) name: &'static str,
    /// The whole ConfigMap.
    pub(super) object: Value,
}

/// The ConfigMap keys that say by themselves which object they are from.
const KEYS: [(&str, &str, &str); 5] = [
    ("ClusterConfiguration", "kube-system", "kubeadm-config"),
    ("config.conf", "kube-system", "kube-proxy"),
    ("net-conf.json", "kube-flannel", "kube-flannel-cfg"),
    ("calico_backend", "kube-system", "calico-config"),
    ("kubelet", "kube-system", "kubelet-config"),
];

/// Recognises an excerpt; `text` is how the file has it, `place` its file and line.
pub(super) fn recognise(value: &Value, text: &str, place: &str) -> Option<Excerpt> {
    let fields = value.as_object()?;
    if let Some(data) = fields.get("data").and_then(Value::as_object) {
        let (_, namespace, name) = KEYS.into_iter().find(|(key, ..)| data.contains_key(*key))?;
        return Some(wrap(namespace, name, &Value::Object(data.clone()), place));
    }
    let key = match fields.get("kind").and_then(Value::as_str) {
        Some("ClusterConfiguration") => "ClusterConfiguration",
        Some("KubeProxyConfiguration") => "config.conf",
        Some("KubeletConfiguration") => "kubelet",
        None if is_networking(fields.get("networking")) => "ClusterConfiguration",
        None if fields.contains_key("Network") || fields.contains_key("IPv6Network") => "net-conf.json",
        _ => return None,
    };
    let (_, namespace, name) = KEYS.into_iter().find(|(known, ..)| *known == key)?;
    Some(wrap(namespace, name, &json!({ key: dedent(text) }), place))
}

fn is_networking(value: Option<&Value>) -> bool {
    let known = ["podSubnet", "serviceSubnet", "dnsDomain"];
    value.and_then(Value::as_object).is_some_and(|fields| known.iter().any(|field| fields.contains_key(*field)))
}

fn wrap(namespace: &'static str, name: &'static str, data: &Value, place: &str) -> Excerpt {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace, "annotations": { FILE_ANNOTATION: place } },
        "data": data,
    });
    Excerpt { namespace, name, object }
}

/// Takes away the indentation that all lines share: an excerpt is often cut from inside a ConfigMap.
pub(super) fn dedent(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let shared = text.lines().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.push_str(line.get(shared..).unwrap_or_default());
        out.push('\n');
    }
    out
}
