//! The closed list of what may be read on a node. Nothing outside it can be run there.

mod command;

pub use command::{Command, End, Gate, KUBE_PROXY_PORT, LEGACY, MEMORY, SYMBOLS, Sees, Way};

/// What stands in a report or recording where no node is known for a file.
pub const UNNAMED: &str = "-";

/// One thing to read on a node: the command, the file name that a recording stores it under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Probe {
    /// `iptables-save -c` of the nft variant.
    IptablesSave,
    /// `ip6tables-save -c` of the nft variant.
    Ip6tablesSave,
    /// `iptables-legacy-save -c`.
    IptablesLegacySave,
    /// `ip6tables-legacy-save -c`.
    Ip6tablesLegacySave,
    /// `ipset save`.
    IpsetSave,
    /// `nft -j list ruleset`.
    NftRuleset,
    /// IPVS' virtual servers: `/proc/net/ip_vs`, `ipvsadm -S -n` or `-L -n`.
    IpvsTable,
    /// `ip -j -d addr`.
    Addresses,
    /// `ip -j route show table all`, both families.
    Routes,
    /// kube-proxy's `/proxyMode`.
    ProxyMode,
    /// kube-proxy's or the kubelet's `/configz`.
    Configz,
    /// The configuration files of `/etc/cni/net.d`, each below a line `==> NAME <==`.
    CniConf,
    /// `/run/flannel/subnet.env`.
    FlannelSubnetEnv,
    /// `birdcl show protocols all`.
    BirdProtocols,
    /// `birdcl show route`.
    BirdRoutes,
    /// `birdcl show protocols all` of the daemon for IPv6.
    Bird6Protocols,
    /// `birdcl show route` of the daemon for IPv6.
    Bird6Routes,
    /// `/proc/modules`.
    KernelModules,
    /// conntrack's use and limit, or its entries.
    Conntrack,
    /// `ip -j neigh`.
    Neighbours,
    /// `bridge -j fdb`.
    Fdb,
    /// `ip -j rule`.
    Rules,
    /// `net.*` sysctls.
    Sysctls,
    /// kube-proxy's `/metrics`.
    ProxyMetrics,
    /// Which modules of Services' traffic the kernel has built in or could load: lines of
    /// `modules.builtin` and `modules.dep`, each file's below a line `==> RELEASE/FILE <==`.
    ModuleFiles,
}

impl Probe {
    /// Every probe, in the order in which a recording lists them.
    pub const ALL: [Self; 25] = [
        Self::IptablesSave,
        Self::Ip6tablesSave,
        Self::IptablesLegacySave,
        Self::Ip6tablesLegacySave,
        Self::IpsetSave,
        Self::NftRuleset,
        Self::IpvsTable,
        Self::Addresses,
        Self::Routes,
        Self::ProxyMode,
        Self::Configz,
        Self::CniConf,
        Self::FlannelSubnetEnv,
        Self::BirdProtocols,
        Self::BirdRoutes,
        Self::Bird6Protocols,
        Self::Bird6Routes,
        Self::KernelModules,
        Self::Conntrack,
        Self::Neighbours,
        Self::Fdb,
        Self::Rules,
        Self::Sysctls,
        Self::ProxyMetrics,
        Self::ModuleFiles,
    ];

    /// The file name in a recording: `nodes/<node>/<file>`.
    pub const fn file(self) -> &'static str {
        match self {
            Self::IptablesSave => "iptables-save",
            Self::Ip6tablesSave => "ip6tables-save",
            Self::IptablesLegacySave => "iptables-legacy-save",
            Self::Ip6tablesLegacySave => "ip6tables-legacy-save",
            Self::IpsetSave => "ipset",
            Self::NftRuleset => "nft.json",
            Self::IpvsTable => "ipvsadm",
            Self::Addresses => "ip-addr.json",
            Self::Routes => "ip-route.json",
            Self::ProxyMode => "proxyMode",
            Self::Configz => "configz.json",
            Self::CniConf => "cni-conf.json",
            Self::FlannelSubnetEnv => "subnet.env",
            Self::BirdProtocols => "birdcl-protocols",
            Self::BirdRoutes => "birdcl-route",
            Self::Bird6Protocols => "birdcl6-protocols",
            Self::Bird6Routes => "birdcl6-route",
            Self::KernelModules => "modules",
            Self::Conntrack => "conntrack",
            Self::Neighbours => "ip-neigh.json",
            Self::Fdb => "bridge-fdb.json",
            Self::Rules => "ip-rule.json",
            Self::Sysctls => "sysctl",
            Self::ProxyMetrics => "kube-proxy-metrics",
            Self::ModuleFiles => "modules-available",
        }
    }

    /// The ways to read it, in the order in which they are tried.
    pub const fn ways(self) -> &'static [Way] {
        command::ways(self)
    }

    /// Whether reading it takes a node's time and memory: it is run once, never again because a
    /// connection broke, for the first may still be running.
    pub const fn is_heavy(self) -> bool {
        matches!(
            self,
            Self::IptablesSave
                | Self::Ip6tablesSave
                | Self::IptablesLegacySave
                | Self::Ip6tablesLegacySave
                | Self::IpsetSave
                | Self::NftRuleset
        )
    }
}
