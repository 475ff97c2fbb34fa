use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::{ReadStatus, resources},
    finding::Severity,
    probe::Probe,
    proxy::report::report,
    ranges::Want,
};

/// A kubeadm cluster of two nodes in iptables mode, read whole.
struct Made {
    nodes: Vec<Value>,
    command: Vec<&'static str>,
    config: String,
    pods: Vec<Value>,
    objects: Vec<(&'static crate::cluster::Resource, Value)>,
    probes: Vec<(&'static str, Probe, String)>,
    version: &'static str,
}

fn pod(node: &str, image: &str) -> Value {
    json!({"metadata": {"namespace": "kube-system", "name": format!("kube-proxy-{node}")},
        "spec": {"nodeName": node, "containers": [{"name": "kube-proxy", "image": image,
            "command": ["kube-proxy", "--config=/c/config.conf", "--hostname-override=$(NODE_NAME)"],
            "volumeMounts": [{"name": "c", "mountPath": "/c"}]}],
            "volumes": [{"name": "c", "configMap": {"name": "kube-proxy"}}]},
        "status": {"containerStatuses": [{"name": "kube-proxy", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-11-24T00:00:00Z"}}}]}})
}

fn node(name: &str) -> Value {
    json!({"metadata": {"name": name, "annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "x"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"operatingSystem": "linux", "kernelVersion": "6.1.0-18-amd64", "osImage": "Debian"}}})
}

const IMAGE: &str = "registry.k8s.io/kube-proxy:v1.36.3";

impl Made {
    fn new() -> Self {
        let mut made = Self {
            nodes: vec![node("n1"), node("n2")],
            command: vec!["kube-proxy", "--config=/c/config.conf", "--hostname-override=$(NODE_NAME)"],
            config: "kind: KubeProxyConfiguration\nmode: iptables\nclusterCIDR: 10.244.0.0/16\n".to_owned(),
            pods: vec![pod("n1", IMAGE), pod("n2", IMAGE)],
            objects: Vec::new(),
            probes: Vec::new(),
            version: "v1.36.3",
        };
        for name in ["n1", "n2"] {
            made.probe(name, Probe::ProxyMode, "iptables");
            made.probe(name, Probe::Configz, &configz("iptables", name, "10.244.0.0/16"));
            made.probe(name, Probe::IptablesSave, RULES);
        }
        made
    }

    fn probe(&mut self, node: &'static str, probe: Probe, text: &str) {
        self.probes.retain(|(name, known, _)| (*name, *known) != (node, probe));
        self.probes.push((node, probe, text.to_owned()));
    }

    fn forget(&mut self, node: &str) {
        self.probes.retain(|(name, ..)| *name != node);
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts { version: Some(self.version.to_owned()), ..Facts::default() };
        for node in &self.nodes {
            facts.take_node(&serde_json::from_value(node.clone()).unwrap());
        }
        let daemonset = json!({"metadata": {"namespace": "kube-system", "name": "kube-proxy"}, "spec": {
            "selector": {"matchLabels": {"k8s-app": "kube-proxy"}}, "template": {"spec": {"containers": [
            {"name": "kube-proxy", "image": IMAGE, "command": self.command,
                "volumeMounts": [{"name": "c", "mountPath": "/c"}]}],
            "volumes": [{"name": "c", "configMap": {"name": "kube-proxy"}}]}}}});
        facts.take_object(&resources::DAEMONSETS, &daemonset);
        let map = json!({"metadata": {"namespace": "kube-system", "name": "kube-proxy"},
            "data": {"config.conf": self.config}});
        facts.take_object(&resources::CONFIGMAPS, &map);
        for pod in &self.pods {
            facts.take_object(&resources::PODS, pod);
        }
        for (resource, object) in &self.objects {
            facts.take_object(resource, object);
        }
        for (node, probe, text) in &self.probes {
            facts.take_probe(Some(node), *probe, text, "file");
        }
        let pods = Want::labelled(&resources::PODS, "kube-system", "k8s-app=kube-proxy");
        facts.reads.insert(pods, ReadStatus::Complete);
        facts.reads.insert(Want::list(&resources::DAEMONSETS), ReadStatus::Complete);
        facts
    }

    fn found(&self) -> Vec<Finding> {
        let facts = self.facts();
        run(&facts, &report(&facts, &|_| true)).0
    }

    /// The ids that are found, with their severities; every one but these would be one too many.
    fn ids(&self) -> Vec<(String, Severity)> {
        self.found().into_iter().map(|finding| (finding.id, finding.severity)).collect()
    }
}

fn configz(mode: &str, name: &str, cidr: &str) -> String {
    json!({"kubeproxy.config.k8s.io": {"mode": mode, "hostnameOverride": name, "clusterCIDR": cidr}}).to_string()
}

const RULES: &str = "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n\
    -A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC-A\nCOMMIT\n*filter\n:KUBE-FIREWALL - [0:0]\n\
    :KUBE-EXTERNAL-SERVICES - [0:0]\nCOMMIT\n*mangle\n:KUBE-KUBELET-CANARY - [0:0]\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n";

fn one(id: &str, severity: Severity) -> Vec<(String, Severity)> {
    vec![(id.to_owned(), severity)]
}

use Severity::{Error, Info, Warning};

#[test]
fn a_healthy_cluster_is_silent() {
    assert_eq!(Made::new().found(), []);
}

#[test]
fn ids_are_documented_once_and_in_order() {
    let ids: Vec<&str> = ALL.iter().copied().flatten().map(|check| check.doc.id).collect();
    let numbers: Vec<String> = (1..=ids.len()).map(|number| format!("PROXY-{number:03}")).collect();
    assert_eq!(ids, numbers);
}

#[test]
fn another_mode_than_configured() {
    let mut made = Made::new();
    made.config = made.config.replace("iptables", "nftables");
    assert_eq!(made.ids(), one("PROXY-001", Warning));
    let found = made.found();
    assert_eq!(
        (found[0].subject.as_str(), found[0].message.as_str()),
        ("n1, n2", "runs iptables, is configured for nftables")
    );
}

#[test]
fn signs_that_disagree() {
    let mut made = Made::new();
    made.probe("n1", Probe::IptablesSave, "");
    made.probe("n1", Probe::NftRuleset, "table ip kube-proxy {\n}\n");
    let ids = made.ids();
    assert!(ids.contains(&("PROXY-002".to_owned(), Warning)), "{ids:?}");
}

#[test]
fn a_kube_proxy_that_does_not_run() {
    let mut made = Made::new();
    made.forget("n1");
    made.pods[0]["status"]["containerStatuses"][0] = json!({"name": "kube-proxy", "ready": false, "restartCount": 14,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
    assert_eq!(made.ids(), one("PROXY-003", Error));
    let mut facts = made.facts();
    facts.take_log("n1", "E1 1 server.go:5] \"Error\" err=\"can't use the IPVS proxier: ipvs not supported\"\n");
    let report = report(&facts, &|_| true);
    assert_eq!(report.nodes[0].effective, None);
    assert!(run(&facts, &report).0[0].message.contains("CrashLoopBackOff: can't use the IPVS"));
}

#[test]
fn a_node_without_a_pod() {
    let mut made = Made::new();
    made.forget("n2");
    made.pods.pop();
    assert_eq!(made.ids(), one("PROXY-004", Error));
    made.nodes[1]["status"]["conditions"][0]["status"] = json!("Unknown");
    assert_eq!(made.ids(), one("PROXY-004", Info));
    // what holds no pod of kube-proxy at all says nothing of where they are missing
    made.forget("n1");
    made.pods.clear();
    assert_eq!(made.ids(), []);
    made.nodes[1]["status"]["nodeInfo"]["operatingSystem"] = json!("windows");
    assert_eq!(made.ids(), []);
}

#[test]
fn leftovers_of_ipvs() {
    let mut made = Made::new();
    let links = r#"[{"ifname":"kube-ipvs0","link_type":"ether","addr_info":[{"family":"inet","local":"10.96.0.1","prefixlen":32,"scope":"global"}]}]"#;
    made.probe("n1", Probe::Addresses, links);
    made.probe("n1", Probe::IpvsTable, "-A -t 10.96.0.1:443 -s rr\n-a -t 10.96.0.1:443 -r 10.0.0.1:6443 -m -w 1\n");
    made.probe(
        "n1",
        Probe::IpsetSave,
        "create KUBE-CLUSTER-IP hash:ip,port family inet\ncreate cali40all hash:net family inet\n",
    );
    assert_eq!(made.ids(), one("PROXY-005", Warning));
    let evidence = made.found()[0].evidence.join("\n");
    for part in ["link kube-ipvs0", "1 virtual server in ipvs", "1 set in ipset"] {
        assert!(evidence.contains(part), "{evidence}");
    }
    // somebody else's virtual servers are nobody's leftovers
    let mut made = Made::new();
    made.probe("n1", Probe::IpvsTable, "-A -t 192.168.7.9:6443 -s rr\n");
    assert_eq!(made.ids(), []);
}

#[test]
fn rules_in_both_backends() {
    let mut made = Made::new();
    made.probe("n1", Probe::IptablesLegacySave, RULES);
    assert_eq!(made.ids(), one("PROXY-006", Warning));
    made.probe("n1", Probe::IptablesLegacySave, "*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n");
    assert_eq!(made.ids(), [], "an empty chain refuses nobody");
}

#[test]
fn the_name_of_another_node() {
    let mut made = Made::new();
    made.probe("n1", Probe::Configz, &configz("iptables", "n2", "10.244.0.0/16"));
    assert_eq!(made.ids(), one("PROXY-007", Error));
    made.probe("n1", Probe::Configz, &configz("iptables", "N1", "10.244.0.0/16"));
    assert_eq!(made.ids(), []);
}

#[test]
fn a_kernel_that_cannot() {
    let mut made = Made::new();
    made.nodes[0]["status"]["nodeInfo"]["kernelVersion"] = json!("4.18.0-553.el8.x86_64");
    assert_eq!(made.ids(), []);
    made.config = made.config.replace("iptables", "nftables");
    assert!(made.ids().contains(&("PROXY-008".to_owned(), Error)));
}

#[test]
fn other_settings_than_configured() {
    let mut made = Made::new();
    made.probe("n1", Probe::Configz, &configz("iptables", "n1", "10.0.0.0/8"));
    assert_eq!(made.ids(), one("PROXY-009", Warning));
    made.config = "kind: KubeProxyConfiguration\nmode: iptables\n".to_owned();
    assert_eq!(made.ids(), [], "what the file leaves open is no difference");
}

#[test]
fn versions_out_of_step() {
    let mut made = Made::new();
    made.pods[0] = pod("n1", "registry.k8s.io/kube-proxy:v1.37.0");
    assert_eq!(made.ids(), one("PROXY-010", Error));
    made.pods[0] = pod("n1", "registry.k8s.io/kube-proxy:v1.32.9");
    assert_eq!(made.ids(), one("PROXY-010", Warning));
    made.pods[0] = pod("n1", "registry.k8s.io/kube-proxy:v1.33.9");
    assert_eq!(made.ids(), []);
}

#[test]
fn one_node_named_for_all() {
    let mut made = Made::new();
    made.config.push_str("hostnameOverride: master1\n");
    assert_eq!(made.ids(), [], "the flag overrules it");
    made.command.pop();
    assert_eq!(made.ids(), one("PROXY-011", Error));
    let mut alone = Facts::default();
    let map =
        json!({"metadata": {"namespace": "kube-system", "name": "kube-proxy"}, "data": {"config.conf": made.config}});
    alone.take_object(&resources::CONFIGMAPS, &map);
    let found = run(&alone, &report(&alone, &|_| true)).0;
    assert_eq!((found.len(), found[0].id.as_str(), found[0].severity), (1, "PROXY-011", Warning));
}

#[test]
fn modes_that_go() {
    let of = |mode: &str, version: &str, gate: &str| {
        let mut made = Made::new();
        let image = format!("registry.k8s.io/kube-proxy:{version}");
        made.pods = vec![pod("n1", &image), pod("n2", &image)];
        made.version = "v1.43.0";
        made.config = format!("kind: KubeProxyConfiguration\nmode: {mode}\n{gate}");
        made.probes.clear();
        let found = made.ids().into_iter().find(|(id, _)| id == "PROXY-012");
        found.map(|(_, severity)| severity)
    };
    assert_eq!(of("ipvs", "v1.34.1", ""), None);
    assert_eq!(of("ipvs", "v1.36.1", ""), Some(Warning));
    assert_eq!(of("ipvs", "v1.37.1", "featureGates: {KubeProxyIPVS: false}\n"), Some(Error));
    assert_eq!(of("ipvs", "v1.43.1", ""), Some(Error));
    assert_eq!(of("nftables", "v1.36.1", ""), None);
    assert_eq!(of("nftables", "v1.30.1", ""), Some(Error));
    assert_eq!(of("iptables", "v1.43.1", ""), None);
}

#[test]
fn a_mode_left_to_the_default() {
    let mut made = Made::new();
    made.config = "kind: KubeProxyConfiguration\nmode: \"\"\n".to_owned();
    assert_eq!(made.ids(), []);
    made.version = "v1.37.0";
    let image = "registry.k8s.io/kube-proxy:v1.37.0";
    made.pods = vec![pod("n1", image), pod("n2", image)];
    assert_eq!(made.ids(), one("PROXY-013", Warning));
}

#[test]
fn a_mode_that_is_none() {
    let mut made = Made::new();
    made.config = made.config.replace("iptables", "IPTables");
    assert_eq!(made.ids(), one("PROXY-014", Error));
}

#[test]
fn a_flag_beside_the_file() {
    let mut made = Made::new();
    made.command.push("--proxy-mode=ipvs");
    assert_eq!(made.ids(), one("PROXY-015", Warning));
    made.command.pop();
    made.command.push("--proxy-mode=iptables");
    assert_eq!(made.ids(), [], "it says the same");
}

#[test]
fn beside_a_replacement() {
    let mut made = Made::new();
    let cilium = |value: &str| json!({"metadata": {"name": "cilium-config", "namespace": "kube-system"}, "data": {"kube-proxy-replacement": value}});
    made.objects.push((&resources::CONFIGMAPS, cilium("true")));
    assert_eq!(made.ids(), one("PROXY-016", Warning));
    made.objects[0].1 = cilium("false");
    assert_eq!(made.ids(), []);
}

#[test]
fn antrea_wants_iptables() {
    let mut made = Made::new();
    let antrea = json!({"metadata": {"name": "antrea-config", "namespace": "kube-system"},
        "data": {"antrea-agent.conf": "antreaProxy:\n  proxyAll: true\n"}});
    made.objects.push((&resources::CONFIGMAPS, antrea));
    assert_eq!(made.ids(), []);
    for name in ["n1", "n2"] {
        made.forget(name);
        made.probe(name, Probe::ProxyMode, "nftables");
    }
    made.config = made.config.replace("iptables", "nftables");
    assert_eq!(made.ids(), one("PROXY-017", Warning));
}
