//! The sources, one file each. To add one: a file with a unit struct that implements
//! [`Source`](super::Source), its facts as a field of [`Known`] if it knows more than ranges, and a
//! line in [`ALL`].

mod antrea;
mod aws;
mod azure;
pub mod calico;
mod certificate;
pub mod cilium;
mod cluster_api;
mod control_plane;
mod copies;
mod coredns;
mod distribution;
mod environment;
mod events;
mod fields;
mod flagz;
mod flannel;
mod gke;
mod identity;
mod inference;
mod ip_addresses;
mod ipam;
pub mod kept;
mod kernel;
mod kube_ovn;
mod kube_proxy;
mod kube_router;
mod kube_vip;
mod kubeadm;
mod kubelet;
mod masquerade;
mod metallb;
mod metrics;
mod multus;
mod node_args;
mod nodes;
pub(crate) mod object;
mod openshift;
mod ovn_kubernetes;
mod pods;
mod routes;
mod service_cidrs;
mod services;
pub(crate) mod workload;

pub use calico::Calico;
pub use cilium::Cilium;
use std::collections::{BTreeMap, BTreeSet};

pub use certificate::ServingCertificate;
pub use cluster_api::CapiCluster;
pub use control_plane::{Component, Member};
pub use copies::{FullSubnet, InternalNetwork, MasqueradeList, NodePrefix, ServiceCopy};
pub use events::{Event, REASONS};
pub use flannel::{FlannelConf, NodeSubnetEnv};
pub use ipam::Ipam;
pub use kernel::KernelServices;
pub use kube_ovn::KubeOvnSubnet;
pub use kube_proxy::{KubeProxy, KubeProxyWorkload};
pub use kubeadm::Kubeadm;
pub use kubelet::Kubelet;
pub use metallb::{Announcements, PoolNames};
pub use metrics::Allocator;
pub use object::{Argument, Arguments, FILE_ANNOTATION};
pub use routes::NodeNetwork;
pub use service_cidrs::ServiceCidr;

use super::{Origin, Source};
use crate::cidr::Cidr;
pub use crate::probe::UNNAMED;

/// What the sources know beside ranges.
#[derive(Debug, Default)]
pub struct Known {
    /// Who gives pods their addresses, and who says so; read through [`Known::ipam`].
    pub ipams: Vec<(Ipam, Origin)>,
    /// The uid of namespace `kube-system`, which names the cluster.
    pub cluster_uid: Option<String>,
    /// `ServiceCIDR` objects.
    pub service_cidrs: Vec<ServiceCidr>,
    /// The service ranges in the API server's own flags.
    pub flagz_service_range: Option<Vec<Cidr>>,
    /// The API server's ClusterIP allocators by range.
    pub allocators: BTreeMap<Cidr, Allocator>,
    /// Control-plane components that run as pods.
    pub control_plane: Vec<Member>,
    /// kubeadm's record.
    pub kubeadm: Vec<Kubeadm>,
    /// Kubelets by node.
    pub kubelets: BTreeMap<String, Kubelet>,
    /// Clusters of Cluster API.
    pub capi_clusters: Vec<CapiCluster>,
    /// How many nodes the cluster is planned to have; set by whoever asks.
    pub max_nodes: Option<u64>,
    /// Events about ranges.
    pub events: Vec<Event>,
    /// The API server's serving certificate.
    pub certificate: Option<ServingCertificate>,
    /// Every place that configures kube-proxy.
    pub kube_proxies: Vec<KubeProxy>,
    /// DaemonSets and pods that run kube-proxy.
    pub kube_proxy_workloads: Vec<KubeProxyWorkload>,
    /// ConfigMaps that flannel's DaemonSets mount: namespace and name.
    pub flannel_maps: Vec<(String, String)>,
    /// flannel's configuration.
    pub flannel_confs: Vec<FlannelConf>,
    /// flannel's `subnet.env` by node; [`UNNAMED`] for a file that names none.
    pub subnet_envs: BTreeMap<String, NodeSubnetEnv>,
    /// Routes and interfaces by node; [`UNNAMED`] for files that name none.
    pub networks: BTreeMap<String, NodeNetwork>,
    /// Services' addresses in the nodes' kernels.
    pub kernel_services: KernelServices,
    /// Calico's pools, blocks and settings.
    pub calico: Calico,
    /// Cilium's settings, nodes and pools.
    pub cilium: Cilium,
    /// Signs of single network plugins and load balancers, by the source's name.
    pub signs: BTreeMap<&'static str, String>,
    /// ConfigMaps (namespace, name) that a source found in a workload's volumes, by its name.
    pub config_maps: BTreeMap<&'static str, BTreeSet<(String, String)>>,
    /// Ranges that network plugins keep for themselves.
    pub internal_networks: Vec<InternalNetwork>,
    /// Networks of the nodes' own addresses that are already stated.
    pub node_networks: BTreeSet<Cidr>,
    /// Per-node prefix lengths that stand beside a pod range.
    pub node_prefixes: Vec<NodePrefix>,
    /// Components' own copies of the service range.
    pub service_copies: Vec<ServiceCopy>,
    /// Destinations that are not masqueraded.
    pub masquerade_lists: Vec<MasqueradeList>,
    /// Kube-OVN's subnets.
    pub kube_ovn_subnets: Vec<KubeOvnSubnet>,
    /// How MetalLB announces its pools.
    pub metallb: Announcements,
    /// Azure subnets that are already stated.
    pub azure_subnets: BTreeSet<Cidr>,
    /// Cloud subnets without a free address.
    pub full_subnets: Vec<FullSubnet>,
}

impl Known {
    /// Notes what shows that the cluster has what source `name` is about; the first sign is kept.
    pub(crate) fn sign(&mut self, name: &'static str, why: &str) {
        if !self.signs.contains_key(name) {
            self.signs.insert(name, why.to_owned());
        }
    }

    /// What shows that the cluster has what source `name` is about.
    pub(crate) fn sign_of(&self, name: &str) -> Option<String> {
        self.signs.get(name).cloned()
    }

    /// Lets source `name` read the ConfigMaps that a workload mounts.
    fn follow(&mut self, name: &'static str, workload: &workload::Workload<'_>) {
        let maps = workload.config_maps().into_iter();
        let maps = maps.map(|map| (workload.namespace().to_owned(), map.to_owned()));
        self.config_maps.entry(name).or_default().extend(maps);
    }
}

/// Every source, in the order in which their facts are shown.
pub static ALL: &[&dyn Source] = &[
    &service_cidrs::ServiceCidrs,
    &ip_addresses::IpAddresses,
    &flagz::Flagz,
    &metrics::Metrics,
    &control_plane::ControlPlane,
    &kubeadm::KubeadmConfig,
    &nodes::Nodes,
    &pods::Pods,
    &services::Services,
    &kube_proxy::KubeProxySource,
    &flannel::Flannel,
    &routes::Routes,
    &kernel::Kernel,
    &kubelet::Kubelets,
    &node_args::NodeArgs,
    &cluster_api::ClusterApi,
    &events::Events,
    &certificate::Certificate,
    &identity::Identity,
    &distribution::Distribution,
    &calico::CalicoConfig,
    &calico::IpPools,
    &calico::CalicoIpam,
    &calico::BgpConfigurations,
    &calico::FelixConfigurations,
    &calico::Installations,
    &calico::CalicoNode,
    &cilium::CiliumConfig,
    &cilium::CiliumNodes,
    &cilium::CiliumPools,
    &antrea::Antrea,
    &kube_ovn::KubeOvn,
    &ovn_kubernetes::OvnKubernetes,
    &openshift::OpenShift,
    &kube_router::KubeRouter,
    &environment::Weave,
    &environment::Kindnet,
    &aws::Aws,
    &azure::Azure,
    &gke::Gke,
    &metallb::MetalLb,
    &kube_vip::KubeVip,
    &multus::Multus,
    &multus::Whereabouts,
    &masquerade::Masquerade,
    &coredns::CoreDns,
    &inference::Inference,
];

#[cfg(test)]
mod plugin_tests;
