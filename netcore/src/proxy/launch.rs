//! How a kube-proxy is started: its flags, and the file that they name.

use serde_json::Value;

use crate::{
    ranges::sources::{
        Arguments,
        object::{container_arguments, containers, runs},
    },
    text::scalar,
};

/// The program.
const PROGRAM: &str = "kube-proxy";

/// How the pods of a workload start kube-proxy, or one pod does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// Its flags.
    pub arguments: Arguments,
    /// Its image.
    pub image: String,
    /// Where `--config` is found; nothing where there is no `--config`.
    pub file: Option<ConfigFile>,
    /// The configuration has a node's own name from the pod: `--hostname-override=$(NODE_NAME)`.
    pub names_node: bool,
}

/// What `--config` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// An entry of a ConfigMap in the pod's namespace.
    Entry {
        /// The ConfigMap.
        name: String,
        /// The entry.
        key: String,
    },
    /// A file of the node, or of the image: not to be had from the API.
    Path(String),
}

impl Launch {
    /// How a pod or workload starts kube-proxy; nothing where it does not run it.
    pub fn of(object: &Value) -> Option<Self> {
        let (path, container) = containers(object).into_iter().find(|(_, container)| runs_it(container))?;
        let arguments = container_arguments(&path, container);
        let spec = object.pointer("/spec/template/spec").or_else(|| object.get("spec"))?;
        let file = arguments.get("config").map(|argument| config_file(&argument.value, container, spec));
        let names_node = arguments.get("hostname-override").is_some_and(|argument| !argument.value.is_empty());
        Some(Self { image: scalar(container.get("image")), file, names_node, arguments })
    }

    /// The version of kube-proxy, as its image's tag has it.
    pub fn version(&self) -> Option<String> {
        super::version::of_image(&self.image, &["kube-proxy", "hyperkube", "hardened-kubernetes"])
    }

    /// The value of a flag that counts: with `--config`, no other flag does but `--hostname-override` and
    /// those of logging.
    pub fn flag(&self, name: &str) -> Option<&str> {
        let counts = self.file.is_none() || name == "hostname-override";
        self.arguments.get(name).filter(|_| counts).map(|argument| argument.value.as_str())
    }

    /// The value of a flag that is given and does not count.
    pub fn ignored(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).filter(|_| self.file.is_some()).map(|argument| argument.value.as_str())
    }
}

fn runs_it(container: &Value) -> bool {
    let image = scalar(container.get("image"));
    let image = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    runs(container, PROGRAM) || image.split(':').next() == Some(PROGRAM)
}

fn config_file(path: &str, container: &Value, spec: &Value) -> ConfigFile {
    let volumes = || spec.get("volumes").and_then(Value::as_array).into_iter().flatten();
    // an object that was cut down may have its volumes and not where they are mounted
    let on_disk = || {
        let mut maps = volumes().filter_map(|volume| volume.pointer("/configMap/name"));
        match (container.get("volumeMounts"), maps.next(), maps.next(), path.rsplit('/').next()) {
            (None, Some(map), None, Some(key)) => ConfigFile::Entry { name: scalar(Some(map)), key: key.to_owned() },
            _ => ConfigFile::Path(path.to_owned()),
        }
    };
    let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
    let below = |mount: &&Value| {
        let at = scalar(mount.get("mountPath"));
        let at = at.trim_end_matches('/');
        path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let Some(mount) = mounts.filter(below).max_by_key(|mount| scalar(mount.get("mountPath")).len()) else {
        return on_disk();
    };
    let at = scalar(mount.get("mountPath"));
    let inside = path.strip_prefix(at.trim_end_matches('/')).unwrap_or_default().trim_start_matches('/');
    let below = scalar(mount.get("subPath"));
    let inside =
        [below.trim_matches('/'), inside].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    let name = scalar(mount.get("name"));
    let Some(volume) = volumes().find(|volume| scalar(volume.get("name")) == name) else { return on_disk() };
    let projected = volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten();
    let maps = std::iter::once(volume).chain(projected).filter_map(|source| source.get("configMap"));
    for map in maps {
        let items = map.get("items").and_then(Value::as_array);
        let key = match items {
            None => Some(inside.clone()),
            Some(items) => {
                items.iter().find(|item| scalar(item.get("path")) == inside).map(|item| scalar(item.get("key")))
            }
        };
        if let Some(key) = key {
            return ConfigFile::Entry { name: scalar(map.get("name")), key };
        }
    }
    on_disk()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn launch(command: &Value, mount: &Value, volume: &Value) -> Launch {
        Launch::of(&json!({"spec": {"template": {"spec": {
            "containers": [{"name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:v1.36.3",
                "command": command, "volumeMounts": [mount]}],
            "volumes": [volume]}}}}))
        .unwrap()
    }

    fn entry(name: &str, key: &str) -> ConfigFile {
        ConfigFile::Entry { name: name.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn the_file_leads_to_the_entry_of_a_config_map() {
        let command =
            json!(["kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--hostname-override=$(NODE_NAME)"]);
        let mount = json!({"name": "c", "mountPath": "/var/lib/kube-proxy"});
        let kubeadm = launch(&command, &mount, &json!({"name": "c", "configMap": {"name": "kube-proxy"}}));
        assert_eq!(kubeadm.file, Some(entry("kube-proxy", "config.conf")));
        assert!(kubeadm.names_node);
        let items =
            json!({"name": "c", "configMap": {"name": "other", "items": [{"key": "a", "path": "config.conf"}]}});
        assert_eq!(launch(&command, &mount, &items).file, Some(entry("other", "a")));
        let projected = json!({"name": "c", "projected": {"sources": [{"secret": {}}, {"configMap": {"name": "p"}}]}});
        assert_eq!(launch(&command, &mount, &projected).file, Some(entry("p", "config.conf")));
        let sub = json!({"name": "c", "mountPath": "/var/lib/kube-proxy/config.conf", "subPath": "mine.yaml"});
        let volume = json!({"name": "c", "configMap": {"name": "kube-proxy"}});
        assert_eq!(launch(&command, &sub, &volume).file, Some(entry("kube-proxy", "mine.yaml")));
    }

    #[test]
    fn a_file_of_the_node_is_not_in_the_api() {
        let command = json!(["/bin/sh", "-c", "exec kube-proxy --config /etc/kp.yaml --proxy-mode=ipvs"]);
        let mount = json!({"name": "c", "mountPath": "/etc"});
        let found = launch(&command, &mount, &json!({"name": "c", "hostPath": {"path": "/etc"}}));
        assert_eq!(found.file, Some(ConfigFile::Path("/etc/kp.yaml".to_owned())));
        assert_eq!((found.flag("proxy-mode"), found.ignored("proxy-mode")), (None, Some("ipvs")));
    }

    #[test]
    fn flags_count_where_there_is_no_file() {
        let command = json!(["kube-proxy", "--proxy-mode", "ipvs"]);
        let found = launch(&command, &json!({}), &json!({}));
        assert_eq!((found.flag("proxy-mode"), found.ignored("proxy-mode")), (Some("ipvs"), None));
        assert_eq!(Launch::of(&json!({"spec": {"containers": [{"name": "app", "image": "app:v1"}]}})), None);
    }
}
