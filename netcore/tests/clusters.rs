//! Whole made clusters through every source and check: what is healthy stays silent, and what the
//! sources say adds up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; the lint knows only test functions")]

use std::{fs, path::Path};

use netcore::{
    cluster::{ReadStatus, Resource, resources},
    ranges::{Facts, Given, Role, Want, blocks, checks, settle_unrecorded, sources},
    text::yaml_documents,
};
use serde_json::Value;

/// The facts of a folder of objects, as a reader of files would gather them.
fn facts_of(cluster: &str) -> Facts {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/clusters").join(cluster);
    let mut objects = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let documents = yaml_documents(&fs::read_to_string(&path).unwrap()).unwrap();
            objects.extend(documents.into_iter().map(|object| (kind_of(&object), object)));
        }
    }
    gather(&objects)
}

fn kind_of(object: &Value) -> &'static Resource {
    let group = object["apiVersion"].as_str().unwrap().rsplit_once('/').map_or("", |(group, _)| group);
    let kind = object["kind"].as_str().unwrap();
    resources::ALL.iter().find(|r| r.group == group && r.kind == kind).unwrap()
}

fn gather(objects: &[(&'static Resource, Value)]) -> Facts {
    let mut facts = Facts::default();
    loop {
        let wants = sources::ALL.iter().flat_map(|source| source.wants(&facts));
        let new: Vec<Want> = wants.filter(|want| !facts.reads.contains_key(want)).collect();
        if new.is_empty() {
            break;
        }
        for want in new {
            if !facts.reads.contains_key(&want) {
                let status = answer(&want, objects, &mut facts);
                facts.reads.insert(want, status);
            }
        }
    }
    settle_unrecorded(sources::ALL, &mut facts);
    for source in sources::ALL {
        source.finish(&mut facts);
    }
    facts
}

fn answer(want: &Want, objects: &[(&'static Resource, Value)], facts: &mut Facts) -> ReadStatus {
    let (resource, one, namespace, labels) = match want {
        Want::List { resource, namespace, labels, .. } => (*resource, None, namespace.clone(), labels.clone()),
        Want::Get { resource, namespace, name } => (*resource, Some(name), Some(namespace.clone()), None),
        _ => return ReadStatus::not_recorded(),
    };
    let of_kind: Vec<_> = objects.iter().filter(|(kind, _)| *kind == resource).collect();
    if of_kind.is_empty() {
        return ReadStatus::not_recorded();
    }
    let mut found = false;
    for (_, object) in of_kind {
        let meta = &object["metadata"];
        let labelled = labels.as_ref().is_none_or(|labels| selected(labels, &meta["labels"]));
        let here = namespace.as_ref().is_none_or(|n| n.is_empty() || meta["namespace"] == n.as_str());
        if here && labelled && one.is_none_or(|name| meta["name"] == name.as_str()) {
            found = true;
            give(resource, object, labels.is_some(), facts);
        }
    }
    if one.is_some() && !found { ReadStatus::Absent } else { ReadStatus::Complete }
}

/// Equality selectors only: `a=b,c=d`.
fn selected(selector: &str, labels: &Value) -> bool {
    selector.split(',').all(|term| match term.split_once(" in (") {
        Some((key, values)) => values.trim_end_matches(')').split(',').any(|value| labels[key] == value.trim()),
        None => term.split_once('=').is_some_and(|(key, value)| labels[key] == value),
    })
}

fn give(resource: &'static Resource, object: &Value, whole: bool, facts: &mut Facts) {
    fn lean<T: serde::de::DeserializeOwned>(object: &Value) -> T {
        serde_json::from_value(object.clone()).unwrap()
    }
    let mut all = |given: Given<'_>| sources::ALL.iter().for_each(|source| source.take(given, facts));
    match resource.kind {
        "Node" => all(Given::Node(&lean(object))),
        "Pod" if !whole => all(Given::Pod(&lean(object))),
        "Service" => all(Given::Service(&lean(object))),
        "IPAddress" => all(Given::IpAddress(&lean(object))),
        _ => all(Given::Object(resource, object)),
    }
}

const CLUSTERS: [&str; 4] = ["kubespray-calico", "operator-calico-dualstack", "cilium-cluster-pool", "eks-calico"];

#[test]
fn healthy_clusters_are_silent() {
    for cluster in CLUSTERS {
        let facts = facts_of(cluster);
        assert!(facts.unreadable.is_empty(), "{cluster}: {:#?}", facts.unreadable);
        let (found, _) = checks::run(&facts);
        assert!(found.is_empty(), "{cluster}: {found:#?}");
    }
}

#[test]
fn no_kind_of_an_absent_plugin_is_missed() {
    for cluster in CLUSTERS {
        let other = if cluster.starts_with("cilium") { "projectcalico.org" } else { "cilium.io" };
        for (want, status) in &facts_of(cluster).reads {
            if let Want::List { resource, .. } = want {
                assert!(!(resource.group.ends_with(other) && status.is_unrecorded()), "{cluster}: {resource:?}");
            }
        }
    }
}

#[test]
fn one_of_calicos_groups_is_enough() {
    let facts = facts_of("kubespray-calico");
    for kind in [&resources::CALICO_IPPOOLS_V3, &resources::CALICO_IPAMBLOCKS_V3, &resources::CALICO_BLOCKAFFINITIES_V3]
    {
        assert_eq!(facts.list_status(kind), Some(&ReadStatus::Absent), "{}", kind.full_name());
    }
    // neither group holds reservations: missed once
    assert_eq!(facts.list_status(&resources::CALICO_IPRESERVATIONS_V3), Some(&ReadStatus::Absent));
    assert_eq!(facts.list_status(&resources::CALICO_IPRESERVATIONS_V1), Some(&ReadStatus::not_recorded()));
}

#[test]
fn pools_have_their_use() {
    let cases = [
        ("kubespray-calico", "10.233.64.0/18", 9, 3),
        ("operator-calico-dualstack", "10.244.0.0/16", 9, 3),
        ("operator-calico-dualstack", "fd00:10:244::/56", 9, 3),
        ("cilium-cluster-pool", "10.244.0.0/16", 10, 3),
        ("eks-calico", "172.16.0.0/16", 6, 2),
    ];
    for (cluster, cidr, used, blocks_used) in cases {
        let facts = facts_of(cluster);
        let pool = blocks::pool_use(&facts, &cidr.parse().unwrap()).unwrap();
        assert_eq!((pool.used, pool.blocks_used), (Some(used), blocks_used), "{cluster} {cidr}");
        let rows: u64 = blocks::rows(&facts)
            .iter()
            .filter(|row| cidr.parse::<netcore::cidr::Cidr>().unwrap().contains(&row.cidr))
            .filter_map(|row| row.used)
            .sum();
        assert_eq!(rows, used, "{cluster}: the blocks' use adds up");
    }
}

#[test]
fn the_nodes_network_has_its_length() {
    for (cluster, network) in [
        ("kubespray-calico", "192.168.3.0/24"),
        ("operator-calico-dualstack", "fd00:50::/64"),
        ("eks-calico", "10.0.0.0/20"),
    ] {
        let facts = facts_of(cluster);
        let cidr = network.parse().unwrap();
        assert!(facts.ranges.iter().any(|fact| fact.role == Role::Node && fact.cidr == cidr), "{cluster}");
    }
}
