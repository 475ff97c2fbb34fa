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
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Size, http::Json, objects::SERVICE_RANGES};
use crate::Error;

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
    /// The first of each: the folder that is named, the lab's own, then `PATH`.
    pub(super) fn find(named: Option<&Path>, cache: &Path) -> Result<Self, Error> {
        let mut folders: Vec<PathBuf> = named.map(Path::to_owned).into_iter().collect();
        folders.push(cache.join("bin"));
        folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
        let find = |program: &str, whence: &str| {
            let found = folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file());
            found.ok_or_else(|| Error::Wants(format!("{program}: {whence}")))
        };
        Ok(Self {
            etcd: find("etcd", "install etcd-server, or name its folder with --bin")?,
            apiserver: find("kube-apiserver", "name its folder with --bin or KUBEBUILDER_ASSETS")?,
        })
    }
}

/// A process, not only its number, which the kernel gives away again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Process {
    pid: i32,
    /// When it started, in ticks since boot.
    start: u64,
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let (_, start) = stat(pid)?;
        Some(Self { pid, start })
    }

    /// Whether it still runs; one that ended and was not waited for does not.
    fn alive(self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && state != 'Z')
    }

    fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.alive(), Pid::from_raw(self.pid)) {
            // gone between the look and the blow is as good
            let _ = kill_process(pid, signal);
        }
    }

    /// Asks it to end, then kills it; returns when it is gone.
    fn end(self) {
        self.signal(Signal::TERM);
        let until = Instant::now() + GRACE;
        while self.alive() {
            if Instant::now() > until {
                self.signal(Signal::KILL);
            }
            thread::sleep(LOOK);
        }
    }
}

/// State and start of a process.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name stands in brackets and may hold anything
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// What is written down of a running server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) size: Size,
    pub(super) port: u16,
    pub(super) etcd_port: u16,
    etcd: Option<Process>,
    apiserver: Option<Process>,
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
        [self.etcd, self.apiserver].iter().all(|process| process.is_some_and(Process::alive))
    }

    /// Ends both; the API server first, which would complain about the other's end.
    pub(super) fn end(&self) {
        for process in [self.apiserver, self.etcd].into_iter().flatten() {
            process.end();
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
    pub(super) fn start(
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
        running.apiserver = Some(spawn(apiserver(programs, folder, &running), &folder.join("apiserver.log"))?);
        running.write(folder)?;
        Ok(running)
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
        for (name, process) in [("etcd", self.etcd), ("apiserver", self.apiserver)] {
            if process.is_none_or(|process| !process.alive()) {
                let log = folder.join(format!("{name}.log"));
                let text = fs::read(&log).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                let lines: Vec<&str> = text.trim_end().lines().rev().take(15).collect();
                let output = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(Error::Died { component: name.to_owned(), status: "not running".to_owned(), output, log });
            }
        }
        Ok(())
    }
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
fn spawn(mut command: Command, log: &Path) -> Result<Process, Error> {
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
    Process::of(child.id()).ok_or_else(|| Error::Wants("/proc to be mounted".to_owned()))
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
    fn a_process_with_another_start_is_another_process() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(own.alive());
        assert!(!Process { start: own.start + 1, ..own }.alive());
    }

    #[test]
    fn a_program_that_is_nowhere_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("etcd"), "").unwrap();
        let error = Programs::find(Some(folder.path()), Path::new("/nowhere"));
        if let Err(error) = error {
            assert!(error.to_string().contains("kube-apiserver"), "{error}");
        }
    }
}
