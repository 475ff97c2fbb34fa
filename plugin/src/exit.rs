//! Exit codes: a part of the contract, printed at the end of every `--help`.

use std::fmt;

use clap::ValueEnum;
use netcore::finding::{Finding, Severity};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, and nothing at or above `--fail-on`.
    Done = 0,
    /// Findings at or above `--fail-on`; for a change: refused, or everything restored.
    Findings = 1,
    /// The question could not be answered at all: usage, connection, permission.
    Unanswered = 2,
    /// Answered in part: something that was asked for by name could not be read; for a change: left
    /// mixed.
    Partly = 3,
    /// Ctrl-C, where there was nothing to print yet. kubectl dies of SIGINT then, which a shell shows as
    /// this.
    Interrupted = 130,
    /// The reader of stdout went away. kubectl dies of SIGPIPE then, which a shell shows as this.
    BrokenPipe = 141,
}

impl ExitCode {
    /// The code for a report: `missing` says that something asked for by name could not be read, which
    /// outweighs findings, since there may be more of them.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>, fail_on: FailOn, missing: bool) -> Self {
        if missing {
            Self::Partly
        } else if findings.into_iter().any(|finding| fail_on.includes(finding.severity)) {
            Self::Findings
        } else {
            Self::Done
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}

/// From which severity on findings make the exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Errors.
    Error,
    /// Errors and warnings.
    Warning,
    /// Every finding.
    Info,
    /// No finding.
    Never,
}

impl FailOn {
    /// Whether a finding of this severity counts.
    pub fn includes(self, severity: Severity) -> bool {
        match self {
            Self::Error => severity >= Severity::Error,
            Self::Warning => severity >= Severity::Warning,
            Self::Info => severity >= Severity::Info,
            Self::Never => false,
        }
    }
}

/// `--fail-on`. Each command has its own default: `error` where it is asked to judge, `never` where it
/// only shows.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct FailOnArgs {
    /// Exit with 1 where there are findings of this severity or worse [default: error for check,
    /// verify and preflight, never for what only shows]
    #[arg(long, global = true, value_name = "error|warning|info|never", value_enum, hide_possible_values = true)]
    pub fail_on: Option<FailOn>,
}

impl FailOnArgs {
    /// What was asked for, or the command's default.
    pub fn or(self, default: FailOn) -> FailOn {
        self.fail_on.unwrap_or(default)
    }
}

/// The table of exit codes for the end of `--help`.
pub const HELP: &str = "\
Exit codes:
  0  done, nothing at or above --fail-on
  1  findings at or above --fail-on (error|warning|info|never)
  2  the question could not be answered at all: usage, connection, permission
  3  answered in part: a node or object that was asked for by name could not be read";

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity) -> Finding {
        Finding {
            id: "CIDR-001".into(),
            severity,
            subject: String::new(),
            message: String::new(),
            evidence: Vec::new(),
            remedy: String::new(),
        }
    }

    #[test]
    fn findings_count_from_the_severity_asked_for() {
        use ExitCode::{Done, Findings};
        let table = [
            (FailOn::Error, Severity::Error, Findings),
            (FailOn::Error, Severity::Warning, Done),
            (FailOn::Warning, Severity::Warning, Findings),
            (FailOn::Warning, Severity::Info, Done),
            (FailOn::Info, Severity::Info, Findings),
            (FailOn::Never, Severity::Error, Done),
        ];
        for (fail_on, severity, code) in table {
            assert_eq!(ExitCode::of(&[finding(severity)], fail_on, false), code, "{fail_on:?} {severity:?}");
        }
        assert_eq!(ExitCode::of(&[], FailOn::Info, false), Done);
    }

    #[test]
    fn a_part_that_is_missing_outweighs_findings() {
        assert_eq!(ExitCode::of(&[finding(Severity::Error)], FailOn::Error, true), ExitCode::Partly);
        assert_eq!(ExitCode::of(&[], FailOn::Never, true), ExitCode::Partly);
    }

    #[test]
    fn the_numbers_are_the_contract() {
        let codes = [ExitCode::Done, ExitCode::Findings, ExitCode::Unanswered, ExitCode::Partly];
        for (number, code) in codes.iter().enumerate() {
            assert_eq!(code.to_string(), number.to_string());
            assert!(HELP.contains(&format!("\n  {number}  ")), "{number} is in --help");
        }
    }
}
