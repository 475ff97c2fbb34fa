//! etcd and kube-apiserver on loopback: started, waited for, and ended.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use http::Method;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Size, http::Json, objects::SERVICE_RANGES};
use crate::{
    Error, components,
    process::{Stamp, log_tail},
};

/// The version of the API server.
const VERSION: &str = "1.36";
/// Until etcd must have opened its data: 2 GB from a cold disk.
const OPENED: Duration = Duration::from_secs(300);
/// Until the API server must be ready: on two busy cores it fills its caches in half a minute.
const READY: Duration = Duration::from_secs(300);
/// Until a component that was asked to end is killed.
const GRACE: Duration = Duration::from_secs(30);
/// How often a state is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) etcd: PathBuf,
    pub(super) apiserver: PathBuf,
}

impl Programs {
    /// The first of each: in the folder that is named, then etcd of `PATH`, and the lab's own API server, which is
    /// built if it is not there.
    pub(super) fn find(named: Option<&Path>) -> Result<Self, Error> {
        let named: Vec<PathBuf> = named.map(Path::to_owned).into_iter().collect();
        let etcd = etcd_in(named.iter().cloned().chain(env::var_os("PATH").iter().flat_map(env::split_paths)))?;
        let server = components::kubernetes("kube-apiserver", VERSION)?;
        let mut found = components::provide(&[server], &named)?;
        let apiserver = found.remove("kube-apiserver");
        Ok(Self { etcd, apiserver: apiserver.ok_or_else(|| Error::Other("no kube-apiserver was built".to_owned()))? })
    }
}

fn etcd_in(mut folders: impl Iterator<Item = PathBuf>) -> Result<PathBuf, Error> {
    let found = folders.find_map(|folder| Some(folder.join("etcd")).filter(|path| path.is_file()));
    found.ok_or_else(|| Error::Wants("etcd: install etcd-server, or name its folder with --bin".to_owned()))
}

/// Asks a process to end, then kills it; returns when it is gone.
fn end(process: Stamp) {
    process.signal(Signal::TERM);
    let until = Instant::now() + GRACE;
    while process.alive() {
        if Instant::now() > until {
            process.signal(Signal::KILL);
        }
        thread::sleep(LOOK);
    }
}

/// What is written down of a running server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) size: Size,
    pub(super) port: u16,
    pub(super) etcd_port: u16,
    etcd: Option<Stamp>,
    apiserver: Option<Stamp>,
}

impl Running {
    /// The server that was started last, if it was not taken down.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join("run.json")).ok()?).ok()
    }

    fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join("run.json");
        fs::write(&path, json!(self).to_string()).map_err(Error::file(path))
    }

    /// Whether both of its processes run.
    pub(super) fn alive(&self) -> bool {
        [self.etcd, self.apiserver].iter().all(|process| process.is_some_and(Stamp::alive))
    }

    /// Ends both; the API server first, which would complain about the other's end.
    pub(super) fn end(&self) {
        for process in [self.apiserver, self.etcd].into_iter().flatten() {
            end(process);
        }
    }

    /// Memory that both hold, in MiB: etcd, then the API server.
    pub(super) fn memory(&self) -> [Option<u64>; 2] {
        [self.etcd, self.apiserver].map(|process| {
            let status = fs::read_to_string(format!("/proc/{}/status", process?.pid)).ok()?;
            let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            kib.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024)
        })
    }

    /// Starts both over the data in `data`; what they write goes to `folder`.
    ///
    /// The API server gives up when etcd has not answered within 20 seconds, so it is started when etcd does.
    pub(super) async fn start(
        programs: &Programs,
        folder: &Path,
        data: &Path,
        size: Size,
        port: Option<u16>,
    ) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let [etcd_port, peer_port, free] = free_ports()?;
        let port = match port {
            Some(port) => wanted_port(port)?,
            None => free,
        };
        let mut running = Self { size, port, etcd_port, etcd: None, apiserver: None };
        secrets(folder)?;
        running.etcd = Some(spawn(etcd(programs, data, etcd_port, peer_port), &folder.join("etcd.log"))?);
        // written at once, so that whatever happens next, `down` finds it
        running.write(folder)?;
        running.opened(folder).await?;
        running.apiserver = Some(spawn(apiserver(programs, folder, &running), &folder.join("apiserver.log"))?);
        running.write(folder)?;
        Ok(running)
    }

    /// Waits until etcd has opened its data.
    async fn opened(&self, folder: &Path) -> Result<(), Error> {
        let until = Instant::now() + OPENED;
        let etcd = Json::etcd(self.etcd_port)?;
        loop {
            check("etcd", self.etcd, folder)?;
            let seen = match etcd.ask(Method::GET, "/health", None).await {
                Ok((status, _)) if status.is_success() => return Ok(()),
                Ok((status, _)) => format!("/health {status}"),
                Err(error) => error.to_string(),
            };
            if Instant::now() > until {
                return Err(Error::Late { what: "etcd to open its data".to_owned(), seconds: OPENED.as_secs(), seen });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the API server is ready, and writes the kubeconfig.
    pub(super) async fn ready(&self, folder: &Path) -> Result<Json, Error> {
        let until = Instant::now() + READY;
        let certificate = folder.join("certificates/apiserver.crt");
        let mut seen = "no certificate".to_owned();
        loop {
            self.check(folder)?;
            if certificate.is_file() {
                let api = Json::api(&kubeconfig(folder, &certificate, self.port)?).await;
                match api {
                    Ok(api) => match api.ask(Method::GET, "/readyz", None).await {
                        Ok((status, _)) if status.is_success() => return Ok(api),
                        Ok((status, _)) => seen = format!("/readyz {status}"),
                        Err(error) => seen = error.to_string(),
                    },
                    // half-written
                    Err(error) => seen = error.to_string(),
                }
            }
            if Instant::now() > until {
                return Err(Error::Late {
                    what: "kube-apiserver to be ready".to_owned(),
                    seconds: READY.as_secs(),
                    seen,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Says which component died, with its last words.
    pub(super) fn check(&self, folder: &Path) -> Result<(), Error> {
        check("etcd", self.etcd, folder)?;
        check("apiserver", self.apiserver, folder)
    }
}

fn check(name: &str, process: Option<Stamp>, folder: &Path) -> Result<(), Error> {
    if process.is_some_and(Stamp::alive) {
        return Ok(());
    }
    let log = folder.join(format!("{name}.log"));
    let output = log_tail(&log, 15);
    Err(Error::Died { component: name.to_owned(), status: "not running".to_owned(), output, log })
}

fn etcd(programs: &Programs, data: &Path, port: u16, peer_port: u16) -> Command {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
    let mut command = Command::new(&programs.etcd);
    command.args(["--name", "scale", "--unsafe-no-fsync", "--quota-backend-bytes", "8589934592", "--data-dir"]);
    command.arg(data).args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("scale={peer}")]);
    command
}

fn apiserver(programs: &Programs, folder: &Path, running: &Running) -> Command {
    let mut command = Command::new(&programs.apiserver);
    command.arg(format!("--etcd-servers=http://127.0.0.1:{}", running.etcd_port));
    command.arg(format!("--secure-port={}", running.port)).arg(format!("--service-cluster-ip-range={SERVICE_RANGES}"));
    command.args(["--bind-address=127.0.0.1", "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none"]);
    command.args(["--authorization-mode=Node,RBAC", "--disable-admission-plugins=ServiceAccount"]);
    command.arg("--service-account-issuer=https://kubernetes.default.svc");
    for (flag, file) in [
        ("service-account-key-file", "sa.pub"),
        ("service-account-signing-key-file", "sa.key"),
        ("token-auth-file", "tokens.csv"),
        ("cert-dir", "certificates"),
    ] {
        command.arg(format!("--{flag}={}", folder.join(file).display()));
    }
    command
}

/// Starts a component that outlives this program and does not hear its Ctrl-C.
fn spawn(mut command: Command, log: &Path) -> Result<Stamp, Error> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = fs::File::create(log).map_err(Error::file(log))?;
    let errors = output.try_clone().map_err(Error::file(log))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|error| Error::Start(name.clone(), error))?;
    Stamp::of(child.id()).ok_or_else(|| Error::Wants("/proc to be mounted".to_owned()))
}

/// Three ports that nobody listens on now.
fn free_ports() -> Result<[u16; 3], Error> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::file("127.0.0.1"));
    let listeners = [listen()?, listen()?, listen()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr().map_err(Error::file("127.0.0.1"))?.port();
    }
    Ok(ports)
}

/// A port that was asked for, if nobody has it.
fn wanted_port(port: u16) -> Result<u16, Error> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(port),
        Err(error) => Err(Error::Other(format!(
            "port {port} of 127.0.0.1 can't be had: {}; name another with --port, or none",
            error.to_string().to_lowercase()
        ))),
    }
}

/// The administrator's token, and the key for service accounts; for this run only.
fn secrets(folder: &Path) -> Result<(), Error> {
    let random = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    fs::File::open(random).and_then(|mut file| file.read_exact(&mut bytes)).map_err(Error::file(random))?;
    let token = format!("{:032x}", u128::from_be_bytes(bytes));
    let key = rcgen::KeyPair::generate().map_err(|error| Error::Other(format!("a key: {error}")))?;
    secret(&folder.join("token"), &token)?;
    secret(&folder.join("tokens.csv"), &format!("{token},admin,admin,system:masters\n"))?;
    secret(&folder.join("sa.key"), &key.serialize_pem())?;
    secret(&folder.join("sa.pub"), &key.public_key_pem())
}

/// A file that nobody else reads.
fn secret(path: &Path, text: &str) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(Error::file(path))?;
    file.write_all(text.as_bytes()).map_err(Error::file(path))
}

/// A kubeconfig for the administrator.
fn kubeconfig(folder: &Path, certificate: &Path, port: u16) -> Result<PathBuf, Error> {
    let token_file = folder.join("token");
    let token = fs::read_to_string(&token_file).map_err(Error::file(&token_file))?;
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "scale",
        "clusters": [{"name": "scale", "cluster": {"server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": certificate}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "scale", "context": {"cluster": "scale", "user": "admin"}}]});
    let path = folder.join("kubeconfig");
    secret(&path, &config.to_string())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_has_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = wanted_port(port).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("--port"), "{error}");
    }

    #[test]
    fn etcd_that_is_nowhere_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folders = || [folder.path().to_owned()].into_iter();
        let error = etcd_in(folders()).unwrap_err().to_string();
        assert!(error.contains("etcd-server") && error.contains("--bin"), "{error}");
        fs::write(folder.path().join("etcd"), "").unwrap();
        assert_eq!(etcd_in(folders()).unwrap(), folder.path().join("etcd"));
    }
}
