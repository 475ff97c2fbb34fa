//! `kubectl proxymode`: which mode kube-proxy is in, really, and what a switch would break.

mod cli;
mod preflight;
mod question;
mod schedulers;
mod services;
mod status;
mod switch;
mod verify;

fn main() -> std::process::ExitCode {
    plugin::main::<cli::Cli>()
}
