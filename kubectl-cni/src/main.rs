//! The entry point of `kubectl cni`.

mod cli;

fn main() -> std::process::ExitCode {
    plugin::main::<cli::Cli>()
}
