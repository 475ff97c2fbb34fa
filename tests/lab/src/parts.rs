//! What a cluster is made of, brought together in the run's folder: binaries, certificates, images.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error, cni,
    components::{self, cache::Cache, packages},
    image::{self, Entry, Layer},
    pki,
    plan::{Machine, Plan},
    process::run,
    run::{Run, Versions},
};

/// What every lab runs of Kubernetes, kube-proxy apart.
const KUBERNETES: [&str; 5] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"];

/// What was found or built.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Its versions.
    pub(crate) versions: Versions,
    binaries: BTreeMap<&'static str, PathBuf>,
    images: Vec<PathBuf>,
}

/// Installs packages, finds or builds binaries, makes images; before anything of the run is made.
pub(crate) fn provide(plan: &Plan) -> Result<Parts, Error> {
    packages::install_missing(&packages::PROGRAMS)?;
    let version = components::kubernetes_version(&plan.kubernetes)?;
    let folders: Vec<PathBuf> = plan.bin.iter().cloned().collect();
    let mut wanted =
        KUBERNETES.into_iter().map(|name| components::kubernetes(name, &version)).collect::<Result<Vec<_>, _>>()?;
    wanted.extend(cni::components(plan.cni));
    let mut binaries = components::provide(&wanted, &folders)?;

    // a folder's kube-proxy is not of a version that was asked for by name
    let (proxy, folders) = match &plan.kube_proxy {
        Some(other) => (components::kubernetes_version(other)?, Vec::new()),
        None => (version.clone(), folders),
    };
    let proxies = components::provide(&[components::kubernetes("kube-proxy", &proxy)?], &folders)?;
    let program = proxies.get("kube-proxy").ok_or_else(|| Error::Other("no kube-proxy was built".to_owned()))?;
    let proxy_image = format!("localhost/kube-proxy:{}", version_of(program)?);

    let cache = Cache::of_this_user()?;
    let tools = image::netbox()?;
    let place = "usr/local/bin/kube-proxy";
    let layer = Layer::from([(place.to_owned(), Entry::File(program.clone()))]);
    let of_proxy = tools.with(&proxy_image, layer, &["/usr/local/bin/kube-proxy"]);
    let mut images = cni::images(plan.cni, &tools, &binaries)?;
    images.extend([image::pause()?, tools, of_proxy]);
    let images = images.iter().map(|made| image::archive(&cache, made)).collect::<Result<_, _>>()?;

    let server =
        binaries.get("kube-apiserver").ok_or_else(|| Error::Other("no kube-apiserver was built".to_owned()))?;
    let versions = Versions { kubernetes: version_of(server)?, proxy_image };
    binaries.extend(proxies);
    Ok(Parts { versions, binaries, images })
}

/// What a binary says of itself: `Kubernetes v1.36.3`.
fn version_of(program: &Path) -> Result<String, Error> {
    let said = run(Command::new(program).arg("--version"), b"")?;
    let version = said.split_whitespace().last().filter(|version| version.starts_with('v'));
    version.map(str::to_owned).ok_or_else(|| {
        Error::Other(format!("{} --version says `{}`, which names no version", program.display(), said.trim()))
    })
}

/// Puts everything into the run's folder; binaries and images stay where they are.
pub(crate) fn bring(run: &Run, parts: &Parts, machines: &[Machine], port: u16) -> Result<(), Error> {
    pki::write(&run.path("pki"), machines, port)?;
    fs::copy(run.path("pki/admin.conf"), run.kubeconfig()).map_err(Error::file(run.kubeconfig()))?;
    let (bin, images) = (run.path("bin"), run.path("images"));
    for folder in [&bin, &images] {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    for (name, path) in &parts.binaries {
        link(path, &bin.join(name))?;
    }
    for path in &parts.images {
        link(path, &images.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

fn link(to: &Path, from: &Path) -> Result<(), Error> {
    symlink(to, from).map_err(Error::file(from))
}

/// Puts a binary into a layer.
pub(crate) fn put_binary(
    layer: &mut Layer,
    path: &str,
    binaries: &BTreeMap<&'static str, PathBuf>,
    name: &str,
) -> Result<(), Error> {
    let binary = binaries.get(name).ok_or_else(|| Error::Other(format!("no `{name}` was built")))?;
    layer.insert(path.to_owned(), Entry::File(binary.clone()));
    Ok(())
}
