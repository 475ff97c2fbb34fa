//! What runs on the cluster itself: kube-proxy, laid out as kubeadm does it, and a Deployment to talk to.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    Error,
    plan::{API_PORT, Machine, Mode, POD_RANGES, SERVICE_RANGES},
    supervise::{Cluster, read_from},
};

/// Applies all of it; nothing is waited for.
pub(crate) fn apply(cluster: &mut Cluster) -> Result<(), Error> {
    let modes: BTreeSet<Mode> = cluster.nodes().iter().map(|node| node.proxy).collect();
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
               "metadata": {"name": "kube-proxy", "namespace": "kube-system"}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
               "metadata": {"name": "kubeadm:node-proxier"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier"},
               "subjects": [{"kind": "ServiceAccount", "name": "kube-proxy", "namespace": "kube-system"}]}),
        kubeadm_config(&cluster.state.versions.kubernetes),
    ];
    for mode in &modes {
        // the first mode has the names that kubeadm gives
        let name = name_of(*mode, &modes);
        objects.push(proxy_config(&name, *mode));
        objects.push(proxy_daemon_set(&name, *mode, &cluster.state.versions.proxy_image, modes.len() > 1));
    }
    objects.extend(web());
    // the namespace's own service account comes a moment after the API server
    cluster.poll("the objects of the cluster", 60, |cluster| Ok(cluster.apply(&objects).map_err(|e| e.to_string())))?;
    cluster.step("kube-proxy and the web Deployment are applied");
    Ok(())
}

/// kubeadm's name for the first mode, a name with the mode for each other.
fn name_of(mode: Mode, modes: &BTreeSet<Mode>) -> String {
    if modes.first() == Some(&mode) { "kube-proxy".to_owned() } else { format!("kube-proxy-{}", mode.name()) }
}

fn kubeadm_config(version: &str) -> Value {
    let configuration = format!(
        "apiServer: {{}}\napiVersion: kubeadm.k8s.io/v1beta4\ncaCertificateValidityPeriod: 87600h0m0s\n\
         certificateValidityPeriod: 8760h0m0s\ncertificatesDir: /etc/kubernetes/pki\nclusterName: kubernetes\n\
         controlPlaneEndpoint: {v4}:{API_PORT}\ncontrollerManager: {{}}\ndns: {{}}\nencryptionAlgorithm: RSA-2048\n\
         etcd:\n  local:\n    dataDir: /var/lib/etcd\nkind: ClusterConfiguration\nkubernetesVersion: {version}\n\
         networking:\n  dnsDomain: cluster.local\n  podSubnet: {pods}\n  serviceSubnet: {services}\nproxy: {{}}\n\
         scheduler: {{}}\n",
        v4 = Machine::control().v4(),
        pods = POD_RANGES.join(","),
        services = SERVICE_RANGES.join(","),
    );
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": "kubeadm-config", "namespace": "kube-system"},
           "data": {"ClusterConfiguration": configuration}})
}

/// Nothing of conntrack is set: those settings are the whole machine's.
fn proxy_config(name: &str, mode: Mode) -> Value {
    let configuration = format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nbindAddress: 0.0.0.0\nclientConnection:\n  \
         kubeconfig: /var/lib/kube-proxy/kubeconfig.conf\nclusterCIDR: {pods}\nconntrack:\n  maxPerCore: 0\n  min: 0\n  \
         tcpCloseWaitTimeout: 0s\n  tcpEstablishedTimeout: 0s\nkind: KubeProxyConfiguration\nmode: {mode}\n",
        pods = POD_RANGES.join(","),
        mode = mode.name(),
    );
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    \
         certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt\n    \
         server: https://{v4}:{API_PORT}\n  name: default\ncontexts:\n- context:\n    cluster: default\n    \
         namespace: default\n    user: default\n  name: default\ncurrent-context: default\nusers:\n- name: default\n  \
         user:\n    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token\n",
        v4 = Machine::control().v4(),
    );
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": name, "namespace": "kube-system", "labels": {"app": "kube-proxy"}},
           "data": {"config.conf": configuration, "kubeconfig.conf": kubeconfig}})
}

fn proxy_daemon_set(name: &str, mode: Mode, image: &str, select: bool) -> Value {
    let mut node_selector = json!({"kubernetes.io/os": "linux"});
    if select {
        node_selector["lab/proxy"] = json!(mode.name());
    }
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {"k8s-app": "kube-proxy"}},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": "kube-proxy", "lab/proxy": mode.name()}},
            "updateStrategy": {"type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": {"k8s-app": "kube-proxy", "lab/proxy": mode.name()}},
                "spec": {
                    "priorityClassName": "system-node-critical",
                    "serviceAccountName": "kube-proxy",
                    "hostNetwork": true,
                    "nodeSelector": node_selector,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{
                        "name": "kube-proxy",
                        "image": image,
                        "imagePullPolicy": "Never",
                        "command": ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf",
                                    "--hostname-override=$(NODE_NAME)", "--v=2"],
                        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                        "securityContext": {"privileged": true},
                        "volumeMounts": [
                            {"name": "kube-proxy", "mountPath": "/var/lib/kube-proxy"},
                            {"name": "xtables-lock", "mountPath": "/run/xtables.lock"},
                            {"name": "lib-modules", "mountPath": "/lib/modules", "readOnly": true},
                        ],
                    }],
                    "volumes": [
                        {"name": "kube-proxy", "configMap": {"name": name}},
                        {"name": "xtables-lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}},
                        {"name": "lib-modules", "hostPath": {"path": "/lib/modules"}},
                    ],
                },
            },
        },
    })
}

fn web() -> [Value; 2] {
    let serve = "mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 8080 -h /www";
    [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "automountServiceAccountToken": false,
                        "terminationGracePeriodSeconds": 1,
                        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}],
                        "containers": [{
                            "name": "web", "image": crate::image::NETBOX, "imagePullPolicy": "Never",
                            "command": ["/bin/sh", "-c", serve],
                            "ports": [{"containerPort": 8080, "name": "http"}],
                            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                        }],
                    },
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"type": "NodePort", "selector": {"app": "web"}, "ipFamilyPolicy": "PreferDualStack",
                     "ports": [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 31999}]},
        }),
    ]
}

/// Waits until kube-proxy has written its rules on every node and the Deployment is available.
pub(crate) fn ready(cluster: &mut Cluster) -> Result<(), Error> {
    let nodes = cluster.nodes();
    let patience = if nodes.iter().any(|node| node.guest) { 600 } else { 180 };
    cluster.poll("kube-proxy's rules on every node", patience, |cluster| {
        let waiting: Vec<&str> =
            nodes.iter().filter(|node| !synced(cluster, node)).map(|node| node.name.as_str()).collect();
        Ok(if waiting.is_empty() { Ok(()) } else { Err(format!("none yet on {}", waiting.join(", "))) })
    })?;
    cluster.step("kube-proxy has written its rules");
    cluster.poll("the web Deployment", patience, |cluster| {
        let web = cluster.get(&["deployment", "web"])?;
        let available = web["status"]["availableReplicas"].as_u64().unwrap_or(0);
        Ok(if Some(available) == web["spec"]["replicas"].as_u64() {
            Ok(())
        } else {
            Err(format!("{available} replicas"))
        })
    })?;
    cluster.step("the web Deployment is available");
    answers(cluster, &nodes, patience)?;
    cluster.step("the web Service answers on the nodes");
    Ok(())
}

/// Waits until the Service's own address answers from every node, which is kube-proxy's and the network's work.
fn answers(cluster: &mut Cluster, nodes: &[Machine], patience: u64) -> Result<(), Error> {
    let web = cluster.get(&["service", "web"])?;
    let address = web["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    let page = format!("http://{address}/");
    cluster.poll("the web Service on every node", patience, |cluster| {
        // of a guest the rules were looked at
        for node in nodes.iter().filter(|node| !node.guest) {
            let asked = cluster.on(node, &["curl", "-sS", "-m", "5", &page])?;
            if !(asked.status.success() && asked.stdout.starts_with(b"web-")) {
                let said = String::from_utf8_lossy(&asked.stderr).trim().to_owned();
                return Ok(Err(format!("{page} from {}: {said}", node.name)));
            }
        }
        Ok(Ok(()))
    })
}

/// `/healthz` is well before the first sync, so the log has to say it.
fn synced(cluster: &Cluster, node: &Machine) -> bool {
    if node.guest {
        // it logs its syncs only at a level that says too much; the API server's own Service is there after the first
        let saved = cluster.on(node, &["ipvsadm", "-S", "-n"]).map(|output| output.stdout).unwrap_or_default();
        return String::from_utf8_lossy(&saved).contains("-a -t 10.96.0.1:443 ");
    }
    let Ok(pods) = cluster.inside(node, "/var/log/pods") else { return false };
    let Ok(entries) = std::fs::read_dir(pods) else { return false };
    let folders = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("kube-system_kube-proxy"));
    folders.into_iter().any(|entry| {
        let Ok(logs) = std::fs::read_dir(entry.path().join("kube-proxy")) else { return false };
        logs.filter_map(Result::ok).any(|log| read_from(&log.path(), 0).contains("SyncProxyRules complete"))
    })
}
