//! `kubectl cni migrate`: from one network plugin to another, step by step.

use std::ffi::OsString;

use clap::Args;
use plugin::{exit::ExitCode, question::Error};

/// Whatever follows: there is no telling what is right before the command is here.
#[derive(Args)]
pub(crate) struct MigrateArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

/// Answers.
pub(crate) fn migrate(_: &MigrateArgs) -> Result<ExitCode, Error> {
    Err(Error::NotHere("cni migrate"))
}
