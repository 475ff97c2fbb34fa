//! A real kube-apiserver and etcd on loopback, where `KUBEBUILDER_ASSETS` names a folder with both.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::Http;

/// A running kube-apiserver; it ends when this is dropped.
pub struct RealServer {
    folder: tempfile::TempDir,
    children: Vec<Child>,
}

/// kube-apiserver and etcd; nothing where they are not at hand.
pub fn assets() -> Option<(PathBuf, PathBuf)> {
    let folder = PathBuf::from(env::var_os("KUBEBUILDER_ASSETS")?);
    let (server, etcd) = (folder.join("kube-apiserver"), folder.join("etcd"));
    let etcd = if etcd.is_file() { etcd } else { crate::find_program("etcd", "ETCD")? };
    server.is_file().then_some((server, etcd))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl RealServer {
    /// Starts both and waits until the server is ready.
    pub fn start((server, etcd): &(PathBuf, PathBuf), service_ranges: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let (client_port, peer_port, port) = (free_port(), free_port(), free_port());
        let client = format!("http://127.0.0.1:{client_port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        fs::write(path("tokens.csv"), "admin-token,admin,admin,system:masters\n").expect("a file of tokens");
        let made = Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(path("sa.key"))
            .arg("2048")
            .stderr(Stdio::null())
            .status()
            .expect("openssl starts");
        assert!(made.success(), "openssl makes a key");
        let quiet = |mut command: Command, log: &str| {
            let log = fs::File::create(path(log)).expect("a log");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts")
        };
        let mut command = Command::new(etcd);
        command.args(["--name", "test", "--unsafe-no-fsync", "--data-dir"]).arg(path("etcd"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("test={peer}")]);
        let mut children = vec![quiet(command, "etcd.log")];
        let mut command = Command::new(server);
        command.args([
            &format!("--etcd-servers={client}"),
            "--bind-address=127.0.0.1",
            "--advertise-address=192.0.2.1",
        ]);
        command.arg(format!("--secure-port={port}")).arg(format!("--service-cluster-ip-range={service_ranges}"));
        command.args(["--authorization-mode=RBAC", "--allow-privileged=true", "--endpoint-reconciler-type=none"]);
        command.args([
            "--disable-admission-plugins=ServiceAccount",
            "--service-account-issuer=https://kubernetes.default.svc",
        ]);
        for (flag, file) in [
            ("service-account-key-file", "sa.key"),
            ("service-account-signing-key-file", "sa.key"),
            ("token-auth-file", "tokens.csv"),
            ("cert-dir", "certificates"),
        ] {
            command.arg(format!("--{flag}={}", path(file).display()));
        }
        children.push(quiet(command, "apiserver.log"));
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "real",
            "clusters": [{"name": "real", "cluster": {"server": format!("https://127.0.0.1:{port}"),
                "insecure-skip-tls-verify": true}}],
            "users": [{"name": "admin", "user": {"token": "admin-token"}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}]});
        fs::write(path("kubeconfig"), kubeconfig.to_string()).expect("a kubeconfig");
        let server = Self { folder, children };
        server.wait();
        server
    }

    /// Readiness is asked for, not waited out; two minutes are for a machine under load.
    fn wait(&self) {
        let http = Http::new(&self.kubeconfig());
        for _ in 0..600 {
            let request = http::Request::get("/readyz").body(kube::client::Body::empty()).expect("a request");
            if http.send(request).is_ok_and(|answer| answer.status.is_success()) {
                return;
            }
            thread::sleep(Duration::from_millis(200));
        }
        let log = fs::read_to_string(self.folder.path().join("apiserver.log")).unwrap_or_default();
        panic!("kube-apiserver does not become ready:\n{}", log.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
    }

    /// A kubeconfig for an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder().join("kubeconfig")
    }

    /// A folder that lives as long as the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
