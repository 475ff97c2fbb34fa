//! Which distribution a node is of, by what it leaves there.

use super::wire;

/// By the suffix of a version: `v1.36.1+k3s1`.
pub fn of_version(version: &str) -> Option<&'static str> {
    const SUFFIXES: [(&str, &str); 6] =
        [("+k3s", "k3s"), ("+rke2", "rke2"), ("+k0s", "k0s"), ("-eks-", "eks"), ("-gke.", "gke"), ("+vmware", "tkg")];
    SUFFIXES.iter().find(|(suffix, _)| version.contains(suffix)).map(|(_, name)| *name)
}

/// Labels' starts and what they tell.
const LABELS: [(&str, &str); 11] = [
    ("eks.amazonaws.com/", "eks"),
    ("alpha.eksctl.io/", "eks"),
    ("cloud.google.com/gke-", "gke"),
    ("kubernetes.azure.com/cluster", "aks"),
    ("node.openshift.io/", "openshift"),
    ("microk8s.io/cluster", "microk8s"),
    ("node.kubernetes.io/microk8s-", "microk8s"),
    ("minikube.k8s.io/", "minikube"),
    ("node.k0sproject.io/", "k0s"),
    ("kops.k8s.io/", "kops"),
    ("rke.cattle.io/", "rke2"),
];

/// The distribution that a node's labels, provider or versions tell, and what tells it.
pub fn of_node(node: &wire::Node) -> Option<(&'static str, String)> {
    let metadata = node.metadata.as_ref()?;
    let says = |what: &str| format!("node {}: {what}", metadata.name);
    let mut labels: Vec<&String> = metadata.labels.keys().collect();
    labels.sort();
    for label in labels {
        if let Some((_, name)) = LABELS.iter().find(|(start, _)| label.starts_with(start)) {
            return Some((name, says(&format!("label {label}"))));
        }
    }
    let provider = node.spec.as_ref().map(|spec| spec.provider_id.as_str()).unwrap_or_default();
    if provider.starts_with("kind://") {
        return Some(("kind", says(&format!("providerID {provider}"))));
    }
    if let Some(info) = node.status.as_ref().and_then(|status| status.node_info.as_ref()) {
        if info.os_image.starts_with("Talos") {
            return Some(("talos", says(&format!("osImage {}", info.os_image))));
        }
        if let Some(name) = of_version(&info.kubelet_version) {
            return Some((name, says(&format!("kubelet {}", info.kubelet_version))));
        }
    }
    // last: kubeadm builds many of the above, too
    let kubeadm = metadata.annotations.keys().find(|key| key.starts_with("kubeadm.alpha.kubernetes.io/"))?;
    Some(("kubeadm", says(&format!("annotation {kubeadm}"))))
}
