//! `--node-access debug`: the one place where reading writes to the cluster. It makes short-lived pods
//! and takes them away; nothing else is made, changed or deleted here.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    hash::{BuildHasher as _, Hasher as _},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};
use netcore::probe::{Probe, Sees, Way};
use serde_json::{Value, json};

use super::{
    error::RunError,
    find::Target,
    seat::{Seat, seats},
};

/// Where the pods are made: a namespace whose pods may use the node's network everywhere.
pub(super) const NAMESPACE: &str = "kube-system";
/// The label that every one of them has.
const LABEL: &str = "app.kubernetes.io/name";
const NAME: &str = "kubectl-net-reader";
/// The label with the run's id.
const RUN: &str = "kubectl-net/run";
/// The longest life of such a pod in seconds; the kubelet ends it then, whatever became of us.
const LIFE: i64 = 300;
/// Older ones, which no kubelet ever started and so none ended, are nobody's any more.
const FORGOTTEN: i64 = 3600;
/// How often a pod that is about to start is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Images with the tools that probes need, best first, as they occur in a node's list of images.
const IMAGES: [&str; 5] = ["/calico/node", "/kube-proxy", "/flannel", "/canal", "/cilium"];

/// The debug pods of one run.
pub(super) struct DebugPods {
    client: Client,
    run: String,
    image: Option<String>,
    /// What was made, or may have been, and is not yet deleted.
    made: RefCell<BTreeSet<String>>,
}

impl DebugPods {
    pub(super) fn new(client: Client, image: Option<String>) -> Self {
        let random = std::hash::RandomState::new().build_hasher().finish();
        Self { client, run: format!("{random:016x}").chars().take(10).collect(), image, made: RefCell::default() }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Deletes pods of earlier runs that have ended, or were never started; gives their number. One
    /// that runs is somebody's who is reading right now.
    pub(super) async fn sweep(&self, now: i64) -> Result<usize, RunError> {
        let labelled = ListParams::default().labels(&format!("{LABEL}={NAME}"));
        let pods = self.pods().list(&labelled).await.map_err(|error| RunError::connecting(&error))?;
        let mut swept = 0;
        for pod in pods.items.iter().filter(|pod| is_over(pod, now)) {
            let Some(name) = pod.metadata.name.as_deref() else { continue };
            let params = DeleteParams {
                grace_period_seconds: Some(0),
                preconditions: Some(Preconditions { uid: pod.metadata.uid.clone(), ..Preconditions::default() }),
                ..DeleteParams::default()
            };
            // somebody else may have swept it meanwhile
            swept += usize::from(self.pods().delete(name, &params).await.is_ok());
        }
        Ok(swept)
    }

    /// Makes a pod on a node and waits until it runs.
    pub(super) async fn make(&self, node: &Target, probes: &[Probe]) -> Result<Seat, RunError> {
        let refused = |error: kube::Error| RunError::connecting(&error);
        let (image, pull) = match &self.image {
            Some(image) => (image.clone(), "IfNotPresent"),
            // it is there already: nothing is pulled onto somebody's node unasked
            None => (self.image_on(&node.name).await?, "Never"),
        };
        let name = pod_name(&self.run, &node.name);
        let manifest = manifest(&name, &self.run, node, &image, pull, probes);
        let pod: Pod = serde_json::from_value(manifest).map_err(|error| RunError::Refused(error.to_string()))?;
        // before the request: whether or not its answer arrives, the pod is to go
        self.made.borrow_mut().insert(name.clone());
        self.pods().create(&PostParams::default(), &pod).await.map_err(|error| match refused(error) {
            RunError::Refused(reason) => RunError::Refused(format!("the debug pod was not admitted: {reason}")),
            error => error,
        })?;
        loop {
            let pod = self.pods().get(&name).await.map_err(refused)?;
            let status = pod.status.clone().unwrap_or_default();
            if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
                let why = status.message.or(status.reason).unwrap_or_else(|| "it ended".to_owned());
                return Err(RunError::Refused(format!("the debug pod did not start: {why}")));
            }
            if let Some(why) = hopeless(&status) {
                return Err(RunError::Refused(format!("the debug pod did not start: {why}")));
            }
            let json = serde_json::to_vec(&pod).map_err(|error| RunError::Refused(error.to_string()))?;
            if let Some((_, mut seats)) = seats(&json)?
                && let Some(seat) = seats.pop()
            {
                return Ok(seat.of_ours());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Deletes the pod of a node.
    pub(super) async fn remove(&self, node: &str) -> Result<(), RunError> {
        self.delete(&pod_name(&self.run, node)).await
    }

    /// Deletes whatever is left; gives the names of those that could not be.
    pub(super) async fn remove_all(&self) -> Vec<String> {
        let left: Vec<String> = self.made.borrow().iter().cloned().collect();
        let mut stuck = Vec::new();
        for name in left {
            if self.delete(&name).await.is_err() {
                stuck.push(name);
            }
        }
        stuck
    }

    async fn delete(&self, name: &str) -> Result<(), RunError> {
        if !self.made.borrow().contains(name) {
            return Ok(());
        }
        let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        match self.pods().delete(name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(RunError::connecting(&error)),
        }
        self.made.borrow_mut().remove(name);
        Ok(())
    }

    /// An image with the tools that a node has already.
    async fn image_on(&self, node: &str) -> Result<String, RunError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = nodes.get(node).await.map_err(|error| RunError::connecting(&error))?;
        let images = node.status.and_then(|status| status.images).unwrap_or_default();
        let names: Vec<String> = images.into_iter().filter_map(|image| image.names).flatten().collect();
        choose_image(&names).ok_or_else(|| {
            let reason = "the node has no image with the tools that are needed; name one with --debug-image";
            RunError::Refused(reason.to_owned())
        })
    }
}

/// The best of a node's images; one with a tag rather than by digest, for it is what a reader knows.
fn choose_image(names: &[String]) -> Option<String> {
    IMAGES.iter().find_map(|wanted| {
        let of = |name: &&String| {
            let path = name.split('@').next().unwrap_or_default();
            let slash = path.rfind('/').unwrap_or(0);
            let colon = path.rfind(':').filter(|colon| *colon > slash).unwrap_or(path.len());
            format!("/{}", path.get(..colon).unwrap_or_default()).ends_with(wanted)
        };
        let mut found: Vec<&String> = names.iter().filter(of).collect();
        found.sort_by_key(|name| (name.contains('@'), name.as_str()));
        found.first().map(|name| (*name).clone())
    })
}

/// A name that is a valid pod's, whatever the node's is.
fn pod_name(run: &str, node: &str) -> String {
    let kept: String =
        node.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-').take(24).collect();
    // nodes of one long beginning stay apart
    let sum =
        node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{NAME}-{run}-{}-{:04x}", kept.trim_matches('-'), sum & 0xffff)
}

/// The least that works: the node's network, two capabilities, and read-only sight of the files that
/// the probes read.
fn manifest(name: &str, run: &str, node: &Target, image: &str, pull: &str, probes: &[Probe]) -> Value {
    let folders = folders(node, probes);
    let volumes: Vec<Value> = folders
        .iter()
        .enumerate()
        // Directory: a folder that is not there must not be made by mounting it
        .map(|(n, path)| json!({"name": format!("host-{n}"), "hostPath": {"path": path, "type": "Directory"}}))
        .collect();
    let mounts: Vec<Value> = folders
        .iter()
        .enumerate()
        .map(|(n, path)| json!({"name": format!("host-{n}"), "mountPath": path, "readOnly": true}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {
            LABEL: NAME, RUN: run, "app.kubernetes.io/managed-by": "kubectl-net",
        }},
        "spec": {
            "nodeName": node.name,
            "hostNetwork": true,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFE,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "reader", "image": image, "imagePullPolicy": pull,
                "command": ["sleep", LIFE.to_string()],
                "securityContext": {
                    "runAsUser": 0, "privileged": false, "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
                },
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "1Gi"}},
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    })
}

/// The node's folders that the probes read, those that are there as far as anybody knows.
fn folders(node: &Target, probes: &[Probe]) -> Vec<&'static str> {
    let mut folders: Vec<&'static str> = probes
        .iter()
        .flat_map(|probe| probe.ways())
        .filter_map(|way| match way {
            Way::Run(command) => match command.sees {
                Sees::Path("/etc/cni/net.d") => Some("/etc/cni/net.d"),
                Sees::Path("/run/flannel/subnet.env") if node.flannel => Some("/run/flannel"),
                _ => None,
            },
            Way::KubeProxy(_) => None,
        })
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// Why a container will never start.
fn hopeless(status: &k8s_openapi::api::core::v1::PodStatus) -> Option<String> {
    let waiting =
        status.container_statuses.iter().flatten().find_map(|status| status.state.as_ref()?.waiting.as_ref())?;
    let reason = waiting.reason.as_deref()?;
    let bad = [
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "CrashLoopBackOff",
    ];
    bad.contains(&reason).then(|| match &waiting.message {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    })
}

/// Whether a pod's life is over; `now` is in seconds since 1970.
fn is_over(pod: &Pod, now: i64) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let made = pod.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
    match phase {
        Some("Succeeded" | "Failed") => true,
        Some("Running") => false,
        _ => made.is_some_and(|made| now - made > FORGOTTEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flannel_node() -> Target {
        Target { flannel: true, ..Target::named("worker-1.example") }
    }

    #[test]
    fn a_pod_has_the_least_that_works() {
        let probes = [Probe::FlannelSubnetEnv, Probe::CniConf, Probe::Routes];
        let pod = manifest("x", "r", &flannel_node(), "kube-proxy:v1", "Never", &probes);
        let spec = &pod["spec"];
        assert_eq!((&spec["hostNetwork"], &spec["automountServiceAccountToken"]), (&json!(true), &json!(false)));
        assert_eq!((&spec["activeDeadlineSeconds"], &spec["hostPID"]), (&json!(300), &Value::Null));
        let security = &spec["containers"][0]["securityContext"];
        assert_eq!(security["capabilities"], json!({"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}));
        assert_eq!((&security["privileged"], &security["allowPrivilegeEscalation"]), (&json!(false), &json!(false)));
        let mounts = spec["containers"][0]["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
        let paths: Vec<&str> =
            spec["volumes"].as_array().unwrap().iter().filter_map(|v| v["hostPath"]["path"].as_str()).collect();
        assert_eq!(paths, ["/etc/cni/net.d", "/run/flannel"]);
        serde_json::from_value::<Pod>(pod).unwrap();
    }

    #[test]
    fn only_what_the_probes_read_is_mounted() {
        assert_eq!(folders(&flannel_node(), &[Probe::Routes, Probe::IptablesSave]), [""; 0]);
        assert_eq!(folders(&Target::named("n"), &[Probe::FlannelSubnetEnv]), [""; 0], "it is not there");
    }

    #[test]
    fn an_image_that_is_there_is_chosen() {
        let names = ["registry.k8s.io/pause:3.10", "r:5000/kube-proxy@sha256:abc", "r:5000/kube-proxy:v1.36.3"];
        let names: Vec<String> = names.map(str::to_owned).into();
        assert_eq!(choose_image(&names).as_deref(), Some("r:5000/kube-proxy:v1.36.3"));
        assert_eq!(choose_image(&["quay.io/evil/not-kube-proxy:v1".to_owned()]), None);
    }

    #[test]
    fn a_colleagues_pod_stays() {
        let pod = |phase: &str, made: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {"creationTimestamp": made}, "status": {"phase": phase}}))
                .unwrap()
        };
        let now = 1_767_225_600; // 2026-01-01T00:00:00Z
        assert!(!is_over(&pod("Running", "2025-12-31T20:00:00Z"), now), "whatever its age");
        assert!(!is_over(&pod("Pending", "2025-12-31T23:59:00Z"), now));
        assert!(is_over(&pod("Pending", "2025-12-31T20:00:00Z"), now), "no kubelet ever took it");
        assert!(is_over(&pod("Failed", "2025-12-31T23:59:00Z"), now));
    }

    #[test]
    fn names_are_valid_and_apart() {
        let name = pod_name("0123456789", "ip-10-0-0-1.eu-west-1.compute.internal.with.a.very.long.name");
        assert!(name.len() <= 63, "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
        assert_ne!(pod_name("r", "a.b"), pod_name("r", "ab"));
    }
}
