//! Who forwards Services in kube-proxy's place, and what else of a network plugin a switch of modes
//! touches.

use serde_json::Value;

use super::facts::{Facts, Replacement};
use crate::{
    cluster::Resource,
    ranges::sources::object,
    text::{scalar, yaml},
};

/// Takes an object that may tell.
pub(super) fn take(resource: &'static Resource, whole: &Value, facts: &mut Facts) {
    let title = object::title(resource, whole);
    let name = object::name(whole);
    let says = |path: &str| scalar(whole.pointer(path));
    let mut replaces = |by, whole, why: String| {
        facts.replacements.insert(Replacement { by, why, whole });
    };
    match resource.kind {
        "ConfigMap" if name == "cilium-config" => {
            let value = says("/data/kube-proxy-replacement");
            let why = format!("{title} data.kube-proxy-replacement: {value}");
            match value.as_str() {
                "true" | "strict" => replaces("Cilium", true, why),
                "partial" | "probe" => replaces("Cilium", false, why),
                _ => {}
            }
        }
        "ConfigMap" if name.starts_with("antrea-config") => {
            let document = yaml(&says("/data/antrea-agent.conf")).ok().flatten().unwrap_or_default();
            if document.pointer("/antreaProxy/proxyAll") == Some(&Value::Bool(true)) {
                replaces("Antrea", false, format!("{title} data.antrea-agent.conf: antreaProxy.proxyAll: true"));
            }
        }
        "FelixConfiguration" if name == "default" => {
            if whole.pointer("/spec/bpfEnabled") == Some(&Value::Bool(true)) {
                replaces("Calico eBPF", true, format!("{title} spec.bpfEnabled: true"));
            }
            let mode = says("/spec/nftablesMode");
            if !mode.is_empty() {
                facts.settings.insert("felix-nftables-mode", (mode, format!("{title} spec.nftablesMode")));
            }
        }
        "Installation" => {
            let dataplane = says("/spec/calicoNetwork/linuxDataplane");
            if dataplane == "BPF" {
                replaces("Calico eBPF", true, format!("{title} spec.calicoNetwork.linuxDataplane: BPF"));
            }
            if !dataplane.is_empty() {
                facts
                    .settings
                    .insert("calico-dataplane", (dataplane, format!("{title} spec.calicoNetwork.linuxDataplane")));
            }
        }
        "Network" if resource.group == "operator.openshift.io" => {
            let kind = says("/spec/defaultNetwork/type");
            let deployed = whole.pointer("/spec/deployKubeProxy") == Some(&Value::Bool(true));
            if kind == "OVNKubernetes" && !deployed {
                replaces("OVN-Kubernetes", true, format!("{title} spec.defaultNetwork.type: {kind}"));
            }
            facts.distributions.insert("openshift", title);
        }
        "DaemonSet" => take_daemonset(&title, name, whole, facts),
        _ => {}
    }
}

fn take_daemonset(title: &str, name: &str, whole: &Value, facts: &mut Facts) {
    if name == "anetd" {
        let why = format!("{title}: GKE Dataplane V2");
        facts.replacements.insert(Replacement { by: "Cilium", why, whole: true });
    }
    for (path, container) in object::containers(whole) {
        let image = scalar(container.get("image"));
        let image = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let image = image.split(':').next().unwrap_or_default();
        match image {
            "kube-router" => {
                let arguments = object::container_arguments(&path, container);
                // on unless it is turned off
                let proxies = arguments.get("run-service-proxy").is_none_or(|argument| argument.value != "false");
                if proxies {
                    let why = format!("{title} {path}: --run-service-proxy");
                    facts.replacements.insert(Replacement { by: "kube-router", why, whole: true });
                }
            }
            "kube-vip" => {
                facts.settings.insert("kube-vip", (String::new(), title.to_owned()));
            }
            "node" if name == "calico-node" || name == "canal" => {
                let version = super::version::of_image(&scalar(container.get("image")), &["node"]).unwrap_or_default();
                facts.settings.insert("calico-version", (version, title.to_owned()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::resources;

    fn replaced(resource: &'static Resource, object: &Value) -> Vec<(&'static str, bool)> {
        let mut facts = Facts::default();
        facts.take_object(resource, object);
        facts.replacements.iter().map(|replacement| (replacement.by, replacement.whole)).collect()
    }

    #[test]
    fn those_that_forward_in_kube_proxys_place() {
        let cilium = |value: &str| json!({"metadata": {"name": "cilium-config", "namespace": "kube-system"}, "data": {"kube-proxy-replacement": value}});
        assert_eq!(replaced(&resources::CONFIGMAPS, &cilium("true")), [("Cilium", true)]);
        assert_eq!(replaced(&resources::CONFIGMAPS, &cilium("partial")), [("Cilium", false)]);
        assert_eq!(replaced(&resources::CONFIGMAPS, &cilium("false")), []);
        let felix = |on: bool| json!({"metadata": {"name": "default"}, "spec": {"bpfEnabled": on}});
        assert_eq!(replaced(&resources::CALICO_FELIXCONFIGURATIONS_V1, &felix(true)), [("Calico eBPF", true)]);
        assert_eq!(replaced(&resources::CALICO_FELIXCONFIGURATIONS_V1, &felix(false)), []);
        let bpf = json!({"metadata": {"name": "default"}, "spec": {"calicoNetwork": {"linuxDataplane": "BPF"}}});
        assert_eq!(replaced(&resources::TIGERA_INSTALLATIONS, &bpf), [("Calico eBPF", true)]);
        let antrea = json!({"metadata": {"name": "antrea-config", "namespace": "kube-system"},
            "data": {"antrea-agent.conf": "antreaProxy:\n  proxyAll: true\n"}});
        assert_eq!(replaced(&resources::CONFIGMAPS, &antrea), [("Antrea", false)]);
        let ovn = json!({"metadata": {"name": "cluster"}, "spec": {"defaultNetwork": {"type": "OVNKubernetes"}}});
        assert_eq!(replaced(&resources::OPENSHIFT_OPERATOR_NETWORKS, &ovn), [("OVN-Kubernetes", true)]);
        let router = |flag: &str| {
            json!({"metadata": {"name": "kube-router", "namespace": "kube-system"}, "spec": {"template": {"spec": {
                "containers": [{"name": "kube-router", "image": "cloudnativelabs/kube-router:v2.6", "args": [flag]}]}}}})
        };
        assert_eq!(replaced(&resources::DAEMONSETS, &router("--run-service-proxy=true")), [("kube-router", true)]);
        assert_eq!(replaced(&resources::DAEMONSETS, &router("--run-service-proxy=false")), []);
    }
}
