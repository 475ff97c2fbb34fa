//! Output: formats, tables, colour, and the one way to stdout and stderr.

mod args;
mod columns;
mod data;
mod jsonpath;
mod names;
mod out;
pub mod report;
pub mod sanitize;
mod table;
mod text;
mod view;

pub use args::{Format, OutputArgs, UnknownFormat, When};
pub use columns::{Columns, ColumnsError};
pub use jsonpath::{EvalError, ParseError, Template};
pub use names::Rows;
pub use out::{Captured, Out, Say};
pub use table::{Column, Table};
pub use text::{Text, Tone};
pub use view::{Detail, View};

/// Why a report could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// Stdout does not take it.
    #[error("writing to stdout: {0}")]
    Write(#[source] std::io::Error),
    /// The report cannot be written in this format.
    #[error("encoding the report: {0}")]
    Encode(String),
    /// A template does not fit the report.
    #[error(transparent)]
    Template(#[from] EvalError),
    /// The report has no such list.
    #[error("the report has no list {0:?}")]
    NoRows(&'static str),
    /// The command does not draw.
    #[error("this command has no output format {0:?}")]
    NotHere(&'static str),
}

impl PrintError {
    /// The reader went away: `| head`. Nothing to report to anybody.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
