use serde_json::{Value, json};

use super::*;
use crate::{cluster::resources, probe::Probe, proxy::report::report};

/// A kubeadm cluster of two nodes in one mode.
struct Made {
    facts: Facts,
    services: Vec<Service>,
}

fn node(name: &str, kernel: &str, addresses: &[&str]) -> wire::Node {
    let addresses: Vec<Value> = addresses.iter().map(|a| json!({"type": "InternalIP", "address": a})).collect();
    serde_json::from_value(
        json!({"metadata": {"name": name, "annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "x"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": addresses,
            "nodeInfo": {"operatingSystem": "linux", "kernelVersion": kernel}}}),
    )
    .unwrap()
}

fn service(name: &str, spec: &Value) -> Service {
    let whole = json!({"metadata": {"namespace": "a", "name": name}, "spec": spec});
    Service::of(&serde_json::from_value(whole).unwrap()).unwrap()
}

impl Made {
    fn new(mode: &str, further: &str) -> Self {
        let mut facts = Facts { version: Some("v1.36.3".to_owned()), ..Facts::default() };
        facts.take_node(&node("n1", "6.1.0-18-amd64", &["10.0.0.1"]));
        facts.take_node(&node("n2", "6.1.0-18-amd64", &["10.0.0.2"]));
        let config = format!("kind: KubeProxyConfiguration\nmode: {mode}\n{further}");
        let map =
            json!({"metadata": {"namespace": "kube-system", "name": "kube-proxy"}, "data": {"config.conf": config}});
        facts.take_object(&resources::CONFIGMAPS, &map);
        for name in ["n1", "n2"] {
            facts.take_probe(Some(name), Probe::ProxyMode, mode, "f");
            facts.take_probe(Some(name), Probe::KernelModules, "ip_vs 1 1 - Live 0x0\nip_vs_rr 1 1 - Live 0x0\n", "f");
        }
        Self { facts, services: vec![service("plain", &json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}))] }
    }

    fn daemonset(&mut self, namespace: &str, name: &str) {
        let object = json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"template": {"spec": {}}}});
        self.facts.take_object(&resources::DAEMONSETS, &object);
    }

    fn ask(&self, mode: Mode, permissions: &[Permission]) -> PreflightReport {
        let rows = report(&self.facts, &|_| true).nodes;
        let services = Some(self.services.as_slice());
        let question = Question { mode, scheduler: None, facts: &self.facts, rows: &rows, services, permissions };
        preflight(&question).0
    }

    /// The ids that are found, each once, with the worst severity.
    fn ids(&self, mode: Mode) -> Vec<(String, Severity)> {
        let allowed = [Permission { what: "delete pods".to_owned(), allowed: Some(true) }];
        let mut found: BTreeMap<String, Severity> = BTreeMap::new();
        for item in self.ask(mode, &allowed).items {
            let worst = found.entry(item.id).or_insert(item.severity);
            *worst = item.severity.max(*worst);
        }
        found.into_iter().collect()
    }
}

fn one(id: &str, severity: Severity) -> Vec<(String, Severity)> {
    vec![(id.to_owned(), severity)]
}

use Severity::{Error, Info, Warning};

#[test]
fn ids_are_documented_once_and_in_order() {
    let ids: Vec<&str> = ALL.iter().copied().flatten().map(|check| check.doc.id).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(ids, sorted);
}

#[test]
fn a_plain_cluster_is_ready_for_nftables_and_warned_of_ipvs() {
    let made = Made::new("iptables", "");
    assert_eq!(made.ids(Mode::Nftables), []);
    assert_eq!(made.ask(Mode::Nftables, &[]).verdict, Verdict::Ready);
    let ipvs = [("PROXY-103".to_owned(), Warning), ("PROXY-126".to_owned(), Warning)];
    assert_eq!(made.ids(Mode::Ipvs), ipvs);
    assert_eq!(made.ids(Mode::Iptables), [], "nothing is to be switched");
}

#[test]
fn replaced_and_owned() {
    let mut made = Made::new("iptables", "");
    let cilium = json!({"metadata": {"name": "cilium-config", "namespace": "kube-system"}, "data": {"kube-proxy-replacement": "true"}});
    made.facts.take_object(&resources::CONFIGMAPS, &cilium);
    assert!(made.ids(Mode::Nftables).contains(&("PROXY-101".to_owned(), Error)));
    let mut made = Made::new("iptables", "");
    made.facts.distributions.insert("k0s", "a sign".to_owned());
    let report = made.ask(Mode::Nftables, &[]);
    assert_eq!((report.items[0].id.as_str(), report.items[0].overridable), ("PROXY-102", false));
    assert!(report.items[0].message.contains("kubeProxy.mode: nftables"), "{:?}", report.items[0]);
    assert_eq!(report.verdict, Verdict::Blocked);
}

#[test]
fn a_refused_mode_blocks() {
    let mut made = Made::new("iptables", "");
    made.facts.version = Some("v1.30.2".to_owned());
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-103", Error));
    made.facts.version = Some("v1.31.2".to_owned());
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-103", Warning));
}

#[test]
fn permissions_that_are_missing() {
    let made = Made::new("iptables", "");
    let refused = [Permission { what: "delete pods in kube-system".to_owned(), allowed: Some(false) }];
    let items = made.ask(Mode::Nftables, &refused).items;
    assert_eq!(
        (items[0].id.as_str(), items[0].message.as_str()),
        ("PROXY-104", "not allowed: delete pods in kube-system")
    );
}

#[test]
fn one_node_has_no_canary() {
    let mut made = Made::new("iptables", "");
    made.facts.nodes.remove("n2");
    made.facts.readings.remove("n2");
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-105", Warning));
}

#[test]
fn settings_below_another_key() {
    let made = Made::new("iptables", "iptables: {masqueradeAll: true}\n");
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-106", Warning));
    let both = Made::new("iptables", "iptables: {masqueradeAll: true}\nnftables: {masqueradeAll: true}\n");
    assert_eq!(both.ids(Mode::Nftables), []);
    let bit = Made::new("iptables", "iptables: {masqueradeBit: 13}\n");
    assert_eq!(bit.ids(Mode::Nftables), one("PROXY-106", Warning));
}

#[test]
fn leaving_ipvs() {
    let made = Made::new("ipvs", "ipvs: {scheduler: sh}\n");
    let found = made.ids(Mode::Nftables);
    assert_eq!(found, [("PROXY-107".to_owned(), Warning), ("PROXY-126".to_owned(), Warning)]);
    let rr = Made::new("ipvs", "ipvs: {scheduler: rr}\n");
    assert_eq!(rr.ids(Mode::Iptables), one("PROXY-126", Warning));
}

#[test]
fn what_runs_beside_it() {
    let found = |mode, namespace: &str, name: &str, more: &str| {
        let mut made = Made::new("iptables", more);
        made.daemonset(namespace, name);
        made.ids(mode).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let metallb = found(Mode::Ipvs, "metallb-system", "speaker", "");
    assert!(metallb.contains(&"PROXY-108".to_owned()), "{metallb:?}");
    let strict = found(Mode::Ipvs, "metallb-system", "speaker", "ipvs: {strictARP: true}\n");
    assert!(!strict.contains(&"PROXY-108".to_owned()), "{strict:?}");
    assert_eq!(found(Mode::Nftables, "metallb-system", "speaker", ""), [""; 0]);
    assert_eq!(found(Mode::Nftables, "kube-system", "node-local-dns", ""), ["PROXY-109"]);
    assert_eq!(found(Mode::Nftables, "kube-system", "other", ""), [""; 0]);
    let mut made = Made::new("iptables", "");
    let felix = json!({"metadata": {"name": "default"}, "spec": {"nftablesMode": "Disabled"}});
    made.facts.take_object(&resources::CALICO_FELIXCONFIGURATIONS_V1, &felix);
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-110", Warning));
    let antrea = json!({"metadata": {"name": "antrea-config", "namespace": "kube-system"},
        "data": {"antrea-agent.conf": "antreaProxy:\n  proxyAll: true\n"}});
    let mut made = Made::new("iptables", "");
    made.facts.take_object(&resources::CONFIGMAPS, &antrea);
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-111", Error));
    assert_eq!(made.ids(Mode::Iptables), []);
}

#[test]
fn kernels_that_cannot() {
    let mut made = Made::new("iptables", "");
    made.facts.take_node(&node("n2", "4.18.0-553.el8.x86_64", &["10.0.0.2"]));
    let report = made.ask(Mode::Nftables, &[]);
    assert_eq!((report.items[0].id.as_str(), report.items[0].node.as_deref()), ("PROXY-121", Some("n2")));
    assert!(!report.items[0].overridable);
    let verdicts: Vec<Verdict> = report.nodes.iter().map(|node| node.verdict).collect();
    assert_eq!(verdicts, [Verdict::Ready, Verdict::Blocked]);
    assert!(made.ids(Mode::Ipvs).contains(&("PROXY-127".to_owned(), Warning)));
}

const LISTS: &str = "==> 6.1.0-18-amd64/modules.builtin <==\n==> 6.1.0-18-amd64/modules.dep <==\n";

#[test]
fn modules_that_are_missing() {
    let mut made = Made::new("iptables", "");
    for name in ["n1", "n2"] {
        made.facts.reading(Some(name)).modules = crate::proxy::modules::Modules::default();
    }
    assert!(made.ids(Mode::Ipvs).contains(&("PROXY-123".to_owned(), Warning)), "not proven");
    for name in ["n1", "n2"] {
        made.facts.take_probe(Some(name), Probe::ModuleFiles, LISTS, "f");
    }
    assert!(made.ids(Mode::Ipvs).contains(&("PROXY-123".to_owned(), Error)));
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-122", Error));
    for name in ["n1", "n2"] {
        made.facts.take_probe(Some(name), Probe::ModuleFiles, "", "f");
        made.facts.take_absent(Some(name), Probe::IpvsTable);
    }
    assert!(made.ids(Mode::Ipvs).contains(&("PROXY-123".to_owned(), Error)));
}

#[test]
fn somebody_elses_virtual_servers() {
    let mut made = Made::new("iptables", "");
    made.facts.take_probe(Some("n1"), Probe::IpvsTable, "-A -t 192.168.7.9:6443 -s rr\n", "f");
    let report = made.ask(Mode::Nftables, &[]);
    assert_eq!((report.items[0].id.as_str(), report.items[0].overridable), ("PROXY-124", false));
    assert_eq!(made.ids(Mode::Iptables), []);
    let mut own = Made::new("iptables", "");
    own.services.push(service("np", &json!({"clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": 30080}]})));
    let text = "-A -t 10.96.0.1:80 -s rr\n-A -t 10.0.0.1:30080 -s rr\n";
    own.facts.take_probe(Some("n1"), Probe::IpvsTable, text, "f");
    assert!(!own.ids(Mode::Nftables).iter().any(|(id, _)| id == "PROXY-124"), "kube-proxy's own");
    let mut excluded = Made::new("iptables", "ipvs: {excludeCIDRs: [192.168.7.0/24]}\n");
    excluded.facts.take_probe(Some("n1"), Probe::IpvsTable, "-A -t 192.168.7.9:6443 -s rr\n", "f");
    assert!(!excluded.ids(Mode::Ipvs).iter().any(|(id, _)| id == "PROXY-124"));
    assert!(excluded.ids(Mode::Nftables).iter().any(|(id, _)| id == "PROXY-124"), "nftables mode flushes all");
}

#[test]
fn a_node_that_is_not_well() {
    let mut made = Made::new("iptables", "");
    let mut away = node("n2", "6.1.0", &[]);
    away.status.as_mut().unwrap().conditions[0].status = "Unknown".to_owned();
    made.facts.take_node(&away);
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-125", Warning));
}

#[test]
fn firewalls_and_invalid_packets() {
    let mut made = Made::new("iptables", "");
    made.facts.take_probe(
        Some("n1"),
        Probe::IptablesSave,
        "*filter\n:INPUT DROP [0:0]\n:KUBE-NODEPORTS - [0:0]\nCOMMIT\n",
        "f",
    );
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-128", Warning));
    let mut made = Made::new("iptables", "");
    made.facts.take_node(&node("n1", "5.15.0-91-generic", &["10.0.0.1"]));
    let metric = "kubeproxy_iptables_ct_state_invalid_dropped_packets_total 1204\n";
    made.facts.take_probe(Some("n1"), Probe::ProxyMetrics, metric, "f");
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-129", Warning));
    made.facts.configurations[0].config.tcp_be_liberal = true;
    assert_eq!(made.ids(Mode::Nftables), []);
}

#[test]
fn windows_nodes_are_left() {
    let mut made = Made::new("iptables", "");
    let mut windows = node("w1", "10.0.20348", &[]);
    windows.status.as_mut().unwrap().node_info.as_mut().unwrap().operating_system = "windows".to_owned();
    made.facts.take_node(&windows);
    assert_eq!(made.ids(Mode::Nftables), one("PROXY-130", Info));
}

#[test]
fn services_that_feel_it() {
    let found = |from: &str, to, spec: &Value| {
        let mut made = Made::new(from, "");
        made.services.push(service("s", spec));
        let items = made.ask(to, &[]).items.into_iter().filter(|item| item.service.is_some());
        items.map(|item| (item.id, item.severity)).collect::<Vec<_>>()
    };
    let node_port = json!({"clusterIP": "10.96.0.9", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    let both = [("PROXY-141".to_owned(), Info), ("PROXY-142".to_owned(), Info)];
    assert_eq!(found("iptables", Mode::Nftables, &node_port), both);
    assert_eq!(found("ipvs", Mode::Iptables, &node_port), []);
    let local = json!({"clusterIP": "10.96.0.9", "externalIPs": ["203.0.113.7"], "externalTrafficPolicy": "Local"});
    assert_eq!(found("iptables", Mode::Ipvs, &local), one("PROXY-143", Warning));
    assert_eq!(found("iptables", Mode::Nftables, &local), []);
    let affinity = json!({"clusterIP": "10.96.0.9", "sessionAffinity": "ClientIP"});
    assert_eq!(found("iptables", Mode::Nftables, &affinity), one("PROXY-144", Info));
    assert_eq!(found("nftables", Mode::Nftables, &affinity), []);
    let of_node = json!({"clusterIP": "10.96.0.9", "externalIPs": ["10.0.0.2"]});
    assert_eq!(found("iptables", Mode::Ipvs, &of_node), one("PROXY-145", Error));
    assert_eq!(found("iptables", Mode::Nftables, &of_node), []);
}

#[test]
fn localhost_and_several_addresses() {
    let mut made = Made::new("iptables", "");
    made.services.push(service("s", &json!({"clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": 30080}]})));
    let metric = "kubeproxy_iptables_localhost_nodeports_accepted_packets_total 418\n";
    made.facts.take_probe(Some("n1"), Probe::ProxyMetrics, metric, "f");
    made.facts.take_node(&node("n1", "6.1.0-18-amd64", &["10.0.0.1", "192.168.0.1"]));
    let both = [("PROXY-141".to_owned(), Warning), ("PROXY-142".to_owned(), Warning)];
    assert_eq!(made.ids(Mode::Nftables), both);
    made.facts.configurations[0].config.node_port_addresses = vec!["10.0.0.0/8".to_owned()];
    made.facts.configurations[0].config.localhost_node_ports = Some(false);
    assert_eq!(made.ids(Mode::Nftables), []);
}

#[test]
fn many_services_in_iptables_mode() {
    let mut made = Made::new("nftables", "");
    let one_more = made.services[0].clone();
    made.services = vec![one_more; 6000];
    assert_eq!(made.ids(Mode::Iptables), one("PROXY-146", Warning));
    made.services.truncate(900);
    assert_eq!(made.ids(Mode::Iptables), []);
}

#[test]
fn findings_say_the_same_of_many_once() {
    let mut made = Made::new("iptables", "");
    for number in 0..5 {
        made.services
            .push(service(&format!("s{number}"), &json!({"clusterIP": "10.96.0.9", "sessionAffinity": "ClientIP"})));
    }
    let report = made.ask(Mode::Nftables, &[]);
    let found = findings(&report.items);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subject, "a/s0, a/s1, a/s2 and 2 more");
}
