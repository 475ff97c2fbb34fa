//! The project's own chores: `cargo xtask test`, `bench`, `docs`.

mod bench;
mod docs;
mod run;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must pass before a change lands: format, lints, every test, documents in step.
    Test,
    /// Speed and memory, each figure beside its anchor. Nothing is asserted.
    Bench {
        /// Only the benches whose name contains this.
        filter: Option<String>,
    },
    /// Writes `docs/findings.md` and `docs/schema/` out of the code.
    Docs {
        /// Only say whether they are in step; exit 1 when not.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test => test::test(),
        Task::Bench { filter } => bench::bench(filter.as_deref()),
        Task::Docs { check } => docs::docs(check),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
