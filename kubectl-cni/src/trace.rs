//! `kubectl cni trace`: every rule that a packet meets, hook by hook.

use std::ffi::OsString;

use clap::Args;
use plugin::{exit::ExitCode, print::Out, question::Error};

use crate::cli::Cli;

/// Whatever follows: there is no telling what is right before the command is here.
#[derive(Args)]
pub(crate) struct TraceArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

/// Answers.
#[expect(clippy::unused_async, reason = "what is to come reads")]
pub(crate) async fn trace(_: &Cli, _: &TraceArgs, _: &mut Out) -> Result<ExitCode, Error> {
    Err(Error::NotHere("cni trace"))
}
