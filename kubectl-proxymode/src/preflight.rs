//! `kubectl proxymode preflight MODE`: what a mode would break.

use clap::Args;
use netcore::proxy::Mode;
use plugin::{exit::ExitCode, print::Out};

use crate::{cli::Cli, question::Error};

/// Its arguments.
#[derive(Args, Clone, Debug)]
pub(crate) struct PreflightArgs {
    /// The mode: iptables, ipvs or nftables
    #[arg(value_name = "MODE", value_parser = Mode::of_linux)]
    pub(crate) mode: Mode,
}

/// Answers.
#[expect(clippy::unused_async, reason = "what is to come reads")]
pub(crate) async fn preflight(_: &Cli, args: &PreflightArgs, _: &mut Out) -> Result<ExitCode, Error> {
    let _ = args.mode;
    Err(Error::NotHere("preflight"))
}
