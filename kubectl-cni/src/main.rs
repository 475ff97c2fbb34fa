//! `kubectl cni`: which network plugin, how it forwards, and what a packet costs.

mod bgp;
mod cli;
mod compare;
mod conf;
mod migrate;
mod rules;
mod status;
mod trace;

fn main() -> std::process::ExitCode {
    plugin::main::<cli::Cli>()
}
