//! Which distribution this is, by what it leaves on its nodes. Its defaults are hints, never facts.

use crate::{
    cluster::wire,
    ranges::{Facts, Given, Source, Want},
};

/// Signs of distributions.
pub(super) struct Distribution;

impl Source for Distribution {
    fn name(&self) -> &'static str {
        "distribution"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        Vec::new()
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Node(node) = given else { return };
        let Some((name, why)) = of_node(node) else { return };
        if !facts.distributions.iter().any(|(known, _)| *known == name) {
            facts.distributions.push((name, why));
        }
    }

    fn finish(&self, facts: &mut Facts) {
        let version = facts.version.as_deref().and_then(of_version);
        if let (true, Some(name)) = (facts.distributions.is_empty(), version) {
            let why = format!("/version {}", facts.version.as_deref().unwrap_or_default());
            facts.distributions.push((name, why));
        }
        facts.distributions.sort();
    }
}

/// By the suffix of a version: `v1.36.1+k3s1`.
fn of_version(version: &str) -> Option<&'static str> {
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

fn of_node(node: &wire::Node) -> Option<(&'static str, String)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Vec<(&'static str, String)> {
        let node: wire::Node = serde_json::from_str(json).unwrap();
        let mut facts = Facts::default();
        Distribution.take(Given::Node(&node), &mut facts);
        Distribution.finish(&mut facts);
        facts.distributions
    }

    #[test]
    fn signs_on_nodes() {
        let labelled = read(r#"{"metadata":{"name":"a","labels":{"eks.amazonaws.com/nodegroup":"x"}}}"#);
        assert_eq!(labelled, [("eks", "node a: label eks.amazonaws.com/nodegroup".to_owned())]);
        let kind = r#"{"metadata":{"name":"a","annotations":{"kubeadm.alpha.kubernetes.io/cri-socket":"x"}},"spec":{"providerID":"kind://docker/kind/a"}}"#;
        assert_eq!(read(kind)[0].0, "kind");
        assert_eq!(
            read(r#"{"metadata":{"name":"a"},"status":{"nodeInfo":{"kubeletVersion":"v1.33.1+k3s1"}}}"#)[0].0,
            "k3s"
        );
        assert_eq!(
            read(r#"{"metadata":{"name":"a"},"status":{"nodeInfo":{"osImage":"Talos (v1.9.1)"}}}"#)[0].0,
            "talos"
        );
        assert!(read(r#"{"metadata":{"name":"a"},"status":{"nodeInfo":{"kubeletVersion":"v1.36.2"}}}"#).is_empty());
    }
}
