//! Takes secrets out of text that is otherwise worth keeping: values of flags, fields and variables
//! whose name says that they are secret, private keys, and user names in URLs. Lines keep their
//! number, for facts are quoted with it.

use std::borrow::Cow;

use serde_json::Value;

/// What stands where a secret was.
pub(super) const REMOVED: &str = "(removed)";

const SECRET: [&str; 6] = ["token", "password", "passwd", "secret", "credential", "apikey"];

/// Whether a name promises a secret: `--etcd-password`, `client-key-data`, `bootstrapTokens`.
pub(super) fn is_secret(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part)) || (name.contains("key") && name != "key" && name != "keys")
}

/// The same for a field of an object, where `key` is often only half a label's name.
fn is_secret_field(name: &str) -> bool {
    is_secret(name) && !matches!(name, "topologyKey" | "matchLabelKeys" | "mismatchLabelKeys" | "publicKey")
}

/// Masks every text in a value.
pub(super) fn value(value: &mut Value) {
    match value {
        Value::String(held) => {
            if let Cow::Owned(masked) = text(held) {
                *held = masked;
            }
        }
        Value::Array(elements) => array(elements),
        Value::Object(fields) => {
            for (name, held) in fields.iter_mut() {
                if is_secret_field(name) && !held.is_null() && !held.is_boolean() {
                    *held = Value::String(REMOVED.to_owned());
                } else {
                    self::value(held);
                }
            }
            mask_pair(fields);
        }
        _ => {}
    }
}

/// `{"name": "token", "value": …}`: variables and flags as pairs.
fn mask_pair(fields: &mut serde_json::Map<String, Value>) {
    let secret = fields.get("name").and_then(Value::as_str).is_some_and(is_secret);
    if let Some(held) = fields.get_mut("value").filter(|_| secret) {
        *held = Value::String(REMOVED.to_owned());
    }
}

/// Elements, of which a flag without a value makes the next one its value.
fn array(elements: &mut [Value]) {
    let mut follows = false;
    for element in elements {
        let is_value = std::mem::take(&mut follows);
        if let Value::String(word) = &*element {
            if is_value && !word.starts_with('-') {
                *element = Value::String(REMOVED.to_owned());
                continue;
            }
            follows = word.starts_with('-') && !word.contains(['=', ' ', '\n']) && is_secret(word);
        }
        value(element);
    }
}

/// A text of any form: JSON, YAML, `name=value` lines, a command.
pub(super) fn text(held: &str) -> Cow<'_, str> {
    if !suspicious(held) {
        return Cow::Borrowed(held);
    }
    if held.trim_start().starts_with(['{', '['])
        && let Ok(mut document) = serde_json::from_str::<Value>(held)
    {
        let before = document.clone();
        value(&mut document);
        return if document == before { Cow::Borrowed(held) } else { Cow::Owned(document.to_string()) };
    }
    Cow::Owned(lines(held))
}

/// Whether a text has anything in it that could have to go.
fn suspicious(held: &str) -> bool {
    let lower = held.to_ascii_lowercase();
    let plain: String = lower.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    lower.contains("://") || plain.contains("key") || SECRET.iter().any(|part| plain.contains(part))
}

/// What the lines after a secret's own belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    /// A private key in PEM.
    Pem,
    /// The value of a field at this indentation.
    Field(usize),
    /// The `value:` of a pair whose `name:` is secret.
    Pair,
}

fn lines(held: &str) -> String {
    let mut after = After::Nothing;
    let mut masked: Vec<String> = Vec::new();
    for line in held.split('\n') {
        let indent = line.len() - line.trim_start().len();
        let blank = || format!("{}{REMOVED}", &line[..indent]);
        match after {
            After::Pem => {
                if line.contains("-----END") {
                    after = After::Nothing;
                }
                masked.push(blank());
                continue;
            }
            After::Field(field) if line.trim().is_empty() => {
                after = After::Field(field);
                masked.push(line.to_owned());
                continue;
            }
            After::Field(field) if indent > field || (indent == field && line.trim_start().starts_with("- ")) => {
                masked.push(blank());
                continue;
            }
            _ => {}
        }
        if line.contains("PRIVATE KEY-----") {
            after = if line.contains("-----END") { After::Nothing } else { After::Pem };
            masked.push(blank());
            continue;
        }
        let (line, next) = one_line(line, indent, after == After::Pair);
        after = next;
        masked.push(line);
    }
    masked.join("\n")
}

/// A line that is no part of a longer secret, and what follows it.
fn one_line(line: &str, indent: usize, in_pair: bool) -> (String, After) {
    if let Some(Field { name, head, value, tail }) = Field::of(line) {
        if in_pair && name == "value" || is_secret(name) {
            let nested = value.is_empty() || value.starts_with(['|', '>']);
            let own = indent + (line.trim_start().len() - line.trim_start().trim_start_matches("- ").len());
            if nested {
                return (line.to_owned(), After::Field(own));
            }
            let quote = if value.starts_with('"') { "\"" } else { "" };
            return (format!("{head}{quote}{REMOVED}{quote}{tail}"), After::Nothing);
        }
        if name == "name" && is_secret(value.trim_matches(['"', '\''])) {
            return (line.to_owned(), After::Pair);
        }
    }
    (words(line), After::Nothing)
}

/// `name: value`, `name=value`, `--name=value`, `"name": value,`, as an element of a list or not.
struct Field<'a> {
    name: &'a str,
    /// Everything up to the value.
    head: &'a str,
    value: &'a str,
    /// A comma.
    tail: &'a str,
}

impl<'a> Field<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let separator = line.find([':', '='])?;
        let name = line.get(..separator)?.trim().trim_start_matches("- ").trim_matches(['"', '\'', '-', ' ', '#']);
        let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        let rest = line.get(separator + 1..)?;
        let value = rest.trim().trim_end_matches(',');
        let start = separator + 1 + (rest.len() - rest.trim_start().len());
        let tail = if rest.trim_end().ends_with(',') { "," } else { "" };
        named.then_some(Self { name, head: line.get(..start)?, value, tail })
    }
}

/// A line of free text: flags in a command, URLs.
fn words(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut follows = false;
    for piece in line.split_inclusive([' ', '\t']) {
        let word = piece.trim_end_matches([' ', '\t']);
        let blank = piece.get(word.len()..).unwrap_or_default();
        let is_value = follows && !word.is_empty() && !word.starts_with('-');
        follows =
            if word.is_empty() { follows } else { word.starts_with('-') && !word.contains('=') && is_secret(word) };
        match word.split_once('=') {
            _ if is_value => masked.push_str(REMOVED),
            Some((name, _)) if is_secret(name) => masked.extend([name, "=", REMOVED]),
            _ => masked.push_str(&without_user(word)),
        }
        masked.push_str(blank);
    }
    masked
}

/// `https://user:password@host` without the user.
fn without_user(word: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = word.split_once("://") else { return Cow::Borrowed(word) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://{REMOVED}{}", rest.get(at..).unwrap_or_default())),
        None => Cow::Borrowed(word),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_go_and_lines_stay() {
        let held = "apiVersion: kubeadm.k8s.io/v1beta4
networking:
  podSubnet: 10.244.0.0/16
certificateKey: PLANTED1
bootstrapTokens:
- token: PLANTED2
  ttl: PLANTED3
apiServer:
  extraArgs:
  - name: oidc-client-secret
    value: PLANTED4
  - name: service-cluster-ip-range
    value: 10.96.0.0/12
  - name: x
    value: --etcd-password PLANTED5 --v=2
  proxy: http://me:PLANTED6@proxy:3128/x
  pem: |
    -----BEGIN RSA PRIVATE KEY-----
    PLANTED7
    -----END RSA PRIVATE KEY-----
  secretStuff:
    a:
      - PLANTED8

    b: PLANTED9
kubernetesVersion: v1.36.0
";
        let masked = text(held);
        assert!(!masked.contains("PLANTED"), "{masked}");
        assert_eq!(masked.lines().count(), held.lines().count());
        for (old, new) in held.lines().zip(masked.lines()) {
            assert!(old == new || new.contains(REMOVED), "{old} | {new}");
        }
        for kept in
            ["  podSubnet: 10.244.0.0/16", "    value: 10.96.0.0/12", "kubernetesVersion: v1.36.0", "@proxy:3128/x"]
        {
            assert!(masked.contains(kept), "{kept}\n{masked}");
        }
    }

    #[test]
    fn json_stays_json() {
        let held = r#"{"a": "10.0.0.0/8", "b": {"etcdPassword": "PLANTED", "list": ["--token", "PLANTED", "x"]}}"#;
        let masked = text(held);
        assert!(!masked.contains("PLANTED"));
        assert_eq!(serde_json::from_str::<Value>(&masked).unwrap()["b"]["list"][2], "x");
        let broken = "{\"a\": 1,\n \"clientSecret\": \"PLANTED\",\n \"b\": ";
        assert_eq!(text(broken), "{\"a\": 1,\n \"clientSecret\": \"(removed)\",\n \"b\": ");
    }

    #[test]
    fn what_is_harmless_is_not_touched() {
        for held in [
            "clusterCIDR: 10.0.0.0/8\n",
            "server: https://10.0.0.1:6443\n",
            r#"{"key": "kubernetes.io/os", "operator": "In", "u": "https://x"}"#,
            "- key: node-role.kubernetes.io/control-plane\n",
            "--service-cluster-ip-range=10.96.0.0/12",
        ] {
            assert_eq!(text(held), held);
        }
    }

    #[test]
    fn flags_are_masked_in_every_spelling() {
        let mut args = json!(["--token=PLANTED", "--token", "PLANTED", "-v", "2", "sh -c 'x --etcd-keyfile=PLANTED --a=1'",
            "--tls-private-key-file", "PLANTED", "SECRET_KEY=PLANTED run", {"name": "MY_TOKEN", "value": "PLANTED"}]);
        value(&mut args);
        let masked = args.to_string();
        assert!(!masked.contains("PLANTED"), "{masked}");
        assert!(masked.contains("--a=1") && masked.contains("\"2\""), "{masked}");
    }
}
