//! Debian's kernel, unpacked into the cache and not installed: this machine keeps its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, process::run};

/// A kernel in the cache.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Its release: `6.1.0-56-amd64`.
    pub(crate) release: String,
    /// The image to boot.
    pub(crate) image: PathBuf,
    /// The folder that has `kernel/`, `modules.dep` and the other lists.
    pub(crate) modules: PathBuf,
}

/// Finds the newest kernel in the cache; where there is none, the one that Debian's metapackage names comes there.
pub(crate) fn kernel(cache: &Path) -> Result<Kernel, Error> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(Error::Wants("an x86_64 machine for a node with a kernel of its own".to_owned()));
    }
    let cache = cache.join("kernel");
    if let Some(found) = newest(&cache) {
        return Ok(found);
    }
    fs::create_dir_all(&cache).map_err(Error::file(&cache))?;
    let shown = run(Command::new("apt-cache").args(["show", "--no-all-versions", "linux-image-amd64"]), b"")?;
    let package = package(&shown).ok_or_else(|| {
        Error::Wants("a Debian whose package linux-image-amd64 names its kernel; try apt-get update".to_owned())
    })?;
    // a folder of its own: a build that was killed leaves only this, and the next one does not take it for whole
    let work = tempfile::Builder::new().prefix("new-").tempdir_in(&cache).map_err(Error::file(&cache))?;
    run(Command::new("apt-get").args(["download", "-q", package]).current_dir(work.path()), b"")?;
    let archive = entries(work.path()).into_iter().find(|path| path.extension().is_some_and(|e| e == "deb"));
    let archive = archive.ok_or_else(|| Error::Other(format!("apt-get download {package} left no .deb")))?;
    let tree = work.path().join("tree");
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&tree), b"")?;
    fs::remove_file(&archive).map_err(Error::file(&archive))?;
    let release = package.trim_start_matches("linux-image-");
    run(Command::new("depmod").arg("-b").arg(&tree).arg(release), b"")?;
    let to = cache.join(release);
    match fs::rename(&tree, &to) {
        // another lab was faster
        Err(_) if to.exists() => {}
        other => other.map_err(Error::file(&to))?,
    }
    newest(&cache).ok_or_else(|| Error::Other(format!("{package} holds no kernel image")))
}

fn newest(cache: &Path) -> Option<Kernel> {
    let mut found: Vec<PathBuf> = entries(cache);
    found.sort();
    found.into_iter().rev().find_map(|tree| {
        let release = tree.file_name()?.to_str()?.to_owned();
        let image = tree.join("boot").join(format!("vmlinuz-{release}"));
        let modules = tree.join("lib/modules").join(&release);
        (image.exists() && modules.join("modules.dep").exists()).then_some(Kernel { release, image, modules })
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect()
}

/// The package with the image, out of what `apt-cache show` says of the metapackage.
fn package(shown: &str) -> Option<&str> {
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends:"))?;
    let first = depends.split([',', '|']).map(str::trim).find(|part| part.starts_with("linux-image-"))?;
    first.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metapackage_names_the_kernel() {
        let shown = "Package: linux-image-amd64\nSource: linux-signed-amd64\nVersion: 6.1.192-2\n\
                     Depends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\n";
        assert_eq!(package(shown), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(package("Package: linux-image-amd64\n"), None);
    }

    #[test]
    fn a_kernel_that_was_half_unpacked_is_none() {
        let cache = tempfile::tempdir().expect("a folder");
        let tree = cache.path().join("6.1.0-1-amd64");
        fs::create_dir_all(tree.join("lib/modules/6.1.0-1-amd64")).expect("made");
        assert!(newest(cache.path()).is_none());
    }
}
