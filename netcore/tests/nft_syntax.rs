//! Rules in nft's words, beside what nft itself listed of the same kernel state.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at once, with its reason")]

use std::{collections::BTreeMap, path::PathBuf};

use netcore::nft;

fn fixture(path: &str) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The rules of each chain as nft listed them.
fn listed(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut rules: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut table, mut chain) = (String::new(), None);
    for line in text.lines() {
        let words = line.trim();
        if let Some(name) = words.strip_prefix("table ").and_then(|rest| rest.strip_suffix(" {")) {
            name.clone_into(&mut table);
        } else if let Some(name) = words.strip_prefix("chain ").and_then(|rest| rest.strip_suffix(" {")) {
            chain = Some(format!("{table} {name}"));
            rules.entry(format!("{table} {name}")).or_default();
        } else if words == "}" {
            chain = None;
        } else if let Some(chain) = &chain
            && !words.starts_with("type ")
            && !words.starts_with("comment ")
        {
            rules.get_mut(chain).unwrap().push(words.to_owned());
        }
    }
    rules
}

fn compare(json: &str, text: &str) -> usize {
    let json = fixture(json);
    let parsed = nft::parse(json.as_bytes());
    let mut ours: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for chain in parsed.chains() {
        ours.entry(format!("{} {} {}", chain.family, chain.table, chain.name)).or_default();
    }
    for rule in parsed.rules() {
        let place = format!("{} {} {}", rule.family, rule.table, rule.chain);
        ours.entry(place).or_default().push(rule.to_string());
    }
    let theirs = listed(&fixture(text));
    let mut compared = 0;
    for (chain, rules) in &theirs {
        assert_eq!(ours.get(chain), Some(rules), "{chain}");
        compared += rules.len();
    }
    assert_eq!(ours.len(), theirs.len());
    compared
}

#[test]
fn kube_proxys_rules_are_written_as_nft_lists_them() {
    assert!(compare("captures/nftables-variety/nft-ruleset.json", "syntax/nftables-variety.txt") > 100);
}

#[test]
fn felix_rules_are_written_as_nft_lists_them() {
    assert!(compare("generated/felix-nftables-6pods/nft.json", "syntax/felix-nftables-6pods.txt") > 200);
}
