//! Benches: each is a program that prints its own table.

use std::{env, path::PathBuf, process::Command};

use crate::run::{Error, cargo, root, run, say};

/// Builds the release binaries, then runs every bench whose name contains `filter`; the one of scale
/// on the lab's real API server, where this machine can have one.
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
        let mut command = cargo(&["bench", "-p", "e2e", "--bench", &name]);
        if name == "scale" { on_scale_lab(&mut command)? } else { run(&mut command)? }
    }
    Ok(())
}

/// Runs the bench against the lab's big API server, and takes the server down if it was not up before.
fn on_scale_lab(command: &mut Command) -> Result<(), Error> {
    let lab = || -> Result<Command, Error> {
        let here = env::current_exe().map_err(|e| Error::Start("xtask".to_owned(), e))?;
        Ok(Command::new(here))
    };
    let status = lab()?.args(["lab", "scale", "status"]).output().map_err(|e| Error::Start("lab".to_owned(), e))?;
    let was_up = status.stdout.starts_with(b"up");
    let up = lab()?.args(["lab", "scale", "up"]).output().map_err(|e| Error::Start("lab".to_owned(), e))?;
    if !up.status.success() {
        let reason = String::from_utf8_lossy(&up.stderr);
        let reason = reason.lines().find(|line| line.starts_with("error:")).unwrap_or("no reason given");
        say(&format!("no real API server ({reason}): the bench runs on the tests' own"));
        return run(command);
    }
    let kubeconfig = PathBuf::from(String::from_utf8_lossy(&up.stdout).trim());
    let done = run(command.env("NET_SCALE_KUBECONFIG", kubeconfig));
    if was_up {
        return done;
    }
    done.and(run(lab()?.args(["lab", "scale", "down"])))
}
