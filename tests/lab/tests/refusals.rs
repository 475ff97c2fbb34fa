//! What the lab says where it cannot begin; nothing is made then.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test stops where its set-up is wrong")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

/// What it says when it refuses.
fn refusal(command: &mut Command) -> String {
    let output = command.output().expect("the lab starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

#[test]
fn who_is_not_root_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    // where everybody may run it
    let everybody = || fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), everybody()).expect("a mode");
    let program = folder.path().join("lab");
    fs::copy(env!("CARGO_BIN_EXE_lab"), &program).expect("a copy");
    fs::set_permissions(&program, everybody()).expect("a mode");
    for arguments in [&["up"][..], &["down"], &["exec", "node1", "--", "true"]] {
        let mut lab = Command::new(&program);
        lab.args(arguments).env("NET_LAB_DIR", folder.path().join("labs")).current_dir("/");
        if is_root() {
            lab.uid(65_534).gid(65_534);
        }
        let said = refusal(&mut lab);
        assert!(said.contains("root"), "{arguments:?}: {said}");
    }
    assert!(!folder.path().join("labs").exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    if !is_root() {
        return;
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let labs = file.path().join("labs");
    let said = refusal(Command::new(env!("CARGO_BIN_EXE_lab")).arg("down").env("NET_LAB_DIR", &labs));
    assert!(said.contains(&labs.display().to_string()), "{said}");
}

#[test]
fn a_disk_without_room_is_named_before_anything_is_built() {
    if !is_root() {
        return;
    }
    let full = Path::new("/proc/labs");
    let said = refusal(Command::new(env!("CARGO_BIN_EXE_lab")).arg("up").env("NET_LAB_DIR", full));
    assert!(said.contains("MB free at /proc") && said.contains("NET_LAB_DIR"), "{said}");
}
