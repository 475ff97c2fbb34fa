//! `kubectl netcidr`: which address ranges a cluster uses, who says so, and whether they agree.

mod answer;
mod cli;
mod external;
mod gather;
mod plan_view;
mod probe;
mod reading;
mod view;

fn main() -> std::process::ExitCode {
    plugin::main::<cli::Cli>()
}
