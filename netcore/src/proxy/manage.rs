//! Who keeps kube-proxy's configuration: whether a change through the API stays, and what is to be
//! changed where it does not.

use super::{
    configured::Told,
    facts::{Facts, Workload},
};

/// The distribution, by its nodes and by what it calls kube-proxy's configuration.
pub(super) fn distribution(facts: &Facts) -> Option<String> {
    let known: Vec<&str> = facts.distributions.keys().copied().filter(|name| *name != "kubeadm").collect();
    let named =
        |namespace: &str, name: &str| facts.configurations.iter().any(|c| c.namespace == namespace && c.name == name);
    let proxy = || facts.workloads.iter();
    let says = |word: &str| proxy().any(|workload| workload.managers.iter().any(|manager| manager.contains(word)));
    let found = match known.as_slice() {
        [one] => one,
        [] if proxy().any(|workload| workload.namespace == "openshift-kube-proxy") => "openshift",
        [] if says("Gardener") => "gardener",
        [] if says("k0s") => "k0s",
        [] if says("talos") => "talos",
        [] if named("kube-system", "kube-proxy-config") => "eks",
        [] if facts
            .nodes
            .values()
            .any(|n| n.node_args.as_ref().is_some_and(|(name, _)| *name == "k3s.io/node-args")) =>
        {
            "k3s"
        }
        [] if facts.nodes.values().any(|n| n.node_args.is_some()) => "rke2",
        [] if facts.distributions.contains_key("kubeadm") || named("kube-system", "kube-proxy") => "kubeadm",
        _ => return None,
    };
    Some(found.to_owned())
}

/// Whether the mode can be changed through the API to stay, and why, or what is to be changed instead.
pub(super) fn switchable(facts: &Facts, distribution: Option<&str>, told: Option<&Told<'_>>) -> (bool, String) {
    let instead = facts.replacements.iter().find(|replacement| replacement.whole && facts.pods.is_empty());
    if let Some(replacement) = instead {
        return (false, format!("{} forwards Services here, not kube-proxy: {}", replacement.by, replacement.why));
    }
    if let Some(steps) = distribution.and_then(|name| steps(facts, name, "MODE")) {
        return (false, steps);
    }
    let config = told.and_then(|told| told.configuration);
    if let Some(config) = config.filter(|config| config.immutable) {
        return (false, format!("{} is immutable: make another one and have the DaemonSet mount it", config.title));
    }
    let managers = facts.workloads.iter().flat_map(|workload| &workload.managers);
    let managers = managers.chain(config.iter().flat_map(|config| &config.managers));
    if let Some(manager) = managers.into_iter().next() {
        return (false, format!("{manager} manages it and would revert an edit: change it there"));
    }
    match told {
        Some(told) if told.configuration.is_some() && distribution == Some("kubeadm") => {
            (true, format!("kube-proxy reads {}; where kubespray made it, set its kube_proxy_mode too", told.source))
        }
        Some(told) if told.configuration.is_some() => (true, format!("kube-proxy reads {}", told.source)),
        Some(told) if told.source.kind == "DaemonSet" => {
            (true, format!("the flag --proxy-mode of {} decides", told.source))
        }
        Some(told) => (false, format!("{} is made by a file on the node: edit that file on each node", told.source)),
        None => (false, "where the mode is set is not known".to_owned()),
    }
}

/// What is to be done on a distribution whose mode the API cannot change to stay.
pub fn steps(facts: &Facts, distribution: &str, mode: &str) -> Option<String> {
    let eks_addon = |workload: &Workload| workload.managers.iter().any(|manager| manager.starts_with("eks"));
    Some(match distribution {
        "k3s" | "rke2" => format!(
            "{distribution} starts kube-proxy from its own arguments: on each node set `kube-proxy-arg: [\"proxy-mode={mode}\"]` in \
             /etc/rancher/{distribution}/config.yaml and restart its service"
        ),
        "microk8s" => format!(
            "MicroK8s reads a file: on each node set `--proxy-mode={mode}` in \
             /var/snap/microk8s/current/args/kube-proxy and run `snap restart microk8s`"
        ),
        "gke" => "GKE runs kube-proxy from a static pod and offers no setting; the mode is fixed with the cluster's dataplane".to_owned(),
        "aks" => format!(
            "AKS reverts edits in the cluster: `az aks update --kube-proxy-config FILE` with mode {} (preview feature \
             KubeProxyConfigurationPreview)",
            mode.to_uppercase()
        ),
        "talos" => format!(
            "Talos writes kube-proxy's manifests from the machine configuration: set the mode there ({mode}: KubeProxyConfig.mode, \
             before 1.14 cluster.proxy.mode) and run `talosctl upgrade-k8s`"
        ),
        "k0s" => format!("k0s reverts edits: set spec.network.kubeProxy.mode: {mode} in its ClusterConfig"),
        "openshift" => format!(
            "the network operator reverts edits: set spec.kubeProxyConfig.proxyArguments[\"proxy-mode\"]: [\"{mode}\"] in \
             networks.operator.openshift.io cluster"
        ),
        "gardener" => format!("Gardener reverts edits: set spec.kubernetes.kubeProxy.mode: {mode} in the Shoot"),
        "eks" if facts.workloads.is_empty() || facts.workloads.iter().any(eks_addon) => format!(
            "the EKS add-on may overwrite an edit: `aws eks update-addon --addon-name kube-proxy --configuration-values \
             '{{\"mode\":\"{mode}\"}}' --resolve-conflicts OVERWRITE`"
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_that_revert_an_edit_name_what_is_to_be_changed() {
        for name in ["k3s", "rke2", "microk8s", "gke", "aks", "talos", "k0s", "openshift", "gardener"] {
            let mut facts = Facts::default();
            facts.distributions.insert(name, "a sign".to_owned());
            let found = distribution(&facts);
            assert_eq!(found.as_deref(), Some(name));
            let (switchable, why) = switchable(&facts, found.as_deref(), None);
            assert!(!switchable && !why.contains("not known"), "{name}: {why}");
        }
        for name in ["kubeadm", "kind", "minikube"] {
            assert_eq!(steps(&Facts::default(), name, "ipvs"), None);
        }
    }

    #[test]
    fn an_eks_cluster_without_the_add_on_can_be_switched() {
        let mut facts = Facts::default();
        facts.workloads.push(Workload::default());
        assert_eq!(steps(&facts, "eks", "ipvs"), None);
        facts.workloads[0].managers.insert("eks".to_owned());
        assert!(steps(&facts, "eks", "ipvs").unwrap().contains("update-addon"));
    }
}
