//! Lean structs for the kinds that a cluster has many of. Each declares only the fields that a
//! report uses, once for both encodings: the tags are those of Kubernetes' `generated.proto`, the
//! names those of its JSON. Whatever else an object holds is skipped without being kept.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// A kind that is decoded from both encodings into the same struct.
pub trait Lean: prost::Message + Default + DeserializeOwned {}

macro_rules! lean {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $ty:ty = $kind:tt $([$($serde:tt)*])?;)* })*) => {
        $($(#[$doc])*
        #[derive(Clone, PartialEq, prost::Message, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name { $($(#[$field_doc])* #[prost $kind] $(#[serde($($serde)*)])? pub $field: $ty,)* })*
    };
}

lean! {
    /// `metadata`.
    ObjectMeta {
        /// Name.
        name: String = (string, tag = "1") [deserialize_with = "nullable"];
        /// Namespace; empty for cluster-scoped kinds.
        namespace: String = (string, tag = "3") [deserialize_with = "nullable"];
        /// Uid.
        uid: String = (string, tag = "5") [deserialize_with = "nullable"];
        /// When deletion was asked for; present or not is all that is used.
        deletion_timestamp: Option<Time> = (message, optional, tag = "9");
        /// Labels.
        labels: HashMap<String, String> = (map = "string, string", tag = "11") [deserialize_with = "nullable"];
        /// Annotations.
        annotations: HashMap<String, String> = (map = "string, string", tag = "12") [deserialize_with = "nullable"];
    }

    /// A node.
    Node {
        /// Metadata.
        metadata: Option<ObjectMeta> = (message, optional, tag = "1");
        /// Spec.
        spec: Option<NodeSpec> = (message, optional, tag = "2");
        /// Status.
        status: Option<NodeStatus> = (message, optional, tag = "3");
    }

    /// A node's spec.
    NodeSpec {
        /// The first pod range.
        pod_cidr: String = (string, tag = "1") [rename = "podCIDR", deserialize_with = "nullable"];
        /// The cloud's name for the machine.
        provider_id: String = (string, tag = "3") [rename = "providerID", deserialize_with = "nullable"];
        /// All pod ranges, one per family.
        pod_cidrs: Vec<String> = (string, repeated, tag = "7") [rename = "podCIDRs", deserialize_with = "nullable"];
    }

    /// A node's status.
    NodeStatus {
        /// Capacity; `pods` is maxPods.
        capacity: HashMap<String, Quantity> = (map = "string, message", tag = "1") [deserialize_with = "nullable"];
        /// Allocatable.
        allocatable: HashMap<String, Quantity> = (map = "string, message", tag = "2") [deserialize_with = "nullable"];
        /// Conditions.
        conditions: Vec<NodeCondition> = (message, repeated, tag = "4") [deserialize_with = "nullable"];
        /// Addresses.
        addresses: Vec<NodeAddress> = (message, repeated, tag = "5") [deserialize_with = "nullable"];
        /// Versions.
        node_info: Option<NodeInfo> = (message, optional, tag = "7");
    }

    /// A node's condition.
    NodeCondition {
        /// `Ready`, `NetworkUnavailable`, …
        r#type: String = (string, tag = "1") [rename = "type", deserialize_with = "nullable"];
        /// `True`, `False`, `Unknown`.
        status: String = (string, tag = "2") [deserialize_with = "nullable"];
        /// A word.
        reason: String = (string, tag = "5") [deserialize_with = "nullable"];
        /// A sentence.
        message: String = (string, tag = "6") [deserialize_with = "nullable"];
    }

    /// One address of a node.
    NodeAddress {
        /// `InternalIP`, `ExternalIP`, `Hostname`, …
        r#type: String = (string, tag = "1") [rename = "type", deserialize_with = "nullable"];
        /// The address or name.
        address: String = (string, tag = "2") [deserialize_with = "nullable"];
    }

    /// What runs on a node.
    NodeInfo {
        /// The machine's `/etc/machine-id`.
        machine_id: String = (string, tag = "1") [rename = "machineID", deserialize_with = "nullable"];
        /// The kernel's `boot_id`: another one after each start.
        boot_id: String = (string, tag = "3") [rename = "bootID", deserialize_with = "nullable"];
        /// Kernel release.
        kernel_version: String = (string, tag = "4") [deserialize_with = "nullable"];
        /// Operating system image.
        os_image: String = (string, tag = "5") [deserialize_with = "nullable"];
        /// `containerd://1.7.2`.
        container_runtime_version: String = (string, tag = "6") [deserialize_with = "nullable"];
        /// `v1.36.3`.
        kubelet_version: String = (string, tag = "7") [deserialize_with = "nullable"];
        /// `linux`, `windows`.
        operating_system: String = (string, tag = "9") [deserialize_with = "nullable"];
    }

    /// A pod.
    Pod {
        /// Metadata.
        metadata: Option<ObjectMeta> = (message, optional, tag = "1");
        /// Spec.
        spec: Option<PodSpec> = (message, optional, tag = "2");
        /// Status.
        status: Option<PodStatus> = (message, optional, tag = "3");
    }

    /// A pod's spec.
    PodSpec {
        /// Whose rights it has; empty before the server has filled it in.
        service_account_name: String = (string, tag = "8") [deserialize_with = "nullable"];
        /// The node that it is bound to.
        node_name: String = (string, tag = "10") [deserialize_with = "nullable"];
        /// Whether it has the node's own addresses.
        host_network: bool = (bool, tag = "11") [deserialize_with = "nullable"];
    }

    /// A pod's status.
    PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
        phase: String = (string, tag = "1") [deserialize_with = "nullable"];
        /// The first address.
        pod_ip: String = (string, tag = "6") [rename = "podIP", deserialize_with = "nullable"];
        /// All addresses, one per family.
        pod_ips: Vec<PodIp> = (message, repeated, tag = "12") [rename = "podIPs", deserialize_with = "nullable"];
    }

    /// One address of a pod.
    PodIp {
        /// The address.
        ip: String = (string, tag = "1") [deserialize_with = "nullable"];
    }

    /// A Service.
    Service {
        /// Metadata.
        metadata: Option<ObjectMeta> = (message, optional, tag = "1");
        /// Spec.
        spec: Option<ServiceSpec> = (message, optional, tag = "2");
        /// Status.
        status: Option<ServiceStatus> = (message, optional, tag = "3");
    }

    /// A Service's spec.
    ServiceSpec {
        /// The first ClusterIP; `None` for headless, empty for ExternalName.
        cluster_ip: String = (string, tag = "3") [rename = "clusterIP", deserialize_with = "nullable"];
        /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
        r#type: String = (string, tag = "4") [rename = "type", deserialize_with = "nullable"];
        /// Ports.
        ports: Vec<ServicePort> = (message, repeated, tag = "1") [deserialize_with = "nullable"];
        /// `None`, `ClientIP`.
        session_affinity: String = (string, tag = "7") [deserialize_with = "nullable"];
        /// `Cluster`, `Local`.
        external_traffic_policy: String = (string, tag = "11") [deserialize_with = "nullable"];
        /// Addresses that somebody routes to the nodes.
        external_ips: Vec<String> = (string, repeated, tag = "5") [rename = "externalIPs", deserialize_with = "nullable"];
        /// The load balancer's address that was asked for.
        load_balancer_ip: String = (string, tag = "8") [rename = "loadBalancerIP", deserialize_with = "nullable"];
        /// Client ranges that may use the load balancer.
        load_balancer_source_ranges: Vec<String> = (string, repeated, tag = "9") [deserialize_with = "nullable"];
        /// All ClusterIPs, one per family.
        cluster_ips: Vec<String> = (string, repeated, tag = "18") [rename = "clusterIPs", deserialize_with = "nullable"];
        /// The nodes' port that says whether the node has endpoints; 0 for none.
        health_check_node_port: i32 = (int32, tag = "12") [deserialize_with = "nullable"];
        /// How long a client keeps its endpoint.
        session_affinity_config: Option<SessionAffinityConfig> = (message, optional, tag = "14");
        /// `Cluster`, `Local`; empty for `Cluster`.
        internal_traffic_policy: String = (string, tag = "22") [deserialize_with = "nullable"];
    }

    /// Settings of session affinity.
    SessionAffinityConfig {
        /// By the client's address.
        client_ip: Option<ClientIpConfig> = (message, optional, tag = "1") [rename = "clientIP"];
    }

    /// Settings of affinity by the client's address.
    ClientIpConfig {
        /// Seconds that a client keeps its endpoint; none is 10800.
        timeout_seconds: Option<i32> = (int32, optional, tag = "1");
    }

    /// One port of a Service.
    ServicePort {
        /// Its name; empty for the only one.
        name: String = (string, tag = "1") [deserialize_with = "nullable"];
        /// `TCP`, `UDP`, `SCTP`; empty for TCP.
        protocol: String = (string, tag = "2") [deserialize_with = "nullable"];
        /// The port.
        port: i32 = (int32, tag = "3") [deserialize_with = "nullable"];
        /// The nodes' port; 0 for none.
        node_port: i32 = (int32, tag = "5") [deserialize_with = "nullable"];
    }

    /// A Service's status.
    ServiceStatus {
        /// The load balancer's.
        load_balancer: Option<LoadBalancerStatus> = (message, optional, tag = "1");
    }

    /// A load balancer's status.
    LoadBalancerStatus {
        /// Its addresses.
        ingress: Vec<LoadBalancerIngress> = (message, repeated, tag = "1") [deserialize_with = "nullable"];
    }

    /// One address of a load balancer.
    LoadBalancerIngress {
        /// The address; empty where it has a name only.
        ip: String = (string, tag = "1") [deserialize_with = "nullable"];
        /// `VIP`, `Proxy`; empty for `VIP`.
        ip_mode: String = (string, tag = "3") [deserialize_with = "nullable"];
    }

    /// Endpoints of a Service.
    EndpointSlice {
        /// Metadata; the label `kubernetes.io/service-name` has the Service.
        metadata: Option<ObjectMeta> = (message, optional, tag = "1");
        /// The endpoints.
        endpoints: Vec<SliceEndpoint> = (message, repeated, tag = "2") [deserialize_with = "nullable"];
        /// The ports that each of them has.
        ports: Vec<SlicePort> = (message, repeated, tag = "3") [deserialize_with = "nullable"];
        /// `IPv4`, `IPv6`, `FQDN`.
        address_type: String = (string, tag = "4") [deserialize_with = "nullable"];
    }

    /// An endpoint.
    SliceEndpoint {
        /// Its addresses; only the first counts.
        addresses: Vec<String> = (string, repeated, tag = "1") [deserialize_with = "nullable"];
        /// Its conditions.
        conditions: Option<SliceConditions> = (message, optional, tag = "2");
        /// What it is: mostly a pod.
        target_ref: Option<TargetRef> = (message, optional, tag = "4");
        /// The node that it is on; empty where it is on none.
        node_name: String = (string, tag = "6") [deserialize_with = "nullable"];
        /// Who is to use it.
        hints: Option<SliceHints> = (message, optional, tag = "8");
    }

    /// The conditions of an endpoint. What is not said differs: see each.
    SliceConditions {
        /// It takes connections; none is yes.
        ready: Option<bool> = (bool, optional, tag = "1");
        /// It would, were it not ending; none is as ready.
        serving: Option<bool> = (bool, optional, tag = "2");
        /// It is ending; none is no.
        terminating: Option<bool> = (bool, optional, tag = "3");
    }

    /// The object that an endpoint is.
    TargetRef {
        /// `Pod`.
        kind: String = (string, tag = "1") [deserialize_with = "nullable"];
        /// Namespace.
        namespace: String = (string, tag = "2") [deserialize_with = "nullable"];
        /// Name.
        name: String = (string, tag = "3") [deserialize_with = "nullable"];
    }

    /// Who is to use an endpoint.
    SliceHints {
        /// Zones.
        for_zones: Vec<HintName> = (message, repeated, tag = "1") [deserialize_with = "nullable"];
        /// Nodes.
        for_nodes: Vec<HintName> = (message, repeated, tag = "2") [deserialize_with = "nullable"];
    }

    /// A zone or a node by name.
    HintName {
        /// The name.
        name: String = (string, tag = "1") [deserialize_with = "nullable"];
    }

    /// A port of endpoints.
    SlicePort {
        /// Its name; empty for the only one.
        name: String = (string, tag = "1") [deserialize_with = "nullable"];
        /// `TCP`, `UDP`, `SCTP`; empty for TCP.
        protocol: String = (string, tag = "2") [deserialize_with = "nullable"];
        /// The port; none is every port.
        port: Option<i32> = (int32, optional, tag = "3");
    }

    /// An allocated ClusterIP; its name is the address.
    IpAddress {
        /// Metadata.
        metadata: Option<ObjectMeta> = (message, optional, tag = "1");
        /// Spec.
        spec: Option<IpAddressSpec> = (message, optional, tag = "2");
    }

    /// An allocation's spec.
    IpAddressSpec {
        /// Who has it.
        parent_ref: Option<ParentRef> = (message, optional, tag = "1");
    }

    /// The owner of an allocation.
    ParentRef {
        /// Plural: `services`.
        resource: String = (string, tag = "2") [deserialize_with = "nullable"];
        /// Namespace.
        namespace: String = (string, tag = "3") [deserialize_with = "nullable"];
        /// Name.
        name: String = (string, tag = "4") [deserialize_with = "nullable"];
    }
}

impl Lean for Node {}
impl Lean for Pod {}
impl Lean for Service {}
impl Lean for EndpointSlice {}
impl Lean for IpAddress {}

/// A point in time, seconds since 1970; in JSON only its presence is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Time {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self::default())
    }
}

/// An amount: `110`, `16Gi`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Quantity {
    /// As written.
    #[prost(string, tag = "1")]
    pub text: String,
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Ok(Self { text })
    }
}

/// `null` is an empty list or map.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
