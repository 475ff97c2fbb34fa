//! What changes a cluster: `--set`, `rollback`, `cleanup`. Their flags are the contract's; none of them
//! is here yet, and each says so before it connects to anything.

use clap::Args;
use netcore::proxy::Mode;
use plugin::{args::DryRunArgs, exit::ExitCode, question::Error};

use crate::cli::Cli;

/// The arguments of `rollback`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RollbackArgs {
    /// List the backups, and change nothing
    #[arg(long)]
    list: bool,
    /// Go back to this backup
    #[arg(long, value_name = "ID")]
    to: Option<String>,
    /// Restore the whole ConfigMap as it was, whatever was edited since
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// The arguments of `cleanup`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CleanupArgs {
    /// Remove it, node by node
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Do not ask
    #[arg(long, requires = "apply")]
    yes: bool,
}

/// `--set MODE`.
pub(crate) fn set(cli: &Cli, _: Mode) -> Result<ExitCode, Error> {
    let alone = |flag: &str| Error::Usage(format!("--set switches the whole cluster, not together with {flag}"));
    if cli.input.from.is_some() {
        return Err(alone("--from"));
    }
    if !cli.input.nodes.is_empty() || cli.input.selector.is_some() {
        return Err(alone("--node or --selector"));
    }
    Err(Error::NotHere("proxymode --set"))
}

/// `rollback`.
pub(crate) fn rollback(_: &RollbackArgs) -> Result<ExitCode, Error> {
    Err(Error::NotHere("proxymode rollback"))
}

/// `cleanup`.
pub(crate) fn cleanup(_: &CleanupArgs) -> Result<ExitCode, Error> {
    Err(Error::NotHere("proxymode cleanup"))
}
