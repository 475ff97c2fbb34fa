use super::*;
use crate::{
    cidr::Cidr,
    cluster::{ReadStatus, resources},
    ranges::{
        ClusterIp, Confidence, NodeFacts, Origin, Role, ServiceFacts, Want,
        sources::{Argument, Component, Ipam, Member, ServiceCidr, ServiceCopy},
    },
};

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn service(name: &str, ip: &str) -> ServiceFacts {
    ServiceFacts {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        kind: "ClusterIP".to_owned(),
        cluster_ips: vec![ip.parse().unwrap()],
        ..ServiceFacts::default()
    }
}

fn object(name: &str, cidrs: &[&str]) -> ServiceCidr {
    ServiceCidr {
        name: name.to_owned(),
        cidrs: cidrs.iter().map(|c| cidr(c)).collect(),
        ready: true,
        why: String::new(),
        terminating: false,
    }
}

/// A 1.36 cluster: one service range, one node, flannel's kind of address management.
fn cluster() -> Facts {
    let mut facts = Facts { version: Some("v1.36.3".to_owned()), ..Facts::default() };
    for resource in
        [&resources::SERVICECIDRS, &resources::SERVICES, &resources::IPADDRESSES, &resources::PODS, &resources::NODES]
    {
        facts.reads.insert(Want::list(resource), ReadStatus::Complete);
    }
    facts.known.service_cidrs.push(object("kubernetes", &["10.96.0.0/16"]));
    let origin = Origin::new("servicecidr", Confidence::A, "servicecidr kubernetes", "spec.cidrs[0]");
    facts.add_ranges(Role::Service, "10.96.0.0/16", &origin);
    facts.services.push(service("kubernetes", "10.96.0.1"));
    let flags = [
        ("allocate-node-cidrs", "true"),
        ("cluster-cidr", "10.244.0.0/16"),
        ("service-cluster-ip-range", "10.96.0.0/16"),
    ];
    let argument = |value: &str| Argument { value: value.to_owned(), field: "spec.containers[0]".to_owned() };
    facts.known.control_plane.push(Member {
        component: Component::ControllerManager,
        object: "pod kube-system/kube-controller-manager-a".to_owned(),
        node: "a".to_owned(),
        arguments: flags.iter().map(|(k, v)| ((*k).to_owned(), argument(v))).collect(),
    });
    let origin = Origin::new("control-plane-flags", Confidence::B, "pod kube-system/kcm", "--cluster-cidr");
    facts.add_ranges(Role::Pod, "10.244.0.0/16", &origin);
    facts.known.says_ipam(Ipam::NodeIpam, origin);
    let node = NodeFacts {
        name: "a".to_owned(),
        pod_cidrs: vec![cidr("10.244.3.0/24")],
        addresses: vec!["192.0.2.7".parse().unwrap()],
        max_pods: Some(110),
        ..NodeFacts::default()
    };
    facts.nodes.insert("a".to_owned(), node);
    facts
}

fn ids(planned: &Planned) -> Vec<&str> {
    planned.plan.steps.iter().map(|step| step.id.as_str()).collect()
}

fn refusals(planned: &Planned) -> Vec<&str> {
    assert!(planned.plan.steps.is_empty(), "a refused plan has no step: {planned:#?}");
    planned.findings.iter().filter(|f| f.severity == Severity::Error).map(|f| f.id.as_str()).collect()
}

fn add(facts: &Facts, text: &str) -> Planned {
    plan(facts, &Goal::ServiceAdd(cidr(text)))
}

#[test]
fn a_range_is_asked_for_made_and_tried() {
    let planned = add(&cluster(), "10.97.0.0/16");
    assert_eq!(ids(&planned), ["ask-server", "create-range", "trial-service"]);
    let states: Vec<State> = planned.plan.steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [State::Ready, State::Waiting, State::Waiting]);
    assert!(planned.plan.steps[1].command.contains(r#""cidrs":["10.97.0.0/16"]"#), "{}", planned.plan.steps[1].command);
    assert!(planned.plan.steps[2].command.contains("10.97.0.1"));
}

#[test]
fn what_is_done_is_not_done_again() {
    let mut facts = cluster();
    facts.known.service_cidrs.push(object("mine", &["10.97.0.0/16"]));
    facts.cluster_ips.push(ClusterIp { ip: "10.97.0.1".parse().unwrap(), parent: "default/x".to_owned() });
    let planned = add(&facts, "10.97.0.0/16");
    let states: Vec<State> = planned.plan.steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [State::Done, State::Done, State::Ready]);
    assert!(planned.plan.steps[1].object.ends_with("mine"));
    assert!(planned.plan.steps[2].command.contains(r#""clusterIP":"10.97.0.2""#), "10.97.0.1 is taken");
}

#[test]
fn ranges_in_use_are_refused_and_service_ranges_may_overlap() {
    let facts = cluster();
    assert_eq!(refusals(&add(&facts, "10.244.0.0/20")), ["PLAN-001"]);
    assert_eq!(refusals(&add(&facts, "192.0.2.0/24")), ["PLAN-001"], "a node's address");
    assert_eq!(refusals(&add(&facts, "127.0.0.0/16")), ["PLAN-001"], "reserved");
    assert!(!add(&facts, "10.96.0.0/15").plan.steps.is_empty(), "the new range may hold the old one");
}

#[test]
fn families_lengths_versions_and_permissions() {
    let facts = cluster();
    assert_eq!(refusals(&add(&facts, "fd00:97::/112")), ["PLAN-003"], "the cluster has no IPv6");
    let mut dual = cluster();
    dual.known.service_cidrs[0].cidrs.push(cidr("fd00:96::/112"));
    assert_eq!(refusals(&add(&dual, "fd00:97::/63")), ["PLAN-003"]);
    assert!(!add(&dual, "fd00:97::/64").plan.steps.is_empty());

    let mut old = cluster();
    old.known.service_cidrs.clear();
    old.version = Some("v1.30.2".to_owned());
    old.reads.insert(Want::list(&resources::SERVICECIDRS), ReadStatus::Absent);
    let planned = add(&old, "10.97.0.0/16");
    assert_eq!(refusals(&planned), ["PLAN-004"]);
    assert!(planned.findings[0].message.contains("v1.30.2"), "{}", planned.findings[0].message);

    let mut blind = cluster();
    blind.reads.insert(Want::list(&resources::SERVICECIDRS), ReadStatus::Unreadable("forbidden: x".to_owned()));
    assert_eq!(refusals(&add(&blind, "10.97.0.0/16")), ["PLAN-007"]);
}

#[test]
fn copies_of_the_range_get_a_step_each() {
    let mut facts = cluster();
    for object in ["a", "b"] {
        facts.known.service_copies.push(ServiceCopy {
            component: "kube-router",
            cidrs: vec![cidr("10.96.0.0/16")],
            origin: Origin::new("kube-router", Confidence::B, object, "args"),
        });
    }
    let planned = add(&facts, "10.97.0.0/16");
    assert_eq!(ids(&planned)[3..], ["copy-kube-router", "copy-kube-router-2"]);
}

#[test]
fn a_range_that_goes_takes_its_services_along() {
    let mut facts = cluster();
    facts.known.service_cidrs.push(object("more", &["10.97.0.0/24"]));
    facts.known.service_cidrs.push(object("small", &["10.97.0.0/28"]));
    facts.services.extend([service("low", "10.97.0.3"), service("web", "10.97.0.40"), service("dns", "10.96.0.10")]);
    facts.cluster_ips.extend(
        ["10.97.0.3", "10.97.0.40", "10.96.0.10"]
            .map(|ip| ClusterIp { ip: ip.parse().unwrap(), parent: String::new() }),
    );
    let planned = plan(&facts, &Goal::ServiceRetire(cidr("10.97.0.0/24")));
    assert_eq!(
        ids(&planned),
        ["delete-range", "recreate-default-web", "range-gone"],
        "another range still holds 10.97.0.3"
    );
    let small = plan(&facts, &Goal::ServiceRetire(cidr("10.97.0.0/28")));
    assert_eq!(ids(&small), ["delete-range", "range-gone"]);
    assert_eq!(
        refusals(&plan(&facts, &Goal::ServiceRetire(cidr("10.96.0.0/16")))),
        ["PLAN-004"],
        "the API servers' own"
    );
    assert_eq!(refusals(&plan(&facts, &Goal::ServiceRetire(cidr("10.99.0.0/16")))), ["PLAN-004"], "not there");
}

#[test]
fn no_range_goes_whose_services_find_no_room() {
    let mut facts = cluster();
    facts.known.service_cidrs[0] = object("kubernetes", &["10.96.0.0/30"]);
    facts.known.service_cidrs.push(object("more", &["10.97.0.0/24"]));
    facts.services.extend([service("a", "10.97.0.3"), service("b", "10.97.0.4")]);
    facts.cluster_ips.extend(
        ["10.96.0.1", "10.97.0.3", "10.97.0.4"].map(|ip| ClusterIp { ip: ip.parse().unwrap(), parent: String::new() }),
    );
    assert_eq!(refusals(&plan(&facts, &Goal::ServiceRetire(cidr("10.97.0.0/24")))), ["PLAN-005"]);
}

#[test]
fn the_range_grows_by_an_object_that_holds_it() {
    let planned = plan(&cluster(), &Goal::ServiceGrow(15));
    assert_eq!(ids(&planned), ["ask-server", "create-range", "trial-service"]);
    assert!(planned.plan.steps[1].command.contains("10.96.0.0/15"));
    let trial = &planned.plan.steps[2].command;
    assert!(trial.contains("10.97.0."), "an address that the old range does not have: {trial}");
    assert_eq!(refusals(&plan(&cluster(), &Goal::ServiceGrow(16))), ["PLAN-004"]);
}

#[test]
fn a_replacement_tries_before_it_lets_go_and_again_after() {
    let mut facts = cluster();
    facts.services.push(service("web", "10.96.4.4"));
    let planned = plan(&facts, &Goal::ServiceReplace(vec![cidr("10.99.0.0/16")]));
    let ids = ids(&planned);
    let at = |id: &str| ids.iter().position(|i| *i == id).unwrap_or_else(|| panic!("{id} of {ids:?}"));
    assert!(at("trial-service") < at("let-go-default"));
    assert!(at("let-go-default") < at("trial-after") && at("trial-after") < at("recreate-default-web"));
    assert!(at("recreate-default-web") < at("flag-manager-a") && at("certificates") < at("default-service"));
    assert!(!ids.contains(&"recreate-default-kubernetes"), "the API server makes it");
    let never = planned.plan.steps.iter().find(|step| step.id == "flag-manager-a").unwrap();
    assert_eq!(never.by, By::Node);
    assert!(never.command.contains("--service-cluster-ip-range=10.99.0.0/16"), "{}", never.command);
}

#[test]
fn distributions_that_do_not_support_it_say_what_is_possible() {
    let mut facts = cluster();
    facts.distributions.push(("k3s", "node a: kubelet v1.36.3+k3s1".to_owned()));
    assert_eq!(refusals(&plan(&facts, &Goal::ServiceReplace(vec![cidr("10.99.0.0/16")]))), ["PLAN-002"]);
    assert_eq!(refusals(&plan(&facts, &Goal::NodeMask(25))), ["PLAN-002"]);
    assert!(!add(&facts, "10.97.0.0/16").plan.steps.is_empty(), "only a warning");
}

#[test]
fn the_controller_manager_must_start_again() {
    let facts = cluster();
    let outside = plan(&facts, &Goal::PodGrow(cidr("10.60.0.0/16")));
    assert!(refusals(&outside).contains(&"PLAN-006"), "{outside:#?}");
    let deep = plan(&facts, &Goal::PodGrow(cidr("10.0.0.0/7")));
    assert!(refusals(&deep).contains(&"PLAN-006"));
    let wider = plan(&facts, &Goal::PodGrow(cidr("10.244.0.0/15")));
    assert_eq!(ids(&wider), ["manager-cluster-cidr-a"], "{wider:#?}");
    assert!(wider.plan.steps[0].undo.contains("--cluster-cidr=10.244.0.0/16"));
}

#[test]
fn a_node_mask_leaves_room_and_says_what_maxpods_allows() {
    let planned = plan(&cluster(), &Goal::NodeMask(26));
    assert_eq!(ids(&planned), ["manager-node-mask-a", "one-node"]);
    let warning = planned.findings.iter().find(|f| f.id == "PLAN-005").unwrap();
    assert!(warning.message.contains("61 pod addresses") && warning.message.contains("110"), "{}", warning.message);
    assert!(
        planned.plan.steps[0].expect.contains("1024 ranges of /26, of which 4 are taken"),
        "{}",
        planned.plan.steps[0].expect
    );
    assert_eq!(refusals(&plan(&cluster(), &Goal::NodeMask(16))), ["PLAN-003"]);
    assert_eq!(refusals(&plan(&cluster(), &Goal::NodeMask(24))), ["PLAN-004"], "already so");
}

#[test]
fn another_plugins_goal_is_refused() {
    let facts = cluster();
    let goal = Goal::PodMove { old: cidr("10.244.0.0/16"), new: cidr("10.60.0.0/16") };
    assert_eq!(refusals(&plan(&facts, &goal)), ["PLAN-008"]);
    assert_eq!(refusals(&plan(&facts, &Goal::BlockSize(24))), ["PLAN-008"]);
    let unknown = Facts::default();
    assert_eq!(refusals(&plan(&unknown, &goal)), ["PLAN-007"]);
}
