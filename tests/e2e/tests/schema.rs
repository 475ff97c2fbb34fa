//! The contract of the JSON: what the checked-in schemas promise, and that they refuse what breaks it.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use e2e::{fixtures, netcidr, report, schema};
use serde_json::{Value, json};

const CAPTURE: &str = "captures/cluster3-exec";

fn asked(arguments: &[&str]) -> Value {
    let mut command = netcidr();
    command.current_dir(fixtures()).args(arguments).args(["-o", "json", "--from", CAPTURE]);
    report(&command.output().expect("the plugin runs"))
}

/// The fields that an object of a schema names, with references followed.
fn fields<'a>(root: &'a Value, place: &'a Value) -> &'a Value {
    if let Some(reference) = place["$ref"].as_str() {
        return fields(
            root,
            root.pointer(reference.trim_start_matches('#')).expect("a reference that leads somewhere"),
        );
    }
    if let Some(any) = place["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null")) {
        return fields(root, any);
    }
    if place["items"].is_object() {
        return fields(root, &place["items"]);
    }
    &place["properties"]
}

/// Every field by its path: `ranges[].sources[].text` as `ranges.sources.text`.
fn has(root: &Value, path: &str) -> bool {
    let mut place = root;
    path.split('.').all(|name| match fields(root, place).get(name) {
        Some(next) => {
            place = next;
            true
        }
        None => false,
    })
}

/// Fields that every kind has, and those of each kind, as the contract lists them.
const COMMON: &str = "apiVersion kind cluster.context cluster.server cluster.version cluster.uid \
    cluster.distribution window.start window.end unreadable.source unreadable.node unreadable.reason \
    findings.id findings.severity findings.subject findings.message findings.evidence findings.remedy \
    changes.op changes.path changes.key changes.before changes.after";
const KINDS: &[(&str, &str)] = &[
    (
        "CidrReport",
        "ranges.role ranges.family ranges.cidr ranges.text ranges.sources.source ranges.sources.object \
         ranges.sources.field ranges.sources.confidence ranges.sources.text ranges.capacity ranges.capacityText \
         ranges.used ranges.percentUsed nodes.name nodes.podCIDRs nodes.podsUsed nodes.podsUsable nodes.maxPods \
         nodes.addresses blocks.cidr blocks.node blocks.used blocks.capacity dnsDomain",
    ),
    (
        "AddressList",
        "items.address items.owners.kind items.owners.namespace items.owners.name items.owners.node items.ranges",
    ),
    ("FreeRangeList", "items.cidr"),
    (
        "NodeCidrList",
        "items.name items.podCIDRs items.podsUsed items.podsUsable items.maxPods items.addresses items.subnetEnv \
         items.routes.destination items.routes.via items.routes.dev items.routes.node items.routes.state",
    ),
    ("AddressMap", "blocks.cidr blocks.ranges.role"),
];

#[test]
fn every_field_of_the_contract_is_in_the_schema() {
    let mut missing = Vec::new();
    for (kind, own) in KINDS {
        let schema = schema::schema(kind);
        let paths = COMMON.split_whitespace().chain(own.split_whitespace());
        missing.extend(paths.filter(|path| !has(&schema, path)).map(|path| format!("{kind}: {path}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_command_prints_by_its_schema() {
    for (arguments, kind) in [
        (&[][..], "CidrReport"),
        (&["check", "--fail-on", "never"], "CidrReport"),
        (&["whois", "10.96.0.1", "10.244.1.2", "8.8.8.8", "fd00:96::1"], "AddressList"),
        (&["free", "/20", "-c", "3"], "FreeRangeList"),
        (&["nodes"], "NodeCidrList"),
        (&["map"], "AddressMap"),
        (&["--since", "clusters/talos"], "CidrReport"),
        (&["map", "--since", "clusters/talos"], "AddressMap"),
    ] {
        let document = asked(arguments);
        assert_eq!(document["kind"], kind, "{arguments:?}");
        let since = arguments.contains(&"--since");
        assert_eq!(document["changes"].as_array().is_some_and(|changes| !changes.is_empty()), since, "{arguments:?}");
    }
}

/// Breaks a right document in one place.
type Spoil = fn(&mut Value);

#[test]
fn wrong_documents_are_refused() {
    let right = asked(&[]);
    let broken: [(&str, Spoil); 7] = [
        ("a count in words", |document| document["ranges"][0]["used"] = "six".into()),
        ("a negative count", |document| document["ranges"][0]["used"] = (-1).into()),
        ("a role that is none", |document| document["ranges"][0]["role"] = "podd".into()),
        ("a field that nobody knows", |document| document["ranges"][0]["usage"] = 6.into()),
        ("a finding without a remedy", |document| {
            document["findings"] = json!([{"id": "CIDR-001", "severity": "error", "subject": "s", "message": "m",
                "evidence": []}]);
        }),
        ("another version", |document| document["apiVersion"] = "kubectl-net/v2".into()),
        ("changes that are null", |document| document["changes"] = Value::Null),
    ];
    assert!(schema::violations(&right).is_empty());
    for (what, spoil) in broken {
        let mut wrong = right.clone();
        spoil(&mut wrong);
        assert!(!schema::violations(&wrong).is_empty(), "accepted: {what}");
    }
    let mut short = right;
    short.as_object_mut().expect("an object").remove("dnsDomain");
    assert!(!schema::violations(&short).is_empty(), "accepted: a document without dnsDomain");
}

#[test]
fn a_recording_is_by_its_schema() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("recording");
    let mut command = netcidr();
    command.current_dir(fixtures()).args(["--from", "clusters/talos", "--record"]).arg(&place);
    command.assert().success();
    let text = std::fs::read(place.join("recording.json")).expect("a recording");
    let document = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(schema::violations_of("recording", &document), [""; 0]);
}
