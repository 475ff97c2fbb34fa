//! A service range that is no longer to be used.

use super::{
    model::{By, Risk, State, Step, done_if},
    refuse::{Change, Reasons},
    service::{DEFAULT, Ways, list, version, ways},
};
use crate::{
    cidr::{
        Cidr, Count,
        capacity::{ServiceAllocator, service_addresses},
    },
    cluster::resources,
    ranges::{Facts, ServiceFacts, checks::common::dns_services, sources::ServiceCidr, usage},
};

pub(super) fn retire(facts: &Facts, cidr: Cidr, reasons: &mut Reasons) -> Vec<Step> {
    let subject = cidr.to_string();
    let Some(ways) = ways(facts, reasons) else { return Vec::new() };
    let Ways::Objects(objects) = ways else {
        let message = format!(
            "this API server{} has no ServiceCIDR objects (they come with 1.33): its one range is replaced, not retired",
            version(facts)
        );
        reasons.not_there(&subject, message, Vec::new());
        return Vec::new();
    };
    let Some(object) = objects.iter().find(|object| object.cidrs.contains(&cidr)) else {
        let have: Vec<Cidr> = objects.iter().flat_map(|object| object.cidrs.iter().copied()).collect();
        reasons.not_there(
            &subject,
            format!("no ServiceCIDR has the range {cidr}: there are {}", list(&have)),
            Vec::new(),
        );
        return Vec::new();
    };
    if object.name == DEFAULT {
        let message = format!(
            "{cidr} is the range that the API servers were started with: retired, they would make it again; \
             --service-replace changes their flags, too"
        );
        reasons.not_there(
            &subject,
            message,
            vec![format!("servicecidr {DEFAULT} spec.cidrs: {}", list(&object.cidrs))],
        );
    }
    reasons.supported(facts, Change::ServiceObjects);
    let Some(moving) = moving(facts, objects, object, reasons) else { return Vec::new() };
    room(facts, objects, object, &moving, reasons);

    let mut steps = vec![delete(object)];
    steps.extend(recreate(facts, &moving));
    steps.push(gone(object));
    steps.extend(stale_copies(facts, &object.cidrs));
    steps
}

/// Ranges that stay when an object goes.
fn staying<'a>(objects: &'a [ServiceCidr], goes: &ServiceCidr) -> impl Iterator<Item = &'a Cidr> {
    let name = goes.name.clone();
    objects.iter().filter(move |object| object.name != name && !object.terminating).flat_map(|object| &object.cidrs)
}

/// Services with an address that only the object's ranges hold.
fn moving<'a>(
    facts: &'a Facts,
    objects: &[ServiceCidr],
    object: &ServiceCidr,
    reasons: &mut Reasons,
) -> Option<Vec<&'a ServiceFacts>> {
    if !facts.complete(&resources::SERVICES) {
        reasons.unknown(
            "services",
            "services could not be read: which of them have addresses of the range is not known",
            Vec::new(),
        );
        return None;
    }
    let held = |ip: &std::net::IpAddr| {
        object.cidrs.iter().any(|cidr| cidr.contains_ip(*ip))
            && !staying(objects, object).any(|cidr| cidr.contains_ip(*ip))
    };
    let mut moving: Vec<&ServiceFacts> =
        facts.services.iter().filter(|service| service.cluster_ips.iter().any(held)).collect();
    moving.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Some(moving)
}

/// Whether those that move find addresses, family by family.
fn room(facts: &Facts, objects: &[ServiceCidr], object: &ServiceCidr, moving: &[&ServiceFacts], reasons: &mut Reasons) {
    let used = usage::cluster_ips(facts).unwrap_or_default();
    for cidr in &object.cidrs {
        let family = cidr.family();
        let need = moving.iter().flat_map(|s| &s.cluster_ips).filter(|ip| cidr.contains_ip(**ip)).count() as u128;
        let stay: Vec<&Cidr> = staying(objects, object).filter(|stay| stay.family() == family).collect();
        // a range inside another one adds nothing
        let top = stay.iter().filter(|a| !stay.iter().any(|b| b.contains(a) && b != *a));
        let capacity =
            top.map(|cidr| service_addresses(cidr, ServiceAllocator::Objects)).fold(Count::ZERO, Count::plus);
        let taken = used.iter().filter(|ip| stay.iter().any(|stay| stay.contains_ip(**ip))).count() as u128;
        let free = capacity.less(taken);
        if need > 0 && free < Count::new(need) {
            let message = format!(
                "{need} addresses of {cidr} are in use, and the other {family} service ranges have {free} free"
            );
            reasons.no_room(&cidr.to_string(), message);
        }
    }
}

fn delete(object: &ServiceCidr) -> Step {
    Step {
        id: "delete-range".to_owned(),
        title: format!("no new addresses out of {}", list(&object.cidrs)),
        kind: "ServiceCIDR".to_owned(),
        object: format!("servicecidr {}", object.name),
        command: format!("kubectl delete servicecidr {} --wait=false", object.name),
        precondition: "another range of each of its families is Ready and has room".to_owned(),
        expect: "it is Terminating as long as a Service has an address that no other range holds".to_owned(),
        undo: format!(
            "create a ServiceCIDR of another name with {}: its addresses are given out again",
            list(&object.cidrs)
        ),
        takes: "ten seconds of grace, if no Service has an address of it".to_owned(),
        state: done_if(object.terminating),
        ..Step::default()
    }
}

/// A step for each Service that gets another address; a ClusterIP cannot be changed.
pub(super) fn recreate(facts: &Facts, services: &[&ServiceFacts]) -> Vec<Step> {
    let mut steps = Vec::new();
    for service in services.iter().filter(|s| !(s.namespace == "default" && s.name == "kubernetes")) {
        let ServiceFacts { namespace, name, kind, cluster_ips, load_balancer_ips, .. } = service;
        let ips = cluster_ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let file = format!("{namespace}-{name}.json");
        let balancer = if kind == "LoadBalancer" {
            let now = load_balancer_ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("; its load balancer ({now}) is made anew and may get another address")
        } else {
            String::new()
        };
        steps.push(Step {
            id: format!("recreate-{namespace}-{name}"),
            title: format!("give {namespace}/{name} another address than {ips}"),
            kind: "Service".to_owned(),
            object: format!("service {namespace}/{name}"),
            command: format!(
                "kubectl get service -n {namespace} {name} -o json > {file}\n\
                 jq 'del(.metadata.uid, .metadata.resourceVersion, .metadata.creationTimestamp, .spec.clusterIP, \
                 .spec.clusterIPs, .status)' {file} | kubectl replace --force -f -"
            ),
            precondition: "the trial Service got an address of the new range; nothing has the old one written down \
                           (webhooks, configuration, DNS outside)"
                .to_owned(),
            expect: format!(
                "kubectl get service -n {namespace} {name} shows an address of a range that stays{balancer}"
            ),
            undo: format!("kubectl replace --force -f {file} while the old range is given out"),
            risk: Risk::Downtime,
            takes: "seconds, until the nodes have the new address".to_owned(),
            ..Step::default()
        });
        if dns_services(facts).any(|dns| dns.namespace == *namespace && dns.name == *name) {
            steps.push(dns(facts, service));
        }
    }
    steps
}

/// Every pod has the DNS Service's address in its resolv.conf.
fn dns(facts: &Facts, service: &ServiceFacts) -> Step {
    let nodes = facts.nodes.len();
    Step {
        id: format!("dns-{}-{}", service.namespace, service.name),
        title: "tell the kubelets and the pods the DNS Service's new address".to_owned(),
        kind: "file".to_owned(),
        object: "kubelet configuration: clusterDNS".to_owned(),
        command: format!(
            "on each node: set clusterDNS in /var/lib/kubelet/config.yaml to the address of {}/{}, restart the kubelet, \
             then restart the node's pods",
            service.namespace, service.name
        ),
        precondition: "the DNS Service has its new address".to_owned(),
        expect: "a new pod's /etc/resolv.conf names it; pods that are older resolve nothing until they are restarted"
            .to_owned(),
        undo: "set clusterDNS back and restart the pods again".to_owned(),
        risk: Risk::Downtime,
        by: By::Node,
        takes: format!("{nodes} nodes, one after the other, as long as their pods take to start"),
        ..Step::default()
    }
}

fn gone(object: &ServiceCidr) -> Step {
    Step {
        id: "range-gone".to_owned(),
        title: "wait until the range is gone".to_owned(),
        kind: "ServiceCIDR".to_owned(),
        object: format!("servicecidr {}", object.name),
        command: format!("kubectl wait --for=delete servicecidr/{} --timeout=2m", object.name),
        precondition: "no Service has an address that only this range holds".to_owned(),
        expect: "it is deleted; where it is not, kubectl get ipaddresses shows who still has an address of it"
            .to_owned(),
        undo: "create it again".to_owned(),
        takes: "seconds".to_owned(),
        ..Step::default()
    }
}

/// Components that still name a range that went.
pub(super) fn stale_copies(facts: &Facts, cidrs: &[Cidr]) -> Vec<Step> {
    let stale = facts.known.service_copies.iter().filter(|copy| copy.cidrs.iter().any(|cidr| cidrs.contains(cidr)));
    stale
        .enumerate()
        .map(|(i, copy)| Step {
            id: format!("uncopy-{}-{}", copy.component, i + 1),
            title: format!("take {} out of {}'s copy", list(cidrs), copy.component),
            object: copy.origin.object.clone(),
            command: format!("edit {}: take out {}", copy.origin, list(cidrs)),
            precondition: "the range is gone".to_owned(),
            expect: "only ranges that are there are named".to_owned(),
            undo: "add it again".to_owned(),
            takes: "a minute".to_owned(),
            state: State::Waiting,
            ..Step::default()
        })
        .collect()
}
