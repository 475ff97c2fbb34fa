//! Calico as its own manifest lays it out: Felix, confd and BIRD in one container, the plugin with Calico's IPAM, a
//! node-to-node mesh. BIRD is Debian's, which is of the line that Calico's own comes from.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{api_server, from_field, host_path};
use crate::{
    Error, components,
    image::{Entry, Image, Layer},
    parts::put_binary,
    plan::{CalicoDataplane, POD_RANGES},
    supervise::Cluster,
};

/// Namespace and name of its DaemonSet.
pub(super) const DAEMON_SET: (&str, &str) = ("kube-system", "calico-node");
/// What the container runs.
const RUN: &str = include_str!("calico-node.sh");
/// What puts the plugin onto the node.
const INSTALL: &str = include_str!("calico-install.sh");
/// How confd's templates have BIRD reload, which is by runit, and what does the same without it.
const RELOADS: [(&str, &str); 2] = [
    ("sv hup bird6", "birdc6 -s /var/run/calico/bird6.ctl configure"),
    ("sv hup bird", "birdc -s /var/run/calico/bird.ctl configure"),
];

/// Kinds of the group `crd.projectcalico.org`, with their plurals; the last two live in namespaces.
const KINDS: [(&str, &str); 18] = [
    ("BGPConfiguration", "bgpconfigurations"),
    ("BGPFilter", "bgpfilters"),
    ("BGPPeer", "bgppeers"),
    ("BlockAffinity", "blockaffinities"),
    ("CalicoNodeStatus", "caliconodestatuses"),
    ("ClusterInformation", "clusterinformations"),
    ("FelixConfiguration", "felixconfigurations"),
    ("GlobalNetworkPolicy", "globalnetworkpolicies"),
    ("GlobalNetworkSet", "globalnetworksets"),
    ("HostEndpoint", "hostendpoints"),
    ("IPAMBlock", "ipamblocks"),
    ("IPAMConfig", "ipamconfigs"),
    ("IPAMHandle", "ipamhandles"),
    ("IPPool", "ippools"),
    ("IPReservation", "ipreservations"),
    ("KubeControllersConfiguration", "kubecontrollersconfigurations"),
    ("NetworkPolicy", "networkpolicies"),
    ("NetworkSet", "networksets"),
];

/// The node's image, and the one that installs the plugin.
pub(super) fn images(base: &Image, binaries: &BTreeMap<&'static str, PathBuf>) -> Result<Vec<Image>, Error> {
    let [node, ..] = components::calico();
    let mut layer = Layer::new();
    put_binary(&mut layer, "usr/bin/calico-node", binaries, "calico-node")?;
    put_binary(&mut layer, "usr/bin/calicoctl", binaries, "calicoctl")?;
    templates(&mut layer, &components::module_folder(&node)?.join("confd/etc/calico/confd"))?;
    layer.insert("usr/local/bin/start".to_owned(), Entry::Text(RUN.to_owned(), true));
    for (at, to) in [("birdcl", "birdc"), ("birdcl6", "birdc6")] {
        layer.insert(format!("usr/sbin/{at}"), Entry::Link(to.to_owned()));
    }
    let mut plugin = Layer::new();
    put_binary(&mut plugin, "opt/cni/bin/calico", binaries, "calico")?;
    plugin.insert("opt/cni/bin/install".to_owned(), Entry::Text(INSTALL.to_owned(), true));
    Ok(vec![
        base.with(&image("node")?, layer, &["/usr/local/bin/start"]),
        base.with(&image("cni")?, plugin, &["/opt/cni/bin/install"]),
    ])
}

/// The tag is the commit, where the version is one.
fn image(name: &str) -> Result<String, Error> {
    let [node, ..] = components::calico();
    let version = components::pinned(&components::modules().join(node.folder))?;
    Ok(format!("localhost/calico/{name}:{}", version.rsplit('-').next().unwrap_or_default()))
}

/// confd's own templates, without the one attribute of routes that only Calico's BIRD knows.
fn templates(layer: &mut Layer, from: &Path) -> Result<(), Error> {
    for folder in ["conf.d", "templates"] {
        let from = from.join(folder);
        for entry in fs::read_dir(&from).map_err(Error::file(&from))?.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = fs::read_to_string(entry.path()).map_err(Error::file(entry.path()))?;
            let known: Vec<&str> = text.lines().filter(|line| !line.contains("krt_tunnel =")).collect();
            let known = RELOADS.iter().fold(known.join("\n") + "\n", |text, (runit, ours)| text.replace(runit, ours));
            layer.insert(format!("etc/calico/confd/{folder}/{name}"), Entry::Text(known, false));
        }
    }
    Ok(())
}

/// Applies everything; the nodes are Ready when the plugin's configuration is there.
pub(super) fn install(cluster: &mut Cluster) -> Result<(), Error> {
    cluster.apply(&KINDS.map(|(kind, plural)| definition(kind, plural)))?;
    cluster.poll("Calico's kinds", 60, |cluster| {
        let all = cluster.get(&["customresourcedefinitions"])?;
        let established = |item: &&Value| {
            let conditions = item["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Established" && c["status"] == "True"))
        };
        let count = all["items"].as_array().map_or(0, |items| items.iter().filter(established).count());
        Ok(if count >= KINDS.len() { Ok(()) } else { Err(format!("{count} of {}", KINDS.len())) })
    })?;
    let [role, binding] = role();
    cluster.apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
               "metadata": {"name": "calico-node", "namespace": "kube-system"}}),
        role,
        binding,
        configuration(),
        daemon_set(&image("node")?, &image("cni")?, cluster.plan().calico_dataplane),
    ])
}

fn definition(kind: &str, plural: &str) -> Value {
    let scope = if matches!(kind, "NetworkPolicy" | "NetworkSet") { "Namespaced" } else { "Cluster" };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.crd.projectcalico.org")},
        "spec": {
            "group": "crd.projectcalico.org",
            "scope": scope,
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    })
}

fn role() -> [Value; 2] {
    let read = json!(["get", "list", "watch"]);
    [
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "calico-node"},
        "rules": [
            {"apiGroups": [""], "verbs": read, "resources":
                ["pods", "nodes", "namespaces", "serviceaccounts", "endpoints", "services", "configmaps"]},
            {"apiGroups": [""], "resources": ["pods/status", "nodes/status"], "verbs": ["patch", "update"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
            {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": read},
            {"apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["get"]},
            {"apiGroups": ["crd.projectcalico.org"], "resources": ["*"],
             "verbs": ["get", "list", "watch", "create", "update", "delete"]},
        ]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
               "metadata": {"name": "calico-node"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "calico-node"},
               "subjects": [{"kind": "ServiceAccount", "name": "calico-node", "namespace": "kube-system"}]}),
    ]
}

fn configuration() -> Value {
    // a number where JSON wants one comes in as text, so the braces are put together here
    let plugin = json!({
        "type": "calico",
        "log_level": "info",
        "log_file_path": "/var/log/calico/cni/cni.log",
        "datastore_type": "kubernetes",
        "nodename": "__KUBERNETES_NODE_NAME__",
        "mtu": "__CNI_MTU__",
        "ipam": {"type": "calico-ipam", "assign_ipv4": "true", "assign_ipv6": "true"},
        "policy": {"type": "k8s"},
        "kubernetes": {"kubeconfig": "__KUBECONFIG_FILEPATH__"},
    });
    let network = json!({"name": "k8s-pod-network", "cniVersion": "0.3.1", "plugins": [
        plugin,
        {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}},
        {"type": "bandwidth", "capabilities": {"bandwidth": true}},
    ]});
    let network = format!("{network:#}").replace("\"__CNI_MTU__\"", "__CNI_MTU__");
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": "calico-config", "namespace": "kube-system"},
           "data": {"typha_service_name": "none", "calico_backend": "bird", "veth_mtu": "0",
                    "cni_network_config": network}})
}

fn from_configuration(name: &str, key: &str) -> Value {
    json!({"name": name, "valueFrom": {"configMapKeyRef": {"name": "calico-config", "key": key}}})
}

/// No tunnels: the nodes see each other.
fn environment(dataplane: CalicoDataplane) -> Vec<Value> {
    let backend = match dataplane {
        CalicoDataplane::Legacy => "Legacy",
        CalicoDataplane::Nft => "NFT",
    };
    let [pool, pool6] = POD_RANGES;
    let plain = [
        ("DATASTORE_TYPE", "kubernetes"),
        ("WAIT_FOR_DATASTORE", "true"),
        ("CLUSTER_TYPE", "k8s,bgp"),
        ("IP", "autodetect"),
        ("IP_AUTODETECTION_METHOD", "interface=eth0"),
        ("IP6", "autodetect"),
        ("IP6_AUTODETECTION_METHOD", "interface=eth0"),
        ("CALICO_IPV4POOL_CIDR", pool),
        ("CALICO_IPV4POOL_IPIP", "Never"),
        ("CALICO_IPV4POOL_VXLAN", "Never"),
        ("CALICO_IPV6POOL_CIDR", pool6),
        ("CALICO_IPV6POOL_VXLAN", "Never"),
        ("CALICO_IPV6POOL_NAT_OUTGOING", "true"),
        ("CALICO_DISABLE_FILE_LOGGING", "true"),
        ("FELIX_DEFAULTENDPOINTTOHOSTACTION", "ACCEPT"),
        ("FELIX_IPV6SUPPORT", "true"),
        ("FELIX_HEALTHENABLED", "true"),
        ("FELIX_BPFENABLED", "false"),
        ("FELIX_IPTABLESBACKEND", backend),
    ];
    let mut environment: Vec<Value> = plain.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    environment.push(from_field("NODENAME", "spec.nodeName"));
    environment.push(from_configuration("CALICO_NETWORKING_BACKEND", "calico_backend"));
    for name in ["FELIX_IPINIPMTU", "FELIX_VXLANMTU", "FELIX_WIREGUARDMTU"] {
        environment.push(from_configuration(name, "veth_mtu"));
    }
    environment.extend(api_server());
    environment
}

fn install_container(image: &str) -> Value {
    let mut environment = vec![
        json!({"name": "CNI_CONF_NAME", "value": "10-calico.conflist"}),
        from_configuration("CNI_NETWORK_CONFIG", "cni_network_config"),
        from_field("KUBERNETES_NODE_NAME", "spec.nodeName"),
        from_configuration("CNI_MTU", "veth_mtu"),
    ];
    environment.extend(api_server());
    json!({
        "name": "install-cni", "image": image, "imagePullPolicy": "Never",
        "command": ["/opt/cni/bin/install"],
        "env": environment,
        "securityContext": {"privileged": true},
        "volumeMounts": [
            {"name": "cni-bin-dir", "mountPath": "/host/opt/cni/bin"},
            {"name": "cni-net-dir", "mountPath": "/host/etc/cni/net.d"},
        ],
    })
}

fn daemon_set(image: &str, plugin: &str, dataplane: CalicoDataplane) -> Value {
    let probe = |checks: [&str; 3]| {
        json!({"exec": {"command": ["/bin/calico-node", checks[0], checks[1], checks[2]]},
               "periodSeconds": 10, "timeoutSeconds": 10})
    };
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": DAEMON_SET.1, "namespace": DAEMON_SET.0, "labels": {"k8s-app": "calico-node"}},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": "calico-node"}},
            "template": {
                "metadata": {"labels": {"k8s-app": "calico-node"}},
                "spec": {
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "hostNetwork": true,
                    "tolerations": [{"effect": "NoSchedule", "operator": "Exists"},
                                    {"effect": "NoExecute", "operator": "Exists"}],
                    "serviceAccountName": "calico-node",
                    "terminationGracePeriodSeconds": 0,
                    "priorityClassName": "system-node-critical",
                    "initContainers": [install_container(plugin)],
                    "containers": [{
                        "name": "calico-node", "image": image, "imagePullPolicy": "Never",
                        "env": environment(dataplane),
                        "securityContext": {"privileged": true},
                        "resources": {"requests": {"cpu": "250m"}},
                        "readinessProbe": probe(["-felix-ready", "-bird-ready", "-bird6-ready"]),
                        "volumeMounts": [
                            {"name": "cni-net-dir", "mountPath": "/host/etc/cni/net.d"},
                            {"name": "lib-modules", "mountPath": "/lib/modules", "readOnly": true},
                            {"name": "xtables-lock", "mountPath": "/run/xtables.lock"},
                            {"name": "var-run-calico", "mountPath": "/var/run/calico"},
                            {"name": "var-lib-calico", "mountPath": "/var/lib/calico"},
                            {"name": "cni-log-dir", "mountPath": "/var/log/calico/cni", "readOnly": true},
                        ],
                    }],
                    "volumes": [
                        host_path("lib-modules", "/lib/modules", ""),
                        host_path("var-run-calico", "/var/run/calico", "DirectoryOrCreate"),
                        host_path("var-lib-calico", "/var/lib/calico", "DirectoryOrCreate"),
                        host_path("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
                        host_path("cni-bin-dir", "/opt/cni/bin", "DirectoryOrCreate"),
                        host_path("cni-net-dir", "/etc/cni/net.d", ""),
                        host_path("cni-log-dir", "/var/log/calico/cni", "DirectoryOrCreate"),
                    ],
                },
            },
        },
    })
}
