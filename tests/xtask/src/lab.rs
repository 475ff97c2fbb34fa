//! The lab has a crate of its own, so that the other chores need not wait for it to compile.

use std::{ffi::OsString, process::Command};

use crate::run::{Error, cargo, run, say};

/// Builds the lab and becomes it, so that signals and the exit code are its own.
pub(crate) fn lab(args: &[OsString]) -> Result<(), Error> {
    if !cfg!(target_os = "linux") {
        say("the lab wants Linux");
    }
    run(&mut cargo(&["build", "--quiet", "-p", "lab"]))?;
    let here = std::env::current_exe().map_err(|e| Error::Start("lab".to_owned(), e))?;
    become_it(Command::new(here.with_file_name("lab")).args(args))
}

#[cfg(unix)]
fn become_it(command: &mut Command) -> Result<(), Error> {
    use std::os::unix::process::CommandExt as _;
    Err(Error::Start("lab".to_owned(), command.exec()))
}

#[cfg(not(unix))]
fn become_it(command: &mut Command) -> Result<(), Error> {
    run(command)
}
