//! The list of what is linked in, as `CycloneDX`: out of cargo's own resolution for the platform.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::targets::Target;
use crate::run::{Error, cargo};

/// The dependencies of a plugin on a platform.
pub(crate) fn list(plugin: &str, target: Target) -> Result<String, Error> {
    let mut command = cargo(&["metadata", "--format-version", "1", "--locked", "--filter-platform", target.triple]);
    let output = command.output().map_err(|e| Error::Start("cargo metadata".to_owned(), e))?;
    if !output.status.success() {
        return Err(Error::Other(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|e| Error::Other(e.to_string()))?;
    let text = serde_json::to_string_pretty(&bill(&metadata, &format!("kubectl-{plugin}")));
    text.map(|text| text + "\n").map_err(|e| Error::Other(e.to_string()))
}

/// What `root` is built from, by what cargo says of the workspace: without what only tests use.
fn bill(metadata: &Value, root: &str) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let id = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (id(&package["id"]), package)).collect();
    let needs: BTreeMap<String, Vec<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let used = |dep: &&Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
            (id(&node["id"]), list(&node["deps"]).iter().filter(used).map(|dep| id(&dep["pkg"])).collect())
        })
        .collect();
    let first = packages.iter().find(|(_, package)| package["name"] == root).map(|(id, _)| id.clone());
    let mut found = BTreeSet::new();
    let mut next: Vec<String> = first.iter().cloned().collect();
    while let Some(one) = next.pop() {
        if found.insert(one.clone()) {
            next.extend(needs.get(&one).into_iter().flatten().cloned());
        }
    }
    let part = |id: &String| {
        let package = &packages[id];
        let (name, version) = (&package["name"], &package["version"]);
        let reference =
            format!("pkg:cargo/{}@{}", name.as_str().unwrap_or_default(), version.as_str().unwrap_or_default());
        let mut part =
            json!({"type": "library", "bom-ref": reference, "purl": reference, "name": name, "version": version});
        if let Some(licence) = package["license"].as_str() {
            part["licenses"] = json!([{"expression": licence.replace('/', " OR ")}]);
        }
        part
    };
    let main = first.as_ref().map_or(Value::Null, |id| {
        let mut part = part(id);
        part["type"] = "application".into();
        part
    });
    let parts: Vec<Value> = found.iter().filter(|id| Some(*id) != first.as_ref()).map(part).collect();
    json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": main},
        "components": parts})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_use_is_not_in_it() {
        let metadata = json!({
            "packages": [
                {"id": "a 1", "name": "kubectl-a", "version": "1.0.0", "license": "Apache-2.0"},
                {"id": "b 2", "name": "b", "version": "2.0.0", "license": "MIT/Apache-2.0"},
                {"id": "c 3", "name": "c", "version": "3.0.0", "license": null},
                {"id": "t 4", "name": "t", "version": "4.0.0", "license": "MIT"},
            ],
            "resolve": {"nodes": [
                {"id": "a 1", "deps": [
                    {"pkg": "b 2", "dep_kinds": [{"kind": null}]}, {"pkg": "t 4", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "b 2", "deps": [{"pkg": "c 3", "dep_kinds": [{"kind": "build"}]}]},
                {"id": "c 3", "deps": []}, {"id": "t 4", "deps": []},
            ]},
        });
        let bill = bill(&metadata, "kubectl-a");
        let names: Vec<&str> =
            bill["components"].as_array().unwrap().iter().filter_map(|part| part["name"].as_str()).collect();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(bill["metadata"]["component"]["name"], "kubectl-a");
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["components"][1].get("licenses"), None);
    }
}
