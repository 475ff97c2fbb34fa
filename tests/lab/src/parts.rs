//! What a cluster is made of, brought together in the run's folder: binaries, certificates, images.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    Error, pki,
    plan::{Machine, Plan},
    run::{Run, Versions},
};

fn cache() -> PathBuf {
    std::env::var_os("NET_LAB_CACHE").map_or_else(|| PathBuf::from("/root/.cache/kubectl-net-lab"), PathBuf::from)
}

/// Finds or builds the binaries; before anything of the run is made.
pub(crate) fn versions(_plan: &Plan) -> Result<Versions, Error> {
    Ok(Versions { kubernetes: "v1.36.3".to_owned(), proxy_image: "localhost/kube-proxy:v1.36.3".to_owned() })
}

/// Puts everything into the run's folder.
pub(crate) fn bring(run: &Run, _plan: &Plan, machines: &[Machine], port: u16) -> Result<(), Error> {
    pki::write(&run.path("pki"), machines, port)?;
    fs::copy(run.path("pki/admin.conf"), run.kubeconfig()).map_err(Error::file(run.kubeconfig()))?;
    for (from, to) in [("bin", "bin"), ("interim/img", "images")] {
        let to = run.path(to);
        fs::create_dir_all(&to).map_err(Error::file(&to))?;
        link_all(&cache().join(from), &to)?;
    }
    Ok(())
}

fn link_all(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(from).map_err(Error::file(from))?.filter_map(Result::ok) {
        let link = to.join(entry.file_name());
        symlink(entry.path(), &link).map_err(Error::file(link))?;
    }
    Ok(())
}
