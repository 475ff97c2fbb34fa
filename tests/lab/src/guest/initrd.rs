//! The guest's root: this machine's own programs with their libraries, and the modules that a node needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::{cpio::Archive, kernel::Kernel};
use crate::Error;

const INIT: &str = include_str!("../../guest/init");
const AGENT: &str = include_str!("../../guest/agent");
const START: &str = include_str!("../../guest/start");

/// Programs that are wanted by name; all else is busybox.
const PROGRAMS: [&str; 30] = [
    "bash",
    "base64",
    "busybox",
    "conntrack",
    "curl",
    "env",
    "findmnt",
    "ip",
    "ip6tables",
    "ip6tables-legacy",
    "ip6tables-restore",
    "ip6tables-save",
    "ipset",
    "iptables",
    "iptables-legacy",
    "iptables-legacy-save",
    "iptables-restore",
    "iptables-save",
    "ipvsadm",
    "bridge",
    "lsmod",
    "modprobe",
    "mount",
    "nft",
    "nsenter",
    "ss",
    "sysctl",
    "umount",
    "unshare",
    "xtables-nft-multi",
];

/// Programs that come by the shared folder, of which only the libraries are wanted here.
pub(crate) const SHARED: [&str; 4] = ["containerd", "containerd-shim-runc-v2", "ctr", "runc"];

/// Where this machine's modules of xtables lie.
const XTABLES: &str = "/usr/lib/x86_64-linux-gnu/xtables";

/// Folders and files of modules; what they depend on comes with them.
const MODULES: [&str; 22] = [
    // libcrc32c asks for it by name, which no list of dependencies tells
    "kernel/arch/x86/crypto/crc32c-intel.ko",
    "kernel/crypto/crc32c_generic.ko",
    "kernel/drivers/char/hw_random/virtio-rng.ko",
    "kernel/drivers/char/virtio_console.ko",
    "kernel/drivers/net/dummy.ko",
    "kernel/drivers/net/tun.ko",
    "kernel/drivers/net/veth.ko",
    "kernel/drivers/net/virtio_net.ko",
    "kernel/drivers/net/vxlan/",
    "kernel/drivers/virtio/",
    "kernel/fs/9p/",
    "kernel/fs/overlayfs/",
    "kernel/net/9p/9pnet_virtio.ko",
    "kernel/net/bridge/",
    "kernel/net/ipv4/ipip.ko",
    "kernel/net/ipv4/netfilter/",
    "kernel/net/ipv6/ip6_tunnel.ko",
    "kernel/net/ipv6/netfilter/",
    "kernel/net/ipv6/sit.ko",
    "kernel/net/netfilter/",
    "kernel/net/sctp/sctp.ko",
    "kernel/lib/",
];

/// Finds or makes the initrd of this kernel: its name holds what it was made of.
pub(crate) fn initrd(cache: &Path, kernel: &Kernel) -> Result<PathBuf, Error> {
    let (programs, missing): (Vec<_>, Vec<_>) =
        PROGRAMS.iter().map(|name| (*name, find(name))).partition(|p| p.1.is_some());
    // containerd and runc may be missing for a job
    let shared: Vec<PathBuf> = SHARED.iter().filter_map(|name| find(name)).collect();
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
        return Err(Error::Wants(names.join(", ")));
    }
    let programs: Vec<(&str, PathBuf)> = programs.into_iter().filter_map(|(name, path)| Some((name, path?))).collect();
    let key = key(kernel, programs.iter().map(|(_, path)| path).chain(&shared));
    let path = cache.join(format!("initrd-{}-{key:016x}.gz", kernel.release));
    if path.exists() {
        return Ok(path);
    }
    let new = cache.join(format!("initrd-{}.new", std::process::id()));
    write(&new, kernel, &programs, &shared)?;
    fs::rename(&new, &path).map_err(Error::file(&path))?;
    Ok(path)
}

/// A program on this machine's `PATH`, or where root's lie.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"]);
    folders
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
}

/// What the initrd would hold, told by names, sizes and times; not a word of this leaves the machine.
fn key<'a>(kernel: &Kernel, programs: impl Iterator<Item = &'a PathBuf>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (INIT, AGENT, START, MODULES, PROGRAMS, include_str!("initrd.rs"), &kernel.release).hash(&mut hasher);
    for program in programs {
        let about = fs::metadata(program).map(|about| (about.len(), about.mtime())).ok();
        (program, about).hash(&mut hasher);
    }
    hasher.finish()
}

fn write(to: &Path, kernel: &Kernel, programs: &[(&str, PathBuf)], shared: &[PathBuf]) -> Result<(), Error> {
    let mut archive = Archive::create(to)?;
    for folder in [
        "proc", "sys", "dev", "run", "tmp", "new", "host", "bin.host", "root", "usr/sbin", "usr/bin", "etc", "var/lib",
        "var/log",
    ] {
        archive.folder(folder)?;
    }
    for folder in ["bin", "sbin", "lib", "lib64"] {
        archive.folder(&format!("usr/{folder}"))?;
        archive.link(folder, &format!("usr/{folder}"))?;
    }
    archive.link("var/run", "../run")?;
    archive.file("init", INIT.as_bytes())?;
    archive.file("agent", AGENT.as_bytes())?;
    archive.file("start", START.as_bytes())?;

    let mut libraries = BTreeSet::new();
    for (name, path) in programs {
        let real = fs::canonicalize(path).map_err(Error::file(path))?;
        let real_name = real.file_name().and_then(|n| n.to_str()).unwrap_or(name);
        archive.copy(&format!("usr/sbin/{real_name}"), &real)?;
        if *name != real_name {
            archive.link(&format!("usr/sbin/{name}"), real_name)?;
        }
        libraries.extend(libraries_of(&real)?);
    }
    archive.link("usr/bin/bash", "../sbin/bash")?;
    archive.link("usr/bin/busybox", "../sbin/busybox")?;
    archive.link("usr/bin/sh", "../sbin/bash")?;
    for program in shared {
        libraries.extend(libraries_of(program)?);
    }
    if let Ok(entries) = fs::read_dir(XTABLES) {
        for entry in entries.filter_map(Result::ok).filter(|e| e.path().extension().is_some_and(|e| e == "so")) {
            archive.copy(&entry.path().to_string_lossy(), &entry.path())?;
            libraries.extend(libraries_of(&entry.path())?);
        }
    }
    for library in libraries {
        // /lib and /lib64 are links to what is below /usr
        let text = library.to_string_lossy();
        let place = if text.starts_with("/usr/") { text.into_owned() } else { format!("/usr{text}") };
        archive.copy(&place, &library)?;
    }
    write_modules(&mut archive, kernel)?;
    for file in ["/etc/protocols", "/etc/services"] {
        if Path::new(file).exists() {
            archive.copy(file, Path::new(file))?;
        }
    }
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")?;
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")?;
    archive.file("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n")?;
    archive.file("etc/nsswitch.conf", b"hosts: files dns\n")?;
    archive.finish()
}

/// The shared libraries and the loader of a program, as the loader itself finds them; none for a static one.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut command = Command::new("ldd");
    let out = command.arg(program).output().map_err(|e| Error::Start("ldd".to_owned(), e))?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().filter_map(library).collect())
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or the loader's own path.
fn library(line: &str) -> Option<PathBuf> {
    line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
}

fn write_modules(archive: &mut Archive, kernel: &Kernel) -> Result<(), Error> {
    let lists = kernel.modules.join("modules.dep");
    let lists = fs::read_to_string(&lists).map_err(Error::file(lists))?;
    let to = format!("usr/lib/modules/{}", kernel.release);
    for module in wanted(&lists) {
        archive.copy(&format!("{to}/{module}"), &kernel.modules.join(module))?;
    }
    for entry in fs::read_dir(&kernel.modules).map_err(Error::file(&kernel.modules))?.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("modules.") {
            archive.copy(&format!("{to}/{name}"), &entry.path())?;
        }
    }
    Ok(())
}

/// The modules of `MODULES` and what they depend on; `modules.dep` already names all of that in each line.
fn wanted(lists: &str) -> BTreeSet<&str> {
    let depends: BTreeMap<&str, &str> = lists.lines().filter_map(|line| line.split_once(':')).collect();
    let mut found = BTreeSet::new();
    for (module, needs) in depends {
        if MODULES.iter().any(|wanted| module.starts_with(wanted)) {
            found.insert(module);
            found.extend(needs.split_whitespace());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_depends_on_comes_with_it() {
        let lists = "kernel/net/netfilter/ipvs/ip_vs.ko: kernel/net/netfilter/nf_conntrack.ko kernel/lib/libcrc32c.ko\n\
                     kernel/net/wireless/cfg80211.ko: kernel/net/rfkill/rfkill.ko\n";
        let found: Vec<&str> = wanted(lists).into_iter().collect();
        assert_eq!(
            found,
            ["kernel/lib/libcrc32c.ko", "kernel/net/netfilter/ipvs/ip_vs.ko", "kernel/net/netfilter/nf_conntrack.ko"]
        );
    }

    #[test]
    fn libraries_are_read_from_the_loaders_own_list() {
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007ffd)"), None);
        assert_eq!(
            library("\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)"),
            Some(PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6"))
        );
        assert_eq!(
            library("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)"),
            Some(PathBuf::from("/lib64/ld-linux-x86-64.so.2"))
        );
    }
}
