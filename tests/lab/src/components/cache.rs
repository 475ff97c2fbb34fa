//! The folder where built things stay between runs.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::build::Recipe;
use crate::{Error, say::say};

/// The cache: `bin/NAME-KEY`, `images/NAME-KEY.tar`, `log/NAME.log`.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// Nobody else builds while this is held; the kernel lets go of it when its process dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] fs::File);

impl Cache {
    /// `$NET_LAB_CACHE`, else `kubectl-net-lab` in `$XDG_CACHE_HOME`, else in `~/.cache`.
    pub fn of_this_user() -> Result<Self, Error> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("NET_LAB_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|path| path.join("kubectl-net-lab")))
            .or_else(|| set("HOME").map(|path| path.join(".cache/kubectl-net-lab")))
            .ok_or_else(|| Error::Wants("NET_LAB_CACHE or HOME to say where its cache is".to_owned()))?;
        Ok(Self::at(root))
    }

    /// A cache in this folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A file or folder of it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Where a binary lies once it is built.
    pub(super) fn binary(&self, name: &str, recipe: &Recipe) -> PathBuf {
        self.path("bin").join(format!("{name}-{}-{}", recipe.version, recipe.key))
    }

    /// Waits for whoever builds, then keeps others from it, and removes what a killed build left.
    pub fn lock(&self) -> Result<Lock, Error> {
        for folder in ["bin", "images", "log"] {
            let path = self.path(folder);
            fs::create_dir_all(&path).map_err(Error::file(path))?;
        }
        let path = self.path("lock");
        let file = fs::File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(Error::file(&path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            say(&format!("waiting for another run that builds into {}", self.root.display()));
            flock(&file, FlockOperation::LockExclusive).map_err(|e| Error::File(path, e.into()))?;
        }
        let lock = Lock(file);
        self.sweep(&lock);
        Ok(lock)
    }

    /// Half-built things have names that begin with a dot.
    fn sweep(&self, _lock: &Lock) {
        for folder in ["bin", "images"] {
            let Ok(entries) = fs::read_dir(self.path(folder)) else { continue };
            let half = entries.filter_map(Result::ok).filter(|e| e.file_name().to_string_lossy().starts_with('.'));
            for entry in half {
                // what cannot be removed is not used either
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A name beside `path` for what is not finished; renamed to it when it is.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_build_left_is_swept_and_what_is_whole_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        drop(cache.lock().unwrap());
        let whole = cache.path("bin/kubelet-v1-abc");
        fs::write(&whole, "x").unwrap();
        fs::write(unfinished(&whole), "x").unwrap();
        drop(cache.lock().unwrap());
        assert!(whole.exists() && !unfinished(&whole).exists());
    }
}
