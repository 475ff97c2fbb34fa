//! The dumps at hand: the fixtures, and the folder of real ones that `NET_CORPUS` names.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Every file below a folder, by name.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

/// The folder that `NET_CORPUS` names; says so where there is none.
#[expect(clippy::print_stdout, reason = "a test says what it skips")]
pub fn folder() -> Option<PathBuf> {
    let folder = env::var_os("NET_CORPUS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: NET_CORPUS names no folder of real dumps");
    }
    folder
}

/// The fixtures, and the corpus where there is one.
pub fn everything() -> Vec<PathBuf> {
    let mut found = files(&crate::fixtures());
    found.extend(folder().map(|folder| files(&folder)).unwrap_or_default());
    found
}
