//! The one place where the lab speaks.

/// A line on stderr, where progress goes.
#[expect(clippy::print_stderr, reason = "the one place where the lab speaks")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// A line on stdout, where answers go.
#[expect(clippy::print_stdout, reason = "the one place where the lab answers")]
pub(crate) fn answer(line: &str) {
    println!("{line}");
}
