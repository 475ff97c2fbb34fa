//! A kubeadm cluster whose kube-proxy can be switched: what a DaemonSet's controller, a kubelet and
//! kube-proxy itself do once a pod is deleted, played in the server's own process. The kernels' rules are
//! the captured ones of each mode.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use apiserver::{Config, Exec, Ran};
use serde_json::{Value, json};

use crate::fixtures;

/// The uid of the cluster.
pub const UID: &str = "5a0f9a52-7a5e-4f0c-9a3d-0123456789ab";
/// kube-proxy's configuration, with what people write into such files.
pub const CONFIGURATION: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\n# the team's own words stay\nbindAddress: 0.0.0.0\n\
    clusterCIDR: 10.244.0.0/16\nipvs:\n  excludeCIDRs: null\n  strictARP: false\nkind: KubeProxyConfiguration\n\
    mode: \"\"   # as kubeadm wrote it\nnodePortAddresses: null\n";
/// How long a pod takes to come up.
const START: Duration = Duration::from_millis(30);

/// What a node's kube-proxy does when it is started in a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It comes up.
    Well,
    /// It ends at once, again and again.
    Crashes,
    /// Its pod never becomes Ready.
    Hangs,
    /// Its image is not to be had.
    NoImage,
    /// It comes up and never writes a rule.
    WritesNothing,
    /// Nobody makes it.
    Never,
}

/// What the nodes do: the mode that each is in.
pub type Modes = Arc<Mutex<BTreeMap<String, String>>>;

/// A node.
pub fn node(name: &str, control_plane: bool) -> Value {
    let mut labels = json!({"kubernetes.io/os": "linux"});
    if control_plane {
        labels["node-role.kubernetes.io/control-plane"] = json!("");
    }
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels,
            "annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock"}},
        "spec": {},
        "status": {"addresses": [{"type": "InternalIP", "address": "172.31.77.2"}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}],
            "nodeInfo": {"kubeletVersion": "v1.36.3", "kernelVersion": "6.1.0-18-amd64", "osImage": "Debian GNU/Linux 12",
                "containerRuntimeVersion": "containerd://2.0.1", "machineID": "", "systemUUID": "", "bootID": "",
                "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64"}}})
}

/// kube-proxy's pod on a node: its `number`-th.
pub fn pod(node: &str, number: usize, start: Start) -> Value {
    let state = match start {
        Start::Crashes => json!({"waiting": {"reason": "CrashLoopBackOff"}}),
        Start::NoImage => json!({"waiting": {"reason": "ImagePullBackOff"}}),
        _ => json!({"running": {"startedAt": format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60)}}),
    };
    let ready = matches!(start, Start::Well | Start::WritesNothing);
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "kube-system", "name": format!("kube-proxy-{node}{number}"),
            "uid": format!("pod-{node}-{number}"),
            "labels": {"k8s-app": "kube-proxy", "controller-revision-hash": "1"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "kube-proxy", "uid": "d"}]},
        "spec": {"nodeName": node, "hostNetwork": true,
            "containers": [{"name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:v1.36.3",
                "command": ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--hostname-override=$(NODE_NAME)"],
                "volumeMounts": [{"name": "kube-proxy", "mountPath": "/var/lib/kube-proxy"}]}],
            "volumes": [{"name": "kube-proxy", "configMap": {"name": "kube-proxy"}}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "kube-proxy", "ready": ready, "restartCount": u8::from(start == Start::Crashes), "state": state}]}})
}

fn daemonset() -> Value {
    let spec = pod("x", 0, Start::Well)["spec"].clone();
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"namespace": "kube-system", "name": "kube-proxy"},
        "spec": {"selector": {"matchLabels": {"k8s-app": "kube-proxy"}}, "updateStrategy": {"type": "RollingUpdate"},
            "template": {"metadata": {"labels": {"k8s-app": "kube-proxy"}}, "spec": spec}},
        "status": {"currentNumberScheduled": 3, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3,
            "observedGeneration": 1, "numberReady": 3}})
}

/// The ConfigMap with this configuration.
pub fn config_map(text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "kube-system", "name": "kube-proxy"},
        "data": {"config.conf": text, "kubeconfig.conf": "kept: as it is\n"}})
}

/// The mode that a configuration sets.
pub fn mode_of(configuration: &str) -> String {
    let line = configuration.lines().find_map(|line| line.strip_prefix("mode:")).unwrap_or_default();
    let word = line.split('#').next().unwrap_or_default().trim().trim_matches('"');
    if word.is_empty() { "iptables".to_owned() } else { word.to_owned() }
}

/// A cluster of a control plane and two workers in iptables mode; `start` says how a node's kube-proxy
/// starts in a mode.
pub fn cluster(start: impl Fn(&str, &str) -> Start + Send + Sync + 'static) -> (Config, Modes) {
    let modes: Modes = Arc::default();
    let number = Mutex::new(0_usize);
    let mut config = Config::new()
        .service_ranges(&["10.96.0.0/16"])
        .object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": UID}}))
        .object(config_map(CONFIGURATION))
        .object(daemonset())
        .object(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "default", "name": "kubernetes"},
            "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]},
            "status": {"loadBalancer": {}}}),
        );
    for (name, control_plane) in [("cp1", true), ("w1", false), ("w2", false)] {
        config = config.object(node(name, control_plane)).object(pod(name, 0, Start::Well));
        modes.lock().expect("no panic").insert(name.to_owned(), "iptables".to_owned());
    }
    let (of_pods, of_answers, of_kernel) = (Arc::clone(&modes), Arc::clone(&modes), Arc::clone(&modes));
    let silent: Arc<Mutex<Vec<String>>> = Arc::default();
    let mute = Arc::clone(&silent);
    let config = config
        .writable(move |deleted, look| {
            let node = deleted["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
            if deleted["kind"] != "Pod" || look("nodes", &node).is_none() {
                return Vec::new();
            }
            let map = look("configmaps", "kube-system/kube-proxy").unwrap_or_default();
            let mode = mode_of(map["data"]["config.conf"].as_str().unwrap_or_default());
            let start = start(&node, &mode);
            let mut number = number.lock().expect("no panic");
            *number += 1;
            silent.lock().expect("no panic").retain(|name| *name != node);
            match start {
                Start::Never => return Vec::new(),
                Start::WritesNothing => silent.lock().expect("no panic").push(node.clone()),
                _ => {}
            }
            if matches!(start, Start::Well | Start::WritesNothing) {
                of_pods.lock().expect("no panic").insert(node.clone(), mode);
            }
            let coming = pod(&node, *number, Start::Hangs);
            vec![(START, coming), (START * 2, pod(&node, *number, start))]
        })
        .answers(move |node, path| {
            let mode = of_answers.lock().expect("no panic").get(node).cloned()?;
            let last = if mute.lock().expect("no panic").iter().any(|name| name == node) { "0" } else { "1.79e+09" };
            match path {
                "/proxyMode" => Some((200, mode)),
                "/configz" => {
                    let text = json!({"kubeproxy.config.k8s.io": {"clusterCIDR": "10.244.0.0/16", "mode": mode}});
                    Some((200, text.to_string()))
                }
                "/metrics" => Some((
                    200,
                    format!(
                        "# TYPE kubernetes_build_info gauge\nkubernetes_build_info{{git_version=\"v1.36.3\"}} 1\n\
                         kubeproxy_sync_proxy_rules_last_timestamp_seconds{{ip_family=\"IPv4\"}} {last}\n"
                    ),
                )),
                _ => Some((404, "404 page not found\n".to_owned())),
            }
        })
        .runs(move |exec| {
            kernel(&of_kernel.lock().expect("no panic").get(&exec.node).cloned().unwrap_or_default(), exec)
        });
    (config, modes)
}

fn captured(name: &str) -> Vec<u8> {
    fs::read(fixtures().join("captures").join(name)).expect("a capture")
}

/// What a node's tools print in a mode.
fn kernel(mode: &str, exec: &Exec) -> Ran {
    let words: Vec<&str> = exec.argv.iter().map(String::as_str).collect();
    let is = |wanted: &str| mode == wanted;
    match words.as_slice() {
        ["grep", "-w", ..] => Ran::prints("ffffffff81000000 T nft_register_expr\n"),
        ["iptables-nft-save", "-c"] if is("iptables") => {
            Ran::prints(captured("iptables-nft-variety/iptables-save-c.txt"))
        }
        ["ip6tables-nft-save", "-c"] if is("iptables") => {
            Ran::prints(captured("iptables-nft-variety/ip6tables-save-c.txt"))
        }
        ["iptables-nft-save" | "ip6tables-nft-save", "-c"] => Ran::prints(""),
        ["nft", "-j", "list", "ruleset"] if is("nftables") => {
            Ran::prints(captured("nftables-variety/nft-ruleset.json"))
        }
        ["nft", "-j", "list", "ruleset"] => {
            Ran::prints("{\"nftables\": [{\"metainfo\": {\"json_schema_version\": 1}}]}\n")
        }
        ["cat", "/proc/modules"] => Ran::prints("nf_tables 1 0 - Live 0x0\n"),
        ["cat", path] => Ran::fails(1, &format!("cat: {path}: No such file or directory\n")),
        _ => Ran::NoProgram,
    }
}
