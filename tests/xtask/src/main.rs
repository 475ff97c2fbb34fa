//! The project's own chores: `cargo xtask test`, `bench`, `dist`, `docs`, `lab`, `soak`.

mod bench;
mod dist;
mod docs;
mod fuzz;
mod lab;
mod run;
mod soak;
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
    /// Archives of each plugin per platform, checksums, lists of dependencies, krew's manifests.
    Dist(dist::Dist),
    /// Writes `docs/findings.md` and `docs/schema/` out of the code.
    Docs {
        /// Only say whether they are in step; exit 1 when not.
        #[arg(long)]
        check: bool,
    },
    /// What is too long for every run: fuzzing by the hour, the big cluster, kube-proxy's versions.
    Soak(soak::Soak),
    /// A real cluster on this machine: `up`, `down`, `status`, `exec`, `kubectl`; see docs/lab.md.
    #[command(disable_help_flag = true)]
    Lab {
        /// What the lab's own command line takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test => test::test(),
        Task::Bench { filter } => bench::bench(filter.as_deref()),
        Task::Dist(wanted) => dist::dist(&wanted),
        Task::Docs { check } => docs::docs(check),
        Task::Soak(wanted) => soak::soak(&wanted),
        Task::Lab { args } => lab::lab(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
