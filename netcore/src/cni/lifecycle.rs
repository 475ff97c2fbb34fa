//! What is said to come and go around network plugins, with dates and versions; plans are called plans.

use serde::Serialize;

use super::{
    Facts,
    catalogue::Kind,
    detect::{Found, State},
};
use crate::proxy::{self, Version};

/// A fact about the life of something that the cluster has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Life {
    /// What it is about: `kube-proxy ipvs`, `weave-net`, `PodSecurityPolicy`.
    pub about: String,
    /// What is known of it.
    pub text: String,
}

fn life(about: impl Into<String>, text: &str) -> Life {
    Life { about: about.into(), text: text.to_owned() }
}

/// The facts about what this cluster has.
pub fn lives(facts: &Facts, plugins: &[Found], mode: Option<proxy::Mode>) -> Vec<Life> {
    let mut found = Vec::new();
    let running = |kind: Kind| plugins.iter().any(|plugin| plugin.kind == kind && plugin.state != State::Leftover);
    if let Some(mode) = mode {
        found.push(Life { about: format!("kube-proxy {mode}"), text: proxy::report::life(&facts.proxy, mode).text });
    }
    if plugins.iter().any(|plugin| plugin.kind == Kind::Weave) {
        found.push(life("weave-net", "its repository is archived; the last commit is of 2022-11-23"));
    }
    if running(Kind::Calico) && ipip_by_bird(facts) {
        found.push(life(
            "calico ipip routes in bird",
            "deprecated in v3.33, planned to go in v3.35: Felix programs them (programClusterRoutes)",
        ));
    }
    if running(Kind::Flannel) || running(Kind::Canal) {
        found.push(life("flannel nftables", "optional: EnableNFTables in net-conf.json, off unless it is set"));
    }
    if !facts.policies.leftovers().is_empty() {
        found.push(life(
            "PodSecurityPolicy",
            "deprecated in Kubernetes 1.21, removed in 1.25; Pod Security Admission (namespace labels) takes its place",
        ));
        if facts.policies.objects.iter().any(|policy| policy.name == "psp.flannel.unprivileged")
            || facts
                .policies
                .roles
                .iter()
                .any(|role| role.policies.iter().any(|name| name == "psp.flannel.unprivileged"))
        {
            found.push(life(
                "psp.flannel.unprivileged",
                "in flannel's manifest from 2019-02 to 2022-06, in its chart to 2025-10",
            ));
        }
    }
    found
}

/// Whether routes of pools with IPIP are BIRD's: the default before v3.33.
pub fn ipip_by_bird(facts: &Facts) -> bool {
    let ipip =
        facts.pools.values().any(|pool| !pool.disabled && matches!(pool.ipip_mode.as_str(), "Always" | "CrossSubnet"));
    let by_felix =
        facts.value(Kind::Calico, "felix.programClusterRoutes").is_some_and(|value| value.starts_with("Enabled"));
    ipip && !by_felix
}

/// The version of PodSecurityPolicy's end.
pub const POLICIES_GONE: Version = Version::new(1, 25);
