//! Every dump of ipset and nft that is at hand: the fixtures, and the folder that `NET_CORPUS` names.
//! Each is read without a problem and printed back, or the problem names its line.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test stops at once, with its reason, and says what it skips"
)]

use std::{collections::BTreeMap, fs, path::Path};

use e2e::{corpus::everything, netns::Dice};
use netcore::{
    ipset,
    nft::{self, Object},
    problem::Problems,
};
use serde_json::Value as Json;

/// What a file is: by its content, else by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ipset,
    NftJson,
    NftText,
    /// Called so, and not one by its content.
    Named,
}

fn kind(path: &Path, text: &[u8]) -> Option<Kind> {
    let lines = || text.split(|byte| *byte == b'\n').take(60);
    let name = path.to_string_lossy();
    let is_set = |line: &[u8]| {
        (line.starts_with(b"create ") && [&b" hash:"[..], b" bitmap:", b" list:set"].iter().any(|t| memmem(line, t)))
            || line.starts_with(b"Type: hash:")
            || line.starts_with(b"Type: bitmap:")
            || line.starts_with(b"Type: list:set")
    };
    let table = |line: &[u8]| {
        line.starts_with(b"table ")
            && line.split(|byte| *byte == b'#').next().is_some_and(|head| head.trim_ascii_end().ends_with(b"{"))
    };
    // a file of another format may quote one
    let quoted = ["md", "py", "go", "mdx"].iter().any(|end| name.ends_with(&format!(".{end}")));
    if text.starts_with(b"{\"nftables\"") {
        Some(Kind::NftJson)
    } else if lines().any(is_set) && !quoted {
        Some(Kind::Ipset)
    } else if lines().any(table) && !quoted {
        Some(Kind::NftText)
    } else {
        let parts = ["ipset-list", "ipset-save", "nft-list", "nft-json", "nft-ruleset", "nft.json", "ipset.txt"];
        parts.iter().any(|part| name.contains(part)).then_some(Kind::Named)
    }
}

fn memmem(line: &[u8], wanted: &[u8]) -> bool {
    line.windows(wanted.len()).any(|window| window == wanted)
}

/// Lines without what carries nothing: blanks at either end, and empty ones.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
}

/// What is wrong with problems: they name no line.
fn vague(problems: &Problems) -> Option<String> {
    let bad =
        problems.kept().iter().find(|problem| problem.line == 0 || problem.column == 0 || problem.reason.is_empty());
    bad.map(|problem| format!("a problem without its place: {problem}"))
}

fn ipset_complaint(text: &[u8]) -> Option<String> {
    let sets = ipset::parse(text);
    if !sets.problems.is_empty() {
        println!("  {} problems, the first: {}", sets.problems.count(), sets.problems.first().expect("one"));
        return vague(&sets.problems);
    }
    (lines(text) != lines(&sets.print())).then(|| "printed otherwise than read".to_owned())
}

fn json_complaint(text: &[u8]) -> Option<String> {
    let ruleset = nft::parse(text);
    if !ruleset.problems.is_empty() {
        println!("  {} problems, the first: {}", ruleset.problems.count(), ruleset.problems.first().expect("one"));
        return vague(&ruleset.problems);
    }
    let unknown = ruleset.objects.iter().filter(|object| matches!(object, Object::Unknown(_))).count();
    if unknown > 0 {
        return Some(format!("{unknown} objects are not known"));
    }
    let read: Json = serde_json::from_slice(text).expect("JSON");
    let printed: Json = serde_json::from_slice(&ruleset.print()).expect("JSON");
    (read != printed).then(|| "printed with other values than read".to_owned())
}

#[test]
fn every_dump_is_read_and_printed_back() {
    let (mut counts, mut complaints) = (BTreeMap::new(), Vec::new());
    for path in everything() {
        let text = fs::read(&path).expect("a file");
        let Some(kind) = kind(&path, &text) else { continue };
        *counts.entry(kind).or_insert(0) += 1;
        let complaint = match kind {
            Kind::Ipset => ipset_complaint(&text),
            Kind::NftJson => json_complaint(&text),
            Kind::NftText => vague(&nft::parse_text(&text).problems),
            Kind::Named => {
                println!("{}: not a dump by its content", path.display());
                let said = [ipset::parse(&text).problems, nft::parse(&text).problems, nft::parse_text(&text).problems];
                let silent = !text.trim_ascii().is_empty() && said.iter().any(Problems::is_empty);
                said.iter().find_map(vague).or(silent.then(|| "taken without a problem".to_owned()))
            }
        };
        complaints.extend(complaint.map(|what| format!("{}: {what}", path.display())));
    }
    println!("{counts:?}");
    assert!(counts.get(&Kind::NftJson).is_some_and(|n| *n > 0) && counts.get(&Kind::Ipset).is_some_and(|n| *n > 0));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Where a folder has the same rule set in both forms, they count the same.
#[test]
fn text_and_json_count_the_same() {
    let mut pairs = 0;
    for path in everything() {
        let name = path.to_string_lossy().into_owned();
        let other = [("nft-ruleset.json", "nft-ruleset.txt"), ("nft-j-ruleset.json", "nft-ruleset.txt")];
        let Some(other) = other.iter().find(|(end, _)| name.ends_with(end)).map(|(a, b)| name.replace(a, b)) else {
            continue;
        };
        let Ok(text) = fs::read(&other) else { continue };
        let json = fs::read(&path).expect("a file");
        let (ruleset, found) = (nft::parse(&json), nft::parse_text(&text));
        assert!(found.problems.is_empty(), "{other}: {}", found.problems);
        let count = |each: fn(&nft::TextTable<'_>) -> usize| found.tables.iter().map(each).sum::<usize>();
        assert_eq!(found.tables.len(), ruleset.tables().count(), "{other}");
        assert_eq!(count(|table| table.chains.len()), ruleset.chains().count(), "{other}");
        assert_eq!(count(|table| table.sets.len()), ruleset.sets().count(), "{other}");
        assert_eq!(count(|table| table.maps.len()), ruleset.maps().count(), "{other}");
        assert_eq!(found.rules(), ruleset.rules().count(), "{other}");
        let names: Vec<&str> = found.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.name).collect();
        let same: Vec<&str> = ruleset.chains().map(|chain| &*chain.name).collect();
        assert_eq!(names, same, "{other}");
        pairs += 1;
    }
    println!("{pairs} rule sets in both forms");
}

/// One of so many, at least one.
fn pick(dice: &mut Dice, many: usize) -> usize {
    usize::try_from(dice.below(many.max(1) as u64)).expect("below a size")
}

/// Counts the scalars of a value, and changes the one whose turn it is.
fn change(value: &mut Json, turn: &mut usize) -> bool {
    let scalar = !value.is_object() && !value.is_array();
    if scalar && *turn > 0 {
        *turn -= 1;
        return false;
    }
    match value {
        Json::Object(map) => map.values_mut().any(|inner| change(inner, turn)),
        Json::Array(all) => all.iter_mut().any(|inner| change(inner, turn)),
        Json::String(text) => {
            text.push('7');
            true
        }
        Json::Number(number) => {
            *value = Json::from(number.as_i64().unwrap_or_default() ^ 1);
            true
        }
        Json::Bool(truth) => {
            *truth = !*truth;
            true
        }
        Json::Null => {
            *value = Json::from("not null");
            true
        }
    }
}

#[test]
fn any_field_of_a_rule_set_that_changes_changes_the_model() {
    let mut dice = Dice::new(42);
    let mut changed = 0;
    for path in everything() {
        let Ok(text) = fs::read(&path) else { continue };
        if kind(&path, &text) != Some(Kind::NftJson) || text.len() > 200_000 {
            continue;
        }
        let Ok(whole) = serde_json::from_slice::<Json>(&text) else { continue };
        for _ in 0..30 {
            let mut other = whole.clone();
            let mut turn = pick(&mut dice, text.len() / 12);
            if !change(&mut other, &mut turn) {
                continue;
            }
            let bytes = other.to_string();
            let ruleset = nft::parse(bytes.as_bytes());
            let printed: Json = serde_json::from_slice(&ruleset.print()).expect("JSON");
            assert_eq!(printed, other, "{}", path.display());
            changed += 1;
        }
    }
    assert!(changed > 20, "{changed} fields were changed");
}

#[test]
fn any_digit_of_a_set_that_changes_changes_the_model() {
    let mut dice = Dice::new(43);
    let mut changed = 0;
    for path in everything() {
        let Ok(text) = fs::read(&path) else { continue };
        if kind(&path, &text) != Some(Kind::Ipset) {
            continue;
        }
        let before = ipset::parse(&text);
        if !before.problems.is_empty() {
            continue;
        }
        let printed = before.print();
        let digits: Vec<usize> =
            text.iter().enumerate().filter(|(_, byte)| (b'1'..=b'8').contains(byte)).map(|(at, _)| at).collect();
        for _ in 0..if digits.is_empty() { 0 } else { 60 } {
            let at = digits[pick(&mut dice, digits.len())];
            let mut other = text.clone();
            other[at] += 1;
            let after = ipset::parse(&other);
            let noticed = !after.problems.is_empty() || after.print() != printed;
            let line = String::from_utf8_lossy(&other[..at]).matches('\n').count() + 1;
            assert!(noticed, "{}:{line}: nobody saw the digit at byte {at} change", path.display());
            changed += 1;
        }
    }
    assert!(changed > 20, "{changed} digits were changed");
}
