//! `-o custom-columns=HEADER:PATH,…`, over the rows of a report.

use serde_json::Value;

use super::{
    jsonpath::{EvalError, ParseError, Template, sprint},
    table::{Column, Table},
    text::Text,
};

/// Headers and the path under each.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns(Vec<(String, Template)>);

/// Why a list of columns cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsError {
    /// No header, or no path.
    #[error("custom-columns entry {0:?} is not of the form HEADER:PATH, like NAME:.name")]
    Form(String),
    /// The path is wrong.
    #[error("custom-columns entry {entry:?}: {problem}")]
    Path {
        /// The entry.
        entry: String,
        /// What is wrong with its path.
        problem: ParseError,
    },
}

impl Columns {
    /// Reads the part after `custom-columns=`. Commas in brackets belong to the path, which kubectl
    /// does not allow.
    pub(super) fn parse(text: &str) -> Result<Self, ColumnsError> {
        entries(text).into_iter().map(column).collect::<Result<_, _>>().map(Self)
    }

    /// The table of these rows.
    pub(super) fn table(&self, rows: &[Value]) -> Result<Table, EvalError> {
        let mut table = Table::new(self.0.iter().map(|(header, _)| Column::verbatim(header)));
        for row in rows {
            table.row(self.0.iter().map(|(_, path)| cell(path, row)).collect::<Result<_, _>>()?);
        }
        Ok(table)
    }
}

fn column(entry: &str) -> Result<(String, Template), ColumnsError> {
    let (header, path) = entry.split_once(':').ok_or_else(|| ColumnsError::Form(entry.to_owned()))?;
    let path =
        Template::parse_relaxed(path).map_err(|problem| ColumnsError::Path { entry: entry.to_owned(), problem })?;
    Ok((header.to_owned(), path))
}

fn cell(path: &Template, row: &Value) -> Result<Text, EvalError> {
    let values = path.results(row)?;
    let words: Vec<String> = values.iter().map(|value| sprint(value)).collect();
    Ok(Text::or_none((!words.is_empty()).then(|| words.join(","))))
}

/// The text between the commas that stand outside brackets.
fn entries(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for text in ["", "A", "A:.a,", ",A:.a"] {
            assert!(matches!(Columns::parse(text), Err(ColumnsError::Form(_))), "{text}");
        }
        let error = Columns::parse("A:.a,B:.b[x]").unwrap_err().to_string();
        assert!(error.contains("B:.b[x]") && error.contains("\"x\""), "{error}");
        assert!(Columns::parse("A:{.a}{.b}").unwrap_err().to_string().contains("one path"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[A-B:.,{}\\[\\]'a0*?()=@\" ]{0,24}") {
            let _ = Columns::parse(&text);
        }
    }
}
