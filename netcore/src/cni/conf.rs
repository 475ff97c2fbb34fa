//! The CNI configuration files of a node, and which of them the container runtime takes.

use serde_json::{Value, json};

use crate::{
    problem::Problem,
    text::{self, scalar},
};

/// A plugin of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugin {
    /// The program's name: `calico`, `flannel`, `portmap`.
    pub kind: String,
    /// The program that hands out addresses: `calico-ipam`, `host-local`; none where it has none.
    pub ipam: Option<String>,
    /// The MTU, where it sets one.
    pub mtu: Option<u32>,
    /// Ranges that its IPAM names itself (`host-local`), as written.
    pub subnets: Vec<String>,
    /// Plugins inside it: flannel's and multus' `delegate`, `delegates`.
    pub delegates: Vec<String>,
}

/// A configuration: one plugin, or a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// The network's name.
    pub name: String,
    /// The version of the specification; empty where not written.
    pub version: String,
    /// The plugins, in the order in which they run.
    pub plugins: Vec<Plugin>,
    /// Whether it is a list (`.conflist`).
    pub list: bool,
}

/// A file of `/etc/cni/net.d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfFile {
    /// The file's name, without its folder.
    pub name: String,
    /// What it holds, or why that is no configuration.
    pub conf: Result<Conf, Problem>,
    /// The line of the input at which it begins, from 1.
    pub line: usize,
}

/// The container runtime, which reads the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Takes the first file; where that one is broken, the node has no network.
    Containerd,
    /// Passes broken files over.
    CriO,
}

/// What the runtime makes of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// It takes this one.
    File(&'a ConfFile),
    /// It stops at this one, which is broken.
    Broken(&'a ConfFile),
    /// No file is one that it reads.
    None,
}

/// Whether a runtime looks at a file of that name at all.
pub fn is_conf_name(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(extension, "conf" | "conflist" | "json")
}

/// The file that a runtime takes: the first in byte order (`100-x` before `20-x`) of those with the
/// extension `.conf`, `.conflist` or `.json`.
pub fn choose(files: &[ConfFile], runtime: Runtime) -> Choice<'_> {
    let mut known: Vec<&ConfFile> = files.iter().filter(|file| is_conf_name(&file.name)).collect();
    known.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let valid = |file: &&ConfFile| file.conf.is_ok();
    match runtime {
        Runtime::Containerd => match known.first() {
            Some(file) if valid(file) => Choice::File(file),
            Some(file) => Choice::Broken(file),
            None => Choice::None,
        },
        Runtime::CriO => known.into_iter().find(valid).map_or(Choice::None, Choice::File),
    }
}

/// Reads one configuration.
pub fn parse(text: &str) -> Result<Conf, Problem> {
    let value = text::json(text)?;
    let bad = |reason: &str| Problem::of_line(1, "", reason);
    if !value.is_object() {
        return Err(bad("not a CNI configuration: an object with `type` or `plugins`"));
    }
    let list = value.get("plugins").is_some();
    let plugins: Vec<Plugin> = match value.get("plugins") {
        Some(Value::Array(plugins)) => plugins.iter().map(plugin).collect(),
        Some(_) => return Err(bad("`plugins` is not a list")),
        None => vec![plugin(&value)],
    };
    if plugins.is_empty() {
        return Err(bad("`plugins` is empty"));
    }
    if plugins.iter().any(|plugin| plugin.kind.is_empty()) {
        return Err(bad("a plugin without `type`"));
    }
    Ok(Conf { name: scalar(value.get("name")), version: scalar(value.get("cniVersion")), plugins, list })
}

impl std::fmt::Display for Conf {
    /// As a file: what is kept of it, and nothing of the plugins' other settings.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut plugins: Vec<Value> = self.plugins.iter().map(Plugin::to_json).collect();
        let mut whole = match (self.list, plugins.pop()) {
            (false, Some(plugin)) => plugin,
            (_, last) => {
                plugins.extend(last);
                json!({ "plugins": plugins })
            }
        };
        for (name, text) in [("name", &self.name), ("cniVersion", &self.version)] {
            if let (Some(fields), false) = (whole.as_object_mut(), text.is_empty()) {
                fields.insert(name.to_owned(), Value::from(text.as_str()));
            }
        }
        write!(f, "{whole:#}")
    }
}

impl Plugin {
    fn to_json(&self) -> Value {
        let ranges: Vec<Value> = self.subnets.iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
        let delegates: Vec<Value> = self.delegates.iter().map(|kind| json!({ "type": kind })).collect();
        let mut fields = serde_json::Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("type", Value::from(self.kind.as_str()));
        if let Some(mtu) = self.mtu {
            put("mtu", Value::from(mtu));
        }
        match (&self.ipam, ranges.is_empty()) {
            (None, true) => {}
            (Some(ipam), true) => _ = put("ipam", json!({ "type": ipam })),
            (ipam, false) => _ = put("ipam", json!({ "type": ipam, "ranges": ranges })),
        }
        if !delegates.is_empty() {
            put("delegates", Value::Array(delegates));
        }
        Value::Object(fields)
    }
}

fn plugin(value: &Value) -> Plugin {
    let ipam = value.get("ipam");
    let text = |value: Option<&Value>| Some(scalar(value)).filter(|text| !text.is_empty());
    let mut subnets: Vec<String> = text(ipam.and_then(|ipam| ipam.get("subnet"))).into_iter().collect();
    let ranges = ipam.and_then(|ipam| ipam.get("ranges")).and_then(Value::as_array).into_iter().flatten();
    let ranges = ranges.flat_map(|range| range.as_array().into_iter().flatten());
    subnets.extend(ranges.filter_map(|range| text(range.get("subnet"))));
    let one = value.get("delegate").filter(|delegate| delegate.is_object()).into_iter();
    let many = value.get("delegates").and_then(Value::as_array).into_iter().flatten();
    let kind_of = |delegate: &Value| text(delegate.get("type")).or_else(|| text(delegate.get("name")));
    Plugin {
        kind: scalar(value.get("type")),
        ipam: text(ipam.and_then(|ipam| ipam.get("type"))),
        mtu: scalar(value.get("mtu")).parse().ok(),
        subnets,
        delegates: one.chain(many).filter_map(kind_of).collect(),
    }
}

/// Reads the files of a folder out of one text: `==> NAME <==` before each (as `head` and `tail` print
/// them), a path on a line of its own, or a JSON object of name to content. A text that is one
/// configuration is the file `name`.
pub fn parse_files(text: &str, name: &str) -> Vec<ConfFile> {
    if let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(text)
        && !fields.is_empty()
        && fields.keys().all(|key| is_conf_name(key))
    {
        let content = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let file = |(key, value): (&String, &Value)| ConfFile {
            name: base(key).to_owned(),
            conf: parse(&content(value)),
            line: 1,
        };
        return fields.iter().map(file).collect();
    }
    let mut files = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    let close = |open: Option<(String, usize, String)>, files: &mut Vec<ConfFile>| {
        if let Some((name, line, content)) = open.filter(|(.., content)| !content.trim().is_empty()) {
            let conf = parse(content.trim_end()).map_err(|error| Problem { line: error.line + line - 1, ..error });
            files.push(ConfFile { name, conf, line });
        }
    };
    for (line, content) in (1..).zip(text.lines()) {
        if let Some(name) = header(content) {
            close(open.take(), &mut files);
            open = Some((name.to_owned(), line + 1, String::new()));
        } else {
            let (.., text) = open.get_or_insert_with(|| (base(name).to_owned(), line, String::new()));
            text.push_str(content);
            text.push('\n');
        }
    }
    close(open, &mut files);
    files
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `==> /etc/cni/net.d/10-calico.conflist <==`, `# /etc/cni/net.d/10-x.conf`, or the path alone.
fn header(line: &str) -> Option<&str> {
    let line = line.trim();
    let inside = line.strip_prefix("==>").and_then(|rest| rest.strip_suffix("<=="));
    let path = inside.or_else(|| line.strip_prefix('#')).unwrap_or(line).trim().trim_end_matches(':');
    let plain = !path.contains(['"', '{', '}', '[', ']', ',', ' ']);
    (plain && (inside.is_some() || is_conf_name(path))).then(|| base(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALICO: &str = r#"{"name": "k8s-pod-network", "cniVersion": "0.3.1", "plugins": [
        {"type": "calico", "mtu": 1440, "ipam": {"type": "calico-ipam"}},
        {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}]}"#;
    const BRIDGE: &str = r#"{"cniVersion":"0.4.0","name":"b","type":"bridge","ipam":{"type":"host-local",
        "ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]]}}"#;

    #[test]
    fn a_chain_and_a_single_plugin() {
        let conf = parse(CALICO).unwrap();
        let kinds: Vec<&str> = conf.plugins.iter().map(|plugin| plugin.kind.as_str()).collect();
        assert_eq!(
            (conf.list, conf.name.as_str(), kinds.as_slice()),
            (true, "k8s-pod-network", ["calico", "portmap"].as_slice())
        );
        assert_eq!((conf.plugins[0].ipam.as_deref(), conf.plugins[0].mtu), (Some("calico-ipam"), Some(1440)));
        let conf = parse(BRIDGE).unwrap();
        assert!(!conf.list);
        assert_eq!(conf.plugins[0].subnets, ["10.1.0.0/24", "fd00::/64"]);
        let flannel =
            r#"{"name":"cbr0","plugins":[{"type":"flannel","delegate":{"hairpinMode":true,"type":"bridge"}}]}"#;
        assert_eq!(parse(flannel).unwrap().plugins[0].delegates, ["bridge"]);
    }

    #[test]
    fn the_first_in_byte_order_is_taken() {
        let text = format!(
            "==> /etc/cni/net.d/20-bridge.conf <==\n{BRIDGE}\n==> /etc/cni/net.d/100-calico.conflist <==\n{CALICO}\n\
             ==> /etc/cni/net.d/00-old.conflist.bak <==\n{{}}\n==> /etc/cni/net.d/calico-kubeconfig.yaml <==\nx\n"
        );
        let files = parse_files(&text, "x");
        let Choice::File(chosen) = choose(&files, Runtime::Containerd) else { panic!("{files:?}") };
        assert_eq!(chosen.name, "100-calico.conflist");
        assert_eq!(choose(&[], Runtime::CriO), Choice::None);
    }

    #[test]
    fn a_broken_first_file_stops_one_runtime_and_not_the_other() {
        let text = format!("==> 05-x.conf <==\n{{\n\"type\": \n==> 10-calico.conflist <==\n{CALICO}\n");
        let files = parse_files(&text, "x");
        let Choice::Broken(broken) = choose(&files, Runtime::Containerd) else { panic!("{files:?}") };
        assert_eq!((broken.name.as_str(), broken.conf.as_ref().unwrap_err().line), ("05-x.conf", 3));
        let Choice::File(chosen) = choose(&files, Runtime::CriO) else { panic!("{files:?}") };
        assert_eq!(chosen.name, "10-calico.conflist");
    }

    #[test]
    fn an_object_of_files_and_a_file_alone() {
        let object = serde_json::json!({ "10-calico.conflist": CALICO, "20-b.conf": BRIDGE }).to_string();
        assert_eq!(parse_files(&object, "cni-conf.json").len(), 2);
        let alone = parse_files(CALICO, "nodes/n1/10-calico.conflist");
        assert_eq!((alone.len(), alone[0].name.as_str()), (1, "10-calico.conflist"));
        assert!(parse("[]").is_err() && parse(r#"{"name":"x"}"#).is_err() && parse(r#"{"plugins":[]}"#).is_err());
        assert!(parse_files("", "x").is_empty());
    }
}
