//! `kubectl proxymode`: which mode kube-proxy is in, really, and what a switch would break.

mod cleanup;
mod cli;
mod gather;
mod preflight;
mod schedulers;
mod services;
mod status;
mod switch;
mod verify;
mod view;

fn main() -> std::process::ExitCode {
    plugin::main::<cli::Cli>()
}
