//! Who put a chain, a rule, a set or a table into the kernel: told by the names that each program
//! gives, the same for iptables, ipset and nftables.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A program that writes into netfilter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Owner {
    /// kube-proxy, in any mode.
    KubeProxy,
    /// The kubelet.
    Kubelet,
    /// Calico's Felix.
    Calico,
    /// flanneld.
    Flannel,
    /// The Cilium agent.
    Cilium,
    /// Docker's daemon.
    Docker,
    /// The CNI plugin `portmap`: host ports.
    Portmap,
    /// A firewall of the host: firewalld, ufw.
    Firewall,
    /// Somebody else: the kernel's own, an administrator, a program that is not listed here.
    Other,
}

impl Owner {
    /// Every owner, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::KubeProxy,
        Self::Kubelet,
        Self::Calico,
        Self::Flannel,
        Self::Cilium,
        Self::Docker,
        Self::Portmap,
        Self::Firewall,
        Self::Other,
    ];

    /// The name in reports: `kube-proxy`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KubeProxy => "kube-proxy",
            Self::Kubelet => "kubelet",
            Self::Calico => "calico",
            Self::Flannel => "flannel",
            Self::Cilium => "cilium",
            Self::Docker => "docker",
            Self::Portmap => "portmap",
            Self::Firewall => "firewall",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An owner, and what tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Who.
    pub owner: Owner,
    /// Why it is thought so, in words.
    pub reason: &'static str,
}

impl Ownership {
    /// An owner for a reason.
    pub const fn new(owner: Owner, reason: &'static str) -> Self {
        Self { owner, reason }
    }
}

/// How a name is compared.
#[derive(Clone, Copy)]
enum Name {
    Is(&'static str),
    Starts(&'static str),
    Ends(&'static str),
}

impl Name {
    fn fits(self, name: &str) -> bool {
        match self {
            Self::Is(whole) => name == whole,
            Self::Starts(start) => name.starts_with(start),
            Self::Ends(end) => name.ends_with(end),
        }
    }
}

use Name::{Ends, Is, Starts};

/// The first row that fits decides.
const CHAINS: &[(Name, Owner, &str)] = &[
    (Starts("cali-"), Owner::Calico, "Felix names its chains `cali-…`"),
    (Starts("felix-"), Owner::Calico, "old releases of Felix name their chains `felix-…`"),
    (Starts("calico-"), Owner::Calico, "calico-node's own chains are called `calico-…`"),
    (Is("KUBE-KUBELET-CANARY"), Owner::Kubelet, "the kubelet's sign that its rules were not flushed"),
    (Is("KUBE-IPTABLES-HINT"), Owner::Kubelet, "the kubelet's hint at the backend in use"),
    (Is("KUBE-FIREWALL"), Owner::Kubelet, "the kubelet's chain against martian packets to localhost"),
    (Starts("KUBE-HOSTPORT"), Owner::Kubelet, "host ports of dockershim or CRI-O"),
    (Starts("KUBE-HP-"), Owner::Kubelet, "host ports of dockershim or CRI-O"),
    (Starts("KUBE-ROUTER-"), Owner::Other, "kube-router's chains are called `KUBE-ROUTER-…`"),
    (Starts("KUBE-POD-FW-"), Owner::Other, "kube-router's network policies"),
    (Starts("KUBE-NWPLCY-"), Owner::Other, "kube-router's network policies"),
    (Starts("KUBE-SVC-"), Owner::KubeProxy, "kube-proxy's chain of a Service port"),
    (Starts("KUBE-SVL-"), Owner::KubeProxy, "kube-proxy's chain of a Service port's local endpoints"),
    (Starts("KUBE-EXT-"), Owner::KubeProxy, "kube-proxy's chain of a Service port's outside traffic"),
    (Starts("KUBE-XLB-"), Owner::KubeProxy, "an older kube-proxy's chain of a load balancer"),
    (Starts("KUBE-SEP-"), Owner::KubeProxy, "kube-proxy's chain of one endpoint"),
    (Starts("KUBE-FW-"), Owner::KubeProxy, "kube-proxy's chain of a load balancer's source ranges"),
    (Is("KUBE-SERVICES"), Owner::KubeProxy, "kube-proxy's entry chain"),
    (Is("KUBE-EXTERNAL-SERVICES"), Owner::KubeProxy, "kube-proxy's entry chain for outside traffic"),
    (Is("KUBE-NODEPORTS"), Owner::KubeProxy, "kube-proxy's entry chain for node ports"),
    (Is("KUBE-POSTROUTING"), Owner::KubeProxy, "kube-proxy's masquerading"),
    (Is("KUBE-MARK-MASQ"), Owner::KubeProxy, "kube-proxy's mark for masquerading"),
    (Is("KUBE-MARK-DROP"), Owner::KubeProxy, "the mark for dropping of older releases"),
    (Is("KUBE-FORWARD"), Owner::KubeProxy, "kube-proxy's chain for forwarded packets"),
    (Is("KUBE-PROXY-FIREWALL"), Owner::KubeProxy, "kube-proxy's chain of load balancers' source ranges"),
    (Is("KUBE-PROXY-CANARY"), Owner::KubeProxy, "kube-proxy's sign that its rules were not flushed"),
    (Starts("KUBE-IPVS-"), Owner::KubeProxy, "kube-proxy's chains in ipvs mode"),
    (Is("KUBE-LOAD-BALANCER"), Owner::KubeProxy, "kube-proxy's chain in ipvs mode"),
    (Starts("KUBE-NODE-PORT"), Owner::KubeProxy, "kube-proxy's chain in ipvs mode"),
    (Is("KUBE-SOURCE-RANGES-FIREWALL"), Owner::KubeProxy, "kube-proxy's chain in ipvs mode"),
    (Starts("KUBE-"), Owner::Other, "a `KUBE-…` name that no known kube-proxy or kubelet gives"),
    (Starts("FLANNEL-"), Owner::Flannel, "flanneld names its chains `FLANNEL-…`"),
    (Starts("CILIUM_"), Owner::Cilium, "the Cilium agent names its chains `CILIUM_…`"),
    (Starts("OLD_CILIUM_"), Owner::Cilium, "the Cilium agent renames its old chains to `OLD_CILIUM_…`"),
    (Is("DOCKER"), Owner::Docker, "Docker's chain of published ports"),
    (Starts("DOCKER-"), Owner::Docker, "Docker names its chains `DOCKER-…`"),
    (Starts("DOCKER_"), Owner::Docker, "Docker names its chains `DOCKER_…`"),
    (Starts("CNI-HOSTPORT-"), Owner::Portmap, "portmap names its chains `CNI-HOSTPORT-…`"),
    (Starts("CNI-DN-"), Owner::Portmap, "portmap's chain of one container's host ports"),
    (Starts("CNI-SN-"), Owner::Portmap, "portmap's chain of one container's host ports"),
    (Starts("CNI-"), Owner::Other, "a chain of another CNI plugin: bridge, ptp, firewall"),
    (Starts("ufw-"), Owner::Firewall, "ufw names its chains `ufw-…`"),
    (Starts("ufw6-"), Owner::Firewall, "ufw names its chains `ufw6-…`"),
    (Starts("firewalld"), Owner::Firewall, "firewalld's own name"),
    (Ends("_direct"), Owner::Firewall, "firewalld names its chains `…_direct`"),
    (Ends("_ZONES"), Owner::Firewall, "firewalld names its chains `…_ZONES`"),
    (Ends("_ZONES_SOURCE"), Owner::Firewall, "firewalld names its chains `…_ZONES_SOURCE`"),
    (Ends("_POLICIES"), Owner::Firewall, "firewalld names its chains `…_POLICIES`"),
    (Ends("_POLICIES_pre"), Owner::Firewall, "firewalld names its chains `…_POLICIES_pre`"),
    (Ends("_POLICIES_post"), Owner::Firewall, "firewalld names its chains `…_POLICIES_post`"),
    (Starts("AZURE-NPM"), Owner::Other, "Azure's network policy manager"),
    (Starts("ANTREA-"), Owner::Other, "the Antrea agent names its chains `ANTREA-…`"),
    (Starts("OVN-KUBE-"), Owner::Other, "OVN-Kubernetes names its chains `OVN-KUBE-…`"),
    (Starts("WEAVE"), Owner::Other, "Weave Net names its chains `WEAVE…`"),
    (Starts("AWS-"), Owner::Other, "the AWS VPC CNI names its chains `AWS-…`"),
    (Starts("LIBVIRT_"), Owner::Other, "libvirt names its chains `LIBVIRT_…`"),
];

/// firewalld's chains of a zone: the name of the zone stands between.
const ZONE_STARTS: &[&str] = &["IN_", "FWDI_", "FWDO_", "FWD_", "PRE_", "POST_"];
const ZONE_ENDS: &[&str] = &["_log", "_deny", "_allow", "_pre", "_post"];

/// Whose chain this is by its name; `table` matters for one name of kube-proxy's ipvs mode. Nothing
/// for a name that tells no owner.
pub fn of_chain(table: &str, chain: &str) -> Option<Ownership> {
    if chain == "KUBE-FIREWALL" && table == "nat" {
        return Some(Ownership::new(Owner::KubeProxy, "kube-proxy's chain of source ranges in ipvs mode"));
    }
    first_fit(CHAINS, chain).or_else(|| {
        let zone = ZONE_STARTS.iter().any(|start| chain.starts_with(start))
            && ZONE_ENDS.iter().any(|end| chain.ends_with(end));
        zone.then_some(Ownership::new(Owner::Firewall, "firewalld names a zone's chains so"))
    })
}

const SETS: &[(Name, Owner, &str)] = &[
    (Starts("cali4"), Owner::Calico, "Felix names its sets `cali4…`"),
    (Starts("cali6"), Owner::Calico, "Felix names its sets `cali6…`"),
    (Starts("felix-"), Owner::Calico, "old releases of Felix name their sets `felix-…`"),
    (Starts("KUBE-SRC-"), Owner::Other, "kube-router's network policies"),
    (Starts("KUBE-DST-"), Owner::Other, "kube-router's network policies"),
    (Starts("kube-router-"), Owner::Other, "kube-router's own name"),
    (Starts("KUBE-"), Owner::KubeProxy, "kube-proxy names its sets in ipvs mode `KUBE-…`"),
    (Starts("cilium_"), Owner::Cilium, "the Cilium agent names its sets `cilium_…`"),
    (Starts("azure-npm-"), Owner::Other, "Azure's network policy manager"),
    (Starts("ANTREA-"), Owner::Other, "the Antrea agent names its sets `ANTREA-…`"),
    (Starts("weave-"), Owner::Other, "Weave Net's network policies"),
];

/// Whose set this is by its name. Nothing for a name that tells no owner.
pub fn of_set(name: &str) -> Option<Ownership> {
    first_fit(SETS, name)
}

const TABLES: &[(Name, Owner, &str)] = &[
    (Is("kube-proxy"), Owner::KubeProxy, "kube-proxy's table in nftables mode"),
    (Is("calico"), Owner::Calico, "Felix's table in nftables mode"),
    (Starts("flannel-"), Owner::Flannel, "flanneld names its tables `flannel-…`"),
    (Is("cni_hostport"), Owner::Portmap, "portmap's table with the nftables backend"),
    (Is("docker-bridges"), Owner::Docker, "Docker's table with the nftables backend"),
    (Is("firewalld"), Owner::Firewall, "firewalld's table"),
];

/// Whose nftables table this is by its name; tables that iptables-nft keeps hold everybody's chains
/// and have no owner of their own.
pub fn of_nft_table(name: &str) -> Option<Ownership> {
    first_fit(TABLES, name)
}

const COMMENTS: &[(Name, Owner, &str)] = &[
    (Starts("cali:"), Owner::Calico, "the comment is one of Felix's hashes"),
    (Starts("Policy explicitly accepted packet"), Owner::Calico, "a comment that Felix writes"),
    (Starts("kubernetes service"), Owner::KubeProxy, "a comment that kube-proxy writes"),
    (Starts("kubernetes health check service ports"), Owner::KubeProxy, "a comment that kube-proxy writes"),
    (Starts("kubernetes health check rules"), Owner::KubeProxy, "a comment that kube-proxy writes"),
    (Starts("kube-proxy firewall rules"), Owner::KubeProxy, "a comment that kube-proxy writes"),
    (Starts("kubernetes externally-visible service"), Owner::KubeProxy, "a comment that kube-proxy writes"),
    (Starts("kubernetes load balancer firewall"), Owner::KubeProxy, "a comment that kube-proxy writes"),
    (Starts("kubernetes forwarding rules"), Owner::KubeProxy, "a comment that kube-proxy writes"),
    (Starts("kubernetes postrouting rules"), Owner::KubeProxy, "a comment that kube-proxy writes"),
    (Starts("kubernetes ipvs access filter"), Owner::KubeProxy, "a comment that kube-proxy writes"),
    (Starts("flanneld "), Owner::Flannel, "a comment that flanneld writes"),
    (Starts("cilium"), Owner::Cilium, "a comment that the Cilium agent writes"),
    (Starts("CNI portfwd"), Owner::Portmap, "a comment that portmap writes"),
    (Starts("ufw "), Owner::Firewall, "a comment that ufw writes"),
];

/// Whose rule this is by its comment. Nothing for a comment that tells no owner.
pub fn of_comment(comment: &str) -> Option<Ownership> {
    first_fit(COMMENTS, comment)
}

/// Whose interface a rule speaks of. Nothing for a name that tells no owner.
pub fn of_interface(name: &str) -> Option<Ownership> {
    let hex = |rest: &str| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name {
        "docker0" | "docker_gwbridge" => Some(Ownership::new(Owner::Docker, "it speaks of Docker's bridge")),
        _ if name.strip_prefix("br-").is_some_and(hex) => {
            Some(Ownership::new(Owner::Docker, "it speaks of a bridge named as Docker does"))
        }
        _ => None,
    }
}

fn first_fit(rows: &'static [(Name, Owner, &'static str)], name: &str) -> Option<Ownership> {
    rows.iter().find(|(row, ..)| row.fits(name)).map(|&(_, owner, reason)| Ownership::new(owner, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(table: &str, name: &str) -> Option<Owner> {
        of_chain(table, name).map(|ownership| ownership.owner)
    }

    #[test]
    fn chains_by_name() {
        assert_eq!(chain("nat", "KUBE-SVC-TCOU7JCQXEZGVUNU"), Some(Owner::KubeProxy));
        assert_eq!(chain("mangle", "KUBE-KUBELET-CANARY"), Some(Owner::Kubelet));
        assert_eq!(chain("filter", "cali-fw-cali1234"), Some(Owner::Calico));
        assert_eq!(chain("nat", "FLANNEL-POSTRTG"), Some(Owner::Flannel));
        assert_eq!(chain("raw", "CILIUM_PRE_raw"), Some(Owner::Cilium));
        assert_eq!(chain("filter", "DOCKER-USER"), Some(Owner::Docker));
        assert_eq!(chain("nat", "CNI-HOSTPORT-DNAT"), Some(Owner::Portmap));
        assert_eq!(chain("filter", "IN_public_allow"), Some(Owner::Firewall));
        assert_eq!(chain("filter", "KUBE-ROUTER-INPUT"), Some(Owner::Other));
        assert_eq!(chain("filter", "INPUT"), None);
    }

    // kube-proxy in ipvs mode has a chain in `nat` with the name of the kubelet's in `filter`
    #[test]
    fn one_name_with_two_owners() {
        assert_eq!(chain("filter", "KUBE-FIREWALL"), Some(Owner::Kubelet));
        assert_eq!(chain("nat", "KUBE-FIREWALL"), Some(Owner::KubeProxy));
    }

    #[test]
    fn names_are_those_of_reports() {
        for owner in Owner::ALL {
            assert_eq!(serde_json::to_value(owner).unwrap(), owner.name());
        }
    }

    #[test]
    fn sets_tables_comments_and_interfaces() {
        assert_eq!(of_set("cali40s:abc").unwrap().owner, Owner::Calico);
        assert_eq!(of_set("KUBE-CLUSTER-IP").unwrap().owner, Owner::KubeProxy);
        assert_eq!(of_set("blacklist"), None);
        assert_eq!(of_nft_table("flannel-ipv4").unwrap().owner, Owner::Flannel);
        assert_eq!(of_comment("flanneld masq").unwrap().owner, Owner::Flannel);
        assert_eq!(of_interface("br-0123456789ab").unwrap().owner, Owner::Docker);
        assert_eq!(of_interface("br-lan"), None);
    }
}
