//! Benches: each is a program that prints its own table.

use crate::run::{Error, cargo, root, run};

/// Builds the release binaries, then runs every bench whose name contains `filter`.
pub(crate) fn bench(filter: Option<&str>) -> Result<(), Error> {
    run(&mut cargo(&["build", "--release", "-p", "kubectl-netcidr"]))?;
    let folder = root().join("tests/e2e/benches");
    let entries = std::fs::read_dir(&folder).map_err(|e| Error::File(folder.clone(), e))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str().and_then(|n| n.strip_suffix(".rs")).map(str::to_owned))
        .filter(|name| filter.is_none_or(|wanted| name.contains(wanted)))
        .collect();
    names.sort();
    for name in names {
        run(&mut cargo(&["bench", "-p", "e2e", "--bench", &name]))?;
    }
    Ok(())
}
