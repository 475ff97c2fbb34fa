//! More room for pods: a wider range, or other node ranges out of it.

use super::{
    calico::{self, around, check_pool, create_pool, model_pool, of_family, pool_name},
    model::{By, Risk, Step},
    refuse::{Change, Reasons},
    service::{kubeadm_record, list},
};
use crate::{
    cidr::{Cidr, Family, capacity::node_slots},
    ranges::{
        Facts, RangeFact, Role,
        capacity::{ClusterRange, cluster_ranges, slots},
        checks::common::service_ranges,
        sources::{Component, Ipam},
    },
};

/// How much longer than its range a node mask may be: the controller manager refuses more.
const DEEPEST: u8 = 16;

pub(super) fn grow(facts: &Facts, new: Cidr, reasons: &mut Reasons) -> Vec<Step> {
    let subject = new.to_string();
    match facts.known.ipam() {
        Some(Ipam::NodeIpam | Ipam::CiliumKubernetes) => grow_nodes(facts, new, reasons),
        Some(Ipam::Calico) => {
            let Some(like) = model_pool(facts, new.family()) else {
                reasons.not_there(&subject, format!("no Calico pool of {} serves pods", new.family()), Vec::new());
                return Vec::new();
            };
            if let Some(pool) =
                facts.known.calico.pools.values().find(|pool| pool.cidr.overlaps(&new) && pool.cidr != new)
            {
                let message = format!(
                    "{new} overlaps the pool {} ({}): Calico's pools cannot grow; name a range beside it, or move the pods \
                     by --pod-move",
                    pool.name, pool.cidr
                );
                reasons.not_there(&subject, message, Vec::new());
                return Vec::new();
            }
            check_pool(facts, like, new, like.block_size, &[], reasons);
            let mut steps = around(facts, new, reasons);
            steps.push(create_pool(facts, like, new, like.block_size, &pool_name(new), ""));
            steps
        }
        Some(Ipam::CiliumClusterPool) => grow_cilium(facts, new, reasons),
        Some(ipam) => {
            let evidence = facts.known.ipams.iter().map(|(_, origin)| origin.to_string()).collect();
            let message = format!(
                "pods get addresses from {ipam}: its range is changed where it is configured, not by this plan"
            );
            reasons.plugin(&subject, message, evidence);
            Vec::new()
        }
        None => {
            let said = facts.known.ipams.iter().map(|(ipam, origin)| format!("{origin}: {ipam}")).collect();
            reasons.unknown(&subject, "who gives the pods their addresses is not known, or the sources disagree", said);
            Vec::new()
        }
    }
}

/// The controller manager's range becomes a wider one.
fn grow_nodes(facts: &Facts, new: Cidr, reasons: &mut Reasons) -> Vec<Step> {
    let subject = new.to_string();
    reasons.supported(facts, Change::PodFlags);
    let Some(range) = range_of(facts, new.family(), &subject, reasons) else { return Vec::new() };
    stays_inside(facts, new, reasons);
    if !new.contains(&range.cidr) {
        let message = format!(
            "{new} does not hold the present range {}: only a wider one keeps the nodes that there are",
            range.cidr
        );
        reasons.not_there(&subject, message, vec![range.evidence.clone()]);
    }
    if range.node_mask.saturating_sub(new.prefix_len()) > DEEPEST {
        let message = format!(
            "node ranges of /{} are more than {DEEPEST} bits longer than {new}: kube-controller-manager would not start",
            range.node_mask
        );
        reasons.crash(&subject, message, vec![range.evidence.clone()]);
    }
    let own = |fact: &RangeFact| fact.role == Role::Pod && new.contains(&fact.cidr);
    let left_out = |fact: &RangeFact| fact.role == Role::Service && range.left_out.contains(&fact.cidr);
    reasons.overlaps(facts, new, |fact| own(fact) || left_out(fact));

    let mut steps = Vec::new();
    steps.extend(flannel(facts, new));
    steps.extend(manager(facts, "cluster-cidr", &value_with(facts, new), "cluster-cidr"));
    steps.extend(around(facts, new, reasons));
    steps.extend(kubeadm_record(facts, "podSubnet", &value_with(facts, new)));
    steps.extend(restart_flannel(facts, new));
    steps
}

/// flannel takes routes and its SNAT rules from its own network.
fn flannel(facts: &Facts, new: Cidr) -> Option<Step> {
    let conf =
        facts.known.flannel_confs.iter().find(|conf| conf.networks.iter().any(|n| n.family() == new.family()))?;
    let old: Vec<Cidr> = conf.networks.iter().filter(|network| network.family() == new.family()).copied().collect();
    let key = match new.family() {
        Family::V4 => "Network",
        Family::V6 => "IPv6Network",
    };
    Some(Step {
        id: "flannel-network".to_owned(),
        title: format!("let flannel's network hold {new}"),
        kind: "ConfigMap".to_owned(),
        object: conf.origin.object.clone(),
        command: format!("edit {}: \"{key}\": \"{new}\" instead of {}", conf.origin.object, list(&old)),
        precondition: "first: a flannel that meets a podCIDR outside of its network stops".to_owned(),
        expect: "the text is still JSON; nothing reads it before flannel's pods restart".to_owned(),
        undo: format!("\"{key}\": \"{}\" again, before a node has a range outside of it", list(&old)),
        takes: "a minute".to_owned(),
        ..Step::default()
    })
}

fn restart_flannel(facts: &Facts, new: Cidr) -> Option<Step> {
    let conf = facts.known.flannel_confs.first()?;
    let nodes = facts.nodes.len();
    // flannel has a namespace of its own since 0.20; before, and as canal, it shares one
    let own = conf.origin.object.contains(" kube-flannel/");
    let which = if own { "-n kube-flannel" } else { "-n kube-system -l app=flannel" };
    Some(Step {
        id: "flannel-restart".to_owned(),
        title: "restart flannel".to_owned(),
        kind: "DaemonSet".to_owned(),
        object: conf.origin.object.clone(),
        command: format!("kubectl rollout restart daemonset {which}"),
        precondition: "the controller manager runs with the new range".to_owned(),
        expect: format!(
            "kubectl netcidr nodes shows FLANNEL_NETWORK {new} on every node; running pods keep their addresses"
        ),
        undo: "the old network and another restart".to_owned(),
        risk: Risk::NewConnections,
        takes: format!("{nodes} nodes, seconds each"),
        ..Step::default()
    })
}

/// The steps on every node that runs kube-controller-manager.
fn manager(facts: &Facts, flag: &str, value: &str, id: &str) -> Vec<Step> {
    let program = Component::ControllerManager.program();
    let members: Vec<_> =
        facts.known.control_plane.iter().filter(|member| member.component == Component::ControllerManager).collect();
    let step = |node: &str, object: String, old: Option<&str>| {
        let on = if node.is_empty() { "every control-plane node".to_owned() } else { format!("node {node}") };
        Step {
            id: if node.is_empty() { format!("manager-{id}") } else { format!("manager-{id}-{node}") },
            title: format!("start {program} with --{flag}={value} on {on}"),
            kind: "file".to_owned(),
            object,
            command: format!("on {on}: in /etc/kubernetes/manifests/{program}.yaml set --{flag}={value}"),
            precondition: "every node's podCIDR is inside the range".to_owned(),
            expect: format!(
                "{program} is Running and does not restart: `failed to mark cidr` or `CIDR set failed` in its log means undo"
            ),
            undo: old.map_or_else(|| format!("take --{flag} out again"), |old| format!("set --{flag}={old} again")),
            by: By::Node,
            takes: "a minute or two for each node; nodes that join meanwhile wait for their range".to_owned(),
            ..Step::default()
        }
    };
    if members.is_empty() {
        return vec![step("", program.to_owned(), None)];
    }
    members.iter().map(|member| step(&member.node, member.object.clone(), member.flag(flag))).collect()
}

/// The flag's new value: the other family's range stays where it is.
fn value_with(facts: &Facts, new: Cidr) -> String {
    let mut all: Vec<Cidr> = cluster_ranges(facts).iter().map(|range| range.cidr).collect();
    for cidr in &mut all {
        if cidr.family() == new.family() {
            *cidr = new;
        }
    }
    all.dedup();
    if all.is_empty() {
        all.push(new);
    }
    all.iter().map(Cidr::to_string).collect::<Vec<_>>().join(",")
}

/// The range of a family that the controller manager cuts up; a reason where that is not known.
fn range_of(facts: &Facts, family: Family, subject: &str, reasons: &mut Reasons) -> Option<ClusterRange> {
    let found = cluster_ranges(facts).into_iter().find(|range| range.cidr.family() == family);
    if found.is_none() {
        let message = format!("the {family} range that kube-controller-manager cuts into node ranges is not known");
        reasons.unknown(subject, message, Vec::new());
    }
    found
}

/// Whether the controller manager would start: it occupies every podCIDR first.
fn stays_inside(facts: &Facts, new: Cidr, reasons: &mut Reasons) {
    let outside: Vec<String> = facts
        .nodes
        .values()
        .flat_map(|node| node.pod_cidrs.iter().map(move |cidr| (node, cidr)))
        .filter(|(_, cidr)| cidr.family() == new.family() && !new.contains(cidr))
        .map(|(node, cidr)| format!("node {}: {cidr}", node.name))
        .collect();
    if let Some(first) = outside.first() {
        let message = format!(
            "{} podCIDRs are outside of {new} ({first}): kube-controller-manager would exit in a loop",
            outside.len()
        );
        reasons.crash(&new.to_string(), message, outside.into_iter().take(6).collect());
    }
}

fn grow_cilium(facts: &Facts, new: Cidr, reasons: &mut Reasons) -> Vec<Step> {
    let subject = new.to_string();
    let pools = &facts.known.cilium.cluster_pools;
    let same: Vec<&(Cidr, Option<u8>, crate::ranges::Origin)> =
        pools.iter().filter(|(cidr, ..)| cidr.family() == new.family()).collect();
    let Some((_, mask, origin)) = same.first() else {
        reasons.unknown(&subject, format!("Cilium's {} cluster pools are not known", new.family()), Vec::new());
        return Vec::new();
    };
    reasons.overlaps(facts, new, |_| false);
    if let Some(service) = service_ranges(facts).iter().find(|service| service.overlaps(&new)) {
        reasons.no_room(&subject, format!("{new} overlaps the service range {service}"));
    }
    let had: Vec<Cidr> = same.iter().map(|(cidr, ..)| *cidr).collect();
    let mask = mask.map_or_else(String::new, |mask| format!(" of /{mask}"));
    vec![
        Step {
            id: of_family("cilium-pool", new.family()),
            title: format!("add {new} to Cilium's cluster pool"),
            kind: "ConfigMap".to_owned(),
            object: origin.object.clone(),
            command: format!("edit {origin}: {} {new}; ranges that are there stay as and where they are", join(&had)),
            precondition:
                "nothing else uses the range; by Helm where Cilium was installed by it, or it is lost with the next \
                           upgrade"
                    .to_owned(),
            expect: "the text names every range that it named before, and the new one last".to_owned(),
            undo: "take the last range out again, while no CiliumNode has a share of it".to_owned(),
            takes: "a minute".to_owned(),
            ..Step::default()
        },
        Step {
            id: "cilium-operator".to_owned(),
            title: "restart Cilium's operator".to_owned(),
            kind: "Deployment".to_owned(),
            object: "deployment kube-system/cilium-operator".to_owned(),
            command: "kubectl rollout restart deployment -n kube-system cilium-operator".to_owned(),
            precondition: "the ConfigMap has the range".to_owned(),
            expect: format!(
                "nodes that join get ranges{mask} of {new} once the others are full; kubectl netcidr shows no error \
                             of the operator"
            ),
            undo: "the old list and another restart".to_owned(),
            takes: "seconds".to_owned(),
            ..Step::default()
        },
    ]
}

fn join(cidrs: &[Cidr]) -> String {
    cidrs.iter().map(Cidr::to_string).collect::<Vec<_>>().join(" ")
}

pub(super) fn node_mask(facts: &Facts, length: u8, reasons: &mut Reasons) -> Vec<Step> {
    let subject = format!("/{length}");
    match facts.known.ipam() {
        Some(ipam) if ipam.uses_pod_cidrs() => {}
        Some(Ipam::Calico) => {
            let message = "pods get addresses from Calico's pools, whose nodes take blocks as they need them: --block-size \
                           is what changes a node's share";
            reasons.plugin(&subject, message, Vec::new());
            return Vec::new();
        }
        Some(ipam) => {
            reasons.plugin(
                &subject,
                format!("pods get addresses from {ipam}, not from the nodes' podCIDRs"),
                Vec::new(),
            );
            return Vec::new();
        }
        None => {
            calico::is_calicos(facts, &subject, reasons);
            return Vec::new();
        }
    }
    reasons.supported(facts, Change::PodFlags);
    let family = if length > Family::V4.bits() { Family::V6 } else { Family::V4 };
    let Some(range) = range_of(facts, family, &subject, reasons) else { return Vec::new() };
    if length <= range.cidr.prefix_len() || length > family.bits() {
        let message = format!("{} cannot be cut into ranges of /{length}", range.cidr);
        reasons.not_taken(&subject, message);
        return Vec::new();
    }
    if length - range.cidr.prefix_len() > DEEPEST {
        let message = format!(
            "/{length} is more than {DEEPEST} bits longer than {}: kube-controller-manager would not start",
            range.cidr
        );
        reasons.crash(&subject, message, vec![range.evidence.clone()]);
    }
    if length == range.node_mask {
        reasons.not_there(&subject, format!("nodes get ranges of /{length} already"), vec![range.evidence.clone()]);
    }
    let wanted = ClusterRange { node_mask: length, ..range.clone() };
    let total = node_slots(&range.cidr, length, &range.left_out);
    let room = match (slots(facts, &wanted), total) {
        (Some((total, used)), _) if total <= crate::cidr::Count::new(u128::from(used)) => {
            let message = format!("{} has {total} ranges of /{length}, and nodes have {used} of them", range.cidr);
            reasons.no_room(&subject, message);
            String::new()
        }
        (Some((total, used)), _) => format!("{total} ranges of /{length}, of which {used} are taken"),
        (None, _) => "unknown room".to_owned(),
    };
    pods_per_node(facts, family, length, reasons);

    let flag = match (family, cluster_ranges(facts).len()) {
        (_, 0 | 1) => "node-cidr-mask-size",
        (Family::V4, _) => "node-cidr-mask-size-ipv4",
        (Family::V6, _) => "node-cidr-mask-size-ipv6",
    };
    let mut steps = manager(facts, flag, &length.to_string(), "node-mask");
    for step in &mut steps {
        step.expect = format!("{}; {} then has {room}", step.expect, range.cidr);
    }
    steps.push(Step {
        id: "one-node".to_owned(),
        title: "register one node anew, and see its range".to_owned(),
        kind: "Node".to_owned(),
        object: "a node of your choice".to_owned(),
        command: "kubectl drain NODE --ignore-daemonsets --delete-emptydir-data\nkubectl delete node NODE\non NODE: take away \
                  cni0 and /var/lib/cni where a bridge has them, restart the kubelet\nkubectl get node NODE -o \
                  jsonpath='{.spec.podCIDRs}'\nkubectl uncordon NODE"
            .to_owned(),
        precondition: "the controller manager runs with the mask; nodes that there are keep their ranges".to_owned(),
        expect: format!("its podCIDR is a /{length}"),
        undo: "the old mask, and the node registered once more".to_owned(),
        risk: Risk::Downtime,
        by: By::Node,
        takes: "as long as its pods take to stop and to start elsewhere".to_owned(),
        ..Step::default()
    });
    steps
}

/// A node that may run more pods than its range has addresses starts pods that never run.
fn pods_per_node(facts: &Facts, family: Family, length: u8, reasons: &mut Reasons) {
    let Some(cidr) = Cidr::covering(family.address(0), length) else { return };
    let usable = crate::cidr::capacity::host_local_addresses(&cidr);
    let over: Vec<String> = facts
        .nodes
        .values()
        .filter_map(|node| Some((&node.name, node.max_pods?)))
        .filter(|(_, max)| crate::cidr::Count::new(u128::from(*max)) > usable)
        .map(|(name, max)| format!("node {name}: {max} pods"))
        .collect();
    if let Some(first) = over.first() {
        let message = format!(
            "a /{length} has {usable} pod addresses, and {} nodes may run more pods ({first}): the kubelets' maxPods must not \
             be above it",
            over.len()
        );
        reasons.room_unknown(&format!("/{length}"), message);
    }
}
