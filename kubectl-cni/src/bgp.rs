//! `kubectl cni bgp`: sessions, and who announces and learns which block.

use std::ffi::OsString;

use clap::Args;
use plugin::{exit::ExitCode, print::Out, question::Error};

use crate::cli::Cli;

/// Whatever follows: there is no telling what is right before the command is here.
#[derive(Args)]
pub(crate) struct BgpArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

/// Answers.
#[expect(clippy::unused_async, reason = "what is to come reads")]
pub(crate) async fn bgp(_: &Cli, _: &BgpArgs, _: &mut Out) -> Result<ExitCode, Error> {
    Err(Error::NotHere("cni bgp"))
}
