//! The folder of one lab: what is in it, who owns it, and what is swept when nobody does any more.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Error, cgroup,
    plan::{Machine, Plan},
    process::{self, Stamp},
    say::say,
};

/// A lab's folder.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The lab's name.
    pub(crate) id: String,
    /// Where everything of it lies.
    pub(crate) folder: PathBuf,
}

/// What `up` writes down before it starts anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// The `up` that makes it.
    pub(crate) owner: Stamp,
    /// The root of its processes, once there is one.
    pub(crate) supervisor: Option<Stamp>,
    /// What it shall be.
    pub(crate) plan: Plan,
    /// Its nodes.
    pub(crate) machines: Vec<Machine>,
    /// The API server's port on this machine's loopback.
    pub(crate) port: u16,
    /// What was taken to make it.
    pub(crate) versions: Versions,
}

/// Versions of what runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// Of the control plane and the kubelets: `v1.36.3`.
    pub(crate) kubernetes: String,
    /// kube-proxy's image with its tag.
    pub(crate) proxy_image: String,
}

/// A component as it was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Component {
    /// `etcd`, `node1/kubelet`.
    pub(crate) name: String,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// Its log.
    pub(crate) log: PathBuf,
    /// Whether it does one thing and then ends.
    #[serde(default)]
    pub(crate) errand: bool,
    /// How it ended, when it did and must not have.
    pub(crate) ended: Option<String>,
}

/// Nobody else makes, sweeps or removes labs while this is held.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not read")] fs::File);

/// Where all labs lie.
pub(crate) fn root() -> PathBuf {
    env::var_os("NET_LAB_DIR").map_or_else(|| PathBuf::from("/var/lib/kubectl-net-lab"), PathBuf::from)
}

/// Takes the lock; the folder of all labs is made for it.
pub(crate) fn lock() -> Result<Lock, Error> {
    let root = root();
    loop {
        fs::create_dir_all(&root).map_err(Error::file(&root))?;
        let file = fs::File::open(&root).map_err(Error::file(&root))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|e| Error::File(root.clone(), e.into()))?;
        // whoever held it may have removed the folder, and another have made it again
        let held = file.metadata().map_err(Error::file(&root))?.ino();
        if fs::metadata(&root).is_ok_and(|there| there.ino() == held) {
            return Ok(Lock(file));
        }
    }
}

impl Run {
    /// The lab of this name, whether it is there or not.
    pub(crate) fn of(id: &str) -> Self {
        Self { id: id.to_owned(), folder: root().join(id) }
    }

    /// All that have a folder.
    pub(crate) fn all() -> Result<Vec<Self>, Error> {
        let root = root();
        let entries = match fs::read_dir(&root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(Error::file(&root))?,
        };
        let mut ids: Vec<String> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        ids.sort();
        Ok(ids.iter().map(|id| Self::of(id)).collect())
    }

    /// A file or folder of it.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Its kubeconfig for this machine.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// What `up` wrote down; none where it came not so far.
    pub(crate) fn state(&self) -> Option<State> {
        read(&self.path("state.json")).ok()
    }

    /// Writes it down, whole or not at all.
    pub(crate) fn write_state(&self, state: &State) -> Result<(), Error> {
        write(&self.path("state.json"), state)
    }

    /// The components that were started, in the order of their names.
    pub(crate) fn components(&self) -> Vec<Component> {
        let Ok(entries) = fs::read_dir(self.path("components")) else { return Vec::new() };
        let mut found: Vec<Component> =
            entries.filter_map(Result::ok).filter_map(|entry| read(&entry.path()).ok()).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Writes a component down.
    pub(crate) fn write_component(&self, component: &Component) -> Result<(), Error> {
        let name = component.name.replace('/', "-");
        write(&self.path("components").join(format!("{name}.json")), component)
    }

    /// Whether somebody makes it or runs it.
    pub(crate) fn alive(&self) -> bool {
        self.state().is_some_and(|state| state.owner.alive() || state.supervisor.is_some_and(Stamp::alive))
    }

    /// Whether its supervisor runs.
    pub(crate) fn runs(&self) -> bool {
        self.state().and_then(|state| state.supervisor).is_some_and(Stamp::alive)
    }

    /// Ends every process of it, then removes its control groups, then its folder, whose state goes last.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        if let Some(supervisor) = self.state().and_then(|state| state.supervisor) {
            end(supervisor)?;
        }
        cgroup::remove(&self.id)?;
        remove_folder(&self.folder)
    }
}

/// Ends a process and all below it.
fn end(root: Stamp) -> Result<(), Error> {
    if !root.alive() {
        return Ok(());
    }
    let below = process::descendants(root.pid);
    root.kill();
    let patience = Instant::now() + Duration::from_secs(20);
    while root.alive() || below.iter().any(|process| process.alive()) {
        if Instant::now() > patience {
            let left: Vec<String> =
                below.iter().filter(|process| process.alive()).map(|process| process.pid.to_string()).collect();
            return Err(Error::Other(format!("processes of the lab do not end: {}", left.join(", "))));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Removes the folder of all labs once there is none.
pub(crate) fn forget_folder(_lock: &Lock) {
    // it stays while another lab lies there
    let _ = fs::remove_dir(root());
}

/// Removes what dead runs left, and says so; the names of those that are gone. The lock is held by the caller.
///
/// What cannot be removed of another lab than `own` is a warning that names it: it is not in the caller's way.
pub(crate) fn sweep(_lock: &Lock, own: Option<&str>) -> Result<Vec<String>, Error> {
    let dead = Run::all()?.into_iter().filter(|run| !run.alive());
    let (swept, stuck) = sweep_each(dead, own, Run::remove)?;
    for id in &swept {
        say(&format!("swept what the lab `{id}` had left"));
    }
    for (id, error) in stuck {
        say(&format!("warning: what the lab `{id}` had left stays until the next `up` or `down`: {error}"));
    }
    Ok(swept)
}

/// The names of those that are gone, and those that are not with the reason; an error only for `own`.
type Swept = (Vec<String>, Vec<(String, Error)>);

fn sweep_each(
    dead: impl Iterator<Item = Run>,
    own: Option<&str>,
    remove: impl Fn(&Run) -> Result<(), Error>,
) -> Result<Swept, Error> {
    let (mut swept, mut stuck) = (Vec::new(), Vec::new());
    for run in dead {
        match remove(&run) {
            Ok(()) => swept.push(run.id),
            Err(error) if own == Some(run.id.as_str()) => return Err(error),
            Err(error) => stuck.push((run.id, error)),
        }
    }
    Ok((swept, stuck))
}

fn remove_folder(folder: &Path) -> Result<(), Error> {
    let gone = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(folder) {
        Err(e) if gone(&e) => return Ok(()),
        other => other.map_err(Error::file(folder))?,
    };
    for entry in entries.filter_map(Result::ok).filter(|entry| entry.file_name() != "state.json") {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        match if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) } {
            Err(e) if !gone(&e) => return Err(Error::File(path, e)),
            _ => {}
        }
    }
    fs::remove_dir_all(folder).map_err(Error::file(folder))
}

/// Reads a file of JSON.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = fs::read(path).map_err(Error::file(path))?;
    serde_json::from_slice(&text).map_err(|e| Error::Other(format!("{}: {e}", path.display())))
}

/// Writes a file of JSON, whole or not at all.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    let text = serde_json::to_vec_pretty(value).map_err(|e| Error::Other(format!("{}: {e}", path.display())))?;
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(Error::file(&new))?;
    fs::rename(&new, path).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_swept_is_in_the_way_of_its_own_lab_alone() {
        let dead = || ["a", "busy", "c"].into_iter().map(Run::of);
        let remove = |run: &Run| match run.id.as_str() {
            "busy" => Err(Error::Other("control groups are busy".to_owned())),
            _ => Ok(()),
        };
        let (swept, stuck) = sweep_each(dead(), Some("c"), remove).unwrap();
        assert_eq!(swept, ["a", "c"]);
        assert_eq!(stuck.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["busy"]);
        assert!(sweep_each(dead(), Some("busy"), remove).unwrap_err().to_string().contains("are busy"));
    }
}
