//! flanneld as a DaemonSet, laid out as its own manifest does it.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Value, json};

use super::{api_server, from_field, host_path};
use crate::{
    Error, components,
    image::{Entry, Image, Layer},
    parts::put_binary,
    plan::{FlannelBackend, POD_RANGES},
    supervise::Cluster,
};

const NAMESPACE: &str = "kube-flannel";
/// Namespace and name of its DaemonSet.
pub(super) const DAEMON_SET: (&str, &str) = (NAMESPACE, "kube-flannel-ds");
/// flannel's own plugin is a module that is not to be had; this does what it does.
const PLUGIN: &str = include_str!("flannel.sh");

/// flanneld, and its plugin to be copied onto the nodes.
pub(super) fn images(base: &Image, binaries: &BTreeMap<&'static str, PathBuf>) -> Result<Vec<Image>, Error> {
    let mut layer = Layer::new();
    put_binary(&mut layer, "opt/bin/flanneld", binaries, "flanneld")?;
    layer.insert("flannel".to_owned(), Entry::Text(PLUGIN.to_owned(), true));
    Ok(vec![base.with(&image()?, layer, &["/opt/bin/flanneld"])])
}

fn image() -> Result<String, Error> {
    let folder = components::modules().join(components::flannel().folder);
    Ok(format!("localhost/flannel-io/flannel:{}", components::pinned(&folder)?))
}

/// Applies everything; the nodes are Ready when it has written their configuration.
pub(super) fn install(cluster: &mut Cluster) -> Result<(), Error> {
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE,
               "labels": {"k8s-app": "flannel", "pod-security.kubernetes.io/enforce": "privileged"}}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "flannel", "namespace": NAMESPACE}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "flannel"},
        "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
        ]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
               "metadata": {"name": "flannel"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "flannel"},
               "subjects": [{"kind": "ServiceAccount", "name": "flannel", "namespace": NAMESPACE}]}),
        configuration(cluster.plan().flannel_backend),
        daemon_set(&image()?),
    ];
    // one after another: the rest wants the namespace
    objects.chunks(1).try_for_each(|object| cluster.apply(object))
}

/// With both families: without the second one flanneld panics on a node that has two ranges.
fn configuration(backend: FlannelBackend) -> Value {
    let backend = match backend {
        FlannelBackend::Vxlan => "vxlan",
        FlannelBackend::HostGw => "host-gw",
    };
    let [network, network6] = POD_RANGES;
    let network = json!({"Network": network, "EnableIPv6": true, "IPv6Network": network6,
                         "EnableNFTables": false, "Backend": {"Type": backend}});
    let plugins = json!({"name": "cbr0", "cniVersion": "0.3.1", "plugins": [
        {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]});
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": "kube-flannel-cfg", "namespace": NAMESPACE,
                        "labels": {"tier": "node", "k8s-app": "flannel", "app": "flannel"}},
           "data": {"cni-conf.json": format!("{plugins:#}\n"), "net-conf.json": format!("{network:#}\n")}})
}

fn daemon_set(image: &str) -> Value {
    let labels = json!({"tier": "node", "app": "flannel"});
    let copy = |name: &str, from: &str, to: &str, mounts: Value| {
        json!({"name": name, "image": image, "imagePullPolicy": "Never", "command": ["cp"],
               "args": ["-f", from, to], "volumeMounts": mounts})
    };
    let mut env = vec![
        from_field("POD_NAME", "metadata.name"),
        from_field("POD_NAMESPACE", "metadata.namespace"),
        json!({"name": "EVENT_QUEUE_DEPTH", "value": "5000"}),
    ];
    env.extend(api_server());
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": DAEMON_SET.1, "namespace": NAMESPACE,
                     "labels": {"tier": "node", "app": "flannel", "k8s-app": "flannel"}},
        "spec": {
            "selector": {"matchLabels": {"app": "flannel"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "hostNetwork": true,
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "priorityClassName": "system-node-critical",
                    "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
                    "serviceAccountName": "flannel",
                    "initContainers": [
                        copy("install-cni-plugin", "/flannel", "/opt/cni/bin/flannel",
                             json!([{"name": "cni-plugin", "mountPath": "/opt/cni/bin"}])),
                        copy("install-cni", "/etc/kube-flannel/cni-conf.json", "/etc/cni/net.d/10-flannel.conflist",
                             json!([{"name": "cni", "mountPath": "/etc/cni/net.d"},
                                    {"name": "flannel-cfg", "mountPath": "/etc/kube-flannel/"}])),
                    ],
                    "containers": [{
                        "name": "kube-flannel",
                        "image": image,
                        "imagePullPolicy": "Never",
                        "command": ["/opt/bin/flanneld"],
                        "args": ["--ip-masq", "--kube-subnet-mgr", "--iface=eth0"],
                        "resources": {"requests": {"cpu": "100m", "memory": "50Mi"}},
                        "securityContext": {"privileged": false, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
                        "env": env,
                        "volumeMounts": [
                            {"name": "run", "mountPath": "/run/flannel"},
                            {"name": "flannel-cfg", "mountPath": "/etc/kube-flannel/"},
                            {"name": "xtables-lock", "mountPath": "/run/xtables.lock"},
                        ],
                    }],
                    "volumes": [
                        host_path("run", "/run/flannel", "DirectoryOrCreate"),
                        host_path("cni-plugin", "/opt/cni/bin", "DirectoryOrCreate"),
                        host_path("cni", "/etc/cni/net.d", "DirectoryOrCreate"),
                        {"name": "flannel-cfg", "configMap": {"name": "kube-flannel-cfg"}},
                        host_path("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
                    ],
                },
            },
        },
    })
}
