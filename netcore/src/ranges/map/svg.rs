//! The picture as a standalone SVG: no script, no outside font or file, light and dark.

use std::fmt::{self, Write};

use super::{AddressMap, Block, Cell, Fill, MapRange, letter, word};
use crate::{
    cidr::Cidr,
    ranges::Role,
    svg::{document, escape},
};

const WIDTH: usize = 800;
const MARGIN: usize = 24;
/// Where cells begin: the labels of rows stand before them.
const CELLS: usize = 124;
const PER_ROW: usize = 64;
/// A cell with the gap to the next.
const PITCH: usize = 10;
const SIZE: usize = 9;
const LINE: usize = 18;
/// Characters of the text's size that fit beside a range's swatch.
const COLUMNS: usize = 104;

const STYLE: &str = "\
text{font:12px system-ui,'DejaVu Sans',Helvetica,Arial,sans-serif;fill:#1f2328}\
.t{font-size:17px;font-weight:600}.b{font-size:14px;font-weight:600}.f{fill:#59636e}\
.l{font-size:10px;fill:#59636e;text-anchor:end}.c{font-size:7px;font-weight:700;fill:#fff;text-anchor:middle}\
.k{font-size:9px;font-weight:700;fill:#fff;text-anchor:middle}\
.bg{fill:#fff}.e{fill:#e7eaee}\
.pod{fill:#1f6feb}.service{fill:#1a7f37}.node{fill:#bc6c00}.loadbalancer{fill:#8250df}\
.external{fill:#59636e}.internal{fill:#0a7f8a}.o{fill:#d1242f}.w{stroke:#fff;stroke-width:1.4}\
@media (prefers-color-scheme:dark){\
text{fill:#e6edf3}.f,.l{fill:#9198a1}.c,.k{fill:#fff}.bg{fill:#0d1117}.e{fill:#262c36}\
.pod{fill:#4493f8}.service{fill:#3fb950}.node{fill:#d29922}.loadbalancer{fill:#ab7df8}\
.external{fill:#9198a1}.internal{fill:#39c5cf}.o{fill:#f85149}}";

/// The picture; `title` says of what: a context's name. Text is escaped.
pub fn render(map: &AddressMap, title: &str) -> String {
    let mut picture = Picture { body: String::new(), y: MARGIN };
    // writing into a string does not fail
    let _ = picture.draw(map, title);
    let height = picture.y + MARGIN;
    document((WIDTH, height), &format!("Address ranges of {title}"), STYLE, &picture.body)
}

/// The body so far, and how far down it reaches.
struct Picture {
    body: String,
    y: usize,
}

impl Picture {
    fn draw(&mut self, map: &AddressMap, title: &str) -> fmt::Result {
        self.y += 12;
        self.text(MARGIN, "t", &format!("Address ranges of {title}"))?;
        self.y += LINE;
        if map.blocks.is_empty() {
            self.y += LINE;
            return self.text(MARGIN, "f", "no address range is known");
        }
        self.legend(map)?;
        for block in &map.blocks {
            self.y += 30;
            self.block(block)?;
        }
        if !map.overlaps.is_empty() {
            self.y += 12;
        }
        for overlap in &map.overlaps {
            self.y += LINE;
            self.overlap_cell(MARGIN, self.y - SIZE)?;
            let text = format!("overlap: {} and {} share {}", overlap.one, overlap.other, overlap.shared);
            self.text(MARGIN + 16, "", &text)?;
        }
        if map.more_overlaps {
            self.y += LINE;
            self.text(MARGIN + 16, "", "there are more overlaps")?;
        }
        if !map.not_drawn.is_empty() {
            self.y += LINE + 12;
            let names: Vec<String> = map.not_drawn.iter().map(Cidr::to_string).collect();
            let mut line = String::from("not drawn:");
            for name in names {
                if line.len() + name.len() > COLUMNS {
                    self.text(MARGIN, "f", &line)?;
                    self.y += LINE;
                    line.clear();
                }
                write!(line, " {name}")?;
            }
            self.text(MARGIN, "f", &line)?;
        }
        Ok(())
    }

    fn text(&mut self, x: usize, class: &str, text: &str) -> fmt::Result {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        writeln!(self.body, "<text x=\"{x}\" y=\"{}\"{class}>{}</text>", self.y, escape(text))
    }

    fn block(&mut self, block: &Block) -> fmt::Result {
        writeln!(
            self.body,
            "<text x=\"{MARGIN}\" y=\"{}\"><tspan class=\"b\">{}</tspan><tspan class=\"f\" dx=\"12\">each cell a /{}</tspan></text>",
            self.y, block.cidr, block.cell_prefix
        )?;
        self.y += 8;
        let rows = block.cells.len().div_ceil(PER_ROW);
        for (row, cells) in block.cells.chunks(PER_ROW).enumerate() {
            let top = self.y;
            self.y += SIZE;
            if rows > 1 {
                let label = address(block, row * PER_ROW).map(|cidr| cidr.first().to_string()).unwrap_or_default();
                self.text(CELLS - 8, "l", &label)?;
            }
            let mut before: Option<&Cell> = None;
            for (column, cell) in cells.iter().enumerate() {
                let name = address(block, row * PER_ROW + column);
                self.cell(CELLS + column * PITCH, top, cell, name, before == Some(cell))?;
                before = Some(cell);
            }
            self.y += PITCH - SIZE;
        }
        self.y += 2;
        for range in &block.ranges {
            self.range(range)?;
        }
        Ok(())
    }

    fn cell(&mut self, x: usize, y: usize, cell: &Cell, name: Option<Cidr>, same_as_before: bool) -> fmt::Result {
        let uses = match cell.roles.as_slice() {
            [] => "nothing known".to_owned(),
            roles => roles.iter().map(|role| word(*role)).collect::<Vec<_>>().join(if cell.overlap {
                " over "
            } else {
                ", "
            }),
        };
        let name = name.map(|cidr| format!("{cidr}: ")).unwrap_or_default();
        write!(self.body, "<g><title>{}</title>", escape(&format!("{name}{uses}")))?;
        match cell.roles.as_slice() {
            _ if cell.overlap => self.overlap_cell(x, y)?,
            [] => self.square(x, y, SIZE, "e", None)?,
            [role] if cell.full => {
                self.square(x, y, SIZE, class(*role), None)?;
                if !same_as_before {
                    write!(
                        self.body,
                        "<text class=\"c\" x=\"{}.5\" y=\"{}\">{}</text>",
                        x + SIZE / 2,
                        y + 7,
                        letter(*role)
                    )?;
                }
            }
            [role] => {
                self.square(x, y, SIZE, "e", None)?;
                self.square(x + 2, y + 2, SIZE - 4, class(*role), None)?;
            }
            [one, other, ..] => {
                self.square(x, y, SIZE, "e", None)?;
                write!(self.body, "<path class=\"{}\" d=\"M{x} {y}h{SIZE}l-{SIZE} {SIZE}z\"/>", class(*one))?;
                let (right, bottom) = (x + SIZE, y + SIZE);
                write!(
                    self.body,
                    "<path class=\"{}\" d=\"M{right} {bottom}h-{SIZE}l{SIZE} -{SIZE}z\"/>",
                    class(*other)
                )?;
            }
        }
        writeln!(self.body, "</g>")
    }

    fn square(&mut self, x: usize, y: usize, size: usize, class: &str, opacity: Option<&str>) -> fmt::Result {
        let opacity = opacity.map(|value| format!(" opacity=\"{value}\"")).unwrap_or_default();
        write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{size}\" height=\"{size}\" rx=\"1\"{opacity}/>"
        )
    }

    /// Red and crossed, to be told without colour.
    fn overlap_cell(&mut self, x: usize, y: usize) -> fmt::Result {
        self.square(x, y, SIZE, "o", None)?;
        let inner = SIZE - 4;
        writeln!(
            self.body,
            "<path class=\"w\" d=\"M{} {}l{inner} {inner}m0 -{inner}l-{inner} {inner}\"/>",
            x + 2,
            y + 2
        )
    }

    /// A role's square with its letter.
    fn swatch(&mut self, x: usize, role: Role) -> fmt::Result {
        let top = self.y - 10;
        self.square(x, top, 12, class(role), None)?;
        writeln!(self.body, "<text class=\"k\" x=\"{}\" y=\"{}\">{}</text>", x + 6, top + 9, letter(role))
    }

    fn range(&mut self, range: &MapRange) -> fmt::Result {
        self.y += LINE;
        self.swatch(MARGIN, range.role)?;
        let at_least = if range.lower_bound && range.used.is_some() { "at least " } else { "" };
        let mut line = format!("{} {at_least}{}", word(range.role), range.text);
        let parts = range.parts.as_ref().map(|parts| format!("each cell a /{}", parts.prefix));
        for more in [range.use_text(), parts].into_iter().flatten() {
            if line.chars().count() + more.chars().count() > COLUMNS {
                self.text(MARGIN + 18, "", &line)?;
                self.y += LINE;
                line.clear();
            } else {
                line.push_str(" · ");
            }
            line.push_str(&more);
        }
        self.text(MARGIN + 18, "", &line)?;
        if let Some(parts) = &range.parts {
            self.y += 5;
            for (column, fill) in parts.fill.iter().enumerate() {
                let x = CELLS + column * PITCH;
                self.part(x, self.y, class(range.role), *fill)?;
            }
            writeln!(self.body)?;
            self.y += SIZE + 2;
        }
        Ok(())
    }

    /// The fuller, the higher it stands in its cell.
    fn part(&mut self, x: usize, y: usize, class: &str, fill: Fill) -> fmt::Result {
        self.square(x, y, SIZE, "e", None)?;
        let height = match fill {
            Fill::Free => return Ok(()),
            Fill::Given => return self.square(x, y, SIZE, class, Some("0.25")),
            Fill::Quarter => 3,
            Fill::Half => 5,
            Fill::ThreeQuarters => 7,
            Fill::Full => SIZE,
        };
        self.square(x, y, SIZE, class, Some("0.25"))?;
        write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"{SIZE}\" height=\"{height}\"/>",
            y + SIZE - height
        )
    }

    fn legend(&mut self, map: &AddressMap) -> fmt::Result {
        let mut x = MARGIN;
        self.y += 8;
        for role in map.roles() {
            self.swatch(x, role)?;
            self.text(x + 18, "", word(role))?;
            x += 34 + word(role).len() * 7;
        }
        let cells = || map.blocks.iter().flat_map(|block| &block.cells);
        if cells().any(|cell| cell.overlap) {
            self.overlap_cell(x, self.y - SIZE)?;
            self.text(x + 15, "", "overlap")?;
            x += 80;
        }
        self.square(x, self.y - SIZE, SIZE, "e", None)?;
        self.text(x + 15, "", "nothing known")?;

        let Some(role) = map.roles().first().copied() else { return Ok(()) };
        let mut notes: Vec<(Note, &str)> = Vec::new();
        if cells().any(|cell| !cell.full && cell.roles.len() == 1) {
            notes.push((Note::Part, "part of the cell"));
        }
        if cells().any(Cell::mixed) {
            notes.push((Note::Mixed, "several, apart"));
        }
        let fills = || map.blocks.iter().flat_map(|b| &b.ranges).filter_map(|r| r.parts.as_ref()).flat_map(|p| &p.fill);
        if fills().any(|fill| *fill == Fill::Given) {
            notes.push((Note::Fill(Fill::Given), "a node has it"));
        }
        if fills().next().is_some() {
            notes.push((Note::Fill(Fill::Quarter), "in use, to 25%"));
            notes.push((Note::Fill(Fill::Half), "to 50%"));
            notes.push((Note::Fill(Fill::ThreeQuarters), "to 75%"));
            notes.push((Note::Fill(Fill::Full), "more"));
        }
        if notes.is_empty() {
            return Ok(());
        }
        self.y += LINE + 2;
        let mut x = MARGIN;
        for (note, text) in notes {
            let top = self.y - SIZE;
            match note {
                Note::Part => {
                    self.square(x, top, SIZE, "e", None)?;
                    self.square(x + 2, top + 2, SIZE - 4, class(role), None)?;
                }
                Note::Mixed => {
                    let other = map.roles().get(1).copied().unwrap_or(role);
                    let cell = Cell { roles: vec![role, other], full: false, overlap: false };
                    self.cell(x, top, &cell, None, false)?;
                }
                Note::Fill(fill) => self.part(x, top, class(role), fill)?,
            }
            self.text(x + 15, "", text)?;
            x += 30 + text.len() * 7;
        }
        Ok(())
    }
}

/// A cell that the legend explains.
enum Note {
    Part,
    Mixed,
    Fill(Fill),
}

fn address(block: &Block, cell: usize) -> Option<Cidr> {
    let host_bits = u32::from(block.cidr.family().bits() - block.cell_prefix);
    let first = block.cidr.nth((cell as u128).checked_shl(host_bits)?)?;
    Cidr::covering(first, block.cell_prefix)
}

const fn class(role: Role) -> &'static str {
    match role {
        Role::Pod => "pod",
        Role::Service => "service",
        Role::Node => "node",
        Role::Loadbalancer => "loadbalancer",
        Role::External => "external",
        Role::Internal => "internal",
    }
}
