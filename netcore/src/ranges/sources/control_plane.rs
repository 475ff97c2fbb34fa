//! The flags of control-plane components that run as pods: kubeadm, kubespray, RKE2, Talos.

use serde_json::Value;

use super::object::{self, Argument, Arguments};
use crate::{
    cluster::{ReadStatus, resources},
    ranges::{Confidence, Facts, Given, Origin, Role, Source, Want},
    text::scalar,
};

/// A component of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
}

impl Component {
    const ALL: [Self; 3] = [Self::ApiServer, Self::ControllerManager, Self::Scheduler];

    /// The program's name.
    pub const fn program(self) -> &'static str {
        match self {
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }
}

/// One running member of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it is.
    pub component: Component,
    /// `pod kube-system/kube-apiserver-node1`.
    pub object: String,
    /// Its node.
    pub node: String,
    /// Its flags.
    pub arguments: Arguments,
}

impl Member {
    /// A flag's value; nothing where it is not given or empty.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).map(|argument| argument.value.as_str()).filter(|value| !value.is_empty())
    }

    /// Where a flag stands.
    pub fn origin(&self, name: &str) -> Origin {
        let place = self.arguments.get(name).map_or("spec.containers", |argument| argument.field.as_str());
        Origin::new(NAME, Confidence::B, self.object.as_str(), format!("{place}: --{name}"))
    }

    /// Whether this controller manager gives nodes their ranges; off unless said.
    pub fn allocates_node_cidrs(&self) -> bool {
        self.component == Component::ControllerManager && self.flag("allocate-node-cidrs") == Some("true")
    }
}

/// Static pods of the control plane.
pub(super) struct ControlPlane;

const NAME: &str = "control-plane-flags";
const NAMESPACE: &str = "kube-system";
const TIER: &str = "tier=control-plane";
/// For those that do not label the tier.
const OTHERS: [&str; 4] = [
    "component=kube-apiserver",
    "component=kube-controller-manager",
    "k8s-app=kube-apiserver",
    "k8s-app=kube-controller-manager",
];

impl Source for ControlPlane {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        let tier = Want::labelled(&resources::PODS, NAMESPACE, TIER);
        let none = facts.reads.get(&tier) == Some(&ReadStatus::Complete) && facts.known.control_plane.is_empty();
        let others = OTHERS.iter().filter(|_| none).map(|l| Want::labelled(&resources::PODS, NAMESPACE, *l));
        others.chain([tier.clone()]).collect()
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Object(resource, pod) = given else { return };
        if resource == &resources::PODS {
            take_pod(pod, facts);
        }
    }

    fn finish(&self, facts: &mut Facts) {
        facts.known.control_plane.sort_by(|a, b| (a.component, &a.object).cmp(&(b.component, &b.object)));
        for member in facts.known.control_plane.clone() {
            add_ranges(&member, facts);
        }
    }
}

fn take_pod(pod: &Value, facts: &mut Facts) {
    let phase = scalar(pod.pointer("/status/phase"));
    if matches!(phase.as_str(), "Succeeded" | "Failed") {
        return;
    }
    let title = object::title(&resources::PODS, pod);
    for (path, container) in object::containers(pod) {
        let Some(component) = Component::ALL.into_iter().find(|c| object::runs(container, c.program())) else {
            continue;
        };
        let known = &facts.known.control_plane;
        if known.iter().any(|member| member.component == component && member.object == title) {
            continue;
        }
        facts.known.control_plane.push(Member {
            component,
            object: title.clone(),
            node: scalar(pod.pointer("/spec/nodeName")),
            arguments: object::container_arguments(&path, container),
        });
    }
}

fn add_ranges(member: &Member, facts: &mut Facts) {
    let mut add = |role: Role, name: &str| {
        if let Some(Argument { value, .. }) = member.arguments.get(name) {
            facts.add_ranges(role, value, &member.origin(name));
        }
    };
    match member.component {
        Component::ApiServer => add(Role::Service, "service-cluster-ip-range"),
        Component::ControllerManager => {
            add(Role::Service, "service-cluster-ip-range");
            // where it gives nodes no ranges, the flag says nothing about pods
            if member.allocates_node_cidrs() {
                add(Role::Pod, "cluster-cidr");
            }
        }
        Component::Scheduler => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(pods: &[Value]) -> Facts {
        let mut facts = Facts::default();
        for pod in pods {
            ControlPlane.take(Given::Object(&resources::PODS, pod), &mut facts);
        }
        ControlPlane.finish(&mut facts);
        facts
    }

    fn pod(name: &str, part: &str, words: &Value) -> Value {
        let mut container = json!({"name": "main"});
        container[part] = words.clone();
        json!({"metadata": {"name": name, "namespace": "kube-system"}, "spec": {"nodeName": "n1", "containers": [container]}})
    }

    #[test]
    fn every_member_is_read_in_every_spelling() {
        let facts = read(&[
            pod("kube-apiserver-a", "command", &json!(["kube-apiserver", "--service-cluster-ip-range=10.96.0.0/12"])),
            pod("kube-apiserver-b", "args", &json!(["kube-apiserver", "--service-cluster-ip-range", "10.97.0.0/16"])),
        ]);
        let texts: Vec<&str> = facts.ranges.iter().map(|r| r.text.as_str()).collect();
        assert_eq!(texts, ["10.96.0.0/12", "10.97.0.0/16"]);
        assert_eq!(
            facts.ranges[0].origin.to_string(),
            "pod kube-system/kube-apiserver-a spec.containers[0].command[1]: --service-cluster-ip-range"
        );
    }

    #[test]
    fn a_cluster_range_that_is_not_given_out_is_no_pod_range() {
        let words = |allocate: &str| json!(["kube-controller-manager", "--cluster-cidr=10.244.0.0/16", allocate]);
        assert_eq!(read(&[pod("kcm", "command", &words("--allocate-node-cidrs=true"))]).ranges.len(), 1);
        assert_eq!(read(&[pod("kcm", "command", &words("--allocate-node-cidrs=false"))]).ranges.len(), 0);
        assert_eq!(read(&[pod("kcm", "command", &words("--v=2"))]).ranges.len(), 0);
    }

    #[test]
    fn other_labels_are_asked_for_only_when_the_tier_is_empty() {
        let mut facts = Facts::default();
        assert_eq!(ControlPlane.wants(&facts).len(), 1);
        facts.reads.insert(Want::labelled(&resources::PODS, NAMESPACE, TIER), ReadStatus::Complete);
        assert_eq!(ControlPlane.wants(&facts).len(), 5);
    }
}
