//! Each hashed chain of captured nodes gets the name of the API's object that it was made of, from the
//! objects alone: no comment is read.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at once, with its reason")]

use std::{collections::BTreeSet, path::PathBuf};

use netcore::{
    cluster::wire,
    iptables::Ruleset,
    names::{Name, Names},
    nft,
};
use serde_json::Value;

fn fixture(path: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(path);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn items(path: &str) -> Vec<Value> {
    let list: Value = serde_json::from_slice(&fixture(path)).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn names(folder: &str) -> Names {
    let mut names = Names::new();
    for item in items(&format!("{folder}/services.json")) {
        names.service(&serde_json::from_value::<wire::Service>(item).unwrap());
    }
    for slice in items(&format!("{folder}/endpointslices.json")) {
        names.slice(&serde_json::from_value::<wire::EndpointSlice>(slice).unwrap());
    }
    names
}

fn service(names: &[Name]) -> Option<String> {
    names.iter().find_map(|name| if let Name::Service(port) = name { Some(port.to_string()) } else { None })
}

#[test]
fn every_chain_of_iptables_mode_is_named_by_the_api() {
    let names = names("captures/iptables-nft-variety");
    let prefixes = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-"];
    let mut seen = BTreeSet::new();
    for file in ["iptables-save-c.txt", "ip6tables-save-c.txt"] {
        let rules = Ruleset::parse(fixture(&format!("captures/iptables-nft-variety/{file}")));
        for chain in rules.tables().flat_map(|table| table.chains()) {
            let Some(prefix) = prefixes.iter().find(|prefix| chain.name().starts_with(**prefix)) else { continue };
            let found = names.of_chain(chain.name());
            let service = service(&found).unwrap_or_else(|| panic!("{} has no name", chain.name()));
            // and it is the one that kube-proxy wrote into the chain's own comments
            let comments = chain.rules().flat_map(|rule| rule.comments().map(String::from).collect::<Vec<_>>());
            let told = comments.filter(|comment| comment.contains(&service)).count();
            assert!(told > 0, "{} is not of {service}", chain.name());
            assert_eq!(found.len(), if *prefix == "KUBE-SEP-" { 2 } else { 1 }, "{}: {found:?}", chain.name());
            seen.insert((*prefix, chain.name().to_owned()));
        }
    }
    for prefix in prefixes {
        assert!(seen.iter().any(|(of, _)| *of == prefix), "no {prefix} was tried");
    }
    assert!(seen.len() > 80, "{}", seen.len());
}

#[test]
fn every_chain_of_nftables_mode_is_named_by_hash_as_by_its_words() {
    let names = names("captures/nftables-variety");
    let text = fixture("captures/nftables-variety/nft-ruleset.json");
    let rules = nft::parse(&text);
    let mut tried = 0;
    for chain in rules.chains().filter(|chain| chain.table == "kube-proxy" && chain.name.contains('/')) {
        let by_words = names.of_chain(&chain.name);
        // of a name that was cut only the hash is left
        let mut parts = chain.name.splitn(3, '-');
        let (kind, hash) = (parts.next().unwrap(), parts.next().unwrap());
        if kind == "endpoint" {
            assert_eq!(by_words.len(), 2, "{}: {by_words:?}", chain.name);
            continue;
        }
        assert_eq!(names.of_chain(&format!("{kind}-{hash}-x/...")), by_words, "{}", chain.name);
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}
