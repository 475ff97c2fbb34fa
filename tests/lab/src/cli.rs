//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{Error, plan::Plan, say::say};

/// A real cluster on one machine: no Docker, nothing but namespaces.
#[derive(Debug, Parser)]
#[command(name = "lab", bin_name = "cargo xtask lab", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings a cluster up and prints the kubeconfig to use.
    Up(Plan),
}

/// Does what the line says; errors go to stderr.
pub fn run(cli: Cli) -> ExitCode {
    let done: Result<ExitCode, Error> = match cli.command {
        Command::Up(plan) => {
            say(&format!("{plan:?}"));
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        say(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}
