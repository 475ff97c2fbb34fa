//! Real dumps that the project may not carry: `NET_CORPUS` names a folder of them. Whatever is in
//! there, the plugin answers or says what it could not read; it never falls over.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use e2e::{netcidr, report, stderr};

fn run(path: &Path, arguments: &[&str]) -> Output {
    let mut command = netcidr();
    command.args(arguments).arg("--from").arg(path).timeout(std::time::Duration::from_secs(300));
    command.output().expect("the plugin runs")
}

/// Every input that somebody could name: each folder that holds files, and each archive.
fn inputs(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut files = false;
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file")).collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            inputs(&path, found);
        } else if path.to_string_lossy().ends_with(".tar.xz") {
            found.push(path);
        } else {
            files = true;
        }
    }
    if files {
        found.push(folder.to_owned());
    }
}

/// Why an answer is not one that a user could live with.
fn wrong(path: &Path, output: &Output) -> Option<String> {
    let said = stderr(output);
    let name = path.file_name()?.to_string_lossy().into_owned();
    match output.status.code() {
        _ if said.contains("panicked at") => Some(format!("panicked: {said}")),
        Some(0 | 1 | 3) => None,
        Some(2) if said.contains(&name) => None,
        code => Some(format!("exit {code:?}: {said}")),
    }
}

#[test]
fn every_input_is_answered() {
    let Some(corpus) = e2e::corpus::folder() else { return };
    let mut all = Vec::new();
    inputs(&corpus, &mut all);
    assert!(!all.is_empty(), "{} holds nothing", corpus.display());
    let mut complaints = Vec::new();
    let mut answered = 0;
    for path in &all {
        let output = run(path, &["check", "-o", "json"]);
        if output.status.code() != Some(2) {
            report(&output);
            answered += 1;
        }
        complaints.extend(wrong(path, &output).map(|what| format!("{}: {what}", path.display())));
    }
    println!("{answered} of {} inputs had an answer", all.len());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// A file that holds nothing that is known is named, once. So a folder of one file each says the same
/// about it whether it is alone or not.
#[test]
fn every_file_is_read_or_named() {
    let Some(corpus) = e2e::corpus::folder() else { return };
    let mut folders = Vec::new();
    inputs(&corpus, &mut folders);
    let folders = folders.into_iter().filter(|folder| folder.is_dir() && *folder != corpus);
    let mut complaints = Vec::new();
    for folder in folders {
        let output = run(&folder, &["-o", "json"]);
        // what is half known stands in the report's `unreadable`
        let whole = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        let files = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a file").path());
        let files: BTreeSet<PathBuf> = files.filter(|file| file.is_file()).collect();
        // each alone would be thousands of runs: every tenth, and the first
        for file in files.iter().step_by(10) {
            let alone = run(file, &["-o", "json"]);
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            let unknown = stderr(&alone).contains("nothing here was recognised");
            if unknown && !whole.contains(&name) {
                complaints.push(format!("{}: nothing in it is known, and its folder does not say so", file.display()));
            }
            complaints.extend(wrong(file, &alone).map(|what| format!("{}: {what}", file.display())));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
