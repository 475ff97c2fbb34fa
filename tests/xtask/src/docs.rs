//! Documents that are made from the code, so that they cannot disagree with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use netcore::{
    cluster::ReadStatus,
    cni::{self, bgp::BgpReport, files::CniConfReport, report::CniReport},
    compare::CniCompareReport,
    finding::FindingDoc,
    packet::report::PacketTrace,
    proxy::{
        self, cleanup::CleanupPlan, kernel::ProxyServiceList, preflight::PreflightReport, report::ProxyModeReport,
        schedulers::SchedulerList, verify::ProxyVerifyReport,
    },
    ranges::{
        Facts, Want, checks,
        free::FreeRangeList,
        map::AddressMap,
        nodes::NodeCidrList,
        plan::{self, Plan},
        report::{AddressList, CidrReport},
        sources,
    },
    report::{API_VERSION, Report},
    rules::RuleList,
};
use plugin::{from::recording::Recording, since::Changes};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

use crate::run::{Error, root, say};

/// Writes the documents, or with `check` only compares them.
pub(crate) fn docs(check: bool) -> Result<(), Error> {
    let mut stale = Vec::new();
    for (path, text) in documents()? {
        let file = root().join("docs").join(&path);
        if fs::read_to_string(&file).is_ok_and(|now| now == text) {
            continue;
        }
        if check {
            stale.push(path.display().to_string());
            continue;
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::File(folder.to_path_buf(), e))?;
        }
        fs::write(&file, text).map_err(|e| Error::File(file.clone(), e))?;
        say(&format!("wrote docs/{}", path.display()));
    }
    if stale.is_empty() {
        Ok(())
    } else {
        Err(Error::Other(format!("docs/{} not in step with the code; run `cargo xtask docs`", stale.join(", docs/"))))
    }
}

fn documents() -> Result<Vec<(PathBuf, String)>, Error> {
    let cidr = checks::ALL.iter().copied().flatten().map(|check| &check.doc);
    let cidr: Vec<&FindingDoc> = cidr.chain(plan::DOCS).collect();
    let proxy = proxy::checks::ALL.iter().copied().flatten().map(|check| &check.doc);
    let before = proxy::preflight::ALL.iter().copied().flatten().map(|check| &check.doc);
    let proxy: Vec<&FindingDoc> = proxy.chain(before).chain(proxy::verify::DOCS).collect();
    let network = cni::checks::ALL.iter().copied().flatten().map(|check| &check.doc);
    let network: Vec<&FindingDoc> = network.chain(cni::checks::bgp::ALL.iter().map(|check| &check.doc)).collect();
    let plugins = [("kubectl netcidr", cidr), ("kubectl proxymode", proxy), ("kubectl cni", network)];
    Ok(vec![
        ("findings.md".into(), findings(&plugins)),
        ("rbac/cni.yaml".into(), CNI.to_owned()),
        ("rbac/proxymode.yaml".into(), PROXYMODE.to_owned()),
        ("rbac/proxymode-switch.yaml".into(), PROXYMODE_SWITCH.to_owned()),
        ("rbac/netcidr.yaml".into(), netcidr_role()),
        ("rbac/nodes-exec.yaml".into(), NODES_EXEC.to_owned()),
        ("rbac/nodes-debug.yaml".into(), NODES_DEBUG.to_owned()),
        kind::<AddressList>("AddressList")?,
        kind::<AddressMap>("AddressMap")?,
        kind::<BgpReport>("BgpReport")?,
        kind::<CidrReport>("CidrReport")?,
        kind::<CleanupPlan>("CleanupPlan")?,
        kind::<CniCompareReport>("CniCompareReport")?,
        kind::<CniConfReport>("CniConfReport")?,
        kind::<CniReport>("CniReport")?,
        kind::<FreeRangeList>("FreeRangeList")?,
        kind::<NodeCidrList>("NodeCidrList")?,
        kind::<PacketTrace>("PacketTrace")?,
        kind::<Plan>("Plan")?,
        kind::<PreflightReport>("PreflightReport")?,
        kind::<ProxyModeReport>("ProxyModeReport")?,
        kind::<ProxyServiceList>("ProxyServiceList")?,
        kind::<ProxyVerifyReport>("ProxyVerifyReport")?,
        kind::<RuleList>("RuleList")?,
        kind::<SchedulerList>("SchedulerList")?,
        document("recording", &schema::<Recording>())?,
    ])
}

/// What `kubectl proxymode` reads of the API.
const PROXYMODE: &str = "\
# What `kubectl proxymode` reads of the API, beside kubectl-net-nodes-exec (nodes-exec.yaml) for the nodes
# themselves. It works with less: what may not be read is listed as unreadable. ConfigMaps are read one by
# one, by the names that kube-proxy's pods mount; pods/log only of pods of kube-proxy that do not answer.
#
# Written by `cargo xtask docs`.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: kubectl-proxymode
rules:
  - apiGroups: [\"\"]
    resources: [nodes, pods, services]
    verbs: [list]
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [list]
  - apiGroups: [\"\"]
    resources: [configmaps, namespaces, pods/log]
    verbs: [get]
  - apiGroups: [apps]
    resources: [daemonsets]
    verbs: [list]
  - apiGroups: [crd.projectcalico.org]
    resources: [felixconfigurations]
    verbs: [list]
  - apiGroups: [operator.tigera.io]
    resources: [installations]
    verbs: [list]
  - apiGroups: [operator.openshift.io]
    resources: [networks]
    verbs: [list]
  - nonResourceURLs: [/apis, /version]
    verbs: [get]
";

/// What `kubectl cni` reads of the API.
const CNI: &str = "\
# What `kubectl cni` reads of the API, beside kubectl-net-nodes-exec (nodes-exec.yaml) for the nodes
# themselves. It works with less: what may not be read is listed as unreadable. ConfigMaps are read one by
# one, by the names that the network plugins' pods mount. Roles and bindings are looked through for what is
# left of PodSecurityPolicy, those of namespaces only where a network plugin's agent lives.
#
# Written by `cargo xtask docs`.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: kubectl-cni
rules:
  - apiGroups: [\"\"]
    resources: [namespaces, nodes, pods, services]
    verbs: [list]
  - apiGroups: [\"\"]
    resources: [configmaps, namespaces]
    verbs: [get]
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [list]
  - apiGroups: [networking.k8s.io]
    resources: [networkpolicies]
    verbs: [list]
  - apiGroups: [apps]
    resources: [daemonsets, deployments]
    verbs: [list]
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [clusterrolebindings, clusterroles, rolebindings, roles]
    verbs: [list]
  - apiGroups: [policy]
    resources: [podsecuritypolicies]
    verbs: [list]
  - apiGroups: [crd.projectcalico.org, projectcalico.org]
    resources: [bgpconfigurations, bgppeers, blockaffinities, caliconodestatuses, clusterinformations, felixconfigurations,
                globalnetworkpolicies, ippools, networkpolicies]
    verbs: [list]
  - apiGroups: [operator.tigera.io]
    resources: [installations]
    verbs: [list]
  - apiGroups: [config.openshift.io, operator.openshift.io]
    resources: [networks]
    verbs: [list]
  - nonResourceURLs: [/apis, /version]
    verbs: [get]
";

/// What `kubectl proxymode --set` and `rollback` write.
const PROXYMODE_SWITCH: &str = "\
# What `kubectl proxymode --set` and `rollback` need in the namespace of kube-proxy's DaemonSet, beside
# kubectl-proxymode (proxymode.yaml) and kubectl-net-nodes-exec (nodes-exec.yaml), which read: the ConfigMap
# is patched and the backup made beside it, pods of kube-proxy are deleted one by one, and the Lease keeps
# two people from changing the same cluster at once.
#
# Written by `cargo xtask docs`.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: kubectl-proxymode-switch
  namespace: kube-system
rules:
  - apiGroups: [\"\"]
    resources: [configmaps]
    verbs: [get, list, create, patch]
  - apiGroups: [\"\"]
    resources: [pods]
    verbs: [list, delete]
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [get, create, update]
  - apiGroups: [apps]
    resources: [daemonsets]
    verbs: [get]
---
# Whether a node that does not come back is gone.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: kubectl-proxymode-switch-nodes
rules:
  - apiGroups: [\"\"]
    resources: [nodes]
    verbs: [get]
";

/// What reading nodes by exec needs beside a command's own role.
const NODES_EXEC: &str = "\
# Reading nodes by exec into pods that run there (--node-access auto and exec), beside a command's own
# role. Whoever may exec into kube-proxy's or a network plugin's pods has the node's network in his hands:
# bind it where that is meant. Without `create` on pods/exec, nodes' files and tables are listed as
# unreadable, with the server's own words; without pods/portforward only what kube-proxy itself answers.
# `get` is what servers before 1.35 ask for over WebSockets.
#
# Written by `cargo xtask docs`.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: kubectl-net-nodes-exec
rules:
  - apiGroups: [\"\"]
    resources: [nodes, pods]
    verbs: [list]
  - apiGroups: [\"\"]
    resources: [pods/exec, pods/portforward]
    verbs: [create, get]
";

/// What reading nodes from debug pods needs beside a command's own role.
const NODES_DEBUG: &str = "\
# Reading nodes from short-lived pods (--node-access debug --allow-debug-pods), beside a command's own role.
# Whoever may make pods in kube-system may do anything on a node: bind it where that is meant. The pods are
# made in kube-system, with the node's network, NET_ADMIN and NET_RAW, and no service account's token.
#
# Written by `cargo xtask docs`.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: kubectl-net-nodes-debug
rules:
  - apiGroups: [\"\"]
    resources: [nodes]
    verbs: [get, list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: kubectl-net-nodes-debug
  namespace: kube-system
rules:
  - apiGroups: [\"\"]
    resources: [pods]
    verbs: [create, delete, get, list]
  - apiGroups: [\"\"]
    resources: [pods/exec, pods/portforward]
    verbs: [create, get]
";

/// The role that `kubectl netcidr` needs to read everything it can use: what its sources say that they
/// want, and nothing else.
fn netcidr_role() -> String {
    let mut verbs: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut urls = BTreeSet::from(["/apis", "/version"].map(str::to_owned));
    // ConfigMaps that other objects name are read one by one
    verbs.entry(("", "configmaps")).or_default().insert("get");
    for want in all_wants() {
        match want {
            Want::List { resource, .. } => {
                verbs.entry((resource.group, resource.plural)).or_default().insert("list");
            }
            Want::Get { resource, .. } => {
                verbs.entry((resource.group, resource.plural)).or_default().insert("get");
            }
            Want::Raw { path, .. } if !path.starts_with("/api") => {
                urls.insert(path);
            }
            Want::Raw { .. } | Want::ServingCertificate | Want::Node(_) => {}
        }
    }
    let mut groups: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((group, plural), verbs) in verbs {
        groups.entry((group, verbs.into_iter().collect())).or_default().push(plural);
    }
    let mut text = String::from(
        "# What `kubectl netcidr` reads, and nothing else. It works with less: what may not be read is listed as\n\
         # unreadable. Written by `cargo xtask docs` out of the sources' own wants.\n\
         #\n\
         # Left out on purpose: `get` on nodes/proxy, by which the kubelets' configz would be read. Whoever has\n\
         # it can do more on a node than read. Give it for the run if CIDR-041 is to be checked on a live cluster.\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: kubectl-netcidr\nrules:\n",
    );
    for ((group, verbs), plurals) in groups {
        let _ = write!(
            text,
            "  - apiGroups: [\"{group}\"]\n    resources: [{}]\n    verbs: [{}]\n",
            plurals.join(", "),
            verbs.join(", ")
        );
    }
    let urls: Vec<String> = urls.into_iter().collect();
    let _ = write!(text, "  - nonResourceURLs: [{}]\n    verbs: [get]\n", urls.join(", "));
    text
}

/// Everything that the sources want of a cluster that has none of it: each follows its trail to the
/// end, and tries the older place where the newer one is empty.
fn all_wants() -> BTreeSet<Want> {
    let mut facts = Facts::default();
    loop {
        let wants: Vec<Want> = sources::ALL.iter().flat_map(|source| source.wants(&facts)).collect();
        let before = facts.reads.len();
        facts.reads.extend(wants.into_iter().map(|want| (want, ReadStatus::Absent)));
        if facts.reads.len() == before {
            return facts.reads.into_keys().collect();
        }
    }
}

/// A report as it is printed.
#[derive(Serialize, JsonSchema)]
struct Printed<Body> {
    #[serde(flatten)]
    report: Report<Body>,
    /// With `--since`: what changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Changes>,
}

/// The schema of a kind of report.
fn kind<Body: JsonSchema>(name: &'static str) -> Result<(PathBuf, String), Error> {
    let mut schema = schema::<Printed<Body>>();
    schema["title"] = name.into();
    schema["properties"]["apiVersion"] = json!({"description": "Fields only ever grow.", "const": API_VERSION});
    schema["properties"]["kind"] = json!({"description": "What the report is.", "const": name});
    // it is left out where it is not known, never null
    schema["properties"]["changes"] = json!({
        "description": "With --since: what changed.",
        "$ref": "#/$defs/Changes",
    });
    document(name, &schema)
}

/// The schema of a type as it is written, with every field that is always there required.
fn schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

fn document(name: &str, schema: &Value) -> Result<(PathBuf, String), Error> {
    let text = serde_json::to_string_pretty(schema).map_err(|e| Error::Other(e.to_string()))?;
    Ok((format!("schema/{name}.json").into(), text + "\n"))
}

fn findings(plugins: &[(&str, Vec<&FindingDoc>)]) -> String {
    let mut text = String::from(
        "# Findings\n\n\
         Every finding has a stable id. `error` breaks traffic now or at the next restart, `warning` will go \
         wrong or hides something, `info` is worth knowing. A check whose source cannot be read is listed under \
         `unreadable` as `check ID`, never passed in silence.\n\n\
         This page is written by `cargo xtask docs` out of the checks themselves.\n",
    );
    for (plugin, docs) in plugins {
        let mut docs = docs.clone();
        docs.sort_by_key(|doc| doc.id);
        let _ = write!(text, "\n## {plugin}\n\n| id | about | severity |\n|---|---|---|\n");
        for doc in &docs {
            let _ = writeln!(text, "| [{}](#{}) | {} | {} |", doc.id, doc.id.to_lowercase(), doc.title, doc.severity);
        }
        for doc in &docs {
            let _ = write!(
                text,
                "\n### {}\n\n**{}** ({})\n\n- *When:* {}\n- *Example:* {}\n- *Remedy:* {}\n",
                doc.id, doc.title, doc.severity, doc.formula, doc.example, doc.remedy
            );
        }
    }
    text
}
