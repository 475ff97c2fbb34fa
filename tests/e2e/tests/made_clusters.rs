//! The made clusters of `tests/fixtures/clusters`: each is healthy, so no check may say a word, and
//! its ranges must be known by the sources that its distribution has.

#![expect(clippy::unwrap_used, reason = "a broken fixture fails the test")]

use std::{collections::BTreeSet, fs, path::Path};

use netcore::{
    cluster::{ReadStatus, Resource, resources, wire},
    ranges::{Confidence, Facts, Given, Role, Want, checks, settle_unrecorded, sources},
};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/clusters");

fn objects(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.iter().flat_map(|file| documents(file)).collect()
}

fn documents(file: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&fs::read_to_string(file).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Reads what the sources want from the objects at hand, as the plugin does from a folder.
fn facts(objects: &[Value]) -> Facts {
    let mut facts = Facts::default();
    let mut done = BTreeSet::new();
    loop {
        let wanted: BTreeSet<Want> = sources::ALL.iter().flat_map(|source| source.wants(&facts)).collect();
        let new: Vec<_> = wanted.into_iter().filter(|want| done.insert(want.clone())).collect();
        if new.is_empty() {
            break;
        }
        for want in new {
            let status = read(&want, objects, &mut facts);
            facts.reads.insert(want, status);
        }
    }
    settle_unrecorded(sources::ALL, &mut facts);
    for source in sources::ALL {
        source.finish(&mut facts);
    }
    facts
}

fn read(want: &Want, objects: &[Value], facts: &mut Facts) -> ReadStatus {
    let (resource, chosen): (_, Vec<&Value>) = match want {
        Want::List { fields: Some(_), .. } | Want::Raw { .. } | Want::ServingCertificate | Want::Node(_) => {
            return ReadStatus::Absent;
        }
        Want::List { resource, namespace, labels, .. } => {
            let all = of(resource, objects);
            let chosen = all.filter(|o| {
                namespace.as_deref().is_none_or(|namespace| meta(o, "namespace") == namespace)
                    && labels.as_deref().is_none_or(|selector| selected(o, selector))
            });
            (*resource, chosen.collect())
        }
        Want::Get { resource, namespace, name } => {
            let chosen = of(resource, objects).find(|o| meta(o, "namespace") == namespace && meta(o, "name") == name);
            if chosen.is_none() {
                return ReadStatus::Absent;
            }
            (*resource, chosen.into_iter().collect())
        }
    };
    if chosen.is_empty() && !resource.builtin {
        return ReadStatus::Absent;
    }
    let whole = !matches!(want, Want::List { labels: None, namespace: None, .. });
    for object in chosen {
        give(resource, object, whole, facts);
    }
    ReadStatus::Complete
}

fn give(resource: &'static Resource, object: &Value, whole: bool, facts: &mut Facts) {
    let lean = |given: Given<'_>, facts: &mut Facts| {
        for source in sources::ALL {
            source.take(given, facts);
        }
    };
    if resource == &resources::NODES {
        lean(Given::Node(&wire_of::<wire::Node>(object)), facts);
    } else if resource == &resources::PODS && !whole {
        lean(Given::Pod(&wire_of::<wire::Pod>(object)), facts);
    } else if resource == &resources::SERVICES {
        lean(Given::Service(&wire_of::<wire::Service>(object)), facts);
    } else if resource == &resources::IPADDRESSES {
        lean(Given::IpAddress(&wire_of::<wire::IpAddress>(object)), facts);
    } else {
        lean(Given::Object(resource, object), facts);
    }
}

fn wire_of<T: wire::Lean>(object: &Value) -> T {
    serde_json::from_value(object.clone()).unwrap()
}

fn of<'a>(resource: &'static Resource, objects: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |o| {
        let version = o["apiVersion"].as_str().unwrap_or_default();
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        o["kind"] == resource.kind && group == resource.group
    })
}

fn meta<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}

fn selected(object: &Value, selector: &str) -> bool {
    selector.split(',').all(|term| {
        let (key, value) = term.split_once('=').unwrap();
        object["metadata"]["labels"][key] == value
    })
}

/// The canonical ranges of a role that somebody states for the whole cluster.
fn stated(facts: &Facts, role: Role) -> BTreeSet<String> {
    let whole = facts.ranges.iter().filter(|r| r.role == role && r.share_of.is_none() && !r.lower_bound);
    whole.filter(|r| r.origin.confidence < Confidence::D).map(|r| r.cidr.to_string()).collect()
}

#[test]
fn every_made_cluster_is_healthy() {
    let mut folders: Vec<_> = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut wrong = Vec::new();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_string_lossy();
        assert!(folder.join("ORIGIN").is_file(), "{name} does not say where it comes from");
        let facts = facts(&objects(folder));
        let (found, _) = checks::run(&facts);
        wrong.extend(found.iter().map(|f| format!("{name}: {} {} {} {:?}", f.id, f.subject, f.message, f.evidence)));
    }
    assert!(folders.len() >= 8, "at least eight distributions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_made_cluster_states_its_ranges() {
    for (name, pods, services) in [
        ("aks", &["10.244.0.0/16"][..], &["10.0.0.0/16"][..]),
        ("antrea", &["10.244.0.0/16"], &["10.96.0.0/12"]),
        // pods of the VPC, whose ranges only the cloud knows
        ("eks", &[], &["172.20.0.0/16"]),
        ("gke", &["10.4.0.0/14"], &["10.8.0.0/20"]),
        // 10.42.0.0/16 is k3s' default, which no object states but flannel's share of each node
        ("k3s", &[], &["10.43.0.0/16"]),
        ("kube-ovn", &["10.16.0.0/16", "10.17.0.0/24"], &["10.96.0.0/12"]),
        ("kubeadm-flannel", &["10.244.0.0/16"], &["10.96.0.0/12"]),
        ("metallb-kubeadm", &["10.244.0.0/16", "fd00:10:244::/56"], &["10.96.0.0/12", "fd00:10:96::/112"]),
        ("microk8s", &["10.1.0.0/16"], &["10.152.183.0/24"]),
        ("openshift", &["10.128.0.0/14"], &["172.30.0.0/16"]),
        ("rke2", &["10.42.0.0/16"], &["10.43.0.0/16"]),
        ("talos", &["10.244.0.0/16"], &["10.96.0.0/12"]),
    ] {
        let facts = facts(&objects(&Path::new(FOLDER).join(name)));
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(stated(&facts, Role::Pod), set(pods), "{name}");
        assert_eq!(stated(&facts, Role::Service), set(services), "{name}");
        assert!(!facts.nodes.is_empty() && facts.nodes.values().all(|node| node.ready), "{name}");
    }
}

#[test]
fn every_distribution_is_known_by_its_signs() {
    for (folder, name) in [
        ("aks", "aks"),
        ("eks", "eks"),
        ("gke", "gke"),
        ("k3s", "k3s"),
        ("kubeadm-flannel", "kubeadm"),
        ("microk8s", "microk8s"),
        ("openshift", "openshift"),
        ("rke2", "rke2"),
        ("talos", "talos"),
    ] {
        let facts = facts(&objects(&Path::new(FOLDER).join(folder)));
        let names: BTreeSet<_> = facts.distributions.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, BTreeSet::from([name]), "{folder}");
    }
}

#[test]
fn a_pool_moved_into_the_service_range_is_found() {
    let mut objects = objects(&Path::new(FOLDER).join("metallb-kubeadm"));
    let pool = objects.iter_mut().find(|o| o["kind"] == "IPAddressPool" && o["metadata"]["name"] == "lan").unwrap();
    pool["spec"]["addresses"][0] = Value::from("10.111.0.200-10.111.0.219");
    let (found, _) = checks::run(&facts(&objects));
    let ids: Vec<_> = found.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(ids, ["CIDR-005"], "{found:?}");
}
