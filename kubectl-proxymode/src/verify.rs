//! `kubectl proxymode verify`: kernel state against the EndpointSlices.

use clap::Args;
use plugin::{exit::ExitCode, print::Out, question::Error};

use crate::cli::Cli;

/// Its arguments.
#[derive(Args, Clone, Debug)]
pub(crate) struct VerifyArgs {}

/// Answers.
#[expect(clippy::unused_async, reason = "what is to come reads")]
pub(crate) async fn verify(_: &Cli, VerifyArgs {}: &VerifyArgs, _: &mut Out) -> Result<ExitCode, Error> {
    Err(Error::NotHere("proxymode verify"))
}
