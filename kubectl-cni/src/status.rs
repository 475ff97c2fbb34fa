//! `kubectl cni`: which network plugin, how it is set up, and whether it is well.

use plugin::{exit::ExitCode, print::Out, question::Error};

use crate::cli::Cli;

/// Answers.
#[expect(clippy::unused_async, reason = "what is to come reads")]
pub(crate) async fn status(_: &Cli, _: &mut Out) -> Result<ExitCode, Error> {
    Err(Error::NotHere("cni"))
}
