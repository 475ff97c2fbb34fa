//! Every target reads its seeds, and every seed cut short or with a byte changed.

use std::{collections::BTreeSet, fs, path::Path};

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_target_has_seeds_and_every_folder_a_target() {
    let targets: BTreeSet<String> = fuzz::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets, names(&corpus()));
    assert!(fuzz::ALL.is_sorted_by_key(|(name, _)| *name));
}

#[test]
fn seeds_are_read() {
    for (name, run) in fuzz::ALL {
        let folder = corpus().join(name);
        for seed in names(&folder) {
            let bytes = fs::read(folder.join(&seed)).expect("a seed");
            println!("{name}/{seed}");
            run(&bytes);
            run(&bytes[..bytes.len() / 2]);
            for at in (0..bytes.len()).step_by(bytes.len() / 16 + 1) {
                let mut changed = bytes.clone();
                changed[at] ^= 0x11;
                run(&changed);
            }
        }
    }
}
