//! A guest as a node of the cluster: its cable, its files, its boot.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Network, Spec, initrd};
use crate::{
    Error, machine,
    plan::Machine,
    run::Run,
    supervise::{Cluster, read_from},
};

/// MiB of memory: containerd, kubelet, kube-proxy and the web pod take about half, images and root lie in the rest.
const MEMORY: u32 = 1536;

/// How long the kernel and the root may take, in seconds; under emulation on a busy machine it is half a minute.
const LIMIT: u64 = 180;

/// The folder of a guest in the run's folder.
pub(crate) fn folder(run: &Run, name: &str) -> PathBuf {
    machine::folder(run, name)
}

/// What the guest of this node is made of.
fn spec(run: &Run, node: &Machine) -> Spec {
    let control = Machine::control();
    Spec {
        name: node.name.clone(),
        folder: folder(run, &node.name),
        memory: MEMORY,
        cpus: 2,
        network: Some(Network {
            tap: format!("t{}", node.name),
            number: node.number,
            addresses: vec![format!("{}/24", node.v4()), format!("{}/64", node.v6())],
            gateways: vec![control.v4().to_string(), control.v6().to_string()],
        }),
    }
}

/// Lays out its folders, connects its cable to the bridge and starts it; `booted` waits for it.
pub(crate) fn start(cluster: &mut Cluster, node: &Machine, bridge: &str) -> Result<(), Error> {
    let boot = super::boot()?;
    let spec = spec(&cluster.run, node);
    spec.prepare()?;
    let files = spec.host().join("files");
    for (path, content) in machine::files(&cluster.run, &node.name)? {
        let path = files.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        fs::write(&path, content).map_err(Error::file(path))?;
    }
    share_all(&cluster.run.path("bin"), &spec.bin())?;
    share_all(&cluster.run.path("images"), &spec.host().join("images"))?;
    share_all(Path::new("/usr/lib/cni"), &spec.bin().join("cni"))?;
    for name in initrd::SHARED {
        let path = initrd::find(name).ok_or_else(|| Error::Wants(format!("the program {name}")))?;
        share(&path, &spec.bin().join(name))?;
    }
    let tap = format!("t{}", node.name);
    let script = format!("set -e\nip tuntap add dev {tap} mode tap\nip link set {tap} master {bridge} up\n");
    cluster.must(&Machine::control(), &["sh", "-c", &script])?;
    let argv = spec.argv(&boot);
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    cluster.start(&Machine::control(), &component(node), &argv, &[])
}

/// Waits until it takes orders.
pub(crate) fn booted(cluster: &mut Cluster, node: &Machine) -> Result<(), Error> {
    let log = cluster.run.path("logs").join(format!("control-{}.log", component(node)));
    cluster.poll(&format!("the guest {}", node.name), LIMIT, |_| {
        let console = read_from(&log, 0);
        let last = console.trim_end().lines().next_back().unwrap_or_default().to_owned();
        Ok(if console.contains(", ready after ") { Ok(()) } else { Err(last) })
    })?;
    cluster.step(&format!("{} has booted", node.name));
    Ok(())
}

fn component(node: &Machine) -> String {
    format!("guest-{}", node.name)
}

/// Each file of a folder, wherever it lies, in another one.
fn share_all(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::file(to))?;
    for entry in fs::read_dir(from).map_err(Error::file(from))?.filter_map(Result::ok) {
        share(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The guest follows no link out of its folder: a second name of the same file, or a copy on another file system.
fn share(from: &Path, to: &Path) -> Result<(), Error> {
    let real = fs::canonicalize(from).map_err(Error::file(from))?;
    if !real.is_file() || fs::hard_link(&real, to).is_ok() {
        return Ok(());
    }
    fs::copy(&real, to).map(drop).map_err(Error::file(to))
}
