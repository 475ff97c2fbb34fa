//! What a human reads: lines and tables, one after the other.

use super::{
    Tone,
    table::{Look, Table},
    text::Text,
};

/// How much a human asked to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The default: equal rows folded.
    Table,
    /// `-o wide`: every row, every column.
    Wide,
}

/// Lines and tables in the order in which they are shown.
#[derive(Clone, Debug, Default)]
pub struct View {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Line(Text),
    Table(Table),
    Gap,
}

impl View {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line; an empty text is an empty line.
    pub fn line(&mut self, text: impl Into<Text>) -> &mut Self {
        self.parts.push(Part::Line(text.into()));
        self
    }

    /// A title, set off by an empty line.
    pub fn heading(&mut self, text: impl Into<String>) -> &mut Self {
        self.gap().line(Tone::Heading.paint(text))
    }

    /// A table. One without rows shows its headers only.
    pub fn table(&mut self, table: Table) -> &mut Self {
        self.parts.push(Part::Table(table));
        self
    }

    /// An empty line between what stands before and what follows, if both exist.
    pub fn gap(&mut self) -> &mut Self {
        self.parts.push(Part::Gap);
        self
    }

    /// Everything of another view.
    pub fn append(&mut self, other: Self) -> &mut Self {
        self.parts.extend(other.parts);
        self
    }

    pub(super) fn render(&self, look: Look) -> String {
        let mut out = String::new();
        let mut gap = false;
        for part in &self.parts {
            if matches!(part, Part::Gap) {
                gap = !out.is_empty();
                continue;
            }
            if std::mem::take(&mut gap) {
                out.push('\n');
            }
            match part {
                Part::Line(text) => {
                    text.render(look.color, &mut out);
                    out.push('\n');
                }
                Part::Table(table) => table.render(look, &mut out),
                Part::Gap => {}
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells;

    #[test]
    fn gaps_stand_only_between_parts() {
        let mut table = Table::new(["a"]);
        table.row(cells!["1"]);
        let mut view = View::new();
        view.heading("ranges").table(table).gap().gap().line("end\x1b").gap();
        let look = Look { wide: false, headers: true, color: false };
        assert_eq!(view.render(look), "ranges\nA\n1\n\nend\\x1b\n");
    }
}
