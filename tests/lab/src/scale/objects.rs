//! The objects of a big cluster by their numbers: each as it is sent to the API server, and its texts,
//! in which it differs from the others of its kind.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::Size;

/// The Services' ranges.
pub(super) const SERVICE_RANGES: &str = "10.96.0.0/12,fd00:96::/112";
/// Namespaces, which pods and Services are spread over.
pub(super) const NAMESPACES: usize = 50;

/// The first of the pods' addresses: 10.128.0.0/13, a /26 per node.
const PODS: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
/// Addresses of a node's /26.
const PER_NODE: usize = 64;
/// The first of the nodes' addresses.
const HOSTS: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 0);
/// Endpoints of a Service, per family.
const ENDPOINTS: usize = 3;
/// Where the pods' addresses of a node begin in its ranges.
const FIRST: usize = 2;

/// A kind of which there are so many that only the first goes through the API server.
#[expect(clippy::struct_field_names, reason = "`kind` is Kubernetes' word")]
pub(super) struct Kind {
    pub(super) kind: &'static str,
    pub(super) api_version: &'static str,
    /// `/api/v1/namespaces/{ns}/pods`, without namespace where there is none.
    pub(super) path: fn(&str) -> String,
    /// What stands before `namespace/name` in etcd.
    pub(super) key: &'static str,
    /// Whether the status is written by a request of its own.
    pub(super) status: bool,
    /// How many there are.
    pub(super) count: fn(Size) -> usize,
    /// The texts of one; the last is its uid, before it are namespace (or nothing) and name.
    pub(super) texts: fn(Size, usize) -> Vec<String>,
    /// One as it is sent, from its texts.
    pub(super) object: fn(&[String]) -> Value,
}

/// Everything that is there in great number and that nothing in the API server counts or numbers.
pub(super) const KINDS: [Kind; 3] = [
    Kind {
        kind: "Node",
        api_version: "v1",
        path: |_| "/api/v1/nodes".to_owned(),
        key: "/registry/minions/",
        status: true,
        count: |size| size.nodes,
        texts: node_texts,
        object: node,
    },
    Kind {
        kind: "Pod",
        api_version: "v1",
        path: |namespace| format!("/api/v1/namespaces/{namespace}/pods"),
        key: "/registry/pods/",
        status: true,
        count: Size::pods,
        texts: pod_texts,
        object: pod,
    },
    Kind {
        kind: "EndpointSlice",
        api_version: "discovery.k8s.io/v1",
        path: |namespace| format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"),
        key: "/registry/endpointslices/",
        status: false,
        count: |size| size.services * 2,
        texts: slice_texts,
        object: slice,
    },
];

/// A namespace's name.
pub(super) fn namespace(index: usize) -> String {
    format!("app{:02}", index % NAMESPACES)
}

/// A dual-stack Service; the API server gives it its addresses.
pub(super) fn service(index: usize) -> (String, Value) {
    let (namespace, name) = (namespace(index), app(index));
    let kind = if index % 10 == 3 { "NodePort" } else { "ClusterIP" };
    let object = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"type": kind, "ipFamilyPolicy": "RequireDualStack", "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    (format!("/api/v1/namespaces/{namespace}/services"), object)
}

fn app(index: usize) -> String {
    format!("svc-{index:05}")
}

fn node_name(index: usize) -> String {
    format!("node-{index:05}")
}

fn uid(index: usize) -> String {
    format!("{index:08x}-5eed-4000-8000-{index:012x}")
}

fn after(base: Ipv4Addr, offset: usize) -> String {
    Ipv4Addr::from(u32::from(base).saturating_add(u32::try_from(offset).unwrap_or(u32::MAX))).to_string()
}

fn segment(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// `fd00:128:0:NODE::/64` for the pods of a node.
fn pod_v6(node: usize, host: usize) -> String {
    Ipv6Addr::new(0xfd00, 0x128, 0, segment(node), 0, 0, 0, segment(host)).to_string()
}

fn pod_v4(node: usize, host: usize) -> String {
    after(PODS, node * PER_NODE + host)
}

fn host_v4(node: usize) -> String {
    after(HOSTS, node + 1)
}

fn host_v6(node: usize) -> String {
    Ipv6Addr::new(0xfd00, 0x172, 0, 0, 0, 0, 0, segment(node + 1)).to_string()
}

fn node_texts(_: Size, index: usize) -> Vec<String> {
    vec![
        String::new(),
        node_name(index),
        format!("{}/26", pod_v4(index, 0)),
        format!("{}/64", pod_v6(index, 0)),
        host_v4(index),
        host_v6(index),
        uid(index),
    ]
}

fn node(texts: &[String]) -> Value {
    let [_, name, v4, v6, host_v4, host_v6, ..] = texts else { return Value::Null };
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": "2026-11-23T00:00:00Z", "lastTransitionTime": "2026-11-01T00:00:00Z"})
    };
    let amounts = json!({"cpu": "8", "ephemeral-storage": "101430960Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        "memory": "32890620Ki", "pods": "60"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name,
            "labels": {"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "m8"},
            "annotations": {"node.alpha.kubernetes.io/ttl": "30",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
        "spec": {"podCIDR": v4, "podCIDRs": [v4, v6]},
        "status": {"capacity": amounts, "allocatable": amounts,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")],
            "addresses": [{"type": "InternalIP", "address": host_v4}, {"type": "InternalIP", "address": host_v6},
                {"type": "Hostname", "address": name}],
            "nodeInfo": {"machineID": "x", "systemUUID": "x", "bootID": "x", "kernelVersion": "6.8.0-45-generic",
                "osImage": "Ubuntu 24.04.1 LTS", "containerRuntimeVersion": "containerd://2.0.1",
                "kubeletVersion": "v1.36.3", "kubeProxyVersion": "", "operatingSystem": "linux",
                "architecture": "amd64"}},
    })
}

fn pod_texts(size: Size, index: usize) -> Vec<String> {
    let (node, place) = (index % size.nodes.max(1), index / size.nodes.max(1));
    let service = index % size.services.max(1);
    vec![
        namespace(service),
        format!("{}-7d9c6b8f5d-{index:06x}", app(service)),
        app(service),
        node_name(node),
        pod_v4(node, FIRST + place),
        pod_v6(node, FIRST + place),
        host_v4(node),
        host_v6(node),
        uid(index),
    ]
}

fn pod(texts: &[String]) -> Value {
    let [namespace, name, app, node, v4, v6, host_v4, host_v6, ..] = texts else { return Value::Null };
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z"});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "generateName": format!("{app}-7d9c6b8f5d-"),
            "labels": {"app": app, "pod-template-hash": "7d9c6b8f5d"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-7d9c6b8f5d"),
                "uid": "00000000-5eed-4000-9000-000000000000", "controller": true, "blockOwnerDeletion": true}]},
        "spec": {"nodeName": node,
            "containers": [{"name": "app", "image": "registry.example.com/team/app:1.2.3",
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "env": [{"name": "LOG", "value": "info"}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}}}]},
        "status": {"phase": "Running",
            "conditions": [condition("Initialized"), condition("Ready"), condition("ContainersReady"),
                condition("PodScheduled")],
            "hostIP": host_v4, "hostIPs": [{"ip": host_v4}, {"ip": host_v6}],
            "podIP": v4, "podIPs": [{"ip": v4}, {"ip": v6}], "startTime": "2026-11-01T00:00:00Z",
            "containerStatuses": [{"name": "app", "state": {"running": {"startedAt": "2026-11-01T00:00:00Z"}},
                "ready": true, "started": true, "restartCount": 0, "image": "registry.example.com/team/app:1.2.3",
                "imageID": format!("registry.example.com/team/app@sha256:{}", "a".repeat(64)),
                "containerID": format!("containerd://{}", "b".repeat(64))}]},
    })
}

/// Even numbers are slices of IPv4, odd ones of IPv6.
fn slice_texts(size: Size, index: usize) -> Vec<String> {
    let (service, six) = (index / 2, index % 2 == 1);
    let mut texts = vec![
        namespace(service),
        format!("{}-{}", app(service), if six { "six6s" } else { "four4" }),
        app(service),
        if six { "IPv6" } else { "IPv4" }.to_owned(),
    ];
    for endpoint in 0..ENDPOINTS {
        // the pods of this Service are those whose number leaves the Service's
        let pod = pod_texts(size, (service + endpoint * size.services) % size.pods().max(1));
        let [_, name, _, node, v4, v6, ..] = pod.as_slice() else { continue };
        texts.extend([if six { v6 } else { v4 }.clone(), node.clone(), name.clone()]);
    }
    texts.push(uid(index));
    texts
}

fn slice(texts: &[String]) -> Value {
    let [namespace, name, app, family, rest @ ..] = texts else { return Value::Null };
    let (pods, _) = rest.as_chunks::<3>();
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|[address, node, pod]| {
            json!({"addresses": [address], "nodeName": node,
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod}})
        })
        .collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"namespace": namespace, "name": name,
            "labels": {"kubernetes.io/service-name": app,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
        "addressType": family, "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]})
}
