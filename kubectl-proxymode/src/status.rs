//! `kubectl proxymode`: the configured mode, and each node's effective one.

use plugin::{exit::ExitCode, print::Out};

use crate::{cli::Cli, question::Error};

/// Answers.
#[expect(clippy::unused_async, reason = "what is to come reads")]
pub(crate) async fn status(_: &Cli, _: &mut Out) -> Result<ExitCode, Error> {
    Err(Error::NotHere("without a command"))
}
