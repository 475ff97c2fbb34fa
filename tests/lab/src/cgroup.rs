//! Control groups: `kubectl-net-lab/ID/MACHINE` in every hierarchy that this machine has mounted.
//!
//! In a node that folder is the root, so that two kubelets do not take each other's containers for their own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::Error;

/// The folder of all labs in each hierarchy.
const TOP: &str = "kubectl-net-lab";
/// Where processes of a v2 group live: a group with children has none itself.
const LEAF: &str = "lab";

/// A hierarchy that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where.
    mount: PathBuf,
    /// Its controllers as mount options (`cpu,cpuacct`, `none,name=systemd`); none in v2.
    v1: Option<String>,
}

/// The hierarchies to use: v2 alone where that has controllers, else all of v1.
pub(crate) fn hierarchies() -> Result<Vec<Hierarchy>, Error> {
    let path = "/proc/self/mountinfo";
    let mounts = fs::read_to_string(path).map_err(Error::file(path))?;
    choose(parse(&mounts), |path| fs::read_to_string(path).map_err(Error::file(path)))
}

/// Of those that are mounted; `read` reads a file of one.
fn choose(found: Vec<Hierarchy>, read: impl Fn(&Path) -> Result<String, Error>) -> Result<Vec<Hierarchy>, Error> {
    let (v1, v2): (Vec<_>, Vec<_>) = found.into_iter().partition(|hierarchy| hierarchy.v1.is_some());
    if !v1.is_empty() {
        for wanted in ["cpu", "cpuacct", "cpuset", "memory", "pids"] {
            if !v1.iter().filter_map(|h| h.v1.as_deref()).any(|options| options.split(',').any(|o| o == wanted)) {
                return Err(Error::Wants(format!("the cgroup controller `{wanted}` mounted below /sys/fs/cgroup")));
            }
        }
        return Ok(v1);
    }
    for hierarchy in &v2 {
        let path = hierarchy.mount.join("cgroup.controllers");
        if read(&path)?.split_whitespace().any(|c| c == "memory") {
            return Ok(vec![hierarchy.clone()]);
        }
    }
    Err(Error::Wants(
        "cgroups, v1 or v2, with the controllers cpu, cpuset, memory and pids; none is mounted".to_owned(),
    ))
}

/// `… / MOUNTPOINT OPTIONS … - TYPE SOURCE SUPEROPTIONS`; a second mount of the same one is left out.
fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((head, tail)) = line.split_once(" - ") else { continue };
        let Some(mount) = head.split(' ').nth(4) else { continue };
        let mut tail = tail.split(' ');
        let v1 = match tail.next() {
            Some("cgroup") => {
                let options = tail.nth(1).unwrap_or_default();
                let own = |o: &&str| {
                    !matches!(*o, "rw" | "ro" | "xattr" | "clone_children" | "noprefix")
                        && !o.starts_with("release_agent")
                };
                let mut options: Vec<&str> = options.split(',').filter(own).collect();
                if options.iter().any(|option| option.starts_with("name=")) {
                    options.insert(0, "none");
                }
                Some(options.join(","))
            }
            Some("cgroup2") => None,
            _ => continue,
        };
        if !found.iter().any(|other| other.v1 == v1) {
            found.push(Hierarchy { mount: PathBuf::from(mount), v1 });
        }
    }
    found
}

impl Hierarchy {
    fn group(&self, id: &str, machine: &str) -> PathBuf {
        self.mount.join(TOP).join(id).join(machine)
    }

    /// Makes the folders from the top down, ready for processes.
    fn make(&self, id: &str, machine: &str) -> Result<(), Error> {
        let mut folder = self.mount.clone();
        for part in [TOP, id, machine] {
            if self.v1.is_none() {
                let control = folder.join("cgroup.subtree_control");
                for controller in ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"] {
                    // one that the parent does not have cannot be given; the wanted ones were looked for
                    let _ = fs::write(&control, format!("+{controller}"));
                }
            }
            let parent = folder.clone();
            folder.push(part);
            make_folder(&folder)?;
            if self.v1.as_deref().is_some_and(|options| options.split(',').any(|o| o == "cpuset")) {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let value = fs::read_to_string(parent.join(file)).map_err(Error::file(parent.join(file)))?;
                    fs::write(folder.join(file), value.trim()).map_err(Error::file(folder.join(file)))?;
                }
            }
        }
        Ok(())
    }
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(Error::File(folder.to_path_buf(), e)),
        _ => Ok(()),
    }
}

/// Makes a machine's groups.
pub(crate) fn make(id: &str, machine: &str) -> Result<(), Error> {
    hierarchies()?.iter().try_for_each(|hierarchy| hierarchy.make(id, machine))
}

/// Moves the calling process into a machine's groups.
pub(crate) fn enter(id: &str, machine: &str) -> Result<(), Error> {
    for hierarchy in hierarchies()? {
        let group = hierarchy.group(id, machine);
        let leaf = group.join(LEAF);
        let procs = if leaf.is_dir() { leaf } else { group }.join("cgroup.procs");
        fs::write(&procs, "0").map_err(Error::file(procs))?;
    }
    Ok(())
}

/// What a node must mount at `/sys/fs/cgroup` once its own groups are its root.
#[derive(Debug)]
pub(crate) enum Inside {
    /// One mount for each: the folder's name and the mount options.
    V1(Vec<(String, String)>),
    /// One mount for all.
    V2,
}

/// To be asked before the node's own root is in place.
pub(crate) fn inside() -> Result<Inside, Error> {
    let v1: Option<Vec<(String, String)>> = hierarchies()?
        .into_iter()
        .map(|hierarchy| {
            let name = hierarchy.mount.file_name()?.to_string_lossy().into_owned();
            Some((name, hierarchy.v1?))
        })
        .collect();
    Ok(v1.map_or(Inside::V2, Inside::V1))
}

/// In a node, after the mount: moves its first process into the leaf and hands the controllers down.
pub(crate) fn hand_down() -> Result<(), Error> {
    let root = Path::new("/sys/fs/cgroup");
    let leaf = root.join(LEAF);
    make_folder(&leaf)?;
    let procs = leaf.join("cgroup.procs");
    fs::write(&procs, "0").map_err(Error::file(procs))?;
    let path = root.join("cgroup.controllers");
    let controllers = fs::read_to_string(&path).map_err(Error::file(path))?;
    let control = root.join("cgroup.subtree_control");
    for controller in controllers.split_whitespace() {
        fs::write(&control, format!("+{controller}")).map_err(Error::file(&control))?;
    }
    Ok(())
}

/// Removes all groups of a lab; waits for the kernel to end what was in them.
pub(crate) fn remove(id: &str) -> Result<(), Error> {
    let patience = Instant::now() + Duration::from_secs(20);
    // a machine without cgroups has nothing to remove
    for hierarchy in hierarchies().unwrap_or_default() {
        let group = hierarchy.mount.join(TOP).join(id);
        loop {
            match remove_tree(&group) {
                Ok(()) => break,
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                Err(e) if Instant::now() > patience => return Err(Error::File(group, e)),
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
        // other labs may live there
        let _ = fs::remove_dir(hierarchy.mount.join(TOP));
    }
    Ok(())
}

/// The files in a group cannot be removed and need not be.
fn remove_tree(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            match remove_tree(&entry.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    fs::remove_dir(group)
}

/// Whether groups of this lab are there.
pub(crate) fn exist(id: &str) -> bool {
    hierarchies().unwrap_or_default().iter().any(|hierarchy| hierarchy.mount.join(TOP).join(id).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as the kernel writes them, of a machine with both kinds.
    const HYBRID: &str = "\
25 20 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:3 - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
28 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
29 25 0:23 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct
";

    #[test]
    fn each_hierarchy_once_with_its_own_options() {
        let found = parse(HYBRID);
        let shown: Vec<_> = found.iter().map(|h| (h.mount.to_str().unwrap(), h.v1.as_deref())).collect();
        assert_eq!(
            shown,
            [
                ("/sys/fs/cgroup/cpu,cpuacct", Some("cpu,cpuacct")),
                ("/sys/fs/cgroup/systemd", Some("none,name=systemd")),
                ("/sys/fs/cgroup/unified", None),
            ]
        );
    }

    #[test]
    fn v1_goes_before_v2_and_a_controller_that_is_missing_is_named() {
        let of = |v1: &[&str]| {
            let v1 = v1.iter().map(|options| Hierarchy { mount: "/c".into(), v1: Some((*options).to_owned()) });
            v1.chain([Hierarchy { mount: "/c/unified".into(), v1: None }]).collect::<Vec<_>>()
        };
        let nothing = |_: &Path| Ok(String::new());
        let all = choose(of(&["cpu,cpuacct", "cpuset", "memory", "pids"]), nothing).unwrap();
        assert!(all.len() == 4 && all.iter().all(|hierarchy| hierarchy.v1.is_some()));
        let error = choose(of(&["cpu,cpuacct", "cpuset", "pids"]), nothing).unwrap_err().to_string();
        assert!(error.contains("`memory`"), "{error}");
    }

    #[test]
    fn v2_alone_is_taken_where_it_has_controllers() {
        let v2 = || vec![Hierarchy { mount: "/c".into(), v1: None }];
        let read = |path: &Path| {
            assert_eq!(path, Path::new("/c/cgroup.controllers"));
            Ok("cpuset cpu io memory pids\n".to_owned())
        };
        assert_eq!(choose(v2(), read).unwrap(), v2());
        for found in [v2(), Vec::new()] {
            let error = choose(found, |_| Ok(String::new())).unwrap_err().to_string();
            assert!(error.contains("v1 or v2"), "{error}");
        }
    }

    #[test]
    fn a_tree_of_folders_goes_from_the_bottom() {
        let folder = tempfile::tempdir().unwrap();
        let group = folder.path().join("group");
        fs::create_dir_all(group.join("a/b")).unwrap();
        fs::create_dir_all(group.join("c")).unwrap();
        remove_tree(&group).unwrap();
        assert!(!group.exists());
    }
}
