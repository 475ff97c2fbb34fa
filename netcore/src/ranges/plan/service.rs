//! More room for Services: a range added, or the present one grown.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    model::{By, Risk, Step, done_if},
    refuse::{Change, Reasons, holds},
};
use crate::{
    cidr::{
        Cidr, Family,
        capacity::{ServiceAllocator, ServiceRangeLimit, service_range, service_range_limit},
    },
    cluster::{ReadStatus, resources},
    ranges::{
        Facts, RangeFact, Role,
        checks::common::service_ranges,
        sources::{Component, ServiceCidr},
        usage,
    },
};

/// The object that the API server makes out of its flags.
pub(super) const DEFAULT: &str = "kubernetes";

/// How service ranges are changed on this cluster.
pub(super) enum Ways<'a> {
    /// By objects; these are there.
    Objects(&'a [ServiceCidr]),
    /// By the API servers' flags alone.
    Flags,
}

/// How service ranges are changed here; nothing, with a reason, where it cannot be known.
pub(super) fn ways<'a>(facts: &'a Facts, reasons: &mut Reasons) -> Option<Ways<'a>> {
    match facts.list_status(&resources::SERVICECIDRS) {
        Some(ReadStatus::Complete) if !facts.known.service_cidrs.is_empty() => {
            Some(Ways::Objects(&facts.known.service_cidrs))
        }
        Some(ReadStatus::Absent | ReadStatus::Complete) => Some(Ways::Flags),
        _ if usage::service_allocator(facts) == Some(ServiceAllocator::Bitmap) => Some(Ways::Flags),
        status => {
            let why = match status {
                Some(ReadStatus::Unreadable(why) | ReadStatus::Partial(why)) => why.as_str(),
                _ => "not asked for",
            };
            reasons.unknown(
                "servicecidrs",
                format!("ServiceCIDR objects could not be read ({why}): which service ranges there are is not known"),
                Vec::new(),
            );
            None
        }
    }
}

pub(super) fn add(facts: &Facts, cidr: Cidr, reasons: &mut Reasons) -> Vec<Step> {
    let Some(ways) = ways(facts, reasons) else { return Vec::new() };
    let Ways::Objects(objects) = ways else {
        reasons.not_there(
            &cidr.to_string(),
            format!(
                "this API server{} has no ServiceCIDR objects (they come with 1.33): ranges cannot be added; \
                 --service-grow widens the present one by the API servers' flags",
                version(facts)
            ),
            Vec::new(),
        );
        return Vec::new();
    };
    check_new(facts, cidr, reasons);
    reasons.supported(facts, Change::ServiceObjects);
    if !family_is_served(objects, cidr.family()) {
        reasons.not_taken(
            &cidr.to_string(),
            format!(
                "the cluster has no {} service range: Services of that family are refused until the API servers' \
                 --service-cluster-ip-range names one",
                cidr.family()
            ),
        );
    }
    let mut steps = create(objects, cidr);
    steps.push(trial(facts, cidr));
    steps.extend(copies(facts, cidr));
    steps
}

/// The steps that make a range known to the API server.
pub(super) fn create(objects: &[ServiceCidr], cidr: Cidr) -> Vec<Step> {
    let there = objects.iter().find(|object| object.cidrs.contains(&cidr) && !object.terminating);
    let name = there.map_or_else(|| object_name(&[cidr]), |object| object.name.clone());
    let manifest = service_cidr(&name, &[cidr]);
    let object = format!("servicecidr {name}");
    let ask = Step {
        id: "ask-server".to_owned(),
        title: "ask the server whether it would take the range".to_owned(),
        kind: "ServiceCIDR".to_owned(),
        object: object.clone(),
        command: create_command(&manifest, " --dry-run=server"),
        precondition: "you may create servicecidrs: kubectl auth can-i create servicecidrs.networking.k8s.io"
            .to_owned(),
        expect: "`created (server dry run)`; admission policies may refuse it with a reason of their own".to_owned(),
        undo: "nothing was changed".to_owned(),
        takes: "a second".to_owned(),
        state: done_if(there.is_some()),
        ..Step::default()
    };
    let create = Step {
        id: "create-range".to_owned(),
        title: format!("add the service range {cidr}"),
        kind: "ServiceCIDR".to_owned(),
        object,
        command: create_command(&manifest, ""),
        precondition: "the dry run was accepted, and nothing else uses the range".to_owned(),
        expect: format!(
            "condition Ready is True: kubectl get servicecidr {name} -o \
             jsonpath='{{.status.conditions[?(@.type==\"Ready\")].status}}'"
        ),
        undo: format!(
            "kubectl delete servicecidr {name} --wait=false; gone as soon as no Service has an address of it"
        ),
        takes: "seconds".to_owned(),
        state: done_if(there.is_some_and(|object| object.ready)),
        ..Step::default()
    };
    vec![ask, create]
}

/// A Service that is made for nothing but to see that an address of the range is given out. (A dry run
/// proves nothing where there are several ranges: it asks one of them at random.)
pub(super) fn trial(facts: &Facts, cidr: Cidr) -> Step {
    let address = free_address(facts, &cidr);
    let text = address.map_or_else(|| cidr.first().to_string(), |address| address.to_string());
    let manifest = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": TRIAL, "namespace": "default"},
        "spec": {"clusterIP": text, "ipFamilies": [cidr.family().to_string()], "ports": [{"port": 1}]}
    });
    Step {
        id: "trial-service".to_owned(),
        title: format!("see that an address of {cidr} is given out"),
        kind: "Service".to_owned(),
        object: format!("service default/{TRIAL}"),
        command: format!("{}\nkubectl delete service -n default {TRIAL}", create_command(&manifest, "")),
        precondition: "the range is Ready".to_owned(),
        expect: format!(
            "the Service is created with ClusterIP {text}; `the provided network does not match the current range` or \
             `allocator not ready` mean: wait, try again, and go no further while it fails"
        ),
        undo: format!("kubectl delete service -n default {TRIAL} --ignore-not-found"),
        takes: "seconds".to_owned(),
        ..Step::default()
    }
}

const TRIAL: &str = "kubectl-net-trial";

/// The first address of the lower band that nobody has.
fn free_address(facts: &Facts, cidr: &Cidr) -> Option<IpAddr> {
    let range = service_range(cidr, ServiceAllocator::Objects)?;
    let used = usage::cluster_ips(facts).unwrap_or_default();
    let first = range.first();
    let from = used.partition_point(|ip| *ip < first);
    let mut taken = used.get(from..).unwrap_or_default().iter();
    let number = |ip: IpAddr| Cidr::host(ip).first_number();
    let mut candidate = number(first);
    while taken.next().is_some_and(|ip| Family::of(*ip) == cidr.family() && number(*ip) == candidate) {
        candidate += 1;
    }
    let address = cidr.family().address(candidate);
    range.contains_ip(address).then_some(address)
}

/// A step for each component that keeps a copy of the service ranges and lacks the new one.
pub(super) fn copies(facts: &Facts, cidr: Cidr) -> Vec<Step> {
    let lacking = facts.known.service_copies.iter().filter(|copy| !copy.cidrs.iter().any(|has| has.contains(&cidr)));
    let mut steps: Vec<Step> = Vec::new();
    for copy in lacking {
        let count = steps.iter().filter(|step| step.id.starts_with(&format!("copy-{}", copy.component))).count();
        let id = if count == 0 {
            format!("copy-{}", copy.component)
        } else {
            format!("copy-{}-{}", copy.component, count + 1)
        };
        steps.push(Step {
            id,
            title: format!("tell {} of {cidr}", copy.component),
            object: copy.origin.object.clone(),
            command: format!("edit {}: add {cidr} beside {}", copy.origin, list(&copy.cidrs)),
            precondition: "the range is Ready".to_owned(),
            expect: format!("{} names {cidr}; it does not follow ServiceCIDR objects by itself", copy.origin.field),
            undo: format!("take {cidr} out of it again"),
            takes: "a minute".to_owned(),
            ..Step::default()
        });
    }
    steps
}

pub(super) fn grow(facts: &Facts, length: u8, reasons: &mut Reasons) -> Vec<Step> {
    let Some(ways) = ways(facts, reasons) else { return Vec::new() };
    let subject = format!("/{length}");
    let Some(old) = growing(facts, &ways, length) else {
        let have: Vec<Cidr> = service_ranges(facts).into_iter().collect();
        reasons.not_there(
            &subject,
            format!(
                "no service range is narrower than a /{length} and wider than half of it: there are {}",
                list(&have)
            ),
            Vec::new(),
        );
        return Vec::new();
    };
    let Some(new) = Cidr::covering(old.first(), length) else { return Vec::new() };
    check_new(facts, new, reasons);
    match ways {
        Ways::Objects(objects) => {
            reasons.supported(facts, Change::ServiceObjects);
            let mut steps = create(objects, new);
            if !old.contains_ip(new.first()) || new.size() != old.size() {
                steps.push(trial_outside(facts, old, new));
            }
            steps.extend(copies(facts, new));
            steps
        }
        Ways::Flags => {
            reasons.supported(facts, Change::ServiceFlags);
            if new.first() != old.first() {
                reasons.not_there(
                    &subject,
                    format!(
                        "{new} begins at another address than {old}: without ServiceCIDR objects the default \
                         Service's address would change; --service-replace has the steps for that"
                    ),
                    Vec::new(),
                );
            }
            flags(facts, &[new], &[old])
        }
    }
}

/// The trial asks for an address that only the wider range has.
fn trial_outside(facts: &Facts, old: Cidr, new: Cidr) -> Step {
    let halves = Cidr::covering(old.first(), new.prefix_len() + 1)
        .map(|half| if half.first() == new.first() { half.last() } else { new.first() });
    let other = halves.and_then(|edge| {
        let edge = Cidr::host(edge).first_number();
        let number = if edge == new.first_number() { edge } else { edge + 1 };
        Cidr::covering(new.family().address(number), new.prefix_len() + 1)
    });
    let mut step = trial(facts, other.unwrap_or(new));
    step.title = format!("see that an address of {new} outside {old} is given out");
    step
}

/// The range to be grown: the API servers' own of the family in which the length fits.
fn growing(facts: &Facts, ways: &Ways<'_>, length: u8) -> Option<Cidr> {
    let fits = |cidr: &&Cidr| cidr.prefix_len() > length && length >= shortest(cidr.family());
    match ways {
        Ways::Objects(objects) => {
            let default = objects.iter().find(|object| object.name == DEFAULT);
            let rest = objects.iter().filter(|object| object.name != DEFAULT && !object.terminating);
            default.into_iter().chain(rest).flat_map(|object| &object.cidrs).find(fits).copied()
        }
        Ways::Flags => service_ranges(facts).iter().find(fits).copied(),
    }
}

/// No service range of a family was ever wider.
const fn shortest(family: Family) -> u8 {
    match family {
        Family::V4 => 8,
        Family::V6 => 64,
    }
}

/// The steps on the control plane's nodes, where ranges are the API servers' flags.
pub(super) fn flags(facts: &Facts, new: &[Cidr], old: &[Cidr]) -> Vec<Step> {
    // a family that is not changed keeps its range, the primary family stays first
    let mut all: Vec<Cidr> = Vec::new();
    for cidr in service_ranges(facts).iter().filter(|cidr| old.contains(cidr) || !family_in(old, cidr.family())) {
        let now = new.iter().find(|wanted| wanted.family() == cidr.family()).unwrap_or(cidr);
        if !all.contains(now) {
            all.push(*now);
        }
    }
    all.extend(new.iter().filter(|cidr| !family_in(&all, cidr.family())).copied().collect::<Vec<_>>());
    if let Some(primary) = primary_family(facts) {
        all.sort_by_key(|cidr| cidr.family() != primary);
    }
    let value = all.iter().map(Cidr::to_string).collect::<Vec<_>>().join(",");
    let mut steps = Vec::new();
    for (component, id) in [(Component::ApiServer, "flag-apiserver"), (Component::ControllerManager, "flag-manager")] {
        let members: Vec<_> = facts.known.control_plane.iter().filter(|member| member.component == component).collect();
        let places = members.iter().map(|member| (member.node.clone(), Some(member.object.clone())));
        let places: Vec<(String, Option<String>)> =
            if members.is_empty() { vec![(String::new(), None)] } else { places.collect() };
        for (node, object) in places {
            let program = component.program();
            let suffix = if node.is_empty() { String::new() } else { format!("-{node}") };
            let on = if node.is_empty() { "every control-plane node".to_owned() } else { format!("node {node}") };
            steps.push(Step {
                id: format!("{id}{suffix}"),
                title: format!("start {program} with the new range on {on}"),
                kind: "file".to_owned(),
                object: object.unwrap_or_else(|| program.to_owned()),
                command: format!(
                    "on {on}: in /etc/kubernetes/manifests/{program}.yaml set --service-cluster-ip-range={value}"
                ),
                precondition: "etcd is backed up; one node at a time, each Ready again before the next".to_owned(),
                expect: format!("the pod restarts, and its arguments show --service-cluster-ip-range={value}"),
                undo: format!("set --service-cluster-ip-range={} again", list_flag(facts)),
                risk: Risk::NewConnections,
                by: By::Node,
                takes: "a minute or two for each node".to_owned(),
                ..Step::default()
            });
        }
    }
    steps.extend(kubeadm_record(facts, "serviceSubnet", &value));
    steps
}

/// kubeadm's own record, from which the next upgrade writes the flags again.
pub(super) fn kubeadm_record(facts: &Facts, field: &str, value: &str) -> Option<Step> {
    let record = facts.known.kubeadm.first()?;
    Some(Step {
        id: "kubeadm-record".to_owned(),
        title: format!("note it in kubeadm's record: networking.{field}"),
        kind: "ConfigMap".to_owned(),
        object: record.object.clone(),
        command: format!(
            "kubectl edit configmap -n kube-system kubeadm-config: in ClusterConfiguration set networking.{field}: {value}"
        ),
        precondition: "the components run with it".to_owned(),
        expect: "the next `kubeadm upgrade` writes the same flags again".to_owned(),
        undo: format!("set networking.{field} back"),
        takes: "a minute".to_owned(),
        ..Step::default()
    })
}

fn family_in(cidrs: &[Cidr], family: Family) -> bool {
    cidrs.iter().any(|cidr| cidr.family() == family)
}

fn list_flag(facts: &Facts) -> String {
    let flag = facts.known.control_plane.iter().find_map(|member| member.flag("service-cluster-ip-range"));
    flag.map_or_else(|| service_ranges(facts).iter().map(Cidr::to_string).collect::<Vec<_>>().join(","), str::to_owned)
}

/// The family of the first service range: that of the default Service.
pub(super) fn primary_family(facts: &Facts) -> Option<Family> {
    let default = facts.known.service_cidrs.iter().find(|object| object.name == DEFAULT);
    let of_object = default.and_then(|object| object.cidrs.first()).map(Cidr::family);
    of_object.or_else(|| {
        let service = facts.services.iter().find(|s| s.namespace == "default" && s.name == "kubernetes")?;
        service.cluster_ips.first().map(|ip| Family::of(*ip))
    })
}

pub(super) fn family_is_served(objects: &[ServiceCidr], family: Family) -> bool {
    objects.iter().flat_map(|object| &object.cidrs).any(|cidr| cidr.family() == family)
}

/// What any new service range has to be.
pub(super) fn check_new(facts: &Facts, cidr: Cidr, reasons: &mut Reasons) {
    let same = |fact: &RangeFact| fact.role == Role::Service;
    reasons.overlaps(facts, cidr, same);
    let objects = facts.complete(&resources::SERVICECIDRS) && !facts.known.service_cidrs.is_empty();
    let allocator = if objects { ServiceAllocator::Objects } else { ServiceAllocator::Bitmap };
    if let Some(ServiceRangeLimit::Refused { shortest }) = service_range_limit(&cidr, allocator) {
        let message = format!("{cidr} is wider than the /{shortest} that this API server accepts");
        reasons.not_taken(&cidr.to_string(), message);
    }
    if service_range(&cidr, allocator).is_none() {
        reasons.not_taken(&cidr.to_string(), format!("{cidr} has no address to give out"));
    }
    // a pod that lives inside it is not a stated range
    let pods = super::refuse::pods_inside(facts, &cidr);
    let stated = facts.ranges.iter().any(|fact| fact.role == Role::Pod && holds(fact.range, &cidr));
    if pods > 0 && !stated {
        reasons.no_room(&cidr.to_string(), format!("{pods} pods have addresses inside {cidr}"));
    }
}

/// ` (v1.31.2)`, where it is known.
pub(super) fn version(facts: &Facts) -> String {
    facts.version.as_ref().map(|version| format!(" ({version})")).unwrap_or_default()
}

/// A name that a range always gets: `services-10-97-0-0-16`.
pub(super) fn object_name(cidrs: &[Cidr]) -> String {
    let slugs: Vec<String> = cidrs.iter().map(slug).collect();
    format!("services-{}", slugs.join("-"))
}

/// A range in characters that a name may have.
pub(super) fn slug(cidr: &Cidr) -> String {
    let text = cidr.to_string().replace("::/", "/").replace("::", "-0-");
    text.trim_start_matches('-').replace(['.', ':', '/'], "-")
}

fn service_cidr(name: &str, cidrs: &[Cidr]) -> Value {
    let cidrs: Vec<String> = cidrs.iter().map(Cidr::to_string).collect();
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": name}, "spec": {"cidrs": cidrs}})
}

/// A command that a shell runs as it stands.
pub(super) fn create_command(manifest: &Value, flags: &str) -> String {
    format!("kubectl create{flags} -f - <<'EOF'\n{manifest}\nEOF")
}

pub(super) fn list(cidrs: &[Cidr]) -> String {
    match cidrs {
        [] => "none".to_owned(),
        some => some.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", "),
    }
}
