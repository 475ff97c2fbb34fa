//! `lab`: a real cluster on one machine.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::cli::run(clap::Parser::parse())
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::print_stderr, reason = "the only thing to say here")]
fn main() -> std::process::ExitCode {
    eprintln!("error: the lab wants Linux");
    std::process::ExitCode::FAILURE
}
