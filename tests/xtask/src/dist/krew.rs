//! krew's manifests.

use std::fmt::Write as _;

use super::targets::Target;

/// What krew's index says of a plugin.
pub(crate) struct Plugin {
    /// `netcidr`
    pub(crate) name: &'static str,
    /// One line of 50 characters at most.
    short: &'static str,
    /// Lines of 80 characters at most, without examples.
    long: &'static [&'static str],
}

/// The three plugins.
pub(crate) const ALL: [Plugin; 3] = [
    Plugin {
        name: "netcidr",
        short: "Which address ranges are in use, do they agree",
        long: &[
            "Shows every pod, Service, node and load-balancer range of a cluster with its",
            "sources, capacity and use, and says where the sources disagree: ConfigMaps,",
            "static pods, node files, the network plugin's own objects. Finds who owns an",
            "address, what is free, what is running out, and plans a change of ranges.",
            "Works on a live cluster and offline on a dump of one.",
        ],
    },
    Plugin {
        name: "proxymode",
        short: "Which mode kube-proxy is in, is its state right",
        long: &[
            "Shows kube-proxy's configured mode beside each node's effective one with the",
            "evidence, which Service address leads to which pods in iptables, nftables and",
            "ipvs mode, and what another mode would break.",
            "Works on a live cluster and offline on a dump of one.",
        ],
    },
    Plugin {
        name: "cni",
        short: "Which network plugin, and what a packet meets",
        long: &[
            "Shows which network plugin runs and how it forwards, the rules of its chains",
            "with the names of Services and pods, and what a packet meets on its way.",
            "Works on a live cluster and offline on a dump of one.",
        ],
    },
];

const CAVEATS: &[&str] = &[
    "It reads with your own permissions. What may not be read is said, and the rest",
    "still works. Nodes are read by exec into pods that run there (pods/exec).",
];

/// Where one platform's archive lies.
pub(crate) struct Archive {
    /// The platform.
    pub(crate) target: Target,
    /// Its address.
    pub(crate) uri: String,
    /// Its checksum.
    pub(crate) sha256: String,
}

/// The manifest of a plugin; `homepage` is the project's page.
pub(crate) fn manifest(plugin: &Plugin, tag: &str, homepage: &str, archives: &[Archive]) -> String {
    let mut text = format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2\nkind: Plugin\nmetadata:\n  name: {}\nspec:\n  \
         version: {tag}\n  homepage: {homepage}\n  shortDescription: {}\n",
        plugin.name, plugin.short
    );
    for (field, lines) in [("description", plugin.long), ("caveats", CAVEATS)] {
        let _ = writeln!(text, "  {field}: |");
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
    text.push_str("  platforms:\n");
    for Archive { target, uri, sha256 } in archives {
        let binary = target.binary(plugin.name);
        let _ = write!(
            text,
            "    - selector:\n        matchLabels:\n          os: {}\n          arch: {}\n      uri: {uri}\n      \
             sha256: {sha256}\n      bin: {binary}\n      files:\n        - from: {binary}\n          to: .\n        - \
             from: LICENSE\n          to: .\n",
            target.os, target.arch
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::targets::{self, ALL as TARGETS},
        *,
    };

    fn archive(target: Target) -> Archive {
        Archive {
            target,
            uri: format!("https://host.invalid/{}", target.archive("cni", "v1.2.3")),
            sha256: "0".repeat(64),
        }
    }

    #[test]
    fn what_reviewers_of_the_index_ask_for() {
        for plugin in &ALL {
            assert!(plugin.short.len() <= 50, "{}: {}", plugin.name, plugin.short);
            for line in plugin.long.iter().chain(CAVEATS) {
                assert!(line.len() <= 80 && !line.contains("kubectl "), "{}: {line}", plugin.name);
            }
        }
    }

    #[test]
    fn a_manifest_is_yaml_with_a_platform_for_each_archive_and_no_two_alike() {
        let archives: Vec<Archive> = TARGETS.into_iter().map(archive).collect();
        let text = manifest(&ALL[2], "v1.2.3", "https://host.invalid/", &archives);
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["metadata"]["name"], "cni");
        assert_eq!(value["spec"]["version"], "v1.2.3");
        let platforms = value["spec"]["platforms"].as_array().unwrap();
        assert_eq!(platforms.len(), targets::ALL.len());
        let selectors: BTreeSet<String> = platforms.iter().map(|p| p["selector"].to_string()).collect();
        assert_eq!(selectors.len(), platforms.len());
        for platform in platforms {
            let files: Vec<&str> =
                platform["files"].as_array().unwrap().iter().filter_map(|f| f["from"].as_str()).collect();
            assert!(files.contains(&platform["bin"].as_str().unwrap()) && files.contains(&"LICENSE"));
        }
    }
}
