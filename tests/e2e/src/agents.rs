//! A cluster whose nodes can be read: kube-proxy and flannel run on each, and answer as the real ones.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use apiserver::{Config, Exec, Ran};
use serde_json::{Value, json};

use crate::clusters;

/// kube-proxy's pod on a node, as kubeadm makes it.
pub fn kube_proxy(node: &str) -> Value {
    agent(("kube-system", "kube-proxy", "k8s-app", "kube-proxy"), node, "registry.k8s.io/kube-proxy:v1.36.3", &[])
}

/// flannel's pod on a node, as its manifest makes it.
pub fn flannel(node: &str) -> Value {
    let mounts = [("/run/flannel", "/run/flannel"), ("/etc/cni/net.d", "/etc/cni/net.d")];
    agent(("kube-flannel", "kube-flannel", "app", "flannel"), node, "ghcr.io/flannel-io/flannel:v0.28.9", &mounts)
}

fn agent(
    (namespace, name, label, value): (&str, &str, &str, &str),
    node: &str,
    image: &str,
    mounts: &[(&str, &str)],
) -> Value {
    let numbered = |make: &dyn Fn(usize, &(&str, &str)) -> Value| -> Vec<Value> {
        mounts.iter().enumerate().map(|(n, mount)| make(n, mount)).collect()
    };
    let volumes = numbered(&|n, (host, _)| json!({"name": format!("v{n}"), "hostPath": {"path": host}}));
    let volume_mounts = numbered(&|n, (_, here)| json!({"name": format!("v{n}"), "mountPath": here}));
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": format!("{name}-{node}"), "labels": {label: value}},
        "spec": {"nodeName": node, "hostNetwork": true, "volumes": volumes,
            "containers": [{"name": name, "image": image, "volumeMounts": volume_mounts}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": name, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}})
}

/// What flannel wrote on a node, and the routes that it made: `own` is the third byte of its range.
pub fn node_files(own: u8, address: &str, others: &[(u8, &str)]) -> BTreeMap<&'static str, String> {
    let mut routes = vec![
        json!({"dst": "default", "gateway": "192.168.1.1", "dev": "eth0", "flags": []}),
        json!({"dst": format!("10.244.{own}.0/24"), "dev": "cni0", "protocol": "kernel", "scope": "link",
            "prefsrc": format!("10.244.{own}.1"), "flags": []}),
    ];
    routes.extend(others.iter().map(|(other, _)| {
        json!({"dst": format!("10.244.{other}.0/24"), "gateway": format!("10.244.{other}.0"), "dev": "flannel.1",
            "flags": ["onlink"]})
    }));
    let addresses = json!([
        {"ifname": "eth0", "flags": ["UP"], "mtu": 1500,
            "addr_info": [{"family": "inet", "local": address, "prefixlen": 24, "scope": "global"}]},
        {"ifname": "cni0", "flags": ["UP"], "mtu": 1450,
            "addr_info": [{"family": "inet", "local": format!("10.244.{own}.1"), "prefixlen": 24, "scope": "global"}]},
    ]);
    BTreeMap::from([
        (
            "subnet.env",
            format!(
                "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.{own}.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
            ),
        ),
        ("routes", Value::Array(routes).to_string()),
        ("addresses", addresses.to_string()),
    ])
}

/// Answers of a node that is as [`node_files`] says, in the containers of [`kube_proxy`] and
/// [`flannel`], whose images have what the real ones have.
pub fn run(files: &BTreeMap<&'static str, String>, exec: &Exec) -> Ran {
    let words: Vec<&str> = exec.argv.iter().map(String::as_str).collect();
    let printed =
        |name: &str| files.get(name).map_or_else(|| Ran::fails(1, "no such thing"), |text| Ran::prints(text.as_str()));
    match (exec.container.as_str(), words.as_slice()) {
        ("kube-proxy", ["ip" | "bridge", ..]) => Ran::NoProgram,
        (_, ["ip", "-j", "-d", "addr"]) => printed("addresses"),
        (_, ["ip", "-j", "route", "show", "table", "all"]) => printed("routes"),
        ("kube-flannel", ["cat", "/run/flannel/subnet.env"]) => match files.get("subnet.env") {
            Some(text) => Ran::prints(text.as_str()),
            None => Ran::fails(1, "cat: can't open '/run/flannel/subnet.env': No such file or directory\n"),
        },
        (_, ["cat", path]) => Ran::fails(1, &format!("cat: {path}: No such file or directory\n")),
        _ => Ran::NoProgram,
    }
}

/// The cluster of [`clusters::kubeadm`] with these agents on its two nodes; `fault` may answer instead.
pub fn cluster(fault: impl Fn(&Exec) -> Option<Ran> + Send + Sync + 'static) -> Config {
    let nodes = Arc::new(BTreeMap::from([
        ("cp1", node_files(0, "192.168.1.10", &[(1, "192.168.1.11")])),
        ("worker1", node_files(1, "192.168.1.11", &[(0, "192.168.1.10")])),
    ]));
    let mut config = clusters::kubeadm();
    for node in ["cp1", "worker1"] {
        config = config.object(kube_proxy(node)).object(flannel(node));
    }
    config
        .runs(move |exec| match (fault(exec), nodes.get(exec.node.as_str())) {
            (Some(ran), _) => ran,
            (None, Some(files)) => run(files, exec),
            (None, None) => Ran::Hangs,
        })
        .answers(|_, path| match path {
            "/proxyMode" => Some((200, "iptables".to_owned())),
            "/configz" => Some((
                200,
                json!({"kubeproxy.config.k8s.io": {"clusterCIDR": "10.244.0.0/16", "mode": ""}}).to_string(),
            )),
            _ => Some((404, "404 page not found\n".to_owned())),
        })
}

/// So many nodes that each take so long for each command.
pub fn many(nodes: u16, takes: Duration) -> Config {
    let name = |n: u16| format!("node-{n:04}");
    let mut config = clusters::kubeadm();
    for n in 0..nodes {
        config = config
            .object(kube_proxy(&name(n)))
            .object(flannel(&name(n)))
            .object(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name(n)}, "spec": {},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    }
    let files = node_files(0, "192.168.1.10", &[]);
    config
        .runs(move |exec| match run(&files, exec) {
            Ran::Ends { stdout, stderr, code, .. } => Ran::Ends { stdout, stderr, code, takes },
            ran => ran,
        })
        .answers(|_, _| Some((404, String::new())))
}
