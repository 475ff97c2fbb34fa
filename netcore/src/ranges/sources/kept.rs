//! Which labels and annotations of nodes are read; a recording holds no others.

const ANNOTATIONS: &[&str] = &[
    "flannel.alpha.coreos.com/",
    "io.cilium.network.",
    "k3s.io/internal-ip",
    "k3s.io/node-args",
    "k8s.ovn.org/",
    "kube-router.io/",
    "kubeadm.alpha.kubernetes.io/",
    "network.cilium.io/",
    "networking.gke.io/",
    "node.antrea.io/",
    "ovn.kubernetes.io/",
    "projectcalico.org/",
    "rke2.io/internal-ip",
    "rke2.io/node-args",
];

const LABELS: &[&str] = &[
    "alpha.eksctl.io/cluster-name",
    "cloud.google.com/gke-",
    "eks.amazonaws.com/",
    "karpenter.sh/nodepool",
    "kops.k8s.io/instancegroup",
    "kubernetes.azure.com/cluster",
    "microk8s.io/cluster",
    "minikube.k8s.io/name",
    "node-role.kubernetes.io/",
    "node.kubernetes.io/instance-type",
    "node.kubernetes.io/microk8s-",
    "node.k0sproject.io/role",
    "node.openshift.io/os_id",
    "rke.cattle.io/machine",
    "topology.kubernetes.io/zone",
];

/// Whether some source reads that annotation of a node.
pub fn annotation(key: &str) -> bool {
    ANNOTATIONS.iter().any(|kept| key.starts_with(kept))
}

/// Whether some source reads that label of a node.
pub fn label(key: &str) -> bool {
    LABELS.iter().any(|kept| key.starts_with(kept))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_may_hold_secrets_is_not_kept() {
        assert!(super::annotation("k3s.io/node-args"));
        assert!(!super::annotation("k3s.io/node-env"));
        assert!(!super::annotation("kubectl.kubernetes.io/last-applied-configuration"));
        assert!(!super::label("example.com/owner"));
    }
}
