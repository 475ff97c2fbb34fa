//! A machine of the lab: its namespaces, its private root, and how to run something in it.
//!
//! `become_machine` enters the control groups and replaces itself by `unshare`, which starts `init` as the first
//! process of the new namespaces. Whatever runs there later comes by `enter`.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Write as _,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use rustix::{
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change, unmount,
    },
    process::{WaitOptions, pivot_root, wait},
};

use crate::{Error, cgroup, plan::Machine, process, run::Run};

/// Where a node finds the lab's binaries.
pub(crate) const BIN: &str = "/opt/lab/bin";

/// Folders of a node that lie on disk: where, and below which name in the run's folder.
const ON_DISK: [(&str, &str); 7] = [
    ("/var/lib/kubelet", "kubelet"),
    ("/var/lib/containerd", "containerd"),
    ("/var/lib/cni", "cni-state"),
    ("/var/log", "log"),
    ("/etc/cni/net.d", "cni"),
    ("/etc/kubernetes", "kubernetes"),
    ("/opt/cni/bin", "cni-bin"),
];

/// What the kubelet sets for the whole machine. In a node it sets a file instead, with the value that it wants.
const SETTINGS: [(&str, &str); 6] = [
    ("/proc/sys/vm/overcommit_memory", "1"),
    ("/proc/sys/vm/panic_on_oom", "0"),
    ("/proc/sys/kernel/panic", "10"),
    ("/proc/sys/kernel/panic_on_oops", "1"),
    ("/proc/sys/kernel/keys/root_maxkeys", "1000000"),
    ("/proc/sys/kernel/keys/root_maxbytes", "25000000"),
];

/// The folder of a machine in the run's folder.
pub(crate) fn folder(run: &Run, machine: &str) -> PathBuf {
    run.path("machines").join(machine)
}

/// Enters the machine's control groups, then new namespaces. Returns only when that fails.
pub(crate) fn become_machine(run: &Run, machine: &str) -> Result<(), Error> {
    cgroup::make(&run.id, machine)?;
    cgroup::enter(&run.id, machine)?;
    let mut command = Command::new("unshare");
    if machine == Machine::control().name {
        command.args(["--net", "--mount"]);
    } else {
        command.args(["--net", "--mount", "--pid", "--uts", "--ipc", "--cgroup"]);
    }
    let exe = std::env::current_exe().map_err(Error::file("/proc/self/exe"))?;
    command.args(["--fork", "--kill-child"]).arg(exe).args(["machine-init", &run.id, machine]);
    let error = command.exec();
    Err(Error::Start("unshare".to_owned(), error))
}

/// The first process of a machine: makes its root, says `up`, then takes in orphans for ever.
pub(crate) fn init(run: &Run, machine: &str) -> Result<(), Error> {
    if machine != Machine::control().name {
        make_root(run, machine)?;
    }
    let mut out = std::io::stdout();
    out.write_all(b"up\n").and_then(|()| out.flush()).map_err(Error::file("stdout"))?;
    loop {
        // without children there is nothing to wait for
        if wait(WaitOptions::empty()).is_err() {
            thread::sleep(Duration::from_millis(500));
        }
    }
}

/// Replaces this process by a command in the machine whose first process is `pid`.
pub(crate) fn enter(run: &Run, machine: &str, pid: u32, argv: &[String]) -> Result<(), Error> {
    cgroup::enter(&run.id, machine)?;
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid.to_string(), "--net", "--mount"]);
    if machine != Machine::control().name {
        command.args(["--pid", "--uts", "--ipc", "--cgroup", "--wdns=/"]);
    }
    let error = command.arg("--").args(argv).exec();
    Err(Error::Start("nsenter".to_owned(), error))
}

/// The lab itself, which a suite's own program is not.
pub(crate) fn program() -> Result<PathBuf, Error> {
    let exe = std::env::current_exe().map_err(Error::file("/proc/self/exe"))?;
    Ok(std::env::var_os("NET_LAB_PROGRAM").map_or(exe, PathBuf::from))
}

/// The command that runs `argv` in the machine whose first process is `pid`.
pub(crate) fn command(id: &str, machine: &str, pid: u32, argv: &[&str]) -> Result<Command, Error> {
    let mut command = Command::new(program()?);
    command.args(["enter", "--pid", &pid.to_string(), id, machine, "--"]).args(argv);
    Ok(command)
}

/// The first process of a machine, as this mount of `/proc` numbers it; below `root` if that is given.
pub(crate) fn pid(run: &Run, machine: &str, below: u32) -> Option<u32> {
    process::descendants(below).into_iter().map(|stamp| stamp.pid).find(|pid| {
        let arguments = process::arguments(*pid);
        let mut last = arguments.iter().rev();
        // `unshare` has the same last three; the program's own name tells them apart
        last.next().is_some_and(|a| a == machine)
            && last.next().is_some_and(|a| *a == run.id)
            && last.next().is_some_and(|a| a == "machine-init")
            && arguments.len() == 4
    })
}

fn make_root(run: &Run, machine: &str) -> Result<(), Error> {
    let groups = cgroup::inside()?;
    let own = folder(run, machine);
    let base = own.join("root");
    fs::create_dir_all(&base).map_err(Error::file(&base))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(fault("/"))?;
    mount_new("tmpfs", &base, "mode=755")?;
    let (up, work, root) = (base.join("up"), base.join("work"), base.join("root"));
    for folder in [&up, &work, &root] {
        fs::create_dir(folder).map_err(Error::file(folder))?;
    }
    let layers = format!("lowerdir=/,upperdir={},workdir={}", up.display(), work.display());
    mount_new("overlay", &root, &layers)?;
    let inside = |path: &str| root.join(path.trim_start_matches('/'));

    bind(Path::new("/dev"), &inside("/dev"), true)?;
    mount_new("proc", &inside("/proc"), "")?;
    mount_new("sysfs", &inside("/sys"), "")?;
    for (path, options) in [("/run", "mode=755"), ("/tmp", "mode=1777"), ("/dev/shm", "mode=1777")] {
        mount_new("tmpfs", &inside(path), options)?;
    }
    for (path, name) in ON_DISK {
        bind(&own.join(name), &inside(path), false)?;
    }
    bind_binaries(run, &inside(BIN))?;
    bind_plugins(&inside("/opt/cni/bin"))?;
    for (number, (path, value)) in SETTINGS.into_iter().enumerate() {
        let file = base.join(format!("setting{number}"));
        if inside(path).exists() {
            write(&file, value)?;
            bind(&file, &inside(path), false)?;
        }
    }
    write_files(run, machine, &root)?;

    let put = root.join(".before");
    fs::create_dir(&put).map_err(Error::file(&put))?;
    std::env::set_current_dir(&root).map_err(Error::file(&root))?;
    pivot_root(".", ".before").map_err(fault("/"))?;
    std::env::set_current_dir("/").map_err(Error::file("/"))?;
    unmount("/.before", UnmountFlags::DETACH).map_err(fault("/.before"))?;
    fs::remove_dir("/.before").map_err(Error::file("/.before"))?;
    // the kubelet hands mounts on into containers
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).map_err(fault("/"))?;
    mount_groups(groups)?;
    rustix::system::sethostname(machine.as_bytes()).map_err(fault("the host name"))
}

fn mount_groups(groups: cgroup::Inside) -> Result<(), Error> {
    let top = Path::new("/sys/fs/cgroup");
    match groups {
        cgroup::Inside::V2 => {
            mount_new("cgroup2", top, "")?;
            cgroup::hand_down()
        }
        cgroup::Inside::V1(hierarchies) => {
            mount_new("tmpfs", top, "mode=755")?;
            for (name, options) in hierarchies {
                mount_new("cgroup", &top.join(&name), &options)?;
                for single in options.split(',').filter(|single| *single != name && !single.contains('=')) {
                    if single != "none" {
                        // as on any machine where cpu and cpuacct are one
                        let link = top.join(single);
                        symlink(&name, &link).map_err(Error::file(&link))?;
                    }
                }
            }
            Ok(())
        }
    }
}

/// The names that a node has of its own.
fn write_files(run: &Run, machine: &str, root: &Path) -> Result<(), Error> {
    for (path, content) in files(run, machine)? {
        let path = root.join(path);
        // what lies there may be a link out of this root, as systemd's resolv.conf is
        let _ = fs::remove_file(&path);
        write(&path, &content)?;
    }
    Ok(())
}

/// Those files: path below the root, content.
pub(crate) fn files(run: &Run, machine: &str) -> Result<[(&'static str, String); 4], Error> {
    let state = run.state().ok_or_else(|| Error::Other(format!("{}: no state.json", run.folder.display())))?;
    let control = Machine::control();
    let mut hosts = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
    for other in std::iter::once(&control).chain(&state.machines) {
        hosts.push_str(
            &[other.v4().to_string(), other.v6().to_string()].map(|ip| format!("{ip} {}\n", other.name)).concat(),
        );
    }
    let mut hasher = DefaultHasher::new();
    (&run.id, machine).hash(&mut hasher);
    let identity = format!("{:032x}", hasher.finish());
    Ok([
        ("etc/hostname", format!("{machine}\n")),
        ("etc/machine-id", format!("{identity}\n")),
        ("etc/hosts", hosts),
        ("etc/resolv.conf", "nameserver 10.96.0.10\n".to_owned()),
    ])
}

/// Each of the lab's binaries by its name, wherever it lies.
fn bind_binaries(run: &Run, to: &Path) -> Result<(), Error> {
    let from = run.path("bin");
    let entries = fs::read_dir(&from).map_err(Error::file(&from))?;
    for entry in entries.filter_map(Result::ok) {
        let real = fs::canonicalize(entry.path()).map_err(Error::file(entry.path()))?;
        bind(&real, &to.join(entry.file_name()), false)?;
    }
    Ok(())
}

/// The CNI plugins that the distribution has, beside which others may be put.
fn bind_plugins(to: &Path) -> Result<(), Error> {
    let from = Path::new("/usr/lib/cni");
    let entries = fs::read_dir(from).map_err(Error::file(from))?;
    for entry in entries.filter_map(Result::ok) {
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(Error::file(to))?;
    }
    Ok(())
}

fn write(path: &Path, content: &str) -> Result<(), Error> {
    fs::write(path, content).map_err(Error::file(path))
}

fn fault(path: impl Into<PathBuf>) -> impl FnOnce(rustix::io::Errno) -> Error {
    let path = path.into();
    move |errno| Error::File(path, errno.into())
}

/// Mounts a file system of its own kind, and says which when it cannot.
fn mount_new(kind: &str, at: &Path, options: &str) -> Result<(), Error> {
    fs::create_dir_all(at).map_err(Error::file(at))?;
    let data = std::ffi::CString::new(options).map_err(|e| Error::Other(format!("{options}: {e}")))?;
    mount(kind, at, kind, MountFlags::empty(), data.as_c_str())
        .map_err(|errno| Error::Other(format!("mount {kind} ({options}) at {}: {errno}", at.display())))
}

/// Shows a folder or file at a second place, making both where they are missing.
fn bind(from: &Path, to: &Path, with_mounts: bool) -> Result<(), Error> {
    if from.is_file() {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        if !to.exists() {
            write(to, "")?;
        }
    } else {
        fs::create_dir_all(from).map_err(Error::file(from))?;
        fs::create_dir_all(to).map_err(Error::file(to))?;
    }
    if with_mounts { mount_bind_recursive(from, to) } else { mount_bind(from, to) }.map_err(fault(to))
}
