//! `kubectl proxymode schedulers`: the algorithms of IPVS, and which node has which.

use plugin::{exit::ExitCode, print::Out};

use crate::{cli::Cli, question::Error};

/// Answers.
#[expect(clippy::unused_async, reason = "what is to come reads")]
pub(crate) async fn schedulers(_: &Cli, _: &mut Out) -> Result<ExitCode, Error> {
    Err(Error::NotHere("schedulers"))
}
