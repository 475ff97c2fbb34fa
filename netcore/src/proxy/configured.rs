//! Which mode kube-proxy was told, and where that is written.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Mode, Version,
    facts::{Configuration, Facts},
    launch::{ConfigFile, Launch},
    manage,
};
use crate::kubeproxy::KubeProxyConfig;

/// Where the mode is set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigSource {
    /// `ConfigMap`, `DaemonSet`, `Pod`, `Node`, `File`.
    pub kind: String,
    /// Its namespace; null for a node's.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The entry, flag or annotation: `config.conf`, `--proxy-mode`.
    pub key: String,
}

impl std::fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind.to_lowercase();
        match &self.namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{} {}", self.name, self.key),
            None => write!(f, "{kind} {} {}", self.name, self.key),
        }
    }
}

/// What one kube-proxy was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// The mode; none where the text is none, or the default is not known.
    pub mode: Option<Mode>,
    /// As written; empty for the default.
    pub text: String,
    /// Where.
    pub source: ConfigSource,
    /// The field or line: `data.config.conf line 45: mode`.
    pub place: String,
    /// The whole configuration, where a file is read.
    pub configuration: Option<&'a Configuration>,
    /// How kube-proxy is started, where that is known.
    pub launch: Option<&'a Launch>,
}

impl Told<'_> {
    /// The mode was said, not left to the default.
    pub fn is_explicit(&self) -> bool {
        !self.text.is_empty()
    }

    /// The configuration file.
    pub fn config(&self) -> Option<&KubeProxyConfig> {
        self.configuration.map(|configuration| &configuration.config)
    }
}

/// The mode that an empty one stands for, in this version of kube-proxy.
fn default_mode(version: Option<Version>) -> Option<Mode> {
    // planned to be nftables then
    (version? < Version::new(1, 40)).then_some(Mode::Iptables)
}

fn mode_of(text: &str, version: Option<Version>) -> Option<Mode> {
    if text.is_empty() { default_mode(version.or(Some(Version::new(1, 0)))) } else { text.parse().ok() }
}

/// What the kube-proxy of a node was told; why that is not known.
///
/// # Errors
/// In words, where it is not known.
pub fn of_node<'a>(facts: &'a Facts, node: &str) -> Result<Told<'a>, String> {
    let version = facts.proxy_version(node).and_then(|text| text.parse().ok());
    if let Some(pod) = facts.pod_on(node) {
        let kind = if pod.is_static { "Pod" } else { "DaemonSet" };
        let owner = facts.workloads.iter().find(|workload| {
            workload.namespace == pod.namespace
                && pod.name.strip_prefix(workload.name.as_str()).is_some_and(|rest| rest.matches('-').count() == 1)
        });
        let (kind, name) = owner.map_or((kind, pod.name.as_str()), |owner| ("DaemonSet", owner.name.as_str()));
        let kind = if owner.is_none() { "Pod" } else { kind };
        return of_launch(facts, &pod.launch, (kind, &pod.namespace, name), version);
    }
    if let Some((annotation, words)) = facts.nodes.get(node).and_then(|node| node.node_args.as_ref()) {
        return of_words(node, annotation, words);
    }
    let mut linux = facts.workloads.iter().filter(|workload| !workload.windows);
    match (linux.next(), linux.next()) {
        (Some(one), None) => of_launch(facts, &one.launch, ("DaemonSet", &one.namespace, &one.name), version),
        (Some(_), Some(_)) => Err("several DaemonSets run kube-proxy, and none has a pod here".to_owned()),
        (None, _) => of_cluster(facts),
    }
}

/// What the only configuration says, where nobody is known to read it.
fn of_cluster(facts: &Facts) -> Result<Told<'_>, String> {
    match facts.configurations.as_slice() {
        [one] => Ok(of_configuration(one, None, None)),
        [] => Err("no configuration of kube-proxy was found".to_owned()),
        many => Err(format!("{} configurations of kube-proxy, and nothing that tells which is read", many.len())),
    }
}

fn of_configuration<'a>(
    configuration: &'a Configuration,
    launch: Option<&'a Launch>,
    version: Option<Version>,
) -> Told<'a> {
    let text = configuration.config.mode.clone();
    Told {
        mode: mode_of(&text, version),
        source: ConfigSource {
            kind: "ConfigMap".to_owned(),
            namespace: Some(configuration.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            name: configuration.name.clone(),
            key: configuration.key.clone(),
        },
        place: format!("{} {}: mode", configuration.title, configuration.place),
        text,
        configuration: Some(configuration),
        launch,
    }
}

fn of_launch<'a>(
    facts: &'a Facts,
    launch: &'a Launch,
    (kind, namespace, name): (&str, &str, &str),
    version: Option<Version>,
) -> Result<Told<'a>, String> {
    match &launch.file {
        Some(ConfigFile::Entry { name, key }) => {
            let is = |c: &&Configuration| c.namespace == *namespace && c.name == *name && c.key == *key;
            let found = facts.configurations.iter().find(is);
            let missing = || format!("configmap {namespace}/{name}, entry {key}, was not read");
            found.map(|found| of_configuration(found, Some(launch), version)).ok_or_else(missing)
        }
        Some(ConfigFile::Path(path)) => Err(format!("its file {path} is not in the API")),
        None => {
            let text = launch.flag("proxy-mode").unwrap_or_default().to_owned();
            let field = launch.arguments.get("proxy-mode").map(|argument| argument.field.clone());
            let source = ConfigSource {
                kind: kind.to_owned(),
                namespace: Some(namespace.to_owned()),
                name: name.to_owned(),
                key: "--proxy-mode".to_owned(),
            };
            let place = format!("{source}{}", field.map(|field| format!(" at {field}")).unwrap_or_default());
            Ok(Told { mode: mode_of(&text, version), text, source, place, configuration: None, launch: Some(launch) })
        }
    }
}

/// k3s and RKE2: `--kube-proxy-arg proxy-mode=ipvs`, any number of them.
fn of_words<'a>(node: &str, annotation: &str, words: &[String]) -> Result<Told<'a>, String> {
    const FLAG: &str = "--kube-proxy-arg";
    let mut text = None;
    let mut expected = false;
    for word in words {
        let value = if std::mem::take(&mut expected) {
            Some(word.as_str())
        } else if word == FLAG {
            expected = true;
            None
        } else {
            word.strip_prefix(FLAG).and_then(|rest| rest.strip_prefix('='))
        };
        for argument in value.into_iter().flat_map(|value| value.split(',')) {
            if let Some(mode) = argument.trim_start_matches('-').strip_prefix("proxy-mode=") {
                text = Some(mode.to_owned());
            }
        }
    }
    if words.iter().any(|word| word == "--disable-kube-proxy" || word == "--disable-kube-proxy=true") {
        return Err(format!("kube-proxy is turned off by --disable-kube-proxy in {annotation}"));
    }
    let source =
        ConfigSource { kind: "Node".to_owned(), namespace: None, name: node.to_owned(), key: annotation.to_owned() };
    let place = format!("node {node} {annotation}: {FLAG} proxy-mode");
    let text = text.unwrap_or_default();
    Ok(Told { mode: mode_of(&text, None), text, source, place, configuration: None, launch: None })
}

/// The mode that the whole cluster is configured for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Configured {
    /// The mode; null where nodes are told different ones, or none is known.
    pub mode: Option<Mode>,
    /// The mode was said, not left to the default; null where it is not known.
    pub explicit: Option<bool>,
    /// Where it is set; null where there are several places or none.
    pub source: Option<ConfigSource>,
    /// The field or line there; of several places the first.
    pub place: Option<String>,
    /// The algorithm of ipvs mode, where that is a mode of this cluster and all its nodes agree: `rr`
    /// unless another is set.
    pub scheduler: Option<String>,
    /// The distribution.
    pub distribution: Option<String>,
    /// Whether the mode can be changed through the API to stay.
    pub switchable: bool,
    /// Why, or why not and what is to be changed instead.
    pub why: String,
}

/// The cluster's configured mode.
pub fn of_all(facts: &Facts) -> Configured {
    let linux = facts.nodes.iter().filter(|(_, node)| !node.is_windows()).map(|(name, _)| name.as_str());
    let mut told: Vec<Told<'_>> = Vec::new();
    let mut why = BTreeMap::new();
    for node in linux {
        match of_node(facts, node) {
            Ok(one) => told.push(one),
            Err(reason) => *why.entry(reason).or_insert(0_usize) += 1,
        }
    }
    if facts.nodes.is_empty() {
        let workloads = facts.workloads.iter().filter(|workload| !workload.windows);
        for workload in workloads {
            match of_launch(facts, &workload.launch, ("DaemonSet", &workload.namespace, &workload.name), None) {
                Ok(one) => told.push(one),
                Err(reason) => *why.entry(reason).or_insert(0) += 1,
            }
        }
        if told.is_empty() && facts.workloads.is_empty() {
            match of_cluster(facts) {
                Ok(one) => told.push(one),
                Err(reason) => *why.entry(reason).or_insert(0) += 1,
            }
        }
    }
    let distribution = manage::distribution(facts);
    let (switchable, reason) = manage::switchable(facts, distribution.as_deref(), told.first());
    let modes: BTreeSet<Option<Mode>> = told.iter().map(|told| told.mode).collect();
    let mut sources: Vec<&ConfigSource> = told.iter().map(|told| &told.source).collect();
    sources.sort();
    sources.dedup();
    let schedulers: BTreeSet<String> =
        told.iter().filter(|told| told.mode == Some(Mode::Ipvs)).filter_map(scheduler).collect();
    let first = told.first();
    let why = match (first, why.into_iter().max_by_key(|(_, nodes)| *nodes)) {
        (None, Some((unknown, _))) if facts.replacements.iter().all(|replacement| !replacement.whole) => {
            format!("{unknown}; {reason}")
        }
        _ => reason,
    };
    Configured {
        mode: if modes.len() == 1 { first.and_then(|told| told.mode) } else { None },
        explicit: first.filter(|_| modes.len() == 1).map(Told::is_explicit),
        source: if let [one] = sources.as_slice() { Some((*one).clone()) } else { None },
        place: first.filter(|_| modes.len() == 1).map(|told| match sources.len() {
            1 => told.place.clone(),
            n => format!("{} and {} more", told.place, n - 1),
        }),
        scheduler: schedulers.first().filter(|_| schedulers.len() == 1).cloned(),
        distribution,
        switchable,
        why,
    }
}

/// The algorithm that a configuration asks for.
fn scheduler(told: &Told<'_>) -> Option<String> {
    let named = match told.config() {
        Some(config) => config.scheduler.clone(),
        None => told.launch?.flag("ipvs-scheduler").unwrap_or_default().to_owned(),
    };
    Some(if named.is_empty() { "rr".to_owned() } else { named })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::{resources, wire};

    fn node(name: &str, annotations: &Value) -> wire::Node {
        serde_json::from_value(json!({"metadata": {"name": name, "annotations": annotations}})).unwrap()
    }

    fn daemonset(command: &Value, map: &str) -> Value {
        json!({"metadata": {"namespace": "kube-system", "name": "kube-proxy"}, "spec": {"template": {"spec": {
            "containers": [{"name": "kube-proxy", "image": "x/kube-proxy:v1.36.3", "command": command,
                "volumeMounts": [{"name": "c", "mountPath": "/var/lib/kube-proxy"}]}],
            "volumes": [{"name": "c", "configMap": {"name": map}}]}}}})
    }

    fn config_map(name: &str, key: &str, mode: &str) -> Value {
        json!({"metadata": {"namespace": "kube-system", "name": name},
            "data": {key: format!("kind: KubeProxyConfiguration\nmode: {mode}\n")}})
    }

    fn facts(command: &Value, mode: &str) -> Facts {
        let mut facts = Facts::default();
        facts.take_node(&node("n1", &json!({})));
        facts.take_object(&resources::DAEMONSETS, &daemonset(command, "kube-proxy"));
        facts.take_object(&resources::CONFIGMAPS, &config_map("kube-proxy", "config.conf", mode));
        facts
    }

    #[test]
    fn a_file_beats_flags_and_flags_count_without_one() {
        let both = json!(["kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--proxy-mode=nftables"]);
        let configured = of_all(&facts(&both, "ipvs"));
        assert_eq!((configured.mode, configured.explicit), (Some(Mode::Ipvs), Some(true)));
        assert_eq!(configured.source.unwrap().to_string(), "configmap kube-system/kube-proxy config.conf");
        assert_eq!(configured.scheduler.as_deref(), Some("rr"));
        let flags = of_all(&facts(&json!(["kube-proxy", "--proxy-mode=nftables"]), "ipvs"));
        assert_eq!(flags.mode, Some(Mode::Nftables));
        assert_eq!(flags.source.unwrap().key, "--proxy-mode");
    }

    #[test]
    fn an_empty_mode_is_the_default_and_not_explicit() {
        let file = json!(["kube-proxy", "--config=/var/lib/kube-proxy/config.conf"]);
        let configured = of_all(&facts(&file, "\"\""));
        assert_eq!((configured.mode, configured.explicit), (Some(Mode::Iptables), Some(false)));
        let wrong = of_all(&facts(&file, "IPVS"));
        assert_eq!(wrong.mode, None, "kube-proxy refuses it");
    }

    #[test]
    fn k3s_says_it_in_an_annotation() {
        for (words, mode, explicit) in [
            (
                r#"["server","--kube-proxy-arg","proxy-mode=ipvs","--kube-proxy-arg","ipvs-scheduler=lc"]"#,
                Mode::Ipvs,
                true,
            ),
            (r#"["agent","--kube-proxy-arg=proxy-mode=nftables"]"#, Mode::Nftables, true),
            (r#"["server"]"#, Mode::Iptables, false),
        ] {
            let mut facts = Facts::default();
            facts.take_node(&node("n1", &json!({"k3s.io/node-args": words})));
            let configured = of_all(&facts);
            assert_eq!((configured.mode, configured.explicit), (Some(mode), Some(explicit)), "{words}");
            assert!(!configured.switchable);
        }
        let mut off = Facts::default();
        off.take_node(&node("n1", &json!({"k3s.io/node-args": r#"["server","--disable-kube-proxy"]"#})));
        assert!(of_all(&off).why.contains("--disable-kube-proxy"), "{:?}", of_all(&off));
    }

    #[test]
    fn a_config_map_alone_is_read_as_far_as_it_goes() {
        let mut facts = Facts::default();
        facts.take_object(&resources::CONFIGMAPS, &config_map("kube-proxy", "config.conf", "ipvs"));
        assert_eq!(of_all(&facts).mode, Some(Mode::Ipvs));
        assert_eq!(of_all(&Facts::default()).mode, None);
    }
}
