//! What every plugin does through `plugin::main`, tried on the real binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot run its binary should fail")]

use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_kubectl-cni");

fn run(words: &[&str]) -> (Option<i32>, String, String) {
    told(&plain(Command::new(BINARY)).args(words).output().unwrap())
}

fn plain(mut command: Command) -> Command {
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_not_here_yet_is_said_on_stderr_with_exit_2() {
    for words in [&["migrate"][..], &["migrate", "flannel-to-calico", "--apply"]] {
        let (code, stdout, stderr) = run(words);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(stderr.starts_with("error: kubectl cni") && stderr.contains("not here yet"), "{stderr}");
    }
}

#[test]
fn version_and_help_are_answers() {
    let (code, stdout, _) = run(&["--version"]);
    assert_eq!((code, stdout), (Some(0), format!("kubectl-cni {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, stdout, stderr) = run(&["--help"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("Usage: kubectl cni") && stdout.contains("Exit codes:"), "{stdout}");
}

#[test]
fn a_wrong_command_line_ends_in_2_and_says_what_would_be_right() {
    for (words, expected) in [
        (&["-o", "xml"][..], "valid are: table, wide, json, yaml, name, jsonpath=…"),
        (&["-o", "svg"], "unknown output format \"svg\""),
        (&["-o", "jsonpath={.a[x]}"], "character 5"),
        (&["-o", "go-template={{.}}"], "jsonpath"),
        (&["--color", "pink"], "auto"),
        (&["nonsense"], "nonsense"),
    ] {
        let (code, stdout, stderr) = run(words);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(stderr.contains(expected), "{words:?}: {stderr}");
    }
}

#[test]
fn colour_follows_the_flag_then_the_environment() {
    let with = |name: &str, value: &str, words: &[&str]| {
        told(&plain(Command::new(BINARY)).env(name, value).args(words).arg("migrate").output().unwrap())
            .2
            .contains('\x1b')
    };
    assert!(!run(&["migrate"]).2.contains('\x1b'), "a pipe is no terminal");
    assert!(with("CLICOLOR_FORCE", "1", &[]));
    assert!(!with("CLICOLOR_FORCE", "1", &["--color", "never"]));
    assert!(with("NO_COLOR", "1", &["--color", "always"]));
}

#[test]
fn completion_scripts() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let (code, stdout, stderr) = run(&["completion", shell]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(stdout.contains("kubectl-cni"), "{shell}");
    }
    assert_eq!(run(&["completion", "tcsh"]).0, Some(2));
}

#[cfg(unix)]
#[test]
fn kubectl_asks_for_candidates_under_another_name() {
    let folder = std::env::temp_dir().join(format!("kubectl-cni-face-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join("kubectl_complete-cni");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(BINARY, &link).unwrap();
    let output = Command::new(&link).arg("mig").output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let (code, stdout, stderr) = told(&output);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(matches!(*lines, [migrate, ":4"] if migrate.starts_with("migrate\t")), "{stdout}");
}

/// kubectl dies of SIGPIPE there, without a word; a shell shows 141 for both.
#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child =
        Command::new(BINARY).args(["completion", "bash"]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let (code, _, stderr) = told(&child.wait_with_output().unwrap());
    assert_eq!((code, stderr.as_str()), (Some(141), ""));
}
