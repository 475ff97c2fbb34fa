//! The kinds that the server knows: Kubernetes' own, and the custom ones that network plugins bring.

/// A kind as discovery shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Name in URLs.
    pub plural: String,
    /// Kind of one object.
    pub kind: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether it is Kubernetes' own: always there, and encoded as protobuf too.
    pub builtin: bool,
    /// Short name for kubectl; empty for none.
    pub short: String,
}

impl Kind {
    /// A custom kind.
    pub fn custom(group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced,
            builtin: false,
            short: String::new(),
        }
    }

    /// `v1`, `networking.k8s.io/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods`, `ippools.crd.projectcalico.org`.
    pub fn full_name(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// Which versions of Kubernetes serve a kind by default.
type Served = std::ops::RangeInclusive<u32>;

const EVER: Served = 0..=u32::MAX;

/// group, version, plural, kind, namespaced, short, minor versions.
type Row = (&'static str, &'static str, &'static str, &'static str, bool, &'static str, Served);

const BUILTIN: &[Row] = &[
    ("", "v1", "configmaps", "ConfigMap", true, "cm", EVER),
    ("", "v1", "endpoints", "Endpoints", true, "ep", EVER),
    ("", "v1", "events", "Event", true, "ev", EVER),
    ("", "v1", "namespaces", "Namespace", false, "ns", EVER),
    ("", "v1", "nodes", "Node", false, "no", EVER),
    ("", "v1", "pods", "Pod", true, "po", EVER),
    ("", "v1", "secrets", "Secret", true, "", EVER),
    ("", "v1", "serviceaccounts", "ServiceAccount", true, "sa", EVER),
    ("", "v1", "services", "Service", true, "svc", EVER),
    ("apps", "v1", "daemonsets", "DaemonSet", true, "ds", EVER),
    ("apps", "v1", "deployments", "Deployment", true, "deploy", EVER),
    ("apps", "v1", "replicasets", "ReplicaSet", true, "rs", EVER),
    ("coordination.k8s.io", "v1", "leases", "Lease", true, "", EVER),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true, "", 21..=u32::MAX),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", true, "ing", EVER),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true, "netpol", EVER),
    ("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", false, "", 33..=u32::MAX),
    ("networking.k8s.io", "v1", "ipaddresses", "IPAddress", false, "ip", 33..=u32::MAX),
    ("networking.k8s.io", "v1beta1", "servicecidrs", "ServiceCIDR", false, "", 31..=32),
    ("networking.k8s.io", "v1beta1", "ipaddresses", "IPAddress", false, "ip", 31..=32),
    ("policy", "v1beta1", "podsecuritypolicies", "PodSecurityPolicy", false, "psp", 0..=24),
];

const CUSTOM: &[(&str, &str, &str, &str, bool)] = &[
    ("acn.azure.com", "v1alpha", "nodenetworkconfigs", "NodeNetworkConfig", true),
    ("acn.azure.com", "v1alpha1", "clustersubnetstates", "ClusterSubnetState", true),
    ("cilium.io", "v2", "ciliumnodes", "CiliumNode", false),
    ("cilium.io", "v2", "ciliumloadbalancerippools", "CiliumLoadBalancerIPPool", false),
    ("cilium.io", "v2alpha1", "ciliumpodippools", "CiliumPodIPPool", false),
    ("cluster.x-k8s.io", "v1beta1", "clusters", "Cluster", true),
    ("cluster.x-k8s.io", "v1beta2", "clusters", "Cluster", true),
    ("config.openshift.io", "v1", "networks", "Network", false),
    ("crd.antrea.io", "v1beta1", "externalippools", "ExternalIPPool", false),
    ("crd.antrea.io", "v1beta1", "ippools", "IPPool", false),
    ("crd.k8s.amazonaws.com", "v1alpha1", "eniconfigs", "ENIConfig", false),
    ("crd.projectcalico.org", "v1", "bgpconfigurations", "BGPConfiguration", false),
    ("crd.projectcalico.org", "v1", "blockaffinities", "BlockAffinity", false),
    ("crd.projectcalico.org", "v1", "felixconfigurations", "FelixConfiguration", false),
    ("crd.projectcalico.org", "v1", "ipamblocks", "IPAMBlock", false),
    ("crd.projectcalico.org", "v1", "ipamconfigs", "IPAMConfig", false),
    ("crd.projectcalico.org", "v1", "ippools", "IPPool", false),
    ("crd.projectcalico.org", "v1", "ipreservations", "IPReservation", false),
    ("k8s.cni.cncf.io", "v1", "network-attachment-definitions", "NetworkAttachmentDefinition", true),
    ("k8s.ovn.org", "v1", "clusteruserdefinednetworks", "ClusterUserDefinedNetwork", false),
    ("k8s.ovn.org", "v1", "userdefinednetworks", "UserDefinedNetwork", true),
    ("kubeovn.io", "v1", "subnets", "Subnet", false),
    ("metallb.io", "v1beta1", "ipaddresspools", "IPAddressPool", true),
    ("operator.openshift.io", "v1", "networks", "Network", false),
    ("operator.tigera.io", "v1", "installations", "Installation", false),
    ("projectcalico.org", "v3", "ippools", "IPPool", false),
    ("whereabouts.cni.cncf.io", "v1alpha1", "ippools", "IPPool", true),
];

/// Kubernetes' own kinds in a release, given by its minor version.
pub(crate) fn builtin(minor: u32) -> Vec<Kind> {
    BUILTIN
        .iter()
        .filter(|row| row.6.contains(&minor))
        .map(|(group, version, plural, kind, namespaced, short, _)| Kind {
            builtin: true,
            short: (*short).to_owned(),
            ..Kind::custom(group, version, plural, kind, *namespaced)
        })
        .collect()
}

/// A known custom kind, by what its objects say of themselves.
pub(crate) fn custom(api_version: &str, kind: &str) -> Option<Kind> {
    let (group, version) = api_version.split_once('/')?;
    CUSTOM
        .iter()
        .find(|row| (row.0, row.1, row.3) == (group, version, kind))
        .map(|row| Kind::custom(row.0, row.1, row.2, row.3, row.4))
}
