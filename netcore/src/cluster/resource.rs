//! The kinds that are read, with the versions that are understood.

/// A kind of object: `ipaddresses` of group `networking.k8s.io`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Versions understood, the preferred first.
    pub versions: &'static [&'static str],
    /// Plural name in the URL.
    pub plural: &'static str,
    /// Kind of one object.
    pub kind: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether every cluster has it; the others exist only where somebody installed them.
    pub builtin: bool,
}

impl Resource {
    /// `pods`, `ippools.crd.projectcalico.org`: how kubectl writes it.
    pub fn full_name(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The URL path of the collection, of one namespace or of all.
    pub fn path(&self, version: &str, namespace: Option<&str>) -> String {
        let base =
            if self.group.is_empty() { format!("/api/{version}") } else { format!("/apis/{}/{version}", self.group) };
        match namespace {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", self.plural),
            None => format!("{base}/{}", self.plural),
        }
    }
}

/// Every kind that the plugins know.
pub mod resources {
    use super::Resource;

    macro_rules! resources {
        ($($(#[$doc:meta])* $name:ident = $group:literal $versions:expr, $plural:literal $kind:literal $scope:ident $origin:ident;)*) => {
            $($(#[$doc])* pub static $name: Resource = Resource {
                group: $group, versions: &$versions, plural: $plural, kind: $kind,
                namespaced: scope::$scope, builtin: origin::$origin,
            };)*
            /// All of them.
            pub static ALL: &[&Resource] = &[$(&$name),*];
        };
    }

    mod scope {
        pub(super) const NAMESPACED: bool = true;
        pub(super) const CLUSTER: bool = false;
    }
    mod origin {
        pub(super) const BUILTIN: bool = true;
        pub(super) const CUSTOM: bool = false;
    }

    resources! {
        /// Nodes.
        NODES = "" ["v1"], "nodes" "Node" CLUSTER BUILTIN;
        /// Pods.
        PODS = "" ["v1"], "pods" "Pod" NAMESPACED BUILTIN;
        /// Services.
        SERVICES = "" ["v1"], "services" "Service" NAMESPACED BUILTIN;
        /// ConfigMaps; read one by one, by name.
        CONFIGMAPS = "" ["v1"], "configmaps" "ConfigMap" NAMESPACED BUILTIN;
        /// Namespaces.
        NAMESPACES = "" ["v1"], "namespaces" "Namespace" CLUSTER BUILTIN;
        /// Events.
        EVENTS = "" ["v1"], "events" "Event" NAMESPACED BUILTIN;
        /// EndpointSlices.
        ENDPOINTSLICES = "discovery.k8s.io" ["v1", "v1beta1"], "endpointslices" "EndpointSlice" NAMESPACED BUILTIN;
        /// DaemonSets.
        DAEMONSETS = "apps" ["v1"], "daemonsets" "DaemonSet" NAMESPACED BUILTIN;
        /// Deployments.
        DEPLOYMENTS = "apps" ["v1"], "deployments" "Deployment" NAMESPACED BUILTIN;
        /// Network policies.
        NETWORKPOLICIES = "networking.k8s.io" ["v1"], "networkpolicies" "NetworkPolicy" NAMESPACED BUILTIN;
        /// Roles of the cluster.
        CLUSTERROLES = "rbac.authorization.k8s.io" ["v1"], "clusterroles" "ClusterRole" CLUSTER BUILTIN;
        /// Who has roles in the whole cluster.
        CLUSTERROLEBINDINGS = "rbac.authorization.k8s.io" ["v1"], "clusterrolebindings" "ClusterRoleBinding" CLUSTER BUILTIN;
        /// Roles of a namespace.
        ROLES = "rbac.authorization.k8s.io" ["v1"], "roles" "Role" NAMESPACED BUILTIN;
        /// Who has roles in a namespace.
        ROLEBINDINGS = "rbac.authorization.k8s.io" ["v1"], "rolebindings" "RoleBinding" NAMESPACED BUILTIN;
        /// Policies of pod security, before 1.25.
        PODSECURITYPOLICIES = "policy" ["v1beta1"], "podsecuritypolicies" "PodSecurityPolicy" CLUSTER CUSTOM;
        /// Service ranges as objects.
        SERVICECIDRS = "networking.k8s.io" ["v1", "v1beta1"], "servicecidrs" "ServiceCIDR" CLUSTER BUILTIN;
        /// One object per allocated ClusterIP.
        IPADDRESSES = "networking.k8s.io" ["v1", "v1beta1"], "ipaddresses" "IPAddress" CLUSTER BUILTIN;
        /// Cluster API clusters (on a management cluster).
        CAPI_CLUSTERS = "cluster.x-k8s.io" ["v1beta2", "v1beta1"], "clusters" "Cluster" NAMESPACED CUSTOM;

        /// Calico pools, storage group.
        CALICO_IPPOOLS_V1 = "crd.projectcalico.org" ["v1"], "ippools" "IPPool" CLUSTER CUSTOM;
        /// Calico blocks, storage group.
        CALICO_IPAMBLOCKS_V1 = "crd.projectcalico.org" ["v1"], "ipamblocks" "IPAMBlock" CLUSTER CUSTOM;
        /// Calico block affinities, storage group.
        CALICO_BLOCKAFFINITIES_V1 = "crd.projectcalico.org" ["v1"], "blockaffinities" "BlockAffinity" CLUSTER CUSTOM;
        /// Calico IPAM settings, storage group.
        CALICO_IPAMCONFIGS_V1 = "crd.projectcalico.org" ["v1"], "ipamconfigs" "IPAMConfig" CLUSTER CUSTOM;
        /// Calico BGP settings, storage group.
        CALICO_BGPCONFIGURATIONS_V1 = "crd.projectcalico.org" ["v1"], "bgpconfigurations" "BGPConfiguration" CLUSTER CUSTOM;
        /// Calico reservations, storage group.
        CALICO_IPRESERVATIONS_V1 = "crd.projectcalico.org" ["v1"], "ipreservations" "IPReservation" CLUSTER CUSTOM;
        /// Calico Felix settings, storage group.
        CALICO_FELIXCONFIGURATIONS_V1 = "crd.projectcalico.org" ["v1"], "felixconfigurations" "FelixConfiguration" CLUSTER CUSTOM;
        /// Calico's version and kind of installation, storage group.
        CALICO_CLUSTERINFORMATIONS_V1 = "crd.projectcalico.org" ["v1"], "clusterinformations" "ClusterInformation" CLUSTER CUSTOM;
        /// Calico's BGP peers, storage group.
        CALICO_BGPPEERS_V1 = "crd.projectcalico.org" ["v1"], "bgppeers" "BGPPeer" CLUSTER CUSTOM;
        /// What Calico's nodes say of themselves on demand, storage group.
        CALICO_NODESTATUSES_V1 = "crd.projectcalico.org" ["v1"], "caliconodestatuses" "CalicoNodeStatus" CLUSTER CUSTOM;
        /// Calico's version and kind of installation, API group.
        CALICO_CLUSTERINFORMATIONS_V3 = "projectcalico.org" ["v3"], "clusterinformations" "ClusterInformation" CLUSTER CUSTOM;
        /// Calico's BGP peers, API group.
        CALICO_BGPPEERS_V3 = "projectcalico.org" ["v3"], "bgppeers" "BGPPeer" CLUSTER CUSTOM;
        /// What Calico's nodes say of themselves on demand, API group.
        CALICO_NODESTATUSES_V3 = "projectcalico.org" ["v3"], "caliconodestatuses" "CalicoNodeStatus" CLUSTER CUSTOM;
        /// Calico pools, API group.
        CALICO_IPPOOLS_V3 = "projectcalico.org" ["v3"], "ippools" "IPPool" CLUSTER CUSTOM;
        /// Calico blocks, API group.
        CALICO_IPAMBLOCKS_V3 = "projectcalico.org" ["v3"], "ipamblocks" "IPAMBlock" CLUSTER CUSTOM;
        /// Calico block affinities, API group.
        CALICO_BLOCKAFFINITIES_V3 = "projectcalico.org" ["v3"], "blockaffinities" "BlockAffinity" CLUSTER CUSTOM;
        /// Calico IPAM settings, API group.
        CALICO_IPAMCONFIGURATIONS_V3 = "projectcalico.org" ["v3"], "ipamconfigurations" "IPAMConfiguration" CLUSTER CUSTOM;
        /// Calico BGP settings, API group.
        CALICO_BGPCONFIGURATIONS_V3 = "projectcalico.org" ["v3"], "bgpconfigurations" "BGPConfiguration" CLUSTER CUSTOM;
        /// Calico reservations, API group.
        CALICO_IPRESERVATIONS_V3 = "projectcalico.org" ["v3"], "ipreservations" "IPReservation" CLUSTER CUSTOM;
        /// Calico Felix settings, API group.
        CALICO_FELIXCONFIGURATIONS_V3 = "projectcalico.org" ["v3"], "felixconfigurations" "FelixConfiguration" CLUSTER CUSTOM;
        /// Calico's policies of a namespace, storage group.
        CALICO_NETWORKPOLICIES_V1 = "crd.projectcalico.org" ["v1"], "networkpolicies" "NetworkPolicy" NAMESPACED CUSTOM;
        /// Calico's policies of the whole cluster, storage group.
        CALICO_GLOBALNETWORKPOLICIES_V1 = "crd.projectcalico.org" ["v1"], "globalnetworkpolicies" "GlobalNetworkPolicy" CLUSTER CUSTOM;
        /// Calico's policies of a namespace, API group.
        CALICO_NETWORKPOLICIES_V3 = "projectcalico.org" ["v3"], "networkpolicies" "NetworkPolicy" NAMESPACED CUSTOM;
        /// Calico's policies of the whole cluster, API group.
        CALICO_GLOBALNETWORKPOLICIES_V3 = "projectcalico.org" ["v3"], "globalnetworkpolicies" "GlobalNetworkPolicy" CLUSTER CUSTOM;
        /// The Tigera operator's installation.
        TIGERA_INSTALLATIONS = "operator.tigera.io" ["v1"], "installations" "Installation" CLUSTER CUSTOM;

        /// Cilium's node objects.
        CILIUM_NODES = "cilium.io" ["v2"], "ciliumnodes" "CiliumNode" CLUSTER CUSTOM;
        /// Cilium's pod pools.
        CILIUM_PODIPPOOLS = "cilium.io" ["v2alpha1", "v2"], "ciliumpodippools" "CiliumPodIPPool" CLUSTER CUSTOM;
        /// Cilium's load-balancer pools.
        CILIUM_LBIPPOOLS = "cilium.io" ["v2", "v2alpha1"], "ciliumloadbalancerippools" "CiliumLoadBalancerIPPool" CLUSTER CUSTOM;

        /// Antrea's pools.
        ANTREA_IPPOOLS = "crd.antrea.io" ["v1beta1", "v1alpha2"], "ippools" "IPPool" CLUSTER CUSTOM;
        /// Antrea's external pools.
        ANTREA_EXTERNALIPPOOLS = "crd.antrea.io" ["v1beta1", "v1alpha2"], "externalippools" "ExternalIPPool" CLUSTER CUSTOM;
        /// Kube-OVN subnets.
        KUBEOVN_SUBNETS = "kubeovn.io" ["v1"], "subnets" "Subnet" CLUSTER CUSTOM;
        /// OVN-Kubernetes tenant networks of a namespace.
        OVN_USERDEFINEDNETWORKS = "k8s.ovn.org" ["v1"], "userdefinednetworks" "UserDefinedNetwork" NAMESPACED CUSTOM;
        /// OVN-Kubernetes tenant networks of the cluster.
        OVN_CLUSTERUSERDEFINEDNETWORKS = "k8s.ovn.org" ["v1"], "clusteruserdefinednetworks" "ClusterUserDefinedNetwork" CLUSTER CUSTOM;
        /// OpenShift's network configuration.
        OPENSHIFT_CONFIG_NETWORKS = "config.openshift.io" ["v1"], "networks" "Network" CLUSTER CUSTOM;
        /// OpenShift's network operator settings.
        OPENSHIFT_OPERATOR_NETWORKS = "operator.openshift.io" ["v1"], "networks" "Network" CLUSTER CUSTOM;

        /// MetalLB pools.
        METALLB_IPADDRESSPOOLS = "metallb.io" ["v1beta1"], "ipaddresspools" "IPAddressPool" NAMESPACED CUSTOM;
        /// MetalLB's announcements by ARP and neighbour discovery.
        METALLB_L2ADVERTISEMENTS = "metallb.io" ["v1beta1"], "l2advertisements" "L2Advertisement" NAMESPACED CUSTOM;
        /// MetalLB's announcements by BGP.
        METALLB_BGPADVERTISEMENTS = "metallb.io" ["v1beta1"], "bgpadvertisements" "BGPAdvertisement" NAMESPACED CUSTOM;
        /// Secondary networks.
        NETWORKATTACHMENTDEFINITIONS = "k8s.cni.cncf.io" ["v1"], "network-attachment-definitions" "NetworkAttachmentDefinition" NAMESPACED CUSTOM;
        /// Whereabouts pools.
        WHEREABOUTS_IPPOOLS = "whereabouts.cni.cncf.io" ["v1alpha1"], "ippools" "IPPool" NAMESPACED CUSTOM;
        /// AWS per-zone network settings.
        AWS_ENICONFIGS = "crd.k8s.amazonaws.com" ["v1alpha1"], "eniconfigs" "ENIConfig" CLUSTER CUSTOM;
        /// Azure per-node network configuration.
        AZURE_NODENETWORKCONFIGS = "acn.azure.com" ["v1alpha"], "nodenetworkconfigs" "NodeNetworkConfig" NAMESPACED CUSTOM;
        /// Azure subnet exhaustion.
        AZURE_CLUSTERSUBNETSTATES = "acn.azure.com" ["v1alpha1"], "clustersubnetstates" "ClusterSubnetState" NAMESPACED CUSTOM;
    }
}
