//! The control plane: etcd, the API server and its way out, the controllers, the scheduler.

use crate::{
    Error,
    plan::{API_PORT, Machine, POD_RANGES, SERVICE_RANGES},
    supervise::Cluster,
};

/// Starts it and waits until the API server is ready.
pub(crate) fn start(cluster: &mut Cluster) -> Result<(), Error> {
    let control = Machine::control();
    etcd(cluster, &control)?;
    api_server(cluster, &control)?;
    way_out(cluster, &control)?;
    cluster.poll("the API server's readyz", 90, |cluster| {
        Ok(match cluster.kubectl(&["get", "--raw", "/readyz"], "") {
            Ok(text) if text.trim() == "ok" => Ok(()),
            Ok(text) => Err(text),
            Err(error) => Err(error.to_string()),
        })
    })?;
    cluster.step("the API server answers");
    controllers(cluster, &control)
}

fn etcd(cluster: &mut Cluster, control: &Machine) -> Result<(), Error> {
    let data = cluster.run.path("etcd");
    std::fs::create_dir_all(&data).map_err(Error::file(&data))?;
    let argv = [
        "etcd",
        "--name=lab",
        &format!("--data-dir={}", data.display()),
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=lab=http://127.0.0.1:2380",
    ];
    cluster.start(control, "etcd", &argv, &[])
}

fn api_server(cluster: &mut Cluster, control: &Machine) -> Result<(), Error> {
    let pki = |name: &str| cluster.pki(name).display().to_string();
    let argv = [
        cluster.bin("kube-apiserver").display().to_string(),
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        "--bind-address=::".to_owned(),
        format!("--secure-port={API_PORT}"),
        format!("--advertise-address={}", control.v4()),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--kubelet-client-certificate={}", pki("apiserver-kubelet-client.crt")),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet-client.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", pki("sa.pub")),
        format!("--service-account-signing-key-file={}", pki("sa.key")),
        format!("--service-cluster-ip-range={}", SERVICE_RANGES.join(",")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    cluster.start(control, "kube-apiserver", &argv, &[])
}

/// Two forwarders with a socket file in between: one here, one in the control plane's namespace.
fn way_out(cluster: &mut Cluster, control: &Machine) -> Result<(), Error> {
    let socket = cluster.run.path("api.sock").display().to_string();
    let port = cluster.state.port.to_string();
    let exe = std::env::current_exe().map_err(Error::file("/proc/self/exe"))?.display().to_string();
    let inside = format!("127.0.0.1:{API_PORT}");
    cluster.start(control, "forward-inner", &[&exe, "forward", "--from", &socket, "--to", &inside], &[])?;
    cluster.start_here("forward-outer", &["forward", "--port", &port, "--to", &socket])
}

fn controllers(cluster: &mut Cluster, control: &Machine) -> Result<(), Error> {
    let pki = |name: &str| cluster.pki(name).display().to_string();
    let own = |name: &str| {
        let conf = pki(name);
        [
            format!("--kubeconfig={conf}"),
            format!("--authentication-kubeconfig={conf}"),
            format!("--authorization-kubeconfig={conf}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--leader-elect=false".to_owned(),
        ]
    };
    let manager = [
        cluster.bin("kube-controller-manager").display().to_string(),
        format!("--service-account-private-key-file={}", pki("sa.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        "--use-service-account-credentials=true".to_owned(),
        "--allocate-node-cidrs=true".to_owned(),
        format!("--cluster-cidr={}", POD_RANGES.join(",")),
        format!("--service-cluster-ip-range={}", SERVICE_RANGES.join(",")),
    ];
    let manager: Vec<String> = manager.into_iter().chain(own("controller-manager.conf")).collect();
    let scheduler: Vec<String> =
        std::iter::once(cluster.bin("kube-scheduler").display().to_string()).chain(own("scheduler.conf")).collect();
    for (name, argv) in [("kube-controller-manager", manager), ("kube-scheduler", scheduler)] {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        cluster.start(control, name, &argv, &[])?;
    }
    Ok(())
}
