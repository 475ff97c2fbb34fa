//! Where each mode is in its life, by kube-proxy's version.

use serde::Serialize;

use super::{Mode, Version};

/// What a version of kube-proxy makes of a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// There is no such mode in it.
    Absent,
    /// Behind a feature gate that is off unless it is set.
    Alpha,
    /// On, and may still change.
    Beta,
    /// Supported.
    Stable,
    /// Works, and will go.
    Deprecated,
    /// Refused: its feature gate is closed.
    Closed,
    /// Gone.
    Removed,
}

/// A mode in a version of kube-proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// The mode.
    pub mode: Mode,
    /// Its stage; null where kube-proxy's version is not known.
    pub stage: Option<Stage>,
    /// What comes, and when; plans are called plans.
    pub text: String,
}

impl Lifecycle {
    /// Whether kube-proxy refuses to start in the mode.
    pub fn is_refused(&self) -> bool {
        matches!(self.stage, Some(Stage::Absent | Stage::Alpha | Stage::Closed | Stage::Removed))
    }
}

/// The gate of ipvs mode, from 1.37.
pub const IPVS_GATE: &str = "KubeProxyIPVS";
/// The gate of nftables mode, 1.29 to 1.32.
pub const NFTABLES_GATE: &str = "NFTablesProxyMode";

/// A mode's life in this version of kube-proxy; `gate` is the value that the configuration sets the
/// mode's feature gate to.
pub fn lifecycle(mode: Mode, version: Option<Version>, gate: Option<bool>) -> Lifecycle {
    let stage = version.map(|version| stage(mode, version, gate));
    let text = match mode {
        Mode::Iptables => "the default; planned: from 1.40 nftables is the default and iptables has to be asked for",
        Mode::Ipvs => {
            "deprecated from 1.35, behind feature gate KubeProxyIPVS from 1.37 (on by default); planned: off by default \
             in 1.40, gone in 1.43 (KEP-5495)"
        }
        Mode::Nftables => "stable from 1.33 (KEP-3866); planned: the default from 1.40",
        Mode::Kernelspace => "Windows' own mode",
        Mode::Userspace => "removed in 1.26",
    };
    Lifecycle { mode, stage, text: text.to_owned() }
}

fn stage(mode: Mode, version: Version, gate: Option<bool>) -> Stage {
    let since = |minor| version >= Version::new(1, minor);
    match mode {
        Mode::Ipvs if since(43) => Stage::Removed,
        Mode::Ipvs if since(40) && gate != Some(true) => Stage::Closed,
        Mode::Ipvs if since(37) && gate == Some(false) => Stage::Closed,
        Mode::Ipvs if since(35) => Stage::Deprecated,
        Mode::Ipvs | Mode::Iptables | Mode::Kernelspace => Stage::Stable,
        Mode::Nftables if since(33) => Stage::Stable,
        Mode::Nftables if since(31) && gate == Some(false) => Stage::Closed,
        Mode::Nftables if since(31) => Stage::Beta,
        Mode::Nftables if since(29) && gate == Some(true) => Stage::Beta,
        Mode::Nftables if since(29) => Stage::Alpha,
        Mode::Nftables => Stage::Absent,
        Mode::Userspace if since(26) => Stage::Removed,
        Mode::Userspace => Stage::Deprecated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_by_version_and_gate() {
        let of = |mode, minor, gate| lifecycle(mode, Some(Version::new(1, minor)), gate).stage.unwrap();
        for (mode, minor, gate, stage) in [
            (Mode::Ipvs, 34, None, Stage::Stable),
            (Mode::Ipvs, 35, None, Stage::Deprecated),
            (Mode::Ipvs, 37, None, Stage::Deprecated),
            (Mode::Ipvs, 37, Some(false), Stage::Closed),
            (Mode::Ipvs, 40, None, Stage::Closed),
            (Mode::Ipvs, 42, Some(true), Stage::Deprecated),
            (Mode::Ipvs, 43, Some(true), Stage::Removed),
            (Mode::Nftables, 28, Some(true), Stage::Absent),
            (Mode::Nftables, 30, None, Stage::Alpha),
            (Mode::Nftables, 30, Some(true), Stage::Beta),
            (Mode::Nftables, 31, None, Stage::Beta),
            (Mode::Nftables, 36, None, Stage::Stable),
            (Mode::Iptables, 40, None, Stage::Stable),
            (Mode::Userspace, 26, None, Stage::Removed),
        ] {
            assert_eq!(of(mode, minor, gate), stage, "{mode} in 1.{minor} with {gate:?}");
        }
        assert_eq!(lifecycle(Mode::Ipvs, None, None).stage, None, "unknown is no stage");
    }
}
