//! The platforms that are released, and what building for each wants of a machine.

use crate::run::on_path;

/// One platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As rustc calls it.
    pub(crate) triple: &'static str,
    /// As krew and Go call the operating system.
    pub(crate) os: &'static str,
    /// As krew and Go call the processor.
    pub(crate) arch: &'static str,
    /// What links it.
    linker: Linker,
}

/// What links a platform's binaries. `ring` has C and assembler in it, so that a C compiler for the
/// platform is wanted everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linker {
    /// Zig, through cargo-zigbuild.
    Zig,
    /// Apple's own, with frameworks that only a Mac has.
    Apple,
}

/// Every platform that is released.
pub(crate) const ALL: [Target; 5] = [
    Target { triple: "x86_64-unknown-linux-musl", os: "linux", arch: "amd64", linker: Linker::Zig },
    Target { triple: "aarch64-unknown-linux-musl", os: "linux", arch: "arm64", linker: Linker::Zig },
    Target { triple: "x86_64-apple-darwin", os: "darwin", arch: "amd64", linker: Linker::Apple },
    Target { triple: "aarch64-apple-darwin", os: "darwin", arch: "arm64", linker: Linker::Apple },
    Target { triple: "x86_64-pc-windows-gnu", os: "windows", arch: "amd64", linker: Linker::Zig },
];

impl Target {
    /// The platform of that name: `linux/arm64`, or rustc's.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = ALL.into_iter().find(|target| target.triple == name || target.name() == name);
        found.ok_or_else(|| {
            let known: Vec<String> = ALL.iter().map(Self::name).collect();
            format!("not a platform that is released; there are {}", known.join(", "))
        })
    }

    /// `linux/amd64`
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.os, self.arch)
    }

    /// The file name of a binary.
    pub(crate) fn binary(&self, plugin: &str) -> String {
        let ending = if self.os == "windows" { ".exe" } else { "" };
        format!("kubectl-{plugin}{ending}")
    }

    /// The file name of an archive.
    pub(crate) fn archive(&self, plugin: &str, tag: &str) -> String {
        format!("kubectl-{plugin}_{tag}_{}_{}.tar.gz", self.os, self.arch)
    }

    /// Cargo's command that builds it.
    pub(crate) const fn build(&self) -> &'static str {
        match self.linker {
            Linker::Zig => "zigbuild",
            Linker::Apple => "build",
        }
    }

    /// Why it cannot be built on this machine; nothing where it can.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        match self.linker {
            Linker::Zig if on_path("cargo-zigbuild") => None,
            Linker::Zig => Some("wants cargo-zigbuild and ziglang: pip install cargo-zigbuild ziglang"),
            Linker::Apple if cfg!(target_os = "macos") => None,
            Linker::Apple => Some("links only on a Mac; the release workflow builds it there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_name_and_one_archive() {
        let mut archives: Vec<String> = ALL.iter().map(|target| target.archive("cni", "v1.0.0")).collect();
        archives.sort();
        archives.dedup();
        assert_eq!(archives.len(), ALL.len());
        for target in ALL {
            assert_eq!(Target::named(&target.name()), Ok(target));
            assert_eq!(Target::named(target.triple), Ok(target));
        }
        assert!(Target::named("linux/riscv64").is_err_and(|why| why.contains("linux/arm64")));
        assert_eq!(ALL[4].binary("cni"), "kubectl-cni.exe");
    }
}
