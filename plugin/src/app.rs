//! From the command line to the exit code: what the `main` of each plugin calls.

use std::{error::Error, ffi::OsString, future::Future, process};

use clap::error::ErrorKind;

use crate::{
    cluster::ConnectError,
    complete::{self, Shell},
    exit::{self, ExitCode},
    interrupt,
    print::{Out, OutputArgs, PrintError, Say},
};

/// A plugin: its command line, and what it does.
pub trait Plugin: clap::Parser {
    /// The word after `kubectl`: `netcidr`.
    const NAME: &'static str;

    /// The flags about output.
    fn output(&self) -> &OutputArgs;

    /// The output formats that the command at hand has beyond the common ones.
    fn extra_formats(&self) -> &'static [&'static str] {
        &[]
    }

    /// The shell whose completion script is asked for.
    fn completion(&self) -> Option<Shell> {
        None
    }

    /// Values of an argument (by its id: `nodes`, `namespace`, `context`) for completion, given the
    /// words typed so far.
    fn candidates(argument: &str, words: &[OsString]) -> Vec<String> {
        complete::live::<Self>(argument, words)
    }

    /// Does what the command line says.
    fn run(self, out: &mut Out) -> impl Future<Output = Result<ExitCode, Failure>>;
}

/// Why there is no answer, and what could help.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    code: ExitCode,
}

impl Failure {
    /// A failure in one sentence, lower-case, without a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: ExitCode::Unanswered }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Ends in another code than 2.
    #[must_use]
    pub fn code(self, code: ExitCode) -> Self {
        Self { code, ..self }
    }

    fn tell(&self, say: &Say) -> ExitCode {
        if self.code != ExitCode::BrokenPipe {
            say.error(&self.message);
            if let Some(hint) = &self.hint {
                say.hint(hint);
            }
        }
        self.code
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let failure = Self::new(chain(&error));
        let error: &(dyn Error + 'static) = &error;
        if error.downcast_ref::<PrintError>().is_some_and(PrintError::is_broken_pipe) {
            return failure.code(ExitCode::BrokenPipe);
        }
        match error.downcast_ref::<ConnectError>().and_then(ConnectError::hint) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// An error and its causes, each once: many a `Display` has its cause in it already.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// The command line of a plugin as kubectl users know it: `kubectl NAME`, exit codes at the end of
/// `--help`.
pub fn command<P: Plugin>() -> clap::Command {
    let mut command = P::command().bin_name(format!("kubectl {}", P::NAME));
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, with_exit_codes);
    }
    with_exit_codes(command)
}

fn with_exit_codes(command: clap::Command) -> clap::Command {
    let help = match command.get_after_help() {
        Some(own) => format!("{own}\n\n{}", exit::HELP),
        None => exit::HELP.to_owned(),
    };
    command.after_help(help)
}

/// Runs a plugin with this process' arguments. The asynchronous runtime is only started for what
/// really runs: not for help, version, completion or a wrong command line.
pub fn main<P: Plugin>() -> process::ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if complete::is_kubectl_asking(words.first()) {
        let text = complete::answer::<P>(words);
        return end(Out::new(&OutputArgs::default()).lines(&text).map(|()| ExitCode::Done), &OutputArgs::default());
    }
    let cli = match parse::<P>(words) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell where this fails.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Unanswered.into() } else { ExitCode::Done.into() };
        }
    };
    let output = cli.output().clone();
    if let Some(shell) = cli.completion() {
        let script = complete::script::<P>(shell);
        return end(Out::new(&output).lines(&script).map(|()| ExitCode::Done), &output);
    }
    end(run(cli, &output), &output)
}

fn end(result: Result<ExitCode, impl Into<Failure>>, output: &OutputArgs) -> process::ExitCode {
    result.unwrap_or_else(|failure| failure.into().tell(&Say::stderr(output.color))).into()
}

/// Reads a command line: every wrong one ends here, a format that the command does not have included.
pub fn parse<P: Plugin>(words: impl IntoIterator<Item = OsString>) -> Result<P, clap::Error> {
    let mut command = command::<P>();
    let matches = command.try_get_matches_from_mut(words)?;
    let cli = P::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    cli.output()
        .check(cli.extra_formats())
        .map_err(|problem| command.error(ErrorKind::InvalidValue, problem.to_string()))?;
    Ok(cli)
}

fn run<P: Plugin>(cli: P, output: &OutputArgs) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut out = Out::new(output);
    let result = runtime.block_on(async {
        tokio::select! {
            result = cli.run(&mut out) => result,
            () = interrupt::fatal() => Ok(ExitCode::Interrupted),
        }
    });
    out.say().progress().end();
    // A read that hangs must not keep the process.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Demo {
        #[command(flatten)]
        output: OutputArgs,
        #[command(subcommand)]
        command: Option<Sub>,
    }

    #[derive(clap::Subcommand)]
    enum Sub {
        /// Draws
        Map,
        /// Completes
        Completion(complete::CompletionArgs),
    }

    impl Plugin for Demo {
        const NAME: &'static str = "demo";

        fn output(&self) -> &OutputArgs {
            &self.output
        }

        fn extra_formats(&self) -> &'static [&'static str] {
            if matches!(self.command, Some(Sub::Map)) { &["svg"] } else { &[] }
        }

        fn completion(&self) -> Option<Shell> {
            match &self.command {
                Some(Sub::Completion(args)) => Some(args.shell),
                _ => None,
            }
        }

        async fn run(self, out: &mut Out) -> Result<ExitCode, Failure> {
            out.lines("ran\n")?;
            Ok(ExitCode::Findings)
        }
    }

    fn parsed(words: &[&str]) -> Result<Demo, clap::Error> {
        parse::<Demo>(words.iter().map(OsString::from))
    }

    #[test]
    fn a_format_is_refused_where_the_command_does_not_have_it() {
        assert!(parsed(&["x", "map", "-o", "svg"]).is_ok());
        assert!(parsed(&["x", "-o", "svg", "map"]).is_ok());
        let error = parsed(&["x", "-o", "svg"]).err().unwrap();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("valid are: table, wide"), "{error}");
        let error = parsed(&["x", "-o", "jsonpath={.a"]).err().unwrap();
        assert!(error.to_string().contains("character 4"), "{error}");
    }

    #[test]
    fn help_speaks_of_kubectl_and_of_exit_codes() {
        for words in [&["x", "--help"][..], &["x", "map", "--help"]] {
            let help = parsed(words).err().unwrap().to_string();
            assert!(help.contains("Usage: kubectl demo"), "{help}");
            assert!(help.contains(exit::HELP), "{help}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("reading pods: {0}")]
    struct Outer(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("list failed")]
    struct Bare(#[from] Outer);

    #[test]
    fn causes_are_told_once() {
        let error = Bare(Outer(std::io::Error::other("refused")));
        assert_eq!(Failure::from(error).message, "list failed: reading pods: refused");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let (out, captured) = Out::captured(&OutputArgs::default(), false);
        let pipe = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::from(PrintError::Write(pipe())).tell(&out.say()), ExitCode::BrokenPipe);
        assert_eq!(captured.stderr(), "");
        assert_eq!(Failure::from(pipe()).hint("again").tell(&out.say()), ExitCode::Unanswered);
        assert!(captured.stderr().ends_with("hint: again\n"));
    }
}
