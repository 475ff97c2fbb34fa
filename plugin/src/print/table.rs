//! Tables as kubectl prints them: upper-case headers, three blanks between columns, no borders, and
//! a row is always one line.

use super::text::Text;

const GUTTER: usize = 3;
/// kubectl gives every column at least this.
const NARROWEST: usize = 3;

/// Builds the cells of a row out of anything that becomes [`Text`].
#[macro_export]
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { vec![$($crate::print::Text::from($cell)),*] };
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    header: String,
    right: bool,
    wide: bool,
}

impl Column {
    /// A column with its header; shown in upper case.
    pub fn new(header: impl Into<String>) -> Self {
        Self { header: header.into().to_uppercase(), right: false, wide: false }
    }

    /// A column whose header is shown as it is: the user wrote it.
    pub(super) fn verbatim(header: impl Into<String>) -> Self {
        Self { header: header.into(), right: false, wide: false }
    }

    /// Aligned to the right: numbers.
    #[must_use]
    pub fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// Shown with `-o wide` only.
    #[must_use]
    pub fn wide(self) -> Self {
        Self { wide: true, ..self }
    }
}

impl From<&str> for Column {
    fn from(header: &str) -> Self {
        Self::new(header)
    }
}

/// Columns and rows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Text>>,
    indent: usize,
}

/// How a table is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) wide: bool,
    pub(super) headers: bool,
    pub(super) color: bool,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = impl Into<Column>>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Moves the table to the right by some blanks: a part of what stands above it.
    #[must_use]
    pub fn indented(self, blanks: usize) -> Self {
        Self { indent: blanks, ..self }
    }

    /// Adds a row: one cell per column, those of wide-only columns included. Missing cells are blank.
    pub fn row(&mut self, cells: Vec<Text>) {
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn render(&self, look: Look, out: &mut String) {
        let shown: Vec<(usize, &Column)> =
            self.columns.iter().enumerate().filter(|(_, column)| look.wide || !column.wide).collect();
        let header: Vec<Text> = self.columns.iter().map(|column| Text::from(&column.header)).collect();
        let lines = || look.headers.then_some(&header).into_iter().chain(&self.rows);
        let widths: Vec<usize> = shown
            .iter()
            .map(|(index, _)| lines().filter_map(|row| row.get(*index)).map(Text::width).fold(NARROWEST, usize::max))
            .collect();

        for row in lines() {
            let start = out.len();
            blanks(self.indent, out);
            for (place, ((index, column), width)) in shown.iter().zip(&widths).enumerate() {
                if place > 0 {
                    blanks(GUTTER, out);
                }
                let empty = Text::default();
                let cell = row.get(*index).unwrap_or(&empty);
                let padding = width.saturating_sub(cell.width());
                if column.right {
                    blanks(padding, out);
                }
                cell.render(look.color, out);
                if !column.right {
                    blanks(padding, out);
                }
            }
            let end = out.trim_end_matches(' ').len().max(start);
            out.truncate(end);
            out.push('\n');
        }
    }
}

fn blanks(n: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', n));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::Tone;

    fn plain(table: &Table, wide: bool, headers: bool) -> String {
        let mut out = String::new();
        table.render(Look { wide, headers, color: false }, &mut out);
        out
    }

    fn ranges() -> Table {
        let mut table = Table::new([
            Column::new("role"),
            Column::new("cidr"),
            Column::new("used").right(),
            Column::new("source").wide(),
        ]);
        table.row(cells!["pod", "10.244.0.0/16", "120", "kubeadm-config"]);
        table.row(cells!["service", "fd00::/64", "7", "网络"]);
        table
    }

    #[test]
    fn looks_like_kubectl() {
        assert_eq!(
            plain(&ranges(), false, true),
            "ROLE      CIDR            USED\n\
             pod       10.244.0.0/16    120\n\
             service   fd00::/64          7\n"
        );
    }

    #[test]
    fn wide_only_columns_and_no_headers() {
        assert_eq!(
            plain(&ranges(), true, false),
            "pod       10.244.0.0/16   120   kubeadm-config\n\
             service   fd00::/64         7   网络\n"
        );
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let mut table = Table::new(["name", "x"]);
        table.row(cells!["网络", "1"]);
        table.row(cells!["abcd", "2"]);
        assert_eq!(plain(&table, false, false), "网络   1\nabcd   2\n");
    }

    #[test]
    fn a_row_is_one_line_without_trailing_blanks() {
        let mut table = Table::new(["name", "note"]).indented(2);
        table.row(cells!["a\nb\x1b[2J", ""]);
        table.row(cells!["long name here ok"]);
        table.row(cells!["", "x", "no such column"]);
        assert_eq!(
            plain(&table, false, true),
            "  NAME                NOTE\n  a\\nb\\x1b[2J\n  long name here ok\n                      x\n"
        );
    }

    #[test]
    fn colours_do_not_disturb_the_columns() {
        let mut table = Table::new(["a", "b"]);
        table.row(cells![Tone::Bad.paint("x"), "1"]);
        table.row(cells!["xxx", "2"]);
        let mut out = String::new();
        table.render(Look { wide: false, headers: false, color: true }, &mut out);
        assert_eq!(anstream::adapter::strip_str(&out).to_string(), "x     1\nxxx   2\n");
        assert!(out.starts_with("\x1b["));
    }
}
