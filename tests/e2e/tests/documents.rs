//! The project's own documents: each command that is shown with its output is run, and must print
//! what is shown.
//!
//! Run is a fenced block whose first line is `cargo run -p kubectl-netcidr -- …` or
//! `kubectl netcidr …` with `--from`, or that of another plugin, with or without `$ ` before it, of which either the rest is the
//! output or the next fenced block, with nothing but blank lines between. A `…` alone in a line stands
//! for any lines.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use e2e::{fixtures, plugin, stdout};

/// A command and what it is said to print.
#[derive(Debug, PartialEq)]
struct Shown {
    line: usize,
    /// `kubectl-netcidr`
    binary: String,
    arguments: Vec<String>,
    output: String,
}

/// A fenced block: the line of its first line, its lines, and whether only blank lines are between it
/// and the block before it.
struct Fence<'a> {
    line: usize,
    lines: Vec<&'a str>,
    follows: bool,
}

fn fences(text: &str) -> Vec<Fence<'_>> {
    let mut fences = Vec::new();
    let mut open: Option<Fence<'_>> = None;
    let mut blank = false;
    for (index, line) in text.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        match (&mut open, fence) {
            (Some(_), true) => {
                fences.extend(open.take());
                blank = true;
            }
            (Some(block), false) => block.lines.push(line),
            (None, true) => open = Some(Fence { line: index + 2, lines: Vec::new(), follows: blank }),
            (None, false) => blank &= line.trim().is_empty(),
        }
    }
    fences
}

/// The binary and the arguments of a command line of ours.
fn command(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.strip_prefix("$ ").unwrap_or(line).trim();
    let line = line.split_once(" #").map_or(line, |(command, _)| command);
    let (plugin, rest) = ["netcidr", "proxymode", "cni"].into_iter().find_map(|plugin| {
        let starts = [
            format!("cargo run -p kubectl-{plugin} --"),
            format!("cargo run -q -p kubectl-{plugin} --"),
            format!("kubectl {plugin}"),
        ];
        starts.iter().find_map(|start| Some((plugin, line.strip_prefix(start)?)))
    })?;
    // a pipe or a redirection is another program's output
    let plain = !rest.contains(['|', '>', '<', '&', ';']);
    let arguments = || rest.split_whitespace().map(|word| word.replace(['\'', '"'], "")).collect();
    (plain && rest.contains("--from")).then(|| (format!("kubectl-{plugin}"), arguments()))
}

fn shown(text: &str) -> Vec<Shown> {
    let fences = fences(text);
    let mut all = Vec::new();
    for (index, fence) in fences.iter().enumerate() {
        let Some((first, rest)) = fence.lines.split_first() else { continue };
        let Some((binary, arguments)) = command(first) else { continue };
        let output = if rest.is_empty() {
            fences.get(index + 1).filter(|next| next.follows).map(|next| next.lines.join("\n"))
        } else {
            // several commands in one block show no output
            let commands = rest.iter().any(|line| line.starts_with("$ ") || command(line).is_some());
            (!commands).then(|| rest.join("\n"))
        };
        all.extend(output.map(|output| Shown { line: fence.line, binary, arguments, output }));
    }
    all
}

/// Whether lines are as shown; trailing blanks of a line do not count.
fn matches(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"…", rest)) => {
            (0..=printed.len()).any(|skip| printed.get(skip..).is_some_and(|left| matches(rest, left)))
        }
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, left)| line.trim_end() == first.trim_end() && matches(rest, left)),
    }
}

fn documents(root: &Path) -> Vec<PathBuf> {
    let of = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("a file").path());
        entries.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect::<Vec<_>>()
    };
    let mut all = of(root);
    all.extend(of(&root.join("docs")));
    all.extend(of(&root.join("docs/by-hand")));
    all.sort();
    all
}

#[test]
fn what_documents_show_is_what_is_printed() {
    let root = fixtures().join("../..");
    let mut wrong = Vec::new();
    for document in documents(&root) {
        let text = fs::read_to_string(&document).expect("a document");
        for Shown { line, binary, arguments, output } in shown(&text) {
            let run = plugin(&binary).current_dir(&root).args(&arguments).output().expect("the plugin runs");
            let printed = stdout(&run);
            let (expected, lines): (Vec<_>, Vec<_>) = (output.lines().collect(), printed.trim_end().lines().collect());
            if !matches(&expected, &lines) {
                let name = document.file_name().expect("a name").to_string_lossy().into_owned();
                wrong.push(format!("{name}:{line}: {binary} {arguments:?} prints\n{printed}\nshown is\n{output}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn commands_and_their_outputs_are_found() {
    let text = "\
text\n```\nkubectl netcidr whois 10.0.0.1 --from dump  # who\n```\n\n```text\nADDRESS\nnobody\n```\n\
and\n```console\n$ cargo run -p kubectl-netcidr -- --from dump\nROLE\n```\n\
no output:\n```\nkubectl netcidr --from dump\n```\nwords\n```\nnot its output\n```\n\
not ours:\n```\nkubectl netcidr --from dump | head\n```\n```\nx\n```\n\
two:\n```\nkubectl netcidr --from dump\nkubectl netcidr check --from dump\n```\n\
another:\n```\nkubectl cni --from dump\nNODE\n```\n";
    let found: Vec<_> = shown(text)
        .into_iter()
        .map(|shown| (format!("{} {}", shown.binary, shown.arguments.join(" ")), shown.output))
        .collect();
    let pair = |command: &str, output: &str| (command.to_owned(), output.to_owned());
    let (whois, report, other) =
        ("kubectl-netcidr whois 10.0.0.1 --from dump", "kubectl-netcidr --from dump", "kubectl-cni --from dump");
    assert_eq!(found, [pair(whois, "ADDRESS\nnobody"), pair(report, "ROLE"), pair(other, "NODE")]);
    assert!(matches(&["a", "…", "d"], &["a", "b", "c", "d"]) && matches(&["a  "], &["a"]));
    assert!(!matches(&["a"], &["a", "b"]) && !matches(&["…", "x"], &["a"]));
}
