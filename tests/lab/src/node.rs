//! A node's own components: containerd and the kubelet, and when they are ready.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{Error, machine, plan::Machine, supervise::Cluster};

/// The magic number of overlayfs, on which another overlay cannot write.
const OVERLAY: i64 = 0x794c_7630;

/// Where containerd listens, in a node.
const SOCKET: &str = "/run/containerd/containerd.sock";

/// Starts containerd and the kubelet.
pub(crate) fn start(cluster: &mut Cluster, node: &Machine) -> Result<(), Error> {
    let snapshots = if node.guest { "overlayfs" } else { snapshotter(cluster)? };
    cluster.write(node, "/etc/containerd/config.toml", &containerd_config(snapshots))?;
    cluster.start(node, "containerd", &["containerd", "--config=/etc/containerd/config.toml"], &[])?;

    for (from, to) in [
        ("ca.crt".to_owned(), "pki/ca.crt"),
        (format!("kubelet-{}.crt", node.name), "pki/kubelet.crt"),
        (format!("kubelet-{}.key", node.name), "pki/kubelet.key"),
        (format!("kubelet-{}.conf", node.name), "kubelet.conf"),
    ] {
        let from = cluster.pki(&from);
        let content = fs::read_to_string(&from).map_err(Error::file(from))?;
        cluster.write(node, &format!("/etc/kubernetes/{to}"), &content)?;
    }
    cluster.write(node, "/var/lib/kubelet/config.yaml", &kubelet_config())?;
    cluster.write(node, "/etc/kubernetes/manifests/.keep", "")?;

    cluster.poll(&format!("containerd of {}", node.name), 120, |cluster| {
        let there = cluster.on(node, &["test", "-S", SOCKET])?.status.success();
        Ok(if there { Ok(()) } else { Err("no socket".to_owned()) })
    })?;
    import(cluster, node)?;
    let argv = [
        format!("{}/kubelet", machine::BIN),
        "--config=/var/lib/kubelet/config.yaml".to_owned(),
        "--kubeconfig=/etc/kubernetes/kubelet.conf".to_owned(),
        format!("--hostname-override={}", node.name),
        format!("--node-ip={},{}", node.v4(), node.v6()),
        format!("--node-labels={}", labels(node)),
        "--v=2".to_owned(),
    ];
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    cluster.start(node, "kubelet", &argv, &[])
}

/// What a kubelet may say about its own node, and what kube-proxy's DaemonSets select by.
pub(crate) fn labels(node: &Machine) -> String {
    format!("topology.kubernetes.io/zone=zone{},lab/proxy={}", node.number.saturating_sub(1), node.proxy.name())
}

fn snapshotter(cluster: &Cluster) -> Result<&'static str, Error> {
    let folder = &cluster.run.folder;
    let kind = rustix::fs::statfs(folder).map_err(|e| Error::File(folder.clone(), e.into()))?.f_type;
    Ok(if kind == OVERLAY { "native" } else { "overlayfs" })
}

fn containerd_config(snapshotter: &str) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]

[grpc]
address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
stream_server_address = "127.0.0.1"
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
"#,
        PAUSE = crate::image::PAUSE,
    )
}

fn kubelet_config() -> String {
    serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/etc/kubernetes/pki/kubelet.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/pki/kubelet.key",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/resolv.conf",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "staticPodPath": "/etc/kubernetes/manifests",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "50Mi"},
        "healthzBindAddress": "127.0.0.1",
        "nodeStatusUpdateFrequency": "10s",
    })
    .to_string()
}

/// Waits until every node is known and has its pod ranges.
pub(crate) fn registered(cluster: &mut Cluster) -> Result<(), Error> {
    let wanted = cluster.nodes();
    cluster.poll("the nodes and their pod ranges", 120, |cluster| {
        let nodes = cluster.get(&["nodes"])?;
        let missing: Vec<&str> = wanted
            .iter()
            .map(|node| node.name.as_str())
            .filter(|name| ranges_in(&nodes, name).is_none_or(|ranges| ranges.len() < 2))
            .collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("no ranges for {}", missing.join(", "))) })
    })?;
    cluster.step("the nodes are registered");
    Ok(())
}

/// The pod ranges of one node, as node IPAM gave them.
pub(crate) fn pod_ranges(cluster: &Cluster, node: &Machine) -> Result<Vec<String>, Error> {
    let nodes = cluster.get(&["nodes"])?;
    ranges_in(&nodes, &node.name).ok_or_else(|| Error::Other(format!("{} has no podCIDRs", node.name)))
}

fn ranges_in(nodes: &Value, name: &str) -> Option<Vec<String>> {
    let node = nodes["items"].as_array()?.iter().find(|node| node["metadata"]["name"] == name)?;
    let ranges = node["spec"]["podCIDRs"].as_array()?;
    Some(ranges.iter().filter_map(|range| range.as_str().map(str::to_owned)).collect())
}

/// Begins to give a node the images. They are read here: a node need not find the cache.
fn import(cluster: &mut Cluster, node: &Machine) -> Result<(), Error> {
    let folder = cluster.run.path("images");
    let mut images: Vec<_> =
        fs::read_dir(&folder).map_err(Error::file(folder))?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    images.sort();
    let each = r#"socket=$1; shift
for image; do ctr --address "$socket" --namespace k8s.io images import "$image" || exit; done"#;
    let name = format!("{}/images", node.name);
    if node.guest {
        let images: Vec<String> =
            images.iter().filter_map(|path| Some(format!("/host/images/{}", path.file_name()?.to_str()?))).collect();
        let argv: Vec<&str> =
            ["sh", "-c", each, "import", SOCKET].into_iter().chain(images.iter().map(String::as_str)).collect();
        let mut command = cluster.command_on(node, &argv)?;
        return cluster.errand(&name, &mut command);
    }
    let socket = cluster.inside(node, SOCKET)?;
    let mut command = Command::new("sh");
    command.args(["-c", each, "import"]).arg(socket).args(images);
    cluster.errand(&name, &mut command)
}

/// Waits until every node has the images.
pub(crate) fn images(cluster: &mut Cluster) -> Result<(), Error> {
    cluster.errands_done("the images on every node", 300)?;
    cluster.step("the nodes have their images");
    Ok(())
}

/// Waits until every node is Ready.
pub(crate) fn ready(cluster: &mut Cluster) -> Result<(), Error> {
    let wanted = cluster.nodes();
    let patience = if wanted.iter().any(|node| node.guest) { 600 } else { 120 };
    cluster.poll("all nodes Ready", patience, |cluster| {
        let nodes = cluster.get(&["nodes"])?;
        let waiting: Vec<String> = wanted
            .iter()
            .filter_map(|node| not_ready(&nodes, &node.name).map(|why| format!("{}: {why}", node.name)))
            .collect();
        Ok(if waiting.is_empty() { Ok(()) } else { Err(waiting.join("; ")) })
    })?;
    cluster.step("the nodes are Ready");
    Ok(())
}

/// Why a node is not Ready; none when it is.
fn not_ready(nodes: &Value, name: &str) -> Option<String> {
    let node = nodes["items"].as_array().and_then(|all| all.iter().find(|node| node["metadata"]["name"] == name));
    let conditions = node.and_then(|node| node["status"]["conditions"].as_array());
    let ready = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == "Ready"));
    match ready {
        Some(condition) if condition["status"] == "True" => None,
        Some(condition) => Some(condition["message"].as_str().unwrap_or("no message").to_owned()),
        None => Some("no condition yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_only_when_it_says_so() {
        let nodes = serde_json::json!({"items": [
            {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"metadata": {"name": "b"}, "status": {"conditions": [{"type": "Ready", "status": "False", "message": "no network"}]}},
        ]});
        assert_eq!(not_ready(&nodes, "a"), None);
        assert_eq!(not_ready(&nodes, "b").as_deref(), Some("no network"));
        assert_eq!(not_ready(&nodes, "c").as_deref(), Some("no condition yet"));
    }
}
