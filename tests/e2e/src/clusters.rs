//! The clusters that suites are run against.

use std::fs;

use apiserver::{Config, load};
use serde_json::{Value, json};

use crate::fixtures;

/// The service ranges of the captured cluster.
pub const SERVICE_RANGES: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];

/// The captured three-node cluster (`tests/fixtures/captures/cluster3-exec`), with the ServiceCIDR and
/// the IPAddress objects that such a cluster has and that were not captured.
pub fn captured() -> Config {
    let folder = fixtures().join("captures/cluster3-exec");
    let mut config = Config::new()
        .service_ranges(&SERVICE_RANGES)
        .object(service_cidr("kubernetes", &SERVICE_RANGES))
        .objects(ip_addresses(&load(&folder.join("services.json"))));
    for file in fs::read_dir(&folder).expect("the capture").map(|entry| entry.expect("a file").path()) {
        if file.is_file() {
            config = config.load(&file);
        }
    }
    for node in ["node1", "node2", "node3"] {
        let configz = fs::read(folder.join(node).join("kubelet-configz.json")).expect("a capture");
        config = config.configz(node, serde_json::from_slice(&configz).expect("JSON"));
    }
    config
}

/// A ServiceCIDR that is ready.
pub fn service_cidr(name: &str, cidrs: &[&str]) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": name},
        "spec": {"cidrs": cidrs},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "", "lastTransitionTime":
            "2026-01-01T00:00:00Z", "message": "Kubernetes Service CIDR is ready"}]}})
}

/// The IPAddress objects that the allocator keeps for Services.
pub fn ip_addresses(services: &[Value]) -> Vec<Value> {
    let mut objects = Vec::new();
    for service in services.iter().filter(|object| object["kind"] == "Service") {
        for address in service["spec"]["clusterIPs"].as_array().into_iter().flatten() {
            let Some(address) = address.as_str().filter(|address| *address != "None") else { continue };
            let family = if address.contains(':') { "IPv6" } else { "IPv4" };
            objects.push(json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
                "metadata": {"name": address, "labels": {"ipaddress.kubernetes.io/ip-family": family,
                    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}},
                "spec": {"parentRef": {"resource": "services", "namespace": service["metadata"]["namespace"],
                    "name": service["metadata"]["name"]}},
            }));
        }
    }
    objects
}

/// A small kubeadm cluster with flannel: made, from what kubeadm and flannel write.
pub fn kubeadm() -> Config {
    let manifest = |component: &str, arguments: &[&str]| {
        let command: Vec<&str> = std::iter::once(component).chain(arguments.iter().copied()).collect();
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{component}-cp1"), "namespace": "kube-system",
                "labels": {"component": component, "tier": "control-plane"}},
            "spec": {"nodeName": "cp1", "hostNetwork": true,
                "containers": [{"name": component, "image": "registry.example.com/component:v1.36.3", "command": command}]},
            "status": {"phase": "Running", "podIP": "192.168.1.10", "podIPs": [{"ip": "192.168.1.10"}]}})
    };
    let node = |name: &str, address: &str, range: &str| {
        json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "annotations": {"flannel.alpha.coreos.com/backend-type": "vxlan",
                "flannel.alpha.coreos.com/kube-subnet-manager": "true", "flannel.alpha.coreos.com/public-ip": address}},
            "spec": {"podCIDR": range, "podCIDRs": [range]},
            "status": {"capacity": {"pods": "110"}, "allocatable": {"pods": "110"},
                "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}],
                "nodeInfo": {"kubeletVersion": "v1.36.3", "kernelVersion": "6.1.0", "osImage": "Debian GNU/Linux 12",
                    "containerRuntimeVersion": "containerd://2.0.1", "machineID": "", "systemUUID": "", "bootID": "",
                    "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64"}}})
    };
    let config_map = |namespace: &str, name: &str, key: &str, text: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name},
            "data": {key: text}})
    };
    let service = |namespace: &str, name: &str, address: &str, port: u16| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name},
            "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack", "ports": [{"port": port, "protocol": "TCP", "targetPort": port}]},
            "status": {"loadBalancer": {}}})
    };
    let pod = |name: &str, node: &str, address: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "default", "name": name},
            "spec": {"nodeName": node, "containers": [{"name": "web", "image": "registry.example.com/web:1"}]},
            "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}})
    };
    let services = [
        service("default", "kubernetes", "10.96.0.1", 443),
        service("default", "web", "10.96.31.7", 80),
        service("kube-system", "kube-dns", "10.96.0.10", 53),
    ];
    Config::new()
        .service_ranges(&["10.96.0.0/12"])
        .object(service_cidr("kubernetes", &["10.96.0.0/12"]))
        .objects(ip_addresses(&services))
        .objects(services)
        .object(json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "kube-system", "uid": "5a0f9a52-7a5e-4f0c-9a3d-0123456789ab"}}))
        .object(manifest(
            "kube-apiserver",
            &["--advertise-address=192.168.1.10", "--service-cluster-ip-range=10.96.0.0/12", "--secure-port=6443"],
        ))
        .object(manifest(
            "kube-controller-manager",
            &["--allocate-node-cidrs=true", "--cluster-cidr=10.244.0.0/16", "--service-cluster-ip-range=10.96.0.0/12"],
        ))
        .object(node("cp1", "192.168.1.10", "10.244.0.0/24"))
        .object(node("worker1", "192.168.1.11", "10.244.1.0/24"))
        .object(pod("web-0", "worker1", "10.244.1.2"))
        .object(pod("web-1", "worker1", "10.244.1.3"))
        .object(config_map(
            "kube-system",
            "kubeadm-config",
            "ClusterConfiguration",
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.3\nnetworking:\n  \
             dnsDomain: cluster.local\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12\n",
        ))
        .object(config_map(
            "kube-system",
            "kube-proxy",
            "config.conf",
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: 10.244.0.0/16\nmode: \"\"\n",
        ))
        .object(config_map(
            "kube-flannel",
            "kube-flannel-cfg",
            "net-conf.json",
            "{\"Network\": \"10.244.0.0/16\", \"EnableNFTables\": false, \"Backend\": {\"Type\": \"vxlan\"}}\n",
        ))
        .object(daemon_set(
            ("kube-system", "kube-proxy"),
            &["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"],
            "kube-proxy",
        ))
        .object(daemon_set(
            ("kube-flannel", "kube-flannel-ds"),
            &["/opt/bin/flanneld", "--ip-masq", "--kube-subnet-mgr"],
            "kube-flannel-cfg",
        ))
        .configz("cp1", configz())
        .configz("worker1", configz())
}

/// What matters of a kubelet's configuration.
fn configz() -> Value {
    json!({"kubeletconfig": {"maxPods": 110, "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local"}})
}

/// A DaemonSet that mounts a ConfigMap.
fn daemon_set((namespace, name): (&str, &str), command: &[&str], config_map: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"matchLabels": {"k8s-app": name}}, "template": {"metadata": {"labels": {"k8s-app": name}},
            "spec": {"containers": [{"name": name, "image": format!("registry.example.com/{name}:1"),
                "command": command}],
                "volumes": [{"name": "config", "configMap": {"name": config_map}}]}}},
        "status": {"currentNumberScheduled": 2, "desiredNumberScheduled": 2, "numberReady": 2, "numberMisscheduled": 0}})
}
