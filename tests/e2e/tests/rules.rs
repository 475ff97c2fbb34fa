//! Real dumps that the project may not carry: `NET_CORPUS` names a folder of them. Every file that looks
//! like iptables is read and printed back byte for byte, or otherwise for one of a few named reasons.

use std::{collections::BTreeSet, fs};

use e2e::corpus;
use netcore::iptables::{NoteKind, Ruleset, listing};

/// What a file is, told by its lines.
enum Kind {
    /// Lines of `iptables-save` or `iptables -S`.
    Rules,
    /// `iptables -L`.
    Listing,
    Other,
}

fn kind(text: &str) -> Kind {
    let starts = |line: &str, start: &str| line.starts_with(start) && !line.starts_with("-A -");
    let rules = text.lines().any(|line| {
        let after = line.split_once("] ").filter(|_| line.starts_with('[')).map_or(line, |(_, rest)| rest);
        starts(after, "-A ") || starts(line, "-N ") || (line.starts_with(':') && line.contains(" [0:0]"))
    });
    let listing = text.lines().any(|line| line.starts_with("Chain ") && line.contains('('));
    let ipvs = text.lines().any(|line| line.starts_with("-A -t ") || line.starts_with("-A -u "));
    match (rules && !ipvs, listing) {
        (true, false) => Kind::Rules,
        (_, true) => Kind::Listing,
        _ => Kind::Other,
    }
}

/// A way in which people and old releases write what iptables prints otherwise, and how it is evened out.
type Form = (&'static str, fn(Vec<String>) -> Vec<String>);

/// The only reasons for which a text is not printed back byte for byte, besides the ends of its lines.
const FORMS: [Form; 7] = [
    ("blanks between words and at the end", |words| words),
    ("a chain without a policy", |mut words| {
        if words.len() == 1 && words[0].starts_with(':') {
            words.push("-".to_owned());
        }
        words
    }),
    ("a protocol's module left out", |words| {
        let implied = |at: usize| {
            let is = |index: usize, word: &str| words.get(index).is_some_and(|found| found == word);
            let protocol = words.iter().position(|word| word == "-p").and_then(|place| words.get(place + 1));
            let module = |index| protocol.is_some_and(|protocol| is(index, protocol));
            (is(at, "-m") && module(at + 1)) || (at > 0 && is(at - 1, "-m") && module(at))
        };
        (0..words.len()).filter(|at| !implied(*at)).map(|at| words[at].clone()).collect()
    }),
    ("`!` behind the option, as releases before 1.4.3 print it", |mut words| {
        for at in 1..words.len() {
            if words[at] == "!" && words[at - 1].starts_with('-') {
                words.swap(at - 1, at);
            }
        }
        words
    }),
    ("another name of an option", |words| {
        let printed = |word: String| match word.as_str() {
            "--days" => "--weekdays".to_owned(),
            "--mac" => "--mac-source".to_owned(),
            "--append" => "-A".to_owned(),
            "--new" | "--new-chain" => "-N".to_owned(),
            "--policy" => "-P".to_owned(),
            _ => word,
        };
        words.into_iter().map(printed).collect()
    }),
    ("states in another order", |words| {
        let sorted = |word: String| {
            let mut names: Vec<&str> = word.split(',').collect();
            names.sort_unstable();
            names.join(",")
        };
        words.into_iter().map(sorted).collect()
    }),
    ("a probability with fewer digits", |words| {
        let number = |word: &String| word.parse::<f64>().ok().filter(|_| word.contains('.'));
        words.iter().map(|word| number(word).map_or_else(|| word.clone(), |number| format!("{number:.8}"))).collect()
    }),
];

/// Why a line is printed otherwise than it is written; nothing where no form explains it.
fn explained(written: &str, printed: &str) -> Option<&'static str> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (mut left, mut right) = (words(written), words(printed));
    for (name, even) in FORMS {
        (left, right) = (even(left), even(right));
        if left == right {
            return Some(name);
        }
    }
    None
}

/// Every reason why a text is not printed back byte for byte; the error is a line without one.
fn reasons(written: &str, printed: &str) -> Result<BTreeSet<&'static str>, String> {
    let mut found = BTreeSet::new();
    if written.contains("\r\n") {
        found.insert("CR at the ends of lines");
    }
    if !written.ends_with('\n') {
        found.insert("no end of the last line");
    }
    if written.lines().count() != printed.lines().count() {
        return Err(format!("{} lines became {}", written.lines().count(), printed.lines().count()));
    }
    for (written, printed) in written.lines().zip(printed.lines()).filter(|(written, printed)| written != printed) {
        match explained(written, printed) {
            Some(reason) => found.insert(reason),
            None => return Err(format!("{written}\n   {printed}")),
        };
    }
    if found.is_empty() { Err("no line differs".to_owned()) } else { Ok(found) }
}

#[test]
fn the_forms_explain_what_they_name_and_nothing_else() {
    let printed = "-A A -p tcp -m tcp --dport 80 -j B";
    assert_eq!(explained("-A A -p tcp --dport 80  -j B ", printed), Some("a protocol's module left out"));
    assert_eq!(explained("-A A -p tcp --dport 81 -j B", printed), None);
    assert_eq!(explained("-A A -p tcp -m udp --dport 80 -j B", printed), None);
    assert!(explained("-A A -d ! 10.0.0.0/8 -j B", "-A A ! -d 10.0.0.0/8 -j B").is_some());
    assert_eq!(explained("-A A -d 10.0.0.0/8 -j B", "-A A ! -d 10.0.0.0/8 -j B"), None);
    assert!(reasons("a\n", "a\n").is_err() && reasons("a", "a\n").is_ok() && reasons("a\nb\n", "a\n").is_err());
}

#[test]
fn every_dump_is_read_and_printed_back() {
    let Some(corpus) = corpus::folder() else { return };
    let all = corpus::files(&corpus);
    let (mut complaints, mut exact, mut other, mut listings, mut wrong) = (Vec::new(), 0, 0, 0, 0);
    let mut named_so = Vec::new();
    for path in &all {
        let bytes = fs::read(path).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        match kind(&text) {
            Kind::Rules => {
                let set = Ruleset::parse(bytes.clone());
                let printed = set.print();
                let same = printed == bytes;
                if Ruleset::parse(printed.clone()) != set {
                    complaints.push(format!("{}: printed and read again, it says something else", path.display()));
                }
                if !same {
                    match reasons(&text, &String::from_utf8_lossy(&printed)) {
                        Ok(found) => println!("not byte for byte: {}: {found:?}", path.display()),
                        Err(line) => complaints.push(format!("{}: for no known reason: {line}", path.display())),
                    }
                }
                let damaged = set.notes().filter(|note| note.kind == NoteKind::Damaged).count();
                let problems = set.check();
                wrong += problems.len();
                println!(
                    "{}: {} rules, {} damaged, {} problems{}",
                    path.display(),
                    set.rule_count(),
                    damaged,
                    problems.len(),
                    if same { "" } else { ", normalised" }
                );
                for problem in problems.iter().take(3) {
                    println!("   {problem}");
                }
                if same { exact += 1 } else { other += 1 }
            }
            Kind::Listing => {
                let listing = listing::Listing::parse(&text);
                println!(
                    "{}: {} chains, {} rules listed, {} problems",
                    path.display(),
                    listing.chains.len(),
                    listing.chains.iter().map(|chain| chain.rules.len()).sum::<usize>(),
                    listing.problems.len()
                );
                for problem in listing.problems.iter().take(3) {
                    println!("   {problem}");
                }
                if listing.chains.is_empty() {
                    complaints.push(format!("{}: no chain in it", path.display()));
                }
                listings += 1;
            }
            Kind::Other => {
                let name = path.to_string_lossy();
                if ["iptables-save", "ip6tables-save", "iptables-L/"].iter().any(|part| name.contains(part)) {
                    named_so.push(name.into_owned());
                }
            }
        }
    }
    println!(
        "{exact} dumps byte for byte, {other} in the tool's form, {listings} listings, {wrong} problems named; {} files of other kinds",
        all.len() - exact - other - listings
    );
    for name in named_so {
        println!("named like a dump, and holds no rule: {name}");
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
