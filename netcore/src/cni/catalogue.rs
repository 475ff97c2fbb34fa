//! The network plugins that are known, and what each leaves where: one row per plugin.

use std::fmt;

use serde::Serialize;

/// A network plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Calico, from manifests or by the Tigera operator.
    Calico,
    /// flannel's network with Calico's policies.
    Canal,
    /// flannel, also the one that k3s has inside.
    Flannel,
    /// Cilium.
    Cilium,
    /// Weave Net.
    Weave,
    /// Antrea.
    Antrea,
    /// kube-router.
    KubeRouter,
    /// OVN-Kubernetes.
    OvnKubernetes,
    /// Kube-OVN.
    KubeOvn,
    /// The AWS VPC CNI.
    AwsVpc,
    /// Azure CNI.
    Azure,
    /// GKE's Dataplane V2, a Cilium inside.
    GkeDataplaneV2,
    /// Alibaba Cloud's Terway.
    Terway,
    /// Spiderpool: addresses for other plugins.
    Spiderpool,
    /// Multus: several networks for one pod, the first of which another plugin makes.
    Multus,
    /// kind's own.
    Kindnet,
    /// The reference plugins that make a network by themselves: bridge, ptp, macvlan, ipvlan.
    Reference,
}

impl Kind {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calico => "calico",
            Self::Canal => "canal",
            Self::Flannel => "flannel",
            Self::Cilium => "cilium",
            Self::Weave => "weave-net",
            Self::Antrea => "antrea",
            Self::KubeRouter => "kube-router",
            Self::OvnKubernetes => "ovn-kubernetes",
            Self::KubeOvn => "kube-ovn",
            Self::AwsVpc => "aws-vpc-cni",
            Self::Azure => "azure-cni",
            Self::GkeDataplaneV2 => "gke-dataplane-v2",
            Self::Terway => "terway",
            Self::Spiderpool => "spiderpool",
            Self::Multus => "multus",
            Self::Kindnet => "kindnet",
            Self::Reference => "reference-plugins",
        }
    }

    /// The row of the catalogue.
    pub fn row(self) -> &'static Row {
        let [first, ..] = ROWS;
        ROWS.iter().find(|row| row.kind == self).unwrap_or(first)
    }

    /// Whether it gives pods no network of its own: it hands on to another plugin.
    pub const fn is_meta(self) -> bool {
        matches!(self, Self::Multus | Self::Spiderpool)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a plugin leaves, by place. A name that ends in `*` is a beginning.
pub struct Row {
    /// The plugin.
    pub kind: Kind,
    /// Names of the DaemonSets that run its agent.
    pub agents: &'static [&'static str],
    /// Last words of the agent's image, without registry and tag.
    pub images: &'static [&'static str],
    /// Names of its ConfigMaps.
    pub config_maps: &'static [&'static str],
    /// API groups of its own kinds.
    pub groups: &'static [&'static str],
    /// `type` of its plugin in CNI configuration.
    pub conf_types: &'static [&'static str],
    /// Annotations of nodes.
    pub annotations: &'static [&'static str],
    /// Network links.
    pub links: &'static [&'static str],
    /// Chains of iptables, by their beginnings.
    pub chains: &'static [&'static str],
    /// Tables of nftables.
    pub tables: &'static [&'static str],
    /// Its CNI file, as it is installed.
    pub file: &'static str,
}

const fn row(kind: Kind) -> Row {
    Row {
        kind,
        agents: &[],
        images: &[],
        config_maps: &[],
        groups: &[],
        conf_types: &[],
        annotations: &[],
        links: &[],
        chains: &[],
        tables: &[],
        file: "",
    }
}

/// Every plugin that is known.
pub const ROWS: &[Row; 17] = &[
    Row {
        agents: &["calico-node"],
        images: &["calico/node", "calico-node", "mirrored-calico-node"],
        config_maps: &["calico-config"],
        groups: &["crd.projectcalico.org", "projectcalico.org", "operator.tigera.io"],
        conf_types: &["calico"],
        annotations: &["projectcalico.org/*"],
        links: &[
            "cali*",
            "vxlan.calico",
            "vxlan-v6.calico",
            "wireguard.cali",
            "wg-v6.cali",
            "bpfin.cali",
            "bpfout.cali",
        ],
        chains: &["cali-"],
        tables: &["calico"],
        file: "10-calico.conflist",
        ..row(Kind::Calico)
    },
    Row {
        agents: &["canal", "rke2-canal"],
        config_maps: &["canal-config", "rke2-canal-config"],
        file: "10-canal.conflist",
        ..row(Kind::Canal)
    },
    Row {
        agents: &["kube-flannel*"],
        images: &["flannel", "hardened-flannel", "mirrored-flannel*", "mirrored-flannelcni-flannel"],
        config_maps: &["kube-flannel-cfg"],
        conf_types: &["flannel"],
        annotations: &["flannel.alpha.coreos.com/*"],
        links: &["flannel.*", "flannel-v6.*", "flannel-wg", "flannel-wg-v6", "flannel0", "flannel.ipip"],
        chains: &["FLANNEL-"],
        tables: &["flannel-ipv4", "flannel-ipv6"],
        file: "10-flannel.conflist",
        ..row(Kind::Flannel)
    },
    Row {
        agents: &["cilium"],
        images: &["cilium"],
        config_maps: &["cilium-config"],
        groups: &["cilium.io"],
        conf_types: &["cilium-cni"],
        annotations: &["network.cilium.io/*", "io.cilium.network.*"],
        links: &["cilium_host", "cilium_net", "cilium_vxlan", "cilium_geneve", "cilium_wg0", "lxc*"],
        chains: &["CILIUM_", "OLD_CILIUM_"],
        file: "05-cilium.conflist",
        ..row(Kind::Cilium)
    },
    Row {
        agents: &["weave-net"],
        images: &["weave-kube"],
        conf_types: &["weave-net"],
        links: &["weave", "vethwe*"],
        chains: &["WEAVE"],
        file: "10-weave.conflist",
        ..row(Kind::Weave)
    },
    Row {
        agents: &["antrea-agent"],
        images: &["antrea-agent-ubuntu", "antrea-agent-ubi", "antrea-ubuntu", "antrea-agent"],
        config_maps: &["antrea-config*"],
        groups: &["crd.antrea.io"],
        conf_types: &["antrea"],
        annotations: &["node.antrea.io/*"],
        links: &["antrea-gw0", "antrea-egress0"],
        chains: &["ANTREA-"],
        file: "10-antrea.conflist",
        ..row(Kind::Antrea)
    },
    Row {
        agents: &["kube-router"],
        images: &["kube-router"],
        config_maps: &["kube-router-cfg"],
        annotations: &["kube-router.io/*"],
        links: &["kube-bridge", "kube-dummy-if", "tun-*"],
        chains: &["KUBE-ROUTER-", "KUBE-POD-FW-", "KUBE-NWPLCY-"],
        file: "10-kuberouter.conflist",
        ..row(Kind::KubeRouter)
    },
    Row {
        agents: &["ovnkube-node*"],
        images: &["ovn-kube*"],
        config_maps: &["ovnkube-config"],
        groups: &["k8s.ovn.org"],
        conf_types: &["ovn-k8s-cni-overlay"],
        annotations: &["k8s.ovn.org/*"],
        links: &["ovn-k8s-mp0", "br-ex"],
        chains: &["OVN-KUBE-"],
        file: "10-ovn-kubernetes.conf",
        ..row(Kind::OvnKubernetes)
    },
    Row {
        agents: &["kube-ovn-cni"],
        images: &["kube-ovn"],
        groups: &["kubeovn.io"],
        conf_types: &["kube-ovn"],
        annotations: &["ovn.kubernetes.io/*"],
        links: &["ovn0"],
        chains: &["OVN-"],
        file: "01-kube-ovn.conflist",
        ..row(Kind::KubeOvn)
    },
    Row {
        agents: &["aws-node"],
        images: &["amazon-k8s-cni"],
        config_maps: &["amazon-vpc-cni"],
        groups: &["crd.k8s.amazonaws.com", "vpcresources.k8s.aws", "networking.k8s.aws"],
        conf_types: &["aws-cni"],
        links: &["eni*", "vlan.eth.*"],
        chains: &["AWS-SNAT-CHAIN-", "AWS-CONNMARK-"],
        file: "10-aws.conflist",
        ..row(Kind::AwsVpc)
    },
    Row {
        agents: &["azure-cns", "azure-npm"],
        images: &["azure-cns", "azure-npm"],
        groups: &["acn.azure.com"],
        conf_types: &["azure-vnet", "azure-ipam", "azure-cns"],
        links: &["azv*", "azure0"],
        chains: &["AZURE-NPM"],
        file: "10-azure.conflist",
        ..row(Kind::Azure)
    },
    Row { agents: &["anetd"], ..row(Kind::GkeDataplaneV2) },
    Row {
        agents: &["terway*"],
        images: &["terway"],
        config_maps: &["eni-config"],
        groups: &["network.alibabacloud.com"],
        conf_types: &["terway"],
        file: "10-terway.conflist",
        ..row(Kind::Terway)
    },
    Row {
        agents: &["spiderpool-agent"],
        images: &["spiderpool-agent"],
        config_maps: &["spiderpool-conf"],
        groups: &["spiderpool.spidernet.io"],
        conf_types: &["spiderpool"],
        ..row(Kind::Spiderpool)
    },
    Row {
        agents: &["kube-multus-ds*", "multus*"],
        images: &["multus-cni"],
        config_maps: &["multus-daemon-config"],
        groups: &["k8s.cni.cncf.io"],
        conf_types: &["multus", "multus-shim"],
        file: "00-multus.conf",
        ..row(Kind::Multus)
    },
    Row { agents: &["kindnet"], images: &["kindnetd"], file: "10-kindnet.conflist", ..row(Kind::Kindnet) },
    Row { conf_types: &["bridge", "ptp", "macvlan", "ipvlan", "host-device"], ..row(Kind::Reference) },
];

/// Whether a name is one of a list; `*` at an end stands for any rest.
pub fn listed(list: &[&str], name: &str) -> bool {
    list.iter().any(|known| match known.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => *known == name,
    })
}

/// Plugins of a chain that change what another one made, and what each adds.
pub const CHAINED: &[(&str, &str)] = &[
    ("portmap", "host ports"),
    ("bandwidth", "limits of rate"),
    ("tuning", "sysctls and link settings"),
    ("firewall", "rules that let pods' packets through"),
    ("sbr", "routing by source"),
    ("dhcp", "addresses by DHCP"),
    ("egress-cni", "outgoing traffic of the other family"),
    ("istio-cni", "redirection to a mesh's proxy"),
    ("linkerd-cni", "redirection to a mesh's proxy"),
    ("cilium-cni", "policies and Services"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_its_own_and_no_agent_is_two() {
        for row in ROWS {
            assert_eq!(row.kind.row().kind, row.kind);
            for other in ROWS.iter().filter(|other| other.kind != row.kind) {
                for name in row.agents {
                    assert!(!listed(other.agents, name.trim_end_matches('*')), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_star_is_any_rest() {
        assert!(listed(&["flannel.*", "cni0"], "flannel.1") && listed(&["cni0"], "cni0"));
        assert!(!listed(&["cni0", "flannel.*"], "cni01") && !listed(&[], ""));
    }
}
