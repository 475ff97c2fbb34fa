//! `kubectl cni`: which network plugin, how it forwards, and what a packet costs.

mod bgp;
mod bgp_view;
mod cli;
mod compare;
mod compare_view;
mod conf;
mod gather;
mod kernel;
mod migrate;
mod named;
mod packets;
mod rules;
mod rules_view;
mod status;
mod trace;
mod view;

fn main() -> std::process::ExitCode {
    plugin::main::<cli::Cli>()
}
