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

use std::path::{Path, PathBuf};

pub use exec::{command, exec, exec_here};
pub use job::job;
pub use machine::{Guest, Network, Spec};

/// Packages of Debian whose programs the guest takes from this machine, and the emulator.
pub const PACKAGES: [&str; 14] = [
    "qemu-system-x86",
    "busybox-static",
    "ipvsadm",
    "ipset",
    "iptables",
    "nftables",
    "conntrack",
    "kmod",
    "iproute2",
    "curl",
    "coreutils",
    "mount",
    "util-linux",
    "bash",
];

/// What a guest boots: both files lie in the cache.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The kernel.
    pub kernel: PathBuf,
    /// Its first file system.
    pub initrd: PathBuf,
}

/// Finds or makes kernel and initrd in `cache`'s folder `guest`.
pub fn boot(cache: &Path) -> Result<Boot, crate::Error> {
    let cache = cache.join("guest");
    let kernel = kernel::kernel(&cache)?;
    let initrd = initrd::initrd(&cache, &kernel)?;
    Ok(Boot { kernel: kernel.image, initrd })
}
