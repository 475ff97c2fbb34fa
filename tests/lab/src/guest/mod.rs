//! A node in a QEMU guest, for what this machine's kernel lacks: Debian's kernel with IPVS, under emulation.
//!
//! The guest has no disk: its root is an initrd of this machine's own programs, and what else it needs lies in a
//! folder that it shares with this machine. It is spoken to over virtio ports, never over the network.

mod cpio;
mod exec;
mod initrd;
mod job;
mod kernel;
mod machine;
pub(crate) mod node;

use std::path::PathBuf;

use crate::{
    Error,
    components::{cache::Cache, packages},
};

pub use exec::{command, exec, exec_here};
pub use job::job;
pub use machine::{Guest, Network, Spec};

/// Programs of this machine that the guest takes, the emulator, and the packages that have them.
const NEEDS: [(&str, &str); 14] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("ipvsadm", "ipvsadm"),
    ("ipset", "ipset"),
    ("iptables", "iptables"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("modprobe", "kmod"),
    ("ip", "iproute2"),
    ("curl", "curl"),
    ("sysctl", "procps"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("ldd", "libc-bin"),
];

/// What a guest boots: both files lie in the cache.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The kernel.
    pub kernel: PathBuf,
    /// Its first file system.
    pub initrd: PathBuf,
}

/// Finds kernel and initrd in the cache, or makes them there.
pub fn boot() -> Result<Boot, Error> {
    packages::install_missing(&NEEDS)?;
    let cache = Cache::of_this_user()?;
    let _lock = cache.lock()?;
    let folder = cache.path("guest");
    let kernel = kernel::kernel(&folder)?;
    let initrd = initrd::initrd(&folder, &kernel)?;
    Ok(Boot { kernel: kernel.image, initrd })
}
