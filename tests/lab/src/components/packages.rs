//! What the lab calls of Debian's.

use std::{collections::BTreeSet, process::Command};

use crate::{
    Error,
    process::{on_path, run},
    say::say,
};

/// Programs that the lab calls, and the packages that have them.
pub const PROGRAMS: [(&str, &str); 22] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("ldd", "libc-bin"),
    ("ip", "iproute2"),
    ("ss", "iproute2"),
    ("sysctl", "procps"),
    ("etcd", "etcd-server"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("ipset", "ipset"),
    ("ipvsadm", "ipvsadm"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("bird", "bird"),
    ("birdc", "bird"),
    ("busybox", "busybox-static"),
    ("curl", "curl"),
    ("modprobe", "kmod"),
];

/// As root on Debian, installs what is missing by name and starts none of its services; else says the line that would.
pub fn install_missing(programs: &[(&str, &str)]) -> Result<(), Error> {
    let missing: BTreeSet<&str> =
        programs.iter().filter(|(program, _)| !there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.into_iter().collect();
    let line = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !(on_path("apt-get") && rustix::process::geteuid().is_root()) {
        return Err(Error::Wants(format!("more than is here; on Debian or Ubuntu: sudo {line}")));
    }
    say(&format!("installing {}", packages.join(", ")));
    run(apt().args(["update", "-qq"]), b"")?;
    run(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages), b"").map(drop)
}

fn there(program: &str) -> bool {
    if program.starts_with('/') { std::path::Path::new(program).exists() } else { on_path(program) }
}

/// Packages' scripts start services through `invoke-rc.d`, which does not where the run level is one for repairs.
fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed() {
        install_missing(&[("sh", "no-such-package"), ("/bin/sh", "no-such-package")]).unwrap();
    }
}
