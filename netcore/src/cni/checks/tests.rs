use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::{ReadStatus, Resource, resources},
    cni::{detect::State, files::files, report::report},
    finding::Severity,
    probe::Probe,
    ranges::Want,
};

/// A kubeadm cluster of two nodes, read whole.
struct Made {
    nodes: Vec<Value>,
    objects: Vec<(&'static Resource, Value)>,
    probes: Vec<(&'static str, Probe, String)>,
    version: &'static str,
}

fn node(name: &str, address: &str, annotations: &Value) -> Value {
    json!({"metadata": {"name": name, "annotations": annotations},
        "spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": address}],
            "nodeInfo": {"operatingSystem": "linux", "containerRuntimeVersion": "containerd://2.1.4"}}})
}

fn daemonset(namespace: &str, name: &str, image: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": {
        "selector": {"matchLabels": {"app": name}},
        "template": {"spec": {"hostNetwork": true, "containers": [{"name": "main", "image": image}]}}},
        "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 2}})
}

fn pod(namespace: &str, daemonset: &str, node: &str, image: &str, ready: bool) -> Value {
    json!({"metadata": {"namespace": namespace, "name": format!("{daemonset}-{node}"),
            "ownerReferences": [{"kind": "DaemonSet", "name": daemonset}]},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": image}]},
        "status": {"containerStatuses": [{"name": "main", "ready": ready, "restartCount": 0,
            "state": if ready { json!({"running": {}}) } else { json!({"waiting": {"reason": "CrashLoopBackOff"}}) }}]}})
}

fn links(tunnel: &str, below: u32, tunnel_mtu: u32, pods: u32) -> String {
    format!(
        "1: lo: <LOOPBACK,UP> mtu 65536 state UNKNOWN\n2: eth0: <BROADCAST,UP> mtu {below} state UP\n    inet 10.0.0.1/24 scope global eth0\n\
         3: {tunnel}: <BROADCAST,UP> mtu {tunnel_mtu} state UNKNOWN\n    vxlan id 1 local 10.0.0.1 dev eth0 srcport 0 0 dstport 8472 nolearning\n\
         4: cni0: <BROADCAST,UP> mtu {pods} state UP\n5: veth1@if2: <BROADCAST,UP> mtu {pods} master cni0 state UP\n    veth\n"
    )
}

const ROUTES: &str = "default via 10.0.0.254 dev eth0\n10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n";
const NEIGHBOURS: &str = "10.244.1.0 dev flannel.1 lladdr 02:00:00:00:00:01 PERMANENT\n";
const FDB: &str = "02:00:00:00:00:01 dev flannel.1 dst 10.0.0.2 self permanent\n";
const CONF: &str = "==> 10-flannel.conflist <==\n{\"name\":\"cbr0\",\"plugins\":[{\"type\":\"flannel\",\"delegate\":{\"isDefaultGateway\":true}},{\"type\":\"portmap\"}]}\n";
const CALICO: &str = "==> 10-calico.conflist <==\n{\"name\":\"k8s-pod-network\",\"plugins\":[{\"type\":\"calico\",\"ipam\":{\"type\":\"calico-ipam\"}}]}\n";
const SYSCTLS: &str =
    "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.rp_filter = 2\nnet.bridge.bridge-nf-call-iptables = 1\n";
const RULES: &str = "*nat\n:POSTROUTING ACCEPT [0:0]\n:FLANNEL-POSTRTG - [0:0]\n-A POSTROUTING -m comment --comment \"flanneld masq\" -j FLANNEL-POSTRTG\n\
    -A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE\nCOMMIT\n";
const FLANNEL: &str = "ghcr.io/flannel-io/flannel:v0.27.4";

impl Made {
    fn flannel() -> Self {
        let annotations = |address: &str| {
            json!({
            "flannel.alpha.coreos.com/backend-type": "vxlan", "flannel.alpha.coreos.com/public-ip": address,
            "flannel.alpha.coreos.com/kube-subnet-manager": "true"})
        };
        let mut made = Self {
            nodes: vec![
                node("n1", "10.0.0.1", &annotations("10.0.0.1")),
                node("n2", "10.0.0.2", &annotations("10.0.0.2")),
            ],
            objects: vec![
                (&resources::DAEMONSETS, daemonset("kube-flannel", "kube-flannel-ds", FLANNEL)),
                (&resources::DAEMONSETS, daemonset("kube-system", "kube-proxy", "registry.k8s.io/kube-proxy:v1.36.3")),
                (&resources::PODS, pod("kube-flannel", "kube-flannel-ds", "n1", FLANNEL, true)),
                (&resources::PODS, pod("kube-flannel", "kube-flannel-ds", "n2", FLANNEL, true)),
                (
                    &resources::CONFIGMAPS,
                    json!({"metadata": {"name": "kube-flannel-cfg", "namespace": "kube-flannel"},
                    "data": {"net-conf.json": "{\"Network\":\"10.244.0.0/16\",\"Backend\":{\"Type\":\"vxlan\"}}"}}),
                ),
            ],
            probes: Vec::new(),
            version: "v1.36.3",
        };
        for (name, text) in [
            (Probe::Addresses, links("flannel.1", 1500, 1450, 1450)),
            (Probe::Routes, ROUTES.to_owned()),
            (Probe::Neighbours, NEIGHBOURS.to_owned()),
            (Probe::Fdb, FDB.to_owned()),
            (Probe::CniConf, CONF.to_owned()),
            (Probe::Sysctls, SYSCTLS.to_owned()),
            (Probe::Conntrack, "10\n1000\n".to_owned()),
            (Probe::IptablesSave, RULES.to_owned()),
            (Probe::ProxyMode, "iptables".to_owned()),
        ] {
            made.probes.push(("n1", name, text));
        }
        made
    }

    fn calico() -> Self {
        let image = "quay.io/calico/node:v3.31.0";
        let annotations = |address: &str| json!({"projectcalico.org/IPv4Address": format!("{address}/24")});
        Self {
            nodes: vec![
                node("n1", "10.0.0.1", &annotations("10.0.0.1")),
                node("n2", "10.0.0.2", &annotations("10.0.0.2")),
            ],
            objects: vec![
                (&resources::DAEMONSETS, daemonset("kube-system", "calico-node", image)),
                (&resources::PODS, pod("kube-system", "calico-node", "n1", image, true)),
                (&resources::PODS, pod("kube-system", "calico-node", "n2", image, true)),
                (
                    &resources::CONFIGMAPS,
                    json!({"metadata": {"name": "calico-config", "namespace": "kube-system"},
                    "data": {"calico_backend": "bird"}}),
                ),
            ],
            probes: vec![("n1", Probe::CniConf, CALICO.to_owned()), ("n1", Probe::ProxyMode, "iptables".to_owned())],
            version: "v1.36.3",
        }
    }

    fn with(mut self, resource: &'static Resource, object: Value) -> Self {
        self.objects.push((resource, object));
        self
    }

    fn probe(mut self, node: &'static str, probe: Probe, text: &str) -> Self {
        self.probes.retain(|(name, known, _)| (*name, *known) != (node, probe));
        self.probes.push((node, probe, text.to_owned()));
        self
    }

    /// Without what an object's name begins with.
    fn without(mut self, name: &str) -> Self {
        self.objects.retain(|(_, object)| !object["metadata"]["name"].as_str().unwrap().starts_with(name));
        self
    }

    fn annotate(mut self, node: usize, name: &str, value: &str) -> Self {
        self.nodes[node]["metadata"]["annotations"][name] = value.into();
        self
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts { version: Some(self.version.to_owned()), ..Facts::default() };
        for node in &self.nodes {
            facts.take_node(&serde_json::from_value(node.clone()).unwrap());
        }
        for (resource, object) in &self.objects {
            facts.take_object(resource, object);
        }
        for (node, probe, text) in &self.probes {
            facts.take_probe(Some(node), *probe, text, probe.file());
        }
        facts.reads.insert(Want::list(&resources::DAEMONSETS), ReadStatus::Complete);
        facts.reads.insert(Want::list(&resources::PODS), ReadStatus::Complete);
        facts
    }

    fn report(&self) -> CniReport {
        report(&self.facts(), &|_| true)
    }

    fn found(&self) -> Vec<Finding> {
        run(&self.facts(), &self.report()).0
    }

    fn ids(&self) -> Vec<String> {
        self.found().into_iter().map(|finding| finding.id).collect()
    }

    /// The only finding, with its severity, subject and message.
    fn one(&self, id: &str) -> (Severity, String, String) {
        let found = self.found();
        let [one] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!(one.id, id);
        (one.severity, one.subject.clone(), one.message.clone())
    }
}

#[test]
fn healthy_clusters_are_silent() {
    assert_eq!(Made::flannel().found(), []);
    assert_eq!(Made::calico().found(), []);
    let report = Made::flannel().report();
    let node = &report.nodes[0];
    assert_eq!(
        (node.mtu, node.underlay_mtu, node.mtu_fits, node.agent_ready),
        (Some(1450), Some(1500), Some(1450), Some(true))
    );
    assert_eq!(
        report.plugins[0].signals.iter().map(|signal| signal.source).collect::<std::collections::BTreeSet<_>>().len(),
        7
    );
    assert_eq!(report.plugins[1].name, "portmap");
}

#[test]
fn two_plugins_at_once() {
    let calico = daemonset("kube-system", "calico-node", "quay.io/calico/node:v3.31.0");
    let both = Made::flannel().with(&resources::DAEMONSETS, calico);
    let (severity, subject, message) = both.one("CNI-001");
    assert_eq!((severity, subject.as_str()), (Severity::Warning, "calico, flannel"));
    assert!(message.ends_with("pods' network is made by flannel"), "{message}");
    // chained on purpose
    let installation = json!({"metadata": {"name": "default"}, "spec": {"cni": {"type": "AmazonVPC"}}});
    let aws = daemonset("kube-system", "aws-node", "x/amazon-k8s-cni:v1.20.4");
    let chained = Made::calico()
        .with(&resources::DAEMONSETS, aws)
        .with(&resources::TIGERA_INSTALLATIONS, installation)
        .probe("n1", Probe::CniConf, "==> 10-aws.conflist <==\n{\"plugins\":[{\"type\":\"aws-cni\"}]}\n");
    assert_eq!(chained.ids(), [""; 0]);
    let states: Vec<_> = chained.report().plugins.iter().map(|row| (row.name.clone(), row.state)).collect();
    assert_eq!(states, [("aws-vpc-cni".to_owned(), Some(State::Active)), ("calico".to_owned(), Some(State::Chained))]);
}

#[test]
fn what_a_former_plugin_left() {
    let left = Made::calico().probe("n2", Probe::Addresses, "3: flannel.1: <UP> mtu 1450 state UP\n");
    let (severity, subject, message) = left.one("CNI-002");
    assert_eq!(
        (severity, subject.as_str(), message.as_str()),
        (Severity::Info, "flannel", "does not run, and left flannel.1 on 1 node")
    );
    let harmful = Made::calico().probe("n2", Probe::IptablesSave, RULES);
    assert_eq!(harmful.ids(), ["CNI-003", "CNI-002"]);
    let empty = RULES.replace("-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE\n", "");
    assert_eq!(
        Made::calico().probe("n2", Probe::IptablesSave, &empty).ids(),
        ["CNI-002"],
        "an empty chain does no harm"
    );
    // objects of the API alone are shown, and no finding
    let map =
        json!({"metadata": {"name": "kube-flannel-cfg", "namespace": "kube-flannel"}, "data": {"net-conf.json": "{}"}});
    let map = Made::calico().with(&resources::CONFIGMAPS, map);
    assert_eq!((map.ids().len(), map.report().plugins[1].state), (0, Some(State::Leftover)));
    // and where workloads may not be read, nothing is called a leftover
    let mut facts = left.facts();
    facts.reads.insert(Want::list(&resources::DAEMONSETS), ReadStatus::Unreadable("forbidden".to_owned()));
    assert_eq!(run(&facts, &report(&facts, &|_| true)).0.iter().filter(|finding| finding.id == "CNI-002").count(), 0);
}

#[test]
fn versions_of_a_rollout() {
    let made = Made::flannel().without("kube-flannel-ds-n2").with(
        &resources::PODS,
        pod("kube-flannel", "kube-flannel-ds", "n2", "ghcr.io/flannel-io/flannel:v0.28.0", true),
    );
    assert_eq!(made.one("CNI-004").2, "its agents differ: v0.27.4 on 1 node, v0.28.0 on 1 node");
}

#[test]
fn policies_before_and_after_their_end() {
    let role = json!({"metadata": {"name": "flannel"}, "rules": [
        {"apiGroups": ["extensions"], "resources": ["podsecuritypolicies"], "verbs": ["use"], "resourceNames": ["psp.flannel.unprivileged"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]});
    let after = Made::flannel().with(&resources::CLUSTERROLES, role);
    assert_eq!(after.one("CNI-005").0, Severity::Info);
    let before = Made { version: "v1.24.9", ..after };
    let (severity, subject, _) = before.one("CNI-005");
    assert_eq!((severity, subject.as_str()), (Severity::Warning, "clusterrole flannel"));
    assert!(before.report().lifecycle.iter().any(|life| life.about == "psp.flannel.unprivileged"));
}

#[test]
fn a_namespace_that_refuses_the_agents() {
    let namespace = |level: &str| json!({"metadata": {"name": "kube-flannel", "labels": {"pod-security.kubernetes.io/enforce": level}}});
    let made = Made::flannel().with(&resources::NAMESPACES, namespace("baseline"));
    assert_eq!(made.one("CNI-006").1, "namespace kube-flannel");
    assert_eq!(Made::flannel().with(&resources::NAMESPACES, namespace("privileged")).found(), []);
}

#[test]
fn what_is_no_longer_maintained() {
    let weave = Made::calico()
        .without("calico-node")
        .without("calico-config")
        .with(
            &resources::DAEMONSETS,
            daemonset("kube-system", "weave-net", "ghcr.io/weaveworks/launcher/weave-kube:2.8.1"),
        )
        .probe("n1", Probe::CniConf, "==> 10-weave.conflist <==\n{\"plugins\":[{\"type\":\"weave-net\"}]}\n");
    assert_eq!(weave.one("CNI-007").1, "daemonset kube-system/weave-net");
}

#[test]
fn calico_and_kube_proxy_disagree() {
    let felix = |spec: Value| json!({"metadata": {"name": "default"}, "spec": spec});
    let made = |spec: Value| Made::calico().with(&resources::CALICO_FELIXCONFIGURATIONS_V1, felix(spec));
    assert_eq!(
        made(json!({"nftablesMode": "Enabled"})).one("CNI-008").2,
        "is set to nftables, and kube-proxy is in iptables mode"
    );
    assert_eq!(made(json!({"nftablesMode": "Auto"})).found(), []);
    let proxy = || daemonset("kube-system", "kube-proxy", "registry.k8s.io/kube-proxy:v1.36.3");
    assert_eq!(
        made(json!({"bpfEnabled": true})).with(&resources::DAEMONSETS, proxy()).one("CNI-009").1,
        "daemonset kube-system/kube-proxy"
    );
    let kept = json!({"bpfEnabled": true, "bpfKubeProxyIptablesCleanupEnabled": false});
    assert_eq!(made(kept).with(&resources::DAEMONSETS, proxy()).found(), []);
    let bgp = |value: &str| felix(json!({"programClusterRoutes": value}));
    let both =
        made(json!({"programClusterRoutes": "Enabled"})).with(&resources::CALICO_BGPCONFIGURATIONS_V1, bgp("Enabled"));
    assert_eq!(both.one("CNI-011").2, "Felix and BIRD both program the routes between nodes");
    let one =
        made(json!({"programClusterRoutes": "Enabled"})).with(&resources::CALICO_BGPCONFIGURATIONS_V1, bgp("Disabled"));
    assert_eq!(one.found(), []);
}

#[test]
fn flannel_of_two_kinds() {
    let made = Made::flannel().annotate(1, "flannel.alpha.coreos.com/backend-type", "host-gw");
    let (severity, subject, message) = made.one("CNI-010");
    assert_eq!(
        (severity, subject.as_str(), message.as_str()),
        (Severity::Error, "n2", "flannel's backend is host-gw, configured is vxlan")
    );
}

#[test]
fn agents_that_do_not_run() {
    let made = Made::flannel()
        .without("kube-flannel-ds-n2")
        .with(&resources::PODS, pod("kube-flannel", "kube-flannel-ds", "n2", FLANNEL, false));
    assert_eq!(made.one("CNI-020").1, "n2");
    assert_eq!(
        Made::flannel().without("kube-flannel-ds-n2").one("CNI-021"),
        (Severity::Error, "n2".to_owned(), "has no pod of flannel's agent".to_owned())
    );
    let none = Made::flannel().without("kube-flannel-ds-");
    assert_eq!(none.found(), [], "no pod anywhere was not read, rather");
}

#[test]
fn packets_that_do_not_fit() {
    let made = Made::flannel().probe("n1", Probe::Addresses, &links("flannel.1", 1450, 1450, 1450));
    assert_eq!(made.one("CNI-022").2, "pods' MTU 1450, flannel.1 has 1450: 1400 is what fits eth0 below it");
    let pods = Made::flannel().probe("n1", Probe::Addresses, &links("flannel.1", 1500, 1450, 1500));
    assert_eq!(pods.one("CNI-022").1, "n1");
    assert_eq!(Made::flannel().probe("n1", Probe::Addresses, &links("flannel.1", 9000, 1450, 1450)).found(), []);
    let two = Made::flannel().probe("n2", Probe::Addresses, &links("flannel.1", 9000, 8950, 8950));
    assert_eq!(two.one("CNI-023").2, "differs between nodes: 1450, 8950");
}

#[test]
fn connection_tracking_that_fills() {
    for (used, found) in [(799, None), (800, Some(Severity::Warning)), (950, Some(Severity::Error))] {
        let made = Made::flannel().probe("n1", Probe::Conntrack, &format!("{used}\n1000\n"));
        assert_eq!(made.found().first().map(|finding| finding.severity), found, "{used}");
    }
    assert_eq!(Made::flannel().probe("n1", Probe::Conntrack, "800\n1000\n").one("CNI-024").1, "n1");
}

#[test]
fn tunnels_that_lead_nowhere() {
    let made =
        Made::flannel().probe("n1", Probe::Neighbours, "10.0.0.254 dev eth0 lladdr 02:00:00:00:00:09 REACHABLE\n");
    assert_eq!(made.one("CNI-025").2, "flannel.1: 10.244.1.0 has no neighbour entry");
    let made = Made::flannel().probe("n1", Probe::Fdb, "02:00:00:00:00:01 dev eth0 self permanent\n");
    assert!(made.one("CNI-025").2.ends_with("has no forwarding entry"));
    let made = Made::flannel().probe("n1", Probe::Fdb, &FDB.replace("10.0.0.2", "10.9.9.9"));
    assert_eq!(made.one("CNI-026").2, "flannel.1: 10.244.1.0 → 10.9.9.9, which is an address of no node");
}

#[test]
fn settings_of_the_kernel() {
    let made = |text: &str| Made::flannel().probe("n1", Probe::Sysctls, text);
    assert_eq!(made("net.ipv4.ip_forward = 0\n").one("CNI-027").2, "net.ipv4.ip_forward is 0");
    assert_eq!(made("net.ipv6.conf.all.forwarding = 0\n").found(), [], "the nodes have no IPv6 pods");
    let off = "net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 0\n";
    assert_eq!(made(off).one("CNI-028").1, "n1");
    assert_eq!(made(off).probe("n1", Probe::ProxyMode, "nftables").found(), []);
}

#[test]
fn nodes_without_what_the_plugin_needs() {
    let mut made = Made::flannel();
    made.nodes[1]["spec"] = json!({});
    assert_eq!(made.one("CNI-029").1, "n2");
    let made = Made::flannel().annotate(0, "flannel.alpha.coreos.com/public-ip", "10.0.2.15");
    assert_eq!(
        made.one("CNI-030").2,
        "flannel.alpha.coreos.com/public-ip is 10.0.2.15, which is none of its addresses"
    );
    assert_eq!(made.annotate(0, "flannel.alpha.coreos.com/public-ip-overwrite", "10.0.2.15").found(), []);
    let made = Made::calico().annotate(0, "projectcalico.org/IPv4Address", "10.0.2.15/24");
    assert_eq!(made.one("CNI-030").1, "n1");
}

#[test]
fn files_that_the_runtime_takes_or_not() {
    let broken = format!("==> 05-x.conf <==\n{{\n\"type\": \n{CONF}");
    let (severity, _, message) = Made::flannel().probe("n1", Probe::CniConf, &broken).one("CNI-040");
    assert_eq!(severity, Severity::Error);
    assert!(
        message.starts_with("05-x.conf: line 3")
            && message.ends_with("containerd stops there, and new pods get no network"),
        "{message}"
    );
    let mut crio = Made::flannel().probe("n1", Probe::CniConf, &broken);
    crio.nodes[0]["status"]["nodeInfo"]["containerRuntimeVersion"] = "cri-o://1.33.5".into();
    assert_eq!(crio.one("CNI-040").0, Severity::Warning);
    let other = CONF.replace("\"portmap\"", "\"bandwidth\"");
    assert_eq!(Made::flannel().probe("n2", Probe::CniConf, &other).one("CNI-041").2, "nodes take 2 different ones");
    assert_eq!(Made::flannel().probe("n2", Probe::CniConf, CONF).found(), []);
    let bridge = format!("{CONF}==> 20-bridge.conf <==\n{{\"type\":\"bridge\"}}\n");
    assert_eq!(
        Made::flannel().probe("n1", Probe::CniConf, &bridge).one("CNI-042").2,
        "10-flannel.conflist is taken, 20-bridge.conf waits behind it"
    );
    assert_eq!(Made::flannel().probe("n1", Probe::CniConf, "").one("CNI-043").1, "n1");
    let gone = Made::calico().probe("n1", Probe::CniConf, CONF);
    assert_eq!(gone.ids(), ["CNI-044", "CNI-002"]);
}

#[test]
fn the_report_of_files_says_why() {
    let broken = format!("==> 05-x.conf <==\n{{\n==> notes.txt <==\nhello\n{CONF}");
    let made = Made::flannel().probe("n1", Probe::CniConf, &broken);
    let report = files(&made.facts(), &|_| true);
    let [n1, n2] = report.nodes.as_slice() else { panic!("{report:#?}") };
    assert_eq!(n1.chosen, None);
    assert!(n1.why.starts_with("05-x.conf comes first and cannot be read"), "{}", n1.why);
    let valid: Vec<bool> = n1.files.iter().flatten().map(|file| file.valid).collect();
    assert_eq!(valid.iter().filter(|valid| **valid).count(), 1);
    assert_eq!((n2.files.is_none(), n2.why.as_str()), (true, "not read"));
}

#[test]
fn every_finding_is_documented_once() {
    let ids: Vec<&str> = ALL.iter().copied().flatten().map(|check| check.doc.id).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(ids.len(), sorted.len());
}
