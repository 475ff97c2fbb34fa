//! One script in a guest of its own: what it leaves in `/host/out` comes back.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{Guest, Spec};
use crate::Error;

/// How long a job may take, in seconds.
const LIMIT: u64 = 900;

/// Boots a guest, runs `script` in it, and moves what it left in `/host/out` to `out`; what the console said.
/// The script is a program of the guest: bash, busybox, and the tools of netfilter and IPVS are there.
pub fn job(script: &Path, out: &Path) -> Result<String, Error> {
    let boot = super::boot()?;
    let folder = tempfile::Builder::new().prefix("lab-guest-").tempdir().map_err(Error::file(std::env::temp_dir()))?;
    let spec = Spec { name: "job".to_owned(), folder: folder.path().to_owned(), memory: 768, cpus: 2, network: None };
    spec.prepare()?;
    let (host, job) = (spec.host(), spec.host().join("job"));
    fs::copy(script, &job).map_err(Error::file(script))?;
    fs::set_permissions(&job, fs::Permissions::from_mode(0o755)).map_err(Error::file(&job))?;
    let mut guest = Guest::start(spec, &boot)?;
    guest.wait_for("guest: the job ended with ", LIMIT)?;
    let console = guest.console();
    guest.ended(60)?;
    let made = host.join("out");
    if made.exists() {
        copy_all(&made, out)?;
    }
    let code = console.rsplit("guest: the job ended with ").next().map(str::trim_ascii_start).unwrap_or_default();
    if code.starts_with('0') {
        return Ok(console);
    }
    Err(Error::Failed {
        program: script.display().to_string(),
        status: format!("exit code {}", code.lines().next().unwrap_or_default().trim()),
        output: console,
    })
}

fn copy_all(from: &Path, to: &Path) -> Result<(), Error> {
    let mut open: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = open.pop() {
        fs::create_dir_all(&to).map_err(Error::file(&to))?;
        for entry in fs::read_dir(&from).map_err(Error::file(&from))?.filter_map(Result::ok) {
            let to = to.join(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((entry.path(), to));
            } else {
                fs::copy(entry.path(), &to).map_err(Error::file(to))?;
            }
        }
    }
    Ok(())
}
