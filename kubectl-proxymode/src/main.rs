//! The entry point of `kubectl proxymode`.

mod cli;

fn main() -> std::process::ExitCode {
    plugin::main::<cli::Cli>()
}
