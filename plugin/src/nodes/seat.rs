//! Where in a node's pods a command can be run: what each container sees of the node, and which
//! tools its image has.

use serde::Deserialize;

use super::error::RunError;
use netcore::probe::Sees;

/// A running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) image: String,
    family: Family,
    host_network: bool,
    /// Folders and files of the node, and where they are in the container.
    mounts: Vec<(String, String)>,
    /// `resources.limits.memory` in bytes.
    pub(super) memory_limit: Option<u64>,
}

impl std::fmt::Display for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.pod)
    }
}

/// Whose image it is. The order is that in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    /// Made by us.
    Debug,
    KubeProxy,
    Calico,
    Flannel,
    Cilium,
    Other,
}

/// What the images of kube-proxy are known to lack.
const NOT_IN_KUBE_PROXY: [&str; 5] = ["ip", "bridge", "birdcl", "conntrack", "ipvsadm"];
const NOT_IN_FLANNEL: [&str; 3] = ["ipset", "birdcl", "conntrack"];

impl Family {
    fn of(container: &str, image: &str) -> Self {
        let name = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        let is = |words: &[&str]| words.iter().any(|word| name.contains(word) || container == *word);
        match () {
            () if is(&["kube-proxy", "hardened-kubernetes"]) => Self::KubeProxy,
            () if container == "calico-node" || name == "calico-node" || image.contains("calico/node") => Self::Calico,
            () if is(&["flannel", "kube-flannel"]) => Self::Flannel,
            () if is(&["cilium-agent"]) || name == "cilium" => Self::Cilium,
            () => Self::Other,
        }
    }

    /// Whether an image of this family is known not to have a program. It may have it all the same:
    /// such an image is asked last, not never.
    fn lacks(self, program: &str) -> bool {
        match self {
            Self::KubeProxy => NOT_IN_KUBE_PROXY.contains(&program),
            Self::Flannel => NOT_IN_FLANNEL.contains(&program),
            Self::Cilium => program == "birdcl",
            Self::Debug | Self::Calico | Self::Other => false,
        }
    }
}

impl Seat {
    /// Whether kube-proxy's port is reached through this container: its own, or one that was made for
    /// the node's network.
    pub(super) fn is_kube_proxy(&self) -> bool {
        matches!(self.family, Family::KubeProxy | Family::Debug) && self.host_network
    }

    /// Marks a container that was made for this run: it is asked first, whatever its image.
    pub(super) fn of_ours(mut self) -> Self {
        self.family = Family::Debug;
        self
    }

    /// Where what a command must see is found in this container; nothing where it is not seen.
    #[expect(clippy::option_option, reason = "outside: not seen; inside: no path of its own")]
    pub(super) fn path(&self, sees: Sees) -> Option<Option<String>> {
        match sees {
            Sees::Kernel => Some(None),
            Sees::Network => self.host_network.then_some(None),
            Sees::Path(path) => self.mounted(path).map(Some),
        }
    }

    /// A file of the node, where this container has it.
    fn mounted(&self, path: &str) -> Option<String> {
        let spellings = [path.to_owned(), other_spelling(path)];
        let found = self.mounts.iter().flat_map(|(host, here)| {
            spellings.iter().filter_map(move |path| {
                let rest = path.strip_prefix(host.trim_end_matches('/'))?;
                let inside = rest.is_empty() || rest.starts_with('/');
                inside.then(|| (host.len(), format!("{}{rest}", here.trim_end_matches('/'))))
            })
        });
        // the innermost mount is what is seen
        found.max_by_key(|(depth, _)| *depth).map(|(_, path)| path)
    }
}

/// `/var/run` is `/run`.
fn other_spelling(path: &str) -> String {
    match path.strip_prefix("/var/run/") {
        Some(rest) => format!("/run/{rest}"),
        None => path.strip_prefix("/run/").map_or_else(|| path.to_owned(), |rest| format!("/var/run/{rest}")),
    }
}

/// The seats from which a command can be run, best first.
pub(super) fn ranked<'a>(seats: &'a [Seat], sees: Sees, program: &str) -> Vec<(&'a Seat, Option<String>)> {
    let mut found: Vec<(&Seat, Option<String>)> =
        seats.iter().filter_map(|seat| seat.path(sees).map(|path| (seat, path))).collect();
    found.sort_by(|(a, _), (b, _)| {
        let key = |seat: &Seat| (seat.family.lacks(program), seat.family);
        key(a)
            .cmp(&key(b))
            .then_with(|| (&a.namespace, &a.pod, &a.container).cmp(&(&b.namespace, &b.pod, &b.container)))
    });
    found
}

/// The running containers of a pod, and the node that they are on.
pub(super) fn seats(pod: &[u8]) -> Result<Option<(String, Vec<Seat>)>, RunError> {
    let pod: Pod = serde_json::from_slice(pod).map_err(|error| RunError::Refused(error.to_string()))?;
    if pod.metadata.deletion_timestamp.is_some() || pod.spec.node_name.is_empty() {
        return Ok(None);
    }
    let running = |name: &str| {
        pod.status.container_statuses.iter().any(|status| status.name == name && status.state.running.is_some())
    };
    let host = |name: &str| {
        let volume = pod.spec.volumes.iter().find(|volume| volume.name == name)?;
        volume.host_path.as_ref().map(|host| host.path.clone())
    };
    let seats = pod.spec.containers.iter().filter(|container| running(&container.name)).map(|container| Seat {
        namespace: pod.metadata.namespace.clone(),
        pod: pod.metadata.name.clone(),
        container: container.name.clone(),
        image: container.image.clone(),
        family: Family::of(&container.name, &container.image),
        host_network: pod.spec.host_network,
        mounts: container
            .volume_mounts
            .iter()
            .filter(|mount| mount.sub_path.is_empty() && mount.sub_path_expr.is_empty())
            .filter(|mount| mount.mount_path.starts_with('/'))
            .filter_map(|mount| Some((host(&mount.name)?, mount.mount_path.clone())))
            .collect(),
        memory_limit: container.resources.limits.memory.as_deref().and_then(bytes),
    });
    let seats = seats.collect();
    Ok(Some((pod.spec.node_name, seats)))
}

/// A quantity of memory in bytes: `128Mi`, `1G`, `134217728`.
fn bytes(quantity: &str) -> Option<u64> {
    let split = quantity.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(split);
    let scale: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(scale),
        // a limit to a thousandth of its unit is near enough
        Some((whole, part)) => {
            let part: String = part.chars().chain("000".chars()).take(3).collect();
            let thousandths = part.parse::<u64>().ok()?;
            whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(thousandths * scale / 1000)
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Pod {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    host_network: bool,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    volume_mounts: Vec<Mount>,
    resources: Resources,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resources {
    limits: Limits,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Limits {
    memory: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "Kubernetes' names")]
struct Mount {
    name: String,
    mount_path: String,
    sub_path: String,
    sub_path_expr: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Volume {
    name: String,
    host_path: Option<HostPath>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct HostPath {
    path: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    state: State,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    running: Option<serde::de::IgnoredAny>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, image: &str, mounts: &[(&str, &str)]) -> Value {
        let volumes: Vec<Value> = mounts
            .iter()
            .enumerate()
            .map(|(n, (host, _))| json!({"name": format!("v{n}"), "hostPath": {"path": host}}))
            .collect();
        let volume_mounts: Vec<Value> = mounts
            .iter()
            .enumerate()
            .map(|(n, (_, here))| json!({"name": format!("v{n}"), "mountPath": here}))
            .collect();
        json!({"metadata": {"namespace": "kube-system", "name": name},
            "spec": {"nodeName": "n1", "hostNetwork": true, "volumes": volumes, "containers": [
                {"name": name, "image": image, "volumeMounts": volume_mounts,
                    "resources": {"limits": {"memory": "128Mi"}}}]},
            "status": {"containerStatuses": [{"name": name, "state": {"running": {"startedAt": "x"}}}]}})
    }

    fn read(pod: &Value) -> Vec<Seat> {
        seats(pod.to_string().as_bytes()).unwrap().unwrap().1
    }

    fn order(seats: &[Seat], sees: Sees, program: &str) -> Vec<String> {
        ranked(seats, sees, program).into_iter().map(|(seat, _)| seat.pod.clone()).collect()
    }

    #[test]
    fn kube_proxy_comes_first_and_last_for_what_its_image_lacks() {
        let mut seats = read(&pod("kube-flannel", "ghcr.io/flannel-io/flannel:v0.28.9", &[]));
        seats.extend(read(&pod("kube-proxy", "registry.k8s.io/kube-proxy:v1.36.3", &[])));
        seats.extend(read(&pod("calico-node", "quay.io/calico/node:v3.31.0", &[])));
        assert_eq!(order(&seats, Sees::Network, "iptables-nft-save"), ["kube-proxy", "calico-node", "kube-flannel"]);
        assert_eq!(order(&seats, Sees::Network, "ip"), ["calico-node", "kube-flannel", "kube-proxy"]);
        assert_eq!(order(&seats, Sees::Network, "ipset"), ["kube-proxy", "calico-node", "kube-flannel"]);
    }

    #[test]
    fn a_file_is_read_where_it_is_mounted() {
        let mounts = [("/run/flannel", "/run/flannel"), ("/etc/cni/net.d", "/host/etc/cni/net.d/"), ("/", "/rootfs")];
        let seat = read(&pod("agent", "x", &mounts)).remove(0);
        let path = |path| seat.path(Sees::Path(path)).flatten();
        assert_eq!(path("/run/flannel/subnet.env").as_deref(), Some("/run/flannel/subnet.env"));
        assert_eq!(path("/etc/cni/net.d").as_deref(), Some("/host/etc/cni/net.d"));
        assert_eq!(path("/var/run/calico/bird.ctl").as_deref(), Some("/rootfs/run/calico/bird.ctl"));
        let blind = read(&pod("agent", "x", &[("/run/flannel-other", "/run/flannel-other")])).remove(0);
        assert_eq!(blind.path(Sees::Path("/run/flannel/subnet.env")), None);
    }

    #[test]
    fn only_running_containers_of_the_nodes_own_network_see_it() {
        let mut waiting = pod("kube-proxy", "kube-proxy:v1", &[]);
        waiting["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        assert_eq!(read(&waiting), []);
        let mut inside = pod("app", "app:v1", &[]);
        inside["spec"]["hostNetwork"] = json!(false);
        let seats = read(&inside);
        assert_eq!(order(&seats, Sees::Network, "ip"), [""; 0]);
        assert_eq!(order(&seats, Sees::Kernel, "cat"), ["app"]);
        let mut leaving = pod("kube-proxy", "kube-proxy:v1", &[]);
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(seats_of(&leaving).is_none());
    }

    fn seats_of(pod: &Value) -> Option<(String, Vec<Seat>)> {
        seats(pod.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn limits_are_read_in_every_unit() {
        for (text, expected) in [
            ("128Mi", Some(134_217_728)),
            ("134217728", Some(134_217_728)),
            ("1.5Gi", Some(1_610_612_736)),
            ("100M", Some(100_000_000)),
            ("x", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
