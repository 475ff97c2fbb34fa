//! `kubectl proxymode services [SVC]`: which Service address goes to which pods on each node.

use clap::Args;
use plugin::{exit::ExitCode, print::Out};

use crate::{cli::Cli, question::Error};

/// Its arguments.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServicesArgs {
    /// A Service, [NAMESPACE/]NAME; all of --namespace, or of all namespaces, without
    #[arg(value_name = "SVC")]
    pub(crate) service: Option<String>,
}

/// Answers.
#[expect(clippy::unused_async, reason = "what is to come reads")]
pub(crate) async fn services(_: &Cli, args: &ServicesArgs, _: &mut Out) -> Result<ExitCode, Error> {
    let _ = &args.service;
    Err(Error::NotHere("services"))
}
