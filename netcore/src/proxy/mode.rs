//! kube-proxy's modes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How kube-proxy has the kernel forward Services' traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Rules in iptables' tables, of either backend.
    Iptables,
    /// The kernel's own load balancer, with iptables and ipsets around it.
    Ipvs,
    /// A table of its own in nftables.
    Nftables,
    /// Windows' own.
    Kernelspace,
    /// Connections through a process; until 1.25.
    Userspace,
}

impl Mode {
    /// The modes that a Linux node can be switched to.
    pub const LINUX: [Self; 3] = [Self::Iptables, Self::Ipvs, Self::Nftables];

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Ipvs => "ipvs",
            Self::Nftables => "nftables",
            Self::Kernelspace => "kernelspace",
            Self::Userspace => "userspace",
        }
    }

    /// One of the modes that a Linux node can be switched to, by its name.
    ///
    /// # Errors
    /// For every other text.
    pub fn of_linux(text: &str) -> Result<Self, UnknownMode> {
        text.parse().ok().filter(|mode| Self::LINUX.contains(mode)).ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no mode; iptables, ipvs or nftables is")]
pub struct UnknownMode(pub String);

impl FromStr for Mode {
    type Err = UnknownMode;

    /// As kube-proxy reads it: exactly, in lower case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Iptables, Self::Ipvs, Self::Nftables, Self::Kernelspace, Self::Userspace]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_exactly() {
        for mode in Mode::LINUX {
            assert_eq!(mode.name().parse(), Ok(mode));
            assert_eq!(Mode::of_linux(mode.name()), Ok(mode));
        }
        for text in ["", "IPVS", "ipvs ", "nft"] {
            assert_eq!(text.parse::<Mode>(), Err(UnknownMode(text.to_owned())));
        }
        assert!("kernelspace".parse::<Mode>().is_ok() && Mode::of_linux("kernelspace").is_err());
    }
}
