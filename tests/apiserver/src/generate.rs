//! A large cluster that takes no memory: nodes, pods, Services and their addresses from templates.

use serde_json::json;

use crate::{Config, objects::Generated, slot};

/// How large a generated cluster is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Nodes, each with a /26 for pods.
    pub nodes: usize,
    /// Pods, spread evenly.
    pub pods: usize,
    /// Services, each with one address.
    pub services: usize,
}

/// Upstream's limits: 5,000 nodes, 150,000 pods; 10,000 Services.
pub const LARGE: Size = Size { nodes: 5_000, pods: 150_000, services: 10_000 };

/// Pods from 10.128.0.0/9, /26 per node; Services from 10.96.0.0/12; nodes from 172.16.0.0/12.
pub fn cluster(size: Size) -> Config {
    Config::new()
        .service_ranges(&["10.96.0.0/12"])
        .object(json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12"]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
        .generated(nodes(size))
        .generated(pods(size))
        .generated(services(size))
        .generated(ip_addresses(size))
}

/// The address that is `offset` after one of IPv4.
fn address(base: [u8; 4], offset: usize) -> String {
    let base = u32::from_be_bytes(base);
    std::net::Ipv4Addr::from(base + u32::try_from(offset).expect("an address of IPv4")).to_string()
}

const POD_BASE: [u8; 4] = [10, 128, 0, 0];
const NODE_BASE: [u8; 4] = [172, 16, 0, 0];
const SERVICE_BASE: [u8; 4] = [10, 96, 0, 0];
const PER_NODE: usize = 64;
const NAMESPACES: usize = 50;

fn uid(index: usize) -> String {
    format!("{index:08x}-5eed-4000-8000-{index:012x}")
}

fn nodes(size: Size) -> Generated {
    let (name, range, host, uid_slot) = (slot(0), slot(1), slot(2), slot(3));
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": "2026-11-23T00:00:00Z", "lastTransitionTime": "2026-11-01T00:00:00Z"})
    };
    let amounts = json!({"cpu": "8", "ephemeral-storage": "101430960Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        "memory": "32890620Ki", "pods": "60"});
    let template = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name.to_string(), "uid": uid_slot.to_string(), "resourceVersion": "700",
            "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name.to_string(),
                "kubernetes.io/os": "linux", "node.kubernetes.io/instance-type": "m8",
                "topology.kubernetes.io/region": "eu-1", "topology.kubernetes.io/zone": "eu-1a"},
            "annotations": {"node.alpha.kubernetes.io/ttl": "30",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": range.to_string(), "podCIDRs": [range.to_string()]},
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "addresses": [{"type": "InternalIP", "address": host.to_string()},
                {"type": "Hostname", "address": name.to_string()}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {"machineID": "x", "systemUUID": "x", "bootID": "x", "kernelVersion": "6.8.0-45-generic",
                "osImage": "Ubuntu 24.04.1 LTS", "containerRuntimeVersion": "containerd://2.0.1",
                "kubeletVersion": "v1.36.3", "kubeProxyVersion": "", "operatingSystem": "linux",
                "architecture": "amd64"},
        },
    });
    Generated::new(template, size.nodes, |index| {
        vec![
            format!("node-{index:05}"),
            format!("{}/26", address(POD_BASE, index * PER_NODE)),
            address(NODE_BASE, index + 1),
            uid(index),
        ]
    })
}

fn pods(size: Size) -> Generated {
    let (namespace, app, name, node, ip, host, uid_slot) =
        (slot(0), slot(1), slot(2), slot(3), slot(4), slot(5), slot(6));
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-01T00:00:00Z"});
    let template = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name.to_string(), "generateName": format!("{app}-7d9c6b8f5d-"), "namespace": namespace.to_string(),
            "uid": uid_slot.to_string(), "resourceVersion": "900", "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {"app": app.to_string(), "pod-template-hash": "7d9c6b8f5d"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-7d9c6b8f5d"),
                "uid": uid_slot.to_string(), "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                "time": "2026-11-01T00:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:app": {},
                    "f:pod-template-hash": {}}, "f:ownerReferences": {".": {}}}, "f:spec": {"f:containers": {
                    "k:{\"name\":\"app\"}": {".": {}, "f:env": {".": {}, "k:{\"name\":\"LOG\"}": {".": {}, "f:name": {},
                    "f:value": {}}}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:ports": {".": {}},
                    "f:readinessProbe": {".": {}}, "f:resources": {}}}, "f:dnsPolicy": {}, "f:restartPolicy": {}}}}],
        },
        "spec": {
            "containers": [{"name": "app", "image": "registry.example.com/team/app:1.2.3",
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "env": [{"name": "LOG", "value": "info"}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent"}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "nodeName": node.to_string(), "securityContext": {}, "schedulerName": "default-scheduler",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}],
            "priority": 0, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {
            "phase": "Running",
            "conditions": [condition("Initialized"), condition("Ready"), condition("ContainersReady"),
                condition("PodScheduled")],
            "hostIP": host.to_string(), "hostIPs": [{"ip": host.to_string()}],
            "podIP": ip.to_string(), "podIPs": [{"ip": ip.to_string()}], "startTime": "2026-11-01T00:00:00Z",
            "containerStatuses": [{"name": "app", "state": {"running": {"startedAt": "2026-11-01T00:00:00Z"}},
                "lastState": {}, "ready": true, "restartCount": 0, "image": "registry.example.com/team/app:1.2.3",
                "imageID": format!("registry.example.com/team/app@sha256:{}", "a".repeat(64)),
                "containerID": format!("containerd://{}", "b".repeat(64)), "started": true}],
            "qosClass": "Burstable",
        },
    });
    let per_namespace = size.pods.div_ceil(NAMESPACES).max(1);
    Generated::new(template, size.pods, move |index| {
        let app = format!("svc-{:05}", index % size.services.max(1));
        let (node, place) = (index % size.nodes.max(1), index / size.nodes.max(1));
        vec![
            format!("app{:02}", index / per_namespace),
            app,
            format!("pod-{index:06}-7d9c6b8f5d"),
            format!("node-{node:05}"),
            address(POD_BASE, node * PER_NODE + 2 + place),
            address(NODE_BASE, node + 1),
            uid(index),
        ]
    })
}

fn services(size: Size) -> Generated {
    let (namespace, name, ip, uid_slot) = (slot(0), slot(1), slot(2), slot(3));
    let template = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name.to_string(), "namespace": namespace.to_string(), "uid": uid_slot.to_string(),
            "resourceVersion": "800", "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {"app": name.to_string()}},
        "spec": {"ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
            "selector": {"app": name.to_string()}, "clusterIP": ip.to_string(), "clusterIPs": [ip.to_string()],
            "type": "ClusterIP", "sessionAffinity": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster"},
        "status": {"loadBalancer": {}},
    });
    let per_namespace = size.services.div_ceil(NAMESPACES).max(1);
    Generated::new(template, size.services, move |index| {
        vec![
            format!("app{:02}", index / per_namespace),
            format!("svc-{index:05}"),
            address(SERVICE_BASE, index + 1),
            uid(index),
        ]
    })
}

/// In the order of their names, as the real server has them: by text, not by number.
fn ip_addresses(size: Size) -> Generated {
    let (ip, namespace, name, uid_slot) = (slot(0), slot(1), slot(2), slot(3));
    let template = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {"name": ip.to_string(), "uid": uid_slot.to_string(), "resourceVersion": "800",
            "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}},
        "spec": {"parentRef": {"resource": "services", "namespace": namespace.to_string(), "name": name.to_string()}},
    });
    let mut addresses: Vec<(String, usize)> =
        (0..size.services).map(|index| (address(SERVICE_BASE, index + 1), index)).collect();
    addresses.sort();
    let per_namespace = size.services.div_ceil(NAMESPACES).max(1);
    Generated::new(template, size.services, move |place| {
        let (ip, index) = addresses.get(place).cloned().unwrap_or_default();
        vec![ip, format!("app{:02}", index / per_namespace), format!("svc-{index:05}"), uid(index)]
    })
}
