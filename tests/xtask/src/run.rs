//! Running other programs, and saying so.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// Why a chore could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program could not be started.
    #[error("`{0}` could not be started: {1}")]
    Start(String, #[source] io::Error),
    /// A program failed.
    #[error("`{0}` failed with {1}")]
    Failed(String, std::process::ExitStatus),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// Something is not as it must be.
    #[error("{0}")]
    Other(String),
}

/// A line on stderr, where cargo's own go.
#[expect(clippy::print_stderr, reason = "the one place where this tool speaks")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// A cargo command in the workspace's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs a program, says what and for how long, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let shown = shown(command);
    say(&format!("── {shown}"));
    let start = Instant::now();
    let status = command.status().map_err(|e| Error::Start(shown.clone(), e))?;
    say(&format!("── {:.0} s: {shown}", start.elapsed().as_secs_f64()));
    if status.success() { Ok(()) } else { Err(Error::Failed(shown, status)) }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let args = command.get_args().map(|a| a.to_string_lossy().into_owned());
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}

/// Whether a program is on the path.
pub(crate) fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
