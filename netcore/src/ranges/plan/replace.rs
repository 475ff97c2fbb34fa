//! Other service ranges than the ones that the API servers were started with.

use super::{
    model::{By, Risk, Step},
    refuse::{Change, Reasons},
    retire::{recreate, stale_copies},
    service::{self, DEFAULT, Ways, check_new, copies, flags, list, object_name, ways},
};
use crate::{
    cidr::{
        Cidr, Count,
        capacity::{ServiceAllocator, service_addresses},
    },
    cluster::resources,
    ranges::{Facts, ServiceFacts, checks::common::service_ranges, usage},
};

pub(super) fn replace(facts: &Facts, wanted: &[Cidr], reasons: &mut Reasons) -> Vec<Step> {
    let Some(ways) = ways(facts, reasons) else { return Vec::new() };
    reasons.supported(facts, Change::ServiceFlags);
    let old: Vec<Cidr> = match &ways {
        Ways::Objects(objects) => {
            objects.iter().find(|object| object.name == DEFAULT).map(|object| object.cidrs.clone()).unwrap_or_default()
        }
        Ways::Flags => service_ranges(facts).into_iter().collect(),
    };
    if old.is_empty() {
        reasons.unknown("service range", "the range that the API servers were started with is not known", Vec::new());
        return Vec::new();
    }
    for cidr in wanted {
        check_new(facts, *cidr, reasons);
        room(facts, *cidr, reasons);
        if old.contains(cidr) {
            reasons.not_there(&cidr.to_string(), format!("{cidr} is the range already"), Vec::new());
        }
        if !old.iter().any(|old| old.family() == cidr.family()) {
            let message = format!("the API servers have no {} range to replace: {}", cidr.family(), list(&old));
            reasons.not_taken(&cidr.to_string(), message);
        }
    }
    let old: Vec<Cidr> = old.into_iter().filter(|o| wanted.iter().any(|w| w.family() == o.family())).collect();
    let inside = |service: &&ServiceFacts| service.cluster_ips.iter().any(|ip| old.iter().any(|o| o.contains_ip(*ip)));
    if !facts.complete(&resources::SERVICES) {
        reasons.unknown(
            "services",
            "services could not be read: which of them get another address is not known",
            Vec::new(),
        );
        return Vec::new();
    }
    let mut moving: Vec<&ServiceFacts> = facts.services.iter().filter(inside).collect();
    moving.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));

    let mut steps = vec![backup(facts)];
    if let Ways::Objects(objects) = ways {
        for cidr in wanted {
            let suffix =
                if wanted.len() > 1 { format!("-{}", super::refuse::tag(cidr.family())) } else { String::new() };
            let mut bridge = service::create(objects, *cidr);
            bridge.push(service::trial(facts, *cidr));
            for step in &mut bridge {
                step.id.push_str(&suffix);
            }
            steps.extend(bridge);
        }
        steps.extend(wanted.iter().flat_map(|cidr| copies(facts, *cidr)));
        steps.push(let_go(&old));
        steps.push(trial_after(wanted));
        steps.extend(recreate(facts, &moving));
        steps.extend(flags(facts, wanted, &old));
        steps.extend(certificates(facts, wanted));
        steps.push(default_service(wanted));
        steps.push(bridge_away(wanted));
    } else {
        steps.extend(flags(facts, wanted, &old));
        steps.extend(certificates(facts, wanted));
        steps.push(default_service(wanted));
        steps.extend(recreate(facts, &moving));
        steps.extend(wanted.iter().flat_map(|cidr| copies(facts, *cidr)));
    }
    steps.extend(stale_copies(facts, &old));
    steps
}

/// Whether all Services of the family fit into the new range.
fn room(facts: &Facts, cidr: Cidr, reasons: &mut Reasons) {
    let Some(used) = usage::cluster_ips(facts) else {
        reasons.room_unknown(&cidr.to_string(), "how many Services have addresses is not known");
        return;
    };
    let need = used.iter().filter(|ip| crate::cidr::Family::of(**ip) == cidr.family()).count();
    let capacity = service_addresses(&cidr, ServiceAllocator::Objects);
    if Count::new(need as u128) > capacity {
        reasons.no_room(&cidr.to_string(), format!("{cidr} gives out {capacity} addresses, and {need} are in use"));
    }
}

fn backup(facts: &Facts) -> Step {
    Step {
        id: "backup".to_owned(),
        title: "save etcd and every Service".to_owned(),
        object: format!("{} services", facts.services.len()),
        command: "kubectl get services -A -o json > services-before.json\n\
                  on a control-plane node: etcdctl snapshot save /var/lib/etcd-before.db"
            .to_owned(),
        precondition: "nobody else changes the cluster meanwhile".to_owned(),
        expect: "both files are there, and `etcdctl snapshot status` reads the snapshot".to_owned(),
        undo: "nothing was changed".to_owned(),
        by: By::Node,
        takes: "minutes".to_owned(),
        ..Step::default()
    }
}

fn let_go(old: &[Cidr]) -> Step {
    Step {
        id: "let-go-default".to_owned(),
        title: format!("no new addresses out of {}", list(old)),
        kind: "ServiceCIDR".to_owned(),
        object: format!("servicecidr {DEFAULT}"),
        command: format!("kubectl delete servicecidr {DEFAULT} --wait=false"),
        precondition: "the new range gave an address to the trial Service".to_owned(),
        expect: "it is Terminating, and no longer Ready; Services keep their addresses".to_owned(),
        undo: format!(
            "create a ServiceCIDR of another name with {}: the addresses are given out again, and the API server makes \
             `{DEFAULT}` anew from its flags",
            list(old)
        ),
        risk: Risk::NewConnections,
        takes: "seconds".to_owned(),
        ..Step::default()
    }
}

/// The hole in the documented procedure: from here on, Services could not be made again.
fn trial_after(wanted: &[Cidr]) -> Step {
    Step {
        id: "trial-after".to_owned(),
        title: "see that a Service without a wish gets an address of the new range".to_owned(),
        kind: "Service".to_owned(),
        object: "service default/kubectl-net-trial".to_owned(),
        command: "kubectl create service clusterip kubectl-net-trial -n default --tcp=1\n\
                  kubectl get service -n default kubectl-net-trial -o jsonpath='{.spec.clusterIPs}'\n\
                  kubectl delete service -n default kubectl-net-trial"
            .to_owned(),
        precondition: format!("servicecidr {DEFAULT} is Terminating"),
        expect: format!(
            "an address of {}; on `the provided network does not match the current range` stop here and undo: no Service \
             could be made again",
            list(wanted)
        ),
        undo: "kubectl delete service -n default kubectl-net-trial --ignore-not-found".to_owned(),
        takes: "seconds".to_owned(),
        ..Step::default()
    }
}

/// Pods reach the API server by the default Service's address: its certificate must name it.
fn certificates(facts: &Facts, wanted: &[Cidr]) -> Vec<Step> {
    let first: Vec<String> = wanted.iter().filter_map(|cidr| cidr.nth(1)).map(|ip| ip.to_string()).collect();
    let kubeadm = !facts.known.kubeadm.is_empty();
    let command = if kubeadm {
        "on each control-plane node: move /etc/kubernetes/pki/apiserver.{crt,key} away, run `kubeadm init phase certs \
         apiserver --config` with the new serviceSubnet, restart kube-apiserver"
            .to_owned()
    } else {
        format!(
            "on each control-plane node: make the API server's certificate anew with {} among its addresses",
            first.join(", ")
        )
    };
    vec![Step {
        id: "certificates".to_owned(),
        title: format!("make the API servers' certificates anew, with {}", first.join(", ")),
        kind: "file".to_owned(),
        object: "kube-apiserver's serving certificate".to_owned(),
        command,
        precondition: "the API servers run with the new range".to_owned(),
        expect: format!("kubectl netcidr check: no CIDR finding on the certificate; it names {}", first.join(", ")),
        undo: "move the old files back and restart".to_owned(),
        risk: Risk::NewConnections,
        by: By::Node,
        takes: "a minute or two for each control-plane node".to_owned(),
        ..Step::default()
    }]
}

fn default_service(wanted: &[Cidr]) -> Step {
    let first = wanted.first().and_then(|cidr| cidr.nth(1)).map(|ip| ip.to_string()).unwrap_or_default();
    Step {
        id: "default-service".to_owned(),
        title: "let the API server make the Service default/kubernetes anew".to_owned(),
        kind: "Service".to_owned(),
        object: "service default/kubernetes".to_owned(),
        command: "kubectl delete service -n default kubernetes".to_owned(),
        precondition: "every API server runs with the new range, and its certificate names the new address".to_owned(),
        expect: format!(
            "it is there again within seconds, with {first}; pods that hold the old address in \
                         KUBERNETES_SERVICE_HOST reach the API server again when they are restarted"
        ),
        undo: "set the flags back, and delete it once more".to_owned(),
        risk: Risk::Downtime,
        takes: "seconds, and the restart of every pod that talks to the API server".to_owned(),
        ..Step::default()
    }
}

fn bridge_away(wanted: &[Cidr]) -> Step {
    let names = wanted.iter().map(|cidr| object_name(&[*cidr])).collect::<Vec<_>>().join(" ");
    Step {
        id: "bridge-away".to_owned(),
        title: "take away the range objects that are no longer needed".to_owned(),
        kind: "ServiceCIDR".to_owned(),
        object: format!("servicecidr {names}"),
        command: format!("kubectl delete servicecidr {names} --wait=false"),
        precondition: format!("servicecidr {DEFAULT} is there again and names {}", list(wanted)),
        expect: format!("they are gone at once: servicecidr {DEFAULT} holds the same addresses"),
        undo: "create them again; ranges may overlap".to_owned(),
        takes: "seconds".to_owned(),
        ..Step::default()
    }
}
