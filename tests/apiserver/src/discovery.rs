//! What the server has: groups, versions, kinds.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    kinds::Kind,
    reply::{self, Reply},
};

/// How the server answers a client that asks for all groups at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// With all groups at once (1.27 and later).
    Aggregated,
    /// With the plain list, as if it had not been asked.
    Plain,
    /// With 406, even where the plain list is accepted too.
    NotAcceptable,
}

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/api` (`core`) or `/apis`.
pub(crate) fn root(kinds: &[&Kind], core: bool, mode: Discovery, accept: &str, address: &str) -> Reply {
    if accept.contains("as=APIGroupDiscoveryList") {
        match mode {
            Discovery::Aggregated if accept.contains("v=v2;") => {
                let body = serde_json::to_vec_pretty(&aggregated(kinds, core)).expect("JSON of JSON");
                return reply::whole(StatusCode::OK, AGGREGATED, body);
            }
            Discovery::NotAcceptable => {
                return reply::failure(
                    406,
                    "NotAcceptable",
                    "only the following media types are accepted: application/json, application/yaml, \
                     application/vnd.kubernetes.protobuf",
                    None,
                );
            }
            _ => {}
        }
    }
    if core {
        return reply::json(
            StatusCode::OK,
            &json!({"kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]}),
        );
    }
    let groups: Vec<Value> = groups(kinds, false).iter().map(|group| describe(kinds, group)).collect();
    reply::json(StatusCode::OK, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

/// `/apis/GROUP`.
pub(crate) fn group(kinds: &[&Kind], group: &str) -> Option<Reply> {
    let mut value = kinds.iter().any(|kind| kind.group == group).then(|| describe(kinds, group))?;
    value["kind"] = json!("APIGroup");
    value["apiVersion"] = json!("v1");
    Some(reply::json(StatusCode::OK, &value))
}

/// `/api/v1`, `/apis/GROUP/VERSION`.
pub(crate) fn version(kinds: &[&Kind], group: &str, version: &str) -> Option<Reply> {
    let resources: Vec<Value> = kinds
        .iter()
        .filter(|kind| (kind.group.as_str(), kind.version.as_str()) == (group, version))
        .map(|kind| {
            let mut resource = json!({"name": kind.plural, "singularName": kind.kind.to_lowercase(),
                "namespaced": kind.namespaced, "kind": kind.kind, "verbs": VERBS});
            if !kind.short.is_empty() {
                resource["shortNames"] = json!([kind.short]);
            }
            resource
        })
        .collect();
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!resources.is_empty()).then(|| {
        let list = json!({"kind": "APIResourceList", "groupVersion": name, "resources": resources});
        reply::json(StatusCode::OK, &list)
    })
}

fn groups<'a>(kinds: &[&'a Kind], core: bool) -> Vec<&'a str> {
    let mut groups = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.group.is_empty() == core) {
        if !groups.contains(&kind.group.as_str()) {
            groups.push(&kind.group);
        }
    }
    groups
}

fn versions<'a>(kinds: &[&'a Kind], group: &str) -> Vec<&'a str> {
    let mut versions = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.group == group) {
        if !versions.contains(&kind.version.as_str()) {
            versions.push(&kind.version);
        }
    }
    versions
}

fn describe(kinds: &[&Kind], group: &str) -> Value {
    let versions: Vec<Value> = versions(kinds, group)
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "preferredVersion": versions.first(), "versions": versions})
}

fn aggregated(kinds: &[&Kind], core: bool) -> Value {
    let items: Vec<Value> = groups(kinds, core)
        .iter()
        .map(|group| {
            let versions: Vec<Value> = versions(kinds, group)
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = kinds
                        .iter()
                        .filter(|kind| kind.group == **group && kind.version == **version)
                        .map(|kind| aggregated_resource(kind))
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resource(kind: &Kind) -> Value {
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.kind.to_lowercase(),
        "verbs": VERBS,
    });
    if !kind.short.is_empty() {
        resource["shortNames"] = json!([kind.short]);
    }
    resource
}
