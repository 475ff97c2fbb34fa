//! What of an object a recording keeps: lists of what may be kept, for each kind. Whatever is kept is
//! masked too.

use netcore::{
    cluster::{Resource, object},
    probe::Probe,
};
use serde_json::{Map, Value, json};

use super::mask;
use crate::from::recording::SERVING_CERTIFICATE;

/// Annotations that say something about a network; an end in `/` or `.` or `-` is a beginning.
const ANNOTATIONS: &[&str] = &[
    "argocd.argoproj.io/",
    "cloud.google.com/",
    "flannel.alpha.coreos.com/",
    "io.cilium.network.",
    "k0sproject.io/config-hash",
    "k3s.io/internal-ip",
    "k3s.io/node-args",
    "k8s.ovn.org/",
    "k8s.v1.cni.cncf.io/network-status",
    "kube-router.io/",
    "kube-vip.io/",
    "kubeadm.alpha.kubernetes.io/",
    "kubectl-net/",
    "kubernetes.io/config.source",
    "kubernetes.io/psp",
    "meta.helm.sh/release-name",
    "network.cilium.io/",
    "networking.gke.io/",
    "node.antrea.io/",
    "ovn.kubernetes.io/",
    "projectcalico.org/",
    "resources.gardener.cloud/origin",
    "rke2.io/internal-ip",
    "rke2.io/node-args",
];

/// Entries of ConfigMaps that configure a network; an end in `-` is a beginning.
const CONFIG: &[&str] = &[
    "ClusterConfiguration",
    "antrea-agent.conf",
    "antrea-cni.conflist",
    "antrea-controller.conf",
    "calico_backend",
    "cluster_type",
    "cluster-id",
    "cluster-name",
    "cluster-pool-",
    "cni-chaining-mode",
    "cni-conf.json",
    "cni-exclusive",
    "cni_network_config",
    "config",
    "config.conf",
    "datapath-mode",
    "enable-bpf-masquerade",
    "enable-ipv4",
    "enable-ipv4-",
    "enable-ipv6",
    "enable-ipv6-",
    "enable-wireguard",
    "ip-masq-agent",
    "ip-masq-agent-reconciled",
    "ipam",
    "ipam-",
    "ipv4-",
    "ipv6-",
    "kube-proxy-replacement",
    "mtu",
    "native-routing-cidr",
    "net-conf.json",
    "net_cidr",
    "routing-mode",
    "svc_cidr",
    "tunnel",
    "tunnel-protocol",
    "typha_service_name",
    "veth_mtu",
    "cidr-",
    "range-",
];

/// Words that make an entry a network's configuration, whatever its key.
const CONTENT: &[&str] = &["KubeProxyConfiguration", "nonMasqueradeCIDRs", "podSubnet:", "serviceSubnet:"];

/// Variables that carry a range, or say how a network plugin works.
const VARIABLES: &[&str] = &[
    "AWS_VPC_ENI_MTU",
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG",
    "CALICO_IPV4POOL_BLOCK_SIZE",
    "CALICO_IPV4POOL_CIDR",
    "CALICO_IPV4POOL_IPIP",
    "CALICO_IPV4POOL_VXLAN",
    "CALICO_IPV6POOL_BLOCK_SIZE",
    "CALICO_IPV6POOL_CIDR",
    "CALICO_IPV6POOL_VXLAN",
    "CALICO_NETWORKING_BACKEND",
    "CLUSTER_TYPE",
    "ENABLE_POD_ENI",
    "ENABLE_PREFIX_DELEGATION",
    "FELIX_BPFENABLED",
    "FELIX_IPTABLESBACKEND",
    "FELIX_NFTABLESMODE",
    "IP6_AUTODETECTION_METHOD",
    "IPALLOC_RANGE",
    "IP_AUTODETECTION_METHOD",
    "POD_SUBNET",
    "WEAVE_MTU",
];

/// Programs of the cluster itself, whose arguments say what it does.
const COMPONENTS: &[&str] = &[
    "antrea-agent",
    "antrea-controller",
    "aws-k8s-agent",
    "aws-node",
    "calico-kube-controllers",
    "calico-node",
    "cilium-agent",
    "cilium-operator",
    "cloud-controller-manager",
    "flanneld",
    "hyperkube",
    "ip-masq-agent",
    "kindnetd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-flannel",
    "kube-ovn-controller",
    "kube-ovn-daemon",
    "kube-proxy",
    "kube-router",
    "kube-scheduler",
    "kube-vip",
    "ovnkube",
    "start_runit",
];

const META: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.resourceVersion",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.labels",
    "metadata.annotations",
    "metadata.ownerReferences",
];

const POD: &[&str] = &[
    "nodeName",
    "hostNetwork",
    "nodeSelector",
    "containers.name",
    "containers.image",
    "containers.command",
    "containers.args",
    "containers.env",
    "containers.volumeMounts",
    "initContainers.name",
    "initContainers.image",
    "initContainers.command",
    "initContainers.args",
    "initContainers.env",
    "volumes.name",
    "volumes.configMap",
    "volumes.hostPath",
    "volumes.projected.sources.configMap",
];

/// What of a kind is kept beside its metadata; nothing for kinds whose spec and status are about
/// networks as a whole.
fn fields(resource: &Resource) -> Option<&'static [&'static str]> {
    Some(match resource.kind {
        "Node" => &[
            "spec.podCIDR",
            "spec.podCIDRs",
            "spec.providerID",
            "spec.taints",
            "spec.unschedulable",
            "status.capacity",
            "status.allocatable",
            "status.conditions",
            "status.addresses",
            "status.nodeInfo",
        ],
        "Pod" => &[
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.hostIP",
            "status.hostIPs",
            "status.startTime",
            "status.containerStatuses.name",
            "status.containerStatuses.ready",
            "status.containerStatuses.restartCount",
            "status.containerStatuses.state.running.startedAt",
            "status.containerStatuses.state.terminated.reason",
            "status.containerStatuses.state.waiting.reason",
        ],
        "DaemonSet" | "Deployment" => {
            &["spec.selector", "spec.replicas", "spec.updateStrategy", "spec.template.metadata", "status"]
        }
        "Service" => &[
            "spec.clusterIP",
            "spec.clusterIPs",
            "spec.type",
            "spec.externalIPs",
            "spec.externalName",
            "spec.loadBalancerIP",
            "spec.loadBalancerSourceRanges",
            "spec.loadBalancerClass",
            "spec.ipFamilies",
            "spec.ipFamilyPolicy",
            "spec.ports",
            "spec.selector",
            "spec.sessionAffinity",
            "spec.sessionAffinityConfig",
            "spec.externalTrafficPolicy",
            "spec.internalTrafficPolicy",
            "status.loadBalancer",
        ],
        "Namespace" => &["status.phase"],
        "Event" => {
            &["reason", "message", "type", "count", "involvedObject", "firstTimestamp", "lastTimestamp", "eventTime"]
        }
        "ConfigMap" => &["data", "immutable"],
        "ClusterRole" | "Role" => &["rules"],
        "ClusterRoleBinding" | "RoleBinding" => &["roleRef"],
        "EndpointSlice" => &["addressType", "endpoints", "ports"],
        "ServiceCIDR" | "IPAddress" => &["spec", "status"],
        "Installation" => &[
            "spec.calicoNetwork",
            "spec.cni",
            "spec.kubernetesProvider",
            "spec.serviceCIDRs",
            "spec.variant",
            "status.computed.calicoNetwork",
            "status.computed.cni",
            "status.computed.kubernetesProvider",
            "status.computed.serviceCIDRs",
            "status.calicoVersion",
            "status.computed.variant",
            "status.conditions",
            "status.mtu",
            "status.variant",
        ],
        "Cluster" => &["spec.clusterNetwork", "spec.controlPlaneEndpoint", "status.phase", "status.conditions"],
        _ => return None,
    })
}

/// As much of an object as a recording keeps, with its apiVersion and kind.
pub(super) fn object(resource: &Resource, version: &str, whole: &Value) -> Value {
    let mut paths: Vec<Vec<&str>> = META.iter().map(|path| path.split('.').collect()).collect();
    match fields(resource) {
        Some(fields) => paths.extend(fields.iter().map(|path| path.split('.').collect())),
        None => paths.extend([vec!["spec"], vec!["status"]]),
    }
    let pod: &[&str] = match resource.kind {
        "Pod" => &["spec"],
        "DaemonSet" | "Deployment" => &["spec", "template", "spec"],
        _ => &[],
    };
    if !pod.is_empty() {
        paths.extend(POD.iter().map(|path| pod.iter().copied().chain(path.split('.')).collect()));
    }
    let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    let mut kept = keep(whole, &paths).unwrap_or_else(|| json!({}));
    let api_version =
        if resource.group.is_empty() { version.to_owned() } else { format!("{}/{version}", resource.group) };
    if let Some(fields) = kept.as_object_mut() {
        fields.insert("apiVersion".to_owned(), api_version.into());
        fields.insert("kind".to_owned(), resource.kind.into());
    }
    annotations(kept.pointer_mut("/metadata"));
    annotations(kept.pointer_mut("/spec/template/metadata"));
    if matches!(resource.kind, "ConfigMap" | "DaemonSet") {
        field_managers(whole, &mut kept);
    }
    if let Some(Value::Object(data)) = kept.get_mut("data") {
        config(data);
    }
    if !pod.is_empty() {
        let spec = pod.iter().try_fold(&mut kept, |value, name| value.get_mut(*name));
        containers(spec);
    }
    mask::value(&mut kept);
    kept
}

/// The fields at these paths, in arrays of every element.
fn keep(value: &Value, paths: &[&[&str]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    match value {
        Value::Array(elements) => {
            Some(elements.iter().map(|element| keep(element, paths).unwrap_or_else(|| json!({}))).collect())
        }
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (name, field) in fields {
                let below: Vec<&[&str]> = paths
                    .iter()
                    .filter_map(|path| {
                        path.split_first().filter(|(first, _)| **first == name.as_str()).map(|(_, rest)| rest)
                    })
                    .collect();
                if !below.is_empty()
                    && let Some(field) = keep(field, &below)
                {
                    kept.insert(name.clone(), field);
                }
            }
            Some(Value::Object(kept))
        }
        _ => None,
    }
}

fn listed(list: &[&str], name: &str) -> bool {
    list.iter().any(|known| *known == name || (known.ends_with(['/', '.', '-']) && name.starts_with(known)))
}

fn annotations(metadata: Option<&mut Value>) {
    let Some(metadata) = metadata.and_then(Value::as_object_mut) else { return };
    metadata.remove("managedFields");
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.retain(|name, _| listed(ANNOTATIONS, name));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

/// What of the field managers a report uses: when the object was last written, and who of those that
/// would write it again.
fn field_managers(whole: &Value, kept: &mut Value) {
    let mut notes = Vec::new();
    notes.extend(object::changed(whole).map(|time| (object::CHANGED_ANNOTATION, time)));
    let managers = object::field_managers(whole);
    if !managers.is_empty() {
        notes.push((object::MANAGERS_ANNOTATION, managers.join(",")));
    }
    let Some(metadata) = kept.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for (name, value) in notes {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(name.to_owned(), value.into());
        }
    }
}

/// Entries that are about a network; kubeconfigs never.
fn config(data: &mut Map<String, Value>) {
    data.retain(|key, value| {
        let text = value.as_str().unwrap_or_default();
        let about = listed(CONFIG, key) || key == "Corefile" || CONTENT.iter().any(|word| text.contains(word));
        about && !is_kubeconfig(text)
    });
    if let Some(Value::String(corefile)) = data.get_mut("Corefile") {
        *corefile = zones(corefile);
    }
}

fn is_kubeconfig(text: &str) -> bool {
    let config = |line: &str| matches!(line.trim().trim_end_matches(','), "kind: Config" | "\"kind\": \"Config\"");
    text.lines().any(config)
        || ["client-key-data", "current-context", "\"kind\":\"Config\""].iter().any(|word| text.contains(word))
}

/// CoreDNS' server blocks and its kubernetes plugin; other plugins may be given credentials.
fn zones(corefile: &str) -> String {
    const KEPT: [&str; 6] = ["kubernetes", "pods", "fallthrough", "ttl", "endpoint_pod_names", "}"];
    let line = |line: &str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        if KEPT.contains(&first) || line.trim_end().ends_with('{') { line.to_owned() } else { String::new() }
    };
    corefile.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn containers(spec: Option<&mut Value>) {
    let Some(spec) = spec else { return };
    for kind in ["containers", "initContainers"] {
        for container in spec.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
            let component = is_component(container);
            let Some(fields) = container.as_object_mut() else { continue };
            if !component {
                fields.remove("command");
                fields.remove("args");
            }
            if let Some(Value::Array(variables)) = fields.get_mut("env") {
                variables.retain(|variable| {
                    variable.get("name").and_then(Value::as_str).is_some_and(|name| VARIABLES.contains(&name))
                });
            }
        }
    }
}

/// Whether a container runs a program of the cluster itself: by its command, its image or its name.
fn is_component(container: &Value) -> bool {
    let base = |text: &str| {
        let last = text.rsplit('/').next().unwrap_or_default();
        COMPONENTS.contains(&last.split([':', '@']).next().unwrap_or_default())
    };
    let text = |name: &str| container.get(name).and_then(Value::as_str).unwrap_or_default();
    let words = |name: &str| container.get(name).and_then(Value::as_array).and_then(|words| words.first()?.as_str());
    base(text("name")) || base(text("image")) || words("command").or_else(|| words("args")).is_some_and(base)
}

/// As much of an answer that is no object as a recording keeps; line numbers stay.
pub(super) fn raw(path: &str, text: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    match path {
        "/metrics" => text
            .split('\n')
            .map(|line| if METRICS.iter().any(|name| line.starts_with(name)) { line } else { "" })
            .collect::<Vec<_>>()
            .join("\n"),
        "/flagz" => text.split('\n').map(flag).collect::<Vec<_>>().join("\n"),
        "/version" | "/apis" | "/api" | SERVING_CERTIFICATE => text.to_owned(),
        _ => mask::text(text).into_owned(),
    }
}

/// A line of `/flagz`, whose delimiter changes from one start of the server to the next.
fn flag(line: &str) -> String {
    let end = line.find([':', '=', ' ', '\t']).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let value = rest.trim_start_matches([':', '=', ' ', '\t']);
    let delimiter = rest.strip_suffix(value).unwrap_or_default();
    if mask::is_secret(name) && !value.trim().is_empty() {
        return format!("{name}{delimiter}{}", mask::REMOVED);
    }
    mask::text(line).into_owned()
}

/// Metrics that a report uses.
const METRICS: [&str; 2] = ["kube_apiserver_clusterip_allocator_", "kube_apiserver_nodeport_allocator_"];

/// As much of a probe's output as a recording keeps.
pub(super) fn probe(probe: Probe, text: &str) -> std::borrow::Cow<'_, str> {
    match probe {
        // Configuration files, in which anything may stand; the rest is the kernel's own.
        Probe::Configz
        | Probe::CniConf
        | Probe::BirdProtocols
        | Probe::BirdRoutes
        | Probe::Bird6Protocols
        | Probe::Bird6Routes => mask::text(text),
        Probe::ProxyMetrics => {
            let kept = |line: &&str| line.contains("kubeproxy_") || line.starts_with("kubernetes_build_info");
            text.split_inclusive('\n').filter(kept).collect::<String>().into()
        }
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use netcore::cluster::resources;

    use super::*;

    const SECRET: &str = "PLANTED";

    /// An object, made up, with a secret in every place that cli.md says none may come from.
    fn planted() -> Vec<(&'static Resource, Value)> {
        let meta = |name: &str| {
            json!({"name": name, "namespace": "x", "labels": {"app": "a"},
            "managedFields": [{"manager": SECRET}],
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": SECRET,
                "k3s.io/node-env": SECRET,
                "k3s.io/node-args": "[\"server\",\"--token\",\"PLANTED\",\"--cluster-cidr\",\"10.42.0.0/16\",\"--agent-token=PLANTED\"]",
                "flannel.alpha.coreos.com/public-ip": "1.2.3.4",
            }})
        };
        let spec = json!({"nodeName": "n", "serviceAccountName": SECRET,
            "containers": [
                {"name": "kube-apiserver", "command": ["kube-apiserver", "--service-cluster-ip-range=10.96.0.0/12", "--token-auth-file=PLANTED",
                    "--etcd-keyfile", SECRET], "env": [{"name": "DB", "value": SECRET}, {"name": "POD_SUBNET", "value": "10.1.0.0/16"}]},
                {"name": "app", "command": ["app", SECRET], "args": [SECRET], "envFrom": [{"secretRef": {"name": SECRET}}],
                    "env": [{"name": "PASSWORD", "value": SECRET}]}],
            "volumes": [{"name": "v", "secret": {"secretName": SECRET}}, {"name": "c", "configMap": {"name": "kube-proxy"}}],
            "imagePullSecrets": [{"name": SECRET}]});
        vec![
            (
                &resources::NODES,
                json!({"metadata": meta("n"), "spec": {"podCIDR": "10.244.0.0/24", "configSource": SECRET},
                "status": {"config": SECRET, "images": [SECRET]}}),
            ),
            (
                &resources::PODS,
                json!({"metadata": meta("p"), "spec": spec, "status": {"phase": "Running", "message": SECRET}}),
            ),
            (
                &resources::DAEMONSETS,
                json!({"metadata": meta("d"), "spec": {"template": {"metadata": meta("t"), "spec": spec}}}),
            ),
            (
                &resources::CONFIGMAPS,
                json!({"metadata": meta("c"), "binaryData": {"x": SECRET}, "data": {
                    "anything": SECRET,
                    "kubeconfig.conf": "apiVersion: v1\nkind: Config\nusers:\n- name: PLANTED\n",
                    "config": "apiVersion: v1\nkind: Config\nusers:\n- name: PLANTED\n",
                    "ClusterConfiguration": "networking:\n  podSubnet: 10.244.0.0/16\netcd:\n  external:\n    clientSecret: PLANTED\n",
                    "Corefile": ".:53 {\n    kubernetes cluster.local in-addr.arpa {\n    }\n    etcd {\n        credentials me PLANTED\n    }\n}\n",
                }}),
            ),
            (
                &resources::NETWORKATTACHMENTDEFINITIONS,
                json!({"metadata": meta("n"), "spec": {
                "config": "{\"type\":\"macvlan\",\"ipam\":{\"range\":\"10.9.0.0/16\",\"etcd_password\":\"PLANTED\"}}"}}),
            ),
            (
                &resources::TIGERA_INSTALLATIONS,
                json!({"metadata": meta("default"), "spec": {
                "calicoNetwork": {"ipPools": [{"cidr": "10.8.0.0/16"}]}, "imagePullSecrets": [{"name": SECRET}],
                "calicoNodeDaemonSet": {"spec": {"env": SECRET}}}}),
            ),
        ]
    }

    #[test]
    fn no_planted_secret_is_kept() {
        for (resource, whole) in planted() {
            let kept = object(resource, "v1", &whole).to_string();
            assert!(!kept.contains(SECRET), "{}: {kept}", resource.kind);
        }
    }

    #[test]
    fn what_sources_read_is_kept() {
        let kept: Vec<String> =
            planted().iter().map(|(resource, whole)| object(resource, "v1", whole).to_string()).collect();
        for (index, text) in [
            (0, "10.244.0.0/24"),
            (0, "10.42.0.0/16"),
            (0, "\"flannel.alpha.coreos.com/public-ip\":\"1.2.3.4\""),
            (1, "--service-cluster-ip-range=10.96.0.0/12"),
            (1, "10.1.0.0/16"),
            (1, "\"phase\":\"Running\""),
            (2, "--service-cluster-ip-range=10.96.0.0/12"),
            (2, "\"configMap\":{\"name\":\"kube-proxy\"}"),
            (2, "\"apiVersion\":\"apps/v1\""),
            (3, "podSubnet: 10.244.0.0/16"),
            (3, "kubernetes cluster.local in-addr.arpa"),
            (4, "10.9.0.0/16"),
            (5, "10.8.0.0/16"),
        ] {
            assert!(kept[index].contains(text), "{text}\n{}", kept[index]);
        }
    }

    #[test]
    fn metrics_keep_their_line_numbers() {
        let text = "# HELP x\nx{token=\"PLANTED\"} 1\nkube_apiserver_clusterip_allocator_allocated_ips{cidr=\"10.0.0.0/8\"} 3\n";
        assert_eq!(
            raw("/metrics", text),
            "\n\nkube_apiserver_clusterip_allocator_allocated_ips{cidr=\"10.0.0.0/8\"} 3\n"
        );
    }

    #[test]
    fn flags_are_masked_with_any_delimiter() {
        for delimiter in [":", "=", " ", ": ", "\t"] {
            let text = format!("kube-apiserver flagz\n\na-token{delimiter}PLANTED\nv{delimiter}2\n");
            assert_eq!(raw("/flagz", &text), text.replace("PLANTED", "(removed)"));
        }
    }
}
